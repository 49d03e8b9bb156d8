/*
 * compact_harness.c: see compact_harness.h.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "compact_harness.h"
#include "core/base/hash.h"
#include "core/base/memory.h"
#include "tests/support/mode.h"

#define HASH_SEED 77u

static const struct database_id database = { { 1, 2, 3, 4, 5, 6, 7, 8, 9 } };

uint64_t harness_random(struct harness *harness)
{
    harness->random += 0x9e3779b97f4a7c15ull;
    return hash_mix(harness->random, 3);
}

uint64_t harness_below(struct harness *harness, uint64_t limit)
{
    return harness_random(harness) % limit;
}

static void value_fill(uint8_t *value, uint64_t seed, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i += 8) {
        uint64_t word = hash_mix(seed, i);

        memcpy(value + i, &word, bytes - i < 8 ? bytes - i : 8);
    }
}

/* ---- opening and closing ---- */

static void keys_make(struct harness *harness)
{
    for (uint32_t i = 0; i < harness->options.key_count; i++) {
        uint32_t bytes = 10 + i % 3;
        uint8_t *key;

        if (i == 0)
            bytes = 0;
        else if (harness->options.has_large && i % 97 == 0)
            bytes = i % 194 == 0 ? KIWI_KEY_BYTES_MAX : 5000;
        key = memory_allocate(bytes + 16);
        memset(key, 'k', bytes + 16);
        if (bytes > 0)
            (void)snprintf((char *)key, 16, "key-%05u", i);
        if (bytes > 9)
            key[9] = 'k';
        harness->keys[i].key = bytes_of(key, bytes);
    }
}

static void memtable_begin(struct harness *harness)
{
    uint32_t                count = harness->memtable_count;
    struct memtable_options options = { .expected_bytes = 1 << 20 };

    assert_true(count <= HARNESS_FROZEN_MAX);
    if (harness->pools[count] == NULL)
        assert_int_equal(memtable_pool_open(256 << 10, &harness->pools[count]), KIWI_OK);
    options.pool = harness->pools[count];
    assert_int_equal(memtable_open(&options, &harness->memtables[count]), KIWI_OK);
    harness->memtable_count++;
}

struct harness *harness_open(const struct harness_options *options)
{
    struct harness *harness = memory_allocate_zeroed(sizeof *harness);

    open_files_allow();
    harness->options = *options;
    harness->random = options->seed;
    harness->io = options->io;
    /* In memory where the host has it: what is tested is order, not the disk. */
    (void)snprintf(harness->directory, sizeof harness->directory, "%s/compact-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (options->io == NULL) {
        assert_int_equal(io_open(IO_BACKEND_POSIX, &harness->io), KIWI_OK);
        assert_non_null(mkdtemp(harness->directory));
    } else {
        (void)snprintf(harness->directory, sizeof harness->directory, "/shard");
        assert_int_equal(io_directory_create(harness->io, harness->directory), KIWI_OK);
    }
    assert_int_equal(io_file_open(harness->io, harness->directory, IO_DIRECTORY | IO_READ_ONLY,
                                  &harness->directory_file), KIWI_OK);
    assert_int_equal(io_queue_open(harness->io, 64, &harness->queue), KIWI_OK);
    assert_int_equal(buffers_open(8 << 20, &harness->buffers), KIWI_OK);
    assert_int_equal(version_set_open(&harness->set), KIWI_OK);
    harness->value = memory_allocate(1 << 20);
    keys_make(harness);
    memtable_begin(harness);
    return harness;
}

static void file_remove(struct harness *harness, uint64_t id)
{
    char path[192];

    (void)snprintf(path, sizeof path, "%s/t-%08" PRIx64, harness->directory, id);
    (void)!io_remove(harness->io, path);
}

/* The table's bytes as they stand in its file. */
static const uint8_t *loaded_bytes(struct harness *harness, const struct table *table)
{
    uint8_t **bytes = &harness->loaded[table->info.id];

    assert_true(table->info.id < HARNESS_TABLE_ID_MAX);
    if (*bytes == NULL) {
        *bytes = memory_allocate_aligned(table->info.file_bytes, PAGE_BYTES);
        assert_int_equal(io_file_read(table->file, *bytes, table->info.file_bytes, 0), KIWI_OK);
    }
    return *bytes;
}

static void loaded_clear(struct harness *harness)
{
    for (uint32_t i = 0; i < HARNESS_TABLE_ID_MAX; i++)
        memory_free(harness->loaded[i]);
}

static void obsolete_recycle(struct harness *harness)
{
    for (struct table *table; (table = version_obsolete_take(harness->set)) != NULL;) {
        struct io_file *file = table->file;
        uint64_t        id = table->info.file_id;

        memory_free(harness->loaded[table->info.id]);
        harness->loaded[table->info.id] = NULL;

        if (harness->pool_count < HARNESS_POOL_MAX) {
            table->file = NULL;
            harness->pool[harness->pool_count].file = file;
            harness->pool[harness->pool_count++].id = id;
        } else {
            file_remove(harness, id);
        }
        table_close(table);
    }
}

void harness_close(struct harness *harness)
{
    const struct version *version = version_present(harness->set);

    for (uint32_t l = 0; l < version->level_count; l++)
        for (uint32_t r = 0; r < version->levels[l].run_count; r++)
            for (uint32_t t = 0; t < version->levels[l].runs[r]->table_count; t++)
                file_remove(harness,
                            version->levels[l].runs[r]->places[t].table->info.file_id);
    version_set_close(harness->set);
    for (uint32_t i = 0; i < harness->pool_count; i++) {
        file_remove(harness, harness->pool[i].id);
        io_file_close(harness->pool[i].file);
    }
    for (uint32_t i = 0; i < harness->memtable_count; i++)
        memtable_close(harness->memtables[i]);
    for (uint32_t i = 0; i <= HARNESS_FROZEN_MAX; i++)
        memtable_pool_close(harness->pools[i]);
    assert_int_equal(buffers_used_bytes(harness->buffers), 0);
    io_queue_close(harness->queue);
    io_file_close(harness->directory_file);
    buffers_close(harness->buffers);
    for (uint32_t i = 0; i < harness->options.key_count; i++) {
        memory_free((void *)(uintptr_t)harness->keys[i].key.data);
        memory_free(harness->keys[i].versions);
    }
    if (harness->options.io == NULL) {
        io_close(harness->io);
        assert_int_equal(rmdir(harness->directory), 0); /* no file was forgotten */
    }
    loaded_clear(harness);
    memory_free(harness->value);
    memory_free(harness);
}

/* ---- writing ---- */

static uint64_t newest_snapshot(const struct harness *harness)
{
    return harness->snapshot_count == 0 ? 0 : harness->snapshots[harness->snapshot_count - 1];
}

void harness_put(struct harness *harness, uint32_t key, enum entry_kind kind, uint32_t value_bytes)
{
    struct model_key    *model = &harness->keys[key];
    struct model_version version = { .sequence = ++harness->sequence,
                                     .seed = harness_random(harness), .kind = kind };
    struct entry         entry = { .key = model->key, .sequence = version.sequence, .kind = kind };

    assert_true(key < harness->options.key_count);
    if (kind == ENTRY_PUT) {
        version.value_bytes = value_bytes;
        value_fill(harness->value, version.seed, value_bytes);
        entry.value = bytes_of(harness->value, value_bytes);
    }
    assert_int_equal(memtable_put(harness->memtables[harness->memtable_count - 1],
                                  hash_key(entry.key, HASH_SEED), &entry,
                                  newest_snapshot(harness)), KIWI_OK);
    if (model->count == model->capacity) {
        model->capacity = model->capacity * 2 + 4;
        model->versions = memory_resize(model->versions,
                                        model->capacity * sizeof *model->versions);
    }
    model->versions[model->count++] = version;
}

static uint32_t key_choose(struct harness *harness)
{
    uint32_t streams = harness->options.stream_count, stream, width;

    if (streams == 0 || harness_below(harness, 100) == 0)
        return (uint32_t)harness_below(harness, harness->options.key_count);
    stream = (uint32_t)harness_below(harness, streams);
    width = harness->options.key_count / streams;
    return stream * width + harness->stream_at[stream]++ % width;
}

void harness_write(struct harness *harness)
{
    uint32_t bytes = (uint32_t)harness_below(harness, harness->options.value_bytes_max + 1);

    if (harness->options.has_large && harness_below(harness, 60) == 0)
        bytes = (uint32_t)harness_below(harness, harness_below(harness, 5) == 0 ? 300000 : 40000);
    harness_put(harness, key_choose(harness),
                harness_below(harness, 4) == 0 ? ENTRY_DELETE : ENTRY_PUT, bytes);
}

void harness_freeze(struct harness *harness)
{
    memtable_freeze(harness->memtables[harness->memtable_count - 1]);
    memtable_begin(harness);
}

/* Versions that no snapshot and no reader of now can see leave the model. */
void harness_snapshots_change(struct harness *harness)
{
    uint32_t at;

    if (!harness->options.has_snapshots)
        return;
    if (harness->snapshot_count == HARNESS_SNAPSHOT_MAX
        || (harness->snapshot_count > 0 && harness_below(harness, 2) == 0)) {
        at = (uint32_t)harness_below(harness, harness->snapshot_count);
        harness->snapshot_count--;
        memmove(&harness->snapshots[at], &harness->snapshots[at + 1],
                (harness->snapshot_count - at) * sizeof harness->snapshots[0]);
    } else if (newest_snapshot(harness) != harness->sequence) {
        harness->snapshots[harness->snapshot_count++] = harness->sequence;
    }
}

/* ---- reading ---- */

/* True when the table knows the key at that sequence. */
static bool table_read(struct harness *harness, const struct table *table, struct bytes key,
                       uint64_t hash, uint64_t sequence, struct entry *out)
{
    struct table_get  get;
    enum table_answer answer = table_get_start(&get, table, key, hash, sequence);

    while (answer == TABLE_WANTS_BLOCK) {
        const uint8_t *block = loaded_bytes(harness, table) + get.wanted.offset;

        assert_int_equal(table_block_check(table, get.wanted, block), KIWI_OK);
        answer = table_get_step(&get, block);
    }
    *out = get.found;
    return answer == TABLE_FOUND;
}

static bool engine_read(struct harness *harness, struct bytes key, uint64_t sequence,
                        struct entry *out)
{
    const struct version *version = version_present(harness->set);
    uint64_t              hash = hash_key(key, HASH_SEED);

    for (uint32_t i = harness->memtable_count; i-- > 0;)
        if (memtable_get(harness->memtables[i], hash, key, sequence, out))
            return true;
    for (uint32_t l = 0; l < version->level_count; l++) {
        for (uint32_t r = 0; r < version->levels[l].run_count; r++) {
            const struct table_place *place = run_find(version->levels[l].runs[r], key);

            if (place != NULL && table_read(harness, place->table, key, hash, sequence, out))
                return true;
        }
    }
    return false;
}

static void key_check(struct harness *harness, const struct model_key *model, uint64_t sequence)
{
    const struct model_version *expected = NULL;
    struct entry                found;
    bool                        is_found = engine_read(harness, model->key, sequence, &found)
        && found.kind == ENTRY_PUT;

    for (uint32_t i = model->count; i-- > 0 && expected == NULL;)
        if (model->versions[i].sequence <= sequence)
            expected = &model->versions[i];
    if (expected == NULL || expected->kind == ENTRY_DELETE) {
        assert_false(is_found);
        return;
    }
    assert_true(is_found);
    assert_int_equal(found.sequence, expected->sequence);
    assert_int_equal(found.value.size, expected->value_bytes);
    value_fill(harness->value, expected->seed, expected->value_bytes);
    assert_memory_equal(found.value.data, harness->value, expected->value_bytes);
}

void harness_check(struct harness *harness)
{
    for (uint32_t i = 0; i < harness->options.key_count; i++) {
        key_check(harness, &harness->keys[i], SEQUENCE_MAX);
        for (uint32_t s = 0; s < harness->snapshot_count; s++)
            key_check(harness, &harness->keys[i], harness->snapshots[s]);
        harness->reads_checked += 1 + harness->snapshot_count;
    }
}

void harness_reopen_tables(struct harness *harness)
{
    const struct version *version = version_present(harness->set);

    for (uint32_t l = 0; l < version->level_count; l++) {
        for (uint32_t r = 0; r < version->levels[l].run_count; r++) {
            for (uint32_t t = 0; t < version->levels[l].runs[r]->table_count; t++) {
                const struct table *table = version->levels[l].runs[r]->places[t].table;
                struct io_file     *file;
                struct table       *again;

                assert_int_equal(io_file_open(harness->io, io_file_path(table->file),
                                              IO_READ_ONLY, &file), KIWI_OK);
                assert_int_equal(table_open(&table->info, file, database, &again), KIWI_OK);
                assert_int_equal(again->info.entry_count, table->info.entry_count);
                table_close(again);
            }
        }
    }
}

/* ---- jobs ---- */

struct job_options harness_job_options(struct harness *harness)
{
    return (struct job_options){
        .io = harness->io,
        .database = database,
        .directory = harness->directory_file,
        .hash_seed = HASH_SEED,
        .table_bytes = harness->options.table_bytes,
        .filter_bits_tiered = 14,
        .filter_bits_last = 10,
        .window_bytes = harness->options.window_bytes,
        .snapshots = harness->snapshots,
        .snapshot_count = harness->snapshot_count,
        .block_done = harness->block_done,
        .block_context = harness->block_context,
    };
}

static void file_give(struct harness *harness, struct job *job, struct harness_run *run)
{
    struct io_file  *file;
    uint64_t         id = ++harness->id_next;
    char             path[192];
    enum kiwi_status status;

    if (run->refuse_file > 0 && --run->refuse_file == 0) {
        job_file_refuse(job, KIWI_FULL);
        return;
    }
    assert_true(job_file_bytes(job) > 0);
    if (harness->pool_count > 0 && harness_below(harness, 2) == 0) {
        harness->pool_count--;
        job_file_give(job, harness->pool[harness->pool_count].file,
                      harness->pool[harness->pool_count].id, ++harness->id_next, false);
        return;
    }
    (void)snprintf(path, sizeof path, "%s/t-%08" PRIx64, harness->directory, id);
    status = io_file_open(harness->io, path, IO_CREATE | IO_EXCLUSIVE | IO_DIRECT, &file);
    if (status != KIWI_OK) {
        file_remove(harness, id); /* it may have been made before memory ran out */
        job_file_refuse(job, status);
        return;
    }
    job_file_give(job, file, id, ++harness->id_next, true);
}

static void publish(struct harness *harness, struct job *job, struct harness_run *run)
{
    struct version_edit *edit = job_edit(job);
    enum kiwi_status     status;

    if (run->refuse_publish > 0 && --run->refuse_publish == 0) {
        job_published(job, KIWI_INVALID);
        return;
    }
    harness->publishes++;
    harness->outputs += edit->added_count;
    status = version_apply(harness->set, edit);
    job_published(job, status);
    if (status != KIWI_OK)
        assert_int_equal(status, KIWI_NO_MEMORY); /* only where the test lets memory run out */
    else if (!harness->options.checks_nothing)
        harness_check(harness);
}

static bool job_drive(struct harness *harness, struct job *job, struct harness_run *run)
{
    enum job_state state = JOB_RUNNABLE;

    harness->jobs++;
    for (uint64_t step = 1; state != JOB_DONE && state != JOB_FAILED; step++) {
        uint64_t budget = run->budget_bytes > 0 ? run->budget_bytes
                                                : 1 + harness_below(harness, 100000);

        if (step == run->cancel_at_step)
            job_cancel(job);
        state = job_step(job, harness->queue, harness->buffers, budget);
        harness->steps++;
        if (state == JOB_WAITING)
            (void)io_queue_poll(harness->queue, 1000000000);
        else if (state == JOB_WANTS_FILE)
            file_give(harness, job, run);
        else if (state == JOB_PUBLISH && step + 1 != run->cancel_at_step)
            publish(harness, job, run);
    }
    run->status = job_status(job);
    run->counters = job_counters(job);
    assert_true((state == JOB_FAILED) == (run->status != KIWI_OK));
    if (state == JOB_FAILED) {
        struct io_file *file;
        uint64_t        id;
        bool            is_new;

        while (job_file_take_back(job, &file, &id, &is_new)) {
            file_remove(harness, id);
            io_file_close(file);
        }
    }
    job_close(job);
    obsolete_recycle(harness);
    return state == JOB_DONE;
}

bool harness_flush(struct harness *harness, uint32_t count, struct harness_run *run)
{
    struct job_options    options = harness_job_options(harness);
    struct job           *job;
    struct memtable_pool *pools[HARNESS_FROZEN_MAX + 1];

    assert_true(count < harness->memtable_count);
    run->status = job_flush_open(&options, harness->memtables, count, ++harness->id_next, &job);
    if (run->status != KIWI_OK || !job_drive(harness, job, run))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        memtable_close(harness->memtables[i]);
        pools[i] = harness->pools[i];
    }
    harness->memtable_count -= count;
    memmove(&harness->memtables[0], &harness->memtables[count],
            harness->memtable_count * sizeof harness->memtables[0]);
    memmove(&harness->pools[0], &harness->pools[count],
            (HARNESS_FROZEN_MAX + 1 - count) * sizeof harness->pools[0]);
    memcpy(&harness->pools[HARNESS_FROZEN_MAX + 1 - count], pools, count * sizeof pools[0]);
    if (!harness->options.checks_nothing)
        harness_check(harness);
    return true;
}

bool harness_compact(struct harness *harness, const struct compaction_plan *plan,
                     struct harness_run *run)
{
    struct job_options options = harness_job_options(harness);
    struct version    *version = version_hold(harness->set);
    struct job        *job;

    run->status = job_compaction_open(&options, version, plan, ++harness->id_next, &job);
    if (run->status != KIWI_OK) {
        version_release(version);
        return false;
    }
    return job_drive(harness, job, run);
}

bool harness_compact_picked(struct harness *harness, const struct pick_options *options)
{
    struct compaction_plan plan;
    struct harness_run     run = { 0 };

    compaction_pick(version_present(harness->set), options, &plan);
    if (plan.reason == COMPACTION_NONE)
        return false;
    assert_true(harness_compact(harness, &plan, &run));
    return true;
}
