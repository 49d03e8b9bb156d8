/*
 * A history takes each run once, tells where it steps, and refuses damage with file and line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "bench/history.h"
#include "bench/verb.h"

enum { RUNS = 24, STEP = 14 };

static char root[64], told[65536];

static int root_make(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/kiwi-history-XXXXXX");
    return mkdtemp(root) == NULL || chdir(root) != 0 || mkdir("runs", 0755) != 0;
}

static int root_remove(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return chdir("/") != 0 || system(command) != 0;
}

/* A run of a day, with a commit of its own. */
static json_t *run_make(int day, double rate, const char *verdict, const char *sanitizer)
{
    char start[40], id[40], commit[20];

    snprintf(start, sizeof start, "2026-03-%02dT12:00:00Z", day);
    snprintf(id, sizeof id, "202603%02d-a", day);
    snprintf(commit, sizeof commit, "c0ffee%02d", day);
    return json_pack(
        "{s:s, s:i, s:s, s:s, s:s, s:s, s:{s:s}, s:{s:s, s:b, s:s}, s:{s:s}, s:{s:s, s:i, s:i, "
        "s:i, s:s}, s:[{s:s, s:s, s:s, s:s, s:i, s:i, s:f, s:{s:f, s:f}, s:[{s:s, s:{s:i, "
        "s:i}}]}]}",
        "schema", "kiwi.bench.run", "version", 1, "id", id, "suite", "quick", "start", start,
        "verdict", verdict, "engine", "name", "kiwi", "build", "commit", commit, "is_dirty", 0,
        "sanitizer", sanitizer, "machine", "fingerprint", "0123456789abcdef", "settings", "client",
        "attached", "threads", 2, "depth", 32, "memory_bytes", 1 << 26, "load_durability",
        "process", "phases", "name", "A", "kind", "run", "durability", "process", "stream_digest",
        "00000000000000aa", "operations", 1000000, "operations_wanted", 1000000,
        "throughput_per_second", rate, "usage", "cpu_user_seconds", 1.5, "cpu_system_seconds",
        0.5, "latency", "operation", "READ", "service", "p50_ns", 1000, "p99_ns", 9000);
}

static void run_write(int day, double rate, const char *verdict, const char *sanitizer)
{
    json_t *run = run_make(day, rate, verdict, sanitizer);
    char    path[80];

    assert_non_null(run);
    snprintf(path, sizeof path, "runs/202603%02d-a", day);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof path, "runs/202603%02d-a/run.json", day);
    assert_int_equal(json_dump_file(run, path, 0), 0);
    json_decref(run);
}

/* Runs `history`; what it prints, notes and errors too, is in told. */
static int history(const char *first, const char *second)
{
    char  *argv[] = { (char *)(uintptr_t)"history", (char *)(uintptr_t)"runs",
                      (char *)(uintptr_t)first, (char *)(uintptr_t)second };
    int    argc = first == NULL ? 2 : second == NULL ? 3 : 4, code, saved[2];
    FILE  *file;
    size_t bytes;

    fflush(stdout);
    fflush(stderr);
    saved[0] = dup(STDOUT_FILENO);
    saved[1] = dup(STDERR_FILENO);
    assert_non_null(freopen("out", "w", stdout));
    assert_true(dup2(fileno(stdout), STDERR_FILENO) >= 0);
    code = verb_history(argc, argv);
    fflush(stdout);
    assert_true(dup2(saved[0], STDOUT_FILENO) >= 0);
    assert_true(dup2(saved[1], STDERR_FILENO) >= 0);
    close(saved[0]);
    close(saved[1]);
    file = fopen("out", "r");
    bytes = fread(told, 1, sizeof told - 1, file);
    fclose(file);
    told[bytes] = 0;
    return code;
}

static void expect_told(const char *text)
{
    if (strstr(told, text) == NULL)
        fail_msg("'%s' is not in:\n%s", text, told);
}

static size_t line_count(const char *path)
{
    FILE  *file = fopen(path, "r");
    size_t lines = 0;
    int    letter;

    assert_non_null(file);
    while ((letter = fgetc(file)) != EOF)
        lines += letter == '\n';
    fclose(file);
    return lines;
}

static void step_is_told_with_its_commits_and_size(void **state)
{
    (void)state;
    for (int i = 0; i < RUNS; i++)
        run_write(i + 1, (i < STEP ? 1e6 : 9e5) + 1000 * (i * 7 % 5), "complete", "");
    assert_int_equal(history(NULL, NULL), BENCH_DONE);
    expect_told("24 runs new");
    expect_told("A.throughput");
    expect_told("-10.0 % WORSE  1.00M to 902.0k, after c0ffee14 (2026-03-14), by c0ffee15 "
                "(2026-03-15)");
    expect_told("24 runs, 4 series, 1 steps");
    assert_int_equal(line_count("history/quick.ndjson"), RUNS);
}

static void runs_are_taken_once(void **state)
{
    (void)state;
    assert_int_equal(history(NULL, NULL), BENCH_DONE);
    expect_told("0 runs new");
    assert_int_equal(line_count("history/quick.ndjson"), RUNS);
}

static void partial_and_sanitized_runs_are_left_out(void **state)
{
    (void)state;
    run_write(28, 1, "partial", "");
    run_write(29, 1, "complete", "address");
    assert_int_equal(history(NULL, NULL), BENCH_DONE);
    expect_told("20260328-a is left out: it is not complete");
    expect_told("20260329-a is left out: it was built with a sanitizer");
    expect_told("0 runs new");
}

static void metric_is_shown_with_every_value(void **state)
{
    (void)state;
    assert_int_equal(history("--metric", "throughput"), BENCH_DONE);
    expect_told("2026-03-15  c0ffee15   903.0k  <- another level from here");
    expect_told("24 runs, 1 series, 1 steps");
    assert_int_equal(history("--metric", "A"), BENCH_DONE);
    expect_told("4 series");
    assert_int_equal(history("--metric", "A.troughput"), BENCH_USAGE);
    expect_told("the nearest is 'A.throughput'");
}

static void damaged_history_is_refused_with_its_line(void **state)
{
    FILE *file = fopen("history/quick.ndjson", "a");

    (void)state;
    assert_non_null(file);
    fputs("{\"timestamp\": 1}\n", file);
    fclose(file);
    assert_int_equal(history(NULL, NULL), BENCH_ENVIRONMENT);
    expect_told("quick.ndjson line 25: no metrics");
    file = fopen("history/quick.ndjson", "w");
    assert_non_null(file);
    fputs("{\"timestamp\": 1, ", file);
    fclose(file);
    assert_int_equal(history(NULL, NULL), BENCH_ENVIRONMENT);
    expect_told("quick.ndjson line 1 is cut off");
}

static void other_operations_make_another_series(void **state)
{
    struct history history = { 0 };
    json_t        *runs[2] = { run_make(1, 100, "complete", ""), run_make(2, 100, "complete", "") };

    (void)state;
    json_object_set_new(json_array_get(json_object_get(runs[1], "phases"), 0), "stream_digest",
                        json_string("00000000000000bb"));
    for (size_t i = 0; i < 2; i++) {
        json_t *line = history_line(runs[i]);

        assert_int_equal(history_add(&history, line, "here", i + 1), KIWI_OK);
        json_decref(line);
        json_decref(runs[i]);
    }
    history_sort(&history);
    assert_int_equal(history.count, 8);
    assert_int_equal(history.series[0].count, 1);
    history_free(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(step_is_told_with_its_commits_and_size),
        cmocka_unit_test(runs_are_taken_once),
        cmocka_unit_test(partial_and_sanitized_runs_are_left_out),
        cmocka_unit_test(metric_is_shown_with_every_value),
        cmocka_unit_test(damaged_history_is_refused_with_its_line),
        cmocka_unit_test(other_operations_make_another_series),
    };

    return cmocka_run_group_tests(tests, root_make, root_remove);
}
