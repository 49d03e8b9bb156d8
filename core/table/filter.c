/*
 * filter.c: shape, bits and checks of filter partitions.
 */
#include "core/table/filter.h"

#include "core/table/search.h"

enum { BLOCK_BYTES = TABLE_FILTER_BLOCK_BITS / 8 };

static_assert(TABLE_FILTER_START >= sizeof(struct table_block_header), "the header comes first");

static uint32_t blocks_in(uint64_t partition_bytes)
{
    return (uint32_t)((partition_bytes - TABLE_FILTER_START) / BLOCK_BYTES);
}

/* What gave the fewest false positives in measurements over 500,000 keys: 8.4 % of absent keys pass
 * at 5 bits per key, 2.0 % at 8, 0.80 % at 10, 0.33 % at 12, 0.14 % at 14. */
static uint32_t lanes_for(uint32_t bits_per_key)
{
    static const uint8_t lanes[] = { 1, 1, 1, 2, 3, 4, 4, 5, 6, 6, 7, 7 };

    return bits_per_key < ARRAY_COUNT(lanes) ? lanes[bits_per_key] : TABLE_FILTER_LANES_MAX;
}

struct filter_shape filter_shape_of(uint64_t key_count, uint32_t bits_per_key)
{
    struct filter_shape shape = { .lanes = lanes_for(bits_per_key) };

    if (bits_per_key == 0 || key_count == 0)
        return (struct filter_shape){ 0 };
    uint64_t bits = key_count * bits_per_key;
    uint64_t blocks = (bits + TABLE_FILTER_BLOCK_BITS - 1) / TABLE_FILTER_BLOCK_BITS;
    uint64_t blocks_max = blocks_in(TABLE_FILTER_BYTES_MAX);
    uint64_t partitions = (blocks + blocks_max - 1) / blocks_max;
    uint64_t blocks_each = (blocks + partitions - 1) / partitions;
    assert(partitions <= UINT32_MAX);
    shape.partitions = (uint32_t)partitions;
    shape.partition_bytes = (uint32_t)round_up_u64(TABLE_FILTER_START + blocks_each * BLOCK_BYTES,
                                                   TABLE_PAGE_BYTES);
    shape.blocks = blocks_in(shape.partition_bytes); /* what rounding adds is used as well */
    return shape;
}

/*
 * Keys fall into blocks at random, so a block has k of them with the probability of Poisson's law;
 * each has set a given bit with the probability lanes / 512. The law is summed as it comes, from
 * the weight 1 of an empty block, and divided by the sum of all weights.
 */
static double false_share_of(uint32_t bits_per_key)
{
    double   lanes = lanes_for(bits_per_key), mean = TABLE_FILTER_BLOCK_BITS / (double)bits_per_key;
    double   weight = 1, weights = 0, passed = 0, is_clear = 1;
    uint32_t key_max = (uint32_t)(mean * 2) + 64;

    for (uint32_t keys = 0; keys < key_max; keys++) {
        double passes = 1;

        for (uint32_t lane = 0; lane < (uint32_t)lanes; lane++)
            passes *= 1 - is_clear;
        weights += weight;
        passed += weight * passes;
        weight *= mean / (keys + 1);
        is_clear *= 1 - lanes / TABLE_FILTER_BLOCK_BITS;
    }
    return passed / weights;
}

uint32_t filter_bits_for(double false_share)
{
    uint32_t bits = 1;

    while (bits < FILTER_BITS_MAX && false_share_of(bits) > false_share)
        bits++;
    return bits;
}

bool filter_shape_is_sound(const struct filter_shape *shape)
{
    if (shape->partitions == 0)
        return true;
    return shape->lanes >= 1 && shape->lanes <= TABLE_FILTER_LANES_MAX && shape->blocks >= 1
        && shape->partition_bytes >= TABLE_PAGE_BYTES
        && shape->partition_bytes <= TABLE_FILTER_BYTES_MAX
        && shape->blocks <= blocks_in(shape->partition_bytes);
}

bool filter_may_hold(const uint8_t *partition, const struct filter_spot *spot)
{
    const uint8_t *block = partition + TABLE_FILTER_START + (size_t)spot->block * BLOCK_BYTES;

    return lanes_test(block, spot->bits, spot->lane_mask);
}

void filter_add(uint8_t *partition, const struct filter_spot *spot)
{
    uint8_t *block = partition + TABLE_FILTER_START + (size_t)spot->block * BLOCK_BYTES;

    lanes_set(block, spot->bits, spot->lane_mask);
}

void filter_header_write(uint8_t *partition, const struct filter_shape *shape)
{
    struct table_block_header header = { .count = le32_of(shape->blocks) };

    assert(filter_shape_is_sound(shape) && shape->partitions > 0);
    memset(partition, 0, TABLE_FILTER_START);
    memcpy(partition, &header, sizeof header);
}

const char *filter_check(const uint8_t *partition, const struct filter_shape *shape)
{
    const struct table_block_header *header = (const struct table_block_header *)partition;

    return le32_get(header->count) == shape->blocks ? NULL : "a filter of another size";
}
