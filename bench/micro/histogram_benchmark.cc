// histogram_benchmark.cc: what recording one latency costs, and reading a percentile.
#include <benchmark/benchmark.h>

extern "C" {
#include "bench/micro/histogram_work.h"
}

static void record(benchmark::State &state)
{
    struct histogram_work *work = histogram_work_open();

    for (auto _ : state)
        histogram_work_record(work);
    state.SetItemsProcessed(state.iterations());
    histogram_work_close(work);
}
BENCHMARK(record);

static void percentile(benchmark::State &state)
{
    struct histogram_work *work = histogram_work_open();

    for (int i = 0; i < 100000; i++)
        histogram_work_record(work);
    for (auto _ : state)
        benchmark::DoNotOptimize(histogram_work_percentile(work));
    histogram_work_close(work);
}
BENCHMARK(percentile);

BENCHMARK_MAIN();
