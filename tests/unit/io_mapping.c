/*
 * io_mapping.c: mappings whose file is cut short under them.
 *
 * The kernel then answers every access with SIGBUS, as it does when a file system is shut down or a
 * medium cannot be read. cmocka has a handler of its own for it, before each test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/io.h"

#define PAGE 4096u

static char       directory[64], path[96];
static struct io *io;
static sigjmp_buf back;
static int        signals_seen;

static void signal_take(int number)
{
    (void)number;
    signals_seen++;
    siglongjmp(back, 1);
}

static int begin(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/kiwi-mapping-XXXXXX");
    if (mkdtemp(directory) == NULL)
        return 1;
    snprintf(path, sizeof path, "%s/mapped", directory);
    return io_open(IO_BACKEND_POSIX, &io) == KIWI_OK ? 0 : 1;
}

static int end(void **state)
{
    (void)state;
    io_close(io);
    unlink(path);
    return rmdir(directory);
}

static struct io_file *file_of(uint64_t bytes)
{
    struct io_file *file;

    assert_int_equal(io_file_open(io, path, IO_CREATE, &file), KIWI_OK);
    assert_int_equal(io_file_truncate(file, 0), KIWI_OK);
    assert_int_equal(io_file_allocate(file, bytes), KIWI_OK);
    return file;
}

static void a_page_that_is_gone_is_told_and_ends_nothing(void **state)
{
    struct io_file *file = file_of(4 * PAGE);
    atomic_bool     is_lost;
    uint8_t        *map;

    (void)state;
    assert_int_equal(io_map(file, 4 * PAGE, &is_lost, &map), KIWI_OK);
    memset(map, 7, 4 * PAGE);
    assert_false(is_lost);
    assert_int_equal(truncate(path, PAGE), 0);
    map[10] = 8;
    assert_false(is_lost); /* this page is there */
    assert_int_equal(map[3 * PAGE + 1], 0); /* a load meets it as well */
    assert_true(is_lost);
    memset(map + PAGE, 9, 3 * PAGE);
    assert_int_equal(map[2 * PAGE], 9); /* in memory that nobody else sees */
    assert_int_equal(map[0], 7);
    io_unmap(file, map, 4 * PAGE);
    assert_int_equal(io_map(file, PAGE, &is_lost, &map), KIWI_OK);
    assert_false(is_lost);
    assert_int_equal(map[10], 8);
    io_unmap(file, map, PAGE);
    io_file_close(file);
}

static void only_the_mapping_that_lost_a_page_is_told(void **state)
{
    struct io_file *file = file_of(2 * PAGE);
    atomic_bool     first_is_lost, second_is_lost;
    uint8_t        *first, *second;

    (void)state;
    assert_int_equal(io_map(file, PAGE, &first_is_lost, &first), KIWI_OK);
    assert_int_equal(io_map(file, 2 * PAGE, &second_is_lost, &second), KIWI_OK);
    assert_int_equal(truncate(path, PAGE), 0);
    second[PAGE] = 1;
    first[0] = 1;
    assert_true(second_is_lost);
    assert_false(first_is_lost);
    io_unmap(file, first, PAGE);
    io_unmap(file, second, 2 * PAGE);
    io_file_close(file);
}

/* A mapping of the program's own, on a file that is then empty. */
static uint8_t *foreign_map(void)
{
    struct io_file *file = file_of(PAGE);
    uint8_t        *map;
    int             fd = open(path, O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0);
    map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(map != MAP_FAILED);
    close(fd);
    io_file_close(file);
    assert_int_equal(truncate(path, 0), 0);
    return map;
}

static void signals_of_others_reach_the_handler_that_was_there(void **state)
{
    struct sigaction action = { .sa_handler = signal_take, .sa_flags = SA_NODEFER };
    struct io_file  *file = file_of(PAGE);
    uint8_t         *map, *ours;
    atomic_bool      is_lost;

    (void)state;
    assert_int_equal(sigaction(SIGBUS, &action, NULL), 0);
    assert_int_equal(io_map(file, PAGE, &is_lost, &ours), KIWI_OK);
    map = foreign_map();
    if (sigsetjmp(back, 1) == 0)
        map[0] = 1;
    assert_int_equal(signals_seen, 1);
    if (sigsetjmp(back, 1) == 0)
        raise(SIGBUS);
    assert_int_equal(signals_seen, 2);
    assert_false(is_lost);
    munmap(map, PAGE);
    io_unmap(file, ours, PAGE);
    io_file_close(file);
}

static struct sigaction action_known;

static void signal_hand_back(int number, siginfo_t *info, void *machine)
{
    if (++signals_seen > 3)
        abort();
    action_known.sa_sigaction(number, info, machine);
}

/* A handler that was set later hands on to ours, and then a database is opened: each is now the one
 * before the other. */
static int circle_run(void)
{
    struct sigaction action = { .sa_sigaction = signal_hand_back, .sa_flags = SA_SIGINFO };
    struct io_file  *file = file_of(2 * PAGE);
    atomic_bool      is_lost, second_is_lost;
    uint8_t         *map, *second, *foreign;

    if (io_map(file, PAGE, &is_lost, &map) != KIWI_OK
        || sigaction(SIGBUS, &action, &action_known) != 0
        || io_map(file, 2 * PAGE, &second_is_lost, &second) != KIWI_OK)
        return 3;
    if (truncate(path, PAGE) != 0)
        return 3;
    second[PAGE] = 1;
    if (!second_is_lost || is_lost || signals_seen != 0)
        return 3;
    foreign = foreign_map();
    foreign[0] = 1;
    return 4; /* unreached */
}


/* With no handler there before: in a program of its own, as one is set once. */
static int child_run(const char *what)
{
    struct io_file *file;
    atomic_bool     is_lost;
    uint8_t        *map;
    static uint8_t *foreign;

    if (io_open(IO_BACKEND_POSIX, &io) != KIWI_OK)
        return 3;
    file = file_of(PAGE);
    if (io_map(file, PAGE, &is_lost, &map) != KIWI_OK)
        return 3;
    if (strcmp(what, "circle") == 0)
        return circle_run();
    if (strcmp(what, "circle") == 0)
        return circle_run();
    if (strcmp(what, "sent") == 0)
        raise(SIGBUS);
    foreign = foreign_map();
    foreign[0] = 1;
    return 4; /* unreached: the signal ends the process */
}

static void without_a_handler_the_signal_ends_the_process(void **state)
{
    static const char *const ways[] = { "sent", "met", "circle" };

    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        int   result;
        pid_t child = fork();

        if (child == 0) {
            execl("/proc/self/exe", "io_mapping", ways[i], path, (char *)NULL);
            _exit(5);
        }
        assert_int_equal(waitpid(child, &result, 0), child);
        if (WIFEXITED(result)) /* a sanitizer reports it, and leaves by itself */
            assert_int_not_equal(WEXITSTATUS(result), 3);
        else
            assert_int_equal(WTERMSIG(result), SIGBUS);
        assert_false(WIFEXITED(result) && WEXITSTATUS(result) >= 4);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_that_is_gone_is_told_and_ends_nothing),
        cmocka_unit_test(only_the_mapping_that_lost_a_page_is_told),
        cmocka_unit_test(signals_of_others_reach_the_handler_that_was_there),
        cmocka_unit_test(without_a_handler_the_signal_ends_the_process),
    };

    if (argc == 3) {
        snprintf(path, sizeof path, "%s", argv[2]);
        return child_run(argv[1]);
    }
    return cmocka_run_group_tests(tests, begin, end);
}
