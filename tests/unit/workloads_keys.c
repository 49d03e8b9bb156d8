/*
 * Keys are YCSB's, byte for byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "workloads/chance.h"
#include "workloads/keys.h"

static const struct key_shape hashed = { .digits_min = 1 };

static void expect_key(const struct key_shape *shape, uint64_t record, const char *wanted)
{
    uint8_t key[KEY_BYTES_MAX];
    size_t  bytes = key_write(shape, record, key);

    assert_int_equal(bytes, strlen(wanted));
    assert_memory_equal(key, wanted, bytes);
}

static void hashed_keys_match_the_known_three(void **state)
{
    (void)state;
    expect_key(&hashed, 0, "user6284781860667377211");
    expect_key(&hashed, 1, "user8517097267634966620");
    expect_key(&hashed, 2, "user1820151046732198393");
}

static void ordered_keys_are_padded_to_the_least_width(void **state)
{
    struct key_shape ordered = { .is_ordered = true, .digits_min = 1 };
    struct key_shape padded = { .is_ordered = true, .digits_min = 20 };
    struct key_shape widest = { .is_ordered = true, .digits_min = KEY_DIGITS_MAX };
    char             wanted[KEY_DIGITS_MAX + 5] = "user";

    (void)state;
    expect_key(&ordered, 0, "user0");
    expect_key(&ordered, 7, "user7");
    expect_key(&ordered, 1234567, "user1234567");
    expect_key(&ordered, UINT64_MAX, "user18446744073709551615");
    expect_key(&padded, 42, "user00000000000000000042");
    expect_key(&padded, UINT64_MAX, "user18446744073709551615");
    memset(wanted + 4, '0', KEY_DIGITS_MAX);
    wanted[KEY_DIGITS_MAX + 3] = '9';
    expect_key(&widest, 9, wanted);
}

/* Goal: the eight-digits-at-a-time writer is the C library's. Method: edges of every length and
 * random numbers of every size. */
static void decimal_digits_match_printf(void **state)
{
    struct key_shape ordered = { .is_ordered = true, .digits_min = 0 };
    struct chance    chance = chance_of(7, 0);
    char             wanted[64];

    (void)state;
    for (uint64_t power = 1, i = 0; i < 20; i++, power *= 10)
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t number = power + (uint64_t)(int64_t)delta;
            snprintf(wanted, sizeof wanted, "user%llu", (unsigned long long)number);
            expect_key(&ordered, number, wanted);
        }
    for (int i = 0; i < 200000; i++) {
        uint64_t number = chance_next(&chance) >> (chance_next(&chance) % 64);
        snprintf(wanted, sizeof wanted, "user%llu", (unsigned long long)number);
        expect_key(&ordered, number, wanted);
    }
}

/* Goal: reading a key says what writing it anew and comparing would. Method: true keys of all
 * lengths, the same with one byte changed, cut or longer, and keys of other records. */
static void a_key_is_told_from_every_other(void **state)
{
    const struct key_shape shapes[] = { { .digits_min = 1 },
                                        { .digits_min = 0, .is_ordered = true },
                                        { .digits_min = 20 } };
    struct chance chance = chance_of(11, 0);

    (void)state;
    for (int i = 0; i < 300000; i++) {
        const struct key_shape *shape = &shapes[chance_next(&chance) % 3];
        uint64_t record = chance_next(&chance) >> (chance_next(&chance) % 64);
        uint8_t  key[KEY_BYTES_MAX + 1], wanted[KEY_BYTES_MAX];
        size_t   bytes = key_write(shape, record, key), wanted_bytes, at;

        assert_true(key_is(shape, record, key, bytes));
        switch (chance_next(&chance) % 5) {
        case 0:
            at = chance_next(&chance) % bytes;
            key[at] = (uint8_t)(key[at] ^ 1u << chance_next(&chance) % 8);
            break;
        case 1: key[4 + chance_next(&chance) % (bytes - 4)] = (uint8_t)chance_next(&chance); break;
        case 2: bytes -= 1 + chance_next(&chance) % bytes; break;
        case 3: key[bytes++] = '0'; break;
        case 4: record ^= 1ull << chance_next(&chance) % 64; break;
        }
        wanted_bytes = key_write(shape, record, wanted);
        assert_int_equal(key_is(shape, record, key, bytes),
                         wanted_bytes == bytes && memcmp(wanted, key, bytes) == 0);
    }
}

/* 89 % of 100,000 keys have 19 digits, 9.7 % have 18. */
static void lengths_are_distributed_as_in_the_original(void **state)
{
    uint32_t counts[32] = { 0 };
    uint8_t  key[KEY_BYTES_MAX];

    (void)state;
    for (uint64_t i = 0; i < 100000; i++)
        counts[key_write(&hashed, i, key) - 4]++;
    assert_in_range(counts[19], 88500, 89900);
    assert_in_range(counts[18], 9300, 10100);
    assert_int_equal(counts[20], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashed_keys_match_the_known_three),
        cmocka_unit_test(ordered_keys_are_padded_to_the_least_width),
        cmocka_unit_test(decimal_digits_match_printf),
        cmocka_unit_test(a_key_is_told_from_every_other),
        cmocka_unit_test(lengths_are_distributed_as_in_the_original),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
