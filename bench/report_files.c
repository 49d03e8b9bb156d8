/*
 * report_files.c: the folder of one run.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "bench/folder.h"
#include "bench/hlog.h"
#include "bench/report.h"

void report_id_make(const struct suite *suite, const char *results, char *id, size_t bytes)
{
    char time[24], path[PATH_MAX];

    utc_write(time, sizeof time, true);
    for (int n = 1; n < 10000; n++) {
        snprintf(id, bytes, "%s-%s-%s-%.8s-%d", time, suite->plan->suite, build_commit(),
                 suite->machine.fingerprint, n);
        snprintf(path, sizeof path, "%s/%s", results, id);
        if (access(path, F_OK) != 0)
            return;
    }
}

static FILE *file_open(const char *folder, const char *name)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return fopen(path, "we");
}

static enum kiwi_status file_end(FILE *file, const char *folder, const char *name)
{
    bool is_wrong = file == NULL || fflush(file) != 0 || ferror(file) != 0;
    int  cause = errno;

    if (file != NULL && fclose(file) != 0)
        is_wrong = true;
    if (is_wrong)
        return FAIL(cause == ENOSPC ? KIWI_FULL : KIWI_IO, "cannot write %s/%s: %s", folder, name,
                    strerror(cause));
    return KIWI_OK;
}

static void series_write(FILE *file, const struct suite *suite)
{
    char name[64];

    fputs("phase,seconds,operations,errors,p50_ns,p99_ns,p99_9_ns,max_ns,resident_bytes,cpu_ns,"
          "device_write_bytes,debt_bytes",
          file);
    for (uint32_t i = 0; i < series_stats_count(); i++) {
        series_stats_name(i, name, sizeof name);
        fprintf(file, ",%s", name);
    }
    fputc('\n', file);
    for (uint32_t i = 0; i < suite->phase_count; i++) {
        const struct phase_result *result = &suite->phases[i].result;

        for (size_t j = 0; j < result->series_count; j++) {
            const struct series_row *row = &result->series[j];
            fprintf(file,
                    "%s,%.3f,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64
                    ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64,
                    result->name, row->seconds, row->operations, row->errors, row->p50_ns,
                    row->p99_ns, row->p999_ns, row->max_ns, row->resident_bytes, row->cpu_ns,
                    row->device_write_bytes, row->debt_bytes);
            for (uint32_t k = 0; k < series_stats_count(); k++)
                if (row->has_stats)
                    fprintf(file, ",%" PRIu64, row->stats[k]);
                else
                    fputc(',', file);
            fputc('\n', file);
        }
    }
}

static enum kiwi_status phase_hlog_write(FILE *file, const struct phase_result *result,
                                         double log_start)
{
    static const char *const clocks[CLOCK_COUNT] = { "service", "response", "lag" };
    const double             phase_start = result->start_seconds - log_start;
    struct kiwi_latency      latency;
    enum latency_clock       clock;
    uint32_t                 row, operation;
    size_t                   at = 0;
    char                     tag[HLOG_TAG_BYTES];

    while (interval_log_read(&result->intervals, &at, &row, &operation, &clock, &latency)) {
        const struct series_row *interval = &result->series[row];

        snprintf(tag, sizeof tag, "%.60s.%s.%s", result->name,
                 operation_name((enum operation)operation), clocks[clock]);
        TRY(hlog_write(file, tag, phase_start + interval->start,
                       interval->seconds - interval->start, &latency));
    }
    for (uint32_t i = 0; result->has_stats && result->stats != NULL && i < KIWI_ANSWER_COUNT; i++) {
        if (result->stats->answers[i].latency.count == 0)
            continue;
        snprintf(tag, sizeof tag, "%.60s.%s.engine", result->name, answer_name(i));
        for (char *letter = tag; *letter != 0; letter++)
            if (*letter == ' ')
                *letter = '_';
        TRY(hlog_write(file, tag, phase_start, result->seconds,
                       &result->stats->answers[i].latency));
    }
    return KIWI_OK;
}

static enum kiwi_status hlog_file_write(FILE *file, const struct suite *suite)
{
    double start = suite->phase_count > 0 ? suite->phases[0].result.start_seconds : 0;

    hlog_begin(file, start);
    for (uint32_t i = 0; i < suite->phase_count; i++)
        TRY(phase_hlog_write(file, &suite->phases[i].result, start));
    return KIWI_OK;
}

/* The text exporter's lines: "[GROUP], measurement, value"; latencies in microseconds. */
static void ycsb_group(FILE *file, const char *group, const struct kiwi_latency *latency,
                       uint64_t errors)
{
    uint64_t least = 0;

    for (uint32_t i = 0; i < KIWI_LATENCY_BUCKET_COUNT; i++)
        if (latency->buckets[i] != 0) {
            least = histogram_bucket_floor(i);
            break;
        }
    fprintf(file, "[%s], Operations, %" PRIu64 "\n", group, latency->count);
    fprintf(file, "[%s], AverageLatency(us), %.3f\n", group,
            (double)latency->sum_ns / (double)latency->count / 1e3);
    fprintf(file, "[%s], MinLatency(us), %" PRIu64 "\n", group, least / 1000);
    fprintf(file, "[%s], MaxLatency(us), %" PRIu64 "\n", group, latency->max_ns / 1000);
    fprintf(file, "[%s], 50thPercentileLatency(us), %" PRIu64 "\n", group,
            kiwi_latency_percentile(latency, 0.5) / 1000);
    fprintf(file, "[%s], 95thPercentileLatency(us), %" PRIu64 "\n", group,
            kiwi_latency_percentile(latency, 0.95) / 1000);
    fprintf(file, "[%s], 99thPercentileLatency(us), %" PRIu64 "\n", group,
            kiwi_latency_percentile(latency, 0.99) / 1000);
    fprintf(file, "[%s], Return=OK, %" PRIu64 "\n", group,
            latency->count - min_u64(errors, latency->count));
}

static void ycsb_write(FILE *file, const struct suite *suite)
{
    for (uint32_t i = 0; i < suite->phase_count; i++) {
        const struct phase_result *result = &suite->phases[i].result;

        fprintf(file, "# phase %s%s\n", result->name, result->is_partial ? " (partial)" : "");
        fprintf(file, "[OVERALL], RunTime(ms), %.0f\n", result->seconds * 1e3);
        fprintf(file, "[OVERALL], Throughput(ops/sec), %.3f\n",
                result->seconds > 0 ? (double)result->totals.operations / result->seconds : 0);
        for (uint32_t j = 0; j < OPERATION_COUNT; j++) {
            if (result->totals.latencies[j].count > 0)
                ycsb_group(file, operation_name((enum operation)j), &result->totals.latencies[j],
                           j == OPERATION_READ ? result->totals.missing : 0);
            if (result->totals.responses[j].count > 0) {
                char group[40];
                snprintf(group, sizeof group, "Intended-%s", operation_name((enum operation)j));
                ycsb_group(file, group, &result->totals.responses[j], 0);
            }
        }
    }
}

enum kiwi_status report_files_write(const struct suite *suite, const char *results,
                                    json_t *document, char *folder, size_t bytes)
{
    const char *id = json_string_value(json_object_get(document, "id"));
    FILE       *file;

    snprintf(folder, bytes, "%s/%s", results, id);
    TRY(folder_make(folder));
    file = file_open(folder, "run.json");
    if (file != NULL) {
        json_dumpf(document, file, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
        fputc('\n', file);
    }
    TRY(file_end(file, folder, "run.json"));
    file = file_open(folder, "series.csv");
    if (file != NULL)
        series_write(file, suite);
    TRY(file_end(file, folder, "series.csv"));
    file = file_open(folder, "latency.hlog");
    if (file != NULL && hlog_file_write(file, suite) != KIWI_OK) {
        fclose(file);
        return KIWI_NO_MEMORY;
    }
    TRY(file_end(file, folder, "latency.hlog"));
    if (suite->ladder_count > 0) {
        file = file_open(folder, "ladder.csv");
        if (file != NULL)
            ladders_csv_write(file, suite);
        TRY(file_end(file, folder, "ladder.csv"));
    }
    file = file_open(folder, "ycsb.txt");
    if (file != NULL)
        ycsb_write(file, suite);
    return file_end(file, folder, "ycsb.txt");
}
