/*
 * histogram.c: adding histograms and reading percentiles.
 */
#include "core/base/histogram.h"

#include <math.h>
#include <string.h>

void histogram_add(struct kiwi_latency *target, const struct kiwi_latency *source)
{
    target->count += source->count;
    target->sum_ns += source->sum_ns;
    if (source->max_ns > target->max_ns)
        target->max_ns = source->max_ns;
    for (uint32_t i = 0; i < KIWI_LATENCY_BUCKET_COUNT; i++)
        target->buckets[i] += source->buckets[i];
}

void histogram_clear(struct kiwi_latency *latency)
{
    memset(latency, 0, sizeof *latency);
}

uint64_t kiwi_latency_percentile(const struct kiwi_latency *latency, double share)
{
    uint64_t total = 0, below = 0, wanted;

    for (uint32_t i = 0; i < KIWI_LATENCY_BUCKET_COUNT; i++)
        total += latency->buckets[i];
    if (total == 0)
        return 0;
    wanted = share <= 0 ? 1 : (uint64_t)ceil(share * (double)total);
    if (wanted >= total)
        return latency->max_ns;
    for (uint32_t i = 0; i < KIWI_LATENCY_BUCKET_COUNT; i++) {
        below += latency->buckets[i];
        if (below >= wanted) {
            uint64_t ceiling = histogram_bucket_floor(i + 1) - 1;
            return ceiling < latency->max_ns ? ceiling : latency->max_ns;
        }
    }
    return latency->max_ns;
}
