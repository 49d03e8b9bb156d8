/*
 * blocking.c: the plain calls: the completion form plus a wait.
 */
#include "core/db/db.h"

#include <string.h>

#include "core/base/memory.h"

#define VALUE_BYTES_FIRST 1024u

/* Only the in fields are cleared: the engine sets its own part itself. */
static void op_clear(struct kiwi_op *op, enum kiwi_verb verb)
{
    memset(op, 0, offsetof(struct kiwi_op, private_words));
    op->verb = (uint8_t)verb;
}

static enum kiwi_status op_execute(struct kiwi_context *context, struct kiwi_op *op)
{
    operation_start(context, op, true);
    operation_wait(context, op);
    return op->status;
}

enum kiwi_status kiwi_put(struct kiwi_context *context, struct kiwi_slice key,
                          struct kiwi_slice value, enum kiwi_durability durability)
{
    struct kiwi_op op;

    op_clear(&op, KIWI_PUT);
    op.key = key;
    op.value = value;
    op.durability = (uint8_t)durability;
    return op_execute(context, &op);
}

enum kiwi_status kiwi_delete(struct kiwi_context *context, struct kiwi_slice key,
                             enum kiwi_durability durability)
{
    struct kiwi_op op;

    op_clear(&op, KIWI_DELETE);
    op.key = key;
    op.durability = (uint8_t)durability;
    return op_execute(context, &op);
}

static enum kiwi_status buffer_reserve(struct kiwi_buffer *buffer, size_t bytes)
{
    void *data;

    if (LIKELY(buffer->capacity >= bytes))
        return KIWI_OK;
    data = memory_resize(buffer->data, bytes);
    if (data == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a value of %zu bytes", bytes);
    buffer->data = data;
    buffer->capacity = bytes;
    return KIWI_OK;
}

enum kiwi_status kiwi_get(struct kiwi_context *context, struct kiwi_slice key,
                          struct kiwi_snapshot *snapshot, struct kiwi_buffer *value)
{
    struct kiwi_op   op;
    enum kiwi_status status;

    value->size = 0;
    TRY(buffer_reserve(value, VALUE_BYTES_FIRST));
    op_clear(&op, KIWI_GET);
    op.key = key;
    op.snapshot = snapshot;
    for (;;) {
        op.buffer = value->data;
        op.buffer_bytes = value->capacity;
        status = op_execute(context, &op);
        if (LIKELY(status != KIWI_TOO_SMALL))
            break;
        TRY(buffer_reserve(value, op.value_bytes));
    }
    if (status == KIWI_OK)
        value->size = op.value_bytes;
    return status;
}

enum kiwi_status kiwi_multiget(struct kiwi_context *context, const struct kiwi_slice *keys,
                               size_t count, struct kiwi_snapshot *snapshot,
                               struct kiwi_buffer *values, enum kiwi_status *statuses)
{
    enum kiwi_status first = KIWI_OK;
    struct kiwi_op  *ops = memory_allocate(count * sizeof *ops);

    if (ops == NULL) {
        for (size_t i = 0; i < count; i++) {
            statuses[i] = KIWI_NO_MEMORY;
            values[i].size = 0;
        }
        return FAIL(KIWI_NO_MEMORY, "no memory for %zu reads", count);
    }
    for (size_t i = 0; i < count; i++) {
        op_clear(&ops[i], KIWI_GET);
        ops[i].key = keys[i];
        ops[i].snapshot = snapshot;
        if (buffer_reserve(&values[i], VALUE_BYTES_FIRST) == KIWI_OK) {
            ops[i].buffer = values[i].data;
            ops[i].buffer_bytes = values[i].capacity;
        }
        operation_start(context, &ops[i], true);
    }
    for (size_t i = 0; i < count; i++) {
        operation_wait(context, &ops[i]);
        statuses[i] = ops[i].status;
        values[i].size = statuses[i] == KIWI_OK ? ops[i].value_bytes : 0;
        if (statuses[i] == KIWI_TOO_SMALL)
            statuses[i] = kiwi_get(context, keys[i], snapshot, &values[i]);
        if (first == KIWI_OK && statuses[i] != KIWI_NOT_FOUND)
            first = statuses[i];
    }
    memory_free(ops);
    return first;
}

enum kiwi_status kiwi_write(struct kiwi_context *context, struct kiwi_batch *batch,
                            enum kiwi_durability durability)
{
    struct kiwi_op op;

    op_clear(&op, KIWI_WRITE);
    op.batch = batch;
    op.durability = (uint8_t)durability;
    return op_execute(context, &op);
}

enum kiwi_status kiwi_wait_durable(struct kiwi_context *context)
{
    struct kiwi_op op;

    op_clear(&op, KIWI_WAIT_DURABLE);
    return op_execute(context, &op);
}

enum kiwi_status kiwi_flush(struct kiwi_context *context)
{
    struct kiwi_op op;

    op_clear(&op, KIWI_FLUSH);
    return op_execute(context, &op);
}

enum kiwi_status kiwi_compact(struct kiwi_context *context, struct kiwi_slice first,
                              struct kiwi_slice last)
{
    struct kiwi_op op;

    op_clear(&op, KIWI_COMPACT);
    op.key = first;
    op.value = last;
    return op_execute(context, &op);
}
