/*
 * heads.h: how many of 64 sorted 8-byte key heads are smaller than a given one.
 *
 * Three variants with the same answers; the fastest that this processor can run is the default.
 */
#pragma once

#include <stdint.h>

#include "core/base/base.h"

#define HEADS_COUNT 64u

/* Of heads not in use: never smaller than anything. */
#define HEAD_UNUSED UINT64_MAX

/* heads: HEADS_COUNT of them, ascending, the unused at the end; aligned to 64 bytes. */
typedef uint32_t heads_lower(const uint64_t *heads, uint64_t head);

enum heads_variant { HEADS_SCALAR = 0, HEADS_AVX2, HEADS_AVX512, HEADS_VARIANT_COUNT };

/* NULL when this processor cannot run it. */
heads_lower *heads_lower_of(enum heads_variant variant);
heads_lower *heads_lower_best(void);
