/*
 * compact_job.c: flushes and compactions from end to end, against a model.
 *
 * After every single publish each key is read at each live snapshot and now, through memtables and
 * versions as a shard does it.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compact_harness.h"
#include "core/base/memory.h"
#include "io/simulated.h"
#include "tests/support/mode.h"

static uint64_t seed_given(void)
{
    const char *text = getenv("KIWI_SEED");
    uint64_t    seed = text != NULL ? strtoull(text, NULL, 0) : 4711;

    print_message("seed %" PRIu64 "\n", seed);
    return seed;
}

static struct harness_options small(uint64_t seed)
{
    return (struct harness_options){
        .seed = seed,
        .key_count = 400,
        .table_bytes = 40 << 10,
        .window_bytes = 32 << 10,
        .value_bytes_max = 200,
        .has_snapshots = true,
    };
}

static struct pick_options picks(void)
{
    return (struct pick_options){
        .level0_run_max = 3,
        .level_run_max = 3,
        .level_max = 6,
        .memtable_bytes = 20000,
        .last_level_ratio = 0.5,
    };
}

static void write_many(struct harness *harness, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        harness_write(harness);
        if (i % 64 == 0)
            harness_snapshots_change(harness);
    }
}

/* Writes, freezes and flushes, several times. */
static void flush_many(struct harness *harness, uint32_t flushes, uint32_t writes)
{
    for (uint32_t i = 0; i < flushes; i++) {
        struct harness_run run = { 0 };

        write_many(harness, writes);
        harness_freeze(harness);
        assert_true(harness_flush(harness, 1, &run));
    }
}

static void a_flush_of_nothing_publishes_an_empty_edit(void **state)
{
    struct harness_options options = small(1);
    struct harness        *harness = harness_open(&options);
    struct harness_run     run = { 0 };

    (void)state;
    harness_freeze(harness);
    assert_true(harness_flush(harness, 1, &run));
    assert_int_equal(harness->publishes, 1);
    assert_int_equal(harness->outputs, 0);
    assert_int_equal(version_present(harness->set)->level_count, 0);
    harness_close(harness);
}

static void a_flush_makes_one_run_of_level_zero(void **state)
{
    struct harness_options options = small(2);
    struct harness        *harness = harness_open(&options);
    struct harness_run     run = { 0 };

    (void)state;
    write_many(harness, 3000);
    harness_freeze(harness);
    assert_true(harness_flush(harness, 1, &run));
    assert_int_equal(harness->publishes, 1);
    assert_int_equal(version_present(harness->set)->levels[0].run_count, 1);
    assert_true(version_present(harness->set)->levels[0].runs[0]->table_count > 1);
    assert_int_equal(run.counters.entries_in,
                     run.counters.entries_out + run.counters.entries_dropped);
    harness_reopen_tables(harness);
    harness_close(harness);
}

static void several_memtables_flush_into_one_run(void **state)
{
    struct harness_options options = small(3);
    struct harness        *harness = harness_open(&options);
    struct harness_run     run = { 0 };

    (void)state;
    for (int i = 0; i < 3; i++) {
        write_many(harness, 700);
        harness_freeze(harness);
    }
    write_many(harness, 100);
    assert_true(harness_flush(harness, 3, &run));
    assert_int_equal(version_present(harness->set)->levels[0].run_count, 1);
    assert_true(run.counters.entries_dropped > 0);
    harness_check(harness);
    harness_close(harness);
}

static void a_compaction_publishes_as_it_goes(void **state)
{
    struct harness_options options = small(4);
    struct harness        *harness;
    struct compaction_plan plan = { .reason = COMPACTION_RUNS, .target_level = 1 };
    struct harness_run     run = { 0 };
    uint64_t               before;

    (void)state;
    options.has_snapshots = false;
    harness = harness_open(&options);
    for (int i = 0; i < 4; i++) {
        for (uint32_t k = 0; k < options.key_count; k++)
            harness_put(harness, k, ENTRY_PUT, 2000);
        flush_many(harness, 1, 500);
    }
    plan.source_run_count = 4;
    plan.is_bottom = true;
    before = harness->publishes;
    assert_true(harness_compact(harness, &plan, &run));
    assert_true(harness->publishes - before > 2);
    assert_int_equal(version_present(harness->set)->levels[0].run_count, 0);
    assert_int_equal(version_present(harness->set)->levels[1].run_count, 1);
    assert_true(run.counters.read_bytes_level[0] > 0);
    assert_int_equal(run.counters.entries_in,
                     run.counters.entries_out + run.counters.entries_dropped);
    harness_reopen_tables(harness);
    harness_close(harness);
}

static void everything_deleted_leaves_no_table_at_the_bottom(void **state)
{
    struct harness_options options = small(5);
    struct harness        *harness;
    struct compaction_plan plan = { .reason = COMPACTION_RUNS, .target_level = 2,
                                    .source_run_count = 2, .is_bottom = true };
    struct harness_run     run = { 0 };

    (void)state;
    options.has_snapshots = false;
    harness = harness_open(&options);
    flush_many(harness, 1, 2000);
    for (uint32_t i = 0; i < options.key_count; i++)
        harness_put(harness, i, ENTRY_DELETE, 0);
    harness_freeze(harness);
    assert_true(harness_flush(harness, 1, &run));
    assert_true(harness_compact(harness, &plan, &run));
    assert_int_equal(version_present(harness->set)->level_count, 0);
    assert_int_equal(run.counters.entries_out, 0);
    assert_true(run.counters.tombstones_dropped >= options.key_count);
    harness_close(harness);
}

static void disjoint_runs_are_moved_without_being_read(void **state)
{
    struct harness_options options = small(6);
    struct harness        *harness;
    struct compaction_plan plan = { .reason = COMPACTION_RUNS, .target_level = 1,
                                    .source_run_count = 4, .is_bottom = true };
    struct harness_run     run = { 0 };

    (void)state;
    options.has_snapshots = false;
    harness = harness_open(&options);
    for (uint32_t part = 0; part < 4; part++) {
        for (uint32_t i = 0; i < 100; i++)
            harness_put(harness, part * 100 + i, ENTRY_PUT, 300);
        harness_freeze(harness);
        assert_true(harness_flush(harness, 1, &run));
    }
    assert_true(harness_compact(harness, &plan, &run));
    assert_int_equal(run.counters.read_bytes, 0);
    assert_int_equal(run.counters.write_bytes, 0);
    assert_int_equal(version_present(harness->set)->levels[0].run_count, 0);
    assert_int_equal(version_present(harness->set)->levels[1].run_count, 1);
    harness_check(harness);
    harness_close(harness);
}

/* The oldest runs of a level become one among themselves: it must stand where they stood, older
 * than the run that was left out. */
static void runs_merged_within_their_level_keep_their_age(void **state)
{
    struct harness_options options = small(15);
    struct harness        *harness = harness_open(&options);
    struct harness_run     run = { 0 };
    const struct level    *level;
    uint64_t               youngest, second;

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct compaction_plan down = { .reason = COMPACTION_IDLE, .target_level = 1,
                                        .source_run_count = 1 };

        flush_many(harness, 1, 900);
        assert_true(harness_compact(harness, &down, &run));
    }
    level = &version_present(harness->set)->levels[1];
    assert_int_equal(level->run_count, 4);
    youngest = level->runs[0]->id;
    second = level->runs[1]->id;
    struct compaction_plan within = { .reason = COMPACTION_IDLE, .source_level = 1,
                                      .target_level = 1, .source_run_count = 3,
                                      .is_bottom = true };

    assert_true(harness_compact(harness, &within, &run));
    level = &version_present(harness->set)->levels[1];
    assert_int_equal(level->run_count, 2);
    assert_int_equal(level->runs[0]->id, youngest);
    assert_int_equal(level->runs[1]->id, second);
    harness_check(harness);
    harness_close(harness);
}

/* Keys arrive in four ascending streams: a merge into the last level leaves the tables that lie
 * between the ends of the streams as they are. */
static void tables_that_share_no_key_stay(void **state)
{
    struct harness_options options = small(17);
    struct harness        *harness;
    struct harness_run     run = { 0 };
    uint64_t               ids[256];
    uint32_t               count = 0, stayed = 0;

    (void)state;
    options.has_snapshots = false;
    harness = harness_open(&options);
    for (uint32_t round = 0; round < 2; round++) {
        struct compaction_plan plan;
        const struct run      *last;

        for (uint32_t half = 0; half < 2; half++) { /* two runs, or they would only be moved */
            for (uint32_t stream = 0; stream < 4; stream++)
                for (uint32_t i = half; i < 80 - 60 * round; i += 2)
                    harness_put(harness, stream * 100 + 80 * round + i, ENTRY_PUT, 3000);
            harness_freeze(harness);
            assert_true(harness_flush(harness, 1, &run));
        }
        plan = (struct compaction_plan){ .reason = COMPACTION_RUNS, .target_level = 1,
                                         .source_run_count = 2 };
        assert_true(harness_compact(harness, &plan, &run));
        compaction_pick_range(version_present(harness->set), bytes_of(NULL, 0), bytes_of(NULL, 0),
                              SEQUENCE_MAX, &plan);
        assert_int_equal(plan.source_level, 1);
        assert_true(harness_compact(harness, &plan, &run));
        assert_int_equal(version_present(harness->set)->levels[2].run_count, 1);
        last = version_present(harness->set)->levels[2].runs[0];
        for (uint32_t i = 0; i < last->table_count; i++)
            for (uint32_t k = 0; k < count; k++)
                stayed += ids[k] == last->places[i].table->info.id;
        for (count = 0; count < last->table_count && round == 0; count++)
            ids[count] = last->places[count].table->info.id;
    }
    assert_true(stayed > 10);
    harness_check(harness);
    harness_close(harness);
}

static void count_block(void *context, uint64_t table_id, struct block_ref ref,
                        const uint8_t *block)
{
    uint64_t *counts = context;

    assert_true(table_id > 0);
    assert_non_null(block);
    counts[ref.kind]++;
}

/* A budget beyond all input: the merge has to stop for its writes, and every block is shown. */
static void a_step_without_budget_waits_for_its_writes(void **state)
{
    struct harness_options options = small(16);
    struct harness        *harness;
    struct harness_run     run = { .budget_bytes = 1ull << 40 };
    uint64_t               counts[4] = { 0 };

    (void)state;
    options.table_bytes = 64 << 20;
    options.has_snapshots = false;
    options.value_bytes_max = 5000;
    options.checks_nothing = true;
    harness = harness_open(&options);
    harness->block_done = count_block;
    harness->block_context = counts;
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < options.key_count; i++)
            harness_put(harness, i, ENTRY_PUT, 5000);
        harness_freeze(harness);
        assert_true(harness_flush(harness, 1, &run));
    }
    assert_true(counts[BLOCK_DATA] > 100);
    assert_true(counts[BLOCK_INDEX] > 0);
    assert_true(counts[BLOCK_FILTER] > 0);
    struct compaction_plan plan = { .reason = COMPACTION_RUNS, .target_level = 1,
                                    .source_run_count = 2 };

    assert_true(harness_compact(harness, &plan, &run));
    assert_true(harness->steps < 200);
    harness_check(harness);
    harness_close(harness);
}

/* One random history: writes, flushes, picked and ranged compactions, cancelled ones among them. */
static void history_run(const struct harness_options *options, uint32_t rounds)
{
    struct harness     *harness = harness_open(options);
    struct pick_options pick = picks();

    for (uint32_t i = 0; i < rounds; i++) {
        struct harness_run run = { 0 };
        uint32_t           frozen;

        write_many(harness, (uint32_t)harness_below(harness, 300));
        if (harness->memtable_count <= HARNESS_FROZEN_MAX)
            harness_freeze(harness);
        frozen = harness->memtable_count - 1;
        run.cancel_at_step = harness_below(harness, 4) == 0 ? 1 + harness_below(harness, 30) : 0;
        if (frozen == HARNESS_FROZEN_MAX || harness_below(harness, 2) == 0)
            (void)harness_flush(harness, 1 + (uint32_t)harness_below(harness, frozen), &run);
        if (frozen == HARNESS_FROZEN_MAX && run.status != KIWI_OK) {
            run.cancel_at_step = 0;
            assert_true(harness_flush(harness, frozen, &run));
        }
        pick.is_idle = harness_below(harness, 4) == 0;
        for (uint64_t n = harness_below(harness, 4); n > 0; n--) {
            struct compaction_plan plan;
            struct model_key *a = &harness->keys[harness_below(harness, options->key_count)];
            struct model_key *b = &harness->keys[harness_below(harness, options->key_count)];

            run.cancel_at_step = harness_below(harness, 3) == 0 ? 1 + harness_below(harness, 60)
                                                                : 0;
            compaction_pick(version_present(harness->set), &pick, &plan);
            if (harness_below(harness, 8) == 0)
                compaction_pick_range(version_present(harness->set),
                                      bytes_compare(a->key, b->key) < 0 ? a->key : b->key,
                                      bytes_compare(a->key, b->key) < 0 ? b->key : a->key,
                                      SEQUENCE_MAX, &plan);
            if (plan.reason != COMPACTION_NONE)
                (void)harness_compact(harness, &plan, &run);
        }
    }
    harness_check(harness);
    harness_reopen_tables(harness);
    print_message("%" PRIu64 " reads, %" PRIu64 " publishes of %" PRIu64 " tables, %" PRIu64
                  " jobs, %" PRIu64 " steps\n", harness->reads_checked, harness->publishes,
                  harness->outputs, harness->jobs, harness->steps);
    harness_close(harness);
}

static void random_histories_read_as_the_model_says(void **state)
{
    uint64_t seed = seed_given();

    (void)state;
    for (uint64_t i = 0; i < 12; i++) {
        struct harness_options options = small(seed + i);

        options.key_count = i % 3 == 0 ? 40 : 500;
        options.has_large = i % 4 == 1;
        options.has_snapshots = i % 2 == 0;
        options.table_bytes = i % 5 == 0 ? 4096 : 40000;
        options.stream_count = i % 4 == 3 ? 1 + (uint32_t)i : 0;
        if (options.stream_count > 0)
            options.value_bytes_max = 3000;
        options.window_bytes = i % 3 == 1 ? 256 << 10 : 32 << 10;
        history_run(&options, options.has_large || options.table_bytes == 4096 ? sweep_of(15, 5)
                                                                         : sweep_of(40, 8));
    }
}

/* A compaction over three runs into a fourth, prepared anew for each attempt. */
static struct harness *prepared(const struct harness_options *options, struct compaction_plan *plan)
{
    struct harness    *harness = harness_open(options);
    struct harness_run run = { 0 };

    flush_many(harness, 2, 500);
    compaction_pick_range(version_present(harness->set), bytes_of(NULL, 0), bytes_of(NULL, 0),
                          SEQUENCE_MAX, plan);
    assert_true(harness_compact(harness, plan, &run));
    flush_many(harness, 3, 500);
    compaction_pick_range(version_present(harness->set), bytes_of(NULL, 0), bytes_of(NULL, 0),
                          SEQUENCE_MAX, plan);
    assert_int_equal(plan->reason, COMPACTION_MANUAL);
    return harness;
}

static void a_compaction_cancelled_at_any_step_changes_no_read(void **state)
{
    struct harness_options options = small(8);
    bool                   is_done = false;

    (void)state;
    options.key_count = 150;
    for (uint64_t step = 1; !is_done; step += 1 + step / 20) {
        struct compaction_plan plan;
        struct harness        *harness = prepared(&options, &plan);
        struct harness_run     run = { .cancel_at_step = step, .budget_bytes = 4000 };

        is_done = harness_compact(harness, &plan, &run);
        assert_true(is_done || run.status == KIWI_CLOSED);
        harness_check(harness);
        /* What is left of it is done by the next one. */
        compaction_pick_range(version_present(harness->set), bytes_of(NULL, 0), bytes_of(NULL, 0),
                              SEQUENCE_MAX, &plan);
        run = (struct harness_run){ 0 };
        assert_true(is_done == (plan.reason == COMPACTION_NONE));
        if (!is_done)
            assert_true(harness_compact(harness, &plan, &run));
        compaction_pick_range(version_present(harness->set), bytes_of(NULL, 0), bytes_of(NULL, 0),
                              SEQUENCE_MAX, &plan);
        assert_int_equal(plan.reason, COMPACTION_NONE);
        harness_close(harness);
        assert_true(step < 2000);
    }
}

static void a_refused_file_or_edit_fails_the_job_and_nothing_else(void **state)
{
    struct harness_options options = small(9);

    (void)state;
    for (uint32_t n = 1; n < 6; n++) {
        for (int which = 0; which < 2; which++) {
            struct compaction_plan plan;
            struct harness        *harness = prepared(&options, &plan);
            struct harness_run     run = { .refuse_file = which == 0 ? n : 0,
                                           .refuse_publish = which == 1 ? n : 0 };
            bool                   is_done = harness_compact(harness, &plan, &run);

            assert_true(is_done || run.status == (which == 0 ? KIWI_FULL : KIWI_INVALID));
            if (n == 1)
                assert_false(is_done);
            harness_check(harness);
            harness_close(harness);
        }
    }
}

static void no_allocation_failure_does_harm(void **state)
{
    struct harness_options options = small(10);
    uint64_t               successes = 0;

    (void)state;
    options.key_count = 100;
    for (uint64_t n = 1; successes < 3; n += 1 + n / 8) {
        struct compaction_plan plan;
        struct harness        *harness = prepared(&options, &plan);
        struct harness_run     run = { 0 };
        bool                   is_done;

        harness->options.checks_nothing = true;
        write_many(harness, 200);
        harness_freeze(harness);
        memory_fail_after(n);
        is_done = harness_flush(harness, 1, &run);
        memory_fail_after(0);
        assert_true(is_done || run.status == KIWI_NO_MEMORY);
        memory_fail_after(n);
        is_done = harness_compact(harness, &plan, &run);
        memory_fail_after(0);
        assert_true(is_done || run.status == KIWI_NO_MEMORY);
        successes += is_done;
        harness_check(harness);
        harness_close(harness);
        assert_true(n < 100000);
    }
}

/* ---- on a simulated disk ---- */

static struct simulation *simulated(uint64_t seed, struct harness_options *options)
{
    struct simulation_options simulated_options = { .seed = seed, .latency_ns = 20000 };
    struct simulation        *simulation;

    assert_int_equal(simulation_open(&simulated_options, &simulation), KIWI_OK);
    options->io = simulation_io(simulation);
    return simulation;
}

/* Goal: an error of any single operation fails the job with that error, changes no read, and the
 * next job does the work. */
static void an_error_of_any_single_operation_does_no_harm(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        enum kiwi_status error = round == 0 ? KIWI_IO : KIWI_FULL;
        bool             is_done = false;

        for (uint64_t n = 1; !is_done; n += 1 + n / 30) {
            struct harness_options options = small(11);
            struct simulation     *simulation = simulated(12, &options);
            struct compaction_plan plan;
            struct harness        *harness;
            struct harness_run     run = { 0 };

            options.key_count = 120;
            harness = prepared(&options, &plan);
            harness->options.checks_nothing = true;
            simulation_fail_at(simulation, simulation_operations(simulation) + n, error, false);
            is_done = harness_compact(harness, &plan, &run);
            simulation_fail_at(simulation, 0, KIWI_OK, false);
            assert_true(is_done || run.status == error);
            harness_check(harness);
            if (!is_done) {
                run = (struct harness_run){ 0 };
                compaction_pick_range(version_present(harness->set), bytes_of(NULL, 0),
                                      bytes_of(NULL, 0), SEQUENCE_MAX, &plan);
                assert_true(plan.reason != COMPACTION_NONE);
                assert_true(harness_compact(harness, &plan, &run));
                harness_check(harness);
            }
            harness_close(harness);
            simulation_close(simulation);
            assert_true(n < 10000);
        }
    }
}

static void a_full_disk_fails_a_flush_and_room_lets_it_pass(void **state)
{
    struct harness_options    options = small(13);
    struct simulation        *simulation = simulated(14, &options);
    struct harness           *harness = harness_open(&options);
    struct simulation_options full = { .seed = 14, .disk_bytes = 100000 };
    struct harness_run        run = { 0 };

    (void)state;
    write_many(harness, 3000);
    harness_freeze(harness);
    simulation_set(simulation, &full);
    assert_false(harness_flush(harness, 1, &run));
    assert_int_equal(run.status, KIWI_FULL);
    harness_check(harness);
    full.disk_bytes = 0;
    simulation_set(simulation, &full);
    assert_true(harness_flush(harness, 1, &run));
    harness_close(harness);
    simulation_close(simulation);
}

/* Goal: whatever a read brings back, a merge either has the right bytes or fails. */
static void flipped_bits_are_never_merged(void **state)
{
    uint64_t failed = 0, done = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct harness_options    options = small(seed);
        struct simulation        *simulation = simulated(seed, &options);
        struct simulation_options flips = { .seed = seed, .bit_flip_per_million = 20000,
                                            .short_transfer_per_million = 100000 };
        struct compaction_plan    plan;
        struct harness           *harness;
        struct harness_run        run = { 0 };
        bool                      is_done;

        options.key_count = 150;
        harness = prepared(&options, &plan);
        harness->options.checks_nothing = true;
        simulation_set(simulation, &flips);
        is_done = harness_compact(harness, &plan, &run);
        flips.bit_flip_per_million = 0;
        simulation_set(simulation, &flips);
        assert_true(is_done || run.status == KIWI_CORRUPT);
        failed += !is_done;
        done += is_done;
        harness_check(harness);
        harness_close(harness);
        simulation_close(simulation);
    }
    print_message("%" PRIu64 " failed, %" PRIu64 " came through\n", failed, done);
    assert_true(failed > 0);
    assert_true(done > 0);
}

/* Goal: a job that needs no more of its inputs waits for what it has read ahead of them. Method:
 * requests that are stuck while others pass them, and merges that end before their inputs do. */
static void reads_that_come_late_hold_up_the_end_of_a_job(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= sweep_of(12, 4); seed++) {
        struct harness_options    options = small(seed);
        struct simulation        *simulation = simulated(seed, &options);
        struct simulation_options late = { .seed = seed, .stuck_request_per_million = 100000 };

        simulation_set(simulation, &late);
        options.key_count = 2000;
        options.table_bytes = 300000;
        options.value_bytes_max = 3000;
        options.checks_nothing = true;
        history_run(&options, 20);
        simulation_close(simulation);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flush_of_nothing_publishes_an_empty_edit),
        cmocka_unit_test(a_flush_makes_one_run_of_level_zero),
        cmocka_unit_test(several_memtables_flush_into_one_run),
        cmocka_unit_test(a_compaction_publishes_as_it_goes),
        cmocka_unit_test(everything_deleted_leaves_no_table_at_the_bottom),
        cmocka_unit_test(disjoint_runs_are_moved_without_being_read),
        cmocka_unit_test(runs_merged_within_their_level_keep_their_age),
        cmocka_unit_test(tables_that_share_no_key_stay),
        cmocka_unit_test(a_step_without_budget_waits_for_its_writes),
        cmocka_unit_test(random_histories_read_as_the_model_says),
        cmocka_unit_test(a_compaction_cancelled_at_any_step_changes_no_read),
        cmocka_unit_test(a_refused_file_or_edit_fails_the_job_and_nothing_else),
        cmocka_unit_test(no_allocation_failure_does_harm),
        cmocka_unit_test(an_error_of_any_single_operation_does_no_harm),
        cmocka_unit_test(a_full_disk_fails_a_flush_and_room_lets_it_pass),
        cmocka_unit_test(flipped_bits_are_never_merged),
        cmocka_unit_test(reads_that_come_late_hold_up_the_end_of_a_job),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
