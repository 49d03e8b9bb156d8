/*
 * data_block.c: checks, searches and lays out data blocks.
 */
#include "core/table/data_block.h"

#include "core/base/memory.h"
#include "core/table/search.h"

/* ---- shape: how wide the columns are and where they end ---- */

struct shape_input {
    uint32_t count;
    uint64_t record_bytes;
    uint32_t key_size_min, key_size_max;
    uint64_t sequence_range; /* greatest - least */
    bool     has_delete;
};

struct shape {
    uint8_t  offset_bytes, key_size_bytes, sequence_bytes;
    uint64_t records_start;
    uint64_t used; /* of the block, before it is rounded up to pages */
};

static inline uint64_t columns_end(uint64_t count, const struct shape *shape)
{
    return sizeof(struct table_block_header) + count * sizeof(uint32_t)
         + (count + 1) * shape->offset_bytes
         + count * ((uint64_t)shape->key_size_bytes + shape->sequence_bytes);
}

/* What must be readable behind the columns, for loads wider than what they want. */
static inline uint64_t slack_end(uint64_t count, uint64_t records_start)
{
    uint64_t heads_end = sizeof(struct table_block_header) + count * sizeof(uint32_t);

    return max_u64(heads_end + TABLE_COLUMN_SLACK, records_start + sizeof(uint64_t));
}

static inline struct shape shape_of(const struct shape_input *input)
{
    uint64_t     order_max = input->sequence_range << 1 | (input->has_delete ? 1 : 0);
    unsigned     order_bits = order_max == 0 ? 0 : 64u - (unsigned)__builtin_clzll(order_max);
    struct shape shape = {
        .offset_bytes = 2,
        .key_size_bytes = input->key_size_min == input->key_size_max ? 0
                        : input->key_size_max <= UINT8_MAX           ? 1
                                                                     : 2,
        .sequence_bytes = (uint8_t)((order_bits + 7) / 8),
    };

    shape.records_start = columns_end(input->count, &shape);
    if (shape.records_start + input->record_bytes > UINT16_MAX) {
        shape.offset_bytes = 4;
        shape.records_start = columns_end(input->count, &shape);
    }
    shape.used = max_u64(shape.records_start + input->record_bytes,
                         slack_end(input->count, shape.records_start));
    return shape;
}

/* ---- the door ---- */

/* The widths are arguments, so that the common ones compile to a loop without branches. */
static inline __attribute__((always_inline)) bool records_are_sound(const struct data_block *block,
                                                                    uint8_t offset_bytes,
                                                                    uint8_t key_size_bytes)
{
    struct data_block fixed = *block;
    uint64_t          room = SEQUENCE_MAX - block->sequence_min;
    bool              wrong = false;

    fixed.offset_bytes = offset_bytes;
    fixed.key_size_bytes = key_size_bytes;
    uint32_t start = data_block_offset(&fixed, 0);
    for (uint32_t i = 0; i < fixed.count; i++) {
        uint32_t end = data_block_offset(&fixed, i + 1);
        uint32_t key_size = data_block_key_size(&fixed, i);
        uint64_t order = data_block_order(&fixed, i);
        uint64_t value_start = (uint64_t)start + key_size;
        wrong |= end < value_start;
        wrong |= key_size < fixed.prefix_bytes;
        wrong |= order >> 1 > room;
        wrong |= (order & 1) != 0 && end != value_start;
        start = end;
    }
    return !wrong;
}

const char *data_block_check(const uint8_t *base, uint32_t bytes)
{
    const struct table_block_header *header = (const struct table_block_header *)base;
    struct shape shape = { .offset_bytes = header->offset_bytes,
                           .key_size_bytes = header->key_size_bytes,
                           .sequence_bytes = header->sequence_bytes };
    struct data_block block;
    uint64_t          count = le32_get(header->count);

    if (count == 0)
        return "a data block without records";
    if ((shape.offset_bytes != 2 && shape.offset_bytes != 4) || shape.key_size_bytes > 2
        || shape.sequence_bytes > 8)
        return "columns of impossible widths";
    uint64_t records_start = columns_end(count, &shape);
    if (slack_end(count, records_start) > bytes)
        return "columns beyond the block";
    data_block_view(&block, base);
    if (block.sequence_min > SEQUENCE_MAX)
        return "sequences beyond the limit";
    if (data_block_offset(&block, 0) != records_start
        || data_block_offset(&block, block.count) > bytes)
        return "records beyond the block";
    bool sound = block.offset_bytes == 2 && block.key_size_bytes == 0
                   ? records_are_sound(&block, 2, 0)
                   : records_are_sound(&block, block.offset_bytes, block.key_size_bytes);
    return sound ? NULL : "records that overlap or contradict the header";
}

/* ---- finding ---- */

static inline uint32_t head32(const uint8_t *bytes, size_t size)
{
    uint32_t head = 0;

    if (LIKELY(size >= sizeof head)) {
        memcpy(&head, bytes, sizeof head);
        return __builtin_bswap32(head);
    }
    for (size_t i = 0; i < size; i++)
        head |= (uint32_t)bytes[i] << (24 - 8 * i);
    return head;
}

uint32_t data_block_seek(const struct data_block *block, struct bytes key, uint64_t sequence,
                         bool *is_key)
{
    size_t prefix = block->prefix_bytes;

    *is_key = false;
    if (prefix > 0) {
        const uint8_t *first = block->base + data_block_offset(block, 0);
        int order = bytes_compare(bytes_of(key.data, key.size < prefix ? key.size : prefix),
                                  bytes_of(first, prefix));
        if (order != 0)
            return order < 0 ? 0 : block->count;
    }
    struct bytes     rest = bytes_of(prefix == 0 ? key.data : key.data + prefix, key.size - prefix);
    struct head_span span = heads32_find(block->base + sizeof(struct table_block_header),
                                         block->count, head32(rest.data, rest.size));
    uint32_t         equal_at = UINT32_MAX;
    while (span.lower < span.upper) {
        uint32_t     middle = span.lower + (span.upper - span.lower) / 2;
        struct bytes other = data_block_key(block, middle);
        int order = bytes_compare(bytes_of(other.data + prefix, other.size - prefix), rest);
        if (order == 0 && data_block_sequence(block, middle) <= sequence)
            equal_at = middle;
        if (order > 0 || equal_at == middle)
            span.upper = middle;
        else
            span.lower = middle + 1;
    }
    *is_key = equal_at == span.upper;
    return span.upper;
}

/* ---- building ---- */

enum { SLOT_BYTES_MIN = 6 }; /* a head and an offset; the shortest record has nothing else */

enum kiwi_status data_builder_open(struct data_builder *builder, uint32_t target_bytes)
{
    assert(target_bytes >= TABLE_PAGE_BYTES && target_bytes <= TABLE_DATA_BYTES_MAX);
    *builder = (struct data_builder){ .target_bytes = target_bytes,
                                      .slot_limit = target_bytes / SLOT_BYTES_MIN };
    builder->records = memory_allocate(target_bytes);
    builder->slots = memory_allocate(builder->slot_limit * sizeof *builder->slots);
    if (builder->records == NULL || builder->slots == NULL) {
        data_builder_close(builder);
        return FAIL(KIWI_NO_MEMORY, "no memory to build data blocks of %u bytes", target_bytes);
    }
    return KIWI_OK;
}

void data_builder_close(struct data_builder *builder)
{
    memory_free(builder->records);
    memory_free(builder->slots);
    *builder = (struct data_builder){ 0 };
}

void data_builder_clear(struct data_builder *builder)
{
    builder->count = 0;
    builder->used = 0;
    builder->has_delete = false;
}

static struct shape_input builder_input(const struct data_builder *builder)
{
    return (struct shape_input){
        .count = builder->count,
        .record_bytes = builder->used,
        .key_size_min = builder->key_size_min,
        .key_size_max = builder->key_size_max,
        .sequence_range = builder->sequence_max - builder->sequence_min,
        .has_delete = builder->has_delete,
    };
}

bool data_builder_fits(const struct data_builder *builder, const struct entry *entry)
{
    uint32_t key_size = (uint32_t)entry->key.size;

    if (entry->key.size + entry->value.size > builder->target_bytes - builder->used)
        return false;
    if (builder->count == 0)
        return data_block_single_bytes(entry) <= builder->target_bytes;
    struct shape_input input = {
        .count = builder->count + 1,
        .record_bytes = builder->used + entry->key.size + entry->value.size,
        .key_size_min = key_size < builder->key_size_min ? key_size : builder->key_size_min,
        .key_size_max = key_size > builder->key_size_max ? key_size : builder->key_size_max,
        .sequence_range = max_u64(entry->sequence, builder->sequence_max)
                        - min_u64(entry->sequence, builder->sequence_min),
        .has_delete = builder->has_delete || entry->kind == ENTRY_DELETE,
    };
    return shape_of(&input).used <= builder->target_bytes;
}

void data_builder_add(struct data_builder *builder, const struct entry *entry)
{
    uint32_t key_size = (uint32_t)entry->key.size;
    bool     is_first = builder->count == 0;

    assert(builder->count < builder->slot_limit);
    assert(entry->key.size + entry->value.size <= builder->target_bytes - builder->used);
    if (is_first || key_size < builder->key_size_min)
        builder->key_size_min = key_size;
    if (is_first || key_size > builder->key_size_max)
        builder->key_size_max = key_size;
    if (is_first || entry->sequence < builder->sequence_min)
        builder->sequence_min = entry->sequence;
    if (is_first || entry->sequence > builder->sequence_max)
        builder->sequence_max = entry->sequence;
    builder->has_delete |= entry->kind == ENTRY_DELETE;
    builder->slots[builder->count++] = (struct data_record){
        .sequence = entry->sequence,
        .start = builder->used,
        .key_size = (uint16_t)key_size,
        .is_delete = entry->kind == ENTRY_DELETE,
    };
    uint8_t *target = builder->records + builder->used;
    if (entry->key.size > 0)
        memcpy(target, entry->key.data, entry->key.size);
    if (entry->value.size > 0)
        memcpy(target + entry->key.size, entry->value.data, entry->value.size);
    builder->used += (uint32_t)(entry->key.size + entry->value.size);
}

struct bytes data_builder_first_key(const struct data_builder *builder)
{
    assert(builder->count > 0);
    return bytes_of(builder->records, builder->slots[0].key_size);
}

struct bytes data_builder_last_key(const struct data_builder *builder)
{
    assert(builder->count > 0);
    const struct data_record *last = &builder->slots[builder->count - 1];
    return bytes_of(builder->records + last->start, last->key_size);
}

uint32_t data_builder_bytes(const struct data_builder *builder)
{
    struct shape_input input = builder_input(builder);

    assert(builder->count > 0);
    return (uint32_t)round_up_u64(shape_of(&input).used, TABLE_PAGE_BYTES);
}

static uint32_t shared_prefix(struct bytes a, struct bytes b)
{
    uint32_t limit = (uint32_t)(a.size < b.size ? a.size : b.size);
    uint32_t shared = 0;

    while (shared < limit && a.data[shared] == b.data[shared])
        shared++;
    return shared;
}

static void header_write(uint8_t *target, const struct shape *shape,
                         const struct shape_input *input, uint32_t prefix, uint64_t sequence_min)
{
    struct table_block_header header = {
        .offset_bytes = shape->offset_bytes,
        .key_size_bytes = shape->key_size_bytes,
        .sequence_bytes = shape->sequence_bytes,
        .count = le32_of(input->count),
        .prefix_bytes = le16_of((uint16_t)prefix),
        .key_bytes = le16_of(shape->key_size_bytes == 0 ? (uint16_t)input->key_size_min : 0),
        .sequence_min = le64_of(sequence_min),
    };

    memcpy(target, &header, sizeof header);
}

static uint8_t *heads_write(const struct data_builder *builder, uint32_t prefix, uint8_t *column)
{
    for (uint32_t i = 0; i < builder->count; i++) {
        const struct data_record *slot = &builder->slots[i];
        uint32_t head = head32(builder->records + slot->start + prefix, slot->key_size - prefix);
        memcpy(column, &head, sizeof head);
        column += sizeof head;
    }
    return column;
}

/* count + 1 offsets: slots know where records start, used is where the last one ends. */
static uint8_t *offsets_write(const struct data_builder *builder, const struct shape *shape,
                              uint8_t *column)
{
    for (uint32_t i = 0; i <= builder->count; i++) {
        uint32_t start = i < builder->count ? builder->slots[i].start : builder->used;
        uint32_t offset = (uint32_t)shape->records_start + start;
        memcpy(column, &offset, shape->offset_bytes); /* low bytes first */
        column += shape->offset_bytes;
    }
    return column;
}

void data_builder_write(const struct data_builder *builder, uint8_t *target)
{
    struct shape_input input = builder_input(builder);
    struct shape       shape = shape_of(&input);
    uint32_t           prefix = shared_prefix(data_builder_first_key(builder),
                                              data_builder_last_key(builder));
    uint64_t           bytes = round_up_u64(shape.used, TABLE_PAGE_BYTES);

    assert(prefix <= builder->key_size_min);
    header_write(target, &shape, &input, prefix, builder->sequence_min);
    uint8_t *column = target + sizeof(struct table_block_header);
    column = heads_write(builder, prefix, column);
    column = offsets_write(builder, &shape, column);
    for (uint32_t i = 0; i < builder->count && shape.key_size_bytes > 0; i++) {
        memcpy(column, &builder->slots[i].key_size, shape.key_size_bytes);
        column += shape.key_size_bytes;
    }
    for (uint32_t i = 0; i < builder->count && shape.sequence_bytes > 0; i++) {
        const struct data_record *slot = &builder->slots[i];
        uint64_t order = (slot->sequence - builder->sequence_min) << 1 | (slot->is_delete ? 1 : 0);
        memcpy(column, &order, shape.sequence_bytes);
        column += shape.sequence_bytes;
    }
    assert(column == target + shape.records_start);
    memcpy(column, builder->records, builder->used);
    memset(column + builder->used, 0, (size_t)(bytes - shape.records_start - builder->used));
}

/* ---- single records ---- */

static struct shape_input single_input(const struct entry *entry)
{
    return (struct shape_input){
        .count = 1,
        .record_bytes = (uint64_t)entry->key.size + entry->value.size,
        .key_size_min = (uint32_t)entry->key.size,
        .key_size_max = (uint32_t)entry->key.size,
        .has_delete = entry->kind == ENTRY_DELETE,
    };
}

uint64_t data_block_single_bytes(const struct entry *entry)
{
    struct shape_input input = single_input(entry);

    return round_up_u64(shape_of(&input).used, TABLE_PAGE_BYTES);
}

void data_block_single_write(const struct entry *entry, uint8_t *target)
{
    struct shape_input input = single_input(entry);
    struct shape       shape = shape_of(&input);
    uint64_t           bytes = round_up_u64(shape.used, TABLE_PAGE_BYTES);
    uint32_t           start = (uint32_t)shape.records_start;
    uint32_t           end = start + (uint32_t)input.record_bytes;

    header_write(target, &shape, &input, input.key_size_min, entry->sequence);
    uint8_t *column = target + sizeof(struct table_block_header);
    memset(column, 0, sizeof(uint32_t)); /* the head: nothing after the prefix */
    column += sizeof(uint32_t);
    memcpy(column, &start, shape.offset_bytes);
    memcpy(column + shape.offset_bytes, &end, shape.offset_bytes);
    column += 2 * shape.offset_bytes;
    memset(column, entry->kind == ENTRY_DELETE, shape.sequence_bytes);
    if (entry->key.size > 0)
        memcpy(target + start, entry->key.data, entry->key.size);
    if (entry->value.size > 0)
        memcpy(target + start + entry->key.size, entry->value.data, entry->value.size);
    memset(target + end, 0, (size_t)(bytes - end));
}

uint32_t data_block_target(uint64_t average_entry_bytes)
{
    uint32_t best = TABLE_PAGE_BYTES;
    double   best_waste = 1;

    for (uint32_t target = TABLE_PAGE_BYTES; target <= TABLE_DATA_BYTES_MAX; target *= 2) {
        /* A head, an offset, about three bytes of sequence and one of key size. */
        double   entry_bytes = (double)average_entry_bytes + 10;
        double   room = (double)target - sizeof(struct table_block_header);
        uint64_t count = entry_bytes > room ? 1 : (uint64_t)(room / entry_bytes);
        double   used = (double)count * entry_bytes;
        double   bytes = (double)round_up_u64((uint64_t)used + sizeof(struct table_block_header),
                                              TABLE_PAGE_BYTES);
        double   waste = 1 - used / bytes;
        if (waste <= 0.125)
            return target;
        if (waste < best_waste) {
            best_waste = waste;
            best = target;
        }
    }
    return best;
}
