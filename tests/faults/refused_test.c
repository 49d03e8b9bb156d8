/*
 * refused_test.c: a host that refuses io_uring, locked memory, or descriptors.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/world.h"

enum { PROMISE_KEPT = 0, PROMISE_BROKEN = 1, NO_FILTER_HERE = 77, NOBODY = 65534 };

/* As the seccomp filter of a container: io_uring_setup fails with error. */
static bool rings_refuse(int error)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((uint32_t)error & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { .len = sizeof filter / sizeof filter[0], .filter = filter };

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool step_is(bool ok, const char *what)
{
    if (!ok)
        fprintf(stderr, "%s: %s\n", what, kiwi_error_text());
    return ok;
}

static bool posix_works(struct world *world)
{
    struct kiwi_slice  key = { "key", 3 }, value = { "value", 5 };
    struct kiwi_buffer got = { 0 };
    bool               works;

    world->options.io_backend = KIWI_IO_POSIX;
    works = step_is(world_open(world) == KIWI_OK, "open with posix")
         && step_is(kiwi_put(world->context, key, value, KIWI_DURABLE) == KIWI_OK, "put")
         && step_is(kiwi_flush(world->context) == KIWI_OK, "flush")
         && step_is(kiwi_get(world->context, key, NULL, &got) == KIWI_OK, "get")
         && step_is(got.size == 5 && memcmp(got.data, "value", 5) == 0, "value")
         && step_is(world_close(world) == KIWI_OK, "close");
    kiwi_buffer_free(&got);
    return works;
}

static int child_run(int error, struct world *world)
{
    struct kiwi_db *db = NULL;

    if (!rings_refuse(error))
        return NO_FILTER_HERE;
    if (!step_is(kiwi_open(world->directory, &world->options, &db) == KIWI_UNSUPPORTED
                     && db == NULL, "an open without rings")
        || !step_is(strstr(kiwi_error_text(), "io_backend=posix") != NULL, "the way round")
        || !step_is(strchr(kiwi_error_text(), '\n') == NULL, "one line"))
        return PROMISE_BROKEN;
    return posix_works(world) ? PROMISE_KEPT : PROMISE_BROKEN;
}

static void refuse(int error, bool has_database)
{
    struct world world;
    int          result;
    pid_t        child;

    world_make(&world, WORLD_MANAGED, 1);
    if (has_database) {
        world.options.io_backend = KIWI_IO_POSIX;
        assert_int_equal(world_open(&world), KIWI_OK);
        assert_int_equal(world_close(&world), KIWI_OK);
        world.options.io_backend = KIWI_IO_URING;
    }
    child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(child_run(error, &world));
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result));
    if (WEXITSTATUS(result) == NO_FILTER_HERE)
        print_message("this host lets nobody set a filter: not tried\n");
    else
        assert_int_equal(WEXITSTATUS(result), PROMISE_KEPT);
    world_end(&world);
}

static void a_forbidden_ring_names_posix_and_posix_works(void **state)
{
    (void)state;
    refuse(EPERM, false);
    refuse(EPERM, true);
}

static void a_kernel_without_rings_names_posix_and_posix_works(void **state)
{
    (void)state;
    refuse(ENOSYS, false);
    refuse(ENOSYS, true);
}

/* As an ordinary user, to whom the limit of locked memory applies. */
static int child_locked(uint64_t locked_bytes, struct world *world)
{
    struct rlimit    limit = { locked_bytes, locked_bytes };
    struct kiwi_slice key = { "key", 3 }, value = { "value", 5 };

    if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0)
        return PROMISE_BROKEN;
    if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
        return PROMISE_BROKEN;
    world->options.io_backend = KIWI_IO_URING;
    if (world_open(world) == KIWI_OK) { /* a kernel that does not count rings */
        if (!step_is(kiwi_put(world->context, key, value, KIWI_DURABLE) == KIWI_OK, "put")
            || !step_is(kiwi_flush(world->context) == KIWI_OK, "flush")
            || !step_is(world_close(world) == KIWI_OK, "close"))
            return PROMISE_BROKEN;
    } else if (!step_is(strstr(kiwi_error_text(), "locked-memory") != NULL
                            && strstr(kiwi_error_text(), "io_backend=posix") != NULL,
                        "an open without locked memory")) {
        return PROMISE_BROKEN;
    }
    return posix_works(world) ? PROMISE_KEPT : PROMISE_BROKEN;
}

static void hardly_any_locked_memory_is_enough_or_names_posix(void **state)
{
    static const uint64_t limits[] = { 0, 4096, 64u << 10 };

    (void)state;
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        struct world world;
        int          result;
        pid_t        child;

        world_make(&world, WORLD_MANAGED, 1);
        if (geteuid() == 0)
            assert_int_equal(chown(world.directory, NOBODY, NOBODY), 0);
        child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(child_locked(limits[i], &world));
        assert_int_equal(waitpid(child, &result, 0), child);
        assert_true(WIFEXITED(result));
        assert_int_equal(WEXITSTATUS(result), PROMISE_KEPT);
        world_end(&world);
    }
}

/* Goal: the engine's thread meets the failure, the caller's thread gets the text; when there are
 * descriptors again, all goes on. */
static void a_flush_without_descriptors_tells_its_caller(void **state)
{
    struct world  world;
    struct rlimit before, none;
    char          key[16];
    enum kiwi_status status;

    (void)state;
    world_make(&world, WORLD_POSIX, 1);
    assert_int_equal(world_open(&world), KIWI_OK);
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        assert_int_equal(kiwi_put(world.context, (struct kiwi_slice){ key, strlen(key) },
                                  (struct kiwi_slice){ key, strlen(key) }, KIWI_PROCESS), KIWI_OK);
    }
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    status = kiwi_flush(world.context);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(status, KIWI_IO);
    if (strstr(kiwi_error_text(), "/t-") == NULL)
        fail_msg("no file is named: %s", kiwi_error_text());
    assert_int_equal(kiwi_flush(world.context), KIWI_OK);
    assert_int_equal(world_close(&world), KIWI_OK);
    world_end(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_forbidden_ring_names_posix_and_posix_works),
        cmocka_unit_test(a_kernel_without_rings_names_posix_and_posix_works),
        cmocka_unit_test(hardly_any_locked_memory_is_enough_or_names_posix),
        cmocka_unit_test(a_flush_without_descriptors_tells_its_caller),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
