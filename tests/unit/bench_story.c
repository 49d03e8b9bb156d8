/*
 * What remains of a phase behind its last whole interval makes no spike in a chart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>

#include "bench/story.h"
#include "core/base/memory.h"

#define COLUMNS 5u

static void the_end_of_a_phase_is_no_rate_of_its_own(void **state)
{
    static char names[COLUMNS][16] = { "phase", "seconds", "operations", "p99_ns", "memory_bytes" };
    char       *pointers[COLUMNS];
    /* A load of 0.1 s, then two seconds, 4 ms and nothing. */
    double cells[] = {
        0, 0.100, 500,  70, 10, /**/ 1, 1.000, 1000, 50, 20,
        1, 2.000, 1200, 60, 30, /**/ 1, 2.004, 8,    90, 40,
    };
    struct result result = {
        .folder = "/nowhere",
        .document = json_pack("[{s:s}, {s:s}]", "name", "load", "name", "a"),
        .series = { .names = pointers, .column_count = COLUMNS, .row_count = 4, .cells = cells },
    };
    struct story *story;
    double       *rates, *tails, *memory;

    (void)state;
    for (size_t i = 0; i < COLUMNS; i++)
        pointers[i] = names[i];
    result.phases = result.document;
    assert_int_equal(story_open(&result, &story), KIWI_OK);
    assert_false(story->has_latencies);
    rates = story_column(story, "operations", true);
    tails = story_column(story, "p99_ns", false);
    memory = story_column(story, "memory_bytes", false);
    assert_true(rates != NULL && tails != NULL && memory != NULL);
    assert_null(story_column(story, "nothing", false));
    /* The load is short, but all there is of it. */
    assert_true(rates[0] > 4999 && rates[0] < 5001);
    assert_true(rates[1] > 999 && rates[1] < 1001);
    assert_true(rates[2] > 1199 && rates[2] < 1201);
    assert_true(rates[3] > 1202 && rates[3] < 1204); /* (1200 + 8) in 1.004 s, not 2,000 */
    assert_true(tails[2] == 60 && tails[3] == 60);
    assert_true(memory[3] == 40);
    memory_free(rates);
    memory_free(tails);
    memory_free(memory);
    story_close(story);
    json_decref(result.document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_of_a_phase_is_no_rate_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
