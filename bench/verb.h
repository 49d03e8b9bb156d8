/*
 * verb.h: the words behind `kiwidb bench` that do something else than run workloads.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum bench_exit {
    BENCH_DONE = 0,
    BENCH_USAGE = 2,
    BENCH_ENVIRONMENT = 3,
    BENCH_WRONG_DATA = 4,
    BENCH_REGRESSION = 6,
};

struct option; /* <getopt.h> */

struct bench_verb {
    const char *name;
    const char *help;                     /* one line: what it does */
    int (*run)(int argc, char **argv);    /* argv[0] is the verb; returns the exit code */
};

const struct bench_verb *bench_verb_find(const char *name);
const struct bench_verb *bench_verb_at(size_t index); /* NULL behind the last */

/* The text of the last failure without the source line that developers see. */
void failure_text(char *text, size_t bytes);
/* Prints the text of the last failure behind the verb's name and returns BENCH_ENVIRONMENT, or
 * BENCH_USAGE when the failure was KIWI_INVALID. */
int verb_failed(const char *name);
int verb_usage(const char *name, const char *text);
/* For what getopt_long did not take: names it, and the nearest of options. id: what it returned. */
int verb_option_wrong(const char *name, const struct option *options, int id, char **argv);

/*
 * For verbs with no more options than --help and, where is_forced is not NULL, --force. help: the
 * usage and what it does. VERB_GOES_ON: what is left begins at argv[optind]; else the exit code.
 */
#define VERB_GOES_ON (-1)
int verb_parse(const char *name, const char *help, int argc, char **argv, bool *is_forced);

/* Puts a blank and an argument behind a command, in single quotes when a shell would change it. */
void command_append(char *text, size_t bytes, const char *word);

int verb_gate(int argc, char **argv);
int verb_ab(int argc, char **argv);
int verb_report(int argc, char **argv);
int verb_compare(int argc, char **argv);
int verb_replay(int argc, char **argv);
int verb_versus(int argc, char **argv);
int verb_repeat(int argc, char **argv);
int verb_history(int argc, char **argv);
int verb_merge(int argc, char **argv);
