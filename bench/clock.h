/*
 * clock.h: the driver's clock, cheap enough to be read at every operation.
 *
 * The time-stamp counter where it is invariant (10 ns), calibrated against the monotonic clock
 * once; else the monotonic clock itself (25 ns). Ticks are for differences only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

struct clock_scale {
    bool     is_counter;       /* the time-stamp counter is used */
    uint64_t multiplier;       /* nanoseconds = ticks * multiplier >> 32 */
};

extern struct clock_scale clock_scale; /* set once by clock_calibrate, before threads start */

void clock_calibrate(void);    /* takes 20 ms the first time; later calls return at once */

static inline uint64_t clock_monotonic_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Since 1970. */
static inline double clock_wall_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static inline uint64_t clock_ticks(void)
{
#if defined(__x86_64__)
    if (__builtin_expect(clock_scale.is_counter, 1))
        return __rdtsc();
#endif
    return clock_monotonic_ns();
}

__extension__ typedef unsigned __int128 clock_wide;

static inline uint64_t clock_ns(uint64_t ticks)
{
    return (uint64_t)((clock_wide)ticks * clock_scale.multiplier >> 32);
}

static inline uint64_t clock_ticks_of_ns(uint64_t ns)
{
    return (uint64_t)(((clock_wide)ns << 32) / clock_scale.multiplier);
}
