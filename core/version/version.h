/*
 * version.h: which tables exist. A version is an unchanging picture of all levels of one shard,
 * held by readers; an edit makes the next one.
 *
 * Levels   each holds runs, newest first; a run holds tables with disjoint key ranges in key order.
 *          L0 and the tiered levels have several runs, the last level has one.
 * Bounds   a table may be narrowed: keys at or below its `above` are no longer read from it,
 *          because a running compaction has already published them further down. So long merges
 *          publish as they go and space never doubles.
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
    uint32_t           refs;        /* versions that share it; private */
    uint64_t           bytes;       /* file bytes, narrowed parts included */
    uint64_t           entry_count;
    uint64_t           tombstone_count;
    const uint64_t    *heads;       /* of the largest keys, behind their common prefix; private */
    const uint64_t    *lows;        /* the same of the smallest keys; private */
    size_t             prefix_bytes; /* private */
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

static inline bool version_edit_has_tables(const struct version_edit *edit)
{
    return edit->added_count + edit->removed_count + edit->narrowed_count > 0;
}

/* ---- the set of live versions of one shard ---- */
struct version_set;

MUST_USE enum kiwi_status version_set_open(struct version_set **out);
/* Closes the tables too, those of the present version and obsolete ones that nobody took. No
 * version may be held. NULL is fine. */
void                      version_set_close(struct version_set *set);
/* The same with another end for the tables. */
void                      version_set_close_with(struct version_set *set,
                                                 void (*table_end)(struct table *table));
/* Holds the present version. */
struct version *version_hold(struct version_set *set);
void            version_release(struct version *version);
const struct version *version_present(const struct version_set *set);
/*
 * Makes the next version; takes over each added table (on failure, which changes nothing, the
 * caller keeps them). KIWI_INVALID when the edit does not fit, with the table's id.
 *
 * added     to the run of that level with that id, or to a new one; runs stand by id, newest first.
 *           A table that the same edit removes is moved and stays as narrowed as it was.
 *           table->refs and table->level are set here, whatever they were.
 * narrowed  may name a table that the same edit adds. above must be greater than the bound before
 *           and smaller than the table's largest key.
 * An edit without tables makes no version.
 */
MUST_USE enum kiwi_status version_apply(struct version_set *set, const struct version_edit *edit);
/* Tables that no version shows any more, one at a time, NULL when none: the caller closes each and
 * recycles or removes its file, but not before the edit that removed it is durable. */
struct table *version_obsolete_take(struct version_set *set);
/* Edits applied so far that named tables. */
uint64_t      version_change_count(const struct version_set *set);

/* The place in a run that may hold key, or NULL. */
const struct table_place *run_find(const struct run *run, struct bytes key);
/* Index of the first place whose largest key is >= key; table_count when none. */
uint32_t                  run_lower_bound(const struct run *run, struct bytes key);
uint64_t version_level_bytes(const struct version *version, uint32_t level);
uint64_t version_level_entry_count(const struct version *version, uint32_t level);
uint32_t version_level_table_count(const struct version *version, uint32_t level);
/* True when any level below `level` has a table whose range overlaps [smallest, largest]. */
bool     version_overlaps_below(const struct version *version, uint32_t level,
                                struct bytes smallest, struct bytes largest);
