/*
 * values.h: the value of a record: who wrote it, when, and proof that it is whole.
 *
 * Layout   record number, version, XXH3 of the rest seeded with the record number, 8 bytes each and
 *          least significant first; then text. Values below 24 bytes carry no version: all their
 *          bytes follow from the record number alone.
 * Text     YCSB's: printable bytes, six from each 32-bit random word, of 5 or 6 bits each, so it
 *          compresses as little or as much as there. It is cut from a pool made once, at a place
 *          that the version decides: making 1000 fresh bytes costs more than storing them.
 * Thread   a pool is read-only once made.
 */
#pragma once

#include <stdint.h>

#include "core/base/base.h"
#include "workloads/chance.h"

#define VALUE_HEAD_BYTES 24u

struct value_pool;

/* bytes_max: the longest value that will be asked for. */
MUST_USE enum kiwi_status value_pool_open(uint64_t seed, uint64_t bytes_max,
                                          struct value_pool **out);
void                      value_pool_close(struct value_pool *pool); /* NULL is fine */

void value_write(const struct value_pool *pool, uint64_t record, uint64_t version, uint8_t *out,
                 uint64_t bytes);

enum value_verdict {
    VALUE_RIGHT = 0,
    VALUE_OTHER_RECORD,   /* whole, but of another record */
    VALUE_DAMAGED,        /* the checksum disagrees */
};

/* version: what the value says, 0 when it is too short to say; may be NULL. */
enum value_verdict value_check(const uint8_t *data, uint64_t bytes, uint64_t record,
                               uint64_t *version);
/* The record number a value claims; false when it is shorter than its head. */
bool value_record(const uint8_t *data, uint64_t bytes, uint64_t *record);

/* How long the fields of a record are together. */
enum value_spread {
    VALUE_CONSTANT = 0,
    VALUE_UNIFORM,
    VALUE_ZIPFIAN,
    VALUE_PARETO,       /* lengths.h, as is the next */
    VALUE_TABLE,
};

struct value_shape {
    enum value_spread spread;
    uint32_t          field_count;
    uint64_t          field_bytes_min, field_bytes_max;
};

uint64_t value_bytes_max(const struct value_shape *shape);
