/*
 * memtable_work.c: keys, hashes and sequences around one memtable.
 */
#include "bench/micro/memtable_work.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/base/hash.h"
#include "core/base/memory.h"
#include "core/memtable/memtable.h"

#define KEY_BYTES       24u
#define VALUE_BYTES_MAX 4096u
#define PUTS_AHEAD      3u

struct work_key {
    uint8_t  bytes[KEY_BYTES];
    uint64_t hash, hash_missing;
};

struct memtable_work {
    struct memtable_pool *pool;
    struct memtable      *memtable;
    struct work_key      *keys;
    uint64_t              count, sequence;
    uint32_t              value_bytes;
    uint8_t               value[VALUE_BYTES_MAX];
};

static uint64_t scramble(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

static void must(enum kiwi_status status)
{
    if (status != KIWI_OK)
        __builtin_trap();
}

static void key_fill(struct work_key *key, uint64_t number, enum memtable_shape shape)
{
    char     text[KEY_BYTES + 8];
    uint64_t random = scramble(number + 1);

    switch (shape) {
    case SHAPE_USER:
        snprintf(text, sizeof text, "user%020" PRIu64, random);
        break;
    case SHAPE_TIED:
        snprintf(text, sizeof text, "table-7/records/%08" PRIx64, random & 0xffffffffu);
        break;
    case SHAPE_ASCENDING:
        snprintf(text, sizeof text, "user%020" PRIu64, number);
        break;
    }
    memcpy(key->bytes, text, KEY_BYTES);
    key->hash = hash_key(bytes_of(key->bytes, KEY_BYTES), 1);
    key->hash_missing = scramble(key->hash);
}

static void memtable_new(struct memtable_work *work)
{
    struct memtable_options options = {
        .pool = work->pool,
        .expected_bytes = work->count * (KEY_BYTES + work->value_bytes),
    };

    must(memtable_open(&options, &work->memtable));
}

struct memtable_work *memtable_work_open(uint64_t count, uint32_t value_bytes,
                                         enum memtable_shape shape)
{
    struct memtable_work *work = memory_allocate_zeroed(sizeof *work);

    assert(work != NULL);
    assert(value_bytes <= VALUE_BYTES_MAX);
    work->count = count;
    work->value_bytes = value_bytes;
    work->keys = memory_allocate(count * sizeof *work->keys);
    assert(work->keys != NULL);
    for (uint64_t i = 0; i < count; i++)
        key_fill(&work->keys[i], i, shape);
    must(memtable_pool_open(2u << 20, &work->pool));
    memtable_new(work);
    return work;
}

void memtable_work_close(struct memtable_work *work)
{
    memtable_close(work->memtable);
    memtable_pool_close(work->pool);
    memory_free(work->keys);
    memory_free(work);
}

void memtable_work_empty(struct memtable_work *work)
{
    memtable_close(work->memtable);
    memtable_new(work);
}

static struct bytes key_at(const struct memtable_work *work, uint64_t number)
{
    return bytes_of(work->keys[number].bytes, KEY_BYTES);
}

uint64_t memtable_work_update(struct memtable_work *work, uint64_t number, uint32_t value_bytes)
{
    struct entry entry = {
        .key = key_at(work, number),
        .value = bytes_of(work->value, value_bytes),
        .sequence = ++work->sequence,
        .kind = ENTRY_PUT,
    };

    must(memtable_put(work->memtable, work->keys[number].hash, &entry, 0));
    return entry.sequence;
}

void memtable_work_shuffle(struct memtable_work *work)
{
    for (uint64_t i = work->count - 1; i > 0; i--) {
        uint64_t        other = scramble(i ^ 0x5bd1e995) % (i + 1);
        struct work_key key = work->keys[i];

        work->keys[i] = work->keys[other];
        work->keys[other] = key;
    }
}

void memtable_work_fill(struct memtable_work *work)
{
    for (uint64_t i = 0; i < work->count; i++)
        memtable_work_update(work, i, work->value_bytes);
}

void memtable_work_fill_ahead(struct memtable_work *work)
{
    for (uint64_t i = 0; i < work->count; i++) {
        uint64_t ahead = i + PUTS_AHEAD < work->count ? i + PUTS_AHEAD : i;

        if (ahead + PUTS_AHEAD < work->count)
            memtable_prefetch(work->memtable, work->keys[ahead + PUTS_AHEAD].hash);
        memtable_prefetch_put(work->memtable, work->keys[ahead].hash, key_at(work, ahead));
        memtable_work_update(work, i, work->value_bytes);
    }
}

uint64_t memtable_work_hit(const struct memtable_work *work, uint64_t number)
{
    struct entry entry;

    if (!memtable_get(work->memtable, work->keys[number].hash, key_at(work, number), SEQUENCE_MAX,
                      &entry))
        __builtin_trap();
    return entry.sequence;
}

uint64_t memtable_work_miss(const struct memtable_work *work, uint64_t number)
{
    uint8_t      key[KEY_BYTES];
    struct entry entry;

    memcpy(key, work->keys[number].bytes, KEY_BYTES);
    key[KEY_BYTES - 1] = '-';
    return memtable_get(work->memtable, work->keys[number].hash_missing, bytes_of(key, KEY_BYTES),
                        SEQUENCE_MAX, &entry);
}

uint64_t memtable_work_hits_batched(const struct memtable_work *work, uint64_t first,
                                    uint32_t count)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < count; i++)
        memtable_prefetch(work->memtable, work->keys[first + i].hash);
    for (uint32_t i = 0; i < count; i++)
        memtable_prefetch_record(work->memtable, work->keys[first + i].hash);
    for (uint32_t i = 0; i < count; i++)
        sum += memtable_work_hit(work, first + i);
    return sum;
}

uint64_t memtable_work_seek(const struct memtable_work *work, uint64_t number)
{
    struct memtable_cursor cursor;

    memtable_cursor_init(&cursor, work->memtable);
    if (iter_seek(&cursor.iter, key_at(work, number), SEQUENCE_MAX) != ITER_AT_ENTRY)
        __builtin_trap();
    return cursor.iter.entry.sequence;
}

uint64_t memtable_work_walk(const struct memtable_work *work)
{
    struct memtable_cursor cursor;
    uint64_t               count = 0, sum = 0;

    memtable_cursor_init(&cursor, work->memtable);
    for (enum iter_state at = iter_first(&cursor.iter); at == ITER_AT_ENTRY;
         at = iter_next(&cursor.iter)) {
        count++;
        sum += cursor.iter.entry.key.data[KEY_BYTES - 1];
    }
    return sum == 0 ? 0 : count;
}

uint64_t memtable_work_bytes(const struct memtable_work *work)
{
    return memtable_bytes(work->memtable);
}
