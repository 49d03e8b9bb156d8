/*
 * record_log.c: appending, dropping, and reclaiming from the oldest end.
 */
#include "cache/record_log.h"

#define PREFETCH_AHEAD 3u /* records */

static uint32_t record_size(size_t key_bytes, size_t value_bytes)
{
    return (uint32_t)round_up_u64(RECORD_HEADER_BYTES + key_bytes + value_bytes, RECORD_UNIT);
}

static uint32_t record_size_of(const struct record *record)
{
    return record_size(record->key_bytes, record_value_bytes(record));
}

static uint32_t owner_hash32(void *context, uint32_t reference)
{
    return record_at(context, reference)->hash32;
}

static void owner_prefetch(void *context, uint32_t reference)
{
    __builtin_prefetch(record_at(context, reference));
}

static struct segment *segment_of(const struct record_log *log, uint32_t reference)
{
    return log->pool->segments[reference >> log->segment_shift];
}

/* The index entry is gone: its bytes are worth nothing now. */
static void record_kill(struct record_log *log, uint32_t reference)
{
    struct segment *segment = segment_of(log, reference);
    uint32_t        bytes = record_size_of(record_at(log, reference));

    assert(log->live_bytes >= bytes);
    log->live_bytes -= bytes;
    segment_note_dead(&log->runs[segment->part].list, segment, bytes);
}

static void owner_forget(void *context, uint32_t reference)
{
    struct record_log *log = context;

    record_kill(log, reference);
    log->evictions++;
}

void record_log_open(struct record_log *log, struct segment_pool *pool)
{
    struct index_owner owner = { log, owner_hash32, owner_prefetch, owner_forget };
    uint32_t           units = pool->segment_bytes / RECORD_UNIT;

    *log = (struct record_log){ .pool = pool };
    log->segment_shift = (uint32_t)__builtin_ctz(units);
    log->unit_mask = units - 1;
    index_open(&log->index, pool, owner);
}

void record_log_close(struct record_log *log)
{
    if (log->pool == NULL)
        return;
    index_close(&log->index);
    for (int part = 0; part < RECORD_PART_COUNT; part++) {
        struct record_run *run = &log->runs[part];

        if (run->victim != NULL)
            segment_give(log->pool, run->victim);
        for (struct segment *segment; (segment = run->list.oldest) != NULL;) {
            segment_list_remove(&run->list, segment);
            segment_give(log->pool, segment);
        }
    }
    ghost_close(&log->ghost);
}

static uint64_t run_bytes(const struct record_run *run)
{
    return run->list.bytes + (run->victim == NULL ? 0 : run->victim->bytes);
}

uint64_t record_log_bytes(const struct record_log *log)
{
    return run_bytes(&log->runs[RECORD_SMALL]) + run_bytes(&log->runs[RECORD_MAIN]);
}

uint64_t record_log_mean_bytes(const struct record_log *log)
{
    return log->index.count == 0 ? 128 : log->live_bytes / log->index.count;
}

/* Gives a segment back once nothing in it lives; the head stays. */
static void segment_release_if_dead(struct record_log *log, struct segment *segment)
{
    struct record_run *run = &log->runs[segment->part];

    if (segment->dead < segment->used || segment == run->head || segment == run->victim)
        return;
    segment_list_remove(&run->list, segment);
    segment_give(log->pool, segment);
}

static struct index_place place_of(const struct record_log *log, const struct record_key *key)
{
    struct record_match match = { log, key };

    return index_find(&log->index, key->hash, record_matches, &match);
}

static void place_drop(struct record_log *log, const struct record_key *key,
                       struct index_place place)
{
    uint32_t reference = place.line->references[place.slot];

    index_remove(&log->index, (uint32_t)key->hash, place);
    record_kill(log, reference);
    segment_release_if_dead(log, segment_of(log, reference));
}

void record_log_drop(struct record_log *log, const struct record_key *key)
{
    if (log->index.count == 0)
        return;
    struct index_place place = place_of(log, key);

    if (UNLIKELY(place.line != NULL))
        place_drop(log, key, place);
}

/* ---- appending ---- */

static bool head_has(const struct record_run *run, uint32_t bytes)
{
    return run->head != NULL && run->head->used + bytes <= run->head->bytes;
}

/* Room for bytes at the head. spare: free segments to leave for others. */
static bool head_prepare(struct record_log *log, enum record_part part, uint32_t bytes,
                         uint32_t spare)
{
    struct record_run *run = &log->runs[part];
    struct segment    *segment;

    if (LIKELY(head_has(run, bytes)))
        return true;
    if ((segment = segment_take(log->pool, spare)) == NULL)
        return false;
    if (segment->id >= 1u << (32 - log->segment_shift)) { /* beyond what a reference can name */
        segment_give(log->pool, segment);
        return false;
    }
    segment->owner = LOG_RECORD;
    segment->part = (uint8_t)part;
    segment_list_append(&run->list, segment);
    run->head = segment;
    return true;
}

static struct record *head_append(struct record_log *log, enum record_part part, uint32_t bytes,
                                  uint32_t *out_reference)
{
    struct record_run *run = &log->runs[part];

    assert(head_has(run, bytes));
    assert(bytes % RECORD_UNIT == 0);
    *out_reference = record_reference(log, run->head, run->head->used);
    run->head->used += bytes;
    log->live_bytes += bytes;
    return record_at(log, *out_reference);
}

static void record_fill(struct record *record, const struct record_key *key, struct bytes value,
                        uint64_t sequence)
{
    uint8_t *data = (uint8_t *)(record + 1);

    assert(sequence < 1ull << 56);
    assert(value.size < 1u << 24);
    record->sequence_and_size = sequence | (uint64_t)(value.size >> 16) << 56;
    record->hash32 = (uint32_t)key->hash;
    record->key_bytes = (uint16_t)key->key.size;
    record->value_bytes_low = (uint16_t)value.size;
    if (key->key.size > 0)
        memcpy(data, key->key.data, key->key.size);
    if (value.size > 0)
        memcpy(data + key->key.size, value.data, value.size);
}

void record_log_write(struct record_log *log, const struct record_key *key, struct bytes value,
                      uint64_t sequence)
{
    if (log->index.count == 0)
        return;
    struct index_place place = place_of(log, key);

    if (place.line == NULL)
        return;
    struct record *record = record_at(log, place.line->references[place.slot]);

    assert(record_sequence(record) < sequence);
    if (LIKELY(record_size_of(record) == record_size(key->key.size, value.size)))
        record_fill(record, key, value, sequence);
    else
        place_drop(log, key, place);
}

/* A newer version of a record that is there already. */
static bool record_replace(struct record_log *log, const struct record_key *key,
                           struct index_place place, struct bytes value, uint64_t sequence)
{
    uint32_t         old = place.line->references[place.slot], reference;
    uint32_t         bytes = record_size(key->key.size, value.size);
    enum record_part part = (enum record_part)segment_of(log, old)->part;

    if (record_sequence(record_at(log, old)) >= sequence)
        return true;
    if (!head_prepare(log, part, bytes, 1)) {
        index_remove(&log->index, (uint32_t)key->hash, place); /* rather none than a stale one */
        record_kill(log, old);
        return false;
    }
    record_fill(head_append(log, part, bytes, &reference), key, value, sequence);
    place.line->references[place.slot] = reference;
    record_kill(log, old);
    segment_release_if_dead(log, segment_of(log, old));
    return true;
}

bool record_log_insert(struct record_log *log, const struct record_key *key, struct bytes value,
                       uint64_t sequence)
{
    uint32_t         bytes = record_size(key->key.size, value.size);
    enum record_part part = RECORD_SMALL;
    uint32_t         reference;

    if (bytes > log->pool->segment_bytes / 4 || key->key.size > UINT16_MAX)
        return true; /* never kept: it would push out too much */
    struct index_place place = place_of(log, key);

    if (place.line != NULL)
        return record_replace(log, key, place, value, sequence);
    if (ghost_take(&log->ghost, (uint32_t)key->hash)) {
        log->ghost_hits++;
        part = RECORD_MAIN;
    }
    if (!head_prepare(log, part, bytes, 1))
        return false;
    record_fill(head_append(log, part, bytes, &reference), key, value, sequence);
    if (!index_insert(&log->index, key->hash, reference)) {
        log->runs[part].head->used -= bytes; /* nothing refers to it */
        log->live_bytes -= bytes;
        return false;
    }
    log->inserts++;
    return true;
}

/* ---- reclaiming ---- */

static bool victim_choose(struct record_log *log, struct record_run *run)
{
    struct segment *victim = segment_list_victim(&run->list, run->head, log->pool->segment_bytes,
                                                 &run->victim_keeps_all);

    if (victim == NULL)
        return false;
    if (victim == run->head)
        run->head = NULL;
    run->victim = victim;
    run->victim_at = 0;
    return true;
}

static void victim_give(struct record_log *log, struct record_run *run)
{
    struct segment *victim = run->victim;

    assert(victim->dead == victim->used);
    run->victim = NULL;
    segment_give(log->pool, victim);
}

/* Which part a record goes to when its turn has come; RECORD_PART_COUNT: away. */
static enum record_part record_destination(const struct record_run *run, uint32_t frequency)
{
    enum record_part part = (enum record_part)run->victim->part;

    if (run->victim_keeps_all)
        return part;
    return frequency > 0 ? RECORD_MAIN : RECORD_PART_COUNT;
}

/* One record at the victim's front. Returns the bytes it frees. */
static uint32_t victim_step(struct record_log *log, struct record_run *run, bool force)
{
    uint32_t           reference = record_reference(log, run->victim, run->victim_at);
    struct record     *record = record_at(log, reference);
    uint32_t           bytes = record_size_of(record), copied_reference;
    struct index_place place = index_locate(&log->index, record->hash32, reference);

    run->victim_at += bytes;
    assert(run->victim_at <= run->victim->used);
    if (place.line == NULL)
        return bytes; /* dropped or replaced: dead already */
    uint32_t         frequency = index_frequency(place);
    enum record_part part = force ? RECORD_PART_COUNT : record_destination(run, frequency);

    if (part != RECORD_PART_COUNT && head_prepare(log, part, bytes, 0)) {
        memcpy(head_append(log, part, bytes, &copied_reference), record, bytes);
        place.line->references[place.slot] = copied_reference;
        if (!run->victim_keeps_all)
            index_frequency_set(place, run->victim->part == RECORD_SMALL ? 0 : frequency - 1);
        record_kill(log, reference);
        return 0;
    }
    index_remove(&log->index, record->hash32, place);
    record_kill(log, reference);
    ghost_add(&log->ghost, record->hash32);
    log->evictions++;
    return bytes;
}

/* The lines of the next records come from memory while this one is worked on. */
static void victim_prefetch(const struct record_log *log, const struct record_run *run)
{
    uint32_t at = run->victim_at;

    for (uint32_t i = 0; i < PREFETCH_AHEAD && at < run->victim->used; i++) {
        const struct record *record = record_at(log, record_reference(log, run->victim, at));

        if (i + 1 == PREFETCH_AHEAD)
            __builtin_prefetch(index_home(&log->index, record->hash32));
        at += record_size_of(record);
    }
}

bool record_log_is_reclaiming(const struct record_log *log)
{
    return log->runs[RECORD_SMALL].victim != NULL || log->runs[RECORD_MAIN].victim != NULL;
}

/* What was begun is ended first: only a whole segment is of use to others. */
static struct record_run *run_choose(struct record_log *log)
{
    if (record_log_is_reclaiming(log))
        return log->runs[RECORD_SMALL].victim != NULL ? &log->runs[RECORD_SMALL]
                                                      : &log->runs[RECORD_MAIN];

    uint64_t small = run_bytes(&log->runs[RECORD_SMALL]);
    uint64_t main_bytes = run_bytes(&log->runs[RECORD_MAIN]);

    return main_bytes == 0 || small * SHARE_ONE > (small + main_bytes) * SMALL_SHARE
             ? &log->runs[RECORD_SMALL]
             : &log->runs[RECORD_MAIN];
}

bool record_log_reclaim(struct record_log *log, uint64_t *debt, uint32_t *items, bool force)
{
    struct record_run *run = run_choose(log);

    if (run->victim == NULL && !victim_choose(log, run))
        return false;
    while (run->victim_at < run->victim->used && *debt > 0 && *items > 0) {
        victim_prefetch(log, run);
        *debt -= min_u64(*debt, victim_step(log, run, force));
        --*items;
    }
    if (run->victim_at == run->victim->used)
        victim_give(log, run);
    return true;
}

void record_log_vacate(struct record_log *log, struct segment *segment)
{
    struct record_run *run = &log->runs[segment->part];
    uint32_t           at = 0;

    if (segment == run->victim) {
        at = run->victim_at;
        run->victim = NULL;
    } else {
        segment_list_remove(&run->list, segment);
        if (segment == run->head)
            run->head = NULL;
    }
    while (at < segment->used) {
        uint32_t           reference = record_reference(log, segment, at);
        struct record     *record = record_at(log, reference);
        struct index_place place = index_locate(&log->index, record->hash32, reference);

        at += record_size_of(record);
        if (place.line == NULL)
            continue;
        index_remove(&log->index, record->hash32, place);
        record_kill(log, reference);
        log->evictions++;
    }
    segment_give(log->pool, segment);
}
