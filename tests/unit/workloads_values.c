/*
 * Values prove whose they are and that they are whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "workloads/values.h"

static void every_length_is_right_for_its_record_only(void **state)
{
    struct value_pool *pool;
    uint8_t            value[300];

    (void)state;
    assert_int_equal(value_pool_open(1, sizeof value, &pool), KIWI_OK);
    for (uint64_t bytes = 0; bytes <= sizeof value; bytes++) {
        uint64_t version = 99;

        value_write(pool, 12345, 7, value, bytes);
        assert_int_equal(value_check(value, bytes, 12345, &version), VALUE_RIGHT);
        assert_int_equal(version, bytes >= VALUE_HEAD_BYTES ? 7 : 0);
        if (bytes >= 4)
            assert_int_not_equal(value_check(value, bytes, 12346, NULL), VALUE_RIGHT);
        if (bytes >= VALUE_HEAD_BYTES)
            assert_int_equal(value_check(value, bytes, 12346, NULL), VALUE_OTHER_RECORD);
    }
    value_pool_close(pool);
}

static void any_flipped_bit_is_noticed(void **state)
{
    struct value_pool *pool;
    uint8_t            value[100];

    (void)state;
    assert_int_equal(value_pool_open(1, sizeof value, &pool), KIWI_OK);
    for (size_t bytes = 8; bytes <= sizeof value; bytes += 46)
        for (size_t bit = 0; bit < 8 * bytes; bit++) {
            value_write(pool, 5, 3, value, bytes);
            value[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_not_equal(value_check(value, bytes, 5, NULL), VALUE_RIGHT);
        }
    value_pool_close(pool);
}

static void versions_differ_and_repeat(void **state)
{
    struct value_pool *pool;
    uint8_t            one[100], two[100], again[100];

    (void)state;
    assert_int_equal(value_pool_open(9, sizeof one, &pool), KIWI_OK);
    value_write(pool, 5, 1, one, sizeof one);
    value_write(pool, 5, 2, two, sizeof two);
    value_write(pool, 5, 1, again, sizeof again);
    assert_memory_not_equal(one, two, sizeof one);
    assert_memory_equal(one, again, sizeof one);
    value_pool_close(pool);
}

static void text_is_printable_as_in_the_original(void **state)
{
    struct value_pool *pool;
    uint8_t            value[1000];

    (void)state;
    assert_int_equal(value_pool_open(2, sizeof value, &pool), KIWI_OK);
    value_write(pool, 1, 1, value, sizeof value);
    for (size_t i = VALUE_HEAD_BYTES; i < sizeof value; i++)
        assert_in_range(value[i], 32, 127);
    value_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_is_right_for_its_record_only),
        cmocka_unit_test(any_flipped_bit_is_noticed),
        cmocka_unit_test(versions_differ_and_repeat),
        cmocka_unit_test(text_is_printable_as_in_the_original),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
