/*
 * result.h: a run that was written down, read back.
 */
#pragma once

#include <jansson.h>
#include <limits.h>

#include "core/base/base.h"

#define RESULT_PHASE_COUNT_MAX 96u

/* series.csv; a cell that is empty is 0. */
struct series_table {
    char   **names;      /* column_count of them; owned */
    size_t   column_count, row_count;
    double  *cells;      /* row by row; column 0 is the index of the phase in run.json; owned */
};

struct result {
    char                folder[PATH_MAX];
    json_t             *document;
    const json_t       *phases;         /* borrowed from document */
    struct series_table series;
};

/*
 * path: a run's folder, or its run.json. KIWI_CORRUPT: truncated or no JSON, the text says where;
 * KIWI_INVALID: of another schema or version, unless is_forced. series.csv may be missing.
 */
MUST_USE enum kiwi_status result_open(const char *path, bool is_forced, struct result *out);
void                      result_close(struct result *result);

/* SIZE_MAX: there is no such column. */
size_t series_column(const struct series_table *table, const char *name);
double series_cell(const struct series_table *table, size_t row, size_t column);

/* "" and 0 when a part of the dotted path, as "machine.cpu", is missing. */
const char *result_text(const json_t *object, const char *path);
double      result_number(const json_t *object, const char *path);

/*
 * KIWI_INVALID with the reason when the two were not made under the same conditions: other streams
 * of operations, durability or machine.
 */
MUST_USE enum kiwi_status results_check(const struct result *a, const struct result *b);
/* The index of the first phase of that name from an index on; SIZE_MAX: there is none. */
size_t        result_phase_from(const struct result *result, const char *name, size_t from);
/* The phase of that name, or NULL. */
const json_t *result_phase(const struct result *result, const char *name);
