/*
 * chunks.c: pieces of output from a buffer pool, in two lists: ready and out.
 */
#include "core/table/chunks.h"

#include "core/base/memory.h"
#include "core/table/table_writer.h"

struct chunk {
    struct chunk *next;
    uint8_t      *data;     /* owned: from the pool */
    uint32_t      capacity; /* as taken from the pool */
    uint32_t      used;
    uint64_t      offset;
};

void chunks_init(struct chunks *chunks, struct buffers *buffers, uint32_t chunk_bytes)
{
    assert(chunk_bytes >= PAGE_BYTES && chunk_bytes % PAGE_BYTES == 0);
    *chunks = (struct chunks){ .buffers = buffers, .chunk_bytes = chunk_bytes };
    chunks->ready_end = &chunks->ready;
}

static void chunk_free(struct chunks *chunks, struct chunk *chunk)
{
    if (chunk == NULL)
        return;
    buffers_give(chunks->buffers, chunk->data, chunk->capacity);
    memory_free(chunk);
}

void chunks_close(struct chunks *chunks)
{
    assert(chunks->out == NULL);
    chunk_free(chunks, chunks->open);
    for (struct chunk *chunk = chunks->ready, *next; chunk != NULL; chunk = next) {
        next = chunk->next;
        chunk_free(chunks, chunk);
    }
    *chunks = (struct chunks){ 0 };
}

static void open_to_ready(struct chunks *chunks)
{
    struct chunk *chunk = chunks->open;

    assert(chunk->used > 0 && chunk->used % PAGE_BYTES == 0);
    chunk->next = NULL;
    *chunks->ready_end = chunk;
    chunks->ready_end = &chunk->next;
    chunks->open = NULL;
    chunks->waiting++;
}

uint8_t *chunks_reserve(struct chunks *chunks, uint32_t bytes)
{
    assert(bytes > 0);
    if (chunks->open != NULL && bytes <= chunks->open->capacity - chunks->open->used)
        return chunks->open->data + chunks->open->used;
    uint32_t      rest = chunks->open == NULL ? 0 : chunks->open->used % PAGE_BYTES;
    uint64_t      needed = round_up_u64((uint64_t)rest + bytes, PAGE_BYTES);
    uint32_t      capacity = (uint32_t)max_u64(needed, chunks->chunk_bytes);
    struct chunk *chunk = memory_allocate(sizeof *chunk);
    uint8_t      *data = chunk == NULL ? NULL : buffers_take(chunks->buffers, capacity);
    if (data == NULL) {
        memory_free(chunk);
        return NULL;
    }
    *chunk = (struct chunk){ .data = data, .capacity = capacity, .used = rest,
                             .offset = chunks->bytes - rest };
    if (rest > 0) {
        chunks->open->used -= rest;
        memcpy(data, chunks->open->data + chunks->open->used, rest);
    }
    if (chunks->open != NULL && chunks->open->used > 0)
        open_to_ready(chunks);
    chunk_free(chunks, chunks->open);
    chunks->open = chunk;
    return data + rest;
}

void chunks_commit(struct chunks *chunks, uint32_t bytes)
{
    struct chunk *chunk = chunks->open;

    assert(chunk != NULL && bytes <= chunk->capacity - chunk->used);
    assert(chunk->offset + chunk->used == chunks->bytes);
    chunk->used += bytes;
    chunks->bytes += bytes;
    if (chunk->used == chunk->capacity)
        open_to_ready(chunks);
}

void chunks_finish(struct chunks *chunks)
{
    if (chunks->open != NULL && chunks->open->used > 0)
        open_to_ready(chunks);
}

bool chunks_take(struct chunks *chunks, struct table_chunk *out)
{
    struct chunk *chunk = chunks->ready;

    if (chunk == NULL)
        return false;
    chunks->ready = chunk->next;
    if (chunks->ready == NULL)
        chunks->ready_end = &chunks->ready;
    chunks->waiting--;
    chunk->next = chunks->out;
    chunks->out = chunk;
    *out = (struct table_chunk){ .data = chunk->data,
                                 .bytes = chunk->used,
                                 .offset = chunk->offset };
    return true;
}

void chunks_give(struct chunks *chunks, const struct table_chunk *given)
{
    for (struct chunk **link = &chunks->out; *link != NULL; link = &(*link)->next) {
        struct chunk *chunk = *link;
        if (chunk->data == given->data) {
            assert(chunk->offset == given->offset);
            *link = chunk->next;
            chunk_free(chunks, chunk);
            return;
        }
    }
    assert(false && "a chunk is given back once");
}
