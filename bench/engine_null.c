/*
 * engine_null.c: an engine that does nothing, to price the driver itself.
 *
 * Requests are handed back by the next poll in the order they came.
 */
#include <string.h>

#include "bench/engine.h"
#include "core/base/memory.h"

struct engine {
    uint32_t depth;
};

struct engine_client {
    uint32_t        capacity;  /* a power of two */
    uint32_t        first, last;
    struct kiwi_op *waiting[];
};

static enum kiwi_status null_open(const struct engine_options *options, struct engine **out)
{
    struct engine *engine = memory_allocate_zeroed(sizeof *engine);

    *out = engine;
    if (engine == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for the null engine");
    engine->depth = options->depth;
    return KIWI_OK;
}

static enum kiwi_status null_close(struct engine *engine)
{
    memory_free(engine);
    return KIWI_OK;
}

static enum kiwi_status null_client_open(struct engine *engine, uint32_t index,
                                         struct engine_client **out)
{
    uint32_t              capacity = 1;
    struct engine_client *client;

    (void)index;
    while (capacity < engine->depth)
        capacity *= 2;
    client = memory_allocate_zeroed(sizeof *client + capacity * sizeof client->waiting[0]);
    *out = client;
    if (client == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a null client");
    client->capacity = capacity;
    return KIWI_OK;
}

static void null_client_close(struct engine_client *client)
{
    memory_free(client);
}

static enum kiwi_status null_submit(struct engine_client *client, struct kiwi_op **ops,
                                    size_t count)
{
    if (client->last - client->first + count > client->capacity)
        return KIWI_BUSY;
    for (size_t i = 0; i < count; i++)
        client->waiting[client->last++ & (client->capacity - 1)] = ops[i];
    return KIWI_OK;
}

static size_t null_poll(struct engine_client *client, struct kiwi_op **done, size_t max,
                        uint64_t timeout_ns)
{
    size_t count = 0;

    (void)timeout_ns;
    while (count < max && client->first != client->last) {
        struct kiwi_op *op = client->waiting[client->first++ & (client->capacity - 1)];

        op->status = KIWI_OK;
        op->value_bytes = 0;
        done[count++] = op;
    }
    return count;
}

static bool null_idle(struct engine_client *client, uint64_t timeout_ns)
{
    (void)client;
    (void)timeout_ns;
    return false;
}

static void null_execute(struct engine_client *client, struct kiwi_op *op)
{
    (void)client;
    op->status = KIWI_OK;
    op->value_bytes = 0;
}

static enum kiwi_status null_scan_prepare(struct engine_client *client, uint32_t slot,
                                          struct kiwi_op *op, uint32_t rows)
{
    (void)rows;
    (void)client;
    (void)slot;
    op->verb = KIWI_ITERATE;
    return KIWI_OK;
}

static enum kiwi_status null_scan_rows(struct engine_client *client, struct kiwi_op *op,
                                       uint64_t max, engine_visit visit, void *context)
{
    (void)client;
    (void)op;
    (void)max;
    (void)visit;
    (void)context;
    return KIWI_OK;
}

static void null_describe(const struct engine *engine, char *text, size_t bytes)
{
    (void)engine;
    if (bytes > 0)
        text[0] = 0;
}

const struct engine_class engine_null = {
    .name = "null",
    .note = "keeps nothing: these numbers are the cost of the driver",
    .keeps_data = false,
    .open = null_open,
    .close = null_close,
    .client_open = null_client_open,
    .client_close = null_client_close,
    .submit = null_submit,
    .poll = null_poll,
    .idle = null_idle,
    .execute = null_execute,
    .scan_prepare = null_scan_prepare,
    .scan_rows = null_scan_rows,
    .describe = null_describe,
};
