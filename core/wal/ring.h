/*
 * ring.h: the arithmetic of a circular space in which no piece crosses the end.
 *
 * Positions only grow; the place of a position is position % bytes. A piece that does not fit
 * before the end goes to the next lap's beginning and the rest of the lap is wasted.
 * Always   low <= next <= low + bytes; bytes and every piece are multiples of 4 KiB.
 */
#pragma once

#include "core/base/base.h"

#define RING_NOWHERE UINT64_MAX

struct ring {
    uint64_t bytes;
    uint64_t low;  /* everything before may be overwritten */
    uint64_t next; /* where the next piece goes, if it fits */
};

/* The position where the next lap begins; next itself at a lap's beginning. */
static inline uint64_t ring_lap(const struct ring *ring)
{
    return round_up_u64(ring->next, ring->bytes);
}

/* Free contiguous bytes at position, which is next or the next lap, when reserve bytes must stay
 * free before low. */
static inline uint64_t ring_room_at(const struct ring *ring, uint64_t position, uint64_t reserve)
{
    uint64_t to_end = ring->bytes - position % ring->bytes;
    uint64_t wall = ring->low + ring->bytes - reserve;

    assert(reserve < ring->bytes);
    return position >= wall ? 0 : min_u64(to_end, wall - position);
}

/* The largest piece that fits now. */
static inline uint64_t ring_room(const struct ring *ring, uint64_t reserve)
{
    return max_u64(ring_room_at(ring, ring->next, reserve),
                   ring_room_at(ring, ring_lap(ring), reserve));
}

/* Where a piece of bytes goes; RING_NOWHERE when it does not fit. */
static inline uint64_t ring_place(const struct ring *ring, uint64_t bytes, uint64_t reserve)
{
    if (bytes <= ring_room_at(ring, ring->next, reserve))
        return ring->next;
    if (bytes <= ring_room_at(ring, ring_lap(ring), reserve))
        return ring_lap(ring);
    return RING_NOWHERE;
}

static inline void ring_take(struct ring *ring, uint64_t position, uint64_t bytes)
{
    assert(position >= ring->next);
    assert(position + bytes <= ring->low + ring->bytes);
    ring->next = position + bytes;
}
