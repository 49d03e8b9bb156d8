/*
 * scan_test.c: iterators through the public interface, in every way to run.
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

static enum world_way way_under_test;

static void rows_put(struct world *world)
{
    char key[16];

    for (int i = 0; i < 100; i += 2) {
        snprintf(key, sizeof key, "row%03d", i);
        check_ok(kiwi_put(world->context, slice(key), slice(key + 3), KIWI_PROCESS));
    }
    check_ok(kiwi_put(world->context, slice("other"), slice("x"), KIWI_PROCESS));
    check_ok(kiwi_put(world->context, slice("zzz"), slice("x"), KIWI_PROCESS));
}

static void expect_row(struct kiwi_iterator *iterator, enum kiwi_status status, const char *want)
{
    struct kiwi_slice key;

    if (want == NULL) {
        assert_int_equal(status, KIWI_NOT_FOUND);
        assert_false(kiwi_iterator_is_valid(iterator));
        return;
    }
    check_ok(status);
    key = kiwi_iterator_key(iterator);
    assert_int_equal(key.size, strlen(want));
    assert_memory_equal(key.data, want, key.size);
}

static void iterators_honour_bounds_and_prefix(void **state)
{
    struct world                *world = *state;
    struct kiwi_iterator_options options = { .lower = slice("row010"), .upper = slice("row020") };
    struct kiwi_iterator        *iterator;

    rows_put(world);
    check_ok(kiwi_iterator_open(world->context, &options, &iterator));
    expect_row(iterator, kiwi_iterator_first(iterator), "row010");
    expect_row(iterator, kiwi_iterator_last(iterator), "row018");
    expect_row(iterator, kiwi_iterator_next(iterator), NULL);
    expect_row(iterator, kiwi_iterator_seek(iterator, slice("")), "row010");
    expect_row(iterator, kiwi_iterator_previous(iterator), NULL);
    expect_row(iterator, kiwi_iterator_seek(iterator, slice("row019")), NULL);
    expect_row(iterator, kiwi_iterator_seek_before(iterator, slice("row099")), "row018");
    expect_row(iterator, kiwi_iterator_seek_before(iterator, slice("row013")), "row012");
    kiwi_iterator_close(iterator);

    options = (struct kiwi_iterator_options){ .prefix = slice("row") };
    check_ok(kiwi_iterator_open(world->context, &options, &iterator));
    expect_row(iterator, kiwi_iterator_first(iterator), "row000");
    expect_row(iterator, kiwi_iterator_last(iterator), "row098");
    check_ok(kiwi_put(world->context, slice("row999"), slice("new"), KIWI_PROCESS));
    expect_row(iterator, kiwi_iterator_last(iterator), "row098");
    check_ok(kiwi_iterator_refresh(iterator, NULL));
    expect_row(iterator, kiwi_iterator_last(iterator), "row999");
    kiwi_iterator_close(iterator);
}

/* Iterators share one cut while nothing is written; each write must end the sharing, and each
 * iterator keep what it showed. */
static void each_refresh_sees_the_writes_before_it_and_no_later_one(void **state)
{
    struct world         *world = *state;
    struct kiwi_iterator *iterators[6] = { NULL };
    uint32_t              written[6];
    char                  key[32];

    for (uint32_t round = 0; round < 300; round++) {
        uint32_t at = round * 7 % 6;

        if (round % 3 != 0) {
            snprintf(key, sizeof key, "k%05u", round);
            check_ok(kiwi_put(world->context, slice(key), slice("v"), KIWI_PROCESS));
        }
        if (round % 50 == 49) {
            kiwi_iterator_close(iterators[at]);
            iterators[at] = NULL;
        }
        if (iterators[at] == NULL)
            check_ok(kiwi_iterator_open(world->context, NULL, &iterators[at]));
        else
            check_ok(kiwi_iterator_refresh(iterators[at], NULL));
        written[at] = round;
        for (uint32_t i = 0; i < 6; i++) {
            uint32_t newest;

            if (iterators[i] == NULL)
                continue;
            newest = written[i] % 3 == 0 ? written[i] - 1 : written[i];
            snprintf(key, sizeof key, "k%05u", newest);
            if (written[i] == 0)
                expect_row(iterators[i], kiwi_iterator_last(iterators[i]), NULL);
            else
                expect_row(iterators[i], kiwi_iterator_last(iterators[i]), key);
        }
    }
    for (uint32_t i = 0; i < 6; i++)
        kiwi_iterator_close(iterators[i]);
}

/* More newer entries than one visit to a shard looks at, between and behind the rows to show. */
static void an_old_snapshot_is_walked_through_thousands_of_newer_entries(void **state)
{
    struct world                *world = *state;
    struct kiwi_iterator_options options = { 0 };
    struct kiwi_iterator        *iterator;
    char                         key[32];

    check_ok(kiwi_put(world->context, slice("b"), slice("old"), KIWI_PROCESS));
    check_ok(kiwi_put(world->context, slice("n"), slice("old"), KIWI_PROCESS));
    check_ok(kiwi_put(world->context, slice("x"), slice("old"), KIWI_PROCESS));
    check_ok(kiwi_snapshot_open(world->db, &options.snapshot));
    for (int i = 0; i < 30000; i++) {
        snprintf(key, sizeof key, "%c%05d", "acmoy"[i % 5], i);
        check_ok(kiwi_put(world->context, slice(key), slice(""), KIWI_PROCESS));
    }
    check_ok(kiwi_put(world->context, slice("n"), slice("new"), KIWI_PROCESS));
    for (int round = 0; round < 2; round++) {
        check_ok(kiwi_iterator_open(world->context, &options, &iterator));
        expect_row(iterator, kiwi_iterator_seek(iterator, slice("a")), "b");
        expect_row(iterator, kiwi_iterator_next(iterator), "n");
        assert_memory_equal(kiwi_iterator_value(iterator).data, "old", 3);
        expect_row(iterator, kiwi_iterator_next(iterator), "x");
        expect_row(iterator, kiwi_iterator_next(iterator), NULL);
        expect_row(iterator, kiwi_iterator_last(iterator), "x");
        expect_row(iterator, kiwi_iterator_previous(iterator), "n");
        assert_memory_equal(kiwi_iterator_value(iterator).data, "old", 3);
        expect_row(iterator, kiwi_iterator_previous(iterator), "b");
        expect_row(iterator, kiwi_iterator_previous(iterator), NULL);
        kiwi_iterator_close(iterator);
        check_ok(kiwi_flush(world->context));
    }
    kiwi_snapshot_close(options.snapshot);
}

static uint64_t runs_present(struct world *world)
{
    struct kiwi_stats *stats = malloc(sizeof *stats);
    uint64_t           runs = 0;

    check_ok(kiwi_stats_read(world->db, stats));
    for (uint32_t i = 0; i < KIWI_LEVEL_COUNT_MAX; i++)
        runs += stats->levels[i].runs;
    free(stats);
    return runs;
}

/* Goal: whoever scans much and writes little reads one run a shard in the end. The bound is many
 * times the scans that pay for it. */
static void scans_make_one_run_of_many(void **state)
{
    enum { ROWS = 3000, SCANS_MAX = 200000, CHECK_EVERY = 100 };
    struct world         *world = *state;
    struct kiwi_iterator *iterator;
    uint32_t              scans = 0, shards = kiwi_shard_count(world->db);
    char                  key[32], value[100];

    memset(value, 'v', sizeof value);
    for (uint32_t i = 0; i < ROWS; i++) {
        snprintf(key, sizeof key, "key%05u", i * 7919 % ROWS);
        check_ok(kiwi_put(world->context, slice(key), (struct kiwi_slice){ value, sizeof value },
                          KIWI_PROCESS));
        if (i % (ROWS / 3) == 0)
            check_ok(kiwi_flush(world->context));
    }
    check_ok(kiwi_iterator_open(world->context, NULL, &iterator));
    while (runs_present(world) > shards && scans < SCANS_MAX) {
        for (uint32_t i = 0; i < CHECK_EVERY; i++, scans++) {
            snprintf(key, sizeof key, "key%05u", scans * 31 % (ROWS - 20));
            check_ok(kiwi_iterator_seek(iterator, slice(key)));
            for (uint32_t k = 0; k < 20; k++)
                check_ok(kiwi_iterator_next(iterator));
        }
        /* Whoever is attached does the merging, too; on the simulated machine time passes. */
        (void)kiwi_poll(world->context, NULL, 0, 1000000);
    }
    kiwi_iterator_close(iterator);
    printf("%u scans\n", scans);
    assert_true(runs_present(world) <= shards);
}

enum { LAYER_KEYS = 400, LAYERS = 24 };

/* Which layer each key is from; 0: it is not there. */
static void layers_walk(struct kiwi_iterator *iterator, const uint8_t *layer_of, bool is_backward)
{
    enum kiwi_status status = is_backward ? kiwi_iterator_last(iterator)
                                          : kiwi_iterator_first(iterator);
    char             key[16];

    for (uint32_t i = 0; i < LAYER_KEYS; i++) {
        uint32_t at = is_backward ? LAYER_KEYS - 1 - i : i;

        if (layer_of[at] == 0)
            continue;
        snprintf(key, sizeof key, "key%03u", at);
        expect_row(iterator, status, key);
        assert_int_equal(kiwi_iterator_value(iterator).size, 1);
        assert_int_equal(*(const uint8_t *)kiwi_iterator_value(iterator).data, layer_of[at]);
        status = is_backward ? kiwi_iterator_previous(iterator) : kiwi_iterator_next(iterator);
    }
    expect_row(iterator, status, NULL);
}

/* Goal: scans of more inputs than are looked at side by side (16) show every row once, the newest.
 * Method: runs that overlay each other, and no merge; only the simulated clock stands still enough
 * to say how many there are when the scan begins. */
static void scans_of_many_runs_show_the_newest_of_each_row(void **state)
{
    struct world          world;
    struct kiwi_iterator *iterator;
    uint8_t               layer_of[LAYER_KEYS] = { 0 };
    uint64_t              chance = 23, runs;
    char                  key[16];

    (void)state;
    world_make(&world, way_under_test, 23);
    world.options.shard_count = 1;
    world.options.level0_run_max = world.options.level_run_max = 32;
    check_ok(world_open(&world));
    for (uint8_t layer = 1; layer <= LAYERS; layer++) {
        for (uint32_t i = 0; i < 60; i++) {
            uint32_t at = (uint32_t)chance_below(&chance, LAYER_KEYS);
            bool     is_delete = chance_below(&chance, 5) == 0;

            snprintf(key, sizeof key, "key%03u", at);
            if (is_delete)
                check_ok(kiwi_delete(world.context, slice(key), KIWI_MEMORY));
            else
                check_ok(kiwi_put(world.context, slice(key), (struct kiwi_slice){ &layer, 1 },
                                  KIWI_MEMORY));
            layer_of[at] = is_delete ? 0 : layer;
        }
        check_ok(kiwi_flush(world.context));
    }
    check_ok(kiwi_iterator_open(world.context, NULL, &iterator));
    runs = runs_present(&world);
    print_message("%llu runs\n", (unsigned long long)runs);
    if (way_under_test == WORLD_SIMULATED)
        assert_true(runs > 16);
    layers_walk(iterator, layer_of, false);
    layers_walk(iterator, layer_of, true);
    for (uint32_t at = 0; at < LAYER_KEYS; at += 37) {
        uint32_t next = at;

        snprintf(key, sizeof key, "key%03u", at);
        while (next < LAYER_KEYS && layer_of[next] == 0)
            next++;
        enum kiwi_status status = kiwi_iterator_seek(iterator, slice(key));
        snprintf(key, sizeof key, "key%03u", next);
        expect_row(iterator, status, next < LAYER_KEYS ? key : NULL);
    }
    kiwi_iterator_close(iterator);
    world_end(&world);
}

int main(int argc, char **argv)
{
#define one(name) world_test(name, &way_under_test)
    const struct CMUnitTest tests[] = {
        one(iterators_honour_bounds_and_prefix),
        one(each_refresh_sees_the_writes_before_it_and_no_later_one),
        one(an_old_snapshot_is_walked_through_thousands_of_newer_entries),
        one(scans_make_one_run_of_many),
        cmocka_unit_test(scans_of_many_runs_show_the_newest_of_each_row),
    };

    way_under_test = world_way_of(argc > 1 ? argv[1] : "managed");
    return cmocka_run_group_tests_name(world_way_name(way_under_test), tests, NULL, NULL);
}
