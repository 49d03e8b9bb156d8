/*
 * index_block.c: checks, searches and lays out index blocks.
 */
#include "core/table/index_block.h"

#include "core/base/memory.h"
#include "core/table/search.h"

/* What the page count in a block's header can tell. */
#define BLOCK_SECTORS_MAX (UINT16_MAX * (TABLE_PAGE_BYTES / TABLE_SECTOR_BYTES))

static uint64_t places_start(uint64_t count)
{
    return sizeof(struct table_block_header) + count * sizeof(uint64_t);
}

/* Where the common prefix starts. */
static uint64_t columns_end(uint64_t count)
{
    return places_start(count) + 2 * (count + 1) * sizeof(uint32_t);
}

static inline uint32_t key_offset(const struct index_block *block, uint32_t i)
{
    uint32_t offset;

    memcpy(&offset, block->key_offsets + (size_t)i * sizeof offset, sizeof offset);
    return offset;
}

/* ---- the door ---- */

static bool places_are_sound(const struct index_block *block, uint64_t first, uint64_t end)
{
    bool     wrong = false;
    uint32_t start = index_block_place(block, 0) & ~TABLE_PLACE_CONTINUES;

    wrong |= start < first / TABLE_SECTOR_BYTES;
    for (uint32_t i = 0; i < block->count; i++) {
        uint32_t next = index_block_place(block, i + 1) & ~TABLE_PLACE_CONTINUES;
        wrong |= next <= start || next - start > BLOCK_SECTORS_MAX;
        start = next;
    }
    return !wrong && start <= end / TABLE_SECTOR_BYTES;
}

static bool keys_are_sound(const struct index_block *block, uint32_t bytes)
{
    bool     wrong = false;
    uint32_t offset = key_offset(block, 0);

    wrong |= offset != columns_end(block->count) + block->prefix_bytes;
    for (uint32_t i = 0; i < block->count; i++) {
        uint32_t next = key_offset(block, i + 1);
        wrong |= next < offset;
        offset = next;
    }
    return !wrong && offset <= bytes;
}

const char *index_block_check(const uint8_t *base, uint32_t bytes, uint64_t first, uint64_t end)
{
    const struct table_block_header *header = (const struct table_block_header *)base;
    struct index_block               block;
    uint64_t                         count = le32_get(header->count);

    if (count == 0)
        return "an index without blocks";
    if (columns_end(count) > bytes || places_start(count) + TABLE_COLUMN_SLACK > bytes)
        return "columns beyond the block";
    index_block_view(&block, base);
    if (!places_are_sound(&block, first, end))
        return "an index of blocks outside their part of the file";
    if (!keys_are_sound(&block, bytes))
        return "boundaries beyond the block";
    return NULL;
}

/* ---- finding ---- */

uint32_t index_block_find(const struct index_block *block, struct bytes key)
{
    size_t prefix = block->prefix_bytes;

    if (prefix > 0) {
        const uint8_t *common = block->base + columns_end(block->count);
        int order = bytes_compare(bytes_of(key.data, key.size < prefix ? key.size : prefix),
                                  bytes_of(common, prefix));
        if (order != 0)
            return order < 0 ? 0 : block->count - 1;
    }
    struct bytes     rest = bytes_of(prefix == 0 ? key.data : key.data + prefix, key.size - prefix);
    struct head_span span = heads64_find(block->base + sizeof(struct table_block_header),
                                         block->count, bytes_head(rest));
    while (span.lower < span.upper) {
        uint32_t     middle = span.lower + (span.upper - span.lower) / 2;
        uint32_t     start = key_offset(block, middle);
        uint32_t     end = key_offset(block, middle + 1);
        struct bytes boundary = bytes_of(block->base + start, end - start);
        if (bytes_compare(boundary, rest) <= 0)
            span.lower = middle + 1;
        else
            span.upper = middle;
    }
    return span.upper == 0 ? 0 : span.upper - 1;
}

struct bytes index_block_boundary(const struct index_block *block, uint32_t i, uint8_t *buffer)
{
    uint32_t start = key_offset(block, i);
    size_t   rest = key_offset(block, i + 1) - start, prefix = block->prefix_bytes;

    assert(i < block->count);
    rest = min_u64(rest, KIWI_KEY_BYTES_MAX + 1 - min_u64(prefix, KIWI_KEY_BYTES_MAX + 1));
    memcpy(buffer, block->base + columns_end(block->count), prefix);
    memcpy(buffer + prefix, block->base + start, rest);
    return bytes_of(buffer, prefix + rest);
}

/* ---- building ---- */

void index_builder_close(struct index_builder *builder)
{
    memory_free(builder->slots);
    memory_free(builder->keys);
    *builder = (struct index_builder){ 0 };
}

enum kiwi_status index_builder_reserve(struct index_builder *builder, size_t key_size)
{
    uint64_t key_bytes = builder->key_bytes + key_size + 1;

    if (builder->count == builder->slot_capacity) {
        uint32_t capacity = builder->slot_capacity == 0 ? 256 : builder->slot_capacity * 2;
        void    *slots = memory_resize(builder->slots, capacity * sizeof *builder->slots);
        if (slots == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory for an index of %u blocks", capacity);
        builder->slots = slots;
        builder->slot_capacity = capacity;
    }
    if (key_bytes > builder->key_capacity) {
        uint64_t capacity = max_u64(key_bytes, max_u64(4096, builder->key_capacity * 2));
        void    *keys = memory_resize(builder->keys, capacity);
        if (keys == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory for an index of %u blocks", builder->count);
        builder->keys = keys;
        builder->key_capacity = capacity;
    }
    return KIWI_OK;
}

void index_builder_add(struct index_builder *builder, struct bytes boundary, bool is_after,
                       uint64_t offset)
{
    assert(builder->count < builder->slot_capacity);
    assert(builder->key_bytes + boundary.size + 1 <= builder->key_capacity);
    assert(offset / TABLE_SECTOR_BYTES <= TABLE_SECTOR_COUNT_MAX);
    if (boundary.size > 0)
        memcpy(builder->keys + builder->key_bytes, boundary.data, boundary.size);
    builder->key_bytes += boundary.size;
    if (is_after)
        builder->keys[builder->key_bytes++] = 0;
    builder->slots[builder->count++] = (struct index_slot){
        .key_end = builder->key_bytes,
        .place = (uint32_t)(offset / TABLE_SECTOR_BYTES),
    };
}

void index_builder_continue(struct index_builder *builder)
{
    assert(builder->count > 0);
    builder->slots[builder->count - 1].place |= TABLE_PLACE_CONTINUES;
}

struct bytes index_builder_key(const struct index_builder *builder, uint32_t i)
{
    assert(i < builder->count);
    uint64_t start = i == 0 ? 0 : builder->slots[i - 1].key_end;
    return bytes_of(builder->keys + start, (size_t)(builder->slots[i].key_end - start));
}

uint64_t index_builder_bytes(const struct index_builder *builder)
{
    return columns_end(builder->count) + builder->key_bytes;
}

/* Prefixes are at most this long, so that they fit their field. */
static uint32_t shared_prefix(struct bytes a, struct bytes b, uint32_t limit)
{
    uint32_t shared = 0;

    while (shared < limit && shared < a.size && shared < b.size && a.data[shared] == b.data[shared])
        shared++;
    return shared;
}

static uint64_t part_bytes(uint64_t count, uint64_t key_bytes, uint64_t prefix)
{
    uint64_t used = columns_end(count) + prefix + (key_bytes - count * prefix);

    return round_up_u64(max_u64(used, places_start(count) + TABLE_COLUMN_SLACK), TABLE_PAGE_BYTES);
}

/* The keys ascend, so what the first and the last share is shared by all between. */
bool index_builder_next(const struct index_builder *builder, uint32_t limit_bytes,
                        struct index_part *part)
{
    uint32_t first = part->first + part->count;

    if (first == builder->count)
        return false;
    struct bytes first_key = index_builder_key(builder, first);
    uint32_t     prefix = (uint32_t)min_u64(first_key.size, UINT16_MAX);
    uint64_t     key_bytes = first_key.size;
    uint64_t     bytes = part_bytes(1, key_bytes, prefix);
    uint32_t     count = 1;
    while (first + count < builder->count) {
        struct bytes key = index_builder_key(builder, first + count);
        prefix = shared_prefix(first_key, key, prefix);
        uint64_t longer = part_bytes(count + 1, key_bytes + key.size, prefix);
        if (limit_bytes != 0 && longer > limit_bytes)
            break;
        key_bytes += key.size;
        bytes = longer;
        count++;
    }
    assert(bytes <= (uint64_t)UINT16_MAX * TABLE_PAGE_BYTES);
    *part = (struct index_part){ .first = first, .count = count, .bytes = (uint32_t)bytes };
    return true;
}

void index_builder_write(const struct index_builder *builder, const struct index_part *part,
                         uint64_t end, uint8_t *target)
{
    uint32_t     final = part->first + part->count;
    struct bytes first_key = index_builder_key(builder, part->first);
    uint32_t     prefix = shared_prefix(first_key, index_builder_key(builder, final - 1),
                                        UINT16_MAX);
    struct table_block_header header = { .count = le32_of(part->count),
                                         .prefix_bytes = le16_of((uint16_t)prefix) };
    uint8_t *heads = target + sizeof header;
    uint8_t *places = target + places_start(part->count);
    uint8_t *key_offsets = places + ((size_t)part->count + 1) * sizeof(uint32_t);
    uint8_t *rests = target + columns_end(part->count) + prefix;

    memcpy(target, &header, sizeof header);
    if (prefix > 0)
        memcpy(rests - prefix, first_key.data, prefix);
    for (uint32_t i = part->first; i < final; i++) {
        struct bytes key = index_builder_key(builder, i);
        struct bytes rest = bytes_of(key.data + prefix, key.size - prefix);
        uint64_t     head = bytes_head(rest);
        uint32_t     offset = (uint32_t)(rests - target);
        memcpy(heads, &head, sizeof head);
        memcpy(places, &builder->slots[i].place, sizeof(uint32_t));
        memcpy(key_offsets, &offset, sizeof offset);
        if (rest.size > 0)
            memcpy(rests, rest.data, rest.size);
        heads += sizeof head;
        places += sizeof(uint32_t);
        key_offsets += sizeof offset;
        rests += rest.size;
    }
    uint32_t last_place = (uint32_t)(end / TABLE_SECTOR_BYTES);
    if (final < builder->count)
        last_place = builder->slots[final].place & ~TABLE_PLACE_CONTINUES;
    uint32_t last_offset = (uint32_t)(rests - target);
    memcpy(places, &last_place, sizeof last_place);
    memcpy(key_offsets, &last_offset, sizeof last_offset);
    assert(last_offset <= part->bytes);
    memset(rests, 0, part->bytes - last_offset);
}
