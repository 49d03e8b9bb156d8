/*
 * version_world.c: see version_world.h.
 */
#include "version_world.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- chance ---- */

uint64_t world_seed(void)
{
    const char *text = getenv("KIWI_SEED");
    uint64_t    seed = text != NULL ? strtoull(text, NULL, 0) : 20260731u;

    print_message("KIWI_SEED=%" PRIu64 "\n", seed);
    return seed;
}

uint32_t world_random(uint64_t *chance, uint32_t bound)
{
    *chance += 0x9e3779b97f4a7c15ull;
    return (uint32_t)(hash_mix(*chance, 11) >> 33) % bound;
}

/* ---- the directory ---- */

static void world_prepare(struct world *world)
{
    memcpy(world->database.bytes, "a test database.", 16);
    world->shard = 3;
    world->switch_bytes = 32768;
    world->pool_bytes_max = 1 << 20;
    assert_int_equal(buffers_open(4 << 20, &world->buffers), KIWI_OK);
}

void world_open(struct world *world)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    *world = (struct world){ 0 };
    snprintf(world->directory, sizeof world->directory, "%s/kiwi-version-XXXXXX", base);
    assert_non_null(mkdtemp(world->directory));
    assert_int_equal(io_open(IO_BACKEND_POSIX, &world->io), KIWI_OK);
    world_prepare(world);
}

void world_open_on(struct world *world, struct io *io, const char *directory)
{
    *world = (struct world){ .io = io };
    snprintf(world->directory, sizeof world->directory, "%s", directory);
    world_prepare(world);
}

/* Calls visit for each name that starts with prefix. */
static void names_walk(const struct world *world, const char *prefix,
                       void (*visit)(void *context, const char *name), void *context)
{
    DIR *directory = opendir(world->directory);

    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (entry->d_name[0] != '.' && strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            visit(context, entry->d_name);
    }
    closedir(directory);
}

static void path_of(const struct world *world, const char *name, char path[600])
{
    snprintf(path, 600, "%s/%s", world->directory, name);
}

void world_remove(const struct world *world, const char *name)
{
    char path[600];

    path_of(world, name, path);
    assert_int_equal(unlink(path), 0);
}

bool world_has(const struct world *world, const char *name)
{
    char path[600];

    path_of(world, name, path);
    return access(path, F_OK) == 0;
}

static void remove_visit(void *context, const char *name)
{
    world_remove(context, name);
}

void world_close(struct world *world)
{
    assert_null(world->manifest);
    buffers_close(world->buffers);
    names_walk(world, "", remove_visit, world);
    assert_int_equal(rmdir(world->directory), 0);
    io_close(world->io);
}

void world_file_write(const struct world *world, const char *name, const void *bytes, size_t size,
                      uint64_t offset)
{
    char path[600];
    int  fd;

    path_of(world, name, path);
    fd = open(path, O_RDWR | O_CREAT, 0644);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, (off_t)offset), (ssize_t)size);
    close(fd);
}

struct copy_walk {
    const struct world *world;
    struct world_copy  *copy;
};

static void copy_visit(void *context, const char *name)
{
    struct copy_walk  *walk = context;
    struct world_file *file = &walk->copy->files[walk->copy->count++];
    struct stat        facts;
    char               path[600];
    int                fd;

    assert_true(walk->copy->count <= ARRAY_COUNT(walk->copy->files));
    snprintf(file->name, sizeof file->name, "%.31s", name);
    path_of(walk->world, name, path);
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &facts), 0);
    file->size = (size_t)facts.st_size;
    file->bytes = malloc(file->size + 1);
    assert_non_null(file->bytes);
    assert_int_equal(pread(fd, file->bytes, file->size, 0), (ssize_t)file->size);
    close(fd);
}

void world_copy_take(const struct world *world, const char *prefix, struct world_copy *copy)
{
    struct copy_walk walk = { world, copy };

    copy->count = 0;
    names_walk(world, prefix, copy_visit, &walk);
}

static void restore_visit(void *context, const char *name)
{
    const struct copy_walk *walk = context;

    for (uint32_t i = 0; i < walk->copy->count; i++) {
        if (strcmp(walk->copy->files[i].name, name) == 0)
            return;
    }
    world_remove(walk->world, name);
}

void world_copy_restore(const struct world *world, const char *prefix,
                        const struct world_copy *copy)
{
    struct copy_walk walk = { world, (struct world_copy *)(uintptr_t)copy };

    names_walk(world, prefix, restore_visit, &walk);
    for (uint32_t i = 0; i < copy->count; i++) {
        const struct world_file *file = &copy->files[i];
        char                     path[600];

        path_of(world, file->name, path);
        world_file_write(world, file->name, file->bytes, file->size, 0);
        assert_int_equal(truncate(path, (off_t)file->size), 0);
    }
}

void world_copy_free(struct world_copy *copy)
{
    for (uint32_t i = 0; i < copy->count; i++)
        free(copy->files[i].bytes);
    copy->count = 0;
}

/* ---- opening and closing ---- */

enum kiwi_status world_start(struct world *world)
{
    struct manifest_options options = {
        .io = world->io,
        .directory = world->directory,
        .database = world->database,
        .shard = world->shard,
        .switch_bytes = world->switch_bytes,
    };
    struct table_files_options files = { world->io, world->directory, world->pool_bytes_max };
    enum kiwi_status           status;

    assert_null(world->manifest);
    if ((status = version_set_open(&world->set)) != KIWI_OK)
        goto fail;
    if ((status = manifest_open(&options, world->set, &world->manifest, &world->state)) != KIWI_OK)
        goto fail;
    if ((status = table_files_open(&files, world->manifest, &world->files)) != KIWI_OK)
        goto fail;
    if ((status = table_files_adopt(world->files, version_present(world->set))) != KIWI_OK)
        goto fail;
    return KIWI_OK;
fail:
    world_stop(world);
    return status;
}

void world_stop(struct world *world)
{
    table_files_close(world->files);
    manifest_close(world->manifest);
    version_set_close(world->set);
    world->files = NULL;
    world->manifest = NULL;
    world->set = NULL;
}

void world_drop(struct world *world)
{
    const struct version_edit nothing = { 0 };
    struct manifest_write     write;

    /* With an edit out there is no clean end. */
    if (!manifest_is_busy(world->manifest) && manifest_status(world->manifest) == KIWI_OK)
        assert_int_equal(manifest_edit_start(world->manifest, &nothing, &write), KIWI_OK);
    world_stop(world);
}

/* ---- tables ---- */

struct bytes world_key(uint32_t n)
{
    static char keys[16][24];
    static int  next;
    char       *key = keys[next++ % 16];
    int         size = snprintf(key, sizeof keys[0], "key%08" PRIu32, n);

    return bytes_of(key, (size_t)size);
}

/* Of a key made by world_key; its bytes may end where their memory ends. */
static uint32_t world_number(struct bytes key)
{
    char text[24] = { 0 };

    assert_true(key.size > 3 && key.size < sizeof text);
    memcpy(text, key.data, key.size);
    return (uint32_t)strtoul(text + 3, NULL, 10);
}

static enum kiwi_status chunks_write(struct table_writer *writer, struct io_file *file)
{
    struct table_chunk chunk;
    enum kiwi_status   status = KIWI_OK;

    while (table_writer_chunk_take(writer, &chunk)) {
        if (status == KIWI_OK)
            status = io_file_write(file, chunk.data, chunk.bytes, chunk.offset);
        table_writer_chunk_give(writer, &chunk);
    }
    return status;
}

static enum kiwi_status entry_add(struct table_writer *writer, struct bytes key, uint64_t sequence)
{
    struct entry entry = { key, bytes_of("value", 5), sequence, ENTRY_PUT };

    return table_writer_add(writer, &entry, hash_key(key, 1));
}

enum kiwi_status world_table(struct world *world, struct bytes first, struct bytes last,
                             struct table **out)
{
    struct table_writer_options options = {
        .buffers = world->buffers,
        .database = world->database,
        .expected_entries = 2,
        .average_entry_bytes = first.size + 5,
        .filter_bits_per_key = 10,
        .hash_seed = 1,
    };
    struct table_writer *writer = NULL;
    struct io_file      *file = NULL;
    enum kiwi_status     status;
    bool                 is_new;

    if ((status = table_files_take(world->files, 65536, &file, &options.file_id, &is_new))
        != KIWI_OK)
        goto fail;
    if (is_new && (status = io_directory_sync(world->io, world->directory)) != KIWI_OK)
        goto fail;
    options.table_id = manifest_table_id_take(world->manifest);
    if ((status = table_writer_open(&options, &writer)) != KIWI_OK)
        goto fail;
    if ((status = entry_add(writer, first, options.table_id)) != KIWI_OK)
        goto fail;
    if (!bytes_equal(first, last)
        && (status = entry_add(writer, last, options.table_id)) != KIWI_OK)
        goto fail;
    if ((status = table_writer_finish(writer)) != KIWI_OK)
        goto fail;
    if ((status = chunks_write(writer, file)) != KIWI_OK)
        goto fail;
    if ((status = io_file_sync(file)) != KIWI_OK)
        goto fail;
    if ((status = table_writer_table(writer, file, out)) != KIWI_OK)
        goto fail;
    file = NULL;
fail:
    table_writer_close(writer);
    if (file != NULL)
        table_files_give(world->files, file, options.file_id, false);
    return status;
}

void world_table_drop(struct world *world, struct table *table)
{
    struct io_file *file = table->file;
    uint64_t        file_id = table->info.file_id;
    char           *path;

    table->file = NULL;
    table_close(table);
    table_files_give(world->files, file, file_id, false);
    while ((path = table_files_excess_take(world->files, 0)) != NULL) {
        enum kiwi_status status = io_remove(world->io, path);

        assert_true(status == KIWI_OK || status == KIWI_IO || status == KIWI_FULL); /* as told to */
        memory_free(path);
    }
}

void world_recycle(struct world *world)
{
    for (struct table *table; (table = version_obsolete_take(world->set)) != NULL;)
        world_table_drop(world, table);
}

static void request_done(struct io_request *request)
{
    request->reserved = 1;
}

static enum kiwi_status request_run(struct world *world, struct io_request *request)
{
    assert_int_equal(request->verb, IO_WRITE_SYNC);
    if (world->queue == NULL) {
        TRY(io_file_write(request->file, request->buffer, request->bytes, request->offset));
        return io_file_sync(request->file);
    }
    request->done = request_done;
    request->reserved = 0;
    io_queue_add(world->queue, request);
    while (request->reserved == 0)
        io_queue_poll(world->queue, UINT64_MAX);
    return request->status;
}

enum kiwi_status world_write(struct world *world, struct manifest_write *write)
{
    for (uint32_t i = 0; i < write->count; i++)
        TRY(request_run(world, &write->requests[i]));
    return KIWI_OK;
}

static char *picture_of(const struct world *world, uint64_t flushed_sequence);

enum kiwi_status world_edit(struct world *world, const struct version_edit *edit)
{
    struct manifest_write write;
    uint64_t              flushed = manifest_flushed_sequence(world->manifest);

    TRY(version_apply(world->set, edit));
    if (world->keeps_pictures) {
        memory_free(world->pending);
        world->pending = picture_of(world, max_u64(flushed, edit->flushed_sequence));
    }
    TRY(manifest_edit_start(world->manifest, edit, &write));
    assert_true(write.count >= 1);
    assert_true(write.count <= MANIFEST_REQUEST_MAX);
    assert_true(manifest_is_busy(world->manifest));
    world_recycle(world); /* what the edit frees is obsolete already; nothing may touch it yet */
    enum kiwi_status status = world_write(world, &write);
    manifest_edit_done(world->manifest, status);
    if (status == KIWI_OK && world->keeps_pictures) {
        memory_free(world->durable);
        world->durable = world->pending;
        world->pending = NULL;
    }
    if (status == KIWI_OK)
        world_recycle(world);
    return status;
}

enum kiwi_status world_add(struct world *world, uint32_t first, uint32_t last, uint32_t level,
                           uint64_t run_id)
{
    struct edit_added   added = { NULL, level, run_id };
    struct version_edit edit = { .added = &added, .added_count = 1 };

    TRY(world_table(world, world_key(first), world_key(last), &added.table));
    edit.flushed_sequence = added.table->info.sequence_max;
    edit.log_position = (struct wal_position){ added.table->info.id, 4096 * added.table->info.id };
    return world_edit(world, &edit);
}

/* ---- random edits ---- */

#define RANDOM_TABLES 24u

enum kiwi_status world_random_edit(struct world *world, uint64_t *chance)
{
    const struct version *version = version_present(world->set);
    struct edit_added     added[2];
    uint64_t              removed[2];
    struct edit_narrowed  narrowed[1];
    struct version_edit   edit = { added, 0, removed, 0, narrowed, 0, 0, { 0, 0 } };
    const struct run     *runs[64];
    uint32_t              levels[64], run_count = 0, table_count = 0;

    for (uint32_t i = 0; i < version->level_count; i++) {
        for (uint32_t k = 0; k < version->levels[i].run_count && run_count < 64; k++) {
            levels[run_count] = i;
            runs[run_count++] = version->levels[i].runs[k];
            table_count += version->levels[i].runs[k]->table_count;
        }
    }
    uint32_t run_index = run_count > 0 ? world_random(chance, run_count) : 0;
    uint32_t what = run_count == 0 ? 0 : world_random(chance, 10);
    if (table_count > RANDOM_TABLES)
        what = 9;
    if (what < 4) { /* a flush, or the next output of a merge */
        uint32_t level = world_random(chance, 3);
        uint64_t run_id = manifest_run_id_take(world->manifest);
        struct bytes first = world_key(world_random(chance, 1000));

        if (run_count > 0 && what < 2) {
            struct bytes end = runs[run_index]->places[runs[run_index]->table_count - 1]
                                   .table->info.largest;
            uint32_t     n = world_number(end);

            level = levels[run_index];
            run_id = runs[run_index]->id;
            first = world_key(n + 1 + world_random(chance, 50));
        }
        uint32_t n = world_number(first);
        TRY(world_table(world, first, world_key(n + world_random(chance, 100)), &added[0].table));
        added[0].level = level;
        added[0].run_id = run_id;
        edit.added_count = 1;
        edit.flushed_sequence = added[0].table->info.sequence_max;
        edit.log_position = (struct wal_position){ added[0].table->info.id, 4096 };
    } else if (what < 6) { /* narrow */
        const struct table_place *place =
            &runs[run_index]->places[world_random(chance, runs[run_index]->table_count)];
        struct bytes largest = place->table->info.largest;
        uint32_t     n = world_number(largest);
        struct bytes above = world_key(n - (n == 0 ? 0 : 1 + world_random(chance, n)));

        if ((place->above.data == NULL || bytes_compare(place->above, above) < 0)
            && bytes_compare(above, largest) < 0) {
            narrowed[0] = (struct edit_narrowed){ place->table->info.id, above };
            edit.narrowed_count = 1;
        }
    } else { /* remove; the first one perhaps moves */
        struct table *table = runs[run_index]->places[0].table;

        removed[edit.removed_count++] = table->info.id;
        if (what == 6) {
            added[0] = (struct edit_added){ table, world_random(chance, 4),
                                            manifest_run_id_take(world->manifest) };
            edit.added_count = 1;
        } else if (runs[run_index]->table_count > 1)
            removed[edit.removed_count++] = runs[run_index]->places[1].table->info.id;
    }
    return world_edit(world, &edit);
}

/* ---- the picture ---- */

static void key_print(FILE *stream, struct bytes key)
{
    fprintf(stream, "%zu:%016" PRIx64, key.size, hash_checksum(key.data, key.size, 5));
}

static void place_print(FILE *stream, const struct table_place *place)
{
    const struct table_info *info = &place->table->info;

    fprintf(stream, "  %" PRIu64 " t-%08" PRIx64 " %" PRIu64 " B %" PRIu64 " data %" PRIu64
            " entries %" PRIu64 "+%" PRIu64 " raw %" PRIu64 "..%" PRIu64 " %016" PRIx64 " ",
            info->id, info->file_id, info->file_bytes, info->data_bytes, info->entry_count,
            info->tombstone_count, info->raw_bytes, info->sequence_min, info->sequence_max,
            info->footer_checksum);
    key_print(stream, info->smallest);
    fputc(' ', stream);
    key_print(stream, info->largest);
    if (place->above.data != NULL) {
        fputs(" above ", stream);
        key_print(stream, place->above);
    }
    fputc('\n', stream);
}

static char *picture_of(const struct world *world, uint64_t flushed_sequence)
{
    const struct version *version = version_present(world->set);
    char                 *text = NULL, *copy;
    size_t                size = 0;
    FILE                 *stream = open_memstream(&text, &size);

    assert_non_null(stream);
    fprintf(stream, "flushed %" PRIu64 "\n", flushed_sequence);
    for (uint32_t i = 0; i < version->level_count; i++) {
        for (uint32_t k = 0; k < version->levels[i].run_count; k++) {
            const struct run *run = version->levels[i].runs[k];

            fprintf(stream, " L%" PRIu32 " run %" PRIu64 "\n", i, run->id);
            for (uint32_t n = 0; n < run->table_count; n++)
                place_print(stream, &run->places[n]);
        }
    }
    fclose(stream);
    copy = memory_allocate(size + 1);
    assert_non_null(copy);
    memcpy(copy, text, size + 1);
    free(text);
    return copy;
}

char *world_picture(const struct world *world)
{
    return picture_of(world, manifest_flushed_sequence(world->manifest));
}

/* ---- expectations ---- */

void world_started(struct world *world)
{
    if (world_start(world) != KIWI_OK)
        fail_msg("%s", fail_text());
}

void world_opens_as(struct world *world, const char *picture)
{
    char *again;

    world_started(world);
    again = world_picture(world);
    assert_string_equal(again, picture);
    memory_free(again);
    world_stop(world);
}

void world_opens_corrupt(struct world *world, const char *word)
{
    enum kiwi_status status = world_start(world);

    if (status == KIWI_OK)
        world_stop(world);
    assert_int_equal(status, KIWI_CORRUPT);
    if (strstr(fail_text(), word) == NULL)
        fail_msg("'%s' is not named in: %s", word, fail_text());
}

char *world_history(struct world *world, struct world_copy *copy)
{
    uint64_t before;
    char    *picture;
    uint32_t key = 0;

    world_open(world);
    world->switch_bytes = 24576;
    world_started(world);
    manifest_run_id_take(world->manifest);
    for (uint32_t switches = 0; switches < 3; key += 10) {
        before = manifest_written_bytes(world->manifest);
        assert_int_equal(world_add(world, key, key + 4, 2, 1), KIWI_OK);
        switches += manifest_written_bytes(world->manifest) - before > 8192;
    }
    assert_int_equal(world_add(world, key, key + 4, 2, 1), KIWI_OK);
    picture = world_picture(world);
    world_stop(world);
    world_copy_take(world, "manifest", copy);
    assert_int_equal(copy->count, 2);
    return picture;
}

/* ---- looking into the tables ---- */

static enum kiwi_status key_check(const struct table *table, struct bytes key, uint8_t *block)
{
    struct table_get  get;
    enum table_answer answer =
        table_get_start(&get, table, key, hash_key(key, 1), SEQUENCE_MAX);

    while (answer == TABLE_WANTS_BLOCK) {
        assert_true(get.wanted.bytes <= 1u << 20);
        TRY(io_file_read(table->file, block, get.wanted.bytes, get.wanted.offset));
        TRY(table_block_check(table, get.wanted, block));
        answer = table_get_step(&get, block);
    }
    assert_int_equal(answer, TABLE_FOUND);
    return KIWI_OK;
}

static enum kiwi_status table_check(const struct table *table, uint8_t *block)
{
    TRY(key_check(table, table->info.smallest, block));
    return key_check(table, table->info.largest, block);
}

enum kiwi_status world_tables_check(const struct world *world)
{
    const struct version *version = version_present(world->set);
    uint8_t              *block = memory_allocate_aligned(1 << 20, 4096);
    enum kiwi_status      status = KIWI_OK;

    assert_non_null(block);
    for (uint32_t i = 0; i < version->level_count; i++) {
        for (uint32_t k = 0; k < version->levels[i].run_count; k++) {
            const struct run *run = version->levels[i].runs[k];

            for (uint32_t n = 0; n < run->table_count && status == KIWI_OK; n++)
                status = table_check(run->places[n].table, block);
        }
    }
    memory_free(block);
    return status;
}
