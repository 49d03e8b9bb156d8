/*
 * Engines side by side: the order of blocks, medians, ratios and what is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bench/versus.h"
#include "core/base/memory.h"

static int world_open(void **state)
{
    struct versus *versus = memory_allocate_zeroed(sizeof *versus);

    assert_non_null(versus);
    assert_int_equal(versus_engines_parse("null,null", versus), KIWI_OK);
    *state = versus;
    return 0;
}

static int world_close(void **state)
{
    memory_free(*state);
    return 0;
}

/* A run.json with one phase. */
static json_t *run_of(const char *digest, const char *durability, bool is_partial, double rate,
                      double p99)
{
    json_t *run = json_pack(
        "{s:{s:s,s:s}, s:[{s:s,s:s,s:b,s:s,s:s,s:f,s:f,s:{s:f},s:[{s:s,s:{s:f}}]}]}", "engine",
        "settings", "as given", "note", "", "phases", "name", "A", "kind", "run", "is_partial",
        (int)is_partial, "stream_digest", digest, "durability", durability, "throughput_per_second",
        rate, "folder_bytes", 10 * rate, "usage_with_drain", "peak_memory_bytes", rate, "latency",
        "operation", "READ", "service", "p99_ns", p99);

    assert_non_null(run);
    return run;
}

static enum kiwi_status block_add(struct versus *versus, uint32_t round, uint32_t engine,
                                  double rate, double p99)
{
    json_t          *run = run_of("00ff", "process", false, rate, p99);
    enum kiwi_status status = versus_add(versus, round, engine, run);

    json_decref(run);
    return status;
}

static void every_engine_is_at_every_position_equally_often(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= VERSUS_ENGINE_COUNT_MAX; count++) {
        uint32_t times[VERSUS_ENGINE_COUNT_MAX][VERSUS_ENGINE_COUNT_MAX] = { { 0 } };
        uint32_t order[VERSUS_ENGINE_COUNT_MAX];

        for (uint32_t round = 0; round < 2 * count; round++) {
            versus_order(round, count, order);
            for (uint32_t i = 0; i < count; i++)
                times[order[i]][i]++;
        }
        for (uint32_t i = 0; i < count * count; i++)
            assert_int_equal(times[i / count][i % count], 2);
    }
}

static void the_second_pass_runs_backwards(void **state)
{
    uint32_t order[3];

    (void)state;
    versus_order(1, 3, order);
    assert_int_equal(order[0], 1);
    assert_int_equal(order[1], 2);
    assert_int_equal(order[2], 0);
    versus_order(4, 3, order);
    assert_int_equal(order[0], 1);
    assert_int_equal(order[1], 0);
    assert_int_equal(order[2], 2);
}

static void medians_leave_out_rounds_without_a_number(void **state)
{
    struct versus *versus = *state;

    assert_int_equal(block_add(versus, 0, 0, 100, 7), KIWI_OK);
    assert_int_equal(block_add(versus, 1, 0, 900, 5), KIWI_OK);
    assert_int_equal(block_add(versus, 2, 0, 200, 6), KIWI_OK);
    assert_int_equal(block_add(versus, 3, 1, 50, 1), KIWI_OK);
    assert_int_equal(versus->round_count, 4);
    assert_true(versus_median(versus, 0, VERSUS_RATE, 0) == 200);
    assert_true(versus_median(versus, 0, VERSUS_P99 + OPERATION_READ, 0) == 6);
    assert_true(versus_median(versus, 0, VERSUS_P99 + OPERATION_SCAN, 0) == 0);
    assert_true(versus_median(versus, 0, VERSUS_RATE, 1) == 50);
    assert_int_equal(block_add(versus, 3, 0, 400, 8), KIWI_OK);
    assert_true(versus_median(versus, 0, VERSUS_RATE, 0) == 300);
    assert_true(versus->engines[0].memory_peak_bytes == 900);
    assert_true(versus->engines[0].folder_bytes_max == 9000);
}

static bool is_near(double one, double two)
{
    return one > two * 0.999999 && one < two * 1.000001;
}

static void ratios_are_paired_by_round(void **state)
{
    static const double drift[] = { 1, 3, 0.2 }, ratios[] = { 2, 2.5, 1.6 };
    struct versus      *versus = *state;
    struct shift        ratio;

    /* The machine drifts by a factor of 15; the ratio of the two in one round does not. */
    for (uint32_t round = 0; round < 3; round++) {
        assert_int_equal(block_add(versus, round, 0, 1000 * drift[round] * ratios[round], 1),
                         KIWI_OK);
        assert_int_equal(block_add(versus, round, 1, 1000 * drift[round], 1), KIWI_OK);
    }
    assert_true(versus_ratio(versus, 0, 1, &ratio));
    assert_true(is_near(ratio.low, 1.6));
    assert_true(is_near(ratio.high, 2.5));
    assert_true(is_near(ratio.middle, 2));
    assert_int_equal(versus_verdict(&ratio), 1);
    /* A round with one of the two says nothing about both. */
    assert_int_equal(block_add(versus, 3, 0, 90, 1), KIWI_OK);
    assert_true(versus_ratio(versus, 0, 1, &ratio));
    assert_true(is_near(ratio.low, 1.6));
    assert_int_equal(block_add(versus, 3, 1, 100, 1), KIWI_OK);
    assert_true(versus_ratio(versus, 0, 1, &ratio));
    assert_true(is_near(ratio.low, 0.9));
    assert_int_equal(versus_verdict(&ratio), 0);
    assert_int_equal(versus_verdict(&(struct shift){ .low = 0.5, .high = 0.9 }), -1);
}

static void blocks_of_other_operations_or_durability_are_refused(void **state)
{
    struct versus *versus = *state;
    json_t        *other = run_of("00fe", "process", false, 1, 1);
    json_t        *durable = run_of("00ff", "durable", false, 1, 1);

    assert_int_equal(block_add(versus, 0, 0, 100, 1), KIWI_OK);
    assert_int_equal(versus_add(versus, 0, 1, other), KIWI_INVALID);
    assert_non_null(strstr(fail_text(), "00fe"));
    assert_int_equal(versus_add(versus, 0, 1, durable), KIWI_INVALID);
    assert_non_null(strstr(fail_text(), "durable"));
    json_decref(other);
    json_decref(durable);
}

static void a_phase_that_was_cut_short_does_not_count(void **state)
{
    struct versus *versus = *state;
    json_t        *cut = run_of("00ff", "process", true, 100, 1);
    char          *text = NULL;
    size_t         bytes;
    FILE          *file = open_memstream(&text, &bytes);

    assert_int_equal(versus_add(versus, 0, 0, cut), KIWI_OK);
    assert_int_equal(versus->phase_count, 0);
    json_decref(cut);
    versus_print(file, versus); /* a table without rows is one */
    fclose(file);
    assert_non_null(strstr(text, "null.2"));
    free(text);
}

static void the_table_names_rows_that_the_first_does_not_win(void **state)
{
    struct versus *versus = *state;
    char          *text = NULL;
    size_t         bytes;
    FILE          *file = open_memstream(&text, &bytes);
    json_t        *phases;

    for (uint32_t round = 0; round < 3; round++) {
        assert_int_equal(block_add(versus, round, 0, 1000, 2000), KIWI_OK);
        assert_int_equal(block_add(versus, round, 1, 4000, 1000), KIWI_OK);
    }
    versus_print(file, versus);
    fclose(file);
    assert_non_null(strstr(text, "0.25x 0.25-0.25"));
    assert_non_null(strstr(text, "READ p99"));
    assert_non_null(strstr(text, "faster than the first: A null.2 (0.25x)"));
    assert_null(strstr(text, "not told apart"));
    free(text);
    phases = versus_phases_json(versus);
    assert_int_equal(json_array_size(phases), 1);
    json_decref(phases);
}

static void large_ratios_keep_to_their_column(void **state)
{
    struct versus *versus = *state;
    char          *text = NULL;
    size_t         bytes;
    FILE          *file = open_memstream(&text, &bytes);

    assert_int_equal(versus_engines_parse("null", versus), KIWI_OK); /* one that has no block */
    for (uint32_t round = 0; round < 3; round++) {
        assert_int_equal(block_add(versus, round, 0, 77500 + 100 * round, 1), KIWI_OK);
        assert_int_equal(block_add(versus, round, 1, 522, 1), KIWI_OK);
    }
    versus_print(file, versus);
    fclose(file);
    assert_non_null(strstr(text, "  149x 148-149          -"));
    free(text);
}

static void engines_are_named_once_known_and_few(void **state)
{
    struct versus *versus = *state;

    assert_string_equal(versus->engines[0].label, "null");
    assert_string_equal(versus->engines[1].label, "null.2");
    assert_int_equal(versus_engines_parse("nul", versus), KIWI_INVALID);
    assert_non_null(strstr(fail_text(), "did you mean 'null'"));
    assert_int_equal(versus_engines_parse("null,,null", versus), KIWI_INVALID);
    assert_int_equal(versus_engines_parse("", versus), KIWI_INVALID);
    while (versus->engine_count < VERSUS_ENGINE_COUNT_MAX)
        assert_int_equal(versus_engines_parse("null", versus), KIWI_OK);
    assert_int_equal(versus_engines_parse("null", versus), KIWI_INVALID);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
    const struct CMUnitTest tests[] = {
        TEST(every_engine_is_at_every_position_equally_often),
        TEST(the_second_pass_runs_backwards),
        TEST(medians_leave_out_rounds_without_a_number),
        TEST(ratios_are_paired_by_round),
        TEST(blocks_of_other_operations_or_durability_are_refused),
        TEST(a_phase_that_was_cut_short_does_not_count),
        TEST(the_table_names_rows_that_the_first_does_not_win),
        TEST(large_ratios_keep_to_their_column),
        TEST(engines_are_named_once_known_and_few),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
