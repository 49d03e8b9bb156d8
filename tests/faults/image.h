/*
 * image.h: all files of a closed database in memory, to put them back after they were damaged.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_FILES_MAX 128u

struct image_file {
    char     path[96]; /* below the directory */
    uint8_t *bytes;
    size_t   size;
};

struct image {
    struct image_file files[IMAGE_FILES_MAX];
    uint32_t          count;
};

void image_take(struct image *image, const char *directory);
void image_free(struct image *image);
/* The directory then holds exactly these files with these bytes. */
void image_put(const struct image *image, const char *directory);

/* The directory and all in it; fine when it is not there. */
void directory_remove(const char *directory);
/* Whether the directory holds exactly these files with these bytes. */
bool image_is(const struct image *image, const char *directory);

/* Damage to one file of a directory. */
void file_flip(const char *directory, const char *path, size_t bit);
void file_truncate(const char *directory, const char *path, size_t bytes);
void file_zero(const char *directory, const char *path, size_t offset, size_t bytes);
void file_delete(const char *directory, const char *path);
void file_swap(const char *directory, const char *one, const char *other);
void file_put(const char *directory, const struct image_file *file);
bool file_is_there(const char *directory, const char *path);
