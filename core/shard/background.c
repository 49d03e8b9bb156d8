/*
 * background.c: the runner's work: frozen memtables become tables, runs are merged, pictures are
 * published.
 *
 *   frozen ─► job_flush ─┐                       ┌─ apply to the versions (token)
 *                        ├─ steps, no token ─► publish ─ manifest write (device)
 *   pick ─► job_compaction ┘                     └─ trim log, drop memtable, recycle files (token)
 *
 * Flushes run side by side and are published strictly oldest first.
 */
#include "core/shard/shard.h"

#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"

static_assert(MANIFEST_REQUEST_MAX <= UINT16_MAX, "the place of a request fits its reserved field");

#define RATE_WINDOW_NS   250000000u  /* over which the write rate is taken */
#define WINDOW_BYTES_MAX (256u << 10)
#define WINDOW_BYTES_MIN (32u << 10)
#define QUIET_PART       4u          /* quiet: memtables take less than a quarter of one a second */
#define SCAN_FLUSH_PART  16u         /* of a memtable: less is not flushed for scans */
#define PACE_EVERY_NS    500000u
#define REMOVE_EVERY_NS  20000000u   /* about what one removal takes of the device */
#define POOL_BUSY_PART   8u          /* of the tables' bytes: files kept more while writes come */
#define RETRY_SOON_NS    100000u     /* somebody else was inside, or what is due has to wait */
#define RETRY_NS         1000000000u /* after a job failed, for example on a full disk */
#define RETRY_FIRST_NS   10000000u   /* doubled with each failure in a row, up to RETRY_NS */
#define RETRY_FULL_NS    100000000u  /* between two tries to write the manifest on a full disk */
#define FAILURES_MAX     3u          /* in a row, before writers and waiters are told */

void background_wake(struct shard *shard)
{
    struct context *runner = shard->runner;

    if (runner != NULL)
        bell_call(&runner->bell, runner->queue);
}

/* ---- memtables ---- */

void frozen_release(struct frozen *frozen)
{
    if (!frozen->is_flushed || frozen->scan_holds > 0)
        return;
    memtable_close(frozen->memtable);
    memory_free(frozen);
}

/* A fresh active memtable; the one before must have been put away. */
static enum kiwi_status active_open(struct shard *shard, struct bytes prefix)
{
    struct frozen          *next = memory_allocate_zeroed(sizeof *next);
    struct memtable_options options = { .pool = shard->pool, .prefix = prefix,
                                        .expected_bytes = shard->memtable_limit };
    enum kiwi_status        status;

    if (next == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a memtable");
    status = memtable_open(&options, &next->memtable);
    if (status != KIWI_OK) {
        memory_free(next);
        return status;
    }
    /* While the log is replayed, shard->sequence is not that of the entry at hand. */
    next->sequence_last = shard->is_recovering && shard->active_frozen != NULL
                        ? shard->active_frozen->sequence_last : shard->sequence;
    next->sequence_min = next->sequence_last + 1;
    next->opened_ns = io_now_ns(shard->options.io);
    shard->active = next->memtable;
    shard->active_frozen = next;
    return KIWI_OK;
}

enum kiwi_status memtable_rotate(struct shard *shard)
{
    struct frozen *full = shard->active_frozen;

    assert(shard->frozen_count < SHARD_FROZEN_MAX);
    TRY(active_open(shard, full == NULL ? bytes_of(NULL, 0)
                                        : memtable_common_prefix(full->memtable)));
    if (full == NULL)
        return KIWI_OK; /* the first one */
    memtable_freeze(full->memtable);
    full->frozen_ns = io_now_ns(shard->options.io);
    shard->rotated_bytes += memtable_bytes(full->memtable);
    shard->frozen_bytes += memtable_bytes(full->memtable);
    /* During replay the log behind this memtable is still to be read: no position to trim to. */
    if (!shard->is_recovering)
        full->log_position = wal_position_now(shard->wal);
    shard->frozen[shard->frozen_count++] = full;
    shard->scan_memtable_ns = shard->scan_told_ns = 0;
    admission_update(shard);
    shard->wants_runner = true;
    background_wake(shard);
    return KIWI_OK;
}

/* ---- waiting for flushes and compactions ---- */

/* A flush or merge could not begin or has failed: later again; after some in a row, who waits is
 * told. */
static void attempt_failed(struct shard *shard, bool is_flush, enum kiwi_status status)
{
    enum kiwi_status *kept = is_flush ? &shard->flush_status : &shard->compaction_status;
    uint64_t         *retry_ns = is_flush ? &shard->flush_retry_ns : &shard->compaction_retry_ns;
    uint32_t         *failures = is_flush ? &shard->flush_failures : &shard->compaction_failures;

    *retry_ns = io_now_ns(shard->options.io)
              + min_u64((uint64_t)RETRY_FIRST_NS << min_u64(*failures, 10), RETRY_NS);
    if (++*failures >= FAILURES_MAX)
        *kept = status;
    trouble_note(shard);
    if (*failures >= FAILURES_MAX || status == KIWI_CORRUPT)
        failure_notice(shard, is_flush, status);
}

static bool active_is_younger(const struct shard *shard, uint64_t sequence)
{
    return memtable_entry_count(shard->active) == 0
        || shard->active_frozen->sequence_min > sequence;
}

/* Entries up to sequence are to be frozen; those that cannot be yet stay active. */
static enum kiwi_status active_put_away(struct shard *shard, uint64_t sequence)
{
    if (active_is_younger(shard, sequence) || shard->frozen_count == SHARD_FROZEN_MAX
        || shard->stopped != KIWI_OK)
        return KIWI_OK;
    return memtable_rotate(shard);
}

static void flush_waiter_end(struct flush_waiter *waiter, enum kiwi_status status,
                             struct context *executor)
{
    part_finish(waiter->part, status, executor);
    memory_free((void *)(uintptr_t)waiter->first.data);
    memory_free((void *)(uintptr_t)waiter->last.data);
    memory_free(waiter);
}

void flush_wait(struct shard *shard, struct flush_waiter *waiter)
{
    /* What failed before may succeed now: the waiter is told of an attempt of its own. */
    shard->flush_status = KIWI_OK;
    shard->flush_failures = 0;
    shard->flush_retry_ns = 0;
    if (waiter->then_compact) {
        shard->compaction_status = KIWI_OK;
        shard->compaction_failures = 0;
        shard->compaction_retry_ns = 0;
    }
    for (uint32_t i = 0; i < SHARD_FLUSH_MAX; i++)
        shard->flushes[i].write_retry_ns = shard->flushes[i].write_tries = 0;
    shard->compaction.write_retry_ns = shard->compaction.write_tries = 0;
    waiter->sequence = shard->sequence;
    if (active_put_away(shard, waiter->sequence) != KIWI_OK)
        trouble_note(shard); /* the runner tries again, and tells */
    waiter->next = shard->flush_waiters;
    shard->flush_waiters = waiter;
    shard->wants_runner = true;
    background_wake(shard);
}

static void flush_waiters_check(struct shard *shard, struct context *runner)
{
    struct flush_waiter **link = &shard->flush_waiters;

    while (*link != NULL) {
        struct flush_waiter   *waiter = *link;
        enum kiwi_status       failure = shard->stopped != KIWI_OK ? shard->stopped
                                       : shard->flush_status;
        struct compaction_plan plan = { 0 };
        bool                   is_over;

        if (failure == KIWI_OK && (failure = active_put_away(shard, waiter->sequence)) != KIWI_OK)
            trouble_note(shard);
        is_over = active_is_younger(shard, waiter->sequence)
               && (shard->frozen_count == 0
                   || waiter->sequence < shard->frozen[0]->sequence_min);
        if (failure == KIWI_OK && waiter->then_compact)
            failure = shard->compaction_status;
        if (failure == KIWI_OK && is_over && waiter->then_compact) {
            compaction_pick_range(version_present(shard->versions), waiter->first, waiter->last,
                                  waiter->sequence, &plan);
            is_over = plan.reason == COMPACTION_NONE
                   && (shard->compaction.job == NULL || !shard->compaction.is_manual);
        }
        if (failure == KIWI_OK && !is_over) {
            link = &waiter->next;
            continue;
        }
        *link = waiter->next;
        if (failure != KIWI_OK)
            failure = FAIL(failure, "shard %u of %s: %s", shard->index, shard->directory,
                           shard->trouble);
        flush_waiter_end(waiter, failure, runner);
    }
}

/* ---- opening jobs, inside ---- */

/* What a flush has written was in memory until now, and part of it is being read: it goes to the
 * cache, whose small queue keeps what is not read again from costing anything else. */
static void flush_warm(void *context, uint64_t table_id, struct block_ref ref, const uint8_t *block)
{
    struct shard *shard = context;

    shard_enter(shard);
    cache_block_insert(shard->cache, block_tier(ref.kind), table_id, ref.offset, block, ref.bytes);
    shard_leave(shard, NULL);
}

/* What a merge has written takes free room; when the cache holds nearly all data anyway, it
 * replaces its inputs there, so that a merge never turns a data set in memory cold. */
static void merge_warm(void *context, uint64_t table_id, struct block_ref ref, const uint8_t *block)
{
    struct shard *shard = context;

    shard_enter(shard);
    if (ref.kind == BLOCK_DATA && !shard->keeps_blocks)
        cache_block_offer(shard->cache, KIWI_TIER_BLOCK, table_id, ref.offset, block, ref.bytes);
    else
        cache_block_insert(shard->cache, block_tier(ref.kind), table_id, ref.offset, block,
                           ref.bytes);
    shard_leave(shard, NULL);
}

/* A merge of eight runs has sixteen windows, and a table that is written up to nine chunks: this is
 * what one job finds in the runner's buffers. Windows of others become smaller. */
static uint64_t window_bytes_for(uint64_t memtable_bytes, uint64_t buffers_bytes)
{
    uint64_t bytes = min_u64(memtable_bytes / 16, buffers_bytes / 16);

    return max_u64(min_u64(bytes, WINDOW_BYTES_MAX) / WINDOW_BYTES_MIN * WINDOW_BYTES_MIN,
                   WINDOW_BYTES_MIN);
}

static struct job_options job_options_of(struct shard *shard, uint64_t *snapshots)
{
    uint64_t memtable_bytes = shard->options.options.memtable_bytes;

    for (uint32_t i = 0; i < shard->snapshot_count; i++)
        snapshots[i] = shard->snapshots[i].sequence;
    return (struct job_options){
        .io = shard->options.io,
        .database = shard->options.database,
        .directory = table_files_directory(shard->files),
        .hash_seed = shard->options.hash_seed,
        .table_bytes = shard->options.options.table_bytes,
        .filter_bits_tiered = shard->filter_bits_tiered,
        .filter_bits_last = shard->filter_bits_last,
        .block_bytes = shard->options.options.block_bytes,
        .window_bytes = window_bytes_for(memtable_bytes, shard->runner->buffers_bytes),
        .snapshots = snapshots,
        .snapshot_count = shard->snapshot_count,
        .block_done = merge_warm,
        .block_context = shard,
    };
}

static void flushes_open(struct shard *shard, uint64_t *snapshots)
{
    uint32_t running = 0;

    for (uint32_t i = 0; i < SHARD_FLUSH_MAX; i++)
        running += shard->flushes[i].job != NULL;
    for (uint32_t i = 0; i < shard->frozen_count; i++) {
        struct frozen      *frozen = shard->frozen[i];
        struct running_job *slot = NULL;
        struct job_options  options;
        enum kiwi_status    status;

        if (frozen->is_flushing)
            continue;
        if (running >= min_u64(shard->options.options.flush_max_workers, SHARD_FLUSH_MAX))
            return;
        for (uint32_t k = 0; k < SHARD_FLUSH_MAX && slot == NULL; k++)
            if (shard->flushes[k].job == NULL)
                slot = &shard->flushes[k];
        assert(slot != NULL);
        options = job_options_of(shard, snapshots);
        memset(slot, 0, sizeof *slot);
        options.block_done = flush_warm;
        status = job_flush_open(&options, &frozen->memtable, 1,
                                manifest_run_id_take(shard->manifest), &slot->job);
        if (status != KIWI_OK) {
            slot->job = NULL;
            attempt_failed(shard, true, status);
            return;
        }
        slot->inputs[0] = frozen;
        slot->input_count = 1;
        frozen->is_flushing = true;
        running++;
    }
}

/* Rows of a memtable lie apart, each with cold lines of its own; in a table they lie together. Once
 * scans have paid for that as much as a flush costs, the active one is flushed for them; a small
 * one would cost a file and two syncs for few rows. */
static void memtable_flush_for_scans(struct shard *shard)
{
    uint64_t bytes = memtable_bytes(shard->active);

    if (!shard->is_quiet || shard->frozen_count > 0
        || bytes < shard->options.options.memtable_bytes / SCAN_FLUSH_PART
        || shard->scan_memtable_ns < compaction_cost_ns(bytes)
        || memtable_entry_count(shard->active) == 0)
        return;
    if (memtable_rotate(shard) != KIWI_OK)
        shard->scan_memtable_ns = 0; /* no memory for another one: not again at once */
}

static bool manual_plan(struct shard *shard, struct compaction_plan *plan)
{
    for (struct flush_waiter *w = shard->flush_waiters; w != NULL; w = w->next) {
        if (!w->then_compact
            || (shard->frozen_count > 0 && w->sequence >= shard->frozen[0]->sequence_min))
            continue;
        compaction_pick_range(version_present(shard->versions), w->first, w->last, w->sequence,
                              plan);
        if (plan->reason != COMPACTION_NONE)
            return true;
    }
    return false;
}

static void compaction_open(struct shard *shard, uint64_t *snapshots)
{
    struct compaction_plan plan = { 0 };
    struct pick_options    pick = pick_options_of(shard);
    struct version    *version;
    struct job_options options;
    bool               is_manual = manual_plan(shard, &plan);
    uint64_t           run_id;
    enum kiwi_status   status;

    if (!is_manual) {
        if (!shard->pick_is_stale)
            return;
        shard->pick_is_stale = false;
        compaction_pick(version_present(shard->versions), &pick, &plan);
        if (plan.reason == COMPACTION_NONE)
            return;
        if (plan.reason == COMPACTION_SCANS)
            shard->scan_runs_ns = shard->scan_told_ns = 0;
    }
    version = version_hold(shard->versions);
    options = job_options_of(shard, snapshots);
    run_id = manifest_run_id_take(shard->manifest);
    if (plan.takes_target_run && plan.target_level < KIWI_LEVEL_COUNT_MAX
        && version->levels[plan.target_level].run_count > 0)
        run_id = version->levels[plan.target_level]
                     .runs[version->levels[plan.target_level].run_count - 1]->id;
    memset(&shard->compaction, 0, sizeof shard->compaction);
    shard->compaction.is_manual = is_manual;
    status = job_compaction_open(&options, version, &plan, run_id, &shard->compaction.job);
    if (status != KIWI_OK) {
        shard->compaction.job = NULL;
        version_release(version);
        shard->pick_is_stale = true;
        attempt_failed(shard, false, status);
    }
}

/* ---- publishing ---- */

static void manifest_request_done(struct io_request *request)
{
    /* The requests of one edit lie in one array; reserved is the place in it. */
    struct io_request  *first = request - request->reserved;
    struct manifest_write *write = container_of(first, struct manifest_write, requests[0]);
    struct running_job *running = container_of(write, struct running_job, write);
    uint32_t            next = request->reserved + 1u;

    running->write_status = request->status;
    if (request->status == KIWI_FULL) {
        running->write_is_full = true;
        running->write_next = request->reserved;
        return;
    }
    if (request->status != KIWI_OK || next == write->count) {
        running->write_done = true;
        return;
    }
    write->requests[next].reserved = (uint16_t)next;
    write->requests[next].done = manifest_request_done;
    io_queue_add(running->runner->queue, &write->requests[next]);
}

/* What this shard waits for never comes: its memtable cannot be flushed. */
static void peer_has_failed(struct shard *shard, const struct shard *peer)
{
    shard_stop(shard, KIWI_STOPPED,
               "a batch cannot become durable, for the log of shard %u has failed: %.150s",
               peer->index, peer->trouble);
}

/* A batch over several shards must be durable everywhere before one of its parts can be read from a
 * table, or a crash could leave half of it. */
static bool siblings_are_durable(struct shard *shard, const struct frozen *frozen,
                                 struct context *runner)
{
    bool all = true;

    if (!frozen->has_needs)
        return true;
    for (uint32_t i = 0; i < shard->options.count; i++) {
        struct shard *peer = shard->options.peers[i];

        if (peer == shard
            || atomic_load_explicit(&peer->durable_sequence, memory_order_acquire)
                   >= frozen->needs_durable[i])
            continue;
        all = false;
        /* Asking costs the peer's token while we hold ours: only if it is free this instant. */
        if (shard_try_enter(peer)) {
            if (wal_status(peer->wal) == KIWI_OK)
                commit_dispatch(peer, runner, true);
            else if (wal_durable_sequence(peer->wal) < frozen->needs_durable[i])
                peer_has_failed(shard, peer);
            shard_leave(peer, runner);
        }
    }
    return all;
}

/* The shard stops. What the versions have taken over stays theirs; the job ends at its next step.
 * */
static void publish_failed(struct shard *shard, struct running_job *running,
                           enum kiwi_status status, bool is_applied)
{
    shard_stop(shard, status, "%s", fail_text());
    running->is_publishing = false;
    job_published(running->job, is_applied ? KIWI_OK : status);
    job_cancel(running->job);
    running->state = JOB_RUNNABLE;
}

static void publish_start(struct shard *shard, struct running_job *running, struct context *runner)
{
    struct version_edit *edit = job_edit(running->job);
    enum kiwi_status     status;

    if (shard->stopped != KIWI_OK || manifest_is_busy(shard->manifest))
        return;
    if (job_kind(running->job) == JOB_FLUSH) {
        struct frozen *frozen = running->inputs[0];

        if (shard->frozen[0] != frozen || !siblings_are_durable(shard, frozen, runner))
            return;
        /* Runs of L0 are newest first by id: the order of publishing, not that in which the jobs
         * were opened, which failed ones begin again. */
        uint64_t run_id = manifest_run_id_take(shard->manifest);
        for (uint32_t i = 0; i < edit->added_count; i++)
            edit->added[i].run_id = run_id;
        edit->flushed_sequence = frozen->sequence_last;
        edit->log_position = frozen->log_position;
    }
    status = version_apply(shard->versions, edit);
    if (status == KIWI_NO_MEMORY) { /* nothing has changed: the job fails, and is begun again */
        job_published(running->job, status);
        running->state = JOB_RUNNABLE;
        return;
    }
    if (status != KIWI_OK) {
        publish_failed(shard, running, status, false);
        return;
    }
    for (uint32_t i = 0; i < edit->added_count; i++)
        shard->counters.levels[edit->added[i].level].compaction_out_bytes +=
            job_kind(running->job) == JOB_COMPACTION ? edit->added[i].table->info.file_bytes : 0;
    status = manifest_edit_start(shard->manifest, edit, &running->write);
    if (status != KIWI_OK) {
        publish_failed(shard, running, status, true);
        return;
    }
    running->is_publishing = true;
    running->write_done = false;
    running->write_is_full = false;
    running->write_tries = 0;
    running->write_retry_ns = UINT64_MAX;
    running->write_status = KIWI_OK;
    running->runner = runner;
    running->write.requests[0].reserved = 0;
    running->write.requests[0].done = manifest_request_done;
    io_queue_add(runner->queue, &running->write.requests[0]);
}

static void flush_finish(struct shard *shard, struct running_job *running)
{
    struct frozen *frozen = running->inputs[0];

    assert(shard->frozen[0] == frozen);
    if (frozen->log_position.group != 0)
        wal_trim(shard->wal, frozen->log_position);
    shard->frozen_count--;
    memmove(&shard->frozen[0], &shard->frozen[1], shard->frozen_count * sizeof shard->frozen[0]);
    assert(shard->frozen_bytes >= memtable_bytes(frozen->memtable));
    shard->frozen_bytes -= memtable_bytes(frozen->memtable);
    flush_ratio_note(shard, frozen->frozen_ns - frozen->opened_ns,
                     io_now_ns(shard->options.io) - frozen->frozen_ns);
    frozen->is_flushed = true;
    frozen_release(frozen);
}

static void publish_finish(struct shard *shard, struct running_job *running)
{
    manifest_edit_done(shard->manifest, running->write_status);
    if (running->write_status != KIWI_OK) {
        publish_failed(shard, running, running->write_status, true);
        return;
    }
    running->is_publishing = false;
    if (job_kind(running->job) == JOB_FLUSH)
        flush_finish(shard, running);
    job_published(running->job, KIWI_OK);
    running->state = JOB_RUNNABLE;
    shard->pick_is_stale = true;
    admission_update(shard);
}

/* There was no room for the manifest. What is to be written is still at hand and nothing else may
 * be published before it, so the same write goes again until there is room. */
static void publish_again(struct shard *shard, struct running_job *running, uint64_t now)
{
    if (shard->is_closing) {
        running->write_is_full = false;
        running->write_done = true;
        return;
    }
    if (running->write_retry_ns == UINT64_MAX) {
        running->write_retry_ns = now + (++running->write_tries < FAILURES_MAX ? RETRY_FIRST_NS
                                                                               : RETRY_FULL_NS);
        trouble_note(shard);
    }
    if (now < running->write_retry_ns) {
        if (running->write_tries >= FAILURES_MAX) { /* flushes wait for the same manifest */
            shard->flush_status = shard->compaction_status = KIWI_FULL;
            failure_notice(shard, job_kind(running->job) == JOB_FLUSH, KIWI_FULL);
        }
        return;
    }
    running->write_is_full = false;
    running->write_retry_ns = UINT64_MAX;
    io_queue_add(running->runner->queue, &running->write.requests[running->write_next]);
}

/* ---- the end of a job, inside ---- */

static void counters_add(struct shard *shard, const struct running_job *running)
{
    struct job_counters    done = job_counters(running->job);
    struct shard_counters *counters = &shard->counters;

    if (job_kind(running->job) == JOB_FLUSH) {
        counters->flush_count++;
        counters->flush_bytes += done.write_bytes;
        counters->flush_ns += done.busy_ns;
        counters->levels[0].flush_bytes += done.write_bytes;
    } else {
        counters->compaction_count++;
        counters->compaction_read_bytes += done.read_bytes;
        counters->compaction_write_bytes += done.write_bytes;
        counters->compaction_ns += done.busy_ns;
        for (uint32_t i = 0; i < KIWI_LEVEL_COUNT_MAX; i++)
            counters->levels[i].compaction_in_bytes += done.read_bytes_level[i];
    }
    counters->entries_dropped += done.entries_dropped + done.tombstones_dropped;
    shard->drain_bytes += done.write_bytes;
    shard->drain_ns += done.busy_ns;
}

static void remove_done(struct io_request *request)
{
    memory_free((void *)(uintptr_t)request->path);
    memory_free(request);
}

static void file_remove(char *path, struct context *runner)
{
    struct io_request *request = memory_allocate_zeroed(sizeof *request);

    if (request == NULL) {
        memory_free(path); /* the file stays until the next open adopts or removes it */
        return;
    }
    request->verb = IO_REMOVE;
    request->path = path;
    request->class_of_service = IO_CLASS_COMPACTION;
    request->done = remove_done;
    io_queue_add(runner->queue, request);
}

/* One at a time, and only while few writes come: the device spends on a removal what log and flush
 * would wait for. Under load the pool may grow by a part of what the tables hold. */
static void excess_remove(struct shard *shard, struct context *runner)
{
    uint64_t now = io_now_ns(shard->options.io);
    uint64_t more_bytes = shard->is_quiet || shard->is_closing
                        ? 0 : shard->tables_bytes / POOL_BUSY_PART;
    char    *path;

    if (now < shard->remove_ns && !shard->is_closing)
        return;
    while ((path = table_files_excess_take(shard->files, more_bytes)) != NULL) {
        file_remove(path, runner);
        shard->remove_ns = now + REMOVE_EVERY_NS;
        if (!shard->is_closing)
            return;
    }
}

static void obsolete_recycle(struct shard *shard, struct context *runner)
{
    struct table *table;

    if (shard->stopped != KIWI_OK)
        return; /* the manifest on disk may still name them */
    while ((table = version_obsolete_take(shard->versions)) != NULL) {
        struct io_file *file = table->file;
        uint64_t        file_id = table->info.file_id;

        cache_table_drop(shard->cache, table->info.id);
        table->file = NULL;
        table_close(table);
        table_files_give(shard->files, file, file_id, false);
    }
    excess_remove(shard, runner);
}

static void job_end(struct shard *shard, struct running_job *running)
{
    bool            is_flush = job_kind(running->job) == JOB_FLUSH;
    struct io_file *file;
    uint64_t        file_id;
    bool            is_new;

    counters_add(shard, running);
    if (running->state == JOB_FAILED) {
        enum kiwi_status status = job_status(running->job);

        while (job_file_take_back(running->job, &file, &file_id, &is_new))
            table_files_give(shard->files, file, file_id, is_new);
        if (status != KIWI_CLOSED)
            attempt_failed(shard, is_flush, status);
        for (uint32_t i = 0; i < running->input_count; i++)
            running->inputs[i]->is_flushing = false;
        shard->pick_is_stale = true;
    } else if (is_flush) {
        shard->flush_status = KIWI_OK;
        shard->flush_failures = 0;
        success_notice(shard, true);
    } else {
        shard->compaction_status = KIWI_OK;
        shard->compaction_failures = 0;
        success_notice(shard, false);
    }
    job_close(running->job);
    running->job = NULL;
    admission_update(shard);
}

/* What readers would like merged that write amplification alone would leave: counted as debt, so
 * that whoever waits for background work waits for all of it. What scans have paid for is none: it
 * is looked at when they come, and may have become due after the last of them was. */
uint64_t background_left_bytes(const struct shard *shard)
{
    struct compaction_plan plan = { 0 };
    struct pick_options    pick = pick_options_of(shard);
    const struct version  *version = version_present(shard->versions);

    if (shard->debt_bytes > 0)
        return shard->debt_bytes;
    pick.is_idle = true;
    pick.scan_cost_ns = 0;
    compaction_pick(version, &pick, &plan);
    return plan.reason == COMPACTION_NONE ? 0 : version_level_bytes(version, plan.source_level);
}

/* ---- the turn ---- */

static struct running_job *job_slot(struct shard *shard, uint32_t i)
{
    return i < SHARD_FLUSH_MAX ? &shard->flushes[i] : &shard->compaction;
}

#define JOB_SLOTS (SHARD_FLUSH_MAX + 1)

/* Do memtables fill slowly? Then runs are merged further than write amplification would want. */
static void rate_look(struct shard *shard, uint64_t now)
{
    struct kiwi_tier_stats tiers[KIWI_TIER_COUNT];
    uint64_t               passed = now - shard->write_last_ns;
    uint64_t               bytes = shard->rotated_bytes + memtable_bytes(shard->active);
    uint64_t               table_bytes = 0;
    uint64_t               quiet_bytes = shard->options.options.memtable_bytes / QUIET_PART
                                       * passed / 1000000000u;
    bool                   was_quiet = shard->is_quiet;

    if (passed < RATE_WINDOW_NS)
        return;
    shard->is_quiet = bytes <= shard->write_last_bytes + quiet_bytes;
    shard->write_last_ns = now;
    shard->write_last_bytes = bytes;
    if (shard->is_quiet && !was_quiet)
        shard->pick_is_stale = true;
    memset(tiers, 0, sizeof tiers);
    cache_stats(shard->cache, tiers);
    for (uint32_t i = 0; i < KIWI_LEVEL_COUNT_MAX; i++)
        table_bytes += version_level_bytes(version_present(shard->versions), i);
    shard->tables_bytes = table_bytes;
    shard->keeps_blocks = tiers[KIWI_TIER_BLOCK].bytes > table_bytes / 4 * 3;
    cache_block_need_set(shard->cache, table_bytes + table_bytes / 16);
}

/* When the runner must be inside again at the latest, decided inside. */
static uint64_t turn_due_ns(const struct shard *shard, uint64_t now_ns)
{
    uint64_t due = commit_timer_ns(shard);

    /* What was due and is not done waits for a group on its way. */
    if (due <= now_ns)
        due = now_ns + RETRY_SOON_NS;
    if (shard->flush_waiters != NULL)
        due = min_u64(due, now_ns + 1000000);
    if (shard->stopped != KIWI_OK)
        return due;
    if (shard->frozen_count > 0)
        due = min_u64(due, max_u64(shard->flush_retry_ns, now_ns + 1000000));
    if (shard->pick_is_stale)
        due = min_u64(due, max_u64(shard->compaction_retry_ns, now_ns + 1000000));
    if (shard->remove_ns > now_ns)
        due = min_u64(due, shard->remove_ns);
    if (!shard->is_quiet)
        due = min_u64(due, shard->write_last_ns + RATE_WINDOW_NS);
    return due;
}

/* Everything that needs the token. */
static void turn_inside(struct shard *shard, struct context *runner)
{
    uint64_t now = io_now_ns(shard->options.io);
    uint64_t snapshots[64];
    uint64_t *list = snapshots;

    commit_timer_run(shard, runner);
    rate_look(shard, now);
    /* The last room before writers would have to wait fills: they are braked as it does. */
    if (memtables_are_scarce(shard) && now - shard->paced_ns >= PACE_EVERY_NS) {
        shard->paced_ns = now;
        admission_update(shard);
    }
    for (uint32_t i = 0; i < JOB_SLOTS; i++) {
        struct running_job *running = job_slot(shard, i);

        if (running->job == NULL)
            continue;
        if (running->is_publishing && running->write_is_full)
            publish_again(shard, running, now);
        if (running->is_publishing && running->write_done)
            publish_finish(shard, running);
        else if (!running->is_publishing && running->state == JOB_PUBLISH)
            publish_start(shard, running, runner);
        if (running->state == JOB_DONE || running->state == JOB_FAILED)
            job_end(shard, running);
    }
    if (shard->flush_waiters != NULL)
        flush_waiters_check(shard, runner);
    if (shard->stopped == KIWI_OK && !shard->is_closing) {
        if (shard->snapshot_count > ARRAY_COUNT(snapshots))
            list = memory_allocate(shard->snapshot_count * sizeof *list);
        if (list == NULL) {
            attempt_failed(shard, true, FAIL(KIWI_NO_MEMORY, "no memory for %u snapshots",
                                             shard->snapshot_count));
        } else {
            memtable_flush_for_scans(shard);
            if (now >= shard->flush_retry_ns)
                flushes_open(shard, list);
            if (shard->compaction.job == NULL && now >= shard->compaction_retry_ns)
                compaction_open(shard, list);
        }
        if (list != snapshots)
            memory_free(list);
    }
    obsolete_recycle(shard, runner);
    shard->pool_bytes = table_files_pool_bytes(shard->files);
    shard->backlog = shard->frozen_count;
    shard->due_ns = turn_due_ns(shard, now);
    if (memory_lend(shard))
        shard->due_ns = min_u64(shard->due_ns, now + RETRY_SOON_NS);
}

static void file_provide(struct shard *shard, struct running_job *running)
{
    struct io_file  *file;
    uint64_t         file_id;
    bool             is_new;
    enum kiwi_status status;

    status = table_files_take(shard->files, job_file_bytes(running->job), &file, &file_id, &is_new);
    if (status != KIWI_OK)
        job_file_refuse(running->job, status);
    else
        job_file_give(running->job, file, file_id, manifest_table_id_take(shard->manifest), is_new);
}

/* One slice of one job, outside the token. True when it can go on at once. */
static bool job_slice(struct shard *shard, struct running_job *running, struct context *runner,
                      uint64_t budget_bytes)
{
    if (running->is_publishing || running->state == JOB_PUBLISH || running->state == JOB_DONE
        || running->state == JOB_FAILED)
        return false;
    running->state = job_step(running->job, runner->queue, runner->buffers, budget_bytes);
    if (running->state == JOB_WANTS_FILE) {
        file_provide(shard, running);
        return true;
    }
    return running->state != JOB_WAITING;
}

bool background_turn(struct shard *shard, struct context *runner, uint64_t budget_bytes)
{
    bool more = false;

    assert(shard->runner == runner);
    if (!shard_try_enter(shard)) {
        shard->due_ns = io_now_ns(shard->options.io) + RETRY_SOON_NS;
        return false;
    }
    turn_inside(shard, runner);
    notices_leave(shard, runner);
    for (uint32_t i = 0; i < JOB_SLOTS; i++) {
        struct running_job *running = job_slot(shard, i);

        if (running->job == NULL)
            continue;
        (void)context_has_buffers(runner); /* without them a job fails */
        more |= job_slice(shard, running, runner, budget_bytes);
    }
    if (runner->buffers != NULL)
        context_memory_note(runner);
    return more;
}

bool background_is_idle(struct shard *shard)
{
    for (uint32_t i = 0; i < JOB_SLOTS; i++)
        if (job_slot(shard, i)->job != NULL)
            return false;
    return true;
}

uint64_t background_timeout_ns(struct shard *shard, uint64_t now_ns)
{
    uint64_t due = shard->due_ns;

    for (uint32_t i = 0; i < JOB_SLOTS; i++) {
        const struct running_job *running = job_slot(shard, i);

        if (running->job == NULL)
            continue;
        if (running->is_publishing && running->write_done)
            due = now_ns;
        else if (running->is_publishing && running->write_is_full)
            due = min_u64(due, now_ns + 10 * RETRY_SOON_NS);
        else if (!running->is_publishing && running->state != JOB_WAITING)
            due = min_u64(due, now_ns + RETRY_SOON_NS);
    }
    return due == UINT64_MAX ? KIWI_FOREVER : due > now_ns ? due - now_ns : 0;
}

/* Stops all jobs; what they published stays. */
void background_cancel(struct shard *shard, struct context *runner)
{
    shard->is_closing = true;
    for (uint32_t i = 0; i < JOB_SLOTS; i++)
        if (job_slot(shard, i)->job != NULL && !job_slot(shard, i)->is_publishing)
            job_cancel(job_slot(shard, i)->job);
    while (!background_is_idle(shard)) {
        for (uint32_t i = 0; i < JOB_SLOTS; i++) {
            struct running_job *running = job_slot(shard, i);
            if (running->job != NULL && running->state == JOB_PUBLISH && !running->is_publishing) {
                job_cancel(running->job);
                running->state = JOB_RUNNABLE;
            }
        }
        if (!background_turn(shard, runner, 1u << 20) && io_queue_pending(runner->queue) > 0)
            io_queue_poll(runner->queue, 1000000);
    }
    shard_enter(shard);
    obsolete_recycle(shard, runner);
    shard_leave(shard, runner);
    shard->is_closing = false;
}
