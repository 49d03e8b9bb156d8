/*
 * key_index.h: from a key's hash to its newest record, in one cache line and the record.
 *
 * Shape    extendible hashing (Fagin et al., ACM TODS 4(3), 1979): a directory of segments, each of
 *          64 groups of 12 slots; a group is one cache line of 8-bit tags and references. A full
 *          segment splits in two, so growing costs some microseconds now and then, never a rebuild.
 * Owns     the directory; segments lie in the arena and stay there.
 * Never    removes a key: references are only exchanged.
 */
#pragma once

#include "core/memtable/arena.h"

struct key_group;

struct key_index {
    const struct arena *arena;
    struct key_group  **segments;  /* 2^depth of them, each at 2^(depth - its own depth) places */
    uint32_t            depth;
    uint64_t            key_count;
};

MUST_USE enum kiwi_status key_index_open(struct key_index *index, struct arena *arena,
                                         uint64_t expected_keys);
void     key_index_close(struct key_index *index); /* fine after a failed open */
uint64_t key_index_directory_bytes(const struct key_index *index);

/* The bits of a hash that the index and the records keep. */
static inline uint32_t key_index_hash(uint64_t hash)
{
    /* Multiplying spreads bits that others (shard, cache, filters) have already used up. */
    return (uint32_t)((hash * 0x9e3779b97f4a7c15ull) >> 32);
}

/* Where the reference of key stands, or NULL. */
uint32_t *key_index_find(const struct key_index *index, uint32_t hash, struct bytes key);
/* What one key_index_prepare reserves at most, apart from a directory that it can do without. */
#define KEY_INDEX_PUT_BYTES (65u * CACHE_LINE_BYTES)
/* Makes room for one more key with this hash; moves slots. */
MUST_USE enum kiwi_status key_index_prepare(struct key_index *index, struct arena *arena,
                                            uint32_t hash);
/* After key_index_prepare; the key is not in the index. */
void key_index_add(struct key_index *index, uint32_t hash, uint32_t record);
void key_index_prefetch(const struct key_index *index, uint32_t hash);
/* True: a record may have the key, and is on its way; false: none has. */
bool key_index_prefetch_record(const struct key_index *index, uint32_t hash);
