/*
 * wal_format.h: the bytes of the log files `wal` and `tail`. A change here raises WAL_VERSION.
 *
 *   wal    | header block 4096 | ring: groups at 4 KiB boundaries, none crosses the ring's end |
 *   tail   | groups at 4 KiB boundaries, the newest of them perhaps still open              |
 *   group  | header 64 | records | zeros up to 4 KiB |
 *
 * Header block: the file header in the first 512 bytes, then two life slots of 512 bytes each,
 * written in turn, so that a torn rewrite of the block never harms more than the older one.
 *
 * Record: one msgpack array of five, the last element always an unsigned checksum:
 *   [kind 1 put or 2 delete, sequence - first_sequence, key bin, value bin, checksum]
 *   [kind 3 batch, sequence - first_sequence, entry count, [[shard, sequence], ...], checksum]
 * A batch record makes the given number of entry records that follow it in the same group atomic.
 * The checksum is 32 bits: of the XXH3 of key and value and the kind, or of the bytes before it in
 * a batch record; mixed with database identity, log id and sequence: a record of another life or
 * place never verifies.
 */
#pragma once

#include "core/base/entry.h"
#include "core/format/database_id.h"
#include "kiwi/limits.h"

#define WAL_MAGIC         0x01474f4c4957494bull /* "KIWILOG\1" */
#define WAL_VERSION       1u
#define WAL_GROUP_MAGIC   0x3147574bu           /* "KWG1" */
#define WAL_LIFE_MAGIC    0x4546494c4957494bull /* "KIWILIFE" */
#define WAL_PAGE_BYTES    4096u
#define WAL_HEADER_BYTES  4096u                 /* the ring begins here */
#define WAL_LIFE_AT       512u                  /* of the first slot, and the size of a slot */
#define WAL_LIFE_COUNT    2u

/*
 *   at  size  field
 *    0     8  magic
 *    8     4  version
 *   12     4  shard
 *   16    16  database
 *   32     8  ring_bytes   without this block
 *   40     8  tail_bytes
 *   48     8  reserved
 *   56     8  checksum     of bytes 0 to 55
 */
struct wal_file_header {
    le64               magic;
    le32               version;
    le32               shard;
    struct database_id database;
    le64               ring_bytes;
    le64               tail_bytes;
    uint8_t            reserved[8];
    le64               checksum;
};

FIELD_AT(struct wal_file_header, version, 8, 4);
FIELD_AT(struct wal_file_header, database, 16, 16);
FIELD_AT(struct wal_file_header, ring_bytes, 32, 8);
FIELD_AT(struct wal_file_header, checksum, 56, 8);
static_assert(sizeof(struct wal_file_header) == 64, "no hidden padding");

/* A life is the time from one recovery of the log to the next; its id is in every group of it. */
struct wal_life {
    le64 magic;
    le64 log_id;
    le64 checksum; /* of bytes 0 to 15 */
};

static_assert(sizeof(struct wal_life) == 24, "no hidden padding");

enum wal_group_kind {
    WAL_GROUP_RECORDS = 0,
    WAL_GROUP_MARK = 1, /* no records: carries the durable-up-to mark */
    WAL_GROUP_SEAL = 2, /* a mark that ends a life cleanly */
};

/*
 *   at  size  field
 *    0     4  magic
 *    4     1  version
 *    5     1  kind
 *    6     2  shard
 *    8     4  length             of the records; grows with each append while the group is open
 *   12     4  record_count       grows with length, in the same 8-byte store
 *   16     8  log_id
 *   24     8  number             from 1, ascending by 1
 *   32     8  first_sequence     of the first record; of the next to come in a mark
 *   40     8  durable_group      this group and all before are on stable media; 0: none
 *   48     8  previous_checksum  of the group before; 0: there is none
 *   56     8  checksum           see wal_group_checksum and wal_group_open_checksum
 */
struct wal_group_header {
    le32    magic;
    uint8_t version;
    uint8_t kind;
    le16    shard;
    le32    length;
    le32    record_count;
    le64    log_id;
    le64    number;
    le64    first_sequence;
    le64    durable_group;
    le64    previous_checksum;
    le64    checksum;
};

FIELD_AT(struct wal_group_header, length, 8, 4);
FIELD_AT(struct wal_group_header, record_count, 12, 4);
FIELD_AT(struct wal_group_header, number, 24, 8);
FIELD_AT(struct wal_group_header, checksum, 56, 8);
static_assert(sizeof(struct wal_group_header) == 64, "no hidden padding");

/* ---- file header and lives ---- */

void wal_file_header_build(struct wal_file_header *header, const struct database_id *database,
                           uint32_t shard, uint64_t ring_bytes, uint64_t tail_bytes);
/* KIWI_OK: the fields may be trusted. The text says which field is wrong. */
MUST_USE enum kiwi_status wal_file_header_check(const struct wal_file_header *header,
                                                const struct database_id *database,
                                                uint32_t shard, uint64_t file_bytes);
void     wal_life_build(struct wal_life *life, uint64_t identity, uint64_t log_id);
/* The id, or 0 when the slot does not verify. Ids start at 1. */
uint64_t wal_life_check(const struct wal_life *life, uint64_t identity);

/* ---- groups ---- */

/* The seed of every checksum of one life. identity: database_id_seed. */
static inline uint64_t wal_seed(uint64_t identity, uint32_t shard, uint64_t log_id)
{
    return hash_mix(hash_mix(identity, shard), log_id);
}

static inline uint64_t wal_group_bytes(uint64_t length)
{
    return round_up_u64(sizeof(struct wal_group_header) + length, WAL_PAGE_BYTES);
}

/* Of a closed group: all header fields before the checksum, and length bytes of records. */
uint64_t wal_group_checksum(const struct wal_group_header *header, uint64_t seed);
/* Of an open group: what neither an append nor closing changes. The two never agree, so that one
 * 8-byte store of the checksum turns an open group into a closed one. */
uint64_t wal_group_open_checksum(const struct wal_group_header *header, uint64_t seed);

/* What a reader knows of the groups it looks for. */
struct wal_group_identity {
    uint64_t identity; /* database_id_seed */
    uint32_t shard;
};

/* True when 64 bytes look like the header of a group of ours that fits bytes_max; unverified. */
bool wal_group_looks_right(const struct wal_group_header *header,
                           const struct wal_group_identity *identity, uint64_t bytes_max);
/* Full check of a closed group. bytes_max: readable from header on. */
bool wal_group_is_closed(const struct wal_group_header *header,
                         const struct wal_group_identity *identity, uint64_t bytes_max);
/* Check of the header of a group that was never closed; its records must be checked one by one. */
bool wal_group_is_open(const struct wal_group_header *header,
                       const struct wal_group_identity *identity, uint64_t bytes_max);

/* ---- records ---- */

enum wal_kind {
    WAL_PUT = ENTRY_PUT,
    WAL_DELETE = ENTRY_DELETE,
    WAL_BATCH = 3,
};

/* The bytes a record of an entry needs beyond its key and value, at most. */
#define WAL_ENTRY_OVERHEAD_BYTES 22u
/* The least an entry record takes: five headers and two empty spans. */
#define WAL_ENTRY_BYTES_MIN      8u

static inline uint64_t wal_entry_bound(const struct entry *entry)
{
    return WAL_ENTRY_OVERHEAD_BYTES + (uint64_t)entry->key.size + entry->value.size;
}

static inline uint64_t wal_batch_bound(uint32_t part_count)
{
    return 20 + 15 * (uint64_t)part_count;
}

/* One part of a batch over several shards: where its other parts are. */
struct wal_part {
    uint32_t shard;
    uint64_t sequence; /* of the part's last entry in that shard */
};

/* Writes one record and returns its end. At least the bound must be writable at target. */
uint8_t *wal_entry_encode(uint8_t *target, const struct entry *entry, uint64_t first_sequence,
                          uint64_t seed);

struct wal_batch {
    uint64_t               sequence;      /* of the first entry */
    uint32_t               entry_count;   /* entry records that follow and belong to it */
    uint32_t               part_count;
    const struct wal_part *parts;         /* encoding only */
    const uint8_t         *encoded_parts; /* decoding only: for wal_part_decode */
};

uint8_t *wal_batch_encode(uint8_t *target, const struct wal_batch *batch, uint64_t first_sequence,
                          uint64_t seed);

struct wal_record {
    enum wal_kind    kind;
    struct entry     entry; /* WAL_PUT, WAL_DELETE; key and value borrowed from the input */
    struct wal_batch batch; /* WAL_BATCH */
};

/* The only door from bytes to a record: bounds, types, limits and checksum are checked. Returns
 * the record's end, or NULL when there is no valid record at source. */
const uint8_t *wal_record_decode(const uint8_t *source, const uint8_t *end,
                                 uint64_t first_sequence, uint64_t seed, struct wal_record *out);
/* Walks the parts of a decoded batch: start with encoded_parts, part_count times. */
const uint8_t *wal_part_decode(const uint8_t *source, struct wal_part *out);
