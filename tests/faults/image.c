/*
 * image.c: reading, restoring and damaging the files of a database.
 */
#include "tests/faults/image.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct image *walk_image;
static const char   *walk_directory;

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    abort();
}

static int file_open(const char *directory, const char *path, int flags)
{
    char name[512];
    int  file;

    snprintf(name, sizeof name, "%s/%s", directory, path);
    file = open(name, flags | O_CLOEXEC, 0644);
    must(file >= 0, name);
    return file;
}

static int file_take(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    struct image_file *file;
    int                descriptor;

    (void)walk;
    if (type != FTW_F)
        return 0;
    must(walk_image->count < IMAGE_FILES_MAX, "too many files");
    file = &walk_image->files[walk_image->count++];
    snprintf(file->path, sizeof file->path, "%s", path + strlen(walk_directory) + 1);
    file->size = (size_t)info->st_size;
    file->bytes = malloc(file->size + 1);
    descriptor = file_open(walk_directory, file->path, O_RDONLY);
    must(read(descriptor, file->bytes, file->size) == (ssize_t)file->size, "read");
    close(descriptor);
    return 0;
}

static int order(const void *left, const void *right)
{
    return strcmp(((const struct image_file *)left)->path,
                  ((const struct image_file *)right)->path);
}

void image_take(struct image *image, const char *directory)
{
    memset(image, 0, sizeof *image);
    walk_image = image;
    walk_directory = directory;
    must(nftw(directory, file_take, 16, FTW_PHYS) == 0, "walk");
    qsort(image->files, image->count, sizeof image->files[0], order);
}

void image_free(struct image *image)
{
    for (uint32_t i = 0; i < image->count; i++)
        free(image->files[i].bytes);
    image->count = 0;
}

static int file_remove(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)walk;
    return type == FTW_F ? unlink(path) : 0;
}

void file_put(const char *directory, const struct image_file *file)
{
    int descriptor = file_open(directory, file->path, O_WRONLY | O_CREAT | O_TRUNC);

    must(write(descriptor, file->bytes, file->size) == (ssize_t)file->size, "write");
    close(descriptor);
}

void image_put(const struct image *image, const char *directory)
{
    must(nftw(directory, file_remove, 16, FTW_PHYS) == 0, "walk");
    for (uint32_t i = 0; i < image->count; i++)
        file_put(directory, &image->files[i]);
}

static int any_remove(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

void directory_remove(const char *directory)
{
    must(access(directory, F_OK) != 0
             || nftw(directory, any_remove, 16, FTW_DEPTH | FTW_PHYS) == 0, directory);
}

bool image_is(const struct image *image, const char *directory)
{
    struct image now;
    bool         same;

    image_take(&now, directory);
    same = now.count == image->count;
    for (uint32_t i = 0; same && i < image->count; i++)
        same = strcmp(now.files[i].path, image->files[i].path) == 0
            && now.files[i].size == image->files[i].size
            && memcmp(now.files[i].bytes, image->files[i].bytes, image->files[i].size) == 0;
    image_free(&now);
    return same;
}

void file_flip(const char *directory, const char *path, size_t bit)
{
    int     file = file_open(directory, path, O_RDWR);
    uint8_t byte;

    must(pread(file, &byte, 1, (off_t)(bit / 8)) == 1, "read");
    byte ^= (uint8_t)(1u << bit % 8);
    must(pwrite(file, &byte, 1, (off_t)(bit / 8)) == 1, "write");
    close(file);
}

void file_truncate(const char *directory, const char *path, size_t bytes)
{
    int file = file_open(directory, path, O_RDWR);

    must(ftruncate(file, (off_t)bytes) == 0, "truncate");
    close(file);
}

void file_zero(const char *directory, const char *path, size_t offset, size_t bytes)
{
    int      file = file_open(directory, path, O_RDWR);
    uint8_t *zeros = calloc(1, bytes);

    must(pwrite(file, zeros, bytes, (off_t)offset) == (ssize_t)bytes, "write");
    free(zeros);
    close(file);
}

void file_delete(const char *directory, const char *path)
{
    char name[512];

    snprintf(name, sizeof name, "%s/%s", directory, path);
    must(unlink(name) == 0, name);
}

void file_swap(const char *directory, const char *one, const char *other)
{
    char left[512], right[512], middle[600];

    snprintf(left, sizeof left, "%s/%s", directory, one);
    snprintf(right, sizeof right, "%s/%s", directory, other);
    snprintf(middle, sizeof middle, "%s.swap", left);
    must(rename(left, middle) == 0 && rename(right, left) == 0 && rename(middle, right) == 0,
         "rename");
}

bool file_is_there(const char *directory, const char *path)
{
    char        name[512];
    struct stat info;

    snprintf(name, sizeof name, "%s/%s", directory, path);
    return stat(name, &info) == 0;
}
