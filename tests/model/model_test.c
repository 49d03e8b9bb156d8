/*
 * model_test.c: random operations against a sorted array, in every way a database can be run.
 *
 * Goal: get, scans in both directions, snapshots, batches, flush, compaction and reopening always
 * show what a sorted array shows. Method: tiny memtables and tables, so that a few thousand
 * operations pass through all levels; after every phase everything is compared.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/support/world.h"

#define KEY_COUNT      700u
#define KEY_BYTES_MAX  40u
#define VALUE_BYTES_MAX 3000u
#define LARGE_FIRST    300u  /* neighbours of large values: chunks of scans are full of bytes */
#define LARGE_COUNT    25u   /* before they are full of rows */

static enum world_way way_under_test;
static uint64_t       seed_under_test;

struct model_value { uint64_t stamp; uint32_t size; bool is_there; };
struct model { struct model_value values[KEY_COUNT]; };

/* Keys in order: key i sorts before key i + 1. Some share long prefixes, key 0 is empty. */
static struct kiwi_slice key_of(uint32_t i, char *room)
{
    int size = i == 0 ? 0
             : i % 3 == 0 ? snprintf(room, KEY_BYTES_MAX, "user%06u-with-a-tail", i)
                          : snprintf(room, KEY_BYTES_MAX, "user%06u", i);
    return (struct kiwi_slice){ room, (size_t)size };
}

static void value_fill(uint8_t *room, const struct model_value *value)
{
    uint64_t state = value->stamp;

    for (uint32_t at = 0; at < value->size; at += 8) {
        uint64_t word = chance_next(&state);
        memcpy(room + at, &word, value->size - at < 8 ? value->size - at : 8);
    }
}

static void value_expect(const struct model_value *value, const void *data, size_t size)
{
    uint8_t room[VALUE_BYTES_MAX + 8];

    assert_int_equal(size, value->size);
    value_fill(room, value);
    assert_memory_equal(data, room, size);
}

static void get_expect(struct world *world, const struct model *model, uint32_t i,
                       struct kiwi_snapshot *snapshot)
{
    char               room[KEY_BYTES_MAX];
    struct kiwi_buffer value = { 0 };
    enum kiwi_status   status = kiwi_get(world->context, key_of(i, room), snapshot, &value);

    if (model->values[i].is_there) {
        if (status != KIWI_OK)
            fail_msg("key %u: %s %s", i, kiwi_status_text(status), kiwi_error_text());
        value_expect(&model->values[i], value.data, value.size);
    } else {
        assert_int_equal(status, KIWI_NOT_FOUND);
    }
    kiwi_buffer_free(&value);
}

static void row_expect(struct kiwi_iterator *iterator, const struct model *model, uint32_t i)
{
    char              room[KEY_BYTES_MAX];
    struct kiwi_slice want = key_of(i, room), key = kiwi_iterator_key(iterator);
    struct kiwi_slice value = kiwi_iterator_value(iterator);

    if (key.size != want.size || memcmp(key.data, want.data, key.size) != 0)
        fail_msg("expected key %u '%.*s', got '%.*s'", i, (int)want.size, (const char *)want.data,
                 (int)key.size, (const char *)key.data);
    value_expect(&model->values[i], value.data, value.size);
}

/* A walk of up to rows from key `from`, then some steps back, inside bounds if there are some: from
 * key `lowest` on, before key `end`. */
static void walk_expect(struct world *world, const struct model *model, uint32_t from,
                        uint64_t *state, bool is_backward, struct kiwi_snapshot *snapshot)
{
    uint32_t rows = 1 + (uint32_t)chance_below(state, 60);
    uint32_t lowest = 0, end = KEY_COUNT;
    char     lower[KEY_BYTES_MAX], upper[KEY_BYTES_MAX], room[KEY_BYTES_MAX];
    struct kiwi_iterator_options options = { .snapshot = snapshot, .row_hint = rows % 50 };
    struct kiwi_iterator        *iterator;
    enum kiwi_status             status;
    int64_t                      at = from, step = is_backward ? -1 : 1;

    if (chance_below(state, 3) == 0) {
        lowest = (uint32_t)chance_below(state, KEY_COUNT);
        options.lower = key_of(lowest, lower);
    }
    if (chance_below(state, 3) == 0) {
        end = 1 + (uint32_t)chance_below(state, KEY_COUNT - 1);
        options.upper = key_of(end, upper);
    }
    if (!is_backward && at < lowest)
        at = lowest;
    if (is_backward && at >= end)
        at = end - 1;
    check_ok(kiwi_iterator_open(world->context, &options, &iterator));
    status = is_backward ? kiwi_iterator_seek_before(iterator, key_of(from, room))
                         : kiwi_iterator_seek(iterator, key_of(from, room));
    for (uint32_t row = 0; row < rows; row++) {
        while (at >= lowest && at < end && !model->values[at].is_there)
            at += step;
        if (at < lowest || at >= end) {
            assert_int_equal(status, KIWI_NOT_FOUND);
            kiwi_iterator_close(iterator);
            return;
        }
        check_ok(status);
        row_expect(iterator, model, (uint32_t)at);
        if (row == rows / 2)
            step = -step; /* turn round in the middle */
        at += step;
        status = step > 0 ? kiwi_iterator_next(iterator) : kiwi_iterator_previous(iterator);
    }
    kiwi_iterator_close(iterator);
}

static void everything_expect(struct world *world, const struct model *model,
                              struct kiwi_snapshot *snapshot)
{
    struct kiwi_iterator_options options = { .snapshot = snapshot };
    struct kiwi_iterator        *iterator;
    enum kiwi_status             status;

    for (uint32_t i = 0; i < KEY_COUNT; i++)
        get_expect(world, model, i, snapshot);
    check_ok(kiwi_iterator_open(world->context, &options, &iterator));
    status = kiwi_iterator_first(iterator);
    for (uint32_t i = 0; i < KEY_COUNT; i++) {
        if (!model->values[i].is_there)
            continue;
        check_ok(status);
        row_expect(iterator, model, i);
        status = kiwi_iterator_next(iterator);
    }
    assert_int_equal(status, KIWI_NOT_FOUND);
    status = kiwi_iterator_last(iterator);
    for (uint32_t i = KEY_COUNT; i-- > 0;) {
        if (!model->values[i].is_there)
            continue;
        check_ok(status);
        row_expect(iterator, model, i);
        status = kiwi_iterator_previous(iterator);
    }
    assert_int_equal(status, KIWI_NOT_FOUND);
    kiwi_iterator_close(iterator);
}

static void put_one(struct world *world, struct model *model, uint32_t i, uint64_t *state)
{
    struct model_value value = { chance_next(state), 0, true };
    uint8_t            room[VALUE_BYTES_MAX + 8];
    char               key[KEY_BYTES_MAX];

    value.size = (uint32_t)chance_below(state,
                                        chance_below(state, 20) == 0 ? VALUE_BYTES_MAX : 200);
    if (i >= LARGE_FIRST && i < LARGE_FIRST + LARGE_COUNT)
        value.size = VALUE_BYTES_MAX - value.size / 3;
    value_fill(room, &value);
    check_ok(kiwi_put(world->context, key_of(i, key), (struct kiwi_slice){ room, value.size },
                      (enum kiwi_durability)(chance_below(state, 30) == 0 ? KIWI_DURABLE
                                                                          : KIWI_PROCESS)));
    model->values[i] = value;
}

static void batch_some(struct world *world, struct model *model, uint64_t *state)
{
    struct kiwi_batch *batch;
    uint32_t           count = 1 + (uint32_t)chance_below(state, 12);

    check_ok(kiwi_batch_open(&batch));
    for (uint32_t n = 0; n < count; n++) {
        uint32_t           i = (uint32_t)chance_below(state, KEY_COUNT);
        char               key[KEY_BYTES_MAX];
        uint8_t            room[VALUE_BYTES_MAX + 8];
        struct model_value value = { chance_next(state), 50, true };

        if (chance_below(state, 4) == 0) {
            check_ok(kiwi_batch_delete(batch, key_of(i, key)));
            model->values[i].is_there = false;
            continue;
        }
        value_fill(room, &value);
        check_ok(kiwi_batch_put(batch, key_of(i, key), (struct kiwi_slice){ room, value.size }));
        model->values[i] = value;
    }
    check_ok(kiwi_write(world->context, batch, KIWI_DURABILITY_DEFAULT));
    kiwi_batch_close(batch);
}

struct held { struct kiwi_snapshot *snapshot; struct model model; };

static void step_random(struct world *world, struct model *model, struct held *held,
                        uint64_t *state)
{
    uint32_t i = (uint32_t)chance_below(state, KEY_COUNT);
    char     key[KEY_BYTES_MAX];
    uint64_t die = chance_below(state, 1000);

    if (die < 550) {
        put_one(world, model, i, state);
    } else if (die < 650) {
        check_ok(kiwi_delete(world->context, key_of(i, key), KIWI_DURABILITY_DEFAULT));
        model->values[i].is_there = false;
    } else if (die < 850) {
        get_expect(world, model, i, NULL);
    } else if (die < 880) {
        batch_some(world, model, state);
    } else if (die < 940) {
        walk_expect(world, model, i, state, die % 2 == 0, NULL);
    } else if (die < 970 && held->snapshot != NULL) {
        get_expect(world, &held->model, i, held->snapshot);
    } else if (die < 980 && held->snapshot != NULL) {
        walk_expect(world, &held->model, i, state, die % 2 == 0, held->snapshot);
    } else if (die < 990) {
        kiwi_snapshot_close(held->snapshot);
        check_ok(kiwi_snapshot_open(world->db, &held->snapshot));
        held->model = *model;
    } else if (die < 993) {
        check_ok(kiwi_flush(world->context));
    } else if (die < 994) {
        check_ok(kiwi_compact(world->context, (struct kiwi_slice){ NULL, 0 },
                              (struct kiwi_slice){ NULL, 0 }));
    }
}

static void database_behaves_as_a_sorted_array(void **unused)
{
    static struct model model;
    static struct held  held;
    struct world        world;
    uint64_t            state = seed_under_test;
    uint32_t            rounds = test_is_long() ? 40 : 5;

    (void)unused;
    memset(&model, 0, sizeof model);
    memset(&held, 0, sizeof held);
    world_make(&world, way_under_test, seed_under_test);
    check_ok(world_open(&world));
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t step = 0; step < 3000; step++)
            step_random(&world, &model, &held, &state);
        if (held.snapshot != NULL)
            everything_expect(&world, &held.model, held.snapshot);
        kiwi_snapshot_close(held.snapshot);
        held.snapshot = NULL;
        everything_expect(&world, &model, NULL);
        check_ok(world_close(&world));
        check_ok(world_open(&world));
        everything_expect(&world, &model, NULL);
    }
    struct kiwi_stats *stats = malloc(sizeof *stats);
    check_ok(kiwi_stats_read(world.db, stats));
    assert_true(stats->table_file_bytes > 0);
    assert_int_equal(stats->corruptions, 0);
    free(stats);
    world_end(&world);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(database_behaves_as_a_sorted_array),
    };

    way_under_test = world_way_of(argc > 1 ? argv[1] : "managed");
    seed_under_test = seed_get(argc > 2 ? strtoull(argv[2], NULL, 0) : 20261);
    return cmocka_run_group_tests_name(world_way_name(way_under_test), tests, NULL, NULL);
}
