/*
 * memory.c: malloc with a counter, and a switch that makes the n-th call fail.
 */
#include "core/base/memory.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static _Atomic uint64_t bytes_in_use;
static _Atomic uint64_t allocation_count;
static _Atomic uint64_t calls_until_failure;

static bool fails_now(void)
{
    if (LIKELY(atomic_load_explicit(&calls_until_failure, memory_order_relaxed) == 0))
        return false;
    return atomic_fetch_sub(&calls_until_failure, 1) == 1;
}

static void *counted(void *pointer)
{
    if (pointer != NULL) {
        atomic_fetch_add_explicit(&bytes_in_use, malloc_usable_size(pointer),
                                  memory_order_relaxed);
        atomic_fetch_add_explicit(&allocation_count, 1, memory_order_relaxed);
    }
    return pointer;
}

void *memory_allocate(size_t bytes)
{
    return fails_now() ? NULL : counted(malloc(bytes == 0 ? 1 : bytes));
}

void *memory_allocate_zeroed(size_t bytes)
{
    return fails_now() ? NULL : counted(calloc(1, bytes == 0 ? 1 : bytes));
}

void *memory_allocate_aligned(size_t bytes, size_t alignment)
{
    void *pointer = NULL;

    if (fails_now() || posix_memalign(&pointer, alignment, bytes == 0 ? 1 : bytes) != 0)
        return NULL;
    return counted(pointer);
}

void *memory_resize(void *old, size_t bytes)
{
    size_t before = old == NULL ? 0 : malloc_usable_size(old);
    void  *pointer = fails_now() ? NULL : realloc(old, bytes == 0 ? 1 : bytes);

    if (pointer != NULL) {
        atomic_fetch_sub_explicit(&bytes_in_use, before, memory_order_relaxed);
        counted(pointer);
    }
    return pointer;
}

void memory_free(void *pointer)
{
    if (pointer == NULL)
        return;
    atomic_fetch_sub_explicit(&bytes_in_use, malloc_usable_size(pointer), memory_order_relaxed);
    free(pointer);
}

uint64_t memory_allocated_bytes(void)
{
    return atomic_load_explicit(&bytes_in_use, memory_order_relaxed);
}

uint64_t memory_allocation_count(void)
{
    return atomic_load_explicit(&allocation_count, memory_order_relaxed);
}

void memory_fail_after(uint64_t n)
{
    atomic_store(&calls_until_failure, n);
}
