/*
 * scheduler.c: the decision, and the shared counters it is made from.
 */
#include "io/scheduler.h"

struct scheduler_limits scheduler_limits_default(void)
{
    return (struct scheduler_limits){
        .reads = 64,
        .reads_beside_log = 12,
        .flush_bytes = 4u << 20,
        .flush_bytes_beside_log = 1u << 20,
        .compaction_bytes = 2u << 20,
        .compaction_bytes_beside_log = 256u << 10,
    };
}

static bool window_allows(uint64_t in_flight_bytes, uint32_t bytes, uint32_t window_bytes)
{
    return in_flight_bytes == 0 || in_flight_bytes + scheduler_weight(bytes) <= window_bytes;
}

bool scheduler_allows(const struct scheduler_limits *limits, const struct scheduler_load *load,
                      enum io_class class_of_service, uint32_t bytes)
{
    bool is_beside_log = load->logs > 0;

    switch (class_of_service) {
    case IO_CLASS_LOG:
        return true;
    case IO_CLASS_READ:
        return load->reads < (is_beside_log ? limits->reads_beside_log : limits->reads);
    case IO_CLASS_FLUSH:
        return window_allows(load->flush_bytes, bytes,
                             is_beside_log ? limits->flush_bytes_beside_log : limits->flush_bytes);
    case IO_CLASS_COMPACTION:
        return window_allows(load->compaction_bytes, bytes,
                             is_beside_log ? limits->compaction_bytes_beside_log
                                           : limits->compaction_bytes);
    case IO_CLASS_COUNT:
        break;
    }
    assert(0 && "a request has one of the four classes");
    return true;
}

void scheduler_load_add(struct scheduler_load *load, enum io_class class_of_service, uint32_t bytes)
{
    if (class_of_service == IO_CLASS_READ)
        load->reads++;
    else if (class_of_service == IO_CLASS_FLUSH)
        load->flush_bytes += scheduler_weight(bytes);
    else if (class_of_service == IO_CLASS_COMPACTION)
        load->compaction_bytes += scheduler_weight(bytes);
}

void scheduler_budget_init(struct scheduler_budget *budget)
{
    budget->limits = scheduler_limits_default();
    atomic_init(&budget->logs, 0);
    atomic_init(&budget->reads, 0);
    atomic_init(&budget->flush_bytes, 0);
    atomic_init(&budget->compaction_bytes, 0);
}

struct scheduler_load scheduler_budget_load(const struct scheduler_budget *budget)
{
    return (struct scheduler_load){
        .logs = atomic_load_explicit(&budget->logs, memory_order_relaxed),
        .reads = atomic_load_explicit(&budget->reads, memory_order_relaxed),
        .flush_bytes = atomic_load_explicit(&budget->flush_bytes, memory_order_relaxed),
        .compaction_bytes = atomic_load_explicit(&budget->compaction_bytes, memory_order_relaxed),
    };
}

void scheduler_log_added(struct scheduler_budget *budget)
{
    atomic_fetch_add_explicit(&budget->logs, 1, memory_order_relaxed);
}

void scheduler_take(struct scheduler_budget *budget, enum io_class class_of_service,
                    uint32_t bytes)
{
    if (class_of_service == IO_CLASS_READ)
        atomic_fetch_add_explicit(&budget->reads, 1, memory_order_relaxed);
    else if (class_of_service == IO_CLASS_FLUSH)
        atomic_fetch_add_explicit(&budget->flush_bytes, scheduler_weight(bytes),
                                  memory_order_relaxed);
    else if (class_of_service == IO_CLASS_COMPACTION)
        atomic_fetch_add_explicit(&budget->compaction_bytes, scheduler_weight(bytes),
                                  memory_order_relaxed);
}

void scheduler_give(struct scheduler_budget *budget, enum io_class class_of_service,
                    uint32_t bytes)
{
    uint64_t weight = scheduler_weight(bytes), before = 1, given = 1;

    switch (class_of_service) {
    case IO_CLASS_LOG:
        before = atomic_fetch_sub_explicit(&budget->logs, 1, memory_order_relaxed);
        break;
    case IO_CLASS_READ:
        before = atomic_fetch_sub_explicit(&budget->reads, 1, memory_order_relaxed);
        break;
    case IO_CLASS_FLUSH:
        before = atomic_fetch_sub_explicit(&budget->flush_bytes, weight, memory_order_relaxed);
        given = weight;
        break;
    case IO_CLASS_COMPACTION:
        before = atomic_fetch_sub_explicit(&budget->compaction_bytes, weight,
                                           memory_order_relaxed);
        given = weight;
        break;
    case IO_CLASS_COUNT:
        break;
    }
    assert(before >= given);
}
