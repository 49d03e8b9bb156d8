// filter_benchmark.cc: adding a key to a filter and asking for an absent one, hash of the key
// included; the counter is the share of absent keys that pass, in percent.
#include <benchmark/benchmark.h>

#include "table_work.h"

namespace {

constexpr uint64_t kKeys = 500000; // a table of 64 MiB

filter_work *filter(int64_t bits_per_key)
{
    static filter_work *small = filter_work_open(kKeys, 10);
    static filter_work *large = filter_work_open(kKeys, 14);
    return bits_per_key == 10 ? small : large;
}

void filter_add_key(benchmark::State &state)
{
    filter_work *work = filter(state.range(0));
    for (auto _ : state)
        benchmark::DoNotOptimize(filter_work_add(work));
}
BENCHMARK(filter_add_key)->Arg(10)->Arg(14);

void filter_test_absent(benchmark::State &state)
{
    filter_work *work = filter(state.range(0));
    for (auto _ : state)
        benchmark::DoNotOptimize(filter_work_test_absent(work));
    state.counters["false_percent"] = 100 * filter_work_false_share(work, 1000000);
}
BENCHMARK(filter_test_absent)->Arg(10)->Arg(14);

} // namespace

BENCHMARK_MAIN();
