/*
 * recovery.c: opens one shard: manifest, tables, log, and what a crash left behind.
 *
 * Opening is plain blocking code: nobody else is in the shard yet. Shards may open side by side,
 * each in a thread of its own: shard_open touches this shard only, shard_open_finish reads of its
 * peers only what shard_open has left.
 *
 * Batches over several shards: a part is kept if every other participant recovered at least up to
 * its own part. That can be told when all have read their logs, and shards open side by side: so a
 * part, and everything after it in this shard, waits, copied, for shard_open_finish.
 * When parts are dropped, what was recovered is flushed before the database opens, so that the
 * verdict can never change when sequences are given out again.
 */
#include "core/shard/shard.h"

#include <stdio.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/memory.h"
#include "core/format/wal_format.h"

/* A copy of one append that waits for the other shards. */
struct deferred {
    struct deferred *next;
    uint32_t         count, part_count;
    struct entry    *entries;
    struct wal_part *parts;
};

/* ---- applying ---- */

static enum kiwi_status entries_apply(struct shard *shard, const struct entry *entries,
                                      uint32_t count)
{
    if (memtable_bytes(shard->active) >= shard->memtable_limit
        && shard->frozen_count + 1 < SHARD_FROZEN_MAX)
        TRY(memtable_rotate(shard));
    for (uint32_t i = 0; i < count; i++) {
        uint64_t hash = hash_key(entries[i].key, shard->options.hash_seed);
        TRY(memtable_put(shard->active, hash, &entries[i], 0));
        shard->active_frozen->sequence_last = entries[i].sequence;
    }
    return KIWI_OK;
}

static void deferred_free(struct deferred *deferred)
{
    memory_free(deferred->entries);
    memory_free(deferred->parts);
    memory_free(deferred);
}

static enum kiwi_status deferred_copy(const struct wal_replayed *record, struct deferred **out)
{
    struct deferred *deferred = memory_allocate_zeroed(sizeof *deferred);
    uint64_t         bytes = 0;
    uint8_t         *at;

    *out = NULL;
    if (deferred == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to recover a batch");
    for (uint32_t i = 0; i < record->count; i++)
        bytes += record->entries[i].key.size + record->entries[i].value.size;
    deferred->entries = memory_allocate(record->count * sizeof *deferred->entries + bytes);
    deferred->parts = memory_allocate((record->part_count + 1) * sizeof *deferred->parts);
    if (deferred->entries == NULL || deferred->parts == NULL) {
        deferred_free(deferred);
        return FAIL(KIWI_NO_MEMORY, "no memory to recover a batch of %u entries", record->count);
    }
    at = (uint8_t *)(deferred->entries + record->count);
    deferred->count = record->count;
    deferred->part_count = record->part_count;
    if (record->part_count > 0)
        memcpy(deferred->parts, record->parts, record->part_count * sizeof *record->parts);
    for (uint32_t i = 0; i < record->count; i++) {
        const struct entry *from = &record->entries[i];
        struct entry       *to = &deferred->entries[i];

        *to = *from;
        to->key.data = at;
        if (from->key.size > 0)
            memcpy(at, from->key.data, from->key.size);
        at += from->key.size;
        to->value.data = at;
        if (from->value.size > 0)
            memcpy(at, from->value.data, from->value.size);
        at += from->value.size;
    }
    *out = deferred;
    return KIWI_OK;
}

static bool parts_are_everywhere(const struct shard *shard, const struct wal_part *parts,
                                 uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (parts[i].shard == shard->index)
            continue;
        if (parts[i].shard >= shard->options.count
            || shard_recovered_sequence(shard->options.peers[parts[i].shard]) < parts[i].sequence)
            return false;
    }
    return true;
}

static enum kiwi_status replay_visit(void *context, const struct wal_replayed *record)
{
    struct shard    *shard = context;
    struct deferred *deferred;

    if (record->part_count == 0 && shard->deferred == NULL)
        return entries_apply(shard, record->entries, record->count);
    TRY(deferred_copy(record, &deferred));
    if (shard->deferred_last == NULL)
        shard->deferred = deferred;
    else
        shard->deferred_last->next = deferred;
    shard->deferred_last = deferred;
    return KIWI_OK;
}

uint64_t shard_recovered_sequence(const struct shard *shard)
{
    return shard->recovered_sequence;
}

static void recovery_tell(struct shard *shard)
{
    const struct wal_recovery *found = &shard->log_recovery;

    if (!found->was_sealed && found->record_count + found->tail_record_count > 0)
        notice_add(shard, KIWI_LOG_NOTE, "it was not closed: %llu writes replayed from the log and "
                   "%llu from its tail, up to sequence %llu",
                   (unsigned long long)found->record_count,
                   (unsigned long long)found->tail_record_count,
                   (unsigned long long)found->sequence_last);
    if (found->leftover_count > 0)
        notice_add(shard, KIWI_LOG_NOTE, "%llu log groups behind a torn end, never acknowledged as "
                   "durable, were cut off", (unsigned long long)found->leftover_count);
    if (shard->dropped_count > 0)
        notice_add(shard, KIWI_LOG_NOTE, "%llu writes of batches that another shard has lost were "
                   "dropped", (unsigned long long)shard->dropped_count);
}

enum kiwi_status shard_open_finish(struct shard *shard)
{
    enum kiwi_status status = KIWI_OK;

    while (shard->deferred != NULL) {
        struct deferred *deferred = shard->deferred;

        shard->deferred = deferred->next;
        if (status == KIWI_OK
            && !parts_are_everywhere(shard, deferred->parts, deferred->part_count))
            shard->dropped_count += deferred->count;
        else if (status == KIWI_OK)
            status = entries_apply(shard, deferred->entries, deferred->count);
        deferred_free(deferred);
    }
    shard->deferred_last = NULL;
    shard->is_recovering = false;
    TRY(status);
    recovery_tell(shard);
    assert(wal_staged_bytes(shard->wal) == 0); /* what was replayed is on stable media */
    shard->wants_runner = true;
    admission_update(shard);
    memory_prefault(shard);
    return KIWI_OK;
}

static void settle_done(struct io_request *request)
{
    (void)request;
}

/* After a flush that followed dropped parts: the manifest says that nothing of the log counts any
 * more, also not the dropped parts behind the last record that was kept. */
enum kiwi_status shard_settle(struct shard *shard, struct context *context)
{
    struct version_edit   edit = { .flushed_sequence = shard->sequence,
                                   .log_position = wal_position_now(shard->wal) };
    struct manifest_write write;
    enum kiwi_status      status;

    assert(shard->frozen_count == 0);
    assert(memtable_entry_count(shard->active) == 0);
    TRY(version_apply(shard->versions, &edit));
    TRY(manifest_edit_start(shard->manifest, &edit, &write));
    status = KIWI_OK;
    for (uint32_t i = 0; i < write.count && status == KIWI_OK; i++) {
        write.requests[i].done = settle_done;
        io_queue_add(context->queue, &write.requests[i]);
        while (io_queue_pending(context->queue) > 0)
            io_queue_poll(context->queue, KIWI_FOREVER);
        status = write.requests[i].status;
    }
    manifest_edit_done(shard->manifest, status);
    TRY(status);
    wal_trim(shard->wal, edit.log_position);
    shard->dropped_count = 0;
    return KIWI_OK;
}

/* ---- opening ---- */

static enum kiwi_status log_recover(struct shard *shard, const struct manifest_state *state)
{
    const struct kiwi_options *options = &shard->options.options;
    struct wal_recovery        recovery;
    /* Until the first flush the manifest remembers no position: the log is read from its start. */
    struct wal_position        position = state->log_position.group != 0
                                        ? state->log_position
                                        : (struct wal_position){ 1, WAL_HEADER_BYTES };
    struct wal_options         wal = {
        .io = shard->options.io,
        .directory = shard->directory,
        .database = shard->options.database,
        .shard = shard->index,
        .ring_bytes = options->log_bytes,
        .tail_bytes = memory_tail_bytes(&shard->options),
    };

    TRY(wal_open(&wal, &shard->wal));
    /* The first memtable's range starts behind what tables already hold. */
    shard->sequence = state->flushed_sequence;
    TRY(memtable_rotate(shard));
    TRY(wal_recover(shard->wal, position, state->flushed_sequence, replay_visit, shard, &recovery));
    shard->log_recovery = recovery;
    shard->sequence = max_u64(state->flushed_sequence, recovery.sequence_last);
    shard->recovered_sequence = shard->sequence;
    shard->shown_sequence = shard->sequence;
    shard->durable_sequence = wal_durable_sequence(shard->wal);
    return KIWI_OK;
}

static enum kiwi_status parts_open(struct shard *shard)
{
    const struct kiwi_options *options = &shard->options.options;
    struct manifest_state      state;
    struct manifest_options    manifest = {
        .io = shard->options.io,
        .directory = shard->directory,
        .database = shard->options.database,
        .shard = shard->index,
        .switch_bytes = options->memory_bytes < (64u << 20) ? 128u << 10 : 0,
    };
    struct table_files_options files = {
        .io = shard->options.io,
        .directory = shard->directory,
        .pool_bytes_max = 4 * options->table_bytes,
    };
    struct cache_options cache = {
        .budget_bytes = memory_cache_bytes(&shard->options),
        .segment_bytes = options->memory_bytes / shard->options.count >= (64u << 20) ? 1u << 20 : 0,
    };

    TRY(io_directory_create(shard->options.io, shard->directory));
    TRY(version_set_open(&shard->versions));
    TRY(manifest_open(&manifest, shard->versions, &shard->manifest, &state));
    TRY(table_files_open(&files, shard->manifest, &shard->files));
    TRY(table_files_adopt(shard->files, version_present(shard->versions)));
    shard->pool_bytes = table_files_pool_bytes(shard->files);
    TRY(cache_open(&cache, &shard->cache));
    shard_options_apply(shard);
    shard->cache_budget = cache.budget_bytes;
    TRY(memtable_pool_open(memory_chunk_bytes(&shard->options), &shard->pool));
    return log_recover(shard, &state);
}

enum kiwi_status shard_open(const struct shard_options *options, struct shard **out)
{
    struct shard    *shard = memory_allocate_aligned(sizeof *shard, CACHE_LINE_BYTES);
    enum kiwi_status status;
    size_t           bytes = strlen(options->directory) + 1;

    *out = NULL;
    if (shard == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for shard %u", options->index);
    memset(shard, 0, sizeof *shard);
    shard->options = *options;
    shard->index = options->index;
    shard->memtable_limit = options->options.memtable_bytes;
    shard->flush_ratio = FLUSH_RATIO_START;
    shard->background_share = 10;
    shard->pick_is_stale = true;
    shard->is_recovering = true;
    shard->write_last_ns = io_now_ns(options->io);
    shard->directory = memory_allocate(bytes);
    if (shard->directory == NULL) {
        status = FAIL(KIWI_NO_MEMORY, "no memory for shard %u", options->index);
        goto fail;
    }
    memcpy(shard->directory, options->directory, bytes);
    if ((status = parts_open(shard)) != KIWI_OK)
        goto fail;
    *out = shard;
    return KIWI_OK;
fail:
    shard_free(shard);
    return status;
}

void shard_free(struct shard *shard)
{
    if (shard == NULL)
        return;
    while (shard->deferred != NULL) {
        struct deferred *deferred = shard->deferred;
        shard->deferred = deferred->next;
        deferred_free(deferred);
    }
    for (uint32_t i = 0; i < shard->frozen_count; i++) {
        shard->frozen[i]->is_flushed = true;
        frozen_release(shard->frozen[i]);
    }
    if (shard->active_frozen != NULL) {
        shard->active_frozen->is_flushed = true;
        frozen_release(shard->active_frozen);
    }
    memtable_pool_close(shard->pool);
    while (shard->read_free != NULL) {
        struct read *read = shard->read_free;
        shard->read_free = read->next_free;
        memory_free(read);
    }
    wal_close(shard->wal);
    cache_close(shard->cache);
    table_files_close(shard->files);
    manifest_close(shard->manifest);
    version_set_close(shard->versions);
    memory_free(shard->snapshots);
    memory_free(shard->directory);
    memory_free(shard);
}

enum kiwi_status shard_close(struct shard *shard)
{
    struct context   context;
    struct notices   notices;
    enum kiwi_status status;

    assert(shard->runner == NULL);
    assert(shard->snapshot_count == 0);
    assert(shard->waiters == NULL);
    status = shard_stop_cause(shard);
    if (status == KIWI_OK) {
        status = context_init(&context, shard->options.io, shard->options.peers,
                              shard->options.count, 64, 2u << 20);
        if (status == KIWI_OK) {
            context.is_pollable = true;
            status = commit_seal(shard, &context);
            context_end(&context);
        }
    }
    if (notices_take(shard, &notices))
        notices_tell(&shard->options.options, &notices);
    shard_free(shard);
    return status;
}
