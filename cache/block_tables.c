/*
 * block_tables.c: a chained hash table from table id to the first of its blocks.
 */
#include "cache/block_tables.h"

#include "core/base/memory.h"

#define TABLES_FIRST 64u

static uint32_t bucket_of(const struct block_store *store, uint64_t table_id)
{
    assert(store->table_capacity > 0);
    return (uint32_t)hash_mix(table_id, 0) & (store->table_capacity - 1);
}

void block_tables_open(struct block_store *store)
{
    store->table_free = store->dropped = INDEX_NOTHING;
}

static uint64_t tables_bytes(uint64_t capacity)
{
    return capacity * (sizeof(struct block_table) + sizeof(uint32_t));
}

void block_tables_close(struct block_store *store)
{
    segment_pool_discharge(store->pool, tables_bytes(store->table_capacity));
    memory_free(store->tables);
    memory_free(store->buckets);
}

static void bucket_push(struct block_store *store, uint32_t table)
{
    uint32_t *bucket = &store->buckets[bucket_of(store, store->tables[table].id)];

    store->tables[table].hash_next = *bucket;
    *bucket = table;
}

static bool tables_grow(struct block_store *store)
{
    uint32_t            before = store->table_capacity;
    uint32_t            capacity = before == 0 ? TABLES_FIRST : before * 2;
    struct block_table *tables;
    uint32_t           *buckets;

    if (!segment_pool_charge(store->pool, tables_bytes(capacity) - tables_bytes(before)))
        return false;
    buckets = memory_allocate(capacity * sizeof(*buckets));
    tables = buckets == NULL ? NULL : memory_resize(store->tables, capacity * sizeof(*tables));
    if (tables == NULL) {
        memory_free(buckets);
        segment_pool_discharge(store->pool, tables_bytes(capacity) - tables_bytes(before));
        return false;
    }
    memory_free(store->buckets);
    store->buckets = buckets;
    store->tables = tables;
    store->table_capacity = capacity;
    for (uint32_t i = 0; i < capacity; i++)
        buckets[i] = INDEX_NOTHING;
    for (uint32_t i = 0; i < before; i++) /* none is free, or there were no need to grow */
        if (!tables[i].is_dropped)
            bucket_push(store, i);
    for (uint32_t i = capacity; i > before; i--) {
        tables[i - 1] = (struct block_table){ .hash_next = store->table_free };
        store->table_free = i - 1;
    }
    return true;
}

static uint32_t table_find(const struct block_store *store, uint64_t table_id)
{
    uint32_t table;

    if (store->table_capacity == 0)
        return INDEX_NOTHING;
    table = store->buckets[bucket_of(store, table_id)];
    while (table != INDEX_NOTHING && store->tables[table].id != table_id)
        table = store->tables[table].hash_next;
    return table;
}

static uint32_t table_create(struct block_store *store, uint64_t table_id)
{
    uint32_t table;

    if (store->table_free == INDEX_NOTHING && !tables_grow(store))
        return INDEX_NOTHING;
    table = store->table_free;
    store->table_free = store->tables[table].hash_next;
    store->tables[table] = (struct block_table){ .id = table_id, .first = INDEX_NOTHING };
    store->table_count++;
    bucket_push(store, table);
    return table;
}

static void bucket_remove(struct block_store *store, uint32_t table)
{
    uint32_t *link = &store->buckets[bucket_of(store, store->tables[table].id)];

    while (*link != table)
        link = &store->tables[*link].hash_next;
    *link = store->tables[table].hash_next;
}

static void table_free(struct block_store *store, uint32_t table)
{
    assert(store->tables[table].first == INDEX_NOTHING);
    assert(store->table_count > 0);
    store->tables[table].is_dropped = false;
    store->tables[table].hash_next = store->table_free;
    store->table_free = table;
    store->table_count--;
}

bool block_tables_add(struct block_store *store, struct cache_block *block)
{
    uint32_t table = table_find(store, block->table_id);

    if (table == INDEX_NOTHING)
        table = table_create(store, block->table_id);
    if (table == INDEX_NOTHING)
        return false;
    block->table = table;
    block->table_previous = INDEX_NOTHING;
    block->table_next = store->tables[table].first;
    if (block->table_next != INDEX_NOTHING)
        block_at(store, block->table_next)->table_previous = block->reference;
    store->tables[table].first = block->reference;
    return true;
}

void block_tables_remove(struct block_store *store, struct cache_block *block)
{
    struct block_table *table = &store->tables[block->table];

    if (block->table_previous != INDEX_NOTHING)
        block_at(store, block->table_previous)->table_next = block->table_next;
    else
        table->first = block->table_next;
    if (block->table_next != INDEX_NOTHING)
        block_at(store, block->table_next)->table_previous = block->table_previous;
    if (table->first == INDEX_NOTHING && !table->is_dropped) {
        bucket_remove(store, block->table);
        table_free(store, block->table);
    }
}

void block_tables_moved(struct block_store *store, struct cache_block *copy, uint32_t old)
{
    if (copy->table_previous != INDEX_NOTHING) {
        block_at(store, copy->table_previous)->table_next = copy->reference;
    } else {
        assert(store->tables[copy->table].first == old);
        store->tables[copy->table].first = copy->reference;
    }
    if (copy->table_next != INDEX_NOTHING)
        block_at(store, copy->table_next)->table_previous = copy->reference;
    (void)old;
}

void block_tables_drop(struct block_store *store, uint64_t table_id)
{
    uint32_t table = table_find(store, table_id);

    if (table == INDEX_NOTHING)
        return;
    assert(!store->tables[table].is_dropped);
    bucket_remove(store, table);
    store->tables[table].is_dropped = true;
    store->tables[table].hash_next = store->dropped;
    store->dropped = table;
    store->dropped_count++;
}

bool block_tables_next_dropped(struct block_store *store, uint32_t *out_reference)
{
    while (store->dropped != INDEX_NOTHING) {
        uint32_t table = store->dropped;

        if (store->tables[table].first != INDEX_NOTHING) {
            *out_reference = store->tables[table].first;
            return true;
        }
        store->dropped = store->tables[table].hash_next;
        store->dropped_count--;
        table_free(store, table);
    }
    return false;
}
