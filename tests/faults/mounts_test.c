/*
 * mounts_test.c: real file systems that are full, or that can only be read.
 *
 * Goal: whatever the file system refuses, what was acknowledged is there, errors say what and
 * where, and with room again all goes on, without a new open. Method: a file system of its own
 * (ext4 or XFS on a loop device, or tmpfs) in a mount namespace of its own, so that nothing is left
 * behind however the test ends; its image lies in memory. A file of ballast leaves as much room as
 * wanted. Needs root, and loop devices for ext4 and XFS: skipped with one line where there are
 * none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/faults/scene.h"
#include "tests/support/check.h"

#define SKIPPED    77
#define KIB        1024ull
#define GOING_DOWN _IOR('X', 125, uint32_t) /* of XFS: no request reaches the device any more */

/* The image is sparse; XFS takes none below 300 MB. */
static const struct kind {
    const char *name, *size, *make, *options;
} kinds[] = {
    { "ext4", "64m", "mkfs.ext4 -q -m 0 -E lazy_itable_init=0,lazy_journal_init=0 '%s/image'",
      "loop,errors=remount-ro" },
    { "xfs", "320m", "mkfs.xfs -q -f '%s/image'", "loop" },
    { "tmpfs", "64m", NULL, "size=64m" },
};

static const struct kind *kind;
static char               base[256], mounted[272]; /* holds the image; where it is mounted */
static uint64_t           seed_under_test;

/* ---- the file system ---- */

static int shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int shell(const char *format, ...)
{
    char    command[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(command, sizeof command, format, arguments);
    va_end(arguments);
    return system(command);
}

static void must(int result, const char *what)
{
    if (result != 0)
        fail_msg("%s: %s: %s", kind->name, what, strerror(errno));
}

static int file_system_mount(void)
{
    if (kind->make == NULL)
        return shell("mount -t tmpfs -o %s tmpfs '%s'", kind->options, mounted);
    return shell("mount -t %s -o %s '%s/image' '%s'", kind->name, kind->options, base, mounted);
}

static int skip_all(const char *why)
{
    printf("skipped: no %s to fill here: %s\n", kind->name, why);
    return SKIPPED;
}

/* 0, or the exit code with which to leave. */
static int file_system_make(void)
{
    const char *above = getenv("TMPDIR");

    snprintf(base, sizeof base, "%s/kiwi-mount-XXXXXX", above != NULL ? above : "/tmp");
    if (geteuid() != 0)
        return skip_all("mounting takes root");
    if (kind->make != NULL && access("/dev/loop-control", R_OK | W_OK) != 0)
        return skip_all("/dev/loop-control cannot be opened");
    if (kind->make != NULL && shell("command -v mkfs.%s >/dev/null", kind->name) != 0)
        return skip_all("there is no mkfs for it");
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return skip_all("the host gives no mount namespace");
    if (mkdtemp(base) == NULL) {
        perror(base);
        return 1;
    }
    snprintf(mounted, sizeof mounted, "%s/disk", base);
    if (mount("tmpfs", base, "tmpfs", 0, NULL) != 0 || mkdir(mounted, 0755) != 0
        || setenv("TMPDIR", mounted, 1) != 0) {
        perror(base);
        return 1;
    }
    if (kind->make != NULL) {
        char make[512];

        snprintf(make, sizeof make, kind->make, base);
        if (shell("truncate -s %s '%s/image' && %s", kind->size, base, make) != 0)
            return skip_all("mkfs failed");
    }
    return file_system_mount() == 0 ? 0 : skip_all("it cannot be mounted");
}

static void file_system_end(void)
{
    (void)umount(mounted);
    (void)umount(base);
    (void)rmdir(base);
}

static uint64_t room_bytes(void)
{
    struct statvfs info;

    must(statvfs(mounted, &info), "statvfs");
    return (uint64_t)info.f_bavail * info.f_frsize;
}

static const char *ballast_path(void)
{
    static char path[300];

    snprintf(path, sizeof path, "%s/ballast", mounted);
    return path;
}

/* Takes room away until only so much is left; 0: until not even a page can be had. */
static void room_leave(uint64_t bytes)
{
    int      file = open(ballast_path(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    uint64_t piece = 64u << 20;
    off_t    at;

    assert_true(file >= 0);
    at = lseek(file, 0, SEEK_END);
    while (piece >= 4096) {
        if (room_bytes() < bytes + piece || posix_fallocate(file, at, (off_t)piece) != 0)
            piece /= 2;
        else
            at += (off_t)piece;
    }
    /* What is kept for the file system itself is not counted as room, but often given away. */
    while (bytes == 0 && posix_fallocate(file, at, 4096) == 0)
        at += 4096;
    must(fsync(file), "fsync of the ballast");
    close(file);
}

static void room_make(void)
{
    must(unlink(ballast_path()), "removing the ballast");
    sync();
}

/* ---- a database on it ---- */

static void begin(struct scene *scene, enum world_way way)
{
    scene_begin(scene, way, seed_under_test);
    snprintf(scene->label, sizeof scene->label, "%s, %s", kind->name, world_way_name(way));
}

/* A refusal for lack of room says so, and where. */
static void refusal_judge(const struct scene *scene, enum kiwi_status status, const char *text)
{
    if (status != KIWI_FULL && status != KIWI_STOPPED)
        fail_msg("%s: a full disk was told as %s: %s", scene->label, kiwi_status_text(status),
                 text);
    if (strstr(text, scene->world.directory) == NULL)
        fail_msg("%s: the text does not say where it is full: %s", scene->label, text);
}

static void refused_writes_judge(const struct scene *scene)
{
    if (scene->ledger.refused > 0)
        refusal_judge(scene, scene->ledger.last_refusal, scene->ledger.refusal);
}

static bool act_judge(const struct scene *scene, enum kiwi_status status)
{
    if (status != KIWI_OK)
        refusal_judge(scene, status, kiwi_error_text());
    return status != KIWI_OK;
}

/* ---- full ---- */

/* True when the room was too small for something. */
static bool run_in_room_of(enum world_way way, uint64_t bytes)
{
    struct scene    *scene = calloc(1, sizeof *scene);
    enum kiwi_status status;
    bool             was_full;

    begin(scene, way);
    snprintf(scene->label, sizeof scene->label, "%s, %s, room for %llu KiB", kind->name,
             world_way_name(way), (unsigned long long)(bytes / KIB));
    room_leave(bytes);
    status = world_open(&scene->world);
    was_full = act_judge(scene, status);
    if (status == KIWI_OK) {
        scene_steps(scene, test_is_long() ? 1200 : 500);
        refused_writes_judge(scene);
        was_full = scene->ledger.refused > 0;
        ledger_check(&scene->ledger, scene->world.context, scene->label); /* reads go on */
    }
    room_make();
    if (status != KIWI_OK)
        check_ok_of(scene->label, world_open(&scene->world));
    scene_goes_on(scene, 60);
    scene_reopen(scene);
    check_ok_of(scene->label, world_close(&scene->world));
    world_end(&scene->world);
    free(scene);
    return was_full;
}

static void a_file_system_too_small_refuses_until_there_is_room(void **state)
{
    uint64_t last = 8192 * KIB, stride = test_is_long() ? 192 * KIB : 2700 * KIB;
    uint32_t full = 0, runs = 0;

    (void)state;
    for (uint64_t bytes = 64 * KIB; bytes <= last; bytes += stride, runs++)
        full += run_in_room_of(runs % 2 == 0 ? WORLD_MANAGED : WORLD_POSIX, bytes);
    printf("%u of %u rooms on %s were too small\n", full, runs, kind->name);
    assert_true(full > 0);
    assert_true(full < runs);
}

enum stage {
    STAGE_LOG,
    STAGE_FLUSH,
    STAGE_COMPACT,
    STAGE_MANIFEST,
    STAGE_CLOSE,
    STAGE_OPEN,
    STAGE_COUNT,
};

static const char *const stage_names[STAGE_COUNT] = {
    "log", "flush", "compaction", "manifest", "close", "open",
};

/* The ring was written in full when the database was made: it never needs room. */
static void log_goes_on(struct scene *scene)
{
    uint32_t refused = scene->ledger.refused;

    for (uint32_t key = 0; key < 20; key++)
        ledger_put(&scene->ledger, scene->world.context, key, KIWI_DURABLE);
    if (scene->ledger.refused != refused)
        fail_msg("%s: the log has its room, but a write was refused: %s", scene->label,
                 scene->ledger.refusal);
}

/* Whether there was not enough room. The database is open before and after. */
static bool stage_run(struct scene *scene, enum stage stage)
{
    struct kiwi_slice all = { NULL, 0 };
    bool              was_full = false;

    switch (stage) {
    case STAGE_LOG:
        log_goes_on(scene);
        for (uint32_t i = 0; i < 5000 && scene->ledger.refused == 0; i++) /* until all is full */
            ledger_put(&scene->ledger, scene->world.context, i % LEDGER_KEYS, KIWI_PROCESS);
        refused_writes_judge(scene);
        return scene->ledger.refused > 0;
    case STAGE_FLUSH:
        return act_judge(scene, kiwi_flush(scene->world.context));
    case STAGE_COMPACT:
        return act_judge(scene, kiwi_compact(scene->world.context, all, all));
    case STAGE_MANIFEST: /* tables in files of the pool, an edit for each */
        for (uint32_t i = 0; i < (test_is_long() ? 60u : 20u); i++) {
            ledger_put(&scene->ledger, scene->world.context, i % LEDGER_KEYS, KIWI_PROCESS);
            was_full = act_judge(scene, kiwi_flush(scene->world.context)) || was_full;
        }
        return was_full;
    case STAGE_CLOSE:
        log_goes_on(scene);
        was_full = act_judge(scene, world_close(&scene->world));
        room_make();
        check_ok_of(scene->label, world_open(&scene->world));
        room_leave(0);
        return was_full;
    case STAGE_OPEN:
        check_ok_of(scene->label, world_close(&scene->world));
        was_full = act_judge(scene, world_open(&scene->world));
        if (!was_full)
            return false;
        room_make();
        check_ok_of(scene->label, world_open(&scene->world));
        room_leave(0);
        return true;
    case STAGE_COUNT:
        break;
    }
    return was_full;
}

/* Something for the stage to write; for the manifest also files that tables may stand in. */
static void stage_prepare(struct scene *scene, enum stage stage)
{
    struct kiwi_slice all = { NULL, 0 };

    for (uint32_t key = 0; key < LEDGER_KEYS; key++)
        ledger_put(&scene->ledger, scene->world.context, key, KIWI_PROCESS);
    if (stage != STAGE_COMPACT && stage != STAGE_MANIFEST)
        return;
    for (uint32_t key = 0; key < LEDGER_KEYS; key += 3) {
        ledger_put(&scene->ledger, scene->world.context, key, KIWI_PROCESS);
        if (key % 60 == 0)
            check_ok_of(scene->label, kiwi_flush(scene->world.context));
    }
    if (stage == STAGE_MANIFEST)
        check_ok_of(scene->label, kiwi_compact(scene->world.context, all, all));
}

static bool full_at(enum stage stage, enum world_way way, uint64_t left_bytes)
{
    struct scene *scene = calloc(1, sizeof *scene);
    bool          was_full;

    begin(scene, way);
    snprintf(scene->label, sizeof scene->label, "%s, %s, %llu KiB left for %s", kind->name,
             world_way_name(way), (unsigned long long)(left_bytes / KIB), stage_names[stage]);
    check_ok_of(scene->label, world_open(&scene->world));
    stage_prepare(scene, stage);
    room_leave(left_bytes);
    was_full = stage_run(scene, stage);
    ledger_check(&scene->ledger, scene->world.context, scene->label);
    room_make();
    scene_goes_on(scene, 60);
    scene_reopen(scene);
    check_ok_of(scene->label, world_close(&scene->world));
    world_end(&scene->world);
    free(scene);
    return was_full;
}

/* Each stage with no room at all, and with so little that a table may fit and the manifest not. */
static void a_file_system_full_at_any_stage_loses_nothing(void **state)
{
    static const enum world_way ways[] = { WORLD_MANAGED, WORLD_ATTACHED, WORLD_POSIX };
    static const uint64_t       left[] = { 0, 8, 24, 48, 72, 100, 140, 200 };

    (void)state;
    for (int stage = 0; stage < STAGE_COUNT; stage++) {
        uint32_t full = 0, runs = 0;

        for (uint32_t i = 0; i < sizeof left / sizeof left[0]; i++) {
            for (uint32_t way = 0; way < 3; way++) {
                if (!test_is_long() && (i != 0 || way != (uint32_t)stage % 3))
                    continue;
                full += full_at((enum stage)stage, ways[way], left[i] * KIB);
                runs++;
            }
        }
        if ((stage == STAGE_LOG || stage == STAGE_FLUSH || stage == STAGE_COMPACT) && full == 0)
            fail_msg("%s: no %s met a full disk", kind->name, stage_names[stage]);
        printf("%-10s on %s: %u of %u had not enough room\n", stage_names[stage], kind->name, full,
               runs);
    }
}

/* ---- only to be read ---- */

/* From now on the file system writes nothing: ext4 as after an error of its own, XFS as after a
 * lost device. */
static void writes_end(void)
{
    struct stat info;
    char        link[64], device[300];
    ssize_t     size;
    uint32_t    how = 2; /* without writing its log */
    int         folder;

    if (strcmp(kind->name, "xfs") == 0) {
        folder = open(mounted, O_RDONLY | O_CLOEXEC);
        assert_true(folder >= 0);
        must(ioctl(folder, GOING_DOWN, &how), "shutting it down");
        close(folder);
        return;
    }
    must(stat(mounted, &info), "stat");
    snprintf(link, sizeof link, "/sys/dev/block/%u:%u", major(info.st_dev), minor(info.st_dev));
    size = readlink(link, device, sizeof device - 1);
    assert_true(size > 0);
    device[size] = 0;
    must(shell("echo planted >/sys/fs/ext4/%s/trigger_fs_error", strrchr(device, '/') + 1),
         "an error for ext4");
}

static void mount_anew(void)
{
    must(umount(mounted), "umount");
    must(file_system_mount(), "mount");
}

/* After this every key shows what was durable when the file system ended, or what was asked for
 * since. */
static void read_only_meanwhile(enum world_way way)
{
    struct scene *scene = calloc(1, sizeof *scene);

    begin(scene, way);
    check_ok_of(scene->label, world_open(&scene->world));
    scene_steps(scene, 200);
    check_ok_of(scene->label, kiwi_wait_durable(scene->world.context));
    writes_end();
    for (uint32_t key = 0; key < LEDGER_KEYS; key += 2)
        ledger_put(&scene->ledger, scene->world.context, key, KIWI_DURABLE);
    if (scene->ledger.refused == 0)
        fail_msg("%s: durable writes are acknowledged without a file system", scene->label);
    if (scene->ledger.last_refusal != KIWI_STOPPED && scene->ledger.last_refusal != KIWI_IO)
        fail_msg("%s: told as %s: %s", scene->label,
                 kiwi_status_text(scene->ledger.last_refusal), scene->ledger.refusal);
    if (strstr(scene->ledger.refusal, scene->world.directory) == NULL)
        fail_msg("%s: the text does not say where: %s", scene->label, scene->ledger.refusal);
    assert_int_not_equal(kiwi_flush(scene->world.context), KIWI_OK);
    assert_int_not_equal(world_close(&scene->world), KIWI_OK);
    mount_anew();
    check_ok_of(scene->label, world_open(&scene->world));
    ledger_check(&scene->ledger, scene->world.context, scene->label);
    scene_goes_on(scene, 60);
    scene_reopen(scene);
    check_ok_of(scene->label, world_close(&scene->world));
    world_end(&scene->world);
    free(scene);
}

static void a_file_system_that_becomes_read_only_loses_nothing(void **state)
{
    (void)state;
    if (kind->make == NULL)
        return; /* only remounting makes tmpfs read-only, and that not while files are open */
    read_only_meanwhile(WORLD_MANAGED);
    read_only_meanwhile(WORLD_ATTACHED);
    read_only_meanwhile(WORLD_POSIX);
}

static void a_read_only_mount_is_told_verified_and_repaired(void **state)
{
    struct scene              *scene = calloc(1, sizeof *scene);
    struct kiwi_verify_options verify = { .found = NULL };
    struct kiwi_verify_report  report;
    struct kiwi_repair_options repair = { .found = NULL };
    struct kiwi_repair_report  repaired;
    char                       target[300];
    enum kiwi_status           status;

    (void)state;
    begin(scene, WORLD_MANAGED);
    check_ok(world_open(&scene->world));
    scene_steps(scene, 300);
    check_ok(world_close(&scene->world));
    must(mount(NULL, mounted, NULL, MS_REMOUNT | MS_RDONLY, NULL), "remounting read-only");
    status = world_open(&scene->world);
    if (status != KIWI_IO || strstr(kiwi_error_text(), "Read-only file system") == NULL
        || strstr(kiwi_error_text(), scene->world.directory) == NULL)
        fail_msg("an open of what can only be read says %s: %s", kiwi_status_text(status),
                 kiwi_error_text());
    check_ok(kiwi_verify(scene->world.directory, &verify, &report));
    assert_true(report.table_entries + report.log_records > 0);
    snprintf(target, sizeof target, "%s/repaired", base);
    check_ok(kiwi_repair(scene->world.directory, target, &repair, &repaired));
    assert_true(repaired.kept_keys > 0);
    must(mount(NULL, mounted, NULL, MS_REMOUNT, NULL), "remounting");
    check_ok(world_open(&scene->world));
    ledger_check(&scene->ledger, scene->world.context, scene->label);
    check_ok(world_close(&scene->world));
    world_end(&scene->world);
    free(scene);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_system_too_small_refuses_until_there_is_room),
        cmocka_unit_test(a_file_system_full_at_any_stage_loses_nothing),
        cmocka_unit_test(a_file_system_that_becomes_read_only_loses_nothing),
        cmocka_unit_test(a_read_only_mount_is_told_verified_and_repaired),
    };
    int result;

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (argc > 1 && strcmp(argv[1], kinds[i].name) == 0)
            kind = &kinds[i];
    if (kind == NULL) {
        fprintf(stderr, "mounts_test ext4|xfs|tmpfs\n");
        return 2;
    }
    seed_under_test = seed_get(11);
    result = file_system_make();
    if (result == 0)
        result = cmocka_run_group_tests_name(kind->name, tests, NULL, NULL);
    file_system_end();
    return result;
}
