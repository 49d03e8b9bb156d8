/*
 * Steps in a series are found where they are, and rarely where there are none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <math.h>

#include "bench/change.h"
#include "workloads/chance.h"

static uint64_t      seed_under_test = 7;
static struct chance chance;

static int chance_begin(void **state)
{
    (void)state;
    chance = chance_of(seed_under_test, 0);
    return 0;
}

static double normal(void)
{
    double sum = 0;

    for (int i = 0; i < 12; i++)
        sum += chance_unit(&chance);
    return sum - 6;
}

/* Measurements have a long tail to one side. */
static double skewed(void)
{
    return -log(1 - chance_unit(&chance));
}

/* count values around 100 with a deviation, each multiplied by its level. */
static void series_make(double *values, size_t count, double deviation, size_t step, double level)
{
    for (size_t i = 0; i < count; i++)
        values[i] = (100 + deviation * normal()) * (i >= step ? level : 1);
}

static size_t steps_of(const double *values, size_t count, struct change *steps)
{
    struct change_options options = change_options_default();
    size_t                found = 0;

    options.seed = chance_next(&chance);
    assert_int_equal(changes_find(values, count, &options, steps, 8, &found), KIWI_OK);
    return found;
}

static void step_is_found_where_it_is(void **state)
{
    double        values[40];
    struct change steps[8];

    (void)state;
    series_make(values, 40, 1, 18, 0.92);
    assert_int_equal(steps_of(values, 40, steps), 1);
    assert_in_range(steps[0].index, 17, 19);
    assert_true(fabs(steps[0].before - 100) < 1);
    assert_true(fabs(steps[0].after - 92) < 1);
    assert_true(steps[0].chance <= CHANGE_LEVEL);
}

static void several_steps_are_found_in_order(void **state)
{
    double        values[60];
    struct change steps[8];

    (void)state;
    for (size_t i = 0; i < 60; i++)
        values[i] = (100 + normal()) * (i < 20 ? 1 : i < 45 ? 1.2 : 0.9);
    assert_int_equal(steps_of(values, 60, steps), 2);
    assert_in_range(steps[0].index, 19, 21);
    assert_in_range(steps[1].index, 44, 46);
    assert_true(steps[0].after > steps[0].before);
    assert_true(steps[1].after < steps[1].before);
}

/* Goal: the stated rate of false alarms. Method: many series of one level, normal and skewed; the
 * count of those with a step is binomial, and its mean plus four deviations is allowed. */
static void false_alarms_are_as_rare_as_stated(void **state)
{
    enum { SERIES = 1000, VALUES = 24 };
    size_t       alarms = 0;
    const double allowed =
        SERIES * CHANGE_LEVEL + 4 * sqrt(SERIES * CHANGE_LEVEL * (1 - CHANGE_LEVEL));

    (void)state;
    for (size_t i = 0; i < SERIES; i++) {
        double        values[VALUES];
        struct change steps[8];

        for (size_t j = 0; j < VALUES; j++)
            values[j] = 100 + (i % 2 == 0 ? 10 * normal() : 20 * skewed());
        alarms += steps_of(values, VALUES, steps) > 0;
    }
    print_message("%zu alarms in %d series without a step\n", alarms, SERIES);
    if ((double)alarms > allowed)
        fail_msg("%zu alarms, at most %.0f are in order", alarms, allowed);
}

/* A step of three deviations, 6 %, ten values on each side. */
static void clear_steps_are_seldom_missed(void **state)
{
    enum { SERIES = 100 };
    size_t seen = 0;

    (void)state;
    for (size_t i = 0; i < SERIES; i++) {
        double        values[20];
        struct change steps[8];

        series_make(values, 20, 2, 10, 1.06);
        if (steps_of(values, 20, steps) > 0)
            seen += steps[0].index >= 9 && steps[0].index <= 11;
    }
    print_message("%zu of %d steps of 6 %% found in noise of 2 %%\n", seen, SERIES);
    assert_true(seen >= 75);
}

static void step_below_the_share_is_none(void **state)
{
    double        values[60];
    struct change steps[8];

    (void)state;
    series_make(values, 60, 0.1, 30, 1.02);
    assert_int_equal(steps_of(values, 60, steps), 0);
    series_make(values, 60, 0.1, 30, 1.04);
    assert_int_equal(steps_of(values, 60, steps), 1);
}

static void single_outlier_is_no_step(void **state)
{
    double        values[30];
    struct change steps[8];

    (void)state;
    series_make(values, 30, 1, 30, 1);
    values[14] = 300;
    assert_int_equal(steps_of(values, 30, steps), 0);
}

static void few_equal_or_many_values_are_fine(void **state)
{
    static double values[CHANGE_VALUES_MAX + 100];
    struct change steps[8];

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(values); i++)
        values[i] = i < ARRAY_COUNT(values) - 50 ? 5 : 6;
    assert_int_equal(steps_of(values, 0, steps), 0);
    assert_int_equal(steps_of(values, 1, steps), 0);
    assert_int_equal(steps_of(values, 5, steps), 0);
    assert_int_equal(steps_of(values, 100, steps), 0);
}

static void index_counts_from_the_first_of_a_long_series(void **state)
{
    static double         values[CHANGE_VALUES_MAX + 100];
    struct change_options options = change_options_default();
    struct change         steps[8];
    size_t                found;

    (void)state;
    options.shuffles = 99;
    for (size_t i = 0; i < ARRAY_COUNT(values); i++)
        values[i] = (i < 400 ? 5 : 6) + 0.1 * chance_unit(&chance);
    assert_int_equal(changes_find(values, ARRAY_COUNT(values), &options, steps, 8, &found),
                     KIWI_OK);
    assert_int_equal(found, 1);
    assert_int_equal(steps[0].index, 400);
}

static void same_seed_gives_the_same_chances(void **state)
{
    double        values[30];
    struct change first[8], second[8];
    size_t        found, again;
    const struct change_options options = change_options_default();

    (void)state;
    series_make(values, 30, 3, 15, 1.06);
    assert_int_equal(changes_find(values, 30, &options, first, 8, &found), KIWI_OK);
    assert_int_equal(changes_find(values, 30, &options, second, 8, &again), KIWI_OK);
    assert_int_equal(found, again);
    for (size_t i = 0; i < found; i++)
        assert_true(first[i].chance == second[i].chance && first[i].index == second[i].index);
}

#define TEST(name) cmocka_unit_test_setup(name, chance_begin)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(step_is_found_where_it_is),
        TEST(several_steps_are_found_in_order),
        TEST(false_alarms_are_as_rare_as_stated),
        TEST(clear_steps_are_seldom_missed),
        TEST(step_below_the_share_is_none),
        TEST(single_outlier_is_no_step),
        TEST(few_equal_or_many_values_are_fine),
        TEST(index_counts_from_the_first_of_a_long_series),
        TEST(same_seed_gives_the_same_chances),
    };

    if (argc > 1)
        seed_under_test = strtoull(argv[1], NULL, 0);
    printf("seed %llu\n", (unsigned long long)seed_under_test);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
