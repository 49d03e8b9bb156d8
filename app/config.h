/*
 * config.h: the options kept in a database's config.json, by the names of the first Kiwi-DB.
 *
 * The file belongs to the directory and travels with it. Unknown names in it are kept and warned
 * about; values are checked when the file is read and when one is set, never silently replaced.
 * A key that is not set leaves the matter to the engine.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "app/command.h"
#include "kiwi/options.h"

enum config_kind { CONFIG_TEXT = 0, CONFIG_WHOLE, CONFIG_FRACTION };

enum config_when {
    CONFIG_RESTART = 0, /* at the next open */
    CONFIG_NEVER,       /* accepted, as files of the first Kiwi-DB have it; effect says why */
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

const struct config_key *config_at(size_t index); /* NULL behind the last */
const struct config_key *config_find(const char *name);

/* Puts what the directory's config.json says into options. EXIT_DONE also when there is none. */
int config_apply(const struct command *command, const char *directory,
                 struct kiwi_options *options);
