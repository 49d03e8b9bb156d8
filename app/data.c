/*
 * data.c: put, get, del and scan.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/database.h"
#include "app/explain.h"
#include "app/json.h"
#include "app/text.h"

#define SCAN_SCHEMA "kiwi.scan"

static struct kiwi_slice slice_of(const struct text_bytes *bytes)
{
    return (struct kiwi_slice){ bytes->data, bytes->size };
}

/* False after a message. */
static bool bytes_read(const struct command *command, const struct arguments *arguments,
                       const char *what, const char *text, struct text_bytes *out)
{
    char why[80];

    if (text_decode(arguments->in, text, out, why, sizeof why))
        return true;
    usage_fail(command, "%s: %s", what, why);
    return false;
}

static enum text_form output_form(const struct arguments *arguments)
{
    if (arguments->out != FORM_DEFAULT)
        return arguments->out;
    return isatty(STDOUT_FILENO) == 1 ? FORM_ESCAPED : FORM_RAW;
}

/* All of standard input; false after a message. */
static bool stdin_read(const struct command *command, struct text_bytes *out)
{
    size_t capacity = 1u << 16;

    out->size = 0;
    out->data = malloc(capacity);
    while (out->data != NULL) {
        size_t got = fread(out->data + out->size, 1, capacity - out->size, stdin);

        out->size += got;
        if (out->size < capacity && (feof(stdin) != 0 || ferror(stdin) != 0)) {
            if (ferror(stdin) == 0)
                return true;
            fprintf(stderr, "kiwidb %s: cannot read standard input\n", command->name);
            break;
        }
        if (out->size > KIWI_VALUE_BYTES_MAX) {
            fprintf(stderr, "kiwidb %s: standard input is longer than a value may be, %u bytes\n",
                    command->name, KIWI_VALUE_BYTES_MAX);
            break;
        }
        if (out->size == capacity) {
            uint8_t *data = realloc(out->data, capacity * 2);
            if (data == NULL)
                break;
            out->data = data;
            capacity *= 2;
        }
    }
    text_free(out);
    return false;
}

int command_put(const struct command *command, const struct arguments *arguments)
{
    struct session       session;
    struct text_bytes    key = { 0 }, value = { 0 };
    enum kiwi_durability durability;
    enum kiwi_status     status;
    int                  code = EXIT_USAGE;

    if (!durability_of(command, arguments, &durability)
        || !bytes_read(command, arguments, "KEY", arguments->positional[0], &key))
        return EXIT_USAGE;
    if (arguments->positional_count == 2) {
        if (!bytes_read(command, arguments, "VALUE", arguments->positional[1], &value))
            goto end;
    } else if (!stdin_read(command, &value)) {
        code = EXIT_ENVIRONMENT;
        goto end;
    }
    code = session_open(command, arguments, &session);
    if (code != EXIT_DONE)
        goto end;
    status = kiwi_put(session.context, slice_of(&key), slice_of(&value), durability);
    if (status != KIWI_OK)
        code = status_fail(command, arguments->positional[0], status);
    else if (arguments->is_json) {
        json_t *document = document_of("kiwi.put");
        json_put_bytes(document, "key", key.data, key.size);
        json_object_set_new(document, "value_bytes", json_integer((json_int_t)value.size));
        document_print(document);
    }
    code = session_close(command, &session, code);
end:
    text_free(&key);
    text_free(&value);
    return code;
}

static void value_print(const struct arguments *arguments, const struct text_bytes *key,
                        const struct kiwi_buffer *value, bool is_found,
                        const struct kiwi_explain *explain)
{
    enum text_form form = output_form(arguments);

    if (arguments->is_json) {
        json_t *document = document_of("kiwi.get");

        json_put_bytes(document, "key", key->data, key->size);
        json_object_set_new(document, "found", json_boolean(is_found));
        if (is_found)
            json_put_bytes(document, "value", value->data, value->size);
        if (arguments->is_explain)
            json_object_set_new(document, "explain", explain_json(explain));
        document_print(document);
    } else if (is_found) {
        text_write(stdout, form, value->data, value->size);
        if (form != FORM_RAW)
            fputc('\n', stdout);
    }
}

int command_get(const struct command *command, const struct arguments *arguments)
{
    struct session      session;
    struct text_bytes   key;
    struct kiwi_buffer  value = { 0 };
    struct kiwi_explain explain = { 0 };
    enum kiwi_status    status;
    int                 code;

    if (!bytes_read(command, arguments, "KEY", arguments->positional[0], &key))
        return EXIT_USAGE;
    code = session_open(command, arguments, &session);
    if (code == EXIT_DONE) {
        status = arguments->is_explain
                   ? explained_get(session.context, slice_of(&key), &value, &explain)
                   : kiwi_get(session.context, slice_of(&key), NULL, &value);
        if (status != KIWI_OK && status != KIWI_NOT_FOUND)
            code = status_fail(command, arguments->positional[0], status);
        else {
            value_print(arguments, &key, &value, status == KIWI_OK, &explain);
            code = exit_of_status(status);
            if (status == KIWI_NOT_FOUND && !arguments->is_json)
                fprintf(stderr, "kiwidb get: no such key\n");
            if (arguments->is_explain && !arguments->is_json)
                explain_print(&explain);
        }
        if (arguments->is_explain)
            free(value.data);
        else
            kiwi_buffer_free(&value);
        code = session_close(command, &session, code);
    }
    text_free(&key);
    return code;
}

int command_delete(const struct command *command, const struct arguments *arguments)
{
    struct session       session;
    struct text_bytes    key;
    enum kiwi_durability durability;
    enum kiwi_status     status;
    int                  code;

    if (!durability_of(command, arguments, &durability)
        || !bytes_read(command, arguments, "KEY", arguments->positional[0], &key))
        return EXIT_USAGE;
    code = session_open(command, arguments, &session);
    if (code == EXIT_DONE) {
        status = kiwi_delete(session.context, slice_of(&key), durability);
        if (status != KIWI_OK)
            code = status_fail(command, arguments->positional[0], status);
        else if (arguments->is_json) {
            json_t *document = document_of("kiwi.delete");
            json_put_bytes(document, "key", key.data, key.size);
            document_print(document);
        }
        code = session_close(command, &session, code);
    }
    text_free(&key);
    return code;
}

struct scan {
    struct text_bytes from, to, prefix;
    uint64_t          limit;
    uint64_t          rows;
    json_t           *array;     /* NULL without --json */
};

/* False after a message. */
static bool scan_parse(const struct command *command, const struct arguments *arguments,
                       struct scan *scan)
{
    scan->limit = UINT64_MAX;
    if (arguments->limit != NULL && !text_count(arguments->limit, &scan->limit)) {
        usage_fail(command, "--limit '%.40s' is no number", arguments->limit);
        return false;
    }
    if (arguments->from != NULL
        && !bytes_read(command, arguments, "--from", arguments->from, &scan->from))
        return false;
    if (arguments->to != NULL && !bytes_read(command, arguments, "--to", arguments->to, &scan->to))
        return false;
    return arguments->positional_count == 0
        || bytes_read(command, arguments, "PREFIX", arguments->positional[0], &scan->prefix);
}

static void row_print(const struct arguments *arguments, struct scan *scan, struct kiwi_slice key,
                      struct kiwi_slice value)
{
    /* Rows are lines: raw bytes could not be told apart. */
    enum text_form form = output_form(arguments) == FORM_RAW && arguments->out == FORM_DEFAULT
                            ? FORM_ESCAPED
                            : output_form(arguments);

    if (scan->array != NULL) {
        json_t *row = json_object();

        json_put_bytes(row, "key", key.data, key.size);
        if (!arguments->keys_only)
            json_put_bytes(row, "value", value.data, value.size);
        json_array_append_new(scan->array, row);
        return;
    }
    text_write(stdout, form, key.data, key.size);
    if (!arguments->keys_only) {
        if (form != FORM_RAW)
            fputc('\t', stdout);
        text_write(stdout, form, value.data, value.size);
    }
    if (form != FORM_RAW)
        fputc('\n', stdout);
}

static enum kiwi_status scan_rows(const struct arguments *arguments, struct kiwi_iterator *iterator,
                                  struct scan *scan)
{
    enum kiwi_status status =
        arguments->is_reverse ? kiwi_iterator_last(iterator) : kiwi_iterator_first(iterator);

    while (status == KIWI_OK && scan->rows < scan->limit && signal_seen() == 0) {
        scan->rows++;
        if (!arguments->is_count)
            row_print(arguments, scan, kiwi_iterator_key(iterator), kiwi_iterator_value(iterator));
        if (ferror(stdout) != 0)
            break;
        status = arguments->is_reverse ? kiwi_iterator_previous(iterator)
                                       : kiwi_iterator_next(iterator);
    }
    return status == KIWI_NOT_FOUND ? KIWI_OK : status;
}

static int scan_run(const struct command *command, const struct arguments *arguments,
                    struct session *session, struct scan *scan)
{
    struct kiwi_iterator_options options = {
        .lower = slice_of(&scan->from),
        .upper = slice_of(&scan->to),
        .prefix = slice_of(&scan->prefix),
        .flags = KIWI_FLAG_NO_FILL,
    };
    struct kiwi_iterator *iterator = NULL;
    enum kiwi_status      status = kiwi_iterator_open(session->context, &options, &iterator);

    if (status == KIWI_OK && scan->limit > 0)
        status = scan_rows(arguments, iterator, scan);
    kiwi_iterator_close(iterator);
    if (status != KIWI_OK)
        return status_fail(command, "scan", status);
    if (signal_seen() != 0) {
        fprintf(stderr, "kiwidb scan: stopped after %llu rows\n", (unsigned long long)scan->rows);
        return 128 + signal_seen();
    }
    return EXIT_DONE;
}

int command_scan(const struct command *command, const struct arguments *arguments)
{
    struct session session;
    struct scan    scan = { 0 };
    int            code = EXIT_USAGE;

    if (!scan_parse(command, arguments, &scan))
        goto end;
    code = session_open(command, arguments, &session);
    if (code != EXIT_DONE)
        goto end;
    if (arguments->is_json && !arguments->is_count)
        scan.array = json_array();
    code = scan_run(command, arguments, &session, &scan);
    if (arguments->is_json) {
        json_t *document = document_of(SCAN_SCHEMA);

        json_object_set_new(document, "count", json_integer((json_int_t)scan.rows));
        if (scan.array != NULL)
            json_object_set_new(document, "rows", scan.array);
        document_print(document);
    } else if (arguments->is_count) {
        printf("%llu\n", (unsigned long long)scan.rows);
    }
    code = session_close(command, &session, code);
end:
    text_free(&scan.from);
    text_free(&scan.to);
    text_free(&scan.prefix);
    return code;
}
