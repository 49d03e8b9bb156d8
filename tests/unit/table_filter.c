/*
 * table_filter.c: a filter never denies a key that is there, and seldom admits one that is not.
 */
#include "tests/unit/table_harness.h"

#include <stdlib.h>

#include "core/table/filter.h"

struct filter {
    struct filter_shape shape;
    uint8_t            *bytes;
};

/* All hashes share their top bits, as those of one shard do. */
static uint64_t hash_of(uint64_t number)
{
    return hash_key(bytes_of(&number, sizeof number), 9) >> 6 | 0x5ull << 58;
}

static uint8_t *partition_of(const struct filter *filter, const struct filter_spot *spot)
{
    assert_true(spot->partition < filter->shape.partitions);
    assert_true(spot->block < filter->shape.blocks);
    assert_int_equal(__builtin_popcount(spot->lane_mask), filter->shape.lanes);
    return filter->bytes + (size_t)spot->partition * filter->shape.partition_bytes;
}

static void filter_open(struct filter *filter, uint64_t key_count, uint32_t bits_per_key)
{
    filter->shape = filter_shape_of(key_count, bits_per_key);
    assert_true(filter_shape_is_sound(&filter->shape));
    assert_true(filter->shape.partition_bytes <= TABLE_FILTER_BYTES_MAX);
    filter->bytes = calloc(filter->shape.partitions, filter->shape.partition_bytes);
    assert_non_null(filter->bytes);
    for (uint64_t i = 0; i < key_count; i++) {
        struct filter_spot spot = filter_spot(&filter->shape, hash_of(i));
        filter_add(partition_of(filter, &spot), &spot);
    }
}

static bool may_hold(const struct filter *filter, uint64_t number)
{
    struct filter_spot spot = filter_spot(&filter->shape, hash_of(number));

    return filter_may_hold(partition_of(filter, &spot), &spot);
}

static double false_percent(uint64_t key_count, uint32_t bits_per_key)
{
    struct filter filter;
    uint64_t      passed = 0, tries = 400000;

    filter_open(&filter, key_count, bits_per_key);
    for (uint64_t i = 0; i < key_count; i++)
        assert_true(may_hold(&filter, i));
    for (uint64_t i = 0; i < tries; i++)
        passed += may_hold(&filter, key_count + i);
    free(filter.bytes);
    double percent = 100.0 * (double)passed / (double)tries;
    print_message("%7lu keys, %2u bits each: %.3f %% of absent keys pass\n",
                  (unsigned long)key_count, bits_per_key, percent);
    return percent;
}

static void few_absent_keys_pass(void **state)
{
    static const uint64_t key_counts[] = { 3000, 40000, 300000 };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(key_counts); i++) {
        assert_true(false_percent(key_counts[i], 10) < 1.05);
        assert_true(false_percent(key_counts[i], 14) < 0.25);
    }
}

/* Goal: what is asked for is kept, and not by a filter twice as large. */
static void a_filter_lets_the_share_pass_that_was_asked_for(void **state)
{
    static const double shares[] = { 0.5, 0.1, 0.05, 0.01, 0.001 };
    uint32_t            before = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(shares); i++) {
        uint32_t bits = filter_bits_for(shares[i]);

        assert_true(bits > before);
        before = bits;
        assert_true(false_percent(200000, bits) <= 100 * shares[i] * 1.05);
        assert_true(false_percent(200000, bits - 1) > 100 * shares[i] * 0.8);
    }
    assert_in_range(filter_bits_for(0.000001), before + 1, FILTER_BITS_MAX);
}

static void any_number_of_bits_and_keys_makes_a_sound_filter(void **state)
{
    (void)state;
    for (uint32_t bits = 1; bits <= 32; bits++) {
        for (uint64_t keys = 1; keys < 3000000; keys = keys * 3 + 1) {
            struct filter_shape shape = filter_shape_of(keys, bits);
            assert_true(filter_shape_is_sound(&shape));
            assert_true((uint64_t)shape.partitions * shape.blocks * TABLE_FILTER_BLOCK_BITS
                        >= keys * bits);
        }
        assert_true(false_percent(500, bits) < 90);
    }
}

static void no_bits_or_no_keys_is_no_filter(void **state)
{
    (void)state;
    assert_int_equal(filter_shape_of(1000, 0).partitions, 0);
    assert_int_equal(filter_shape_of(0, 10).partitions, 0);
}

static void an_unsound_shape_is_refused(void **state)
{
    struct filter_shape good = filter_shape_of(100000, 10), bad;

    (void)state;
    bad = good, bad.lanes = 0;
    assert_false(filter_shape_is_sound(&bad));
    bad = good, bad.lanes = 9;
    assert_false(filter_shape_is_sound(&bad));
    bad = good, bad.blocks = 0;
    assert_false(filter_shape_is_sound(&bad));
    bad = good, bad.blocks++;
    assert_false(filter_shape_is_sound(&bad));
    bad = good, bad.partition_bytes = 0;
    assert_false(filter_shape_is_sound(&bad));
    bad = good, bad.partition_bytes += PAGE_BYTES;
    assert_false(filter_shape_is_sound(&bad));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_absent_keys_pass),
        cmocka_unit_test(a_filter_lets_the_share_pass_that_was_asked_for),
        cmocka_unit_test(any_number_of_bits_and_keys_makes_a_sound_filter),
        cmocka_unit_test(no_bits_or_no_keys_is_no_filter),
        cmocka_unit_test(an_unsound_shape_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
