/*
 * index.h: from a hash to 4-byte references, one cache line a lookup. Records and blocks each have
 * one; what a reference stands for is the owner's business.
 *
 *   line (64 bytes):  | 12 tags of 8 bits | frequencies 12 x 2 bits, away 8 bits | 12 references |
 *
 * Home     the line at hash32 * line_count >> 32. An entry that finds its home full stands in the
 *          other line of the pair (line ^ 1); home.away counts those, so that lookups touch the
 *          second line only where there is a reason.
 * Full     a pair without a free slot forgets the less frequent entry: a cache may.
 * Growth   home lines are ordered as hash32 is, for every line_count. So one sweep from low to high
 *          carries the entries over to a table of any other size, a pair at a time: what lies below
 *          the sweep is looked up in the new table, the rest in the old one. Chunks of lines come
 *          from the segment pool and go back to it as the sweep passes.
 * Hash     bits 0-31 choose the line, 32-39 are the tag. The top bits chose the shard.
 */
#pragma once

#include <emmintrin.h>

#include "cache/segment.h"

#define INDEX_SLOTS     12u
#define INDEX_NOTHING   UINT32_MAX
#define INDEX_FREQUENCY_MAX 3u

struct index_line {
    uint8_t  tags[INDEX_SLOTS]; /* 0: free */
    uint32_t meta;
    uint32_t references[INDEX_SLOTS];
} __attribute__((aligned(64)));

static_assert(sizeof(struct index_line) == 64, "one cache line");

struct index_table {
    struct index_line **chunks;
    struct segment    **segments; /* that the chunks stand in; NULL: not there (yet, or any more) */
    uint32_t            line_count;
    uint32_t            chunk_count;
};

struct index_owner {
    void    *context;
    uint32_t (*hash32)(void *context, uint32_t reference);
    void     (*prefetch)(void *context, uint32_t reference);
    void     (*forget)(void *context, uint32_t reference); /* its slot is gone already */
};

struct index {
    struct index_table  present, coming;
    uint32_t            swept;       /* lines of present that moved to coming; even */
    uint32_t            chunk_shift; /* lines of a chunk, as a power of two */
    uint32_t            chunk_mask;
    bool                is_sweeping;
    uint64_t            count;
    uint64_t            bytes;       /* chunks and their tables */
    struct segment_pool *pool;
    struct index_owner  owner;
};

struct index_place {
    struct index_line *line; /* NULL: not there */
    uint32_t           slot;
};

void index_open(struct index *index, struct segment_pool *pool, struct index_owner owner);
void index_close(struct index *index);
/* Adds; the reference it had to forget went to owner.forget. False: no memory for a first line. */
MUST_USE bool index_insert(struct index *index, uint64_t hash, uint32_t reference);
struct index_place index_locate(const struct index *index, uint32_t hash32, uint32_t reference);
void index_remove(struct index *index, uint32_t hash32, struct index_place place);
/* Starts or goes on with a change of size if the count asks for one. steps: pairs of lines. */
void index_adapt(struct index *index, uint32_t steps);

static inline uint8_t index_tag(uint64_t hash)
{
    uint8_t tag = (uint8_t)(hash >> 32);

    return tag == 0 ? 1 : tag;
}

static inline struct index_line *index_home(const struct index *index, uint32_t hash32)
{
    const struct index_table *table = &index->present;
    uint32_t at = (uint32_t)((uint64_t)hash32 * table->line_count >> 32);

    if (UNLIKELY(at < index->swept)) {
        table = &index->coming;
        at = (uint32_t)((uint64_t)hash32 * table->line_count >> 32);
    }
    return &table->chunks[at >> index->chunk_shift][at & index->chunk_mask];
}

/* Lines stand in pairs of 128 aligned bytes. */
static inline struct index_line *index_other(struct index_line *line)
{
    return (struct index_line *)((uintptr_t)line ^ sizeof(struct index_line));
}

static inline uint32_t index_matches(const struct index_line *line, uint8_t tag)
{
    __m128i tags = _mm_load_si128((const __m128i *)(const void *)line);
    __m128i wanted = _mm_set1_epi8((char)tag);

    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(tags, wanted)) & ((1u << INDEX_SLOTS) - 1);
}

static inline uint32_t index_away(const struct index_line *line)
{
    return line->meta >> 24;
}

static inline uint32_t index_frequency(struct index_place place)
{
    return place.line->meta >> (2 * place.slot) & 3u;
}

static inline void index_frequency_set(struct index_place place, uint32_t frequency)
{
    assert_slow(frequency <= INDEX_FREQUENCY_MAX);
    uint32_t shift = 2 * place.slot;

    place.line->meta = (place.line->meta & ~(3u << shift)) | frequency << shift;
}

/* Stops writing at the maximum, so that hot lines stay clean. */
static inline void index_frequency_raise(struct index_place place)
{
    if (index_frequency(place) < INDEX_FREQUENCY_MAX)
        place.line->meta += 1u << (2 * place.slot);
}

static inline void index_prefetch(const struct index *index, uint64_t hash)
{
    __builtin_prefetch(index_home(index, (uint32_t)hash));
}

/* The entry whose tag and match agree. match is a constant, so the compiler inlines it. */
static inline __attribute__((always_inline)) struct index_place
index_find(const struct index *index, uint64_t hash,
           bool (*match)(const void *context, uint32_t reference), const void *context)
{
    struct index_line *line = index_home(index, (uint32_t)hash);
    uint8_t            tag = index_tag(hash);
    bool               is_other = false;

    for (;;) {
        for (uint32_t found = index_matches(line, tag); found != 0; found &= found - 1) {
            uint32_t slot = (uint32_t)__builtin_ctz(found);

            if (LIKELY(match(context, line->references[slot])))
                return (struct index_place){ line, slot };
        }
        if (LIKELY(is_other || index_away(line) == 0))
            return (struct index_place){ NULL, 0 };
        line = index_other(line);
        is_other = true;
    }
}
