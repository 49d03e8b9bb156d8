/*
 * version_edit.c: versions and edits against a model: a plain list of tables, checked by brute
 * force.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/base/memory.h"
#include "core/version/version.h"

/* ---- chance ---- */

static uint64_t seed_read(void)
{
    const char *text = getenv("KIWI_SEED");
    uint64_t    seed = text != NULL ? strtoull(text, NULL, 0) : 20260731u;

    print_message("KIWI_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

static uint32_t random_below(uint64_t *state, uint32_t bound)
{
    *state += 0x9e3779b97f4a7c15ull;
    return (uint32_t)(hash_mix(*state, 7) >> 33) % bound;
}

/* ---- hand-made tables ---- */

#define KEY_COUNT 400u

/* Key n of KEY_COUNT, ascending: a long common prefix, ties in the first 8 bytes behind it, and the
 * empty key as the smallest. */
static struct bytes key_of(uint32_t n)
{
    static char keys[KEY_COUNT][40];
    static int  sizes[KEY_COUNT];

    assert(n < KEY_COUNT);
    if (n == 0)
        return bytes_of("", 0);
    if (sizes[n] == 0)
        sizes[n] = snprintf(keys[n], sizeof keys[n], "prefix%02u-same-same-%02u%s", n / 40,
                            n % 40 / 2, n % 2 == 0 ? "" : "+");
    return bytes_of(keys[n], (size_t)sizes[n]);
}

static struct table *table_make(uint64_t id, uint32_t smallest, uint32_t largest)
{
    struct table *table = memory_allocate_zeroed(sizeof *table);

    assert_non_null(table);
    table->info.id = id;
    table->info.smallest = key_of(smallest);
    table->info.largest = key_of(largest);
    table->info.file_bytes = 4096 * (id % 7 + 1);
    table->info.entry_count = id % 11 + 1;
    table->info.tombstone_count = id % 3;
    table->refs = 77; /* whatever it was */
    return table;
}

static uint32_t tables_ended;

static void table_end(struct table *table)
{
    assert_int_equal(table->refs, 0);
    tables_ended++;
    memory_free(table);
}

static enum kiwi_status apply_one(struct version_set *set, struct table *table, uint32_t level,
                                  uint64_t run_id)
{
    struct edit_added   added = { table, level, run_id };
    struct version_edit edit = { .added = &added, .added_count = 1 };

    return version_apply(set, &edit);
}

static enum kiwi_status remove_one(struct version_set *set, uint64_t id)
{
    struct version_edit edit = { .removed = &id, .removed_count = 1 };

    return version_apply(set, &edit);
}

static enum kiwi_status narrow_one(struct version_set *set, uint64_t id, struct bytes above)
{
    struct edit_narrowed narrowed = { id, above };
    struct version_edit  edit = { .narrowed = &narrowed, .narrowed_count = 1 };

    return version_apply(set, &edit);
}

/* ---- plain cases ---- */

static void keys_of_the_tests_ascend(void **state)
{
    (void)state;
    for (uint32_t i = 1; i < KEY_COUNT; i++)
        assert_true(bytes_compare(key_of(i - 1), key_of(i)) < 0);
}

static void new_set_shows_nothing(void **state)
{
    struct version_set *set;

    (void)state;
    assert_int_equal(version_set_open(&set), KIWI_OK);
    assert_int_equal(version_present(set)->level_count, 0);
    assert_null(version_obsolete_take(set));
    assert_false(version_overlaps_below(version_present(set), 0, key_of(0), key_of(9)));
    version_set_close_with(set, table_end);
    version_set_close(NULL);
}

static void runs_of_a_level_stand_newest_first(void **state)
{
    struct version_set *set;

    (void)state;
    assert_int_equal(version_set_open(&set), KIWI_OK);
    assert_int_equal(apply_one(set, table_make(1, 1, 9), 0, 5), KIWI_OK);
    assert_int_equal(apply_one(set, table_make(2, 1, 9), 0, 9), KIWI_OK);
    assert_int_equal(apply_one(set, table_make(3, 1, 9), 0, 7), KIWI_OK);
    const struct level *level = &version_present(set)->levels[0];
    assert_int_equal(level->run_count, 3);
    assert_int_equal(level->runs[0]->id, 9);
    assert_int_equal(level->runs[1]->id, 7);
    assert_int_equal(level->runs[2]->id, 5);
    assert_int_equal(version_present(set)->level_count, 1);
    version_set_close_with(set, table_end);
}

static void run_with_the_same_id_is_extended(void **state)
{
    struct version_set *set;

    (void)state;
    assert_int_equal(version_set_open(&set), KIWI_OK);
    assert_int_equal(apply_one(set, table_make(1, 1, 9), 2, 5), KIWI_OK);
    assert_int_equal(apply_one(set, table_make(2, 10, 19), 2, 5), KIWI_OK);
    assert_int_equal(apply_one(set, table_make(3, 20, 29), 2, 6), KIWI_OK);
    const struct version *version = version_present(set);
    assert_int_equal(version->levels[2].run_count, 2);
    const struct run *run = version->levels[2].runs[1];
    assert_int_equal(run->table_count, 2);
    assert_int_equal(run->places[0].table->info.id, 1);
    assert_int_equal(run->places[1].table->info.id, 2);
    assert_int_equal(run->places[1].table->level, 2);
    assert_int_equal(run->places[1].table->refs, 1);
    assert_int_equal(version->level_count, 3);
    assert_int_equal(version_level_table_count(version, 2), 3);
    version_set_close_with(set, table_end);
}

/* Goal: a held version outlives edits, and a table outlives the last version that shows it. */
static void table_becomes_obsolete_with_the_last_version_that_shows_it(void **state)
{
    struct version_set *set;

    (void)state;
    assert_int_equal(version_set_open(&set), KIWI_OK);
    assert_int_equal(apply_one(set, table_make(1, 1, 9), 0, 1), KIWI_OK);
    struct version *first = version_hold(set);
    struct version *again = version_hold(set);
    assert_ptr_equal(first, again);
    assert_int_equal(apply_one(set, table_make(2, 1, 9), 0, 2), KIWI_OK);
    struct version *second = version_hold(set);
    assert_int_equal(remove_one(set, 1), KIWI_OK);
    assert_int_equal(version_present(set)->levels[0].run_count, 1);
    assert_int_equal(first->levels[0].run_count, 1);
    assert_int_equal(second->levels[0].run_count, 2);
    assert_null(version_obsolete_take(set));
    version_release(first);
    version_release(again);
    assert_null(version_obsolete_take(set));
    version_release(second);
    struct table *table = version_obsolete_take(set);
    assert_non_null(table);
    assert_int_equal(table->info.id, 1);
    assert_null(version_obsolete_take(set));
    table_end(table);
    version_set_close_with(set, table_end);
}

static void narrowed_keys_are_not_found(void **state)
{
    struct version_set *set;

    (void)state;
    assert_int_equal(version_set_open(&set), KIWI_OK);
    assert_int_equal(apply_one(set, table_make(1, 0, 30), 1, 1), KIWI_OK);
    assert_non_null(run_find(version_present(set)->levels[1].runs[0], key_of(0)));
    assert_int_equal(narrow_one(set, 1, (struct bytes){ NULL, 0 }), KIWI_OK); /* the empty key */
    const struct run *run = version_present(set)->levels[1].runs[0];
    assert_null(run_find(run, key_of(0)));
    assert_non_null(run_find(run, key_of(1)));
    assert_int_equal(narrow_one(set, 1, key_of(10)), KIWI_OK);
    run = version_present(set)->levels[1].runs[0];
    assert_null(run_find(run, key_of(10)));
    assert_non_null(run_find(run, key_of(11)));
    assert_non_null(run_find(run, key_of(30)));
    assert_null(run_find(run, key_of(31)));
    assert_true(version_overlaps_below(version_present(set), 0, key_of(0), key_of(11)));
    assert_false(version_overlaps_below(version_present(set), 0, key_of(0), key_of(10)));
    assert_false(version_overlaps_below(version_present(set), 1, key_of(0), key_of(40)));
    /* Never back, never twice the same, never to nothing. */
    assert_int_equal(narrow_one(set, 1, key_of(10)), KIWI_INVALID);
    assert_int_equal(narrow_one(set, 1, key_of(9)), KIWI_INVALID);
    assert_int_equal(narrow_one(set, 1, key_of(30)), KIWI_INVALID);
    assert_int_equal(narrow_one(set, 2, key_of(12)), KIWI_INVALID);
    version_set_close_with(set, table_end);
}

/* Goal: a merge may publish its outputs into the run it still reads. Method: the output ends where
 * the narrowed input now begins; its own smallest key lies above the input's, as when keys were
 * deleted. */
static void output_may_stand_before_the_narrowed_input(void **state)
{
    struct version_set  *set;
    struct edit_added    added = { table_make(2, 12, 20), 3, 1 };
    struct edit_narrowed narrowed = { 1, key_of(20) };
    struct version_edit  edit = { .added = &added, .added_count = 1,
                                  .narrowed = &narrowed, .narrowed_count = 1 };

    (void)state;
    assert_int_equal(version_set_open(&set), KIWI_OK);
    assert_int_equal(apply_one(set, table_make(1, 10, 30), 3, 1), KIWI_OK);
    assert_int_equal(apply_one(set, table_make(9, 31, 35), 3, 1), KIWI_OK);
    edit.narrowed_count = 0;
    assert_int_equal(version_apply(set, &edit), KIWI_INVALID); /* they overlap */
    edit.narrowed_count = 1;
    narrowed.above = key_of(19);
    assert_int_equal(version_apply(set, &edit), KIWI_INVALID);
    narrowed.above = key_of(20);
    assert_int_equal(version_apply(set, &edit), KIWI_OK);
    const struct run *run = version_present(set)->levels[3].runs[0];
    assert_int_equal(run->table_count, 3);
    assert_int_equal(run->places[0].table->info.id, 2);
    assert_int_equal(run->places[1].table->info.id, 1);
    assert_int_equal(run->places[2].table->info.id, 9);
    assert_null(run_find(run, key_of(11)));
    assert_ptr_equal(run_find(run, key_of(20)), &run->places[0]);
    assert_ptr_equal(run_find(run, key_of(21)), &run->places[1]);
    version_set_close_with(set, table_end);
}

static void moved_table_stays_as_narrowed_as_it_was(void **state)
{
    struct version_set *set;
    struct table       *table = table_make(1, 10, 30);
    uint64_t            id = 1;
    struct edit_added   added = { table, 1, 4 };
    struct version_edit edit = { .added = &added, .added_count = 1,
                                 .removed = &id, .removed_count = 1 };

    (void)state;
    assert_int_equal(version_set_open(&set), KIWI_OK);
    assert_int_equal(apply_one(set, table, 0, 3), KIWI_OK);
    assert_int_equal(narrow_one(set, 1, key_of(15)), KIWI_OK);
    struct version *before = version_hold(set);
    assert_int_equal(version_apply(set, &edit), KIWI_OK);
    const struct version *version = version_present(set);
    assert_int_equal(version->levels[0].run_count, 0);
    assert_int_equal(version->levels[1].run_count, 1);
    assert_int_equal(table->level, 1);
    assert_null(run_find(version->levels[1].runs[0], key_of(15)));
    assert_non_null(run_find(version->levels[1].runs[0], key_of(16)));
    version_release(before);
    assert_null(version_obsolete_take(set));
    assert_int_equal(remove_one(set, 1), KIWI_OK);
    assert_ptr_equal(version_obsolete_take(set), table);
    table_end(table);
    version_set_close_with(set, table_end);
}

static void edit_without_tables_makes_no_version(void **state)
{
    struct version_set *set;
    struct version_edit edit = { .flushed_sequence = 7 };

    (void)state;
    assert_int_equal(version_set_open(&set), KIWI_OK);
    const struct version *before = version_present(set);
    assert_int_equal(version_apply(set, &edit), KIWI_OK);
    assert_ptr_equal(version_present(set), before);
    assert_int_equal(version_change_count(set), 0);
    version_set_close_with(set, table_end);
}

static void edit_out_of_bounds_is_refused(void **state)
{
    struct version_set *set;
    struct table       *table = table_make(1, 5, 5), *turned = table_make(2, 6, 5);

    (void)state;
    assert_int_equal(version_set_open(&set), KIWI_OK);
    assert_int_equal(apply_one(set, table, KIWI_LEVEL_COUNT_MAX, 1), KIWI_INVALID);
    assert_int_equal(apply_one(set, table, 0, 0), KIWI_INVALID);
    assert_int_equal(apply_one(set, turned, 0, 1), KIWI_INVALID);
    assert_int_equal(remove_one(set, 1), KIWI_INVALID);
    assert_int_equal(apply_one(set, table, KIWI_LEVEL_COUNT_MAX - 1, 1), KIWI_OK);
    assert_int_equal(apply_one(set, table, 0, 2), KIWI_INVALID);
    version_set_close_with(set, table_end);
    memory_free(turned);
}

/* Goal: without memory an edit changes nothing. Method: every n-th allocation fails, until none. */
static void edit_without_memory_changes_nothing(void **state)
{
    struct version_set  *set;
    uint64_t             removed = 1;
    struct edit_added    added[] = { { table_make(3, 21, 25), 3, 1 },
                                     { table_make(4, 2, 3), 1, 9 } };
    struct edit_narrowed narrowed = { 2, key_of(25) };
    struct version_edit  edit = { added, 2, &removed, 1, &narrowed, 1, 0, { 0, 0 } };
    enum kiwi_status     status = KIWI_NO_MEMORY;

    (void)state;
    assert_int_equal(version_set_open(&set), KIWI_OK);
    assert_int_equal(apply_one(set, table_make(1, 10, 20), 3, 1), KIWI_OK);
    assert_int_equal(apply_one(set, table_make(2, 22, 40), 3, 1), KIWI_OK);
    uint64_t n = 0, bytes = memory_allocated_bytes();
    while (status == KIWI_NO_MEMORY) {
        const struct version *before = version_present(set);

        memory_fail_after(++n);
        status = version_apply(set, &edit);
        memory_fail_after(0);
        if (status == KIWI_OK)
            break;
        assert_int_equal(status, KIWI_NO_MEMORY);
        assert_ptr_equal(version_present(set), before);
        assert_int_equal(memory_allocated_bytes(), bytes);
    }
    assert_int_equal(status, KIWI_OK);
    assert_true(n >= 6);
    for (n = 1; n <= 2; n++) {
        struct version_set *none;

        memory_fail_after(n);
        assert_int_equal(version_set_open(&none), KIWI_NO_MEMORY);
        memory_fail_after(0);
    }
    version_set_close_with(set, table_end);
}

/* ---- random edits against the model ---- */

#define MODEL_TABLES 160u
#ifdef KIWI_SANITIZED
#define ROUND_COUNT 300u
#else
#define ROUND_COUNT 2000u
#endif
#define ABOVE_NONE   UINT32_MAX

struct model_table {
    struct table *table;
    uint64_t      run_id;
    uint32_t      level;
    uint32_t      smallest, largest, above; /* key numbers */
};

struct model {
    uint32_t           count;
    struct model_table tables[MODEL_TABLES];
};

static struct model_table *model_find(struct model *model, uint64_t id)
{
    for (uint32_t i = 0; i < model->count; i++) {
        if (model->tables[i].table->info.id == id)
            return &model->tables[i];
    }
    return NULL;
}

/* The first key number at or behind which the table is read. */
static uint32_t model_begin(const struct model_table *table)
{
    return table->above == ABOVE_NONE || table->above < table->smallest ? table->smallest
                                                                        : table->above + 1;
}

static bool model_is_valid(const struct model *model)
{
    for (uint32_t i = 0; i < model->count; i++) {
        const struct model_table *a = &model->tables[i];

        for (uint32_t k = i + 1; k < model->count; k++) {
            const struct model_table *b = &model->tables[k];

            if (a->level != b->level || a->run_id != b->run_id)
                continue;
            /* Disjoint: one ends before the other is read from. */
            if (a->largest >= model_begin(b) && b->largest >= model_begin(a))
                return false;
        }
    }
    return true;
}

#define EDIT_MAX 8u

struct random_edit {
    struct version_edit  edit;
    struct edit_added    added[EDIT_MAX];
    uint64_t             removed[EDIT_MAX];
    struct edit_narrowed narrowed[EDIT_MAX];
    struct model_table   made[EDIT_MAX]; /* of added[i] */
    uint32_t             above[EDIT_MAX]; /* of narrowed[i] */
};

/* The model after the edit; false when the edit does not fit. */
static bool model_apply(struct model *model, const struct random_edit *random)
{
    const struct version_edit *edit = &random->edit;
    static struct model        base; /* large */

    base = *model;
    for (uint32_t i = 0; i < edit->removed_count; i++) {
        struct model_table *table = model_find(model, edit->removed[i]);

        if (table == NULL)
            return false;
        *table = model->tables[--model->count];
    }
    for (uint32_t i = 0; i < edit->added_count; i++) {
        struct model_table  made = random->made[i];
        struct model_table *moved = model_find(&base, made.table->info.id);

        if (model_find(model, made.table->info.id) != NULL)
            return false;
        if (moved != NULL)
            made.above = moved->above;
        model->tables[model->count++] = made;
    }
    for (uint32_t i = 0; i < edit->narrowed_count; i++) {
        struct model_table *table = model_find(model, edit->narrowed[i].table_id);

        if (table == NULL || random->above[i] >= table->largest
            || (table->above != ABOVE_NONE && random->above[i] <= table->above))
            return false;
        table->above = random->above[i];
    }
    return model_is_valid(model);
}

static void random_edit_make(struct random_edit *random, const struct model *model,
                             uint64_t *state, uint64_t *id_next)
{
    struct version_edit *edit = &random->edit;

    *random = (struct random_edit){ 0 };
    edit->added = random->added;
    edit->removed = random->removed;
    edit->narrowed = random->narrowed;
    uint32_t removed = model->count > 60 ? 2 + random_below(state, 4) : random_below(state, 2);
    for (uint32_t i = 0; i < removed && i < model->count; i++)
        random->removed[edit->removed_count++] =
            model->tables[random_below(state, model->count)].table->info.id;
    for (uint32_t i = random_below(state, 2); i > 0 && model->count > 0; i--) {
        const struct model_table *table = &model->tables[random_below(state, model->count)];

        random->above[edit->narrowed_count] = random_below(state, KEY_COUNT);
        random->narrowed[edit->narrowed_count] = (struct edit_narrowed){
            table->table->info.id, key_of(random->above[edit->narrowed_count])
        };
        edit->narrowed_count++;
    }
    for (uint32_t i = random_below(state, 3); i > 0; i--) {
        struct model_table *made = &random->made[edit->added_count];

        made->smallest = random_below(state, KEY_COUNT - 20);
        made->largest = made->smallest + random_below(state, 20);
        made->level = random_below(state, 4);
        made->run_id = 1 + random_below(state, 5);
        made->above = ABOVE_NONE;
        if (edit->removed_count > 0 && random_below(state, 3) == 0) { /* a move */
            for (uint32_t k = 0; k < model->count; k++) {
                if (model->tables[k].table->info.id == random->removed[0]) {
                    made->table = model->tables[k].table;
                    made->smallest = model->tables[k].smallest;
                    made->largest = model->tables[k].largest;
                }
            }
        } else
            made->table = table_make((*id_next)++, made->smallest, made->largest);
        random->added[edit->added_count++] =
            (struct edit_added){ made->table, made->level, made->run_id };
    }
    if (edit->added_count > 0 && random_below(state, 8) == 0) { /* narrowed as it is added */
        random->above[edit->narrowed_count] =
            random->made[0].smallest + random_below(state, 12);
        random->narrowed[edit->narrowed_count] = (struct edit_narrowed){
            random->made[0].table->info.id, key_of(random->above[edit->narrowed_count])
        };
        edit->narrowed_count++;
    }
}

static void run_matches(const struct model *model, const struct run *run, uint32_t level)
{
    uint64_t bytes = 0, entries = 0;
    uint32_t count = 0;

    for (uint32_t i = 0; i < model->count; i++) {
        const struct model_table *table = &model->tables[i];

        if (table->level != level || table->run_id != run->id)
            continue;
        count++;
        bytes += table->table->info.file_bytes;
        entries += table->table->info.entry_count;
    }
    assert_int_equal(run->table_count, count);
    assert_int_equal(run->bytes, bytes);
    assert_int_equal(run->entry_count, entries);
    for (uint32_t key = 0; key < KEY_COUNT; key++) {
        const struct table_place *place = run_find(run, key_of(key));
        const struct table       *expected = NULL;
        uint32_t                  below = 0;

        for (uint32_t i = 0; i < model->count; i++) {
            const struct model_table *table = &model->tables[i];

            if (table->level != level || table->run_id != run->id)
                continue;
            if (model_begin(table) <= key && key <= table->largest)
                expected = table->table;
            below += table->largest < key;
        }
        assert_ptr_equal(place == NULL ? NULL : place->table, expected);
        assert_int_equal(run_lower_bound(run, key_of(key)), below);
    }
}

static void version_matches(const struct model *model, const struct version *version)
{
    uint32_t seen = 0;

    for (uint32_t level = 0; level < KIWI_LEVEL_COUNT_MAX; level++) {
        for (uint32_t i = 0; i < version->levels[level].run_count; i++) {
            const struct run *run = version->levels[level].runs[i];

            assert_true(level < version->level_count);
            assert_true(i == 0 || version->levels[level].runs[i - 1]->id > run->id);
            run_matches(model, run, level);
            seen += run->table_count;
        }
    }
    assert_int_equal(seen, model->count);
    assert_true(version->level_count == 0
                || version->levels[version->level_count - 1].run_count > 0);
}

static void overlaps_match(const struct model *model, const struct version *version,
                           uint64_t *state)
{
    for (uint32_t i = 0; i < 50; i++) {
        uint32_t first = random_below(state, KEY_COUNT - 10);
        uint32_t last = first + random_below(state, 10);
        uint32_t level = random_below(state, 4);
        bool     expected = false;

        for (uint32_t k = 0; k < model->count; k++)
            expected |= model->tables[k].level > level && model->tables[k].largest >= first
                     && model_begin(&model->tables[k]) <= last;
        assert_int_equal(version_overlaps_below(version, level, key_of(first), key_of(last)),
                         expected);
    }
}

#define HELD_MAX 5u

struct held {
    struct version *version;
    struct model    model;
};

static void obsolete_drain(struct version_set *set, struct held *held, struct model *model)
{
    for (struct table *table; (table = version_obsolete_take(set)) != NULL;) {
        assert_null(model_find(model, table->info.id));
        for (uint32_t i = 0; i < HELD_MAX; i++)
            assert_true(held[i].version == NULL
                        || model_find(&held[i].model, table->info.id) == NULL);
        table_end(table);
    }
}

/* Goal: version_apply accepts exactly what the model accepts, and every version, however old, shows
 * what the model showed. Method: random edits, about half of which do not fit. */
static void random_edits_match_the_model(void **state)
{
    static struct held   held[HELD_MAX];
    static struct model  model, next;
    struct version_set  *set;
    struct random_edit   random;
    uint64_t             chance = seed_read(), id_next = 1;
    uint32_t             accepted = 0, refused = 0, dropped = 0;

    (void)state;
    tables_ended = 0;
    assert_int_equal(version_set_open(&set), KIWI_OK);
    for (uint32_t round = 0; round < ROUND_COUNT; round++) {
        random_edit_make(&random, &model, &chance, &id_next);
        next = model;
        bool             is_valid = model_apply(&next, &random);
        enum kiwi_status status = version_apply(set, &random.edit);

        assert_int_equal(status, is_valid ? KIWI_OK : KIWI_INVALID);
        for (uint32_t i = 0; !is_valid && i < random.edit.added_count; i++) {
            if (model_find(&model, random.added[i].table->info.id) == NULL) {
                memory_free(random.added[i].table);
                dropped++;
            }
        }
        if (is_valid)
            model = next;
        accepted += is_valid;
        refused += !is_valid;
        version_matches(&model, version_present(set));
        overlaps_match(&model, version_present(set), &chance);
        struct held *slot = &held[random_below(&chance, HELD_MAX)];
        if (slot->version != NULL) {
            version_matches(&slot->model, slot->version);
            version_release(slot->version);
            slot->version = NULL;
        } else {
            slot->version = version_hold(set);
            slot->model = model;
        }
        obsolete_drain(set, held, &model);
    }
    assert_true(accepted > ROUND_COUNT / 10);
    assert_true(refused > ROUND_COUNT / 10);
    for (uint32_t i = 0; i < HELD_MAX; i++) {
        if (held[i].version != NULL)
            version_release(held[i].version);
    }
    version_set_close_with(set, table_end);
    assert_int_equal(tables_ended + dropped, id_next - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_the_tests_ascend),
        cmocka_unit_test(new_set_shows_nothing),
        cmocka_unit_test(runs_of_a_level_stand_newest_first),
        cmocka_unit_test(run_with_the_same_id_is_extended),
        cmocka_unit_test(table_becomes_obsolete_with_the_last_version_that_shows_it),
        cmocka_unit_test(narrowed_keys_are_not_found),
        cmocka_unit_test(output_may_stand_before_the_narrowed_input),
        cmocka_unit_test(moved_table_stays_as_narrowed_as_it_was),
        cmocka_unit_test(edit_without_tables_makes_no_version),
        cmocka_unit_test(edit_out_of_bounds_is_refused),
        cmocka_unit_test(edit_without_memory_changes_nothing),
        cmocka_unit_test(random_edits_match_the_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
