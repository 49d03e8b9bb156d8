/*
 * Property files become the mixes they stand for.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "workloads/workload.h"

static enum kiwi_status read_text(const char *text, struct workload *out)
{
    struct properties properties = { 0 };
    struct lint       lint = { 0 };
    enum kiwi_status  status;

    assert_int_equal(properties_parse(&properties, "w", text, strlen(text)), KIWI_OK);
    status = workload_read(&properties, "folder/w", &lint, out);
    lint_free(&lint);
    properties_free(&properties);
    return status;
}

static void read_file(const char *name, struct workload *out)
{
    char  path[512], text[8192] = { 0 };
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", WORKLOADS_FOLDER, name);
    file = fopen(path, "rb");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    assert_int_equal(read_text(text, out), KIWI_OK);
}

static void our_files_have_the_standard_mixes(void **state)
{
    static const struct {
        const char       *name;
        double            weights[OPERATION_COUNT];
        enum chooser_kind chooser;
    } wanted[] = {
        { "workloada", { 0.5, 0.5, 0, 0, 0 }, CHOOSE_ZIPFIAN },
        { "workloadb", { 0.95, 0.05, 0, 0, 0 }, CHOOSE_ZIPFIAN },
        { "workloadc", { 1, 0, 0, 0, 0 }, CHOOSE_ZIPFIAN },
        { "workloadd", { 0.95, 0, 0.05, 0, 0 }, CHOOSE_LATEST },
        { "workloade", { 0, 0, 0.05, 0.95, 0 }, CHOOSE_ZIPFIAN },
        { "workloadf", { 0.5, 0, 0, 0, 0.5 }, CHOOSE_ZIPFIAN },
        { "overwrite", { 0, 1, 0, 0, 0 }, CHOOSE_UNIFORM },
        { "uniform-read", { 1, 0, 0, 0, 0 }, CHOOSE_UNIFORM },
        { "durable-insert", { 0, 0, 1, 0, 0 }, CHOOSE_UNIFORM },
    };
    struct workload workload;

    (void)state;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        read_file(wanted[i].name, &workload);
        for (int j = 0; j < OPERATION_COUNT; j++)
            assert_true(workload.weights[j] == wanted[i].weights[j]);
        assert_int_equal(workload.chooser, wanted[i].chooser);
    }
    read_file("workloade", &workload);
    assert_int_equal(workload.scan_rows_max, 100);
    assert_int_equal(value_bytes_max(&workload.values), 1000);
}

static void defaults_are_the_original_ones(void **state)
{
    struct workload workload;

    (void)state;
    assert_int_equal(read_text("workload=core\nrecordcount=7\n", &workload), KIWI_OK);
    assert_true(workload.weights[OPERATION_READ] == 0.95);
    assert_true(workload.weights[OPERATION_UPDATE] == 0.05);
    assert_int_equal(workload.insert_count, 7);
    assert_int_equal(workload.chooser, CHOOSE_UNIFORM);
    assert_int_equal(workload.scan_rows_max, 1000);
    assert_int_equal(workload.keys.digits_min, 1);
    assert_false(workload.keys.is_ordered);
    assert_string_equal(workload.name, "w");
}

static void impossible_relations_are_refused(void **state)
{
    static const char *const wrong[] = {
        "readproportion=0\nupdateproportion=0\n",
        "minscanlength=5\nmaxscanlength=4\n",
        "fieldlengthdistribution=uniform\nminfieldlength=101\n",
        "fieldcount=1000\nfieldlength=1000000\n",
        "recordcount=10\ninsertstart=10\n",
        "recordcount=10\ninsertstart=5\ninsertcount=6\n",
    };
    struct workload workload;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[300];

        snprintf(text, sizeof text, "workload=core\n%s", wrong[i]);
        if (read_text(text, &workload) != KIWI_INVALID)
            fail_msg("accepted: %s", wrong[i]);
    }
}

static void expected_inserts_are_twice_the_share(void **state)
{
    struct workload workload;

    (void)state;
    assert_int_equal(read_text("workload=core\nrecordcount=100\noperationcount=1000\n"
                               "insertproportion=0.05\n", &workload), KIWI_OK);
    assert_int_equal(workload_expected_inserts(&workload), 100);
    assert_true(workload_inserts(&workload));
    assert_true(workload_writes(&workload));
    assert_false(workload_scans(&workload));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_files_have_the_standard_mixes),
        cmocka_unit_test(defaults_are_the_original_ones),
        cmocka_unit_test(impossible_relations_are_refused),
        cmocka_unit_test(expected_inserts_are_twice_the_share),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
