/*
 * report_ab.c: the page of `kiwidb bench ab`: the verdict, what every pair and every look said, and
 * the programs.
 */
#include <errno.h>
#include <string.h>

#include "bench/ab.h"
#include "bench/chart.h"
#include "bench/report_html.h"
#include "bench/result.h"

#define PAIR_COUNT_MAX (AB_SESSION_COUNT_MAX * STATISTICS_COUNT_MAX)

enum { COLOR_BASE = 0, COLOR_CANDIDATE = 1, COLOR_CANARY = 2, COLOR_GATE = 4 };

static const uint32_t arm_colors[AB_ARM_COUNT] = {
    [AB_BASE] = COLOR_BASE, [AB_CANARY] = COLOR_CANARY, [AB_CANDIDATE] = COLOR_CANDIDATE,
};

/* The commit of a program, or the end of its path where it told none. */
static void program_name_write(FILE *file, const json_t *program)
{
    const char *commit = result_text(program, "commit"), *path = result_text(program, "program");
    char        text[9];

    snprintf(text, sizeof text, "%.8s", commit);
    html_text(file, strcmp(commit, "unknown") != 0 ? text
                    : strrchr(path, '/') != NULL   ? strrchr(path, '/') + 1
                                                   : path);
}

static void head_write(FILE *file, const json_t *document)
{
    const char *verdict = result_text(document, "verdict");
    char        memory[32];

    html_head_write(file, result_text(document, "id"));
    fputs("<header><h1>Is ", file);
    program_name_write(file, json_object_get(document, "candidate"));
    fputs(" slower than ", file);
    program_name_write(file, json_object_get(document, "base"));
    fprintf(file, "?</h1>\n<p><span class=\"verdict%s\">%s</span> &#183; %s &#183; ",
            strcmp(verdict, "pass") == 0 ? "" : " bad", verdict, result_text(document, "start"));
    html_text(file, result_text(document, "machine.cpu"));
    fprintf(file, ", %.0f cores, %s memory, ", result_number(document, "machine.cores"),
            chart_number(result_number(document, "machine.memory_bytes"), CHART_BYTES, memory,
                         sizeof memory));
    html_text(file, result_text(document, "machine.file_system"));
    fputs("</p>\n<p class=\"sentence\">", file);
    html_text(file, result_text(document, "sentence"));
    fputs("</p>\n<code>", file);
    html_text(file, result_text(document, "command"));
    fputs("</code></header>\n", file);
}

static void change_card(FILE *file, double log_ratio, const char *what)
{
    char text[32];

    snprintf(text, sizeof text, "%+.2f %%", ab_percent(log_ratio));
    html_card(file, text, what);
}

static void cards_write(FILE *file, const struct ab *ab, const json_t *document)
{
    const struct ab_look *look = ab_last_look(ab);
    char                  text[32], what[120];

    if (look == NULL)
        return;
    fputs("<div class=\"cards\">\n", file);
    snprintf(what, sizeof what, "candidate, %s time per operation",
             ab->is_wall ? "wall" : "processor");
    change_card(file, look->judgement.candidate.middle, what);
    change_card(file, look->judgement.canary.middle, "canary, a copy of the base");
    html_card(file,
              chart_number(ab_percent(look->judgement.smallest), CHART_PERCENT, text, sizeof text),
              "the smallest slowdown it could have found");
    html_card(file, chart_number(100 * ab->gate, CHART_PERCENT, text, sizeof text),
              "gate: slower from here on");
    snprintf(text, sizeof text, "%u", look->pairs);
    html_card(file, text, ab->session_count > 1 ? "pairs in the second session" : "pairs");
    html_card(file,
              chart_number(1e9 * result_number(document, "mean_work_seconds"), CHART_DURATION,
                           text, sizeof text),
              "work of a sample");
    fputs("</div>\n", file);
}

/* What the chart of pairs shows: all sessions behind each other. */
struct pairs {
    double            x[PAIR_COUNT_MAX];
    double            candidate[PAIR_COUNT_MAX], canary[PAIR_COUNT_MAX];   /* per cent */
    double            candidate_middle[PAIR_COUNT_MAX], canary_middle[PAIR_COUNT_MAX];
    size_t            count;
    struct chart_band sessions[AB_SESSION_COUNT_MAX];
};

static void session_add(struct pairs *pairs, const struct ab_session *session)
{
    for (size_t i = 0; i < session->pair_count; i++) {
        const size_t at = pairs->count++;

        pairs->x[at] = (double)at + 1;
        pairs->candidate[at] = ab_percent(session->candidate[i]);
        pairs->canary[at] = ab_percent(session->canary[i]);
        pairs->candidate_middle[at] = ab_percent(shift_of(session->candidate, i + 1).middle);
        pairs->canary_middle[at] = ab_percent(shift_of(session->canary, i + 1).middle);
    }
}

static void pairs_take(struct pairs *pairs, const struct ab *ab)
{
    static const char *const names[AB_SESSION_COUNT_MAX] = { "first session", "second session" };

    memset(pairs, 0, sizeof *pairs);
    for (uint32_t i = 0; i < ab->session_count; i++) {
        double from = (double)pairs->count + 0.5;

        session_add(pairs, &ab->sessions[i]);
        pairs->sessions[i] = (struct chart_band){ names[i], from, (double)pairs->count + 0.5 };
    }
}

static void pairs_draw(FILE *file, const struct ab *ab)
{
    struct pairs pairs;
    double       ends[2], gates[2] = { 100 * ab->gate, 100 * ab->gate };

    pairs_take(&pairs, ab);
    if (pairs.count == 0)
        return;
    ends[0] = 1;
    ends[1] = (double)pairs.count;
    chart_draw(file,
               &(struct chart){
                   .id = "pairs", .title = "Change against the base, pair by pair",
                   .note = "Above zero is slower. Dots: one pair each; lines: the middle so far.",
                   .x_name = "pair", .unit = CHART_PERCENT, .x_unit = CHART_NUMBER,
                   .lines = {
                       { .name = "candidate", .x = pairs.x, .y = pairs.candidate,
                         .count = pairs.count, .color = COLOR_CANDIDATE, .is_scattered = true },
                       { .name = "canary", .x = pairs.x, .y = pairs.canary, .count = pairs.count,
                         .color = COLOR_CANARY, .is_scattered = true },
                       { .name = "canary so far", .x = pairs.x, .y = pairs.canary_middle,
                         .count = pairs.count, .color = COLOR_CANARY },
                       { .name = "candidate so far", .x = pairs.x, .y = pairs.candidate_middle,
                         .count = pairs.count, .color = COLOR_CANDIDATE },
                       { .name = "gate", .x = ends, .y = gates, .count = 2, .color = COLOR_GATE,
                         .is_dashed = true },
                   },
                   .line_count = 5, .bands = pairs.sessions,
                   .band_count = ab->session_count > 1 ? ab->session_count : 0 });
}

static void times_draw(FILE *file, const struct ab *ab)
{
    double       x[AB_ARM_COUNT][AB_SAMPLE_COUNT_MAX], y[AB_ARM_COUNT][AB_SAMPLE_COUNT_MAX];
    struct chart chart = { .id = "times", .title = "Time per operation, sample by sample",
                           .note = "When each began. What all three do together is the machine.",
                           .x_name = "seconds", .unit = CHART_DURATION, .x_unit = CHART_SECONDS,
                           .line_count = AB_ARM_COUNT };

    for (uint32_t i = 0; i < AB_ARM_COUNT; i++) {
        struct chart_line *line = &chart.lines[i];

        *line = (struct chart_line){ .x = x[i], .y = y[i], .color = arm_colors[i],
                                     .is_scattered = true };
        snprintf(line->name, sizeof line->name, "%s", ab_arm_name((enum ab_arm)i));
    }
    for (uint32_t i = 0; i < ab->sample_count; i++) {
        const struct ab_sample *sample = &ab->samples[i];
        struct chart_line      *line = &chart.lines[sample->arm];

        x[sample->arm][line->count] = sample->start_seconds - ab->samples[0].start_seconds;
        y[sample->arm][line->count++] = sample->ns_per_operation;
    }
    chart_draw(file, &chart);
}

static void looks_write(FILE *file, const struct ab *ab)
{
    if (ab_last_look(ab) == NULL)
        return;
    fputs("<h2>Looks</h2><div class=\"scroll\"><table id=\"looks\"><tr><th>session</th><th>pairs"
          "</th><th>change</th><th>95 % interval</th><th>p</th><th>canary</th><th>decision</th>"
          "</tr>\n",
          file);
    for (uint32_t i = 0; i < ab->session_count; i++)
        for (uint32_t j = 0; j < ab->sessions[i].look_count; j++) {
            const struct ab_look      *look = &ab->sessions[i].looks[j];
            const struct ab_judgement *judgement = &look->judgement;
            const struct shift        *shift = &judgement->candidate;

            fprintf(file, "<tr><td>%u</td><td>%u</td><td%s>%+.2f %%</td><td>%+.2f to %+.2f %%</td>"
                          "<td>%.4f</td><td>%+.2f %%</td><td>%s</td></tr>\n",
                    i + 1, look->pairs,
                    judgement->verdict == AB_SLOWER ? " class=\"worse\""
                    : shift->high < 0               ? " class=\"better\""
                                                    : "",
                    ab_percent(shift->middle), ab_percent(shift->low), ab_percent(shift->high),
                    shift->p_greater, ab_percent(judgement->canary.middle),
                    ab_verdict_name(judgement->verdict));
        }
    fputs("</table></div><p>The change is against the mean of base and canary, which varies less "
          "than the base alone (Hodges and Lehmann's middle of the pairs' log ratios). p: how "
          "likely such ranks are when the candidate is not slower. It is slower when p is below "
          "the share of 0.01 that a look has, and it is so than base and canary each by more than "
          "the gate, in two sessions; it passes when the interval ends below the gate.</p>\n",
          file);
}

static double median_over(const struct ab *ab, enum ab_arm arm,
                          double (*value)(const struct ab_sample *))
{
    double values[AB_SAMPLE_COUNT_MAX];
    size_t count = 0;

    for (uint32_t i = 0; i < ab->sample_count; i++)
        if (ab->samples[i].arm == arm)
            values[count++] = value(&ab->samples[i]);
    return median_of(values, count);
}

static double ns_per_operation(const struct ab_sample *sample)
{
    return sample->ns_per_operation;
}

static double processor_ns(const struct ab_sample *sample)
{
    return 1e9 * (sample->user_seconds + sample->system_seconds);
}

static double wall_ns(const struct ab_sample *sample)
{
    return 1e9 * sample->wall_seconds;
}

static double process_ns(const struct ab_sample *sample)
{
    return 1e9 * sample->process_seconds;
}

static double foreign_cores(const struct ab_sample *sample)
{
    return sample->foreign_cores;
}

static double stolen_ns(const struct ab_sample *sample)
{
    return 1e9 * sample->stolen_seconds;
}

static double involuntary_switches(const struct ab_sample *sample)
{
    return sample->involuntary_switches;
}

static void arms_write(FILE *file, const struct ab *ab)
{
    static const struct {
        const char *name;
        double (*value)(const struct ab_sample *);
        enum chart_unit unit;
    } columns[] = {
        { "time per operation", ns_per_operation, CHART_DURATION },
        { "processor time", processor_ns, CHART_DURATION },
        { "wall time", wall_ns, CHART_DURATION },
        { "of the process", process_ns, CHART_DURATION },
        { "others' cores", foreign_cores, CHART_CORES },
        { "stolen", stolen_ns, CHART_DURATION },
        { "involuntary switches", involuntary_switches, CHART_NUMBER },
    };

    if (ab->sample_count == 0)
        return;
    fputs("<h2>Samples</h2><div class=\"scroll\"><table id=\"arms\"><tr><th></th><th>samples</th>",
          file);
    for (size_t i = 0; i < ARRAY_COUNT(columns); i++)
        fprintf(file, "<th>%s</th>", columns[i].name);
    fputs("</tr>\n", file);
    for (uint32_t arm = 0; arm < AB_ARM_COUNT; arm++) {
        uint32_t count = 0;
        char     text[32];

        for (uint32_t i = 0; i < ab->sample_count; i++)
            count += ab->samples[i].arm == (enum ab_arm)arm;
        fprintf(file, "<tr><td>%s</td><td>%u</td>", ab_arm_name((enum ab_arm)arm), count);
        for (size_t i = 0; i < ARRAY_COUNT(columns); i++)
            fprintf(file, "<td>%s</td>",
                    chart_number(median_over(ab, (enum ab_arm)arm, columns[i].value),
                                 columns[i].unit, text, sizeof text));
        fputs("</tr>\n", file);
    }
    fputs("</table></div><p>Medians. Every sample is a process of its own on data of its own; "
          "base, canary and candidate take turns in an order drawn for each triple. All of them "
          "one by one: <a href=\"samples.ndjson\">samples.ndjson</a>, with the verdict in <a "
          "href=\"verdict.json\">verdict.json</a>.</p>\n",
          file);
}

static void program_row_write(FILE *file, const char *name, const json_t *program)
{
    static const char *const told[] = { "version", "compiler", "type", "flags", "sanitizer" };

    fprintf(file, "<tr><td>%s</td><td class=\"wrap\">", name);
    html_text(file, result_text(program, "program"));
    fputs("</td><td>", file);
    html_text(file, result_text(program, "commit"));
    fprintf(file, "%s</td>", json_is_true(json_object_get(program, "is_dirty")) ? " with changes"
                                                                                : "");
    for (size_t i = 0; i < ARRAY_COUNT(told); i++) {
        fputs("<td>", file);
        html_text(file, result_text(program, told[i]));
        fputs("</td>", file);
    }
    fputs("</tr>\n", file);
}

static void programs_write(FILE *file, const json_t *document)
{
    size_t  index;
    json_t *argument;

    fputs("<h2>Programs</h2><div class=\"scroll\"><table><tr><th></th><th class=\"wrap\">program"
          "</th><th>commit</th><th>version</th><th>compiler</th><th>build</th><th>flags</th>"
          "<th>sanitizer</th></tr>\n",
          file);
    program_row_write(file, "base", json_object_get(document, "base"));
    program_row_write(file, "candidate", json_object_get(document, "candidate"));
    fputs("</table></div>\n<p>Each with these arguments:</p>\n<code>", file);
    json_array_foreach(json_object_get(document, "arguments"), index, argument)
    {
        fputs(index > 0 ? " " : "", file);
        html_text(file, json_string_value(argument));
    }
    fputs("</code>\n<p>On ", file);
    html_text(file, result_text(document, "machine.kernel"));
    fputs(", ", file);
    html_text(file, result_text(document, "machine.libc"));
    fputs("; data on ", file);
    html_text(file, result_text(document, "machine.file_system"));
    fputs(" at ", file);
    html_text(file, result_text(document, "machine.mount_point"));
    fprintf(file, "; load average before %.1f; fingerprint ",
            result_number(document, "machine.load_average_before"));
    html_text(file, result_text(document, "machine.fingerprint"));
    fputs(".</p>\n", file);
}

enum kiwi_status ab_html_write(const char *path, const struct ab *ab, const json_t *document)
{
    FILE *file = fopen(path, "we");

    if (file == NULL)
        return FAIL(errno == ENOSPC ? KIWI_FULL : KIWI_IO, "cannot write %s: %s", path,
                    strerror(errno));
    head_write(file, document);
    cards_write(file, ab, document);
    fputs("<div class=\"charts\">\n", file);
    pairs_draw(file, ab);
    times_draw(file, ab);
    fputs("</div>\n", file);
    looks_write(file, ab);
    arms_write(file, ab);
    programs_write(file, document);
    return html_tail_write(file, path, document);
}
