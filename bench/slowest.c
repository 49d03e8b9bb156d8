/*
 * slowest.c: a heap of fixed size.
 */
#include "bench/slowest.h"

#include <stdlib.h>

static void exchange(struct slow_operation *a, struct slow_operation *b)
{
    struct slow_operation kept = *a;

    *a = *b;
    *b = kept;
}

/* From the top downwards, until the least is above. */
static void sift_down(struct slowest *slowest)
{
    struct slow_operation *heap = slowest->operations;
    uint32_t               at = 0;

    for (;;) {
        uint32_t least = at;

        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < slowest->count; child++)
            if (heap[child].latency_ns < heap[least].latency_ns)
                least = child;
        if (least == at)
            return;
        exchange(&heap[at], &heap[least]);
        at = least;
    }
}

void slowest_add(struct slowest *slowest, const struct slow_operation *operation)
{
    struct slow_operation *heap = slowest->operations;
    uint32_t               at = slowest->count;

    assert(operation->latency_ns > slowest->least_ns || at < SLOWEST_MAX);
    if (at == SLOWEST_MAX) {
        heap[0] = *operation;
        sift_down(slowest);
    } else {
        heap[at] = *operation;
        slowest->count++;
        for (; at > 0 && heap[at].latency_ns < heap[(at - 1) / 2].latency_ns; at = (at - 1) / 2)
            exchange(&heap[at], &heap[(at - 1) / 2]);
    }
    if (slowest->count == SLOWEST_MAX)
        slowest->least_ns = heap[0].latency_ns;
}

void slowest_merge(struct slowest *target, const struct slowest *source)
{
    for (uint32_t i = 0; i < source->count; i++)
        if (target->count < SLOWEST_MAX || source->operations[i].latency_ns > target->least_ns)
            slowest_add(target, &source->operations[i]);
}

static int slower_first(const void *a, const void *b)
{
    const struct slow_operation *x = a, *y = b;

    if (x->latency_ns != y->latency_ns)
        return x->latency_ns > y->latency_ns ? -1 : 1;
    return x->at_ns < y->at_ns ? -1 : x->at_ns > y->at_ns;
}

void slowest_sort(struct slowest *slowest)
{
    qsort(slowest->operations, slowest->count, sizeof slowest->operations[0], slower_first);
    slowest->least_ns = UINT64_MAX;
}

/* How long the machine stood still while the operation was under way. */
static uint64_t still_ns(const struct slow_operation *operation, const struct stillness *stillness)
{
    const uint64_t end_ns = operation->at_ns + operation->latency_ns;
    uint64_t       sum = 0;

    for (uint32_t i = 0; stillness->was_watched && i < stillness->kept_count; i++) {
        const struct standstill *at = &stillness->standstills[i];
        uint64_t                 from = max_u64(at->start_ns, operation->at_ns);
        uint64_t                 to = min_u64(at->end_ns, end_ns);

        sum += to > from ? to - from : 0;
    }
    return sum;
}

json_t *slowest_json(const struct slowest *slowest, const struct stillness *stillness)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < slowest->count; i++) {
        const struct slow_operation *at = &slowest->operations[i];

        json_array_append_new(
            array, json_pack("{s:s, s:I, s:I, s:f, s:I, s:I, s:I}", "operation",
                             operation_name(at->operation), "record", (json_int_t)at->record,
                             "client", (json_int_t)at->client, "at_seconds",
                             (double)at->at_ns / 1e9, "latency_ns", (json_int_t)at->latency_ns,
                             "service_ns", (json_int_t)at->service_ns, "standstill_ns",
                             (json_int_t)still_ns(at, stillness)));
    }
    return array;
}
