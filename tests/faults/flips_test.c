/*
 * flips_test.c: every single bit of a small database is flipped, one at a time.
 *
 * Goal: a flip is harmless, or the open or the read that meets it says KIWI_CORRUPT with file and
 * offset; never other bytes, never a crash, never silent loss beyond the last group of a process
 * that died. Method: a database of one shard on the simulated disk, as small as it can be made;
 * each flip happens to a copy, which is then opened, read key by key, and walked. Pages
 * that hold nothing but zeros get one flip per sector. The short mode takes a sample.
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
    struct file        files[FILES_MAX];
    uint32_t           file_count;
    bool               is_closed;   /* else the last two keys may be lost */
    bool               is_lost[KEYS];
    struct tally       tally;
    struct kiwi_buffer value;
    char               label[160];
    const char        *damaged;
};

static struct scene scene;

#define check_ok(call)                                                                        \
    do {                                                                                      \
        enum kiwi_status check_status = (call);                                               \
        if (check_status != KIWI_OK)                                                          \
            fail_msg("%s: %s: %s: %s", scene.label, #call, kiwi_status_text(check_status),    \
                     kiwi_error_text());                                                      \
    } while (0)

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

static void files_forget(void)
{
    for (uint32_t i = 0; i < scene.file_count; i++)
        free(scene.files[i].bytes);
    scene.file_count = 0;
}

/* A third of the keys in the last level, a third in a younger table, a third in the log. */
static void database_make(bool is_closed)
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
    put_range(1, 3, KEYS, KIWI_PROCESS);
    check_ok(kiwi_flush(world->context));
    put_range(2, 6, LAST_SYNCED, KIWI_PROCESS);
    put_range(5, 6, LAST_SYNCED, KIWI_DURABLE);
    put_range(LAST_SYNCED, KEYS, KEYS, KIWI_DURABLE);
    put_range(LAST_IN_TAIL, KEYS, KEYS, KIWI_PROCESS);
    scene.is_closed = is_closed;
    if (is_closed)
        check_ok(world_close(world));
    else
        simulation_kill(world->simulation);
    if (!is_closed)
        (void)world_close(world);
    check_ok(io_directory_list(world->options.io, "/database", file_take, (void *)(uintptr_t)""));
    check_ok(io_directory_list(world->options.io, "/database/shard-00", file_take,
                               (void *)(uintptr_t)"shard-00/"));
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
    if (strstr(text, name_of(scene.damaged)) == NULL || !has_offset(text))
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

static void flip_judge(const struct file *file, uint64_t bit)
{
    struct tally    *tally = &scene.tally;
    char             path[128];
    bool             has_failed = false;
    enum kiwi_status status;
    uint32_t         lost;

    alarm(FLIP_SECONDS);
    scene.damaged = file->path;
    snprintf(scene.label, sizeof scene.label, "bit %llu of %s", (unsigned long long)bit,
             file->path);
    snprintf(path, sizeof path, "/database/%s", file->path);
    disk_renew();
    check_ok(simulation_flip_bit(scene.world.simulation, path, bit));
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
    disk_renew();
    check_ok(simulation_flip_bit(scene.world.simulation, path, bit));
    verify_check(has_failed);
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

    choice.stride = test_is_long() ? part_count : sweep_of(1, 8) * stride_short;
    choice.offset = test_is_long() ? part_index : seed_under_test % choice.stride;
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
    database_make(true);
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
    database_make(false);
    sweep("wal", 503);
    sweep("tail", 211);
    printf("%llu flips of the log of a process that died\n", (unsigned long long)scene.tally.flips);
    database_end();
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
