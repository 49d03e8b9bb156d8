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

struct io;

struct kiwi_options {
    uint64_t             memory_bytes;  /* everything the engine keeps in memory; >= 8 MiB */
    uint32_t             shard_count;   /* 0: usable cores; fixed when the database is created */
    enum kiwi_durability durability;    /* default of writes that do not say; KIWI_DURABLE */
    enum kiwi_drive      drive;
    enum kiwi_io_backend io_backend;
    bool                 create;        /* make the database when the directory holds none */
    bool                 must_be_new;   /* refuse a directory that already holds one */
    bool                 read_verify;   /* check block checksums after each device read; true */

    /* The rest adapts; tests and experiments set them. Zero means derived. */
    /* Per shard, when an active memtable freezes; up to three times as much while flushes are much
     * faster than writes. Active and frozen ones together take four times as much at most. */
    uint64_t   memtable_bytes;
    uint64_t   log_bytes;               /* per shard, size of the log ring; >= 256 KiB */
    uint64_t   table_bytes;             /* target size of one table file */
    uint32_t   flush_max_workers;       /* frozen memtables of one shard that flush at once; 2 */
    uint32_t   level0_run_max;          /* runs in L0 before they are merged; 8 */
    uint32_t   level_run_max;           /* runs in a tiered level below L0; 8 */
    bool       statistics_off;          /* only to price the statistics themselves */
    /* tests: a simulated backend, borrowed; NULL: from io_backend */
    struct io *io;
};

struct kiwi_options kiwi_options_default(void);

/* KIWI_OK, or KIWI_INVALID with a text that names the field and its range. */
enum kiwi_status kiwi_options_check(const struct kiwi_options *options);

#ifdef __cplusplus
}
#endif
