/*
 * cache_parts.c: the pieces of the cache, each alone: who gives memory, ghosts, the index and its
 * sweep, the pool of segments.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cache/balance.h"
#include "cache/ghost.h"
#include "cache/index.h"
#include "core/base/hash.h"
#include "core/base/memory.h"

#define MIB (1ull << 20)

/* ---- balance ---- */

static struct balance_evidence evidence_of(uint64_t record_hits, uint64_t block_hits)
{
    return (struct balance_evidence){ record_hits, block_hits, 10 * MIB, 10 * MIB };
}

static void share_follows_the_ghosts_that_save_more(void **state)
{
    struct balance_evidence records = evidence_of(900, 100), blocks = evidence_of(100, 900);

    (void)state;
    assert_int_equal(balance_share(500, &records), 500 + SHARE_STEP);
    assert_int_equal(balance_share(500, &blocks), 500 - SHARE_STEP);
}

static void share_weighs_hits_by_the_bytes_they_would_cost(void **state)
{
    struct balance_evidence evidence = { 300, 200, 40 * MIB, 10 * MIB };

    (void)state;
    assert_true(balance_share(500, &evidence) < 500);
}

static void share_leans_to_blocks_at_a_tie(void **state)
{
    struct balance_evidence evidence = evidence_of(500, 500);

    (void)state;
    assert_true(balance_share(500, &evidence) < 500);
    evidence = evidence_of(600, 500); /* between the bounds: stays */
    assert_int_equal(balance_share(500, &evidence), 500);
}

static void share_stays_without_evidence(void **state)
{
    struct balance_evidence few = evidence_of(EVIDENCE_MIN - 1, 0);

    (void)state;
    assert_int_equal(balance_share(500, &few), 500);
}

/* Records that are never evicted because they are few would otherwise keep their share for ever. */
static void side_without_ghosts_shrinks(void **state)
{
    struct balance_evidence no_records = { 0, 1000, 0, MIB }, no_blocks = { 1000, 0, MIB, 0 };

    (void)state;
    assert_true(balance_share(500, &no_records) < 500);
    assert_true(balance_share(500, &no_blocks) > 500);
}

static void share_keeps_a_floor_for_both_sides(void **state)
{
    struct balance_evidence records = evidence_of(1000, 0), blocks = evidence_of(0, 1000);
    uint32_t                share = SHARE_START;

    (void)state;
    for (int i = 0; i < 200; i++)
        share = balance_share(share, &records);
    assert_int_equal(share, SHARE_MAX);
    for (int i = 0; i < 200; i++)
        share = balance_share(share, &blocks);
    assert_int_equal(share, SHARE_MIN);
}

static void victim_is_the_data_side_above_its_share(void **state)
{
    struct balance_bytes bytes = { 100 * MIB, { 70 * MIB, 1 * MIB, 29 * MIB, 0, 0 } };

    (void)state;
    assert_int_equal(balance_victim(&bytes, SHARE_ONE * 6 / 10), LOG_RECORD);
    assert_int_equal(balance_victim(&bytes, SHARE_ONE * 8 / 10), LOG_MAIN);
    bytes.log[LOG_SMALL] = 20 * MIB;
    bytes.log[LOG_MAIN] = 10 * MIB;
    assert_int_equal(balance_victim(&bytes, SHARE_ONE * 8 / 10), LOG_SMALL);
    bytes.log[LOG_MAIN] = 0;
    assert_int_equal(balance_victim(&bytes, SHARE_ONE * 8 / 10), LOG_SMALL);
}

static void victim_is_index_or_filter_only_above_their_part(void **state)
{
    struct balance_bytes bytes = { 100 * MIB, { 40 * MIB, 5 * MIB, 36 * MIB, 10 * MIB, 9 * MIB } };

    (void)state;
    assert_true(balance_victim(&bytes, 500) < LOG_INDEX);
    bytes.log[LOG_INDEX] = 20 * MIB;
    assert_int_equal(balance_victim(&bytes, 500), LOG_INDEX);
    bytes.log[LOG_FILTER] = 30 * MIB;
    assert_int_equal(balance_victim(&bytes, 500), LOG_FILTER);
}

static void victim_always_has_bytes(void **state)
{
    uint64_t seed = 7;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct balance_bytes bytes = { .budget = 100 * MIB };
        uint64_t             sum = 0;

        for (int kind = 0; kind < LOG_COUNT; kind++) {
            seed = hash_mix(seed, (uint64_t)kind);
            bytes.log[kind] = seed % 3 == 0 ? 0 : seed % (40 * MIB);
            sum += bytes.log[kind];
        }
        enum log_kind victim = balance_victim(&bytes, SHARE_MIN + (uint32_t)(seed % 896));

        assert_true(sum == 0 ? victim == LOG_COUNT : bytes.log[victim] > 0);
    }
}

static void targets_sum_to_what_index_and_filter_leave(void **state)
{
    struct balance_bytes bytes = { 100 * MIB, { 0, 0, 0, 5 * MIB, 5 * MIB } };

    (void)state;
    assert_int_equal(balance_record_target(&bytes, 512) + balance_block_target(&bytes, 512),
                     90 * MIB);
    bytes.log[LOG_INDEX] = 60 * MIB; /* above its part: the rest is to be given back */
    assert_true(balance_record_target(&bytes, 512) + balance_block_target(&bytes, 512)
                > 79 * MIB);
}

/* ---- ghost ---- */

static void ghost_remembers_once(void **state)
{
    struct ghost ghost;

    (void)state;
    assert_true(ghost_open(&ghost, 4096));
    assert_false(ghost_take(&ghost, 12345));
    ghost_add(&ghost, 12345);
    assert_int_equal(ghost.count, 1);
    assert_true(ghost_take(&ghost, 12345));
    assert_false(ghost_take(&ghost, 12345));
    assert_int_equal(ghost.count, 0);
    ghost_close(&ghost);
}

static void ghost_forgets_the_oldest_first(void **state)
{
    struct ghost ghost;
    uint32_t     recent = 0, old = 0;

    (void)state;
    assert_true(ghost_open(&ghost, 4096));
    for (uint32_t i = 0; i < 20000; i++)
        ghost_add(&ghost, (uint32_t)hash_mix(i, 1));
    assert_true(ghost.count <= 4096);
    for (uint32_t i = 0; i < 20000; i++)
        if (ghost_take(&ghost, (uint32_t)hash_mix(i, 1)))
            *(i >= 18000 ? &recent : &old) += 1;
    assert_true(recent > 1800);
    assert_true(old < 2400);
    ghost_close(&ghost);
}

static void ghost_without_memory_is_blind(void **state)
{
    struct ghost ghost;

    (void)state;
    memory_fail_after(1);
    assert_false(ghost_open(&ghost, 4096));
    ghost_add(&ghost, 1);
    assert_false(ghost_take(&ghost, 1));
    assert_false(ghost_limit(&ghost, 100000));
    ghost_close(&ghost);
}

static void ghost_limit_forgets_only_on_a_real_change(void **state)
{
    struct ghost ghost;

    (void)state;
    assert_true(ghost_open(&ghost, 4096));
    ghost_add(&ghost, 99);
    assert_false(ghost_limit(&ghost, 4000));
    assert_true(ghost_take(&ghost, 99));
    ghost_add(&ghost, 99);
    assert_true(ghost_limit(&ghost, 1000));
    assert_false(ghost_take(&ghost, 99));
    ghost_close(&ghost);
}

/* ---- index ---- */

#define ENTRIES_MAX 60000u

/* References are numbers here; the hash of each is computed. */
struct entries {
    bool     is_there[ENTRIES_MAX];
    uint32_t forgotten;
};

static uint64_t entry_hash(uint32_t reference)
{
    return hash_mix(reference, 3);
}

static uint32_t entry_hash32(void *context, uint32_t reference)
{
    (void)context;
    return (uint32_t)entry_hash(reference);
}

static void entry_prefetch(void *context, uint32_t reference)
{
    (void)context;
    (void)reference;
}

static void entry_forget(void *context, uint32_t reference)
{
    struct entries *entries = context;

    assert_true(entries->is_there[reference]);
    entries->is_there[reference] = false;
    entries->forgotten++;
}

static bool entry_match(const void *context, uint32_t reference)
{
    return *(const uint32_t *)context == reference;
}

static bool index_holds(const struct index *index, uint32_t reference)
{
    struct index_place place = index_find(index, entry_hash(reference), entry_match, &reference);
    struct index_place same = index_locate(index, (uint32_t)entry_hash(reference), reference);

    assert_ptr_equal(place.line, same.line);
    assert_int_equal(place.slot, same.slot);
    return place.line != NULL;
}

static struct entries entries;

static void index_check(const struct index *index)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < ENTRIES_MAX; i++) {
        assert_int_equal(index_holds(index, i), entries.is_there[i]);
        count += entries.is_there[i];
    }
    assert_int_equal(index->count, count);
}

/* Goal: no entry is lost or found twice while the index grows and shrinks under it. */
static void index_keeps_its_entries_over_all_sizes(void **state)
{
    struct segment_pool pool;
    struct index        index;

    (void)state;
    entries = (struct entries){ 0 };
    segment_pool_open(&pool, 8 * MIB, 32u << 10);
    index_open(&index, &pool,
               (struct index_owner){ &entries, entry_hash32, entry_prefetch, entry_forget });
    assert_false(index_holds(&index, 5));
    for (uint32_t i = 0; i < ENTRIES_MAX; i++) {
        assert_true(index_insert(&index, entry_hash(i), i));
        entries.is_there[i] = true;
        index_adapt(&index, 1);
        if (i % 15000 == 7000) /* now and then in the midst of a sweep */
            index_check(&index);
    }
    index_check(&index);
    assert_true(entries.forgotten < ENTRIES_MAX / 100);
    assert_true(index.bytes < ENTRIES_MAX * 64ull / INDEX_SLOTS * 2);
    for (uint32_t i = 0; i < ENTRIES_MAX; i++) {
        if (i % 50 == 0 || !entries.is_there[i])
            continue;
        index_remove(&index, (uint32_t)entry_hash(i),
                     index_locate(&index, (uint32_t)entry_hash(i), i));
        entries.is_there[i] = false;
        index_adapt(&index, 1);
        if (i % 15000 == 7001)
            index_check(&index);
    }
    for (int i = 0; i < 20; i++)
        index_adapt(&index, UINT32_MAX);
    index_check(&index);
    assert_int_equal(index.present.chunk_count, 1);
    index_close(&index);
    segment_pool_close(&pool);
}

static void index_without_room_forgets_the_rarest(void **state)
{
    struct segment_pool pool;
    struct index        index;
    uint32_t            hot = 0;

    (void)state;
    entries = (struct entries){ 0 };
    segment_pool_open(&pool, 40u << 10, 32u << 10); /* one chunk: 512 lines, 6144 slots */
    index_open(&index, &pool,
               (struct index_owner){ &entries, entry_hash32, entry_prefetch, entry_forget });
    for (uint32_t i = 0; i < 40000; i++) {
        assert_true(index_insert(&index, entry_hash(i), i));
        entries.is_there[i] = true;
        if (i < 1000)
            index_frequency_set(index_locate(&index, (uint32_t)entry_hash(i), i), 3);
        index_adapt(&index, 8);
    }
    index_check(&index);
    for (uint32_t i = 0; i < 1000; i++)
        hot += entries.is_there[i];
    assert_true(hot > 950);
    index_close(&index);
    segment_pool_close(&pool);
}

static void index_without_memory_takes_nothing(void **state)
{
    struct segment_pool pool;
    struct index        index;

    (void)state;
    entries = (struct entries){ 0 };
    segment_pool_open(&pool, MIB, 0);
    index_open(&index, &pool,
               (struct index_owner){ &entries, entry_hash32, entry_prefetch, entry_forget });
    memory_fail_after(1);
    assert_false(index_insert(&index, entry_hash(1), 1));
    memory_fail_after(0);
    index_check(&index);
    index_close(&index);
    segment_pool_close(&pool);
}

static void frequency_stops_at_three_and_leaves_neighbours_alone(void **state)
{
    struct index_line line = { .tags = { 1 } };

    (void)state;
    for (uint32_t slot = 0; slot < INDEX_SLOTS; slot++) {
        struct index_place place = { &line, slot };

        for (int i = 0; i < 9; i++)
            index_frequency_raise(place);
        assert_int_equal(index_frequency(place), 3);
        assert_int_equal(index_away(&line), 0);
    }
    index_frequency_set((struct index_place){ &line, 5 }, 0);
    assert_int_equal(index_frequency((struct index_place){ &line, 4 }), 3);
    assert_int_equal(index_frequency((struct index_place){ &line, 5 }), 0);
    assert_int_equal(index_frequency((struct index_place){ &line, 6 }), 3);
}

/* ---- segments ---- */

static void pool_never_maps_more_than_its_budget(void **state)
{
    static const uint64_t budgets[] = { 0, 1000, 40u << 10, 512u << 10, 5 * MIB, 130 * MIB };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(budgets); i++) {
        struct segment_pool pool;
        struct segment_list taken = { 0 };
        struct segment     *segment;

        segment_pool_open(&pool, budgets[i], 0);
        while ((segment = segment_take(&pool, 0)) != NULL) {
            assert_true(pool.mapped_bytes <= budgets[i]);
            segment_list_append(&taken, segment);
        }
        assert_false(segment_pool_has(&pool, 1));
        if (budgets[i] >= 512u << 10) /* little is lost to descriptors and roundings */
            assert_true(taken.bytes >= budgets[i] - budgets[i] / 10);
        while ((segment = taken.oldest) != NULL) {
            segment_list_remove(&taken, segment);
            segment_give(&pool, segment);
        }
        segment_pool_trim(&pool, budgets[i]);
        assert_int_equal(pool.free.count, 0);
        segment_pool_close(&pool);
    }
}

static void victim_is_the_oldest_without_pins_or_the_deadest(void **state)
{
    struct segment      segments[4] = { 0 };
    struct segment_list list = { 0 };
    bool                keeps_all;

    (void)state;
    for (int i = 0; i < 4; i++) {
        segments[i].bytes = segments[i].used = 1000;
        segment_list_append(&list, &segments[i]);
    }
    segments[0].pin_count = 1;
    assert_ptr_equal(segment_list_victim(&list, &segments[3], 1000, &keeps_all), &segments[1]);
    assert_false(keeps_all);
    segment_note_dead(&list, &segments[0], 900); /* pinned: stays */
    segment_note_dead(&list, &segments[3], 900);
    assert_ptr_equal(segment_list_victim(&list, NULL, 1000, &keeps_all), &segments[3]);
    assert_true(keeps_all);
    assert_ptr_equal(segment_list_victim(&list, NULL, 1000, &keeps_all), &segments[2]);
    assert_null(segment_list_victim(&list, NULL, 1000, &keeps_all));
    assert_int_equal(list.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(share_follows_the_ghosts_that_save_more),
        cmocka_unit_test(share_weighs_hits_by_the_bytes_they_would_cost),
        cmocka_unit_test(share_leans_to_blocks_at_a_tie),
        cmocka_unit_test(share_stays_without_evidence),
        cmocka_unit_test(side_without_ghosts_shrinks),
        cmocka_unit_test(share_keeps_a_floor_for_both_sides),
        cmocka_unit_test(victim_is_the_data_side_above_its_share),
        cmocka_unit_test(victim_is_index_or_filter_only_above_their_part),
        cmocka_unit_test(victim_always_has_bytes),
        cmocka_unit_test(targets_sum_to_what_index_and_filter_leave),
        cmocka_unit_test(ghost_remembers_once),
        cmocka_unit_test(ghost_forgets_the_oldest_first),
        cmocka_unit_test(ghost_without_memory_is_blind),
        cmocka_unit_test(ghost_limit_forgets_only_on_a_real_change),
        cmocka_unit_test(index_keeps_its_entries_over_all_sizes),
        cmocka_unit_test(index_without_room_forgets_the_rarest),
        cmocka_unit_test(index_without_memory_takes_nothing),
        cmocka_unit_test(frequency_stops_at_three_and_leaves_neighbours_alone),
        cmocka_unit_test(pool_never_maps_more_than_its_budget),
        cmocka_unit_test(victim_is_the_oldest_without_pins_or_the_deadest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
