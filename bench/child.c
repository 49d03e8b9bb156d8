/*
 * child.c: fork, exec, read, wait.
 */
#include "bench/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/clock.h"
#include "core/base/memory.h"

#define OUTPUT_BYTES_MAX (64u << 20)
#define NOT_STARTED      127
#define NOT_GROUPED      126

/* Whoever takes a signal out of pending passes it on, so that it arrives once. */
static _Atomic int   pending;
static _Atomic pid_t running;
static _Atomic int   seen;

static void signal_note(int number)
{
    if (atomic_exchange(&seen, number) != 0)
        _exit(128 + number);
    atomic_store(&pending, number);
    if (atomic_load(&running) > 0 && atomic_exchange(&pending, 0) != 0)
        (void)kill(atomic_load(&running), number);
}

static void signals_set(void (*handler)(int))
{
    struct sigaction action = { .sa_handler = handler };

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

void child_signals_catch(void)
{
    atomic_store(&seen, 0);
    atomic_store(&pending, 0);
    signals_set(signal_note);
}

int child_signal_seen(void)
{
    return atomic_load(&seen);
}

void child_signals_release(void)
{
    signals_set(SIG_DFL);
}

static void running_set(pid_t child)
{
    int number;

    atomic_store(&running, child);
    if (child > 0 && (number = atomic_exchange(&pending, 0)) != 0)
        (void)kill(child, number);
}

/* All that the program allocates later is the group's. */
static bool group_enter(const char *path)
{
    int file = open(path, O_WRONLY | O_CLOEXEC);

    return file >= 0 && write(file, "0", 1) == 1;
}

/* Only what is safe between fork and exec. */
static void child_start(const struct child_options *options, int output)
{
    const unsigned flags = options->flags;

    if (options->group != NULL && !group_enter(options->group))
        _exit(NOT_GROUPED);
    if (dup2(output, STDOUT_FILENO) < 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) != 0)
        _exit(NOT_STARTED);
    if ((flags & CHILD_APART) != 0 && setpgid(0, 0) != 0)
        _exit(NOT_STARTED);
    if ((flags & CHILD_QUIET) != 0) {
        int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (nowhere < 0 || dup2(nowhere, STDERR_FILENO) < 0)
            _exit(NOT_STARTED);
    }
    if (options->environment != NULL)
        (void)putenv((char *)(uintptr_t)options->environment);
    execvp(options->argv[0], options->argv);
    _exit(NOT_STARTED);
}

static enum kiwi_status output_read(int pipe_end, struct child_result *out)
{
    size_t capacity = 0;

    for (;;) {
        ssize_t got;

        if (out->output_bytes + 1 >= capacity) {
            char *larger;

            capacity = capacity == 0 ? 65536 : capacity * 2;
            larger = capacity > OUTPUT_BYTES_MAX ? NULL : memory_resize(out->output, capacity);
            if (larger == NULL)
                return FAIL(KIWI_NO_MEMORY, "no memory for %zu bytes of a program's output",
                            capacity);
            out->output = larger;
        }
        got = read(pipe_end, out->output + out->output_bytes, capacity - out->output_bytes - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return FAIL(KIWI_IO, "cannot read a program's output: %s", strerror(errno));
        if (got == 0)
            break;
        out->output_bytes += (size_t)got;
    }
    out->output[out->output_bytes] = 0;
    return KIWI_OK;
}

static double seconds_of(const struct timeval *time)
{
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

enum kiwi_status child_run(const struct child_options *options, struct child_result *out)
{
    int              ends[2], state = 0;
    struct rusage    usage;
    siginfo_t        info;
    uint64_t         start = clock_monotonic_ns();
    enum kiwi_status status;
    pid_t            child;

    memset(out, 0, sizeof *out);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return FAIL(KIWI_IO, "cannot make a pipe: %s", strerror(errno));
    child = fork();
    if (child == 0)
        child_start(options, ends[1]);
    running_set(child);
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        return FAIL(KIWI_IO, "cannot start %s: %s", options->argv[0], strerror(errno));
    }
    status = output_read(ends[0], out);
    close(ends[0]);
    /* Its number may be somebody else's as soon as it is waited for: no signals from here on. */
    while (waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        continue;
    running_set(0);
    while (wait4(child, &state, 0, &usage) < 0)
        if (errno != EINTR)
            return FAIL(KIWI_IO, "cannot wait for %s: %s", options->argv[0], strerror(errno));
    out->wall_seconds = (double)(clock_monotonic_ns() - start) / 1e9;
    out->cpu_seconds = seconds_of(&usage.ru_utime) + seconds_of(&usage.ru_stime);
    out->exit_code = WIFEXITED(state) ? WEXITSTATUS(state) : 128 + WTERMSIG(state);
    if (status == KIWI_OK && out->exit_code == NOT_STARTED)
        return FAIL(KIWI_NOT_FOUND, "%s cannot be started", options->argv[0]);
    if (status == KIWI_OK && out->exit_code == NOT_GROUPED && options->group != NULL)
        return FAIL(KIWI_IO, "a process cannot enter its control group by %s", options->group);
    return status;
}

void child_result_free(struct child_result *result)
{
    memory_free(result->output);
    memset(result, 0, sizeof *result);
}

enum kiwi_status child_own_path(char *path, size_t bytes)
{
    ssize_t length = readlink("/proc/self/exe", path, bytes - 1);

    if (length < 0)
        return FAIL(KIWI_IO, "cannot read /proc/self/exe: %s", strerror(errno));
    path[length] = 0;
    return KIWI_OK;
}
