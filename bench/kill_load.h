/*
 * kill_load.h: the process that will be killed: writes until then, and notes what was acknowledged
 * in memory that outlives it.
 *
 * Rule     every record has one writer with one write in flight, so after the kill it holds the
 *          version last acknowledged or the one started after it. Every eleventh version is a
 *          deletion.
 */
#pragma once

#include <stdatomic.h>

#include "bench/engine.h"
#include "workloads/values.h"

struct kill_cell {
    _Atomic uint32_t floor, started;  /* acknowledged; the last version that may be there */
};

/* Shared between the two processes. */
struct kill_board {
    _Atomic bool     has_failed;    /* the load ended by itself; text says why */
    _Atomic uint64_t acknowledged;  /* writes, over all rounds */
    enum kiwi_status status;
    char             text[512];
    uint32_t         cell_count;
    struct kill_cell cells[];
};

struct kill_load {
    const struct engine_class *class;
    struct engine_options      engine;
    enum kiwi_durability       durability;  /* of every write */
    const struct value_pool   *values;
    uint64_t                   value_bytes;
    uint64_t                   seed;
    uint64_t                   acknowledged_max; /* pauses when the board shows as many */
    struct kill_board         *board;
};

/* One write in flight each. */
uint32_t kill_load_writers(const struct engine_options *engine);
/* Version 0 too: no such record. */
bool kill_version_is_absent(uint32_t version);
/* Never returns: exits with 3 when the engine fails, else waits for its end. */
_Noreturn void kill_load_run(const struct kill_load *load);
