/*
 * wal.c: appends to the open group, and groups on their way to the device and back.
 *
 *   open ──close──► closed ──hand out──► out ──given back──► done ──all before done──► durable
 *
 * The open group stands in the mapped tail. Its header carries a running length, stored after the
 * bytes of an append, so that after the death of the process the tail is read record by record.
 * Beginning and closing a group change the header in an order that leaves it readable, or plainly
 * invalid with nothing in it, after every single store.
 */
#include "core/base/memory.h"
#include "core/wal/wal_state.h"

static_assert(WAL_SLOT_COUNT > WAL_GROUPS_IN_FLIGHT, "groups wait behind those in flight");
static_assert(offsetof(struct wal_group_header, record_count)
                  == offsetof(struct wal_group_header, length) + 4,
              "one store publishes both");

#define ONE_RECORD      (1ull << 32) /* one more in the word of length and record_count */
#define GROUP_BYTES_MAX (1ull << 30) /* of one device request */
#define TIGHT_EIGHTHS   7u           /* of tail or ring in use */
#define TIGHT_SLOTS     2u

/* Everything stored before is in memory, and so in the tail, before value is: x86 and the rules of
 * the compiler keep the order, and the dying process cannot lose what it has stored. */
static inline void store_in_order(void *field, uint64_t value)
{
    __atomic_store_n((uint64_t *)field, value, __ATOMIC_RELEASE);
}

/* The file system has lost a page of the tail: what stands there dies with the process, or is gone
 * already, so the log is over. To be looked at behind a store, before that store counts. */
static inline bool tail_is_lost(const struct wal *wal)
{
    atomic_signal_fence(memory_order_seq_cst);
    return UNLIKELY(atomic_load_explicit(&wal->tail_is_lost, memory_order_relaxed));
}

static inline uint64_t *length_word(struct wal_group_header *header)
{
    return (uint64_t *)(void *)&header->length;
}

/* ---- sizes ---- */

/* The open group is closed by itself at this size. */
static uint64_t tail_group_bytes_max(const struct wal *wal)
{
    uint64_t bytes = min_u64(wal->tail.bytes / 2, wal->ring.bytes / 4);

    return min_u64(WAL_GROUP_BYTES_MAX, bytes / WAL_PAGE_BYTES * WAL_PAGE_BYTES);
}

/* Appends above become groups of their own, outside the tail. */
static uint64_t tail_append_bytes_max(const struct wal *wal)
{
    return min_u64(WAL_LARGE_BYTES, tail_group_bytes_max(wal) / 2);
}

static uint64_t append_bound(const struct wal_append *append)
{
    uint64_t bytes = wal_batch_bound(append->part_count);

    for (uint32_t i = 0; i < append->count; i++)
        bytes += wal_entry_bound(&append->entries[i]);
    return bytes;
}

/* ---- slots ---- */

static struct wal_slot *slot_of(struct wal *wal, uint64_t number)
{
    return &wal->slots[number % WAL_SLOT_COUNT];
}

static uint64_t slots_free(const struct wal *wal)
{
    assert(wal->next_number - wal->oldest <= WAL_SLOT_COUNT);
    return WAL_SLOT_COUNT - (wal->next_number - wal->oldest);
}

static void ring_low_update(struct wal *wal)
{
    wal->ring.low = wal->trimmed;
    if (wal->oldest != wal->next_number)
        wal->ring.low = min_u64(wal->trimmed, slot_of(wal, wal->oldest)->position);
}

static void tail_low_update(struct wal *wal)
{
    for (uint64_t number = wal->oldest; number != wal->next_number; number++) {
        const struct wal_slot *slot = slot_of(wal, number);

        if (slot->heap == NULL) {
            wal->tail.low = slot->tail_position;
            return;
        }
    }
    if (wal->open != NULL)
        wal->tail.low = wal->open_tail_position;
    else /* From the beginning again: those pages are the warmest. */
        wal->tail.low = wal->tail.next = 0;
}

/* ---- beginning and closing a group ---- */

static void header_begin(const struct wal *wal, struct wal_group_header *header,
                         enum wal_group_kind kind, uint64_t first_sequence)
{
    *header = (struct wal_group_header){
        .magic = le32_of(WAL_GROUP_MAGIC),
        .version = WAL_VERSION,
        .kind = (uint8_t)kind,
        .shard = le16_of((uint16_t)wal->shard),
        .log_id = le64_of(wal->log_id),
        .number = le64_of(wal->next_number),
        .first_sequence = le64_of(first_sequence),
        .durable_group = le64_of(wal->oldest - 1), /* known already; the tail alone may tell it */
        .previous_checksum = le64_of(wal->previous_checksum),
    };
    store_in_order(&header->checksum, wal_group_open_checksum(header, wal->seed));
}

/* Turns an open group into a closed one, into its slot. position: of the ring. */
static struct wal_slot *group_close(struct wal *wal, struct wal_group_header *header,
                                    uint64_t position, uint64_t sequence_last)
{
    struct wal_slot *slot = slot_of(wal, wal->next_number);
    uint64_t         used = sizeof *header + le32_get(header->length);
    uint64_t         bytes = wal_group_bytes(le32_get(header->length));
    uint64_t         checksum;

    assert(slots_free(wal) > 0);
    assert(slot->state == SLOT_FREE);
    memset((uint8_t *)header + used, 0, bytes - used);
    header->durable_group = le64_of(wal->oldest - 1);
    checksum = wal_group_checksum(header, wal->seed);
    store_in_order(&header->checksum, checksum);
    wal->previous_checksum = checksum;
    *slot = (struct wal_slot){
        .group = {
            .request = {
                .file = wal->ring_file,
                .buffer = header,
                .offset = wal_ring_offset(wal, position),
                .bytes = (uint32_t)bytes,
                .verb = IO_WRITE_SYNC,
                .class_of_service = IO_CLASS_LOG,
            },
            .number = wal->next_number,
            .sequence_last = sequence_last,
        },
        .state = SLOT_CLOSED,
        .has_records = le32_get(header->record_count) != 0,
        .position = position,
        .bytes = bytes,
        .durable_group = wal->oldest - 1,
    };
    ring_take(&wal->ring, position, bytes);
    wal->next_number++;
    wal->cut_sequence = sequence_last;
    ring_low_update(wal);
    return slot;
}

static void open_forget(struct wal *wal)
{
    wal->open = NULL;
    wal->cursor = NULL;
    wal->limit = NULL;
}

/* Says why no append comes into this log any more. */
static enum wal_verdict stopped(struct wal *wal)
{
    if (!tail_is_lost(wal)) {
        (void)FAIL(wal->status, "%s has failed", io_file_path(wal->ring_file));
        return WAL_STOPPED;
    }
    if (wal->status == KIWI_OK)
        wal->status = KIWI_IO;
    open_forget(wal);
    (void)FAIL(wal->status, "%s: the file system lost what is stored in it (it was shut down, the "
               "file cut short, or its medium cannot be read)", io_file_path(wal->tail_file));
    return WAL_STOPPED;
}

/* Nothing was appended since room was made. */
static bool open_is_empty(const struct wal *wal)
{
    return wal->open == NULL || wal->cursor == (const uint8_t *)(wal->open + 1);
}

/* Afterwards no group is open. False when all slots are taken. */
static bool open_close(struct wal *wal)
{
    struct wal_slot *slot;
    uint64_t         bytes, position;

    if (open_is_empty(wal)) {
        open_forget(wal);
        return true;
    }
    if (slots_free(wal) == 0)
        return false;
    bytes = wal_group_bytes(le32_get(wal->open->length));
    position = ring_place(&wal->ring, bytes, WAL_RESERVE_BYTES);
    assert(position != RING_NOWHERE); /* the limit of the open group has seen to that */
    slot = group_close(wal, wal->open, position, wal->appended_sequence);
    slot->tail_position = wal->open_tail_position;
    ring_take(&wal->tail, wal->open_tail_position, bytes);
    open_forget(wal);
    return true;
}

/* How far the open group may grow: tail, ring, and the usual size. */
static void open_limit_set(struct wal *wal)
{
    uint64_t bytes = tail_group_bytes_max(wal);

    bytes = min_u64(bytes, ring_room_at(&wal->tail, wal->open_tail_position, 0));
    bytes = min_u64(bytes, ring_room(&wal->ring, WAL_RESERVE_BYTES));
    wal->limit = (uint8_t *)wal->open + bytes;
    assert(wal->limit >= wal->cursor); /* room only grows while a group is open */
}

/* Begins a group that has room for length bytes of records. False when there is no place. */
static bool open_begin(struct wal *wal, uint64_t length, uint64_t first_sequence)
{
    uint64_t bytes = wal_group_bytes(length);
    uint64_t position = ring_place(&wal->tail, tail_group_bytes_max(wal), 0);

    assert(wal->open == NULL);
    if (position == RING_NOWHERE)
        position = ring_place(&wal->tail, bytes, 0);
    if (position == RING_NOWHERE || ring_room(&wal->ring, WAL_RESERVE_BYTES) < bytes)
        return false;
    wal->open_tail_position = position;
    wal->open = (void *)(wal->tail_address + position % wal->tail.bytes);
    header_begin(wal, wal->open, WAL_GROUP_RECORDS, first_sequence);
    wal->open_first_sequence = first_sequence;
    wal->cursor = (uint8_t *)(wal->open + 1);
    open_limit_set(wal);
    return true;
}

/* ---- append ---- */

/* Writes the records of an append and returns their end. */
static uint8_t *append_encode(const struct wal *wal, const struct wal_append *append,
                              uint8_t *target, uint64_t first_sequence, uint32_t *record_count)
{
    *record_count = append->count;
    if (append->count > 1 || append->part_count > 0) {
        struct wal_batch batch = {
            .sequence = append->entries[0].sequence,
            .entry_count = append->count,
            .part_count = append->part_count,
            .parts = append->parts,
        };
        target = wal_batch_encode(target, &batch, first_sequence, wal->seed);
        *record_count += 1;
    }
    for (uint32_t i = 0; i < append->count; i++) {
        assert(append->entries[i].sequence == append->entries[0].sequence + i);
        target = wal_entry_encode(target, &append->entries[i], first_sequence, wal->seed);
    }
    return target;
}

/* False: there is no memory for a group of its own. */
static bool spare_take(struct wal *wal, uint64_t bytes)
{
    if (wal->spare != NULL && wal->spare_bytes >= bytes)
        return true;
    memory_free(wal->spare);
    wal->spare = memory_allocate_aligned(bytes, WAL_PAGE_BYTES);
    wal->spare_bytes = bytes;
    return wal->spare != NULL;
}

static enum wal_verdict append_large(struct wal *wal, const struct wal_append *append,
                                     uint64_t length)
{
    struct wal_group_header *header;
    uint64_t         bytes = wal_group_bytes(length), position;
    uint32_t         record_count;
    uint8_t         *heap, *end;

    if (!open_close(wal) || slots_free(wal) == 0)
        return WAL_NO_ROOM;
    if (ring_place(&wal->ring, bytes, WAL_RESERVE_BYTES) == RING_NOWHERE)
        return WAL_NO_ROOM;
    if (!spare_take(wal, bytes))
        return WAL_NO_MEMORY;
    heap = wal->spare;
    wal->spare = NULL;
    header = (void *)heap;
    header_begin(wal, header, WAL_GROUP_RECORDS, append->entries[0].sequence);
    end = append_encode(wal, append, heap + sizeof *header, append->entries[0].sequence,
                        &record_count);
    assert(end <= heap + bytes);
    header->length = le32_of((uint32_t)(end - heap - (ptrdiff_t)sizeof *header));
    header->record_count = le32_of(record_count);
    wal->appended_sequence += append->count;
    position = ring_place(&wal->ring, wal_group_bytes(le32_get(header->length)),
                          WAL_RESERVE_BYTES);
    group_close(wal, header, position, wal->appended_sequence)->heap = heap;
    wal->large_count++;
    return WAL_APPENDED;
}

static bool has_room(const struct wal *wal, uint64_t bytes)
{
    return wal->open != NULL && bytes <= (uint64_t)(wal->limit - wal->cursor);
}

/* An open group with room for length bytes of records. */
static bool open_prepare(struct wal *wal, uint64_t length, uint64_t first_sequence)
{
    if (wal->open != NULL && !has_room(wal, length)) {
        open_limit_set(wal); /* a trim or a finished group may have made room */
        if (!has_room(wal, length) && !open_close(wal))
            return false;
    }
    return wal->open != NULL || open_begin(wal, length, first_sequence);
}

/* Everything but one entry that fits the open group. */
static __attribute__((noinline)) enum wal_verdict append_slowly(struct wal *wal,
                                                               const struct wal_append *append)
{
    uint64_t length = append_bound(append);
    uint32_t record_count;
    uint8_t *end;

    assert(wal->is_ready);
    assert(append->part_count <= KIWI_SHARD_COUNT_MAX);
    if (wal->status != KIWI_OK)
        return stopped(wal);
    if (wal_group_bytes(length) > min_u64(wal_group_bytes_limit(wal), GROUP_BYTES_MAX))
        return WAL_TOO_LARGE;
    if (length > tail_append_bytes_max(wal))
        return append_large(wal, append, length);
    if (!open_prepare(wal, length, append->entries[0].sequence))
        return WAL_NO_ROOM;
    end = append_encode(wal, append, wal->cursor, wal->open_first_sequence, &record_count);
    assert(end <= wal->limit);
    store_in_order(length_word(wal->open), *length_word(wal->open) + (uint64_t)(end - wal->cursor)
                                               + record_count * ONE_RECORD);
    if (tail_is_lost(wal))
        return stopped(wal);
    wal->cursor = end;
    wal->appended_sequence += append->count;
    return WAL_APPENDED;
}

enum wal_verdict wal_append(struct wal *wal, const struct wal_append *append)
{
    const struct entry *entry = append->entries;
    uint8_t            *end;

    assert(append->count > 0);
    assert(entry->sequence == wal->appended_sequence + 1);
    if (UNLIKELY(append->count != 1 || append->part_count != 0
                 || wal_entry_bound(entry) > (uint64_t)(wal->limit - wal->cursor)))
        return append_slowly(wal, append);
    end = wal_entry_encode(wal->cursor, entry, wal->open_first_sequence, wal->seed);
    store_in_order(length_word(wal->open), *length_word(wal->open) + (uint64_t)(end - wal->cursor)
                                               + ONE_RECORD);
    if (tail_is_lost(wal))
        return stopped(wal);
    wal->cursor = end;
    wal->appended_sequence = entry->sequence;
    return WAL_APPENDED;
}

enum wal_verdict wal_room(struct wal *wal, uint64_t bytes, uint32_t count)
{
    const struct entry empty = { .kind = ENTRY_PUT };
    uint64_t length = bytes + count * wal_entry_bound(&empty)
                    + wal_batch_bound(KIWI_SHARD_COUNT_MAX);

    if (wal->status != KIWI_OK)
        return stopped(wal);
    if (wal_group_bytes(length) > min_u64(wal_group_bytes_limit(wal), GROUP_BYTES_MAX))
        return WAL_TOO_LARGE;
    if (length <= tail_append_bytes_max(wal))
        return open_prepare(wal, length, wal->appended_sequence + 1) ? WAL_APPENDED : WAL_NO_ROOM;
    if (slots_free(wal) < 2)
        return WAL_NO_ROOM;
    /* The open group is closed first and takes its place in the ring before the large one. */
    if (!open_close(wal))
        return WAL_NO_ROOM;
    if (ring_place(&wal->ring, wal_group_bytes(length), WAL_RESERVE_BYTES) == RING_NOWHERE)
        return WAL_NO_ROOM;
    return spare_take(wal, wal_group_bytes(length)) ? WAL_APPENDED : WAL_NO_MEMORY;
}

bool wal_needs_write(const struct wal *wal)
{
    return wal->large_count != 0;
}

/* ---- groups out and back ---- */

static struct wal_group *hand_out(struct wal *wal)
{
    struct wal_slot *slot = slot_of(wal, wal->next_out);

    assert(slot->state == SLOT_CLOSED);
    assert(wal->out_count < WAL_GROUPS_IN_FLIGHT);
    slot->state = SLOT_OUT;
    wal->next_out++;
    wal->out_count++;
    return &slot->group;
}

struct wal_group *wal_group_cut(struct wal *wal)
{
    if (wal->status != KIWI_OK || wal->out_count == WAL_GROUPS_IN_FLIGHT)
        return NULL;
    if (wal->next_out == wal->next_number && (open_is_empty(wal) || !open_close(wal)))
        return NULL;
    if (tail_is_lost(wal)) { /* what was closed may be zeros */
        (void)stopped(wal);
        return NULL;
    }
    return hand_out(wal);
}

struct wal_group *wal_mark_cut(struct wal *wal, bool is_seal)
{
    struct wal_group_header *header;
    uint64_t                 position;

    assert(wal->is_ready);
    if (tail_is_lost(wal))
        (void)stopped(wal);
    if (wal->status != KIWI_OK || wal->oldest != wal->next_number || !open_is_empty(wal))
        return NULL;
    if (!is_seal && wal->data_group <= wal->mark_group)
        return NULL;
    position = ring_place(&wal->ring, WAL_PAGE_BYTES, 0);
    if (position == RING_NOWHERE)
        return NULL;
    open_forget(wal);
    tail_low_update(wal);
    assert(wal->tail.next == wal->tail.low);
    header = (void *)(wal->tail_address + wal->tail.next % wal->tail.bytes);
    header_begin(wal, header, is_seal ? WAL_GROUP_SEAL : WAL_GROUP_MARK,
                 wal->appended_sequence + 1);
    group_close(wal, header, position, wal->appended_sequence)->tail_position = wal->tail.next;
    ring_take(&wal->tail, wal->tail.next, WAL_PAGE_BYTES);
    return hand_out(wal);
}

/* Groups at the front that are done become durable, strictly in order. */
static void retire(struct wal *wal)
{
    while (wal->oldest != wal->next_number) {
        struct wal_slot *slot = slot_of(wal, wal->oldest);

        if (slot->state != SLOT_DONE)
            break;
        assert(slot->group.number == wal->oldest);
        wal->durable_sequence = slot->group.sequence_last;
        wal->mark_group = max_u64(wal->mark_group, slot->durable_group);
        if (slot->has_records)
            wal->data_group = slot->group.number;
        slot->state = SLOT_FREE;
        wal->oldest++;
    }
    ring_low_update(wal);
    tail_low_update(wal);
    assert(wal->durable_sequence <= wal->cut_sequence);
    assert(wal->cut_sequence <= wal->appended_sequence);
}

void wal_group_done(struct wal *wal, struct wal_group *group)
{
    struct wal_slot *slot = container_of(group, struct wal_slot, group);

    assert(slot == slot_of(wal, group->number));
    assert(slot->state == SLOT_OUT);
    assert(wal->out_count > 0);
    wal->out_count--;
    if (group->request.status != KIWI_OK) {
        /* What is on the device is unknown now: nothing behind it may count as durable, and a
         * failed sync must not be tried again. */
        slot->state = SLOT_CLOSED;
        if (wal->status == KIWI_OK)
            wal->status = group->request.status;
        open_forget(wal);
        return;
    }
    slot->state = SLOT_DONE;
    wal->counters.groups++;
    wal->counters.syncs++;
    wal->counters.write_bytes += slot->bytes;
    if (slot->heap != NULL) {
        memory_free(slot->heap);
        slot->heap = NULL;
        assert(wal->large_count > 0);
        wal->large_count--;
    }
    retire(wal);
}

/* ---- what is where ---- */

uint64_t wal_appended_sequence(const struct wal *wal)
{
    return wal->appended_sequence;
}

uint64_t wal_durable_sequence(const struct wal *wal)
{
    return wal->durable_sequence;
}

uint64_t wal_staged_bytes(const struct wal *wal)
{
    uint64_t bytes = open_is_empty(wal) ? 0 : (uint64_t)(wal->cursor - (uint8_t *)wal->open);

    for (uint64_t number = wal->next_out; number != wal->next_number; number++)
        bytes += wal->slots[number % WAL_SLOT_COUNT].bytes;
    return bytes;
}

uint32_t wal_groups_out(const struct wal *wal)
{
    return wal->out_count;
}

enum kiwi_status wal_status(const struct wal *wal)
{
    return wal->status;
}

struct wal_position wal_position_now(const struct wal *wal)
{
    return (struct wal_position){
        .group = wal->next_number,
        .offset = wal_ring_offset(wal, wal->ring.next),
    };
}

void wal_trim(struct wal *wal, struct wal_position position)
{
    uint64_t place = position.offset - WAL_HEADER_BYTES;
    uint64_t back; /* from where the next group goes to position */

    assert(position.offset >= WAL_HEADER_BYTES && place < wal->ring.bytes);
    assert(position.group <= wal->next_number);
    if (position.group <= wal->trimmed_group)
        return;
    back = (wal->ring.next + wal->ring.bytes - place) % wal->ring.bytes;
    if (back == 0 && position.group != wal->next_number)
        back = wal->ring.bytes;
    assert(back <= wal->ring.next - wal->trimmed);
    wal->trimmed = wal->ring.next - back;
    wal->trimmed_group = position.group;
    ring_low_update(wal);
}

static uint64_t open_bytes(const struct wal *wal)
{
    return open_is_empty(wal) ? 0 : wal_group_bytes(le32_get(wal->open->length));
}

uint64_t wal_ring_used_bytes(const struct wal *wal)
{
    return wal->ring.next - wal->ring.low + open_bytes(wal);
}

bool wal_is_tight(const struct wal *wal)
{
    uint64_t open = open_bytes(wal);

    return wal->tail.next - wal->tail.low + open > wal->tail.bytes / 8 * TIGHT_EIGHTHS
        || wal->ring.next - wal->ring.low + open > wal->ring.bytes / 8 * TIGHT_EIGHTHS
        || slots_free(wal) <= TIGHT_SLOTS;
}

uint64_t wal_ring_bytes(const struct wal *wal)
{
    return wal->ring.bytes;
}

struct wal_counters wal_counters(const struct wal *wal)
{
    struct wal_counters counters = wal->counters;

    counters.records = wal->appended_sequence - wal->recovered_sequence;
    return counters;
}
