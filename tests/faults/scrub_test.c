/*
 * scrub_test.c: tables of a database that is open are read in search of damage.
 *
 * Damage is made behind the engine's back, by flipping a bit of a table's file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/check.h"
#include "tests/support/world.h"

enum { KEYS = 2000, WAIT_SECONDS = 120 };

static enum world_way way_under_test;

struct scene {
    struct world world;
    char         file[512];    /* of the table that is damaged */
    uint32_t     calls;        /* of progress */
    uint32_t     stop_at;      /* of them; 0: never */
    bool         writes;       /* progress writes, flushes and compacts */
    uint32_t     findings;
    char         text[512];    /* of the last */
    char         finding_file[512];
    uint64_t     offset, bytes;
};

static void key_put(struct scene *scene, uint32_t number, const char *word)
{
    char key[32], value[300];
    int  key_bytes = snprintf(key, sizeof key, "key-%06u", number);

    memset(value, 'v', sizeof value);
    snprintf(value, sizeof value, "%s %u", word, number);
    check_ok(kiwi_put(scene->world.context, (struct kiwi_slice){ key, (size_t)key_bytes },
                      (struct kiwi_slice){ value, sizeof value }, KIWI_PROCESS));
}

static void keys_put(struct scene *scene, const char *word)
{
    for (uint32_t i = 0; i < KEYS; i++)
        key_put(scene, i, word);
    check_ok(kiwi_flush(scene->world.context));
}

static int scene_setup(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);

    assert_non_null(scene);
    world_make(&scene->world, way_under_test, 3);
    check_ok(world_open(&scene->world));
    keys_put(scene, "first");
    *state = scene;
    return 0;
}

static int scene_teardown(void **state)
{
    struct scene *scene = *state;

    world_end(&scene->world);
    free(scene);
    return 0;
}

static bool progress(void *context, uint64_t done_bytes, uint64_t all_bytes)
{
    struct scene *scene = context;

    assert_true(done_bytes > 0 && all_bytes > 0);
    scene->calls++;
    if (scene->writes && scene->calls % 8 == 0) {
        for (uint32_t i = 0; i < 200; i++)
            key_put(scene, (scene->calls * 7 + i * 13) % KEYS, "again");
        check_ok(scene->calls % 16 == 0 ? kiwi_compact(scene->world.context,
                                                       (struct kiwi_slice){ 0 },
                                                       (struct kiwi_slice){ 0 })
                                        : kiwi_flush(scene->world.context));
    }
    return scene->stop_at == 0 || scene->calls < scene->stop_at;
}

static void found(void *context, const struct kiwi_finding *finding)
{
    struct scene *scene = context;

    assert_int_equal(finding->kind, KIWI_FINDING_DAMAGE);
    scene->findings++;
    snprintf(scene->text, sizeof scene->text, "%s", finding->text);
    snprintf(scene->finding_file, sizeof scene->finding_file, "%s", finding->file);
    scene->offset = finding->offset;
    scene->bytes = finding->bytes;
}

static enum kiwi_status scrub(struct scene *scene, struct kiwi_scrub_report *report)
{
    struct kiwi_scrub_options options = { .found = found, .progress = progress, .context = scene };

    scene->calls = scene->findings = 0;
    return kiwi_scrub(scene->world.db, &options, report);
}

static void bit_flip(const char *path)
{
    FILE *file = fopen(path, "r+b");
    int   byte;

    assert_non_null(file);
    assert_int_equal(fseek(file, 1000, SEEK_SET), 0);
    byte = fgetc(file);
    assert_true(byte != EOF);
    assert_int_equal(fseek(file, 1000, SEEK_SET), 0);
    assert_true(fputc(byte ^ 4, file) != EOF);
    assert_int_equal(fclose(file), 0);
}

/* Of one of the first shard's files after the other, until a table stands there; others are those
 * of the pool, and as they were. */
static enum kiwi_status table_damage(struct scene *scene, struct kiwi_scrub_report *report)
{
    enum kiwi_status status = KIWI_OK;
    char             path[300];
    struct dirent   *entry;
    DIR             *directory;

    snprintf(path, sizeof path, "%s/shard-00", scene->world.directory);
    directory = opendir(path);
    assert_non_null(directory);
    while (status == KIWI_OK && (entry = readdir(directory)) != NULL) {
        if (strncmp(entry->d_name, "t-", 2) != 0)
            continue;
        snprintf(scene->file, sizeof scene->file, "%s/%.100s", path, entry->d_name);
        bit_flip(scene->file);
        status = scrub(scene, report);
        if (status == KIWI_OK)
            bit_flip(scene->file);
    }
    closedir(directory);
    return status;
}

static void whole_tables_are_read_once_and_found_whole(void **state)
{
    struct scene            *scene = *state;
    struct kiwi_scrub_report report, again;
    struct kiwi_stats       *stats = calloc(1, sizeof *stats);

    assert_non_null(stats);
    check_ok(scrub(scene, &report));
    assert_int_equal(report.table_entries, KEYS);
    assert_true(report.table_count > 1);
    assert_true(report.read_bytes > 0 && report.read_bytes <= report.all_bytes);
    assert_int_equal(report.damage_count, 0);
    check_ok(kiwi_scrub(scene->world.db, NULL, &again));
    assert_int_equal(again.read_bytes, report.read_bytes);
    check_ok(kiwi_stats_read(scene->world.db, stats));
    assert_int_equal(stats->scrub_passes, 2);
    assert_int_equal(stats->scrub_bytes, 2 * report.read_bytes);
    assert_int_equal(stats->scrub_damages, 0);
    free(stats);
}

static void tables_that_change_meanwhile_are_no_damage(void **state)
{
    struct scene            *scene = *state;
    struct kiwi_scrub_report report;

    scene->writes = true;
    for (uint32_t round = 0; round < 3; round++) {
        check_ok(scrub(scene, &report));
        assert_int_equal(report.damage_count, 0);
        assert_true(scene->calls >= 8);
    }
}

static void progress_can_stop_it(void **state)
{
    struct scene            *scene = *state;
    struct kiwi_scrub_report report;

    scene->stop_at = 3;
    assert_int_equal(scrub(scene, &report), KIWI_CLOSED);
    assert_int_equal(scene->calls, 3);
    scene->stop_at = 0;
    check_ok(scrub(scene, &report));
}

static void a_flipped_bit_is_told_with_file_and_offset(void **state)
{
    struct scene            *scene = *state;
    struct kiwi_scrub_report report;
    struct kiwi_stats       *stats;

    if (way_under_test == WORLD_SIMULATED)
        skip();
    stats = calloc(1, sizeof *stats);
    assert_non_null(stats);
    assert_int_equal(table_damage(scene, &report), KIWI_CORRUPT);
    assert_int_equal(report.damage_count, 1);
    assert_int_equal(scene->findings, 1);
    assert_string_equal(scene->finding_file, scene->file);
    assert_true(scene->offset <= 1000 && 1000 < scene->offset + scene->bytes);
    assert_non_null(strstr(scene->text, scene->file));
    check_ok(kiwi_stats_read(scene->world.db, stats));
    assert_int_equal(stats->scrub_damages, 1);
    assert_string_equal(stats->scrub_finding, scene->text);
    bit_flip(scene->file);
    check_ok(scrub(scene, &report));
    free(stats);
}

/* Counters of the engine's own thread: looked at until they are there, however long that takes. */
static void wait_for(struct scene *scene, struct kiwi_stats *stats, bool damages)
{
    time_t begin = time(NULL);

    do {
        check_ok(kiwi_stats_read(scene->world.db, stats));
        if ((damages ? stats->scrub_damages : stats->scrub_passes) > 0)
            return;
        sched_yield();
    } while (time(NULL) - begin < WAIT_SECONDS);
    fail_msg("the engine's own thread found nothing in %d s", WAIT_SECONDS);
}

static void a_thread_of_the_engine_scrubs_when_asked_to(void **state)
{
    struct scene            *scene = *state;
    struct kiwi_stats       *stats = calloc(1, sizeof *stats);

    assert_non_null(stats);
    scene->world.options.scrub_bytes_per_second = 1ull << 30;
    check_ok(world_close(&scene->world));
    if (scene->world.options.drive != KIWI_MANAGED) {
        assert_int_equal(world_open(&scene->world), KIWI_INVALID);
        assert_non_null(strstr(kiwi_error_text(), "scrub_bytes_per_second"));
        scene->world.options.scrub_bytes_per_second = 0;
        check_ok(world_open(&scene->world));
    } else {
        check_ok(world_open(&scene->world));
        wait_for(scene, stats, false);
        assert_true(stats->scrub_bytes > 0);
        assert_int_equal(stats->scrub_damages, 0);
        check_ok(world_close(&scene->world)); /* while it rests between two passes */
        scene->world.options.scrub_bytes_per_second = 64u << 10;
        check_ok(world_open(&scene->world));  /* and while it waits for its rate */
    }
    free(stats);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole_tables_are_read_once_and_found_whole, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(tables_that_change_meanwhile_are_no_damage, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(progress_can_stop_it, scene_setup, scene_teardown),
        cmocka_unit_test_setup_teardown(a_flipped_bit_is_told_with_file_and_offset, scene_setup,
                                        scene_teardown),
        cmocka_unit_test_setup_teardown(a_thread_of_the_engine_scrubs_when_asked_to, scene_setup,
                                        scene_teardown),
    };

    way_under_test = world_way_of(argc > 1 ? argv[1] : "managed");
    return cmocka_run_group_tests_name(world_way_name(way_under_test), tests, NULL, NULL);
}
