/*
 * stream.h: the operations of one client thread, one after the other, from a seed.
 *
 * Thread   one owner. The newest acknowledged record is shared by all threads of a run; a workload
 *          without inserts never looks at it again.
 * Series   a scan of a series ends at the point chosen: it reads the latest rows up to there.
 * Ahead    without inserts, operations are made in small batches, which is much cheaper; with
 *          inserts one by one, because the newest record moves.
 * Repeats  the same workload, seed and thread number give the same operations; with inserts from
 *          several threads the records follow the order in which inserts were acknowledged.
 */
#pragma once

#include "workloads/acknowledged.h"
#include "workloads/workload.h"

struct step {
    enum operation operation;
    uint32_t       scan_rows;     /* OPERATION_SCAN */
    uint64_t       record;        /* OPERATION_INSERT: a fresh number */
    uint64_t       number;        /* that its key shows, for key_write_number */
};

#define STREAM_AHEAD 16u /* operations made at a time when no insert can come between */

struct stream {
    struct chance        chance;
    struct chooser       chooser;
    struct zipfian       scan_lengths, field_lengths;
    struct pareto        scan_pareto, field_pareto;
    const struct length_table *field_table;          /* borrowed from the workload */
    struct acknowledged *inserts;                    /* borrowed; NULL without inserts */
    uint64_t             newest;                     /* without inserts */
    double               thresholds[OPERATION_COUNT];/* running sums of the normalised weights */
    enum operation       order[OPERATION_COUNT];     /* those with weight, in YCSB's order */
    uint32_t             order_count;
    uint64_t             scan_rows_min, scan_rows_max;
    bool                 scan_is_zipfian, scan_is_pareto;
    struct value_shape   values;
    struct key_shape     keys;
    uint32_t             ahead;                      /* of steps below, not yet handed out */
    struct step          steps[STREAM_AHEAD];
};

struct stream_options {
    const struct workload *workload;
    struct acknowledged   *inserts;       /* NULL when the workload has none */
    uint64_t               seed;
    uint32_t               thread_index, thread_count;
    const struct chooser  *chooser;       /* made once, copied: some cost a sum over all records */
};

struct chooser workload_chooser(const struct workload *workload);
/* The workload must outlive the stream. */
struct stream  stream_of(const struct stream_options *options);
/* Makes ready for stream_value_bytes alone, which a load needs. */
void           stream_values_set(struct stream *stream, const struct workload *workload);

void stream_make(struct stream *stream);

static inline void stream_next(struct stream *stream, struct step *out)
{
    if (stream->ahead == 0)
        stream_make(stream);
    *out = stream->steps[--stream->ahead];
}

/* Bytes of the next value to write. */
uint64_t stream_value_bytes(struct stream *stream);
/* The same on average; from a sample when there is no simple formula. */
double   workload_value_bytes_mean(const struct workload *workload);

/*
 * A fingerprint of the operations this workload, seed and thread count stand for: XXH3 over the
 * first operations of every thread, each generated alone. Equal digests: comparable results.
 */
MUST_USE enum kiwi_status stream_digest(const struct workload *workload, uint64_t seed,
                                        uint32_t thread_count, uint64_t *out);
