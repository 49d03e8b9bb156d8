/*
 * acknowledged.h: numbers of records inserted during a run, and up to where all are acknowledged.
 *
 * A record becomes readable by the load only when every lower number is acknowledged too, because
 * choosers draw from one unbroken range. At most 2^20 may be outstanding.
 * Thread   any; taking a number is one atomic addition, reading the newest one atomic load.
 */
#pragma once

#include <stdint.h>

#include "core/base/base.h"

#define ACKNOWLEDGED_WINDOW (1u << 20)

struct acknowledged;

/* next: the first number to give out (the count of records loaded). */
MUST_USE enum kiwi_status acknowledged_open(uint64_t next, struct acknowledged **out);
void                      acknowledged_close(struct acknowledged *counter); /* NULL is fine */

uint64_t acknowledged_take(struct acknowledged *counter);
/* KIWI_BUSY: more than the window is outstanding, the slot is still taken. */
MUST_USE enum kiwi_status acknowledged_mark(struct acknowledged *counter, uint64_t number);
/* The highest number below which nothing is missing; UINT64_MAX when there is none at all. */
uint64_t acknowledged_newest(const struct acknowledged *counter);
