/*
 * window.c: opening windows, finding their common order, copying rows.
 */
#include "core/shard/window.h"

#include <string.h>

#include "core/iter/head.h"
#include "core/shard/scan_state.h"

/* ---- opening ---- */

static struct bytes window_first_key(const struct scan *scan, const struct window *window)
{
    return scan->sources->inputs[window->input]->entry.key;
}

/* So many entries of so many bytes fit into what is left of the chunk, or one. */
static uint32_t count_fitting(const struct scan *scan, uint32_t count, uint64_t bytes)
{
    uint64_t room = scan->byte_limit - scan->bytes_used;

    if (LIKELY(bytes <= room))
        return count;
    return (uint32_t)max_u64(1, room * count / bytes);
}

static void window_of_table(const struct scan *scan, struct window *window, uint32_t max)
{
    const struct table_cursor *cursor = window->table;
    const struct data_block   *block = &cursor->data;
    uint32_t                   first = cursor->data_position;

    window->count = (uint32_t)min_u64(max, block->count - first);
    window->count = count_fitting(scan, window->count,
                                  data_block_offset(block, first + window->count)
                                      - data_block_offset(block, first));
    window->prefix_bytes = block->prefix_bytes;
}

/* Keys outside of their block's prefix: what the first and the last of them share. */
static void window_of_keys(struct window *window)
{
    const struct memtable_cursor *cursor = window->memtable;

    window->prefix_bytes =
        (uint32_t)bytes_shared(cursor->iter.entry.key,
                               memtable_cursor_look(cursor, window->count - 1).key);
}

static void window_of_memtable(const struct scan *scan, struct window *window, uint32_t max)
{
    const struct memtable_cursor *cursor = window->memtable;
    const struct memtable        *memtable = cursor->memtable;
    uint64_t mean = memtable_data_bytes(memtable) / memtable_entry_count(memtable);
    struct memtable_stretch stretch =
        memtable_cursor_stretch(cursor, count_fitting(scan, max, max * mean));

    window->count = stretch.count;
    window->prefix_bytes = stretch.prefix_bytes;
    if (UNLIKELY(stretch.heads == NULL))
        window_of_keys(window);
    else /* the prefix is changed to the windows' common one when that is known */
        memcpy(window->heads, stretch.heads, stretch.count * sizeof window->heads[0]);
    window->has_heads = stretch.heads != NULL;
}

/* Heads behind fewer bytes than they were taken behind. */
static void window_heads_shift(struct window *window, struct bytes first, uint32_t prefix_bytes)
{
    uint32_t more = window->prefix_bytes - prefix_bytes, shift = 8 * (uint32_t)min_u64(more, 8);
    uint64_t shared;

    if (more == 0)
        return;
    shared = bytes_head(bytes_of(first.data + prefix_bytes, min_u64(more, 8)));
    for (uint32_t i = 0; i < window->count; i++)
        window->heads[i] = shift == 64 ? shared : shared | window->heads[i] >> shift;
}

static void window_heads_set(const struct scan *scan, struct window *window, uint32_t prefix_bytes)
{
    if (window->table != NULL) {
        data_block_heads(&window->table->data, window->table->data_position, window->count,
                         prefix_bytes, window->heads);
        return;
    }
    if (LIKELY(window->has_heads)) {
        window_heads_shift(window, window_first_key(scan, window), prefix_bytes);
        return;
    }
    for (uint32_t i = 0; i < window->count; i++)
        window->heads[i] = head_behind(memtable_cursor_look(window->memtable, i).key,
                                       prefix_bytes);
}

bool windows_open(struct scan *scan)
{
    struct scan_sources *sources = scan->sources;
    struct windows      *windows = &sources->windows;
    struct bytes         one = { 0 };
    uint32_t             left = scan->row_limit - scan->row_count;
    uint32_t             max = (uint32_t)min_u64(left, WINDOW_ROWS_MAX);

    assert(!scan->is_backward);
    assert(!scan_is_full(scan));
    windows->count = 0;
    windows->limit = max;
    for (uint32_t i = 0; i < sources->input_count; i++) {
        struct iter   *iter = sources->inputs[i];
        struct window *window = &windows->each[windows->count];

        if (iter->state == ITER_END)
            continue;
        assert(iter->state == ITER_AT_ENTRY);
        if (windows->count == WINDOW_COUNT_MAX)
            return false;
        windows->count++;
        window->input = i;
        window->taken = 0;
        if (sources->input_runs[i] == NULL) {
            window->table = NULL;
            window->memtable = container_of(iter, struct memtable_cursor, iter);
            window_of_memtable(scan, window, max);
        } else {
            window->table = &container_of(iter, struct run_cursor, iter)->table;
            window_of_table(scan, window, max);
        }
        if (windows->count == 1) {
            one = iter->entry.key;
            windows->prefix_bytes = window->prefix_bytes;
        } else {
            windows->prefix_bytes = (uint32_t)min_u64(
                min_u64(windows->prefix_bytes, window->prefix_bytes),
                bytes_shared(one, iter->entry.key));
        }
    }
    for (uint32_t i = 0; i < windows->count; i++)
        window_heads_set(scan, &windows->each[i], windows->prefix_bytes);
    return true;
}

/* ---- their order ---- */

static struct entry window_entry(const struct window *window, uint32_t i, struct key_buffer *buffer)
{
    struct entry entry;

    if (window->table == NULL)
        return memtable_cursor_look(window->memtable, i);
    key_buffer_start(buffer, &window->table->data);
    data_block_entry(&window->table->data, window->table->data_position + i, buffer, &entry);
    return entry;
}

/* Heads are equal: whether b's next entry comes before a's, whose input is the newer one. */
static bool tie_is_before(const struct window *a, const struct window *b)
{
    struct key_buffer a_buffer, b_buffer;
    struct entry      x = window_entry(a, a->taken, &a_buffer);
    struct entry      y = window_entry(b, b->taken, &b_buffer);

    return entry_compare(&y, &x) < 0;
}

/* Heads from this one on may lie beyond the upper bound; those before surely do not. */
static uint64_t bound_head(const struct scan *scan)
{
    const struct windows *windows = &scan->sources->windows;
    struct bytes          prefix = window_first_key(scan, &windows->each[0]);

    if (scan->upper.data == NULL)
        return UINT64_MAX;
    prefix.size = windows->prefix_bytes;
    return head_of(scan->upper, prefix);
}

static bool is_beyond(const struct scan *scan, const struct window *window)
{
    struct key_buffer buffer;

    return scan->upper.data != NULL
        && bytes_compare(window_entry(window, window->taken, &buffer).key, scan->upper) >= 0;
}

static uint32_t order_one(const struct scan *scan, struct windows *windows, uint64_t bound)
{
    struct window *one = &windows->each[0];
    uint32_t       count = (uint32_t)min_u64(one->count, windows->limit);
    bool           has_equal = false;

    while (one->taken < count && !windows->is_outside) {
        if (LIKELY(one->heads[count - 1] < bound))
            one->taken = count;
        else if (one->heads[one->taken] >= bound && is_beyond(scan, one))
            windows->is_outside = true;
        else
            one->taken++;
    }
    for (uint32_t i = 0; i < one->taken; i++) {
        one->slots[i] = (uint8_t)i;
        has_equal |= i > 0 && one->heads[i] == one->heads[i - 1];
    }
    windows->needs_look |= has_equal;
    return one->taken;
}

/* The most usual case, without branches on what is as good as random. */
static uint32_t order_two(const struct scan *scan, struct windows *windows, uint64_t bound)
{
    struct window *a = &windows->each[0], *b = &windows->each[1];
    uint64_t       last = 0;
    uint32_t       i = 0, j = 0, row = 0, limit = windows->limit;
    const uint32_t i_end = a->count, j_end = b->count;
    bool           has_equal = false;

    for (; row < limit && i < i_end && j < j_end; row++) {
        uint64_t x = a->heads[i], y = b->heads[j];
        uint64_t head = y < x ? y : x;
        bool     is_b = y < x;

        if (UNLIKELY(x == y) || UNLIKELY(head >= bound)) {
            a->taken = i;
            b->taken = j;
            if (x == y)
                is_b = tie_is_before(a, b);
            if (head >= bound && is_beyond(scan, is_b ? b : a)) {
                windows->is_outside = true;
                break;
            }
        }
        has_equal |= head == last;
        last = head;
        a->slots[i] = b->slots[j] = (uint8_t)row;
        i += !is_b;
        j += is_b;
    }
    a->taken = i;
    b->taken = j;
    windows->needs_look |= has_equal;
    return row;
}

static uint32_t order_many(const struct scan *scan, struct windows *windows, uint64_t bound)
{
    uint64_t last = 0;
    uint32_t row = 0;

    while (row < windows->limit) {
        struct window *best = &windows->each[0];
        uint64_t       head = best->heads[best->taken];

        for (uint32_t i = 1; i < windows->count; i++) {
            struct window *other = &windows->each[i];
            uint64_t       y = other->heads[other->taken];

            if (y < head || (UNLIKELY(y == head) && tie_is_before(best, other))) {
                best = other;
                head = y;
            }
        }
        if (UNLIKELY(head >= bound) && is_beyond(scan, best)) {
            windows->is_outside = true;
            break;
        }
        windows->needs_look |= head == last;
        last = head;
        best->slots[best->taken++] = (uint8_t)row++;
        if (best->taken == best->count)
            break;
    }
    return row;
}

/* ---- rows ---- */

/* Where the next row's bytes go; NULL: the chunk takes no more, and rows from this one on are cut
 * off, or (status) there is no memory. */
static inline uint8_t *row_place(struct scan *scan, uint32_t row, uint64_t bytes, uint32_t *cut,
                                 enum kiwi_status *status)
{
    uint64_t need = scan->bytes_used + bytes + KEY_COPY_SLACK;

    if (UNLIKELY(scan->bytes_used >= scan->byte_limit) && row > 0) {
        *cut = (uint32_t)min_u64(*cut, row);
        return NULL;
    }
    if (UNLIKELY(need > scan->bytes_capacity)
        && (*status = scan_bytes_grow(scan, need)) != KIWI_OK)
        return NULL;
    return scan->bytes + scan->bytes_used;
}

static inline void row_set(struct scan *scan, uint32_t row, uint32_t key_bytes, uint32_t bytes)
{
    scan->rows[row] = (struct scan_row){
        .offset = scan->bytes_used,
        .key_bytes = key_bytes,
        .value_bytes = bytes - key_bytes,
    };
    scan->bytes_used += bytes;
}

static inline void mark(const struct scan *scan, struct windows *windows, uint32_t slot,
                        uint64_t sequence, bool is_delete)
{
    bool is_hidden = sequence > scan->sequence;

    if (UNLIKELY(is_hidden | is_delete)) {
        windows->marks[slot] = is_hidden ? MARK_HIDDEN : MARK_DELETE;
        windows->needs_look = true;
    }
}

/* The chunk takes them all, and has the memory. What the loop reads again and again is copied: for
 * all that the compiler knows, each byte that is written may be part of it. */
static void table_rows_copy_all(struct scan *scan, const struct window *window, uint32_t first_row)
{
    const struct table_cursor *cursor = window->table;
    const struct data_block    block = cursor->data;
    struct scan_row           *rows = scan->rows + first_row;
    uint8_t                   *bytes = scan->bytes;
    uint64_t                   sequence_max = scan->sequence;
    uint32_t used = scan->bytes_used, at = cursor->data_position, end = at + window->taken;

    for (const uint8_t *slot = window->slots; at < end; at++, slot++) {
        uint32_t size = data_block_entry_bytes(&block, at);
        uint32_t key_size = data_block_key_size(&block, at);
        uint64_t order = data_block_order(&block, at);

        data_block_copy(&block, at, &cursor->key, bytes + used);
        rows[*slot] = (struct scan_row){ used, key_size, size - key_size };
        used += size;
        if (UNLIKELY((order & 1) != 0 || block.sequence_min + (order >> 1) > sequence_max))
            mark(scan, &scan->sources->windows, *slot, block.sequence_min + (order >> 1),
                 (order & 1) != 0);
    }
    scan->bytes_used = used;
}

static enum kiwi_status table_rows_copy(struct scan *scan, const struct window *window,
                                        uint32_t first_row, uint32_t *cut)
{
    struct windows            *windows = &scan->sources->windows;
    const struct table_cursor *cursor = window->table;
    const struct data_block   *block = &cursor->data;
    uint32_t                   first = cursor->data_position;
    uint64_t                   need = (uint64_t)scan->bytes_used + KEY_COPY_SLACK;
    enum kiwi_status           status = KIWI_OK;

    need += data_block_offset(block, first + window->taken) - data_block_offset(block, first);
    need += (uint64_t)block->cut_bytes * window->taken;
    if (LIKELY(need <= scan->byte_limit) && LIKELY(need <= scan->bytes_capacity)) {
        table_rows_copy_all(scan, window, first_row);
        return KIWI_OK;
    }
    for (uint32_t i = 0; i < window->taken; i++) {
        uint32_t at = first + i, slot = window->slots[i];
        uint32_t bytes = data_block_entry_bytes(block, at);
        uint64_t order = data_block_order(block, at);
        uint8_t *target = row_place(scan, first_row + slot, bytes, cut, &status);

        if (UNLIKELY(target == NULL))
            break;
        data_block_copy(block, at, &cursor->key, target);
        row_set(scan, first_row + slot, data_block_key_size(block, at), bytes);
        mark(scan, windows, slot, block->sequence_min + (order >> 1), (order & 1) != 0);
    }
    return status;
}

static enum kiwi_status memtable_rows_copy(struct scan *scan, const struct window *window,
                                           uint32_t first_row, uint32_t *cut)
{
    struct windows  *windows = &scan->sources->windows;
    enum kiwi_status status = KIWI_OK;

    for (uint32_t i = 0; i < window->taken; i++) {
        struct entry entry = memtable_cursor_look(window->memtable, i);
        uint32_t     slot = window->slots[i];
        uint64_t     bytes = entry.key.size + entry.value.size;
        uint8_t     *target = row_place(scan, first_row + slot, bytes, cut, &status);

        if (UNLIKELY(target == NULL))
            break;
        assert(entry.value.data == entry.key.data + entry.key.size);
        memcpy(target, entry.key.data, bytes);
        row_set(scan, first_row + slot, (uint32_t)entry.key.size, (uint32_t)bytes);
        mark(scan, windows, slot, entry.sequence, entry.kind == ENTRY_DELETE);
    }
    return status;
}

/* Rows behind the chunk's last one were copied: leaves those that show something. */
static enum kiwi_status rows_look(struct scan *scan, uint32_t count)
{
    struct scan_sources *sources = scan->sources;
    uint32_t             first = scan->row_count;

    for (uint32_t slot = 0; slot < count; slot++) {
        struct bytes key = scan_row_key(scan, first + slot);

        if (sources->windows.marks[slot] == MARK_HIDDEN || scan_is_kept(scan, key))
            continue;
        sources->has_decided = true;
        sources->decided_bytes = key.size;
        sources->decided_row = sources->windows.marks[slot] == MARK_SHOWN;
        if (sources->decided_row)
            scan->rows[scan->row_count++] = scan->rows[first + slot];
        else
            TRY(scan_key_keep(&sources->decided, key));
    }
    return KIWI_OK;
}

/* Which windows' next blocks the rows still missing are likely to reach. */
static void next_blocks_choose(const struct scan *scan, uint32_t count)
{
    struct windows *windows = &scan->sources->windows;
    uint64_t        missing = scan->row_limit - scan->row_count - count;

    for (uint32_t i = 0; i < windows->count; i++) {
        struct window   *window = &windows->each[i];
        struct block_ref next;

        window->next_block = 0;
        if (window->table != NULL
            && (uint64_t)(table_cursor_left(window->table) - window->taken) * count
                   < missing * window->taken
            && table_cursor_next_block(window->table, &next))
            window->next_block = next.offset;
    }
}

static void next_blocks_fetch(const struct shard *shard, const struct windows *windows,
                              enum cache_fetch fetch)
{
    for (uint32_t i = 0; i < windows->count; i++)
        if (windows->each[i].next_block != 0)
            cache_block_prefetch(shard->cache, KIWI_TIER_BLOCK,
                                 windows->each[i].table->table->info.id,
                                 windows->each[i].next_block, fetch);
}

static enum kiwi_status rows_copy(const struct shard *shard, struct scan *scan, uint32_t *count)
{
    struct scan_sources *sources = scan->sources;
    struct windows      *windows = &sources->windows;
    uint32_t             first = scan->row_count, cut = first + *count;

    if (UNLIKELY(cut > scan->row_capacity))
        TRY(scan_rows_grow(scan, cut));
    for (uint32_t i = 0; i < windows->count; i++)
        if (windows->each[i].table == NULL)
            memtable_cursor_fetch(windows->each[i].memtable, 0, windows->each[i].taken);
    next_blocks_choose(scan, *count);
    next_blocks_fetch(shard, windows, CACHE_FETCH_LINE);
    for (uint32_t i = windows->count; i-- > 0;) { /* tables first: the memtables' lines come */
        struct window *window = &windows->each[i];

        if (i == 0)
            next_blocks_fetch(shard, windows, CACHE_FETCH_SLOT);
        if (window->table != NULL)
            TRY(table_rows_copy(scan, window, first, &cut));
        else
            TRY(memtable_rows_copy(scan, window, first, &cut));
    }
    next_blocks_fetch(shard, windows, CACHE_FETCH_BLOCK);
    /* Cut off, the chunk is full: the inputs are left where they are. */
    assert(cut == first + *count || scan_is_full(scan));
    *count = cut - first;
    return KIWI_OK;
}

enum kiwi_status windows_take(struct shard *shard, struct scan *scan, uint32_t *examined)
{
    struct scan_sources *sources = scan->sources;
    struct windows      *windows = &sources->windows;
    uint64_t             bound = bound_head(scan);
    uint32_t             count;

    windows->is_outside = windows->needs_look = false;
    memset(windows->marks, MARK_SHOWN, sizeof windows->marks);
    count = windows->count == 1 ? order_one(scan, windows, bound)
          : windows->count == 2 ? order_two(scan, windows, bound)
                                : order_many(scan, windows, bound);
    if (count == 0)
        return KIWI_OK;
    TRY(rows_copy(shard, scan, &count));
    *examined += count;
    for (uint32_t i = 0; i < windows->count; i++)
        if (windows->each[i].table == NULL)
            sources->memtable_rows += windows->each[i].taken;
    if (count == 0)
        return KIWI_OK;
    if (UNLIKELY(windows->needs_look)
        || UNLIKELY(scan_is_kept(scan, scan_row_key(scan, scan->row_count))))
        return rows_look(scan, count);
    scan->row_count += count;
    sources->has_decided = sources->decided_row = true;
    sources->decided_bytes = scan->rows[scan->row_count - 1].key_bytes;
    return KIWI_OK;
}

void window_leave(struct window *window)
{
    assert(window->taken > 0);
    if (window->table != NULL)
        table_cursor_skip(window->table, window->taken - 1);
    else
        memtable_cursor_skip(window->memtable, window->taken - 1);
}
