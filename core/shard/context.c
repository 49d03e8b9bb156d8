/*
 * context.c: moves operations between their thread, the shards and the device.
 *
 * An operation is in exactly one place: inside a shard (running, waiting for a log group), with its
 * context (reading, delayed), in a mailbox on the way, or finished.
 */
#include "core/shard/context.h"

#include <string.h>

#include "core/base/memory.h"
#include "core/shard/batch.h"
#include "core/shard/shard.h"
#include "io/thread.h"

#define CONTEXT_SPIN_NS      2000u
#define CONTEXT_YIELDS       8u
#define TURN_SLICE_BYTES     (64u << 10)
/* then the queue is looked at again: the log must not wait for merges */
#define CREDIT_MAX_NS        2000000u
#define TURN_SLICES_MAX      4u

enum kiwi_status context_init(struct context *context, struct io *io, struct shard **shards,
                              uint32_t shard_count, uint32_t depth, size_t buffers_bytes)
{
    memset(context, 0, sizeof *context);
    context->io = io;
    context->shards = shards;
    context->shard_count = shard_count;
    context->depth = depth;
    context->buffers_bytes = buffers_bytes;
    context->time_is_virtual = strcmp(io_backend_name(io), "simulated") == 0;
    return io_queue_open(io, depth < 64 ? 64 : depth, &context->queue);
}

void context_end(struct context *context)
{
    assert(context->outstanding == 0);
    assert(context->attached_mask == 0);
    while (io_queue_pending(context->queue) > 0)
        io_queue_poll(context->queue, UINT64_MAX);
    while (context_turn(context))
        ;
    io_queue_close(context->queue);
    buffers_close(context->buffers);
    if (context->memory_sum != NULL)
        atomic_fetch_sub_explicit(context->memory_sum, context->memory_noted,
                                  memory_order_relaxed);
}

void context_post(struct context *context, struct task *task)
{
    mailbox_push(&context->returned, &task->mail);
    bell_ring(&context->bell, context->queue);
}

void context_memory_note(struct context *context)
{
    uint64_t bytes = context->buffers_are_pinned ? context->buffers_bytes
                                                 : buffers_touched_bytes(context->buffers);

    bytes += buffers_heap_bytes(context->buffers);

    if (LIKELY(bytes == context->memory_noted) || context->memory_sum == NULL)
        return;
    atomic_fetch_add_explicit(context->memory_sum, bytes - context->memory_noted,
                              memory_order_relaxed);
    context->memory_noted = bytes;
}

void *context_buffer_take(struct context *context, size_t bytes)
{
    void *buffer;

    if (!context_has_buffers(context))
        return NULL;
    buffer = buffers_take(context->buffers, bytes);
    context_memory_note(context);
    return buffer;
}

bool context_has_buffers(struct context *context)
{
    void  *base;
    size_t bytes;

    if (LIKELY(context->buffers != NULL))
        return true;
    if (buffers_open(context->buffers_bytes, &context->buffers) != KIWI_OK)
        return false;
    /* Only where many requests will use them: registering pins every page. */
    context->buffers_are_pinned = context->is_pollable;
    if (context->is_pollable)
        for (uint32_t i = 0; buffers_region(context->buffers, i, &base, &bytes); i++)
            io_queue_register(context->queue, base, bytes);
    context_memory_note(context);
    return true;
}

void context_buffer_give(struct context *context, void *buffer, size_t bytes)
{
    buffers_give(context->buffers, buffer, bytes);
    context_memory_note(context);
}

/* ---- back from the shard, on the context's own thread ---- */

static void finished_push(struct context *context, struct kiwi_op *op)
{
    op_state(op)->next = NULL;
    if (context->finished_last == NULL)
        context->finished = op;
    else
        op_state(context->finished_last)->next = op;
    context->finished_last = op;
}

static void buffer_drop(struct context *context, struct op_state *state)
{
    if (state->buffer == NULL)
        return;
    context_buffer_give(context, state->buffer, state->buffer_bytes);
    state->buffer = NULL;
}

char *failure_text_copy(enum kiwi_status status)
{
    const char *text = fail_text();
    size_t      bytes = strlen(text) + 1;
    char       *copy;

    if (status == KIWI_OK || status == KIWI_NOT_FOUND || status == KIWI_TOO_SMALL)
        return NULL;
    copy = memory_allocate(bytes);
    if (copy != NULL)
        memcpy(copy, text, bytes);
    return copy;
}

void failure_text_take(char **text)
{
    if (LIKELY(*text == NULL))
        return;
    fail_text_set(*text);
    memory_free(*text);
    *text = NULL;
}

static void op_show(struct kiwi_op *op, enum kiwi_status status, bool is_visible_only)
{
    op->status = status;
    op->is_visible_only = is_visible_only;
}

/* The result is in place: hand it to a blocking caller, or to the next poll. Until then the
 * application may still hold this operation from its visible completion, and look at it after it
 * has submitted others, in which this may be reached: so only that poll shows it. */
static void op_arrive(struct context *context, struct kiwi_op *op)
{
    struct op_state *state = op_state(op);

    if (UNLIKELY(state->buffer != NULL))
        buffer_drop(context, state);
    failure_text_take(&state->failure_text);
    state->step = STEP_DONE;
    if (UNLIKELY(state->visible_stage == VISIBLE_READY)) {
        state->visible_stage = VISIBLE_OVERTAKEN;
        return;
    }
    /* Our own queue found the log write done before the mail was looked at. It must not be finished
     * twice at a time: its place in the list is one. */
    if (UNLIKELY(state->visible_stage == VISIBLE_SENT)) {
        state->visible_stage = VISIBLE_SENT_LATE;
        return;
    }
    if (!state->is_blocking) {
        finished_push(context, op);
        return;
    }
    op_show(op, (enum kiwi_status)state->status, false);
    state->is_done = 1;
}

static void op_visible(struct context *context, struct kiwi_op *op)
{
    struct op_state *state = op_state(op);

    state->visible_stage = state->visible_stage == VISIBLE_SENT_LATE ? VISIBLE_OVERTAKEN
                                                                     : VISIBLE_READY;
    finished_push(context, op);
}

bool context_hand_out(struct context *context, struct kiwi_op *op)
{
    struct op_state *state = op_state(op);

    switch ((enum visible_stage)state->visible_stage) {
    case VISIBLE_NOT:
    case VISIBLE_HANDED_OUT:
        op_show(op, (enum kiwi_status)state->status, false);
        return true;
    case VISIBLE_READY:
        state->visible_stage = VISIBLE_HANDED_OUT;
        break;
    case VISIBLE_SENT:
    case VISIBLE_SENT_LATE:
        assert(false && "it is in the mailbox, not in the list");
        break;
    case VISIBLE_OVERTAKEN:
        /* Twice in one go: the caller sees the visible completion now and the durable one with the
         * next poll. */
        state->visible_stage = VISIBLE_NOT;
        state->task.kind = TASK_OP;
        state->step = STEP_DONE;
        context_post(context, &state->task);
        break;
    }
    op_show(op, KIWI_OK, true);
    return false;
}

static void op_delay(struct context *context, struct kiwi_op *op)
{
    struct op_state *state = op_state(op);

    state->next = NULL;
    if (context->delayed_last == NULL)
        context->delayed = op;
    else
        op_state(context->delayed_last)->next = op;
    context->delayed_last = op;
}

static void op_handle(struct context *context, struct kiwi_op *op)
{
    switch ((enum op_step)op_state(op)->step) {
    case STEP_READ:
        get_read_start(op);
        return;
    case STEP_DELAY:
        op_delay(context, op);
        return;
    case STEP_DONE:
        op_arrive(context, op);
        return;
    case STEP_START:
    case STEP_RESUME:
    case STEP_DURABLE:
    case STEP_WAIT:
        break;
    }
    assert(false && "an operation came back in a step that belongs inside a shard");
}

static void part_arrive(struct context *context, struct durable_part *part)
{
    struct kiwi_op  *op = part->op;
    struct op_state *state = op_state(op);

    assert(state->parts_left > 0);
    if (part->status != KIWI_OK && state->status == KIWI_OK)
        state->status = (uint8_t)part->status;
    failure_text_take(&part->failure_text);
    memory_free(part);
    if (--state->parts_left == 0)
        op_arrive(context, op);
}

static void task_handle(struct context *context, struct task *task)
{
    switch ((enum task_kind)task->kind) {
    case TASK_OP: {
        struct op_state *state = container_of(task, struct op_state, task);
        op_handle(context, op_of_state(state));
        return;
    }
    case TASK_PART:
        part_arrive(context, container_of(task, struct durable_part, task));
        return;
    case TASK_LEAD: {
        struct lead *lead = container_of(task, struct lead, task);
        shard_run(lead->shard, task, context);
        return;
    }
    case TASK_VISIBLE: {
        struct op_state *state = container_of(task, struct op_state, visible_task);
        op_visible(context, op_of_state(state));
        return;
    }
    case TASK_SCAN:
        scan_handle(container_of(task, struct scan, task));
        return;
    case TASK_LOG_WRITE:
        break;
    }
    assert(false && "a task came back that belongs inside a shard");
}

/* ---- results, inside a shard ---- */

void op_finish(struct kiwi_op *op, enum kiwi_status status, struct context *executor)
{
    struct op_state *state = op_state(op);

    state->status = (uint8_t)status;
    state->step = STEP_DONE;
    if (LIKELY(executor == state->context)) {
        op_arrive(executor, op);
        return;
    }
    if (UNLIKELY(status != KIWI_OK) && state->failure_text == NULL)
        state->failure_text = failure_text_copy(status);
    context_post(state->context, &state->task);
}

void op_show_visible(struct kiwi_op *op, struct context *executor)
{
    struct op_state *state = op_state(op);

    state->visible_task.kind = TASK_VISIBLE;
    if (executor == state->context) {
        op_visible(executor, op);
        return;
    }
    /* Before it is sent: from then on it is the context's. The token orders this before op_arrive,
     * should the context itself find the operation durable first. */
    state->visible_stage = VISIBLE_SENT;
    context_post(state->context, &state->visible_task);
}

void op_return(struct kiwi_op *op, enum op_step step, struct context *executor)
{
    struct op_state *state = op_state(op);

    state->step = (uint8_t)step;
    if (executor == state->context)
        op_handle(executor, op);
    else
        context_post(state->context, &state->task);
}

void part_finish(struct durable_part *part, enum kiwi_status status, struct context *executor)
{
    struct context *context = op_state(part->op)->context;

    part->status = status;
    if (executor == context) {
        part_arrive(context, part);
        return;
    }
    part->failure_text = failure_text_copy(status);
    context_post(context, &part->task);
}

/* ---- the turn ---- */

static bool delayed_run(struct context *context)
{
    bool     did = false;
    uint64_t now = io_now_ns(context->io);

    while (context->delayed != NULL && op_state(context->delayed)->resume_ns <= now) {
        struct kiwi_op  *op = context->delayed;
        struct op_state *state = op_state(op);

        context->delayed = state->next;
        if (context->delayed == NULL)
            context->delayed_last = NULL;
        state->step = STEP_START;
        if (op->verb == KIWI_WRITE && op->shard == UINT32_MAX)
            batch_run(op);
        else
            shard_run(context->shards[op->shard], &state->task, context);
        did = true;
    }
    return did;
}

/* The shares of a thread that also serves operations: more while memtables wait for their flush. */
static uint64_t share_of(struct shard *shard)
{
    uint64_t share = atomic_load_explicit(&shard->background_share, memory_order_relaxed);

    if (shard->backlog >= 2)
        share = max_u64(share, shard->backlog == 2 ? 40 : 70);
    return min_u64(share, 90);
}

/* Slices of one shard's jobs while there is credit. Without any, a job still looks at its device
 * requests, and does as good as nothing else. */
static bool shard_slices(struct context *context, struct shard *shard, bool is_busy)
{
    bool again = false;

    for (uint32_t slice = 0; slice < TURN_SLICES_MAX; slice++) {
        bool     has_credit = !is_busy || context->background_credit_ns > 0;
        uint64_t before = io_now_ns(context->io);

        again = background_turn(shard, context, has_credit ? TURN_SLICE_BYTES : 0);
        context->background_credit_ns -= min_u64(io_now_ns(context->io) - before,
                                                 context->background_credit_ns);
        if (!again || !has_credit || !mailbox_is_empty(&context->returned))
            break;
    }
    return again;
}

/* Background work of the attached shards: no more than its share of this thread while
 * it has operations to serve, as much as there is while it has none. */
static bool attached_turn(struct context *context, bool did_other)
{
    uint64_t start = io_now_ns(context->io);
    uint64_t passed = start - context->turn_last_ns;
    bool     is_busy = context->finished != NULL || (context->outstanding > 0 && did_other);
    bool     more = false;

    for (uint32_t i = 0; i < context->shard_count; i++) {
        struct shard *shard = context->shards[i];
        uint64_t      share;

        if ((context->attached_mask >> i & 1u) == 0)
            continue;
        share = share_of(shard);
        context->background_credit_ns = min_u64(
            context->background_credit_ns + passed * share / (100 - share), CREDIT_MAX_NS);
        more |= shard_slices(context, shard, is_busy);
    }
    context->turn_last_ns = io_now_ns(context->io);
    return more && !is_busy;
}

static bool mail_run(struct context *context)
{
    struct mail *mail = mailbox_take(&context->returned);
    bool         did = mail != NULL;

    while (mail != NULL) {
        struct mail *next = mail->next;
        task_handle(context, container_of(mail, struct task, mail));
        mail = next;
    }
    return did;
}

bool context_turn(struct context *context)
{
    bool did = false;

    /* A caller that blocks sleeps next, and then submits and waits in one call. */
    if (io_queue_pending(context->queue) > 0
        && (context->is_pollable || context->attached_mask != 0))
        did |= io_queue_poll(context->queue, 0) > 0;
    did |= mail_run(context);
    if (UNLIKELY(context->delayed != NULL))
        did |= delayed_run(context);
    if (context->attached_mask != 0)
        did |= attached_turn(context, did);
    return did;
}

/* Whoever holds the shard is usually done within a microsecond or two; or it has lost its processor
 * and gets on when this thread gives its own away. True: mail came. */
static bool holder_await(struct context *context)
{
    uint64_t until = io_now_ns(context->io) + CONTEXT_SPIN_NS;

    do {
        if (!mailbox_is_empty(&context->returned))
            return true;
        spin_pause();
    } while (io_now_ns(context->io) < until);
    for (uint32_t i = 0; i < CONTEXT_YIELDS; i++) {
        thread_yield();
        if (!mailbox_is_empty(&context->returned))
            return true;
    }
    return false;
}

void context_sleep(struct context *context, uint64_t timeout_ns, bool is_soon)
{
    uint64_t now;

    if (is_soon && context->attached_mask == 0 && io_queue_pending(context->queue) == 0
        && !context->time_is_virtual && timeout_ns > CONTEXT_SPIN_NS && holder_await(context))
        return;
    now = io_now_ns(context->io);
    if (context->delayed != NULL) {
        uint64_t due = op_state(context->delayed)->resume_ns;
        timeout_ns = min_u64(timeout_ns, due > now ? due - now : 0);
    }
    for (uint32_t i = 0; i < context->shard_count; i++)
        if (context->attached_mask >> i & 1u)
            timeout_ns = min_u64(timeout_ns, background_timeout_ns(context->shards[i], now));
    if (timeout_ns > 0)
        bell_wait(&context->bell, &context->returned, context->queue,
                  context->wants_descriptor || context->time_is_virtual, timeout_ns);
}
