/*
 * folder.c: making, measuring and removing folders.
 */
#include "bench/folder.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char marker_name[] = "kiwi-bench";

enum kiwi_status folder_make(const char *path)
{
    char partial[PATH_MAX];

    if (strlen(path) >= sizeof partial)
        return FAIL(KIWI_INVALID, "path of %zu bytes is too long", strlen(path));
    for (size_t i = 1; i <= strlen(path); i++) {
        if (path[i] != '/' && path[i] != 0)
            continue;
        memcpy(partial, path, i);
        partial[i] = 0;
        if (mkdir(partial, 0777) != 0 && errno != EEXIST)
            return FAIL(errno == ENOSPC ? KIWI_FULL : KIWI_IO, "cannot make %s: %s", partial,
                        strerror(errno));
    }
    return KIWI_OK;
}

static bool folder_is_empty(const char *path)
{
    DIR           *folder = opendir(path);
    struct dirent *entry;
    bool           is_empty = folder != NULL;

    while (folder != NULL && (entry = readdir(folder)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            is_empty = false;
    if (folder != NULL)
        closedir(folder);
    return is_empty;
}

enum kiwi_status data_folder_claim(const char *folder)
{
    char  marker[PATH_MAX];
    FILE *file;

    TRY(folder_make(folder));
    if (snprintf(marker, sizeof marker, "%s/%s", folder, marker_name) >= (int)sizeof marker)
        return FAIL(KIWI_INVALID, "path of %zu bytes is too long", strlen(folder));
    if (access(marker, F_OK) == 0)
        return KIWI_OK;
    if (!folder_is_empty(folder))
        return FAIL(KIWI_INVALID, "%s holds files that are not a benchmark's; choose another --dir",
                    folder);
    file = fopen(marker, "we");
    if (file == NULL)
        return FAIL(errno == ENOSPC ? KIWI_FULL : KIWI_IO, "cannot write %s: %s", marker,
                    strerror(errno));
    fputs("This folder belongs to `kiwidb bench`, which deletes what is in it.\n", file);
    fclose(file);
    return KIWI_OK;
}

void data_folder_path(const char *folder, char *path, size_t bytes)
{
    snprintf(path, bytes, "%s/data", folder);
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *place)
{
    (void)about;
    (void)kind;
    (void)place;
    return remove(path);
}

enum kiwi_status data_folder_wipe(const char *folder)
{
    char data[PATH_MAX], marker[PATH_MAX];

    snprintf(marker, sizeof marker, "%s/%s", folder, marker_name);
    if (access(marker, F_OK) != 0)
        return FAIL(KIWI_INVALID, "%s is not a benchmark's folder", folder);
    data_folder_path(folder, data, sizeof data);
    if (access(data, F_OK) != 0)
        return KIWI_OK;
    if (nftw(data, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        return FAIL(KIWI_IO, "cannot remove %s: %s", data, strerror(errno));
    return KIWI_OK;
}

void data_folder_remove(const char *folder)
{
    char marker[PATH_MAX];

    if (data_folder_wipe(folder) != KIWI_OK)
        return;
    snprintf(marker, sizeof marker, "%s/%s", folder, marker_name);
    (void)remove(marker);
    (void)rmdir(folder); /* stays when somebody put something into it */
}

static _Thread_local uint64_t counted_bytes;

static int count_one(const char *path, const struct stat *about, int kind, struct FTW *place)
{
    (void)path;
    (void)place;
    if (kind == FTW_F)
        counted_bytes += (uint64_t)about->st_blocks * 512u;
    return 0;
}

uint64_t folder_bytes(const char *path)
{
    counted_bytes = 0;
    (void)nftw(path, count_one, 16, FTW_PHYS);
    return counted_bytes;
}
