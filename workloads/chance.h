/*
 * chance.h: the random numbers of generated load.
 *
 * xoshiro256++ of Blackman and Vigna (2019), seeded through splitmix64: fast, and the same stream
 * on every machine for one seed. Never for secrets.
 * Thread   one owner; every client thread of a benchmark has its own.
 */
#pragma once

#include <stdint.h>

__extension__ typedef unsigned __int128 chance_wide;

struct chance {
    uint64_t words[4];
};

static inline uint64_t chance_split(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* Two streams of one seed never share a state in practice: stream goes in before the splitting. */
static inline struct chance chance_of(uint64_t seed, uint64_t stream)
{
    uint64_t      state = seed ^ (stream * 0xd1342543de82ef95ull);
    struct chance chance;

    for (int i = 0; i < 4; i++)
        chance.words[i] = chance_split(&state);
    return chance;
}

static inline uint64_t chance_rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static inline uint64_t chance_next(struct chance *chance)
{
    uint64_t *s = chance->words;
    uint64_t  result = chance_rotate(s[0] + s[3], 23) + s[0];
    uint64_t  t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = chance_rotate(s[3], 45);
    return result;
}

/* 0 <= x < 1, 53 bits. */
static inline double chance_unit(struct chance *chance)
{
    return (double)(chance_next(chance) >> 11) * 0x1.0p-53;
}

/* 0 <= x < bound; bound > 0. Multiply and shift (Lemire 2019), without the redraw: the bias is
 * below bound / 2^64. */
static inline uint64_t chance_below(struct chance *chance, uint64_t bound)
{
    return (uint64_t)(((chance_wide)chance_next(chance) * bound) >> 64);
}
