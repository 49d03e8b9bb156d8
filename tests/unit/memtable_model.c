/*
 * A memtable says what a sorted array says, for keys of every shape and every search variant.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/base/hash.h"
#include "core/iter/head.h"
#include "core/memtable/state.h"
#include "memtable_harness.h"

/* Sanitizers make everything some 15 times slower. */
#ifdef KIWI_SANITIZED
#define SLOWNESS 3
#else
#define SLOWNESS 1
#endif

#define AHEAD_COUNT 24u  /* more than a memtable remembers */

struct run {
    enum key_shape     shape;
    enum heads_variant variant;
    uint64_t           chunk_bytes;
    uint64_t           operations;
    uint64_t           keys;          /* how many different ones */
    size_t             value_bytes;   /* usually at most */
    const char        *prefix;
    bool               hash_is_poor;  /* all keys share it */
};

struct world {
    struct memtable *memtable;
    struct model     model;
    struct dice      dice;
    uint64_t         sequence, newest_snapshot;
    uint8_t         *key, *value;
    const struct run *run;
    uint64_t         ahead[AHEAD_COUNT]; /* numbers of keys that were announced, in order */
    uint32_t         ahead_at, ahead_count;
};

static uint64_t hash_of(const struct run *run, struct bytes key)
{
    return run->hash_is_poor ? 77 : hash_key(key, 5);
}

static uint64_t world_number(struct world *world)
{
    const struct run *run = world->run;
    uint64_t          number = dice_below(&world->dice, run->keys);

    /* These two exist to be inserted in order. */
    if (run->shape == KEYS_ASCENDING || run->shape == KEYS_DESCENDING) {
        if (dice_below(&world->dice, 8) != 0)
            number = world->sequence;
    }
    return number;
}

static struct bytes world_key(struct world *world)
{
    return key_of(world->run->shape, world_number(world), world->key);
}

/* Announces puts to come; world_ahead_next makes most of them, in their order. */
static void world_announce(struct world *world)
{
    world->ahead_at = 0;
    world->ahead_count = 1 + (uint32_t)dice_below(&world->dice, AHEAD_COUNT);
    for (uint32_t i = 0; i < world->ahead_count; i++) {
        struct bytes key;

        world->ahead[i] = world_number(world);
        key = key_of(world->run->shape, world->ahead[i], world->key);
        memtable_prefetch_put(world->memtable, hash_of(world->run, key), key);
    }
}

static struct bytes world_ahead_next(struct world *world)
{
    while (world->ahead_at < world->ahead_count) {
        const uint64_t number = world->ahead[world->ahead_at++];

        if (dice_below(&world->dice, 8) != 0) /* else it is never made */
            return key_of(world->run->shape, number, world->key);
    }
    return world_key(world);
}

static void world_put(struct world *world)
{
    struct entry entry = { .kind = ENTRY_PUT };
    size_t       size = dice_below(&world->dice, world->run->value_bytes + 1);

    if (dice_below(&world->dice, 16) == 0)
        world_announce(world);
    entry.key = world_ahead_next(world);
    entry.sequence = world->sequence += 1 + dice_below(&world->dice, 3);
    if (dice_below(&world->dice, 5) == 0) {
        entry.kind = ENTRY_DELETE;
    } else {
        for (size_t i = 0; i < size; i += 97)
            world->value[i] = (uint8_t)dice_draw(&world->dice);
        entry.value = bytes_of(world->value, size);
    }
    switch (dice_below(&world->dice, 16)) {
    case 0:
        world->newest_snapshot = entry.sequence - 1;
        break;
    case 1:
        world->newest_snapshot = dice_below(&world->dice, entry.sequence);
        break;
    case 2:
    case 3:
        world->newest_snapshot = 0;
        break;
    default:
        break;
    }
    assert_int_equal(memtable_put(world->memtable, hash_of(world->run, entry.key), &entry,
                                  world->newest_snapshot), KIWI_OK);
    model_put(&world->model, &entry, world->newest_snapshot);
}

static void world_get(struct world *world)
{
    struct bytes key = world_key(world);
    uint64_t     some = dice_below(&world->dice, world->sequence + 2);
    uint64_t     sequence_max = dice_below(&world->dice, 3) != 0 ? SEQUENCE_MAX : some;
    size_t       at = model_get(&world->model, key, sequence_max);
    struct entry entry;
    bool         found = memtable_get(world->memtable, hash_of(world->run, key), key, sequence_max,
                                      &entry);

    assert_int_equal(found, at < world->model.count);
    if (found)
        assert_true(entry_equal(&entry, &world->model.entries[at]));
}

static void cursor_is_at(const struct memtable_cursor *cursor, const struct model *model, size_t at)
{
    if (at >= model->count) {
        assert_int_equal(cursor->iter.state, ITER_END);
        return;
    }
    assert_int_equal(cursor->iter.state, ITER_AT_ENTRY);
    assert_true(entry_equal(&cursor->iter.entry, &model->entries[at]));
}

/* Seeks somewhere and goes to and fro. */
static void world_walk(struct world *world)
{
    struct bytes           key = world_key(world);
    struct memtable_cursor cursor;
    size_t                 at;

    memtable_cursor_init(&cursor, world->memtable);
    if (dice_below(&world->dice, 2) == 0) {
        uint64_t sequence = dice_below(&world->dice, world->sequence + 2);

        if (dice_below(&world->dice, 2) == 0)
            memtable_cursor_prepare(&cursor, key, sequence);
        (void)iter_seek(&cursor.iter, key, sequence);
        at = model_find(&world->model, key, sequence);
    } else {
        if (dice_below(&world->dice, 2) == 0)
            memtable_cursor_prepare(&cursor, key, 0);
        (void)iter_seek_before(&cursor.iter, key);
        at = model_find(&world->model, key, 0) - 1;
    }
    cursor_is_at(&cursor, &world->model, at);
    for (int i = 0; i < 20 && at < world->model.count; i++) {
        if (dice_below(&world->dice, 3) == 0) {
            (void)iter_previous(&cursor.iter);
            at--;
        } else {
            (void)iter_next(&cursor.iter);
            at++;
        }
        cursor_is_at(&cursor, &world->model, at);
    }
}

/* What a place of the list tells of the entries that stand ahead in it is what the model has; the
 * cursor goes on from whichever it is left at. */
static void world_stretch(struct world *world)
{
    struct bytes            key = world_key(world);
    uint64_t                sequence = dice_below(&world->dice, world->sequence + 2);
    size_t                  at = model_find(&world->model, key, sequence);
    uint32_t                max = 1 + (uint32_t)dice_below(&world->dice, 70), last;
    struct memtable_cursor  cursor;
    struct memtable_stretch stretch;

    memtable_cursor_init(&cursor, world->memtable);
    (void)iter_seek(&cursor.iter, key, sequence);
    cursor_is_at(&cursor, &world->model, at);
    if (at >= world->model.count)
        return;
    stretch = memtable_cursor_stretch(&cursor, max);
    assert_in_range(stretch.count, 1, max);
    memtable_cursor_fetch(&cursor, 0, stretch.count);
    for (uint32_t i = 0; i < stretch.count; i++) {
        struct entry entry = memtable_cursor_look(&cursor, i);

        assert_true(entry_equal(&entry, &world->model.entries[at + i]));
        if (stretch.heads == NULL)
            continue;
        assert_true(entry.key.size >= stretch.prefix_bytes);
        assert_memory_equal(entry.key.data, cursor.iter.entry.key.data, stretch.prefix_bytes);
        assert_int_equal(stretch.heads[i], head_behind(entry.key, stretch.prefix_bytes));
    }
    last = (uint32_t)dice_below(&world->dice, stretch.count);
    memtable_cursor_skip(&cursor, last);
    (void)iter_next(&cursor.iter);
    cursor_is_at(&cursor, &world->model, at + last + 1);
}

static void world_check(struct world *world)
{
    struct memtable_cursor cursor;
    uint64_t               tombstones = 0, bytes = 0;
    size_t                 at = 0;

    assert_true(skiplist_check(&world->memtable->list));
    memtable_cursor_init(&cursor, world->memtable);
    for (enum iter_state state = iter_first(&cursor.iter); state == ITER_AT_ENTRY;
         state = iter_next(&cursor.iter)) {
        cursor_is_at(&cursor, &world->model, at++);
        tombstones += cursor.iter.entry.kind == ENTRY_DELETE;
        bytes += cursor.iter.entry.key.size + cursor.iter.entry.value.size;
    }
    assert_int_equal(at, world->model.count);
    for (enum iter_state state = iter_last(&cursor.iter); state == ITER_AT_ENTRY;
         state = iter_previous(&cursor.iter))
        cursor_is_at(&cursor, &world->model, --at);
    assert_int_equal(at, 0);
    assert_int_equal(memtable_entry_count(world->memtable), world->model.count);
    assert_int_equal(memtable_tombstone_count(world->memtable), tombstones);
    assert_int_equal(memtable_data_bytes(world->memtable), bytes);
    assert_true(memtable_bytes(world->memtable) >= bytes);
    for (size_t i = 0; i < world->model.count; i++) {
        struct entry entry, *expected = &world->model.entries[i];

        assert_true(memtable_get(world->memtable, hash_of(world->run, expected->key), expected->key,
                                 expected->sequence, &entry));
        assert_true(entry_equal(&entry, expected));
    }
}

static void run_do(const struct run *run)
{
    struct world            world = { .run = run, .dice = dice_of((uint64_t)run->shape) };
    struct memtable_pool   *pool;
    struct memtable_options options = { .expected_bytes = 100000 };

    if (heads_lower_of(run->variant) == NULL)
        return;
    if (run->prefix != NULL)
        options.prefix = bytes_of(run->prefix, strlen(run->prefix));
    world.key = malloc(65536);
    world.value = calloc(1, run->value_bytes + 1);
    assert_int_equal(memtable_pool_open(run->chunk_bytes, &pool), KIWI_OK);
    options.pool = pool;
    assert_int_equal(memtable_open(&options, &world.memtable), KIWI_OK);
    world.memtable->list.heads_lower = heads_lower_of(run->variant);
    for (uint64_t i = 0; i < run->operations / SLOWNESS; i++) {
        switch (dice_below(&world.dice, 8)) {
        case 0:
            world_get(&world);
            break;
        case 1:
            world_walk(&world);
            world_stretch(&world);
            break;
        default:
            world_put(&world);
        }
        if (i == 10 || i == 100 || i == run->operations / SLOWNESS / 2)
            world_check(&world);
    }
    memtable_freeze(world.memtable);
    world_check(&world);
    memtable_close(world.memtable);
    memtable_pool_close(pool);
    model_end(&world.model);
    free(world.key);
    free(world.value);
}

static void memtable_agrees_with_a_sorted_array_for_every_key_shape(void **state)
{
    (void)state;
    for (enum key_shape shape = 0; shape < KEY_SHAPE_COUNT; shape++) {
        struct run run = { .shape = shape, .variant = HEADS_AVX512, .chunk_bytes = 65536,
                           .operations = 12000, .keys = 4000, .value_bytes = 150 };

        if (shape == KEYS_LONG)
            run.operations = 3000;
        run_do(&run);
        run.chunk_bytes = 2 << 20;
        run.keys = 300;
        run_do(&run);
    }
}

static void memtable_agrees_with_every_search_variant(void **state)
{
    (void)state;
    for (enum heads_variant variant = 0; variant < HEADS_VARIANT_COUNT; variant++) {
        for (enum key_shape shape = 0; shape < KEYS_LONG; shape++)
            run_do(&(struct run){ .shape = shape, .variant = variant, .chunk_bytes = 16384,
                                  .operations = 6000, .keys = 2500, .value_bytes = 40 });
    }
}

/* Goal: a prefix that the keys do not have, or only some, costs speed and nothing else. */
static void wrong_prefixes_change_no_answer(void **state)
{
    static const char *const prefixes[] = {
        "user", "user0000", "a", "zzzz", "\xff\xff\xff", "the-same-start-of-every-single-key",
        "a prefix that is quite a bit longer than the forty-three bytes a block keeps",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(prefixes); i++) {
        for (enum key_shape shape = 0; shape < KEYS_LONG; shape++)
            run_do(&(struct run){ .shape = shape, .variant = HEADS_AVX2, .chunk_bytes = 65536,
                                  .operations = 2500, .keys = 1500, .value_bytes = 30,
                                  .prefix = prefixes[i] });
    }
}

/* Goal: values beyond a chunk, replaced by larger and smaller ones, keep their own memory. */
static void large_values_agree_with_a_sorted_array(void **state)
{
    (void)state;
    run_do(&(struct run){ .shape = KEYS_USER, .variant = HEADS_SCALAR, .chunk_bytes = 16384,
                          .operations = 3000, .keys = 60, .value_bytes = 40000 });
    run_do(&(struct run){ .shape = KEYS_LONG, .variant = HEADS_SCALAR, .chunk_bytes = 32768,
                          .operations = 1500, .keys = 40, .value_bytes = 9000 });
}

static void equal_hashes_change_no_answer(void **state)
{
    (void)state;
    run_do(&(struct run){ .shape = KEYS_USER, .variant = HEADS_SCALAR, .chunk_bytes = 65536,
                          .operations = 6000, .keys = 4000, .value_bytes = 8,
                          .hash_is_poor = true });
}

static void many_keys_agree_with_a_sorted_array(void **state)
{
    (void)state;
    run_do(&(struct run){ .shape = KEYS_USER, .variant = HEADS_AVX512, .chunk_bytes = 2 << 20,
                          .operations = 60000, .keys = 1000000, .value_bytes = 20 });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memtable_agrees_with_a_sorted_array_for_every_key_shape),
        cmocka_unit_test(memtable_agrees_with_every_search_variant),
        cmocka_unit_test(wrong_prefixes_change_no_answer),
        cmocka_unit_test(large_values_agree_with_a_sorted_array),
        cmocka_unit_test(equal_hashes_change_no_answer),
        cmocka_unit_test(many_keys_agree_with_a_sorted_array),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
