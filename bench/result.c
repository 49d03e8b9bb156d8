/*
 * result.c: reading run.json and series.csv with suspicion.
 */
#include "bench/result.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/report.h"
#include "core/base/memory.h"

#define SERIES_COLUMN_MAX 1024u
#define SERIES_LINE_BYTES 65536u

static const json_t *find(const json_t *object, const char *path)
{
    char        name[64];
    const char *dot;

    while (object != NULL && (dot = strchr(path, '.')) != NULL) {
        snprintf(name, sizeof name, "%.*s", (int)(dot - path), path);
        object = json_object_get(object, name);
        path = dot + 1;
    }
    return json_object_get(object, path);
}

const char *result_text(const json_t *object, const char *path)
{
    const char *text = json_string_value(find(object, path));

    return text != NULL ? text : "";
}

double result_number(const json_t *object, const char *path)
{
    const json_t *value = find(object, path);

    return json_is_true(value) ? 1 : json_number_value(value);
}

const json_t *result_phase(const struct result *result, const char *name)
{
    size_t  index;
    json_t *phase;

    json_array_foreach(result->phases, index, phase)
        if (strcmp(result_text(phase, "name"), name) == 0)
            return phase;
    return NULL;
}

size_t series_column(const struct series_table *table, const char *name)
{
    for (size_t i = 0; i < table->column_count; i++)
        if (strcmp(table->names[i], name) == 0)
            return i;
    return SIZE_MAX;
}

double series_cell(const struct series_table *table, size_t row, size_t column)
{
    if (row >= table->row_count || column >= table->column_count)
        return 0;
    return table->cells[row * table->column_count + column];
}

static enum kiwi_status header_read(struct series_table *table, char *line, const char *path)
{
    size_t count = 1;

    for (const char *at = line; *at != 0; at++)
        count += *at == ',';
    if (count > SERIES_COLUMN_MAX)
        return FAIL(KIWI_CORRUPT, "%s line 1: %zu columns", path, count);
    table->names = memory_allocate_zeroed(count * sizeof *table->names);
    if (table->names == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for %s", path);
    for (char *save = NULL, *word = strtok_r(line, ",\n", &save); word != NULL;
         word = strtok_r(NULL, ",\n", &save)) {
        size_t bytes = strlen(word) + 1;
        char  *name = memory_allocate(bytes);

        if (name == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory for %s", path);
        memcpy(name, word, bytes);
        table->names[table->column_count++] = name;
    }
    return KIWI_OK;
}

size_t result_phase_from(const struct result *result, const char *name, size_t from)
{
    for (size_t i = from; i < json_array_size(result->phases); i++)
        if (strcmp(result_text(json_array_get(result->phases, i), "name"), name) == 0)
            return i;
    return SIZE_MAX;
}

static enum kiwi_status row_read(struct result *result, char *line, const char *path,
                                 size_t *capacity)
{
    struct series_table *table = &result->series;
    const size_t         number = table->row_count + 2;
    double              *row;
    char                *at = strchr(line, ',');
    size_t               phase;

    if (at == NULL || strchr(line, '\n') == NULL)
        return FAIL(KIWI_CORRUPT, "%s line %zu is cut off", path, number);
    *at++ = 0;
    /* Phases of one name, as several loads, follow each other; their seconds start anew. A phase
     * that ends just behind a full second may have that second twice. */
    phase = table->row_count > 0 ? (size_t)series_cell(table, table->row_count - 1, 0) : 0;
    if (table->row_count > 0 && table->column_count > 1
        && strtod(at, NULL) <= series_cell(table, table->row_count - 1, 1)
        && result_phase_from(result, line, phase + 1) != SIZE_MAX)
        phase++;
    phase = result_phase_from(result, line, phase);
    if (phase == SIZE_MAX)
        return FAIL(KIWI_CORRUPT, "%s line %zu: phase '%.40s' is not in run.json", path, number,
                    line);
    if (table->row_count == *capacity) {
        double *cells;

        *capacity = *capacity == 0 ? 256 : *capacity * 2;
        cells = memory_resize(table->cells, *capacity * table->column_count * sizeof *cells);
        if (cells == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory for %s", path);
        table->cells = cells;
    }
    row = table->cells + table->row_count++ * table->column_count;
    row[0] = (double)phase;
    for (size_t i = 1; i < table->column_count; i++) {
        char *end = at;

        row[i] = strtod(at, &end);
        if (*end != (i + 1 < table->column_count ? ',' : '\n'))
            return FAIL(KIWI_CORRUPT, "%s line %zu, %s: no number, or a cell too few or many",
                        path, number, table->names[i]);
        at = end + 1;
    }
    return KIWI_OK;
}

static enum kiwi_status series_read(struct result *result)
{
    char             path[PATH_MAX + 16], *line = memory_allocate(SERIES_LINE_BYTES);
    enum kiwi_status status = KIWI_OK;
    size_t           capacity = 0;
    FILE            *file;

    if (line == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a line of series.csv");
    snprintf(path, sizeof path, "%s/series.csv", result->folder);
    file = fopen(path, "re");
    if (file != NULL && fgets(line, SERIES_LINE_BYTES, file) != NULL)
        status = header_read(&result->series, line, path);
    while (status == KIWI_OK && file != NULL && fgets(line, SERIES_LINE_BYTES, file) != NULL)
        status = row_read(result, line, path, &capacity);
    if (file != NULL)
        fclose(file);
    memory_free(line);
    return status;
}

static enum kiwi_status document_check(const struct result *result, const char *path)
{
    const char *schema = result_text(result->document, "schema");
    int         version = (int)result_number(result->document, "version");

    if (strcmp(schema, REPORT_SCHEMA) != 0)
        return FAIL(KIWI_INVALID, "%s: its schema is '%.40s', not " REPORT_SCHEMA, path, schema);
    if (version != REPORT_VERSION)
        return FAIL(KIWI_INVALID, "%s: version %d, this program reads version %d (--force tries)",
                    path, version, REPORT_VERSION);
    return KIWI_OK;
}

enum kiwi_status result_open(const char *path, bool is_forced, struct result *out)
{
    char             file[PATH_MAX + 16];
    struct stat      about;
    json_error_t     error;
    enum kiwi_status status;

    memset(out, 0, sizeof *out);
    if (strlen(path) >= sizeof out->folder)
        return FAIL(KIWI_INVALID, "path of %zu bytes is too long", strlen(path));
    if (stat(path, &about) != 0)
        return FAIL(KIWI_IO, "%s: %s", path, strerror(errno));
    snprintf(out->folder, sizeof out->folder, "%s", path);
    snprintf(file, sizeof file, S_ISDIR(about.st_mode) ? "%s/run.json" : "%s", path);
    if (!S_ISDIR(about.st_mode)) {
        char *slash = strrchr(out->folder, '/');
        snprintf(slash != NULL ? slash : out->folder, 2, slash != NULL ? "" : ".");
    }
    out->document = json_load_file(file, JSON_REJECT_DUPLICATES, &error);
    if (out->document == NULL)
        return FAIL(KIWI_CORRUPT, "%s line %d: %s", file, error.line, error.text);
    out->phases = json_object_get(out->document, "phases");
    status = is_forced ? KIWI_OK : document_check(out, file);
    if (status == KIWI_OK && !json_is_array(out->phases))
        status = FAIL(KIWI_CORRUPT, "%s: no list of phases", file);
    if (status == KIWI_OK)
        status = series_read(out);
    if (status != KIWI_OK)
        result_close(out);
    return status;
}

void result_close(struct result *result)
{
    for (size_t i = 0; i < result->series.column_count; i++)
        memory_free(result->series.names[i]);
    memory_free(result->series.names);
    memory_free(result->series.cells);
    json_decref(result->document);
    memset(result, 0, sizeof *result);
}

enum kiwi_status results_check(const struct result *a, const struct result *b)
{
    const char *one = result_text(a->document, "machine.fingerprint");
    const char *two = result_text(b->document, "machine.fingerprint");
    size_t      index, shared = 0;
    json_t     *phase;

    if (strcmp(one, two) != 0)
        return FAIL(KIWI_INVALID, "the machines differ: %s and %s", one, two);
    json_array_foreach(a->phases, index, phase)
    {
        static const char *const names[] = { "stream_digest", "durability" };
        const char              *name = result_text(phase, "name");
        const json_t            *other = result_phase(b, name);

        if (other == NULL)
            continue;
        shared++;
        for (size_t i = 0; i < ARRAY_COUNT(names); i++)
            if (strcmp(result_text(phase, names[i]), result_text(other, names[i])) != 0)
                return FAIL(KIWI_INVALID, "phase %s: %s is %s and %s", name, names[i],
                            result_text(phase, names[i]), result_text(other, names[i]));
    }
    if (shared == 0)
        return FAIL(KIWI_INVALID, "the two have no phase in common");
    return KIWI_OK;
}
