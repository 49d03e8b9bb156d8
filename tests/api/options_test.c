/*
 * options_test.c: every option of the engine at the ends of its range: what is promised there is
 * accepted and works, what lies outside is refused by name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/db/db.h"
#include "io/thread.h"
#include "tests/support/check.h"
#include "tests/support/world.h"

enum option_kind { OPTION_WHOLE = 0, OPTION_FRACTION, OPTION_CHOICE, OPTION_FLAG, OPTION_POINTER };

/* All of struct kiwi_options, by hand from options.h. */
struct option {
    const char      *name;
    size_t           offset, bytes;
    enum option_kind kind;
    bool             is_derived; /* 0 is "derived" */
    uint64_t         low, high;
    bool             is_live;
};

#define OPTION(field, kind, derived, low, high)   OPTION_ROW(field, kind, derived, low, high, false)
#define LIVE_OPTION(field, kind, low, high)       OPTION_ROW(field, kind, true, low, high, true)
#define OPTION_ROW(field, kind, derived, low, high, live)                                         \
    { #field, offsetof(struct kiwi_options, field), sizeof(((struct kiwi_options *)0)->field),    \
      kind, derived, low, high, live }

static const struct option options[] = {
    OPTION(memory_bytes, OPTION_WHOLE, false, 8u << 20, 1ull << 46),
    OPTION(shard_count, OPTION_WHOLE, true, 1, 64),
    OPTION(durability, OPTION_CHOICE, false, KIWI_DURABLE, KIWI_MEMORY),
    OPTION(drive, OPTION_CHOICE, false, KIWI_MANAGED, KIWI_ATTACHED),
    OPTION(io_backend, OPTION_CHOICE, false, KIWI_IO_URING, KIWI_IO_POSIX),
    OPTION(create, OPTION_FLAG, false, 0, 1),
    OPTION(must_be_new, OPTION_FLAG, false, 0, 1),
    OPTION(read_verify, OPTION_FLAG, false, 0, 1),
    OPTION(scrub_bytes_per_second, OPTION_WHOLE, true, 64u << 10, 1ull << 40),
    OPTION(log, OPTION_POINTER, false, 0, 0),
    OPTION(log_context, OPTION_POINTER, false, 0, 0),
    LIVE_OPTION(memtable_bytes, OPTION_WHOLE, 16384, 8u << 20),
    LIVE_OPTION(memtable_entry_max, OPTION_WHOLE, 1, 1ull << 40),
    LIVE_OPTION(frozen_max, OPTION_WHOLE, 1, 16),
    LIVE_OPTION(flush_max_workers, OPTION_WHOLE, 1, 4),
    LIVE_OPTION(write_timeout_ns, OPTION_WHOLE, 1000000, 86400ull * 1000000000),
    OPTION(log_bytes, OPTION_WHOLE, true, 256u << 10, 1ull << 40),
    OPTION(table_bytes, OPTION_WHOLE, true, 16384, 4ull << 30),
    LIVE_OPTION(block_bytes, OPTION_WHOLE, 4096, 32768),
    LIVE_OPTION(cache_data_block_max, OPTION_WHOLE, 1, 1ull << 40),
    LIVE_OPTION(cache_index_block_max, OPTION_WHOLE, 1, 1ull << 40),
    LIVE_OPTION(cache_filter_block_max, OPTION_WHOLE, 1, 1ull << 40),
    LIVE_OPTION(level0_run_max, OPTION_WHOLE, 2, 32),
    LIVE_OPTION(level_run_max, OPTION_WHOLE, 2, 32),
    LIVE_OPTION(level_max, OPTION_WHOLE, 2, 6),
    LIVE_OPTION(filter_false_share, OPTION_FRACTION, 0, 0),
    OPTION(statistics_off, OPTION_FLAG, false, 0, 1),
    OPTION(io, OPTION_POINTER, false, 0, 0),
};

#define OPTION_COUNT (sizeof options / sizeof options[0])

static void value_set(struct kiwi_options *target, const struct option *option, uint64_t value)
{
    uint32_t narrow = (uint32_t)value;
    char    *at = (char *)target + option->offset;

    if (option->bytes == sizeof value)
        memcpy(at, &value, sizeof value);
    else
        memcpy(at, &narrow, sizeof narrow);
}

static bool is_number(const struct option *option)
{
    return option->kind == OPTION_WHOLE || option->kind == OPTION_CHOICE;
}

/* With memory of 8 MiB, the least. */
static struct kiwi_options options_small(void)
{
    struct kiwi_options small = kiwi_options_default();

    small.memory_bytes = 8u << 20;
    small.shard_count = 2;
    return small;
}

/* Goal: a new option cannot be forgotten here. Method: the fields fill the struct, but for the gaps
 * that their alignment makes. */
static void the_table_has_every_field(void **state)
{
    size_t end = 0;

    (void)state;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        assert_true(options[i].offset >= end);
        assert_true(options[i].offset - end < options[i].bytes);
        end = options[i].offset + options[i].bytes;
    }
    assert_int_equal(end, sizeof(struct kiwi_options));
}

static void refused_by_name(const struct kiwi_options *wrong, const char *name)
{
    char wanted[64];

    snprintf(wanted, sizeof wanted, "option %s is ", name);
    if (kiwi_options_check(wrong) != KIWI_INVALID)
        fail_msg("%s: accepted", name);
    if (strstr(kiwi_error_text(), wanted) == NULL || strstr(kiwi_error_text(), " to ") == NULL)
        fail_msg("%s: %s", name, kiwi_error_text());
}

static void values_outside_their_range_are_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *option = &options[i];
        struct kiwi_options  wrong = options_small();

        if (!is_number(option))
            continue;
        if (option->low > 1 || (option->low == 1 && !option->is_derived)) {
            value_set(&wrong, option, option->low - 1);
            refused_by_name(&wrong, option->name);
        }
        value_set(&wrong, option, option->high + 1);
        refused_by_name(&wrong, option->name);
        value_set(&wrong, option, option->bytes == 8 ? UINT64_MAX : UINT32_MAX);
        refused_by_name(&wrong, option->name);
    }
}

static void values_at_the_ends_of_their_range_are_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *option = &options[i];
        struct kiwi_options  right = options_small();

        if (!is_number(option))
            continue;
        if (strcmp(option->name, "shard_count") == 0)
            right.memory_bytes = 64u << 20;
        value_set(&right, option, option->low);
        check_ok(kiwi_options_check(&right));
        value_set(&right, option, option->high);
        check_ok(kiwi_options_check(&right));
        if (option->is_derived) {
            value_set(&right, option, 0);
            check_ok(kiwi_options_check(&right));
        }
    }
}

static void a_share_is_a_number_within_its_range(void **state)
{
    static const double wrong[] = { -0.1, 0.0000009, 0.51, 1, NAN, INFINITY };
    struct kiwi_options share = options_small();

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        share.filter_false_share = wrong[i];
        refused_by_name(&share, "filter_false_share");
    }
    share.filter_false_share = 0.000001;
    check_ok(kiwi_options_check(&share));
    share.filter_false_share = 0.5;
    check_ok(kiwi_options_check(&share));
}

/* Puts, gets, flushes and merges in the database that the world's options make. */
static void database_works(struct world *world)
{
    struct kiwi_buffer value = { 0 };
    char               key[32], bytes[100];

    check_ok(world_open(world));
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 60; i++) {
            snprintf(key, sizeof key, "key%u", i * 7 + round);
            memset(bytes, (int)('a' + round), sizeof bytes);
            check_ok(kiwi_put(world->context, (struct kiwi_slice){ key, strlen(key) },
                              (struct kiwi_slice){ bytes, sizeof bytes }, KIWI_PROCESS));
        }
        check_ok(kiwi_flush(world->context));
    }
    check_ok(kiwi_compact(world->context, (struct kiwi_slice){ 0 }, (struct kiwi_slice){ 0 }));
    for (uint32_t i = 0; i < 60; i++) {
        snprintf(key, sizeof key, "key%u", i * 7 + 2);
        check_ok(kiwi_get(world->context, (struct kiwi_slice){ key, strlen(key) }, NULL, &value));
        assert_int_equal(value.size, sizeof bytes);
    }
    kiwi_buffer_free(&value);
    world_close(world);
}

/* The simulated disk: no real one would hold a log of a TiB. */
static void world_of(struct world *world, uint64_t seed)
{
    struct io *io;

    world_make(world, WORLD_SIMULATED, seed);
    io = world->options.io;
    world->options = options_small();
    world->options.drive = KIWI_ATTACHED;
    world->options.io = io;
    world->options.durability = KIWI_PROCESS;
}

/* Goal: what the least and the largest value promise. Large ones that only a large machine can hold
 * are left to the check. */
static void databases_open_and_work_at_the_ends_of_each_range(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPTION_COUNT; i += sweep_of(1, 3)) {
        const struct option *option = &options[i];

        if (option->kind != OPTION_WHOLE)
            continue;
        for (int is_high = 0; is_high < 2; is_high++) {
            uint64_t     value = is_high ? option->high : option->low;
            struct world world;

            /* It needs a thread of the engine's own: faults_scrub. */
            if (option->offset == offsetof(struct kiwi_options, scrub_bytes_per_second))
                continue;
            /* 64 TiB of memory, a log of one, and shards for which 8 MiB are too little */
            if (is_high && !option->is_live && (value > 4ull << 30 || value == 64))
                continue;
            world_of(&world, i);
            world.options.shard_count = 1;
            value_set(&world.options, option, value);
            print_message("%s %llu\n", option->name, (unsigned long long)value);
            database_works(&world);
            world_end(&world);
        }
    }
}

static void sums_that_follow_stay_within_the_memory(void **state)
{
    (void)state;
    for (uint32_t shard_count = 1; shard_count <= 64; shard_count *= 2)
        for (uint32_t frozen_max = 0; frozen_max <= 16; frozen_max++)
            for (uint64_t megabytes = shard_count < 8 ? 8 : shard_count; megabytes < 100000;
                 megabytes *= 3)
                for (int is_asked = 0; is_asked < 2; is_asked++) {
                    struct kiwi_options derived = options_small();

                    derived.memory_bytes = megabytes << 20;
                    derived.shard_count = shard_count;
                    derived.frozen_max = frozen_max;
                    derived.memtable_bytes = is_asked ? derived.memory_bytes : 0;
                    check_ok(kiwi_options_check(&derived));
                    options_derive(&derived, shard_count);
                    check_ok(kiwi_options_check(&derived));
                    assert_true((derived.frozen_max + 1) * derived.memtable_bytes * shard_count
                                <= derived.memory_bytes / 2);
                }
}

/* A database keeps the number of shards that it was created with. */
static void memory_too_small_for_the_shards_that_are_there_is_refused(void **state)
{
    struct world world;

    (void)state;
    world_of(&world, 1);
    world.options.memory_bytes = 9u << 20;
    world.options.shard_count = 9;
    check_ok(world_open(&world));
    world_close(&world);
    world.options.shard_count = 0;
    world.options.memory_bytes = 8u << 20;
    assert_int_equal(world_open(&world), KIWI_INVALID);
    assert_non_null(strstr(kiwi_error_text(), "option memory_bytes is 8388608"));
    assert_non_null(strstr(kiwi_error_text(), "9437184"));
    world.options.memory_bytes = 9u << 20;
    check_ok(world_open(&world));
    world_end(&world);
}

/* ---- what single options do ---- */

static void put_one(struct world *world, uint32_t number, enum kiwi_status wanted)
{
    char             key[32], bytes[100] = { 0 };
    enum kiwi_status status;

    snprintf(key, sizeof key, "key%06u", number);
    status = kiwi_put(world->context, (struct kiwi_slice){ key, strlen(key) },
                      (struct kiwi_slice){ bytes, sizeof bytes }, KIWI_PROCESS);
    if (status != wanted)
        fail_msg("put %u: %s: %s", number, kiwi_status_text(status), kiwi_error_text());
}

/* Nobody flushes: the number of frozen memtables tells at which size each one froze. */
static void memtables_freeze_at_their_entries_and_writes_wait_behind_frozen_max(void **state)
{
    struct kiwi_stats *stats = malloc(sizeof *stats);
    struct world       world;
    uint32_t           accepted = 0;

    (void)state;
    world_of(&world, 3);
    world.options.shard_count = 1;
    world.options.memtable_entry_max = 10;
    world.options.frozen_max = 2;
    world.options.write_timeout_ns = 5000000;
    check_ok(world_open(&world));
    kiwi_detach(world.context);
    for (; accepted < 30; accepted++)
        put_one(&world, accepted, KIWI_OK);
    check_ok(kiwi_stats_read(world.db, stats));
    assert_int_equal(stats->memtable_count, 3);
    put_one(&world, accepted, KIWI_BUSY);
    assert_non_null(strstr(kiwi_error_text(), "write_timeout_ns"));
    assert_non_null(strstr(kiwi_error_text(), "5 ms"));
    assert_non_null(strstr(kiwi_error_text(), "wait for their flush"));
    check_ok(kiwi_stats_read(world.db, stats));
    assert_int_equal(stats->puts, 30);
    assert_in_range(stats->stalls[KIWI_STALL_MEMTABLE].max_ns, 5000000, 5010000);
    /* Flushed, there is room again. */
    check_ok(kiwi_attach(world.context, 1));
    check_ok(kiwi_flush(world.context));
    put_one(&world, accepted, KIWI_OK);
    world_end(&world);
    free(stats);
}

/* The same for a batch; nothing of it may be there afterwards. */
static void a_batch_is_refused_whole_when_its_time_is_over(void **state)
{
    struct kiwi_batch *batch;
    struct kiwi_buffer value = { 0 };
    struct world       world;
    char               key[32];

    (void)state;
    world_of(&world, 4);
    world.options.memtable_entry_max = 10;
    world.options.frozen_max = 1;
    world.options.write_timeout_ns = 2000000;
    check_ok(world_open(&world));
    kiwi_detach(world.context);
    for (uint32_t i = 0;; i++) {
        enum kiwi_status status;

        snprintf(key, sizeof key, "key%06u", i);
        status = kiwi_put(world.context, (struct kiwi_slice){ key, strlen(key) },
                          (struct kiwi_slice){ "v", 1 }, KIWI_PROCESS);
        if (status == KIWI_BUSY)
            break;
        check_ok(status);
        assert_true(i < 100);
    }
    check_ok(kiwi_batch_open(&batch));
    for (uint32_t i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "batch%u", i);
        check_ok(kiwi_batch_put(batch, (struct kiwi_slice){ key, strlen(key) },
                                (struct kiwi_slice){ "v", 1 }));
    }
    assert_int_equal(kiwi_write(world.context, batch, KIWI_PROCESS), KIWI_BUSY);
    assert_non_null(strstr(kiwi_error_text(), "write_timeout_ns"));
    for (uint32_t i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "batch%u", i);
        assert_int_equal(kiwi_get(world.context, (struct kiwi_slice){ key, strlen(key) }, NULL,
                                  &value), KIWI_NOT_FOUND);
    }
    check_ok(kiwi_attach(world.context, 3));
    check_ok(kiwi_flush(world.context));
    check_ok(kiwi_write(world.context, batch, KIWI_PROCESS));
    kiwi_batch_close(batch);
    kiwi_buffer_free(&value);
    world_end(&world);
}

/* Share of gets of absent keys that the filter of one table let pass. */
static double false_share_of(double asked)
{
    struct kiwi_stats *stats = malloc(sizeof *stats);
    struct kiwi_buffer value = { 0 };
    struct world       world;
    char               key[32];
    double             share;

    world_of(&world, 5);
    world.options.shard_count = 1;
    world.options.memory_bytes = 64u << 20;
    world.options.filter_false_share = asked;
    check_ok(world_open(&world));
    for (uint32_t i = 0; i < 10000; i++)
        put_one(&world, i * 2, KIWI_OK);
    check_ok(kiwi_flush(world.context));
    check_ok(kiwi_stats_reset(world.db));
    for (uint32_t i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "key%06u", i * 2 + 1);
        assert_int_equal(kiwi_get(world.context, (struct kiwi_slice){ key, strlen(key) }, NULL,
                                  &value), KIWI_NOT_FOUND);
    }
    check_ok(kiwi_stats_read(world.db, stats));
    share = (double)stats->levels[0].filter_false / 3000;
    kiwi_buffer_free(&value);
    world_end(&world);
    free(stats);
    return share;
}

static void filters_let_as_many_absent_keys_pass_as_they_may(void **state)
{
    double few = false_share_of(0.001), many = false_share_of(0.3);

    (void)state;
    print_message("0.001: %g, 0.3: %g\n", few, many);
    assert_true(few <= 0.003);
    assert_true(many <= 0.33);
    assert_true(many >= 0.15);
}

/* A get that misses reads one data block, and that is as large as blocks are. */
static uint32_t block_bytes_read(uint32_t block_bytes)
{
    struct world        world;
    struct kiwi_explain explain;
    char                buffer[128];
    struct kiwi_op      op = { .verb = KIWI_GET, .buffer = buffer, .buffer_bytes = sizeof buffer,
                               .key = { "key000100", 9 }, .explain = &explain };
    struct kiwi_op     *ops[1] = { &op };

    world_of(&world, 6);
    world.options.shard_count = 1;
    world.options.block_bytes = block_bytes;
    check_ok(world_open(&world));
    for (uint32_t i = 0; i < 3000; i++)
        put_one(&world, i, KIWI_OK);
    check_ok(kiwi_flush(world.context));
    world_close(&world);
    check_ok(world_open(&world));
    check_ok(kiwi_submit(world.context, ops, 1));
    while (kiwi_poll(world.context, ops, 1, KIWI_FOREVER) == 0)
        ;
    check_ok(op.status);
    world_end(&world);
    return explain.bytes_read;
}

static void data_blocks_are_as_large_as_asked_for(void **state)
{
    uint32_t small = block_bytes_read(4096), large = block_bytes_read(32768);

    (void)state;
    print_message("%u and %u bytes read\n", small, large);
    assert_true(large - small >= 20000);
}

/* Blocks that the cache holds: what came into it and was not evicted. */
static uint64_t blocks_cached(struct world *world, enum kiwi_tier tier)
{
    struct kiwi_stats *stats = malloc(sizeof *stats);
    uint64_t           count;

    check_ok(kiwi_stats_read(world->db, stats));
    count = stats->tiers[tier].inserts - stats->tiers[tier].evictions;
    free(stats);
    return count;
}

/* Others each time: what was read is a cached record. */
static void rows_read(struct world *world, uint32_t first, uint32_t count)
{
    struct kiwi_buffer value = { 0 };
    char               key[32];

    for (uint32_t i = first; i < count; i += 7) {
        snprintf(key, sizeof key, "key%06u", i);
        check_ok(kiwi_get(world->context, (struct kiwi_slice){ key, strlen(key) }, NULL, &value));
    }
    kiwi_buffer_free(&value);
}

static void caches_keep_no_more_blocks_than_they_may(void **state)
{
    struct kiwi_options changed;
    struct world        world;

    (void)state;
    world_of(&world, 10);
    world.options.cache_data_block_max = 20;
    world.options.cache_filter_block_max = 1; /* one for each of two shards */
    check_ok(world_open(&world));
    for (uint32_t i = 0; i < 5000; i++)
        put_one(&world, i, KIWI_OK);
    check_ok(kiwi_flush(world.context));
    rows_read(&world, 0, 5000);
    assert_in_range(blocks_cached(&world, KIWI_TIER_BLOCK), 10, 20);
    assert_in_range(blocks_cached(&world, KIWI_TIER_FILTER), 1, 2);
    changed = *kiwi_db_options(world.db);
    changed.cache_data_block_max = 0;
    check_ok(kiwi_configure(world.db, &changed));
    rows_read(&world, 3, 5000);
    assert_true(blocks_cached(&world, KIWI_TIER_BLOCK) > 40);
    changed.cache_data_block_max = 4;
    check_ok(kiwi_configure(world.db, &changed));
    for (uint32_t i = 0; i < 100; i++)
        put_one(&world, 5000 + i, KIWI_OK);
    check_ok(kiwi_flush(world.context)); /* brings blocks into both caches */
    assert_in_range(blocks_cached(&world, KIWI_TIER_BLOCK), 1, 4);
    world_end(&world);
}

/* ---- changes of an open database ---- */

/* Another value that the check lets pass. */
static void value_change(struct kiwi_options *changed, const struct option *option)
{
    struct kiwi_options before = *changed;
    uintptr_t           nobody = 64;
    double              share = 0.25;
    char               *at = (char *)changed + option->offset;

    if (option->kind == OPTION_FLAG)
        *at = *at == 0;
    else if (option->kind == OPTION_POINTER)
        memcpy(at, &nobody, sizeof nobody);
    else if (option->kind == OPTION_FRACTION)
        memcpy(at, &share, sizeof share);
    else
        value_set(changed, option, option->high);
    if (memcmp(at, (const char *)&before + option->offset, option->bytes) == 0)
        value_set(changed, option, option->low);
}

static bool is_same(const struct kiwi_options *a, const struct kiwi_options *b,
                    const struct option *option)
{
    return memcmp((const char *)a + option->offset, (const char *)b + option->offset,
                  option->bytes) == 0;
}

static void live_options_change_and_others_are_refused_by_name(void **state)
{
    struct kiwi_options before, changed;
    struct world        world;
    char                wanted[64];

    (void)state;
    world_of(&world, 7);
    world.options.memory_bytes = 64u << 20;
    check_ok(world_open(&world));
    before = *kiwi_db_options(world.db);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *option = &options[i];

        /* Already refused because this database is attached: faults_scrub. */
        if (option->offset == offsetof(struct kiwi_options, scrub_bytes_per_second))
            continue;
        changed = before;
        value_change(&changed, option);
        if (option->is_live) {
            check_ok(kiwi_configure(world.db, &changed));
            assert_false(is_same(kiwi_db_options(world.db), &before, option));
            value_set(&changed, option, 0);
            put_one(&world, (uint32_t)i, KIWI_OK);
            check_ok(kiwi_flush(world.context));
            check_ok(kiwi_configure(world.db, &changed));
        } else {
            assert_int_equal(kiwi_configure(world.db, &changed), KIWI_INVALID);
            snprintf(wanted, sizeof wanted, "option %s cannot change", option->name);
            assert_non_null(strstr(kiwi_error_text(), wanted));
        }
        for (size_t k = 0; k < OPTION_COUNT; k++)
            assert_true(is_same(kiwi_db_options(world.db), &before, &options[k]));
    }
    changed = before;
    changed.level_max = 7;
    assert_int_equal(kiwi_configure(world.db, &changed), KIWI_INVALID);
    refused_by_name(&changed, "level_max");
    world_end(&world);
}

/* Nobody flushes, so what is frozen stays and tells which limits held. */
static void changed_limits_hold_for_the_memtable_that_fills(void **state)
{
    struct kiwi_stats  *stats = malloc(sizeof *stats);
    struct kiwi_options changed;
    struct world        world;
    uint32_t            number = 0;

    (void)state;
    world_of(&world, 8);
    world.options.shard_count = 1;
    check_ok(world_open(&world));
    kiwi_detach(world.context);
    for (; number < 25; number++)
        put_one(&world, number, KIWI_OK);
    check_ok(kiwi_stats_read(world.db, stats));
    assert_int_equal(stats->memtable_count, 1);
    changed = *kiwi_db_options(world.db);
    changed.memtable_entry_max = 10;
    changed.frozen_max = 2;
    changed.write_timeout_ns = 1000000;
    check_ok(kiwi_configure(world.db, &changed));
    for (; number < 25 + 20; number++) /* one of 25, one of 10, and one of 10 that is full */
        put_one(&world, number, KIWI_OK);
    put_one(&world, number, KIWI_BUSY);
    check_ok(kiwi_stats_read(world.db, stats));
    assert_int_equal(stats->memtable_count, 3);
    changed.frozen_max = 3;
    check_ok(kiwi_configure(world.db, &changed));
    for (; number < 25 + 30; number++)
        put_one(&world, number, KIWI_OK);
    put_one(&world, number, KIWI_BUSY);
    check_ok(kiwi_attach(world.context, 1));
    changed.memtable_entry_max = changed.write_timeout_ns = 0;
    check_ok(kiwi_configure(world.db, &changed));
    for (; number < 100; number++)
        put_one(&world, number, KIWI_OK);
    world_end(&world);
    free(stats);
}

struct hand {
    struct kiwi_db *db;
    uint32_t        first;
    uint32_t        failures;
};

static void hand_writes(void *argument)
{
    struct hand         *hand = argument;
    struct kiwi_context *context;
    struct kiwi_buffer   value = { 0 };
    char                 key[32], bytes[300] = { 0 };

    hand->failures += kiwi_context_open(hand->db, 16, &context) != KIWI_OK;
    for (uint32_t i = 0; i < 1500; i++) {
        snprintf(key, sizeof key, "key%06u", hand->first + i);
        hand->failures += kiwi_put(context, (struct kiwi_slice){ key, strlen(key) },
                                   (struct kiwi_slice){ bytes, sizeof bytes }, KIWI_MEMORY)
                       != KIWI_OK;
        hand->failures += kiwi_get(context, (struct kiwi_slice){ key, strlen(key) }, NULL, &value)
                       != KIWI_OK;
    }
    kiwi_buffer_free(&value);
    kiwi_context_close(context);
}

static void hand_configures(void *argument)
{
    static const uint32_t counts[] = { 2, 5, 3, 16 };
    struct hand          *hand = argument;

    for (uint32_t i = 0; i < 200; i++) {
        struct kiwi_options changed = *kiwi_db_options(hand->db);

        changed.memtable_bytes = 16384u << i % 5;
        changed.memtable_entry_max = i % 2 * 100;
        changed.frozen_max = counts[i % 4];
        changed.flush_max_workers = 1 + i % 4;
        changed.level0_run_max = counts[i / 3 % 4];
        changed.level_max = 2 + i % 5;
        changed.block_bytes = 4096u << i % 4;
        changed.filter_false_share = i % 3 * 0.01;
        changed.write_timeout_ns = i % 2 * 60000000000ull;
        changed.cache_data_block_max = i % 3 * 10;
        hand->failures += kiwi_configure(hand->db, &changed) != KIWI_OK;
    }
}

/* Goal: no race, no assertion, nothing lost, whatever changes at work. */
static void options_change_while_others_write(void **state)
{
    struct kiwi_buffer value = { 0 };
    struct world       world;
    struct hand        hands[3];
    struct thread     *threads[3];
    char               key[32];

    (void)state;
    world_make(&world, WORLD_MANAGED, 9);
    check_ok(world_open(&world));
    for (uint32_t i = 0; i < 3; i++) {
        hands[i] = (struct hand){ .db = world.db, .first = i * 1500 };
        check_ok(thread_start(i == 2 ? hand_configures : hand_writes, &hands[i], -1, "hand",
                              &threads[i]));
    }
    for (uint32_t i = 0; i < 3; i++) {
        thread_join(threads[i]);
        assert_int_equal(hands[i].failures, 0);
    }
    for (uint32_t i = 0; i < 3000; i++) {
        snprintf(key, sizeof key, "key%06u", i);
        check_ok(kiwi_get(world.context, (struct kiwi_slice){ key, strlen(key) }, NULL, &value));
        assert_int_equal(value.size, 300);
    }
    kiwi_buffer_free(&value);
    world_end(&world);
}

/* api_options [NAME]: one of the tests, or all. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_has_every_field),
        cmocka_unit_test(values_outside_their_range_are_refused_by_name),
        cmocka_unit_test(values_at_the_ends_of_their_range_are_accepted),
        cmocka_unit_test(a_share_is_a_number_within_its_range),
        cmocka_unit_test(databases_open_and_work_at_the_ends_of_each_range),
        cmocka_unit_test(sums_that_follow_stay_within_the_memory),
        cmocka_unit_test(memory_too_small_for_the_shards_that_are_there_is_refused),
        cmocka_unit_test(memtables_freeze_at_their_entries_and_writes_wait_behind_frozen_max),
        cmocka_unit_test(a_batch_is_refused_whole_when_its_time_is_over),
        cmocka_unit_test(filters_let_as_many_absent_keys_pass_as_they_may),
        cmocka_unit_test(data_blocks_are_as_large_as_asked_for),
        cmocka_unit_test(caches_keep_no_more_blocks_than_they_may),
        cmocka_unit_test(live_options_change_and_others_are_refused_by_name),
        cmocka_unit_test(changed_limits_hold_for_the_memtable_that_fills),
        cmocka_unit_test(options_change_while_others_write),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
