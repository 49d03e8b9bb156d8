/*
 * keys.c: writing keys; a key is made for every operation, so digits come many at a time.
 */
#include "workloads/keys.h"

#include <assert.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#if !defined(__SSE2__)
/*
 * Eight decimal digits of value (< 10^8) as bytes, first digit in the lowest byte. Halves, then
 * quarters, then single digits, side by side in one word. A part p that becomes its quotient q by d
 * below and its rest p - d q above, s bits higher, is p 2^s - q (d 2^s - 1): one multiplication.
 */
static uint64_t digits8(uint32_t value)
{
    uint64_t halves = ((uint64_t)value << 32) - value / 10000u * ((10000ull << 32) - 1u);
    uint64_t high = ((halves * 10486u) >> 20) & 0x0000007f0000007full;
    uint64_t fours = (halves << 16) - high * ((100u << 16) - 1u);
    uint64_t tens = ((fours * 103u) >> 10) & 0x000f000f000f000full;

    return (fours << 8) - tens * ((10u << 8) - 1u) + 0x3030303030303030ull;
}
#endif

/* Sixteen digits to out: of high, then of low, both < 10^8. */
static void digits16_write(uint32_t high, uint32_t low, uint8_t *out)
{
#if defined(__SSE2__)
    /*
     * W. Mula, "SSE: conversion integers to decimal representation" (2011): of four digits in 16
     * bits the number, its tenth, its hundredth and its thousandth are made side by side; each less
     * ten times the one before is a digit. 3518437209 / 2^45 is 1 / 10000 for eight digits.
     */
    const __m128i value = _mm_set_epi64x(low, high);
    const __m128i tenths = _mm_setr_epi16(8389, 5243, 13108, (short)32768, 8389, 5243, 13108,
                                          (short)32768);
    const __m128i shifts = _mm_setr_epi16(1 << 7, 1 << 11, 1 << 13, (short)32768, 1 << 7, 1 << 11,
                                          1 << 13, (short)32768);
    const __m128i ten = _mm_set1_epi16(10);
    __m128i fours = _mm_srli_epi64(_mm_mul_epu32(value, _mm_set1_epi32((int)3518437209u)), 45);
    __m128i rests = _mm_sub_epi64(value, _mm_mul_epu32(fours, _mm_set1_epi32(10000)));
    __m128i words, halves[2];

    words = _mm_slli_epi64(_mm_or_si128(fours, _mm_slli_epi64(rests, 16)), 2);
    halves[0] = _mm_unpacklo_epi16(words, words);
    halves[1] = _mm_unpackhi_epi16(words, words);
    for (int i = 0; i < 2; i++) {
        __m128i cut = _mm_mulhi_epu16(_mm_unpacklo_epi32(halves[i], halves[i]), tenths);

        cut = _mm_mulhi_epu16(cut, shifts);
        halves[i] = _mm_sub_epi16(cut, _mm_slli_epi64(_mm_mullo_epi16(cut, ten), 16));
    }
    words = _mm_add_epi8(_mm_packus_epi16(halves[0], halves[1]), _mm_set1_epi8('0'));
    _mm_storeu_si128((__m128i *)(void *)out, words);
#else
    uint64_t word = digits8(high);

    memcpy(out, &word, 8);
    word = digits8(low);
    memcpy(out + 8, &word, 8);
#endif
}

/* Four decimal digits of value (< 10^4), likewise. */
static uint32_t digits4(uint32_t value)
{
    uint32_t high = (value * 10486u) >> 20;
    uint32_t pairs = (value << 16) - high * ((100u << 16) - 1u);
    uint32_t tens = ((pairs * 103u) >> 10) & 0x000f000fu;

    return (pairs << 8) - tens * ((10u << 8) - 1u) + 0x30303030u;
}

static uint32_t digit_count_small(uint32_t value)
{
    return 1u + (value > 9) + (value > 99) + (value > 999); /* no branch: lengths are random */
}

/* The number without leading zeros into out (24 bytes of room); returns the count of digits. */
static uint32_t decimal_write(uint64_t number, uint8_t *out)
{
    const uint64_t e8 = 100000000u, e16 = e8 * e8;

    if (number >= e16) {
        uint32_t head = (uint32_t)(number / e16); /* at most 1844 */
        uint64_t rest = number % e16;
        uint32_t count = digit_count_small(head);
        uint32_t first = digits4(head) >> (8 * (4 - count));

        memcpy(out, &first, 4);
        digits16_write((uint32_t)(rest / e8), (uint32_t)(rest % e8), out + count);
        return count + 16;
    }
    uint8_t  digits[16];
    uint32_t zeros = 0;
    digits16_write((uint32_t)(number / e8), (uint32_t)(number % e8), digits);
    while (zeros < 15 && digits[zeros] == '0')
        zeros++;
    memcpy(out, digits + zeros, 16 - zeros);
    return 16 - zeros;
}

size_t key_write_number(const struct key_shape *shape, uint64_t number, uint8_t *out)
{
    assert(shape->digits_min <= KEY_DIGITS_MAX);
    memcpy(out, "user", 4);
    if (__builtin_expect(shape->digits_min <= 1, 1))
        return 4 + decimal_write(number, out + 4);

    uint8_t  digits[24];
    uint32_t count = decimal_write(number, digits);
    uint32_t padding = shape->digits_min > count ? shape->digits_min - count : 0;
    memset(out + 4, '0', padding);
    memcpy(out + 4 + padding, digits, count);
    return 4 + padding + count;
}

size_t key_write(const struct key_shape *shape, uint64_t record, uint8_t *out)
{
    return key_write_number(shape, key_number(shape, record), out);
}

/* Eight digits as a number, the reverse of digits8; *wrong collects bits of what is no digit. */
static inline uint32_t digits8_read(uint64_t word, uint64_t *wrong)
{
    word -= 0x3030303030303030ull;
    *wrong |= (word | (word + 0x7676767676767676ull)) & 0x8080808080808080ull;
    word = word * 10 + (word >> 8); /* pairs, in every other byte */
    return (uint32_t)((((word & 0x000000ff000000ffull) * 0x000f424000000064ull)
                       + ((word >> 16 & 0x000000ff000000ffull) * 0x0000271000000001ull)) >> 32);
}

/* A scan checks every row, so keys of the usual lengths are read rather than written anew. */
bool key_is(const struct key_shape *shape, uint64_t record, const uint8_t *key, size_t bytes)
{
    uint64_t number, read, first, wrong = 0;
    uint32_t head;

    if (__builtin_expect(shape->digits_min > 1 || bytes < 4 + 17 || bytes > 4 + 19, 0)) {
        uint8_t wanted[KEY_BYTES_MAX];

        return key_write(shape, record, wanted) == bytes && memcmp(key, wanted, bytes) == 0;
    }
    number = key_number(shape, record);
    memcpy(&head, key, 4);
    wrong |= head ^ 0x72657375u; /* "user" */
    wrong |= key[4] == '0';
    head = (uint32_t)bytes - 4 - 16;
    memcpy(&first, key + 4, 8);
    /* The first one to three digits as eight, zeros in front. */
    first = first << 8 * (8 - head) | 0x3030303030303030ull >> 8 * head;
    read = digits8_read(first, &wrong);
    memcpy(&first, key + 4 + head, 8);
    read = read * 100000000u + digits8_read(first, &wrong);
    memcpy(&first, key + 12 + head, 8);
    read = read * 100000000u + digits8_read(first, &wrong);
    return wrong == 0 && read == number;
}
