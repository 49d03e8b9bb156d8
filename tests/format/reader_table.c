/*
 * reader_table.c: one table file: footer, properties, indexes, filter, and all records.
 */
#include "tests/format/reader_parts.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOOTER "table_footer"
#define BLOCK  "table_block_header"

struct properties {
    uint64_t    numbers[14];
    struct span smallest, largest;
};

/* In the order in which they are kept in numbers. */
static const char *const number_names[14] = {
    "file_id",          "entry_count",       "key_count",     "tombstone_count", "raw_bytes",
    "sequence_min",     "sequence_max",      "block_bytes",   "block_count",     "index_partitions",
    "filter_partitions", "filter_blocks",    "filter_lanes",  "hash_seed",
};
enum { ENTRY_COUNT = 1, KEY_COUNT, TOMBSTONES, BLOCK_COUNT = 8, INDEX_PARTITIONS,
       FILTER_PARTITIONS, FILTER_BLOCKS, FILTER_LANES, HASH_SEED };

struct table_walk {
    struct reader             *reader;
    const struct reader_shard *shard;
    const struct reader_table *table;
    const uint8_t             *data;
    uint64_t                   seed, header_bytes;
    uint64_t                   filter, index, top, properties_at, footer_at;
    struct properties          properties;
    uint64_t                   blocks, entries, tombstones, keys;
    uint8_t                    last_key[65536];
    size_t                     last_key_size;
    uint64_t                   last_sequence;
    bool                       continues; /* the last key of the block before goes on */
};

/* The block at offset, checked; returns how many things it holds. */
static uint64_t block_check(const struct table_walk *walk, uint64_t offset, uint64_t bytes,
                            const char *kind)
{
    const struct reader *reader = walk->reader;
    const uint8_t       *block = walk->data + offset;

    assert_true(offset + bytes <= walk->footer_at);
    assert_true(bytes >= number_of(reader, "TABLE_SECTOR_BYTES"));
    assert_int_equal(field_of(reader, block, BLOCK, "checksum"),
                     checksum_of(block + 8, bytes - 8, mix(reader, walk->seed, offset)));
    assert_int_equal(field_of(reader, block, BLOCK, "kind"), number_of(reader, kind));
    assert_int_equal(field_of(reader, block, BLOCK, "codec"),
                     number_of(reader, "TABLE_CODEC_NONE"));
    assert_int_equal(field_of(reader, block, BLOCK, "pages"), (bytes + 4095) / 4096);
    return field_of(reader, block, BLOCK, "count");
}

/* ---- footer and properties ---- */

static void footer_read(struct table_walk *walk, size_t file_bytes)
{
    const struct reader       *reader = walk->reader;
    const struct reader_table *table = walk->table;
    const uint8_t             *footer;
    uint64_t                   page = number_of(reader, "TABLE_PAGE_BYTES");

    assert_true(file_bytes >= table->file_bytes && table->file_bytes % page == 0);
    walk->footer_at = table->file_bytes - page;
    footer = walk->data + walk->footer_at;
    walk->seed = mix(reader, reader->identity, table->id);
    assert_int_equal(field_of(reader, footer, FOOTER, "magic"), number_of(reader, "TABLE_MAGIC"));
    assert_int_equal(field_of(reader, footer, FOOTER, "checksum"),
                     checksum_of(footer, field_at(reader, FOOTER, "checksum"),
                                 mix(reader, walk->seed, walk->footer_at)));
    assert_int_equal(field_of(reader, footer, FOOTER, "checksum"), table->footer_checksum);
    assert_int_equal(field_of(reader, footer, FOOTER, "version"),
                     number_of(reader, "TABLE_VERSION"));
    assert_memory_equal(footer + field_at(reader, FOOTER, "database"), reader->database, 16);
    assert_int_equal(field_of(reader, footer, FOOTER, "table_id"), table->id);
    assert_int_equal(field_of(reader, footer, FOOTER, "file_bytes"), table->file_bytes);
    walk->filter = field_of(reader, footer, FOOTER, "filter_offset");
    walk->index = field_of(reader, footer, FOOTER, "index_offset");
    walk->top = field_of(reader, footer, FOOTER, "top_offset");
    walk->properties_at = field_of(reader, footer, FOOTER, "properties_offset");
    assert_int_equal(walk->filter, table->data_bytes);
    assert_true(walk->filter > 0 && walk->filter <= walk->index && walk->index < walk->top);
    assert_true(walk->top < walk->properties_at && walk->properties_at < walk->footer_at);
}

static void properties_read(struct table_walk *walk)
{
    struct properties *properties = &walk->properties;
    uint64_t    bytes = block_check(walk, walk->properties_at,
                                    walk->footer_at - walk->properties_at,
                                    "TABLE_BLOCK_PROPERTIES");
    const uint8_t *map = walk->data + walk->properties_at + walk->header_bytes;
    struct pack    pack = { map, map + bytes };

    assert_int_equal(pack_map(&pack), 16);
    for (uint32_t i = 0; i < 14; i++) {
        pack_name(&pack, number_names[i]);
        properties->numbers[i] = pack_integer(&pack);
    }
    pack_name(&pack, "smallest");
    properties->smallest = pack_bin(&pack);
    pack_name(&pack, "largest");
    properties->largest = pack_bin(&pack);
    assert_ptr_equal(pack.at, pack.end);
    assert_int_equal(properties->numbers[ENTRY_COUNT], walk->table->entries);
    assert_int_equal(properties->numbers[TOMBSTONES], walk->table->tombstones);
    assert_int_equal(properties->numbers[HASH_SEED], walk->reader->hash_seed);
    assert_int_equal(span_compare(properties->smallest, walk->table->smallest), 0);
    assert_int_equal(span_compare(properties->largest, walk->table->largest), 0);
}

/* ---- filter ---- */

__extension__ typedef unsigned __int128 product;

static void filter_check(const struct table_walk *walk, struct span key)
{
    const struct reader *reader = walk->reader;
    const uint64_t      *numbers = walk->properties.numbers;
    uint64_t bytes = (walk->index - walk->filter) / numbers[FILTER_PARTITIONS];
    uint64_t m = mix(reader, checksum_of(key.data, key.size, numbers[HASH_SEED]),
                     number_of(reader, "FILTER_MIX"));
    product  place = (product)m * numbers[FILTER_PARTITIONS];
    uint64_t block = (uint64_t)((product)(uint64_t)place * numbers[FILTER_BLOCKS] >> 64);
    uint64_t b = (m ^ m >> 32) * number_of(reader, "FILTER_FACTOR");
    unsigned turn = b >> 60 & 7, all = (1u << numbers[FILTER_LANES]) - 1;
    unsigned lanes = (all << turn | all >> (8 - turn)) & 0xff;
    const uint8_t *at = walk->data + walk->filter + (uint64_t)(place >> 64) * bytes
                      + number_of(reader, "TABLE_FILTER_START")
                      + block * (number_of(reader, "TABLE_FILTER_BLOCK_BITS") / 8);

    b ^= b >> 35;
    for (unsigned lane = 0; lane < 8; lane++)
        if ((lanes >> lane & 1) != 0)
            assert_true((little_endian(at + 8 * lane, 8) >> (b >> (6 * lane) & 63) & 1) != 0);
}

static void filter_read(const struct table_walk *walk)
{
    uint64_t count = walk->properties.numbers[FILTER_PARTITIONS];

    walk->reader->reading->counts.filter_partitions += (uint32_t)count;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t bytes = (walk->index - walk->filter) / count;

        assert_true(bytes <= number_of(walk->reader, "TABLE_FILTER_BYTES_MAX"));
        assert_int_equal(block_check(walk, walk->filter + i * bytes, bytes, "TABLE_BLOCK_FILTER"),
                         walk->properties.numbers[FILTER_BLOCKS]);
    }
    if (count == 0)
        assert_int_equal(walk->filter, walk->index);
}

/* ---- data ---- */

static void row_take(struct table_walk *walk, const struct reading_row *seen)
{
    struct span key = { seen->key, seen->key_size }, last = { walk->last_key, walk->last_key_size };
    int         order = walk->entries == 0 ? 1 : span_compare(key, last);

    assert_true(order > 0 || (order == 0 && seen->sequence < walk->last_sequence));
    if (order > 0 && walk->properties.numbers[FILTER_PARTITIONS] > 0)
        filter_check(walk, key);
    walk->keys += order > 0;
    walk->entries++;
    walk->tombstones += seen->is_delete;
    if (key.size > 0)
        memcpy(walk->last_key, key.data, key.size);
    walk->last_key_size = key.size;
    walk->last_sequence = seen->sequence;
    if (walk->table->above.data == NULL || span_compare(key, walk->table->above) > 0) {
        struct reading_row row = *seen;

        row_copy(&row, key, (struct span){ seen->value, seen->value_size });
        row_place_check(walk->reader, walk->shard, &row);
        row_add(walk->reader->reading, &row);
    }
}

/* A data block's columns. */
struct columns {
    const uint8_t *heads, *offsets, *sizes, *orders, *prefix;
    uint64_t       count, offset_bytes, size_bytes, order_bytes, form, prefix_bytes, key_bytes;
    uint64_t       sequence_min, cut;
};

static struct columns columns_of(const struct table_walk *walk, const uint8_t *block,
                                 uint64_t count)
{
    const struct reader *reader = walk->reader;
    struct columns       columns = {
        .heads = block + walk->header_bytes,
        .count = count,
        .offset_bytes = field_of(reader, block, BLOCK, "offset_bytes"),
        .size_bytes = field_of(reader, block, BLOCK, "key_size_bytes"),
        .order_bytes = field_of(reader, block, BLOCK, "sequence_bytes"),
        .form = field_of(reader, block, BLOCK, "key_form"),
        .prefix_bytes = field_of(reader, block, BLOCK, "prefix_bytes"),
        .key_bytes = field_of(reader, block, BLOCK, "key_bytes"),
        .sequence_min = field_of(reader, block, BLOCK, "sequence_min"),
    };

    assert_true(columns.offset_bytes == 2 || columns.offset_bytes == 4);
    columns.offsets = columns.heads + 4 * count;
    columns.sizes = columns.offsets + (count + 1) * columns.offset_bytes;
    columns.orders = columns.sizes + count * columns.size_bytes;
    columns.prefix = columns.orders + count * columns.order_bytes;
    if (columns.form == number_of(reader, "TABLE_KEYS_CUT"))
        columns.cut = columns.prefix_bytes;
    else if (columns.form == number_of(reader, "TABLE_KEYS_CUT_HEAD"))
        columns.cut = columns.prefix_bytes + 4;
    else
        assert_int_equal(columns.form, number_of(reader, "TABLE_KEYS_WHOLE"));
    if (columns.cut > 0)
        assert_true(columns.cut <= number_of(reader, "TABLE_CUT_KEY_BYTES_MAX"));
    return columns;
}

static void record_take(struct table_walk *walk, const struct columns *columns,
                        const uint8_t *block, uint64_t i)
{
    uint64_t start = little_endian(columns->offsets + i * columns->offset_bytes,
                                   columns->offset_bytes);
    uint64_t end = little_endian(columns->offsets + (i + 1) * columns->offset_bytes,
                                 columns->offset_bytes);
    uint64_t size = columns->size_bytes == 0 ? columns->key_bytes
                  : little_endian(columns->sizes + i * columns->size_bytes, columns->size_bytes);
    uint64_t order = little_endian(columns->orders + i * columns->order_bytes,
                                   columns->order_bytes);
    uint8_t  key[65536], head[4] = { 0 };
    struct reading_row row = {
        .key = key,
        .key_size = size,
        .value = (uint8_t *)(uintptr_t)block + start + size - columns->cut,
        .value_size = end - start - (size - columns->cut),
        .sequence = columns->sequence_min + (order >> 1),
        .is_delete = (order & 1) != 0,
    };

    assert_true(size >= columns->cut && end - start >= size - columns->cut);
    for (uint32_t k = 0; k < 4; k++)
        head[k] = columns->heads[i * 4 + 3 - k];
    if (columns->cut > 0)
        memcpy(key, columns->prefix, columns->prefix_bytes);
    if (columns->cut > columns->prefix_bytes)
        memcpy(key + columns->prefix_bytes, head, 4);
    memcpy(key + columns->cut, block + start, size - columns->cut);
    for (uint64_t k = 0; k < 4; k++)
        assert_int_equal(head[k], columns->prefix_bytes + k < size ? key[columns->prefix_bytes + k]
                                                                   : 0);
    row_take(walk, &row);
}

static void data_read(struct table_walk *walk, uint64_t offset, uint64_t bytes,
                      struct span boundary, bool continues)
{
    const uint8_t *block = walk->data + offset;
    uint64_t       count = block_check(walk, offset, bytes, "TABLE_BLOCK_DATA");
    struct columns columns = columns_of(walk, block, count);
    struct span    last = { walk->last_key, walk->last_key_size };
    uint8_t        after[65537];

    assert_true(count >= 1);
    assert_true(count == 1 || bytes <= number_of(walk->reader, "TABLE_DATA_BYTES_MAX") + 4096);
    assert_true(bytes >= walk->header_bytes + 4 * count
                             + number_of(walk->reader, "TABLE_COLUMN_SLACK"));
    if (walk->continues) { /* the boundary is the key and a zero byte */
        memcpy(after, last.data, last.size);
        after[last.size] = 0;
        assert_int_equal(span_compare(boundary, (struct span){ after, last.size + 1 }), 0);
    } else if (walk->blocks > 0) {
        assert_true(span_compare(boundary, last) > 0);
    }
    walk->reader->reading->counts.key_forms[columns.form]++;
    walk->reader->reading->counts.continued_blocks += continues;
    walk->continues = continues;
    for (uint64_t i = 0; i < count; i++)
        record_take(walk, &columns, block, i);
    walk->blocks++;
}

/* ---- indexes ---- */

/* Hands each block of an index on, with its boundary. */
static void index_read(struct table_walk *walk, uint64_t offset, uint64_t bytes, const char *kind,
                       struct span first,
                       void (*visit)(struct table_walk *walk, uint64_t offset, uint64_t bytes,
                                     struct span boundary, bool continues))
{
    const uint8_t *block = walk->data + offset;
    uint64_t       count = block_check(walk, offset, bytes, kind);
    const uint8_t *heads = block + walk->header_bytes, *places = heads + 8 * count;
    const uint8_t *offsets = places + 4 * (count + 1), *prefix = offsets + 4 * (count + 1);
    uint64_t       prefix_bytes = field_of(walk->reader, block, BLOCK, "prefix_bytes");
    uint64_t       flag = number_of(walk->reader, "TABLE_PLACE_CONTINUES");
    uint64_t       sector = number_of(walk->reader, "TABLE_SECTOR_BYTES");

    for (uint64_t i = 0; i < count; i++) {
        uint64_t start = little_endian(offsets + 4 * i, 4);
        uint64_t rest = little_endian(offsets + 4 * (i + 1), 4) - start;
        uint64_t place = little_endian(places + 4 * i, 4), at = (place & ~flag) * sector;
        uint64_t next = (little_endian(places + 4 * (i + 1), 4) & ~flag) * sector;
        uint8_t  boundary[65537 + 8] = { 0 };
        struct span span = { boundary, prefix_bytes + rest };

        memcpy(boundary, prefix, prefix_bytes);
        memcpy(boundary + prefix_bytes, block + start, rest);
        for (uint64_t k = 0; k < 8; k++)
            assert_int_equal(heads[8 * i + 7 - k], boundary[prefix_bytes + k]);
        if (i == 0 && first.data != NULL)
            assert_int_equal(span_compare(span, first), 0);
        visit(walk, at, next - at, span, (place & flag) != 0);
    }
}

static void partition_read(struct table_walk *walk, uint64_t offset, uint64_t bytes,
                           struct span boundary, bool continues)
{
    (void)continues;
    walk->reader->reading->counts.index_partitions++;
    assert_true(offset >= walk->index && offset + bytes <= walk->top);
    index_read(walk, offset, bytes, "TABLE_BLOCK_INDEX", boundary, data_read);
}

void reader_table(struct reader *reader, const struct reader_shard *shard,
                  const struct reader_table *table)
{
    struct table_walk *walk = calloc(1, sizeof *walk);
    struct reading_counts *counts = &reader->reading->counts;
    char     name[32];
    size_t   bytes;
    uint8_t *data;

    assert_non_null(walk);
    snprintf(name, sizeof name, "t-%08llx", (unsigned long long)table->file_id);
    data = file_take(shard->directory, name, &bytes);
    *walk = (struct table_walk){
        .reader = reader,
        .shard = shard,
        .table = table,
        .data = data,
        .header_bytes = field_at(reader, BLOCK, "sequence_min") + 8,
    };
    footer_read(walk, bytes);
    properties_read(walk);
    filter_read(walk);
    index_read(walk, walk->top, walk->properties_at - walk->top, "TABLE_BLOCK_TOP",
               (struct span){ NULL, 0 }, partition_read);
    assert_int_equal(walk->blocks, walk->properties.numbers[BLOCK_COUNT]);
    assert_int_equal(walk->entries, walk->properties.numbers[ENTRY_COUNT]);
    assert_int_equal(walk->keys, walk->properties.numbers[KEY_COUNT]);
    assert_int_equal(walk->tombstones, walk->properties.numbers[TOMBSTONES]);
    assert_int_equal(span_compare((struct span){ walk->last_key, walk->last_key_size },
                                  table->largest), 0);
    counts->tables++;
    counts->blocks += (uint32_t)walk->blocks;
    counts->level_mask |= 1u << table->level;
    counts->table_rows += (uint32_t)walk->entries;
    counts->table_deletes += (uint32_t)walk->tombstones;
    free(data);
    free(walk);
}
