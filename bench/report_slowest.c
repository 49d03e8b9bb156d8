/*
 * report_slowest.c: the slowest operations of each phase, one by one, with what went on meanwhile.
 */
#include <math.h>
#include <string.h>

#include "bench/report_html.h"
#include "core/base/memory.h"

/* What the engine did in a second that a slow operation falls into. */
enum { FLUSH, MERGE, STALL_MEMTABLE, STALL_LOG, STALL_DEBT, STALL_MEMORY, ACTIVITY_COUNT };

static const struct {
    const char *column, *text;   /* text: behind it comes a number when it is a stall */
} activities[ACTIVITY_COUNT] = {
    [FLUSH] = { "flush_ns", "flushes" },
    [MERGE] = { "compaction_ns", "merges" },
    [STALL_MEMTABLE] = { "stall_memtable_ns", "writes waited for a memtable" },
    [STALL_LOG] = { "stall_log_ns", "writes waited for the log" },
    [STALL_DEBT] = { "stall_debt_ns", "writes waited for merges" },
    [STALL_MEMORY] = { "stall_memory_ns", "writes waited for memory" },
};

static bool is_shown(const json_t *phase)
{
    return json_array_size(json_object_get(phase, "slowest")) > 0
        && strcmp(result_text(phase, "kind"), "load") != 0;
}

static void number_cell(FILE *file, double value, enum chart_unit unit)
{
    char text[32];

    fprintf(file, "<td data-v=\"%.17g\">%s</td>", value,
            chart_number(value, unit, text, sizeof text));
}

/* The row of the series whose interval has this moment of the story; count: none has. */
static size_t row_at(const struct story *story, double seconds)
{
    const size_t count = story->result->series.row_count;
    size_t       row = 0;

    while (row < count && story->time[row] < seconds)
        row++;
    return row < count && story->time[row] - story->length[row] <= seconds ? row : count;
}

static void meanwhile_cell(FILE *file, const struct story *story, double *const *columns,
                           const json_t *operation, double seconds)
{
    const double still_ns = result_number(operation, "standstill_ns");
    const size_t row = row_at(story, seconds);
    const char  *between = "";
    char         text[32];

    fputs("<td class=\"wrap\">", file);
    if (still_ns > 0) {
        fprintf(file, "the machine stood still for %s of it",
                chart_number(still_ns, CHART_DURATION, text, sizeof text));
        between = "; ";
    }
    for (size_t i = 0; i < ACTIVITY_COUNT && row < story->result->series.row_count; i++) {
        if (columns[i] == NULL || !(columns[i][row] > 0))
            continue;
        fprintf(file, "%s%s", between, activities[i].text);
        if (i >= STALL_MEMTABLE)
            fprintf(file, ", %s",
                    chart_number(columns[i][row], CHART_DURATION, text, sizeof text));
        between = "; ";
    }
    fputs("</td></tr>\n", file);
}

static void phase_write(FILE *file, const struct story *story, size_t phase_index,
                        double *const *columns)
{
    const json_t *phase = json_array_get(story->result->phases, phase_index);
    const json_t *list = json_object_get(phase, "slowest");
    size_t        index;
    json_t       *operation;
    char          text[32];

    if (!is_shown(phase))
        return;
    fputs("<details class=\"slowest\"><summary>", file);
    html_text(file, result_text(phase, "name"));
    fprintf(file,
            ": the %zu slowest of %s operations</summary><div class=\"scroll\">"
            "<table class=\"sortable\"><tr><th>operation</th><th>latency</th><th>in the engine</th>"
            "<th>second</th><th>record</th><th>client</th><th>meanwhile</th></tr>\n",
            json_array_size(list),
            chart_number(result_number(phase, "operations"), CHART_NUMBER, text, sizeof text));
    json_array_foreach(list, index, operation)
    {
        const double at = result_number(operation, "at_seconds");

        fprintf(file, "<tr><td>%s</td>", result_text(operation, "operation"));
        number_cell(file, result_number(operation, "latency_ns"), CHART_DURATION);
        number_cell(file, result_number(operation, "service_ns"), CHART_DURATION);
        fprintf(file, "<td data-v=\"%.9f\">%.3f</td><td>%.0f</td><td>%.0f</td>", at, at,
                result_number(operation, "record"), result_number(operation, "client"));
        meanwhile_cell(file, story, columns, operation, story->bands[phase_index].from + at);
    }
    fputs("</table></div></details>\n", file);
}

/* All of one kind; they need not rise in x before they are sorted. */
static void points_take(const struct story *story, const char *operation, struct points *points)
{
    size_t  phase, index;
    json_t *of, *item;

    json_array_foreach(story->result->phases, phase, of)
    {
        if (!is_shown(of) || phase >= story->band_count)
            continue;
        json_array_foreach(json_object_get(of, "slowest"), index, item)
            if (strcmp(result_text(item, "operation"), operation) == 0
                && !points_add(points, story->bands[phase].from + result_number(item, "at_seconds"),
                               result_number(item, "latency_ns")))
                return;
    }
    /* At most a hundred a phase: insertion is quick enough. */
    for (size_t i = 1; i < points->count; i++)
        for (size_t j = i; j > 0 && points->x[j - 1] > points->x[j]; j--) {
            double x = points->x[j], y = points->y[j];

            points->x[j] = points->x[j - 1];
            points->y[j] = points->y[j - 1];
            points->x[j - 1] = x;
            points->y[j - 1] = y;
        }
}

void report_slowest_chart(FILE *file, const struct story *story)
{
    struct points points[OPERATION_COUNT] = { { 0 } };
    struct chart  chart = { .id = "slowest", .title = "Slowest operations",
                            .note = "Up to 100 of each phase, when they were due; table below.",
                            .x_name = "seconds", .unit = CHART_DURATION, .x_unit = CHART_SECONDS,
                            .is_log = true, .bands = story->bands,
                            .band_count = story->band_count };

    for (uint32_t i = 0; i < OPERATION_COUNT; i++) {
        struct chart_line *line = &chart.lines[chart.line_count];

        points_take(story, operation_name((enum operation)i), &points[i]);
        if (points[i].count == 0 || chart.line_count == CHART_LINE_MAX)
            continue;
        chart.line_count++;
        *line = (struct chart_line){ .x = points[i].x, .y = points[i].y, .count = points[i].count,
                                     .color = i, .is_scattered = true,
                                     .is_highest = true };
        snprintf(line->name, sizeof line->name, "%s", operation_name((enum operation)i));
    }
    if (chart.line_count > 0)
        chart_draw(file, &chart);
    for (uint32_t i = 0; i < OPERATION_COUNT; i++)
        memory_free(points[i].x); /* y is in the same piece */
}

void report_slowest(FILE *file, const struct story *story)
{
    double *columns[ACTIVITY_COUNT];
    bool    has_some = false;

    for (size_t i = 0; i < story->band_count; i++)
        has_some |= is_shown(json_array_get(story->result->phases, i));
    if (!has_some)
        return;
    for (size_t i = 0; i < ACTIVITY_COUNT; i++)
        columns[i] = story_column(story, activities[i].column, false);
    fputs("<h2>Slowest operations</h2><p>One by one, latency as the caller felt it. "
          "<i>Meanwhile</i> is what the machine did during the operation and the engine in the "
          "second it began in: a reason to look there, no proof. A click on a heading sorts.</p>\n",
          file);
    for (size_t i = 0; i < story->band_count; i++)
        phase_write(file, story, i, columns);
    for (size_t i = 0; i < ACTIVITY_COUNT; i++)
        memory_free(columns[i]);
}
