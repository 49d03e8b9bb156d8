/*
 * presets.h: suites that need no files; the workloads of this repository, built in.
 */
#pragma once

#include <stddef.h>

struct preset_run {
    const char *label;       /* what the report calls it */
    const char *workload;    /* a file of workloads/ */
    const char *overrides;   /* a property text on top of it */
};

struct preset {
    const char              *name;
    const struct preset_run *runs;
    size_t                   count;
};

const struct preset *preset_find(const char *name);

struct builtin_workload {
    const char *name;
    const char *text;
};

/* Ends with an entry without a name. Written by the build from workloads/. */
extern const struct builtin_workload builtin_workloads[];
