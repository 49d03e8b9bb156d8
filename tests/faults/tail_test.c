/*
 * tail_test.c: the mapped tail of a log loses its pages under an open database.
 *
 * Goal: the process lives, a write that could not be kept is refused with a text that names the
 * file, those who wait are told, reads go on, and what was durable is there afterwards. Method: the
 * file is cut short, which makes the next store to the mapping fail as one does whose file system
 * is gone; and a child that is killed shows what the next process finds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/faults/scene.h"
#include "tests/support/check.h"

static uint64_t seed_under_test;

static void tail_path(const struct scene *scene, uint32_t shard, char path[320])
{
    snprintf(path, 320, "%s/shard-%02u/tail", scene->world.directory, shard);
}

static void begin(struct scene *scene, enum world_way way)
{
    scene_begin(scene, way, seed_under_test);
    check_ok(world_open(&scene->world));
    scene_steps(scene, 200);
    check_ok(kiwi_wait_durable(scene->world.context));
}

/* Returns how long they were. */
static off_t tails_cut(const struct scene *scene)
{
    char        path[320];
    struct stat info = { 0 };

    for (uint32_t i = 0; i < scene->world.options.shard_count; i++) {
        tail_path(scene, i, path);
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(truncate(path, 0), 0);
    }
    return info.st_size;
}

/* As the next process would find it, had the file not been cut: full of zeros. */
static void tails_lengthen(const struct scene *scene, off_t bytes)
{
    char path[320];

    for (uint32_t i = 0; i < scene->world.options.shard_count; i++) {
        tail_path(scene, i, path);
        assert_int_equal(truncate(path, bytes), 0);
    }
}

static void refusal_judge(const struct scene *scene, const char *label)
{
    const struct ledger *ledger = &scene->ledger;

    if (ledger->last_refusal != KIWI_IO && ledger->last_refusal != KIWI_STOPPED)
        fail_msg("%s: refused as %s: %s", label, kiwi_status_text(ledger->last_refusal),
                 ledger->refusal);
    if (strstr(ledger->refusal, scene->world.directory) == NULL
        || strstr(ledger->refusal, "/tail: the file system lost") == NULL)
        fail_msg("%s: a refusal does not say what was lost: %s", label, ledger->refusal);
}

static void lose(enum world_way way, enum kiwi_durability mode)
{
    struct scene    *scene = calloc(1, sizeof *scene);
    const char      *label = world_way_name(way);
    enum kiwi_status status;
    off_t            bytes;

    begin(scene, way);
    bytes = tails_cut(scene);
    for (uint32_t key = 0; key < LEDGER_KEYS; key++)
        ledger_put(&scene->ledger, scene->world.context, key, mode);
    if (scene->ledger.refused != LEDGER_KEYS)
        fail_msg("%s: %u of %u writes refused", label, scene->ledger.refused, LEDGER_KEYS);
    refusal_judge(scene, label);
    for (uint32_t key = 0; key < LEDGER_KEYS; key++)
        ledger_get(&scene->ledger, scene->world.context, key, false, label);
    assert_int_not_equal(world_close(&scene->world), KIWI_OK);
    status = world_open(&scene->world);
    if (status != KIWI_CORRUPT || strstr(kiwi_error_text(), "tail has 0 bytes") == NULL)
        fail_msg("%s: a tail cut short opens as %s: %s", label, kiwi_status_text(status),
                 kiwi_error_text());
    tails_lengthen(scene, bytes);
    check_ok_of(label, world_open(&scene->world));
    ledger_check(&scene->ledger, scene->world.context, label);
    check_ok_of(label, world_close(&scene->world));
    world_end(&scene->world);
    free(scene);
}

static void a_log_that_loses_its_tail_refuses_writes_and_ends_nothing(void **state)
{
    (void)state;
    for (enum world_way way = WORLD_MANAGED; way <= WORLD_POSIX; way++) {
        lose(way, KIWI_DURABLE);
        lose(way, KIWI_PROCESS);
    }
}

/* Goal: nobody waits for ever. Method: durable writes are staged, none is on its way; then the tail
 * goes, and the next write meets it. */
static void writes_that_wait_are_told_that_the_tail_is_gone(void **state)
{
    enum { COUNT = 64 };
    struct scene  *scene = calloc(1, sizeof *scene);
    struct kiwi_op ops[COUNT], *pointers[COUNT], *done[COUNT];
    char           keys[COUNT][16];
    uint32_t       collected = 0, refused = 0;
    off_t          bytes = 0;

    (void)state;
    begin(scene, WORLD_ATTACHED);
    memset(ops, 0, sizeof ops);
    for (uint32_t i = 0; i < COUNT; i++) {
        snprintf(keys[i], sizeof keys[i], "waits-%02u", i);
        ops[i].verb = KIWI_PUT;
        ops[i].key = (struct kiwi_slice){ keys[i], strlen(keys[i]) };
        ops[i].value = (struct kiwi_slice){ "value", 5 };
        ops[i].durability = KIWI_DURABLE;
        pointers[i] = &ops[i];
        if (i == COUNT / 2)
            bytes = tails_cut(scene);
        check_ok(kiwi_submit(scene->world.context, &pointers[i], 1));
    }
    while (collected < COUNT) {
        size_t count = kiwi_poll(scene->world.context, done, COUNT, KIWI_FOREVER);

        for (size_t i = 0; i < count; i++)
            refused += done[i]->status != KIWI_OK;
        collected += (uint32_t)count;
    }
    assert_true(refused >= COUNT / 2);
    assert_int_not_equal(world_close(&scene->world), KIWI_OK);
    tails_lengthen(scene, bytes);
    world_end(&scene->world);
    free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_that_loses_its_tail_refuses_writes_and_ends_nothing),
        cmocka_unit_test(writes_that_wait_are_told_that_the_tail_is_gone),
    };

    seed_under_test = seed_get(17);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
