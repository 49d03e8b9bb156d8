/*
 * document.c: reads the markdown tables of constants ("| `NAME` | number |") and of structures
 * ("| at | size | `field` |" behind a line that begins with "**`structure`**").
 */
#include "tests/format/document.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What stands in back quotes from text on; false: nothing. */
static int quoted_take(const char *text, char out[DOCUMENT_NAME_BYTES])
{
    const char *begin = strchr(text, '`'), *end = begin == NULL ? NULL : strchr(begin + 1, '`');

    if (end == NULL || (size_t)(end - begin) > DOCUMENT_NAME_BYTES)
        return 0;
    memcpy(out, begin + 1, (size_t)(end - begin) - 1);
    out[end - begin - 1] = 0;
    return 1;
}

static uint64_t number_take(const char *text, const char *line)
{
    char    *end;
    uint64_t value = strtoull(text, &end, 0);

    if (end == text || strncmp(end, " |", 2) != 0)
        fail_msg("not a number: %s", line);
    return value;
}

static void constant_take(struct document *document, const char *line)
{
    struct document_constant *constant = &document->constants[document->constant_count];
    const char               *value = strstr(line + 2, " | ");

    assert_true(document->constant_count < DOCUMENT_ROWS_MAX);
    if (value == NULL || !quoted_take(line, constant->name))
        fail_msg("not a constant: %s", line);
    constant->value = number_take(value + 3, line);
    document->constant_count++;
}

static void field_take(struct document *document, const char *structure, const char *line)
{
    struct document_field *field = &document->fields[document->field_count];
    const char            *size = strstr(line + 2, " | ");

    assert_true(document->field_count < DOCUMENT_ROWS_MAX);
    if (size == NULL || structure[0] == 0 || !quoted_take(line, field->name))
        fail_msg("not a field: %s", line);
    field->at = number_take(line + 2, line);
    field->size = number_take(size + 3, line);
    strcpy(field->structure, structure);
    document->field_count++;
}

void document_read(struct document *document, const char *path)
{
    enum { NO_TABLE, CONSTANTS, FIELDS } table = NO_TABLE;
    char  line[1024], structure[DOCUMENT_NAME_BYTES] = "";
    FILE *file = fopen(path, "r");

    if (file == NULL)
        fail_msg("cannot read %s", path);
    memset(document, 0, sizeof *document);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "**`", 3) == 0)
            (void)quoted_take(line, structure);
        if (line[0] != '|')
            table = NO_TABLE;
        else if (strncmp(line, "| constant |", 12) == 0)
            table = CONSTANTS;
        else if (strncmp(line, "| at |", 6) == 0)
            table = FIELDS;
        else if (strncmp(line, "|---", 4) != 0 && table == CONSTANTS)
            constant_take(document, line);
        else if (strncmp(line, "|---", 4) != 0 && table == FIELDS)
            field_take(document, structure, line);
    }
    fclose(file);
    assert_true(document->constant_count > 0);
    assert_true(document->field_count > 0);
}

uint64_t document_constant(const struct document *document, const char *name)
{
    for (uint32_t i = 0; i < document->constant_count; i++)
        if (strcmp(document->constants[i].name, name) == 0)
            return document->constants[i].value;
    fail_msg("the document has no constant %s", name);
    return 0;
}

const struct document_field *document_field(const struct document *document,
                                            const char *structure, const char *name)
{
    for (uint32_t i = 0; i < document->field_count; i++)
        if (strcmp(document->fields[i].structure, structure) == 0
            && strcmp(document->fields[i].name, name) == 0)
            return &document->fields[i];
    fail_msg("the document has no field %s of %s", name, structure);
    return NULL;
}
