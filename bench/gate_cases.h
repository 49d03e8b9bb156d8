/*
 * gate_cases.h: operations whose cost in instructions, bytes, syncs, allocations and device reads
 * repeats exactly.
 *
 * One thread that drives the only shard itself, plain system calls, fixed keys, fixed counts, a new
 * database for every case. Background work is run to its end before the measured part starts.
 */
#pragma once

#include "core/base/base.h"

/* What a case adds to every operation: only the tests of the gate ask for it. */
enum gate_plant { GATE_PLANT_NOTHING = 0, GATE_PLANT_ALLOCATION, GATE_PLANT_SYNC,
                  GATE_PLANT_INSTRUCTIONS };

struct gate_counts {
    uint64_t operations;
    uint64_t instructions;      /* 0: not counted */
    uint64_t write_bytes;       /* handed to the kernel */
    uint64_t write_calls;
    uint64_t syncs;             /* of the log */
    uint64_t allocations;
    uint64_t read_bytes;        /* from tables */
    uint64_t read_calls;
    uint64_t file_bytes;        /* of the tables at the end */
};

#define GATE_CASE_COUNT 10u

const char *gate_case_name(uint32_t index);
/* False: its background work is paced by time. */
bool        gate_case_repeats_instructions(uint32_t index);
/* Makes a database below directory, which must exist, and removes it. */
MUST_USE enum kiwi_status gate_case_run(uint32_t index, const char *directory,
                                        enum gate_plant plant, struct gate_counts *out);
/* The instruction set that the code paths chosen at run time depend on. */
const char *gate_dispatch(void);

struct gate_world;
/* Not static: callgrind counts the instructions below this name. */
enum kiwi_status gate_measured(struct gate_world *world);
