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

struct machine {
    double noise;   /* deviation of one sample; beside it 5 % of outliers, mean 15 % */
    double bias;    /* deviation of what an arm is off by for as long as the session lasts */
};

/* One session as ab does it, looks included. */
static enum ab_verdict session(double slowdown, struct machine machine)
{
    double   candidate[STATISTICS_COUNT_MAX], canary[STATISTICS_COUNT_MAX], bias[3];
    uint32_t done = 0;

    for (int i = 0; i < 3; i++)
        bias[i] = machine.bias > 0 ? random_normal(machine.bias) : 0;
    for (uint32_t look = 0; look < AB_LOOK_COUNT; look++) {
        struct ab_judgement judgement;

        for (; done < ab_look_pairs(look); done++) {
            double samples[3];
            for (int i = 0; i < 3; i++)
                samples[i] = bias[i] + random_normal(machine.noise)
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

/* What is slower in one session is measured in a second one. */
static uint32_t confirmed_of_1000(double slowdown, struct machine machine)
{
    uint32_t confirmed = 0;

    for (int i = 0; i < 1000; i++)
        confirmed += session(slowdown, machine) == AB_SLOWER
                  && session(slowdown, machine) == AB_SLOWER;
    return confirmed;
}

static void false_alarms_are_rare_and_slowdowns_are_found(void **state)
{
    const char    *seed = getenv("KIWI_TEST_SEED");
    struct machine typical = { .noise = 0.03 }, biased = { .noise = 0.03, .bias = 0.02 };
    uint32_t       alarms = 0, found, small, alarms_biased, found_biased;

    (void)state;
    random_state = seed != NULL ? strtoull(seed, NULL, 10) : 20240229;
    print_message("KIWI_TEST_SEED=%llu\n", (unsigned long long)random_state);
    for (int i = 0; i < 1000; i++)
        alarms += session(0, typical) == AB_SLOWER;
    found = confirmed_of_1000(log(1.10), typical);
    small = confirmed_of_1000(log(1.05), typical);
    alarms_biased = confirmed_of_1000(0, biased);
    found_biased = confirmed_of_1000(log(1.10), biased);
    print_message("of 1000: no change %u slower in one session, confirmed: +10 %% %u, +5 %% %u; "
                  "arms 2 %% off: no change %u, +10 %% %u\n",
                  alarms, found, small, alarms_biased, found_biased);
    assert_in_range(alarms, 0, 5);
    assert_in_range(found, 990, 1000);
    assert_in_range(small, 500, 1000);
    assert_in_range(alarms_biased, 0, 10);
    assert_in_range(found_biased, 900, 1000);
}

/* The base's copy ran 4 % slower than the base: the candidate is slower than it as well. */
static void a_canary_that_moved_hides_no_slowdown_beyond_it(void **state)
{
    double candidate[40], canary[40];

    (void)state;
    for (int i = 0; i < 40; i++) {
        canary[i] = 0.04 + 0.0001 * i;
        candidate[i] = 0.095 + 0.0001 * (i * 7 % 40);
    }
    assert_int_equal(ab_judge(candidate, canary, 0, 0.03).verdict, AB_SLOWER);
    for (int i = 0; i < 40; i++)
        candidate[i] = canary[i] + 0.01;
    assert_int_equal(ab_judge(candidate, canary, 2, 0.03).verdict, AB_UNSTABLE);
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
        cmocka_unit_test(a_canary_that_moved_hides_no_slowdown_beyond_it),
        cmocka_unit_test(a_machine_that_moves_by_itself_is_unstable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
