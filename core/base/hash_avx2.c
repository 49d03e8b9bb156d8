/*
 * hash_avx2.c: XXH3 with the registers of AVX2.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/base/hash_wide.h"

_Static_assert(XXH_VECTOR == XXH_AVX2, "compiled with the flags for it");

uint64_t hash_avx2(const void *data, size_t bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, bytes, seed);
}
