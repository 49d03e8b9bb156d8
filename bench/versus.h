/*
 * versus.h: engines side by side: what their blocks measured, and what follows from it.
 *
 * A block is one engine's run of all phases in a process and a folder of its own; a round is one
 * block of every engine. Ratios are paired by round, so that what changes on the machine between
 * rounds falls out of them. Pure: files and processes are in versus_run.c.
 */
#pragma once

#include <jansson.h>
#include <limits.h>
#include <stdio.h>

#include "bench/engine.h"
#include "bench/statistics.h"
#include "workloads/workload.h"

#define VERSUS_ENGINE_COUNT_MAX 12u
#define VERSUS_ROUND_COUNT_MAX  STATISTICS_COUNT_MAX
#define VERSUS_PHASE_COUNT_MAX  96u

/* What is compared of a phase: a row of the table. */
enum versus_row {
    VERSUS_RATE = 0,          /* operations a second */
    VERSUS_P99,               /* ns; of operation i: VERSUS_P99 + i */
    VERSUS_ROW_COUNT = VERSUS_P99 + OPERATION_COUNT,
};

/* One row of one engine: a number per round; 0: that round has none. */
struct versus_cell {
    double rounds[VERSUS_ROUND_COUNT_MAX];
};

struct versus_phase {
    char               name[72];
    bool               is_load;
    char               stream_digest[20], durability[12];
    struct versus_cell cells[VERSUS_ROW_COUNT][VERSUS_ENGINE_COUNT_MAX];
};

struct versus_engine {
    const struct engine_class *class;
    char   label[32];         /* "lmdb", or "kiwi.2" when it is there twice */
    char   settings[320], note[160];
    double memory_peak_bytes, folder_bytes_max;  /* over all blocks */
    double group_peak_bytes;  /* with the page cache, over all blocks; 0: not known */
};

/* Whether each block's memory was limited, page cache included (cap.h). */
struct versus_cap {
    bool     is_enforced;
    uint64_t memory_bytes;    /* asked of the engine */
    uint64_t allowance_bytes; /* for the driver beside it */
    char     reason[240];     /* why not */
};

struct versus {
    struct versus_engine engines[VERSUS_ENGINE_COUNT_MAX];
    uint32_t             engine_count;
    struct versus_cap    cap;
    uint32_t             round_count;            /* of which at least one block is there */
    struct versus_phase  phases[VERSUS_PHASE_COUNT_MAX];
    uint32_t             phase_count;
};

/* Adds the engines of a list, "kiwi,lmdb"; one named twice is measured twice. KIWI_INVALID: none of
 * them, or not in this build; the text says which and what was meant. */
MUST_USE enum kiwi_status versus_engines_parse(const char *list, struct versus *versus);

/* The engines of a round by position: each round starts with the next engine, and after every
 * engine was first once, the order runs backwards. */
void versus_order(uint32_t round, uint32_t engine_count, uint32_t *order);

/*
 * Takes what a block measured out of its run.json; phases that were cut short are left out.
 * KIWI_INVALID: its operations or its durability are not those of the blocks before.
 */
MUST_USE enum kiwi_status versus_add(struct versus *versus, uint32_t round, uint32_t engine,
                                     const json_t *run);

/* The middle of the rounds that have a number; 0: none has. */
double versus_median(const struct versus *versus, uint32_t phase, uint32_t row, uint32_t engine);
/* Whether any engine has a number in this row. */
bool versus_has_row(const struct versus *versus, uint32_t phase, uint32_t row);

/*
 * The first engine's rate over another's, of the rounds that have both: middle, and the 95 %
 * interval or, below 6 rounds, the whole range (statistics.h). False: no round has both.
 */
bool versus_ratio(const struct versus *versus, uint32_t phase, uint32_t engine,
                  struct shift *ratio);

/* What a row of sizes shows. */
enum versus_size { VERSUS_MEMORY = 0, VERSUS_GROUP, VERSUS_FILES };
double versus_size(const struct versus *versus, enum versus_size size, uint32_t engine);

/* Which of the two was faster, as far as the interval tells: 1 the first, -1 the other, else 0. */
int versus_verdict(const struct shift *ratio);

/* "READ p99" of a row that is not VERSUS_RATE. */
const char *versus_row_name(uint32_t row, char *text, size_t bytes);

/* One sentence for tables: what limited the blocks' memory, or why nothing did. */
const char *versus_cap_text(const struct versus *versus, char *text, size_t bytes);
/* The table, the rows in which another engine is faster, and the settings of all. */
void    versus_print(FILE *stream, const struct versus *versus);
/* The phases with all rounds; NULL when memory is short. */
json_t *versus_phases_json(const struct versus *versus);
json_t *versus_engines_json(const struct versus *versus);
json_t *versus_cap_json(const struct versus *versus);
/* The page: document is what versus.json holds. KIWI_FULL, KIWI_IO: it cannot be written. */
MUST_USE enum kiwi_status versus_html_write(const char *path, const struct versus *versus,
                                            const json_t *document);
