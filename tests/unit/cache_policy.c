/*
 * cache_policy.c: what the cache promises to its callers, and how well it chooses what to keep.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cache/balance.h"
#include "cache/cache.h"
#include "core/base/hash.h"
#include "core/base/memory.h"

#define MIB   (1ull << 20)
#define BLOCK 4096u

static uint8_t zeros[1u << 20];

static struct cache *open_cache(uint64_t budget)
{
    struct cache_options options = { .budget_bytes = budget, .segment_bytes = 1u << 20 };
    struct cache        *cache;

    assert_int_equal(cache_open(&options, &cache), KIWI_OK);
    return cache;
}

static uint64_t hash_of(uint64_t number)
{
    return hash_mix(number, 11);
}

static struct bytes key_of(const uint64_t *number)
{
    return bytes_of(number, sizeof(*number));
}

static void record_put(struct cache *cache, uint64_t number, struct bytes value)
{
    cache_record_insert(cache, hash_of(number), key_of(&number), value, 1,
                        cache_record_stamp(cache, hash_of(number)));
}

static bool record_has(struct cache *cache, uint64_t number)
{
    struct cached_record found;

    return cache_record_find(cache, hash_of(number), key_of(&number), &found);
}

static void block_put(struct cache *cache, uint64_t table_id, uint64_t block)
{
    cache_block_insert(cache, KIWI_TIER_BLOCK, table_id, block * BLOCK, zeros, BLOCK);
}

static bool block_has(struct cache *cache, uint64_t table_id, uint64_t block, uint64_t record)
{
    return cache_block_find(cache, KIWI_TIER_BLOCK, table_id, block * BLOCK, record) != NULL;
}

/* Looks a block up and brings it if it is missing, as a get does. */
static bool block_get(struct cache *cache, uint64_t table_id, uint64_t block, uint64_t record)
{
    bool has = block_has(cache, table_id, block, record);

    if (!has)
        block_put(cache, table_id, block);
    return has;
}

static struct kiwi_tier_stats tier_stats(const struct cache *cache, enum kiwi_tier tier)
{
    struct kiwi_tier_stats tiers[KIWI_TIER_COUNT];

    cache_stats(cache, tiers);
    return tiers[tier];
}

/* ---- promises ---- */

static void insert_after_a_write_is_refused(void **state)
{
    struct cache *cache = open_cache(MIB);
    uint64_t      key = 5;
    uint32_t      stamp = cache_record_stamp(cache, hash_of(key));

    (void)state;
    cache_record_drop(cache, hash_of(key), key_of(&key));
    cache_record_insert(cache, hash_of(key), key_of(&key), bytes_of("old", 3), 1, stamp);
    assert_false(record_has(cache, key));
    stamp = cache_record_stamp(cache, hash_of(key));
    cache_record_insert(cache, hash_of(key), key_of(&key), bytes_of("new", 3), 2, stamp);
    assert_true(record_has(cache, key));
    cache_close(cache);
}

static void a_write_renews_the_record_where_it_stands(void **state)
{
    struct cache        *cache = open_cache(MIB);
    uint64_t             key = 5, absent = 6;
    struct cached_record found;
    uint32_t             stamp = cache_record_stamp(cache, hash_of(key));

    (void)state;
    cache_record_insert(cache, hash_of(key), key_of(&key), bytes_of("old", 3), 3, stamp);
    cache_record_write(cache, hash_of(key), key_of(&key), bytes_of("new", 3), 7);
    assert_true(cache_record_find(cache, hash_of(key), key_of(&key), &found));
    assert_int_equal(found.sequence, 7);
    assert_memory_equal(found.value.data, "new", 3);
    /* A read from before the write is refused. */
    cache_record_insert(cache, hash_of(key), key_of(&key), bytes_of("old", 3), 3, stamp);
    assert_true(cache_record_find(cache, hash_of(key), key_of(&key), &found));
    assert_int_equal(found.sequence, 7);
    /* What does not fit its place leaves, and what is not there does not come. */
    cache_record_write(cache, hash_of(key), key_of(&key), bytes_of("much longer than that", 21), 8);
    assert_false(record_has(cache, key));
    cache_record_write(cache, hash_of(absent), key_of(&absent), bytes_of("new", 3), 9);
    assert_false(record_has(cache, absent));
    cache_close(cache);
}

static void older_version_never_replaces_a_newer_one(void **state)
{
    struct cache        *cache = open_cache(MIB);
    uint64_t             key = 5;
    struct cached_record found;
    uint32_t             stamp = cache_record_stamp(cache, hash_of(key));

    (void)state;
    cache_record_insert(cache, hash_of(key), key_of(&key), bytes_of("new", 3), 9, stamp);
    cache_record_insert(cache, hash_of(key), key_of(&key), bytes_of("older", 5), 8, stamp);
    assert_true(cache_record_find(cache, hash_of(key), key_of(&key), &found));
    assert_int_equal(found.sequence, 9);
    cache_record_insert(cache, hash_of(key), key_of(&key), bytes_of("newest", 6), 10, stamp);
    assert_true(cache_record_find(cache, hash_of(key), key_of(&key), &found));
    assert_int_equal(found.sequence, 10);
    assert_memory_equal(found.value.data, "newest", 6);
    cache_close(cache);
}

static void keys_and_values_of_all_sizes_come_back(void **state)
{
    static const size_t sizes[] = { 0, 1, 7, 8, 9, 255, 4096, 65535 };
    struct cache       *cache = open_cache(256 * MIB);
    uint8_t            *key = memory_allocate_zeroed(65536);

    (void)state;
    assert_non_null(key);
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        for (size_t j = 0; j < ARRAY_COUNT(sizes); j++) {
            struct cached_record found;
            struct bytes         name = bytes_of(sizes[i] == 0 ? NULL : key, sizes[i]);
            struct bytes         value = bytes_of(sizes[j] == 0 ? NULL : zeros, sizes[j]);
            uint64_t             hash = hash_mix(i, j);

            cache_record_insert(cache, hash, name, value, (1ull << 56) - 1,
                                cache_record_stamp(cache, hash));
            assert_true(cache_record_find(cache, hash, name, &found));
            assert_int_equal(found.value.size, sizes[j]);
            assert_int_equal(found.sequence, (1ull << 56) - 1);
        }
    memory_free(key);
    cache_close(cache);
}

/* Goal: equal hashes are told apart by their keys. */
static void records_of_one_hash_are_told_apart(void **state)
{
    struct cache        *cache = open_cache(4 * MIB);
    struct cached_record found;

    (void)state;
    for (uint64_t key = 0; key < 15; key++)
        cache_record_insert(cache, 77, key_of(&key), bytes_of(&key, 8), 1,
                            cache_record_stamp(cache, 77));
    for (uint64_t key = 0; key < 15; key++) {
        assert_true(cache_record_find(cache, 77, key_of(&key), &found));
        assert_memory_equal(found.value.data, &key, 8);
    }
    uint64_t absent = 99;

    assert_false(cache_record_find(cache, 77, key_of(&absent), &found));
    cache_close(cache);
}

static void huge_values_are_not_records(void **state)
{
    struct cache *cache = open_cache(256 * MIB);

    (void)state;
    record_put(cache, 1, bytes_of(zeros, 300u << 10)); /* above a quarter of a segment */
    assert_false(record_has(cache, 1));
    cache_close(cache);
}

static void blocks_of_all_sizes_are_kept_and_larger_ones_are_not(void **state)
{
    static const uint32_t sizes[] = { 1,        4095,     4096,      4097,      32u << 10,
                                      64u << 10, 100001u, 512u << 10, (1u << 20) };
    static const uint64_t budgets[] = { 8 * MIB, 64 * MIB, 256 * MIB };

    (void)state;
    for (size_t b = 0; b < ARRAY_COUNT(budgets); b++) {
        struct cache *cache = open_cache(budgets[b]);

        for (uint32_t i = 0; i < ARRAY_COUNT(sizes); i++) {
            cache_block_insert(cache, KIWI_TIER_FILTER, 3, i * MIB, zeros, sizes[i]);
            assert_non_null(cache_block_find(cache, KIWI_TIER_FILTER, 3, i * MIB, 0));
            assert_null(cache_block_find(cache, KIWI_TIER_INDEX, 3, i * MIB, 0));
        }
        assert_true(cache_bytes(cache) <= budgets[b]);
        cache_close(cache);
    }
    uint8_t      *large = memory_allocate_zeroed((1u << 20) + 1);
    struct cache *cache = open_cache(256 * MIB);

    assert_non_null(large);
    cache_block_insert(cache, KIWI_TIER_BLOCK, 3, 0, large, (1u << 20) + 1);
    assert_false(block_has(cache, 3, 0, 0));
    memory_free(large);
    cache_close(cache);
}

static void pinned_blocks_survive_pressure_and_a_smaller_budget(void **state)
{
    struct cache       *cache = open_cache(4 * MIB);
    struct cache_block *pins[20];
    const uint8_t      *places[20];

    (void)state;
    for (uint64_t i = 0; i < 20; i++) {
        block_put(cache, 1, i * 7);
        pins[i] = cache_block_pin(cache, KIWI_TIER_BLOCK, 1, i * 7 * BLOCK);
        assert_non_null(pins[i]);
        places[i] = cache_block_bytes(pins[i]);
        for (uint64_t j = 0; j < 50; j++)
            block_put(cache, 2, i * 50 + j);
    }
    for (uint64_t i = 0; i < 20000; i++)
        block_put(cache, 3, i);
    cache_budget_set(cache, 2 * MIB);
    cache_table_drop(cache, 1);
    for (uint64_t i = 0; i < 5000; i++)
        block_put(cache, 4, i);
    for (uint64_t i = 0; i < 20; i++) {
        assert_ptr_equal(cache_block_bytes(pins[i]), places[i]);
        assert_memory_equal(places[i], zeros, BLOCK);
        cache_block_unpin(cache, pins[i]);
    }
    cache_close(cache);
}

static void pinning_twice_takes_two_unpins(void **state)
{
    struct cache       *cache = open_cache(MIB);
    struct cache_block *first, *second;

    (void)state;
    block_put(cache, 1, 0);
    first = cache_block_pin(cache, KIWI_TIER_BLOCK, 1, 0);
    second = cache_block_pin(cache, KIWI_TIER_BLOCK, 1, 0);
    assert_ptr_equal(first, second);
    cache_block_unpin(cache, first);
    for (uint64_t i = 0; i < 3000; i++)
        block_put(cache, 2, i);
    assert_memory_equal(cache_block_bytes(second), zeros, BLOCK);
    cache_block_unpin(cache, second);
    assert_null(cache_block_pin(cache, KIWI_TIER_BLOCK, 1, 77 * BLOCK));
    cache_close(cache);
}

/* Goal: the number of bytes is true. Method: small caches take all from the counted heap. */
static void bytes_are_what_the_heap_gave(void **state)
{
    static const uint64_t budgets[] = { 512u << 10, 3 * MIB, 20 * MIB };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(budgets); i++) {
        uint64_t      before = memory_allocated_bytes();
        struct cache *cache = open_cache(budgets[i]);

        for (uint64_t n = 0; n < budgets[i] / 512; n++) {
            record_put(cache, n, bytes_of(zeros, 100));
            if (n % 8 == 0)
                block_put(cache, n % 50, n);
        }
        uint64_t taken = memory_allocated_bytes() - before;

        assert_true(cache_bytes(cache) <= budgets[i]);
        assert_true(cache_bytes(cache) >= budgets[i] / 100 * 90);
        assert_true(fabs((double)taken - (double)cache_bytes(cache)) < (double)taken / 100);
        cache_close(cache);
    }
}

static void budget_below_the_overhead_caches_nothing(void **state)
{
    struct cache *cache = open_cache(0);

    (void)state;
    record_put(cache, 1, bytes_of("x", 1));
    block_put(cache, 1, 1);
    assert_false(record_has(cache, 1));
    assert_false(block_has(cache, 1, 1, 0));
    assert_false(cache_has_room(cache, 1));
    cache_budget_set(cache, 8 * MIB); /* and awakes when it may */
    record_put(cache, 1, bytes_of("x", 1));
    assert_true(record_has(cache, 1));
    cache_close(cache);
}

static void smaller_budget_holds_at_once(void **state)
{
    static const uint64_t steps[] = { 100, 40, 8, 1 };
    struct cache         *cache = open_cache(200 * MIB);

    (void)state;
    for (uint64_t n = 0; n < 400000; n++) {
        record_put(cache, n, bytes_of(zeros, 100));
        if (n % 16 == 0)
            block_put(cache, n % 50, n);
    }
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        cache_budget_set(cache, steps[i] * MIB);
        assert_true(cache_bytes(cache) <= steps[i] * MIB);
    }
    record_put(cache, 1ull << 40, bytes_of(zeros, 100));
    assert_true(record_has(cache, 1ull << 40));
    cache_close(cache);
}

/* Goal: a budget that shrinks a little takes a little, also where segments are single ones. */
static void a_step_down_forgets_only_a_step(void **state)
{
    static const uint64_t budgets[] = { 16 * MIB, 32 * MIB, 128 * MIB };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(budgets); i++) {
        struct cache *cache = open_cache(budgets[i]);
        uint64_t      count = budgets[i] / 256, kept = 0;
        uint8_t       value[200] = { 0 };

        for (uint64_t k = 1; k <= count; k++)
            record_put(cache, k << 40 | k, bytes_of(value, sizeof value));
        for (uint64_t budget = budgets[i]; budget > budgets[i] / 4 * 3; budget -= MIB)
            cache_budget_set(cache, budget);
        assert_true(cache_bytes(cache) <= budgets[i] / 4 * 3 + MIB);
        for (uint64_t k = 1; k <= count; k++)
            kept += record_has(cache, k << 40 | k);
        assert_true(kept > count / 3);
        cache_close(cache);
    }
}

static void prefault_takes_the_budget_and_keeps_the_room(void **state)
{
    struct cache *cache = open_cache(64 * MIB);

    (void)state;
    cache_prefault(cache, UINT64_MAX);
    assert_true(cache_bytes(cache) <= 64 * MIB);
    assert_true(cache_bytes(cache) > 61 * MIB);
    assert_true(cache_has_room(cache, 55 * MIB));
    cache_close(cache);
}

static void dropped_table_is_gone_at_once_and_its_memory_is_used_first(void **state)
{
    struct cache *cache = open_cache(16 * MIB);
    uint64_t      kept = 0, used = 0;

    (void)state;
    for (uint64_t i = 0; i < 1500; i++) /* interleaved, so that segments hold both */
        block_put(cache, 1 + i % 2, i);
    assert_true(cache_has_room(cache, MIB));
    cache_table_drop(cache, 1);
    for (uint64_t i = 0; i < 1500; i += 2)
        assert_false(block_has(cache, 1, i, 1));
    for (uint64_t i = 0; i < 2600; i++) /* more than the room, less than room and dropped ones */
        block_put(cache, 3, i);
    for (uint64_t i = 1; i < 1500; i += 2)
        kept += block_has(cache, 2, i, 1);
    used = tier_stats(cache, KIWI_TIER_BLOCK).evictions;
    assert_true(kept > 700);
    assert_true(used >= 750);
    cache_table_drop(cache, 12345); /* of which nothing is known */
    cache_close(cache);
}

/* Goal: an id that comes again does not meet blocks of the dropped table. */
static void table_id_may_come_again_after_its_drop(void **state)
{
    struct cache *cache = open_cache(16 * MIB);
    uint8_t       other[BLOCK];

    (void)state;
    memset(other, 9, sizeof(other));
    for (uint64_t i = 0; i < 500; i++)
        block_put(cache, 1, i);
    cache_table_drop(cache, 1);
    for (uint64_t i = 0; i < 500; i++) {
        const uint8_t *block;

        cache_block_insert(cache, KIWI_TIER_BLOCK, 1, i * BLOCK, other, BLOCK);
        block = cache_block_find(cache, KIWI_TIER_BLOCK, 1, i * BLOCK, 0);
        assert_non_null(block);
        assert_memory_equal(block, other, BLOCK);
    }
    cache_table_drop(cache, 1);
    assert_false(block_has(cache, 1, 3, 0));
    cache_close(cache);
}

static void offers_fill_free_room_and_evict_nothing(void **state)
{
    struct cache *cache = open_cache(8 * MIB);
    uint64_t      taken = 0, kept = 0;

    (void)state;
    for (uint64_t i = 0; i < 1000; i++)
        block_put(cache, 1, i);
    for (uint64_t i = 0; i < 4000; i++) {
        bool has_room = cache_has_room(cache, BLOCK);

        cache_block_offer(cache, KIWI_TIER_BLOCK, 2, i * BLOCK, zeros, BLOCK);
        bool is_there = block_has(cache, 2, i, 0);

        assert_true(is_there || !has_room); /* what is said to have room is taken */
        taken += is_there;
    }
    for (uint64_t i = 0; i < 1000; i++)
        kept += block_has(cache, 1, i, 0);
    assert_int_equal(kept, 1000);
    assert_true(taken > 400);
    assert_true(taken < 1100);
    assert_int_equal(tier_stats(cache, KIWI_TIER_BLOCK).evictions, 0);
    cache_close(cache);
}

static void nothing_is_evicted_while_all_fits(void **state)
{
    struct cache *cache = open_cache(64 * MIB);

    (void)state;
    for (uint64_t n = 0; n < 100000; n++)
        record_put(cache, n, bytes_of(zeros, 100));
    for (uint64_t i = 0; i < 8000; i++)
        block_put(cache, 1, i);
    for (uint64_t i = 0; i < 8000; i++)
        assert_true(block_has(cache, 1, i, 1));
    uint64_t kept = 0;

    for (uint64_t n = 0; n < 100000; n++)
        kept += record_has(cache, n);
    assert_true(kept > 98500); /* full pairs of index lines forget a few */
    assert_int_equal(tier_stats(cache, KIWI_TIER_BLOCK).evictions, 0);
    assert_int_equal(tier_stats(cache, KIWI_TIER_RECORD).evictions, 100000 - kept);
    cache_close(cache);
}

static void value_may_stand_in_a_cached_block(void **state)
{
    struct cache *cache = open_cache(MIB);
    uint8_t       block[BLOCK];

    (void)state;
    for (uint64_t i = 0; i < 3000; i++) {
        struct cached_record found;
        uint64_t             key = i;

        memset(block, (int)i & 255, sizeof(block));
        cache_block_insert(cache, KIWI_TIER_BLOCK, 1, i * BLOCK, block, BLOCK);
        const uint8_t *place = cache_block_find(cache, KIWI_TIER_BLOCK, 1, i * BLOCK, hash_of(i));

        if (place == NULL)
            continue;
        record_put(cache, i, bytes_of(place + 100, 2000));
        if (!cache_record_find(cache, hash_of(i), key_of(&key), &found))
            continue;
        assert_memory_equal(found.value.data, block + 100, 2000);
    }
    assert_true(tier_stats(cache, KIWI_TIER_RECORD).inserts > 2500);
    cache_close(cache);
}

static void statistics_count_what_happened(void **state)
{
    struct cache *cache = open_cache(8 * MIB);

    (void)state;
    record_put(cache, 1, bytes_of("x", 1));
    record_has(cache, 1);
    record_has(cache, 2);
    cache_block_insert(cache, KIWI_TIER_INDEX, 1, 0, zeros, 20000);
    cache_block_find(cache, KIWI_TIER_INDEX, 1, 0, 5);
    cache_block_find(cache, KIWI_TIER_INDEX, 1, 4096, 5);
    struct kiwi_tier_stats record = tier_stats(cache, KIWI_TIER_RECORD);
    struct kiwi_tier_stats index = tier_stats(cache, KIWI_TIER_INDEX);

    assert_int_equal(record.hits, 1);
    assert_int_equal(record.misses, 1);
    assert_int_equal(record.inserts, 1);
    assert_int_equal(index.hits, 1);
    assert_int_equal(index.misses, 1);
    assert_int_equal(index.inserts, 1);
    assert_true(index.bytes >= 20000);
    assert_true(record.budget_bytes > 0);
    assert_true(record.bytes > 0);
    cache_close(cache);
}

/* ---- choices ---- */

static void block_wanted_for_two_records_outlives_the_others(void **state)
{
    struct cache *cache = open_cache(8 * MIB);
    uint64_t      next = 1000;

    (void)state;
    for (uint64_t i = 0; i < 2500; i++) /* full */
        block_get(cache, 1, 100000 + i, 7);
    block_get(cache, 1, 1, 70); /* again for the same record, as it comes from the device */
    block_has(cache, 1, 1, 70);
    block_has(cache, 1, 1, 70);
    block_get(cache, 1, 2, 70);
    block_has(cache, 1, 2, 71); /* another record */
    for (int i = 0; i < 2000; i++, next++)
        block_get(cache, 1, next, 7);
    assert_true(block_has(cache, 1, 2, 71));
    assert_false(block_has(cache, 1, 1, 70));
    cache_close(cache);
}

static void block_with_a_ghost_goes_to_the_main_log(void **state)
{
    struct cache *cache = open_cache(8 * MIB);

    (void)state;
    for (uint64_t i = 0; i < 2500; i++)
        block_get(cache, 1, 100000 + i, 7);
    for (uint64_t i = 2000; i < 2600; i++) /* out, and soon wanted again */
        block_get(cache, 1, i, 7);
    for (uint64_t i = 200000; i < 202000; i++)
        block_get(cache, 1, i, 7);
    assert_false(block_has(cache, 1, 2100, 7));
    block_put(cache, 1, 2100);
    for (uint64_t i = 300000; i < 301000; i++)
        block_get(cache, 1, i, 7);
    assert_true(block_has(cache, 1, 2100, 7));
    cache_close(cache);
}

static void index_and_filter_stay_while_data_streams_by(void **state)
{
    struct cache *cache = open_cache(32 * MIB);
    uint64_t      kept = 0;

    (void)state;
    for (uint64_t i = 0; i < 100; i++) { /* 4.7 MiB: within their part */
        cache_block_insert(cache, KIWI_TIER_INDEX, i, 0, zeros, 32u << 10);
        cache_block_insert(cache, KIWI_TIER_FILTER, i, 0, zeros, 16u << 10);
    }
    for (uint64_t i = 0; i < 40000; i++) {
        block_get(cache, 500, i, i);
        record_put(cache, i, bytes_of(zeros, 100));
    }
    for (uint64_t i = 0; i < 100; i++) {
        kept += cache_block_find(cache, KIWI_TIER_INDEX, i, 0, 1) != NULL;
        kept += cache_block_find(cache, KIWI_TIER_FILTER, i, 0, 1) != NULL;
    }
    assert_int_equal(kept, 200);
    cache_close(cache);
}

static void index_and_filter_cannot_take_everything(void **state)
{
    struct cache *cache = open_cache(32 * MIB);

    (void)state;
    for (uint64_t n = 0; n < 200000; n++)
        record_put(cache, n, bytes_of(zeros, 100));
    for (uint64_t i = 0; i < 3000; i++)
        cache_block_insert(cache, KIWI_TIER_INDEX, i, 0, zeros, 32u << 10);
    assert_true(tier_stats(cache, KIWI_TIER_INDEX).bytes < 10 * MIB);
    assert_true(tier_stats(cache, KIWI_TIER_INDEX).bytes > 4 * MIB);
    assert_true(tier_stats(cache, KIWI_TIER_RECORD).bytes > 12 * MIB);
    cache_close(cache);
}

/* ---- simulations: gets over a table of small records ---- */

struct simulation {
    struct cache *cache;
    uint64_t      random;
    uint64_t      record_count;
    uint32_t      record_bytes;
    double        theta, zeta, alpha, eta; /* zipfian as in Gray et al., SIGMOD'94; 0: even */
    uint64_t      reads, device_reads;
};

static double simulation_random(struct simulation *simulation)
{
    simulation->random += 0x9e3779b97f4a7c15ull;
    return (double)(hash_mix(simulation->random, 1) >> 11) / 9007199254740992.0;
}

static void simulation_open(struct simulation *simulation, uint64_t records, double theta,
                            double cache_share)
{
    *simulation = (struct simulation){ .random = 42, .record_count = records,
                                       .record_bytes = 124, .theta = theta };
    const char *seed = getenv("KIWI_SEED");

    if (seed != NULL)
        simulation->random = strtoull(seed, NULL, 0);
    print_message("seed %llu\n", (unsigned long long)simulation->random);
    simulation->cache = open_cache((uint64_t)((double)records * 124 * cache_share));
    if (theta == 0)
        return;
    for (uint64_t i = 1; i <= records; i++)
        simulation->zeta += 1 / pow((double)i, theta);
    simulation->alpha = 1 / (1 - theta);
    simulation->eta = (1 - pow(2.0 / (double)records, 1 - theta))
                    / (1 - (1 + pow(0.5, theta)) / simulation->zeta);
}

/* Ranks are scattered over the table by multiplication with a number that shares no factor. */
static uint64_t simulation_record(struct simulation *simulation)
{
    double   u = simulation_random(simulation), uz = u * simulation->zeta;
    uint64_t count = simulation->record_count, rank;

    if (simulation->theta == 0)
        return (uint64_t)(u * (double)count);
    if (uz < 1)
        rank = 0;
    else if (uz < 1 + pow(0.5, simulation->theta))
        rank = 1;
    else
        rank = (uint64_t)((double)count
                          * pow(simulation->eta * u - simulation->eta + 1, simulation->alpha));
    return rank % count * 7368787 % count;
}

static void simulation_get(struct simulation *simulation)
{
    struct cache        *cache = simulation->cache;
    uint64_t             record = simulation_record(simulation);
    uint64_t             block = record / (BLOCK / simulation->record_bytes);
    uint32_t             stamp = cache_record_stamp(cache, hash_of(record));
    struct cached_record found;

    simulation->reads++;
    if (cache_record_find(cache, hash_of(record), key_of(&record), &found))
        return;
    simulation->device_reads += !block_get(cache, 1, block, hash_of(record));
    cache_record_insert(cache, hash_of(record), key_of(&record),
                        bytes_of(zeros, simulation->record_bytes - 8), 1, stamp);
}

static double simulation_miss_percent(struct simulation *simulation, uint64_t gets)
{
    for (uint64_t i = 0; i < gets; i++)
        simulation_get(simulation);
    simulation->reads = simulation->device_reads = 0;
    for (uint64_t i = 0; i < gets; i++)
        simulation_get(simulation);
    print_message("%.1f %% go to the device, records %.2f of the data tier\n",
                  100.0 * (double)simulation->device_reads / (double)simulation->reads,
                  (double)tier_stats(simulation->cache, KIWI_TIER_RECORD).budget_bytes
                      / (double)(tier_stats(simulation->cache, KIWI_TIER_RECORD).budget_bytes
                                 + tier_stats(simulation->cache, KIWI_TIER_BLOCK).budget_bytes));
    return 100.0 * (double)simulation->device_reads / (double)simulation->reads;
}

static void zipfian_gets_miss_less_than_a_quarter(void **state)
{
    struct simulation simulation;

    (void)state;
    simulation_open(&simulation, 300007, 0.99, 0.10);
    assert_true(simulation_miss_percent(&simulation, 700000) < 24.0);
    assert_true(tier_stats(simulation.cache, KIWI_TIER_RECORD).bytes
                > tier_stats(simulation.cache, KIWI_TIER_BLOCK).bytes * 4);
    cache_close(simulation.cache);
}

static void even_gets_shift_the_budget_to_blocks(void **state)
{
    struct simulation simulation;

    (void)state;
    simulation_open(&simulation, 300007, 0, 0.30);
    assert_true(simulation_miss_percent(&simulation, 1000000) < 76.0);
    assert_true(tier_stats(simulation.cache, KIWI_TIER_BLOCK).bytes
                > tier_stats(simulation.cache, KIWI_TIER_RECORD).bytes * 3);
    cache_close(simulation.cache);
}

/* Goal: one walk over all data does not wash out what gets need. */
static void one_scan_of_everything_hardly_hurts_gets(void **state)
{
    struct simulation simulation;
    double            before, after;

    (void)state;
    simulation_open(&simulation, 300007, 0.99, 0.10);
    before = simulation_miss_percent(&simulation, 500000);
    for (uint64_t block = 0; block < simulation.record_count / 33; block++)
        block_get(simulation.cache, 1, block, 0);
    simulation.reads = simulation.device_reads = 0;
    for (int i = 0; i < 100000; i++)
        simulation_get(&simulation);
    after = 100.0 * (double)simulation.device_reads / (double)simulation.reads;
    assert_true(after < before + 1.5);
    cache_close(simulation.cache);
}

/* Goal: scans that come again are served from blocks. */
static void repeated_scans_shift_the_budget_to_blocks(void **state)
{
    struct simulation simulation;
    uint64_t          hits = 0, lookups = 0;

    (void)state;
    simulation_open(&simulation, 300007, 0.99, 0.20);
    for (int i = 0; i < 300000; i++) {
        uint64_t block = simulation_record(&simulation) / 33;

        for (uint64_t j = 0; j < 3; j++, lookups++)
            hits += block_get(simulation.cache, 1, block + j, 0);
        simulation_get(&simulation);
        if (i == 150000)
            hits = lookups = 0;
    }
    print_message("%.1f %% of blocks found\n", 100.0 * (double)hits / (double)lookups);
    assert_true(hits * 100 > lookups * 50);
    assert_true(tier_stats(simulation.cache, KIWI_TIER_BLOCK).bytes
                > tier_stats(simulation.cache, KIWI_TIER_RECORD).bytes * 2);
    cache_close(simulation.cache);
}

/* Goal: a data set whose blocks all fit never loses them to records. */
static void blocks_that_all_fit_have_their_place(void **state)
{
    struct balance_bytes bytes = { .budget = 100u << 20 };

    (void)state;
    assert_int_equal(balance_share_needed(&bytes, 820, 0), 820);
    assert_int_equal(balance_share_needed(&bytes, 820, 50u << 20), 512);
    assert_int_equal(balance_share_needed(&bytes, 400, 50u << 20), 400);
    assert_int_equal(balance_share_needed(&bytes, 820, 90u << 20), 820);
    for (uint64_t need = 1; need < 200u << 20; need += 12345) {
        uint32_t share = balance_share_needed(&bytes, 820, need);

        assert_true(share <= 820);
        if (share < 820)
            assert_true(balance_block_target(&bytes, share) + (1u << 20) >= need);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(insert_after_a_write_is_refused),
        cmocka_unit_test(a_write_renews_the_record_where_it_stands),
        cmocka_unit_test(older_version_never_replaces_a_newer_one),
        cmocka_unit_test(keys_and_values_of_all_sizes_come_back),
        cmocka_unit_test(records_of_one_hash_are_told_apart),
        cmocka_unit_test(huge_values_are_not_records),
        cmocka_unit_test(blocks_of_all_sizes_are_kept_and_larger_ones_are_not),
        cmocka_unit_test(pinned_blocks_survive_pressure_and_a_smaller_budget),
        cmocka_unit_test(pinning_twice_takes_two_unpins),
        cmocka_unit_test(bytes_are_what_the_heap_gave),
        cmocka_unit_test(budget_below_the_overhead_caches_nothing),
        cmocka_unit_test(smaller_budget_holds_at_once),
        cmocka_unit_test(a_step_down_forgets_only_a_step),
        cmocka_unit_test(prefault_takes_the_budget_and_keeps_the_room),
        cmocka_unit_test(dropped_table_is_gone_at_once_and_its_memory_is_used_first),
        cmocka_unit_test(table_id_may_come_again_after_its_drop),
        cmocka_unit_test(offers_fill_free_room_and_evict_nothing),
        cmocka_unit_test(nothing_is_evicted_while_all_fits),
        cmocka_unit_test(value_may_stand_in_a_cached_block),
        cmocka_unit_test(statistics_count_what_happened),
        cmocka_unit_test(block_wanted_for_two_records_outlives_the_others),
        cmocka_unit_test(block_with_a_ghost_goes_to_the_main_log),
        cmocka_unit_test(index_and_filter_stay_while_data_streams_by),
        cmocka_unit_test(index_and_filter_cannot_take_everything),
        cmocka_unit_test(zipfian_gets_miss_less_than_a_quarter),
        cmocka_unit_test(even_gets_shift_the_budget_to_blocks),
        cmocka_unit_test(one_scan_of_everything_hardly_hurts_gets),
        cmocka_unit_test(repeated_scans_shift_the_budget_to_blocks),
        cmocka_unit_test(blocks_that_all_fit_have_their_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
