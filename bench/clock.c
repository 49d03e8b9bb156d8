/*
 * clock.c: calibration of the time-stamp counter.
 */
#include "bench/clock.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

struct clock_scale clock_scale = { false, 1ull << 32 };

#if defined(__x86_64__)
static bool counter_is_invariant(void)
{
    unsigned a, b, c, d;

    return __get_cpuid(0x80000007u, &a, &b, &c, &d) != 0 && (d & (1u << 8)) != 0;
}

/* Both clocks as near together as they can be read: the least of several distances. */
static void clocks_read(uint64_t *ticks, uint64_t *ns)
{
    uint64_t best = UINT64_MAX;

    for (int i = 0; i < 50; i++) {
        uint64_t before = __rdtsc(), now = clock_monotonic_ns(), after = __rdtsc();

        if (after - before < best) {
            best = after - before;
            *ticks = before + (after - before) / 2;
            *ns = now;
        }
    }
}
#endif

void clock_calibrate(void)
{
#if defined(__x86_64__)
    static bool           is_done;
    const struct timespec pause = { 0, 20000000 };
    uint64_t              ticks_first = 0, ns_first = 0, ticks_last = 0, ns_last = 0;

    if (is_done)
        return;
    is_done = true;
    if (!counter_is_invariant())
        return;
    clocks_read(&ticks_first, &ns_first);
    nanosleep(&pause, NULL);
    clocks_read(&ticks_last, &ns_last);
    if (ticks_last <= ticks_first || ns_last <= ns_first)
        return;
    clock_scale.multiplier =
        (uint64_t)(((clock_wide)(ns_last - ns_first) << 32) / (ticks_last - ticks_first));
    clock_scale.is_counter = clock_scale.multiplier != 0;
#endif
}
