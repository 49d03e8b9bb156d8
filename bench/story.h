/*
 * story.h: the measured parts of one run laid end to end on one time axis, as charts want them.
 */
#pragma once

#include "bench/chart.h"
#include "bench/result.h"
#include "workloads/workload.h"
#include "kiwi/stats.h"

#define HEAT_COLUMNS 152u
#define HEAT_ROWS    40u
#define HEAT_FROM_NS 100.0
#define HEAT_TO_NS   1e9

struct points {
    double *x, *y;       /* owned */
    size_t  count, capacity;
};

struct story {
    const struct result *result;             /* borrowed */
    struct chart_band    bands[RESULT_PHASE_COUNT_MAX];
    size_t               band_count;         /* phases */
    double               end;                /* seconds of all measured parts */
    double              *time, *length;      /* of each row of series: end and length; owned */
    struct points        rates[OPERATION_COUNT];       /* operations a second over time */
    double               interval_seconds[OPERATION_COUNT]; /* of the last of each, while reading */
    size_t               interval_phase[OPERATION_COUNT];
    struct kiwi_latency  latencies[OPERATION_COUNT];   /* without the load */
    double               heat[HEAT_COLUMNS * HEAT_ROWS];
    bool                 has_latencies;
};

/* KIWI_CORRUPT when latency.hlog is damaged; it may be missing. */
MUST_USE enum kiwi_status story_open(const struct result *result, struct story **out);
void                      story_close(struct story *story); /* NULL is fine */

/*
 * A column of series.csv, as it is or per second; owned by the caller (memory_free). NULL: there is
 * no such column, or no memory. What remains of a phase behind its last whole interval is too short
 * to tell a rate or a percentile: such a row has the rate of both, and the percentiles before it.
 */
double *story_column(const struct story *story, const char *name, bool is_per_second);
bool    points_add(struct points *points, double x, double y);
