/*
 * config.c: what holds of each key: flags, variables and config.json, read, checked, changed.
 *
 * A change writes a new file, syncs it, renames it over the old one and syncs the directory: after
 * a crash there is the old file or the new one.
 */
#include "app/config.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/database.h"

#define TEXT(first, words) CONFIG_TEXT, 0, first, 0, 0, words
#define WHOLE(first, low, high) CONFIG_WHOLE, first, NULL, low, high, NULL
#define FRACTION(first, low, high) CONFIG_FRACTION, first, NULL, low, high, NULL
#define OPTION(field, scale, env)                                                                 \
    offsetof(struct kiwi_options, field), sizeof(((struct kiwi_options *)0)->field), scale, env
#define NO_OPTION 0, 0, 0, NULL

static const struct config_key keys[] = {
    { "env", TEXT("dev", "dev prod"), "", CONFIG_LIVE,
      "dev or prod: which of the keys below apply", NO_OPTION },
    { "max_memtable_entries", WHOLE(NAN, 1, 1e9), "entries", CONFIG_LIVE,
      "dev: the memtable of a shard freezes at this many entries, however small",
      OPTION(memtable_entry_max, 1, "dev") },
    { "max_memtable_size_mb", WHOLE(NAN, 1, 65536), "MiB", CONFIG_LIVE,
      "prod: the memtable of a shard freezes at this size; at less where --memory has no room",
      OPTION(memtable_bytes, 1 << 20, "prod") },
    { "immutable_queue_max_len", WHOLE(3, 1, 16), "memtables", CONFIG_LIVE,
      "frozen memtables of a shard before writers wait", OPTION(frozen_max, 1, NULL) },
    { "backpressure_timeout", FRACTION(NAN, 0.001, 86400), "s", CONFIG_LIVE,
      "how long a write waits for room before it is refused; not set: as long as it takes",
      OPTION(write_timeout_ns, 1e9, NULL) },
    { "l0_compaction_threshold", WHOLE(8, 2, 32), "runs", CONFIG_LIVE,
      "runs in L0 before they are merged", OPTION(level0_run_max, 1, NULL) },
    { "max_levels", WHOLE(6, 2, 6), "level", CONFIG_LIVE,
      "deepest level that merges make; what lies deeper already stays in use",
      OPTION(level_max, 1, NULL) },
    { "bloom_fpr_dev", FRACTION(NAN, 0.000001, 0.5), "", CONFIG_LIVE,
      "dev: share of absent keys that filters of new tables let pass; not set: 0.0014, and "
      "0.008 in the last level", OPTION(filter_false_share, 1, "dev") },
    { "bloom_fpr_prod", FRACTION(NAN, 0.000001, 0.5), "", CONFIG_LIVE,
      "prod: the same", OPTION(filter_false_share, 1, "prod") },
    { "flush_max_workers", WHOLE(2, 1, 4), "flushes", CONFIG_LIVE,
      "frozen memtables of a shard flushed at once", OPTION(flush_max_workers, 1, NULL) },
    { "cache_data_entry_limit", WHOLE(NAN, 1, 1e9), "blocks", CONFIG_LIVE,
      "data blocks cached at most; not set: as many as fit",
      OPTION(cache_data_block_max, 1, NULL) },
    { "cache_index_entry_limit", WHOLE(NAN, 1, 1e9), "blocks", CONFIG_LIVE,
      "index blocks cached at most, one or more of each table",
      OPTION(cache_index_block_max, 1, NULL) },
    { "cache_bloom_entry_limit", WHOLE(NAN, 1, 1e9), "blocks", CONFIG_LIVE,
      "filter blocks cached at most, one or more of each table",
      OPTION(cache_filter_block_max, 1, NULL) },
    { "block_size", WHOLE(NAN, 4096, 32768), "bytes", CONFIG_LIVE,
      "data blocks of new tables, in steps of 512; not set: what entries of their size fill best",
      OPTION(block_bytes, 1, NULL) },
    { "compaction_check_interval", FRACTION(NAN, 0.001, 3600), "s", CONFIG_NEVER,
      "has no effect: compaction is woken by what makes it due, it never polls", NO_OPTION },
    { "compaction_max_workers", WHOLE(NAN, 1, 16), "jobs", CONFIG_NEVER,
      "has no effect: a shard merges one piece at a time, and all shards merge side by side",
      NO_OPTION },
};

static_assert(sizeof keys / sizeof keys[0] == CONFIG_KEY_COUNT, "struct config has them all");

const struct config_key *config_at(size_t index)
{
    return index < CONFIG_KEY_COUNT ? &keys[index] : NULL;
}

const struct config_key *config_find(const char *name)
{
    for (size_t i = 0; config_at(i) != NULL; i++)
        if (strcmp(config_at(i)->name, name) == 0)
            return config_at(i);
    return NULL;
}

const char *config_nearest(const char *name)
{
    const char *names[CONFIG_KEY_COUNT];

    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
        names[i] = keys[i].name;
    return name_nearest(name, names, CONFIG_KEY_COUNT);
}

static void variable_name(const char *key, char name[CONFIG_VARIABLE_BYTES])
{
    snprintf(name, CONFIG_VARIABLE_BYTES, "KIWI_%s", key);
    for (char *at = name; *at != 0; at++)
        *at = (char)toupper((unsigned char)*at);
}

void config_variable(const struct config_key *key, char name[CONFIG_VARIABLE_BYTES])
{
    variable_name(key->name, name);
}

/* ---- values ---- */

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

json_t *config_parse(const struct config_key *key, const char *text, char *why, size_t why_bytes)
{
    json_t *value = NULL;
    char   *end;
    double  number;

    if (key->kind == CONFIG_TEXT) {
        value = json_string(text);
    } else {
        errno = 0;
        number = strtod(text, &end);
        if (end == text || *end != 0 || errno != 0 || !isfinite(number))
            value = NULL;
        else if (key->kind == CONFIG_FRACTION)
            value = json_real(number);
        else if (number == floor(number) && fabs(number) < 1e15)
            value = json_integer((json_int_t)number);
    }
    if (value == NULL)
        snprintf(why, why_bytes, "must be a %s",
                 key->kind == CONFIG_WHOLE ? "whole number" : "number");
    else if (value_fault(key, value, why, why_bytes) == NULL)
        return value;
    json_decref(value);
    return NULL;
}

json_t *config_default(const struct config_key *key)
{
    if (key->kind == CONFIG_TEXT)
        return json_string(key->initial_text);
    if (isnan(key->initial))
        return json_null();
    return key->kind == CONFIG_WHOLE ? json_integer((json_int_t)key->initial)
                                     : json_real(key->initial);
}

/* ---- where they come from ---- */

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

/* --set NAME=VALUE, the last one of a name wins. */
static int flags_read(const struct command *command, const struct arguments *arguments,
                      struct config *config)
{
    for (int i = 0; i < arguments->setting_count; i++) {
        const char              *text = arguments->settings[i], *equals = strchr(text, '=');
        char                     name[64], why[120];
        const struct config_key *key;
        json_t                  *value;

        if (equals == NULL)
            return usage_fail(command, "--set '%.60s' is not NAME=VALUE", text);
        snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
        key = config_find(name);
        if (key == NULL) {
            const char *nearest = config_nearest(name);

            return usage_fail(command, "--set: unknown key '%s'%s%s%s", name,
                              nearest != NULL ? "; did you mean '" : "",
                              nearest != NULL ? nearest : "", nearest != NULL ? "'?" : "");
        }
        value = config_parse(key, equals + 1, why, sizeof why);
        if (value == NULL)
            return usage_fail(command, "--set %s %s", name, why);
        json_decref(config->values[key - keys][CONFIG_FLAG]);
        config->values[key - keys][CONFIG_FLAG] = value;
    }
    return EXIT_DONE;
}

/* Others may have variables of this beginning, too: only what looks like one of ours is told of. */
static void misspelt_variables_name(const struct command *command)
{
    for (char **at = environ; at != NULL && *at != NULL; at++) {
        size_t      length = strcspn(*at, "=");
        const char *nearest;
        char        name[64], variable[CONFIG_VARIABLE_BYTES];

        if (strncmp(*at, "KIWI_", 5) != 0 || length >= sizeof name)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(length - 5), *at + 5);
        for (char *letter = name; *letter != 0; letter++)
            *letter = (char)tolower((unsigned char)*letter);
        nearest = config_nearest(name);
        if (nearest == NULL || strcmp(name, "dir") == 0)
            continue;
        variable_name(nearest, variable);
        if (strlen(variable) != length || strncmp(variable, *at, length) != 0)
            fprintf(stderr, "kiwidb %s: variable %.*s has no effect; did you mean %s?\n",
                    command->name, (int)length, *at, variable);
    }
}

static int variables_read(const struct command *command, struct config *config)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++) {
        char        name[CONFIG_VARIABLE_BYTES], why[120];
        const char *text;

        config_variable(&keys[i], name);
        text = getenv(name);
        if (text == NULL || text[0] == 0)
            continue;
        config->values[i][CONFIG_VARIABLE] = config_parse(&keys[i], text, why, sizeof why);
        if (config->values[i][CONFIG_VARIABLE] == NULL)
            return usage_fail(command, "variable %s %s", name, why);
    }
    misspelt_variables_name(command);
    return EXIT_DONE;
}

int config_read(const struct command *command, const struct arguments *arguments,
                const char *directory, struct config *config)
{
    int code;

    memset(config, 0, sizeof *config);
    code = flags_read(command, arguments, config);
    if (code == EXIT_DONE)
        code = variables_read(command, config);
    if (code == EXIT_DONE)
        code = file_read(command, directory, &config->file);
    for (size_t i = 0; i < CONFIG_KEY_COUNT && code == EXIT_DONE; i++)
        config->values[i][CONFIG_FILE] = json_incref(json_object_get(config->file, keys[i].name));
    return code;
}

void config_end(struct config *config)
{
    for (size_t i = 0; i < CONFIG_KEY_COUNT; i++)
        for (int origin = 0; origin < CONFIG_ORIGIN_COUNT; origin++)
            json_decref(config->values[i][origin]);
    json_decref(config->file);
    memset(config, 0, sizeof *config);
}

/* ---- what holds ---- */

enum config_origin config_origin(const struct config *config, size_t index)
{
    for (int origin = CONFIG_FLAG; origin > CONFIG_DEFAULT; origin--)
        if (config->values[index][origin] != NULL)
            return (enum config_origin)origin;
    return CONFIG_DEFAULT;
}

json_t *config_value(const struct config *config, size_t index)
{
    enum config_origin origin = config_origin(config, index);

    return origin == CONFIG_DEFAULT ? config_default(&keys[index])
                                    : json_incref(config->values[index][origin]);
}

bool config_is_in_force(const struct config *config, const struct config_key *key)
{
    json_t *env = config_value(config, 0);
    bool    is_so = key->env == NULL || strcmp(key->env, json_string_value(env)) == 0;

    assert(strcmp(keys[0].name, "env") == 0);
    json_decref(env);
    return is_so;
}

static void option_set(const struct config_key *key, double number, struct kiwi_options *options)
{
    char  *at = (char *)options + key->option_offset;
    double scaled = number * key->option_scale;

    if (key->option_offset == offsetof(struct kiwi_options, filter_false_share)) {
        memcpy(at, &scaled, sizeof scaled);
    } else if (key->option_bytes == sizeof(uint64_t)) {
        uint64_t wide = (uint64_t)scaled;
        memcpy(at, &wide, sizeof wide);
    } else {
        uint32_t narrow = (uint32_t)scaled; /* the key's range is within */
        memcpy(at, &narrow, sizeof narrow);
    }
}

int config_apply(const struct command *command, const struct arguments *arguments,
                 const char *directory, struct kiwi_options *options)
{
    struct config config;
    int           code = config_read(command, arguments, directory, &config);

    for (size_t i = 0; i < CONFIG_KEY_COUNT && code == EXIT_DONE; i++) {
        enum config_origin origin = config_origin(&config, i);

        if (origin != CONFIG_DEFAULT && keys[i].option_bytes > 0
            && config_is_in_force(&config, &keys[i]))
            option_set(&keys[i], json_number_value(config.values[i][origin]), options);
    }
    /* The engine keeps it below that anyway; what it refuses is a number larger than all memory. */
    if (options->memtable_bytes > options->memory_bytes)
        options->memtable_bytes = options->memory_bytes;
    config_end(&config);
    return code;
}

/* ---- changing the file ---- */

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

int config_write(const struct command *command, const char *directory, struct config *config,
                 const struct config_key *key, json_t *value)
{
    if (access(directory, F_OK) != 0) {
        fprintf(stderr, "kiwidb %s: %s: no such directory\n", command->name, directory);
        return EXIT_ENVIRONMENT;
    }
    json_object_set(config->file, key->name, value);
    json_decref(config->values[key - keys][CONFIG_FILE]);
    config->values[key - keys][CONFIG_FILE] = json_incref(value);
    return file_write(command, directory, config->file);
}
