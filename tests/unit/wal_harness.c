/*
 * wal_harness.c: see wal_harness.h.
 */
#include "tests/unit/wal_harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

uint64_t harness_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15ull;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

uint64_t harness_seed(void)
{
    const char *text = getenv("KIWI_SEED");
    uint64_t    seed = text != NULL ? strtoull(text, NULL, 0) : 20240917;

    print_message("seed %llu (KIWI_SEED)\n", (unsigned long long)seed);
    return seed;
}

struct entry harness_entry(const struct harness *harness, uint64_t sequence)
{
    static uint8_t *space[64];
    static size_t   space_bytes[64];
    uint64_t        state = sequence * 77;
    uint64_t        random = harness_random(&state);
    size_t          key_bytes = random % (harness->key_bytes + 1);
    size_t          value_bytes = (random >> 20) % (harness->value_bytes + 1);
    size_t          bytes;
    uint8_t       **at = &space[sequence % 64];
    bool            is_large = harness->large_every != 0 && sequence % harness->large_every == 0;

    if (is_large)
        value_bytes = harness->large_bytes;
    bytes = key_bytes + value_bytes;
    if (space_bytes[sequence % 64] < bytes + 16) {
        free(*at);
        *at = malloc(bytes + 16);
        space_bytes[sequence % 64] = bytes + 16;
    }
    memset(*at, (int)(random >> 56), bytes);
    memcpy(*at, &sequence, bytes < 8 ? bytes : 8);
    if (random % 7 == 0 && !is_large)
        return (struct entry){ bytes_of(*at, key_bytes), bytes_of(NULL, 0), sequence,
                               ENTRY_DELETE };
    return (struct entry){ bytes_of(*at, key_bytes), bytes_of(*at + key_bytes, value_bytes),
                           sequence, ENTRY_PUT };
}

static enum kiwi_status visit(void *context, const struct wal_replayed *record)
{
    struct harness *harness = context;

    for (uint32_t i = 0; i < record->count; i++) {
        const struct entry *got = &record->entries[i];
        struct entry        wanted = harness_entry(harness, got->sequence);

        if (got->sequence != harness->replayed_last + 1 || got->kind != wanted.kind
            || !bytes_equal(got->key, wanted.key) || !bytes_equal(got->value, wanted.value))
            harness->mismatch = got->sequence;
        harness->replayed_last = got->sequence;
    }
    for (uint32_t i = 0; i < record->part_count; i++)
        if (record->parts[i].shard != i
            || record->parts[i].sequence != record->entries[0].sequence + 1000 * i)
            harness->mismatch = record->entries[0].sequence;
    harness->replayed_count += record->count;
    harness->batch_count += record->count > 1 || record->part_count > 0;
    return KIWI_OK;
}

void harness_open_on(struct harness *harness, struct io *io, const char *directory,
                     uint64_t ring_bytes, uint64_t tail_bytes)
{
    *harness = (struct harness){
        .io = io,
        .position = { 1, WAL_HEADER_BYTES },
        .value_bytes = 200,
        .key_bytes = 30,
    };
    snprintf(harness->directory, sizeof harness->directory, "%s", directory);
    harness->options = (struct wal_options){
        .io = io,
        .directory = harness->directory,
        .database = { "0123456789abcdef" },
        .shard = 3,
        .ring_bytes = ring_bytes,
        .tail_bytes = tail_bytes,
    };
}

static void open_below(struct harness *harness, const char *parent, uint64_t ring_bytes,
                       uint64_t tail_bytes)
{
    char       directory[64];
    struct io *io = NULL;

    snprintf(directory, sizeof directory, "%s/kiwi-wal-XXXXXX", parent);

    assert_non_null(mkdtemp(directory));
    assert_int_equal(io_open(IO_BACKEND_POSIX, &io), KIWI_OK);
    harness_open_on(harness, io, directory, ring_bytes, tail_bytes);
    harness->owns_directory = true;
    assert_int_equal(harness_reopen(harness), KIWI_OK);
}

void harness_open(struct harness *harness, uint64_t ring_bytes, uint64_t tail_bytes)
{
    open_below(harness, "/tmp", ring_bytes, tail_bytes);
}

void harness_open_in_memory(struct harness *harness, uint64_t ring_bytes, uint64_t tail_bytes)
{
    open_below(harness, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", ring_bytes,
               tail_bytes);
}

void harness_close(struct harness *harness)
{
    static const char *const names[] = { "wal", "tail", "wal.new" };
    char path[512];

    harness_drop(harness);
    if (!harness->owns_directory)
        return;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        snprintf(path, sizeof path, "%s/%s", harness->directory, names[i]);
        unlink(path);
    }
    rmdir(harness->directory);
    io_close(harness->io);
}

enum kiwi_status harness_reopen(struct harness *harness)
{
    enum kiwi_status status;

    harness_drop(harness);
    status = wal_open(&harness->options, &harness->wal);
    if (status != KIWI_OK)
        return status;
    harness->replayed_last = harness->sequence_after;
    harness->replayed_count = harness->batch_count = harness->mismatch = 0;
    status = wal_recover(harness->wal, harness->position, harness->sequence_after, visit, harness,
                         &harness->recovery);
    assert_int_equal(harness->mismatch, 0);
    return status;
}

void harness_drop(struct harness *harness)
{
    /* The log insists that nothing is out when it is closed. */
    for (uint32_t i = 0; i < WAL_GROUPS_IN_FLIGHT; i++)
        if (harness->out[i] != NULL) {
            harness->out[i]->request.status = KIWI_IO;
            wal_group_done(harness->wal, harness->out[i]);
            harness->out[i] = NULL;
        }
    wal_close(harness->wal);
    harness->wal = NULL;
}

enum wal_verdict harness_append(struct harness *harness)
{
    struct entry entry = harness_entry(harness, wal_appended_sequence(harness->wal) + 1);

    return wal_append(harness->wal, &(struct wal_append){ &entry, 1, NULL, 0 });
}

enum wal_verdict harness_append_batch(struct harness *harness, uint32_t count,
                                      uint32_t part_count)
{
    struct entry    entries[60];
    struct wal_part parts[KIWI_SHARD_COUNT_MAX];
    uint64_t        first = wal_appended_sequence(harness->wal) + 1;

    assert_in_range(count, 1, 60);
    for (uint32_t i = 0; i < count; i++)
        entries[i] = harness_entry(harness, first + i);
    for (uint32_t i = 0; i < part_count; i++)
        parts[i] = (struct wal_part){ i, first + 1000 * i };
    return wal_append(harness->wal, &(struct wal_append){ entries, count, parts, part_count });
}

struct wal_group *harness_cut(struct harness *harness)
{
    struct wal_group *group = wal_group_cut(harness->wal);

    for (uint32_t i = 0; i < WAL_GROUPS_IN_FLIGHT && group != NULL; i++)
        if (harness->out[i] == NULL) {
            harness->out[i] = group;
            break;
        }
    return group;
}

void harness_group_write(struct harness *harness, struct wal_group *group)
{
    struct io_request *request = &group->request;

    for (uint32_t i = 0; i < WAL_GROUPS_IN_FLIGHT; i++)
        if (harness->out[i] == group)
            harness->out[i] = NULL;
    assert_int_equal(request->verb, IO_WRITE_SYNC);
    request->status = io_file_write(request->file, request->buffer, request->bytes,
                                    request->offset);
    if (request->status == KIWI_OK)
        request->status = io_file_sync(request->file);
    wal_group_done(harness->wal, group);
}

uint32_t harness_flush(struct harness *harness)
{
    struct wal_group *group;
    uint32_t          count = 0;

    while ((group = wal_group_cut(harness->wal)) != NULL) {
        harness_group_write(harness, group);
        count++;
    }
    return count;
}

void harness_trim(struct harness *harness)
{
    harness->position = wal_position_now(harness->wal);
    harness->sequence_after = wal_appended_sequence(harness->wal);
    wal_trim(harness->wal, harness->position);
}

static int file_open(const struct harness *harness, const char *name)
{
    char path[512];
    int  descriptor;

    snprintf(path, sizeof path, "%s/%s", harness->directory, name);
    descriptor = open(path, O_RDWR);
    assert_true(descriptor >= 0);
    return descriptor;
}

void harness_flip(const struct harness *harness, const char *name, uint64_t bit)
{
    int     descriptor = file_open(harness, name);
    uint8_t byte = 0;

    assert_int_equal(pread(descriptor, &byte, 1, (off_t)(bit / 8)), 1);
    byte ^= (uint8_t)(1u << bit % 8);
    assert_int_equal(pwrite(descriptor, &byte, 1, (off_t)(bit / 8)), 1);
    close(descriptor);
}

void harness_file_write(const struct harness *harness, const char *name, const void *bytes,
                        size_t count, uint64_t offset)
{
    int descriptor = file_open(harness, name);

    assert_int_equal(pwrite(descriptor, bytes, count, (off_t)offset), count);
    close(descriptor);
}

static uint8_t *file_read(const struct harness *harness, const char *name, size_t bytes)
{
    int      descriptor = file_open(harness, name);
    uint8_t *copy = malloc(bytes);

    assert_non_null(copy);
    assert_int_equal(pread(descriptor, copy, bytes, 0), bytes);
    close(descriptor);
    return copy;
}

void harness_tail_wipe(const struct harness *harness)
{
    uint8_t *zeros = calloc(1, harness->options.tail_bytes);

    harness_file_write(harness, "tail", zeros, harness->options.tail_bytes, 0);
    free(zeros);
}

struct harness_copy harness_copy_take(const struct harness *harness)
{
    struct harness_copy copy = {
        .ring_bytes = harness->options.ring_bytes + WAL_HEADER_BYTES,
        .tail_bytes = harness->options.tail_bytes,
    };

    copy.ring = file_read(harness, "wal", copy.ring_bytes);
    copy.tail = file_read(harness, "tail", copy.tail_bytes);
    return copy;
}

void harness_copy_restore(const struct harness *harness, const struct harness_copy *copy)
{
    harness_file_write(harness, "wal", copy->ring, copy->ring_bytes, 0);
    harness_file_write(harness, "tail", copy->tail, copy->tail_bytes, 0);
}

void harness_copy_free(struct harness_copy *copy)
{
    free(copy->ring);
    free(copy->tail);
}
