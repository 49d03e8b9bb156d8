/*
 * compact_pick.c: the policy, on versions that hold sizes and key ranges but no bytes.
 *
 * Keys are 8-byte big-endian numbers, spread evenly; a table holds its keys at an even density. So
 * a flush is one new run over all keys, and a merge adds up what its plan covers. For a few sample
 * keys each table knows the ages of the versions that it holds: whoever is read first must hold
 * the newer ones.
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

#include "compact/plan.h"
#include "core/base/hash.h"
#include "core/base/memory.h"
#include "core/iter/merge.h"
#include "tests/support/mode.h"

#define MEMTABLE_BYTES 1000000ull
#define TABLE_BYTES    500000ull
#define RECORD_BYTES   100ull

struct world {
    struct version_set *set;
    struct pick_options options;
    uint64_t            random;
    uint64_t            table_id, run_id, sequence;
    uint64_t            flushed_bytes, merged_bytes, merge_count, trace_runs_max;
    uint64_t            distinct_records; /* 0: every record is a new key */
    uint64_t            key_first, key_last; /* of the next flush */
};

static uint64_t random_next(struct world *world)
{
    world->random += 0x9e3779b97f4a7c15ull;
    return hash_mix(world->random, 1);
}

static uint64_t random_below(struct world *world, uint64_t limit)
{
    return random_next(world) % limit;
}

/* ---- tables without bytes ---- */

#define SAMPLE_COUNT 61u

struct ages {
    uint64_t oldest, newest; /* 0: the key is not there */
};

struct hollow_table {
    struct table table;
    uint8_t      keys[16];
    struct ages  ages[SAMPLE_COUNT];
};

static struct hollow_table *hollow_of(struct table *table)
{
    return container_of(table, struct hollow_table, table);
}

static uint64_t sample_key(uint32_t sample)
{
    return sample * (UINT64_MAX / SAMPLE_COUNT) + 12345;
}

struct key_bytes {
    uint8_t b[8];
};

static struct key_bytes key_of(uint64_t number)
{
    struct key_bytes key;

    for (int i = 0; i < 8; i++)
        key.b[i] = (uint8_t)(number >> (56 - 8 * i));
    return key;
}

static uint64_t number_of(struct bytes key)
{
    assert_int_equal(key.size, 8);
    return bytes_head(key);
}

static struct table *table_make(struct world *world, uint64_t first, uint64_t last, uint64_t bytes,
                                uint64_t tombstones, const struct ages *ages)
{
    struct hollow_table *hollow = memory_allocate_zeroed(sizeof *hollow);
    struct table_info   *info = &hollow->table.info;
    struct key_bytes     begin = key_of(first), end = key_of(last);

    assert_true(first <= last);
    memcpy(hollow->keys, begin.b, 8);
    memcpy(hollow->keys + 8, end.b, 8);
    for (uint32_t i = 0; i < SAMPLE_COUNT; i++)
        if (sample_key(i) >= first && sample_key(i) <= last)
            hollow->ages[i] = ages[i];
    info->id = ++world->table_id;
    info->file_bytes = bytes;
    info->entry_count = max_u64(bytes / RECORD_BYTES, 1);
    info->tombstone_count = tombstones;
    info->smallest = bytes_of(hollow->keys, 8);
    info->largest = bytes_of(hollow->keys + 8, 8);
    return &hollow->table;
}

static void table_end(struct table *table)
{
    memory_free(hollow_of(table));
}

static void obsolete_free(struct world *world)
{
    for (struct table *table; (table = version_obsolete_take(world->set)) != NULL;)
        table_end(table);
}

static void world_begin(struct world *world, uint64_t seed)
{
    *world = (struct world){
        .options = { .level0_run_max = 8, .level_run_max = 8, .level_max = 6,
                     .memtable_bytes = MEMTABLE_BYTES, .last_level_ratio = 0.25 },
        .random = seed,
        .key_first = 0,
        .key_last = UINT64_MAX,
    };
    assert_int_equal(version_set_open(&world->set), KIWI_OK);
}

static void world_end(struct world *world)
{
    version_set_close_with(world->set, table_end);
}

static const struct version *present(const struct world *world)
{
    return version_present(world->set);
}

/* An edit under construction. */
struct draft {
    struct edit_added    added[4096];
    uint64_t             removed[4096];
    struct edit_narrowed narrowed[1024];
    struct version_edit  edit;
};

/* One at a time: it is half a megabyte, and there are a hundred thousand of them. */
static struct draft *draft_begin(void)
{
    static struct draft draft;

    draft.edit = (struct version_edit){ .added = draft.added, .removed = draft.removed,
                                        .narrowed = draft.narrowed };
    return &draft;
}

static void draft_apply(struct world *world, struct draft *draft)
{
    assert_int_equal(version_apply(world->set, &draft->edit), KIWI_OK);
    obsolete_free(world);
}

struct run_shape {
    uint32_t     level;
    uint64_t     run_id, first, last, bytes, tombstones;
    struct ages  ages[SAMPLE_COUNT];
};

/* Adds a run, cut into tables. */
static void draft_run(struct world *world, struct draft *draft, const struct run_shape *shape)
{
    uint64_t count = max_u64((shape->bytes + TABLE_BYTES - 1) / TABLE_BYTES, 1);
    uint64_t step = (shape->last - shape->first) / count;

    if (step == 0)
        count = 1;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t      begin = shape->first + i * step;
        uint64_t      end = i + 1 == count ? shape->last : begin + step - 1;
        struct table *table = table_make(world, begin, end, max_u64(shape->bytes / count, 1),
                                         shape->tombstones / count, shape->ages);

        draft->added[draft->edit.added_count++] =
            (struct edit_added){ .table = table, .level = shape->level,
                                 .run_id = shape->run_id };
        assert_true(draft->edit.added_count < ARRAY_COUNT(draft->added));
    }
}

static void run_new(struct world *world, uint32_t level, uint64_t bytes, uint64_t tombstones)
{
    struct draft    *draft = draft_begin();
    struct run_shape shape = { .level = level, .run_id = ++world->run_id,
                               .first = world->key_first, .last = world->key_last,
                               .bytes = bytes, .tombstones = tombstones };

    if (shape.last - shape.first > 1000) {
        shape.first += random_below(world, 100);
        shape.last -= random_below(world, 100);
    }
    world->sequence++;
    for (uint32_t i = 0; i < SAMPLE_COUNT; i++)
        shape.ages[i] = (struct ages){ world->sequence, world->sequence };
    draft_run(world, draft, &shape);
    draft_apply(world, draft);
}

static void flush_tombstones(struct world *world, uint64_t bytes, uint64_t tombstones)
{
    world->flushed_bytes += bytes;
    run_new(world, 0, bytes, tombstones);
}

static void flush(struct world *world, uint64_t bytes)
{
    flush_tombstones(world, bytes, 0);
}

/* The first key that a place still shows. */
static uint64_t place_begin(const struct table_place *place)
{
    uint64_t begin = number_of(place->table->info.smallest);

    if (place->above.data != NULL && number_of(place->above) >= begin)
        begin = number_of(place->above) + 1;
    return begin;
}

/* Bytes of the place at keys up to end that it still shows. */
static double place_bytes(const struct table_place *place, uint64_t end)
{
    uint64_t begin = place_begin(place), last = number_of(place->table->info.largest);
    double   whole = (double)(last - number_of(place->table->info.smallest)) + 1;

    if (begin > end)
        return 0;
    return (double)place->table->info.file_bytes * ((double)(min_u64(end, last) - begin) + 1)
        / whole;
}

/* What a merge takes out of one place. */
static void place_merge(const struct table_place *place, uint64_t end, struct draft *draft,
                        const struct key_bytes *bound, struct run_shape *shape)
{
    uint64_t largest = number_of(place->table->info.largest);

    if (largest <= end)
        draft->removed[draft->edit.removed_count++] = place->table->info.id;
    else
        draft->narrowed[draft->edit.narrowed_count++] = (struct edit_narrowed){
            .table_id = place->table->info.id, .above = bytes_of(bound->b, 8) };
    shape->first = min_u64(shape->first, place_begin(place));
    shape->last = max_u64(shape->last, min_u64(largest, end));
    for (uint32_t i = 0; i < SAMPLE_COUNT; i++) {
        struct ages *from = &hollow_of(place->table)->ages[i], *to = &shape->ages[i];

        if (from->newest == 0 || sample_key(i) < place_begin(place) || sample_key(i) > end)
            continue;
        to->oldest = to->newest == 0 ? from->oldest : min_u64(to->oldest, from->oldest);
        to->newest = max_u64(to->newest, from->newest);
    }
}

/* Does what a plan says. */
static void merge_run(struct world *world, const struct compaction_plan *plan)
{
    struct plan_part       parts[MERGE_INPUT_MAX];
    const struct version  *version = present(world);
    uint32_t               count = plan_parts(version, plan, parts);
    struct draft          *draft = draft_begin();
    uint64_t               end = plan->last.data == NULL ? UINT64_MAX : number_of(plan->last);
    struct key_bytes       bound = key_of(end);
    double                 bytes = 0, present_share = 0, space = 1;
    struct run_shape       shape = { .level = plan->target_level, .run_id = ++world->run_id,
                                     .first = UINT64_MAX };

    assert_true(count > 0);
    for (uint32_t i = 0; i < count; i++) {
        double part_bytes = 0;

        for (uint32_t k = 0; k < parts[i].count; k++) {
            part_bytes += place_bytes(&parts[i].places[k], end);
            place_merge(&parts[i].places[k], end, draft, &bound, &shape);
        }
        bytes += part_bytes;
        if (world->distinct_records > 0) {
            space = (double)(shape.last - shape.first) / 18446744073709551616.0
                * (double)(world->distinct_records * RECORD_BYTES) + 1;
            part_bytes = part_bytes < space ? part_bytes / space : 1;
            present_share += (1 - present_share) * part_bytes;
        }
    }
    if (world->distinct_records > 0 && bytes > space * present_share)
        bytes = space * present_share;
    shape.bytes = (uint64_t)bytes;
    if (plan->takes_target_run)
        shape.run_id = version->levels[plan->target_level].runs[0]->id;
    else if (plan->target_level == plan->source_level)
        shape.run_id = parts[0].run->id;
    draft_run(world, draft, &shape);
    world->merged_bytes += shape.bytes;
    world->merge_count++;
    draft_apply(world, draft);
}

/* ---- what must always hold ---- */

static void ages_check(const struct world *world)
{
    const struct version *version = present(world);

    for (uint32_t i = 0; i < SAMPLE_COUNT; i++) {
        struct key_bytes key = key_of(sample_key(i));
        uint64_t         before = UINT64_MAX;

        for (uint32_t level = 0; level < version->level_count; level++) {
            for (uint32_t k = 0; k < version->levels[level].run_count; k++) {
                const struct table_place *place =
                    run_find(version->levels[level].runs[k], bytes_of(key.b, 8));

                if (place == NULL || hollow_of(place->table)->ages[i].newest == 0)
                    continue;
                assert_true(hollow_of(place->table)->ages[i].newest < before);
                before = hollow_of(place->table)->ages[i].oldest;
            }
        }
    }
}

/* A bottom merge must leave nothing older behind that shows a key of its range. */
static void bottom_check(const struct world *world, const struct compaction_plan *plan)
{
    const struct version *version = present(world);
    struct plan_part      parts[MERGE_INPUT_MAX];
    uint32_t              count = plan_parts(version, plan, parts);
    uint64_t              end = plan->last.data == NULL ? UINT64_MAX : number_of(plan->last);
    bool                  is_alone = true;

    for (uint32_t level = plan->source_level; level < version->level_count; level++) {
        for (uint32_t i = 0; i < version->levels[level].run_count; i++) {
            const struct run *run = version->levels[level].runs[i];
            bool              is_older = level > plan->source_level
                || i >= version->levels[level].run_count - plan->source_run_count;

            for (uint32_t k = 0; is_older && k < run->table_count; k++) {
                bool is_taken = false;

                for (uint32_t p = 0; p < count; p++)
                    is_taken = is_taken || (&run->places[k] >= parts[p].places
                                            && &run->places[k] < parts[p].places + parts[p].count);
                if (!is_taken && place_begin(&run->places[k]) <= end
                    && level > plan->source_level) {
                    uint64_t k_end = min_u64(end, number_of(run->places[k].table->info.largest));

                    for (uint32_t p = 0; p < count; p++)
                        for (uint32_t q = 0; q < parts[p].count; q++)
                            if (place_begin(&parts[p].places[q]) <= k_end
                                && number_of(parts[p].places[q].table->info.largest)
                                    >= place_begin(&run->places[k]))
                                is_alone = false;
                }
            }
        }
    }
    if (plan->is_bottom)
        assert_true(is_alone);
}

/* One merge, if there is one to do. */
static bool merge_once(struct world *world)
{
    struct compaction_plan plan;

    compaction_pick(present(world), &world->options, &plan);
    if (plan.reason == COMPACTION_NONE)
        return false;
    bottom_check(world, &plan);
    assert_true(plan_run_count(present(world), &plan) <= MERGE_INPUT_MAX);
    merge_run(world, &plan);
    return true;
}

static void settle(struct world *world)
{
    for (uint32_t i = 0; merge_once(world); i++)
        assert_true(i < 2000); /* a fixpoint is reached */
}

static uint64_t all_bytes(const struct world *world)
{
    uint64_t bytes = 0;

    for (uint32_t i = 0; i < KIWI_LEVEL_COUNT_MAX; i++)
        bytes += version_level_bytes(present(world), i);
    return bytes;
}

static double write_amplification(const struct world *world)
{
    return (double)(world->flushed_bytes + world->merged_bytes) / (double)world->flushed_bytes;
}

/* ---- tests ---- */

static void an_empty_version_needs_nothing(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, 1);
    world.options.is_idle = true;
    assert_false(merge_once(&world));
    assert_int_equal(compaction_debt_bytes(present(&world), &world.options), 0);
    assert_int_equal(last_level(present(&world), &world.options), 2);
    world_end(&world);
}

static void eight_flushes_make_one_run_of_level_one(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, 2);
    for (int i = 0; i < 7; i++) {
        flush(&world, MEMTABLE_BYTES);
        assert_false(merge_once(&world));
    }
    flush(&world, MEMTABLE_BYTES);
    assert_true(merge_once(&world));
    assert_int_equal(present(&world)->levels[0].run_count, 0);
    assert_int_equal(present(&world)->levels[1].run_count, 1);
    assert_false(merge_once(&world));
    world_end(&world);
}

static void a_load_of_twenty_memtables_writes_each_byte_at_most_five_times(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, 3);
    for (int i = 0; i < 20; i++) {
        flush(&world, MEMTABLE_BYTES);
        settle(&world);
        ages_check(&world);
    }
    assert_true(write_amplification(&world) <= 5.0);
    assert_true(write_amplification(&world) <= 2.0);
    world.options.is_idle = true;
    settle(&world);
    ages_check(&world);
    assert_true(write_amplification(&world) <= 5.0);
    for (uint32_t i = 0; i < present(&world)->level_count; i++)
        assert_true(present(&world)->levels[i].run_count <= 2);
    world_end(&world);
}

/* Goal: amplification stays near the calculated one over three orders of magnitude. */
static void a_load_of_thousands_of_memtables_keeps_its_write_amplification(void **state)
{
    struct world world;
    uint32_t     runs_max = 0, count = sweep_of(4000, 1000);

    (void)state;
    world_begin(&world, 4);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t runs = 0;

        flush(&world, MEMTABLE_BYTES);
        settle(&world);
        for (uint32_t level = 0; level < present(&world)->level_count; level++)
            runs += present(&world)->levels[level].run_count;
        runs_max = runs > runs_max ? runs : runs_max;
        if (i % 100 == 0) {
            ages_check(&world);
            print_message("%" PRIu32 " memtables: %.2f\n", i, write_amplification(&world));
        }
    }
    print_message("%" PRIu32 " memtables: write amplification %.2f, up to %" PRIu32 " runs, last L%"
                  PRIu32 "\n", count, write_amplification(&world), runs_max,
                  last_level(present(&world), &world.options));
    assert_true(write_amplification(&world) <= 9.0);
    assert_true(runs_max <= 8 + 8 + 8 + 2);
    world_end(&world);
}

static void updates_of_the_same_keys_keep_space_bounded(void **state)
{
    struct world world;

    (void)state;
    for (uint64_t distinct = 2; distinct <= 128; distinct *= 4) {
        uint64_t live = distinct * MEMTABLE_BYTES, most = 0;

        world_begin(&world, 5 + distinct);
        world.distinct_records = live / RECORD_BYTES;
        for (uint64_t i = 0; i < 20 * distinct + 100; i++) {
            flush(&world, MEMTABLE_BYTES);
            settle(&world);
            if (i > 4 * distinct + 64)
                most = max_u64(most, all_bytes(&world));
        }
        ages_check(&world);
        print_message("%" PRIu64 " memtables of keys: space %.2f, write amplification %.2f\n",
                      distinct, (double)most / (double)live, write_amplification(&world));
        assert_true(most <= live + live / 2 + 12 * MEMTABLE_BYTES);
        assert_true(write_amplification(&world) <= 9.0);
        world_end(&world);
    }
}

/* Goal: whatever came before, merging comes to an end, keeps ages in order, and idle time leaves at
 * most two runs a level. Method: random flush sizes and ranges, merges in between or not. */
static void random_histories_reach_a_fixpoint(void **state)
{
    struct world world;
    const char  *text = getenv("KIWI_SEED");
    uint64_t     seed = text != NULL ? strtoull(text, NULL, 0) : 20240607;

    (void)state;
    print_message("seed %" PRIu64 "\n", seed);
    for (uint64_t round = 0; round < sweep_of(600, 200); round++) {
        world_begin(&world, seed + round);
        world.options.level0_run_max = 2 + (uint32_t)random_below(&world, 8);
        world.options.level_run_max = 2 + (uint32_t)random_below(&world, 8);
        world.options.last_level_ratio = 0.1 + (double)random_below(&world, 10) / 10;
        if (random_below(&world, 2) == 0)
            world.distinct_records = MEMTABLE_BYTES * (1 + random_below(&world, 64)) / RECORD_BYTES;
        for (uint64_t i = 0, n = random_below(&world, 150); i < n; i++) {
            uint64_t bytes = 1 + random_below(&world, random_below(&world, 4) == 0
                                                          ? 3000 : 2 * MEMTABLE_BYTES);

            world.key_first = random_below(&world, 3) == 0 ? random_next(&world) / 2 : 0;
            world.key_last = random_below(&world, 3) == 0
                ? world.key_first + random_next(&world) / 4 : UINT64_MAX;
            world.options.is_idle = random_below(&world, 20) == 0;
            flush_tombstones(&world, bytes,
                             random_below(&world, 4) == 0 ? bytes / RECORD_BYTES / 2 : 0);
            for (uint64_t m = random_below(&world, 4); m > 0 && merge_once(&world); m--)
                ages_check(&world);
            if (random_below(&world, 30) == 0)
                settle(&world);
        }
        settle(&world);
        assert_int_equal(compaction_debt_bytes(present(&world), &world.options), 0);
        world.options.is_idle = true;
        settle(&world);
        ages_check(&world);
        for (uint32_t level = 0; level < present(&world)->level_count; level++)
            assert_true(present(&world)->levels[level].run_count <= 2);
        world_end(&world);
    }
}

static uint32_t runs_total(const struct world *world)
{
    uint32_t runs = 0;

    for (uint32_t level = 0; level < present(world)->level_count; level++)
        runs += present(world)->levels[level].run_count;
    return runs;
}

/* Renting against buying: nothing is merged for scans before they have paid as much as it costs. */
static void runs_become_one_when_scans_have_paid_for_it(void **state)
{
    enum { MEMTABLES = 60 };

    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct world           world;
        struct compaction_plan plan;
        uint64_t               cheapest = UINT64_MAX;

        world_begin(&world, 700 + seed);
        for (uint64_t i = 0; i < MEMTABLES + seed; i++) {
            flush(&world, MEMTABLE_BYTES);
            settle(&world);
        }
        world.options.is_idle = true;
        settle(&world);
        flush(&world, MEMTABLE_BYTES);
        settle(&world);
        for (uint32_t level = 0; level + 1 < present(&world)->level_count; level++)
            if (present(&world)->levels[level].run_count > 1)
                cheapest = min_u64(cheapest, version_level_bytes(present(&world), level));
        if (cheapest == UINT64_MAX)
            cheapest = all_bytes(&world);
        assert_true(runs_total(&world) > 1);

        world.options.scan_cost_ns = compaction_cost_ns(cheapest) - 1;
        compaction_pick(present(&world), &world.options, &plan);
        assert_int_equal(plan.reason, COMPACTION_NONE);
        world.options.scan_cost_ns = compaction_cost_ns(cheapest);
        compaction_pick(present(&world), &world.options, &plan);
        assert_int_equal(plan.reason, COMPACTION_SCANS);
        world.options.is_idle = false;
        compaction_pick(present(&world), &world.options, &plan);
        assert_int_equal(plan.reason, COMPACTION_NONE);

        world.options.is_idle = true;
        world.options.scan_cost_ns = UINT64_MAX;
        settle(&world);
        ages_check(&world);
        assert_int_equal(runs_total(&world), 1);
        world_end(&world);
    }
}

/* What was flushed after kiwi_compact was called must not keep it from returning. */
static void a_range_leaves_runs_that_are_younger_than_asked(void **state)
{
    enum { OLD_RUNS = 5, YOUNG_RUNS = 3, ASKED = 1000 };
    struct world           world;
    struct compaction_plan plan;
    uint64_t               young_ids[YOUNG_RUNS];

    (void)state;
    world_begin(&world, 31);
    for (int i = 0; i < OLD_RUNS + YOUNG_RUNS; i++)
        flush(&world, MEMTABLE_BYTES);
    for (uint32_t i = 0; i < YOUNG_RUNS; i++) {
        struct run *run = present(&world)->levels[0].runs[i];

        young_ids[i] = run->id;
        for (uint32_t k = 0; k < run->table_count; k++)
            run->places[k].table->info.sequence_min = ASKED + 1;
    }
    for (uint32_t merges = 0;; merges++) {
        compaction_pick_range(present(&world), bytes_of(NULL, 0), bytes_of(NULL, 0), ASKED, &plan);
        if (plan.reason == COMPACTION_NONE)
            break;
        assert_true(merges < 50);
        merge_run(&world, &plan);
        ages_check(&world);
    }
    assert_int_equal(present(&world)->levels[0].run_count, YOUNG_RUNS);
    for (uint32_t i = 0; i < YOUNG_RUNS; i++)
        assert_int_equal(present(&world)->levels[0].runs[i]->id, young_ids[i]);
    for (uint32_t level = 1; level + 1 < present(&world)->level_count; level++)
        assert_int_equal(present(&world)->levels[level].run_count, 0);
    world_end(&world);
}

static void a_range_goes_to_the_last_level_and_stays_there(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct world           world;
        struct compaction_plan plan;
        uint64_t               a, b;
        uint32_t               merges = 0;

        world_begin(&world, seed);
        for (uint64_t i = 0, n = 1 + random_below(&world, 60); i < n; i++) {
            world.key_first = random_below(&world, 2) == 0 ? random_next(&world) / 2 : 0;
            world.key_last = UINT64_MAX - random_next(&world) / 2;
            flush(&world, 1 + random_below(&world, MEMTABLE_BYTES));
            if (random_below(&world, 3) == 0)
                merge_once(&world);
        }
        a = random_next(&world);
        b = random_next(&world);
        struct key_bytes first = key_of(min_u64(a, b)), last = key_of(max_u64(a, b));

        for (;; merges++) {
            compaction_pick_range(present(&world), bytes_of(first.b, 8), bytes_of(last.b, 8),
                                  SEQUENCE_MAX, &plan);
            if (plan.reason == COMPACTION_NONE)
                break;
            assert_true(merges < 50);
            bottom_check(&world, &plan);
            merge_run(&world, &plan);
            ages_check(&world);
        }
        struct key_range range = { .first = bytes_of(first.b, 8), .last = bytes_of(last.b, 8) };

        for (uint32_t level = 0; level + 1 < present(&world)->level_count; level++)
            for (uint32_t i = 0; i < present(&world)->levels[level].run_count; i++) {
                const struct run *run = present(&world)->levels[level].runs[i];

                for (uint32_t k = 0; k < run->table_count; k++)
                    assert_false(place_overlaps(&run->places[k], &range));
            }
        /* All of it, without bounds. */
        for (merges = 0;; merges++) {
            compaction_pick_range(present(&world), bytes_of(NULL, 0), bytes_of(NULL, 0),
                                  SEQUENCE_MAX, &plan);
            if (plan.reason == COMPACTION_NONE)
                break;
            assert_true(merges < 50);
            merge_run(&world, &plan);
        }
        for (uint32_t level = 0; level + 1 < present(&world)->level_count; level++)
            assert_int_equal(present(&world)->levels[level].run_count, 0);
        world_end(&world);
    }
}

static void a_run_of_tombstones_goes_to_the_bottom(void **state)
{
    struct world           world;
    struct compaction_plan plan;

    (void)state;
    world_begin(&world, 7);
    flush(&world, MEMTABLE_BYTES);
    flush_tombstones(&world, MEMTABLE_BYTES, MEMTABLE_BYTES / RECORD_BYTES / 2);
    flush(&world, MEMTABLE_BYTES);
    compaction_pick(present(&world), &world.options, &plan);
    assert_int_equal(plan.reason, COMPACTION_TOMBSTONES);
    assert_int_equal(plan.source_run_count, 2);
    assert_int_equal(plan.target_level, 2);
    assert_true(plan.is_bottom);
    settle(&world);
    ages_check(&world);
    assert_int_equal(present(&world)->levels[0].run_count, 1);
    world_end(&world);
}

static void merges_into_the_last_level_come_in_slices(void **state)
{
    struct world           world;
    struct compaction_plan plan;
    uint32_t               slices = 0;

    (void)state;
    world_begin(&world, 8);
    for (int i = 0; i < 63; i++) {
        flush(&world, MEMTABLE_BYTES);
        settle(&world);
    }
    flush(&world, MEMTABLE_BYTES);
    for (;;) {
        uint64_t before = world.merged_bytes;

        compaction_pick(present(&world), &world.options, &plan);
        if (plan.reason == COMPACTION_NONE)
            break;
        merge_run(&world, &plan);
        ages_check(&world);
        if (plan.target_level == 2) {
            assert_true(plan.is_bottom);
            assert_true(world.merged_bytes - before <= 24 * MEMTABLE_BYTES);
            slices++;
        }
        /* A younger run arrives: the slices go on without it. */
        if (slices == 1) {
            run_new(&world, 1, MEMTABLE_BYTES, 0);
        }
    }
    assert_in_range(slices, 4, 6);
    assert_int_equal(present(&world)->levels[1].run_count, 1);
    world_end(&world);
}

static void a_last_level_that_has_outgrown_becomes_tiered(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, 9);
    run_new(&world, 2, 13 * 64 * MEMTABLE_BYTES, 0);
    assert_int_equal(last_level(present(&world), &world.options), 3);
    for (int i = 0; i < 64; i++) {
        flush(&world, MEMTABLE_BYTES);
        settle(&world);
    }
    ages_check(&world);
    assert_int_equal(present(&world)->levels[2].run_count, 2);
    world_end(&world);
}

static void a_last_level_that_may_not_be_deeper_stays_the_last(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, 9);
    world.options.level_max = 2;
    run_new(&world, 2, 13 * 64 * MEMTABLE_BYTES, 0);
    assert_int_equal(last_level(present(&world), &world.options), 2);
    for (int i = 0; i < 64; i++) {
        flush(&world, MEMTABLE_BYTES);
        settle(&world);
    }
    ages_check(&world);
    assert_int_equal(present(&world)->level_count, 3);
    assert_int_equal(present(&world)->levels[2].run_count, 1);
    world_end(&world);
}

/* Goal: what is there already is merged on. */
static void levels_below_the_deepest_allowed_stay_in_use(void **state)
{
    struct world world;

    (void)state;
    world_begin(&world, 10);
    run_new(&world, 4, 64 * MEMTABLE_BYTES, 0);
    world.options.level_max = 2;
    assert_int_equal(last_level(present(&world), &world.options), 4);
    world_end(&world);
    /* Lowered in the moment when a tiered level had no last one below it. */
    world_begin(&world, 11);
    run_new(&world, 2, 64 * MEMTABLE_BYTES, 0);
    run_new(&world, 2, 64 * MEMTABLE_BYTES, 0);
    world.options.level_max = 2;
    assert_int_equal(last_level(present(&world), &world.options), 3);
    settle(&world);
    ages_check(&world);
    world_end(&world);
}

/* More runs than one merge takes, as after a long time without compactions. */
static void hundreds_of_runs_are_merged_in_portions(void **state)
{
    (void)state;
    for (int is_manual = 0; is_manual < 2; is_manual++) {
        struct world           world;
        struct compaction_plan plan;

        world_begin(&world, 20);
        for (int i = 0; i < 300; i++)
            flush(&world, MEMTABLE_BYTES / 50);
        if (is_manual == 0) {
            settle(&world);
        } else {
            for (int merges = 0;; merges++) {
                compaction_pick_range(present(&world), bytes_of(NULL, 0), bytes_of(NULL, 0),
                                      SEQUENCE_MAX, &plan);
                if (plan.reason == COMPACTION_NONE)
                    break;
                assert_true(merges < 10);
                merge_run(&world, &plan);
                ages_check(&world);
            }
        }
        ages_check(&world);
        assert_int_equal(present(&world)->levels[0].run_count, 0);
        world_end(&world);
    }
}

static void debt_grows_with_what_waits(void **state)
{
    struct world world;
    uint64_t     before = 0;

    (void)state;
    world_begin(&world, 10);
    for (int i = 0; i < 100; i++) {
        uint64_t debt;

        flush(&world, MEMTABLE_BYTES);
        debt = compaction_debt_bytes(present(&world), &world.options);
        assert_true(debt >= before);
        if (i < 8)
            assert_int_equal(debt, 0);
        before = debt;
    }
    assert_true(before > 48 * MEMTABLE_BYTES);
    settle(&world);
    assert_int_equal(compaction_debt_bytes(present(&world), &world.options), 0);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_version_needs_nothing),
        cmocka_unit_test(eight_flushes_make_one_run_of_level_one),
        cmocka_unit_test(a_load_of_twenty_memtables_writes_each_byte_at_most_five_times),
        cmocka_unit_test(a_load_of_thousands_of_memtables_keeps_its_write_amplification),
        cmocka_unit_test(updates_of_the_same_keys_keep_space_bounded),
        cmocka_unit_test(random_histories_reach_a_fixpoint),
        cmocka_unit_test(runs_become_one_when_scans_have_paid_for_it),
        cmocka_unit_test(a_range_leaves_runs_that_are_younger_than_asked),
        cmocka_unit_test(a_range_goes_to_the_last_level_and_stays_there),
        cmocka_unit_test(a_run_of_tombstones_goes_to_the_bottom),
        cmocka_unit_test(merges_into_the_last_level_come_in_slices),
        cmocka_unit_test(a_last_level_that_has_outgrown_becomes_tiered),
        cmocka_unit_test(a_last_level_that_may_not_be_deeper_stays_the_last),
        cmocka_unit_test(levels_below_the_deepest_allowed_stay_in_use),
        cmocka_unit_test(hundreds_of_runs_are_merged_in_portions),
        cmocka_unit_test(debt_grows_with_what_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
