/*
 * recorder.c: summing recorders while they are written.
 */
#include "bench/recorder.h"

#include <string.h>

void recorder_clear(struct recorder *recorder)
{
    memset(recorder, 0, sizeof *recorder);
}

void latency_add(struct kiwi_latency *target, const struct kiwi_latency *source)
{
    uint64_t max_ns = __atomic_load_n(&source->max_ns, __ATOMIC_RELAXED);

    target->count += __atomic_load_n(&source->count, __ATOMIC_RELAXED);
    target->sum_ns += __atomic_load_n(&source->sum_ns, __ATOMIC_RELAXED);
    if (max_ns > target->max_ns)
        target->max_ns = max_ns;
    for (uint32_t i = 0; i < KIWI_LATENCY_BUCKET_COUNT; i++)
        target->buckets[i] += __atomic_load_n(&source->buckets[i], __ATOMIC_RELAXED);
}

void recorder_add(struct recorder *target, const struct recorder *source)
{
    for (uint32_t i = 0; i < OPERATION_COUNT; i++) {
        latency_add(&target->latencies[i], &source->latencies[i]);
        latency_add(&target->responses[i], &source->responses[i]);
    }
    latency_add(&target->lag, &source->lag);
    target->late_driver_ns += __atomic_load_n(&source->late_driver_ns, __ATOMIC_RELAXED);
    target->late_engine_ns += __atomic_load_n(&source->late_engine_ns, __ATOMIC_RELAXED);
    target->late_processor_ns += __atomic_load_n(&source->late_processor_ns, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < KIWI_STATUS_COUNT; i++)
        target->statuses[i] += __atomic_load_n(&source->statuses[i], __ATOMIC_RELAXED);
    target->operations += __atomic_load_n(&source->operations, __ATOMIC_RELAXED);
    target->rows += __atomic_load_n(&source->rows, __ATOMIC_RELAXED);
    target->verified += __atomic_load_n(&source->verified, __ATOMIC_RELAXED);
    target->missing += __atomic_load_n(&source->missing, __ATOMIC_RELAXED);
    target->wrong += __atomic_load_n(&source->wrong, __ATOMIC_RELAXED);
}

void recorder_sum(const struct recorder *recorder, enum latency_clock clock,
                  struct kiwi_latency *sum)
{
    memset(sum, 0, sizeof *sum);
    if (clock == CLOCK_LAG) {
        latency_add(sum, &recorder->lag);
        return;
    }
    for (uint32_t i = 0; i < OPERATION_COUNT; i++) {
        if (clock == CLOCK_RESPONSE)
            latency_add(sum, &recorder->responses[i]);
        else if (i != OPERATION_UPDATE || recorder->latencies[OPERATION_MODIFY].count == 0)
            latency_add(sum, &recorder->latencies[i]);
    }
}
