/*
 * memtable_harness.h: keys of every shape, and a sorted array that knows what a memtable must say.
 */
#pragma once

#include "core/memtable/memtable.h"

/* ---- chance ---- */
struct dice {
    uint64_t state;
};

struct dice dice_of(uint64_t stream); /* seeded by KIWI_SEED, printed once */
uint64_t    dice_draw(struct dice *dice);
uint64_t    dice_below(struct dice *dice, uint64_t limit);

/* ---- keys ---- */
enum key_shape {
    KEYS_USER,      /* "user" and 12 digits */
    KEYS_TIED,      /* equal in their first 60 bytes, differ late */
    KEYS_CLUSTERED, /* several long prefixes, short ends: heads tie within each */
    KEYS_BINARY,    /* 0 to 10 bytes of 00, 01 and ff: empty keys, keys that begin others */
    KEYS_LONG,      /* up to 64 KiB */
    KEYS_ASCENDING,
    KEYS_DESCENDING,
    KEY_SHAPE_COUNT,
};

/* Key number `number` of the shape, in buffer (64 KiB); equal numbers give equal keys. */
struct bytes key_of(enum key_shape shape, uint64_t number, uint8_t *buffer);

/* ---- the model ---- */
struct model {
    struct entry *entries; /* in entry order; owned copies */
    size_t        count, capacity;
};

void model_put(struct model *model, const struct entry *entry, uint64_t newest_snapshot);
/* Index of the first entry >= (key, sequence). */
size_t model_find(const struct model *model, struct bytes key, uint64_t sequence);
/* Index of the version memtable_get must return, or model->count. */
size_t model_get(const struct model *model, struct bytes key, uint64_t sequence_max);
void   model_end(struct model *model);

bool entry_equal(const struct entry *a, const struct entry *b);
