/*
 * wal.h: the write-ahead log of one shard: a ring file of groups, and a mapped tail to build them.
 *
 * Owns     files `wal` (the ring, direct I/O, fully written once at creation) and `tail` (shared
 *          mapping: what is in it survives the death of the process without a system call).
 * Thread   whoever holds the shard's token, except group writes: a cut group is handed out, written
 *          by its taker outside the token, and given back under the token.
 * Always   durable <= cut <= appended (sequences). Groups become durable strictly in order.
 * Life     wal_append copies records into the open group in the tail. wal_group_cut closes the open
 *          group and hands it out as one device write with the data-sync flag; up to
 *          WAL_GROUPS_IN_FLIGHT at a time. wal_group_done takes it back.
 * Layout   core/format/wal_format.h. Each group begins at a 4 KiB boundary of ring and tail, holds
 *          identity, number, first sequence, count, length, the durable-up-to group, the checksum
 *          of the group before, and msgpack records each with its own checksum (so a tail whose
 *          group was never cut is verified record by record).
 * Errors   any failed group write stops the log, and so does a page of the tail that the file
 *          system has lost: wal_status() stays failed, nothing later becomes durable, appends are
 *          refused with WAL_STOPPED (never for want of space: the ring is written in full when it
 *          is made).
 */
#pragma once

#include "core/base/entry.h"
#include "core/format/wal_format.h"
#include "io/io.h"

#define WAL_GROUPS_IN_FLIGHT 4u

struct wal;

struct wal_options {
    struct io         *io;          /* borrowed */
    const char        *directory;   /* of the shard; copied */
    struct database_id database;
    uint32_t           shard;
    uint64_t           ring_bytes;  /* multiple of 4 KiB; fixed when created, read back later */
    uint64_t           tail_bytes;  /* 4 MiB by default, multiple of 4 KiB, >= 64 KiB */
    bool               is_read_only; /* nothing is made or written, no append may come */
};

/* A place in the log, kept in the manifest as the point to replay from. */
struct wal_position {
    uint64_t group;  /* number of the group that begins here; from 1, never reused */
    uint64_t offset; /* in the ring file */
};

/* What is appended atomically: all of it is replayed, or none. */
struct wal_append {
    const struct entry    *entries; /* sequences strictly ascending, contiguous */
    uint32_t               count;
    const struct wal_part *parts;   /* all participants of a cross-shard batch, ours included */
    uint32_t               part_count; /* 0: not a cross-shard batch */
};

struct wal_replayed {
    const struct entry    *entries;
    uint32_t               count;
    const struct wal_part *parts;
    uint32_t               part_count;
};

struct wal_group {                 /* handed out by wal_group_cut; stays the log's */
    struct io_request request;     /* filled in, but for done, which the taker sets */
    void             *taker;       /* for the taker's own use */
    uint64_t          number;
    uint64_t          sequence_last;
    uint64_t          cut_ns;      /* for the taker's own use */
};

/* Opens or creates the two files. A new log starts at position {1, first ring offset}. Read-only: a
 * ring that is missing counts as a new one. */
MUST_USE enum kiwi_status wal_open(const struct wal_options *options, struct wal **out);
void                      wal_close(struct wal *wal); /* NULL is fine; no group may be out */

struct wal_recovery {
    uint64_t group_count, record_count, byte_count; /* replayed from the ring */
    uint64_t tail_record_count;                     /* replayed from the mapped tail */
    uint64_t leftover_count;                        /* groups behind a torn end, erased */
    uint64_t sequence_last;                         /* 0: nothing replayed */
    bool     was_sealed;                            /* closed cleanly */
};

/*
 * Reads everything from position on, first the ring, then what only the tail has, and calls visit
 * for each append in order (sequence_after: appends at or below it are skipped, unverified gaps in
 * sequence after it are corruption). A torn end above the highest durable-up-to mark ends the log
 * silently; damage below it is KIWI_CORRUPT with file and offset. Afterwards the log is ready for
 * appends behind the last group: nothing old can ever be taken for new. A read-only log is only
 * told, and stays as it is.
 */
MUST_USE enum kiwi_status wal_recover(struct wal *wal, struct wal_position position,
                                      uint64_t sequence_after,
                                      enum kiwi_status (*visit)(void *context,
                                                                const struct wal_replayed *record),
                                      void *context, struct wal_recovery *out);

enum wal_verdict {
    WAL_APPENDED = 0,
    WAL_NO_ROOM,   /* tail or ring is full: cut, write or trim, then try again */
    WAL_TOO_LARGE, /* can never fit the ring */
    WAL_STOPPED,   /* the log has failed; the error text says why */
    WAL_NO_MEMORY, /* no heap for an append beyond 256 KiB; nothing was appended */
};

/*
 * Copies the entries into the open group. After WAL_APPENDED they survive the death of the process,
 * unless wal_needs_write(): appends beyond 256 KiB do not fit the tail, become a group of their own
 * in a heap buffer, and are safe only when that group is done.
 */
MUST_USE enum wal_verdict wal_append(struct wal *wal, const struct wal_append *append);
/* Makes room for one append of count entries of together bytes of keys and values, with up to
 * KIWI_SHARD_COUNT_MAX parts: after WAL_APPENDED (nothing is appended) the next wal_append of that
 * size succeeds; a group of its own has its memory already. */
MUST_USE enum wal_verdict wal_room(struct wal *wal, uint64_t bytes, uint32_t count);
/* True while an append that went around the tail is not written yet: it, and everything appended
 * after it, survives the death of the process only once durable. */
bool wal_needs_write(const struct wal *wal);

/* NULL when nothing is staged or WAL_GROUPS_IN_FLIGHT groups are out. */
struct wal_group *wal_group_cut(struct wal *wal);
/* Gives a written group back (request.status tells). Groups may come back in any order. */
void              wal_group_done(struct wal *wal, struct wal_group *group);

/* An empty group that carries the durable-up-to mark; is_seal: the clean end before closing. NULL
 * when groups are out or records are staged or (not seal) the mark is already on disk. */
struct wal_group *wal_mark_cut(struct wal *wal, bool is_seal);

uint64_t            wal_appended_sequence(const struct wal *wal);
uint64_t            wal_durable_sequence(const struct wal *wal);
uint64_t            wal_staged_bytes(const struct wal *wal);   /* appended, not yet handed out */
uint32_t            wal_groups_out(const struct wal *wal);
enum kiwi_status    wal_status(const struct wal *wal);         /* KIWI_OK, or why the log stopped */
/* Where replay must start so that it sees everything appended from now on. */
struct wal_position wal_position_now(const struct wal *wal);
/* Everything before position is in tables whose manifest edit is durable. */
void                wal_trim(struct wal *wal, struct wal_position position);
uint64_t            wal_ring_used_bytes(const struct wal *wal);
/* Little room is left in the tail, in the ring, or for groups: whoever can wait should. */
bool                wal_is_tight(const struct wal *wal);
uint64_t            wal_ring_bytes(const struct wal *wal);

struct wal_counters { uint64_t groups, records, write_bytes, syncs; };
struct wal_counters wal_counters(const struct wal *wal);
