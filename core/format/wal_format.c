/*
 * wal_format.c: builds and checks the parts of the log files, and encodes records by hand.
 *
 * The encoder writes the MessagePack specification directly: through the library's packer callbacks
 * a record costs four times as much. The library is the oracle in the tests, in both directions.
 */
#include "core/format/wal_format.h"

#include <inttypes.h>

/* Odd, so that neighbouring sequences differ in all bits of the product. */
#define SEQUENCE_FACTOR 0x9e3779b97f4a7c15ull
#define KEY_FACTOR      0xd6e8feb86659fd93ull
#define OPEN_TAG        0x6f70656eull /* sets the checksum of open groups apart */

/* First bytes of the MessagePack types in use. */
enum {
    PACK_ARRAY = 0x90,
    PACK_BIN8 = 0xc4,
    PACK_BIN16 = 0xc5,
    PACK_BIN32 = 0xc6,
    PACK_UINT8 = 0xcc,
    PACK_UINT16 = 0xcd,
    PACK_UINT32 = 0xce,
    PACK_UINT64 = 0xcf,
    PACK_ARRAY16 = 0xdc,
    PACK_ARRAY32 = 0xdd,
    RECORD_ARRAY = PACK_ARRAY | 5,
};

/* ---- file header and lives ---- */

static uint64_t file_header_checksum(const struct wal_file_header *header)
{
    return hash_checksum(header, offsetof(struct wal_file_header, checksum), WAL_MAGIC);
}

void wal_file_header_build(struct wal_file_header *header, const struct database_id *database,
                           uint32_t shard, uint64_t ring_bytes, uint64_t tail_bytes)
{
    assert(ring_bytes % WAL_PAGE_BYTES == 0);
    assert(tail_bytes % WAL_PAGE_BYTES == 0);
    *header = (struct wal_file_header){
        .magic = le64_of(WAL_MAGIC),
        .version = le32_of(WAL_VERSION),
        .shard = le32_of(shard),
        .database = *database,
        .ring_bytes = le64_of(ring_bytes),
        .tail_bytes = le64_of(tail_bytes),
    };
    header->checksum = le64_of(file_header_checksum(header));
}

enum kiwi_status wal_file_header_check(const struct wal_file_header *header,
                                       const struct database_id *database, uint32_t shard,
                                       uint64_t file_bytes)
{
    uint64_t ring_bytes = le64_get(header->ring_bytes);
    uint64_t tail_bytes = le64_get(header->tail_bytes);

    if (le64_get(header->magic) != WAL_MAGIC)
        return FAIL(KIWI_CORRUPT, "not a log file: magic %" PRIx64, le64_get(header->magic));
    if (le64_get(header->checksum) != file_header_checksum(header))
        return FAIL(KIWI_CORRUPT, "log header checksum is wrong");
    if (le32_get(header->version) != WAL_VERSION)
        return FAIL(KIWI_UNSUPPORTED, "log version %" PRIu32 ", this build reads %u",
                    le32_get(header->version), WAL_VERSION);
    if (memcmp(&header->database, database, sizeof *database) != 0)
        return FAIL(KIWI_CORRUPT, "log belongs to another database");
    if (le32_get(header->shard) != shard)
        return FAIL(KIWI_CORRUPT, "log of shard %" PRIu32 " found in shard %" PRIu32,
                    le32_get(header->shard), shard);
    if (ring_bytes == 0 || ring_bytes % WAL_PAGE_BYTES != 0 || tail_bytes == 0
        || tail_bytes % WAL_PAGE_BYTES != 0)
        return FAIL(KIWI_CORRUPT, "log header: ring %" PRIu64 " B, tail %" PRIu64 " B",
                    ring_bytes, tail_bytes);
    if (file_bytes < WAL_HEADER_BYTES || file_bytes - WAL_HEADER_BYTES < ring_bytes)
        return FAIL(KIWI_CORRUPT, "log file has %" PRIu64 " B, its ring needs %" PRIu64,
                    file_bytes, ring_bytes + WAL_HEADER_BYTES);
    return KIWI_OK;
}

void wal_life_build(struct wal_life *life, uint64_t identity, uint64_t log_id)
{
    assert(log_id != 0);
    life->magic = le64_of(WAL_LIFE_MAGIC);
    life->log_id = le64_of(log_id);
    life->checksum = le64_of(hash_checksum(life, offsetof(struct wal_life, checksum), identity));
}

uint64_t wal_life_check(const struct wal_life *life, uint64_t identity)
{
    if (le64_get(life->magic) != WAL_LIFE_MAGIC)
        return 0;
    if (le64_get(life->checksum)
        != hash_checksum(life, offsetof(struct wal_life, checksum), identity))
        return 0;
    return le64_get(life->log_id);
}

/* ---- groups ---- */

uint64_t wal_group_checksum(const struct wal_group_header *header, uint64_t seed)
{
    uint64_t of_header = hash_checksum(header, offsetof(struct wal_group_header, checksum), seed);

    return hash_checksum(header + 1, le32_get(header->length), of_header);
}

uint64_t wal_group_open_checksum(const struct wal_group_header *header, uint64_t seed)
{
    struct wal_group_header fixed = *header;

    fixed.length = le32_of(0);
    fixed.record_count = le32_of(0);
    fixed.durable_group = le64_of(0);
    return hash_checksum(&fixed, offsetof(struct wal_group_header, checksum), seed ^ OPEN_TAG);
}

bool wal_group_looks_right(const struct wal_group_header *header,
                           const struct wal_group_identity *identity, uint64_t bytes_max)
{
    if (le32_get(header->magic) != WAL_GROUP_MAGIC)
        return false;
    if (header->version != WAL_VERSION || header->kind > WAL_GROUP_SEAL)
        return false;
    if (le16_get(header->shard) != identity->shard)
        return false;
    if (header->kind != WAL_GROUP_RECORDS && le32_get(header->length) != 0)
        return false;
    if (le64_get(header->number) == 0 || le64_get(header->log_id) == 0)
        return false;
    return bytes_max >= sizeof *header && le32_get(header->length) <= bytes_max - sizeof *header;
}

static uint64_t header_seed(const struct wal_group_header *header,
                            const struct wal_group_identity *identity)
{
    return wal_seed(identity->identity, identity->shard, le64_get(header->log_id));
}

bool wal_group_is_closed(const struct wal_group_header *header,
                         const struct wal_group_identity *identity, uint64_t bytes_max)
{
    return wal_group_looks_right(header, identity, bytes_max)
        && le64_get(header->checksum)
               == wal_group_checksum(header, header_seed(header, identity));
}

bool wal_group_is_open(const struct wal_group_header *header,
                       const struct wal_group_identity *identity, uint64_t bytes_max)
{
    return wal_group_looks_right(header, identity, bytes_max)
        && le64_get(header->checksum)
               == wal_group_open_checksum(header, header_seed(header, identity));
}

/* ---- encoding ---- */

static inline uint8_t *put_u16(uint8_t *target, uint8_t type, uint16_t value)
{
    uint16_t big = __builtin_bswap16(value);

    target[0] = type;
    memcpy(target + 1, &big, 2);
    return target + 3;
}

static inline uint8_t *put_u32(uint8_t *target, uint8_t type, uint32_t value)
{
    uint32_t big = __builtin_bswap32(value);

    target[0] = type;
    memcpy(target + 1, &big, 4);
    return target + 5;
}

static inline uint8_t *put_u64(uint8_t *target, uint64_t value)
{
    uint64_t big = __builtin_bswap64(value);

    target[0] = PACK_UINT64;
    memcpy(target + 1, &big, 8);
    return target + 9;
}

static inline uint8_t *put_bin(uint8_t *target, struct bytes bytes)
{
    if (LIKELY(bytes.size <= UINT8_MAX)) {
        target[0] = PACK_BIN8;
        target[1] = (uint8_t)bytes.size;
        target += 2;
    } else if (bytes.size <= UINT16_MAX) {
        target = put_u16(target, PACK_BIN16, (uint16_t)bytes.size);
    } else {
        target = put_u32(target, PACK_BIN32, (uint32_t)bytes.size);
    }
    if (LIKELY(bytes.size != 0))
        memcpy(target, bytes.data, bytes.size);
    return target + bytes.size;
}

/* The array, its kind and its place in the group. */
static inline uint8_t *put_head(uint8_t *target, enum wal_kind kind, uint64_t delta)
{
    assert_slow(delta <= UINT32_MAX);
    target[0] = RECORD_ARRAY;
    target[1] = (uint8_t)kind;
    if (LIKELY(delta <= UINT16_MAX))
        return put_u16(target + 2, PACK_UINT16, (uint16_t)delta);
    return put_u32(target + 2, PACK_UINT32, (uint32_t)delta);
}

/* Where and when go in after hashing: seeding XXH3 itself is slow above 240 bytes. */
static inline uint32_t checksum_fold(uint64_t hash, uint64_t sequence, uint64_t seed)
{
    hash ^= seed + sequence * SEQUENCE_FACTOR;
    return (uint32_t)(hash ^ hash >> 32);
}

/* Of what the record says, not of its bytes: the caller's key and value are hashed side by side,
 * while reading back bytes that were just written would wait for them. XXH3 covers the sizes. */
static inline uint32_t entry_checksum(const struct entry *entry, uint64_t seed)
{
    uint64_t key = hash_checksum(entry->key.data, entry->key.size, 0);
    uint64_t value = hash_checksum(entry->value.data, entry->value.size, 0);

    return checksum_fold((key + (uint64_t)entry->kind) * KEY_FACTOR + value, entry->sequence,
                         seed);
}

static inline uint32_t batch_checksum(const uint8_t *record, size_t bytes, uint64_t sequence,
                                      uint64_t seed)
{
    return checksum_fold(hash_checksum(record, bytes, 0), sequence, seed);
}

uint8_t *wal_entry_encode(uint8_t *target, const struct entry *entry, uint64_t first_sequence,
                          uint64_t seed)
{
    uint8_t *at = put_head(target, (enum wal_kind)entry->kind, entry->sequence - first_sequence);

    /* What the decoder would refuse must not get into a log. */
    assert(entry->key.size <= KIWI_KEY_BYTES_MAX);
    assert_slow(entry->kind == ENTRY_PUT || entry->value.size == 0);
    assert_slow(entry->value.size <= KIWI_VALUE_BYTES_MAX);
    at = put_bin(at, entry->key);
    at = put_bin(at, entry->value);
    return put_u32(at, PACK_UINT32, entry_checksum(entry, seed));
}

uint8_t *wal_batch_encode(uint8_t *target, const struct wal_batch *batch, uint64_t first_sequence,
                          uint64_t seed)
{
    uint8_t *at = put_head(target, WAL_BATCH, batch->sequence - first_sequence);

    assert(batch->entry_count >= 1);
    assert(batch->entry_count <= KIWI_BATCH_COUNT_MAX);
    assert(batch->part_count <= KIWI_SHARD_COUNT_MAX);
    at = put_u32(at, PACK_UINT32, batch->entry_count);
    at = put_u16(at, PACK_ARRAY16, (uint16_t)batch->part_count);
    for (uint32_t i = 0; i < batch->part_count; i++) {
        *at++ = PACK_ARRAY | 2;
        at = put_u32(at, PACK_UINT32, batch->parts[i].shard);
        at = put_u64(at, batch->parts[i].sequence);
    }
    return put_u32(at, PACK_UINT32,
                   batch_checksum(target, (size_t)(at - target), batch->sequence, seed));
}

/* ---- decoding: each returns the end of what it took, NULL when it is not there ---- */

static inline const uint8_t *take_big(const uint8_t *source, const uint8_t *end, size_t bytes,
                                      uint64_t *value)
{
    if (UNLIKELY((size_t)(end - source) < bytes))
        return NULL;
    *value = 0;
    for (size_t i = 0; i < bytes; i++)
        *value = *value << 8 | source[i];
    return source + bytes;
}

static inline const uint8_t *take_uint(const uint8_t *source, const uint8_t *end, uint64_t *value)
{
    if (UNLIKELY(source == NULL || source == end))
        return NULL;
    if (*source <= 0x7f) {
        *value = *source;
        return source + 1;
    }
    switch (*source) {
    case PACK_UINT16: return take_big(source + 1, end, 2, value);
    case PACK_UINT32: return take_big(source + 1, end, 4, value);
    case PACK_UINT64: return take_big(source + 1, end, 8, value);
    case PACK_UINT8:  return take_big(source + 1, end, 1, value);
    default:          return NULL;
    }
}

static inline const uint8_t *take_bin(const uint8_t *source, const uint8_t *end,
                                      struct bytes *bytes)
{
    uint64_t size = 0;

    if (UNLIKELY(source == NULL || source == end))
        return NULL;
    switch (*source) {
    case PACK_BIN8:  source = take_big(source + 1, end, 1, &size); break;
    case PACK_BIN16: source = take_big(source + 1, end, 2, &size); break;
    case PACK_BIN32: source = take_big(source + 1, end, 4, &size); break;
    default:         return NULL;
    }
    if (UNLIKELY(source == NULL || (uint64_t)(end - source) < size))
        return NULL;
    *bytes = bytes_of(source, (size_t)size);
    return source + size;
}

static const uint8_t *take_array(const uint8_t *source, const uint8_t *end, uint64_t *count)
{
    if (source == NULL || source == end)
        return NULL;
    if ((*source & 0xf0) == PACK_ARRAY) {
        *count = *source & 0x0f;
        return source + 1;
    }
    switch (*source) {
    case PACK_ARRAY16: return take_big(source + 1, end, 2, count);
    case PACK_ARRAY32: return take_big(source + 1, end, 4, count);
    default:           return NULL;
    }
}

static const uint8_t *take_part(const uint8_t *source, const uint8_t *end, struct wal_part *part)
{
    uint64_t count = 0, shard = 0, sequence = 0;

    source = take_array(source, end, &count);
    if (source == NULL || count != 2)
        return NULL;
    source = take_uint(source, end, &shard);
    source = take_uint(source, end, &sequence);
    if (source == NULL || shard > UINT32_MAX || sequence > SEQUENCE_MAX)
        return NULL;
    *part = (struct wal_part){ (uint32_t)shard, sequence };
    return source;
}

const uint8_t *wal_part_decode(const uint8_t *source, struct wal_part *out)
{
    const uint8_t *end = take_part(source, source + wal_batch_bound(1), out);

    assert(end != NULL); /* wal_record_decode has walked these bytes */
    return end;
}

static const uint8_t *take_batch(const uint8_t *source, const uint8_t *end,
                                 struct wal_batch *batch)
{
    uint64_t        entry_count = 0, part_count = 0;
    struct wal_part part;

    source = take_uint(source, end, &entry_count);
    source = take_array(source, end, &part_count);
    if (source == NULL || entry_count < 1 || entry_count > KIWI_BATCH_COUNT_MAX
        || part_count > KIWI_SHARD_COUNT_MAX)
        return NULL;
    *batch = (struct wal_batch){
        .entry_count = (uint32_t)entry_count,
        .part_count = (uint32_t)part_count,
        .encoded_parts = source,
    };
    for (uint64_t i = 0; i < part_count && source != NULL; i++)
        source = take_part(source, end, &part);
    return source;
}

static const uint8_t *take_entry(const uint8_t *source, const uint8_t *end, struct entry *entry)
{
    source = take_bin(source, end, &entry->key);
    source = take_bin(source, end, &entry->value);
    if (UNLIKELY(source == NULL || entry->key.size > KIWI_KEY_BYTES_MAX
                 || entry->value.size > KIWI_VALUE_BYTES_MAX))
        return NULL;
    if (UNLIKELY(entry->kind == ENTRY_DELETE && entry->value.size != 0))
        return NULL;
    return source;
}

const uint8_t *wal_record_decode(const uint8_t *source, const uint8_t *end,
                                 uint64_t first_sequence, uint64_t seed, struct wal_record *out)
{
    const uint8_t *at;
    uint64_t       delta = 0, stored = 0, sequence;
    uint32_t       checksum;
    uint8_t        kind;

    if (UNLIKELY(end - source < (ptrdiff_t)WAL_ENTRY_BYTES_MIN || source[0] != RECORD_ARRAY))
        return NULL;
    kind = source[1];
    if (UNLIKELY(kind < WAL_PUT || kind > WAL_BATCH))
        return NULL;
    at = take_uint(source + 2, end, &delta);
    if (UNLIKELY(at == NULL || delta > SEQUENCE_MAX || first_sequence > SEQUENCE_MAX - delta))
        return NULL;
    sequence = first_sequence + delta;
    out->kind = (enum wal_kind)kind;
    if (LIKELY(kind != WAL_BATCH)) {
        out->entry.kind = (enum entry_kind)kind;
        out->entry.sequence = sequence;
        at = take_entry(at, end, &out->entry);
        if (UNLIKELY(at == NULL))
            return NULL;
        checksum = entry_checksum(&out->entry, seed);
    } else {
        at = take_batch(at, end, &out->batch);
        if (UNLIKELY(at == NULL))
            return NULL;
        out->batch.sequence = sequence;
        checksum = batch_checksum(source, (size_t)(at - source), sequence, seed);
    }
    at = take_uint(at, end, &stored);
    return LIKELY(at != NULL && stored == checksum && sequence != 0) ? at : NULL;
}
