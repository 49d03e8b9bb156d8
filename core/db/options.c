/*
 * options.c: defaults, ranges, and what follows from the memory number.
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

/* A field whose range does not depend on others. */
struct option_range {
    const char *name;
    size_t      offset;
    bool        is_wide;    /* 64 bits, else 32 */
    bool        is_derived; /* 0 is allowed, too */
    uint64_t    low, high;
};

#define FIELD(field, is_derived, low, high)                                                       \
    { #field, offsetof(struct kiwi_options, field),                                               \
      sizeof(((struct kiwi_options *)0)->field) == 8, is_derived, low, high }

static const struct option_range ranges[] = {
    FIELD(memory_bytes, false, KIWI_MEMORY_BYTES_MIN, 1ull << 46),
    FIELD(shard_count, true, 1, KIWI_SHARD_COUNT_MAX),
    FIELD(durability, false, KIWI_DURABLE, KIWI_MEMORY),
    FIELD(drive, false, KIWI_MANAGED, KIWI_ATTACHED),
    FIELD(io_backend, false, KIWI_IO_URING, KIWI_IO_POSIX),
    FIELD(memtable_entry_max, true, 1, 1ull << 40),
    FIELD(frozen_max, true, 1, SHARD_FROZEN_MAX),
    FIELD(flush_max_workers, true, 1, SHARD_FLUSH_MAX),
    FIELD(write_timeout_ns, true, 1000000, 86400ull * 1000000000),
    FIELD(log_bytes, true, 256u << 10, 1ull << 40),
    FIELD(table_bytes, true, 16384, 4ull << 30),
    FIELD(block_bytes, true, TABLE_PAGE_BYTES, TABLE_DATA_BYTES_MAX),
    FIELD(level0_run_max, true, 2, 32),
    FIELD(level_run_max, true, 2, 32),
    FIELD(level_max, true, 2, KIWI_LEVEL_COUNT_MAX - 1),
};

static uint64_t field_value(const struct kiwi_options *options, const struct option_range *range)
{
    const char *at = (const char *)options + range->offset;
    uint64_t    wide;
    uint32_t    narrow;

    if (range->is_wide) {
        memcpy(&wide, at, sizeof wide);
        return wide;
    }
    memcpy(&narrow, at, sizeof narrow);
    return narrow;
}

static enum kiwi_status range_check(const struct option_range *range, uint64_t value)
{
    if ((value >= range->low && value <= range->high) || (value == 0 && range->is_derived))
        return KIWI_OK;
    return FAIL(KIWI_INVALID, "option %s is %llu; it must be %llu to %llu%s", range->name,
                (unsigned long long)value, (unsigned long long)range->low,
                (unsigned long long)range->high, range->is_derived ? ", or 0: derived" : "");
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
    struct option_range memtable = FIELD(memtable_bytes, true, 16384, 0);

    if (options == NULL)
        return FAIL(KIWI_INVALID, "options are missing: start from kiwi_options_default()");
    for (size_t i = 0; i < ARRAY_COUNT(ranges); i++)
        TRY(range_check(&ranges[i], field_value(options, &ranges[i])));
    memtable.high = options->memory_bytes;
    TRY(range_check(&memtable, options->memtable_bytes));
    if (options->filter_false_share != 0
        && !(options->filter_false_share >= SHARE_MIN && options->filter_false_share <= SHARE_MAX))
        return FAIL(KIWI_INVALID,
                    "option filter_false_share is %g; it must be %g to %g, or 0: derived",
                    options->filter_false_share, SHARE_MIN, SHARE_MAX);
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
