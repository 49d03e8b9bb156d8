/*
 * skiplist.c: the blocked skip list.
 *
 *   level 2     [ 0 ............ m ]
 *                 |              |
 *   level 1     [ 0 ... f ] <-> [ m ... t ]
 *                 |     |         |     |
 *   level 0     [a b c][f g] <-> [m n][t u v]
 */
#include "core/memtable/skiplist.h"

#include "core/iter/head.h"

#define BLOCK_SLOTS     HEADS_COUNT
#define BOTTOM_BYTES    ((uint32_t)offsetof(struct block, children))
#define UPPER_BYTES     (BOTTOM_BYTES + BLOCK_SLOTS * (uint32_t)sizeof(uint32_t))
#define TIES_SETTLED    UINT8_MAX
#define TIES_MANY       64u
#define TIES_RUN_LONG   4u /* as many equal heads cost more than one comparison */

static inline struct block *block_at(const struct skiplist *list, uint32_t reference)
{
    return arena_at(list->arena, reference);
}

static inline struct record *record_at(const struct skiplist *list, uint32_t reference)
{
    return arena_record(list->arena, reference);
}

/* ---- heads ---- */

/* Bytes behind what the block itself keeps. */
static struct bytes prefix_rest(const struct skiplist *list, const struct block *block)
{
    const struct record *record = record_at(list, block->prefix_record);

    assert(block->prefix_bytes > BLOCK_PREFIX_BYTES);
    assert(block->prefix_record != 0);
    return bytes_of(record->bytes + BLOCK_PREFIX_BYTES, block->prefix_bytes - BLOCK_PREFIX_BYTES);
}

/* Less, equal or greater than 0: key is before, within or after the keys that have the prefix. */
static int prefix_compare(const struct skiplist *list, const struct block *block,
                          struct bytes key)
{
    size_t size = block->prefix_bytes, kept = min_u64(size, BLOCK_PREFIX_BYTES);
    size_t compared = min_u64(key.size, kept);
    int    order = compared == 0 ? 0 : memcmp(key.data, block->prefix, compared);

    if (order == 0 && key.size > kept && size > kept)
        order = memcmp(key.data + kept, prefix_rest(list, block).data,
                       min_u64(key.size, size) - kept);
    if (order != 0)
        return order;
    return key.size < size ? -1 : 0;
}

static inline uint64_t head_in(const struct skiplist *list, const struct block *block,
                               struct bytes key)
{
    size_t size = block->prefix_bytes;

    if (UNLIKELY(size > BLOCK_PREFIX_BYTES || !head_has_prefix(key, block->prefix, size))) {
        int order = prefix_compare(list, block, key);

        if (order != 0)
            return order < 0 ? 0 : UINT64_MAX;
    }
    return head_behind(key, size);
}

/* 0 stands before everything. */
static uint64_t head_of_record(const struct skiplist *list, const struct block *block,
                               uint32_t record)
{
    return record == 0 ? 0 : head_in(list, block, record_key(record_at(list, record)));
}

static void prefix_set(struct block *block, struct bytes prefix, uint32_t record)
{
    if (record == 0 && prefix.size > BLOCK_PREFIX_BYTES)
        prefix.size = BLOCK_PREFIX_BYTES;
    block->prefix_bytes = (uint16_t)prefix.size;
    block->prefix_record = prefix.size > BLOCK_PREFIX_BYTES ? record : 0;
    if (prefix.size > 0)
        memcpy(block->prefix, prefix.data, min_u64(prefix.size, BLOCK_PREFIX_BYTES));
}

/* Takes the prefix that all records of the block share now. */
static void block_improve(struct skiplist *list, struct block *block)
{
    uint32_t             from = block->records[0] == 0 ? 1 : 0;
    const struct record *first, *last;
    struct bytes         prefix;

    assert(block->count > from);
    first = record_at(list, block->records[from]);
    last = record_at(list, block->records[block->count - 1]);
    prefix = bytes_of(first->bytes, bytes_shared(record_key(first), record_key(last)));
    /* A large record may leave the arena, so nothing else may lean on its key. */
    if (arena_is_large(list->arena, record_bytes(first->key_bytes, first->value_room)))
        prefix.size = min_u64(prefix.size, BLOCK_PREFIX_BYTES);
    block->ties = prefix.size == block->prefix_bytes ? TIES_SETTLED : 0;
    if (block->ties == TIES_SETTLED)
        return;
    prefix_set(block, prefix, block->records[from]);
    for (uint32_t i = 0; i < block->count; i++) {
        if (i + 8 < block->count && block->records[i + 8] != 0)
            __builtin_prefetch(record_at(list, block->records[i + 8]));
        block->heads[i] = head_of_record(list, block, block->records[i]);
    }
}

/* ---- search ---- */

/* How many entries of the block are before (key, sequence). ties: how many had to be compared. */
static inline uint32_t block_lower(const struct skiplist *list, const struct block *block,
                                   struct bytes key, uint64_t sequence, uint32_t *ties)
{
    uint64_t head = head_in(list, block, key);
    uint32_t low = list->heads_lower(block->heads, head), high;

    *ties = 0;
    if (LIKELY(low >= block->count || block->heads[low] != head))
        return low < block->count ? low : block->count;
    high = head == UINT64_MAX ? block->count : list->heads_lower(block->heads, head + 1);
    *ties = high - low;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2, record = block->records[middle];

        if (record == 0 || record_compare(record_at(list, record), key, sequence) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* In a block above the bottom: the last entry that is not after (key, sequence). */
static inline uint32_t block_child(const struct skiplist *list, const struct block *block,
                                   struct bytes key, uint64_t sequence, uint32_t *ties)
{
    uint32_t low = block_lower(list, block, key, sequence, ties);

    /* Equal to a separator: the entry is the first of the block below it. */
    if (*ties > 0 && low < block->count
        && record_compare(record_at(list, block->records[low]), key, sequence) == 0)
        return low;
    assert(low > 0);
    return low - 1;
}

/* All lines of a block at once, where searching would fetch some only after others have come. */
static inline void block_prefetch(const struct block *block, bool is_bottom)
{
    const uint8_t *lines = (const uint8_t *)block;
    size_t         first = is_bottom ? 0 : BOTTOM_BYTES;
    size_t         end = is_bottom ? BOTTOM_BYTES - CACHE_LINE_BYTES : UPPER_BYTES;

    __builtin_prefetch(&block->left);
    for (size_t at = first; at < end; at += CACHE_LINE_BYTES)
        __builtin_prefetch(lines + at);
}

/* The bottom block where (key, sequence) is or belongs; fetched, not yet looked at. */
struct block *skiplist_bottom(const struct skiplist *list, struct bytes key, uint64_t sequence)
{
    struct block *block = block_at(list, list->top);
    uint32_t      ties;

    for (uint32_t level = list->levels - 1; level > 0; level--) {
        block = block_at(list, block->children[block_child(list, block, key, sequence, &ties)]);
        block_prefetch(block, level == 1);
    }
    return block;
}

struct skiplist_place skiplist_find_in(const struct skiplist *list, const struct block *bottom,
                                       struct bytes key, uint64_t sequence)
{
    uint32_t ties;

    return (struct skiplist_place){ bottom, block_lower(list, bottom, key, sequence, &ties) };
}

struct skiplist_place skiplist_find(const struct skiplist *list, struct bytes key,
                                    uint64_t sequence)
{
    return skiplist_find_in(list, skiplist_bottom(list, key, sequence), key, sequence);
}

static void ties_note(struct skiplist *list, struct block *block, uint32_t ties)
{
    if (LIKELY(ties == 0) || block->ties == TIES_SETTLED)
        return;
    block->ties = (uint8_t)(block->ties + (ties >= TIES_RUN_LONG ? TIES_RUN_LONG : 1));
    if (block->ties >= TIES_MANY)
        block_improve(list, block);
}

void skiplist_path_begin(struct skiplist *list, struct bytes key, uint64_t sequence,
                         struct skiplist_path *path)
{
    struct block *block = block_at(list, list->top);
    uint32_t      ties, place;

    for (uint32_t level = list->levels - 1; level > 0; level--) {
        place = block_child(list, block, key, sequence, &ties);
        path->blocks[level] = block;
        path->places[level] = place;
        ties_note(list, block, ties);
        block = block_at(list, block->children[place]);
        block_prefetch(block, level == 1);
    }
    path->blocks[0] = block;
}

void skiplist_path_finish(struct skiplist *list, struct bytes key, uint64_t sequence,
                          struct skiplist_path *path)
{
    uint32_t ties;

    path->places[0] = block_lower(list, path->blocks[0], key, sequence, &ties);
    ties_note(list, path->blocks[0], ties);
}

bool skiplist_path_in(struct skiplist *list, struct block *bottom, struct bytes key,
                      uint64_t sequence, struct skiplist_path *path)
{
    uint32_t ties, place;

    if (UNLIKELY(bottom->count == BLOCK_SLOTS))
        return false;
    place = block_lower(list, bottom, key, sequence, &ties);
    if (place == 0 || place == bottom->count)
        return false;
    path->blocks[0] = bottom;
    path->places[0] = place;
    ties_note(list, bottom, ties);
    return true;
}

/* ---- insert ---- */

static void slots_open(struct block *block, uint32_t place, bool is_bottom)
{
    uint32_t moved = block->count - place;

    assert(place <= block->count);
    assert(block->count < BLOCK_SLOTS);
    memmove(&block->heads[place + 1], &block->heads[place], moved * sizeof block->heads[0]);
    memmove(&block->records[place + 1], &block->records[place], moved * sizeof block->records[0]);
    if (!is_bottom)
        memmove(&block->children[place + 1], &block->children[place],
                moved * sizeof block->children[0]);
    block->count++;
}

/* child 0: a bottom block. */
static void block_add(const struct skiplist *list, struct block *block, uint32_t place,
                      uint32_t record, uint32_t child)
{
    slots_open(block, place, child == 0);
    block->heads[place] = head_of_record(list, block, record);
    block->records[place] = record;
    if (child != 0)
        block->children[place] = child;
}

static uint32_t block_new(struct skiplist *list, const struct block *like, bool is_bottom)
{
    uint32_t reference = arena_allocate(list->arena, is_bottom ? BOTTOM_BYTES : UPPER_BYTES,
                                        CACHE_LINE_BYTES);
    struct block *block = block_at(list, reference);

    for (uint32_t i = 0; i < BLOCK_SLOTS; i++)
        block->heads[i] = HEAD_UNUSED;
    block->left = block->right = 0;
    block->count = 0;
    block->ties = 0;
    block->padding = 0;
    block->prefix_bytes = like->prefix_bytes;
    block->prefix_record = like->prefix_record;
    memcpy(block->prefix, like->prefix, BLOCK_PREFIX_BYTES);
    return reference;
}

/* Moves the slots from `from` on into the empty block on its right. */
static void slots_move(struct block *source, struct block *target, uint32_t from, bool is_bottom)
{
    uint32_t moved = source->count - from;

    memcpy(target->heads, &source->heads[from], moved * sizeof source->heads[0]);
    memcpy(target->records, &source->records[from], moved * sizeof source->records[0]);
    if (!is_bottom)
        memcpy(target->children, &source->children[from], moved * sizeof source->children[0]);
    for (uint32_t i = from; i < source->count; i++)
        source->heads[i] = HEAD_UNUSED;
    target->count = (uint16_t)moved;
    source->count = (uint16_t)from;
    source->ties = 0;
}

/* Splits the full block at its middle, or, when it is the last one and grows at its end, before the
 * new entry: ascending keys then fill every block. Returns the new block on the right. */
static uint32_t block_split(struct skiplist *list, struct block *block, uint32_t place,
                            bool is_bottom)
{
    uint32_t      reference = block_new(list, block, is_bottom);
    struct block *right = block_at(list, reference);
    bool          is_append = place == BLOCK_SLOTS && block->right == 0;

    assert(block->count == BLOCK_SLOTS);
    if (!is_append)
        slots_move(block, right, BLOCK_SLOTS / 2, is_bottom);
    right->right = block->right;
    return reference;
}

static void block_link(struct skiplist *list, uint32_t left, uint32_t reference, bool is_bottom)
{
    struct block *block = block_at(list, reference);

    block_at(list, left)->right = reference;
    block->left = left;
    if (block->right != 0)
        block_at(list, block->right)->left = reference;
    else if (is_bottom)
        list->last = reference;
}

static void top_add(struct skiplist *list, uint32_t record, uint32_t child)
{
    uint32_t      reference = block_new(list, block_at(list, list->top), false);
    struct block *block = block_at(list, reference);

    assert(list->levels < LEVELS_MAX);
    block_add(list, block, 0, 0, list->top);
    block_add(list, block, 1, record, child);
    list->top = reference;
    list->levels++;
}

/* The reference of the block that the path goes through at this level. */
static uint32_t path_reference(const struct skiplist *list, const struct skiplist_path *path,
                               uint32_t level)
{
    if (level + 1 == list->levels)
        return list->top;
    return path->blocks[level + 1]->children[path->places[level + 1]];
}

uint64_t skiplist_insert_bytes(const struct skiplist *list, const struct skiplist_path *path)
{
    uint64_t bytes = 0;

    for (uint32_t level = 0; level < list->levels; level++) {
        if (LIKELY(path->blocks[level]->count < BLOCK_SLOTS))
            return bytes;
        bytes += (level == 0 ? BOTTOM_BYTES : UPPER_BYTES) + CACHE_LINE_BYTES;
    }
    return bytes + UPPER_BYTES + CACHE_LINE_BYTES; /* a new top */
}

uint64_t skiplist_insert_bytes_max(const struct skiplist *list)
{
    return (list->levels + 1) * (UPPER_BYTES + CACHE_LINE_BYTES);
}

void skiplist_insert(struct skiplist *list, const struct skiplist_path *path, uint32_t record)
{
    uint32_t child = 0, levels = list->levels;

    assert(record != 0);
    for (uint32_t level = 0; level < levels; level++) {
        struct block *block = path->blocks[level], *right;
        uint32_t      place = path->places[level] + (level > 0), left, reference;

        if (LIKELY(block->count < BLOCK_SLOTS)) {
            block_add(list, block, place, record, child);
            return;
        }
        left = path_reference(list, path, level);
        reference = block_split(list, block, place, level == 0);
        right = block_at(list, reference);
        block_link(list, left, reference, level == 0);
        if (place <= block->count && block->count < BLOCK_SLOTS)
            block_add(list, block, place, record, child);
        else
            block_add(list, right, place - block->count, record, child);
        record = right->records[0];
        child = reference;
    }
    top_add(list, record, child);
}

void skiplist_exchange(struct skiplist *list, uint32_t old_record, uint32_t new_record)
{
    const struct record *old = record_at(list, old_record);
    struct skiplist_path path;
    struct block        *bottom;

    skiplist_path_begin(list, record_key(old), record_sequence(old), &path);
    skiplist_path_finish(list, record_key(old), record_sequence(old), &path);
    bottom = path.blocks[0];
    assert(path.places[0] < bottom->count);
    assert(bottom->records[path.places[0]] == old_record);
    bottom->records[path.places[0]] = new_record;
    for (uint32_t level = 1; level < list->levels; level++) {
        if (path.blocks[level]->records[path.places[level]] == old_record)
            path.blocks[level]->records[path.places[level]] = new_record;
    }
}

/* ---- open, and looking at the whole ---- */

enum kiwi_status skiplist_open(struct skiplist *list, struct arena *arena, struct bytes prefix)
{
    struct block like = { .count = 0 };

    *list = (struct skiplist){ .arena = arena, .heads_lower = heads_lower_best(), .levels = 1 };
    TRY(arena_reserve(arena, BOTTOM_BYTES + CACHE_LINE_BYTES));
    prefix_set(&like, prefix, 0);
    list->top = list->first = list->last = block_new(list, &like, true);
    return KIWI_OK;
}

struct bytes skiplist_common_prefix(const struct skiplist *list)
{
    const struct block  *first = block_at(list, list->first), *last = block_at(list, list->last);
    const struct record *smallest, *largest;

    if (first->count == 0)
        return bytes_of(NULL, 0);
    smallest = record_at(list, first->records[0]);
    largest = record_at(list, last->records[last->count - 1]);
    return bytes_of(smallest->bytes, bytes_shared(record_key(smallest), record_key(largest)));
}
