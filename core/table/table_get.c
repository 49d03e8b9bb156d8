/*
 * table_get.c: the newest version of one key that a reader may see.
 *
 *   start ──► FILTER ──► INDEX ──► DATA ──► found, or absent
 *               │                   │ └─► INDEX_NEXT ─► DATA   the key goes on in the next block
 *               └► absent           └► absent
 *
 * Each step computes with the block it is given and says which one it wants next.
 */
#include "core/table/data_block.h"
#include "core/table/table_top.h"

enum get_step { GET_FILTER = 0, GET_INDEX, GET_DATA, GET_INDEX_NEXT };

static enum table_answer want(struct table_get *get, struct block_ref ref, enum get_step step)
{
    get->wanted = ref;
    get->step = (uint8_t)step;
    return TABLE_WANTS_BLOCK;
}

static enum table_answer want_index(struct table_get *get)
{
    get->partition = index_block_find(&get->table->top->index, get->key);
    return want(get, table_index_ref(get->table, get->partition), GET_INDEX);
}

static bool is_below(struct bytes a, uint64_t a_head, struct bytes b, uint64_t b_head)
{
    return a_head != b_head ? a_head < b_head : bytes_compare(a, b) < 0;
}

enum table_answer table_get_start(struct table_get *get, const struct table *table,
                                  struct bytes key, uint64_t hash, uint64_t sequence_max)
{
    const struct table_top *top = table->top;
    uint64_t                head = bytes_head(key);

    get->table = table;
    get->key = key;
    get->hash = hash;
    get->sequence_max = sequence_max;
    get->was_filtered = false;
    get->data_blocks = 0;
    if (is_below(key, head, table->info.smallest, top->smallest_head)
        || is_below(table->info.largest, top->largest_head, key, head))
        return TABLE_ABSENT;
    if (top->filter.partitions == 0)
        return want_index(get);
    struct filter_spot spot = filter_spot(&top->filter, hash);
    return want(get, table_filter_ref(table, spot.partition), GET_FILTER);
}

static enum table_answer get_on_filter(struct table_get *get, const uint8_t *block)
{
    struct filter_spot spot = filter_spot(&get->table->top->filter, get->hash);

    if (filter_may_hold(block, &spot))
        return want_index(get);
    get->was_filtered = true;
    return TABLE_ABSENT;
}

static enum table_answer get_on_index(struct table_get *get, const uint8_t *block)
{
    struct index_block index;

    index_block_view(&index, block);
    if (get->step == GET_INDEX)
        get->position = index_block_find(&index, get->key);
    if (get->position == index.count) {
        if (++get->partition == get->table->top->index.count)
            return TABLE_ABSENT;
        get->position = 0;
        return want(get, table_index_ref(get->table, get->partition), GET_INDEX_NEXT);
    }
    get->continues = index_block_continues(&index, get->position);
    return want(get, index_block_ref(&index, get->position, BLOCK_DATA), GET_DATA);
}

static enum table_answer get_on_data(struct table_get *get, const uint8_t *base)
{
    struct data_block block;
    bool              is_key;

    get->data_blocks++;
    data_block_view(&block, base);
    uint32_t i = data_block_seek(&block, get->key, get->sequence_max, &is_key);
    if (is_key) {
        data_block_value(&block, i, &get->found);
        get->found.key = get->key;
        assert_slow(get->found.sequence <= get->sequence_max);
        return TABLE_FOUND;
    }
    if (i < block.count || !get->continues
        || !data_block_key_is(&block, block.count - 1, get->key))
        return TABLE_ABSENT;
    get->position++; /* all versions in this block are too new */
    return want(get, table_index_ref(get->table, get->partition), GET_INDEX_NEXT);
}

enum table_answer table_get_step(struct table_get *get, const uint8_t *block)
{
    switch ((enum get_step)get->step) {
    case GET_FILTER:
        return get_on_filter(get, block);
    case GET_INDEX:
    case GET_INDEX_NEXT:
        return get_on_index(get, block);
    case GET_DATA:
        return get_on_data(get, block);
    }
    assert(false && "a get has four steps");
    return TABLE_ABSENT;
}
