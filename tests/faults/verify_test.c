/*
 * verify_test.c: kiwi_verify finds no damage where there is none.
 *
 * Goal: a database that was closed, or whose process was killed at work, is clean after loads,
 * merges, batches over shards and large values, and verify leaves every byte and time of it.
 * Method: a child process writes and tells what is acknowledged; it closes, or goes on writing and
 * merging until it is killed. Then verify reads, and an open reads every acknowledged value.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/faults/image.h"
#include "tests/support/world.h"

#define KEYS        500u
#define LARGE_KEYS  4u
#define LARGE_BYTES (200u << 10)
#define CHILD_LIFE_SECONDS 60u

enum work { WORK_LOAD, WORK_COMPACT, WORK_BATCHES, WORK_LARGE, WORK_COUNT };

static struct world world;
static char         value_room[LARGE_BYTES];

#define child_must(call)                                                                       \
    do {                                                                                       \
        enum kiwi_status child_status = (call);                                                \
        if (child_status != KIWI_OK) {                                                         \
            fprintf(stderr, "%s: %s: %s\n", #call, kiwi_status_text(child_status),             \
                    kiwi_error_text());                                                        \
            _exit(1);                                                                          \
        }                                                                                      \
    } while (0)

static struct kiwi_slice key_of(const char *kind, uint32_t key, char room[32])
{
    return (struct kiwi_slice){ room, (size_t)snprintf(room, 32, "%s-%05u", kind, key) };
}

/* Other bytes for every round. */
static struct kiwi_slice value_of(uint32_t key, uint32_t round, size_t bytes)
{
    uint64_t chance = (uint64_t)round << 32 | key;

    for (size_t at = 0; at < bytes; at += 8) {
        uint64_t word = chance_next(&chance);
        memcpy(value_room + at, &word, 8);
    }
    return (struct kiwi_slice){ value_room, bytes };
}

static void put_all(uint32_t round)
{
    char room[32];

    for (uint32_t i = 0; i < KEYS; i++)
        child_must(kiwi_put(world.context, key_of("key", i, room), value_of(i, round, 256),
                            i % 50 == 0 ? KIWI_DURABLE : KIWI_PROCESS));
}

/* Ten keys each, so nearly all are over both shards. */
static void put_batches(uint32_t round)
{
    struct kiwi_batch *batch;
    char               room[32];

    child_must(kiwi_batch_open(&batch));
    for (uint32_t i = 0; i < KEYS; i++) {
        child_must(kiwi_batch_put(batch, key_of("key", i, room), value_of(i, round, 256)));
        if (i % 10 == 9) {
            child_must(kiwi_write(world.context, batch, KIWI_PROCESS));
            kiwi_batch_clear(batch);
        }
    }
    kiwi_batch_close(batch);
}

static void compact_all(void)
{
    child_must(kiwi_compact(world.context, (struct kiwi_slice){ NULL, 0 },
                            (struct kiwi_slice){ NULL, 0 }));
}

static void work_do(enum work work, uint32_t round)
{
    char room[32];

    if (work == WORK_BATCHES)
        put_batches(round);
    else
        put_all(round);
    if (work == WORK_COMPACT)
        compact_all();
    for (uint32_t i = 0; work == WORK_LARGE && i < LARGE_KEYS; i++)
        child_must(kiwi_put(world.context, key_of("large", i, room), value_of(i, 0, LARGE_BYTES),
                            KIWI_PROCESS));
}

/* Never returns. With a kill to come: writes what nobody asks for until it comes. */
static void child_run(enum work work, uint32_t round, bool is_killed, int tell)
{
    char room[32];

    alarm(CHILD_LIFE_SECONDS);
    child_must(world_open(&world));
    work_do(work, round);
    if (!is_killed)
        child_must(world_close(&world));
    if (write(tell, "x", 1) != 1)
        _exit(1);
    if (!is_killed)
        _exit(0);
    for (uint32_t i = 0;; i++) {
        child_must(kiwi_put(world.context, key_of("more", i % 400, room), value_of(i, round, 256),
                            KIWI_PROCESS));
        if (i % 1000 == 999)
            compact_all();
    }
}

static void child_await(enum work work, uint32_t round, bool is_killed)
{
    int   pipes[2], result;
    char  told;
    pid_t child;

    assert_int_equal(pipe(pipes), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        child_run(work, round, is_killed, pipes[1]);
    close(pipes[1]);
    assert_int_equal(read(pipes[0], &told, 1), 1); /* 0: it has ended and said why */
    close(pipes[0]);
    if (is_killed)
        assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, is_killed ? SIGKILL : 0); /* not ended by itself */
}

static void times_take(const struct image *image, struct timespec times[IMAGE_FILES_MAX])
{
    char        name[512];
    struct stat info;

    for (uint32_t i = 0; i < image->count; i++) {
        snprintf(name, sizeof name, "%s/%s", world.directory, image->files[i].path);
        assert_int_equal(stat(name, &info), 0);
        times[i] = info.st_mtim;
    }
}

static void finding_show(void *context, const struct kiwi_finding *finding)
{
    (void)context;
    if (finding->kind == KIWI_FINDING_DAMAGE)
        fprintf(stderr, "damage: %s\n", finding->text);
}

static void clean_check(const char *label, struct kiwi_verify_report *report)
{
    struct kiwi_verify_options options = { .io_backend = KIWI_IO_POSIX, .found = finding_show };
    static struct timespec     before_times[IMAGE_FILES_MAX], after_times[IMAGE_FILES_MAX];
    struct image               before = { .count = 0 };
    enum kiwi_status           status;

    image_take(&before, world.directory);
    times_take(&before, before_times);
    status = kiwi_verify(world.directory, &options, report);
    if (status != KIWI_OK)
        fail_msg("%s: verify says %s: %s", label, kiwi_status_text(status), kiwi_error_text());
    assert_int_equal(report->damage_count, 0);
    if (!image_is(&before, world.directory))
        fail_msg("%s: verify has changed the directory", label);
    times_take(&before, after_times);
    for (uint32_t i = 0; i < before.count; i++)
        if (before_times[i].tv_sec != after_times[i].tv_sec
            || before_times[i].tv_nsec != after_times[i].tv_nsec)
            fail_msg("%s: verify has touched %s", label, before.files[i].path);
    image_free(&before);
}

static void value_is(const char *kind, uint32_t key, uint32_t round, size_t bytes)
{
    struct kiwi_buffer value = { 0 };
    char               room[32];

    assert_int_equal(kiwi_get(world.context, key_of(kind, key, room), NULL, &value), KIWI_OK);
    assert_int_equal(value.size, bytes);
    assert_memory_equal(value.data, value_of(key, round, bytes).data, bytes);
    kiwi_buffer_free(&value);
}

static void closed_and_killed_databases_are_clean(void **state)
{
    static const char *names[] = { "load", "compaction", "batches over shards", "large values" };
    char               label[64];

    (void)state;
    world_make(&world, WORLD_POSIX, 1);
    world.options.memtable_bytes = 512u << 10;
    for (uint32_t round = 0; round < 2u * WORK_COUNT; round++) {
        enum work                 work = (enum work)(round % WORK_COUNT);
        bool                      is_killed = round >= WORK_COUNT;
        struct kiwi_verify_report report;

        child_await(work, round, is_killed);
        snprintf(label, sizeof label, "%s, %s", names[work], is_killed ? "killed" : "closed");
        clean_check(label, &report);
        printf("%s: clean; %llu tables of %llu entries, %llu records in logs, %llu in tails, %llu "
               "notes\n", label, (unsigned long long)report.table_count,
               (unsigned long long)report.table_entries, (unsigned long long)report.log_records,
               (unsigned long long)report.tail_records, (unsigned long long)report.note_count);
        assert_int_equal(world_open(&world), KIWI_OK);
        for (uint32_t i = 0; i < KEYS; i++)
            value_is("key", i, round, 256);
        for (uint32_t i = 0; round >= WORK_LARGE && i < LARGE_KEYS; i++)
            value_is("large", i, 0, LARGE_BYTES);
        assert_int_equal(world_close(&world), KIWI_OK);
    }
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closed_and_killed_databases_are_clean),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
