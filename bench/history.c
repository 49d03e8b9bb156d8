/*
 * history.c: making, reading and sorting lines.
 */
#include "bench/history.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/statistics.h"
#include "core/base/memory.h"

#define LINE_BYTES_MAX (1u << 20)

/* ---- one run ---- */

const char *history_refusal(const json_t *run)
{
    if (strcmp(result_text(run, "verdict"), "complete") != 0)
        return "it is not complete";
    if (result_text(run, "build.sanitizer")[0] != 0)
        return "it was built with a sanitizer";
    if (json_array_size(json_object_get(run, "phases")) == 0)
        return "it has no phases";
    return NULL;
}

/* The median of a number over the phases of that name. */
static double phases_median(const json_t *phases, const char *name, const char *path)
{
    double  values[RESULT_PHASE_COUNT_MAX];
    size_t  index, count = 0;
    json_t *phase;

    json_array_foreach(phases, index, phase)
        if (strcmp(result_text(phase, "name"), name) == 0 && count < ARRAY_COUNT(values))
            values[count++] = result_number(phase, path);
    return median_of(values, count);
}

static void metric_add(json_t *metrics, const json_t *phase, const char *name, const char *unit,
                       const char *better, double value)
{
    char full[96], stream[20];

    if (!(value > 0))
        return;
    /* Loads have no digest: what they write follows from how many there are. */
    snprintf(stream, sizeof stream, "%.19s", result_text(phase, "stream_digest"));
    if (strcmp(result_text(phase, "kind"), "load") == 0)
        snprintf(stream, sizeof stream, "load %.0f", result_number(phase, "operations_wanted"));
    snprintf(full, sizeof full, "%.64s.%.30s", result_text(phase, "name"), name);
    json_array_append_new(
        metrics, json_pack("{s:s, s:s, s:f, s:s, s:s, s:s}", "name", full, "unit", unit, "value",
                           value, "better", better, "durability",
                           result_text(phase, "durability"), "stream_digest", stream));
}

/* Latencies of each operation: from the intended start where there is one. */
static void latencies_add(json_t *metrics, const json_t *phase)
{
    size_t  index;
    json_t *operation;

    json_array_foreach(json_object_get(phase, "latency"), index, operation)
    {
        static const char *const shares[] = { "p50", "p99" };
        const char *clock = json_object_get(operation, "response") != NULL ? "response" : "service";

        for (size_t i = 0; i < ARRAY_COUNT(shares); i++) {
            char path[40], name[40];

            snprintf(path, sizeof path, "%s.%s_ns", clock, shares[i]);
            snprintf(name, sizeof name, "%.24s.%s", result_text(operation, "operation"),
                     shares[i]);
            metric_add(metrics, phase, name, "ns", "lower", result_number(operation, path));
        }
    }
}

static void phase_add(json_t *metrics, const json_t *phases, const json_t *phase)
{
    const char  *name = result_text(phase, "name");
    const double operations = phases_median(phases, name, "operations");
    const double cpu = phases_median(phases, name, "usage.cpu_user_seconds")
                     + phases_median(phases, name, "usage.cpu_system_seconds");

    metric_add(metrics, phase, "throughput", "ops/s", "higher",
               phases_median(phases, name, "throughput_per_second"));
    metric_add(metrics, phase, "cpu", "ns/op", "lower",
               operations > 0 ? cpu * 1e9 / operations : 0);
    metric_add(metrics, phase, "write_amplification", "", "lower",
               phases_median(phases, name, "write_amplification_with_drain"));
    latencies_add(metrics, phase);
}

static double time_of(const char *utc)
{
    struct tm parts = { 0 };

    return strptime(utc, "%Y-%m-%dT%H:%M:%SZ", &parts) != NULL ? (double)timegm(&parts) : 0;
}

json_t *history_line(const json_t *run)
{
    const json_t *phases = json_object_get(run, "phases");
    json_t       *metrics = json_array(), *phase;
    char          settings[96];
    size_t        index;

    json_array_foreach(phases, index, phase)
    {
        bool is_first = true;

        for (size_t i = 0; i < index; i++)
            is_first &= strcmp(result_text(json_array_get(phases, i), "name"),
                               result_text(phase, "name")) != 0;
        if (is_first)
            phase_add(metrics, phases, phase);
    }
    snprintf(settings, sizeof settings, "%.12s %.0f x %.0f, %.0f MiB, load %.12s",
             result_text(run, "settings.client"), result_number(run, "settings.threads"),
             result_number(run, "settings.depth"),
             result_number(run, "settings.memory_bytes") / 0x1p20,
             result_text(run, "settings.load_durability"));
    return json_pack("{s:f, s:{s:s, s:b, s:s, s:s, s:s, s:s, s:s}, s:o}", "timestamp",
                     time_of(result_text(run, "start")), "attributes", "git_commit",
                     result_text(run, "build.commit"), "is_dirty",
                     json_is_true(json_object_get(json_object_get(run, "build"), "is_dirty")),
                     "machine", result_text(run, "machine.fingerprint"), "engine",
                     result_text(run, "engine.name"), "suite", result_text(run, "suite"),
                     "settings", settings, "run", result_text(run, "id"), "metrics", metrics);
}

/* ---- many ---- */

static bool room_make(void **items, size_t count, size_t *capacity, size_t bytes)
{
    size_t larger = *capacity == 0 ? 16 : *capacity * 2;
    void  *moved;

    if (count < *capacity)
        return true;
    moved = memory_resize(*items, larger * bytes);
    if (moved == NULL)
        return false;
    *items = moved;
    *capacity = larger;
    return true;
}

/* Negative, 0 or positive; by what the values are of. */
static int series_compare(const void *a, const void *b)
{
    const struct history_series *one = a, *two = b;
    const char *const            pairs[][2] = {
        { one->suite, two->suite },           { one->engine, two->engine },
        { one->machine, two->machine },       { one->settings, two->settings },
        { one->name, two->name },             { one->durability, two->durability },
        { one->digest, two->digest },
    };

    for (size_t i = 0; i < ARRAY_COUNT(pairs); i++)
        if (strcmp(pairs[i][0], pairs[i][1]) != 0)
            return strcmp(pairs[i][0], pairs[i][1]);
    return 0;
}

static struct history_series *series_find(struct history *history,
                                          const struct history_series *wanted)
{
    for (size_t i = 0; i < history->count; i++)
        if (series_compare(&history->series[i], wanted) == 0)
            return &history->series[i];
    if (!room_make((void **)&history->series, history->count, &history->capacity,
                   sizeof *history->series))
        return NULL;
    history->series[history->count] = *wanted;
    return &history->series[history->count++];
}

static enum kiwi_status point_add(struct history *history, const json_t *line,
                                  const json_t *metric)
{
    struct history_series  wanted = { 0 }, *series;
    struct history_point   point = { .value = result_number(metric, "value"),
                                     .time = result_number(line, "timestamp") };
    const json_t *const    about = json_object_get(line, "attributes");

    snprintf(wanted.suite, sizeof wanted.suite, "%s", result_text(about, "suite"));
    snprintf(wanted.engine, sizeof wanted.engine, "%s", result_text(about, "engine"));
    snprintf(wanted.machine, sizeof wanted.machine, "%s", result_text(about, "machine"));
    snprintf(wanted.settings, sizeof wanted.settings, "%s", result_text(about, "settings"));
    snprintf(wanted.name, sizeof wanted.name, "%s", result_text(metric, "name"));
    snprintf(wanted.unit, sizeof wanted.unit, "%s", result_text(metric, "unit"));
    snprintf(wanted.durability, sizeof wanted.durability, "%s", result_text(metric, "durability"));
    snprintf(wanted.digest, sizeof wanted.digest, "%s", result_text(metric, "stream_digest"));
    wanted.is_more_better = strcmp(result_text(metric, "better"), "higher") == 0;
    snprintf(point.commit, sizeof point.commit, "%.8s", result_text(about, "git_commit"));
    point.is_dirty = json_is_true(json_object_get(about, "is_dirty"));
    series = series_find(history, &wanted);
    if (series == NULL
        || !room_make((void **)&series->points, series->count, &series->capacity, sizeof point))
        return FAIL(KIWI_NO_MEMORY, "no memory for a history");
    series->points[series->count++] = point;
    return KIWI_OK;
}

static enum kiwi_status run_add(struct history *history, const char *run)
{
    size_t bytes = strlen(run) + 1;
    char  *copy = memory_allocate(bytes);

    if (copy == NULL
        || !room_make((void **)&history->runs, history->run_count, &history->run_capacity,
                      sizeof copy)) {
        memory_free(copy);
        return FAIL(KIWI_NO_MEMORY, "no memory for a history");
    }
    memcpy(copy, run, bytes);
    history->runs[history->run_count++] = copy;
    return KIWI_OK;
}

enum kiwi_status history_add(struct history *history, const json_t *line, const char *path,
                             size_t number)
{
    const json_t *metrics = json_object_get(line, "metrics");
    const char   *run = result_text(line, "attributes.run");
    size_t        index;
    json_t       *metric;

    if (!json_is_array(metrics) || run[0] == 0 || !(result_number(line, "timestamp") > 0))
        return FAIL(KIWI_CORRUPT, "%s line %zu: no metrics, attributes.run or timestamp", path,
                    number);
    json_array_foreach(metrics, index, metric)
    {
        const double value = result_number(metric, "value");

        if (result_text(metric, "name")[0] == 0 || !isfinite(value))
            return FAIL(KIWI_CORRUPT, "%s line %zu: metric %zu has no name or value", path, number,
                        index);
    }
    if (history_has(history, run))
        return KIWI_OK;
    TRY(run_add(history, run));
    json_array_foreach(metrics, index, metric)
        TRY(point_add(history, line, metric));
    return KIWI_OK;
}

enum kiwi_status history_read(struct history *history, const char *path)
{
    FILE            *file = fopen(path, "re");
    char            *text = memory_allocate(LINE_BYTES_MAX);
    enum kiwi_status status = KIWI_OK;
    size_t           number = 0;

    if (file == NULL && errno != ENOENT)
        status = FAIL(KIWI_IO, "%s: %s", path, strerror(errno));
    else if (text == NULL)
        status = FAIL(KIWI_NO_MEMORY, "no memory for a line of %s", path);
    while (status == KIWI_OK && file != NULL && fgets(text, (int)LINE_BYTES_MAX, file) != NULL) {
        json_error_t error;
        json_t      *line;

        number++;
        if (strchr(text, '\n') == NULL) {
            status = FAIL(KIWI_CORRUPT, "%s line %zu is cut off", path, number);
            break;
        }
        line = json_loads(text, JSON_REJECT_DUPLICATES, &error);
        status = line == NULL ? FAIL(KIWI_CORRUPT, "%s line %zu: %s", path, number, error.text)
                              : history_add(history, line, path, number);
        json_decref(line);
    }
    if (file != NULL)
        fclose(file);
    memory_free(text);
    return status;
}

enum kiwi_status history_append(const char *path, const json_t *line)
{
    const size_t flags = JSON_COMPACT | JSON_REAL_PRECISION(12);
    const size_t bytes = json_dumpb(line, NULL, 0, flags);
    char        *text = bytes > 0 ? memory_allocate(bytes + 1) : NULL;
    int          file, cause = 0;
    ssize_t      done;

    if (text == NULL || json_dumpb(line, text, bytes, flags) != bytes) {
        memory_free(text);
        return FAIL(KIWI_NO_MEMORY, "no memory for a line of %s", path);
    }
    text[bytes] = '\n';
    file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    done = file >= 0 ? write(file, text, bytes + 1) : -1;
    if (done < 0)
        cause = errno;
    else if (done != (ssize_t)(bytes + 1))
        cause = ENOSPC;
    if (file >= 0 && close(file) != 0 && cause == 0)
        cause = errno;
    memory_free(text);
    if (cause != 0)
        return FAIL(cause == ENOSPC ? KIWI_FULL : KIWI_IO, "cannot write %s: %s", path,
                    strerror(cause));
    return KIWI_OK;
}

bool history_has(const struct history *history, const char *run)
{
    for (size_t i = 0; i < history->run_count; i++)
        if (strcmp(history->runs[i], run) == 0)
            return true;
    return false;
}

static int by_time(const void *a, const void *b)
{
    const struct history_point *one = a, *two = b;

    return (one->time > two->time) - (one->time < two->time);
}

void history_sort(struct history *history)
{
    if (history->count > 0)
        qsort(history->series, history->count, sizeof history->series[0], series_compare);
    for (size_t i = 0; i < history->count; i++)
        qsort(history->series[i].points, history->series[i].count, sizeof(struct history_point),
              by_time);
}

void history_free(struct history *history)
{
    for (size_t i = 0; i < history->count; i++)
        memory_free(history->series[i].points);
    for (size_t i = 0; i < history->run_count; i++)
        memory_free(history->runs[i]);
    memory_free(history->series);
    memory_free(history->runs);
    memset(history, 0, sizeof *history);
}
