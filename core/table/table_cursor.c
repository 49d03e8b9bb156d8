/*
 * table_cursor.c: walks all versions of all keys of a table, in both directions.
 *
 *   move ──► INDEX ──► DATA ──► at an entry
 *    ▲         ▲         │
 *    │         └─────────┤ past the block's edge: the neighbour, perhaps in another partition
 *    └── next and previous stay inside a data block almost always
 *
 * A move that must wait has said which block it wants; cursor_supply goes on from there. What the
 * goal of a seek points to must stay in place until the seek is over.
 */
#include "core/table/table_top.h"

enum cursor_move { MOVE_FIRST = 0, MOVE_LAST, MOVE_SEEK, MOVE_SEEK_BEFORE };
/* Which block the cursor waits for. INDEX: the position in it is searched; INDEX_EDGE: it is the
 * first or the last, by the direction of the move. */
enum cursor_stage { STAGE_IDLE = 0, STAGE_INDEX, STAGE_INDEX_EDGE, STAGE_DATA };

static struct table_cursor *cursor_of(struct iter *iter)
{
    return container_of(iter, struct table_cursor, iter);
}

static enum iter_state cursor_end(struct table_cursor *cursor)
{
    cursor->stage = STAGE_IDLE;
    return cursor->iter.state = ITER_END;
}

static inline enum iter_state cursor_at(struct table_cursor *cursor, uint32_t position)
{
    cursor->data_position = position;
    data_block_entry(&cursor->data, position, &cursor->key, &cursor->iter.entry);
    cursor->iter.state = ITER_AT_ENTRY;
    return ITER_AT_ENTRY;
}

static enum iter_state want(struct table_cursor *cursor, struct block_ref ref,
                            enum cursor_stage stage)
{
    cursor->stage = (uint8_t)stage;
    cursor->iter.wanted_table = cursor->table;
    cursor->iter.wanted = ref;
    return cursor->iter.state = ITER_WANTS_BLOCK;
}

static enum iter_state want_index(struct table_cursor *cursor, uint32_t partition,
                                  enum cursor_stage stage)
{
    cursor->partition = partition;
    cursor->index_ref = table_index_ref(cursor->table, partition);
    return want(cursor, cursor->index_ref, stage);
}

static enum iter_state want_data(struct table_cursor *cursor, uint32_t position)
{
    cursor->index_position = position;
    cursor->data_ref = index_block_ref(&cursor->index, position, BLOCK_DATA);
    return want(cursor, cursor->data_ref, STAGE_DATA);
}

/* The move goes on at the near edge of the neighbour. */
static enum iter_state go_forward(struct table_cursor *cursor)
{
    if (cursor->index_position + 1 < cursor->index.count)
        return want_data(cursor, cursor->index_position + 1);
    if (cursor->partition + 1 < cursor->table->top->index.count)
        return want_index(cursor, cursor->partition + 1, STAGE_INDEX_EDGE);
    return cursor_end(cursor);
}

static enum iter_state go_backward(struct table_cursor *cursor)
{
    cursor->move = MOVE_LAST;
    if (cursor->index_position > 0)
        return want_data(cursor, cursor->index_position - 1);
    if (cursor->partition > 0)
        return want_index(cursor, cursor->partition - 1, STAGE_INDEX_EDGE);
    return cursor_end(cursor);
}

static enum iter_state on_index(struct table_cursor *cursor, const uint8_t *block)
{
    bool is_edge = cursor->stage == STAGE_INDEX_EDGE;

    cursor->index_block = block;
    index_block_view(&cursor->index, block);
    if (!is_edge)
        return want_data(cursor, index_block_find(&cursor->index, cursor->goal));
    return want_data(cursor, cursor->move == MOVE_LAST ? cursor->index.count - 1 : 0);
}

static enum iter_state on_data(struct table_cursor *cursor, const uint8_t *block)
{
    uint32_t position;
    bool     is_key;

    cursor->data_block = block;
    data_block_view(&cursor->data, block);
    key_buffer_start(&cursor->key, &cursor->data);
    cursor->stage = STAGE_IDLE;
    switch ((enum cursor_move)cursor->move) {
    case MOVE_FIRST:
        return cursor_at(cursor, 0);
    case MOVE_LAST:
        return cursor_at(cursor, cursor->data.count - 1);
    case MOVE_SEEK:
        position = data_block_seek(&cursor->data, cursor->goal, cursor->goal_sequence, &is_key);
        return position < cursor->data.count ? cursor_at(cursor, position) : go_forward(cursor);
    case MOVE_SEEK_BEFORE:
        break;
    }
    /* The first entry above the goal; what is before it, is the answer. */
    position = data_block_seek(&cursor->data, cursor->goal, 0, &is_key);
    if (position == cursor->data.count
        && index_block_continues(&cursor->index, cursor->index_position))
        return go_forward(cursor);
    return position > 0 ? cursor_at(cursor, position - 1) : go_backward(cursor);
}

static enum iter_state cursor_supply(struct iter *iter, const uint8_t *block)
{
    struct table_cursor *cursor = cursor_of(iter);

    assert(iter->state == ITER_WANTS_BLOCK);
    assert(cursor->stage != STAGE_IDLE);
    return cursor->stage == STAGE_DATA ? on_data(cursor, block) : on_index(cursor, block);
}

/* Blocks supplied before a seek may be gone. */
static enum iter_state cursor_start(struct table_cursor *cursor, enum cursor_move move,
                                    uint32_t partition, enum cursor_stage stage)
{
    cursor->index_block = NULL;
    cursor->data_block = NULL;
    cursor->move = (uint8_t)move;
    cursor->iter.status = KIWI_OK;
    return want_index(cursor, partition, stage);
}

static enum iter_state cursor_seek(struct iter *iter, struct bytes key, uint64_t sequence)
{
    struct table_cursor *cursor = cursor_of(iter);

    cursor->goal = key;
    cursor->goal_sequence = sequence;
    if (bytes_compare(key, cursor->table->info.largest) > 0)
        return cursor_end(cursor);
    return cursor_start(cursor, MOVE_SEEK, index_block_find(&cursor->table->top->index, key),
                        STAGE_INDEX);
}

static enum iter_state cursor_seek_before(struct iter *iter, struct bytes key)
{
    struct table_cursor *cursor = cursor_of(iter);

    cursor->goal = key;
    cursor->goal_sequence = 0;
    if (bytes_compare(key, cursor->table->info.smallest) < 0)
        return cursor_end(cursor);
    return cursor_start(cursor, MOVE_SEEK_BEFORE,
                        index_block_find(&cursor->table->top->index, key), STAGE_INDEX);
}

static enum iter_state cursor_first(struct iter *iter)
{
    return cursor_start(cursor_of(iter), MOVE_FIRST, 0, STAGE_INDEX_EDGE);
}

static enum iter_state cursor_last(struct iter *iter)
{
    struct table_cursor *cursor = cursor_of(iter);

    return cursor_start(cursor, MOVE_LAST, cursor->table->top->index.count - 1, STAGE_INDEX_EDGE);
}

static enum iter_state cursor_next(struct iter *iter)
{
    struct table_cursor *cursor = cursor_of(iter);

    if (UNLIKELY(iter->state != ITER_AT_ENTRY)) {
        assert(iter->state != ITER_WANTS_BLOCK);
        return iter->state;
    }
    if (LIKELY(cursor->data_position + 1 < cursor->data.count))
        return cursor_at(cursor, cursor->data_position + 1);
    cursor->move = MOVE_FIRST;
    return go_forward(cursor);
}

static enum iter_state cursor_previous(struct iter *iter)
{
    struct table_cursor *cursor = cursor_of(iter);

    if (UNLIKELY(iter->state != ITER_AT_ENTRY)) {
        assert(iter->state != ITER_WANTS_BLOCK);
        return iter->state;
    }
    if (LIKELY(cursor->data_position > 0))
        return cursor_at(cursor, cursor->data_position - 1);
    return go_backward(cursor);
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

void table_cursor_init(struct table_cursor *cursor, struct table *table)
{
    assert(table != NULL);
    *cursor = (struct table_cursor){
        .iter = { .methods = &cursor_methods, .state = ITER_END },
        .table = table,
    };
}
