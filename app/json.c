/*
 * json.c: documents for --json.
 */
#include "app/json.h"

#include <stdio.h>
#include <stdlib.h>

#include "app/text.h"

json_t *document_of(const char *schema)
{
    return json_pack("{s:s, s:i}", "schema", schema, "version", 1);
}

void json_put_bytes(json_t *object, const char *name, const void *data, size_t size)
{
    char   encoded_name[64];
    char  *text = NULL;
    size_t bytes = 0;
    FILE  *stream;

    if (text_is_utf8(data, size)) {
        json_object_set_new(object, name, json_stringn(size > 0 ? data : "", size));
        return;
    }
    stream = open_memstream(&text, &bytes);
    if (stream == NULL)
        return;
    text_write(stream, FORM_BASE64, data, size);
    fclose(stream);
    snprintf(encoded_name, sizeof encoded_name, "%s_base64", name);
    json_object_set_new(object, encoded_name, json_stringn(text, bytes));
    free(text);
}

void document_print(json_t *document)
{
    json_dumpf(document, stdout, JSON_INDENT(1));
    fputc('\n', stdout);
    json_decref(document);
}
