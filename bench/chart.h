/*
 * chart.h: charts as inline SVG inside HTML figures, each with its data as CSV beside it.
 *
 * Drawn here, not by a script, so that a report shows the same on paper, without network, and in
 * any browser. Colours are CSS variables of the page (page.h), light and dark.
 */
#pragma once

#include <stdio.h>

#include "core/base/base.h"

#define CHART_LINE_MAX   24u
#define CHART_POINT_MAX  900u   /* points drawn and kept per line; more are thinned out */
#define CHART_COLOR_COUNT 10u

enum chart_unit {
    CHART_NUMBER = 0, CHART_PER_SECOND, CHART_DURATION /* ns */, CHART_BYTES, CHART_PERCENT,
    CHART_RATIO, CHART_SECONDS, CHART_CORES,
};

struct chart_line {
    char          name[40];
    const double *x, *y;      /* borrowed; x rises */
    size_t        count;
    uint32_t      color;
    bool          is_dashed;
    bool          has_dots;   /* at its points */
    bool          is_scattered; /* only dots, nothing joins them */
    double        gap;        /* points farther apart than this are not joined; 0: all are */
    bool          is_highest; /* thinning keeps the highest of neighbours, else their mean */
};

/* A named stretch of the x axis. */
struct chart_band {
    const char *name;
    double      from, to;
};

struct chart_tick {
    double      at;
    const char *text;
};

struct chart {
    const char              *id, *title;
    const char              *note;        /* one sentence below the title; may be "" */
    const char              *x_name;
    enum chart_unit          unit, x_unit;
    struct chart_line        lines[CHART_LINE_MAX];
    uint32_t                 line_count;
    bool                     is_stacked;  /* areas on each other; all lines share x */
    bool                     is_log;
    const struct chart_band *bands;
    size_t                   band_count;
    const struct chart_tick *x_ticks;     /* NULL: round numbers */
    size_t                   x_tick_count;
};

/* Colour as count: cells[column * rows + row], rows from below. */
struct chart_heat {
    const char              *id, *title, *note;
    const double            *cells;
    size_t                   columns, rows;
    double                   x_from, x_to;
    double                   y_from, y_to;  /* bounds of the rows, drawn on a log axis, ns */
    const char *const       *row_names;     /* or: one name per row instead of the log axis */
    const char              *value_name;
    const struct chart_band *bands;
    size_t                   band_count;
};

/* One bar per row, parts beside each other; values[row * part_count + part]. */
struct chart_bars {
    const char        *id, *title, *note;
    const char *const *rows;
    size_t             row_count;
    const char *const *parts;
    size_t             part_count;
    const double      *values;
    enum chart_unit    unit;
    bool               is_share;    /* every row is scaled to 100 % */
};

/* Bars side by side in groups, each group to its own scale, over the whole width of the page. */
struct chart_groups {
    const char        *id, *title, *note;
    const char *const *groups;
    size_t             group_count;
    const char *const *bars;        /* of every group, in colors of their own */
    size_t             bar_count;
    const double      *values;      /* group by group; 0: no bar */
    const double      *ratios;      /* of the first bar over each; 0: none is shown */
    enum chart_unit    unit;
};

void chart_draw(FILE *file, const struct chart *chart);
void chart_heat_draw(FILE *file, const struct chart_heat *heat);
void chart_bars_draw(FILE *file, const struct chart_bars *bars);
void chart_groups_draw(FILE *file, const struct chart_groups *groups);

/* "1.2M", "3.4 ms", "1.5 MiB", "12.3 %" */
const char *chart_number(double value, enum chart_unit unit, char *text, size_t bytes);
/* Text with <, > and & made harmless. */
void html_text(FILE *file, const char *text);
/* <figure> up to the heading and the buttons, and its end. */
void figure_begin(FILE *file, const char *id, const char *title, const char *note);
void figure_end(FILE *file);
