/*
 * thread.c: pthreads and futexes.
 */
#include "io/thread.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/base/memory.h"

struct thread {
    pthread_t handle;
    void    (*run)(void *context);
    void     *context;
    char      name[16]; /* what the kernel keeps */
};

static void *thread_main(void *argument)
{
    struct thread *thread = argument;

    pthread_setname_np(pthread_self(), thread->name);
    thread->run(thread->context);
    return NULL;
}

/* Signals belong to the program, not to the engine: ours start with all of them blocked. */
static int thread_create(struct thread *thread)
{
    sigset_t all, before;
    int      error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread->handle, NULL, thread_main, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

enum kiwi_status thread_start(void (*run)(void *context), void *context, int cpu, const char *name,
                              struct thread **out)
{
    struct thread *thread = memory_allocate_zeroed(sizeof *thread);
    int            error;

    assert(run != NULL);
    if (thread == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for thread %s", name);
    thread->run = run;
    thread->context = context;
    strncpy(thread->name, name, sizeof thread->name - 1);
    error = thread_create(thread);
    if (error != 0) {
        memory_free(thread);
        return FAIL(KIWI_IO, "start thread %s: %s", name, strerrordesc_np(error));
    }
    if (cpu >= 0 && cpu < CPU_SETSIZE) {
        cpu_set_t set;

        /* Pinning is for speed; a container that forbids the processor only loses that. */
        CPU_ZERO(&set);
        CPU_SET((size_t)cpu, &set);
        pthread_setaffinity_np(thread->handle, sizeof set, &set);
    }
    *out = thread;
    return KIWI_OK;
}

void thread_join(struct thread *thread)
{
    int error;

    if (thread == NULL)
        return;
    error = pthread_join(thread->handle, NULL);
    assert(error == 0);
    memory_free(thread);
}

uint32_t thread_cpu_count(void)
{
    cpu_set_t set;
    int       count = 0;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        count = CPU_COUNT(&set);
    return count > 0 ? (uint32_t)count : 1;
}

uint64_t thread_cpu_ns(void)
{
    struct timespec used;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

void thread_yield(void)
{
    sched_yield();
}

uint32_t thread_process_id(void)
{
    return (uint32_t)getpid();
}

static_assert(sizeof(_Atomic uint32_t) == sizeof(uint32_t), "a futex is a plain word");

void park(_Atomic uint32_t *word, uint32_t expected, uint64_t timeout_ns)
{
    struct timespec timeout = { .tv_sec = (time_t)(timeout_ns / 1000000000u),
                                .tv_nsec = (long)(timeout_ns % 1000000000u) };
    long            result;

    result = syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected,
                     timeout_ns == UINT64_MAX ? NULL : &timeout, NULL, 0);
    assert(result == 0 || errno == EAGAIN || errno == EINTR || errno == ETIMEDOUT);
}

void unpark(_Atomic uint32_t *word, uint32_t count)
{
    long woken = syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE,
                         count > INT32_MAX ? INT32_MAX : (int)count, NULL, NULL, 0);

    assert(woken >= 0);
}
