/*
 * cache_model.c: a cache may forget, but never lie. Random work against arrays that know the truth.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cache/cache.h"
#include "core/base/hash.h"
#include "core/base/memory.h"

#define KEY_COUNT   4000u
#define TABLE_COUNT 24u
#define BLOCK_COUNT 96u /* of each table */
#define PIN_COUNT   12u
#define READ_COUNT  32u /* slow reads in flight */

struct random {
    uint64_t state;
};

static uint64_t random_next(struct random *random)
{
    uint64_t x = random->state += 0x9e3779b97f4a7c15ull;

    return hash_mix(x, 0x2545f4914f6cdd1dull);
}

static uint64_t random_below(struct random *random, uint64_t bound)
{
    return random_next(random) % bound;
}

static uint64_t seed_of_run(void)
{
    const char *text = getenv("KIWI_SEED");
    uint64_t    seed = text == NULL ? 42 : strtoull(text, NULL, 0);

    print_message("seed %llu\n", (unsigned long long)seed);
    return seed;
}

struct slow_read {
    bool     is_running;
    uint32_t key;
    uint32_t version; /* that it saw */
    uint32_t stamp;
};

struct held_block {
    struct cache_block *block;
    uint64_t            table_id, offset;
};

struct world {
    struct cache     *cache;
    struct random     random;
    uint64_t          budget;
    uint32_t          versions[KEY_COUNT];
    uint64_t          table_ids[TABLE_COUNT];
    uint64_t          next_table;
    struct slow_read  reads[READ_COUNT];
    struct held_block pins[PIN_COUNT];
    uint64_t          record_hits, block_hits;
    uint8_t           scratch[1u << 20];
};

/* ---- what keys, values and blocks must be ---- */

static struct bytes key_of(uint32_t key, uint8_t storage[512])
{
    /* Key 0 is empty; some are long; most are short. */
    size_t size = key == 0 ? 0 : key % 97 == 0 ? 300 : 8 + key % 24;

    for (size_t i = 0; i < size; i++)
        storage[i] = (uint8_t)(key >> (8 * (i % 4)) ^ i * 7);
    return bytes_of(storage, size);
}

static size_t value_size(uint32_t key, uint32_t version)
{
    uint64_t mixed = hash_mix(key, version);

    if (mixed % 501 == 0)
        return 6000 + mixed % 60000;
    if (key % 3 == 0) /* its values can be written in place */
        return key % 300;
    return mixed % 7 == 0 ? 0 : mixed % 400;
}

static void fill(uint8_t *target, size_t bytes, uint64_t seed)
{
    uint64_t x = seed;

    for (size_t i = 0; i < bytes; i++) {
        if (i % 8 == 0)
            x = hash_mix(x, i);
        target[i] = (uint8_t)(x >> (8 * (i % 8)));
    }
}

static bool is_filled(const uint8_t *data, size_t bytes, uint64_t seed)
{
    uint64_t x = seed;

    for (size_t i = 0; i < bytes; i++) {
        if (i % 8 == 0)
            x = hash_mix(x, i);
        if (data[i] != (uint8_t)(x >> (8 * (i % 8))))
            return false;
    }
    return true;
}

/* Few hashes differ in their upper half, so that tags, lines and stamps collide a lot. */
static uint64_t hash_of(uint32_t key)
{
    uint64_t hash = hash_mix(key, 77);

    return (hash & 0x00000fffffffffffull) | 0x1230000000000000ull;
}

static uint64_t value_seed(uint32_t key, uint32_t version)
{
    return hash_mix(key + 1, version + 1);
}

static enum kiwi_tier tier_of(uint64_t offset)
{
    uint64_t kind = offset / 4096 % 16;

    return kind == 0 ? KIWI_TIER_FILTER : kind < 3 ? KIWI_TIER_INDEX : KIWI_TIER_BLOCK;
}

static uint32_t block_bytes(uint64_t table_id, uint64_t offset)
{
    uint64_t mixed = hash_mix(table_id, offset);

    if (mixed % 61 == 0)
        return (uint32_t)(1 + mixed % (400u << 10));
    return tier_of(offset) == KIWI_TIER_BLOCK ? 4096u : (uint32_t)(512 + mixed % 16384);
}

/* ---- steps ---- */

static void step_find(struct world *world)
{
    uint8_t  storage[512];
    uint32_t key = (uint32_t)random_below(&world->random, KEY_COUNT);
    struct cached_record found;

    if (random_below(&world->random, 2) == 0)
        key %= 200; /* some are hot */
    if (random_below(&world->random, 8) == 0) {
        cache_prefetch(world->cache, hash_of(key));
        cache_prefetch_record(world->cache, hash_of(key));
    }
    if (cache_record_find(world->cache, hash_of(key), key_of(key, storage), &found)) {
        uint32_t version = world->versions[key];

        assert_int_equal(found.sequence, version + 1ull);
        assert_int_equal(found.value.size, value_size(key, version));
        assert_true(is_filled(found.value.data, found.value.size, value_seed(key, version)));
        world->record_hits++;
        return;
    }
    struct slow_read *read = &world->reads[random_below(&world->random, READ_COUNT)];

    if (!read->is_running)
        *read = (struct slow_read){ true, key, world->versions[key],
                                    cache_record_stamp(world->cache, hash_of(key)) };
}

static void step_read_ends(struct world *world)
{
    uint8_t           storage[512];
    struct slow_read *read = &world->reads[random_below(&world->random, READ_COUNT)];
    size_t            bytes;

    if (!read->is_running)
        return;
    bytes = value_size(read->key, read->version);
    fill(world->scratch, bytes, value_seed(read->key, read->version));
    cache_record_insert(world->cache, hash_of(read->key), key_of(read->key, storage),
                        bytes_of(world->scratch, bytes), read->version + 1ull, read->stamp);
    read->is_running = false;
}

static void step_write(struct world *world)
{
    uint8_t  storage[512];
    uint32_t key = (uint32_t)random_below(&world->random, KEY_COUNT);

    uint32_t version = ++world->versions[key];
    size_t   bytes = value_size(key, version);

    fill(world->scratch, bytes, value_seed(key, version));
    if (random_below(&world->random, 4) == 0)
        cache_record_drop(world->cache, hash_of(key), key_of(key, storage));
    else
        cache_record_write(world->cache, hash_of(key), key_of(key, storage),
                           bytes_of(world->scratch, bytes), version + 1ull);
}

static void step_block(struct world *world, bool is_offer)
{
    uint64_t table_id = world->table_ids[random_below(&world->random, TABLE_COUNT)];
    uint64_t offset = random_below(&world->random, BLOCK_COUNT) * 4096;
    uint32_t bytes = block_bytes(table_id, offset);
    uint64_t record = random_below(&world->random, 3);
    const uint8_t *block =
        cache_block_find(world->cache, tier_of(offset), table_id, offset, record);

    if (block != NULL) {
        assert_true(is_filled(block, bytes, hash_mix(table_id, offset)));
        world->block_hits++;
        return;
    }
    fill(world->scratch, bytes, hash_mix(table_id, offset));
    if (is_offer)
        cache_block_offer(world->cache, tier_of(offset), table_id, offset, world->scratch, bytes);
    else
        cache_block_insert(world->cache, tier_of(offset), table_id, offset, world->scratch, bytes);
}

static void pin_check(const struct held_block *pin)
{
    assert_true(is_filled(cache_block_bytes(pin->block), block_bytes(pin->table_id, pin->offset),
                          hash_mix(pin->table_id, pin->offset)));
}

static void step_pin(struct world *world)
{
    struct held_block *pin = &world->pins[random_below(&world->random, PIN_COUNT)];

    if (pin->block != NULL) {
        pin_check(pin);
        cache_block_unpin(world->cache, pin->block);
        pin->block = NULL;
        return;
    }
    pin->table_id = world->table_ids[random_below(&world->random, TABLE_COUNT)];
    pin->offset = random_below(&world->random, BLOCK_COUNT) * 4096;
    pin->block = cache_block_pin(world->cache, tier_of(pin->offset), pin->table_id, pin->offset);
}

static void step_table_drop(struct world *world)
{
    uint64_t *table_id = &world->table_ids[random_below(&world->random, TABLE_COUNT)];

    cache_table_drop(world->cache, *table_id);
    for (uint64_t offset = 0; offset < BLOCK_COUNT * 4096ull; offset += 4096)
        assert_null(cache_block_find(world->cache, tier_of(offset), *table_id, offset, 0));
    *table_id = world->next_table++;
}

static void step(struct world *world)
{
    uint64_t dice = random_below(&world->random, 1000);

    if (dice < 400)
        step_find(world);
    else if (dice < 650)
        step_read_ends(world);
    else if (dice < 720)
        step_write(world);
    else if (dice < 930)
        step_block(world, false);
    else if (dice < 950)
        step_block(world, true);
    else if (dice < 998)
        step_pin(world);
    else
        step_table_drop(world);
}

static void world_open(struct world *world, uint64_t budget, uint64_t seed)
{
    struct cache_options options = { .budget_bytes = budget, .segment_bytes = 1u << 20 };

    memset(world, 0, sizeof(*world));
    world->random.state = seed;
    world->budget = budget;
    world->next_table = 1;
    for (size_t i = 0; i < TABLE_COUNT; i++)
        world->table_ids[i] = world->next_table++;
    assert_int_equal(cache_open(&options, &world->cache), KIWI_OK);
}

static void world_close(struct world *world)
{
    for (size_t i = 0; i < PIN_COUNT; i++)
        if (world->pins[i].block != NULL) {
            pin_check(&world->pins[i]);
            cache_block_unpin(world->cache, world->pins[i].block);
        }
    cache_close(world->cache);
}

static struct world world; /* too large for a stack */

static void run(uint64_t budget, uint64_t seed, uint32_t steps)
{
    uint64_t memory_before = memory_allocated_bytes();

    world_open(&world, budget, seed);
    for (uint32_t i = 0; i < steps; i++) {
        step(&world);
        assert_true(cache_bytes(world.cache) <= budget);
    }
    world_close(&world);
    assert_int_equal(memory_allocated_bytes(), memory_before);
}

static void a_small_cache_never_lies(void **state)
{
    (void)state;
    run(512u << 10, seed_of_run(), 150000);
    assert_true(world.record_hits > 1000);
    assert_true(world.block_hits > 100);
}

static void a_middling_cache_never_lies(void **state)
{
    (void)state;
    run(3u << 20, seed_of_run() + 1, 150000);
    assert_true(world.record_hits > 3000);
    assert_true(world.block_hits > 1000);
}

static void a_roomy_cache_never_lies(void **state)
{
    (void)state;
    run(64u << 20, seed_of_run() + 2, 100000);
    assert_true(world.record_hits > 3000);
    assert_true(world.block_hits > 1000);
}

/* Goal: budgets that move up and down while pins are held never break a promise. */
static void a_cache_whose_budget_moves_never_lies(void **state)
{
    struct random random = { seed_of_run() + 3 };

    (void)state;
    world_open(&world, 8u << 20, random.state);
    for (uint32_t i = 0; i < 100000; i++) {
        step(&world);
        if (i % 2000 == 0) {
            world.budget = 1ull << (17 + random_below(&random, 10));
            cache_budget_set(world.cache, world.budget);
        }
    }
    world_close(&world);
}

/* Goal: no memory means not cached, never worse. Method: every 1st to 40th allocation fails. */
static void a_cache_without_memory_never_lies(void **state)
{
    struct random random = { seed_of_run() + 4 };

    (void)state;
    world_open(&world, 4u << 20, random.state);
    for (uint32_t i = 0; i < 60000; i++) {
        if (i % 50 == 0)
            memory_fail_after(1 + random_below(&random, 40));
        step(&world);
    }
    memory_fail_after(0);
    world_close(&world);
}

static void opening_without_memory_fails_cleanly(void **state)
{
    struct cache_options options = { .budget_bytes = 1u << 20 };
    struct cache        *cache;

    (void)state;
    memory_fail_after(1);
    assert_int_equal(cache_open(&options, &cache), KIWI_NO_MEMORY);
    memory_fail_after(0);
    assert_null(cache);
    cache_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_cache_never_lies),
        cmocka_unit_test(a_middling_cache_never_lies),
        cmocka_unit_test(a_roomy_cache_never_lies),
        cmocka_unit_test(a_cache_whose_budget_moves_never_lies),
        cmocka_unit_test(a_cache_without_memory_never_lies),
        cmocka_unit_test(opening_without_memory_fails_cleanly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
