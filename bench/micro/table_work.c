#include "bench/micro/table_work.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/table/data_block.h"
#include "core/table/filter.h"
#include "core/table/table_writer.h"

enum { KEY_BYTES = 23, VALUE_BYTES = 100, ENTRY_BYTES = KEY_BYTES + VALUE_BYTES };

struct random { uint64_t state; };

static uint64_t random_next(struct random *random)
{
    return hash_mix(random->state += 0x9e3779b97f4a7c15ull, 0x2545f4914f6cdd1dull);
}

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "%s: %s\n", what, fail_text());
    exit(1);
}

int table_work_search(int variant)
{
    if (variant > (int)block_search_best())
        return 0;
    block_search_force((enum block_search)variant);
    return 1;
}

/* Ascending keys with random gaps; odd last digits are never used. */
static void keys_make(uint8_t *keys, uint64_t count, struct random *random)
{
    uint64_t step = 9000000000000000000u / (count + 1);
    uint64_t number = 0;

    for (uint64_t i = 0; i < count; i++) {
        char text[32];
        number += step / 2 + random_next(random) % (step - 2);
        snprintf(text, sizeof text, "user%019llu", (unsigned long long)(number & ~1ull));
        memcpy(keys + i * KEY_BYTES, text, KEY_BYTES);
    }
}

static struct bytes key_at(const uint8_t *keys, uint64_t i)
{
    return bytes_of(keys + i * KEY_BYTES, KEY_BYTES);
}

static struct bytes key_after(const uint8_t *keys, uint64_t i, uint8_t *scratch)
{
    memcpy(scratch, keys + i * KEY_BYTES, KEY_BYTES);
    scratch[KEY_BYTES - 1] |= 1;
    return bytes_of(scratch, KEY_BYTES);
}

/* ---- one block ---- */

struct block_work {
    uint8_t          *block, *keys;
    uint32_t          bytes;
    struct data_block view;
    struct random     random;
};

struct block_work *block_work_open(uint32_t block_bytes)
{
    static const uint8_t value[VALUE_BYTES] = "v";
    struct block_work   *work = calloc(1, sizeof *work);
    struct data_builder  builder;
    uint64_t             limit = block_bytes / ENTRY_BYTES + 1;

    must(work != NULL, "block");
    work->random.state = 1;
    work->keys = malloc(limit * KEY_BYTES);
    keys_make(work->keys, limit, &work->random);
    must(data_builder_open(&builder, block_bytes) == KIWI_OK, "builder");
    for (uint64_t i = 0; i < limit; i++) {
        struct entry entry = { key_at(work->keys, i), bytes_of(value, VALUE_BYTES),
                               1 + random_next(&work->random) % 1000000, ENTRY_PUT };
        if (!data_builder_add(&builder, &entry))
            break;
    }
    work->bytes = data_builder_bytes(&builder);
    work->block = aligned_alloc(PAGE_BYTES, work->bytes);
    data_builder_write(&builder, work->block, work->bytes);
    table_block_seal(work->block, TABLE_BLOCK_DATA, work->bytes, 1, 0);
    must(data_block_check(work->block, work->bytes) == NULL, "check");
    data_block_view(&work->view, work->block);
    data_builder_close(&builder);
    return work;
}

void block_work_close(struct block_work *work)
{
    free(work->block);
    free(work->keys);
    free(work);
}

uint32_t block_work_count(const struct block_work *work)
{
    return work->view.count;
}

uint64_t block_work_key(struct block_work *work)
{
    return key_at(work->keys, random_next(&work->random) % work->view.count).data[20];
}

uint64_t block_work_find(struct block_work *work)
{
    struct bytes      key = key_at(work->keys, random_next(&work->random) % work->view.count);
    struct data_block view;
    struct entry      entry = { 0 };
    bool              is_key;

    data_block_view(&view, work->block); /* as a get does */
    uint32_t i = data_block_seek(&view, key, SEQUENCE_MAX, &is_key);
    must(is_key, "find");
    data_block_value(&view, i, &entry);
    return entry.value.size + entry.sequence;
}

uint64_t block_work_miss(struct block_work *work)
{
    uint8_t      scratch[KEY_BYTES];
    uint64_t     near = random_next(&work->random) % work->view.count;
    struct bytes key = key_after(work->keys, near, scratch);
    bool         is_key;
    uint32_t     i = data_block_seek(&work->view, key, SEQUENCE_MAX, &is_key);

    must(!is_key, "miss");
    return i;
}

uint64_t block_work_walk(struct block_work *work)
{
    uint64_t          sum = 0;
    struct key_buffer buffer;
    struct entry      entry;

    key_buffer_start(&buffer, &work->view);
    for (uint32_t i = 0; i < work->view.count; i++) {
        data_block_entry(&work->view, i, &buffer, &entry);
        sum += entry.sequence + entry.key.data[10] + entry.value.size;
    }
    return sum;
}

uint64_t block_work_check(struct block_work *work)
{
    return data_block_check(work->block, work->bytes) == NULL;
}

/* ---- a filter ---- */

struct filter_work {
    struct filter_shape shape;
    uint8_t            *partitions;
    uint64_t            key_count, next;
};

static struct filter_spot spot_of(const struct filter_work *work, uint64_t number)
{
    return filter_spot(&work->shape, hash_key(bytes_of(&number, sizeof number), 5));
}

static uint8_t *partition_of(struct filter_work *work, const struct filter_spot *spot)
{
    return work->partitions + (uint64_t)spot->partition * work->shape.partition_bytes;
}

struct filter_work *filter_work_open(uint64_t key_count, uint32_t bits_per_key)
{
    struct filter_work *work = calloc(1, sizeof *work);

    must(work != NULL, "filter");
    work->key_count = key_count;
    work->shape = filter_shape_of(key_count, bits_per_key);
    size_t bytes = (size_t)work->shape.partitions * work->shape.partition_bytes;
    work->partitions = aligned_alloc(PAGE_BYTES, bytes);
    memset(work->partitions, 0, bytes);
    for (uint64_t i = 0; i < key_count; i++)
        filter_work_add(work);
    return work;
}

void filter_work_close(struct filter_work *work)
{
    free(work->partitions);
    free(work);
}

uint64_t filter_work_add(struct filter_work *work)
{
    struct filter_spot spot = spot_of(work, work->next++ % work->key_count);

    filter_add(partition_of(work, &spot), &spot);
    return spot.block;
}

uint64_t filter_work_test_absent(struct filter_work *work)
{
    struct filter_spot spot = spot_of(work, work->key_count + work->next++);

    return filter_may_hold(partition_of(work, &spot), &spot);
}

double filter_work_false_share(struct filter_work *work, uint64_t tries)
{
    uint64_t passed = 0;

    for (uint64_t i = 0; i < tries; i++)
        passed += filter_work_test_absent(work);
    return (double)passed / (double)tries;
}

/* ---- a table ---- */

struct table_work {
    struct io      *io;
    struct buffers *buffers;
    struct table   *table;
    uint8_t        *keys, *bytes;
    uint64_t        entry_count, size;
    struct random   random;
};

static struct table_writer *write_all(struct table_work *work, uint8_t *bytes)
{
    static const uint8_t        value[VALUE_BYTES] = "v";
    struct table_writer_options options = {
        .buffers = work->buffers, .table_id = 1, .file_id = 1,
        .expected_entries = work->entry_count, .average_entry_bytes = ENTRY_BYTES,
        .filter_bits_per_key = 14, .hash_seed = 7,
    };
    struct table_writer *writer;
    struct table_chunk   chunk;

    must(table_writer_open(&options, &writer) == KIWI_OK, "writer");
    for (uint64_t i = 0; i <= work->entry_count; i++) {
        if (i == work->entry_count) {
            must(table_writer_finish(writer) == KIWI_OK, "finish");
        } else {
            struct bytes key = key_at(work->keys, i);
            struct entry entry = { key, bytes_of(value, VALUE_BYTES), 1 + (i * 7919) % 1000000,
                                   ENTRY_PUT };
            must(table_writer_add(writer, &entry, hash_key(key, 7)) == KIWI_OK, "add");
        }
        while (table_writer_chunk_take(writer, &chunk)) {
            if (bytes != NULL)
                memcpy(bytes + chunk.offset, chunk.data, chunk.bytes);
            work->size = chunk.offset + chunk.bytes;
            table_writer_chunk_give(writer, &chunk);
        }
    }
    return writer;
}

struct table_work *table_work_open(uint64_t entry_count)
{
    struct table_work *work = calloc(1, sizeof *work);
    struct io_file    *file;

    must(work != NULL, "table");
    work->entry_count = entry_count;
    work->random.state = 3;
    work->keys = malloc(entry_count * KEY_BYTES);
    work->bytes = aligned_alloc(PAGE_BYTES,
                                round_up_u64(entry_count * 160 + (1u << 20), PAGE_BYTES));
    keys_make(work->keys, entry_count, &work->random);
    must(io_open(IO_BACKEND_POSIX, &work->io) == KIWI_OK, "io");
    must(buffers_open(8u << 20, &work->buffers) == KIWI_OK, "buffers");
    must(io_file_open(work->io, "table_benchmark.tmp", IO_CREATE, &file) == KIWI_OK, "file");
    unlink("table_benchmark.tmp");
    struct table_writer *writer = write_all(work, work->bytes);
    must(table_writer_table(writer, file, &work->table) == KIWI_OK, "table");
    table_writer_close(writer);
    return work;
}

void table_work_close(struct table_work *work)
{
    table_close(work->table);
    buffers_close(work->buffers);
    io_close(work->io);
    free(work->keys);
    free(work->bytes);
    free(work);
}

static enum table_answer get(struct table_work *work, struct bytes key, struct table_get *state)
{
    enum table_answer answer =
        table_get_start(state, work->table, key, hash_key(key, 7), SEQUENCE_MAX);

    while (answer == TABLE_WANTS_BLOCK)
        answer = table_get_step(state, work->bytes + state->wanted.offset);
    return answer;
}

uint64_t table_work_get(struct table_work *work)
{
    struct table_get state;
    uint64_t         i = random_next(&work->random) % work->entry_count;

    must(get(work, key_at(work->keys, i), &state) == TABLE_FOUND, "get");
    return state.found.value.size;
}

uint64_t table_work_get_absent(struct table_work *work)
{
    struct table_get state;
    uint8_t          scratch[KEY_BYTES];
    uint64_t         i = random_next(&work->random) % work->entry_count;

    must(get(work, key_after(work->keys, i, scratch), &state) == TABLE_ABSENT, "get");
    return state.data_blocks;
}

static void drive(struct table_work *work, struct iter *iter, enum iter_state state)
{
    while (state == ITER_WANTS_BLOCK)
        state = iter_supply(iter, work->bytes + iter->wanted.offset);
}

uint64_t table_work_seek(struct table_work *work)
{
    struct table_cursor cursor;
    uint64_t            i = random_next(&work->random) % work->entry_count;

    table_cursor_init(&cursor, work->table);
    drive(work, &cursor.iter, iter_seek(&cursor.iter, key_at(work->keys, i), SEQUENCE_MAX));
    return cursor.iter.entry.value.size;
}

uint64_t table_work_walk(struct table_work *work, uint64_t entry_count)
{
    struct table_cursor cursor;
    uint64_t            sum = 0, first = random_next(&work->random) % work->entry_count;

    table_cursor_init(&cursor, work->table);
    drive(work, &cursor.iter, iter_seek(&cursor.iter, key_at(work->keys, first), SEQUENCE_MAX));
    for (uint64_t i = 0; i < entry_count; i++) {
        if (cursor.iter.state == ITER_END)
            drive(work, &cursor.iter, iter_first(&cursor.iter));
        sum += cursor.iter.entry.sequence + cursor.iter.entry.value.size;
        drive(work, &cursor.iter, iter_next(&cursor.iter));
    }
    return sum;
}

uint64_t table_work_write(struct table_work *work)
{
    table_writer_close(write_all(work, NULL));
    return work->entry_count;
}

double table_work_bytes_per_entry(const struct table_work *work)
{
    return (double)work->table->info.data_bytes / (double)work->entry_count;
}

double table_work_index_bytes_per_block(const struct table_work *work)
{
    return (double)table_index_bytes(work->table)
         / ((double)work->table->info.data_bytes / PAGE_BYTES);
}
