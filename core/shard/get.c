/*
 * get.c: newest first, one place that waits.
 *
 *   record cache ─► active memtable ─► frozen, newest first ─► L0 runs, newest first ─► L1 ... Ln
 *                                                              │ filter, index, data block
 *                                          in memory: go on ◄──┤
 *                                                              ▼ not in memory
 *     back to its context: one device read, verified there ─► STEP_RESUME, the block in its buffer
 *
 * A get holds the version it walks while it waits. What it found goes into the record cache, unless
 * the key was written meanwhile (the stamp tells).
 */
#include "core/shard/shard.h"

#include <string.h>

#include "core/base/histogram.h"
#include "core/base/memory.h"

#define LATENCY_SAMPLE_MASK 31u /* one in 32 gets that memory answers is timed */

static struct read *read_take(struct shard *shard)
{
    struct read *read = shard->read_free;

    if (read != NULL) {
        shard->read_free = read->next_free;
        return read;
    }
    return memory_allocate(sizeof *read);
}

static void read_give(struct shard *shard, struct read *read)
{
    read->next_free = shard->read_free;
    shard->read_free = read;
}

/* ---- the result ---- */

static enum kiwi_status value_copy(struct kiwi_op *op, struct bytes value)
{
    op->value_bytes = value.size;
    if (UNLIKELY(value.size > op->buffer_bytes))
        return KIWI_TOO_SMALL;
    if (value.size > 0)
        memcpy(op->buffer, value.data, value.size);
    return KIWI_OK;
}

static void answer_count(struct shard *shard, struct kiwi_op *op, enum kiwi_answer answer,
                         uint64_t start_ns)
{
    shard->counters.answer_gets[answer]++;
    if (UNLIKELY(start_ns != 0)) {
        uint64_t total = io_now_ns(shard->options.io) - start_ns;
        histogram_record(&shard->counters.answer_latencies[answer], total);
        if (op->explain != NULL)
            op->explain->total_ns = total;
    }
}

static enum kiwi_answer answer_of(enum kiwi_source source, uint8_t level)
{
    switch (source) {
    case KIWI_FROM_RECORD_CACHE: return KIWI_ANSWER_RECORD_CACHE;
    case KIWI_FROM_MEMTABLE:     return KIWI_ANSWER_MEMTABLE;
    case KIWI_FROM_FROZEN:       return KIWI_ANSWER_FROZEN;
    case KIWI_FROM_LEVEL:        return (enum kiwi_answer)(KIWI_ANSWER_LEVEL0 + level);
    case KIWI_FROM_NOTHING:      break;
    }
    return KIWI_ANSWER_NOTHING;
}

/* Copies the result into the operation and counts it. found: NULL when there is no such key. */
static enum kiwi_status get_fill(struct shard *shard, struct kiwi_op *op, enum kiwi_source source,
                                 uint8_t level, const struct entry *found, uint64_t start_ns)
{
    enum kiwi_status status = KIWI_NOT_FOUND;

    op->value_bytes = 0;
    op->sequence = 0;
    if (found != NULL) {
        op->sequence = found->sequence;
        if (found->kind == ENTRY_PUT)
            status = value_copy(op, found->value);
    }
    op->source = (uint8_t)source;
    op->level = level;
    if (op->explain != NULL) {
        op->explain->source = (uint8_t)source;
        op->explain->level = level;
    }
    if (!shard->options.options.statistics_off)
        answer_count(shard, op, answer_of(source, level), start_ns);
    return status;
}

/* The last step: nothing may touch the operation after it. */
static void get_end(struct shard *shard, struct kiwi_op *op, enum kiwi_status status,
                    struct context *executor)
{
    if (UNLIKELY(op->flags & KIWI_FLAG_STRICT_READ)
        && op->sequence > wal_durable_sequence(shard->wal)) {
        struct op_state *state = op_state(op);
        struct waiter   *waiter = (struct waiter *)(void *)&state->waiter;

        if (wal_status(shard->wal) != KIWI_OK) { /* it will never be durable */
            op_finish(op, FAIL(KIWI_STOPPED,
                               "shard %u of %s: what was read is not durable, and its "
                               "log has failed", shard->index, shard->directory), executor);
            return;
        }
        *waiter = (struct waiter){ .sequence = op->sequence, .op = op };
        state->step = STEP_WAIT;
        state->strict_status = (uint8_t)status;
        if (state->is_blocking)
            state->context->waits_in_log = true;
        commit_wait(shard, waiter);
        return;
    }
    op_finish(op, status, executor);
}

/* ---- tables ---- */

static void table_left_count(struct shard *shard, struct kiwi_op *op, const struct table_get *get,
                             uint32_t level)
{
    struct kiwi_level_stats *stats = &shard->counters.levels[level];

    stats->filter_checks++;
    if (get->was_filtered)
        stats->filter_skips++;
    else if (get->data_blocks > 0)
        stats->filter_false++;
    if (op->explain != NULL) {
        if (get->was_filtered)
            op->explain->filter_skips++;
        else if (get->data_blocks > 0)
            op->explain->filter_false++;
    }
}

/* Looks the wanted block up in memory. NULL: it must be read. */
static const uint8_t *block_in_memory(struct shard *shard, struct kiwi_op *op,
                                      const struct table_get *get)
{
    const uint8_t *block = cache_block_find(shard->cache, block_tier(get->wanted.kind),
                                            get->table->info.id, get->wanted.offset, get->hash);

    if (block != NULL && op->explain != NULL)
        op->explain->blocks_cached++;
    return block;
}

/* The entry is copied out first: an insert may move what lookups have found. */
static enum kiwi_status table_fill(struct shard *shard, struct kiwi_op *op, struct read *read)
{
    const struct table_get *get = &read->get;
    uint8_t                 level = (uint8_t)read->level;
    enum kiwi_status        status;

    status = get_fill(shard, op, KIWI_FROM_LEVEL, level, &get->found, read->start_ns);
    if (status == KIWI_OK && op->snapshot == NULL && (op->flags & KIWI_FLAG_NO_FILL) == 0)
        cache_record_insert(shard->cache, get->hash, get->key,
                            bytes_of(op->buffer, op->value_bytes), get->found.sequence,
                            read->stamp);
    if (op->explain != NULL)
        op->explain->table_id = get->table->info.id;
    shard->counters.levels[level].filter_checks++;
    return status;
}

enum walk { WALK_FOUND, WALK_ABSENT, WALK_READ };

/* From one table to the next older one that may hold the key, until found, absent or a block is
 * missing. answer: what the present table said last (TABLE_ABSENT at the start: go to the next). */
static enum walk tables_walk(struct shard *shard, struct kiwi_op *op, struct read *read,
                             const struct version *version, enum table_answer answer, bool in_table)
{
    struct table_get *get = &read->get;

    for (;;) {
        while (answer == TABLE_WANTS_BLOCK) {
            const uint8_t *block = block_in_memory(shard, op, get);
            if (block == NULL)
                return WALK_READ;
            answer = table_get_step(get, block);
        }
        if (answer == TABLE_FOUND)
            return WALK_FOUND;
        if (in_table) {
            if (!shard->options.options.statistics_off)
                table_left_count(shard, op, get, read->level);
            read->run++;
            in_table = false;
        }
        if (read->level >= version->level_count)
            return WALK_ABSENT;
        const struct level *level = &version->levels[read->level];
        if (read->run >= level->run_count) {
            read->level++;
            read->run = 0;
            continue;
        }
        const struct table_place *place = run_find(level->runs[read->run], get->key);
        if (place == NULL) {
            read->run++;
            continue;
        }
        if (op->explain != NULL)
            op->explain->tables_considered++;
        in_table = true;
        answer = table_get_start(get, place->table, get->key, get->hash, read->sequence_max);
    }
}

/* Where the wanted block stands in what was read. */
static uint8_t *read_block(const struct read *read)
{
    return (uint8_t *)read->request.buffer + (read->get.wanted.offset - read->request.offset);
}

static void read_block_done(struct io_request *request)
{
    struct read     *read = container_of(request, struct read, request);
    struct op_state *state = op_state(read->op);
    enum kiwi_status status = request->status;
    struct context  *context = state->context;

    if (status == KIWI_OK && context->shards[read->op->shard]->options.options.read_verify)
        status = table_block_check(read->get.table, read->get.wanted, read_block(read));
    request->status = status;
    if (UNLIKELY(status != KIWI_OK)) /* another thread may go on with it */
        state->failure_text = failure_text_copy(status);
    state->step = STEP_RESUME;
    shard_run(context->shards[read->op->shard], &state->task, context);
}

/* On the context's thread, outside any shard. */
void get_read_start(struct kiwi_op *op)
{
    struct op_state *state = op_state(op);
    struct read     *read = state->read;
    uint32_t         unit = io_file_read_unit(read->get.table->file);
    uint64_t         offset = read->get.wanted.offset / unit * unit;
    uint32_t         bytes = (uint32_t)(round_up_u64(read->get.wanted.offset
                                                         + read->get.wanted.bytes, unit) - offset);

    if (state->buffer != NULL && state->buffer_bytes < bytes) {
        context_buffer_give(state->context, state->buffer, state->buffer_bytes);
        state->buffer = NULL;
    }
    if (state->buffer == NULL) {
        state->buffer = context_buffer_take(state->context, bytes);
        state->buffer_bytes = bytes;
    }
    read->request = (struct io_request){
        .file = read->get.table->file,
        .buffer = state->buffer,
        .offset = offset,
        .bytes = bytes,
        .verb = IO_READ,
        .class_of_service = IO_CLASS_READ,
        .done = read_block_done,
    };
    if (state->buffer == NULL) {
        read->request.status = FAIL(KIWI_NO_MEMORY, "no buffer of %u bytes for a block", bytes);
        state->step = STEP_RESUME;
        shard_run(state->context->shards[op->shard], &state->task, state->context);
        return;
    }
    io_queue_add(state->context->queue, &read->request);
}

static void read_end(struct shard *shard, struct kiwi_op *op, struct read *read)
{
    version_release(read->version);
    read_give(shard, read);
    op_state(op)->read = NULL;
}

static void read_count(struct shard *shard, struct kiwi_op *op, const struct read *read)
{
    struct kiwi_level_stats *stats = &shard->counters.levels[read->level];

    stats->get_reads++;
    stats->get_read_bytes += read->request.bytes;
    shard->counters.reads_verified++;
    if (op->explain != NULL) {
        op->explain->blocks_read++;
        op->explain->bytes_read += read->request.bytes;
        op->explain->queue_ns += (uint64_t)read->request.queue_us * 1000;
        op->explain->device_ns += (uint64_t)read->request.device_us * 1000;
    }
}

/* The wanted block has come from the device. */
void get_resume(struct shard *shard, struct kiwi_op *op, struct context *executor)
{
    struct op_state  *state = op_state(op);
    struct read      *read = state->read;
    struct block_ref  ref = read->get.wanted;
    enum kiwi_status  status = read->request.status;

    if (status != KIWI_OK) {
        if (status == KIWI_CORRUPT)
            damage_note(shard, io_file_path(read->get.table->file), ref.offset, ref.bytes);
        read_end(shard, op, read);
        op_finish(op, status, executor);
        return;
    }
    read_count(shard, op, read);
    if ((op->flags & KIWI_FLAG_NO_FILL) == 0)
        cache_block_insert(shard->cache, block_tier(ref.kind), read->get.table->info.id, ref.offset,
                           read_block(read), ref.bytes);
    switch (tables_walk(shard, op, read, read->version,
                        table_get_step(&read->get, read_block(read)), true)) {
    case WALK_READ:
        op_return(op, STEP_READ, executor);
        return;
    case WALK_FOUND:
        status = table_fill(shard, op, read);
        break;
    case WALK_ABSENT:
        status = get_fill(shard, op, KIWI_FROM_NOTHING, 0, NULL, read->start_ns);
        break;
    }
    read_end(shard, op, read);
    get_end(shard, op, status, executor);
}

/* Not in memory's newest parts: walk the tables, first with a read on the stack. */
static void get_from_tables(struct shard *shard, struct kiwi_op *op, uint64_t sequence_max,
                            uint64_t start_ns, struct context *executor)
{
    struct op_state      *state = op_state(op);
    const struct version *version = version_present(shard->versions);
    struct read           read;
    struct read          *kept;

    read.get.key = bytes_of(op->key.data, op->key.size);
    read.get.hash = state->hash;
    read.level = read.run = 0;
    read.sequence_max = sequence_max;
    read.stamp = cache_record_stamp(shard->cache, state->hash);
    read.start_ns = start_ns;
    switch (tables_walk(shard, op, &read, version, TABLE_ABSENT, false)) {
    case WALK_FOUND:
        get_end(shard, op, table_fill(shard, op, &read), executor);
        return;
    case WALK_ABSENT:
        get_end(shard, op, get_fill(shard, op, KIWI_FROM_NOTHING, 0, NULL, start_ns), executor);
        return;
    case WALK_READ:
        break;
    }
    kept = read_take(shard);
    if (kept == NULL) {
        op_finish(op, FAIL(KIWI_NO_MEMORY, "no memory for a read"), executor);
        return;
    }
    *kept = read;
    kept->version = version_hold(shard->versions);
    kept->op = op;
    if (start_ns == 0)
        kept->start_ns = io_now_ns(shard->options.io);
    state->read = kept;
    op_return(op, STEP_READ, executor);
}

static uint64_t sample_start_ns(struct shard *shard, const struct kiwi_op *op)
{
    if (UNLIKELY(op->explain != NULL))
        return io_now_ns(shard->options.io);
    if (LIKELY((++shard->sample & LATENCY_SAMPLE_MASK) != 0)
        || shard->options.options.statistics_off)
        return 0;
    return io_now_ns(shard->options.io);
}

/* Record cache and memtables. False: only tables can tell. */
static bool find_in_memory(struct shard *shard, struct bytes key, uint64_t hash,
                           uint64_t sequence_max, struct entry *found, enum kiwi_source *source)
{
    struct cached_record record;

    if (cache_record_find(shard->cache, hash, key, &record) && record.sequence <= sequence_max) {
        *found = (struct entry){ key, record.value, record.sequence, ENTRY_PUT };
        *source = KIWI_FROM_RECORD_CACHE;
        return true;
    }
    *source = KIWI_FROM_MEMTABLE;
    if (memtable_get(shard->active, hash, key, sequence_max, found))
        return true;
    *source = KIWI_FROM_FROZEN;
    for (uint32_t i = shard->frozen_count; i-- > 0;)
        if (memtable_get(shard->frozen[i]->memtable, hash, key, sequence_max, found))
            return true;
    return false;
}

void get_run(struct shard *shard, struct kiwi_op *op, struct context *executor)
{
    uint64_t         sequence_max = SEQUENCE_MAX;
    uint64_t         start_ns = sample_start_ns(shard, op);
    struct entry     found;
    enum kiwi_source source;

    shard_op_prefetch(shard, op); /* the first lines of cache and memtable come together */
    shard->counters.gets++;
    if (op->snapshot != NULL)
        sequence_max = snapshot_sequence(op->snapshot, shard->index);
    if (op->explain != NULL)
        memset(op->explain, 0, sizeof *op->explain);
    if (LIKELY(find_in_memory(shard, bytes_of(op->key.data, op->key.size), op_state(op)->hash,
                              sequence_max, &found, &source)))
        get_end(shard, op, get_fill(shard, op, source, 0, &found, start_ns), executor);
    else
        get_from_tables(shard, op, sequence_max, start_ns, executor);
}
