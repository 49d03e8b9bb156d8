/*
 * memtable_benchmark.cc: one operation each, on a memtable of n records of 24 and 100 bytes.
 *
 * Keys are visited in an order unrelated to their place in memory, so at 1,000,000 records nearly
 * every visit misses the processor's cache.
 */
#include <benchmark/benchmark.h>

#include "bench/micro/memtable_work.h"

namespace {

constexpr uint32_t kValueBytes = 100;

struct Filled {
    explicit Filled(const benchmark::State &state, memtable_shape shape = SHAPE_USER)
        : count(static_cast<uint64_t>(state.range(0))),
          work(memtable_work_open(count, kValueBytes, shape))
    {
        memtable_work_fill(work);
        if (shape != SHAPE_ASCENDING)
            memtable_work_shuffle(work);
    }
    ~Filled() { memtable_work_close(work); }
    Filled(const Filled &) = delete;
    Filled &operator=(const Filled &) = delete;
    uint64_t count;
    memtable_work *work;
};

/* The slot has its chunks already: what the second and every later memtable of a shard sees. */
void Insert(benchmark::State &state, memtable_shape shape, bool ahead = false)
{
    Filled filled(state, shape);
    double bytes = 0;

    for (auto _ : state) {
        state.PauseTiming();
        memtable_work_empty(filled.work);
        state.ResumeTiming();
        if (ahead)
            memtable_work_fill_ahead(filled.work);
        else
            memtable_work_fill(filled.work);
        bytes = static_cast<double>(memtable_work_bytes(filled.work));
    }
    state.counters["time_per_record"] = benchmark::Counter(
        static_cast<double>(filled.count) * static_cast<double>(state.iterations()),
        benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
    state.counters["bytes_per_record"] = bytes / static_cast<double>(filled.count);
}

void Hit(benchmark::State &state)
{
    Filled filled(state);
    uint64_t i = 0;

    for (auto _ : state)
        benchmark::DoNotOptimize(memtable_work_hit(filled.work, i++ % filled.count));
}

/* 16 lookups whose first cache lines are fetched together; time is of all 16. */
void HitBatched(benchmark::State &state)
{
    Filled filled(state);
    uint64_t i = 0;

    for (auto _ : state) {
        benchmark::DoNotOptimize(memtable_work_hits_batched(filled.work, i, 16));
        i = (i + 16) % (filled.count - 16);
    }
    state.counters["time_per_record"] =
        benchmark::Counter(16.0 * static_cast<double>(state.iterations()),
                           benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void Miss(benchmark::State &state)
{
    Filled filled(state);
    uint64_t i = 0;

    for (auto _ : state)
        benchmark::DoNotOptimize(memtable_work_miss(filled.work, i++ % filled.count));
}

void UpdateInPlace(benchmark::State &state)
{
    Filled filled(state);
    uint64_t i = 0;

    for (auto _ : state)
        benchmark::DoNotOptimize(
            memtable_work_update(filled.work, i++ % filled.count, kValueBytes));
}

/* Each round needs more room than the one before, so every reference is exchanged. */
void UpdateGrowing(benchmark::State &state)
{
    Filled filled(state);
    uint64_t i = 0;
    uint32_t value_bytes = kValueBytes;

    for (auto _ : state) {
        if (i++ % filled.count == 0)
            value_bytes += 8;
        benchmark::DoNotOptimize(
            memtable_work_update(filled.work, i % filled.count, value_bytes));
    }
}

void Seek(benchmark::State &state)
{
    Filled filled(state);
    uint64_t i = 0;

    for (auto _ : state)
        benchmark::DoNotOptimize(memtable_work_seek(filled.work, i++ % filled.count));
}

void Walk(benchmark::State &state)
{
    Filled filled(state);

    for (auto _ : state)
        benchmark::DoNotOptimize(memtable_work_walk(filled.work));
    state.counters["time_per_record"] = benchmark::Counter(
        static_cast<double>(filled.count) * static_cast<double>(state.iterations()),
        benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

BENCHMARK_CAPTURE(Insert, user, SHAPE_USER)->Arg(100000)->Arg(1000000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Insert, user_prefetched, SHAPE_USER, true)->Arg(1000000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Insert, tied, SHAPE_TIED)->Arg(1000000)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(Insert, ascending, SHAPE_ASCENDING)->Arg(1000000)
    ->Unit(benchmark::kMillisecond);
BENCHMARK(Hit)->Arg(100000)->Arg(1000000);
BENCHMARK(HitBatched)->Arg(1000000);
BENCHMARK(Miss)->Arg(1000000);
BENCHMARK(UpdateInPlace)->Arg(1000000);
BENCHMARK(UpdateGrowing)->Arg(1000000);
BENCHMARK(Seek)->Arg(1000000);
BENCHMARK(Walk)->Arg(1000000)->Unit(benchmark::kMillisecond);

} // namespace

BENCHMARK_MAIN();
