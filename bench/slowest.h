/*
 * slowest.h: the slowest operations of a measured part, one by one: tail anatomy.
 *
 * Latency  what the caller felt: from the intended start in an open loop, else from the submission.
 * Thread   one writer; read while nobody writes.
 * Cost     one comparison for an operation that is not among the slowest.
 */
#pragma once

#include <jansson.h>

#include "bench/stillness.h"
#include "workloads/workload.h"

#define SLOWEST_MAX 100u

struct slow_operation {
    uint64_t       latency_ns, service_ns;
    uint64_t       at_ns;        /* when it was due, since the measured part began */
    uint64_t       record;
    uint32_t       client;
    enum operation operation;
};

struct slowest {
    uint32_t              count;
    uint64_t              least_ns;    /* not more: not among them; 0 until there are enough */
    struct slow_operation operations[SLOWEST_MAX];  /* a heap, the least of them first */
};

/* Only for those above least_ns. */
void slowest_add(struct slowest *slowest, const struct slow_operation *operation);
/* Those of source too. */
void slowest_merge(struct slowest *target, const struct slowest *source);
/* The slowest first; nothing can be added afterwards. */
void slowest_sort(struct slowest *slowest);

/* Sorted ones as objects; those during which the machine stood still say for how long. */
json_t *slowest_json(const struct slowest *slowest, const struct stillness *stillness);
