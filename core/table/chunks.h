/*
 * chunks.h: the bytes of a file under construction, in pieces that are handed out in order.
 *
 * Owns     its pieces until each is taken and given back.
 * Always   offsets are gap-free, and pieces begin and end at pages: of one that the next block does
 *          not fit the whole pages are handed out, and the rest moves to the front of the next.
 */
#pragma once

#include "io/buffers.h"

struct chunk;

struct chunks {
    struct buffers *buffers;      /* borrowed */
    uint32_t        chunk_bytes;
    struct chunk   *open;         /* being filled, or NULL */
    struct chunk   *ready, **ready_end; /* full, in order of offsets */
    struct chunk   *out;          /* taken, not yet given back */
    uint64_t        waiting;      /* in ready */
    uint64_t        bytes;        /* of the file so far */
};

void chunks_init(struct chunks *chunks, struct buffers *buffers, uint32_t chunk_bytes);
void chunks_close(struct chunks *chunks); /* none may be out; a zeroed one is fine */

/* Makes sure that the next bytes can stand in one piece and returns where they will. NULL: no
 * memory, and nothing has changed. */
MUST_USE uint8_t *chunks_reserve(struct chunks *chunks, uint32_t bytes);
void              chunks_commit(struct chunks *chunks, uint32_t bytes);
/* What is open becomes ready; it must end at a page. */
void              chunks_finish(struct chunks *chunks);

struct table_chunk;

bool chunks_take(struct chunks *chunks, struct table_chunk *out);
void chunks_give(struct chunks *chunks, const struct table_chunk *chunk);
