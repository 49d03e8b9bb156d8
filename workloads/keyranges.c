/*
 * keyranges.c: two draws, one for the range and one for the record in it.
 */
#include "workloads/keyranges.h"

#include <assert.h>
#include <math.h>

#include "workloads/keys.h"

double keyrange_weight(const struct keyrange_options *options, uint32_t i)
{
    double weight = options->a * exp(options->b * i) + options->c * exp(options->d * i);

    return weight > 0 ? weight : 0;
}

struct keyranges keyranges_of(const struct keyrange_options *options, uint64_t first,
                              uint64_t records)
{
    struct keyranges ranges = {
        .count = options->count,
        .first = first,
        .records = records,
        .key_a = options->key_a,
        .key_power = 1 / options->key_b,
    };
    struct chance chance = chance_of(0x72616e676573ull, options->count);
    double        sum = 0, below = 0;

    assert(records > 0);
    assert(options->count > 0 && options->count <= KEYRANGE_COUNT_MAX);
    if (records < ranges.count)
        ranges.count = (uint32_t)records;
    ranges.range_records = records / ranges.count;
    for (uint32_t i = 0; i < ranges.count; i++)
        sum += keyrange_weight(options, i + 1);
    assert(sum > 0);
    for (uint32_t i = 0; i < ranges.count; i++) {
        /* Fisher and Yates, inside out. */
        uint64_t other = chance_below(&chance, i + 1);

        below += keyrange_weight(options, i + 1) / sum;
        ranges.below[i] = below;
        ranges.places[i] = ranges.places[other];
        ranges.places[other] = (uint8_t)i;
    }
    ranges.below[ranges.count - 1] = 2.0; /* rounding never leaves a gap */
    return ranges;
}

uint64_t keyranges_draw(const struct keyranges *ranges, struct chance *chance)
{
    double   u = chance_unit(chance), heat;
    uint32_t i = 0;
    uint64_t start, records = ranges->range_records;

    while (u >= ranges->below[i])
        i++;
    start = ranges->places[i] * ranges->range_records;
    if (ranges->places[i] == ranges->count - 1)
        records = ranges->records - start;
    heat = ceil(pow(chance_unit(chance) / ranges->key_a, ranges->key_power));
    return ranges->first + start + key_hash(heat < 1e18 ? (uint64_t)heat : 0) % records;
}
