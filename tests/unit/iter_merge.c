/*
 * A merge shows what a sorted array of all its inputs' entries shows, whichever way it is walked
 * and however often its inputs wait.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/base/memory.h"
#include "core/iter/head.h"
#include "core/iter/merge.h"

/* ---- chance ---- */

static uint64_t dice;

static uint64_t draw(uint64_t limit)
{
    uint64_t x = dice += 0x9e3779b97f4a7c15ull;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return (x ^ (x >> 31)) % limit;
}

static int setup(void **state)
{
    const char *text = getenv("KIWI_SEED");

    (void)state;
    dice = text != NULL ? strtoull(text, NULL, 0) : 20260101;
    printf("KIWI_SEED=%llu\n", (unsigned long long)dice);
    return 0;
}

/* ---- inputs that answer from an array, sometimes only after they got a block ---- */

struct input {
    struct iter         iter;
    const struct entry *entries;
    size_t              count, at; /* at == count: no entry */
    size_t              target;    /* where the interrupted move ends */
    uint32_t            wait_one_in, fail_one_in;
    uint32_t            waits_left;
    uint64_t            wanted_count;
    uint8_t             block;     /* its address is what must be supplied */
};

static struct input *input_of(struct iter *iter)
{
    return container_of(iter, struct input, iter);
}

static enum iter_state input_arrive(struct input *input)
{
    if (input->fail_one_in != 0 && draw(input->fail_one_in) == 0) {
        input->iter.status = KIWI_CORRUPT;
        return input->iter.state = ITER_FAILED;
    }
    if (input->waits_left > 0) {
        input->waits_left--;
        input->iter.wanted = (struct block_ref){ .offset = ++input->wanted_count * 4096,
                                                 .bytes = 4096, .kind = BLOCK_DATA };
        memset(&input->iter.entry, 0xee, sizeof input->iter.entry);
        return input->iter.state = ITER_WANTS_BLOCK;
    }
    input->at = input->target;
    if (input->at >= input->count) {
        memset(&input->iter.entry, 0xdd, sizeof input->iter.entry);
        return input->iter.state = ITER_END;
    }
    input->iter.entry = input->entries[input->at];
    return input->iter.state = ITER_AT_ENTRY;
}

static enum iter_state input_go(struct input *input, size_t target)
{
    assert_int_not_equal(input->iter.state, ITER_WANTS_BLOCK);
    input->target = target;
    input->waits_left = 0;
    if (input->wait_one_in != 0 && draw(input->wait_one_in) == 0)
        input->waits_left = 1 + (uint32_t)draw(3);
    return input_arrive(input);
}

static size_t find(const struct entry *entries, size_t count, struct bytes key, uint64_t sequence)
{
    struct entry wanted = { .key = key, .sequence = sequence };
    size_t       at = 0;

    while (at < count && entry_compare(&entries[at], &wanted) < 0)
        at++;
    return at;
}

/* Seeks leave every state, a wait too. */
static enum iter_state input_seek(struct iter *iter, struct bytes key, uint64_t sequence)
{
    struct input *input = input_of(iter);

    iter->state = ITER_END;
    return input_go(input, find(input->entries, input->count, key, sequence));
}

static enum iter_state input_seek_before(struct iter *iter, struct bytes key)
{
    struct input *input = input_of(iter);
    size_t        after = find(input->entries, input->count, key, 0);

    iter->state = ITER_END;
    return input_go(input, after == 0 ? SIZE_MAX : after - 1);
}

static enum iter_state input_first(struct iter *iter)
{
    iter->state = ITER_END;
    return input_go(input_of(iter), 0);
}

static enum iter_state input_last(struct iter *iter)
{
    iter->state = ITER_END;
    return input_go(input_of(iter), input_of(iter)->count - 1);
}

static enum iter_state input_next(struct iter *iter)
{
    assert_int_equal(iter->state, ITER_AT_ENTRY);
    return input_go(input_of(iter), input_of(iter)->at + 1);
}

static enum iter_state input_previous(struct iter *iter)
{
    assert_int_equal(iter->state, ITER_AT_ENTRY);
    return input_go(input_of(iter), input_of(iter)->at - 1);
}

static enum iter_state input_supply(struct iter *iter, const uint8_t *block)
{
    assert_int_equal(iter->state, ITER_WANTS_BLOCK);
    assert_ptr_equal(block, &input_of(iter)->block);
    return input_arrive(input_of(iter));
}

static const struct iter_methods input_methods = {
    .seek = input_seek, .seek_before = input_seek_before, .first = input_first,
    .last = input_last, .next = input_next, .previous = input_previous, .supply = input_supply,
};

/* ---- a world: inputs, their merge, and all entries in one sorted array ---- */

struct expected {
    struct entry entry;
    uint32_t     input;
};

struct world {
    uint32_t         count;
    struct input     inputs[MERGE_INPUT_MAX];
    struct iter     *iters[MERGE_INPUT_MAX];
    struct entry    *entries[MERGE_INPUT_MAX];
    struct expected *all;
    size_t           all_count;
    struct merge    *merge;
    struct iter     *iter;
    char           (*keys)[48];
    uint32_t         key_count;
};

static int entries_order(const void *a, const void *b)
{
    return entry_compare(a, b);
}

static int expected_order(const void *a, const void *b)
{
    const struct expected *x = a, *y = b;
    int                    order = entry_compare(&x->entry, &y->entry);

    if (order != 0)
        return order;
    return x->input < y->input ? -1 : x->input > y->input;
}

static const char *const key_formats[] = {
    "user%06llu", "%llu", "a-prefix-that-all-keys-share-and-that-is-long/%llu", "%08llx",
};

static void world_inputs_fill(struct world *world, uint32_t entries_max, uint32_t wait_one_in)
{
    for (uint32_t i = 0; i < world->count; i++) {
        struct input *input = &world->inputs[i];
        uint64_t      sequence = 1;

        *input = (struct input){ .iter = { .methods = &input_methods, .state = ITER_END },
                                 .wait_one_in = wait_one_in };
        input->count = (size_t)draw(entries_max + 1);
        world->entries[i] = calloc(input->count + 1, sizeof(struct entry));
        for (size_t k = 0; k < input->count; k++) {
            const char *key = world->keys[draw(world->key_count)];

            /* Unique within one input; two inputs may well have the same. */
            sequence += 1 + draw(2);
            world->entries[i][k] = (struct entry){ .key = bytes_of(key, strlen(key)),
                                                   .value = bytes_of(&input->block, 1),
                                                   .sequence = sequence, .kind = ENTRY_PUT };
        }
        qsort(world->entries[i], input->count, sizeof(struct entry), entries_order);
        input->entries = world->entries[i];
        input->at = input->count;
        world->iters[i] = &input->iter;
        world->all_count += input->count;
    }
}

static void world_open(struct world *world, uint32_t count, uint32_t entries_max,
                       uint32_t wait_one_in)
{
    const char *format = key_formats[draw(ARRAY_COUNT(key_formats))];
    size_t      at = 0;

    memset(world, 0, sizeof *world);
    world->count = count;
    world->key_count = 1 + (uint32_t)draw(2 * entries_max + 2);
    world->keys = calloc(world->key_count, sizeof *world->keys);
    for (uint32_t i = 1; i < world->key_count; i++) /* key 0 is empty */
        snprintf(world->keys[i], sizeof *world->keys, format, (unsigned long long)draw(100000));
    world_inputs_fill(world, entries_max, wait_one_in);
    world->all = calloc(world->all_count + 1, sizeof *world->all);
    for (uint32_t i = 0; i < count; i++) {
        for (size_t k = 0; k < world->inputs[i].count; k++)
            world->all[at++] = (struct expected){ world->entries[i][k], i };
    }
    qsort(world->all, world->all_count, sizeof *world->all, expected_order);
    assert_int_equal(merge_open(world->iters, count, &world->merge), KIWI_OK);
    world->iter = merge_iter(world->merge);
}

static void world_close(struct world *world)
{
    merge_close(world->merge);
    for (uint32_t i = 0; i < world->count; i++)
        free(world->entries[i]);
    free(world->all);
    free(world->keys);
}

/* Supplies until the merge stands somewhere. */
static enum iter_state world_settle(struct world *world, enum iter_state state)
{
    while (state == ITER_WANTS_BLOCK) {
        struct input *input = &world->inputs[merge_waiting_input(world->merge)];

        assert_int_equal(world->iter->state, ITER_WANTS_BLOCK);
        assert_int_equal(input->iter.state, ITER_WANTS_BLOCK);
        assert_int_equal(world->iter->wanted.offset, input->iter.wanted.offset);
        state = iter_supply(world->iter, &input->block);
    }
    assert_int_equal(state, world->iter->state);
    return state;
}

static void world_is_at(struct world *world, enum iter_state state, size_t at)
{
    state = world_settle(world, state);
    if (at >= world->all_count) {
        assert_int_equal(state, ITER_END);
        return;
    }
    assert_int_equal(state, ITER_AT_ENTRY);
    assert_int_equal(world->iter->entry.sequence, world->all[at].entry.sequence);
    assert_true(bytes_equal(world->iter->entry.key, world->all[at].entry.key));
    assert_ptr_equal(world->iter->entry.value.data, world->all[at].entry.value.data);
}

static size_t world_find(const struct world *world, struct bytes key, uint64_t sequence)
{
    struct entry wanted = { .key = key, .sequence = sequence };
    size_t       at = 0;

    while (at < world->all_count && entry_compare(&world->all[at].entry, &wanted) < 0)
        at++;
    return at;
}

static size_t world_seek(struct world *world)
{
    /* The merge may not lean on the caller's key while it waits. */
    char            text[48];
    struct bytes    key;
    size_t          at;
    enum iter_state state;

    memcpy(text, world->keys[draw(world->key_count)], sizeof text);
    key = bytes_of(text, strlen(text));
    switch (draw(5)) {
    case 0:
        at = 0;
        state = iter_first(world->iter);
        break;
    case 1:
        at = world->all_count - 1;
        state = iter_last(world->iter);
        break;
    case 2:
        at = world_find(world, key, 0) - 1;
        state = iter_seek_before(world->iter, key);
        break;
    case 3: {
        uint64_t sequence = draw(50);

        at = world_find(world, key, sequence);
        state = iter_seek(world->iter, key, sequence);
        break;
    }
    default:
        at = world_find(world, key, SEQUENCE_MAX);
        state = iter_seek(world->iter, key, SEQUENCE_MAX);
    }
    memset(text, 0xaa, sizeof text);
    world_is_at(world, state, at);
    return at;
}

static void world_walk(struct world *world, uint32_t steps, uint32_t turn_one_in)
{
    size_t at = world_seek(world);
    bool   is_backward = draw(2) == 0;

    for (uint32_t i = 0; i < steps; i++) {
        if (draw(turn_one_in) == 0)
            is_backward = !is_backward;
        /* The end is left by seeks only. */
        if (at < world->all_count)
            at = is_backward ? at - 1 : at + 1;
        world_is_at(world, is_backward ? iter_previous(world->iter) : iter_next(world->iter), at);
    }
}

static void merge_shows_every_entry_in_order_both_ways(void **state)
{
    static const uint32_t counts[] = { 0, 1, 2, 3, 5, 8, 13, 64, 127, 128 };
    struct world          world;

    (void)state;
    for (size_t c = 0; c < ARRAY_COUNT(counts); c++) {
        world_open(&world, counts[c], 200, 0);
        size_t at = 0;
        world_is_at(&world, iter_first(world.iter), at);
        while (at < world.all_count)
            world_is_at(&world, iter_next(world.iter), ++at);
        at = world.all_count - 1;
        world_is_at(&world, iter_last(world.iter), at);
        while (at < world.all_count)
            world_is_at(&world, iter_previous(world.iter), --at);
        world_close(&world);
    }
}

static void merge_agrees_with_a_sorted_array_while_inputs_wait(void **state)
{
    struct world world;

    (void)state;
    for (uint32_t round = 0; round < 400; round++) {
        world_open(&world, (uint32_t)draw(12), (uint32_t)draw(60), (uint32_t)draw(4));
        for (uint32_t i = 0; i < 12; i++)
            world_walk(&world, 40, 2 + (uint32_t)draw(20));
        world_close(&world);
    }
}

/* Goal: a seek may interrupt a wait, and the next walk is right. */
static void seek_leaves_a_wait(void **state)
{
    struct world world;

    (void)state;
    for (uint32_t round = 0; round < 200; round++) {
        world_open(&world, 1 + (uint32_t)draw(6), 40, 2);
        for (uint32_t i = 0; i < 10; i++) {
            enum iter_state at = iter_first(world.iter);

            for (uint32_t k = 0; k < draw(6) && at == ITER_AT_ENTRY; k++)
                at = iter_next(world.iter);
            world_walk(&world, 20, 5);
        }
        world_close(&world);
    }
}

static void failed_input_fails_the_merge_until_it_seeks(void **state)
{
    struct world world;
    uint32_t     failures = 0;

    (void)state;
    for (uint32_t round = 0; round < 100; round++) {
        world_open(&world, 1 + (uint32_t)draw(6), 40, 3);
        for (uint32_t i = 0; i < world.count; i++)
            world.inputs[i].fail_one_in = 50;
        enum iter_state at = world_settle(&world, iter_first(world.iter));
        while (at == ITER_AT_ENTRY)
            at = world_settle(&world, iter_next(world.iter));
        if (at == ITER_FAILED) {
            failures++;
            assert_int_equal(world.iter->status, KIWI_CORRUPT);
            assert_int_equal(iter_next(world.iter), ITER_FAILED);
            assert_int_equal(iter_previous(world.iter), ITER_FAILED);
        }
        for (uint32_t i = 0; i < world.count; i++)
            world.inputs[i].fail_one_in = 0;
        world_walk(&world, 30, 7);
        world_close(&world);
    }
    assert_true(failures > 10);
}

static void reset_merges_other_inputs(void **state)
{
    struct world first, second;

    (void)state;
    world_open(&first, 9, 50, 3);
    world_walk(&first, 30, 6);
    world_open(&second, 4, 50, 3);
    merge_close(second.merge);
    second.merge = first.merge;
    merge_reset(second.merge, second.iters, second.count);
    assert_int_equal(iter_next(second.iter = merge_iter(second.merge)), ITER_END);
    for (uint32_t i = 0; i < 20; i++)
        world_walk(&second, 30, 6);
    second.merge = NULL;
    world_close(&second);
    world_close(&first);
}

/* Goal: a driver may place the inputs itself. */
static void inputs_may_be_placed_by_the_driver(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 400; round++) {
        struct world    world;
        bool            is_backward = draw(2) == 0;
        size_t          at;
        enum iter_state moved;

        world_open(&world, 1 + (uint32_t)draw(9), 60, 0);
        for (uint32_t i = 0; i < world.count; i++)
            (void)(is_backward ? iter_last(world.iters[i]) : iter_first(world.iters[i]));
        at = is_backward ? world.all_count - 1 : 0;
        moved = merge_start(world.merge, is_backward);
        while (at < world.all_count) {
            world_is_at(&world, moved, at);
            at += is_backward ? SIZE_MAX : 1;
            moved = is_backward ? iter_previous(world.iter) : iter_next(world.iter);
        }
        assert_int_equal(moved, ITER_END);
        world_close(&world);
    }
}

/* Goal: running out of memory leaks nothing and says so. Method: fail each allocation in turn. */
static void open_and_seek_report_missing_memory(void **state)
{
    static char   text[70000];
    struct world  world;
    struct merge *merge;
    uint64_t      before;

    (void)state;
    world_open(&world, 3, 20, 0);
    before = memory_allocated_bytes();
    for (uint64_t n = 1; n <= 4; n++) {
        memory_fail_after(n);
        assert_int_equal(merge_open(world.iters, 3, &merge), KIWI_NO_MEMORY);
        assert_int_equal(memory_allocated_bytes(), before);
    }
    memory_fail_after(1);
    memset(text, 'z', sizeof text);
    assert_int_equal(iter_seek(world.iter, bytes_of(text, 65535), 1), ITER_FAILED);
    assert_int_equal(world.iter->status, KIWI_NO_MEMORY);
    memory_fail_after(0);
    world_is_at(&world, iter_seek(world.iter, bytes_of(text, 65535), 1), world.all_count);
    world_walk(&world, 30, 5);
    world_close(&world);
}

static void heads_never_turn_the_order_around(void **state)
{
    static const uint8_t letters[] = { 0, 1, 'a', 0xff };
    uint8_t              a[24], b[24], prefix[20];

    (void)state;
    for (uint32_t round = 0; round < 200000; round++) {
        struct bytes x = bytes_of(a, draw(sizeof a)), y = bytes_of(b, draw(sizeof b));
        struct bytes p = bytes_of(prefix, draw(sizeof prefix));
        size_t       same = draw(20);

        for (size_t i = 0; i < sizeof a; i++) {
            a[i] = letters[draw(4)];
            b[i] = i < same ? a[i] : letters[draw(4)];
        }
        for (size_t i = 0; i < p.size; i++)
            prefix[i] = draw(30) == 0 ? letters[draw(4)] : a[i];
        assert_int_equal(head_has_prefix(x, p.data, p.size), bytes_start_with(x, p));
        if (head_of(x, p) < head_of(y, p))
            assert_true(bytes_compare(x, y) < 0);
        if (head_of(x, p) > head_of(y, p))
            assert_true(bytes_compare(x, y) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merge_shows_every_entry_in_order_both_ways),
        cmocka_unit_test(merge_agrees_with_a_sorted_array_while_inputs_wait),
        cmocka_unit_test(seek_leaves_a_wait),
        cmocka_unit_test(failed_input_fails_the_merge_until_it_seeks),
        cmocka_unit_test(inputs_may_be_placed_by_the_driver),
        cmocka_unit_test(reset_merges_other_inputs),
        cmocka_unit_test(open_and_seek_report_missing_memory),
        cmocka_unit_test(heads_never_turn_the_order_around),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
