/*
 * pick.h: what to compact next, how much debt there is, and how hard to brake: pure functions.
 *
 * Policy   lazy levelling (Dostoevsky, SIGMOD'18): L0 and the middle levels are tiered, the last
 *          one is levelled. Runs allowed per tiered level: level_run_max under write pressure, 2
 *          when idle (scans are helped by no filter), and 1 once scans have paid for it: renting
 *          against buying, so scans and merges together cost at most twice what knowing the
 *          number of scans beforehand would have (Karlin et al., Competitive snoopy caching,
 *          Algorithmica 1988; LevelDB's and Pebble's read-triggered merges are of this kind).
 * Thread   any.
 */
#pragma once

#include "core/version/version.h"

struct pick_options {
    uint32_t level0_run_max;      /* 8 */
    uint32_t level_run_max;       /* 8 */
    uint32_t level_max;           /* deepest level that merges make, 2 to 6 */
    uint64_t memtable_bytes;
    double   last_level_ratio;    /* upper levels / last level aimed at; 0.25 */
    bool     is_idle;             /* few foreground writes lately: collapse runs for readers */
    uint64_t scan_cost_ns;        /* what runs beyond the first have cost scans since a merge */
};

enum compaction_reason {
    COMPACTION_NONE = 0,
    COMPACTION_RUNS,      /* a tiered level has too many runs */
    COMPACTION_RATIO,     /* the upper levels are too large against the last */
    COMPACTION_IDLE,
    COMPACTION_SCANS,     /* scans have paid as much for the runs as merging them costs */
    COMPACTION_TOMBSTONES,
    COMPACTION_MANUAL,
};

/* Merge the oldest run_count runs of source_level (or of all levels from source_level to
 * target_level) into target_level. The output is one new run of a tiered target level, or replaces
 * the overlapping part of the one run of the last level. */
struct compaction_plan {
    enum compaction_reason reason;
    uint32_t source_level;
    uint32_t target_level;
    uint32_t source_run_count;     /* the oldest ones of source_level */
    bool     takes_target_run;     /* the target is the last level: merge with its run */
    bool     is_bottom;            /* nothing older lies below: tombstones may go */
    struct bytes first, last;      /* key range, data NULL: unbounded; borrowed */
};

void     compaction_pick(const struct version *version, const struct pick_options *options,
                         struct compaction_plan *plan);
/* For kiwi_compact: every table that overlaps [first, last] and has an entry up to sequence_max
 * goes to the last level, a portion at a time: call again after each merge until the reason is
 * COMPACTION_NONE. Runs of younger entries are left, so that it ends while writes go on. */
void     compaction_pick_range(const struct version *version, struct bytes first,
                               struct bytes last, uint64_t sequence_max,
                               struct compaction_plan *plan);
/* About what writing so many bytes anew takes, in nanoseconds. */
uint64_t compaction_cost_ns(uint64_t bytes);
/* Bytes that must still be rewritten until run counts and ratios hold. */
uint64_t compaction_debt_bytes(const struct version *version, const struct pick_options *options);

/* ---- drop: which versions nobody can see any more ---- */
struct drop_state {
    struct bytes    key;             /* of the entry before; borrowed from the caller's copy */
    bool            has_key;
    uint64_t        sequence_kept;   /* of the version of this key kept last */
};

/* snapshots: live sequences, ascending. True: entry (the next in order, same_key tells whether its
 * key equals the one before) may be dropped. sequence_before: sequence of the newer version of the
 * same key that was met last (0: none). */
bool     drop_entry(const struct entry *entry, uint64_t sequence_before, bool is_bottom,
                    const uint64_t *snapshots, uint32_t snapshot_count);

/* ---- pace: smooth delays instead of stops ---- */
struct pace_input {
    uint64_t debt_bytes;
    uint64_t debt_soft_bytes;        /* no delay below */
    uint64_t debt_hard_bytes;
    uint32_t frozen_count;           /* memtables that wait for their flush */
    uint32_t frozen_max;
    uint64_t frozen_bytes;           /* in those */
    uint64_t active_bytes;           /* in the one that fills */
    uint64_t memtable_bytes;         /* frozen_max + 1 of these are all that memtables may take */
    uint64_t log_used_bytes, log_bytes;
    uint64_t drain_bytes_per_second; /* measured, of flush and compaction */
};

struct pace_output {
    uint64_t delay_ns_per_kib;       /* what a write pays for each KiB it brings; 0: none */
    uint8_t  reason;                 /* enum kiwi_stall */
    uint32_t background_share;       /* percent of a turn for background work, 10 to 80 */
};

void pace(const struct pace_input *input, struct pace_output *output);
