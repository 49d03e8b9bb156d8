/*
 * worker.h: one client thread of a benchmark: makes operations, keeps them outstanding, times them.
 *
 * Thread   a worker belongs to its thread, from client_open on; its recorder may be read by others.
 */
#pragma once

#include <stdatomic.h>

#include "bench/engine.h"
#include "bench/recorder.h"
#include "bench/skew.h"
#include "bench/slowest.h"
#include "bench/trace.h"
#include "bench/tracked.h"
#include "workloads/stream.h"

enum task_kind { TASK_LOAD = 0, TASK_RUN, TASK_VERIFY };

/* What all workers of a phase do together. */
struct task {
    enum task_kind           kind;
    const struct workload   *workload;
    const struct chooser    *chooser;       /* TASK_RUN */
    const struct value_pool *values;
    struct acknowledged     *inserts;       /* NULL when the workload has none */
    struct tracked          *tracked;
    enum kiwi_durability     durability;    /* of writes */
    uint64_t                 operations;    /* measured, over all workers */
    uint64_t                 warm_operations;
    uint64_t                 seed;
    bool                     is_verifying;  /* reads are checked */
    double                   target;        /* operations a second over all; 0: closed loop */
    bool                     is_poisson;    /* else one every 1/target */
    struct trace_writer     *recording;     /* NULL: the measured part is not recorded */
    const struct trace      *replay;        /* NULL: operations are made; else they come from it */
    double                   speed;         /* of a replay; 0: as fast as possible */
    bool                     has_older_values; /* of a run before: their versions are not known */
};

/* What the workers of a phase share; the crew owns it. */
struct task_state {
    struct task      task;
    _Atomic uint64_t next_record;   /* load and verify: the next not yet taken */
    _Atomic bool     is_stopping;
    uint64_t         start_ticks;   /* of the measured part; set before it begins */
    _Atomic bool     has_failed;    /* status and text below are set */
    enum kiwi_status status;
    char             text[512];
};

void task_state_fail(struct task_state *state, enum kiwi_status status, const char *text);

struct slot;

struct worker {
    uint32_t                   index, count;   /* this one of so many */
    uint32_t                   depth;
    const struct engine_class *class;
    enum client_model          model;
    struct engine_client      *client;
    struct slot               *slots;          /* depth of them */
    struct slot              **free_slots;     /* a stack */
    uint32_t                   free_count;
    struct kiwi_op           **ready;          /* to be submitted */
    struct kiwi_op           **done;
    uint32_t                   ready_count;
    uint8_t                   *buffers;        /* values out and in, one of each per slot */
    uint64_t                   buffer_bytes;
    struct stream              stream;
    struct task_state         *state;
    uint64_t                   record, record_end;   /* the chunk of a load or verification */
    uint64_t                   started, quota;
    uint64_t                   outstanding;
    uint64_t                   version;
    uint64_t                   due;            /* open loop: intended start of the next, in ticks */
    double                     interval;       /* open loop: ticks between starts */
    uint64_t                   first_due;      /* of those ready, the earliest; 0: none */
    uint64_t                   entered, returned; /* open loop: into the engine, out of it; ticks */
    uint64_t                   origin;         /* ticks at the start of the measured part */
    struct trace_client       *note;           /* where operations are recorded, or NULL */
    struct trace_cursor       *replay;         /* owned; where they come from, or NULL */
    struct recorder            recorder;
    struct slowest             slowest;        /* of the measured part */
    struct skew_note          *skew;           /* borrowed; NULL: requests are not noted */
    _Atomic uint64_t           end_ticks;      /* when the measured part was over */
};

/* buffer_bytes: the longest value. On failure nothing is left behind. */
MUST_USE enum kiwi_status worker_open(struct worker *worker, uint64_t buffer_bytes);
void                      worker_close(struct worker *worker);

/* Prepares for a phase; run then does count operations and returns when none is outstanding. */
void worker_begin(struct worker *worker, struct task_state *state);
/* After the warm-up: the next run is the measured one. Returns how many operations it has when that
 * is the worker's to know, else share. */
uint64_t worker_measure(struct worker *worker, uint64_t share);
void     worker_run(struct worker *worker, uint64_t count);
