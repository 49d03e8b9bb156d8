/*
 * heads.c: counting smaller heads. The vector variants look at all 64, which takes no branch and
 * fetches the eight cache lines of a cold block at the same time instead of one after another.
 */
#include "core/memtable/heads.h"

/* A binary search whose steps are conditional moves. */
static uint32_t lower_scalar(const uint64_t *heads, uint64_t head)
{
    uint32_t at = 0;

    for (uint32_t step = HEADS_COUNT / 2; step > 0; step /= 2)
        at += heads[at + step - 1] < head ? step : 0;
    return at + (heads[at] < head);
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx2"))) static uint32_t lower_avx2(const uint64_t *heads, uint64_t head)
{
    /* Only signed comparison exists: flipping the top bit of both keeps the order. */
    const __m256i top = _mm256_set1_epi64x(INT64_MIN);
    const __m256i wanted = _mm256_xor_si256(_mm256_set1_epi64x((long long)head), top);
    __m256i       sum_even = _mm256_setzero_si256(), sum_odd = _mm256_setzero_si256();
    uint64_t      lanes[4];

    for (uint32_t i = 0; i < HEADS_COUNT; i += 8) {
        __m256i even = _mm256_load_si256((const __m256i *)(const void *)(heads + i));
        __m256i odd = _mm256_load_si256((const __m256i *)(const void *)(heads + i + 4));

        /* A true lane is -1, so subtracting counts it. */
        sum_even = _mm256_sub_epi64(sum_even,
                                    _mm256_cmpgt_epi64(wanted, _mm256_xor_si256(even, top)));
        sum_odd = _mm256_sub_epi64(sum_odd,
                                   _mm256_cmpgt_epi64(wanted, _mm256_xor_si256(odd, top)));
    }
    _mm256_storeu_si256((__m256i *)(void *)lanes, _mm256_add_epi64(sum_even, sum_odd));
    return (uint32_t)(lanes[0] + lanes[1] + lanes[2] + lanes[3]);
}

__attribute__((target("avx512f,avx512bw,popcnt"))) static uint32_t
lower_avx512(const uint64_t *heads, uint64_t head)
{
    const __m512i wanted = _mm512_set1_epi64((long long)head);
    uint64_t      smaller = 0;

    for (uint32_t i = 0; i < HEADS_COUNT; i += 8) {
        __m512i eight = _mm512_load_si512((const void *)(heads + i));

        smaller |= (uint64_t)_mm512_cmplt_epu64_mask(eight, wanted) << i;
    }
    return (uint32_t)__builtin_popcountll(smaller);
}

heads_lower *heads_lower_of(enum heads_variant variant)
{
    assert(variant < HEADS_VARIANT_COUNT);
    if (variant == HEADS_AVX512) {
        bool can = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
            && __builtin_cpu_supports("popcnt");

        return can ? lower_avx512 : NULL;
    }
    if (variant == HEADS_AVX2)
        return __builtin_cpu_supports("avx2") ? lower_avx2 : NULL;
    return lower_scalar;
}
#else
heads_lower *heads_lower_of(enum heads_variant variant)
{
    assert(variant < HEADS_VARIANT_COUNT);
    return variant == HEADS_SCALAR ? lower_scalar : NULL;
}
#endif

heads_lower *heads_lower_best(void)
{
    heads_lower *best = heads_lower_of(HEADS_AVX512);

    if (best == NULL)
        best = heads_lower_of(HEADS_AVX2);
    return best != NULL ? best : lower_scalar;
}
