/*
 * pick.c: the policy: lazy levelling.
 *
 *   L0   runs of flushes         tiered
 *   L1   merged runs of L0       tiered
 *   ...                          tiered
 *   Ln   one run                 levelled; n is at least 2
 *
 * A merge into a tiered level writes each byte once. A merge into the last level rewrites what
 * overlaps there too, so it is cut into slices of a bounded size by key range: each slice takes the
 * lowest keys that are left, is published, and the runs it has eaten from are shorter for the next.
 * So no merge holds its inputs' space for long, and something more urgent comes in between.
 *
 * Source   N. Dayan, S. Idreos: Dostoevsky, SIGMOD 2018 (lazy levelling).
 */
#include "compact/plan.h"

#include "core/iter/merge.h"

#define LAST_LEVEL_MIN        2u
#define LAST_GROWTH_MAX       12u  /* last level against the capacity of the level above */
#define IDLE_RUN_MAX          2u
#define SMALL_MEMTABLES       16u  /* shards up to this are merged into one run when idle */
#define MERGE_NS_PER_BYTE     2u   /* 500 MB/s: what one core merges and this disk writes */
#define SLICE_MEMTABLES       16u  /* input of one merge into the last level */
#define MANUAL_SLICE_BYTES    (4ull << 30)
#define RATIO_MEMTABLES_MIN   4u   /* smaller upper levels are left alone */
#define TOMBSTONE_SHARE_MIN   30u  /* percent of a run's entries */
#define TOMBSTONE_EFFECT_MIN  10u  /* percent of the entries that such a merge rewrites */

static uint64_t multiply_saturating(uint64_t a, uint64_t b)
{
    return b != 0 && a > UINT64_MAX / b ? UINT64_MAX : a * b;
}

static uint32_t run_max(const struct pick_options *options, uint32_t level)
{
    uint32_t max = level == 0 ? options->level0_run_max : options->level_run_max;

    return max < 2 ? 2 : max;
}

/* Bytes of a full tiered level when memtables are full, too. */
static uint64_t level_capacity(const struct pick_options *options, uint32_t level)
{
    uint64_t capacity = options->memtable_bytes;

    for (uint32_t i = 0; i <= level; i++)
        capacity = multiply_saturating(capacity, run_max(options, i));
    return max_u64(capacity, 1);
}

/* A merge of the level above into the last one would rewrite more than LAST_GROWTH_MAX bytes for
 * each byte it brings. Judged by the runs as they are: flushes may be small, duplicates may die. */
static bool is_outgrown(const struct version *version, const struct pick_options *options,
                        uint32_t last)
{
    const struct level *above = &version->levels[last - 1];
    uint64_t            nominal = level_capacity(options, last - 1);
    uint64_t            capacity = nominal, largest = 0;

    assert(last >= LAST_LEVEL_MIN);
    for (uint32_t i = 0; i < above->run_count; i++) {
        if (above->runs[i]->places[0].above.data != NULL)
            return false; /* being merged slice by slice: what is left of its runs proves nothing */
        largest = max_u64(largest, above->runs[i]->bytes);
    }
    if (above->run_count > 0) {
        capacity = multiply_saturating(largest, run_max(options, last - 1));
        capacity = max_u64(capacity, nominal / 8); /* nor does one odd small run */
    }
    return version_level_bytes(version, last) / LAST_GROWTH_MAX > capacity;
}

uint32_t last_level(const struct version *version, const struct pick_options *options)
{
    uint32_t last = version->level_count > LAST_LEVEL_MIN ? version->level_count - 1
                                                          : LAST_LEVEL_MIN;
    uint32_t runs = version->levels[last].run_count;

    assert(last < KIWI_LEVEL_COUNT_MAX);
    assert(options->level_max >= LAST_LEVEL_MIN);
    assert(options->level_max < KIWI_LEVEL_COUNT_MAX);
    /* Several runs need a level below them whatever level_max was lowered to meanwhile. */
    if (last + 1 < KIWI_LEVEL_COUNT_MAX
        && (runs > 1 || (runs == 1 && last < options->level_max
                         && is_outgrown(version, options, last))))
        last++;
    return last;
}

/* ---- what a level holds ---- */

static uint64_t levels_bytes(const struct version *version, uint32_t from, uint32_t to)
{
    uint64_t bytes = 0;

    for (uint32_t level = from; level < to; level++)
        bytes += version_level_bytes(version, level);
    return bytes;
}

/* The first key that the run still shows, or the exclusive bound in front of it. */
static struct bytes run_begin(const struct run *run)
{
    const struct table_place *place = &run->places[0];

    assert(run->table_count > 0);
    if (place->above.data != NULL
        && bytes_compare(place->above, place->table->info.smallest) > 0)
        return place->above;
    return place->table->info.smallest;
}

/*
 * How many of the oldest runs a merge into the last level takes. When a slice has been there
 * before, its runs have lost their low keys: the merge goes on with those, not with younger runs
 * that still have theirs, or it would begin from the front again.
 */
static uint32_t runs_to_continue(const struct level *level)
{
    struct bytes eaten = { 0 };
    uint32_t     count = 0;

    for (uint32_t i = 0; i < level->run_count; i++) {
        struct bytes above = level->runs[i]->places[0].above;

        if (above.data != NULL && (eaten.data == NULL || bytes_compare(above, eaten) > 0))
            eaten = above;
    }
    if (eaten.data == NULL)
        return level->run_count;
    while (count < level->run_count
           && bytes_compare(run_begin(level->runs[level->run_count - 1 - count]), eaten) >= 0)
        count++;
    return count > 0 ? count : level->run_count;
}

/* ---- finishing a plan ---- */

static bool levels_overlap(const struct version *version, uint32_t level,
                           const struct key_range *range)
{
    for (uint32_t i = 0; i < version->levels[level].run_count; i++) {
        const struct run *run = version->levels[level].runs[i];

        for (uint32_t j = 0; j < run->table_count; j++)
            if (place_overlaps(&run->places[j], range))
                return true;
    }
    return false;
}

/* True when nothing older than what the plan takes can hold a key that it takes. Younger runs do
 * not matter: a tombstone hides only what is older. */
static bool is_bottom_of(const struct version *version, const struct compaction_plan *plan)
{
    struct key_range range = { .first = plan->first, .last = plan->last };
    bool             is_target_older = plan->target_level > plan->source_level
        && !plan->takes_target_run;

    if (is_target_older && levels_overlap(version, plan->target_level, &range))
        return false;
    for (uint32_t level = plan->target_level + 1; level < version->level_count; level++)
        if (levels_overlap(version, level, &range))
            return false;
    return true;
}

/* Ends the plan's key range where its input would exceed slice_bytes: at the last key of a
 * table. */
static void plan_limit(const struct version *version, struct compaction_plan *plan,
                       uint64_t slice_bytes)
{
    struct plan_part parts[MERGE_INPUT_MAX];
    uint32_t         at[MERGE_INPUT_MAX] = { 0 };
    uint32_t         count = plan_parts(version, plan, parts);
    uint64_t         bytes = 0;

    for (;;) {
        uint32_t     least = count;
        struct bytes end = { 0 };

        for (uint32_t i = 0; i < count; i++) {
            if (at[i] == parts[i].count)
                continue;
            struct bytes largest = parts[i].places[at[i]].table->info.largest;

            if (least == count || bytes_compare(largest, end) < 0) {
                least = i;
                end = largest;
            }
        }
        if (least == count)
            return; /* all of it is little enough */
        if (plan->last.data != NULL && bytes_compare(end, plan->last) >= 0)
            return;
        bytes += parts[least].places[at[least]++].table->info.file_bytes;
        if (bytes >= slice_bytes) {
            plan->last = end;
            return;
        }
    }
}

/* source_run_count oldest runs of source, with all of the levels between, into target. False when
 * that is more than one merge can take. */
static bool plan_make(const struct version *version, uint32_t last, struct compaction_plan *plan)
{
    plan->takes_target_run = plan->target_level == last && plan->source_level < last
        && version->levels[last].run_count > 0;
    if (plan_run_count(version, plan) > MERGE_INPUT_MAX) {
        *plan = (struct compaction_plan){ .reason = COMPACTION_NONE };
        return false;
    }
    return true;
}

static void plan_finish(const struct version *version, uint32_t last, uint64_t slice_bytes,
                        struct compaction_plan *plan)
{
    assert(plan->reason != COMPACTION_NONE);
    assert(plan->source_run_count > 0);
    assert(plan->target_level <= last);
    /* A run of a tiered level must come into being whole: two halves would be two runs. */
    if (plan->target_level == last && plan->source_level < last)
        plan_limit(version, plan, slice_bytes);
    plan->is_bottom = is_bottom_of(version, plan);
}

/* ---- the reasons, most urgent first ---- */

/* A whole level, or what an earlier slice left of it, one level down. */
static bool pick_level(const struct version *version, uint32_t level, uint32_t last,
                       enum compaction_reason reason, struct compaction_plan *plan)
{
    const struct level *source = &version->levels[level];

    *plan = (struct compaction_plan){
        .reason = reason,
        .source_level = level,
        .target_level = level + 1,
        .source_run_count = level + 1 == last ? runs_to_continue(source) : source->run_count,
    };
    if (plan->source_run_count > MERGE_INPUT_MAX - 1)
        plan->source_run_count = MERGE_INPUT_MAX - 1;
    return plan_make(version, last, plan);
}

static double pick_runs(const struct version *version, const struct pick_options *options,
                        uint32_t last, struct compaction_plan *plan)
{
    double   worst = 0;
    uint32_t worst_level = 0;

    for (uint32_t level = 0; level < last; level++) {
        double fill = (double)version->levels[level].run_count / run_max(options, level);

        if (fill >= 1.0 && fill > worst) {
            worst = fill;
            worst_level = level;
        }
    }
    if (worst > 0)
        (void)pick_level(version, worst_level, last, COMPACTION_RUNS, plan);
    return worst;
}

static uint64_t ratio_limit(const struct version *version, const struct pick_options *options,
                            uint32_t last)
{
    double limit = options->last_level_ratio * (double)version_level_bytes(version, last);

    return max_u64((uint64_t)limit,
                   multiply_saturating(options->memtable_bytes, RATIO_MEMTABLES_MIN));
}

/* How far the upper levels are beyond their share; above 1 there is a plan. */
static double pick_ratio(const struct version *version, const struct pick_options *options,
                         uint32_t last, struct compaction_plan *plan)
{
    uint64_t upper = levels_bytes(version, 0, last);
    uint64_t limit = ratio_limit(version, options, last);
    uint32_t source = last - 1;

    if (version->levels[last].run_count == 0 || upper <= limit)
        return 0;
    while (source > 0 && version->levels[source].run_count == 0)
        source--;
    /* A small level alone would rewrite the last one for little: then everything goes. */
    if (levels_bytes(version, source, last) < upper / 2)
        for (source = 0; version->levels[source].run_count == 0;)
            source++;
    *plan = (struct compaction_plan){
        .reason = COMPACTION_RATIO,
        .source_level = source,
        .target_level = last,
        .source_run_count = runs_to_continue(&version->levels[source]),
    };
    if (!plan_make(version, last, plan))
        return 0;
    return (double)upper / (double)max_u64(limit, 1);
}

/* Runs that mostly delete go to the bottom, where tombstones and what they hide both end; only when
 * that kills a fair part of what it rewrites. */
static bool pick_tombstones(const struct version *version, uint32_t last,
                            struct compaction_plan *plan)
{
    uint64_t below = version_level_entry_count(version, last);

    for (uint32_t level = last; level-- > 0;) {
        const struct level *here = &version->levels[level];

        for (uint32_t i = here->run_count; i-- > 0;) {
            uint64_t tombstones = here->runs[i]->tombstone_count;

            if (tombstones * 100 > here->runs[i]->entry_count * TOMBSTONE_SHARE_MIN
                && tombstones * 100 >= below * TOMBSTONE_EFFECT_MIN) {
                *plan = (struct compaction_plan){
                    .reason = COMPACTION_TOMBSTONES,
                    .source_level = level,
                    .target_level = last,
                    .source_run_count = here->run_count - i,
                };
                return plan_make(version, last, plan);
            }
            below += here->runs[i]->entry_count;
        }
    }
    return false;
}

/* How far runs are collapsed for readers, and what that may cost. */
struct collapse {
    enum compaction_reason reason;
    uint32_t               run_max;
    uint64_t               bytes_max;
};

/* A small shard becomes one run when a fair part of it is new: it is cheap, nothing in it is there
 * twice any more, and it fits the cache better. A large one does so only when scans have paid. */
static bool pick_all(const struct version *version, const struct pick_options *options,
                     uint32_t last, const struct collapse *collapse, struct compaction_plan *plan)
{
    uint64_t upper = levels_bytes(version, 0, last);
    uint64_t below = version_level_bytes(version, last);
    uint32_t runs = 0, source = 0;

    for (uint32_t level = 0; level <= last; level++)
        runs += version->levels[level].run_count;
    if (runs <= 1 || upper + below > collapse->bytes_max)
        return false;
    if (collapse->reason == COMPACTION_IDLE
        && (upper * 2 < below
            || upper + below > multiply_saturating(options->memtable_bytes, SMALL_MEMTABLES)))
        return false;
    while (version->levels[source].run_count == 0)
        source++;
    *plan = (struct compaction_plan){
        .reason = collapse->reason,
        .source_level = source,
        .target_level = last,
        .source_run_count = version->levels[source].run_count,
    };
    return plan_make(version, last, plan);
}

/* The cheapest merge that leaves fewer runs to a scan. Each one lowers the number of runs, so this
 * comes to an end. */
static bool pick_collapse(const struct version *version, const struct pick_options *options,
                          uint32_t last, const struct collapse *collapse,
                          struct compaction_plan *plan)
{
    uint64_t cheapest = UINT64_MAX;
    uint32_t source = last;

    for (uint32_t level = 0; level < last; level++) {
        uint64_t bytes = version_level_bytes(version, level);

        if (version->levels[level].run_count > collapse->run_max && bytes < cheapest) {
            cheapest = bytes;
            source = level;
        }
    }
    if (source == last)
        return pick_all(version, options, last, collapse, plan);
    if (cheapest > collapse->bytes_max)
        return false;
    if (source == 0
        || (source + 1 == last && version_level_bytes(version, last) <= 2 * cheapest))
        return pick_level(version, source, last, collapse->reason, plan);
    /* Next to a much larger level: only among themselves. */
    *plan = (struct compaction_plan){
        .reason = collapse->reason,
        .source_level = source,
        .target_level = source,
        .source_run_count = version->levels[source].run_count - (collapse->run_max - 1),
    };
    return plan_make(version, last, plan);
}

static bool pick_for_readers(const struct version *version, const struct pick_options *options,
                             uint32_t last, struct compaction_plan *plan)
{
    struct collapse idle = { COMPACTION_IDLE, IDLE_RUN_MAX, UINT64_MAX };
    struct collapse paid = { COMPACTION_SCANS, 1, options->scan_cost_ns / MERGE_NS_PER_BYTE };

    return options->is_idle
        && (pick_collapse(version, options, last, &idle, plan)
            || (options->scan_cost_ns > 0
                && pick_collapse(version, options, last, &paid, plan)));
}

uint64_t compaction_cost_ns(uint64_t bytes)
{
    return multiply_saturating(bytes, MERGE_NS_PER_BYTE);
}

void compaction_pick(const struct version *version, const struct pick_options *options,
                     struct compaction_plan *plan)
{
    struct compaction_plan for_ratio = { 0 };
    uint32_t               last = last_level(version, options);
    double                 runs, ratio;

    *plan = (struct compaction_plan){ .reason = COMPACTION_NONE };
    runs = pick_runs(version, options, last, plan);
    ratio = pick_ratio(version, options, last, &for_ratio);
    /* Too many runs cost reads, too large upper levels only space: the ratio waits, not for
     * ever. */
    if (for_ratio.reason != COMPACTION_NONE
        && (plan->reason == COMPACTION_NONE || ratio > 2 * runs))
        *plan = for_ratio;
    if (plan->reason == COMPACTION_NONE && !pick_tombstones(version, last, plan)
        && !pick_for_readers(version, options, last, plan))
        return;
    plan_finish(version, last, multiply_saturating(options->memtable_bytes, SLICE_MEMTABLES),
                plan);
}

/* A merge takes low keys out of a table, never high ones alone: so the range begins where no table
 * is cut. */
static struct bytes range_begin_widened(const struct version *version, struct bytes first)
{
    bool is_settled = false;

    while (!is_settled && first.data != NULL) {
        is_settled = true;
        for (uint32_t level = 0; level < version->level_count; level++) {
            for (uint32_t i = 0; i < version->levels[level].run_count; i++) {
                const struct run *run = version->levels[level].runs[i];
                uint32_t          at = run_lower_bound(run, first);

                if (at < run->table_count
                    && bytes_compare(run->places[at].table->info.smallest, first) < 0) {
                    first = run->places[at].table->info.smallest;
                    is_settled = false;
                }
            }
        }
    }
    return first;
}

static bool run_holds_old(const struct run *run, const struct key_range *range,
                          uint64_t sequence_max)
{
    for (uint32_t i = 0; i < run->table_count; i++)
        if (run->places[i].table->info.sequence_min <= sequence_max
            && place_overlaps(&run->places[i], range))
            return true;
    return false;
}

/* The runs of a level from its oldest to the youngest with such a table; 0: it has none. */
static uint32_t old_run_count(const struct level *level, const struct key_range *range,
                              uint64_t sequence_max)
{
    for (uint32_t i = 0; i < level->run_count; i++)
        if (run_holds_old(level->runs[i], range, sequence_max))
            return level->run_count - i;
    return 0;
}

void compaction_pick_range(const struct version *version, struct bytes first,
                           struct bytes last_key, uint64_t sequence_max,
                           struct compaction_plan *plan)
{
    struct key_range range = { .first = range_begin_widened(version, first), .last = last_key };
    uint32_t         last = version->level_count > LAST_LEVEL_MIN ? version->level_count - 1
                                                                  : LAST_LEVEL_MIN;

    /* With several runs it is a tiered level, and the last one is below. */
    if (version->levels[last].run_count > 1 && last + 1 < KIWI_LEVEL_COUNT_MAX)
        last++;
    *plan = (struct compaction_plan){ .reason = COMPACTION_NONE };
    for (uint32_t level = 0; level < last; level++) {
        uint32_t runs = old_run_count(&version->levels[level], &range, sequence_max);

        if (runs == 0)
            continue;
        *plan = (struct compaction_plan){
            .reason = COMPACTION_MANUAL,
            .source_level = level,
            .target_level = last,
            .source_run_count = runs,
            .first = range.first,
            .last = range.last,
        };
        /* More runs than one merge takes: the older ones first, the next call sees the rest. */
        uint32_t others = plan_run_count(version, plan) - plan->source_run_count + 1;

        if (others < MERGE_INPUT_MAX && plan->source_run_count > MERGE_INPUT_MAX - others)
            plan->source_run_count = MERGE_INPUT_MAX - others;
        if (plan_make(version, last, plan))
            break;
    }
    if (plan->reason != COMPACTION_NONE)
        plan_finish(version, last, MANUAL_SLICE_BYTES, plan);
}

/* ---- debt ---- */

/* Bytes of the runs that a level has too many of, the youngest: the others are being merged. */
static uint64_t level_excess(const struct version *version, const struct pick_options *options,
                             uint32_t level)
{
    uint32_t runs = version->levels[level].run_count;
    uint32_t runs_due = run_max(options, level), runs_late = 2 * runs_due;
    uint64_t excess = 0;

    for (uint32_t i = 0; i + runs_due < runs; i++)
        excess += version->levels[level].runs[i]->bytes;
    /* Many small runs are cheap to merge but dear to read, and a merge takes only so many. */
    if (runs > runs_late)
        excess = max_u64(excess, multiply_saturating(options->memtable_bytes, runs - runs_late));
    return excess;
}

/*
 * What stands above the limits, times the levels it has yet to pass: each passage writes it once.
 * The limits themselves cost nothing, so a merge that is due but not late does not slow writers.
 */
uint64_t compaction_debt_bytes(const struct version *version, const struct pick_options *options)
{
    uint32_t last = last_level(version, options);
    uint64_t debt = 0;

    for (uint32_t level = 0; level < last; level++)
        debt += multiply_saturating(level_excess(version, options, level), last - level);
    if (version->levels[last].run_count > 0) {
        uint64_t upper = levels_bytes(version, 0, last);
        uint64_t late = multiply_saturating(ratio_limit(version, options, last), 2);

        debt += upper > late ? upper - late : 0;
    }
    return debt;
}
