/*
 * A record is readable only when all before it are acknowledged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <pthread.h>

#include "core/base/memory.h"
#include "workloads/acknowledged.h"

static void newest_waits_for_the_gap_to_close(void **state)
{
    struct acknowledged *counter;

    (void)state;
    assert_int_equal(acknowledged_open(100, &counter), KIWI_OK);
    assert_int_equal(acknowledged_newest(counter), 99);
    for (uint64_t i = 0; i < 4; i++)
        assert_int_equal(acknowledged_take(counter), 100 + i);
    assert_int_equal(acknowledged_mark(counter, 101), KIWI_OK);
    assert_int_equal(acknowledged_mark(counter, 103), KIWI_OK);
    assert_int_equal(acknowledged_newest(counter), 99);
    assert_int_equal(acknowledged_mark(counter, 100), KIWI_OK);
    assert_int_equal(acknowledged_newest(counter), 101);
    assert_int_equal(acknowledged_mark(counter, 102), KIWI_OK);
    assert_int_equal(acknowledged_newest(counter), 103);
    acknowledged_close(counter);
}

static void window_overflow_is_refused(void **state)
{
    struct acknowledged *counter;

    (void)state;
    assert_int_equal(acknowledged_open(0, &counter), KIWI_OK);
    for (uint64_t i = 0; i <= ACKNOWLEDGED_WINDOW; i++)
        (void)acknowledged_take(counter);
    for (uint64_t i = 1; i < ACKNOWLEDGED_WINDOW; i++)
        assert_int_equal(acknowledged_mark(counter, i), KIWI_OK);
    assert_int_equal(acknowledged_mark(counter, ACKNOWLEDGED_WINDOW), KIWI_BUSY);
    assert_int_equal(acknowledged_mark(counter, 0), KIWI_OK);
    assert_int_equal(acknowledged_newest(counter), ACKNOWLEDGED_WINDOW - 1);
    acknowledged_close(counter);
}

enum { THREADS = 4, PER_THREAD = 100000 };

static void *insert_many(void *argument)
{
    struct acknowledged *counter = argument;

    for (int i = 0; i < PER_THREAD; i++) {
        uint64_t number = acknowledged_take(counter);
        if (acknowledged_mark(counter, number) != KIWI_OK)
            abort();
    }
    return NULL;
}

static void threads_leave_no_number_behind(void **state)
{
    struct acknowledged *counter;
    pthread_t            threads[THREADS];

    (void)state;
    assert_int_equal(acknowledged_open(10, &counter), KIWI_OK);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, insert_many, counter), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(acknowledged_newest(counter), 10 + THREADS * PER_THREAD - 1);
    acknowledged_close(counter);
}

static void no_memory_is_reported(void **state)
{
    struct acknowledged *counter;

    (void)state;
    memory_fail_after(1);
    assert_int_equal(acknowledged_open(0, &counter), KIWI_NO_MEMORY);
    memory_fail_after(0);
    assert_null(counter);
    acknowledged_close(counter);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newest_waits_for_the_gap_to_close),
        cmocka_unit_test(window_overflow_is_refused),
        cmocka_unit_test(threads_leave_no_number_behind),
        cmocka_unit_test(no_memory_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
