/*
 * gate_cases.c: the measured operations.
 */
#include "bench/gate_cases.h"

#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "kiwi/kiwi.h"

#define DEPTH       16u
#define KEY_BYTES   20u
#define VALUE_BYTES 1000u
#define BATCH_COUNT 10u
#define SCAN_ROWS   50u
#define STEP_MAX    4000000u   /* polls until something must have happened */

struct gate_case;

struct gate_world {
    const struct gate_case *what;
    struct kiwi_db         *db;
    struct kiwi_context    *context;
    struct kiwi_iterator   *iterator;
    struct kiwi_batch      *batch;
    struct kiwi_op          ops[DEPTH];
    struct kiwi_op         *list[DEPTH];
    char                    keys[DEPTH][KEY_BYTES + 1];
    uint8_t                 value[VALUE_BYTES];
    uint8_t                 buffers[DEPTH][VALUE_BYTES];
    enum gate_plant         plant;
    uint64_t                found;
};

struct gate_case {
    const char *name;
    uint64_t    memory_bytes;
    uint32_t    value_bytes;
    uint64_t    records;      /* put before the measured part */
    uint64_t    operations;
    bool        is_flushed;   /* and brought to tables, debt paid */
    bool        is_read;      /* and read once, so that caches hold them */
    bool        has_clock;    /* the engine paces itself by time, so instructions do not repeat */
    enum kiwi_status (*run)(struct gate_world *world);
};

/* A number that looks like chance and is the same everywhere (splitmix64's finaliser, by
 * Steele, Lea and Flood). */
static uint64_t scatter(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static void key_write(struct gate_world *world, uint32_t slot, uint64_t record, bool is_missing)
{
    uint64_t number = scatter(record);

    for (int i = 0; i < 16; i++, number >>= 4)
        world->keys[slot][i] = "0123456789abcdef"[number & 15];
    memcpy(world->keys[slot] + 16, is_missing ? "none" : "user", 4);
    world->ops[slot].key = (struct kiwi_slice){ world->keys[slot], KEY_BYTES };
}

/* Hands in the first count slots and waits until all are done. */
static enum kiwi_status slots_run(struct gate_world *world, uint32_t count)
{
    struct kiwi_op *done[DEPTH];
    uint32_t        left = count;

    TRY(kiwi_submit(world->context, world->list, count));
    for (uint32_t step = 0; left > 0; step++) {
        size_t got = kiwi_poll(world->context, done, DEPTH, 0);

        if (step == STEP_MAX)
            return FAIL(KIWI_IO, "case %s does not get on", world->what->name);
        for (size_t i = 0; i < got; i++)
            if (done[i]->status == KIWI_OK)
                world->found++;
            else if (done[i]->status != KIWI_NOT_FOUND)
                return done[i]->status;
        left -= (uint32_t)got;
    }
    return KIWI_OK;
}

static void slot_put(struct gate_world *world, uint32_t slot, enum kiwi_durability durability)
{
    world->ops[slot].verb = KIWI_PUT;
    world->ops[slot].durability = (uint8_t)durability;
    world->ops[slot].value = (struct kiwi_slice){ world->value, world->what->value_bytes };
}

static enum kiwi_status plant_add(struct gate_world *world)
{
    if (world->plant == GATE_PLANT_ALLOCATION) {
        void *extra = memory_allocate(64);

        if (extra == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory");
        memory_free(extra);
    } else if (world->plant == GATE_PLANT_SYNC) {
        slot_put(world, 0, KIWI_DURABLE);
        return slots_run(world, 1);
    } else if (world->plant == GATE_PLANT_INSTRUCTIONS) {
        for (uint64_t i = 0; i < 100; i++)
            world->found += scatter(world->found + i) == 0;
    }
    return KIWI_OK;
}

static enum kiwi_status run_puts(struct gate_world *world, enum kiwi_durability durability,
                                 uint32_t depth)
{
    const struct gate_case *what = world->what;

    for (uint64_t i = 0; i < what->operations; i += depth) {
        for (uint32_t slot = 0; slot < depth; slot++) {
            key_write(world, slot, what->records + i + slot, false);
            slot_put(world, slot, durability);
        }
        TRY(slots_run(world, depth));
        for (uint32_t slot = 0; slot < depth; slot++)
            TRY(plant_add(world));
    }
    return KIWI_OK;
}

static enum kiwi_status run_put_memory(struct gate_world *world)
{
    return run_puts(world, KIWI_MEMORY, DEPTH);
}

static enum kiwi_status run_put_durable(struct gate_world *world)
{
    return run_puts(world, KIWI_DURABLE, 1);
}

static enum kiwi_status run_put_durable_grouped(struct gate_world *world)
{
    return run_puts(world, KIWI_DURABLE, DEPTH);
}

static enum kiwi_status run_batches(struct gate_world *world)
{
    for (uint64_t i = 0; i < world->what->operations; i++) {
        kiwi_batch_clear(world->batch);
        for (uint32_t j = 0; j < BATCH_COUNT; j++) {
            key_write(world, 0, i * BATCH_COUNT + j, false);
            TRY(kiwi_batch_put(world->batch, world->ops[0].key,
                               (struct kiwi_slice){ world->value, world->what->value_bytes }));
        }
        world->ops[0].verb = KIWI_WRITE;
        world->ops[0].durability = KIWI_DURABLE;
        world->ops[0].batch = world->batch;
        TRY(slots_run(world, 1));
        TRY(plant_add(world));
    }
    return KIWI_OK;
}

static enum kiwi_status run_gets(struct gate_world *world, bool are_missing)
{
    const struct gate_case *what = world->what;

    for (uint64_t i = 0; i < what->operations; i += DEPTH) {
        for (uint32_t slot = 0; slot < DEPTH; slot++) {
            key_write(world, slot, scatter(i + slot) % what->records, are_missing);
            world->ops[slot].verb = KIWI_GET;
        }
        TRY(slots_run(world, DEPTH));
        for (uint32_t slot = 0; slot < DEPTH; slot++)
            TRY(plant_add(world));
    }
    return KIWI_OK;
}

static enum kiwi_status run_gets_there(struct gate_world *world)
{
    return run_gets(world, false);
}

static enum kiwi_status run_gets_missing(struct gate_world *world)
{
    return run_gets(world, true);
}

static enum kiwi_status run_deletes(struct gate_world *world)
{
    for (uint64_t i = 0; i < world->what->operations; i += DEPTH) {
        for (uint32_t slot = 0; slot < DEPTH; slot++) {
            key_write(world, slot, i + slot, false);
            world->ops[slot].verb = KIWI_DELETE;
            world->ops[slot].durability = KIWI_MEMORY;
        }
        TRY(slots_run(world, DEPTH));
        for (uint32_t slot = 0; slot < DEPTH; slot++)
            TRY(plant_add(world));
    }
    return KIWI_OK;
}

static enum kiwi_status run_scans(struct gate_world *world)
{
    for (uint64_t i = 0; i < world->what->operations; i++) {
        enum kiwi_status status;

        key_write(world, 0, scatter(i) % world->what->records, false);
        TRY(kiwi_iterator_refresh(world->iterator, NULL));
        kiwi_iterator_row_hint(world->iterator, SCAN_ROWS);
        status = kiwi_iterator_seek(world->iterator, world->ops[0].key);
        for (uint32_t row = 1; row < SCAN_ROWS && status == KIWI_OK; row++) {
            world->found += kiwi_iterator_value(world->iterator).size > 0;
            status = kiwi_iterator_next(world->iterator);
        }
        if (status != KIWI_OK && status != KIWI_NOT_FOUND)
            return status;
        TRY(plant_add(world));
    }
    return KIWI_OK;
}

/* Until background work is done: the engine owes nothing, twice in a row. */
static enum kiwi_status debt_pay(struct gate_world *world)
{
    struct kiwi_stats *stats = memory_allocate_zeroed(sizeof *stats);
    struct kiwi_op    *none[1];
    enum kiwi_status   status = stats == NULL ? FAIL(KIWI_NO_MEMORY, "no memory") : KIWI_OK;
    uint32_t           calm = 0;

    for (uint32_t step = 0; status == KIWI_OK && calm < 2; step++) {
        for (int i = 0; i < 64; i++)
            (void)kiwi_poll(world->context, none, 1, 0);
        status = kiwi_stats_read(world->db, stats);
        calm = stats->debt_bytes + stats->frozen_bytes == 0 ? calm + 1 : 0;
        if (step == STEP_MAX)
            status = FAIL(KIWI_IO, "case %s: background work does not end", world->what->name);
    }
    memory_free(stats);
    return status;
}

static enum kiwi_status flush_wait(struct gate_world *world)
{
    world->ops[0].verb = KIWI_FLUSH;
    TRY(slots_run(world, 1));
    return debt_pay(world);
}

/* Fills tables through several flushes and merges: what writing costs until all is paid. */
static enum kiwi_status run_fill(struct gate_world *world)
{
    const struct gate_case *what = world->what;
    const uint64_t          part = what->operations / 8;

    for (uint64_t i = 0; i < what->operations; i += DEPTH) {
        for (uint32_t slot = 0; slot < DEPTH; slot++) {
            key_write(world, slot, scatter(i + slot) % (what->operations / 2), false);
            slot_put(world, slot, KIWI_MEMORY);
        }
        TRY(slots_run(world, DEPTH));
        for (uint32_t slot = 0; slot < DEPTH; slot++)
            TRY(plant_add(world));
        if ((i + DEPTH) % part == 0)
            TRY(flush_wait(world));
    }
    return KIWI_OK;
}

#define MIB (1ull << 20)

static const struct gate_case cases[GATE_CASE_COUNT] = {
    { "put_memory", 64 * MIB, 100, 2000, 4096, false, false, false, run_put_memory },
    { "put_durable", 64 * MIB, 100, 200, 512, false, false, false, run_put_durable },
    { "put_grouped", 64 * MIB, 100, 200, 2048, false, false, false, run_put_durable_grouped },
    { "batch_durable", 64 * MIB, 100, 200, 256, false, false, false, run_batches },
    { "delete", 64 * MIB, 100, 4096, 4096, false, false, false, run_deletes },
    { "get_memtable", 64 * MIB, 100, 4096, 4096, false, false, false, run_gets_there },
    { "get_cached", 64 * MIB, 100, 4096, 4096, true, true, false, run_gets_there },
    { "get_missing", 64 * MIB, 100, 4096, 4096, true, false, false, run_gets_missing },
    { "scan", 64 * MIB, 100, 4096, 128, true, true, false, run_scans },
    { "fill", 64 * MIB, 200, 200, 8192, false, false, true, run_fill },
};

const char *gate_case_name(uint32_t index)
{
    assert(index < GATE_CASE_COUNT);
    return cases[index].name;
}

bool gate_case_repeats_instructions(uint32_t index)
{
    assert(index < GATE_CASE_COUNT);
    return !cases[index].has_clock;
}

enum kiwi_status gate_measured(struct gate_world *world)
{
    return world->what->run(world);
}

static uint64_t proc_number(const char *text, const char *label)
{
    const char *at = strstr(text, label);

    return at == NULL ? 0 : strtoull(at + strlen(label), NULL, 10);
}

/* What the kernel counts of this process, and what the engine does. */
static enum kiwi_status counts_read(struct gate_world *world, struct gate_counts *counts)
{
    struct kiwi_stats *stats = memory_allocate_zeroed(sizeof *stats);
    char               text[512] = "";
    int                file = open("/proc/self/io", O_RDONLY | O_CLOEXEC);
    enum kiwi_status   status;

    if (file >= 0) {
        ssize_t got = read(file, text, sizeof text - 1);
        text[got > 0 ? got : 0] = 0;
        close(file);
    }
    if (stats == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory");
    status = kiwi_stats_read(world->db, stats);
    counts->write_bytes = proc_number(text, "\nwchar: ");
    counts->write_calls = proc_number(text, "\nsyscw: ");
    counts->syncs = stats->log_syncs;
    counts->read_calls = stats->device_reads;
    counts->read_bytes = stats->compaction_read_bytes;
    for (uint32_t i = 0; i < KIWI_LEVEL_COUNT_MAX; i++)
        counts->read_bytes += stats->levels[i].get_read_bytes;
    counts->file_bytes = stats->table_file_bytes;
    memory_free(stats);
    counts->allocations = memory_allocation_count();
    return status;
}

static enum kiwi_status world_fill(struct gate_world *world)
{
    const struct gate_case *what = world->what;

    for (uint64_t i = 0; i < what->records; i++) {
        key_write(world, 0, i, false);
        slot_put(world, 0, KIWI_MEMORY);
        TRY(slots_run(world, 1));
    }
    world->ops[0].verb = KIWI_WAIT_DURABLE;
    TRY(slots_run(world, 1));
    if (what->is_flushed)
        TRY(flush_wait(world));
    for (uint64_t i = 0; what->is_read && i < 2 * what->records; i++) {
        key_write(world, 0, i % what->records, false);
        world->ops[0].verb = KIWI_GET;
        TRY(slots_run(world, 1));
    }
    return debt_pay(world);
}

static enum kiwi_status world_open(struct gate_world *world, const char *path)
{
    struct kiwi_options options = kiwi_options_default();

    options.memory_bytes = world->what->memory_bytes;
    options.shard_count = 1;
    options.drive = KIWI_ATTACHED;
    options.io_backend = KIWI_IO_POSIX;
    options.durability = KIWI_MEMORY;
    options.create = options.must_be_new = true;
    for (uint32_t i = 0; i < DEPTH; i++) {
        world->list[i] = &world->ops[i];
        world->ops[i].buffer = world->buffers[i];
        world->ops[i].buffer_bytes = VALUE_BYTES;
    }
    for (uint32_t i = 0; i < VALUE_BYTES; i++)
        world->value[i] = (uint8_t)scatter(i);
    TRY(kiwi_open(path, &options, &world->db));
    TRY(kiwi_context_open(world->db, DEPTH, &world->context));
    TRY(kiwi_attach(world->context, 1));
    TRY(kiwi_iterator_open(world->context, NULL, &world->iterator));
    return kiwi_batch_open(&world->batch);
}

static enum kiwi_status world_close(struct gate_world *world)
{
    enum kiwi_status status = KIWI_OK;

    kiwi_batch_close(world->batch);
    kiwi_iterator_close(world->iterator);
    if (world->context != NULL)
        kiwi_detach(world->context);
    kiwi_context_close(world->context);
    if (world->db != NULL)
        status = kiwi_close(world->db);
    return status;
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *place)
{
    (void)about;
    (void)kind;
    (void)place;
    return remove(path);
}

static enum kiwi_status world_measure(struct gate_world *world, struct gate_counts *out)
{
    struct gate_counts before, after;

    memset(&before, 0, sizeof before);
    memset(&after, 0, sizeof after);
    TRY(world_fill(world));
    TRY(counts_read(world, &before));
    TRY(gate_measured(world));
    TRY(counts_read(world, &after));
    *out = (struct gate_counts){
        .operations = world->what->operations,
        .write_bytes = after.write_bytes - before.write_bytes,
        .write_calls = after.write_calls - before.write_calls,
        .syncs = after.syncs - before.syncs,
        .allocations = after.allocations - before.allocations - 1, /* of counts_read itself */
        .read_bytes = after.read_bytes - before.read_bytes,
        .read_calls = after.read_calls - before.read_calls,
        .file_bytes = after.file_bytes,
    };
    return KIWI_OK;
}

enum kiwi_status gate_case_run(uint32_t index, const char *directory, enum gate_plant plant,
                               struct gate_counts *out)
{
    struct gate_world *world = memory_allocate_zeroed(sizeof *world);
    char               path[PATH_MAX], text[512];
    enum kiwi_status   status, close_status;

    assert(index < GATE_CASE_COUNT);
    if (world == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for case %s", cases[index].name);
    world->what = &cases[index];
    world->plant = plant;
    snprintf(path, sizeof path, "%s/%s", directory, world->what->name);
    status = world_open(world, path);
    if (status == KIWI_OK)
        status = world_measure(world, out);
    snprintf(text, sizeof text, "%s", fail_text());
    close_status = world_close(world);
    if (status != KIWI_OK)
        fail_text_set(text);
    memory_free(world);
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return status != KIWI_OK ? status : close_status;
}

const char *gate_dispatch(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") ? "x86-64 with AVX-512"
         : __builtin_cpu_supports("avx2")    ? "x86-64 with AVX2"
                                             : "x86-64";
#elif defined(__aarch64__)
    return "aarch64";
#else
    return "unknown";
#endif
}
