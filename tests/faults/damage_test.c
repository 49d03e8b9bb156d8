/*
 * damage_test.c: files of a closed database are damaged, cut, removed, or exchanged.
 *
 * Goal: an open or a read says KIWI_CORRUPT and names the file, or the damage is harmless; no read
 * shows other bytes or "no such key"; a refused open deletes nothing: with the file put back the
 * database is whole. Method: one database with tables, log and manifests is kept in memory; each
 * damage starts from it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/faults/image.h"
#define CHECK_LABEL scene.label
#include "tests/support/check.h"
#include "tests/support/world.h"

#define KEYS 600u
#ifdef KIWI_SANITIZED
#define REPAIR_EVERY 15u
#else
#define REPAIR_EVERY 5u
#endif

static uint64_t seed_under_test;

struct scene {
    struct world  world;
    struct image  image;
    char          label[200];
    const char   *damaged, *damaged_too; /* paths */
    uint32_t      runs, refused_opens, failed_reads, harmless, verified_too;
    uint32_t      repairs, repairs_refused, keys_kept;
};

static struct scene scene;

static struct kiwi_slice key_of(uint32_t key, char room[32])
{
    return (struct kiwi_slice){ room, (size_t)snprintf(room, 32, "key-%05u", key) };
}

static struct kiwi_slice value_of(uint32_t key, char room[512])
{
    int used = snprintf(room, 512, "value of %05u ", key);

    memset(room + used, 'a' + (int)(key % 26), 250);
    return (struct kiwi_slice){ room, (size_t)used + 250 };
}

static void put_range(uint32_t first, uint32_t step)
{
    char key[32], value[512];

    for (uint32_t i = first; i < KEYS; i += step)
        check_ok(kiwi_put(scene.world.context, key_of(i, key), value_of(i, value), KIWI_PROCESS));
}

/* A third of the keys in the last level, a third in a younger table, a third in the log. */
static int scene_begin(void **state)
{
    struct world *world = &scene.world;

    (void)state;
    snprintf(scene.label, sizeof scene.label, "making the database");
    world_make(world, WORLD_POSIX, seed_under_test);
    world->options.drive = KIWI_ATTACHED;
    world->options.memtable_bytes = 512u << 10;
    check_ok(world_open(world));
    put_range(0, 3);
    check_ok(kiwi_compact(world->context, (struct kiwi_slice){ NULL, 0 },
                          (struct kiwi_slice){ NULL, 0 }));
    put_range(1, 3);
    check_ok(kiwi_flush(world->context));
    put_range(2, 3);
    check_ok(world_close(world));
    image_take(&scene.image, world->directory);
    return 0;
}

static int scene_end(void **state)
{
    (void)state;
    image_free(&scene.image);
    world_end(&scene.world);
    printf("%u damages: %u opens refused, %u with failed reads, %u harmless; verify named also %u "
           "of the harmless\n", scene.runs, scene.refused_opens, scene.failed_reads, scene.harmless,
           scene.verified_too);
    printf("%u of them repaired: %u of %u keys kept, %u with nothing to read\n", scene.repairs,
           scene.keys_kept, scene.repairs * KEYS, scene.repairs_refused);
    return 0;
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

/* The text tells where to look: the damaged file, or one that is exchanged with it. */
static void text_check(const char *what, enum kiwi_status status)
{
    const char *text = kiwi_error_text();

    if (status != KIWI_CORRUPT)
        fail_msg("%s: %s says %s: %s", scene.label, what, kiwi_status_text(status), text);
    if (strstr(text, name_of(scene.damaged)) == NULL
        && (scene.damaged_too == NULL || strstr(text, name_of(scene.damaged_too)) == NULL))
        fail_msg("%s: %s names another file: %s", scene.label, what, text);
}

/* ---- verify ---- */

struct verified {
    enum kiwi_status status;
    uint32_t         damages;
    bool             names_it; /* some finding is about a damaged file */
};

static void finding_see(void *context, const struct kiwi_finding *finding)
{
    struct verified *verified = context;
    const char      *files[] = { scene.damaged, scene.damaged_too };

    if (finding->kind != KIWI_FINDING_DAMAGE)
        return;
    verified->damages++;
    for (uint32_t i = 0; i < 2; i++)
        verified->names_it |= files[i] != NULL
                           && (strstr(finding->text, name_of(files[i])) != NULL
                               || strcmp(name_of(finding->file), name_of(files[i])) == 0);
}

/* What kiwi_verify says of the directory as it is; it must leave it so. */
static struct verified verify_look(void)
{
    struct verified            verified = { 0 };
    struct kiwi_verify_options options = { .io_backend = KIWI_IO_POSIX, .found = finding_see,
                                           .context = &verified };
    struct kiwi_verify_report  report;
    struct image               before = { .count = 0 };
    bool                       compares = scene.runs % 8 == 0;

    if (compares)
        image_take(&before, scene.world.directory);
    verified.status = kiwi_verify(scene.world.directory, &options, &report);
    if (compares && !image_is(&before, scene.world.directory))
        fail_msg("%s: verify has changed the directory", scene.label);
    image_free(&before);
    assert_int_equal(report.damage_count, verified.damages);
    if (verified.status == KIWI_OK)
        assert_int_equal(verified.damages, 0);
    return verified;
}

/* What an open or a read has met, verify has told, with the file's name. */
static void verified_check(const struct verified *verified, bool was_met)
{
    if (verified->status != KIWI_OK && verified->status != KIWI_CORRUPT
        && verified->status != KIWI_UNSUPPORTED)
        fail_msg("%s: verify says %s: %s", scene.label, kiwi_status_text(verified->status),
                 kiwi_error_text());
    if (verified->status == KIWI_OK && was_met)
        fail_msg("%s: verify has found nothing", scene.label);
    if (verified->status == KIWI_CORRUPT && !verified->names_it)
        fail_msg("%s: verify names another file", scene.label);
    scene.verified_too += verified->status == KIWI_CORRUPT && !was_met;
}

/* How many keys could not be read. */
static uint32_t gets_check(bool errors_allowed)
{
    struct kiwi_buffer value = { 0 };
    uint32_t           failed = 0;

    for (uint32_t i = 0; i < KEYS; i++) {
        char              key_room[32], value_room[512];
        struct kiwi_slice key = key_of(i, key_room), want = value_of(i, value_room);
        enum kiwi_status  status = kiwi_get(scene.world.context, key, NULL, &value);

        if (status == KIWI_OK) {
            if (value.size != want.size || memcmp(value.data, want.data, want.size) != 0)
                fail_msg("%s: %s holds other bytes", scene.label, key_room);
            continue;
        }
        if (status == KIWI_NOT_FOUND || !errors_allowed)
            fail_msg("%s: %s: %s", scene.label, key_room, kiwi_status_text(status));
        text_check("a get", status);
        if (strstr(kiwi_error_text(), "offset") == NULL)
            fail_msg("%s: no offset in: %s", scene.label, kiwi_error_text());
        failed++;
    }
    kiwi_buffer_free(&value);
    return failed;
}

/* True when the scan met an error. */
static bool scan_check(void)
{
    struct kiwi_iterator *iterator;
    enum kiwi_status      status;
    uint32_t              next = 0;
    char                  room[512];

    check_ok(kiwi_iterator_open(scene.world.context, NULL, &iterator));
    for (status = kiwi_iterator_first(iterator); status == KIWI_OK;
         status = kiwi_iterator_next(iterator), next++) {
        struct kiwi_slice key = kiwi_iterator_key(iterator), row = kiwi_iterator_value(iterator);
        char              key_room[32];
        struct kiwi_slice want_key = key_of(next, key_room), want = value_of(next, room);

        if (key.size != want_key.size || memcmp(key.data, want_key.data, key.size) != 0
            || row.size != want.size || memcmp(row.data, want.data, row.size) != 0)
            fail_msg("%s: row %u of a scan is wrong", scene.label, next);
    }
    if (status == KIWI_NOT_FOUND && next != KEYS)
        fail_msg("%s: a scan ends after %u rows", scene.label, next);
    if (status != KIWI_NOT_FOUND)
        text_check("a scan", status);
    kiwi_iterator_close(iterator);
    return status != KIWI_NOT_FOUND;
}

/* No runner: nothing may change the files but the open itself. */
static enum kiwi_status scene_open(void)
{
    enum kiwi_status status = kiwi_open(scene.world.directory, &scene.world.options,
                                        &scene.world.db);

    if (status == KIWI_OK)
        check_ok(kiwi_context_open(scene.world.db, 64, &scene.world.context));
    return status;
}

static void restored_check(void)
{
    for (uint32_t i = 0; i < scene.image.count; i++) {
        const struct image_file *file = &scene.image.files[i];
        bool is_ours = strcmp(file->path, scene.damaged) == 0
                    || (scene.damaged_too != NULL && strcmp(file->path, scene.damaged_too) == 0);

        if (is_ours)
            file_put(scene.world.directory, file);
        else if (!file_is_there(scene.world.directory, file->path))
            fail_msg("%s: a refused open has deleted %s", scene.label, file->path);
    }
    check_ok(scene_open());
    (void)gets_check(false);
    check_ok(world_close(&scene.world));
}

/* ---- repair ---- */

/* How many keys the database at path holds, each with the bytes that were written. */
static uint32_t saved_count(const char *path)
{
    struct kiwi_options  options = scene.world.options;
    struct kiwi_db      *db;
    struct kiwi_context *context;
    struct kiwi_buffer   value = { 0 };
    uint32_t             count = 0;

    options.create = false;
    check_ok(kiwi_open(path, &options, &db));
    check_ok(kiwi_context_open(db, 16, &context));
    for (uint32_t i = 0; i < KEYS; i++) {
        char              key_room[32], value_room[512];
        struct kiwi_slice want = value_of(i, value_room);
        enum kiwi_status  status = kiwi_get(context, key_of(i, key_room), NULL, &value);

        if (status == KIWI_NOT_FOUND)
            continue;
        check_ok(status);
        if (value.size != want.size || memcmp(value.data, want.data, want.size) != 0)
            fail_msg("%s: repair has made up bytes for %s", scene.label, key_room);
        count++;
    }
    kiwi_buffer_free(&value);
    kiwi_context_close(context);
    check_ok(kiwi_close(db));
    return count;
}

/* What can be read of the damaged database is in the repaired one; the damaged one stays as it is.
 * damaged: it, freed here; readable: keys that gets find in it. */
static void repair_judge(struct image *damaged, uint32_t readable)
{
    struct kiwi_repair_options options = { .io_backend = KIWI_IO_POSIX, .memory_bytes = 8u << 20 };
    struct kiwi_repair_report  report;
    char                       path[300];
    enum kiwi_status           status;
    uint32_t                   saved;

    snprintf(path, sizeof path, "%s-saved", scene.world.directory);
    image_put(damaged, scene.world.directory);
    status = kiwi_repair(scene.world.directory, path, &options, &report);
    if (!image_is(damaged, scene.world.directory))
        fail_msg("%s: repair has changed the damaged database", scene.label);
    image_free(damaged);
    scene.repairs++;
    if (report.source.shard_count == 0) {
        if (strcmp(name_of(scene.damaged), "IDENTITY") != 0 || status == KIWI_OK)
            fail_msg("%s: repair: %s: %s", scene.label, kiwi_status_text(status),
                     kiwi_error_text());
        scene.repairs_refused++;
        return;
    }
    if (status != KIWI_OK && status != KIWI_CORRUPT)
        fail_msg("%s: repair: %s: %s", scene.label, kiwi_status_text(status), kiwi_error_text());
    saved = saved_count(path);
    assert_int_equal(saved, report.kept_keys);
    if (saved < readable)
        fail_msg("%s: %u keys can be read, repair has saved %u", scene.label, readable, saved);
    if (status == KIWI_OK)
        assert_int_equal(saved, KEYS);
    scene.keys_kept += saved;
    directory_remove(path);
}

/* The damage is done: judges. Returns the number of keys that cannot be read. */
static uint32_t damage_judge(void)
{
    struct verified  verified = verify_look();
    bool             is_repaired = scene.runs++ % REPAIR_EVERY == 0;
    uint32_t         failed;
    bool             scan_failed;
    struct image     damaged;
    enum kiwi_status status;

    if (is_repaired)
        image_take(&damaged, scene.world.directory);
    status = scene_open();
    if (status != KIWI_OK) {
        verified_check(&verified, true);
        text_check("open", status);
        scene.refused_opens++;
        restored_check();
        if (is_repaired)
            repair_judge(&damaged, 0);
        return KEYS;
    }
    failed = gets_check(true);
    scan_failed = scan_check();
    verified_check(&verified, failed > 0 || scan_failed);
    scene.failed_reads += failed > 0 || scan_failed;
    scene.harmless += failed == 0 && !scan_failed;
    (void)world_close(&scene.world);
    if (is_repaired)
        repair_judge(&damaged, KEYS - failed);
    return failed;
}

static void a_whole_database_is_verified_and_left_as_it_is(void **state)
{
    struct verified verified;

    (void)state;
    scene.damaged = scene.damaged_too = NULL;
    scene.runs = 0;
    snprintf(scene.label, sizeof scene.label, "nothing damaged");
    image_put(&scene.image, scene.world.directory);
    verified = verify_look();
    assert_int_equal(verified.status, KIWI_OK);
    check_ok(scene_open());
    verified = verify_look();
    assert_int_equal(verified.status, KIWI_LOCKED);
    (void)world_close(&scene.world);
}

static void damage_begin(const char *what, const char *path, const char *too)
{
    image_put(&scene.image, scene.world.directory);
    scene.damaged = path;
    scene.damaged_too = too;
    snprintf(scene.label, sizeof scene.label, "%s %s", what, path);
}

static bool is_kind(const struct image_file *file, const char *kind)
{
    return strncmp(name_of(file->path), kind, strlen(kind)) == 0;
}

static void flips_judge(const char *kind, uint32_t per_file)
{
    uint32_t flips = test_is_long() ? 20 * per_file : sweep_of(per_file, (per_file + 3) / 4);
    uint64_t chance = seed_under_test;

    for (uint32_t i = 0; i < scene.image.count; i++) {
        const struct image_file *file = &scene.image.files[i];

        if (!is_kind(file, kind) || file->size == 0)
            continue;
        for (uint32_t k = 0; k < flips; k++) {
            /* Half of them near the start, where headers and the records in use are. */
            uint64_t range = k % 2 == 0 && file->size > 16384 ? 16384 : file->size;
            uint64_t bit = chance_below(&chance, range * 8);
            char     what[64];

            snprintf(what, sizeof what, "bit %llu flipped in", (unsigned long long)bit);
            damage_begin(what, file->path, NULL);
            file_flip(scene.world.directory, file->path, bit);
            (void)damage_judge();
        }
    }
}

static void flipped_bits_of_the_log_are_told_or_harmless(void **state)
{
    (void)state;
    flips_judge("wal", 20);
    flips_judge("tail", 12);
}

static void flipped_bits_of_manifests_are_told_or_harmless(void **state)
{
    (void)state;
    flips_judge("manifest", 10);
}

static void flipped_bits_of_identity_and_lock_are_told_or_harmless(void **state)
{
    (void)state;
    flips_judge("IDENTITY", 8);
    flips_judge("LOCK", 2);
}

static void flipped_bits_of_tables_are_told_or_harmless(void **state)
{
    (void)state;
    flips_judge("t-", 8);
}

/* Blocks are 4 KiB, about 15 of these keys. */
static void a_damaged_data_block_costs_only_its_keys(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < scene.image.count; i++) {
        const struct image_file *file = &scene.image.files[i];
        uint32_t                 failed;

        if (!is_kind(file, "t-"))
            continue;
        damage_begin("a bit of the first data block flipped in", file->path, NULL);
        file_flip(scene.world.directory, file->path, 8000);
        failed = damage_judge();
        if (failed > 40)
            fail_msg("%s: %u keys cannot be read", scene.label, failed);
    }
}

static void files_cut_short_are_told_or_harmless(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < scene.image.count; i++) {
        const struct image_file *file = &scene.image.files[i];
        const size_t sizes[] = { 0, file->size / 2, file->size > 4096 ? file->size - 4096 : 1,
                                 file->size - (file->size > 0) };

        for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
            char what[64];

            if (is_kind(file, "LOCK"))
                continue;
            snprintf(what, sizeof what, "%zu of %zu bytes are left of", sizes[k], file->size);
            damage_begin(what, file->path, NULL);
            file_truncate(scene.world.directory, file->path, sizes[k]);
            (void)damage_judge();
        }
    }
}

static void zeroed_pages_are_told_or_harmless(void **state)
{
    uint64_t chance = seed_under_test;

    (void)state;
    for (uint32_t i = 0; i < scene.image.count; i++) {
        const struct image_file *file = &scene.image.files[i];

        for (uint32_t k = 0; k < sweep_of(3, 1) && file->size >= 4096; k++) {
            uint64_t pages = k < 2 && file->size > 65536 ? 16 : file->size / 4096;

            damage_begin("a page is zero in", file->path, NULL);
            file_zero(scene.world.directory, file->path, 4096 * chance_below(&chance, pages), 4096);
            (void)damage_judge();
        }
    }
}

static void missing_files_are_told_or_harmless(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < scene.image.count; i++) {
        const struct image_file *file = &scene.image.files[i];

        damage_begin("deleted is", file->path, NULL);
        file_delete(scene.world.directory, file->path);
        (void)damage_judge();
    }
}

static void versions_write(struct kiwi_context *context, const char *value)
{
    char room[32];

    for (uint32_t i = 0; i < KEYS; i++)
        check_ok(kiwi_put(context, key_of(i, room), (struct kiwi_slice){ value, strlen(value) },
                          KIWI_PROCESS));
}

/* So many keys of the database at path have that value; all have it, the other one, or none. */
static uint32_t versions_count(const char *path, const char *value, const char *other)
{
    struct kiwi_options  options = kiwi_options_default();
    struct kiwi_db      *db;
    struct kiwi_context *context;
    struct kiwi_buffer   found = { 0 };
    uint32_t             count = 0;

    options.memory_bytes = 8u << 20;
    options.io_backend = KIWI_IO_POSIX;
    options.create = false;
    check_ok(kiwi_open(path, &options, &db));
    check_ok(kiwi_context_open(db, 16, &context));
    for (uint32_t i = 0; i < KEYS; i++) {
        char             room[32];
        enum kiwi_status status = kiwi_get(context, key_of(i, room), NULL, &found);

        if (status == KIWI_NOT_FOUND)
            continue;
        check_ok(status);
        if (found.size == strlen(value) && memcmp(found.data, value, found.size) == 0)
            count++;
        else
            assert_true(found.size == strlen(other) && memcmp(found.data, other, found.size) == 0);
    }
    kiwi_buffer_free(&found);
    kiwi_context_close(context);
    check_ok(kiwi_close(db));
    return count;
}

/* Goal: where the newest version of a key is lost, an older one is kept, and counted as unsure.
 * Method: all keys twice, in an old and a young table; a block of one file after the other goes. */
static void an_older_version_that_shows_through_is_counted(void **state)
{
    struct kiwi_repair_options options = { .io_backend = KIWI_IO_POSIX, .memory_bytes = 8u << 20 };
    struct world               world;
    struct image               image;
    char                       path[300];
    uint32_t                   shown = 0;

    (void)state;
    world_make(&world, WORLD_POSIX, seed_under_test);
    world.options.shard_count = 1;
    world.options.memtable_bytes = 512u << 10;
    snprintf(scene.label, sizeof scene.label, "two versions of each key");
    check_ok(world_open(&world));
    versions_write(world.context, "old");
    check_ok(kiwi_compact(world.context, (struct kiwi_slice){ NULL, 0 },
                          (struct kiwi_slice){ NULL, 0 }));
    versions_write(world.context, "young");
    check_ok(kiwi_flush(world.context));
    check_ok(world_close(&world));
    image_take(&image, world.directory);
    snprintf(path, sizeof path, "%s-saved", world.directory);
    for (uint32_t i = 0; i < image.count; i++) {
        struct kiwi_repair_report report;
        uint32_t                  old;

        if (!is_kind(&image.files[i], "t-"))
            continue;
        image_put(&image, world.directory);
        file_flip(world.directory, image.files[i].path, 8000);
        (void)kiwi_repair(world.directory, path, &options, &report);
        old = versions_count(path, "old", "young");
        assert_int_equal(report.unsure_entries, old);
        assert_int_equal(report.kept_keys, KEYS); /* the other table has it */
        shown += old;
        directory_remove(path);
    }
    printf("%u keys show their older version\n", shown);
    assert_true(shown > 0);
    image_free(&image);
    world_end(&world);
}

/* Nothing was flushed, so no manifest remembers the log: its tail does. */
static void a_log_that_vanished_with_everything_in_it_is_told(void **state)
{
    struct world world;

    (void)state;
    world_make(&world, WORLD_POSIX, seed_under_test);
    world.options.shard_count = 1;
    snprintf(scene.label, sizeof scene.label, "a log alone");
    check_ok(world_open(&world));
    check_ok(kiwi_put(world.context, (struct kiwi_slice){ "key", 3 },
                      (struct kiwi_slice){ "value", 5 }, KIWI_DURABLE));
    check_ok(world_close(&world));
    file_delete(world.directory, "shard-00/wal");
    assert_int_equal(world_open(&world), KIWI_CORRUPT);
    assert_non_null(strstr(kiwi_error_text(), "shard-00/wal is missing"));
    assert_true(file_is_there(world.directory, "shard-00/tail"));
    world_end(&world);
}

static void exchanged_files_are_told(void **state)
{
    const uint32_t few = 5 - sweep_of(4, 1); /* each fourth pair under a sanitizer */

    (void)state;
    for (uint32_t i = 0; i < scene.image.count; i++) {
        for (uint32_t k = i + 1; k < scene.image.count; k++) {
            const struct image_file *one = &scene.image.files[i], *other = &scene.image.files[k];
            bool both_tables = is_kind(one, "t-") && is_kind(other, "t-");

            if (!both_tables && strcmp(name_of(one->path), name_of(other->path)) != 0)
                continue;
            if ((i + k) % few != 0)
                continue;
            damage_begin("exchanged with another is", one->path, other->path);
            file_swap(scene.world.directory, one->path, other->path);
            (void)damage_judge();
        }
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_database_is_verified_and_left_as_it_is),
        cmocka_unit_test(flipped_bits_of_the_log_are_told_or_harmless),
        cmocka_unit_test(flipped_bits_of_manifests_are_told_or_harmless),
        cmocka_unit_test(flipped_bits_of_identity_and_lock_are_told_or_harmless),
        cmocka_unit_test(flipped_bits_of_tables_are_told_or_harmless),
        cmocka_unit_test(a_damaged_data_block_costs_only_its_keys),
        cmocka_unit_test(files_cut_short_are_told_or_harmless),
        cmocka_unit_test(zeroed_pages_are_told_or_harmless),
        cmocka_unit_test(missing_files_are_told_or_harmless),
        cmocka_unit_test(exchanged_files_are_told),
        cmocka_unit_test(a_log_that_vanished_with_everything_in_it_is_told),
        cmocka_unit_test(an_older_version_that_shows_through_is_counted),
    };

    seed_under_test = seed_get(argc > 1 ? strtoull(argv[1], NULL, 0) : 17);
    return cmocka_run_group_tests(tests, scene_begin, scene_end);
}
