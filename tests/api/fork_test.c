/*
 * fork_test.c: a forked child reads the database as it was, in every way to run that has processes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/check.h"
#include "tests/support/world.h"

static enum world_way way_under_test;

/* Twice as much data as there is memory: the child reads tables. */
enum { FORK_KEYS = 8000, FORK_VALUE_BYTES = 2000 };

struct fork_writer {
    struct world    *world;
    _Atomic uint32_t must_stop, rounds;
};

static void fork_value(char *value, size_t size, uint32_t key, uint32_t round)
{
    int used = snprintf(value, size, "value %u of round %u ", key, round);

    memset(value + used, 'x', size - (size_t)used);
}

static void fork_round_put(struct kiwi_context *context, uint32_t round)
{
    char key[32], value[FORK_VALUE_BYTES];

    for (uint32_t i = 0; i < FORK_KEYS; i++) {
        snprintf(key, sizeof key, "key%06u", i);
        fork_value(value, sizeof value, i, round);
        check_ok(kiwi_put(context, slice(key), (struct kiwi_slice){ value, sizeof value },
                          KIWI_PROCESS));
    }
}

/* Overwrites all keys again and again: tables are merged and their files reused. */
static void *fork_writer_run(void *argument)
{
    struct fork_writer  *writer = argument;
    struct kiwi_context *context;

    check_ok(kiwi_context_open(writer->world->db, 16, &context));
    for (uint32_t round = 1; atomic_load(&writer->must_stop) == 0; round++) {
        fork_round_put(context, round);
        atomic_fetch_add(&writer->rounds, 1);
    }
    kiwi_context_close(context);
    return NULL;
}

/* One writer goes through the keys in order, so at any moment a first part has some round and the
 * rest the one before. */
static bool fork_row_fits(struct kiwi_slice value, uint32_t key, uint32_t *round, uint32_t *turns)
{
    char     want[FORK_VALUE_BYTES];
    unsigned got_key, got_round;

    if (value.size != sizeof want
        || sscanf(value.data, "value %u of round %u ", &got_key, &got_round) != 2)
        return false;
    fork_value(want, sizeof want, key, got_round);
    if (memcmp(want, value.data, sizeof want) != 0)
        return false;
    if (key > 0 && got_round != *round && (got_round + 1 != *round || ++*turns > 1))
        return false;
    *round = got_round;
    return true;
}

static int fork_child_gets(struct kiwi_context *context, struct kiwi_snapshot *snapshot)
{
    struct kiwi_buffer value = { 0 };
    uint32_t           round = 0, turns = 0;
    char               key[32];

    for (uint32_t i = 0; i < FORK_KEYS; i++) {
        snprintf(key, sizeof key, "key%06u", i);
        if (kiwi_get(context, slice(key), i % 2 == 0 ? snapshot : NULL, &value) != KIWI_OK)
            return 10;
        if (!fork_row_fits((struct kiwi_slice){ value.data, value.size }, i, &round, &turns))
            return 11;
    }
    kiwi_buffer_free(&value);
    return 0;
}

static int fork_child_iterates(struct kiwi_context *context)
{
    struct kiwi_iterator *iterator;
    enum kiwi_status      status;
    uint32_t              round = 0, turns = 0, rows = 0;

    if (kiwi_iterator_open(context, NULL, &iterator) != KIWI_OK)
        return 20;
    for (status = kiwi_iterator_first(iterator); status == KIWI_OK;
         status = kiwi_iterator_next(iterator), rows++)
        if (!fork_row_fits(kiwi_iterator_value(iterator), rows, &round, &turns))
            return 21;
    kiwi_iterator_close(iterator);
    return status == KIWI_NOT_FOUND && rows == FORK_KEYS ? 0 : 22;
}

static int ring_count(void)
{
    char path[64], target[64];
    int  count = 0;

    for (int fd = 0; fd < 256; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t bytes = readlink(path, target, sizeof target - 1);

        if (bytes > 0) {
            target[bytes] = 0;
            count += strstr(target, "io_uring") != NULL;
        }
    }
    return count;
}

/* go: readable when the parent has overwritten everything. */
static int fork_child_verdict(struct kiwi_db *db, int go)
{
    struct kiwi_context  *context;
    struct kiwi_snapshot *snapshot;
    struct kiwi_stats     before, after;
    int                   verdict, rings = ring_count();
    char                  byte;

    if (kiwi_context_open(db, 16, &context) != KIWI_OK
        || kiwi_snapshot_open(db, &snapshot) != KIWI_OK
        || kiwi_stats_read(db, &before) != KIWI_OK || read(go, &byte, 1) != 1)
        return 1;
    verdict = fork_child_gets(context, snapshot);
    if (verdict == 0)
        verdict = fork_child_iterates(context);
    if (verdict == 0 && (kiwi_stats_read(db, &after) != KIWI_OK
                         || after.device_reads == before.device_reads || rings != ring_count()))
        verdict = 2;
    if (kiwi_put(context, slice("key"), slice("value"), KIWI_MEMORY) != KIWI_UNSUPPORTED
        || kiwi_flush(context) != KIWI_UNSUPPORTED
        || kiwi_attach(context, 1) != KIWI_UNSUPPORTED)
        verdict = 30;
    kiwi_snapshot_close(snapshot);
    kiwi_context_close(context);
    return kiwi_close(db) == KIWI_OK ? verdict : 31;
}

static void fork_rounds_await(struct fork_writer *writer, uint32_t rounds)
{
    struct kiwi_op *done[16];

    while (atomic_load(&writer->rounds) < rounds)
        (void)kiwi_poll(writer->world->context, done, 16, 1000000);
}

/* Goal: the child reads one unchanging cut, from memtables and tables, after the parent's threads
 * have overwritten and merged everything in it, and while they go on. */
static void a_forked_child_reads_while_the_parent_goes_on(void **state)
{
    struct world       world;
    struct fork_writer writer = { .world = &world };
    struct kiwi_fork  *held;
    struct kiwi_op    *done[16];
    pthread_t          thread;
    pid_t              child, ended = 0;
    int                status = 0, go[2];

    (void)state;
    world_make(&world, way_under_test, 11);
    check_ok(world_open(&world));
    fork_round_put(world.context, 0);
    assert_int_equal(pthread_create(&thread, NULL, fork_writer_run, &writer), 0);
    fork_rounds_await(&writer, 1);
    assert_int_equal(pipe(go), 0);
    fflush(NULL);
    check_ok(kiwi_fork_prepare(world.db, &held));
    child = fork();
    if (child == 0) {
        kiwi_fork_child(held);
        _exit(fork_child_verdict(world.db, go[0]));
    }
    kiwi_fork_parent(held);
    assert_true(child > 0);
    fork_rounds_await(&writer, atomic_load(&writer.rounds) + 3);
    assert_int_equal(write(go[1], "g", 1), 1);
    while ((ended = waitpid(child, &status, WNOHANG)) == 0)
        (void)kiwi_poll(world.context, done, 16, 1000000);
    assert_int_equal(ended, child);
    kiwi_fork_end(held);
    atomic_store(&writer.must_stop, 1);
    fork_rounds_await(&writer, atomic_load(&writer.rounds) + 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    close(go[0]);
    close(go[1]);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    check_ok(world_close(&world)); /* files and log are the parent's and whole */
    check_ok(world_open(&world));
    struct kiwi_buffer value = { 0 };
    assert_int_equal(kiwi_get(world.context, slice("key"), NULL, &value), KIWI_NOT_FOUND);
    kiwi_buffer_free(&value);
    world_end(&world);
}

static void a_forked_child_keeps_the_directory_locked(void **state)
{
    struct world      world;
    struct kiwi_fork *held;
    pid_t             child;
    int               status = 0, go[2];
    char              byte;

    (void)state;
    world_make(&world, way_under_test, 12);
    check_ok(world_open(&world));
    check_ok(kiwi_put(world.context, slice("key"), slice("value"), KIWI_DURABLE));
    assert_int_equal(pipe(go), 0);
    fflush(NULL);
    check_ok(kiwi_fork_prepare(world.db, &held));
    child = fork();
    if (child == 0) {
        kiwi_fork_child(held);
        close(go[1]);
        _exit(read(go[0], &byte, 1) == 0 ? 0 : 1); /* until the parent closes its end */
    }
    kiwi_fork_parent(held);
    assert_true(child > 0);
    kiwi_fork_end(held);
    check_ok(world_close(&world));
    assert_int_equal(world_open(&world), KIWI_LOCKED);
    assert_null(world.db);
    close(go[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_ok(world_open(&world));
    close(go[0]);
    world_end(&world);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_forked_child_reads_while_the_parent_goes_on),
        cmocka_unit_test(a_forked_child_keeps_the_directory_locked),
    };

    way_under_test = world_way_of(argc > 1 ? argv[1] : "managed");
    return cmocka_run_group_tests_name(world_way_name(way_under_test), tests, NULL, NULL);
}
