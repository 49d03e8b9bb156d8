/*
 * series.h: what happened in each second of a phase: rows of series.csv and, sparse, the latency
 * histogram of every operation, intervals of latency.hlog.
 *
 * Memory grows with the seconds of a phase (about 3 KiB each), not with its operations.
 */
#pragma once

#include "bench/recorder.h"

#define SERIES_STATS_MAX 192u

/* One line of series.csv. */
struct series_row {
    double   start, seconds; /* of the interval, since the phase's start: beginning and end */
    uint64_t operations, errors;
    uint64_t p50_ns, p99_ns, p999_ns, max_ns; /* max: upper end of the highest bucket hit */
    uint64_t resident_bytes, cpu_ns, device_write_bytes, debt_bytes;
    bool     has_stats;
    uint64_t stats[SERIES_STATS_MAX];  /* series_stats_count() of them */
};

/* The engine's own columns. Counters are differences to the row before, sizes are as they are. */
uint32_t series_stats_count(void);
void     series_stats_name(uint32_t index, char *text, size_t bytes);
void     series_stats_read(const struct kiwi_stats *now, const struct kiwi_stats *before,
                           uint64_t *values);

/* Histograms of intervals, packed. Zero it first. */
struct interval_log {
    uint32_t *words;     /* owned */
    size_t    count, capacity;
};

/* Appends what of now is not in before, when that is anything. Short memory drops the interval. */
void interval_log_add(struct interval_log *log, uint32_t row, uint32_t operation,
                      enum latency_clock clock, const struct kiwi_latency *now,
                      const struct kiwi_latency *before);
/* The interval at *at, which moves to the next; false behind the last. */
bool interval_log_read(const struct interval_log *log, size_t *at, uint32_t *row,
                       uint32_t *operation, enum latency_clock *clock,
                       struct kiwi_latency *latency);
void interval_log_free(struct interval_log *log);
