/*
 * reader_test.c: a reader made from docs/format.md alone reads what the engine wrote.
 *
 * Goal: the document says enough, and nothing wrong, to read every key and value of a database that
 * was closed, one whose process died, and one that died in the middle of a merge. Method: the files
 * are read by reader.h, then by the engine, and their listings compared; counts tell that all that
 * the document describes was met.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "tests/format/content.h"
#include "tests/format/reader.h"

static struct document document;

static char *listing_of_reader(const char *directory, struct reading_counts *counts)
{
    struct reading reading;
    char          *text = NULL;
    size_t         bytes = 0;
    FILE          *file = open_memstream(&text, &bytes);

    reading_make(&reading, &document, directory);
    for (size_t i = 0; i < reading.count; i++)
        content_line(file, reading.rows[i].key, reading.rows[i].key_size, reading.rows[i].value,
                     reading.rows[i].value_size);
    fclose(file);
    *counts = reading.counts;
    reading_free(&reading);
    return text;
}

static char *listing_of_engine(const struct world *made, const char *directory)
{
    struct world world = { .way = made->way, .options = made->options };
    char        *text = NULL;
    size_t       bytes = 0;
    FILE        *file = open_memstream(&text, &bytes);

    snprintf(world.directory, sizeof world.directory, "%s", directory);
    if (world_open(&world) != KIWI_OK)
        fail_msg("open: %s", kiwi_error_text());
    content_list(world.context, file);
    assert_int_equal(world_close(&world), KIWI_OK);
    fclose(file);
    return text;
}

static void image_compare(const struct world *world, const struct image *image,
                          struct reading_counts *counts)
{
    char  directory[256], *by_reader, *by_engine;

    content_image_place(image, directory);
    by_reader = listing_of_reader(directory, counts);
    by_engine = listing_of_engine(world, directory);
    assert_true(strlen(by_engine) > 0);
    assert_string_equal(by_reader, by_engine);
    free(by_reader);
    free(by_engine);
    content_directory_remove(directory);
}

/* What is written in the last moments is in the tail alone, unless the test was held up meanwhile
 * and the log written by its age: then once more. */
enum { ATTEMPTS = 20 };

static struct reading_counts kind_compare_once(enum content_kind kind)
{
    struct image         *image = calloc(1, sizeof *image);
    struct world          world;
    struct reading_counts counts;

    content_world_make(&world);
    assert_int_equal(world_open(&world), KIWI_OK);
    content_write(&world, kind);
    content_image_take(&world, kind, image);
    image_compare(&world, image, &counts);
    image_free(image);
    free(image);
    world_end(&world);
    assert_int_equal(counts.shards, 2);
    assert_true(counts.tables >= 2);
    return counts;
}

static struct reading_counts kind_compare(enum content_kind kind)
{
    struct reading_counts counts = kind_compare_once(kind);

    for (uint32_t i = 1; i < ATTEMPTS && kind != CONTENT_CLEAN && counts.open_groups == 0; i++)
        counts = kind_compare_once(kind);
    return counts;
}

static void the_reader_reads_a_closed_database(void **state)
{
    struct reading_counts counts = kind_compare(CONTENT_CLEAN);

    (void)state;
    assert_int_equal(counts.seals, 2);
    assert_int_equal(counts.tail_groups, 0);
    assert_true(counts.log_rows > 0);
    assert_true(counts.filter_partitions > 0);
    assert_true(counts.index_partitions > 0);
}

static void the_reader_reads_what_a_killed_process_left(void **state)
{
    struct reading_counts counts = kind_compare(CONTENT_KILLED);

    (void)state;
    assert_int_equal(counts.seals, 0);
    assert_true(counts.open_groups > 0);
    assert_true(counts.log_groups > counts.tail_groups);
}

static void the_reader_reads_batches_over_shards_and_levels(void **state)
{
    struct reading_counts counts = kind_compare(CONTENT_LAYERED);

    (void)state;
    assert_true(counts.batches > 0 && counts.parts > 0);
    assert_int_equal(counts.parts_dropped, 0);
    assert_true((counts.level_mask & (counts.level_mask - 1)) != 0);
    assert_true(counts.table_deletes > 0);
    assert_true(counts.continued_blocks > 0);
    assert_true(counts.removed > 0);
    for (uint32_t form = 0; form < 3; form++)
        if (counts.key_forms[form] == 0)
            fail_msg("no block with keys of form %u", form);
}

/* A power cut may take a tail: what the other shard has of a batch does not count then. */
static struct reading_counts tail_lose(void)
{
    struct image         *image = calloc(1, sizeof *image);
    struct world          world;
    struct reading_counts whole, counts;

    content_world_make(&world);
    assert_int_equal(world_open(&world), KIWI_OK);
    content_write(&world, CONTENT_KILLED);
    content_image_take(&world, CONTENT_KILLED, image);
    image_compare(&world, image, &whole);
    assert_int_equal(whole.parts_dropped, 0);
    for (uint32_t i = 0; i < image->count; i++)
        if (strcmp(image->files[i].path, "shard-01/tail") == 0)
            memset(image->files[i].bytes, 0, image->files[i].size);
    image_compare(&world, image, &counts);
    assert_true(counts.parts_dropped == 0 || counts.log_rows < whole.log_rows);
    image_free(image);
    free(image);
    world_end(&world);
    return counts;
}

static void the_reader_drops_batches_of_which_a_shard_lost_its_part(void **state)
{
    struct reading_counts counts = tail_lose();

    (void)state;
    for (uint32_t i = 1; i < ATTEMPTS && counts.parts_dropped == 0; i++)
        counts = tail_lose();
    assert_int_equal(counts.parts_dropped, 1);
}

/* Merges publish as they go: tables above are narrowed meanwhile. */
static void the_reader_reads_what_a_death_in_a_merge_left(void **state)
{
    struct image         *image = calloc(1, sizeof *image);
    struct kiwi_op        compact = { .verb = KIWI_COMPACT }, *ops[1] = { &compact }, *done[1];
    struct world          world;
    struct reading_counts counts;
    uint32_t              narrowed_images = 0, images = 0, polls = 0;
    char                  key[32], value[1000];

    (void)state;
    content_world_make(&world);
    world.options.log_bytes = 2u << 20;
    assert_int_equal(world_open(&world), KIWI_OK);
    memset(value, 'v', sizeof value);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 1200; i++) {
            int bytes = snprintf(key, sizeof key, "key/%06u", i);
            value[0] = (char)round;
            assert_int_equal(kiwi_put(world.context, (struct kiwi_slice){ key, (size_t)bytes },
                                      (struct kiwi_slice){ value, sizeof value }, KIWI_PROCESS),
                             KIWI_OK);
        }
        assert_int_equal(kiwi_flush(world.context), KIWI_OK);
    }
    assert_int_equal(kiwi_submit(world.context, ops, 1), KIWI_OK);
    for (uint32_t i = 0, next = 32; kiwi_poll(world.context, done, 1, 0) == 0; i++) {
        polls = i;
        if (i < next || narrowed_images == 1)
            continue;
        next = i + 64 + i / 4; /* however many polls it takes, not many pictures */
        image_take(image, world.directory);
        image_compare(&world, image, &counts);
        image_free(image);
        narrowed_images += counts.narrowed > 0;
        images++;
    }
    printf("%u pictures in %u polls, tables narrowed in %u of them\n", images, polls,
           narrowed_images);
    assert_int_equal(compact.status, KIWI_OK);
    assert_true(narrowed_images > 0);
    free(image);
    world_end(&world);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reader_reads_a_closed_database),
        cmocka_unit_test(the_reader_reads_what_a_killed_process_left),
        cmocka_unit_test(the_reader_reads_batches_over_shards_and_levels),
        cmocka_unit_test(the_reader_drops_batches_of_which_a_shard_lost_its_part),
        cmocka_unit_test(the_reader_reads_what_a_death_in_a_merge_left),
    };
    char path[512];

    if (argc != 2)
        return 2;
    snprintf(path, sizeof path, "%s/docs/format.md", argv[1]);
    document_read(&document, path);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
