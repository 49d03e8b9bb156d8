/*
 * search.h: how many sorted numbers are below, and how many not above, a given one.
 *
 * Blocks keep the head of every key in one array, so that a search is a few wide compares instead
 * of a walk over keys. Three variants with equal answers: AVX-512, AVX2, scalar; the best one that
 * the processor has is chosen when the program starts.
 */
#pragma once

#include "core/table/table.h"

/* The numbers in [0, lower) are below the head, those in [lower, upper) equal to it. */
struct head_span {
    uint32_t lower, upper;
};

/* heads: count numbers in ascending order (any alignment), TABLE_COLUMN_SLACK readable bytes behind
 * them. Numbers out of order give a wrong span, never one beyond count. */
struct head_span heads32_find(const uint8_t *heads, uint32_t count, uint32_t head);
struct head_span heads64_find(const uint8_t *heads, uint32_t count, uint64_t head);

/* Whether every lane of a 512-bit filter block that lane_mask names has the bit set that 6 bits of
 * `bits` choose: lane i looks at bits [6 i, 6 i + 6). */
bool lanes_test(const uint8_t *block, uint64_t bits, uint32_t lane_mask);
/* Sets those bits. */
void lanes_set(uint8_t *block, uint64_t bits, uint32_t lane_mask);
