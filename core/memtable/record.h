/*
 * record.h: one version of one key as it lies in a chunk.
 *
 *   at  size  field
 *    0     8  sequence << 8 | kind
 *    8     4  value_bytes
 *   12     4  value_room    what the value may grow to in place
 *   16     4  hash          for the key index, when it splits
 *   20     2  key_bytes
 *   22     .  key, then value, then room up to a multiple of 8 bytes
 */
#pragma once

#include "core/base/entry.h"

#define RECORD_UNIT_BYTES 8u

struct record {
    uint64_t stamp;
    uint32_t value_bytes;
    uint32_t value_room;
    uint32_t hash;
    uint16_t key_bytes;
    uint8_t  bytes[];
};

#define RECORD_HEADER_BYTES offsetof(struct record, bytes)
static_assert(RECORD_HEADER_BYTES == 22, "no hidden padding before the key");

static inline uint64_t record_bytes(size_t key_bytes, size_t value_bytes)
{
    return round_up_u64(RECORD_HEADER_BYTES + key_bytes + value_bytes, RECORD_UNIT_BYTES);
}

static inline uint64_t record_stamp(uint64_t sequence, enum entry_kind kind)
{
    return sequence << 8 | (uint64_t)kind;
}

static inline uint64_t record_sequence(const struct record *record)
{
    return record->stamp >> 8;
}

static inline enum entry_kind record_kind(const struct record *record)
{
    return (enum entry_kind)(record->stamp & 0xff);
}

static inline struct bytes record_key(const struct record *record)
{
    return bytes_of(record->bytes, record->key_bytes);
}

static inline struct entry record_entry(const struct record *record)
{
    return (struct entry){
        .key = record_key(record),
        .value = bytes_of(record->bytes + record->key_bytes, record->value_bytes),
        .sequence = record_sequence(record),
        .kind = record_kind(record),
    };
}

/* Header, key and a short value: at 8-byte boundaries 150 bytes lie in three lines. */
static inline void record_prefetch(const struct record *record)
{
    __builtin_prefetch(record);
    __builtin_prefetch((const uint8_t *)record + CACHE_LINE_BYTES);
    __builtin_prefetch((const uint8_t *)record + 2 * CACHE_LINE_BYTES);
}

/* The order of entries: less than 0 when record comes before (key, sequence). */
static inline int record_compare(const struct record *record, struct bytes key, uint64_t sequence)
{
    int order = bytes_compare(record_key(record), key);

    if (order != 0)
        return order;
    return record_sequence(record) > sequence ? -1 : record_sequence(record) < sequence;
}
