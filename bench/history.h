/*
 * history.h: runs over time: one line of JSON a run, appended, never changed.
 *
 * Line     {timestamp, attributes{git_commit, is_dirty, machine, engine, suite, settings, run},
 *          metrics[{name, unit, value, better, durability, stream_digest}]}; the shape that other
 *          tools for change points read.
 * Value    of a phase; where a run has several of one name, their median.
 * Series   values that may be compared: same suite, engine, machine, settings, metric, durability
 *          and stream of operations; in order of time.
 */
#pragma once

#include "bench/result.h"

struct history_point {
    double   value;
    double   time;       /* seconds since 1970 */
    char     commit[9];
    bool     is_dirty;   /* built with changes that no commit has */
};

struct history_series {
    char                  suite[48], engine[32], machine[17], settings[96];
    char                  name[96], unit[8], durability[12], digest[20];
    bool                  is_more_better;
    struct history_point *points;    /* owned */
    size_t                count, capacity;
};

struct history {
    struct history_series *series;   /* owned */
    size_t                 count, capacity;
    char                 **runs;     /* ids of those that are in; owned */
    size_t                 run_count, run_capacity;
};

/* NULL: it can be recorded. Else why not, for people. */
const char *history_refusal(const json_t *run);
/* The line of a run that can be recorded; NULL when memory is short. */
json_t *history_line(const json_t *run);

/* KIWI_CORRUPT with path and line number in the text. */
MUST_USE enum kiwi_status history_add(struct history *history, const json_t *line,
                                      const char *path, size_t number);
/* Adds all lines of a file; one that is not there has none. */
MUST_USE enum kiwi_status history_read(struct history *history, const char *path);
/* One write, whole lines only. */
MUST_USE enum kiwi_status history_append(const char *path, const json_t *line);
bool                      history_has(const struct history *history, const char *run);
/* Every series in order of time, series in order of what they are of. */
void                      history_sort(struct history *history);
void                      history_free(struct history *history);
