/*
 * command.h: what a command of the program is; one table drives parsing, help and suggestions.
 *
 * Exit codes: 0 done, 1 a clean "no", 2 wrong usage, 3 environment or I/O, 4 corruption, 5 locked
 * or busy, 130 and 143 after SIGINT and SIGTERM.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "kiwi/status.h"

enum exit_code {
    EXIT_DONE = 0,
    EXIT_NO = 1,
    EXIT_USAGE = 2,
    EXIT_ENVIRONMENT = 3,
    EXIT_CORRUPT = 4,
    EXIT_LOCKED = 5,
    EXIT_INTERRUPTED = 130,
    EXIT_PIPE = 141,
    EXIT_TERMINATED = 143,
};

/* How keys and values are written and read. */
enum text_form {
    FORM_DEFAULT = 0,   /* input: text; output: escaped on a terminal, raw in a pipe */
    FORM_TEXT,          /* bytes as they are, a newline after each on output */
    FORM_ESCAPED,       /* \n \t \\ \xNN, printable */
    FORM_HEX,
    FORM_BASE64,
    FORM_RAW,           /* bytes as they are and nothing else */
};

#define POSITIONAL_COUNT_MAX 8
#define SETTING_COUNT_MAX    32

/* Everything any option of any command can say. */
struct arguments {
    const char *directory;
    const char *memory, *durability, *from, *to, *prefix, *limit, *expect, *value_file;
    const char *io_backend, *into;
    enum text_form in, out;
    bool        is_json, is_reverse, keys_only, is_count, is_create, is_help, is_levels;
    bool        is_quiet, is_dry_run, is_explain;
    const char *settings[SETTING_COUNT_MAX]; /* NAME=VALUE, of keys of config.json */
    int         setting_count;
    const char *positional[POSITIONAL_COUNT_MAX];
    int         positional_count;
};

struct command {
    const char *name;
    const char *summary;      /* one line */
    const char *usage;        /* what follows the name */
    const char *examples;     /* lines of two blanks and a command */
    const char *options;      /* names from the option table, with blanks between */
    int         positional_min, positional_max;
    int (*run)(const struct command *command, const struct arguments *arguments);
    /* For a command that reads its own arguments; run is NULL then. */
    int (*run_alone)(int argc, char **argv);
};

const struct command *command_at(size_t index); /* NULL behind the last */
const struct command *command_find(const char *name);

/* Parses argv (argv[0] is the command's name) and runs it. */
int command_run(const struct command *command, int argc, char **argv);

/* "kiwidb NAME: text" to standard error, then a pointer to the help; returns EXIT_USAGE. */
int usage_fail(const struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* What an engine call said, to standard error; returns the exit code that fits. */
int status_fail(const struct command *command, const char *what, enum kiwi_status status);
int exit_of_status(enum kiwi_status status);

/* The nearest of count names, NULL when none is near. */
const char *name_nearest(const char *name, const char *const *names, size_t count);

/* Set by SIGINT and SIGTERM: long commands stop and report what they have. 0: none. */
int signal_seen(void);
void signals_set(void);

/* The commands. */
int command_put(const struct command *command, const struct arguments *arguments);
int command_get(const struct command *command, const struct arguments *arguments);
int command_delete(const struct command *command, const struct arguments *arguments);
int command_scan(const struct command *command, const struct arguments *arguments);
int command_stat(const struct command *command, const struct arguments *arguments);
int command_verify(const struct command *command, const struct arguments *arguments);
int command_repair(const struct command *command, const struct arguments *arguments);
int command_config(const struct command *command, const struct arguments *arguments);
int command_version(const struct command *command, const struct arguments *arguments);
int command_help(const struct command *command, const struct arguments *arguments);

/* In the room bench, beside this one on the ladder: found when the program is linked. */
int bench_command(int argc, char **argv);
