/*
 * table_corruption.c: bytes from disk are believed only when they are what was written, where it
 * was written; and no content, not even with a right checksum, makes a search leave its block.
 */
#include "tests/unit/table_harness.h"

#include <stdlib.h>

#include "core/table/table_top.h"

static struct block_ref refs_of(const struct built *built, uint64_t offset)
{
    const struct table *table = built->table;
    const struct table_block_header *header =
        (const struct table_block_header *)(built->bytes + offset);
    enum block_kind kind = offset < table->info.data_bytes     ? BLOCK_DATA
                         : offset < table->top->index_offset ? BLOCK_FILTER
                                                             : BLOCK_INDEX;

    uint32_t bytes = (uint32_t)le16_get(header->pages) * PAGE_BYTES;

    /* The header tells pages; a data block may end at any sector of the last one. */
    for (uint32_t less = 0; less < PAGE_BYTES && kind == BLOCK_DATA; less += TABLE_SECTOR_BYTES)
        if (table_block_verify(built->bytes + offset, TABLE_BLOCK_DATA, bytes - less, table->seed,
                               offset) == NULL) {
            bytes -= less;
            break;
        }
    return (struct block_ref){ .offset = offset, .bytes = bytes, .kind = (uint8_t)kind };
}

static void small_table(struct built *built, struct model *model, size_t count)
{
    struct random random = { seed_of_run() };

    model_open(model, MODEL_YCSB, count, &random);
    built_open(built, model, &(struct built_options){ .filter_bits = 10, .table_id = 5 });
}

/* Goal: nothing in a file is taken for right after any one bit has changed.
 * Method: flip each bit of a table of six pages; blocks through the door, the rest by opening. */
static void every_flipped_bit_is_detected(void **state)
{
    struct model model;
    struct built built;

    (void)state;
    small_table(&built, &model, 20);
    assert_int_equal(built.size, 6 * PAGE_BYTES);
    uint64_t top_offset = built.table->top->top_offset;
    for (uint64_t offset = 0; offset < top_offset; offset += PAGE_BYTES) {
        struct block_ref ref = refs_of(&built, offset);
        uint8_t         *block = built.bytes + offset;
        assert_int_equal(ref.bytes, PAGE_BYTES);
        assert_int_equal(table_block_check(built.table, ref, block), KIWI_OK);
        for (uint32_t bit = 0; bit < ref.bytes * 8; bit += sweep_of(1, 7)) {
            block[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_equal(table_block_check(built.table, ref, block), KIWI_CORRUPT);
            block[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    struct table   *table;
    struct io_file *file = built.table->file;
    assert_int_equal(io_file_write(file, built.bytes, built.size, 0), KIWI_OK);
    for (uint64_t bit = top_offset * 8; bit < built.size * 8; bit += sweep_of(1, 7)) {
        uint8_t flipped = built.bytes[bit / 8] ^ (uint8_t)(1u << bit % 8);
        assert_int_equal(io_file_write(file, &flipped, 1, bit / 8), KIWI_OK);
        assert_int_equal(table_open(&built.table->info, file, built.database, &table),
                         KIWI_CORRUPT);
        assert_null(table);
        assert_int_equal(io_file_write(file, &built.bytes[bit / 8], 1, bit / 8), KIWI_OK);
    }
    built_close(&built);
    model_close(&model);
}

static void a_truncated_file_does_not_open(void **state)
{
    struct model  model;
    struct built  built;
    struct table *table;

    (void)state;
    small_table(&built, &model, 2000);
    for (uint64_t size = 0; size < built.size; size += PAGE_BYTES / 2)
        assert_int_equal(built_reopen(&built, &built.table->info, built.bytes, size, built.database,
                                      &table), KIWI_CORRUPT);
    assert_int_equal(built_reopen(&built, &built.table->info, built.bytes, built.size,
                                  built.database, &table), KIWI_OK);
    table_close(table);
    built_close(&built);
    model_close(&model);
}

static void another_identity_does_not_open(void **state)
{
    struct model      model;
    struct built      built;
    struct table     *table;
    struct table_info info;

    (void)state;
    small_table(&built, &model, 500);
    struct database_id other = built.database;
    other.bytes[15] ^= 1;
    assert_int_equal(built_reopen(&built, &built.table->info, built.bytes, built.size, other,
                                  &table), KIWI_CORRUPT);
    const size_t fields[] = {
        offsetof(struct table_info, id),           offsetof(struct table_info, data_bytes),
        offsetof(struct table_info, entry_count),  offsetof(struct table_info, tombstone_count),
        offsetof(struct table_info, raw_bytes),    offsetof(struct table_info, sequence_min),
        offsetof(struct table_info, sequence_max), offsetof(struct table_info, footer_checksum),
    };
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
        info = built.table->info;
        *(uint64_t *)(void *)((uint8_t *)&info + fields[i]) += 1;
        assert_int_equal(built_reopen(&built, &info, built.bytes, built.size, built.database,
                                      &table), KIWI_CORRUPT);
    }
    const uint64_t sizes[] = { 0, PAGE_BYTES, built.size - PAGE_BYTES, built.size + PAGE_BYTES,
                               built.size - 1, UINT64_MAX / PAGE_BYTES * PAGE_BYTES };
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        info = built.table->info;
        info.file_bytes = sizes[i];
        assert_int_equal(built_reopen(&built, &info, built.bytes, built.size, built.database,
                                      &table), KIWI_CORRUPT);
    }
    info = built.table->info;
    info.largest.size--;
    assert_int_equal(built_reopen(&built, &info, built.bytes, built.size, built.database, &table),
                     KIWI_CORRUPT);
    built_close(&built);
    model_close(&model);
}

/* Stale and misdirected blocks: right bytes, wrong place. */
static void a_block_verifies_only_in_its_place(void **state)
{
    struct model model;
    struct built built, other;

    (void)state;
    small_table(&built, &model, 500);
    built_open(&other, &model, &(struct built_options){ .filter_bits = 10, .table_id = 6 });
    assert_int_equal(built.size, other.size);
    for (uint64_t offset = 0; offset + PAGE_BYTES < built.table->info.data_bytes;
         offset += PAGE_BYTES) {
        struct block_ref ref = refs_of(&built, offset), moved = ref, wrong_kind = ref;
        moved.offset += PAGE_BYTES;
        wrong_kind.kind = BLOCK_INDEX;
        assert_int_equal(table_block_check(built.table, ref, built.bytes + offset), KIWI_OK);
        assert_int_equal(table_block_check(built.table, moved, built.bytes + offset), KIWI_CORRUPT);
        assert_int_equal(table_block_check(built.table, wrong_kind, built.bytes + offset),
                         KIWI_CORRUPT);
        assert_int_equal(table_block_check(built.table, ref, other.bytes + offset), KIWI_CORRUPT);
    }
    built_close(&other);
    built_close(&built);
    model_close(&model);
}

static void the_failure_names_file_and_offset(void **state)
{
    struct model model;
    struct built built;

    (void)state;
    small_table(&built, &model, 100);
    struct block_ref ref = refs_of(&built, PAGE_BYTES);
    built.bytes[PAGE_BYTES + 100] ^= 1;
    assert_int_equal(table_block_check(built.table, ref, built.bytes + PAGE_BYTES), KIWI_CORRUPT);
    assert_non_null(strstr(fail_text(), built.path));
    assert_non_null(strstr(fail_text(), "4096"));
    struct table *table;
    built.bytes[built.size - 1] ^= 1;
    assert_int_equal(built_reopen(&built, &built.table->info, built.bytes, built.size,
                                  built.database, &table), KIWI_CORRUPT);
    assert_non_null(strstr(fail_text(), built.path));
    built_close(&built);
    model_close(&model);
}

/* ---- hostile content ---- */

/* A few bytes change, mostly in header and columns, where they do harm. */
static void mutate(struct random *random, uint8_t *block, uint32_t bytes)
{
    uint32_t changes = 1 + (uint32_t)random_below(random, 4);

    for (uint32_t i = 0; i < changes; i++) {
        uint32_t reach = random_below(random, 4) == 0 ? bytes : 512;
        uint32_t at = 12 + (uint32_t)random_below(random, reach - 12);
        uint8_t  extremes[] = { 0, 1, 0x7f, 0x80, 0xff };
        block[at] = random_below(random, 2) == 0 ? (uint8_t)random_next(random)
                                                 : extremes[random_below(random, 5)];
    }
}

static uint64_t touch(struct bytes bytes)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < bytes.size; i++)
        sum += bytes.data[i];
    return sum;
}

static void use_data(const struct model *model, struct random *random, const uint8_t *base)
{
    static uint8_t    scratch[KIWI_KEY_BYTES_MAX + 16];
    struct data_block block;
    struct key_buffer buffer;
    struct entry      entry;
    uint64_t          sum = 0;
    bool              is_key;

    data_block_view(&block, base);
    key_buffer_start(&buffer, &block);
    for (uint32_t i = 0; i < block.count; i++) {
        data_block_entry(&block, i, &buffer, &entry);
        sum += touch(entry.key) + touch(entry.value);
        assert_true(entry.sequence <= SEQUENCE_MAX);
        assert_true(entry.kind == ENTRY_PUT || entry.value.size == 0);
    }
    for (int i = 0; i < 8; i++) {
        struct bytes key = model_key_near(model, random, scratch);
        uint32_t     at = data_block_seek(&block, key, random_next(random), &is_key);
        assert_true(at <= block.count && (!is_key || at < block.count));
    }
    assert_true(sum != 1);
}

static void use_index(const struct built *built, const struct model *model, struct random *random,
                      const uint8_t *base)
{
    static uint8_t     scratch[KIWI_KEY_BYTES_MAX + 16];
    struct index_block block;

    index_block_view(&block, base);
    for (uint32_t i = 0; i < block.count; i++) {
        struct block_ref ref = index_block_ref(&block, i, BLOCK_DATA);
        assert_true(ref.bytes > 0);
        assert_true(ref.offset + ref.bytes <= built->table->info.data_bytes);
    }
    for (int i = 0; i < 8; i++)
        assert_true(index_block_find(&block, model_key_near(model, random, scratch)) < block.count);
}

static uint64_t attack(const struct built *built, const struct model *model, struct random *random,
                       struct block_ref ref)
{
    uint64_t passed = 0;

    for (uint32_t round = 0; round < sweep_of(3000, 300); round++) {
        uint8_t *block = malloc(ref.bytes); /* exact, so that a sanitizer sees any step beyond */
        memcpy(block, built->bytes + ref.offset, ref.bytes);
        mutate(random, block, ref.bytes);
        table_block_seal(block, (enum table_block_kind)ref.kind, ref.bytes, built->table->seed,
                         ref.offset);
        if (table_block_check(built->table, ref, block) == KIWI_OK) {
            passed++;
            if (ref.kind == BLOCK_DATA)
                use_data(model, random, block);
            if (ref.kind == BLOCK_INDEX)
                use_index(built, model, random, block);
        }
        free(block);
    }
    return passed;
}

static void no_content_with_a_right_checksum_leaves_its_block(void **state)
{
    struct random random = { seed_of_run() };
    uint64_t      passed = 0;

    (void)state;
    for (int shape = 0; shape < MODEL_SHAPE_COUNT; shape++) {
        struct model model;
        struct built built;
        model_open(&model, (enum model_shape)shape, 120, &random);
        built_open(&built, &model, &(struct built_options){ .filter_bits = 10, .table_id = 5 });
        passed += attack(&built, &model, &random, refs_of(&built, 0));
        passed += attack(&built, &model, &random, refs_of(&built, built.table->top->index_offset));
        passed += attack(&built, &model, &random, refs_of(&built, built.table->info.data_bytes));
        built_close(&built);
        model_close(&model);
    }
    assert_true(passed > sweep_of(1000, 100)); /* or the test would test the door only */
}

static struct table_block_header *two_records(uint8_t *block)
{
    static const uint8_t value[1500] = { 1 };
    struct data_builder  builder;

    assert_int_equal(data_builder_open(&builder, PAGE_BYTES), KIWI_OK);
    for (int i = 0; i < 2; i++) {
        uint8_t      key[] = { 'k', 'e', 'y', '-', (uint8_t)i, 'a', 'b', 'c', 'd', 'e' };
        struct entry entry = { bytes_of(key, sizeof key), bytes_of(value, sizeof value),
                               (uint64_t)(10 + i), ENTRY_PUT };
        assert_true(data_builder_add(&builder, &entry));
    }
    data_builder_write(&builder, block, data_builder_bytes(&builder));
    data_builder_close(&builder);
    struct table_block_header *header = (struct table_block_header *)block;
    assert_null(data_block_check(block, PAGE_BYTES));
    assert_int_equal(header->key_form, TABLE_KEYS_CUT_HEAD);
    return header;
}

/* Each field that a search relies on, wrong by as little as does harm. */
static void contradictions_in_a_block_are_refused(void **state)
{
    uint8_t                    block[PAGE_BYTES];
    struct table_block_header *header;

    (void)state;
    header = two_records(block);
    header->key_bytes = le16_of(TABLE_CUT_KEY_BYTES_MAX); /* still inside: the values are long */
    assert_null(data_block_check(block, PAGE_BYTES));
    header->key_bytes = le16_of(TABLE_CUT_KEY_BYTES_MAX + 1);
    assert_non_null(data_block_check(block, PAGE_BYTES));
    header = two_records(block);
    header->key_bytes = le16_of(7); /* prefix and head tell of 8 */
    assert_non_null(data_block_check(block, PAGE_BYTES));
    header = two_records(block);
    header->sequence_min = le64_of(SEQUENCE_MAX - 1);
    assert_null(data_block_check(block, PAGE_BYTES));
    header->sequence_min = le64_of(SEQUENCE_MAX);
    assert_non_null(data_block_check(block, PAGE_BYTES));
    header->sequence_min = le64_of(UINT64_MAX);
    assert_non_null(data_block_check(block, PAGE_BYTES));
    const size_t fields[] = { offsetof(struct table_block_header, count),
                              offsetof(struct table_block_header, offset_bytes),
                              offsetof(struct table_block_header, key_size_bytes),
                              offsetof(struct table_block_header, sequence_bytes),
                              offsetof(struct table_block_header, prefix_bytes) };
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
        header = two_records(block);
        block[fields[i]]++;
        assert_non_null(data_block_check(block, PAGE_BYTES));
    }
    header = two_records(block);
    header->count = le32_of(0);
    assert_non_null(data_block_check(block, PAGE_BYTES));
    header = two_records(block);
    header->key_form = TABLE_KEYS_CUT_HEAD + 1;
    assert_non_null(data_block_check(block, PAGE_BYTES));
}

static void contradictions_in_an_index_are_refused(void **state)
{
    struct index_builder builder = { 0 };
    struct index_part    part = { 0 };
    uint8_t              good[PAGE_BYTES], block[PAGE_BYTES];
    const char          *keys[] = { "user1", "user2", "user33" };

    (void)state;
    for (uint64_t i = 0; i < ARRAY_COUNT(keys); i++) {
        struct bytes key = bytes_of(keys[i], strlen(keys[i]));
        assert_int_equal(index_builder_reserve(&builder, key.size), KIWI_OK);
        index_builder_add(&builder, key, false, (4 + i) * PAGE_BYTES);
    }
    assert_true(index_builder_next(&builder, 0, &part));
    assert_int_equal(part.bytes, PAGE_BYTES);
    index_builder_write(&builder, &part, 7ull * PAGE_BYTES, good);
    index_builder_close(&builder);
    assert_null(index_block_check(good, PAGE_BYTES, 4ull * PAGE_BYTES, 7ull * PAGE_BYTES));
    assert_non_null(index_block_check(good, PAGE_BYTES, 5ull * PAGE_BYTES, 7ull * PAGE_BYTES));
    assert_non_null(index_block_check(good, PAGE_BYTES, 4ull * PAGE_BYTES, 6ull * PAGE_BYTES));
    size_t places = sizeof(struct table_block_header) + 3 * 8, offsets = places + 4 * 4;
    for (size_t at = places; at < offsets + 4 * 4; at += 4) {
        memcpy(block, good, sizeof block);
        memset(block + at, 0, 4); /* out of order, or outside */
        assert_non_null(index_block_check(block, PAGE_BYTES, 4ull * PAGE_BYTES, 7ull * PAGE_BYTES));
        memset(block + at, 0x7f, 4);
        assert_non_null(index_block_check(block, PAGE_BYTES, 4ull * PAGE_BYTES, 7ull * PAGE_BYTES));
    }
    const uint8_t counts[] = { 0, 2, 4, 255 };
    for (size_t i = 0; i < ARRAY_COUNT(counts); i++) {
        memcpy(block, good, sizeof block);
        block[offsetof(struct table_block_header, count)] = counts[i];
        assert_non_null(index_block_check(block, PAGE_BYTES, 4ull * PAGE_BYTES, 7ull * PAGE_BYTES));
    }
}

/* The same for top index and properties: opening says yes or no, and survives both. */
static void no_tail_with_right_checksums_breaks_opening(void **state)
{
    struct random random = { seed_of_run() };
    struct model  model;
    struct built  built;
    struct table *table;

    (void)state;
    small_table(&built, &model, 3000);
    struct table_top *top = built.table->top;
    uint64_t properties_offset = top->top_offset + top->block_bytes;
    uint8_t *copy = malloc(built.size);
    for (uint32_t round = 0; round < sweep_of(1500, 300); round++) {
        bool     is_top = random_below(&random, 2) == 0;
        uint64_t offset = is_top ? top->top_offset : properties_offset;
        uint32_t bytes = is_top ? (uint32_t)top->block_bytes
                                : (uint32_t)(built.size - PAGE_BYTES - properties_offset);
        memcpy(copy, built.bytes, built.size);
        mutate(&random, copy + offset, bytes);
        table_block_seal(copy + offset, is_top ? TABLE_BLOCK_TOP : TABLE_BLOCK_PROPERTIES, bytes,
                         built.table->seed, offset);
        if (built_reopen(&built, &built.table->info, copy, built.size, built.database, &table)
            == KIWI_OK) {
            struct table_get get;
            for (size_t i = 0; i < model.count; i += 97)
                (void)table_get_start(&get, table, model.entries[i].key, random_next(&random), 1);
            table_close(table);
        }
    }
    free(copy);
    built_close(&built);
    model_close(&model);
}

static void opening_survives_every_failed_allocation(void **state)
{
    struct model     model;
    struct built     built;
    struct table    *table;
    enum kiwi_status status = KIWI_NO_MEMORY;
    uint64_t         n = 0;

    (void)state;
    small_table(&built, &model, 300);
    struct io_file *file = built.table->file;
    assert_int_equal(io_file_write(file, built.bytes, built.size, 0), KIWI_OK);
    uint64_t before = memory_allocated_bytes();
    while (status == KIWI_NO_MEMORY) {
        assert_int_equal(memory_allocated_bytes(), before);
        memory_fail_after(++n);
        status = table_open(&built.table->info, file, built.database, &table);
        memory_fail_after(0);
    }
    assert_int_equal(status, KIWI_OK);
    assert_true(n > 5);
    table->file = NULL; /* the other table's */
    table_close(table);
    assert_int_equal(memory_allocated_bytes(), before);
    built_close(&built);
    model_close(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flipped_bit_is_detected),
        cmocka_unit_test(a_truncated_file_does_not_open),
        cmocka_unit_test(another_identity_does_not_open),
        cmocka_unit_test(a_block_verifies_only_in_its_place),
        cmocka_unit_test(the_failure_names_file_and_offset),
        cmocka_unit_test(no_content_with_a_right_checksum_leaves_its_block),
        cmocka_unit_test(contradictions_in_a_block_are_refused),
        cmocka_unit_test(contradictions_in_an_index_are_refused),
        cmocka_unit_test(no_tail_with_right_checksums_breaks_opening),
        cmocka_unit_test(opening_survives_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
