/*
 * operations.c: from the caller's thread into the shards and back: checks, routing, submit, poll.
 */
#include "core/db/db.h"

#include <string.h>

#include "core/base/hash.h"
#include "core/base/memory.h"

/* ---- checks ---- */

static enum kiwi_status key_check(struct kiwi_slice key)
{
    if (UNLIKELY(key.size > KIWI_KEY_BYTES_MAX))
        return FAIL(KIWI_TOO_LARGE, "a key of %zu bytes; the limit is %u", key.size,
                    KIWI_KEY_BYTES_MAX);
    if (UNLIKELY(key.size > 0 && key.data == NULL))
        return FAIL(KIWI_INVALID, "a key of %zu bytes without data", key.size);
    return KIWI_OK;
}

static enum kiwi_status value_check(struct kiwi_slice value)
{
    if (UNLIKELY(value.size > KIWI_VALUE_BYTES_MAX))
        return FAIL(KIWI_TOO_LARGE, "a value of %zu bytes; the limit is %u", value.size,
                    KIWI_VALUE_BYTES_MAX);
    if (UNLIKELY(value.size > 0 && value.data == NULL))
        return FAIL(KIWI_INVALID, "a value of %zu bytes without data", value.size);
    return KIWI_OK;
}

/* Everything but reads, and reads that would wait for the log. */
static bool is_for_parents(const struct kiwi_op *op)
{
    return (op->verb != KIWI_GET && op->verb != KIWI_ITERATE)
        || (op->flags & KIWI_FLAG_STRICT_READ) != 0;
}

static enum kiwi_status op_check(const struct kiwi_context *context, const struct kiwi_op *op)
{
    if (UNLIKELY(context->db->is_child) && is_for_parents(op))
        return FAIL(KIWI_UNSUPPORTED, "a forked child only reads, and not strictly: op.verb is %u",
                    op->verb);
    if (UNLIKELY(op->durability > KIWI_MEMORY))
        return FAIL(KIWI_INVALID, "op.durability is %u", op->durability);
    switch (op->verb) {
    case KIWI_GET:
        if (UNLIKELY(op->snapshot != NULL && op->snapshot->db != context->db))
            return FAIL(KIWI_INVALID, "op.snapshot belongs to another database");
        if (UNLIKELY(op->buffer == NULL && op->buffer_bytes > 0))
            return FAIL(KIWI_INVALID, "op.buffer is NULL and op.buffer_bytes %zu",
                        op->buffer_bytes);
        return key_check(op->key);
    case KIWI_PUT:
        TRY(key_check(op->key));
        return value_check(op->value);
    case KIWI_DELETE:
        return key_check(op->key);
    case KIWI_COMPACT:
        TRY(key_check(op->key));
        return key_check(op->value);
    case KIWI_WRITE:
        return op->batch != NULL ? KIWI_OK : FAIL(KIWI_INVALID, "op.batch is NULL");
    case KIWI_ITERATE:
        if (op->iterator == NULL)
            return FAIL(KIWI_INVALID, "op.iterator is NULL");
        if (op->movement < KIWI_SEEK || op->movement > KIWI_PREVIOUS)
            return FAIL(KIWI_INVALID, "op.movement is %u", op->movement);
        return key_check(op->key);
    case KIWI_FLUSH:
    case KIWI_WAIT_DURABLE:
        return KIWI_OK;
    default:
        return FAIL(KIWI_INVALID, "op.verb is %u", op->verb);
    }
}

/* ---- operations over all shards ---- */

static void parts_free(struct durable_part **parts, struct flush_waiter **waiters, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        memory_free(parts[i]);
        if (waiters[i] != NULL) {
            memory_free((void *)(uintptr_t)waiters[i]->first.data);
            memory_free((void *)(uintptr_t)waiters[i]->last.data);
        }
        memory_free(waiters[i]);
    }
}

static enum kiwi_status range_key_copy(struct kiwi_slice key, struct bytes *out)
{
    uint8_t *copy;

    *out = bytes_of(NULL, 0);
    if (key.size == 0)
        return KIWI_OK;
    copy = memory_allocate(key.size);
    if (copy == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a key");
    memcpy(copy, key.data, key.size);
    *out = bytes_of(copy, key.size);
    return KIWI_OK;
}

static enum kiwi_status waiter_make(const struct kiwi_op *op, struct flush_waiter **out)
{
    struct flush_waiter *waiter = *out = memory_allocate_zeroed(sizeof *waiter);

    if (waiter == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to wait for a flush");
    if (op->verb != KIWI_COMPACT)
        return KIWI_OK;
    waiter->then_compact = true;
    TRY(range_key_copy(op->key, &waiter->first));
    return range_key_copy(op->value, &waiter->last);
}

static void durable_join(struct shard *shard, struct durable_part *part, struct context *context)
{
    struct waiter *waiter = (struct waiter *)(void *)&part->waiter;

    shard_enter(shard);
    if (wal_durable_sequence(shard->wal) >= shard->sequence) {
        part_finish(part, KIWI_OK, context);
    } else if (shard->stopped != KIWI_OK) {
        part_finish(part, shard_stop_cause(shard), context);
    } else {
        *waiter = (struct waiter){ .sequence = shard->sequence, .op = part->op, .is_part = true };
        commit_wait(shard, waiter);
        commit_dispatch(shard, context, true);
    }
    shard_leave(shard, context);
}

/* Flush, compact and wait_durable: one part per shard. */
static void everywhere_start(struct kiwi_context *context, struct kiwi_op *op)
{
    struct kiwi_db      *db = context->db;
    struct durable_part *parts[KIWI_SHARD_COUNT_MAX] = { 0 };
    struct flush_waiter *waiters[KIWI_SHARD_COUNT_MAX] = { 0 };
    enum kiwi_status     status = KIWI_OK;

    for (uint32_t i = 0; i < db->shard_count && status == KIWI_OK; i++) {
        parts[i] = memory_allocate_zeroed(sizeof *parts[i]);
        if (parts[i] == NULL)
            status = FAIL(KIWI_NO_MEMORY, "no memory for an operation over all shards");
        else if (op->verb != KIWI_WAIT_DURABLE)
            status = waiter_make(op, &waiters[i]);
    }
    if (status != KIWI_OK) {
        parts_free(parts, waiters, db->shard_count);
        op_finish(op, status, &context->engine);
        return;
    }
    op_state(op)->parts_left = db->shard_count;
    op_state(op)->status = KIWI_OK;
    for (uint32_t i = 0; i < db->shard_count; i++) {
        parts[i]->task.kind = TASK_PART;
        parts[i]->op = op;
        if (op->verb == KIWI_WAIT_DURABLE) {
            durable_join(db->shards[i], parts[i], &context->engine);
            continue;
        }
        waiters[i]->part = parts[i];
        shard_enter(db->shards[i]);
        flush_wait(db->shards[i], waiters[i]);
        shard_leave(db->shards[i], &context->engine);
    }
}

/* ---- starting ---- */

static void op_prepare(struct kiwi_context *context, struct kiwi_op *op, bool is_blocking)
{
    struct op_state *state = op_state(op);

    state->task.kind = TASK_OP;
    state->context = &context->engine;
    state->read = NULL;
    state->failure_text = NULL;
    state->buffer = NULL;
    state->start_ns = 0;
    state->parts_left = 0;
    state->step = STEP_START;
    state->is_blocking = is_blocking;
    state->is_done = 0;
    state->is_paid = 0;
    state->visible_stage = VISIBLE_NOT;
    state->durability = op->durability != KIWI_DURABILITY_DEFAULT
                      ? op->durability : (uint8_t)context->db->options.durability;
}

static bool is_of_one_shard(const struct kiwi_op *op)
{
    return op->verb == KIWI_GET || op->verb == KIWI_PUT || op->verb == KIWI_DELETE;
}

static void op_route(const struct kiwi_db *db, struct kiwi_op *op)
{
    struct op_state *state = op_state(op);

    state->hash = hash_key(bytes_of(op->key.data, op->key.size), db->hash_seed);
    op->shard = route_shard(db, state->hash);
}

static void batch_route(const struct kiwi_db *db, struct kiwi_batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        struct batch_item *item = &batch->items[i];

        item->hash = hash_key(bytes_of(batch->bytes + item->offset, item->key_bytes),
                              db->hash_seed);
        item->shard = route_shard(db, item->hash);
    }
}

static void elsewhere_start(struct kiwi_context *context, struct kiwi_op *op)
{
    switch ((enum kiwi_verb)op->verb) {
    case KIWI_WRITE:
        batch_route(context->db, op->batch);
        op->shard = UINT32_MAX;
        batch_run(op);
        return;
    case KIWI_ITERATE:
        iterator_start(op);
        return;
    case KIWI_FLUSH:
    case KIWI_COMPACT:
    case KIWI_WAIT_DURABLE:
        everywhere_start(context, op);
        return;
    case KIWI_GET:
    case KIWI_PUT:
    case KIWI_DELETE:
        break;
    }
    assert(false && "operations of one shard go there directly");
}

/* Whoever is inside may run it within a microsecond, but its log group takes as long as the device:
 * nothing is gained by staying awake. */
static bool waits_for_log(const struct kiwi_op *op)
{
    return op_state_const(op)->durability == KIWI_DURABLE
        && (op->verb == KIWI_PUT || op->verb == KIWI_DELETE || op->verb == KIWI_WRITE);
}

void operation_start(struct kiwi_context *context, struct kiwi_op *op, bool is_blocking)
{
    enum kiwi_status status;

    op_prepare(context, op, is_blocking);
    status = op_check(context, op);
    if (UNLIKELY(status != KIWI_OK)) {
        op_finish(op, status, &context->engine);
        return;
    }
    if (!is_of_one_shard(op)) {
        elsewhere_start(context, op);
        return;
    }
    op_route(context->db, op);
    if (is_blocking && !waits_for_log(op))
        shard_await(context->db->shards[op->shard]);
    shard_run(context->db->shards[op->shard], &op_state(op)->task, &context->engine);
}

void operation_wait(struct kiwi_context *context, struct kiwi_op *op)
{
    struct context        *engine = &context->engine;
    const struct op_state *state = op_state(op);
    bool                   is_soon = !waits_for_log(op);

    while (UNLIKELY(!state->is_done))
        if (!context_turn(engine) && !state->is_done)
            context_sleep(engine, KIWI_FOREVER, is_soon);
    /* The lead of a log group may have been handed to us just now: it must not lie here unread. */
    if (UNLIKELY(!mailbox_is_empty(&engine->returned)))
        context_turn(engine);
    /* A log group in our queue is everybody's: nobody else can see it finish. */
    while (UNLIKELY(engine->log_writes_out > 0) && !engine->is_pollable)
        if (!context_turn(engine) && engine->log_writes_out > 0)
            context_sleep(engine, KIWI_FOREVER, true);
    if (UNLIKELY(engine->wants_descriptor))
        bell_arm(&engine->bell, &engine->returned, engine->queue);
}

/* ---- submit and poll ---- */

#define SUBMIT_WINDOW 64u /* operations whose memory is fetched ahead together */
#define WINDOW_WAIT_NS 20000u
#define RECORDS_AHEAD 8u  /* how far ahead of running their records are fetched */

/* All operations of a window that belong to one shard, in one visit; the token is held. */
static void window_run(struct shard *shard, struct kiwi_op **ops, uint32_t count,
                       struct context *engine)
{
    struct kiwi_op *mine[SUBMIT_WINDOW];
    uint32_t        mine_count = 0;

    for (uint32_t i = 0; i < count; i++)
        if (ops[i] != NULL && ops[i]->shard == shard->index)
            mine[mine_count++] = ops[i];
    for (uint32_t i = 0; i < mine_count; i++)
        shard_op_prefetch(shard, mine[i]);
    for (uint32_t i = 0; i < min_u64(mine_count, RECORDS_AHEAD); i++)
        shard_op_prefetch_record(shard, mine[i]);
    for (uint32_t i = 0; i < mine_count; i++) {
        if (i + RECORDS_AHEAD < mine_count)
            shard_op_prefetch_record(shard, mine[i + RECORDS_AHEAD]);
        shard_op_run(shard, mine[i], engine);
    }
    shard_leave(shard, engine);
}

/* Somebody else is inside: waits for about as long as one window takes, then leaves the operations
 * in the inbox, where they cost both sides more than running them here. */
static void window_wait(struct shard *shard, struct kiwi_op **ops, uint32_t count,
                        struct context *engine)
{
    uint64_t until = io_now_ns(engine->io) + WINDOW_WAIT_NS;

    do {
        for (uint32_t spins = 0; spins < 16; spins++)
            spin_pause();
        if (shard_try_enter(shard)) {
            window_run(shard, ops, count, engine);
            return;
        }
    } while (io_now_ns(engine->io) < until);
    for (uint32_t i = 0; i < count; i++)
        if (ops[i] != NULL && ops[i]->shard == shard->index)
            shard_run(shard, &op_state(ops[i])->task, engine);
}

/* Every shard of the mask once: first those that are free, beginning where this context is at home,
 * so that two threads meet as rarely as can be. */
static void window_visit(struct kiwi_context *context, struct kiwi_op **ops, uint32_t count,
                         uint64_t mask)
{
    struct context *engine = &context->engine;
    uint32_t        shards = context->db->shard_count;
    uint32_t        home = engine->attached_mask == 0
                         ? 0 : (uint32_t)__builtin_ctzll(engine->attached_mask);
    uint64_t        left = 0;

    for (uint32_t i = 0; i < shards; i++) {
        uint32_t at = home + i < shards ? home + i : home + i - shards;

        if ((mask >> at & 1u) == 0)
            continue;
        if (shard_try_enter(context->db->shards[at]))
            window_run(context->db->shards[at], ops, count, engine);
        else
            left |= 1ull << at;
    }
    for (; left != 0; left &= left - 1)
        window_wait(context->db->shards[__builtin_ctzll(left)], ops, count, engine);
}

static void window_submit(struct kiwi_context *context, struct kiwi_op **ops, uint32_t count)
{
    struct kiwi_op *routed[SUBMIT_WINDOW];
    uint64_t        mask = 0;

    for (uint32_t i = 0; i < count; i++) {
        struct kiwi_op  *op = ops[i];
        enum kiwi_status status;

        routed[i] = NULL;
        op_prepare(context, op, false);
        status = op_check(context, op);
        if (UNLIKELY(status != KIWI_OK)) {
            op_finish(op, status, &context->engine);
            continue;
        }
        if (UNLIKELY(!is_of_one_shard(op))) {
            elsewhere_start(context, op);
            continue;
        }
        op_route(context->db, op);
        routed[i] = op;
        mask |= 1ull << op->shard;
    }
    window_visit(context, routed, count, mask);
}

enum kiwi_status kiwi_submit(struct kiwi_context *context, struct kiwi_op **ops, size_t count)
{
    struct context *engine = &context->engine;

    if (UNLIKELY(engine->outstanding + count > engine->depth))
        return FAIL(KIWI_BUSY, "%u operations are outstanding and %zu more exceed the depth %u",
                    engine->outstanding, count, engine->depth);
    engine->is_pollable = true;
    engine->outstanding += (uint32_t)count;
    for (size_t at = 0; at < count; at += SUBMIT_WINDOW)
        window_submit(context, ops + at, (uint32_t)min_u64(count - at, SUBMIT_WINDOW));
    return KIWI_OK;
}

static size_t finished_take(struct context *engine, struct kiwi_op **done, size_t max)
{
    size_t count = 0;

    while (count < max && engine->finished != NULL) {
        struct kiwi_op *op = engine->finished;

        engine->finished = op_state(op)->next;
        if (engine->finished == NULL)
            engine->finished_last = NULL;
        if (context_hand_out(engine, op))
            engine->outstanding--;
        done[count++] = op;
    }
    return count;
}

static size_t poll_turns(struct context *engine, struct kiwi_op **done, size_t max,
                         uint64_t timeout_ns)
{
    uint64_t until = 0;
    size_t   count;

    for (;;) {
        bool did = context_turn(engine);

        count = finished_take(engine, done, max);
        if (count > 0 || timeout_ns == 0)
            return count;
        if (timeout_ns != KIWI_FOREVER) {
            uint64_t now = io_now_ns(engine->io);

            until = until == 0 ? now + timeout_ns : until;
            if (now >= until)
                return 0;
            if (!did)
                context_sleep(engine, until - now, true);
        } else if (!did) {
            context_sleep(engine, KIWI_FOREVER, true);
        }
    }
}

size_t kiwi_poll(struct kiwi_context *context, struct kiwi_op **done, size_t max,
                 uint64_t timeout_ns)
{
    struct context *engine = &context->engine;
    size_t          count;

    if (LIKELY(!engine->wants_descriptor))
        return poll_turns(engine, done, max, timeout_ns);
    bell_disarm(&engine->bell);
    /* Empties the descriptor, or the queue would take the next wake for one that it has told. */
    if (io_queue_pending(engine->queue) == 0)
        io_queue_poll(engine->queue, 0);
    count = poll_turns(engine, done, max, timeout_ns);
    bell_arm(&engine->bell, &engine->returned, engine->queue);
    return count;
}
