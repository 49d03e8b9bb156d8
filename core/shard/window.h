/*
 * window.h: many rows of a scan at once: the next entries of every input side by side.
 *
 *   input 0   | 12  17  31  33 |      the heads of keys, 8 bytes behind a prefix that all of the
 *   input 1   | 14  15  40     |      entries in all windows share
 *   order       0  1 1  0  0          until one window is used up: behind it may come anything
 *   rows        copied window by window, each entry to the row that the order gave it
 *
 * A window lies in one block of a table or a list of a memtable: nothing has to be asked for entry
 * by entry; and of memtable entries it is known which are wanted before any is touched.
 * Only forward: going down, the last version of a key decides, not the first.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/base.h"
#include "kiwi/status.h"

#define WINDOW_COUNT_MAX 16u /* scans of more inputs merge them entry by entry */
#define WINDOW_ROWS_MAX  64u

struct memtable_cursor;
struct scan;
struct shard;
struct table_cursor;

struct window {
    uint64_t                heads[WINDOW_ROWS_MAX];
    uint8_t                 slots[WINDOW_ROWS_MAX]; /* which of the rows to come each entry is */
    uint32_t                input;                  /* of scan_sources.inputs */
    uint32_t                count, taken;
    bool                    has_heads;              /* a memtable: its list knows them */
    uint32_t                prefix_bytes;           /* that all keys share with the first */
    struct table_cursor    *table;                  /* NULL: a memtable */
    uint64_t                next_block;             /* a table: where in its file; 0: not wanted */
    struct memtable_cursor *memtable;
};

enum window_mark { MARK_SHOWN = 0, MARK_HIDDEN, MARK_DELETE }; /* HIDDEN: too new for the scan */

struct windows {
    struct window each[WINDOW_COUNT_MAX];
    uint32_t      count;
    uint32_t      prefix_bytes;
    uint32_t      limit;          /* rows of this turn */
    bool          needs_look;     /* entries may hide others, or are no rows */
    bool          is_outside;     /* the next entry lies beyond the upper bound */
    uint8_t       marks[WINDOW_ROWS_MAX]; /* of the rows to come: enum window_mark */
};

/* Opens windows on all inputs, which stand at entries or at their ends. False: too many inputs. */
bool windows_open(struct scan *scan);
/* Takes entries out of them and adds those that are rows to the chunk, which is not full. */
MUST_USE enum kiwi_status windows_take(struct shard *shard, struct scan *scan,
                                       uint32_t *examined);
/* Leaves the input of a window at the last entry taken from it, of at least one: the next move goes
 * on from there. */
void window_leave(struct window *window);
