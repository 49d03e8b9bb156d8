/*
 * version_damage.c: damage of every kind to a manifest is told, with file and offset, or harmless.
 */
#include "version_world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/format/manifest_format.h"

#ifdef KIWI_SANITIZED
#define SLOWNESS 8u /* how many times fewer rounds */
#else
#define SLOWNESS 1u
#endif

/* Corrupt, or exactly what was there. */
static bool damage_is_told_or_harmless(struct world *world, const char *picture)
{
    enum kiwi_status status = world_start(world);

    if (status == KIWI_OK) {
        char *again = world_picture(world);

        assert_string_equal(again, picture);
        memory_free(again);
        world_stop(world);
        return false;
    }
    assert_int_equal(status, KIWI_CORRUPT);
    assert_non_null(strstr(fail_text(), "manifest-"));
    assert_non_null(strstr(fail_text(), "offset"));
    return true;
}

/* Goal: no flipped bit of either file changes what is read unseen. Method: every bit of what is not
 * zero, and some of the rest, one at a time. */
static void flipped_bits_are_told_or_harmless(void **state)
{
    struct world      world;
    struct world_copy copy;
    char             *picture = world_history(&world, &copy);
    uint64_t          chance = world_seed();
    uint32_t          told = 0, harmless = 0;

    (void)state;
    for (uint32_t i = 0; i < copy.count; i++) {
        struct world_file *file = &copy.files[i];

        for (size_t bit = 0; bit < 8 * file->size; bit++) {
            size_t   at = bit / 8;
            uint32_t odds = file->bytes[at] != 0 ? 3 * SLOWNESS : 400 * SLOWNESS;

            if (world_random(&chance, odds) != 0)
                continue;
            world_copy_restore(&world, "manifest", &copy);
            uint8_t flipped = file->bytes[at] ^ (uint8_t)(1u << bit % 8);
            world_file_write(&world, file->name, &flipped, 1, at);
            if (damage_is_told_or_harmless(&world, picture))
                told++;
            else
                harmless++;
        }
    }
    print_message("told %u, harmless %u\n", told, harmless);
    assert_true(told > 100 / SLOWNESS);
    assert_true(harmless > 100 / SLOWNESS);
    world_copy_restore(&world, "manifest", &copy);
    world_opens_as(&world, picture);
    world_copy_free(&copy);
    memory_free(picture);
    world_close(&world);
}

static void zeroed_pages_are_told_or_harmless(void **state)
{
    struct world         world;
    struct world_copy    copy;
    char                *picture = world_history(&world, &copy);
    static const uint8_t zeros[4096];
    uint32_t             told = 0;

    (void)state;
    for (uint32_t i = 0; i < copy.count; i++) {
        for (size_t at = 0; at < copy.files[i].size; at += 512) {
            world_copy_restore(&world, "manifest", &copy);
            world_file_write(&world, copy.files[i].name, zeros, at % 1024 == 0 ? 512 : 4096, at);
            told += damage_is_told_or_harmless(&world, picture);
        }
    }
    assert_true(told > 4);
    world_copy_free(&copy);
    memory_free(picture);
    world_close(&world);
}

static void random_files_are_refused(void **state)
{
    struct world      world;
    struct world_copy copy;
    char             *picture = world_history(&world, &copy);
    uint64_t          chance = world_seed();
    uint8_t           noise[8192];

    (void)state;
    for (uint32_t round = 0; round < 200 / SLOWNESS; round++) {
        world_copy_restore(&world, "manifest", &copy);
        for (uint32_t i = 0; i < copy.count; i++) {
            for (size_t k = 0; k < sizeof noise; k++)
                noise[k] = (uint8_t)world_random(&chance, 256);
            world_file_write(&world, copy.files[i].name, noise, sizeof noise, 0);
        }
        world_opens_corrupt(&world, "manifest-");
    }
    world_copy_free(&copy);
    memory_free(picture);
    world_close(&world);
}

/* The generation of a file that is live, else 0. */
static uint64_t live_generation(const struct world_file *file)
{
    le64 generation, successor;

    memcpy(&generation, file->bytes + 48, 8);
    memcpy(&successor, file->bytes + 56, 8);
    return le64_get(successor) == 0 ? le64_get(generation) : 0;
}

static void truncated_files_are_told_or_harmless(void **state)
{
    struct world      world;
    struct world_copy copy, shorter;
    char             *picture = world_history(&world, &copy);

    (void)state;
    for (uint32_t i = 0; i < copy.count; i++) {
        uint32_t told = 0;

        for (size_t size = 0; size < copy.files[i].size; size += 256) {
            shorter = copy;
            shorter.files[i].size = size;
            world_copy_restore(&world, "manifest", &shorter);
            told += damage_is_told_or_harmless(&world, picture);
        }
        world_copy_restore(&world, "manifest", &copy);
        world_opens_as(&world, picture);
        assert_int_equal(told > 0, live_generation(&copy.files[i]) > 0);
    }
    world_copy_free(&copy);
    memory_free(picture);
    world_close(&world);
}

static void missing_live_file_is_told_and_missing_retired_file_made_again(void **state)
{
    struct world      world;
    struct world_copy copy;
    char             *picture = world_history(&world, &copy);

    (void)state;
    for (uint32_t i = 0; i < copy.count; i++) {
        world_copy_restore(&world, "manifest", &copy);
        world_remove(&world, copy.files[i].name);
        if (live_generation(&copy.files[i]) > 0) {
            world_opens_corrupt(&world, copy.files[i].name);
            assert_non_null(strstr(fail_text(), "missing"));
        } else {
            world_opens_as(&world, picture);
            assert_true(world_has(&world, copy.files[i].name));
            world_opens_as(&world, picture);
        }
    }
    world_copy_restore(&world, "manifest", &copy);
    world_remove(&world, "manifest-0");
    world_remove(&world, "manifest-1");
    world_opens_corrupt(&world, "no manifest");
    world_copy_free(&copy);
    memory_free(picture);
    world_close(&world);
}

/* Goal: an old copy of a file, put back, does not pass for the newest state. */
static void older_copy_check(uint32_t switch_count)
{
    struct world      world;
    struct world_copy older, newer;
    char             *picture = world_history(&world, &older);
    uint64_t          written;
    uint32_t          key = 10000, switches = 0;

    memory_free(picture);
    world_started(&world);
    written = manifest_written_bytes(world.manifest);
    while (switches < switch_count) {
        assert_int_equal(world_add(&world, key, key + 4, 2, 1), KIWI_OK);
        key += 10;
        switches += manifest_written_bytes(world.manifest) - written > 8192;
        written = manifest_written_bytes(world.manifest);
    }
    picture = world_picture(&world);
    world_stop(&world);
    world_copy_take(&world, "manifest", &newer);
    for (uint32_t i = 0; i < newer.count; i++) {
        for (uint32_t k = 0; k < older.count; k++) {
            if (strcmp(older.files[k].name, newer.files[i].name) != 0)
                continue;
            world_copy_restore(&world, "manifest", &newer);
            world_file_write(&world, older.files[k].name, older.files[k].bytes,
                             older.files[k].size, 0);
            if (live_generation(&newer.files[i]) > 0)
                world_opens_corrupt(&world, newer.files[i].name);
            else
                world_opens_as(&world, picture);
        }
    }
    /* One file as the other. */
    for (uint32_t i = 0; i < 2; i++) {
        world_copy_restore(&world, "manifest", &newer);
        world_file_write(&world, newer.files[1 - i].name, newer.files[i].bytes,
                         newer.files[i].size, 0);
        if (live_generation(&newer.files[i]) > 0)
            world_opens_as(&world, picture); /* the retired one is made again */
        else
            world_opens_corrupt(&world, newer.files[1 - i].name);
    }
    world_copy_free(&older);
    world_copy_free(&newer);
    memory_free(picture);
    world_close(&world);
}

static void older_copy_of_a_file_is_told(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= 4; i++)
        older_copy_check(i);
}

static void missing_or_swapped_table_file_is_told(void **state)
{
    struct world      world;
    struct world_copy manifests, tables, swapped;
    char             *picture = world_history(&world, &manifests);

    (void)state;
    world_copy_take(&world, "t-", &tables);
    assert_true(tables.count >= 4);
    world_remove(&world, tables.files[2].name);
    world_opens_corrupt(&world, tables.files[2].name);
    swapped = tables;
    swapped.files[0].bytes = tables.files[1].bytes;
    swapped.files[0].size = tables.files[1].size;
    swapped.files[1].bytes = tables.files[0].bytes;
    swapped.files[1].size = tables.files[0].size;
    world_copy_restore(&world, "manifest", &manifests);
    world_copy_restore(&world, "t-", &swapped);
    world_opens_corrupt(&world, "t-0");
    swapped = tables;
    swapped.files[3].size /= 2;
    world_copy_restore(&world, "t-", &swapped);
    world_opens_corrupt(&world, tables.files[3].name);
    swapped.files[3].size = 0;
    world_copy_restore(&world, "t-", &swapped);
    world_opens_corrupt(&world, tables.files[3].name);
    world_copy_restore(&world, "t-", &tables);
    world_opens_as(&world, picture);
    world_copy_free(&tables);
    world_copy_free(&manifests);
    memory_free(picture);
    world_close(&world);
}

/* ---- whole groups that should not be there ---- */

/* The live file of a copy, and where its last group ends. */
struct live {
    struct world_file    *file;
    struct manifest_head  head;
    struct manifest_group last;
    uint64_t              last_offset, end;
};

static struct live live_find(const struct world *world, struct world_copy *copy)
{
    struct manifest_identity identity = { world->database, world->shard };
    struct manifest_group    group;
    struct live              live = { .file = &copy->files[live_generation(&copy->files[0]) == 0] };
    uint32_t                 slot = (uint32_t)(live.file->name[9] - '0');

    assert_int_equal(manifest_head_decode(live.file->bytes, &identity, slot, &live.head), KIWI_OK);
    for (live.end = 4096; live.end < live.head.file_bytes
             && manifest_group_decode(live.file->bytes + live.end, live.head.file_bytes - live.end,
                                      &identity, live.head.generation, &group);) {
        live.last = group;
        live.last_offset = live.end;
        live.end += manifest_group_bytes(group.payload.size);
    }
    assert_true(live.end + 8192 <= live.head.file_bytes);
    return live;
}

struct craft {
    struct manifest_edit  edit;
    struct manifest_added added[2];
    uint64_t              removed[2];
    struct manifest_narrowed narrowed[1];
    uint64_t              number, durable_number, previous_checksum;
};

/* A harmless edit behind the last group. */
static void craft_start(struct craft *craft, const struct live *live)
{
    *craft = (struct craft){
        .edit = { .scalars = { 1000, 1, 4096, 1u << 30, 1u << 30, 1u << 30 } },
        .number = live->last.number + 1,
        .durable_number = live->last.number,
        .previous_checksum = live->last.checksum,
    };
    for (uint32_t i = 0; i < 2; i++)
        craft->added[i] = (struct manifest_added){
            .id = 5000 + i, .run_id = 1, .file_id = 5000 + i, .level = 2, .file_bytes = 8192,
            .entry_count = 1, .smallest = bytes_of(i == 0 ? "x" : "z", 1),
            .largest = bytes_of(i == 0 ? "y" : "z", 1),
        };
    craft->edit.added = craft->added;
    craft->edit.removed = craft->removed;
    craft->edit.narrowed = craft->narrowed;
}

static void craft_write(const struct world *world, const struct live *live,
                        const struct craft *craft)
{
    struct manifest_identity identity = { world->database, world->shard };
    uint8_t                  space[4096];
    uint8_t                 *payload = space + sizeof(struct manifest_group_header);
    uint64_t bytes = manifest_edit_encode(payload, 4000, &craft->edit);
    struct manifest_group group = {
        .kind = MANIFEST_GROUP_EDIT,
        .generation = live->head.generation,
        .number = craft->number,
        .durable_number = craft->durable_number,
        .previous_checksum = craft->previous_checksum,
        .payload = bytes_of(payload, bytes),
    };

    manifest_group_encode(space, &identity, &group);
    world_file_write(world, live->file->name, space, sizeof space, live->end);
}

/* Goal: a whole group that does not fit what stands before it is told, whatever is wrong with
 * it. */
static void group_that_does_not_fit_is_told(void **state)
{
    static const char *const words[] = {
        "group", "group", "group", "not there", "twice", "narrows", "overlap", "future", "future",
        "future", "missing", "t-0000000", "no ids are left", "no ids are left", "no ids are left",
        "not there", "not there",
    };
    struct world      world;
    struct world_copy copy;
    char             *picture = world_history(&world, &copy);
    struct live       live = live_find(&world, &copy);

    (void)state;
    for (uint32_t i = 0; i <= ARRAY_COUNT(words); i++) {
        struct craft craft;

        craft_start(&craft, &live);
        switch (i) {
        case 0: craft.number++; break;
        case 1: craft.previous_checksum++; break;
        case 2: craft.number = 1; craft.durable_number = 0; break;
        case 3: craft.removed[0] = 4000; craft.edit.removed_count = 1; break;
        case 4: craft.added[1].id = 5000; craft.edit.added_count = 2; break;
        case 5: craft.narrowed[0] = (struct manifest_narrowed){ 4000, bytes_of("a", 1) };
                craft.edit.narrowed_count = 1; break;
        case 6: craft.added[1].smallest = bytes_of("y", 1); craft.edit.added_count = 2; break;
        case 7: craft.edit.scalars.table_id_next = 5000; craft.edit.added_count = 1; break;
        case 8: craft.edit.scalars.file_id_next = 5000; craft.edit.added_count = 1; break;
        case 9: craft.edit.scalars.run_id_next = 1; craft.edit.added_count = 1; break;
        case 10: craft.edit.added_count = 1; break;
        case 11: craft.added[0].file_id = 1; craft.edit.added_count = 1; break; /* taken */
        case 12: craft.edit.scalars.table_id_next = MANIFEST_ID_MAX; break;
        case 13: craft.edit.scalars.file_id_next = MANIFEST_ID_MAX; break;
        case 14: craft.edit.scalars.run_id_next = MANIFEST_ID_MAX; break;
        case 15: craft.removed[0] = 5000; craft.edit.removed_count = 1; /* moved, but never there */
                 craft.edit.added_count = 1; break;
        case 16: craft.removed[0] = 1; craft.removed[1] = 4000; /* one moves, one is not there */
                 craft.edit.removed_count = 2; craft.added[0].id = 1; craft.edit.added_count = 1;
                 break;
        default: break; /* nothing is wrong: the picture differs by the sequence alone */
        }
        world_copy_restore(&world, "manifest", &copy);
        craft_write(&world, &live, &craft);
        if (i == ARRAY_COUNT(words)) {
            world_started(&world);
            assert_int_equal(world.state.flushed_sequence, 1000);
            world_stop(&world);
        } else
            world_opens_corrupt(&world, words[i]);
    }
    world_copy_restore(&world, "manifest", &copy);
    world_opens_as(&world, picture);
    world_copy_free(&copy);
    memory_free(picture);
    world_close(&world);
}

/* Goal: of two live files the younger is taken; that both are equally young is told. */
static void two_files_of_one_generation_are_told(void **state)
{
    struct world         world;
    struct world_copy    copy;
    char                *picture = world_history(&world, &copy);
    struct live          live = live_find(&world, &copy);
    struct world_file   *other = &copy.files[live.file == &copy.files[0]];
    struct manifest_head head = live.head;
    uint8_t              block[4096];
    struct manifest_identity identity = { world.database, world.shard };

    (void)state;
    head.slot = 1 - head.slot;
    manifest_head_encode(block, &identity, &head);
    world_file_write(&world, other->name, block, sizeof block, 0);
    world_opens_corrupt(&world, "both manifests are generation");
    world_copy_restore(&world, "manifest", &copy);
    world_opens_as(&world, picture);
    world_copy_free(&copy);
    memory_free(picture);
    world_close(&world);
}

/* Goal: a whole group whose payload is no edit is told, with its place. */
static void group_whose_payload_is_no_edit_is_told(void **state)
{
    struct world      world;
    struct world_copy copy;
    char             *picture = world_history(&world, &copy);
    struct live       live = live_find(&world, &copy);

    (void)state;
    for (size_t bytes = 0; bytes <= 40; bytes += 8) {
        struct manifest_identity identity = { world.database, world.shard };
        uint8_t                  space[4096];
        struct manifest_group    group = {
            .kind = MANIFEST_GROUP_EDIT,
            .generation = live.head.generation,
            .number = live.last.number + 1,
            .durable_number = live.last.number,
            .previous_checksum = live.last.checksum,
            .payload = bytes_of(space + sizeof(struct manifest_group_header), bytes),
        };

        memset(space, 0xc1, sizeof space); /* the one byte that msgpack never uses */
        manifest_group_encode(space, &identity, &group);
        world_copy_restore(&world, "manifest", &copy);
        world_file_write(&world, live.file->name, space, sizeof space, live.end);
        world_opens_corrupt(&world, "offset");
    }
    world_copy_restore(&world, "manifest", &copy);
    world_opens_as(&world, picture);
    world_copy_free(&copy);
    memory_free(picture);
    world_close(&world);
}

/* Goal: a state is durable before its header, so a part of it is never taken for a torn end. */
static void state_without_its_end_is_told(void **state)
{
    static const uint8_t     zeros[1 << 20];
    struct world             world;
    struct world_copy        copy;
    char                    *picture = world_history(&world, &copy);
    struct live              live = live_find(&world, &copy);
    struct manifest_identity identity = { world.database, world.shard };
    uint64_t                 state_end = 4096 + live.head.state_bytes;
    uint8_t                  page[4096];

    (void)state;
    world_copy_restore(&world, "manifest", &copy);
    world_file_write(&world, live.file->name, zeros, live.head.file_bytes - state_end + 4096,
                     state_end - 4096);
    world_opens_corrupt(&world, "state");
    for (uint32_t i = 0; i < 3; i++) { /* a header that names another state */
        struct manifest_head head = live.head;

        head.state_checksum += i == 0;
        head.state_bytes += i == 1 ? 4096 : 0;
        if (i == 2) {
            head.state_group_count++;
            head.state_bytes += 4096;
        }
        manifest_head_encode(page, &identity, &head);
        world_copy_restore(&world, "manifest", &copy);
        world_file_write(&world, live.file->name, page, sizeof page, 0);
        world_opens_corrupt(&world, "state");
    }
    world_copy_restore(&world, "manifest", &copy);
    world_opens_as(&world, picture);
    world_copy_free(&copy);
    memory_free(picture);
    world_close(&world);
}

/* Goal: closing is one small write, however full the file is. Method: closes at every fill
 * level. */
static void closing_never_switches(void **state)
{
    struct world      world;
    struct world_copy before, after;

    (void)state;
    world_open(&world);
    for (uint32_t i = 0; i < 40; i++) {
        struct version_edit edit = { .flushed_sequence = i + 1 };

        world_started(&world);
        for (uint32_t k = 0; k < i % 5; k++) {
            edit.flushed_sequence++;
            assert_int_equal(world_edit(&world, &edit), KIWI_OK);
        }
        world_copy_take(&world, "manifest", &before);
        world_stop(&world);
        world_copy_take(&world, "manifest", &after);
        for (uint32_t k = 0; k < 2; k++)
            assert_memory_equal(before.files[k].bytes, after.files[k].bytes, 4096);
        world_copy_free(&before);
        world_copy_free(&after);
    }
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flipped_bits_are_told_or_harmless),
        cmocka_unit_test(zeroed_pages_are_told_or_harmless),
        cmocka_unit_test(random_files_are_refused),
        cmocka_unit_test(truncated_files_are_told_or_harmless),
        cmocka_unit_test(missing_live_file_is_told_and_missing_retired_file_made_again),
        cmocka_unit_test(older_copy_of_a_file_is_told),
        cmocka_unit_test(missing_or_swapped_table_file_is_told),
        cmocka_unit_test(group_that_does_not_fit_is_told),
        cmocka_unit_test(two_files_of_one_generation_are_told),
        cmocka_unit_test(group_whose_payload_is_no_edit_is_told),
        cmocka_unit_test(state_without_its_end_is_told),
        cmocka_unit_test(closing_never_switches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
