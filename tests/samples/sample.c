/*
 * sample.c: writes and reads samples.
 */
#include "tests/samples/sample.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_LINE   "kiwi sample 1\n"
#define SECTOR_BYTES 512u

static bool is_zeros(const uint8_t *bytes, size_t size)
{
    return size == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static size_t sector_at(const struct image_file *file, size_t at)
{
    return file->size - at < SECTOR_BYTES ? file->size - at : SECTOR_BYTES;
}

static void file_write(FILE *out, const struct image_file *file)
{
    size_t end;

    fprintf(out, "file %s %zu\n", file->path, file->size);
    for (size_t at = 0; at < file->size; at = end) {
        bool zeros = is_zeros(file->bytes + at, sector_at(file, at));

        end = at;
        while (end < file->size && is_zeros(file->bytes + end, sector_at(file, end)) == zeros)
            end += sector_at(file, end);
        if (zeros)
            continue;
        fprintf(out, "piece %zu %zu\n", at, end - at);
        assert_int_equal(fwrite(file->bytes + at, 1, end - at, out), end - at);
        fputc('\n', out);
    }
}

void sample_write(const char *path, const struct image *image)
{
    FILE *out = fopen(path, "wb");

    if (out == NULL)
        fail_msg("cannot write %s", path);
    fputs(FIRST_LINE, out);
    for (uint32_t i = 0; i < image->count; i++)
        file_write(out, &image->files[i]);
    assert_int_equal(fclose(out), 0);
}

void sample_read(const char *path, struct image *image)
{
    FILE              *in = fopen(path, "rb");
    char               line[256];
    struct image_file *file = NULL;
    size_t             at, bytes;

    if (in == NULL)
        fail_msg("cannot read %s", path);
    memset(image, 0, sizeof *image);
    assert_non_null(fgets(line, sizeof line, in));
    assert_string_equal(line, FIRST_LINE);
    while (fgets(line, sizeof line, in) != NULL) {
        if (strncmp(line, "file ", 5) == 0) {
            assert_true(image->count < IMAGE_FILES_MAX);
            file = &image->files[image->count++];
            assert_int_equal(sscanf(line, "file %95s %zu", file->path, &file->size), 2);
            file->bytes = calloc(1, file->size + 1);
            assert_non_null(file->bytes);
            continue;
        }
        assert_int_equal(sscanf(line, "piece %zu %zu", &at, &bytes), 2);
        assert_non_null(file);
        assert_true(at <= file->size && bytes <= file->size - at);
        assert_int_equal(fread(file->bytes + at, 1, bytes, in), bytes);
        assert_int_equal(fgetc(in), '\n');
    }
    fclose(in);
    assert_true(image->count > 0);
}
