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

/* Finishing goes through these, each in steps that either are done or have changed nothing. */
enum finish_stage {
    FINISH_NOT_BEGUN = 0,
    FINISH_DATA,
    FINISH_HASH_COUNT, /* how many hashes each filter partition gets */
    FINISH_HASH_SORT,  /* by partition, in place */
    FINISH_FILTER,
    FINISH_INDEX,
    FINISH_TOP,
    FINISH_PROPERTIES,
    FINISH_FOOTER,
    FINISH_DONE,
};

struct finish {
    enum finish_stage    stage;
    struct filter_shape  shape;
    uint64_t            *ends, *heads; /* owned, one allocation: of the partitions in hashes */
    uint64_t             at;           /* in hashes */
    uint32_t             partition;
    uint8_t             *filter;       /* the partition under construction, in the open chunk */
    struct index_builder top;          /* owned */
    struct index_part    part;
};

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
    struct finish               finish;
    void (*block_done)(void *context, struct block_ref ref, const uint8_t *block);
    void                       *block_context;
};

static uint32_t chunk_bytes_for(const struct table_writer_options *options)
{
    uint64_t expected = options->expected_entries * options->average_entry_bytes;
    uint64_t most = options->chunk_bytes == 0 ? CHUNK_BYTES : options->chunk_bytes;

    /* Small tables take small buffers: a database may have 8 MiB in all. */
    if (expected < 4ull * CHUNK_BYTES_MIN)
        return CHUNK_BYTES_MIN;
    return (uint32_t)max_u64(min_u64(most, CHUNK_BYTES) / PAGE_BYTES * PAGE_BYTES, CHUNK_BYTES_MIN);
}

enum kiwi_status table_writer_open(const struct table_writer_options *options,
                                   struct table_writer **out)
{
    struct table_writer *writer = memory_allocate_zeroed(sizeof *writer);
    uint32_t             target = options->block_bytes != 0
                                ? options->block_bytes
                                : data_block_target(options->average_entry_bytes);

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
    index_builder_close(&writer->finish.top);
    memory_free(writer->finish.ends);
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

/* What a block of so many bytes must have more, so that the next one begins at a page. */
static uint32_t page_rest(const struct table_writer *writer, uint64_t bytes)
{
    return (uint32_t)(-(writer->chunks.bytes + bytes) % TABLE_PAGE_BYTES);
}

/* The records collected become a block. On failure nothing has changed. */
static enum kiwi_status data_block_finish(struct table_writer *writer, bool is_last)
{
    uint32_t bytes = data_builder_bytes(&writer->data);
    uint8_t *target;

    bytes += is_last ? page_rest(writer, bytes) : 0;
    target = chunks_reserve(&writer->chunks, bytes);
    if (target == NULL)
        return no_buffer(writer, bytes);
    data_builder_write(&writer->data, target, bytes);
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

/* An entry that no block of the usual size holds gets one of its own, up to the end of a page: it
 * may be the last. */
static enum kiwi_status single_add(struct table_writer *writer, const struct entry *entry)
{
    uint64_t used = data_block_single_bytes(entry);
    uint64_t bytes = used + page_rest(writer, used);
    uint8_t *target = chunks_reserve(&writer->chunks, (uint32_t)bytes);

    if (target == NULL)
        return no_buffer(writer, bytes);
    boundary_add(writer, entry->key);
    data_block_single_write(entry, target, bytes);
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
    if (writer->data.measure.count > 0)
        TRY(data_block_finish(writer, false));
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

    assert(writer->finish.stage == FINISH_NOT_BEGUN);
    TRY(entry_check(writer, entry, &is_new_key));
    TRY(hashes_reserve(writer));
    TRY(smallest_copy(writer, entry->key));
    TRY(last_key_reserve(writer, entry->key.size));
    if (writer->data.measure.count == 0 || !data_builder_add(&writer->data, entry))
        TRY(block_start(writer, entry));
    if (is_new_key && writer->options.filter_bits_per_key > 0)
        writer->hashes[writer->hash_count++] = hash;
    entry_count(writer, entry, is_new_key);
    return KIWI_OK;
}

/* ---- finishing ---- */

/* Hashes that one step deals with: some tens of microseconds. */
enum { HASHES_A_STEP = 4096 };

static enum kiwi_status data_finish(struct table_writer *writer)
{
    if (writer->data.measure.count > 0)
        TRY(data_block_finish(writer, true));
    assert(writer->chunks.bytes % TABLE_PAGE_BYTES == 0);
    writer->layout.filter_offset = writer->chunks.bytes;
    return KIWI_OK;
}

/* True when this was the last step of its stage; so in all that return bool through is_last. */
static enum kiwi_status hashes_count(struct table_writer *writer, bool *is_last)
{
    struct finish *finish = &writer->finish;

    if (finish->ends == NULL) {
        finish->shape = filter_shape_of(writer->hash_count, writer->options.filter_bits_per_key);
        uint32_t partitions = finish->shape.partitions;
        finish->ends = memory_allocate_zeroed(2 * ((size_t)partitions + 1) * sizeof(uint64_t));
        if (finish->ends == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory for %u filter partitions", partitions);
        finish->heads = finish->ends + partitions + 1;
        writer->properties.filter_partitions = partitions;
        writer->properties.filter_blocks = finish->shape.blocks;
        writer->properties.filter_lanes = finish->shape.lanes;
    }
    uint64_t end = min_u64(writer->hash_count, finish->at + HASHES_A_STEP);
    for (; finish->at < end; finish->at++)
        finish->ends[filter_partition(&finish->shape, writer->hashes[finish->at])]++;
    *is_last = end == writer->hash_count;
    if (!*is_last)
        return KIWI_OK;
    uint64_t sum = 0;
    for (uint32_t p = 0; p < finish->shape.partitions; p++) {
        finish->heads[p] = sum;
        sum += finish->ends[p];
        finish->ends[p] = sum;
    }
    finish->partition = 0;
    return KIWI_OK;
}

/* Sorts the hashes by partition, in place, so that each partition is built once and in cache
 * (McIlroy, Bostic, McIlroy: Engineering Radix Sort, 1993). */
static void hashes_sort(struct table_writer *writer, bool *is_last)
{
    struct finish *finish = &writer->finish;
    uint64_t      *hashes = writer->hashes;

    for (uint32_t moves = 0; finish->partition < finish->shape.partitions; finish->partition++) {
        uint64_t *head = &finish->heads[finish->partition];
        for (; *head < finish->ends[finish->partition]; moves++) {
            if (moves == HASHES_A_STEP)
                return;
            uint64_t  hash = hashes[*head];
            uint64_t *home = &finish->heads[filter_partition(&finish->shape, hash)];
            hashes[*head] = hashes[*home];
            hashes[(*home)++] = hash;
        }
    }
    finish->partition = 0;
    finish->at = 0;
    *is_last = true;
}

static enum kiwi_status filter_write(struct table_writer *writer, bool *is_last)
{
    struct finish *finish = &writer->finish;
    uint32_t       bytes = finish->shape.partition_bytes;

    *is_last = finish->partition == finish->shape.partitions;
    if (*is_last)
        return KIWI_OK;
    if (finish->filter == NULL) {
        finish->filter = chunks_reserve(&writer->chunks, bytes);
        if (finish->filter == NULL)
            return no_buffer(writer, bytes);
        memset(finish->filter, 0, bytes);
        filter_header_write(finish->filter, &finish->shape);
    }
    uint64_t partition_end = finish->ends[finish->partition];
    uint64_t end = min_u64(partition_end, finish->at + HASHES_A_STEP);
    for (; finish->at < end; finish->at++) {
        struct filter_spot spot = filter_spot(&finish->shape, writer->hashes[finish->at]);
        filter_add(finish->filter, &spot);
    }
    if (end == partition_end) {
        block_finish(writer, finish->filter, TABLE_BLOCK_FILTER, bytes);
        finish->filter = NULL;
        finish->partition++;
    }
    return KIWI_OK;
}

/* One index partition. */
static enum kiwi_status index_write(struct table_writer *writer, bool *is_last)
{
    struct finish    *finish = &writer->finish;
    struct index_part part = finish->part;

    if (part.count == 0)
        writer->layout.index_offset = writer->chunks.bytes;
    *is_last = !index_builder_next(&writer->index, TABLE_INDEX_BYTES, &part);
    if (*is_last) {
        writer->layout.top_offset = writer->chunks.bytes;
        writer->properties.index_partitions = finish->top.count;
        return KIWI_OK;
    }
    struct bytes boundary = index_builder_key(&writer->index, part.first);
    TRY(index_builder_reserve(&finish->top, boundary.size));
    uint8_t *target = chunks_reserve(&writer->chunks, part.bytes);
    if (target == NULL)
        return no_buffer(writer, part.bytes);
    index_builder_add(&finish->top, boundary, false, writer->chunks.bytes);
    index_builder_write(&writer->index, &part, writer->layout.filter_offset, target);
    block_finish(writer, target, TABLE_BLOCK_INDEX, part.bytes);
    finish->part = part;
    return KIWI_OK;
}

static enum kiwi_status top_write(struct table_writer *writer)
{
    struct index_part part = { 0 };

    if (!index_builder_next(&writer->finish.top, 0, &part))
        assert(false && "a table has at least one entry");
    if (writer->top_block == NULL)
        writer->top_block = memory_allocate_aligned(part.bytes, CACHE_LINE_BYTES);
    uint8_t *target = chunks_reserve(&writer->chunks, part.bytes);
    if (writer->top_block == NULL || target == NULL)
        return no_buffer(writer, part.bytes);
    index_builder_write(&writer->finish.top, &part, writer->layout.top_offset, target);
    block_finish(writer, target, TABLE_BLOCK_TOP, part.bytes);
    memcpy(writer->top_block, target, part.bytes);
    return KIWI_OK;
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
    chunks_finish(&writer->chunks);
    return KIWI_OK;
}

enum kiwi_status table_writer_finish_step(struct table_writer *writer, bool *is_done)
{
    struct finish *finish = &writer->finish;
    bool           is_last = true;

    assert(writer->properties.entry_count > 0);
    *is_done = false;
    switch (finish->stage) {
    case FINISH_NOT_BEGUN:
        break;
    case FINISH_DATA:
        TRY(data_finish(writer));
        break;
    case FINISH_HASH_COUNT:
        TRY(hashes_count(writer, &is_last));
        break;
    case FINISH_HASH_SORT:
        is_last = false;
        hashes_sort(writer, &is_last);
        break;
    case FINISH_FILTER:
        TRY(filter_write(writer, &is_last));
        break;
    case FINISH_INDEX:
        TRY(index_write(writer, &is_last));
        break;
    case FINISH_TOP:
        TRY(top_write(writer));
        break;
    case FINISH_PROPERTIES:
        TRY(properties_write(writer));
        break;
    case FINISH_FOOTER:
        TRY(footer_write(writer));
        break;
    case FINISH_DONE:
        *is_done = true;
        return KIWI_OK;
    }
    finish->stage += is_last ? 1 : 0;
    *is_done = finish->stage == FINISH_DONE;
    return KIWI_OK;
}

enum kiwi_status table_writer_finish(struct table_writer *writer)
{
    bool is_done = false;

    while (!is_done)
        TRY(table_writer_finish_step(writer, &is_done));
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

/* Asked for with every key, so nothing in here divides. */
uint64_t table_writer_bytes(const struct table_writer *writer)
{
    uint64_t ends_bytes = 2ull * TABLE_PAGE_BYTES + sizeof(struct table_footer);

    if (writer->finish.stage == FINISH_DONE)
        return writer->chunks.bytes;
    return writer->chunks.bytes + writer->data.used
         + writer->hash_count * writer->options.filter_bits_per_key / 8
         + index_builder_bytes(&writer->index) + ends_bytes;
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

    assert(writer->finish.stage == FINISH_DONE);
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
