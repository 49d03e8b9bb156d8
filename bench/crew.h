/*
 * crew.h: an open engine and the client threads over it, from open to close.
 *
 * Thread   the one that opened it calls everything here. Client threads live as long as the crew;
 *          in attached mode they drive their shards also between phases.
 * Order    crew_open, any number of crew_run, crew_close. Opening and closing are timed apart.
 */
#pragma once

#include "bench/measure.h"
#include "bench/pace.h"
#include "bench/series.h"
#include "bench/stillness.h"
#include "bench/worker.h"

struct crew;

struct crew_options {
    const struct engine_class *class;
    struct engine_options      engine;
    uint64_t                   value_bytes_max;
};

struct phase_result {
    char               name[80];
    enum task_kind     kind;
    bool               is_partial;       /* stopped by a signal, a time limit or an error */
    bool               was_timed_out;    /* that was the time limit: no fault */
    enum kiwi_status   status;           /* of the error that stopped it */
    char               text[512];
    double             seconds, warm_seconds, drain_seconds;
    uint64_t           drain_left_bytes; /* owed when draining was given up */
    uint64_t           warm_operations;
    uint64_t           operations_wanted;
    double             target;           /* operations a second; 0: closed loop */
    bool               is_poisson;       /* how they arrived */
    struct recorder    totals;
    struct usage       usage;            /* of the measured part */
    struct usage       usage_drained;    /* with the drain */
    struct stillness   stillness;        /* of the machine, in the measured part */
    bool               has_stats;
    struct kiwi_stats *stats;            /* at the end; owned */
    struct kiwi_stats *stats_drained;    /* after the drain; owned */
    uint64_t           written_bytes_since_open; /* log, manifest, tables; drain included */
    uint64_t           user_bytes_since_open;    /* keys and values handed in */
    struct series_row *series;           /* owned */
    size_t             series_count;
    struct interval_log intervals;       /* of the rows of series */
    double             start_seconds;    /* since 1970, of the measured part */
    uint64_t           stream_digest;
    struct skew_shares skew;             /* of the measured part */
    struct slowest     slowest;          /* of the measured part, the slowest first */
};

/* Everything the engine wrote to files, by its own count. */
uint64_t stats_written_bytes(const struct kiwi_stats *stats);

/* Open loop: what pace_judge needs. */
struct pace phase_pace(const struct phase_result *result);
void        phase_result_free(struct phase_result *result);

/* Called about ten times a second while a phase runs. done and wanted: operations; wanted is 0
 * while warming up and while draining. */
struct progress_state {
    const char *phase;
    const char *part;        /* "warm-up", "" or "drain" */
    uint64_t    done, wanted;
    double      seconds;
    double      rate;        /* operations a second, lately */
};
typedef void (*crew_progress)(void *context, const struct progress_state *state);

struct run_options {
    struct task     task;
    double          seconds_max;       /* of the measured part; 0: no limit */
    double          warm_seconds_max;  /* of the warm-up; 0: no limit */
    double          drain_seconds_max; /* 0: no draining */
    crew_progress   progress;          /* NULL: silent */
    void           *progress_context;
    const _Atomic bool *interrupted;   /* borrowed; NULL: nothing interrupts */
};

MUST_USE enum kiwi_status crew_open(const struct crew_options *options, struct crew **out);
/* KIWI_OK also when the phase was cut short; result says so. result->name is the caller's. */
MUST_USE enum kiwi_status crew_run(struct crew *crew, const struct run_options *options,
                                   struct phase_result *result);
/* Returns the first error of closing; NULL is fine. */
enum kiwi_status crew_close(struct crew *crew);

double         crew_open_seconds(const struct crew *crew);
struct engine *crew_engine(struct crew *crew);
