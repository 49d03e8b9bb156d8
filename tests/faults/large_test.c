/*
 * large_test.c: large values, many tombstones, long logs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/support/world.h"

#define MIB (1u << 20)

static void world_large(struct world *world, uint32_t shard_count)
{
    world_make(world, WORLD_MANAGED, 1);
    world->options.memory_bytes = 512ull << 20;
    world->options.memtable_bytes = world->options.log_bytes = world->options.table_bytes = 0;
    world->options.shard_count = shard_count;
}

/* ---- large values ---- */

static const uint32_t sizes[] = { 0,       1,    5 * MIB, 3 * MIB, 12 * MIB,
                                  1 * MIB, 4095, 70000,   3 * MIB };
#define SIZES (sizeof sizes / sizeof sizes[0])

static struct kiwi_slice large_key(size_t i, char room[32])
{
    return (struct kiwi_slice){ room, (size_t)snprintf(room, 32, "large-%zu", i) };
}

static uint8_t *pattern_make(size_t i)
{
    uint8_t *bytes = malloc(sizes[i] + 8u);
    uint64_t chance = i + 1;

    for (size_t at = 0; at < sizes[i]; at += 8) {
        uint64_t word = chance_next(&chance);
        memcpy(bytes + at, &word, 8);
    }
    return bytes;
}

static void large_is(size_t i, const void *data, size_t size)
{
    uint8_t *want = pattern_make(i);

    assert_int_equal(size, sizes[i]);
    if (size > 0)
        assert_int_equal(memcmp(data, want, size), 0);
    free(want);
}

static void large_values_check(struct kiwi_context *context)
{
    struct kiwi_buffer    value = { 0 };
    struct kiwi_iterator *iterator;
    size_t                rows = 0;
    char                  room[32];
    enum kiwi_status      status;

    for (size_t i = 0; i < SIZES; i++) {
        check_ok(kiwi_get(context, large_key(i, room), NULL, &value));
        large_is(i, value.data, value.size);
    }
    kiwi_buffer_free(&value);
    check_ok(kiwi_iterator_open(context, NULL, &iterator));
    for (status = kiwi_iterator_first(iterator); status == KIWI_OK;
         status = kiwi_iterator_next(iterator), rows++) {
        struct kiwi_slice row = kiwi_iterator_value(iterator);
        large_is(rows, row.data, row.size);
    }
    if (status != KIWI_NOT_FOUND)
        check_ok(status);
    for (status = kiwi_iterator_last(iterator); status == KIWI_OK;
         status = kiwi_iterator_previous(iterator)) {
        struct kiwi_slice row = kiwi_iterator_value(iterator);
        large_is(--rows, row.data, row.size);
    }
    assert_int_equal(rows, 0);
    kiwi_iterator_close(iterator);
}

static void large_values_put(struct kiwi_context *context)
{
    char room[32];

    for (size_t i = 0; i < SIZES; i++) {
        uint8_t *bytes = pattern_make(i);
        check_ok(kiwi_put(context, large_key(i, room), (struct kiwi_slice){ bytes, sizes[i] },
                          i % 2 == 0 ? KIWI_DURABLE : KIWI_PROCESS));
        free(bytes);
    }
}

static void large_values_stay_as_they_were_written(void **state)
{
    struct world world;

    (void)state;
    world_large(&world, 1);
    check_ok(world_open(&world));
    large_values_put(world.context);
    large_values_check(world.context);
    check_ok(world_close(&world));
    check_ok(world_open(&world)); /* from the log */
    large_values_check(world.context);
    check_ok(kiwi_flush(world.context));
    large_values_check(world.context);
    large_values_put(world.context);
    check_ok(kiwi_compact(world.context, (struct kiwi_slice){ NULL, 0 },
                          (struct kiwi_slice){ NULL, 0 }));
    large_values_check(world.context);
    check_ok(world_close(&world));
    check_ok(world_open(&world)); /* from the device */
    large_values_check(world.context);
    check_ok(world_close(&world));
    world_end(&world);
}

/* Goal: the largest value there may be takes every way that a value takes, once. */
static void a_value_of_64_mib_stays_as_it_was_written(void **state)
{
    struct world          world;
    struct kiwi_slice     key = { "largest", 7 }, row;
    struct kiwi_buffer    value = { 0 };
    struct kiwi_iterator *iterator;
    uint8_t              *bytes = malloc(64 * MIB);
    uint64_t              chance = 64;

    (void)state;
    for (size_t at = 0; at < 64 * MIB; at += 8) {
        uint64_t word = chance_next(&chance);
        memcpy(bytes + at, &word, 8);
    }
    world_large(&world, 1);
    check_ok(world_open(&world));
    check_ok(kiwi_put(world.context, key, (struct kiwi_slice){ bytes, 64 * MIB }, KIWI_DURABLE));
    check_ok(world_close(&world));
    check_ok(world_open(&world)); /* from the log */
    check_ok(kiwi_get(world.context, key, NULL, &value));
    assert_int_equal(value.size, 64 * MIB);
    assert_int_equal(memcmp(value.data, bytes, 64 * MIB), 0);
    check_ok(kiwi_flush(world.context));
    check_ok(world_close(&world));
    check_ok(world_open(&world)); /* from the device */
    check_ok(kiwi_iterator_open(world.context, NULL, &iterator));
    check_ok(kiwi_iterator_first(iterator));
    row = kiwi_iterator_value(iterator);
    assert_int_equal(row.size, 64 * MIB);
    assert_int_equal(memcmp(row.data, bytes, 64 * MIB), 0);
    assert_int_equal(kiwi_iterator_next(iterator), KIWI_NOT_FOUND);
    kiwi_iterator_close(iterator);
    kiwi_buffer_free(&value);
    free(bytes);
    check_ok(world_close(&world));
    world_end(&world);
}

static void a_value_too_large_for_the_log_is_refused_by_name(void **state)
{
    struct world     world;
    uint8_t         *bytes = calloc(1, 64 * MIB);
    enum kiwi_status status;

    (void)state;
    world_make(&world, WORLD_MANAGED, 1);
    check_ok(world_open(&world));
    status = kiwi_put(world.context, (struct kiwi_slice){ "key", 3 },
                      (struct kiwi_slice){ bytes, 64 * MIB }, KIWI_PROCESS);
    assert_int_equal(status, KIWI_TOO_LARGE);
    check_ok(kiwi_put(world.context, (struct kiwi_slice){ "key", 3 },
                      (struct kiwi_slice){ "small", 5 }, KIWI_DURABLE));
    free(bytes);
    world_end(&world);
}

/* ---- many tombstones ---- */

static struct kiwi_slice number_key(uint32_t number, char room[32])
{
    return (struct kiwi_slice){ room, (size_t)snprintf(room, 32, "number-%08u", number) };
}

static void numbers_write(struct kiwi_context *context, uint32_t count, bool is_delete)
{
    struct kiwi_batch *batch;
    char               room[32];

    check_ok(kiwi_batch_open(&batch));
    for (uint32_t i = 0; i < count; i++) {
        struct kiwi_slice key = number_key(i, room);

        check_ok(is_delete ? kiwi_batch_delete(batch, key)
                           : kiwi_batch_put(batch, key, (struct kiwi_slice){ "v", 1 }));
        if (kiwi_batch_count(batch) == 5000 || i + 1 == count) {
            check_ok(kiwi_write(context, batch, KIWI_PROCESS));
            kiwi_batch_clear(batch);
        }
    }
    kiwi_batch_close(batch);
}

static uint64_t device_reads(struct kiwi_db *db, uint64_t *table_bytes)
{
    struct kiwi_stats *stats = malloc(sizeof *stats);
    uint64_t           reads;

    assert_non_null(stats);
    check_ok(kiwi_stats_read(db, stats));
    reads = stats->device_reads;
    *table_bytes = stats->table_file_bytes;
    free(stats);
    return reads;
}

/* What is passed over is read block by block, at most once by the scan and once by a merge beside
 * it: not with a seek per tombstone. */
static void one_living_is_found(const struct world *world, uint32_t count, const char *where)
{
    struct kiwi_iterator *iterator;
    struct kiwi_slice     key;
    struct timespec       begin, end;
    uint64_t              bytes_before, bytes_after, reads;
    uint64_t              reads_before = device_reads(world->db, &bytes_before);

    check_ok(kiwi_iterator_open(world->context, NULL, &iterator));
    clock_gettime(CLOCK_MONOTONIC, &begin);
    check_ok(kiwi_iterator_first(iterator));
    clock_gettime(CLOCK_MONOTONIC, &end);
    reads = device_reads(world->db, &bytes_after) - reads_before;
    bytes_before = bytes_before > bytes_after ? bytes_before : bytes_after; /* a merge may end */
    printf("%u tombstones %s: the living key after %.3f s, %llu device reads, tables of %llu "
           "bytes\n", count, where, (double)(end.tv_sec - begin.tv_sec)
               + (double)(end.tv_nsec - begin.tv_nsec) / 1e9, (unsigned long long)reads,
           (unsigned long long)bytes_before);
    assert_true(reads <= 2 * bytes_before / 4096 + 64);
    key = kiwi_iterator_key(iterator);
    assert_memory_equal(key.data, "zz-living", 9);
    assert_int_equal(kiwi_iterator_next(iterator), KIWI_NOT_FOUND);
    check_ok(kiwi_iterator_last(iterator));
    assert_int_equal(kiwi_iterator_previous(iterator), KIWI_NOT_FOUND);
    kiwi_iterator_close(iterator);
}

static void a_living_key_is_found_behind_many_tombstones(void **state)
{
#ifdef KIWI_SANITIZED
    uint32_t     count = 50000;
#else
    uint32_t     count = 1000000;
#endif
    struct world world;
    struct kiwi_snapshot *snapshot;

    (void)state;
    world_large(&world, 2);
    check_ok(world_open(&world));
    numbers_write(world.context, count, false);
    check_ok(kiwi_snapshot_open(world.db, &snapshot)); /* keeps the puts, and so the tombstones */
    numbers_write(world.context, count, true);
    check_ok(kiwi_put(world.context, (struct kiwi_slice){ "zz-living", 9 },
                      (struct kiwi_slice){ "v", 1 }, KIWI_PROCESS));
    one_living_is_found(&world, count, "mostly in memory");
    check_ok(kiwi_flush(world.context));
    one_living_is_found(&world, count, "in tables");
    kiwi_snapshot_close(snapshot);
    check_ok(world_close(&world));
    check_ok(world_open(&world)); /* with cold caches, and merges that may begin */
    one_living_is_found(&world, count, "in tables, just opened");
    check_ok(kiwi_compact(world.context, (struct kiwi_slice){ NULL, 0 },
                          (struct kiwi_slice){ NULL, 0 }));
    one_living_is_found(&world, 0, "left by a merge");
    check_ok(world_close(&world));
    world_end(&world);
}

/* ---- a long log ---- */

static void a_long_log_is_replayed_after_a_kill(void **state)
{
#ifdef KIWI_SANITIZED
    uint32_t     count = 20000;
#else
    uint32_t     count = 400000;
#endif
    struct world world;
    char         room[32];
    int          result;
    pid_t        child;
    struct kiwi_buffer value = { 0 };

    (void)state;
    world_large(&world, 2);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        check_ok(world_open(&world));
        numbers_write(world.context, count, false);
        _exit(0); /* as good as a kill: nothing is closed */
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result) && WEXITSTATUS(result) == 0);
    check_ok(world_open(&world));
    for (uint32_t i = 0; i < count; i += 997)
        check_ok(kiwi_get(world.context, number_key(i, room), NULL, &value));
    check_ok(kiwi_get(world.context, number_key(count - 1, room), NULL, &value));
    kiwi_buffer_free(&value);
    check_ok(world_close(&world));
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_values_stay_as_they_were_written),
        cmocka_unit_test(a_value_of_64_mib_stays_as_it_was_written),
        cmocka_unit_test(a_value_too_large_for_the_log_is_refused_by_name),
        cmocka_unit_test(a_living_key_is_found_behind_many_tombstones),
        cmocka_unit_test(a_long_log_is_replayed_after_a_kill),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
