/*
 * cache.h: what one shard keeps in memory of its tables: records, data blocks, index and filter
 * partitions. Three tiers (data = records + blocks, index, filter), each with its own budget and
 * eviction, inside one number.
 *
 * Owns     copies of everything in it.
 * Thread   whoever holds the shard's token.
 * Valid    a found record or block stays in place until the next cache_*_insert,
 *          cache_record_write or cache_budget_set (or, pinned, until unpinned).
 * Source   records beside blocks: see cache/README.md; record log with re-insertion is CLOCK over a
 *          log; the block part is a small FIFO with a ghost, after S3-FIFO (SOSP'23).
 */
#pragma once

#include "core/base/bytes.h"
#include "kiwi/stats.h"

struct cache;
struct cache_block; /* a pinned block */

struct cache_options {
    uint64_t budget_bytes;       /* all tiers, tables and overhead included */
    uint64_t segment_bytes;      /* of the record log and frame memory; 1 MiB (less when tiny) */
};

MUST_USE enum kiwi_status cache_open(const struct cache_options *options, struct cache **out);
void     cache_close(struct cache *cache); /* NULL is fine */
/* Evicts at once if the budget is smaller than before. */
void     cache_budget_set(struct cache *cache, uint64_t budget_bytes);
/* At most so many blocks of each tier however much room there is; UINT64_MAX: as many as fit, as
 * after cache_open. Where there are more now, the next inserts evict, up to 256 each. */
void     cache_block_limits_set(struct cache *cache, const uint64_t limits[KIWI_TIER_COUNT]);
/* What all data blocks of the shard take together: as long as that fits, records do not displace
 * them. 0: not known. */
void     cache_block_need_set(struct cache *cache, uint64_t bytes);
uint64_t cache_bytes(const struct cache *cache); /* taken from the host, free segments included */
/* Takes up to bytes of the budget now: a first touch (5 ms a huge page) then delays nothing later.
 */
void     cache_prefault(struct cache *cache, uint64_t bytes);
bool     cache_is_full(const struct cache *cache); /* more can only be kept by evicting */

/* ---- records: newest versions of keys that were read from tables ---- */
struct cached_record {
    struct bytes value;
    uint64_t     sequence;
};

void cache_prefetch(const struct cache *cache, uint64_t hash);
/* Some time after cache_prefetch: brings the record itself. For lookups in waves. */
void cache_prefetch_record(const struct cache *cache, uint64_t hash);
bool cache_record_find(struct cache *cache, uint64_t hash, struct bytes key,
                       struct cached_record *out);
/*
 * A get that goes to the device takes the stamp of its key first and hands it to the insert: if the
 * key (or one that shares its stamp) was written in between, the insert does nothing, so that a
 * slow read never overwrites a newer truth.
 */
uint32_t cache_record_stamp(const struct cache *cache, uint64_t hash);
void     cache_record_insert(struct cache *cache, uint64_t hash, struct bytes key,
                             struct bytes value, uint64_t sequence, uint32_t stamp);
/* A write of key happens now. The stamp moves on; a record that is there takes the new value where
 * it stands, or leaves if that has not room for it, so that what is read often is not read from
 * the device again once its memtable is flushed. */
void     cache_record_write(struct cache *cache, uint64_t hash, struct bytes key,
                            struct bytes value, uint64_t sequence);
/* A write without a value: forgets the record. */
void     cache_record_drop(struct cache *cache, uint64_t hash, struct bytes key);

/* ---- blocks: verified bytes of table blocks, by (tier, table id, file offset) ---- */
/* tier: KIWI_TIER_BLOCK, _INDEX or _FILTER. NULL: not there. record_hash: of the key that is looked
 * up (0: a scan): a block whose second access is for another record is worth keeping. */
const uint8_t *cache_block_find(struct cache *cache, enum kiwi_tier tier, uint64_t table_id,
                                uint64_t offset, uint64_t record_hash);
/* Brings what a find would touch into the processor's cache, a step at a time, so that there is
 * time for something else in between; each step reads what the one before has fetched. */
enum cache_fetch { CACHE_FETCH_LINE = 0, CACHE_FETCH_SLOT, CACHE_FETCH_BLOCK, CACHE_FETCH_COUNT };
void     cache_block_prefetch(const struct cache *cache, enum kiwi_tier tier, uint64_t table_id,
                              uint64_t offset, enum cache_fetch fetch);
/* Copies the block in; may decide not to (then a find misses). Already there: nothing happens.
 * block must not stand in the cache itself (a record's value may: it is copied first). */
void cache_block_insert(struct cache *cache, enum kiwi_tier tier, uint64_t table_id,
                        uint64_t offset, const uint8_t *block, uint32_t bytes);
/* As insert, but only into free room: warms the cache with fresh blocks, evicts nothing. */
void cache_block_offer(struct cache *cache, enum kiwi_tier tier, uint64_t table_id,
                       uint64_t offset, const uint8_t *block, uint32_t bytes);
/* An offer of so many bytes would be taken. */
bool cache_has_room(const struct cache *cache, uint64_t bytes);
/* Find and hold in place over token releases. NULL: not there. */
struct cache_block *cache_block_pin(struct cache *cache, enum kiwi_tier tier, uint64_t table_id,
                                    uint64_t offset);
const uint8_t      *cache_block_bytes(const struct cache_block *block);
void                cache_block_unpin(struct cache *cache, struct cache_block *block);
/* A table is gone: its blocks leave first (eagerly or when met). */
void cache_table_drop(struct cache *cache, uint64_t table_id);

void cache_stats(const struct cache *cache, struct kiwi_tier_stats tiers[KIWI_TIER_COUNT]);
