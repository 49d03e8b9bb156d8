/*
 * head.h: 8 bytes of a key, taken behind a prefix, that sort as the keys do.
 *
 * Keys before the prefix map to 0, keys after all that have it to the largest number. The map never
 * turns the order of two keys around; equal heads say nothing.
 */
#pragma once

#include "core/base/bytes.h"

/* True when key starts with the prefix: bytes_start_with, without a call for short ones. */
static inline bool head_has_prefix(struct bytes key, const uint8_t *prefix, size_t size)
{
    uint64_t a, b, difference = 0;

    if (UNLIKELY(key.size < size))
        return false;
    if (size < 8) {
        for (size_t i = 0; i < size; i++)
            difference |= (uint64_t)(key.data[i] ^ prefix[i]);
        return difference == 0;
    }
    /* Words from the front, then one that ends with the prefix and may overlap. */
    for (size_t i = 0; i + 8 < size; i += 8) {
        memcpy(&a, key.data + i, 8);
        memcpy(&b, prefix + i, 8);
        difference |= a ^ b;
    }
    memcpy(&a, key.data + size - 8, 8);
    memcpy(&b, prefix + size - 8, 8);
    return (difference | (a ^ b)) == 0;
}

/* The head of a key that has the prefix. */
static inline uint64_t head_behind(struct bytes key, size_t prefix_bytes)
{
    if (prefix_bytes == 0)
        return bytes_head(key);
    return bytes_head(bytes_of(key.data + prefix_bytes, key.size - prefix_bytes));
}

static inline uint64_t head_of(struct bytes key, struct bytes prefix)
{
    if (LIKELY(head_has_prefix(key, prefix.data, prefix.size)))
        return head_behind(key, prefix.size);
    return bytes_compare(key, prefix) < 0 ? 0 : UINT64_MAX;
}

static inline size_t bytes_shared(struct bytes a, struct bytes b)
{
    size_t limit = a.size < b.size ? a.size : b.size, shared = 0;

    while (shared < limit && a.data[shared] == b.data[shared])
        shared++;
    return shared;
}
