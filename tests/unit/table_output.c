/*
 * table_output.c: what a writer hands out, what it refuses, and what it does without memory.
 */
#include "tests/unit/table_harness.h"

#include <stdio.h>
#include <stdlib.h>

struct output {
    struct buffers             *buffers;
    struct table_writer_options options;
    struct table_writer        *writer;
};

static void output_open_of(struct output *output, uint64_t average_entry_bytes)
{
    *output = (struct output){ 0 };
    assert_int_equal(buffers_open(4u << 20, &output->buffers), KIWI_OK);
    output->options = (struct table_writer_options){
        .buffers = output->buffers,
        .table_id = 1,
        .file_id = 2,
        .expected_entries = 100000,
        .average_entry_bytes = average_entry_bytes,
        .filter_bits_per_key = 10,
    };
    assert_int_equal(table_writer_open(&output->options, &output->writer), KIWI_OK);
}

static void output_open(struct output *output)
{
    output_open_of(output, 120);
}

static void output_close(struct output *output)
{
    table_writer_close(output->writer);
    assert_int_equal(buffers_used_bytes(output->buffers), 0);
    buffers_close(output->buffers);
}

static enum kiwi_status add(struct output *output, struct bytes key, struct bytes value,
                            uint64_t sequence, enum entry_kind kind)
{
    struct entry entry = { .key = key, .value = value, .sequence = sequence, .kind = kind };

    return table_writer_add(output->writer, &entry, hash_key(key, 0));
}

static struct bytes text(const char *characters)
{
    return bytes_of(characters, strlen(characters));
}

static const struct bytes nothing = { NULL, 0 };

static void entries_out_of_order_are_refused(void **state)
{
    struct output output;

    (void)state;
    output_open(&output);
    assert_int_equal(add(&output, text("b"), nothing, 5, ENTRY_PUT), KIWI_OK);
    assert_int_equal(add(&output, text("a"), nothing, 4, ENTRY_PUT), KIWI_INVALID);
    assert_int_equal(add(&output, text("b"), nothing, 5, ENTRY_PUT), KIWI_INVALID);
    assert_int_equal(add(&output, text("b"), nothing, 6, ENTRY_PUT), KIWI_INVALID);
    assert_int_equal(add(&output, text(""), nothing, 1, ENTRY_PUT), KIWI_INVALID);
    assert_int_equal(add(&output, text("b"), nothing, 4, ENTRY_PUT), KIWI_OK);
    assert_int_equal(add(&output, text("ba"), nothing, 9, ENTRY_PUT), KIWI_OK);
    assert_int_equal(table_writer_entry_count(output.writer), 3);
    output_close(&output);
}

static void entries_that_cannot_be_are_refused(void **state)
{
    struct output output;
    uint8_t      *large = calloc(1, KIWI_VALUE_BYTES_MAX + 1);

    (void)state;
    output_open(&output);
    struct bytes long_key = bytes_of(large, KIWI_KEY_BYTES_MAX + 1);
    struct bytes long_value = bytes_of(large, KIWI_VALUE_BYTES_MAX + 1);
    assert_int_equal(add(&output, long_key, nothing, 1, ENTRY_PUT), KIWI_TOO_LARGE);
    assert_int_equal(add(&output, text("a"), long_value, 1, ENTRY_PUT), KIWI_TOO_LARGE);
    assert_int_equal(add(&output, text("a"), text("x"), 1, ENTRY_DELETE), KIWI_INVALID);
    assert_int_equal(add(&output, text("a"), nothing, 1, (enum entry_kind)7), KIWI_INVALID);
    assert_int_equal(add(&output, text("a"), nothing, SEQUENCE_MAX + 1, ENTRY_PUT), KIWI_INVALID);
    assert_int_equal(table_writer_entry_count(output.writer), 0);
    output_close(&output);
    free(large);
}

static void the_largest_key_and_value_are_kept(void **state)
{
    struct random random = { 1 };
    struct model  model;
    struct built  built;
    uint8_t      *large = malloc(KIWI_VALUE_BYTES_MAX);

    (void)state;
    model_open(&model, MODEL_HUGE_KEYS, 40, &random);
    memset(large, 0x5a, KIWI_VALUE_BYTES_MAX);
    model.entries[20].kind = ENTRY_PUT;
    model.entries[20].value = bytes_of(large, KIWI_VALUE_BYTES_MAX);
    built_open(&built, &model, &(struct built_options){ .filter_bits = 10, .table_id = 1,
                                                        .average_entry_bytes = 100 });
    struct table_cursor cursor;
    table_cursor_init(&cursor, built.table);
    enum iter_state at = iter_seek(&cursor.iter, model.entries[20].key, model.entries[20].sequence);
    while (at == ITER_WANTS_BLOCK)
        at = iter_supply(&cursor.iter, built_block(&built, cursor.iter.wanted));
    assert_true(entry_equal(&cursor.iter.entry, &model.entries[20]));
    built_close(&built);
    model_close(&model);
    free(large);
}

/* Chunks are 4 KiB aligned, whole pages, at most 1 MiB, without gaps, and no block crosses one. */
static void chunks_are_aligned_and_come_without_gaps(void **state)
{
    struct output      output;
    struct table_chunk chunk;
    uint64_t           offset = 0, waiting = 0;

    (void)state;
    output_open(&output);
    for (int i = 0; i < 60000; i++) {
        char         key[16];
        struct bytes span = bytes_of(key, (size_t)sprintf(key, "%09d", i));
        assert_int_equal(add(&output, span, text("0123456789012345678901234567890123456789"), 7,
                             ENTRY_PUT), KIWI_OK);
        waiting = table_writer_chunks_waiting(output.writer);
        assert_true(waiting <= 1);
        if (waiting == 0)
            continue;
        assert_true(table_writer_chunk_take(output.writer, &chunk));
        assert_int_equal((uintptr_t)chunk.data % PAGE_BYTES, 0);
        assert_int_equal(chunk.offset, offset);
        assert_true(chunk.bytes > 0 && chunk.bytes % PAGE_BYTES == 0 && chunk.bytes <= 1u << 20);
        offset += chunk.bytes;
        table_writer_chunk_give(output.writer, &chunk);
    }
    assert_true(offset > 2u << 20);
    uint64_t about = table_writer_bytes(output.writer);
    assert_int_equal(table_writer_finish(output.writer), KIWI_OK);
    uint64_t exact = table_writer_bytes(output.writer);
    assert_true(about <= exact + exact / 50 && exact <= about + about / 50);
    output_close(&output); /* what was not taken is dropped */
}

/* A failed add or step of finishing changes nothing: the same call simply goes on. */
static void what_failed_for_want_of_memory_can_be_repeated(void **state)
{
    struct random random = { seed_of_run() };
    struct model  model;
    struct built  built;

    (void)state;
    model_open(&model, MODEL_BIG_VALUES, 120, &random);
    built_open(&built, &model, &(struct built_options){ .filter_bits = 10, .table_id = 1 });
    struct table_writer_options options = {
        .buffers = built.buffers,
        .database = built.database,
        .table_id = 1,
        .file_id = 3,
        .expected_entries = 10,
        .average_entry_bytes = built.table->info.raw_bytes / model.count,
        .filter_bits_per_key = 10,
        .hash_seed = HARNESS_HASH_SEED,
    };
    struct table_writer *writer;
    struct table_chunk   chunk;
    assert_int_equal(table_writer_open(&options, &writer), KIWI_OK);
    uint64_t failures = 0;
    for (size_t i = 0; i < model.count; i++) {
        enum kiwi_status status = KIWI_NO_MEMORY;
        for (uint64_t n = 1; status == KIWI_NO_MEMORY; n++) {
            memory_fail_after(n);
            status = table_writer_add(writer, &model.entries[i],
                                      hash_key(model.entries[i].key, HARNESS_HASH_SEED));
            memory_fail_after(0);
            failures += status == KIWI_NO_MEMORY;
        }
        assert_int_equal(status, KIWI_OK);
    }
    assert_true(failures > 20);
    failures = 0;
    for (bool is_done = false; !is_done;) {
        enum kiwi_status status = KIWI_NO_MEMORY;
        for (uint64_t n = 1; status == KIWI_NO_MEMORY; n++) {
            memory_fail_after(n);
            status = table_writer_finish_step(writer, &is_done);
            memory_fail_after(0);
            failures += status == KIWI_NO_MEMORY;
        }
        assert_int_equal(status, KIWI_OK);
    }
    assert_true(failures > 4);
    while (table_writer_chunk_take(writer, &chunk)) {
        assert_memory_equal(chunk.data, built.bytes + chunk.offset, chunk.bytes);
        table_writer_chunk_give(writer, &chunk);
    }
    table_writer_close(writer);
    built_close(&built);
    model_close(&model);
}

static void finishing_and_opening_survive_every_failed_allocation(void **state)
{
    enum kiwi_status status = KIWI_NO_MEMORY;
    struct output    output;
    uint64_t         n, before = memory_allocated_bytes();

    (void)state;
    for (n = 1; status == KIWI_NO_MEMORY; n++) {
        struct table_writer *second = NULL;
        output_open(&output);
        for (int i = 0; i < 2000; i++) {
            char         key[16];
            struct bytes span = bytes_of(key, (size_t)sprintf(key, "%09d", i));
            assert_int_equal(add(&output, span, text("value"), 7, ENTRY_PUT), KIWI_OK);
        }
        memory_fail_after(n);
        status = table_writer_open(&output.options, &second);
        if (status == KIWI_OK)
            status = table_writer_finish(output.writer);
        memory_fail_after(0);
        table_writer_close(second);
        output_close(&output);
        assert_int_equal(memory_allocated_bytes(), before);
    }
    assert_int_equal(status, KIWI_OK);
    assert_true(n > 6);
}

static struct block_ref refs_seen[512];
static uint32_t         refs_seen_count;

static void ref_note(void *context, struct block_ref ref, const uint8_t *block)
{
    (void)context, (void)block;
    if (ref.kind == BLOCK_DATA)
        refs_seen[refs_seen_count++] = ref;
}

static void blocks_end_at_sectors_and_the_data_at_a_page(void **state)
{
    static const uint8_t value[1015] = { 7 };
    struct output        output;
    uint64_t             end = 0;

    (void)state;
    refs_seen_count = 0;
    output_open_of(&output, 1038);
    table_writer_observe(output.writer, ref_note, NULL);
    for (int i = 0; i < 1000; i++) {
        char         key[24];
        struct bytes span = bytes_of(key, (size_t)sprintf(key, "user%019d", i));
        assert_int_equal(add(&output, span, bytes_of(value, sizeof value), 7, ENTRY_PUT), KIWI_OK);
    }
    assert_int_equal(table_writer_finish(output.writer), KIWI_OK);
    assert_int_equal(refs_seen_count, 334);
    for (uint32_t i = 0; i < refs_seen_count; i++) {
        assert_int_equal(refs_seen[i].offset, end);
        end += refs_seen[i].bytes;
        if (i + 1 < refs_seen_count)
            assert_int_equal(refs_seen[i].bytes, 7 * TABLE_SECTOR_BYTES);
    }
    assert_int_equal(end % PAGE_BYTES, 0);
    output_close(&output);
}

static void the_block_size_follows_the_entries(void **state)
{
    (void)state;
    assert_int_equal(data_block_target(0), 4096);
    assert_int_equal(data_block_target(124), 4096);
    assert_int_equal(data_block_target(1023), 4096); /* three in seven sectors */
    assert_int_equal(data_block_target(2040), 8192); /* one would leave a fifth of five */
    assert_int_equal(data_block_target(2000), 4096); /* two fill it */
    assert_int_equal(data_block_target(3000), 4096); /* one in six sectors */
    assert_int_equal(data_block_target(20000), 4096); /* a block of five pages each */
    for (uint64_t bytes = 0; bytes < 100000; bytes += 7) {
        uint32_t target = data_block_target(bytes);
        assert_true(target >= 4096 && target <= TABLE_DATA_BYTES_MAX);
        assert_int_equal(target & (target - 1), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_out_of_order_are_refused),
        cmocka_unit_test(entries_that_cannot_be_are_refused),
        cmocka_unit_test(the_largest_key_and_value_are_kept),
        cmocka_unit_test(chunks_are_aligned_and_come_without_gaps),
        cmocka_unit_test(what_failed_for_want_of_memory_can_be_repeated),
        cmocka_unit_test(finishing_and_opening_survive_every_failed_allocation),
        cmocka_unit_test(blocks_end_at_sectors_and_the_data_at_a_page),
        cmocka_unit_test(the_block_size_follows_the_entries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
