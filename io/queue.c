/*
 * queue.c: waiting lists and slots, delivery of results, and the sleep protocol.
 */
#include "io/queue.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "io/failure.h"

enum kiwi_status queue_init(struct io_queue *queue, struct io *io, uint32_t depth, bool has_event)
{
    assert(depth > 0);
    memset(queue, 0, sizeof *queue);
    queue->io = io;
    queue->depth = depth;
    queue->event_fd = -1;
    if (has_event) {
        queue->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (queue->event_fd < 0)
            return failure_of_path(errno, "create", "an event descriptor");
    }
    pthread_mutex_lock(&io->queues_lock);
    queue->next = io->queues;
    if (queue->next != NULL)
        queue->next->previous = queue;
    io->queues = queue;
    pthread_mutex_unlock(&io->queues_lock);
    return KIWI_OK;
}

static void tally_move(struct io_tally *target, struct io_tally *source)
{
    atomic_fetch_add(&target->reads, atomic_load(&source->reads));
    atomic_fetch_add(&target->writes, atomic_load(&source->writes));
    atomic_fetch_add(&target->syncs, atomic_load(&source->syncs));
    atomic_fetch_add(&target->read_bytes, atomic_load(&source->read_bytes));
    atomic_fetch_add(&target->write_bytes, atomic_load(&source->write_bytes));
}

void queue_end(struct io_queue *queue)
{
    struct io *io = queue->io;

    assert(queue->in_flight == 0);
    pthread_mutex_lock(&io->queues_lock);
    if (queue->previous != NULL)
        queue->previous->next = queue->next;
    else
        io->queues = queue->next;
    if (queue->next != NULL)
        queue->next->previous = queue->previous;
    tally_move(&io->tally, &queue->tally);
    pthread_mutex_unlock(&io->queues_lock);
    if (queue->event_fd >= 0)
        close(queue->event_fd);
}

/* ---- waiting and slots ---- */

/* Slots that a class leaves free, so that no class below it starves behind a full house. */
static uint32_t slots_kept_free(const struct io_queue *queue, enum io_class class_of_service)
{
    uint32_t kept = 0;

    if (queue->depth < 8)
        return 0;
    for (uint32_t lower = class_of_service + 1u; lower < IO_CLASS_COUNT; lower++)
        kept += queue->waiting[lower].count > 0 && queue->class_in_flight[lower] == 0;
    return kept;
}

static bool has_slot(const struct io_queue *queue, enum io_class class_of_service)
{
    if (class_of_service == IO_CLASS_LOG)
        return queue->in_flight < queue->depth + QUEUE_LOG_EXTRA;
    return queue->in_flight + slots_kept_free(queue, class_of_service) < queue->depth;
}

struct io_request *queue_next(struct io_queue *queue, struct scheduler_load *load, uint64_t now_ns)
{
    for (enum io_class class = IO_CLASS_LOG; class < IO_CLASS_COUNT; class++) {
        struct io_request *request = queue->waiting[class].first;

        if (request == NULL || !has_slot(queue, class))
            continue;
        if (!scheduler_allows(&queue->io->budget.limits, load, class, request->bytes)
            && queue->in_flight > 0)
            continue;
        request_list_take(&queue->waiting[class]);
        queue->in_flight++;
        queue->class_in_flight[class]++;
        scheduler_load_add(load, class, request->bytes);
        scheduler_take(&queue->io->budget, class, request->bytes);
        request_state(request)->sent_ns = now_ns;
        return request;
    }
    return NULL;
}

static inline void tally_bump(_Atomic uint64_t *counter, uint64_t by)
{
    /* One writer, so a load and a store do; readers see some recent value. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

static void tally_request(struct io_queue *queue, const struct io_request *request)
{
    switch ((enum io_verb)request->verb) {
    case IO_READ:
        tally_bump(&queue->tally.reads, 1);
        tally_bump(&queue->tally.read_bytes, request->bytes);
        break;
    case IO_WRITE_SYNC:
        tally_bump(&queue->tally.syncs, 1);
        tally_bump(&queue->tally.writes, 1);
        tally_bump(&queue->tally.write_bytes, request->bytes);
        break;
    case IO_WRITE:
        tally_bump(&queue->tally.writes, 1);
        tally_bump(&queue->tally.write_bytes, request->bytes);
        break;
    case IO_SYNC:
        tally_bump(&queue->tally.syncs, 1);
        break;
    case IO_ALLOCATE:
    case IO_REMOVE:
        break;
    }
}

static uint32_t microseconds_between(uint64_t from_ns, uint64_t to_ns)
{
    uint64_t us = to_ns > from_ns ? (to_ns - from_ns) / 1000 : 0;

    return us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

void queue_finish(struct io_queue *queue, struct io_request *request, int error, uint64_t now_ns)
{
    struct request_state *state = request_state(request);

    assert(queue->in_flight > 0);
    assert(error >= 0 && error <= UINT16_MAX);
    queue->in_flight--;
    queue->class_in_flight[request->class_of_service]--;
    scheduler_give(&queue->io->budget, request->class_of_service, request->bytes);
    state->error = (uint16_t)error;
    request->queue_us = microseconds_between(state->added_ns, state->sent_ns);
    request->device_us = microseconds_between(state->sent_ns, now_ns);
    if (error == 0)
        tally_request(queue, request);
    request_list_append(&queue->finished, request);
}

/* ---- delivery ---- */

static enum kiwi_status request_failure(struct io_request *request, int error)
{
    static const char *const verbs[] = {
        [IO_READ] = "read",       [IO_WRITE] = "write",       [IO_WRITE_SYNC] = "write and sync",
        [IO_SYNC] = "sync",       [IO_ALLOCATE] = "allocate", [IO_REMOVE] = "remove",
    };
    struct failure_place place = { .what = verbs[request->verb], .bytes = request->bytes,
                                   .offset = request->offset };

    if (request->verb == IO_REMOVE)
        return failure_of_path(error, place.what, request->path);
    place.path = request->file->path;
    if (error == FAILURE_PAST_END
        && request->file->io->methods->file_size(request->file, &place.file_bytes) != KIWI_OK)
        place.file_bytes = 0;
    return failure_of_place(error, &place);
}

uint32_t queue_deliver(struct io_queue *queue)
{
    struct request_list finished = queue->finished;
    struct io_request  *request;

    /* Done functions may add requests, which never finish before the next poll; what they free must
     * not be touched again. */
    queue->finished = (struct request_list){ 0 };
    queue->pending -= finished.count;
    uint32_t count = finished.count;
    while ((request = request_list_take(&finished)) != NULL) {
        int error = request_state(request)->error;

        request->status = error == 0 ? KIWI_OK : request_failure(request, error);
        request->done(request);
    }
    return count;
}

bool request_advance(struct io_request *request, uint32_t bytes, int *error)
{
    struct request_state *state = request_state(request);

    *error = 0;
    assert(bytes <= request->bytes - state->bytes_done);
    state->bytes_done += bytes;
    if (state->bytes_done == request->bytes)
        return true;
    if (bytes == 0) {
        *error = request->verb == IO_READ ? FAILURE_PAST_END : FAILURE_SHORT;
        return false;
    }
    if ((request->file->flags & IO_DIRECT) != 0) {
        uint32_t whole = state->bytes_done / PAGE_BYTES * PAGE_BYTES;
        uint64_t size;

        /* A direct transfer goes on at a page. One that stopped inside a page has met the end of
         * the file, or is repeated from the page's start. */
        if (whole != state->bytes_done && request->verb == IO_READ
            && request->file->io->methods->file_size(request->file, &size) == KIWI_OK
            && size <= request->offset + state->bytes_done) {
            *error = FAILURE_PAST_END;
            return false;
        }
        if (whole != state->bytes_done && ++state->retry_count > 100) {
            *error = request->verb == IO_READ ? EIO : FAILURE_SHORT;
            return false;
        }
        state->bytes_done = whole;
    }
    return false;
}

/* ---- sleep and wake ---- */

bool queue_sleep_begin(struct io_queue *queue)
{
    atomic_store(&queue->is_asleep, 1);
    if (atomic_load(&queue->is_woken) == 0)
        return true;
    atomic_store(&queue->is_asleep, 0);
    atomic_store(&queue->is_woken, 0);
    return false;
}

bool queue_sleep_end(struct io_queue *queue)
{
    atomic_store(&queue->is_asleep, 0);
    return atomic_exchange(&queue->is_woken, 0) != 0;
}

void queue_event_signal(struct io_queue *queue)
{
    uint64_t one = 1;
    ssize_t  written;

    do
        written = write(queue->event_fd, &one, sizeof one);
    while (written < 0 && errno == EINTR);
    /* EAGAIN: the counter is full, so the descriptor is readable all the same. */
    assert(written == (ssize_t)sizeof one || errno == EAGAIN);
}

void queue_event_wake(struct io_queue *queue)
{
    if (atomic_exchange(&queue->is_woken, 1) != 0)
        return; /* an earlier wake is still to be seen */
    if (atomic_load(&queue->is_asleep) != 0 || atomic_load(&queue->has_descriptor) != 0)
        queue_event_signal(queue);
}

bool queue_event_wait(struct io_queue *queue, uint64_t timeout_ns)
{
    struct pollfd   entry = { .fd = queue->event_fd, .events = POLLIN };
    struct timespec timeout = { .tv_sec = (time_t)(timeout_ns / 1000000000u),
                                .tv_nsec = (long)(timeout_ns % 1000000000u) };
    uint64_t        count;

    if (timeout_ns > 0 && ppoll(&entry, 1, timeout_ns == UINT64_MAX ? NULL : &timeout, NULL) <= 0)
        return false;
    return read(queue->event_fd, &count, sizeof count) == (ssize_t)sizeof count;
}
