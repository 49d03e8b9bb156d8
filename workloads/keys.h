/*
 * keys.h: record numbers as YCSB keys, bit for bit.
 *
 * Shape    the four letters "user" and a decimal number, padded with zeros to a least width.
 * Hashed   (default) the number is FNV-1a 64 over the record number's 8 bytes, least significant
 *          first, as an absolute value of a signed 64-bit integer. Ordered: the record number
 *          itself. The C++ port leaves the absolute value out and the Go port feeds the bytes the
 *          other way round, so their keys differ from these.
 * Series   (ours, ordered keys only) record r is point r / series_count of series r % series_count;
 *          its number is the series times 10^12 plus the point. Keys then ascend by series and, in
 *          it, by time, and records made one after the other belong to all series in turn.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_DIGITS_MAX 200u                  /* the widest padding accepted */
#define KEY_BYTES_MAX  (4u + KEY_DIGITS_MAX + 4u)

#define KEY_SERIES_MAX    1000000u            /* so that numbers stay below 10^18 */
#define KEY_SERIES_POINTS 1000000000000ull    /* points of a series */
#define KEY_SERIES_DIGITS 18u

struct key_shape {
    bool     is_ordered;
    uint32_t digits_min;    /* 0 to KEY_DIGITS_MAX */
    uint32_t series_count;  /* 0: records are no points of series */
};

static inline uint64_t key_hash(uint64_t number)
{
    const uint64_t prime = 1099511628211ull;
    const bool     is_short = number >> 40 == 0;
    uint64_t       hash = 0xcbf29ce484222325ull, sign;

    for (int i = 0; i < 5; i++) {
        hash = (hash ^ (number & 0xff)) * prime;
        number >>= 8;
    }
    if (__builtin_expect(is_short, 1)) {
        hash *= prime * prime * prime; /* three bytes of zero */
    } else {
        for (int i = 5; i < 8; i++) {
            hash = (hash ^ (number & 0xff)) * prime;
            number >>= 8;
        }
    }
    /* The absolute value, without a branch because half of them are negative. That of the least
     * integer is itself, in Java as here. */
    sign = 0 - (hash >> 63);
    return (hash ^ sign) - sign;
}

/* The number a key shows. */
static inline uint64_t key_number(const struct key_shape *shape, uint64_t record)
{
    if (!shape->is_ordered)
        return key_hash(record);
    if (shape->series_count == 0)
        return record;
    return record % shape->series_count * KEY_SERIES_POINTS + record / shape->series_count;
}

/* Writes the key that shows number to out (KEY_BYTES_MAX bytes of room); returns its length. */
size_t key_write_number(const struct key_shape *shape, uint64_t number, uint8_t *out);

/* Writes the key of a record to out, which holds KEY_BYTES_MAX bytes, and returns its length. */
size_t key_write(const struct key_shape *shape, uint64_t record, uint8_t *out);

/* Whether these are the bytes that key_write makes of record. */
bool key_is(const struct key_shape *shape, uint64_t record, const uint8_t *key, size_t bytes);
