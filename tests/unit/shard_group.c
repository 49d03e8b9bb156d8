/*
 * shard_group.c: when a log group is cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/shard/group_due.h"

static void group_nobody_waits_for_is_not_due(void **state)
{
    struct group_look look = { .groups_out = 0, .waiter_count = 3, .staged_bytes = 1u << 20,
                               .staged_age_ns = UINT64_MAX };

    (void)state;
    assert_false(group_is_due(&look));
    look.executor_polls = true;
    assert_false(group_is_due(&look));
}

/* Else it might wait for ever: nobody would ask again. */
static void group_is_due_when_none_is_in_flight(void **state)
{
    (void)state;
    for (uint32_t waiters = 1; waiters <= 300; waiters++)
        for (uint32_t staged = 1; staged <= waiters; staged++) {
            struct group_look look = { .waiter_count = waiters, .staged_count = staged };

            assert_true(group_is_due(&look));
            look.executor_polls = true;
            assert_true(group_is_due(&look));
        }
}

static void full_group_is_due(void **state)
{
    struct group_look look = { .groups_out = 3, .waiter_count = 1000, .staged_count = 1,
                               .staged_bytes = GROUP_FULL_BYTES };

    (void)state;
    assert_true(group_is_due(&look));
    look.executor_polls = true;
    assert_true(group_is_due(&look));
    look.staged_bytes--;
    assert_false(group_is_due(&look));
    look.executor_polls = false;
    assert_false(group_is_due(&look));
}

static void polling_caller_lets_a_group_grow_for_a_while(void **state)
{
    struct group_look look = { .groups_out = 1, .waiter_count = 1, .staged_count = 1,
                               .staged_age_ns = GROUP_AGE_NS - 1, .executor_polls = true };

    (void)state;
    assert_false(group_is_due(&look));
    look.staged_age_ns++;
    assert_true(group_is_due(&look));
}

/* Goal: n blocked callers make few groups. Method: they come one after the other while no group
 * comes back, and each cuts what is staged when it is due. */
static void blocked_callers_cut_groups_of_half_of_them(void **state)
{
    (void)state;
    for (uint32_t callers = 1; callers <= 300; callers++) {
        uint32_t groups = 0, staged = 0, groups_expected = 0;

        for (uint32_t waiters = 1; waiters <= callers; waiters++) {
            struct group_look look = { .groups_out = groups, .waiter_count = waiters,
                                       .staged_count = ++staged };

            if (group_is_due(&look)) {
                groups++;
                staged = 0;
            }
        }
        for (uint32_t size = 1; size <= callers; size *= 2) /* 1, 1, 2, 4, 8 ... */
            groups_expected++;
        assert_int_equal(groups, groups_expected);
        assert_true(staged * 2 < callers || callers == 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(group_nobody_waits_for_is_not_due),
        cmocka_unit_test(group_is_due_when_none_is_in_flight),
        cmocka_unit_test(full_group_is_due),
        cmocka_unit_test(polling_caller_lets_a_group_grow_for_a_while),
        cmocka_unit_test(blocked_callers_cut_groups_of_half_of_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
