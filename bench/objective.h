/*
 * objective.h: limits that a service promises ("p99=1ms,max=50ms"), and whether they are kept.
 */
#pragma once

#include "core/base/base.h"
#include "core/base/histogram.h"

enum quantile { QUANTILE_P50 = 0, QUANTILE_P95, QUANTILE_P99, QUANTILE_P99_9, QUANTILE_MAX,
                QUANTILE_COUNT };

struct objectives {
    uint64_t limits_ns[QUANTILE_COUNT];   /* 0: none */
    char     text[64];                    /* "p99 <= 1.00 ms, max <= 50.0 ms" */
};

struct quantiles {
    uint64_t ns[QUANTILE_COUNT];
};

struct objective_judgement {
    bool          are_met;
    enum quantile missed;      /* the one that is farthest above its limit, or nearest to it */
    double        share;       /* of its limit: above 1 it is missed */
};

/* KIWI_INVALID: the text names the part that is wrong, and the nearest that is right. */
MUST_USE enum kiwi_status objectives_parse(const char *text, struct objectives *out);

const char                *quantile_name(enum quantile quantile);    /* "p99.9" */
struct quantiles           quantiles_of(const struct kiwi_latency *latency);
struct objective_judgement objectives_judge(const struct objectives *objectives,
                                            const struct quantiles  *quantiles);
/* Operations a quantile needs so that ten of them lie beyond it; of the strictest limit. */
uint64_t objectives_sample(const struct objectives *objectives);
