/*
 * version.h: which tables exist. A version is an unchanging picture of all levels of one shard, held
 * by readers; an edit makes the next one.
 *
 * Levels   each holds runs, newest first; a run holds tables with disjoint key ranges in key order.
 *          L0 and the tiered levels have several runs, the last level has one.
 * Bounds   a table may be narrowed: keys at or below its `above` are no longer read from it, because
 *          a running compaction has already published them further down. So long merges publish as
 *          they go and space never doubles.
 * Thread   whoever holds the shard's token (reference counts are plain).
 */
#pragma once

#include "core/table/table.h"
#include "kiwi/limits.h"

struct table_place {
    struct table *table;     /* counted */
    struct bytes  above;     /* exclusive lower bound, owned by the version; data NULL: none */
};

struct run {
    uint64_t           id;          /* newer runs of a level have greater ids */
    uint32_t           table_count;
    uint64_t           bytes;       /* file bytes, narrowed parts included */
    uint64_t           entry_count;
    struct table_place places[];    /* in key order */
};

struct level {
    uint32_t     run_count;
    struct run **runs;              /* newest first */
};

struct version {
    uint32_t     refs;
    uint32_t     level_count;       /* highest non-empty level + 1 */
    struct level levels[KIWI_LEVEL_COUNT_MAX];
    struct version_set *set;
};

/* What changes from one version to the next, and what the manifest writes. */
struct edit_added    { struct table *table; uint32_t level; uint64_t run_id; };
struct edit_narrowed { uint64_t table_id; struct bytes above; };

struct version_edit {
    struct edit_added    *added;      uint32_t added_count;
    uint64_t             *removed;    uint32_t removed_count; /* table ids */
    struct edit_narrowed *narrowed;   uint32_t narrowed_count;
    uint64_t              flushed_sequence; /* 0: unchanged; everything up to it is in tables */
    struct wal_position   log_position;     /* group 0: unchanged; where replay starts */
};

/* ---- the set of live versions of one shard ---- */
struct version_set;

MUST_USE enum kiwi_status version_set_open(struct version_set **out);
void                      version_set_close(struct version_set *set); /* no version may be held */
/* Holds the present version. */
struct version *version_hold(struct version_set *set);
void            version_release(struct version *version);
const struct version *version_present(const struct version_set *set);
/* Makes the next version; takes over one reference of each added table (on failure the caller keeps
 * them). KIWI_INVALID when the edit does not fit. */
MUST_USE enum kiwi_status version_apply(struct version_set *set, const struct version_edit *edit);
/* Tables that no version shows any more, one at a time, NULL when none: the caller closes each and
 * recycles or removes its file. */
struct table *version_obsolete_take(struct version_set *set);

/* The place in a run that may hold key, or NULL. */
const struct table_place *run_find(const struct run *run, struct bytes key);
/* Index of the first place whose largest key is >= key; table_count when none. */
uint32_t                  run_lower_bound(const struct run *run, struct bytes key);
uint64_t version_level_bytes(const struct version *version, uint32_t level);
/* True when any level below `level` has a table whose range overlaps [smallest, largest]. */
bool     version_overlaps_below(const struct version *version, uint32_t level,
                                struct bytes smallest, struct bytes largest);
