/*
 * Property files are read as Java reads them, except for blanks at the end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/memory.h"
#include "workloads/chance.h"
#include "workloads/properties.h"

static struct properties parsed(const char *text)
{
    struct properties properties = { 0 };

    assert_int_equal(properties_parse(&properties, "f", text, strlen(text)), KIWI_OK);
    return properties;
}

static void expect_one(const char *text, const char *name, const char *value)
{
    struct properties properties = parsed(text);

    if (properties.count != 1)
        fail_msg("%s: %zu properties", text, properties.count);
    assert_string_equal(properties.items[0].name, name);
    assert_string_equal(properties.items[0].value, value);
    properties_free(&properties);
}

static void every_separator_splits_name_and_value(void **state)
{
    (void)state;
    expect_one("a=b", "a", "b");
    expect_one("a:b", "a", "b");
    expect_one("a b", "a", "b");
    expect_one("a\tb", "a", "b");
    expect_one("  a  =  b", "a", "b");
    expect_one("a : b=c", "a", "b=c");
    expect_one("a  b = c", "a", "b = c");
    expect_one("a==b", "a", "=b");
    expect_one("a", "a", "");
    expect_one("a=", "a", "");
    expect_one("a =\n", "a", "");
}

static void escapes_are_undone(void **state)
{
    (void)state;
    expect_one("a\\ b=c", "a b", "c");
    expect_one("a\\=b=c", "a=b", "c");
    expect_one("a\\:b c", "a:b", "c");
    expect_one("a=x\\ty\\nz\\r\\f", "a", "x\ty\nz\r\f");
    expect_one("a=\\u0041\\u00e9\\u20ac", "a", "A\u00e9\u20ac");
    expect_one("a=\\q\\\\", "a", "q\\");
    expect_one("a\\\\=b", "a\\", "b");
}

static void backslash_at_the_end_continues_the_line(void **state)
{
    struct properties properties;

    (void)state;
    expect_one("a=b\\\n   c", "a", "bc");
    expect_one("a=b\\\r\n\tc", "a", "bc");
    expect_one("a\\\n=b", "a", "b");
    expect_one("a=b\\", "a", "b");
    properties = parsed("a=b\\\\\nc=d");
    assert_int_equal(properties.count, 2);
    assert_string_equal(properties.items[0].value, "b\\");
    properties_free(&properties);
}

static void comments_and_empty_lines_are_skipped(void **state)
{
    struct properties properties =
        parsed("# one\n! two\n\n   \n  # three \\\na=1\r\n\r\n#x\r\nb=2");

    (void)state;
    assert_int_equal(properties.count, 2);
    assert_int_equal(properties.items[0].line, 6);
    assert_int_equal(properties.items[1].line, 9);
    assert_string_equal(properties.items[1].value, "2");
    properties_free(&properties);
}

static void blanks_at_the_end_are_dropped_and_told(void **state)
{
    struct properties properties = parsed("a=true \nb=1\t \nc=x\\ \nd=1");

    (void)state;
    assert_string_equal(properties.items[0].value, "true");
    assert_true(properties.items[0].was_trimmed);
    assert_string_equal(properties.items[1].value, "1");
    assert_true(properties.items[1].was_trimmed);
    assert_string_equal(properties.items[2].value, "x ");
    assert_false(properties.items[2].was_trimmed);
    assert_false(properties.items[3].was_trimmed);
    properties_free(&properties);
}

static void later_definition_wins_and_keeps_its_place(void **state)
{
    struct properties properties = parsed("a=1\nb=2\na=3");

    (void)state;
    assert_int_equal(properties.count, 2);
    assert_string_equal(properties.items[0].value, "3");
    assert_int_equal(properties.items[0].line, 3);
    assert_int_equal(properties_set(&properties, "b", "9", "command line", 0), KIWI_OK);
    assert_string_equal(properties_find(&properties, "b")->value, "9");
    assert_null(properties_find(&properties, "c"));
    properties_free(&properties);
}

static void malformed_texts_are_refused(void **state)
{
    struct properties properties = { 0 };

    (void)state;
    assert_int_equal(properties_parse(&properties, "f", "a=\\u12", 6), KIWI_INVALID);
    assert_int_equal(properties_parse(&properties, "f", "x=1\na=\\uzzzz", 12), KIWI_INVALID);
    assert_non_null(strstr(fail_text(), "f:2"));
    assert_int_equal(properties_parse(&properties, "f", "a=b\0c", 5), KIWI_INVALID);
    assert_int_equal(properties_parse(&properties, "f", "a=\\u0000", 8), KIWI_INVALID);
    properties_free(&properties);
}

/* Goal: no text crashes the reader. Method: random strings over the bytes that matter. */
static void random_texts_never_crash(void **state)
{
    const char   *seed_text = getenv("KIWI_SEED");
    uint64_t      seed = seed_text != NULL ? strtoull(seed_text, NULL, 10) : 1;
    struct chance chance = chance_of(seed, 0);
    const char    letters[] = "ab=: \t\\\n\r#!u0e\f";

    (void)state;
    printf("seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 50000; round++) {
        struct properties properties = { 0 };
        char              text[40];
        size_t            bytes = chance_below(&chance, sizeof text);

        for (size_t i = 0; i < bytes; i++)
            text[i] = letters[chance_below(&chance, sizeof letters - 1)];
        (void)!properties_parse(&properties, "f", text, bytes);
        properties_free(&properties);
    }
}

static void running_out_of_memory_is_reported(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 6; n++) {
        struct properties properties = { 0 };

        memory_fail_after(n);
        enum kiwi_status status = properties_parse(&properties, "f", "a=1\nb=2\n", 8);
        memory_fail_after(0);
        assert_true(status == KIWI_NO_MEMORY || status == KIWI_OK);
        properties_free(&properties);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_separator_splits_name_and_value),
        cmocka_unit_test(escapes_are_undone),
        cmocka_unit_test(backslash_at_the_end_continues_the_line),
        cmocka_unit_test(comments_and_empty_lines_are_skipped),
        cmocka_unit_test(blanks_at_the_end_are_dropped_and_told),
        cmocka_unit_test(later_definition_wins_and_keeps_its_place),
        cmocka_unit_test(malformed_texts_are_refused),
        cmocka_unit_test(random_texts_never_crash),
        cmocka_unit_test(running_out_of_memory_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
