/*
 * queue.h: what the queues of all backends share: waiting lists, slots, delivery, wakes.
 *
 *   add ──► waiting[class] ──queue_next──► at the device ──queue_finish──► finished ──► done
 *
 * Always   pending = waiting + in flight + finished. in_flight <= depth, and log requests may
 *          exceed it by QUEUE_LOG_EXTRA, so that a log write never stands behind a full house.
 * Progress a queue with nothing in flight may send its first request whatever the budget says; the
 *          completion of that one brings the next poll, which asks the budget again.
 * Sleep    a waker writes the eventfd only when the poller has announced that it sleeps. Both sides
 *          store their own flag and then load the other's, sequentially consistent, so at least one
 *          sees the other (Dekker's argument).
 */
#pragma once

#include "io/backend.h"

enum { QUEUE_LOG_EXTRA = 8 };

struct request_list {
    struct io_request *first, *final;
    uint32_t           count;
};

struct io_queue {
    struct io          *io;
    struct io_queue    *next, *previous; /* all queues of io, under its lock */
    uint32_t            depth, pending, in_flight;
    uint32_t            class_in_flight[IO_CLASS_COUNT];
    struct request_list waiting[IO_CLASS_COUNT], finished;
    struct io_tally     tally; /* this thread writes */
    int                 event_fd; /* owned; -1: none */
    /* A wake not yet seen by a waiting poll. */
    _Alignas(CACHE_LINE_BYTES) _Atomic uint32_t is_woken;
    _Atomic uint32_t    is_asleep;      /* the poller waits, or is about to */
    _Atomic uint32_t    has_descriptor; /* the caller waits on event_fd itself */
};

/* The use that io/ makes of io_request.private_words. */
struct request_state {
    struct io_request *next;
    uint64_t           added_ns, sent_ns;
    uint32_t           bytes_done;
    uint16_t           error;       /* enum io_failure_code or errno; 0: fine */
    uint16_t           retry_count;
};
static_assert(sizeof(struct request_state) <= sizeof(((struct io_request *)0)->private_words),
              "the private words hold the state");

static inline struct request_state *request_state(struct io_request *request)
{
    return (struct request_state *)(void *)request->private_words;
}

static inline void request_list_append(struct request_list *list, struct io_request *request)
{
    request_state(request)->next = NULL;
    if (list->first == NULL)
        list->first = request;
    else
        request_state(list->final)->next = request;
    list->final = request;
    list->count++;
}

static inline struct io_request *request_list_take(struct request_list *list)
{
    struct io_request *request = list->first;

    if (request == NULL)
        return NULL;
    assert_slow(list->count > 0);
    list->first = request_state(request)->next;
    list->count--;
    return request;
}

MUST_USE enum kiwi_status queue_init(struct io_queue *queue, struct io *io, uint32_t depth,
                                     bool has_event);
void queue_end(struct io_queue *queue);

/* The next request that may go to the device, now counted as in flight; NULL: none may. load is
 * read once a batch from the budget and kept up to date here. */
struct io_request *queue_next(struct io_queue *queue, struct scheduler_load *load, uint64_t now_ns);
/* The device is done with it. error: 0, errno or enum io_failure_code. */
void queue_finish(struct io_queue *queue, struct io_request *request, int error, uint64_t now_ns);
/* Calls done for everything that has finished, oldest first. Returns how many. */
uint32_t queue_deliver(struct io_queue *queue);
static inline uint32_t queue_waiting(const struct io_queue *queue)
{
    return queue->pending - queue->in_flight - queue->finished.count;
}

/* False: a wake came first and is now consumed; do not sleep. */
MUST_USE bool queue_sleep_begin(struct io_queue *queue);
/* True when a wake came; it is consumed. */
bool queue_sleep_end(struct io_queue *queue);
/* Waits on the eventfd and empties it. True when it was readable. */
bool queue_event_wait(struct io_queue *queue, uint64_t timeout_ns);
void queue_event_signal(struct io_queue *queue);
void queue_event_wake(struct io_queue *queue); /* the wake of queues that have an eventfd */

/* Moves the request forward by bytes that were transferred. True when it is complete; otherwise the
 * rest is to be sent, or, when *error is set, it has failed. */
bool request_advance(struct io_request *request, uint32_t bytes, int *error);
