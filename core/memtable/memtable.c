/*
 * memtable.c: records in chunks, found by hash or in order.
 *
 *   put ──► key index ──► newest version of the key, replaceable? ──► overwrite where it lies, or
 *              │                                                      exchange its reference
 *              └─ unknown, or a snapshot may see it ──► one more record, in both structures
 *
 * The key index knows the newest version of each key only; older ones are reached through the list.
 */
#include "core/memtable/memtable.h"

#include <inttypes.h>

#include "core/base/memory.h"
#include "core/memtable/state.h"
#include "kiwi/limits.h"

/* The key index starts at a sixteenth of what records of 512 bytes need: all of it at once would
 * make memtable_open slow, and growing costs the same from wherever it starts. */
#define EXPECTED_BYTES_PER_KEY (16u * 512u)
#define NEW_STREAK_LONG       4u
#define SPLITS_ALL            256u /* of so many puts at once, each may split blocks */

static struct record *record_at(const struct memtable *memtable, uint32_t reference)
{
    return arena_record(&memtable->arena, reference);
}

/* ---- counters ---- */

static void counters_add(struct memtable *memtable, size_t key_bytes, size_t value_bytes,
                         enum entry_kind kind)
{
    memtable->data_bytes += key_bytes + value_bytes;
    memtable->tombstone_count += kind == ENTRY_DELETE;
    memtable->entry_count++;
}

static void counters_remove(struct memtable *memtable, const struct record *record)
{
    uint64_t bytes = (uint64_t)record->key_bytes + record->value_bytes;

    assert(memtable->entry_count > 0);
    assert(memtable->data_bytes >= bytes);
    memtable->data_bytes -= bytes;
    memtable->tombstone_count -= record_kind(record) == ENTRY_DELETE;
    memtable->entry_count--;
}

/* ---- records ---- */

static void record_write_value(struct record *record, const struct entry *entry)
{
    assert(entry->value.size <= record->value_room);
    record->stamp = record_stamp(entry->sequence, entry->kind);
    record->value_bytes = (uint32_t)entry->value.size;
    if (entry->value.size > 0)
        memcpy(record->bytes + record->key_bytes, entry->value.data, entry->value.size);
}

static void record_write(struct record *record, uint32_t hash, const struct entry *entry)
{
    uint64_t bytes = record_bytes(entry->key.size, entry->value.size);

    record->hash = hash;
    record->key_bytes = (uint16_t)entry->key.size;
    record->value_room = (uint32_t)(bytes - RECORD_HEADER_BYTES - entry->key.size);
    if (entry->key.size > 0)
        memcpy(record->bytes, entry->key.data, entry->key.size);
    record_write_value(record, entry);
}

/* Takes room for the record and, so that none of it can fail later, for `beside` more bytes. */
static enum kiwi_status record_allocate(struct memtable *memtable, const struct entry *entry,
                                        uint64_t beside, uint32_t *out)
{
    struct arena    *arena = &memtable->arena;
    uint64_t         bytes = record_bytes(entry->key.size, entry->value.size);
    enum kiwi_status status;

    if (LIKELY(!arena_is_large(arena, bytes))) {
        TRY(arena_reserve(arena, bytes + RECORD_UNIT_BYTES + beside));
        *out = arena_allocate(arena, (uint32_t)bytes, RECORD_UNIT_BYTES);
        return KIWI_OK;
    }
    TRY(arena_allocate_large(arena, bytes, out));
    status = arena_reserve(arena, beside);
    if (status != KIWI_OK)
        arena_release_large(arena, *out);
    return status;
}

static void record_release(struct memtable *memtable, uint32_t reference)
{
    const struct record *record = record_at(memtable, reference);

    /* Others stay where they are as waste, until the memtable goes as a whole. */
    if (arena_is_large(&memtable->arena, record_bytes(record->key_bytes, record->value_room)))
        arena_release_large(&memtable->arena, reference);
}

/* ---- put ---- */

static enum kiwi_status version_replace(struct memtable *memtable, uint32_t *slot, uint32_t hash,
                                        const struct entry *entry)
{
    struct record *record = record_at(memtable, *slot);
    uint32_t       old = *slot, new;

    if (LIKELY(entry->value.size <= record->value_room)) {
        counters_remove(memtable, record);
        counters_add(memtable, entry->key.size, entry->value.size, entry->kind);
        record_write_value(record, entry);
        return KIWI_OK;
    }
    TRY(record_allocate(memtable, entry, 0, &new));
    record_write(record_at(memtable, new), hash, entry);
    skiplist_exchange(&memtable->list, old, new);
    *slot = new;
    counters_remove(memtable, record_at(memtable, old));
    counters_add(memtable, entry->key.size, entry->value.size, entry->kind);
    record_release(memtable, old);
    return KIWI_OK;
}

/* slot: of the newest version before, which stays; NULL: the key is new. */
static enum kiwi_status version_add(struct memtable *memtable, uint32_t *slot, uint32_t hash,
                                    const struct entry *entry, const struct skiplist_path *path)
{
    uint32_t record;

    if (slot == NULL)
        TRY(key_index_prepare(&memtable->index, &memtable->arena, hash));
    TRY(record_allocate(memtable, entry, skiplist_insert_bytes(&memtable->list, path), &record));
    record_write(record_at(memtable, record), hash, entry);
    skiplist_insert(&memtable->list, path, record);
    if (slot == NULL)
        key_index_add(&memtable->index, hash, record);
    else
        *slot = record;
    counters_add(memtable, entry->key.size, entry->value.size, entry->kind);
    return KIWI_OK;
}

/* Where the next put that was announced begins; NULL: this is not that one. */
static struct block *ahead_take(struct memtable *memtable, uint64_t hash)
{
    const struct ahead_put *put = &memtable->ahead[memtable->ahead_first % AHEAD_PUTS_MAX];

    if (memtable->ahead_first == memtable->ahead_end || put->hash != hash)
        return NULL;
    memtable->ahead_first++;
    return put->bottom;
}

enum kiwi_status memtable_put(struct memtable *memtable, uint64_t hash, const struct entry *entry,
                              uint64_t newest_snapshot)
{
    struct skiplist_path path;
    uint32_t             index_hash = key_index_hash(hash), *slot;
    struct block        *bottom = ahead_take(memtable, hash);
    bool                 path_is_begun;

    assert(!memtable->is_frozen);
    assert(entry->key.size <= KIWI_KEY_BYTES_MAX);
    assert(entry->value.size <= KIWI_VALUE_BYTES_MAX);
    assert(entry->sequence - 1 < SEQUENCE_MAX);
    key_index_prefetch(&memtable->index, index_hash);
    /* While new keys stream in, index and list are fetched side by side; updates need no list. */
    path_is_begun = bottom == NULL && memtable->new_streak >= NEW_STREAK_LONG;
    if (path_is_begun)
        skiplist_path_begin(&memtable->list, entry->key, entry->sequence, &path);
    slot = key_index_find(&memtable->index, index_hash, entry->key);
    memtable->new_streak = slot == NULL ? memtable->new_streak + 1 : 0;
    if (slot != NULL) {
        uint64_t newest = record_sequence(record_at(memtable, *slot));

        assert(newest < entry->sequence);
        if (newest > newest_snapshot)
            return version_replace(memtable, slot, index_hash, entry);
    }
    if (bottom != NULL
        && skiplist_path_in(&memtable->list, bottom, entry->key, entry->sequence, &path))
        return version_add(memtable, slot, index_hash, entry, &path);
    if (!path_is_begun)
        skiplist_path_begin(&memtable->list, entry->key, entry->sequence, &path);
    skiplist_path_finish(&memtable->list, entry->key, entry->sequence, &path);
    return version_add(memtable, slot, index_hash, entry, &path);
}

enum kiwi_status memtable_reserve(struct memtable *memtable, const struct entry *entries,
                                  uint32_t count)
{
    struct arena *arena = &memtable->arena;
    uint64_t      beside = skiplist_insert_bytes_max(&memtable->list) + KEY_INDEX_PUT_BYTES;
    uint64_t      splits = count <= SPLITS_ALL ? count : SPLITS_ALL + (count - SPLITS_ALL) / 8;
    uint64_t      bytes = splits * beside;
    uint32_t      large_count = 0;

    if (LIKELY(count == 1)) {
        uint64_t record = record_bytes(entries->key.size, entries->value.size);

        if (LIKELY(!arena_is_large(arena, record)
                   && arena_has_room(arena, record + RECORD_UNIT_BYTES + beside))) {
            (void)pool_large_drop(memtable->pool, 0);
            return KIWI_OK;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t record = record_bytes(entries[i].key.size, entries[i].value.size);

        if (LIKELY(!arena_is_large(arena, record))) {
            bytes += record + RECORD_UNIT_BYTES;
            continue;
        }
        /* An update in place may have left the one of the put before. */
        if (large_count++ > 0 || !pool_large_drop(memtable->pool, count == 1 ? record : 0))
            TRY(pool_large_prepare(memtable->pool, record));
    }
    if (large_count == 0)
        (void)pool_large_drop(memtable->pool, 0);
    return arena_prepare(arena, bytes, arena->chunk_bytes / 8 + RECORD_UNIT_BYTES + beside,
                         large_count);
}

/* ---- get ---- */

static bool older_get(const struct memtable *memtable, struct bytes key, uint64_t sequence_max,
                      struct entry *out)
{
    struct skiplist_place place = skiplist_find(&memtable->list, key, sequence_max);
    const struct block   *block = place.block;
    uint32_t              index = place.index;

    if (index == block->count) {
        if (block->right == 0)
            return false;
        block = arena_at(&memtable->arena, block->right);
        index = 0;
    }
    const struct record *record = record_at(memtable, block->records[index]);
    if (!bytes_equal(record_key(record), key))
        return false;
    assert(record_sequence(record) <= sequence_max);
    *out = record_entry(record);
    return true;
}

bool memtable_get(const struct memtable *memtable, uint64_t hash, struct bytes key,
                  uint64_t sequence_max, struct entry *out)
{
    const uint32_t      *slot = key_index_find(&memtable->index, key_index_hash(hash), key);
    const struct record *record;

    if (slot == NULL)
        return false;
    record = record_at(memtable, *slot);
    if (UNLIKELY(record_sequence(record) > sequence_max))
        return older_get(memtable, key, sequence_max, out);
    *out = record_entry(record);
    return true;
}

void memtable_prefetch(const struct memtable *memtable, uint64_t hash)
{
    key_index_prefetch(&memtable->index, key_index_hash(hash));
}

void memtable_prefetch_record(const struct memtable *memtable, uint64_t hash)
{
    (void)key_index_prefetch_record(&memtable->index, key_index_hash(hash));
}

void memtable_prefetch_put(struct memtable *memtable, uint64_t hash, struct bytes key)
{
    struct ahead_put *put;

    if (key_index_prefetch_record(&memtable->index, key_index_hash(hash)))
        return;
    if (memtable->ahead_end - memtable->ahead_first == AHEAD_PUTS_MAX)
        memtable->ahead_first++; /* a put that was never made */
    put = &memtable->ahead[memtable->ahead_end++ % AHEAD_PUTS_MAX];
    *put = (struct ahead_put){ hash, skiplist_bottom(&memtable->list, key, SEQUENCE_MAX) };
}

/* ---- open, close, counters ---- */

enum kiwi_status memtable_open(const struct memtable_options *options, struct memtable **out)
{
    struct memtable *memtable = memory_allocate_zeroed(sizeof *memtable);
    enum kiwi_status status;

    if (memtable == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a memtable of %zu bytes", sizeof *memtable);
    pool_enter(options->pool);
    memtable->pool = options->pool;
    if ((status = arena_open(&memtable->arena, options->pool)) != KIWI_OK)
        goto fail;
    if ((status = skiplist_open(&memtable->list, &memtable->arena, options->prefix)) != KIWI_OK)
        goto fail;
    status = key_index_open(&memtable->index, &memtable->arena,
                            options->expected_bytes / EXPECTED_BYTES_PER_KEY);
    if (status != KIWI_OK)
        goto fail;
    *out = memtable;
    return KIWI_OK;
fail:
    memtable_close(memtable);
    return status;
}

void memtable_close(struct memtable *memtable)
{
    if (memtable == NULL)
        return;
    key_index_close(&memtable->index);
    arena_close(&memtable->arena);
    pool_leave(memtable->pool);
    memory_free(memtable);
}

void memtable_freeze(struct memtable *memtable)
{
    memtable->is_frozen = true;
}

uint64_t memtable_bytes(const struct memtable *memtable)
{
    return sizeof *memtable + arena_bytes(&memtable->arena)
        + key_index_directory_bytes(&memtable->index);
}

uint64_t memtable_data_bytes(const struct memtable *memtable)
{
    return memtable->data_bytes;
}

uint64_t memtable_entry_count(const struct memtable *memtable)
{
    return memtable->entry_count;
}

uint64_t memtable_tombstone_count(const struct memtable *memtable)
{
    return memtable->tombstone_count;
}

struct bytes memtable_common_prefix(const struct memtable *memtable)
{
    return skiplist_common_prefix(&memtable->list);
}
