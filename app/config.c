/*
 * config.c: config.json: reading, checking, changing.
 *
 * A change writes a new file, syncs it, renames it over the old one and syncs the directory: after
 * a crash there is the old file or the new one.
 */
#include "app/config.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/database.h"
#include "app/text.h"

#define CONFIG_SCHEMA "kiwi.config"

#define TEXT(first, words) CONFIG_TEXT, 0, first, 0, 0, words
#define WHOLE(first, low, high) CONFIG_WHOLE, first, NULL, low, high, NULL
#define FRACTION(first, low, high) CONFIG_FRACTION, first, NULL, low, high, NULL
#define OPTION(field, scale, env)                                                                 \
    offsetof(struct kiwi_options, field), sizeof(((struct kiwi_options *)0)->field), scale, env
#define NO_OPTION 0, 0, 0, NULL

static const struct config_key keys[] = {
    { "env", TEXT("dev", "dev prod"), "", CONFIG_RESTART,
      "dev or prod: which of the keys below apply", NO_OPTION },
    { "max_memtable_entries", WHOLE(NAN, 1, 1e9), "entries", CONFIG_RESTART,
      "dev: the memtable of a shard freezes at this many entries, however small",
      OPTION(memtable_entry_max, 1, "dev") },
    { "max_memtable_size_mb", WHOLE(NAN, 1, 65536), "MiB", CONFIG_RESTART,
      "prod: the memtable of a shard freezes at this size; at less where --memory has no room",
      OPTION(memtable_bytes, 1 << 20, "prod") },
    { "immutable_queue_max_len", WHOLE(3, 1, 16), "memtables", CONFIG_RESTART,
      "frozen memtables of a shard before writers wait", OPTION(frozen_max, 1, NULL) },
    { "backpressure_timeout", FRACTION(NAN, 0.001, 86400), "s", CONFIG_RESTART,
      "how long a write waits for room before it is refused; not set: as long as it takes",
      OPTION(write_timeout_ns, 1e9, NULL) },
    { "l0_compaction_threshold", WHOLE(8, 2, 32), "runs", CONFIG_RESTART,
      "runs in L0 before they are merged", OPTION(level0_run_max, 1, NULL) },
    { "max_levels", WHOLE(6, 2, 6), "level", CONFIG_RESTART,
      "deepest level that merges make; what lies deeper already stays in use",
      OPTION(level_max, 1, NULL) },
    { "bloom_fpr_dev", FRACTION(NAN, 0.000001, 0.5), "", CONFIG_RESTART,
      "dev: share of absent keys that filters of new tables let pass; not set: 0.0014, and "
      "0.008 in the last level", OPTION(filter_false_share, 1, "dev") },
    { "bloom_fpr_prod", FRACTION(NAN, 0.000001, 0.5), "", CONFIG_RESTART,
      "prod: the same", OPTION(filter_false_share, 1, "prod") },
    { "flush_max_workers", WHOLE(2, 1, 4), "flushes", CONFIG_RESTART,
      "frozen memtables of a shard flushed at once", OPTION(flush_max_workers, 1, NULL) },
    { "cache_data_entry_limit", WHOLE(NAN, 1, 1e9), "blocks", CONFIG_RESTART,
      "data blocks cached at most; not set: as many as fit",
      OPTION(cache_data_block_max, 1, NULL) },
    { "cache_index_entry_limit", WHOLE(NAN, 1, 1e9), "blocks", CONFIG_RESTART,
      "index blocks cached at most, one or more of each table",
      OPTION(cache_index_block_max, 1, NULL) },
    { "cache_bloom_entry_limit", WHOLE(NAN, 1, 1e9), "blocks", CONFIG_RESTART,
      "filter blocks cached at most, one or more of each table",
      OPTION(cache_filter_block_max, 1, NULL) },
    { "block_size", WHOLE(NAN, 4096, 32768), "bytes", CONFIG_RESTART,
      "data blocks of new tables, in steps of 512; not set: what entries of their size fill best",
      OPTION(block_bytes, 1, NULL) },
    { "compaction_check_interval", FRACTION(NAN, 0.001, 3600), "s", CONFIG_NEVER,
      "has no effect: compaction is woken by what makes it due, it never polls", NO_OPTION },
    { "compaction_max_workers", WHOLE(NAN, 1, 16), "jobs", CONFIG_NEVER,
      "has no effect: a shard merges one piece at a time, and all shards merge side by side",
      NO_OPTION },
};

const struct config_key *config_at(size_t index)
{
    return index < sizeof keys / sizeof keys[0] ? &keys[index] : NULL;
}

const struct config_key *config_find(const char *name)
{
    for (size_t i = 0; config_at(i) != NULL; i++)
        if (strcmp(config_at(i)->name, name) == 0)
            return config_at(i);
    return NULL;
}

static bool is_choice(const char *choices, const char *word)
{
    size_t length = strlen(word);

    for (const char *at = choices; *at != 0; at += strcspn(at, " "), at += *at == ' ')
        if (strcspn(at, " ") == length && strncmp(at, word, length) == 0)
            return true;
    return false;
}

/* NULL when the value may stand for the key, else what is wrong. */
static const char *value_fault(const struct config_key *key, const json_t *value, char *why,
                               size_t bytes)
{
    double number = json_number_value(value);

    if (key->kind == CONFIG_TEXT) {
        if (json_is_string(value) && is_choice(key->choices, json_string_value(value)))
            return NULL;
        snprintf(why, bytes, "must be one of: %s", key->choices);
        return why;
    }
    if (!json_is_number(value) || !isfinite(number)
        || (key->kind == CONFIG_WHOLE && !json_is_integer(value))) {
        snprintf(why, bytes, "must be a %s", key->kind == CONFIG_WHOLE ? "whole number" : "number");
        return why;
    }
    if (number < key->low || number > key->high) {
        snprintf(why, bytes, "must be %.15g to %.15g %s", key->low, key->high, key->unit);
        return why;
    }
    return NULL;
}

/* EXIT_DONE with a new object, empty when there is no file; otherwise a message was printed. */
static int file_read(const struct command *command, const char *directory, json_t **out)
{
    char         path[PATH_MAX], why[120];
    json_error_t error;
    const char  *name;
    json_t      *value;

    snprintf(path, sizeof path, "%s/config.json", directory);
    *out = NULL;
    if (access(path, F_OK) != 0) {
        *out = json_object();
        return EXIT_DONE;
    }
    *out = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (*out == NULL) {
        fprintf(stderr, "kiwidb %s: %s:%d:%d: %s; the file was left as it is\n", command->name,
                path, error.line, error.column, error.text);
        return EXIT_ENVIRONMENT;
    }
    if (!json_is_object(*out)) {
        fprintf(stderr, "kiwidb %s: %s: not a JSON object; the file was left as it is\n",
                command->name, path);
        json_decref(*out);
        *out = NULL;
        return EXIT_ENVIRONMENT;
    }
    json_object_foreach(*out, name, value)
    {
        const struct config_key *key = config_find(name);

        if (key == NULL)
            fprintf(stderr, "kiwidb %s: %s: unknown key '%.60s' is kept and has no effect\n",
                    command->name, path, name);
        else if (value_fault(key, value, why, sizeof why) != NULL) {
            fprintf(stderr, "kiwidb %s: %s: %s %s; the file was left as it is\n", command->name,
                    path, name, why);
            json_decref(*out);
            *out = NULL;
            return EXIT_ENVIRONMENT;
        }
    }
    return EXIT_DONE;
}

/* null: it depends on memory and data. */
static json_t *initial_of(const struct config_key *key)
{
    if (key->kind == CONFIG_TEXT)
        return json_string(key->initial_text);
    if (isnan(key->initial))
        return json_null();
    return key->kind == CONFIG_WHOLE ? json_integer((json_int_t)key->initial)
                                     : json_real(key->initial);
}

/* A new reference: the file's value, else the default. */
static json_t *value_of(json_t *file, const struct config_key *key)
{
    json_t *value = json_object_get(file, key->name);

    return value != NULL ? json_incref(value) : initial_of(key);
}

static bool sync_path(const char *path, int flags)
{
    int  file = open(path, flags | O_CLOEXEC);
    bool is_done = file >= 0 && fsync(file) == 0;

    if (file >= 0)
        close(file);
    return is_done;
}

static int file_write(const struct command *command, const char *directory, json_t *file)
{
    char path[PATH_MAX], fresh[PATH_MAX];

    snprintf(path, sizeof path, "%s/config.json", directory);
    snprintf(fresh, sizeof fresh, "%s/config.json.new", directory);
    if (json_dump_file(file, fresh, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) != 0
        || !sync_path(fresh, O_RDONLY) || rename(fresh, path) != 0
        || !sync_path(directory, O_RDONLY | O_DIRECTORY)) {
        fprintf(stderr, "kiwidb %s: cannot write %s: %s; nothing was changed\n", command->name,
                path, strerror(errno));
        (void)unlink(fresh);
        return EXIT_ENVIRONMENT;
    }
    return EXIT_DONE;
}

static void value_print(const json_t *value)
{
    if (json_is_string(value))
        fputs(json_string_value(value), stdout);
    else if (json_is_null(value))
        fputs("derived", stdout);
    else
        printf("%.15g", json_number_value(value));
}

static const char *when_name(const struct config_key *key)
{
    return key->when == CONFIG_NEVER ? "never" : "restart";
}

static json_t *key_json(const struct config_key *key, json_t *file)
{
    json_t *object = json_object();

    json_object_set_new(object, "name", json_string(key->name));
    json_object_set_new(object, "value", value_of(file, key));
    json_object_set_new(object, "origin",
                        json_string(json_object_get(file, key->name) != NULL ? "file" : "default"));
    json_object_set_new(object, "default", initial_of(key));
    if (key->kind == CONFIG_TEXT)
        json_object_set_new(object, "choices", json_string(key->choices));
    else {
        json_object_set_new(object, "minimum", json_real(key->low));
        json_object_set_new(object, "maximum", json_real(key->high));
    }
    json_object_set_new(object, "unit", json_string(key->unit));
    json_object_set_new(object, "applies", json_string(when_name(key)));
    json_object_set_new(object, "effect", json_string(key->effect));
    return object;
}

static int config_list(const struct arguments *arguments, json_t *file)
{
    if (arguments->is_json) {
        json_t *document = json_pack("{s:s, s:i}", "schema", CONFIG_SCHEMA, "version", 1);
        json_t *array = json_array();

        for (size_t i = 0; config_at(i) != NULL; i++)
            json_array_append_new(array, key_json(config_at(i), file));
        json_object_set_new(document, "keys", array);
        json_dumpf(document, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(15));
        fputc('\n', stdout);
        json_decref(document);
        return EXIT_DONE;
    }
    for (size_t i = 0; config_at(i) != NULL; i++) {
        const struct config_key *key = config_at(i);
        json_t                  *value = value_of(file, key);

        printf("%-26s ", key->name);
        value_print(value);
        printf("%s%s  (%s, %s) %s\n", key->unit[0] != 0 ? " " : "", key->unit,
               json_object_get(file, key->name) != NULL ? "set" : "default", when_name(key),
               key->effect);
        json_decref(value);
    }
    return EXIT_DONE;
}

static int key_unknown(const struct command *command, const char *name)
{
    const char *names[sizeof keys / sizeof keys[0]], *nearest;
    size_t      count = 0;

    for (; config_at(count) != NULL; count++)
        names[count] = config_at(count)->name;
    nearest = name_nearest(name, names, count);
    if (nearest != NULL)
        return usage_fail(command, "unknown key '%.60s'; did you mean '%s'?", name, nearest);
    return usage_fail(command, "unknown key '%.60s'", name);
}

static int config_get(const struct command *command, const struct arguments *arguments,
                      json_t *file)
{
    const struct config_key *key = config_find(arguments->positional[1]);
    json_t                  *value;

    if (key == NULL)
        return key_unknown(command, arguments->positional[1]);
    if (arguments->is_json) {
        json_t *document = json_pack("{s:s, s:i, s:o}", "schema", CONFIG_SCHEMA, "version", 1,
                                     "key", key_json(key, file));
        json_dumpf(document, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(15));
        fputc('\n', stdout);
        json_decref(document);
        return EXIT_DONE;
    }
    value = value_of(file, key);
    value_print(value);
    fputc('\n', stdout);
    json_decref(value);
    return EXIT_DONE;
}

/* The text as the key's type; NULL when it is none. */
static json_t *value_parse(const struct config_key *key, const char *text)
{
    char  *end;
    double number;

    if (key->kind == CONFIG_TEXT)
        return json_string(text);
    errno = 0;
    number = strtod(text, &end);
    if (end == text || *end != 0 || errno != 0 || !isfinite(number))
        return NULL;
    if (key->kind == CONFIG_WHOLE)
        return number == floor(number) && fabs(number) < 1e15 ? json_integer((json_int_t)number)
                                                              : NULL;
    return json_real(number);
}

static int config_set(const struct command *command, const struct arguments *arguments,
                      const char *directory, json_t *file)
{
    const struct config_key *key = config_find(arguments->positional[1]);
    json_t                  *value, *before;
    char                     why[120];
    int                      code;

    if (key == NULL)
        return key_unknown(command, arguments->positional[1]);
    value = value_parse(key, arguments->positional[2]);
    if (value == NULL || value_fault(key, value, why, sizeof why) != NULL) {
        if (value == NULL)
            snprintf(why, sizeof why, "must be a %s",
                     key->kind == CONFIG_WHOLE ? "whole number" : "number");
        json_decref(value);
        return usage_fail(command, "%s %s", key->name, why);
    }
    if (access(directory, F_OK) != 0) {
        json_decref(value);
        fprintf(stderr, "kiwidb config: %s: no such directory\n", directory);
        return EXIT_ENVIRONMENT;
    }
    before = value_of(file, key);
    json_object_set_new(file, key->name, value);
    code = file_write(command, directory, file);
    if (code == EXIT_DONE && !arguments->is_json) {
        printf("%s: ", key->name);
        value_print(before);
        fputs(" -> ", stdout);
        value_print(value);
        printf("%s\n", key->when == CONFIG_NEVER ? "" : " (from the next open)");
    }
    if (code == EXIT_DONE && key->when == CONFIG_NEVER)
        fprintf(stderr, "kiwidb %s: warning: %s %s\n", command->name, key->name, key->effect);
    json_decref(before);
    return code == EXIT_DONE && arguments->is_json ? config_get(command, arguments, file) : code;
}

int command_config(const struct command *command, const struct arguments *arguments)
{
    static const char *const verbs[] = { "list", "get", "set" };
    const char              *verb = arguments->positional[0], *nearest;
    const char              *directory = database_directory(arguments);
    json_t                  *file;
    int                      wanted, code;

    wanted = strcmp(verb, "list") == 0 ? 1 : strcmp(verb, "get") == 0 ? 2
           : strcmp(verb, "set") == 0 ? 3 : 0;
    if (wanted == 0) {
        nearest = name_nearest(verb, verbs, 3);
        return usage_fail(command, "'%.40s' is none of list, get, set%s%s%s", verb,
                          nearest != NULL ? "; did you mean '" : "",
                          nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
    }
    if (arguments->positional_count != wanted)
        return usage_fail(command, "%s takes %d arguments", verb, wanted - 1);
    code = file_read(command, directory, &file);
    if (code != EXIT_DONE)
        return code;
    if (wanted == 1)
        code = config_list(arguments, file);
    else if (wanted == 2)
        code = config_get(command, arguments, file);
    else
        code = config_set(command, arguments, directory, file);
    json_decref(file);
    return code;
}

static void option_set(const struct config_key *key, double number, struct kiwi_options *options)
{
    char    *at = (char *)options + key->option_offset;
    double   scaled = number * key->option_scale;
    uint64_t wide = (uint64_t)scaled;
    uint32_t narrow = (uint32_t)scaled;

    if (key->option_offset == offsetof(struct kiwi_options, filter_false_share))
        memcpy(at, &scaled, sizeof scaled);
    else if (key->option_bytes == sizeof wide)
        memcpy(at, &wide, sizeof wide);
    else
        memcpy(at, &narrow, sizeof narrow);
}

int config_apply(const struct command *command, const char *directory, struct kiwi_options *options)
{
    json_t     *file, *value;
    const char *env = "dev";
    int         code = file_read(command, directory, &file);

    if (code != EXIT_DONE)
        return code;
    value = json_object_get(file, "env");
    if (value != NULL)
        env = json_string_value(value);
    for (size_t i = 0; config_at(i) != NULL; i++) {
        const struct config_key *key = config_at(i);

        value = json_object_get(file, key->name);
        if (value != NULL && key->option_bytes > 0
            && (key->env == NULL || strcmp(key->env, env) == 0))
            option_set(key, json_number_value(value), options);
    }
    /* The engine keeps it below that anyway; what it refuses is a number larger than all memory. */
    if (options->memtable_bytes > options->memory_bytes)
        options->memtable_bytes = options->memory_bytes;
    json_decref(file);
    return EXIT_DONE;
}
