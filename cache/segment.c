/*
 * segment.c: takes memory from the host in regions or one by one, and keeps the sum.
 */
#include "cache/segment.h"

#include <string.h>

#include "core/base/memory.h"
#include "io/buffers.h"

#define REGION_BYTES        (2u << 20)
#define SEGMENT_BYTES_MIN   (32u << 10)
#define SEGMENT_BYTES_MAX   (1u << 20)
#define SEGMENTS_WANTED     128u /* what one segment wastes is then below 1 % of the budget */
#define REGION_SEGMENT_MIN  (512u << 10)
/* After a refusal of the host, that many takes do not ask again: asking is a system call. */
#define REFUSALS_SKIPPED    1024u
/* A segment this dead is reclaimed before its turn; of the oldest few only, to bound the search. */
#define DEAD_SHARE_MIN      4u /* a quarter of the segment */
#define DEAD_SEARCH_MAX     256u

struct region {
    struct region *next, *previous;
    uint8_t       *base;
    uint32_t       used_count;
    uint32_t       pin_count; /* scratch of segment_pool_straggler */
};

static uint32_t segment_bytes_choose(uint64_t budget_bytes, uint64_t segment_bytes_max)
{
    uint64_t bytes = SEGMENT_BYTES_MAX;

    if (segment_bytes_max == 0)
        segment_bytes_max = SEGMENT_BYTES_MAX;
    while (bytes > SEGMENT_BYTES_MIN
           && (bytes * SEGMENTS_WANTED > budget_bytes || bytes > segment_bytes_max))
        bytes /= 2;
    return (uint32_t)bytes;
}

void segment_pool_open(struct segment_pool *pool, uint64_t budget_bytes,
                       uint64_t segment_bytes_max)
{
    *pool = (struct segment_pool){ .budget_bytes = budget_bytes };
    pool->segment_bytes = segment_bytes_choose(budget_bytes, segment_bytes_max);
    pool->uses_regions = pool->segment_bytes >= REGION_SEGMENT_MIN;
    assert((pool->segment_bytes & (pool->segment_bytes - 1)) == 0);
}

/* ---- lists ---- */

void segment_list_append(struct segment_list *list, struct segment *segment)
{
    assert(!segment->is_listed);
    segment->previous = list->newest;
    segment->next = NULL;
    if (list->newest != NULL)
        list->newest->next = segment;
    else
        list->oldest = segment;
    list->newest = segment;
    list->count++;
    list->bytes += segment->bytes;
    list->dead += segment->dead;
    segment->is_listed = true;
}

void segment_list_remove(struct segment_list *list, struct segment *segment)
{
    assert(segment->is_listed);
    assert(list->count > 0);
    if (segment->previous != NULL)
        segment->previous->next = segment->next;
    else
        list->oldest = segment->next;
    if (segment->next != NULL)
        segment->next->previous = segment->previous;
    else
        list->newest = segment->previous;
    list->count--;
    list->bytes -= segment->bytes;
    list->dead -= segment->dead;
    segment->is_listed = false;
    segment->next = segment->previous = NULL;
}

struct segment *segment_list_victim(struct segment_list *list, const struct segment *head,
                                    uint32_t segment_bytes, bool *keeps_all)
{
    struct segment *victim, *deadest;

    *keeps_all = false;
    for (uint32_t turns = list->count; turns > 0 && list->oldest->pin_count > 0; turns--) {
        struct segment *pinned = list->oldest;

        segment_list_remove(list, pinned);
        segment_list_append(list, pinned);
    }
    victim = deadest = list->oldest;
    if (victim == NULL || victim->pin_count > 0)
        return NULL;
    if (list->dead >= segment_bytes) {
        uint32_t searched = 0;

        for (struct segment *segment = victim; segment != NULL && searched < DEAD_SEARCH_MAX;
             segment = segment->next, searched++)
            if (segment != head && segment->pin_count == 0 && segment->dead > deadest->dead)
                deadest = segment;
        if (deadest != victim && deadest->dead >= deadest->bytes / DEAD_SHARE_MIN) {
            victim = deadest;
            *keeps_all = true;
        }
    }
    segment_list_remove(list, victim);
    return victim;
}

/* ---- descriptors and ids ---- */

static bool ids_reserve(struct segment_pool *pool)
{
    if (pool->id_free_count > 0 || pool->id_count < pool->id_capacity)
        return true;

    uint32_t  capacity = pool->id_capacity == 0 ? 64 : pool->id_capacity * 2;
    uint64_t  per_id = sizeof(*pool->bases) + sizeof(*pool->segments) + sizeof(*pool->ids_free);
    void     *grown;

    if (!segment_pool_charge(pool, (capacity - pool->id_capacity) * per_id))
        return false;
    if ((grown = memory_resize(pool->bases, capacity * sizeof(*pool->bases))) == NULL)
        goto fail;
    pool->bases = grown;
    if ((grown = memory_resize(pool->segments, capacity * sizeof(*pool->segments))) == NULL)
        goto fail;
    pool->segments = grown;
    if ((grown = memory_resize(pool->ids_free, capacity * sizeof(*pool->ids_free))) == NULL)
        goto fail;
    pool->ids_free = grown;
    pool->id_capacity = capacity;
    return true;
fail: /* a table that grew already stays larger than needed, which does no harm */
    segment_pool_discharge(pool, (capacity - pool->id_capacity) * per_id);
    return false;
}

static struct segment *segment_create(struct segment_pool *pool, uint8_t *base, uint32_t bytes,
                                      struct region *region)
{
    struct segment *segment;

    if (!ids_reserve(pool) || (segment = memory_allocate_zeroed(sizeof(*segment))) == NULL)
        return NULL;
    segment->base = base;
    segment->bytes = bytes;
    segment->region = region;
    segment->id = pool->id_free_count > 0 ? pool->ids_free[--pool->id_free_count]
                                          : pool->id_count++;
    pool->bases[segment->id] = base;
    pool->segments[segment->id] = segment;
    pool->mapped_bytes += sizeof(*segment);
    return segment;
}

static void segment_destroy(struct segment_pool *pool, struct segment *segment)
{
    assert(!segment->is_listed);
    pool->bases[segment->id] = NULL;
    pool->segments[segment->id] = NULL;
    pool->ids_free[pool->id_free_count++] = segment->id;
    assert(pool->id_free_count <= pool->id_count);
    pool->mapped_bytes -= sizeof(*segment);
    memory_free(segment);
}

/* ---- regions ---- */

static uint32_t region_segment_count(const struct segment_pool *pool)
{
    return REGION_BYTES / pool->segment_bytes;
}

static void region_destroy(struct segment_pool *pool, struct region *region)
{
    assert(region->used_count == 0);
    for (struct segment *segment = pool->free.oldest; segment != NULL;) {
        struct segment *next = segment->next;

        if (segment->region == region) {
            segment_list_remove(&pool->free, segment);
            segment_destroy(pool, segment);
        }
        segment = next;
    }
    if (region->previous != NULL)
        region->previous->next = region->next;
    else
        pool->regions = region->next;
    if (region->next != NULL)
        region->next->previous = region->previous;
    region_unmap(region->base, REGION_BYTES);
    pool->mapped_bytes -= REGION_BYTES + sizeof(*region);
    memory_free(region);
}

static bool region_create(struct segment_pool *pool)
{
    struct region *region = memory_allocate_zeroed(sizeof(*region));

    if (region == NULL)
        return false;
    region->base = region_map(REGION_BYTES);
    if (region->base == NULL) {
        memory_free(region);
        return false;
    }
    pool->mapped_bytes += REGION_BYTES + sizeof(*region);
    region->next = pool->regions;
    if (region->next != NULL)
        region->next->previous = region;
    pool->regions = region;
    for (uint32_t i = 0; i < region_segment_count(pool); i++) {
        struct segment *segment = segment_create(pool, region->base + i * pool->segment_bytes,
                                                 pool->segment_bytes, region);
        if (segment == NULL) {
            region_destroy(pool, region);
            return false;
        }
        segment->is_free = true;
        segment_list_append(&pool->free, segment);
    }
    return true;
}

/* ---- taking and giving ---- */

static uint64_t mapping_limit(const struct segment_pool *pool)
{
    return pool->budget_bytes - segment_pool_reserve(pool);
}

static bool can_map(struct segment_pool *pool, uint64_t bytes)
{
    if (pool->mapped_bytes + bytes > mapping_limit(pool))
        return false;
    if (pool->refusals > 0) { /* the host had no memory a moment ago */
        pool->refusals--;
        return false;
    }
    return true;
}

static struct segment *segment_create_alone(struct segment_pool *pool, uint32_t bytes)
{
    uint8_t        *base = memory_allocate_apart(bytes, PAGE_BYTES);
    struct segment *segment = base == NULL ? NULL : segment_create(pool, base, bytes, NULL);

    if (segment == NULL) {
        memory_free(base);
        return NULL;
    }
    pool->mapped_bytes += bytes;
    return segment;
}

/* Memory of descriptors and id tables that comes with a mapping, at most. */
static uint64_t mapping_overhead(const struct segment_pool *pool, uint64_t segments)
{
    uint64_t overhead = sizeof(struct region) + segments * sizeof(struct segment);

    if (pool->id_free_count + (pool->id_capacity - pool->id_count) < segments)
        overhead += max_u64(64, pool->id_capacity) * 20;
    return overhead;
}

static bool pool_grow(struct segment_pool *pool)
{
    uint32_t count = region_segment_count(pool);
    uint64_t alone = pool->segment_bytes + mapping_overhead(pool, 1);

    if (!can_map(pool, alone))
        return false;
    if (pool->uses_regions
        && pool->mapped_bytes + REGION_BYTES + mapping_overhead(pool, count)
               <= mapping_limit(pool)) {
        if (region_create(pool))
            return true;
    } else {
        struct segment *segment = segment_create_alone(pool, pool->segment_bytes);

        if (segment != NULL) {
            segment->is_free = true;
            segment_list_append(&pool->free, segment);
            return true;
        }
    }
    pool->refusals = REFUSALS_SKIPPED;
    return false;
}

struct segment *segment_take(struct segment_pool *pool, uint32_t spare)
{
    while (pool->free.count <= spare)
        if (!pool_grow(pool))
            return NULL;

    struct segment *segment = pool->free.newest;

    segment_list_remove(&pool->free, segment);
    if (segment->region != NULL)
        segment->region->used_count++;
    segment->used = segment->dead = segment->slot_count = segment->pin_count = 0;
    segment->is_chunk = segment->is_free = false;
    return segment;
}

struct segment *segment_take_odd(struct segment_pool *pool, uint32_t bytes)
{
    uint64_t wanted = bytes + mapping_overhead(pool, 1);

    if (pool->mapped_bytes + wanted > mapping_limit(pool))
        segment_pool_trim(pool, wanted + segment_pool_reserve(pool));
    if (!can_map(pool, wanted))
        return NULL;

    struct segment *segment = segment_create_alone(pool, bytes);

    if (segment == NULL)
        pool->refusals = REFUSALS_SKIPPED;
    else
        segment->is_odd = true;
    return segment;
}

void segment_pool_prefault(struct segment_pool *pool, uint64_t bytes)
{
    while (pool->mapped_bytes < bytes && pool_grow(pool))
        ;
    for (struct segment *segment = pool->free.oldest; segment != NULL; segment = segment->next)
        for (uint32_t at = 0; at < segment->bytes; at += PAGE_BYTES)
            segment->base[at] = 0;
}

static void segment_release(struct segment_pool *pool, struct segment *segment)
{
    uint8_t *base = segment->base;

    assert(segment->region == NULL);
    pool->mapped_bytes -= segment->bytes;
    segment_destroy(pool, segment);
    memory_free(base);
}

void segment_give(struct segment_pool *pool, struct segment *segment)
{
    assert(segment->pin_count == 0);
    assert(!segment->is_listed);
    if (segment->is_odd) {
        segment_release(pool, segment);
        return;
    }
    if (segment->region != NULL) {
        assert(segment->region->used_count > 0);
        segment->region->used_count--;
    }
    segment->used = segment->dead = segment->slot_count = 0;
    segment->is_chunk = false;
    segment->is_free = true;
    segment_list_append(&pool->free, segment);
}

bool segment_pool_charge(struct segment_pool *pool, uint64_t bytes)
{
    if (pool->mapped_bytes + bytes > pool->budget_bytes)
        return false;
    pool->mapped_bytes += bytes;
    return true;
}

void segment_pool_discharge(struct segment_pool *pool, uint64_t bytes)
{
    assert(pool->mapped_bytes >= bytes);
    pool->mapped_bytes -= bytes;
}

bool segment_pool_has(const struct segment_pool *pool, uint32_t count)
{
    uint64_t missing = pool->free.count >= count ? 0 : count - pool->free.count;
    uint64_t each = pool->segment_bytes + mapping_overhead(pool, 1);

    return missing == 0
        || (pool->refusals == 0 && pool->mapped_bytes + missing * each <= mapping_limit(pool));
}

uint64_t segment_pool_room(const struct segment_pool *pool)
{
    uint64_t limit = mapping_limit(pool);
    uint64_t unmapped = pool->refusals > 0 || pool->mapped_bytes >= limit
                            ? 0
                            : limit - pool->mapped_bytes;

    return unmapped + pool->free.bytes;
}

uint64_t segment_pool_used(const struct segment_pool *pool)
{
    return pool->mapped_bytes - pool->free.bytes;
}

void segment_pool_trim(struct segment_pool *pool, uint64_t bytes)
{
    for (struct segment *segment = pool->free.oldest; segment != NULL;) {
        struct segment *next = segment->next;

        if (pool->mapped_bytes + bytes <= pool->budget_bytes)
            return;
        if (segment->region == NULL) {
            segment_list_remove(&pool->free, segment);
            segment_release(pool, segment);
        }
        segment = next;
    }
    for (struct region *region = pool->regions; region != NULL;) {
        struct region *next = region->next;

        if (pool->mapped_bytes + bytes <= pool->budget_bytes)
            return;
        if (region->used_count == 0)
            region_destroy(pool, region);
        region = next;
    }
}

struct segment *segment_pool_straggler(struct segment_pool *pool)
{
    struct region *best = NULL;

    for (struct region *region = pool->regions; region != NULL; region = region->next)
        region->pin_count = 0;
    for (uint32_t id = 0; id < pool->id_count; id++)
        if (pool->segments[id] != NULL && pool->segments[id]->region != NULL)
            pool->segments[id]->region->pin_count +=
                pool->segments[id]->pin_count + pool->segments[id]->is_chunk;
    for (struct region *region = pool->regions; region != NULL; region = region->next)
        if (region->pin_count == 0 && region->used_count > 0
            && (best == NULL || region->used_count < best->used_count))
            best = region;
    if (best == NULL)
        return NULL;
    for (uint32_t id = 0; id < pool->id_count; id++) {
        struct segment *segment = pool->segments[id];

        if (segment != NULL && segment->region == best && !segment->is_free)
            return segment;
    }
    return NULL;
}

void segment_pool_close(struct segment_pool *pool)
{
    for (struct segment *segment = pool->free.oldest; segment != NULL;) {
        struct segment *next = segment->next;

        if (segment->region == NULL) {
            segment_list_remove(&pool->free, segment);
            segment_release(pool, segment);
        }
        segment = next;
    }
    while (pool->regions != NULL)
        region_destroy(pool, pool->regions);
    assert(pool->id_free_count == pool->id_count); /* a segment that is still out is our bug */
    memory_free(pool->bases);
    memory_free(pool->segments);
    memory_free(pool->ids_free);
}
