/*
 * options.h: what the command line of `kiwidb bench` says, checked.
 */
#pragma once

#include <stdio.h>

#include "bench/engine.h"
#include "bench/objective.h"
#include "workloads/properties.h"

#define BENCH_FILE_COUNT_MAX 32u

enum bench_probe {
    BENCH_PROBE_KEPT = 0,   /* one a day and boot */
    BENCH_PROBE_FRESH,
    BENCH_PROBE_NONE,
};

struct bench_options {
    const char          *files[BENCH_FILE_COUNT_MAX];   /* borrowed from argv, as all texts here */
    uint32_t             file_count;
    const char          *preset;                 /* NULL: none */
    const char          *engine;
    enum client_model    model;
    bool                 has_model;              /* --client was given */
    uint32_t             threads;                /* 0: not said */
    uint32_t             depth;                  /* 0: not said */
    uint32_t             shards;                 /* 0: the engine's choice */
    enum kiwi_durability durability;             /* KIWI_DURABILITY_DEFAULT: not said */
    enum kiwi_durability load_durability;        /* as above */
    enum kiwi_io_backend io_backend;
    uint64_t             memory_bytes;
    const char          *directory;
    const char          *results;
    const char          *suite;                  /* NULL: from preset or files */
    uint64_t             seed;
    bool                 has_seed;
    double               warm_share;             /* operations before measuring, per measured one */
    double               drain_seconds;
    double               seconds_max;            /* 0: no limit */
    double               target;                 /* 0: closed loop */
    bool                 is_constant;            /* arrivals one every 1/target; else Poisson */
    bool                 is_ladder;
    struct objectives    objectives;             /* of the ladder */
    bool                 is_verifying;
    bool                 has_no_statistics;
    enum bench_probe     probe;
    const char          *trace_record;           /* NULL: nothing is recorded */
    const char          *trace;                  /* NULL: no replay */
    double               speed;                  /* of a replay; 0: as fast as possible */
    bool                 has_speed;
    bool                 is_existing;            /* the data are there: nothing is loaded */
    bool                 is_kill_checking;
    uint32_t             kill_rounds;
    uint64_t             kill_seed;
    bool                 has_kill_seed;
    bool                 is_json, is_quiet, is_keeping, is_in_order;
    bool                 is_help;
    struct properties    overrides;              /* -p, --records, ...; owned */
};

/* KIWI_INVALID: wrong usage, the text is one line for people. */
MUST_USE enum kiwi_status bench_options_parse(int argc, char **argv, struct bench_options *out);
void                      bench_options_free(struct bench_options *options);
void                      bench_help(FILE *stream);

/* "512MiB", "1GB", "4096": KIWI_INVALID when it is none. MiB is 2^20, MB is 10^6, none is bytes. */
MUST_USE enum kiwi_status size_parse(const char *text, uint64_t *bytes);
/* "1M", "250k", "1000000" */
MUST_USE enum kiwi_status count_parse(const char *text, uint64_t *count);
/* "10", "250ms", "2m" as seconds */
MUST_USE enum kiwi_status seconds_parse(const char *text, double *seconds);

const char *durability_name(enum kiwi_durability durability);
MUST_USE enum kiwi_status durability_parse(const char *text, enum kiwi_durability *out);
const char *model_name(enum client_model model);
