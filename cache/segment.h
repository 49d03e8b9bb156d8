/*
 * segment.h: the one pool of memory that all tiers draw from, in segments of one size.
 *
 * Owns     the segments, in huge-page regions when the budget is large, else one by one on the
 *          heap; and segments of an odd size for blocks too large to share one.
 * Thread   the shard's token.
 * Always   mapped_bytes <= budget_bytes, except while segment_pool_budget_set has just lowered it.
 *          mapped_bytes counts all memory of the cache: free segments, descriptors and what others
 *          charge (indexes, ghosts) included.
 *
 * Room     is what an append can still get without evicting: free segments and unmapped budget.
 */
#pragma once

#include "core/base/base.h"

#define SEGMENT_NONE UINT32_MAX

struct region;

struct segment {
    uint8_t        *base;
    struct segment *next, *previous; /* in the list that owns it: oldest first */
    struct region  *region;          /* NULL: its memory is its own */
    uint32_t        id;              /* small numbers, reused */
    uint32_t        bytes;
    uint32_t        used;            /* appended from the front */
    uint32_t        dead;            /* of those, superseded or evicted */
    uint32_t        slot_count;      /* blocks: descriptors that grow from the end */
    uint32_t        pin_count;
    uint8_t         owner;           /* enum log_kind, of the log that lists it */
    uint8_t         part;            /* records: enum record_part */
    bool            is_listed;
    bool            is_chunk;        /* holds lines of an index */
    bool            is_odd;          /* not of the pool's size */
    bool            is_free;
};

struct segment_list {
    struct segment *oldest, *newest;
    uint64_t        bytes;
    uint64_t        dead;
    uint32_t        count;
};

struct segment_pool {
    uint64_t         budget_bytes;
    uint64_t         mapped_bytes;
    uint32_t         segment_bytes;  /* a power of two */
    uint32_t         refusals;       /* of the host since memory was last given; see can_map */
    uint32_t         id_count;       /* ids ever handed out */
    uint32_t         id_capacity;
    uint32_t         id_free_count;
    bool             uses_regions;
    uint8_t        **bases;          /* by id: where a segment's bytes stand */
    struct segment **segments;       /* by id */
    uint32_t        *ids_free;
    struct region   *regions;
    struct segment_list free;
};

void segment_pool_open(struct segment_pool *pool, uint64_t budget_bytes,
                       uint64_t segment_bytes_max); /* takes no memory yet */
void segment_pool_close(struct segment_pool *pool); /* all segments are back */

/* Segments an append may take while leaving spare free ones behind. NULL: make room first. */
MUST_USE struct segment *segment_take(struct segment_pool *pool, uint32_t spare);
MUST_USE struct segment *segment_take_odd(struct segment_pool *pool, uint32_t bytes);
void segment_give(struct segment_pool *pool, struct segment *segment);

/* What segments leave of the budget for tables and descriptors, which come in small pieces. */
static inline uint64_t segment_pool_reserve(const struct segment_pool *pool)
{
    return pool->budget_bytes / 512;
}

/* Memory beside segments counts too. False: it does not fit (nothing is charged). */
MUST_USE bool segment_pool_charge(struct segment_pool *pool, uint64_t bytes);
void          segment_pool_discharge(struct segment_pool *pool, uint64_t bytes);

/* Whether count takes in a row would succeed, as far as the budget goes. */
bool     segment_pool_has(const struct segment_pool *pool, uint32_t count);
uint64_t segment_pool_room(const struct segment_pool *pool);
uint64_t segment_pool_used(const struct segment_pool *pool); /* mapped and not free */
/* Maps up to bytes, as the budget allows, and writes to every page of it, so that no later take
 * waits for the host: about 10 us per 4 KiB the first time, on a virtual machine. */
void segment_pool_prefault(struct segment_pool *pool, uint64_t bytes);
/* Returns free memory to the host until mapped + bytes fit the budget or none is left to return. */
void segment_pool_trim(struct segment_pool *pool, uint64_t bytes);
/* A segment whose eviction helps to return a region: of the region with the fewest used segments
 * that holds neither pins nor index lines. NULL: none. */
struct segment *segment_pool_straggler(struct segment_pool *pool);

void segment_list_append(struct segment_list *list, struct segment *segment);
void segment_list_remove(struct segment_list *list, struct segment *segment);
/*
 * The segment to reclaim first: the oldest without pins, or the deadest of the old ones if much in
 * it is dead (then what lives in it is worth keeping: keeps_all). Taken off the list. NULL: none.
 */
struct segment *segment_list_victim(struct segment_list *list, const struct segment *head,
                                    uint32_t segment_bytes, bool *keeps_all);
/* bytes of a segment became worthless. */
static inline void segment_note_dead(struct segment_list *list, struct segment *segment,
                                     uint32_t bytes)
{
    segment->dead += bytes;
    assert(segment->dead <= segment->used);
    if (segment->is_listed)
        list->dead += bytes;
}
