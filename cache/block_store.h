/*
 * block_store.h: verified bytes of table blocks, in four logs of segments and one index.
 *
 *   segment:  | frame 0 | frame 1 | ...free... | slot 1 | slot 0 |
 *
 * Small    data blocks start in a small first-in-first-out log. The second access for another
 *          record, or by another scan, marks the block; when its turn comes, a marked block moves
 *          to the main log, an unmarked one leaves and its ghost stays. A ghost's block goes
 *          straight to the main log. After S3-FIFO (Yang et al., SOSP'23); the condition on the
 *          record is ours: the record itself is in the record log already.
 * Main     and the index and filter logs are CLOCK over a log: reclaiming the oldest segment
 *          appends blocks of a frequency above 0 again with one less.
 * Large    blocks above an eighth of a segment have a segment of just their size.
 * Pins     a segment with a pinned block is skipped when its turn comes.
 * Tables   each table's blocks form a list. Dropping a table hides it at once and moves its list to
 *          the ones that the next inserts take apart, a few blocks each.
 */
#pragma once

#include "cache/balance.h"
#include "cache/cache.h"
#include "cache/ghost.h"
#include "cache/index.h"
#include "core/base/hash.h"

#define BLOCK_BYTES_MAX (1u << 20)
#define BLOCK_NOTES     256u

/* A slot: what is known of one frame. */
struct cache_block {
    uint64_t table_id;
    uint64_t offset;
    uint8_t *data;
    uint32_t hash32;
    uint32_t bytes;
    uint32_t reference;    /* of itself */
    uint32_t table_next, table_previous; /* references; INDEX_NOTHING ends the list */
    uint32_t table;        /* in block_store.tables */
    uint32_t record;       /* hash of the record of the first access; 0: a scan */
    uint32_t pins;
    uint8_t  tier;         /* enum kiwi_tier */
    uint8_t  log;          /* enum log_kind */
    uint8_t  state;        /* enum block_state */
    uint8_t  touch;        /* enum block_touch; of blocks in the small log */
};

enum block_state {
    BLOCK_DEAD = 0,
    BLOCK_LIVE,
    BLOCK_DOOMED, /* in no index any more, but pinned */
};

enum block_touch {
    TOUCH_NONE = 0, /* brought without a lookup */
    TOUCH_FRESH,    /* brought by a lookup, which may come back for it */
    TOUCH_ONCE,
    TOUCH_WANTED,   /* its second access came */
};

static_assert(sizeof(struct cache_block) <= 64, "one cache line");
#define SLOT_BYTES 64u

struct block_table {
    uint64_t id;
    uint32_t first;      /* reference of a block, INDEX_NOTHING: none */
    uint32_t hash_next;  /* of the bucket, or of the free ones */
    bool     is_dropped;
};

/* Which record a missed block was wanted for, until the block is inserted. */
struct block_note {
    uint32_t hash32;
    uint32_t record;
};

struct block_log {
    struct segment_list list;
    struct segment     *head;   /* in the list */
    struct segment     *victim; /* being reclaimed; not in the list */
    uint32_t            victim_at;
    bool                victim_keeps_all;
};

struct block_counts {
    uint64_t hits, misses, inserts, evictions;
};

struct block_store {
    struct segment_pool *pool;
    struct index         index;
    struct block_log     logs[LOG_COUNT]; /* LOG_RECORD stays empty */
    struct block_table  *tables;
    uint32_t            *buckets;      /* of table ids; a power of two of them */
    uint32_t             table_capacity, table_count, table_free;
    uint32_t             dropped;      /* tables hidden but not yet taken apart, by hash_next */
    uint32_t             dropped_count;
    struct ghost         ghost;        /* of data blocks */
    uint64_t             ghost_hits;
    uint64_t             answered;     /* the record whose block was found last; 0: none was */
    uint64_t             live_bytes;   /* of data blocks */
    uint64_t             live_counts[KIWI_TIER_COUNT];
    struct block_counts  counts[KIWI_TIER_COUNT];
    struct block_note    notes[BLOCK_NOTES];
};

struct block_key {
    uint64_t       table_id, offset;
    uint64_t       hash;
    enum kiwi_tier tier;
};

static inline struct block_key block_key_of(enum kiwi_tier tier, uint64_t table_id,
                                            uint64_t offset)
{
    return (struct block_key){ table_id, offset,
                               hash_mix(hash_mix(table_id, (uint64_t)tier), offset), tier };
}

void block_store_open(struct block_store *store, struct segment_pool *pool);
void block_store_close(struct block_store *store);
uint64_t block_store_log_bytes(const struct block_store *store, enum log_kind kind);
uint64_t block_store_mean_bytes(const struct block_store *store); /* of data blocks */

struct cache_block *block_store_find(struct block_store *store, const struct block_key *key,
                                     uint64_t record_hash);
bool block_store_has(const struct block_store *store, const struct block_key *key);
void block_store_prefetch(const struct block_store *store, const struct block_key *key,
                          enum cache_fetch fetch);
/* False: no room; nothing was inserted. is_offer: nobody asked for it yet. */
bool block_store_insert(struct block_store *store, const struct block_key *key,
                        struct bytes block, bool is_offer);
/* Free bytes of the head a block of bytes would go to; such a block needs no new segment. */
uint64_t block_store_head_room(const struct block_store *store, enum kiwi_tier tier,
                               uint32_t bytes);
bool     block_is_large(const struct segment_pool *pool, uint64_t bytes);

void block_store_pin(struct block_store *store, struct cache_block *block);
void block_store_unpin(struct block_store *store, struct cache_block *block);

void block_store_table_drop(struct block_store *store, uint64_t table_id);
/* Takes apart up to items blocks of dropped tables. */
void block_store_sweep_dropped(struct block_store *store, uint32_t items);

/* As record_log_reclaim, for one of the block logs. */
MUST_USE bool block_store_reclaim(struct block_store *store, enum log_kind kind, uint64_t *debt,
                                  uint32_t *items, bool force);
void block_store_vacate(struct block_store *store, struct segment *segment);
