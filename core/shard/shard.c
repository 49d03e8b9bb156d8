/*
 * shard.c: entering and leaving a shard, and what runs inside.
 */
#include "core/shard/shard.h"

#include <stdarg.h>
#include <stdio.h>

#include "core/table/filter.h"
#include "io/thread.h"

#define ENTER_SPINS       200u
#define AWAIT_SPINS       80u /* about 1.4 microseconds */
#define ENTRIES_UNLIMITED (UINT64_MAX / 2)
/* Bits per key: above the last level a filter saves a read for most absent keys, and costs little
 * as little lies there. */
#define FILTER_BITS_TIERED 14u
#define FILTER_BITS_LAST   10u

static_assert(sizeof(struct waiter) <= sizeof(struct waiter_slot), "a waiter fits its slot");

bool shard_try_enter(struct shard *shard)
{
    return token_try(&shard->token);
}

void shard_enter(struct shard *shard)
{
    for (uint32_t spins = 0; !token_try(&shard->token); spins++) {
        spin_pause();
        if (spins >= ENTER_SPINS) {
            thread_yield(); /* the holder may have lost its processor */
            spins = 0;
        }
    }
}

void shard_fork_child(struct shard *shard)
{
    (void)mailbox_take(&shard->inbox);
    shard->waiters = shard->waiters_last = NULL;
    shard->waiter_count = shard->staged_count = 0;
    shard->flush_waiters = NULL;
    shard->runner = NULL;
}

static uint64_t part_of_shard(const struct shard *shard, uint64_t count)
{
    return count == 0 ? UINT64_MAX : (count + shard->options.count - 1) / shard->options.count;
}

void shard_options_apply(struct shard *shard)
{
    const struct kiwi_options *options = &shard->options.options;
    bool                       is_asked = options->filter_false_share > 0;
    uint32_t bits = is_asked ? filter_bits_for(options->filter_false_share) : 0;
    uint64_t limits[KIWI_TIER_COUNT] = {
        [KIWI_TIER_RECORD] = UINT64_MAX,
        [KIWI_TIER_BLOCK] = part_of_shard(shard, options->cache_data_block_max),
        [KIWI_TIER_INDEX] = part_of_shard(shard, options->cache_index_block_max),
        [KIWI_TIER_FILTER] = part_of_shard(shard, options->cache_filter_block_max),
    };

    shard->entry_limit = options->memtable_entry_max != 0 ? options->memtable_entry_max
                                                          : ENTRIES_UNLIMITED;
    shard->filter_bits_tiered = is_asked ? bits : FILTER_BITS_TIERED;
    shard->filter_bits_last = is_asked ? bits : FILTER_BITS_LAST;
    cache_block_limits_set(shard->cache, limits);
}

void shard_options_changed(struct shard *shard)
{
    shard_options_apply(shard);
    shard->pick_is_stale = true;
    admission_update(shard);
    background_wake(shard);
}

void shard_stop(struct shard *shard, enum kiwi_status status, const char *format, ...)
{
    va_list arguments;

    assert(status != KIWI_OK);
    if (shard->stopped != KIWI_OK)
        return;
    shard->stopped = status;
    va_start(arguments, format);
    vsnprintf(shard->trouble, sizeof shard->trouble, format, arguments);
    va_end(arguments);
    notice_add(shard, KIWI_LOG_ERROR, "takes no more writes until the database is opened again: %s",
               shard->trouble);
}

enum kiwi_status shard_stop_cause(const struct shard *shard)
{
    if (LIKELY(shard->stopped == KIWI_OK))
        return KIWI_OK;
    return FAIL(shard->stopped, "shard %u of %s has stopped: %s", shard->index, shard->directory,
                shard->trouble);
}

static void inbox_run(struct shard *shard, struct context *executor)
{
    struct mail *mail;

    while ((mail = mailbox_take(&shard->inbox)) != NULL) {
        while (mail != NULL) {
            struct mail *next = mail->next;
            shard_task_run(shard, container_of(mail, struct task, mail), executor);
            mail = next;
        }
    }
}

void shard_leave(struct shard *shard, struct context *executor)
{
    for (;;) {
        inbox_run(shard, executor);
        /* Waiters without a group on its way: somebody must write it, and we are here. */
        if (shard->waiters != NULL)
            commit_dispatch(shard, executor, false);
        /* The exchange is also the fence between giving the token up and the last look. */
        atomic_exchange_explicit(&shard->token.is_held, 0, memory_order_seq_cst);
        if (LIKELY(mailbox_is_empty(&shard->inbox)) || !token_try(&shard->token))
            return;
    }
}

void shard_await(const struct shard *shard)
{
    for (uint32_t i = 0; i < AWAIT_SPINS && UNLIKELY(token_is_held(&shard->token)); i++)
        spin_pause();
}

void shard_run(struct shard *shard, struct task *task, struct context *executor)
{
    if (LIKELY(token_try(&shard->token))) {
        shard_task_run(shard, task, executor);
        shard_leave(shard, executor);
        return;
    }
    mailbox_push(&shard->inbox, &task->mail);
    /* The holder may have looked for the last time before the push: then the token is free. */
    if (token_try(&shard->token))
        shard_leave(shard, executor);
}

void shard_op_run(struct shard *shard, struct kiwi_op *op, struct context *executor)
{
    switch ((enum kiwi_verb)op->verb) {
    case KIWI_GET:
        if (op_state(op)->step == STEP_RESUME)
            get_resume(shard, op, executor);
        else
            get_run(shard, op, executor);
        return;
    case KIWI_PUT:
    case KIWI_DELETE:
        put_run(shard, op, executor);
        return;
    case KIWI_WRITE:
    case KIWI_ITERATE:
    case KIWI_FLUSH:
    case KIWI_COMPACT:
    case KIWI_WAIT_DURABLE:
        break;
    }
    assert(false && "this verb runs on its context, not as a task of one shard");
}

void shard_task_run(struct shard *shard, struct task *task, struct context *executor)
{
    switch ((enum task_kind)task->kind) {
    case TASK_OP: {
        struct op_state *state = container_of(task, struct op_state, task);
        shard_op_run(shard, op_of_state(state), executor);
        return;
    }
    case TASK_LOG_WRITE:
        commit_group_done(shard, container_of(task, struct log_write, task), executor);
        return;
    case TASK_LEAD:
        shard->lead.is_out = false;
        commit_dispatch(shard, executor, true);
        return;
    case TASK_SCAN:
        scan_run(shard, container_of(task, struct scan, task), executor);
        return;
    case TASK_PART:
    case TASK_VISIBLE:
        break;
    }
    assert(false && "a task came into a shard that belongs to a context");
}

void shard_op_prefetch(const struct shard *shard, const struct kiwi_op *op)
{
    uint64_t hash = op_state_const(op)->hash;

    cache_prefetch(shard->cache, hash);
    memtable_prefetch(shard->active, hash);
}

void shard_op_prefetch_record(const struct shard *shard, const struct kiwi_op *op)
{
    uint64_t hash = op_state_const(op)->hash;

    cache_prefetch_record(shard->cache, hash);
    if (op->verb == KIWI_GET)
        memtable_prefetch_record(shard->active, hash);
    else
        memtable_prefetch_put(shard->active, hash, bytes_of(op->key.data, op->key.size));
}
