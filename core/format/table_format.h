/*
 * table_format.h: the bytes of a table file. A change here raises TABLE_VERSION.
 *
 *   | data blocks | filter partitions | index partitions | top index | properties | footer 4096 |
 *
 * Data blocks are multiples of 512 bytes long, all others, and the data as a whole, of 4 KiB; each
 * follows the one before without a gap. The first 32 bytes of a block are its header; the checksum
 * covers all the rest of it, zero padding included, and is seeded with database, table id and
 * offset, so that stale bytes in a recycled file and misplaced blocks never verify.
 *
 *   data block, n records; widths are in the header
 *     at 32   heads           n      x 4  the 4 key bytes after the block's common prefix, as a
 *                                         number that sorts as they do; missing bytes are zero
 *             offsets         n + 1  x 2 or 4   where each record starts, and the last one ends
 *             key sizes       n      x 0, 1 or 2   0: all keys have key_bytes
 *             sequences       n      x 0 to 8   (sequence - sequence_min) * 2 + is_delete
 *             common prefix   if keys are cut
 *             records         key, or what is left of it, then value up to the next record
 *   index partition and top index, n blocks
 *     at 32   heads           n      x 8  of the boundary keys, after their common prefix
 *             places          n + 1  x 4  offset / 512; the top bit: the last key of this block
 *                                         goes on in the next one
 *             key offsets     n + 1  x 4  of the rests of the boundaries, after the common prefix
 *             common prefix, rests
 *   filter partition
 *     at 64   blocks of 512 bits
 *
 * Boundary of a block: a key that is greater than every key in the blocks before it and not greater
 * than any in it. Where a key goes on in the next block, that one's boundary is the key and a zero
 * byte, the smallest key after it; so a search for the key finds its newest version.
 */
#pragma once

#include "core/base/entry.h"
#include "core/format/database_id.h"
#include "kiwi/limits.h"

#define TABLE_MAGIC             0x014241544957494bull /* "KIWITAB\1" */
#define TABLE_VERSION           2u
#define TABLE_PAGE_BYTES        4096u
#define TABLE_SECTOR_BYTES      512u   /* data blocks are multiples of it */
#define TABLE_DATA_BYTES_MAX    32768u /* of a data block with more than one record */
#define TABLE_INDEX_BYTES       32768u /* of a partition, unless one key alone needs more */
#define TABLE_FILTER_BYTES_MAX  65536u /* of a partition */
#define TABLE_FILTER_BLOCK_BITS 512u
#define TABLE_FILTER_START      64u    /* the first 512-bit block of a partition */
#define TABLE_FILTER_LANES_MAX  8u
#define TABLE_COLUMN_SLACK      64u    /* readable after the last head, for wide loads */
#define TABLE_PLACE_CONTINUES   0x80000000u
#define TABLE_SECTOR_COUNT_MAX  0x7fffffffu /* of a file: 1 TiB */

/* On disk; data, index and filter are the enum block_kind of the iterators. */
enum table_block_kind {
    TABLE_BLOCK_DATA = 1,
    TABLE_BLOCK_INDEX = 2,
    TABLE_BLOCK_FILTER = 3,
    TABLE_BLOCK_PROPERTIES = 4,
    TABLE_BLOCK_TOP = 5, /* laid out as an index partition; its blocks are the partitions */
};

/* What of its key a record of a data block holds. */
enum table_key_form {
    TABLE_KEYS_WHOLE = 0,
    TABLE_KEYS_CUT = 1,      /* what follows the common prefix */
    TABLE_KEYS_CUT_HEAD = 2, /* what follows the head; every key reaches beyond its head */
};
#define TABLE_CUT_KEY_BYTES_MAX 256u /* blocks with longer keys hold them whole */

enum table_codec { TABLE_CODEC_NONE = 0, TABLE_CODEC_LZ4 = 1 /* reserved */ };

/*
 *   at  size  field
 *    0     8  checksum         of bytes 8 to the end of the block
 *    8     1  kind
 *    9     1  codec
 *   10     2  pages            the block's length / 4096, rounded up
 *   12     1  offset_bytes     data: 2 or 4
 *   13     1  key_size_bytes   data: 0, 1 or 2
 *   14     1  sequence_bytes   data: 0 to 8
 *   15     1  key_form         data: enum table_key_form
 *   16     4  count            records, blocks, filter blocks, or bytes of properties
 *   20     2  prefix_bytes     data, index, top: of the common prefix of all keys
 *   22     2  key_bytes        data: of every key, when key_size_bytes is 0
 *   24     8  sequence_min     data: what the sequences are relative to
 */
struct table_block_header {
    le64    checksum;
    uint8_t kind;
    uint8_t codec;
    le16    pages;
    uint8_t offset_bytes;
    uint8_t key_size_bytes;
    uint8_t sequence_bytes;
    uint8_t key_form;
    le32    count;
    le16    prefix_bytes;
    le16    key_bytes;
    le64    sequence_min;
};

FIELD_AT(struct table_block_header, pages, 10, 2);
FIELD_AT(struct table_block_header, count, 16, 4);
FIELD_AT(struct table_block_header, prefix_bytes, 20, 2);
FIELD_AT(struct table_block_header, sequence_min, 24, 8);
static_assert(sizeof(struct table_block_header) == 32, "no hidden padding");
static_assert(65535ull * TABLE_PAGE_BYTES
                  > KIWI_VALUE_BYTES_MAX + 2ull * KIWI_KEY_BYTES_MAX + TABLE_PAGE_BYTES,
              "the page count of a block fits its field");

/* The seed of one table's blocks; with the block's offset it is the seed of its checksum. */
static inline uint64_t table_seed(const struct database_id *database, uint64_t table_id)
{
    return hash_mix(database_id_seed(database), table_id);
}

/* Fills in kind, pages and checksum; everything else of the block stands already. */
void table_block_seal(uint8_t *block, enum table_block_kind kind, uint32_t bytes,
                      uint64_t seed, uint64_t offset);
/* Half of the door: NULL when the bytes are a block of this kind, of this table, from this place;
 * else what is wrong. What the block holds is still to be checked. */
const char *table_block_verify(const uint8_t *block, enum table_block_kind kind, uint32_t bytes,
                               uint64_t seed, uint64_t offset);

/*
 *   at  size  field
 *    0     8  magic
 *    8     4  version
 *   12     4  reserved
 *   16    16  database
 *   32     8  table_id
 *   40     8  file_bytes         the footer ends here
 *   48     8  filter_offset      also the end of the data blocks
 *   56     8  index_offset       also the end of the filter partitions
 *   64     8  top_offset         also the end of the index partitions
 *   72     8  properties_offset  also the end of the top index
 * 4088     8  checksum           of bytes 0 to 4087, seeded as a block at the footer's offset
 */
struct table_footer {
    le64               magic;
    le32               version;
    le32               reserved_word;
    struct database_id database;
    le64               table_id;
    le64               file_bytes;
    le64               filter_offset;
    le64               index_offset;
    le64               top_offset;
    le64               properties_offset;
    uint8_t            reserved[4008];
    le64               checksum;
};

FIELD_AT(struct table_footer, database, 16, 16);
FIELD_AT(struct table_footer, filter_offset, 48, 8);
FIELD_AT(struct table_footer, properties_offset, 72, 8);
FIELD_AT(struct table_footer, checksum, 4088, 8);
static_assert(sizeof(struct table_footer) == TABLE_PAGE_BYTES, "the footer is one page");

/* Where the parts of a file stand; each ends where the next one begins. */
struct table_layout {
    struct database_id database;
    uint64_t           table_id;
    uint64_t           filter_offset, index_offset, top_offset, properties_offset, file_bytes;
};

void table_footer_build(struct table_footer *footer, const struct table_layout *layout);
/* The only door from disk bytes to a footer that may be trusted. In: layout's database, table id
 * and file_bytes; out: the rest of it. */
MUST_USE enum kiwi_status table_footer_check(const struct table_footer *footer,
                                             struct table_layout *layout);

/* What a table says of itself: a msgpack map in the properties block. Keys unknown to a reader are
 * skipped, so that later versions may add some. */
struct table_properties {
    uint64_t     file_id;
    uint64_t     entry_count, key_count, tombstone_count, raw_bytes;
    uint64_t     sequence_min, sequence_max;
    uint64_t     block_bytes, block_count;                 /* target of data blocks; how many */
    uint64_t     index_partitions;
    uint64_t     filter_partitions, filter_blocks, filter_lanes; /* blocks in each partition */
    uint64_t     hash_seed;                                /* of the keys' hashes in the filter */
    struct bytes smallest, largest;                        /* borrowed from the block */
};

/* Enough for the map, without header and padding. */
uint32_t table_properties_bound(const struct table_properties *properties);
/* Packs into target, which has table_properties_bound bytes; returns how many were used. */
uint32_t table_properties_encode(const struct table_properties *properties, uint8_t *target);
/* Every property must be there, once, and of its type; smallest <= largest. */
MUST_USE enum kiwi_status table_properties_decode(const uint8_t *source, uint32_t bytes,
                                                  struct table_properties *out);
