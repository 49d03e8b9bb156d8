/*
 * zipf.h: ranks 1 to count with a chance of 1 / rank^exponent: Zipf's law itself, for any exponent.
 *
 * YCSB's two forms (choosers.h) stand for other things: the closed form of Gray and others is an
 * approximation that holds below exponent 1 only and needs a sum over all ranks first, and the
 * scrambled one is far flatter. Here a draw costs the same for every count and exponent, exactly:
 * rejection-inversion, Hörmann and Derflinger, "Rejection-inversion to generate variates from
 * monotone discrete distributions", ACM TOMACS 6(3), 1996.
 */
#pragma once

#include <stdint.h>

#include "workloads/chance.h"

#define ZIPF_EXPONENT_MAX 20.0

struct zipf {
    uint64_t count;
    double   exponent;       /* 0: uniform */
    double   area_first;     /* of the hat, up to the end of rank 1, less what rank 1 leaves over */
    double   area_last;      /* up to the end of the last rank */
    double   sure;           /* a rank this little above the point drawn is never rejected */
};

/* count > 0; 0 <= exponent <= ZIPF_EXPONENT_MAX. */
struct zipf zipf_of(uint64_t count, double exponent);
uint64_t    zipf_draw(const struct zipf *zipf, struct chance *chance);
