/*
 * stats.h: one picture of all counters and latencies of a database.
 *
 * Shapes   plain numbers, summed over shards. Counters only grow until kiwi_stats_reset.
 * Units    in the names. Latencies are histograms: log-linear with 32 sub-buckets per power of two
 *          of nanoseconds (error <= 3.2 %); see kiwi_latency_percentile.
 */
#pragma once

#include <stdint.h>

#include "kiwi/limits.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KIWI_LATENCY_BUCKET_COUNT 1152u /* values to 2^40 ns, 18 minutes */

struct kiwi_latency {
    uint64_t count;
    uint64_t sum_ns;
    uint64_t max_ns;
    uint32_t buckets[KIWI_LATENCY_BUCKET_COUNT];
};

/* The smallest bucket bound below which the share (0 to 1) of samples lies; 0 when empty. */
uint64_t kiwi_latency_percentile(const struct kiwi_latency *latency, double share);

/* Where a get was answered; the rows of the per-level table. */
enum kiwi_answer {
    KIWI_ANSWER_RECORD_CACHE = 0,
    KIWI_ANSWER_MEMTABLE,
    KIWI_ANSWER_FROZEN,
    KIWI_ANSWER_LEVEL0, /* + level, up to KIWI_LEVEL_COUNT_MAX - 1 */
    KIWI_ANSWER_NOTHING = KIWI_ANSWER_LEVEL0 + 7,
    KIWI_ANSWER_COUNT,
};

struct kiwi_answer_stats {
    uint64_t            gets;    /* counted always */
    struct kiwi_latency latency; /* of a sample when answered from memory, of all when from disk */
};

struct kiwi_level_stats {
    uint64_t files;
    uint64_t runs;
    uint64_t bytes;
    uint64_t entries;
    uint64_t tombstones;
    uint64_t flush_bytes;           /* written into this level by flushes */
    uint64_t compaction_in_bytes;   /* read from this level by compactions */
    uint64_t compaction_out_bytes;  /* written into this level by compactions */
    uint64_t get_read_bytes;        /* read by gets and scans from the device */
    uint64_t get_reads;             /* device reads of gets and scans */
    uint64_t filter_checks;
    uint64_t filter_skips;
    uint64_t filter_false;          /* passed the filter, key was not there */
};

enum kiwi_tier {
    KIWI_TIER_RECORD = 0,
    KIWI_TIER_BLOCK,
    KIWI_TIER_INDEX,
    KIWI_TIER_FILTER,
    KIWI_TIER_COUNT,
};

struct kiwi_tier_stats {
    uint64_t hits;
    uint64_t misses;
    uint64_t inserts;
    uint64_t evictions;
    uint64_t bytes;
    uint64_t budget_bytes;
};

enum kiwi_stall {
    KIWI_STALL_MEMTABLE = 0, /* frozen memtables wait for their flush */
    KIWI_STALL_LOG,          /* the log ring or its staging has no room */
    KIWI_STALL_DEBT,         /* compaction is behind */
    KIWI_STALL_MEMORY,
    KIWI_STALL_COUNT,
};

struct kiwi_stall_stats {
    uint64_t count;
    uint64_t total_ns;
    uint64_t max_ns;
};

struct kiwi_stats {
    struct kiwi_answer_stats answers[KIWI_ANSWER_COUNT];
    struct kiwi_level_stats  levels[KIWI_LEVEL_COUNT_MAX];
    struct kiwi_tier_stats   tiers[KIWI_TIER_COUNT];
    struct kiwi_stall_stats  stalls[KIWI_STALL_COUNT];

    uint64_t gets, puts, deletes, batches, scans, scan_rows;
    uint64_t user_write_bytes;     /* keys and values handed in */
    uint64_t log_write_bytes, log_groups, log_records, log_syncs;
    uint64_t manifest_write_bytes;
    uint64_t flush_count, flush_bytes, flush_ns;
    uint64_t compaction_count, compaction_read_bytes, compaction_write_bytes, compaction_ns;
    uint64_t entries_dropped;      /* superseded versions and tombstones that compaction dropped */
    uint64_t debt_bytes;           /* that compaction still has to move */
    uint64_t memtable_bytes, frozen_bytes;
    uint32_t memtable_count;
    uint64_t memory_bytes;         /* memtables, caches, log tails, device buffers; in use or not */
    uint64_t memory_limit_bytes;
    uint64_t live_bytes;           /* keys and values in tables, newest versions, estimated */
    uint64_t table_file_bytes;     /* referenced by the present version */
    uint64_t pool_file_bytes;      /* recycled files that wait for a table */
    uint64_t snapshots;
    uint64_t device_reads, device_writes;
    uint64_t reads_verified, corruptions;
    uint64_t scrub_passes;         /* over all tables, whole */
    uint64_t scrub_bytes;          /* of blocks that were checked */
    uint64_t scrub_damages;        /* that were found; those that stay count in each pass */
    uint32_t shard_count, level_count;
    uint32_t is_read_only;         /* a log or manifest error stopped writes */
    char     scrub_finding[256];   /* text of the newest, with file and offset; empty: none */
    char     io_backend[16];
    char     io_features[160];     /* what the probe found, for people */
};

#ifdef __cplusplus
}
#endif
