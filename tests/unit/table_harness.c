/*
 * table_harness.c: makes models and tables of them.
 */
#include "tests/unit/table_harness.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/base/hash.h"

const char *const model_shape_names[MODEL_SHAPE_COUNT] = {
    "ycsb",      "short keys", "long prefix", "prefix", "zeros", "cut edge",
    "huge keys", "versions",   "big values",  "mixed",
};

uint64_t random_next(struct random *random)
{
    return hash_mix(random->state += 0x9e3779b97f4a7c15ull, 0x2545f4914f6cdd1dull);
}

uint64_t random_below(struct random *random, uint64_t bound)
{
    return random_next(random) % bound;
}

uint64_t seed_of_run(void)
{
    const char *text = getenv("KIWI_SEED");
    uint64_t    seed = text == NULL ? 42 : strtoull(text, NULL, 0);

    print_message("seed %" PRIu64 "\n", seed);
    return seed;
}

/* ---- the truth ---- */

static uint8_t *blob_new(struct model *model, size_t size)
{
    uint8_t *blob = malloc(size == 0 ? 1 : size);

    if (model->blob_count == model->blob_capacity) {
        model->blob_capacity = model->blob_capacity == 0 ? 64 : 2 * model->blob_capacity;
        model->blobs = realloc(model->blobs, model->blob_capacity * sizeof *model->blobs);
    }
    assert_non_null(blob);
    assert_non_null(model->blobs);
    model->blobs[model->blob_count++] = blob;
    return blob;
}

static size_t fill_random(struct random *random, uint8_t *target, size_t size)
{
    for (size_t i = 0; i < size; i++)
        target[i] = (uint8_t)random_next(random);
    return size;
}

static size_t key_make(enum model_shape shape, size_t i, struct random *random, uint8_t *target)
{
    static const uint8_t alphabet[] = { 0x00, 'a', 'b', 0xff };
    size_t               size;

    switch (shape) {
    case MODEL_YCSB:
        return (size_t)sprintf((char *)target, "user%019" PRIu64,
                               random_below(random, 10000000000000000000u));
    case MODEL_SHORT_KEYS:
        size = random_below(random, 7);
        for (size_t k = 0; k < size; k++)
            target[k] = alphabet[random_below(random, 4)];
        return size;
    case MODEL_LONG_PREFIX:
    case MODEL_PREFIX:
        size = shape == MODEL_PREFIX ? 120 : 300;
        memset(target, 'p', size);
        size += (size_t)sprintf((char *)target + size, "%05zu", i / 3);
        return size + fill_random(random, target + size, i % 3);
    case MODEL_ZEROS:
        memcpy(target, "zero\0\0\0\0\0\0\0", 12);
        target[4 + random_below(random, 8)] = (uint8_t)random_below(random, 3);
        target[4 + random_below(random, 8)] = (uint8_t)random_below(random, 3);
        return 12;
    case MODEL_CUT_EDGE:
        memset(target, 'e', 262);
        target[random_below(random, 262)] = 'f';
        return TABLE_CUT_KEY_BYTES_MAX - 6 + random_below(random, 13);
    case MODEL_HUGE_KEYS:
        memset(target, 'h', KIWI_KEY_BYTES_MAX);
        size = random_below(random, 4) == 0 ? KIWI_KEY_BYTES_MAX
                                            : random_below(random, KIWI_KEY_BYTES_MAX + 1);
        if (size > 2)
            fill_random(random, target + size - 2, 2);
        return size;
    case MODEL_VERSIONS:
        return (size_t)sprintf((char *)target, "key%" PRIu64, random_below(random, 12));
    case MODEL_BIG_VALUES:
        return (size_t)sprintf((char *)target, "big%06zu", i);
    case MODEL_MIXED:
    case MODEL_SHAPE_COUNT:
        break;
    }
    return fill_random(random, target, random_below(random, 41));
}

static size_t value_size(enum model_shape shape, struct random *random)
{
    switch (shape) {
    case MODEL_YCSB:
        return 100;
    case MODEL_BIG_VALUES:
        return random_below(random, 4) == 0 ? random_below(random, (1u << 20) + 1)
                                            : random_below(random, 9000);
    case MODEL_MIXED:
        return random_below(random, 10) == 0 ? 0 : random_below(random, 3000);
    case MODEL_VERSIONS:
        return random_below(random, 60);
    default:
        return random_below(random, 20);
    }
}

static int entry_order(const void *a, const void *b)
{
    return entry_compare(a, b);
}

void model_open(struct model *model, enum model_shape shape, size_t count, struct random *random)
{
    uint8_t *key = malloc(KIWI_KEY_BYTES_MAX + 16);
    uint64_t sequence_base = random_below(random, 2) == 0 ? 1 : SEQUENCE_MAX / 2;
    uint64_t sequence_step = 1 + random_below(random, 2) * random_below(random, 1u << 20);

    *model = (struct model){ .entries = calloc(count, sizeof *model->entries), .count = count };
    assert_non_null(key);
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = &model->entries[i];
        size_t        key_size = key_make(shape, i, random, key);
        uint8_t      *blob = blob_new(model, key_size);
        memcpy(blob, key, key_size);
        entry->key = bytes_of(blob, key_size);
        entry->sequence = sequence_base + i * sequence_step;
        entry->kind = random_below(random, 8) == 0 ? ENTRY_DELETE : ENTRY_PUT;
        if (entry->kind == ENTRY_PUT) {
            size_t   size = value_size(shape, random);
            uint8_t *value = blob_new(model, size);
            fill_random(random, value, size < 64 ? size : 64);
            if (size > 64)
                memset(value + 64, (int)(i & 0xff), size - 64);
            entry->value = bytes_of(value, size);
        }
    }
    free(key);
    qsort(model->entries, count, sizeof *model->entries, entry_order);
}

void model_close(struct model *model)
{
    for (size_t i = 0; i < model->blob_count; i++)
        free(model->blobs[i]);
    free(model->blobs);
    free(model->entries);
    *model = (struct model){ 0 };
}

size_t model_seek(const struct model *model, struct bytes key, uint64_t sequence)
{
    struct entry goal = { .key = key, .sequence = sequence };
    size_t       first = 0, final = model->count;

    while (first < final) {
        size_t middle = first + (final - first) / 2;
        if (entry_compare(&model->entries[middle], &goal) < 0)
            first = middle + 1;
        else
            final = middle;
    }
    return first;
}

struct bytes model_key_near(const struct model *model, struct random *random, uint8_t *scratch)
{
    struct bytes key = model->entries[random_below(random, model->count)].key;
    size_t       size = key.size;

    if (size > 0)
        memcpy(scratch, key.data, size);
    switch (random_below(random, 7)) {
    case 0: /* a prefix */
        size = random_below(random, size + 1);
        break;
    case 1: /* one byte more */
        if (size < KIWI_KEY_BYTES_MAX)
            scratch[size++] = random_below(random, 2) == 0 ? 0 : 0xff;
        break;
    case 2: /* one byte other */
        if (size > 0)
            scratch[random_below(random, size)] += (uint8_t)(1 + 254 * random_below(random, 2));
        break;
    case 3:
        size = random_below(random, 12);
        fill_random(random, scratch, size);
        break;
    default:
        break;
    }
    return bytes_of(scratch, size);
}

bool entry_equal(const struct entry *a, const struct entry *b)
{
    return bytes_equal(a->key, b->key) && bytes_equal(a->value, b->value)
        && a->sequence == b->sequence && a->kind == b->kind;
}

/* ---- the table ---- */

static void observe(void *context, struct block_ref ref, const uint8_t *block)
{
    struct built *built = context;

    assert_true(ref.kind == BLOCK_DATA || ref.kind == BLOCK_INDEX || ref.kind == BLOCK_FILTER);
    assert_int_equal(ref.offset % (ref.kind == BLOCK_DATA ? TABLE_SECTOR_BYTES : PAGE_BYTES), 0);
    assert_non_null(block);
    built->observed_blocks++;
    built->observed_bytes += ref.bytes;
}

static void collect(struct built *built, struct table_writer *writer)
{
    struct table_chunk chunk;

    while (table_writer_chunk_take(writer, &chunk)) {
        assert_int_equal(chunk.offset, built->size);
        assert_int_equal(chunk.bytes % PAGE_BYTES, 0);
        if (built->capacity < built->size + chunk.bytes) {
            built->capacity = 2 * (built->size + chunk.bytes);
            built->bytes = realloc(built->bytes, built->capacity);
        }
        assert_non_null(built->bytes);
        memcpy(built->bytes + built->size, chunk.data, chunk.bytes);
        built->size += chunk.bytes;
        table_writer_chunk_give(writer, &chunk);
    }
}

static struct table_writer_options writer_options(const struct built *built,
                                                  const struct model *model,
                                                  const struct built_options *options)
{
    uint64_t raw = 0;

    for (size_t i = 0; i < model->count; i++)
        raw += model->entries[i].key.size + model->entries[i].value.size;
    return (struct table_writer_options){
        .buffers = built->buffers,
        .database = built->database,
        .table_id = options->table_id,
        .file_id = 3,
        .expected_entries = options->expected_entries == 0 ? model->count
                                                           : options->expected_entries,
        .average_entry_bytes = options->average_entry_bytes == 0 ? raw / model->count
                                                                 : options->average_entry_bytes,
        .filter_bits_per_key = options->filter_bits,
        .hash_seed = HARNESS_HASH_SEED,
    };
}

static struct io_file *file_make(const struct built *built, const uint8_t *bytes, uint64_t size)
{
    struct io_file *file;

    assert_int_equal(io_file_open(built->io, built->path, IO_CREATE, &file), KIWI_OK);
    assert_int_equal(io_file_truncate(file, 0), KIWI_OK);
    if (size > 0)
        assert_int_equal(io_file_write(file, bytes, size, 0), KIWI_OK);
    return file;
}

void built_open(struct built *built, const struct model *model, const struct built_options *options)
{
    struct table_writer *writer;

    *built = (struct built){ 0 };
    snprintf(built->path, sizeof built->path, "table-%ld.test", (long)getpid());
    for (size_t i = 0; i < sizeof built->database.bytes; i++)
        built->database.bytes[i] = (uint8_t)(i * 7 + 1);
    assert_int_equal(io_open(IO_BACKEND_POSIX, &built->io), KIWI_OK);
    assert_int_equal(buffers_open(8u << 20, &built->buffers), KIWI_OK);
    struct table_writer_options writing = writer_options(built, model, options);
    assert_int_equal(table_writer_open(&writing, &writer), KIWI_OK);
    table_writer_observe(writer, observe, built);
    for (size_t i = 0; i < model->count; i++) {
        const struct entry *entry = &model->entries[i];
        uint64_t            hash = hash_key(entry->key, HARNESS_HASH_SEED);
        assert_int_equal(table_writer_add(writer, entry, hash), KIWI_OK);
        if (i % 64 == 0)
            collect(built, writer);
    }
    assert_int_equal(table_writer_entry_count(writer), model->count);
    assert_int_equal(table_writer_finish(writer), KIWI_OK);
    collect(built, writer);
    assert_int_equal(table_writer_chunks_waiting(writer), 0);
    assert_int_equal(table_writer_bytes(writer), built->size);
    built->bytes = realloc(built->bytes, built->size); /* a read behind the end must be noticed */
    assert_non_null(built->bytes);
    struct io_file *file = file_make(built, built->bytes, 0);
    assert_int_equal(table_writer_table(writer, file, &built->table), KIWI_OK);
    table_writer_close(writer);
    assert_int_equal(buffers_used_bytes(built->buffers), 0);
    assert_int_equal(built->table->info.file_bytes, built->size);
    built->checked = calloc(built->size / PAGE_BYTES, 1);
    assert_non_null(built->checked);
}

void built_close(struct built *built)
{
    table_close(built->table);
    buffers_close(built->buffers);
    io_close(built->io);
    free(built->bytes);
    free(built->checked);
    unlink(built->path);
    *built = (struct built){ 0 };
}

enum kiwi_status built_reopen(struct built *built, const struct table_info *info,
                              const uint8_t *bytes, uint64_t size, struct database_id database,
                              struct table **out)
{
    struct io_file  *file = file_make(built, bytes, size);
    enum kiwi_status status = table_open(info, file, database, out);

    if (status != KIWI_OK)
        io_file_close(file);
    return status;
}

const uint8_t *built_block(const struct built *built, struct block_ref ref)
{
    assert_true(ref.offset + ref.bytes <= built->size);
    const uint8_t *block = built->bytes + ref.offset;
    uint8_t       *checked = &built->checked[ref.offset / PAGE_BYTES];
    if (!*checked) {
        assert_int_equal(table_block_check(built->table, ref, block), KIWI_OK);
        *checked = 1;
    }
    return block;
}
