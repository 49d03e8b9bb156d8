/*
 * machine.h: one life after another of a database on the simulated machine, from one seed.
 *
 * Plan     drawn from the seed: shards, clients, durability, sizes, and which faults there are at
 *          all (a swarm: each run has some of them).
 * Life     opens, runs clients that have many operations out at once, ends by a power cut, a kill
 *          or a close; the next life judges what it finds.
 */
#pragma once

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
    FAULT_ALL = (1u << 10) - 1,
};

struct run_options {
    uint64_t seed;
    uint32_t operations;
    unsigned faults;  /* enum fault_kind that may be drawn */
    bool     is_loud; /* tells of every life */
};

struct run_result {
    uint64_t operations, checks, lives, digest;
};

/* Ends the process with a reason when anything is wrong. */
struct run_result machine_run(const struct run_options *options);
