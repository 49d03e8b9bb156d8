/*
 * plan.h: which data sets are loaded and which workloads run on them, in order.
 *
 * A data set is made anew when it is the first, when records look different, or when the workload
 * before it inserted or deleted. Unless told otherwise, workloads that do so come last among those
 * that share a data set: A, B, C, F, D, and after new data E, as YCSB's authors advise.
 */
#pragma once

#include "bench/options.h"
#include "bench/trace.h"
#include "workloads/workload.h"

#define PLAN_RUN_COUNT_MAX 40u

struct plan_run {
    char                 name[64];         /* "workloada", or "large-uniform-read" */
    struct properties    properties;       /* owned */
    struct lint          lint;             /* owned */
    struct workload      workload;
    enum kiwi_durability durability;       /* of its writes */
    bool                 is_first;         /* a new data set is loaded for it */
};

struct plan {
    char                 suite[48];
    struct plan_run      runs[PLAN_RUN_COUNT_MAX];
    uint32_t             count;
    enum kiwi_durability load_durability;
    uint64_t             value_bytes_max;
    uint32_t             thread_count, depth;
    uint64_t             seed;
    struct trace        *trace;            /* owned; NULL: no replay */
};

/* Of a replay, the trace's workload. KIWI_CORRUPT: the trace is damaged. KIWI_INVALID: a file, a
 * property or the preset is wrong; the text is for people. KIWI_IO: a file cannot be read. */
MUST_USE enum kiwi_status plan_make(const struct bench_options *options, struct plan *out);
void                      plan_free(struct plan *plan);
/* The properties as a file, its first line a comment that holds the name, for a trace; *text is the
 * caller's to free. */
MUST_USE enum kiwi_status plan_properties_text(const struct plan_run *run, char **text,
                                               size_t *bytes);
