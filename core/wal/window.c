/*
 * window.c: reads the ring in pieces of 1 MiB, or of one group where that is larger.
 */
#include "core/base/memory.h"
#include "core/wal/wal_state.h"

void window_open(struct window *window, struct wal *wal)
{
    *window = (struct window){ .wal = wal };
}

void window_close(struct window *window)
{
    memory_free(window->buffer);
    window->buffer = NULL;
}

static enum kiwi_status window_grow(struct window *window, uint64_t bytes)
{
    uint8_t *buffer = memory_allocate_aligned(bytes, WAL_PAGE_BYTES);

    if (buffer == NULL)
        return FAIL(KIWI_NO_MEMORY, "%llu bytes to read the log", (unsigned long long)bytes);
    memory_free(window->buffer);
    window->buffer = buffer;
    window->capacity = bytes;
    window->bytes = 0;
    return KIWI_OK;
}

enum kiwi_status window_get(struct window *window, uint64_t offset, uint64_t bytes,
                            const uint8_t **out)
{
    uint64_t end = WAL_HEADER_BYTES + window->wal->ring.bytes;
    uint64_t wanted;

    assert(offset >= WAL_HEADER_BYTES && offset % WAL_PAGE_BYTES == 0);
    assert(bytes <= end - offset);
    if (offset < window->begin || offset + bytes > window->begin + window->bytes) {
        wanted = min_u64(max_u64(bytes, WAL_TRANSFER_BYTES), end - offset);
        if (wanted > window->capacity)
            TRY(window_grow(window, max_u64(wanted, WAL_TRANSFER_BYTES)));
        window->bytes = 0;
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
    const struct wal      *wal = window->wal;
    uint64_t               bytes_max = WAL_HEADER_BYTES + wal->ring.bytes - offset;
    uint64_t               bytes;
    const uint8_t         *at;
    const struct wal_group_header *header;

    *out = NULL;
    TRY(window_get(window, offset, WAL_PAGE_BYTES, &at));
    header = (const void *)at;
    if (le32_get(header->magic) != WAL_GROUP_MAGIC || le64_get(header->number) < number_min)
        return KIWI_OK;
    if (!wal_group_looks_right(header, &wal->identity, bytes_max))
        return KIWI_OK;
    bytes = wal_group_bytes(le32_get(header->length));
    if (bytes > max_u64(wal_group_bytes_limit(wal), WAL_PAGE_BYTES))
        return KIWI_OK;
    TRY(window_get(window, offset, bytes, &at));
    header = (const void *)at;
    if (wal_group_is_closed(header, &wal->identity, bytes_max))
        *out = header;
    return KIWI_OK;
}
