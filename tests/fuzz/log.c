/*
 * log.c: the log's recovery on ring and tail as the input has them.
 *
 * The input lays groups out in both files, rightly sealed or not, in order or not, with records of
 * every kind, and overwrites some bytes. Whatever stands there, recovery ends, hands on sequences
 * that ascend by one, and changes nothing when it refuses; after a recovery that succeeds the log
 * takes an append, and the next recovery hands on the same and that.
 */
#include "core/base/memory.h"
#include "core/wal/wal.h"
#include "io/simulated.h"
#include "tests/fuzz/fuzz.h"

#define RING_BYTES  (64u << 10)
#define TAIL_BYTES  (64u << 10)
#define GROUP_BYTES (8u << 10)

static const struct database_id database = { "fuzzed database" };
enum { SHARD = 3, LIFE = 2 }; /* the life that ended last; no group is of a later one */

static struct wal_options options_of(struct simulation *simulation)
{
    return (struct wal_options){ .io = simulation_io(simulation), .directory = "/shard",
                                 .database = database, .shard = SHARD,
                                 .ring_bytes = RING_BYTES, .tail_bytes = TAIL_BYTES };
}

/* ---- laying out ---- */

struct layout {
    struct fuzz_input *input;
    uint8_t           *ring, *tail;
    uint64_t           ring_at, ring_end, tail_at, number, sequence, previous;
    bool               is_sealed; /* the life ended in order: it wrote nothing more */
};

static uint8_t *entry_put(struct layout *layout, uint8_t *at, uint64_t first, uint64_t seed)
{
    struct fuzz_input *input = layout->input;
    struct entry       entry = { .kind = (fuzz_byte(input) & 1) != 0 ? ENTRY_DELETE : ENTRY_PUT };
    size_t             taken;

    entry.key.data = fuzz_span(input, fuzz_below(input, 40), &taken);
    entry.key.size = taken;
    entry.sequence = ++layout->sequence;
    if (entry.kind == ENTRY_PUT) {
        entry.value.data = fuzz_span(input, fuzz_below(input, 300), &taken);
        entry.value.size = taken;
    }
    return wal_entry_encode(at, &entry, first, seed);
}

static uint8_t *batch_put(struct layout *layout, uint8_t *at, uint64_t first, uint64_t seed)
{
    struct fuzz_input *input = layout->input;
    struct wal_part    parts[4];
    struct wal_batch   batch = { .sequence = layout->sequence + 1, .parts = parts };

    batch.entry_count = 1 + fuzz_below(input, 5);
    batch.part_count = fuzz_below(input, 5);
    for (uint32_t i = 0; i < batch.part_count; i++)
        parts[i] = (struct wal_part){ fuzz_byte(input), fuzz_number(input, 2) };
    return wal_batch_encode(at, &batch, first, seed);
}

static uint8_t *raw_put(struct layout *layout, uint8_t *at)
{
    size_t         taken;
    const uint8_t *span = fuzz_span(layout->input, fuzz_below(layout->input, 64), &taken);

    if (taken > 0)
        memcpy(at, span, taken);
    return at + taken;
}

static void group_put(struct layout *layout)
{
    struct fuzz_input *input = layout->input;
    uint8_t  how = fuzz_byte(input), odd = fuzz_byte(input);
    bool     is_in_tail = (how & 1) != 0, is_open = (how & 2) != 0;
    uint64_t log_id = (how & 4) != 0 ? LIFE - 1 : LIFE;
    uint64_t seed = wal_seed(database_id_seed(&database), SHARD, log_id), first;
    uint8_t *target = is_in_tail ? layout->tail + layout->tail_at % TAIL_BYTES
                                 : layout->ring + layout->ring_at % RING_BYTES;
    _Alignas(64) uint8_t     buffer[GROUP_BYTES] = { 0 };
    struct wal_group_header *header = (void *)buffer;
    uint8_t                 *at = (uint8_t *)(header + 1);

    layout->sequence += odd == 1 ? fuzz_byte(input) : 0;
    layout->number += odd == 2 ? fuzz_byte(input) : 0;
    first = layout->sequence + 1;
    for (uint32_t left = fuzz_below(input, 8); left > 0 && at < buffer + GROUP_BYTES - 1024;) {
        uint8_t kind = fuzz_byte(input) % 8;
        at = kind < 5 ? entry_put(layout, at, first, seed)
           : kind < 7 ? batch_put(layout, at, first, seed)
                      : raw_put(layout, at);
        left--;
    }
    *header = (struct wal_group_header){
        .magic = le32_of(WAL_GROUP_MAGIC),
        .version = WAL_VERSION,
        .kind = odd == 3 ? fuzz_byte(input) : WAL_GROUP_RECORDS,
        .shard = le16_of(SHARD),
        .length = le32_of((uint32_t)(at - (uint8_t *)(header + 1))),
        .record_count = le32_of((uint32_t)(layout->sequence + 1 - first)),
        .log_id = le64_of(log_id),
        .number = le64_of(layout->number),
        .first_sequence = le64_of(first),
        .durable_group = le64_of(odd == 4 ? fuzz_byte(input) : 0),
        .previous_checksum = le64_of(layout->previous),
    };
    layout->is_sealed = header->kind == WAL_GROUP_SEAL && log_id == LIFE;
    if (odd == 5)
        header->record_count = le32_of(fuzz_byte(input));
    if (odd == 6)
        header->length = le32_of((uint32_t)fuzz_number(input, 4));
    if (odd != 6 && !is_open)
        header->checksum = le64_of(wal_group_checksum(header, seed));
    if (is_open)
        header->checksum = le64_of(wal_group_open_checksum(header, seed));
    uint64_t bytes = wal_group_bytes((uint64_t)(at - (uint8_t *)(header + 1)));
    uint64_t room = is_in_tail ? TAIL_BYTES - layout->tail_at % TAIL_BYTES
                               : RING_BYTES - layout->ring_at % RING_BYTES;
    if (!is_in_tail && bytes > room) { /* at the ring's beginning, as the log itself does */
        layout->ring_at += room;
        target = layout->ring;
        room = RING_BYTES;
    }
    if (!is_in_tail && layout->ring_at + bytes > layout->ring_end)
        return; /* a ring is never so full that it laps itself */
    memcpy(target, buffer, bytes < room ? bytes : room);
    *(is_in_tail ? &layout->tail_at : &layout->ring_at) += bytes;
    if (odd == 7)
        layout->ring_at += fuzz_byte(input) * 4096ull;
    if (odd != 8) { /* else the next one is its rival */
        layout->number++;
        layout->previous = le64_get(header->checksum);
    }
}

static void file_put(struct simulation *simulation, const char *path, const uint8_t *bytes,
                     size_t size, uint64_t offset)
{
    struct io_file *file;

    fuzz_promise(io_file_open(simulation_io(simulation), path, 0, &file) == KIWI_OK);
    fuzz_promise(io_file_write(file, bytes, size, offset) == KIWI_OK);
    fuzz_promise(io_file_sync(file) == KIWI_OK);
    io_file_close(file);
}

static void files_lay_out(struct simulation *simulation, struct fuzz_input *input,
                          struct wal_position position)
{
    uint8_t      *ring = calloc(1, RING_BYTES), *tail = calloc(1, TAIL_BYTES);
    struct layout layout = { .input = input, .ring = ring, .tail = tail,
                             .number = position.group,
                             .ring_at = position.offset - WAL_HEADER_BYTES };
    uint32_t      groups = 1 + fuzz_below(input, 20);

    fuzz_promise(ring != NULL && tail != NULL);
    layout.ring_end = layout.ring_at + RING_BYTES;
    for (; groups > 0 && fuzz_left(input) > 0 && !layout.is_sealed; groups--)
        group_put(&layout);
    fuzz_patch(input, ring, RING_BYTES);
    fuzz_patch(input, tail, TAIL_BYTES);
    file_put(simulation, "/shard/wal", ring, RING_BYTES, WAL_HEADER_BYTES);
    file_put(simulation, "/shard/tail", tail, TAIL_BYTES, 0);
    free(ring);
    free(tail);
}

/* ---- recovering ---- */

struct seen {
    uint64_t first, last, digest, count;
};

static enum kiwi_status visit(void *context, const struct wal_replayed *record)
{
    struct seen *seen = context;

    fuzz_promise(record->count >= 1);
    fuzz_promise(record->part_count <= KIWI_SHARD_COUNT_MAX);
    for (uint32_t i = 0; i < record->count; i++) {
        const struct entry *entry = &record->entries[i];

        if (seen->count == 0)
            seen->first = entry->sequence;
        else
            fuzz_promise(entry->sequence == seen->last + 1);
        fuzz_promise(entry->kind == ENTRY_PUT || (entry->kind == ENTRY_DELETE
                                                  && entry->value.size == 0));
        seen->last = entry->sequence;
        seen->count++;
        seen->digest = hash_mix(seen->digest, hash_checksum(entry->key.data, entry->key.size,
                                                            (uint64_t)entry->kind));
        seen->digest = hash_mix(seen->digest,
                                hash_checksum(entry->value.data, entry->value.size, 1));
    }
    return KIWI_OK;
}

/* KIWI_OK: *wal is open and recovered. */
static enum kiwi_status recover(struct simulation *simulation, struct wal_position position,
                                uint64_t sequence_after, struct wal **wal, struct seen *seen)
{
    struct wal_options  options = options_of(simulation);
    struct wal_recovery recovery;
    enum kiwi_status    status = wal_open(&options, wal);

    *seen = (struct seen){ 0 };
    if (status != KIWI_OK)
        return status;
    status = wal_recover(*wal, position, sequence_after, visit, seen, &recovery);
    if (status == KIWI_OK) {
        fuzz_promise(recovery.sequence_last == seen->last);
        fuzz_promise(wal_appended_sequence(*wal) >= sequence_after);
        return KIWI_OK;
    }
    wal_close(*wal);
    *wal = NULL;
    return status;
}

static void append_one(struct wal *wal)
{
    struct entry      entry = { .key = bytes_of("appended", 8), .value = bytes_of("value", 5),
                                .sequence = wal_appended_sequence(wal) + 1, .kind = ENTRY_PUT };
    struct wal_group *group;

    fuzz_promise(wal_append(wal, &(struct wal_append){ &entry, 1, NULL, 0 }) == WAL_APPENDED);
    group = wal_group_cut(wal);
    fuzz_promise(group != NULL);
    group->request.status = io_file_write(group->request.file, group->request.buffer,
                                          group->request.bytes, group->request.offset);
    wal_group_done(wal, group);
    fuzz_promise(wal_status(wal) == KIWI_OK);
}

/* A disk with an empty log in its second life, made once. */
static struct simulation *disk_make(void)
{
    static struct simulation  *made;
    struct simulation_options  options = { .seed = 1 };
    struct simulation         *copy;
    struct wal_options         wal_options;
    const struct wal_position  start = { 1, WAL_HEADER_BYTES };
    struct wal                *wal = NULL;
    struct seen                seen;

    if (made == NULL) {
        fuzz_promise(simulation_open(&options, &made) == KIWI_OK);
        fuzz_promise(io_directory_create(simulation_io(made), "/shard") == KIWI_OK);
        wal_options = options_of(made);
        fuzz_promise(wal_open(&wal_options, &wal) == KIWI_OK);
        wal_close(wal);
        fuzz_promise(recover(made, start, 0, &wal, &seen) == KIWI_OK);
        wal_close(wal);
    }
    fuzz_promise(simulation_copy(made, &copy) == KIWI_OK);
    return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_input    input = { data, data + bytes };
    struct simulation   *simulation = disk_make();
    struct wal          *wal = NULL;
    struct wal_position  position;
    struct seen          seen, again;
    uint64_t             sequence_after;
    enum kiwi_status     status;

    position.group = 1 + fuzz_byte(&input) % 8;
    position.offset = WAL_HEADER_BYTES + 4096ull * fuzz_below(&input, RING_BYTES / 4096);
    sequence_after = fuzz_byte(&input) % 16;
    files_lay_out(simulation, &input, position);
    status = recover(simulation, position, sequence_after, &wal, &seen);
    if (status == KIWI_OK) {
        if (wal_room(wal, 64, 1) == WAL_APPENDED && wal_appended_sequence(wal) < SEQUENCE_MAX) {
            uint64_t appended = wal_appended_sequence(wal) + 1;
            struct seen expected = seen;

            append_one(wal);
            struct wal_position behind = wal_position_now(wal);
            wal_close(wal);
            /* From there on nothing is there, whatever a life before had left in that place. */
            fuzz_promise(recover(simulation, behind, appended, &wal, &again) == KIWI_OK);
            fuzz_promise(again.count == 0);
            wal_close(wal);
            fuzz_promise(recover(simulation, position, sequence_after, &wal, &again) == KIWI_OK);
            fuzz_promise(again.count == seen.count + 1 && again.last == appended);
            expected.digest = hash_mix(expected.digest, hash_checksum("appended", 8, ENTRY_PUT));
            expected.digest = hash_mix(expected.digest, hash_checksum("value", 5, 1));
            fuzz_promise(again.digest == expected.digest);
        }
        wal_close(wal);
    } else {
        fuzz_promise(status == KIWI_CORRUPT || status == KIWI_UNSUPPORTED);
        fuzz_promise(recover(simulation, position, sequence_after, &wal, &again) == status);
        fuzz_promise(again.count == seen.count && again.digest == seen.digest);
    }
    simulation_close(simulation);
    return 0;
}
