/*
 * wal_work.c: see wal_work.h.
 */
#include "wal_work.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/wal/wal.h"

#define KEY_BYTES    24u
#define ENTRY_COUNT  4096u
#define BATCH_MAX    64u
#define RECORD_COUNT 512u

struct wal_work {
    struct io         *io;
    struct wal        *wal;
    struct wal_options options;
    char               directory[64];
    uint32_t           value_bytes;
    uint8_t           *space;    /* keys and values of ENTRY_COUNT entries */
    uint8_t           *records;  /* RECORD_COUNT encoded ones */
    uint8_t           *records_end;
    const uint8_t     *decode_at;
};

static struct entry entry_of(const struct wal_work *work, uint64_t sequence)
{
    uint8_t *at = work->space + sequence % ENTRY_COUNT * (KEY_BYTES + work->value_bytes);

    return (struct entry){ bytes_of(at, KEY_BYTES), bytes_of(at + KEY_BYTES, work->value_bytes),
                           sequence, ENTRY_PUT };
}

struct wal_work *wal_work_open(uint64_t ring_bytes, uint32_t value_bytes)
{
    struct wal_work *work = calloc(1, sizeof *work);
    size_t           bytes = (size_t)ENTRY_COUNT * (KEY_BYTES + value_bytes);

    if (work == NULL)
        return NULL;
    work->value_bytes = value_bytes;
    work->space = malloc(bytes);
    work->records = malloc((size_t)RECORD_COUNT * (value_bytes + 64));
    if (work->space == NULL || work->records == NULL)
        return NULL;
    for (size_t i = 0; i < bytes; i++)
        work->space[i] = (uint8_t)(i * 2654435761u >> 13);
    work->decode_at = work->records_end = work->records;
    for (uint32_t i = 0; i < RECORD_COUNT; i++) {
        struct entry entry = entry_of(work, i + 1);

        work->records_end = wal_entry_encode(work->records_end, &entry, 1, 77);
    }
    snprintf(work->directory, sizeof work->directory, "/tmp/kiwi-wal-XXXXXX");
    work->options = (struct wal_options){
        .directory = work->directory,
        .database = { { 1 } },
        .ring_bytes = ring_bytes,
        .tail_bytes = 4 << 20,
    };
    if (mkdtemp(work->directory) == NULL || io_open(IO_BACKEND_URING, &work->io) != KIWI_OK)
        return NULL;
    work->options.io = work->io;
    return wal_open(&work->options, &work->wal) == KIWI_OK ? work : NULL;
}

void wal_work_close(struct wal_work *work)
{
    char path[128];

    wal_close(work->wal);
    io_close(work->io);
    snprintf(path, sizeof path, "%s/wal", work->directory);
    unlink(path);
    snprintf(path, sizeof path, "%s/tail", work->directory);
    unlink(path);
    rmdir(work->directory);
    free(work->space);
    free(work->records);
    free(work);
}

void wal_work_append(struct wal_work *work, uint32_t count, uint32_t batch_count)
{
    struct entry entries[BATCH_MAX];

    assert(batch_count <= BATCH_MAX);
    for (uint32_t i = 0; i < count; i += batch_count) {
        struct wal_append append = { entries, batch_count, NULL, 0 };
        uint64_t          first = wal_appended_sequence(work->wal) + 1;

        for (uint32_t j = 0; j < batch_count; j++)
            entries[j] = entry_of(work, first + j);
        while (wal_append(work->wal, &append) != WAL_APPENDED)
            wal_work_cut(work);
    }
}

void wal_work_cut(struct wal_work *work)
{
    struct wal_group *group;

    while ((group = wal_group_cut(work->wal)) != NULL) {
        group->request.status = KIWI_OK;
        wal_group_done(work->wal, group);
    }
    wal_trim(work->wal, wal_position_now(work->wal));
}

int wal_work_write(struct wal_work *work)
{
    struct wal_group *group;

    while ((group = wal_group_cut(work->wal)) != NULL) {
        struct io_request *request = &group->request;

        request->status = io_file_write(request->file, request->buffer, request->bytes,
                                        request->offset);
        wal_group_done(work->wal, group);
    }
    return wal_ring_used_bytes(work->wal) + (2 << 20) < wal_ring_bytes(work->wal);
}

static enum kiwi_status count_entries(void *context, const struct wal_replayed *record)
{
    *(uint64_t *)context += record->count;
    return KIWI_OK;
}

uint64_t wal_work_replay(struct wal_work *work)
{
    struct wal_recovery recovery;
    uint64_t            count = 0;

    wal_close(work->wal);
    if (wal_open(&work->options, &work->wal) != KIWI_OK
        || wal_recover(work->wal, (struct wal_position){ 1, WAL_HEADER_BYTES }, 0, count_entries,
                       &count, &recovery) != KIWI_OK)
        abort();
    return count;
}

uint64_t wal_work_decode(struct wal_work *work)
{
    struct wal_record record;

    if (work->decode_at == work->records_end)
        work->decode_at = work->records;
    work->decode_at = wal_record_decode(work->decode_at, work->records_end, 1, 77, &record);
    assert(work->decode_at != NULL);
    return record.entry.sequence;
}
