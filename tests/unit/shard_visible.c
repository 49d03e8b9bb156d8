/*
 * shard_visible.c: operations that complete twice, as the application holds them: between two polls
 * nothing it holds changes, however soon the write is durable.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "core/shard/shard.h"
#include "io/simulated.h"

struct fixture {
    struct simulation *simulation;
    struct context    *context;
    struct kiwi_op     op;
};

static void fixture_begin(struct fixture *fixture)
{
    struct simulation_options options = { .seed = 1 };

    memset(fixture, 0, sizeof *fixture);
    assert_int_equal(simulation_open(&options, &fixture->simulation), KIWI_OK);
    fixture->context = aligned_alloc(_Alignof(struct context), sizeof *fixture->context);
    assert_non_null(fixture->context);
    assert_int_equal(context_init(fixture->context, simulation_io(fixture->simulation), NULL, 0, 8,
                                  2u << 20), KIWI_OK);
    op_state(&fixture->op)->context = fixture->context;
    op_state(&fixture->op)->task.kind = TASK_OP;
}

static void fixture_end(struct fixture *fixture)
{
    context_end(fixture->context);
    free(fixture->context);
    simulation_close(fixture->simulation);
}

/* What kiwi_poll does with the finished list; NULL: nothing has finished. */
static struct kiwi_op *poll_one(struct fixture *fixture, bool *is_last)
{
    struct context *context = fixture->context;
    struct kiwi_op *op;

    while (context_turn(context))
        ;
    op = context->finished;
    if (op == NULL)
        return NULL;
    context->finished = op_state(op)->next;
    if (context->finished == NULL)
        context->finished_last = NULL;
    *is_last = context_hand_out(context, op);
    return op;
}

static void held_operation_does_not_change_before_the_next_poll(void **state)
{
    struct fixture fixture;
    bool           is_last = true;

    (void)state;
    fixture_begin(&fixture);
    op_show_visible(&fixture.op, fixture.context);
    assert_ptr_equal(poll_one(&fixture, &is_last), &fixture.op);
    assert_false(is_last);
    assert_true(fixture.op.is_visible_only);

    /* Before the application looks at it, it submits others: the log write is found done there. */
    op_finish(&fixture.op, KIWI_IO, fixture.context);
    assert_true(fixture.op.is_visible_only);
    assert_int_equal(fixture.op.status, KIWI_OK);

    assert_ptr_equal(poll_one(&fixture, &is_last), &fixture.op);
    assert_true(is_last);
    assert_false(fixture.op.is_visible_only);
    assert_int_equal(fixture.op.status, KIWI_IO);
    assert_null(poll_one(&fixture, &is_last));
    fixture_end(&fixture);
}

static void expect_both_in_order(struct fixture *fixture)
{
    bool is_last = true;

    assert_ptr_equal(poll_one(fixture, &is_last), &fixture->op);
    assert_false(is_last);
    assert_true(fixture->op.is_visible_only);
    assert_ptr_equal(poll_one(fixture, &is_last), &fixture->op);
    assert_true(is_last);
    assert_false(fixture->op.is_visible_only);
    assert_null(poll_one(fixture, &is_last));
}

static void visible_completion_comes_first_when_the_durable_one_overtakes_it(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_begin(&fixture);
    op_show_visible(&fixture.op, fixture.context);
    op_finish(&fixture.op, KIWI_OK, fixture.context);
    expect_both_in_order(&fixture);
    fixture_end(&fixture);
}

/* Goal: the same when the visible completion is still in the mailbox. Method: another thread that
 * was inside the shard has shown the write; before the mail is looked at, the context's own queue
 * finds the log write done. */
static void durable_completion_waits_for_a_visible_one_on_its_way(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_begin(&fixture);
    op_show_visible(&fixture.op, NULL);
    op_finish(&fixture.op, KIWI_OK, fixture.context);
    expect_both_in_order(&fixture);
    fixture_end(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(held_operation_does_not_change_before_the_next_poll),
        cmocka_unit_test(visible_completion_comes_first_when_the_durable_one_overtakes_it),
        cmocka_unit_test(durable_completion_waits_for_a_visible_one_on_its_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
