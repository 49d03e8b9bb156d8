/*
 * engine_lmdb.c: LMDB behind the driver's interface.
 *
 * Reads     a read transaction per client, renewed for every operation; the value stays in the map
 *           and is lent until the next call.
 * Writes    a transaction each. When any write must be durable the database is opened plain, so
 *           that a commit writes pages and syncs; else WRITEMAP and NOSYNC, which has no log: it
 *           outlives the process, but a crash of the system may leave nothing usable.
 * Memory    the map is the page cache, so only a limit from outside bounds it.
 */
#include <errno.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "bench/engine.h"
#include "core/base/memory.h"

#define MAP_BYTES_MIN (1ull << 30)

struct engine {
    MDB_env        *environment;
    MDB_dbi         table;
    bool            is_map_written;
    bool            has_readahead;
    pthread_mutex_t lock;          /* of changing is_syncing */
    _Atomic bool    is_syncing;    /* commits sync; only ever off in a database opened plain */
    uint64_t        map_bytes;
};

struct engine_client {
    struct engine *engine;
    MDB_txn       *reader;
    MDB_cursor    *cursor;
    bool           is_reading;   /* reader holds a snapshot */
    MDB_val        key, value;   /* of the first row of a scan */
};

static enum kiwi_status error_take(const char *what, int error)
{
    enum kiwi_status status = KIWI_IO;

    if (error == 0)
        return KIWI_OK;
    if (error == MDB_CORRUPTED || error == MDB_PAGE_NOTFOUND)
        status = KIWI_CORRUPT;
    else if (error == ENOSPC || error == MDB_MAP_FULL)
        status = KIWI_FULL;
    return FAIL(status, "lmdb %s: %s", what, mdb_strerror(error));
}

static enum kiwi_status lmdb_engine_close(struct engine *engine)
{
    if (engine == NULL)
        return KIWI_OK;
    mdb_env_close(engine->environment);
    pthread_mutex_destroy(&engine->lock);
    memory_free(engine);
    return KIWI_OK;
}

static int environment_open(struct engine *engine, const struct engine_options *options)
{
    unsigned flags = MDB_NOTLS;
    MDB_txn *txn;
    int      error;

    if (engine->is_map_written)
        flags |= MDB_WRITEMAP | MDB_NOSYNC;
    if (!engine->has_readahead)
        flags |= MDB_NORDAHEAD;
    if ((error = mdb_env_set_mapsize(engine->environment, engine->map_bytes)) != 0
        || (error = mdb_env_set_maxreaders(engine->environment, options->thread_count + 8)) != 0
        || (error = mdb_env_open(engine->environment, options->directory, flags, 0644)) != 0
        || (error = mdb_txn_begin(engine->environment, NULL, 0, &txn)) != 0)
        return error;
    if ((error = mdb_dbi_open(txn, NULL, MDB_CREATE, &engine->table)) != 0) {
        mdb_txn_abort(txn);
        return error;
    }
    return mdb_txn_commit(txn);
}

static enum kiwi_status lmdb_engine_open(const struct engine_options *options, struct engine **out)
{
    struct engine   *engine = memory_allocate_zeroed(sizeof *engine);
    enum kiwi_status status;

    *out = NULL;
    if (engine == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for an engine");
    pthread_mutex_init(&engine->lock, NULL);
    engine->is_map_written = options->durability != KIWI_DURABLE;
    engine->is_syncing = !engine->is_map_written;
    engine->has_readahead = options->data_bytes <= options->memory_bytes;
    engine->map_bytes = round_up_u64(MAP_BYTES_MIN + 4 * options->data_bytes, 1u << 20);
    status = error_take("open", mdb_env_create(&engine->environment));
    if (status == KIWI_OK)
        status = error_take("open", environment_open(engine, options));
    if (status != KIWI_OK) {
        (void)lmdb_engine_close(engine);
        return status;
    }
    *out = engine;
    return KIWI_OK;
}

static void lmdb_client_close(struct engine_client *client)
{
    if (client == NULL)
        return;
    if (client->cursor != NULL)
        mdb_cursor_close(client->cursor);
    if (client->reader != NULL)
        mdb_txn_abort(client->reader);
    memory_free(client);
}

static enum kiwi_status lmdb_client_open(struct engine *engine, uint32_t index,
                                         struct engine_client **out)
{
    struct engine_client *client = memory_allocate_zeroed(sizeof *client);
    int                   error;

    (void)index;
    *out = NULL;
    if (client == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a client");
    client->engine = engine;
    error = mdb_txn_begin(engine->environment, NULL, MDB_RDONLY, &client->reader);
    if (error == 0)
        error = mdb_cursor_open(client->reader, engine->table, &client->cursor);
    if (error != 0) {
        lmdb_client_close(client);
        return error_take("reader", error);
    }
    mdb_txn_reset(client->reader);
    *out = client;
    return KIWI_OK;
}

static void reading_end(struct engine_client *client)
{
    if (client->is_reading)
        mdb_txn_reset(client->reader);
    client->is_reading = false;
}

/* An old snapshot would keep pages from being used again. */
static int reading_start(struct engine_client *client)
{
    int error;

    reading_end(client);
    error = mdb_txn_renew(client->reader);
    client->is_reading = error == 0;
    return error;
}

static bool lmdb_client_idle(struct engine_client *client, uint64_t timeout_ns)
{
    (void)timeout_ns;
    reading_end(client);
    return false;
}

static MDB_val val_of(struct kiwi_slice slice)
{
    return (MDB_val){ slice.size, (void *)(uintptr_t)slice.data };
}

static enum kiwi_status get(struct engine_client *client, struct kiwi_op *op)
{
    MDB_val key = val_of(op->key), value;
    int     error = reading_start(client);

    op->value_bytes = 0;
    if (error == 0)
        error = mdb_get(client->reader, client->engine->table, &key, &value);
    if (error == MDB_NOTFOUND)
        return KIWI_NOT_FOUND;
    if (error != 0)
        return error_take("get", error);
    op->buffer = value.mv_data;
    op->value_bytes = value.mv_size;
    return KIWI_OK;
}

/* All writes of a phase ask for the same; what was not synced is, before a sync is promised. */
static int syncing_set(struct engine *engine, bool is_wanted)
{
    int error = 0;

    if (engine->is_map_written)
        return is_wanted ? EINVAL : 0;
    if (atomic_load_explicit(&engine->is_syncing, memory_order_acquire) == is_wanted)
        return 0;
    pthread_mutex_lock(&engine->lock);
    if (engine->is_syncing != is_wanted) {
        error = mdb_env_set_flags(engine->environment, MDB_NOSYNC, !is_wanted);
        if (error == 0 && is_wanted)
            error = mdb_env_sync(engine->environment, 1);
        if (error == 0)
            atomic_store_explicit(&engine->is_syncing, is_wanted, memory_order_release);
    }
    pthread_mutex_unlock(&engine->lock);
    return error;
}

static enum kiwi_status write_one(struct engine_client *client, const struct kiwi_op *op)
{
    struct engine *engine = client->engine;
    MDB_val        key = val_of(op->key), value = val_of(op->value);
    MDB_txn       *txn;
    int            error;

    reading_end(client);
    if ((error = syncing_set(engine, op->durability == KIWI_DURABLE)) != 0)
        return error_take("sync setting", error);
    if ((error = mdb_txn_begin(engine->environment, NULL, 0, &txn)) != 0)
        return error_take("transaction", error);
    if (op->verb == KIWI_PUT)
        error = mdb_put(txn, engine->table, &key, &value, 0);
    else if ((error = mdb_del(txn, engine->table, &key, NULL)) == MDB_NOTFOUND)
        error = 0;
    if (error != 0) {
        mdb_txn_abort(txn);
        return error_take("write", error);
    }
    return error_take("commit", mdb_txn_commit(txn));
}

static enum kiwi_status seek(struct engine_client *client, const struct kiwi_op *op)
{
    int error = reading_start(client);

    client->key = val_of(op->key);
    if (error == 0)
        error = mdb_cursor_renew(client->reader, client->cursor);
    if (error == 0)
        error = mdb_cursor_get(client->cursor, &client->key, &client->value, MDB_SET_RANGE);
    return error == MDB_NOTFOUND ? KIWI_NOT_FOUND : error_take("seek", error);
}

static void lmdb_client_execute(struct engine_client *client, struct kiwi_op *op)
{
    switch (op->verb) {
    case KIWI_GET:
        op->status = get(client, op);
        break;
    case KIWI_PUT:
    case KIWI_DELETE:
        op->status = write_one(client, op);
        break;
    case KIWI_ITERATE:
        op->status = seek(client, op);
        break;
    default:
        op->status = FAIL(KIWI_INVALID, "verb %u has no blocking form here", op->verb);
        break;
    }
}

static enum kiwi_status lmdb_scan_prepare(struct engine_client *client, uint32_t slot,
                                          struct kiwi_op *op, uint32_t rows)
{
    (void)client;
    (void)slot;
    (void)rows;
    op->verb = KIWI_ITERATE;
    return KIWI_OK;
}

static enum kiwi_status lmdb_scan_rows(struct engine_client *client, struct kiwi_op *op,
                                       uint64_t max, engine_visit visit, void *context)
{
    int error = 0;

    (void)op;
    for (uint64_t row = 0; row < max; row++) {
        if (row > 0
            && (error = mdb_cursor_get(client->cursor, &client->key, &client->value, MDB_NEXT))
                   != 0)
            break;
        if (!visit(context, (struct kiwi_slice){ client->key.mv_data, client->key.mv_size },
                   (struct kiwi_slice){ client->value.mv_data, client->value.mv_size }))
            break;
    }
    reading_end(client);
    return error == MDB_NOTFOUND ? KIWI_OK : error_take("scan", error);
}

static void lmdb_engine_describe(const struct engine *engine, char *text, size_t bytes)
{
    snprintf(text, bytes, "%s, map of %llu MiB, a transaction per write, %s%s", MDB_VERSION_STRING,
             (unsigned long long)(engine->map_bytes >> 20),
             engine->is_map_written ? "WRITEMAP|NOSYNC (no log)" : "commits as it is opened plain",
             engine->has_readahead ? "" : ", NORDAHEAD");
}

const struct engine_class engine_lmdb = {
    .name = "lmdb",
    .note = "has no log: without durable commits a crash of the system may lose the database",
    .keeps_data = true,
    .has_no_submit = true,
    .open = lmdb_engine_open,
    .close = lmdb_engine_close,
    .client_open = lmdb_client_open,
    .client_close = lmdb_client_close,
    .idle = lmdb_client_idle,
    .execute = lmdb_client_execute,
    .scan_prepare = lmdb_scan_prepare,
    .scan_rows = lmdb_scan_rows,
    .describe = lmdb_engine_describe,
};
