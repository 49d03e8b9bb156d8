/*
 * scan.c: fills an iterator's chunk of rows from one shard: memtables and runs merged, one version
 * of each key, as of the iterator's sequence.
 *
 *   fill ─► all inputs at the position ─► merge ─► rows copied out ─► done
 *     ▲        │ blocks missing
 *     │        ▼
 *     └── read all of them together (the context's queue), then fill again from the start
 *
 * A fill keeps nothing between two visits but the position, the blocks it has read and the version,
 * so nothing inside the shard depends on how long the device takes. The iterator's registered
 * snapshot keeps what it may see alive.
 */
#include "core/shard/scan_state.h"

#include <string.h>

#include "core/base/memory.h"

#define READ_AHEAD_MAX_BYTES (256u << 10)
/* What a scan pays, rounded: a run more took a fill 0.75 us with blocks in memory, and a read of
 * 4 KiB takes the device 53 to 63 us. That a row of a memtable costs one cold line more than a row
 * of a table is assumed. */
#define RUN_NS               1000u
#define RUN_READ_NS          50000u
#define MEMTABLE_ROW_NS      100u
#define TELL_NS              20000000u /* the runner looks at what was paid this often */
#define ENTRIES_PER_FILL_MAX 4096u /* so that entries that show nothing do not keep the token */

enum fill { FILL_DONE, FILL_WAITS, FILL_FAILED };

void scan_free(struct scan *scan)
{
    assert(scan->op == NULL);
    memory_free(scan->position.data);
    memory_free(scan->rows);
    memory_free(scan->bytes);
    memory_free(scan->blocks);
    if (scan->sources != NULL) {
        memory_free(scan->sources->runs);
        merge_close(scan->sources->merge);
        memory_free(scan->sources->decided.data);
        memory_free(scan->sources);
    }
}

/* ---- inputs ---- */

static enum kiwi_status sources_grow(struct scan *scan, uint32_t run_count)
{
    struct scan_sources *sources = scan->sources;

    if (sources == NULL) {
        sources = scan->sources = memory_allocate_zeroed(sizeof *sources);
        if (sources == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory for an iterator");
    }
    if (sources->run_capacity < run_count) {
        uint32_t           capacity = run_count + 8;
        struct run_cursor *runs = memory_resize(sources->runs, capacity * sizeof *runs);

        if (runs == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory for an iterator over %u runs", run_count);
        sources->runs = runs;
        sources->run_capacity = capacity;
    }
    if (sources->merge == NULL) {
        struct iter *none[MERGE_INPUT_MAX] = { 0 };
        memtable_cursor_init(&sources->memtables[0], scan->shard->active);
        for (uint32_t i = 0; i < MERGE_INPUT_MAX; i++)
            none[i] = &sources->memtables[0].iter;
        return merge_open(none, MERGE_INPUT_MAX, &sources->merge);
    }
    return KIWI_OK;
}

static void source_add(struct scan_sources *sources, struct iter *iter, struct run *run)
{
    sources->inputs[sources->input_count] = iter;
    sources->input_runs[sources->input_count++] = run;
}

/* False when the whole run lies outside the bounds on the side the scan moves to. */
static bool run_may_matter(const struct scan *scan, const struct run *run)
{
    struct bytes position = bytes_of(scan->position.data, scan->position.size);

    if (run->table_count == 0)
        return false;
    if (scan->from_edge)
        return true;
    if (scan->is_backward)
        return bytes_compare(run->places[0].table->info.smallest, position) <= 0;
    return bytes_compare(run->places[run->table_count - 1].table->info.largest, position) >= 0;
}

static enum kiwi_status sources_open(struct shard *shard, struct scan *scan,
                                     const struct version *version)
{
    struct scan_sources *sources;
    uint32_t             run_count = 0, used = 0, memtable_count = 0;

    for (uint32_t i = 0; i < version->level_count; i++)
        run_count += version->levels[i].run_count;
    if (run_count + shard->frozen_count + 1 > MERGE_INPUT_MAX)
        return FAIL(KIWI_BUSY, "an iterator over %u runs (at most %u)", run_count,
                    MERGE_INPUT_MAX - shard->frozen_count - 1);
    TRY(sources_grow(scan, run_count));
    sources = scan->sources;
    sources->input_count = sources->used_count = 0;
    sources->entries_total = 1;
    if (memtable_entry_count(shard->active) > 0) {
        memtable_cursor_init(&sources->memtables[memtable_count], shard->active);
        source_add(sources, &sources->memtables[memtable_count++].iter, NULL);
    }
    for (uint32_t i = shard->frozen_count; i-- > 0;) {
        memtable_cursor_init(&sources->memtables[memtable_count], shard->frozen[i]->memtable);
        source_add(sources, &sources->memtables[memtable_count++].iter, NULL);
    }
    for (uint32_t i = 0; i < version->level_count; i++) {
        for (uint32_t k = 0; k < version->levels[i].run_count; k++) {
            struct run *run = version->levels[i].runs[k];
            sources->entries_total += run->entry_count;
            if (!run_may_matter(scan, run))
                continue;
            run_cursor_init(&sources->runs[used], run);
            source_add(sources, &sources->runs[used++].iter, run);
        }
    }
    return KIWI_OK;
}

static enum iter_state iter_position(struct iter *iter, const struct scan *scan)
{
    struct bytes position = bytes_of(scan->position.data, scan->position.size);

    if (scan->is_backward)
        return scan->from_edge ? iter_last(iter) : iter_seek_before(iter, position);
    if (scan->from_edge)
        return iter_first(iter);
    return iter_seek(iter, position, scan->is_inclusive ? scan->sequence : 0);
}

/* ---- blocks ---- */

/* From what this fill has read, or from the cache. NULL: it must be read. */
static const uint8_t *block_find(struct shard *shard, struct scan *scan, struct table *table,
                                 struct block_ref ref, enum kiwi_status *status)
{
    struct scan_sources *sources = scan->sources;

    for (uint32_t i = 0; i < scan->block_count; i++) {
        const struct scan_block *read = &scan->blocks[i];
        uint64_t                 end = read->request.offset + read->request.bytes;
        const uint8_t           *block;

        if (read->table != table || ref.offset < read->request.offset
            || ref.offset + ref.bytes > end)
            continue;
        if (read->request.status != KIWI_OK) {
            *status = read->request.status;
            return NULL;
        }
        block = (const uint8_t *)read->buffer + (ref.offset - read->request.offset);
        if (shard->options.options.read_verify) {
            *status = table_block_check(table, ref, block);
            if (*status != KIWI_OK) {
                damage_note(shard, io_file_path(table->file), ref.offset, ref.bytes);
                return NULL;
            }
        }
        if (sources->used_count < SCAN_USED_MAX)
            sources->used[sources->used_count++] = (struct scan_used){ table, ref, block };
        return block;
    }
    return cache_block_find(shard->cache, block_tier(ref.kind), table->info.id, ref.offset, 0);
}

/* How much to read at once: what the rows still wanted are likely to take in this run. */
static uint32_t read_bytes(const struct scan *scan, const struct run *run,
                           const struct table *table, struct block_ref ref)
{
    uint64_t rows, bytes;

    if (ref.kind != BLOCK_DATA || scan->is_backward || run == NULL)
        return ref.bytes;
    rows = (uint64_t)scan->row_limit * run->entry_count / scan->sources->entries_total;
    bytes = rows * (table->info.data_bytes / max_u64(table->info.entry_count, 1));
    bytes = bytes / 4096 * 4096 + ref.bytes;
    bytes = min_u64(bytes, READ_AHEAD_MAX_BYTES);
    bytes = max_u64(bytes, ref.bytes);
    return (uint32_t)min_u64(bytes, table->info.data_bytes - ref.offset);
}

static enum kiwi_status block_want(struct scan *scan, const struct run *run, struct table *table,
                                   struct block_ref ref)
{
    uint32_t unit = io_file_read_unit(table->file);
    uint64_t offset = ref.offset / unit * unit;
    uint64_t end = round_up_u64(ref.offset + read_bytes(scan, run, table, ref), unit);

    if (scan->blocks == NULL) {
        scan->blocks = memory_allocate(SCAN_BLOCK_MAX * sizeof *scan->blocks);
        if (scan->blocks == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory for an iterator's blocks");
    }
    if (scan->block_count == SCAN_BLOCK_MAX)
        return FAIL(KIWI_BUSY, "an iterator needs more than %u blocks at once", SCAN_BLOCK_MAX);
    scan->blocks[scan->block_count++] = (struct scan_block){
        .table = table,
        .scan = scan,
        .request = { .offset = offset, .bytes = (uint32_t)(end - offset), .status = KIWI_BUSY },
    };
    scan->blocks_missing++;
    return KIWI_OK;
}

static void wanted_prefetch(const struct shard *shard, const struct iter *iter,
                            enum cache_fetch fetch)
{
    cache_block_prefetch(shard->cache, block_tier(iter->wanted.kind), iter->wanted_table->info.id,
                         iter->wanted.offset, fetch);
}

/* Supplies the block that each of these inputs wants. *count: afterwards those that want another
 * one. Blocks that are not in memory are noted, to be read together. */
static enum kiwi_status inputs_supply(struct shard *shard, struct scan *scan, uint32_t *inputs,
                                      uint32_t *count)
{
    const uint8_t *blocks[MERGE_INPUT_MAX];
    uint32_t       found = 0, wanting = 0;

    for (uint32_t k = 0; k < *count; k++) {
        struct iter     *iter = scan->sources->inputs[inputs[k]];
        enum kiwi_status status = KIWI_OK;

        blocks[found] = block_find(shard, scan, iter->wanted_table, iter->wanted, &status);
        TRY(status);
        if (blocks[found] == NULL) {
            TRY(block_want(scan, scan->sources->input_runs[inputs[k]], iter->wanted_table,
                           iter->wanted));
            continue;
        }
        wanted_prefetch(shard, iter, CACHE_FETCH_BLOCK);
        inputs[found++] = inputs[k];
    }
    for (uint32_t k = 0; k < found; k++) {
        struct iter    *iter = scan->sources->inputs[inputs[k]];
        enum iter_state state = iter_supply(iter, blocks[k]);

        if (state == ITER_FAILED)
            return iter->status;
        if (state != ITER_WANTS_BLOCK)
            continue;
        wanted_prefetch(shard, iter, CACHE_FETCH_LINE);
        inputs[wanting++] = inputs[k];
    }
    *count = wanting;
    return KIWI_OK;
}

static void memtables_prepare(struct scan *scan)
{
    struct scan_sources *sources = scan->sources;
    struct bytes         position = bytes_of(scan->position.data, scan->position.size);
    uint64_t sequence = !scan->is_backward && scan->is_inclusive ? scan->sequence : 0;

    for (uint32_t i = 0; i < sources->input_count && !scan->from_edge; i++)
        if (sources->input_runs[i] == NULL)
            memtable_cursor_prepare(container_of(sources->inputs[i], struct memtable_cursor, iter),
                                    position, sequence);
}

/* Places every input on its own, a step of each at a time: what one step fetches from memory comes
 * while others go on. Afterwards blocks are missing, or all are placed. */
static enum kiwi_status inputs_place(struct shard *shard, struct scan *scan)
{
    struct scan_sources *sources = scan->sources;
    uint32_t             inputs[MERGE_INPUT_MAX], count = 0;

    for (uint32_t i = 0; i < sources->input_count; i++) {
        struct iter *iter = sources->inputs[i];

        if (sources->input_runs[i] == NULL || iter_position(iter, scan) != ITER_WANTS_BLOCK)
            continue;
        wanted_prefetch(shard, iter, CACHE_FETCH_LINE);
        inputs[count++] = i;
    }
    TRY(inputs_supply(shard, scan, inputs, &count)); /* blocks of the index */
    memtables_prepare(scan);
    for (uint32_t k = 0; k < count; k++)
        wanted_prefetch(shard, sources->inputs[inputs[k]], CACHE_FETCH_SLOT);
    for (uint32_t i = 0; i < sources->input_count; i++)
        if (sources->input_runs[i] == NULL)
            (void)iter_position(sources->inputs[i], scan); /* a memtable never waits or fails */
    while (count > 0)
        TRY(inputs_supply(shard, scan, inputs, &count));
    return KIWI_OK;
}

/* ---- rows ---- */

enum kiwi_status scan_rows_grow(struct scan *scan, uint32_t need)
{
    uint32_t capacity = (uint32_t)max_u64(need, max_u64(64, 2 * (uint64_t)scan->row_capacity));
    struct scan_row *rows = memory_resize(scan->rows, capacity * sizeof *rows);

    if (rows == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for an iterator's rows");
    scan->rows = rows;
    scan->row_capacity = capacity;
    return KIWI_OK;
}

enum kiwi_status scan_bytes_grow(struct scan *scan, uint64_t need)
{
    uint64_t capacity = max_u64(need, min_u64((uint64_t)scan->bytes_capacity * 2, 1u << 30));
    uint8_t *bytes = memory_resize(scan->bytes, max_u64(capacity, 16384));

    if (bytes == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for an iterator's rows");
    scan->bytes = bytes;
    scan->bytes_capacity = (uint32_t)max_u64(capacity, 16384);
    return KIWI_OK;
}

static inline enum kiwi_status row_add(struct scan *scan, const struct entry *entry)
{
    uint64_t         need = (uint64_t)scan->bytes_used + entry->key.size + entry->value.size;
    struct scan_row *row;

    if (UNLIKELY(scan->row_count == scan->row_capacity))
        TRY(scan_rows_grow(scan, scan->row_count + 1));
    if (UNLIKELY(need >= scan->bytes_capacity)) /* also for a first row of no bytes */
        TRY(scan_bytes_grow(scan, need + 1));
    row = &scan->rows[scan->row_count++];
    row->offset = scan->bytes_used;
    row->key_bytes = (uint32_t)entry->key.size;
    row->value_bytes = (uint32_t)entry->value.size;
    key_copy(scan->bytes + row->offset, entry->key.data, entry->key.size);
    if (entry->value.size > 0)
        memcpy(scan->bytes + row->offset + row->key_bytes, entry->value.data, entry->value.size);
    scan->bytes_used = (uint32_t)need;
    return KIWI_OK;
}

static bool is_outside(const struct scan *scan, struct bytes key)
{
    if (scan->is_backward)
        return scan->lower.data != NULL && bytes_compare(key, scan->lower) < 0;
    return scan->upper.data != NULL && bytes_compare(key, scan->upper) >= 0;
}

/* Keys on the near side of the start that seeks may land on. */
static bool is_before_start(const struct scan *scan, struct bytes key)
{
    if (LIKELY(!scan->is_backward))
        return scan->lower.data != NULL && bytes_compare(key, scan->lower) < 0;
    if (scan->upper.data != NULL && bytes_compare(key, scan->upper) >= 0)
        return true;
    return !scan->from_edge && !scan->is_inclusive
        && bytes_equal(key, bytes_of(scan->position.data, scan->position.size));
}

/* Until the input, or the merge, is at an entry, at its end, or lacks a block that is not in
 * memory. */
static enum iter_state iter_feed(struct shard *shard, struct scan *scan, struct iter *iter,
                                 enum iter_state state, enum kiwi_status *status)
{
    while (state == ITER_WANTS_BLOCK) {
        const uint8_t *block = block_find(shard, scan, iter->wanted_table, iter->wanted, status);

        if (block == NULL)
            return *status == KIWI_OK ? ITER_WANTS_BLOCK : ITER_FAILED;
        state = iter_supply(iter, block);
    }
    if (state == ITER_FAILED)
        *status = iter->status;
    return state;
}

enum kiwi_status scan_key_keep(struct kiwi_buffer *kept, struct bytes key)
{
    if (kept->capacity < key.size) {
        void *data = memory_resize(kept->data, key.size + 64);
        if (data == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory for an iterator's key");
        kept->data = data;
        kept->capacity = key.size + 64;
    }
    if (key.size > 0)
        memcpy(kept->data, key.data, key.size);
    kept->size = key.size;
    return KIWI_OK;
}

/* The key decided last: a row of the chunk, or, for a deleted key, a copy. */
bool scan_is_kept(const struct scan *scan, struct bytes key)
{
    const struct scan_sources *sources = scan->sources;
    const uint8_t             *kept;
    uint64_t                   a, b;

    if (!sources->has_decided || sources->decided_bytes != key.size)
        return false;
    kept = sources->decided_row ? scan->bytes + scan->rows[scan->row_count - 1].offset
                                : sources->decided.data;
    if (key.size < 8)
        return key.size == 0 || memcmp(kept, key.data, key.size) == 0;
    /* Neighbours differ at the end, so one look there usually tells. */
    memcpy(&a, kept + key.size - 8, 8);
    memcpy(&b, key.data + key.size - 8, 8);
    if (a != b)
        return false;
    return memcmp(kept, key.data, key.size - 8) == 0;
}

static inline enum kiwi_status entry_decide(struct scan *scan, const struct entry *entry)
{
    struct scan_sources *sources = scan->sources;

    sources->has_decided = true;
    sources->decided_bytes = entry->key.size;
    sources->decided_row = entry->kind == ENTRY_PUT;
    return sources->decided_row ? row_add(scan, entry)
                                : scan_key_keep(&sources->decided, entry->key);
}

/* Going down, versions come oldest first: each visible one replaces the one before. */
static enum kiwi_status entry_backward(struct scan *scan, const struct entry *entry)
{
    struct scan_sources *sources = scan->sources;

    if (scan_is_kept(scan, entry->key)) {
        scan->row_count = sources->candidate_row;
        scan->bytes_used = sources->candidate_bytes;
    }
    sources->candidate_row = scan->row_count;
    sources->candidate_bytes = scan->bytes_used;
    return entry_decide(scan, entry);
}

/* Going up, the first visible version of a key decides it. */
static inline enum kiwi_status entry_forward(struct scan *scan, const struct entry *entry)
{
    if (entry->sequence > scan->sequence || scan_is_kept(scan, entry->key))
        return KIWI_OK;
    return entry_decide(scan, entry);
}

/* Ends a fill that has looked at many entries, if it may end at this one: going on there must show
 * the same, and must get beyond it. */
static bool slice_end(struct scan *scan, const struct entry *entry, enum kiwi_status *status)
{
    bool is_visible = entry->sequence <= scan->sequence;

    if (is_before_start(scan, entry->key))
        return false;
    if (scan_is_kept(scan, entry->key))
        return !scan->is_backward || !is_visible; /* going down, visible ones replace it still */
    /* Going up, a seek to the key passes all versions that are too new. Going down they come last:
     * at the first of them the key is known to have none to show. */
    *status = scan_key_keep(&scan->position, entry->key);
    scan->from_edge = false;
    scan->is_inclusive = !scan->is_backward || is_visible;
    scan->sources->has_decided = false;
    return true;
}

/* Entry by entry. examined: so many were looked at before. */
static enum iter_state rows_collect(struct shard *shard, struct scan *scan, uint32_t examined,
                                    enum kiwi_status *status)
{
    struct scan_sources *sources = scan->sources;
    struct iter         *merged = merge_iter(sources->merge);
    enum iter_state      state;

    merge_reset(sources->merge, sources->inputs, sources->input_count);
    state = merge_start(sources->merge, scan->is_backward);
    for (; state == ITER_AT_ENTRY; examined++) {
        const struct entry *entry = &merged->entry;

        if (is_outside(scan, entry->key))
            return ITER_END;
        if (UNLIKELY(examined >= ENTRIES_PER_FILL_MAX) && slice_end(scan, entry, status))
            return *status == KIWI_OK ? ITER_AT_ENTRY : ITER_FAILED;
        if (entry->sequence <= scan->sequence && !is_before_start(scan, entry->key)) {
            /* Going down, a key is left only once all its versions were seen. */
            if (scan_is_full(scan) && (!scan->is_backward || !scan_is_kept(scan, entry->key)))
                return ITER_AT_ENTRY;
            *status = scan->is_backward ? entry_backward(scan, entry) : entry_forward(scan, entry);
        }
        if (*status != KIWI_OK)
            return ITER_FAILED;
        state = iter_feed(shard, scan, merged,
                          scan->is_backward ? iter_previous(merged) : iter_next(merged), status);
    }
    sources->waiting = merged;
    return state;
}

/* The inputs go on behind what was taken from them. */
static enum iter_state windows_leave(struct shard *shard, struct scan *scan,
                                     enum kiwi_status *status)
{
    struct scan_sources *sources = scan->sources;

    for (uint32_t i = 0; i < sources->windows.count; i++) {
        struct window  *window = &sources->windows.each[i];
        struct iter    *iter = sources->inputs[window->input];
        enum iter_state state;

        if (window->taken == 0)
            continue;
        window_leave(window);
        state = iter_feed(shard, scan, iter, iter_next(iter), status);
        sources->waiting = iter;
        if (state != ITER_AT_ENTRY && state != ITER_END)
            return state;
    }
    return ITER_AT_ENTRY;
}

/* Many entries at once. */
static enum iter_state rows_collect_forward(struct shard *shard, struct scan *scan,
                                            enum kiwi_status *status)
{
    struct windows *windows = &scan->sources->windows;
    enum iter_state state;
    uint32_t        examined = 0;

    for (;;) {
        if (UNLIKELY(examined >= ENTRIES_PER_FILL_MAX) || !windows_open(scan))
            return rows_collect(shard, scan, examined, status);
        if (windows->count == 0)
            return ITER_END;
        if ((*status = windows_take(shard, scan, &examined)) != KIWI_OK)
            return ITER_FAILED;
        if (scan_is_full(scan))
            return ITER_AT_ENTRY;
        if (windows->is_outside)
            return ITER_END;
        state = windows_leave(shard, scan, status);
        if (state != ITER_AT_ENTRY)
            return state;
    }
}

/* ---- the fill ---- */

static enum fill fill_wants(struct scan *scan, struct table *table, struct block_ref ref)
{
    scan->status = block_want(scan, NULL, table, ref);
    return scan->status == KIWI_OK ? FILL_WAITS : FILL_FAILED;
}

static enum fill scan_fill(struct shard *shard, struct scan *scan, const struct version *version)
{
    enum kiwi_status     status = KIWI_OK;
    enum iter_state      state;
    struct scan_sources *sources;

    scan->row_count = scan->row_index = scan->bytes_used = 0;
    scan->at_end = false;
    if ((scan->status = sources_open(shard, scan, version)) != KIWI_OK)
        return FILL_FAILED;
    sources = scan->sources;
    sources->has_decided = false;
    sources->memtable_rows = 0;
    if (sources->input_count == 0) {
        scan->at_end = true;
        return FILL_DONE;
    }
    if ((scan->status = inputs_place(shard, scan)) != KIWI_OK)
        return FILL_FAILED;
    if (scan->blocks_missing > 0)
        return FILL_WAITS;
    state = scan->is_backward ? rows_collect(shard, scan, 0, &status)
                              : rows_collect_forward(shard, scan, &status);
    if (state == ITER_WANTS_BLOCK && (scan->is_backward || scan->row_count == 0))
        return fill_wants(scan, sources->waiting->wanted_table, sources->waiting->wanted);
    scan->at_end = state == ITER_END;
    if ((scan->status = status) != KIWI_OK)
        return FILL_FAILED;
    if (sources->has_decided) {
        const void *key = sources->decided_row
                        ? scan->bytes + scan->rows[scan->row_count - 1].offset
                        : (const uint8_t *)sources->decided.data;

        scan->status = scan_key_keep(&scan->position, bytes_of(key, sources->decided_bytes));
        scan->from_edge = scan->is_inclusive = false;
    }
    return scan->status == KIWI_OK ? FILL_DONE : FILL_FAILED;
}

/* Keeps account of what more than one run and the memtable cost, until merging or flushing them is
 * the cheaper (compact/pick.h). */
static void fill_account(struct shard *shard, const struct scan *scan)
{
    const struct scan_sources *sources = scan->sources;
    uint32_t                   runs = 0;

    for (uint32_t i = 0; i < sources->input_count; i++)
        runs += sources->input_runs[i] != NULL;
    if (runs > 1)
        shard->scan_runs_ns += (uint64_t)(runs - 1) * RUN_NS
                             + (uint64_t)scan->block_count * (runs - 1) / runs * RUN_READ_NS;
    shard->scan_memtable_ns += (uint64_t)sources->memtable_rows * MEMTABLE_ROW_NS;
    if (shard->scan_runs_ns + shard->scan_memtable_ns < shard->scan_told_ns || !shard->is_quiet)
        return;
    shard->scan_told_ns = shard->scan_runs_ns + shard->scan_memtable_ns + TELL_NS;
    shard->pick_is_stale = true;
    background_wake(shard);
}

/* Back to the iterator's thread: to read, or with rows. */
static void scan_return(struct scan *scan, struct context *executor)
{
    if (executor == scan->context)
        scan_handle(scan);
    else
        context_post(scan->context, &scan->task);
}

static void blocks_keep(struct shard *shard, struct scan *scan)
{
    struct scan_sources *sources = scan->sources;

    for (uint32_t i = 0; i < sources->used_count && !scan->no_fill; i++)
        cache_block_insert(shard->cache, block_tier(sources->used[i].ref.kind),
                           sources->used[i].table->info.id, sources->used[i].ref.offset,
                           sources->used[i].block, sources->used[i].ref.bytes);
    sources->used_count = 0;
}

/* A flush may have been published while the device was read: memtables and version must be of the
 * same moment, so a fill always uses the present ones. What was read for other tables is lost. */
static void version_refresh(struct shard *shard, struct scan *scan)
{
    if (scan->version == NULL || scan->version == version_present(shard->versions))
        return;
    for (uint32_t i = 0; i < scan->block_count; i++)
        scan->blocks[i].table = NULL;
    version_release(scan->version);
    scan->version = NULL;
}

void scan_run(struct shard *shard, struct scan *scan, struct context *executor)
{
    enum fill fill;

    if (scan->counts_seek)
        shard->counters.scans++;
    scan->counts_seek = false;
    version_refresh(shard, scan);
    fill = scan_fill(shard, scan, version_present(shard->versions));

    if (fill == FILL_WAITS) {
        if (scan->version == NULL)
            scan->version = version_hold(shard->versions);
        scan_return(scan, executor);
        return;
    }
    /* A fill that failed may have wanted blocks before: nobody has started to read them. */
    assert(fill == FILL_FAILED || scan->blocks_missing == 0);
    scan->block_count -= scan->blocks_missing;
    scan->blocks_missing = 0;
    if (scan->sources != NULL) {
        blocks_keep(shard, scan);
        fill_account(shard, scan);
    }
    if (scan->version != NULL) {
        version_release(scan->version);
        scan->version = NULL;
    }
    shard->counters.scan_rows += scan->row_count;
    if (fill == FILL_FAILED) {
        scan->row_count = 0;
        if (executor != scan->context && scan->failure_text == NULL)
            scan->failure_text = failure_text_copy(scan->status);
    }
    scan_return(scan, executor);
}

/* ---- on the context's thread ---- */

static void scan_block_done(struct io_request *request)
{
    struct scan_block *block = container_of(request, struct scan_block, request);
    struct scan       *scan = block->scan;

    assert(scan->blocks_missing > 0);
    if (request->status != KIWI_OK && scan->failure_text == NULL)
        scan->failure_text = failure_text_copy(request->status);
    if (--scan->blocks_missing == 0)
        shard_run(scan->shard, &scan->task, scan->context);
}

static void scan_blocks_free(struct scan *scan)
{
    for (uint32_t i = 0; i < scan->block_count; i++)
        if (scan->blocks[i].buffer != NULL)
            context_buffer_give(scan->context, scan->blocks[i].buffer,
                                scan->blocks[i].request.bytes);
    scan->block_count = 0;
}

void scan_handle(struct scan *scan)
{
    failure_text_take(&scan->failure_text);
    if (scan->blocks_missing == 0) {
        scan_blocks_free(scan);
        scan->context->scan_arrived(scan);
        return;
    }
    uint32_t first = scan->block_count - scan->blocks_missing, last = scan->block_count;

    /* One more than there are, so that none of them brings the scan back before all are added. */
    scan->blocks_missing++;
    for (uint32_t i = first; i < last; i++) {
        struct scan_block *block = &scan->blocks[i];

        block->request.file = block->table->file;
        block->request.verb = IO_READ;
        block->request.class_of_service = IO_CLASS_READ;
        block->request.done = scan_block_done;
        block->buffer = context_buffer_take(scan->context, block->request.bytes);
        block->request.buffer = block->buffer;
        if (block->buffer == NULL) {
            block->request.status = FAIL(KIWI_NO_MEMORY, "no buffer for an iterator's block");
            scan->blocks_missing--;
            continue;
        }
        io_queue_add(scan->context->queue, &block->request);
    }
    if (--scan->blocks_missing == 0)
        shard_run(scan->shard, &scan->task, scan->context);
}
