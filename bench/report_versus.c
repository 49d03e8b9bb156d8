/*
 * report_versus.c: the page of `kiwidb bench versus`: a chart, the table, and links to the overlaid
 * reports beside it.
 */
#include <errno.h>
#include <string.h>

#include "bench/chart.h"
#include "bench/page.h"
#include "bench/report_html.h"
#include "bench/result.h"
#include "bench/versus.h"

static void ratio_cell(FILE *file, const struct versus *versus, uint32_t phase, uint32_t engine)
{
    struct shift ratio;
    int          verdict;

    if (!versus_ratio(versus, phase, engine, &ratio)) {
        fputs("<td></td>", file);
        return;
    }
    verdict = versus_verdict(&ratio);
    fprintf(file, "<td%s>%.2f&#215; <small>%.2f&#8211;%.2f</small></td>",
            verdict > 0 ? " class=\"better\"" : verdict < 0 ? " class=\"worse\"" : "", ratio.middle,
            ratio.low, ratio.high);
}

static void row_write(FILE *file, const struct versus *versus, uint32_t phase, uint32_t row)
{
    char text[32];

    if (!versus_has_row(versus, phase, row))
        return;
    fputs("<tr><td>", file);
    if (row == VERSUS_RATE) {
        fputs("<b>", file);
        html_text(file, versus->phases[phase].name);
        fprintf(file, "</b> %s", versus->phases[phase].durability);
    } else {
        fprintf(file, "&#8195;<small>%s</small>", versus_row_name(row, text, sizeof text));
    }
    fputs("</td>", file);
    for (uint32_t i = 0; i < versus->engine_count; i++) {
        double value = versus_median(versus, phase, row, i);

        fprintf(file, "<td>%s</td>",
                value > 0 ? chart_number(value, row == VERSUS_RATE ? CHART_PER_SECOND
                                                                   : CHART_DURATION,
                                         text, sizeof text)
                          : "&#8211;");
        if (i > 0 && row == VERSUS_RATE)
            ratio_cell(file, versus, phase, i);
        else if (i > 0)
            fputs("<td></td>", file);
    }
    fputs("</tr>\n", file);
}

static void sizes_write(FILE *file, const struct versus *versus, const char *name,
                        enum versus_size size)
{
    char text[32];

    fprintf(file, "<tr><td>%s</td>", name);
    for (uint32_t i = 0; i < versus->engine_count; i++)
        fprintf(file, "<td>%s</td>%s",
                chart_number(versus_size(versus, size, i), CHART_BYTES, text, sizeof text),
                i > 0 ? "<td></td>" : "");
    fputs("</tr>\n", file);
}

static void table_write(FILE *file, const struct versus *versus)
{
    char cap[400];

    fputs("<h2>Rates and latencies</h2><div class=\"scroll\"><table id=\"versus\"><tr><th>phase"
          "</th>",
          file);
    for (uint32_t i = 0; i < versus->engine_count; i++) {
        fputs("<th>", file);
        html_text(file, versus->engines[i].label);
        if (i > 0) {
            fputs("</th><th>", file);
            html_text(file, versus->engines[0].label);
            fputs(" over it", file);
        }
        fputs("</th>", file);
    }
    fputs("</tr>\n", file);
    for (uint32_t phase = 0; phase < versus->phase_count; phase++)
        for (uint32_t row = 0; row < VERSUS_ROW_COUNT; row++)
            row_write(file, versus, phase, row);
    sizes_write(file, versus, "peak memory", VERSUS_MEMORY);
    if (versus->cap.is_enforced)
        sizes_write(file, versus, "&#8195;<small>with page cache</small>", VERSUS_GROUP);
    sizes_write(file, versus, "files, at most", VERSUS_FILES);
    fprintf(file, "</table></div><p>Medians of %u rounds, in each of which every engine ran all "
                  "phases in a process of its own, in rotated order. Ratios are paired by round; "
                  "behind them the %s. Peak memory is of the process with its driver, without page "
                  "cache. ",
            versus->round_count,
            versus->round_count < 6 ? "whole range" : "95 % interval");
    html_text(file, versus_cap_text(versus, cap, sizeof cap));
    fputs("</p>\n", file);
}

static void chart_write(FILE *file, const struct versus *versus)
{
    const char *phases[VERSUS_PHASE_COUNT_MAX], *engines[VERSUS_ENGINE_COUNT_MAX];
    double      values[VERSUS_PHASE_COUNT_MAX * VERSUS_ENGINE_COUNT_MAX];
    double      ratios[VERSUS_PHASE_COUNT_MAX * VERSUS_ENGINE_COUNT_MAX];

    for (uint32_t i = 0; i < versus->engine_count; i++)
        engines[i] = versus->engines[i].label;
    for (uint32_t phase = 0; phase < versus->phase_count; phase++) {
        phases[phase] = versus->phases[phase].name;
        for (uint32_t i = 0; i < versus->engine_count; i++) {
            const uint32_t at = phase * versus->engine_count + i;
            struct shift   ratio;

            values[at] = versus_median(versus, phase, VERSUS_RATE, i);
            ratios[at] = i > 0 && versus_ratio(versus, phase, i, &ratio) ? ratio.middle : 0;
        }
    }
    fputs("<div class=\"charts\">\n", file);
    chart_groups_draw(file, &(struct chart_groups){
                                .id = "rates", .title = "Operations a second",
                                .note = "Medians, longer is faster; every workload has its own "
                                        "scale. Ratios as in the table.",
                                .groups = phases, .group_count = versus->phase_count,
                                .bars = engines, .bar_count = versus->engine_count,
                                .values = values, .ratios = ratios,
                                .unit = CHART_PER_SECOND });
    fputs("</div>\n", file);
}

static void engines_write(FILE *file, const struct versus *versus, const json_t *document)
{
    size_t  index;
    json_t *block;

    fputs("<h2>Engines</h2><div class=\"scroll\"><table>", file);
    for (uint32_t i = 0; i < versus->engine_count; i++) {
        const struct versus_engine *engine = &versus->engines[i];

        fputs("<tr><td>", file);
        html_text(file, engine->label);
        fputs("</td><td class=\"wrap\">", file);
        html_text(file, engine->settings);
        if (engine->note[0] != 0) {
            fputs(engine->settings[0] != 0 ? "; " : "", file);
            html_text(file, engine->note);
        }
        fputs("</td><td>", file);
        if (i > 0) {
            fputs("<a href=\"", file);
            html_text(file, versus->engines[0].label);
            fputc('-', file);
            html_text(file, engine->label);
            fputs(".html\">overlaid</a>", file);
        }
        fputs("</td></tr>\n", file);
    }
    fputs("</table></div>\n<p>Blocks in the order they ran:", file);
    json_array_foreach(json_object_get(document, "blocks"), index, block)
    {
        const char *folder = result_text(block, "folder");

        if (folder[0] == 0)
            continue;
        fputs(" <a href=\"", file);
        html_text(file, folder);
        fputs("/report.html\">", file);
        html_text(file, folder);
        fputs("</a>", file);
    }
    fputs("</p>\n", file);
}

static void head_write(FILE *file, const struct versus *versus, const json_t *document)
{
    const char *verdict = result_text(document, "verdict");
    char        memory[32], text[32];

    html_head_write(file, result_text(document, "id"));
    fputs("<header><h1>", file);
    html_text(file, versus->engines[0].label);
    fputs(" side by side</h1>\n", file);
    fprintf(file, "<p><span class=\"verdict%s\">%s</span> &#183; %s &#183; commit %.8s &#183; ",
            strcmp(verdict, "complete") == 0 ? "" : " bad", verdict, result_text(document, "start"),
            result_text(document, "build.commit"));
    html_text(file, result_text(document, "machine.cpu"));
    fprintf(file, ", %.0f cores, %s memory</p>\n<p>", result_number(document, "machine.cores"),
            chart_number(result_number(document, "machine.memory_bytes"), CHART_BYTES, memory,
                         sizeof memory));
    html_text(file, result_text(document, "settings.client"));
    fprintf(file, " client, %.0f thread%s, %s for each engine, seed %.0f</p>\n<code>",
            result_number(document, "settings.threads"),
            result_number(document, "settings.threads") > 1 ? "s" : "",
            chart_number(result_number(document, "settings.memory_bytes"), CHART_BYTES, text,
                         sizeof text),
            result_number(document, "settings.seed"));
    html_text(file, result_text(document, "command"));
    fputs("</code></header>\n", file);
}

enum kiwi_status versus_html_write(const char *path, const struct versus *versus,
                                   const json_t *document)
{
    FILE *file = fopen(path, "we");

    if (file == NULL)
        return FAIL(errno == ENOSPC ? KIWI_FULL : KIWI_IO, "cannot write %s: %s", path,
                    strerror(errno));
    head_write(file, versus, document);
    chart_write(file, versus);
    table_write(file, versus);
    engines_write(file, versus, document);
    return html_tail_write(file, path, document);
}
