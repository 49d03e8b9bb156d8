/*
 * properties.h: Java property files, the format of YCSB workloads.
 *
 * Grammar  '=', ':' or blanks separate name and value; '#' and '!' start a comment line; a
 *          backslash at the end of a line continues it; \t \n \r \f \uXXXX and escaped
 *          separators are known.
 * Differs  Java keeps blanks at the end of a value, so that "true " reads as false there. Here they
 *          are dropped and the count of such lines is kept, so that the caller can say so.
 * Later definitions of a name win, within a text and across texts.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/base/base.h"

struct property {
    char    *name;          /* owned, as are the next two */
    char    *value;
    char    *origin;        /* a file name, or "command line" */
    uint32_t line;          /* from 1; 0 when the origin has no lines */
    bool     was_trimmed;   /* blanks at the end were dropped */
};

struct properties {
    struct property *items; /* owned, in the order of first definition */
    size_t           count;
    size_t           capacity;
};

/* Adds what text says. KIWI_INVALID: a malformed \u escape, or a zero byte; the text names the
 * line. */
MUST_USE enum kiwi_status properties_parse(struct properties *properties, const char *origin,
                                           const char *text, size_t bytes);
/* Defines one; a later call wins. */
MUST_USE enum kiwi_status properties_set(struct properties *properties, const char *name,
                                         const char *value, const char *origin, uint32_t line);
const struct property *properties_find(const struct properties *properties, const char *name);
/* A copy of all of source into the empty target. */
MUST_USE enum kiwi_status properties_copy(struct properties       *target,
                                          const struct properties *source);
void properties_free(struct properties *properties); /* leaves it empty and usable */
