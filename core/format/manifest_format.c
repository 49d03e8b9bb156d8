/*
 * manifest_format.c: builds and checks the parts of a manifest file.
 *
 * Payloads are packed by the msgpack library and read by a small reader of our own, which takes no
 * memory and cannot be led anywhere by hostile counts; the library's reader is the oracle in tests.
 */
#include "core/format/manifest_format.h"

#include <inttypes.h>
#include <msgpack/pack.h>

/* ---- the header block ---- */

static uint64_t identity_seed(const struct manifest_identity *identity)
{
    return hash_mix(database_id_seed(&identity->database), identity->shard);
}

static uint64_t head_checksum(const uint8_t *block, uint64_t seed)
{
    return hash_checksum(block + 8, MANIFEST_PAGE_BYTES - 8, hash_mix(seed, MANIFEST_MAGIC));
}

void manifest_head_encode(uint8_t *block, const struct manifest_identity *identity,
                          const struct manifest_head *head)
{
    struct manifest_header header = {
        .magic = le64_of(MANIFEST_MAGIC),
        .version = le32_of(MANIFEST_VERSION),
        .shard = le32_of(identity->shard),
        .database = identity->database,
        .slot = le32_of(head->slot),
        .generation = le64_of(head->generation),
        .successor = le64_of(head->successor),
        .file_bytes = le64_of(head->file_bytes),
        .state_bytes = le64_of(head->state_bytes),
        .state_group_count = le64_of(head->state_group_count),
        .state_checksum = le64_of(head->state_checksum),
    };

    assert(head->slot < MANIFEST_SLOT_COUNT);
    assert(head->successor == 0 || head->successor > head->generation);
    memset(block, 0, MANIFEST_PAGE_BYTES);
    memcpy(block, &header, sizeof header);
    header.checksum = le64_of(head_checksum(block, identity_seed(identity)));
    memcpy(block, &header.checksum, sizeof header.checksum);
}

static enum kiwi_status head_check(const struct manifest_head *head)
{
    bool is_live = head->successor == 0;

    if (head->generation == 0 && is_live)
        return FAIL(KIWI_CORRUPT, "manifest header: generation 0 cannot be live");
    if (!is_live && head->successor <= head->generation)
        return FAIL(KIWI_CORRUPT, "manifest header: generation %" PRIu64 " retired by %" PRIu64,
                    head->generation, head->successor);
    if (head->file_bytes % MANIFEST_PAGE_BYTES != 0 || head->file_bytes > MANIFEST_FILE_BYTES_MAX
        || head->file_bytes < MANIFEST_PAGE_BYTES)
        return FAIL(KIWI_CORRUPT, "manifest header: file of %" PRIu64 " B", head->file_bytes);
    if (head->state_bytes % MANIFEST_PAGE_BYTES != 0
        || head->state_bytes > head->file_bytes - MANIFEST_PAGE_BYTES
        || head->state_group_count > head->state_bytes / MANIFEST_PAGE_BYTES)
        return FAIL(KIWI_CORRUPT, "manifest header: state of %" PRIu64 " groups, %" PRIu64 " B",
                    head->state_group_count, head->state_bytes);
    if (is_live && head->state_group_count == 0)
        return FAIL(KIWI_CORRUPT, "manifest header: a live file without a state");
    return KIWI_OK;
}

enum kiwi_status manifest_head_decode(const uint8_t *block,
                                      const struct manifest_identity *identity, uint32_t slot,
                                      struct manifest_head *out)
{
    struct manifest_header   header;
    struct manifest_identity writer;

    memcpy(&header, block, sizeof header);
    writer = (struct manifest_identity){ header.database, le32_get(header.shard) };
    if (le64_get(header.magic) != MANIFEST_MAGIC)
        return FAIL(KIWI_CORRUPT, "not a manifest: magic %016" PRIx64, le64_get(header.magic));
    /* Seeded with the identity it names, so that a foreign manifest is told from a damaged one. */
    if (le64_get(header.checksum) != head_checksum(block, identity_seed(&writer)))
        return FAIL(KIWI_CORRUPT, "manifest header: wrong checksum");
    if (le32_get(header.version) != MANIFEST_VERSION)
        return FAIL(KIWI_UNSUPPORTED, "manifest version %" PRIu32 ", this build reads %u",
                    le32_get(header.version), MANIFEST_VERSION);
    if (memcmp(&writer.database, &identity->database, sizeof writer.database) != 0)
        return FAIL(KIWI_CORRUPT, "manifest of another database");
    if (writer.shard != identity->shard)
        return FAIL(KIWI_CORRUPT, "manifest of shard %" PRIu32 ", expected shard %" PRIu32,
                    writer.shard, identity->shard);
    if (le32_get(header.slot) != slot)
        return FAIL(KIWI_CORRUPT, "this is a copy of manifest-%" PRIu32, le32_get(header.slot));
    *out = (struct manifest_head){
        .slot = slot,
        .generation = le64_get(header.generation),
        .successor = le64_get(header.successor),
        .file_bytes = le64_get(header.file_bytes),
        .state_bytes = le64_get(header.state_bytes),
        .state_group_count = le64_get(header.state_group_count),
        .state_checksum = le64_get(header.state_checksum),
    };
    return head_check(out);
}

/* ---- groups ---- */

static uint64_t group_checksum(const uint8_t *group, uint64_t bytes,
                               const struct manifest_identity *identity, uint64_t generation,
                               uint64_t number)
{
    uint64_t seed = hash_mix(hash_mix(identity_seed(identity), generation), number);

    return hash_checksum(group + 8, bytes - 8, seed);
}

void manifest_group_encode(uint8_t *target, const struct manifest_identity *identity,
                           struct manifest_group *group)
{
    uint64_t bytes = manifest_group_bytes(group->payload.size);
    uint64_t end = sizeof(struct manifest_group_header) + group->payload.size;
    struct manifest_group_header header = {
        .magic = le64_of(MANIFEST_GROUP_MAGIC),
        .version = le32_of(MANIFEST_VERSION),
        .kind = le32_of(group->kind),
        .generation = le64_of(group->generation),
        .number = le64_of(group->number),
        .durable_number = le64_of(group->durable_number),
        .previous_checksum = le64_of(group->previous_checksum),
        .payload_bytes = le32_of((uint32_t)group->payload.size),
    };

    assert(group->payload.data == target + sizeof header);
    assert(group->payload.size <= MANIFEST_FILE_BYTES_MAX);
    assert(group->durable_number < group->number);
    memcpy(target, &header, sizeof header);
    memset(target + end, 0, bytes - end);
    group->checksum = group_checksum(target, bytes, identity, group->generation, group->number);
    header.checksum = le64_of(group->checksum);
    memcpy(target, &header.checksum, sizeof header.checksum);
}

bool manifest_group_decode(const uint8_t *source, uint64_t bytes_max,
                           const struct manifest_identity *identity, uint64_t generation,
                           struct manifest_group *out)
{
    struct manifest_group_header header;

    if (bytes_max < sizeof header)
        return false;
    memcpy(&header, source, sizeof header);
    uint64_t bytes = manifest_group_bytes(le32_get(header.payload_bytes));
    uint64_t number = le64_get(header.number);
    if (le64_get(header.magic) != MANIFEST_GROUP_MAGIC
        || le32_get(header.version) != MANIFEST_VERSION || bytes > bytes_max
        || le64_get(header.generation) != generation)
        return false;
    if (le64_get(header.checksum) != group_checksum(source, bytes, identity, generation, number))
        return false;
    uint32_t kind = le32_get(header.kind);
    if ((kind != MANIFEST_GROUP_STATE && kind != MANIFEST_GROUP_EDIT) || number == 0
        || le64_get(header.durable_number) >= number)
        return false;
    *out = (struct manifest_group){
        .kind = (enum manifest_group_kind)kind,
        .generation = generation,
        .number = number,
        .durable_number = le64_get(header.durable_number),
        .previous_checksum = le64_get(header.previous_checksum),
        .checksum = le64_get(header.checksum),
        .payload = bytes_of(source + sizeof header, le32_get(header.payload_bytes)),
    };
    return true;
}

/* ---- packing edits ---- */

/* What the library's packer writes into. */
struct pack_target {
    uint8_t *at, *end;
};

static int pack_write(void *context, const char *data, size_t bytes)
{
    struct pack_target *target = context;

    assert(bytes <= (size_t)(target->end - target->at)); /* the bound held */
    memcpy(target->at, data, bytes);
    target->at += bytes;
    return 0;
}

enum {
    HEAD_BYTES_MAX = 160,    /* map, five names, three array counts, six integers */
    INTEGER_BYTES_MAX = 9,
    BIN_HEAD_BYTES_MAX = 5,
    ADDED_FIELD_COUNT = 14,
    ADDED_BYTES_MAX = 1 + 12 * INTEGER_BYTES_MAX + 2 * BIN_HEAD_BYTES_MAX,
    NARROWED_BYTES_MAX = 1 + INTEGER_BYTES_MAX + BIN_HEAD_BYTES_MAX,
};

uint64_t manifest_edit_bound(const struct manifest_edit *edit)
{
    uint64_t bytes = HEAD_BYTES_MAX + (uint64_t)edit->removed_count * INTEGER_BYTES_MAX;

    for (uint32_t i = 0; i < edit->added_count; i++)
        bytes += ADDED_BYTES_MAX + edit->added[i].smallest.size + edit->added[i].largest.size;
    for (uint32_t i = 0; i < edit->narrowed_count; i++)
        bytes += NARROWED_BYTES_MAX + edit->narrowed[i].above.size;
    return bytes;
}

static void pack_name(msgpack_packer *packer, const char *name)
{
    msgpack_pack_str_with_body(packer, name, strlen(name));
}

static void pack_three(msgpack_packer *packer, const char *name, uint64_t a, uint64_t b, uint64_t c)
{
    pack_name(packer, name);
    msgpack_pack_array(packer, 3);
    msgpack_pack_uint64(packer, a);
    msgpack_pack_uint64(packer, b);
    msgpack_pack_uint64(packer, c);
}

static void pack_key(msgpack_packer *packer, struct bytes key)
{
    msgpack_pack_bin(packer, key.size);
    if (key.size > 0)
        msgpack_pack_bin_body(packer, key.data, key.size);
}

static void pack_added(msgpack_packer *packer, const struct manifest_added *added)
{
    msgpack_pack_array(packer, ADDED_FIELD_COUNT);
    msgpack_pack_uint64(packer, added->id);
    msgpack_pack_uint64(packer, added->level);
    msgpack_pack_uint64(packer, added->run_id);
    msgpack_pack_uint64(packer, added->file_id);
    msgpack_pack_uint64(packer, added->file_bytes);
    msgpack_pack_uint64(packer, added->data_bytes);
    msgpack_pack_uint64(packer, added->entry_count);
    msgpack_pack_uint64(packer, added->tombstone_count);
    msgpack_pack_uint64(packer, added->raw_bytes);
    msgpack_pack_uint64(packer, added->sequence_min);
    msgpack_pack_uint64(packer, added->sequence_max);
    msgpack_pack_uint64(packer, added->footer_checksum);
    pack_key(packer, added->smallest);
    pack_key(packer, added->largest);
}

uint64_t manifest_edit_encode(uint8_t *target, uint64_t bytes_max,
                              const struct manifest_edit *edit)
{
    const struct manifest_scalars *scalars = &edit->scalars;
    struct pack_target             writer = { target, target + bytes_max };
    msgpack_packer                 packer;

    assert(manifest_edit_bound(edit) <= bytes_max);
    msgpack_packer_init(&packer, &writer, pack_write);
    msgpack_pack_map(&packer, 5);
    pack_three(&packer, "log", scalars->flushed_sequence, scalars->log_group, scalars->log_offset);
    pack_three(&packer, "next", scalars->table_id_next, scalars->file_id_next,
               scalars->run_id_next);
    pack_name(&packer, "added");
    msgpack_pack_array(&packer, edit->added_count);
    for (uint32_t i = 0; i < edit->added_count; i++)
        pack_added(&packer, &edit->added[i]);
    pack_name(&packer, "removed");
    msgpack_pack_array(&packer, edit->removed_count);
    for (uint32_t i = 0; i < edit->removed_count; i++)
        msgpack_pack_uint64(&packer, edit->removed[i]);
    pack_name(&packer, "narrowed");
    msgpack_pack_array(&packer, edit->narrowed_count);
    for (uint32_t i = 0; i < edit->narrowed_count; i++) {
        msgpack_pack_array(&packer, 2);
        msgpack_pack_uint64(&packer, edit->narrowed[i].id);
        pack_key(&packer, edit->narrowed[i].above);
    }
    return (uint64_t)(writer.at - target);
}

/* ---- reading edits ---- */

/* First bytes of the MessagePack types in use. */
enum {
    PACK_FIXMAP = 0x80,
    PACK_FIXARRAY = 0x90,
    PACK_FIXSTR = 0xa0,
    PACK_BIN8 = 0xc4,
    PACK_BIN32 = 0xc6,
    PACK_UINT8 = 0xcc,
    PACK_UINT64 = 0xcf,
    PACK_ARRAY16 = 0xdc,
    PACK_ARRAY32 = 0xdd,
};

/* After the first failed read everything reads as zero and nothing moves. */
struct pack_reader {
    const uint8_t *at, *end;
    bool           has_failed;
};

static uint64_t read_big_endian(struct pack_reader *reader, size_t bytes)
{
    uint64_t value = 0;

    if (reader->has_failed || (size_t)(reader->end - reader->at) < bytes) {
        reader->has_failed = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | reader->at[i];
    reader->at += bytes;
    return value;
}

static uint64_t read_integer(struct pack_reader *reader)
{
    uint64_t first = read_big_endian(reader, 1);

    if (first < 0x80)
        return first;
    if (first >= PACK_UINT8 && first <= PACK_UINT64)
        return read_big_endian(reader, (size_t)1 << (first - PACK_UINT8));
    reader->has_failed = true;
    return 0;
}

static uint32_t read_array(struct pack_reader *reader)
{
    uint64_t first = read_big_endian(reader, 1);

    if ((first & 0xf0) == PACK_FIXARRAY)
        return (uint32_t)first & 0x0f;
    if (first == PACK_ARRAY16 || first == PACK_ARRAY32)
        return (uint32_t)read_big_endian(reader, first == PACK_ARRAY16 ? 2 : 4);
    reader->has_failed = true;
    return 0;
}

static struct bytes read_key(struct pack_reader *reader)
{
    uint64_t first = read_big_endian(reader, 1), size = 0;

    if (first >= PACK_BIN8 && first <= PACK_BIN32)
        size = read_big_endian(reader, (size_t)1 << (first - PACK_BIN8));
    else
        reader->has_failed = true;
    if (reader->has_failed || size > KIWI_KEY_BYTES_MAX
        || size > (size_t)(reader->end - reader->at)) {
        reader->has_failed = true;
        return (struct bytes){ NULL, 0 };
    }
    reader->at += size;
    return bytes_of(reader->at - size, size);
}

static void read_name(struct pack_reader *reader, const char *name)
{
    size_t size = strlen(name);

    if (read_big_endian(reader, 1) != (PACK_FIXSTR | size)
        || (size_t)(reader->end - reader->at) < size || memcmp(reader->at, name, size) != 0)
        reader->has_failed = true;
    else
        reader->at += size;
}

static void read_three(struct pack_reader *reader, const char *name, uint64_t *const values[3])
{
    read_name(reader, name);
    if (read_array(reader) != 3)
        reader->has_failed = true;
    for (uint32_t i = 0; i < 3; i++)
        *values[i] = read_integer(reader);
}

static bool id_is_legal(uint64_t id)
{
    return id >= 1 && id <= MANIFEST_ID_MAX;
}

static bool added_is_legal(const struct manifest_added *added, uint64_t level)
{
    return id_is_legal(added->id) && id_is_legal(added->run_id) && added->file_id <= MANIFEST_ID_MAX
        && level < KIWI_LEVEL_COUNT_MAX && added->file_bytes % MANIFEST_PAGE_BYTES == 0
        && added->data_bytes <= added->file_bytes && added->tombstone_count <= added->entry_count
        && added->sequence_min <= added->sequence_max && added->sequence_max <= SEQUENCE_MAX
        && bytes_compare(added->smallest, added->largest) <= 0;
}

static void read_added(struct pack_reader *reader, struct manifest_added *added)
{
    uint64_t level;

    if (read_array(reader) != ADDED_FIELD_COUNT)
        reader->has_failed = true;
    added->id = read_integer(reader);
    level = read_integer(reader);
    added->run_id = read_integer(reader);
    added->file_id = read_integer(reader);
    added->file_bytes = read_integer(reader);
    added->data_bytes = read_integer(reader);
    added->entry_count = read_integer(reader);
    added->tombstone_count = read_integer(reader);
    added->raw_bytes = read_integer(reader);
    added->sequence_min = read_integer(reader);
    added->sequence_max = read_integer(reader);
    added->footer_checksum = read_integer(reader);
    added->smallest = read_key(reader);
    added->largest = read_key(reader);
    added->level = (uint32_t)level;
    if (!added_is_legal(added, level))
        reader->has_failed = true;
}

static void read_narrowed(struct pack_reader *reader, struct manifest_narrowed *narrowed)
{
    if (read_array(reader) != 2)
        reader->has_failed = true;
    narrowed->id = read_integer(reader);
    narrowed->above = read_key(reader);
    if (!id_is_legal(narrowed->id))
        reader->has_failed = true;
}

static void read_scalars(struct pack_reader *reader, struct manifest_scalars *scalars)
{
    uint64_t *const log[3] = { &scalars->flushed_sequence, &scalars->log_group,
                               &scalars->log_offset };
    uint64_t *const next[3] = { &scalars->table_id_next, &scalars->file_id_next,
                                &scalars->run_id_next };

    read_three(reader, "log", log);
    read_three(reader, "next", next);
    for (uint32_t i = 0; i < 3; i++) {
        if (!id_is_legal(*next[i]))
            reader->has_failed = true;
    }
    if (scalars->flushed_sequence > SEQUENCE_MAX)
        reader->has_failed = true;
}

enum kiwi_status manifest_edit_check(struct bytes payload, struct manifest_edit_view *out)
{
    struct pack_reader       reader = { payload.data, payload.data, payload.size == 0 };
    struct manifest_added    added;
    struct manifest_narrowed narrowed;
    const uint8_t           *start;

    if (payload.size > 0)
        reader.end = payload.data + payload.size;
    *out = (struct manifest_edit_view){ 0 };
    if (read_big_endian(&reader, 1) != (PACK_FIXMAP | 5))
        reader.has_failed = true;
    read_scalars(&reader, &out->scalars);
    read_name(&reader, "added");
    out->added_count = read_array(&reader);
    start = reader.at;
    for (uint32_t i = 0; i < out->added_count && !reader.has_failed; i++)
        read_added(&reader, &added);
    out->added = bytes_of(start, (size_t)(reader.at - start));
    read_name(&reader, "removed");
    out->removed_count = read_array(&reader);
    start = reader.at;
    for (uint32_t i = 0; i < out->removed_count && !reader.has_failed; i++) {
        if (!id_is_legal(read_integer(&reader)))
            reader.has_failed = true;
    }
    out->removed = bytes_of(start, (size_t)(reader.at - start));
    read_name(&reader, "narrowed");
    out->narrowed_count = read_array(&reader);
    start = reader.at;
    for (uint32_t i = 0; i < out->narrowed_count && !reader.has_failed; i++)
        read_narrowed(&reader, &narrowed);
    out->narrowed = bytes_of(start, (size_t)(reader.at - start));
    if (reader.has_failed || reader.at != reader.end)
        return FAIL(KIWI_CORRUPT, "manifest edit of %zu B is wrong at byte %zu", payload.size,
                    (size_t)(reader.at - payload.data));
    return KIWI_OK;
}

/* ---- walking checked edits ---- */

static struct pack_reader reader_of(const struct bytes *rest)
{
    return (struct pack_reader){ rest->data, rest->data + rest->size, false };
}

static void rest_advance(struct bytes *rest, const struct pack_reader *reader)
{
    assert(!reader->has_failed); /* checked before */
    *rest = bytes_of(reader->at, (size_t)(reader->end - reader->at));
}

void manifest_added_next(struct bytes *rest, struct manifest_added *out)
{
    struct pack_reader reader = reader_of(rest);

    read_added(&reader, out);
    rest_advance(rest, &reader);
}

uint64_t manifest_removed_next(struct bytes *rest)
{
    struct pack_reader reader = reader_of(rest);
    uint64_t           id = read_integer(&reader);

    rest_advance(rest, &reader);
    return id;
}

void manifest_narrowed_next(struct bytes *rest, struct manifest_narrowed *out)
{
    struct pack_reader reader = reader_of(rest);

    read_narrowed(&reader, out);
    rest_advance(rest, &reader);
}
