/*
 * kiwi.h: the embeddable key-value engine.
 *
 * Objects  a database (one directory, any threads), contexts (one per application thread, used by
 *          that thread only), snapshots (any thread), iterators (the thread of their context).
 * Two forms of every operation. Blocking: kiwi_put, kiwi_get, ... on a context. Completion: fill a
 *          struct kiwi_op, kiwi_submit it, and collect it from kiwi_poll. The blocking calls are
 *          the completion form plus a wait; no logic exists twice.
 * Keys     0 to 65,535 bytes, any bytes, ordered by memcmp and then by length.
 * Values   0 bytes to 64 MiB, any bytes.
 * Errors   every call returns enum kiwi_status; kiwi_error_text() says what, where and which limit.
 * Fork     a forked child may read what was there, between kiwi_fork_child and its exit; without
 *          kiwi_fork_prepare before the fork it must not touch the database. Either child keeps
 *          the directory locked until it exits or execs.
 * Files    every table keeps a file open: a database of many tables needs RLIMIT_NOFILE to match.
 *          Where a file cannot be opened writing stops with a text that says so, until it can.
 *          Under a limit of file sizes (RLIMIT_FSIZE) the program must ignore SIGXFSZ, or that
 *          signal ends it; then what does not fit is an error like any other.
 * Signals  opening a database sets a handler for SIGBUS: a store to a log's mapped file that the
 *          file system does not take becomes an error of the write (KIWI_IO). Every other SIGBUS
 *          goes to the handler that was there before. A program that sets its own later, without
 *          passing on what it does not know, is ended where that happens.
 * Disk     snapshots, iterators and forks hold the tables they may read: what is merged away
 *          meanwhile stays on disk until they are closed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kiwi/limits.h"
#include "kiwi/options.h"
#include "kiwi/stats.h"
#include "kiwi/status.h"
#include "kiwi/verify.h"

#ifdef __cplusplus
extern "C" {
#endif

struct kiwi_db;
struct kiwi_context;
struct kiwi_snapshot;
struct kiwi_iterator;
struct kiwi_batch;
struct kiwi_fork;

/* Borrowed bytes; data may be NULL when size is 0. */
struct kiwi_slice {
    const void *data;
    size_t      size;
};

/* A buffer of the caller's that calls below grow with realloc; zero it first, end it with
 * kiwi_buffer_free. */
struct kiwi_buffer {
    void  *data;
    size_t size;     /* bytes of the last result */
    size_t capacity;
};

void kiwi_buffer_free(struct kiwi_buffer *buffer);

/* ---- database ------------------------------------------------------------------------------ */

/*
 * Opens the database in directory. On failure *out is NULL and nothing on disk was deleted.
 * KIWI_LOCKED: another process has it. KIWI_CORRUPT: file and offset are in the text.
 * KIWI_UNSUPPORTED: io_uring is refused by the host; the text names io_backend = KIWI_IO_POSIX.
 */
enum kiwi_status kiwi_open(const char *directory, const struct kiwi_options *options,
                           struct kiwi_db **out);

/*
 * Makes everything acknowledged durable, seals the logs, frees all. NULL is fine. All contexts,
 * snapshots and iterators must be closed before. Returns the first error met; the database is
 * closed in any case.
 */
enum kiwi_status kiwi_close(struct kiwi_db *db);

/* As derived, and as kiwi_configure left them: not to be read while that runs. Borrowed. */
const struct kiwi_options *kiwi_db_options(const struct kiwi_db *db);
/*
 * Changes options of an open database to those of changed: a copy of *kiwi_db_options(db) with
 * other values in fields marked (live) in options.h; 0 derives anew. All shards go over in one
 * moment; writes that wait for room, the present memtable, and flushes and merges that begin later
 * follow the new values, running ones end as they began. KIWI_INVALID: a value out of range, or
 * another one in a field that is not live; the text names it, nothing has changed. Any thread.
 */
enum kiwi_status kiwi_configure(struct kiwi_db *db, const struct kiwi_options *changed);
uint32_t                   kiwi_shard_count(const struct kiwi_db *db);
uint32_t                   kiwi_shard_of(const struct kiwi_db *db, struct kiwi_slice key);

/* Fills *stats with a consistent picture per shard, summed. Any thread. */
enum kiwi_status kiwi_stats_read(struct kiwi_db *db, struct kiwi_stats *stats);
/* Zeroes latency histograms and counters, not the sizes. Any thread. */
enum kiwi_status kiwi_stats_reset(struct kiwi_db *db);

/* ---- contexts ------------------------------------------------------------------------------ */

/* A context belongs to the thread that uses it; making one is cheap until it first waits for a
 * device. depth: operations it may have outstanding, 1 to 4096. */
enum kiwi_status kiwi_context_open(struct kiwi_db *db, uint32_t depth, struct kiwi_context **out);
/* Waits for what it still has outstanding. NULL is fine. */
void kiwi_context_close(struct kiwi_context *context);

/*
 * The thread of this context becomes the loop of the shards in shard_mask (bit i: shard i): their
 * flushes, compactions and log syncs run inside its kiwi_poll calls. At most one context may be
 * attached to a shard; KIWI_BUSY when one is. In a KIWI_ATTACHED database every shard must be
 * attached by some context that keeps polling.
 */
enum kiwi_status kiwi_attach(struct kiwi_context *context, uint64_t shard_mask);
void             kiwi_detach(struct kiwi_context *context);

/* ---- completion form ------------------------------------------------------------------------ */

enum kiwi_verb {
    KIWI_GET = 1,
    KIWI_PUT,
    KIWI_DELETE,
    KIWI_WRITE,        /* a batch, atomically, also across shards */
    KIWI_ITERATE,      /* moves an iterator */
    KIWI_FLUSH,        /* everything in memtables becomes tables */
    KIWI_COMPACT,      /* key range, as written when it starts, goes to the last level */
    KIWI_WAIT_DURABLE, /* everything this context wrote before is on stable media */
};

enum kiwi_flag {
    KIWI_FLAG_VISIBLE_TOO = 1u << 0, /* a durable write completes twice: visible, then durable */
    KIWI_FLAG_STRICT_READ = 1u << 1, /* a get waits until what it returns is durable */
    KIWI_FLAG_NO_FILL = 1u << 2,     /* a get or iterator leaves the caches as they are */
};

enum kiwi_source {
    KIWI_FROM_NOTHING = 0, /* no such key */
    KIWI_FROM_RECORD_CACHE,
    KIWI_FROM_MEMTABLE,
    KIWI_FROM_FROZEN,      /* a frozen memtable that waits for its flush */
    KIWI_FROM_LEVEL,       /* explain.level says which */
};

/* What a read touched. Zeroed by the engine when the operation starts. */
struct kiwi_explain {
    uint8_t  source;             /* enum kiwi_source */
    uint8_t  level;              /* with KIWI_FROM_LEVEL */
    uint16_t tables_considered;  /* tables whose key range holds the key */
    uint16_t filter_skips;       /* tables that their filter ruled out */
    uint16_t filter_false;       /* tables whose filter passed and that had no such key */
    uint16_t blocks_cached;      /* index, filter and data blocks found in memory */
    uint16_t blocks_read;        /* blocks read from the device */
    uint32_t bytes_read;
    uint64_t table_id;           /* the table that answered, with KIWI_FROM_LEVEL */
    uint64_t queue_ns;           /* waiting for a place at the device */
    uint64_t device_ns;          /* at the device */
    uint64_t total_ns;           /* from submit to completion */
};

enum kiwi_movement {
    KIWI_SEEK = 1,      /* first key >= op.key */
    KIWI_SEEK_BEFORE,   /* last key <= op.key */
    KIWI_FIRST,
    KIWI_LAST,
    KIWI_NEXT,
    KIWI_PREVIOUS,
};

/*
 * One operation. It and all it points to must stay in place from kiwi_submit until kiwi_poll has
 * returned it for the last time. Zero the struct once; the engine leaves the in fields as they are.
 */
struct kiwi_op {
    /* in */
    uint8_t               verb;       /* enum kiwi_verb */
    uint8_t               durability; /* enum kiwi_durability; writes only */
    uint8_t               movement;   /* enum kiwi_movement; KIWI_ITERATE only */
    uint8_t               flags;      /* enum kiwi_flag */
    /* also the first key of KIWI_COMPACT; empty: from the start */
    struct kiwi_slice     key;
    /* KIWI_PUT; the last key of KIWI_COMPACT, empty: to the end */
    struct kiwi_slice     value;
    void                 *buffer;     /* KIWI_GET: the value is copied here */
    size_t                buffer_bytes;
    struct kiwi_snapshot *snapshot;   /* KIWI_GET: NULL reads the newest */
    struct kiwi_batch    *batch;      /* KIWI_WRITE */
    struct kiwi_iterator *iterator;   /* KIWI_ITERATE */
    struct kiwi_explain  *explain;    /* KIWI_GET: filled when not NULL */
    void                 *user;       /* yours */

    /* out */
    enum kiwi_status status;          /* KIWI_TOO_SMALL: value_bytes says what the buffer needs */
    /* this completion is the first of two; stays so until the poll that hands out the second */
    bool             is_visible_only;
    /* KIWI_GET: enum kiwi_source, also without an explain block */
    uint8_t          source;
    uint8_t          level;
    uint32_t         shard;
    size_t           value_bytes;     /* KIWI_GET: size of the value, copied or not */
    uint64_t         sequence;        /* writes: the place in the shard's order */

    /* the engine's own */
    uint64_t private_words[20];
};

/*
 * Starts count operations. Those that memory can answer are done when this returns, all others
 * later; every one is handed out by kiwi_poll. KIWI_BUSY: the context's depth would be exceeded
 * (nothing was started). Operations of one call start in order per shard.
 */
enum kiwi_status kiwi_submit(struct kiwi_context *context, struct kiwi_op **ops, size_t count);

#define KIWI_FOREVER UINT64_MAX

/*
 * Collects up to max finished operations into done and returns how many. With nothing finished,
 * waits up to timeout_ns. Also drives the context's own I/O and, when attached, its shards, so it
 * must be called regularly.
 */
size_t kiwi_poll(struct kiwi_context *context, struct kiwi_op **done, size_t max,
                 uint64_t timeout_ns);

/* A descriptor that turns readable when kiwi_poll may have something, for the host's own event
 * loop; read it empty (8 bytes) before calling kiwi_poll with timeout 0. -1 with a posix backend
 * that cannot. Owned by the context. */
int kiwi_context_descriptor(struct kiwi_context *context);

/* ---- blocking form -------------------------------------------------------------------------- */

enum kiwi_status kiwi_put(struct kiwi_context *context, struct kiwi_slice key,
                          struct kiwi_slice value, enum kiwi_durability durability);
enum kiwi_status kiwi_delete(struct kiwi_context *context, struct kiwi_slice key,
                             enum kiwi_durability durability);
/* KIWI_NOT_FOUND leaves value->size 0. snapshot may be NULL. */
enum kiwi_status kiwi_get(struct kiwi_context *context, struct kiwi_slice key,
                          struct kiwi_snapshot *snapshot, struct kiwi_buffer *value);
/* statuses[i] tells of keys[i]; the return value is the first status that is neither OK nor
 * NOT_FOUND. Device reads of all keys are in flight together. */
enum kiwi_status kiwi_multiget(struct kiwi_context *context, const struct kiwi_slice *keys,
                               size_t count, struct kiwi_snapshot *snapshot,
                               struct kiwi_buffer *values, enum kiwi_status *statuses);
enum kiwi_status kiwi_write(struct kiwi_context *context, struct kiwi_batch *batch,
                            enum kiwi_durability durability);
enum kiwi_status kiwi_wait_durable(struct kiwi_context *context);
enum kiwi_status kiwi_flush(struct kiwi_context *context);
/* Everything in [first, last] that was written before the call goes to the last level; what is
 * written meanwhile may stay above, so the call ends however fast others write. */
enum kiwi_status kiwi_compact(struct kiwi_context *context, struct kiwi_slice first,
                              struct kiwi_slice last);

/* ---- batches -------------------------------------------------------------------------------- */

/* A batch copies what is put into it. Later operations on the same key win. */
enum kiwi_status kiwi_batch_open(struct kiwi_batch **out);
void             kiwi_batch_close(struct kiwi_batch *batch); /* NULL is fine */
void             kiwi_batch_clear(struct kiwi_batch *batch);
enum kiwi_status kiwi_batch_put(struct kiwi_batch *batch, struct kiwi_slice key,
                                struct kiwi_slice value);
enum kiwi_status kiwi_batch_delete(struct kiwi_batch *batch, struct kiwi_slice key);
size_t           kiwi_batch_count(const struct kiwi_batch *batch);

/* ---- snapshots ------------------------------------------------------------------------------ */

/* A true cut over all shards: holds everything completed before the call, nothing started after. */
enum kiwi_status kiwi_snapshot_open(struct kiwi_db *db, struct kiwi_snapshot **out);
void             kiwi_snapshot_close(struct kiwi_snapshot *snapshot); /* NULL is fine; any thread */

/* ---- fork ----------------------------------------------------------------------------------- */

/*
 * For hosts that write a picture of the database from a forked child:
 *
 *     kiwi_fork_prepare(db, &held);
 *     child = fork();
 *     if (child == 0) { kiwi_fork_child(held); ... open a context, read all ... _exit(0); }
 *     kiwi_fork_parent(held);
 *     ... waitpid(child) ...
 *     kiwi_fork_end(held);
 *
 * Prepare enters all shards, so that nothing is half done at the fork; from there to
 * kiwi_fork_parent other threads' operations wait, and the calling thread uses nothing else of the
 * database. When fork() fails: kiwi_fork_parent, then kiwi_fork_end. KIWI_NO_MEMORY leaves nothing
 * held. All on the thread that forks; kiwi_fork_end on any.
 * Disk: until kiwi_fork_end the tables that the child may read stay, whatever the parent merges or
 * drops; under writes the directory may grow to what it held at the fork plus all written since.
 * Lock: the child shares the parent's hold on the directory. Until it has exited too, kiwi_open of
 * the directory is answered with KIWI_LOCKED, even when the parent has closed it or died.
 */
enum kiwi_status kiwi_fork_prepare(struct kiwi_db *db, struct kiwi_fork **out);
void             kiwi_fork_parent(struct kiwi_fork *held);
/*
 * First call in the child. The database is as it was at the fork, memtables included, and stays so:
 * contexts made here, snapshots, gets and iterators work, with plain reads in the calling thread,
 * no ring and no engine thread. Everything that writes, attaches, flushes or waits for the log is
 * answered with KIWI_UNSUPPORTED, and nothing on disk is ever touched. What was made before the
 * fork (contexts, iterators, snapshots) is the parent's and must not be used. kiwi_close leaves the
 * memory to the end of the process; end it with _exit.
 */
void             kiwi_fork_child(struct kiwi_fork *held);
void             kiwi_fork_end(struct kiwi_fork *held); /* the parent's; NULL is fine */

/* ---- iterators ------------------------------------------------------------------------------ */

struct kiwi_iterator_options {
    struct kiwi_slice     lower;    /* keys below are not shown; empty: no bound. Copied. */
    struct kiwi_slice     upper;    /* keys at or above are not shown; empty: no bound. Copied. */
    struct kiwi_slice     prefix;   /* only keys that start with it; empty: all. Copied. */
    struct kiwi_snapshot *snapshot; /* NULL: the newest at kiwi_iterator_open. Borrowed. */
    uint32_t              row_hint; /* rows expected per seek, 0: unknown; sizes the first read */
    uint8_t               flags;    /* KIWI_FLAG_NO_FILL */
};

/* options may be NULL. The iterator shows one unchanging cut until it is closed, unless refreshed.
 * */
enum kiwi_status kiwi_iterator_open(struct kiwi_context *context,
                                    const struct kiwi_iterator_options *options,
                                    struct kiwi_iterator **out);
void             kiwi_iterator_close(struct kiwi_iterator *iterator); /* NULL is fine */
/* Moves the iterator's cut to now (or to another snapshot) without making it anew. */
enum kiwi_status kiwi_iterator_refresh(struct kiwi_iterator *iterator,
                                       struct kiwi_snapshot *snapshot);

/* How many rows the next seek is likely to be followed by; sizes what it fetches at once. 0:
 * unknown. */
void kiwi_iterator_row_hint(struct kiwi_iterator *iterator, uint32_t rows);

/* Blocking moves. KIWI_OK: at a row. KIWI_NOT_FOUND: past either end. */
enum kiwi_status kiwi_iterator_seek(struct kiwi_iterator *iterator, struct kiwi_slice key);
enum kiwi_status kiwi_iterator_seek_before(struct kiwi_iterator *iterator, struct kiwi_slice key);
enum kiwi_status kiwi_iterator_first(struct kiwi_iterator *iterator);
enum kiwi_status kiwi_iterator_last(struct kiwi_iterator *iterator);
enum kiwi_status kiwi_iterator_next(struct kiwi_iterator *iterator);
enum kiwi_status kiwi_iterator_previous(struct kiwi_iterator *iterator);

/* The present row; borrowed until the next move. */
bool              kiwi_iterator_is_valid(const struct kiwi_iterator *iterator);
struct kiwi_slice kiwi_iterator_key(const struct kiwi_iterator *iterator);
struct kiwi_slice kiwi_iterator_value(const struct kiwi_iterator *iterator);

/* ---- what the engine stands on -------------------------------------------------------------- */

struct kiwi_platform {
    char liburing[16];      /* version that the library was built with */
    char io_uring[256];     /* what the probe found, or why this host refuses io_uring */
    char block_search[16];  /* "avx512", "avx2" or "scalar": how blocks are searched here */
    bool has_io_uring;      /* false: only io_backend = KIWI_IO_POSIX works here */
};

/* Asks this build and this host; opens no database, leaves nothing open. Any thread. */
void kiwi_platform_read(struct kiwi_platform *out);

#ifdef __cplusplus
}
#endif
