/*
 * child.h: running a program, reading what it prints, knowing what it took.
 */
#pragma once

#include "core/base/base.h"

struct child_result {
    int      exit_code;             /* 128 + signal when one ended it */
    double   wall_seconds;
    double   cpu_seconds;           /* user and system time of it and what it waited for */
    char    *output;                /* standard output, ends with a zero byte; owned */
    size_t   output_bytes;
};

enum child_flag {
    CHILD_QUIET = 1,   /* its standard error goes nowhere, else to ours */
    CHILD_APART = 2,   /* signals of the terminal do not reach it, only those that are passed on */
};

struct child_options {
    char *const *argv;           /* program and arguments, ends with NULL; found along PATH */
    const char  *environment;    /* one more "NAME=value"; NULL: none */
    unsigned     flags;          /* of enum child_flag */
    const char  *group;          /* the file of a control group that it enters first; NULL: none */
};

/* The program is told to end (SIGTERM) when this one dies. KIWI_NOT_FOUND: there is no such
 * program. KIWI_IO: also when it cannot enter the group. */
MUST_USE enum kiwi_status child_run(const struct child_options *options, struct child_result *out);
/* From here on the first INT or TERM is passed on, once, to the program that runs now or starts
 * next, so that it ends in order; the second one ends this program at once. */
void                      child_signals_catch(void);
/* 0: none since they are caught. */
int                       child_signal_seen(void);
void                      child_signals_release(void);
void                      child_result_free(struct child_result *result);
/* The path of the running program. */
MUST_USE enum kiwi_status child_own_path(char *path, size_t bytes);
