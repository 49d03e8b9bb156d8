/*
 * version_manifest.c: what a manifest brings back after every edit, and after every edit cut short.
 */
#include "version_world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef KIWI_SANITIZED
#define SLOWNESS 8u /* how many times fewer rounds */
#else
#define SLOWNESS 1u
#endif

/* ---- plain cases ---- */

static void new_manifest_holds_nothing(void **state)
{
    struct world world;

    (void)state;
    world_open(&world);
    for (uint32_t i = 0; i < 3; i++) {
        world_started(&world);
        assert_int_equal(version_present(world.set)->level_count, 0);
        assert_int_equal(world.state.flushed_sequence, 0);
        assert_int_equal(world.state.log_position.group, 0);
        assert_int_equal(world.state.table_id_next, 1);
        assert_int_equal(world.state.file_id_next, 1);
        assert_int_equal(world.state.run_id_next, 1);
        assert_int_equal(manifest_status(world.manifest), KIWI_OK);
        assert_true(manifest_written_bytes(world.manifest) > 0);
        world_stop(&world);
        assert_true(world_has(&world, "manifest-0"));
        assert_true(world_has(&world, "manifest-1"));
        assert_false(world_has(&world, "manifest-new"));
    }
    world_close(&world);
}

static void edit_comes_back_with_sequence_and_log_position(void **state)
{
    struct world world;

    (void)state;
    world_open(&world);
    world_started(&world);
    assert_int_equal(manifest_run_id_take(world.manifest), 1);
    assert_int_equal(world_add(&world, 10, 20, 0, 1), KIWI_OK);
    char *picture = world_picture(&world);
    world_stop(&world);
    world_opens_as(&world, picture);
    assert_int_equal(world.state.flushed_sequence, 1);
    assert_int_equal(world.state.log_position.group, 1);
    assert_int_equal(world.state.log_position.offset, 4096);
    assert_int_equal(world.state.table_id_next, 2); /* closed cleanly: nothing is skipped */
    assert_int_equal(world.state.file_id_next, 2);
    assert_int_equal(world.state.run_id_next, 2);
    memory_free(picture);
    world_close(&world);
}

static void edit_without_tables_moves_the_log_position(void **state)
{
    struct world          world;
    struct version_edit   edit = { .flushed_sequence = 9, .log_position = { 4, 8192 } };
    struct version_edit   older = { .flushed_sequence = 8, .log_position = { 3, 4096 } };

    (void)state;
    world_open(&world);
    world_started(&world);
    assert_int_equal(world_edit(&world, &edit), KIWI_OK);
    assert_int_equal(world_edit(&world, &older), KIWI_OK); /* never back */
    assert_int_equal(manifest_flushed_sequence(world.manifest), 9);
    world_drop(&world);
    world_started(&world);
    assert_int_equal(world.state.flushed_sequence, 9);
    assert_int_equal(world.state.log_position.group, 4);
    assert_int_equal(world.state.log_position.offset, 8192);
    world_stop(&world);
    world_close(&world);
}

/* Goal: ids that a crash forgot are not given out again. Method: take, crash, take, crash. */
static void ids_are_never_given_out_twice(void **state)
{
    struct world world;
    uint64_t     table = 0, file = 0, run = 0;

    (void)state;
    world_open(&world);
    for (uint32_t round = 0; round < 40; round++) {
        world_started(&world);
        for (uint32_t i = 0; i < 20; i++) {
            uint64_t next = manifest_table_id_take(world.manifest);

            assert_true(next > table);
            table = next;
            next = manifest_file_id_take(world.manifest);
            assert_true(next > file);
            file = next;
            next = manifest_run_id_take(world.manifest);
            assert_true(next > run);
            run = next;
        }
        if (round % 3 == 0)
            world_stop(&world);
        else
            world_drop(&world);
    }
    world_close(&world);
}

static void edit_with_a_foreign_id_is_refused(void **state)
{
    struct world          world;
    struct edit_added     added = { NULL, 0, 1000 };
    struct version_edit   edit = { .added = &added, .added_count = 1 };
    struct manifest_write write;

    (void)state;
    world_open(&world);
    world_started(&world);
    assert_int_equal(world_table(&world, world_key(1), world_key(2), &added.table), KIWI_OK);
    assert_int_equal(version_apply(world.set, &edit), KIWI_OK);
    assert_int_equal(manifest_edit_start(world.manifest, &edit, &write), KIWI_INVALID);
    assert_false(manifest_is_busy(world.manifest));
    world_stop(&world);
    world_close(&world);
}

static void edit_out_of_turn_is_refused(void **state)
{
    struct world          world;
    struct edit_added     added[2] = { { NULL, 0, 1 }, { NULL, 0, 1 } };
    struct version_edit   first = { .added = &added[0], .added_count = 1 };
    struct version_edit   second = { .added = &added[1], .added_count = 1 };
    struct manifest_write write;

    (void)state;
    world_open(&world);
    world_started(&world);
    manifest_run_id_take(world.manifest);
    assert_int_equal(world_table(&world, world_key(1), world_key(2), &added[0].table), KIWI_OK);
    assert_int_equal(world_table(&world, world_key(3), world_key(4), &added[1].table), KIWI_OK);
    assert_int_equal(manifest_edit_start(world.manifest, &first, &write), KIWI_INVALID);
    assert_int_equal(version_apply(world.set, &first), KIWI_OK);
    assert_int_equal(version_apply(world.set, &second), KIWI_OK);
    assert_int_equal(manifest_edit_start(world.manifest, &first, &write), KIWI_INVALID);
    assert_int_equal(manifest_changes_applied(world.manifest), 2);
    assert_int_equal(manifest_changes_durable(world.manifest), 0);
    world_stop(&world);
    world_close(&world);
}

static void failed_write_stops_the_manifest(void **state)
{
    struct world          world;
    struct version_edit   edit = { .flushed_sequence = 5 };
    struct manifest_write write;

    (void)state;
    world_open(&world);
    world_started(&world);
    assert_int_equal(manifest_edit_start(world.manifest, &edit, &write), KIWI_OK);
    manifest_edit_done(world.manifest, KIWI_FULL);
    assert_int_equal(manifest_status(world.manifest), KIWI_FULL);
    assert_int_equal(manifest_flushed_sequence(world.manifest), 0);
    assert_int_equal(manifest_edit_start(world.manifest, &edit, &write), KIWI_STOPPED);
    world_stop(&world);
    world_started(&world);
    assert_int_equal(world.state.flushed_sequence, 0);
    assert_int_equal(world_edit(&world, &edit), KIWI_OK);
    world_stop(&world);
    world_close(&world);
}

static void manifest_of_another_database_or_shard_is_refused(void **state)
{
    struct world world;

    (void)state;
    world_open(&world);
    world_started(&world);
    world_stop(&world);
    world.shard++;
    world_opens_corrupt(&world, "shard 3");
    world.shard--;
    world.database.bytes[0]++;
    world_opens_corrupt(&world, "another database");
    world.database.bytes[0]--;
    world_started(&world);
    world_stop(&world);
    world_close(&world);
}

/* ---- random edits ---- */

/* Goal: after every edit, through many switches, opening shows what was there. Method: random
 * edits; sometimes a crash in between instead of a clean end. */
static void every_edit_survives_reopening(void **state)
{
    struct world world;
    uint64_t     chance = world_seed();

    (void)state;
    world_open(&world);
    world_started(&world);
    for (uint32_t round = 0; round < 600 / SLOWNESS; round++) {
        if (world_random_edit(&world, &chance) != KIWI_OK)
            fail_msg("round %u: %s", round, fail_text());
        char *picture = world_picture(&world);
        if (world_random(&chance, 2) == 0)
            world_stop(&world);
        else
            world_drop(&world);
        world_started(&world);
        char *again = world_picture(&world);
        assert_string_equal(picture, again);
        memory_free(picture);
        memory_free(again);
    }
    assert_true(world.state.table_id_next > 100);
    world_stop(&world);
    world_close(&world);
}

/* ---- crashes: the writes of an edit, cut short ---- */

struct torn {
    struct world         *world;
    struct manifest_write write;
    char                 *before, *after;
    struct world_copy     copy;
};

static const char *name_of(const struct io_request *request)
{
    return strrchr(io_file_path(request->file), '/') + 1;
}

/* The first whole requests, then some sectors of the next one. */
static void torn_write(const struct torn *torn, uint32_t whole, uint64_t *chance)
{
    for (uint32_t i = 0; i < whole; i++) {
        const struct io_request *request = &torn->write.requests[i];

        world_file_write(torn->world, name_of(request), request->buffer, request->bytes,
                         request->offset);
    }
    if (whole == torn->write.count)
        return;
    const struct io_request *request = &torn->write.requests[whole];
    uint32_t                 keep = world_random(chance, 4);

    for (uint32_t at = 0; at < request->bytes; at += 512) {
        bool is_kept = keep == 3 || (keep > 0 && world_random(chance, 4) < keep);

        if (is_kept)
            world_file_write(torn->world, name_of(request), (uint8_t *)request->buffer + at, 512,
                             request->offset + at);
    }
}

/* A version with these tables, as an edit that is encoded but not written. */
static void torn_start(struct torn *torn, const struct version_edit *edit)
{
    struct world *world = torn->world;

    torn->before = world_picture(world);
    assert_int_equal(version_apply(world->set, edit), KIWI_OK);
    assert_int_equal(manifest_edit_start(world->manifest, edit, &torn->write), KIWI_OK);
    torn->after = world_picture(world);
    world_copy_take(world, "manifest", &torn->copy);
}

/* Whatever part of the edit is on disk: old or new, nothing else, and it stays so. */
static void torn_check(struct torn *torn, uint64_t *chance)
{
    uint32_t     old = 0, new = 0;
    struct world second = *torn->world;

    second.manifest = NULL;
    second.set = NULL;
    second.files = NULL;
    for (uint32_t round = 0; round < 120 / SLOWNESS; round++) {
        uint32_t whole = round % (torn->write.count + 1);

        world_copy_restore(torn->world, "manifest", &torn->copy);
        torn_write(torn, whole, chance);
        world_started(&second);
        char *picture = world_picture(&second);
        bool  is_new = strcmp(picture, torn->after) == 0;
        if (!is_new)
            assert_string_equal(picture, torn->before);
        if (whole == torn->write.count)
            assert_true(is_new);
        old += !is_new;
        new += is_new;
        if (world_random(chance, 2) == 0)
            world_drop(&second);
        else
            world_stop(&second);
        world_opens_as(&second, picture);
        memory_free(picture);
    }
    assert_true(new > 0);
    assert_true(old > 0);
}

static void torn_end(struct torn *torn)
{
    memory_free(torn->before);
    memory_free(torn->after);
    world_copy_free(&torn->copy);
    world_stop(torn->world);
}

static void edit_cut_short_is_there_or_not(void **state)
{
    struct world        world;
    struct torn         torn = { .world = &world };
    struct edit_added   added[100];
    struct version_edit edit = { .added = added };
    uint64_t            chance = world_seed();

    (void)state;
    world_open(&world);
    world.pool_bytes_max = 1ull << 40; /* opening the old state does not remove the new tables */
    world_started(&world);
    manifest_run_id_take(world.manifest);
    assert_int_equal(world_add(&world, 1, 5, 0, 1), KIWI_OK);
    assert_int_equal(world_add(&world, 6, 9, 0, 1), KIWI_OK);
    for (; edit.added_count < ARRAY_COUNT(added); edit.added_count++) { /* some pages long */
        uint32_t first = 100 + edit.added_count * 10;

        added[edit.added_count] = (struct edit_added){ NULL, 1, 1 };
        assert_int_equal(world_table(&world, world_key(first), world_key(first + 5),
                                     &added[edit.added_count].table), KIWI_OK);
    }
    torn_start(&torn, &edit);
    assert_int_equal(torn.write.count, 1);
    assert_true(torn.write.requests[0].bytes > 4096);
    torn_check(&torn, &chance);
    torn_end(&torn);
    world_close(&world);
}

static void switch_cut_short_shows_old_or_new(void **state)
{
    struct world world;
    struct torn  torn = { .world = &world };
    uint64_t     chance = world_seed();
    uint32_t     switches = 0;

    (void)state;
    world_open(&world);
    world.pool_bytes_max = 1ull << 40;
    world_started(&world);
    manifest_run_id_take(world.manifest);
    for (uint32_t i = 0; switches < 3; i++) {
        struct edit_added   added = { NULL, 1, 1 };
        struct version_edit edit = { .added = &added, .added_count = 1 };

        assert_true(i < 100);
        assert_int_equal(world_table(&world, world_key(i * 10), world_key(i * 10 + 5),
                                     &added.table), KIWI_OK);
        torn_start(&torn, &edit);
        if (torn.write.count > 1) {
            switches++;
            torn_check(&torn, &chance);
            world_copy_restore(&world, "manifest", &torn.copy);
        }
        assert_int_equal(world_write(&world, &torn.write), KIWI_OK);
        manifest_edit_done(world.manifest, KIWI_OK);
        memory_free(torn.before);
        memory_free(torn.after);
        world_copy_free(&torn.copy);
    }
    char *picture = world_picture(&world);
    world_drop(&world);
    world_opens_as(&world, picture);
    memory_free(picture);
    world_close(&world);
}

/* ---- size ---- */

/* Goal: a state far beyond switch_bytes, in several groups, with the longest keys and narrowed
 * tables, comes back. */
static void large_state_comes_back(void **state)
{
    struct world world;
    uint8_t     *first = malloc(KIWI_KEY_BYTES_MAX), *last = malloc(KIWI_KEY_BYTES_MAX);

    (void)state;
    assert_non_null(first);
    assert_non_null(last);
    memset(first, 0x20, KIWI_KEY_BYTES_MAX);
    memset(last, 0x20, KIWI_KEY_BYTES_MAX);
    world_open(&world);
    world_started(&world);
    manifest_run_id_take(world.manifest);
    for (uint32_t i = 0; i < 200; i++) {
        assert_int_equal(world_add(&world, i * 10, i * 10 + 5, 3, 1), KIWI_OK);
        if (i % 3 == 0) {
            uint64_t             id = manifest_table_id_take(world.manifest) - 1;
            struct edit_narrowed narrowed = { id, world_key(i * 10 + 2) };
            struct version_edit  edit = { .narrowed = &narrowed, .narrowed_count = 1 };

            assert_int_equal(world_edit(&world, &edit), KIWI_OK);
        }
    }
    for (uint32_t i = 0; i < 3; i++) {
        struct edit_added   added = { NULL, 2, 1 };
        struct version_edit edit = { .added = &added, .added_count = 1 };

        first[KIWI_KEY_BYTES_MAX - 1] = (uint8_t)(2 * i);
        last[KIWI_KEY_BYTES_MAX - 1] = (uint8_t)(2 * i + 1);
        assert_int_equal(world_table(&world, bytes_of(first, KIWI_KEY_BYTES_MAX),
                                     bytes_of(last, KIWI_KEY_BYTES_MAX), &added.table), KIWI_OK);
        assert_int_equal(world_edit(&world, &edit), KIWI_OK);
    }
    char *picture = world_picture(&world);
    world_drop(&world);
    world_opens_as(&world, picture);
    world_opens_as(&world, picture);
    memory_free(picture);
    free(first);
    free(last);
    world_close(&world);
}

/* ---- memory ---- */

/* Goal: whichever allocation fails while opening, the answer is KIWI_NO_MEMORY, nothing leaks and
 * nothing on disk is harmed. */
static void opening_without_memory_harms_nothing(void **state)
{
    struct world      world;
    struct world_copy copy;
    char             *picture = world_history(&world, &copy);
    uint64_t          bytes = memory_allocated_bytes();
    enum kiwi_status  status = KIWI_NO_MEMORY;

    (void)state;
    for (uint64_t n = 1; status != KIWI_OK; n++) {
        memory_fail_after(n);
        status = world_start(&world);
        memory_fail_after(0);
        if (status == KIWI_OK)
            break;
        assert_int_equal(status, KIWI_NO_MEMORY);
        assert_int_equal(memory_allocated_bytes(), bytes);
        assert_true(n < 10000);
    }
    world_drop(&world);
    world_opens_as(&world, picture);
    world_copy_free(&copy);
    memory_free(picture);
    world_close(&world);
}

static void edit_without_memory_may_be_repeated(void **state)
{
    struct world          world;
    struct manifest_write write;

    (void)state;
    world_open(&world);
    world_started(&world);
    manifest_run_id_take(world.manifest);
    for (uint32_t i = 0; i < 20; i++) { /* over some switches */
        struct edit_added   added = { NULL, 1, 1 };
        struct version_edit edit = { .added = &added, .added_count = 1 };
        enum kiwi_status    status = KIWI_NO_MEMORY;

        assert_int_equal(world_table(&world, world_key(i * 10), world_key(i * 10 + 5),
                                     &added.table), KIWI_OK);
        assert_int_equal(version_apply(world.set, &edit), KIWI_OK);
        for (uint64_t n = 1; status != KIWI_OK; n++) {
            memory_fail_after(n);
            status = manifest_edit_start(world.manifest, &edit, &write);
            memory_fail_after(0);
            assert_true(status == KIWI_OK || status == KIWI_NO_MEMORY);
            assert_int_equal(manifest_is_busy(world.manifest), status == KIWI_OK);
        }
        assert_int_equal(world_write(&world, &write), KIWI_OK);
        manifest_edit_done(world.manifest, KIWI_OK);
    }
    char *picture = world_picture(&world);
    world_drop(&world);
    world_opens_as(&world, picture);
    memory_free(picture);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_manifest_holds_nothing),
        cmocka_unit_test(edit_comes_back_with_sequence_and_log_position),
        cmocka_unit_test(edit_without_tables_moves_the_log_position),
        cmocka_unit_test(ids_are_never_given_out_twice),
        cmocka_unit_test(edit_with_a_foreign_id_is_refused),
        cmocka_unit_test(edit_out_of_turn_is_refused),
        cmocka_unit_test(failed_write_stops_the_manifest),
        cmocka_unit_test(manifest_of_another_database_or_shard_is_refused),
        cmocka_unit_test(every_edit_survives_reopening),
        cmocka_unit_test(edit_cut_short_is_there_or_not),
        cmocka_unit_test(switch_cut_short_shows_old_or_new),
        cmocka_unit_test(large_state_comes_back),
        cmocka_unit_test(opening_without_memory_harms_nothing),
        cmocka_unit_test(edit_without_memory_may_be_repeated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
