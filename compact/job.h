/*
 * job.h: everything that writes tables: a flush or a compaction as one resumable state machine.
 *
 * Owns     its inputs' cursors and read windows, its output writer and files, its edit.
 * Thread   job_step runs OUTSIDE the token, on one thread at a time, and its I/O goes through the
 *          queue given. Only the calls marked (token) run under it. Inputs are immutable (frozen
 *          memtables, tables of a held version).
 * Publish  a job publishes one or more times: each time it has an edit (added tables, removed or
 *          narrowed inputs) whose output files are complete and synced. The shard then applies it
 *          and writes the manifest, and tells job_published.
 * Slices   job_step returns after about budget_bytes of merged input, or when it must wait for I/O.
 */
#pragma once

#include "compact/pick.h"
#include "core/memtable/memtable.h"
#include "core/table/table_writer.h"
#include "core/version/manifest.h"
#include "io/buffers.h"

struct job;

enum job_kind { JOB_FLUSH = 0, JOB_COMPACTION };

enum job_state {
    JOB_RUNNABLE = 0,  /* call job_step again */
    JOB_WAITING,       /* I/O outstanding: poll the queue, then step again */
    JOB_WANTS_FILE,    /* (token) give it an output file: job_file_give */
    JOB_PUBLISH,       /* job_edit() is ready */
    JOB_DONE,          /* everything published */
    JOB_FAILED,        /* job_status() says why; files it took: job_file_take_back */
};

struct job_options {
    struct io         *io;
    struct database_id database;
    struct io_file    *directory;     /* of the shard, for directory syncs; borrowed */
    uint64_t           hash_seed;
    uint64_t           table_bytes;   /* target size of outputs */
    uint32_t           filter_bits_tiered, filter_bits_last;
    uint32_t           block_bytes;   /* of outputs; 0: by the size of entries */
    uint64_t           window_bytes;  /* of a read-ahead of an input, and of a write; 256 KiB (less
                                       * when memory is tiny) */
    const uint64_t    *snapshots;     /* live sequences ascending; copied */
    uint32_t           snapshot_count;
    void             (*block_done)(void *context, uint64_t table_id, struct block_ref ref,
                                   const uint8_t *block); /* outside the token; may be NULL */
    void              *block_context;
};

/* (token) memtables: frozen, oldest first, borrowed until the job ends. Output: one run in L0. */
MUST_USE enum kiwi_status job_flush_open(const struct job_options *options,
                                         struct memtable *const *memtables, uint32_t count,
                                         uint64_t run_id, struct job **out);
/* (token) version: held by the caller; on success the hold is the job's, until job_close.
 * run_id: a fresh one, of the output when it becomes a run of its own; otherwise the job knows
 * better: the id of the last level's one run, or, for runs of one level merged among themselves,
 * the youngest's. */
MUST_USE enum kiwi_status job_compaction_open(const struct job_options *options,
                                              struct version *version,
                                              const struct compaction_plan *plan, uint64_t run_id,
                                              struct job **out);
/* (token) NULL is fine; no I/O may be outstanding (step until it is not JOB_WAITING). Releases the
 * version and gives frames back to the buffers of its steps. Files that were not taken back are
 * closed and stay on disk. */
void job_close(struct job *job);

/* buffers: the same in every step of a job; NULL, for want of memory: the job fails. */
enum job_state job_step(struct job *job, struct io_queue *queue, struct buffers *buffers,
                        uint64_t budget_bytes);
/* Asks it to stop at the next step: it becomes JOB_FAILED with KIWI_CLOSED. */
void           job_cancel(struct job *job);

/* (token) answer to JOB_WANTS_FILE. */
uint64_t job_file_bytes(const struct job *job); /* how large the file may become */
void     job_file_give(struct job *job, struct io_file *file, uint64_t file_id, uint64_t table_id,
                       bool is_new);
/* Answer when there is none: the job fails with status. */
void     job_file_refuse(struct job *job, enum kiwi_status status);
/* (token) after JOB_FAILED: files that never became part of a version, until false. */
bool     job_file_take_back(struct job *job, struct io_file **file, uint64_t *file_id,
                            bool *is_new);

/* (token) with JOB_PUBLISH. For a flush the caller fills flushed_sequence and log_position. status:
 * KIWI_OK once the version has the tables; a failure means that it has none of them. */
struct version_edit *job_edit(struct job *job);
void                 job_published(struct job *job, enum kiwi_status status);

enum job_kind    job_kind(const struct job *job);
enum kiwi_status job_status(const struct job *job);
const struct compaction_plan *job_plan(const struct job *job); /* NULL for a flush */

struct job_counters {
    uint64_t read_bytes, write_bytes, entries_in, entries_out, entries_dropped, tombstones_dropped;
    uint64_t read_bytes_level[KIWI_LEVEL_COUNT_MAX];
    uint64_t busy_ns;
};
struct job_counters job_counters(const struct job *job);
