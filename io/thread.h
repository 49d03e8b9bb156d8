/*
 * thread.h: threads, parking and processor numbers. The only door to them.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "core/base/base.h"

struct thread;

/* cpu: the processor to pin to, or -1. */
MUST_USE enum kiwi_status thread_start(void (*run)(void *context), void *context, int cpu,
                                       const char *name, struct thread **out);
void     thread_join(struct thread *thread); /* frees it; NULL is fine */
uint32_t thread_cpu_count(void);             /* usable by this process */
uint64_t thread_cpu_ns(void);                /* processor time of the whole process */
uint32_t thread_process_id(void);
void     thread_yield(void);                 /* lets another runnable thread have the processor */

/* Sleeps while *word == expected, up to timeout_ns; may return early for no reason. */
void park(_Atomic uint32_t *word, uint32_t expected, uint64_t timeout_ns);
void unpark(_Atomic uint32_t *word, uint32_t count);
static inline void spin_pause(void)
{
    __builtin_ia32_pause();
}
