/*
 * index.c: inserting, removing, and the sweep that changes the size.
 */
#include "cache/index.h"

#include <string.h>

#include "core/base/memory.h"

#define GROW_PERCENT   65u /* of the slots: pairs that overflow then forget 1 entry in 200 */
#define SHRINK_PERCENT 25u
#define TABLE_CHUNKS_MAX 65536u

/* Stands in for a table that has no lines yet: nothing is ever found or written there. */
static struct index_line  empty_pair[2] __attribute__((aligned(128)));
static struct index_line *empty_chunks[1] = { empty_pair };
static const struct index_table empty_table = { .chunks = empty_chunks, .line_count = 2 };

static bool table_is_empty(const struct index_table *table)
{
    return table->chunk_count == 0;
}

static uint64_t table_bytes(uint32_t chunk_count)
{
    return chunk_count * (sizeof(struct index_line *) + sizeof(struct segment *));
}

void index_open(struct index *index, struct segment_pool *pool, struct index_owner owner)
{
    uint32_t lines = pool->segment_bytes / (uint32_t)sizeof(struct index_line);

    assert((lines & (lines - 1)) == 0);
    *index = (struct index){ .present = empty_table, .pool = pool, .owner = owner };
    index->chunk_shift = (uint32_t)__builtin_ctz(lines);
    index->chunk_mask = lines - 1;
}

/* ---- chunks ---- */

static bool chunk_create(struct index *index, struct index_table *table, uint32_t at)
{
    struct segment *segment;

    assert(at < table->chunk_count);
    if (table->segments[at] != NULL)
        return true;
    if ((segment = segment_take(index->pool, 0)) == NULL)
        return false;
    segment->is_chunk = true;
    memset(segment->base, 0, segment->bytes);
    table->segments[at] = segment;
    table->chunks[at] = (struct index_line *)(void *)segment->base;
    index->bytes += segment->bytes;
    return true;
}

static void chunk_give(struct index *index, struct index_table *table, uint32_t at)
{
    if (table->segments[at] == NULL)
        return;
    index->bytes -= table->segments[at]->bytes;
    segment_give(index->pool, table->segments[at]);
    table->segments[at] = NULL;
    table->chunks[at] = NULL;
}

static bool table_create(struct index *index, struct index_table *table, uint32_t chunk_count)
{
    uint64_t bytes = table_bytes(chunk_count);

    if (!segment_pool_charge(index->pool, bytes))
        return false;
    table->chunks = memory_allocate_zeroed(bytes);
    if (table->chunks == NULL) {
        segment_pool_discharge(index->pool, bytes);
        return false;
    }
    table->segments = (struct segment **)(void *)(table->chunks + chunk_count);
    table->chunk_count = chunk_count;
    table->line_count = chunk_count << index->chunk_shift;
    index->bytes += bytes;
    return true;
}

static void table_destroy(struct index *index, struct index_table *table)
{
    if (table_is_empty(table))
        return;
    for (uint32_t i = 0; i < table->chunk_count; i++)
        chunk_give(index, table, i);
    index->bytes -= table_bytes(table->chunk_count);
    segment_pool_discharge(index->pool, table_bytes(table->chunk_count));
    memory_free(table->chunks);
    *table = (struct index_table){ 0 };
}

void index_close(struct index *index)
{
    if (index->pool == NULL)
        return;
    table_destroy(index, &index->present);
    table_destroy(index, &index->coming);
    assert(index->bytes == 0);
}

/* ---- slots ---- */

static uint32_t free_slots(const struct index_line *line)
{
    return index_matches(line, 0);
}

static void slot_fill(struct index_place place, uint8_t tag, uint32_t reference,
                      uint32_t frequency)
{
    assert_slow(tag != 0);
    place.line->tags[place.slot] = tag;
    place.line->references[place.slot] = reference;
    index_frequency_set(place, frequency);
}

static void slot_clear(struct index_place place)
{
    assert(place.line->tags[place.slot] != 0);
    place.line->tags[place.slot] = 0;
    index_frequency_set(place, 0);
}

static void away_add(struct index_line *home, int change)
{
    assert(change > 0 || index_away(home) > 0);
    home->meta += (uint32_t)change << 24;
}

/* A free place in the pair of home; line NULL: none. */
static struct index_place place_free(struct index_line *home)
{
    uint32_t free = free_slots(home);

    if (LIKELY(free != 0))
        return (struct index_place){ home, (uint32_t)__builtin_ctz(free) };
    free = free_slots(index_other(home));
    if (free != 0)
        return (struct index_place){ index_other(home), (uint32_t)__builtin_ctz(free) };
    return (struct index_place){ NULL, 0 };
}

/* The least frequent slot of home; turn makes ties fall on all slots alike. */
static struct index_place place_worst(struct index_line *home, uint32_t turn)
{
    struct index_place worst = { home, turn % INDEX_SLOTS };

    for (uint32_t i = 1; i < INDEX_SLOTS; i++) {
        struct index_place place = { home, (turn + i) % INDEX_SLOTS };

        if (index_frequency(place) < index_frequency(worst))
            worst = place;
    }
    return worst;
}

/* What stands in home may be at home in the other line. */
static void place_vacate(struct index *index, struct index_place place)
{
    uint32_t           reference = place.line->references[place.slot];
    uint32_t           hash32 = index->owner.hash32(index->owner.context, reference);
    struct index_line *home = index_home(index, hash32);

    assert(home == place.line || home == index_other(place.line));
    if (home != place.line)
        away_add(home, -1);
    slot_clear(place);
    index->count--;
    index->owner.forget(index->owner.context, reference);
}

bool index_insert(struct index *index, uint64_t hash, uint32_t reference)
{
    if (UNLIKELY(table_is_empty(&index->present))) {
        struct index_table first = { 0 };

        if (!table_create(index, &first, 1))
            return false;
        if (!chunk_create(index, &first, 0)) {
            table_destroy(index, &first);
            return false;
        }
        index->present = first;
    }
    struct index_line *home = index_home(index, (uint32_t)hash);
    struct index_place place = place_free(home);

    if (UNLIKELY(place.line == NULL)) {
        place = place_worst(home, reference);
        place_vacate(index, place);
    }
    if (place.line != home)
        away_add(home, 1);
    slot_fill(place, index_tag(hash), reference, 0);
    index->count++;
    return true;
}

static struct index_place locate_in(struct index_line *line, uint32_t reference)
{
    for (uint32_t slot = 0; slot < INDEX_SLOTS; slot++)
        if (line->references[slot] == reference && line->tags[slot] != 0)
            return (struct index_place){ line, slot };
    return (struct index_place){ NULL, 0 };
}

struct index_place index_locate(const struct index *index, uint32_t hash32, uint32_t reference)
{
    struct index_line *home = index_home(index, hash32);
    struct index_place place = locate_in(home, reference);

    if (place.line == NULL && index_away(home) > 0)
        place = locate_in(index_other(home), reference);
    return place;
}

void index_remove(struct index *index, uint32_t hash32, struct index_place place)
{
    struct index_line *home = index_home(index, hash32);

    assert(place.line == home || place.line == index_other(home));
    assert(index->count > 0);
    if (place.line != home)
        away_add(home, -1);
    slot_clear(place);
    index->count--;
}

/* ---- the sweep ---- */

/* The first hash that is at home in the line: the inverse of hash32 * line_count >> 32. */
static uint64_t line_first_hash(uint32_t line, uint32_t line_count)
{
    return (((uint64_t)line << 32) + line_count - 1) / line_count;
}

static void line_carry(struct index *index, struct index_line *source)
{
    for (uint32_t slot = 0; slot < INDEX_SLOTS; slot++) {
        struct index_place from = { source, slot };
        uint32_t           reference = source->references[slot];

        if (source->tags[slot] == 0)
            continue;
        /* swept counts this pair already, so index_home gives the coming line. */
        uint32_t           hash32 = index->owner.hash32(index->owner.context, reference);
        struct index_line *home = index_home(index, hash32);
        struct index_place place = place_free(home);

        if (place.line == NULL) {
            index->count--;
            index->owner.forget(index->owner.context, reference);
            continue;
        }
        if (place.line != home)
            away_add(home, 1);
        slot_fill(place, source->tags[slot], reference, index_frequency(from));
    }
}

static void line_prefetch(const struct index *index, const struct index_line *line)
{
    for (uint32_t slot = 0; slot < INDEX_SLOTS; slot++)
        if (line->tags[slot] != 0)
            index->owner.prefetch(index->owner.context, line->references[slot]);
}

static struct index_line *line_at(const struct index *index, const struct index_table *table,
                                  uint32_t at)
{
    return &table->chunks[at >> index->chunk_shift][at & index->chunk_mask];
}

static void sweep_end(struct index *index)
{
    table_destroy(index, &index->present);
    index->present = index->coming;
    index->coming = (struct index_table){ 0 };
    index->swept = 0;
    index->is_sweeping = false;
}

/* Carries one pair over. False: no memory for the lines it needs. */
static bool sweep_pair(struct index *index)
{
    uint32_t at = index->swept;
    uint64_t first = line_first_hash(at, index->present.line_count);
    uint64_t last = line_first_hash(at + 2, index->present.line_count) - 1;
    uint32_t chunk_first = (uint32_t)(first * index->coming.line_count >> 32)
                        >> index->chunk_shift;
    uint32_t chunk_last = (uint32_t)(last * index->coming.line_count >> 32) >> index->chunk_shift;

    assert(index->is_sweeping);
    assert(at + 2 <= index->present.line_count);
    for (uint32_t chunk = chunk_first; chunk <= chunk_last; chunk++)
        if (!chunk_create(index, &index->coming, chunk))
            return false;
    if (at + 2 < index->present.line_count) {
        line_prefetch(index, line_at(index, &index->present, at + 2));
        line_prefetch(index, line_at(index, &index->present, at + 3));
    }
    index->swept += 2;
    line_carry(index, line_at(index, &index->present, at));
    line_carry(index, line_at(index, &index->present, at + 1));
    if ((index->swept & index->chunk_mask) == 0)
        chunk_give(index, &index->present, (index->swept >> index->chunk_shift) - 1);
    return true;
}

/* Grows by a quarter: memory stays well used, and growing costs four moves an entry in all. */
static uint32_t chunks_wanted(const struct index *index)
{
    uint32_t chunks = index->present.chunk_count;
    uint64_t slots = (uint64_t)index->present.line_count * INDEX_SLOTS;

    if (table_is_empty(&index->present))
        return chunks;
    if (index->count * 100 > slots * GROW_PERCENT)
        return (uint32_t)min_u64(chunks + (chunks + 3) / 4, TABLE_CHUNKS_MAX);
    if (chunks > 1 && index->count * 100 < slots * SHRINK_PERCENT)
        return (chunks + 1) / 2;
    return chunks;
}

void index_adapt(struct index *index, uint32_t steps)
{
    if (LIKELY(!index->is_sweeping)) {
        uint32_t chunks = chunks_wanted(index);

        if (LIKELY(chunks == index->present.chunk_count))
            return;
        if (!table_create(index, &index->coming, chunks))
            return;
        index->is_sweeping = true;
        index->swept = 0;
    }
    while (steps-- > 0) {
        if (!sweep_pair(index))
            return;
        if (index->swept == index->present.line_count) {
            sweep_end(index);
            return;
        }
    }
}
