/*
 * batch.c: atomic batches, in one shard or across several.
 */
#include "core/shard/batch.h"

#include <string.h>

#include "core/base/memory.h"
#include "core/shard/shard.h"

/* The entries of one shard, in the batch's order. */
struct batch_slice {
    struct entry *entries;
    uint64_t     *hashes;
    uint32_t      count;
    uint64_t      bytes;
};

static enum kiwi_status slice_make(const struct kiwi_batch *batch, uint32_t shard,
                                   struct batch_slice *slice)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < batch->count; i++)
        count += batch->items[i].shard == shard;
    *slice = (struct batch_slice){ 0 };
    slice->entries = memory_allocate(count * (sizeof *slice->entries + sizeof *slice->hashes));
    if (slice->entries == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to write a batch of %u entries", count);
    slice->hashes = (uint64_t *)(void *)(slice->entries + count);
    for (uint32_t i = 0; i < batch->count; i++) {
        const struct batch_item *item = &batch->items[i];
        const uint8_t           *bytes = batch->bytes + item->offset;

        if (item->shard != shard)
            continue;
        slice->entries[slice->count] = (struct entry){
            .key = bytes_of(bytes, item->key_bytes),
            .value = bytes_of(bytes + item->key_bytes, item->value_bytes),
            .kind = (enum entry_kind)item->kind,
        };
        slice->hashes[slice->count++] = item->hash;
        slice->bytes += item->key_bytes + item->value_bytes;
    }
    return KIWI_OK;
}

struct batch_run {
    struct shard      *shards[KIWI_SHARD_COUNT_MAX];
    struct batch_slice slices[KIWI_SHARD_COUNT_MAX];
    struct wal_part    parts[KIWI_SHARD_COUNT_MAX];
    struct durable_part *waits[KIWI_SHARD_COUNT_MAX];
    uint32_t           count;
    uint32_t           at;        /* the shard that is asked */
    struct admission   admission;
};

static void run_free(struct batch_run *run)
{
    for (uint32_t i = 0; i < run->count; i++) {
        memory_free(run->slices[i].entries);
        memory_free(run->waits[i]);
    }
}

static enum kiwi_status run_prepare(struct kiwi_op *op, struct batch_run *run)
{
    const struct kiwi_batch *batch = op->batch;
    struct context          *context = op_state(op)->context;
    uint64_t                 mask = 0;

    memset(run, 0, sizeof *run);
    for (uint32_t i = 0; i < batch->count; i++)
        mask |= 1ull << batch->items[i].shard;
    for (uint32_t i = 0; i < context->shard_count; i++) {
        if ((mask >> i & 1u) == 0)
            continue;
        uint32_t at = run->count++;
        run->shards[at] = context->shards[i];
        TRY(slice_make(batch, i, &run->slices[at]));
        run->waits[at] = memory_allocate_zeroed(sizeof *run->waits[at]);
        if (run->waits[at] == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory to write a batch");
    }
    return KIWI_OK;
}

/* All tokens are held. Asks every shard before telling any. */
static enum kiwi_status run_append(struct kiwi_op *op, struct batch_run *run)
{
    bool is_single = run->count == 1;

    for (uint32_t i = 0; i < run->count; i++) {
        run->at = i;
        TRY(shard_room(run->shards[i], run->slices[i].entries,
                       run->slices[i].bytes + 64u * run->count, run->slices[i].count,
                       &run->admission));
    }
    run->admission.waited_ns = UINT64_MAX; /* every shard has room: none may put it off any more */
    run->admission.is_reserved = true;
    for (uint32_t i = 0; i < run->count; i++) {
        run->parts[i].shard = run->shards[i]->index;
        run->parts[i].sequence = run->shards[i]->sequence + run->slices[i].count;
    }
    for (uint32_t i = 0; i < run->count; i++) {
        struct shard    *shard = run->shards[i];
        enum kiwi_status status;

        run->at = i;
        status = shard_write(shard, run->slices[i].entries, run->slices[i].hashes,
                             run->slices[i].count, is_single ? NULL : run->parts,
                             is_single ? 0 : run->count, &run->admission);
        if (status != KIWI_OK && i > 0) {
            /* Some parts are in, this one is not: recovery drops them all, and until then the
             * shards that have theirs must not go on. */
            const char *cause = status == KIWI_BUSY ? "no room" : fail_text();

            for (uint32_t k = 0; k < run->count; k++)
                shard_stop(run->shards[k], status == KIWI_BUSY ? KIWI_STOPPED : status,
                           "a batch over %u shards was cut off in shard %u: %s", run->count,
                           shard->index, cause);
            return FAIL(KIWI_STOPPED, "shard %u of %s: %s", shard->index, shard->directory,
                        shard->trouble);
        }
        if (status != KIWI_OK)
            return status;
        for (uint32_t k = 0; k < run->count && !is_single; k++)
            if (k != i) {
                shard->active_frozen->needs_durable[run->parts[k].shard] = run->parts[k].sequence;
                shard->active_frozen->has_needs = true;
            }
        shard->counters.batches += i == 0;
        op->sequence = max_u64(op->sequence, shard->sequence);
    }
    return KIWI_OK;
}

/* After the append, tokens still held: joins the waiters of every part. */
static void run_wait(struct kiwi_op *op, struct batch_run *run)
{
    op_state(op)->parts_left = run->count;
    op_state(op)->status = KIWI_OK;
    op_state(op)->step = STEP_DURABLE;
    for (uint32_t i = 0; i < run->count; i++) {
        struct durable_part *part = run->waits[i];
        struct waiter       *waiter = (struct waiter *)(void *)&part->waiter;

        run->waits[i] = NULL;
        part->task.kind = TASK_PART;
        part->op = op;
        *waiter = (struct waiter){ .sequence = run->parts[i].sequence, .op = op, .is_part = true };
        commit_wait(run->shards[i], waiter);
    }
}

/* Tokens still held. KIWI_BUSY: it has waited as long as it may. */
static enum kiwi_status run_wait_for_room(struct kiwi_op *op, struct batch_run *run)
{
    struct op_state *state = op_state(op);
    uint64_t         now = io_now_ns(state->context->io);

    if (state->start_ns == 0)
        state->start_ns = now;
    state->parts_left = (uint32_t)run->admission.reason;
    run->admission.delay_ns = max_u64(run->admission.delay_ns, 1000);
    return shard_write_wait(run->shards[run->at], &run->admission, now - state->start_ns,
                            &state->resume_ns);
}

static uint64_t run_charge(struct kiwi_op *op, struct batch_run *run)
{
    uint64_t delay_ns = 0;

    if (op_state(op)->is_paid)
        return 0;
    op_state(op)->is_paid = 1;
    for (uint32_t i = 0; i < run->count; i++) {
        if (run->shards[i]->delay_ns_per_kib == 0)
            continue;
        delay_ns = max_u64(delay_ns, admission_charge(run->shards[i], run->slices[i].bytes));
        run->admission.reason = (enum kiwi_stall)run->shards[i]->pace_reason;
        run->at = i;
    }
    return delay_ns;
}

void batch_run(struct kiwi_op *op)
{
    struct op_state *state = op_state(op);
    struct context  *context = state->context;
    struct batch_run run;
    enum kiwi_status status;
    bool             waits = false, is_put_off = false;

    op->sequence = 0;
    status = run_prepare(op, &run);
    if (status != KIWI_OK || run.count == 0) {
        run_free(&run);
        op_finish(op, status, context);
        return;
    }
    for (uint32_t i = 0; i < run.count; i++) /* ascending: two batches cannot wait for each other */
        shard_enter(run.shards[i]);
    run.admission.delay_ns = run_charge(op, &run);
    if (state->start_ns != 0)
        run.admission.waited_ns = io_now_ns(context->io) - state->start_ns;
    status = run.admission.delay_ns > 0 ? KIWI_BUSY : run_append(op, &run);
    if (status == KIWI_OK) {
        if (state->start_ns != 0)
            shard_stall_record(run.shards[0], (enum kiwi_stall)state->parts_left,
                               io_now_ns(context->io) - state->start_ns);
        for (uint32_t i = 0; i < run.count; i++)
            waits |= wal_needs_write(run.shards[i]->wal) && state->durability == KIWI_PROCESS;
        waits |= state->durability == KIWI_DURABLE;
        if (waits)
            run_wait(op, &run);
        for (uint32_t i = 0; i < run.count && state->durability == KIWI_PROCESS; i++)
            commit_staged(run.shards[i], context);
    }
    if (status == KIWI_BUSY)
        is_put_off = run_wait_for_room(op, &run) == KIWI_OK;
    /* Showing comes first: a part may finish while the tokens are given up. */
    if (waits && (op->flags & KIWI_FLAG_VISIBLE_TOO))
        op_show_visible(op, context);
    for (uint32_t i = run.count; i-- > 0;) {
        if (status == KIWI_BUSY && run.admission.reason == KIWI_STALL_LOG)
            commit_dispatch(run.shards[i], context, true);
        else if (waits)
            commit_dispatch(run.shards[i], context, true);
        shard_leave(run.shards[i], context);
    }
    if (is_put_off)
        op_return(op, STEP_DELAY, context);
    else if (!waits)
        op_finish(op, status, context);
    run_free(&run);
}
