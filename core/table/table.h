/*
 * table.h: one immutable sorted file: opening it, and looking into it.
 *
 * Nothing in here reads the device while a shard runs: lookups and cursors say which block they
 * want, and whoever drives them gets it from cache or device.
 *
 * Owns     a table owns its info, its pinned top index and filter directory, and its open file.
 * Thread   opened by one thread; lookups are const and may run on any thread. refs belongs to
 *          core/version.
 * Layout   core/format/table_format.h.
 */
#pragma once

#include "core/base/entry.h"
#include "core/iter/iter.h"
#include "core/table/data_block.h"
#include "core/table/index_block.h"
#include "core/wal/wal.h"
#include "io/io.h"

/* What the manifest remembers of a table. */
struct table_info {
    uint64_t id;                /* never reused */
    uint64_t file_id;           /* which file it stands in; files are recycled */
    uint64_t file_bytes;        /* up to the end of the footer, a multiple of 4 KiB */
    uint64_t data_bytes;        /* data blocks: file bytes [0, data_bytes) */
    uint64_t entry_count;
    uint64_t tombstone_count;
    uint64_t raw_bytes;         /* keys and values */
    uint64_t sequence_min, sequence_max;
    uint64_t footer_checksum;   /* ties the file to this record: swapped or old files are told */
    struct bytes smallest, largest; /* keys; owned by the table once it is open */
};

struct table {
    struct table_info info;
    struct io_file   *file;     /* owned */
    uint64_t          seed;     /* of its checksums: database, table id */
    uint32_t          refs;     /* core/version's */
    uint8_t           level;    /* core/version's: where it stands, for statistics */
    struct table_top *top;      /* pinned: partition directory of index and filter */
};

/* Reads footer, properties and directory (blocking; at open of the database). KIWI_CORRUPT names
 * file and offset. info: from the manifest, copied. On success the table owns file. */
MUST_USE enum kiwi_status table_open(const struct table_info *info, struct io_file *file,
                                     struct database_id database, struct table **out);
void     table_close(struct table *table); /* NULL is fine; closes the file */
uint64_t table_memory_bytes(const struct table *table); /* pinned */
uint64_t table_index_bytes(const struct table *table);  /* all index partitions, on disk */
uint64_t table_filter_bytes(const struct table *table);

/* The one door from disk bytes to a block that may be trusted. block has ref.bytes. KIWI_CORRUPT
 * names file and offset. */
MUST_USE enum kiwi_status table_block_check(const struct table *table, struct block_ref ref,
                                            const uint8_t *block);

/* ---- point reads ---- */
enum table_answer {
    TABLE_ABSENT = 0,
    TABLE_FOUND,       /* get.found: its value borrows from the last block, its key is get.key */
    TABLE_WANTS_BLOCK, /* get.wanted; call table_get_step with it */
};

struct table_get {
    const struct table *table;
    struct bytes        key;
    uint64_t            hash;
    uint64_t            sequence_max;
    struct block_ref    wanted;
    struct entry        found;
    uint8_t             step;
    bool                was_filtered;   /* the filter ruled the table out */
    uint32_t            data_blocks;    /* looked into: > 0 and absent = false positive */
    uint32_t            partition, position; /* private: where in the index */
    bool                continues;      /* private: the block's last key goes on in the next */
};

/* Starts a lookup; needs no block yet when the directory alone can tell. */
enum table_answer table_get_start(struct table_get *get, const struct table *table,
                                  struct bytes key, uint64_t hash, uint64_t sequence_max);
/* block: the verified bytes of get->wanted. */
enum table_answer table_get_step(struct table_get *get, const uint8_t *block);

/* ---- cursors ---- */
/* Walks all versions in order. Keeps one index block and one data block at a time. */
struct table_cursor {
    struct iter         iter;
    struct table       *table;
    const uint8_t      *index_block, *data_block;
    uint32_t            partition, index_position, data_position;
    struct block_ref    index_ref, data_ref;
    struct bytes        goal;            /* borrowed while a move waits */
    uint64_t            goal_sequence;
    uint8_t             move;
    uint8_t             stage;
    struct index_block  index;           /* private: views of the two blocks */
    struct data_block   data;
    struct key_buffer   key;             /* private: where iter.entry.key may stand */
};

void table_cursor_init(struct table_cursor *cursor, struct table *table);

/* ---- entries of the present data block, without a move for each ---- */

/* So many entries stand in the data block from the present one on. */
static inline uint32_t table_cursor_left(const struct table_cursor *cursor)
{
    return cursor->data.count - cursor->data_position;
}

/* The data block behind the present one; false: not in this part of the index, or none. */
static inline bool table_cursor_next_block(const struct table_cursor *cursor,
                                           struct block_ref *ref)
{
    if (cursor->index_position + 1 >= cursor->index.count)
        return false;
    *ref = index_block_ref(&cursor->index, cursor->index_position + 1, BLOCK_DATA);
    return true;
}

/* Stands at the i-th of them, which the next move leaves; iter.entry is not set. */
static inline void table_cursor_skip(struct table_cursor *cursor, uint32_t i)
{
    assert(i < cursor->data.count - cursor->data_position);
    cursor->data_position += i;
}

/* ---- for tools: how blocks search ---- */
enum block_search { BLOCK_SEARCH_SCALAR = 0, BLOCK_SEARCH_AVX2, BLOCK_SEARCH_AVX512 };
enum block_search block_search_best(void);             /* what this processor has */
void              block_search_force(enum block_search search); /* tests and micro-benchmarks */
