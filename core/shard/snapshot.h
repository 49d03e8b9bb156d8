/*
 * snapshot.h: one sequence per shard: a cut that is the same for everybody who holds it.
 */
#pragma once

#include "kiwi/kiwi.h"

struct kiwi_snapshot {
    struct kiwi_db *db;
    uint32_t        shard_count;
    uint32_t        iterator_count; /* that share it; 0: the application's own */
    uint64_t        sequences[];
};

static inline uint64_t snapshot_sequence(const struct kiwi_snapshot *snapshot, uint32_t shard)
{
    return snapshot->sequences[shard];
}
