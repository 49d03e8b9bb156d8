/*
 * pack.c: the msgpack types that the files use, read by the specification.
 */
#include "tests/format/reader_parts.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

static uint64_t big_endian(struct pack *pack, size_t bytes)
{
    uint64_t value = 0;

    assert_true((size_t)(pack->end - pack->at) >= bytes);
    while (bytes-- > 0)
        value = value << 8 | *pack->at++;
    return value;
}

uint64_t pack_integer(struct pack *pack)
{
    uint64_t first = big_endian(pack, 1);

    if (first <= 0x7f)
        return first;
    assert_in_range(first, 0xcc, 0xcf);
    return big_endian(pack, (size_t)1 << (first - 0xcc));
}

/* fix: the first of 16 short forms; wide: the form with 16 bits, before the one with 32. */
static uint64_t count_take(struct pack *pack, uint64_t fix, uint64_t wide)
{
    uint64_t first = big_endian(pack, 1);

    if (first >= fix && first < fix + 16)
        return first - fix;
    assert_in_range(first, wide, wide + 1);
    return big_endian(pack, first == wide ? 2 : 4);
}

uint64_t pack_array(struct pack *pack)
{
    return count_take(pack, 0x90, 0xdc);
}

uint64_t pack_map(struct pack *pack)
{
    return count_take(pack, 0x80, 0xde);
}

static struct span span_take(struct pack *pack, uint64_t size)
{
    struct span span = { pack->at, (size_t)size };

    assert_true((uint64_t)(pack->end - pack->at) >= size);
    pack->at += size;
    return span;
}

struct span pack_bin(struct pack *pack)
{
    uint64_t first = big_endian(pack, 1);

    assert_in_range(first, 0xc4, 0xc6);
    return span_take(pack, big_endian(pack, (size_t)1 << (first - 0xc4)));
}

struct span pack_text(struct pack *pack)
{
    uint64_t first = big_endian(pack, 1);

    assert_in_range(first, 0xa0, 0xbf);
    return span_take(pack, first - 0xa0);
}

void pack_name(struct pack *pack, const char *name)
{
    struct span text = pack_text(pack);

    assert_int_equal(text.size, strlen(name));
    assert_memory_equal(text.data, name, text.size);
}
