/*
 * shard.h: one core's engine: put, get, scan, flush, compaction, recovery.
 *
 * Owns     its memtables, log, tables, cache, jobs and statistics.
 * Thread   whoever holds its token (io/mailbox.h) is alone inside. A thread that finds the token
 *          taken leaves its task in the inbox; the holder runs it before it leaves. The token is
 *          never held across a wait: whatever needs the device goes back to the context it belongs
 *          to, which reads or writes through its own queue and comes again.
 * Runner   the one context attached to the shard; it alone steps jobs and touches table files.
 * Rooms    put.c, get.c, scan.c: operations. commit.c: group commit. background.c: flush,
 *          compaction, publishing. recovery.c: open. snapshot.c. admission.c: delays.
 */
#pragma once

#include "cache/cache.h"
#include "compact/job.h"
#include "core/memtable/memtable.h"
#include "core/shard/context.h"
#include "core/shard/notice.h"
#include "core/shard/snapshot.h"
#include "core/version/manifest.h"
#include "core/wal/wal.h"
#include "io/mailbox.h"
#include "kiwi/kiwi.h"

#define SHARD_FROZEN_MAX   16u /* recovery may freeze more than the frozen_max of running */
#define SHARD_FLUSH_MAX    4u
#define FLUSH_RATIO_START  16u /* in sixteenths: a flush takes as long as the filling */
#define SHARD_SNAPSHOT_MAX 4096u

struct shard;

/* Somebody who waits until a sequence of this shard is durable. */
struct waiter {
    uint64_t        sequence;
    uint64_t        since_ns;
    struct waiter  *next;
    struct kiwi_op *op;
    bool            is_part;  /* inside a struct durable_part, else inside the op */
};

/* Somebody who waits until everything up to a sequence is in tables, or a range is compacted. */
struct flush_waiter {
    uint64_t             sequence;
    bool                 then_compact;
    struct bytes         first, last; /* owned */
    struct flush_waiter *next;
    struct durable_part *part;
};

/* A get that needs the device; from the shard's pool. */
struct read {
    struct table_get  get;
    struct version   *version;    /* held */
    uint32_t          level, run; /* where the lookup stands */
    uint32_t          stamp;
    uint64_t          sequence_max;
    uint64_t          start_ns;
    struct io_request request;
    struct kiwi_op   *op;
    struct read      *next_free;
    bool              block_is_there; /* the buffer holds the wanted block, verified */
    bool              touched_device;
};

/* One memtable and who still needs it. */
struct frozen {
    struct memtable      *memtable;
    uint64_t              sequence_min;    /* everything in it is at or above */
    uint64_t              sequence_last;   /* newest in it */
    uint64_t              opened_ns, frozen_ns;
    struct wal_position   log_position;    /* where the log of the next one starts */
    /* of other shards, before publishing */
    uint64_t              needs_durable[KIWI_SHARD_COUNT_MAX];
    bool                  has_needs;
    uint32_t              scan_holds;      /* fills in progress that read it */
    bool                  is_flushing, is_flushed;
};

struct log_write {
    struct task       task;
    struct shard     *shard;
    struct context   *context; /* whose queue writes it */
    struct wal_group *group;
    char             *failure_text; /* of the thread that wrote; NULL: no failure */
    bool              is_busy;
};

/* Which part of the cache keeps blocks of this kind. */
static inline enum kiwi_tier block_tier(uint8_t kind)
{
    return kind == BLOCK_DATA ? KIWI_TIER_BLOCK
         : kind == BLOCK_INDEX ? KIWI_TIER_INDEX : KIWI_TIER_FILTER;
}

struct running_job {
    struct job            *job;      /* NULL: free slot */
    struct frozen         *inputs[SHARD_FROZEN_MAX]; /* flush: its memtables */
    uint32_t               input_count;
    enum job_state         state;
    bool                   is_publishing;
    bool                   is_manual;
    struct manifest_write  write;
    struct context        *runner;
    enum kiwi_status       write_status;
    bool                   write_done;
    /* no room for the manifest: the same write again later */
    bool                   write_is_full;
    uint32_t               write_next;     /* request that goes again */
    uint32_t               write_tries;
    uint64_t               write_retry_ns; /* when; UINT64_MAX: not decided */
};

struct shard_options {
    struct io           *io;
    struct kiwi_options  options;       /* derived, complete */
    struct database_id   database;
    uint64_t             hash_seed;
    const char          *directory;     /* of the shard */
    uint32_t             index, count;
    struct shard       **peers;         /* all shards of the database, by index; borrowed */
    const _Atomic uint64_t *buffer_bytes; /* device buffers of all contexts; NULL: not counted */
};

struct snapshot_entry { uint64_t sequence; uint32_t count; };

struct shard {
    struct token    token;
    struct mailbox  inbox;

    /* hot: touched by every operation */
    _Alignas(CACHE_LINE_BYTES) uint64_t sequence;  /* last given */
    uint64_t          newest_snapshot;             /* 0: none */
    uint64_t          write_bytes;                 /* keys and values handed in */
    struct memtable  *active;
    struct cache     *cache;
    struct wal       *wal;
    uint64_t          memtable_limit;              /* where the active one freezes */
    uint32_t          frozen_count;
    uint32_t          index;
    enum kiwi_status  stopped;                     /* set by shard_stop */
    uint64_t          delay_ns_per_kib;            /* admission */
    uint64_t          entry_limit;                 /* as memtable_limit, in entries */
    uint32_t          sample;                      /* counts gets between latency samples */

    struct frozen    *frozen[SHARD_FROZEN_MAX];    /* oldest first */
    struct frozen    *active_frozen;               /* the struct frozen of the active memtable */
    struct version_set *versions;
    struct manifest    *manifest;
    struct table_files *files;
    struct shard_options options;
    char               *directory;                 /* owned */

    struct waiter    *waiters, *waiters_last;      /* ascending sequence */
    struct log_write  log_writes[WAL_GROUPS_IN_FLIGHT];
    struct lead {
        struct task     task;
        struct shard   *shard;
        struct context *context;
        bool            is_out;
    } lead;
    uint64_t          cut_sequence;                /* newest in a group that was cut */
    uint32_t          waiter_count;                /* in the list of waiters, and those of them */
    uint32_t          staged_count;                /* that wait for more than cut_sequence */
    bool              runner_was_rung;             /* about staged bytes, until the next cut */
    /* durable records without a durable-up-to mark */
    bool              wants_mark;
    /* 0: nothing staged that must be synced by time */
    uint64_t          log_deadline_ns;
    uint64_t          idle_since_ns;
    _Atomic uint64_t  durable_sequence;            /* mirror of the log's, for other shards */

    _Atomic uint64_t  shown_sequence;              /* mirror of sequence, for iterators */

    struct snapshot_entry *snapshots;              /* ascending */
    uint32_t          snapshot_count, snapshot_capacity;

    struct read      *read_free;
    struct frozen    *frozen_free;
    struct memtable_pool *pool;                    /* memory of all memtables */

    /* recovery */
    struct deferred  *deferred, *deferred_last;
    uint64_t          recovered_sequence;
    uint64_t          dropped_count;               /* entries of batches that other shards lost */
    struct wal_recovery log_recovery;              /* what the log had */
    bool              is_recovering;               /* until shard_open_finish */

    /* the runner */
    struct context   *runner;
    struct running_job flushes[SHARD_FLUSH_MAX];
    struct running_job compaction;
    struct flush_waiter *flush_waiters;
    uint64_t          write_last_ns;               /* when the write rate was last looked at */
    uint64_t          write_last_bytes;            /* bytes that memtables had taken by then */
    uint64_t          rotated_bytes;               /* of all memtables that were frozen */
    uint64_t          frozen_bytes;                /* of those that wait for their flush */
    uint32_t          flush_ratio;                 /* admission.c */
    uint32_t          filter_bits_tiered, filter_bits_last; /* of new tables */
    uint64_t          cache_budget;
    uint32_t          backlog;                     /* frozen memtables, as the runner saw them */
    bool              is_quiet;                    /* few writes: merge for the readers' sake */
    /* What scans have paid for there being more than one run, since the last merge for that, and
     * for rows of memtables, since the active one was opened; and where the runner is told next. */
    uint64_t          scan_runs_ns, scan_memtable_ns, scan_told_ns;
    bool              keeps_blocks;                /* nearly all data blocks are in the cache */
    bool              wants_runner;                /* frozen memtables or picks changed */
    bool              pick_is_stale;
    bool              is_closing;
    /* not OK: it failed several times in a row */
    enum kiwi_status  flush_status, compaction_status;
    uint32_t          flush_failures, compaction_failures; /* in a row */
    bool              flush_is_told, compaction_is_told;   /* that it failed */
    struct notices    notices;
    char              trouble[256];                /* why it stopped; before, the last failure of
                                                    * the background */
    /* no new ones before, after one failed */
    uint64_t          flush_retry_ns, compaction_retry_ns;
    uint64_t          due_ns;                      /* the runner's: when it must come again */
    uint64_t          debt_bytes;
    uint64_t          paced_ns;                    /* when the runner looked at the backlog last */
    uint64_t          pace_delay_until_ns;
    uint8_t           pace_reason;
    _Atomic uint32_t  background_share;            /* percent; the runner reads it outside */
    uint64_t          drain_bytes, drain_ns;
    uint64_t          pool_bytes;                  /* of files: the runner uses those outside too */
    uint64_t          tables_bytes, remove_ns;     /* of all tables; no file is removed before */

    struct shard_counters {
        /* Counted by every get, so together; the latencies are touched by samples only. */
        uint64_t            answer_gets[KIWI_ANSWER_COUNT];
        struct kiwi_latency answer_latencies[KIWI_ANSWER_COUNT];
        struct kiwi_level_stats  levels[KIWI_LEVEL_COUNT_MAX];
        struct kiwi_stall_stats  stalls[KIWI_STALL_COUNT];
        uint64_t gets, puts, deletes, batches, scans, scan_rows, write_bytes_base;
        uint64_t flush_count, flush_bytes, flush_ns;
        uint64_t compaction_count, compaction_read_bytes, compaction_write_bytes, compaction_ns;
        uint64_t entries_dropped, reads_verified, corruptions;
        uint64_t manifest_base;
        struct wal_counters log_base;
        struct kiwi_tier_stats tiers_base[KIWI_TIER_COUNT];
    } counters;
};

/* ---- life ---- */
/* Recovers everything of this shard up to, not including, cross-shard batches that other shards
 * must confirm; shard_open_finish, called after all shards were opened, resolves those. Both
 * may run for several shards at once, each in a thread of its own. */
MUST_USE enum kiwi_status shard_open(const struct shard_options *options, struct shard **out);
MUST_USE enum kiwi_status shard_open_finish(struct shard *shard);
/* What follows from shard->options. */
void shard_options_apply(struct shard *shard);
/* Inside, when they have changed in a shard at work. */
void shard_options_changed(struct shard *shard);
/* After kiwi_flush, when parts were dropped: makes the verdict final. Nobody else is there. */
MUST_USE enum kiwi_status shard_settle(struct shard *shard, struct context *context);
uint64_t shard_recovered_sequence(const struct shard *shard);
/* No context attached, nothing in flight. Syncs the log, seals it. Returns the first error. */
enum kiwi_status shard_close(struct shard *shard);

void shard_free(struct shard *shard); /* without sealing: recovery failed, or a test crashed */

/* ---- entering ---- */
/* Runs task inside the shard: at once when the token is free, else by whoever holds it. executor:
 * the calling context, or NULL when the caller has none. */
void shard_run(struct shard *shard, struct task *task, struct context *executor);
/* Waits a moment for the token, for a caller that would sleep until its task is done: going in by
 * oneself is cheaper than leaving a task and being told (8 threads in memory: a tenth more). */
void shard_await(const struct shard *shard);
/* Enters, waiting (spinning, then yielding) while somebody else is inside. */
void shard_enter(struct shard *shard);
bool shard_try_enter(struct shard *shard);
/* Leaves after running what came into the inbox meanwhile. */
void shard_leave(struct shard *shard, struct context *executor);

/* Refuses writes until the database is reopened, for status and this cause. A shard that has
 * stopped keeps the first: what fails later follows from it. */
void shard_stop(struct shard *shard, enum kiwi_status status, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Why it stopped, with its text; KIWI_OK: it has not. */
enum kiwi_status shard_stop_cause(const struct shard *shard);

/* In a forked child, entered: drops what belongs to the parent's threads (its inbox, waiters and
 * runner). Reads go on; nothing is written any more. */
void shard_fork_child(struct shard *shard);

/* ---- operations, inside ---- */
void shard_task_run(struct shard *shard, struct task *task, struct context *executor);
void shard_op_run(struct shard *shard, struct kiwi_op *op, struct context *executor);
void put_run(struct shard *shard, struct kiwi_op *op, struct context *executor);
void get_run(struct shard *shard, struct kiwi_op *op, struct context *executor);
void get_resume(struct shard *shard, struct kiwi_op *op, struct context *executor);
void scan_run(struct shard *shard, struct scan *scan, struct context *executor);
/* In two steps, some operations apart: the lines of the indexes, then what those point to. */
void shard_op_prefetch(const struct shard *shard, const struct kiwi_op *op);
void shard_op_prefetch_record(const struct shard *shard, const struct kiwi_op *op);

/* One entry of a batch. */
struct batch_entry { struct entry entry; uint64_t hash; };

/* Between a write and the shard that may have no room for it now. */
struct admission {
    uint64_t        waited_ns; /* in: how long the operation was put off already */
    bool            is_reserved; /* in: shard_room has just said that the memory is there */
    uint64_t        delay_ns;  /* out, with KIWI_BUSY: how long to wait before the next try, */
    enum kiwi_stall reason;    /* and for what */
};

/* Admission, log, memtable, cache for count entries as one atomic append. KIWI_BUSY: no room yet.
 * Sets sequences. parts: NULL for a batch of one shard. */
MUST_USE enum kiwi_status shard_write(struct shard *shard, struct entry *entries,
                                      const uint64_t *hashes, uint32_t count,
                                      const struct wal_part *parts, uint32_t part_count,
                                      struct admission *admission);
/* First half for cross-shard batches: would shard_write take the append now? Takes the memory for
 * it. bytes: of the entries, and some more for what the log adds. */
MUST_USE enum kiwi_status shard_room(struct shard *shard, const struct entry *entries,
                                     uint64_t bytes, uint32_t count, struct admission *admission);
/* After KIWI_BUSY for a write that has waited so long. KIWI_OK: it comes again at *resume_ns.
 * KIWI_BUSY: that was as long as it may; the text says what for. */
MUST_USE enum kiwi_status shard_write_wait(struct shard *shard, const struct admission *admission,
                                           uint64_t waited_ns, uint64_t *resume_ns);
/* What the pacer asks of a write of bytes, 0: nothing. Charged once per operation. */
uint64_t admission_charge(struct shard *shard, uint64_t bytes);
void shard_stall_record(struct shard *shard, enum kiwi_stall reason, uint64_t delay_ns);

/* ---- commit.c ---- */
void commit_wait(struct shard *shard, struct waiter *waiter);        /* joins in sequence order */
void commit_dispatch(struct shard *shard, struct context *executor, bool is_forced);
void commit_group_done(struct shard *shard, struct log_write *write, struct context *executor);
/* The log says that it is over, and the error text why. */
void commit_stop(struct shard *shard);
/* an append nobody waits for */
void commit_staged(struct shard *shard, struct context *executor);
/* next deadline, UINT64_MAX: none */
uint64_t commit_timer_ns(const struct shard *shard);
void commit_timer_run(struct shard *shard, struct context *runner);
enum kiwi_status commit_seal(struct shard *shard, struct context *context); /* at close */

/* ---- background.c: the runner ---- */
MUST_USE enum kiwi_status memtable_rotate(struct shard *shard);       /* freezes the active one */
/* One turn: token work, then one slice of each job. True when there is more to do at once. */
bool     background_turn(struct shard *shard, struct context *runner, uint64_t budget_bytes);
bool     background_is_idle(struct shard *shard);
void     background_wake(struct shard *shard);                        /* rings the runner */
void     background_cancel(struct shard *shard, struct context *runner); /* before detaching */
uint64_t background_timeout_ns(struct shard *shard, uint64_t now_ns);
uint64_t background_left_bytes(const struct shard *shard);            /* still to be merged */
void     flush_wait(struct shard *shard, struct flush_waiter *waiter);
/* frees when nobody needs it */
void     frozen_release(struct frozen *frozen);

/* ---- admission.c ---- */
/* after each change of debt */
void admission_update(struct shard *shard);
struct pick_options pick_options_of(const struct shard *shard);
/* How long it took to fill what was just flushed, and then to flush it. */
void     flush_ratio_note(struct shard *shard, uint64_t fill_ns, uint64_t flush_ns);
bool     memtables_are_full(const struct shard *shard);   /* no room for another one */
bool     memtables_are_scarce(const struct shard *shard); /* the last of the room fills */
/* Touches what memtables and caches may take; part of opening. */
void     memory_prefault(struct shard *shard);
bool     memory_lend(struct shard *shard);
uint64_t memory_cache_bytes(const struct shard_options *options);
uint64_t memory_tail_bytes(const struct shard_options *options);  /* mapped, of the log */
uint64_t memory_chunk_bytes(const struct shard_options *options); /* of memtables */

/* ---- snapshot.c ---- */
MUST_USE enum kiwi_status snapshot_register(struct shard *shard, uint64_t sequence);
void snapshot_unregister(struct shard *shard, uint64_t sequence);

/* ---- statistics.c ---- */
void shard_stats_add(struct shard *shard, struct kiwi_stats *stats);
void shard_stats_reset(struct shard *shard);
/* A read met a block that is not what was written. */
void damage_note(struct shard *shard, const char *path, uint64_t offset, uint64_t bytes);
