/*
 * table_writer.c: builds a table file from sorted entries, front to back.
 *
 * Records are collected beside the output and laid out when their block is full, because the widths
 * of its columns and the common prefix are known only then. Index and filter follow the
 * data, so boundaries and hashes are kept until the end.
 */
#include "core/table/table_writer.h"

#include <inttypes.h>

#include "core/base/memory.h"
#include "core/table/chunks.h"
#include "core/table/data_block.h"
#include "core/table/filter.h"
#include "core/table/index_block.h"
#include "core/table/table_top.h"

enum { CHUNK_BYTES = 256 << 10, CHUNK_BYTES_MIN = 64 << 10 };
static_assert((int)CHUNK_BYTES_MIN >= (int)TABLE_FILTER_BYTES_MAX, "a chunk holds any partition");

struct table_writer {
    struct table_writer_options options;
    uint64_t                    seed;
    struct chunks               chunks;
    struct data_builder         data;
    struct index_builder        index;
    uint64_t                   *hashes;       /* owned: of distinct keys */
    uint64_t                    hash_count, hash_capacity;
    uint8_t                    *last_key;     /* owned */
    size_t                      last_key_size, last_key_capacity;
    uint64_t                    last_sequence;
    uint8_t                    *smallest;     /* owned */
    uint32_t                    smallest_size;
    struct table_properties     properties;
    struct table_layout         layout;
    uint64_t                    footer_checksum;
    uint8_t                    *top_block;    /* owned: a copy, for the open table */
    bool                        is_finished;
    void (*block_done)(void *context, struct block_ref ref, const uint8_t *block);
    void                       *block_context;
};

static uint32_t chunk_bytes_for(const struct table_writer_options *options)
{
    uint64_t expected = options->expected_entries * options->average_entry_bytes;

    /* Small tables take small buffers: a database may have 8 MiB in all. */
    if (expected < 4ull * CHUNK_BYTES_MIN)
        return CHUNK_BYTES_MIN;
    return CHUNK_BYTES;
}

enum kiwi_status table_writer_open(const struct table_writer_options *options,
                                   struct table_writer **out)
{
    struct table_writer *writer = memory_allocate_zeroed(sizeof *writer);
    uint32_t             target = data_block_target(options->average_entry_bytes);

    *out = NULL;
    if (writer == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to write table %" PRIu64, options->table_id);
    writer->options = *options;
    writer->seed = table_seed(&options->database, options->table_id);
    chunks_init(&writer->chunks, options->buffers, chunk_bytes_for(options));
    enum kiwi_status status = data_builder_open(&writer->data, target);
    if (status != KIWI_OK) {
        table_writer_close(writer);
        return status;
    }
    writer->properties = (struct table_properties){
        .file_id = options->file_id,
        .sequence_min = UINT64_MAX,
        .block_bytes = target,
        .hash_seed = options->hash_seed,
    };
    *out = writer;
    return KIWI_OK;
}

void table_writer_close(struct table_writer *writer)
{
    if (writer == NULL)
        return;
    chunks_close(&writer->chunks);
    data_builder_close(&writer->data);
    index_builder_close(&writer->index);
    memory_free(writer->hashes);
    memory_free(writer->last_key);
    memory_free(writer->smallest);
    memory_free(writer->top_block);
    memory_free(writer);
}

static struct bytes last_key(const struct table_writer *writer)
{
    return bytes_of(writer->last_key, writer->last_key_size);
}

static enum kiwi_status no_buffer(const struct table_writer *writer, uint64_t bytes)
{
    return FAIL(KIWI_NO_MEMORY, "table %" PRIu64 ": no buffer of %" PRIu64 " bytes",
                writer->options.table_id, bytes);
}

/* The block at target, laid out in full, becomes the next bytes of the file. */
static void block_finish(struct table_writer *writer, uint8_t *target,
                         enum table_block_kind kind, uint32_t bytes)
{
    uint64_t offset = writer->chunks.bytes;

    table_block_seal(target, kind, bytes, writer->seed, offset);
    if (writer->block_done != NULL && kind <= TABLE_BLOCK_FILTER) {
        struct block_ref ref = { .offset = offset, .bytes = bytes, .kind = (uint8_t)kind };
        writer->block_done(writer->block_context, ref, target);
    }
    chunks_commit(&writer->chunks, bytes);
}

/* ---- adding ---- */

static enum kiwi_status entry_check(const struct table_writer *writer, const struct entry *entry,
                                    bool *is_new_key)
{
    *is_new_key = true;
    if (entry->key.size > KIWI_KEY_BYTES_MAX || entry->value.size > KIWI_VALUE_BYTES_MAX)
        return FAIL(KIWI_TOO_LARGE, "an entry with %zu bytes of key and %zu of value",
                    entry->key.size, entry->value.size);
    if (entry->sequence > SEQUENCE_MAX
        || (entry->kind != ENTRY_PUT && (entry->kind != ENTRY_DELETE || entry->value.size > 0)))
        return FAIL(KIWI_INVALID, "an entry of kind %d with sequence %" PRIu64, (int)entry->kind,
                    entry->sequence);
    if (writer->properties.entry_count == 0)
        return KIWI_OK;
    int order = bytes_compare(last_key(writer), entry->key);
    if (order > 0 || (order == 0 && writer->last_sequence <= entry->sequence))
        return FAIL(KIWI_INVALID, "table %" PRIu64 ": entry %" PRIu64 " is out of order",
                    writer->options.table_id, writer->properties.entry_count);
    *is_new_key = order != 0;
    return KIWI_OK;
}

static enum kiwi_status hashes_reserve(struct table_writer *writer)
{
    if (writer->hash_count < writer->hash_capacity || writer->options.filter_bits_per_key == 0)
        return KIWI_OK;
    uint64_t capacity = max_u64(1024, writer->hash_capacity * 2);
    if (writer->hash_capacity == 0)
        capacity = max_u64(capacity, min_u64(writer->options.expected_entries, 1u << 20));
    void *hashes = memory_resize(writer->hashes, capacity * sizeof *writer->hashes);
    if (hashes == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for the hashes of %" PRIu64 " keys", capacity);
    writer->hashes = hashes;
    writer->hash_capacity = capacity;
    return KIWI_OK;
}

static enum kiwi_status smallest_copy(struct table_writer *writer, struct bytes key)
{
    if (writer->properties.entry_count > 0)
        return KIWI_OK;
    uint8_t *copy = memory_allocate(key.size);
    if (copy == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a key of %zu bytes", key.size);
    if (key.size > 0)
        memcpy(copy, key.data, key.size);
    memory_free(writer->smallest); /* of a first add that found no memory later on */
    writer->smallest = copy;
    writer->smallest_size = (uint32_t)key.size;
    return KIWI_OK;
}

/* The records collected become a block. On failure nothing has changed. */
static enum kiwi_status data_block_finish(struct table_writer *writer)
{
    uint32_t bytes = data_builder_bytes(&writer->data);
    uint8_t *target = chunks_reserve(&writer->chunks, bytes);

    if (target == NULL)
        return no_buffer(writer, bytes);
    data_builder_write(&writer->data, target);
    block_finish(writer, target, TABLE_BLOCK_DATA, bytes);
    data_builder_clear(&writer->data);
    writer->properties.block_count++;
    return KIWI_OK;
}

/* A block begins with key: the shortest boundary between it and the last key. */
static void boundary_add(struct table_writer *writer, struct bytes key)
{
    uint64_t offset = writer->chunks.bytes;
    size_t   shared = 0;

    if (writer->properties.entry_count == 0) {
        index_builder_add(&writer->index, key, false, offset);
        return;
    }
    struct bytes last = last_key(writer);
    while (shared < last.size && shared < key.size && last.data[shared] == key.data[shared])
        shared++;
    if (shared == key.size) { /* the same key: keys ascend, so it is not shorter than the last */
        assert(shared == last.size);
        index_builder_continue(&writer->index);
        index_builder_add(&writer->index, key, true, offset);
        return;
    }
    index_builder_add(&writer->index, bytes_of(key.data, shared + 1), false, offset);
}

/* An entry that no block of the usual size holds gets one of its own. */
static enum kiwi_status single_add(struct table_writer *writer, const struct entry *entry)
{
    uint64_t bytes = data_block_single_bytes(entry);
    uint8_t *target = chunks_reserve(&writer->chunks, (uint32_t)bytes);

    if (target == NULL)
        return no_buffer(writer, bytes);
    boundary_add(writer, entry->key);
    data_block_single_write(entry, target);
    block_finish(writer, target, TABLE_BLOCK_DATA, (uint32_t)bytes);
    writer->properties.block_count++;
    return KIWI_OK;
}

static enum kiwi_status last_key_reserve(struct table_writer *writer, size_t bytes)
{
    if (LIKELY(bytes <= writer->last_key_capacity))
        return KIWI_OK;
    size_t capacity = max_u64(256, 2 * bytes);
    void  *key = memory_resize(writer->last_key, capacity);
    if (key == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a key of %zu bytes", bytes);
    writer->last_key = key;
    writer->last_key_capacity = capacity;
    return KIWI_OK;
}

static void entry_count(struct table_writer *writer, const struct entry *entry, bool is_new_key)
{
    struct table_properties *properties = &writer->properties;

    properties->entry_count++;
    properties->key_count += is_new_key;
    properties->tombstone_count += entry->kind == ENTRY_DELETE;
    properties->raw_bytes += entry->key.size + entry->value.size;
    properties->sequence_min = min_u64(properties->sequence_min, entry->sequence);
    properties->sequence_max = max_u64(properties->sequence_max, entry->sequence);
    writer->last_sequence = entry->sequence;
    if (is_new_key) {
        key_copy(writer->last_key, entry->key.data, entry->key.size);
        writer->last_key_size = entry->key.size;
    }
}

/* The entry is the first of its block. */
static enum kiwi_status block_start(struct table_writer *writer, const struct entry *entry)
{
    if (writer->data.count > 0)
        TRY(data_block_finish(writer));
    TRY(index_builder_reserve(&writer->index, entry->key.size));
    if (!data_builder_add(&writer->data, entry))
        return single_add(writer, entry);
    boundary_add(writer, entry->key);
    return KIWI_OK;
}

enum kiwi_status table_writer_add(struct table_writer *writer, const struct entry *entry,
                                  uint64_t hash)
{
    bool is_new_key;

    assert(!writer->is_finished);
    TRY(entry_check(writer, entry, &is_new_key));
    TRY(hashes_reserve(writer));
    TRY(smallest_copy(writer, entry->key));
    TRY(last_key_reserve(writer, entry->key.size));
    if (writer->data.count == 0 || !data_builder_add(&writer->data, entry))
        TRY(block_start(writer, entry));
    if (is_new_key && writer->options.filter_bits_per_key > 0)
        writer->hashes[writer->hash_count++] = hash;
    entry_count(writer, entry, is_new_key);
    return KIWI_OK;
}

/* ---- finishing ---- */

/* Sorts the hashes by partition, in place, so that each partition is built once and in cache
 * (McIlroy, Bostic, McIlroy: Engineering Radix Sort, 1993). ends[p]: where partition p ends. */
static void hashes_sort(struct table_writer *writer, const struct filter_shape *shape,
                        uint64_t *ends, uint64_t *heads)
{
    uint64_t *hashes = writer->hashes;
    uint64_t  sum = 0;

    for (uint64_t i = 0; i < writer->hash_count; i++)
        ends[filter_spot(shape, hashes[i]).partition]++;
    for (uint32_t p = 0; p < shape->partitions; p++) {
        heads[p] = sum;
        sum += ends[p];
        ends[p] = sum;
    }
    for (uint32_t p = 0; p < shape->partitions; p++) {
        while (heads[p] < ends[p]) {
            uint64_t hash = hashes[heads[p]];
            uint32_t home = filter_spot(shape, hash).partition;
            hashes[heads[p]] = hashes[heads[home]];
            hashes[heads[home]++] = hash;
        }
    }
}

static enum kiwi_status filter_partition_write(struct table_writer       *writer,
                                               const struct filter_shape *shape, uint64_t first,
                                               uint64_t end)
{
    uint8_t *target = chunks_reserve(&writer->chunks, shape->partition_bytes);

    if (target == NULL)
        return no_buffer(writer, shape->partition_bytes);
    memset(target, 0, shape->partition_bytes);
    filter_header_write(target, shape);
    for (uint64_t i = first; i < end; i++) {
        struct filter_spot spot = filter_spot(shape, writer->hashes[i]);
        filter_add(target, &spot);
    }
    block_finish(writer, target, TABLE_BLOCK_FILTER, shape->partition_bytes);
    return KIWI_OK;
}

static enum kiwi_status filter_write(struct table_writer *writer)
{
    struct filter_shape shape =
        filter_shape_of(writer->hash_count, writer->options.filter_bits_per_key);
    enum kiwi_status status = KIWI_OK;

    writer->properties.filter_partitions = shape.partitions;
    writer->properties.filter_blocks = shape.blocks;
    writer->properties.filter_lanes = shape.lanes;
    if (shape.partitions == 0)
        return KIWI_OK;
    uint64_t *ends = memory_allocate_zeroed(2 * shape.partitions * sizeof *ends);
    if (ends == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for %u filter partitions", shape.partitions);
    hashes_sort(writer, &shape, ends, ends + shape.partitions);
    for (uint32_t p = 0; p < shape.partitions && status == KIWI_OK; p++)
        status = filter_partition_write(writer, &shape, p == 0 ? 0 : ends[p - 1], ends[p]);
    memory_free(ends);
    return status;
}

/* Writes the next part of an index; kind tells partitions from the top. */
static enum kiwi_status index_part_write(struct table_writer        *writer,
                                         const struct index_builder *index,
                                         const struct index_part *part, uint64_t end,
                                         enum table_block_kind kind)
{
    uint8_t *target = chunks_reserve(&writer->chunks, part->bytes);

    if (target == NULL)
        return no_buffer(writer, part->bytes);
    index_builder_write(index, part, end, target);
    if (kind == TABLE_BLOCK_TOP) {
        writer->top_block = memory_allocate_aligned(part->bytes, CACHE_LINE_BYTES);
        if (writer->top_block == NULL)
            return no_buffer(writer, part->bytes);
    }
    block_finish(writer, target, kind, part->bytes);
    if (kind == TABLE_BLOCK_TOP)
        memcpy(writer->top_block, target, part->bytes);
    return KIWI_OK;
}

static enum kiwi_status partitions_write(struct table_writer *writer, struct index_builder *top)
{
    struct index_part part = { 0 };

    writer->layout.index_offset = writer->chunks.bytes;
    while (index_builder_next(&writer->index, TABLE_INDEX_BYTES, &part)) {
        struct bytes boundary = index_builder_key(&writer->index, part.first);
        TRY(index_builder_reserve(top, boundary.size));
        index_builder_add(top, boundary, false, writer->chunks.bytes);
        TRY(index_part_write(writer, &writer->index, &part, writer->layout.filter_offset,
                             TABLE_BLOCK_INDEX));
    }
    writer->layout.top_offset = writer->chunks.bytes;
    writer->properties.index_partitions = top->count;
    part = (struct index_part){ 0 };
    if (!index_builder_next(top, 0, &part))
        assert(false && "a table has at least one entry");
    return index_part_write(writer, top, &part, writer->layout.top_offset, TABLE_BLOCK_TOP);
}

static enum kiwi_status properties_write(struct table_writer *writer)
{
    struct table_properties *properties = &writer->properties;

    properties->smallest = bytes_of(writer->smallest, writer->smallest_size);
    properties->largest = last_key(writer);
    uint32_t bytes = (uint32_t)round_up_u64(sizeof(struct table_block_header)
                                                + table_properties_bound(properties),
                                            TABLE_PAGE_BYTES);
    uint8_t *target = chunks_reserve(&writer->chunks, bytes);
    if (target == NULL)
        return no_buffer(writer, bytes);
    memset(target, 0, bytes);
    uint32_t used = table_properties_encode(properties, target + sizeof(struct table_block_header));
    ((struct table_block_header *)target)->count = le32_of(used);
    writer->layout.properties_offset = writer->chunks.bytes;
    block_finish(writer, target, TABLE_BLOCK_PROPERTIES, bytes);
    return KIWI_OK;
}

static enum kiwi_status footer_write(struct table_writer *writer)
{
    uint8_t *target = chunks_reserve(&writer->chunks, sizeof(struct table_footer));

    if (target == NULL)
        return no_buffer(writer, sizeof(struct table_footer));
    writer->layout.database = writer->options.database;
    writer->layout.table_id = writer->options.table_id;
    writer->layout.file_bytes = writer->chunks.bytes + sizeof(struct table_footer);
    table_footer_build((struct table_footer *)target, &writer->layout);
    writer->footer_checksum = le64_get(((struct table_footer *)target)->checksum);
    chunks_commit(&writer->chunks, sizeof(struct table_footer));
    return KIWI_OK;
}

enum kiwi_status table_writer_finish(struct table_writer *writer)
{
    struct index_builder top = { 0 };
    enum kiwi_status     status = KIWI_OK;

    assert(!writer->is_finished);
    assert(writer->properties.entry_count > 0);
    if (writer->data.count > 0)
        TRY(data_block_finish(writer));
    writer->layout.filter_offset = writer->chunks.bytes;
    TRY(filter_write(writer));
    status = partitions_write(writer, &top);
    index_builder_close(&top);
    if (status != KIWI_OK)
        return status;
    TRY(properties_write(writer));
    TRY(footer_write(writer));
    chunks_finish(&writer->chunks);
    writer->is_finished = true;
    return KIWI_OK;
}

/* ---- output ---- */

bool table_writer_chunk_take(struct table_writer *writer, struct table_chunk *chunk)
{
    return chunks_take(&writer->chunks, chunk);
}

void table_writer_chunk_give(struct table_writer *writer, const struct table_chunk *chunk)
{
    chunks_give(&writer->chunks, chunk);
}

uint64_t table_writer_bytes(const struct table_writer *writer)
{
    if (writer->is_finished)
        return writer->chunks.bytes;
    struct filter_shape shape =
        filter_shape_of(writer->hash_count, writer->options.filter_bits_per_key);
    uint64_t filter_bytes = (uint64_t)shape.partitions * shape.partition_bytes;
    uint64_t data_bytes = writer->data.count == 0 ? 0 : data_builder_bytes(&writer->data);
    uint64_t ends_bytes = 2ull * TABLE_PAGE_BYTES + sizeof(struct table_footer);

    return writer->chunks.bytes + data_bytes + filter_bytes + index_builder_bytes(&writer->index)
         + ends_bytes;
}

uint64_t table_writer_entry_count(const struct table_writer *writer)
{
    return writer->properties.entry_count;
}

uint64_t table_writer_chunks_waiting(const struct table_writer *writer)
{
    return writer->chunks.waiting;
}

enum kiwi_status table_writer_table(struct table_writer *writer, struct io_file *file,
                                    struct table **out)
{
    const struct table_properties *properties = &writer->properties;
    struct table_info info = {
        .id = writer->options.table_id,
        .file_id = writer->options.file_id,
        .file_bytes = writer->layout.file_bytes,
        .data_bytes = writer->layout.filter_offset,
        .entry_count = properties->entry_count,
        .tombstone_count = properties->tombstone_count,
        .raw_bytes = properties->raw_bytes,
        .sequence_min = properties->sequence_min,
        .sequence_max = properties->sequence_max,
        .footer_checksum = writer->footer_checksum,
        .smallest = properties->smallest,
        .largest = properties->largest,
    };
    struct table_parts parts = { .info = &info,
                                 .layout = &writer->layout,
                                 .properties = properties,
                                 .top_block = writer->top_block };

    assert(writer->is_finished);
    assert(writer->top_block != NULL);
    TRY(table_make(&parts, file, out));
    writer->top_block = NULL;
    return KIWI_OK;
}

void table_writer_observe(struct table_writer *writer,
                          void (*block_done)(void *context, struct block_ref ref,
                                             const uint8_t *block),
                          void *context)
{
    writer->block_done = block_done;
    writer->block_context = context;
}
