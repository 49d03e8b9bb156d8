/*
 * stillness.h: how long the machine stood still while something was measured.
 *
 * Method   a thread sleeps for a millisecond, again and again, and notes how late it wakes. With a
 *          real-time priority no thread of ours can hold it up, so a late wake is the host's doing
 *          (or the kernel's); with an ordinary one, where the system grants no more, it may also
 *          have waited for a processor. A standstill of one processor alone shows when the thread
 *          is there.
 * Cost     a wake took 35 us on a virtual machine whose timers leave it, 3.5 % of one processor;
 *          cpu_ns tells what it was.
 * Thread   the one that opened it.
 */
#pragma once

#include "core/base/base.h"
#include "kiwi/stats.h"

#define STILLNESS_LIMIT_NS   10000000u  /* a wake later than this is a standstill */
#define STILLNESS_COUNT_MAX  256u       /* standstills kept */

struct standstill {
    uint64_t start_ns, end_ns;  /* since the watch began: wanted wake, true wake */
};

struct stillness {
    bool                was_watched;
    bool                is_real_time;
    uint64_t            late_1ms;        /* wakes more than a millisecond late */
    uint64_t            standstill_count;
    uint64_t            longest_ns, total_ns;
    uint64_t            cpu_ns;          /* what watching took */
    struct kiwi_latency lateness;        /* of all wakes */
    struct standstill   standstills[STILLNESS_COUNT_MAX]; /* the first */
    uint32_t            kept_count;
};

struct stillness_watch;

/* Never fails a run: NULL in *out when no thread could be started. */
void stillness_begin(struct stillness_watch **out);
/* Ends the watch; NULL is fine and leaves was_watched false. */
void stillness_end(struct stillness_watch *watch, struct stillness *out);

/* Pure: a wake at now_ns that was wanted at wanted_ns, both since the watch began. */
void stillness_wake(struct stillness *stillness, uint64_t wanted_ns, uint64_t now_ns);
