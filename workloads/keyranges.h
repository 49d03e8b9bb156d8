/*
 * keyranges.h: hot ranges of keys with hot keys inside, as production loads of RocksDB have them.
 *
 * Model    Cao, Dong, Vemuri and Du, "Characterizing, Modeling, and Benchmarking RocksDB Key-Value
 *          Workloads at Facebook", FAST 2020: the records fall into ranges of equal size. Range i
 *          (from 1) is asked with a weight of a e^(b i) + c e^(d i). Within a range, the x hottest
 *          records get a share of key_a x^key_b of what the range gets.
 * Placed   ranges in a random order that their count alone decides; a record's place in the heat of
 *          its range is hashed. A heat place beyond the size of the range wraps into it.
 * Needs    ordered keys, or the ranges are none of the engine's.
 */
#pragma once

#include <stdint.h>

#include "workloads/chance.h"

#define KEYRANGE_COUNT_MAX 128u

struct keyrange_options {
    uint32_t count;              /* of ranges, 1 to KEYRANGE_COUNT_MAX */
    double   a, b, c, d;
    double   key_a, key_b;       /* > 0 */
};

struct keyranges {
    uint32_t count;
    uint64_t first, records;     /* all of them */
    uint64_t range_records;      /* of every range but the last, which has the rest too */
    double   key_a, key_power;
    double   below[KEYRANGE_COUNT_MAX];   /* running sums of the normalised weights */
    uint8_t  places[KEYRANGE_COUNT_MAX];  /* which range of keys is the i-th hot one */
};

/* The weight of range i, from 1; not negative. */
double keyrange_weight(const struct keyrange_options *options, uint32_t i);
/* Some weight must be above zero. Fewer records than ranges: one range a record. */
struct keyranges keyranges_of(const struct keyrange_options *options, uint64_t first,
                              uint64_t records);
uint64_t         keyranges_draw(const struct keyranges *ranges, struct chance *chance);
