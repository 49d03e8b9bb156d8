/*
 * bytes.h: borrowed spans of memory, their order, and integers with a fixed byte order.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "core/base/base.h"

struct bytes {
    const uint8_t *data;
    size_t         size;
};

static inline struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){ data, size };
}

static inline int words_compare(const uint8_t *a, const uint8_t *b)
{
    uint64_t x, y;

    memcpy(&x, a, 8);
    memcpy(&y, b, 8);
    if (x == y)
        return 0;
    return __builtin_bswap64(x) < __builtin_bswap64(y) ? -1 : 1;
}

/* memcmp of 8 to 32 bytes without a call: words from the front, then one that ends with them. */
static inline int bytes_compare_short(const uint8_t *a, const uint8_t *b, size_t size)
{
    for (size_t i = 0; i + 8 < size; i += 8) {
        int order = words_compare(a + i, b + i);
        if (order != 0)
            return order;
    }
    return words_compare(a + size - 8, b + size - 8);
}

/* The order of keys: memcmp, then the shorter first. */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
    size_t shared = a.size < b.size ? a.size : b.size;
    int    order;

    if (LIKELY(shared >= 8 && shared <= 32))
        order = bytes_compare_short(a.data, b.data, shared);
    else
        order = shared == 0 ? 0 : memcmp(a.data, b.data, shared);
    if (order != 0)
        return order;
    return a.size < b.size ? -1 : a.size > b.size;
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool bytes_start_with(struct bytes whole, struct bytes prefix)
{
    return whole.size >= prefix.size
        && (prefix.size == 0 || memcmp(whole.data, prefix.data, prefix.size) == 0);
}

/* The first 8 bytes as a number that sorts as the bytes do; missing bytes count as zero. */
static inline uint64_t bytes_head(struct bytes key)
{
    uint64_t head = 0;

    if (LIKELY(key.size >= 8)) {
        memcpy(&head, key.data, 8);
        return __builtin_bswap64(head);
    }
    for (size_t i = 0; i < key.size; i++)
        head |= (uint64_t)key.data[i] << (56 - 8 * i);
    return head;
}

/* Byte structs: alignment 1, and forgetting the conversion does not compile. */
typedef struct { uint8_t b[2]; } le16;
typedef struct { uint8_t b[4]; } le32;
typedef struct { uint8_t b[8]; } le64;

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "only little-endian hosts are supported");

static inline uint16_t le16_get(le16 x) { uint16_t v; memcpy(&v, x.b, 2); return v; }
static inline uint32_t le32_get(le32 x) { uint32_t v; memcpy(&v, x.b, 4); return v; }
static inline uint64_t le64_get(le64 x) { uint64_t v; memcpy(&v, x.b, 8); return v; }
static inline le16 le16_of(uint16_t v) { le16 x; memcpy(x.b, &v, 2); return x; }
static inline le32 le32_of(uint32_t v) { le32 x; memcpy(x.b, &v, 4); return x; }
static inline le64 le64_of(uint64_t v) { le64 x; memcpy(x.b, &v, 8); return x; }

#define FIELD_AT(type, field, at, bytes)                                         \
    static_assert(offsetof(type, field) == (at), #type "." #field " moved");     \
    static_assert(sizeof(((type *)0)->field) == (bytes), #type "." #field " size")
