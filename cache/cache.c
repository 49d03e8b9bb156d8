/*
 * cache.c: the tiers together: who evicts for whom, and how fast.
 */
#include "cache/cache.h"

#include "cache/balance.h"
#include "cache/block_store.h"
#include "cache/record_log.h"
#include "core/base/memory.h"

#define STAMP_COUNT     4096u
/*
 * Eviction begins when fewer free segments are to be had. Six heads draw on them, each at its own
 * time; in a large cache a few more cost nothing and no insert has to wait for one.
 */
#define SPARE_SEGMENTS_MIN 2u
#define SPARE_SEGMENTS_MAX 4u
#define SPARE_SHARE        96u /* one more than the least for so many segments of the budget */
#define DROPPED_STEPS   16u   /* blocks of dropped tables taken apart per insert */
#define SWEEP_STEPS     2u    /* pairs of index lines carried over per insert */
#define RECLAIM_ITEMS   256u  /* records or blocks met per insert: bounds the time of one */
#define RECLAIM_ITEMS_URGENT 1024u /* when there is no segment left: about 100 us */
#define GHOST_SHARE     4u    /* a ghost stands for a quarter of the budget */
#define RECORD_BYTES_TYPICAL 128u
#define BLOCK_BYTES_TYPICAL  4096u
#define DECISION_SHARE  64u   /* the balance is looked at when a 64th of the budget was inserted */
#define RESTART_SEGMENTS 16u  /* a budget of fewer segments needs smaller ones */
#define OVERRUN_INTERVAL 1024u

struct cache {
    struct record_log   records;
    struct block_store  blocks;
    struct segment_pool pool;
    uint64_t            segment_bytes_max;
    uint64_t            debt;            /* bytes that must be freed for what was inserted */
    uint64_t            data_inserted;   /* bytes since the last decision */
    uint64_t            block_need;      /* what all data blocks take; 0: not known */
    uint64_t            block_limits[KIWI_TIER_COUNT];
    struct balance_evidence evidence;
    uint64_t            record_ghosts_seen, block_ghosts_seen;
    uint32_t            share;           /* of the records, of SHARE_ONE */
    uint32_t            overrun_inserts; /* while pins hold more than the budget */
    uint64_t            pins;
    uint32_t            stamps[STAMP_COUNT];
};

/* ---- opening and closing ---- */

static void ghosts_open(struct cache *cache)
{
    uint64_t span = cache->pool.budget_bytes / GHOST_SHARE;

    /* Without ghosts the balance stays as it is: no reason to fail. */
    if (ghost_open(&cache->records.ghost, span / RECORD_BYTES_TYPICAL))
        cache->pool.mapped_bytes += ghost_bytes(&cache->records.ghost);
    if (ghost_open(&cache->blocks.ghost, span / BLOCK_BYTES_TYPICAL))
        cache->pool.mapped_bytes += ghost_bytes(&cache->blocks.ghost);
}

static void ghosts_close(struct cache *cache)
{
    segment_pool_discharge(&cache->pool, ghost_bytes(&cache->records.ghost));
    segment_pool_discharge(&cache->pool, ghost_bytes(&cache->blocks.ghost));
    ghost_close(&cache->records.ghost);
    ghost_close(&cache->blocks.ghost);
}

static void tiers_open(struct cache *cache, uint64_t budget_bytes)
{
    segment_pool_open(&cache->pool, budget_bytes, cache->segment_bytes_max);
    cache->pool.mapped_bytes += sizeof(*cache);
    record_log_open(&cache->records, &cache->pool);
    block_store_open(&cache->blocks, &cache->pool);
    ghosts_open(cache);
    cache->share = SHARE_START;
    cache->evidence = (struct balance_evidence){ 0 };
    cache->record_ghosts_seen = cache->block_ghosts_seen = 0;
    cache->debt = cache->data_inserted = 0;
}

static void tiers_close(struct cache *cache)
{
    assert(cache->pins == 0);
    ghosts_close(cache);
    record_log_close(&cache->records);
    block_store_close(&cache->blocks);
    segment_pool_close(&cache->pool);
}

enum kiwi_status cache_open(const struct cache_options *options, struct cache **out)
{
    struct cache *cache = memory_allocate_aligned(sizeof(*cache), CACHE_LINE_BYTES);

    *out = NULL;
    if (cache == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a cache of %zu bytes", sizeof(*cache));
    memset(cache, 0, sizeof(*cache));
    cache->segment_bytes_max = options->segment_bytes;
    memset(cache->block_limits, 0xff, sizeof(cache->block_limits));
    tiers_open(cache, options->budget_bytes);
    *out = cache;
    return KIWI_OK;
}

void cache_close(struct cache *cache)
{
    if (cache == NULL)
        return;
    tiers_close(cache);
    memory_free(cache);
}

/* ---- making room ---- */

static struct balance_bytes bytes_now(const struct cache *cache)
{
    struct balance_bytes bytes = { .log[LOG_RECORD] = record_log_bytes(&cache->records) };
    uint64_t             sum = bytes.log[LOG_RECORD], overhead;

    for (int kind = LOG_SMALL; kind < LOG_COUNT; kind++) {
        bytes.log[kind] = block_store_log_bytes(&cache->blocks, (enum log_kind)kind);
        sum += bytes.log[kind];
    }
    assert(segment_pool_used(&cache->pool) >= sum);
    overhead = segment_pool_used(&cache->pool) - sum;
    bytes.budget = cache->pool.budget_bytes > overhead ? cache->pool.budget_bytes - overhead : 0;
    return bytes;
}

static uint32_t share_now(const struct cache *cache, const struct balance_bytes *bytes)
{
    return balance_share_needed(bytes, cache->share, cache->block_need);
}

void cache_block_need_set(struct cache *cache, uint64_t bytes)
{
    cache->block_need = bytes;
}

static bool log_reclaim(struct cache *cache, enum log_kind kind, uint64_t *debt, uint32_t *items,
                        bool force)
{
    return kind == LOG_RECORD ? record_log_reclaim(&cache->records, debt, items, force)
                              : block_store_reclaim(&cache->blocks, kind, debt, items, force);
}

/* The log with a half reclaimed segment: only a whole one is of use to others. */
static enum log_kind log_begun(const struct cache *cache)
{
    if (record_log_is_reclaiming(&cache->records))
        return LOG_RECORD;
    for (int kind = LOG_SMALL; kind < LOG_COUNT; kind++)
        if (cache->blocks.logs[kind].victim != NULL)
            return (enum log_kind)kind;
    return LOG_COUNT;
}

/* One turn of reclaiming in the log that should give. False: no log can. */
static bool reclaim_once(struct cache *cache, uint64_t *debt, uint32_t *items, bool force)
{
    enum log_kind kind = log_begun(cache);

    if (kind != LOG_COUNT)
        return log_reclaim(cache, kind, debt, items, force);

    struct balance_bytes bytes = bytes_now(cache);

    while ((kind = balance_victim(&bytes, share_now(cache, &bytes))) != LOG_COUNT) {
        if (log_reclaim(cache, kind, debt, items, force))
            return true;
        bytes.log[kind] = 0; /* all of it is pinned */
    }
    return false;
}

static uint32_t spare_segments(const struct cache *cache)
{
    uint64_t segments = cache->pool.budget_bytes / cache->pool.segment_bytes;

    return (uint32_t)min_u64(SPARE_SEGMENTS_MIN + segments / SPARE_SHARE, SPARE_SEGMENTS_MAX);
}

/* For an insert that found no segment. May end without one; the next insert goes on then. */
static void room_make_segments(struct cache *cache)
{
    uint32_t items = RECLAIM_ITEMS_URGENT;

    /* All may be worth keeping, so a few segments are tried with mercy, then some without. */
    for (uint32_t turn = 0; turn < 16 && items > 0; turn++) {
        uint64_t debt = UINT64_MAX;

        if (segment_pool_has(&cache->pool, SPARE_SEGMENTS_MIN)
            || !reclaim_once(cache, &debt, &items, turn >= 4))
            return;
    }
}

static void segment_vacate(struct cache *cache, struct segment *segment)
{
    assert(!segment->is_chunk);
    if (segment->owner == LOG_RECORD)
        record_log_vacate(&cache->records, segment);
    else
        block_store_vacate(&cache->blocks, segment);
}

static bool fits_mapped(const struct cache *cache, uint64_t bytes)
{
    return cache->pool.mapped_bytes + bytes <= cache->pool.budget_bytes;
}

/* Evicts until so many bytes could be mapped. turns bounds the work, in segments. */
static void room_make_bytes(struct cache *cache, uint64_t bytes, uint64_t turns)
{
    for (uint64_t turn = 0;; turn++) {
        uint64_t debt = UINT64_MAX;
        uint32_t items = UINT32_MAX;

        segment_pool_trim(&cache->pool, bytes);
        if (fits_mapped(cache, bytes))
            return;
        if (cache->pool.free.bytes >= cache->pool.mapped_bytes + bytes - cache->pool.budget_bytes
            || turn >= turns
            || !reclaim_once(cache, &debt, &items, turn >= turns / 2))
            break;
    }
    /* Enough is free, but in regions that are not free as a whole. */
    for (uint64_t turn = 0; turn < turns && !fits_mapped(cache, bytes); turn++) {
        struct segment *straggler = segment_pool_straggler(&cache->pool);

        if (straggler == NULL)
            return;
        segment_vacate(cache, straggler);
        segment_pool_trim(&cache->pool, bytes);
    }
}

/* ---- limits in blocks ---- */

void cache_block_limits_set(struct cache *cache, const uint64_t limits[KIWI_TIER_COUNT])
{
    memcpy(cache->block_limits, limits, sizeof(cache->block_limits));
}

static bool tier_is_full(const struct cache *cache, enum kiwi_tier tier)
{
    return cache->blocks.live_counts[tier] >= cache->block_limits[tier];
}

/* The log of the tier that gives first, as balance_victim would have it for memory. */
static enum log_kind tier_log(const struct cache *cache, enum kiwi_tier tier)
{
    uint64_t small = block_store_log_bytes(&cache->blocks, LOG_SMALL);
    uint64_t main = block_store_log_bytes(&cache->blocks, LOG_MAIN);

    if (tier != KIWI_TIER_BLOCK)
        return tier == KIWI_TIER_INDEX ? LOG_INDEX : LOG_FILTER;
    return main == 0 || small * SHARE_ONE > (small + main) * SMALL_SHARE ? LOG_SMALL : LOG_MAIN;
}

/* Whether the tier may have one block more; evicts until it may, a bounded number. */
static bool tier_make_room(struct cache *cache, enum kiwi_tier tier)
{
    for (uint32_t item = 0; tier_is_full(cache, tier) && item < RECLAIM_ITEMS; item++) {
        enum log_kind kind = tier_log(cache, tier);
        uint64_t      debt = UINT64_MAX;
        uint32_t      one = 1;
        bool          force = item >= RECLAIM_ITEMS / 2; /* all may be worth keeping */

        if (!block_store_reclaim(&cache->blocks, kind, &debt, &one, force)
            && (tier != KIWI_TIER_BLOCK
                || !block_store_reclaim(&cache->blocks, kind == LOG_SMALL ? LOG_MAIN : LOG_SMALL,
                                        &debt, &one, force)))
            break; /* all of it is pinned */
    }
    return !tier_is_full(cache, tier);
}

/* ---- balance ---- */

static void balance_decide(struct cache *cache)
{
    struct balance_evidence *evidence = &cache->evidence;
    uint64_t record_mean = max_u64(record_log_mean_bytes(&cache->records), 1);
    uint64_t block_mean = max_u64(block_store_mean_bytes(&cache->blocks), 1);
    uint64_t span = cache->pool.budget_bytes / GHOST_SHARE;

    cache->data_inserted = 0;
    evidence->record_hits += cache->records.ghost_hits - cache->record_ghosts_seen;
    evidence->block_hits += cache->blocks.ghost_hits - cache->block_ghosts_seen;
    cache->record_ghosts_seen = cache->records.ghost_hits;
    cache->block_ghosts_seen = cache->blocks.ghost_hits;
    if (evidence->record_hits + evidence->block_hits < EVIDENCE_MIN)
        return;
    evidence->record_span_bytes = cache->records.ghost.count * record_mean;
    evidence->block_span_bytes = cache->blocks.ghost.count * block_mean;
    cache->share = balance_share(cache->share, evidence);
    evidence->record_hits /= 2;
    evidence->block_hits /= 2;
    if (ghost_limit(&cache->records.ghost, span / record_mean)
        || ghost_limit(&cache->blocks.ghost, span / block_mean))
        evidence->record_hits = evidence->block_hits = 0;
}

/* After an insert: pays for it in small steps, so that no single insert waits for a segment. */
static void cache_pace(struct cache *cache, uint64_t bytes)
{
    uint32_t items = RECLAIM_ITEMS;

    if (UNLIKELY(cache->blocks.dropped_count > 0))
        block_store_sweep_dropped(&cache->blocks, DROPPED_STEPS);
    index_adapt(&cache->records.index, SWEEP_STEPS);
    index_adapt(&cache->blocks.index, SWEEP_STEPS);
    if (UNLIKELY(cache->pool.mapped_bytes > cache->pool.budget_bytes)
        && ++cache->overrun_inserts % OVERRUN_INTERVAL == 0)
        room_make_bytes(cache, 0, 4);
    if (segment_pool_has(&cache->pool, spare_segments(cache))) {
        cache->debt = 0;
        return;
    }
    cache->data_inserted += bytes;
    if (cache->data_inserted > cache->pool.budget_bytes / DECISION_SHARE)
        balance_decide(cache);
    /* More than was inserted, so that the spare ones come back. */
    cache->debt = min_u64(cache->debt + bytes + bytes / 4, 2ull * cache->pool.segment_bytes);
    while (cache->debt > 0 && items > 0)
        if (!reclaim_once(cache, &cache->debt, &items, false))
            return;
}

/* ---- budget ---- */

/* Forgets everything and starts over, with segments that suit the budget. */
static void cache_restart(struct cache *cache)
{
    struct record_log   records = cache->records;
    struct block_counts counts[KIWI_TIER_COUNT];
    uint64_t            budget_bytes = cache->pool.budget_bytes;

    memcpy(counts, cache->blocks.counts, sizeof(counts));
    for (int tier = 0; tier < KIWI_TIER_COUNT; tier++)
        counts[tier].evictions = counts[tier].inserts;
    tiers_close(cache);
    tiers_open(cache, budget_bytes);
    memcpy(cache->blocks.counts, counts, sizeof(counts));
    cache->records.hits = records.hits;
    cache->records.misses = records.misses;
    cache->records.inserts = cache->records.evictions = records.inserts;
}

static void cache_shrink(struct cache *cache)
{
    uint64_t turns = 4ull * (cache->pool.id_count + 1);

    room_make_bytes(cache, 0, turns);
    /* Indexes follow what is left; their sweep ends within as many steps as there are lines. */
    for (uint32_t round = 0; round < 8 && !fits_mapped(cache, 0); round++) {
        index_adapt(&cache->records.index, UINT32_MAX);
        index_adapt(&cache->blocks.index, UINT32_MAX);
        room_make_bytes(cache, 0, turns);
    }
    if (!fits_mapped(cache, 0) && cache->pins == 0)
        cache_restart(cache);
}

void cache_budget_set(struct cache *cache, uint64_t budget_bytes)
{
    uint64_t before = cache->pool.budget_bytes;

    cache->pool.budget_bytes = budget_bytes;
    cache->pool.refusals = 0;
    if (budget_bytes > before * 2 || budget_bytes < before / 2) {
        ghosts_close(cache);
        ghosts_open(cache);
    }
    if (fits_mapped(cache, 0) && budget_bytes >= before)
        return;
    if (budget_bytes < (uint64_t)cache->pool.segment_bytes * RESTART_SEGMENTS && cache->pins == 0)
        cache_restart(cache);
    else if (!fits_mapped(cache, 0))
        cache_shrink(cache);
}

uint64_t cache_bytes(const struct cache *cache)
{
    return cache->pool.mapped_bytes;
}

void cache_prefault(struct cache *cache, uint64_t bytes)
{
    segment_pool_prefault(&cache->pool, bytes);
}

bool cache_is_full(const struct cache *cache)
{
    return !segment_pool_has(&cache->pool, SPARE_SEGMENTS_MAX + 1);
}

/* ---- records ---- */

void cache_prefetch(const struct cache *cache, uint64_t hash)
{
    index_prefetch(&cache->records.index, hash);
}

void cache_prefetch_record(const struct cache *cache, uint64_t hash)
{
    const struct index_line *line = index_home(&cache->records.index, (uint32_t)hash);
    uint32_t                 found = index_matches(line, index_tag(hash));

    if (found != 0)
        __builtin_prefetch(
            record_at(&cache->records, line->references[__builtin_ctz(found)]));
}

bool cache_record_find(struct cache *cache, uint64_t hash, struct bytes key,
                       struct cached_record *out)
{
    struct record_key wanted = { hash, key };

    return record_log_find(&cache->records, &wanted, out);
}

/* Bits that neither the index lines nor the shards use much. */
static uint32_t stamp_of(uint64_t hash)
{
    return (uint32_t)(hash >> 40) % STAMP_COUNT;
}

uint32_t cache_record_stamp(const struct cache *cache, uint64_t hash)
{
    return cache->stamps[stamp_of(hash)];
}

void cache_record_insert(struct cache *cache, uint64_t hash, struct bytes key, struct bytes value,
                         uint64_t sequence, uint32_t stamp)
{
    struct record_key record = { hash, key };
    uint64_t          ghost_hits = cache->records.ghost_hits;

    assert(sequence < 1ull << 56);
    if (cache->stamps[stamp_of(hash)] != stamp)
        return; /* written since the read began */
    /*
     * value may point into a block of this cache, so nothing is evicted before it is copied; an
     * insert that finds no room only makes room for the next one.
     */
    if (!record_log_insert(&cache->records, &record, value, sequence))
        room_make_segments(cache);
    if (cache->blocks.answered == hash) /* came from a cached block: no device read to save */
        cache->record_ghosts_seen += cache->records.ghost_hits - ghost_hits;
    cache_pace(cache, RECORD_HEADER_BYTES + key.size + value.size);
}

void cache_record_write(struct cache *cache, uint64_t hash, struct bytes key, struct bytes value,
                        uint64_t sequence)
{
    struct record_key record = { hash, key };

    assert(sequence < 1ull << 56);
    cache->stamps[stamp_of(hash)]++;
    record_log_write(&cache->records, &record, value, sequence);
}

void cache_record_drop(struct cache *cache, uint64_t hash, struct bytes key)
{
    struct record_key record = { hash, key };

    cache->stamps[stamp_of(hash)]++;
    record_log_drop(&cache->records, &record);
}

/* ---- blocks ---- */

const uint8_t *cache_block_find(struct cache *cache, enum kiwi_tier tier, uint64_t table_id,
                                uint64_t offset, uint64_t record_hash)
{
    struct block_key    key = block_key_of(tier, table_id, offset);
    struct cache_block *block = block_store_find(&cache->blocks, &key, record_hash);

    return block == NULL ? NULL : block->data;
}

void cache_block_prefetch(const struct cache *cache, enum kiwi_tier tier, uint64_t table_id,
                          uint64_t offset, enum cache_fetch fetch)
{
    struct block_key key = block_key_of(tier, table_id, offset);

    block_store_prefetch(&cache->blocks, &key, fetch);
}

void cache_block_insert(struct cache *cache, enum kiwi_tier tier, uint64_t table_id,
                        uint64_t offset, const uint8_t *block, uint32_t bytes)
{
    struct block_key key = block_key_of(tier, table_id, offset);

    if (UNLIKELY(tier_is_full(cache, tier)) && !tier_make_room(cache, tier))
        return;
    if (!block_store_insert(&cache->blocks, &key, bytes_of(block, bytes), false)) {
        if (block_is_large(&cache->pool, bytes))
            room_make_bytes(cache, bytes + PAGE_BYTES + segment_pool_reserve(&cache->pool),
                            8 + bytes / cache->pool.segment_bytes * 4);
        else
            room_make_segments(cache);
        /* Still no room, or no memory: then it is not cached. */
        (void)!block_store_insert(&cache->blocks, &key, bytes_of(block, bytes), false);
    }
    cache_pace(cache, bytes);
}

bool cache_has_room(const struct cache *cache, uint64_t bytes)
{
    uint64_t spare = (uint64_t)spare_segments(cache) * cache->pool.segment_bytes + PAGE_BYTES;

    return segment_pool_has(&cache->pool, spare_segments(cache))
        && segment_pool_room(&cache->pool) >= bytes + spare;
}

void cache_block_offer(struct cache *cache, enum kiwi_tier tier, uint64_t table_id,
                       uint64_t offset, const uint8_t *block, uint32_t bytes)
{
    struct block_key key = block_key_of(tier, table_id, offset);

    if (tier_is_full(cache, tier)
        || (block_store_head_room(&cache->blocks, tier, bytes) == 0
            && !cache_has_room(cache, bytes)))
        return;
    (void)!block_store_insert(&cache->blocks, &key, bytes_of(block, bytes), true);
    index_adapt(&cache->blocks.index, SWEEP_STEPS);
}

struct cache_block *cache_block_pin(struct cache *cache, enum kiwi_tier tier, uint64_t table_id,
                                    uint64_t offset)
{
    struct block_key    key = block_key_of(tier, table_id, offset);
    struct cache_block *block = block_store_find(&cache->blocks, &key, 0);

    if (block == NULL)
        return NULL;
    block_store_pin(&cache->blocks, block);
    cache->pins++;
    return block;
}

const uint8_t *cache_block_bytes(const struct cache_block *block)
{
    assert(block->pins > 0);
    return block->data;
}

void cache_block_unpin(struct cache *cache, struct cache_block *block)
{
    assert(cache->pins > 0);
    cache->pins--;
    block_store_unpin(&cache->blocks, block);
}

void cache_table_drop(struct cache *cache, uint64_t table_id)
{
    block_store_table_drop(&cache->blocks, table_id);
}

/* ---- statistics ---- */

void cache_stats(const struct cache *cache, struct kiwi_tier_stats tiers[KIWI_TIER_COUNT])
{
    static const enum kiwi_tier block_tiers[] = { KIWI_TIER_BLOCK, KIWI_TIER_INDEX,
                                                  KIWI_TIER_FILTER };
    struct balance_bytes bytes = bytes_now(cache);
    uint64_t             meta_budget = bytes.budget / SHARE_ONE * META_SHARE;

    for (size_t i = 0; i < ARRAY_COUNT(block_tiers); i++) {
        const struct block_counts *counts = &cache->blocks.counts[block_tiers[i]];

        tiers[block_tiers[i]] = (struct kiwi_tier_stats){ .hits = counts->hits,
                                                          .misses = counts->misses,
                                                          .inserts = counts->inserts,
                                                          .evictions = counts->evictions,
                                                          .budget_bytes = meta_budget };
    }
    tiers[KIWI_TIER_RECORD] = (struct kiwi_tier_stats){
        .hits = cache->records.hits,
        .misses = cache->records.misses,
        .inserts = cache->records.inserts,
        .evictions = cache->records.evictions,
        .bytes = bytes.log[LOG_RECORD] + cache->records.index.bytes,
        .budget_bytes = balance_record_target(&bytes, share_now(cache, &bytes)),
    };
    tiers[KIWI_TIER_BLOCK].bytes = bytes.log[LOG_SMALL] + bytes.log[LOG_MAIN]
                                 + cache->blocks.index.bytes;
    tiers[KIWI_TIER_BLOCK].budget_bytes = balance_block_target(&bytes, share_now(cache, &bytes));
    tiers[KIWI_TIER_INDEX].bytes = bytes.log[LOG_INDEX];
    tiers[KIWI_TIER_FILTER].bytes = bytes.log[LOG_FILTER];
}
