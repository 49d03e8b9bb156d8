/*
 * iter.h: the one interface of sorted inputs: memtables, tables, merges of them.
 *
 * Order    entry_compare: key ascending, sequence descending.
 * Waiting  an input over a table may lack a block. It then answers ITER_WANTS_BLOCK and says which
 *          in iter.wanted; whoever drives it gets the block from cache or device and calls
 *          iter_supply, which continues the interrupted move. Nothing in here does I/O.
 * Thread   the driver's.
 */
#pragma once

#include "core/base/entry.h"

enum iter_state {
    ITER_AT_ENTRY = 0, /* iter.entry is valid until the next move */
    ITER_END,          /* past either end; only seeks leave it */
    ITER_WANTS_BLOCK,
    ITER_FAILED,       /* iter.status says why; only seeks leave it */
};

enum block_kind { BLOCK_DATA = 1, BLOCK_INDEX, BLOCK_FILTER };

struct table;

struct block_ref {
    uint64_t offset;   /* in the table's file, a multiple of 512 */
    uint32_t bytes;    /* on disk, a multiple of 512 */
    uint8_t  kind;     /* enum block_kind */
};

struct iter;

struct iter_methods {
    /* First entry >= (key, sequence) in entry order; SEQUENCE_MAX: the first of the key. */
    enum iter_state (*seek)(struct iter *iter, struct bytes key, uint64_t sequence);
    /* Last entry whose key is <= key (of equal keys: the oldest version, the last in order). */
    enum iter_state (*seek_before)(struct iter *iter, struct bytes key);
    enum iter_state (*first)(struct iter *iter);
    enum iter_state (*last)(struct iter *iter);
    enum iter_state (*next)(struct iter *iter);
    enum iter_state (*previous)(struct iter *iter);
    /* Continues after ITER_WANTS_BLOCK. block: the verified bytes of iter.wanted; they must stay in
     * place until the iterator wants another block of the same kind, seeks, or is done with. */
    enum iter_state (*supply)(struct iter *iter, const uint8_t *block);
};

struct iter {
    const struct iter_methods *methods;
    struct entry               entry;  /* with ITER_AT_ENTRY */
    enum iter_state            state;
    enum kiwi_status           status; /* with ITER_FAILED */
    struct table              *wanted_table; /* with ITER_WANTS_BLOCK */
    struct block_ref           wanted;
};

static inline enum iter_state iter_seek(struct iter *iter, struct bytes key, uint64_t sequence)
{
    return iter->methods->seek(iter, key, sequence);
}

static inline enum iter_state iter_seek_before(struct iter *iter, struct bytes key)
{
    return iter->methods->seek_before(iter, key);
}

static inline enum iter_state iter_first(struct iter *iter)
{
    return iter->methods->first(iter);
}

static inline enum iter_state iter_last(struct iter *iter)
{
    return iter->methods->last(iter);
}

static inline enum iter_state iter_next(struct iter *iter)
{
    return iter->methods->next(iter);
}

static inline enum iter_state iter_previous(struct iter *iter)
{
    return iter->methods->previous(iter);
}

static inline enum iter_state iter_supply(struct iter *iter, const uint8_t *block)
{
    return iter->methods->supply(iter, block);
}
