/*
 * own_range.h: the keys of one thread, what they should hold, and random work on them.
 *
 * Rules    a thread writes only keys of its own range, so it knows at any moment what each must
 *          hold, whatever the other threads do. A difference ends the process with a text.
 * Thread   one range each; begin and end in any thread.
 */
#pragma once

#include "kiwi/kiwi.h"
#include "tests/support/world.h"

#define OWN_KEYS   256u
#define SHARED_KEYS 300u /* written before the threads start, read only */

struct own_range {
    struct kiwi_db      *db;
    struct kiwi_context *context;
    uint32_t             thread;
    uint64_t             chance;
    uint32_t             version;            /* last one given out */
    uint32_t             versions[OWN_KEYS]; /* 0: absent */
    struct kiwi_buffer   buffer;
    struct kiwi_snapshot *snapshot;          /* NULL: none is open */
    uint32_t             snapshot_versions[OWN_KEYS];
};

/* Ends the process unless status is KIWI_OK. */
void must(enum kiwi_status status, const char *what);

struct kiwi_slice own_key(uint32_t thread, uint32_t key, char room[32]);
struct kiwi_slice own_value(uint32_t thread, uint32_t key, uint32_t version, char room[512]);
struct kiwi_slice shared_key(uint32_t key, char room[32]);

void shared_fill(struct kiwi_context *context);
void shared_scan_check(struct own_range *range);

/* One random operation by a blocking call. */
void own_step(struct own_range *range);
/* Count operations in completion form, several at once, on the range's keys. */
void own_steps_submitted(struct own_range *range, uint32_t count);
/* Everything is as it should be. */
void own_check(struct own_range *range, struct kiwi_snapshot *snapshot, const uint32_t *versions);
void own_end(struct own_range *range);
