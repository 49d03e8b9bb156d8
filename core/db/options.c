/*
 * options.c: defaults, ranges, what follows from the memory number, and changes while it is open.
 */
#include "core/db/db.h"

#include <stddef.h>
#include <string.h>

#include "core/format/table_format.h"

/* Active and frozen memtables take a third of a shard's memory, caches and buffers the rest
 * (core/shard/admission.c), so that nothing has to give way when a memtable freezes. */
#define MEMTABLES_SHARE     3u
#define MEMTABLES_SHARE_MAX 2u /* what they take at most when memtable_bytes is asked for */
#define FROZEN_MAX_DEFAULT  3u
#define SHARD_BYTES_MIN     (1u << 20)
#define SHARE_MIN           0.000001
#define SHARE_MAX           0.5

static_assert(KIWI_LEVEL_COUNT_MAX == 7, "the range of level_max in options.h");
static_assert(SHARD_FROZEN_MAX == 16, "the range of frozen_max in options.h");
static_assert(SHARD_FLUSH_MAX == 4, "the range of flush_max_workers in options.h");

struct kiwi_options kiwi_options_default(void)
{
    return (struct kiwi_options){
        .memory_bytes = KIWI_MEMORY_BYTES_DEFAULT,
        .durability = KIWI_DURABLE,
        .drive = KIWI_MANAGED,
        .io_backend = KIWI_IO_URING,
        .create = true,
        .read_verify = true,
    };
}

enum field_kind {
    FIELD_RANGE = 0,
    FIELD_SHARE, /* a double */
    FIELD_ANY,   /* whatever it holds makes sense */
};

struct option_field {
    const char     *name;
    size_t          offset, bytes;
    enum field_kind kind;
    bool            is_derived; /* 0 is allowed, too */
    bool            is_live;
    uint64_t        low, high;
};

#define FIELD(field) #field, offsetof(struct kiwi_options, field),                                \
                     sizeof(((struct kiwi_options *)0)->field)
#define FIXED(field, low, high)   { FIELD(field), FIELD_RANGE, false, false, low, high }
#define DERIVED(field, low, high) { FIELD(field), FIELD_RANGE, true, false, low, high }
#define LIVE(field, low, high)    { FIELD(field), FIELD_RANGE, true, true, low, high }
#define ANY(field)                { FIELD(field), FIELD_ANY, false, false, 0, 0 }

static const struct option_field fields[] = {
    FIXED(memory_bytes, KIWI_MEMORY_BYTES_MIN, 1ull << 46),
    DERIVED(shard_count, 1, KIWI_SHARD_COUNT_MAX),
    FIXED(durability, KIWI_DURABLE, KIWI_MEMORY),
    FIXED(drive, KIWI_MANAGED, KIWI_ATTACHED),
    FIXED(io_backend, KIWI_IO_URING, KIWI_IO_POSIX),
    ANY(create),
    ANY(must_be_new),
    ANY(read_verify),
    DERIVED(scrub_bytes_per_second, 64u << 10, 1ull << 40),
    ANY(log),
    ANY(log_context),
    LIVE(memtable_bytes, 16384, 0), /* to memory_bytes */
    LIVE(memtable_entry_max, 1, 1ull << 40),
    LIVE(frozen_max, 1, SHARD_FROZEN_MAX),
    LIVE(flush_max_workers, 1, SHARD_FLUSH_MAX),
    LIVE(write_timeout_ns, 1000000, 86400ull * 1000000000),

    DERIVED(log_bytes, 256u << 10, 1ull << 40),
    DERIVED(table_bytes, 16384, 4ull << 30),
    LIVE(block_bytes, TABLE_PAGE_BYTES, TABLE_DATA_BYTES_MAX),
    LIVE(cache_data_block_max, 1, 1ull << 40),
    LIVE(cache_index_block_max, 1, 1ull << 40),
    LIVE(cache_filter_block_max, 1, 1ull << 40),
    LIVE(level0_run_max, 2, 32),
    LIVE(level_run_max, 2, 32),
    LIVE(level_max, 2, KIWI_LEVEL_COUNT_MAX - 1),
    { FIELD(filter_false_share), FIELD_SHARE, true, true, 0, 0 },
    ANY(statistics_off),
    ANY(io),
};

static uint64_t number_of(const struct kiwi_options *options, const struct option_field *field)
{
    const char *at = (const char *)options + field->offset;
    uint64_t    wide;
    uint32_t    narrow;

    if (field->bytes == sizeof wide) {
        memcpy(&wide, at, sizeof wide);
        return wide;
    }
    assert(field->bytes == sizeof narrow);
    memcpy(&narrow, at, sizeof narrow);
    return narrow;
}

static enum kiwi_status range_check(const struct kiwi_options *options,
                                    const struct option_field *field)
{
    uint64_t value = number_of(options, field);
    uint64_t high = field->high != 0 ? field->high : options->memory_bytes;

    if ((value >= field->low && value <= high) || (value == 0 && field->is_derived))
        return KIWI_OK;
    return FAIL(KIWI_INVALID, "option %s is %llu; it must be %llu to %llu%s", field->name,
                (unsigned long long)value, (unsigned long long)field->low,
                (unsigned long long)high, field->is_derived ? ", or 0: derived" : "");
}

static enum kiwi_status share_check(const struct kiwi_options *options,
                                    const struct option_field *field)
{
    double share;

    memcpy(&share, (const char *)options + field->offset, sizeof share);
    if ((share >= SHARE_MIN && share <= SHARE_MAX) || !(share < 0 || share > 0 || share != share))
        return KIWI_OK;
    return FAIL(KIWI_INVALID, "option %s is %g; it must be %g to %g, or 0: derived", field->name,
                share, SHARE_MIN, SHARE_MAX);
}

enum kiwi_status options_memory_check(const struct kiwi_options *options, uint32_t shard_count)
{
    if (options->memory_bytes / shard_count >= SHARD_BYTES_MIN)
        return KIWI_OK;
    return FAIL(KIWI_INVALID, "option memory_bytes is %llu; for %u shards it must be at least %llu",
                (unsigned long long)options->memory_bytes, shard_count,
                (unsigned long long)shard_count * SHARD_BYTES_MIN);
}

enum kiwi_status kiwi_options_check(const struct kiwi_options *options)
{
    if (options == NULL)
        return FAIL(KIWI_INVALID, "options are missing: start from kiwi_options_default()");
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
        if (fields[i].kind == FIELD_RANGE)
            TRY(range_check(options, &fields[i]));
        else if (fields[i].kind == FIELD_SHARE)
            TRY(share_check(options, &fields[i]));
    }
    if (options->scrub_bytes_per_second > 0 && options->drive != KIWI_MANAGED)
        return FAIL(KIWI_INVALID, "option scrub_bytes_per_second needs drive KIWI_MANAGED: no "
                                  "thread of the engine's own is there otherwise (kiwi_scrub)");
    /* 0 takes no more for a new database than there is memory for; one that is there already is
     * checked when it has told how many it has. */
    return options->shard_count > 0 ? options_memory_check(options, options->shard_count) : KIWI_OK;
}

void options_derive(struct kiwi_options *options, uint32_t shard_count)
{
    uint64_t share = options->memory_bytes / shard_count;
    uint64_t memtables;

    options->shard_count = shard_count;
    if (options->frozen_max == 0)
        options->frozen_max = FROZEN_MAX_DEFAULT;
    memtables = options->frozen_max + 1;
    if (options->memtable_bytes == 0)
        options->memtable_bytes = max_u64(256u << 10, min_u64(share / MEMTABLES_SHARE / memtables,
                                                              128u << 20));
    options->memtable_bytes = min_u64(options->memtable_bytes,
                                      share / MEMTABLES_SHARE_MAX / memtables);
    if (options->log_bytes == 0)
        options->log_bytes = max_u64(16u << 20,
                                     8 * options->memtable_bytes
                                         + min_u64(64u << 20, 16 * options->memtable_bytes));
    options->log_bytes = options->log_bytes / 4096 * 4096;
    if (options->table_bytes == 0)
        options->table_bytes = max_u64(1u << 20, min_u64(2 * options->memtable_bytes, 64u << 20));
    if (options->flush_max_workers == 0)
        options->flush_max_workers = 2;
    if (options->level0_run_max == 0)
        options->level0_run_max = 8;
    if (options->level_run_max == 0)
        options->level_run_max = 8;
    if (options->level_max == 0)
        options->level_max = KIWI_LEVEL_COUNT_MAX - 1;
    options->block_bytes = options->block_bytes / TABLE_SECTOR_BYTES * TABLE_SECTOR_BYTES;
}

/* ---- changing what is open ---- */

/* Others may read the fields that are not live meanwhile, so only these are written. */
static void live_fields_copy(struct kiwi_options *target, const struct kiwi_options *source)
{
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++)
        if (fields[i].is_live)
            memcpy((char *)target + fields[i].offset, (const char *)source + fields[i].offset,
                   fields[i].bytes);
}

enum kiwi_status kiwi_configure(struct kiwi_db *db, const struct kiwi_options *changed)
{
    struct kiwi_options options;

    if (db->is_child)
        return FAIL(KIWI_UNSUPPORTED, "a forked child only reads: it cannot be configured");
    TRY(kiwi_options_check(changed));
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++)
        if (!fields[i].is_live
            && memcmp((const char *)changed + fields[i].offset,
                      (const char *)&db->options + fields[i].offset, fields[i].bytes) != 0)
            return FAIL(KIWI_INVALID, "option %s cannot change while the database is open",
                        fields[i].name);
    options = *changed;
    options_derive(&options, db->shard_count);
    /* All tokens at once, in shard order: of two calls at a time one is wholly before the other. */
    for (uint32_t i = 0; i < db->shard_count; i++)
        shard_enter(db->shards[i]);
    live_fields_copy(&db->options, &options);
    for (uint32_t i = 0; i < db->shard_count; i++) {
        live_fields_copy(&db->shards[i]->options.options, &options);
        shard_options_changed(db->shards[i]);
    }
    for (uint32_t i = db->shard_count; i-- > 0;)
        shard_leave(db->shards[i], NULL);
    return KIWI_OK;
}
