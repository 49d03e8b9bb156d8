/*
 * hlog.h: histogram logs that the usual HdrHistogram tools read, and their reading.
 *
 * Form     log version 1.3: comment lines, a legend, then one line per interval, "Tag=name," first.
 *          Payload: HdrHistogram's V2 encoding (zigzag LEB128 counts, runs of zeroes as negative
 *          numbers) inside zlib inside base64. Two significant digits, so that a bucket of ours, 32
 *          per power of two, is four of theirs; each count lies at the upper end of our bucket,
 *          which is what kiwi_latency_percentile returns too.
 * Units    values in nanoseconds; times in seconds; Interval_Max in milliseconds, as is usual.
 * Source   the form as documented by the HdrHistogram project (hdrhistogram.org).
 */
#pragma once

#include <stdio.h>

#include "core/base/base.h"
#include "kiwi/stats.h"

#define HLOG_TAG_BYTES 96u

/* The comment lines and the legend. start: seconds since 1970. */
void hlog_begin(FILE *file, double start);
/* One interval; start: seconds since the log's. Tags hold no comma, blank or line end. */
MUST_USE enum kiwi_status hlog_write(FILE *file, const char *tag, double start, double seconds,
                                     const struct kiwi_latency *latency);

struct hlog_interval {
    char                tag[HLOG_TAG_BYTES];
    double              start, seconds;
    struct kiwi_latency latency;    /* max_ns from Interval_Max; sum_ns from bucket middles */
};

/*
 * Reads the next interval. KIWI_NOT_FOUND: the log ends here. KIWI_CORRUPT: the text names line
 * and reason; path is for that text only. *line counts lines, start it with 0.
 */
MUST_USE enum kiwi_status hlog_read(FILE *file, const char *path, uint64_t *line,
                                    struct hlog_interval *out);
