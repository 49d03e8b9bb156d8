/*
 * hash_avx512.c: XXH3 with the registers of AVX-512.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/base/hash_wide.h"

_Static_assert(XXH_VECTOR == XXH_AVX512, "compiled with the flags for it");

uint64_t hash_avx512(const void *data, size_t bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, bytes, seed);
}
