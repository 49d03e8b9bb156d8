/*
 * config_command.c: `kiwidb config`: shows and changes what config.c knows.
 */
#include <jansson.h>
#include <string.h>

#include "app/config.h"
#include "app/database.h"

#define CONFIG_SCHEMA "kiwi.config"

static const char *const origin_names[CONFIG_ORIGIN_COUNT] = {
    [CONFIG_DEFAULT] = "default",
    [CONFIG_FILE] = "file",
    [CONFIG_VARIABLE] = "variable",
    [CONFIG_FLAG] = "flag",
};

static size_t index_of(const struct config_key *key)
{
    return (size_t)(key - config_at(0));
}

static const char *when_name(const struct config_key *key)
{
    return key->when == CONFIG_NEVER ? "never" : "live";
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

/* Prints the value that holds and gives it up. */
static void value_show(const struct config *config, const struct config_key *key)
{
    json_t *value = config_value(config, index_of(key));

    value_print(value);
    if (key->unit[0] != 0 && !json_is_null(value))
        printf(" %s", key->unit);
    json_decref(value);
}

static bool is_default(const struct config *config, const struct config_key *key)
{
    json_t *value = config_value(config, index_of(key)), *initial = config_default(key);
    bool    is_same = json_is_number(value) && json_is_number(initial)
                    ? json_number_value(value) == json_number_value(initial)
                    : json_equal(value, initial) != 0;

    json_decref(value);
    json_decref(initial);
    return is_same;
}

static json_t *key_json(const struct config_key *key, const struct config *config)
{
    size_t  index = index_of(key);
    json_t *object = json_object(), *said = json_object();
    char    variable[CONFIG_VARIABLE_BYTES];

    config_variable(key, variable);
    json_object_set_new(object, "name", json_string(key->name));
    json_object_set_new(object, "value", config_value(config, index));
    json_object_set_new(object, "origin", json_string(origin_names[config_origin(config, index)]));
    json_object_set_new(object, "default", config_default(key));
    if (key->kind == CONFIG_TEXT)
        json_object_set_new(object, "choices", json_string(key->choices));
    else {
        json_object_set_new(object, "minimum", json_real(key->low));
        json_object_set_new(object, "maximum", json_real(key->high));
    }
    json_object_set_new(object, "unit", json_string(key->unit));
    json_object_set_new(object, "applies", json_string(when_name(key)));
    json_object_set_new(object, "in_force", json_boolean(key->when != CONFIG_NEVER
                                                         && config_is_in_force(config, key)));
    json_object_set_new(object, "effect", json_string(key->effect));
    json_object_set_new(object, "variable", json_string(variable));
    for (int origin = CONFIG_FILE; origin < CONFIG_ORIGIN_COUNT; origin++)
        json_object_set(said, origin_names[origin], config->values[index][origin] != NULL
                        ? config->values[index][origin] : json_null());
    json_object_set_new(object, "said", said);
    return object;
}

static void document_print(const char *name, json_t *content)
{
    json_t *document = json_pack("{s:s, s:i, s:o}", "schema", CONFIG_SCHEMA, "version", 1, name,
                                 content);

    json_dumpf(document, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(15));
    fputc('\n', stdout);
    json_decref(document);
}

static int config_list(const struct arguments *arguments, const struct config *config,
                       bool only_changed)
{
    json_t *array = json_array();

    for (size_t i = 0; config_at(i) != NULL; i++) {
        const struct config_key *key = config_at(i);

        if (only_changed && is_default(config, key))
            continue;
        if (arguments->is_json) {
            json_array_append_new(array, key_json(key, config));
            continue;
        }
        printf("%-26s ", key->name);
        if (only_changed) {
            json_t *initial = config_default(key);

            value_print(initial);
            json_decref(initial);
            fputs(" -> ", stdout);
        }
        value_show(config, key);
        printf("  (%s, %s%s) %s\n", origin_names[config_origin(config, i)], when_name(key),
               config_is_in_force(config, key) ? "" : ", not in this env", key->effect);
    }
    if (arguments->is_json)
        document_print("keys", array);
    else
        json_decref(array);
    return EXIT_DONE;
}

static int config_get(const struct arguments *arguments, const struct config_key *key,
                      const struct config *config)
{
    json_t *value;

    if (arguments->is_json) {
        document_print("key", key_json(key, config));
        return EXIT_DONE;
    }
    value = config_value(config, index_of(key));
    value_print(value);
    fputc('\n', stdout);
    json_decref(value);
    return EXIT_DONE;
}

/* "flag --set", "variable KIWI_X", "config.json"; and what each of the others said. */
static void origins_show(const struct config_key *key, const struct config *config)
{
    static const char *const places[CONFIG_ORIGIN_COUNT] = { "the default", "config.json",
                                                             "variable", "flag --set" };
    size_t             index = index_of(key);
    enum config_origin holds = config_origin(config, index);
    char               variable[CONFIG_VARIABLE_BYTES];

    config_variable(key, variable);
    printf("  from      %s", places[holds]);
    if (holds == CONFIG_VARIABLE)
        printf(" %s", variable);
    for (int origin = (int)holds - 1; origin > CONFIG_DEFAULT; origin--)
        if (config->values[index][origin] != NULL) {
            printf("; %s has ", places[origin]);
            value_print(config->values[index][origin]);
        }
    printf("\n  variable  %s\n", variable);
}

static int config_explain(const struct arguments *arguments, const struct config_key *key,
                          const struct config *config)
{
    json_t *initial;

    if (arguments->is_json)
        return config_get(arguments, key, config);
    printf("%s: %s\n\n  value     ", key->name, key->effect);
    value_show(config, key);
    fputc('\n', stdout);
    origins_show(key, config);
    initial = config_default(key);
    if (key->when != CONFIG_NEVER) {
        fputs("  default   ", stdout);
        value_print(initial);
        puts(json_is_null(initial) ? ": the engine decides" : "");
    }
    json_decref(initial);
    if (key->kind == CONFIG_TEXT)
        printf("  one of    %s\n", key->choices);
    else
        printf("  range     %.15g to %.15g %s\n", key->low, key->high, key->unit);
    if (key->when == CONFIG_NEVER)
        puts("  applies   never");
    else
        puts("  applies   live: a program that has the database open can change it at once\n"
             "            (kiwi_configure); commands take it from their next open");
    if (!config_is_in_force(config, key))
        printf("  in force  no: env is not %s\n", key->env);
    return EXIT_DONE;
}

static int config_set(const struct command *command, const struct arguments *arguments,
                      const struct config_key *key, struct config *config)
{
    size_t             index = index_of(key);
    enum config_origin holds = config_origin(config, index);
    json_t            *before, *value;
    char               why[120];
    int                code;

    value = config_parse(key, arguments->positional[2], why, sizeof why);
    if (value == NULL)
        return usage_fail(command, "%s %s", key->name, why);
    before = config->values[index][CONFIG_FILE] != NULL
           ? json_incref(config->values[index][CONFIG_FILE]) : config_default(key);
    code = config_write(command, database_directory(arguments), config, key, value);
    if (code == EXIT_DONE && !arguments->is_json) {
        printf("%s: ", key->name);
        value_print(before);
        fputs(" -> ", stdout);
        value_print(value);
        puts(key->when == CONFIG_NEVER ? "" : " (from the next open)");
    }
    json_decref(before);
    json_decref(value);
    if (code != EXIT_DONE)
        return code;
    if (key->when == CONFIG_NEVER)
        fprintf(stderr, "kiwidb config: warning: %s %s\n", key->name, key->effect);
    else if (!config_is_in_force(config, key))
        fprintf(stderr, "kiwidb config: note: %s acts only while env is %s\n", key->name, key->env);
    if (holds > CONFIG_FILE)
        fprintf(stderr, "kiwidb config: note: here a %s says something else of %s, and wins\n",
                origin_names[holds], key->name);
    return arguments->is_json ? config_get(arguments, key, config) : EXIT_DONE;
}

/* ---- the command ---- */

static const struct verb {
    const char *name;
    int         positional_count; /* itself included */
} verbs[] = { { "list", 1 }, { "diff", 1 }, { "get", 2 }, { "explain", 2 }, { "set", 3 } };

#define VERB_COUNT (sizeof verbs / sizeof verbs[0])

static int unknown_fail(const struct command *command, const char *what, const char *nearest)
{
    if (nearest != NULL)
        return usage_fail(command, "%s; did you mean '%s'?", what, nearest);
    return usage_fail(command, "%s", what);
}

static const struct verb *verb_find(const struct command *command, const char *name)
{
    const char *names[VERB_COUNT];
    char        what[120];

    for (size_t i = 0; i < VERB_COUNT; i++) {
        names[i] = verbs[i].name;
        if (strcmp(names[i], name) == 0)
            return &verbs[i];
    }
    snprintf(what, sizeof what, "'%.40s' is none of list, diff, get, explain, set", name);
    (void)unknown_fail(command, what, name_nearest(name, names, VERB_COUNT));
    return NULL;
}

int command_config(const struct command *command, const struct arguments *arguments)
{
    const struct verb       *verb = verb_find(command, arguments->positional[0]);
    const struct config_key *key = NULL;
    struct config            config;
    int                      code;

    if (verb == NULL)
        return EXIT_USAGE;
    if (arguments->positional_count != verb->positional_count)
        return usage_fail(command, "%s takes %d argument%s", verb->name,
                          verb->positional_count - 1, verb->positional_count == 2 ? "" : "s");
    if (verb->positional_count > 1) {
        const char *name = arguments->positional[1];
        char        what[120];

        key = config_find(name);
        snprintf(what, sizeof what, "unknown key '%.60s'", name);
        if (key == NULL)
            return unknown_fail(command, what, config_nearest(name));
    }
    code = config_read(command, arguments, database_directory(arguments), &config);
    if (code == EXIT_DONE && key == NULL)
        code = config_list(arguments, &config, strcmp(verb->name, "diff") == 0);
    else if (code == EXIT_DONE && strcmp(verb->name, "get") == 0)
        code = config_get(arguments, key, &config);
    else if (code == EXIT_DONE && strcmp(verb->name, "explain") == 0)
        code = config_explain(arguments, key, &config);
    else if (code == EXIT_DONE)
        code = config_set(command, arguments, key, &config);
    config_end(&config);
    return code;
}
