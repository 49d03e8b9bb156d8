/*
 * Memory of a memtable: it comes in chunks, is counted, is used again, and may run out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/base/hash.h"
#include "core/base/memory.h"
#include "core/memtable/state.h"
#include "kiwi/limits.h"
#include "memtable_harness.h"

static struct memtable *memtable_in(struct memtable_pool *pool)
{
    struct memtable_options options = { .pool = pool, .expected_bytes = 100000 };
    struct memtable        *memtable;

    assert_int_equal(memtable_open(&options, &memtable), KIWI_OK);
    return memtable;
}

static enum kiwi_status put(struct memtable *memtable, struct bytes key, struct bytes value,
                            uint64_t sequence)
{
    struct entry entry = { .key = key, .value = value, .sequence = sequence, .kind = ENTRY_PUT };

    return memtable_put(memtable, hash_key(key, 0), &entry, 0);
}

static void fill(struct memtable *memtable, uint64_t count, size_t value_bytes)
{
    uint8_t *key = malloc(65536), *value = calloc(1, value_bytes + 1);

    for (uint64_t i = 0; i < count; i++)
        assert_int_equal(put(memtable, key_of(KEYS_USER, i, key), bytes_of(value, value_bytes),
                             i + 1), KIWI_OK);
    free(key);
    free(value);
}

static void next_memtable_uses_the_chunks_of_the_last(void **state)
{
    static const uint64_t chunk_bytes[] = { 16384, 65536, 2u << 20 };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(chunk_bytes); i++) {
        struct memtable_pool *pool;
        uint64_t              before = memory_allocated_bytes(), held, bytes;

        assert_int_equal(memtable_pool_open(chunk_bytes[i], &pool), KIWI_OK);
        struct memtable *memtable = memtable_in(pool);
        fill(memtable, 30000, 100);
        bytes = memtable_bytes(memtable);
        held = memtable_pool_bytes(pool);
        memtable_close(memtable);
        for (int round = 0; round < 3; round++) {
            memtable = memtable_in(pool);
            fill(memtable, 30000, 100);
            assert_int_equal(memtable_bytes(memtable), bytes);
            memtable_close(memtable);
            assert_int_equal(memtable_pool_bytes(pool), held);
        }
        memtable_pool_trim(pool, UINT64_MAX);
        assert_int_equal(memtable_pool_bytes(pool), 0);
        memtable = memtable_in(pool);
        fill(memtable, 100, 100);
        memtable_close(memtable);
        memtable_pool_close(pool);
        assert_int_equal(memory_allocated_bytes(), before);
    }
}

static void prepared_pool_takes_no_more_memory(void **state)
{
    struct memtable_pool *pool;
    struct memtable      *memtable;
    uint64_t              held;
    uint32_t              count = 0;

    (void)state;
    assert_int_equal(memtable_pool_open(65536, &pool), KIWI_OK);
    while (memtable_pool_prepare(pool, 1 << 20))
        count++;
    assert_int_equal(count, 16);
    held = memtable_pool_bytes(pool);
    assert_int_equal(held, 1 << 20);
    memtable = memtable_in(pool);
    fill(memtable, 5000, 100);
    assert_true(memtable_bytes(memtable) > (1 << 19));
    assert_int_equal(memtable_pool_bytes(pool), held);
    memtable_close(memtable);
    memory_fail_after(1);
    assert_false(memtable_pool_prepare(pool, 2 << 20));
    memory_fail_after(0);
    memtable_pool_close(pool);
}

/* Goal: memory is shared, not handed from one memtable to the next. Method: a small memtable lives
 * while a large one dies; whatever lives next fits in what both had. */
static void memtables_of_any_size_share_a_pool(void **state)
{
    struct memtable_pool *pool;
    struct memtable      *large, *small;
    struct entry          found;
    uint8_t               key[64];
    uint64_t              held;

    (void)state;
    assert_int_equal(memtable_pool_open(65536, &pool), KIWI_OK);
    large = memtable_in(pool);
    fill(large, 20000, 100);
    memtable_freeze(large);
    small = memtable_in(pool);
    fill(small, 1000, 100);
    held = memtable_pool_bytes(pool);
    assert_true(held < memtable_bytes(large) + memtable_bytes(small));
    memtable_close(large);
    assert_true(memtable_pool_rest_bytes(pool) > held / 2);
    large = memtable_in(pool);
    fill(large, 20000, 100);
    assert_int_equal(memtable_pool_bytes(pool), held);
    for (uint64_t i = 0; i < 1000; i++) {
        struct bytes name = key_of(KEYS_USER, i, key);

        assert_true(memtable_get(small, hash_key(name, 0), name, UINT64_MAX >> 8, &found));
    }
    memtable_close(small);
    memtable_close(large);
    assert_int_equal(memtable_pool_rest_bytes(pool), held);
    assert_in_range(memtable_pool_trim(pool, held / 2), held / 2, held / 2 + 65536);
    assert_in_range(memtable_pool_bytes(pool), held / 2 - 65536, held / 2);
    memtable_pool_close(pool);
}

/* Goal: what is counted is what was taken, and not far above what was asked for. */
static void bytes_count_chunks_and_index(void **state)
{
    struct memtable_pool *pool;
    struct memtable      *memtable;
    uint64_t              data;

    (void)state;
    assert_int_equal(memtable_pool_open(65536, &pool), KIWI_OK);
    memtable = memtable_in(pool);
    fill(memtable, 50000, 100);
    data = memtable_data_bytes(memtable);
    assert_int_equal(data, 50000 * (16 + 100));
    assert_true(memtable_bytes(memtable) >= memtable_pool_bytes(pool));
    assert_true(memtable_bytes(memtable) > data);
    assert_true(memtable_bytes(memtable) < data * 8 / 5);
    memtable_close(memtable);
    memtable_pool_close(pool);
}

static void values_are_replaced_in_place_when_they_fit(void **state)
{
    struct memtable_pool *pool;
    struct memtable      *memtable;
    uint8_t              *key = malloc(65536), value[128] = { 0 };
    uint64_t              bytes, sequence = 100000;

    (void)state;
    assert_int_equal(memtable_pool_open(16384, &pool), KIWI_OK);
    memtable = memtable_in(pool);
    fill(memtable, 1000, 100);
    bytes = memtable_bytes(memtable);
    for (uint64_t round = 0; round < 20; round++) {
        for (uint64_t i = 0; i < 1000; i++) {
            size_t size = round % 2 == 0 ? 100 : round;

            value[0] = (uint8_t)(round + i);
            assert_int_equal(put(memtable, key_of(KEYS_USER, i, key), bytes_of(value, size),
                                 ++sequence), KIWI_OK);
        }
    }
    assert_int_equal(memtable_bytes(memtable), bytes);
    assert_int_equal(memtable_entry_count(memtable), 1000);
    memtable_close(memtable);
    memtable_pool_close(pool);
    free(key);
}

static void get_is(const struct memtable *memtable, struct bytes key, struct bytes value)
{
    struct entry entry;

    assert_true(memtable_get(memtable, hash_key(key, 0), key, SEQUENCE_MAX, &entry));
    assert_true(bytes_equal(entry.key, key));
    assert_true(bytes_equal(entry.value, value));
}

/* Goal: the largest key and value are kept, and a large value that is replaced gives its memory
 * back at once. */
static void largest_key_and_value_are_kept(void **state)
{
    struct memtable_pool *pool;
    struct memtable      *memtable;
    uint8_t              *key_bytes = calloc(1, KIWI_KEY_BYTES_MAX), *data;
    struct bytes          key = bytes_of(key_bytes, KIWI_KEY_BYTES_MAX), value;
    uint64_t              before;

    (void)state;
    data = calloc(1, KIWI_VALUE_BYTES_MAX);
    memset(key_bytes, 'k', KIWI_KEY_BYTES_MAX);
    memset(data, 'v', KIWI_VALUE_BYTES_MAX);
    value = bytes_of(data, KIWI_VALUE_BYTES_MAX);
    assert_int_equal(memtable_pool_open(2u << 20, &pool), KIWI_OK);
    memtable = memtable_in(pool);
    before = memtable_bytes(memtable);
    assert_int_equal(put(memtable, key, bytes_of(data, 5u << 20), 1), KIWI_OK);
    assert_int_equal(put(memtable, key, value, 2), KIWI_OK);
    get_is(memtable, key, value);
    assert_true(memtable_bytes(memtable) > before + value.size);
    assert_true(memtable_bytes(memtable) < before + value.size + (5u << 20));
    assert_int_equal(memtable_data_bytes(memtable), key.size + value.size);
    /* Smaller stays where it is; a neighbour with an almost equal key is another key. */
    assert_int_equal(put(memtable, key, bytes_of(data, 3), 3), KIWI_OK);
    get_is(memtable, key, bytes_of(data, 3));
    key_bytes[KIWI_KEY_BYTES_MAX - 1] = 'l';
    assert_int_equal(put(memtable, key, bytes_of(data, 5), 4), KIWI_OK);
    get_is(memtable, key, bytes_of(data, 5));
    key_bytes[KIWI_KEY_BYTES_MAX - 1] = 'k';
    get_is(memtable, key, bytes_of(data, 3));
    memtable_close(memtable);
    /* Large values leave little behind. */
    assert_true(memtable_pool_bytes(pool) <= before + (20u << 20));
    memtable_pool_close(pool);
    free(key_bytes);
    free(data);
}

static void chunk_sizes_are_made_powers_of_two(void **state)
{
    static const uint64_t asked[] = { 0, 1, 16384, 20480, 65535, 3u << 20, 1ull << 40 };
    static const uint64_t given[] = { 16384, 16384, 16384, 16384, 32768, 2u << 20, 64u << 20 };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(asked); i++) {
        struct memtable_pool *pool;

        assert_int_equal(memtable_pool_open(asked[i], &pool), KIWI_OK);
        assert_int_equal(pool_chunk_bytes(pool), given[i]);
        memtable_pool_close(pool);
    }
    memtable_pool_close(NULL);
    memtable_close(NULL);
}

/* Goal: no failure at open leaks. Method: each allocation fails in turn. */
static void open_without_memory_leaves_nothing(void **state)
{
    uint64_t before = memory_allocated_bytes();
    bool     is_open = false;

    (void)state;
    for (uint64_t n = 1; !is_open; n++) {
        struct memtable_pool   *pool = NULL;
        struct memtable        *memtable = NULL;
        struct memtable_options options = { .expected_bytes = 10 << 20 };

        assert_true(n < 1000);
        memory_fail_after(n);
        if (memtable_pool_open(16384, &pool) == KIWI_OK) {
            options.pool = pool;
            is_open = memtable_open(&options, &memtable) == KIWI_OK;
        }
        memory_fail_after(0);
        memtable_close(memtable);
        memtable_pool_close(pool);
        assert_int_equal(memory_allocated_bytes(), before);
    }
}

static void agrees(const struct memtable *memtable, const struct model *model)
{
    struct memtable_cursor cursor;
    size_t                 at = 0;

    assert_true(skiplist_check(&memtable->list));
    assert_int_equal(memtable_entry_count(memtable), model->count);
    memtable_cursor_init(&cursor, memtable);
    for (enum iter_state state = iter_first(&cursor.iter); state == ITER_AT_ENTRY;
         state = iter_next(&cursor.iter)) {
        assert_true(at < model->count);
        assert_true(entry_equal(&cursor.iter.entry, &model->entries[at]));
        at++;
    }
    assert_int_equal(at, model->count);
    for (at = 0; at < model->count; at++) {
        const struct entry *expected = &model->entries[at];
        struct entry        entry;

        assert_true(memtable_get(memtable, hash_key(expected->key, 0), expected->key,
                                 expected->sequence, &entry));
        assert_true(entry_equal(&entry, expected));
    }
}

/*
 * Goal: KIWI_NO_MEMORY leaves the memtable as it was. Method: every put is tried with its first,
 * its second... allocation failing until it succeeds; after a failure nothing may have changed.
 */
static void put_without_memory_changes_nothing(void **state)
{
    struct memtable_pool *pool;
    struct memtable      *memtable;
    struct model          model = { 0 };
    struct dice           dice = dice_of(3);
    uint8_t              *key = malloc(65536), *value = calloc(1, 20000);
    uint64_t              failures = 0;

    (void)state;
    assert_int_equal(memtable_pool_open(16384, &pool), KIWI_OK);
    memtable = memtable_in(pool);
    for (uint64_t i = 1; i <= 8000; i++) {
        size_t       size = dice_below(&dice, 40) == 0 ? dice_below(&dice, 20000) : i % 60;
        struct entry entry = { .key = key_of(KEYS_USER, dice_below(&dice, 6000), key),
                               .value = bytes_of(value, size), .sequence = i, .kind = ENTRY_PUT };
        uint64_t     snapshot = dice_below(&dice, 3) == 0 ? i - 1 : 0;
        uint64_t     n = 1;

        for (;; n++) {
            memory_fail_after(n);
            if (memtable_put(memtable, hash_key(entry.key, 0), &entry, snapshot) == KIWI_OK)
                break;
            failures++;
            assert_true(n < 20);
            memory_fail_after(0);
            agrees(memtable, &model);
        }
        memory_fail_after(0);
        model_put(&model, &entry, snapshot);
    }
    agrees(memtable, &model);
    assert_true(failures > 100);
    model_end(&model);
    memtable_close(memtable);
    memtable_pool_close(pool);
    free(key);
    free(value);
}

/* Goal: what was reserved needs no memory, for one put as for many. Method: after a reserve every
 * allocation fails; a refused reserve changes nothing. Chunks of 64 KiB, large records too. */
static void reserved_puts_need_no_memory(void **state)
{
    struct memtable_pool *pool;
    struct memtable      *memtable;
    struct model          model = { 0 };
    struct dice           dice = dice_of(4);
    uint8_t              *keys = malloc(40 * 64), *value = calloc(1, 20000);
    uint64_t              refused = 0, sequence = 0;

    (void)state;
    assert_int_equal(memtable_pool_open(65536, &pool), KIWI_OK);
    memtable = memtable_in(pool);
    for (uint32_t round = 0; round < 3000; round++) {
        uint32_t     count = round % 3 == 0 ? 1 + (uint32_t)dice_below(&dice, 40) : 1;
        struct entry entries[40];

        for (uint32_t i = 0; i < count; i++) {
            size_t size = dice_below(&dice, 40) == 0 ? dice_below(&dice, 20000) : round % 60;

            entries[i] = (struct entry){
                .key = key_of(KEYS_USER, dice_below(&dice, 20000), keys + i * 64),
                .value = bytes_of(value, size), .sequence = sequence + 1 + i, .kind = ENTRY_PUT,
            };
        }
        memory_fail_after(1);
        if (memtable_reserve(memtable, entries, count) != KIWI_OK) {
            refused++;
            memory_fail_after(0);
            assert_int_equal(memtable_entry_count(memtable), model.count);
            assert_int_equal(memtable_reserve(memtable, entries, count), KIWI_OK);
        }
        memory_fail_from(1);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(memtable_put(memtable, hash_key(entries[i].key, 0), &entries[i], 0),
                             KIWI_OK);
            model_put(&model, &entries[i], 0);
        }
        memory_fail_after(0);
        sequence += count;
    }
    agrees(memtable, &model);
    assert_true(refused > 100);
    model_end(&model);
    memtable_close(memtable);
    memtable_pool_close(pool);
    free(keys);
    free(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(next_memtable_uses_the_chunks_of_the_last),
        cmocka_unit_test(prepared_pool_takes_no_more_memory),
        cmocka_unit_test(memtables_of_any_size_share_a_pool),
        cmocka_unit_test(bytes_count_chunks_and_index),
        cmocka_unit_test(values_are_replaced_in_place_when_they_fit),
        cmocka_unit_test(largest_key_and_value_are_kept),
        cmocka_unit_test(chunk_sizes_are_made_powers_of_two),
        cmocka_unit_test(open_without_memory_leaves_nothing),
        cmocka_unit_test(put_without_memory_changes_nothing),
        cmocka_unit_test(reserved_puts_need_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
