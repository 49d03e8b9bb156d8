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
    return XXH3_64bits_withSeed(data, bytes, seed);
}
#endif
