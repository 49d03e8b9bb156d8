/*
 * data_block.h: records of one data block: checking, finding, reading, building.
 *
 * Layout   core/format/table_format.h.
 * Door     data_block_check makes sure that every access below stays inside the block, whatever its
 *          bytes are; only checked bytes are viewed.
 */
#pragma once

#include "core/base/entry.h"
#include "core/format/table_format.h"

/* A checked block and where its columns are. Borrows the block. */
struct data_block {
    const uint8_t *base;
    const uint8_t *offsets;
    const uint8_t *key_sizes;
    const uint8_t *sequences;
    uint64_t       sequence_min;
    uint64_t       sequence_mask;
    uint32_t       count;
    uint16_t       prefix_bytes;
    uint16_t       key_bytes;      /* of every key, when key_size_bytes is 0 */
    uint8_t        offset_bytes;
    uint8_t        key_size_bytes;
    uint8_t        sequence_bytes;
};

/* NULL when the contents of a verified block of `bytes` are sound; else what is wrong. */
const char *data_block_check(const uint8_t *base, uint32_t bytes);

static inline void data_block_view(struct data_block *block, const uint8_t *base)
{
    const struct table_block_header *header = (const struct table_block_header *)base;
    const uint8_t                   *column = base + sizeof *header;

    block->base = base;
    block->count = le32_get(header->count);
    block->prefix_bytes = le16_get(header->prefix_bytes);
    block->key_bytes = le16_get(header->key_bytes);
    block->offset_bytes = header->offset_bytes;
    block->key_size_bytes = header->key_size_bytes;
    block->sequence_bytes = header->sequence_bytes;
    block->sequence_min = le64_get(header->sequence_min);
    block->sequence_mask = header->sequence_bytes == 8 ? UINT64_MAX
                                                       : (1ull << 8 * header->sequence_bytes) - 1;
    column += (size_t)block->count * sizeof(uint32_t);
    block->offsets = column;
    column += ((size_t)block->count + 1) * header->offset_bytes;
    block->key_sizes = column;
    column += (size_t)block->count * header->key_size_bytes;
    block->sequences = column;
}

static inline uint32_t data_block_offset(const struct data_block *block, uint32_t i)
{
    if (LIKELY(block->offset_bytes == 2)) {
        uint16_t offset;
        memcpy(&offset, block->offsets + (size_t)i * 2, sizeof offset);
        return offset;
    }
    uint32_t offset;
    memcpy(&offset, block->offsets + (size_t)i * 4, sizeof offset);
    return offset;
}

static inline uint32_t data_block_key_size(const struct data_block *block, uint32_t i)
{
    if (LIKELY(block->key_size_bytes == 0))
        return block->key_bytes;
    if (block->key_size_bytes == 1)
        return block->key_sizes[i];
    uint16_t size;
    memcpy(&size, block->key_sizes + (size_t)i * 2, sizeof size);
    return size;
}

static inline struct bytes data_block_key(const struct data_block *block, uint32_t i)
{
    assert_slow(i < block->count);
    return bytes_of(block->base + data_block_offset(block, i), data_block_key_size(block, i));
}

/* (sequence - sequence_min) * 2 + is_delete */
static inline uint64_t data_block_order(const struct data_block *block, uint32_t i)
{
    uint64_t order;

    memcpy(&order, block->sequences + (size_t)i * block->sequence_bytes, sizeof order);
    return order & block->sequence_mask;
}

static inline uint64_t data_block_sequence(const struct data_block *block, uint32_t i)
{
    return block->sequence_min + (data_block_order(block, i) >> 1);
}

static inline void data_block_entry(const struct data_block *block, uint32_t i, struct entry *out)
{
    assert_slow(i < block->count);
    uint32_t start = data_block_offset(block, i);
    uint32_t end = data_block_offset(block, i + 1);
    uint32_t key_size = data_block_key_size(block, i);
    uint64_t order = data_block_order(block, i);

    out->key = bytes_of(block->base + start, key_size);
    out->value = bytes_of(block->base + start + key_size, end - start - key_size);
    out->sequence = block->sequence_min + (order >> 1);
    out->kind = (order & 1) != 0 ? ENTRY_DELETE : ENTRY_PUT;
}

/* First record at or after (key, sequence) in entry order; count when none. is_key: its key is key.
 * Sequence 0 stands behind all versions of key. */
uint32_t data_block_seek(const struct data_block *block, struct bytes key, uint64_t sequence,
                         bool *is_key);

/* ---- building ---- */

struct data_record { /* of the block under construction */
    uint64_t sequence;
    uint32_t start;   /* in records; the end is the start of the next */
    uint16_t key_size;
    bool     is_delete;
};

/* Collects records until the block is full; then data_builder_write lays it out. */
struct data_builder {
    uint8_t            *records;    /* owned: keys and values, one after the other */
    struct data_record *slots;      /* owned */
    uint32_t            target_bytes;
    uint32_t            slot_limit;
    uint32_t            count;
    uint32_t            used;       /* bytes of records */
    uint64_t            sequence_min, sequence_max;
    uint32_t            key_size_min, key_size_max;
    bool                has_delete;
};

MUST_USE enum kiwi_status data_builder_open(struct data_builder *builder, uint32_t target_bytes);
void data_builder_close(struct data_builder *builder); /* a zeroed one is fine */
void data_builder_clear(struct data_builder *builder); /* the records stay readable */
/* Whether the block would still fit its target with entry in it. */
bool data_builder_fits(const struct data_builder *builder, const struct entry *entry);
void data_builder_add(struct data_builder *builder, const struct entry *entry); /* which fits */
struct bytes data_builder_first_key(const struct data_builder *builder);
struct bytes data_builder_last_key(const struct data_builder *builder);
uint32_t     data_builder_bytes(const struct data_builder *builder); /* of the block, whole pages */
/* Lays the block out in data_builder_bytes bytes; header and padding too, all but the seal. */
void         data_builder_write(const struct data_builder *builder, uint8_t *target);

/* A block that holds just this entry, however large. */
uint64_t data_block_single_bytes(const struct entry *entry);
void     data_block_single_write(const struct entry *entry, uint8_t *target);

/* The smallest block size of 4, 8, 16 and 32 KiB that entries of this size fill to 7/8, or the one
 * they fill best. */
uint32_t data_block_target(uint64_t average_entry_bytes);
