/*
 * histogram_work.c: latencies that vary as those of a cache with misses do.
 */
#include "bench/micro/histogram_work.h"

#include <assert.h>

#include "core/base/histogram.h"
#include "core/base/memory.h"

struct histogram_work {
    struct kiwi_latency latency;
    uint64_t            state;
};

struct histogram_work *histogram_work_open(void)
{
    struct histogram_work *work = memory_allocate_zeroed(sizeof *work);

    assert(work != NULL);
    work->state = 1;
    return work;
}

void histogram_work_close(struct histogram_work *work)
{
    memory_free(work);
}

void histogram_work_record(struct histogram_work *work)
{
    work->state = work->state * 6364136223846793005u + 1442695040888963407u;
    histogram_record(&work->latency, 200 + (work->state >> 52));
}

uint64_t histogram_work_percentile(const struct histogram_work *work)
{
    return kiwi_latency_percentile(&work->latency, 0.99);
}
