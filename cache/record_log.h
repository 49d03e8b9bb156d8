/*
 * record_log.h: newest versions of keys, appended to segments and found through an index.
 *
 *   | sequence 56, value size high 8 | hash32 | key size 16, value size low 16 | key | value |
 *
 * Small    new records are appended to a small run, those with a ghost to the main one. A record
 *          that was found while it was in the small run moves to the main one, the others leave
 *          and their ghosts stay (S3-FIFO, SOSP'23; a seventh fewer misses than one CLOCK).
 * Main     records with a frequency above 0 are appended again with one less: CLOCK, over a log.
 *          Any size fits and nothing fragments.
 * Reclaim  takes the oldest segment (or one that is mostly dead), a few records at a time.
 * Always   a record is alive exactly while the index refers to its place.
 * Limit    references count 8-byte units in 32 bits: at most 32 GiB of records.
 */
#pragma once

#include "cache/balance.h"
#include "cache/cache.h"
#include "cache/ghost.h"
#include "cache/index.h"

#define RECORD_HEADER_BYTES 16u
#define RECORD_UNIT         8u

struct record {
    uint64_t sequence_and_size; /* sequence in the low 56 bits, bits 16 to 23 of the value's size */
    uint32_t hash32;
    uint16_t key_bytes;
    uint16_t value_bytes_low;
};

static_assert(sizeof(struct record) == RECORD_HEADER_BYTES, "no hidden padding");

enum record_part { RECORD_SMALL = 0, RECORD_MAIN, RECORD_PART_COUNT };

struct record_run {
    struct segment_list list;
    struct segment     *head;   /* in the list */
    struct segment     *victim; /* being reclaimed; not in the list */
    uint32_t            victim_at;
    bool                victim_keeps_all; /* it is reclaimed for its dead bytes */
};

struct record_log {
    struct segment_pool *pool;
    struct index         index;
    uint32_t             segment_shift; /* of a reference: units of a segment */
    uint32_t             unit_mask;
    struct record_run    runs[RECORD_PART_COUNT];
    struct ghost         ghost;
    uint64_t             ghost_hits;
    uint64_t             live_bytes;
    uint64_t             hits, misses, inserts, evictions;
};

struct record_key {
    uint64_t     hash;
    struct bytes key;
};

void record_log_open(struct record_log *log, struct segment_pool *pool);
void record_log_close(struct record_log *log);
uint64_t record_log_bytes(const struct record_log *log); /* of its segments */
uint64_t record_log_mean_bytes(const struct record_log *log);

/* A newer value for a record that is there: in place, or it goes. */
void record_log_write(struct record_log *log, const struct record_key *key, struct bytes value,
                      uint64_t sequence);
void record_log_drop(struct record_log *log, const struct record_key *key);
/* False: there is no room in the head and no free segment; nothing was inserted. */
bool record_log_insert(struct record_log *log, const struct record_key *key, struct bytes value,
                       uint64_t sequence);
/*
 * Reclaims until *debt bytes were freed (what was freed is taken off it), *items records were met,
 * or a segment was given back. force: nothing is kept. False: there is nothing to reclaim.
 */
MUST_USE bool record_log_reclaim(struct record_log *log, uint64_t *debt, uint32_t *items,
                                 bool force);
bool record_log_is_reclaiming(const struct record_log *log); /* a segment, half done */
/* Drops all records of the segment and gives it back. */
void record_log_vacate(struct record_log *log, struct segment *segment);

static inline uint32_t record_reference(const struct record_log *log,
                                        const struct segment *segment, uint32_t at)
{
    return segment->id << log->segment_shift | at / RECORD_UNIT;
}

static inline struct record *record_at(const struct record_log *log, uint32_t reference)
{
    uint8_t *base = log->pool->bases[reference >> log->segment_shift];

    return (struct record *)(void *)(base + (uint64_t)(reference & log->unit_mask) * RECORD_UNIT);
}

static inline uint32_t record_value_bytes(const struct record *record)
{
    return record->value_bytes_low | (uint32_t)(record->sequence_and_size >> 56) << 16;
}

static inline const uint8_t *record_key_data(const struct record *record)
{
    return (const uint8_t *)(record + 1);
}

static inline uint64_t record_sequence(const struct record *record)
{
    return record->sequence_and_size & ((1ull << 56) - 1);
}

struct record_match {
    const struct record_log *log;
    const struct record_key *key;
};

static inline bool record_matches(const void *context, uint32_t reference)
{
    const struct record_match *match = context;
    const struct record       *record = record_at(match->log, reference);

    return record->hash32 == (uint32_t)match->key->hash
        && bytes_equal(bytes_of(record_key_data(record), record->key_bytes), match->key->key);
}

static inline bool record_log_find(struct record_log *log, const struct record_key *key,
                                   struct cached_record *out)
{
    struct record_match match = { log, key };
    struct index_place  place = index_find(&log->index, key->hash, record_matches, &match);

    if (place.line == NULL) {
        log->misses++;
        return false;
    }
    const struct record *record = record_at(log, place.line->references[place.slot]);

    index_frequency_raise(place);
    log->hits++;
    out->value = bytes_of(record_key_data(record) + record->key_bytes, record_value_bytes(record));
    out->sequence = record_sequence(record);
    return true;
}
