/*
 * bell.h: how one thread tells another that its mailbox has something, without a system call unless
 * the other one sleeps.
 *
 * A sleeper with device requests outstanding waits in its queue; one without waits on a futex,
 * which costs the waker less than half.
 * Thread   bell_ring: any. bell_wait: the owner of mailbox and queue.
 */
#pragma once

#include "io/io.h"
#include "io/mailbox.h"
#include "io/thread.h"

enum bell_state { BELL_AWAKE = 0, BELL_PARKED = 1, BELL_IN_QUEUE = 2 };

struct bell {
    _Alignas(CACHE_LINE_BYTES) _Atomic uint32_t state;
};

static inline void bell_ring(struct bell *bell, struct io_queue *queue)
{
    /* The push into the mailbox before this was sequentially consistent, and so is the sleeper's
     * store before its last look: one of the two sees the other. */
    if (atomic_load_explicit(&bell->state, memory_order_seq_cst) == BELL_AWAKE)
        return;
    switch (atomic_exchange_explicit(&bell->state, BELL_AWAKE, memory_order_seq_cst)) {
    case BELL_PARKED:
        unpark(&bell->state, 1);
        break;
    case BELL_IN_QUEUE:
        io_queue_wake(queue);
        break;
    default:
        break;
    }
}

/* Sleeps until rung, until a request of the queue finishes, or timeout_ns. Returns at once when the
 * mailbox is not empty. */
static inline void bell_wait(struct bell *bell, struct mailbox *box, struct io_queue *queue,
                             bool always_in_queue, uint64_t timeout_ns)
{
    bool in_queue = always_in_queue || io_queue_pending(queue) > 0;

    atomic_store_explicit(&bell->state, in_queue ? BELL_IN_QUEUE : BELL_PARKED,
                          memory_order_seq_cst);
    if (mailbox_is_empty(box)) {
        if (in_queue)
            io_queue_poll(queue, timeout_ns);
        else
            park(&bell->state, BELL_PARKED, timeout_ns);
    }
    atomic_store_explicit(&bell->state, BELL_AWAKE, memory_order_relaxed);
}
