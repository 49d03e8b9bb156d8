/*
 * compare.c: `kiwidb bench compare`, `repeat` and `merge`: results that are there already.
 */
#include <getopt.h>
#include <math.h>
#include <string.h>

#include "bench/hlog.h"
#include "bench/report.h"
#include "bench/result.h"
#include "bench/verb.h"
#include "core/base/histogram.h"
#include "core/base/memory.h"

#define COMPARE_USAGE "compare A B [--force]"
#define REPEAT_USAGE  "repeat RESULT"
#define MERGE_USAGE   "merge LATENCY.HLOG... > MERGED.HLOG"

static double share_change(double before, double now)
{
    return before > 0 ? 100 * (now / before - 1) : 0;
}

static void operation_print(const json_t *before, const json_t *now)
{
    static const char *const names[] = { "p50_ns", "p99_ns", "p99_9_ns" };

    printf("  %-18s", result_text(now, "operation"));
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char   path[32], texts[2][32];
        double was, is;

        snprintf(path, sizeof path, "service.%s", names[i]);
        was = result_number(before, path);
        is = result_number(now, path);
        printf(" %*.*s %9s -> %-9s %+6.1f %%", i == 0 ? 3 : i == 1 ? 3 : 5,
               (int)strlen(names[i]) - 3, names[i],
               duration_text((uint64_t)was, texts[0], sizeof texts[0]),
               duration_text((uint64_t)is, texts[1], sizeof texts[1]), share_change(was, is));
    }
    putchar('\n');
}

static void phases_print(const struct result *a, const struct result *b)
{
    size_t  index, inner, other;
    json_t *phase, *now, *before;

    json_array_foreach(b->phases, index, phase)
    {
        const json_t *old = result_phase(a, result_text(phase, "name"));
        char          texts[2][32];
        double        was, is;

        if (old == NULL)
            continue;
        was = result_number(old, "throughput_per_second");
        is = result_number(phase, "throughput_per_second");
        printf("%-20s %10s/s -> %10s/s  %+6.1f %%   write amplification %.2f -> %.2f\n",
               result_text(phase, "name"), rate_text(was, texts[0], sizeof texts[0]),
               rate_text(is, texts[1], sizeof texts[1]), share_change(was, is),
               result_number(old, "write_amplification_with_drain"),
               result_number(phase, "write_amplification_with_drain"));
        json_array_foreach(json_object_get(phase, "latency"), inner, now)
            json_array_foreach(json_object_get(old, "latency"), other, before)
                if (strcmp(result_text(now, "operation"), result_text(before, "operation")) == 0)
                    operation_print(before, now);
    }
    puts("One run each: below about 5 % this is noise; `kiwidb bench ab` decides.");
}

int verb_compare(int argc, char **argv)
{
    struct result    results[2] = { 0 };
    bool             is_forced = false;
    enum kiwi_status status;
    int              code;

    code = verb_parse("compare", COMPARE_USAGE "\n\n"
                      "Throughput, latency and write amplification of two results (folders or\n"
                      "their run.json), phase by phase. --force compares what is not comparable."
                      "\n\n  kiwidb bench compare results/runs/A results/runs/B",
                      argc, argv, &is_forced);
    if (code != VERB_GOES_ON)
        return code;
    if (argc - optind != 2)
        return verb_usage("compare", COMPARE_USAGE);
    status = result_open(argv[optind], is_forced, &results[0]);
    if (status == KIWI_OK)
        status = result_open(argv[optind + 1], is_forced, &results[1]);
    if (status == KIWI_OK && !is_forced)
        status = results_check(&results[0], &results[1]);
    if (status == KIWI_OK)
        phases_print(&results[0], &results[1]);
    result_close(&results[0]);
    result_close(&results[1]);
    return status == KIWI_OK ? BENCH_DONE : verb_failed("compare");
}

/* Prints what to type, and what is different here from where the result was made. */
int verb_repeat(int argc, char **argv)
{
    struct result result;
    int           code = verb_parse("repeat", REPEAT_USAGE
                                    "\n\nPrints the command that makes the result again, and what "
                                    "made it then.\n\n  kiwidb bench repeat results/runs/A | sh",
                                    argc, argv, NULL);

    if (code != VERB_GOES_ON)
        return code;
    if (argc - optind != 1)
        return verb_usage("repeat", REPEAT_USAGE);
    if (result_open(argv[optind], false, &result) != KIWI_OK)
        return verb_failed("repeat");
    printf("# made by commit %s on %s (%s), %s\n%s\n",
           result_text(result.document, "build.commit"),
           result_text(result.document, "machine.cpu"),
           result_text(result.document, "machine.fingerprint"),
           result_text(result.document, "start"), result_text(result.document, "command"));
    result_close(&result);
    return BENCH_DONE;
}

#define TAG_COUNT_MAX 1024u

struct merged {
    char                tag[HLOG_TAG_BYTES];
    struct kiwi_latency latency;
    double              seconds;
};

static enum kiwi_status log_add(const char *path, struct merged *merged, size_t *count)
{
    struct hlog_interval *interval = memory_allocate(sizeof *interval);
    FILE                 *file = fopen(path, "re");
    uint64_t              line = 0;
    enum kiwi_status      status = KIWI_OK;

    if (file == NULL || interval == NULL) {
        status = file == NULL ? FAIL(KIWI_IO, "cannot read %s", path)
                              : FAIL(KIWI_NO_MEMORY, "no memory to merge");
        goto end;
    }
    while ((status = hlog_read(file, path, &line, interval)) == KIWI_OK) {
        size_t at = 0;

        while (at < *count && strcmp(merged[at].tag, interval->tag) != 0)
            at++;
        if (at == TAG_COUNT_MAX) {
            status = FAIL(KIWI_INVALID, "%s line %llu: more than %u tags", path,
                          (unsigned long long)line, TAG_COUNT_MAX);
            break;
        }
        if (at == *count)
            snprintf(merged[(*count)++].tag, HLOG_TAG_BYTES, "%s", interval->tag);
        histogram_add(&merged[at].latency, &interval->latency);
        merged[at].seconds = fmax(merged[at].seconds, interval->start + interval->seconds);
    }
    if (status == KIWI_NOT_FOUND)
        status = line > 0 ? KIWI_OK : FAIL(KIWI_CORRUPT, "%s is empty", path);
end:
    if (file != NULL)
        fclose(file);
    memory_free(interval);
    return status;
}

static void merged_print(const struct merged *merged, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct kiwi_latency *latency = &merged[i].latency;
        char                       texts[4][32];

        fprintf(stderr, "%-40s %12llu  p50 %s  p99 %s  p99.9 %s  max %s\n", merged[i].tag,
                (unsigned long long)latency->count,
                duration_text(kiwi_latency_percentile(latency, 0.5), texts[0], 32),
                duration_text(kiwi_latency_percentile(latency, 0.99), texts[1], 32),
                duration_text(kiwi_latency_percentile(latency, 0.999), texts[2], 32),
                duration_text(latency->max_ns, texts[3], 32));
    }
}

/* One interval per tag, over all logs, to standard output; a table to standard error. */
int verb_merge(int argc, char **argv)
{
    struct merged   *merged;
    size_t           count = 0;
    enum kiwi_status status;
    int              code = verb_parse("merge", MERGE_USAGE
                                       "\n\nThe histograms of several processes as one log to "
                                       "standard output, a table\nof it to standard error.\n\n"
                                       "  kiwidb bench merge A/latency.hlog B/latency.hlog > "
                                       "both.hlog", argc, argv, NULL);

    if (code != VERB_GOES_ON)
        return code;
    if (argc == optind)
        return verb_usage("merge", MERGE_USAGE);
    merged = memory_allocate_zeroed(TAG_COUNT_MAX * sizeof *merged);
    status = merged == NULL ? FAIL(KIWI_NO_MEMORY, "no memory to merge") : KIWI_OK;
    for (int i = optind; i < argc && status == KIWI_OK; i++)
        status = log_add(argv[i], merged, &count);
    if (status == KIWI_OK)
        hlog_begin(stdout, 0);
    for (size_t i = 0; i < count && status == KIWI_OK; i++)
        status = hlog_write(stdout, merged[i].tag, 0, merged[i].seconds, &merged[i].latency);
    if (status == KIWI_OK)
        merged_print(merged, count);
    memory_free(merged);
    return status == KIWI_OK ? BENCH_DONE : verb_failed("merge");
}
