/*
 * reader_parts.h: what the files of the reader share; nobody else includes it.
 */
#pragma once

#include "tests/format/reader.h"

struct span {
    const uint8_t *data;
    size_t         size;
};

/* A table that the manifest names. */
struct reader_table {
    uint64_t    id, level, file_id, file_bytes, data_bytes, entries, tombstones, footer_checksum;
    struct span smallest, largest, above; /* above.data NULL: not narrowed */
};

/* One append of a log: a row, or the rows of a batch. */
struct reader_append {
    struct reading_row *rows; /* owned */
    uint32_t            count, part_count;
    uint64_t            part_shards[64], part_sequences[64];
};

struct reader_shard {
    uint32_t              index;
    char                  directory[512];
    uint64_t              flushed, log_group, log_offset, recovered;
    uint8_t              *manifest; /* owned: keys of tables stand in it */
    struct reader_table  *tables;   /* owned */
    uint32_t              table_count;
    struct reader_append *appends;  /* owned */
    uint32_t              append_count;
};

struct reader {
    const struct document *document;
    struct reading        *reading;
    uint64_t               identity, hash_seed, shard_count;
    uint8_t                database[16];
};

/* ---- reader.c ---- */
uint64_t number_of(const struct reader *reader, const char *constant);
/* The little-endian number in a structure at base. */
uint64_t field_of(const struct reader *reader, const uint8_t *base, const char *structure,
                  const char *field);
size_t   field_at(const struct reader *reader, const char *structure, const char *field);
uint64_t little_endian(const uint8_t *at, size_t bytes);
uint64_t checksum_of(const void *data, size_t bytes, uint64_t seed);
uint64_t mix(const struct reader *reader, uint64_t a, uint64_t b);
int      span_compare(struct span a, struct span b);
/* malloc memory, with 8 bytes more behind it; fails the test when there is no such file. */
uint8_t *file_take(const char *directory, const char *name, size_t *bytes);
void     row_add(struct reading *reading, const struct reading_row *row); /* takes it over */
void     row_copy(struct reading_row *row, struct span key, struct span value);

/* The row must be in the shard that its key belongs to. */
void     row_place_check(const struct reader *reader, const struct reader_shard *shard,
                         const struct reading_row *row);

/* ---- pack.c: msgpack. Each moves *at; running out of bytes fails the test ---- */
struct pack {
    const uint8_t *at, *end;
};
uint64_t    pack_integer(struct pack *pack);
uint64_t    pack_array(struct pack *pack);
uint64_t    pack_map(struct pack *pack);
struct span pack_bin(struct pack *pack);
struct span pack_text(struct pack *pack);
void        pack_name(struct pack *pack, const char *name); /* that text must come */

/* ---- reader_log.c, reader_manifest.c, reader_table.c ---- */
void reader_manifest(struct reader *reader, struct reader_shard *shard);
void reader_log(struct reader *reader, struct reader_shard *shard);
void reader_table(struct reader *reader, const struct reader_shard *shard,
                  const struct reader_table *table);
