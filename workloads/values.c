/*
 * values.c: making and checking values.
 */
#include "workloads/values.h"

#include <string.h>

#include "core/base/bytes.h"
#include "core/base/hash.h"
#include "core/base/memory.h"

#define POOL_BYTES (1u << 18) /* stays in the second cache level */

struct value_pool {
    uint64_t bytes_max;
    uint8_t  text[];   /* POOL_BYTES + bytes_max + 8 */
};

/* YCSB's byte iterator: 5, 6 or 95 & bits of one random word per byte, from blank upwards. */
static void text_write(struct chance *chance, uint8_t *out)
{
    uint32_t word = (uint32_t)chance_next(chance);

    out[0] = (uint8_t)((word & 31) + ' ');
    out[1] = (uint8_t)((word >> 5 & 63) + ' ');
    out[2] = (uint8_t)((word >> 10 & 95) + ' ');
    out[3] = (uint8_t)((word >> 15 & 31) + ' ');
    out[4] = (uint8_t)((word >> 20 & 63) + ' ');
    out[5] = (uint8_t)((word >> 25 & 95) + ' ');
}

enum kiwi_status value_pool_open(uint64_t seed, uint64_t bytes_max, struct value_pool **out)
{
    size_t             bytes = POOL_BYTES + bytes_max + 8;
    struct value_pool *pool = memory_allocate(sizeof *pool + bytes);
    struct chance      chance = chance_of(seed, 0x76616c756573ull);

    *out = NULL;
    if (pool == NULL)
        return FAIL(KIWI_NO_MEMORY, "no %zu bytes for the text of values", bytes);
    pool->bytes_max = bytes_max;
    for (size_t i = 0; i + 6 <= bytes; i += 6)
        text_write(&chance, pool->text + i);
    memset(pool->text + bytes / 6 * 6, ' ', bytes % 6);
    *out = pool;
    return KIWI_OK;
}

void value_pool_close(struct value_pool *pool)
{
    memory_free(pool);
}

static void value_write_short(uint64_t record, uint8_t *out, uint64_t bytes)
{
    uint64_t words[3];

    for (uint64_t i = 0; i < 3; i++)
        words[i] = hash_mix(record, i + 1);
    memcpy(out, words, bytes);
}

void value_write(const struct value_pool *pool, uint64_t record, uint64_t version, uint8_t *out,
                 uint64_t bytes)
{
    uint64_t place, checksum;

    assert(bytes <= pool->bytes_max);
    if (bytes < VALUE_HEAD_BYTES) {
        value_write_short(record, out, bytes);
        return;
    }
    place = version * bytes % POOL_BYTES; /* versions count up, so the pool is read in order */
    memcpy(out, &record, 8);
    memcpy(out + 8, &version, 8);
    memcpy(out + VALUE_HEAD_BYTES, pool->text + place, bytes - VALUE_HEAD_BYTES);
    /* Of the pool's bytes: reading what was written just now would wait for the stores. */
    checksum = hash_checksum(pool->text + place, bytes - VALUE_HEAD_BYTES,
                             hash_mix(record, version));
    memcpy(out + 16, &checksum, 8);
}

bool value_record(const uint8_t *data, uint64_t bytes, uint64_t *record)
{
    if (bytes < VALUE_HEAD_BYTES)
        return false;
    memcpy(record, data, 8);
    return true;
}

enum value_verdict value_check(const uint8_t *data, uint64_t bytes, uint64_t record,
                               uint64_t *version)
{
    uint64_t head[3];

    if (version != NULL)
        *version = 0;
    if (bytes < VALUE_HEAD_BYTES) {
        uint8_t expected[VALUE_HEAD_BYTES];

        value_write_short(record, expected, bytes);
        return bytes == 0 || memcmp(data, expected, bytes) == 0 ? VALUE_RIGHT : VALUE_DAMAGED;
    }
    memcpy(head, data, sizeof head);
    if (hash_checksum(data + VALUE_HEAD_BYTES, bytes - VALUE_HEAD_BYTES, hash_mix(head[0], head[1]))
        != head[2])
        return VALUE_DAMAGED;
    if (version != NULL)
        *version = head[1];
    return head[0] == record ? VALUE_RIGHT : VALUE_OTHER_RECORD;
}

uint64_t value_bytes_max(const struct value_shape *shape)
{
    return shape->field_count * shape->field_bytes_max;
}
