/*
 * embed.c: the blocking form in one page. Opens a database, writes, reads, walks, closes.
 *
 *   cc embed.c $(pkg-config --cflags --libs kiwi) -o embed && ./embed /tmp/example-db
 */
#include <stdio.h>
#include <string.h>

#include <kiwi/kiwi.h>

static struct kiwi_slice slice(const char *text)
{
    return (struct kiwi_slice){ text, strlen(text) };
}

static int failed(const char *what, enum kiwi_status status)
{
    fprintf(stderr, "%s: %s: %s\n", what, kiwi_status_text(status), kiwi_error_text());
    return 1;
}

static enum kiwi_status fruits_put(struct kiwi_context *context)
{
    static const char *const fruits[][2] = {
        { "fruit/apple", "red" }, { "fruit/kiwi", "green" }, { "fruit/plum", "blue" },
    };
    struct kiwi_batch *batch;
    enum kiwi_status   status = kiwi_batch_open(&batch);

    /* One batch: all of it or nothing, also after a crash. */
    for (size_t i = 0; status == KIWI_OK && i < 3; i++)
        status = kiwi_batch_put(batch, slice(fruits[i][0]), slice(fruits[i][1]));
    if (status == KIWI_OK)
        status = kiwi_write(context, batch, KIWI_DURABLE);
    kiwi_batch_close(batch);
    return status;
}

static enum kiwi_status fruits_print(struct kiwi_context *context)
{
    struct kiwi_iterator_options options = { .prefix = slice("fruit/") };
    struct kiwi_iterator        *iterator;
    enum kiwi_status             status = kiwi_iterator_open(context, &options, &iterator);

    if (status != KIWI_OK)
        return status;
    for (status = kiwi_iterator_first(iterator); status == KIWI_OK;
         status = kiwi_iterator_next(iterator)) {
        struct kiwi_slice key = kiwi_iterator_key(iterator), value = kiwi_iterator_value(iterator);
        printf("%.*s = %.*s\n", (int)key.size, (const char *)key.data, (int)value.size,
               (const char *)value.data);
    }
    kiwi_iterator_close(iterator);
    return status == KIWI_NOT_FOUND ? KIWI_OK : status; /* past the last row is the normal end */
}

int main(int argc, char **argv)
{
    struct kiwi_options  options = kiwi_options_default();
    struct kiwi_db      *db;
    struct kiwi_context *context;
    struct kiwi_buffer   value = { 0 };
    enum kiwi_status     status;

    options.memory_bytes = 64u << 20;
    status = kiwi_open(argc > 1 ? argv[1] : "example-db", &options, &db);
    if (status != KIWI_OK)
        return failed("open", status);
    if ((status = kiwi_context_open(db, 16, &context)) != KIWI_OK)
        return failed("context", status);
    if ((status = fruits_put(context)) != KIWI_OK)
        return failed("write", status);
    if ((status = kiwi_get(context, slice("fruit/kiwi"), NULL, &value)) != KIWI_OK)
        return failed("get", status);
    printf("a kiwi is %.*s\n", (int)value.size, (const char *)value.data);
    kiwi_buffer_free(&value);
    if ((status = fruits_print(context)) != KIWI_OK)
        return failed("walk", status);
    kiwi_context_close(context);
    if ((status = kiwi_close(db)) != KIWI_OK)
        return failed("close", status);
    return 0;
}
