/*
 * recorder.h: what one client thread counts, readable by others while it does.
 *
 * Thread   one writer. Loads and stores are relaxed atomics, which cost what plain ones do; a
 *          reader may see one operation's parts not yet together, never a torn number.
 */
#pragma once

#include "core/base/histogram.h"
#include "workloads/workload.h"

enum latency_clock {
    CLOCK_SERVICE = 0,  /* from submission to completion */
    CLOCK_RESPONSE,     /* open loop: from the intended start */
    CLOCK_LAG,          /* open loop: from the intended start to the submission */
    CLOCK_COUNT,
};

struct recorder {
    struct kiwi_latency latencies[OPERATION_COUNT];       /* service */
    struct kiwi_latency responses[OPERATION_COUNT];       /* open loop only */
    struct kiwi_latency lag;                              /* open loop only */
    uint64_t            late_driver_ns, late_engine_ns;   /* open loop only: bench/pace.h */
    uint64_t            late_processor_ns;                /* a part of both; at the end of a run */
    uint64_t            statuses[KIWI_STATUS_COUNT];      /* how operations ended */
    uint64_t            operations;                       /* a read-modify-write is one */
    uint64_t            rows;                             /* of scans */
    uint64_t            verified;                         /* values checked */
    uint64_t            missing;                          /* reads that found nothing */
    uint64_t            wrong;                            /* values of another record, or damaged */
};

#define RECORDER_ADD(field, amount)                                                       \
    __atomic_store_n(&(field), __atomic_load_n(&(field), __ATOMIC_RELAXED) + (amount),    \
                     __ATOMIC_RELAXED)

static inline void recorder_latency(struct kiwi_latency *latency, uint64_t ns)
{
    RECORDER_ADD(latency->buckets[histogram_bucket(ns)], 1u);
    RECORDER_ADD(latency->count, 1u);
    RECORDER_ADD(latency->sum_ns, ns);
    if (__builtin_expect(ns > latency->max_ns, 0))
        __atomic_store_n(&latency->max_ns, ns, __ATOMIC_RELAXED);
}

/* Zeroes; only while nobody records. */
void recorder_clear(struct recorder *recorder);
/* Adds what source has now to target, which nobody else touches. */
void recorder_add(struct recorder *target, const struct recorder *source);
/* All operations' latencies of one clock added up; an operation is counted once, but the read half
 * of a read-modify-write also by itself. */
void recorder_sum(const struct recorder *recorder, enum latency_clock clock,
                  struct kiwi_latency *sum);
void latency_add(struct kiwi_latency *target, const struct kiwi_latency *source);
