/*
 * verb_history.c: `kiwidb bench history`: new runs are appended, all are listed, steps are named.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/change.h"
#include "bench/folder.h"
#include "bench/history.h"
#include "bench/options.h"
#include "bench/report.h"
#include "bench/verb.h"
#include "core/base/memory.h"
#include "workloads/catalogue.h"

#define STEP_COUNT_MAX 32u

#define USAGE "history [DIR] [--metric NAME] [--history DIR] [--seed N]"

static const char help[] =
    "usage: kiwidb bench " USAGE "\n\n"
    "Appends every complete run below DIR (results/runs) that is not in the history\n"
    "yet, a line each, lists the history and tells where it steps to another level.\n\n"
    "  --metric NAME   only A.throughput, say, or throughput of all workloads; with\n"
    "                  every value\n"
    "  --history DIR   where <suite>.ndjson are (the folder history beside DIR)\n"
    "  --seed N        of the test's shuffles (42)\n\n"
    "A step is told when at most 1 % of series without one would show one as clear,\n"
    "and when it is 3 % or more; five or more runs on each side are needed to see it.\n"
    "Only runs of the same machine, engine, settings, durability and operations are\n"
    "compared. A commit with + was built with changes that are in no commit.\n";

struct request {
    const char *runs, *metric;
    char        folder[PATH_MAX];
    uint64_t    seed;
};

/* ---- collecting ---- */

static enum kiwi_status run_record(const struct request *request, const char *name,
                                   struct history *history, size_t *added)
{
    char             path[PATH_MAX + 300];
    struct result    result;
    json_t          *line;
    enum kiwi_status status;

    snprintf(path, sizeof path, "%s/%s", request->runs, name);
    status = result_open(path, false, &result);
    if (status != KIWI_OK || history_refusal(result.document) != NULL) {
        fprintf(stderr, "note: %s is left out: %s\n", name,
                status != KIWI_OK ? fail_text() : history_refusal(result.document));
        if (status == KIWI_OK)
            result_close(&result);
        return KIWI_OK;
    }
    if (!history_has(history, result_text(result.document, "id"))) {
        snprintf(path, sizeof path, "%s/%s.ndjson", request->folder,
                 result_text(result.document, "suite"));
        line = history_line(result.document);
        status = line == NULL ? FAIL(KIWI_NO_MEMORY, "no memory for a line") : KIWI_OK;
        if (status == KIWI_OK)
            status = folder_make(request->folder);
        if (status == KIWI_OK)
            status = history_append(path, line);
        if (status == KIWI_OK)
            status = history_add(history, line, path, 0);
        json_decref(line);
        *added += status == KIWI_OK;
    }
    result_close(&result);
    return status;
}

static int is_run(const struct dirent *entry)
{
    /* A comparison of engines is a folder of blocks, each of which saw the others' heat. */
    return entry->d_name[0] != '.' && strstr(entry->d_name, "-versus-") == NULL;
}

static int is_history(const struct dirent *entry)
{
    const char *end = strrchr(entry->d_name, '.');

    return entry->d_name[0] != '.' && end != NULL && strcmp(end, ".ndjson") == 0;
}

/* Calls for each entry, in order of name; the folder may be missing. */
static enum kiwi_status folder_walk(const struct request *request, const char *folder,
                                    int (*is_wanted)(const struct dirent *),
                                    struct history *history, size_t *added)
{
    struct dirent  **entries = NULL;
    int              count = scandir(folder, &entries, is_wanted, alphasort);
    enum kiwi_status status = KIWI_OK;

    if (count < 0 && errno != ENOENT)
        status = FAIL(KIWI_IO, "%s: %s", folder, strerror(errno));
    for (int i = 0; i < count; i++) {
        char path[PATH_MAX + 300];

        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (status == KIWI_OK)
            status = added == NULL ? history_read(history, path)
                                   : run_record(request, entries[i]->d_name, history, added);
        free(entries[i]); /* scandir made them */
    }
    free(entries);
    return status;
}

/* ---- telling ---- */

static const char *value_text(const struct history_series *series, double value, char *text,
                              size_t bytes)
{
    if (strcmp(series->unit, "ns") == 0 || strcmp(series->unit, "ns/op") == 0)
        return duration_text((uint64_t)value, text, bytes);
    if (strcmp(series->unit, "ops/s") == 0)
        return rate_text(value, text, bytes);
    snprintf(text, bytes, "%.2f", value);
    return text;
}

static const char *day_text(double time, char *text, size_t bytes)
{
    const time_t seconds = (time_t)time;
    struct tm    parts;

    gmtime_r(&seconds, &parts);
    strftime(text, bytes, "%Y-%m-%d", &parts);
    return text;
}

static void step_print(const struct history_series *series, const struct change *step)
{
    const struct history_point *before = &series->points[step->index - 1];
    const struct history_point *after = &series->points[step->index];
    const double                share = step->before != 0 ? step->after / step->before - 1 : 0;
    const bool                  is_better = (step->after > step->before) == series->is_more_better;
    char                        days[2][16], values[2][32];

    printf("    %+.1f %% %s  %s to %s, after %s%s (%s), by %s%s (%s), p %.3f\n", 100 * share,
           is_better ? "better" : "WORSE",
           value_text(series, step->before, values[0], sizeof values[0]),
           value_text(series, step->after, values[1], sizeof values[1]), before->commit,
           before->is_dirty ? "+" : "", day_text(before->time, days[0], sizeof days[0]),
           after->commit, after->is_dirty ? "+" : "",
           day_text(after->time, days[1], sizeof days[1]), step->chance);
}

static void points_print(const struct history_series *series, const struct change *steps,
                         size_t step_count)
{
    for (size_t i = 0, next = 0; i < series->count; i++) {
        const struct history_point *point = &series->points[i];
        char                        day[16], value[32];
        const bool                  is_step = next < step_count && steps[next].index == i;

        printf("    %s  %s%s  %s%s\n", day_text(point->time, day, sizeof day), point->commit,
               point->is_dirty ? "+" : " ", value_text(series, point->value, value, sizeof value),
               is_step ? "  <- another level from here" : "");
        next += is_step;
    }
}

static enum kiwi_status series_tell(const struct request *request,
                                    const struct history_series *series, size_t *step_count)
{
    struct change_options options = change_options_default();
    struct change         steps[STEP_COUNT_MAX];
    double               *values = memory_allocate(series->count * sizeof *values);
    char                  first[32], last[32];
    enum kiwi_status      status;
    size_t                found = 0;

    if (values == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for %zu values", series->count);
    for (size_t i = 0; i < series->count; i++)
        values[i] = series->points[i].value;
    options.seed = request->seed;
    status = changes_find(values, series->count, &options, steps, STEP_COUNT_MAX, &found);
    printf("  %-32s %-8s %5zu %10s %10s %+7.1f %%\n", series->name, series->durability,
           series->count, value_text(series, values[0], first, sizeof first),
           value_text(series, values[series->count - 1], last, sizeof last),
           100 * (values[series->count - 1] / values[0] - 1));
    if (request->metric != NULL)
        points_print(series, steps, found);
    for (size_t i = 0; i < found; i++)
        step_print(series, &steps[i]);
    *step_count += found;
    memory_free(values);
    return status;
}

/* The whole name, or the part behind or before a dot. */
static bool is_asked_for(const struct request *request, const struct history_series *series)
{
    const size_t bytes = request->metric != NULL ? strlen(request->metric) : 0;
    const size_t all = strlen(series->name);

    if (request->metric == NULL || strcmp(series->name, request->metric) == 0)
        return true;
    if (all <= bytes)
        return false;
    return (strncmp(series->name, request->metric, bytes) == 0 && series->name[bytes] == '.')
        || (strcmp(series->name + all - bytes, request->metric) == 0
            && series->name[all - bytes - 1] == '.');
}

static bool is_same_group(const struct history_series *a, const struct history_series *b)
{
    return strcmp(a->suite, b->suite) == 0 && strcmp(a->engine, b->engine) == 0
        && strcmp(a->machine, b->machine) == 0 && strcmp(a->settings, b->settings) == 0;
}

static enum kiwi_status metric_absent(const struct history *history, const char *metric)
{
    const char *nearest = "";
    uint32_t    best = UINT32_MAX;

    for (size_t i = 0; i < history->count; i++) {
        const char *last = strrchr(history->series[i].name, '.');
        const char *names[] = { history->series[i].name, last != NULL ? last + 1 : "" };

        for (size_t j = 0; j < ARRAY_COUNT(names); j++)
            if (edit_distance(metric, names[j]) < best) {
                best = edit_distance(metric, names[j]);
                nearest = names[j];
            }
    }
    return FAIL(KIWI_INVALID, "no metric '%.60s' in this history; the nearest is '%s'", metric,
                nearest);
}

static enum kiwi_status history_tell(const struct request *request, const struct history *history)
{
    const struct history_series *before = NULL;
    size_t                       step_count = 0, told = 0;

    for (size_t i = 0; i < history->count; i++) {
        const struct history_series *series = &history->series[i];

        if (!is_asked_for(request, series))
            continue;
        if (before == NULL || !is_same_group(before, series))
            printf("%ssuite %s, engine %s, machine %.8s, %s\n  %-32s %-8s %5s %10s %10s %9s\n",
                   before == NULL ? "" : "\n", series->suite, series->engine, series->machine,
                   series->settings, "metric", "writes", "runs", "first", "last", "last/first");
        before = series;
        told++;
        TRY(series_tell(request, series, &step_count));
    }
    if (told == 0 && request->metric != NULL && history->count > 0)
        return metric_absent(history, request->metric);
    printf("\n%zu runs, %zu series, %zu steps; among series without a step about 1 in 100 shows "
           "one (seed %llu)\n",
           history->run_count, told, step_count, (unsigned long long)request->seed);
    return KIWI_OK;
}

/* ---- the command ---- */

/* Returns an exit code; BENCH_DONE with *is_help set when the text was asked for. */
static int request_parse(int argc, char **argv, struct request *request, bool *is_help)
{
    static const struct option options[] = { { "metric", 1, NULL, 'm' },
                                             { "history", 1, NULL, 'd' },
                                             { "seed", 1, NULL, 's' },
                                             { "help", 0, NULL, 'h' },
                                             { NULL, 0, NULL, 0 } };
    const char *folder = NULL;
    int         id;

    optind = 0;
    opterr = 0;
    while ((id = getopt_long(argc, argv, ":h", options, NULL)) != -1)
        switch (id) {
        case 'm':
            request->metric = optarg;
            break;
        case 'd':
            folder = optarg;
            break;
        case 's':
            if (count_parse(optarg, &request->seed) != KIWI_OK)
                return verb_failed("history"), BENCH_USAGE;
            break;
        case 'h':
            *is_help = true;
            return BENCH_DONE;
        default:
            return verb_option_wrong("history", options, id, argv);
        }
    if (argc - optind > 1)
        return verb_usage("history", USAGE);
    if (optind < argc)
        request->runs = argv[optind];
    snprintf(request->folder, sizeof request->folder, folder != NULL ? "%s" : "%s/../history",
             folder != NULL ? folder : request->runs);
    return BENCH_DONE;
}

int verb_history(int argc, char **argv)
{
    struct request   request = { .runs = "results/runs", .seed = 42 };
    struct history   history = { 0 };
    bool             is_help = false;
    size_t           added = 0;
    int              code = request_parse(argc, argv, &request, &is_help);
    enum kiwi_status status;

    if (code != BENCH_DONE)
        return code;
    if (is_help) {
        fputs(help, stdout);
        return BENCH_DONE;
    }
    status = folder_walk(&request, request.folder, is_history, &history, NULL);
    if (status == KIWI_OK)
        status = folder_walk(&request, request.runs, is_run, &history, &added);
    if (status == KIWI_OK && history.run_count == 0)
        status = FAIL(KIWI_NOT_FOUND, "no runs below %s and none in %s", request.runs,
                      request.folder);
    if (status == KIWI_OK) {
        printf("history   %s, %zu runs new\n\n", request.folder, added);
        history_sort(&history);
        status = history_tell(&request, &history);
    }
    history_free(&history);
    if (status == KIWI_INVALID)
        return verb_failed("history"), BENCH_USAGE;
    return status == KIWI_OK ? BENCH_DONE : verb_failed("history");
}
