/*
 * merge.h: many sorted inputs as one (a loser tree on 8-byte key heads, ties by full comparison).
 *
 * Owns     nothing but its tree; inputs are borrowed and must outlive it. Inputs are given newest
 *          first: of two equal entries (same key and sequence) the earlier input's comes first.
 * Both     directions: next after previous (and the reverse) works and is allowed to cost a seek.
 * Waiting  ITER_WANTS_BLOCK: merge.iter.wanted is the wanted block of input merge_waiting_input();
 *          supply through iter_supply on the merge, which passes it on.
 * Source   Knuth, The Art of Computer Programming 3, 5.4.1 (tree of losers).
 */
#pragma once

#include "core/iter/iter.h"

#define MERGE_INPUT_MAX 128u

struct merge;

MUST_USE enum kiwi_status merge_open(struct iter **inputs, uint32_t count, struct merge **out);
void         merge_close(struct merge *merge); /* NULL is fine */
/* Reuses the tree for other inputs without allocating; count at most as at open. */
void         merge_reset(struct merge *merge, struct iter **inputs, uint32_t count);
/* Instead of a seek: the driver has placed every input itself, at an entry or at its end, all of
 * them for a move in this direction. */
enum iter_state merge_start(struct merge *merge, bool is_backward);
struct iter *merge_iter(struct merge *merge);  /* the merged sequence, every version in order */
uint32_t     merge_waiting_input(const struct merge *merge);
