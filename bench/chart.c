/*
 * chart.c: axes, lines, areas, heat maps and bars.
 */
#include "bench/chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report.h"
#include "core/base/memory.h"

#define WIDTH  560.0
#define HEIGHT 236.0
#define LEFT   70.0
#define RIGHT  14.0
#define TOP    22.0
#define BOTTOM 34.0
#define TICK_MAX 24u

struct axis {
    double from, to;       /* values at the ends */
    double start, end;     /* their places in the picture */
    bool   is_log;
};

static double place(const struct axis *axis, double value)
{
    double share;

    if (axis->is_log)
        share = (log10(fmax(value, axis->from)) - log10(axis->from))
              / (log10(axis->to) - log10(axis->from));
    else
        share = (value - axis->from) / (axis->to - axis->from);
    return axis->start + (axis->end - axis->start) * fmin(fmax(share, 0), 1);
}

void html_text(FILE *file, const char *text)
{
    for (; *text != 0; text++)
        switch (*text) {
        case '<': fputs("&lt;", file); break;
        case '>': fputs("&gt;", file); break;
        case '&': fputs("&amp;", file); break;
        case '"': fputs("&quot;", file); break;
        default: fputc(*text, file);
        }
}

const char *chart_number(double value, enum chart_unit unit, char *text, size_t bytes)
{
    switch (unit) {
    case CHART_DURATION:
        return duration_text((uint64_t)fmax(value, 0), text, bytes);
    case CHART_BYTES:
        return bytes_text((uint64_t)fmax(value, 0), text, bytes);
    case CHART_PERCENT:
        snprintf(text, bytes, "%.3g %%", value);
        return text;
    case CHART_RATIO:
        snprintf(text, bytes, "%.3g", value);
        return text;
    case CHART_SECONDS:
        snprintf(text, bytes, "%.4g s", value);
        return text;
    case CHART_CORES:
        snprintf(text, bytes, "%.2f", value);
        return text;
    default:
        if (fabs(value) < 1000)
            snprintf(text, bytes, "%.4g", value);
        else
            return rate_text(value, text, bytes);
        return text;
    }
}

void figure_begin(FILE *file, const char *id, const char *title, const char *note)
{
    fprintf(file, "<figure id=\"%s\"><figcaption><h3>", id);
    html_text(file, title);
    fputs("</h3><span class=\"buttons\"><button type=\"button\" data-save=\"csv\">CSV</button>"
          "<button type=\"button\" data-save=\"svg\">SVG</button></span><p>",
          file);
    html_text(file, note);
    fputs("</p></figcaption>\n", file);
}

void figure_end(FILE *file)
{
    fputs("</figure>\n", file);
}

static void svg_begin(FILE *file, const char *title, double height)
{
    fprintf(file, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" tabindex=\"0\" aria-label=\"", WIDTH,
            height);
    html_text(file, title);
    fputs("\">\n", file);
}

/* 1, 2 or 5 times a power of ten, or of two for bytes, so that about count fit. */
static double round_step(double span, double count, enum chart_unit unit)
{
    double rough = span / count;
    double base = unit == CHART_BYTES ? pow(1024, floor(log(fmax(rough, 1)) / log(1024))) : 1;
    double power;

    rough /= base;
    if (unit == CHART_BYTES && rough >= 1)
        return base * exp2(ceil(log2(rough)));
    power = pow(10, floor(log10(rough)));
    rough /= power;
    return base * power * (rough <= 1 ? 1 : rough <= 2 ? 2 : rough <= 5 ? 5 : 10);
}

static void y_tick(FILE *file, const struct axis *y, double value, enum chart_unit unit)
{
    char   text[32];
    double at = place(y, value);

    fprintf(file, "<path class=\"grid\" d=\"M%.0f %.1fH%.0f\"/>", LEFT, at, WIDTH - RIGHT);
    fprintf(file, "<text class=\"tick\" x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
            LEFT - 7, at + 4, chart_number(value, unit, text, sizeof text));
}

static void y_axis_draw(FILE *file, const struct axis *y, enum chart_unit unit)
{
    if (y->is_log) {
        double decades = log10(y->to / y->from);

        for (double power = ceil(log10(y->from) - 1e-9); power <= log10(y->to) + 1e-9; power++)
            for (int part = 1; part <= (decades < 2.5 ? 5 : 1); part += part == 1 ? 1 : 3)
                if (pow(10, power) * part <= y->to * 1.0001)
                    y_tick(file, y, pow(10, power) * part, unit);
        return;
    }
    double step = round_step(y->to - y->from, 5, unit);
    /* Multiples of the step, so that zero is one exactly. */
    const long final = (long)floor(y->to / step + 1e-4);
    for (long i = (long)ceil(y->from / step - 1e-4); i <= final; i++)
        y_tick(file, y, (double)i * step, unit);
    if (y->from < 0)
        fprintf(file, "<path class=\"axis\" d=\"M%.0f %.1fH%.0f\"/>\n", LEFT, place(y, 0),
                WIDTH - RIGHT);
}

static void x_tick(FILE *file, const struct axis *x, double value, const char *text, double bottom)
{
    fprintf(file, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n",
            place(x, value), bottom + 16, text);
}

static void x_axis_draw(FILE *file, const struct axis *x, const struct chart *chart, double bottom)
{
    char text[32];

    fprintf(file, "<path class=\"axis\" d=\"M%.0f %.1fH%.0f\"/>\n", LEFT, bottom, WIDTH - RIGHT);
    if (chart->x_ticks != NULL) {
        for (size_t i = 0; i < chart->x_tick_count; i++)
            if (chart->x_ticks[i].at >= x->from && chart->x_ticks[i].at <= x->to)
                x_tick(file, x, chart->x_ticks[i].at, chart->x_ticks[i].text, bottom);
    } else {
        double step = round_step(x->to - x->from, 8, chart->x_unit);

        if (chart->x_unit == CHART_NUMBER)
            step = fmax(step, 1); /* of what is counted there is no half */
        for (double value = ceil(x->from / step) * step; value <= x->to * 1.0001; value += step)
            x_tick(file, x, value, chart_number(value, chart->x_unit, text, sizeof text), bottom);
    }
    fprintf(file, "<text class=\"tick\" x=\"%.0f\" y=\"%.0f\" text-anchor=\"end\">", WIDTH - RIGHT,
            bottom + 30);
    html_text(file, chart->x_name);
    fputs("</text>\n", file);
}

static void bands_draw(FILE *file, const struct axis *x, const struct chart_band *bands,
                       size_t count, double bottom)
{
    for (size_t i = 0; i < count; i++) {
        double from = place(x, bands[i].from), to = place(x, bands[i].to);

        if (i % 2 == 1)
            fprintf(file,
                    "<rect class=\"band\" x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" height=\"%.1f\"/>",
                    from, TOP - 16, fmax(to - from, 0), bottom - TOP + 16);
        if (to - from < 7.0 * (double)strlen(bands[i].name))
            continue;
        fprintf(file, "<text class=\"name\" x=\"%.1f\" y=\"%.0f\" text-anchor=\"middle\">",
                (from + to) / 2, TOP - 5);
        html_text(file, bands[i].name);
        fputs("</text>\n", file);
    }
}

static void legend_draw(FILE *file, const struct chart *chart)
{
    fputs("<p class=\"legend\">", file);
    for (uint32_t i = 0; i < chart->line_count; i++) {
        const struct chart_line *line = &chart->lines[i];

        fprintf(file, "<span><i class=\"c%u%s\"></i>", line->color % CHART_COLOR_COUNT,
                line->is_scattered ? " dot" : line->is_dashed ? " dashed" : "");
        html_text(file, chart->lines[i].name);
        fputs("</span> ", file);
    }
    fputs("</p>\n", file);
}

/* At most CHART_POINT_MAX points; memory_free(*x) frees both. 0: no memory. */
static size_t thin_out(const struct chart_line *line, double **x, double **y)
{
    size_t count = line->count < CHART_POINT_MAX ? line->count : CHART_POINT_MAX;

    *x = memory_allocate((2 * count + 1) * sizeof **x);
    if (*x == NULL)
        return 0;
    *y = *x + count;
    for (size_t i = 0; i < count; i++) {
        size_t from = i * line->count / count, to = (i + 1) * line->count / count;
        double sum = 0, highest = line->y[from];

        for (size_t j = from; j < to; j++) {
            sum += line->y[j];
            highest = fmax(highest, line->y[j]);
        }
        (*x)[i] = line->x[to - 1];
        (*y)[i] = line->is_highest ? highest : sum / (double)(to - from);
    }
    return count;
}

static void csv_write(FILE *file, const struct chart *chart)
{
    fprintf(file, "<pre class=\"data\" hidden data-unit=\"%d\" data-x-unit=\"%d\">line,%s,value\n",
            chart->unit, chart->x_unit, chart->x_name);
    for (uint32_t i = 0; i < chart->line_count; i++) {
        double *x, *y;
        size_t  count = thin_out(&chart->lines[i], &x, &y);

        for (size_t j = 0; j < count; j++) {
            html_text(file, chart->lines[i].name);
            fprintf(file, ",%.6g,%.6g\n", x[j], y[j]);
        }
        memory_free(x);
    }
    fputs("</pre>\n", file);
}

static void path_draw(FILE *file, const struct chart_line *line, const double *x, const double *y,
                      size_t count, const struct axis *x_axis, const struct axis *y_axis)
{
    bool   is_down = false;   /* the pen */
    double gap;

    gap = count > 1 ? fmax(line->gap, 3 * (x[count - 1] - x[0]) / (double)count) : 0;
    fprintf(file, "<path class=\"line c%u%s\" d=\"", line->color % CHART_COLOR_COUNT,
            line->is_dashed ? " dashed" : "");
    for (size_t i = 0; i < count; i++) {
        bool is_joined = is_down && (line->gap <= 0 || x[i] - x[i - 1] <= gap);

        is_down = !y_axis->is_log || y[i] > 0;
        if (is_down)
            fprintf(file, is_joined ? "L%.1f %.1f" : "M%.1f %.1fh1", place(x_axis, x[i]),
                    place(y_axis, y[i]));
    }
    fputs("\"/>\n", file);
}

static void line_draw(FILE *file, const struct chart_line *line, const struct axis *x_axis,
                      const struct axis *y_axis)
{
    double *x, *y;
    size_t  count = thin_out(line, &x, &y);

    if (!line->is_scattered)
        path_draw(file, line, x, y, count, x_axis, y_axis);
    for (size_t i = 0; (line->has_dots || line->is_scattered) && i < count; i++)
        fprintf(file, "<circle class=\"part c%u\" cx=\"%.1f\" cy=\"%.1f\" r=\"%s\"/>",
                line->color % CHART_COLOR_COUNT, place(x_axis, x[i]), place(y_axis, y[i]),
                line->is_dashed ? "1.8" : "2.6");
    memory_free(x);
}

/* From the top area to the lowest, so that each covers what lies below it. */
static void areas_draw(FILE *file, const struct chart *chart, const struct axis *x_axis,
                       const struct axis *y_axis)
{
    for (uint32_t i = chart->line_count; i-- > 0;) {
        struct chart_line sum = chart->lines[i];
        double           *y = memory_allocate_zeroed((sum.count + 1) * sizeof *y), *thin_x, *thin_y;
        size_t            count;

        if (y == NULL)
            return;
        for (uint32_t j = 0; j <= i; j++)
            for (size_t k = 0; k < sum.count; k++)
                y[k] += chart->lines[j].y[k];
        sum.y = y;
        count = thin_out(&sum, &thin_x, &thin_y);
        fprintf(file, "<path class=\"area c%u\" d=\"", sum.color % CHART_COLOR_COUNT);
        for (size_t j = 0; j < count; j++)
            fprintf(file, "%c%.1f %.1f", j == 0 ? 'M' : 'L', place(x_axis, thin_x[j]),
                    place(y_axis, thin_y[j]));
        if (count > 0)
            fprintf(file, "V%.1fH%.1fZ", y_axis->start, place(x_axis, thin_x[0]));
        fputs("\"/>\n", file);
        memory_free(thin_x);
        memory_free(y);
    }
}

static void bounds_find(const struct chart *chart, struct axis *x, struct axis *y)
{
    double least = INFINITY, lowest = 0;

    x->from = INFINITY;
    x->to = -INFINITY;
    y->to = 0;
    for (uint32_t i = 0; i < chart->line_count; i++)
        for (size_t j = 0; j < chart->lines[i].count; j++) {
            double value = chart->lines[i].y[j];

            x->from = fmin(x->from, chart->lines[i].x[j]);
            x->to = fmax(x->to, chart->lines[i].x[j]);
            if (value > 0)
                least = fmin(least, value);
            lowest = fmin(lowest, value);
            for (uint32_t k = 0; chart->is_stacked && k < i; k++)
                value += chart->lines[k].y[j];
            y->to = fmax(y->to, value);
        }
    if (chart->x_unit == CHART_SECONDS || chart->x_unit == CHART_PER_SECOND)
        x->from = 0;
    if (!(x->to > x->from))
        x->to = x->from + 1;
    y->is_log = chart->is_log;
    if (chart->is_log) {
        y->from = isfinite(least) ? pow(10, floor(log10(least) * 2) / 2) : 1;
        y->to = fmax(y->to * 1.15, y->from * 10);
    } else {
        double step;

        y->from = lowest * 1.04;
        y->to = y->to > 0 ? y->to * 1.04 : lowest < 0 ? 0 : 1;
        if (chart->unit == CHART_PERCENT && y->to > 96 && y->to < 104.1)
            y->to = 100;
        /* Twice: what rounding adds may ask for a longer step, which the ends shall be on too. */
        for (int pass = 0; pass < 2; pass++) {
            step = round_step(y->to - y->from, 5, chart->unit);
            y->to = ceil(y->to / step - 1e-9) * step;
            y->from = floor(y->from / step + 1e-9) * step;
        }
    }
}

void chart_draw(FILE *file, const struct chart *chart)
{
    const double bottom = HEIGHT - BOTTOM;
    struct axis  x = { .start = LEFT, .end = WIDTH - RIGHT };
    struct axis  y = { .start = bottom, .end = TOP };

    bounds_find(chart, &x, &y);
    if (!isfinite(x.from))
        return;
    figure_begin(file, chart->id, chart->title, chart->note);
    legend_draw(file, chart);
    svg_begin(file, chart->title, HEIGHT);
    bands_draw(file, &x, chart->bands, chart->band_count, bottom);
    y_axis_draw(file, &y, chart->unit);
    if (chart->is_stacked)
        areas_draw(file, chart, &x, &y);
    else
        for (uint32_t i = 0; i < chart->line_count; i++)
            line_draw(file, &chart->lines[i], &x, &y);
    x_axis_draw(file, &x, chart, bottom);
    fprintf(file, "<path class=\"cursor\" data-from=\"%.9g\" data-to=\"%.9g\" data-left=\"%.0f\" "
                  "data-right=\"%.0f\" data-top=\"%.0f\" data-bottom=\"%.0f\"/>\n</svg>\n",
            x.from, x.to, LEFT, WIDTH - RIGHT, TOP, bottom);
    fputs("<p class=\"readout\" aria-live=\"polite\"></p>\n", file);
    csv_write(file, chart);
    figure_end(file);
}

static void heat_cells_draw(FILE *file, const struct chart_heat *heat, double bottom)
{
    const double width = (WIDTH - LEFT - RIGHT) / (double)heat->columns;
    const double height = (bottom - TOP) / (double)heat->rows;
    double       highest = 0;

    for (size_t i = 0; i < heat->columns * heat->rows; i++)
        highest = fmax(highest, heat->cells[i]);
    for (size_t column = 0; column < heat->columns; column++)
        for (size_t row = 0; row < heat->rows; row++) {
            double value = heat->cells[column * heat->rows + row];

            if (value <= 0)
                continue;
            fprintf(file,
                    "<rect class=\"heat\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" "
                    "fill-opacity=\"%.2f\"/>\n",
                    LEFT + width * (double)column, bottom - height * (double)(row + 1),
                    width + 0.3, height + 0.3, 0.08 + 0.92 * log1p(value) / log1p(highest));
        }
}

static void heat_csv_write(FILE *file, const struct chart_heat *heat)
{
    fprintf(file, "<pre class=\"data\" hidden data-plain=\"1\">seconds,%s,%s\n",
            heat->row_names != NULL ? "row" : "from_ns", heat->value_name);
    for (size_t column = 0; column < heat->columns; column++)
        for (size_t row = 0; row < heat->rows; row++) {
            double value = heat->cells[column * heat->rows + row];
            double share = (double)row / (double)heat->rows;

            if (value <= 0)
                continue;
            fprintf(file, "%.6g,",
                    heat->x_from + (heat->x_to - heat->x_from) * (double)column
                                       / (double)heat->columns);
            if (heat->row_names != NULL)
                html_text(file, heat->row_names[row]);
            else
                fprintf(file, "%.0f", heat->y_from * pow(heat->y_to / heat->y_from, share));
            fprintf(file, ",%.6g\n", value);
        }
    fputs("</pre>\n", file);
}

void chart_heat_draw(FILE *file, const struct chart_heat *heat)
{
    const double height = heat->row_names != NULL
                            ? TOP + BOTTOM + 26.0 * (double)heat->rows : HEIGHT;
    const double bottom = height - BOTTOM;
    struct axis  x = { heat->x_from, heat->x_to, LEFT, WIDTH - RIGHT, false };
    struct axis  y = { heat->y_from, heat->y_to, bottom, TOP, true };
    struct chart axes = { .x_name = "seconds", .x_unit = CHART_SECONDS };

    figure_begin(file, heat->id, heat->title, heat->note);
    svg_begin(file, heat->title, height);
    bands_draw(file, &x, heat->bands, heat->band_count, bottom);
    if (heat->row_names == NULL)
        y_axis_draw(file, &y, CHART_DURATION);
    heat_cells_draw(file, heat, bottom);
    for (size_t row = 0; heat->row_names != NULL && row < heat->rows; row++) {
        fprintf(file, "<text class=\"tick\" x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 7,
                bottom - 26.0 * ((double)row + 0.5) + 4);
        html_text(file, heat->row_names[row]);
        fputs("</text>\n", file);
    }
    x_axis_draw(file, &x, &axes, bottom);
    fputs("</svg>\n", file);
    heat_csv_write(file, heat);
    figure_end(file);
}

static void bar_row_draw(FILE *file, const struct chart_bars *bars, size_t row, double scale)
{
    const double left = 150, top = 8 + 26.0 * (double)row;
    double       at = left, sum = 0;
    char         text[32];

    fprintf(file, "<text class=\"tick\" x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">", left - 8,
            top + 14);
    html_text(file, bars->rows[row]);
    fputs("</text>\n", file);
    for (size_t i = 0; i < bars->part_count; i++)
        sum += bars->values[row * bars->part_count + i];
    for (size_t i = 0; i < bars->part_count && sum > 0; i++) {
        double value = bars->values[row * bars->part_count + i];
        double width = (WIDTH - RIGHT - 70 - left) * value / (bars->is_share ? sum : scale);

        if (value <= 0)
            continue;
        fprintf(file, "<rect class=\"part c%zu\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                      "height=\"18\">"
                      "<title>", i % CHART_COLOR_COUNT, at, top, fmax(width, 0.5));
        html_text(file, bars->parts[i]);
        fprintf(file, ": %s (%.1f %%)</title></rect>\n",
                chart_number(value, bars->unit, text, sizeof text), 100 * value / sum);
        at += width;
    }
    fprintf(file, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", at + 6, top + 14,
            chart_number(sum, bars->unit, text, sizeof text));
}

/* Names in the colors of their index. */
static void legend_write(FILE *file, const char *const *names, size_t count)
{
    fputs("<p class=\"legend\">", file);
    for (size_t i = 0; i < count; i++) {
        fprintf(file, "<span><i class=\"c%zu\"></i>", i % CHART_COLOR_COUNT);
        html_text(file, names[i]);
        fputs("</span> ", file);
    }
    fputs("</p>\n", file);
}

/* values: row by row. */
static void grid_csv_write(FILE *file, const char *const *rows, size_t row_count,
                           const char *const *parts, size_t part_count, const double *values)
{
    fputs("<pre class=\"data\" hidden data-plain=\"1\">row,part,value\n", file);
    for (size_t i = 0; i < row_count * part_count; i++) {
        html_text(file, rows[i / part_count]);
        fputc(',', file);
        html_text(file, parts[i % part_count]);
        fprintf(file, ",%.9g\n", values[i]);
    }
    fputs("</pre>\n", file);
}

void chart_bars_draw(FILE *file, const struct chart_bars *bars)
{
    double scale = 0;

    figure_begin(file, bars->id, bars->title, bars->note);
    legend_write(file, bars->parts, bars->part_count > 1 ? bars->part_count : 0);
    svg_begin(file, bars->title, 12 + 26.0 * (double)bars->row_count);
    for (size_t row = 0; row < bars->row_count; row++) {
        double sum = 0;
        for (size_t i = 0; i < bars->part_count; i++)
            sum += bars->values[row * bars->part_count + i];
        scale = fmax(scale, sum);
    }
    for (size_t row = 0; row < bars->row_count; row++)
        bar_row_draw(file, bars, row, scale > 0 ? scale : 1);
    fputs("</svg>\n", file);
    grid_csv_write(file, bars->rows, bars->row_count, bars->parts, bars->part_count, bars->values);
    figure_end(file);
}

#define GROUPS_WIDTH 1160.0
#define GROUPS_LEFT  170.0
#define GROUPS_RIGHT 250.0  /* for a value and how it compares */
#define GROUP_GAP    16.0
#define BAR_STEP     24.0
#define BAR_HEIGHT   19.0

/* The value behind a bar, and how many times it is the first's. */
static void group_value_draw(FILE *file, const struct chart_groups *groups, size_t at, double x,
                             double y)
{
    const double ratio = groups->ratios[at];
    char         text[32];

    fprintf(file, "<text x=\"%.1f\" y=\"%.1f\"><tspan class=\"name\">%s</tspan>", x, y,
            chart_number(groups->values[at], groups->unit, text, sizeof text));
    if (ratio > 0) {
        fprintf(file, " <tspan class=\"%s\">", ratio >= 1 ? "more" : "less");
        html_text(file, groups->bars[0]);
        fprintf(file, " %.*f&#215;</tspan>", ratio < 100 ? 2 : 0, ratio);
    }
    fputs("</text>\n", file);
}

static void group_draw(FILE *file, const struct chart_groups *groups, size_t group, double top)
{
    const double *values = groups->values + group * groups->bar_count;
    double        most = 0;
    char          text[32];

    for (size_t i = 0; i < groups->bar_count; i++)
        most = fmax(most, values[i]);
    fprintf(file, "<text class=\"name\" x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">",
            GROUPS_LEFT - 14, top + BAR_STEP * (double)groups->bar_count / 2 + 3);
    html_text(file, groups->groups[group]);
    fputs("</text>\n", file);
    for (size_t i = 0; i < groups->bar_count; i++) {
        const double y = top + BAR_STEP * (double)i;
        double       width;

        if (values[i] <= 0)
            continue;
        width = fmax((GROUPS_WIDTH - GROUPS_LEFT - GROUPS_RIGHT) * values[i] / most, 2);
        fprintf(file, "<rect class=\"part c%zu\" rx=\"3\" x=\"%.0f\" y=\"%.1f\" width=\"%.1f\" "
                      "height=\"%.0f\"><title>",
                i % CHART_COLOR_COUNT, GROUPS_LEFT, y, width, BAR_HEIGHT);
        html_text(file, groups->bars[i]);
        fprintf(file, ": %s</title></rect>\n",
                chart_number(values[i], groups->unit, text, sizeof text));
        group_value_draw(file, groups, group * groups->bar_count + i, GROUPS_LEFT + width + 9,
                         y + 14.5);
    }
}

void chart_groups_draw(FILE *file, const struct chart_groups *groups)
{
    const double height = (BAR_STEP * (double)groups->bar_count + GROUP_GAP)
                        * (double)groups->group_count;

    figure_begin(file, groups->id, groups->title, groups->note);
    legend_write(file, groups->bars, groups->bar_count);
    fprintf(file, "<svg class=\"groups\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
                  "tabindex=\"0\" aria-label=\"", GROUPS_WIDTH, height);
    html_text(file, groups->title);
    fputs("\">\n", file);
    for (size_t i = 0; i < groups->group_count; i++)
        group_draw(file, groups, i, 6 + (height / (double)groups->group_count) * (double)i);
    fputs("</svg>\n", file);
    grid_csv_write(file, groups->groups, groups->group_count, groups->bars, groups->bar_count,
                   groups->values);
    figure_end(file);
}
