/*
 * batch.c: collecting the writes of a batch.
 */
#include "core/shard/batch.h"

#include <string.h>

#include "core/base/memory.h"

enum kiwi_status kiwi_batch_open(struct kiwi_batch **out)
{
    *out = memory_allocate_zeroed(sizeof **out);
    return *out != NULL ? KIWI_OK : FAIL(KIWI_NO_MEMORY, "no memory for a batch");
}

void kiwi_batch_close(struct kiwi_batch *batch)
{
    if (batch == NULL)
        return;
    memory_free(batch->items);
    memory_free(batch->bytes);
    memory_free(batch);
}

void kiwi_batch_clear(struct kiwi_batch *batch)
{
    batch->count = 0;
    batch->bytes_used = 0;
}

size_t kiwi_batch_count(const struct kiwi_batch *batch)
{
    return batch->count;
}

static enum kiwi_status batch_reserve(struct kiwi_batch *batch, uint64_t bytes)
{
    if (batch->count >= KIWI_BATCH_COUNT_MAX)
        return FAIL(KIWI_TOO_LARGE, "a batch holds at most %u operations", KIWI_BATCH_COUNT_MAX);
    if (batch->bytes_used + bytes > KIWI_BATCH_BYTES_MAX + (uint64_t)KIWI_KEY_BYTES_MAX)
        return FAIL(KIWI_TOO_LARGE, "a batch of %llu bytes; the limit is %u",
                    (unsigned long long)(batch->bytes_used + bytes), KIWI_BATCH_BYTES_MAX);
    if (batch->count == batch->capacity) {
        uint32_t           capacity = batch->capacity == 0 ? 16 : batch->capacity * 2;
        struct batch_item *items = memory_resize(batch->items, capacity * sizeof *items);
        if (items == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory for a batch of %u operations", capacity);
        batch->items = items;
        batch->capacity = capacity;
    }
    /* also for empty keys and values only: items point into it */
    if (batch->bytes == NULL || batch->bytes_used + bytes > batch->bytes_capacity) {
        uint64_t capacity = max_u64(batch->bytes_used + bytes, batch->bytes_capacity * 2);
        uint8_t *grown = memory_resize(batch->bytes, max_u64(capacity, 1024));
        if (grown == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory for a batch of %llu bytes",
                        (unsigned long long)capacity);
        batch->bytes = grown;
        batch->bytes_capacity = max_u64(capacity, 1024);
    }
    return KIWI_OK;
}

static enum kiwi_status batch_add(struct kiwi_batch *batch, enum entry_kind kind,
                                  struct kiwi_slice key, struct kiwi_slice value)
{
    struct batch_item *item;

    if (key.size > KIWI_KEY_BYTES_MAX)
        return FAIL(KIWI_TOO_LARGE, "a key of %zu bytes; the limit is %u", key.size,
                    KIWI_KEY_BYTES_MAX);
    if (value.size > KIWI_VALUE_BYTES_MAX)
        return FAIL(KIWI_TOO_LARGE, "a value of %zu bytes; the limit is %u", value.size,
                    KIWI_VALUE_BYTES_MAX);
    if ((key.size > 0 && key.data == NULL) || (value.size > 0 && value.data == NULL))
        return FAIL(KIWI_INVALID, "a key or value without data");
    TRY(batch_reserve(batch, key.size + value.size));
    item = &batch->items[batch->count++];
    *item = (struct batch_item){ .offset = batch->bytes_used,
                                 .key_bytes = (uint32_t)key.size,
                                 .value_bytes = (uint32_t)value.size,
                                 .kind = (uint8_t)kind };
    if (key.size > 0)
        memcpy(batch->bytes + item->offset, key.data, key.size);
    if (value.size > 0)
        memcpy(batch->bytes + item->offset + key.size, value.data, value.size);
    batch->bytes_used += key.size + value.size;
    return KIWI_OK;
}

enum kiwi_status kiwi_batch_put(struct kiwi_batch *batch, struct kiwi_slice key,
                                struct kiwi_slice value)
{
    return batch_add(batch, ENTRY_PUT, key, value);
}

enum kiwi_status kiwi_batch_delete(struct kiwi_batch *batch, struct kiwi_slice key)
{
    return batch_add(batch, ENTRY_DELETE, key, (struct kiwi_slice){ NULL, 0 });
}
