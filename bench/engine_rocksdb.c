/*
 * engine_rocksdb.c: RocksDB behind the driver's interface, through its C API.
 *
 * Settings  those that its tuning guide and our own trials found best: two memtables of an eighth
 *           of the memory (64 MiB at most), the rest a block cache, index and filters beside it,
 *           Bloom filters of 10 bits, hashed restart points, two background jobs, no compression.
 *           Data larger than memory is read, flushed and compacted past the page cache. Durable
 *           writes get small memtables and recycled logs: a log file whose blocks are written a
 *           second time needs no metadata in its sync.
 * Variants  `rocksdb` and `rocksdb-pipelined`, which overlaps log and memtable of writing groups.
 * Scans     an iterator each, as the C API has no refresh.
 */
#include <rocksdb/c.h>
#include <stdio.h>
#include <string.h>

#include "bench/engine.h"
#include "core/base/memory.h"

#define MEMTABLE_BYTES_MAX     (64ull << 20)
#define MEMTABLE_BYTES_DURABLE (8ull << 20)

struct engine {
    rocksdb_t              *db;
    rocksdb_cache_t        *cache;
    rocksdb_options_t      *settings;
    rocksdb_readoptions_t  *reading;
    rocksdb_writeoptions_t *writing[KIWI_MEMORY + 1]; /* by durability */
    uint64_t                memtable_bytes, cache_bytes;
    bool                    is_direct, is_pipelined, is_recycling;
};

struct engine_client {
    struct engine           *engine;
    rocksdb_pinnableslice_t *value;     /* of the last get */
    rocksdb_iterator_t      *iterator;  /* between the two parts of a scan */
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
    status = FAIL(status, "rocksdb %s: %.300s", what, error);
    rocksdb_free(error);
    return status;
}

static void sizes_choose(struct engine *engine, const struct engine_options *options)
{
    engine->memtable_bytes = min_u64(MEMTABLE_BYTES_MAX, options->memory_bytes / 8);
    if (options->durability == KIWI_DURABLE) {
        engine->memtable_bytes = min_u64(MEMTABLE_BYTES_DURABLE, engine->memtable_bytes);
        engine->is_recycling = true;
    }
    engine->cache_bytes = options->memory_bytes - 2 * engine->memtable_bytes;
    engine->is_direct = options->data_bytes > options->memory_bytes;
}

static void tables_set(struct engine *engine)
{
    rocksdb_block_based_table_options_t *tables = rocksdb_block_based_options_create();

    engine->cache = rocksdb_cache_create_lru(engine->cache_bytes);
    rocksdb_block_based_options_set_block_cache(tables, engine->cache);
    rocksdb_block_based_options_set_filter_policy(tables,
                                                  rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_block_based_options_set_block_size(tables, 4096);
    rocksdb_block_based_options_set_format_version(tables, 5);
    rocksdb_block_based_options_set_data_block_index_type(
        tables, rocksdb_block_based_table_data_block_index_type_binary_search_and_hash);
    rocksdb_block_based_options_set_data_block_hash_ratio(tables, 0.75);
    rocksdb_options_set_block_based_table_factory(engine->settings, tables);
    rocksdb_block_based_options_destroy(tables);
}

static void options_set(struct engine *engine, bool must_be_new)
{
    rocksdb_options_t *settings = rocksdb_options_create();

    engine->settings = settings;
    rocksdb_options_set_create_if_missing(settings, 1);
    rocksdb_options_set_error_if_exists(settings, must_be_new);
    rocksdb_options_set_write_buffer_size(settings, engine->memtable_bytes);
    rocksdb_options_set_max_write_buffer_number(settings, 2);
    rocksdb_options_set_max_background_jobs(settings, 2);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(settings, 1);
    rocksdb_options_set_target_file_size_base(settings, engine->memtable_bytes);
    rocksdb_options_set_max_bytes_for_level_base(settings, 4 * engine->memtable_bytes);
    rocksdb_options_set_compression(settings, rocksdb_no_compression);
    rocksdb_options_set_optimize_filters_for_hits(settings, 1);
    rocksdb_options_set_bytes_per_sync(settings, 1u << 20);
    rocksdb_options_set_wal_bytes_per_sync(settings, 1u << 20);
    rocksdb_options_set_stats_dump_period_sec(settings, 0);
    rocksdb_options_set_enable_pipelined_write(settings, engine->is_pipelined);
    if (engine->is_recycling)
        rocksdb_options_set_recycle_log_file_num(settings, 4);
    rocksdb_options_set_use_direct_reads(settings, engine->is_direct);
    rocksdb_options_set_use_direct_io_for_flush_and_compaction(settings, engine->is_direct);
    tables_set(engine);
    engine->reading = rocksdb_readoptions_create();
    for (int i = KIWI_DURABLE; i <= KIWI_MEMORY; i++) {
        engine->writing[i] = rocksdb_writeoptions_create();
        rocksdb_writeoptions_set_sync(engine->writing[i], i == KIWI_DURABLE);
        rocksdb_writeoptions_disable_WAL(engine->writing[i], i == KIWI_MEMORY);
    }
}

static enum kiwi_status rocksdb_engine_close(struct engine *engine)
{
    if (engine == NULL)
        return KIWI_OK;
    if (engine->db != NULL)
        rocksdb_close(engine->db);
    for (int i = KIWI_DURABLE; i <= KIWI_MEMORY; i++)
        rocksdb_writeoptions_destroy(engine->writing[i]);
    rocksdb_readoptions_destroy(engine->reading);
    rocksdb_options_destroy(engine->settings);
    rocksdb_cache_destroy(engine->cache);
    memory_free(engine);
    return KIWI_OK;
}

static enum kiwi_status open_either(const struct engine_options *options, bool is_pipelined,
                                    struct engine **out)
{
    struct engine   *engine = memory_allocate_zeroed(sizeof *engine);
    enum kiwi_status status;
    char            *error = NULL;

    *out = NULL;
    if (engine == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for an engine");
    engine->is_pipelined = is_pipelined;
    sizes_choose(engine, options);
    options_set(engine, options->must_be_new);
    engine->db = rocksdb_open(engine->settings, options->directory, &error);
    status = error_take("open", error);
    if (status != KIWI_OK) {
        engine->db = NULL;
        (void)rocksdb_engine_close(engine);
        return status;
    }
    *out = engine;
    return KIWI_OK;
}

static enum kiwi_status rocksdb_engine_open(const struct engine_options *options,
                                            struct engine              **out)
{
    return open_either(options, false, out);
}

static enum kiwi_status rocksdb_pipelined_open(const struct engine_options *options,
                                               struct engine              **out)
{
    return open_either(options, true, out);
}

static enum kiwi_status rocksdb_client_open(struct engine *engine, uint32_t index,
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
        rocksdb_pinnableslice_destroy(client->value);
    if (client->iterator != NULL)
        rocksdb_iter_destroy(client->iterator);
    client->value = NULL;
    client->iterator = NULL;
}

static void rocksdb_client_close(struct engine_client *client)
{
    if (client == NULL)
        return;
    lent_release(client);
    memory_free(client);
}

static bool rocksdb_client_idle(struct engine_client *client, uint64_t timeout_ns)
{
    (void)timeout_ns;
    lent_release(client);
    return false;
}

static enum kiwi_status get(struct engine_client *client, struct kiwi_op *op)
{
    struct engine *engine = client->engine;
    char          *error = NULL;
    size_t         bytes = 0;

    op->value_bytes = 0;
    client->value =
        rocksdb_get_pinned(engine->db, engine->reading, op->key.data, op->key.size, &error);
    if (error != NULL)
        return error_take("get", error);
    if (client->value == NULL)
        return KIWI_NOT_FOUND;
    /* The API has no const; the driver only reads. */
    op->buffer = (void *)(uintptr_t)rocksdb_pinnableslice_value(client->value, &bytes);
    op->value_bytes = bytes;
    return KIWI_OK;
}

static enum kiwi_status seek(struct engine_client *client, const struct kiwi_op *op)
{
    char *error = NULL;

    client->iterator = rocksdb_create_iterator(client->engine->db, client->engine->reading);
    rocksdb_iter_seek(client->iterator, op->key.data, op->key.size);
    if (rocksdb_iter_valid(client->iterator))
        return KIWI_OK;
    rocksdb_iter_get_error(client->iterator, &error);
    return error != NULL ? error_take("seek", error) : KIWI_NOT_FOUND;
}

static void rocksdb_client_execute(struct engine_client *client, struct kiwi_op *op)
{
    struct engine                *engine = client->engine;
    const rocksdb_writeoptions_t *writing = engine->writing[op->durability];
    char                         *error = NULL;

    lent_release(client);
    switch (op->verb) {
    case KIWI_GET:
        op->status = get(client, op);
        break;
    case KIWI_PUT:
        rocksdb_put(engine->db, writing, op->key.data, op->key.size, op->value.data,
                    op->value.size, &error);
        op->status = error_take("put", error);
        break;
    case KIWI_DELETE:
        rocksdb_delete(engine->db, writing, op->key.data, op->key.size, &error);
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

static enum kiwi_status rocksdb_scan_prepare(struct engine_client *client, uint32_t slot,
                                             struct kiwi_op *op, uint32_t rows)
{
    (void)client;
    (void)slot;
    (void)rows;
    op->verb = KIWI_ITERATE;
    return KIWI_OK;
}

static enum kiwi_status rocksdb_scan_rows(struct engine_client *client, struct kiwi_op *op,
                                          uint64_t max, engine_visit visit, void *context)
{
    rocksdb_iterator_t *iterator = client->iterator;
    char               *error = NULL;

    (void)op;
    for (uint64_t row = 0; row < max && rocksdb_iter_valid(iterator); row++) {
        struct kiwi_slice key, value;

        key.data = rocksdb_iter_key(iterator, &key.size);
        value.data = rocksdb_iter_value(iterator, &value.size);
        if (!visit(context, key, value))
            break;
        if (row + 1 < max)
            rocksdb_iter_next(iterator);
    }
    rocksdb_iter_get_error(iterator, &error);
    lent_release(client);
    return error_take("scan", error);
}

static uint64_t property(struct engine *engine, const char *name)
{
    uint64_t value = 0;

    return rocksdb_property_int(engine->db, name, &value) == 0 ? value : 0;
}

/* The estimate alone stays above 0 for levels that nothing will compact. */
static uint64_t rocksdb_engine_debt(struct engine *engine)
{
    if (property(engine, "rocksdb.num-running-compactions") == 0
        && property(engine, "rocksdb.num-running-flushes") == 0
        && property(engine, "rocksdb.compaction-pending") == 0
        && property(engine, "rocksdb.mem-table-flush-pending") == 0)
        return 0;
    return max_u64(1, property(engine, "rocksdb.estimate-pending-compaction-bytes"));
}

static void rocksdb_engine_describe(const struct engine *engine, char *text, size_t bytes)
{
    snprintf(text, bytes,
             "RocksDB %s, 2 memtables of %llu MiB, block cache %llu MiB, index and filters "
             "beside it, bloom 10 bits, 2 background jobs, blocks of 4 KiB, dynamic levels, "
             "no compression, %s%s%s",
             BENCH_ROCKSDB_VERSION,
             (unsigned long long)(engine->memtable_bytes >> 20),
             (unsigned long long)(engine->cache_bytes >> 20),
             engine->is_direct ? "direct I/O" : "buffered I/O",
             engine->is_pipelined ? ", pipelined writes" : "",
             engine->is_recycling ? ", 4 recycled logs" : "");
}

#ifdef BENCH_ROCKSDB_IS_PACKAGED
#define NOTE "the distribution's build of RocksDB has its assertions on, for a generic processor"
#else
#define NOTE "RocksDB as built by the user"
#endif

#define ROCKSDB_CLASS(engine_name, opens)                                                          \
    {                                                                                              \
        .name = engine_name, .note = NOTE, .keeps_data = true, .has_no_submit = true,              \
        .open = opens, .close = rocksdb_engine_close, .client_open = rocksdb_client_open,          \
        .client_close = rocksdb_client_close, .idle = rocksdb_client_idle,                         \
        .execute = rocksdb_client_execute, .scan_prepare = rocksdb_scan_prepare,                   \
        .scan_rows = rocksdb_scan_rows, .debt = rocksdb_engine_debt,                               \
        .describe = rocksdb_engine_describe,                                                       \
    }

const struct engine_class engine_rocksdb = ROCKSDB_CLASS("rocksdb", rocksdb_engine_open);
const struct engine_class engine_rocksdb_pipelined =
    ROCKSDB_CLASS("rocksdb-pipelined", rocksdb_pipelined_open);
