/*
 * lengths.h: how long values and scans are, beyond what YCSB draws by formula (values.h).
 *
 * Pareto   the generalised distribution, whose chance to be at most x is
 *          1 - (1 + shape x / scale)^(-1 / shape), rounded up to whole numbers and restricted to
 *          least..most: a length has the chance the formula gives it, over that of the whole range.
 * Table    lengths with weights: a mix written as "64:60,512:30,4096:10", or a histogram file of
 *          YCSB's.
 */
#pragma once

#include <stdint.h>

#include "core/base/base.h"
#include "workloads/chance.h"

struct pareto {
    uint64_t least, most;
    double   shape, scale;   /* > 0 */
    double   low, high;      /* chances to be at most least - 1, at most most */
};

struct pareto pareto_of(uint64_t least, uint64_t most, double shape, double scale);
/* The chance of the formula, unrestricted, to be at most x. */
double        pareto_below(const struct pareto *pareto, double x);
uint64_t      pareto_draw(const struct pareto *pareto, struct chance *chance);

#define LENGTH_TABLE_MAX 256u

struct length_table {
    uint32_t count;
    uint64_t lengths[LENGTH_TABLE_MAX];   /* ascending in a histogram, as written in a mix */
    uint64_t below[LENGTH_TABLE_MAX];     /* running sums of the weights */
};

/* KIWI_INVALID: the text says what is wrong where. Lengths are 1 to most. */
MUST_USE enum kiwi_status length_mix_parse(const char *text, uint64_t most,
                                           struct length_table *out);
/*
 * A histogram file: "BlockSize", a tab, bytes; then lines of bucket number (from 0, none left out),
 * a tab and a count. Bucket i stands for (i + 1) blocks. Two peculiarities of the original are
 * kept: one count of what follows goes to the first bucket, and the last bucket stands for as many
 * blocks as the one before it.
 */
MUST_USE enum kiwi_status length_histogram_parse(const char *origin, const char *text, size_t bytes,
                                                 uint64_t most, struct length_table *out);
uint64_t length_table_draw(const struct length_table *table, struct chance *chance);
uint64_t length_table_least(const struct length_table *table);
uint64_t length_table_most(const struct length_table *table);
