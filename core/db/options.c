/*
 * options.c: defaults, ranges, and what follows from the memory number.
 */
#include "core/db/db.h"

/* One active and three frozen memtables take a third of a shard's memory, caches and buffers the
 * rest (core/shard/admission.c), so that nothing has to give way when a memtable freezes. */
#define MEMTABLE_SHARE 12u

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

static enum kiwi_status range_check(const char *name, uint64_t value, uint64_t low, uint64_t high)
{
    if (value >= low && value <= high)
        return KIWI_OK;
    return FAIL(KIWI_INVALID, "option %s is %llu; it must be %llu to %llu", name,
                (unsigned long long)value, (unsigned long long)low, (unsigned long long)high);
}

static enum kiwi_status derived_check(const char *name, uint64_t value, uint64_t low,
                                      uint64_t high)
{
    return value == 0 ? KIWI_OK : range_check(name, value, low, high);
}

enum kiwi_status kiwi_options_check(const struct kiwi_options *options)
{
    if (options == NULL)
        return FAIL(KIWI_INVALID, "options are missing: start from kiwi_options_default()");
    TRY(range_check("memory_bytes", options->memory_bytes, KIWI_MEMORY_BYTES_MIN, 1ull << 46));
    TRY(range_check("shard_count", options->shard_count, 0, KIWI_SHARD_COUNT_MAX));
    TRY(range_check("durability", options->durability, KIWI_DURABLE, KIWI_MEMORY));
    TRY(range_check("drive", options->drive, KIWI_MANAGED, KIWI_ATTACHED));
    TRY(range_check("io_backend", options->io_backend, KIWI_IO_URING, KIWI_IO_POSIX));
    TRY(derived_check("memtable_bytes", options->memtable_bytes, 16384, options->memory_bytes));
    TRY(derived_check("log_bytes", options->log_bytes, 256u << 10, 1ull << 40));
    TRY(derived_check("table_bytes", options->table_bytes, 16384, 4ull << 30));
    TRY(derived_check("flush_max_workers", options->flush_max_workers, 1, SHARD_FLUSH_MAX));
    TRY(derived_check("level0_run_max", options->level0_run_max, 1, 32));
    TRY(derived_check("level_run_max", options->level_run_max, 1, 32));
    if (options->shard_count > 0
        && options->memory_bytes / options->shard_count < (1u << 20))
        return FAIL(KIWI_INVALID, "memory_bytes %llu is less than 1 MiB for each of %u shards",
                    (unsigned long long)options->memory_bytes, options->shard_count);
    return KIWI_OK;
}

void options_derive(struct kiwi_options *options, uint32_t shard_count)
{
    uint64_t share = options->memory_bytes / shard_count;

    options->shard_count = shard_count;
    if (options->memtable_bytes == 0)
        options->memtable_bytes = max_u64(256u << 10, min_u64(share / MEMTABLE_SHARE, 128u << 20));
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
}
