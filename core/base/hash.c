/*
 * hash.c: XXH3 behind two names.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/base/hash.h"

uint64_t hash_key(struct bytes key, uint64_t seed)
{
    return XXH3_64bits_withSeed(key.data, key.size, seed);
}

uint64_t hash_checksum(const void *data, size_t bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, bytes, seed);
}
