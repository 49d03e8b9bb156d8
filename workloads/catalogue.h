/*
 * catalogue.h: every property name that YCSB's core workload and client know, and our own.
 *
 * The linter: a name that is not in here is an error that suggests the nearest one; a name that is
 * here but has no effect on this driver is explained; values are checked against type and range.
 */
#pragma once

#include <stdint.h>

#include "core/base/base.h"
#include "workloads/properties.h"

enum property_effect {
    PROPERTY_USED = 0,
    PROPERTY_IGNORED,      /* known, accepted, without effect here; the note says why */
};

enum property_type {
    PROPERTY_TEXT = 0,
    PROPERTY_COUNT,        /* 0 and up */
    PROPERTY_NUMBER,       /* a decimal fraction */
    PROPERTY_FLAG,         /* true or false */
    PROPERTY_CHOICE,       /* one of the words */
};

struct property_rule {
    const char          *name;
    const char          *initial;   /* the default, as text; "" when empty, NULL when required */
    enum property_effect effect;
    enum property_type   type;
    double               low, high; /* range of counts and numbers, both ends included */
    const char          *words;     /* choices with a blank between */
    const char          *note;      /* one line, for people */
};

const struct property_rule *catalogue_find(const char *name);
const struct property_rule *catalogue_at(size_t index); /* NULL behind the last */
/* The known name with the least edit distance; NULL when nothing is near. */
const char *catalogue_nearest(const char *name);

/* "; did you mean 'zipfian'?" for the nearest of words (separated by blanks), written to text and
 * returned; empty when none is near. */
const char *word_suggest(const char *words, const char *given, char *text, size_t text_bytes);

/* Single-character insertions, removals, replacements and swaps of neighbours between a and b. */
uint32_t edit_distance(const char *a, const char *b);

enum lint_kind {
    LINT_ERROR = 0,
    LINT_TRIMMED,    /* blanks at the end of a value were dropped */
    LINT_IGNORED,    /* known and without effect here */
    LINT_INHERITED,  /* a default that changes the mix and is easily overlooked */
};

struct lint_finding {
    enum lint_kind kind;
    char           text[400];
};

struct lint {
    struct lint_finding *findings; /* owned */
    size_t               count;
    size_t               capacity;
    size_t               error_count;
};

/* Adds findings; KIWI_INVALID when there was an error, with the first one as the text. */
MUST_USE enum kiwi_status lint_properties(struct lint *lint, const struct properties *properties);
MUST_USE enum kiwi_status lint_add(struct lint *lint, enum lint_kind kind, const char *format, ...)
    PRINTF_LIKE(3, 4);
void lint_free(struct lint *lint);
