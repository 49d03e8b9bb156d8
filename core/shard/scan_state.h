/*
 * scan_state.h: what one fill of a chunk works with. For scan.c and window.c.
 *
 * Decided  entries come in order, and the first visible version of a key decides it: a row, or, for
 *          a deleted key, none. The key decided last is kept, to pass the older versions by.
 */
#pragma once

#include "core/iter/merge.h"
#include "core/shard/run_cursor.h"
#include "core/shard/shard.h"
#include "core/shard/window.h"

struct scan_used { struct table *table; struct block_ref ref; const uint8_t *block; };

struct scan_sources {
    struct memtable_cursor memtables[SHARD_FROZEN_MAX + 1];
    struct run_cursor     *runs;
    uint32_t               run_capacity;
    struct iter           *inputs[MERGE_INPUT_MAX];
    struct run            *input_runs[MERGE_INPUT_MAX]; /* NULL: a memtable */
    uint32_t               input_count;
    uint64_t               entries_total;
    struct merge          *merge;
    struct windows         windows;
    const struct iter     *waiting;         /* the one that lacks a block */
    struct scan_used       used[SCAN_USED_MAX];
    uint32_t               used_count;
    struct kiwi_buffer     decided;         /* the key decided last in this fill */
    size_t                 decided_bytes;
    bool                   has_decided;
    bool                   decided_row;     /* it is the chunk's last row */
    uint32_t               memtable_rows;   /* looked at in memtables, in this fill */
    uint32_t               candidate_row, candidate_bytes; /* going down: where its row starts */
};

static inline bool scan_is_full(const struct scan *scan)
{
    return scan->row_count >= scan->row_limit || scan->bytes_used >= scan->byte_limit;
}

/* Room for at least so many rows or bytes in the chunk. */
MUST_USE enum kiwi_status scan_rows_grow(struct scan *scan, uint32_t need);
MUST_USE enum kiwi_status scan_bytes_grow(struct scan *scan, uint64_t need);
/* Copies key. */
MUST_USE enum kiwi_status scan_key_keep(struct kiwi_buffer *kept, struct bytes key);
/* Whether key was decided last. */
bool scan_is_kept(const struct scan *scan, struct bytes key);
