/*
 * versus.c: blocks gathered, medians and ratios, and the table of them.
 */
#include "bench/versus.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report.h"
#include "bench/result.h"

static enum kiwi_status engine_add(struct versus *versus, const char *name)
{
    struct versus_engine *engine = &versus->engines[versus->engine_count];
    uint32_t              before = 0;

    if (engine_find(name) == NULL)
        return engine_absent(name);
    if (versus->engine_count == VERSUS_ENGINE_COUNT_MAX)
        return FAIL(KIWI_INVALID, "more than %u engines", VERSUS_ENGINE_COUNT_MAX);
    engine->class = engine_find(name);
    for (uint32_t i = 0; i < versus->engine_count; i++)
        before += versus->engines[i].class == engine->class;
    if (before == 0)
        snprintf(engine->label, sizeof engine->label, "%.24s", name);
    else
        snprintf(engine->label, sizeof engine->label, "%.24s.%u", name, before + 1);
    versus->engine_count++;
    return KIWI_OK;
}

enum kiwi_status versus_engines_parse(const char *list, struct versus *versus)
{
    for (;;) {
        size_t length = strcspn(list, ",");
        char   name[48];

        if (length == 0)
            return FAIL(KIWI_INVALID, "--engines: an empty name; write --engines kiwi,rocksdb");
        snprintf(name, sizeof name, "%.*s", (int)min_u64(length, sizeof name - 1), list);
        TRY(engine_add(versus, name));
        if (list[length] == 0)
            return KIWI_OK;
        list += length + 1;
    }
}

void versus_order(uint32_t round, uint32_t engine_count, uint32_t *order)
{
    bool is_backwards = round / engine_count % 2 == 1;

    for (uint32_t i = 0; i < engine_count; i++) {
        uint32_t step = is_backwards ? engine_count - i : i;
        order[i] = (round + step) % engine_count;
    }
}

static struct versus_phase *phase_of(struct versus *versus, const json_t *phase)
{
    const char          *name = result_text(phase, "name");
    struct versus_phase *found = versus->phases;

    while (found < versus->phases + versus->phase_count && strcmp(found->name, name) != 0)
        found++;
    if (found < versus->phases + versus->phase_count)
        return found;
    if (versus->phase_count == VERSUS_PHASE_COUNT_MAX)
        return NULL;
    versus->phase_count++;
    snprintf(found->name, sizeof found->name, "%s", name);
    snprintf(found->stream_digest, sizeof found->stream_digest, "%s",
             result_text(phase, "stream_digest"));
    snprintf(found->durability, sizeof found->durability, "%s", result_text(phase, "durability"));
    found->is_load = strcmp(result_text(phase, "kind"), "load") == 0;
    return found;
}

static enum kiwi_status phase_add(struct versus *versus, uint32_t round, uint32_t engine,
                                  const json_t *phase)
{
    struct versus_phase *to = phase_of(versus, phase);
    size_t               index;
    json_t              *latency;

    if (to == NULL)
        return FAIL(KIWI_INVALID, "more than %u phases", VERSUS_PHASE_COUNT_MAX);
    if (strcmp(to->stream_digest, result_text(phase, "stream_digest")) != 0
        || strcmp(to->durability, result_text(phase, "durability")) != 0)
        return FAIL(KIWI_INVALID, "phase %s of %s: operations %s, %s, where others had %s, %s",
                    to->name, versus->engines[engine].label, result_text(phase, "stream_digest"),
                    result_text(phase, "durability"), to->stream_digest, to->durability);
    /* Loads of several data sets have one name: the first stands for all. */
    if (to->cells[VERSUS_RATE][engine].rounds[round] > 0)
        return KIWI_OK;
    to->cells[VERSUS_RATE][engine].rounds[round] = result_number(phase, "throughput_per_second");
    json_array_foreach(json_object_get(phase, "latency"), index, latency)
    {
        const char *name = result_text(latency, "operation");

        for (uint32_t i = 0; i < OPERATION_COUNT; i++)
            if (strcmp(name, operation_name((enum operation)i)) == 0)
                to->cells[VERSUS_P99 + i][engine].rounds[round] =
                    result_number(latency, "service.p99_ns");
    }
    return KIWI_OK;
}

enum kiwi_status versus_add(struct versus *versus, uint32_t round, uint32_t engine,
                            const json_t *run)
{
    struct versus_engine *of = &versus->engines[engine];
    size_t                index;
    json_t               *phase;

    assert(round < VERSUS_ROUND_COUNT_MAX && engine < versus->engine_count);
    snprintf(of->settings, sizeof of->settings, "%s", result_text(run, "engine.settings"));
    snprintf(of->note, sizeof of->note, "%s", result_text(run, "engine.note"));
    versus->round_count = (uint32_t)max_u64(versus->round_count, round + 1);
    json_array_foreach(json_object_get(run, "phases"), index, phase)
    {
        of->memory_peak_bytes = fmax(of->memory_peak_bytes,
                                     result_number(phase, "usage_with_drain.peak_memory_bytes"));
        of->folder_bytes_max = fmax(of->folder_bytes_max, result_number(phase, "folder_bytes"));
        if (!json_is_true(json_object_get(phase, "is_partial")))
            TRY(phase_add(versus, round, engine, phase));
    }
    return KIWI_OK;
}

double versus_median(const struct versus *versus, uint32_t phase, uint32_t row, uint32_t engine)
{
    const double *rounds = versus->phases[phase].cells[row][engine].rounds;
    double        sorted[VERSUS_ROUND_COUNT_MAX];
    size_t        count = 0;

    for (uint32_t i = 0; i < versus->round_count; i++)
        if (rounds[i] > 0)
            sorted[count++] = rounds[i];
    return median_of(sorted, count);
}

bool versus_has_row(const struct versus *versus, uint32_t phase, uint32_t row)
{
    for (uint32_t i = 0; i < versus->engine_count; i++)
        if (versus_median(versus, phase, row, i) > 0)
            return true;
    return false;
}

bool versus_ratio(const struct versus *versus, uint32_t phase, uint32_t engine,
                  struct shift *ratio)
{
    const struct versus_cell *cells = versus->phases[phase].cells[VERSUS_RATE];
    double                    differences[VERSUS_ROUND_COUNT_MAX];
    size_t                    count = 0;

    for (uint32_t i = 0; i < versus->round_count; i++)
        if (cells[0].rounds[i] > 0 && cells[engine].rounds[i] > 0)
            differences[count++] = log(cells[0].rounds[i] / cells[engine].rounds[i]);
    if (count == 0)
        return false;
    *ratio = shift_of(differences, count);
    ratio->middle = exp(ratio->middle);
    ratio->low = exp(ratio->low);
    ratio->high = exp(ratio->high);
    return true;
}

int versus_verdict(const struct shift *ratio)
{
    return ratio->low > 1 ? 1 : ratio->high < 1 ? -1 : 0;
}

const char *versus_row_name(uint32_t row, char *text, size_t bytes)
{
    assert(row >= VERSUS_P99 && row < VERSUS_ROW_COUNT);
    snprintf(text, bytes, "%s p99", operation_name((enum operation)(row - VERSUS_P99)));
    return text;
}

#define NAME_WIDTH  24
#define FIRST_WIDTH 11 /* the longest name, and a blank */
#define RATIO_WIDTH 21

/* Within RATIO_WIDTH up to a factor of 99,999. */
static void spread_text(const struct shift *ratio, char *text, size_t bytes)
{
    int places = ratio->high < 100 ? 2 : 0;

    snprintf(text, bytes, "%.*fx %.*f-%.*f", places, ratio->middle, places, ratio->low, places,
             ratio->high);
}

static void rate_row_print(FILE *stream, const struct versus *versus, uint32_t phase)
{
    fprintf(stream, "%-*.*s", NAME_WIDTH, NAME_WIDTH, versus->phases[phase].name);
    for (uint32_t i = 0; i < versus->engine_count; i++) {
        double       rate = versus_median(versus, phase, VERSUS_RATE, i);
        struct shift ratio;
        char         text[32] = "-", spread[48] = "";

        if (rate > 0)
            rate_text(rate, text, sizeof text);
        fprintf(stream, "%*s", FIRST_WIDTH, text);
        if (i == 0)
            continue;
        if (versus_ratio(versus, phase, i, &ratio))
            spread_text(&ratio, spread, sizeof spread);
        fprintf(stream, "%*s", RATIO_WIDTH, spread);
    }
    fputc('\n', stream);
}

static void tail_row_print(FILE *stream, const struct versus *versus, uint32_t phase, uint32_t row)
{
    char name[32];

    if (!versus_has_row(versus, phase, row))
        return;
    fprintf(stream, "  %-*s", NAME_WIDTH - 2, versus_row_name(row, name, sizeof name));
    for (uint32_t i = 0; i < versus->engine_count; i++) {
        double nanoseconds = versus_median(versus, phase, row, i);
        char   text[32] = "-";

        if (nanoseconds > 0)
            duration_text((uint64_t)nanoseconds, text, sizeof text);
        fprintf(stream, "%*s%*s", FIRST_WIDTH, text,
                i + 1 < versus->engine_count && i > 0 ? RATIO_WIDTH : 0, "");
    }
    fputc('\n', stream);
}

double versus_size(const struct versus *versus, enum versus_size size, uint32_t engine)
{
    const struct versus_engine *of = &versus->engines[engine];

    return size == VERSUS_MEMORY ? of->memory_peak_bytes
         : size == VERSUS_GROUP  ? of->group_peak_bytes
                                 : of->folder_bytes_max;
}

const char *versus_cap_text(const struct versus *versus, char *text, size_t bytes)
{
    const struct versus_cap *cap = &versus->cap;
    char                     whole[32], memory[32], allowance[32];

    if (!cap->is_enforced) {
        snprintf(text, bytes,
                 "Each engine was asked to keep to its share; nothing enforced it: %s.",
                 cap->reason);
        return text;
    }
    bytes_text(cap->memory_bytes + cap->allowance_bytes, whole, sizeof whole);
    bytes_text(cap->memory_bytes, memory, sizeof memory);
    bytes_text(cap->allowance_bytes, allowance, sizeof allowance);
    snprintf(text, bytes,
             "Each block ran in a control group of %s, page cache included: %s as asked of the "
             "engine, %s for the driver.", whole, memory, allowance);
    return text;
}

static void sizes_print(FILE *stream, const struct versus *versus, const char *name,
                        enum versus_size size)
{
    fprintf(stream, "%-*s", NAME_WIDTH, name);
    for (uint32_t i = 0; i < versus->engine_count; i++) {
        char text[32] = "-"; /* of an engine that was left out */

        if (versus_size(versus, size, i) > 0)
            bytes_text((uint64_t)versus_size(versus, size, i), text, sizeof text);
        fprintf(stream, "%*s%*s", FIRST_WIDTH, text,
                i + 1 < versus->engine_count && i > 0 ? RATIO_WIDTH : 0, "");
    }
    fputc('\n', stream);
}

/* Every row that the first engine does not win. */
static void verdicts_print(FILE *stream, const struct versus *versus, int wanted, const char *head)
{
    bool is_first = true;

    for (uint32_t phase = 0; phase < versus->phase_count; phase++)
        for (uint32_t i = 1; i < versus->engine_count; i++) {
            struct shift ratio;

            if (!versus_ratio(versus, phase, i, &ratio) || versus_verdict(&ratio) != wanted)
                continue;
            fprintf(stream, "%s%s %s (%.2fx)", is_first ? head : ", ", versus->phases[phase].name,
                    versus->engines[i].label, ratio.middle);
            is_first = false;
        }
    if (!is_first)
        fputc('\n', stream);
}

void versus_print(FILE *stream, const struct versus *versus)
{
    const char *first = versus->engines[0].label;
    char        cap[400];

    fprintf(stream, "%-*s", NAME_WIDTH, "operations a second");
    for (uint32_t i = 0; i < versus->engine_count; i++)
        fprintf(stream, "%*s%*s", FIRST_WIDTH, versus->engines[i].label,
                i + 1 < versus->engine_count && i > 0 ? RATIO_WIDTH : 0, "");
    fputc('\n', stream);
    for (uint32_t phase = 0; phase < versus->phase_count; phase++) {
        rate_row_print(stream, versus, phase);
        for (uint32_t row = VERSUS_P99; row < VERSUS_ROW_COUNT; row++)
            tail_row_print(stream, versus, phase, row);
    }
    sizes_print(stream, versus, "peak memory", VERSUS_MEMORY);
    if (versus->cap.is_enforced)
        sizes_print(stream, versus, "  with page cache", VERSUS_GROUP);
    sizes_print(stream, versus, "files, at most", VERSUS_FILES);
    fprintf(stream,
            "\nMedians of %u round%s. Ratios: %s over the other, paired by round; behind them the "
            "%s.\nPeak memory is of the process with its driver, without page cache.\n%s\n",
            versus->round_count, versus->round_count == 1 ? "" : "s", first,
            versus->round_count < 6 ? "whole range (a 95 % interval from 6 rounds on)"
                                    : "95 % interval",
            versus_cap_text(versus, cap, sizeof cap));
    verdicts_print(stream, versus, -1, "faster than the first: ");
    verdicts_print(stream, versus, 0, "not told apart:        ");
    for (uint32_t i = 0; i < versus->engine_count; i++) {
        const struct versus_engine *engine = &versus->engines[i];

        fprintf(stream, "%-12s %s%s%s\n", engine->label, engine->settings,
                engine->settings[0] != 0 && engine->note[0] != 0 ? "; " : "", engine->note);
    }
}

static json_t *cell_json(const struct versus *versus, uint32_t phase, uint32_t row, uint32_t engine)
{
    const double *rounds = versus->phases[phase].cells[row][engine].rounds;
    json_t       *array = json_array();

    for (uint32_t i = 0; i < versus->round_count; i++)
        json_array_append_new(array, rounds[i] > 0 ? json_real(rounds[i]) : json_null());
    return json_pack("{s:f, s:o}", "median", versus_median(versus, phase, row, engine), "rounds",
                     array);
}

static json_t *phase_engine_json(const struct versus *versus, uint32_t phase, uint32_t engine)
{
    json_t      *object = json_object(), *tails = json_object();
    struct shift ratio;

    json_object_set_new(object, "engine", json_string(versus->engines[engine].label));
    json_object_set_new(object, "throughput_per_second",
                        cell_json(versus, phase, VERSUS_RATE, engine));
    for (uint32_t i = 0; i < OPERATION_COUNT; i++)
        if (versus_median(versus, phase, VERSUS_P99 + i, engine) > 0)
            json_object_set_new(tails, operation_name((enum operation)i),
                                cell_json(versus, phase, VERSUS_P99 + i, engine));
    json_object_set_new(object, "p99_ns", tails);
    if (engine > 0 && versus_ratio(versus, phase, engine, &ratio))
        json_object_set_new(object, "first_over_this",
                            json_pack("{s:f, s:f, s:f}", "middle", ratio.middle, "low", ratio.low,
                                      "high", ratio.high));
    return object;
}

json_t *versus_phases_json(const struct versus *versus)
{
    json_t *array = json_array();

    for (uint32_t phase = 0; phase < versus->phase_count; phase++) {
        const struct versus_phase *of = &versus->phases[phase];
        json_t                    *engines = json_array();

        for (uint32_t i = 0; i < versus->engine_count; i++)
            json_array_append_new(engines, phase_engine_json(versus, phase, i));
        json_array_append_new(array, json_pack("{s:s, s:s, s:s, s:s, s:o}", "name", of->name,
                                               "kind", of->is_load ? "load" : "run",
                                               "stream_digest", of->stream_digest, "durability",
                                               of->durability, "engines", engines));
    }
    return array;
}

json_t *versus_engines_json(const struct versus *versus)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < versus->engine_count; i++) {
        const struct versus_engine *engine = &versus->engines[i];

        json_array_append_new(
            array, json_pack("{s:s, s:s, s:s, s:s, s:f, s:f, s:f}", "label", engine->label, "name",
                             engine->class->name, "settings", engine->settings, "note",
                             engine->note, "peak_memory_bytes", engine->memory_peak_bytes,
                             "group_peak_bytes", engine->group_peak_bytes, "folder_bytes",
                             engine->folder_bytes_max));
    }
    return array;
}

json_t *versus_cap_json(const struct versus *versus)
{
    const struct versus_cap *cap = &versus->cap;

    return json_pack("{s:b, s:I, s:I, s:s}", "is_enforced", (int)cap->is_enforced, "memory_bytes",
                     (json_int_t)cap->memory_bytes, "allowance_bytes",
                     (json_int_t)cap->allowance_bytes, "reason", cap->reason);
}
