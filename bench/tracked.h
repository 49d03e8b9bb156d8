/*
 * tracked.h: a sample of records whose acknowledged writes are remembered, to be read again at the
 * end.
 *
 * Rule     writes that overlap in time form a group. Once a group has ended and one of its writes
 *          was acknowledged, the record must hold a version of that group or of a later one: an
 *          older one means that an acknowledged write was lost. Versions of a tracked record
 *          count from 1. A delete is a write with a version that no value carries: the record may
 *          be missing exactly when a delete is among those versions, or nothing was acknowledged.
 * Sample   every record number that a stride divides; keys are hashed, so it is spread.
 * Thread   any; one short lock per tracked record. Other records cost one multiplication.
 */
#pragma once

#include "core/base/base.h"

#define TRACKED_NONE UINT64_MAX

struct tracked;

/* record_count: records that may come to exist. At most about sample_count are tracked. */
MUST_USE enum kiwi_status tracked_open(uint64_t record_count, uint64_t sample_count,
                                       struct tracked **out);
void                      tracked_close(struct tracked *tracked); /* NULL is fine */

/* The place of a record in the sample, or TRACKED_NONE. */
uint64_t tracked_place(const struct tracked *tracked, uint64_t record);
uint64_t tracked_count(const struct tracked *tracked);
uint64_t tracked_record(const struct tracked *tracked, uint64_t place);

/* A write starts: the version it must carry. */
uint64_t tracked_begin(struct tracked *tracked, uint64_t place);
/* The same for a delete, which has a place among the versions and shows none. */
void     tracked_begin_delete(struct tracked *tracked, uint64_t place);
void     tracked_end(struct tracked *tracked, uint64_t place, bool was_acknowledged);

/* The versions a read may now find, while nobody writes: 0 in first: nothing need be there. */
void tracked_bounds(const struct tracked *tracked, uint64_t place, uint64_t *first,
                    uint64_t *last);
/* Whether a read may now find nothing, while nobody writes. */
bool tracked_may_be_missing(const struct tracked *tracked, uint64_t place);
/* Of the records ever written, the share whose last write was a delete; while nobody writes. */
double tracked_deleted_share(const struct tracked *tracked);
