/*
 * slot.c: chunks from a jemalloc arena; without jemalloc from io/buffers and the heap.
 *
 * Decay is off in the arena: what was touched once stays, because a first touch costs 0.2 to 2 us
 * per page and the next memtable needs the same bytes. Only what large values leave is purged.
 */
#include "core/memtable/slot.h"

#include <jemalloc/jemalloc.h>
#include <stdio.h>

#include "core/base/memory.h"
#include "io/buffers.h"

/* Null in a program without jemalloc. */
#pragma weak mallocx
#pragma weak dallocx
#pragma weak mallctl

#define ARENA_NONE         UINT32_MAX
#define REST_CHUNKS_LARGE  8u /* in chunks: what freed large values may keep resident */

struct memtable_slot {
    struct chunk *resting;
    uint64_t      resting_bytes;
    uint64_t      chunk_bytes;
    uint64_t      taken_bytes;    /* from arena, system or heap: in use and at rest */
    uint64_t      resident_bytes; /* taken_bytes and what the arena keeps of it afterwards */
    uint32_t      arena;
    bool          is_entered;
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

static uint32_t arena_create(void)
{
    unsigned arena = ARENA_NONE;
    size_t   bytes = sizeof arena;

    if (mallocx == NULL || dallocx == NULL || mallctl == NULL)
        return ARENA_NONE;
    if (mallctl("arenas.create", &arena, &bytes, NULL, 0) != 0)
        return ARENA_NONE;
    arena_decay_off(arena, "dirty");
    arena_decay_off(arena, "muzzy");
    return arena;
}

static void arena_command(const struct memtable_slot *slot, const char *command)
{
    char name[48];

    if (slot->arena == ARENA_NONE)
        return;
    snprintf(name, sizeof name, "arena.%u.%s", slot->arena, command);
    (void)mallctl(name, NULL, NULL, NULL, 0);
}

/* ---- memory of chunks ---- */

static uint8_t *bytes_take(struct memtable_slot *slot, uint64_t bytes)
{
    size_t alignment = bytes >= CHUNK_BYTES_HUGE ? CHUNK_BYTES_HUGE : PAGE_BYTES;
    void  *base;

    if (slot->arena != ARENA_NONE) {
        base = mallocx(bytes, MALLOCX_ARENA(slot->arena) | MALLOCX_TCACHE_NONE
                                  | MALLOCX_ALIGN(alignment));
        if (base != NULL && bytes >= CHUNK_BYTES_HUGE)
            region_wish_huge(base, bytes);
    } else if (bytes >= CHUNK_BYTES_HUGE) {
        base = region_map(bytes);
    } else {
        base = memory_allocate_aligned(bytes, alignment);
    }
    if (base != NULL) {
        slot->taken_bytes += bytes;
        slot->resident_bytes = max_u64(slot->resident_bytes, slot->taken_bytes);
    }
    return base;
}

static void bytes_give(struct memtable_slot *slot, uint8_t *base, uint64_t bytes)
{
    assert(slot->taken_bytes >= bytes);
    slot->taken_bytes -= bytes;
    if (slot->arena != ARENA_NONE) {
        dallocx(base, MALLOCX_TCACHE_NONE);
        return;
    }
    slot->resident_bytes = slot->taken_bytes;
    if (bytes >= CHUNK_BYTES_HUGE)
        region_unmap(base, bytes);
    else
        memory_free(base);
}

static struct chunk *chunk_new(struct memtable_slot *slot, uint64_t bytes)
{
    struct chunk *chunk = memory_allocate(sizeof *chunk);

    if (chunk == NULL)
        return NULL;
    *chunk = (struct chunk){ .base = bytes_take(slot, bytes), .bytes = bytes };
    if (chunk->base == NULL) {
        memory_free(chunk);
        return NULL;
    }
    return chunk;
}

static void chunk_end(struct memtable_slot *slot, struct chunk *chunk)
{
    bytes_give(slot, chunk->base, chunk->bytes);
    memory_free(chunk);
}

uint64_t slot_chunk_bytes(const struct memtable_slot *slot)
{
    return slot->chunk_bytes;
}

struct chunk *slot_chunk_take(struct memtable_slot *slot)
{
    struct chunk *chunk = slot->resting;

    if (chunk == NULL)
        return chunk_new(slot, slot->chunk_bytes);
    slot->resting = chunk->next;
    slot->resting_bytes -= chunk->bytes;
    chunk->next = NULL;
    return chunk;
}

struct chunk *slot_chunk_take_large(struct memtable_slot *slot, uint64_t bytes)
{
    bytes = round_up_u64(bytes, PAGE_BYTES);
    if (bytes == slot->chunk_bytes)
        bytes += PAGE_BYTES; /* tells the two kinds apart */
    return chunk_new(slot, bytes);
}

void slot_chunk_give(struct memtable_slot *slot, struct chunk *chunk)
{
    assert(chunk != NULL);
    if (chunk->bytes == slot->chunk_bytes) {
        chunk->next = slot->resting;
        slot->resting = chunk;
        slot->resting_bytes += chunk->bytes;
        return;
    }
    chunk_end(slot, chunk);
    if (slot->resident_bytes - slot->taken_bytes > REST_CHUNKS_LARGE * slot->chunk_bytes) {
        arena_command(slot, "purge");
        slot->resident_bytes = slot->taken_bytes;
    }
}

void slot_enter(struct memtable_slot *slot)
{
    assert(!slot->is_entered);
    slot->is_entered = true;
}

void slot_leave(struct memtable_slot *slot)
{
    assert(slot->is_entered);
    slot->is_entered = false;
}

/* ---- the public part ---- */

static uint64_t power_of_two_below(uint64_t value)
{
    return 1ull << (63 - __builtin_clzll(value));
}

enum kiwi_status memtable_slot_open(uint64_t chunk_bytes, struct memtable_slot **out)
{
    struct memtable_slot *slot = memory_allocate(sizeof *slot);

    if (slot == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a memtable slot");
    chunk_bytes = max_u64(CHUNK_BYTES_MIN, min_u64(chunk_bytes, CHUNK_BYTES_MAX));
    *slot = (struct memtable_slot){
        .chunk_bytes = power_of_two_below(chunk_bytes),
        .arena = arena_create(),
    };
    *out = slot;
    return KIWI_OK;
}

void memtable_slot_close(struct memtable_slot *slot)
{
    if (slot == NULL)
        return;
    assert(!slot->is_entered);
    memtable_slot_trim(slot);
    assert(slot->taken_bytes == 0);
    arena_command(slot, "destroy");
    memory_free(slot);
}

bool memtable_slot_prepare(struct memtable_slot *slot, uint64_t bytes)
{
    struct chunk *chunk;

    assert(!slot->is_entered);
    if (slot->resting_bytes >= bytes)
        return false;
    chunk = chunk_new(slot, slot->chunk_bytes);
    if (chunk == NULL)
        return false;
    memset(chunk->base, 0, chunk->bytes);
    slot_chunk_give(slot, chunk);
    return true;
}

void memtable_slot_trim(struct memtable_slot *slot)
{
    while (slot->resting != NULL)
        chunk_end(slot, slot_chunk_take(slot));
    assert(slot->resting_bytes == 0);
    arena_command(slot, "purge");
    slot->resident_bytes = slot->taken_bytes;
}

uint64_t memtable_slot_bytes(const struct memtable_slot *slot)
{
    return slot->resident_bytes;
}
