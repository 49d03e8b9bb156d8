/*
 * text.h: bytes in and out of the forms that people and pipes can handle; sizes and counts.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "app/command.h"

/* Bytes that malloc gave; empty when size is 0. */
struct text_bytes {
    uint8_t *data;
    size_t   size;
};

/* False: not of that form; why says what is wrong and where. */
bool text_decode(enum text_form form, const char *text, struct text_bytes *out, char *why,
                 size_t why_bytes);
void text_free(struct text_bytes *bytes);

/* Writes bytes in a form, without a newline. */
void text_write(FILE *stream, enum text_form form, const void *data, size_t size);

/* "512MiB", "1GB", "4096" */
bool text_size(const char *text, uint64_t *bytes);
/* A plain number from 0 up. */
bool text_count(const char *text, uint64_t *count);

/* Valid UTF-8 without control characters: may stand in JSON as it is. */
bool text_is_utf8(const void *data, size_t size);

/* Insertions, removals, replacements and swaps of neighbours between two short words. */
size_t text_distance(const char *a, const char *b);
