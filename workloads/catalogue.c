/*
 * catalogue.c: the table of property names and the linter over it.
 */
#include "workloads/catalogue.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/memory.h"
#include "workloads/keyranges.h"
#include "workloads/keys.h"
#include "workloads/zipf.h"

#define BIG 9e15 /* counts beyond this are typing errors, and doubles hold all below exactly */
#define USED PROPERTY_USED
#define IGNORED PROPERTY_IGNORED
#define COUNT(low, high) PROPERTY_COUNT, low, high, NULL
#define NUMBER(low, high) PROPERTY_NUMBER, low, high, NULL
#define FLAG PROPERTY_FLAG, 0, 0, NULL
#define TEXT PROPERTY_TEXT, 0, 0, NULL
#define CHOICE(words) PROPERTY_CHOICE, 0, 0, words

static const char no_network[] = "the driver runs in the process of the engine";
static const char own_output[] = "results always go to run.json, series.csv and ycsb.txt";
static const char own_histogram[] = "histograms are always kept, 32 buckets per power of two";

static const struct property_rule rules[] = {
    /* data and load */
    { "workload", NULL, USED,
      CHOICE("site.ycsb.workloads.CoreWorkload com.yahoo.ycsb.workloads.CoreWorkload core"),
      "the class of the workload; only the core one exists here" },
    { "table", "usertable", IGNORED, TEXT, "a key-value store has one table" },
    { "recordcount", "0", USED, COUNT(0, BIG), "records that exist when the run starts" },
    { "fieldcount", "10", USED, COUNT(1, 10000), "fields of a record, stored in one value" },
    { "fieldlength", "100", USED, COUNT(1, 64 << 20), "bytes of a field, or the longest" },
    { "minfieldlength", "1", USED, COUNT(1, 64 << 20), "the shortest field, unless constant" },
    { "fieldlengthdistribution", "constant", USED,
      CHOICE("constant uniform zipfian histogram pareto mix"), "how long fields are" },
    { "fieldlengthhistogram", "hist.txt", USED, TEXT, "file of lengths, with histogram" },
    { "fieldnameprefix", "field", IGNORED, TEXT, "field names are not stored" },
    { "insertstart", "0", USED, COUNT(0, BIG), "the first record number" },
    { "insertcount", "", USED, COUNT(0, BIG),
      "records to load; default recordcount - insertstart" },
    { "insertorder", "hashed", USED, TEXT, "hashed, or anything else for ordered" },
    { "zeropadding", "1", USED, COUNT(0, KEY_DIGITS_MAX), "least width of the number in a key" },
    { "core_workload_insertion_retry_limit", "0", IGNORED, COUNT(0, BIG),
      "a refused insert is an error here" },
    { "core_workload_insertion_retry_interval", "3", IGNORED, NUMBER(0, BIG),
      "a refused insert is an error here" },
    { "core_workload_insertion_keep_going_on_error", "false", IGNORED, FLAG,
      "a refused insert is an error here" },
    /* operations */
    { "readproportion", "0.95", USED, NUMBER(0, BIG), "weight of reads" },
    { "updateproportion", "0.05", USED, NUMBER(0, BIG), "weight of updates" },
    { "insertproportion", "0", USED, NUMBER(0, BIG), "weight of inserts" },
    { "scanproportion", "0", USED, NUMBER(0, BIG), "weight of scans" },
    { "readmodifywriteproportion", "0", USED, NUMBER(0, BIG), "weight of read-modify-writes" },
    { "readallfields", "true", IGNORED, FLAG, "a record is one value and always read whole" },
    { "readallfieldsbyname", "false", IGNORED, FLAG, "a record is one value, read whole" },
    { "writeallfields", "false", IGNORED, FLAG,
      "an update rewrites the whole record, because it is one value" },
    { "dataintegrity", "false", IGNORED, FLAG,
      "every value carries record number and checksum, and every read checks them" },
    { "minscanlength", "1", USED, COUNT(1, 1e9), "rows of the shortest scan" },
    { "maxscanlength", "1000", USED, COUNT(1, 1e9), "rows of the longest scan" },
    { "scanlengthdistribution", "uniform", USED, CHOICE("uniform zipfian pareto"),
      "how long scans are" },
    { "maxscanrate", "0", IGNORED, NUMBER(0, BIG), "in YCSB's template, read by nothing there" },
    { "scanoptimelimit", "0", IGNORED, NUMBER(0, BIG), "in YCSB's template, read by nothing" },
    { "discardscannedrecord", "false", IGNORED, FLAG, "in YCSB's template, read by nothing" },
    /* keys */
    { "requestdistribution", "uniform", USED,
      CHOICE("uniform zipfian latest hotspot exponential sequential truezipfian keyrange hotshard"),
      "which record is next" },
    { "hotspotdatafraction", "0.2", USED, NUMBER(0, 1), "share of the records that is hot" },
    { "hotspotopnfraction", "0.8", USED, NUMBER(0, 1), "share of operations on hot records" },
    { "exponential.percentile", "95", USED, NUMBER(0.000001, 99.999999),
      "this share of operations ..." },
    { "exponential.frac", "0.8571428571", USED, NUMBER(1e-12, 1e12),
      "... falls on this fraction of the newest records" },
    /* client */
    { "db", "basic", IGNORED, TEXT, "choose the engine with --engine" },
    { "operationcount", "0", USED, COUNT(0, BIG), "operations of the run" },
    { "threadcount", "1", USED, COUNT(1, 1024), "client threads, unless --threads" },
    { "target", "0", USED, COUNT(0, 1e12), "operations a second, 0: as fast as possible" },
    { "maxexecutiontime", "0", USED, COUNT(0, 1e9), "seconds after which a run ends; 0: no limit" },
    { "dotransactions", "true", IGNORED, FLAG, "a bench loads and then runs; see --phases" },
    { "status", "false", IGNORED, FLAG, "progress is shown on a terminal" },
    { "status.interval", "10", IGNORED, NUMBER(0, BIG), "series.csv has one line a second" },
    { "label", "", IGNORED, TEXT, "give the suite a name with --suite" },
    { "exporter", "", IGNORED, TEXT, own_output },
    { "exportfile", "", IGNORED, TEXT, own_output },
    { "spin.sleep", "false", IGNORED, FLAG, "waiting threads poll the engine" },
    /* measurement */
    { "measurementtype", "hdrhistogram", IGNORED, TEXT, own_histogram },
    { "measurement.interval", "op", IGNORED, CHOICE("op intended both"),
      "with a target rate both clocks are kept" },
    { "hdrhistogram.percentiles", "50,95,99", IGNORED, TEXT, own_histogram },
    { "hdrhistogram.fileoutput", "false", IGNORED, FLAG, own_histogram },
    { "hdrhistogram.output.path", "", IGNORED, TEXT, own_histogram },
    { "measurement.histogram.verbose", "false", IGNORED, FLAG, own_histogram },
    { "histogram.buckets", "1000", IGNORED, COUNT(0, BIG), own_histogram },
    { "timeseries.granularity", "1000", IGNORED, COUNT(0, BIG), "series.csv: one line a second" },
    { "measurement.raw.output_file", "", IGNORED, TEXT, "single latencies are not kept" },
    { "measurement.raw.no_summary", "false", IGNORED, FLAG, "single latencies are not kept" },
    { "measurement.trackjvm", "false", IGNORED, FLAG, "there is no JVM" },
    { "reportlatencyforeacherror", "false", IGNORED, FLAG, "errors are counted by status" },
    { "latencytrackederrors", "", IGNORED, TEXT, "errors are counted by status" },
    { "hosts", "", IGNORED, TEXT, no_network },
    { "port", "", IGNORED, TEXT, no_network },
    /* ours; YCSB skips names it does not know, so files that use them still run there */
    { "deleteproportion", "0", USED, NUMBER(0, BIG), "weight of deletes" },
    { "zipfianconstant", "0.99", USED, NUMBER(0, ZIPF_EXPONENT_MAX), "exponent of truezipfian" },
    { "keyrange.count", "30", USED, COUNT(1, KEYRANGE_COUNT_MAX), "ranges of keys, with keyrange" },
    { "keyrange.a", "14.18", USED, NUMBER(-BIG, BIG), "range i weighs a e^(b i) + c e^(d i)" },
    { "keyrange.b", "-2.917", USED, NUMBER(-100, 2), "see keyrange.a" },
    { "keyrange.c", "0.0164", USED, NUMBER(-BIG, BIG), "see keyrange.a" },
    { "keyrange.d", "-0.08082", USED, NUMBER(-100, 2), "see keyrange.a" },
    { "keyrange.key.a", "0.002312", USED, NUMBER(1e-9, 1),
      "the x hottest keys of a range get a x^b of what it gets" },
    { "keyrange.key.b", "0.3467", USED, NUMBER(0.01, 100), "see keyrange.key.a" },
    { "fieldlength.shape", "0.2615", USED, NUMBER(1e-6, 100), "of pareto: how heavy the tail is" },
    { "fieldlength.scale", "25.45", USED, NUMBER(1e-6, 1e12), "of pareto: how long lengths are" },
    { "fieldlengthmix", "", USED, TEXT, "lengths and weights, 64:60,512:40, with mix" },
    { "scanlength.shape", "2.517", USED, NUMBER(1e-6, 100), "of pareto: how heavy the tail is" },
    { "scanlength.scale", "14.236", USED, NUMBER(1e-6, 1e12), "of pareto: how long scans are" },
    { "seriescount", "0", USED, COUNT(0, KEY_SERIES_MAX),
      "records are points of so many series; keys ascend by series, then time" },
    { "kiwi.durability", "", USED, CHOICE("durable process memory"),
      "when a write of the run is acknowledged, unless --durability" },
    { "kiwi.seed", "", USED, COUNT(0, BIG), "seed of the operation stream, unless --seed" },
};

const struct property_rule *catalogue_at(size_t index)
{
    return index < ARRAY_COUNT(rules) ? &rules[index] : NULL;
}

const struct property_rule *catalogue_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(rules); i++)
        if (strcmp(rules[i].name, name) == 0)
            return &rules[i];
    return NULL;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Optimal string alignment, three rows; names are short. */
uint32_t edit_distance(const char *a, const char *b)
{
    enum { LIMIT = 96 };
    uint32_t rows[3][LIMIT + 1];
    size_t   a_length = strnlen(a, LIMIT), b_length = strnlen(b, LIMIT);

    for (size_t j = 0; j <= b_length; j++)
        rows[0][j] = (uint32_t)j;
    for (size_t i = 1; i <= a_length; i++) {
        uint32_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];

        row[0] = (uint32_t)i;
        for (size_t j = 1; j <= b_length; j++) {
            uint32_t cost = a[i - 1] == b[j - 1] ? 0 : 1;

            row[j] = least(least(above[j] + 1, row[j - 1] + 1), above[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
    }
    return rows[a_length % 3][b_length];
}

const char *catalogue_nearest(const char *name)
{
    const char *nearest = NULL;
    uint32_t    best = UINT32_MAX;

    for (size_t i = 0; i < ARRAY_COUNT(rules); i++) {
        uint32_t distance = edit_distance(name, rules[i].name);

        if (distance < best) {
            best = distance;
            nearest = rules[i].name;
        }
    }
    /* Beyond a third of the letters a suggestion is a guess. */
    return best <= 1 + strlen(name) / 3 ? nearest : NULL;
}

enum kiwi_status lint_add(struct lint *lint, enum lint_kind kind, const char *format, ...)
{
    struct lint_finding *finding;
    va_list              arguments;

    if (lint->count == lint->capacity) {
        size_t capacity = lint->capacity == 0 ? 16 : lint->capacity * 2;

        finding = memory_resize(lint->findings, capacity * sizeof *finding);
        if (finding == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory for %zu findings", capacity);
        lint->findings = finding;
        lint->capacity = capacity;
    }
    finding = &lint->findings[lint->count++];
    finding->kind = kind;
    va_start(arguments, format);
    vsnprintf(finding->text, sizeof finding->text, format, arguments);
    va_end(arguments);
    if (kind == LINT_ERROR)
        lint->error_count++;
    return KIWI_OK;
}

void lint_free(struct lint *lint)
{
    memory_free(lint->findings);
    memset(lint, 0, sizeof *lint);
}

static bool words_contain(const char *words, const char *word)
{
    size_t length = strlen(word);

    for (const char *at = words; at != NULL && *at != 0;) {
        size_t span = strcspn(at, " ");

        if (span == length && strncmp(at, word, span) == 0)
            return true;
        at += span + (at[span] == ' ');
    }
    return false;
}

const char *word_suggest(const char *words, const char *given, char *text, size_t text_bytes)
{
    char     word[48], nearest[48] = "";
    uint32_t best = UINT32_MAX;

    for (const char *at = words + strspn(words, " "); *at != 0; at += strspn(at, " ")) {
        size_t   span = strcspn(at, " ");
        uint32_t distance;

        snprintf(word, sizeof word, "%.*s", (int)span, at);
        distance = edit_distance(given, word);
        /* A beginning of three letters and more is meant, however much is left out. */
        if (strlen(given) >= 3 && strncmp(word, given, strlen(given)) == 0)
            distance = distance < 1 ? distance : 1;
        if (distance < best) {
            best = distance;
            memcpy(nearest, word, sizeof nearest);
        }
        at += span;
    }
    text[0] = 0;
    if (nearest[0] != 0 && best <= 1 + strlen(given) / 3)
        snprintf(text, text_bytes, "; did you mean '%s'?", nearest);
    return text;
}

/* NULL when the value fits the rule, else what is wrong with it, written to note. */
static const char *value_fault(const struct property_rule *rule, const char *value, char *note,
                               size_t note_bytes)
{
    char  *end = NULL, hint[80];
    double number;

    switch (rule->type) {
    case PROPERTY_TEXT:
        return NULL;
    case PROPERTY_FLAG:
        if (strcasecmp(value, "true") == 0 || strcasecmp(value, "false") == 0)
            return NULL;
        snprintf(note, note_bytes, "is neither true nor false%s",
                 word_suggest("true false", value, hint, sizeof hint));
        return note;
    case PROPERTY_CHOICE:
        if (words_contain(rule->words, value))
            return NULL;
        snprintf(note, note_bytes, "is none of: %s%s", rule->words,
                 word_suggest(rule->words, value, hint, sizeof hint));
        return note;
    case PROPERTY_COUNT:
    case PROPERTY_NUMBER:
        break;
    }
    errno = 0;
    number = strtod(value, &end);
    if (end == value || *end != 0 || errno != 0 || !isfinite(number)) {
        snprintf(note, note_bytes, "is no number");
        return note;
    }
    if (rule->type == PROPERTY_COUNT && strspn(value, "0123456789") != strlen(value)) {
        snprintf(note, note_bytes, "is no whole number of 0 or more");
        return note;
    }
    if (number < rule->low || number > rule->high) {
        snprintf(note, note_bytes, "is outside %.15g to %.15g", rule->low, rule->high);
        return note;
    }
    return NULL;
}

static enum kiwi_status lint_one(struct lint *lint, const struct property *item)
{
    const struct property_rule *rule = catalogue_find(item->name);
    char                        place[160], note[256];

    if (item->line > 0)
        snprintf(place, sizeof place, "%.130s:%u", item->origin, item->line);
    else
        snprintf(place, sizeof place, "%.150s", item->origin);
    if (rule == NULL) {
        const char *nearest = catalogue_nearest(item->name);

        if (nearest == NULL)
            return lint_add(lint, LINT_ERROR, "%s: unknown property '%.60s'", place, item->name);
        return lint_add(lint, LINT_ERROR, "%s: unknown property '%.60s'; did you mean '%s'?", place,
                        item->name, nearest);
    }
    if (value_fault(rule, item->value, note, sizeof note) != NULL
        && !(item->value[0] == 0 && rule->initial != NULL && rule->initial[0] == 0))
        return lint_add(lint, LINT_ERROR, "%s: %s='%.60s' %s", place, item->name, item->value,
                        note);
    if (item->was_trimmed)
        TRY(lint_add(lint, LINT_TRIMMED, "%s: %s: blanks after the value were dropped", place,
                     item->name));
    if (rule->effect == PROPERTY_IGNORED)
        return lint_add(lint, LINT_IGNORED, "%s: %s has no effect: %s", place, item->name,
                        rule->note);
    return KIWI_OK;
}

/* Defaults that decide the mix and that a file may inherit without meaning to. */
static const char *const easily_overlooked[] = { "readproportion", "updateproportion", "fieldcount",
                                                 "fieldlength", "requestdistribution" };

enum kiwi_status lint_properties(struct lint *lint, const struct properties *properties)
{
    for (size_t i = 0; i < properties->count; i++)
        TRY(lint_one(lint, &properties->items[i]));
    if (properties_find(properties, "workload") == NULL)
        TRY(lint_add(lint, LINT_ERROR, "property 'workload' is missing; add workload=core"));
    for (size_t i = 0; i < ARRAY_COUNT(easily_overlooked); i++)
        if (properties_find(properties, easily_overlooked[i]) == NULL)
            TRY(lint_add(lint, LINT_INHERITED, "%s is not set: %s", easily_overlooked[i],
                         catalogue_find(easily_overlooked[i])->initial));
    for (size_t i = 0; i < lint->count; i++)
        if (lint->findings[i].kind == LINT_ERROR)
            return FAIL(KIWI_INVALID, "%s", lint->findings[i].text);
    return KIWI_OK;
}
