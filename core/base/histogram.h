/*
 * histogram.h: latencies without allocation, in the public struct kiwi_latency.
 *
 * Buckets  log-linear, 32 per power of two: bucket = value below 64, then (exponent, top 5 bits).
 *          As in HdrHistogram, with fewer digits. Error at most 1/32. Two histograms add by
 *          summing.
 * Thread   one writer; merging reads a copy.
 */
#pragma once

#include <stdint.h>

#include "kiwi/stats.h"

static inline uint32_t histogram_bucket(uint64_t value)
{
    if (value < 64)
        return (uint32_t)value;
    uint32_t exponent = 63u - (uint32_t)__builtin_clzll(value); /* >= 6 */
    uint32_t bucket = (exponent - 4u) * 32u + (uint32_t)((value >> (exponent - 5u)) & 31u);
    return bucket < KIWI_LATENCY_BUCKET_COUNT ? bucket : KIWI_LATENCY_BUCKET_COUNT - 1u;
}

/* The smallest value that falls into the bucket. */
static inline uint64_t histogram_bucket_floor(uint32_t bucket)
{
    if (bucket < 64)
        return bucket;
    uint32_t exponent = bucket / 32u + 4u;
    return (1ull << exponent) + ((uint64_t)(bucket % 32u) << (exponent - 5u));
}

static inline void histogram_record(struct kiwi_latency *latency, uint64_t value_ns)
{
    latency->count++;
    latency->sum_ns += value_ns;
    if (value_ns > latency->max_ns)
        latency->max_ns = value_ns;
    latency->buckets[histogram_bucket(value_ns)]++;
}

void histogram_add(struct kiwi_latency *target, const struct kiwi_latency *source);
void histogram_clear(struct kiwi_latency *latency);
