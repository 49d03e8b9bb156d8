/*
 * log_room_test.c: the log gives away only what tables have.
 *
 * Goal: after a flush the ring has room again for what that memtable held, and for no more: younger
 * memtables are in the log alone. Method: memtables wait, more than the ring could hold; again and
 * again one is flushed, and writes go on until they are refused; then the process dies. A log that
 * had given away more would have been written over by then.
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

enum { KEYS_MAX = 20000, VALUE_BYTES = 300, TURNS_MAX = 100000 };

static uint64_t seed_under_test;

static struct kiwi_slice key_of(uint32_t key, char room[16])
{
    return (struct kiwi_slice){ room, (size_t)snprintf(room, 16, "key-%06u", key) };
}

static enum kiwi_status put(struct kiwi_context *writer, uint32_t key)
{
    char room[16], value[VALUE_BYTES];

    memset(value, 'a' + (int)(key % 26), sizeof value);
    return kiwi_put(writer, key_of(key, room), (struct kiwi_slice){ value, sizeof value },
                    KIWI_PROCESS);
}

/* Only this context drives the shard: nothing is flushed while it is not asked to. */
static void one_flush_await(struct world *world, uint64_t flushes)
{
    struct kiwi_stats *stats = calloc(1, sizeof *stats);
    struct kiwi_op    *done[4];
    uint32_t           turns = 0;

    assert_non_null(stats);
    while (stats->flush_count < flushes) {
        (void)kiwi_poll(world->context, done, 4, 10000);
        check_ok(kiwi_stats_read(world->db, stats));
        assert_true(++turns < TURNS_MAX);
    }
    free(stats);
}

static void all_check(struct world *world, uint32_t count)
{
    struct kiwi_buffer found = { 0 };

    for (uint32_t key = 0; key < count; key++) {
        char             room[16];
        enum kiwi_status status = kiwi_get(world->context, key_of(key, room), NULL, &found);

        if (status != KIWI_OK || found.size != VALUE_BYTES
            || ((const char *)found.data)[VALUE_BYTES - 1] != 'a' + (int)(key % 26))
            fail_msg("key %u of %u was acknowledged, and a get says %s", key, count,
                     kiwi_status_text(status));
    }
    kiwi_buffer_free(&found);
}

/* How many are acknowledged before one has to wait for too long. */
static uint32_t puts_until_busy(struct kiwi_context *writer, uint32_t count)
{
    enum kiwi_status status = KIWI_OK;

    while (count < KEYS_MAX && (status = put(writer, count)) == KIWI_OK)
        count++;
    assert_int_equal(status, KIWI_BUSY);
    return count;
}

static void a_flush_frees_the_log_of_its_memtable_alone(void **state)
{
    (void)state;
    for (uint64_t flushes = 0; flushes <= 12; flushes += 3) {
        struct world         world;
        struct kiwi_context *writer;
        uint32_t             count;

        world_make(&world, WORLD_SIMULATED, seed_under_test + flushes);
        world.options.shard_count = 1;
        world.options.memory_bytes = 16u << 20;
        world.options.memtable_bytes = 64u << 10;
        world.options.frozen_max = 8;
        world.options.flush_max_workers = 1;
        world.options.log_bytes = 256u << 10;
        world.options.write_timeout_ns = 20000000;
        check_ok(world_open(&world));
        check_ok(kiwi_context_open(world.db, 4, &writer));
        count = puts_until_busy(writer, 0);
        for (uint64_t i = 1; i <= flushes; i++) {
            one_flush_await(&world, i);
            count = puts_until_busy(writer, count);
        }
        simulation_kill(world.simulation);
        kiwi_context_close(writer);
        (void)world_close(&world);
        check_ok(world_open(&world));
        all_check(&world, count);
        printf("%u writes acknowledged around %llu flushes, all there\n", count,
               (unsigned long long)flushes);
        world_end(&world);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flush_frees_the_log_of_its_memtable_alone),
    };

    seed_under_test = seed_get(argc > 1 ? strtoull(argv[1], NULL, 0) : 3);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
