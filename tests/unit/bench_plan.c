/*
 * Files and presets become runs in an order that keeps data sets honest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <unistd.h>

#include "bench/plan.h"
#include "core/base/memory.h"

static struct plan *plan_for(struct bench_options *options, const char *const *words)
{
    char        *argv[40] = { (char *)(uintptr_t)"bench" };
    int          argc = 1;
    struct plan *plan = calloc(1, sizeof *plan);

    for (; words[argc - 1] != NULL; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    assert_non_null(plan);
    if (bench_options_parse(argc, argv, options) != KIWI_OK
        || plan_make(options, plan) != KIWI_OK) {
        free(plan);
        return NULL;
    }
    return plan;
}

static void plan_end(struct bench_options *options, struct plan *plan)
{
    plan_free(plan);
    free(plan);
    bench_options_free(options);
}

#define FILE_OF(name) WORKLOADS_FOLDER "/workload" name

static void inserting_workloads_come_last_and_data_is_made_anew_behind_them(void **state)
{
    struct bench_options options;
    const char *const    words[] = { FILE_OF("a"), FILE_OF("b"), FILE_OF("c"), FILE_OF("d"),
                                     FILE_OF("e"), FILE_OF("f"), NULL };
    static const char *const order[] = { "workloada", "workloadb", "workloadc",
                                         "workloadf", "workloadd", "workloade" };
    static const bool        firsts[] = { true, false, false, false, false, true };
    struct plan             *plan = plan_for(&options, words);

    (void)state;
    assert_non_null(plan);
    assert_int_equal(plan->count, 6);
    for (int i = 0; i < 6; i++) {
        assert_string_equal(plan->runs[i].name, order[i]);
        assert_int_equal(plan->runs[i].is_first, firsts[i]);
        assert_int_equal(plan->runs[i].durability, KIWI_DURABLE);
    }
    assert_int_equal(plan->value_bytes_max, 1000);
    plan_end(&options, plan);
}

static void a_name_without_a_file_is_a_built_in_workload(void **state)
{
    struct bench_options options;
    const char *const    words[] = { "delete-heavy", "workloadb", "workloadd", "value-mix", NULL };
    const char *const    unknown[] = { "delete-havy", NULL };
    static const char *const order[] = { "delete-heavy", "workloadb", "workloadd", "value-mix" };
    struct plan             *plan = plan_for(&options, words);

    (void)state;
    assert_non_null(plan);
    assert_int_equal(plan->count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(plan->runs[i].name, order[i]);
    plan_end(&options, plan);
    assert_null(plan_for(&options, unknown));
    assert_non_null(strstr(fail_text(), "did you mean 'delete-heavy'?"));
    bench_options_free(&options);
}

/* The file that a workload names is read, and a fault in it told with its line. */
static void lengths_come_from_a_histogram_file(void **state)
{
    struct bench_options options;
    static const char    text[] = "BlockSize\t16\n0\t3\n1\t4\n2\t1\n";
    char                 path[] = "/tmp/kiwi-test-XXXXXX", property[64];
    const char *const    words[] = { "-p", "fieldlengthdistribution=histogram", "-p", property,
                                     FILE_OF("b"), NULL };
    int                  file = mkstemp(path);
    struct plan         *plan;

    (void)state;
    assert_true(file >= 0);
    snprintf(property, sizeof property, "fieldlengthhistogram=%s", path);
    assert_true(write(file, text, strlen(text)) == (ssize_t)strlen(text));
    plan = plan_for(&options, words);
    assert_non_null(plan);
    assert_int_equal(plan->value_bytes_max, 10 * 32);
    plan_end(&options, plan);
    assert_true(write(file, "3 1\n", 4) == 4);
    assert_null(plan_for(&options, words));
    assert_non_null(strstr(fail_text(), ":5: not a bucket"));
    bench_options_free(&options);
    close(file);
    unlink(path);
    assert_null(plan_for(&options, words));
    assert_non_null(strstr(fail_text(), path));
    bench_options_free(&options);
}

static void data_is_made_anew_behind_deletes_as_behind_inserts(void **state)
{
    struct bench_options options;
    const char *const    words[] = { "delete-heavy", "overwrite", "uniform-read", NULL };
    const char *const    same[] = { "--in-order", "delete-heavy", "overwrite", NULL };
    struct plan         *plan = plan_for(&options, words);

    (void)state;
    assert_non_null(plan);
    assert_string_equal(plan->runs[2].name, "delete-heavy");
    assert_false(plan->runs[1].is_first || plan->runs[2].is_first);
    plan_end(&options, plan);
    plan = plan_for(&options, same);
    assert_non_null(plan);
    assert_true(plan->runs[1].is_first);
    plan_end(&options, plan);
}

static void in_order_keeps_the_order_given(void **state)
{
    struct bench_options options;
    const char *const    words[] = { "--in-order", FILE_OF("d"), FILE_OF("a"), NULL };
    struct plan         *plan = plan_for(&options, words);

    (void)state;
    assert_non_null(plan);
    assert_string_equal(plan->runs[0].name, "workloadd");
    assert_true(plan->runs[1].is_first);
    plan_end(&options, plan);
}

static void presets_are_whole(void **state)
{
    static const char *const names[] = { "quick", "standard", "large" };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct bench_options options;
        const char *const    words[] = { "--preset", names[i], NULL };
        struct plan         *plan = plan_for(&options, words);

        assert_non_null(plan);
        assert_true(plan->count >= 6);
        assert_string_equal(plan->suite, names[i]);
        assert_int_equal(plan->load_durability, KIWI_PROCESS);
        for (uint32_t j = 0; j < plan->count; j++) {
            assert_true(plan->runs[j].workload.record_count >= 1000000);
            assert_int_equal(plan->runs[j].lint.error_count, 0);
        }
        plan_end(&options, plan);
    }
}

static void quick_is_a_b_c_f_d_then_e_on_new_data(void **state)
{
    struct bench_options options;
    const char *const    words[] = { "--preset=quick", NULL };
    struct plan         *plan = plan_for(&options, words);
    char                 order[8] = "";

    (void)state;
    assert_non_null(plan);
    for (uint32_t i = 0; i < plan->count; i++) {
        order[i] = plan->runs[i].name[0];
        assert_int_equal(plan->runs[i].is_first, i == 0 || i == 5);
    }
    assert_string_equal(order, "ABCFDE");
    assert_int_equal(plan->runs[0].workload.record_count, 1000000);
    assert_int_equal(plan->value_bytes_max, 100);
    plan_end(&options, plan);
}

static void command_line_beats_files_and_presets(void **state)
{
    struct bench_options options;
    const char *const    words[] = { "--preset=quick", "--records=500", "-poperationcount=600",
                                     "--durability=memory", "--threads=3", NULL };
    struct plan         *plan = plan_for(&options, words);

    (void)state;
    assert_non_null(plan);
    for (uint32_t i = 0; i < plan->count; i++) {
        assert_int_equal(plan->runs[i].workload.record_count, 500);
        assert_int_equal(plan->runs[i].workload.operation_count, 600);
        assert_int_equal(plan->runs[i].durability, KIWI_MEMORY);
        assert_string_equal(properties_find(&plan->runs[i].properties, "recordcount")->origin,
                            "command line");
    }
    assert_int_equal(plan->thread_count, 3);
    plan_end(&options, plan);
}

static void durability_of_a_file_counts_unless_told_otherwise(void **state)
{
    struct bench_options options;
    const char *const    words[] = { WORKLOADS_FOLDER "/durable-insert", NULL };
    struct plan         *plan = plan_for(&options, words);

    (void)state;
    assert_non_null(plan);
    assert_int_equal(plan->runs[0].durability, KIWI_DURABLE);
    assert_string_equal(plan->suite, "durable_insert");
    plan_end(&options, plan);
}

static void wrong_inputs_are_told_by_name(void **state)
{
    static const char *const wrong[][3] = {
        { "no-such-file", NULL, "no-such-file" },
        { "--preset=fast", NULL, "quick, standard, large" },
        { "--preset=quik", NULL, "did you mean 'quick'?" },
        { "-preadpropotion=1", FILE_OF("a"), "did you mean 'readproportion'" },
        { "-precordcount=0", FILE_OF("a"), "recordcount is not set" },
        { "-poperationcount=0", FILE_OF("a"), "operationcount is not set" },
        { WORKLOADS_FOLDER, NULL, "read" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct bench_options options;
        const char *const    words[] = { wrong[i][0], wrong[i][1], NULL };
        struct plan         *plan = plan_for(&options, words);

        assert_null(plan);
        if (strstr(fail_text(), wrong[i][2]) == NULL)
            fail_msg("%s: %s", wrong[i][0], fail_text());
        bench_options_free(&options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inserting_workloads_come_last_and_data_is_made_anew_behind_them),
        cmocka_unit_test(a_name_without_a_file_is_a_built_in_workload),
        cmocka_unit_test(lengths_come_from_a_histogram_file),
        cmocka_unit_test(data_is_made_anew_behind_deletes_as_behind_inserts),
        cmocka_unit_test(in_order_keeps_the_order_given),
        cmocka_unit_test(presets_are_whole),
        cmocka_unit_test(quick_is_a_b_c_f_d_then_e_on_new_data),
        cmocka_unit_test(command_line_beats_files_and_presets),
        cmocka_unit_test(durability_of_a_file_counts_unless_told_otherwise),
        cmocka_unit_test(wrong_inputs_are_told_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
