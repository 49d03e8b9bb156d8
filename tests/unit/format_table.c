/*
 * format_table.c: blocks, footers and properties of tables are what they say, or refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <msgpack.h>
#include <stdlib.h>

#include "core/format/table_format.h"

static const struct table_layout sample_layout = {
    .database = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } },
    .table_id = 17,
    .filter_offset = 40960,
    .index_offset = 49152,
    .top_offset = 53248,
    .properties_offset = 57344,
    .file_bytes = 65536,
};

static enum kiwi_status check(const struct table_footer *footer, struct table_layout *out)
{
    *out = (struct table_layout){ .database = sample_layout.database,
                                  .table_id = sample_layout.table_id,
                                  .file_bytes = sample_layout.file_bytes };
    return table_footer_check(footer, out);
}

static void a_footer_gives_back_its_layout(void **state)
{
    struct table_footer footer;
    struct table_layout layout;

    (void)state;
    table_footer_build(&footer, &sample_layout);
    assert_int_equal(check(&footer, &layout), KIWI_OK);
    assert_memory_equal(&layout, &sample_layout, sizeof layout);
}

static void a_footer_with_any_bit_flipped_is_refused(void **state)
{
    struct table_footer footer;
    struct table_layout layout;

    (void)state;
    table_footer_build(&footer, &sample_layout);
    for (size_t bit = 0; bit < 8 * sizeof footer; bit++) {
        ((uint8_t *)&footer)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(check(&footer, &layout), KIWI_CORRUPT);
        ((uint8_t *)&footer)[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void footer_seal(struct table_footer *footer)
{
    uint64_t seed = table_seed(&sample_layout.database, sample_layout.table_id);
    uint64_t offset = sample_layout.file_bytes - sizeof *footer;

    footer->checksum = le64_of(hash_checksum(footer, offsetof(struct table_footer, checksum),
                                             hash_mix(seed, offset)));
}

/* Parts that overlap, run backwards, leave the file or are not whole pages, rightly checksummed. */
static void a_footer_of_an_impossible_layout_is_refused(void **state)
{
    static const uint64_t wrong[] = { 1, 4095, 4097, 1ull << 40, UINT64_MAX, UINT64_MAX - 4095 };
    struct table_footer   footer;
    struct table_layout   layout;

    (void)state;
    le64 *fields[] = { &footer.filter_offset, &footer.index_offset, &footer.top_offset,
                       &footer.properties_offset, &footer.file_bytes };
    for (size_t f = 0; f < ARRAY_COUNT(fields); f++) {
        for (size_t i = 0; i < ARRAY_COUNT(wrong); i++) {
            table_footer_build(&footer, &sample_layout);
            *fields[f] = le64_of(wrong[i]);
            footer_seal(&footer);
            assert_int_equal(check(&footer, &layout), KIWI_CORRUPT);
        }
    }
    table_footer_build(&footer, &sample_layout);
    footer.filter_offset = le64_of(0); /* no data */
    footer_seal(&footer);
    assert_int_equal(check(&footer, &layout), KIWI_CORRUPT);
    table_footer_build(&footer, &sample_layout);
    footer.index_offset = footer.filter_offset; /* no filter */
    footer_seal(&footer);
    assert_int_equal(check(&footer, &layout), KIWI_OK);
    table_footer_build(&footer, &sample_layout);
    footer.version = le32_of(TABLE_VERSION + 1); /* not sealed again: damage, not a later version */
    assert_int_equal(check(&footer, &layout), KIWI_CORRUPT);
    footer_seal(&footer);
    assert_int_equal(check(&footer, &layout), KIWI_UNSUPPORTED);
    table_footer_build(&footer, &sample_layout);
    footer.reserved[4000] = 1;
    footer_seal(&footer);
    assert_int_equal(check(&footer, &layout), KIWI_CORRUPT);
}

static void a_block_verifies_with_its_own_identity_only(void **state)
{
    uint8_t block[2 * TABLE_PAGE_BYTES] = { 0 };

    (void)state;
    block[5000] = 3;
    table_block_seal(block, TABLE_BLOCK_DATA, sizeof block, 11, 8192);
    assert_null(table_block_verify(block, TABLE_BLOCK_DATA, sizeof block, 11, 8192));
    assert_non_null(table_block_verify(block, TABLE_BLOCK_INDEX, sizeof block, 11, 8192));
    assert_non_null(table_block_verify(block, TABLE_BLOCK_DATA, sizeof block, 12, 8192));
    assert_non_null(table_block_verify(block, TABLE_BLOCK_DATA, sizeof block, 11, 4096));
    assert_non_null(table_block_verify(block, TABLE_BLOCK_DATA, TABLE_PAGE_BYTES, 11, 8192));
    for (size_t bit = 0; bit < 8 * sizeof block; bit += 3) {
        block[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_non_null(table_block_verify(block, TABLE_BLOCK_DATA, sizeof block, 11, 8192));
        block[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* ---- properties ---- */

static const struct table_properties sample_properties = {
    .file_id = 4,
    .entry_count = 1000,
    .key_count = 900,
    .tombstone_count = 7,
    .raw_bytes = 123456,
    .sequence_min = 1,
    .sequence_max = SEQUENCE_MAX,
    .block_bytes = 4096,
    .block_count = 33,
    .index_partitions = 1,
    .filter_partitions = 2,
    .filter_blocks = 63,
    .filter_lanes = 8,
    .hash_seed = UINT64_MAX,
    .smallest = { (const uint8_t *)"\0a", 2 },
    .largest = { (const uint8_t *)"zz", 2 },
};

static uint32_t encode(const struct table_properties *properties, uint8_t **out)
{
    *out = malloc(table_properties_bound(properties));
    assert_non_null(*out);
    return table_properties_encode(properties, *out);
}

/* Rightly checksummed, but for another length, codec or form of keys. */
static void a_block_of_an_unknown_form_is_refused(void **state)
{
    static uint8_t             block[2 * TABLE_PAGE_BYTES];
    struct table_block_header *header = (struct table_block_header *)block;

    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        enum table_block_kind kind = i == 3 ? TABLE_BLOCK_INDEX : TABLE_BLOCK_DATA;

        memset(block, 7, sizeof block);
        memset(block, 0, sizeof *header);
        table_block_seal(block, kind, sizeof block, 11, 8192);
        assert_null(table_block_verify(block, kind, sizeof block, 11, 8192));
        switch (i) {
        case 0: header->pages = le16_of((uint16_t)(le16_get(header->pages) + 1)); break;
        case 1: header->codec = TABLE_CODEC_NONE + 1; break;
        case 2: header->kind = TABLE_BLOCK_INDEX; break;
        default: header->key_form = TABLE_KEYS_WHOLE + 1; break;
        }
        header->checksum = le64_of(hash_checksum(block + sizeof header->checksum,
                                                 sizeof block - sizeof header->checksum,
                                                 hash_mix(11, 8192)));
        assert_non_null(table_block_verify(block, kind, sizeof block, 11, 8192));
        assert_null(strstr(table_block_verify(block, kind, sizeof block, 11, 8192), "checksum"));
    }
}

static void properties_come_back_as_they_were(void **state)
{
    struct table_properties out;
    uint8_t                *packed;
    uint32_t                bytes = encode(&sample_properties, &packed);

    (void)state;
    assert_true(bytes <= table_properties_bound(&sample_properties));
    assert_int_equal(table_properties_decode(packed, bytes, &out), KIWI_OK);
    assert_true(bytes_equal(out.smallest, sample_properties.smallest));
    assert_true(bytes_equal(out.largest, sample_properties.largest));
    out.smallest = sample_properties.smallest;
    out.largest = sample_properties.largest;
    assert_memory_equal(&out, &sample_properties, sizeof out);
    free(packed);
}

static void properties_with_the_longest_keys_fit_their_bound(void **state)
{
    struct table_properties properties = sample_properties, out;
    uint8_t                *key = calloc(1, KIWI_KEY_BYTES_MAX), *packed;

    (void)state;
    properties.smallest = bytes_of(NULL, 0);
    properties.largest = bytes_of(key, KIWI_KEY_BYTES_MAX);
    uint32_t bytes = encode(&properties, &packed);
    assert_int_equal(table_properties_decode(packed, bytes, &out), KIWI_OK);
    assert_int_equal(out.smallest.size, 0);
    assert_true(bytes_equal(out.largest, properties.largest));
    free(packed);
    free(key);
}

static int append(void *context, const char *data, size_t bytes)
{
    return msgpack_sbuffer_write(context, data, bytes);
}

static void an_unknown_property_is_skipped(void **state)
{
    struct table_properties out;
    uint8_t                *packed;
    uint32_t                bytes = encode(&sample_properties, &packed);
    msgpack_sbuffer         buffer;
    msgpack_packer          packer;

    (void)state;
    assert_int_equal(packed[0], 0xde); /* a map of 16 bits: its count follows */
    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, append);
    msgpack_pack_map(&packer, (size_t)packed[1] * 256 + packed[2] + 1);
    msgpack_pack_str_with_body(&packer, "colour", 6);
    msgpack_pack_str_with_body(&packer, "green", 5);
    msgpack_sbuffer_write(&buffer, (const char *)packed + 3, bytes - 3);
    assert_int_equal(table_properties_decode((uint8_t *)buffer.data, (uint32_t)buffer.size, &out),
                     KIWI_OK);
    assert_int_equal(out.entry_count, 1000);
    msgpack_sbuffer_destroy(&buffer);
    free(packed);
}

static void properties_cut_short_or_incomplete_are_refused(void **state)
{
    struct table_properties out;
    uint8_t                *packed;
    uint32_t                bytes = encode(&sample_properties, &packed);

    (void)state;
    for (uint32_t i = 0; i < bytes; i++)
        assert_int_equal(table_properties_decode(packed, i, &out), KIWI_CORRUPT);
    packed[2]--; /* one pair fewer */
    assert_int_equal(table_properties_decode(packed, bytes, &out), KIWI_CORRUPT);
    free(packed);
}

/* Containers are refused before the parser sees them: their counts decide what it allocates. */
static void containers_among_the_properties_are_refused(void **state)
{
    static const uint8_t     huge_map[] = { 0xdf, 0xff, 0xff, 0xff, 0xff, 0xa1, 'a', 0x01 };
    static const uint8_t     huge_array[] = { 0x81, 0xa1, 'a', 0xdd, 0xff, 0xff, 0xff, 0xff, 0x01 };
    static const uint8_t     array[] = { 0x81, 0xa1, 'a', 0x91, 0x01 };
    static const uint8_t     extension[] = { 0x81, 0xa1, 'a', 0xd4, 0x01, 0x01 };
    struct table_properties out;

    (void)state;
    assert_int_equal(table_properties_decode(huge_map, sizeof huge_map, &out), KIWI_CORRUPT);
    assert_int_equal(table_properties_decode(huge_array, sizeof huge_array, &out), KIWI_CORRUPT);
    assert_int_equal(table_properties_decode(array, sizeof array, &out), KIWI_CORRUPT);
    assert_int_equal(table_properties_decode(extension, sizeof extension, &out), KIWI_CORRUPT);
}

static void swapped_keys_are_refused(void **state)
{
    struct table_properties properties = sample_properties, out;
    uint8_t                *packed;

    (void)state;
    properties.smallest = sample_properties.largest;
    properties.largest = sample_properties.smallest;
    uint32_t bytes = encode(&properties, &packed);
    assert_int_equal(table_properties_decode(packed, bytes, &out), KIWI_CORRUPT);
    free(packed);
}

/* Goal: any bytes get an answer. Method: damage a good map at random, and random bytes. */
static void any_bytes_get_an_answer(void **state)
{
    struct table_properties out;
    uint8_t                *packed;
    uint32_t                bytes = encode(&sample_properties, &packed);
    uint64_t                random = 12345;

    (void)state;
    uint8_t *copy = malloc(bytes);
    for (int round = 0; round < 20000; round++) {
        memcpy(copy, packed, bytes);
        for (int i = 0; i < 3; i++) {
            random = hash_mix(random, 99);
            copy[random % bytes] = (uint8_t)(random >> 32);
        }
        enum kiwi_status status = table_properties_decode(copy, bytes, &out);
        assert_true(status == KIWI_OK || status == KIWI_CORRUPT || status == KIWI_NO_MEMORY);
        if (status == KIWI_OK)
            assert_true(out.smallest.size + out.largest.size < bytes);
    }
    for (int round = 0; round < 20000; round++) {
        uint8_t short_map[16] = { 0x82 };
        for (size_t i = 1; i < sizeof short_map; i++) {
            random = hash_mix(random, 98);
            short_map[i] = (uint8_t)random;
        }
        assert_int_equal(table_properties_decode(short_map, sizeof short_map, &out), KIWI_CORRUPT);
    }
    free(copy);
    free(packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_footer_gives_back_its_layout),
        cmocka_unit_test(a_footer_with_any_bit_flipped_is_refused),
        cmocka_unit_test(a_footer_of_an_impossible_layout_is_refused),
        cmocka_unit_test(a_block_verifies_with_its_own_identity_only),
        cmocka_unit_test(a_block_of_an_unknown_form_is_refused),
        cmocka_unit_test(properties_come_back_as_they_were),
        cmocka_unit_test(properties_with_the_longest_keys_fit_their_bound),
        cmocka_unit_test(an_unknown_property_is_skipped),
        cmocka_unit_test(properties_cut_short_or_incomplete_are_refused),
        cmocka_unit_test(containers_among_the_properties_are_refused),
        cmocka_unit_test(swapped_keys_are_refused),
        cmocka_unit_test(any_bytes_get_an_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
