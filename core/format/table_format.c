/*
 * table_format.c: seals and checks blocks, and builds and checks footer and properties.
 */
#include "core/format/table_format.h"

#include <inttypes.h>
#include <msgpack.h>

#include "core/format/plain_map.h"

static uint64_t block_checksum(const uint8_t *block, uint32_t bytes, uint64_t seed,
                               uint64_t offset)
{
    size_t skipped = sizeof(((struct table_block_header *)0)->checksum);

    return hash_checksum(block + skipped, bytes - skipped, hash_mix(seed, offset));
}

static uint32_t pages_of(uint32_t bytes)
{
    return bytes / TABLE_PAGE_BYTES + (bytes % TABLE_PAGE_BYTES != 0);
}

void table_block_seal(uint8_t *block, enum table_block_kind kind, uint32_t bytes, uint64_t seed,
                      uint64_t offset)
{
    struct table_block_header *header = (struct table_block_header *)block;

    assert(bytes >= TABLE_SECTOR_BYTES && bytes % TABLE_SECTOR_BYTES == 0);
    assert(pages_of(bytes) <= UINT16_MAX);
    header->kind = (uint8_t)kind;
    header->codec = TABLE_CODEC_NONE;
    header->pages = le16_of((uint16_t)pages_of(bytes));
    header->checksum = le64_of(block_checksum(block, bytes, seed, offset));
}

const char *table_block_verify(const uint8_t *block, enum table_block_kind kind, uint32_t bytes,
                               uint64_t seed, uint64_t offset)
{
    const struct table_block_header *header = (const struct table_block_header *)block;

    assert(bytes >= TABLE_SECTOR_BYTES && bytes % TABLE_SECTOR_BYTES == 0);
    if (le64_get(header->checksum) != block_checksum(block, bytes, seed, offset))
        return "wrong checksum";
    if (header->kind != kind)
        return "a block of another kind";
    if (le16_get(header->pages) != pages_of(bytes))
        return "a block of another length";
    if (header->codec != TABLE_CODEC_NONE)
        return "an unknown codec";
    if (header->key_form != TABLE_KEYS_WHOLE && kind != TABLE_BLOCK_DATA)
        return "reserved bytes in use";
    return NULL;
}

static uint64_t footer_checksum(const struct table_footer *footer,
                                const struct table_layout *layout)
{
    uint64_t seed = table_seed(&layout->database, layout->table_id);
    uint64_t offset = layout->file_bytes - sizeof *footer;

    return hash_checksum(footer, offsetof(struct table_footer, checksum), hash_mix(seed, offset));
}

void table_footer_build(struct table_footer *footer, const struct table_layout *layout)
{
    assert(layout->filter_offset <= layout->index_offset);
    assert(layout->index_offset < layout->top_offset);
    assert(layout->top_offset < layout->properties_offset);
    assert(layout->properties_offset < layout->file_bytes - sizeof *footer);
    *footer = (struct table_footer){
        .magic = le64_of(TABLE_MAGIC),
        .version = le32_of(TABLE_VERSION),
        .database = layout->database,
        .table_id = le64_of(layout->table_id),
        .file_bytes = le64_of(layout->file_bytes),
        .filter_offset = le64_of(layout->filter_offset),
        .index_offset = le64_of(layout->index_offset),
        .top_offset = le64_of(layout->top_offset),
        .properties_offset = le64_of(layout->properties_offset),
    };
    footer->checksum = le64_of(footer_checksum(footer, layout));
}

static bool footer_reserved_is_zero(const struct table_footer *footer)
{
    uint8_t any = 0;

    for (size_t i = 0; i < sizeof footer->reserved; i++)
        any |= footer->reserved[i];
    return any == 0 && le32_get(footer->reserved_word) == 0;
}

enum kiwi_status table_footer_check(const struct table_footer *footer, struct table_layout *layout)
{
    uint64_t end = layout->file_bytes - sizeof *footer;

    assert(layout->file_bytes > sizeof *footer);
    if (le64_get(footer->magic) != TABLE_MAGIC)
        return FAIL(KIWI_CORRUPT, "no table footer: magic %016" PRIx64, le64_get(footer->magic));
    if (memcmp(&footer->database, &layout->database, sizeof footer->database) != 0)
        return FAIL(KIWI_CORRUPT, "table of another database");
    if (le64_get(footer->table_id) != layout->table_id)
        return FAIL(KIWI_CORRUPT, "table %" PRIu64 " where %" PRIu64 " was expected",
                    le64_get(footer->table_id), layout->table_id);
    if (le64_get(footer->checksum) != footer_checksum(footer, layout))
        return FAIL(KIWI_CORRUPT, "wrong checksum of the table footer");
    if (le32_get(footer->version) != TABLE_VERSION)
        return FAIL(KIWI_UNSUPPORTED, "table version %u, this build reads %u",
                    le32_get(footer->version), TABLE_VERSION);
    if (le64_get(footer->file_bytes) != layout->file_bytes || !footer_reserved_is_zero(footer))
        return FAIL(KIWI_CORRUPT, "table footer for %" PRIu64 " bytes, not %" PRIu64,
                    le64_get(footer->file_bytes), layout->file_bytes);
    layout->filter_offset = le64_get(footer->filter_offset);
    layout->index_offset = le64_get(footer->index_offset);
    layout->top_offset = le64_get(footer->top_offset);
    layout->properties_offset = le64_get(footer->properties_offset);
    const uint64_t parts[] = { 0, layout->filter_offset, layout->index_offset, layout->top_offset,
                               layout->properties_offset, end };
    for (size_t i = 1; i < ARRAY_COUNT(parts); i++) {
        bool may_be_empty = i == 2; /* a table without filter */
        if (parts[i] % TABLE_PAGE_BYTES != 0 || parts[i] < parts[i - 1]
            || (parts[i] == parts[i - 1] && !may_be_empty))
            return FAIL(KIWI_CORRUPT, "table footer: part %zu from %" PRIu64 " to %" PRIu64, i,
                        parts[i - 1], parts[i]);
    }
    return KIWI_OK;
}

/* ---- properties ---- */

/* The numbers of the map, by name and place. */
static const struct {
    const char *name;
    size_t      at;
} numbers[] = {
#define NUMBER(field) { #field, offsetof(struct table_properties, field) }
    NUMBER(file_id),          NUMBER(entry_count),       NUMBER(key_count),
    NUMBER(tombstone_count),  NUMBER(raw_bytes),         NUMBER(sequence_min),
    NUMBER(sequence_max),     NUMBER(block_bytes),       NUMBER(block_count),
    NUMBER(index_partitions), NUMBER(filter_partitions), NUMBER(filter_blocks),
    NUMBER(filter_lanes),     NUMBER(hash_seed),
#undef NUMBER
};

static const struct {
    const char *name;
    size_t      at;
} keys[] = {
    { "smallest", offsetof(struct table_properties, smallest) },
    { "largest", offsetof(struct table_properties, largest) },
};

enum {
    PROPERTY_NAME_BYTES = 24,
    PROPERTY_COUNT = ARRAY_COUNT(numbers) + ARRAY_COUNT(keys),
};

uint32_t table_properties_bound(const struct table_properties *properties)
{
    size_t bytes = 8 + PROPERTY_COUNT * (PROPERTY_NAME_BYTES + 16);

    return (uint32_t)(bytes + properties->smallest.size + properties->largest.size);
}

struct packed {
    uint8_t *target;
    uint32_t used, bound;
};

static int packed_append(void *context, const char *data, size_t bytes)
{
    struct packed *packed = context;

    assert(bytes <= packed->bound - packed->used);
    memcpy(packed->target + packed->used, data, bytes);
    packed->used += (uint32_t)bytes;
    return 0;
}

uint32_t table_properties_encode(const struct table_properties *properties, uint8_t *target)
{
    struct packed  packed = { .target = target, .bound = table_properties_bound(properties) };
    msgpack_packer packer;

    msgpack_packer_init(&packer, &packed, packed_append);
    msgpack_pack_map(&packer, PROPERTY_COUNT);
    for (size_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        uint64_t number;
        assert(strlen(numbers[i].name) <= PROPERTY_NAME_BYTES);
        memcpy(&number, (const uint8_t *)properties + numbers[i].at, sizeof number);
        msgpack_pack_str_with_body(&packer, numbers[i].name, strlen(numbers[i].name));
        msgpack_pack_uint64(&packer, number);
    }
    for (size_t i = 0; i < ARRAY_COUNT(keys); i++) {
        struct bytes key;
        memcpy(&key, (const uint8_t *)properties + keys[i].at, sizeof key);
        msgpack_pack_str_with_body(&packer, keys[i].name, strlen(keys[i].name));
        msgpack_pack_bin(&packer, key.size);
        if (key.size > 0)
            msgpack_pack_bin_body(&packer, key.data, key.size);
    }
    return packed.used;
}

static bool name_is(const msgpack_object *object, const char *name)
{
    return object->type == MSGPACK_OBJECT_STR && object->via.str.size == strlen(name)
        && memcmp(object->via.str.ptr, name, strlen(name)) == 0;
}

/* The bit of the property that this pair is; 0 for an unknown one or one of a wrong type. */
static uint32_t property_read(const msgpack_object_kv *pair, struct table_properties *out)
{
    for (uint32_t i = 0; i < ARRAY_COUNT(numbers); i++) {
        if (name_is(&pair->key, numbers[i].name)
            && pair->val.type == MSGPACK_OBJECT_POSITIVE_INTEGER) {
            memcpy((uint8_t *)out + numbers[i].at, &pair->val.via.u64, sizeof(uint64_t));
            return 1u << i;
        }
    }
    for (uint32_t i = 0; i < ARRAY_COUNT(keys); i++) {
        if (name_is(&pair->key, keys[i].name) && pair->val.type == MSGPACK_OBJECT_BIN
            && pair->val.via.bin.size <= KIWI_KEY_BYTES_MAX) {
            struct bytes key = bytes_of(pair->val.via.bin.ptr, pair->val.via.bin.size);
            memcpy((uint8_t *)out + keys[i].at, &key, sizeof key);
            return 1u << (ARRAY_COUNT(numbers) + i);
        }
    }
    return 0;
}

static enum kiwi_status properties_read(const msgpack_object *root, struct table_properties *out)
{
    uint32_t seen = 0;

    assert(root->type == MSGPACK_OBJECT_MAP);
    for (uint32_t i = 0; i < root->via.map.size; i++) {
        uint32_t bit = property_read(&root->via.map.ptr[i], out);
        if ((seen & bit) != 0)
            return FAIL(KIWI_CORRUPT, "table property %u stands twice", i);
        seen |= bit;
    }
    if (seen != (1u << PROPERTY_COUNT) - 1)
        return FAIL(KIWI_CORRUPT, "table properties are incomplete: %08x", seen);
    if (bytes_compare(out->smallest, out->largest) > 0)
        return FAIL(KIWI_CORRUPT, "table properties: the smallest key is above the largest");
    return KIWI_OK;
}

enum kiwi_status table_properties_decode(const uint8_t *source, uint32_t bytes,
                                         struct table_properties *out)
{
    msgpack_unpacked unpacked;
    size_t           end = 0;

    static_assert(PROPERTY_COUNT < 32, "one bit a property");
    *out = (struct table_properties){ 0 };
    if (!plain_map_is(source, bytes))
        return FAIL(KIWI_CORRUPT, "table properties are not a plain map");
    msgpack_unpacked_init(&unpacked);
    msgpack_unpack_return result =
        msgpack_unpack_next(&unpacked, (const char *)source, bytes, &end);
    enum kiwi_status status =
        result == MSGPACK_UNPACK_NOMEM_ERROR ? FAIL(KIWI_NO_MEMORY, "no memory for properties")
        : result != MSGPACK_UNPACK_SUCCESS   ? FAIL(KIWI_CORRUPT, "table properties do not parse")
                                             : properties_read(&unpacked.data, out);
    msgpack_unpacked_destroy(&unpacked);
    return status;
}
