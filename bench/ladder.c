/*
 * ladder.c: the search, and what it says in the end.
 */
#include "bench/ladder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "bench/report.h"

#define FIRST_SHARE   16.0      /* of the ceiling, the first rate */
#define CLIMB_FACTOR  2.0       /* below the ceiling */
#define BEYOND_FACTOR 1.25      /* above it */
#define DESCENT       4.0
#define DEEPEST       5000.0    /* of the ceiling, below which nothing is tried */
#define RESOLUTION    1.05
#define TRIES_MAX     3u
#define FAR_BEHIND    0.8       /* of the rate asked */

double ladder_round(double rate)
{
    double unit = pow(10, fmax(floor(log10(fmax(rate, 1))) - 2, 0));

    return fmax(round(rate / unit) * unit, 1);
}

/* What the tries at one rate say together. */
struct vote {
    uint32_t count, met, missed;
};

static struct vote vote_of(const struct ladder_try *tries, uint32_t count, double rate)
{
    struct vote vote = { 0, 0, 0 };

    for (uint32_t i = 0; i < count; i++) {
        if (fabs(tries[i].rate - rate) > rate * 1e-9)
            continue;
        vote.count++;
        vote.met += tries[i].is_met ? 1 : 0;
        vote.missed += tries[i].is_met ? 0 : tries[i].is_clear ? 2 : 1;
    }
    return vote;
}

static bool vote_is_met(struct vote vote)
{
    return vote.met > vote.missed;
}

/* One doubtful miss, or as many tries met as missed. */
static bool vote_is_open(struct vote vote)
{
    return vote.count < TRIES_MAX
        && ((vote.met == 0 && vote.missed == 1) || (vote.met > 0 && vote.met == vote.missed));
}

void ladder_bounds(const struct ladder_try *tries, uint32_t count, double *met, double *missed)
{
    *met = *missed = 0;
    for (uint32_t i = 0; i < count; i++)
        if (tries[i].rate > *met && vote_is_met(vote_of(tries, count, tries[i].rate)))
            *met = tries[i].rate;
    for (uint32_t i = 0; i < count; i++)
        if (tries[i].rate > *met && (*missed <= 0 || tries[i].rate < *missed)
            && !vote_is_met(vote_of(tries, count, tries[i].rate)))
            *missed = tries[i].rate;
}

/* The rate after the highest met, while none was missed. */
static double climb(double ceiling, double met)
{
    if (met * CLIMB_FACTOR <= ceiling)
        return ladder_round(met * CLIMB_FACTOR);
    if (met < 0.97 * ceiling && ladder_round(ceiling) > met)
        return ladder_round(ceiling);
    return fmax(ladder_round(met * BEYOND_FACTOR), met + 1);
}

struct ladder_next ladder_next(double ceiling, const struct ladder_try *tries, uint32_t count)
{
    double met, missed, rate;

    assert(ceiling > 0);
    if (count == 0)
        return (struct ladder_next){ false, ladder_round(ceiling / FIRST_SHARE), 1 };
    if (count >= LADDER_STEP_MAX)
        return (struct ladder_next){ .is_over = true };
    rate = tries[count - 1].rate;
    if (vote_is_open(vote_of(tries, count, rate)))
        return (struct ladder_next){ false, rate, vote_of(tries, count, rate).count + 1 };
    ladder_bounds(tries, count, &met, &missed);
    if (missed <= 0)
        return (struct ladder_next){ false, climb(ceiling, met), 1 };
    if (met <= 0) {
        rate = ladder_round(missed / DESCENT);
        if (rate >= missed || rate < ceiling / DEEPEST)
            return (struct ladder_next){ .is_over = true };
        return (struct ladder_next){ false, rate, 1 };
    }
    rate = ladder_round(sqrt(met * missed));
    if (missed / met > RESOLUTION && rate > met && rate < missed)
        return (struct ladder_next){ false, rate, 1 };
    if (vote_of(tries, count, met).count == 1)
        return (struct ladder_next){ false, met, 2 };
    return (struct ladder_next){ .is_over = true };
}

static void step_judge(struct ladder *ladder, struct ladder_step *step)
{
    struct ladder_try *try = &ladder->tries[ladder->count];

    step->is_behind = pace_is_behind(&step->pace);
    step->verdict = pace_judge(&step->pace);
    step->judgement = objectives_judge(&ladder->objectives, &step->response);
    step->is_met = step->judgement.are_met && !step->is_behind;
    try->rate = step->asked;
    try->is_met = step->is_met;
    /* A bad moment can make any latency a hundred times as long, but it passes. */
    try->is_clear = step->is_behind && step->achieved < FAR_BEHIND * step->asked;
}

/* The ceiling: a short look first, since how many operations fill a step is not known. */
static enum kiwi_status closed_measure(struct ladder *ladder, uint64_t operations, ladder_run run,
                                       void *context, bool *is_over)
{
    struct ladder_request request = { .operations = operations,
                                      .seconds_max = ladder->step_seconds };
    struct ladder_step    step = { 0 };

    TRY(run(context, &request, &step, is_over));
    if (*is_over || step.achieved <= 0)
        return KIWI_OK;
    request.operations = (uint64_t)fmax(step.achieved * ladder->step_seconds, 1);
    request.is_kept = true;
    request.attempt = 1;
    ladder->closed.attempt = 1;
    return run(context, &request, &ladder->closed, is_over);
}

enum kiwi_status ladder_climb(struct ladder *ladder, uint64_t operations, ladder_run run,
                              ladder_watch watch, void *context)
{
    bool is_over = false;

    assert(ladder->step_seconds > 0);
    TRY(closed_measure(ladder, operations, run, context, &is_over));
    if (is_over || ladder->closed.achieved <= 0)
        return KIWI_OK;
    watch(context, ladder, &ladder->closed);
    for (;;) {
        struct ladder_next   next = ladder_next(ladder->closed.achieved, ladder->tries,
                                                ladder->count);
        struct ladder_step  *step = &ladder->steps[ladder->count];
        struct ladder_request request = {
            .rate = next.rate, .attempt = next.attempt, .seconds_max = ladder->step_seconds,
            .is_kept = true,
            .operations = (uint64_t)fmax(ceil(next.rate * ladder->step_seconds), 1),
        };

        if (next.is_over)
            break;
        TRY(run(context, &request, step, &is_over));
        if (is_over)
            return KIWI_OK;
        step->attempt = next.attempt;
        step_judge(ladder, step);
        ladder->count++;
        watch(context, ladder, step);
    }
    ladder->is_complete = true;
    return KIWI_OK;
}

/* The last try at a rate that was not met; NULL: there is none. */
static const struct ladder_step *missed_step(const struct ladder *ladder, double rate)
{
    const struct ladder_step *found = NULL;

    for (uint32_t i = 0; i < ladder->count; i++)
        if (!ladder->steps[i].is_met && fabs(ladder->steps[i].asked - rate) < 0.5)
            found = &ladder->steps[i];
    return found;
}

void ladder_reason(const struct ladder *ladder, const struct ladder_step *step, char *text,
                   size_t bytes)
{
    const enum quantile quantile = step->judgement.missed;
    const uint64_t      limit_ns = ladder->objectives.limits_ns[quantile];
    const char         *name = quantile_name(quantile);
    char                response[24], service[24], rate[16];

    duration_text(step->response.ns[quantile], response, sizeof response);
    duration_text(step->service.ns[quantile], service, sizeof service);
    if (step->is_behind)
        snprintf(text, bytes, "%s were done: the %s fell behind",
                 rate_text(step->achieved, rate, sizeof rate),
                 step->verdict == PACE_DRIVER      ? "driver"
                 : step->verdict == PACE_PROCESSOR ? "driver, without a processor,"
                                                   : "engine");
    else if (step->service.ns[quantile] > limit_ns)
        snprintf(text, bytes, "%s is %s, that of service alone %s", name, response, service);
    else
        snprintf(text, bytes, "%s is %s, that of service %s: operations wait for %s", name,
                 response, service,
                 pace_processor_share(&step->pace) > 0.5 ? "a processor to hand them over"
                 : pace_driver_share(&step->pace) > 0.5  ? "the driver"
                                                         : "the engine");
}

void ladder_answer(const struct ladder *ladder, char *text, size_t bytes)
{
    const struct ladder_step *step;
    double                    met, missed;
    char                      rates[2][16], reason[160] = "";

    ladder_bounds(ladder->tries, ladder->count, &met, &missed);
    step = missed_step(ladder, missed);
    if (step != NULL)
        ladder_reason(ladder, step, reason, sizeof reason);
    rate_text(met, rates[0], sizeof rates[0]);
    rate_text(missed, rates[1], sizeof rates[1]);
    if (ladder->count == 0)
        snprintf(text, bytes, "no step was finished");
    else if (met <= 0 && ladder->is_complete)
        snprintf(text, bytes, "no rate meets %s: at %s ops/s %s", ladder->objectives.text, rates[1],
                 reason);
    else if (met <= 0)
        snprintf(text, bytes, "no rate tried meets %s: at %s ops/s %s", ladder->objectives.text,
                 rates[1], reason);
    else if (step == NULL)
        snprintf(text, bytes, "%s ops/s meet %s; no higher rate was tried to its end", rates[0],
                 ladder->objectives.text);
    else
        snprintf(text, bytes, "%s ops/s meet %s; of %s %s", rates[0], ladder->objectives.text,
                 rates[1], reason);
}
