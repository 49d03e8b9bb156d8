/*
 * table_search.c: the three variants of every wide compare agree with the plain definition.
 */
#include "tests/unit/table_harness.h"

#include <stdlib.h>

#include "core/table/search.h"

static const uint32_t counts[] = { 0,  1,  2,  7,  8,  9,   15,  16,  17,  31,  32,   33,   47,  48,
                                   49, 63, 64, 65, 95, 96, 97, 127, 128, 200, 500, 1000, 5461 };

static struct head_span span_of(const uint64_t *numbers, uint32_t count, uint64_t goal)
{
    struct head_span span = { 0, 0 };

    for (uint32_t i = 0; i < count; i++) {
        span.lower += numbers[i] < goal;
        span.upper += numbers[i] <= goal;
    }
    return span;
}

static int number_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Numbers over the whole range, or few different ones, or the ends of the range. */
static void numbers_make(struct random *random, uint64_t *numbers, uint32_t count, uint64_t mask)
{
    uint64_t kind = random_below(random, 3);

    for (uint32_t i = 0; i < count; i++) {
        numbers[i] = random_next(random) & mask;
        if (kind == 1)
            numbers[i] &= 3;
        if (kind == 2)
            numbers[i] = random_below(random, 2) == 0 ? numbers[i] & 1 : mask - (numbers[i] & 1);
    }
    qsort(numbers, count, sizeof *numbers, number_order);
}

static void check_count(struct random *random, uint32_t count)
{
    /* Exactly the slack that a block promises, at an odd address. */
    uint8_t  *memory32 = malloc(1 + (size_t)count * 4 + TABLE_COLUMN_SLACK);
    uint8_t  *memory64 = malloc(1 + (size_t)count * 8 + TABLE_COLUMN_SLACK);
    uint64_t *numbers = malloc((count + 1) * sizeof *numbers);

    for (int is_wide = 0; is_wide < 2; is_wide++) {
        numbers_make(random, numbers, count, is_wide ? UINT64_MAX : UINT32_MAX);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t narrow = (uint32_t)numbers[i];
            memcpy(memory32 + 1 + (size_t)i * 4, &narrow, 4);
            memcpy(memory64 + 1 + (size_t)i * 8, &numbers[i], 8);
        }
        for (int round = 0; round < 60; round++) {
            uint64_t goal = round % 2 == 0 || count == 0
                              ? random_next(random)
                              : numbers[random_below(random, count)] + random_below(random, 3) - 1;
            if (!is_wide)
                goal &= UINT32_MAX;
            struct head_span truth = span_of(numbers, count, goal);
            struct head_span found = is_wide ? heads64_find(memory64 + 1, count, goal)
                                             : heads32_find(memory32 + 1, count, (uint32_t)goal);
            assert_int_equal(found.lower, truth.lower);
            assert_int_equal(found.upper, truth.upper);
        }
    }
    free(memory32);
    free(memory64);
    free(numbers);
}

static void every_variant_finds_the_same_span(void **state)
{
    struct random random = { seed_of_run() };

    (void)state;
    for (int search = 0; search <= (int)block_search_best(); search++) {
        block_search_force((enum block_search)search);
        for (size_t i = 0; i < ARRAY_COUNT(counts); i++)
            for (int round = 0; round < 6; round++)
                check_count(&random, counts[i]);
    }
    block_search_force(block_search_best());
}

/* Numbers out of order, as only damage makes them: the span may be wrong, not out of bounds. */
static void a_span_stays_inside_whatever_the_numbers_are(void **state)
{
    struct random  random = { seed_of_run() };
    static uint8_t heads[5461 * 4 + TABLE_COLUMN_SLACK]; /* zeros at first */

    (void)state;
    for (int search = 0; search <= (int)block_search_best(); search++) {
        block_search_force((enum block_search)search);
        for (int round = 0; round < 3000; round++) {
            uint32_t count = counts[random_below(&random, ARRAY_COUNT(counts))];
            for (uint32_t i = 0; i < 64; i++)
                heads[random_below(&random, sizeof heads)] = (uint8_t)random_next(&random);
            struct head_span span = heads32_find(heads, count, (uint32_t)random_next(&random));
            assert_true(span.lower <= span.upper && span.upper <= count);
            span = heads64_find(heads, count / 2, random_next(&random));
            assert_true(span.lower <= span.upper && span.upper <= count / 2);
        }
    }
    block_search_force(block_search_best());
}

static void every_variant_sets_and_tests_the_same_lanes(void **state)
{
    struct random random = { seed_of_run() };

    (void)state;
    for (int round = 0; round < 20000; round++) {
        uint64_t bits = random_next(&random);
        uint32_t mask = (uint32_t)random_below(&random, 256);
        uint8_t  block[3][64], truth[64];
        for (size_t i = 0; i < sizeof truth; i++)
            truth[i] = (uint8_t)(random_next(&random) & random_next(&random));
        bool expected = true;
        for (uint32_t lane = 0; lane < 8; lane++) {
            uint32_t bit = lane * 64 + (uint32_t)(bits >> (6 * lane) & 63);
            if ((mask >> lane & 1) != 0)
                expected = expected && (truth[bit / 8] >> bit % 8 & 1) != 0;
        }
        for (int search = 0; search <= (int)block_search_best(); search++) {
            block_search_force((enum block_search)search);
            memcpy(block[search], truth, sizeof truth);
            assert_true(lanes_test(block[search], bits, mask) == expected);
            lanes_set(block[search], bits, mask);
            assert_true(lanes_test(block[search], bits, mask));
            assert_memory_equal(block[search], block[0], sizeof truth);
        }
        for (uint32_t lane = 0; lane < 8; lane++) {
            uint32_t bit = lane * 64 + (uint32_t)(bits >> (6 * lane) & 63);
            if ((mask >> lane & 1) != 0)
                truth[bit / 8] |= (uint8_t)(1u << bit % 8);
        }
        assert_memory_equal(block[0], truth, sizeof truth);
    }
    block_search_force(block_search_best());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_variant_finds_the_same_span),
        cmocka_unit_test(a_span_stays_inside_whatever_the_numbers_are),
        cmocka_unit_test(every_variant_sets_and_tests_the_same_lanes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
