/*
 * change.h: where a series of measurements steps to another level. Pure.
 *
 * Method   E-divisive means: D. S. Matteson, N. A. James, "A nonparametric approach for multiple
 *          change point analysis of multivariate data", J. Am. Stat. Assoc. 109 (2014), with
 *          exponent 1. The split of a piece that maximises the energy distance between its two
 *          sides, weighted by their sizes, is taken when few shuffles of the pieces have a larger
 *          one, and its sides are searched in turn. Splits are searched up to the end of a piece
 *          only, not up to every point within it. At last steps smaller than a share are joined.
 * Errors   among series without a step, where any order is as likely as any other, at most the
 *          share `level` has one reported: what the shuffles test is exactly that. Runs that
 *          drift slowly, or whose noise comes in spells, are no such series and show more.
 */
#pragma once

#include "core/base/base.h"

#define CHANGE_LEVEL       0.01
#define CHANGE_SHUFFLES    999u
#define CHANGE_SIDE_MIN    3u
#define CHANGE_SHARE_MIN   0.03
#define CHANGE_VALUES_MAX  500u   /* looked at; of more the last */

struct change_options {
    double   level;        /* the most likely false alarm that is accepted, per series */
    uint32_t shuffles;     /* of each test; 1 / (shuffles + 1) is the least level there is */
    uint32_t side_min;     /* values on each side of a step, at least 2 */
    double   share_min;    /* smaller steps are none, as a share of the level before */
    uint64_t seed;         /* of the shuffles */
};

struct change {
    size_t index;          /* the first value on the new level */
    double before, after;  /* medians of the pieces beside it */
    double chance;         /* of so clear a step in a series without one */
};

struct change_options change_options_default(void);

/* In order of index, at most max. values: count of them, finite. KIWI_NO_MEMORY. */
MUST_USE enum kiwi_status changes_find(const double *values, size_t count,
                                       const struct change_options *options, struct change *out,
                                       size_t max, size_t *found);
