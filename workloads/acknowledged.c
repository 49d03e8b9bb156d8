/*
 * acknowledged.c: a window of flags behind two counters.
 */
#include "workloads/acknowledged.h"

#include <stdatomic.h>

#include "core/base/memory.h"

struct acknowledged {
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t next;
    _Alignas(CACHE_LINE_BYTES) _Atomic uint64_t newest; /* read by every operation */
    _Alignas(CACHE_LINE_BYTES) atomic_flag advancing;
    _Atomic uint8_t window[ACKNOWLEDGED_WINDOW];
};

enum kiwi_status acknowledged_open(uint64_t next, struct acknowledged **out)
{
    struct acknowledged *counter = memory_allocate_aligned(sizeof *counter, CACHE_LINE_BYTES);

    *out = NULL;
    if (counter == NULL)
        return FAIL(KIWI_NO_MEMORY, "no %zu bytes for the insert window", sizeof *counter);
    atomic_init(&counter->next, next);
    atomic_init(&counter->newest, next - 1);
    atomic_flag_clear(&counter->advancing);
    for (uint32_t i = 0; i < ACKNOWLEDGED_WINDOW; i++)
        atomic_init(&counter->window[i], 0);
    *out = counter;
    return KIWI_OK;
}

void acknowledged_close(struct acknowledged *counter)
{
    memory_free(counter);
}

uint64_t acknowledged_take(struct acknowledged *counter)
{
    return atomic_fetch_add_explicit(&counter->next, 1, memory_order_relaxed);
}

uint64_t acknowledged_newest(const struct acknowledged *counter)
{
    return atomic_load_explicit(&counter->newest, memory_order_acquire);
}

/* Runs under the flag. */
static void window_advance(struct acknowledged *counter)
{
    uint64_t number = atomic_load_explicit(&counter->newest, memory_order_relaxed) + 1;

    for (uint32_t i = 0; i < ACKNOWLEDGED_WINDOW; i++, number++) {
        _Atomic uint8_t *slot = &counter->window[number % ACKNOWLEDGED_WINDOW];

        if (atomic_load(slot) == 0)
            break;
        atomic_store(slot, 0);
    }
    atomic_store_explicit(&counter->newest, number - 1, memory_order_release);
}

enum kiwi_status acknowledged_mark(struct acknowledged *counter, uint64_t number)
{
    _Atomic uint8_t *slot = &counter->window[number % ACKNOWLEDGED_WINDOW];

    assert(number < atomic_load(&counter->next));
    if (atomic_load(slot) != 0 || number - acknowledged_newest(counter) > ACKNOWLEDGED_WINDOW)
        return FAIL(KIWI_BUSY, "more than %u inserts are not acknowledged", ACKNOWLEDGED_WINDOW);
    atomic_store(slot, 1);
    /* Whoever holds the flag may just have passed this slot: look again after it is released, so
     * that the last mark of a run is never left behind. */
    while (!atomic_flag_test_and_set(&counter->advancing)) {
        window_advance(counter);
        atomic_flag_clear(&counter->advancing);
        uint64_t next = atomic_load(&counter->newest) + 1;
        if (atomic_load(&counter->window[next % ACKNOWLEDGED_WINDOW]) == 0)
            break;
    }
    return KIWI_OK;
}
