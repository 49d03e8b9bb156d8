/*
 * report_ladder.c: ladders as tables for people, as ladder.csv and in run.json.
 */
#include <inttypes.h>
#include <string.h>

#include "bench/report.h"

/* What the column "meets" says. */
static const char *meets_text(const struct ladder_step *step, char *text, size_t bytes)
{
    if (step->is_met)
        snprintf(text, bytes, "yes");
    else if (step->is_behind)
        snprintf(text, bytes, "no: %s", step->verdict == PACE_DRIVER ? "driver" : "rate");
    else
        snprintf(text, bytes, "no: %s", quantile_name(step->judgement.missed));
    return text;
}

static void duration_cell(FILE *stream, uint64_t ns, bool is_there)
{
    char text[24];

    fprintf(stream, " %8s", is_there ? duration_text(ns, text, sizeof text) : "-");
}

void report_ladder_step(FILE *stream, const struct ladder *ladder, const struct ladder_step *step)
{
    static const enum quantile shown[] = { QUANTILE_P50, QUANTILE_P99, QUANTILE_P99_9,
                                           QUANTILE_MAX };
    const bool                 is_open = step->asked > 0;
    char                       asked[24], achieved[16], meets[24];

    if (!is_open) {
        fprintf(stream, "\n%s: the highest rate with %s, steps of %.4g s\n", ladder->workload,
                ladder->objectives.text, ladder->step_seconds);
        fprintf(stream, "%-11s %9s %26s %35s\n", "", "", "service", "response");
        fprintf(stream, "%-11s %9s %8s %8s %8s %8s %8s %8s %8s  %s\n", "rate asked", "achieved",
                "p50", "p99", "p99.9", "p50", "p99", "p99.9", "max", "meets");
    }
    fprintf(stream, "%-11s %9s", is_open ? rate_text(step->asked, asked, sizeof asked) : "any",
            rate_text(step->achieved, achieved, sizeof achieved));
    for (size_t i = 0; i < 3; i++)
        duration_cell(stream, step->service.ns[shown[i]], true);
    for (size_t i = 0; i < ARRAY_COUNT(shown); i++)
        duration_cell(stream, step->response.ns[shown[i]], is_open);
    fprintf(stream, "  %s\n", is_open ? meets_text(step, meets, sizeof meets) : "closed loop");
    fflush(stream);
}

/* Words from column 10 on, at most 98 columns wide; the first line has its label already. */
static void words_print(FILE *stream, const char *text)
{
    size_t column = 10;

    for (const char *word = text + strspn(text, " "); *word != 0; word += strspn(word, " ")) {
        size_t length = strcspn(word, " ");

        if (column > 10 && column + 1 + length > 98) {
            fprintf(stream, "\n%10s", "");
            column = 10;
        }
        fprintf(stream, "%s%.*s", column > 10 ? " " : "", (int)length, word);
        column += length + (column > 10 ? 1 : 0);
        word += length;
    }
    fputc('\n', stream);
}

/* The last try at a rate, or NULL. */
static const struct ladder_step *step_at(const struct ladder *ladder, double rate)
{
    for (uint32_t i = ladder->count; i-- > 0 && rate > 0;)
        if (ladder->steps[i].asked >= rate - 0.5 && ladder->steps[i].asked <= rate + 0.5)
            return &ladder->steps[i];
    return NULL;
}

static void ladder_notes(FILE *stream, const struct ladder *ladder)
{
    const struct ladder_step *best, *above;
    double                    met, missed;
    char                      text[320], rate[16];

    ladder_bounds(ladder->tries, ladder->count, &met, &missed);
    best = step_at(ladder, met);
    above = step_at(ladder, missed);
    if (best != NULL && best->operations < objectives_sample(&ladder->objectives)) {
        snprintf(text, sizeof text,
                 "its step had %" PRIu64 " operations, but %" PRIu64 " are needed for ten to lie "
                 "beyond the strictest limit: use longer --seconds",
                 best->operations, objectives_sample(&ladder->objectives));
        fputs("note      ", stream);
        words_print(stream, text);
    }
    if (above != NULL && above->verdict == PACE_DRIVER) {
        snprintf(text, sizeof text,
                 "the driver is the bottleneck at %s ops/s: its threads were %.0f %% of the late "
                 "time with the driver, not with the engine, which may do more",
                 rate_text(above->asked, rate, sizeof rate),
                 100 * pace_driver_share(&above->pace));
        fputs("WARNING   ", stream);
        words_print(stream, text);
    }
    if (!ladder->is_complete)
        fputs("note      the ladder was cut short, a complete one may find more\n", stream);
}

void report_ladder_answers(FILE *stream, const struct suite *suite)
{
    char answer[400], text[480];

    if (suite->ladder_count > 0)
        fputc('\n', stream);
    for (uint32_t i = 0; i < suite->ladder_count; i++) {
        ladder_answer(&suite->ladders[i], answer, sizeof answer);
        snprintf(text, sizeof text, "%s: %s", suite->ladders[i].workload, answer);
        fputs("answer    ", stream);
        words_print(stream, text);
        ladder_notes(stream, &suite->ladders[i]);
    }
}

static void csv_quantiles(FILE *stream, const struct quantiles *quantiles, bool is_there)
{
    for (uint32_t i = 0; i < QUANTILE_COUNT; i++)
        if (is_there)
            fprintf(stream, ",%" PRIu64, quantiles->ns[i]);
        else
            fputc(',', stream);
}

static void csv_row(FILE *stream, const struct ladder *ladder, const struct ladder_step *step)
{
    const bool is_open = step->asked > 0;

    fprintf(stream, "%s,%.0f,%u,%.3f,%.3f,%" PRIu64, ladder->workload, step->asked, step->attempt,
            step->achieved, step->seconds, step->operations);
    csv_quantiles(stream, &step->service, true);
    csv_quantiles(stream, &step->response, is_open);
    if (is_open)
        fprintf(stream, ",%" PRIu64 ",%s,%s\n", step->pace.lag_ns,
                pace_verdict_name(step->verdict), step->is_met ? "yes" : "no");
    else
        fputs(",,,\n", stream);
}

void ladders_csv_write(FILE *stream, const struct suite *suite)
{
    static const char *const clocks[] = { "service", "response" };

    fputs("workload,rate_asked,attempt,rate_achieved,seconds,operations", stream);
    for (size_t clock = 0; clock < ARRAY_COUNT(clocks); clock++)
        for (uint32_t i = 0; i < QUANTILE_COUNT; i++)
            fprintf(stream, ",%s_%s_ns", clocks[clock], quantile_name((enum quantile)i));
    fputs(",lag_p99_ns,bottleneck,meets\n", stream);
    for (uint32_t i = 0; i < suite->ladder_count; i++) {
        const struct ladder *ladder = &suite->ladders[i];

        if (ladder->closed.operations > 0)
            csv_row(stream, ladder, &ladder->closed);
        for (uint32_t j = 0; j < ladder->count; j++)
            csv_row(stream, ladder, &ladder->steps[j]);
    }
}

static json_t *quantiles_json(const struct quantiles *quantiles)
{
    static const char *const names[QUANTILE_COUNT] = { "p50_ns", "p95_ns", "p99_ns", "p99_9_ns",
                                                       "max_ns" };
    json_t *object = json_object();

    for (uint32_t i = 0; i < QUANTILE_COUNT; i++)
        json_object_set_new(object, names[i], json_integer((json_int_t)quantiles->ns[i]));
    return object;
}

static json_t *step_json(const struct ladder *ladder, const struct ladder_step *step)
{
    const bool is_open = step->asked > 0;
    json_t    *object = json_object();
    char       reason[160];

    json_object_set_new(object, "asked_per_second", json_real(step->asked));
    json_object_set_new(object, "attempt", json_integer(step->attempt));
    json_object_set_new(object, "achieved_per_second", json_real(step->achieved));
    json_object_set_new(object, "seconds", json_real(step->seconds));
    json_object_set_new(object, "operations", json_integer((json_int_t)step->operations));
    json_object_set_new(object, "service", quantiles_json(&step->service));
    if (!is_open)
        return object;
    json_object_set_new(object, "response", quantiles_json(&step->response));
    json_object_set_new(object, "lag_p99_ns", json_integer((json_int_t)step->pace.lag_ns));
    json_object_set_new(object, "driver_share", json_real(pace_driver_share(&step->pace)));
    json_object_set_new(object, "processor_share", json_real(pace_processor_share(&step->pace)));
    json_object_set_new(object, "bottleneck", json_string(pace_verdict_name(step->verdict)));
    json_object_set_new(object, "is_met", json_boolean(step->is_met));
    if (!step->is_met) {
        ladder_reason(ladder, step, reason, sizeof reason);
        json_object_set_new(object, "reason", json_string(reason));
    }
    return object;
}

static json_t *ladder_json(const struct ladder *ladder)
{
    json_t *object = json_object(), *steps = json_array(), *limits = json_object();
    double  met, missed;
    char    text[400];

    ladder_bounds(ladder->tries, ladder->count, &met, &missed);
    ladder_answer(ladder, text, sizeof text);
    json_object_set_new(object, "workload", json_string(ladder->workload));
    json_object_set_new(object, "objectives", json_string(ladder->objectives.text));
    for (uint32_t i = 0; i < QUANTILE_COUNT; i++)
        if (ladder->objectives.limits_ns[i] > 0)
            json_object_set_new(limits, quantile_name((enum quantile)i),
                                json_integer((json_int_t)ladder->objectives.limits_ns[i]));
    json_object_set_new(object, "limits_ns", limits);
    json_object_set_new(object, "step_seconds", json_real(ladder->step_seconds));
    json_object_set_new(object, "is_complete", json_boolean(ladder->is_complete));
    json_object_set_new(object, "met_per_second", json_real(met));
    json_object_set_new(object, "missed_per_second", json_real(missed));
    json_object_set_new(object, "answer", json_string(text));
    if (ladder->closed.operations > 0)
        json_array_append_new(steps, step_json(ladder, &ladder->closed));
    for (uint32_t i = 0; i < ladder->count; i++)
        json_array_append_new(steps, step_json(ladder, &ladder->steps[i]));
    json_object_set_new(object, "steps", steps);
    return object;
}

json_t *ladders_json(const struct suite *suite)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < suite->ladder_count; i++)
        json_array_append_new(array, ladder_json(&suite->ladders[i]));
    return array;
}
