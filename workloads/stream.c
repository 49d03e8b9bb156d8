/*
 * stream.c: operation mix, record choice and lengths put together.
 */
#include "workloads/stream.h"

#include <string.h>

#include "core/base/hash.h"

struct chooser workload_chooser(const struct workload *workload)
{
    return chooser_of(&(struct chooser_options){
        .kind = workload->chooser,
        .first = workload->insert_start,
        .count = workload->insert_count,
        .expected_inserts = workload_expected_inserts(workload),
        .record_count = workload->record_count,
        .hotspot_data = workload->hotspot_data,
        .hotspot_operations = workload->hotspot_operations,
        .exponential_percentile = workload->exponential_percentile,
        .exponential_fraction = workload->exponential_fraction,
        .zipfian_constant = workload->zipfian_constant,
        .keyrange = workload->keyrange,
    });
}

/* Weights are normalised by their sum, one after the other, as YCSB's discrete generator does. */
static void stream_mix_set(struct stream *stream, const struct workload *workload)
{
    double sum = 0, below = 0;

    for (uint32_t i = 0; i < OPERATION_COUNT; i++)
        sum += workload->weights[i];
    for (uint32_t i = 0; i < OPERATION_COUNT; i++) {
        if (workload->weights[i] <= 0)
            continue;
        below += workload->weights[i] / sum;
        stream->thresholds[stream->order_count] = below;
        stream->order[stream->order_count++] = (enum operation)i;
    }
    assert(stream->order_count > 0);
}

void stream_values_set(struct stream *stream, const struct workload *workload)
{
    const struct value_shape *shape = &workload->values;

    stream->values = *shape;
    if (shape->spread == VALUE_ZIPFIAN)
        stream->field_lengths = zipfian_of(shape->field_bytes_min, shape->field_bytes_max);
    if (shape->spread == VALUE_PARETO)
        stream->field_pareto = pareto_of(shape->field_bytes_min, shape->field_bytes_max,
                                         workload->value_shape, workload->value_scale);
    stream->field_table = &workload->value_lengths;
}

struct stream stream_of(const struct stream_options *options)
{
    const struct workload *workload = options->workload;
    struct stream          stream = {
                 .chance = chance_of(options->seed, options->thread_index + 1),
                 .chooser = *options->chooser,
                 .inserts = options->inserts,
                 .newest = workload->insert_start + workload->insert_count - 1,
                 .scan_rows_min = workload->scan_rows_min,
                 .scan_rows_max = workload->scan_rows_max,
                 .scan_is_zipfian = workload->scan_is_zipfian,
                 .scan_is_pareto = workload->scan_is_pareto,
                 .keys = workload->keys,
    };

    assert(options->thread_index < options->thread_count);
    assert(!workload_inserts(workload) || options->inserts != NULL);
    stream_mix_set(&stream, workload);
    stream.chooser.sequence =
        workload->insert_count / options->thread_count * options->thread_index;
    if (workload_scans(workload) && workload->scan_is_zipfian)
        stream.scan_lengths = zipfian_of(workload->scan_rows_min, workload->scan_rows_max);
    if (workload_scans(workload) && workload->scan_is_pareto)
        stream.scan_pareto = pareto_of(workload->scan_rows_min, workload->scan_rows_max,
                                       workload->scan_shape, workload->scan_scale);
    stream_values_set(&stream, workload);
    return stream;
}

static enum operation stream_operation(struct stream *stream)
{
    double   u;
    uint32_t place = 0;

    if (stream->order_count == 1)
        return stream->order[0];
    u = chance_unit(&stream->chance);
    /* Counted without a branch: which operation comes next cannot be predicted. */
    for (uint32_t i = 0; i + 1 < stream->order_count; i++)
        place += u >= stream->thresholds[i];
    return stream->order[place];
}

static uint32_t stream_scan_rows(struct stream *stream)
{
    if (stream->scan_is_zipfian)
        return (uint32_t)zipfian_draw(&stream->scan_lengths, &stream->chance);
    if (stream->scan_is_pareto)
        return (uint32_t)pareto_draw(&stream->scan_pareto, &stream->chance);
    return (uint32_t)(stream->scan_rows_min
                      + chance_below(&stream->chance,
                                     stream->scan_rows_max - stream->scan_rows_min + 1));
}

/* Of a series, the first of so many rows that end with the record chosen. */
static uint64_t scan_start(const struct stream *stream, uint64_t record, uint32_t rows)
{
    const uint64_t series = stream->keys.series_count;

    if (series == 0)
        return record;
    return record - min_u64(record / series, rows - 1) * series;
}

static void stream_make_one(struct stream *stream)
{
    struct step *step = &stream->steps[0];

    step->operation = stream_operation(stream);
    step->scan_rows = 0;
    if (step->operation == OPERATION_INSERT)
        step->record = acknowledged_take(stream->inserts);
    else
        step->record = chooser_draw(&stream->chooser, acknowledged_newest(stream->inserts),
                                    &stream->chance);
    if (step->operation == OPERATION_SCAN) {
        step->scan_rows = stream_scan_rows(stream);
        step->record = scan_start(stream, step->record, step->scan_rows);
    }
    step->number = key_number(&stream->keys, step->record);
    stream->ahead = 1;
}

void stream_make(struct stream *stream)
{
    uint64_t records[STREAM_AHEAD];

    assert(stream->ahead == 0);
    if (stream->inserts != NULL) {
        stream_make_one(stream);
        return;
    }
    chooser_draw_many(&stream->chooser, stream->newest, &stream->chance, records, STREAM_AHEAD);
    for (uint32_t i = 0; i < STREAM_AHEAD; i++) {
        struct step *step = &stream->steps[STREAM_AHEAD - 1 - i]; /* handed out from the end */

        step->record = records[i];
        step->number = key_number(&stream->keys, records[i]);
        step->scan_rows = 0;
    }
    for (uint32_t i = 0; i < STREAM_AHEAD; i++) {
        struct step *step = &stream->steps[STREAM_AHEAD - 1 - i];

        step->operation = stream_operation(stream);
        if (step->operation == OPERATION_SCAN) {
            step->scan_rows = stream_scan_rows(stream);
            step->record = scan_start(stream, step->record, step->scan_rows);
            step->number = key_number(&stream->keys, step->record);
        }
    }
    stream->ahead = STREAM_AHEAD;
}

uint64_t stream_value_bytes(struct stream *stream)
{
    const struct value_shape *shape = &stream->values;
    uint64_t                  bytes = 0;

    switch (shape->spread) {
    case VALUE_CONSTANT:
        return shape->field_count * shape->field_bytes_max;
    case VALUE_UNIFORM:
        for (uint32_t i = 0; i < shape->field_count; i++)
            bytes += shape->field_bytes_min
                   + chance_below(&stream->chance,
                                  shape->field_bytes_max - shape->field_bytes_min + 1);
        return bytes;
    case VALUE_ZIPFIAN:
        for (uint32_t i = 0; i < shape->field_count; i++)
            bytes += zipfian_draw(&stream->field_lengths, &stream->chance);
        return bytes;
    case VALUE_PARETO:
        for (uint32_t i = 0; i < shape->field_count; i++)
            bytes += pareto_draw(&stream->field_pareto, &stream->chance);
        return bytes;
    case VALUE_TABLE:
        for (uint32_t i = 0; i < shape->field_count; i++)
            bytes += length_table_draw(stream->field_table, &stream->chance);
        return bytes;
    }
    return bytes;
}

double workload_value_bytes_mean(const struct workload *workload)
{
    enum { SAMPLE = 20000 };
    const struct value_shape *shape = &workload->values;
    struct stream             stream = { .chance = chance_of(0, 0x6d65616eu) };
    double                    sum = 0;

    if (shape->spread == VALUE_CONSTANT || shape->spread == VALUE_UNIFORM)
        return shape->field_count * (double)(shape->field_bytes_min + shape->field_bytes_max) / 2;
    stream_values_set(&stream, workload);
    for (int i = 0; i < SAMPLE; i++)
        sum += (double)stream_value_bytes(&stream);
    return sum / SAMPLE;
}

enum kiwi_status stream_digest(const struct workload *workload, uint64_t seed,
                               uint32_t thread_count, uint64_t *out)
{
    enum { STEPS_PER_THREAD = 1024 };
    struct chooser       chooser;
    struct acknowledged *inserts = NULL;
    uint64_t             digest = hash_mix(seed, thread_count);
    uint8_t              key[KEY_BYTES_MAX];

    *out = 0;
    if (workload->insert_count == 0)
        return KIWI_OK;
    chooser = workload_chooser(workload);
    digest = hash_mix(digest, workload->insert_count);
    digest = hash_mix(digest, workload->operation_count);
    for (uint32_t thread = 0; thread < thread_count; thread++) {
        struct stream stream;
        struct step   step;

        if (workload_inserts(workload))
            TRY(acknowledged_open(workload->insert_start + workload->insert_count, &inserts));
        stream = stream_of(&(struct stream_options){ workload, inserts, seed, thread, thread_count,
                                                     &chooser });
        for (int i = 0; i < STEPS_PER_THREAD; i++) {
            memset(&step, 0, sizeof step);
            stream_next(&stream, &step);
            if (step.operation == OPERATION_INSERT)
                (void)!acknowledged_mark(inserts, step.record);
            size_t bytes = key_write_number(&workload->keys, step.number, key);
            digest = hash_checksum(key, bytes, digest + (uint64_t)step.operation);
            digest = hash_mix(digest, step.scan_rows + stream_value_bytes(&stream));
        }
        acknowledged_close(inserts);
        inserts = NULL;
    }
    *out = digest;
    return KIWI_OK;
}
