/*
 * merge_benchmark.cc: time per merged entry; InputsOnly is what the inputs alone cost.
 */
#include <benchmark/benchmark.h>

#include "bench/micro/merge_work.h"

namespace {

constexpr uint32_t kEntriesEach = 50000;

template <uint64_t Walk(merge_work *)> void WalkAll(benchmark::State &state)
{
    merge_work *work = merge_work_open(static_cast<uint32_t>(state.range(0)), kEntriesEach);
    uint64_t entries = 0;

    for (auto _ : state)
        entries += Walk(work);
    state.counters["time_per_entry"] =
        benchmark::Counter(static_cast<double>(entries),
                           benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
    merge_work_close(work);
}

void Seek(benchmark::State &state)
{
    merge_work *work = merge_work_open(static_cast<uint32_t>(state.range(0)), kEntriesEach);
    uint64_t number = 0;

    for (auto _ : state)
        benchmark::DoNotOptimize(merge_work_seek(work, number++));
    merge_work_close(work);
}

BENCHMARK_TEMPLATE(WalkAll, merge_work_inputs_only)->Arg(8)->Unit(benchmark::kMillisecond)
    ->Name("InputsOnly");
BENCHMARK_TEMPLATE(WalkAll, merge_work_forward)->Arg(2)->Arg(8)->Arg(32)
    ->Unit(benchmark::kMillisecond)->Name("Forward");
BENCHMARK_TEMPLATE(WalkAll, merge_work_backward)->Arg(8)->Unit(benchmark::kMillisecond)
    ->Name("Backward");
BENCHMARK(Seek)->Arg(8);

} // namespace

BENCHMARK_MAIN();
