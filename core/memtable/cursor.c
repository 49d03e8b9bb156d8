/*
 * cursor.c: walking the bottom level of the list. Never waits, never fails.
 */
#include "core/memtable/memtable.h"
#include "core/memtable/state.h"

/* How many records ahead are fetched: they lie in the order of their writing, which is no order. */
#define AHEAD_RECORDS 8u

static struct memtable_cursor *cursor_of(struct iter *iter)
{
    return container_of(iter, struct memtable_cursor, iter);
}

static const struct block *block_at(const struct memtable_cursor *cursor, uint32_t reference)
{
    return reference == 0 ? NULL : arena_at(&cursor->memtable->arena, reference);
}

static void ahead_prefetch(const struct memtable_cursor *cursor, uint32_t reference)
{
    record_prefetch(arena_record(&cursor->memtable->arena, reference));
}

static void block_prefetch(const struct memtable_cursor *cursor, uint32_t reference)
{
    const struct block *block = block_at(cursor, reference);

    if (block == NULL)
        return;
    __builtin_prefetch(&block->left);
    for (uint32_t i = 0; i < HEADS_COUNT; i += CACHE_LINE_BYTES / sizeof block->records[0])
        __builtin_prefetch(&block->records[i]);
}

static enum iter_state cursor_end(struct memtable_cursor *cursor)
{
    cursor->block = NULL;
    return cursor->iter.state = ITER_END;
}

static enum iter_state cursor_show(struct memtable_cursor *cursor, const struct block *block,
                                   uint32_t index)
{
    assert(index < block->count);
    cursor->block = block;
    cursor->index = index;
    cursor->iter.entry = record_entry(arena_record(&cursor->memtable->arena,
                                                   block->records[index]));
    return cursor->iter.state = ITER_AT_ENTRY;
}

/* Moves into another block, at its first entry or its last; reference 0: there is none. */
static enum iter_state cursor_enter(struct memtable_cursor *cursor, uint32_t reference,
                                    bool at_last)
{
    const struct block *block = block_at(cursor, reference);
    uint32_t            ahead;

    if (block == NULL || block->count == 0)
        return cursor_end(cursor);
    block_prefetch(cursor, at_last ? block->left : block->right);
    ahead = block->count < AHEAD_RECORDS ? block->count : AHEAD_RECORDS;
    for (uint32_t i = 0; i < ahead; i++)
        ahead_prefetch(cursor, block->records[at_last ? block->count - 1 - i : i]);
    return cursor_show(cursor, block, at_last ? block->count - 1u : 0);
}

static enum iter_state cursor_next(struct iter *iter)
{
    struct memtable_cursor *cursor = cursor_of(iter);
    const struct block     *block = cursor->block;
    uint32_t                index = cursor->index + 1;

    if (block == NULL)
        return cursor_end(cursor);
    if (UNLIKELY(index >= block->count))
        return cursor_enter(cursor, block->right, false);
    if (index + AHEAD_RECORDS < block->count)
        ahead_prefetch(cursor, block->records[index + AHEAD_RECORDS]);
    return cursor_show(cursor, block, index);
}

static enum iter_state cursor_previous(struct iter *iter)
{
    struct memtable_cursor *cursor = cursor_of(iter);
    const struct block     *block = cursor->block;
    uint32_t                index = cursor->index;

    if (block == NULL)
        return cursor_end(cursor);
    if (UNLIKELY(index == 0))
        return cursor_enter(cursor, block->left, true);
    if (index - 1 >= AHEAD_RECORDS)
        ahead_prefetch(cursor, block->records[index - 1 - AHEAD_RECORDS]);
    return cursor_show(cursor, block, index - 1);
}

void memtable_cursor_prepare(struct memtable_cursor *cursor, struct bytes key, uint64_t sequence)
{
    cursor->prepared = skiplist_bottom(&cursor->memtable->list, key, sequence);
}

static struct skiplist_place place_find(struct memtable_cursor *cursor, struct bytes key,
                                        uint64_t sequence)
{
    const struct block *bottom = cursor->prepared;

    if (bottom == NULL)
        return skiplist_find(&cursor->memtable->list, key, sequence);
    cursor->prepared = NULL;
    return skiplist_find_in(&cursor->memtable->list, bottom, key, sequence);
}

static enum iter_state cursor_seek(struct iter *iter, struct bytes key, uint64_t sequence)
{
    struct memtable_cursor *cursor = cursor_of(iter);
    struct skiplist_place   place = place_find(cursor, key, sequence);

    if (place.index == place.block->count)
        return cursor_enter(cursor, place.block->right, false);
    block_prefetch(cursor, place.block->right);
    for (uint32_t i = 0; i < AHEAD_RECORDS && place.index + i < place.block->count; i++)
        ahead_prefetch(cursor, place.block->records[place.index + i]);
    return cursor_show(cursor, place.block, place.index);
}

static enum iter_state cursor_seek_before(struct iter *iter, struct bytes key)
{
    struct memtable_cursor *cursor = cursor_of(iter);
    /* Sequences start at 1: the place of 0 is behind all versions of the key. */
    struct skiplist_place place = place_find(cursor, key, 0);

    if (place.index == 0)
        return cursor_enter(cursor, place.block->left, true);
    block_prefetch(cursor, place.block->left);
    for (uint32_t i = 1; i <= AHEAD_RECORDS && i <= place.index; i++)
        ahead_prefetch(cursor, place.block->records[place.index - i]);
    return cursor_show(cursor, place.block, place.index - 1);
}

static enum iter_state cursor_first(struct iter *iter)
{
    struct memtable_cursor *cursor = cursor_of(iter);

    return cursor_enter(cursor, cursor->memtable->list.first, false);
}

static enum iter_state cursor_last(struct iter *iter)
{
    struct memtable_cursor *cursor = cursor_of(iter);

    return cursor_enter(cursor, cursor->memtable->list.last, true);
}

static enum iter_state cursor_supply(struct iter *iter, const uint8_t *block)
{
    (void)block;
    assert(false && "a memtable never wants a block");
    return iter->state;
}

static const struct iter_methods cursor_methods = {
    .seek = cursor_seek,
    .seek_before = cursor_seek_before,
    .first = cursor_first,
    .last = cursor_last,
    .next = cursor_next,
    .previous = cursor_previous,
    .supply = cursor_supply,
};

void memtable_cursor_init(struct memtable_cursor *cursor, const struct memtable *memtable)
{
    *cursor = (struct memtable_cursor){
        .iter = { .methods = &cursor_methods, .state = ITER_END },
        .memtable = memtable,
    };
}

/* Of keys before or behind all that have the prefix; a key that has it may look the same. */
static inline bool head_is_extreme(uint64_t head)
{
    return head == 0 || head == UINT64_MAX;
}

struct memtable_stretch memtable_cursor_stretch(const struct memtable_cursor *cursor, uint32_t max)
{
    const struct block     *block = cursor->block;
    uint32_t                index = cursor->index;
    uint32_t                left = (uint32_t)min_u64(block->count - index, max);
    struct memtable_stretch stretch = { .count = 1 };

    assert(cursor->iter.state == ITER_AT_ENTRY);
    assert(index < block->count);
    /* Heads ascend: either all of a stretch lie inside, or none. */
    if (head_is_extreme(block->heads[index])) {
        while (stretch.count < left && block->heads[index + stretch.count] == block->heads[index])
            stretch.count++;
        return stretch;
    }
    while (left > 1 && block->heads[index + left - 1] == UINT64_MAX)
        left--;
    stretch.heads = block->heads + index;
    stretch.count = left;
    stretch.prefix_bytes = block->prefix_bytes;
    return stretch;
}

void memtable_cursor_fetch(const struct memtable_cursor *cursor, uint32_t first, uint32_t last)
{
    const struct block *block = cursor->block;

    assert(last <= block->count - cursor->index);
    for (uint32_t i = first < AHEAD_RECORDS ? AHEAD_RECORDS : first; i < last; i++)
        ahead_prefetch(cursor, block->records[cursor->index + i]);
}

struct entry memtable_cursor_look(const struct memtable_cursor *cursor, uint32_t i)
{
    const struct block *block = cursor->block;

    assert_slow(i < block->count - cursor->index);
    return record_entry(arena_record(&cursor->memtable->arena, block->records[cursor->index + i]));
}

void memtable_cursor_skip(struct memtable_cursor *cursor, uint32_t i)
{
    const struct block *block = cursor->block;

    assert(i < block->count - cursor->index);
    cursor->index += i;
}
