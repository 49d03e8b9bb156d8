/*
 * fuzz.h: what fuzz targets share: taking choices out of the input, and promises that must hold.
 *
 * A target is one function. With libFuzzer (preset fuzz, clang) it is fed with inputs that reach
 * new code; with replay.c, by any compiler, with the files of its corpus.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* What the code promises for any input. */
#define fuzz_promise(condition)                                                            \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #condition); \
            abort();                                                                       \
        }                                                                                  \
    } while (0)

struct fuzz_input {
    const uint8_t *at, *end;
};

static inline size_t fuzz_left(const struct fuzz_input *input)
{
    return (size_t)(input->end - input->at);
}

/* 0 when nothing is left; so in all below. */
static inline uint8_t fuzz_byte(struct fuzz_input *input)
{
    return input->at == input->end ? 0 : *input->at++;
}

static inline uint64_t fuzz_number(struct fuzz_input *input, size_t bytes)
{
    uint64_t value = 0;

    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t)fuzz_byte(input) << (8 * i);
    return value;
}

static inline uint32_t fuzz_below(struct fuzz_input *input, uint32_t bound)
{
    return (uint32_t)fuzz_number(input, bound > 256 ? 2 : 1) % bound;
}

/* Up to bytes of what is left; *taken tells how many. */
static inline const uint8_t *fuzz_span(struct fuzz_input *input, size_t bytes, size_t *taken)
{
    const uint8_t *span = input->at;

    *taken = bytes < fuzz_left(input) ? bytes : fuzz_left(input);
    input->at += *taken;
    return span;
}

/* A few bytes of a buffer are overwritten: how many, then place and new byte of each. */
static inline void fuzz_patch(struct fuzz_input *input, uint8_t *buffer, size_t bytes)
{
    for (uint32_t left = fuzz_below(input, 9); left > 0 && bytes > 0; left--) {
        size_t at = fuzz_number(input, 3) % bytes;
        buffer[at] = fuzz_byte(input);
    }
}
