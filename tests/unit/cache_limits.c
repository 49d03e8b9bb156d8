/*
 * cache_limits.c: limits in blocks hold whatever room there is, for each tier alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cache/cache.h"
#include "core/base/hash.h"

#define BLOCK 4096u

static uint8_t zeros[256u << 10];

static struct cache *open_cache(void)
{
    struct cache_options options = { .budget_bytes = 32u << 20, .segment_bytes = 1u << 20 };
    struct cache        *cache;

    assert_int_equal(cache_open(&options, &cache), KIWI_OK);
    return cache;
}

static void limits_set(struct cache *cache, uint64_t data, uint64_t index, uint64_t filter)
{
    uint64_t limits[KIWI_TIER_COUNT] = { UINT64_MAX, data, index, filter };

    cache_block_limits_set(cache, limits);
}

static uint64_t count_of(const struct cache *cache, enum kiwi_tier tier)
{
    struct kiwi_tier_stats tiers[KIWI_TIER_COUNT];

    cache_stats(cache, tiers);
    return tiers[tier].inserts - tiers[tier].evictions;
}

static bool has(struct cache *cache, enum kiwi_tier tier, uint64_t block)
{
    return cache_block_find(cache, tier, 1, block * BLOCK, block + 1) != NULL;
}

static void put(struct cache *cache, enum kiwi_tier tier, uint64_t block)
{
    cache_block_insert(cache, tier, 1, block * BLOCK, zeros, BLOCK);
}

static void the_newest_blocks_stay_within_their_limit(void **state)
{
    static const uint64_t limits[] = { 1, 2, 9, 300 };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(limits); i++) {
        struct cache *cache = open_cache();

        limits_set(cache, limits[i], UINT64_MAX, UINT64_MAX);
        for (uint64_t block = 0; block < 1000; block++) {
            put(cache, KIWI_TIER_BLOCK, block);
            put(cache, KIWI_TIER_INDEX, block);
            assert_true(has(cache, KIWI_TIER_BLOCK, block));
            assert_true(count_of(cache, KIWI_TIER_BLOCK) <= limits[i]);
        }
        assert_int_equal(count_of(cache, KIWI_TIER_BLOCK), limits[i]);
        assert_int_equal(count_of(cache, KIWI_TIER_INDEX), 1000);
        cache_close(cache);
    }
}

static void each_tier_has_its_own_limit(void **state)
{
    struct cache *cache = open_cache();

    (void)state;
    limits_set(cache, 50, 3, 7);
    for (uint64_t block = 0; block < 500; block++)
        for (int tier = KIWI_TIER_BLOCK; tier <= KIWI_TIER_FILTER; tier++) {
            put(cache, (enum kiwi_tier)tier, block);
            (void)has(cache, (enum kiwi_tier)tier, block / 2); /* some are worth keeping */
        }
    assert_int_equal(count_of(cache, KIWI_TIER_BLOCK), 50);
    assert_int_equal(count_of(cache, KIWI_TIER_INDEX), 3);
    assert_int_equal(count_of(cache, KIWI_TIER_FILTER), 7);
    cache_close(cache);
}

/* Large blocks have segments of their own. */
static void a_lower_limit_is_reached_within_a_few_inserts(void **state)
{
    struct cache *cache = open_cache();

    (void)state;
    for (uint64_t block = 0; block < 1000; block++)
        put(cache, KIWI_TIER_BLOCK, block);
    for (uint64_t block = 0; block < 20; block++)
        cache_block_insert(cache, KIWI_TIER_BLOCK, 2, block, zeros, sizeof zeros);
    assert_int_equal(count_of(cache, KIWI_TIER_BLOCK), 1020);
    limits_set(cache, 5, UINT64_MAX, UINT64_MAX);
    for (uint64_t block = 1000; block < 1010; block++)
        put(cache, KIWI_TIER_BLOCK, block);
    assert_int_equal(count_of(cache, KIWI_TIER_BLOCK), 5);
    cache_close(cache);
}

static void pinned_blocks_stay_and_what_has_no_place_is_not_cached(void **state)
{
    struct cache       *cache = open_cache();
    struct cache_block *pinned[3];

    (void)state;
    limits_set(cache, 3, UINT64_MAX, UINT64_MAX);
    for (uint64_t block = 0; block < 3; block++) {
        put(cache, KIWI_TIER_BLOCK, block);
        pinned[block] = cache_block_pin(cache, KIWI_TIER_BLOCK, 1, block * BLOCK);
        assert_non_null(pinned[block]);
    }
    put(cache, KIWI_TIER_BLOCK, 3);
    cache_block_offer(cache, KIWI_TIER_BLOCK, 1, 4 * BLOCK, zeros, BLOCK);
    assert_false(has(cache, KIWI_TIER_BLOCK, 3));
    assert_false(has(cache, KIWI_TIER_BLOCK, 4));
    for (uint64_t block = 0; block < 3; block++) {
        assert_true(has(cache, KIWI_TIER_BLOCK, block));
        cache_block_unpin(cache, pinned[block]);
    }
    put(cache, KIWI_TIER_BLOCK, 5);
    assert_true(has(cache, KIWI_TIER_BLOCK, 5));
    assert_int_equal(count_of(cache, KIWI_TIER_BLOCK), 3);
    cache_close(cache);
}

static void offers_stop_at_the_limit(void **state)
{
    struct cache *cache = open_cache();

    (void)state;
    limits_set(cache, 4, UINT64_MAX, UINT64_MAX);
    for (uint64_t block = 0; block < 10; block++)
        cache_block_offer(cache, KIWI_TIER_BLOCK, 1, block * BLOCK, zeros, BLOCK);
    for (uint64_t block = 0; block < 10; block++)
        assert_int_equal(has(cache, KIWI_TIER_BLOCK, block), block < 4);
    cache_close(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_blocks_stay_within_their_limit),
        cmocka_unit_test(each_tier_has_its_own_limit),
        cmocka_unit_test(a_lower_limit_is_reached_within_a_few_inserts),
        cmocka_unit_test(pinned_blocks_stay_and_what_has_no_place_is_not_cached),
        cmocka_unit_test(offers_stop_at_the_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
