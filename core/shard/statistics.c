/*
 * statistics.c: one shard's counters into the public picture. Inside the token, so it is
 * consistent.
 */
#include "core/shard/shard.h"

#include <string.h>

#include "core/base/histogram.h"

static void levels_add(struct shard *shard, struct kiwi_stats *stats)
{
    const struct version *version = version_present(shard->versions);

    stats->level_count = (uint32_t)max_u64(stats->level_count, version->level_count);
    for (uint32_t i = 0; i < KIWI_LEVEL_COUNT_MAX; i++) {
        struct kiwi_level_stats       *to = &stats->levels[i];
        const struct kiwi_level_stats *from = &shard->counters.levels[i];

        to->runs += version->levels[i].run_count;
        for (uint32_t k = 0; k < version->levels[i].run_count; k++) {
            const struct run *run = version->levels[i].runs[k];
            for (uint32_t n = 0; n < run->table_count; n++) {
                const struct table_info *info = &run->places[n].table->info;
                to->files++;
                to->bytes += info->file_bytes;
                to->entries += info->entry_count;
                to->tombstones += info->tombstone_count;
                stats->table_file_bytes += info->file_bytes;
                stats->live_bytes += info->raw_bytes;
                stats->memory_bytes += table_memory_bytes(run->places[n].table);
            }
        }
        to->flush_bytes += from->flush_bytes;
        to->compaction_in_bytes += from->compaction_in_bytes;
        to->compaction_out_bytes += from->compaction_out_bytes;
        to->get_read_bytes += from->get_read_bytes;
        to->get_reads += from->get_reads;
        to->filter_checks += from->filter_checks;
        to->filter_skips += from->filter_skips;
        to->filter_false += from->filter_false;
    }
}

static void memory_add(struct shard *shard, struct kiwi_stats *stats)
{
    stats->memtable_bytes += memtable_bytes(shard->active);
    stats->memtable_count += 1 + shard->frozen_count;
    for (uint32_t i = 0; i < shard->frozen_count; i++)
        stats->frozen_bytes += memtable_bytes(shard->frozen[i]->memtable);
    stats->memory_bytes += cache_bytes(shard->cache) + memtable_pool_bytes(shard->pool)
                         + memory_tail_bytes(&shard->options);
}

static void tiers_add(struct shard *shard, struct kiwi_stats *stats)
{
    struct kiwi_tier_stats tiers[KIWI_TIER_COUNT];

    memset(tiers, 0, sizeof tiers);
    cache_stats(shard->cache, tiers);
    for (uint32_t i = 0; i < KIWI_TIER_COUNT; i++) {
        const struct kiwi_tier_stats *base = &shard->counters.tiers_base[i];
        stats->tiers[i].hits += tiers[i].hits - base->hits;
        stats->tiers[i].misses += tiers[i].misses - base->misses;
        stats->tiers[i].inserts += tiers[i].inserts - base->inserts;
        stats->tiers[i].evictions += tiers[i].evictions - base->evictions;
        stats->tiers[i].bytes += tiers[i].bytes;
        stats->tiers[i].budget_bytes += tiers[i].budget_bytes;
    }
}

static void log_add(struct shard *shard, struct kiwi_stats *stats)
{
    struct wal_counters log = wal_counters(shard->wal);
    const struct wal_counters *base = &shard->counters.log_base;

    stats->log_groups += log.groups - base->groups;
    stats->log_records += log.records - base->records;
    stats->log_write_bytes += log.write_bytes - base->write_bytes;
    stats->log_syncs += log.syncs - base->syncs;
    stats->manifest_write_bytes +=
        manifest_written_bytes(shard->manifest) - shard->counters.manifest_base;
}

void damage_note(struct shard *shard, const char *path, uint64_t offset, uint64_t bytes)
{
    /* Whoever reads is told each time; the log hears of the first, or of nothing else any more. */
    if (shard->counters.corruptions++ == 0)
        notice_add(shard, KIWI_LOG_ERROR, "a read has met damage: %s: %llu bytes at offset %llu",
                   path, (unsigned long long)bytes, (unsigned long long)offset);
}

void shard_stats_add(struct shard *shard, struct kiwi_stats *stats)
{
    const struct shard_counters *from = &shard->counters;

    for (uint32_t i = 0; i < KIWI_ANSWER_COUNT; i++) {
        stats->answers[i].gets += from->answer_gets[i];
        histogram_add(&stats->answers[i].latency, &from->answer_latencies[i]);
    }
    for (uint32_t i = 0; i < KIWI_STALL_COUNT; i++) {
        stats->stalls[i].count += from->stalls[i].count;
        stats->stalls[i].total_ns += from->stalls[i].total_ns;
        stats->stalls[i].max_ns = max_u64(stats->stalls[i].max_ns, from->stalls[i].max_ns);
    }
    stats->gets += from->gets;
    stats->puts += from->puts;
    stats->deletes += from->deletes;
    stats->batches += from->batches;
    stats->scans += from->scans;
    stats->scan_rows += from->scan_rows;
    stats->user_write_bytes += shard->write_bytes - from->write_bytes_base;
    stats->flush_count += from->flush_count;
    stats->flush_bytes += from->flush_bytes;
    stats->flush_ns += from->flush_ns;
    stats->compaction_count += from->compaction_count;
    stats->compaction_read_bytes += from->compaction_read_bytes;
    stats->compaction_write_bytes += from->compaction_write_bytes;
    stats->compaction_ns += from->compaction_ns;
    stats->entries_dropped += from->entries_dropped;
    stats->reads_verified += from->reads_verified;
    stats->corruptions += from->corruptions;
    stats->debt_bytes += background_left_bytes(shard);
    stats->snapshots += shard->snapshot_count;
    stats->pool_file_bytes += shard->pool_bytes;
    stats->is_read_only |= shard->stopped != KIWI_OK;
    levels_add(shard, stats);
    memory_add(shard, stats);
    tiers_add(shard, stats);
    log_add(shard, stats);
}

void shard_stats_reset(struct shard *shard)
{
    memset(&shard->counters, 0, sizeof shard->counters);
    cache_stats(shard->cache, shard->counters.tiers_base);
    shard->counters.write_bytes_base = shard->write_bytes;
    shard->counters.log_base = wal_counters(shard->wal);
    shard->counters.manifest_base = manifest_written_bytes(shard->manifest);
}
