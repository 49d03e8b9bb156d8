/*
 * state.h: what a memtable is made of. For this room and its tests.
 */
#pragma once

#include "core/memtable/key_index.h"
#include "core/memtable/skiplist.h"

#define AHEAD_PUTS_MAX 16u

/* A put to come, and the bottom block where its key belonged when that was fetched. */
struct ahead_put {
    uint64_t      hash;
    struct block *bottom;
};

struct memtable {
    struct arena          arena;
    struct skiplist       list;
    struct key_index      index;
    struct memtable_pool *pool;
    uint64_t              entry_count;
    uint64_t              tombstone_count;
    uint64_t              data_bytes;
    uint32_t              new_streak; /* how many puts in a row brought a new key */
    bool                  is_frozen;
    /* A ring, in the order of the puts: from ahead_first up to ahead_end, both modulo its size. */
    uint32_t              ahead_first, ahead_end;
    struct ahead_put      ahead[AHEAD_PUTS_MAX];
};
