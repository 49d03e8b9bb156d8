/*
 * statistics.h: paired comparisons, as pure functions; steps in a history are in change.h.
 *
 * Sources   Hodges and Lehmann 1963 (the shift and its interval), Wilcoxon 1945 (signed ranks),
 *           Pocock-like split of alpha over looks.
 */
#pragma once

#include "core/base/base.h"

#define STATISTICS_COUNT_MAX 64u

struct shift {
    double middle;      /* median of the means of all pairs */
    double low, high;   /* 95 % interval, from the exact distribution of signed ranks */
    double p_greater;   /* one-sided: chance of such ranks when nothing is greater than 0 */
};

/* count: 1 to STATISTICS_COUNT_MAX; below 6 the interval is the whole range. */
struct shift shift_of(const double *differences, size_t count);

enum ab_verdict { AB_GO_ON = 0, AB_PASS, AB_SLOWER, AB_UNSTABLE, AB_UNDECIDED };

const char *ab_verdict_name(enum ab_verdict verdict);

/* Pairs there are at a look; looks count from 0. */
#define AB_LOOK_COUNT 3u
uint32_t ab_look_pairs(uint32_t look);

struct ab_judgement {
    enum ab_verdict verdict;
    struct shift    candidate;           /* of log ratios to the mean of base and canary */
    struct shift    canary;              /* of log ratios to the base */
    double          smallest;            /* the smallest log ratio the run would have found */
};

/* candidate, canary: log ratios to the base, ab_look_pairs(look) each; the canary is the base once
 * more. gate: the log ratio from which on slower matters. A candidate is slower when it is so than
 * both, by more than the gate; then a canary that moved changes nothing. Where it is not, a canary
 * further than half the gate from the base makes the machine unstable instead of the verdict. */
struct ab_judgement ab_judge(const double *candidate, const double *canary, uint32_t look,
                             double gate);

/* Sorts the values; 0 of none. */
double median_of(double *values, size_t count);
