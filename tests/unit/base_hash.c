/*
 * base_hash.c: every variant of a checksum is XXH3 as the library has it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <xxhash.h>

#include "core/base/hash.h"

enum { EVERY_BYTES = 2100, LARGE_BYTES = 70000, SEED_COUNT = 3 };

static const uint64_t seeds[SEED_COUNT] = { 0, 1, 0x9e3779b97f4a7c15ull };

static void all_sizes_agree(void **state)
{
    enum hash_width width = *(const enum hash_width *)*state;
    uint8_t        *memory = malloc(1 + LARGE_BYTES), *bytes = memory + 1; /* an odd address */

    if (width > hash_width_best()) {
        free(memory);
        skip();
    }
    hash_width_force(width);
    for (size_t i = 0; i < LARGE_BYTES; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 11);
    for (size_t i = 0; i < SEED_COUNT; i++) {
        for (size_t size = 0; size <= EVERY_BYTES; size++)
            assert_int_equal(hash_checksum(bytes, size, seeds[i]),
                             XXH3_64bits_withSeed(bytes, size, seeds[i]));
        for (size_t size = LARGE_BYTES; size > EVERY_BYTES; size -= size / 9)
            assert_int_equal(hash_checksum(bytes, size, seeds[i]),
                             XXH3_64bits_withSeed(bytes, size, seeds[i]));
    }
    hash_width_force(hash_width_best());
    free(memory);
}

static enum hash_width baseline = HASH_BASELINE, avx2 = HASH_AVX2, avx512 = HASH_AVX512;

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "the_baseline_is_xxh3", all_sizes_agree, NULL, NULL, &baseline },
        { "the_variant_for_avx2_is_xxh3", all_sizes_agree, NULL, NULL, &avx2 },
        { "the_variant_for_avx512_is_xxh3", all_sizes_agree, NULL, NULL, &avx512 },
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
