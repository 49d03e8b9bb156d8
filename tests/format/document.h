/*
 * document.h: the tables of docs/format.md as numbers, for tests that hold the document against the
 * code and against real files.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define DOCUMENT_NAME_BYTES 48u
#define DOCUMENT_ROWS_MAX   256u

struct document_constant {
    char     name[DOCUMENT_NAME_BYTES];
    uint64_t value;
};

struct document_field {
    char     structure[DOCUMENT_NAME_BYTES], name[DOCUMENT_NAME_BYTES];
    uint64_t at, size;
};

struct document {
    struct document_constant constants[DOCUMENT_ROWS_MAX];
    struct document_field    fields[DOCUMENT_ROWS_MAX];
    uint32_t                 constant_count, field_count;
};

/* Fails the running test when the file cannot be read or a table is not what it should be. */
void     document_read(struct document *document, const char *path);
/* The number that the document gives the name; fails the test when it gives none. */
uint64_t document_constant(const struct document *document, const char *name);
const struct document_field *document_field(const struct document *document,
                                            const char *structure, const char *name);
