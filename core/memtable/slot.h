/*
 * slot.h: where the chunks of a memtable come from, and where they rest between two memtables.
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

uint64_t slot_chunk_bytes(const struct memtable_slot *slot);
/* NULL when there is no memory. */
MUST_USE struct chunk *slot_chunk_take(struct memtable_slot *slot);
MUST_USE struct chunk *slot_chunk_take_large(struct memtable_slot *slot, uint64_t bytes);
/* Rests in the slot, or, when it is a large one, goes back. */
void slot_chunk_give(struct memtable_slot *slot, struct chunk *chunk);

/* One live memtable per slot. */
void slot_enter(struct memtable_slot *slot);
void slot_leave(struct memtable_slot *slot);
