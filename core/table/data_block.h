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
    const uint8_t *prefix;
    uint64_t       sequence_min;
    uint64_t       sequence_mask;
    uint32_t       count;
    uint32_t       prefix_bytes;
    uint32_t       known_bytes;    /* of every key that prefix, or prefix and head, tell */
    uint32_t       cut_bytes;      /* of every key that its record does not hold */
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
    uint32_t                         prefix_bytes = le16_get(header->prefix_bytes);
    uint32_t head_bytes = header->key_form == TABLE_KEYS_CUT_HEAD ? sizeof(uint32_t) : 0;

    block->base = base;
    block->count = le32_get(header->count);
    block->prefix_bytes = prefix_bytes;
    block->known_bytes = prefix_bytes + head_bytes;
    block->cut_bytes = header->key_form == TABLE_KEYS_WHOLE ? 0 : prefix_bytes + head_bytes;
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
    column += (size_t)block->count * header->sequence_bytes;
    block->prefix = column; /* whole keys: the first one begins here, and with it the prefix */
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

/* A short copy; most keys have what two overlapping loads reach. */
static inline void key_copy(uint8_t *target, const uint8_t *source, size_t bytes)
{
    if (LIKELY(bytes >= 8 && bytes <= 16)) {
        uint64_t first, final;
        memcpy(&first, source, 8);
        memcpy(&final, source + bytes - 8, 8);
        memcpy(target, &first, 8);
        memcpy(target + bytes - 8, &final, 8);
    } else if (bytes > 16 && bytes <= 32) {
        __extension__ unsigned __int128 first, final;
        memcpy(&first, source, 16);
        memcpy(&final, source + bytes - 16, 16);
        memcpy(target, &first, 16);
        memcpy(target + bytes - 16, &final, 16);
    } else if (bytes > 0) {
        memcpy(target, source, bytes);
    }
}

/* Where cut keys of a block are put together again; the prefix stands in it already. */
struct key_buffer {
    uint8_t bytes[TABLE_CUT_KEY_BYTES_MAX];
};

static inline void key_buffer_start(struct key_buffer *buffer, const struct data_block *block)
{
    if (block->cut_bytes > 0)
        memcpy(buffer->bytes, block->prefix, block->prefix_bytes);
}

/* Everything of the i-th entry but its key. */
static inline void data_block_value(const struct data_block *block, uint32_t i, struct entry *out)
{
    assert_slow(i < block->count);
    uint32_t value = data_block_offset(block, i) + data_block_key_size(block, i) - block->cut_bytes;
    uint64_t order = data_block_order(block, i);

    out->value = bytes_of(block->base + value, data_block_offset(block, i + 1) - value);
    out->sequence = block->sequence_min + (order >> 1);
    out->kind = (order & 1) != 0 ? ENTRY_DELETE : ENTRY_PUT;
}

/* The key may stand in buffer: it lasts until the next entry is read into it. */
static inline void data_block_entry(const struct data_block *block, uint32_t i,
                                    struct key_buffer *buffer, struct entry *out)
{
    uint32_t       key_size = data_block_key_size(block, i);
    uint32_t       cut = block->cut_bytes;
    const uint8_t *record = block->base + data_block_offset(block, i);

    data_block_value(block, i, out);
    if (cut == 0) {
        out->key = bytes_of(record, key_size);
        return;
    }
    if (cut > block->prefix_bytes) {
        uint32_t head;
        memcpy(&head, block->base + sizeof(struct table_block_header) + (size_t)i * sizeof head,
               sizeof head);
        head = __builtin_bswap32(head);
        memcpy(buffer->bytes + block->prefix_bytes, &head, sizeof head);
    }
    key_copy(buffer->bytes + cut, record, key_size - cut);
    out->key = bytes_of(buffer->bytes, key_size);
}

#define KEY_COPY_SLACK 32u

/* Of the i-th entry's whole key and its value. */
static inline uint32_t data_block_entry_bytes(const struct data_block *block, uint32_t i)
{
    return data_block_offset(block, i + 1) - data_block_offset(block, i) + block->cut_bytes;
}

/* Puts them together, one behind the other. buffer holds the prefix (key_buffer_start); target has
 * room for KEY_COPY_SLACK bytes more. */
static inline void data_block_copy(const struct data_block *block, uint32_t i,
                                   const struct key_buffer *buffer, uint8_t *target)
{
    uint32_t start = data_block_offset(block, i);

    if (LIKELY(block->prefix_bytes <= KEY_COPY_SLACK))
        memcpy(target, buffer->bytes, KEY_COPY_SLACK); /* more than needed, but in two moves */
    else if (block->cut_bytes > 0)
        memcpy(target, buffer->bytes, block->prefix_bytes);
    if (block->cut_bytes > block->prefix_bytes) {
        uint32_t head;
        memcpy(&head, block->base + sizeof(struct table_block_header) + (size_t)i * sizeof head,
               sizeof head);
        head = __builtin_bswap32(head);
        memcpy(target + block->prefix_bytes, &head, sizeof head);
    }
    memcpy(target + block->cut_bytes, block->base + start,
           data_block_offset(block, i + 1) - start);
}

/* Of count entries from the first-th on: the 8 bytes of the key behind its first `from`, which are
 * part of the prefix, as a number that sorts as they do; missing ones count as zero. */
void data_block_heads(const struct data_block *block, uint32_t first, uint32_t count,
                      uint32_t from, uint64_t *heads);

/* First record at or after (key, sequence) in entry order; count when none. is_key: its key is key.
 * Sequence 0 stands behind all versions of key. */
uint32_t data_block_seek(const struct data_block *block, struct bytes key, uint64_t sequence,
                         bool *is_key);

/* Whether the i-th key is key. */
bool data_block_key_is(const struct data_block *block, uint32_t i, struct bytes key);

/* ---- building ---- */

struct data_record { /* of the block under construction */
    uint64_t sequence;
    uint32_t start;    /* in records; the end is the start of the next */
    uint16_t key_size;
    uint16_t left_out; /* so many first bytes of the key are those of the first key */
    bool     is_delete;
};

struct data_measure { /* of the records together: what decides how large the block is */
    uint64_t whole_bytes; /* keys and values, nothing left out */
    uint64_t sequence_min, sequence_max;
    uint32_t count;
    uint32_t key_size_min, key_size_max;
    uint32_t prefix_bytes; /* that all keys share */
    bool     has_delete;
};

/* Collects records until the block is full; then data_builder_write lays it out. The common prefix
 * is known only then, but it can only become shorter: what a key shares with the first one when it
 * comes is left out at once. */
struct data_builder {
    uint8_t            *records;    /* owned: keys and values, one after the other */
    struct data_record *slots;      /* owned */
    uint32_t            target_bytes;
    uint32_t            slot_limit;
    uint32_t            used;       /* bytes of records */
    struct data_measure measure;
};

MUST_USE enum kiwi_status data_builder_open(struct data_builder *builder, uint32_t target_bytes);
void data_builder_close(struct data_builder *builder); /* a zeroed one is fine */
void data_builder_clear(struct data_builder *builder);
/* Adds entry, which comes after all others; false: it does not fit the target, nothing changed. */
MUST_USE bool data_builder_add(struct data_builder *builder, const struct entry *entry);
uint32_t data_builder_bytes(const struct data_builder *builder); /* of the block, whole sectors */
/* Lays the block out in bytes, at least data_builder_bytes; header and padding too, all but the
 * seal. */
void     data_builder_write(const struct data_builder *builder, uint8_t *target, uint32_t bytes);

/* A block that holds just this entry, however large. */
uint64_t data_block_single_bytes(const struct entry *entry);
void     data_block_single_write(const struct entry *entry, uint8_t *target, uint64_t bytes);

/* The smallest block size of 4, 8, 16 and 32 KiB that entries of this size fill to 7/8, or the one
 * they fill best. */
uint32_t data_block_target(uint64_t average_entry_bytes);
