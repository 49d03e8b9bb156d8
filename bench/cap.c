/*
 * cap.c: finding the memory controller, making groups below it, reading what they counted.
 */
#include "bench/cap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ALLOWANCE_BYTES        (48ull << 20)
#define ALLOWANCE_THREAD_BYTES (1ull << 20)
#define TRY_BYTES              (16ull << 20)
#define REMOVAL_COUNT_MAX      200

/* Text between separators, not ended by a zero byte. */
struct word {
    const char *text;
    size_t      bytes;
};

static bool word_is(struct word word, const char *text)
{
    return strlen(text) == word.bytes && memcmp(word.text, text, word.bytes) == 0;
}

/* Whether the list "rw,memory,..." has the entry. */
static bool word_has(struct word list, const char *entry)
{
    size_t at = 0;

    while (at < list.bytes) {
        size_t end = at;

        while (end < list.bytes && list.text[end] != ',')
            end++;
        if (word_is((struct word){ list.text + at, end - at }, entry))
            return true;
        at = end + 1;
    }
    return false;
}

/* Splits a line at blanks; returns the count of words, at most max. */
static size_t line_split(struct word line, char separator, struct word *words, size_t max)
{
    size_t count = 0, at = 0;

    while (at < line.bytes && count < max) {
        size_t end = at;

        /* The last word takes the rest. */
        while (end < line.bytes && (line.text[end] != separator || count + 1 == max))
            end++;
        words[count++] = (struct word){ line.text + at, end - at };
        at = end + 1;
    }
    return count;
}

static bool line_next(const char **text, struct word *line)
{
    if (**text == 0)
        return false;
    line->text = *text;
    line->bytes = strcspn(*text, "\n");
    *text += line->bytes + ((*text)[line->bytes] == '\n');
    return true;
}

/* This process's group: of the memory controller's own hierarchy, else of the unified one. */
static bool group_find(const char *groups, bool *is_unified, struct word *path)
{
    struct word line, words[3];
    bool        is_found = false;

    while (line_next(&groups, &line)) {
        if (line_split(line, ':', words, 3) < 2)
            continue;
        /* The unified hierarchy's line has no controllers: "0::/path". */
        if (words[1].bytes == 0 && !is_found) {
            is_found = true;
            *is_unified = true;
            *path = words[2];
        } else if (word_has(words[1], "memory")) {
            *is_unified = false;
            *path = words[2];
            return true;
        }
    }
    return is_found;
}

/* The mount of that hierarchy and what of it is mounted. */
static bool mount_find(const char *mounts, bool is_unified, struct word *root, struct word *point)
{
    struct word line, words[64];

    while (line_next(&mounts, &line)) {
        size_t count = line_split(line, ' ', words, ARRAY_COUNT(words)), dash = 6;

        while (dash < count && !word_is(words[dash], "-"))
            dash++;
        if (dash + 3 >= count)
            continue;
        if (is_unified ? !word_is(words[dash + 1], "cgroup2")
                       : !word_is(words[dash + 1], "cgroup")
                             || !word_has(words[dash + 3], "memory"))
            continue;
        *root = words[3];
        *point = words[4];
        return true;
    }
    return false;
}

enum kiwi_status memory_cap_place(const char *mounts, const char *groups, struct memory_cap *cap,
                                  size_t *top)
{
    struct word path, root, point;

    memset(cap, 0, sizeof *cap);
    *top = 0;
    if (!group_find(groups, &cap->is_unified, &path)
        || !mount_find(mounts, cap->is_unified, &root, &point))
        return FAIL(KIWI_NOT_FOUND, "no control groups with a memory controller are mounted");
    /* Only a part of the hierarchy may be mounted; a path outside of it shows as "/..". */
    if (!word_is(root, "/") && path.bytes >= root.bytes
        && memcmp(path.text, root.text, root.bytes) == 0)
        path = (struct word){ path.text + root.bytes, path.bytes - root.bytes };
    if (word_is(path, "/") || (path.bytes >= 3 && memcmp(path.text, "/..", 3) == 0))
        path.bytes = 0;
    if (point.bytes + path.bytes >= sizeof cap->folder)
        return FAIL(KIWI_NOT_FOUND, "the path of this process's control group is too long");
    snprintf(cap->folder, sizeof cap->folder, "%.*s%.*s", (int)point.bytes, point.text,
             (int)path.bytes, path.text);
    *top = point.bytes;
    return KIWI_OK;
}

/* A small file as text; false: it cannot be read, errno says why. */
static bool text_read(const char *folder, const char *name, char *text, size_t bytes)
{
    char  path[CAP_PATH_BYTES + 40];
    FILE *file;
    size_t length;

    snprintf(path, sizeof path, "%s%s%s", folder, folder[0] != 0 ? "/" : "", name);
    file = fopen(path, "re");
    if (file == NULL)
        return false;
    length = fread(text, 1, bytes - 1, file);
    text[length] = 0;
    fclose(file);
    return true;
}

static bool number_write(const char *folder, const char *name, uint64_t number)
{
    char    path[CAP_PATH_BYTES + 40], text[24];
    int     length = snprintf(text, sizeof text, "%llu", (unsigned long long)number), file;
    ssize_t written;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    file = open(path, O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    written = write(file, text, (size_t)length);
    return close(file) == 0 && written == length;
}

enum kiwi_status memory_group_open(const struct memory_cap *cap, uint64_t bytes,
                                   struct memory_group *out)
{
    static _Atomic uint32_t count;
    const char *const limit = cap->is_unified ? "memory.max" : "memory.limit_in_bytes";
    int               error;

    out->is_unified = cap->is_unified;
    snprintf(out->folder, sizeof out->folder, "%s/kiwidb-bench-%ld-%u", cap->folder,
             (long)getpid(), atomic_fetch_add(&count, 1u));
    if (mkdir(out->folder, 0755) != 0)
        return FAIL(KIWI_IO, "cannot make a control group in %.120s: %s", cap->folder,
                    strerror(errno));
    if (!number_write(out->folder, limit, bytes)) {
        error = errno;
        (void)rmdir(out->folder);
        return FAIL(KIWI_IO, "cannot set %s of a group in %.120s: %s", limit, cap->folder,
                    strerror(error));
    }
    /* Without swap, as far as the kernel counts it: engines must not page in secret. */
    (void)number_write(out->folder, cap->is_unified ? "memory.swap.max" : "memory.swappiness", 0);
    return KIWI_OK;
}

void memory_group_entry(const struct memory_group *group, char *path)
{
    snprintf(path, CAP_PATH_BYTES, "%.*s/cgroup.procs", (int)(CAP_PATH_BYTES - 32), group->folder);
}

void memory_group_usage_read(const struct memory_group *group, struct memory_group_usage *usage)
{
    char        text[4096];
    const char *place;

    memset(usage, 0, sizeof *usage);
    if (text_read(group->folder, group->is_unified ? "memory.peak" : "memory.max_usage_in_bytes",
                  text, sizeof text))
        usage->peak_bytes = strtoull(text, NULL, 10);
    if (text_read(group->folder, group->is_unified ? "memory.events" : "memory.oom_control", text,
                  sizeof text)
        && (place = strstr(text, "oom_kill ")) != NULL)
        usage->kill_count = strtoull(place + 9, NULL, 10);
}

enum kiwi_status memory_group_close(struct memory_group *group)
{
    const struct timespec pause = { 0, 5000000 };

    /* The kernel takes a moment to forget the last process. */
    for (int i = 0; rmdir(group->folder) != 0; i++) {
        if (errno != EBUSY || i == REMOVAL_COUNT_MAX)
            return FAIL(KIWI_IO, "cannot remove the control group %s: %s", group->folder,
                        strerror(errno));
        nanosleep(&pause, NULL);
    }
    return KIWI_OK;
}

uint64_t memory_cap_allowance(uint32_t thread_count)
{
    return ALLOWANCE_BYTES + thread_count * ALLOWANCE_THREAD_BYTES;
}

/* Whether groups below the folder have the memory controller: always in the first version. */
static bool is_handed_down(const struct memory_cap *cap)
{
    char text[512], *place;

    if (!cap->is_unified)
        return true;
    if (!text_read(cap->folder, "cgroup.subtree_control", text, sizeof text))
        return false;
    place = strstr(text, "memory");
    return place != NULL && (place == text || place[-1] == ' ');
}

static bool group_can_be_made(struct memory_cap *cap)
{
    struct memory_group group;

    if (!is_handed_down(cap)) {
        snprintf(cap->reason, sizeof cap->reason, "no control group from %.160s up hands the "
                                                  "memory controller down", cap->folder);
        return false;
    }
    if (memory_group_open(cap, TRY_BYTES, &group) == KIWI_OK
        && memory_group_close(&group) == KIWI_OK)
        return true;
    snprintf(cap->reason, sizeof cap->reason, "%s", fail_text());
    return false;
}

void memory_cap_find(struct memory_cap *cap)
{
    static char mounts[256 << 10], groups[8192];
    size_t      top;
    char        reason[sizeof cap->reason] = "";

    if (!text_read("/proc/self", "mountinfo", mounts, sizeof mounts)
        || !text_read("/proc/self", "cgroup", groups, sizeof groups)) {
        memset(cap, 0, sizeof *cap);
        snprintf(cap->reason, sizeof cap->reason, "this system has no control groups");
        return;
    }
    if (memory_cap_place(mounts, groups, cap, &top) != KIWI_OK) {
        snprintf(cap->reason, sizeof cap->reason, "%s", fail_text());
        return;
    }
    while (!group_can_be_made(cap)) {
        char *end = strrchr(cap->folder, '/');

        if (reason[0] == 0)
            snprintf(reason, sizeof reason, "%s", cap->reason);
        /* Leaving one's group is for the unified hierarchy, where no group with processes has
         * children. */
        if (!cap->is_unified || strlen(cap->folder) <= top || end == NULL) {
            snprintf(cap->reason, sizeof cap->reason, "%s", reason);
            return;
        }
        *end = 0;
    }
    cap->reason[0] = 0;
    cap->is_permitted = true;
}
