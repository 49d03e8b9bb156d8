/*
 * key_index.c: extendible hashing over one-line groups.
 *
 *   hash   | directory (depth bits, from the top) ... | tag (8) | group (6) |
 *
 *   segment = 64 groups; a group = one cache line:
 *     at  size  field
 *      0    12  tags     0: free slot
 *     12     4  note     of the segment: group 0 entries, 1 depth, 2 next segment of the chain
 *     16    48  records
 *
 * A key stands in its group or, when that was full, in the next one that was not; a search ends at
 * a group with a free slot. Only keys whose hashes all agree (never seen with a good hash) fill a
 * segment beyond splitting; then a chain of segments begins, slow but correct.
 */
#include "core/memtable/key_index.h"

#include <inttypes.h>

#include "core/base/memory.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define SLOTS           12u
#define GROUPS          64u
#define SEGMENT_SLOTS   (SLOTS * GROUPS)
#define SEGMENT_BYTES   (GROUPS * CACHE_LINE_BYTES)
#define SPLIT_AT        (SEGMENT_SLOTS * 13 / 16) /* beyond, more and more keys miss their group */
#define DEPTH_MAX       24u
#define DEPTH_SLACK     6u /* how much deeper than the average a segment may be */

struct key_group {
    uint8_t  tags[SLOTS];
    uint32_t note;
    uint32_t records[SLOTS];
};

static_assert(sizeof(struct key_group) == CACHE_LINE_BYTES, "a group is one cache line");

enum note { NOTE_COUNT = 0, NOTE_DEPTH, NOTE_NEXT };

/* ---- one group ---- */

static inline uint8_t tag_of(uint32_t hash)
{
    uint8_t tag = (uint8_t)(hash >> 6);

    return tag == 0 ? 1 : tag;
}

static inline uint32_t group_of(uint32_t hash)
{
    return hash % GROUPS;
}

/* A bit per slot whose tag is the one given. */
static inline uint32_t group_match(const struct key_group *group, uint8_t tag)
{
#if defined(__SSE2__)
    __m128i tags = _mm_load_si128((const __m128i *)(const void *)group);
    __m128i equal = _mm_cmpeq_epi8(tags, _mm_set1_epi8((char)tag));

    return (uint32_t)_mm_movemask_epi8(equal) & ((1u << SLOTS) - 1);
#else
    uint32_t match = 0;

    for (uint32_t i = 0; i < SLOTS; i++)
        match |= (uint32_t)(group->tags[i] == tag) << i;
    return match;
#endif
}

/* ---- one segment ---- */

static inline uint32_t directory_place(const struct key_index *index, uint32_t hash)
{
    return (uint32_t)((uint64_t)hash >> (32 - index->depth));
}

static inline struct key_group *segment_of(const struct key_index *index, uint32_t hash)
{
    return index->segments[directory_place(index, hash)];
}

static struct key_group *segment_next(const struct key_index *index,
                                      const struct key_group *segment)
{
    uint32_t next = segment[NOTE_NEXT].note;

    return next == 0 ? NULL : arena_at(index->arena, next);
}

static_assert(KEY_INDEX_PUT_BYTES == SEGMENT_BYTES + CACHE_LINE_BYTES, "one segment, aligned");

static struct key_group *segment_new(struct arena *arena, uint32_t depth, uint32_t *reference)
{
    struct key_group *segment;

    if (arena_reserve(arena, SEGMENT_BYTES + CACHE_LINE_BYTES) != KIWI_OK)
        return NULL;
    *reference = arena_allocate(arena, SEGMENT_BYTES, CACHE_LINE_BYTES);
    segment = arena_at(arena, *reference);
    memset(segment, 0, SEGMENT_BYTES);
    segment[NOTE_DEPTH].note = depth;
    return segment;
}

static void segment_add(struct key_group *segment, uint32_t hash, uint32_t record)
{
    assert(segment[NOTE_COUNT].note < SEGMENT_SLOTS);
    for (uint32_t at = group_of(hash);; at = (at + 1) % GROUPS) {
        uint32_t unused = group_match(&segment[at], 0);

        if (unused != 0) {
            uint32_t slot = (uint32_t)__builtin_ctz(unused);

            segment[at].tags[slot] = tag_of(hash);
            segment[at].records[slot] = record;
            segment[NOTE_COUNT].note++;
            return;
        }
    }
}

static inline uint32_t *group_find(const struct key_index *index, struct key_group *group,
                                   uint8_t tag, struct bytes key)
{
    for (uint32_t match = group_match(group, tag); match != 0; match &= match - 1) {
        uint32_t            *slot = &group->records[__builtin_ctz(match)];
        const struct record *record = arena_record(index->arena, *slot);

        record_prefetch(record);
        if (LIKELY(bytes_equal(record_key(record), key)))
            return slot;
    }
    return NULL;
}

uint32_t *key_index_find(const struct key_index *index, uint32_t hash, struct bytes key)
{
    uint8_t tag = tag_of(hash);

    for (struct key_group *segment = segment_of(index, hash); segment != NULL;
         segment = segment_next(index, segment)) {
        for (uint32_t i = 0; i < GROUPS; i++) {
            struct key_group *group = &segment[(group_of(hash) + i) % GROUPS];
            uint32_t         *slot = group_find(index, group, tag, key);

            if (slot != NULL)
                return slot;
            if (LIKELY(group_match(group, 0) != 0))
                return NULL;
        }
    }
    return NULL;
}

void key_index_prefetch(const struct key_index *index, uint32_t hash)
{
    __builtin_prefetch(&segment_of(index, hash)[group_of(hash)]);
}

bool key_index_prefetch_record(const struct key_index *index, uint32_t hash)
{
    const struct key_group *group = &segment_of(index, hash)[group_of(hash)];
    uint32_t                match = group_match(group, tag_of(hash));
    bool                    found = match != 0;

    for (; match != 0; match &= match - 1)
        record_prefetch(arena_record(index->arena, group->records[__builtin_ctz(match)]));
    return found;
}

/* ---- growth ---- */

static enum kiwi_status directory_double(struct key_index *index)
{
    uint64_t           count = 1ull << index->depth;
    struct key_group **segments = memory_resize(index->segments, 2 * count * sizeof *segments);

    if (segments == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a directory of %" PRIu64 " segments", 2 * count);
    for (uint64_t i = count; i > 0; i--)
        segments[2 * i - 1] = segments[2 * i - 2] = segments[i - 1];
    index->segments = segments;
    index->depth++;
    return KIWI_OK;
}

/* Takes all references out of the segment; returns how many. */
static uint32_t segment_empty(struct key_group *segment, uint32_t *records)
{
    uint32_t count = 0;

    for (uint32_t at = 0; at < GROUPS; at++) {
        uint32_t used = group_match(&segment[at], 0) ^ ((1u << SLOTS) - 1);

        for (; used != 0; used &= used - 1)
            records[count++] = segment[at].records[__builtin_ctz(used)];
        memset(segment[at].tags, 0, SLOTS);
    }
    assert(count == segment[NOTE_COUNT].note);
    segment[NOTE_COUNT].note = 0;
    return count;
}

static void segment_divide(const struct key_index *index, struct key_group *lower,
                           struct key_group *upper)
{
    uint32_t records[SEGMENT_SLOTS], depth = upper[NOTE_DEPTH].note;
    uint32_t count = segment_empty(lower, records);
    uint32_t bit = 1u << (32 - depth);

    lower[NOTE_DEPTH].note = depth;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t hash;

        /* The records are strewn over memory; far enough ahead they arrive in time. */
        if (i + 16 < count)
            __builtin_prefetch(&arena_record(index->arena, records[i + 16])->hash);
        hash = arena_record(index->arena, records[i])->hash;
        segment_add((hash & bit) != 0 ? upper : lower, hash, records[i]);
    }
}

static enum kiwi_status segment_split(struct key_index *index, struct arena *arena, uint32_t hash)
{
    struct key_group *lower = segment_of(index, hash), *upper;
    uint32_t          depth = lower[NOTE_DEPTH].note + 1, reference;
    uint64_t          first, share;

    assert(lower[NOTE_NEXT].note == 0);
    if (depth > index->depth)
        TRY(directory_double(index));
    upper = segment_new(arena, depth, &reference);
    if (upper == NULL)
        return KIWI_NO_MEMORY;
    segment_divide(index, lower, upper);
    /* The segment stood at 2 * share neighbouring places; the second half is the new one's. */
    share = 1ull << (index->depth - depth);
    first = directory_place(index, hash) / (2 * share) * (2 * share);
    for (uint64_t i = 0; i < share; i++) {
        assert(index->segments[first + share + i] == lower);
        index->segments[first + share + i] = upper;
    }
    return KIWI_OK;
}

/* The segment of the chain that still has a free slot, one more when none has. */
static enum kiwi_status chain_extend(struct key_index *index, struct arena *arena,
                                     struct key_group *segment)
{
    struct key_group *last = segment;
    uint32_t          reference;

    while (segment_next(index, last) != NULL)
        last = segment_next(index, last);
    if (last[NOTE_COUNT].note < SEGMENT_SLOTS)
        return KIWI_OK;
    if (segment_new(arena, segment[NOTE_DEPTH].note, &reference) == NULL)
        return KIWI_NO_MEMORY;
    last[NOTE_NEXT].note = reference;
    return KIWI_OK;
}

static bool split_is_useful(const struct key_index *index, const struct key_group *segment)
{
    uint64_t average = index->key_count / (SPLIT_AT / 2) + 1;
    uint32_t depth_average = 64u - (uint32_t)__builtin_clzll(average);

    return segment[NOTE_NEXT].note == 0 && segment[NOTE_DEPTH].note < DEPTH_MAX
        && segment[NOTE_DEPTH].note < depth_average + DEPTH_SLACK;
}

enum kiwi_status key_index_prepare(struct key_index *index, struct arena *arena, uint32_t hash)
{
    struct key_group *segment = segment_of(index, hash);

    assert(index->arena == arena);
    while (UNLIKELY(segment[NOTE_COUNT].note >= SPLIT_AT)) {
        /* Without memory for a split, a longer chain does as well. */
        if (!split_is_useful(index, segment) || segment_split(index, arena, hash) != KIWI_OK)
            return chain_extend(index, arena, segment);
        segment = segment_of(index, hash);
    }
    return KIWI_OK;
}

void key_index_add(struct key_index *index, uint32_t hash, uint32_t record)
{
    struct key_group *segment = segment_of(index, hash);

    assert(record != 0);
    while (UNLIKELY(segment[NOTE_COUNT].note == SEGMENT_SLOTS)) {
        segment = segment_next(index, segment);
        assert(segment != NULL);
    }
    segment_add(segment, hash, record);
    index->key_count++;
}

/* ---- open and close ---- */

enum kiwi_status key_index_open(struct key_index *index, struct arena *arena,
                                uint64_t expected_keys)
{
    uint64_t count = 1;

    *index = (struct key_index){ .arena = arena };
    while (count * SPLIT_AT < expected_keys && index->depth < DEPTH_MAX) {
        count *= 2;
        index->depth++;
    }
    index->segments = memory_allocate(count * sizeof *index->segments);
    if (index->segments == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a directory of %" PRIu64 " segments", count);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t reference;

        index->segments[i] = segment_new(arena, index->depth, &reference);
        if (index->segments[i] == NULL)
            return KIWI_NO_MEMORY;
    }
    return KIWI_OK;
}

void key_index_close(struct key_index *index)
{
    memory_free(index->segments);
    *index = (struct key_index){ 0 };
}

uint64_t key_index_directory_bytes(const struct key_index *index)
{
    return sizeof *index->segments << index->depth;
}
