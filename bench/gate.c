/*
 * gate.c: `kiwidb bench gate`: counters that repeat exactly, against those kept with the source.
 *
 * The program runs itself twice: plainly, for what the kernel and the engine count, and under
 * valgrind's callgrind, for instructions. Instructions depend on compiler, build type and on the
 * instruction set chosen at run time, so they are compared only with a baseline of the same; all
 * other counters always.
 */
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/child.h"
#include "bench/folder.h"
#include "bench/gate_cases.h"
#include "bench/machine.h"
#include "bench/verb.h"

#define BASELINE_SCHEMA "kiwi.bench.baseline"
#define PER_OPERATION_LEAST 0.01 /* a change below this per operation is rounding */
#define UPDATE_ROUNDS       3u

/* The counters, and how much more than the baseline is a regression. */
static const struct gate_counter {
    const char *name;
    size_t      at;
    double      share;
} counters[] = {
    { "instructions", offsetof(struct gate_counts, instructions), 0.01 },
    { "write_bytes", offsetof(struct gate_counts, write_bytes), 0.005 },
    { "write_calls", offsetof(struct gate_counts, write_calls), 0 },
    { "syncs", offsetof(struct gate_counts, syncs), 0 },
    { "allocations", offsetof(struct gate_counts, allocations), 0 },
    { "read_bytes", offsetof(struct gate_counts, read_bytes), 0.005 },
    { "read_calls", offsetof(struct gate_counts, read_calls), 0 },
    { "file_bytes", offsetof(struct gate_counts, file_bytes), 0.005 },
};

static const char *const plants[] = {
    [GATE_PLANT_NOTHING] = "nothing",
    [GATE_PLANT_ALLOCATION] = "allocation",
    [GATE_PLANT_SYNC] = "sync",
    [GATE_PLANT_INSTRUCTIONS] = "instructions",
};

struct gate {
    const char      *baseline;
    const char      *directory;
    const char      *only;          /* one case; NULL: all */
    enum gate_plant  plant;
    bool             is_measuring, is_updating, has_no_callgrind;
    char             program[PATH_MAX];
};

static uint64_t *counter_at(struct gate_counts *counts, size_t index)
{
    return (uint64_t *)(void *)((char *)counts + counters[index].at);
}

/* The measuring process: all cases, one JSON document. */
static int measure(const struct gate *gate)
{
    json_t *document, *cases = json_array();

    for (uint32_t i = 0; i < GATE_CASE_COUNT; i++) {
        struct gate_counts counts;
        json_t            *item;

        if (gate->only != NULL && strcmp(gate->only, gate_case_name(i)) != 0)
            continue;
        item = json_object();
        if (gate_case_run(i, gate->directory, gate->plant, &counts) != KIWI_OK) {
            json_decref(cases);
            json_decref(item);
            return verb_failed("gate");
        }
        json_object_set_new(item, "name", json_string(gate_case_name(i)));
        json_object_set_new(item, "operations", json_integer((json_int_t)counts.operations));
        for (size_t j = 1; j < ARRAY_COUNT(counters); j++)
            json_object_set_new(item, counters[j].name,
                                json_integer((json_int_t)*counter_at(&counts, j)));
        json_array_append_new(cases, item);
    }
    document = json_pack("{s:s, s:i, s:s, s:o, s:o}", "schema", BASELINE_SCHEMA, "version", 1,
                         "dispatch", gate_dispatch(), "build", build_json(), "cases", cases);
    json_dumpf(document, stdout, JSON_INDENT(1));
    fputc('\n', stdout);
    json_decref(document);
    return BENCH_DONE;
}

static json_t *child_measure(const struct gate *gate, char *const *prefix)
{
    char               *argv[20], plant[32];
    size_t              count = 0;
    struct child_result result;
    json_error_t        error;
    json_t             *document = NULL;

    snprintf(plant, sizeof plant, "--plant=%s", plants[gate->plant]);
    for (; prefix[count] != NULL; count++)
        argv[count] = prefix[count];
    argv[count++] = (char *)(uintptr_t)gate->program;
    argv[count++] = (char *)(uintptr_t)"bench";
    argv[count++] = (char *)(uintptr_t)"gate";
    argv[count++] = (char *)(uintptr_t)"--measure";
    argv[count++] = plant;
    argv[count++] = (char *)(uintptr_t)"--dir";
    argv[count++] = (char *)(uintptr_t)gate->directory;
    if (gate->only != NULL) {
        argv[count++] = (char *)(uintptr_t)"--only";
        argv[count++] = (char *)(uintptr_t)gate->only;
    }
    argv[count] = NULL;
    if (child_run(&(struct child_options){ .argv = argv,
                                           .flags = prefix[0] != NULL ? CHILD_QUIET : 0 },
                  &result) == KIWI_OK) {
        if (result.exit_code == 0)
            document = json_loadb(result.output, result.output_bytes, 0, &error);
        if (document == NULL)
            (void)FAIL(KIWI_IO, "the measuring process ended with exit code %d and no counters",
                       result.exit_code);
    }
    child_result_free(&result);
    return document;
}

/* The number behind "totals: " in one dump of callgrind. */
static uint64_t totals_read(const char *path)
{
    FILE    *file = fopen(path, "re");
    char     line[512];
    uint64_t totals = 0;

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "totals: %lu", &totals) == 1)
            break;
    if (file != NULL)
        fclose(file);
    return totals;
}

static bool item_repeats_instructions(const json_t *item)
{
    const char *name = json_string_value(json_object_get(item, "name"));

    for (uint32_t i = 0; i < GATE_CASE_COUNT; i++)
        if (name != NULL && strcmp(name, gate_case_name(i)) == 0)
            return gate_case_repeats_instructions(i);
    return false;
}

/* Puts instructions and the instruction set into document; false when callgrind is not there. */
static bool instructions_add(const struct gate *gate, json_t *document)
{
    char    base[PATH_MAX], option[PATH_MAX + 40];
    char   *prefix[] = { (char *)(uintptr_t)"valgrind", (char *)(uintptr_t)"--tool=callgrind",
                         (char *)(uintptr_t)"--toggle-collect=gate_measured",
                         (char *)(uintptr_t)"--zero-before=gate_measured",
                         (char *)(uintptr_t)"--dump-after=gate_measured", option, NULL };
    json_t *under, *item;
    size_t  index;

    snprintf(base, sizeof base, "%s/callgrind", gate->directory);
    snprintf(option, sizeof option, "--callgrind-out-file=%s", base);
    under = child_measure(gate, prefix);
    if (under == NULL)
        return false;
    json_array_foreach(json_object_get(document, "cases"), index, item)
    {
        char path[PATH_MAX + 32];

        snprintf(path, sizeof path, "%s.%zu", base, index + 1);
        if (item_repeats_instructions(item))
            json_object_set_new(item, "instructions",
                                json_integer((json_int_t)totals_read(path)));
        (void)remove(path);
    }
    json_object_set(document, "dispatch", json_object_get(under, "dispatch"));
    json_decref(under);
    (void)remove(base);
    return true;
}

static json_t *gate_measure_all(const struct gate *gate, bool *has_instructions)
{
    char   *nothing[] = { NULL };
    json_t *document = child_measure(gate, nothing);

    *has_instructions =
        document != NULL && !gate->has_no_callgrind && instructions_add(gate, document);
    return document;
}

static int number_compare(const void *left, const void *right)
{
    json_int_t a = *(const json_int_t *)left, b = *(const json_int_t *)right;

    return a < b ? -1 : a > b;
}

/* The middle of what the cases of all documents say goes into the first. */
static void medians_take(json_t *const *documents)
{
    size_t  index;
    json_t *item;

    json_array_foreach(json_object_get(documents[0], "cases"), index, item)
    {
        for (size_t i = 0; i < ARRAY_COUNT(counters); i++) {
            json_int_t numbers[UPDATE_ROUNDS];

            if (json_object_get(item, counters[i].name) == NULL)
                continue;
            for (uint32_t j = 0; j < UPDATE_ROUNDS; j++)
                numbers[j] = json_integer_value(json_object_get(
                    json_array_get(json_object_get(documents[j], "cases"), index),
                    counters[i].name));
            qsort(numbers, UPDATE_ROUNDS, sizeof numbers[0], number_compare);
            json_object_set_new(item, counters[i].name,
                                json_integer(numbers[UPDATE_ROUNDS / 2]));
        }
    }
}

/* What a baseline is made of: one run may lie at the edge of what repeats. */
static json_t *gate_measure_medians(const struct gate *gate, bool *has_instructions)
{
    json_t *documents[UPDATE_ROUNDS] = { NULL };
    bool    is_whole = true;

    *has_instructions = true;
    for (uint32_t i = 0; i < UPDATE_ROUNDS && is_whole; i++) {
        bool has_them;

        documents[i] = gate_measure_all(gate, &has_them);
        *has_instructions = *has_instructions && has_them;
        is_whole = documents[i] != NULL;
    }
    if (is_whole)
        medians_take(documents);
    for (uint32_t i = 1; i < UPDATE_ROUNDS; i++)
        json_decref(documents[i]);
    if (!is_whole) {
        json_decref(documents[0]);
        return NULL;
    }
    return documents[0];
}

static const char *build_text(const json_t *document, const char *name)
{
    const char *text = json_string_value(json_object_get(json_object_get(document, "build"), name));

    return text != NULL ? text : "unknown";
}

/* Why instructions of the two cannot be compared; NULL when they can. */
static const char *instructions_obstacle(const json_t *now, const json_t *before, char *text,
                                         size_t bytes)
{
    enum { COMPILER = 0, TYPE, FLAGS, NAME_COUNT };
    static const char *const names[NAME_COUNT] = { "compiler", "type", "flags" };
    const char *own = json_string_value(json_object_get(now, "dispatch"));
    const char *other = json_string_value(json_object_get(before, "dispatch"));

    if (own == NULL || other == NULL || strcmp(own, other) != 0) {
        snprintf(text, bytes, "this run is %s, the baseline %s", own, other);
        return text;
    }
    for (size_t i = 0; i < NAME_COUNT; i++) {
        const char *is = build_text(now, names[i]), *was = build_text(before, names[i]);

        if (i == FLAGS ? build_flags_are_same(is, was) : strcmp(is, was) == 0)
            continue;
        snprintf(text, bytes, "%s is %s, of the baseline %s", names[i], is, was);
        return text;
    }
    return NULL;
}

static const json_t *case_find(const json_t *document, const char *name)
{
    size_t  index;
    json_t *item;

    json_array_foreach(json_object_get(document, "cases"), index, item)
    {
        const char *here = json_string_value(json_object_get(item, "name"));
        if (here != NULL && strcmp(here, name) == 0)
            return item;
    }
    return NULL;
}

static double per_operation(const json_t *item, const char *name)
{
    double operations = json_number_value(json_object_get(item, "operations"));

    return operations > 0 ? json_number_value(json_object_get(item, name)) / operations : 0;
}

/* 1: a regression; -1: better by more than the threshold; 0: the same. */
static int counter_judge(const struct gate_counter *counter, double before, double now)
{
    double room = before * counter->share;

    if (room < PER_OPERATION_LEAST)
        room = counter->share > 0 ? PER_OPERATION_LEAST : 1e-9;
    return now > before + room ? 1 : now < before - room ? -1 : 0;
}

/* Prints what differs (all with a NULL stream) and returns the count of regressions. */
static uint32_t compare(FILE *stream, const json_t *now, const json_t *before,
                        bool has_instructions, uint32_t *better)
{
    uint32_t worse = 0;
    size_t   index;
    json_t  *item;

    *better = 0;
    json_array_foreach(json_object_get(now, "cases"), index, item)
    {
        const char   *name = json_string_value(json_object_get(item, "name"));
        const json_t *old = case_find(before, name);

        for (size_t i = has_instructions ? 0 : 1; i < ARRAY_COUNT(counters); i++) {
            double was = old != NULL ? per_operation(old, counters[i].name) : 0;
            double is = per_operation(item, counters[i].name);
            int    verdict;

            if (old == NULL || json_object_get(old, counters[i].name) == NULL)
                continue;
            verdict = counter_judge(&counters[i], was, is);
            worse += verdict > 0;
            *better += verdict < 0;
            if (stream != NULL && verdict != 0)
                fprintf(stream, "  %-20s %-13s %12.3f -> %12.3f per operation  %s\n", name,
                        counters[i].name, was, is, verdict > 0 ? "WORSE" : "better");
        }
        if (stream != NULL && old == NULL)
            fprintf(stream, "  %-20s is not in the baseline\n", name);
    }
    return worse;
}

static int baseline_write(const struct gate *gate, json_t *document)
{
    json_t *build = json_object_get(document, "build");
    char    folder[PATH_MAX], *slash;

    snprintf(folder, sizeof folder, "%s", gate->baseline);
    if ((slash = strrchr(folder, '/')) != NULL && slash != folder) {
        *slash = 0;
        if (folder_make(folder) != KIWI_OK)
            return verb_failed("gate");
    }
    /* The commit is that of the change itself, which is not known yet. */
    json_object_del(build, "commit");
    json_object_del(build, "is_dirty");
    if (json_dump_file(document, gate->baseline, JSON_INDENT(1)) != 0) {
        (void)FAIL(KIWI_IO, "cannot write %s", gate->baseline);
        return verb_failed("gate");
    }
    printf("gate: %s written; commit it with the change that is its cause\n", gate->baseline);
    return BENCH_DONE;
}

static json_t *baseline_read(const struct gate *gate)
{
    json_error_t error;
    json_t      *document = json_load_file(gate->baseline, JSON_REJECT_DUPLICATES, &error);
    const char  *schema = json_string_value(json_object_get(document, "schema"));

    if (document == NULL) {
        (void)FAIL(KIWI_IO, "baseline %s: %s at line %d; --update makes one", gate->baseline,
                   error.text, error.line);
        return NULL;
    }
    if (schema == NULL || strcmp(schema, BASELINE_SCHEMA) != 0
        || json_integer_value(json_object_get(document, "version")) != 1) {
        (void)FAIL(KIWI_INVALID, "%s is no %s of version 1", gate->baseline, BASELINE_SCHEMA);
        json_decref(document);
        return NULL;
    }
    return document;
}

static int gate_judge(const struct gate *gate, json_t *now, const json_t *before,
                      bool has_instructions)
{
    char        text[700];
    const char *obstacle = instructions_obstacle(now, before, text, sizeof text);
    uint32_t    worse, better;

    if (!has_instructions)
        puts("gate: instructions are not counted: valgrind is not there or was switched off");
    else if (obstacle != NULL)
        printf("gate: instructions are not compared: %s\n", obstacle);
    has_instructions = has_instructions && obstacle == NULL;
    worse = compare(NULL, now, before, has_instructions, &better);
    if (worse > 0) {
        bool    is_whole;
        json_t *again = gate_measure_all(gate, &is_whole);

        if (again == NULL)
            return verb_failed("gate");
        worse = compare(stdout, again, before, has_instructions && is_whole, &better);
        json_decref(again);
        if (worse > 0) {
            printf("gate: %u counters are worse, seen twice; when that is intended:\n"
                   "  kiwidb bench gate --update\n",
                   worse);
            return BENCH_REGRESSION;
        }
        puts("gate: a counter was worse once and not again");
    }
    if (better > 0)
        (void)compare(stdout, now, before, has_instructions, &better);
    printf("gate: %zu cases, no counter worse than %s%s\n",
           json_array_size(json_object_get(now, "cases")), gate->baseline,
           better > 0 ? "; --update keeps what is better" : "");
    return BENCH_DONE;
}

static int gate_run(struct gate *gate)
{
    bool    has_instructions;
    json_t *now, *before = NULL;
    int     code;

    if (child_own_path(gate->program, sizeof gate->program) != KIWI_OK)
        return verb_failed("gate");
    if (!gate->is_updating && (before = baseline_read(gate)) == NULL)
        return verb_failed("gate");
    now = gate->is_updating ? gate_measure_medians(gate, &has_instructions)
                            : gate_measure_all(gate, &has_instructions);
    if (now == NULL)
        code = verb_failed("gate");
    else if (gate->is_updating && !has_instructions && !gate->has_no_callgrind)
        code = verb_failed("gate");
    else
        code = gate->is_updating ? baseline_write(gate, now)
                                 : gate_judge(gate, now, before, has_instructions);
    json_decref(now);
    json_decref(before);
    return code;
}

static const char gate_help[] =
    "usage: kiwidb bench gate [options]\n\n"
    "Instructions, bytes, syncs, allocations and reads per operation, against the\n"
    "counters in a baseline. Exit 0: no counter is worse, 6: one is, seen twice.\n\n"
    "  --baseline FILE   results/baselines/engine.json\n"
    "  --update          write the baseline, medians of three runs; compare nothing\n"
    "  --no-callgrind    without instructions\n"
    "  --only CASE       one of them\n"
    "  --dir DIR         where the data goes (a new folder in /tmp)\n";

int verb_gate(int argc, char **argv)
{
    enum { BASELINE = 256, UPDATE, NO_CALLGRIND, DIRECTORY, MEASURE, PLANT, ONLY };
    static const struct option options[] = {
        { "baseline", 1, NULL, BASELINE }, { "update", 0, NULL, UPDATE },
        { "no-callgrind", 0, NULL, NO_CALLGRIND }, { "dir", 1, NULL, DIRECTORY },
        { "measure", 0, NULL, MEASURE }, { "plant", 1, NULL, PLANT },
        { "only", 1, NULL, ONLY },
        { "help", 0, NULL, 'h' }, { NULL, 0, NULL, 0 },
    };
    struct gate gate = { .baseline = "results/baselines/engine.json" };
    char        temporary[] = "/tmp/kiwi-gate-XXXXXX";
    int         id, code;

    optind = 0;
    opterr = 0;
    while ((id = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (id == BASELINE)
            gate.baseline = optarg;
        else if (id == DIRECTORY)
            gate.directory = optarg;
        else if (id == ONLY)
            gate.only = optarg;
        else if (id == UPDATE)
            gate.is_updating = true;
        else if (id == NO_CALLGRIND)
            gate.has_no_callgrind = true;
        else if (id == MEASURE)
            gate.is_measuring = true;
        else if (id == PLANT) {
            size_t plant = 0;
            while (plant < ARRAY_COUNT(plants) && strcmp(plants[plant], optarg) != 0)
                plant++;
            if (plant == ARRAY_COUNT(plants))
                return verb_usage("gate", "--plant takes allocation, sync or instructions");
            gate.plant = (enum gate_plant)plant;
        } else if (id == 'h') {
            fputs(gate_help, stdout);
            return BENCH_DONE;
        } else {
            return verb_option_wrong("gate", options, id, argv);
        }
    }
    if (gate.directory == NULL && (gate.directory = mkdtemp(temporary)) == NULL) {
        (void)FAIL(KIWI_IO, "cannot make a folder in /tmp");
        return verb_failed("gate");
    }
    code = folder_make(gate.directory) != KIWI_OK ? verb_failed("gate")
         : gate.is_measuring                      ? measure(&gate)
                                                  : gate_run(&gate);
    if (gate.directory == temporary)
        (void)rmdir(temporary);
    return code;
}
