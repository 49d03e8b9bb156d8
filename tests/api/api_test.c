/*
 * api_test.c: the public interface as a stranger would use and misuse it, in every way to run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/bytes.h"
#include "core/base/hash.h"
#include "kiwi/verify.h"
#include "tests/support/check.h"
#include "tests/support/world.h"

static enum world_way way_under_test;

static void value_is(struct world *world, const char *key, const char *want)
{
    struct kiwi_buffer value = { 0 };
    enum kiwi_status   status = kiwi_get(world->context, slice(key), NULL, &value);

    if (want == NULL) {
        assert_int_equal(status, KIWI_NOT_FOUND);
    } else {
        check_ok(status);
        assert_int_equal(value.size, strlen(want));
        assert_memory_equal(value.data, want, value.size);
    }
    kiwi_buffer_free(&value);
}

static void put_get_delete_work(void **state)
{
    struct world *world = *state;

    check_ok(kiwi_put(world->context, slice("a"), slice("1"), KIWI_DURABLE));
    check_ok(kiwi_put(world->context, slice("b"), slice(""), KIWI_PROCESS));
    check_ok(kiwi_put(world->context, slice("c"), slice("3"), KIWI_MEMORY));
    value_is(world, "a", "1");
    value_is(world, "b", "");
    value_is(world, "d", NULL);
    check_ok(kiwi_put(world->context, slice("a"), slice("a longer value"), KIWI_DURABLE));
    value_is(world, "a", "a longer value");
    check_ok(kiwi_delete(world->context, slice("a"), KIWI_DURABLE));
    value_is(world, "a", NULL);
    check_ok(kiwi_flush(world->context));
    value_is(world, "a", NULL);
    value_is(world, "c", "3");
}

/* Goal: however fast the writes, memtables stay within their share. */
static void memtables_together_take_four_times_memtable_bytes(void **state)
{
    static const uint64_t chunk_bytes = 16384; /* of memtables this small; one per shard above */
    struct world      *world = *state;
    struct kiwi_stats *stats = malloc(sizeof *stats);
    uint64_t           most = 0, shares;
    char               key[32], value[200] = { 0 };

    shares = kiwi_shard_count(world->db);
    for (uint32_t i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "key%u", i * 7919 % 20000);
        check_ok(kiwi_put(world->context, slice(key),
                          (struct kiwi_slice){ value, sizeof value }, KIWI_PROCESS));
        if (i % 50 == 0) {
            check_ok(kiwi_stats_read(world->db, stats));
            most = stats->memtable_bytes + stats->frozen_bytes > most
                 ? stats->memtable_bytes + stats->frozen_bytes : most;
        }
    }
    assert_true(most > shares * world->options.memtable_bytes / 2);
    assert_true(most <= shares * (4 * world->options.memtable_bytes + 2 * chunk_bytes));
    free(stats);
}

static void keys_and_values_of_every_size_come_back(void **state)
{
    static const size_t key_sizes[] = { 0, 1, 7, 8, 9, 255, 4096, 65535 };
    static const size_t value_sizes[] = { 0, 1, 100, 4095, 4096, 9000, 70000, 300000 };
    struct world       *world = *state;
    uint8_t            *key = malloc(65536), *bytes = malloc(300000);
    struct kiwi_buffer  value = { 0 };

    for (int round = 0; round < 3; round++) {
        for (size_t k = 0; k < 8; k++) {
            struct kiwi_slice key_slice = { key, key_sizes[k] };
            struct kiwi_slice value_slice = { bytes, value_sizes[k] };

            memset(key, (int)(k + 1), key_sizes[k]);
            memset(bytes, (int)(100 + k), value_sizes[k]);
            if (round == 0)
                check_ok(kiwi_put(world->context, key_slice, value_slice, KIWI_DURABLE));
            check_ok(kiwi_get(world->context, key_slice, NULL, &value));
            assert_int_equal(value.size, value_sizes[k]);
            assert_memory_equal(value.data, bytes, value.size);
        }
        if (round == 0)
            check_ok(kiwi_flush(world->context));
        if (round == 1) {
            check_ok(world_close(world));
            check_ok(world_open(world));
        }
    }
    kiwi_buffer_free(&value);
    free(key);
    free(bytes);
}

static void what_is_too_large_is_refused_with_the_limit(void **state)
{
    struct world *world = *state;
    char         *huge = calloc(1, 70000);

    assert_int_equal(kiwi_put(world->context, (struct kiwi_slice){ huge, 65536 }, slice("x"),
                              KIWI_PROCESS), KIWI_TOO_LARGE);
    assert_non_null(strstr(kiwi_error_text(), "65535"));
    assert_int_equal(kiwi_put(world->context, slice("k"),
                              (struct kiwi_slice){ huge, KIWI_VALUE_BYTES_MAX + 1ul },
                              KIWI_PROCESS), KIWI_TOO_LARGE);
    assert_non_null(strstr(kiwi_error_text(), "67108864"));
    /* This database's log is small: the value is legal, but it says what would have to grow. */
    assert_int_equal(kiwi_put(world->context, slice("k"),
                              (struct kiwi_slice){ huge, 1u << 20 }, KIWI_PROCESS), KIWI_TOO_LARGE);
    assert_non_null(strstr(kiwi_error_text(), "log_bytes"));
    free(huge);
}

static void options_out_of_range_are_refused_by_name(void **state)
{
    struct kiwi_options options = kiwi_options_default();
    struct kiwi_db     *db;

    (void)state;
    options.memory_bytes = 1000;
    assert_int_equal(kiwi_open("/nonexistent/x", &options, &db), KIWI_INVALID);
    assert_non_null(strstr(kiwi_error_text(), "memory_bytes"));
    options = kiwi_options_default();
    options.shard_count = 65;
    assert_int_equal(kiwi_open("/nonexistent/x", &options, &db), KIWI_INVALID);
    assert_non_null(strstr(kiwi_error_text(), "shard_count"));
    options = kiwi_options_default();
    assert_int_equal(kiwi_open("", &options, &db), KIWI_INVALID);
    assert_null(db);
}

static void a_directory_without_a_database_is_told_when_create_is_off(void **state)
{
    struct world        world;
    struct kiwi_db     *db;

    (void)state;
    world_make(&world, way_under_test, 3);
    world.options.create = false;
    assert_int_equal(kiwi_open(world.directory, &world.options, &db), KIWI_NOT_FOUND);
    assert_non_null(strstr(kiwi_error_text(), world.directory));
    world.options.create = true;
    check_ok(world_open(&world));
    check_ok(world_close(&world));
    world.options.must_be_new = true;
    assert_int_equal(kiwi_open(world.directory, &world.options, &db), KIWI_INVALID);
    world.options.must_be_new = false;
    world.options.shard_count = 3;
    assert_int_equal(kiwi_open(world.directory, &world.options, &db), KIWI_INVALID);
    assert_non_null(strstr(kiwi_error_text(), "shards"));
    world_end(&world);
}

static void a_second_process_is_told_who_has_the_database(void **state)
{
    struct world *world = *state;
    int           status = 0;
    pid_t         child;

    if (way_under_test == WORLD_SIMULATED)
        skip();
    fflush(NULL);
    child = fork();
    if (child == 0) {
        struct kiwi_db *db;
        char            pid[32];

        snprintf(pid, sizeof pid, "%d", (int)getppid());
        if (kiwi_open(world->directory, &world->options, &db) != KIWI_LOCKED)
            _exit(1);
        _exit(strstr(kiwi_error_text(), pid) == NULL ? 2 : 0);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_foreign_identity_is_refused_and_left_alone(void **state)
{
    struct world    world;
    struct kiwi_db *db;
    char            path[300], text[16];
    FILE           *file;

    (void)state;
    if (way_under_test == WORLD_SIMULATED)
        skip();
    world_make(&world, way_under_test, 3);
    snprintf(path, sizeof path, "%s/IDENTITY", world.directory);
    file = fopen(path, "w");
    fputs("something else entirely", file);
    fclose(file);
    assert_int_equal(kiwi_open(world.directory, &world.options, &db), KIWI_CORRUPT);
    assert_non_null(strstr(kiwi_error_text(), "IDENTITY"));
    file = fopen(path, "r");
    assert_non_null(fgets(text, sizeof text, file));
    assert_string_equal(text, "something else ");
    fclose(file);
    world_end(&world);
}

/* Goal: a database of a later format is told as such, not as damage, and left alone. Method: the
 * identity of a database gets the next version, sealed as every version seals it. */
static void a_newer_format_is_told_by_its_version(void **state)
{
    struct world    world;
    struct kiwi_db *db;
    char            path[300];
    uint8_t         data[128], after[128], *version;
    size_t          bytes;
    FILE           *file;
    le64            seal;

    (void)state;
    if (way_under_test == WORLD_SIMULATED)
        skip();
    world_make(&world, way_under_test, 3);
    check_ok(world_open(&world));
    check_ok(world_close(&world));
    snprintf(path, sizeof path, "%s/IDENTITY", world.directory);
    file = fopen(path, "r+");
    assert_non_null(file);
    bytes = fread(data, 1, sizeof data, file);
    version = memmem(data, bytes, "version", 7);
    assert_non_null(version);
    version[7]++;
    seal = le64_of(hash_checksum(data, bytes - 8, 1));
    memcpy(data + bytes - 8, seal.b, 8);
    rewind(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    fclose(file);
    assert_int_equal(kiwi_open(world.directory, &world.options, &db), KIWI_UNSUPPORTED);
    assert_non_null(strstr(kiwi_error_text(), "IDENTITY: format version 2; this library reads"));
    file = fopen(path, "r");
    assert_int_equal(fread(after, 1, sizeof after, file), bytes);
    assert_memory_equal(after, data, bytes);
    fclose(file);
    world_end(&world);
}

/* The longest name that is taken, by slashes: what every file in it is called still fits. */
static void a_directory_name_may_have_3999_bytes_and_no_more(void **state)
{
    struct kiwi_verify_options verify = { 0 };
    struct kiwi_verify_report  report;
    struct world               world;
    struct kiwi_db            *db;
    struct kiwi_buffer         value = { 0 };
    char                       name[4001] = "";
    size_t                     used;

    (void)state;
    if (way_under_test == WORLD_SIMULATED) /* its paths are shorter */
        skip();
    world_make(&world, way_under_test, 3);
    verify.io_backend = world.options.io_backend;
    used = strlen(world.directory);
    memcpy(name, world.directory, used);
    memset(name + used, '/', 4000 - used);
    memcpy(name + 3996, "data", 4);
    assert_int_equal(kiwi_open(name, &world.options, &db), KIWI_INVALID);
    assert_non_null(strstr(kiwi_error_text(), "the directory name is longer than 3999 bytes"));
    assert_null(db);
    memcpy(name + 3995, "data", 5);
    for (int round = 0; round < 2; round++) {
        struct kiwi_context *context;

        check_ok(kiwi_open(name, &world.options, &db));
        check_ok(kiwi_context_open(db, 4, &context));
        if (world.options.drive == KIWI_ATTACHED)
            check_ok(kiwi_attach(context, 3));
        if (round == 0)
            check_ok(kiwi_put(context, slice("key"), slice("value"), KIWI_PROCESS));
        check_ok(kiwi_get(context, slice("key"), NULL, &value));
        check_ok(kiwi_flush(context));
        kiwi_context_close(context);
        check_ok(kiwi_close(db));
        world.options.create = false;
    }
    check_ok(kiwi_verify(name, &verify, &report));
    kiwi_buffer_free(&value);
    world_end(&world);
}

static size_t poll_until(struct world *world, struct kiwi_op **done, size_t want)
{
    size_t count = 0;

    while (count < want) {
        size_t some = kiwi_poll(world->context, done + count, want - count, 5000000000u);
        if (some == 0)
            fail_msg("%zu of %zu completions came within 5 s", count, want);
        count += some;
    }
    return count;
}

static void writes_complete_twice_when_asked(void **state)
{
    struct world   *world = *state;
    struct kiwi_op  op, *ops[1] = { &op }, *done[2];

    memset(&op, 0, sizeof op);
    op.verb = KIWI_PUT;
    op.key = slice("twice");
    op.value = slice("value");
    op.durability = KIWI_DURABLE;
    op.flags = KIWI_FLAG_VISIBLE_TOO;
    op.user = world;
    check_ok(kiwi_submit(world->context, ops, 1));
    poll_until(world, done, 1);
    assert_ptr_equal(done[0], &op);
    assert_true(op.is_visible_only);
    assert_ptr_equal(op.user, world);
    poll_until(world, done, 1);
    assert_false(op.is_visible_only);
    check_ok(op.status);
    assert_true(op.sequence > 0);
    assert_int_equal(kiwi_poll(world->context, done, 2, 0), 0);
}

static void many_operations_in_flight_all_come_back(void **state)
{
    enum { COUNT = 200 };
    struct world   *world = *state;
    struct kiwi_op *ops = calloc(COUNT, sizeof *ops), *list[COUNT], *done[COUNT];
    char            keys[COUNT][16], buffers[COUNT][64];

    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < COUNT; i++) {
            memset(&ops[i], 0, sizeof ops[i]);
            snprintf(keys[i], sizeof keys[i], "k%04d", i);
            ops[i].verb = round % 2 == 0 ? KIWI_PUT : KIWI_GET;
            ops[i].key = slice(keys[i]);
            ops[i].value = slice(keys[i]);
            ops[i].buffer = buffers[i];
            ops[i].buffer_bytes = sizeof buffers[i];
            ops[i].durability = (uint8_t)(i % 3 == 0 ? KIWI_DURABLE : KIWI_PROCESS);
            list[i] = &ops[i];
        }
        check_ok(kiwi_submit(world->context, list, COUNT));
        assert_int_equal(kiwi_submit(world->context, list, COUNT), KIWI_BUSY);
        poll_until(world, done, COUNT);
        for (int i = 0; i < COUNT; i++) {
            check_ok(ops[i].status);
            if (round % 2 == 1) {
                assert_int_equal(ops[i].value_bytes, strlen(keys[i]));
                assert_memory_equal(buffers[i], keys[i], ops[i].value_bytes);
            }
        }
        if (round == 10)
            check_ok(kiwi_flush(world->context));
    }
    free(ops);
}

static void a_small_buffer_is_told_what_it_needs(void **state)
{
    struct world   *world = *state;
    char            room[4];
    struct kiwi_op  op, *ops[1] = { &op }, *done[1];

    check_ok(kiwi_put(world->context, slice("key"), slice("a long value"), KIWI_PROCESS));
    memset(&op, 0, sizeof op);
    op.verb = KIWI_GET;
    op.key = slice("key");
    op.buffer = room;
    op.buffer_bytes = sizeof room;
    check_ok(kiwi_submit(world->context, ops, 1));
    poll_until(world, done, 1);
    assert_int_equal(op.status, KIWI_TOO_SMALL);
    assert_int_equal(op.value_bytes, 12);
}

static void explain_says_what_answered(void **state)
{
    struct world       *world = *state;
    struct kiwi_explain explain;
    char                room[64];
    struct kiwi_op      op, *ops[1] = { &op }, *done[1];

    check_ok(kiwi_put(world->context, slice("where"), slice("here"), KIWI_PROCESS));
    for (int round = 0; round < 3; round++) {
        memset(&op, 0, sizeof op);
        op.verb = KIWI_GET;
        op.key = slice("where");
        op.buffer = room;
        op.buffer_bytes = sizeof room;
        op.explain = &explain;
        check_ok(kiwi_submit(world->context, ops, 1));
        poll_until(world, done, 1);
        check_ok(op.status);
        assert_int_equal(explain.source, op.source);
        if (round == 0) {
            assert_int_equal(explain.source, KIWI_FROM_MEMTABLE);
            check_ok(kiwi_flush(world->context));
        } else if (round == 1) {
            assert_int_equal(explain.source, KIWI_FROM_LEVEL);
            assert_true(explain.tables_considered >= 1);
            assert_true(explain.table_id > 0);
            assert_true(explain.blocks_cached + explain.blocks_read >= 1);
        } else {
            assert_int_equal(explain.source, KIWI_FROM_RECORD_CACHE);
        }
    }
}

/* As a host's event loop does. Far longer than it may ever take, but not for ever. */
static void descriptor_wait(struct world *world, int descriptor)
{
    struct pollfd   wait = { .fd = descriptor, .events = POLLIN };
    struct kiwi_op *done[1];
    uint64_t        word;

    while (kiwi_poll(world->context, done, 1, 0) == 0) {
        assert_int_equal(poll(&wait, 1, 20000), 1);
        assert_int_equal(read(wait.fd, &word, sizeof word), sizeof word);
    }
}

static void descriptor_turns_readable_when_something_is_done(void **state)
{
    struct world          *world = *state;
    static struct kiwi_op  op; /* stays when the test fails before it is done */
    struct kiwi_op        *ops[1] = { &op };
    int                    descriptor;

    if (way_under_test != WORLD_MANAGED)
        skip();
    descriptor = kiwi_context_descriptor(world->context);
    assert_true(descriptor >= 0);
    for (uint32_t i = 0; i < 40; i++) {
        memset(&op, 0, sizeof op);
        op.verb = KIWI_PUT;
        op.key = slice("descriptor");
        op.value = slice("value");
        op.durability = KIWI_DURABLE;
        check_ok(kiwi_submit(world->context, ops, 1));
        descriptor_wait(world, descriptor);
        check_ok(op.status);
        /* An engine thread finishes this one, always. */
        memset(&op, 0, sizeof op);
        op.verb = KIWI_FLUSH;
        check_ok(kiwi_submit(world->context, ops, 1));
        descriptor_wait(world, descriptor);
        check_ok(op.status);
    }
}

static void a_snapshot_does_not_see_later_writes(void **state)
{
    struct world         *world = *state;
    struct kiwi_snapshot *snapshot;
    struct kiwi_buffer    value = { 0 };

    check_ok(kiwi_put(world->context, slice("s"), slice("old"), KIWI_PROCESS));
    check_ok(kiwi_snapshot_open(world->db, &snapshot));
    check_ok(kiwi_put(world->context, slice("s"), slice("new"), KIWI_PROCESS));
    check_ok(kiwi_put(world->context, slice("t"), slice("new"), KIWI_PROCESS));
    for (int round = 0; round < 3; round++) {
        check_ok(kiwi_get(world->context, slice("s"), snapshot, &value));
        assert_memory_equal(value.data, "old", 3);
        assert_int_equal(kiwi_get(world->context, slice("t"), snapshot, &value), KIWI_NOT_FOUND);
        value_is(world, "s", "new");
        if (round == 0)
            check_ok(kiwi_flush(world->context));
        if (round == 1)
            check_ok(kiwi_compact(world->context, slice(""), slice("")));
    }
    kiwi_snapshot_close(snapshot);
    kiwi_buffer_free(&value);
}

static void multiget_answers_each_key(void **state)
{
    struct world      *world = *state;
    struct kiwi_slice  keys[60];
    struct kiwi_buffer values[60] = { 0 };
    enum kiwi_status   statuses[60];
    char               names[60][16];

    for (int i = 0; i < 60; i++) {
        snprintf(names[i], sizeof names[i], "m%03d", i);
        keys[i] = slice(names[i]);
        if (i % 3 != 0)
            check_ok(kiwi_put(world->context, keys[i], keys[i], KIWI_PROCESS));
    }
    check_ok(kiwi_flush(world->context));
    check_ok(kiwi_multiget(world->context, keys, 60, NULL, values, statuses));
    for (int i = 0; i < 60; i++) {
        assert_int_equal(statuses[i], i % 3 != 0 ? KIWI_OK : KIWI_NOT_FOUND);
        if (i % 3 != 0)
            assert_memory_equal(values[i].data, names[i], 4);
        kiwi_buffer_free(&values[i]);
    }
}

static void statistics_account_for_what_was_done(void **state)
{
    struct world      *world = *state;
    struct kiwi_stats *stats = malloc(sizeof *stats);
    uint64_t           answered = 0;
    char               key[16];

    check_ok(kiwi_stats_reset(world->db));
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "stat%03d", i);
        check_ok(kiwi_put(world->context, slice(key), slice("0123456789"), KIWI_PROCESS));
    }
    check_ok(kiwi_flush(world->context));
    for (int i = 0; i < 150; i++) {
        snprintf(key, sizeof key, "stat%03d", i);
        value_is(world, key, i < 100 ? "0123456789" : NULL);
    }
    check_ok(kiwi_stats_read(world->db, stats));
    assert_int_equal(stats->puts, 100);
    assert_int_equal(stats->gets, 150);
    assert_int_equal(stats->user_write_bytes, 100 * (7 + 10));
    for (int i = 0; i < KIWI_ANSWER_COUNT; i++)
        answered += stats->answers[i].gets;
    assert_int_equal(answered, 150);
    assert_int_equal(stats->answers[KIWI_ANSWER_NOTHING].gets, 50);
    assert_true(stats->levels[0].flush_bytes > 0 || stats->flush_bytes > 0);
    assert_true(stats->memory_bytes <= stats->memory_limit_bytes);
    free(stats);
}

static void wait_durable_covers_everything_before_it(void **state)
{
    struct world *world = *state;
    char          key[16];

    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "w%03d", i);
        check_ok(kiwi_put(world->context, slice(key), slice("v"), KIWI_PROCESS));
    }
    check_ok(kiwi_wait_durable(world->context));
    if (way_under_test == WORLD_SIMULATED)
        simulation_stop_at(world->simulation, 1);
}

static void strict_reads_return_what_is_durable(void **state)
{
    struct world   *world = *state;
    char            room[8];
    struct kiwi_op  op, *ops[1] = { &op }, *done[1];

    check_ok(kiwi_put(world->context, slice("strict"), slice("v"), KIWI_PROCESS));
    memset(&op, 0, sizeof op);
    op.verb = KIWI_GET;
    op.flags = KIWI_FLAG_STRICT_READ;
    op.key = slice("strict");
    op.buffer = room;
    op.buffer_bytes = sizeof room;
    check_ok(kiwi_submit(world->context, ops, 1));
    poll_until(world, done, 1);
    check_ok(op.status);
    assert_int_equal(op.value_bytes, 1);
}

/* Goal: a get that waits for the device while its key is overwritten leaves nothing old behind.
 * Method: with cold caches a get and a put of one key are handed in together, without a poll in
 * between; when both are done, another get must show what was put. */
static void a_get_under_way_brings_nothing_overwritten_back(void **state)
{
    enum { KEYS = 60, ROUNDS = 4 };
    struct world *world = *state;
    uint32_t      waited = 0;

    for (uint32_t round = 0; round <= ROUNDS; round++) {
        for (uint32_t i = 0; i < KEYS; i++) {
            struct kiwi_op      get, put, *gets[1] = { &get }, *puts[1] = { &put }, *done[2];
            struct kiwi_explain explain;
            struct kiwi_buffer  value = { 0 };
            char                key[16], old[64], new[64];
            size_t              left = 2;

            snprintf(key, sizeof key, "under%03u", i);
            snprintf(new, sizeof new, "round %u of %s", round, key);
            memset(&get, 0, sizeof get);
            memset(&put, 0, sizeof put);
            get.verb = KIWI_GET;
            put.verb = KIWI_PUT;
            get.key = put.key = slice(key);
            get.buffer = old;
            get.buffer_bytes = sizeof old;
            get.explain = &explain;
            put.value = slice(new);
            put.durability = KIWI_MEMORY;
            check_ok(kiwi_submit(world->context, gets, 1));
            check_ok(kiwi_submit(world->context, puts, 1));
            while (left > 0)
                left -= kiwi_poll(world->context, done, 2, 5000000000u);
            check_ok(put.status);
            waited += explain.blocks_read > 0;
            check_ok(kiwi_get(world->context, slice(key), NULL, &value));
            assert_int_equal(value.size, strlen(new));
            assert_memory_equal(value.data, new, value.size);
            kiwi_buffer_free(&value);
        }
        check_ok(kiwi_flush(world->context));
        check_ok(world_close(world));
        check_ok(world_open(world)); /* with cold caches */
    }
    printf("%u gets waited for the device\n", waited);
    assert_true(waited > 0);
}

/* Goal: kiwi_compact ends although writes go on; it covers what was there when it was asked. The
 * bound is many times the data there was. Which runs it takes: tests/unit/compact_pick.c. */
static void compacting_ends_while_writes_go_on(void **state)
{
    enum { KEYS = 2000, WRITES_MAX = 400000 };
    struct world   *world = *state;
    struct kiwi_op  op, *ops[1] = { &op }, *done[1];
    char            key[32], value[200] = { 0 };
    uint32_t        writes = 0;

    for (uint32_t i = 0; i < KEYS; i++) {
        snprintf(key, sizeof key, "key%u", i);
        check_ok(kiwi_put(world->context, slice(key), (struct kiwi_slice){ value, sizeof value },
                          KIWI_PROCESS));
    }
    memset(&op, 0, sizeof op);
    op.verb = KIWI_COMPACT;
    check_ok(kiwi_submit(world->context, ops, 1));
    while (kiwi_poll(world->context, done, 1, 0) == 0) {
        if (++writes > WRITES_MAX)
            fail_msg("not over after %u writes", WRITES_MAX);
        snprintf(key, sizeof key, "key%u", writes * 7919 % KEYS);
        check_ok(kiwi_put(world->context, slice(key), (struct kiwi_slice){ value, sizeof value },
                          KIWI_PROCESS));
    }
    check_ok(op.status);
}

/* Goal: files that tables have left do not stay for ever. Method: everything is deleted and
 * compacted away, so that no later table needs them; then nothing is written. */
static void files_of_dropped_tables_go_when_few_writes_come(void **state)
{
    enum { ROWS = 6000, POLLS_MAX = 20000 };
    struct world      *world = *state;
    struct kiwi_stats *stats = malloc(sizeof *stats);
    uint64_t           limit = 4 * world->options.table_bytes * kiwi_shard_count(world->db), peak;
    char               key[32], value[400];
    uint32_t           polls = 0;

    memset(value, 'v', sizeof value);
    for (uint32_t i = 0; i < ROWS; i++) {
        snprintf(key, sizeof key, "key%05u", i);
        check_ok(kiwi_put(world->context, slice(key), (struct kiwi_slice){ value, sizeof value },
                          KIWI_PROCESS));
    }
    check_ok(kiwi_flush(world->context));
    for (uint32_t i = 0; i < ROWS; i++) {
        snprintf(key, sizeof key, "key%05u", i);
        check_ok(kiwi_delete(world->context, slice(key), KIWI_PROCESS));
    }
    check_ok(kiwi_compact(world->context, slice(""), slice("")));
    check_ok(kiwi_stats_read(world->db, stats));
    peak = stats->pool_file_bytes;
    while (stats->pool_file_bytes > limit && polls++ < POLLS_MAX) {
        (void)kiwi_poll(world->context, NULL, 0, 1000000);
        check_ok(kiwi_stats_read(world->db, stats));
    }
    printf("%llu bytes of files kept, %llu after %u polls\n", (unsigned long long)peak,
           (unsigned long long)stats->pool_file_bytes, polls);
    assert_true(stats->pool_file_bytes <= limit);
    free(stats);
}

static void misuse_is_answered_not_crashed(void **state)
{
    struct world   *world = *state;
    struct kiwi_op  op, *ops[1] = { &op }, *done[1];

    memset(&op, 0, sizeof op);
    op.verb = 99;
    check_ok(kiwi_submit(world->context, ops, 1));
    poll_until(world, done, 1);
    assert_int_equal(op.status, KIWI_INVALID);
    memset(&op, 0, sizeof op);
    op.verb = KIWI_ITERATE;
    check_ok(kiwi_submit(world->context, ops, 1));
    poll_until(world, done, 1);
    assert_int_equal(op.status, KIWI_INVALID);
    assert_int_equal(kiwi_attach(world->context, 1ull << 40), KIWI_INVALID);
    assert_string_equal(kiwi_status_text((enum kiwi_status)1000), "unknown status");
}

#define one(test) world_test(test, &way_under_test)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        one(put_get_delete_work),
        one(memtables_together_take_four_times_memtable_bytes),
        one(keys_and_values_of_every_size_come_back),
        one(what_is_too_large_is_refused_with_the_limit),
        cmocka_unit_test(options_out_of_range_are_refused_by_name),
        cmocka_unit_test(a_directory_without_a_database_is_told_when_create_is_off),
        one(a_second_process_is_told_who_has_the_database),
        cmocka_unit_test(a_foreign_identity_is_refused_and_left_alone),
        cmocka_unit_test(a_newer_format_is_told_by_its_version),
        cmocka_unit_test(a_directory_name_may_have_3999_bytes_and_no_more),
        one(writes_complete_twice_when_asked),
        one(many_operations_in_flight_all_come_back),
        one(a_small_buffer_is_told_what_it_needs),
        one(explain_says_what_answered),
        one(descriptor_turns_readable_when_something_is_done),
        one(a_snapshot_does_not_see_later_writes),
        one(multiget_answers_each_key),
        one(statistics_account_for_what_was_done),
        one(wait_durable_covers_everything_before_it),
        one(strict_reads_return_what_is_durable),
        one(a_get_under_way_brings_nothing_overwritten_back),
        one(compacting_ends_while_writes_go_on),
        one(files_of_dropped_tables_go_when_few_writes_come),
        one(misuse_is_answered_not_crashed),
    };

    way_under_test = world_way_of(argc > 1 ? argv[1] : "managed");
    return cmocka_run_group_tests_name(world_way_name(way_under_test), tests, NULL, NULL);
}
