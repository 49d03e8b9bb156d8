/*
 * sample.h: the files of a database in one file, without their sectors of zeros. README.md has the
 * layout.
 */
#pragma once

#include "tests/faults/image.h"

/* Both fail the running test. */
void sample_write(const char *path, const struct image *image);
void sample_read(const char *path, struct image *image);
