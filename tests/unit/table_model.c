/*
 * table_model.c: whatever is written into a table is found in it again, by gets and by cursors, in
 * all shapes of keys and values.
 */
#include "core/iter/head.h"
#include "tests/unit/table_harness.h"

#include <stdlib.h>

static const size_t counts[MODEL_SHAPE_COUNT] = { 20000, 3000, 3000, 3000, 3000,
                                                  2000,  150,  6000, 300,  4000 };

static enum table_answer get(const struct built *built, struct bytes key, uint64_t sequence,
                             struct table_get *get_state)
{
    uint64_t          hash = hash_key(key, HARNESS_HASH_SEED);
    enum table_answer answer = table_get_start(get_state, built->table, key, hash, sequence);

    while (answer == TABLE_WANTS_BLOCK)
        answer = table_get_step(get_state, built_block(built, get_state->wanted));
    return answer;
}

static void check_get(const struct built *built, const struct model *model, struct bytes key,
                      uint64_t sequence)
{
    struct table_get  state;
    enum table_answer answer = get(built, key, sequence, &state);
    size_t            i = model_seek(model, key, sequence);

    if (i < model->count && bytes_equal(model->entries[i].key, key)) {
        assert_int_equal(answer, TABLE_FOUND);
        assert_true(entry_equal(&state.found, &model->entries[i]));
        assert_false(state.was_filtered);
    } else {
        assert_int_equal(answer, TABLE_ABSENT);
        if (state.was_filtered)
            assert_int_equal(state.data_blocks, 0);
    }
}

static enum iter_state drive(const struct built *built, struct iter *iter, enum iter_state state)
{
    while (state == ITER_WANTS_BLOCK) {
        assert_ptr_equal(iter->wanted_table, built->table);
        state = iter_supply(iter, built_block(built, iter->wanted));
    }
    assert_int_equal(state, iter->state);
    return state;
}

static void check_at(const struct model *model, const struct iter *iter, size_t i)
{
    if (i >= model->count) {
        assert_int_equal(iter->state, ITER_END);
        return;
    }
    assert_int_equal(iter->state, ITER_AT_ENTRY);
    assert_true(entry_equal(&iter->entry, &model->entries[i]));
}

static void walk_both_ways(const struct built *built, const struct model *model)
{
    struct table_cursor cursor;
    struct iter        *iter = &cursor.iter;

    table_cursor_init(&cursor, built->table);
    drive(built, iter, iter_first(iter));
    for (size_t i = 0; i <= model->count; i++) {
        check_at(model, iter, i);
        drive(built, iter, iter_next(iter));
    }
    assert_int_equal(iter->state, ITER_END);
    drive(built, iter, iter_last(iter));
    for (size_t i = model->count; i-- > 0;) {
        check_at(model, iter, i);
        drive(built, iter, iter_previous(iter));
    }
    assert_int_equal(iter->state, ITER_END);
}

static void seek_and_wander(const struct built *built, const struct model *model,
                            struct random *random)
{
    static uint8_t      scratch[KIWI_KEY_BYTES_MAX + 16];
    struct table_cursor cursor;
    struct iter        *iter = &cursor.iter;

    table_cursor_init(&cursor, built->table);
    for (int round = 0; round < 600; round++) {
        struct bytes key = model_key_near(model, random, scratch);
        size_t       at;
        if (random_below(random, 2) == 0) {
            uint64_t sequence = random_below(random, 2) == 0
                                  ? SEQUENCE_MAX
                                  : model->entries[random_below(random, model->count)].sequence;
            at = model_seek(model, key, sequence);
            drive(built, iter, iter_seek(iter, key, sequence));
        } else {
            at = model_seek(model, key, 0) - 1; /* wraps to "none" below the first */
            drive(built, iter, iter_seek_before(iter, key));
        }
        check_at(model, iter, at);
        for (int step = 0; step < 12 && iter->state == ITER_AT_ENTRY; step++) {
            bool is_forward = random_below(random, 2) == 0;
            at += is_forward ? 1 : (size_t)-1;
            drive(built, iter, is_forward ? iter_next(iter) : iter_previous(iter));
            check_at(model, iter, at);
        }
    }
}

/* What a block tells and copies of the entries that stand ahead in it is what the model has; the
 * cursor goes on from whichever it is left at. */
static void look_ahead(const struct built *built, const struct model *model,
                       struct random *random)
{
    static uint64_t     heads[1u << 16];
    struct table_cursor cursor;
    struct iter        *iter = &cursor.iter;

    table_cursor_init(&cursor, built->table);
    for (int round = 0; round < 600; round++) {
        size_t   at = random_below(random, model->count);
        uint32_t left, from;

        drive(built, iter, iter_seek(iter, model->entries[at].key, model->entries[at].sequence));
        check_at(model, iter, at);
        left = table_cursor_left(&cursor);
        assert_in_range(left, 1, ARRAY_COUNT(heads));
        from = (uint32_t)random_below(random, cursor.data.prefix_bytes + 1);
        data_block_heads(&cursor.data, cursor.data_position, left, from, heads);
        for (uint32_t i = 0; i < left; i++) {
            const struct entry *entry = &model->entries[at + i];
            uint32_t            position = cursor.data_position + i;
            uint32_t            bytes = data_block_entry_bytes(&cursor.data, position);
            uint8_t            *copy = malloc(bytes + KEY_COPY_SLACK);

            assert_int_equal(bytes, entry->key.size + entry->value.size);
            assert_int_equal(data_block_key_size(&cursor.data, position), entry->key.size);
            assert_int_equal(heads[i], head_behind(entry->key, from));
            data_block_copy(&cursor.data, position, &cursor.key, copy);
            assert_true(bytes_equal(bytes_of(copy, entry->key.size), entry->key));
            assert_true(bytes_equal(bytes_of(copy + entry->key.size, entry->value.size),
                                    entry->value));
            free(copy);
        }
        uint32_t skipped = (uint32_t)random_below(random, left);

        table_cursor_skip(&cursor, skipped);
        drive(built, iter, iter_next(iter));
        check_at(model, iter, at + skipped + 1);
    }
}

static void check_gets(const struct built *built, const struct model *model, struct random *random)
{
    static uint8_t scratch[KIWI_KEY_BYTES_MAX + 16];

    for (size_t i = 0; i < model->count; i++) {
        const struct entry *entry = &model->entries[i];
        check_get(built, model, entry->key, SEQUENCE_MAX);
        check_get(built, model, entry->key, entry->sequence);
        check_get(built, model, entry->key, entry->sequence - 1);
    }
    for (int round = 0; round < 3000; round++)
        check_get(built, model, model_key_near(model, random, scratch),
                  random_below(random, 2) == 0 ? SEQUENCE_MAX
                                               : model->entries[random_below(random, model->count)]
                                                     .sequence);
}

static void check_table(const struct built *built, const struct model *model, struct random *random)
{
    uint64_t data_blocks_and_more = table_index_bytes(built->table)
                                  + table_filter_bytes(built->table)
                                  + built->table->info.data_bytes;

    assert_int_equal(built->observed_bytes, data_blocks_and_more);
    check_gets(built, model, random);
    walk_both_ways(built, model);
    seek_and_wander(built, model, random);
    look_ahead(built, model, random);
}

static void run_shape(enum model_shape shape, size_t count, uint32_t filter_bits)
{
    struct random random = { seed_of_run() + (uint64_t)shape };
    struct model  model;
    struct built  built;
    struct table *own, *reopened;

    print_message("%s\n", model_shape_names[shape]);
    model_open(&model, shape, count, &random);
    built_open(&built, &model,
               &(struct built_options){ .filter_bits = filter_bits, .table_id = 9 });
    check_table(&built, &model, &random);
    assert_int_equal(built_reopen(&built, &built.table->info, built.bytes, built.size,
                                  built.database, &reopened), KIWI_OK);
    assert_int_equal(reopened->info.entry_count, count);
    own = built.table;
    built.table = reopened;
    memset(built.checked, 0, built.size / PAGE_BYTES);
    check_table(&built, &model, &random);
    assert_int_equal(table_memory_bytes(own), table_memory_bytes(reopened));
    table_close(own);
    built_close(&built);
    model_close(&model);
}

static void every_entry_of_every_shape_is_found_again(void **state)
{
    (void)state;
    for (int shape = 0; shape < MODEL_SHAPE_COUNT; shape++)
        run_shape((enum model_shape)shape, counts[shape], shape % 2 == 0 ? 10 : 14);
}

static void a_table_without_filter_answers_the_same(void **state)
{
    (void)state;
    for (int shape = 0; shape < MODEL_SHAPE_COUNT; shape++)
        run_shape((enum model_shape)shape, counts[shape] / 8, 0);
}

static void tables_of_one_to_twenty_entries_are_whole(void **state)
{
    (void)state;
    for (size_t count = 1; count <= 20; count++)
        run_shape(MODEL_SHORT_KEYS, count, 10);
}

/* Goal: the step from one index partition to the next inside one key.
 * Method: a key with a block for each of its versions, among others. */
static void versions_of_one_key_may_fill_index_partitions(void **state)
{
    static uint8_t value[3000];
    struct random  random = { seed_of_run() };
    struct model   model = { .entries = calloc(5002, sizeof *model.entries), .count = 5002 };
    struct built   built;

    (void)state;
    model.entries[0] = (struct entry){ bytes_of("a", 1), bytes_of(value, 10), 9, ENTRY_PUT };
    for (size_t i = 1; i <= 5000; i++)
        model.entries[i] = (struct entry){ bytes_of("key", 3), bytes_of(value, sizeof value),
                                           10 * (5001 - i), ENTRY_PUT };
    model.entries[5001] = (struct entry){ bytes_of("key\0", 4), bytes_of(value, 10), 8, ENTRY_PUT };
    built_open(&built, &model, &(struct built_options){ .filter_bits = 10, .table_id = 9,
                                                        .average_entry_bytes = 100 });
    assert_true(table_index_bytes(built.table) > 2 * TABLE_INDEX_BYTES);
    for (size_t i = 0; i < model.count; i += 1 + random_below(&random, 200)) {
        check_get(&built, &model, model.entries[i].key, model.entries[i].sequence);
        check_get(&built, &model, model.entries[i].key, model.entries[i].sequence - 1);
    }
    check_get(&built, &model, bytes_of("key", 3), 1);
    check_get(&built, &model, bytes_of("key\0", 4), SEQUENCE_MAX);
    walk_both_ways(&built, &model);
    seek_and_wander(&built, &model, &random);
    look_ahead(&built, &model, &random);
    built_close(&built);
    model_close(&model);
}

static void scalar_and_avx2_searches_answer_the_same(void **state)
{
    (void)state;
    for (int search = 0; search <= (int)block_search_best(); search++) {
        block_search_force((enum block_search)search);
        run_shape(MODEL_SHORT_KEYS, 2000, 10);
        run_shape(MODEL_MIXED, 1000, 14);
    }
    block_search_force(block_search_best());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_entry_of_every_shape_is_found_again),
        cmocka_unit_test(a_table_without_filter_answers_the_same),
        cmocka_unit_test(tables_of_one_to_twenty_entries_are_whole),
        cmocka_unit_test(versions_of_one_key_may_fill_index_partitions),
        cmocka_unit_test(scalar_and_avx2_searches_answer_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
