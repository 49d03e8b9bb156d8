/*
 * run_cursor.c: moves over the tables of a run. Whenever the cursor of one table is past its end
 * (or below the table's bound), the next table in the direction of the move takes over.
 */
#include "core/shard/run_cursor.h"

static enum iter_state cursor_show(struct run_cursor *cursor, enum iter_state state)
{
    cursor->iter.state = state;
    cursor->iter.status = cursor->table.iter.status;
    if (state == ITER_AT_ENTRY)
        cursor->iter.entry = cursor->table.iter.entry;
    if (state == ITER_WANTS_BLOCK) {
        cursor->iter.wanted = cursor->table.iter.wanted;
        cursor->iter.wanted_table = cursor->table.iter.wanted_table;
    }
    return state;
}

static enum iter_state place_enter(struct run_cursor *cursor, bool is_backward)
{
    const struct table_place *place = &cursor->run->places[cursor->place];

    table_cursor_init(&cursor->table, place->table);
    cursor->is_open = true;
    if (is_backward)
        return iter_last(&cursor->table.iter);
    if (place->above.data != NULL)
        return iter_seek(&cursor->table.iter, place->above, 0); /* behind its last version */
    return iter_first(&cursor->table.iter);
}

static bool is_below_bound(const struct run_cursor *cursor)
{
    const struct bytes above = cursor->run->places[cursor->place].above;

    return above.data != NULL && bytes_compare(cursor->table.iter.entry.key, above) <= 0;
}

/* The table cursor has moved to state: goes on to other tables until there is something to say. */
static enum iter_state cursor_settle(struct run_cursor *cursor, enum iter_state state)
{
    for (;;) {
        if (state == ITER_AT_ENTRY && cursor->is_backward && is_below_bound(cursor))
            state = ITER_END;
        if (state != ITER_END)
            return cursor_show(cursor, state);
        if (cursor->is_backward ? cursor->place == 0
                                : cursor->place + 1 >= cursor->run->table_count)
            return cursor_show(cursor, ITER_END);
        cursor->place += cursor->is_backward ? UINT32_MAX : 1u;
        state = place_enter(cursor, cursor->is_backward);
    }
}

static enum iter_state cursor_seek(struct iter *iter, struct bytes key, uint64_t sequence)
{
    struct run_cursor        *cursor = container_of(iter, struct run_cursor, iter);
    uint32_t                  at = run_lower_bound(cursor->run, key);
    const struct table_place *place;

    cursor->is_backward = false;
    if (at >= cursor->run->table_count) {
        cursor->place = cursor->run->table_count - 1;
        return cursor_show(cursor, ITER_END);
    }
    cursor->place = at;
    place = &cursor->run->places[at];
    if (place->above.data != NULL && bytes_compare(key, place->above) <= 0)
        return cursor_settle(cursor, place_enter(cursor, false));
    table_cursor_init(&cursor->table, place->table);
    cursor->is_open = true;
    return cursor_settle(cursor, iter_seek(&cursor->table.iter, key, sequence));
}

static enum iter_state cursor_seek_before(struct iter *iter, struct bytes key)
{
    struct run_cursor *cursor = container_of(iter, struct run_cursor, iter);
    uint32_t           at = run_lower_bound(cursor->run, key);

    cursor->is_backward = true;
    cursor->place = at;
    if (at >= cursor->run->table_count) {
        cursor->place = cursor->run->table_count - 1;
        return cursor_settle(cursor, place_enter(cursor, true));
    }
    table_cursor_init(&cursor->table, cursor->run->places[at].table);
    cursor->is_open = true;
    return cursor_settle(cursor, iter_seek_before(&cursor->table.iter, key));
}

static enum iter_state cursor_first(struct iter *iter)
{
    struct run_cursor *cursor = container_of(iter, struct run_cursor, iter);

    cursor->is_backward = false;
    cursor->place = 0;
    return cursor_settle(cursor, place_enter(cursor, false));
}

static enum iter_state cursor_last(struct iter *iter)
{
    struct run_cursor *cursor = container_of(iter, struct run_cursor, iter);

    cursor->is_backward = true;
    cursor->place = cursor->run->table_count - 1;
    return cursor_settle(cursor, place_enter(cursor, true));
}

static enum iter_state cursor_next(struct iter *iter)
{
    struct run_cursor *cursor = container_of(iter, struct run_cursor, iter);
    enum iter_state    state = iter_next(&cursor->table.iter);

    cursor->is_backward = false;
    if (LIKELY(state == ITER_AT_ENTRY)) {
        cursor->iter.entry = cursor->table.iter.entry;
        return cursor->iter.state = state;
    }
    return cursor_settle(cursor, state);
}

static enum iter_state cursor_previous(struct iter *iter)
{
    struct run_cursor *cursor = container_of(iter, struct run_cursor, iter);

    cursor->is_backward = true;
    return cursor_settle(cursor, iter_previous(&cursor->table.iter));
}

static enum iter_state cursor_supply(struct iter *iter, const uint8_t *block)
{
    struct run_cursor *cursor = container_of(iter, struct run_cursor, iter);

    return cursor_settle(cursor, iter_supply(&cursor->table.iter, block));
}

static const struct iter_methods run_cursor_methods = {
    .seek = cursor_seek,
    .seek_before = cursor_seek_before,
    .first = cursor_first,
    .last = cursor_last,
    .next = cursor_next,
    .previous = cursor_previous,
    .supply = cursor_supply,
};

void run_cursor_init(struct run_cursor *cursor, const struct run *run)
{
    assert(run->table_count > 0);
    cursor->iter.methods = &run_cursor_methods;
    cursor->iter.state = ITER_END;
    cursor->run = run;
    cursor->place = 0;
    cursor->is_open = false;
    cursor->is_backward = false;
}
