/*
 * bell.h: how one thread tells another that its mailbox has something, without a system call unless
 * the other one sleeps.
 *
 * A sleeper with device requests outstanding waits in its queue; one without waits on a futex,
 * which costs the waker less than half. An owner whose host sleeps on the queue's descriptor
 * instead arms the bell before it returns to the host.
 * Thread   bell_ring, bell_call: any. The others: the owner of mailbox and queue.
 */
#pragma once

#include "io/io.h"
#include "io/mailbox.h"
#include "io/thread.h"

enum bell_state {
    BELL_AWAKE = 0,
    BELL_PARKED,   /* on the futex */
    BELL_IN_QUEUE, /* in the queue, or its descriptor is watched */
    BELL_CALLED,   /* called while awake: the next wait does not sleep */
};

struct bell {
    _Alignas(CACHE_LINE_BYTES) _Atomic uint32_t state;
};

static inline void bell_wake(struct bell *bell, struct io_queue *queue, uint32_t old)
{
    if (old == BELL_PARKED)
        unpark(&bell->state, 1);
    else if (old == BELL_IN_QUEUE)
        io_queue_wake(queue);
}

/* After a push into the mailbox. */
static inline void bell_ring(struct bell *bell, struct io_queue *queue)
{
    /* The push before this was sequentially consistent, and so is the sleeper's store before its
     * last look into the mailbox: one of the two sees the other. */
    uint32_t state = atomic_load_explicit(&bell->state, memory_order_seq_cst);

    if (state == BELL_PARKED || state == BELL_IN_QUEUE)
        bell_wake(bell, queue,
                  atomic_exchange_explicit(&bell->state, BELL_CALLED, memory_order_seq_cst));
}

/* Without mail: the owner shall look round, now or when it would sleep next. */
static inline void bell_call(struct bell *bell, struct io_queue *queue)
{
    if (atomic_load_explicit(&bell->state, memory_order_seq_cst) != BELL_CALLED)
        bell_wake(bell, queue,
                  atomic_exchange_explicit(&bell->state, BELL_CALLED, memory_order_seq_cst));
}

/* The owner looks round now. */
static inline void bell_disarm(struct bell *bell)
{
    atomic_exchange_explicit(&bell->state, BELL_AWAKE, memory_order_seq_cst);
}

/* The owner goes away, and its host may sleep on the descriptor: from now on ring and call make it
 * readable, as what came since the owner looked last does now. */
static inline void bell_arm(struct bell *bell, struct mailbox *box, struct io_queue *queue)
{
    /* As in bell_wait: either the sender sees the store or this look sees the mail. */
    if (atomic_exchange_explicit(&bell->state, BELL_IN_QUEUE, memory_order_seq_cst) == BELL_CALLED
        || !mailbox_is_empty(box))
        io_queue_wake(queue);
}

/* Sleeps until rung or called, until a request of the queue finishes, or timeout_ns. Returns at
 * once when the mailbox is not empty or a call came since the last wait. */
static inline void bell_wait(struct bell *bell, struct mailbox *box, struct io_queue *queue,
                             bool always_in_queue, uint64_t timeout_ns)
{
    bool     in_queue = always_in_queue || io_queue_pending(queue) > 0;
    uint32_t expected = BELL_AWAKE;
    uint32_t asleep = in_queue ? BELL_IN_QUEUE : BELL_PARKED;

    if (atomic_compare_exchange_strong_explicit(&bell->state, &expected, asleep,
                                                memory_order_seq_cst, memory_order_seq_cst)
        && mailbox_is_empty(box)) {
        if (in_queue)
            io_queue_poll(queue, timeout_ns);
        else
            park(&bell->state, BELL_PARKED, timeout_ns);
    }
    atomic_exchange_explicit(&bell->state, BELL_AWAKE, memory_order_seq_cst);
}
