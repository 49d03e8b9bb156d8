/*
 * suite.h: a whole benchmark: data sets loaded, workloads run, samples verified.
 */
#pragma once

#include "bench/crew.h"
#include "bench/kill.h"
#include "bench/ladder.h"
#include "bench/machine.h"
#include "bench/plan.h"
#include "bench/probe.h"

#define SUITE_PHASE_COUNT_MAX 96u

/* Which part of a data set's life a phase is. */
struct suite_phase {
    struct phase_result    result;
    const struct plan_run *run;           /* borrowed from the plan; of a load: the first run */
    enum kiwi_durability   durability;
    uint64_t               folder_bytes;  /* files of the data set after the drain */
    uint64_t               live_bytes;    /* keys and values that exist, computed by the driver */
    uint64_t               user_bytes;    /* keys and values handed in by the measured part */
    bool                   is_step;       /* of a ladder */
};

struct suite {
    const struct bench_options *options;  /* borrowed */
    const struct plan          *plan;     /* borrowed */
    const struct engine_class  *class;
    const _Atomic bool         *interrupted;
    crew_progress               progress;
    void                       *progress_context;
    /* Called after each phase; the phase stays. */
    void (*on_phase)(void *context, const struct suite *suite, const struct suite_phase *phase);
    void *on_phase_context;
    ladder_watch        on_step;          /* with on_phase_context; after each step of a ladder */

    struct suite_phase phases[SUITE_PHASE_COUNT_MAX];
    uint32_t           phase_count;
    struct ladder      ladders[LADDER_COUNT_MAX];    /* one for each run of the plan, or none */
    uint32_t           ladder_count;
    double             open_seconds, close_seconds;  /* sums over data sets */
    uint32_t           dataset_count;
    uint64_t           sampled, sampled_missing, sampled_wrong; /* verification of samples */
    uint64_t           verified, missing, wrong;                /* reads of all phases */
    bool               has_recorded;
    struct trace_about recorded;          /* what the trace holds */
    uint64_t           recorder_waits;    /* of clients for the trace's disk */
    struct kill_result kills[KIWI_PROCESS + 1];  /* kill checks made, one a durability */
    uint32_t           kill_count;
    char               engine_settings[320], io_backend[16], io_features[160];
    uint32_t           shard_count;
    enum kiwi_status   status;            /* of the error that ended it */
    char               text[512];
    bool               is_partial;
    char               start[32], end[32];   /* UTC */
    struct machine     machine;
    struct device_probe probe;
    char               probe_text[200];      /* why there is none */
    double             wall_seconds;
};

/* Fills the rest of suite. KIWI_OK also when it was cut short; is_partial and status say so. */
MUST_USE enum kiwi_status suite_run(struct suite *suite);
void                      suite_free(struct suite *suite);
/* How the data set that starts with first is opened. */
struct engine_options suite_engine_options(const struct suite *suite, const struct plan_run *first,
                                           const char *path);
/* Every durability that the plan's writes ask for, by kill.h, before any number is measured; the
 * data folder is claimed. KIWI_CORRUPT: a promise was broken. */
MUST_USE enum kiwi_status suite_kill_check(struct suite *suite);
/* That durability was checked and held. */
bool suite_is_kill_checked(const struct suite *suite, enum kiwi_durability durability);
/* Now, as 2026-01-31T23:59:59Z; with compact, as 20260131T235959Z. */
void utc_write(char *text, size_t bytes, bool is_compact);
