/*
 * version_files.c: table files are given out again, but never too early, never twice, and never
 * more of them are kept than allowed.
 */
#include "version_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t take(struct world *world, uint64_t bytes, struct io_file **file, bool *is_new)
{
    uint64_t file_id = 0;

    if (table_files_take(world->files, bytes, file, &file_id, is_new) != KIWI_OK)
        fail_msg("%s", fail_text());
    return file_id;
}

/* A file of that size, back in the pool. */
static uint64_t pool_one(struct world *world, uint64_t bytes)
{
    struct io_file *file;
    bool            is_new;
    uint64_t        file_id = take(world, bytes, &file, &is_new);

    assert_int_equal(io_file_allocate(file, bytes), KIWI_OK);
    table_files_give(world->files, file, file_id, false);
    assert_null(table_files_excess_take(world->files, 0));
    return file_id;
}

static void new_files_have_new_ids(void **state)
{
    struct world    world;
    struct io_file *files[10];
    bool            is_new;

    (void)state;
    world_open(&world);
    world_started(&world);
    for (uint64_t i = 0; i < 10; i++) {
        assert_int_equal(take(&world, 4096, &files[i], &is_new), i + 1);
        assert_true(is_new);
    }
    assert_true(world_has(&world, "t-0000000a"));
    for (uint64_t i = 0; i < 10; i++)
        table_files_give(world.files, files[i], i + 1, false);
    world_stop(&world);
    world_close(&world);
}

static void given_file_is_taken_again(void **state)
{
    struct world    world;
    struct io_file *file;
    uint64_t        bytes;
    bool            is_new;

    (void)state;
    world_open(&world);
    world_started(&world);
    uint64_t file_id = pool_one(&world, 8192);
    assert_int_equal(table_files_pool_bytes(world.files), 8192);
    assert_int_equal(take(&world, 8192, &file, &is_new), file_id);
    assert_false(is_new);
    assert_int_equal(table_files_pool_bytes(world.files), 0);
    table_files_give(world.files, file, file_id, false);
    /* A smaller one comes as it is: its taker allocates what is missing. */
    assert_int_equal(take(&world, 100000, &file, &is_new), file_id);
    assert_false(is_new);
    assert_int_equal(io_file_size(file, &bytes), KIWI_OK);
    assert_int_equal(bytes, 8192);
    table_files_give(world.files, file, file_id, false);
    world_stop(&world);
    world_close(&world);
}

/* A job that fails before its edit gives back a file whose name nobody has synced. */
static void given_file_without_a_durable_name_stays_new(void **state)
{
    struct world    world;
    struct io_file *file;
    bool            is_new;

    (void)state;
    world_open(&world);
    world_started(&world);
    uint64_t file_id = take(&world, 8192, &file, &is_new);
    assert_true(is_new);
    for (uint32_t i = 0; i < 3; i++) {
        table_files_give(world.files, file, file_id, is_new);
        assert_int_equal(take(&world, 8192, &file, &is_new), file_id);
        assert_true(is_new);
    }
    table_files_give(world.files, file, file_id, false); /* an edit has named it */
    assert_int_equal(take(&world, 8192, &file, &is_new), file_id);
    assert_false(is_new);
    table_files_give(world.files, file, file_id, is_new);
    world_stop(&world);
    world_close(&world);
}

static void best_fit_is_taken(void **state)
{
    struct world    world;
    struct io_file *files[4];
    uint64_t        ids[4], sizes[4] = { 8192, 65536, 16384, 32768 };
    bool            is_new;

    (void)state;
    world_open(&world);
    world_started(&world);
    for (uint32_t i = 0; i < 4; i++) {
        ids[i] = take(&world, sizes[i], &files[i], &is_new);
        assert_int_equal(io_file_allocate(files[i], sizes[i]), KIWI_OK);
    }
    for (uint32_t i = 0; i < 4; i++)
        table_files_give(world.files, files[i], ids[i], false);
    assert_int_equal(take(&world, 20000, &files[3], &is_new), ids[3]);
    assert_int_equal(take(&world, 20000, &files[1], &is_new), ids[1]);
    assert_int_equal(take(&world, 20000, &files[2], &is_new), ids[2]); /* the largest, grown */
    assert_int_equal(take(&world, 20000, &files[0], &is_new), ids[0]);
    for (uint32_t i = 0; i < 4; i++)
        table_files_give(world.files, files[i], ids[i], false);
    world_stop(&world);
    world_close(&world);
}

static void much_too_large_file_stays_in_the_pool(void **state)
{
    struct world    world;
    struct io_file *file;
    bool            is_new;

    (void)state;
    world_open(&world);
    world.pool_bytes_max = 1ull << 40;
    world_started(&world);
    uint64_t file_id = pool_one(&world, 20 << 20);
    uint64_t other = take(&world, 4096, &file, &is_new);
    assert_true(is_new);
    assert_int_not_equal(other, file_id);
    table_files_give(world.files, file, other, false);
    world_stop(&world);
    world_close(&world);
}

/* Beyond its limit the pool has files to waste. */
static void too_large_pool_gives_any_file_that_is_large_enough(void **state)
{
    struct world    world;
    struct io_file *file;
    bool            is_new;

    (void)state;
    world_open(&world);
    world.pool_bytes_max = 10 << 20;
    world_started(&world);
    assert_int_equal(take(&world, 20 << 20, &file, &is_new), 1);
    assert_int_equal(io_file_allocate(file, 20 << 20), KIWI_OK);
    table_files_give(world.files, file, 1, false);
    assert_int_equal(take(&world, 4096, &file, &is_new), 1);
    assert_false(is_new);
    table_files_give(world.files, file, 1, false);
    world_stop(&world);
    world_close(&world);
}

static void pool_beyond_its_limit_hands_out_the_oldest(void **state)
{
    struct world    world;
    struct io_file *files[3];
    uint64_t        ids[3];
    bool            is_new;
    char           *path;

    (void)state;
    world_open(&world);
    world.pool_bytes_max = 20000;
    world_started(&world);
    for (uint32_t i = 0; i < 3; i++) {
        ids[i] = take(&world, 8192, &files[i], &is_new);
        assert_int_equal(io_file_allocate(files[i], 8192), KIWI_OK);
    }
    table_files_give(world.files, files[0], ids[0], false);
    table_files_give(world.files, files[1], ids[1], false);
    assert_null(table_files_excess_take(world.files, 0));
    table_files_give(world.files, files[2], ids[2], false);
    assert_null(table_files_excess_take(world.files, 5000));
    path = table_files_excess_take(world.files, 4000);
    assert_non_null(path);
    assert_string_equal(strrchr(path, '/'), "/t-00000001");
    assert_int_equal(io_remove(world.io, path), KIWI_OK);
    memory_free(path);
    assert_int_equal(table_files_pool_bytes(world.files), 16384);
    assert_null(table_files_excess_take(world.files, 0));
    world_stop(&world);
    world_close(&world);
}

/* Goal: a file is not overwritten while a crash could bring back the table in it. Method: the edit
 * that removes the table is applied, then encoded, then done; only then its file comes back. */
static void file_waits_for_the_edit_that_freed_it(void **state)
{
    struct world          world;
    struct io_file       *file;
    uint64_t              id = 1;
    struct version_edit   edit = { .removed = &id, .removed_count = 1 };
    struct manifest_write write;
    bool                  is_new;
    char                 *path;

    (void)state;
    world_open(&world);
    world.pool_bytes_max = 0;
    world_started(&world);
    manifest_run_id_take(world.manifest);
    assert_int_equal(world_add(&world, 1, 9, 0, 1), KIWI_OK);
    uint64_t freed = version_present(world.set)->levels[0].runs[0]->places[0].table->info.file_id;
    assert_int_equal(version_apply(world.set, &edit), KIWI_OK);
    struct table *table = version_obsolete_take(world.set);
    assert_non_null(table);
    file = table->file;
    table->file = NULL;
    table_close(table);
    table_files_give(world.files, file, freed, false);
    assert_null(table_files_excess_take(world.files, 0)); /* over the limit, and yet kept */
    assert_true(table_files_pool_bytes(world.files) > 0);
    uint64_t other = take(&world, 4096, &file, &is_new);
    assert_int_not_equal(other, freed);
    table_files_give(world.files, file, other, false);
    assert_null(table_files_excess_take(world.files, 0));
    assert_int_equal(manifest_edit_start(world.manifest, &edit, &write), KIWI_OK);
    assert_null(table_files_excess_take(world.files, 0));
    assert_int_equal(world_write(&world, &write), KIWI_OK);
    manifest_edit_done(world.manifest, KIWI_OK);
    path = table_files_excess_take(world.files, 0);
    assert_non_null(path);
    assert_string_equal(strrchr(path, '/'), "/t-00000001");
    memory_free(path);
    world_stop(&world);
    world_close(&world);
}

/* After a failed write nothing is ever overwritten or removed. */
static void failed_manifest_frees_no_file(void **state)
{
    struct world          world;
    struct io_file       *file;
    uint64_t              id = 1;
    struct version_edit   edit = { .removed = &id, .removed_count = 1 };
    struct manifest_write write;
    bool                  is_new;

    (void)state;
    world_open(&world);
    world.pool_bytes_max = 0;
    world_started(&world);
    manifest_run_id_take(world.manifest);
    assert_int_equal(world_add(&world, 1, 9, 0, 1), KIWI_OK);
    char *picture = world_picture(&world);
    assert_int_equal(version_apply(world.set, &edit), KIWI_OK);
    assert_int_equal(manifest_edit_start(world.manifest, &edit, &write), KIWI_OK);
    manifest_edit_done(world.manifest, KIWI_IO);
    world_recycle(&world);
    assert_null(table_files_excess_take(world.files, 0));
    uint64_t other = take(&world, 4096, &file, &is_new);
    assert_true(is_new);
    table_files_give(world.files, file, other, false);
    assert_null(table_files_excess_take(world.files, 0));
    world_stop(&world);
    world_started(&world);
    char *again = world_picture(&world);
    assert_string_equal(picture, again);
    memory_free(picture);
    memory_free(again);
    world_stop(&world);
    world_close(&world);
}

static void leftovers_are_adopted_or_removed(void **state)
{
    struct world         world;
    static const uint8_t bytes[8192];
    struct io_file      *file;
    bool                 is_new;

    (void)state;
    world_open(&world);
    world.pool_bytes_max = 16384;
    world_started(&world);
    manifest_run_id_take(world.manifest);
    assert_int_equal(world_add(&world, 1, 9, 0, 1), KIWI_OK);
    char *picture = world_picture(&world);
    world_stop(&world);
    world_file_write(&world, "t-00000050", bytes, 8192, 0);
    world_file_write(&world, "t-00000051", bytes, 8192, 0);
    world_file_write(&world, "t-00000052", bytes, 8192, 0);
    world_file_write(&world, "t-00000053", bytes, 1, 0);
    /* Not ours, whatever they are. */
    static const char *const strangers[] = { "t-", "t-zz", "t-0000005", "t-000000050", "t-0000005A",
                                             "t-00000050.bak", "t--0000001", "t-ffffffffffffffff",
                                             "t-+0000001", "wal", "tail", "notes" };
    for (uint32_t i = 0; i < ARRAY_COUNT(strangers); i++)
        world_file_write(&world, strangers[i], bytes, 100, 0);
    world_started(&world);
    for (uint32_t i = 0; i < ARRAY_COUNT(strangers); i++)
        assert_true(world_has(&world, strangers[i]));
    assert_true(table_files_pool_bytes(world.files) > 16384);
    for (char *path; (path = table_files_excess_take(world.files, 0)) != NULL; memory_free(path))
        assert_int_equal(io_remove(world.io, path), KIWI_OK);
    assert_true(table_files_pool_bytes(world.files) <= 16384);
    assert_true(table_files_pool_bytes(world.files) >= 8192);
    assert_true(world_has(&world, "t-00000001"));
    char *again = world_picture(&world);
    assert_string_equal(picture, again);
    /* New ids lie above every id seen. */
    for (uint32_t i = 0; i < 8; i++) {
        uint64_t file_id = take(&world, 4096, &file, &is_new);

        assert_true(file_id >= 0x50);
        assert_true(is_new == (file_id > 0x53));
        assert_int_not_equal(file_id, 1);
        io_file_close(file);
    }
    memory_free(picture);
    memory_free(again);
    world_stop(&world);
    world_close(&world);
}

static void name_that_exists_is_passed_over(void **state)
{
    struct world    world;
    struct io_file *file;
    bool            is_new;

    (void)state;
    world_open(&world);
    world_started(&world);
    world_file_write(&world, "t-00000001", "x", 1, 0);
    world_file_write(&world, "t-00000002", "x", 1, 0);
    assert_int_equal(take(&world, 4096, &file, &is_new), 3);
    assert_true(is_new);
    table_files_give(world.files, file, 3, false);
    world_stop(&world);
    world_close(&world);
}

static void pooled_file_that_vanished_is_replaced(void **state)
{
    struct world    world;
    struct io_file *file;
    bool            is_new;

    (void)state;
    world_open(&world);
    world_started(&world);
    assert_int_equal(pool_one(&world, 8192), 1);
    world_remove(&world, "t-00000001");
    assert_int_equal(take(&world, 4096, &file, &is_new), 2);
    assert_true(is_new);
    table_files_give(world.files, file, 2, false);
    world_stop(&world);
    world_close(&world);
}

static void files_without_memory_are_kept_on_disk(void **state)
{
    struct world     world;
    enum kiwi_status status = KIWI_NO_MEMORY;

    (void)state;
    world_open(&world);
    world_started(&world);
    for (uint64_t n = 1; status != KIWI_OK; n++) {
        struct io_file *file = NULL;
        uint64_t        file_id;
        bool            is_new;

        memory_fail_after(n);
        status = table_files_take(world.files, 4096, &file, &file_id, &is_new);
        memory_fail_after(0);
        if (status != KIWI_OK) {
            assert_int_equal(status, KIWI_NO_MEMORY);
            assert_null(file);
            continue;
        }
        memory_fail_after(1); /* the pool cannot grow */
        table_files_give(world.files, file, file_id, false);
        memory_fail_after(0);
        assert_null(table_files_excess_take(world.files, 0));
        assert_int_equal(table_files_pool_bytes(world.files), 0);
    }
    world_stop(&world);
    world_started(&world);
    struct io_file *file;
    bool            is_new;
    uint64_t        file_id = take(&world, 4096, &file, &is_new);
    assert_false(is_new);
    table_files_give(world.files, file, file_id, false);
    world_stop(&world);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_files_have_new_ids),
        cmocka_unit_test(given_file_is_taken_again),
        cmocka_unit_test(given_file_without_a_durable_name_stays_new),
        cmocka_unit_test(best_fit_is_taken),
        cmocka_unit_test(much_too_large_file_stays_in_the_pool),
        cmocka_unit_test(too_large_pool_gives_any_file_that_is_large_enough),
        cmocka_unit_test(pool_beyond_its_limit_hands_out_the_oldest),
        cmocka_unit_test(file_waits_for_the_edit_that_freed_it),
        cmocka_unit_test(failed_manifest_frees_no_file),
        cmocka_unit_test(leftovers_are_adopted_or_removed),
        cmocka_unit_test(name_that_exists_is_passed_over),
        cmocka_unit_test(pooled_file_that_vanished_is_replaced),
        cmocka_unit_test(files_without_memory_are_kept_on_disk),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
