/*
 * admission.c: slows writers smoothly before queues fill, and says what of the shard's memory is
 * for caches: all but the active memtable, the frozen ones and the device buffers. The shares do
 * not follow every freeze: a cache that gave way each time would forget, under the token, what it
 * must read again a moment later. Only while few writes come is the frozen ones' share lent to the
 * cache, and taken back in small steps when more come.
 *
 * The decision is compact/pick.h's pace(), a pure function; here are only its inputs, and the
 * bucket that turns "so many nanoseconds per KiB" into a delay for each write.
 */
#include "core/shard/shard.h"

#define DELAY_MAX_NS     1000000u /* of one write, by the pacer */
#define BUCKET_SLACK_NS  100000u  /* short bursts pay nothing */
#define LEND_STEP_BYTES  (1u << 20) /* evicting this much takes about half a millisecond */
#define CACHE_SHARE_MIN  4u       /* the caches keep at least 1/4 of the shard's memory */

struct pick_options pick_options_of(const struct shard *shard)
{
    const struct kiwi_options *options = &shard->options.options;

    return (struct pick_options){
        .level0_run_max = options->level0_run_max,
        .level_run_max = options->level_run_max,
        .memtable_bytes = options->memtable_bytes,
        .last_level_ratio = 0.25,
        .is_idle = shard->is_quiet,
    };
}

void admission_update(struct shard *shard)
{
    const struct kiwi_options *options = &shard->options.options;
    struct pick_options        pick = pick_options_of(shard);
    struct pace_input          input = { 0 };
    struct pace_output         output;

    shard->debt_bytes = compaction_debt_bytes(version_present(shard->versions), &pick);
    input.debt_bytes = shard->debt_bytes;
    input.debt_soft_bytes = 4 * options->memtable_bytes * options->level0_run_max;
    input.debt_hard_bytes = 3 * input.debt_soft_bytes;
    input.frozen_count = shard->frozen_count;
    input.frozen_max = FROZEN_RUNNING_MAX;
    input.frozen_fill = memtable_bytes(shard->active);
    input.memtable_bytes = shard->memtable_limit;
    input.log_used_bytes = wal_ring_used_bytes(shard->wal);
    input.log_bytes = wal_ring_bytes(shard->wal);
    input.drain_bytes_per_second =
        shard->drain_ns < 1000000 ? 0 : shard->drain_bytes * 1000 / (shard->drain_ns / 1000000);
    pace(&input, &output);
    shard->delay_ns_per_kib = output.delay_ns_per_kib;
    shard->pace_reason = output.reason;
    atomic_store_explicit(&shard->background_share, output.background_share, memory_order_relaxed);
}

uint64_t admission_charge(struct shard *shard, uint64_t bytes)
{
    uint64_t now = io_now_ns(shard->options.io);
    uint64_t cost = shard->delay_ns_per_kib * (bytes + 64) / 1024;
    uint64_t ahead;

    shard->pace_delay_until_ns = max_u64(shard->pace_delay_until_ns, now) + cost;
    ahead = shard->pace_delay_until_ns - now;
    if (ahead <= BUCKET_SLACK_NS)
        return 0;
    if (ahead > DELAY_MAX_NS)
        shard->pace_delay_until_ns = now + DELAY_MAX_NS;
    return min_u64(ahead, DELAY_MAX_NS);
}

/* What dropped memtables left in their slots for the next ones; one slot a turn, each may take a
 * millisecond. False: all are empty. */
static bool slots_trim(struct shard *shard)
{
    for (uint32_t i = 0; i < shard->slot_free_count; i++)
        if (memtable_slot_bytes(shard->slot_free[i]) > shard->memtable_limit / 8) {
            memtable_slot_trim(shard->slot_free[i]);
            return true;
        }
    return false;
}

/* Inside, on the runner. True when more has to be taken back soon. */
bool memory_lend(struct shard *shard)
{
    uint64_t total = shard->options.options.memory_bytes / shard->options.count;
    uint64_t target = memory_cache_bytes(&shard->options);
    uint64_t taken = memtable_bytes(shard->active) + shard->memtable_limit + total / 16;

    for (uint32_t i = 0; i < shard->frozen_count; i++)
        taken += memtable_bytes(shard->frozen[i]->memtable);
    if (shard->is_quiet && slots_trim(shard))
        return true;
    if (shard->is_quiet)
        target = max_u64(target, total - min_u64(taken, total));
    if (target > shard->cache_budget + LEND_STEP_BYTES)
        shard->cache_budget = target;
    else if (target < shard->cache_budget)
        shard->cache_budget -= min_u64(shard->cache_budget - target, LEND_STEP_BYTES);
    else
        return false;
    cache_budget_set(shard->cache, shard->cache_budget);
    return shard->cache_budget > target;
}

uint64_t memory_cache_bytes(const struct shard_options *options)
{
    uint64_t total = options->options.memory_bytes / options->count;
    uint64_t taken = (1 + FROZEN_RUNNING_MAX) * options->options.memtable_bytes + total / 16;

    return max_u64(total / CACHE_SHARE_MIN, total - min_u64(taken, total));
}
