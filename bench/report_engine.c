/*
 * report_engine.c: charts of what the engine did: lanes, levels, amplification, read path, filters,
 * caches, stalls.
 */
#include <math.h>
#include <string.h>

#include "bench/report_html.h"
#include "core/base/memory.h"

#define LEVELS KIWI_LEVEL_COUNT_MAX

static const char *const level_names[LEVELS] = { "L0", "L1", "L2", "L3", "L4", "L5", "L6" };

static double sum_of(const double *values, size_t count)
{
    double sum = 0;

    for (size_t i = 0; values != NULL && i < count; i++)
        sum += values[i];
    return sum;
}

static struct chart chart_of(const struct story *story, const char *id, const char *title,
                             const char *note, enum chart_unit unit)
{
    return (struct chart){ .id = id, .title = title, .note = note, .x_name = "seconds",
                           .unit = unit, .x_unit = CHART_SECONDS, .bands = story->bands,
                           .band_count = story->band_count };
}

/* Adds values unless all are 0; they stay the caller's. */
static void line_add(struct chart *chart, const struct story *story, const char *name,
                     const double *values, uint32_t color)
{
    struct chart_line *line = &chart->lines[chart->line_count];

    if (values == NULL || chart->line_count == CHART_LINE_MAX
        || sum_of(values, story->result->series.row_count) <= 0)
        return;
    chart->line_count++;
    *line = (struct chart_line){ .x = story->time, .y = values,
                                 .count = story->result->series.row_count, .color = color };
    snprintf(line->name, sizeof line->name, "%.39s", name);
}

static void chart_finish(FILE *file, const struct chart *chart, double **columns, size_t count)
{
    if (chart->line_count > 0)
        chart_draw(file, chart);
    for (size_t i = 0; i < count; i++)
        memory_free(columns[i]);
}

static void level_sizes_draw(FILE *file, const struct story *story)
{
    struct chart chart = chart_of(story, "levels", "Level sizes", "Bytes in the tables of each "
                                  "level, on each other.", CHART_BYTES);
    double      *columns[LEVELS];
    char         name[32];

    chart.is_stacked = true;
    for (uint32_t i = 0; i < LEVELS; i++) {
        snprintf(name, sizeof name, "L%u_bytes", i);
        columns[i] = story_column(story, name, false);
        line_add(&chart, story, level_names[i], columns[i], i);
    }
    chart_finish(file, &chart, columns, LEVELS);
}

/* Bytes written per byte handed in since the phase began, by who wrote them. */
static void write_amplification_draw(FILE *file, const struct story *story)
{
    struct chart  chart = chart_of(story, "write-amplification", "Write amplification",
                                   "Bytes written per byte handed in, summed from the start of "
                                   "each phase.", CHART_RATIO);
    const size_t  rows = story->result->series.row_count;
    double       *columns[LEVELS + 2], *user = story_column(story, "user_write_bytes", false);
    char          name[40];

    columns[0] = story_column(story, "log_write_bytes", false);
    columns[1] = story_column(story, "flush_bytes", false);
    for (uint32_t i = 0; i < LEVELS; i++) {
        snprintf(name, sizeof name, "L%u_compaction_bytes", i);
        columns[i + 2] = story_column(story, name, false);
    }
    chart.is_stacked = true;
    for (size_t i = 0; i < ARRAY_COUNT(columns); i++) {
        double written = 0, handed = 0;

        for (size_t j = 0; columns[i] != NULL && user != NULL && j < rows; j++) {
            const struct series_table *series = &story->result->series;
            if (j == 0 || series_cell(series, j, 0) != series_cell(series, j - 1, 0))
                written = handed = 0;
            written += columns[i][j];
            handed += user[j];
            columns[i][j] = handed > 0 ? written / handed : 0;
        }
        snprintf(name, sizeof name, "merges into L%u", (uint32_t)i - 2);
        line_add(&chart, story, i == 0 ? "log" : i == 1 ? "flush" : name, columns[i],
                 (uint32_t)i);
    }
    memory_free(user);
    chart_finish(file, &chart, columns, ARRAY_COUNT(columns));
}

/* Who was at work when: one lane each, colour as bytes a second. */
static void lanes_draw(FILE *file, const struct story *story)
{
    static const char *const rows[] = { "stalls", "merge L6", "merge L5", "merge L4", "merge L3",
                                        "merge L2", "merge L1", "merge L0", "flush", "log" };
    static const char *const columns[ARRAY_COUNT(rows)] = {
        NULL, "L6_compaction_bytes", "L5_compaction_bytes", "L4_compaction_bytes",
        "L3_compaction_bytes", "L2_compaction_bytes", "L1_compaction_bytes",
        "L0_compaction_bytes", "flush_bytes", "log_write_bytes" };
    const char *names[ARRAY_COUNT(rows)];
    double     *cells = memory_allocate_zeroed(HEAT_COLUMNS * ARRAY_COUNT(rows) * sizeof *cells);
    size_t      used = 0;

    for (size_t i = 1; cells != NULL && i < ARRAY_COUNT(rows); i++) {
        double *values = story_column(story, columns[i], true);

        if (sum_of(values, story->result->series.row_count) > 0)
            names[used++] = rows[i];
        memory_free(values);
    }
    for (size_t lane = 0; cells != NULL && lane < used; lane++) {
        size_t  which = 1;
        double *values;

        while (rows[which] != names[lane])
            which++;
        values = story_column(story, columns[which], true);
        for (size_t i = 0; values != NULL && i < story->result->series.row_count; i++) {
            double from = (story->time[i] - story->length[i]) / story->end * HEAT_COLUMNS;
            double to = story->time[i] / story->end * HEAT_COLUMNS;

            for (double at = fmax(floor(from + 0.5), 0); at < to && at < HEAT_COLUMNS; at++)
                cells[(size_t)at * used + lane] = fmax(cells[(size_t)at * used + lane], values[i]);
        }
        memory_free(values);
    }
    if (cells != NULL && used > 0)
        chart_heat_draw(file, &(struct chart_heat){
                                  .id = "lanes", .title = "Log, flush and merge lanes",
                                  .note = "The darker, the more bytes a second were written: by "
                                          "the log, by flushes, by merges into each level.",
                                  .cells = cells, .columns = HEAT_COLUMNS, .rows = used,
                                  .x_to = story->end, .row_names = names,
                                  .value_name = "bytes_per_second", .bands = story->bands,
                                  .band_count = story->band_count });
    memory_free(cells);
}

static void answers_draw(FILE *file, const struct story *story)
{
    const json_t *phases = story->result->phases;
    const size_t  phase_count = story->band_count;
    const char   *rows[RESULT_PHASE_COUNT_MAX], *parts[16] = { "" };
    double        values[RESULT_PHASE_COUNT_MAX * 16] = { 0 };
    size_t        row_count = 0, part_count = 0;

    for (size_t i = 0; i < phase_count; i++) {
        const json_t *levels = json_object_get(json_array_get(phases, i), "levels");
        double        sum = 0;

        part_count = json_array_size(levels) > 0 ? json_array_size(levels) : part_count;
        for (size_t j = 0; j < json_array_size(levels) && j < 16; j++) {
            const json_t *level = json_array_get(levels, j);
            parts[j] = result_text(level, "level");
            values[row_count * json_array_size(levels) + j] = result_number(level, "gets");
            sum += result_number(level, "gets");
        }
        if (sum > 0)
            rows[row_count++] = story->bands[i].name;
    }
    if (row_count > 0 && part_count <= 16)
        chart_bars_draw(file, &(struct chart_bars){
                                  .id = "answers", .title = "Where gets are answered",
                                  .note = "Share of every phase's gets, by the place that had "
                                          "the answer.",
                                  .rows = rows, .row_count = row_count, .parts = parts,
                                  .part_count = part_count, .values = values,
                                  .unit = CHART_NUMBER, .is_share = true });
}

static void cost_draw(FILE *file, const struct story *story)
{
    static const char *const places[] = { "record_cache", "memtable", "frozen", "L0", "L1", "L2",
                                          "L3", "L4", "L5", "L6", "nothing" };
    struct chart chart = chart_of(story, "step-cost", "What an answer costs",
                                  "p99 of a get inside the engine, by the place that answered.",
                                  CHART_DURATION);
    double      *columns[ARRAY_COUNT(places)];
    char         name[48];

    chart.is_log = true;
    for (size_t i = 0; i < ARRAY_COUNT(places); i++) {
        snprintf(name, sizeof name, "answer_%s_p99_ns", places[i]);
        columns[i] = story_column(story, name, false);
        line_add(&chart, story, places[i], columns[i], (uint32_t)i);
    }
    chart_finish(file, &chart, columns, ARRAY_COUNT(places));
}

static void shares_draw(FILE *file, const struct story *story, struct chart *chart,
                        const char *const *names, size_t count, const char *part_format,
                        const char *rest_format)
{
    double *columns[16];
    char    part[48], rest[48];

    for (size_t i = 0; i < count && i < ARRAY_COUNT(columns); i++) {
        double *others;

        snprintf(part, sizeof part, "%.12s%s%.20s", part_format, names[i], rest_format);
        snprintf(rest, sizeof rest, "%.12s%s%.20s", part_format, names[i],
                 strcmp(rest_format, "_hits") == 0 ? "_misses" : "_filter_skips");
        columns[i] = story_column(story, part, true);
        others = story_column(story, rest, true);
        for (size_t j = 0; columns[i] != NULL && j < story->result->series.row_count; j++) {
            double all = columns[i][j] + (others != NULL ? others[j] : 0);
            /* Without lookups there is no share: as before. */
            columns[i][j] = all > 0 ? 100 * columns[i][j] / all : j > 0 ? columns[i][j - 1] : 0;
        }
        memory_free(others);
        line_add(chart, story, names[i], columns[i], (uint32_t)i);
    }
    chart_finish(file, chart, columns, count);
}

static void stalls_draw(FILE *file, const struct story *story)
{
    static const char *const names[] = { "memtable", "log", "debt", "memory" };
    struct chart chart = chart_of(story, "stalls", "Stalls",
                                  "Seconds that writes of all shards waited, per second, by cause.",
                                  CHART_SECONDS);
    double      *columns[ARRAY_COUNT(names)];
    char         name[40];

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        snprintf(name, sizeof name, "stall_%s_ns", names[i]);
        columns[i] = story_column(story, name, true);
        for (size_t j = 0; columns[i] != NULL && j < story->result->series.row_count; j++)
            columns[i][j] /= 1e9;
        line_add(&chart, story, names[i], columns[i], (uint32_t)(i == 0 ? 4 : i));
    }
    if (chart.line_count == 0) {
        figure_begin(file, "stalls", "Stalls", "No writer ever waited.");
        fputs("<pre class=\"data\" hidden data-plain=\"1\">cause,ns\n</pre>\n<svg viewBox=\"0 0 "
              "760 10\" role=\"img\" aria-label=\"no stalls\"></svg>",
              file);
        figure_end(file);
    }
    chart_finish(file, &chart, columns, ARRAY_COUNT(names));
}

void report_engine_charts(FILE *file, const struct story *story)
{
    static const char *const tiers[] = { "record", "block", "index", "filter" };
    struct chart cache = chart_of(story, "cache", "Cache hits",
                                  "Share of lookups that memory answered, by kind.",
                                  CHART_PERCENT);
    struct chart filters = chart_of(story, "filters", "Filters",
                                    "False positives: share of the tables without the key that "
                                    "a filter let pass.", CHART_PERCENT);

    lanes_draw(file, story);
    level_sizes_draw(file, story);
    write_amplification_draw(file, story);
    answers_draw(file, story);
    cost_draw(file, story);
    shares_draw(file, story, &cache, tiers, ARRAY_COUNT(tiers), "cache_", "_hits");
    shares_draw(file, story, &filters, level_names, LEVELS, "", "_filter_false");
    stalls_draw(file, story);
}
