/*
 * search.c: the wide compares of search.h, in three variants.
 */
#include "core/table/search.h"

#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,bmi,bmi2,popcnt")))
#define AVX2   __attribute__((target("avx2,bmi,bmi2,popcnt")))

/* Windows of at most this many numbers are compared in full. Below 256, which bounds the counts
 * that _bzhi_u32 takes. */
enum { WINDOW32 = 96, WINDOW64 = 48 };

/* Written before main, and by tests. */
static enum block_search search_chosen;

enum block_search block_search_best(void)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2"))
        return BLOCK_SEARCH_SCALAR;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        return BLOCK_SEARCH_AVX512;
    return BLOCK_SEARCH_AVX2;
}

__attribute__((constructor)) static void search_choose(void)
{
    search_chosen = block_search_best();
}

void block_search_force(enum block_search search)
{
    assert(search <= block_search_best());
    search_chosen = search;
}

static inline uint32_t head32_at(const uint8_t *heads, uint32_t i)
{
    uint32_t head;

    memcpy(&head, heads + (size_t)i * sizeof head, sizeof head);
    return head;
}

static inline uint64_t head64_at(const uint8_t *heads, uint32_t i)
{
    uint64_t head;

    memcpy(&head, heads + (size_t)i * sizeof head, sizeof head);
    return head;
}

/* ---- 32-bit heads in a window [first, first + count) ---- */

static struct head_span window32_scalar(const uint8_t *heads, uint32_t count, uint32_t head)
{
    struct head_span span = { 0, 0 };

    for (uint32_t i = 0; i < count; i++) {
        uint32_t other = head32_at(heads, i);
        span.lower += other < head;
        span.upper += other <= head;
    }
    return span;
}

/* AVX2 compares signed numbers only: both sides are moved by half the range. */
AVX2 static struct head_span window32_avx2(const uint8_t *heads, uint32_t count, uint32_t head)
{
    const __m256i    half = _mm256_set1_epi32(INT32_MIN);
    const __m256i    goal = _mm256_xor_si256(_mm256_set1_epi32((int32_t)head), half);
    struct head_span span = { 0, 0 };

    for (uint32_t i = 0; i < count; i += 8) {
        __m256i  some = _mm256_loadu_si256((const __m256i_u *)(heads + (size_t)i * 4));
        __m256i  moved = _mm256_xor_si256(some, half);
        uint32_t valid = _bzhi_u32(0xff, count - i);
        uint32_t below =
            (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(goal, moved)));
        uint32_t above =
            (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(moved, goal)));
        span.lower += (uint32_t)__builtin_popcount(below & valid);
        span.upper += (uint32_t)__builtin_popcount(~above & valid);
    }
    return span;
}

AVX512 static struct head_span window32_avx512(const uint8_t *heads, uint32_t count, uint32_t head)
{
    const __m512i    goal = _mm512_set1_epi32((int32_t)head);
    struct head_span span = { 0, 0 };

    for (uint32_t i = 0; i < count; i += 16) {
        __mmask16 valid = (__mmask16)_bzhi_u32(0xffff, count - i);
        __m512i   some = _mm512_loadu_si512(heads + (size_t)i * 4);
        span.lower += (uint32_t)__builtin_popcount(_mm512_mask_cmplt_epu32_mask(valid, some, goal));
        span.upper += (uint32_t)__builtin_popcount(_mm512_mask_cmple_epu32_mask(valid, some, goal));
    }
    return span;
}

static inline struct head_span window32(const uint8_t *heads, uint32_t count, uint32_t head)
{
    switch (search_chosen) {
    case BLOCK_SEARCH_AVX512:
        return window32_avx512(heads, count, head);
    case BLOCK_SEARCH_AVX2:
        return window32_avx2(heads, count, head);
    case BLOCK_SEARCH_SCALAR:
        break;
    }
    return window32_scalar(heads, count, head);
}

/* First in [first, final) that is not below (or, with or_equal, above) head; final when none. */
static uint32_t bound32(const uint8_t *heads, uint32_t first, uint32_t final, uint32_t head,
                        bool or_equal)
{
    while (first < final) {
        uint32_t middle = first + (final - first) / 2;
        uint32_t other = head32_at(heads, middle);
        if (other < head || (or_equal && other == head))
            first = middle + 1;
        else
            final = middle;
    }
    return first;
}

struct head_span heads32_find(const uint8_t *heads, uint32_t count, uint32_t head)
{
    uint32_t first = 0, final = count;

    /* Everything before first is below, everything from final on is above. */
    while (final - first > WINDOW32) {
        uint32_t middle = first + (final - first) / 2;
        uint32_t other = head32_at(heads, middle);
        if (other == head)
            return (struct head_span){ bound32(heads, first, middle, head, false),
                                       bound32(heads, middle, final, head, true) };
        if (other < head)
            first = middle + 1;
        else
            final = middle;
    }
    struct head_span span = window32(heads + (size_t)first * 4, final - first, head);
    return (struct head_span){ first + span.lower, first + span.upper };
}

/* ---- 64-bit heads ---- */

static struct head_span window64_scalar(const uint8_t *heads, uint32_t count, uint64_t head)
{
    struct head_span span = { 0, 0 };

    for (uint32_t i = 0; i < count; i++) {
        uint64_t other = head64_at(heads, i);
        span.lower += other < head;
        span.upper += other <= head;
    }
    return span;
}

AVX2 static struct head_span window64_avx2(const uint8_t *heads, uint32_t count, uint64_t head)
{
    const __m256i    half = _mm256_set1_epi64x(INT64_MIN);
    const __m256i    goal = _mm256_xor_si256(_mm256_set1_epi64x((int64_t)head), half);
    struct head_span span = { 0, 0 };

    for (uint32_t i = 0; i < count; i += 4) {
        __m256i  some = _mm256_loadu_si256((const __m256i_u *)(heads + (size_t)i * 8));
        __m256i  moved = _mm256_xor_si256(some, half);
        uint32_t valid = _bzhi_u32(0xf, count - i);
        uint32_t below =
            (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(goal, moved)));
        uint32_t above =
            (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(moved, goal)));
        span.lower += (uint32_t)__builtin_popcount(below & valid);
        span.upper += (uint32_t)__builtin_popcount(~above & valid);
    }
    return span;
}

AVX512 static struct head_span window64_avx512(const uint8_t *heads, uint32_t count, uint64_t head)
{
    const __m512i    goal = _mm512_set1_epi64((int64_t)head);
    struct head_span span = { 0, 0 };

    for (uint32_t i = 0; i < count; i += 8) {
        __mmask8 valid = (__mmask8)_bzhi_u32(0xff, count - i);
        __m512i  some = _mm512_loadu_si512(heads + (size_t)i * 8);
        span.lower += (uint32_t)__builtin_popcount(_mm512_mask_cmplt_epu64_mask(valid, some, goal));
        span.upper += (uint32_t)__builtin_popcount(_mm512_mask_cmple_epu64_mask(valid, some, goal));
    }
    return span;
}

static inline struct head_span window64(const uint8_t *heads, uint32_t count, uint64_t head)
{
    switch (search_chosen) {
    case BLOCK_SEARCH_AVX512:
        return window64_avx512(heads, count, head);
    case BLOCK_SEARCH_AVX2:
        return window64_avx2(heads, count, head);
    case BLOCK_SEARCH_SCALAR:
        break;
    }
    return window64_scalar(heads, count, head);
}

static uint32_t bound64(const uint8_t *heads, uint32_t first, uint32_t final, uint64_t head,
                        bool or_equal)
{
    while (first < final) {
        uint32_t middle = first + (final - first) / 2;
        uint64_t other = head64_at(heads, middle);
        if (other < head || (or_equal && other == head))
            first = middle + 1;
        else
            final = middle;
    }
    return first;
}

struct head_span heads64_find(const uint8_t *heads, uint32_t count, uint64_t head)
{
    uint32_t first = 0, final = count;

    while (final - first > WINDOW64) {
        uint32_t middle = first + (final - first) / 2;
        uint64_t other = head64_at(heads, middle);
        if (other == head)
            return (struct head_span){ bound64(heads, first, middle, head, false),
                                       bound64(heads, middle, final, head, true) };
        if (other < head)
            first = middle + 1;
        else
            final = middle;
    }
    struct head_span span = window64(heads + (size_t)first * 8, final - first, head);
    return (struct head_span){ first + span.lower, first + span.upper };
}

/* ---- filter lanes ---- */

static inline uint64_t lane_wanted(uint64_t bits, uint32_t lane_mask, uint32_t lane)
{
    return (uint64_t)(lane_mask >> lane & 1) << (bits >> (6 * lane) & 63);
}

static bool lanes_test_scalar(const uint8_t *block, uint64_t bits, uint32_t lane_mask)
{
    uint64_t missing = 0;

    for (uint32_t lane = 0; lane < 8; lane++)
        missing |= lane_wanted(bits, lane_mask, lane) & ~head64_at(block, lane);
    return missing == 0;
}

static void lanes_set_scalar(uint8_t *block, uint64_t bits, uint32_t lane_mask)
{
    for (uint32_t lane = 0; lane < 8; lane++) {
        uint64_t word = head64_at(block, lane) | lane_wanted(bits, lane_mask, lane);
        memcpy(block + lane * sizeof word, &word, sizeof word);
    }
}

struct halves {
    __m256i low, high;
};

AVX2 static inline __m256i half_wanted(uint64_t bits, uint32_t lane_mask, __m256i shifts,
                                       __m256i lanes)
{
    __m256i chosen = _mm256_and_si256(_mm256_srlv_epi64(_mm256_set1_epi64x((int64_t)bits), shifts),
                                      _mm256_set1_epi64x(63));
    __m256i mask = _mm256_and_si256(_mm256_set1_epi64x((int64_t)lane_mask), lanes);
    __m256i ones = _mm256_andnot_si256(_mm256_cmpeq_epi64(mask, _mm256_setzero_si256()),
                                       _mm256_set1_epi64x(1));

    return _mm256_sllv_epi64(ones, chosen);
}

AVX2 static inline struct halves halves_wanted(uint64_t bits, uint32_t lane_mask)
{
    return (struct halves){
        half_wanted(bits, lane_mask, _mm256_setr_epi64x(0, 6, 12, 18),
                    _mm256_setr_epi64x(1, 2, 4, 8)),
        half_wanted(bits, lane_mask, _mm256_setr_epi64x(24, 30, 36, 42),
                    _mm256_setr_epi64x(16, 32, 64, 128)),
    };
}

AVX2 static bool lanes_test_avx2(const uint8_t *block, uint64_t bits, uint32_t lane_mask)
{
    struct halves wanted = halves_wanted(bits, lane_mask);

    return _mm256_testc_si256(_mm256_loadu_si256((const __m256i_u *)block), wanted.low)
        && _mm256_testc_si256(_mm256_loadu_si256((const __m256i_u *)(block + 32)), wanted.high);
}

AVX2 static void lanes_set_avx2(uint8_t *block, uint64_t bits, uint32_t lane_mask)
{
    struct halves wanted = halves_wanted(bits, lane_mask);
    __m256i_u    *low = (__m256i_u *)block, *high = (__m256i_u *)(block + 32);

    _mm256_storeu_si256(low, _mm256_or_si256(_mm256_loadu_si256(low), wanted.low));
    _mm256_storeu_si256(high, _mm256_or_si256(_mm256_loadu_si256(high), wanted.high));
}

AVX512 static inline __m512i lanes_wanted_avx512(uint64_t bits, uint32_t lane_mask)
{
    const __m512i shifts = _mm512_setr_epi64(0, 6, 12, 18, 24, 30, 36, 42);
    __m512i       chosen = _mm512_and_si512(
        _mm512_srlv_epi64(_mm512_set1_epi64((int64_t)bits), shifts), _mm512_set1_epi64(63));

    return _mm512_maskz_sllv_epi64((__mmask8)lane_mask, _mm512_set1_epi64(1), chosen);
}

AVX512 static bool lanes_test_avx512(const uint8_t *block, uint64_t bits, uint32_t lane_mask)
{
    __m512i wanted = lanes_wanted_avx512(bits, lane_mask);
    __m512i missing = _mm512_andnot_si512(_mm512_loadu_si512(block), wanted);

    return _mm512_test_epi64_mask(missing, missing) == 0;
}

AVX512 static void lanes_set_avx512(uint8_t *block, uint64_t bits, uint32_t lane_mask)
{
    __m512i wanted = lanes_wanted_avx512(bits, lane_mask);

    _mm512_storeu_si512(block, _mm512_or_si512(_mm512_loadu_si512(block), wanted));
}

bool lanes_test(const uint8_t *block, uint64_t bits, uint32_t lane_mask)
{
    switch (search_chosen) {
    case BLOCK_SEARCH_AVX512:
        return lanes_test_avx512(block, bits, lane_mask);
    case BLOCK_SEARCH_AVX2:
        return lanes_test_avx2(block, bits, lane_mask);
    case BLOCK_SEARCH_SCALAR:
        break;
    }
    return lanes_test_scalar(block, bits, lane_mask);
}

void lanes_set(uint8_t *block, uint64_t bits, uint32_t lane_mask)
{
    switch (search_chosen) {
    case BLOCK_SEARCH_AVX512:
        lanes_set_avx512(block, bits, lane_mask);
        return;
    case BLOCK_SEARCH_AVX2:
        lanes_set_avx2(block, bits, lane_mask);
        return;
    case BLOCK_SEARCH_SCALAR:
        break;
    }
    lanes_set_scalar(block, bits, lane_mask);
}
