/*
 * cache_work.c: the measured operations, one call each.
 */
#include "cache_work.h"

#include "cache/cache.h"
#include "core/base/hash.h"
#include "core/base/memory.h"

#define VALUE_BYTES 100u
#define BLOCK_BYTES 4096u
#define WAVE_MAX    32u

struct cache_work {
    struct cache *cache;
    uint64_t      random;
    uint64_t      next_record, next_block;
    uint8_t       block[BLOCK_BYTES];
};

struct work_key {
    uint8_t  data[16];
    uint64_t hash;
};

static uint64_t random_next(struct cache_work *work)
{
    uint64_t x = work->random; /* xorshift64 (Marsaglia) */

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return work->random = x;
}

static struct work_key key_of(uint64_t number)
{
    struct work_key key;

    memcpy(key.data, "user", 4);
    for (int i = 15; i >= 4; i--, number /= 10)
        key.data[i] = (uint8_t)('0' + number % 10);
    key.hash = hash_key(bytes_of(key.data, sizeof(key.data)), 1);
    return key;
}

static void record_insert(struct cache_work *work, uint64_t number)
{
    struct work_key key = key_of(number);

    cache_record_insert(work->cache, key.hash, bytes_of(key.data, sizeof(key.data)),
                        bytes_of(work->block, VALUE_BYTES), 1,
                        cache_record_stamp(work->cache, key.hash));
}

struct cache_work *cache_work_open(uint64_t record_count, uint64_t block_count,
                                   uint64_t budget_bytes)
{
    struct cache_work   *work = memory_allocate_zeroed(sizeof(*work));
    struct cache_options options = { .budget_bytes = budget_bytes };

    if (work == NULL)
        return NULL;
    if (budget_bytes == 0)
        options.budget_bytes = record_count * 200 + block_count * 4800 + (64u << 20);
    work->random = 88172645463325252ull;
    if (cache_open(&options, &work->cache) != KIWI_OK) {
        memory_free(work);
        return NULL;
    }
    for (; work->next_record < record_count; work->next_record++)
        record_insert(work, work->next_record);
    for (; work->next_block < block_count; work->next_block++)
        cache_block_insert(work->cache, KIWI_TIER_BLOCK, 1, work->next_block * BLOCK_BYTES,
                           work->block, BLOCK_BYTES);
    return work;
}

void cache_work_close(struct cache_work *work)
{
    cache_close(work->cache);
    memory_free(work);
}

static uint64_t find_key(struct cache_work *work, const struct work_key *key)
{
    struct cached_record found;

    if (!cache_record_find(work->cache, key->hash, bytes_of(key->data, sizeof(key->data)), &found))
        return 0;
    return found.value.data[0] + found.value.size;
}

uint64_t cache_work_find(struct cache_work *work, uint64_t span)
{
    struct work_key key = key_of(random_next(work) % span);

    return find_key(work, &key);
}

uint64_t cache_work_find_wave(struct cache_work *work, uint64_t span, uint32_t count)
{
    struct work_key keys[WAVE_MAX];
    uint64_t        seen = 0;

    assert(count <= WAVE_MAX);
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = key_of(random_next(work) % span);
        cache_prefetch(work->cache, keys[i].hash);
    }
    for (uint32_t i = 0; i < count; i++)
        cache_prefetch_record(work->cache, keys[i].hash);
    for (uint32_t i = 0; i < count; i++)
        seen += find_key(work, &keys[i]);
    return seen;
}

uint64_t cache_work_find_absent(struct cache_work *work)
{
    struct work_key key = key_of(900000000000ull + random_next(work) % 1000000000);

    return find_key(work, &key);
}

uint64_t cache_work_insert_new(struct cache_work *work)
{
    record_insert(work, work->next_record++);
    return work->next_record;
}

uint64_t cache_work_drop_absent(struct cache_work *work)
{
    struct work_key key = key_of(900000000000ull + random_next(work) % 1000000000);

    cache_record_drop(work->cache, key.hash, bytes_of(key.data, sizeof(key.data)));
    return key.hash;
}

uint64_t cache_work_block_find(struct cache_work *work, uint64_t span)
{
    const uint8_t *block = cache_block_find(work->cache, KIWI_TIER_BLOCK, 1,
                                            random_next(work) % span * BLOCK_BYTES, 1);

    return block == NULL ? 0 : 1 + block[0];
}

uint64_t cache_work_block_insert_new(struct cache_work *work)
{
    cache_block_insert(work->cache, KIWI_TIER_BLOCK, 1, work->next_block++ * BLOCK_BYTES,
                       work->block, BLOCK_BYTES);
    return work->next_block;
}
