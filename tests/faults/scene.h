/*
 * scene.h: a database on the real host, in one of its ways to run, and the ledger of what may stand
 * in it.
 */
#pragma once

#include "tests/faults/ledger.h"

struct scene {
    struct world  world;
    struct ledger ledger;
    uint64_t      chance;
    char          label[96]; /* which of many runs this is */
};

/* With small memtables and a log of 512 KiB. Nothing is open yet. */
void scene_begin(struct scene *scene, enum world_way way, uint64_t seed);
void scene_steps(struct scene *scene, uint32_t count);
/* Nothing refuses any more: a flush and count steps succeed, and all is there. */
void scene_goes_on(struct scene *scene, uint32_t count);
void scene_reopen(struct scene *scene); /* and all is there */
