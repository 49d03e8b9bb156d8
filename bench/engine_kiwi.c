/*
 * engine_kiwi.c: our engine behind the driver's interface, through its public API only.
 *
 * Attached  client i drives the shards whose number is i modulo the count of clients.
 * Scans     one iterator per slot, kept open and refreshed: opening one per scan would measure
 *           allocation. The seek is submitted like any request, so seeks overlap; rows are then
 *           read with blocking moves, which memory answers but for block boundaries.
 */
#include <stdio.h>
#include <string.h>

#include "bench/engine.h"
#include "core/base/memory.h"

struct engine {
    struct kiwi_db       *db;
    struct engine_options options;
};

struct engine_client {
    struct engine         *engine;
    struct kiwi_context   *context;
    struct kiwi_buffer     value;        /* of blocking gets */
    bool                   is_attached;
    struct kiwi_iterator **iterators;    /* one per slot, made when first needed */
};

static enum kiwi_status kiwi_engine_open(const struct engine_options *options, struct engine **out)
{
    struct kiwi_options settings = kiwi_options_default();
    struct engine      *engine = memory_allocate_zeroed(sizeof *engine);
    enum kiwi_status    status;

    *out = NULL;
    if (engine == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for an engine");
    engine->options = *options;
    settings.memory_bytes = options->memory_bytes;
    settings.shard_count = options->shard_count;
    settings.durability = options->durability;
    settings.drive = options->model == CLIENT_ATTACHED ? KIWI_ATTACHED : KIWI_MANAGED;
    settings.io_backend = options->io_backend;
    settings.create = true;
    settings.must_be_new = options->must_be_new;
    settings.statistics_off = options->has_no_statistics;
    status = kiwi_open(options->directory, &settings, &engine->db);
    if (status != KIWI_OK) {
        memory_free(engine);
        return status;
    }
    *out = engine;
    return KIWI_OK;
}

static enum kiwi_status kiwi_engine_close(struct engine *engine)
{
    enum kiwi_status status = KIWI_OK;

    if (engine != NULL)
        status = kiwi_close(engine->db);
    memory_free(engine);
    return status;
}

static void kiwi_client_close(struct engine_client *client)
{
    if (client == NULL)
        return;
    for (uint32_t i = 0; client->iterators != NULL && i < client->engine->options.depth; i++)
        kiwi_iterator_close(client->iterators[i]);
    if (client->is_attached)
        kiwi_detach(client->context);
    kiwi_context_close(client->context);
    kiwi_buffer_free(&client->value);
    memory_free(client->iterators);
    memory_free(client);
}

static enum kiwi_status kiwi_client_open(struct engine *engine, uint32_t index,
                                         struct engine_client **out)
{
    struct engine_client *client = memory_allocate_zeroed(sizeof *client);
    const uint32_t        depth = engine->options.depth;
    enum kiwi_status      status = KIWI_NO_MEMORY;
    uint64_t              mask = 0;

    *out = NULL;
    if (client == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a client");
    client->engine = engine;
    client->iterators = memory_allocate_zeroed(depth * sizeof(struct kiwi_iterator *));
    if (client->iterators == NULL)
        goto fail;
    if ((status = kiwi_context_open(engine->db, depth, &client->context)) != KIWI_OK)
        goto fail;
    if (engine->options.model == CLIENT_ATTACHED) {
        for (uint32_t shard = 0; shard < kiwi_shard_count(engine->db); shard++)
            if (shard % engine->options.thread_count == index)
                mask |= 1ull << shard;
        if (mask != 0) {
            if ((status = kiwi_attach(client->context, mask)) != KIWI_OK)
                goto fail;
            client->is_attached = true;
        }
    }
    *out = client;
    return KIWI_OK;
fail:
    kiwi_client_close(client);
    return status;
}

static enum kiwi_status kiwi_client_submit(struct engine_client *client, struct kiwi_op **ops,
                                           size_t count)
{
    return kiwi_submit(client->context, ops, count);
}

static size_t kiwi_client_poll(struct engine_client *client, struct kiwi_op **done, size_t max,
                               uint64_t timeout_ns)
{
    return kiwi_poll(client->context, done, max, timeout_ns);
}

static bool kiwi_client_idle(struct engine_client *client, uint64_t timeout_ns)
{
    struct kiwi_op *none[1];

    if (!client->is_attached)
        return false;
    size_t count = kiwi_poll(client->context, none, 1, timeout_ns);
    assert(count == 0);
    (void)count;
    return true;
}

static void kiwi_client_execute(struct engine_client *client, struct kiwi_op *op)
{
    switch (op->verb) {
    case KIWI_GET:
        op->status = kiwi_get(client->context, op->key, NULL, &client->value);
        op->buffer = client->value.data;
        op->value_bytes = client->value.size;
        break;
    case KIWI_PUT:
        op->status =
            kiwi_put(client->context, op->key, op->value, (enum kiwi_durability)op->durability);
        break;
    case KIWI_DELETE:
        op->status = kiwi_delete(client->context, op->key, (enum kiwi_durability)op->durability);
        break;
    case KIWI_ITERATE:
        op->status = kiwi_iterator_seek(op->iterator, op->key);
        break;
    default:
        op->status = FAIL(KIWI_INVALID, "verb %u has no blocking form here", op->verb);
        break;
    }
}

static enum kiwi_status kiwi_scan_prepare(struct engine_client *client, uint32_t slot,
                                          struct kiwi_op *op, uint32_t rows)
{
    assert(slot < client->engine->options.depth);
    if (client->iterators[slot] == NULL)
        TRY(kiwi_iterator_open(client->context, NULL, &client->iterators[slot]));
    else
        TRY(kiwi_iterator_refresh(client->iterators[slot], NULL));
    kiwi_iterator_row_hint(client->iterators[slot], rows);
    op->verb = KIWI_ITERATE;
    op->movement = KIWI_SEEK;
    op->iterator = client->iterators[slot];
    return KIWI_OK;
}

static enum kiwi_status kiwi_scan_rows(struct engine_client *client, struct kiwi_op *op,
                                       uint64_t max, engine_visit visit, void *context)
{
    (void)client;
    for (uint64_t row = 0; row < max; row++) {
        if (row > 0) {
            enum kiwi_status status = kiwi_iterator_next(op->iterator);
            if (status != KIWI_OK)
                return status == KIWI_NOT_FOUND ? KIWI_OK : status;
        } else if (!kiwi_iterator_is_valid(op->iterator)) {
            return KIWI_OK;
        }
        if (!visit(context, kiwi_iterator_key(op->iterator), kiwi_iterator_value(op->iterator)))
            return KIWI_OK;
    }
    return KIWI_OK;
}

static enum kiwi_status kiwi_engine_stats(struct engine *engine, struct kiwi_stats *stats)
{
    return kiwi_stats_read(engine->db, stats);
}

static enum kiwi_status kiwi_engine_stats_reset(struct engine *engine)
{
    return kiwi_stats_reset(engine->db);
}

static uint32_t kiwi_engine_shard_of(const struct engine *engine, struct kiwi_slice key)
{
    return kiwi_shard_of(engine->db, key);
}

static uint64_t kiwi_engine_debt(struct engine *engine)
{
    struct kiwi_stats *stats = memory_allocate_zeroed(sizeof *stats);
    uint64_t           debt = 0;

    if (stats != NULL && kiwi_stats_read(engine->db, stats) == KIWI_OK)
        debt = stats->debt_bytes + stats->frozen_bytes;
    memory_free(stats);
    return debt;
}

static void kiwi_engine_describe(const struct engine *engine, char *text, size_t bytes)
{
    const struct kiwi_options *options = kiwi_db_options(engine->db);

    snprintf(text, bytes,
             "memory %llu MiB, %u shards, memtable %llu KiB, log %llu KiB, tables of %llu KiB, "
             "%u flush workers, L0 up to %u runs, levels up to %u",
             (unsigned long long)(options->memory_bytes >> 20), kiwi_shard_count(engine->db),
             (unsigned long long)(options->memtable_bytes >> 10),
             (unsigned long long)(options->log_bytes >> 10),
             (unsigned long long)(options->table_bytes >> 10), options->flush_max_workers,
             options->level0_run_max, options->level_run_max);
}

const struct engine_class engine_kiwi = {
    .name = "kiwi",
    .note = "",
    .keeps_data = true,
    .open = kiwi_engine_open,
    .close = kiwi_engine_close,
    .client_open = kiwi_client_open,
    .client_close = kiwi_client_close,
    .submit = kiwi_client_submit,
    .poll = kiwi_client_poll,
    .idle = kiwi_client_idle,
    .execute = kiwi_client_execute,
    .scan_prepare = kiwi_scan_prepare,
    .scan_rows = kiwi_scan_rows,
    .stats = kiwi_engine_stats,
    .stats_reset = kiwi_engine_stats_reset,
    .shard_of = kiwi_engine_shard_of,
    .debt = kiwi_engine_debt,
    .describe = kiwi_engine_describe,
};
