/*
 * simulated_queue.c: requests that take virtual time.
 *
 * A poll sends what the scheduler lets go, each with a completion time drawn from the seed, and
 * finishes what is due. A waiting poll moves the clock to the next event of the machine, so that
 * several queues interleave as several threads would.
 */
#include "io/simulated_machine.h"

#include <errno.h>
#include <string.h>

#include "io/failure.h"

struct flight {
    struct io_request *request;
    uint64_t           due_ns;
    uint64_t           due_event;     /* stuck before the machine has had so many */
    uint64_t           operation;     /* simulation_stick_at may name it */
    uint64_t           change_number; /* IO_SYNC: it covers the changes below */
    int                error;         /* met at the end */
    uint32_t           part_bytes;    /* of a transfer, what this try moves */
    bool               is_sent;       /* the device has seen it */
};

struct simulated_queue {
    struct io_queue base;
    uint64_t        life;
    uint32_t        flight_count;
    struct flight  *flights; /* in the order of sending */
};

static struct simulated_queue *simulated_queue_of(struct io_queue *queue)
{
    return (struct simulated_queue *)(void *)queue;
}

static unsigned kinds_of(const struct io_request *request)
{
    switch ((enum io_verb)request->verb) {
    case IO_READ:
        return OPERATION_READ;
    case IO_WRITE:
    case IO_ALLOCATE:
        return OPERATION_WRITE;
    case IO_WRITE_SYNC:
        return OPERATION_WRITE | OPERATION_SYNC;
    case IO_SYNC:
        return OPERATION_SYNC;
    case IO_REMOVE:
        break;
    }
    return OPERATION_NAME;
}

static bool is_write(const struct io_request *request)
{
    return request->verb == IO_WRITE || request->verb == IO_WRITE_SYNC
        || request->verb == IO_ALLOCATE;
}

/* ---- sending ---- */

static void flight_send(struct simulated_queue *queue, struct flight *flight)
{
    struct simulation *simulation = simulation_of(queue->base.io);
    struct io_request *request = flight->request;
    struct disk_file  *file = NULL;
    struct delay       delay;
    uint32_t           left = request->bytes - request_state(request)->bytes_done;

    if (request->file != NULL)
        file = simulated_file_of(request->file)->file;
    flight->is_sent = true;
    flight->part_bytes = left;
    if (left > 512 && chance_hits(&simulation->chance_faults,
                                  simulation->options.short_transfer_per_million)) {
        simulation->counts[SIMULATED_SHORT]++;
        flight->part_bytes = 512 * (uint32_t)(1 + chance_below(&simulation->chance_faults,
                                                               (left - 1) / 512));
    }
    flight->error = simulation_step(simulation, kinds_of(request));
    flight->operation = simulation->operation_count;
    if (file != NULL && request->verb == IO_SYNC)
        disk_pull(file, &simulation->disk, 0, UINT64_MAX); /* bytes stored before belong to it */
    flight->change_number = file != NULL ? file->change_count : 0;
    flight->due_ns = simulation->now_ns
                   + simulation_latency_ns(simulation, kinds_of(request), flight->part_bytes);
    delay = simulation_delay(simulation);
    flight->due_ns += delay.ns;
    flight->due_event = delay.events != 0 ? simulation->event_count + delay.events : 0;
}

static bool is_stuck(const struct simulation *simulation, const struct flight *flight)
{
    return flight->due_event > simulation->event_count
        || (simulation->stick_at != 0 && flight->operation == simulation->stick_at);
}

static bool is_dead(const struct simulated_queue *queue)
{
    const struct simulation *simulation = simulation_of(queue->base.io);

    return simulation->is_stopped || queue->life != simulation->life;
}

static void flights_fill(struct simulated_queue *queue)
{
    struct simulation    *simulation = simulation_of(queue->base.io);
    struct scheduler_load load = scheduler_budget_load(&queue->base.io->budget);
    struct io_request    *request;

    while ((request = queue_next(&queue->base, &load, simulation->now_ns)) != NULL) {
        struct flight *flight = &queue->flights[queue->flight_count++];

        assert(queue->flight_count <= queue->base.depth + QUEUE_LOG_EXTRA);
        *flight = (struct flight){ .request = request };
        if (is_dead(queue) || simulation_check(simulation, request->file) != 0)
            flight->error = FAILURE_STOPPED;
        else if (request->verb <= IO_WRITE_SYNC && request->bytes == 0)
            continue; /* nothing to transfer: done at once */
        else if (is_write(request) && (request->file->flags & IO_READ_ONLY) != 0)
            flight->error = EBADF;
        else
            flight_send(queue, flight);
    }
}

/* ---- completion ---- */

static int transfer_finish(struct simulation *simulation, const struct flight *flight)
{
    struct io_request     *request = flight->request;
    struct simulated_file *file = simulated_file_of(request->file);
    uint32_t               done = request_state(request)->bytes_done;
    uint8_t               *buffer = (uint8_t *)request->buffer + done;

    if (request->verb == IO_READ)
        return simulated_read(simulation, file, buffer, flight->part_bytes, request->offset + done,
                              flight->error);
    int error = simulated_write(simulation, file, buffer, flight->part_bytes,
                                request->offset + done, flight->error);
    if (error == 0 && request->verb == IO_WRITE_SYNC)
        disk_harden_newest(file->file);
    return error;
}

static int verb_finish(struct simulation *simulation, const struct flight *flight)
{
    struct io_request *request = flight->request;
    int                error = flight->error;

    switch ((enum io_verb)request->verb) {
    case IO_READ:
    case IO_WRITE:
    case IO_WRITE_SYNC:
        return transfer_finish(simulation, flight);
    case IO_SYNC:
        return simulated_sync(simulation, simulated_file_of(request->file), flight->change_number,
                              error);
    case IO_ALLOCATE:
        return error != 0 ? error
                          : disk_reserve(&simulation->disk, simulated_file_of(request->file)->file,
                                         request->offset);
    case IO_REMOVE:
        return simulated_remove(simulation, request->path, error);
    }
    return EINVAL;
}

/* True when the request is done; false when a short transfer goes on. */
static bool flight_finish(struct simulated_queue *queue, struct flight *flight)
{
    struct simulation *simulation = simulation_of(queue->base.io);
    struct io_request *request = flight->request;
    int                error;

    if (simulation->is_stopped && flight->error == 0)
        flight->error = FAILURE_STOPPED;
    error = flight->is_sent ? verb_finish(simulation, flight) : flight->error;
    if (error == 0 && request->verb <= IO_WRITE_SYNC && request->bytes > 0
        && !request_advance(request, flight->part_bytes, &error) && error == 0) {
        flight_send(queue, flight);
        return false;
    }
    queue_finish(&queue->base, request, error, simulation->now_ns);
    return true;
}

static void flights_finish_due(struct simulated_queue *queue)
{
    struct simulation *simulation = simulation_of(queue->base.io);

    for (;;) {
        uint32_t earliest = UINT32_MAX;

        for (uint32_t i = 0; i < queue->flight_count; i++)
            if ((is_dead(queue) || (queue->flights[i].due_ns <= simulation->now_ns
                                    && !is_stuck(simulation, &queue->flights[i])))
                && (earliest == UINT32_MAX
                    || queue->flights[i].due_ns < queue->flights[earliest].due_ns))
                earliest = i;
        if (earliest == UINT32_MAX)
            return;
        simulation->event_count++;
        if (!flight_finish(queue, &queue->flights[earliest]))
            continue;
        queue->flight_count--;
        memmove(&queue->flights[earliest], &queue->flights[earliest + 1],
                (queue->flight_count - earliest) * sizeof queue->flights[0]);
    }
}

/* ---- waiting ---- */

uint64_t simulated_next_due_ns(struct simulation *simulation)
{
    uint64_t due_ns = UINT64_MAX;

    for (struct io_queue *each = simulation->base.queues; each != NULL; each = each->next) {
        const struct simulated_queue *queue = simulated_queue_of(each);

        if (queue->life != simulation->life)
            continue;
        for (uint32_t i = 0; i < queue->flight_count; i++)
            if (!is_stuck(simulation, &queue->flights[i]))
                due_ns = min_u64(due_ns, queue->flights[i].due_ns);
    }
    return due_ns;
}

/* Moves the clock to the next event. A poll that does not wait moves it by the time such a call
 * takes, so that a caller who spins gets somewhere. */
static void clock_advance(struct simulation *simulation, uint64_t timeout_ns)
{
    enum { CALL_NS = 500 };
    uint64_t due_ns = simulated_next_due_ns(simulation);
    uint64_t until_ns;

    if (timeout_ns == 0) {
        simulation_tick(simulation, CALL_NS);
        return;
    }
    until_ns = timeout_ns > UINT64_MAX - simulation->now_ns ? UINT64_MAX
                                                            : simulation->now_ns + timeout_ns;
    until_ns = min_u64(until_ns, due_ns);
    if (until_ns == UINT64_MAX || until_ns <= simulation->now_ns)
        simulation_tick(simulation, CALL_NS); /* nothing would ever end this wait: return early */
    else
        simulation_tick(simulation, until_ns - simulation->now_ns);
}

uint32_t simulated_queue_poll(struct io_queue *base, uint64_t timeout_ns)
{
    struct simulated_queue *queue = simulated_queue_of(base);
    struct simulation      *simulation = simulation_of(base->io);

    simulation->event_count++;
    flights_fill(queue);
    flights_finish_due(queue);
    if (base->finished.count == 0) {
        if (timeout_ns > 0 && atomic_exchange(&base->is_woken, 0) != 0)
            timeout_ns = 0;
        clock_advance(simulation, timeout_ns);
        flights_finish_due(queue);
    }
    return queue_deliver(base);
}

void simulated_queue_wake(struct io_queue *queue)
{
    atomic_store(&queue->is_woken, 1);
}

void simulated_queue_free_stuck(struct io_queue *base)
{
    struct simulated_queue *queue = simulated_queue_of(base);
    const struct simulation *simulation = simulation_of(base->io);

    for (uint32_t i = 0; i < queue->flight_count; i++) {
        struct flight *flight = &queue->flights[i];

        flight->due_event = 0;
        flight->due_ns = min_u64(flight->due_ns,
                                 simulation->now_ns + simulation->options.latency_ns);
    }
}

/* ---- life ---- */

enum kiwi_status simulated_queue_open(struct io *io, uint32_t depth, struct io_queue **out)
{
    struct simulation      *simulation = simulation_of(io);
    struct simulated_queue *queue;

    if (simulation_check(simulation, NULL) != 0)
        return failure_of_path(FAILURE_STOPPED, "open", "a queue");
    queue = machine_allocate_pages(sizeof *queue);
    TRY(queue_init(&queue->base, io, depth, false)); /* without a descriptor nothing can fail */
    queue->life = simulation->life;
    queue->flights = machine_allocate((depth + QUEUE_LOG_EXTRA) * sizeof *queue->flights);
    *out = &queue->base;
    return KIWI_OK;
}

void simulated_queue_end(struct io_queue *base)
{
    struct simulated_queue *queue = simulated_queue_of(base);
    struct simulation      *simulation = simulation_of(base->io);
    bool                    was_stopped = simulation->is_stopped;

    if (queue->life != simulation->life)
        return; /* ended with an earlier life */
    simulation->is_stopped = true; /* everything in flight meets its end now */
    do {
        flights_finish_due(queue);
        flights_fill(queue);
    } while (queue->flight_count > 0);
    simulation->is_stopped = was_stopped;
}

void simulated_queue_close(struct io_queue *base)
{
    while (base->pending > 0)
        simulated_queue_poll(base, UINT64_MAX);
    simulated_queue_free(base);
}

void simulated_queue_free(struct io_queue *base)
{
    struct simulated_queue *queue = simulated_queue_of(base);

    base->in_flight = 0; /* of an abandoned queue, whose requests may be gone */
    queue_end(base);
    machine_free(queue->flights);
    machine_free(queue);
}
