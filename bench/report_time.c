/*
 * report_time.c: charts of what a caller sees: throughput, latency, percentiles, heat map, memory,
 * CPU.
 */
#include <math.h>
#include <string.h>

#include "bench/report_html.h"
#include "core/base/histogram.h"
#include "core/base/memory.h"

#define KEPT_MAX 32u

/* A chart over time and the columns it owns. */
struct time_chart {
    struct chart        chart;
    const struct story *story, *other;
    double             *kept[KEPT_MAX];
    size_t              kept_count;
};

static struct time_chart time_chart_of(const struct story *story, const struct story *other,
                                       const char *id, const char *title, const char *note,
                                       enum chart_unit unit)
{
    return (struct time_chart){
        .chart = { .id = id, .title = title, .note = note, .x_name = "seconds", .unit = unit,
                   .x_unit = CHART_SECONDS, .bands = story->bands,
                   .band_count = story->band_count },
        .story = story,
        .other = other,
    };
}

static void time_chart_line(struct time_chart *chart, const char *name, const double *x,
                            const double *y, size_t count, uint32_t color, bool is_other)
{
    struct chart_line *line = &chart->chart.lines[chart->chart.line_count];

    if (chart->chart.line_count == CHART_LINE_MAX || count == 0)
        return;
    chart->chart.line_count++;
    *line = (struct chart_line){ .x = x, .y = y, .count = count, .color = color,
                                 .is_dashed = is_other, .gap = 2.5,
                                 .is_highest = chart->chart.is_log };
    snprintf(line->name, sizeof line->name, "%.30s%s", name, is_other ? " (other)" : "");
}

/* The column of the run, and dashed that of the other. */
static void time_chart_column(struct time_chart *chart, const char *name, const char *column,
                              bool is_per_second, double scale, uint32_t color)
{
    const struct story *stories[] = { chart->story, chart->other };

    for (size_t i = 0; i < ARRAY_COUNT(stories); i++) {
        double *values =
            stories[i] != NULL ? story_column(stories[i], column, is_per_second) : NULL;

        if (values == NULL || chart->kept_count == KEPT_MAX) {
            memory_free(values);
            continue;
        }
        chart->kept[chart->kept_count++] = values;
        for (size_t j = 0; j < stories[i]->result->series.row_count; j++)
            values[j] *= scale;
        time_chart_line(chart, name, stories[i]->time, values,
                        stories[i]->result->series.row_count, color, i == 1);
    }
}

static void time_chart_end(FILE *file, struct time_chart *chart)
{
    if (chart->chart.line_count > 0)
        chart_draw(file, &chart->chart);
    for (size_t i = 0; i < chart->kept_count; i++)
        memory_free(chart->kept[i]);
}

static void throughput_draw(FILE *file, const struct story *story, const struct story *other)
{
    struct time_chart chart = time_chart_of(story, other, "throughput", "Throughput over time",
                                            "Operations a second, by operation; measured parts "
                                            "of the phases end to end.",
                                            CHART_PER_SECOND);

    for (uint32_t i = 0; i < OPERATION_COUNT; i++) {
        const char *name = operation_name((enum operation)i);
        time_chart_line(&chart, name, story->rates[i].x, story->rates[i].y,
                        story->rates[i].count, i, false);
        if (other != NULL)
            time_chart_line(&chart, name, other->rates[i].x, other->rates[i].y,
                            other->rates[i].count, i, true);
    }
    if (chart.chart.line_count == 0)
        time_chart_column(&chart, "all", "operations", true, 1, 0);
    time_chart_end(file, &chart);
}

static void latency_draw(FILE *file, const struct story *story, const struct story *other)
{
    struct time_chart chart = time_chart_of(story, other, "latency", "Latency over time",
                                            "All operations of each second; from submission to "
                                            "completion.",
                                            CHART_DURATION);

    chart.chart.is_log = true;
    time_chart_column(&chart, "p50", "p50_ns", false, 1, 0);
    time_chart_column(&chart, "p99", "p99_ns", false, 1, 1);
    time_chart_column(&chart, "p99.9", "p99_9_ns", false, 1, 2);
    time_chart_column(&chart, "max", "max_ns", false, 1, 4);
    time_chart_end(file, &chart);
}

/* Points of a latency distribution: x is nines, -log10 of what lies above. */
static void percentiles_take(const struct kiwi_latency *latency, struct points *points)
{
    uint64_t below = 0;

    for (uint32_t i = 0; i < KIWI_LATENCY_BUCKET_COUNT; i++) {
        double above;

        if (latency->buckets[i] == 0)
            continue;
        below += latency->buckets[i];
        above = 1 - (double)below / (double)latency->count;
        if (above < 0.5 / (double)latency->count)
            above = 0.5 / (double)latency->count;
        (void)points_add(points, -log10(above), (double)(histogram_bucket_floor(i + 1) - 1));
    }
}

static void percentiles_draw(FILE *file, const struct story *story, const struct story *other)
{
    static const struct chart_tick ticks[] = { { 0, "0" },      { 0.30103, "50 %" }, { 1, "90 %" },
                                               { 2, "99 %" },   { 3, "99.9 %" },
                                               { 4, "99.99 %" }, { 5, "99.999 %" },
                                               { 6, "99.9999 %" } };
    const struct story *stories[] = { story, other };
    struct points       points[2 * OPERATION_COUNT];
    struct time_chart   chart = time_chart_of(story, other, "percentiles", "Latency by percentile",
                                              "Every operation but the load's; each nine is as "
                                              "wide as the one before.",
                                              CHART_DURATION);

    memset(points, 0, sizeof points);
    chart.chart.bands = NULL;
    chart.chart.band_count = 0;
    chart.chart.is_log = true;
    chart.chart.x_name = "share of operations";
    chart.chart.x_unit = CHART_NUMBER;
    chart.chart.x_ticks = ticks;
    chart.chart.x_tick_count = ARRAY_COUNT(ticks);
    for (uint32_t i = 0; i < 2 * OPERATION_COUNT; i++) {
        const struct story *from = stories[i / OPERATION_COUNT];
        uint32_t            operation = i % OPERATION_COUNT;

        if (from == NULL || from->latencies[operation].count == 0)
            continue;
        percentiles_take(&from->latencies[operation], &points[i]);
        time_chart_line(&chart, operation_name((enum operation)operation), points[i].x,
                        points[i].y, points[i].count, operation, i >= OPERATION_COUNT);
    }
    for (uint32_t i = 0; i < chart.chart.line_count; i++)
        chart.chart.lines[i].gap = 0;
    time_chart_end(file, &chart);
    for (size_t i = 0; i < ARRAY_COUNT(points); i++)
        memory_free(points[i].x);
}

static void heat_draw(FILE *file, const struct story *story)
{
    if (!story->has_latencies)
        return;
    chart_heat_draw(file, &(struct chart_heat){
                              .id = "heat", .title = "Latency heat map",
                              .note = "Time across, latency up, the darker the more operations.",
                              .cells = story->heat, .columns = HEAT_COLUMNS, .rows = HEAT_ROWS,
                              .x_to = story->end > 0 ? story->end : 1, .y_from = HEAT_FROM_NS,
                              .y_to = HEAT_TO_NS, .value_name = "operations",
                              .bands = story->bands, .band_count = story->band_count });
}

static void resources_draw(FILE *file, const struct story *story, const struct story *other)
{
    struct time_chart cpu = time_chart_of(story, other, "cpu", "Processor",
                                          "Cores in use by this process, driver included.",
                                          CHART_CORES);
    struct time_chart memory = time_chart_of(story, other, "memory", "Memory",
                                             "What the process has resident, and what the engine "
                                             "counts as its own.",
                                             CHART_BYTES);
    struct time_chart device = time_chart_of(story, other, "device", "Device",
                                             "Requests a second, by the engine's count.",
                                             CHART_PER_SECOND);
    struct time_chart debt = time_chart_of(story, other, "space", "Space",
                                           "Tables, recycled files, live data as the engine "
                                           "estimates it, and bytes still to be moved.",
                                           CHART_BYTES);

    time_chart_column(&cpu, "cores", "cpu_ns", true, 1e-9, 1);
    time_chart_end(file, &cpu);
    time_chart_column(&memory, "resident", "resident_bytes", false, 1, 0);
    time_chart_column(&memory, "engine", "memory_bytes", false, 1, 1);
    time_chart_column(&memory, "memtables", "memtable_bytes", false, 1, 2);
    time_chart_column(&memory, "frozen", "frozen_bytes", false, 1, 4);
    time_chart_end(file, &memory);
    time_chart_column(&device, "reads", "device_reads", true, 1, 1);
    time_chart_column(&device, "writes", "device_writes", true, 1, 2);
    time_chart_column(&device, "log syncs", "log_syncs", true, 1, 3);
    time_chart_end(file, &device);
    time_chart_column(&debt, "tables", "table_file_bytes", false, 1, 0);
    time_chart_column(&debt, "live", "live_bytes", false, 1, 5);
    time_chart_column(&debt, "recycled files", "pool_file_bytes", false, 1, 9);
    time_chart_column(&debt, "debt", "debt_bytes", false, 1, 4);
    time_chart_end(file, &debt);
}

void report_time_charts(FILE *file, const struct story *story, const struct story *other)
{
    throughput_draw(file, story, other);
    latency_draw(file, story, other);
    percentiles_draw(file, story, other);
    heat_draw(file, story);
    resources_draw(file, story, other);
}
