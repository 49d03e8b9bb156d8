/*
 * log_test.c: what kiwi_options.log is told.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/check.h"
#include "tests/support/world.h"

enum { KEYS = 300, LINES_MAX = 200 };

struct line {
    enum kiwi_log_level level;
    char                text[640];
};

struct scene {
    struct world              world;
    struct simulation_options disk;
    struct line               lines[LINES_MAX];
    uint32_t                  line_count;
};

static void line_keep(void *context, enum kiwi_log_level level, const char *text)
{
    struct scene *scene = context;

    assert_true(scene->line_count < LINES_MAX);
    assert_true(strlen(text) > 10);
    assert_null(strchr(text, '\n'));
    scene->lines[scene->line_count].level = level;
    snprintf(scene->lines[scene->line_count++].text, sizeof scene->lines[0].text, "%s", text);
}

/* How many lines of this level have both words. */
static uint32_t lines_with(const struct scene *scene, enum kiwi_log_level level, const char *word,
                           const char *other)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < scene->line_count; i++)
        count += scene->lines[i].level == level && strstr(scene->lines[i].text, word) != NULL
              && strstr(scene->lines[i].text, other) != NULL;
    return count;
}

static void lines_print(const struct scene *scene)
{
    for (uint32_t i = 0; i < scene->line_count; i++)
        print_message("    %d %s\n", (int)scene->lines[i].level, scene->lines[i].text);
}

static void one_line_is(const struct scene *scene, enum kiwi_log_level level, const char *word,
                        const char *other)
{
    uint32_t count = lines_with(scene, level, word, other);

    if (count == 1)
        return;
    lines_print(scene);
    fail_msg("%u lines have '%s' and '%s'", count, word, other);
}

static int scene_setup(void **state)
{
    struct scene *scene = calloc(1, sizeof *scene);

    assert_non_null(scene);
    world_make(&scene->world, WORLD_SIMULATED, 5);
    scene->world.options.log = line_keep;
    scene->world.options.log_context = scene;
    scene->world.options.memtable_bytes = 32u << 10;
    scene->disk.seed = 5;
    check_ok(world_open(&scene->world));
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

static void disk_set(struct scene *scene)
{
    simulation_set(scene->world.simulation, &scene->disk);
}

static enum kiwi_status put(struct scene *scene, uint32_t key, enum kiwi_durability mode)
{
    char name[16], value[200] = { 'v' };

    snprintf(name, sizeof name, "key-%04u", key);
    return kiwi_put(scene->world.context, (struct kiwi_slice){ name, strlen(name) },
                    (struct kiwi_slice){ value, sizeof value }, mode);
}

static void key_is_there(struct scene *scene, uint32_t key)
{
    struct kiwi_buffer value = { 0 };
    char               name[16];

    snprintf(name, sizeof name, "key-%04u", key);
    check_ok(kiwi_get(scene->world.context, slice(name), NULL, &value));
    assert_int_equal(value.size, 200);
    kiwi_buffer_free(&value);
}

static void puts_ok(struct scene *scene)
{
    for (uint32_t key = 0; key < KEYS; key++)
        check_ok(put(scene, key, KIWI_PROCESS));
}

/* A turn of the shards, and one more for what the first has put down. */
static void turns(struct scene *scene, uint32_t count)
{
    struct kiwi_op *done[4];

    for (uint32_t i = 0; i < count; i++)
        (void)kiwi_poll(scene->world.context, done, 4, 1000000);
}

static void a_database_without_trouble_is_silent(void **state)
{
    struct scene *scene = *state;

    puts_ok(scene);
    check_ok(kiwi_flush(scene->world.context));
    puts_ok(scene);
    check_ok(world_close(&scene->world));
    check_ok(world_open(&scene->world));
    check_ok(kiwi_compact(scene->world.context, (struct kiwi_slice){ 0 },
                          (struct kiwi_slice){ 0 }));
    check_ok(world_close(&scene->world));
    lines_print(scene);
    assert_int_equal(scene->line_count, 0);
}

static void an_opening_tells_what_it_replayed(void **state)
{
    struct scene *scene = *state;

    for (uint32_t key = 0; key < 20; key++)
        check_ok(put(scene, key, KIWI_DURABLE));
    check_ok(put(scene, 20, KIWI_PROCESS));
    simulation_kill(scene->world.simulation);
    (void)world_close(&scene->world);
    scene->line_count = 0;
    check_ok(world_open(&scene->world));
    one_line_is(scene, KIWI_LOG_NOTE, "shard 0 of /database/shard-00", "replayed");
    one_line_is(scene, KIWI_LOG_NOTE, "shard 1 of /database/shard-01", "replayed");
}

/* What a power cut may leave of the first shard's tail: nothing. */
static void tail_wipe(struct scene *scene)
{
    static uint8_t  zeros[4096];
    struct io_file *file;
    uint64_t        bytes;

    check_ok(io_file_open(scene->world.options.io, "/database/shard-00/tail", 0, &file));
    check_ok(io_file_size(file, &bytes));
    for (uint64_t at = 0; at < bytes; at += sizeof zeros)
        check_ok(io_file_write(file, zeros, sizeof zeros, at));
    io_file_close(file);
}

/* Goal: groups that were written behind one that was not are cut off and told, everything durable
 * before them is there, and they never come back. Method: four groups are in flight, the write of
 * the first fails, the power goes and takes what the tail had. */
static void groups_behind_a_torn_end_are_told_when_they_are_cut_off(void **state)
{
    enum { GROUPS = 4, VALUE_BYTES = 66000 };
    static uint8_t     bytes[VALUE_BYTES];
    struct scene      *scene = *state;
    struct world      *world = &scene->world;
    struct simulation *disk = world->simulation;
    struct kiwi_op     ops[GROUPS] = { 0 }, *list[GROUPS], *done[GROUPS];
    struct kiwi_buffer value = { 0 };
    char               names[GROUPS][16];
    size_t             count = 0;

    check_ok(world_close(world));
    world->options.memtable_bytes = 512u << 10; /* no flush comes between */
    check_ok(world_open(world));
    puts_ok(scene);
    check_ok(kiwi_wait_durable(world->context));
    for (uint32_t i = 0, name = 0; i < GROUPS; name++) {
        snprintf(names[i], sizeof names[i], "large-%u", name);
        ops[i] = (struct kiwi_op){ .verb = KIWI_PUT, .key = slice(names[i]),
                                   .value = { bytes, sizeof bytes }, .durability = KIWI_DURABLE };
        list[i] = &ops[i];
        i += kiwi_shard_of(world->db, ops[i].key) == 0;
    }
    simulation_fail_at(disk, simulation_operations(disk) + 1, KIWI_IO, false);
    for (uint32_t i = 0; i < GROUPS; i++)
        check_ok(kiwi_submit(world->context, &list[i], 1));
    while (count < GROUPS)
        count += kiwi_poll(world->context, done, GROUPS, KIWI_FOREVER);
    for (uint32_t i = 0; i < GROUPS; i++)
        assert_true(ops[i].status == KIWI_IO || ops[i].status == KIWI_STOPPED);
    simulation_fail_at(disk, 0, KIWI_OK, false);
    simulation_crash(disk);
    (void)world_close(world);
    tail_wipe(scene);
    for (uint32_t life = 0; life < 2; life++) {
        scene->line_count = 0;
        check_ok(world_open(world));
        if (life == 0)
            one_line_is(scene, KIWI_LOG_NOTE, "shard 0 of /database/shard-00",
                        "3 log groups behind a torn end, never acknowledged as durable, were cut");
        assert_int_equal(lines_with(scene, KIWI_LOG_NOTE, "torn end", ""), life == 0);
        for (uint32_t key = 0; key < KEYS + life; key++)
            key_is_there(scene, key);
        for (uint32_t i = 0; i < GROUPS; i++)
            assert_int_equal(kiwi_get(world->context, ops[i].key, NULL, &value), KIWI_NOT_FOUND);
        check_ok(put(scene, KEYS + life, KIWI_DURABLE));
        simulation_kill(disk);
        (void)world_close(world);
    }
    kiwi_buffer_free(&value);
}

static void a_shard_that_stops_is_told_once_with_its_cause(void **state)
{
    struct scene *scene = *state;
    bool          is_refused = false;

    scene->disk.write_error_per_million = 1000000;
    disk_set(scene);
    for (uint32_t key = 0; key < 40; key++)
        is_refused |= put(scene, key, KIWI_DURABLE) != KIWI_OK;
    assert_true(is_refused);
    turns(scene, 20);
    (void)world_close(&scene->world); /* whatever was not told before is told now */
    one_line_is(scene, KIWI_LOG_ERROR, "shard 0", "no more writes");
    one_line_is(scene, KIWI_LOG_ERROR, "shard 1", "no more writes");
    assert_int_equal(lines_with(scene, KIWI_LOG_ERROR, "no more writes", "/wal"), 2);
    scene->disk.write_error_per_million = 0;
    disk_set(scene);
}

static void flushes_that_fail_are_told_once_and_that_they_work_again(void **state)
{
    struct scene *scene = *state;

    puts_ok(scene);
    scene->disk.disk_bytes = 1; /* nothing more fits */
    disk_set(scene);
    assert_int_equal(kiwi_flush(scene->world.context), KIWI_FULL);
    assert_int_equal(kiwi_flush(scene->world.context), KIWI_FULL);
    turns(scene, 50);
    one_line_is(scene, KIWI_LOG_WARNING, "shard 0", "a flush has failed");
    one_line_is(scene, KIWI_LOG_WARNING, "shard 1", "/t-");
    assert_int_equal(lines_with(scene, KIWI_LOG_NOTE, "flushes work again", ""), 0);
    scene->disk.disk_bytes = 0;
    disk_set(scene);
    check_ok(kiwi_flush(scene->world.context));
    turns(scene, 20);
    one_line_is(scene, KIWI_LOG_NOTE, "shard 0", "flushes work again");
    one_line_is(scene, KIWI_LOG_NOTE, "shard 1", "flushes work again");
}

/* Goal: of all reads that meet damage the first of a shard is told, as each is by its status. */
static void damage_that_a_read_meets_is_told_with_file_and_offset(void **state)
{
    struct scene *scene = *state;
    uint32_t      corrupt = 0;

    puts_ok(scene);
    check_ok(kiwi_flush(scene->world.context));
    check_ok(world_close(&scene->world));
    check_ok(world_open(&scene->world));
    scene->disk.bit_flip_per_million = 1000000;
    disk_set(scene);
    for (uint32_t key = 0; key < KEYS; key++) {
        struct kiwi_buffer value = { 0 };
        char               name[16];

        snprintf(name, sizeof name, "key-%04u", key);
        corrupt += kiwi_get(scene->world.context, (struct kiwi_slice){ name, strlen(name) }, NULL,
                            &value) == KIWI_CORRUPT;
        kiwi_buffer_free(&value);
    }
    assert_true(corrupt > 2);
    scene->disk.bit_flip_per_million = 0;
    disk_set(scene);
    turns(scene, 20);
    one_line_is(scene, KIWI_LOG_ERROR, "shard 0", "a read has met damage: /database/shard-00/t-");
    one_line_is(scene, KIWI_LOG_ERROR, "shard 1", "at offset");
}

static void findings_of_a_scrub_are_told(void **state)
{
    struct scene            *scene = *state;
    struct kiwi_scrub_report report;

    puts_ok(scene);
    check_ok(kiwi_flush(scene->world.context));
    scene->disk.bit_flip_per_million = 1000000;
    disk_set(scene);
    assert_int_equal(kiwi_scrub(scene->world.db, NULL, &report), KIWI_CORRUPT);
    scene->disk.bit_flip_per_million = 0;
    disk_set(scene);
    assert_true(report.damage_count > 0);
    assert_int_equal(lines_with(scene, KIWI_LOG_ERROR, "a scrub has found damage", "/t-"),
                     report.damage_count);
}

/* A merge meets damage: nobody has asked for it, so the log alone can tell. */
static void damage_that_a_merge_meets_is_told(void **state)
{
    struct scene *scene = *state;

    puts_ok(scene);
    check_ok(kiwi_flush(scene->world.context));
    puts_ok(scene);
    check_ok(kiwi_flush(scene->world.context));
    scene->disk.bit_flip_per_million = 1000000;
    disk_set(scene);
    (void)kiwi_compact(scene->world.context, (struct kiwi_slice){ 0 }, (struct kiwi_slice){ 0 });
    scene->disk.bit_flip_per_million = 0;
    disk_set(scene);
    turns(scene, 20);
    if (lines_with(scene, KIWI_LOG_ERROR, "a merge has failed", "/t-") == 0) {
        lines_print(scene);
        fail_msg("no line tells of the merge");
    }
}

int main(void)
{
#define LOG_TEST(name) cmocka_unit_test_setup_teardown(name, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        LOG_TEST(a_database_without_trouble_is_silent),
        LOG_TEST(an_opening_tells_what_it_replayed),
        LOG_TEST(groups_behind_a_torn_end_are_told_when_they_are_cut_off),
        LOG_TEST(a_shard_that_stops_is_told_once_with_its_cause),
        LOG_TEST(flushes_that_fail_are_told_once_and_that_they_work_again),
        LOG_TEST(damage_that_a_read_meets_is_told_with_file_and_offset),
        LOG_TEST(findings_of_a_scrub_are_told),
        LOG_TEST(damage_that_a_merge_meets_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
