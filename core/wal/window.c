/*
 * window.c: reads the ring in large pieces: 1 MiB, and 4 MiB with four transfers in flight into
 * huge pages once reading goes on and on. One transfer of small pages at a time has a third of the
 * rate.
 */
#include <inttypes.h>

#include "core/base/memory.h"
#include "core/wal/wal_state.h"
#include "io/buffers.h"

#define STREAM_BYTES (WINDOW_TRANSFER_COUNT * (uint64_t)WAL_TRANSFER_BYTES)

void window_open(struct window *window, struct wal *wal)
{
    *window = (struct window){ .wal = wal };
}

static bool is_region(const struct window *window)
{
    return window->capacity >= 2 * (uint64_t)WAL_TRANSFER_BYTES;
}

static void buffer_free(struct window *window)
{
    if (is_region(window))
        region_unmap(window->buffer, window->capacity);
    else
        memory_free(window->buffer);
    window->buffer = NULL;
    window->capacity = window->bytes = 0;
}

void window_close(struct window *window)
{
    buffer_free(window);
    io_queue_close(window->queue);
    window->queue = NULL;
}

static enum kiwi_status window_grow(struct window *window, uint64_t bytes)
{
    buffer_free(window);
    window->capacity = bytes;
    window->buffer = is_region(window) ? region_map(bytes)
                                       : memory_allocate_aligned(bytes, WAL_PAGE_BYTES);
    if (window->buffer != NULL)
        return KIWI_OK;
    window->capacity = 0;
    return FAIL(KIWI_NO_MEMORY, "no memory: %" PRIu64 " bytes to read the log", bytes);
}

static void transfer_done(struct io_request *request)
{
    (void)request; /* the status says it all */
}

/* Several transfers at a time, waited for together. */
static enum kiwi_status read_wide(struct window *window, uint64_t bytes, uint64_t offset)
{
    struct io_request requests[WINDOW_TRANSFER_COUNT] = { 0 };
    uint64_t part = round_up_u64(bytes / WINDOW_TRANSFER_COUNT, WAL_TRANSFER_BYTES);
    uint32_t count = 0;

    if (window->queue == NULL)
        TRY(io_queue_open(window->wal->io, WINDOW_TRANSFER_COUNT, &window->queue));
    for (uint64_t at = 0; at < bytes; at += part, count++) {
        assert(count < WINDOW_TRANSFER_COUNT);
        requests[count] = (struct io_request){
            .file = window->wal->ring_file,
            .buffer = window->buffer + at,
            .offset = offset + at,
            .bytes = (uint32_t)min_u64(part, bytes - at),
            .verb = IO_READ,
            .class_of_service = IO_CLASS_READ,
            .done = transfer_done,
        };
        io_queue_add(window->queue, &requests[count]);
    }
    while (io_queue_pending(window->queue) != 0)
        io_queue_poll(window->queue, UINT64_MAX);
    for (uint32_t i = 0; i < count; i++)
        if (requests[i].status != KIWI_OK)
            return requests[i].status;
    return KIWI_OK;
}

void window_forget(struct window *window)
{
    window->bytes = 0;
}

enum kiwi_status window_get(struct window *window, uint64_t offset, uint64_t bytes,
                            const uint8_t **out)
{
    uint64_t end = WAL_HEADER_BYTES + window->wal->ring.bytes;
    uint64_t wanted, held_end = window->begin + window->bytes;
    bool     goes_on = window->bytes != 0 && offset > window->begin && offset <= held_end;

    assert(offset >= WAL_HEADER_BYTES && offset % WAL_PAGE_BYTES == 0);
    assert(bytes <= end - offset);
    if (offset < window->begin || offset + bytes > held_end) {
        wanted = max_u64(bytes, goes_on ? STREAM_BYTES : WAL_TRANSFER_BYTES);
        wanted = min_u64(wanted, end - offset);
        if (wanted > window->capacity)
            TRY(window_grow(window, wanted));
        window->bytes = 0;
        if (wanted > WAL_TRANSFER_BYTES)
            TRY(read_wide(window, wanted, offset));
        else
            TRY(io_file_read(window->wal->ring_file, window->buffer, wanted, offset));
        window->begin = offset;
        window->bytes = wanted;
    }
    *out = window->buffer + (offset - window->begin);
    return KIWI_OK;
}

enum kiwi_status window_group(struct window *window, uint64_t offset, uint64_t number_min,
                              const struct wal_group_header **out)
{
    const struct wal              *wal = window->wal;
    const struct wal_group_header *header;
    const uint8_t                 *at;
    uint64_t                       bytes_max = WAL_HEADER_BYTES + wal->ring.bytes - offset, bytes;

    *out = NULL;
    TRY(window_get(window, offset, WAL_PAGE_BYTES, &at));
    header = (const void *)at;
    if (le32_get(header->magic) != WAL_GROUP_MAGIC || le64_get(header->number) < number_min)
        return KIWI_OK;
    if (!wal_group_looks_right(header, &wal->identity, bytes_max))
        return KIWI_OK;
    bytes = wal_group_bytes(le32_get(header->length));
    if (bytes > wal_group_bytes_limit(wal))
        return KIWI_OK;
    TRY(window_get(window, offset, bytes, &at));
    header = (const void *)at;
    if (wal_group_is_closed(header, &wal->identity, bytes_max))
        *out = header;
    return KIWI_OK;
}
