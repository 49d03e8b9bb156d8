/*
 * disk_test.c: the simulated disk fails, lies in what it reads, and fills up.
 *
 * Goal: whatever fails, what was acknowledged is there, no read shows other bytes, errors say
 * where, and what can go on goes on. Method: random work with a ledger of what may stand under
 * each key.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/faults/ledger.h"

static uint64_t seed_under_test;

struct scene {
    struct world              world;
    struct simulation_options disk;
    struct ledger             ledger;
    uint64_t                  chance;
    char                      label[96];
    bool                      may_be_stopped; /* the log or a manifest may have failed */
};

static struct scene *scene_begin(uint64_t seed, uint64_t disk_bytes)
{
    struct scene *scene = calloc(1, sizeof *scene);

    world_make(&scene->world, WORLD_SIMULATED, seed);
    scene->world.options.memtable_bytes = 32u << 10;
    scene->world.options.log_bytes = 512u << 10;
    scene->disk = (struct simulation_options){ .seed = seed, .disk_bytes = disk_bytes };
    simulation_set(scene->world.simulation, &scene->disk);
    scene->chance = seed;
    ledger_begin(&scene->ledger);
    snprintf(scene->label, sizeof scene->label, "seed %llu", (unsigned long long)seed);
    return scene;
}

static void scene_end(struct scene *scene)
{
    world_end(&scene->world);
    free(scene);
}

static void scene_open(struct scene *scene)
{
    enum kiwi_status status = world_open(&scene->world);

    if (status != KIWI_OK)
        fail_msg("%s: open: %s: %s", scene->label, kiwi_status_text(status), kiwi_error_text());
}

static void scene_steps(struct scene *scene, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        ledger_step(&scene->ledger, scene->world.context, &scene->chance, scene->label);
}

/* Everything is well again: nothing was lost, and writing and flushing work. */
static void scene_heal_and_check(struct scene *scene)
{
    uint64_t    seed = scene->disk.seed;
    struct kiwi_context *context = scene->world.context;

    scene->disk = (struct simulation_options){ .seed = seed };
    simulation_set(scene->world.simulation, &scene->disk);
    simulation_fail_at(scene->world.simulation, 0, KIWI_IO, false);
    ledger_check(&scene->ledger, context, scene->label);
}

static void scene_reopen(struct scene *scene)
{
    (void)world_close(&scene->world); /* may tell of an error met before */
    scene_open(scene);
}

static void scene_write_on(struct scene *scene)
{
    uint32_t refused = scene->ledger.refused;

    scene_steps(scene, 60);
    if (scene->ledger.refused != refused && scene->may_be_stopped
        && scene->ledger.last_refusal == KIWI_STOPPED)
        return;
    if (scene->ledger.refused != refused)
        fail_msg("%s: a write was refused although all is well: %s", scene->label,
                 scene->ledger.refusal);
    if (kiwi_flush(scene->world.context) != KIWI_OK)
        fail_msg("%s: flush: %s", scene->label, kiwi_error_text());
}

/* ---- one failure, or all from there on ---- */

enum { SWEEP_STEPS = 260 };

static uint64_t operations_of_a_run(uint64_t seed)
{
    struct scene *scene = scene_begin(seed, 0);
    uint64_t      operations;

    scene_open(scene);
    scene_steps(scene, SWEEP_STEPS);
    operations = simulation_operations(scene->world.simulation);
    scene_end(scene);
    return operations;
}

static void run_with_failure(uint64_t seed, uint64_t at, enum kiwi_status failure, bool is_sticky)
{
    struct scene *scene = scene_begin(seed, 0);

    snprintf(scene->label, sizeof scene->label, "seed %llu, operation %llu fails (%s%s)",
             (unsigned long long)seed, (unsigned long long)at, failure == KIWI_IO ? "io" : "full",
             is_sticky ? ", sticky" : "");
    simulation_fail_at(scene->world.simulation, at, failure, is_sticky);
    if (world_open(&scene->world) == KIWI_OK) {
        scene_steps(scene, SWEEP_STEPS);
        scene->may_be_stopped = true;
        if (!is_sticky && scene->ledger.last_refusal == KIWI_OK)
            scene_write_on(scene);
        scene->may_be_stopped = false;
        simulation_fail_at(scene->world.simulation, 0, KIWI_IO, false);
        ledger_check(&scene->ledger, scene->world.context, scene->label);
    }
    simulation_fail_at(scene->world.simulation, 0, KIWI_IO, false);
    if (scene->world.db != NULL)
        scene_reopen(scene);
    else
        scene_open(scene);
    scene_heal_and_check(scene);
    scene_write_on(scene);
    scene_end(scene);
}

static void sweep(enum kiwi_status failure, bool is_sticky)
{
    uint64_t total = operations_of_a_run(seed_under_test);
    uint64_t stride = test_is_long() ? 1 : 1 + total / sweep_of(70, 20), runs = 0;

    for (uint64_t at = 1; at <= total; at += stride, runs++)
        run_with_failure(seed_under_test, at, failure, is_sticky);
    printf("%llu of %llu operations failed, one a run\n", (unsigned long long)runs,
           (unsigned long long)total);
}

static void one_failed_operation_loses_nothing(void **state)
{
    (void)state;
    sweep(KIWI_IO, false);
}

static void a_device_that_fails_for_good_loses_nothing(void **state)
{
    (void)state;
    sweep(KIWI_IO, true);
}

static void one_refusal_for_lack_of_room_loses_nothing(void **state)
{
    (void)state;
    sweep(KIWI_FULL, false);
}

static void a_disk_without_room_from_any_moment_loses_nothing(void **state)
{
    (void)state;
    sweep(KIWI_FULL, true);
}

/* ---- by chance ---- */

static void read_errors_cost_only_their_reads(void **state)
{
    struct scene *scene = scene_begin(seed_under_test, 0);

    (void)state;
    scene_open(scene);
    scene_steps(scene, 400);
    for (int i = 0; i < 25; i++) {
        scene->disk.read_error_per_million = 0; /* a fresh open has no block in memory */
        simulation_set(scene->world.simulation, &scene->disk);
        scene_reopen(scene);
        scene->disk.read_error_per_million = 60000;
        simulation_set(scene->world.simulation, &scene->disk);
        scene_steps(scene, 80);
    }
    assert_true(scene->ledger.read_errors > 0);
    assert_non_null(strstr(scene->ledger.read_error, "shard-"));
    assert_int_equal(scene->ledger.last_refusal, KIWI_OK);
    scene_heal_and_check(scene);
    scene_write_on(scene);
    scene_reopen(scene);
    scene_heal_and_check(scene);
    scene_end(scene);
}

static void flipped_bits_are_told_and_never_shown(void **state)
{
    struct scene *scene = scene_begin(seed_under_test, 0);

    (void)state;
    scene_open(scene);
    scene_steps(scene, 400);
    for (int i = 0; i < 25; i++) {
        scene->disk.bit_flip_per_million = 0; /* a fresh open has no block in memory */
        simulation_set(scene->world.simulation, &scene->disk);
        scene_reopen(scene);
        scene->disk.bit_flip_per_million = 60000;
        simulation_set(scene->world.simulation, &scene->disk);
        scene_steps(scene, 80);
    }
    assert_true(scene->ledger.read_errors > 0);
    scene_heal_and_check(scene);
    scene_write_on(scene);
    scene_reopen(scene);
    scene_heal_and_check(scene);
    scene_end(scene);
}

static void short_transfers_are_not_seen(void **state)
{
    struct scene *scene = scene_begin(seed_under_test, 0);

    (void)state;
    scene->disk.short_transfer_per_million = 300000;
    simulation_set(scene->world.simulation, &scene->disk);
    scene_open(scene);
    scene_steps(scene, 1500);
    assert_int_equal(scene->ledger.read_errors, 0);
    assert_int_equal(scene->ledger.refused, 0);
    scene_write_on(scene);
    scene_reopen(scene);
    scene_heal_and_check(scene);
    scene_end(scene);
}

static void cause_is_told(const char *text)
{
    if (strstr(text, "/wal: ") == NULL)
        fail_msg("the text does not say that the log failed: %s", text);
}

/* A failure with a text of its own, so that no later one can borrow an old text. */
static void other_failure(struct kiwi_context *context)
{
    struct kiwi_slice nothing = { NULL, 1 };

    assert_int_equal(kiwi_delete(context, nothing, KIWI_PROCESS), KIWI_INVALID);
    assert_null(strstr(kiwi_error_text(), "/wal: "));
}

/* Goal: sooner or later a write of a log fails; from then on this shard refuses writes and says so,
 * reads go on, and a new open has everything. */
static void a_failing_log_stops_writes_and_not_reads(void **state)
{
    struct scene *scene = scene_begin(seed_under_test, 0);
    uint32_t      refused;

    (void)state;
    scene_open(scene);
    scene_steps(scene, 300);
    scene->disk.write_error_per_million = 1000000;
    simulation_set(scene->world.simulation, &scene->disk);
    for (uint32_t i = 0; i < 40; i++)
        ledger_put(&scene->ledger, scene->world.context, i, KIWI_DURABLE);
    scene->disk.write_error_per_million = 0;
    simulation_set(scene->world.simulation, &scene->disk);
    refused = scene->ledger.refused;
    assert_true(refused > 0);
    ledger_put(&scene->ledger, scene->world.context, 7, KIWI_PROCESS);
    assert_int_equal(scene->ledger.refused, refused + 1);
    assert_int_equal(scene->ledger.last_refusal, KIWI_STOPPED);
    assert_non_null(strstr(scene->ledger.refusal, "until the database is reopened"));
    for (uint32_t i = 0; i < LEDGER_KEYS; i++)
        ledger_get(&scene->ledger, scene->world.context, i, false, scene->label);
    cause_is_told(scene->ledger.refusal);
    assert_int_not_equal(kiwi_flush(scene->world.context), KIWI_OK);
    cause_is_told(kiwi_error_text());
    other_failure(scene->world.context);
    assert_int_not_equal(kiwi_wait_durable(scene->world.context), KIWI_OK);
    cause_is_told(kiwi_error_text());
    other_failure(scene->world.context);
    assert_int_not_equal(world_close(&scene->world), KIWI_OK);
    cause_is_told(kiwi_error_text());
    scene_open(scene);
    scene_heal_and_check(scene);
    scene_write_on(scene);
    scene_end(scene);
}

static void everything_at_once_loses_nothing(void **state)
{
    uint64_t rounds = test_is_long() ? 300 : sweep_of(15, 4);

    (void)state;
    for (uint64_t i = 0; i < rounds; i++) {
        struct scene *scene = scene_begin(seed_under_test + 1000 * i, 0);

        scene->disk.read_error_per_million = 20000;
        scene->disk.write_error_per_million = 3000;
        scene->disk.sync_error_per_million = 3000;
        scene->disk.short_transfer_per_million = 50000;
        scene->disk.bit_flip_per_million = 20000;
        scene_open(scene);
        simulation_set(scene->world.simulation, &scene->disk);
        scene_steps(scene, 500);
        if (i % 2 == 0) {
            simulation_kill(scene->world.simulation);
            (void)world_close(&scene->world);
            scene->disk = (struct simulation_options){ .seed = scene->disk.seed };
            simulation_set(scene->world.simulation, &scene->disk);
            scene_open(scene);
        } else {
            scene->disk = (struct simulation_options){ .seed = scene->disk.seed };
            simulation_set(scene->world.simulation, &scene->disk);
            scene_reopen(scene);
        }
        scene_heal_and_check(scene);
        scene_write_on(scene);
        scene_end(scene);
    }
}

/* ---- a disk of some size ---- */

static void refusal_check(const struct scene *scene)
{
    const struct ledger *ledger = &scene->ledger;

    if (ledger->refused == 0)
        return;
    if (ledger->last_refusal != KIWI_FULL && ledger->last_refusal != KIWI_STOPPED)
        fail_msg("%s: a full disk was told as %s: %s", scene->label,
                 kiwi_status_text(ledger->last_refusal), ledger->refusal);
    if (strstr(ledger->refusal, "/database") == NULL)
        fail_msg("%s: the text does not say where it is full: %s", scene->label, ledger->refusal);
}

/* True when the disk was too small for something. */
static bool run_on_a_disk_of(uint64_t bytes)
{
    struct scene    *scene = scene_begin(seed_under_test, bytes);
    enum kiwi_status status;
    bool             was_full;

    snprintf(scene->label, sizeof scene->label, "disk of %llu KiB",
             (unsigned long long)bytes >> 10);
    status = world_open(&scene->world);
    if (status != KIWI_OK) {
        if (status != KIWI_FULL || strstr(kiwi_error_text(), "/database") == NULL)
            fail_msg("%s: open: %s: %s", scene->label, kiwi_status_text(status),
                     kiwi_error_text());
        scene->disk.disk_bytes = 64u << 20;
        simulation_set(scene->world.simulation, &scene->disk);
        scene_open(scene);
        scene_write_on(scene);
        scene_end(scene);
        return true;
    }
    scene_steps(scene, 1200);
    refusal_check(scene);
    was_full = scene->ledger.refused > 0;
    ledger_check(&scene->ledger, scene->world.context, scene->label); /* reads go on */
    scene->disk.disk_bytes = 64u << 20;
    simulation_set(scene->world.simulation, &scene->disk);
    if (kiwi_flush(scene->world.context) != KIWI_OK)
        fail_msg("%s: there is room again, but flush: %s", scene->label, kiwi_error_text());
    scene_write_on(scene);
    scene_reopen(scene);
    ledger_check(&scene->ledger, scene->world.context, scene->label);
    scene_write_on(scene);
    scene_end(scene);
    return was_full;
}

static void a_full_disk_refuses_writes_until_there_is_room(void **state)
{
    uint64_t first = 64u << 10, last = 8u << 20;
    uint64_t stride = test_is_long() ? 16u << 10 : sweep_of(192u << 10, 768u << 10);
    uint32_t full = 0, runs = 0;

    (void)state;
    for (uint64_t bytes = first; bytes <= last; bytes += stride, runs++)
        full += run_on_a_disk_of(bytes);
    printf("%u of %u disks were too small\n", full, runs);
    assert_true(full > 0);
    assert_true(full < runs);
}

/* ---- nobody makes room ---- */

static void stalls_sum(struct kiwi_db *db, struct kiwi_stats *stats, uint64_t *count,
                       uint64_t *longest_ns)
{
    *count = *longest_ns = 0;
    assert_int_equal(kiwi_stats_read(db, stats), KIWI_OK);
    for (int i = 0; i < KIWI_STALL_COUNT; i++) {
        *count += stats->stalls[i].count;
        if (stats->stalls[i].max_ns > *longest_ns)
            *longest_ns = stats->stalls[i].max_ns;
    }
}

static void numbered_check(struct kiwi_context *context, uint32_t count)
{
    struct kiwi_buffer found = { 0 };
    char               key[32];

    for (uint32_t i = 0; i < count; i++) {
        snprintf(key, sizeof key, "key-%05u", i);
        assert_int_equal(kiwi_get(context, (struct kiwi_slice){ key, strlen(key) }, NULL, &found),
                         KIWI_OK);
        assert_int_equal(found.size, 200);
    }
    kiwi_buffer_free(&found);
}

/* Goal: when memtables and log are full and stay so, a write is put off for less than 10 ms, and
 * then takes what is reserved for those that have waited. Method: the writer's context is not the
 * one that drives the shards, so nothing is flushed until 40 writes have been put off. */
static void a_write_is_never_put_off_for_long(void **state)
{
    struct scene        *scene = scene_begin(seed_under_test, 0);
    struct kiwi_stats   *stats = calloc(1, sizeof *stats);
    struct kiwi_context *writer;
    uint64_t             delayed = 0, longest_ns = 0;
    uint32_t             count = 0;
    char                 key[32], value[200];

    (void)state;
    memset(value, 'v', sizeof value);
    scene->world.options.memtable_bytes = 256u << 10;
    scene->world.options.log_bytes = 4u << 20;
    scene_open(scene);
    assert_int_equal(kiwi_context_open(scene->world.db, 4, &writer), KIWI_OK);
    while (delayed < 40) {
        assert_true(count < 100000);
        snprintf(key, sizeof key, "key-%05u", count++);
        assert_int_equal(kiwi_put(writer, (struct kiwi_slice){ key, strlen(key) },
                                  (struct kiwi_slice){ value, sizeof value }, KIWI_PROCESS),
                         KIWI_OK);
        stalls_sum(scene->world.db, stats, &delayed, &longest_ns);
    }
    printf("%llu of %u writes were put off, the longest %llu us\n", (unsigned long long)delayed,
           count, (unsigned long long)longest_ns / 1000);
    assert_true(longest_ns > 1000000);
    assert_true(longest_ns < 10000000);
    kiwi_context_close(writer);
    assert_int_equal(kiwi_flush(scene->world.context), KIWI_OK);
    numbered_check(scene->world.context, count);
    free(stats);
    scene_end(scene);
}

/* ---- one run again ---- */

static uint64_t         once_at;
static enum kiwi_status once_failure;
static bool             once_sticky;

static void one_failure_loses_nothing(void **state)
{
    (void)state;
    if (once_failure == KIWI_OK)
        (void)run_on_a_disk_of(once_at);
    else
        run_with_failure(seed_under_test, once_at, once_failure, once_sticky);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest once[] = { cmocka_unit_test(one_failure_loses_nothing) };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_failed_operation_loses_nothing),
        cmocka_unit_test(a_device_that_fails_for_good_loses_nothing),
        cmocka_unit_test(one_refusal_for_lack_of_room_loses_nothing),
        cmocka_unit_test(a_disk_without_room_from_any_moment_loses_nothing),
        cmocka_unit_test(read_errors_cost_only_their_reads),
        cmocka_unit_test(flipped_bits_are_told_and_never_shown),
        cmocka_unit_test(short_transfers_are_not_seen),
        cmocka_unit_test(a_failing_log_stops_writes_and_not_reads),
        cmocka_unit_test(everything_at_once_loses_nothing),
        cmocka_unit_test(a_full_disk_refuses_writes_until_there_is_room),
        cmocka_unit_test(a_write_is_never_put_off_for_long),
    };

    seed_under_test = seed_get(argc > 1 ? strtoull(argv[1], NULL, 0) : 7);
    if (argc > 3) { /* seed, operation (or bytes of the disk), io, io-sticky, full, ..., disk */
        once_at = strtoull(argv[2], NULL, 0);
        once_failure = strncmp(argv[3], "io", 2) == 0 ? KIWI_IO
                     : strncmp(argv[3], "full", 4) == 0 ? KIWI_FULL : KIWI_OK;
        once_sticky = strstr(argv[3], "sticky") != NULL;
        return cmocka_run_group_tests(once, NULL, NULL);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
