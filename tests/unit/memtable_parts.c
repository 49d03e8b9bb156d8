/*
 * The parts of a memtable: head search, key index, cursor ends, several readers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/base/hash.h"
#include "core/memtable/state.h"
#include "io/thread.h"
#include "memtable_harness.h"

/* ---- heads ---- */

static int numbers_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Goal: every variant counts as a plain loop does. Method: few different heads, so that many tie,
 * the extremes and the top bit among them. */
static void every_search_variant_counts_smaller_heads(void **state)
{
    _Alignas(64) uint64_t heads[HEADS_COUNT];
    struct dice           dice = dice_of(1);

    (void)state;
    for (uint32_t round = 0; round < 20000; round++) {
        uint32_t used = (uint32_t)dice_below(&dice, HEADS_COUNT + 1);
        uint64_t range = 1 + dice_draw(&dice) % 100, wanted, expected = 0;

        for (uint32_t i = 0; i < HEADS_COUNT; i++) {
            uint64_t few = dice_below(&dice, range);

            heads[i] = i >= used ? HEAD_UNUSED
                : few % 3 == 0   ? 0 - few
                : few % 3 == 1   ? few
                                 : (1ull << 63) - 5 + few;
        }
        qsort(heads, HEADS_COUNT, sizeof heads[0], numbers_order);
        wanted = heads[dice_below(&dice, HEADS_COUNT)];
        if (dice_below(&dice, 4) == 0)
            wanted = dice_draw(&dice);
        for (uint32_t i = 0; i < HEADS_COUNT; i++)
            expected += heads[i] < wanted;
        for (enum heads_variant variant = 0; variant < HEADS_VARIANT_COUNT; variant++) {
            heads_lower *lower = heads_lower_of(variant);

            if (lower != NULL)
                assert_int_equal(lower(heads, wanted), expected);
        }
    }
}

static void best_search_variant_is_one_that_runs(void **state)
{
    _Alignas(64) uint64_t heads[HEADS_COUNT] = { 0 };

    (void)state;
    assert_non_null(heads_lower_of(HEADS_SCALAR));
    assert_int_equal(heads_lower_best()(heads, 0), 0);
    assert_int_equal(heads_lower_best()(heads, 1), HEADS_COUNT);
}

/* ---- the key index ---- */

struct index_world {
    struct memtable_pool *pool;
    struct arena          arena;
    struct key_index      index;
};

static void index_open(struct index_world *world, uint64_t expected_keys)
{
    assert_int_equal(memtable_pool_open(65536, &world->pool), KIWI_OK);
    assert_int_equal(arena_open(&world->arena, world->pool), KIWI_OK);
    assert_int_equal(key_index_open(&world->index, &world->arena, expected_keys), KIWI_OK);
}

static void index_close(struct index_world *world)
{
    key_index_close(&world->index);
    arena_close(&world->arena);
    memtable_pool_close(world->pool);
}

static uint32_t index_put(struct index_world *world, uint64_t number, uint32_t hash)
{
    uint32_t       reference;
    struct record *record;

    assert_int_equal(key_index_prepare(&world->index, &world->arena, hash), KIWI_OK);
    assert_int_equal(arena_reserve(&world->arena, 64), KIWI_OK);
    reference = arena_allocate(&world->arena, 40, 8);
    record = arena_record(&world->arena, reference);
    *record = (struct record){ .hash = hash, .key_bytes = 8 };
    memcpy(record->bytes, &number, 8);
    key_index_add(&world->index, hash, reference);
    return reference;
}

static void index_agrees(uint64_t count, uint32_t hash_mask, uint64_t expected_keys)
{
    struct index_world world;
    uint32_t          *references = calloc(count, sizeof *references);
    struct dice        dice = dice_of(2);

    index_open(&world, expected_keys);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t probe = dice_below(&dice, count);
        uint32_t hash = key_index_hash(hash_key(bytes_of(&probe, 8), 3)) & hash_mask;
        uint32_t *pool = key_index_find(&world.index, hash, bytes_of(&probe, 8));

        if (references[probe] == 0) {
            assert_null(pool);
            references[probe] = index_put(&world, probe, hash);
        } else {
            assert_non_null(pool);
            assert_int_equal(*pool, references[probe]);
        }
    }
    for (uint64_t i = 0; i < count; i++) {
        uint32_t  hash = key_index_hash(hash_key(bytes_of(&i, 8), 3)) & hash_mask;
        uint32_t *pool = key_index_find(&world.index, hash, bytes_of(&i, 8));

        assert_int_equal(pool == NULL ? 0 : *pool, references[i]);
    }
    index_close(&world);
    free(references);
}

static void index_finds_what_was_added_while_it_grows(void **state)
{
    (void)state;
    index_agrees(200000, UINT32_MAX, 0);
    index_agrees(20000, UINT32_MAX, 100000);
}

static void index_grows_in_proportion_to_its_keys(void **state)
{
    struct index_world world;

    (void)state;
    index_open(&world, 0);
    for (uint64_t i = 0; i < 100000; i++)
        index_put(&world, i, key_index_hash(hash_key(bytes_of(&i, 8), 3)));
    /* 40 bytes of record, 5.3 of pool at no less than 0.35 full, and the directory. */
    assert_true(arena_bytes(&world.arena) < 100000 * (40 + 16) + 200000);
    assert_true(key_index_directory_bytes(&world.index) < 100000);
    index_close(&world);
}

/* Goal: hashes that differ in few bits, or in none, end in chains, not in an endless directory. */
static void index_survives_poor_hashes(void **state)
{
    (void)state;
    index_agrees(4000, 0, 0);
    index_agrees(4000, 1u << 31, 0);
    index_agrees(4000, 63, 0);
    index_agrees(20000, 0xfff, 0);
}

/* ---- cursors ---- */

static void put(struct memtable *memtable, const char *key, uint64_t sequence)
{
    struct bytes bytes = bytes_of(key, strlen(key));
    struct entry entry = { .key = bytes, .value = bytes, .sequence = sequence, .kind = ENTRY_PUT };

    assert_int_equal(memtable_put(memtable, hash_key(bytes, 0), &entry, SEQUENCE_MAX), KIWI_OK);
}

static struct memtable *memtable_new(struct memtable_pool **pool)
{
    struct memtable        *memtable;
    struct memtable_options options = { 0 };

    assert_int_equal(memtable_pool_open(16384, pool), KIWI_OK);
    options.pool = *pool;
    assert_int_equal(memtable_open(&options, &memtable), KIWI_OK);
    return memtable;
}

static void empty_memtable_has_nothing_anywhere(void **state)
{
    struct memtable_pool  *pool;
    struct memtable       *memtable = memtable_new(&pool);
    struct memtable_cursor cursor;
    struct entry           entry;
    struct bytes           none = bytes_of(NULL, 0), some = bytes_of("x", 1);

    (void)state;
    memtable_cursor_init(&cursor, memtable);
    assert_int_equal(iter_next(&cursor.iter), ITER_END);
    assert_int_equal(iter_previous(&cursor.iter), ITER_END);
    assert_int_equal(iter_first(&cursor.iter), ITER_END);
    assert_int_equal(iter_last(&cursor.iter), ITER_END);
    assert_int_equal(iter_seek(&cursor.iter, some, 5), ITER_END);
    assert_int_equal(iter_seek(&cursor.iter, none, SEQUENCE_MAX), ITER_END);
    assert_int_equal(iter_seek_before(&cursor.iter, some), ITER_END);
    assert_false(memtable_get(memtable, 5, some, SEQUENCE_MAX, &entry));
    assert_int_equal(memtable_common_prefix(memtable).size, 0);
    assert_int_equal(memtable_entry_count(memtable), 0);
    assert_true(skiplist_check(&memtable->list));
    memtable_close(memtable);
    memtable_pool_close(pool);
}

static void cursor_leaves_an_end_only_by_a_seek(void **state)
{
    struct memtable_pool  *pool;
    struct memtable       *memtable = memtable_new(&pool);
    struct memtable_cursor cursor;

    (void)state;
    put(memtable, "b", 1);
    memtable_cursor_init(&cursor, memtable);
    assert_int_equal(iter_first(&cursor.iter), ITER_AT_ENTRY);
    assert_int_equal(iter_next(&cursor.iter), ITER_END);
    assert_int_equal(iter_previous(&cursor.iter), ITER_END);
    assert_int_equal(iter_last(&cursor.iter), ITER_AT_ENTRY);
    assert_int_equal(iter_previous(&cursor.iter), ITER_END);
    assert_int_equal(iter_next(&cursor.iter), ITER_END);
    assert_int_equal(iter_seek(&cursor.iter, bytes_of("b", 1), 1), ITER_AT_ENTRY);
    assert_int_equal(iter_seek(&cursor.iter, bytes_of("b", 1), 0), ITER_END);
    assert_int_equal(iter_seek_before(&cursor.iter, bytes_of("b", 1)), ITER_AT_ENTRY);
    assert_int_equal(iter_seek_before(&cursor.iter, bytes_of("a", 1)), ITER_END);
    memtable_close(memtable);
    memtable_pool_close(pool);
}

static void common_prefix_is_what_all_keys_share(void **state)
{
    struct memtable_pool *pool;
    struct memtable      *memtable = memtable_new(&pool);

    (void)state;
    put(memtable, "user-200", 1);
    assert_int_equal(memtable_common_prefix(memtable).size, 8);
    put(memtable, "user-21", 2);
    assert_true(bytes_equal(memtable_common_prefix(memtable), bytes_of("user-2", 6)));
    put(memtable, "user", 3);
    assert_true(bytes_equal(memtable_common_prefix(memtable), bytes_of("user", 4)));
    put(memtable, "v", 4);
    assert_int_equal(memtable_common_prefix(memtable).size, 0);
    memtable_close(memtable);
    memtable_pool_close(pool);
}

/* Goal: heads that say nothing at first come to say something. Method: long equal starts; then look
 * how many heads still tie. */
static void tied_heads_find_a_better_prefix(void **state)
{
    struct memtable_pool *pool;
    struct memtable      *memtable = memtable_new(&pool);
    uint8_t              *key = malloc(65536);
    uint64_t              ties = 0, count = 0;

    (void)state;
    for (uint64_t i = 1; i <= 20000; i++) {
        struct bytes bytes = key_of(KEYS_TIED, i * 7919 % 1000003, key);
        struct entry entry = { .key = bytes, .sequence = i, .kind = ENTRY_PUT };

        assert_int_equal(memtable_put(memtable, hash_key(bytes, 0), &entry, 0), KIWI_OK);
    }
    for (uint32_t at = memtable->list.first; at != 0;) {
        const struct block *block = arena_at(&memtable->arena, at);

        for (uint32_t i = 1; i < block->count; i++, count++)
            ties += block->heads[i - 1] == block->heads[i];
        at = block->right;
    }
    assert_true(count > 15000);
    assert_true(ties < count / 10);
    assert_true(skiplist_check(&memtable->list));
    free(key);
    memtable_close(memtable);
    memtable_pool_close(pool);
}

/* Goal: a put that begins at a block announced for another key of its hash finds its own place.
 * Method: one hash for two keys that are in none of the memtable's groups yet, far apart. */
static void an_announced_block_is_taken_for_its_own_keys_alone(void **state)
{
    static const char *const pairs[][2] = { { "k0100", "k0000" }, { "k0100", "k9999" },
                                            { "k9990", "k0001" }, { "k5000x", "k5000" } };
    struct memtable_pool *pool;
    struct memtable      *memtable = memtable_new(&pool);
    char                  text[8];

    (void)state;
    for (uint32_t i = 10; i < 9990; i += 7) {
        snprintf(text, sizeof text, "k%04u", i);
        put(memtable, text, i);
    }
    for (uint64_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const uint64_t hash = hash_key(bytes_of("?", 1), i);
        struct entry   entry = { .sequence = 20000 + i, .kind = ENTRY_PUT };

        entry.key = bytes_of(pairs[i][1], strlen(pairs[i][1]));
        memtable_prefetch_put(memtable, hash, bytes_of(pairs[i][0], strlen(pairs[i][0])));
        assert_int_equal(memtable_put(memtable, hash, &entry, 0), KIWI_OK);
        assert_true(skiplist_check(&memtable->list));
    }
    memtable_close(memtable);
    memtable_pool_close(pool);
}

/* ---- several readers ---- */

#define READER_KEYS 20000u

struct reader {
    const struct memtable *memtable;
    uint64_t               found, walked;
};

static void reader_run(void *context)
{
    struct reader         *reader = context;
    struct memtable_cursor cursor;
    struct entry           entry;
    char                   text[32];

    for (uint64_t i = 0; i < READER_KEYS; i++) {
        int          size = snprintf(text, sizeof text, "key%llu", (unsigned long long)i);
        struct bytes key = bytes_of(text, (size_t)size);

        uint64_t     hash = hash_key(key, 0);

        memtable_prefetch(reader->memtable, hash);
        memtable_prefetch_record(reader->memtable, hash);
        reader->found += memtable_get(reader->memtable, hash, key, SEQUENCE_MAX, &entry);
        reader->found += memtable_get(reader->memtable, hash, key, READER_KEYS, &entry);
    }
    memtable_cursor_init(&cursor, reader->memtable);
    for (enum iter_state at = iter_last(&cursor.iter); at == ITER_AT_ENTRY;
         at = iter_previous(&cursor.iter))
        reader->walked++;
}

/* Goal: reading a frozen memtable writes nothing; the thread sanitizer tells otherwise. */
static void frozen_memtable_is_read_by_several_threads(void **state)
{
    struct memtable_pool *pool;
    struct memtable      *memtable = memtable_new(&pool);
    struct reader         readers[3];
    struct thread        *threads[3];
    char                  text[32];

    (void)state;
    for (uint64_t i = 0; i < 2 * READER_KEYS; i++) {
        snprintf(text, sizeof text, "key%llu", (unsigned long long)(i % READER_KEYS));
        put(memtable, text, i + 1);
    }
    memtable_freeze(memtable);
    for (uint32_t i = 0; i < 3; i++) {
        readers[i] = (struct reader){ .memtable = memtable };
        assert_int_equal(thread_start(reader_run, &readers[i], -1, "reader", &threads[i]), KIWI_OK);
    }
    for (uint32_t i = 0; i < 3; i++) {
        thread_join(threads[i]);
        assert_int_equal(readers[i].found, 2 * READER_KEYS);
        assert_int_equal(readers[i].walked, 2 * READER_KEYS);
    }
    memtable_close(memtable);
    memtable_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_search_variant_counts_smaller_heads),
        cmocka_unit_test(best_search_variant_is_one_that_runs),
        cmocka_unit_test(index_finds_what_was_added_while_it_grows),
        cmocka_unit_test(index_grows_in_proportion_to_its_keys),
        cmocka_unit_test(index_survives_poor_hashes),
        cmocka_unit_test(empty_memtable_has_nothing_anywhere),
        cmocka_unit_test(cursor_leaves_an_end_only_by_a_seek),
        cmocka_unit_test(common_prefix_is_what_all_keys_share),
        cmocka_unit_test(tied_heads_find_a_better_prefix),
        cmocka_unit_test(an_announced_block_is_taken_for_its_own_keys_alone),
        cmocka_unit_test(frozen_memtable_is_read_by_several_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
