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

/*
 * argv: program and arguments, ends with NULL; found along PATH. environment: one more
 * "NAME=value"; NULL: none. Standard error goes to ours, or nowhere when is_quiet.
 * KIWI_NOT_FOUND: there is no such program.
 */
MUST_USE enum kiwi_status child_run(char *const *argv, const char *environment, bool is_quiet,
                                    struct child_result *out);
void                      child_result_free(struct child_result *result);
/* The path of the running program. */
MUST_USE enum kiwi_status child_own_path(char *path, size_t bytes);
