/*
 * skiplist.h: a blocked skip list: every level is a linked list of blocks of up to 64 entries.
 *
 * Shape    The bottom level holds every record. Each block above holds, for each block below it,
 *          that block's first record (its separator) and a reference. A block that overflows splits
 *          and promotes the first record of its right half. The very first separator of every level
 *          is 0 and stands before everything.
 * Heads    Each block keeps 8 bytes per record, taken behind a prefix that the block's records
 *          share; keys outside the prefix count as the smallest or the largest head. This map never
 *          turns the order around, so only equal heads need the keys themselves. A block in which
 *          they are often equal takes a better prefix, by itself.
 * Thread   one writer; reading writes nothing.
 * Source   "B-skiplist", arXiv 2507.21492; heads as in "poor man's normalized keys", Graefe, Modern
 *          B-Tree Techniques, 2011.
 */
#pragma once

#include "core/memtable/arena.h"
#include "core/memtable/heads.h"

#define LEVELS_MAX          9u
#define BLOCK_PREFIX_BYTES  43u /* kept in the block; a longer one is read from prefix_record */

struct block {
    uint64_t heads[HEADS_COUNT];
    uint32_t records[HEADS_COUNT];
    uint32_t left, right;      /* blocks of the same level */
    uint32_t prefix_record;    /* where bytes of the prefix beyond BLOCK_PREFIX_BYTES are; or 0 */
    uint16_t count;
    uint16_t prefix_bytes;
    uint8_t  prefix[BLOCK_PREFIX_BYTES];
    uint8_t  ties;             /* how often equal heads hurt; TIES_SETTLED: nothing to gain */
    uint32_t padding;
    uint32_t children[];       /* above the bottom level */
};

static_assert(offsetof(struct block, children) == 13 * CACHE_LINE_BYTES, "no space is lost");

struct skiplist {
    struct arena *arena;
    heads_lower  *heads_lower;
    uint32_t      levels;
    uint32_t      top;         /* the one block of the highest level */
    uint32_t      first, last; /* blocks of the bottom level */
};

/* Where an entry is or belongs: of every level the block and the place in it, bottom first. */
struct skiplist_path {
    struct block *blocks[LEVELS_MAX];
    uint32_t      places[LEVELS_MAX];
};

struct skiplist_place {
    const struct block *block;
    uint32_t            index; /* may be the block's count: the first of the next block */
};

MUST_USE enum kiwi_status skiplist_open(struct skiplist *list, struct arena *arena,
                                        struct bytes prefix);

/* The first record that is not before (key, sequence). */
struct skiplist_place skiplist_find(const struct skiplist *list, struct bytes key,
                                    uint64_t sequence);

/* The same in two halves: the block, which is only being fetched, and the place in it. */
struct block         *skiplist_bottom(const struct skiplist *list, struct bytes key,
                                      uint64_t sequence);
struct skiplist_place skiplist_find_in(const struct skiplist *list, const struct block *bottom,
                                       struct bytes key, uint64_t sequence);

/*
 * Inserting is several steps, so that nothing is half done when memory ends: find the way, reserve
 * skiplist_insert_bytes in the arena, insert. Nothing else may be inserted in between. The way has
 * two parts because the bottom block is usually not in the processor's cache: the first part
 * fetches it, and there is time for something else until the second needs it.
 */
void     skiplist_path_begin(struct skiplist *list, struct bytes key, uint64_t sequence,
                             struct skiplist_path *path);
void     skiplist_path_finish(struct skiplist *list, struct bytes key, uint64_t sequence,
                              struct skiplist_path *path);
/*
 * The whole way at once, when it is known to lead into this bottom block and the block has room:
 * false where the block does not show that by itself, as when the entry is before or after all of
 * its records or it is full.
 */
bool     skiplist_path_in(struct skiplist *list, struct block *bottom, struct bytes key,
                          uint64_t sequence, struct skiplist_path *path);
/* At most, wherever the way leads. */
uint64_t skiplist_insert_bytes_max(const struct skiplist *list);
uint64_t skiplist_insert_bytes(const struct skiplist *list, const struct skiplist_path *path);
void     skiplist_insert(struct skiplist *list, const struct skiplist_path *path,
                         uint32_t record);
/* Exchanges the reference of the entry (key, sequence), which exists. The new record has the same
 * key and no version in between. */
void skiplist_exchange(struct skiplist *list, uint32_t old_record, uint32_t new_record);

/* Bytes that all keys share; borrowed. */
struct bytes skiplist_common_prefix(const struct skiplist *list);
/* Tests: walks everything; false when an invariant does not hold. */
bool skiplist_check(const struct skiplist *list);
