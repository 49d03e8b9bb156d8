/*
 * buffers.h: aligned frames for direct I/O, in 2 MiB huge pages where the host has them.
 *
 * Owns     its regions; frames are powers of two, 4 KiB to 1 MiB, carved buddy-fashion.
 * Thread   one at a time.
 * Larger   requests above 1 MiB come from the heap, aligned to 4 KiB, and go back there. So does
 *          what somebody must have who finds all regions in use (buffers_take).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/base/base.h"

struct buffers;

/* bytes: the most it keeps in regions (rounded up to 2 MiB; may start smaller and grow to it). */
MUST_USE enum kiwi_status buffers_open(size_t bytes, struct buffers **out);
void     buffers_close(struct buffers *buffers); /* NULL is fine; all frames given back */
/* At least bytes, aligned to 4 KiB; NULL when pool and heap have no more. */
MUST_USE void *buffers_take(struct buffers *buffers, size_t bytes);
/* The same from its regions only: NULL when they are used up, for who can do with less or later. */
MUST_USE void *buffers_take_pooled(struct buffers *buffers, size_t bytes);
void     buffers_give(struct buffers *buffers, void *frame, size_t bytes); /* bytes as taken */
size_t   buffers_used_bytes(const struct buffers *buffers);
/* Of its regions, what frames have reached so far: that much is memory, not only addresses. */
size_t   buffers_touched_bytes(const struct buffers *buffers);
size_t   buffers_heap_bytes(const struct buffers *buffers); /* of frames beside its regions */
/* Regions as [base, base + bytes) for io_queue_register; false past the last. */
bool     buffers_region(const struct buffers *buffers, uint32_t index, void **base, size_t *bytes);

/* A huge-page region for caches and arenas: zeroed, 2 MiB aligned; NULL when there is no memory. */
MUST_USE void *region_map(size_t bytes);
/* Asks for huge pages behind memory that came from elsewhere. */
void     region_wish_huge(void *base, size_t bytes);
void     region_unmap(void *base, size_t bytes);
uint64_t region_mapped_bytes(void); /* in use now, over the whole process */
