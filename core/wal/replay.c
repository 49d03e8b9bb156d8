/*
 * replay.c: reads the log back, group by group, and hands its appends on.
 *
 * The next group is looked for by its number: in the ring behind the one before, at the ring's
 * beginning, and in the tail. It must verify and name the checksum of the group before, so a group
 * of an older life that happens to stand at the right place is not taken. The first number that is
 * nowhere ends the log; settle.c decides whether that is a torn end or damage.
 */
#include <inttypes.h>

#include "core/base/memory.h"
#include "core/wal/wal_state.h"

struct replay {
    struct wal      *wal;      /* borrowed */
    struct window    window;
    struct findings  findings;
    bool             has_previous;   /* a group was found: the next must name it */
    uint64_t         sequence_after;
    uint64_t         sequence_seen;  /* of the last append read; 0: none */
    uint64_t         sequence_given; /* of the last append handed on; 0: none */
    uint64_t         entry_count;    /* handed on from the present group */
    struct entry    *entries;        /* owned; of one batch */
    uint32_t         entry_capacity;
    struct wal_part  parts[KIWI_SHARD_COUNT_MAX];
    enum kiwi_status (*visit)(void *context, const struct wal_replayed *record);
    void            *context;
};

/* A verified group header and where its records stand. */
struct group {
    const struct wal_group_header *header;
    const uint8_t *end;   /* of its records, as the header says */
    uint64_t       seed;
    uint64_t       first_sequence;
    const char    *path;  /* for texts: of the file it was found in */
    uint64_t       offset;
    uint32_t       length, record_count; /* out: what verified */
};

/* ---- records ---- */

static enum kiwi_status append_give(struct replay *replay, const struct group *group,
                                    const struct wal_replayed *append)
{
    uint64_t first = append->entries[0].sequence;
    uint64_t expected = max_u64(replay->sequence_seen, replay->sequence_after) + 1;

    assert(append->count > 0);
    if (first > expected)
        return FAIL(KIWI_CORRUPT, "%s: at offset %" PRIu64 " the log jumps from sequence %" PRIu64
                    " to %" PRIu64, group->path, group->offset, expected - 1, first);
    if (first <= replay->sequence_seen)
        return FAIL(KIWI_CORRUPT, "%s: at offset %" PRIu64 " the log falls back from sequence %"
                    PRIu64 " to %" PRIu64, group->path, group->offset, replay->sequence_seen,
                    first);
    replay->sequence_seen = first + append->count - 1;
    if (replay->sequence_seen <= replay->sequence_after)
        return KIWI_OK;
    replay->sequence_given = replay->sequence_seen;
    replay->entry_count += append->count;
    return replay->visit(replay->context, append);
}

static enum kiwi_status entries_reserve(struct replay *replay, uint32_t count)
{
    struct entry *entries;

    if (count <= replay->entry_capacity)
        return KIWI_OK;
    entries = memory_resize(replay->entries, count * sizeof *entries);
    if (entries == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory: %zu bytes to replay a batch",
                    count * sizeof *entries);
    replay->entries = entries;
    replay->entry_capacity = count;
    return KIWI_OK;
}

/* The entries of a batch, all or none. *next: NULL when one of them does not verify. */
static enum kiwi_status batch_give(struct replay *replay, const struct group *group,
                                   const struct wal_batch *batch, const uint8_t **next)
{
    const uint8_t    *at = *next;
    struct wal_record record;

    *next = NULL;
    if ((uint64_t)(group->end - at) / WAL_ENTRY_BYTES_MIN < batch->entry_count)
        return KIWI_OK;
    TRY(entries_reserve(replay, batch->entry_count));
    for (uint32_t i = 0; i < batch->entry_count; i++) {
        at = wal_record_decode(at, group->end, group->first_sequence, group->seed, &record);
        if (at == NULL || record.kind == WAL_BATCH || record.entry.sequence != batch->sequence + i)
            return KIWI_OK;
        replay->entries[i] = record.entry;
    }
    for (uint32_t i = 0; i < batch->part_count; i++) {
        const uint8_t *part = i == 0 ? batch->encoded_parts : *next;

        *next = wal_part_decode(part, &replay->parts[i]);
    }
    *next = at;
    return append_give(replay, group, &(struct wal_replayed){
        .entries = replay->entries,
        .count = batch->entry_count,
        .parts = replay->parts,
        .part_count = batch->part_count,
    });
}

/* Hands on the appends of a group up to the first that does not verify. */
static enum kiwi_status group_give(struct replay *replay, struct group *group)
{
    const uint8_t    *begin = (const uint8_t *)(group->header + 1);
    const uint8_t    *at = begin, *next;
    struct wal_record record;

    replay->entry_count = 0;
    while (at != group->end) {
        next = wal_record_decode(at, group->end, group->first_sequence, group->seed, &record);
        if (next == NULL)
            break;
        if (record.kind == WAL_BATCH) {
            TRY(batch_give(replay, group, &record.batch, &next));
            if (next == NULL)
                break;
            group->record_count += record.batch.entry_count;
        } else {
            TRY(append_give(replay, group, &(struct wal_replayed){ &record.entry, 1, NULL, 0 }));
        }
        at = next;
        group->record_count++;
        group->length = (uint32_t)(at - begin);
    }
    return KIWI_OK;
}

/* ---- finding a group ---- */

static bool is_wanted(const struct replay *replay, const struct wal_group_header *header)
{
    return le64_get(header->number) == replay->findings.next_number
        && (!replay->has_previous
            || le64_get(header->previous_checksum) == replay->findings.previous_checksum);
}

/* Behind the last group, or where the ring begins. *position: where it was found. */
static enum kiwi_status ring_find(struct replay *replay, const struct wal_group_header **out,
                                  uint64_t *position)
{
    const struct ring *ring = &replay->findings.ring;
    uint64_t           places[2] = { ring->next, ring_lap(ring) };

    for (uint32_t i = 0; i < (places[0] == places[1] ? 1u : 2u); i++) {
        uint64_t room = ring_room_at(ring, places[i], 0);

        if (room == 0)
            continue;
        TRY(window_group(&replay->window, wal_ring_offset(replay->wal, places[i]),
                         replay->findings.next_number, out));
        if (*out != NULL && is_wanted(replay, *out)
            && wal_group_bytes(le32_get((*out)->length)) <= room) {
            *position = places[i];
            return KIWI_OK;
        }
    }
    *out = NULL;
    return KIWI_OK;
}

/* Groups in the tail count only when they are of the life that ended last. */
static const struct wal_group_header *tail_find(const struct replay *replay, bool *is_open)
{
    const struct wal *wal = replay->wal;

    for (uint64_t at = 0; at < wal->tail.bytes; at += WAL_PAGE_BYTES) {
        const struct wal_group_header *header = (const void *)(wal->tail_address + at);
        uint64_t bytes_max = wal->tail.bytes - at;

        if (le64_get(header->log_id) < wal->log_id || !is_wanted(replay, header))
            continue;
        *is_open = wal_group_is_open(header, &wal->identity, bytes_max);
        if (*is_open || wal_group_is_closed(header, &wal->identity, bytes_max))
            return header;
    }
    return NULL;
}

/* ---- one group after the other ---- */

static struct group group_of(const struct replay *replay, const struct wal_group_header *header)
{
    const struct wal *wal = replay->wal;

    return (struct group){
        .header = header,
        .end = (const uint8_t *)(header + 1) + le32_get(header->length),
        .seed = wal_seed(wal->identity.identity, wal->shard, le64_get(header->log_id)),
        .first_sequence = le64_get(header->first_sequence),
    };
}

/* Keeps what a found group says about the log. bytes: what it takes in the ring at position. */
static void group_note(struct replay *replay, const struct group *group, uint64_t position)
{
    const struct wal_group_header *header = group->header;
    struct findings *findings = &replay->findings;

    if (group->record_count > 0)
        findings->data_group = findings->next_number;
    findings->is_sealed = header->kind == WAL_GROUP_SEAL
        && le64_get(header->log_id) >= replay->wal->log_id && !replay->wal->life_is_damaged;
    findings->previous_checksum = le64_get(header->checksum);
    findings->ring.next = position + wal_group_bytes(group->length);
    findings->next_number++;
    replay->has_previous = true;
}

/* A closed group: its checksum holds, so all of its records must. */
static enum kiwi_status closed_replay(struct replay *replay, struct group *group,
                                      uint64_t position)
{
    const struct wal_group_header *header = group->header;

    TRY(group_give(replay, group));
    if (group->length != le32_get(header->length)
        || group->record_count != le32_get(header->record_count))
        return FAIL(KIWI_CORRUPT, "%s: group %" PRIu64 " at offset %" PRIu64 " verifies, but its "
                    "record at %" PRIu32 " of %" PRIu32 " bytes does not", group->path,
                    le64_get(header->number), group->offset, group->length,
                    le32_get(header->length));
    replay->findings.mark_group = max_u64(replay->findings.mark_group,
                                          le64_get(header->durable_group));
    group_note(replay, group, position);
    replay->findings.whole_number = replay->findings.next_number;
    return KIWI_OK;
}

static enum kiwi_status rescue_add(struct replay *replay, const struct group *group,
                                   uint64_t position)
{
    struct findings *findings = &replay->findings;

    if (findings->rescue_count == findings->rescue_capacity) {
        uint32_t       capacity = 2 * findings->rescue_capacity + 16;
        struct rescue *rescues = memory_resize(findings->rescues, capacity * sizeof *rescues);

        if (rescues == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory: %zu bytes to replay a log's tail",
                        capacity * sizeof *rescues);
        findings->rescues = rescues;
        findings->rescue_capacity = capacity;
    }
    if (findings->rescue_count == 0)
        findings->scan_position = findings->ring.next;
    findings->rescues[findings->rescue_count++] = (struct rescue){
        .header = group->header,
        .position = position,
        .length = group->length,
        .record_count = group->record_count,
    };
    return KIWI_OK;
}

/* A group that only the tail has. */
static enum kiwi_status tail_replay(struct replay *replay, struct group *group, bool is_open,
                                    struct wal_recovery *out)
{
    struct findings *findings = &replay->findings;
    uint64_t         position = findings->ring.next;

    if (is_open) {
        TRY(group_give(replay, group));
        if (group->record_count == 0)
            return KIWI_OK;
    }
    position = ring_place(&findings->ring,
                          wal_group_bytes(is_open ? group->length
                                                  : le32_get(group->header->length)), 0);
    if (position == RING_NOWHERE)
        return FAIL(KIWI_CORRUPT, "%s: group %" PRIu64 " at offset %" PRIu64 " has no place in "
                    "the ring of %" PRIu64 " bytes", group->path, findings->next_number,
                    group->offset, findings->ring.bytes);
    if (is_open) {
        TRY(rescue_add(replay, group, position));
        group_note(replay, group, position);
        findings->last_is_open = true;
    } else {
        struct group whole = *group;

        whole.length = le32_get(group->header->length);
        whole.record_count = le32_get(group->header->record_count);
        TRY(rescue_add(replay, &whole, position));
        TRY(closed_replay(replay, group, position));
    }
    out->tail_record_count += replay->entry_count;
    return KIWI_OK;
}

static enum kiwi_status groups_replay(struct replay *replay, struct wal_recovery *out)
{
    struct findings *findings = &replay->findings;
    struct wal      *wal = replay->wal;

    while (!findings->last_is_open) {
        const struct wal_group_header *header = NULL;
        uint64_t     position = 0, number = findings->next_number;
        bool         is_open = false;
        struct group group;

        TRY(ring_find(replay, &header, &position));
        if (header == NULL) {
            /* Once more, lest one bad transfer end the log here. */
            window_forget(&replay->window);
            TRY(ring_find(replay, &header, &position));
        }
        if (header != NULL) {
            group = group_of(replay, header);
            group.path = io_file_path(wal->ring_file);
            group.offset = wal_ring_offset(wal, position);
            TRY(closed_replay(replay, &group, position));
            findings->places[number % ARRAY_COUNT(findings->places)] =
                (struct ring_place){ number, position };
            out->group_count++;
            out->record_count += replay->entry_count;
            out->byte_count += wal_group_bytes(group.length);
            continue;
        }
        header = tail_find(replay, &is_open);
        if (header == NULL)
            break;
        group = group_of(replay, header);
        group.path = io_file_path(wal->tail_file);
        group.offset = (uint64_t)((const uint8_t *)header - wal->tail_address);
        TRY(tail_replay(replay, &group, is_open, out));
        if (findings->next_number == number)
            break;
    }
    if (findings->rescue_count == 0)
        findings->scan_position = findings->ring.next;
    return KIWI_OK;
}

/* ---- the door ---- */

static enum kiwi_status position_check(const struct wal *wal, struct wal_position position)
{
    if (position.group == 0 || position.offset < WAL_HEADER_BYTES
        || position.offset % WAL_PAGE_BYTES != 0
        || (position.offset - WAL_HEADER_BYTES >= wal->ring.bytes && wal->ring_file != NULL))
        return FAIL(KIWI_CORRUPT, "%s: cannot replay from group %" PRIu64 " at offset %" PRIu64,
                    io_file_path(wal->ring_file), position.group, position.offset);
    return KIWI_OK;
}

/* A new log where a manifest remembers groups or flushed writes: the old one is missing. Takes the
 * new one away, so that it cannot pass for the old one the next time. */
static enum kiwi_status new_log_check(struct wal *wal, struct wal_position position,
                                      uint64_t sequence_after)
{
    enum kiwi_status status;

    if (position.group == 1 && position.offset == WAL_HEADER_BYTES && sequence_after == 0)
        return KIWI_OK;
    if (wal->is_read_only)
        return FAIL(KIWI_CORRUPT, "the log is missing, and group %" PRIu64 " should be in it",
                    position.group);
    status = io_remove(wal->io, io_file_path(wal->ring_file));
    if (status != KIWI_OK && status != KIWI_NOT_FOUND)
        return status;
    return FAIL(KIWI_CORRUPT, "%s was missing, and group %" PRIu64 " should be in it",
                io_file_path(wal->ring_file), position.group);
}

/* What replay took for zeros may be what the medium does not give. */
static enum kiwi_status tail_check(const struct wal *wal)
{
    if (!atomic_load_explicit(&wal->tail_is_lost, memory_order_relaxed))
        return KIWI_OK;
    return FAIL(KIWI_IO, "%s cannot be read: the file system does not give a page of it",
                io_file_path(wal->tail_file));
}

/* The log behind the last group: empty, everything in it on stable media. */
static void log_go_on(struct wal *wal, const struct replay *replay, uint64_t first_group)
{
    const struct findings *findings = &replay->findings;

    wal->ring = findings->ring;
    wal->trimmed = findings->ring.low;
    wal->trimmed_group = first_group;
    wal->tail.low = wal->tail.next = 0;
    wal->next_number = wal->oldest = wal->next_out = findings->next_number;
    wal->previous_checksum = findings->previous_checksum;
    wal->mark_group = findings->mark_group;
    wal->data_group = findings->data_group;
    wal->appended_sequence = max_u64(replay->sequence_seen, replay->sequence_after);
    wal->durable_sequence = wal->cut_sequence = wal->appended_sequence;
    wal->recovered_sequence = wal->appended_sequence;
    wal->seed = wal_seed(wal->identity.identity, wal->shard, wal->log_id);
    wal->is_ready = true;
}

enum kiwi_status wal_recover(struct wal *wal, struct wal_position position,
                             uint64_t sequence_after,
                             enum kiwi_status (*visit)(void *context,
                                                       const struct wal_replayed *record),
                             void *context, struct wal_recovery *out)
{
    uint64_t      start = position.offset - WAL_HEADER_BYTES;
    struct replay replay = {
        .wal = wal,
        .sequence_after = sequence_after,
        .visit = visit,
        .context = context,
        .findings = {
            .ring = { .bytes = wal->ring.bytes, .low = start, .next = start },
            .next_number = position.group,
            .whole_number = position.group,
        },
    };
    enum kiwi_status status;

    assert(wal->appended_sequence == 0 && wal->next_number == 1);
    *out = (struct wal_recovery){ 0 };
    TRY(position_check(wal, position));
    if (wal->is_new)
        TRY(new_log_check(wal, position, sequence_after));
    window_open(&replay.window, wal);
    if (!wal->is_new) {
        if ((status = groups_replay(&replay, out)) != KIWI_OK) goto done;
        if ((status = tail_check(wal)) != KIWI_OK) goto done; /* nothing was changed yet */
        if ((status = wal_settle(wal, &replay.window, &replay.findings)) != KIWI_OK) goto done;
    }
    log_go_on(wal, &replay, position.group);
    out->sequence_last = replay.sequence_given;
    out->was_sealed = replay.findings.is_sealed;
    out->leftover_count = replay.findings.leftover_count;
    status = KIWI_OK;
done:
    window_close(&replay.window);
    memory_free(replay.entries);
    memory_free(replay.findings.rescues);
    return status;
}
