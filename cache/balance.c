/*
 * balance.c: the share of the records, and who gives when the pool is empty.
 */
#include "cache/balance.h"

/*
 * Records answer faster than blocks (no index, no block search) but each also costs an insert, and
 * they serve no scan. So records grow only where they clearly save more, and at a tie (uniform
 * access, where the worth per byte is the same within a few percent) the blocks win.
 */
#define RECORDS_GROW_ABOVE 128u /* record worth per byte, in percent of block worth */
#define BLOCKS_GROW_BELOW  112u

static double worth(uint64_t hits, uint64_t span_bytes)
{
    return span_bytes == 0 ? 0 : (double)hits / (double)span_bytes;
}

uint32_t balance_share(uint32_t share, const struct balance_evidence *evidence)
{
    assert(share >= SHARE_MIN);
    assert(share <= SHARE_MAX);
    if (evidence->record_hits + evidence->block_hits < EVIDENCE_MIN)
        return share;

    /* A side from which nothing was evicted yet has not shown that it is worth its bytes. */
    double record_worth = worth(evidence->record_hits, evidence->record_span_bytes);
    double block_worth = worth(evidence->block_hits, evidence->block_span_bytes);

    if (record_worth * 100 > block_worth * RECORDS_GROW_ABOVE)
        return share + SHARE_STEP > SHARE_MAX ? SHARE_MAX : share + SHARE_STEP;
    if (record_worth * 100 < block_worth * BLOCKS_GROW_BELOW)
        return share < SHARE_MIN + SHARE_STEP ? SHARE_MIN : share - SHARE_STEP;
    return share;
}

static uint64_t meta_bytes(const struct balance_bytes *bytes)
{
    return bytes->log[LOG_INDEX] + bytes->log[LOG_FILTER];
}

static uint64_t data_budget(const struct balance_bytes *bytes)
{
    uint64_t meta = min_u64(meta_bytes(bytes), bytes->budget / SHARE_ONE * META_SHARE);

    return bytes->budget - meta;
}

uint32_t balance_share_needed(const struct balance_bytes *bytes, uint32_t share,
                              uint64_t block_need)
{
    uint64_t data = data_budget(bytes);

    if (block_need == 0 || block_need > data / SHARE_ONE * NEED_SHARE_MAX)
        return share;
    uint64_t blocks = (block_need * SHARE_ONE + data - 1) / data;

    assert(blocks <= NEED_SHARE_MAX + SHARE_STEP);
    return (uint32_t)min_u64(share, SHARE_ONE - blocks);
}

uint64_t balance_record_target(const struct balance_bytes *bytes, uint32_t share)
{
    return data_budget(bytes) / SHARE_ONE * share;
}

uint64_t balance_block_target(const struct balance_bytes *bytes, uint32_t share)
{
    return data_budget(bytes) - balance_record_target(bytes, share);
}

enum log_kind balance_victim(const struct balance_bytes *bytes, uint32_t share)
{
    uint64_t blocks = bytes->log[LOG_SMALL] + bytes->log[LOG_MAIN];
    uint64_t data = bytes->log[LOG_RECORD] + blocks;

    if (meta_bytes(bytes) > bytes->budget / SHARE_ONE * META_SHARE
        || (data == 0 && meta_bytes(bytes) > 0))
        return bytes->log[LOG_FILTER] > bytes->log[LOG_INDEX] ? LOG_FILTER : LOG_INDEX;
    if (data == 0)
        return LOG_COUNT;
    /* The side that stands further above its share. */
    if ((double)bytes->log[LOG_RECORD] * (SHARE_ONE - share) >= (double)blocks * share)
        return LOG_RECORD;
    if (bytes->log[LOG_MAIN] == 0
        || bytes->log[LOG_SMALL] * SHARE_ONE > blocks * SMALL_SHARE)
        return bytes->log[LOG_SMALL] > 0 ? LOG_SMALL : LOG_MAIN;
    return LOG_MAIN;
}
