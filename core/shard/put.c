/*
 * put.c: log, then memtable, then answer.
 *
 *   admission ──► log (mapped tail) ──► memtable, cached record ────────► visible
 *       │ delay                                                             │ process, memory: done
 *       ▼                                                                   ▼ durable
 *   back to its context                                            waits for its log group
 *   (commit.c)
 */
#include "core/shard/shard.h"

#define DELAY_MEMTABLE_NS 200000u
#define DELAY_LOG_NS       50000u
/*
 * A device may stop for a third of a second, and memtables and log fill meanwhile. No write is put
 * off for long all the same: the last eighth of both is for those that have waited PATIENCE_NS. So
 * few come that way that it lasts: 8 threads write 1.3 KB in a millisecond, and there is a MiB or
 * more. Only when that is used up, too, a write waits for the device.
 */
#define PATIENCE_NS      6000000u
#define RESERVE_PART     8u

static enum kiwi_status write_refusal(const struct shard *shard)
{
    return FAIL(KIWI_STOPPED,
                "shard %u of %s: writes are stopped until the database is reopened (%s): %s",
                shard->index, shard->directory, kiwi_status_text(shard->stopped), shard->trouble);
}

/* Memtables or log are full, and what would make room fails. */
static enum kiwi_status flush_refusal(const struct shard *shard)
{
    return FAIL(shard->flush_status, "shard %u of %s cannot flush, writing resumes when it can: %s",
                shard->index, shard->directory, shard->trouble);
}

static bool is_patient(const struct admission *admission)
{
    return admission->waited_ns < PATIENCE_NS;
}

static enum kiwi_status delay(struct admission *admission, uint64_t delay_ns,
                              enum kiwi_stall reason)
{
    admission->delay_ns = delay_ns;
    admission->reason = reason;
    return KIWI_BUSY;
}

/* Whether the active memtable takes more as it is; with_reserve: at the price of what is kept for
 * those that have waited. */
static bool active_has_room(const struct shard *shard, bool with_reserve)
{
    uint64_t bytes = shard->memtable_limit, entries = shard->entry_limit;

    if (UNLIKELY(with_reserve)) {
        bytes += shard->options.options.memtable_bytes / RESERVE_PART;
        entries += entries / RESERVE_PART;
    }
    return LIKELY(memtable_bytes(shard->active) < bytes)
        && LIKELY(memtable_entry_count(shard->active) < entries);
}

/* Makes room in the active memtable; KIWI_BUSY when the frozen ones wait for their flush. */
static enum kiwi_status memtable_room(struct shard *shard, struct admission *admission)
{
    if (active_has_room(shard, false)
        && LIKELY(wal_ring_used_bytes(shard->wal) < wal_ring_bytes(shard->wal) / 2))
        return KIWI_OK;
    if (memtable_entry_count(shard->active) == 0)
        return KIWI_OK;
    if (!memtables_are_full(shard))
        return memtable_rotate(shard);
    /* Half the ring may be full because the frozen ones still need it: that alone is no reason. */
    if (active_has_room(shard, false))
        return KIWI_OK;
    if (shard->flush_status != KIWI_OK)
        return flush_refusal(shard);
    if (!is_patient(admission) && active_has_room(shard, true))
        return KIWI_OK;
    background_wake(shard);
    return delay(admission, DELAY_MEMTABLE_NS, KIWI_STALL_MEMTABLE);
}

/* Room in memtable and log, as far as can be told without knowing the append. */
static enum kiwi_status common_room(struct shard *shard, struct admission *admission)
{
    if (UNLIKELY(shard->stopped != KIWI_OK))
        return write_refusal(shard);
    TRY(memtable_room(shard, admission));
    if (UNLIKELY(wal_is_tight(shard->wal)) && is_patient(admission))
        return delay(admission, DELAY_LOG_NS, KIWI_STALL_LOG);
    return KIWI_OK;
}

enum kiwi_status shard_room(struct shard *shard, const struct entry *entries, uint64_t bytes,
                            uint32_t count, struct admission *admission)
{
    TRY(common_room(shard, admission));
    switch (wal_room(shard->wal, bytes, count)) {
    case WAL_APPENDED:
        return memtable_reserve(shard->active, entries, count);
    case WAL_NO_ROOM:
        if (shard->flush_status != KIWI_OK)
            return flush_refusal(shard);
        return delay(admission, DELAY_LOG_NS, KIWI_STALL_LOG);
    case WAL_TOO_LARGE:
        return FAIL(KIWI_TOO_LARGE,
                    "a write of %llu bytes: the log of a shard takes at most %llu at once "
                    "(half its ring; raise log_bytes or memory_bytes)", (unsigned long long)bytes,
                    (unsigned long long)wal_ring_bytes(shard->wal) / 2);
    case WAL_NO_MEMORY:
        return FAIL(KIWI_NO_MEMORY, "no memory for a log group of its own");
    case WAL_STOPPED:
        break;
    }
    commit_stop(shard);
    return write_refusal(shard);
}

enum kiwi_status shard_write(struct shard *shard, struct entry *entries, const uint64_t *hashes,
                             uint32_t count, const struct wal_part *parts, uint32_t part_count,
                             struct admission *admission)
{
    struct wal_append append = { entries, count, parts, part_count };

    TRY(common_room(shard, admission));
    if (!admission->is_reserved)
        TRY(memtable_reserve(shard->active, entries, count));
    for (uint32_t i = 0; i < count; i++)
        entries[i].sequence = shard->sequence + 1 + i;
    switch (wal_append(shard->wal, &append)) {
    case WAL_APPENDED:
        break;
    case WAL_NO_ROOM:
        if (shard->flush_status != KIWI_OK)
            return flush_refusal(shard);
        if (!memtables_are_full(shard) && memtable_entry_count(shard->active) > 0
            && wal_ring_used_bytes(shard->wal) > wal_ring_bytes(shard->wal) / 4 * 3)
            TRY(memtable_rotate(shard));
        return delay(admission, DELAY_LOG_NS, KIWI_STALL_LOG);
    case WAL_TOO_LARGE:
        return FAIL(KIWI_TOO_LARGE,
                    "a write of %u entries is larger than half the log ring (%llu bytes); "
                    "raise log_bytes or memory_bytes", count,
                    (unsigned long long)wal_ring_bytes(shard->wal) / 2);
    case WAL_NO_MEMORY:
        return FAIL(KIWI_NO_MEMORY, "no memory for a log group of its own");
    case WAL_STOPPED:
        commit_stop(shard);
        return write_refusal(shard);
    }
    shard->sequence += count;
    atomic_store_explicit(&shard->shown_sequence, shard->sequence, memory_order_release);
    for (uint32_t i = 0; i < count; i++) {
        enum kiwi_status status = memtable_put(shard->active, hashes[i], &entries[i],
                                               shard->newest_snapshot);
        if (UNLIKELY(status != KIWI_OK)) {
            /* In the log but not in memory: only a reopen can make the two agree again. */
            shard_stop(shard, status, "a write is in the log but not in memory: %s", fail_text());
            return status;
        }
        if (LIKELY(entries[i].kind == ENTRY_PUT))
            cache_record_write(shard->cache, hashes[i], entries[i].key, entries[i].value,
                               entries[i].sequence);
        else
            cache_record_drop(shard->cache, hashes[i], entries[i].key);
        shard->write_bytes += entries[i].key.size + entries[i].value.size;
    }
    shard->active_frozen->sequence_last = shard->sequence;
    return KIWI_OK;
}

void shard_stall_record(struct shard *shard, enum kiwi_stall reason, uint64_t delay_ns)
{
    struct kiwi_stall_stats *stall = &shard->counters.stalls[reason];

    stall->count++;
    stall->total_ns += delay_ns;
    stall->max_ns = max_u64(stall->max_ns, delay_ns);
}

enum kiwi_status shard_write_wait(struct shard *shard, const struct admission *admission,
                                  uint64_t waited_ns, uint64_t *resume_ns)
{
    static const char *const reasons[KIWI_STALL_COUNT] = {
        [KIWI_STALL_MEMTABLE] = "frozen memtables wait for their flush",
        [KIWI_STALL_LOG] = "the log is full",
        [KIWI_STALL_DEBT] = "merges are behind",
        [KIWI_STALL_MEMORY] = "there is no memory",
    };
    uint64_t timeout_ns = shard->options.options.write_timeout_ns;
    uint64_t delay_ns = admission->delay_ns;

    if (timeout_ns != 0 && waited_ns >= timeout_ns) {
        shard_stall_record(shard, admission->reason, waited_ns);
        return FAIL(KIWI_BUSY, "shard %u of %s had no room for a write in %llu ms, the most it may "
                    "wait (write_timeout_ns): %s", shard->index, shard->directory,
                    (unsigned long long)waited_ns / 1000000, reasons[admission->reason]);
    }
    if (timeout_ns != 0)
        delay_ns = min_u64(delay_ns, timeout_ns - waited_ns);
    *resume_ns = io_now_ns(shard->options.io) + delay_ns;
    return KIWI_OK;
}

/* Back to its context until delay_ns have passed. The ledger gets the whole delay of an operation,
 * once it is over. */
static void put_delay(struct shard *shard, struct kiwi_op *op, const struct admission *admission,
                      struct context *executor)
{
    struct op_state *state = op_state(op);
    uint64_t         now = io_now_ns(shard->options.io);

    if (state->start_ns == 0)
        state->start_ns = now;
    state->parts_left = (uint32_t)admission->reason;
    if (shard_write_wait(shard, admission, now - state->start_ns, &state->resume_ns) != KIWI_OK) {
        op_finish(op, KIWI_BUSY, executor);
        return;
    }
    if (admission->reason == KIWI_STALL_LOG)
        commit_dispatch(shard, executor, true);
    op_return(op, STEP_DELAY, executor);
}

static void put_wait_durable(struct shard *shard, struct kiwi_op *op, struct context *executor)
{
    struct op_state *state = op_state(op);
    struct waiter   *waiter = (struct waiter *)(void *)&state->waiter;

    state->step = STEP_DURABLE;
    *waiter = (struct waiter){ .sequence = op->sequence, .op = op };
    if (state->is_blocking)
        state->context->waits_in_log = true;
    commit_wait(shard, waiter);
    if (op->flags & KIWI_FLAG_VISIBLE_TOO)
        op_show_visible(op, executor);
}

void put_run(struct shard *shard, struct kiwi_op *op, struct context *executor)
{
    struct op_state *state = op_state(op);
    struct entry     entry = { .key = bytes_of(op->key.data, op->key.size),
                               .kind = op->verb == KIWI_PUT ? ENTRY_PUT : ENTRY_DELETE };
    struct admission admission = { 0 };
    enum kiwi_status status;

    shard_op_prefetch(shard, op); /* while the log is written */
    if (op->verb == KIWI_PUT)
        entry.value = bytes_of(op->value.data, op->value.size);
    if (UNLIKELY(shard->delay_ns_per_kib != 0) && !state->is_paid) {
        state->is_paid = 1;
        admission.delay_ns = admission_charge(shard, entry.key.size + entry.value.size);
        admission.reason = (enum kiwi_stall)shard->pace_reason;
        if (admission.delay_ns > 0) {
            put_delay(shard, op, &admission, executor);
            return;
        }
    }
    if (UNLIKELY(state->start_ns != 0))
        admission.waited_ns = io_now_ns(shard->options.io) - state->start_ns;
    status = shard_write(shard, &entry, &state->hash, 1, NULL, 0, &admission);
    if (UNLIKELY(status == KIWI_BUSY)) {
        put_delay(shard, op, &admission, executor);
        return;
    }
    if (UNLIKELY(state->start_ns != 0))
        shard_stall_record(shard, (enum kiwi_stall)state->parts_left,
                           io_now_ns(shard->options.io) - state->start_ns);
    if (UNLIKELY(status != KIWI_OK)) {
        op_finish(op, status, executor);
        return;
    }
    op->sequence = entry.sequence;
    if (op->verb == KIWI_PUT)
        shard->counters.puts++;
    else
        shard->counters.deletes++;
    if (state->durability == KIWI_DURABLE
        || UNLIKELY(state->durability == KIWI_PROCESS && wal_needs_write(shard->wal))) {
        put_wait_durable(shard, op, executor);
        return;
    }
    if (state->durability == KIWI_PROCESS)
        commit_staged(shard, executor);
    op_finish(op, KIWI_OK, executor);
}
