/*
 * table_check.c: every block of a table, in the order of the file's parts: filter, index, data.
 *
 * Checksums say that bytes are those that were written; what is compared beyond them says that what
 * was written makes sense: order and range of keys and sequences, that the index leads to each key,
 * that the filter lets each key pass, and that the counts are those of the manifest.
 */
#include "core/table/table_check.h"

#include <inttypes.h>

#include "core/base/hash.h"
#include "core/base/memory.h"
#include "core/table/table_top.h"

#define WINDOW_BYTES (1u << 20)

struct checking {
    struct table                     *table;
    const struct table_check_options *options;
    struct table_checked             *out;
    uint8_t *window;             /* owned: what was read last */
    uint64_t window_offset, window_bytes, window_capacity;
    uint8_t *index;              /* owned: the partition that is walked */
    uint64_t index_capacity;
    uint8_t *filter;             /* owned: all partitions, one after the other */
    bool    *filter_is_sound;    /* owned: of each */
    uint8_t *from, *below;       /* owned: boundaries */
    uint8_t *last;               /* owned: the key before */
    size_t   last_bytes;
    uint64_t last_sequence;
    bool     has_last;
    uint64_t entries, tombstones, raw_bytes;
    bool     is_whole;           /* no block was skipped: counts can be compared */
};

static void damage_tell(struct checking *checking, struct table_damage damage)
{
    checking->out->damages++;
    checking->options->damaged(checking->options->context, &damage);
}

/* What the last failure said, of a block and the keys that can only be found through it. */
static void block_tell(struct checking *checking, struct block_ref ref, struct bytes from,
                       struct bytes below)
{
    bool hides_entries = ref.kind != BLOCK_FILTER;

    checking->is_whole = checking->is_whole && !hides_entries;
    damage_tell(checking, (struct table_damage){ .offset = ref.offset, .bytes = ref.bytes,
                                                 .has_keys = true, .hides_entries = hides_entries,
                                                 .from = from, .below = below,
                                                 .text = fail_text() });
}

/* ---- reading ---- */

static enum kiwi_status grow(uint8_t **buffer, uint64_t *capacity, uint64_t bytes)
{
    if (bytes <= *capacity)
        return KIWI_OK;
    memory_free(*buffer);
    *buffer = memory_allocate_aligned(bytes, TABLE_PAGE_BYTES);
    *capacity = *buffer == NULL ? 0 : bytes;
    if (*buffer == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to check a block of %" PRIu64 " bytes", bytes);
    return KIWI_OK;
}

/* File bytes [begin, end) and what alignment adds; the window holds them afterwards. */
static enum kiwi_status window_read(struct checking *checking, uint64_t begin, uint64_t end)
{
    uint64_t         unit = io_file_read_unit(checking->table->file);
    enum kiwi_status status;

    begin = begin / unit * unit;
    end = round_up_u64(end, unit);
    checking->window_bytes = 0;
    TRY(grow(&checking->window, &checking->window_capacity, end - begin));
    status = io_file_read(checking->table->file, checking->window, end - begin, begin);
    if (status == KIWI_OK) {
        checking->window_offset = begin;
        checking->window_bytes = end - begin;
    }
    return status;
}

/* The verified bytes of a block; read_end: so far reading ahead may go. */
static enum kiwi_status block_read(struct checking *checking, struct block_ref ref,
                                   uint64_t read_end, const uint8_t **out)
{
    uint64_t end = ref.offset + ref.bytes, window_end = checking->window_offset
                                                      + checking->window_bytes;
    enum kiwi_status status = KIWI_OK;

    if (ref.offset < checking->window_offset || end > window_end) {
        uint64_t far_end = min_u64(max_u64(end, ref.offset + WINDOW_BYTES), max_u64(end, read_end));

        status = window_read(checking, ref.offset, far_end);
        if (status != KIWI_OK && status != KIWI_NO_MEMORY && far_end > end)
            status = window_read(checking, ref.offset, end); /* what failed may lie behind it */
    }
    checking->out->blocks++;
    checking->out->bytes += ref.bytes;
    if (!checking->options->progress(checking->options->context, ref.bytes))
        return FAIL(KIWI_CLOSED, "the check was stopped");
    TRY(status);
    *out = checking->window + (ref.offset - checking->window_offset);
    return table_block_check(checking->table, ref, *out);
}

/* Goes on after damage, not after anything else. */
static bool is_damage(enum kiwi_status status)
{
    return status == KIWI_CORRUPT || status == KIWI_IO;
}

/* ---- filter ---- */

static enum kiwi_status filters_check(struct checking *checking)
{
    const struct filter_shape *shape = &checking->table->top->filter;
    uint64_t                   bytes = table_filter_bytes(checking->table);

    if (shape->partitions == 0)
        return KIWI_OK;
    checking->filter = memory_allocate_aligned(bytes, CACHE_LINE_BYTES);
    checking->filter_is_sound = memory_allocate_zeroed(shape->partitions * sizeof(bool));
    if (checking->filter == NULL || checking->filter_is_sound == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to check a filter of %" PRIu64 " bytes", bytes);
    for (uint32_t i = 0; i < shape->partitions; i++) {
        struct block_ref ref = table_filter_ref(checking->table, i);
        const uint8_t   *block;
        enum kiwi_status status = block_read(checking, ref, shape->offset + bytes, &block);

        if (status == KIWI_OK) {
            memcpy(checking->filter + (uint64_t)i * shape->partition_bytes, block,
                   shape->partition_bytes);
            checking->filter_is_sound[i] = true;
        } else if (is_damage(status)) {
            /* A get cannot pass it by: any key may hash to it. */
            block_tell(checking, ref, checking->table->info.smallest, (struct bytes){ 0 });
        } else {
            return status;
        }
    }
    return KIWI_OK;
}

static bool filter_passes(const struct checking *checking, struct bytes key)
{
    const struct filter_shape *shape = &checking->table->top->filter;
    struct filter_spot         spot;

    if (shape->partitions == 0)
        return true;
    spot = filter_spot(shape, hash_key(key, checking->options->hash_seed));
    return !checking->filter_is_sound[spot.partition]
        || filter_may_hold(checking->filter + (uint64_t)spot.partition * shape->partition_bytes,
                           &spot);
}

/* ---- entries ---- */

/* NULL when the entry is where and what it must be. */
static const char *entry_wrong(const struct checking *checking, const struct index_block *index,
                               uint32_t position, const struct entry *entry)
{
    const struct table_info *info = &checking->table->info;
    struct bytes             last = bytes_of(checking->last, checking->last_bytes);
    int                      order = !checking->has_last ? -1 : bytes_compare(last, entry->key);

    if (order > 0)
        return "keys are out of order";
    if (order == 0 && entry->sequence >= checking->last_sequence)
        return "versions of a key are out of order";
    if (bytes_compare(entry->key, info->smallest) < 0
        || bytes_compare(entry->key, info->largest) > 0)
        return "a key lies outside the table's range";
    if (entry->sequence < info->sequence_min || entry->sequence > info->sequence_max)
        return "a sequence number lies outside the table's range";
    if (order != 0 && index_block_find(index, entry->key) != position)
        return "the index leads to another block for a key";
    if (order != 0 && !filter_passes(checking, entry->key))
        return "the filter denies a key";
    return NULL;
}

static enum kiwi_status entries_give(const struct checking *checking, const uint8_t *bytes)
{
    struct data_block block;
    struct key_buffer key;

    data_block_view(&block, bytes);
    key_buffer_start(&key, &block);
    for (uint32_t i = 0; i < block.count && checking->options->entry != NULL; i++) {
        struct entry entry;

        data_block_entry(&block, i, &key, &entry);
        TRY(checking->options->entry(checking->options->context, &entry));
    }
    return KIWI_OK;
}

static enum kiwi_status entries_check(struct checking *checking, const struct index_block *index,
                                      uint32_t position, struct block_ref ref,
                                      const uint8_t *bytes, struct bytes from, struct bytes below)
{
    struct data_block block;
    struct key_buffer key;
    const char       *wrong = NULL;

    data_block_view(&block, bytes);
    key_buffer_start(&key, &block);
    for (uint32_t i = 0; i < block.count; i++) {
        struct entry entry;

        data_block_entry(&block, i, &key, &entry);
        if (wrong == NULL)
            wrong = entry_wrong(checking, index, position, &entry);
        checking->entries++;
        checking->tombstones += entry.kind == ENTRY_DELETE;
        checking->raw_bytes += entry.key.size + entry.value.size;
        memcpy(checking->last, entry.key.data, entry.key.size);
        checking->last_bytes = entry.key.size;
        checking->last_sequence = entry.sequence;
        checking->has_last = true;
    }
    if (wrong == NULL)
        return entries_give(checking, bytes);
    (void)FAIL(KIWI_CORRUPT, "%s: block at offset %" PRIu64 ", %u bytes: %s",
               io_file_path(checking->table->file), ref.offset, ref.bytes, wrong);
    damage_tell(checking, (struct table_damage){ .offset = ref.offset, .bytes = ref.bytes,
                                                 .has_keys = true, .hides_entries = true,
                                                 .from = from, .below = below,
                                                 .text = fail_text() });
    return KIWI_OK;
}

/* ---- index and data ---- */

static enum kiwi_status data_check(struct checking *checking, const struct index_block *index,
                                   uint32_t partition)
{
    const struct index_block *top = &checking->table->top->index;

    for (uint32_t i = 0; i < index->count; i++) {
        struct block_ref ref = index_block_ref(index, i, BLOCK_DATA);
        struct bytes     from = index_block_boundary(index, i, checking->from), below = { 0 };
        const uint8_t   *block;
        enum kiwi_status status;

        if (i + 1 < index->count)
            below = index_block_boundary(index, i + 1, checking->below);
        else if (partition + 1 < top->count)
            below = index_block_boundary(top, partition + 1, checking->below);
        status = block_read(checking, ref, checking->table->info.data_bytes, &block);
        if (status == KIWI_OK)
            TRY(entries_check(checking, index, i, ref, block, from, below));
        else if (is_damage(status))
            block_tell(checking, ref, from, below);
        else
            return status;
    }
    return KIWI_OK;
}

static enum kiwi_status partition_check(struct checking *checking, uint32_t partition,
                                        uint64_t *data_end)
{
    const struct index_block *top = &checking->table->top->index;
    struct block_ref          ref = table_index_ref(checking->table, partition);
    struct bytes              from = index_block_boundary(top, partition, checking->from);
    struct bytes              below = { 0 };
    struct index_block        index;
    const uint8_t            *block;
    enum kiwi_status          status;

    if (partition + 1 < top->count)
        below = index_block_boundary(top, partition + 1, checking->below);
    status = block_read(checking, ref, ref.offset + ref.bytes, &block);
    if (is_damage(status)) {
        block_tell(checking, ref, from, below);
        *data_end = UINT64_MAX;
        return KIWI_OK;
    }
    TRY(status);
    TRY(grow(&checking->index, &checking->index_capacity, ref.bytes));
    memcpy(checking->index, block, ref.bytes);
    index_block_view(&index, checking->index);
    struct block_ref first = index_block_ref(&index, 0, BLOCK_DATA);
    struct block_ref last = index_block_ref(&index, index.count - 1, BLOCK_DATA);
    if (*data_end != UINT64_MAX && first.offset != *data_end) {
        (void)FAIL(KIWI_CORRUPT, "%s: index at offset %" PRIu64 ": data goes on at %" PRIu64
                   ", not at %" PRIu64, io_file_path(checking->table->file), ref.offset,
                   first.offset, *data_end);
        block_tell(checking, ref, from, below);
    }
    *data_end = last.offset + last.bytes;
    return data_check(checking, &index, partition);
}

/* ---- the whole ---- */

static void counts_check(struct checking *checking, uint64_t data_end)
{
    const struct table_info *info = &checking->table->info;
    uint64_t                 footer = info->file_bytes - TABLE_PAGE_BYTES;

    if (!checking->is_whole
        || (data_end == info->data_bytes && checking->entries == info->entry_count
            && checking->tombstones == info->tombstone_count
            && checking->raw_bytes == info->raw_bytes))
        return;
    (void)FAIL(KIWI_CORRUPT, "%s: %" PRIu64 " entries, %" PRIu64 " deletions, %" PRIu64
               " bytes in %" PRIu64 " of data; the manifest says %" PRIu64 ", %" PRIu64 ", %" PRIu64
               " in %" PRIu64, io_file_path(checking->table->file), checking->entries,
               checking->tombstones, checking->raw_bytes, data_end, info->entry_count,
               info->tombstone_count, info->raw_bytes, info->data_bytes);
    damage_tell(checking, (struct table_damage){ .offset = footer, .bytes = TABLE_PAGE_BYTES,
                                                 .text = fail_text() });
}

static enum kiwi_status check_run(struct checking *checking)
{
    const struct index_block *top = &checking->table->top->index;
    uint64_t                  data_end = 0;

    checking->from = memory_allocate(KIWI_KEY_BYTES_MAX + 1u);
    checking->below = memory_allocate(KIWI_KEY_BYTES_MAX + 1u);
    checking->last = memory_allocate(KIWI_KEY_BYTES_MAX + 1u);
    if (checking->from == NULL || checking->below == NULL || checking->last == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to check %s", io_file_path(checking->table->file));
    TRY(filters_check(checking));
    for (uint32_t i = 0; i < top->count; i++)
        TRY(partition_check(checking, i, &data_end));
    counts_check(checking, data_end);
    return KIWI_OK;
}

enum kiwi_status table_check(struct table *table, const struct table_check_options *options,
                             struct table_checked *out)
{
    struct checking  checking = { .table = table, .options = options, .out = out,
                                  .is_whole = true };
    enum kiwi_status status;

    *out = (struct table_checked){ 0 };
    status = check_run(&checking);
    out->entries = checking.entries;
    memory_free(checking.window);
    memory_free(checking.index);
    memory_free(checking.filter);
    memory_free(checking.filter_is_sound);
    memory_free(checking.from);
    memory_free(checking.below);
    memory_free(checking.last);
    return status;
}
