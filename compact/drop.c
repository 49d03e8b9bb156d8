/*
 * drop.c: which versions nobody can see any more.
 *
 * A reader at sequence s (a live snapshot, or any sequence from now on) sees the newest version
 * whose sequence is <= s. So a version is visible exactly to the s in [its sequence, the sequence
 * of the next newer version).
 */
#include "compact/pick.h"

/* True when a live snapshot lies in [low, high). */
static bool snapshot_between(const uint64_t *snapshots, uint32_t count, uint64_t low, uint64_t high)
{
    uint32_t begin = 0, end = count;

    assert(low <= high);
    while (begin < end) { /* the first snapshot >= low */
        uint32_t middle = begin + (end - begin) / 2;

        if (snapshots[middle] < low)
            begin = middle + 1;
        else
            end = middle;
    }
    return begin < count && snapshots[begin] < high;
}

bool drop_entry(const struct entry *entry, uint64_t sequence_before, bool is_bottom,
                const uint64_t *snapshots, uint32_t snapshot_count)
{
    assert(entry->sequence > 0);
    /* Equal sequences: the same version met twice, in two inputs. */
    assert(sequence_before == 0 || sequence_before >= entry->sequence);

    if (sequence_before != 0
        && !snapshot_between(snapshots, snapshot_count, entry->sequence, sequence_before))
        return true;
    /* Without a snapshot below the tombstone every older version goes by the rule above, and at the
     * bottom there are no others: absence and tombstone then read the same. */
    return is_bottom && entry->kind == ENTRY_DELETE
        && (snapshot_count == 0 || snapshots[0] >= entry->sequence);
}
