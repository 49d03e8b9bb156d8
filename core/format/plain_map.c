/*
 * plain_map.c: walks over a map by the MessagePack specification, taking no memory.
 */
#include "core/format/plain_map.h"

#include "core/base/base.h"

/* How long the plain object (number, nil, bool, string or bytes) at source is; 0 when it is another
 * or goes beyond bytes. */
static uint64_t plain_object_bytes(const uint8_t *source, uint64_t bytes)
{
    /* By msgpack's type byte, from 0xc0 on: how many bytes follow; how wide the length is. */
    static const uint8_t fixed[] = { [0x0c] = 1, [0x0d] = 2, [0x0e] = 4, [0x0f] = 8,
                                     [0x10] = 1, [0x11] = 2, [0x12] = 4, [0x13] = 8,
                                     [0x0a] = 4, [0x0b] = 8 };
    static const uint8_t lengths[] = { [0x04] = 1, [0x05] = 2, [0x06] = 4,
                                       [0x19] = 1, [0x1a] = 2, [0x1b] = 4 };
    uint64_t size = 0;

    if (bytes == 0)
        return 0;
    uint8_t type = source[0];
    if (type <= 0x7f || type >= 0xe0 || type == 0xc0 || type == 0xc2 || type == 0xc3)
        return 1;
    if (type >= 0xa0 && type <= 0xbf) {
        size = 1 + (type & 0x1fu);
    } else if (type >= 0xc0 && type - 0xc0u < ARRAY_COUNT(fixed) && fixed[type - 0xc0u] > 0) {
        size = 1 + (uint64_t)fixed[type - 0xc0u];
    } else if (type >= 0xc0 && type - 0xc0u < ARRAY_COUNT(lengths) && lengths[type - 0xc0u] > 0) {
        uint32_t width = lengths[type - 0xc0u], length = 0;
        if (bytes < 1 + width)
            return 0;
        for (uint32_t i = 0; i < width; i++)
            length = length << 8 | source[1 + i];
        size = 1 + (uint64_t)width + length;
    }
    return size <= bytes ? size : 0;
}

bool plain_map_is(const uint8_t *source, size_t bytes)
{
    uint64_t at = 1, pairs;

    if (bytes >= 1 && source[0] >= 0x80 && source[0] <= 0x8f) {
        pairs = source[0] & 0x0fu;
    } else if (bytes >= 3 && source[0] == 0xde) {
        pairs = (uint64_t)source[1] << 8 | source[2];
        at = 3;
    } else {
        return false;
    }
    if (pairs > PLAIN_MAP_PAIRS_MAX)
        return false;
    for (uint64_t i = 0; i < 2 * pairs; i++) {
        uint64_t size = plain_object_bytes(source + at, bytes - at);
        if (size == 0)
            return false;
        at += size;
    }
    return true;
}
