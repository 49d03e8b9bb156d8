/*
 * ladder.h: the highest rate that meets an objective, searched for step by step.
 *
 *   closed loop    what the engine does as fast as it can: the ceiling
 *   climb          from a sixteenth of it, doubled; above it by quarters; until a rate is missed
 *   descend        when the first rate is missed: a quarter of it, until one is met
 *   narrow         the geometric middle of the highest met and the lowest missed, down to 5 %
 *   confirm        the highest met is tried again
 *
 * A machine has bad moments: a rate that is missed is tried again, unless far too little was done,
 * and of three tries the majority counts. Which rate comes next is a pure function of the results.
 */
#pragma once

#include "bench/objective.h"
#include "bench/pace.h"

#define LADDER_STEP_MAX     20u
#define LADDER_COUNT_MAX    4u      /* ladders of one run: their steps are phases */
#define LADDER_STEP_SECONDS 5.0

/* One step, in terms of the search. */
struct ladder_try {
    double rate;      /* asked; operations a second */
    bool   is_met;
    bool   is_clear;  /* the rate was missed by far: not worth another try */
};

struct ladder_next {
    bool     is_over;
    double   rate;
    uint32_t attempt;   /* at this rate, from 1 */
};

struct ladder_next ladder_next(double ceiling, const struct ladder_try *tries, uint32_t count);
/* The highest rate that was met, 0: none; and the lowest above it that was missed, 0: none. */
void ladder_bounds(const struct ladder_try *tries, uint32_t count, double *met, double *missed);
/* Three digits are enough to ask for. */
double ladder_round(double rate);

/* What a step measured. */
struct ladder_step {
    double           asked, achieved;    /* operations a second; asked 0: closed loop */
    double           seconds;
    uint64_t         operations;
    uint32_t         attempt;
    struct quantiles service, response;  /* response: open loop only */
    struct pace      pace;
    enum pace_verdict                verdict;
    struct objective_judgement       judgement;  /* of response */
    bool             is_behind, is_met;
};

struct ladder {
    char               workload[64];
    struct objectives  objectives;
    double             step_seconds;
    struct ladder_step closed;
    struct ladder_step steps[LADDER_STEP_MAX];
    struct ladder_try  tries[LADDER_STEP_MAX];   /* the same for the search */
    uint32_t           count;
    bool               is_complete;              /* else it was cut short */
};

/* Runs one step and fills all of it but judgement, is_behind and is_met. is_over: it was cut short
 * and does not count. operations: those of the step. */
struct ladder_request {
    double   rate;         /* 0: closed loop */
    uint64_t operations;
    double   seconds_max;
    uint32_t attempt;
    bool     is_kept;      /* else only its rate is of interest */
};
typedef enum kiwi_status (*ladder_run)(void *context, const struct ladder_request *request,
                                       struct ladder_step *step, bool *is_over);
/* A step that counts has been added: the closed one, or the last of steps. */
typedef void (*ladder_watch)(void *context, const struct ladder *ladder,
                             const struct ladder_step *step);

/* workload, objectives and step_seconds are set. operations: enough for a guess at the rate. */
MUST_USE enum kiwi_status ladder_climb(struct ladder *ladder, uint64_t operations, ladder_run run,
                                       ladder_watch watch, void *context);

/* Why a step did not meet the objectives: "p99 is 1.30 ms, that of service alone 1.20 ms". */
void ladder_reason(const struct ladder *ladder, const struct ladder_step *step, char *text,
                   size_t bytes);
/* The answer and why, one or two sentences without an end of line. */
void ladder_answer(const struct ladder *ladder, char *text, size_t bytes);
