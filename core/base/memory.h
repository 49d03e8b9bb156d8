/*
 * memory.h: the only door to the heap. Counts what is taken, so that statistics and the memory
 * limit need no guesswork.
 *
 * Thread   any; the counter is one relaxed atomic per call, so nothing hot may allocate.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/base/base.h"

MUST_USE void *memory_allocate(size_t bytes);        /* NULL when there is none */
MUST_USE void *memory_allocate_zeroed(size_t bytes);
MUST_USE void *memory_allocate_aligned(size_t bytes, size_t alignment);
/* For few, large and long-lived blocks: their pages go back to the system when they are freed. */
MUST_USE void *memory_allocate_apart(size_t bytes, size_t alignment);
MUST_USE void *memory_resize(void *old, size_t bytes); /* NULL leaves old as it was */
void           memory_free(void *pointer);           /* NULL is fine; any of the above */
uint64_t       memory_allocated_bytes(void);         /* in use now, over the whole process */
uint64_t       memory_allocation_count(void);        /* calls that gave memory, since the start */
/* Tests: the n-th allocation from now fails (1: the next), once. 0: none does. */
void           memory_fail_after(uint64_t n);
/* The n-th fails and so do all that follow, until the next memory_fail_after. */
void           memory_fail_from(uint64_t n);
uint64_t       memory_failure_count(void); /* that were made to fail, by the last n above 0 */
/* For whoever takes memory elsewhere than here: it counts as one allocation, which is to fail. */
MUST_USE bool  memory_fails_now(void);
