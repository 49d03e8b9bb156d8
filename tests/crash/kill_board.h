/*
 * kill_board.h: what a process that will be killed has started and what was acknowledged to it, in
 * memory that outlives it.
 *
 * Rules    every key has one writer with one write in flight, so after the kill a key shows the
 *          last acknowledged version or the one started after it. The keys of a set are written by
 *          one batch and always show the same version. Keys in memory mode may show any older
 *          version down to what the last open found.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "kiwi/kiwi.h"
#include "tests/support/world.h"

#define KILL_WRITERS  4u   /* the last one in completion form */
#define KILL_KEYS     150u /* of each writer */
#define KILL_SETS     12u  /* of each writer */
#define KILL_SET_KEYS 5u   /* spread over the shards */

struct kill_cell {
    _Atomic uint32_t floor, started; /* floor: acknowledged; versions that may stand there */
};

struct kill_board {
    struct kill_cell keys[KILL_WRITERS][KILL_KEYS];
    struct kill_cell sets[KILL_WRITERS][KILL_SETS];
    _Atomic uint64_t acknowledged; /* writes, over all rounds */
};

enum kiwi_durability kill_mode(uint32_t key);

struct kiwi_slice kill_key(uint32_t writer, uint32_t key, char room[40]);
struct kiwi_slice kill_set_key(uint32_t writer, uint32_t set, uint32_t key, char room[40]);
/* Version 0 and every eleventh: no such key. */
bool              kill_version_is_absent(uint32_t version);
/* Names key and version, so that no other key's value can stand in for it. Owned by the caller. */
struct kiwi_slice kill_value(struct kiwi_slice key, uint32_t version, char *room);
#define KILL_VALUE_BYTES_MAX (32u << 10)

/* Reads everything back, fails the test on any breach, and takes what it found as the new floor. */
void kill_board_check(struct kill_board *board, struct kiwi_context *context, const char *label);
