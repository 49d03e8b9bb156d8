/*
 * table_top.h: the pinned part of an open table, and how it is made. Private to core/table.
 */
#pragma once

#include "core/table/filter.h"
#include "core/table/index_block.h"
#include "core/table/table.h"

struct table_top {
    struct index_block  index;      /* views block: the index over the index partitions */
    struct filter_shape filter;
    uint64_t            smallest_head, largest_head;
    uint64_t            index_offset, top_offset; /* index partitions are in between */
    uint64_t            block_bytes;
    uint8_t            *block;      /* owned, 4 KiB aligned */
    uint8_t            *keys;       /* owned: what info.smallest and info.largest point to */
};

/* What an open table is made of, however it was come by. */
struct table_parts {
    const struct table_info       *info;   /* copied */
    const struct table_layout     *layout;
    const struct table_properties *properties;
    uint8_t                       *top_block; /* checked; taken over on success */
};

MUST_USE enum kiwi_status table_make(const struct table_parts *parts, struct io_file *file,
                                     struct table **out);

static inline struct block_ref table_filter_ref(const struct table *table, uint32_t partition)
{
    const struct filter_shape *shape = &table->top->filter;

    return (struct block_ref){
        .offset = shape->offset + (uint64_t)partition * shape->partition_bytes,
        .bytes = shape->partition_bytes,
        .kind = BLOCK_FILTER,
    };
}

static inline struct block_ref table_index_ref(const struct table *table, uint32_t partition)
{
    return index_block_ref(&table->top->index, partition, BLOCK_INDEX);
}
