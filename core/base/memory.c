/*
 * memory.c: malloc with a counter, and a switch that makes the n-th call fail, or all from it on.
 */
#include "core/base/memory.h"

#include <jemalloc/jemalloc.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * memory_allocate_apart: an arena of jemalloc of our own that keeps nothing of what was freed. The
 * ordinary arenas keep it for ten seconds, and a database of 96 MiB then held 140. For everything
 * large it would be dear: each purge interrupts the other processors (wal_damage took ten times as
 * long).
 */

/* Null in a program without jemalloc. */
#pragma weak mallocx
#pragma weak mallctl

static _Atomic uint64_t bytes_in_use;
static _Atomic uint64_t allocation_count;
static _Atomic int64_t  calls_until_failure; /* below 1: it is over */
static _Atomic bool     is_armed, fails_for_good;
static _Atomic uint64_t failure_count;

bool memory_fails_now(void)
{
    int64_t left;

    if (LIKELY(!atomic_load_explicit(&is_armed, memory_order_relaxed)))
        return false;
    left = atomic_fetch_sub(&calls_until_failure, 1);
    if (left > 1 || (left < 1 && !atomic_load(&fails_for_good)))
        return false;
    atomic_fetch_add(&failure_count, 1);
    return true;
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

/* ---- blocks apart ---- */

enum { ARENA_UNMADE = 0, ARENA_MAKING, ARENA_NONE, ARENA_FIRST }; /* or ARENA_FIRST + its number */

static _Atomic uint32_t apart_arena;

/* What comes from the arena goes back by free: both must be jemalloc's. Under valgrind, or beside
 * another allocator, they are not. */
static bool malloc_is_jemalloc(void)
{
    uint64_t before = 0, after = 0;
    size_t   bytes = sizeof before;
    void    *probe;
    bool     is_there; /* the size is asked for, or the compiler leaves the probe out */

    if (mallctl("thread.allocated", &before, &bytes, NULL, 0) != 0)
        return false;
    probe = malloc(64);
    is_there = probe != NULL && malloc_usable_size(probe) >= 64;
    (void)mallctl("thread.allocated", &after, &bytes, NULL, 0);
    free(probe);
    return is_there && after > before;
}

static uint32_t arena_make(void)
{
    unsigned    arena;
    size_t      bytes = sizeof arena;
    ssize_t     at_once = 0;
    char        name[48];
    const char *kinds[] = { "dirty", "muzzy" };

    if (mallocx == NULL || mallctl == NULL || !malloc_is_jemalloc()
        || mallctl("arenas.create", &arena, &bytes, NULL, 0) != 0)
        return ARENA_NONE;
    for (uint32_t i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "arena.%u.%s_decay_ms", arena, kinds[i]);
        /* Refused, it would keep freed pages for longer: no error. */
        (void)mallctl(name, NULL, NULL, &at_once, sizeof at_once);
    }
    return ARENA_FIRST + arena;
}

/* ARENA_NONE and ARENA_MAKING: whoever comes while another thread makes it takes the ordinary heap
 * too. */
static uint32_t arena_apart(void)
{
    uint32_t arena = atomic_load_explicit(&apart_arena, memory_order_acquire);
    uint32_t unmade = ARENA_UNMADE;

    if (UNLIKELY(arena == ARENA_UNMADE)
        && atomic_compare_exchange_strong(&apart_arena, &unmade, ARENA_MAKING)) {
        arena = arena_make();
        atomic_store_explicit(&apart_arena, arena, memory_order_release);
    }
    return arena;
}

/* ---- the door ---- */

void *memory_allocate(size_t bytes)
{
    return memory_fails_now() ? NULL : counted(malloc(bytes == 0 ? 1 : bytes));
}

void *memory_allocate_zeroed(size_t bytes)
{
    return memory_fails_now() ? NULL : counted(calloc(1, bytes == 0 ? 1 : bytes));
}

void *memory_allocate_aligned(size_t bytes, size_t alignment)
{
    void *pointer = NULL;

    if (memory_fails_now() || posix_memalign(&pointer, alignment, bytes == 0 ? 1 : bytes) != 0)
        return NULL;
    return counted(pointer);
}

void *memory_allocate_apart(size_t bytes, size_t alignment)
{
    uint32_t arena = arena_apart();

    if (arena < ARENA_FIRST || bytes == 0)
        return memory_allocate_aligned(bytes, alignment);
    if (memory_fails_now())
        return NULL;
    return counted(mallocx(bytes, MALLOCX_ARENA((int)(arena - ARENA_FIRST)) | MALLOCX_TCACHE_NONE
                                      | MALLOCX_ALIGN(alignment)));
}

void *memory_resize(void *old, size_t bytes)
{
    size_t before = old == NULL ? 0 : malloc_usable_size(old);
    void  *pointer = memory_fails_now() ? NULL : realloc(old, bytes == 0 ? 1 : bytes);

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

static void failure_arm(uint64_t n, bool is_for_good)
{
    atomic_store(&is_armed, false);
    if (n > 0)
        atomic_store(&failure_count, 0);
    atomic_store(&fails_for_good, is_for_good);
    atomic_store(&calls_until_failure, (int64_t)n);
    atomic_store(&is_armed, n > 0);
}

void memory_fail_after(uint64_t n)
{
    failure_arm(n, false);
}

void memory_fail_from(uint64_t n)
{
    failure_arm(n, true);
}

uint64_t memory_failure_count(void)
{
    return atomic_load(&failure_count);
}
