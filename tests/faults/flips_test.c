/*
 * flips_test.c: every single bit of a small database is flipped, one at a time; and other damages.
 *
 * Goal: a flip is harmless, or the open or the read that meets it says KIWI_CORRUPT with file and
 * offset; never other bytes, never a crash, never silent loss beyond the last group of a process
 * that died. Method: a database of one shard on the simulated disk, as small as it can be made;
 * each flip happens to a copy, which is then opened, read key by key, and walked. Pages
 * that hold nothing but zeros get one flip per sector. The short mode takes a sample,
 * so does the long one under sanitizers. Then other damages, to every file: cut at every sector,
 * lengthened, deleted, another one or an older version of it in its place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK_LABEL scene.label
#include "tests/support/check.h"
#include "tests/support/world.h"

#define KEYS          24u
#define LAST_SYNCED   20u   /* the only key of the last group that was synced */
#define LAST_IN_TAIL  23u   /* the last key of all: with a dead process it is in the tail alone */
#define FILES_MAX     16u
#define FLIP_SECONDS  60u   /* none hangs */
#define VERIFY_EVERY  64u
#define PAGE          4096u
#define SECTOR        512u

/* Pages once touched stay: a database is opened for every bit. */
extern const char *malloc_conf;
const char *malloc_conf = "narenas:1,thp:always,metadata_thp:always,dirty_decay_ms:-1,"
                          "muzzy_decay_ms:-1";

static uint64_t seed_under_test;
static uint32_t part_index, part_count = 1; /* this run takes every part_count-th flip */

struct file {
    char     path[96];
    uint8_t *bytes;
    uint64_t size;
};

struct tally {
    uint64_t flips, refused_opens, failed_reads, harmless, lost_last_group;
};

struct scene {
    struct world       world;
    struct simulation *disk;
    struct file        files[FILES_MAX], older[FILES_MAX]; /* older: of a moment before the end */
    uint32_t           file_count, older_count;
    bool               is_closed;   /* else the last two keys may be lost */
    bool               is_lost[KEYS];
    struct tally       tally;
    struct kiwi_buffer value;
    char               label[160];
    const char        *damaged;
    bool               wants_offset; /* of whoever tells; a file as such has none */
};

static struct scene scene;

/* ---- the database ---- */

static struct kiwi_slice key_of(uint32_t key, char room[32])
{
    return (struct kiwi_slice){ room, (size_t)snprintf(room, 32, "key-%02u", key) };
}

static struct kiwi_slice value_of(uint32_t key, char room[64])
{
    return (struct kiwi_slice){ room, (size_t)snprintf(room, 64, "%u is the value of key %u",
                                                       key * 2654435761u, key) };
}

static void put_range(uint32_t first, uint32_t step, uint32_t below, enum kiwi_durability mode)
{
    char key[32], value[64];

    for (uint32_t i = first; i < below; i += step)
        check_ok(kiwi_put(scene.world.context, key_of(i, key), value_of(i, value), mode));
}

static enum kiwi_status file_take(void *directory, const char *name)
{
    struct file    *file = &scene.files[scene.file_count];
    struct io      *io = scene.world.options.io;
    struct io_file *handle;
    const char     *below = directory;
    char            path[128];

    if (strncmp(name, "shard-", 6) == 0 || strcmp(name, "LOCK") == 0)
        return KIWI_OK;
    assert_true(scene.file_count < FILES_MAX);
    snprintf(path, sizeof path, "/database/%s%s", below, name);
    check_ok(io_file_open(io, path, IO_READ_ONLY, &handle));
    check_ok(io_file_size(handle, &file->size));
    file->bytes = malloc(file->size + 1);
    assert_non_null(file->bytes);
    check_ok(io_file_read(handle, file->bytes, file->size, 0));
    io_file_close(handle);
    snprintf(file->path, sizeof file->path, "%s%s", below, name);
    scene.file_count++;
    return KIWI_OK;
}

static void files_take(void)
{
    struct io *io = scene.world.options.io;

    check_ok(io_directory_list(io, "/database", file_take, (void *)(uintptr_t)""));
    check_ok(io_directory_list(io, "/database/shard-00", file_take,
                               (void *)(uintptr_t)"shard-00/"));
}

/* The files as they are now are what is put back later. */
static void older_take(void)
{
    files_take();
    memcpy(scene.older, scene.files, sizeof scene.older);
    scene.older_count = scene.file_count;
    scene.file_count = 0;
}

static void files_forget(void)
{
    for (uint32_t i = 0; i < scene.file_count; i++)
        free(scene.files[i].bytes);
    for (uint32_t i = 0; i < scene.older_count; i++)
        free(scene.older[i].bytes);
    scene.file_count = scene.older_count = 0;
}

enum moment {
    NO_MOMENT, AFTER_COMPACTION, AFTER_FLUSH, AFTER_CLOSE, BEFORE_LAST_GROUP, MOMENT_COUNT,
};

/* A third of the keys in the last level, a third in a younger table, a third in the log. */
static void database_make(bool is_closed, enum moment older)
{
    struct kiwi_slice none = { NULL, 0 };
    struct world     *world = &scene.world;

    memset(&scene, 0, sizeof scene);
    snprintf(scene.label, sizeof scene.label, "making the database");
    world_make(world, WORLD_SIMULATED, seed_under_test);
    world->options.shard_count = 1;
    world->options.log_bytes = 256u << 10;
    check_ok(world_open(world));
    put_range(0, 3, KEYS, KIWI_PROCESS);
    check_ok(kiwi_compact(world->context, none, none));
    if (older == AFTER_COMPACTION)
        older_take();
    put_range(1, 3, KEYS, KIWI_PROCESS);
    check_ok(kiwi_flush(world->context));
    if (older == AFTER_FLUSH)
        older_take();
    if (older == AFTER_CLOSE) {
        check_ok(world_close(world));
        older_take();
        check_ok(world_open(world));
    }
    put_range(2, 6, LAST_SYNCED, KIWI_PROCESS);
    put_range(5, 6, LAST_SYNCED, KIWI_DURABLE);
    if (older == BEFORE_LAST_GROUP)
        older_take();
    put_range(LAST_SYNCED, KEYS, KEYS, KIWI_DURABLE);
    put_range(LAST_IN_TAIL, KEYS, KEYS, KIWI_PROCESS);
    scene.is_closed = is_closed;
    if (is_closed)
        check_ok(world_close(world));
    else
        simulation_kill(world->simulation);
    if (!is_closed)
        (void)world_close(world);
    files_take();
    check_ok(simulation_copy(world->simulation, &scene.disk));
    kiwi_buffer_free(&scene.value);
}

static void database_end(void)
{
    kiwi_buffer_free(&scene.value);
    files_forget();
    simulation_close(scene.disk);
    world_end(&scene.world);
}

/* ---- judging ---- */

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

/* "offset 4096", or "top index at 12288". */
static bool has_offset(const char *text)
{
    const char *at = strstr(text, " at ");

    return strstr(text, "offset ") != NULL || (at != NULL && at[4] >= '0' && at[4] <= '9');
}

static void text_check(const char *what, enum kiwi_status status)
{
    const char *text = kiwi_error_text();

    if (status != KIWI_CORRUPT)
        fail_msg("%s: %s says %s: %s", scene.label, what, kiwi_status_text(status), text);
    if (strstr(text, name_of(scene.damaged)) == NULL || (scene.wants_offset && !has_offset(text)))
        fail_msg("%s: %s names no file or no offset: %s", scene.label, what, text);
}

/* How many keys of the last group are gone; every other one is there or says why not. */
static uint32_t gets_check(bool *has_failed)
{
    uint32_t lost = 0;

    for (uint32_t i = 0; i < KEYS; i++) {
        char              key[32], room[64];
        struct kiwi_slice want = value_of(i, room);
        enum kiwi_status  status = kiwi_get(scene.world.context, key_of(i, key), NULL,
                                            &scene.value);

        scene.is_lost[i] = status == KIWI_NOT_FOUND;
        if (status == KIWI_NOT_FOUND) {
            if (scene.is_closed || (i != LAST_SYNCED && i != LAST_IN_TAIL))
                fail_msg("%s: %s is lost", scene.label, key);
            lost++;
            continue;
        }
        if (status != KIWI_OK) {
            text_check("a get", status);
            *has_failed = true;
        } else if (scene.value.size != want.size
                   || memcmp(scene.value.data, want.data, want.size) != 0) {
            fail_msg("%s: %s holds other bytes", scene.label, key);
        }
    }
    return lost;
}

static void scan_check(bool *has_failed)
{
    struct kiwi_iterator *iterator;
    enum kiwi_status      status;
    uint32_t              next = 0;

    check_ok(kiwi_iterator_open(scene.world.context, NULL, &iterator));
    for (status = kiwi_iterator_first(iterator); status == KIWI_OK;
         status = kiwi_iterator_next(iterator), next++) {
        struct kiwi_slice key = kiwi_iterator_key(iterator), row = kiwi_iterator_value(iterator);
        char              key_room[32], room[64];
        struct kiwi_slice want_key, want;

        while (next < KEYS && scene.is_lost[next])
            next++;
        want_key = key_of(next, key_room);
        want = value_of(next, room);
        if (key.size != want_key.size || memcmp(key.data, want_key.data, key.size) != 0
            || row.size != want.size || memcmp(row.data, want.data, row.size) != 0)
            fail_msg("%s: row %u of a scan is wrong", scene.label, next);
    }
    while (next < KEYS && scene.is_lost[next])
        next++;
    if (status == KIWI_NOT_FOUND && next != KEYS)
        fail_msg("%s: a scan ends after %u rows", scene.label, next);
    if (status != KIWI_NOT_FOUND) {
        text_check("a scan", status);
        *has_failed = true;
    }
    kiwi_iterator_close(iterator);
}

/* Verify finds what opening and reading met. */
static void verify_check(bool was_met)
{
    struct kiwi_verify_options options = { .io = scene.world.options.io };
    struct kiwi_verify_report  report;
    enum kiwi_status           status = kiwi_verify("/database", &options, &report);

    if (status != KIWI_OK)
        text_check("verify", status);
    else if (was_met)
        fail_msg("%s: verify has found nothing", scene.label);
}

static void disk_renew(void)
{
    simulation_close(scene.world.simulation);
    check_ok(simulation_copy(scene.disk, &scene.world.simulation));
    scene.world.options.io = simulation_io(scene.world.simulation);
}

struct damage {
    const struct file *file;
    void             (*make)(const struct damage *damage, const char *path);
    uint64_t           at;      /* bit, size or how much is appended */
    const struct file *content; /* what is put into its place or behind it */
};

static void damage_make(const struct damage *damage)
{
    char path[128];

    snprintf(path, sizeof path, "/database/%s", damage->file->path);
    disk_renew();
    damage->make(damage, path);
}

static void bit_flip(const struct damage *damage, const char *path)
{
    check_ok(simulation_flip_bit(scene.world.simulation, path, damage->at));
}

static void damage_judge(const struct damage *damage, const char *what)
{
    struct tally    *tally = &scene.tally;
    bool             has_failed = false;
    enum kiwi_status status;
    uint32_t         lost;

    alarm(FLIP_SECONDS);
    scene.damaged = damage->file->path;
    scene.wants_offset = damage->make == bit_flip;
    snprintf(scene.label, sizeof scene.label, "%s %llu: %s", what,
             (unsigned long long)damage->at, damage->file->path);
    damage_make(damage);
    tally->flips++;
    status = world_open(&scene.world);
    if (status != KIWI_OK) {
        text_check("open", status);
        tally->refused_opens++;
        has_failed = true;
    } else {
        lost = gets_check(&has_failed);
        scan_check(&has_failed);
        tally->failed_reads += has_failed;
        tally->harmless += !has_failed && lost == 0;
        tally->lost_last_group += lost > 0;
        (void)world_close(&scene.world);
    }
    if (tally->flips % VERIFY_EVERY != 0)
        return;
    damage_make(damage);
    verify_check(has_failed);
}

static void flip_judge(const struct file *file, uint64_t bit)
{
    damage_judge(&(struct damage){ .file = file, .make = bit_flip, .at = bit }, "bit flipped");
}

/* ---- which bits ---- */

static bool page_is_zero(const struct file *file, uint64_t page)
{
    uint64_t end = (page + 1) * PAGE < file->size ? (page + 1) * PAGE : file->size;

    for (uint64_t at = page * PAGE; at < end; at++)
        if (file->bytes[at] != 0)
            return false;
    return true;
}

struct choice {
    uint64_t number; /* of bits so far */
    uint64_t stride, offset;
    uint64_t all_bytes, used_bytes;
    uint64_t chance;
};

static void bit_take(const struct file *file, uint64_t bit, struct choice *choice)
{
    if (choice->number++ % choice->stride == choice->offset)
        flip_judge(file, bit);
}

static void file_sweep(const struct file *file, struct choice *choice)
{
    choice->all_bytes += file->size;
    for (uint64_t page = 0; page * PAGE < file->size; page++) {
        uint64_t end = (page + 1) * PAGE < file->size ? (page + 1) * PAGE : file->size;

        if (page_is_zero(file, page)) {
            for (uint64_t at = page * PAGE; at < end; at += SECTOR)
                bit_take(file, (at * 8) + chance_below(&choice->chance, SECTOR * 8u), choice);
            continue;
        }
        choice->used_bytes += end - page * PAGE;
        for (uint64_t bit = page * PAGE * 8; bit < end * 8; bit++)
            bit_take(file, bit, choice);
    }
}

static void sweep(const char *kind, uint64_t stride_short)
{
    struct choice choice = { .chance = seed_under_test };
    struct tally  before = scene.tally;

#ifdef KIWI_SANITIZED
    choice.stride = test_is_long() ? 61 : 8 * stride_short;
    choice.offset = seed_under_test % choice.stride;
#else
    choice.stride = test_is_long() ? part_count : stride_short;
    choice.offset = test_is_long() ? part_index : seed_under_test % choice.stride;
#endif
    for (uint32_t i = 0; i < scene.file_count; i++)
        if (strncmp(name_of(scene.files[i].path), kind, strlen(kind)) == 0)
            file_sweep(&scene.files[i], &choice);
    printf("%-9s %7llu bytes, %6llu of them in pages that are used: %llu flips: %llu opens "
           "refused, %llu with failed reads, %llu harmless, %llu took the last group\n", kind,
           (unsigned long long)choice.all_bytes, (unsigned long long)choice.used_bytes,
           (unsigned long long)(scene.tally.flips - before.flips),
           (unsigned long long)(scene.tally.refused_opens - before.refused_opens),
           (unsigned long long)(scene.tally.failed_reads - before.failed_reads),
           (unsigned long long)(scene.tally.harmless - before.harmless),
           (unsigned long long)(scene.tally.lost_last_group - before.lost_last_group));
}

static void any_bit_of_a_closed_database_is_told_or_harmless(void **state)
{
    (void)state;
    database_make(true, NO_MOMENT);
    sweep("IDENTITY", 97);
    sweep("manifest", 1009);
    sweep("t-", 1009);
    sweep("wal", 1009);
    sweep("tail", 211);
    assert_int_equal(scene.tally.lost_last_group, 0);
    printf("%llu flips of a closed database\n", (unsigned long long)scene.tally.flips);
    database_end();
}

static void any_bit_of_the_log_of_a_dead_process_costs_its_last_group_at_most(void **state)
{
    (void)state;
    database_make(false, NO_MOMENT);
    sweep("wal", 503);
    sweep("tail", 211);
    printf("%llu flips of the log of a process that died\n", (unsigned long long)scene.tally.flips);
    database_end();
}

/* ---- other damages ---- */

static struct io_file *file_open(const char *path)
{
    struct io_file *file;

    check_ok(io_file_open(scene.world.options.io, path, IO_CREATE, &file));
    return file;
}

static void file_cut(const struct damage *damage, const char *path)
{
    struct io_file *file = file_open(path);

    check_ok(io_file_truncate(file, damage->at));
    io_file_close(file);
}

static void bytes_append(const struct damage *damage, const char *path)
{
    struct io_file *file = file_open(path);

    check_ok(io_file_write(file, damage->content->bytes, damage->at, damage->file->size));
    io_file_close(file);
}

static void file_replace(const struct damage *damage, const char *path)
{
    struct io_file *file = file_open(path);

    check_ok(io_file_truncate(file, damage->content->size));
    check_ok(io_file_write(file, damage->content->bytes, damage->content->size, 0));
    io_file_close(file);
}

static void file_delete(const struct damage *damage, const char *path)
{
    (void)damage;
    check_ok(io_remove(scene.world.options.io, path));
}

static void tally_print(const char *what)
{
    const struct tally *tally = &scene.tally;

    printf("%s: %llu: %llu opens refused, %llu with failed reads, %llu harmless, %llu took the "
           "last group\n", what, (unsigned long long)tally->flips,
           (unsigned long long)tally->refused_opens, (unsigned long long)tally->failed_reads,
           (unsigned long long)tally->harmless, (unsigned long long)tally->lost_last_group);
}

static void files_cut_at_any_sector_are_told_or_harmless(void **state)
{
    uint64_t stride = test_is_long() ? 1 : sweep_of(13, 130);

    (void)state;
    for (int is_closed = 0; is_closed < 2; is_closed++) {
        database_make(is_closed, NO_MOMENT);
        for (uint32_t i = 0; i < scene.file_count; i++) {
            const struct file *file = &scene.files[i];

            for (uint64_t n = seed_under_test % stride; n * SECTOR < file->size; n += stride)
                damage_judge(&(struct damage){ .file = file, .make = file_cut, .at = n * SECTOR },
                             "cut at byte");
            damage_judge(&(struct damage){ .file = file, .make = file_cut, .at = file->size - 1 },
                         "cut at byte");
        }
        tally_print(is_closed ? "cuts, closed" : "cuts, of a dead process");
        database_end();
    }
}

static void what_is_appended_is_told_or_harmless(void **state)
{
    static const uint64_t sizes[] = { 1, SECTOR, PAGE, 16 * PAGE };

    (void)state;
    database_make(false, NO_MOMENT);
    for (uint32_t i = 0; i < scene.file_count; i++)
        for (uint32_t k = 0; k < scene.file_count; k++)
            for (uint32_t n = 0; n < 4; n++)
                if (sizes[n] <= scene.files[k].size)
                    damage_judge(&(struct damage){ .file = &scene.files[i], .make = bytes_append,
                                                   .at = sizes[n], .content = &scene.files[k] },
                                 "appended to, bytes");
    tally_print("appended to");
    database_end();
}

static void deleted_and_exchanged_files_are_told_or_harmless(void **state)
{
    (void)state;
    for (int is_closed = 0; is_closed < 2; is_closed++) {
        database_make(is_closed, NO_MOMENT);
        for (uint32_t i = 0; i < scene.file_count; i++) {
            damage_judge(&(struct damage){ .file = &scene.files[i], .make = file_delete },
                         "deleted");
            for (uint32_t k = 0; k < scene.file_count; k++)
                if (k != i)
                    damage_judge(&(struct damage){ .file = &scene.files[i], .make = file_replace,
                                                   .at = k, .content = &scene.files[k] },
                                 "replaced by file");
        }
        tally_print(is_closed ? "deleted or replaced, closed" : "deleted or replaced, dead");
        database_end();
    }
}

static void older_versions_of_a_file_are_told_or_harmless(void **state)
{
    (void)state;
    for (int is_closed = 0; is_closed < 2; is_closed++)
        for (enum moment moment = AFTER_COMPACTION; moment < MOMENT_COUNT; moment++) {
            database_make(is_closed, moment);
            for (uint32_t i = 0; i < scene.file_count; i++)
                for (uint32_t k = 0; k < scene.older_count; k++)
                    if (strcmp(scene.files[i].path, scene.older[k].path) == 0
                        && (scene.files[i].size != scene.older[k].size
                            || memcmp(scene.files[i].bytes, scene.older[k].bytes,
                                      scene.files[i].size) != 0))
                        damage_judge(&(struct damage){ .file = &scene.files[i],
                                                       .make = file_replace, .at = moment,
                                                       .content = &scene.older[k] },
                                     "as it was at moment");
            tally_print(is_closed ? "older versions, closed" : "older versions, dead");
            database_end();
        }
}

/* A hang or an assertion says which flip it was. */
static void label_tell(int number)
{
    ssize_t ignored = write(2, scene.label, strlen(scene.label));

    (void)ignored;
    signal(number, SIG_DFL);
    raise(number);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_bit_of_a_closed_database_is_told_or_harmless),
        cmocka_unit_test(any_bit_of_the_log_of_a_dead_process_costs_its_last_group_at_most),
        cmocka_unit_test(files_cut_at_any_sector_are_told_or_harmless),
        cmocka_unit_test(what_is_appended_is_told_or_harmless),
        cmocka_unit_test(deleted_and_exchanged_files_are_told_or_harmless),
        cmocka_unit_test(older_versions_of_a_file_are_told_or_harmless),
    };

    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGABRT, label_tell);
    signal(SIGALRM, label_tell);
    if (argc > 2) { /* this part of so many, for the long mode on several processors */
        part_index = (uint32_t)strtoul(argv[1], NULL, 0);
        part_count = (uint32_t)strtoul(argv[2], NULL, 0);
        assert_true(part_index < part_count);
    }
    seed_under_test = seed_get(29);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
