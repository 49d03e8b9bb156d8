/*
 * arena.c: bump allocation in chunks.
 */
#include "core/memtable/arena.h"

#include <inttypes.h>

#include "core/base/memory.h"

/* The first bytes of the first chunk stay empty, so that no reference is 0. */
#define FIRST_BYTES CACHE_LINE_BYTES

/* Room in the table for count more chunks. */
static enum kiwi_status table_grow(struct arena *arena, uint64_t count)
{
    uint64_t            limit = arena->shift == 0 ? 0 : 1ull << (32 - arena->shift);
    uint64_t            capacity = arena->chunk_capacity == 0 ? 16 : 2 * arena->chunk_capacity;
    struct arena_chunk *chunks;

    if (LIKELY(arena->chunk_count + count <= arena->chunk_capacity))
        return KIWI_OK;
    if (arena->chunk_count + count > limit)
        return FAIL(KIWI_NO_MEMORY, "a memtable has no references to memory left: %" PRIu64
                                    " chunks", limit);
    capacity = min_u64(max_u64(capacity, arena->chunk_count + count), limit);
    chunks = memory_resize(arena->chunks, capacity * sizeof *chunks);
    if (chunks == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a table of %" PRIu64 " chunks", capacity);
    arena->chunks = chunks;
    arena->chunk_capacity = (uint32_t)capacity;
    return KIWI_OK;
}

/* A number for one more chunk. Room for it has been made. */
static uint32_t number_take(struct arena *arena)
{
    if (arena->hole_count > 0) {
        for (uint32_t i = 0; i < arena->chunk_count; i++) {
            if (arena->chunks[i].base == NULL) {
                arena->hole_count--;
                return i;
            }
        }
    }
    assert(arena->chunk_count < arena->chunk_capacity);
    return arena->chunk_count++;
}

static uint32_t chunk_add(struct arena *arena, struct chunk *chunk)
{
    uint32_t number = number_take(arena);

    arena->chunks[number] = (struct arena_chunk){ .base = chunk->base, .chunk = chunk };
    arena->bytes += chunk->bytes;
    return number;
}

static enum kiwi_status chunk_begin(struct arena *arena)
{
    struct chunk *chunk;

    TRY(table_grow(arena, 1));
    chunk = pool_chunk_take(arena->pool);
    if (chunk == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a memtable chunk of %" PRIu32 " bytes",
                    arena->chunk_bytes);
    arena->present = chunk_add(arena, chunk);
    arena->at = arena->present == 0 ? FIRST_BYTES : 0;
    return KIWI_OK;
}

enum kiwi_status arena_open(struct arena *arena, struct memtable_pool *pool)
{
    uint64_t chunk_bytes = pool_chunk_bytes(pool);

    assert(chunk_bytes >= CHUNK_BYTES_MIN);
    assert(chunk_bytes <= CHUNK_BYTES_MAX);
    *arena = (struct arena){
        .pool = pool,
        .chunk_bytes = (uint32_t)chunk_bytes,
        .shift = (uint32_t)__builtin_ctzll(chunk_bytes / RECORD_UNIT_BYTES),
    };
    return chunk_begin(arena);
}

void arena_close(struct arena *arena)
{
    /* Last first: the next memtable then fills them in the order of this one. */
    for (uint32_t i = arena->chunk_count; i > 0; i--) {
        if (arena->chunks[i - 1].chunk != NULL)
            pool_chunk_give(arena->pool, arena->chunks[i - 1].chunk);
    }
    memory_free(arena->chunks);
    *arena = (struct arena){ 0 };
}

enum kiwi_status arena_reserve(struct arena *arena, uint64_t bytes)
{
    assert(bytes <= arena->chunk_bytes - FIRST_BYTES);
    if (LIKELY(arena_has_room(arena, bytes)))
        return KIWI_OK;
    return chunk_begin(arena);
}

enum kiwi_status arena_prepare(struct arena *arena, uint64_t bytes, uint64_t part_bytes,
                               uint32_t large_count)
{
    uint64_t chunk_count = 0;

    if (UNLIKELY(!arena_has_room(arena, bytes))) {
        /* The last part_bytes of a chunk may stay empty. */
        uint64_t used = arena->chunk_bytes - min_u64(part_bytes, arena->chunk_bytes / 4 * 3);

        chunk_count = 1 + bytes / used;
        TRY(pool_chunks_prepare(arena->pool, chunk_count));
    }
    return table_grow(arena, chunk_count + large_count);
}

uint32_t arena_allocate(struct arena *arena, uint32_t bytes, uint32_t alignment)
{
    uint32_t at = (arena->at + alignment - 1) & ~(alignment - 1);

    assert(bytes > 0);
    assert(at + bytes <= arena->chunk_bytes);
    arena->at = at + bytes;
    return arena->present << arena->shift | at / RECORD_UNIT_BYTES;
}

enum kiwi_status arena_allocate_large(struct arena *arena, uint64_t bytes, uint32_t *out)
{
    struct chunk *chunk;

    assert(arena_is_large(arena, bytes));
    TRY(table_grow(arena, 1));
    chunk = pool_chunk_take_large(arena->pool, bytes);
    if (chunk == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a record of %" PRIu64 " bytes", bytes);
    *out = chunk_add(arena, chunk) << arena->shift;
    assert(*out != 0);
    return KIWI_OK;
}

void arena_release_large(struct arena *arena, uint32_t reference)
{
    struct arena_chunk *place = &arena->chunks[reference >> arena->shift];

    assert((reference & ((1u << arena->shift) - 1)) == 0);
    assert(place->chunk->bytes != arena->chunk_bytes);
    arena->bytes -= place->chunk->bytes;
    pool_chunk_give(arena->pool, place->chunk);
    *place = (struct arena_chunk){ 0 };
    arena->hole_count++;
}

uint64_t arena_bytes(const struct arena *arena)
{
    return arena->bytes + arena->chunk_capacity * sizeof *arena->chunks;
}
