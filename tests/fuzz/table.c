/*
 * table.c: every part of a table file as the input has it, rightly sealed.
 *
 * Goal: what passes a door is safe to search: no read outside the block (which stands in memory of
 * exactly its size), no answer outside its bounds. Method: the first byte chooses a part; the rest
 * is the part, or patches of a whole table of tests/samples, whose checksums are then made right.
 */
#include "core/base/memory.h"
#include "core/iter/head.h"
#include "core/table/table.h"
#include "core/table/table_top.h"
#include "io/simulated.h"
#include "tests/fuzz/fuzz.h"
#include "tests/samples/sample.h"

#define SEED 7u

/* At least a sector, whole sectors, sealed; free() it. */
static uint8_t *block_of(struct fuzz_input *input, enum table_block_kind kind, uint32_t unit,
                         uint32_t *bytes)
{
    size_t         taken;
    const uint8_t *span = fuzz_span(input, 32768, &taken);
    uint8_t       *block;

    *bytes = (uint32_t)round_up_u64(taken == 0 ? 1 : taken, unit);
    block = aligned_alloc(64, *bytes);
    fuzz_promise(block != NULL);
    memset(block, 0, *bytes);
    if (taken > 0)
        memcpy(block, span, taken);
    table_block_seal(block, kind, *bytes, SEED, 4096);
    return block;
}

static void searches_each(void (*visit)(const uint8_t *block, uint32_t bytes),
                          const uint8_t *block, uint32_t bytes)
{
    for (int search = BLOCK_SEARCH_SCALAR; search <= (int)block_search_best(); search++) {
        block_search_force((enum block_search)search);
        visit(block, bytes);
    }
    block_search_force(block_search_best());
}

/* ---- data blocks ---- */

static void data_visit(const uint8_t *base, uint32_t bytes)
{
    struct data_block block;
    struct key_buffer buffer;
    struct entry      entry;
    uint64_t          head;
    bool              is_key;

    (void)bytes;
    data_block_view(&block, base);
    key_buffer_start(&buffer, &block);
    for (uint32_t i = 0; i < block.count; i++) {
        uint8_t      key[KIWI_KEY_BYTES_MAX + 1];
        struct bytes near = { key, 0 };

        data_block_entry(&block, i, &buffer, &entry);
        fuzz_promise(entry.key.size <= KIWI_KEY_BYTES_MAX && entry.sequence <= SEQUENCE_MAX);
        fuzz_promise(entry.kind == ENTRY_PUT || entry.value.size == 0);
        fuzz_promise(data_block_key_is(&block, i, entry.key));
        fuzz_promise(data_block_entry_bytes(&block, i) == entry.key.size + entry.value.size);
        data_block_heads(&block, i, 1, block.prefix_bytes / 2, &head);
        fuzz_promise(head == head_behind(entry.key, block.prefix_bytes / 2));
        if (i >= 64)
            continue; /* each search is over all of them */
        if (entry.key.size > 0)
            memcpy(key, entry.key.data, entry.key.size);
        key[entry.key.size] = 0xff;
        for (near.size = entry.key.size > 2 ? entry.key.size - 2 : 0;
             near.size <= entry.key.size + 1; near.size++) {
            uint32_t at = data_block_seek(&block, near, entry.sequence, &is_key);

            fuzz_promise(at <= block.count && (!is_key || at < block.count));
        }
    }
}

static void data_block_give(struct fuzz_input *input)
{
    uint32_t bytes;
    uint8_t *block = block_of(input, TABLE_BLOCK_DATA, TABLE_SECTOR_BYTES, &bytes);

    if (table_block_verify(block, TABLE_BLOCK_DATA, bytes, SEED, 4096) == NULL
        && data_block_check(block, bytes) == NULL)
        searches_each(data_visit, block, bytes);
    free(block);
}

/* ---- index blocks ---- */

enum { INDEX_END = 1 << 26 };

static void index_visit(const uint8_t *base, uint32_t bytes)
{
    struct index_block block;

    index_block_view(&block, base);
    for (uint32_t i = 0; i < block.count; i++) {
        struct block_ref ref = index_block_ref(&block, i, BLOCK_DATA);

        fuzz_promise(ref.bytes >= TABLE_SECTOR_BYTES && ref.offset + ref.bytes <= INDEX_END);
        (void)index_block_continues(&block, i);
    }
    for (uint32_t at = 0; at + 40 < bytes; at += 37)
        for (uint32_t size = 0; size < 40; size += 9)
            fuzz_promise(index_block_find(&block, bytes_of(base + at, size)) < block.count);
}

static void index_block_give(struct fuzz_input *input)
{
    uint32_t bytes;
    uint8_t *block = block_of(input, TABLE_BLOCK_INDEX, TABLE_PAGE_BYTES, &bytes);

    if (table_block_verify(block, TABLE_BLOCK_INDEX, bytes, SEED, 4096) == NULL
        && index_block_check(block, bytes, 0, INDEX_END) == NULL)
        searches_each(index_visit, block, bytes);
    free(block);
}

/* ---- filters ---- */

static void filter_give(struct fuzz_input *input)
{
    struct filter_shape shape = {
        .partitions = (uint32_t)fuzz_number(input, 4),
        .blocks = (uint32_t)fuzz_number(input, 2),
        .lanes = fuzz_byte(input) % 12,
    };
    uint32_t bytes;
    uint8_t *block = block_of(input, TABLE_BLOCK_FILTER, TABLE_PAGE_BYTES, &bytes);

    shape.partition_bytes = bytes;
    if (shape.partitions > 0 && filter_shape_is_sound(&shape)
        && filter_check(block, &shape) == NULL) {
        for (uint64_t i = 0; i < 64; i++) {
            struct filter_spot spot = filter_spot(&shape, hash_mix(i, bytes));

            fuzz_promise(spot.partition < shape.partitions && spot.block < shape.blocks);
            (void)filter_may_hold(block, &spot);
            filter_add(block, &spot);
            fuzz_promise(filter_may_hold(block, &spot));
        }
    }
    free(block);
}

/* ---- a whole file ---- */

static struct image        sample;
static const struct image_file *sample_file;
static struct database_id  sample_database;
static struct table_layout sample_layout;

static void sample_open(void)
{
    const struct table_footer *footer;

    if (sample_file != NULL)
        return;
    sample_read(SOURCE_ROOT "/tests/samples/i1-w1-m1-t2/clean.sample", &sample);
    for (uint32_t i = 0; i < sample.count; i++) {
        const struct image_file *file = &sample.files[i];

        if (strcmp(file->path, "IDENTITY") == 0)
            memcpy(&sample_database, file->bytes + file->size - 24, sizeof sample_database);
        if (strncmp(file->path, "shard-00/t-", 11) == 0)
            sample_file = file;
    }
    fuzz_promise(sample_file != NULL);
    footer = (const void *)sample_file->bytes; /* the file may be longer than the table */
    while (le64_get(footer->magic) != TABLE_MAGIC)
        fuzz_promise((const uint8_t *)++footer < sample_file->bytes + sample_file->size);
    sample_layout = (struct table_layout){
        .database = sample_database,
        .table_id = le64_get(footer->table_id),
        .file_bytes = (uint64_t)((const uint8_t *)(footer + 1) - sample_file->bytes),
    };
    fuzz_promise(table_footer_check(footer, &sample_layout) == KIWI_OK);
}

/* Seals what begins at from and is one block of a kind that the file had there before. */
static void part_seal(uint8_t *file, uint64_t from, uint64_t to)
{
    uint64_t seed = table_seed(&sample_database, sample_layout.table_id);
    uint8_t *block = file + from;
    uint64_t checksum = hash_checksum(block + 8, to - from - 8, hash_mix(seed, from));

    memcpy(block, &checksum, sizeof checksum);
}

/* Every part of a patched file verifies again. */
static void file_seal(uint8_t *file)
{
    const struct table_layout *layout = &sample_layout;
    struct table_footer       *footer = (void *)(file + layout->file_bytes - TABLE_PAGE_BYTES);
    uint64_t                   seed = table_seed(&sample_database, layout->table_id), checksum;

    /* one filter partition and one index partition; data blocks are left to data_block_give */
    part_seal(file, layout->filter_offset, layout->index_offset);
    part_seal(file, layout->index_offset, layout->top_offset);
    part_seal(file, layout->top_offset, layout->properties_offset);
    part_seal(file, layout->properties_offset, layout->file_bytes - TABLE_PAGE_BYTES);
    checksum = hash_checksum(footer, offsetof(struct table_footer, checksum),
                             hash_mix(seed, layout->file_bytes - TABLE_PAGE_BYTES));
    memcpy(&footer->checksum, &checksum, sizeof checksum);
}

/* What a manifest would say that agrees with the file as it is now; false: nothing could. */
static bool info_of(const uint8_t *file, struct table_info *info)
{
    const struct table_footer *footer =
        (const void *)(file + sample_layout.file_bytes - TABLE_PAGE_BYTES);
    const uint8_t             *block = file + sample_layout.properties_offset;
    uint64_t room = sample_layout.file_bytes - TABLE_PAGE_BYTES - sample_layout.properties_offset
                  - sizeof(struct table_block_header);
    struct table_properties    properties;
    uint32_t bytes = le32_get(((const struct table_block_header *)block)->count);

    if (bytes > room
        || table_properties_decode(block + sizeof(struct table_block_header), bytes, &properties)
               != KIWI_OK)
        return false;
    *info = (struct table_info){
        .id = sample_layout.table_id,
        .file_id = properties.file_id,
        .file_bytes = sample_layout.file_bytes,
        .data_bytes = le64_get(footer->filter_offset),
        .entry_count = properties.entry_count,
        .tombstone_count = properties.tombstone_count,
        .raw_bytes = properties.raw_bytes,
        .sequence_min = properties.sequence_min,
        .sequence_max = properties.sequence_max,
        .footer_checksum = le64_get(footer->checksum),
        .smallest = properties.smallest,
        .largest = properties.largest,
    };
    return true;
}

/* The block in memory of its size; NULL: the door refused it, or the file does not have it. */
static uint8_t *block_fetch(const struct table *table, const uint8_t *file, struct block_ref ref)
{
    uint8_t *block;

    fuzz_promise(ref.bytes > 0 && ref.bytes % TABLE_SECTOR_BYTES == 0);
    fuzz_promise(ref.offset + ref.bytes <= sample_layout.file_bytes);
    block = aligned_alloc(64, ref.bytes);
    fuzz_promise(block != NULL);
    memcpy(block, file + ref.offset, ref.bytes);
    if (table_block_check(table, ref, block) == KIWI_OK)
        return block;
    free(block);
    return NULL;
}

static void get_run(const struct table *table, const uint8_t *file, struct bytes key)
{
    struct table_get  get;
    enum table_answer answer = table_get_start(&get, table, key, hash_key(key, 1), SEQUENCE_MAX);
    uint8_t          *blocks[64];
    uint32_t          count = 0;

    while (answer == TABLE_WANTS_BLOCK && count < 64) {
        blocks[count] = block_fetch(table, file, get.wanted);
        if (blocks[count] == NULL)
            break;
        answer = table_get_step(&get, blocks[count++]);
    }
    if (answer == TABLE_FOUND)
        fuzz_promise(bytes_equal(get.found.key, key));
    while (count > 0)
        free(blocks[--count]);
}

static void cursor_run(struct table *table, const uint8_t *file, bool is_backward)
{
    struct table_cursor cursor;
    struct iter        *iter = &cursor.iter;
    uint8_t            *blocks[512];
    uint32_t            count = 0, moves = 0;
    enum iter_state     state;

    table_cursor_init(&cursor, table);
    state = is_backward ? iter_last(iter) : iter_first(iter);
    while (moves < 2000 && count < 512) {
        if (state == ITER_WANTS_BLOCK) {
            blocks[count] = block_fetch(table, file, iter->wanted);
            if (blocks[count] == NULL)
                break;
            state = iter_supply(iter, blocks[count++]);
            continue;
        }
        if (state != ITER_AT_ENTRY)
            break;
        fuzz_promise(iter->entry.key.size <= KIWI_KEY_BYTES_MAX);
        state = is_backward ? iter_previous(iter) : iter_next(iter);
        moves++;
    }
    while (count > 0)
        free(blocks[--count]);
}

static void file_give(struct fuzz_input *input)
{
    struct simulation_options options = { .seed = 1 };
    struct simulation        *simulation;
    struct io_file           *file;
    struct table             *table = NULL;
    struct table_info         info;
    uint64_t                  data_bytes, bytes;
    uint8_t                  *copy;

    sample_open();
    bytes = sample_layout.file_bytes;
    data_bytes = sample_layout.filter_offset;
    copy = malloc(bytes);
    fuzz_promise(copy != NULL);
    memcpy(copy, sample_file->bytes, bytes);
    fuzz_patch(input, copy + data_bytes, bytes - data_bytes);
    fuzz_patch(input, copy + sample_layout.top_offset, bytes - sample_layout.top_offset);
    file_seal(copy);
    if (!info_of(copy, &info)) {
        free(copy);
        return;
    }
    fuzz_promise(simulation_open(&options, &simulation) == KIWI_OK);
    fuzz_promise(io_file_open(simulation_io(simulation), "/table", IO_CREATE, &file) == KIWI_OK);
    fuzz_promise(io_file_write(file, copy, bytes, 0) == KIWI_OK);
    if (table_open(&info, file, sample_database, &table) == KIWI_OK) {
        get_run(table, copy, info.smallest);
        get_run(table, copy, info.largest);
        get_run(table, copy, bytes_of("basket/5/", 9));
        get_run(table, copy, bytes_of(data_bytes + copy, fuzz_byte(input)));
        cursor_run(table, copy, false);
        cursor_run(table, copy, true);
        table_close(table);
    } else {
        fuzz_promise(table == NULL);
        io_file_close(file);
    }
    simulation_close(simulation);
    free(copy);
}

/* ---- footers and properties ---- */

static void footer_give(struct fuzz_input *input)
{
    struct table_footer footer = { 0 };
    struct table_layout layout = { .database = { "fuzzed database" }, .table_id = 9,
                                   .file_bytes = 4096ull * (2 + fuzz_number(input, 3)) };
    le64 *const fields[] = { &footer.filter_offset, &footer.index_offset, &footer.top_offset,
                             &footer.properties_offset };
    uint64_t    at = 0, seed = table_seed(&layout.database, layout.table_id);

    footer.magic = le64_of(TABLE_MAGIC);
    footer.version = le32_of(fuzz_byte(input) < 250 ? TABLE_VERSION : fuzz_byte(input));
    footer.database = layout.database;
    footer.table_id = le64_of(layout.table_id);
    footer.file_bytes = le64_of(layout.file_bytes);
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
        at += 4096 * fuzz_number(input, 2);
        *fields[i] = le64_of(at);
    }
    fuzz_patch(input, (uint8_t *)&footer, sizeof footer);
    footer.checksum = le64_of(hash_checksum(&footer, offsetof(struct table_footer, checksum),
                                            hash_mix(seed, layout.file_bytes - sizeof footer)));
    if (table_footer_check(&footer, &layout) == KIWI_OK)
        fuzz_promise(0 < layout.filter_offset && layout.filter_offset <= layout.index_offset
                     && layout.index_offset < layout.top_offset
                     && layout.top_offset < layout.properties_offset
                     && layout.properties_offset < layout.file_bytes - sizeof footer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_input input = { data, data + bytes };

    switch (fuzz_byte(&input) % 5) {
    case 0: data_block_give(&input); break;
    case 1: index_block_give(&input); break;
    case 2: filter_give(&input); break;
    case 3: file_give(&input); break;
    case 4: footer_give(&input); break;
    }
    return 0;
}
