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

/* What the engine sums up and what the process holds are apart by as much: code that is paged in,
 * stacks, rings, the allocator's own tables, and pages that it keeps for ten seconds of what was
 * freed. The engine leaves room for it. */
#define OTHER_BYTES (16ull << 20)

enum { VALUE_BYTES_MAX = 100000, ROWS = 20, LOOK_EVERY = 2000, ITERATOR_COUNT = 4 };

static enum world_way way_under_test;

static void check(enum kiwi_status status)
{
    if (status != KIWI_OK)
        fail_msg("%s: %s", kiwi_status_text(status), kiwi_error_text());
}

enum memory_kind { MEMORY_MAPPED, MEMORY_RESIDENT };

static uint64_t memory_of_process(enum memory_kind kind)
{
    FILE    *file = fopen("/proc/self/statm", "r");
    uint64_t pages[2];

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%" SCNu64 " %" SCNu64, &pages[0], &pages[1]), 2);
    fclose(file);
    return pages[kind] * (uint64_t)sysconf(_SC_PAGESIZE);
}

struct usage {
    uint64_t before;     /* resident before the database was opened */
    uint64_t most;       /* of the growth since */
    uint64_t most_apart; /* between that growth and the engine's own sum */
    uint64_t most_sum;
};

static void usage_look(struct usage *usage, struct kiwi_db *db, struct kiwi_stats *stats)
{
    uint64_t now = memory_of_process(MEMORY_RESIDENT);
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

/* Mostly small values, some of a block, a few larger than any device buffer of a small database. */
static size_t value_bytes_of(uint64_t number)
{
    return number % 2000 == 0 ? VALUE_BYTES_MAX : number % 50 == 0 ? 5000 : 100 + number % 400;
}

struct load {
    struct world          world;
    struct kiwi_stats    *stats;
    struct usage          usage;
    struct kiwi_buffer    buffer;
    struct kiwi_iterator *iterators[ITERATOR_COUNT];
    uint64_t              memory_bytes, record_count, chance;
    char                 *value;
};

static void load_put(struct load *load, uint64_t number)
{
    char   key[32];
    size_t key_bytes = key_write(key, number * 2654435761u % load->record_count);

    check(kiwi_put(load->world.context, (struct kiwi_slice){ key, key_bytes },
                   (struct kiwi_slice){ load->value, value_bytes_of(number) }, KIWI_PROCESS));
}

static void load_get(struct load *load, uint64_t number)
{
    char             key[32];
    size_t           key_bytes = key_write(key, number);
    enum kiwi_status status = kiwi_get(load->world.context, (struct kiwi_slice){ key, key_bytes },
                                       NULL, &load->buffer);

    if (status != KIWI_NOT_FOUND)
        check(status);
}

static void load_scan(struct load *load, uint64_t number)
{
    struct kiwi_iterator **iterator = &load->iterators[number % ITERATOR_COUNT];
    char                   key[32];
    size_t                 key_bytes = key_write(key, number);
    enum kiwi_status       status;

    if (*iterator == NULL)
        check(kiwi_iterator_open(load->world.context, NULL, iterator));
    else
        check(kiwi_iterator_refresh(*iterator, NULL));
    status = kiwi_iterator_seek(*iterator, (struct kiwi_slice){ key, key_bytes });
    for (uint32_t row = 1; row < ROWS && status == KIWI_OK; row++)
        status = kiwi_iterator_next(*iterator);
    if (status != KIWI_NOT_FOUND)
        check(status);
}

static void load_run(struct load *load)
{
    for (uint64_t i = 0; i < load->record_count + load->record_count / 8; i++) {
        uint64_t number = chance_below(&load->chance, load->record_count);

        if (i < load->record_count)
            load_put(load, i);
        else if (i % 2 == 0)
            load_put(load, number);
        else if (i % 16 == 1)
            load_scan(load, number);
        else
            load_get(load, number);
        if (i % LOOK_EVERY == 0)
            usage_look(&load->usage, load->world.db, load->stats);
    }
    usage_look(&load->usage, load->world.db, load->stats);
}

/* Goal: neither the engine's sum nor what the process holds exceeds memory_bytes by more than 5 %,
 * and both tell the same. Method: more data than memory, values from 100 bytes to 100 kB; load,
 * overwrite, read and scan at random. The database was closed before, so freed pages that the
 * allocator keeps would show in the next one. */
static void memory_is_held(uint64_t memory_mib, uint64_t record_count)
{
    struct load load = { .memory_bytes = memory_mib << 20, .record_count = record_count };

    load.chance = seed_get(5);
    load.stats = calloc(1, sizeof *load.stats);
    load.value = malloc(VALUE_BYTES_MAX);
    assert_non_null(load.stats);
    assert_non_null(load.value);
    memset(load.value, 'v', VALUE_BYTES_MAX);
    world_make(&load.world, way_under_test, load.chance);
    load.world.options = kiwi_options_default();
    load.world.options.drive = way_under_test == WORLD_ATTACHED ? KIWI_ATTACHED : KIWI_MANAGED;
    load.world.options.memory_bytes = load.memory_bytes;
    load.world.options.shard_count = 2;
    load.usage.before = memory_of_process(MEMORY_RESIDENT);
    check(world_open(&load.world));
    load_run(&load);
    print_message("of %" PRIu64 " KiB: resident %" PRIu64 ", counted %" PRIu64 ", apart %" PRIu64
                  " KiB\n", load.memory_bytes >> 10, load.usage.most >> 10,
                  load.usage.most_sum >> 10, load.usage.most_apart >> 10);
    assert_true(load.usage.most <= load.memory_bytes + load.memory_bytes / 20);
    assert_true(load.usage.most_sum <= load.memory_bytes + load.memory_bytes / 20);
    assert_true(load.usage.most_apart <= load.memory_bytes / 20 + OTHER_BYTES);
    for (uint32_t i = 0; i < ITERATOR_COUNT; i++)
        kiwi_iterator_close(load.iterators[i]);
    kiwi_buffer_free(&load.buffer);
    free(load.value);
    free(load.stats);
    world_end(&load.world);
}

static void memory_of_32_mib_is_held_and_counted(void **state)
{
    (void)state;
    memory_is_held(32, 100000);
}

static void memory_of_96_mib_is_held_and_counted(void **state)
{
    (void)state;
    memory_is_held(96, 250000);
}

static void memory_of_256_mib_is_held_and_counted(void **state)
{
    (void)state;
    if (!test_is_long())
        skip();
    memory_is_held(256, 600000);
}

/* A process may have 65,530 mappings; one that opens databases all day must not run out of them.
 * What is mapped and never touched shows in the address space only. */
static void opening_again_and_again_maps_nothing_more(void **state)
{
    struct world world;
    uint64_t     before = 0;

    (void)state;
    world_make(&world, way_under_test, seed_get(5));
    world.options = kiwi_options_default();
    world.options.drive = way_under_test == WORLD_ATTACHED ? KIWI_ATTACHED : KIWI_MANAGED;
    world.options.memory_bytes = 16u << 20;
    world.options.shard_count = 2;
    for (uint32_t i = 0; i < 60; i++) {
        check(world_open(&world));
        check(world_close(&world));
        if (i == 19)
            before = memory_of_process(MEMORY_MAPPED);
    }
    print_message("40 openings map %" PRIi64 " KiB more\n",
                  (int64_t)(memory_of_process(MEMORY_MAPPED) - before) / 1024);
    assert_true(memory_of_process(MEMORY_MAPPED) <= before + (16u << 20));
    world_end(&world);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_again_and_again_maps_nothing_more),
        cmocka_unit_test(memory_of_32_mib_is_held_and_counted),
        cmocka_unit_test(memory_of_96_mib_is_held_and_counted),
        cmocka_unit_test(memory_of_256_mib_is_held_and_counted),
    };

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
