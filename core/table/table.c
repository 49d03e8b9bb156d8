/*
 * table.c: opens and closes tables, and keeps the door between disk and searches.
 */
#include "core/table/table.h"

#include <inttypes.h>

#include "core/base/memory.h"
#include "core/table/data_block.h"
#include "core/table/table_top.h"

static_assert((int)BLOCK_DATA == (int)TABLE_BLOCK_DATA, "kinds on disk and in memory agree");
static_assert((int)BLOCK_INDEX == (int)TABLE_BLOCK_INDEX, "kinds on disk and in memory agree");
static_assert((int)BLOCK_FILTER == (int)TABLE_BLOCK_FILTER, "kinds on disk and in memory agree");

/* ---- making ---- */

static struct filter_shape filter_shape_from(const struct table_layout     *layout,
                                             const struct table_properties *properties)
{
    uint64_t bytes = layout->index_offset - layout->filter_offset;

    if (properties->filter_partitions == 0)
        return (struct filter_shape){ 0 };
    return (struct filter_shape){
        .offset = layout->filter_offset,
        .partitions = (uint32_t)properties->filter_partitions,
        .blocks = (uint32_t)properties->filter_blocks,
        .partition_bytes = (uint32_t)(bytes / properties->filter_partitions),
        .lanes = (uint32_t)properties->filter_lanes,
    };
}

static uint8_t *keys_copy(uint8_t *target, struct bytes *key)
{
    if (key->size > 0)
        memcpy(target, key->data, key->size);
    key->data = target;
    return target + key->size;
}

enum kiwi_status table_make(const struct table_parts *parts, struct io_file *file,
                            struct table **out)
{
    const struct table_info   *info = parts->info;
    const struct table_layout *layout = parts->layout;
    struct table     *table = memory_allocate_zeroed(sizeof *table);
    struct table_top *top = memory_allocate_zeroed(sizeof *top);
    uint8_t          *keys = memory_allocate(info->smallest.size + info->largest.size);

    *out = NULL;
    if (table == NULL || top == NULL || keys == NULL) {
        memory_free(table);
        memory_free(top);
        memory_free(keys);
        return FAIL(KIWI_NO_MEMORY, "no memory for table %" PRIu64, info->id);
    }
    index_block_view(&top->index, parts->top_block);
    top->block = parts->top_block;
    top->block_bytes = layout->properties_offset - layout->top_offset;
    top->filter = filter_shape_from(layout, parts->properties);
    top->index_offset = layout->index_offset;
    top->top_offset = layout->top_offset;
    top->keys = keys;
    table->info = *info;
    keys = keys_copy(keys, &table->info.smallest);
    keys_copy(keys, &table->info.largest);
    top->smallest_head = bytes_head(table->info.smallest);
    top->largest_head = bytes_head(table->info.largest);
    table->top = top;
    table->file = file;
    table->seed = table_seed(&layout->database, layout->table_id);
    *out = table;
    return KIWI_OK;
}

void table_close(struct table *table)
{
    if (table == NULL)
        return;
    io_file_close(table->file);
    memory_free(table->top->block);
    memory_free(table->top->keys);
    memory_free(table->top);
    memory_free(table);
}

/* ---- opening ---- */

/* What the properties say must be what the manifest and the layout say. */
static enum kiwi_status properties_check(const struct table_info       *info,
                                         const struct table_layout     *layout,
                                         const struct table_properties *properties)
{
    struct filter_shape shape = filter_shape_from(layout, properties);
    uint64_t            filter_bytes = layout->index_offset - layout->filter_offset;

    if (properties->entry_count != info->entry_count
        || properties->tombstone_count != info->tombstone_count
        || properties->raw_bytes != info->raw_bytes
        || properties->sequence_min != info->sequence_min
        || properties->sequence_max != info->sequence_max
        || !bytes_equal(properties->smallest, info->smallest)
        || !bytes_equal(properties->largest, info->largest))
        return FAIL(KIWI_CORRUPT, "table %" PRIu64 " says other than the manifest: %" PRIu64
                    " entries, not %" PRIu64, info->id, properties->entry_count,
                    info->entry_count);
    if (properties->filter_partitions > UINT32_MAX || properties->filter_blocks > UINT32_MAX
        || properties->filter_lanes > TABLE_FILTER_LANES_MAX || !filter_shape_is_sound(&shape)
        || (uint64_t)shape.partitions * shape.partition_bytes != filter_bytes
        || shape.partition_bytes % TABLE_PAGE_BYTES != 0)
        return FAIL(KIWI_CORRUPT, "table %" PRIu64 ": %" PRIu64 " filter partitions in %" PRIu64
                    " bytes", info->id, properties->filter_partitions, filter_bytes);
    return KIWI_OK;
}

struct opening {
    const struct table_info *info;
    struct io_file          *file;
    struct table_layout      layout;
    struct table_properties  properties;
    uint8_t                 *footer;     /* owned */
    uint8_t                 *tail;       /* owned: top index and properties */
    uint8_t                 *top_block;  /* owned */
    uint64_t                 at;         /* what is being read, in the file */
};

static enum kiwi_status footer_read(struct opening *opening)
{
    opening->at = opening->layout.file_bytes - TABLE_PAGE_BYTES;
    opening->footer = memory_allocate_aligned(TABLE_PAGE_BYTES, TABLE_PAGE_BYTES);
    if (opening->footer == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to open %s", io_file_path(opening->file));
    TRY(io_file_read(opening->file, opening->footer, TABLE_PAGE_BYTES, opening->at));
    const struct table_footer *footer = (const struct table_footer *)opening->footer;
    TRY(table_footer_check(footer, &opening->layout));
    if (le64_get(footer->checksum) != opening->info->footer_checksum)
        return FAIL(KIWI_CORRUPT, "table %" PRIu64 " is not the file that the manifest knows",
                    opening->info->id);
    if (opening->layout.filter_offset != opening->info->data_bytes)
        return FAIL(KIWI_CORRUPT, "table %" PRIu64 " has %" PRIu64 " bytes of data, not %" PRIu64,
                    opening->info->id, opening->layout.filter_offset, opening->info->data_bytes);
    return KIWI_OK;
}

static enum kiwi_status tail_read(struct opening *opening)
{
    const struct table_layout *layout = &opening->layout;
    uint64_t top_bytes = layout->properties_offset - layout->top_offset;
    uint64_t bytes = layout->file_bytes - TABLE_PAGE_BYTES - layout->top_offset;
    uint64_t properties_bytes = bytes - top_bytes;
    uint64_t seed = table_seed(&layout->database, layout->table_id);

    opening->at = layout->top_offset;
    if (bytes > (uint64_t)UINT16_MAX * TABLE_PAGE_BYTES)
        return FAIL(KIWI_CORRUPT, "a top index of %" PRIu64 " bytes", bytes);
    opening->tail = memory_allocate_aligned(bytes, TABLE_PAGE_BYTES);
    opening->top_block = memory_allocate_aligned(top_bytes, CACHE_LINE_BYTES);
    if (opening->tail == NULL || opening->top_block == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a top index of %" PRIu64 " bytes", bytes);
    TRY(io_file_read(opening->file, opening->tail, bytes, layout->top_offset));
    const char *wrong = table_block_verify(opening->tail, TABLE_BLOCK_TOP, (uint32_t)top_bytes,
                                           seed, layout->top_offset);
    if (wrong == NULL)
        wrong = index_block_check(opening->tail, (uint32_t)top_bytes, layout->index_offset,
                                  layout->top_offset);
    if (wrong != NULL)
        return FAIL(KIWI_CORRUPT, "top index at %" PRIu64 ": %s", layout->top_offset, wrong);
    memcpy(opening->top_block, opening->tail, top_bytes);
    const uint8_t *block = opening->tail + top_bytes;
    wrong = table_block_verify(block, TABLE_BLOCK_PROPERTIES, (uint32_t)properties_bytes, seed,
                               layout->properties_offset);
    const struct table_block_header *header = (const struct table_block_header *)block;
    if (wrong == NULL && le32_get(header->count) > properties_bytes - sizeof *header)
        wrong = "properties beyond the block";
    if (wrong != NULL)
        return FAIL(KIWI_CORRUPT, "properties at %" PRIu64 ": %s", layout->properties_offset,
                    wrong);
    TRY(table_properties_decode(block + sizeof *header, le32_get(header->count),
                                &opening->properties));
    return properties_check(opening->info, layout, &opening->properties);
}

static enum kiwi_status opening_run(struct opening *opening, struct table **out)
{
    TRY(footer_read(opening));
    TRY(tail_read(opening));
    struct table_parts parts = { .info = opening->info,
                                 .layout = &opening->layout,
                                 .properties = &opening->properties,
                                 .top_block = opening->top_block };
    TRY(table_make(&parts, opening->file, out));
    opening->top_block = NULL;
    return KIWI_OK;
}

/* Says which file it was about, and where. */
static enum kiwi_status refused_at(const struct opening *opening, enum kiwi_status status)
{
    char text[512];

    if (status != KIWI_CORRUPT && status != KIWI_UNSUPPORTED)
        return status;
    size_t size = strlen(fail_text()) < sizeof text - 1 ? strlen(fail_text()) : sizeof text - 1;
    memcpy(text, fail_text(), size);
    text[size] = '\0';
    return FAIL(status, "%s: offset %" PRIu64 ": %s", io_file_path(opening->file), opening->at,
                text);
}

enum kiwi_status table_open(const struct table_info *info, struct io_file *file,
                            struct database_id database, struct table **out)
{
    struct opening opening = {
        .info = info,
        .file = file,
        .layout = { .database = database, .table_id = info->id, .file_bytes = info->file_bytes },
    };
    enum kiwi_status status;

    *out = NULL;
    if (info->file_bytes < 4ull * TABLE_PAGE_BYTES || info->file_bytes % TABLE_PAGE_BYTES != 0
        || info->file_bytes / TABLE_SECTOR_BYTES > TABLE_SECTOR_COUNT_MAX)
        return FAIL(KIWI_CORRUPT, "%s: a table of %" PRIu64 " bytes cannot be",
                    io_file_path(file), info->file_bytes);
    status = refused_at(&opening, opening_run(&opening, out));
    memory_free(opening.footer);
    memory_free(opening.tail);
    memory_free(opening.top_block);
    return status;
}

/* ---- sizes ---- */

uint64_t table_memory_bytes(const struct table *table)
{
    return sizeof *table + sizeof *table->top + table->top->block_bytes
         + table->info.smallest.size + table->info.largest.size;
}

uint64_t table_index_bytes(const struct table *table)
{
    return table->top->top_offset - table->top->index_offset;
}

uint64_t table_filter_bytes(const struct table *table)
{
    return (uint64_t)table->top->filter.partitions * table->top->filter.partition_bytes;
}

/* ---- the door ---- */

enum kiwi_status table_block_check(const struct table *table, struct block_ref ref,
                                   const uint8_t *block)
{
    const char *wrong = table_block_verify(block, (enum table_block_kind)ref.kind, ref.bytes,
                                           table->seed, ref.offset);

    if (wrong == NULL) {
        switch ((enum block_kind)ref.kind) {
        case BLOCK_DATA:
            wrong = data_block_check(block, ref.bytes);
            break;
        case BLOCK_INDEX:
            wrong = index_block_check(block, ref.bytes, 0, table->info.data_bytes);
            break;
        case BLOCK_FILTER:
            wrong = filter_check(block, &table->top->filter);
            break;
        default:
            assert(false && "a block of a table is data, index or filter");
        }
    }
    if (wrong == NULL)
        return KIWI_OK;
    return FAIL(KIWI_CORRUPT, "%s: block at offset %" PRIu64 ", %u bytes: %s",
                io_file_path(table->file), ref.offset, ref.bytes, wrong);
}
