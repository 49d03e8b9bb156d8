/*
 * zipf.c: rejection-inversion.
 *
 * The hat over the bars h(k) = k^-s is the smooth curve h(x) from k - 1/2 to k + 1/2. Its area
 * H(x) has a closed inverse, so a point under the curve costs one random number; because h is
 * convex, the curve's piece is at least as large as the bar, and the difference is rejected.
 */
#include "workloads/zipf.h"

#include <assert.h>
#include <math.h>

/* (x^(1 - s) - 1) / (1 - s), which is log x for s = 1; near it without cancellation. */
static double area(double exponent, double x)
{
    double power = 1 - exponent, logarithm = log(x);

    if (fabs(power * logarithm) < 1e-8)
        return logarithm * (1 + power * logarithm / 2);
    return expm1(power * logarithm) / power;
}

static double area_inverse(double exponent, double y)
{
    double power = 1 - exponent, product = power * y;

    if (product <= -1)
        return HUGE_VAL; /* rounding at the far end; the caller clamps */
    if (fabs(product) < 1e-8)
        return exp(y * (1 - product / 2));
    return exp(log1p(product) / power);
}

static double bar(double exponent, double x)
{
    return pow(x, -exponent);
}

struct zipf zipf_of(uint64_t count, double exponent)
{
    assert(count > 0);
    assert(exponent >= 0 && exponent <= ZIPF_EXPONENT_MAX);
    return (struct zipf){
        .count = count,
        .exponent = exponent,
        .area_first = area(exponent, 1.5) - 1,
        .area_last = area(exponent, (double)count + 0.5),
        .sure = 2 - area_inverse(exponent, area(exponent, 2.5) - bar(exponent, 2)),
    };
}

uint64_t zipf_draw(const struct zipf *zipf, struct chance *chance)
{
    for (;;) {
        double u = zipf->area_last
                 + chance_unit(chance) * (zipf->area_first - zipf->area_last);
        double x = area_inverse(zipf->exponent, u), rank = floor(x + 0.5);

        if (rank < 1)
            rank = 1;
        else if (rank > (double)zipf->count)
            rank = (double)zipf->count;
        if (rank - x <= zipf->sure
            || u >= area(zipf->exponent, rank + 0.5) - bar(zipf->exponent, rank))
            return (uint64_t)rank;
    }
}
