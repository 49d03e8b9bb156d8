/*
 * table_files.c: the files that tables stand in, given out again instead of removed.
 *
 * Overwriting is twice as fast as writing a new file. Removing one takes 10 to 20 ms of the device
 * where the file system discards at once, and log writes stand behind it. So a dropped table's file
 * goes to a pool, and what the pool need not keep is removed while few writes come. It stays
 * untouched until the edit that dropped the table is durable: before that a crash would bring the
 * table back.
 */
#include "core/version/manifest_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"

/* A file of up to this much more than what is asked for is still a good fit. */
#define SLACK_BYTES_MAX (8ull << 20)
#define NEW_NAME_TRIES  64u

struct pooled {
    uint64_t file_id;
    uint64_t bytes;
    uint64_t change; /* edits applied when it came: free once so many are durable */
    bool     is_new; /* nobody has synced its name */
};

struct table_files {
    struct io       *io;
    char            *directory;
    struct io_file  *directory_file; /* for syncs; opening it again can take milliseconds */
    struct manifest *manifest;       /* borrowed */
    uint64_t         pool_bytes_max, pool_bytes;
    struct pooled   *pool;       /* oldest first */
    uint32_t         count, capacity;
};

enum kiwi_status table_files_open(const struct table_files_options *options,
                                  struct manifest *manifest, struct table_files **out)
{
    struct table_files *files = memory_allocate_zeroed(sizeof *files);
    enum kiwi_status    status;

    *out = NULL;
    if (files != NULL)
        files->directory = manifest_path(options->directory, "");
    if (files == NULL || files->directory == NULL) {
        table_files_close(files);
        return FAIL(KIWI_NO_MEMORY, "no memory for the table files of %s", options->directory);
    }
    files->directory[strlen(options->directory)] = 0;
    files->io = options->io;
    files->manifest = manifest;
    files->pool_bytes_max = options->pool_bytes_max;
    status = io_file_open(files->io, files->directory, IO_DIRECTORY | IO_READ_ONLY,
                          &files->directory_file);
    if (status != KIWI_OK) {
        table_files_close(files);
        return status;
    }
    *out = files;
    return KIWI_OK;
}

void table_files_close(struct table_files *files)
{
    if (files == NULL)
        return;
    io_file_close(files->directory_file);
    memory_free(files->pool);
    memory_free(files->directory);
    memory_free(files);
}

struct io_file *table_files_directory(const struct table_files *files)
{
    return files->directory_file;
}

uint64_t table_files_pool_bytes(const struct table_files *files)
{
    return files->pool_bytes;
}

/* ---- the pool ---- */

static bool pool_add(struct table_files *files, struct pooled pooled)
{
    if (files->count == files->capacity) {
        uint32_t       capacity = files->capacity * 2 + 8;
        struct pooled *grown = memory_resize(files->pool, capacity * sizeof *grown);

        if (grown == NULL)
            return false;
        files->pool = grown;
        files->capacity = capacity;
    }
    files->pool[files->count++] = pooled;
    files->pool_bytes += pooled.bytes;
    return true;
}

static struct pooled pool_remove(struct table_files *files, uint32_t index)
{
    struct pooled pooled = files->pool[index];

    assert(index < files->count);
    assert(files->pool_bytes >= pooled.bytes);
    files->count--;
    memmove(&files->pool[index], &files->pool[index + 1],
            (files->count - index) * sizeof *files->pool);
    files->pool_bytes -= pooled.bytes;
    return pooled;
}

static bool pooled_is_free(const struct table_files *files, const struct pooled *pooled)
{
    return pooled->change <= manifest_changes_durable(files->manifest);
}

/* The smallest free file that holds bytes without waste, else the largest smaller one, which is
 * then grown; files->count when there is none. Beyond its limit the pool has files to waste. */
static uint32_t pool_choose(const struct table_files *files, uint64_t bytes)
{
    uint32_t fit = files->count, smaller = files->count;
    uint64_t slack = files->pool_bytes > files->pool_bytes_max
                   ? UINT64_MAX : max_u64(SLACK_BYTES_MAX, bytes / 2);

    for (uint32_t i = 0; i < files->count; i++) {
        const struct pooled *pooled = &files->pool[i];

        if (!pooled_is_free(files, pooled))
            continue;
        if (pooled->bytes < bytes) {
            if (smaller == files->count || pooled->bytes > files->pool[smaller].bytes)
                smaller = i;
        } else if (pooled->bytes - bytes <= slack) {
            if (fit == files->count || pooled->bytes < files->pool[fit].bytes)
                fit = i;
        }
    }
    return fit != files->count ? fit : smaller;
}

/* ---- taking ---- */

static enum kiwi_status file_open(const struct table_files *files, uint64_t file_id, unsigned flags,
                                  struct io_file **file)
{
    char            *path = table_file_path(files->directory, file_id);
    enum kiwi_status status;

    if (path == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for the path of a table file");
    status = io_file_open(files->io, path, flags | IO_DIRECT, file);
    memory_free(path);
    return status;
}

static enum kiwi_status pooled_take(struct table_files *files, uint32_t index,
                                    struct io_file **file, uint64_t *file_id, bool *is_new)
{
    struct pooled pooled = pool_remove(files, index);

    *file_id = pooled.file_id;
    *is_new = pooled.is_new;
    /* Out of the pool also when it cannot be opened: whatever is wrong with it stays with it. */
    return file_open(files, pooled.file_id, 0, file);
}

static enum kiwi_status new_take(struct table_files *files, struct io_file **file,
                                 uint64_t *file_id)
{
    enum kiwi_status status = KIWI_INVALID;

    for (uint32_t i = 0; status == KIWI_INVALID && i < NEW_NAME_TRIES; i++) {
        *file_id = manifest_file_id_take(files->manifest);
        status = file_open(files, *file_id, IO_CREATE | IO_EXCLUSIVE, file);
    }
    return status;
}

enum kiwi_status table_files_take(struct table_files *files, uint64_t bytes,
                                  struct io_file **file, uint64_t *file_id, bool *is_new)
{
    uint32_t index = pool_choose(files, bytes);

    *file = NULL;
    *is_new = false;
    if (index != files->count) {
        enum kiwi_status status = pooled_take(files, index, file, file_id, is_new);

        if (status != KIWI_NOT_FOUND) /* somebody removed it: then a new one */
            return status;
    }
    *is_new = true;
    return new_take(files, file, file_id);
}

/* ---- giving back ---- */

/* Takes the oldest free file out of a pool that is too large; NULL: it is not, or none is free. */
char *table_files_excess_take(struct table_files *files, uint64_t more_bytes)
{
    if (files->pool_bytes <= files->pool_bytes_max + more_bytes)
        return NULL;
    for (uint32_t i = 0; i < files->count; i++) {
        if (!pooled_is_free(files, &files->pool[i]))
            continue;
        char *path = table_file_path(files->directory, files->pool[i].file_id);

        if (path != NULL)
            pool_remove(files, i);
        return path;
    }
    return NULL;
}

void table_files_give(struct table_files *files, struct io_file *file, uint64_t file_id,
                      bool is_new)
{
    struct pooled    pooled = { .file_id = file_id, .is_new = is_new };
    enum kiwi_status status = io_file_size(file, &pooled.bytes);
    bool             is_pooled;

    io_file_close(file);
    if (status != KIWI_OK)
        pooled.bytes = 0; /* found to be larger when it is adopted again */
    pooled.change = manifest_changes_applied(files->manifest);
    is_pooled = pool_add(files, pooled);
    (void)is_pooled; /* without memory it stays on disk until the next open adopts it */
}

/* ---- after recovery ---- */

struct adoption {
    struct table_files *files;
    const uint64_t     *used;       /* file ids of the version, ascending */
    uint32_t            used_count;
    uint32_t            found_count;
};

static int id_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* True when name is exactly what a table file of that id is called, and ids are left behind it. */
static bool name_parse(const char *name, uint64_t *file_id)
{
    char     again[32];
    char    *end;

    if (strncmp(name, "t-", 2) != 0 || strlen(name) > 18)
        return false;
    *file_id = strtoull(name + 2, &end, 16);
    snprintf(again, sizeof again, "t-%08" PRIx64, *file_id);
    return strcmp(name, again) == 0 && *file_id < MANIFEST_ID_MAX - MANIFEST_ID_GAP;
}

static enum kiwi_status adopt(void *context, const char *name)
{
    struct adoption *adoption = context;
    uint64_t         file_id;

    if (!name_parse(name, &file_id))
        return KIWI_OK;
    manifest_file_id_seen(adoption->files->manifest, file_id);
    if (bsearch(&file_id, adoption->used, adoption->used_count, sizeof file_id, id_compare) != NULL)
        return KIWI_OK;
    if (!pool_add(adoption->files, (struct pooled){ .file_id = file_id }))
        return FAIL(KIWI_NO_MEMORY, "no memory for the names of free table files");
    adoption->found_count++;
    return KIWI_OK;
}

static uint64_t *used_collect(const struct version *version, uint32_t *count)
{
    uint32_t  table_count = 0;
    uint64_t *used;

    for (uint32_t i = 0; i < version->level_count; i++)
        table_count += version_level_table_count(version, i);
    used = memory_allocate(table_count * sizeof *used);
    if (used == NULL)
        return NULL;
    *count = 0;
    for (uint32_t i = 0; i < version->level_count; i++) {
        for (uint32_t k = 0; k < version->levels[i].run_count; k++) {
            const struct run *run = version->levels[i].runs[k];

            for (uint32_t n = 0; n < run->table_count; n++)
                used[(*count)++] = run->places[n].table->info.file_id;
        }
    }
    qsort(used, *count, sizeof *used, id_compare);
    return used;
}

/* Sizes of what was found. */
static enum kiwi_status pool_settle(struct table_files *files)
{
    for (uint32_t i = 0; i < files->count; i++) {
        struct pooled  *pooled = &files->pool[i];
        struct io_file *file;

        if (pooled->bytes != 0)
            continue;
        TRY(file_open(files, pooled->file_id, 0, &file));
        enum kiwi_status status = io_file_size(file, &pooled->bytes);
        io_file_close(file);
        TRY(status);
        files->pool_bytes += pooled->bytes;
    }
    return KIWI_OK;
}

enum kiwi_status table_files_adopt(struct table_files *files, const struct version *version)
{
    struct adoption  adoption = { .files = files };
    uint64_t        *used = used_collect(version, &adoption.used_count);
    enum kiwi_status status;

    if (used == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for the names of table files");
    adoption.used = used;
    status = io_directory_list(files->io, files->directory, adopt, &adoption);
    memory_free(used);
    if (status == KIWI_OK)
        status = pool_settle(files);
    /* A pooled file's name is relied on to be durable; that of one left by a crash may not be. */
    if (status == KIWI_OK && adoption.found_count > 0)
        status = io_directory_sync(files->io, files->directory);
    return status;
}
