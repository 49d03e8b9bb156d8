/*
 * Tracked records know which versions may be found.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bench/tracked.h"

static void expect_bounds(struct tracked *tracked, uint64_t place, uint64_t first, uint64_t last)
{
    uint64_t a, b;

    tracked_bounds(tracked, place, &a, &b);
    assert_int_equal(a, first);
    assert_int_equal(b, last);
}

static void multiples_of_the_stride_are_the_sample(void **state)
{
    static const uint64_t sizes[][2] = { { 1, 10 }, { 1000, 10 }, { 1000000, 32768 }, { 77, 77 } };

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct tracked *tracked;
        uint64_t        found = 0;

        assert_int_equal(tracked_open(sizes[i][0], sizes[i][1], &tracked), KIWI_OK);
        for (uint64_t record = 0; record < sizes[i][0]; record++) {
            uint64_t place = tracked_place(tracked, record);
            if (place == TRACKED_NONE)
                continue;
            assert_int_equal(place, found);
            assert_int_equal(tracked_record(tracked, place), record);
            found++;
        }
        assert_in_range(tracked_count(tracked), found, found + 1);
        assert_true(found >= 1);
        tracked_close(tracked);
    }
}

static void single_writes_raise_the_floor_one_by_one(void **state)
{
    struct tracked *tracked;

    (void)state;
    assert_int_equal(tracked_open(10, 10, &tracked), KIWI_OK);
    expect_bounds(tracked, 0, 0, 0);
    for (uint64_t i = 1; i < 5; i++) {
        assert_int_equal(tracked_begin(tracked, 0), i);
        tracked_end(tracked, 0, true);
        expect_bounds(tracked, 0, i, i);
    }
    expect_bounds(tracked, 1, 0, 0);
    tracked_close(tracked);
}

static void overlapping_writes_may_end_in_any_order(void **state)
{
    struct tracked *tracked;

    (void)state;
    assert_int_equal(tracked_open(10, 10, &tracked), KIWI_OK);
    (void)tracked_begin(tracked, 0);
    tracked_end(tracked, 0, true);
    assert_int_equal(tracked_begin(tracked, 0), 2);
    assert_int_equal(tracked_begin(tracked, 0), 3);
    tracked_end(tracked, 0, true);
    expect_bounds(tracked, 0, 1, 3);
    tracked_end(tracked, 0, true);
    expect_bounds(tracked, 0, 2, 3);
    tracked_close(tracked);
}

static void refused_write_leaves_the_floor(void **state)
{
    struct tracked *tracked;

    (void)state;
    assert_int_equal(tracked_open(10, 10, &tracked), KIWI_OK);
    (void)tracked_begin(tracked, 0);
    tracked_end(tracked, 0, true);
    (void)tracked_begin(tracked, 0);
    tracked_end(tracked, 0, false);
    expect_bounds(tracked, 0, 1, 2);
    tracked_close(tracked);
}

static void a_record_may_be_missing_only_while_a_delete_may_be_its_last_write(void **state)
{
    struct tracked *tracked;

    (void)state;
    assert_int_equal(tracked_open(10, 10, &tracked), KIWI_OK);
    assert_true(tracked_may_be_missing(tracked, 0));
    (void)tracked_begin(tracked, 0);
    assert_true(tracked_may_be_missing(tracked, 0)); /* not acknowledged yet */
    tracked_end(tracked, 0, true);
    assert_false(tracked_may_be_missing(tracked, 0));
    /* An acknowledged delete: missing, and no version may be found. */
    tracked_begin_delete(tracked, 0);
    tracked_end(tracked, 0, true);
    assert_true(tracked_may_be_missing(tracked, 0));
    expect_bounds(tracked, 0, 2, 2);
    assert_true(tracked_deleted_share(tracked) == 1);
    /* A later write brings it back. */
    assert_int_equal(tracked_begin(tracked, 0), 3);
    tracked_end(tracked, 0, true);
    assert_false(tracked_may_be_missing(tracked, 0));
    assert_true(tracked_deleted_share(tracked) == 0);
    /* Side by side, either may be the last. */
    tracked_begin_delete(tracked, 0);
    assert_int_equal(tracked_begin(tracked, 0), 5);
    tracked_end(tracked, 0, true);
    tracked_end(tracked, 0, true);
    assert_true(tracked_may_be_missing(tracked, 0));
    expect_bounds(tracked, 0, 4, 5);
    /* A refused delete may have happened or not. */
    (void)tracked_begin(tracked, 0);
    tracked_end(tracked, 0, true);
    tracked_begin_delete(tracked, 0);
    tracked_end(tracked, 0, false);
    assert_true(tracked_may_be_missing(tracked, 0));
    expect_bounds(tracked, 0, 6, 7);
    tracked_close(tracked);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(multiples_of_the_stride_are_the_sample),
        cmocka_unit_test(single_writes_raise_the_floor_one_by_one),
        cmocka_unit_test(overlapping_writes_may_end_in_any_order),
        cmocka_unit_test(refused_write_leaves_the_floor),
        cmocka_unit_test(a_record_may_be_missing_only_while_a_delete_may_be_its_last_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
