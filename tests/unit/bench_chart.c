/*
 * Charts show what is below zero, and points that nothing joins.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bench/chart.h"

/* The figure of one line through count points; freed by the caller. */
static char *drawn(const double *x, const double *y, size_t count, bool is_scattered)
{
    struct chart chart = { .id = "one", .title = "One", .note = "", .x_name = "x",
                           .unit = CHART_PERCENT, .line_count = 1 };
    char        *text = NULL;
    size_t       bytes;
    FILE        *file = open_memstream(&text, &bytes);

    assert_non_null(file);
    chart.lines[0] = (struct chart_line){ .name = "line", .x = x, .y = y, .count = count,
                                          .is_scattered = is_scattered };
    chart_draw(file, &chart);
    assert_int_equal(fclose(file), 0);
    return text;
}

static size_t count_of(const char *text, const char *word)
{
    size_t count = 0;

    for (; (text = strstr(text, word)) != NULL; text++)
        count++;
    return count;
}

static void what_is_below_zero_is_on_the_axis(void **state)
{
    const double x[] = { 1, 2, 3 }, y[] = { -7.5, 12, -0.5 };
    char        *text = drawn(x, y, 3, false);

    (void)state;
    assert_non_null(strstr(text, ">-10 %<"));
    assert_non_null(strstr(text, ">0 %<"));
    assert_non_null(strstr(text, ">15 %<"));
    assert_int_equal(count_of(text, "class=\"axis\""), 2); /* the lower end, and zero */
    assert_int_equal(count_of(text, "class=\"line"), 1);
    free(text);
}

static void what_is_only_below_zero_hangs_from_it(void **state)
{
    const double x[] = { 1, 2 }, y[] = { -0.5, -0.29 };
    char        *text = drawn(x, y, 2, false);

    (void)state;
    assert_non_null(strstr(text, ">-0.6 %<"));
    assert_non_null(strstr(text, ">0 %<"));
    assert_null(strstr(text, "e-"));
    free(text);
}

static void an_axis_ends_on_ticks_and_counts_in_wholes(void **state)
{
    const double x[] = { 1, 2, 3 }, y[] = { -2, 20, 0 };
    char        *text = drawn(x, y, 3, false);

    (void)state;
    assert_non_null(strstr(text, ">-10 %<"));
    assert_non_null(strstr(text, ">30 %<"));
    assert_non_null(strstr(text, ">2<"));
    assert_null(strstr(text, ">1.5<"));
    free(text);
}

static void an_axis_without_it_begins_at_zero(void **state)
{
    const double x[] = { 1, 2 }, y[] = { 400, 420 };
    char        *text = drawn(x, y, 2, false);

    (void)state;
    assert_non_null(strstr(text, ">0 %<"));
    assert_null(strstr(text, ">-"));
    assert_int_equal(count_of(text, "class=\"axis\""), 1);
    free(text);
}

static void scattered_points_are_dots_without_a_line(void **state)
{
    const double x[] = { 1, 2, 3, 4 }, y[] = { 1, 2, 1, 2 };
    char        *text = drawn(x, y, 4, true);

    (void)state;
    assert_int_equal(count_of(text, "<circle"), 4);
    assert_int_equal(count_of(text, "class=\"line"), 0);
    assert_int_equal(count_of(text, "line,"), 1 + 4); /* the data: a head, and each point */
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_below_zero_is_on_the_axis),
        cmocka_unit_test(what_is_only_below_zero_hangs_from_it),
        cmocka_unit_test(an_axis_ends_on_ticks_and_counts_in_wholes),
        cmocka_unit_test(an_axis_without_it_begins_at_zero),
        cmocka_unit_test(scattered_points_are_dots_without_a_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
