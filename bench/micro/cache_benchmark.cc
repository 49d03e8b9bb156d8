// cache_benchmark.cc: what one call into the cache costs, warm and from memory.
//
// Each figure includes making the key and its hash (see key_only) and one random number.
#include <benchmark/benchmark.h>

#include "cache_work.h"

namespace {

constexpr uint64_t kWarmRecords = 2000;      // stay in the processor's caches
constexpr uint64_t kColdRecords = 2000000;   // 300 MB: neither line nor record is near
constexpr uint64_t kWarmBlocks = 100;
constexpr uint64_t kColdBlocks = 50000;

cache_work *everything()
{
    static cache_work *work = cache_work_open(kColdRecords, kColdBlocks, 0);
    return work;
}

cache_work *full()
{
    static cache_work *work = cache_work_open(600000, 2000, 64ull << 20);
    return work;
}

void key_only(benchmark::State &state)
{
    static cache_work *work = cache_work_open(0, 0, 1 << 20);
    for (auto _ : state)
        benchmark::DoNotOptimize(cache_work_find(work, kColdRecords));
}
BENCHMARK(key_only);

void record_hit(benchmark::State &state)
{
    cache_work *work = everything();
    for (auto _ : state)
        benchmark::DoNotOptimize(cache_work_find(work, static_cast<uint64_t>(state.range(0))));
}
BENCHMARK(record_hit)->Arg(kWarmRecords)->Arg(kColdRecords);

void record_hit_wave_of_16(benchmark::State &state)
{
    cache_work *work = everything();
    for (auto _ : state)
        benchmark::DoNotOptimize(cache_work_find_wave(work, kColdRecords, 16));
    state.SetItemsProcessed(state.iterations() * 16);
}
BENCHMARK(record_hit_wave_of_16);

void record_miss(benchmark::State &state)
{
    cache_work *work = everything();
    for (auto _ : state)
        benchmark::DoNotOptimize(cache_work_find_absent(work));
}
BENCHMARK(record_miss);

void record_drop_absent(benchmark::State &state)
{
    cache_work *work = everything();
    for (auto _ : state)
        benchmark::DoNotOptimize(cache_work_drop_absent(work));
}
BENCHMARK(record_drop_absent);

void record_insert_evicting(benchmark::State &state)
{
    cache_work *work = full();
    for (auto _ : state)
        benchmark::DoNotOptimize(cache_work_insert_new(work));
}
BENCHMARK(record_insert_evicting);

void block_hit(benchmark::State &state)
{
    cache_work *work = everything();
    for (auto _ : state)
        benchmark::DoNotOptimize(
            cache_work_block_find(work, static_cast<uint64_t>(state.range(0))));
}
BENCHMARK(block_hit)->Arg(kWarmBlocks)->Arg(kColdBlocks);

void block_insert_evicting(benchmark::State &state)
{
    cache_work *work = full();
    for (auto _ : state)
        benchmark::DoNotOptimize(cache_work_block_insert_new(work));
}
BENCHMARK(block_insert_evicting);

}  // namespace

BENCHMARK_MAIN();
