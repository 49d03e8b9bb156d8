/*
 * machine.h: one life after another of a database on the simulated machine, from one seed.
 *
 * Plan     drawn from the seed: shards, clients, durability, sizes, and which faults there are at
 *          all (a swarm: each run has some of them).
 * Life     opens, runs clients that have many operations out at once, ends by a power cut, a kill
 *          or a close; the next life judges what it finds.
 */
#pragma once

#include "io/simulated.h"
#include "kiwi/kiwi.h"

enum fault_kind {
    FAULT_CRASH = 1u << 0,      /* power cuts */
    FAULT_KILL = 1u << 1,
    FAULT_READ = 1u << 2,       /* read errors */
    FAULT_WRITE = 1u << 3,
    FAULT_SYNC = 1u << 4,
    FAULT_SHORT = 1u << 5,
    FAULT_FLIP = 1u << 6,       /* bits, of reads */
    FAULT_LIES = 1u << 7,       /* lost and misdirected writes, misdirected reads */
    FAULT_FULL = 1u << 8,       /* the disk fills; later there is room again */
    FAULT_STICKY = 1u << 9,     /* one operation fails, then all of its kind */
    FAULT_STALE = 1u << 10,     /* reads of older bytes */
    FAULT_STUCK = 1u << 11,     /* requests that take seconds, or until much else is done */
    FAULT_CLOCK = 1u << 12,     /* the clock jumps by hours */
    FAULT_ALL = (1u << 13) - 1,
};

struct run_options {
    uint64_t seed;
    uint32_t operations;
    unsigned faults;  /* enum fault_kind that may be drawn */
    bool     is_loud; /* tells of every life */
};

struct run_result {
    uint64_t operations, checks, lives, digest;
    uint64_t power_cuts, kills;
    uint64_t faults[SIMULATED_FAULT_COUNT];
    /* What became of lies: refused by an open, told by a read, or writes that are missing. */
    uint64_t told_by_open, told_by_read, older;
};

/* Ends the process with a reason when anything is wrong. */
struct run_result machine_run(const struct run_options *options);
