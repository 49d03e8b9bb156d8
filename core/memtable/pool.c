/*
 * pool.c: chunks from a jemalloc arena; without jemalloc from io/buffers and the heap.
 *
 * Decay is off in the arena: what was touched once stays, because a first touch costs 0.2 to 2 us
 * per page and the next memtable needs the same bytes. Only what large values leave is purged.
 */
#include "core/memtable/pool.h"

#include <inttypes.h>
#include <jemalloc/jemalloc.h>
#include <stdatomic.h>
#include <stdio.h>

#include "core/base/memory.h"
#include "io/buffers.h"

/* Null in a program without jemalloc. */
#pragma weak mallocx
#pragma weak dallocx
#pragma weak mallctl

#define ARENA_NONE         UINT32_MAX
#define ARENAS_RESTING_MAX 256u /* as many shards may be closed at once without a loss */
#define REST_CHUNKS_LARGE  8u /* in chunks: what freed large values may keep resident */

struct memtable_pool {
    struct chunk *resting;
    struct chunk *large;          /* prepared for records of their own */
    uint64_t      resting_bytes;
    uint64_t      chunk_bytes;
    uint64_t      taken_bytes;    /* from arena, system or heap: in use and at rest */
    uint64_t      resident_bytes; /* taken_bytes and what the arena keeps of it afterwards */
    uint32_t      arena;
    uint32_t      memtable_count; /* alive */
};

/* ---- the jemalloc arena ---- */

static void arena_decay_off(uint32_t arena, const char *kind)
{
    char    name[48];
    ssize_t never = -1;

    snprintf(name, sizeof name, "arena.%u.%s_decay_ms", arena, kind);
    /* With decay on the memtable would be slower, not wrong. */
    (void)mallctl(name, NULL, NULL, &never, sizeof never);
}

/* Arenas of closed pools, each plus one. jemalloc 5.3 never unmaps the first 2 MiB of an arena that
 * is destroyed, so a process that opens databases all day would run out of mappings. */
static _Atomic uint32_t resting_arenas[ARENAS_RESTING_MAX];

static uint32_t arena_take(void)
{
    unsigned arena = ARENA_NONE;
    size_t   bytes = sizeof arena;

    if (mallocx == NULL || dallocx == NULL || mallctl == NULL)
        return ARENA_NONE;
    for (uint32_t i = 0; i < ARENAS_RESTING_MAX; i++) {
        uint32_t resting = atomic_exchange(&resting_arenas[i], 0);

        if (resting != 0)
            return resting - 1;
    }
    if (mallctl("arenas.create", &arena, &bytes, NULL, 0) != 0)
        return ARENA_NONE;
    arena_decay_off(arena, "dirty");
    arena_decay_off(arena, "muzzy");
    return arena;
}

static void arena_command(const struct memtable_pool *pool, const char *command)
{
    char name[48];

    if (pool->arena == ARENA_NONE)
        return;
    snprintf(name, sizeof name, "arena.%u.%s", pool->arena, command);
    (void)mallctl(name, NULL, NULL, NULL, 0);
}

/* Nothing is allocated from it any more. */
static void arena_give(const struct memtable_pool *pool)
{
    if (pool->arena == ARENA_NONE)
        return;
    arena_command(pool, "purge");
    for (uint32_t i = 0; i < ARENAS_RESTING_MAX; i++) {
        uint32_t free_place = 0;

        if (atomic_compare_exchange_strong(&resting_arenas[i], &free_place, pool->arena + 1))
            return;
    }
    arena_command(pool, "destroy");
}

/* ---- memory of chunks ---- */

static uint8_t *bytes_take(struct memtable_pool *pool, uint64_t bytes)
{
    size_t alignment = bytes >= CHUNK_BYTES_HUGE ? CHUNK_BYTES_HUGE : PAGE_BYTES;
    void  *base;

    if (pool->arena != ARENA_NONE) {
        base = memory_fails_now() ? NULL
             : mallocx(bytes, MALLOCX_ARENA(pool->arena) | MALLOCX_TCACHE_NONE
                                  | MALLOCX_ALIGN(alignment));
        if (base != NULL && bytes >= CHUNK_BYTES_HUGE)
            region_wish_huge(base, bytes);
    } else if (bytes >= CHUNK_BYTES_HUGE) {
        base = region_map(bytes);
    } else {
        base = memory_allocate_aligned(bytes, alignment);
    }
    if (base != NULL) {
        pool->taken_bytes += bytes;
        pool->resident_bytes = max_u64(pool->resident_bytes, pool->taken_bytes);
    }
    return base;
}

static void bytes_give(struct memtable_pool *pool, uint8_t *base, uint64_t bytes)
{
    assert(pool->taken_bytes >= bytes);
    pool->taken_bytes -= bytes;
    if (pool->arena != ARENA_NONE) {
        dallocx(base, MALLOCX_TCACHE_NONE);
        return;
    }
    pool->resident_bytes = pool->taken_bytes;
    if (bytes >= CHUNK_BYTES_HUGE)
        region_unmap(base, bytes);
    else
        memory_free(base);
}

static struct chunk *chunk_new(struct memtable_pool *pool, uint64_t bytes)
{
    struct chunk *chunk = memory_allocate(sizeof *chunk);

    if (chunk == NULL)
        return NULL;
    *chunk = (struct chunk){ .base = bytes_take(pool, bytes), .bytes = bytes };
    if (chunk->base == NULL) {
        memory_free(chunk);
        return NULL;
    }
    return chunk;
}

static void chunk_end(struct memtable_pool *pool, struct chunk *chunk)
{
    bytes_give(pool, chunk->base, chunk->bytes);
    memory_free(chunk);
}

uint64_t pool_chunk_bytes(const struct memtable_pool *pool)
{
    return pool->chunk_bytes;
}

struct chunk *pool_chunk_take(struct memtable_pool *pool)
{
    struct chunk *chunk = pool->resting;

    if (chunk == NULL)
        return chunk_new(pool, pool->chunk_bytes);
    pool->resting = chunk->next;
    pool->resting_bytes -= chunk->bytes;
    chunk->next = NULL;
    return chunk;
}

static uint64_t large_bytes(const struct memtable_pool *pool, uint64_t bytes)
{
    bytes = round_up_u64(bytes, PAGE_BYTES);
    return bytes == pool->chunk_bytes ? bytes + PAGE_BYTES : bytes; /* tells the kinds apart */
}

struct chunk *pool_chunk_take_large(struct memtable_pool *pool, uint64_t bytes)
{
    bytes = large_bytes(pool, bytes);
    for (struct chunk **link = &pool->large; *link != NULL; link = &(*link)->next) {
        struct chunk *chunk = *link;

        if (chunk->bytes == bytes) {
            *link = chunk->next;
            chunk->next = NULL;
            return chunk;
        }
    }
    return chunk_new(pool, bytes);
}

enum kiwi_status pool_large_prepare(struct memtable_pool *pool, uint64_t bytes)
{
    struct chunk *chunk = chunk_new(pool, large_bytes(pool, bytes));

    if (chunk == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a record of %" PRIu64 " bytes", bytes);
    chunk->next = pool->large;
    pool->large = chunk;
    return KIWI_OK;
}

bool pool_large_drop(struct memtable_pool *pool, uint64_t keep_bytes)
{
    if (pool->large != NULL && pool->large->next == NULL && keep_bytes > 0
        && pool->large->bytes == large_bytes(pool, keep_bytes))
        return true;
    while (UNLIKELY(pool->large != NULL)) {
        struct chunk *chunk = pool->large;

        pool->large = chunk->next;
        chunk_end(pool, chunk);
    }
    return false;
}

enum kiwi_status pool_chunks_prepare(struct memtable_pool *pool, uint64_t count)
{
    while (UNLIKELY(pool->resting_bytes < count * pool->chunk_bytes)) {
        struct chunk *chunk = chunk_new(pool, pool->chunk_bytes);

        if (chunk == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory for %" PRIu64 " memtable chunks of %" PRIu64
                        " bytes", count, pool->chunk_bytes);
        pool_chunk_give(pool, chunk);
    }
    return KIWI_OK;
}

void pool_chunk_give(struct memtable_pool *pool, struct chunk *chunk)
{
    assert(chunk != NULL);
    if (chunk->bytes == pool->chunk_bytes) {
        chunk->next = pool->resting;
        pool->resting = chunk;
        pool->resting_bytes += chunk->bytes;
        return;
    }
    chunk_end(pool, chunk);
    if (pool->resident_bytes - pool->taken_bytes > REST_CHUNKS_LARGE * pool->chunk_bytes) {
        arena_command(pool, "purge");
        pool->resident_bytes = pool->taken_bytes;
    }
}

void pool_enter(struct memtable_pool *pool)
{
    pool->memtable_count++;
}

void pool_leave(struct memtable_pool *pool)
{
    assert(pool->memtable_count > 0);
    pool->memtable_count--;
}

/* ---- the public part ---- */

static uint64_t power_of_two_below(uint64_t value)
{
    return 1ull << (63 - __builtin_clzll(value));
}

enum kiwi_status memtable_pool_open(uint64_t chunk_bytes, struct memtable_pool **out)
{
    struct memtable_pool *pool = memory_allocate(sizeof *pool);

    if (pool == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a pool of memtable chunks");
    chunk_bytes = max_u64(CHUNK_BYTES_MIN, min_u64(chunk_bytes, CHUNK_BYTES_MAX));
    *pool = (struct memtable_pool){
        .chunk_bytes = power_of_two_below(chunk_bytes),
        .arena = arena_take(),
    };
    *out = pool;
    return KIWI_OK;
}

void memtable_pool_close(struct memtable_pool *pool)
{
    if (pool == NULL)
        return;
    assert(pool->memtable_count == 0);
    (void)pool_large_drop(pool, 0);
    memtable_pool_trim(pool, UINT64_MAX);
    assert(pool->taken_bytes == 0);
    arena_give(pool);
    memory_free(pool);
}

bool memtable_pool_prepare(struct memtable_pool *pool, uint64_t bytes)
{
    struct chunk *chunk;

    if (pool->resting_bytes >= bytes)
        return false;
    chunk = chunk_new(pool, pool->chunk_bytes);
    if (chunk == NULL)
        return false;
    memset(chunk->base, 0, chunk->bytes);
    pool_chunk_give(pool, chunk);
    return true;
}

uint64_t memtable_pool_trim(struct memtable_pool *pool, uint64_t bytes)
{
    uint64_t before = pool->resident_bytes;

    for (uint64_t given = 0; pool->resting != NULL && given < bytes; given += pool->chunk_bytes)
        chunk_end(pool, pool_chunk_take(pool));
    assert(pool->resting != NULL || pool->resting_bytes == 0);
    arena_command(pool, "purge");
    pool->resident_bytes = pool->taken_bytes;
    return before - pool->resident_bytes;
}

uint64_t memtable_pool_rest_bytes(const struct memtable_pool *pool)
{
    return pool->resting_bytes;
}

uint64_t memtable_pool_bytes(const struct memtable_pool *pool)
{
    return pool->resident_bytes;
}
