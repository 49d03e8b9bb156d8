// wal_benchmark.cc: what an append costs, closing a group, and reading a log back.
#include <benchmark/benchmark.h>

#include "wal_work.h"

namespace {

constexpr uint32_t kGroupRecords = 500;  // about 64 KiB of records of 24 + 100 bytes

// Arg: value bytes. The groups are closed outside the measured time, as often as under load.
void append(benchmark::State &state)
{
    wal_work *work = wal_work_open(64ull << 20, static_cast<uint32_t>(state.range(0)));
    for (auto _ : state) {
        wal_work_append(work, kGroupRecords, 1);
        state.PauseTiming();
        wal_work_cut(work);
        state.ResumeTiming();
    }
    state.SetItemsProcessed(state.iterations() * kGroupRecords);
    wal_work_close(work);
}
BENCHMARK(append)->Arg(16)->Arg(100)->Arg(1024);

void append_in_batches_of_10(benchmark::State &state)
{
    wal_work *work = wal_work_open(64ull << 20, 100);
    for (auto _ : state) {
        wal_work_append(work, kGroupRecords, 10);
        state.PauseTiming();
        wal_work_cut(work);
        state.ResumeTiming();
    }
    state.SetItemsProcessed(state.iterations() * kGroupRecords);
    wal_work_close(work);
}
BENCHMARK(append_in_batches_of_10);

// All that the log itself does for a record, without the device.
void append_and_cut(benchmark::State &state)
{
    wal_work *work = wal_work_open(64ull << 20, 100);
    for (auto _ : state) {
        wal_work_append(work, kGroupRecords, 1);
        wal_work_cut(work);
    }
    state.SetItemsProcessed(state.iterations() * kGroupRecords);
    wal_work_close(work);
}
BENCHMARK(append_and_cut);

void decode(benchmark::State &state)
{
    wal_work *work = wal_work_open(1ull << 20, 100);
    for (auto _ : state)
        benchmark::DoNotOptimize(wal_work_decode(work));
    wal_work_close(work);
}
BENCHMARK(decode);

// 250 MiB of log.
void replay(benchmark::State &state)
{
    wal_work *work = wal_work_open(256ull << 20, 100);
    uint64_t  count = 0;
    do
        wal_work_append(work, kGroupRecords, 1);
    while (wal_work_write(work));
    for (auto _ : state)
        count = wal_work_replay(work);
    state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(count));
    wal_work_close(work);
}
BENCHMARK(replay)->Unit(benchmark::kMillisecond)->MinTime(1);

}  // namespace

BENCHMARK_MAIN();
