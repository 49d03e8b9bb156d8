/*
 * skiplist_check.c: every invariant of the blocked skip list, for tests.
 */
#include "core/memtable/skiplist.h"

static const struct block *block_of(const struct skiplist *list, uint32_t reference)
{
    return arena_at(list->arena, reference);
}

/* Less than 0 when record a stands before record b; 0 stands before everything. */
static int order_of(const struct skiplist *list, uint32_t a, uint32_t b)
{
    const struct record *second;

    if (a == 0 || b == 0)
        return (a != 0) - (b != 0);
    second = arena_record(list->arena, b);
    return record_compare(arena_record(list->arena, a), record_key(second),
                          record_sequence(second));
}

static bool block_is_sorted(const struct skiplist *list, const struct block *block)
{
    for (uint32_t i = 1; i < block->count; i++) {
        if (block->heads[i - 1] > block->heads[i])
            return false;
        if (order_of(list, block->records[i - 1], block->records[i]) >= 0)
            return false;
    }
    for (uint32_t i = block->count; i < HEADS_COUNT; i++) {
        if (block->heads[i] != HEAD_UNUSED)
            return false;
    }
    return true;
}

/* The level is one list of non-empty blocks in order, linked both ways. */
static bool level_is_sorted(const struct skiplist *list, uint32_t first)
{
    uint32_t left = 0, record = 0;

    for (uint32_t at = first; at != 0; at = block_of(list, at)->right) {
        const struct block *block = block_of(list, at);

        if (block->left != left || block->count == 0 || block->count > HEADS_COUNT)
            return false;
        if (left != 0 && order_of(list, record, block->records[0]) >= 0)
            return false;
        if (!block_is_sorted(list, block))
            return false;
        record = block->records[block->count - 1];
        left = at;
    }
    return true;
}

/* Each separator is the first record of its child; the children are all blocks of the level. */
static bool level_covers_the_one_below(const struct skiplist *list, uint32_t first)
{
    uint32_t expected = block_of(list, first)->children[0];

    for (uint32_t at = first; at != 0; at = block_of(list, at)->right) {
        const struct block *block = block_of(list, at);

        for (uint32_t i = 0; i < block->count; i++) {
            const struct block *child = block_of(list, block->children[i]);
            bool                is_first = at == first && i == 0;

            if (block->children[i] != expected)
                return false;
            if (block->records[i] != (is_first ? 0 : child->records[0]))
                return false;
            expected = child->right;
        }
    }
    return expected == 0;
}

bool skiplist_check(const struct skiplist *list)
{
    uint32_t first = list->top;

    if (block_of(list, list->top)->right != 0 || block_of(list, list->last)->right != 0)
        return false;
    for (uint32_t level = list->levels - 1; level > 0; level--) {
        if (!level_is_sorted(list, first) || !level_covers_the_one_below(list, first))
            return false;
        first = block_of(list, first)->children[0];
    }
    if (first != list->first)
        return false;
    return block_of(list, first)->count == 0 || level_is_sorted(list, first);
}
