/*
 * The clock agrees with the kernel's, and recorders add up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bench/clock.h"
#include "bench/recorder.h"

static void ticks_and_nanoseconds_convert_both_ways(void **state)
{
    (void)state;
    clock_calibrate();
    for (uint64_t ns = 1000; ns < 1000000000000u; ns *= 7) {
        uint64_t back = clock_ns(clock_ticks_of_ns(ns));
        assert_in_range(back, ns - ns / 100 - 2, ns + ns / 100 + 2);
    }
}

static void ticks_never_go_back_on_one_thread(void **state)
{
    uint64_t before = clock_ticks();

    (void)state;
    for (int i = 0; i < 100000; i++) {
        uint64_t now = clock_ticks();
        assert_true(now >= before);
        before = now;
    }
}

static void recorders_sum(void **state)
{
    struct recorder *one = calloc(1, sizeof *one), *sum = calloc(1, sizeof *sum);

    (void)state;
    assert_true(one != NULL && sum != NULL);
    recorder_latency(&one->latencies[OPERATION_READ], 100);
    recorder_latency(&one->latencies[OPERATION_READ], 5000);
    RECORDER_ADD(one->operations, 2u);
    RECORDER_ADD(one->statuses[KIWI_OK], 2u);
    recorder_add(sum, one);
    recorder_add(sum, one);
    assert_int_equal(sum->operations, 4);
    assert_int_equal(sum->statuses[KIWI_OK], 4);
    assert_int_equal(sum->latencies[OPERATION_READ].count, 4);
    assert_int_equal(sum->latencies[OPERATION_READ].sum_ns, 10200);
    assert_int_equal(sum->latencies[OPERATION_READ].max_ns, 5000);
    assert_int_equal(kiwi_latency_percentile(&sum->latencies[OPERATION_READ], 1.0), 5000);
    recorder_clear(sum);
    assert_int_equal(sum->operations, 0);
    free(one);
    free(sum);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ticks_and_nanoseconds_convert_both_ways),
        cmocka_unit_test(ticks_never_go_back_on_one_thread),
        cmocka_unit_test(recorders_sum),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
