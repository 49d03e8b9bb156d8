/*
 * memory_test.c: a database takes the memory it was given, knows how much it takes, and the system
 * agrees with it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/world.h"

#define MEMORY_BYTES (256ull << 20)
#define RECORDS      600000u
#define VALUE_BYTES  300u
/* Beside what the engine sums up: code that is paged in, stacks, rings, what merges take from the
 * heap when device buffers are used up, tables of tables, the heap's own bookkeeping. */
#define OTHER_BYTES  (16ull << 20)

static enum world_way way_under_test;

static void check(enum kiwi_status status)
{
    if (status != KIWI_OK)
        fail_msg("%s: %s", kiwi_status_text(status), kiwi_error_text());
}

static uint64_t resident_bytes(void)
{
    FILE    *file = fopen("/proc/self/statm", "r");
    uint64_t all, resident;

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%" SCNu64 " %" SCNu64, &all, &resident), 2);
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

struct usage {
    uint64_t before;     /* resident before the database was opened */
    uint64_t most;       /* of the growth since */
    uint64_t most_apart; /* between that growth and the engine's own sum */
    uint64_t most_sum;
};

static void usage_look(struct usage *usage, struct kiwi_db *db, struct kiwi_stats *stats)
{
    uint64_t now = resident_bytes();
    uint64_t growth = now > usage->before ? now - usage->before : 0, apart;

    check(kiwi_stats_read(db, stats));
    apart = growth > stats->memory_bytes ? growth - stats->memory_bytes
                                         : stats->memory_bytes - growth;
    usage->most = growth > usage->most ? growth : usage->most;
    usage->most_sum = stats->memory_bytes > usage->most_sum ? stats->memory_bytes : usage->most_sum;
    usage->most_apart = apart > usage->most_apart ? apart : usage->most_apart;
}

static size_t key_write(char *key, uint64_t number)
{
    return (size_t)snprintf(key, 32, "user%020" PRIu64, number);
}

/* Goal: neither the engine's sum nor what the process holds exceeds memory_bytes by more than 5 %,
 * and both tell the same. Method: more data than memory; load, overwrite, read at random. */
static void memory_is_held_and_counted(void **state)
{
    struct world       world;
    struct kiwi_stats *stats = calloc(1, sizeof *stats);
    struct kiwi_buffer buffer = { 0 };
    struct usage       usage = { 0 };
    uint64_t           chance = seed_get(5);
    char               key[32], value[VALUE_BYTES];

    (void)state;
    world_make(&world, way_under_test, chance);
    world.options = kiwi_options_default();
    world.options.drive = way_under_test == WORLD_ATTACHED ? KIWI_ATTACHED : KIWI_MANAGED;
    world.options.memory_bytes = MEMORY_BYTES;
    world.options.shard_count = 2;
    memset(value, 'v', sizeof value);
    usage.before = resident_bytes();
    check(world_open(&world));
    usage_look(&usage, world.db, stats);
    assert_true(usage.most > MEMORY_BYTES / 2); /* touched at open */
    for (uint32_t i = 0; i < RECORDS + RECORDS / 2; i++) {
        uint64_t         number = i < RECORDS ? i : chance_below(&chance, RECORDS);
        size_t           key_bytes = key_write(key, number * 2654435761u % RECORDS);
        enum kiwi_status status;

        if (i < RECORDS || i % 2 == 0)
            check(kiwi_put(world.context, (struct kiwi_slice){ key, key_bytes },
                           (struct kiwi_slice){ value, sizeof value }, KIWI_PROCESS));
        else if ((status = kiwi_get(world.context, (struct kiwi_slice){ key, key_bytes }, NULL,
                                    &buffer)) != KIWI_NOT_FOUND)
            check(status);
        if (i % 10000 == 0)
            usage_look(&usage, world.db, stats);
    }
    usage_look(&usage, world.db, stats);
    print_message("of %" PRIu64 " KiB: resident %" PRIu64 ", counted %" PRIu64 ", apart %" PRIu64
                  " KiB\n", (uint64_t)(MEMORY_BYTES >> 10), usage.most >> 10,
                  usage.most_sum >> 10, usage.most_apart >> 10);
    assert_true(usage.most <= MEMORY_BYTES + MEMORY_BYTES / 20 + OTHER_BYTES);
    assert_true(usage.most_sum <= MEMORY_BYTES + MEMORY_BYTES / 20);
    assert_true(usage.most_apart <= MEMORY_BYTES / 20 + OTHER_BYTES);
    kiwi_buffer_free(&buffer);
    free(stats);
    world_end(&world);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(memory_is_held_and_counted) };

#if defined(KIWI_SANITIZED) /* shadow memory is resident too */
    (void)tests;
    (void)argc;
    (void)argv;
    return 77;
#else
    way_under_test = world_way_of(argc > 1 ? argv[1] : "managed");
    return cmocka_run_group_tests_name(world_way_name(way_under_test), tests, NULL, NULL);
#endif
}
