/*
 * block_store.c: finding, appending and reclaiming blocks.
 */
#include "cache/block_store.h"

#include "cache/block_tables.h"

#define FRAME_UNIT       64u
#define SLOT_SHIFT       12u /* of a reference: slots of a segment */
#define SLOT_COUNT_MAX   (1u << SLOT_SHIFT)
#define PREFETCH_LINES   6u  /* of a block: header and the columns that a search reads */
#define LARGE_SHARE      8u  /* a block above this part of a segment has its own */

static uint32_t frame_bytes(size_t block_bytes)
{
    return (uint32_t)round_up_u64(block_bytes, FRAME_UNIT);
}

static struct cache_block *slot_at(const struct segment *segment, uint32_t slot)
{
    return (struct cache_block *)(void *)(segment->base + segment->bytes
                                          - (size_t)(slot + 1) * SLOT_BYTES);
}

struct cache_block *block_at(const struct block_store *store, uint32_t reference)
{
    return slot_at(store->pool->segments[reference >> SLOT_SHIFT],
                   reference & (SLOT_COUNT_MAX - 1));
}

static struct segment *segment_of(const struct block_store *store, const struct cache_block *block)
{
    return store->pool->segments[block->reference >> SLOT_SHIFT];
}

bool block_is_large(const struct segment_pool *pool, uint64_t bytes)
{
    return bytes > pool->segment_bytes / LARGE_SHARE;
}

/* ---- the end of a block ---- */

static void segment_release_if_dead(struct block_store *store, struct segment *segment)
{
    struct block_log *log = &store->logs[segment->owner];

    if (segment->dead < segment->used || segment == log->head || segment == log->victim)
        return;
    assert(segment->pin_count == 0);
    segment_list_remove(&log->list, segment);
    segment_give(store->pool, segment);
}

/* Nothing refers to the slot any more. */
static void slot_kill(struct block_store *store, struct cache_block *block)
{
    struct segment *segment = segment_of(store, block);

    assert(block->state != BLOCK_DEAD);
    assert(block->pins == 0);
    block->state = BLOCK_DEAD;
    segment_note_dead(&store->logs[segment->owner].list, segment, frame_bytes(block->bytes));
}

/* The block is out of the index already. A pinned one lasts until it is unpinned. */
static void block_forget(struct block_store *store, struct cache_block *block)
{
    assert(block->state == BLOCK_LIVE);
    block_tables_remove(store, block);
    store->live_counts[block->tier]--;
    if (block->tier == KIWI_TIER_BLOCK)
        store->live_bytes -= block->bytes;
    if (block->pins > 0)
        block->state = BLOCK_DOOMED;
    else
        slot_kill(store, block);
}

static void block_remove(struct block_store *store, struct cache_block *block)
{
    struct index_place place = index_locate(&store->index, block->hash32, block->reference);

    assert(place.line != NULL);
    index_remove(&store->index, block->hash32, place);
    block_forget(store, block);
}

static uint32_t owner_hash32(void *context, uint32_t reference)
{
    return block_at(context, reference)->hash32;
}

static void owner_prefetch(void *context, uint32_t reference)
{
    __builtin_prefetch(block_at(context, reference));
}

static void owner_forget(void *context, uint32_t reference)
{
    struct block_store *store = context;
    struct cache_block *block = block_at(store, reference);

    store->counts[block->tier].evictions++;
    block_forget(store, block);
}

/* ---- opening and closing ---- */

void block_store_open(struct block_store *store, struct segment_pool *pool)
{
    struct index_owner owner = { store, owner_hash32, owner_prefetch, owner_forget };

    *store = (struct block_store){ .pool = pool };
    index_open(&store->index, pool, owner);
    block_tables_open(store);
}

void block_store_close(struct block_store *store)
{
    if (store->pool == NULL)
        return;
    index_close(&store->index);
    for (int kind = 0; kind < LOG_COUNT; kind++) {
        struct block_log *log = &store->logs[kind];

        if (log->victim != NULL)
            segment_give(store->pool, log->victim);
        for (struct segment *segment; (segment = log->list.oldest) != NULL;) {
            segment_list_remove(&log->list, segment);
            segment_give(store->pool, segment);
        }
    }
    block_tables_close(store);
    ghost_close(&store->ghost);
}

uint64_t block_store_log_bytes(const struct block_store *store, enum log_kind kind)
{
    const struct block_log *log = &store->logs[kind];

    return log->list.bytes + (log->victim == NULL ? 0 : log->victim->bytes);
}

uint64_t block_store_mean_bytes(const struct block_store *store)
{
    uint64_t count = store->live_counts[KIWI_TIER_BLOCK];

    return count == 0 ? 4096 : store->live_bytes / count;
}

/* ---- finding ---- */

struct block_match {
    const struct block_store *store;
    const struct block_key   *key;
};

static bool block_matches(const void *context, uint32_t reference)
{
    const struct block_match *match = context;
    const struct cache_block *block = block_at(match->store, reference);

    return block->offset == match->key->offset && block->table_id == match->key->table_id
        && block->tier == match->key->tier
        && !block_tables_is_dropped(match->store, block->table);
}

static struct index_place place_of(const struct block_store *store, const struct block_key *key)
{
    struct block_match match = { store, key };

    return index_find(&store->index, key->hash, block_matches, &match);
}

bool block_store_has(const struct block_store *store, const struct block_key *key)
{
    return place_of(store, key).line != NULL;
}

static uint32_t record_word(uint64_t record_hash)
{
    uint32_t word = (uint32_t)(record_hash ^ record_hash >> 32);

    return word == 0 && record_hash != 0 ? 1 : word;
}

static struct block_note *note_of(struct block_store *store, const struct block_key *key)
{
    return &store->notes[(key->hash >> 40) % BLOCK_NOTES];
}

/* Whether the block deserves the main log. The access that brought it does not count twice. */
static void block_touch_small(struct cache_block *block, uint32_t record)
{
    switch ((enum block_touch)block->touch) {
    case TOUCH_NONE:
        block->touch = TOUCH_ONCE;
        block->record = record;
        break;
    case TOUCH_FRESH:
        block->touch = block->record == record ? TOUCH_ONCE : TOUCH_WANTED;
        break;
    case TOUCH_ONCE:
        if (record == 0 || record != block->record)
            block->touch = TOUCH_WANTED;
        break;
    case TOUCH_WANTED:
        break;
    }
}

struct cache_block *block_store_find(struct block_store *store, const struct block_key *key,
                                     uint64_t record_hash)
{
    struct index_place place = place_of(store, key);

    if (key->tier == KIWI_TIER_BLOCK)
        store->answered = place.line == NULL ? 0 : record_hash;
    if (place.line == NULL) {
        store->counts[key->tier].misses++;
        *note_of(store, key) = (struct block_note){ (uint32_t)key->hash, record_word(record_hash) };
        return NULL;
    }
    struct cache_block *block = block_at(store, place.line->references[place.slot]);

    store->counts[key->tier].hits++;
    if (block->log == LOG_SMALL)
        block_touch_small(block, record_word(record_hash));
    else
        index_frequency_raise(place);
    return block;
}

static void slots_prefetch(const struct block_store *store, uint64_t hash)
{
    const struct index_line *line = index_home(&store->index, (uint32_t)hash);

    for (uint32_t found = index_matches(line, index_tag(hash)); found != 0; found &= found - 1)
        __builtin_prefetch(block_at(store, line->references[__builtin_ctz(found)]));
}

void block_store_prefetch(const struct block_store *store, const struct block_key *key,
                          enum cache_fetch fetch)
{
    struct index_place place;

    switch (fetch) {
    case CACHE_FETCH_LINE:
        index_prefetch(&store->index, key->hash);
        return;
    case CACHE_FETCH_SLOT:
        slots_prefetch(store, key->hash);
        return;
    case CACHE_FETCH_BLOCK:
        break;
    case CACHE_FETCH_COUNT:
        assert(false && "not a step");
    }
    place = place_of(store, key);
    if (place.line == NULL)
        return;
    const struct cache_block *block = block_at(store, place.line->references[place.slot]);

    for (uint32_t i = 0; i < PREFETCH_LINES && i * CACHE_LINE_BYTES < block->bytes; i++)
        __builtin_prefetch(block->data + (size_t)i * CACHE_LINE_BYTES);
}

/* ---- appending ---- */

static bool head_has(const struct segment *head, uint32_t frame)
{
    return head != NULL && head->slot_count < SLOT_COUNT_MAX
        && head->used + frame + (head->slot_count + 1) * SLOT_BYTES <= head->bytes;
}

/* A segment with room for the frame: the log's head, a new one, or one of just this size. */
static struct segment *segment_for(struct block_store *store, enum log_kind kind, uint32_t frame,
                                   uint32_t spare)
{
    struct block_log *log = &store->logs[kind];
    struct segment   *segment = log->head;
    bool              is_large = block_is_large(store->pool, frame);

    if (!is_large && head_has(segment, frame))
        return segment;
    segment = is_large ? segment_take_odd(store->pool, frame + SLOT_BYTES)
                       : segment_take(store->pool, spare);
    if (segment == NULL)
        return NULL;
    if (segment->id >= 1u << (32 - SLOT_SHIFT)) { /* beyond what a reference can name */
        segment_give(store->pool, segment);
        return NULL;
    }
    segment->owner = (uint8_t)kind;
    segment_list_append(&log->list, segment);
    if (!is_large)
        log->head = segment;
    return segment;
}

static struct cache_block *slot_append(struct segment *segment, uint32_t bytes)
{
    uint32_t            slot = segment->slot_count++;
    struct cache_block *block = slot_at(segment, slot);

    *block = (struct cache_block){ .data = segment->base + segment->used,
                                   .bytes = bytes,
                                   .reference = segment->id << SLOT_SHIFT | slot,
                                   .log = segment->owner,
                                   .state = BLOCK_LIVE };
    segment->used += frame_bytes(bytes);
    assert(segment->used + segment->slot_count * SLOT_BYTES <= segment->bytes);
    return block;
}

static enum log_kind log_of_tier(enum kiwi_tier tier)
{
    assert(tier == KIWI_TIER_BLOCK || tier == KIWI_TIER_INDEX || tier == KIWI_TIER_FILTER);
    return tier == KIWI_TIER_INDEX ? LOG_INDEX : tier == KIWI_TIER_FILTER ? LOG_FILTER : LOG_SMALL;
}

uint64_t block_store_head_room(const struct block_store *store, enum kiwi_tier tier, uint32_t bytes)
{
    const struct segment *head = store->logs[log_of_tier(tier)].head;

    if (block_is_large(store->pool, bytes) || !head_has(head, frame_bytes(bytes)))
        return 0;
    return head->bytes - head->used - (head->slot_count + 1) * SLOT_BYTES;
}

static void touch_first(struct block_store *store, const struct block_key *key,
                        struct cache_block *block, bool is_offer)
{
    struct block_note *note = note_of(store, key);

    block->touch = TOUCH_NONE;
    if (is_offer || note->hash32 != (uint32_t)key->hash)
        return;
    block->touch = TOUCH_FRESH;
    block->record = note->record;
    note->hash32 = 0;
}

bool block_store_insert(struct block_store *store, const struct block_key *key, struct bytes block,
                        bool is_offer)
{
    enum log_kind       kind = log_of_tier(key->tier);
    struct segment     *segment;
    struct cache_block *slot;

    if (block.size == 0 || block.size > BLOCK_BYTES_MAX || block_store_has(store, key))
        return true;
    if (!is_offer && key->tier == KIWI_TIER_BLOCK
        && ghost_take(&store->ghost, (uint32_t)key->hash)) {
        store->ghost_hits++;
        kind = LOG_MAIN;
    }
    segment = segment_for(store, kind, frame_bytes(block.size), 1);
    if (segment == NULL) {
        if (kind == LOG_MAIN) { /* the next try shall see the ghost again */
            ghost_add(&store->ghost, (uint32_t)key->hash);
            store->ghost_hits--;
        }
        return false;
    }
    slot = slot_append(segment, (uint32_t)block.size);
    slot->table_id = key->table_id;
    slot->offset = key->offset;
    slot->hash32 = (uint32_t)key->hash;
    slot->tier = (uint8_t)key->tier;
    touch_first(store, key, slot, is_offer);
    if (!block_tables_add(store, slot)) {
        slot_kill(store, slot);
        segment_release_if_dead(store, segment);
        return false;
    }
    if (!index_insert(&store->index, key->hash, slot->reference)) {
        block_tables_remove(store, slot);
        slot_kill(store, slot);
        segment_release_if_dead(store, segment);
        return false;
    }
    memcpy(slot->data, block.data, block.size);
    store->counts[key->tier].inserts++;
    store->live_counts[key->tier]++;
    if (key->tier == KIWI_TIER_BLOCK)
        store->live_bytes += block.size;
    return true;
}

/* ---- pins ---- */

void block_store_pin(struct block_store *store, struct cache_block *block)
{
    assert(block->state == BLOCK_LIVE);
    assert(block->pins < UINT32_MAX);
    if (block->pins++ == 0)
        segment_of(store, block)->pin_count++;
}

void block_store_unpin(struct block_store *store, struct cache_block *block)
{
    struct segment *segment = segment_of(store, block);

    assert(block->state != BLOCK_DEAD);
    assert(block->pins > 0);
    if (--block->pins > 0)
        return;
    assert(segment->pin_count > 0);
    segment->pin_count--;
    if (block->state == BLOCK_DOOMED) {
        slot_kill(store, block);
        segment_release_if_dead(store, segment);
    }
}

/* ---- tables ---- */

void block_store_table_drop(struct block_store *store, uint64_t table_id)
{
    block_tables_drop(store, table_id);
}

void block_store_sweep_dropped(struct block_store *store, uint32_t items)
{
    uint32_t reference;

    while (items-- > 0 && block_tables_next_dropped(store, &reference)) {
        struct cache_block *block = block_at(store, reference);
        struct segment     *segment = segment_of(store, block);

        store->counts[block->tier].evictions++;
        block_remove(store, block);
        segment_release_if_dead(store, segment);
    }
}

/* ---- reclaiming ---- */

static bool victim_choose(struct block_store *store, struct block_log *log)
{
    struct segment *victim = segment_list_victim(&log->list, log->head,
                                                 store->pool->segment_bytes,
                                                 &log->victim_keeps_all);

    if (victim == NULL)
        return false;
    if (victim == log->head)
        log->head = NULL;
    log->victim = victim;
    log->victim_at = 0;
    return true;
}

/* Where a block goes when its turn has come; LOG_COUNT: away. */
static enum log_kind block_destination(const struct block_store *store,
                                       const struct cache_block *block, struct index_place place)
{
    if (block_tables_is_dropped(store, block->table))
        return LOG_COUNT;
    if (store->logs[block->log].victim_keeps_all)
        return (enum log_kind)block->log;
    if (block->log == LOG_SMALL)
        return block->touch == TOUCH_WANTED ? LOG_MAIN : LOG_COUNT;
    return index_frequency(place) > 0 ? (enum log_kind)block->log : LOG_COUNT;
}

/* Appends a copy and lets all that refers to the block refer to the copy. */
static bool block_move(struct block_store *store, struct cache_block *block,
                       struct index_place place, enum log_kind kind)
{
    struct segment     *segment = segment_for(store, kind, frame_bytes(block->bytes), 0);
    struct cache_block *copy;
    uint8_t            *data;
    uint32_t            reference;

    if (segment == NULL)
        return false;
    copy = slot_append(segment, block->bytes);
    data = copy->data;
    reference = copy->reference;
    *copy = *block;
    copy->data = data;
    copy->reference = reference;
    copy->log = (uint8_t)kind;
    memcpy(data, block->data, block->bytes);
    block_tables_moved(store, copy, block->reference);
    place.line->references[place.slot] = reference;
    slot_kill(store, block);
    return true;
}

/* A block that has its segment to itself moves with it. */
static void segment_move(struct block_store *store, struct segment *segment,
                         struct cache_block *block, enum log_kind kind)
{
    struct block_log *log = &store->logs[segment->owner];

    assert(segment == log->victim);
    log->victim = NULL;
    segment->owner = block->log = (uint8_t)kind;
    segment_list_append(&store->logs[kind].list, segment);
}

/* Returns the bytes freed by the block at the victim's front. */
static uint32_t victim_step(struct block_store *store, struct block_log *log, bool force)
{
    struct segment     *victim = log->victim;
    struct cache_block *block = slot_at(victim, log->victim_at++);
    uint32_t            frame = frame_bytes(block->bytes);

    if (block->state == BLOCK_DEAD)
        return frame;
    if (block->pins > 0)
        return 0;
    struct index_place place = index_locate(&store->index, block->hash32, block->reference);

    assert(place.line != NULL);
    enum log_kind kind = block_destination(store, block, place);

    if (kind != LOG_COUNT && !force) {
        if (!log->victim_keeps_all && index_frequency(place) > 0)
            index_frequency_set(place, index_frequency(place) - 1);
        if (victim->is_odd) {
            segment_move(store, victim, block, kind);
            return 0;
        }
        if (block_move(store, block, place, kind))
            return 0;
    }
    if (block->tier == KIWI_TIER_BLOCK && !block_tables_is_dropped(store, block->table))
        ghost_add(&store->ghost, block->hash32);
    store->counts[block->tier].evictions++;
    index_remove(&store->index, block->hash32, place);
    block_forget(store, block);
    return frame;
}

static void victim_finish(struct block_store *store, struct block_log *log)
{
    struct segment *victim = log->victim;

    log->victim = NULL;
    if (victim->dead < victim->used) { /* blocks were pinned meanwhile */
        segment_list_append(&log->list, victim);
        return;
    }
    segment_give(store->pool, victim);
}

bool block_store_reclaim(struct block_store *store, enum log_kind kind, uint64_t *debt,
                         uint32_t *items, bool force)
{
    struct block_log *log = &store->logs[kind];

    if (log->victim == NULL && !victim_choose(store, log))
        return false;
    while (log->victim != NULL && log->victim_at < log->victim->slot_count && *debt > 0
           && *items > 0) {
        *debt -= min_u64(*debt, victim_step(store, log, force));
        --*items;
    }
    if (log->victim != NULL && log->victim_at == log->victim->slot_count)
        victim_finish(store, log);
    return true;
}

void block_store_vacate(struct block_store *store, struct segment *segment)
{
    struct block_log *log = &store->logs[segment->owner];

    assert(segment->pin_count == 0);
    for (uint32_t slot = 0; slot < segment->slot_count; slot++) {
        struct cache_block *block = slot_at(segment, slot);

        if (block->state == BLOCK_DEAD)
            continue;
        store->counts[block->tier].evictions++;
        block_remove(store, block);
    }
    if (segment == log->victim)
        log->victim = NULL;
    else
        segment_list_remove(&log->list, segment);
    if (segment == log->head)
        log->head = NULL;
    segment_give(store->pool, segment);
}
