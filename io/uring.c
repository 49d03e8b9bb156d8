/*
 * uring.c: the io_uring backend.
 *
 * Ring     one per queue, made by the first poll, because the kernel ties a ring of the kind used
 *          here (single issuer, deferred task work) to the thread that makes it. When another
 *          thread polls later, and nothing is in flight, the queue makes itself a new ring there.
 * Batch    a poll turns everything that may go into submission entries and enters the kernel once,
 *          for submitting, reaping and waiting together. A poll with nothing to submit and nothing
 *          to reap makes no system call.
 * Bound    requests in flight <= submission entries, and the completion ring is four times that,
 *          so completions cannot overflow.
 * No ring  (a limit was hit after io_open): the queue executes its requests by plain system calls,
 *          and the features text says so.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "io/clock.h"
#include "io/queue.h"
#include "io/system.h"

enum {
    RETRY_COUNT_MAX = 100,
    REGION_COUNT_MAX = 64,
    REGION_BYTES_MAX = 1 << 30, /* what the kernel takes in one entry */
    MIGRATION_TRY_COUNT_MAX = 1000,
};

struct region { /* memory that was announced with io_queue_register */
    uint8_t *base;
    size_t   bytes;
    bool     is_registered; /* with the present ring */
};

struct uring_queue {
    struct io_queue     base;
    struct io_uring     ring;
    pid_t               ring_pid;
    bool                has_ring, is_plain, is_wake_armed, has_table;
    struct request_list retries; /* in flight, to be sent again */
    struct region       regions[REGION_COUNT_MAX];
    uint32_t            region_count, region_last;
};

/* Completions of the wake descriptor carry this instead of a request. */
static const uint64_t WAKE_DATA = 1;

static struct uring_queue *uring_queue_of(struct io_queue *queue)
{
    return (struct uring_queue *)(void *)queue;
}

/* ---- making a ring ---- */

/* Newest first; what an older kernel does not know is dropped from the left (as fio's ring test
 * does). Deferred task work (6.1) keeps completions off the hot path of other code. */
static const unsigned flag_sets[] = {
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG
        | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_COOP_TASKRUN
        | IORING_SETUP_SUBMIT_ALL,
    IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL,
    IORING_SETUP_SUBMIT_ALL,
    0,
};

/*
 * The kernel gives the memory of a closed ring to a new one, perhaps of another thread, and so
 * orders the two; but liburing asks for it without the C library, where ThreadSanitizer does not
 * see it and would take both for one. This says it once more.
 */
static _Atomic uint32_t rings_closed;

static int ring_make(struct io_uring *ring, uint32_t entries)
{
    int result = -EINVAL;

    for (size_t i = 0; i < ARRAY_COUNT(flag_sets) && result == -EINVAL; i++) {
        struct io_uring_params parameters = {
            .flags = flag_sets[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP,
            .cq_entries = 4 * entries,
        };
        result = io_uring_queue_init_params(entries, ring, &parameters);
    }
    (void)atomic_load_explicit(&rings_closed, memory_order_acquire);
    if (result == 0)
        fcntl(ring->ring_fd, F_SETFD, FD_CLOEXEC); /* no program started from here gets it */
    return result;
}

static void regions_register(struct uring_queue *queue)
{
    for (uint32_t i = 0; i < queue->region_count; i++) {
        struct region *region = &queue->regions[i];
        struct iovec   part = { .iov_base = region->base, .iov_len = region->bytes };
        __u64          tag = 0;

        if (region->is_registered)
            continue;
        if (!queue->has_table)
            queue->has_table =
                io_uring_register_buffers_sparse(&queue->ring, REGION_COUNT_MAX) == 0;
        region->is_registered = queue->has_table
            && io_uring_register_buffers_update_tag(&queue->ring, i, &part, &tag, 1) == 1;
        if (!region->is_registered)
            io_remark_set(queue->base.io, IO_REMARK_UNREGISTERED);
    }
}

static void ring_open(struct uring_queue *queue)
{
    uint32_t entries = 8;

    while (entries < queue->base.depth + QUEUE_LOG_EXTRA + 1) /* and the wake entry */
        entries *= 2;
    if (ring_make(&queue->ring, entries) != 0) {
        queue->is_plain = true;
        io_remark_set(queue->base.io, IO_REMARK_PLAIN);
        return;
    }
    queue->has_ring = true;
    queue->ring_pid = getpid();
    queue->is_wake_armed = false;
    queue->has_table = false;
    for (uint32_t i = 0; i < queue->region_count; i++)
        queue->regions[i].is_registered = false;
    regions_register(queue);
    if (atomic_load(&queue->base.has_descriptor) != 0) {
        int result = io_uring_register_eventfd(&queue->ring, queue->base.event_fd);

        assert(result == 0);
    }
}

static void ring_close(struct uring_queue *queue)
{
    if (queue->has_ring) {
        atomic_fetch_add_explicit(&rings_closed, 1, memory_order_release);
        io_uring_queue_exit(&queue->ring);
    }
    queue->has_ring = false;
}

/* ---- submission ---- */

/* The index of the registered region that holds the span, or -1. */
static int region_find(struct uring_queue *queue, const void *buffer, size_t bytes)
{
    for (uint32_t i = 0; i < queue->region_count; i++) {
        uint32_t             at = (queue->region_last + i) % queue->region_count;
        const struct region *region = &queue->regions[at];
        size_t               offset = (size_t)((const uint8_t *)buffer - region->base);

        if (region->is_registered && offset < region->bytes && bytes <= region->bytes - offset) {
            queue->region_last = at;
            return (int)at;
        }
    }
    return -1;
}

static void prepare_transfer(struct uring_queue *queue, struct io_uring_sqe *entry,
                             struct io_request *request, int fd)
{
    uint32_t done = request_state(request)->bytes_done;
    uint8_t *buffer = (uint8_t *)request->buffer + done;
    unsigned bytes = request->bytes - done;
    int      region = region_find(queue, request->buffer, request->bytes);

    if (request->verb == IO_READ && region >= 0)
        io_uring_prep_read_fixed(entry, fd, buffer, bytes, request->offset + done, region);
    else if (request->verb == IO_READ)
        io_uring_prep_read(entry, fd, buffer, bytes, request->offset + done);
    else if (region >= 0)
        io_uring_prep_write_fixed(entry, fd, buffer, bytes, request->offset + done, region);
    else
        io_uring_prep_write(entry, fd, buffer, bytes, request->offset + done);
    if (request->verb == IO_WRITE_SYNC)
        entry->rw_flags = RWF_DSYNC;
    /* A write into fresh space may wait for the file system in the call that submits it, and with
     * it everything else of this queue. Those of tables are few and large: the kernel's workers
     * take them. */
    if (request->verb == IO_WRITE && request->class_of_service >= IO_CLASS_FLUSH)
        entry->flags |= IOSQE_ASYNC;
}

static void prepare(struct uring_queue *queue, struct io_uring_sqe *entry,
                    struct io_request *request)
{
    const struct system_file *file = (const struct system_file *)(const void *)request->file;

    switch ((enum io_verb)request->verb) {
    case IO_READ:
    case IO_WRITE:
    case IO_WRITE_SYNC:
        prepare_transfer(queue, entry, request, file->fd);
        break;
    case IO_SYNC:
        io_uring_prep_fsync(entry, file->fd, file->is_directory ? 0 : IORING_FSYNC_DATASYNC);
        break;
    case IO_ALLOCATE:
        io_uring_prep_rw(IORING_OP_FALLOCATE, entry, file->fd, NULL, 0, 0);
        entry->addr = request->offset; /* the length; liburing 2.3 would cut it to off_t */
        break;
    case IO_REMOVE:
        io_uring_prep_unlink(entry, request->path, 0);
        break;
    }
    io_uring_sqe_set_data(entry, request);
}

/* What a ring cannot do, or need not: nothing to transfer, nothing to allocate. */
static bool is_trivial(const struct io_request *request)
{
    if (request->verb == IO_ALLOCATE)
        return request->offset == 0;
    return request->verb <= IO_WRITE_SYNC && request->bytes == 0;
}

/* Turns retries and waiting requests into submission entries, as far as room and budget go. */
static void entries_fill(struct uring_queue *queue)
{
    struct io_queue      *base = &queue->base;
    struct io_uring_sqe  *entry;
    struct io_request    *request;
    struct scheduler_load load;
    uint64_t              now_ns;

    if (queue->retries.count == 0 && queue_waiting(base) == 0)
        return;
    while (queue->retries.count > 0 && (entry = io_uring_get_sqe(&queue->ring)) != NULL)
        prepare(queue, entry, request_list_take(&queue->retries));
    load = scheduler_budget_load(&base->io->budget);
    now_ns = clock_now_ns();
    while (io_uring_sq_space_left(&queue->ring) > 1) { /* one is kept for the wake descriptor */
        request = queue_next(base, &load, now_ns);
        if (request == NULL)
            break;
        if (is_trivial(request)) {
            queue_finish(base, request, 0, now_ns);
            continue;
        }
        entry = io_uring_get_sqe(&queue->ring);
        assert(entry != NULL);
        prepare(queue, entry, request);
    }
}

/* ---- completion ---- */

static bool is_worth_retrying(struct io_request *request, int error)
{
    return (error == EINTR || error == EAGAIN)
        && ++request_state(request)->retry_count <= RETRY_COUNT_MAX;
}

static void complete(struct uring_queue *queue, struct io_request *request, int result,
                     uint64_t now_ns)
{
    int error = 0;

    if (result < 0) {
        error = -result;
        if (is_worth_retrying(request, error)) {
            request_list_append(&queue->retries, request);
            return;
        }
        /* A verb that the kernel or the file system has not in this form: the plain call knows the
         * ways round. */
        if (request->verb > IO_SYNC && (error == EOPNOTSUPP || error == EINVAL))
            error = system_request_run(request);
    } else if (request->verb <= IO_WRITE_SYNC
               && !request_advance(request, (uint32_t)result, &error) && error == 0) {
        request_list_append(&queue->retries, request);
        return;
    }
    queue_finish(&queue->base, request, error, now_ns);
}

static void wake_arrived(struct uring_queue *queue)
{
    queue->is_wake_armed = false;
    queue_event_wait(&queue->base, 0);
}

static void reap(struct uring_queue *queue)
{
    struct io_uring_cqe *completion;
    unsigned             head, count = 0;
    uint64_t             now_ns;

    if (io_uring_cq_ready(&queue->ring) == 0)
        return;
    now_ns = clock_now_ns();
    io_uring_for_each_cqe(&queue->ring, head, completion)
    {
        count++;
        if (completion->user_data == WAKE_DATA)
            wake_arrived(queue);
        else
            complete(queue, io_uring_cqe_get_data(completion), completion->res, now_ns);
    }
    io_uring_cq_advance(&queue->ring, count);
}

/* ---- entering the kernel ---- */

/* Entries that were filled and not submitted go back to be sent through another ring. */
static void entries_take_back(struct uring_queue *queue)
{
    struct io_uring_sq *sq = &queue->ring.sq;

    for (unsigned at = *sq->khead; at != sq->sqe_tail; at++) {
        uint64_t data = sq->sqes[at & sq->ring_mask].user_data;

        if (data != WAKE_DATA)
            request_list_append(&queue->retries, (struct io_request *)(uintptr_t)data);
    }
}

static uint32_t count_at_device(const struct uring_queue *queue)
{
    return queue->base.in_flight - queue->retries.count;
}

/* The ring belongs to another thread, and a ring of our own takes over. A queue is handed over with
 * nothing in flight: completions are delivered by the old thread's own calls, so when it has gone
 * away in between they never come, and their buffers never become ours again. */
static void ring_migrate(struct uring_queue *queue)
{
    entries_take_back(queue);
    for (uint32_t i = 0; count_at_device(queue) > 0; i++) {
        assert(i < MIGRATION_TRY_COUNT_MAX); /* moved to another thread with requests in flight */
        poll(NULL, 0, i < 100 ? 0 : 1);
        reap(queue);
    }
    ring_close(queue);
    ring_open(queue);
}

static void result_check(struct uring_queue *queue, int result)
{
    /* EINTR: a signal. EAGAIN, EBUSY: short of memory or of completion space; reaping helps. The
     * caller looks at the rings in every case, and what was not submitted stays in the ring. */
    if (result == -EEXIST)
        ring_migrate(queue);
    else
        assert(result >= 0 || result == -EINTR || result == -EAGAIN || result == -EBUSY
               || result == -ETIME || result == -ENOMEM);
}

/* The kernel's mark that completions wait to be delivered by a call. Only a hint: it is set after
 * the work was queued, so it may stay behind when the work was delivered in between. Nothing may
 * loop or refuse to sleep on it. */
static bool is_delivery_due(const struct uring_queue *queue)
{
    return (__atomic_load_n(queue->ring.sq.kflags, __ATOMIC_RELAXED)
            & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

static void enter_without_waiting(struct uring_queue *queue)
{
    if (io_uring_sq_ready(&queue->ring) > 0
        || (io_uring_cq_ready(&queue->ring) == 0 && is_delivery_due(queue)))
        result_check(queue, io_uring_submit_and_get_events(&queue->ring));
}

static void wake_arm(struct uring_queue *queue)
{
    struct io_uring_sqe *entry;

    if (queue->is_wake_armed || (entry = io_uring_get_sqe(&queue->ring)) == NULL)
        return;
    io_uring_prep_poll_add(entry, queue->base.event_fd, POLLIN);
    entry->user_data = WAKE_DATA;
    queue->is_wake_armed = true;
}

/* Submits and sleeps in one call. True when a wake ended it. */
static bool enter_and_wait(struct uring_queue *queue, uint64_t timeout_ns)
{
    struct __kernel_timespec timeout = { .tv_sec = (long long)(timeout_ns / 1000000000u),
                                         .tv_nsec = (long long)(timeout_ns % 1000000000u) };
    struct io_uring_cqe     *completion;
    int                      result;

    if (!queue_sleep_begin(&queue->base)) {
        enter_without_waiting(queue);
        return true;
    }
    if (atomic_load(&queue->base.has_descriptor) != 0) {
        /* The ring signals the descriptor, so one wait covers completions and wakes. */
        enter_without_waiting(queue);
        if (io_uring_cq_ready(&queue->ring) == 0)
            queue_event_wait(&queue->base, timeout_ns);
        enter_without_waiting(queue);
    } else {
        wake_arm(queue);
        result = io_uring_submit_and_wait_timeout(&queue->ring, &completion, 1,
                                                  timeout_ns == UINT64_MAX ? NULL : &timeout, NULL);
        result_check(queue, result);
    }
    return queue_sleep_end(&queue->base);
}

/* The poll of a queue that has no ring. */
static uint32_t plain_poll(struct uring_queue *queue, uint64_t timeout_ns)
{
    struct io_queue      *base = &queue->base;
    struct scheduler_load load = { 0 };
    struct io_request    *request = request_list_take(&queue->retries);
    uint32_t              count;

    if (request == NULL)
        request = queue_next(base, &load, clock_now_ns());
    if (request != NULL)
        queue_finish(base, request, system_request_run(request), clock_now_ns());
    count = queue_deliver(base);
    if (atomic_load(&base->has_descriptor) != 0) {
        queue_event_wait(base, 0);
        if (base->pending > 0)
            queue_event_signal(base);
    }
    if (count == 0 && timeout_ns > 0 && queue_sleep_begin(base)) {
        queue_event_wait(base, timeout_ns);
        queue_sleep_end(base);
    }
    return count;
}

static uint32_t uring_queue_poll(struct io_queue *base, uint64_t timeout_ns)
{
    struct uring_queue *queue = uring_queue_of(base);
    bool                has_descriptor = atomic_load(&base->has_descriptor) != 0;
    uint64_t            deadline_ns = UINT64_MAX;

    if (UNLIKELY(!queue->has_ring && !queue->is_plain))
        ring_open(queue);
    if (UNLIKELY(queue->is_plain))
        return plain_poll(queue, timeout_ns);
    if (has_descriptor) {
        queue_event_wait(base, 0); /* empties it; before the wake flag is looked at */
        if (queue_sleep_end(base))
            timeout_ns = 0;
    }
    if (timeout_ns > 0 && timeout_ns != UINT64_MAX)
        deadline_ns = clock_now_ns() + timeout_ns;
    for (;;) {
        bool is_last = timeout_ns == 0;

        entries_fill(queue);
        if (is_last || base->finished.count > 0 || io_uring_cq_ready(&queue->ring) > 0)
            enter_without_waiting(queue);
        else
            is_last = enter_and_wait(queue, timeout_ns);
        if (UNLIKELY(queue->is_plain))
            break;
        reap(queue);
        if (is_last || base->finished.count > 0)
            break;
        if (deadline_ns != UINT64_MAX) {
            uint64_t now_ns = clock_now_ns();

            timeout_ns = now_ns < deadline_ns ? deadline_ns - now_ns : 0;
        }
    }
    uint32_t count = queue_deliver(base);
    if (has_descriptor && queue->has_ring) {
        /* The caller may go to its own sleep now: what done functions added must be on its way. */
        entries_fill(queue);
        enter_without_waiting(queue);
        if (base->finished.count > 0 || io_uring_cq_ready(&queue->ring) > 0)
            queue_event_signal(base);
    }
    return count;
}

/* ---- queues ---- */

static enum kiwi_status uring_queue_open(struct io *io, uint32_t depth, struct io_queue **out)
{
    struct uring_queue *queue = memory_allocate_aligned(sizeof *queue, CACHE_LINE_BYTES);
    enum kiwi_status    status;

    if (queue == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a queue of %u requests", depth);
    memset(queue, 0, sizeof *queue);
    status = queue_init(&queue->base, io, depth, true);
    if (status != KIWI_OK) {
        memory_free(queue);
        return status;
    }
    queue->is_plain = io->is_child;
    *out = &queue->base;
    return KIWI_OK;
}

static void uring_queue_close(struct io_queue *base)
{
    struct uring_queue *queue = uring_queue_of(base);

    /* In a forked child the ring is the parent's: nothing may be sent or reaped. */
    bool is_child = queue->has_ring && queue->ring_pid != getpid();

    while (base->pending > 0 && !is_child)
        uring_queue_poll(base, UINT64_MAX);
    if (is_child)
        base->in_flight = 0;
    ring_close(queue);
    queue_end(base);
    memory_free(queue);
}

static int uring_queue_descriptor(struct io_queue *base)
{
    struct uring_queue *queue = uring_queue_of(base);

    if (atomic_exchange(&base->has_descriptor, 1) == 0 && queue->has_ring) {
        int result = io_uring_register_eventfd(&queue->ring, base->event_fd);

        assert(result == 0);
        /* What completed before the registration has signalled nobody. */
        queue_event_signal(base);
    }
    return base->event_fd;
}

static void uring_queue_register(struct io_queue *base, void *memory, size_t bytes)
{
    struct uring_queue *queue = uring_queue_of(base);

    if (bytes == 0 || bytes > REGION_BYTES_MAX || queue->region_count == REGION_COUNT_MAX) {
        io_remark_set(base->io, IO_REMARK_UNREGISTERED);
        return;
    }
    queue->regions[queue->region_count++] = (struct region){ .base = memory, .bytes = bytes };
    if (queue->has_ring)
        regions_register(queue);
}

/* ---- opening ---- */

static enum kiwi_status ring_refused(int error)
{
    const char *cause = "the kernel refuses it";

    if (error == EPERM || error == EACCES)
        cause = "sysctl kernel.io_uring_disabled or the seccomp filter of a container forbids it";
    else if (error == ENOSYS)
        cause = "the kernel is older than 5.1 or a seccomp filter hides it";
    else if (error == ENOMEM)
        cause = "the locked-memory limit (ulimit -l) is too low";
    else if (error == EMFILE || error == ENFILE)
        cause = "the limit of open files is reached";
    return FAIL(KIWI_UNSUPPORTED, "io_uring is not available: %s (%s); io_backend=posix works "
                "without it", cause, strerrordesc_np(error));
}

static const struct {
    unsigned    code;
    const char *name;
} operations_needed[] = {
    { IORING_OP_READ, "read" },           { IORING_OP_WRITE, "write" },
    { IORING_OP_FSYNC, "fsync" },         { IORING_OP_FALLOCATE, "fallocate" },
    { IORING_OP_UNLINKAT, "unlinkat" },   { IORING_OP_POLL_ADD, "poll" },
    { IORING_OP_READ_FIXED, "read fixed" }, { IORING_OP_WRITE_FIXED, "write fixed" },
};

/* NULL, or the name of the first operation that is missing. */
static const char *operation_missing(struct io_uring *ring)
{
    struct io_uring_probe *probe = io_uring_get_probe_ring(ring);
    const char            *missing = NULL;

    if (probe == NULL)
        return "probe";
    for (size_t i = 0; i < ARRAY_COUNT(operations_needed) && missing == NULL; i++)
        if (!io_uring_opcode_supported(probe, (int)operations_needed[i].code))
            missing = operations_needed[i].name;
    io_uring_free_probe(probe);
    return missing;
}

static void features_describe(const struct io_uring *ring, char *text, size_t bytes)
{
    static const struct {
        unsigned    flag;
        const char *name;
    } names[] = {
        { IORING_SETUP_SINGLE_ISSUER, " single-issuer" },
        { IORING_SETUP_DEFER_TASKRUN, " deferred-task-work" },
        { IORING_SETUP_COOP_TASKRUN, " cooperative" },
        { IORING_SETUP_SUBMIT_ALL, " submit-all" },
    };
    int used = snprintf(text, bytes, "io_uring: features 0x%x, ring", ring->features);

    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if ((ring->flags & names[i].flag) != 0)
            used += snprintf(text + used, bytes - (size_t)used, "%s", names[i].name);
    snprintf(text + used, bytes - (size_t)used, ", all operations present; clock: %s",
             clock_uses_counter() ? "processor counter" : "system");
}

static void uring_close(struct io *io)
{
    io_end(io);
    memory_free(io);
}

static const struct io_methods uring_methods = {
    .name = "io_uring",
    .close = uring_close,
    SYSTEM_METHODS,
    .queue_open = uring_queue_open,
    .queue_close = uring_queue_close,
    .queue_poll = uring_queue_poll,
    .queue_wake = queue_event_wake,
    .queue_descriptor = uring_queue_descriptor,
    .queue_register = uring_queue_register,
};

enum kiwi_status uring_open(struct io **out)
{
    struct io_uring ring;
    struct io      *io;
    char            features[256];
    const char     *missing;
    int             result = ring_make(&ring, 8);

    if (result != 0)
        return ring_refused(-result);
    clock_open();
    missing = operation_missing(&ring);
    features_describe(&ring, features, sizeof features);
    io_uring_queue_exit(&ring);
    if (missing != NULL)
        return FAIL(KIWI_UNSUPPORTED, "io_uring of this kernel is too old: no %s operation; "
                    "io_backend=posix works without it", missing);
    io = memory_allocate_aligned(sizeof *io, CACHE_LINE_BYTES);
    if (io == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for the io_uring backend");
    *io = (struct io){ 0 };
    io_init(io, &uring_methods, features);
    *out = io;
    return KIWI_OK;
}
