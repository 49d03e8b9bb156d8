/*
 * The statistics of comparisons: known values, and rates of false alarms and of found slowdowns in
 * simulated experiments.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <math.h>

#include "bench/statistics.h"

static uint64_t random_state;

static double random_share(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (double)(random_state >> 11) / 9007199254740992.0;
}

/* Box and Muller. */
static double random_normal(double deviation)
{
    double radius = sqrt(-2 * log(random_share() + 1e-300));

    return deviation * radius * cos(6.283185307179586 * random_share());
}

static void shifts_of_small_samples_are_known(void **state)
{
    const double rising[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };
    const double mixed[] = { -1, 2, -3, 4, -5, 6 };
    struct shift shift = shift_of(rising, 10);

    (void)state;
    assert_true(fabs(shift.middle - 5.5) < 1e-12);
    assert_true(fabs(shift.p_greater - 1.0 / 1024) < 1e-12);
    assert_true(shift.low > 1 && shift.low < 5.5 && shift.high < 10 && shift.high > 5.5);
    shift = shift_of(mixed, 6);
    /* Positive ranks 2, 4, 6: a sum of 12 or more has 27 of 64 sign patterns. */
    assert_true(fabs(shift.p_greater - 27.0 / 64) < 1e-12);
    shift = shift_of(rising, 1);
    assert_true(shift.low <= shift.middle && shift.middle <= shift.high);
}

/* One experiment as ab does it, looks included: white noise and 5 % of outliers, mean 15 %. */
static enum ab_verdict experiment(double slowdown, double noise)
{
    double   candidate[STATISTICS_COUNT_MAX], canary[STATISTICS_COUNT_MAX];
    uint32_t done = 0;

    for (uint32_t look = 0; look < AB_LOOK_COUNT; look++) {
        struct ab_judgement judgement;

        for (; done < ab_look_pairs(look); done++) {
            double samples[3];
            for (int i = 0; i < 3; i++)
                samples[i] = random_normal(noise)
                           - (random_share() < 0.05 ? 0.15 * log(random_share() + 1e-9) : 0);
            candidate[done] = samples[1] + slowdown - samples[0];
            canary[done] = samples[2] - samples[0];
        }
        judgement = ab_judge(candidate, canary, look, 0.03);
        if (judgement.verdict != AB_GO_ON)
            return judgement.verdict;
    }
    return AB_GO_ON;
}

static void false_alarms_are_rare_and_slowdowns_are_found(void **state)
{
    const char *seed = getenv("KIWI_TEST_SEED");
    uint32_t    alarms = 0, found = 0, small = 0;

    (void)state;
    random_state = seed != NULL ? strtoull(seed, NULL, 10) : 20240229;
    print_message("KIWI_TEST_SEED=%llu\n", (unsigned long long)random_state);
    for (int i = 0; i < 1000; i++) {
        alarms += experiment(0, 0.03) == AB_SLOWER;
        found += experiment(log(1.10), 0.03) == AB_SLOWER;
        small += experiment(log(1.05), 0.03) == AB_SLOWER;
    }
    print_message("of 1000: no change %u slower, +10 %% %u, +5 %% %u\n", alarms, found, small);
    assert_in_range(alarms, 0, 5);
    assert_in_range(found, 930, 1000);
    assert_in_range(small, 500, 1000);
}

static void a_machine_that_moves_by_itself_is_unstable(void **state)
{
    double moved[40], still[40];

    (void)state;
    for (int i = 0; i < 40; i++) {
        moved[i] = 0.05 + 0.001 * i;
        still[i] = 0.0001 * i;
    }
    assert_int_equal(ab_judge(moved, moved, 2, 0.03).verdict, AB_UNSTABLE);
    assert_int_equal(ab_judge(moved, moved, 0, 0.03).verdict, AB_GO_ON);
    assert_int_equal(ab_judge(moved, still, 0, 0.03).verdict, AB_SLOWER);
    assert_int_equal(ab_judge(still, still, 0, 0.03).verdict, AB_PASS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shifts_of_small_samples_are_known),
        cmocka_unit_test(false_alarms_are_rare_and_slowdowns_are_found),
        cmocka_unit_test(a_machine_that_moves_by_itself_is_unstable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
