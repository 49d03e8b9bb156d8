/*
 * job_state.h: the inside of a job, shared by the files of this room that run it.
 *
 *   inputs (job_input.c)  ──►  merge, drop (job.c)  ──►  outputs (job_output.c)
 *                                                            │
 *                         the shard  ◄──  edits (job_publish.c)
 *
 * Every request that is out is counted in io_outstanding; the done functions, called from
 * io_queue_poll, only note what has happened, and the next job_step acts on it.
 */
#pragma once

#include "compact/job.h"
#include "compact/plan.h"
#include "core/iter/merge.h"
#include "core/memtable/memtable.h"
#include "core/table/table.h"

#define JOB_WRITES_IN_FLIGHT  4u         /* per output */
#define JOB_OUTPUTS_OPEN      2u         /* one is filled while the one before is written out */
#define JOB_CHUNKS_WAITING    4u         /* full chunks that may wait for a write */
#define JOB_PUBLISH_TABLES    4u         /* complete output tables before a compaction publishes */
#define JOB_BATCH_BYTES       (64u << 10) /* merged between two looks at the outputs */
#define JOB_WINDOW_BYTES_MIN  (32u << 10) /* holds any block of ordinary size */
#define JOB_INDEX_READ_BYTES  (64u << 10)

/* ---- inputs ---- */

enum window_state { WINDOW_EMPTY = 0, WINDOW_READING, WINDOW_READY };

/* A stretch of one file in memory. */
struct job_window {
    struct io_request   request;
    struct job         *job;
    uint8_t            *data;
    size_t              capacity;
    const struct table *table;
    uint64_t            offset;
    uint32_t            bytes;
    enum window_state   state;
};

/*
 * One sorted input: a memtable, or the places of one run one after the other. Its iterator is the
 * cursor's own with the methods exchanged, so that an ordinary move costs one more call and no
 * copy.
 */
struct job_input {
    union {
        struct table_cursor    table;
        struct memtable_cursor memtable;
    } cursor;
    const struct iter_methods *inner;  /* the cursor's own methods */
    struct job                *job;
    const struct table_place  *places; /* NULL: a memtable */
    uint32_t                   place_count, place_index;
    uint32_t                   place_kept; /* places before it are removed by a published edit */
    uint32_t                   level;
    struct job_window          data[2];    /* one is merged from while the other is read */
    struct job_window          index;
    uint8_t                   *joined;     /* a block that lies across both windows */
    size_t                     joined_bytes;
};

void         job_input_init_memtable(struct job_input *input, struct job *job,
                                     const struct memtable *memtable);
void         job_input_init_run(struct job_input *input, struct job *job,
                                const struct plan_part *part);
struct iter *job_input_iter(struct job_input *input);
/* Frames back to the job's buffers; no read may be out. */
void         job_input_close(struct job_input *input);
/* Starts reading ahead before the first move. */
void         job_input_prefetch(struct job_input *input);
/* After ITER_WANTS_BLOCK: *block is NULL while its read is out. */
MUST_USE enum kiwi_status job_input_block(struct job_input *input, const uint8_t **block);

/* ---- outputs ---- */

enum output_stage {
    OUTPUT_WANTS_FILE = 0,
    OUTPUT_ALLOCATING, /* its first space; may be filled, not written */
    OUTPUT_FILLING,    /* filled and written at the same time */
    OUTPUT_SYNCING,
    OUTPUT_COMPLETE,   /* table is open and on stable media */
};

struct job_write {
    struct io_request  request;
    struct table_chunk chunk;
    struct job_output *output;
    bool               is_out;
};

struct job_output {
    struct job_output   *next;     /* with greater keys */
    struct job          *job;
    enum output_stage    stage;
    struct io_file      *file;     /* ours until the table has it */
    uint64_t             file_id, table_id;
    bool                 is_new;   /* the directory must be synced before an edit names it */
    bool                 is_finished; /* the writer has had its last entry */
    bool                 is_request_out;
    struct table_writer *writer;
    struct table        *table;    /* ours until published */
    struct io_request    request;  /* allocations, then sync */
    struct job_write     writes[JOB_WRITES_IN_FLIGHT];
    uint32_t             writes_out;
    struct bytes         boundary; /* all keys up to it are done with, in this output or before */
    uint64_t             target_bytes;    /* no new key is added beyond */
    uint64_t             file_bytes;      /* that this will take, about */
    uint64_t             allocated_bytes; /* of the file */
    uint64_t             end_bytes;     /* where the last write ends */
    uint64_t             look_at_bytes; /* of job.added_bytes: next look at the writer's size */
};

/* Appends an output that wants its file. */
MUST_USE enum kiwi_status job_output_begin(struct job *job);
/* Opens the writer once there is a file. */
MUST_USE enum kiwi_status job_output_start(struct job_output *output);
/* No entry comes after this; the job's present key is its boundary. */
MUST_USE enum kiwi_status job_output_finish(struct job_output *output);
/* Starts whatever may start: allocations, writes, syncs. */
MUST_USE enum kiwi_status job_output_pump(struct job_output *output);
void job_output_free(struct job_output *output); /* its file must be gone; NULL is fine */

/* ---- publishing ---- */

enum publish_stage { PUBLISH_NONE = 0, PUBLISH_SYNCING, PUBLISH_READY };

/* What is being published. */
struct job_publish {
    enum publish_stage   stage;
    struct version_edit  edit;
    uint32_t             output_count;  /* the first of the job's outputs are in the edit */
    bool                 is_last;
    struct io_request    request;
    bool                 is_request_out;
};

/* Begins or continues publishing when something is due. */
MUST_USE enum kiwi_status job_publish_advance(struct job *job);
/* An edit that moves the input tables as they are, if that is all the job has to do. */
MUST_USE enum kiwi_status job_publish_move(struct job *job, const struct plan_part *parts,
                                           uint32_t count, bool *is_move);
void job_publish_end(struct job *job); /* frees the edit */

/* ---- the job ---- */

enum source_state {
    SOURCE_NEW = 0,
    SOURCE_AT_ENTRY,
    SOURCE_WAITS,  /* for a block */
    SOURCE_ENDED,
};

struct job {
    struct job_options     options;    /* snapshots copied */
    enum job_kind          kind;
    enum kiwi_status       status;
    bool                   is_cancelled, is_done;
    struct compaction_plan plan;       /* compactions; its keys copied */
    uint8_t               *plan_keys;
    struct version        *version;    /* held; NULL for a flush */
    uint32_t               target_level;
    uint64_t               run_id;
    bool                   is_bottom;
    uint32_t               filter_bits;

    struct table_place    *target_places; /* of the last level's run: those that are merged */
    struct bytes          *barriers;   /* smallest keys of tables that outputs should not span */
    uint32_t               barrier_count, barrier_at;
    uint32_t               barriers_to_cut; /* passed by one step from key to key */
    uint64_t               cut_bytes_min;   /* smaller outputs are not cut for that */

    struct job_input      *inputs;     /* newest first */
    struct iter          **iters;
    uint32_t               input_count;
    struct merge          *merge;      /* NULL with one input */
    struct iter           *source;
    enum source_state      source_state;
    uint64_t               total_entries, total_raw_bytes, total_file_bytes; /* of all inputs */
    uint64_t               merged_raw_bytes, merged_entries, added_bytes;

    uint8_t               *key;        /* of the entry before, copied */
    size_t                 key_bytes;
    bool                   has_key;
    uint64_t               sequence_before;

    struct job_output     *outputs, **outputs_end; /* not yet published, in key order */
    struct job_output     *filling;    /* the last one, while entries go to it */
    struct job_publish     publish;

    struct io_queue       *queue;      /* of the present step */
    struct buffers        *buffers;    /* the same in every step */
    uint32_t               io_outstanding;
    struct job_counters    counters;
};

/* The first failure is the job's; a later one changes nothing. */
void job_fail(struct job *job, enum kiwi_status status);
/* Counted until its done function calls job_request_done. */
void job_request_add(struct job *job, struct io_request *request);
void job_request_done(struct job *job, const struct io_request *request);
