/*
 * Streams repeat from a seed and keep to the mix.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <time.h>

#include "workloads/stream.h"

static struct workload sample(enum chooser_kind chooser)
{
    struct workload workload = {
        .name = "sample",
        .record_count = 1000,
        .insert_count = 1000,
        .operation_count = 10000,
        .weights = { [OPERATION_READ] = 5, [OPERATION_UPDATE] = 3, [OPERATION_SCAN] = 2 },
        .keys = { .digits_min = 1 },
        .values = { .spread = VALUE_CONSTANT, .field_count = 1, .field_bytes_min = 100,
                    .field_bytes_max = 100 },
        .chooser = chooser,
        .scan_rows_min = 1,
        .scan_rows_max = 100,
    };

    return workload;
}

static struct stream stream_for(const struct workload *workload, struct acknowledged *inserts,
                                uint64_t seed)
{
    struct chooser chooser = workload_chooser(workload);

    return stream_of(&(struct stream_options){ workload, inserts, seed, 0, 2, &chooser });
}

static void weights_decide_the_mix_and_need_not_add_to_one(void **state)
{
    struct workload workload = sample(CHOOSE_ZIPFIAN);
    struct stream   stream = stream_for(&workload, NULL, 1);
    uint32_t        counts[OPERATION_COUNT] = { 0 };
    uint64_t        rows = 0;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        struct step step;

        stream_next(&stream, &step);
        assert_true(step.record < 1000);
        counts[step.operation]++;
        if (step.operation == OPERATION_SCAN) {
            assert_in_range(step.scan_rows, 1, 100);
            rows += step.scan_rows;
        }
    }
    assert_in_range(counts[OPERATION_READ], 49000, 51000);
    assert_in_range(counts[OPERATION_UPDATE], 29000, 31000);
    assert_in_range(counts[OPERATION_SCAN], 19000, 21000);
    assert_int_equal(counts[OPERATION_INSERT], 0);
    assert_in_range(rows / counts[OPERATION_SCAN], 48, 53);
}

static void same_seed_repeats_the_stream(void **state)
{
    struct workload workload = sample(CHOOSE_UNIFORM);
    struct stream   a = stream_for(&workload, NULL, 5), b = stream_for(&workload, NULL, 5);
    struct stream   c = stream_for(&workload, NULL, 6);
    uint32_t        same = 0;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        struct step x = { 0 }, y = { 0 }, z = { 0 };

        stream_next(&a, &x);
        stream_next(&b, &y);
        stream_next(&c, &z);
        assert_int_equal(x.operation, y.operation);
        assert_int_equal(x.record, y.record);
        same += x.record == z.record;
    }
    assert_true(same < 50);
}

static void reads_never_choose_records_that_are_not_acknowledged(void **state)
{
    struct workload      workload = sample(CHOOSE_ZIPFIAN);
    struct acknowledged *inserts;
    struct stream        stream;
    uint64_t             newest = 999;

    (void)state;
    workload.weights[OPERATION_INSERT] = 10;
    assert_int_equal(acknowledged_open(1000, &inserts), KIWI_OK);
    stream = stream_for(&workload, inserts, 3);
    for (int i = 0; i < 20000; i++) {
        struct step step;

        stream_next(&stream, &step);
        if (step.operation == OPERATION_INSERT) {
            assert_int_equal(step.record, newest + 1);
            assert_int_equal(acknowledged_mark(inserts, step.record), KIWI_OK);
            newest++;
        } else {
            assert_true(step.record <= newest);
        }
    }
    acknowledged_close(inserts);
}

static void digest_names_the_stream(void **state)
{
    struct workload a = sample(CHOOSE_ZIPFIAN), b = a;
    uint64_t        one, two;

    (void)state;
    assert_int_equal(stream_digest(&a, 1, 2, &one), KIWI_OK);
    assert_int_equal(stream_digest(&a, 1, 2, &two), KIWI_OK);
    assert_true(one == two && one != 0);
    assert_int_equal(stream_digest(&a, 2, 2, &two), KIWI_OK);
    assert_true(one != two);
    assert_int_equal(stream_digest(&a, 1, 3, &two), KIWI_OK);
    assert_true(one != two);
    b.weights[OPERATION_READ] = 6;
    assert_int_equal(stream_digest(&b, 1, 2, &two), KIWI_OK);
    assert_true(one != two);
    b = a;
    b.values.field_bytes_max = 101;
    assert_int_equal(stream_digest(&b, 1, 2, &two), KIWI_OK);
    assert_true(one != two);
}

static void value_lengths_follow_their_distribution(void **state)
{
    struct workload workload = sample(CHOOSE_UNIFORM);
    struct stream   stream;
    uint64_t        sum = 0;

    (void)state;
    workload.values = (struct value_shape){ VALUE_UNIFORM, 10, 50, 150 };
    stream = stream_for(&workload, NULL, 1);
    for (int i = 0; i < 10000; i++) {
        uint64_t bytes = stream_value_bytes(&stream);
        assert_in_range(bytes, 500, 1500);
        sum += bytes;
    }
    assert_in_range(sum / 10000, 985, 1015);
    workload.values.spread = VALUE_ZIPFIAN;
    stream = stream_for(&workload, NULL, 1);
    for (int i = 0; i < 1000; i++)
        assert_in_range(stream_value_bytes(&stream), 500, 1500);
}

/* Not a gate: prints what an operation and its key cost. */
static void cost_of_an_operation_is_printed(void **state)
{
    static const enum chooser_kind kinds[] = { CHOOSE_UNIFORM, CHOOSE_ZIPFIAN, CHOOSE_LATEST };
    static const char *const       names[] = { "uniform", "zipfian", "latest" };

    (void)state;
    for (size_t k = 0; k < 3; k++) {
        struct workload workload = sample(kinds[k]);
        struct stream   stream;
        struct timespec from, to;
        uint8_t         key[KEY_BYTES_MAX];
        uint64_t        bytes = 0;

        workload.record_count = workload.insert_count = 1000000;
        workload.weights[OPERATION_SCAN] = 0;
        stream = stream_for(&workload, NULL, 1);
        clock_gettime(CLOCK_MONOTONIC, &from);
        for (int i = 0; i < 1000000; i++) {
            struct step step;
            stream_next(&stream, &step);
            bytes += key_write_number(&workload.keys, step.number, key);
        }
        clock_gettime(CLOCK_MONOTONIC, &to);
        printf("%s: %.1f ns an operation, %.1f bytes a key\n", names[k],
               ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec))
                   / 1e6,
               (double)bytes / 1e6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_decide_the_mix_and_need_not_add_to_one),
        cmocka_unit_test(same_seed_repeats_the_stream),
        cmocka_unit_test(reads_never_choose_records_that_are_not_acknowledged),
        cmocka_unit_test(digest_names_the_stream),
        cmocka_unit_test(value_lengths_follow_their_distribution),
        cmocka_unit_test(cost_of_an_operation_is_printed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
