/*
 * index_block.h: which block may hold a key: index partitions and the top index over them.
 *
 * Layout   core/format/table_format.h, with the meaning of boundaries.
 * Door     as in data_block.h: only checked bytes are viewed.
 */
#pragma once

#include "core/format/table_format.h"
#include "core/iter/iter.h"

struct index_block {
    const uint8_t *base;
    const uint8_t *places;
    const uint8_t *key_offsets;
    uint32_t       count;
    uint16_t       prefix_bytes;
};

/* Checks a verified block whose places must lie in file bytes [first, end). */
const char *index_block_check(const uint8_t *base, uint32_t bytes, uint64_t first, uint64_t end);

static inline void index_block_view(struct index_block *block, const uint8_t *base)
{
    const struct table_block_header *header = (const struct table_block_header *)base;

    block->base = base;
    block->count = le32_get(header->count);
    block->prefix_bytes = le16_get(header->prefix_bytes);
    block->places = base + sizeof *header + (size_t)block->count * sizeof(uint64_t);
    block->key_offsets = block->places + ((size_t)block->count + 1) * sizeof(uint32_t);
}

static inline uint32_t index_block_place(const struct index_block *block, uint32_t i)
{
    uint32_t place;

    memcpy(&place, block->places + (size_t)i * sizeof place, sizeof place);
    return place;
}

/* Where the i-th block stands. */
static inline struct block_ref index_block_ref(const struct index_block *block, uint32_t i,
                                               enum block_kind kind)
{
    assert_slow(i < block->count);
    uint32_t start = index_block_place(block, i) & ~TABLE_PLACE_CONTINUES;
    uint32_t next = index_block_place(block, i + 1) & ~TABLE_PLACE_CONTINUES;

    return (struct block_ref){ .offset = (uint64_t)start * TABLE_SECTOR_BYTES,
                               .bytes = (next - start) * TABLE_SECTOR_BYTES,
                               .kind = (uint8_t)kind };
}

/* Whether the last key of the i-th block goes on in the next one. */
static inline bool index_block_continues(const struct index_block *block, uint32_t i)
{
    return (index_block_place(block, i) & TABLE_PLACE_CONTINUES) != 0;
}

/* The block that holds the first entry >= key, if any block of this index does: the last one whose
 * boundary is <= key, or block 0. */
uint32_t index_block_find(const struct index_block *block, struct bytes key);

/* The boundary of the i-th block: no key in it is smaller, none of the blocks before is greater.
 * buffer: KIWI_KEY_BYTES_MAX + 1 bytes, where it is put together. */
struct bytes index_block_boundary(const struct index_block *block, uint32_t i, uint8_t *buffer);

/* ---- building ---- */

/* Boundaries and places of consecutive blocks. */
struct index_builder {
    struct index_slot *slots;   /* owned */
    uint8_t           *keys;    /* owned: boundaries, one after the other */
    uint32_t           count, slot_capacity;
    uint64_t           key_bytes, key_capacity;
};

struct index_slot {
    uint64_t key_end;  /* in keys; the boundary begins where the one before ends */
    uint32_t place;
};

void index_builder_close(struct index_builder *builder); /* a zeroed one is fine */
/* Room for one more block with a boundary of key_size bytes, so that adding it cannot fail. */
MUST_USE enum kiwi_status index_builder_reserve(struct index_builder *builder, size_t key_size);
/* boundary: copied, with a zero byte behind it if is_after. offset: of the block in the file. */
void         index_builder_add(struct index_builder *builder, struct bytes boundary, bool is_after,
                               uint64_t offset);
/* The last key of the last block added goes on in the next. */
void         index_builder_continue(struct index_builder *builder);
struct bytes index_builder_key(const struct index_builder *builder, uint32_t i);
uint64_t     index_builder_bytes(const struct index_builder *builder); /* about, of all parts */

/* Slots [first, first + count) as one block. */
struct index_part {
    uint32_t first, count;
    uint32_t bytes; /* whole pages */
};
/* The next part that fits limit_bytes (0: all that is left, whatever it takes); false when none. */
bool index_builder_next(const struct index_builder *builder, uint32_t limit_bytes,
                        struct index_part *part);
/* Lays the part out in part->bytes bytes, all but the seal. end: file offset where its last block
 * ends. */
void index_builder_write(const struct index_builder *builder, const struct index_part *part,
                         uint64_t end, uint8_t *target);
