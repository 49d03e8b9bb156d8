/*
 * create.c: makes, opens and closes the two files of a log.
 *
 * A new ring is written in full under the name `wal.new`, so that the name `wal` never stands for a
 * half-made file; the tail is made and on stable media before that name appears. Writing zeros once
 * is what makes later appends overwrites: 24 instead of 5 thousand durable groups a second.
 */
#include <inttypes.h>
#include <stdio.h>

#include "core/base/memory.h"
#include "core/wal/wal_state.h"

#define PATH_BYTES_MAX 4096

static enum kiwi_status path_of(const struct wal_options *options, const char *name,
                                char path[PATH_BYTES_MAX])
{
    int size = snprintf(path, PATH_BYTES_MAX, "%s/%s", options->directory, name);

    if (size < 0 || size >= PATH_BYTES_MAX)
        return FAIL(KIWI_INVALID, "the path of the log is longer than %d bytes", PATH_BYTES_MAX);
    return KIWI_OK;
}

static enum kiwi_status options_check(const struct wal_options *options)
{
    if (options->ring_bytes < WAL_RING_BYTES_MIN || options->ring_bytes % WAL_PAGE_BYTES != 0)
        return FAIL(KIWI_INVALID, "ring_bytes %" PRIu64 ": a multiple of 4096 from %" PRIu64,
                    options->ring_bytes, (uint64_t)WAL_RING_BYTES_MIN);
    if (options->tail_bytes < WAL_TAIL_BYTES_MIN || options->tail_bytes % WAL_PAGE_BYTES != 0)
        return FAIL(KIWI_INVALID, "tail_bytes %" PRIu64 ": a multiple of 4096 from %" PRIu64,
                    options->tail_bytes, (uint64_t)WAL_TAIL_BYTES_MIN);
    return KIWI_OK;
}

static enum kiwi_status remove_leftover(struct io *io, const char *path)
{
    enum kiwi_status status = io_remove(io, path);

    return status == KIWI_NOT_FOUND ? KIWI_OK : status;
}

static struct wal_life *life_slot(uint8_t *header_block, uint64_t index)
{
    assert(index < WAL_LIFE_COUNT);
    return (void *)(header_block + WAL_LIFE_AT * (index + 1));
}

/* ---- creation ---- */

static enum kiwi_status tail_create(const struct wal_options *options)
{
    char             path[PATH_BYTES_MAX];
    struct io_file  *file = NULL;
    enum kiwi_status status;

    TRY(path_of(options, "tail", path));
    TRY(remove_leftover(options->io, path));
    TRY(io_file_open(options->io, path, IO_CREATE, &file));
    status = io_file_allocate(file, options->tail_bytes);
    if (status == KIWI_OK)
        status = io_file_sync(file);
    io_file_close(file);
    return status;
}

/* Header block with the first life, then zeros. */
static enum kiwi_status ring_write(struct io_file *file, const struct wal_options *options)
{
    uint64_t         end = WAL_HEADER_BYTES + options->ring_bytes;
    uint8_t         *buffer = memory_allocate_aligned(WAL_TRANSFER_BYTES, WAL_PAGE_BYTES);
    enum kiwi_status status = KIWI_OK;

    if (buffer == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory: %u bytes to write a new log", WAL_TRANSFER_BYTES);
    memset(buffer, 0, WAL_TRANSFER_BYTES);
    wal_file_header_build((void *)buffer, &options->database, options->shard, options->ring_bytes,
                          options->tail_bytes);
    wal_life_build(life_slot(buffer, 0), database_id_seed(&options->database), 1);
    for (uint64_t at = 0; at < end && status == KIWI_OK;) {
        uint64_t bytes = min_u64(WAL_TRANSFER_BYTES, end - at);

        status = io_file_write(file, buffer, bytes, at);
        if (at == 0)
            memset(buffer, 0, WAL_HEADER_BYTES);
        at += bytes;
    }
    if (status == KIWI_OK)
        status = io_file_sync(file);
    memory_free(buffer);
    return status;
}

static enum kiwi_status ring_create(const struct wal_options *options, const char *path)
{
    char             new_path[PATH_BYTES_MAX];
    struct io_file  *file = NULL;
    enum kiwi_status status;

    TRY(path_of(options, "wal.new", new_path));
    TRY(remove_leftover(options->io, new_path));
    TRY(tail_create(options));
    TRY(io_file_open(options->io, new_path, IO_CREATE | IO_DIRECT, &file));
    status = ring_write(file, options);
    io_file_close(file);
    TRY(status);
    TRY(io_directory_sync(options->io, options->directory));
    TRY(io_rename(options->io, new_path, path));
    return io_directory_sync(options->io, options->directory);
}

/* ---- opening ---- */

/* Says which file a header was refused in. */
static enum kiwi_status header_check(const struct wal *wal, const struct wal_file_header *header,
                                     uint64_t file_bytes)
{
    enum kiwi_status status = wal_file_header_check(header, &wal->database, wal->shard, file_bytes);
    char             text[256];

    if (status == KIWI_OK)
        return KIWI_OK;
    snprintf(text, sizeof text, "%s", fail_text());
    return FAIL(status, "%s, offset 0: %s", io_file_path(wal->ring_file), text);
}

/* Reads the header block: what the file is, and the newest life. */
static enum kiwi_status header_read(struct wal *wal, uint64_t *tail_bytes)
{
    const struct wal_file_header *header;
    uint64_t         file_bytes = 0;
    uint8_t         *block = memory_allocate_aligned(WAL_HEADER_BYTES, WAL_PAGE_BYTES);
    enum kiwi_status status;

    if (block == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory: %u bytes to open a log", WAL_HEADER_BYTES);
    status = io_file_size(wal->ring_file, &file_bytes);
    if (status == KIWI_OK && file_bytes < WAL_HEADER_BYTES)
        status = FAIL(KIWI_CORRUPT, "%s has only %" PRIu64 " bytes", io_file_path(wal->ring_file),
                      file_bytes);
    if (status == KIWI_OK)
        status = io_file_read(wal->ring_file, block, WAL_HEADER_BYTES, 0);
    header = (const void *)block;
    if (status == KIWI_OK)
        status = header_check(wal, header, file_bytes);
    if (status == KIWI_OK) {
        wal->ring.bytes = le64_get(header->ring_bytes);
        *tail_bytes = le64_get(header->tail_bytes);
        for (uint32_t i = 0; i < WAL_LIFE_COUNT; i++) {
            const struct wal_life *life = life_slot(block, i);
            uint64_t               log_id = wal_life_check(life, wal->identity.identity);

            wal->log_id = max_u64(wal->log_id, log_id);
            wal->life_is_damaged |= log_id == 0 && le64_get(life->magic) != 0;
        }
        if (wal->log_id == 0)
            status = FAIL(KIWI_CORRUPT, "%s: no life of the log verifies, at offset %u",
                          io_file_path(wal->ring_file), WAL_LIFE_AT);
    }
    memory_free(block);
    return status;
}

/* The slot of the life that is known to be the newest. */
static enum kiwi_status life_find(const struct wal *wal, uint8_t *block, uint64_t *slot)
{
    for (*slot = 0; *slot < WAL_LIFE_COUNT; (*slot)++)
        if (wal_life_check(life_slot(block, *slot), wal->identity.identity) == wal->log_id)
            return KIWI_OK;
    return FAIL(KIWI_CORRUPT, "%s: life %" PRIu64 " of the log, read a moment ago, is not there, "
                "at offset %u", io_file_path(wal->ring_file), wal->log_id, WAL_LIFE_AT);
}

enum kiwi_status wal_life_begin(struct wal *wal, uint64_t log_id)
{
    uint8_t         *block = memory_allocate_aligned(WAL_HEADER_BYTES, WAL_PAGE_BYTES);
    uint64_t         newest = 0;
    enum kiwi_status status;

    assert(log_id > wal->log_id);
    if (block == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory: %u bytes to open a log", WAL_HEADER_BYTES);
    status = io_file_read(wal->ring_file, block, WAL_HEADER_BYTES, 0);
    /* It is written back: a transfer that went wrong must not become damage. */
    if (status == KIWI_OK)
        status = header_check(wal, (const void *)block, WAL_HEADER_BYTES + wal->ring.bytes);
    if (status == KIWI_OK)
        status = life_find(wal, block, &newest);
    if (status == KIWI_OK) {
        /* The newest life's slot stays as it is until the new one is on stable media. */
        wal_life_build(life_slot(block, (newest + 1) % WAL_LIFE_COUNT), wal->identity.identity,
                       log_id);
        status = io_file_write(wal->ring_file, block, WAL_HEADER_BYTES, 0);
    }
    if (status == KIWI_OK)
        status = io_file_sync(wal->ring_file);
    memory_free(block);
    if (status == KIWI_OK)
        wal->log_id = log_id;
    return status;
}

static enum kiwi_status tail_copy(struct wal *wal)
{
    wal->tail_address = memory_allocate_aligned(wal->tail.bytes, WAL_PAGE_BYTES);
    if (wal->tail_address == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory: %" PRIu64 " bytes to read a log's tail",
                    wal->tail.bytes);
    return io_file_read(wal->tail_file, wal->tail_address, wal->tail.bytes, 0);
}

static enum kiwi_status tail_open(struct wal *wal, const char *path, uint64_t tail_bytes)
{
    uint64_t         file_bytes = 0;
    unsigned         flags = wal->is_read_only ? IO_READ_ONLY : 0;
    enum kiwi_status status = io_file_open(wal->io, path, flags, &wal->tail_file);

    if (status == KIWI_NOT_FOUND)
        return FAIL(KIWI_CORRUPT, "%s is missing beside its log", path);
    TRY(status);
    TRY(io_file_size(wal->tail_file, &file_bytes));
    if (file_bytes < tail_bytes)
        return FAIL(KIWI_CORRUPT, "%s has %" PRIu64 " bytes, the log says %" PRIu64, path,
                    file_bytes, tail_bytes);
    wal->tail.bytes = tail_bytes;
    return wal->is_read_only ? tail_copy(wal)
                             : io_map(wal->tail_file, tail_bytes, &wal->tail_is_lost,
                                      &wal->tail_address);
}

/* The tail is made before the ring, full of zeros, and used only with it: a tail that has been used
 * is the rest of a log whose ring somebody has taken away. */
static enum kiwi_status ring_missing_check(const struct wal_options *options, const char *path,
                                           const char *tail_path)
{
    struct wal_group_header header = { 0 };
    struct io_file         *file;
    uint64_t                bytes;
    enum kiwi_status        status = io_file_open(options->io, tail_path, IO_READ_ONLY, &file);

    if (status == KIWI_NOT_FOUND)
        return KIWI_OK;
    TRY(status);
    status = io_file_size(file, &bytes);
    if (status == KIWI_OK && bytes >= sizeof header)
        status = io_file_read(file, &header, sizeof header, 0);
    io_file_close(file);
    TRY(status);
    if (le32_get(header.magic) != WAL_GROUP_MAGIC)
        return KIWI_OK;
    return FAIL(KIWI_CORRUPT, "%s is missing, and its tail has been used: %s", path, tail_path);
}

static enum kiwi_status files_open(struct wal *wal, const struct wal_options *options)
{
    char             path[PATH_BYTES_MAX], tail_path[PATH_BYTES_MAX];
    uint64_t         tail_bytes = 0;
    unsigned         flags = IO_DIRECT | (options->is_read_only ? IO_READ_ONLY : 0);
    enum kiwi_status status;

    TRY(path_of(options, "wal", path));
    TRY(path_of(options, "tail", tail_path));
    status = io_file_open(wal->io, path, flags, &wal->ring_file);
    if (status == KIWI_NOT_FOUND)
        TRY(ring_missing_check(options, path, tail_path));
    if (status == KIWI_NOT_FOUND && options->is_read_only) {
        wal->is_new = true;
        wal->ring.bytes = options->ring_bytes;
        return KIWI_OK;
    }
    if (status == KIWI_NOT_FOUND) {
        TRY(ring_create(options, path));
        wal->is_new = true;
        status = io_file_open(wal->io, path, IO_DIRECT, &wal->ring_file);
    }
    TRY(status);
    TRY(header_read(wal, &tail_bytes));
    return tail_open(wal, tail_path, tail_bytes);
}

enum kiwi_status wal_open(const struct wal_options *options, struct wal **out)
{
    struct wal      *wal;
    enum kiwi_status status;

    *out = NULL;
    TRY(options_check(options));
    wal = memory_allocate_aligned(sizeof *wal, CACHE_LINE_BYTES);
    if (wal == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory: %zu bytes for a log", sizeof *wal);
    *wal = (struct wal){
        .io = options->io,
        .database = options->database,
        .shard = options->shard,
        .is_read_only = options->is_read_only,
        .identity = { .identity = database_id_seed(&options->database), .shard = options->shard },
        .next_number = 1,
        .oldest = 1,
        .next_out = 1,
        .trimmed_group = 1,
    };
    if ((status = files_open(wal, options)) != KIWI_OK) goto fail;
    wal->seed = wal_seed(wal->identity.identity, wal->shard, wal->log_id);
    wal->is_ready = wal->is_new;
    *out = wal;
    return KIWI_OK;
fail:
    wal_close(wal);
    return status;
}

void wal_close(struct wal *wal)
{
    if (wal == NULL)
        return;
    assert(wal->out_count == 0);
    for (uint32_t i = 0; i < WAL_SLOT_COUNT; i++)
        memory_free(wal->slots[i].heap);
    memory_free(wal->spare);
    if (wal->is_read_only)
        memory_free(wal->tail_address);
    else if (wal->tail_address != NULL)
        io_unmap(wal->tail_file, wal->tail_address, wal->tail.bytes);
    io_file_close(wal->tail_file);
    io_file_close(wal->ring_file);
    memory_free(wal);
}
