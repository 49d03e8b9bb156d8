/*
 * posix.c: the backend of plain system calls. A queue executes its requests inside io_queue_poll.
 *
 * For hosts that forbid io_uring, and for tools that cannot look into a ring (valgrind).
 */
#include "core/base/memory.h"
#include "io/clock.h"
#include "io/queue.h"
#include "io/system.h"

/* Requests of one poll; short, so that a log write that comes next need not wait for many reads. */
enum { REQUESTS_PER_POLL_MAX = 16 };

static void posix_close(struct io *io)
{
    io_end(io);
    memory_free(io);
}

static enum kiwi_status posix_queue_open(struct io *io, uint32_t depth, struct io_queue **out)
{
    struct io_queue *queue = memory_allocate_aligned(sizeof *queue, CACHE_LINE_BYTES);
    enum kiwi_status status;

    if (queue == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a queue of %u requests", depth);
    status = queue_init(queue, io, depth, true);
    if (status != KIWI_OK) {
        memory_free(queue);
        return status;
    }
    *out = queue;
    return KIWI_OK;
}

static void posix_run_waiting(struct io_queue *queue)
{
    struct scheduler_load load = { 0 }; /* one at a time: no budget is ever exceeded */
    struct io_request    *request;

    for (uint32_t i = 0; i < REQUESTS_PER_POLL_MAX; i++) {
        request = queue_next(queue, &load, clock_now_ns());
        if (request == NULL)
            break;
        queue_finish(queue, request, system_request_run(request), clock_now_ns());
    }
}

static uint32_t posix_queue_poll(struct io_queue *queue, uint64_t timeout_ns)
{
    bool     has_descriptor = atomic_load(&queue->has_descriptor) != 0;
    uint32_t count;

    if (has_descriptor) {
        queue_event_wait(queue, 0); /* empties it; before the wake flag is looked at */
        if (queue_sleep_end(queue))
            timeout_ns = 0;
    }
    posix_run_waiting(queue);
    count = queue_deliver(queue);
    if (count == 0 && timeout_ns > 0 && queue_sleep_begin(queue)) {
        queue_event_wait(queue, timeout_ns);
        queue_sleep_end(queue);
    }
    if (has_descriptor && queue->pending > 0)
        queue_event_signal(queue); /* there is more to run: the next poll shall come at once */
    return count;
}

static void posix_queue_close(struct io_queue *queue)
{
    while (queue->pending > 0)
        posix_queue_poll(queue, 0);
    queue_end(queue);
    memory_free(queue);
}

static int posix_queue_descriptor(struct io_queue *queue)
{
    atomic_store(&queue->has_descriptor, 1);
    if (queue->pending > 0)
        queue_event_signal(queue);
    return queue->event_fd;
}

static void posix_queue_register(struct io_queue *queue, void *base, size_t bytes)
{
    (void)queue, (void)base, (void)bytes;
}

static const struct io_methods posix_methods = {
    .name = "posix",
    .close = posix_close,
    SYSTEM_METHODS,
    .queue_open = posix_queue_open,
    .queue_close = posix_queue_close,
    .queue_poll = posix_queue_poll,
    .queue_wake = queue_event_wake,
    .queue_descriptor = posix_queue_descriptor,
    .queue_register = posix_queue_register,
};

enum kiwi_status posix_open(struct io **out)
{
    struct io *io = memory_allocate_aligned(sizeof *io, CACHE_LINE_BYTES);

    if (io == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for the posix backend");
    *io = (struct io){ 0 };
    clock_open();
    io_init(io, &posix_methods,
            clock_uses_counter() ? "plain system calls; clock: processor counter"
                                 : "plain system calls; clock: system");
    *out = io;
    return KIWI_OK;
}
