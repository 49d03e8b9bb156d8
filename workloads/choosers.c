/*
 * choosers.c: the arithmetic of YCSB's key choosers.
 *
 * The order of floating-point operations is the original's, because the draws are compared with it.
 */
#include "workloads/choosers.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "core/base/base.h"
#include "workloads/keys.h"

double zeta_extend(uint64_t first, uint64_t last, double theta, double sum)
{
    for (uint64_t i = first; i < last; i++)
        sum += 1.0 / pow((double)(i + 1), theta);
    return sum;
}

static void zipfian_eta_set(struct zipfian *zipfian)
{
    zipfian->eta = (1.0 - pow(2.0 / (double)zipfian->items, 1.0 - zipfian->theta))
                 / (1.0 - zipfian->zeta_of_two / zipfian->zeta);
}

struct zipfian zipfian_of_zeta(uint64_t first, uint64_t last, double zeta)
{
    struct zipfian zipfian = {
        .base = first,
        .items = last - first + 1,
        .zeta_items = last - first + 1,
        .theta = ZIPFIAN_THETA,
        .zeta = zeta,
        .alpha = 1.0 / (1.0 - ZIPFIAN_THETA),
        .half_power = 1.0 + pow(0.5, ZIPFIAN_THETA),
    };

    assert(first <= last);
    zipfian.zeta_of_two = zeta_extend(0, 2, ZIPFIAN_THETA, 0);
    zipfian_eta_set(&zipfian);
    return zipfian;
}

struct zipfian zipfian_of(uint64_t first, uint64_t last)
{
    assert(first <= last);
    return zipfian_of_zeta(first, last, zeta_extend(0, last - first + 1, ZIPFIAN_THETA, 0));
}

/*
 * floor(items * x^alpha), where alpha is 100 but for the rounding of 1 / (1 - 0.99). x^100 by eight
 * multiplications differs from it by less than 1e-13 in proportion, so for up to 10^10 items by
 * less than 0.001: only a product that close to a whole number needs the real power, which costs 5
 * times as much. The result is the same for every x.
 */
static uint64_t rank_of(double items, double x, double alpha)
{
    double x2 = x * x, x4 = x2 * x2, x8 = x4 * x4, x16 = x8 * x8, x32 = x16 * x16;
    double product = items * (x32 * x32 * x32 * x4);
    double whole = (double)(uint64_t)product;

    assert_slow(items <= 1.1e10);
    if (__builtin_expect(product - whole > 0.001 && product - whole < 0.999, 1))
        return (uint64_t)product;
    return (uint64_t)(items * pow(x, alpha));
}

uint64_t zipfian_draw_among(struct zipfian *zipfian, uint64_t items, struct chance *chance)
{
    double u, uz;

    if (__builtin_expect(items > zipfian->zeta_items, 0)) {
        zipfian->zeta = zeta_extend(zipfian->zeta_items, items, zipfian->theta, zipfian->zeta);
        zipfian->zeta_items = items;
        zipfian_eta_set(zipfian);
    }
    u = chance_unit(chance);
    uz = u * zipfian->zeta;
    if (uz < 1.0)
        return zipfian->base;
    if (uz < zipfian->half_power)
        return zipfian->base + 1;
    return zipfian->base
         + rank_of((double)items, zipfian->eta * u - zipfian->eta + 1.0, zipfian->alpha);
}

uint64_t zipfian_draw(struct zipfian *zipfian, struct chance *chance)
{
    return zipfian_draw_among(zipfian, zipfian->items, chance);
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* Near the golden section of count, so that neighbouring ranks lie far apart, and without a common
 * divisor, so that every record has one rank. */
static uint64_t stride_of(uint64_t count)
{
    uint64_t stride = (uint64_t)((double)count * 0.6180339887498949) | 1;

    while (common_divisor(stride, count) != 1)
        stride++;
    return stride;
}

static uint64_t true_zipfian_draw(const struct chooser *chooser, struct chance *chance)
{
    uint64_t    rank = zipf_draw(&chooser->zipf, chance) - 1;
    chance_wide product = (chance_wide)rank * chooser->stride;

    if (__builtin_expect((product >> 64) == 0, 1))
        return chooser->first + (uint64_t)product % chooser->count;
    return chooser->first + (uint64_t)(product % chooser->count);
}

struct chooser chooser_of(const struct chooser_options *options)
{
    struct chooser chooser = {
        .kind = options->kind,
        .first = options->first,
        .count = options->count,
    };

    assert(options->count > 0);
    switch (options->kind) {
    case CHOOSE_UNIFORM:
    case CHOOSE_SEQUENTIAL:
        break;
    case CHOOSE_ZIPFIAN:
        /* Inclusive upper end in the original, hence the one. */
        chooser.count = options->count + options->expected_inserts + 1;
        chooser.count_inverse = UINT64_MAX / chooser.count;
        chooser.zipfian = zipfian_of_zeta(0, SCRAMBLED_ITEM_COUNT, SCRAMBLED_ZETA);
        break;
    case CHOOSE_LATEST:
        chooser.zipfian = zipfian_of(0, options->record_count > 2 ? options->record_count - 2 : 0);
        break;
    case CHOOSE_HOTSPOT:
        chooser.hot_count = (uint64_t)((double)options->count * options->hotspot_data);
        chooser.hot_share = options->hotspot_operations;
        break;
    case CHOOSE_TRUE_ZIPFIAN:
        chooser.zipf = zipf_of(options->count, options->zipfian_constant);
        chooser.stride = stride_of(options->count);
        break;
    case CHOOSE_KEYRANGE:
        chooser.keyranges = keyranges_of(&options->keyrange, options->first, options->count);
        break;
    case CHOOSE_HOT_SHARD:
        chooser.hot_count = (uint64_t)((double)options->count * options->hotspot_data);
        chooser.hot_share = options->hotspot_operations;
        break;
    case CHOOSE_EXPONENTIAL:
        chooser.gamma = -log(1.0 - options->exponential_percentile / 100.0)
                      / ((double)options->record_count * options->exponential_fraction);
        break;
    }
    return chooser;
}

static uint64_t hotspot_draw(const struct chooser *chooser, struct chance *chance)
{
    uint64_t cold_count = chooser->count - chooser->hot_count;

    if ((chance_unit(chance) < chooser->hot_share && chooser->hot_count > 0) || cold_count == 0)
        return chooser->first + chance_below(chance, chooser->hot_count);
    return chooser->first + chooser->hot_count + chance_below(chance, cold_count);
}

static uint64_t hot_shard_draw(const struct chooser *chooser, struct chance *chance)
{
    if (chance_unit(chance) < chooser->hot_share && chooser->hot_count > 0) {
        uint64_t i = chance_below(chance, chooser->hot_count);

        return chooser->hot_records != NULL ? chooser->hot_records[i] : chooser->first + i;
    }
    return chooser->first + chance_below(chance, chooser->count);
}

static uint64_t exponential_draw(const struct chooser *chooser, uint64_t newest,
                                 struct chance *chance)
{
    for (;;) {
        double distance = -log(1.0 - chance_unit(chance)) / chooser->gamma;

        if (distance < (double)newest + 1.0)
            return newest - (uint64_t)distance;
    }
}

/* Record 0 never comes, as in the original: the rank runs below newest. */
static uint64_t latest_draw(struct chooser *chooser, uint64_t newest, struct chance *chance)
{
    uint64_t rank;

    if (newest == 0)
        return 0;
    do {
        rank = zipfian_draw_among(&chooser->zipfian, newest, chance);
    } while (__builtin_expect(rank > newest, 0));
    return newest - rank;
}

/* hash % count by multiplication (Barrett): the quotient so found is right or one too small. */
static uint64_t scatter(const struct chooser *chooser, uint64_t rank)
{
    uint64_t hash = key_hash(rank);
    uint64_t quotient = (uint64_t)(((chance_wide)hash * chooser->count_inverse) >> 64);
    uint64_t rest = hash - quotient * chooser->count;

    rest -= chooser->count & (0 - (uint64_t)(rest >= chooser->count)); /* no branch: it is random */
    assert_slow(rest == hash % chooser->count);
    return chooser->first + rest;
}

void chooser_draw_many(struct chooser *chooser, uint64_t newest, struct chance *chance,
                       uint64_t *records, uint32_t count)
{
    if (chooser->kind != CHOOSE_ZIPFIAN) {
        for (uint32_t i = 0; i < count; i++)
            records[i] = chooser_draw(chooser, newest, chance);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        records[i] = zipfian_draw(&chooser->zipfian, chance);
    for (uint32_t i = 0; i < count; i++)
        records[i] = scatter(chooser, records[i]);
    for (uint32_t i = 0; i < count; i++)
        if (__builtin_expect(records[i] > newest, 0))
            records[i] = chooser_draw(chooser, newest, chance);
}

uint64_t chooser_draw(struct chooser *chooser, uint64_t newest, struct chance *chance)
{
    uint64_t record;

    switch (chooser->kind) {
    case CHOOSE_ZIPFIAN:
        do {
            record = scatter(chooser, zipfian_draw(&chooser->zipfian, chance));
        } while (__builtin_expect(record > newest, 0));
        return record;
    case CHOOSE_LATEST:
        return latest_draw(chooser, newest, chance);
    case CHOOSE_HOTSPOT:
        return hotspot_draw(chooser, chance);
    case CHOOSE_EXPONENTIAL:
        return exponential_draw(chooser, newest, chance);
    case CHOOSE_SEQUENTIAL:
        return chooser->first + chooser->sequence++ % chooser->count;
    case CHOOSE_TRUE_ZIPFIAN:
        return true_zipfian_draw(chooser, chance);
    case CHOOSE_KEYRANGE:
        return keyranges_draw(&chooser->keyranges, chance);
    case CHOOSE_HOT_SHARD:
        return hot_shard_draw(chooser, chance);
    case CHOOSE_UNIFORM:
        break;
    }
    return chooser->first + chance_below(chance, chooser->count);
}
