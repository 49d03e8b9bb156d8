/*
 * hash.c: XXH3 behind two names. What is longer than a record, blocks and groups of the log, is
 * hashed by the widest variant that the processor has.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/base/hash.h"
#include "core/base/hash_wide.h"

enum { HASH_SHORT_BYTES = 240 }; /* XXH3 takes up to these another way, without wide registers */

typedef uint64_t hash_long_fn(const void *data, size_t bytes, uint64_t seed);

static uint64_t hash_baseline(const void *data, size_t bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, bytes, seed);
}

static hash_long_fn *const hash_variants[] = {
    [HASH_BASELINE] = hash_baseline,
    [HASH_AVX2] = hash_avx2,
    [HASH_AVX512] = hash_avx512,
};

/* Written before main, and by tests. */
static hash_long_fn *hash_long = hash_baseline;

enum hash_width hash_width_best(void)
{
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f"))
        return HASH_AVX512;
    return __builtin_cpu_supports("avx2") ? HASH_AVX2 : HASH_BASELINE;
}

void hash_width_force(enum hash_width width)
{
    hash_long = hash_variants[width];
}

__attribute__((constructor)) static void hash_width_choose(void)
{
    hash_width_force(hash_width_best());
}

uint64_t hash_key(struct bytes key, uint64_t seed)
{
    return XXH3_64bits_withSeed(key.data, key.size, seed);
}

#ifdef KIWI_UNCHECKED
/* To measure what checksums cost (scripts/checks); zeros still never verify. */
uint64_t hash_checksum(const void *data, size_t bytes, uint64_t seed)
{
    (void)data;
    (void)bytes;
    (void)seed;
    return 0x6b69776975636b64ull;
}
#else
uint64_t hash_checksum(const void *data, size_t bytes, uint64_t seed)
{
    if (bytes <= HASH_SHORT_BYTES)
        return XXH3_64bits_withSeed(data, bytes, seed);
    return hash_long(data, bytes, seed);
}
#endif
