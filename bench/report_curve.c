/*
 * report_curve.c: ladders of a report: the curve of latency over the rate asked, and the steps as a
 * table.
 */
#include <math.h>
#include <string.h>

#include "bench/ladder.h"
#include "bench/report_html.h"

/* The points of one quantile over all rates of a ladder, ascending. */
struct curve {
    double x[LADDER_STEP_MAX], y[LADDER_STEP_MAX];
    size_t count;
};

/* Several tries at a rate are one point: their middle. */
static void curve_add(struct curve *curve, const json_t *steps, double rate, const char *path)
{
    double  values[LADDER_STEP_MAX];
    size_t  count = 0, index, place;
    json_t *step;

    json_array_foreach(steps, index, step)
    {
        if (fabs(result_number(step, "asked_per_second") - rate) > 0.5 || count == LADDER_STEP_MAX)
            continue;
        values[count] = result_number(step, path);
        for (place = count++; place > 0 && values[place - 1] > values[place]; place--) {
            double swapped = values[place];
            values[place] = values[place - 1];
            values[place - 1] = swapped;
        }
    }
    if (count == 0 || curve->count == LADDER_STEP_MAX)
        return;
    curve->x[curve->count] = rate;
    curve->y[curve->count++] = (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static void curve_take(struct curve *curve, const json_t *steps, const char *path)
{
    double rate = 0;

    curve->count = 0;
    for (;;) {
        double  next = INFINITY;
        size_t  index;
        json_t *step;

        json_array_foreach(steps, index, step)
            if (result_number(step, "asked_per_second") > rate + 0.5)
                next = fmin(next, result_number(step, "asked_per_second"));
        if (!isfinite(next))
            return;
        rate = next;
        curve_add(curve, steps, rate, path);
    }
}

static void line_add(struct chart *chart, const char *name, const struct curve *curve,
                     uint32_t color, bool is_other)
{
    struct chart_line *line = &chart->lines[chart->line_count];

    if (curve->count == 0 || chart->line_count == CHART_LINE_MAX)
        return;
    chart->line_count++;
    *line = (struct chart_line){ .x = curve->x, .y = curve->y, .count = curve->count,
                                 .color = color, .is_dashed = is_other, .has_dots = true };
    snprintf(line->name, sizeof line->name, "%s%s", name, is_other ? " (other)" : "");
}

/* The ladder of the same workload in another run; NULL: there is none. */
static const json_t *ladder_of(const struct story *story, const char *workload)
{
    size_t  index;
    json_t *ladder;

    if (story != NULL)
        json_array_foreach(json_object_get(story->result->document, "ladders"), index, ladder)
            if (strcmp(result_text(ladder, "workload"), workload) == 0)
                return ladder;
    return NULL;
}

static const struct {
    const char *name, *path;
    uint32_t    color;
} quantile_lines[] = {
    { "p50", "response.p50_ns", 0 },
    { "p99", "response.p99_ns", 1 },
    { "p99.9", "response.p99_9_ns", 2 },
    { "p99 of service", "service.p99_ns", 9 },
};

/* Limits as level lines from rate 0 to the highest one. */
static void limits_add(struct chart *chart, const json_t *ladder, double *x,
                       double (*y)[2])
{
    const char *name;
    json_t     *limit;
    size_t      count = 0;

    json_object_foreach(json_object_get(ladder, "limits_ns"), name, limit)
    {
        struct chart_line *line = &chart->lines[chart->line_count];

        if (chart->line_count == CHART_LINE_MAX || count == QUANTILE_COUNT)
            return;
        y[count][0] = y[count][1] = json_number_value(limit);
        *line = (struct chart_line){ .x = x, .y = y[count++], .count = 2, .color = 4,
                                     .is_dashed = true };
        snprintf(line->name, sizeof line->name, "limit of %s", name);
        chart->line_count++;
    }
}

static void curve_draw(FILE *file, const json_t *ladder, const json_t *other)
{
    struct curve      curves[2 * ARRAY_COUNT(quantile_lines)];
    const json_t     *steps = json_object_get(ladder, "steps");
    const char       *workload = result_text(ladder, "workload");
    const double      met = result_number(ladder, "met_per_second");
    double            ends[2] = { 0, 0 }, limits[QUANTILE_COUNT][2];
    char              title[120], id[80];
    struct chart_band bands[2];
    struct chart      chart = { .title = title, .id = id, .note = result_text(ladder, "answer"),
                                .x_name = "operations a second, asked", .unit = CHART_DURATION,
                                .x_unit = CHART_PER_SECOND, .is_log = true };

    snprintf(title, sizeof title, "Latency over rate, %.64s", workload);
    snprintf(id, sizeof id, "ladder-%.64s", workload);
    for (size_t i = 0; i < ARRAY_COUNT(quantile_lines); i++) {
        struct curve *own = &curves[2 * i], *theirs = own + 1;

        curve_take(own, steps, quantile_lines[i].path);
        line_add(&chart, quantile_lines[i].name, own, quantile_lines[i].color, false);
        curve_take(theirs, json_object_get(other, "steps"), quantile_lines[i].path);
        line_add(&chart, quantile_lines[i].name, theirs, quantile_lines[i].color, true);
    }
    for (uint32_t i = 0; i < chart.line_count; i++)
        ends[1] = fmax(ends[1], chart.lines[i].x[chart.lines[i].count - 1]);
    limits_add(&chart, ladder, ends, limits);
    bands[0] = (struct chart_band){ "limits kept", 0, met };
    bands[1] = (struct chart_band){ "not kept", met, ends[1] };
    chart.bands = bands;
    chart.band_count = 2;
    if (ends[1] > 0)
        chart_draw(file, &chart);
}

void report_ladder_charts(FILE *file, const struct story *story, const struct story *other)
{
    size_t  index;
    json_t *ladder;

    json_array_foreach(json_object_get(story->result->document, "ladders"), index, ladder)
        curve_draw(file, ladder, ladder_of(other, result_text(ladder, "workload")));
}

static void cell(FILE *file, const json_t *step, const char *path, enum chart_unit unit)
{
    char text[32];

    fprintf(file, "<td>%s</td>", chart_number(result_number(step, path), unit, text, sizeof text));
}

static void step_row(FILE *file, const json_t *step)
{
    const bool is_closed = json_object_get(step, "response") == NULL;
    const bool is_met = json_is_true(json_object_get(step, "is_met"));

    if (is_closed)
        fputs("<tr><td>closed loop</td>", file);
    else {
        fputs("<tr>", file);
        cell(file, step, "asked_per_second", CHART_PER_SECOND);
    }
    cell(file, step, "achieved_per_second", CHART_PER_SECOND);
    cell(file, step, "service.p50_ns", CHART_DURATION);
    cell(file, step, "service.p99_ns", CHART_DURATION);
    cell(file, step, "service.p99_9_ns", CHART_DURATION);
    if (is_closed) {
        fputs("<td></td><td></td><td></td><td></td><td></td><td class=\"wrap\"></td></tr>\n", file);
        return;
    }
    cell(file, step, "response.p50_ns", CHART_DURATION);
    cell(file, step, "response.p99_ns", CHART_DURATION);
    cell(file, step, "response.p99_9_ns", CHART_DURATION);
    cell(file, step, "response.max_ns", CHART_DURATION);
    fprintf(file, "<td class=\"%s\">%s</td><td class=\"wrap\">", is_met ? "better" : "worse",
            is_met ? "yes" : "no");
    html_text(file, result_text(step, "reason"));
    fputs("</td></tr>\n", file);
}

/* When it was the driver that kept the ladder from going on. */
static void driver_warning(FILE *file, const json_t *ladder)
{
    const double  missed = result_number(ladder, "missed_per_second");
    const json_t *last = NULL;
    size_t        index;
    json_t       *step;

    json_array_foreach(json_object_get(ladder, "steps"), index, step)
        if (fabs(result_number(step, "asked_per_second") - missed) < 0.5)
            last = step;
    if (last == NULL || strcmp(result_text(last, "bottleneck"), "driver") != 0)
        return;
    fprintf(file,
            "<p class=\"warning\">The <b>driver</b> was the bottleneck at that rate: its threads "
            "were %.0f %% of the late time with the driver, not with the engine, which may do "
            "more.</p>\n",
            100 * result_number(last, "driver_share"));
}

void report_ladder_tables(FILE *file, const struct story *story)
{
    size_t  index, inner;
    json_t *ladder, *step;

    json_array_foreach(json_object_get(story->result->document, "ladders"), index, ladder)
    {
        fputs("<h2>Ladder of ", file);
        html_text(file, result_text(ladder, "workload"));
        fputs("</h2><p>", file);
        html_text(file, result_text(ladder, "answer"));
        fputs(json_is_true(json_object_get(ladder, "is_complete")) ? "</p>\n"
                                                                   : " (cut short)</p>\n",
              file);
        driver_warning(file, ladder);
        fputs("<div class=\"scroll\"><table><tr><th>asked</th><th>achieved</th>"
              "<th>service p50</th><th>p99</th><th>p99.9</th><th>response p50</th><th>p99</th>"
              "<th>p99.9</th><th>max</th><th>kept</th><th></th></tr>\n",
              file);
        json_array_foreach(json_object_get(ladder, "steps"), inner, step)
            step_row(file, step);
        fputs("</table></div>\n", file);
    }
}
