/*
 * commit.c: group commit. Staged records become a group, a group one device write, and its
 * completion the answer to everybody who waits for a sequence in it.
 *
 * Who writes: a caller who is inside and will be there when the write completes leads the group
 * through its own queue, so nobody has to be woken to write it. A caller who is about to return
 * hands the lead to the first waiter of the staged group. What nobody waits for is written by the
 * runner, at least every 10 ms or 1 MiB.
 * When: group_due.h decides; up to 4 groups in flight.
 */
#include "core/shard/group_due.h"
#include "core/shard/shard.h"

#define STAGED_RING_BYTES  (256u << 10) /* staged without a waiter: tell the runner */
#define SYNC_INTERVAL_NS   10000000u
#define MARK_IDLE_NS       1000000000u

static void log_write_done(struct io_request *request)
{
    struct wal_group *group = container_of(request, struct wal_group, request);
    struct log_write *write = group->taker;

    assert(write->context->log_writes_out > 0);
    write->context->log_writes_out--;
    /* Whoever is inside may take it back: the text is this thread's. */
    write->failure_text = failure_text_copy(request->status);
    shard_run(write->shard, &write->task, write->context);
}

static struct log_write *log_write_free(struct shard *shard)
{
    for (uint32_t i = 0; i < ARRAY_COUNT(shard->log_writes); i++)
        if (!shard->log_writes[i].is_busy)
            return &shard->log_writes[i];
    return NULL;
}

static void group_write(struct shard *shard, struct wal_group *group, struct context *context)
{
    struct log_write *write = log_write_free(shard);

    assert(write != NULL); /* as many as groups may be out */
    *write = (struct log_write){ .task.kind = TASK_LOG_WRITE, .shard = shard, .context = context,
                                 .group = group, .is_busy = true };
    group->taker = write;
    group->request.done = log_write_done;
    context->log_writes_out++;
    io_queue_add(context->queue, &group->request);
}

static struct waiter *first_staged_waiter(struct shard *shard)
{
    struct waiter *waiter = shard->waiters;

    if (shard->staged_count == 0)
        return NULL;
    while (waiter != NULL && waiter->sequence <= shard->cut_sequence)
        waiter = waiter->next;
    return waiter;
}

static bool is_due(const struct shard *shard, const struct context *executor,
                   const struct waiter *staged)
{
    struct group_look look = {
        .groups_out = wal_groups_out(shard->wal),
        .waiter_count = shard->waiter_count,
        .staged_count = shard->staged_count,
        .staged_bytes = wal_staged_bytes(shard->wal),
        .executor_polls = executor != NULL && executor->is_pollable,
    };

    if (look.executor_polls && staged != NULL)
        look.staged_age_ns = io_now_ns(shard->options.io) - staged->since_ns;
    return group_is_due(&look);
}

/* Everything up to sequence is in a group that is on its way. */
static void cut_note(struct shard *shard, uint64_t sequence)
{
    const struct waiter *waiter = shard->waiters;
    uint32_t             cut_count = 0;

    for (; waiter != NULL && waiter->sequence <= sequence; waiter = waiter->next)
        cut_count++;
    shard->cut_sequence = sequence;
    shard->staged_count = shard->waiter_count - cut_count;
}

static void lead_hand_over(struct shard *shard, struct context *context)
{
    /* It may lie unread with a thread whose write was led by another and that does something else
     * now. The runner may sleep for as long as it was told before this waiter came: it looks again,
     * and leads what nobody has led after SYNC_INTERVAL_NS. */
    if (shard->lead.is_out) {
        background_wake(shard);
        return;
    }
    shard->lead.task.kind = TASK_LEAD;
    shard->lead.shard = shard;
    shard->lead.is_out = true;
    context_post(context, &shard->lead.task);
}

void commit_dispatch(struct shard *shard, struct context *executor, bool is_forced)
{
    /* Also in a shard that is stopped for another reason: somebody may wait for what is staged. */
    while (wal_status(shard->wal) == KIWI_OK && wal_staged_bytes(shard->wal) > 0
           && wal_groups_out(shard->wal) < WAL_GROUPS_IN_FLIGHT) {
        struct waiter    *staged = first_staged_waiter(shard);
        struct wal_group *group;

        if (!is_forced && !is_due(shard, executor, staged))
            return;
        if (executor == NULL || !(executor->is_pollable || executor->waits_in_log || is_forced)) {
            if (staged != NULL)
                lead_hand_over(shard, op_state(staged->op)->context);
            else
                background_wake(shard);
            return;
        }
        group = wal_group_cut(shard->wal);
        if (group == NULL) {
            if (wal_status(shard->wal) != KIWI_OK)
                commit_stop(shard);
            return;
        }
        cut_note(shard, group->sequence_last);
        shard->log_deadline_ns = 0;
        shard->runner_was_rung = false;
        shard->wants_mark = true;
        group_write(shard, group, executor);
    }
}

void commit_wait(struct shard *shard, struct waiter *waiter)
{
    waiter->since_ns = io_now_ns(shard->options.io);
    waiter->next = NULL;
    shard->waiter_count++;
    shard->staged_count += waiter->sequence > shard->cut_sequence;
    if (shard->waiters == NULL) {
        shard->waiters = shard->waiters_last = waiter;
    } else if (shard->waiters_last->sequence <= waiter->sequence) {
        shard->waiters_last->next = waiter;
        shard->waiters_last = waiter;
    } else {
        /* A strict read may wait for an older sequence than the last writer does. */
        struct waiter **link = &shard->waiters;
        while ((*link)->sequence <= waiter->sequence)
            link = &(*link)->next;
        waiter->next = *link;
        *link = waiter;
    }
}

static void waiter_finish(struct waiter *waiter, enum kiwi_status status, struct context *executor)
{
    if (waiter->is_part) {
        struct waiter_slot *slot = (struct waiter_slot *)(void *)waiter;
        part_finish(container_of(slot, struct durable_part, waiter), status, executor);
        return;
    }
    if (op_state(waiter->op)->is_blocking)
        op_state(waiter->op)->context->waits_in_log = false;
    if (status == KIWI_OK && op_state(waiter->op)->step == STEP_WAIT)
        status = (enum kiwi_status)op_state(waiter->op)->strict_status;
    op_finish(waiter->op, status, executor);
}

/* Those whose writes are durable; all of them when no other write can become so. */
static void waiters_finish(struct shard *shard, struct context *executor)
{
    uint64_t         durable = wal_durable_sequence(shard->wal);
    enum kiwi_status status = wal_status(shard->wal);

    if (UNLIKELY(status != KIWI_OK))
        status = FAIL(status, "shard %u of %s: the log has failed: %s", shard->index,
                      shard->directory, shard->trouble);
    while (shard->waiters != NULL
           && (shard->waiters->sequence <= durable || UNLIKELY(status != KIWI_OK))) {
        struct waiter *waiter = shard->waiters;
        bool           is_durable = waiter->sequence <= durable;

        shard->waiters = waiter->next;
        if (shard->waiters == NULL)
            shard->waiters_last = NULL;
        shard->waiter_count--;
        shard->staged_count -= waiter->sequence > shard->cut_sequence; /* the log has failed */
        waiter_finish(waiter, is_durable ? KIWI_OK : status, executor);
    }
}

void commit_stop(struct shard *shard)
{
    shard_stop(shard, wal_status(shard->wal), "%s", fail_text());
    background_wake(shard); /* the runner tells those who wait */
}

void commit_group_done(struct shard *shard, struct log_write *write, struct context *executor)
{
    assert(write->is_busy);
    wal_group_done(shard->wal, write->group);
    write->is_busy = false;
    atomic_store_explicit(&shard->durable_sequence, wal_durable_sequence(shard->wal),
                          memory_order_release);
    if (UNLIKELY(wal_status(shard->wal) != KIWI_OK)) {
        failure_text_take(&write->failure_text);
        shard_stop(shard, wal_status(shard->wal), "%s", fail_text());
    }
    waiters_finish(shard, executor);
    shard->idle_since_ns = io_now_ns(shard->options.io);
}

void commit_staged(struct shard *shard, struct context *executor)
{
    if (UNLIKELY(shard->log_deadline_ns == 0)) {
        shard->log_deadline_ns = io_now_ns(shard->options.io) + SYNC_INTERVAL_NS;
        if (executor != shard->runner)
            background_wake(shard);
    }
    if (UNLIKELY(!shard->runner_was_rung) && wal_staged_bytes(shard->wal) >= STAGED_RING_BYTES) {
        shard->runner_was_rung = true;
        if (executor != shard->runner)
            background_wake(shard);
    }
}

uint64_t commit_timer_ns(const struct shard *shard)
{
    if (wal_status(shard->wal) != KIWI_OK)
        return shard->waiters != NULL && wal_groups_out(shard->wal) == 0 ? 0 : UINT64_MAX;
    if (shard->runner_was_rung && wal_groups_out(shard->wal) == 0)
        return 0;
    if (shard->log_deadline_ns != 0)
        return shard->log_deadline_ns;
    if (shard->waiters != NULL)
        return shard->waiters->since_ns + SYNC_INTERVAL_NS;
    if (shard->wants_mark)
        return shard->idle_since_ns + MARK_IDLE_NS;
    return UINT64_MAX;
}

void commit_timer_run(struct shard *shard, struct context *runner)
{
    uint64_t now = io_now_ns(shard->options.io);

    if (wal_status(shard->wal) != KIWI_OK) {
        if (wal_groups_out(shard->wal) == 0) /* else the last of them tells the waiters */
            waiters_finish(shard, runner);
        return;
    }
    if (wal_staged_bytes(shard->wal) > 0) {
        bool is_old = shard->log_deadline_ns != 0 && shard->log_deadline_ns <= now;
        bool is_stuck = shard->waiters != NULL
                     && shard->waiters->since_ns + SYNC_INTERVAL_NS <= now;

        if (is_old || is_stuck || shard->runner_was_rung)
            commit_dispatch(shard, runner, true);
        return;
    }
    if (shard->wants_mark && wal_groups_out(shard->wal) == 0
        && now >= shard->idle_since_ns + MARK_IDLE_NS) {
        struct wal_group *mark = wal_mark_cut(shard->wal, false);

        shard->wants_mark = false;
        if (mark != NULL)
            group_write(shard, mark, runner);
    }
}

/* Everything staged becomes durable, then the seal: outside any token, nobody else is there. */
enum kiwi_status commit_seal(struct shard *shard, struct context *context)
{
    struct wal_group *seal;

    while (shard->stopped == KIWI_OK
           && (wal_staged_bytes(shard->wal) > 0 || wal_groups_out(shard->wal) > 0)) {
        commit_dispatch(shard, context, true);
        io_queue_poll(context->queue, KIWI_FOREVER);
    }
    if (shard->stopped != KIWI_OK)
        return shard_stop_cause(shard);
    seal = wal_mark_cut(shard->wal, true);
    if (seal != NULL)
        group_write(shard, seal, context);
    while (wal_groups_out(shard->wal) > 0)
        io_queue_poll(context->queue, KIWI_FOREVER);
    return wal_status(shard->wal);
}
