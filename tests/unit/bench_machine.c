/*
 * What a result says of its build, and what is kept of its machine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include <unistd.h>

#include "bench/machine.h"

static char root[64];

static int root_make(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/kiwi-machine-XXXXXX");
    return mkdtemp(root) == NULL || chdir(root) != 0;
}

static int root_remove(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return chdir("/") != 0 || system(command) != 0;
}

static void flags_are_the_same_whatever_the_debug_information(void **state)
{
    (void)state;
    assert_true(build_flags_are_same(" -O3 -g", " -O3 -g1"));
    assert_true(build_flags_are_same("-O3", "-ggdb3  -O3 "));
    assert_true(build_flags_are_same("", " -g"));
    assert_true(build_flags_are_same("-O3 -march=native", "-O3 -g -march=native"));
    assert_false(build_flags_are_same("-O3 -g", "-O2 -g"));
    assert_false(build_flags_are_same("-O3", "-O3 -march=native"));
    assert_false(build_flags_are_same("-O3 -g", "-g"));
    assert_false(build_flags_are_same("-O3", "-O3x"));
    assert_false(build_flags_are_same("-O3 -flto", "-flto -O3"));
}

/* The load that a machine had, of the one written at path; -2: there is none. */
static double load_at(const char *path)
{
    json_t *kept = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    double  load = kept == NULL ? -2 : json_number_value(json_object_get(kept,
                                                                         "load_average_before"));

    json_decref(kept);
    return load;
}

static void a_machine_is_kept_beside_runs_and_ab(void **state)
{
    static const char *const results[][2] = {
        { "runs", "machines" },
        { "a/runs/", "a/machines" },
        { "b/c/ab", "b/c/machines" },
        { "./runs//", "./machines" },
    };
    struct machine machine;
    json_t        *document;
    char           path[128];

    (void)state;
    machine_read(&machine, ".");
    document = machine_json(&machine);
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++) {
        json_t *kept;

        assert_int_equal(machine_keep(document, results[i][0]), KIWI_OK);
        snprintf(path, sizeof path, "%s/%.8s.json", results[i][1], machine.fingerprint);
        kept = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
        assert_int_equal(json_object_size(kept), json_object_size(document));
        assert_string_equal(json_string_value(json_object_get(kept, "fingerprint")),
                            machine.fingerprint);
        json_decref(kept);
    }
    assert_int_equal(machine_keep(document, "elsewhere"), KIWI_OK);
    assert_int_equal(machine_keep(document, "d/xruns"), KIWI_OK);
    assert_int_equal(machine_keep(NULL, "e/runs"), KIWI_OK);
    assert_int_equal(access("d", F_OK), -1);
    assert_int_equal(access("e", F_OK), -1);
    json_decref(document);
}

static void a_machine_that_is_there_stays_as_it_is(void **state)
{
    struct machine machine = { .fingerprint = "0123456789abcdef", .load_average = 1.5 };
    json_t        *first = machine_json(&machine), *second;

    (void)state;
    machine.load_average = 2.5;
    second = machine_json(&machine);
    assert_int_equal(machine_keep(first, "f/runs"), KIWI_OK);
    assert_int_equal(machine_keep(second, "f/ab"), KIWI_OK);
    assert_true(load_at("f/machines/01234567.json") == 1.5);
    json_decref(first);
    json_decref(second);
}

static void a_machine_that_cannot_be_kept_is_told(void **state)
{
    struct machine machine = { .fingerprint = "0123456789abcdef" };
    json_t        *document = machine_json(&machine);
    FILE          *file;

    (void)state;
    assert_int_equal(machine_keep(document, "g/runs"), KIWI_OK);
    file = fopen("g/machines/x", "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(machine_keep(document, "g/machines/x/runs"), KIWI_IO);
    json_decref(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_are_the_same_whatever_the_debug_information),
        cmocka_unit_test(a_machine_is_kept_beside_runs_and_ab),
        cmocka_unit_test(a_machine_that_is_there_stays_as_it_is),
        cmocka_unit_test(a_machine_that_cannot_be_kept_is_told),
    };

    return cmocka_run_group_tests(tests, root_make, root_remove);
}
