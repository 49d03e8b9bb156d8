/*
 * compact_harness.h: a shard without a shard: memtables, versions and jobs driven by hand, and a
 * model that knows what every read must answer.
 */
#pragma once

#include "compact/job.h"
#include "core/version/version.h"

#define HARNESS_KEY_COUNT_MAX   2000u
#define HARNESS_FROZEN_MAX      4u
#define HARNESS_SNAPSHOT_MAX    6u
#define HARNESS_POOL_MAX        64u
#define HARNESS_TABLE_ID_MAX    100000u

struct model_version {
    uint64_t        sequence;
    uint64_t        seed;       /* of the value's bytes */
    uint32_t        value_bytes;
    enum entry_kind kind;
};

struct model_key {
    struct bytes          key;      /* owned */
    struct model_version *versions; /* oldest first */
    uint32_t              count, capacity;
};

struct harness_options {
    uint64_t   seed;
    struct io *io;              /* borrowed; NULL: a posix backend of our own, in a new directory */
    uint32_t   key_count;
    uint64_t   table_bytes;
    uint64_t   window_bytes;
    uint32_t   value_bytes_max; /* of ordinary values */
    bool       has_large;       /* now and then a value or a key beyond one block */
    bool       has_snapshots;
    uint32_t   stream_count;    /* 0: random keys; else that many ascending streams of keys */
    bool       checks_nothing;  /* no reads after publishing */
};

struct harness {
    struct harness_options options;
    struct io             *io;
    char                   directory[128];
    struct io_file        *directory_file;
    struct io_queue       *queue;
    struct buffers        *buffers;
    struct version_set    *set;
    struct memtable_pool  *pools[HARNESS_FROZEN_MAX + 1];
    struct memtable       *memtables[HARNESS_FROZEN_MAX + 1]; /* oldest first, the last is active */
    uint32_t               memtable_count;
    uint64_t               random, sequence, id_next;
    uint32_t               stream_at[16];
    uint64_t               snapshots[HARNESS_SNAPSHOT_MAX];
    uint32_t               snapshot_count;
    struct model_key       keys[HARNESS_KEY_COUNT_MAX];
    struct { struct io_file *file; uint64_t id; } pool[HARNESS_POOL_MAX];
    uint32_t               pool_count;
    void                 (*block_done)(void *context, uint64_t table_id, struct block_ref ref,
                                       const uint8_t *block);
    void                  *block_context;
    uint64_t               reads_checked, publishes, steps, jobs, outputs;
    /* Whole files as read back once, by table id. */
    uint8_t               *loaded[HARNESS_TABLE_ID_MAX];
    uint8_t               *value;
};

uint64_t harness_random(struct harness *harness);
uint64_t harness_below(struct harness *harness, uint64_t limit);

struct harness *harness_open(const struct harness_options *options);
void            harness_close(struct harness *harness);

void harness_write(struct harness *harness);            /* one random put or delete */
void harness_put(struct harness *harness, uint32_t key, enum entry_kind kind, uint32_t value_bytes);
void harness_freeze(struct harness *harness);           /* the active memtable */
void harness_snapshots_change(struct harness *harness); /* at random */
void harness_check(struct harness *harness);            /* every key, at every snapshot and now */

struct job_options harness_job_options(struct harness *harness);

/* How a job's run is disturbed. */
struct harness_run {
    uint64_t cancel_at_step;  /* 0: never */
    uint64_t budget_bytes;    /* 0: at random */
    uint32_t refuse_file;     /* the n-th file is refused; 0: none */
    uint32_t refuse_publish;  /* the n-th edit is refused; 0: none */
    enum kiwi_status status;  /* out: how the job ended */
    struct job_counters counters; /* out */
};

/* A flush of the oldest count frozen memtables; false when it did not end well. */
bool harness_flush(struct harness *harness, uint32_t count, struct harness_run *run);
bool harness_compact(struct harness *harness, const struct compaction_plan *plan,
                     struct harness_run *run);
/* Whatever compaction_pick wants; false: nothing to do. */
bool harness_compact_picked(struct harness *harness, const struct pick_options *options);
/* Every table can be opened from its file alone. */
void harness_reopen_tables(struct harness *harness);
