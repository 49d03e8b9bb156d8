/*
 * json.h: the documents of --json: schema and version first, numbers in base units.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

/* {"schema": ..., "version": 1} */
json_t *document_of(const char *schema);
/* As text where the bytes are UTF-8 without control characters; else under name_base64. */
void    json_put_bytes(json_t *object, const char *name, const void *data, size_t size);
/* To standard output, and frees it. */
void    document_print(json_t *document);
