/*
 * workload.c: from checked properties to numbers.
 */
#include "workloads/workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "kiwi/limits.h"

const char *operation_name(enum operation operation)
{
    static const char *const names[OPERATION_COUNT] = {
        [OPERATION_READ] = "READ",
        [OPERATION_UPDATE] = "UPDATE",
        [OPERATION_INSERT] = "INSERT",
        [OPERATION_SCAN] = "SCAN",
        [OPERATION_MODIFY] = "READ-MODIFY-WRITE",
        [OPERATION_DELETE] = "DELETE",
    };

    assert((unsigned)operation < OPERATION_COUNT);
    return names[operation];
}

/* The value given, else the default of the catalogue. */
static const char *text_of(const struct properties *properties, const char *name)
{
    const struct property      *item = properties_find(properties, name);
    const struct property_rule *rule = catalogue_find(name);

    assert(rule != NULL);
    if (item != NULL)
        return item->value;
    return rule->initial != NULL ? rule->initial : "";
}

static uint64_t count_of(const struct properties *properties, const char *name)
{
    return strtoull(text_of(properties, name), NULL, 10);
}

static double number_of(const struct properties *properties, const char *name)
{
    return strtod(text_of(properties, name), NULL);
}

static enum chooser_kind chooser_kind_of(const char *word)
{
    static const char *const words[] = {
        [CHOOSE_UNIFORM] = "uniform",         [CHOOSE_ZIPFIAN] = "zipfian",
        [CHOOSE_LATEST] = "latest",           [CHOOSE_HOTSPOT] = "hotspot",
        [CHOOSE_EXPONENTIAL] = "exponential", [CHOOSE_SEQUENTIAL] = "sequential",
        [CHOOSE_TRUE_ZIPFIAN] = "truezipfian", [CHOOSE_KEYRANGE] = "keyrange",
        [CHOOSE_HOT_SHARD] = "hotshard",
    };

    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (strcmp(words[i], word) == 0)
            return (enum chooser_kind)i;
    assert(false && "the linter lets only known words through");
    return CHOOSE_UNIFORM;
}

static enum value_spread value_spread_of(const char *word)
{
    static const struct {
        const char       *word;
        enum value_spread spread;
    } words[] = { { "constant", VALUE_CONSTANT }, { "uniform", VALUE_UNIFORM },
                  { "zipfian", VALUE_ZIPFIAN },   { "pareto", VALUE_PARETO },
                  { "histogram", VALUE_TABLE },   { "mix", VALUE_TABLE } };

    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (strcmp(words[i].word, word) == 0)
            return words[i].spread;
    assert(false && "the linter lets only known words through");
    return VALUE_CONSTANT;
}

static void workload_read_data(const struct properties *properties, struct workload *out)
{
    out->record_count = count_of(properties, "recordcount");
    out->operation_count = count_of(properties, "operationcount");
    out->insert_start = count_of(properties, "insertstart");
    out->insert_count = out->record_count - min_u64(out->insert_start, out->record_count);
    if (text_of(properties, "insertcount")[0] != 0)
        out->insert_count = count_of(properties, "insertcount");
    out->keys.is_ordered = strcmp(text_of(properties, "insertorder"), "hashed") != 0;
    out->keys.digits_min = (uint32_t)count_of(properties, "zeropadding");
    out->values.field_count = (uint32_t)count_of(properties, "fieldcount");
    out->values.field_bytes_max = count_of(properties, "fieldlength");
    out->values.field_bytes_min = count_of(properties, "minfieldlength");
    out->values.spread = value_spread_of(text_of(properties, "fieldlengthdistribution"));
    out->value_shape = number_of(properties, "fieldlength.shape");
    out->value_scale = number_of(properties, "fieldlength.scale");
    out->keys.series_count = (uint32_t)count_of(properties, "seriescount");
    if (out->values.spread == VALUE_CONSTANT)
        out->values.field_bytes_min = out->values.field_bytes_max;
}

static void workload_read_mix(const struct properties *properties, struct workload *out)
{
    static const char *const weights[OPERATION_COUNT] = {
        [OPERATION_READ] = "readproportion",     [OPERATION_UPDATE] = "updateproportion",
        [OPERATION_INSERT] = "insertproportion", [OPERATION_SCAN] = "scanproportion",
        [OPERATION_MODIFY] = "readmodifywriteproportion",
        [OPERATION_DELETE] = "deleteproportion",
    };

    for (size_t i = 0; i < OPERATION_COUNT; i++)
        out->weights[i] = number_of(properties, weights[i]);
    out->chooser = chooser_kind_of(text_of(properties, "requestdistribution"));
    out->hotspot_data = number_of(properties, "hotspotdatafraction");
    out->hotspot_operations = number_of(properties, "hotspotopnfraction");
    out->exponential_percentile = number_of(properties, "exponential.percentile");
    out->exponential_fraction = number_of(properties, "exponential.frac");
    out->scan_rows_min = count_of(properties, "minscanlength");
    out->scan_rows_max = count_of(properties, "maxscanlength");
    out->scan_is_zipfian = strcmp(text_of(properties, "scanlengthdistribution"), "zipfian") == 0;
    out->scan_is_pareto = strcmp(text_of(properties, "scanlengthdistribution"), "pareto") == 0;
    out->scan_shape = number_of(properties, "scanlength.shape");
    out->scan_scale = number_of(properties, "scanlength.scale");
    out->zipfian_constant = number_of(properties, "zipfianconstant");
    out->keyrange = (struct keyrange_options){
        .count = (uint32_t)count_of(properties, "keyrange.count"),
        .a = number_of(properties, "keyrange.a"),
        .b = number_of(properties, "keyrange.b"),
        .c = number_of(properties, "keyrange.c"),
        .d = number_of(properties, "keyrange.d"),
        .key_a = number_of(properties, "keyrange.key.a"),
        .key_b = number_of(properties, "keyrange.key.b"),
    };
}

/* Lengths from a table: the mix is in the properties, a histogram in a file that others read. */
static enum kiwi_status workload_read_lengths(const struct properties *properties,
                                              struct lint *lint, struct workload *out)
{
    const char *spread = text_of(properties, "fieldlengthdistribution");
    const char *mix = text_of(properties, "fieldlengthmix");

    if (strcmp(spread, "histogram") == 0) {
        snprintf(out->histogram, sizeof out->histogram, "%s",
                 text_of(properties, "fieldlengthhistogram"));
        return KIWI_OK;
    }
    if (strcmp(spread, "mix") != 0)
        return mix[0] == 0 ? KIWI_OK
                           : lint_add(lint, LINT_ERROR, "%s: fieldlengthmix needs "
                                                        "fieldlengthdistribution=mix",
                                      out->name);
    if (length_mix_parse(mix, KIWI_VALUE_BYTES_MAX, &out->value_lengths) != KIWI_OK)
        return lint_add(lint, LINT_ERROR, "%s: fieldlengthmix='%.60s': %.200s", out->name, mix,
                        fail_text());
    out->values.field_bytes_min = length_table_least(&out->value_lengths);
    out->values.field_bytes_max = length_table_most(&out->value_lengths);
    return KIWI_OK;
}

static void workload_read_client(const struct properties *properties, struct workload *out)
{
    out->has_thread_count = properties_find(properties, "threadcount") != NULL;
    out->thread_count = count_of(properties, "threadcount");
    out->target_per_second = count_of(properties, "target");
    out->seconds_max = count_of(properties, "maxexecutiontime");
    out->has_seed = text_of(properties, "kiwi.seed")[0] != 0;
    out->seed = count_of(properties, "kiwi.seed");
    snprintf(out->durability, sizeof out->durability, "%s", text_of(properties, "kiwi.durability"));
}

/* The same, of our own properties. */
static enum kiwi_status workload_check_ours(const struct properties *properties,
                                            const struct workload *workload, struct lint *lint)
{
    double sum = 0;

    if (properties_find(properties, "zipfianconstant") != NULL
        && workload->chooser != CHOOSE_TRUE_ZIPFIAN)
        TRY(lint_add(lint, LINT_ERROR,
                     "%s: zipfianconstant needs requestdistribution=truezipfian; YCSB's zipfian "
                     "has 0.99 and no other",
                     workload->name));
    for (uint32_t i = 1; i <= workload->keyrange.count; i++)
        sum += keyrange_weight(&workload->keyrange, i);
    if (workload->chooser == CHOOSE_KEYRANGE && !(sum > 0))
        TRY(lint_add(lint, LINT_ERROR, "%s: all key ranges have no weight", workload->name));
    if (workload->chooser == CHOOSE_KEYRANGE && !workload->keys.is_ordered)
        TRY(lint_add(lint, LINT_ERROR,
                     "%s: requestdistribution=keyrange needs insertorder=ordered: hashed keys "
                     "have no ranges",
                     workload->name));
    if (workload->keys.series_count == 0)
        return KIWI_OK;
    if (!workload->keys.is_ordered || workload->keys.digits_min < KEY_SERIES_DIGITS)
        TRY(lint_add(lint, LINT_ERROR,
                     "%s: seriescount needs insertorder=ordered and zeropadding of %u or more, or "
                     "keys do not ascend",
                     workload->name, KEY_SERIES_DIGITS));
    if ((workload->record_count + workload_expected_inserts(workload))
            / workload->keys.series_count
        >= KEY_SERIES_POINTS)
        TRY(lint_add(lint, LINT_ERROR, "%s: more than 10^12 points in a series", workload->name));
    return KIWI_OK;
}

/* Relations between properties that no single rule can see. */
static enum kiwi_status workload_check(const struct workload *workload, struct lint *lint)
{
    double sum = 0;

    for (size_t i = 0; i < OPERATION_COUNT; i++)
        sum += workload->weights[i];
    if (sum <= 0)
        TRY(lint_add(lint, LINT_ERROR, "%s: all proportions are zero", workload->name));
    if (workload->scan_rows_min > workload->scan_rows_max)
        TRY(lint_add(lint, LINT_ERROR, "%s: minscanlength %llu is above maxscanlength %llu",
                     workload->name, (unsigned long long)workload->scan_rows_min,
                     (unsigned long long)workload->scan_rows_max));
    if (workload->values.field_bytes_min > workload->values.field_bytes_max)
        TRY(lint_add(lint, LINT_ERROR, "%s: minfieldlength is above fieldlength", workload->name));
    if (value_bytes_max(&workload->values) > KIWI_VALUE_BYTES_MAX)
        TRY(lint_add(lint, LINT_ERROR, "%s: a record of %llu bytes is above the limit of %u",
                     workload->name, (unsigned long long)value_bytes_max(&workload->values),
                     KIWI_VALUE_BYTES_MAX));
    /* In the original this divides by zero or never ends. */
    if (workload->insert_start + workload->insert_count > workload->record_count
        && workload->record_count > 0)
        TRY(lint_add(lint, LINT_ERROR, "%s: insertstart + insertcount is beyond recordcount %llu",
                     workload->name, (unsigned long long)workload->record_count));
    if (workload->record_count > 0 && workload->insert_count == 0)
        TRY(lint_add(lint, LINT_ERROR, "%s: no records: insertstart is at or beyond recordcount",
                     workload->name));
    return KIWI_OK;
}

enum kiwi_status workload_read(const struct properties *properties, const char *name,
                               struct lint *lint, struct workload *out)
{
    const char *slash = strrchr(name, '/');

    memset(out, 0, sizeof *out);
    snprintf(out->name, sizeof out->name, "%s", slash != NULL ? slash + 1 : name);
    TRY(lint_properties(lint, properties));
    workload_read_data(properties, out);
    workload_read_mix(properties, out);
    workload_read_client(properties, out);
    TRY(workload_read_lengths(properties, lint, out));
    TRY(workload_check(out, lint));
    TRY(workload_check_ours(properties, out, lint));
    for (size_t i = 0; i < lint->count; i++)
        if (lint->findings[i].kind == LINT_ERROR)
            return FAIL(KIWI_INVALID, "%s", lint->findings[i].text);
    return KIWI_OK;
}

enum kiwi_status workload_histogram_set(struct workload *workload, const char *origin,
                                        const char *text, size_t bytes)
{
    const uint64_t most = KIWI_VALUE_BYTES_MAX / workload->values.field_count;

    assert(workload->values.spread == VALUE_TABLE);
    TRY(length_histogram_parse(origin, text, bytes, most, &workload->value_lengths));
    workload->values.field_bytes_min = length_table_least(&workload->value_lengths);
    workload->values.field_bytes_max = length_table_most(&workload->value_lengths);
    workload->histogram[0] = 0;
    return KIWI_OK;
}

uint64_t workload_expected_inserts(const struct workload *workload)
{
    return (uint64_t)((double)workload->operation_count * workload->weights[OPERATION_INSERT]
                      * 2.0);
}

bool workload_inserts(const struct workload *workload)
{
    return workload->weights[OPERATION_INSERT] > 0;
}

bool workload_deletes(const struct workload *workload)
{
    return workload->weights[OPERATION_DELETE] > 0;
}

bool workload_moves_records(const struct workload *workload)
{
    return workload_inserts(workload) || workload_deletes(workload);
}

bool workload_writes(const struct workload *workload)
{
    return workload_moves_records(workload) || workload->weights[OPERATION_UPDATE] > 0
        || workload->weights[OPERATION_MODIFY] > 0;
}

bool workload_scans(const struct workload *workload)
{
    return workload->weights[OPERATION_SCAN] > 0;
}
