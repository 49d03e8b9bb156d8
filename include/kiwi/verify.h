/*
 * verify.h: is a database on disk what was written? Included by kiwi.h.
 *
 * Reads everything that opening and reading would rely on: identity, manifests, every block of
 * every table, the logs with their tails. Nothing is written, made or deleted, not even in the LOCK
 * file.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "kiwi/options.h"
#include "kiwi/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum kiwi_finding_kind {
    KIWI_FINDING_NOTE = 0, /* worth knowing, harmless */
    KIWI_FINDING_DAMAGE,   /* something that was written is not there any more as it was */
};

#define KIWI_NO_SHARD UINT32_MAX

/* Everything in it is borrowed until the call that tells it returns. */
struct kiwi_finding {
    enum kiwi_finding_kind kind;
    uint32_t    shard;        /* KIWI_NO_SHARD: of the database itself */
    const char *file;         /* path; NULL: text alone says where */
    uint64_t    offset;       /* bytes [offset, offset + bytes) of it; bytes 0: the file as such */
    uint64_t    bytes;
    bool        has_keys;     /* keys that it may cost are known: */
    bool        is_open_ended; /* below does not count: to the end of the table */
    bool        hides_entries; /* they cannot be read at all; else only some ways to them fail */
    const void *from, *below; /* from <= key < below, in the order of kiwi.h */
    uint64_t    from_bytes, below_bytes;
    const char *text;         /* what is wrong, with file and offset */
};

struct kiwi_verify_options {
    enum kiwi_io_backend io_backend; /* 0: io_uring */
    struct io    *io;         /* tests: as in struct kiwi_options; NULL: of io_backend */
    /* Called for each finding, in the order of files; NULL: only counted. */
    void        (*found)(void *context, const struct kiwi_finding *finding);
    /* done of all bytes of tables and logs have been read; false stops. NULL: nobody asks. */
    bool        (*progress)(void *context, uint64_t done_bytes, uint64_t all_bytes);
    void         *context;
};

struct kiwi_verify_report {
    uint64_t damage_count, note_count;
    uint32_t shard_count;
    uint64_t table_count, table_blocks, table_bytes, table_entries;
    uint64_t log_groups, log_records; /* that opening would replay from the rings */
    uint64_t tail_records;            /* and from the mapped tails */
    uint64_t free_file_count;         /* recycled files that no table stands in */
    uint64_t lost_entries;            /* of tables that cannot be opened at all */
    uint32_t unread_shards;           /* missing, or without a manifest that can be read */
    uint64_t read_bytes;
};

/*
 * KIWI_OK: everything could be read and is whole. KIWI_CORRUPT: it was read to the end and damage
 * was found; the text is that of the first. KIWI_LOCKED: somebody has the database open.
 * KIWI_NOT_FOUND: no database. KIWI_UNSUPPORTED: of a later format version. KIWI_CLOSED: progress
 * said stop. Blocking; any thread; reads each file once, in pieces of 1 MiB.
 */
enum kiwi_status kiwi_verify(const char *directory, const struct kiwi_verify_options *options,
                             struct kiwi_verify_report *report);

struct kiwi_db;

struct kiwi_scrub_options {
    uint64_t bytes_per_second; /* 0: as fast as the device gives them */
    /* As in struct kiwi_verify_options; all_bytes: of tables when it began. */
    void   (*found)(void *context, const struct kiwi_finding *finding);
    bool   (*progress)(void *context, uint64_t done_bytes, uint64_t all_bytes);
    void    *context;
};

struct kiwi_scrub_report {
    uint64_t damage_count;
    uint64_t table_count, table_blocks, table_entries;
    uint64_t read_bytes, all_bytes;
};

/*
 * The same for the tables of a database that is open and at work: each that was there when it began
 * and is still used is read once and checked as kiwi_verify does, past the caches. Damage is told,
 * nothing is changed. The log and the manifest are read when a database is opened, and not here.
 *
 * KIWI_OK, KIWI_CORRUPT and KIWI_CLOSED as above; KIWI_UNSUPPORTED in a forked child. options may
 * be NULL. Blocking, any thread, needs no context; several at a time are allowed, and callbacks may
 * use the database. It must have returned before kiwi_close is called. A table that is no longer
 * needed keeps its file until it is read.
 */
enum kiwi_status kiwi_scrub(struct kiwi_db *db, const struct kiwi_scrub_options *options,
                            struct kiwi_scrub_report *report);

struct kiwi_repair_options {
    enum kiwi_io_backend io_backend;
    struct io    *io;           /* tests: of both; NULL: of io_backend */
    bool          is_dry_run;   /* looks, counts, makes nothing */
    uint64_t      memory_bytes; /* of the new database while it is filled; 0: 64 MiB */
    void        (*found)(void *context, const struct kiwi_finding *finding);
    bool        (*progress)(void *context, uint64_t done_bytes, uint64_t all_bytes);
    void         *context;
};

struct kiwi_repair_report {
    struct kiwi_verify_report source;
    uint64_t kept_keys;        /* living keys of the new database; dry run: 0 */
    uint64_t written_entries;  /* puts and deletions that were, or would be, made */
    /* Of these, for keys of which a newer version may have stood in what is damaged. */
    uint64_t unsure_entries;
    uint64_t dropped_batches;  /* parts of batches that are nowhere whole: as opening does */
    uint32_t cut_logs;         /* shards whose log is damaged: writes behind that are lost */
};

/*
 * Copies what can be read of directory, which is not touched, into a new database in target: the
 * newest readable version of each key, and deletions. A damaged block costs its own keys, a log
 * what was written behind its damage, a manifest its shard. KIWI_OK: all was there. KIWI_CORRUPT:
 * target holds what could be saved; the report says what was lost. KIWI_INVALID: target exists and
 * is not empty. Others: nothing useful was made.
 */
enum kiwi_status kiwi_repair(const char *directory, const char *target,
                             const struct kiwi_repair_options *options,
                             struct kiwi_repair_report *report);

#ifdef __cplusplus
}
#endif
