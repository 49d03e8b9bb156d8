/*
 * block_tables.h: the cached blocks of each table, as lists through their slots, so that dropping a
 * table costs nothing at once and never a walk over the cache.
 *
 * Part of block_store.h; keeps its fields tables, buckets and dropped.
 */
#pragma once

#include "cache/block_store.h"

struct cache_block *block_at(const struct block_store *store, uint32_t reference);

void block_tables_open(struct block_store *store);
void block_tables_close(struct block_store *store);
/* Sets block->table. False: no memory. */
MUST_USE bool block_tables_add(struct block_store *store, struct cache_block *block);
void block_tables_remove(struct block_store *store, struct cache_block *block);
/* copy took the place of the block at the old reference. */
void block_tables_moved(struct block_store *store, struct cache_block *copy, uint32_t old);
void block_tables_drop(struct block_store *store, uint64_t table_id);
/* A block of a dropped table; false: there is none left. */
bool block_tables_next_dropped(struct block_store *store, uint32_t *out_reference);

static inline bool block_tables_is_dropped(const struct block_store *store, uint32_t table)
{
    return UNLIKELY(store->dropped_count > 0) && store->tables[table].is_dropped;
}
