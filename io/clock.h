/*
 * clock.h: monotonic nanoseconds from the processor's time-stamp counter. Private to io/.
 *
 * The counter is used only when the processor says that it never stops or changes pace, and the
 * kernel itself trusts it as a clock; otherwise every call is clock_gettime. Calibrated once per
 * process against CLOCK_MONOTONIC.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

void     clock_open(void); /* idempotent; before the first clock_now_ns */
uint64_t clock_now_ns(void);
bool     clock_uses_counter(void);
