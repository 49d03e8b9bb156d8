/*
 * reader.c: the directory as a whole: IDENTITY, shards, batches over shards, newest rows.
 */
#include "tests/format/reader_parts.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* ---- numbers ---- */

uint64_t number_of(const struct reader *reader, const char *constant)
{
    return document_constant(reader->document, constant);
}

uint64_t little_endian(const uint8_t *at, size_t bytes)
{
    uint64_t value = 0;

    while (bytes-- > 0)
        value = value << 8 | at[bytes];
    return value;
}

uint64_t field_of(const struct reader *reader, const uint8_t *base, const char *structure,
                  const char *field)
{
    const struct document_field *told = document_field(reader->document, structure, field);

    assert_in_range(told->size, 1, 8);
    return little_endian(base + told->at, told->size);
}

size_t field_at(const struct reader *reader, const char *structure, const char *field)
{
    return document_field(reader->document, structure, field)->at;
}

uint64_t checksum_of(const void *data, size_t bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, bytes, seed);
}

uint64_t mix(const struct reader *reader, uint64_t a, uint64_t b)
{
    uint64_t x = (a ^ (b + number_of(reader, "MIX_ADDEND") + (a << 6) + (a >> 2)))
               * number_of(reader, "MIX_FACTOR_1");

    x ^= x >> 32;
    x *= number_of(reader, "MIX_FACTOR_2");
    return x ^ (x >> 29);
}

int span_compare(struct span a, struct span b)
{
    size_t shared = a.size < b.size ? a.size : b.size;
    int    order = shared == 0 ? 0 : memcmp(a.data, b.data, shared);

    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* ---- files and rows ---- */

uint8_t *file_take(const char *directory, const char *name, size_t *bytes)
{
    char     path[1024];
    FILE    *file;
    uint8_t *data;
    long     size;

    snprintf(path, sizeof path, "%s/%s", directory, name);
    file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("%s is missing", path);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    size = ftell(file);
    assert_true(size >= 0);
    rewind(file);
    data = calloc(1, (size_t)size + 8);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, (size_t)size, file), size);
    fclose(file);
    *bytes = (size_t)size;
    return data;
}

static uint8_t *span_copy(struct span span)
{
    uint8_t *copy = malloc(span.size + 1);

    assert_non_null(copy);
    if (span.size > 0)
        memcpy(copy, span.data, span.size);
    return copy;
}

void row_copy(struct reading_row *row, struct span key, struct span value)
{
    row->key = span_copy(key);
    row->key_size = key.size;
    row->value = span_copy(value);
    row->value_size = value.size;
}

static void row_free(struct reading_row *row)
{
    free(row->key);
    free(row->value);
}

void row_add(struct reading *reading, const struct reading_row *row)
{
    if (reading->count == reading->capacity) {
        reading->capacity = reading->capacity * 2 + 64;
        reading->rows = realloc(reading->rows, reading->capacity * sizeof *reading->rows);
        assert_non_null(reading->rows);
    }
    reading->rows[reading->count++] = *row;
}

/* By key, the newest first. */
static int row_compare(const void *a, const void *b)
{
    const struct reading_row *x = a, *y = b;
    int order = span_compare((struct span){ x->key, x->key_size },
                             (struct span){ y->key, y->key_size });

    return order != 0 ? order : (x->sequence < y->sequence) - (x->sequence > y->sequence);
}

/* Leaves of every key the newest row, and that only when it is no delete. */
static void rows_reduce(struct reading *reading)
{
    struct reading_row *rows = reading->rows, kept;
    size_t              end = 0;

    if (reading->count == 0)
        return;
    qsort(rows, reading->count, sizeof *rows, row_compare);
    for (size_t i = 0, next; i < reading->count; i = next) {
        for (next = i + 1; next < reading->count; next++) {
            if (rows[next].key_size != rows[i].key_size
                || memcmp(rows[next].key, rows[i].key, rows[i].key_size) != 0)
                break;
            row_free(&rows[next]);
        }
        kept = rows[i];
        if (kept.is_delete)
            row_free(&kept);
        else
            rows[end++] = kept;
    }
    reading->count = end;
}

/* ---- IDENTITY ---- */

static void identity_read(struct reader *reader, const char *directory)
{
    size_t      bytes;
    uint8_t    *data = file_take(directory, "IDENTITY", &bytes);
    struct pack pack = { data + 8, data + bytes - 8 };

    assert_in_range(bytes, 17, number_of(reader, "IDENTITY_BYTES_MAX"));
    assert_int_equal(little_endian(data, 8), number_of(reader, "IDENTITY_MAGIC"));
    assert_int_equal(little_endian(data + bytes - 8, 8),
                     checksum_of(data, bytes - 8, number_of(reader, "IDENTITY_CHECKSUM_SEED")));
    assert_int_equal(pack_map(&pack), 4);
    pack_name(&pack, "version");
    assert_int_equal(pack_integer(&pack), number_of(reader, "IDENTITY_VERSION"));
    pack_name(&pack, "shards");
    reader->shard_count = pack_integer(&pack);
    assert_in_range(reader->shard_count, 1, number_of(reader, "KIWI_SHARD_COUNT_MAX"));
    pack_name(&pack, "hash_seed");
    reader->hash_seed = pack_integer(&pack);
    pack_name(&pack, "id");
    struct span id = pack_bin(&pack);
    assert_int_equal(id.size, 16);
    assert_ptr_equal(pack.at, pack.end);
    memcpy(reader->database, id.data, 16);
    reader->identity = checksum_of(id.data, 16, number_of(reader, "IDENTITY_SEED"));
    free(data);
}

/* ---- shards ---- */

static bool parts_are_everywhere(const struct reader *reader, const struct reader_shard *shards,
                                 const struct reader_append *append)
{
    for (uint32_t i = 0; i < append->part_count; i++) {
        assert_true(append->part_shards[i] < reader->shard_count);
        if (shards[append->part_shards[i]].recovered < append->part_sequences[i])
            return false;
    }
    return true;
}

void row_place_check(const struct reader *reader, const struct reader_shard *shard,
                     const struct reading_row *row)
{
    __extension__ typedef unsigned __int128 product;
    uint64_t hash = checksum_of(row->key, row->key_size, reader->hash_seed);

    assert_int_equal((uint64_t)((product)hash * reader->shard_count >> 64), shard->index);
}

static void appends_apply(struct reader *reader, const struct reader_shard *shards,
                          struct reader_shard *shard)
{
    for (uint32_t i = 0; i < shard->append_count; i++) {
        struct reader_append *append = &shard->appends[i];
        bool                  counts = parts_are_everywhere(reader, shards, append);

        reader->reading->counts.parts += append->part_count;
        reader->reading->counts.parts_dropped += !counts;
        for (uint32_t k = 0; k < append->count; k++) {
            if (counts) {
                row_place_check(reader, shard, &append->rows[k]);
                row_add(reader->reading, &append->rows[k]);
            } else {
                row_free(&append->rows[k]);
            }
        }
        free(append->rows);
    }
    free(shard->appends);
}

void reading_make(struct reading *reading, const struct document *document, const char *directory)
{
    struct reader       reader = { .document = document, .reading = reading };
    struct reader_shard *shards;

    memset(reading, 0, sizeof *reading);
    identity_read(&reader, directory);
    shards = calloc(reader.shard_count, sizeof *shards);
    assert_non_null(shards);
    for (uint32_t i = 0; i < reader.shard_count; i++) {
        shards[i].index = i;
        snprintf(shards[i].directory, sizeof shards[i].directory, "%s/shard-%02u", directory, i);
        reader_manifest(&reader, &shards[i]);
        for (uint32_t k = 0; k < shards[i].table_count; k++)
            reader_table(&reader, &shards[i], &shards[i].tables[k]);
        reader_log(&reader, &shards[i]);
    }
    for (uint32_t i = 0; i < reader.shard_count; i++) {
        appends_apply(&reader, shards, &shards[i]);
        free(shards[i].tables);
        free(shards[i].manifest);
    }
    reading->counts.shards = (uint32_t)reader.shard_count;
    free(shards);
    rows_reduce(reading);
}

void reading_free(struct reading *reading)
{
    for (size_t i = 0; i < reading->count; i++)
        row_free(&reading->rows[i]);
    free(reading->rows);
    memset(reading, 0, sizeof *reading);
}
