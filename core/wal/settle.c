/*
 * settle.c: decides whether the log's end is torn or damaged, and makes the end final.
 *
 * Every group carries the number up to which all groups were durable when it was closed. A group
 * that is not there, at or below the highest such mark, was lost by the device: damage. Above it,
 * the group was never acknowledged as durable: a torn end, and groups found beyond it are leftovers
 * (Alagappan et al., Protocol-Aware Recovery, FAST 2018, tell the two apart by the same means).
 *
 * Leftovers are erased before a new life begins. They could not be mistaken for successors of new
 * groups, which they do not name, but a later replay may begin at a number that a leftover has.
 */
#include <inttypes.h>

#include "core/base/memory.h"
#include "core/wal/wal_state.h"

struct leftovers {
    uint64_t offsets[WAL_SLOT_COUNT];
    uint32_t count;
};

/* Reads what replay has not, up to where it began, for groups that are not part of the log. */
static enum kiwi_status ring_scan(struct wal *wal, struct window *window,
                                  struct findings *findings, struct leftovers *leftovers)
{
    uint64_t end = findings->ring.low + findings->ring.bytes;

    for (uint64_t at = findings->scan_position; at < end; at += WAL_PAGE_BYTES) {
        uint64_t                       offset = wal_ring_offset(wal, at);
        const struct wal_group_header *header;

        TRY(window_group(window, offset, findings->whole_number, &header));
        if (header == NULL)
            continue;
        findings->mark_group = max_u64(findings->mark_group, le64_get(header->durable_group));
        if (leftovers->count == WAL_SLOT_COUNT)
            return FAIL(KIWI_CORRUPT, "%s: group %" PRIu64 " is damaged or missing, but more than "
                        "%u later ones are there", io_file_path(wal->ring_file),
                        findings->whole_number, WAL_SLOT_COUNT);
        leftovers->offsets[leftovers->count++] = offset;
    }
    return KIWI_OK;
}

/* Marks in the tail are as good as those in the ring, also those of a group that is still open: a
 * ring that was put back as it was long ago has no group that would tell. An open group's checksum
 * does not cover its mark; no sound one reaches its own number, and below it a damaged one does no
 * harm where the ring is whole. */
static void tail_scan(const struct wal *wal, struct findings *findings)
{
    for (uint64_t at = 0; at < wal->tail.bytes; at += WAL_PAGE_BYTES) {
        const struct wal_group_header *header = (const void *)(wal->tail_address + at);

        if (le64_get(header->number) >= findings->whole_number
            && le64_get(header->log_id) >= wal->log_id
            && le64_get(header->durable_group) < le64_get(header->number)
            && (wal_group_is_closed(header, &wal->identity, wal->tail.bytes - at)
                || wal_group_is_open(header, &wal->identity, wal->tail.bytes - at)))
            findings->mark_group = max_u64(findings->mark_group,
                                           le64_get(header->durable_group));
    }
}

static enum kiwi_status leftovers_erase(struct wal *wal, const struct leftovers *leftovers)
{
    uint8_t         *zeros;
    enum kiwi_status status = KIWI_OK;

    if (leftovers->count == 0)
        return KIWI_OK;
    zeros = memory_allocate_aligned(WAL_PAGE_BYTES, WAL_PAGE_BYTES);
    if (zeros == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory: %u bytes to settle a log", WAL_PAGE_BYTES);
    memset(zeros, 0, WAL_PAGE_BYTES);
    for (uint32_t i = 0; i < leftovers->count && status == KIWI_OK; i++)
        status = io_file_write(wal->ring_file, zeros, WAL_PAGE_BYTES, leftovers->offsets[i]);
    memory_free(zeros);
    return status;
}

/* Copies a group from the tail into the ring; one that was open is closed on the way, in the copy,
 * so that the tail stays what it is until the ring has everything. */
static enum kiwi_status rescue_write(struct wal *wal, struct findings *findings,
                                     const struct rescue *rescue, bool is_open)
{
    uint64_t                 used = sizeof *rescue->header + rescue->length;
    uint64_t                 bytes = wal_group_bytes(rescue->length);
    struct wal_group_header *header = memory_allocate_aligned(bytes, WAL_PAGE_BYTES);
    enum kiwi_status         status;

    if (header == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory: %" PRIu64 " bytes to settle a log", bytes);
    memcpy(header, rescue->header, used);
    memset((uint8_t *)header + used, 0, bytes - used);
    if (is_open) {
        uint64_t seed = wal_seed(wal->identity.identity, wal->shard, le64_get(header->log_id));

        header->length = le32_of(rescue->length);
        header->record_count = le32_of(rescue->record_count);
        header->durable_group = le64_of(findings->mark_group);
        header->checksum = le64_of(wal_group_checksum(header, seed));
        findings->previous_checksum = le64_get(header->checksum);
    }
    status = io_file_write(wal->ring_file, header, bytes,
                           wal_ring_offset(wal, rescue->position));
    memory_free(header);
    return status;
}

/* Groups above the mark may stand in a cache only: a sync that should have covered them has failed,
 * in this process or one before. The next one succeeds and they are lost all the same (Rebello et
 * al., ATC'20), so they are written again, the same bytes to the same place. */
static enum kiwi_status ring_harden(struct wal *wal, struct window *window,
                                    const struct findings *findings)
{
    for (uint64_t number = findings->mark_group + 1; number < findings->next_number; number++) {
        const struct ring_place *place = &findings->places[number % ARRAY_COUNT(findings->places)];
        uint64_t                 offset = wal_ring_offset(wal, place->position);
        const struct wal_group_header *header;

        if (place->number != number)
            continue; /* of the tail: it will be written, or longer ago than anything not durable */
        TRY(window_group(window, offset, number, &header));
        if (header == NULL || le64_get(header->number) != number)
            return FAIL(KIWI_CORRUPT, "%s: group %" PRIu64 ", read a moment ago, is not there, at "
                        "offset %" PRIu64, io_file_path(wal->ring_file), number, offset);
        TRY(io_file_write(wal->ring_file, header, wal_group_bytes(le32_get(header->length)),
                          offset));
    }
    return KIWI_OK;
}

enum kiwi_status wal_settle(struct wal *wal, struct window *window, struct findings *findings)
{
    struct leftovers leftovers = { .count = 0 };
    /* The damaged slot may have held the life after the newest known. */
    uint64_t life_step = wal->life_is_damaged ? 2 : 1;

    if (!findings->is_sealed)
        TRY(ring_scan(wal, window, findings, &leftovers));
    tail_scan(wal, findings);
    if (findings->mark_group >= findings->whole_number)
        return FAIL(KIWI_CORRUPT, "%s: group %" PRIu64 ", expected at offset %" PRIu64
                    ", is damaged or missing, but all to %" PRIu64 " were durable",
                    io_file_path(wal->ring_file), findings->whole_number,
                    wal_ring_offset(wal, findings->scan_position), findings->mark_group);
    if (wal->is_read_only)
        return KIWI_OK;
    TRY(ring_harden(wal, window, findings));
    TRY(leftovers_erase(wal, &leftovers));
    findings->leftover_count = leftovers.count;
    for (uint32_t i = 0; i < findings->rescue_count; i++)
        TRY(rescue_write(wal, findings, &findings->rescues[i],
                         findings->last_is_open && i + 1 == findings->rescue_count));
    /* The new life makes the tail void. Its one sync covers all that was written before, also
     * groups that the dead process wrote and nobody saw finished. Should the power go before it is
     * done, what only the tail had may be lost, as it would have been without this recovery. */
    return wal_life_begin(wal, wal->log_id + life_step);
}
