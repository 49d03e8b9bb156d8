/*
 * The driver counts right, notices wrong data, and stops when it should.
 *
 * Method: an engine of this test's own that keeps values in an array by record number, with faults
 * that can be switched on.
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

#include "bench/clock.h"
#include "bench/crew.h"
#include "core/base/memory.h"
#include "workloads/stream.h"

enum { RECORDS = 2000, SLOTS = 8192, VALUE_BYTES = 64 };

enum fault {
    FAULT_NONE, FAULT_FULL, FAULT_FORGETS_UPDATES, FAULT_FLIPS, FAULT_LOSES, FAULT_SWAPS,
    FAULT_FORGETS_DELETES, FAULT_DELETES_MORE, FAULT_SLOW,
};

struct engine {
    pthread_mutex_t lock;
    enum fault      fault;
    uint64_t        puts;
    uint32_t        depth;
    struct {
        uint8_t key[32];
        size_t  key_bytes, bytes;
        bool    is_deleted;
        uint8_t value[VALUE_BYTES];
    } rows[SLOTS];
};

struct engine_client {
    struct engine   *engine;
    struct kiwi_op **queue;
    uint32_t         count;
    uint8_t          value[VALUE_BYTES];
};

static enum fault fault_wanted;

static enum kiwi_status test_open(const struct engine_options *options, struct engine **out)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL)
        return KIWI_NO_MEMORY;
    pthread_mutex_init(&(*out)->lock, NULL);
    (*out)->fault = fault_wanted;
    (*out)->depth = options->depth;
    return KIWI_OK;
}

static enum kiwi_status test_close(struct engine *engine)
{
    free(engine);
    return KIWI_OK;
}

static enum kiwi_status test_client_open(struct engine *engine, uint32_t index,
                                         struct engine_client **out)
{
    (void)index;
    *out = calloc(1, sizeof **out);
    if (*out == NULL)
        return KIWI_NO_MEMORY;
    (*out)->engine = engine;
    (*out)->queue = calloc(engine->depth, sizeof(struct kiwi_op *));
    return KIWI_OK;
}

static void test_client_close(struct engine_client *client)
{
    free(client->queue);
    free(client);
}

/* Open addressing by the key's digits. */
static size_t row_of(struct engine *engine, struct kiwi_slice key)
{
    const uint8_t *bytes = key.data;
    size_t         at = 0;

    for (size_t i = 0; i < key.size; i++)
        at = at * 31 + bytes[i];
    for (at %= SLOTS; engine->rows[at].key_bytes != 0; at = (at + 1) % SLOTS)
        if (engine->rows[at].key_bytes == key.size
            && memcmp(engine->rows[at].key, key.data, key.size) == 0)
            break;
    return at;
}

static enum kiwi_status test_put(struct engine *engine, const struct kiwi_op *op)
{
    size_t at = row_of(engine, op->key);
    bool   is_new = engine->rows[at].key_bytes == 0;

    engine->puts++;
    if (engine->fault == FAULT_FULL && engine->puts > RECORDS + 100)
        return FAIL(KIWI_FULL, "the test's disk is full");
    if (engine->fault == FAULT_LOSES && engine->puts % 47 == 0)
        return KIWI_OK;
    if (engine->fault == FAULT_FORGETS_UPDATES && !is_new)
        return KIWI_OK;
    memcpy(engine->rows[at].key, op->key.data, op->key.size);
    engine->rows[at].key_bytes = op->key.size;
    memcpy(engine->rows[at].value, op->value.data, op->value.size);
    engine->rows[at].bytes = op->value.size;
    engine->rows[at].is_deleted = false;
    return KIWI_OK;
}

/* The row behind goes too when the engine deletes more than asked. */
static enum kiwi_status test_delete(struct engine *engine, const struct kiwi_op *op)
{
    size_t at = row_of(engine, op->key);

    if (engine->fault == FAULT_FORGETS_DELETES)
        return KIWI_OK;
    engine->rows[at].is_deleted = true;
    if (engine->fault == FAULT_DELETES_MORE)
        engine->rows[(at + 1) % SLOTS].is_deleted = true;
    return KIWI_OK;
}

static void test_do(struct engine_client *client, struct kiwi_op *op, void *buffer)
{
    struct engine *engine = client->engine;
    uint64_t       start = clock_monotonic_ns();
    size_t         at;

    while (engine->fault == FAULT_SLOW && clock_monotonic_ns() - start < 20000)
        ;
    pthread_mutex_lock(&engine->lock);
    if (op->verb == KIWI_PUT) {
        op->status = test_put(engine, op);
    } else if (op->verb == KIWI_DELETE) {
        op->status = test_delete(engine, op);
    } else {
        at = row_of(engine, op->key);
        if (engine->fault == FAULT_SWAPS)
            at = (at + 1) % SLOTS;
        op->status = engine->rows[at].key_bytes == 0 || engine->rows[at].is_deleted
                       ? KIWI_NOT_FOUND
                       : KIWI_OK;
        memcpy(buffer, engine->rows[at].value, engine->rows[at].bytes);
        op->value_bytes = engine->rows[at].bytes;
        if (engine->fault == FAULT_FLIPS && op->value_bytes > 0)
            ((uint8_t *)buffer)[op->value_bytes / 2] ^= 1;
    }
    pthread_mutex_unlock(&engine->lock);
}

static enum kiwi_status test_submit(struct engine_client *client, struct kiwi_op **ops,
                                    size_t count)
{
    for (size_t i = 0; i < count; i++) {
        test_do(client, ops[i], ops[i]->buffer);
        client->queue[client->count++] = ops[i];
    }
    return KIWI_OK;
}

/* Hands back one at a time and the last first, as no order is promised. */
static size_t test_poll(struct engine_client *client, struct kiwi_op **done, size_t max,
                        uint64_t timeout_ns)
{
    (void)timeout_ns;
    if (client->count == 0 || max == 0)
        return 0;
    done[0] = client->queue[--client->count];
    return 1;
}

static bool test_idle(struct engine_client *client, uint64_t timeout_ns)
{
    (void)client;
    (void)timeout_ns;
    return false;
}

static void test_execute(struct engine_client *client, struct kiwi_op *op)
{
    op->buffer = client->value;
    test_do(client, op, client->value);
}

static void test_describe(const struct engine *engine, char *text, size_t bytes)
{
    (void)engine;
    (void)bytes;
    text[0] = 0;
}

static const struct engine_class test_class = {
    .name = "test", .note = "", .keeps_data = true, .open = test_open, .close = test_close,
    .client_open = test_client_open, .client_close = test_client_close, .submit = test_submit,
    .poll = test_poll, .idle = test_idle, .execute = test_execute, .describe = test_describe,
};

/* One data set with everything a phase needs. */
struct fixture {
    struct workload      workload;
    struct crew         *crew;
    struct tracked      *tracked;
    struct value_pool   *values;
    struct chooser       chooser;
    struct phase_result *result;
};

static void fixture_open(struct fixture *fixture, enum client_model model, uint32_t threads,
                         enum fault fault)
{
    memset(fixture, 0, sizeof *fixture);
    fault_wanted = fault;
    fixture->workload = (struct workload){
        .record_count = RECORDS, .insert_count = RECORDS, .operation_count = 20000,
        .weights = { [OPERATION_READ] = 1, [OPERATION_UPDATE] = 1, [OPERATION_MODIFY] = 1 },
        .keys = { .digits_min = 1 },
        .values = { VALUE_CONSTANT, 1, VALUE_BYTES, VALUE_BYTES },
        .chooser = CHOOSE_ZIPFIAN, .scan_rows_min = 1, .scan_rows_max = 1,
    };
    fixture->chooser = workload_chooser(&fixture->workload);
    fixture->result = calloc(1, sizeof *fixture->result);
    assert_non_null(fixture->result);
    assert_int_equal(tracked_open(RECORDS + 1, 500, &fixture->tracked), KIWI_OK);
    assert_int_equal(value_pool_open(1, VALUE_BYTES, &fixture->values), KIWI_OK);
    assert_int_equal(
        crew_open(&(struct crew_options){ .class = &test_class,
                                          .engine = { .thread_count = threads,
                                                      .depth = model == CLIENT_BLOCKING ? 1 : 8,
                                                      .model = model },
                                          .value_bytes_max = VALUE_BYTES },
                  &fixture->crew),
        KIWI_OK);
}

static void fixture_close(struct fixture *fixture)
{
    assert_int_equal(crew_close(fixture->crew), KIWI_OK);
    tracked_close(fixture->tracked);
    value_pool_close(fixture->values);
    phase_result_free(fixture->result);
    free(fixture->result);
}

static struct run_options run_of(struct fixture *fixture, enum task_kind kind, uint64_t operations)
{
    return (struct run_options){
        .task = { .kind = kind, .workload = &fixture->workload, .chooser = &fixture->chooser,
                  .values = fixture->values, .tracked = fixture->tracked, .operations = operations,
                  .seed = 1, .is_verifying = true },
    };
}

static void run(struct fixture *fixture, const struct run_options *options)
{
    phase_result_free(fixture->result);
    assert_int_equal(crew_run(fixture->crew, options, fixture->result), KIWI_OK);
}

static void load(struct fixture *fixture)
{
    struct run_options options = run_of(fixture, TASK_LOAD, RECORDS);

    run(fixture, &options);
    assert_int_equal(fixture->result->totals.latencies[OPERATION_INSERT].count, RECORDS);
    assert_int_equal(fixture->result->totals.operations, RECORDS);
}

static void verify(struct fixture *fixture)
{
    struct run_options options = run_of(fixture, TASK_VERIFY, 500);

    run(fixture, &options);
}

static void all_operations_are_done_and_counted(void **state)
{
    static const struct {
        enum client_model model;
        uint32_t          threads;
    } cases[] = { { CLIENT_MANAGED, 1 }, { CLIENT_MANAGED, 3 }, { CLIENT_BLOCKING, 1 },
                  { CLIENT_BLOCKING, 3 } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture         fixture;
        struct run_options     options;
        const struct recorder *totals;

        fixture_open(&fixture, cases[i].model, cases[i].threads, FAULT_NONE);
        load(&fixture);
        options = run_of(&fixture, TASK_RUN, 20001);
        options.task.warm_operations = 1000;
        run(&fixture, &options);
        totals = &fixture.result->totals;
        assert_int_equal(totals->operations, 20001);
        /* A read-modify-write also shows as a read and an update. */
        assert_int_equal(totals->latencies[OPERATION_READ].count
                             + totals->latencies[OPERATION_UPDATE].count
                             - totals->latencies[OPERATION_MODIFY].count,
                         20001);
        assert_int_equal(totals->verified, totals->latencies[OPERATION_READ].count);
        assert_int_equal(totals->wrong + totals->missing, 0);
        assert_false(fixture.result->is_partial);
        assert_true(fixture.result->seconds > 0);
        assert_true(fixture.result->series_count >= 1);
        assert_true(fixture.result->skew.is_measured);
        assert_int_equal(fixture.result->skew.requests, 20001);
        assert_int_equal(fixture.result->skew.records, RECORDS);
        assert_true(fixture.result->skew.hottest > 0.03 && fixture.result->skew.hottest < 0.06);
        verify(&fixture);
        assert_false(fixture.result->skew.is_measured);
        assert_true(fixture.result->totals.verified >= 400);
        assert_int_equal(fixture.result->totals.wrong + fixture.result->totals.missing, 0);
        fixture_close(&fixture);
    }
}

static void inserts_during_a_run_are_read_back(void **state)
{
    struct fixture     fixture;
    struct run_options options;

    (void)state;
    fixture_open(&fixture, CLIENT_MANAGED, 2, FAULT_NONE);
    fixture.workload.weights[OPERATION_UPDATE] = fixture.workload.weights[OPERATION_MODIFY] = 0;
    fixture.workload.weights[OPERATION_INSERT] = 0.1;
    fixture.workload.chooser = CHOOSE_LATEST;
    fixture.chooser = workload_chooser(&fixture.workload);
    load(&fixture);
    options = run_of(&fixture, TASK_RUN, 20000);
    assert_int_equal(acknowledged_open(RECORDS, &options.task.inserts), KIWI_OK);
    run(&fixture, &options);
    assert_int_equal(fixture.result->totals.operations, 20000);
    assert_int_equal(fixture.result->totals.missing + fixture.result->totals.wrong, 0);
    assert_int_equal(fixture.result->skew.requests,
                     20000 - fixture.result->totals.latencies[OPERATION_INSERT].count);
    assert_int_equal(fixture.result->skew.records,
                     RECORDS + fixture.result->totals.latencies[OPERATION_INSERT].count);
    assert_int_equal(acknowledged_newest(options.task.inserts),
                     RECORDS - 1 + fixture.result->totals.latencies[OPERATION_INSERT].count);
    acknowledged_close(options.task.inserts);
    fixture_close(&fixture);
}

static void damaged_values_are_counted_as_wrong(void **state)
{
    static const enum fault faults[] = { FAULT_FLIPS, FAULT_SWAPS };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fixture     fixture;
        struct run_options options;

        fixture_open(&fixture, CLIENT_MANAGED, 1, faults[i]);
        load(&fixture);
        options = run_of(&fixture, TASK_RUN, 2000);
        run(&fixture, &options);
        assert_int_equal(fixture.result->totals.wrong + fixture.result->totals.missing,
                         fixture.result->totals.latencies[OPERATION_READ].count);
        fixture_close(&fixture);
    }
}

/* Goal: an acknowledged write that is not there is noticed at the end, though each read during the
 * run found a whole value of the right record. */
static void forgotten_updates_are_found_by_the_sample(void **state)
{
    struct fixture     fixture;
    struct run_options options;

    (void)state;
    fixture_open(&fixture, CLIENT_MANAGED, 2, FAULT_FORGETS_UPDATES);
    load(&fixture);
    options = run_of(&fixture, TASK_RUN, 20000);
    run(&fixture, &options);
    assert_int_equal(fixture.result->totals.wrong, 0);
    verify(&fixture);
    assert_true(fixture.result->totals.wrong > 100);
    fixture_close(&fixture);
}

/* Goal: deletes are counted, what they took away is no fault, and the sample knows what must be
 * gone and what must not. */
static void deletes_are_known_to_the_sample(void **state)
{
    static const enum fault faults[] = { FAULT_NONE, FAULT_FORGETS_DELETES, FAULT_DELETES_MORE };

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        struct fixture         fixture;
        struct run_options     options;
        const struct recorder *totals;

        fixture_open(&fixture, i < 3 ? CLIENT_MANAGED : CLIENT_BLOCKING, 2, faults[i % 3]);
        fixture.workload.chooser = CHOOSE_UNIFORM;
        fixture.workload.weights[OPERATION_MODIFY] = 0;
        fixture.workload.weights[OPERATION_DELETE] = 1;
        fixture.chooser = workload_chooser(&fixture.workload);
        load(&fixture);
        options = run_of(&fixture, TASK_RUN, 20000);
        run(&fixture, &options);
        totals = &fixture.result->totals;
        assert_int_equal(totals->operations, 20000);
        assert_in_range(totals->latencies[OPERATION_DELETE].count, 6000, 7400);
        assert_int_equal(totals->wrong + totals->missing, 0);
        if (faults[i % 3] == FAULT_NONE) {
            assert_true(totals->statuses[KIWI_NOT_FOUND] > 1000);
            assert_true(tracked_deleted_share(fixture.tracked) > 0.4
                        && tracked_deleted_share(fixture.tracked) < 0.6);
        }
        verify(&fixture);
        totals = &fixture.result->totals;
        assert_true((totals->wrong > 100) == (faults[i % 3] == FAULT_FORGETS_DELETES));
        assert_true((totals->missing > 10) == (faults[i % 3] == FAULT_DELETES_MORE));
        if (faults[i % 3] == FAULT_NONE)
            assert_int_equal(totals->wrong + totals->missing, 0);
        fixture_close(&fixture);
    }
}

/* Values too short for a version are right for any; those beside them still show theirs. */
static void values_too_short_for_a_version_are_not_held_against_it(void **state)
{
    struct fixture     fixture;
    struct run_options options;

    (void)state;
    fixture_open(&fixture, CLIENT_MANAGED, 1, FAULT_NONE);
    fixture.workload.values =
        (struct value_shape){ VALUE_UNIFORM, 1, VALUE_HEAD_BYTES - 20, VALUE_HEAD_BYTES + 20 };
    load(&fixture);
    options = run_of(&fixture, TASK_RUN, 20000);
    run(&fixture, &options);
    verify(&fixture);
    assert_int_equal(fixture.result->totals.wrong + fixture.result->totals.missing, 0);
    fixture_close(&fixture);
}

static void lost_inserts_are_missing(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture, CLIENT_BLOCKING, 1, FAULT_LOSES);
    load(&fixture);
    verify(&fixture);
    assert_true(fixture.result->totals.missing > 0);
    assert_int_equal(fixture.result->totals.wrong, 0);
    fixture_close(&fixture);
}

static void full_disk_ends_the_phase_with_its_text(void **state)
{
    static const enum client_model models[] = { CLIENT_MANAGED, CLIENT_BLOCKING };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fixture     fixture;
        struct run_options options;

        fixture_open(&fixture, models[i], 2, FAULT_FULL);
        load(&fixture);
        options = run_of(&fixture, TASK_RUN, 1000000);
        run(&fixture, &options);
        assert_true(fixture.result->is_partial);
        assert_int_equal(fixture.result->status, KIWI_FULL);
        assert_non_null(strstr(fixture.result->text, "the test's disk is full"));
        assert_true(fixture.result->totals.operations < 1000000);
        fixture_close(&fixture);
    }
}

static void interruption_and_time_limit_end_a_phase(void **state)
{
    struct fixture     fixture;
    struct run_options options;
    _Atomic bool       interrupted = false;

    (void)state;
    fixture_open(&fixture, CLIENT_MANAGED, 2, FAULT_NONE);
    load(&fixture);
    options = run_of(&fixture, TASK_RUN, UINT64_MAX / 4);
    options.seconds_max = 0.2;
    options.interrupted = &interrupted;
    run(&fixture, &options);
    assert_true(fixture.result->was_timed_out);
    assert_false(fixture.result->is_partial);
    atomic_store(&interrupted, true);
    options.seconds_max = 0;
    run(&fixture, &options);
    assert_true(fixture.result->is_partial);
    assert_int_equal(fixture.result->status, KIWI_OK);
    fixture_close(&fixture);
}

static void a_warm_up_ends_with_its_time_and_then_all_is_measured(void **state)
{
    struct fixture     fixture;
    struct run_options options;

    (void)state;
    fixture_open(&fixture, CLIENT_MANAGED, 2, FAULT_NONE);
    load(&fixture);
    options = run_of(&fixture, TASK_RUN, 3001);
    options.task.warm_operations = UINT64_MAX / 4;
    options.warm_seconds_max = 0.1;
    run(&fixture, &options);
    assert_int_equal(fixture.result->totals.operations, 3001);
    assert_true(fixture.result->warm_operations > 0);
    assert_true(fixture.result->warm_operations < UINT64_MAX / 4);
    assert_false(fixture.result->was_timed_out);
    assert_false(fixture.result->is_partial);
    fixture_close(&fixture);
}

static void open_loop_keeps_both_clocks(void **state)
{
    static const enum client_model models[] = { CLIENT_MANAGED, CLIENT_BLOCKING };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct fixture         fixture;
        struct run_options     options;
        const struct recorder *totals;

        fixture_open(&fixture, models[i % 2], 2, FAULT_NONE);
        load(&fixture);
        options = run_of(&fixture, TASK_RUN, 2000);
        options.task.target = 50000;
        options.task.is_poisson = i < 2;
        run(&fixture, &options);
        totals = &fixture.result->totals;
        assert_int_equal(totals->operations, 2000);
        assert_int_equal(totals->responses[OPERATION_READ].count
                             + totals->responses[OPERATION_UPDATE].count
                             + totals->responses[OPERATION_MODIFY].count,
                         2000);
        assert_int_equal(totals->lag.count, 2000);
        assert_true(fixture.result->seconds > 0.02);
        fixture_close(&fixture);
    }
}

/* One run at a rate that nothing keeps. Where the machine takes the processor away for long, that
 * is where the time was lost: only a verdict that never comes is wrong. */
static void expect_blamed(struct crew *crew, struct phase_result *result,
                          struct run_options *options, enum pace_verdict wanted)
{
    struct pace pace;

    options->task.target = 1e9;
    for (int i = 0; i < 20; i++) {
        options->task.is_poisson = i % 2 == 0;
        phase_result_free(result);
        assert_int_equal(crew_run(crew, options, result), KIWI_OK);
        pace = phase_pace(result);
        assert_true(pace_is_behind(&pace));
        assert_true(pace.driver_ns > 0 && pace.engine_ns > 0);
        assert_true((double)(pace.driver_ns + pace.engine_ns) <= 1.01e9 * pace.seconds);
        pace.processor_ns = 0; /* that of other programs is not meant here */
        if (pace_judge(&pace) == wanted)
            return;
    }
    fail_msg("%s is never blamed", pace_verdict_name(wanted));
}

static void a_slow_engine_is_blamed(void **state)
{
    static const enum client_model models[] = { CLIENT_MANAGED, CLIENT_BLOCKING, CLIENT_ATTACHED };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(models); i++) {
        struct fixture     fixture;
        struct run_options options;

        fixture_open(&fixture, models[i], 1, FAULT_SLOW);
        load(&fixture);
        options = run_of(&fixture, TASK_RUN, 2000);
        expect_blamed(fixture.crew, fixture.result, &options, PACE_ENGINE);
        assert_true(fixture.result->totals.late_engine_ns >= 1990 * 20000u);
        fixture_close(&fixture);
    }
}

static void the_driver_is_blamed_when_the_engine_does_nothing(void **state)
{
    static const enum client_model models[] = { CLIENT_MANAGED, CLIENT_BLOCKING, CLIENT_ATTACHED };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(models); i++) {
        const uint32_t     depth = models[i] == CLIENT_BLOCKING ? 1 : 8;
        struct crew       *crew = NULL;
        struct fixture     fixture;
        struct run_options options;

        fixture_open(&fixture, models[i], 1, FAULT_NONE);
        assert_int_equal(crew_open(&(struct crew_options){
                                       .class = engine_find("null"),
                                       .engine = { .thread_count = 1, .depth = depth,
                                                   .model = models[i] },
                                       .value_bytes_max = VALUE_BYTES },
                                   &crew),
                         KIWI_OK);
        options = run_of(&fixture, TASK_RUN, 20000);
        options.task.is_verifying = false;
        expect_blamed(crew, fixture.result, &options, PACE_DRIVER);
        assert_int_equal(crew_close(crew), KIWI_OK);
        fixture_close(&fixture);
    }
}

/* The one operation is due some minutes from now. */
static void an_open_loop_that_is_stopped_starts_nothing_early(void **state)
{
    static const enum client_model models[] = { CLIENT_MANAGED, CLIENT_BLOCKING };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(models); i++) {
        struct fixture     fixture;
        struct run_options options;

        fixture_open(&fixture, models[i], 1, FAULT_NONE);
        load(&fixture);
        options = run_of(&fixture, TASK_RUN, 10);
        options.task.target = 1e-4;
        options.seconds_max = 0.05;
        run(&fixture, &options);
        assert_true(fixture.result->was_timed_out);
        assert_int_equal(fixture.result->totals.operations, 0);
        fixture_close(&fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_operations_are_done_and_counted),
        cmocka_unit_test(inserts_during_a_run_are_read_back),
        cmocka_unit_test(damaged_values_are_counted_as_wrong),
        cmocka_unit_test(forgotten_updates_are_found_by_the_sample),
        cmocka_unit_test(deletes_are_known_to_the_sample),
        cmocka_unit_test(values_too_short_for_a_version_are_not_held_against_it),
        cmocka_unit_test(lost_inserts_are_missing),
        cmocka_unit_test(full_disk_ends_the_phase_with_its_text),
        cmocka_unit_test(interruption_and_time_limit_end_a_phase),
        cmocka_unit_test(a_warm_up_ends_with_its_time_and_then_all_is_measured),
        cmocka_unit_test(open_loop_keeps_both_clocks),
        cmocka_unit_test(a_slow_engine_is_blamed),
        cmocka_unit_test(the_driver_is_blamed_when_the_engine_does_nothing),
        cmocka_unit_test(an_open_loop_that_is_stopped_starts_nothing_early),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
