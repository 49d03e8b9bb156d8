/*
 * ab.h: two programs compared: samples, what each look at them said, and the folder of both.
 *
 * ab.c measures, ab_result.c writes the folder, report_ab.c the page in it.
 */
#pragma once

#include <jansson.h>
#include <limits.h>
#include <stdio.h>

#include "bench/machine.h"
#include "bench/statistics.h"

#define AB_SESSION_COUNT_MAX 2u
#define AB_SAMPLE_COUNT_MAX  (AB_SESSION_COUNT_MAX * STATISTICS_COUNT_MAX * AB_ARM_COUNT)

/* The canary is a copy of the base. */
enum ab_arm { AB_BASE = 0, AB_CANARY, AB_CANDIDATE, AB_ARM_COUNT };

/* One run of one arm; its work are all phases but loads. */
struct ab_sample {
    enum ab_arm arm;
    uint32_t    session, triple;    /* from 1 */
    uint32_t    order;              /* in its triple, from 0 */
    double      start_seconds;      /* since 1970 */
    double      process_seconds;    /* from the start of the process to its end */
    double      wall_seconds, user_seconds, system_seconds;    /* of its work, as all below */
    double      operations;
    double      ns_per_operation;   /* by the clock that is compared */
    double      stolen_seconds;     /* by the host */
    double      foreign_cores;      /* of everybody else on the machine */
    double      involuntary_switches;
    double      load_average;       /* before it; -1: not told */
};

struct ab_look {
    uint32_t            pairs;
    struct ab_judgement judgement;
};

struct ab_session {
    uint32_t       pair_count;
    double         candidate[STATISTICS_COUNT_MAX], canary[STATISTICS_COUNT_MAX]; /* log ratios to
                                                                                   * the base */
    struct ab_look looks[AB_LOOK_COUNT];
    uint32_t       look_count;
};

struct ab {
    /* Asked for. */
    const char       *programs[AB_ARM_COUNT];   /* as given; of the canary none */
    char            **arguments;                /* of every sample; borrowed */
    int               argument_count;
    const char       *results;                  /* the folder of folders */
    double            gate;                     /* as a share */
    bool              is_wall;                  /* wall time is compared; else processor time */
    double            planted;                  /* percent; only tests of this command ask for it */
    char              command[4096];
    /* Found. */
    json_t           *builds[AB_ARM_COUNT];     /* as in run.json; NULL: not told; owned */
    struct machine    machine;
    struct ab_sample  samples[AB_SAMPLE_COUNT_MAX];
    uint32_t          sample_count;
    struct ab_session sessions[AB_SESSION_COUNT_MAX];
    uint32_t          session_count;
    const char       *verdict;                  /* NULL: not yet */
    int               exit_code;
    char              stopped_by[512];          /* the error that ended it; "": none */
    /* Its folder. */
    char              id[160], folder[PATH_MAX], start[32];
    FILE             *sample_file;              /* owned */
};

const char *ab_arm_name(enum ab_arm arm);
double      ab_percent(double log_ratio);

/* "<UTC>-<base8>-<candidate8>-<machine8>", with "-2" and so on where that is taken, and
 * samples.ndjson in it. KIWI_IO, KIWI_FULL: it cannot be made. */
MUST_USE enum kiwi_status ab_folder_open(struct ab *ab);
/* Keeps the sample, in memory and as a line that is on its way to the disk. */
MUST_USE enum kiwi_status ab_sample_add(struct ab *ab, const struct ab_sample *sample);
/* The last look of all; NULL: there was none. */
const struct ab_look     *ab_last_look(const struct ab *ab);
/* Of a sample, by the clock that is compared; 0: there is none. */
double                    ab_mean_work_seconds(const struct ab *ab);
/* The verdict as one sentence. */
const char               *ab_sentence(const struct ab *ab, char *text, size_t bytes);
/* What verdict.json holds; NULL: no memory. */
json_t                   *ab_json(const struct ab *ab);
/* Writes verdict.json, report.html and what is kept of the machine. */
MUST_USE enum kiwi_status ab_files_write(const struct ab *ab);
/* Frees what is owned; the folder stays. */
void                      ab_close(struct ab *ab);

/* The page: document is what verdict.json holds. */
MUST_USE enum kiwi_status ab_html_write(const char *path, const struct ab *ab,
                                        const json_t *document);
