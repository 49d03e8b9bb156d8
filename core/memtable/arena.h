/*
 * arena.h: bump allocation in a pool's chunks, and 4-byte references to what lies there.
 *
 * Owns     its chunks until it closes; they then go back to the pool.
 * Thread   one writer; reading through references needs no care once nothing is allocated any more.
 * Refs     chunk number and place within it in units of 8 bytes: 32 GiB at most. 0 is no reference.
 */
#pragma once

#include "core/memtable/record.h"
#include "core/memtable/pool.h"

struct arena_chunk {
    uint8_t      *base; /* NULL: a hole that a large record left */
    struct chunk *chunk;
};

struct arena {
    struct memtable_pool *pool;
    struct arena_chunk   *chunks;
    uint32_t              chunk_count, chunk_capacity, hole_count;
    uint32_t              shift;   /* of references: units in a chunk, as a power of two */
    uint32_t              present; /* the chunk that is being filled */
    uint32_t              at;      /* in it, in bytes */
    uint32_t              chunk_bytes;
    uint64_t              bytes;   /* of all chunks */
};

MUST_USE enum kiwi_status arena_open(struct arena *arena, struct memtable_pool *pool);
void arena_close(struct arena *arena); /* fine after a failed open */

/* After success, arena_reserve and arena_allocate_large need no more memory for a while: bytes in
 * all, at most part_bytes each, and large_count large ones that the pool was told of. */
MUST_USE enum kiwi_status arena_prepare(struct arena *arena, uint64_t bytes, uint64_t part_bytes,
                                        uint32_t large_count);
/* The chunk that is being filled has so much left. */
static inline bool arena_has_room(const struct arena *arena, uint64_t bytes)
{
    return arena->at + bytes <= arena->chunk_bytes;
}

/* After success, allocations of bytes in total (rounded up to their alignment, each) succeed. */
MUST_USE enum kiwi_status arena_reserve(struct arena *arena, uint64_t bytes);
/* alignment: 8 or 64; the bytes were reserved. Their content is undefined. */
uint32_t arena_allocate(struct arena *arena, uint32_t bytes, uint32_t alignment);

/* Records from this size on get a chunk of their own. */
static inline bool arena_is_large(const struct arena *arena, uint64_t bytes)
{
    return bytes > arena->chunk_bytes / 8;
}

MUST_USE enum kiwi_status arena_allocate_large(struct arena *arena, uint64_t bytes, uint32_t *out);
void arena_release_large(struct arena *arena, uint32_t reference);

uint64_t arena_bytes(const struct arena *arena); /* chunks and the table of them */

static inline void *arena_at(const struct arena *arena, uint32_t reference)
{
    uint32_t place = reference & ((1u << arena->shift) - 1);

    return arena->chunks[reference >> arena->shift].base + (size_t)place * RECORD_UNIT_BYTES;
}

static inline struct record *arena_record(const struct arena *arena, uint32_t reference)
{
    return arena_at(arena, reference);
}
