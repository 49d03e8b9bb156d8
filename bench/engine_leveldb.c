/*
 * engine_leveldb.c: LevelDB behind the driver's interface, through its C API.
 *
 * Settings  memtables of an eighth of the memory (64 MiB at most), Bloom filters of 10 bits, files
 *           of 32 MiB, no compression. Its POSIX environment maps tables into memory, so that its
 *           block cache stays empty and the page cache does the work; the C API has no direct I/O.
 * Memory    a write that need not outlive the process is still logged: there is no switch.
 */
#include <leveldb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/engine.h"
#include "core/base/memory.h"

#define MEMTABLE_BYTES_MAX (64ull << 20)
#define TABLE_BYTES        (32u << 20)

struct engine {
    leveldb_t              *db;
    leveldb_cache_t        *cache;
    leveldb_filterpolicy_t *filter;
    leveldb_options_t      *settings;
    leveldb_readoptions_t  *reading;
    leveldb_writeoptions_t *writing[2];  /* without and with a sync */
    uint64_t                memtable_bytes, cache_bytes;
};

struct engine_client {
    struct engine      *engine;
    char               *value;     /* of the last get */
    leveldb_iterator_t *iterator;  /* between the two parts of a scan */
};

/* Frees error, which is what the API returned. */
static enum kiwi_status error_take(const char *what, char *error)
{
    enum kiwi_status status = KIWI_IO;

    if (error == NULL)
        return KIWI_OK;
    if (strncmp(error, "Corruption", 10) == 0)
        status = KIWI_CORRUPT;
    else if (strstr(error, "No space left") != NULL)
        status = KIWI_FULL;
    status = FAIL(status, "leveldb %s: %.300s", what, error);
    leveldb_free(error);
    return status;
}

static void options_set(struct engine *engine, const struct engine_options *options)
{
    engine->memtable_bytes = min_u64(MEMTABLE_BYTES_MAX, options->memory_bytes / 8);
    engine->cache_bytes = options->memory_bytes - 2 * engine->memtable_bytes;
    engine->settings = leveldb_options_create();
    engine->cache = leveldb_cache_create_lru(engine->cache_bytes);
    engine->filter = leveldb_filterpolicy_create_bloom(10);
    engine->reading = leveldb_readoptions_create();
    leveldb_readoptions_set_verify_checksums(engine->reading, 1);
    for (uint8_t i = 0; i < ARRAY_COUNT(engine->writing); i++) {
        engine->writing[i] = leveldb_writeoptions_create();
        leveldb_writeoptions_set_sync(engine->writing[i], i);
    }
    leveldb_options_set_create_if_missing(engine->settings, 1);
    leveldb_options_set_error_if_exists(engine->settings, options->must_be_new);
    leveldb_options_set_write_buffer_size(engine->settings, engine->memtable_bytes);
    leveldb_options_set_cache(engine->settings, engine->cache);
    leveldb_options_set_filter_policy(engine->settings, engine->filter);
    leveldb_options_set_block_size(engine->settings, 4096);
    leveldb_options_set_max_file_size(engine->settings, TABLE_BYTES);
    leveldb_options_set_max_open_files(engine->settings, 10000);
    leveldb_options_set_compression(engine->settings, leveldb_no_compression);
}

static enum kiwi_status leveldb_engine_close(struct engine *engine)
{
    if (engine == NULL)
        return KIWI_OK;
    if (engine->db != NULL)
        leveldb_close(engine->db);
    for (size_t i = 0; i < ARRAY_COUNT(engine->writing); i++)
        leveldb_writeoptions_destroy(engine->writing[i]);
    leveldb_readoptions_destroy(engine->reading);
    leveldb_options_destroy(engine->settings);
    leveldb_filterpolicy_destroy(engine->filter);
    leveldb_cache_destroy(engine->cache);
    memory_free(engine);
    return KIWI_OK;
}

static enum kiwi_status leveldb_engine_open(const struct engine_options *options,
                                            struct engine              **out)
{
    struct engine   *engine = memory_allocate_zeroed(sizeof *engine);
    enum kiwi_status status;
    char            *error = NULL;

    *out = NULL;
    if (engine == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for an engine");
    options_set(engine, options);
    engine->db = leveldb_open(engine->settings, options->directory, &error);
    status = error_take("open", error);
    if (status != KIWI_OK) {
        engine->db = NULL;
        (void)leveldb_engine_close(engine);
        return status;
    }
    *out = engine;
    return KIWI_OK;
}

static enum kiwi_status leveldb_client_open(struct engine *engine, uint32_t index,
                                            struct engine_client **out)
{
    struct engine_client *client = memory_allocate_zeroed(sizeof *client);

    (void)index;
    *out = client;
    if (client == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a client");
    client->engine = engine;
    return KIWI_OK;
}

/* What the last call lent to the driver. */
static void lent_release(struct engine_client *client)
{
    if (client->value != NULL)
        leveldb_free(client->value);
    if (client->iterator != NULL)
        leveldb_iter_destroy(client->iterator);
    client->value = NULL;
    client->iterator = NULL;
}

static void leveldb_client_close(struct engine_client *client)
{
    if (client == NULL)
        return;
    lent_release(client);
    memory_free(client);
}

static bool leveldb_client_idle(struct engine_client *client, uint64_t timeout_ns)
{
    (void)timeout_ns;
    lent_release(client);
    return false;
}

static enum kiwi_status seek(struct engine_client *client, const struct kiwi_op *op)
{
    char *error = NULL;

    client->iterator = leveldb_create_iterator(client->engine->db, client->engine->reading);
    leveldb_iter_seek(client->iterator, op->key.data, op->key.size);
    if (leveldb_iter_valid(client->iterator))
        return KIWI_OK;
    leveldb_iter_get_error(client->iterator, &error);
    return error != NULL ? error_take("seek", error) : KIWI_NOT_FOUND;
}

static void leveldb_client_execute(struct engine_client *client, struct kiwi_op *op)
{
    struct engine                *engine = client->engine;
    const leveldb_writeoptions_t *writing = engine->writing[op->durability == KIWI_DURABLE];
    char                         *error = NULL;

    lent_release(client);
    switch (op->verb) {
    case KIWI_GET:
        op->value_bytes = 0;
        client->value = leveldb_get(engine->db, engine->reading, op->key.data, op->key.size,
                                    &op->value_bytes, &error);
        op->buffer = client->value;
        op->status = error != NULL           ? error_take("get", error)
                   : client->value == NULL ? KIWI_NOT_FOUND
                                             : KIWI_OK;
        break;
    case KIWI_PUT:
        leveldb_put(engine->db, writing, op->key.data, op->key.size, op->value.data,
                    op->value.size, &error);
        op->status = error_take("put", error);
        break;
    case KIWI_DELETE:
        leveldb_delete(engine->db, writing, op->key.data, op->key.size, &error);
        op->status = error_take("delete", error);
        break;
    case KIWI_ITERATE:
        op->status = seek(client, op);
        break;
    default:
        op->status = FAIL(KIWI_INVALID, "verb %u has no blocking form here", op->verb);
        break;
    }
}

static enum kiwi_status leveldb_scan_prepare(struct engine_client *client, uint32_t slot,
                                             struct kiwi_op *op, uint32_t rows)
{
    (void)client;
    (void)slot;
    (void)rows;
    op->verb = KIWI_ITERATE;
    return KIWI_OK;
}

static enum kiwi_status leveldb_scan_rows(struct engine_client *client, struct kiwi_op *op,
                                          uint64_t max, engine_visit visit, void *context)
{
    leveldb_iterator_t *iterator = client->iterator;
    char               *error = NULL;

    (void)op;
    for (uint64_t row = 0; row < max && leveldb_iter_valid(iterator); row++) {
        struct kiwi_slice key, value;

        key.data = leveldb_iter_key(iterator, &key.size);
        value.data = leveldb_iter_value(iterator, &value.size);
        if (!visit(context, key, value))
            break;
        if (row + 1 < max)
            leveldb_iter_next(iterator);
    }
    leveldb_iter_get_error(iterator, &error);
    lent_release(client);
    return error_take("scan", error);
}

/* What levels hold above their limits, from the table of "leveldb.stats": 10 MiB for L1, ten times
 * more for each further one; L0 is due at four files. */
static uint64_t leveldb_engine_debt(struct engine *engine)
{
    char    *text = leveldb_property_value(engine->db, "leveldb.stats"), *rest = NULL;
    uint64_t debt_mib = 0;

    for (char *line = text != NULL ? strtok_r(text, "\n", &rest) : NULL; line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        unsigned level, files, limit = 1;
        double   mib;

        if (sscanf(line, "%u %u %lf", &level, &files, &mib) != 3 || level > 6)
            continue;
        for (unsigned i = 0; i < level; i++)
            limit *= 10;
        if (level == 0)
            debt_mib += files >= 4 ? (uint64_t)mib + 1 : 0;
        else if (level < 6 && mib > (double)limit + 1)
            debt_mib += (uint64_t)mib - limit;
    }
    leveldb_free(text);
    return debt_mib << 20;
}

static void leveldb_engine_describe(const struct engine *engine, char *text, size_t bytes)
{
    snprintf(text, bytes,
             "LevelDB %d.%d, 2 memtables of %llu MiB, block cache %llu MiB, bloom 10 bits, blocks "
             "of 4 KiB, files of 32 MiB, no compression, tables mapped into memory",
             leveldb_major_version(), leveldb_minor_version(),
             (unsigned long long)(engine->memtable_bytes >> 20),
             (unsigned long long)(engine->cache_bytes >> 20));
}

const struct engine_class engine_leveldb = {
    .name = "leveldb",
    .note = "the distribution's build of LevelDB, for a generic processor",
    .keeps_data = true,
    .has_no_submit = true,
    .open = leveldb_engine_open,
    .close = leveldb_engine_close,
    .client_open = leveldb_client_open,
    .client_close = leveldb_client_close,
    .idle = leveldb_client_idle,
    .execute = leveldb_client_execute,
    .scan_prepare = leveldb_scan_prepare,
    .scan_rows = leveldb_scan_rows,
    .debt = leveldb_engine_debt,
    .describe = leveldb_engine_describe,
};
