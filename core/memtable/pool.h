/*
 * pool.h: where the chunks of memtables come from, and where they rest between two memtables.
 *
 * Owns     one jemalloc arena (none when the program does not link jemalloc), the chunks at rest.
 * Thread   one at a time.
 * Chunks   all of one size, a power of two; a value too big for one gets a chunk of its own, which
 *          goes back to the arena with its record.
 */
#pragma once

#include "core/memtable/memtable.h"

#define CHUNK_BYTES_MIN  (16u << 10)
#define CHUNK_BYTES_MAX  (64u << 20)
#define CHUNK_BYTES_HUGE (2u << 20) /* from here on they are worth a huge page */

struct chunk {
    struct chunk *next;
    uint8_t      *base;
    uint64_t      bytes;
};

uint64_t pool_chunk_bytes(const struct memtable_pool *pool);
/* NULL when there is no memory. */
MUST_USE struct chunk *pool_chunk_take(struct memtable_pool *pool);
MUST_USE struct chunk *pool_chunk_take_large(struct memtable_pool *pool, uint64_t bytes);
/* Afterwards count chunks rest in the pool. */
MUST_USE enum kiwi_status pool_chunks_prepare(struct memtable_pool *pool, uint64_t count);
/* One more chunk of bytes waits for pool_chunk_take_large. */
MUST_USE enum kiwi_status pool_large_prepare(struct memtable_pool *pool, uint64_t bytes);
/* Those that nobody took go back, but one of just keep_bytes may stay: true. */
bool pool_large_drop(struct memtable_pool *pool, uint64_t keep_bytes);
/* Rests in the pool, or, when it is a large one, goes back. */
void pool_chunk_give(struct memtable_pool *pool, struct chunk *chunk);

/* A memtable begins and ends to live on the pool. */
void pool_enter(struct memtable_pool *pool);
void pool_leave(struct memtable_pool *pool);
