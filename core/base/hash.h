/*
 * hash.h: XXH3, the one hash of keys and the one checksum of bytes on disk.
 *
 * The 64-bit output of XXH3 is stable since xxHash 0.8.0, so it may stand in files.
 */
#pragma once

#include <stdint.h>

#include "core/base/bytes.h"

/* One hash per operation: its top bits choose the shard, the rest drives cache and filters. */
uint64_t hash_key(struct bytes key, uint64_t seed);

/* Seeded with what the bytes are (database, file, offset), so that stale bytes never verify. */
uint64_t hash_checksum(const void *data, size_t bytes, uint64_t seed);

/* Checksums of more than 240 bytes come in variants for wider registers; all give the same. */
enum hash_width { HASH_BASELINE, HASH_AVX2, HASH_AVX512 };

/* What this processor has; chosen before main. */
enum hash_width hash_width_best(void);

/* For tests: another one, at most the best. */
void hash_width_force(enum hash_width width);

/* Folds identity words into one seed. */
static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
    uint64_t x = (a ^ (b + 0x9e3779b97f4a7c15ull + (a << 6) + (a >> 2))) * 0xff51afd7ed558ccdull;

    x ^= x >> 32;
    x *= 0xc4ceb9fe1a85ec53ull;
    return x ^ (x >> 29);
}
