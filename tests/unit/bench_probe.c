/*
 * A probe finds every figure, leaves nothing behind, and is kept for a day; a thread
 * that sleeps notices standstills.
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
#include <unistd.h>

#include "bench/probe.h"
#include "bench/stillness.h"

static char root[64];

static int root_make(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/kiwi-probe-XXXXXX");
    return mkdtemp(root) == NULL || chdir(root) != 0 || setenv("XDG_CACHE_HOME", root, 1) != 0;
}

static int root_remove(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return chdir("/") != 0 || system(command) != 0;
}

static void probe_finds_every_figure_and_leaves_nothing_behind(void **state)
{
    struct device_probe probe;

    (void)state;
    assert_int_equal(probe_make(".", 0.02, &probe), KIWI_OK);
    assert_true(probe.was_made);
    assert_true(probe.file_bytes >= 1u << 20);
    for (enum probe_part part = 0; part < PROBE_PART_COUNT; part++) {
        const struct probe_figures *at = &probe.parts[part];

        if (at->count == 0 || !(at->per_second > 0) || at->p50_ns > at->max_ns || at->max_ns == 0)
            fail_msg("%s: %llu requests, %.1f a second", probe_part_name(part),
                     (unsigned long long)at->count, at->per_second);
    }
    assert_true(probe.parts[PROBE_DEEP_READ].count >= 64);
    assert_int_equal(access("probe", F_OK), -1);
}

static void probe_survives_being_written_down(void **state)
{
    struct device_probe probe, again;
    json_t             *document;

    (void)state;
    assert_int_equal(probe_make(".", 0.01, &probe), KIWI_OK);
    document = probe_json(&probe);
    assert_true(probe_of_json(document, &again));
    assert_memory_equal(&probe.parts, &again.parts, sizeof probe.parts);
    assert_int_equal(probe.file_bytes, again.file_bytes);
    json_object_del(json_object_get(document, "random_read"), "p99_ns");
    assert_false(probe_of_json(document, &again));
    json_decref(document);
}

/* The file that keeps a probe. */
static void kept_find(char *path, size_t bytes)
{
    DIR           *folder = opendir("kiwidb");
    struct dirent *entry;

    path[0] = 0;
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        if (strncmp(entry->d_name, "probe-", 6) == 0)
            snprintf(path, bytes, "kiwidb/%.200s", entry->d_name);
    if (folder != NULL)
        closedir(folder);
}

static void kept_probe_is_used_for_a_day(void **state)
{
    struct device_probe probe, again;
    json_t             *document;
    char                path[256];

    (void)state;
    assert_int_equal(probe_recall(".", true, 0.01, &probe), KIWI_OK);
    kept_find(path, sizeof path);
    assert_true(path[0] != 0);
    assert_int_equal(probe_recall(".", false, 0.01, &again), KIWI_OK);
    assert_true(again.made_seconds - probe.made_seconds < 0.001);
    probe.made_seconds -= 86401;
    document = probe_json(&probe);
    assert_int_equal(json_dump_file(document, path, 0), 0);
    json_decref(document);
    assert_int_equal(probe_recall(".", false, 0.01, &again), KIWI_OK);
    assert_true(again.made_seconds > probe.made_seconds + 86400);
    assert_int_equal(unsetenv("XDG_CACHE_HOME"), 0);
    assert_int_equal(unsetenv("HOME"), 0);
    assert_int_equal(probe_recall(".", false, 0.01, &again), KIWI_NOT_FOUND);
    assert_false(again.was_made);
}

static void only_wakes_above_the_limit_are_standstills(void **state)
{
    static struct stillness stillness;

    (void)state;
    stillness_wake(&stillness, 1000000, 999999);
    stillness_wake(&stillness, 2000000, 3000001);
    stillness_wake(&stillness, 4000000, 4000000 + STILLNESS_LIMIT_NS);
    assert_int_equal(stillness.standstill_count, 0);
    assert_int_equal(stillness.late_1ms, 2);
    for (uint64_t i = 1; i <= STILLNESS_COUNT_MAX + 1; i++)
        stillness_wake(&stillness, i * 100000000, i * 100000000 + STILLNESS_LIMIT_NS + i);
    assert_int_equal(stillness.standstill_count, STILLNESS_COUNT_MAX + 1);
    assert_int_equal(stillness.kept_count, STILLNESS_COUNT_MAX);
    assert_int_equal(stillness.longest_ns, STILLNESS_LIMIT_NS + STILLNESS_COUNT_MAX + 1);
    assert_int_equal(stillness.standstills[1].start_ns, 200000000);
    assert_int_equal(stillness.standstills[1].end_ns, 200000000 + STILLNESS_LIMIT_NS + 2);
}

static void watching_counts_wakes_and_what_it_took(void **state)
{
    struct stillness_watch *watch;
    struct stillness        stillness;
    struct device_probe     probe;

    (void)state;
    stillness_begin(&watch);
    assert_int_equal(probe_make(".", 0.05, &probe), KIWI_OK);
    stillness_end(watch, &stillness);
    assert_true(stillness.was_watched);
    assert_true(stillness.lateness.count > 10);
    assert_true(stillness.cpu_ns > 0);
    assert_true(stillness.longest_ns <= stillness.total_ns);
    assert_true((stillness.standstill_count > 0)
                == (stillness.lateness.max_ns > STILLNESS_LIMIT_NS));
    stillness_end(NULL, &stillness);
    assert_false(stillness.was_watched);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probe_finds_every_figure_and_leaves_nothing_behind),
        cmocka_unit_test(probe_survives_being_written_down),
        cmocka_unit_test(kept_probe_is_used_for_a_day),
        cmocka_unit_test(only_wakes_above_the_limit_are_standstills),
        cmocka_unit_test(watching_counts_wakes_and_what_it_took),
    };

    return cmocka_run_group_tests(tests, root_make, root_remove);
}
