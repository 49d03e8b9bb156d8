/*
 * admission.c: slows writers smoothly before queues fill, says how large the active memtable may
 * grow, and what of the shard's memory is for caches: all but what memtables may take together, the
 * log's tail and the device buffers. The shares do not follow every freeze: a cache that gave way
 * each time would forget, under the token, what it must read again a moment later. Only while few
 * writes come and the cache is full is the frozen ones' share lent to it, and taken back in small
 * steps when more come.
 *
 * The decision is compact/pick.h's pace(), a pure function; here are only its inputs, and the
 * bucket that turns "so many nanoseconds per KiB" into a delay for each write.
 */
#include "core/shard/shard.h"

#define DELAY_MAX_NS     1000000u /* of one write, by the pacer */
#define BUCKET_SLACK_NS  100000u  /* short bursts pay nothing */
#define LEND_STEP_BYTES  (1u << 20) /* evicting this much takes about half a millisecond */
#define LEND_TRIM_BYTES  (8u << 20) /* giving this much back to the system takes as long */
#define CACHE_SHARE_MIN  4u       /* the caches keep at least 1/4 of the shard's memory */
#define FLUSH_RATIO_MAX  64u      /* in sixteenths */
#define BUFFER_SHARE     16u      /* device buffers, and what is too small to be listed */
/* The allocator's own tables and gaps, freed pages that it keeps for a while, code, rings, stacks:
 * resident, in no sum. Measured from 32 to 256 MiB (docs/performance.md). */
#define PROCESS_BYTES    (11u << 20)
#define PROCESS_SHARE    3u       /* of a smaller memory at most a third */
#define HUGE_FROM_BYTES  (16u << 20) /* a memtable of this size has chunks of a huge page */
/*
 * A page that is touched the first time costs 0.2 to 10 us: a quarter of the processor time of a
 * load into fresh memory. So opening touches what will be used. Small databases need not: they are
 * opened for one command as well, and `kiwidb get` took 0.15 s with it, 0.04 without. Beyond half a
 * GiB, a quarter of a second on two cores, the wait would be felt more than later faults.
 */
#define PREFAULT_BYTES_MIN (64u << 20) /* of a shard */
#define PREFAULT_BYTES_MAX (512u << 20) /* of all shards */

struct pick_options pick_options_of(const struct shard *shard)
{
    const struct kiwi_options *options = &shard->options.options;

    return (struct pick_options){
        .level0_run_max = options->level0_run_max,
        .level_run_max = options->level_run_max,
        .level_max = options->level_max,
        .memtable_bytes = options->memtable_bytes,
        .last_level_ratio = 0.25,
        .is_idle = shard->is_quiet,
        .scan_cost_ns = shard->scan_runs_ns,
    };
}

/* ---- when memtables freeze ---- */

static uint64_t memory_of_memtables(const struct shard_options *options)
{
    return (1 + options->options.frozen_max) * options->options.memtable_bytes;
}

void flush_ratio_note(struct shard *shard, uint64_t fill_ns, uint64_t flush_ns)
{
    uint64_t ratio = FLUSH_RATIO_MAX;

    if (fill_ns > 0 && flush_ns / fill_ns < FLUSH_RATIO_MAX / 16)
        ratio = flush_ns * 16 / fill_ns;
    /* Slower flushes are believed at once, faster ones by and by. */
    if (ratio < shard->flush_ratio)
        ratio = (shard->flush_ratio + ratio) / 2;
    shard->flush_ratio = (uint32_t)ratio;
}

/*
 * All memtables together may take (1 + frozen_max) times memtable_bytes. A large active one
 * takes in more updates in place, answers more reads and is flushed less often; but while it is
 * flushed the next one fills, and three quarters of the room must do for both, or writers are
 * braked. So the faster flushes are, compared with filling, the more the active one may take.
 */
static void memtable_limit_update(struct shard *shard)
{
    uint64_t least = shard->options.options.memtable_bytes;
    uint64_t all = memory_of_memtables(&shard->options);
    uint64_t left = all - min_u64(all, shard->frozen_bytes);
    uint64_t wanted = max_u64(all * 3 / 4 * 16 / (16 + shard->flush_ratio), least);

    if (left >= 2 * least)
        shard->memtable_limit = min_u64(wanted, left - least);
    else /* more than all is frozen only after recovery */
        shard->memtable_limit = left >= least / 16 ? left : least;
}

bool memtables_are_full(const struct shard *shard)
{
    return shard->frozen_count >= shard->options.options.frozen_max
        || shard->frozen_bytes + memtable_bytes(shard->active)
               >= memory_of_memtables(&shard->options);
}

bool memtables_are_scarce(const struct shard *shard)
{
    uint64_t all = memory_of_memtables(&shard->options);

    return shard->frozen_count >= shard->options.options.frozen_max
        || (shard->frozen_count > 0
            && shard->frozen_bytes + memtable_bytes(shard->active) >= all / 4 * 3);
}

/* ---- pressure and delay ---- */

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
    input.frozen_max = options->frozen_max;
    input.frozen_bytes = shard->frozen_bytes;
    input.active_bytes = memtable_bytes(shard->active);
    input.memtable_bytes = options->memtable_bytes;
    input.log_used_bytes = wal_ring_used_bytes(shard->wal);
    input.log_bytes = wal_ring_bytes(shard->wal);
    input.drain_bytes_per_second =
        shard->drain_ns < 1000000 ? 0 : shard->drain_bytes * 1000 / (shard->drain_ns / 1000000);
    memtable_limit_update(shard);
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

/* ---- shares of the memory ---- */

static uint64_t memory_of_shard(const struct shard_options *options)
{
    uint64_t total = options->options.memory_bytes;

    return (total - min_u64(total / PROCESS_SHARE, PROCESS_BYTES)) / options->count;
}

uint64_t memory_tail_bytes(const struct shard_options *options)
{
    return max_u64(1u << 20, min_u64(4u << 20, memory_of_shard(options) / 16)) / 4096 * 4096;
}

/* Their share, or what they really are: contexts may be many, and a value may be larger than any
 * share. */
static uint64_t memory_of_buffers(const struct shard_options *options)
{
    uint64_t used = options->buffer_bytes == NULL
        ? 0 : atomic_load_explicit(options->buffer_bytes, memory_order_relaxed);

    return max_u64(memory_of_shard(options) / BUFFER_SHARE, used / options->count);
}

uint64_t memory_cache_bytes(const struct shard_options *options)
{
    uint64_t total = memory_of_shard(options);
    uint64_t taken = memory_of_memtables(options) + memory_tail_bytes(options)
                   + memory_of_buffers(options);

    return max_u64(total / CACHE_SHARE_MIN, total - min_u64(taken, total));
}

uint64_t memory_chunk_bytes(const struct shard_options *options)
{
    uint64_t bytes = options->options.memtable_bytes;

    return bytes >= HUGE_FROM_BYTES ? 2u << 20 : max_u64(bytes / 16 / 4096 * 4096, 16384);
}

void memory_prefault(struct shard *shard)
{
    uint64_t left = PREFAULT_BYTES_MAX / shard->options.count;
    uint64_t memtables = memory_of_memtables(&shard->options);
    uint64_t used = memtable_pool_bytes(shard->pool) - memtable_pool_rest_bytes(shard->pool);

    if (shard->options.options.memory_bytes / shard->options.count < PREFAULT_BYTES_MIN)
        return;
    memtables = min_u64(memtables - min_u64(memtables, used), left);
    while (memtable_pool_prepare(shard->pool, memtables))
        ;
    cache_prefault(shard->cache, min_u64(shard->cache_budget, left - memtables));
}

/* Inside, on the runner. True when more has to be taken back or lent soon. */
bool memory_lend(struct shard *shard)
{
    uint64_t memtable = shard->options.options.memtable_bytes;
    uint64_t total = memory_of_shard(&shard->options);
    uint64_t target = memory_cache_bytes(&shard->options);
    uint64_t rest = memtable_pool_rest_bytes(shard->pool);
    uint64_t spare = rest - min_u64(rest, memtable);
    uint64_t taken = memtable_pool_bytes(shard->pool) + memory_tail_bytes(&shard->options)
                   + memory_of_buffers(&shard->options);
    bool     lends = false;

    /* One memtable's worth stays at rest: the active one grows into it. */
    taken += memtable - min_u64(memtable, rest);
    if (shard->is_quiet && cache_is_full(shard->cache)) {
        lends = spare >= max_u64(LEND_STEP_BYTES, memory_chunk_bytes(&shard->options));
        if (lends)
            taken -= memtable_pool_trim(shard->pool, min_u64(spare, LEND_TRIM_BYTES));
        target = max_u64(target, total - min_u64(taken, total));
    } else if (shard->is_quiet) {
        target = max_u64(target, min_u64(shard->cache_budget, total - min_u64(taken, total)));
    }
    if (target > shard->cache_budget + LEND_STEP_BYTES)
        shard->cache_budget = target;
    else if (target < shard->cache_budget)
        shard->cache_budget -= min_u64(shard->cache_budget - target, LEND_STEP_BYTES);
    else
        return lends;
    cache_budget_set(shard->cache, shard->cache_budget);
    return lends || shard->cache_budget > target;
}
