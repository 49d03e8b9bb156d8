/*
 * clock.h: monotonic nanoseconds from the processor's time-stamp counter. Private to io/.
 *
 * The counter is used only when the processor says that it never stops or changes pace, and the
 * kernel itself trusts it as a clock; otherwise every call is clock_gettime. Calibrated once per
 * process against CLOCK_MONOTONIC.
 *
 * The read does not wait for earlier loads (that would double its 10 ns and stall whatever is in
 * flight in the processor). So a time taken after a message from another thread may be earlier than
 * the sender's by what a processor looks ahead: some tens of nanoseconds. Measured on the reference
 * machine: never in 18 million exchanges.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <x86intrin.h>

struct clock_rate { /* constant once calibrated */
    bool     uses_counter;
    uint64_t counter_base, base_ns;
    uint64_t ns_per_tick_32; /* nanoseconds per tick, 32 fraction bits */
};

extern struct clock_rate clock_rate;

void     clock_open(void); /* idempotent; before the first clock_now_ns */
uint64_t clock_system_ns(void);

static inline uint64_t clock_now_ns(void)
{
    __extension__ typedef unsigned __int128 wide;
    uint64_t counter, ticks;

    if (__builtin_expect(!clock_rate.uses_counter, 0))
        return clock_system_ns();
    /* Counters of different processors may differ by a few ticks; before the base is as good as at
     * the base. */
    counter = __rdtsc();
    ticks = counter > clock_rate.counter_base ? counter - clock_rate.counter_base : 0;
    return clock_rate.base_ns + (uint64_t)(((wide)ticks * clock_rate.ns_per_tick_32) >> 32);
}

static inline bool clock_uses_counter(void)
{
    return clock_rate.uses_counter;
}
