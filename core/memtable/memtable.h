/*
 * memtable.h: the newest writes of a shard, sorted in memory.
 *
 * Owns     its records (copied in), a blocked skip list over them (order) and a hash index (point
 *          reads). Memory comes in chunks from a pool; the memtable is dropped as a whole.
 * Thread   active: whoever holds the shard's token. After memtable_freeze it never changes and any
 *          thread may read it.
 * Order    entry_compare: key ascending, sequence descending.
 * Source   blocked skip list: "B-skiplist", arXiv 2507.21492; promotion when a block splits.
 */
#pragma once

#include "core/base/entry.h"
#include "core/iter/iter.h"

struct memtable;

/* Memory of all memtables of a shard: chunks of a dropped one serve the next, already touched. Used
 * by one thread at a time: whoever holds the shard's token. */
struct memtable_pool;
MUST_USE enum kiwi_status memtable_pool_open(uint64_t chunk_bytes, struct memtable_pool **out);
void                      memtable_pool_close(struct memtable_pool *pool); /* NULL is fine */
/* Memory the pool holds: in use by memtables and kept for the next ones. */
uint64_t                  memtable_pool_bytes(const struct memtable_pool *pool);
/* Takes and touches one more chunk while less than bytes are kept for the next memtable; false when
 * there is enough, or no more. A first touch may take milliseconds: call it while opening. */
bool                      memtable_pool_prepare(struct memtable_pool *pool, uint64_t bytes);
/* Part of it: kept for the next memtables. */
uint64_t                  memtable_pool_rest_bytes(const struct memtable_pool *pool);
/* Gives up to bytes of that back to the system; returns how many. */
uint64_t                  memtable_pool_trim(struct memtable_pool *pool, uint64_t bytes);

struct memtable_options {
    struct memtable_pool *pool;         /* borrowed */
    uint64_t              expected_bytes; /* sizes tables; it may grow beyond */
    struct bytes          prefix;       /* keys are expected to share it (from the memtable before);
                                           copied; only speed depends on it */
};

MUST_USE enum kiwi_status memtable_open(const struct memtable_options *options,
                                        struct memtable **out);
void memtable_close(struct memtable *memtable); /* NULL is fine */

/*
 * Adds one version. entry->sequence is greater than all before. When the present newest version of
 * the key is younger than newest_snapshot (its sequence > newest_snapshot), nobody can see it any
 * more once this returns, and it is replaced, in place where the bytes fit.
 * KIWI_NO_MEMORY leaves the memtable as it was.
 */
MUST_USE enum kiwi_status memtable_put(struct memtable *memtable, uint64_t hash,
                                       const struct entry *entry, uint64_t newest_snapshot);

/* After success the next puts, of just these entries, find the memory they need, unless they fall
 * so badly that each of more than 256 splits a block. KIWI_NO_MEMORY leaves the memtable as it was.
 */
MUST_USE enum kiwi_status memtable_reserve(struct memtable *memtable, const struct entry *entries,
                                           uint32_t count);

/* The newest version of key with sequence <= sequence_max; out borrows until the next put of that
 * key or the end. False: this memtable knows nothing of the key at that sequence. */
bool memtable_get(const struct memtable *memtable, uint64_t hash, struct bytes key,
                  uint64_t sequence_max, struct entry *out);
/* Brings what memtable_get and memtable_put will touch first into the processor's cache. */
void memtable_prefetch(const struct memtable *memtable, uint64_t hash);
/* And what comes second, the record; for many lookups at once, when the first has had time. */
void memtable_prefetch_record(const struct memtable *memtable, uint64_t hash);
/* The same for a put that is a few operations away: the record it will replace, or, when the key is
 * new, the list's blocks; the put then begins where they end. */
void memtable_prefetch_put(struct memtable *memtable, uint64_t hash, struct bytes key);

void         memtable_freeze(struct memtable *memtable);
uint64_t     memtable_bytes(const struct memtable *memtable);       /* memory taken, all of it */
uint64_t     memtable_data_bytes(const struct memtable *memtable);  /* keys and values alive */
uint64_t     memtable_entry_count(const struct memtable *memtable); /* versions */
uint64_t     memtable_tombstone_count(const struct memtable *memtable);
struct bytes memtable_common_prefix(const struct memtable *memtable); /* of all keys; borrowed */

/*
 * Walks the versions in order. A cursor on an active memtable is valid until the next memtable_put;
 * after that it must seek again. Never returns ITER_WANTS_BLOCK.
 */
struct memtable_cursor {
    struct iter            iter; /* iter.entry is the present version */
    const struct memtable *memtable;
    const void            *block;
    const void            *prepared; /* where the next seek ends, being fetched; NULL: not known */
    uint32_t               index;
};

void memtable_cursor_init(struct memtable_cursor *cursor, const struct memtable *memtable);
/* First half of a seek to exactly this key and sequence (of a seek_before: sequence 0), which must
 * be the next move: fetches the block where it ends, and leaves time for something else. */
void memtable_cursor_prepare(struct memtable_cursor *cursor, struct bytes key, uint64_t sequence);

/* Entries from the present one on, without a move for each. */
struct memtable_stretch {
    const uint64_t *heads;        /* of their keys: 8 bytes behind the prefix (core/iter/head.h);
                                     NULL: keys outside of it, which must be looked at */
    uint32_t        count;
    uint32_t        prefix_bytes; /* with heads: all of their keys have these of the present one */
};

/* At most max of them, in one place of the list; at least the present one. The cursor is at one. */
struct memtable_stretch memtable_cursor_stretch(const struct memtable_cursor *cursor, uint32_t max);
/* Fetches those from first on and before last; some of the first have been. */
void memtable_cursor_fetch(const struct memtable_cursor *cursor, uint32_t first, uint32_t last);
/* The i-th of them; 0: the present one. */
struct entry memtable_cursor_look(const struct memtable_cursor *cursor, uint32_t i);
/* Stands at the i-th of them, which the next move leaves; iter.entry is not set. */
void memtable_cursor_skip(struct memtable_cursor *cursor, uint32_t i);
