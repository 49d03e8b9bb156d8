/*
 * report_html.c: the page around the charts, and `kiwidb bench report`.
 */
#include "bench/report_html.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <string.h>

#include "bench/page.h"
#include "bench/verb.h"
#include "core/base/memory.h"

static double best_rate(const struct story *story, const char **name)
{
    double  best = 0;
    size_t  index;
    json_t *phase;

    *name = "";
    json_array_foreach(story->result->phases, index, phase)
    {
        double rate = result_number(phase, "throughput_per_second");

        if (rate > best && strcmp(result_text(phase, "name"), "load") != 0) {
            best = rate;
            *name = result_text(phase, "name");
        }
    }
    return best;
}

void html_card(FILE *file, const char *number, const char *what)
{
    fputs("<div><b>", file);
    html_text(file, number);
    fputs("</b><span>", file);
    html_text(file, what);
    fputs("</span></div>\n", file);
}

static void card(FILE *file, double value, enum chart_unit unit, const char *what)
{
    char text[32];

    html_card(file, chart_number(value, unit, text, sizeof text), what);
}

/* The highest of a number over the phases. */
static double highest(const struct story *story, const char *path)
{
    double  value = 0;
    size_t  index;
    json_t *phase;

    json_array_foreach(story->result->phases, index, phase)
        value = fmax(value, result_number(phase, path));
    return value;
}

static void cards_write(FILE *file, const struct story *story)
{
    const json_t       *document = story->result->document;
    struct kiwi_latency all = { 0 };
    const char         *name;
    char                what[120];
    double              rate = best_rate(story, &name);
    size_t              index;
    json_t             *ladder;

    for (size_t i = 0; i < OPERATION_COUNT; i++) {
        for (uint32_t j = 0; j < KIWI_LATENCY_BUCKET_COUNT; j++)
            all.buckets[j] += story->latencies[i].buckets[j];
        all.count += story->latencies[i].count;
        all.max_ns = story->latencies[i].max_ns > all.max_ns ? story->latencies[i].max_ns
                                                             : all.max_ns;
    }
    fputs("<div class=\"cards\">\n", file);
    json_array_foreach(json_object_get(document, "ladders"), index, ladder)
    {
        snprintf(what, sizeof what, "operations a second keep %.40s, %.24s",
                 result_text(ladder, "objectives"), result_text(ladder, "workload"));
        card(file, result_number(ladder, "met_per_second"), CHART_PER_SECOND, what);
    }
    snprintf(what, sizeof what, "operations a second, phase %.40s", name);
    card(file, rate, CHART_PER_SECOND, what);
    if (json_array_size(json_object_get(document, "ladders")) == 0) {
        card(file, (double)kiwi_latency_percentile(&all, 0.5), CHART_DURATION,
             "p50 of all operations");
        card(file, (double)kiwi_latency_percentile(&all, 0.99), CHART_DURATION, "p99");
        card(file, (double)kiwi_latency_percentile(&all, 0.999), CHART_DURATION, "p99.9");
    }
    card(file, highest(story, "write_amplification_since_load"), CHART_RATIO,
         "write amplification, at most");
    card(file, highest(story, "space_amplification"), CHART_RATIO, "space amplification, at most");
    card(file, highest(story, "usage.peak_memory_bytes"), CHART_BYTES, "peak memory");
    card(file, result_number(document, "correctness.values_read"), CHART_NUMBER,
         "values read and checked");
    fputs("</div>\n", file);
}

/* Phases whose rate was not kept, or whose operations were handed over late, and by whom. */
static void warnings_write(FILE *file, const struct story *story)
{
    size_t  index;
    json_t *phase;

    json_array_foreach(story->result->phases, index, phase)
    {
        const char *who = result_text(phase, "bottleneck");
        double      driver = result_number(phase, "late_driver_seconds");
        double      engine = result_number(phase, "late_engine_seconds");
        bool        is_driver = strcmp(who, "driver") == 0;
        bool        is_processor = strcmp(who, "processor") == 0;
        double      lost = is_processor ? result_number(phase, "late_processor_seconds")
                         : is_driver    ? driver
                                        : engine;
        char        asked[32], done[32];

        /* Steps of ladders are told of in their table. */
        if (strcmp(who, "") == 0 || strcmp(who, "none") == 0
            || json_is_true(json_object_get(phase, "is_step")))
            continue;
        fprintf(file, "<p class=\"%s\">", is_driver ? "warning" : "remark");
        html_text(file, result_text(phase, "name"));
        fprintf(file, ": %s of %s operations a second were done. ",
                chart_number(result_number(phase, "throughput_per_second"), CHART_PER_SECOND, done,
                             sizeof done),
                chart_number(result_number(phase, "target_per_second"), CHART_PER_SECOND, asked,
                             sizeof asked));
        if (is_driver)
            fputs("The <b>driver</b> was the bottleneck, these latencies are not the engine's: ",
                  file);
        fprintf(file, "%.0f %% of the time that operations waited to be handed over, their client "
                      "%s%s.</p>\n",
                100 * fmin(lost / fmax(driver + engine, 1e-12), 1),
                is_processor ? "could have run and had no " : "was with the ", who);
    }
}

static void header_write(FILE *file, const struct story *story, const struct story *other)
{
    const json_t *document = story->result->document;
    const char   *verdict = result_text(document, "verdict");
    char          memory[32], text[32];

    fputs("<header><h1>", file);
    html_text(file, result_text(document, "suite"));
    fputs(" on ", file);
    html_text(file, result_text(document, "engine.name"));
    fprintf(file, "</h1>\n<p><span class=\"verdict%s\">%s</span> &#183; %s &#183; commit %.8s%s "
                  "&#183; ",
            strcmp(verdict, "complete") == 0 ? "" : " bad", verdict,
            result_text(document, "start"), result_text(document, "build.commit"),
            result_number(document, "build.is_dirty") > 0 ? " with changes" : "");
    html_text(file, result_text(document, "machine.cpu"));
    fprintf(file, ", %.0f cores, %s memory, %s</p>\n<p>",
            result_number(document, "machine.cores"),
            chart_number(result_number(document, "machine.memory_bytes"), CHART_BYTES, memory,
                         sizeof memory),
            result_text(document, "machine.file_system"));
    html_text(file, result_text(document, "settings.client"));
    fprintf(file, " client, %.0f threads, depth %.0f, %.0f shards, %s for the engine, seed %.0f",
            result_number(document, "settings.threads"), result_number(document, "settings.depth"),
            result_number(document, "settings.shards"),
            chart_number(result_number(document, "settings.memory_bytes"), CHART_BYTES, text,
                         sizeof text),
            result_number(document, "settings.seed"));
    if (other != NULL) {
        fputs(" &#183; dashed: ", file);
        html_text(file, result_text(other->result->document, "id"));
    }
    fputs("</p>\n<code>", file);
    html_text(file, result_text(document, "command"));
    fputs("</code></header>\n", file);
}

/* In a script element only "</" could end it early. */
static int raw_json_piece(const char *text, size_t bytes, void *context)
{
    FILE *file = context;

    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '<')
            fputs("\\u003c", file);
        else
            fputc(text[i], file);
    }
    return 0;
}

void html_head_write(FILE *file, const char *title)
{
    fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
          "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
          "<link rel=\"icon\" href=\"data:,\"><title>",
          file);
    html_text(file, title);
    fprintf(file, "</title>\n%s</head>\n<body><main>\n", page_style);
}

enum kiwi_status html_tail_write(FILE *file, const char *path, const json_t *document)
{
    bool is_wrong;

    fputs("<script type=\"application/json\" id=\"run\">", file);
    json_dump_callback(document, raw_json_piece, file, JSON_COMPACT | JSON_REAL_PRECISION(12));
    fprintf(file, "</script>\n<script>\n%s</script>\n</main></body></html>\n", page_script);
    is_wrong = fflush(file) != 0 || ferror(file) != 0;
    if (fclose(file) != 0 || is_wrong)
        return FAIL(errno == ENOSPC ? KIWI_FULL : KIWI_IO, "cannot write %s: %s", path,
                    strerror(errno));
    return KIWI_OK;
}

enum kiwi_status report_html_write(const char *path, const struct story *story,
                                   const struct story *other)
{
    FILE *file = fopen(path, "we");

    if (file == NULL)
        return FAIL(errno == ENOSPC ? KIWI_FULL : KIWI_IO, "cannot write %s: %s", path,
                    strerror(errno));
    html_head_write(file, result_text(story->result->document, "id"));
    header_write(file, story, other);
    report_notes(file, story);
    cards_write(file, story);
    warnings_write(file, story);
    fputs("<div class=\"charts\">\n", file);
    report_ladder_charts(file, story, other);
    report_time_charts(file, story, other);
    report_slowest_chart(file, story);
    report_engine_charts(file, story);
    fputs("</div>\n", file);
    report_ladder_tables(file, story);
    report_slowest(file, story);
    report_tables(file, story, other);
    return html_tail_write(file, path, story->result->document);
}

enum kiwi_status report_html_make(const char *folder)
{
    struct result    result;
    struct story    *story;
    char             path[PATH_MAX + 16];
    enum kiwi_status status;

    TRY(result_open(folder, false, &result));
    snprintf(path, sizeof path, "%s/report.html", folder);
    status = story_open(&result, &story);
    if (status == KIWI_OK)
        status = report_html_write(path, story, NULL);
    if (status == KIWI_OK)
        story_close(story);
    result_close(&result);
    return status;
}

static enum kiwi_status report_make(char *const *paths, int count, bool is_forced,
                                    const char *output, char *path, size_t path_bytes)
{
    struct result    results[2] = { 0 };
    struct story    *stories[2] = { NULL, NULL };
    enum kiwi_status status = KIWI_OK;

    for (int i = 0; i < count && status == KIWI_OK; i++)
        if ((status = result_open(paths[i], is_forced, &results[i])) == KIWI_OK)
            status = story_open(&results[i], &stories[i]);
    if (status == KIWI_OK && count == 2 && !is_forced)
        status = results_check(&results[0], &results[1]);
    if (output != NULL)
        snprintf(path, path_bytes, "%s", output);
    else
        snprintf(path, path_bytes, "%s/report.html", results[0].folder);
    if (status == KIWI_OK)
        status = report_html_write(path, stories[0], stories[1]);
    for (int i = 0; i < count; i++) {
        story_close(stories[i]);
        result_close(&results[i]);
    }
    return status;
}

enum kiwi_status report_html_pair(const char *path, const char *folder, const char *other)
{
    char *paths[] = { (char *)(uintptr_t)folder, (char *)(uintptr_t)other };
    char  written[PATH_MAX + 16];

    return report_make(paths, 2, false, path, written, sizeof written);
}

#define REPORT_USAGE "report RESULT [OTHER] [-o FILE] [--force]"

int verb_report(int argc, char **argv)
{
    static const struct option options[] = { { "output", 1, NULL, 'o' },
                                             { "force", 0, NULL, 'f' },
                                             { "help", 0, NULL, 'h' },
                                             { NULL, 0, NULL, 0 } };
    const char *output = NULL;
    char        path[PATH_MAX + 16];
    bool        is_forced = false;
    int         id;

    optind = 0;
    opterr = 0;
    while ((id = getopt_long(argc, argv, ":o:h", options, NULL)) != -1) {
        if (id == 'o')
            output = optarg;
        else if (id == 'f')
            is_forced = true;
        else if (id == 'h') {
            puts("usage: kiwidb bench " REPORT_USAGE "\n\n"
                 "One HTML page of a result (a folder or its run.json), or of two overlaid;\n"
                 "report.html beside the first, or FILE. --force takes what is not comparable.\n\n"
                 "  kiwidb bench report results/runs/A results/runs/B -o both.html");
            return BENCH_DONE;
        } else
            return verb_option_wrong("report", options, id, argv);
    }
    if (argc - optind < 1 || argc - optind > 2)
        return verb_usage("report", REPORT_USAGE);
    if (report_make(argv + optind, argc - optind, is_forced, output, path, sizeof path) != KIWI_OK)
        return verb_failed("report");
    printf("report    %s\n", path);
    return BENCH_DONE;
}
