/*
 * ghost.c: fingerprints in sets of four, one 64-bit word a set.
 */
#include "cache/ghost.h"

#include <string.h>

#include "core/base/memory.h"

bool ghost_open(struct ghost *ghost, uint64_t entries)
{
    uint64_t sets = min_u64(max_u64(entries / 4, 16), UINT32_MAX);

    ghost->sets = memory_allocate_zeroed(sets * sizeof(*ghost->sets));
    ghost->set_count = ghost->set_capacity = ghost->sets == NULL ? 0 : (uint32_t)sets;
    ghost->count = 0;
    return ghost->sets != NULL;
}

void ghost_close(struct ghost *ghost)
{
    memory_free(ghost->sets);
    *ghost = (struct ghost){ 0 };
}

uint64_t ghost_bytes(const struct ghost *ghost)
{
    return ghost->set_capacity * sizeof(*ghost->sets);
}

bool ghost_limit(struct ghost *ghost, uint64_t entries)
{
    uint64_t sets = min_u64(max_u64(entries / 4, 16), ghost->set_capacity);

    if (sets * 4 >= ghost->set_count * 3ull && sets * 4 <= ghost->set_count * 5ull)
        return false;
    ghost->set_count = (uint32_t)sets;
    ghost->count = 0;
    if (sets > 0)
        memset(ghost->sets, 0, sets * sizeof(*ghost->sets));
    return true;
}

static uint64_t *set_of(const struct ghost *ghost, uint32_t hash)
{
    return &ghost->sets[(uint64_t)hash * ghost->set_count >> 32];
}

/* The set comes from the high bits of hash, so the fingerprint comes from all of them, mixed. */
static uint16_t fingerprint_of(uint32_t hash)
{
    uint16_t fingerprint = (uint16_t)(hash * 0x9e3779b1u >> 16);

    return fingerprint == 0 ? 1 : fingerprint;
}

void ghost_add(struct ghost *ghost, uint32_t hash)
{
    if (ghost->set_count == 0)
        return;
    uint64_t *set = set_of(ghost, hash);

    ghost->count += *set >> 48 == 0; /* nothing falls out at the old end */
    *set = *set << 16 | fingerprint_of(hash);
}

bool ghost_take(struct ghost *ghost, uint32_t hash)
{
    if (ghost->set_count == 0)
        return false;
    uint64_t *set = set_of(ghost, hash);
    uint16_t  fingerprint = fingerprint_of(hash);

    for (unsigned shift = 0; shift < 64; shift += 16) {
        if ((uint16_t)(*set >> shift) != fingerprint)
            continue;
        uint64_t newer = *set & ((1ull << shift) - 1);
        uint64_t older = shift == 48 ? 0 : *set >> (shift + 16) << shift;

        assert(ghost->count > 0);
        ghost->count--;
        *set = older | newer; /* the older ones close the gap */
        return true;
    }
    return false;
}
