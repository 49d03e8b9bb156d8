/*
 * presets.c: quick ends within 40 seconds on two cores; standard adds data larger than memory and
 * durable inserts; large is for a machine of its own.
 *
 * Scans are fewer because each is 50 rows.
 */
#include "bench/presets.h"

#include <string.h>

#include "core/base/base.h"

#define SMALL "recordcount=1000000\nfieldcount=1\nfieldlength=100\nkiwi.durability=process\n"
#define BIG "recordcount=5000000\nfieldcount=1\nfieldlength=1000\nkiwi.durability=process\n"
#define HUGE_DATA "recordcount=50000000\nfieldcount=1\nfieldlength=1000\nkiwi.durability=process\n"
#define MANY "operationcount=3000000\n"

static const struct preset_run quick[] = {
    { "A", "workloada", SMALL MANY },
    { "B", "workloadb", SMALL MANY },
    { "C", "workloadc", SMALL MANY },
    { "F", "workloadf", SMALL "operationcount=2000000\n" },
    { "D", "workloadd", SMALL MANY },
    { "E", "workloade", SMALL "operationcount=200000\n" },
};

#define BLOCK_SMALL                                                                                \
    { "A", "workloada", SMALL "operationcount=8000000\n" },                                        \
    { "B", "workloadb", SMALL "operationcount=8000000\n" },                                        \
    { "C", "workloadc", SMALL "operationcount=8000000\n" },                                        \
    { "F", "workloadf", SMALL "operationcount=8000000\n" },                                        \
    { "D", "workloadd", SMALL "operationcount=8000000\n" },                                        \
    { "E", "workloade", SMALL "operationcount=500000\n" },                                         \
    { "durable_insert", "durable-insert", SMALL "kiwi.durability=durable\noperationcount=500000\n" }

#define BLOCK_OF(sizes, prefix, count, scans)                                                      \
    { prefix "_uniform_read", "uniform-read", sizes count },                                       \
    { prefix "_C", "workloadc", sizes count },                                                     \
    { prefix "_B", "workloadb", sizes count },                                                     \
    { prefix "_A", "workloada", sizes count },                                                     \
    { prefix "_F", "workloadf", sizes count },                                                     \
    { prefix "_overwrite", "overwrite", sizes count },                                             \
    { prefix "_D", "workloadd", sizes count },                                                     \
    { prefix "_E", "workloade", sizes scans }

static const struct preset_run standard[] = {
    BLOCK_SMALL,
    BLOCK_OF(BIG, "big", "operationcount=1000000\n", "operationcount=30000\n"),
};

static const struct preset_run large[] = {
    BLOCK_SMALL,
    BLOCK_OF(HUGE_DATA, "huge", "operationcount=5000000\n", "operationcount=200000\n"),
};

static const struct preset presets[] = {
    { "quick", quick, ARRAY_COUNT(quick) },
    { "standard", standard, ARRAY_COUNT(standard) },
    { "large", large, ARRAY_COUNT(large) },
};

const struct preset *preset_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(presets); i++)
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
    return NULL;
}
