/*
 * A whole run leaves a report that its schema accepts, and ends with the right exit code.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <dirent.h>
#include <jansson.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/report.h"

static char root[64];

static int root_make(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/kiwi-report-XXXXXX");
    return mkdtemp(root) == NULL || chdir(root) != 0;
}

static int root_remove(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return chdir("/") != 0 || system(command) != 0;
}

/* Runs the command with standard output going to the file out. */
static int bench(const char *const *words)
{
    char *argv[40] = { (char *)(uintptr_t)"bench" };
    int   argc = 1, saved, code;

    for (; words[argc - 1] != NULL; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc - 1];
    fflush(stdout);
    saved = dup(STDOUT_FILENO);
    assert_non_null(freopen("out", "w", stdout));
    code = bench_command(argc, argv);
    fflush(stdout);
    assert_true(dup2(saved, STDOUT_FILENO) >= 0);
    close(saved);
    return code;
}

static const json_t *resolve(const json_t *schema, const json_t *rule)
{
    const char *reference = json_string_value(json_object_get(rule, "$ref"));

    if (reference == NULL)
        return rule;
    return json_object_get(json_object_get(schema, "definitions"),
                           reference + strlen("#/definitions/"));
}

/* As much of JSON schema as ours uses: required, properties, items, enum, const. */
static void expect_valid(const json_t *schema, const json_t *rule, const json_t *value,
                         const char *where)
{
    size_t      index;
    const char *name;
    json_t     *item, *choices;
    bool        is_found = false;

    rule = resolve(schema, rule);
    json_array_foreach(json_object_get(rule, "required"), index, item)
        if (json_object_get(value, json_string_value(item)) == NULL)
            fail_msg("%s has no %s", where, json_string_value(item));
    json_object_foreach(json_object_get(rule, "properties"), name, item)
        if (json_object_get(value, name) != NULL)
            expect_valid(schema, item, json_object_get(value, name), name);
    if (json_object_get(rule, "items") != NULL)
        json_array_foreach(value, index, item)
            expect_valid(schema, json_object_get(rule, "items"), item, where);
    if (json_object_get(rule, "const") != NULL)
        assert_true(json_equal(json_object_get(rule, "const"), value));
    choices = json_object_get(rule, "enum");
    json_array_foreach(choices, index, item)
        is_found |= json_equal(item, value) == 1;
    if (choices != NULL && !is_found)
        fail_msg("%s is none of its choices", where);
}

static json_t *last_run(const char *results, char *folder, size_t bytes)
{
    DIR           *directory = opendir(results);
    struct dirent *entry;
    char           path[600];
    json_error_t   error;
    json_t        *document;

    assert_non_null(directory);
    while ((entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.')
            snprintf(folder, bytes, "%s/%.200s", results, entry->d_name);
    closedir(directory);
    snprintf(path, sizeof path, "%s/run.json", folder);
    document = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (document == NULL)
        fail_msg("%s: %s at line %d", path, error.text, error.line);
    return document;
}

static void every_file_of_a_run_is_whole(void **state)
{
    const char *const words[] = { "--preset=quick", "--engine=null", "--records=2k", "--ops=5k",
                                  "--results=r1", "--dir=d1", "-q", NULL };
    char              folder[300], path[600], line[400];
    struct stat       about;
    json_error_t      error;
    json_t           *schema = json_load_file(SCHEMA_FILE, 0, &error), *document;
    FILE             *file;
    size_t            rows = 0;

    (void)state;
    assert_non_null(schema);
    assert_int_equal(bench(words), 0);
    document = last_run("r1", folder, sizeof folder);
    expect_valid(schema, schema, document, "run.json");
    assert_string_equal(json_object_iter_key(json_object_iter(document)), "schema");
    assert_int_equal(json_array_size(json_object_get(document, "phases")), 8);
    assert_string_equal(json_string_value(json_object_get(document, "verdict")), "complete");
    json_decref(document);
    json_decref(schema);
    snprintf(path, sizeof path, "%s/series.csv", folder);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        rows++;
    fclose(file);
    assert_true(rows >= 9);
    snprintf(path, sizeof path, "%s/ycsb.txt", folder);
    assert_int_equal(stat(path, &about), 0);
    assert_true(about.st_size > 1000);
    assert_int_equal(access("d1", F_OK), -1);
}

/* The null engine, in steps far too short to mean anything: what is written is whole. */
static void a_ladder_leaves_its_steps(void **state)
{
    const char *const words[] = { WORKLOADS_FOLDER "/workloada", WORKLOADS_FOLDER "/workloadd",
                                  "--engine=null", "--records=2k", "--ops=2k", "--threads=1",
                                  "--ladder", "--slo=p50=10s,p99=20s", "--seconds=10ms",
                                  "--results=r6", "--dir=d6", "-q", NULL };
    char              folder[300], path[600], line[400];
    json_error_t      error;
    json_t           *schema = json_load_file(SCHEMA_FILE, 0, &error), *document, *ladder;
    FILE             *file;
    size_t            rows = 0, steps = 0, index;

    (void)state;
    assert_non_null(schema);
    assert_int_equal(bench(words), 0);
    document = last_run("r6", folder, sizeof folder);
    expect_valid(schema, schema, document, "run.json");
    assert_int_equal(json_array_size(json_object_get(document, "ladders")), 2);
    json_array_foreach(json_object_get(document, "ladders"), index, ladder)
    {
        steps += json_array_size(json_object_get(ladder, "steps"));
        assert_true(json_array_size(json_object_get(ladder, "steps")) >= 3);
        assert_true(json_is_true(json_object_get(ladder, "is_complete")));
    }
    /* Both workloads are over the same data, which is loaded once. */
    assert_int_equal(json_array_size(json_object_get(document, "phases")), steps + 1);
    json_decref(document);
    json_decref(schema);
    snprintf(path, sizeof path, "%s/ladder.csv", folder);
    file = fopen(path, "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        rows++;
    fclose(file);
    assert_int_equal(rows, steps + 1);
}

/* A tenth of the operations would take a second at this rate. */
static void a_warm_up_at_a_rate_ends_with_the_time_there_is(void **state)
{
    const char *const words[] = { WORKLOADS_FOLDER "/workloadc", "--engine=null", "--ops=10k",
                                  "--rate=1k", "--seconds=100ms", "--threads=1", "--results=r7",
                                  "--dir=d7", "-q", NULL };
    char              folder[300];
    json_t           *document, *phase;

    (void)state;
    assert_int_equal(bench(words), 0);
    document = last_run("r7", folder, sizeof folder);
    phase = json_array_get(json_object_get(document, "phases"), 1);
    assert_int_equal(json_integer_value(json_object_get(phase, "warm_operations")), 10);
    json_decref(document);
}

static void json_goes_to_standard_output_alone(void **state)
{
    const char *const words[] = { WORKLOADS_FOLDER "/workloade", "--engine=null", "--json",
                                  "--records=1k", "--ops=1k", "--results=r2", "--dir=d2", NULL };
    json_error_t      error;
    json_t           *document;

    (void)state;
    assert_int_equal(bench(words), 0);
    document = json_load_file("out", JSON_REJECT_DUPLICATES, &error);
    assert_non_null(document);
    assert_string_equal(json_string_value(json_object_get(document, "suite")), "workloade");
    json_decref(document);
}

static void typo_in_a_workload_is_exit_two(void **state)
{
    const char *const words[] = { "typo", "--engine=null", "--results=r3", "--dir=d3", NULL };
    FILE             *file = fopen("typo", "w");

    (void)state;
    assert_non_null(file);
    fputs("workload=core\nrecordcount=10\noperationcount=10\nreadpropotion=1\n", file);
    fclose(file);
    assert_int_equal(bench(words), 2);
    assert_int_equal(access("r3", F_OK), -1);
    assert_int_equal(access("d3", F_OK), -1);
}

static void foreign_data_folder_is_exit_three(void **state)
{
    const char *const words[] = { "--preset=quick", "--engine=null", "--dir=mine", "-q", NULL };
    FILE             *file;

    (void)state;
    assert_int_equal(mkdir("mine", 0755), 0);
    file = fopen("mine/thesis", "w");
    assert_non_null(file);
    fclose(file);
    assert_int_equal(bench(words), 3);
    assert_int_equal(access("mine/thesis", F_OK), 0);
}

static void results_that_cannot_be_written_are_exit_three(void **state)
{
    const char *const words[] = { WORKLOADS_FOLDER "/workloadc", "--engine=null", "--ops=1k",
                                  "--results=/proc/none", "--dir=d4", "-q", NULL };

    (void)state;
    assert_int_equal(bench(words), 3);
}

static void same_seed_gives_the_same_stream_digest(void **state)
{
    const char *const one[] = { WORKLOADS_FOLDER "/workloada", "--engine=null", "--results=s1",
                                "--dir=d5", "-q", "--threads=2", NULL };
    const char *const two[] = { WORKLOADS_FOLDER "/workloada", "--engine=null", "--results=s2",
                                "--dir=d5", "-q", "--threads=2", "--seed=43", NULL };
    char              folder[300];
    const char       *names[] = { "s1", "s1b", "s2" };
    char              digests[3][20];

    (void)state;
    assert_int_equal(bench(one), 0);
    assert_int_equal(rename("s1", "s1b"), 0);
    assert_int_equal(bench(one), 0);
    assert_int_equal(bench(two), 0);
    for (int i = 0; i < 3; i++) {
        json_t *document = last_run(names[i], folder, sizeof folder);
        json_t *phase = json_array_get(json_object_get(document, "phases"), 1);

        snprintf(digests[i], sizeof digests[i], "%s",
                 json_string_value(json_object_get(phase, "stream_digest")));
        json_decref(document);
    }
    assert_string_equal(digests[0], digests[1]);
    assert_string_not_equal(digests[0], digests[2]);
}

static void numbers_are_written_for_people(void **state)
{
    char text[32];

    (void)state;
    assert_string_equal(duration_text(0, text, sizeof text), "0 ns");
    assert_string_equal(duration_text(999, text, sizeof text), "999 ns");
    assert_string_equal(duration_text(1234, text, sizeof text), "1.23 us");
    assert_string_equal(duration_text(12345, text, sizeof text), "12.3 us");
    assert_string_equal(duration_text(123456, text, sizeof text), "123 us");
    assert_string_equal(duration_text(1234567, text, sizeof text), "1.23 ms");
    assert_string_equal(duration_text(2000000000, text, sizeof text), "2.00 s");
    assert_string_equal(bytes_text(1023, text, sizeof text), "1023 B");
    assert_string_equal(bytes_text(1536, text, sizeof text), "1.5 KiB");
    assert_string_equal(bytes_text(512ull << 20, text, sizeof text), "512 MiB");
    assert_string_equal(rate_text(999, text, sizeof text), "999");
    assert_string_equal(rate_text(123456, text, sizeof text), "123.5k");
    assert_string_equal(rate_text(2500000, text, sizeof text), "2.50M");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file_of_a_run_is_whole),
        cmocka_unit_test(a_ladder_leaves_its_steps),
        cmocka_unit_test(a_warm_up_at_a_rate_ends_with_the_time_there_is),
        cmocka_unit_test(json_goes_to_standard_output_alone),
        cmocka_unit_test(typo_in_a_workload_is_exit_two),
        cmocka_unit_test(foreign_data_folder_is_exit_three),
        cmocka_unit_test(results_that_cannot_be_written_are_exit_three),
        cmocka_unit_test(same_seed_gives_the_same_stream_digest),
        cmocka_unit_test(numbers_are_written_for_people),
    };

    return cmocka_run_group_tests(tests, root_make, root_remove);
}
