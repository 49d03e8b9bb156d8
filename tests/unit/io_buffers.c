/*
 * io_buffers.c: the buddy allocator of frames.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/memory.h"
#include "io/buffers.h"

static struct buffers *pool_of(size_t bytes)
{
    struct buffers *buffers;

    assert_int_equal(buffers_open(bytes, &buffers), KIWI_OK);
    return buffers;
}

static bool is_inside(const struct buffers *buffers, const void *frame)
{
    void  *base;
    size_t bytes;

    assert_true(buffers_region(buffers, 0, &base, &bytes));
    return (const uint8_t *)frame >= (uint8_t *)base
        && (const uint8_t *)frame < (uint8_t *)base + bytes;
}

static void frames_of_every_size_are_aligned_and_writable(void **state)
{
    struct buffers *buffers = pool_of(8u << 20);

    (void)state;
    for (size_t bytes = 1; bytes <= 1u << 20; bytes = bytes * 2 + 1) {
        void *frame = buffers_take(buffers, bytes);
        assert_non_null(frame);
        assert_true((uintptr_t)frame % 4096 == 0);
        assert_true(is_inside(buffers, frame));
        memset(frame, 0xa5, bytes);
        assert_true(buffers_used_bytes(buffers) >= bytes);
        buffers_give(buffers, frame, bytes);
        assert_int_equal(buffers_used_bytes(buffers), 0);
    }
    buffers_close(buffers);
}

static void large_frames_come_from_the_heap(void **state)
{
    struct buffers *buffers = pool_of(1);
    uint8_t        *frame = buffers_take(buffers, (1u << 20) + 1);

    (void)state;
    assert_non_null(frame);
    assert_true((uintptr_t)frame % 4096 == 0);
    assert_false(is_inside(buffers, frame));
    memset(frame, 1, (1u << 20) + 1);
    buffers_give(buffers, frame, (1u << 20) + 1);
    assert_int_equal(buffers_used_bytes(buffers), 0);
    buffers_close(buffers);
}

static void an_empty_pool_turns_to_the_heap_and_then_fails(void **state)
{
    struct buffers *buffers = pool_of(2u << 20);
    void           *frames[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_non_null(frames[i] = buffers_take(buffers, 1u << 20));
    assert_false(is_inside(buffers, frames[2]));
    assert_int_equal(buffers_heap_bytes(buffers), 1u << 20);
    assert_null(buffers_take_pooled(buffers, 4096));
    memory_fail_after(1);
    assert_null(buffers_take(buffers, 4096));
    for (int i = 0; i < 3; i++)
        buffers_give(buffers, frames[i], 1u << 20);
    assert_int_equal(buffers_heap_bytes(buffers), 0);
    buffers_give(buffers, NULL, 4096);
    buffers_close(buffers);
    buffers_close(NULL);
}

static void small_frames_join_to_large_ones_again(void **state)
{
    struct buffers *buffers = pool_of(2u << 20);
    void           *frames[512];

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 512; i++) {
            assert_non_null(frames[i] = buffers_take(buffers, 4096));
            assert_true(is_inside(buffers, frames[i]));
        }
        for (int i = 0; i < 512; i++)
            buffers_give(buffers, frames[(i * 37) % 512], 4096);
        frames[0] = buffers_take(buffers, 1u << 20);
        frames[1] = buffers_take(buffers, 1u << 20);
        assert_true(is_inside(buffers, frames[0]));
        assert_true(is_inside(buffers, frames[1]));
        buffers_give(buffers, frames[1], 1u << 20);
        buffers_give(buffers, frames[0], 1u << 20);
    }
    buffers_close(buffers);
}

/* Goal: no two live frames overlap. Method: random takes and gives, each frame filled with its
 * number and checked before it is given back. */
static void live_frames_never_overlap(void **state)
{
    enum { SLOTS = 200, ROUNDS = 20000 };
    const char     *text = getenv("KIWI_SEED");
    uint64_t        seed = text != NULL ? strtoull(text, NULL, 10) : 42;
    struct buffers *buffers = pool_of(16u << 20);
    struct { uint8_t *frame; size_t bytes; uint8_t fill; } slots[SLOTS] = { 0 };

    (void)state;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        uint32_t at = (uint32_t)(seed >> 40) % SLOTS;

        if (slots[at].frame == NULL) {
            slots[at].bytes = (size_t)1 << (10 + (seed >> 33) % 10);
            slots[at].fill = (uint8_t)round;
            slots[at].frame = buffers_take(buffers, slots[at].bytes);
            assert_non_null(slots[at].frame);
            memset(slots[at].frame, slots[at].fill, slots[at].bytes);
            continue;
        }
        assert_int_equal(slots[at].frame[0], slots[at].fill);
        assert_int_equal(memcmp(slots[at].frame, slots[at].frame + 1, slots[at].bytes - 1), 0);
        buffers_give(buffers, slots[at].frame, slots[at].bytes);
        slots[at].frame = NULL;
    }
    for (uint32_t at = 0; at < SLOTS; at++)
        buffers_give(buffers, slots[at].frame, slots[at].bytes);
    assert_int_equal(buffers_used_bytes(buffers), 0);
    buffers_close(buffers);
}

static void opening_reports_lack_of_memory(void **state)
{
    struct buffers *buffers;

    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        memory_fail_after(n);
        assert_int_equal(buffers_open(4096, &buffers), KIWI_NO_MEMORY);
        assert_null(buffers);
    }
    memory_fail_after(0);
}

static void regions_are_zeroed_and_aligned(void **state)
{
    static const size_t sizes[] = { 1, 4096, 2u << 20, (2u << 20) + 1, 16u << 20 };

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *region = region_map(sizes[i]);
        assert_non_null(region);
        assert_true((uintptr_t)region % (2u << 20) == 0);
        for (size_t at = 0; at < sizes[i]; at += 511)
            assert_int_equal(region[at], 0);
        memset(region, 1, sizes[i]);
        region_unmap(region, sizes[i]);
    }
    region_unmap(NULL, 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_of_every_size_are_aligned_and_writable),
        cmocka_unit_test(large_frames_come_from_the_heap),
        cmocka_unit_test(an_empty_pool_turns_to_the_heap_and_then_fails),
        cmocka_unit_test(small_frames_join_to_large_ones_again),
        cmocka_unit_test(live_frames_never_overlap),
        cmocka_unit_test(opening_reports_lack_of_memory),
        cmocka_unit_test(regions_are_zeroed_and_aligned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
