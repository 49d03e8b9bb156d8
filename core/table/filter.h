/*
 * filter.h: whether a table may hold a key: a blocked Bloom filter in partitions.
 *
 * Shape    all partitions have the same length and the same number of 512-bit blocks. A key has one
 *          block, and in it one bit in each of `lanes` of the eight 64-bit lanes; with fewer than
 *          eight lanes, which ones is up to the key.
 * Source   Putze, Sanders, Singler: Cache-, hash- and space-efficient Bloom filters (2007); one bit
 *          per lane as in the split block filters of Impala and Parquet.
 */
#pragma once

#include "core/format/table_format.h"

struct filter_shape {
    uint64_t offset;          /* of the first partition in the file */
    uint32_t partitions;      /* 0: no filter */
    uint32_t blocks;          /* of 512 bits, in each partition */
    uint32_t partition_bytes;
    uint32_t lanes;           /* bits set per key, 1 to 8 */
};

/* For so many distinct keys; offset is left 0. */
struct filter_shape filter_shape_of(uint64_t key_count, uint32_t bits_per_key);
/* The fewest bits per key of a filter that lets at most this share of absent keys pass; at most
 * FILTER_BITS_MAX. */
#define FILTER_BITS_MAX 64u
uint32_t filter_bits_for(double false_share);
/* Of a table on disk: false when such a filter cannot be. */
bool filter_shape_is_sound(const struct filter_shape *shape);

/* Where a key's bits are. */
struct filter_spot {
    uint32_t partition;
    uint32_t block;
    uint32_t lane_mask;
    uint64_t bits;
};

__extension__ typedef unsigned __int128 filter_product;

/* The top bits of the hash have chosen the shard, so all of its keys share them. */
static inline uint64_t filter_mix(uint64_t hash)
{
    return hash_mix(hash, 0x66696c746572ull);
}

static inline uint32_t filter_partition(const struct filter_shape *shape, uint64_t hash)
{
    return (uint32_t)((filter_product)filter_mix(hash) * shape->partitions >> 64);
}

static inline struct filter_spot filter_spot(const struct filter_shape *shape, uint64_t hash)
{
    uint64_t mixed = filter_mix(hash);
    filter_product place = (filter_product)mixed * shape->partitions;
    filter_product block = (filter_product)(uint64_t)place * shape->blocks;
    uint64_t bits = (mixed ^ mixed >> 32) * 0x9fb21c651e98df25ull;
    uint32_t all = (1u << shape->lanes) - 1;
    uint32_t turn = (uint32_t)(bits >> 60) & 7;

    bits ^= bits >> 35;
    return (struct filter_spot){
        .partition = (uint32_t)(place >> 64),
        .block = (uint32_t)(block >> 64),
        .lane_mask = ((all << turn) | (all >> (8 - turn))) & 0xff,
        .bits = bits,
    };
}

/* partition: the verified bytes of spot->partition. False: the key is not in the table. */
bool filter_may_hold(const uint8_t *partition, const struct filter_spot *spot);
void filter_add(uint8_t *partition, const struct filter_spot *spot);
/* Header of a partition whose 512-bit blocks are all set already; all but the seal. */
void        filter_header_write(uint8_t *partition, const struct filter_shape *shape);
const char *filter_check(const uint8_t *partition, const struct filter_shape *shape);
