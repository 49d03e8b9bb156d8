/*
 * merge_work.c: inputs over sorted arrays.
 */
#include "bench/micro/merge_work.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/memory.h"
#include "core/iter/merge.h"

#define KEY_BYTES 24u

struct array_input {
    struct iter iter;
    uint8_t    *keys;
    uint32_t    count, at;
};

struct merge_work {
    struct merge       *merge;
    struct array_input *inputs;
    uint32_t            count, entries_each;
};

static struct array_input *input_of(struct iter *iter)
{
    return container_of(iter, struct array_input, iter);
}

static enum iter_state array_show(struct array_input *input, uint32_t at)
{
    input->at = at;
    if (at >= input->count)
        return input->iter.state = ITER_END;
    input->iter.entry.key = bytes_of(input->keys + (size_t)at * KEY_BYTES, KEY_BYTES);
    return input->iter.state = ITER_AT_ENTRY;
}

static enum iter_state array_seek(struct iter *iter, struct bytes key, uint64_t sequence)
{
    struct array_input *input = input_of(iter);
    uint32_t            low = 0, high = input->count;

    (void)sequence;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (bytes_compare(bytes_of(input->keys + (size_t)middle * KEY_BYTES, KEY_BYTES), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return array_show(input, low);
}

static enum iter_state array_seek_before(struct iter *iter, struct bytes key)
{
    (void)array_seek(iter, key, 0);
    return array_show(input_of(iter), input_of(iter)->at - 1);
}

static enum iter_state array_first(struct iter *iter)
{
    return array_show(input_of(iter), 0);
}

static enum iter_state array_last(struct iter *iter)
{
    return array_show(input_of(iter), input_of(iter)->count - 1);
}

static enum iter_state array_next(struct iter *iter)
{
    return array_show(input_of(iter), input_of(iter)->at + 1);
}

static enum iter_state array_previous(struct iter *iter)
{
    return array_show(input_of(iter), input_of(iter)->at - 1);
}

static const struct iter_methods array_methods = {
    .seek = array_seek, .seek_before = array_seek_before, .first = array_first,
    .last = array_last, .next = array_next, .previous = array_previous,
};

static int keys_order(const void *a, const void *b)
{
    return memcmp(a, b, KEY_BYTES);
}

static uint64_t scramble(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

static void key_fill(uint8_t *key, uint64_t number)
{
    char text[KEY_BYTES + 8];

    snprintf(text, sizeof text, "user%020" PRIu64, scramble(number + 1));
    memcpy(key, text, KEY_BYTES);
}

struct merge_work *merge_work_open(uint32_t count, uint32_t entries_each)
{
    struct merge_work *work = memory_allocate_zeroed(sizeof *work);
    struct iter       *iters[MERGE_INPUT_MAX];

    assert(work != NULL);
    assert(count <= MERGE_INPUT_MAX);
    work->count = count;
    work->entries_each = entries_each;
    work->inputs = memory_allocate_zeroed(count * sizeof *work->inputs);
    assert(work->inputs != NULL);
    for (uint32_t i = 0; i < count; i++) {
        struct array_input *input = &work->inputs[i];

        input->iter.methods = &array_methods;
        input->iter.entry = (struct entry){ .sequence = i + 1, .kind = ENTRY_PUT };
        input->count = entries_each;
        input->keys = memory_allocate((size_t)entries_each * KEY_BYTES);
        assert(input->keys != NULL);
        for (uint32_t k = 0; k < entries_each; k++)
            key_fill(input->keys + (size_t)k * KEY_BYTES, (uint64_t)i * entries_each + k);
        qsort(input->keys, entries_each, KEY_BYTES, keys_order);
        iters[i] = &input->iter;
    }
    if (merge_open(iters, count, &work->merge) != KIWI_OK)
        __builtin_trap();
    return work;
}

void merge_work_close(struct merge_work *work)
{
    merge_close(work->merge);
    for (uint32_t i = 0; i < work->count; i++)
        memory_free(work->inputs[i].keys);
    memory_free(work->inputs);
    memory_free(work);
}

uint64_t merge_work_forward(struct merge_work *work)
{
    struct iter *iter = merge_iter(work->merge);
    uint64_t     count = 0;

    for (enum iter_state at = iter_first(iter); at == ITER_AT_ENTRY; at = iter_next(iter))
        count++;
    return count;
}

uint64_t merge_work_backward(struct merge_work *work)
{
    struct iter *iter = merge_iter(work->merge);
    uint64_t     count = 0;

    for (enum iter_state at = iter_last(iter); at == ITER_AT_ENTRY; at = iter_previous(iter))
        count++;
    return count;
}

uint64_t merge_work_seek(struct merge_work *work, uint64_t number)
{
    uint8_t key[KEY_BYTES];

    key_fill(key, number);
    return (uint64_t)iter_seek(merge_iter(work->merge), bytes_of(key, KEY_BYTES), SEQUENCE_MAX);
}

uint64_t merge_work_inputs_only(struct merge_work *work)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < work->count; i++) {
        struct iter *iter = &work->inputs[i].iter;

        for (enum iter_state at = iter_first(iter); at == ITER_AT_ENTRY; at = iter_next(iter))
            count += iter->entry.key.data[KEY_BYTES - 1] != 0;
    }
    return count;
}
