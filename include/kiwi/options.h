/*
 * options.h: what a program may choose when it opens a database.
 *
 * Shapes   a zeroed struct is not valid: start from kiwi_options_default().
 * Units    are in the names.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kiwi/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* When a write is acknowledged. */
enum kiwi_durability {
    KIWI_DURABILITY_DEFAULT = 0, /* in an operation: whatever the database was opened with */
    KIWI_DURABLE,                /* on stable media; survives power loss */
    /* survives the death of the process; synced at least every 10 ms */
    KIWI_PROCESS,
    KIWI_MEMORY,                 /* visible; lost with the process unless a later sync covered it */
};

/* Who drives the shards. */
enum kiwi_drive {
    KIWI_MANAGED = 0, /* one engine thread per shard does the background work */
    KIWI_ATTACHED,    /* no engine threads: application threads attach and poll */
};

enum kiwi_io_backend {
    KIWI_IO_URING = 0,
    KIWI_IO_POSIX,     /* plain system calls, for hosts that forbid io_uring */
};

/* How much a line for kiwi_options.log matters. */
enum kiwi_log_level {
    KIWI_LOG_NOTE = 0, /* worth knowing: what an opening found, what goes on again */
    KIWI_LOG_WARNING,  /* something failed and is tried again; writes may have to wait for it */
    KIWI_LOG_ERROR,    /* damage, or a shard that takes no more writes */
};

struct io;

struct kiwi_options {
    uint64_t             memory_bytes;  /* all that the engine adds to the process; >= 8 MiB */
    uint32_t             shard_count;   /* 0: usable cores; fixed when the database is created */
    enum kiwi_durability durability;    /* default of writes that do not say; KIWI_DURABLE */
    enum kiwi_drive      drive;
    enum kiwi_io_backend io_backend;
    bool                 create;        /* make one where there is none, in an empty directory
                                         * (names with a dot and lost+found do not count) */
    bool                 must_be_new;   /* refuse a directory that already holds one */
    bool                 read_verify;   /* check block checksums after each device read; true */

    /* Managed: a thread of the engine's own reads all tables at this rate, again and again, and
     * checks them (kiwi_scrub; findings are in kiwi_stats): 64 KiB to 1 TiB. 0: none does. */
    uint64_t             scrub_bytes_per_second;

    /*
     * Told what no call's status tells, one line at a time, without its end, borrowed until it
     * returns: what an opening replayed, damage that a scrub, a merge or a read meets, flushes and
     * merges that fail again and again, and that go on again, a shard that stops taking writes.
     * Rare by nature, each with the names of shard or file. NULL: nobody listens. No shard is
     * entered while it runs. It comes from the engine's own threads and from threads inside
     * kiwi_open, kiwi_close, kiwi_scrub, kiwi_poll and blocking calls, several at a time; it must
     * return soon and not use the database.
     */
    void               (*log)(void *context, enum kiwi_log_level level, const char *text);
    void                *log_context; /* handed to log */

    /* The rest adapts. Zero means derived; after ";" what that gives. What is marked (live) can be
     * changed while the database is open, see kiwi_configure. */
    /*
     * (live) Per shard, when an active memtable freezes: 16 KiB to memory_bytes; a third of the
     * memory for all memtables. An active one may take up to three quarters of what all may take
     * while flushes are much faster than writes. Active and frozen ones together take frozen_max
     * + 1 times as much at most, and never more than half of memory_bytes: it is less where that
     * would be.
     */
    uint64_t   memtable_bytes;
    /* (live) Per shard, entries at which an active memtable freezes however small it is: 1 to 2^40;
     * no such limit. An entry is a version of a key; one replaced in place counts once. */
    uint64_t   memtable_entry_max;
    /* (live) Frozen memtables of one shard beyond which writes wait for a flush: 1 to 16; 3. */
    uint32_t   frozen_max;
    /* (live) Frozen memtables of one shard that flush at once: 1 to 4; 2. */
    uint32_t   flush_max_workers;
    /*
     * (live) How long a write waits for room in memtables and log before it is refused with
     * KIWI_BUSY and has changed nothing: 1 ms to 24 h; as long as it takes. Writes are slowed long
     * before, by at most 1 ms each; that is no wait for room.
     */
    uint64_t   write_timeout_ns;
    uint64_t   log_bytes;           /* of a shard's log ring: 256 KiB to 1 TiB; by memtables */
    uint64_t   table_bytes;         /* aimed at in a table: 16 KiB to 4 GiB; by memtables */
    /* (live) Aimed at in data blocks of new tables: 4096 to 32768, rounded down to 512; what
     * entries of their size fill best. An entry that is larger has a block of its own. */
    uint32_t   block_bytes;
    /*
     * (live) Data, index and filter blocks that the caches keep at most, however much room there
     * is: 1 to 2^40; as many as fit. Over all shards: each keeps an equal part, rounded up. Cached
     * records are not counted.
     */
    uint64_t   cache_data_block_max;
    uint64_t   cache_index_block_max;
    uint64_t   cache_filter_block_max;
    uint32_t   level0_run_max;      /* (live) runs in L0 before they are merged: 2 to 32; 8 */
    uint32_t   level_run_max;       /* (live) runs in a tiered level below L0: 2 to 32; 8 */
    /* (live) Deepest level that merges make: 2 to 6; 6. What lies deeper already stays in use. */
    uint32_t   level_max;
    /* (live) Share of absent keys that the filters of new tables let pass: 0.000001 to 0.5; 0.0014
     * above the last level and 0.008 in it. */
    double     filter_false_share;
    bool       statistics_off;      /* only to price the statistics themselves */
    /* tests: a simulated backend, borrowed; NULL: from io_backend */
    struct io *io;
};

struct kiwi_options kiwi_options_default(void);

/* KIWI_OK, or KIWI_INVALID with a text that names the field and its range. */
enum kiwi_status kiwi_options_check(const struct kiwi_options *options);

#ifdef __cplusplus
}
#endif
