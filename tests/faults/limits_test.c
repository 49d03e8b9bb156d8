/*
 * limits_test.c: limits of the process: size of files, open files, address space.
 *
 * Goal: what a limit refuses is told with a text and loses nothing; once it is lifted all goes on,
 * without a new open. Method: soft limits, set before an open or under an open database, and a
 * ledger of what may stand under each key.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/faults/scene.h"
#include "tests/support/check.h"

#define KIB 1024ull

static uint64_t seed_under_test;

/* The soft limit only, so that it can be lifted; the one before. */
static rlim_t limit_set(int what, rlim_t value)
{
    struct rlimit limit;
    rlim_t        before;

    assert_int_equal(getrlimit((__rlimit_resource_t)what, &limit), 0);
    before = limit.rlim_cur;
    limit.rlim_cur = value < limit.rlim_max ? value : limit.rlim_max;
    assert_int_equal(setrlimit((__rlimit_resource_t)what, &limit), 0);
    return before;
}

/* ---- one life under a limit ---- */

static void refused_open_judge(const struct scene *scene, enum kiwi_status status)
{
    if (status != KIWI_IO && status != KIWI_NO_MEMORY && status != KIWI_UNSUPPORTED)
        fail_msg("%s: an open was refused as %s: %s", scene->label, kiwi_status_text(status),
                 kiwi_error_text());
    if (strlen(kiwi_error_text()) < 10)
        fail_msg("%s: a refused open says '%s'", scene->label, kiwi_error_text());
}

static void refused_writes_judge(const struct scene *scene)
{
    const struct ledger *ledger = &scene->ledger;

    if (ledger->refused == 0)
        return;
    if (ledger->last_refusal != KIWI_IO && ledger->last_refusal != KIWI_NO_MEMORY
        && ledger->last_refusal != KIWI_STOPPED)
        fail_msg("%s: a write was refused as %s: %s", scene->label,
                 kiwi_status_text(ledger->last_refusal), ledger->refusal);
    if (ledger->last_refusal == KIWI_NO_MEMORY && strstr(ledger->refusal, "no memory") != NULL)
        return;
    if (strstr(ledger->refusal, scene->world.directory) == NULL)
        fail_msg("%s: a refusal does not say where: %s", scene->label, ledger->refusal);
}

/* No limit is left: all is there, and writing goes on. */
static void goes_on(struct scene *scene)
{
    scene_goes_on(scene, 40);
    scene_reopen(scene);
    check_ok_of(scene->label, world_close(&scene->world));
}

/* Opens and works under the limit; then it is lifted. True when something was refused. */
static bool life(enum world_way way, int what, uint64_t value, const char *name)
{
    struct scene    *scene = calloc(1, sizeof *scene);
    enum kiwi_status status;
    rlim_t           before;
    bool             was_refused;

    scene_begin(scene, way, seed_under_test);
    snprintf(scene->label, sizeof scene->label, "%s, %s of %llu", world_way_name(way), name,
             (unsigned long long)value);
    before = limit_set(what, value);
    status = world_open(&scene->world);
    was_refused = status != KIWI_OK;
    if (scene->world.context != NULL)
        scene_steps(scene, test_is_long() ? 900 : 250);
    (void)limit_set(what, before);
    if (was_refused) {
        refused_open_judge(scene, status);
        if (scene->world.db != NULL) /* only its context had not enough */
            check_ok_of(scene->label, world_close(&scene->world));
        check_ok_of(scene->label, world_open(&scene->world));
    } else {
        refused_writes_judge(scene);
        was_refused = scene->ledger.refused > 0;
        ledger_check(&scene->ledger, scene->world.context, scene->label);
    }
    goes_on(scene);
    world_end(&scene->world);
    free(scene);
    return was_refused;
}

static const enum world_way ways[] = { WORLD_MANAGED, WORLD_POSIX, WORLD_ATTACHED };

static void a_limited_file_size_loses_nothing(void **state)
{
    uint64_t stride = test_is_long() ? 16 * KIB : 260 * KIB;
    uint32_t refused = 0, runs = 0;
    void   (*handler)(int) = signal(SIGXFSZ, SIG_IGN); /* as whoever has such a limit must */

    (void)state;
    for (uint64_t bytes = 4 * KIB; bytes <= 1200 * KIB; bytes += stride, runs++)
        refused += life(ways[runs % 3], RLIMIT_FSIZE, bytes, "files");
    signal(SIGXFSZ, handler);
    printf("%u of %u sizes of files were too small\n", refused, runs);
    assert_true(refused > 0);
    assert_true(refused < runs);
}

static void a_limited_number_of_open_files_loses_nothing(void **state)
{
    uint64_t stride = test_is_long() ? 1 : 13;
    uint32_t refused = 0, runs = 0;

    (void)state;
    for (uint64_t count = 3; count <= 60; count += stride, runs++)
        refused += life(ways[runs % 3], RLIMIT_NOFILE, count, "open files");
    printf("%u of %u numbers of open files were too small\n", refused, runs);
    assert_true(refused > 0);
    assert_true(refused < runs);
}

#ifndef KIWI_SANITIZED /* a sanitizer's own address space is larger than any limit */
static uint64_t address_space_bytes(void)
{
    unsigned long pages = 0;
    FILE         *file = fopen("/proc/self/statm", "r");

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu", &pages), 1);
    fclose(file);
    return (uint64_t)pages * 4096;
}

static void a_limited_address_space_loses_nothing(void **state)
{
    uint64_t stride = test_is_long() ? 256 * KIB : 12288 * KIB;
    uint32_t refused = 0, runs = 0;

    (void)state;
    for (uint64_t more = 0; more <= 48u << 20; more += stride, runs++)
        refused += life(ways[runs % 3], RLIMIT_AS, address_space_bytes() + more, "address space");
    printf("%u of %u address spaces were too small\n", refused, runs);
    assert_true(refused > 0);
    assert_true(refused < runs);
}
#endif

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limited_file_size_loses_nothing),
        cmocka_unit_test(a_limited_number_of_open_files_loses_nothing),
#ifndef KIWI_SANITIZED
        cmocka_unit_test(a_limited_address_space_loses_nothing),
#endif
    };

    seed_under_test = seed_get(argc > 1 ? strtoull(argv[1], NULL, 0) : 5);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
