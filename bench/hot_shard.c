/*
 * hot_shard.c: asking the engine for the shard of one key after the other.
 */
#include "bench/hot_shard.h"

#include "core/base/memory.h"

enum kiwi_status hot_shard_place(const struct engine_class *class, const struct engine *engine,
                                 const struct workload *workload, struct chooser *chooser,
                                 uint64_t **records)
{
    uint64_t count = 0;
    uint8_t  key[KEY_BYTES_MAX];

    if (chooser->kind != CHOOSE_HOT_SHARD || class->shard_of == NULL || chooser->hot_count == 0)
        return KIWI_OK;
    memory_free(*records);
    *records = memory_allocate(chooser->hot_count * sizeof **records);
    if (*records == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for %llu hot records",
                    (unsigned long long)chooser->hot_count);
    for (uint64_t i = 0; i < workload->insert_count && count < chooser->hot_count; i++) {
        uint64_t record = workload->insert_start + i;
        size_t   bytes = key_write(&workload->keys, record, key);

        if (class->shard_of(engine, (struct kiwi_slice){ key, bytes }) == 0)
            (*records)[count++] = record;
    }
    chooser->hot_records = *records;
    chooser->hot_count = count;
    return KIWI_OK;
}
