/*
 * io_refused.c: hosts that refuse something: io_uring, descriptors, memory.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "io/io.h"

enum { PAGE = 4096 };

/* As the seccomp filter of a container: io_uring_setup returns error. */
static bool refuse_rings(int error)
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

/* Exit codes of the child: 0 as promised, 1 not, 77 the host lets nobody set a filter. */
static int open_refused(int error, const char *cause)
{
    struct io *io;

    if (!refuse_rings(error))
        return 77;
    if (io_open(IO_BACKEND_URING, &io) != KIWI_UNSUPPORTED || io != NULL)
        return 1;
    if (strstr(kiwi_error_text(), cause) == NULL
        || strstr(kiwi_error_text(), "io_backend=posix") == NULL
        || strchr(kiwi_error_text(), '\n') != NULL)
        return 1;
    if (io_open(IO_BACKEND_POSIX, &io) != KIWI_OK)
        return 1;
    io_close(io);
    return 0;
}

static void a_refused_ring_names_the_cause_and_the_way_round(void **state)
{
    static const struct {
        int         error;
        const char *cause;
    } cases[] = { { EPERM, "io_uring_disabled" }, { EPERM, "seccomp" },
                  { ENOSYS, "kernel is older" },
                  { ENOMEM, "locked-memory" },    { EMFILE, "open files" } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int   result;
        pid_t child = fork();

        if (child == 0)
            _exit(open_refused(cases[i].error, cases[i].cause));
        assert_int_equal(waitpid(child, &result, 0), child);
        assert_true(WIFEXITED(result));
        assert_true(WEXITSTATUS(result) == 0 || WEXITSTATUS(result) == 77);
        if (WEXITSTATUS(result) == 77)
            print_message("this host lets nobody set a filter: not tried\n");
    }
}

static uint32_t done_count;

static void count_done(struct io_request *request)
{
    done_count += request->status == KIWI_OK;
}

/* Goal: when the last descriptor is gone, a queue without ring still does its work, and tells. */
static void a_queue_without_ring_uses_plain_calls(void **state)
{
    char              path[] = "io_refused_XXXXXX";
    int               spare = mkstemp(path);
    struct io        *io;
    struct io_file   *file;
    struct io_queue  *queue;
    struct rlimit     before, none;
    struct io_request requests[20];
    char              byte = 1;

    (void)state;
    assert_true(spare >= 0);
    assert_int_equal(io_open(IO_BACKEND_URING, &io), KIWI_OK);
    assert_null(strstr(io_features_text(io), "could not be made"));
    assert_int_equal(io_file_open(io, path, 0, &file), KIWI_OK);
    assert_int_equal(io_queue_open(io, 8, &queue), KIWI_OK);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (uint32_t i = 0; i < 20; i++) {
        requests[i] = (struct io_request){ .file = file, .verb = IO_WRITE, .buffer = &byte,
                                           .bytes = 1, .offset = i, .done = count_done,
                                           .class_of_service = (uint8_t)(i % IO_CLASS_COUNT) };
        io_queue_add(queue, &requests[i]);
    }
    while (io_queue_pending(queue) > 0)
        io_queue_poll(queue, UINT64_MAX);
    assert_int_equal(io_queue_poll(queue, 1000), 0);
    io_queue_wake(queue);
    assert_int_equal(io_queue_poll(queue, UINT64_MAX), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(done_count, 20);
    assert_non_null(strstr(io_features_text(io), "could not be made"));
    io_queue_close(queue);
    io_file_close(file);
    io_close(io);
    close(spare);
    assert_int_equal(unlink(path), 0);
}

static enum kiwi_status use_everything(enum io_backend backend, const char *directory)
{
    struct io       *io = NULL;
    struct io_file  *file = NULL;
    struct io_queue *queue = NULL;
    void            *data = NULL;
    size_t           bytes;
    char             path[128];
    enum kiwi_status status = io_open(backend, &io);

    snprintf(path, sizeof path, "%s/file", directory);
    if (status == KIWI_OK)
        status = io_file_open(io, path, IO_CREATE, &file);
    if (status == KIWI_OK)
        status = io_queue_open(io, 8, &queue);
    if (status == KIWI_OK)
        status = io_write_whole(io, path, "text", 4);
    if (status == KIWI_OK)
        status = io_read_whole(io, path, 100, &data, &bytes);
    memory_free(data);
    io_queue_close(queue);
    io_file_close(file);
    io_close(io);
    return status;
}

static void every_failing_allocation_is_reported_and_leaks_nothing(void **state)
{
    char directory[] = "io_refused_XXXXXX", path[128];

    (void)state;
    assert_non_null(mkdtemp(directory));
    for (enum io_backend backend = IO_BACKEND_URING; backend <= IO_BACKEND_POSIX; backend++) {
        uint64_t         before = memory_allocated_bytes(), n = 0;
        enum kiwi_status status;

        do {
            memory_fail_after(++n);
            status = use_everything(backend, directory);
            assert_true(status == KIWI_OK || status == KIWI_NO_MEMORY);
            assert_int_equal(memory_allocated_bytes(), before);
        } while (status != KIWI_OK);
        memory_fail_after(0);
        assert_true(n > 6);
    }
    snprintf(path, sizeof path, "%s/file", directory);
    unlink(path);
    snprintf(path, sizeof path, "%s/file.new", directory);
    unlink(path);
    assert_int_equal(rmdir(directory), 0);
}

/* Goal: a forked child may close what it inherited without touching the parent's requests. */
static void a_forked_child_leaves_the_ring_alone(void **state)
{
    char                       path[] = "io_refused_XXXXXX";
    int                        spare = mkstemp(path), result;
    struct io                 *io;
    struct io_file            *file;
    struct io_queue           *queue;
    struct io_request          request;
    static _Alignas(PAGE) char page[PAGE];

    (void)state;
    done_count = 0;
    assert_int_equal(io_open(IO_BACKEND_URING, &io), KIWI_OK);
    assert_int_equal(io_file_open(io, path, IO_DIRECT, &file), KIWI_OK);
    assert_int_equal(io_file_write(file, page, PAGE, 0), KIWI_OK);
    assert_int_equal(io_queue_open(io, 8, &queue), KIWI_OK);
    request = (struct io_request){ .file = file, .verb = IO_READ, .buffer = page, .bytes = PAGE,
                                   .done = count_done, .class_of_service = IO_CLASS_READ };
    io_queue_add(queue, &request);
    io_queue_poll(queue, 0);
    pid_t child = fork();
    if (child == 0) {
        char inherited[PAGE] __attribute__((aligned(PAGE)));
        bool is_readable = io_file_read(file, inherited, PAGE, 0) == KIWI_OK;

        io_queue_close(queue);
        _exit(is_readable ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFEXITED(result) && WEXITSTATUS(result) == 0);
    while (io_queue_pending(queue) > 0)
        io_queue_poll(queue, UINT64_MAX);
    assert_int_equal(done_count, 1);
    io_queue_add(queue, &request);
    while (io_queue_pending(queue) > 0)
        io_queue_poll(queue, UINT64_MAX);
    assert_int_equal(done_count, 2);
    io_queue_close(queue);
    io_file_close(file);
    io_close(io);
    close(spare);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_ring_names_the_cause_and_the_way_round),
        cmocka_unit_test(a_queue_without_ring_uses_plain_calls),
        cmocka_unit_test(every_failing_allocation_is_reported_and_leaks_nothing),
        cmocka_unit_test(a_forked_child_leaves_the_ring_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
