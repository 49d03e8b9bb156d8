/*
 * scheduler.h: which request may go to the device now.
 *
 * Why      The device serves first in, first out. Priority exists only while its queue is short:
 *          measured, 64 reads in flight cut the log from 10,000 to 840 commits a second.
 * Rule     The log always goes. Reads are limited in number, flush and compaction in bytes; all
 *          limits shrink while a log write is pending or in flight. A class with nothing in flight
 *          may send one request of any size, so that no window is too small for its traffic.
 * Budget   One per struct io, shared by its queues through relaxed atomics. Two threads that decide
 *          at the same instant may overshoot by one request each; that is harmless. The idea of
 *          shared budgets is Seastar's I/O scheduler.
 * Thread   the decision is a pure function; the budget may be used from any thread.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "io/io.h"

struct scheduler_limits {
    uint32_t reads, reads_beside_log;                       /* foreground reads in flight */
    uint32_t flush_bytes, flush_bytes_beside_log;           /* in flight */
    uint32_t compaction_bytes, compaction_bytes_beside_log; /* in flight */
};

struct scheduler_load { /* of the device, over all queues */
    uint32_t logs;  /* pending and in flight */
    uint32_t reads; /* in flight */
    uint64_t flush_bytes, compaction_bytes;
};

/* What a request weighs in its window: small ones cost the device a whole turn as well. */
static inline uint64_t scheduler_weight(uint32_t bytes)
{
    return bytes < PAGE_BYTES ? PAGE_BYTES : bytes;
}

struct scheduler_limits scheduler_limits_default(void);
bool scheduler_allows(const struct scheduler_limits *limits, const struct scheduler_load *load,
                      enum io_class class_of_service, uint32_t bytes);
void scheduler_load_add(struct scheduler_load *load, enum io_class class_of_service,
                        uint32_t bytes);

/* ---- the load of all queues of one struct io ---- */
struct scheduler_budget {
    struct scheduler_limits limits;
    _Alignas(CACHE_LINE_BYTES) _Atomic uint32_t logs;
    _Alignas(CACHE_LINE_BYTES) _Atomic uint32_t reads;
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t flush_bytes;
    _Atomic uint64_t compaction_bytes;
};

void scheduler_budget_init(struct scheduler_budget *budget);
struct scheduler_load scheduler_budget_load(const struct scheduler_budget *budget);
/* A log request counts from the moment it is added. */
void scheduler_log_added(struct scheduler_budget *budget);
void scheduler_take(struct scheduler_budget *budget, enum io_class class_of_service,
                    uint32_t bytes);
void scheduler_give(struct scheduler_budget *budget, enum io_class class_of_service,
                    uint32_t bytes);
