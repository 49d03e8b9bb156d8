/*
 * explain.c: a get that tells what it touched.
 */
#include "app/explain.h"

#include <inttypes.h>
#include <stdlib.h>

#include "app/json.h"

#define FIRST_BUFFER_BYTES 65536u

/* Runs op to its end. */
static void op_finish(struct kiwi_context *context, struct kiwi_op *op)
{
    struct kiwi_op *done;

    op->status = kiwi_submit(context, &op, 1);
    if (op->status == KIWI_OK)
        while (kiwi_poll(context, &done, 1, KIWI_FOREVER) == 0)
            ;
}

enum kiwi_status explained_get(struct kiwi_context *context, struct kiwi_slice key,
                               struct kiwi_buffer *value, struct kiwi_explain *explain)
{
    struct kiwi_op op = { .verb = KIWI_GET, .key = key, .explain = explain,
                          .buffer_bytes = FIRST_BUFFER_BYTES };

    op.buffer = malloc(op.buffer_bytes);
    if (op.buffer != NULL)
        op_finish(context, &op);
    /* The first read is what is told of: the second finds what it brought. */
    while (op.buffer != NULL && op.status == KIWI_TOO_SMALL) {
        free(op.buffer);
        op.explain = NULL;
        op.buffer_bytes = op.value_bytes;
        op.buffer = malloc(op.buffer_bytes);
        if (op.buffer != NULL)
            op_finish(context, &op);
    }
    value->data = op.buffer;
    value->size = op.status == KIWI_OK ? op.value_bytes : 0;
    return op.buffer != NULL ? op.status : KIWI_NO_MEMORY;
}

static void answer_name(const struct kiwi_explain *explain, char *text, size_t bytes)
{
    static const char *const names[] = {
        [KIWI_FROM_NOTHING] = "nothing",   [KIWI_FROM_RECORD_CACHE] = "record cache",
        [KIWI_FROM_MEMTABLE] = "memtable", [KIWI_FROM_FROZEN] = "frozen memtable",
    };

    if (explain->source == KIWI_FROM_LEVEL)
        snprintf(text, bytes, "L%u", explain->level);
    else
        snprintf(text, bytes, "%s", names[explain->source]);
}

void explain_print(const struct kiwi_explain *explain)
{
    char answer[24], table[40] = "";

    answer_name(explain, answer, sizeof answer);
    if (explain->source == KIWI_FROM_LEVEL)
        snprintf(table, sizeof table, ", table %" PRIu64, explain->table_id);
    fprintf(stderr,
            "answered by %s%s\n"
            "tables      %u with keys around it, %u ruled out by their filter, %u passed in vain\n"
            "blocks      %u found in memory, %u read (%u bytes)\n"
            "time        %.1f us, of it %.1f in the queue and %.1f at the device\n",
            answer, table, explain->tables_considered, explain->filter_skips,
            explain->filter_false, explain->blocks_cached, explain->blocks_read,
            explain->bytes_read, (double)explain->total_ns / 1e3, (double)explain->queue_ns / 1e3,
            (double)explain->device_ns / 1e3);
}

json_t *explain_json(const struct kiwi_explain *explain)
{
    char    answer[24];
    json_t *object;

    answer_name(explain, answer, sizeof answer);
    object = json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:I}", "answered_by", answer,
                       "tables_considered", explain->tables_considered, "filter_skips",
                       explain->filter_skips, "filter_false", explain->filter_false,
                       "blocks_cached", explain->blocks_cached, "blocks_read",
                       explain->blocks_read, "bytes_read", (json_int_t)explain->bytes_read,
                       "queue_ns", (json_int_t)explain->queue_ns, "device_ns",
                       (json_int_t)explain->device_ns, "total_ns", (json_int_t)explain->total_ns);
    if (object != NULL && explain->source == KIWI_FROM_LEVEL) {
        json_object_set_new(object, "level", json_integer(explain->level));
        json_object_set_new(object, "table", json_integer((json_int_t)explain->table_id));
    }
    return object;
}
