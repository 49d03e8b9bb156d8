/*
 * reader_log.c: the log of a shard: ring and tail, and the appends behind the flushed sequence.
 */
#include "tests/format/reader_parts.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define HEADER "wal_file_header"
#define LIFE   "wal_life"
#define GROUP  "wal_group_header"

enum { CHECKSUM_AT = 56 }; /* checked against the document below */

struct log {
    struct reader       *reader;
    struct reader_shard *shard;
    uint8_t             *wal, *tail;
    uint64_t             ring_bytes, tail_bytes, life, page;
    uint64_t             number, previous; /* of the next group; checksum of the one before */
    uint64_t             next;             /* ring position behind the last group */
    uint64_t             sequence;         /* last one seen; 0: none */
    bool                 has_previous;
};

struct log_group {
    const uint8_t *header, *records;
    uint64_t       length, first, seed;
    bool           is_open, is_in_tail;
};

/* ---- records ---- */

static uint64_t fold(const struct log *log, uint64_t hash, uint64_t sequence, uint64_t seed)
{
    hash ^= seed + sequence * number_of(log->reader, "WAL_SEQUENCE_FACTOR");
    return (hash ^ hash >> 32) & 0xffffffff;
}

/* False when the checksum is wrong: the end of an open group. */
static bool entry_take(struct log *log, struct pack *pack, const struct log_group *group,
                       struct reading_row *row)
{
    struct reader *reader = log->reader;
    uint64_t       kind, hash;
    struct span    key, value;

    assert_int_equal(pack_array(pack), 5);
    kind = pack_integer(pack);
    row->is_delete = kind == number_of(reader, "WAL_DELETE");
    assert_true(row->is_delete || kind == number_of(reader, "WAL_PUT"));
    row->sequence = group->first + pack_integer(pack);
    key = pack_bin(pack);
    value = pack_bin(pack);
    hash = (checksum_of(key.data, key.size, 0) + kind) * number_of(reader, "WAL_KEY_FACTOR")
         + checksum_of(value.data, value.size, 0);
    if (pack_integer(pack) != fold(log, hash, row->sequence, group->seed))
        return false;
    assert_true(key.size <= number_of(reader, "KIWI_KEY_BYTES_MAX"));
    row_copy(row, key, value);
    return true;
}

static void append_note(struct log *log, struct reader_append *append)
{
    struct reader_shard *shard = log->shard;
    uint64_t             first = append->rows[0].sequence;

    if (log->sequence != 0)
        assert_int_equal(first, log->sequence + 1);
    else
        assert_true(first <= shard->flushed + 1);
    log->sequence = append->rows[append->count - 1].sequence;
    if (log->sequence <= shard->flushed) {
        for (uint32_t i = 0; i < append->count; i++) {
            free(append->rows[i].key);
            free(append->rows[i].value);
        }
        free(append->rows);
        return;
    }
    shard->appends = realloc(shard->appends, (shard->append_count + 1) * sizeof *shard->appends);
    assert_non_null(shard->appends);
    shard->appends[shard->append_count++] = *append;
    log->reader->reading->counts.log_rows += append->count;
}

/* The head of a batch; what belongs to it follows. */
static void batch_take(struct log *log, struct pack *pack, const struct log_group *group,
                       struct reader_append *append)
{
    const uint8_t *start = pack->at;
    uint64_t       sequence, hash;

    assert_int_equal(pack_array(pack), 5);
    assert_int_equal(pack_integer(pack), number_of(log->reader, "WAL_BATCH"));
    sequence = group->first + pack_integer(pack);
    append->count = (uint32_t)pack_integer(pack);
    assert_in_range(append->count, 1, number_of(log->reader, "KIWI_BATCH_COUNT_MAX"));
    append->part_count = (uint32_t)pack_array(pack);
    assert_true(append->part_count <= 64);
    for (uint32_t i = 0; i < append->part_count; i++) {
        assert_int_equal(pack_array(pack), 2);
        append->part_shards[i] = pack_integer(pack);
        append->part_sequences[i] = pack_integer(pack);
    }
    hash = checksum_of(start, (size_t)(pack->at - start), 0);
    assert_int_equal(pack_integer(pack), fold(log, hash, sequence, group->seed));
    log->reader->reading->counts.batches++;
}

static void records_take(struct log *log, const struct log_group *group)
{
    struct pack pack = { group->records, group->records + group->length };
    uint64_t    count = 0;

    while (pack.at != pack.end) {
        struct reader_append append = { .count = 1 };
        bool is_batch = pack.end - pack.at > 1
                     && pack.at[1] == number_of(log->reader, "WAL_BATCH");

        assert_int_equal(pack.at[0], 0x95);
        if (is_batch)
            batch_take(log, &pack, group, &append);
        append.rows = calloc(append.count, sizeof *append.rows);
        assert_non_null(append.rows);
        for (uint32_t i = 0; i < append.count; i++)
            assert_true(entry_take(log, &pack, group, &append.rows[i]));
        count += append.count + is_batch;
        append_note(log, &append);
    }
    assert_int_equal(count, field_of(log->reader, group->header, GROUP, "record_count"));
}

/* ---- groups ---- */

/* Whether the wanted group stands there, and whole. */
static bool group_is_there(const struct log *log, const uint8_t *header, uint64_t room,
                           struct log_group *group)
{
    const struct reader *reader = log->reader;
    uint64_t checksum = field_of(reader, header, GROUP, "checksum");
    uint8_t  fixed[CHECKSUM_AT];

    assert_int_equal(field_at(reader, GROUP, "checksum"), CHECKSUM_AT);
    if (field_of(reader, header, GROUP, "magic") != number_of(reader, "WAL_GROUP_MAGIC")
        || field_of(reader, header, GROUP, "version") != number_of(reader, "WAL_VERSION")
        || field_of(reader, header, GROUP, "shard") != log->shard->index
        || field_of(reader, header, GROUP, "number") != log->number)
        return false;
    *group = (struct log_group){
        .header = header,
        .records = header + CHECKSUM_AT + 8,
        .length = field_of(reader, header, GROUP, "length"),
        .first = field_of(reader, header, GROUP, "first_sequence"),
        .seed = mix(reader, mix(reader, reader->identity, log->shard->index),
                    field_of(reader, header, GROUP, "log_id")),
    };
    if (group->length > room - CHECKSUM_AT - 8)
        return false;
    if (log->has_previous
        && field_of(reader, header, GROUP, "previous_checksum") != log->previous)
        return false;
    memcpy(fixed, header, CHECKSUM_AT);
    if (checksum == checksum_of(group->records, group->length,
                                checksum_of(fixed, CHECKSUM_AT, group->seed)))
        return true;
    memset(fixed + field_at(reader, GROUP, "length"), 0, 4);
    memset(fixed + field_at(reader, GROUP, "record_count"), 0, 4);
    memset(fixed + field_at(reader, GROUP, "durable_group"), 0, 8);
    group->is_open = checksum == checksum_of(fixed, CHECKSUM_AT,
                                             group->seed ^ number_of(reader, "WAL_OPEN_TAG"));
    return group->is_open;
}

static bool group_find(const struct log *log, struct log_group *group)
{
    const struct reader *reader = log->reader;
    uint64_t             header_bytes = number_of(reader, "WAL_HEADER_BYTES");
    uint64_t             places[2] = { log->next % log->ring_bytes, 0 };

    for (uint32_t i = 0; i < 2; i++)
        if (group_is_there(log, log->wal + header_bytes + places[i], log->ring_bytes - places[i],
                           group) && !group->is_open)
            return true;
    for (uint64_t at = 0; at < log->tail_bytes; at += log->page) {
        if (!group_is_there(log, log->tail + at, log->tail_bytes - at, group)
            || field_of(reader, group->header, GROUP, "log_id") < log->life)
            continue;
        group->is_in_tail = true;
        return true;
    }
    return false;
}

static void groups_read(struct log *log)
{
    struct reading_counts *counts = &log->reader->reading->counts;
    struct log_group       group;
    bool                   is_open = false;

    while (!is_open && group_find(log, &group)) {
        uint64_t kind = field_of(log->reader, group.header, GROUP, "kind");
        uint64_t bytes = (CHECKSUM_AT + 8 + group.length + log->page - 1) / log->page * log->page;

        records_take(log, &group);
        is_open = group.is_open;
        counts->log_groups++;
        counts->open_groups += is_open;
        counts->tail_groups += group.is_in_tail;
        counts->seals += kind == number_of(log->reader, "WAL_GROUP_SEAL");
        if (kind != number_of(log->reader, "WAL_GROUP_RECORDS")) {
            assert_int_equal(group.length, 0);
            assert_true(kind == number_of(log->reader, "WAL_GROUP_MARK")
                        || kind == number_of(log->reader, "WAL_GROUP_SEAL"));
        }
        assert_true(field_of(log->reader, group.header, GROUP, "durable_group") < log->number);
        if (!group.is_in_tail)
            log->next = (uint64_t)(group.header - log->wal)
                      - number_of(log->reader, "WAL_HEADER_BYTES") + bytes;
        log->previous = field_of(log->reader, group.header, GROUP, "checksum");
        log->has_previous = true;
        log->number++;
    }
}

/* ---- the file header ---- */

static void header_read(struct log *log, size_t wal_bytes, size_t tail_bytes)
{
    const struct reader *reader = log->reader;
    uint64_t             magic = number_of(reader, "WAL_MAGIC");

    assert_int_equal(field_of(reader, log->wal, HEADER, "magic"), magic);
    assert_int_equal(field_of(reader, log->wal, HEADER, "checksum"),
                     checksum_of(log->wal, field_at(reader, HEADER, "checksum"), magic));
    assert_int_equal(field_of(reader, log->wal, HEADER, "version"),
                     number_of(reader, "WAL_VERSION"));
    assert_int_equal(field_of(reader, log->wal, HEADER, "shard"), log->shard->index);
    assert_memory_equal(log->wal + field_at(reader, HEADER, "database"), reader->database, 16);
    log->ring_bytes = field_of(reader, log->wal, HEADER, "ring_bytes");
    log->tail_bytes = field_of(reader, log->wal, HEADER, "tail_bytes");
    assert_true(wal_bytes >= number_of(reader, "WAL_HEADER_BYTES") + log->ring_bytes);
    assert_true(tail_bytes >= log->tail_bytes);
    for (uint64_t i = 1; i <= number_of(reader, "WAL_LIFE_COUNT"); i++) {
        const uint8_t *life = log->wal + i * number_of(reader, "WAL_LIFE_AT");
        uint64_t       id = field_of(reader, life, LIFE, "log_id");

        if (field_of(reader, life, LIFE, "magic") != number_of(reader, "WAL_LIFE_MAGIC"))
            continue;
        assert_int_equal(field_of(reader, life, LIFE, "checksum"),
                         checksum_of(life, field_at(reader, LIFE, "checksum"), reader->identity));
        log->life = id > log->life ? id : log->life;
    }
    assert_true(log->life >= 1);
}

void reader_log(struct reader *reader, struct reader_shard *shard)
{
    struct log log = {
        .reader = reader,
        .shard = shard,
        .page = number_of(reader, "WAL_PAGE_BYTES"),
        .number = shard->log_group == 0 ? 1 : shard->log_group,
    };
    size_t wal_bytes, tail_bytes;

    log.wal = file_take(shard->directory, "wal", &wal_bytes);
    log.tail = file_take(shard->directory, "tail", &tail_bytes);
    header_read(&log, wal_bytes, tail_bytes);
    if (shard->log_group != 0)
        log.next = shard->log_offset - number_of(reader, "WAL_HEADER_BYTES");
    groups_read(&log);
    shard->recovered = log.sequence > shard->flushed ? log.sequence : shard->flushed;
    free(log.wal);
    free(log.tail);
}
