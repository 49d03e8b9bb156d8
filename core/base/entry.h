/*
 * entry.h: one version of one key, and the order of versions.
 *
 * Order    key ascending, then sequence descending: the newest version of a key comes first.
 */
#pragma once

#include "core/base/bytes.h"

enum entry_kind {
    ENTRY_PUT = 1,
    ENTRY_DELETE = 2,
};

/* Sequences are per shard, start at 1 and fit 56 bits. */
#define SEQUENCE_MAX ((1ull << 56) - 1)

struct entry {
    struct bytes    key;      /* borrowed from wherever the entry stands */
    struct bytes    value;    /* empty for ENTRY_DELETE */
    uint64_t        sequence;
    enum entry_kind kind;
};

static inline int entry_compare(const struct entry *a, const struct entry *b)
{
    int order = bytes_compare(a->key, b->key);

    if (order != 0)
        return order;
    return a->sequence > b->sequence ? -1 : a->sequence < b->sequence;
}
