/*
 * history.h: what a scripted run wrote, in order, and whether a recovered database may look as it
 * does.
 *
 * Rules    every write acknowledged as safe (durable for a power cut, process for a kill) is there;
 *          the state of each shard is that after a prefix of its writes, except that a batch over
 *          several shards may be missing as a whole; no batch is there in part.
 */
#pragma once

#include "kiwi/kiwi.h"

#define HISTORY_KEYS   120u
#define HISTORY_WRITES 4000u
#define HISTORY_BATCHES 600u

struct history_write {
    /* below HISTORY_KEYS: a plain key; else the marker of batch key - HISTORY_KEYS */
    uint16_t key;
    uint16_t batch;     /* 0: none */
    uint32_t stamp;     /* 0: a delete */
    uint16_t name;      /* of a marker: the number in its name */
    uint8_t  shard;
    bool     is_safe;   /* acknowledged in a mode that the accident must not lose */
};

struct history {
    struct history_write writes[HISTORY_WRITES];
    uint32_t             count;
    uint32_t             batch_count;
};

struct kiwi_slice history_key(uint32_t key, uint32_t name, char room[24]);
/* Value of a stamp: the stamp as text, repeated to a length that depends on it. */
struct kiwi_slice history_value(uint32_t stamp, char room[1024]);
/* Reads everything back and fails the test with a reason when it breaks a rule. */
void history_check(const struct history *history, struct kiwi_db *db,
                   struct kiwi_context *context, const char *label);
