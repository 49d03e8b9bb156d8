/*
 * job_input.c: inputs of a merge: where their blocks come from.
 *
 * A run is read front to back, so its data comes in windows: large reads, one ahead of the merge.
 *
 *        merged from          being read
 *   ...|  window 0  |  window 1  |  window 0 again ...
 *            └─ a block that lies across the seam is joined in a buffer of its own
 *
 * Index partitions are few and come in small reads of their own when the cursor asks for them.
 * Every block is verified before the cursor sees it.
 */
#include "compact/job_state.h"

#include <inttypes.h>

#include "core/base/memory.h"

/* ---- windows ---- */

static void window_on_read(struct io_request *request)
{
    struct job_window *window = container_of(request, struct job_window, request);

    assert(window->state == WINDOW_READING);
    window->state = request->status == KIWI_OK ? WINDOW_READY : WINDOW_EMPTY;
    job_request_done(window->job, request);
}

static void window_close(struct job_window *window)
{
    assert(window->state != WINDOW_READING);
    if (window->data != NULL)
        buffers_give(window->job->buffers, window->data, window->capacity);
    window->data = NULL;
    window->capacity = 0;
    window->state = WINDOW_EMPTY;
}

/* A frame of about want bytes: less when the buffers are used up, but never less than least, which
 * may come from the heap: a merge that cannot read would wait for itself. */
static enum kiwi_status window_reserve(struct job_window *window, size_t want, size_t least)
{
    assert(least <= want);
    if (window->capacity >= want)
        return KIWI_OK;
    window_close(window);
    while ((window->data = buffers_take_pooled(window->job->buffers, want)) == NULL) {
        if (want == least && (window->data = buffers_take(window->job->buffers, want)) != NULL)
            break;
        if (want == least)
            return FAIL(KIWI_NO_MEMORY, "no buffer of %zu bytes to read a table for merging", want);
        want = want / 2 > least ? want / 2 / PAGE_BYTES * PAGE_BYTES : least;
    }
    window->capacity = want;
    return KIWI_OK;
}

struct stretch {
    uint64_t offset;
    size_t   want, least; /* bytes, before they are cut at end */
    uint64_t end;
};

/* Reads a stretch of the table's file, from the page it begins in. */
static enum kiwi_status window_read(struct job_window *window, const struct job_input *input,
                                    const struct table *table, struct stretch stretch)
{
    struct job *job = window->job;

    assert(window->state != WINDOW_READING);
    assert(stretch.offset < stretch.end);
    assert(stretch.end % PAGE_BYTES == 0);
    TRY(window_reserve(window, stretch.want, stretch.least));
    window->table = table;
    window->offset = stretch.offset / PAGE_BYTES * PAGE_BYTES;
    window->bytes = (uint32_t)min_u64(min_u64(stretch.want, window->capacity),
                                      stretch.end - window->offset);
    window->state = WINDOW_READING;
    window->request = (struct io_request){
        .file = table->file,
        .buffer = window->data,
        .offset = window->offset,
        .bytes = window->bytes,
        .verb = IO_READ,
        .class_of_service = IO_CLASS_COMPACTION,
        .done = window_on_read,
    };
    job->counters.read_bytes += window->bytes;
    job->counters.read_bytes_level[input->level] += window->bytes;
    job_request_add(job, &window->request);
    return KIWI_OK;
}

/* True when the byte at offset is, or will be, in the window. */
static bool window_has(const struct job_window *window, const struct table *table, uint64_t offset)
{
    return window->state != WINDOW_EMPTY && window->table == table && window->offset <= offset
        && offset - window->offset < window->bytes;
}

static uint64_t window_end(const struct job_window *window)
{
    return window->offset + window->bytes;
}

static bool window_has_all(const struct job_window *window, const struct table *table,
                           struct block_ref ref)
{
    return window_has(window, table, ref.offset) && ref.offset + ref.bytes <= window_end(window);
}

/* Which of the two windows the block is in, whole if that can be, or else by its front. */
static uint32_t window_of(const struct job_window *windows, const struct table *table,
                          struct block_ref ref)
{
    if (window_has_all(&windows[0], table, ref) || window_has_all(&windows[1], table, ref))
        return window_has_all(&windows[0], table, ref) ? 0 : 1;
    return window_has(&windows[1], table, ref.offset) ? 1 : 0;
}

/* A window of data that begins at offset and holds at least a block of block_bytes. */
static struct stretch data_stretch(const struct job *job, const struct table *table,
                                   uint64_t offset, uint32_t block_bytes)
{
    uint64_t before = offset % PAGE_BYTES;
    uint64_t least = round_up_u64(max_u64(before + block_bytes, JOB_WINDOW_BYTES_MIN), PAGE_BYTES);
    uint64_t want = round_up_u64(max_u64(job->options.window_bytes, least), JOB_WINDOW_BYTES_MIN);

    return (struct stretch){ offset, want, least, table->info.data_bytes };
}

/* ---- blocks ---- */

static const struct table *input_table(const struct job_input *input)
{
    return input->places[input->place_index].table;
}

/* Reads what follows window `now` into the other one, which holds nothing that is still needed. */
static enum kiwi_status input_read_ahead(struct job_input *input, const struct job_window *now,
                                         struct job_window *other)
{
    const struct table *table = now->table;
    uint64_t            offset = window_end(now);

    if (offset >= table->info.data_bytes) { /* the next table's front */
        uint32_t next = input->place_index + 1;

        /* Where a narrowed table begins is known only once its index was read. */
        if (table != input_table(input) || next >= input->place_count
            || input->places[next].above.data != NULL)
            return KIWI_OK;
        table = input->places[next].table;
        offset = 0;
    }
    if (other->state == WINDOW_READING || window_has(other, table, offset))
        return KIWI_OK;
    return window_read(other, input, table, data_stretch(input->job, table, offset, 0));
}

/* The block begins in `head` and ends in `tail`. */
static enum kiwi_status input_join(struct job_input *input, const struct job_window *head,
                                   const struct job_window *tail, struct block_ref ref)
{
    size_t in_head = window_end(head) - ref.offset;

    assert(in_head < ref.bytes);
    assert(tail->offset == window_end(head));
    if (input->joined_bytes < ref.bytes) {
        memory_free(input->joined);
        input->joined = memory_allocate_aligned(ref.bytes, CACHE_LINE_BYTES);
        input->joined_bytes = input->joined == NULL ? 0 : ref.bytes;
        if (input->joined == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory for a block of %" PRIu32 " bytes", ref.bytes);
    }
    memcpy(input->joined, head->data + (ref.offset - head->offset), in_head);
    memcpy(input->joined + in_head, tail->data, ref.bytes - in_head);
    return KIWI_OK;
}

/* *block stays NULL while a read is out. */
static enum kiwi_status input_data_block(struct job_input *input, struct block_ref ref,
                                         const uint8_t **block)
{
    const struct table *table = input_table(input);
    uint64_t            end = ref.offset + ref.bytes;
    uint32_t            which = window_of(input->data, table, ref);
    struct job_window  *now = &input->data[which], *other = &input->data[1 - which];

    if (!window_has(now, table, ref.offset)) {
        if (now->state == WINDOW_READING) { /* something else was read ahead */
            now = other;
            if (now->state == WINDOW_READING)
                return KIWI_OK;
        }
        return window_read(now, input, table,
                           data_stretch(input->job, table, ref.offset, ref.bytes));
    }
    if (now->state == WINDOW_READING)
        return KIWI_OK;
    if (end <= window_end(now)) {
        *block = now->data + (ref.offset - now->offset);
        return input_read_ahead(input, now, other);
    }
    if (other->state == WINDOW_READING)
        return KIWI_OK;
    if (other->state == WINDOW_READY && other->table == table && other->offset == window_end(now)
        && end <= window_end(other)) {
        TRY(input_join(input, now, other, ref));
        *block = input->joined;
        return input_read_ahead(input, other, now);
    }
    return window_read(other, input, table,
                       data_stretch(input->job, table, ref.offset, ref.bytes));
}

static enum kiwi_status input_index_block(struct job_input *input, struct block_ref ref,
                                          const uint8_t **block)
{
    const struct table *table = input_table(input);
    struct job_window  *window = &input->index;

    if (window->state == WINDOW_READING)
        return KIWI_OK;
    if (window_has_all(window, table, ref)) {
        *block = window->data + (ref.offset - window->offset);
        return KIWI_OK;
    }
    return window_read(window, input, table,
                       (struct stretch){ ref.offset, max_u64(JOB_INDEX_READ_BYTES, ref.bytes),
                                         ref.bytes, table->info.file_bytes });
}

enum kiwi_status job_input_block(struct job_input *input, const uint8_t **block)
{
    struct table_cursor *cursor = &input->cursor.table;
    struct block_ref     ref = cursor->iter.wanted;
    const struct table  *table = input_table(input);

    *block = NULL;
    assert(cursor->iter.wanted_table == table);
    if (ref.bytes == 0 || ref.bytes % IO_SECTOR_BYTES != 0 || ref.offset % IO_SECTOR_BYTES != 0
        || ref.offset > table->info.file_bytes || ref.bytes > table->info.file_bytes - ref.offset)
        return FAIL(KIWI_CORRUPT, "%s: a block of %" PRIu32 " bytes at %" PRIu64
                    " does not fit the table of %" PRIu64 " bytes", io_file_path(table->file),
                    ref.bytes, ref.offset, table->info.file_bytes);
    if (ref.kind == BLOCK_DATA && ref.offset + ref.bytes > table->info.data_bytes)
        return FAIL(KIWI_CORRUPT, "%s: a data block at %" PRIu64 " ends beyond the data",
                    io_file_path(table->file), ref.offset);
    if (ref.kind == BLOCK_DATA)
        TRY(input_data_block(input, ref, block));
    else
        TRY(input_index_block(input, ref, block));
    return *block == NULL ? KIWI_OK : table_block_check(table, ref, *block);
}

/* ---- the iterator over a run ---- */

static struct job_input *input_of(struct iter *iter)
{
    return container_of(iter, struct job_input, cursor.table.iter);
}

static enum iter_state input_failed(struct job_input *input, enum kiwi_status status)
{
    struct iter *iter = &input->cursor.table.iter;

    assert(status != KIWI_OK);
    iter->state = ITER_FAILED;
    iter->status = status;
    return ITER_FAILED;
}

static const struct iter_methods input_methods;

static enum iter_state input_enter(struct job_input *input)
{
    const struct table_place *place = &input->places[input->place_index];
    struct table_cursor      *cursor = &input->cursor.table;

    table_cursor_init(cursor, place->table);
    input->inner = cursor->iter.methods;
    cursor->iter.methods = &input_methods;
    /* Sequence 0 comes behind every version of the bound's own key. */
    if (place->above.data != NULL)
        return input->inner->seek(&cursor->iter, place->above, 0);
    return input->inner->first(&cursor->iter);
}

/* Goes on until there is an entry, the end, or a block that has to be waited for. */
static enum iter_state input_settle(struct job_input *input, enum iter_state state)
{
    struct iter *iter = &input->cursor.table.iter;

    for (;;) {
        const uint8_t   *block;
        enum kiwi_status status;

        switch (state) {
        case ITER_AT_ENTRY:
        case ITER_FAILED:
            return state;
        case ITER_END:
            if (input->place_index + 1 >= input->place_count)
                return state;
            input->place_index++;
            state = input_enter(input);
            break;
        case ITER_WANTS_BLOCK:
            status = job_input_block(input, &block);
            if (status != KIWI_OK)
                return input_failed(input, status);
            if (block == NULL)
                return ITER_WANTS_BLOCK;
            state = input->inner->supply(iter, block);
            break;
        }
    }
}

static enum iter_state input_first(struct iter *iter)
{
    struct job_input *input = input_of(iter);

    input->place_index = 0;
    return input_settle(input, input_enter(input));
}

static enum iter_state input_next(struct iter *iter)
{
    struct job_input *input = input_of(iter);
    enum iter_state   state = input->inner->next(iter);

    return LIKELY(state == ITER_AT_ENTRY) ? state : input_settle(input, state);
}

static enum iter_state input_supply(struct iter *iter, const uint8_t *block)
{
    struct job_input *input = input_of(iter);

    return input_settle(input, input->inner->supply(iter, block));
}

/* A merge for compaction only ever goes forward from the front. */
static enum iter_state input_seek(struct iter *iter, struct bytes key, uint64_t sequence)
{
    (void)key, (void)sequence;
    return input_failed(input_of(iter), KIWI_UNSUPPORTED);
}

static enum iter_state input_seek_before(struct iter *iter, struct bytes key)
{
    (void)key;
    return input_failed(input_of(iter), KIWI_UNSUPPORTED);
}

static enum iter_state input_backward(struct iter *iter)
{
    return input_failed(input_of(iter), KIWI_UNSUPPORTED);
}

static const struct iter_methods input_methods = {
    .seek = input_seek,
    .seek_before = input_seek_before,
    .first = input_first,
    .last = input_backward,
    .next = input_next,
    .previous = input_backward,
    .supply = input_supply,
};

/* ---- opening and closing ---- */

void job_input_init_memtable(struct job_input *input, struct job *job,
                             const struct memtable *memtable)
{
    *input = (struct job_input){ .job = job };
    memtable_cursor_init(&input->cursor.memtable, memtable);
}

void job_input_init_run(struct job_input *input, struct job *job, const struct plan_part *part)
{
    assert(part->count > 0);
    *input = (struct job_input){
        .job = job,
        .places = part->places,
        .place_count = part->count,
        .level = part->level,
        .data = { { .job = job }, { .job = job } },
        .index = { .job = job },
    };
    table_cursor_init(&input->cursor.table, part->places[0].table);
    input->inner = input->cursor.table.iter.methods;
    input->cursor.table.iter.methods = &input_methods;
}

struct iter *job_input_iter(struct job_input *input)
{
    static_assert(offsetof(struct table_cursor, iter) == offsetof(struct memtable_cursor, iter),
                  "both cursors begin with their iterator");
    return &input->cursor.table.iter;
}

void job_input_prefetch(struct job_input *input)
{
    const struct table *table;

    if (input->places == NULL || input->places[0].above.data != NULL)
        return;
    table = input->places[0].table;
    /* Without memory for it the first block asks again, and fails then. */
    if (table->info.data_bytes > 0)
        (void)!window_read(&input->data[0], input, table, data_stretch(input->job, table, 0, 0));
}

void job_input_close(struct job_input *input)
{
    for (uint32_t i = 0; i < 2 && input->places != NULL; i++)
        window_close(&input->data[i]);
    if (input->places != NULL)
        window_close(&input->index);
    memory_free(input->joined);
    input->joined = NULL;
}
