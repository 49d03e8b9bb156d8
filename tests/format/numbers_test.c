/*
 * numbers_test.c: the tables of docs/format.md against the code.
 *
 * Goal: no number of the document is another than the code's, none is missing in the tables here,
 * so that whoever changes one changes both. Method: constants and offsets are compared by name;
 * numbers without a name in a header are compared by what comes out of the function they are in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format/manifest_format.h"
#include "core/format/table_format.h"
#include "core/format/wal_format.h"
#include "core/table/filter.h"
#include "core/wal/wal_state.h"
#include "tests/format/document.h"

static struct document document;
static const char     *source_root;

#define NUMBER(name) { #name, (uint64_t)(name) }

static const struct document_constant in_headers[] = {
    NUMBER(KIWI_KEY_BYTES_MAX),
    NUMBER(KIWI_VALUE_BYTES_MAX),
    NUMBER(KIWI_BATCH_COUNT_MAX),
    NUMBER(KIWI_SHARD_COUNT_MAX),
    NUMBER(KIWI_LEVEL_COUNT_MAX),
    NUMBER(SEQUENCE_MAX),
    NUMBER(WAL_MAGIC),
    NUMBER(WAL_VERSION),
    NUMBER(WAL_GROUP_MAGIC),
    NUMBER(WAL_LIFE_MAGIC),
    NUMBER(WAL_PAGE_BYTES),
    NUMBER(WAL_HEADER_BYTES),
    NUMBER(WAL_LIFE_AT),
    NUMBER(WAL_LIFE_COUNT),
    NUMBER(WAL_GROUP_RECORDS),
    NUMBER(WAL_GROUP_MARK),
    NUMBER(WAL_GROUP_SEAL),
    NUMBER(WAL_PUT),
    NUMBER(WAL_DELETE),
    NUMBER(WAL_BATCH),
    NUMBER(WAL_SLOT_COUNT),
    NUMBER(MANIFEST_MAGIC),
    NUMBER(MANIFEST_GROUP_MAGIC),
    NUMBER(MANIFEST_VERSION),
    NUMBER(MANIFEST_PAGE_BYTES),
    NUMBER(MANIFEST_FILE_BYTES_MAX),
    NUMBER(MANIFEST_ID_MAX),
    NUMBER(MANIFEST_SLOT_COUNT),
    NUMBER(MANIFEST_GROUP_STATE),
    NUMBER(MANIFEST_GROUP_EDIT),
    NUMBER(TABLE_MAGIC),
    NUMBER(TABLE_VERSION),
    NUMBER(TABLE_PAGE_BYTES),
    NUMBER(TABLE_SECTOR_BYTES),
    NUMBER(TABLE_DATA_BYTES_MAX),
    NUMBER(TABLE_INDEX_BYTES),
    NUMBER(TABLE_FILTER_BYTES_MAX),
    NUMBER(TABLE_FILTER_BLOCK_BITS),
    NUMBER(TABLE_FILTER_START),
    NUMBER(TABLE_FILTER_LANES_MAX),
    NUMBER(TABLE_COLUMN_SLACK),
    NUMBER(TABLE_PLACE_CONTINUES),
    NUMBER(TABLE_SECTOR_COUNT_MAX),
    NUMBER(TABLE_CUT_KEY_BYTES_MAX),
    NUMBER(TABLE_BLOCK_DATA),
    NUMBER(TABLE_BLOCK_INDEX),
    NUMBER(TABLE_BLOCK_FILTER),
    NUMBER(TABLE_BLOCK_PROPERTIES),
    NUMBER(TABLE_BLOCK_TOP),
    NUMBER(TABLE_KEYS_WHOLE),
    NUMBER(TABLE_KEYS_CUT),
    NUMBER(TABLE_KEYS_CUT_HEAD),
    NUMBER(TABLE_CODEC_NONE),
    NUMBER(TABLE_CODEC_LZ4),
};

/* Private to a source file: the line that defines them is read. */
static const struct { const char *name, *file, *define; } in_sources[] = {
    { "WAL_OPEN_TAG", "core/format/wal_format.c", "OPEN_TAG" },
    { "WAL_SEQUENCE_FACTOR", "core/format/wal_format.c", "SEQUENCE_FACTOR" },
    { "WAL_KEY_FACTOR", "core/format/wal_format.c", "KEY_FACTOR" },
    { "IDENTITY_VERSION", "core/db/identity.c", "IDENTITY_VERSION" },
    { "IDENTITY_CHECKSUM_SEED", "core/db/identity.c", "IDENTITY_CHECKSUM_SEED" },
    { "IDENTITY_BYTES_MAX", "core/db/identity.c", "IDENTITY_BYTES_MAX" },
};

/* In no table of the code; shown by results below, or by reader_test.c, which reads with them. */
static const char *const by_result[] = {
    "MIX_ADDEND", "MIX_FACTOR_1", "MIX_FACTOR_2", "IDENTITY_SEED", "FILTER_MIX", "FILTER_FACTOR",
};
static const char *const by_reading[] = { "IDENTITY_MAGIC" };

static uint64_t source_define(const char *file, const char *name)
{
    char  path[512], line[512], wanted[80];
    FILE *source;

    snprintf(path, sizeof path, "%s/%s", source_root, file);
    snprintf(wanted, sizeof wanted, "#define %s ", name);
    source = fopen(path, "r");
    if (source == NULL)
        fail_msg("cannot read %s", path);
    while (fgets(line, sizeof line, source) != NULL) {
        if (strncmp(line, wanted, strlen(wanted)) == 0) {
            fclose(source);
            return strtoull(line + strlen(wanted), NULL, 0);
        }
    }
    fail_msg("%s does not define %s", path, name);
    return 0;
}

static void constants_are_those_of_the_code(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(in_headers); i++)
        if (document_constant(&document, in_headers[i].name) != in_headers[i].value)
            fail_msg("%s is 0x%llx in the code", in_headers[i].name,
                     (unsigned long long)in_headers[i].value);
    for (size_t i = 0; i < ARRAY_COUNT(in_sources); i++)
        if (document_constant(&document, in_sources[i].name)
            != source_define(in_sources[i].file, in_sources[i].define))
            fail_msg("%s is another in %s", in_sources[i].name, in_sources[i].file);
    for (size_t i = 0; i < ARRAY_COUNT(by_result); i++)
        (void)document_constant(&document, by_result[i]);
    for (size_t i = 0; i < ARRAY_COUNT(by_reading); i++)
        (void)document_constant(&document, by_reading[i]);
    assert_int_equal(document.constant_count, ARRAY_COUNT(in_headers) + ARRAY_COUNT(in_sources)
                                                  + ARRAY_COUNT(by_result)
                                                  + ARRAY_COUNT(by_reading));
}

#define FIELD(type, member) \
    { #type, #member, offsetof(struct type, member), sizeof(((struct type *)0)->member) }

static const struct document_field in_structures[] = {
    FIELD(wal_file_header, magic),
    FIELD(wal_file_header, version),
    FIELD(wal_file_header, shard),
    FIELD(wal_file_header, database),
    FIELD(wal_file_header, ring_bytes),
    FIELD(wal_file_header, tail_bytes),
    FIELD(wal_file_header, reserved),
    FIELD(wal_file_header, checksum),
    FIELD(wal_life, magic),
    FIELD(wal_life, log_id),
    FIELD(wal_life, checksum),
    FIELD(wal_group_header, magic),
    FIELD(wal_group_header, version),
    FIELD(wal_group_header, kind),
    FIELD(wal_group_header, shard),
    FIELD(wal_group_header, length),
    FIELD(wal_group_header, record_count),
    FIELD(wal_group_header, log_id),
    FIELD(wal_group_header, number),
    FIELD(wal_group_header, first_sequence),
    FIELD(wal_group_header, durable_group),
    FIELD(wal_group_header, previous_checksum),
    FIELD(wal_group_header, checksum),
    FIELD(manifest_header, checksum),
    FIELD(manifest_header, magic),
    FIELD(manifest_header, version),
    FIELD(manifest_header, shard),
    FIELD(manifest_header, database),
    FIELD(manifest_header, slot),
    FIELD(manifest_header, reserved),
    FIELD(manifest_header, generation),
    FIELD(manifest_header, successor),
    FIELD(manifest_header, file_bytes),
    FIELD(manifest_header, state_bytes),
    FIELD(manifest_header, state_group_count),
    FIELD(manifest_header, state_checksum),
    FIELD(manifest_group_header, checksum),
    FIELD(manifest_group_header, magic),
    FIELD(manifest_group_header, version),
    FIELD(manifest_group_header, kind),
    FIELD(manifest_group_header, generation),
    FIELD(manifest_group_header, number),
    FIELD(manifest_group_header, durable_number),
    FIELD(manifest_group_header, previous_checksum),
    FIELD(manifest_group_header, payload_bytes),
    FIELD(manifest_group_header, reserved),
    FIELD(table_footer, magic),
    FIELD(table_footer, version),
    FIELD(table_footer, reserved_word),
    FIELD(table_footer, database),
    FIELD(table_footer, table_id),
    FIELD(table_footer, file_bytes),
    FIELD(table_footer, filter_offset),
    FIELD(table_footer, index_offset),
    FIELD(table_footer, top_offset),
    FIELD(table_footer, properties_offset),
    FIELD(table_footer, reserved),
    FIELD(table_footer, checksum),
    FIELD(table_block_header, checksum),
    FIELD(table_block_header, kind),
    FIELD(table_block_header, codec),
    FIELD(table_block_header, pages),
    FIELD(table_block_header, offset_bytes),
    FIELD(table_block_header, key_size_bytes),
    FIELD(table_block_header, sequence_bytes),
    FIELD(table_block_header, key_form),
    FIELD(table_block_header, count),
    FIELD(table_block_header, prefix_bytes),
    FIELD(table_block_header, key_bytes),
    FIELD(table_block_header, sequence_min),
};

static void layouts_are_those_of_the_code(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(in_structures); i++) {
        const struct document_field *code = &in_structures[i];
        const struct document_field *told = document_field(&document, code->structure, code->name);

        if (told->at != code->at || told->size != code->size)
            fail_msg("%s.%s is at %llu, %llu bytes, in the code", code->structure, code->name,
                     (unsigned long long)code->at, (unsigned long long)code->size);
    }
    assert_int_equal(document.field_count, ARRAY_COUNT(in_structures));
}

/* Fields of a structure stand in order, without a gap or an overlap. */
static void layouts_leave_no_byte_out(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < document.field_count; i++) {
        const struct document_field *field = &document.fields[i];
        bool is_first = i == 0 || strcmp(field->structure, field[-1].structure) != 0;

        assert_int_equal(field->at, is_first ? 0 : field[-1].at + field[-1].size);
    }
}

static uint64_t mix_as_told(uint64_t a, uint64_t b)
{
    uint64_t x = (a ^ (b + document_constant(&document, "MIX_ADDEND") + (a << 6) + (a >> 2)))
               * document_constant(&document, "MIX_FACTOR_1");

    x ^= x >> 32;
    x *= document_constant(&document, "MIX_FACTOR_2");
    return x ^ (x >> 29);
}

static void nameless_numbers_give_what_the_code_gives(void **state)
{
    struct filter_shape shape = { .partitions = 7, .blocks = 1000, .lanes = 5 };
    struct database_id  database;

    (void)state;
    for (uint64_t i = 1; i < 1000; i++) {
        uint64_t a = i * 0x123456789abcdefull, b = ~a * i;
        assert_int_equal(mix_as_told(a, b), hash_mix(a, b));
        uint64_t mixed = mix_as_told(a, document_constant(&document, "FILTER_MIX"));
        uint64_t bits = (mixed ^ mixed >> 32) * document_constant(&document, "FILTER_FACTOR");
        struct filter_spot spot = filter_spot(&shape, a);
        assert_int_equal(spot.bits, bits ^ bits >> 35);
        assert_int_equal(spot.partition, (uint64_t)((filter_product)mixed * 7 >> 64));
    }
    memset(&database, 0x5a, sizeof database);
    assert_int_equal(database_id_seed(&database),
                     hash_checksum(&database, 16, document_constant(&document, "IDENTITY_SEED")));
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constants_are_those_of_the_code),
        cmocka_unit_test(layouts_are_those_of_the_code),
        cmocka_unit_test(layouts_leave_no_byte_out),
        cmocka_unit_test(nameless_numbers_give_what_the_code_gives),
    };
    char path[512];

    if (argc != 2)
        return 2;
    source_root = argv[1];
    snprintf(path, sizeof path, "%s/docs/format.md", source_root);
    document_read(&document, path);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
