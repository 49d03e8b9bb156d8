// block_benchmark.cc: what it costs to find a record, in a block and in a whole table in memory, to
// walk over records, and to write a table.
//
// Finds include choosing a random key; key_only is that alone.
#include <benchmark/benchmark.h>

#include "table_work.h"

namespace {

block_work *block(uint32_t bytes)
{
    static block_work *small = block_work_open(4096);
    static block_work *large = block_work_open(32768);
    return bytes == 4096 ? small : large;
}

table_work *table()
{
    static table_work *work = table_work_open(400000);
    return work;
}

void key_only(benchmark::State &state)
{
    block_work *work = block(4096);
    for (auto _ : state)
        benchmark::DoNotOptimize(block_work_key(work));
}
BENCHMARK(key_only);

void block_find(benchmark::State &state)
{
    block_work *work = block(static_cast<uint32_t>(state.range(0)));
    if (!table_work_search(static_cast<int>(state.range(1)))) {
        state.SkipWithError("not on this processor");
        return;
    }
    for (auto _ : state)
        benchmark::DoNotOptimize(block_work_find(work));
    state.counters["records"] = block_work_count(work);
}
BENCHMARK(block_find)->ArgNames({"bytes", "variant"})->ArgsProduct({{4096, 32768}, {0, 1, 2}});

void block_miss(benchmark::State &state)
{
    block_work *work = block(4096);
    for (auto _ : state)
        benchmark::DoNotOptimize(block_work_miss(work));
}
BENCHMARK(block_miss);

void block_check_structure(benchmark::State &state)
{
    block_work *work = block(4096);
    for (auto _ : state)
        benchmark::DoNotOptimize(block_work_check(work));
}
BENCHMARK(block_check_structure);

void block_walk(benchmark::State &state)
{
    block_work *work = block(4096);
    for (auto _ : state)
        benchmark::DoNotOptimize(block_work_walk(work));
    state.SetItemsProcessed(state.iterations() * block_work_count(work));
}
BENCHMARK(block_walk);

void table_get_present(benchmark::State &state)
{
    for (auto _ : state)
        benchmark::DoNotOptimize(table_work_get(table()));
}
BENCHMARK(table_get_present);

void table_get_absent(benchmark::State &state)
{
    for (auto _ : state)
        benchmark::DoNotOptimize(table_work_get_absent(table()));
}
BENCHMARK(table_get_absent);

void table_seek(benchmark::State &state)
{
    for (auto _ : state)
        benchmark::DoNotOptimize(table_work_seek(table()));
}
BENCHMARK(table_seek);

void table_walk(benchmark::State &state)
{
    constexpr uint64_t kRows = 1000;
    for (auto _ : state)
        benchmark::DoNotOptimize(table_work_walk(table(), kRows));
    state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kRows));
}
BENCHMARK(table_walk);

void table_write(benchmark::State &state)
{
    uint64_t entries = 0;
    for (auto _ : state)
        entries += table_work_write(table());
    state.SetItemsProcessed(static_cast<int64_t>(entries));
    state.counters["bytes_per_entry"] = table_work_bytes_per_entry(table());
    state.counters["index_per_block"] = table_work_index_bytes_per_block(table());
}
BENCHMARK(table_write)->Unit(benchmark::kMillisecond);

} // namespace

BENCHMARK_MAIN();
