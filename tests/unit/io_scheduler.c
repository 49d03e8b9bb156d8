/*
 * io_scheduler.c: the decision which request may go to the device.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "io/scheduler.h"

static const struct scheduler_limits limits = {
    .reads = 64, .reads_beside_log = 12,
    .flush_bytes = 4096 * 8, .flush_bytes_beside_log = 4096 * 2,
    .compaction_bytes = 1u << 20, .compaction_bytes_beside_log = 256u << 10,
};

static bool allows(struct scheduler_load load, enum io_class class_of_service, uint32_t bytes)
{
    return scheduler_allows(&limits, &load, class_of_service, bytes);
}

static void the_log_always_goes(void **state)
{
    (void)state;
    assert_true(allows((struct scheduler_load){ .logs = 1000, .reads = 1000,
                                                .flush_bytes = 1ull << 40,
                                                .compaction_bytes = 1ull << 40 },
                       IO_CLASS_LOG, 1u << 30));
}

static void reads_are_limited_in_number(void **state)
{
    (void)state;
    assert_true(allows((struct scheduler_load){ .reads = 63 }, IO_CLASS_READ, 1u << 20));
    assert_false(allows((struct scheduler_load){ .reads = 64 }, IO_CLASS_READ, 4096));
}

static void reads_give_way_to_a_log_write(void **state)
{
    (void)state;
    assert_true(allows((struct scheduler_load){ .logs = 1, .reads = 11 }, IO_CLASS_READ, 4096));
    assert_false(allows((struct scheduler_load){ .logs = 1, .reads = 12 }, IO_CLASS_READ, 4096));
}

static void compaction_beside_the_log_is_one_transfer(void **state)
{
    (void)state;
    assert_true(allows((struct scheduler_load){ .logs = 1 }, IO_CLASS_COMPACTION, 256u << 10));
    assert_false(allows((struct scheduler_load){ .logs = 1, .compaction_bytes = 256u << 10 },
                        IO_CLASS_COMPACTION, 4096));
    assert_true(allows((struct scheduler_load){ .compaction_bytes = 256u << 10 },
                       IO_CLASS_COMPACTION, 4096));
}

static void an_idle_class_may_send_one_request_of_any_size(void **state)
{
    (void)state;
    assert_true(allows((struct scheduler_load){ .logs = 5 }, IO_CLASS_COMPACTION, 1u << 30));
    assert_true(allows((struct scheduler_load){ .logs = 5 }, IO_CLASS_FLUSH, 1u << 30));
}

static void windows_count_bytes_to_the_last(void **state)
{
    (void)state;
    assert_true(allows((struct scheduler_load){ .flush_bytes = 4096 * 7 }, IO_CLASS_FLUSH, 4096));
    assert_false(allows((struct scheduler_load){ .flush_bytes = 4096 * 7 }, IO_CLASS_FLUSH, 4097));
    /* Without bytes, as a sync, a request still weighs a page. */
    assert_true(allows((struct scheduler_load){ .flush_bytes = 4096 * 7 }, IO_CLASS_FLUSH, 0));
    assert_false(allows((struct scheduler_load){ .flush_bytes = 4096 * 8 }, IO_CLASS_FLUSH, 0));
}

static void what_is_taken_can_be_given_back(void **state)
{
    static struct scheduler_budget budget;
    struct scheduler_load          load = { 0 }, shared;

    (void)state;
    scheduler_budget_init(&budget);
    for (enum io_class class = IO_CLASS_LOG; class < IO_CLASS_COUNT; class++) {
        if (class == IO_CLASS_LOG)
            scheduler_log_added(&budget);
        scheduler_take(&budget, class, 12345);
        scheduler_load_add(&load, class, 12345);
    }
    shared = scheduler_budget_load(&budget);
    assert_int_equal(shared.logs, 1);
    assert_int_equal(shared.reads, load.reads);
    assert_int_equal(shared.flush_bytes, load.flush_bytes);
    assert_int_equal(shared.compaction_bytes, load.compaction_bytes);
    for (enum io_class class = IO_CLASS_LOG; class < IO_CLASS_COUNT; class++)
        scheduler_give(&budget, class, 12345);
    shared = scheduler_budget_load(&budget);
    assert_int_equal(shared.logs + shared.reads, 0);
    assert_int_equal(shared.flush_bytes + shared.compaction_bytes, 0);
}

static void default_limits_shrink_beside_the_log(void **state)
{
    struct scheduler_limits chosen = scheduler_limits_default();

    (void)state;
    assert_int_equal(chosen.reads, 64);
    assert_int_equal(chosen.reads_beside_log, 12);
    assert_int_equal(chosen.compaction_bytes_beside_log, 256u << 10);
    assert_true(chosen.flush_bytes_beside_log < chosen.flush_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_log_always_goes),
        cmocka_unit_test(reads_are_limited_in_number),
        cmocka_unit_test(reads_give_way_to_a_log_write),
        cmocka_unit_test(compaction_beside_the_log_is_one_transfer),
        cmocka_unit_test(an_idle_class_may_send_one_request_of_any_size),
        cmocka_unit_test(windows_count_bytes_to_the_last),
        cmocka_unit_test(what_is_taken_can_be_given_back),
        cmocka_unit_test(default_limits_shrink_beside_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
