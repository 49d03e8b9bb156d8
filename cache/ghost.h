/*
 * ghost.h: what was evicted lately, as 16-bit fingerprints: no bytes, only the memory that there
 * were some. First in, first out within sets of four, so nearly so over all.
 *
 * Errs     one lookup in about 16,000 sees a ghost that is none.
 */
#pragma once

#include "core/base/base.h"

struct ghost {
    uint64_t *sets;      /* four fingerprints each, the newest lowest; 0: none */
    uint32_t  set_count; /* in use */
    uint32_t  set_capacity;
    uint64_t  count;     /* fingerprints that stand there, at most */
};

MUST_USE bool ghost_open(struct ghost *ghost, uint64_t entries); /* false: no memory */
void     ghost_close(struct ghost *ghost);
uint64_t ghost_bytes(const struct ghost *ghost);
/* Uses only so much of it that about entries are remembered; forgets all if that is a change of
 * more than a quarter. True: it did. */
bool ghost_limit(struct ghost *ghost, uint64_t entries);

void ghost_add(struct ghost *ghost, uint32_t hash);
bool ghost_take(struct ghost *ghost, uint32_t hash); /* was there, and is no more */
