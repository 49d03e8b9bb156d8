/*
 * state.h: what a memtable is made of. For this room and its tests.
 */
#pragma once

#include "core/memtable/key_index.h"
#include "core/memtable/skiplist.h"

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
};
