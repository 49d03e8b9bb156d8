/*
 * snapshot.c: which sequences somebody may still read, so that writes and merges keep them.
 */
#include "core/shard/shard.h"

#include <string.h>

#include "core/base/memory.h"

/* Index of the first entry with a sequence >= the given one. */
static uint32_t snapshot_position(const struct shard *shard, uint64_t sequence)
{
    uint32_t low = 0, high = shard->snapshot_count;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (shard->snapshots[middle].sequence < sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

enum kiwi_status snapshot_register(struct shard *shard, uint64_t sequence)
{
    uint32_t at = snapshot_position(shard, sequence);

    if (at < shard->snapshot_count && shard->snapshots[at].sequence == sequence) {
        shard->snapshots[at].count++;
        return KIWI_OK;
    }
    if (shard->snapshot_count == shard->snapshot_capacity) {
        uint32_t capacity = shard->snapshot_capacity == 0 ? 16 : shard->snapshot_capacity * 2;
        struct snapshot_entry *grown;

        if (capacity > SHARD_SNAPSHOT_MAX)
            return FAIL(KIWI_BUSY, "more than %u different snapshots are open", SHARD_SNAPSHOT_MAX);
        grown = memory_resize(shard->snapshots, capacity * sizeof *grown);
        if (grown == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory for a snapshot");
        shard->snapshots = grown;
        shard->snapshot_capacity = capacity;
    }
    memmove(&shard->snapshots[at + 1], &shard->snapshots[at],
            (shard->snapshot_count - at) * sizeof *shard->snapshots);
    shard->snapshots[at] = (struct snapshot_entry){ sequence, 1 };
    shard->snapshot_count++;
    shard->newest_snapshot = shard->snapshots[shard->snapshot_count - 1].sequence;
    return KIWI_OK;
}

void snapshot_unregister(struct shard *shard, uint64_t sequence)
{
    uint32_t at = snapshot_position(shard, sequence);

    assert(at < shard->snapshot_count);
    assert(shard->snapshots[at].sequence == sequence);
    if (--shard->snapshots[at].count > 0)
        return;
    shard->snapshot_count--;
    memmove(&shard->snapshots[at], &shard->snapshots[at + 1],
            (shard->snapshot_count - at) * sizeof *shard->snapshots);
    shard->newest_snapshot =
        shard->snapshot_count == 0 ? 0 : shard->snapshots[shard->snapshot_count - 1].sequence;
}
