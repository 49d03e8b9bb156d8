/*
 * engine_wiredtiger.c: WiredTiger behind the driver's interface: a B-tree with a log.
 *
 * Settings  the cache is three quarters of the memory, leaf pages of 8 KiB, a checkpoint every
 *           minute or GiB of log; data larger than memory is read and written past the page cache.
 * Writes    each commits by itself. Durable: the log is synced before; process: it is written to
 *           the system before; memory: neither is waited for.
 * Clients   a session with two cursors each, one of them for scans.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <wiredtiger.h>

#include "bench/engine.h"
#include "core/base/memory.h"

struct engine {
    WT_CONNECTION       *connection;
    enum kiwi_durability durability;   /* the strictest that writes may ask for */
    uint64_t             cache_bytes;
    bool                 is_direct;
};

struct engine_client {
    struct engine *engine;
    WT_SESSION    *session;
    WT_CURSOR     *cursor, *scan;
    bool           is_lending;   /* cursor holds a page for the value of the last get */
};

static enum kiwi_status error_take(const char *what, int error)
{
    enum kiwi_status status = KIWI_IO;

    if (error == 0)
        return KIWI_OK;
    if (error == ENOSPC)
        status = KIWI_FULL;
    else if (error == WT_PANIC)
        status = KIWI_CORRUPT;
    return FAIL(status, "wiredtiger %s: %s", what, wiredtiger_strerror(error));
}

static const char *log_setting(enum kiwi_durability durability)
{
    switch (durability) {
    case KIWI_MEMORY:
        return "enabled=false";
    case KIWI_PROCESS:
        return "enabled=true,method=none";
    default:
        return "enabled=true,method=fsync";
    }
}

static enum kiwi_status wiredtiger_engine_close(struct engine *engine)
{
    int error = 0;

    if (engine == NULL)
        return KIWI_OK;
    if (engine->connection != NULL)
        error = engine->connection->close(engine->connection, NULL);
    memory_free(engine);
    return error_take("close", error);
}

static int table_make(struct engine *engine)
{
    WT_SESSION *session;
    int         error = engine->connection->open_session(engine->connection, NULL, NULL, &session);

    if (error != 0)
        return error;
    error = session->create(session, "table:data",
                            "key_format=u,value_format=u,leaf_page_max=8KB,"
                            "internal_page_max=16KB,access_pattern_hint=random");
    (void)session->close(session, NULL);
    return error;
}

static enum kiwi_status wiredtiger_engine_open(const struct engine_options *options,
                                               struct engine              **out)
{
    struct engine   *engine = memory_allocate_zeroed(sizeof *engine);
    enum kiwi_status status;
    char             settings[400];

    *out = NULL;
    if (engine == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for an engine");
    engine->durability = options->durability;
    /* Beside its cache it takes a fifth and more for its allocator's gaps and its writes. */
    engine->cache_bytes = options->memory_bytes / 4 * 3;
    engine->is_direct = options->data_bytes > options->memory_bytes;
    snprintf(settings, sizeof settings,
             "create%s,cache_size=%llu,session_max=%u,log=(enabled=true,file_max=128MB),"
             "transaction_sync=(%s),checkpoint=(wait=60,log_size=1GB),"
             "eviction=(threads_min=1,threads_max=2)%s",
             options->must_be_new ? ",exclusive" : "", (unsigned long long)engine->cache_bytes,
             options->thread_count + 32, log_setting(options->durability),
             engine->is_direct ? ",direct_io=[data]" : "");
    status = error_take("open", wiredtiger_open(options->directory, NULL, settings,
                                                &engine->connection));
    if (status == KIWI_OK)
        status = error_take("create", table_make(engine));
    if (status != KIWI_OK) {
        (void)wiredtiger_engine_close(engine);
        return status;
    }
    *out = engine;
    return KIWI_OK;
}

static void wiredtiger_client_close(struct engine_client *client)
{
    if (client == NULL)
        return;
    if (client->session != NULL)
        (void)client->session->close(client->session, NULL); /* its cursors too */
    memory_free(client);
}

static enum kiwi_status wiredtiger_client_open(struct engine *engine, uint32_t index,
                                               struct engine_client **out)
{
    struct engine_client *client = memory_allocate_zeroed(sizeof *client);
    int                   error;

    (void)index;
    *out = NULL;
    if (client == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a client");
    client->engine = engine;
    error = engine->connection->open_session(engine->connection, NULL, NULL, &client->session);
    if (error == 0)
        error = client->session->open_cursor(client->session, "table:data", NULL, NULL,
                                             &client->cursor);
    if (error == 0)
        error = client->session->open_cursor(client->session, "table:data", NULL, NULL,
                                             &client->scan);
    if (error != 0) {
        wiredtiger_client_close(client);
        return error_take("session", error);
    }
    *out = client;
    return KIWI_OK;
}

static WT_ITEM item_of(struct kiwi_slice slice)
{
    return (WT_ITEM){ .data = slice.data, .size = slice.size };
}

static void lent_release(struct engine_client *client)
{
    if (client->is_lending)
        (void)client->cursor->reset(client->cursor);
    client->is_lending = false;
}

static bool wiredtiger_client_idle(struct engine_client *client, uint64_t timeout_ns)
{
    (void)timeout_ns;
    lent_release(client);
    return false;
}

static enum kiwi_status get(struct engine_client *client, struct kiwi_op *op)
{
    WT_CURSOR *cursor = client->cursor;
    WT_ITEM    key = item_of(op->key), value;
    int        error;

    op->value_bytes = 0;
    cursor->set_key(cursor, &key);
    if ((error = cursor->search(cursor)) == WT_NOTFOUND)
        return KIWI_NOT_FOUND;
    client->is_lending = error == 0;
    if (error == 0)
        error = cursor->get_value(cursor, &value);
    if (error != 0)
        return error_take("get", error);
    op->buffer = (void *)(uintptr_t)value.data;
    op->value_bytes = value.size;
    return KIWI_OK;
}

static int cursor_write(struct engine_client *client, const struct kiwi_op *op)
{
    WT_CURSOR *cursor = client->cursor;
    WT_ITEM    key = item_of(op->key), value = item_of(op->value);
    int        error;

    cursor->set_key(cursor, &key);
    if (op->verb == KIWI_PUT) {
        cursor->set_value(cursor, &value);
        return cursor->insert(cursor);
    }
    error = cursor->remove(cursor);
    return error == WT_NOTFOUND ? 0 : error;
}

/* A write that asks for less than the connection promises is a transaction of its own, as only
 * those have a setting. Conflicts and full caches are tried again. */
static enum kiwi_status write_one(struct engine_client *client, const struct kiwi_op *op)
{
    WT_SESSION *session = client->session;
    bool        is_lesser = op->durability > client->engine->durability;
    int         error;

    if (op->durability < client->engine->durability)
        return FAIL(KIWI_INVALID, "wiredtiger: opened for writes of less durability");
    do {
        error = is_lesser ? session->begin_transaction(session, "sync=false") : 0;
        if (error != 0)
            break;
        error = cursor_write(client, op);
        if (is_lesser && error == 0)
            error = session->commit_transaction(session, NULL);
        else if (is_lesser)
            (void)session->rollback_transaction(session, NULL);
    } while (error == WT_ROLLBACK);
    return error_take("write", error);
}

static enum kiwi_status seek(struct engine_client *client, const struct kiwi_op *op)
{
    WT_CURSOR *scan = client->scan;
    WT_ITEM    key = item_of(op->key);
    int        error, side = 0;

    scan->set_key(scan, &key);
    error = scan->search_near(scan, &side);
    if (error == 0 && side < 0)
        error = scan->next(scan);
    return error == WT_NOTFOUND ? KIWI_NOT_FOUND : error_take("seek", error);
}

static void wiredtiger_client_execute(struct engine_client *client, struct kiwi_op *op)
{
    lent_release(client);
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

static enum kiwi_status wiredtiger_scan_prepare(struct engine_client *client, uint32_t slot,
                                                struct kiwi_op *op, uint32_t rows)
{
    (void)client;
    (void)slot;
    (void)rows;
    op->verb = KIWI_ITERATE;
    return KIWI_OK;
}

static enum kiwi_status wiredtiger_scan_rows(struct engine_client *client, struct kiwi_op *op,
                                             uint64_t max, engine_visit visit, void *context)
{
    WT_CURSOR *scan = client->scan;
    int        error = 0;

    (void)op;
    for (uint64_t row = 0; row < max; row++) {
        WT_ITEM key, value;

        if (row > 0 && (error = scan->next(scan)) != 0)
            break;
        if ((error = scan->get_key(scan, &key)) != 0
            || (error = scan->get_value(scan, &value)) != 0)
            break;
        if (!visit(context, (struct kiwi_slice){ key.data, key.size },
                   (struct kiwi_slice){ value.data, value.size }))
            break;
    }
    (void)scan->reset(scan);
    return error == WT_NOTFOUND ? KIWI_OK : error_take("scan", error);
}

static void wiredtiger_engine_describe(const struct engine *engine, char *text, size_t bytes)
{
    int major, minor, patch;

    (void)wiredtiger_version(&major, &minor, &patch);
    snprintf(text, bytes,
             "WiredTiger %d.%d.%d, B-tree, cache %llu MiB, leaf pages of 8 KiB, log on (%s), "
             "checkpoint every 60 s or GiB of log, up to 2 eviction threads, %s",
             major, minor, patch, (unsigned long long)(engine->cache_bytes >> 20),
             log_setting(engine->durability),
             engine->is_direct ? "direct I/O for data" : "buffered I/O");
}

const struct engine_class engine_wiredtiger = {
    .name = "wiredtiger",
    .note = "the distribution's build of WiredTiger, for a generic processor",
    .keeps_data = true,
    .has_no_submit = true,
    .open = wiredtiger_engine_open,
    .close = wiredtiger_engine_close,
    .client_open = wiredtiger_client_open,
    .client_close = wiredtiger_client_close,
    .idle = wiredtiger_client_idle,
    .execute = wiredtiger_client_execute,
    .scan_prepare = wiredtiger_scan_prepare,
    .scan_rows = wiredtiger_scan_rows,
    .describe = wiredtiger_engine_describe,
};
