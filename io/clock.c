/*
 * clock.c: calibration of the time-stamp counter.
 */
#include "io/clock.h"

#include <assert.h>
#include <cpuid.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

__extension__ typedef unsigned __int128 uint128;

/* Long enough for an error of about 10 parts per million, short enough to go unnoticed. */
enum { CALIBRATION_NS = 4000000, NS_PER_SECOND = 1000000000 };

struct clock_rate clock_rate;

static pthread_once_t calibrated = PTHREAD_ONCE_INIT;

uint64_t clock_system_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

static bool counter_is_invariant(void)
{
    unsigned a, b, c, d;

    if (__get_cpuid(0x80000000u, &a, &b, &c, &d) == 0 || a < 0x80000007u)
        return false;
    return __get_cpuid(0x80000007u, &a, &b, &c, &d) != 0 && (d & (1u << 8)) != 0;
}

static bool kernel_trusts_counter(void)
{
    char  name[32] = { 0 };
    FILE *file = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");

    if (file == NULL)
        return false;
    if (fgets(name, sizeof name, file) == NULL)
        name[0] = 0;
    fclose(file);
    return strncmp(name, "tsc", 3) == 0;
}

/* The counter between two readings of the system clock, the closest pair of a few tries. */
static void reading_take(uint64_t *counter, uint64_t *ns)
{
    uint64_t best = UINT64_MAX;

    for (int i = 0; i < 8; i++) {
        uint64_t before = __rdtsc(), now = clock_system_ns(), after = __rdtsc();

        if (after - before < best) {
            best = after - before;
            *counter = before + (after - before) / 2;
            *ns = now;
        }
    }
}

static void calibrate(void)
{
    uint64_t counter_first = 0, counter_final = 0, first_ns = 0, final_ns = 0;

    if (!counter_is_invariant() || !kernel_trusts_counter())
        return;
    reading_take(&counter_first, &first_ns);
    while (clock_system_ns() - first_ns < CALIBRATION_NS)
        __builtin_ia32_pause();
    reading_take(&counter_final, &final_ns);
    if (counter_final <= counter_first || final_ns <= first_ns)
        return;
    clock_rate.counter_base = counter_final;
    clock_rate.base_ns = final_ns;
    clock_rate.ns_per_tick_32 =
        (uint64_t)(((uint128)(final_ns - first_ns) << 32) / (counter_final - counter_first));
    clock_rate.uses_counter = clock_rate.ns_per_tick_32 > 0;
}

void clock_open(void)
{
    int result = pthread_once(&calibrated, calibrate);

    assert(result == 0);
}
