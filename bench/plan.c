/*
 * plan.c: files, presets and the command line become a list of runs.
 */
#include "bench/plan.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/presets.h"
#include "core/base/memory.h"
#include "workloads/catalogue.h"

#define FILE_BYTES_MAX (1u << 20)

static enum kiwi_status file_read(const char *path, char *text, size_t *bytes)
{
    FILE *file = fopen(path, "rb");

    if (file == NULL)
        return FAIL(errno == ENOENT || errno == EISDIR ? KIWI_INVALID : KIWI_IO,
                    "%s: %s", path, strerror(errno));
    *bytes = fread(text, 1, FILE_BYTES_MAX, file);
    if (ferror(file)) {
        fclose(file);
        return FAIL(KIWI_INVALID, "%s: cannot be read: is it a folder?", path);
    }
    fclose(file);
    if (*bytes == FILE_BYTES_MAX)
        return FAIL(KIWI_INVALID, "%s: too large for a property file", path);
    return KIWI_OK;
}

static enum kiwi_status run_from_file(struct plan_run *run, const char *path)
{
    char            *text = memory_allocate(FILE_BYTES_MAX);
    size_t           bytes = 0;
    enum kiwi_status status;

    if (text == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to read %s", path);
    status = file_read(path, text, &bytes);
    if (status == KIWI_OK)
        status = properties_parse(&run->properties, path, text, bytes);
    memory_free(text);
    return status;
}

/* The file of value lengths that the properties name. */
static enum kiwi_status histogram_read(struct workload *workload)
{
    char            *text = memory_allocate(FILE_BYTES_MAX);
    char             path[sizeof workload->histogram];
    size_t           bytes = 0;
    enum kiwi_status status;

    snprintf(path, sizeof path, "%s", workload->histogram);
    if (text == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to read %s", path);
    status = file_read(path, text, &bytes);
    if (status == KIWI_OK)
        status = workload_histogram_set(workload, path, text, bytes);
    memory_free(text);
    return status;
}

static const struct builtin_workload *builtin_find(const char *name)
{
    for (const struct builtin_workload *builtin = builtin_workloads; builtin->name != NULL;
         builtin++)
        if (strcmp(builtin->name, name) == 0)
            return builtin;
    return NULL;
}

/* All names, with a blank between. */
static void builtin_names(char *text, size_t bytes)
{
    size_t at = 0;

    text[0] = 0;
    for (const struct builtin_workload *builtin = builtin_workloads;
         builtin->name != NULL && at < bytes; builtin++)
        at += (size_t)snprintf(text + at, bytes - at, "%s%s", at > 0 ? " " : "", builtin->name);
}

/* A file of that path, else the built-in workload of that name. */
static enum kiwi_status run_from_name(struct plan_run *run, const char *name)
{
    const struct builtin_workload *builtin = builtin_find(name);
    char                           names[512], hint[80];

    if (access(name, F_OK) == 0)
        return run_from_file(run, name);
    if (builtin != NULL)
        return properties_parse(&run->properties, name, builtin->text, strlen(builtin->text));
    builtin_names(names, sizeof names);
    return FAIL(KIWI_INVALID, "%s: no such file, and no workload of that name is built in%s", name,
                word_suggest(names, name, hint, sizeof hint));
}

static enum kiwi_status run_from_preset(struct plan_run *run, const struct preset *preset,
                                        const struct preset_run *source)
{
    const struct builtin_workload *builtin = builtin_find(source->workload);
    char                           origin[64];

    if (builtin == NULL)
        return FAIL(KIWI_INVALID, "no built-in workload %s", source->workload);
    TRY(properties_parse(&run->properties, builtin->name, builtin->text, strlen(builtin->text)));
    snprintf(origin, sizeof origin, "preset %s", preset->name);
    return properties_parse(&run->properties, origin, source->overrides,
                            strlen(source->overrides));
}

static enum kiwi_status run_finish(const struct bench_options *options, const char *name,
                                   struct plan_run *run)
{
    for (size_t i = 0; i < options->overrides.count; i++) {
        const struct property *item = &options->overrides.items[i];
        TRY(properties_set(&run->properties, item->name, item->value, item->origin, item->line));
    }
    TRY(workload_read(&run->properties, name, &run->lint, &run->workload));
    if (run->workload.histogram[0] != 0)
        TRY(histogram_read(&run->workload));
    if (run->workload.record_count == 0)
        return FAIL(KIWI_INVALID, "%s: recordcount is not set; use --records", name);
    if (run->workload.operation_count == 0)
        return FAIL(KIWI_INVALID, "%s: operationcount is not set; use --ops", name);
    snprintf(run->name, sizeof run->name, "%s", run->workload.name);
    run->durability = options->durability;
    if (run->durability == KIWI_DURABILITY_DEFAULT && run->workload.durability[0] != 0)
        TRY(durability_parse(run->workload.durability, &run->durability));
    if (run->durability == KIWI_DURABILITY_DEFAULT)
        run->durability = KIWI_DURABLE;
    return KIWI_OK;
}

static bool is_same_data(const struct workload *a, const struct workload *b)
{
    return a->record_count == b->record_count && a->insert_start == b->insert_start
        && a->insert_count == b->insert_count
        && memcmp(&a->values, &b->values, sizeof a->values) == 0
        && memcmp(&a->value_lengths, &b->value_lengths, sizeof a->value_lengths) == 0
        && a->value_shape == b->value_shape && a->value_scale == b->value_scale
        && a->keys.is_ordered == b->keys.is_ordered && a->keys.digits_min == b->keys.digits_min
        && a->keys.series_count == b->keys.series_count;
}

/* Among neighbours with the same data, those that insert or delete go last; else order is kept. */
static void plan_order(struct plan *plan)
{
    for (uint32_t pass = 0; pass + 1 < plan->count; pass++)
        for (uint32_t i = 0; i + 1 < plan->count; i++) {
            struct plan_run *run = &plan->runs[i], *next = &plan->runs[i + 1], swapped;

            if (!workload_moves_records(&run->workload) || workload_moves_records(&next->workload)
                || !is_same_data(&run->workload, &next->workload))
                continue;
            swapped = *run;
            *run = *next;
            *next = swapped;
        }
}

static void plan_split(struct plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct plan_run *before = i > 0 ? &plan->runs[i - 1] : NULL;

        plan->runs[i].is_first = before == NULL || workload_moves_records(&before->workload)
                              || !is_same_data(&before->workload, &plan->runs[i].workload);
        plan->value_bytes_max =
            max_u64(plan->value_bytes_max, value_bytes_max(&plan->runs[i].workload.values));
    }
}

static void plan_clients(const struct bench_options *options, struct plan *plan)
{
    const struct workload *first = &plan->runs[0].workload;
    long                   cores = sysconf(_SC_NPROCESSORS_ONLN);

    plan->thread_count = options->threads;
    if (plan->thread_count == 0 && plan->trace != NULL)
        plan->thread_count = trace_about(plan->trace)->client_count;
    if (plan->thread_count == 0 && first->has_thread_count)
        plan->thread_count = (uint32_t)first->thread_count;
    if (plan->thread_count == 0)
        plan->thread_count = cores > 0 ? (uint32_t)cores : 1;
    plan->depth = options->depth != 0 ? options->depth : options->model == CLIENT_BLOCKING ? 1 : 32;
    plan->seed = options->seed;
    if (!options->has_seed && first->has_seed)
        plan->seed = first->seed;
    if (!options->has_seed && plan->trace != NULL)
        plan->seed = trace_about(plan->trace)->seed;
    plan->load_durability = options->load_durability;
    if (plan->load_durability == KIWI_DURABILITY_DEFAULT)
        plan->load_durability = options->durability;
    if (plan->load_durability == KIWI_DURABILITY_DEFAULT)
        plan->load_durability = options->preset != NULL ? KIWI_PROCESS : KIWI_DURABLE;
}

enum kiwi_status plan_properties_text(const struct plan_run *run, char **text, size_t *bytes)
{
    size_t capacity = 1, at = 0;
    char  *out;

    for (size_t i = 0; i < run->properties.count; i++)
        capacity += strlen(run->properties.items[i].name)
                  + 2 * strlen(run->properties.items[i].value) + 3;
    capacity += sizeof run->name + 2;
    *text = out = memory_allocate(capacity);
    if (out == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for the properties of %s", run->name);
    at = (size_t)snprintf(out, capacity, "#%s\n", run->name);
    for (size_t i = 0; i < run->properties.count; i++) {
        const struct property *item = &run->properties.items[i];

        at += (size_t)snprintf(out + at, capacity - at, "%s=", item->name);
        for (const char *c = item->value; *c != 0; c++) {
            /* A blank in front would be skipped, a backslash starts an escape. */
            if (*c == '\\' || (c == item->value && *c == ' '))
                out[at++] = '\\';
            out[at++] = *c;
        }
        out[at++] = '\n';
    }
    *bytes = at;
    return KIWI_OK;
}

/* The one run of a replay: the workload that was recorded. */
static enum kiwi_status plan_from_trace(const struct bench_options *options, struct plan *plan)
{
    struct plan_run          *run = &plan->runs[plan->count++];
    const struct trace_about *about;
    char                      name[sizeof run->name] = "trace";
    size_t                    length = 0;

    TRY(trace_open(options->trace, &plan->trace));
    about = trace_about(plan->trace);
    if (about->operation_count == 0)
        return FAIL(KIWI_INVALID, "%s holds no operation", options->trace);
    while (length < about->text_bytes && about->text[length] != '\n')
        length++;
    if (length > 1 && length < sizeof name && about->text[0] == '#')
        snprintf(name, sizeof name, "%.*s", (int)length - 1, about->text + 1);
    TRY(properties_parse(&run->properties, options->trace, about->text, about->text_bytes));
    TRY(run_finish(options, name, run));
    if (about->value_bytes_max > value_bytes_max(&run->workload.values))
        return FAIL(KIWI_CORRUPT, "%s: values of %llu bytes, its workload makes at most %llu",
                    options->trace, (unsigned long long)about->value_bytes_max,
                    (unsigned long long)value_bytes_max(&run->workload.values));
    if (about->counts[OPERATION_SCAN] > 0 && !workload_scans(&run->workload))
        return FAIL(KIWI_CORRUPT, "%s: scans, of which its workload has none", options->trace);
    return KIWI_OK;
}

static enum kiwi_status plan_fill(const struct bench_options *options, struct plan *plan)
{
    const struct preset *preset = NULL;
    size_t               count = options->file_count;
    char                 hint[80];

    if (options->trace != NULL)
        return plan_from_trace(options, plan);
    if (options->preset != NULL) {
        preset = preset_find(options->preset);
        if (preset == NULL)
            return FAIL(KIWI_INVALID, "preset '%.40s' is none of quick, standard, large%s",
                        options->preset,
                        word_suggest("quick standard large", options->preset, hint, sizeof hint));
        count = preset->count;
    }
    assert(count <= PLAN_RUN_COUNT_MAX);
    for (size_t i = 0; i < count; i++) {
        struct plan_run *run = &plan->runs[plan->count++];

        if (preset != NULL) {
            TRY(run_from_preset(run, preset, &preset->runs[i]));
            TRY(run_finish(options, preset->runs[i].workload, run));
            snprintf(run->name, sizeof run->name, "%s", preset->runs[i].label);
        } else {
            TRY(run_from_name(run, options->files[i]));
            TRY(run_finish(options, options->files[i], run));
        }
    }
    return KIWI_OK;
}

enum kiwi_status plan_make(const struct bench_options *options, struct plan *out)
{
    enum kiwi_status status;
    char             text[512];

    memset(out, 0, sizeof *out);
    status = plan_fill(options, out);
    if (status != KIWI_OK) {
        snprintf(text, sizeof text, "%s", fail_text());
        plan_free(out);
        fail_text_set(text);
        return status;
    }
    if (!options->is_in_order)
        plan_order(out);
    plan_split(out);
    plan_clients(options, out);
    if (options->suite != NULL)
        snprintf(out->suite, sizeof out->suite, "%s", options->suite);
    else if (options->preset != NULL)
        snprintf(out->suite, sizeof out->suite, "%s", options->preset);
    else
        snprintf(out->suite, sizeof out->suite, "%.38s%s", out->runs[0].workload.name,
                 out->trace != NULL ? "_replay" : "");
    if (options->trace_record != NULL && out->count > 1) {
        uint32_t count = out->count;

        plan_free(out);
        return FAIL(KIWI_INVALID, "--trace-record is for one workload, not %u", count);
    }
    for (char *c = out->suite; *c != 0; c++)
        if (*c == '-' || *c == ' ')
            *c = '_';
    return KIWI_OK;
}

void plan_free(struct plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        properties_free(&plan->runs[i].properties);
        lint_free(&plan->runs[i].lint);
    }
    plan->count = 0;
    trace_close(plan->trace);
    plan->trace = NULL;
}
