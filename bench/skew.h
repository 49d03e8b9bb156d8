/*
 * skew.h: how unevenly the measured part of a phase asked for its records: the achieved skew.
 *
 * Sample   the records of all requests but inserts, one after the other; of a scan the first row.
 *          Once the room of a thread is used up, every second request from then on overwrites the
 *          oldest, then every fourth, and so on. Sorting and counting come after the clock has
 *          stopped: a counter per record would cost a cache miss per request.
 * Shares   the records that half of the sample asks for most, and what the other half gives them;
 *          then the other way round. Ranking and measuring with the same requests would call
 *          chance skew: of records asked for once or twice, some are always on top.
 * Thread   a note has one writer; sums are taken while nobody writes.
 */
#pragma once

#include <stdint.h>

#include "core/base/base.h"

struct skew_note {
    uint64_t *records;           /* owned; of the requests noted */
    uint64_t  capacity, at;      /* at: where the next one goes */
    uint64_t  wait, stride;      /* requests until the next is noted; from one to the next */
    bool      is_full;           /* at has been at the end */
};

struct skew {
    uint32_t          count;
    struct skew_note *notes;     /* owned */
};

struct skew_shares {
    bool     is_measured;
    uint64_t requests;           /* looked at */
    uint64_t records;            /* that exist; the shares below are those of some of them */
    double   hottest, top_percent, top_tenth;   /* of the requests: 0 to 1 */
};

MUST_USE enum kiwi_status skew_open(struct skew *skew, uint32_t thread_count);
void                      skew_close(struct skew *skew); /* an empty one is fine */
void                      skew_clear(struct skew *skew);
/* records: that exist at the end. Not measured: too few requests, or no memory to sort them. */
struct skew_shares skew_sum(const struct skew *skew, uint64_t records);

static inline void skew_note(struct skew_note *note, uint64_t record)
{
    if (--note->wait != 0)
        return;
    note->records[note->at] = record;
    if (__builtin_expect(++note->at == note->capacity, 0)) {
        note->at = 0;
        note->stride *= 2;
        note->is_full = true;
    }
    note->wait = note->stride;
}
