/*
 * plan.h: which runs and which of their tables a plan takes, in the one place that knows it.
 *
 * Thread   any; the version is held by the caller.
 */
#pragma once

#include "compact/pick.h"

/* The part of one run that a plan merges: places [first, first + count). */
struct plan_part {
    const struct run         *run;
    uint32_t                  level;
    const struct table_place *places;
    uint32_t                  count;
};

struct key_range {
    struct bytes first, last; /* inclusive; data NULL: unbounded */
    bool         is_after;    /* first itself is left out */
};

/* Where the last level is: the deepest level in use, at least L2, or the one below when that one
 * has grown into a tiered level. */
uint32_t last_level(const struct version *version, const struct pick_options *options);

/* How many runs a plan merges; its target's own run included. */
uint32_t plan_run_count(const struct version *version, const struct compaction_plan *plan);
/* The parts, newest data first; parts without a place are left out. parts has room for
 * plan_run_count. Returns how many. */
uint32_t plan_parts(const struct version *version, const struct compaction_plan *plan,
                    struct plan_part *parts);

/* True when a table of the part may share a key with the place. */
bool part_overlaps(const struct plan_part *part, const struct table_place *place);

/* True when the place may hold keys in the range. */
bool place_overlaps(const struct table_place *place, const struct key_range *range);
