/*
 * config.h: the options kept in a database's config.json, by the names of the first Kiwi-DB.
 *
 * Order    a flag (--set NAME=VALUE), else a variable (KIWI_NAME), else config.json, else the
 *          default, which mostly leaves the matter to the engine.
 * File     it belongs to the directory and travels with it. Unknown names in it are kept and warned
 *          about; values are checked wherever they come from, never silently replaced.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "app/command.h"
#include "kiwi/options.h"

enum config_kind { CONFIG_TEXT = 0, CONFIG_WHOLE, CONFIG_FRACTION };

enum config_when {
    CONFIG_LIVE = 0, /* by kiwi_configure while a database is open, else at the next open */
    CONFIG_NEVER,    /* accepted, as files of the first Kiwi-DB have it; effect says why */
};

enum config_origin {
    CONFIG_DEFAULT = 0,
    CONFIG_FILE,
    CONFIG_VARIABLE,
    CONFIG_FLAG,
    CONFIG_ORIGIN_COUNT,
};

struct config_key {
    const char      *name;
    enum config_kind kind;
    double           initial;      /* numbers: what holds when it is not set; NAN: it depends */
    const char      *initial_text; /* CONFIG_TEXT */
    double           low, high;    /* both allowed */
    const char      *choices;      /* CONFIG_TEXT: words with a blank between */
    const char      *unit;
    enum config_when when;
    const char      *effect;
    /* Where it goes: option_bytes at option_offset of struct kiwi_options, in units of one
     * option_scale-th of its own. 0 bytes: nowhere. */
    size_t           option_offset, option_bytes;
    double           option_scale;
    const char      *env;          /* the env it applies in; NULL: any */
};

#define CONFIG_KEY_COUNT 16
#define CONFIG_VARIABLE_BYTES 40 /* of the name of a variable */

const struct config_key *config_at(size_t index); /* NULL behind the last */
const struct config_key *config_find(const char *name);
const char              *config_nearest(const char *name); /* of a misspelt one; may be NULL */
void config_variable(const struct config_key *key, char name[CONFIG_VARIABLE_BYTES]);

/* All that was said about each key. */
struct config {
    struct json_t *file;                                     /* an object; empty: there is none */
    struct json_t *values[CONFIG_KEY_COUNT][CONFIG_ORIGIN_COUNT]; /* NULL: nothing was said */
};

/* EXIT_DONE, or the exit code after a message was printed. End it in both cases. */
int  config_read(const struct command *command, const struct arguments *arguments,
                 const char *directory, struct config *config);
void config_end(struct config *config);

/* Where the value that holds comes from; CONFIG_DEFAULT may have none. */
enum config_origin config_origin(const struct config *config, size_t index);
/* A new reference; null: it depends on memory and data. */
struct json_t *config_value(const struct config *config, size_t index);
struct json_t *config_default(const struct config_key *key);
/* The env that holds is one that the key applies in. */
bool config_is_in_force(const struct config *config, const struct config_key *key);

/* A new reference, or NULL with the reason in why. */
struct json_t *config_parse(const struct config_key *key, const char *text, char *why,
                            size_t why_bytes);
/* Writes value into config.json, which takes it over whole or stays as it was. */
int config_write(const struct command *command, const char *directory, struct config *config,
                 const struct config_key *key, struct json_t *value);

/* Puts what holds for the directory into options. EXIT_DONE also when nothing was said. */
int config_apply(const struct command *command, const struct arguments *arguments,
                 const char *directory, struct kiwi_options *options);
