/*
 * results/SCHEMA.md names every field that a result has, and no other.
 *
 * Method: its tables are read; documents that runs of this build write are walked against them.
 * A field that no table names, one of another type, one that is always there but is not, and one
 * that was never seen at all: each fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <dirent.h>
#include <jansson.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/history.h"
#include "bench/probe.h"

struct field {
    char owner[32], path[80], type[16], presence[16];
    bool was_seen;
};

static struct field fields[600];
static size_t       field_count;
static char         root[64];

/* ---- the tables ---- */

/* The text between the next two bars, without blanks and back quotes around it. */
static char *cell_read(char **at, char *out, size_t bytes)
{
    char *start = *at + strspn(*at, "| `"), *end = strchr(start, '|');

    assert_non_null(end);
    *at = end;
    while (end > start && (end[-1] == ' ' || end[-1] == '`'))
        end--;
    assert_true((size_t)(end - start) < bytes);
    snprintf(out, bytes, "%.*s", (int)(end - start), start);
    return out;
}

static int tables_read(void **state)
{
    FILE *file = fopen(SCHEMA_TEXT, "r");
    char  line[1000], owner[32] = "";
    bool  is_table = false;

    (void)state;
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        struct field *field = &fields[field_count];
        char         *at = line;

        if (strncmp(line, "## ", 3) == 0)
            snprintf(owner, sizeof owner, "%.*s", (int)strcspn(line + 3, "\n"), line + 3);
        is_table = line[0] == '|' && (is_table || strncmp(line, "| field |", 9) == 0);
        if (!is_table || strncmp(line, "| `", 3) != 0)
            continue;
        assert_true(field_count < sizeof fields / sizeof fields[0]);
        snprintf(field->owner, sizeof field->owner, "%s", owner);
        cell_read(&at, field->path, sizeof field->path);
        at++;
        cell_read(&at, field->type, sizeof field->type);
        at++;
        cell_read(&at, field->presence, sizeof field->presence);
        field_count++;
    }
    fclose(file);
    assert_true(field_count > 150);
    snprintf(root, sizeof root, "/tmp/kiwi-schema-XXXXXX");
    return mkdtemp(root) == NULL || chdir(root) != 0;
}

static int root_remove(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return chdir("/") != 0 || system(command) != 0;
}

static struct field *field_find(const char *owner, const char *path)
{
    for (size_t i = 0; i < field_count; i++)
        if (strcmp(fields[i].owner, owner) == 0 && strcmp(fields[i].path, path) == 0)
            return &fields[i];
    return NULL;
}

/* ---- the walk ---- */

static void object_walk(const char *owner, const char *prefix, const json_t *object);

static bool list_is_of(const json_t *list, bool (*is_right)(const json_t *))
{
    size_t  index;
    json_t *item;

    json_array_foreach(list, index, item)
        if (!is_right(item))
            return false;
    return json_is_array(list);
}

static bool is_text(const json_t *value)
{
    return json_is_string(value);
}

static bool is_pair(const json_t *value)
{
    return json_array_size(value) == 2 && json_is_number(json_array_get(value, 0))
        && json_is_number(json_array_get(value, 1));
}

static void objects_walk(const char *owner, const char *path, const json_t *list)
{
    char    prefix[100];
    size_t  index;
    json_t *item;

    if (!json_is_array(list))
        fail_msg("%s: %s is no list", owner, path);
    snprintf(prefix, sizeof prefix, "%s[].", path);
    json_array_foreach(list, index, item)
        object_walk(owner, prefix, item);
}

static void numbers_check(const char *path, const json_t *object)
{
    const char *name;
    json_t     *value;

    if (!json_is_object(object))
        fail_msg("%s is no object", path);
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
        if (!json_is_integer(value))
            fail_msg("%s.%s is no number", path, name);
}

static void value_check_type(struct field *field, const json_t *value)
{
    const char *type = field->type;
    char        prefix[100];
    bool        is_right = true;

    field->was_seen = true;
    snprintf(prefix, sizeof prefix, "%s.", field->path);
    if (strcmp(type, "text") == 0)
        is_right = json_is_string(value);
    else if (strcmp(type, "boolean") == 0)
        is_right = json_is_boolean(value);
    else if (strcmp(type, "integer") == 0)
        is_right = json_is_integer(value);
    else if (strcmp(type, "real") == 0)
        is_right = json_is_real(value);
    else if (strcmp(type, "texts") == 0)
        is_right = list_is_of(value, is_text);
    else if (strcmp(type, "pairs") == 0)
        is_right = list_is_of(value, is_pair);
    else if (strcmp(type, "numbers") == 0)
        numbers_check(field->path, value);
    else if (strcmp(type, "objects") == 0)
        objects_walk(field->owner, field->path, value);
    else if (strcmp(type, "object") == 0)
        object_walk(field->owner, prefix, value);
    else
        object_walk(type, "", value);
    if (!is_right)
        fail_msg("%s: %s is not of type %s", field->owner, field->path, type);
}

/* Fields directly below prefix that are always there. */
static void missing_check(const char *owner, const char *prefix, const json_t *object)
{
    const size_t bytes = strlen(prefix);

    for (size_t i = 0; i < field_count; i++) {
        const char *name = fields[i].path + bytes;

        if (strcmp(fields[i].owner, owner) != 0 || strcmp(fields[i].presence, "always") != 0
            || strncmp(fields[i].path, prefix, bytes) != 0 || strpbrk(name, ".[") != NULL)
            continue;
        if (json_object_get(object, name) == NULL)
            fail_msg("%s: %s is documented as always there and is not", owner, fields[i].path);
    }
}

static void object_walk(const char *owner, const char *prefix, const json_t *object)
{
    const char *name;
    json_t     *value;

    if (!json_is_object(object))
        fail_msg("%s: %s is no object", owner, prefix);
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        char          path[200];
        struct field *field;

        snprintf(path, sizeof path, "%s%s", prefix, name);
        field = field_find(owner, path);
        if (field == NULL)
            fail_msg("%s: %s is in no table of results/SCHEMA.md", owner, path);
        value_check_type(field, value);
    }
    missing_check(owner, prefix, object);
}

/* ---- what is walked ---- */

/* How many entries a folder has, and the path of one. */
static int entry_of(const char *path, char *entry_path, size_t bytes)
{
    DIR           *folder = opendir(path);
    struct dirent *entry;
    int            count = 0;

    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.') {
            snprintf(entry_path, bytes, "%s/%.200s", path, entry->d_name);
            count++;
        }
    closedir(folder);
    return count;
}

/* The file of that name of the only result below results. */
static json_t *document_of(const char *results, const char *name)
{
    char    path[600] = "";
    json_t *document;

    assert_int_equal(entry_of(results, path, sizeof path - 40), 1);
    snprintf(path + strlen(path), 40, "/%s", name);
    document = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(document);
    return document;
}

/* The only file of a folder. */
static void machine_walk(const char *folder)
{
    char    path[600] = "";
    json_t *document;

    assert_int_equal(entry_of(folder, path, sizeof path), 1);
    document = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
    object_walk("machine", "", document);
    json_decref(document);
}

/* more: up to three words. */
static void run_walk(const char *results, const char *more)
{
    char    words[14][80] = { "bench", "", "--records=500", "--ops=500", "--memory=32MiB",
                              "--threads=1", "--shards=1", "--dir=data", "-q", "--no-probe" };
    char   *argv[14];
    int     count = 10;
    json_t *document, *line;

    snprintf(words[1], sizeof words[1], "--results=%s", results);
    for (more += strspn(more, " "); *more != 0; more += strspn(more, " ")) {
        snprintf(words[count++], sizeof words[0], "%.*s", (int)strcspn(more, " "), more);
        more += strcspn(more, " ");
    }
    snprintf(words[count++], sizeof words[0], "workloada");
    for (int i = 0; i < count; i++)
        argv[i] = words[i];
    assert_non_null(freopen("out", "w", stdout));
    assert_int_equal(bench_command(count, argv), 0);
    document = document_of(results, "run.json");
    object_walk("run.json", "", document);
    if (history_refusal(document) == NULL) {
        line = history_line(document);
        object_walk("history line", "", line);
        json_decref(line);
    }
    json_decref(document);
}

static void file_copy(const char *source, const char *target)
{
    FILE *from = fopen(source, "r"), *to = fopen(target, "w");
    int   letter;

    assert_non_null(from);
    assert_non_null(to);
    while ((letter = fgetc(from)) != EOF)
        fputc(letter, to);
    fclose(from);
    fclose(to);
}

/* What two programs leave that are compared; this one is both, by its first argument. */
static void ab_walk(const char *results)
{
    char  words[18][80] = { "bench", "ab", "/proc/self/exe", "/proc/self/exe", "--gate=50", "",
                            "--", "workloada", "--engine=null", "--records=500", "--ops=20k",
                            "--threads=1", "--no-probe" };
    char   *argv[18], path[600] = "";
    json_t *document, *line;
    FILE   *lines;
    size_t  count = 0;

    snprintf(words[5], sizeof words[5], "--results=%s", results);
    for (int i = 0; i < 13; i++)
        argv[i] = words[i];
    assert_int_equal(bench_command(13, argv), 0);
    document = document_of(results, "verdict.json");
    object_walk("verdict.json", "", document);
    assert_int_equal(entry_of(results, path, sizeof path - 40), 1);
    snprintf(path + strlen(path), 40, "/samples.ndjson");
    lines = fopen(path, "r");
    assert_non_null(lines);
    while ((line = json_loadf(lines, JSON_DISABLE_EOF_CHECK, NULL)) != NULL) {
        object_walk("sample line", "", line);
        json_decref(line);
        count++;
    }
    fclose(lines);
    assert_int_equal(count, json_integer_value(json_object_get(document, "samples")));
    assert_true(count >= 30);
    json_decref(document);
}

static void every_field_is_documented_and_every_documented_field_is_there(void **state)
{
    struct device_probe probe;
    json_t             *document;
    int                 saved = dup(STDOUT_FILENO);

    (void)state;
    file_copy(WORKLOADS_FOLDER "/workloada", "workloada");
    run_walk("runs", "--target=20000 --trace-record=r1.trace");
    run_walk("r2", "--kill-rounds=1");
    run_walk("r3", "--ladder --slo=p50=10s --seconds=20ms");
    ab_walk("ab");
    machine_walk("machines");
    fflush(stdout);
    assert_true(dup2(saved, STDOUT_FILENO) >= 0);
    close(saved);
    assert_int_equal(probe_make(".", 0.02, &probe), KIWI_OK);
    document = probe_json(&probe);
    object_walk("device_probe", "", document);
    field_find("run.json", "device_probe")->was_seen = true;
    json_decref(document);
#ifdef KIWI_SANITIZED
    return; /* sanitized runs make no line of a history */
#endif
    for (size_t i = 0; i < field_count; i++)
        if (!fields[i].was_seen && strcmp(fields[i].presence, "rare") != 0)
            fail_msg("%s: %s is documented and was never written", fields[i].owner,
                     fields[i].path);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_is_documented_and_every_documented_field_is_there),
    };

    if (argc > 1)
        return bench_command(argc - 1, argv + 1); /* ab_walk compares it with itself */
    return cmocka_run_group_tests(tests, tables_read, root_remove);
}
