/*
 * Who fell behind in an open loop is judged right, from made-up measurements.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "bench/pace.h"

/* 100,000 operations a second for 10 s, all on time. */
static struct pace pace_of_an_easy_run(void)
{
    return (struct pace){ .asked = 100000, .achieved = 99990, .seconds = 10, .lag_ns = 3000,
                          .service_ns = 20000, .driver_ns = 400000000, .engine_ns = 100000000 };
}

static void an_easy_run_keeps_its_pace(void **state)
{
    struct pace pace = pace_of_an_easy_run();

    (void)state;
    assert_false(pace_is_behind(&pace));
    assert_int_equal(pace_judge(&pace), PACE_KEPT);
    /* Less than the service, or less than a clock can tell: nobody is late. */
    pace.lag_ns = 19999;
    assert_int_equal(pace_judge(&pace), PACE_KEPT);
    pace.service_ns = 50;
    pace.lag_ns = 9000;
    assert_int_equal(pace_judge(&pace), PACE_KEPT);
}

static void a_rate_that_is_not_kept_is_blamed_on_who_had_the_operations(void **state)
{
    struct pace pace = pace_of_an_easy_run();

    (void)state;
    pace.achieved = 60000;
    pace.lag_ns = 4000000000;
    pace.driver_ns = 9000000000;
    pace.engine_ns = 1000000000;
    assert_true(pace_is_behind(&pace));
    assert_int_equal(pace_judge(&pace), PACE_DRIVER);
    assert_true(pace_driver_share(&pace) > 0.89 && pace_driver_share(&pace) < 0.91);
    pace.driver_ns = 1000000000;
    pace.engine_ns = 9000000000;
    assert_int_equal(pace_judge(&pace), PACE_ENGINE);
}

static void lag_alone_is_blamed_too(void **state)
{
    struct pace pace = pace_of_an_easy_run();

    (void)state;
    pace.lag_ns = 300000;
    assert_false(pace_is_behind(&pace));
    assert_int_equal(pace_judge(&pace), PACE_DRIVER);
    pace.engine_ns = 800000000;
    assert_int_equal(pace_judge(&pace), PACE_ENGINE);
}

static void who_has_no_processor_is_not_slow(void **state)
{
    struct pace pace = pace_of_an_easy_run();

    (void)state;
    pace.processor_ns = 260000000;
    assert_int_equal(pace_judge(&pace), PACE_KEPT);
    pace.lag_ns = 300000;
    assert_int_equal(pace_judge(&pace), PACE_PROCESSOR);
    assert_true(pace_processor_share(&pace) > 0.51 && pace_processor_share(&pace) < 0.53);
    pace.processor_ns = 240000000;
    assert_int_equal(pace_judge(&pace), PACE_DRIVER);
    /* The kernel counts more than what was late. */
    pace.processor_ns = 2000000000;
    assert_true(pace_processor_share(&pace) <= 1);
}

static void few_random_arrivals_are_not_taken_for_lateness(void **state)
{
    struct pace pace = { .asked = 100, .achieved = 80, .seconds = 1, .is_poisson = true };

    (void)state;
    assert_false(pace_is_behind(&pace));
    pace.is_poisson = false;
    assert_true(pace_is_behind(&pace));
    pace.is_poisson = true;
    pace.achieved = 60;
    assert_true(pace_is_behind(&pace));
    pace.achieved = 80;
    pace.seconds = 100;
    assert_true(pace_is_behind(&pace));
}

static void a_closed_loop_has_no_pace(void **state)
{
    struct pace pace = { .asked = 0, .achieved = 100, .seconds = 1, .lag_ns = 1000000000 };

    (void)state;
    assert_false(pace_is_behind(&pace));
    assert_int_equal(pace_judge(&pace), PACE_KEPT);
    assert_true(pace_driver_share(&pace) <= 0);
}

static void verdicts_have_names(void **state)
{
    (void)state;
    assert_string_equal(pace_verdict_name(PACE_KEPT), "none");
    assert_string_equal(pace_verdict_name(PACE_DRIVER), "driver");
    assert_string_equal(pace_verdict_name(PACE_ENGINE), "engine");
    assert_string_equal(pace_verdict_name(PACE_PROCESSOR), "processor");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_easy_run_keeps_its_pace),
        cmocka_unit_test(a_rate_that_is_not_kept_is_blamed_on_who_had_the_operations),
        cmocka_unit_test(lag_alone_is_blamed_too),
        cmocka_unit_test(who_has_no_processor_is_not_slow),
        cmocka_unit_test(few_random_arrivals_are_not_taken_for_lateness),
        cmocka_unit_test(a_closed_loop_has_no_pace),
        cmocka_unit_test(verdicts_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
