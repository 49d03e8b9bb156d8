/*
 * stillness.c: a thread that sleeps on an absolute clock, so that one late wake does not delay the
 * next.
 */
#include "bench/stillness.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "bench/clock.h"
#include "bench/recorder.h"
#include "core/base/memory.h"

#define NAP_NS             1000000u
#define LATE_NS            1000000u
#define REAL_TIME_PRIORITY 1

struct stillness_watch {
    _Atomic bool     is_over;
    uint64_t         start_ns;
    pthread_t        thread;
    struct stillness seen;     /* the thread's until it was joined */
};

void stillness_wake(struct stillness *stillness, uint64_t wanted_ns, uint64_t now_ns)
{
    const uint64_t late_ns = now_ns > wanted_ns ? now_ns - wanted_ns : 0;

    recorder_latency(&stillness->lateness, late_ns);
    stillness->late_1ms += late_ns > LATE_NS;
    if (late_ns <= STILLNESS_LIMIT_NS)
        return;
    stillness->standstill_count++;
    stillness->total_ns += late_ns;
    stillness->longest_ns = max_u64(stillness->longest_ns, late_ns);
    if (stillness->kept_count < STILLNESS_COUNT_MAX)
        stillness->standstills[stillness->kept_count++] =
            (struct standstill){ wanted_ns, now_ns };
}

static void *watch_run(void *argument)
{
    struct stillness_watch  *watch = argument;
    const struct sched_param priority = { .sched_priority = REAL_TIME_PRIORITY };
    struct timespec          spent;
    uint64_t                 wanted_ns;

    watch->seen.is_real_time = pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority) == 0;
    /* Without a real-time priority the kernel may wake us 50 us late to save power. */
    (void)prctl(PR_SET_TIMERSLACK, 1000ul, 0, 0, 0);
    wanted_ns = clock_monotonic_ns();
    while (!atomic_load_explicit(&watch->is_over, memory_order_relaxed)) {
        struct timespec wanted;
        uint64_t        now_ns;

        wanted_ns += NAP_NS;
        wanted.tv_sec = (time_t)(wanted_ns / 1000000000u);
        wanted.tv_nsec = (long)(wanted_ns % 1000000000u);
        if (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wanted, NULL) == EINTR)
            continue;
        now_ns = clock_monotonic_ns();
        stillness_wake(&watch->seen, wanted_ns - watch->start_ns, now_ns - watch->start_ns);
        /* Wakes that a standstill swallowed are part of it, not late ones of their own. */
        if (now_ns > wanted_ns + NAP_NS)
            wanted_ns = now_ns;
    }
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent) == 0)
        watch->seen.cpu_ns = (uint64_t)spent.tv_sec * 1000000000u + (uint64_t)spent.tv_nsec;
    return NULL;
}

void stillness_begin(struct stillness_watch **out)
{
    struct stillness_watch *watch = memory_allocate_zeroed(sizeof *watch);

    *out = watch;
    if (watch == NULL)
        return;
    watch->start_ns = clock_monotonic_ns();
    if (pthread_create(&watch->thread, NULL, watch_run, watch) == 0)
        return;
    memory_free(watch);
    *out = NULL;
}

void stillness_end(struct stillness_watch *watch, struct stillness *out)
{
    memset(out, 0, sizeof *out);
    if (watch == NULL)
        return;
    atomic_store(&watch->is_over, true);
    pthread_join(watch->thread, NULL);
    *out = watch->seen;
    out->was_watched = true;
    memory_free(watch);
}
