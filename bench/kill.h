/*
 * kill.h: does the engine keep what it acknowledged when its process is killed?
 *
 * Method   a child process runs the same engine with the same options under write load in a fresh
 *          folder and is killed (SIGKILL) at a random moment; this process opens the folder again
 *          and reads every record. What was acknowledged must be there, and nothing that was never
 *          written. The next round goes on with what was found; some of its kills fall into the
 *          opening. The system keeps running: a kill shows what a crash of the process costs, and
 *          says nothing about a loss of power.
 * Thread   the one that calls, while the process has no other.
 */
#pragma once

#include <stdatomic.h>

#include "bench/engine.h"

#define KILL_NAMED_MAX       8u    /* violations told by name */
#define KILL_ROUND_COUNT_MAX 100u

struct kill_options {
    const struct engine_class *class;
    struct engine_options      engine;       /* its directory is replaced */
    enum kiwi_durability       durability;   /* of all writes: durable or process */
    const char                *directory;    /* a claimed data folder */
    uint64_t                   value_bytes;
    uint32_t                   round_count;
    double                     round_seconds; /* the longest load of a round */
    uint64_t                   round_writes;  /* the most writes of one; 0: about 256 MiB */
    uint64_t                   seed;
    const _Atomic bool        *interrupted;  /* NULL: nothing interrupts */
};

struct kill_result {
    enum kiwi_durability durability;
    uint64_t             seed;
    uint32_t             round_count;        /* done */
    uint32_t             kills_opening;      /* of these, kills before the first write */
    uint64_t             acknowledged;       /* writes before the kills */
    uint64_t             records_checked;
    uint64_t             violation_count;
    char                 violations[KILL_NAMED_MAX][200];  /* the first of them */
    double               seconds;
};

struct kill_check;

/*
 * Makes the children. Before any engine was opened in this process: of the threads that an engine
 * leaves behind (LevelDB and RocksDB do, also after closing) a child would have none. options must
 * outlive the check.
 */
MUST_USE enum kiwi_status kill_begin(const struct kill_options *options, struct kill_check **out);
/*
 * KIWI_OK: all held; fewer rounds than asked for when interrupted. KIWI_CORRUPT: a promise was
 * broken, result says which. Anything else: it could not be found out.
 */
MUST_USE enum kiwi_status kill_run(struct kill_check *check, struct kill_result *result);
void                      kill_end(struct kill_check *check); /* NULL is fine */

/* Version 0 is none. Pure: whether a record that shows found was kept. */
bool kill_version_is_kept(uint32_t floor, uint32_t started, uint32_t found, bool is_found);
