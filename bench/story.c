/*
 * story.c: series.csv and latency.hlog on one axis.
 */
#include "bench/story.h"

#include <math.h>
#include <string.h>

#include "bench/hlog.h"
#include "core/base/histogram.h"
#include "core/base/memory.h"

#define STUB_SHARE 0.2   /* of the interval before it */

bool points_add(struct points *points, double x, double y)
{
    if (points->count == points->capacity) {
        size_t  capacity = points->capacity == 0 ? 256 : points->capacity * 2;
        double *both = memory_allocate(2 * capacity * sizeof *both);

        if (both == NULL)
            return false;
        for (size_t i = 0; i < points->count; i++) {
            both[i] = points->x[i];
            both[capacity + i] = points->y[i];
        }
        memory_free(points->x);
        points->x = both;
        points->y = both + capacity;
        points->capacity = capacity;
    }
    points->x[points->count] = x;
    points->y[points->count++] = y;
    return true;
}

/* The end of a phase, shorter than a rate or a percentile can be told from. */
static bool row_is_stub(const struct story *story, size_t row)
{
    const struct series_table *series = &story->result->series;

    return row > 0 && series_cell(series, row, 0) == series_cell(series, row - 1, 0)
        && story->length[row] < STUB_SHARE * story->length[row - 1];
}

double *story_column(const struct story *story, const char *name, bool is_per_second)
{
    const struct series_table *series = &story->result->series;
    size_t                     column = series_column(series, name);
    const size_t               length = strlen(name);
    const bool                 is_latency = length > 3 && strcmp(name + length - 3, "_ns") == 0;
    double                    *values;

    if (column == SIZE_MAX || series->row_count == 0)
        return NULL;
    values = memory_allocate(series->row_count * sizeof *values);
    for (size_t i = 0; values != NULL && i < series->row_count; i++) {
        const double value = series_cell(series, i, column);

        values[i] = is_per_second ? value / story->length[i] : value;
        if (row_is_stub(story, i) && is_per_second)
            values[i] = (value + series_cell(series, i - 1, column))
                      / (story->length[i] + story->length[i - 1]);
        else if (row_is_stub(story, i) && is_latency)
            values[i] = values[i - 1];
    }
    return values;
}

static enum kiwi_status times_set(struct story *story)
{
    const struct series_table *series = &story->result->series;
    size_t                     seconds = series_column(series, "seconds");
    double                     offset = 0, before = 0;
    size_t                     phase = SIZE_MAX;

    story->time = memory_allocate_zeroed((2 * series->row_count + 1) * sizeof *story->time);
    if (story->time == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for the report");
    story->length = story->time + series->row_count;
    story->band_count = json_array_size(story->result->phases);
    if (story->band_count > RESULT_PHASE_COUNT_MAX)
        return FAIL(KIWI_CORRUPT, "%s: %zu phases", story->result->folder, story->band_count);
    for (size_t i = 0; i < story->band_count; i++)
        story->bands[i].name = result_text(json_array_get(story->result->phases, i), "name");
    for (size_t i = 0; i < series->row_count; i++) {
        double at = series_cell(series, i, seconds);

        if ((size_t)series_cell(series, i, 0) != phase) {
            phase = (size_t)series_cell(series, i, 0);
            offset = story->end;
            before = 0;
            story->bands[phase].from = story->bands[phase].to = offset;
        }
        story->time[i] = offset + at;
        story->length[i] = fmax(at - before, 1e-3);
        story->end = story->bands[phase].to = fmax(story->time[i], story->end);
        before = at;
    }
    return KIWI_OK;
}

static size_t tag_split(const struct story *story, char *tag, int *operation, const char **clock)
{
    char *last = strrchr(tag, '.'), *middle;

    *operation = -1;
    if (last == NULL)
        return SIZE_MAX;
    *last = 0;
    *clock = last + 1;
    middle = strrchr(tag, '.');
    if (middle == NULL)
        return SIZE_MAX;
    *middle = 0;
    for (int i = 0; i < (int)OPERATION_COUNT; i++)
        if (strcmp(operation_name((enum operation)i), middle + 1) == 0)
            *operation = i;
    return result_phase_from(story->result, tag, 0);
}

/* Intervals of a later phase of the same name begin behind the end of the earlier one. */
static size_t phase_at(const struct story *story, size_t phase, double start, const double *starts)
{
    const char *name = story->bands[phase].name;
    size_t      later = result_phase_from(story->result, name, phase + 1);

    if (later == SIZE_MAX || isnan(starts[phase]))
        return phase;
    if (start < starts[phase] + story->bands[phase].to - story->bands[phase].from - 1e-3)
        return phase;
    return phase_at(story, later, start, starts);
}

static void heat_add(struct story *story, double from, double to,
                     const struct kiwi_latency *latency)
{
    double scale = story->end > 0 ? HEAT_COLUMNS / story->end : 0;
    size_t first = (size_t)fmin(fmax(round(from * scale), 0), HEAT_COLUMNS - 1);
    size_t end = (size_t)fmin(fmax(round(to * scale), (double)first + 1), HEAT_COLUMNS);

    for (uint32_t i = 0; i < KIWI_LATENCY_BUCKET_COUNT; i++) {
        double value = fmax((double)histogram_bucket_floor(i), HEAT_FROM_NS);
        double row = log(value / HEAT_FROM_NS) / log(HEAT_TO_NS / HEAT_FROM_NS) * HEAT_ROWS;

        for (size_t column = first; latency->buckets[i] != 0 && column < end; column++)
            story->heat[column * HEAT_ROWS + (size_t)fmin(row, HEAT_ROWS - 1)] +=
                latency->buckets[i];
    }
}

static void interval_take(struct story *story, struct hlog_interval *interval, double *starts)
{
    int         operation;
    const char *clock = "";
    size_t      phase = tag_split(story, interval->tag, &operation, &clock);
    double      from, to;

    if (phase == SIZE_MAX || operation < 0 || strcmp(clock, "service") != 0)
        return;
    phase = phase_at(story, phase, interval->start, starts);
    if (isnan(starts[phase]))
        starts[phase] = interval->start;
    from = story->bands[phase].from + interval->start - starts[phase];
    to = from + interval->seconds;
    if (interval->seconds >= STUB_SHARE * story->interval_seconds[operation]
        || story->interval_phase[operation] != phase)
        (void)points_add(&story->rates[operation], to,
                         (double)interval->latency.count / fmax(interval->seconds, 1e-3));
    story->interval_seconds[operation] = interval->seconds;
    story->interval_phase[operation] = phase;
    heat_add(story, from, to, &interval->latency);
    if (strcmp(story->bands[phase].name, "load") != 0)
        histogram_add(&story->latencies[operation], &interval->latency);
    story->has_latencies = true;
}

static enum kiwi_status latencies_read(struct story *story)
{
    struct hlog_interval *interval = memory_allocate(sizeof *interval);
    char                  path[PATH_MAX + 16];
    double                starts[RESULT_PHASE_COUNT_MAX];
    uint64_t              line = 0;
    enum kiwi_status      status = KIWI_OK;
    FILE                 *file;

    if (interval == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for the report");
    for (size_t i = 0; i < RESULT_PHASE_COUNT_MAX; i++)
        starts[i] = NAN;
    snprintf(path, sizeof path, "%s/latency.hlog", story->result->folder);
    file = fopen(path, "re");
    while (file != NULL && (status = hlog_read(file, path, &line, interval)) == KIWI_OK)
        interval_take(story, interval, starts);
    if (file != NULL)
        fclose(file);
    memory_free(interval);
    return status == KIWI_NOT_FOUND ? KIWI_OK : status;
}

enum kiwi_status story_open(const struct result *result, struct story **out)
{
    struct story    *story = memory_allocate_zeroed(sizeof *story);
    enum kiwi_status status;

    *out = NULL;
    if (story == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for the report");
    story->result = result;
    status = times_set(story);
    if (status == KIWI_OK)
        status = latencies_read(story);
    if (status != KIWI_OK) {
        story_close(story);
        return status;
    }
    *out = story;
    return KIWI_OK;
}

void story_close(struct story *story)
{
    if (story == NULL)
        return;
    for (size_t i = 0; i < OPERATION_COUNT; i++)
        memory_free(story->rates[i].x);
    memory_free(story->time);
    memory_free(story);
}
