/*
 * version.c: unchanging versions with reference counts, and the edit that makes the next one.
 *
 * A version shares the runs that an edit does not touch with the version before. A run counts the
 * versions that hold it, a table the runs; so what a release costs depends on what differs.
 *
 *   version ──► level ──► run (shared) ──► place ──► table
 *
 * An edit is checked in full and the next version built in full before anything visible changes.
 */
#include "core/version/version.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"

struct version_set {
    struct version *present;
    uint64_t        change_count;
    uint32_t        live_count;     /* versions that somebody holds, the present one included */
    uint32_t        table_count;    /* shown by a live version, or obsolete and not yet taken */
    struct table  **obsolete;
    uint32_t        obsolete_count;
    uint32_t        obsolete_capacity; /* >= table_count, so that a release needs no memory */
};

/* ---- looking into a run ---- */

static struct bytes place_largest(const struct table_place *place)
{
    return place->table->info.largest;
}

static bool place_is_above(const struct table_place *place, struct bytes key)
{
    return place->above.data == NULL || bytes_compare(key, place->above) > 0;
}

/* Empty keys may stand nowhere, and nowhere has no offsets. */
static struct bytes bytes_behind(struct bytes key, size_t prefix)
{
    assert(key.size >= prefix);
    return prefix == 0 ? key : bytes_of(key.data + prefix, key.size - prefix);
}

/* Index of the first head that is >= head; heads ascend. */
static uint32_t heads_lower_bound(const uint64_t *heads, uint32_t count, uint64_t head)
{
    const uint64_t *base = heads;

    if (count == 0)
        return 0;
    for (uint32_t half; count > 1; count -= half) {
        half = count / 2;
        base = base[half - 1] < head ? base + half : base; /* a conditional move, no branch */
    }
    return (uint32_t)(base - heads) + (*base < head);
}

uint32_t run_lower_bound(const struct run *run, struct bytes key)
{
    if (run->table_count == 0)
        return 0;
    size_t prefix = run->prefix_bytes;
    if (prefix > 0) {
        size_t shared = key.size < prefix ? key.size : prefix;
        int    order = shared == 0 ? 0 : memcmp(key.data, place_largest(&run->places[0]).data,
                                                shared);
        if (order > 0)
            return run->table_count;
        if (order < 0 || key.size < prefix)
            return 0;
    }
    uint64_t head = bytes_head(bytes_behind(key, prefix));
    uint32_t first = heads_lower_bound(run->heads, run->table_count, head);
    uint32_t end = first;

    if (first == run->table_count || run->heads[first] != head)
        return first;
    end = head == UINT64_MAX ? run->table_count
                             : heads_lower_bound(run->heads, run->table_count, head + 1);
    while (first < end) { /* equal heads: only the whole keys tell */
        uint32_t middle = first + (end - first) / 2;

        if (bytes_compare(place_largest(&run->places[middle]), key) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

const struct table_place *run_find(const struct run *run, struct bytes key)
{
    uint32_t index = run_lower_bound(run, key);

    if (index == run->table_count)
        return NULL;
    const struct table_place *place = &run->places[index];
    assert_slow(bytes_compare(place_largest(place), key) >= 0);
    if (!place_is_above(place, key))
        return NULL;
    if (index > 0) { /* behind a largest key, so the key has the common prefix */
        uint64_t head = bytes_head(bytes_behind(key, run->prefix_bytes));

        if (head != run->lows[index])
            return head > run->lows[index] ? place : NULL;
    }
    return bytes_compare(key, place->table->info.smallest) < 0 ? NULL : place;
}

uint64_t version_level_bytes(const struct version *version, uint32_t level)
{
    uint64_t bytes = 0;

    assert(level < KIWI_LEVEL_COUNT_MAX);
    for (uint32_t i = 0; i < version->levels[level].run_count; i++)
        bytes += version->levels[level].runs[i]->bytes;
    return bytes;
}

uint64_t version_level_entry_count(const struct version *version, uint32_t level)
{
    uint64_t count = 0;

    assert(level < KIWI_LEVEL_COUNT_MAX);
    for (uint32_t i = 0; i < version->levels[level].run_count; i++)
        count += version->levels[level].runs[i]->entry_count;
    return count;
}

uint32_t version_level_table_count(const struct version *version, uint32_t level)
{
    uint32_t count = 0;

    assert(level < KIWI_LEVEL_COUNT_MAX);
    for (uint32_t i = 0; i < version->levels[level].run_count; i++)
        count += version->levels[level].runs[i]->table_count;
    return count;
}

static bool run_overlaps(const struct run *run, struct bytes smallest, struct bytes largest)
{
    uint32_t index = run_lower_bound(run, smallest);

    if (index == run->table_count)
        return false;
    /* Places behind this one begin above its largest key, so it alone decides. */
    const struct table_place *place = &run->places[index];
    return bytes_compare(place->table->info.smallest, largest) <= 0
        && place_is_above(place, largest);
}

bool version_overlaps_below(const struct version *version, uint32_t level, struct bytes smallest,
                            struct bytes largest)
{
    assert(bytes_compare(smallest, largest) <= 0);
    for (uint32_t i = level + 1; i < version->level_count; i++) {
        for (uint32_t k = 0; k < version->levels[i].run_count; k++) {
            if (run_overlaps(version->levels[i].runs[k], smallest, largest))
                return true;
        }
    }
    return false;
}

/* ---- holding and releasing ---- */

static void version_set_table_release(struct version_set *set, struct table *table)
{
    assert(table->refs > 0);
    if (--table->refs > 0)
        return;
    assert(set->obsolete_count < set->obsolete_capacity);
    set->obsolete[set->obsolete_count++] = table;
}

static void version_free(struct version *version)
{
    for (uint32_t i = 0; i < KIWI_LEVEL_COUNT_MAX; i++)
        memory_free(version->levels[i].runs);
    memory_free(version);
}

static void version_drop(struct version *version)
{
    struct version_set *set = version->set;

    assert(version->refs == 0);
    assert(set->live_count > 0);
    for (uint32_t i = 0; i < version->level_count; i++) {
        for (uint32_t k = 0; k < version->levels[i].run_count; k++) {
            struct run *run = version->levels[i].runs[k];

            assert(run->refs > 0);
            if (--run->refs > 0)
                continue;
            for (uint32_t n = 0; n < run->table_count; n++)
                version_set_table_release(set, run->places[n].table);
            memory_free(run);
        }
    }
    set->live_count--;
    version_free(version);
}

struct version *version_hold(struct version_set *set)
{
    assert(set->present->refs > 0);
    assert(set->present->refs < UINT32_MAX);
    set->present->refs++;
    return set->present;
}

void version_release(struct version *version)
{
    assert(version->refs > 0);
    if (--version->refs == 0) {
        assert(version != version->set->present);
        version_drop(version);
    }
}

const struct version *version_present(const struct version_set *set)
{
    return set->present;
}

struct table *version_obsolete_take(struct version_set *set)
{
    if (set->obsolete_count == 0)
        return NULL;
    assert(set->table_count > 0);
    set->table_count--;
    return set->obsolete[--set->obsolete_count];
}

uint64_t version_change_count(const struct version_set *set)
{
    return set->change_count;
}

enum kiwi_status version_set_open(struct version_set **out)
{
    struct version_set *set = memory_allocate_zeroed(sizeof *set);
    struct version     *empty = memory_allocate_zeroed(sizeof *empty);

    if (set == NULL || empty == NULL) {
        memory_free(set);
        memory_free(empty);
        return FAIL(KIWI_NO_MEMORY, "no memory for a set of versions");
    }
    empty->refs = 1; /* the set's own */
    empty->set = set;
    set->present = empty;
    set->live_count = 1;
    *out = set;
    return KIWI_OK;
}

void version_set_close_with(struct version_set *set, void (*table_end)(struct table *table))
{
    if (set == NULL)
        return;
    assert(set->live_count == 1);
    assert(set->present->refs == 1);
    set->present->refs = 0;
    version_drop(set->present);
    for (struct table *table; (table = version_obsolete_take(set)) != NULL;)
        table_end(table);
    assert(set->table_count == 0);
    memory_free(set->obsolete);
    memory_free(set);
}

void version_set_close(struct version_set *set)
{
    version_set_close_with(set, table_close);
}

/* ---- an edit: what it says of each table ---- */

/* All that the edit and the base say of one table id. */
struct edit_mark {
    uint64_t                    id;
    const struct edit_added    *added;
    const struct edit_narrowed *narrowed;
    bool                        is_removed;
    const struct run           *run;   /* of the base; NULL: not in it */
    const struct table_place   *place; /* in that run */
};

/* One version under construction. */
struct build {
    const struct version      *base;
    const struct version_edit *edit;
    struct version            *next;
    struct edit_mark          *marks;  /* by id, each once */
    uint32_t                   mark_count;
    const struct edit_added  **added;  /* by level, run id descending, largest key */
    size_t                     above_bytes; /* all new bounds together */
};

static int mark_compare(const void *a, const void *b)
{
    const struct edit_mark *x = a, *y = b;

    return x->id > y->id ? 1 : x->id < y->id ? -1 : 0;
}

static int added_compare(const void *a, const void *b)
{
    const struct edit_added *x = *(const struct edit_added *const *)a;
    const struct edit_added *y = *(const struct edit_added *const *)b;

    if (x->level != y->level)
        return x->level < y->level ? -1 : 1;
    if (x->run_id != y->run_id)
        return x->run_id > y->run_id ? -1 : 1;
    return bytes_compare(x->table->info.largest, y->table->info.largest);
}

static struct edit_mark *mark_find(const struct build *build, uint64_t id)
{
    struct edit_mark goal = { .id = id };

    return bsearch(&goal, build->marks, build->mark_count, sizeof goal, mark_compare);
}

/* Folds what stands after mark and names the same table into it. */
static enum kiwi_status mark_merge(struct edit_mark *mark, const struct edit_mark *other)
{
    if (mark->added != NULL && other->added != NULL)
        return FAIL(KIWI_INVALID, "edit adds table %" PRIu64 " twice", mark->id);
    if (mark->is_removed && other->is_removed)
        return FAIL(KIWI_INVALID, "edit removes table %" PRIu64 " twice", mark->id);
    if (mark->narrowed != NULL && other->narrowed != NULL)
        return FAIL(KIWI_INVALID, "edit narrows table %" PRIu64 " twice", mark->id);
    mark->added = mark->added != NULL ? mark->added : other->added;
    mark->narrowed = mark->narrowed != NULL ? mark->narrowed : other->narrowed;
    mark->is_removed = mark->is_removed || other->is_removed;
    return KIWI_OK;
}

static enum kiwi_status added_check(const struct edit_added *added)
{
    const struct table_info *info = &added->table->info;

    if (added->level >= KIWI_LEVEL_COUNT_MAX)
        return FAIL(KIWI_INVALID, "edit adds table %" PRIu64 " to level %" PRIu32 ", there are %u",
                    info->id, added->level, KIWI_LEVEL_COUNT_MAX);
    if (added->run_id == 0)
        return FAIL(KIWI_INVALID, "edit adds table %" PRIu64 " to run 0", info->id);
    if (bytes_compare(info->smallest, info->largest) > 0)
        return FAIL(KIWI_INVALID, "table %" PRIu64 " ends before it begins", info->id);
    return KIWI_OK;
}

/* Fills build->marks and build->added from the edit alone. */
static enum kiwi_status marks_collect(struct build *build)
{
    const struct version_edit *edit = build->edit;
    struct edit_mark          *marks = build->marks;
    uint32_t                   count = 0, merged = 0;

    for (uint32_t i = 0; i < edit->added_count; i++) {
        TRY(added_check(&edit->added[i]));
        build->added[i] = &edit->added[i];
        marks[count++] = (struct edit_mark){ .id = edit->added[i].table->info.id,
                                             .added = &edit->added[i] };
    }
    for (uint32_t i = 0; i < edit->removed_count; i++)
        marks[count++] = (struct edit_mark){ .id = edit->removed[i], .is_removed = true };
    for (uint32_t i = 0; i < edit->narrowed_count; i++) {
        marks[count++] = (struct edit_mark){ .id = edit->narrowed[i].table_id,
                                             .narrowed = &edit->narrowed[i] };
        build->above_bytes += edit->narrowed[i].above.size;
    }
    qsort(marks, count, sizeof *marks, mark_compare);
    if (edit->added_count > 1)
        qsort(build->added, edit->added_count, sizeof *build->added, added_compare);
    for (uint32_t i = 0; i < count; i++) {
        if (merged > 0 && marks[merged - 1].id == marks[i].id)
            TRY(mark_merge(&marks[merged - 1], &marks[i]));
        else
            marks[merged++] = marks[i];
    }
    build->mark_count = merged;
    return KIWI_OK;
}

/* Finds where the base has the tables of the edit: one walk over all, a few comparisons each. */
static void marks_locate(struct build *build)
{
    for (uint32_t i = 0; i < build->base->level_count; i++) {
        const struct level *level = &build->base->levels[i];

        for (uint32_t k = 0; k < level->run_count; k++) {
            const struct run *run = level->runs[k];

            for (uint32_t n = 0; n < run->table_count; n++) {
                struct edit_mark *mark = mark_find(build, run->places[n].table->info.id);

                if (mark == NULL)
                    continue;
                assert(mark->place == NULL);
                mark->run = run;
                mark->place = &run->places[n];
            }
        }
    }
}

static enum kiwi_status narrowed_check(const struct edit_mark *mark)
{
    const struct table *table = mark->added != NULL   ? mark->added->table
                              : mark->place != NULL ? mark->place->table
                                                    : NULL;
    struct bytes        above = mark->narrowed->above;

    if (table == NULL || (mark->is_removed && mark->added == NULL))
        return FAIL(KIWI_INVALID, "edit narrows table %" PRIu64 ", which is not there", mark->id);
    if (bytes_compare(above, table->info.largest) >= 0)
        return FAIL(KIWI_INVALID, "edit narrows table %" PRIu64 " to nothing", mark->id);
    if (mark->place != NULL && !place_is_above(mark->place, above))
        return FAIL(KIWI_INVALID, "edit widens the narrowed table %" PRIu64, mark->id);
    return KIWI_OK;
}

static enum kiwi_status marks_check(struct build *build)
{
    for (uint32_t i = 0; i < build->mark_count; i++) {
        const struct edit_mark *mark = &build->marks[i];

        if (mark->is_removed && mark->place == NULL)
            return FAIL(KIWI_INVALID, "edit removes table %" PRIu64 ", which is not there",
                        mark->id);
        if (mark->added != NULL && mark->place != NULL) {
            if (!mark->is_removed || mark->place->table != mark->added->table)
                return FAIL(KIWI_INVALID, "edit adds table %" PRIu64 ", which is there already",
                            mark->id);
            build->above_bytes += mark->place->above.size; /* moved, as narrowed as it was */
        }
        if (mark->narrowed != NULL)
            TRY(narrowed_check(mark));
    }
    return KIWI_OK;
}

/* ---- an edit: building the next version ---- */

static bool run_is_marked(const struct build *build, const struct run *run)
{
    for (uint32_t i = 0; i < build->mark_count; i++) {
        if (build->marks[i].run == run)
            return true;
    }
    return false;
}

/* A run being filled; bounds are copied behind its places and heads. */
struct run_filler {
    struct run *run;
    uint8_t    *bounds;
    bool        is_added;   /* the last place is not from the base */
};

static struct run *run_allocate(uint64_t id, uint32_t table_count_max, size_t bound_bytes,
                                uint8_t **bounds)
{
    size_t      place_bytes = table_count_max * sizeof(struct table_place);
    size_t      head_bytes = 2 * table_count_max * sizeof(uint64_t);
    struct run *run = memory_allocate(sizeof *run + place_bytes + head_bytes + bound_bytes);

    if (run == NULL)
        return NULL;
    *run = (struct run){ .id = id };
    run->heads = (const uint64_t *)(const void *)(run->places + table_count_max);
    run->lows = run->heads + table_count_max;
    *bounds = (uint8_t *)(run->places + table_count_max) + head_bytes;
    return run;
}

/* Tables of a run share no key, what narrowing hides left out of account. */
static bool places_are_disjoint(const struct table_place *first, const struct table_place *second)
{
    struct bytes end = place_largest(first);

    return bytes_compare(end, second->table->info.smallest) < 0
        || (second->above.data != NULL && bytes_compare(end, second->above) <= 0);
}

static enum kiwi_status run_append(struct run_filler *filler, struct table *table,
                                   struct bytes above, bool is_added)
{
    struct run         *run = filler->run;
    struct table_place *place = &run->places[run->table_count];

    place->table = table;
    place->above = (struct bytes){ NULL, 0 };
    if (above.data != NULL) {
        if (above.size > 0)
            memcpy(filler->bounds, above.data, above.size);
        place->above = bytes_of(filler->bounds, above.size);
        filler->bounds += above.size;
    }
    if (run->table_count > 0 && (is_added || filler->is_added)
        && !places_are_disjoint(place - 1, place))
        return FAIL(KIWI_INVALID, "tables %" PRIu64 " and %" PRIu64 " of run %" PRIu64 " overlap",
                    place[-1].table->info.id, table->info.id, run->id);
    assert_slow(run->table_count == 0 || places_are_disjoint(place - 1, place));
    filler->is_added = is_added;
    run->table_count++;
    run->bytes += table->info.file_bytes;
    run->entry_count += table->info.entry_count;
    run->tombstone_count += table->info.tombstone_count;
    return KIWI_OK;
}

/* The bound a table has in the next version. An empty key is a bound too. */
static struct bytes mark_above(const struct edit_mark *mark)
{
    static const uint8_t empty_key[1];

    if (mark->narrowed == NULL)
        return mark->place != NULL ? mark->place->above : (struct bytes){ NULL, 0 };
    if (mark->narrowed->above.data == NULL)
        return bytes_of(empty_key, 0);
    return mark->narrowed->above;
}

static enum kiwi_status run_append_old(const struct build *build, struct run_filler *filler,
                                       const struct table_place *place)
{
    const struct edit_mark *mark = mark_find(build, place->table->info.id);

    if (mark == NULL)
        return run_append(filler, place->table, place->above, false);
    if (mark->is_removed)
        return KIWI_OK;
    return run_append(filler, place->table, mark_above(mark), false);
}

/* Merges the places of old (NULL: none) with the added tables of its id. */
static enum kiwi_status run_fill(const struct build *build, struct run_filler *filler,
                                 const struct run *old, const struct edit_added *const *added,
                                 uint32_t added_count)
{
    uint32_t next = 0, old_count = old == NULL ? 0 : old->table_count;

    for (uint32_t i = 0; i < added_count; i++) {
        struct table *table = added[i]->table;
        uint32_t end = old == NULL ? 0 : run_lower_bound(old, table->info.largest);

        for (; next < end; next++)
            TRY(run_append_old(build, filler, &old->places[next]));
        TRY(run_append(filler, table, mark_above(mark_find(build, table->info.id)), true));
    }
    for (; next < old_count; next++)
        TRY(run_append_old(build, filler, &old->places[next]));
    return KIWI_OK;
}

/* A smallest key without the prefix of the largest ones sorts before every key that has it. */
static uint64_t low_head(struct bytes smallest, struct bytes prefix)
{
    if (!bytes_start_with(smallest, prefix))
        return 0;
    return bytes_head(bytes_behind(smallest, prefix.size));
}

/* Largest keys ascend, so what the first and the last share, all share. */
static void run_heads_fill(struct run *run)
{
    struct bytes first = place_largest(&run->places[0]);
    struct bytes last = place_largest(&run->places[run->table_count - 1]);
    size_t       shared = 0, most = first.size < last.size ? first.size : last.size;
    uint64_t    *heads = (uint64_t *)(uintptr_t)run->heads;
    uint64_t    *lows = (uint64_t *)(uintptr_t)run->lows;

    while (shared < most && first.data[shared] == last.data[shared])
        shared++;
    run->prefix_bytes = shared;
    for (uint32_t i = 0; i < run->table_count; i++) {
        struct bytes key = place_largest(&run->places[i]);

        heads[i] = bytes_head(bytes_behind(key, shared));
        lows[i] = low_head(run->places[i].table->info.smallest, bytes_of(key.data, shared));
        assert(i == 0 || heads[i - 1] <= heads[i]);
    }
}

/* *out: NULL when nothing is left of the run. A run built here has no refs yet. */
static enum kiwi_status run_build(const struct build *build, const struct run *old,
                                  const struct edit_added *const *added, uint32_t added_count,
                                  struct run **out)
{
    uint64_t          id = old != NULL ? old->id : added[0]->run_id;
    uint32_t          table_count_max = (old == NULL ? 0 : old->table_count) + added_count;
    size_t            bound_bytes = build->above_bytes;
    struct run_filler filler = { 0 };

    *out = NULL;
    for (uint32_t i = 0; old != NULL && i < old->table_count; i++)
        bound_bytes += old->places[i].above.size;
    filler.run = run_allocate(id, table_count_max, bound_bytes, &filler.bounds);
    if (filler.run == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a run of %" PRIu32 " tables", table_count_max);
    enum kiwi_status status = run_fill(build, &filler, old, added, added_count);
    if (status != KIWI_OK || filler.run->table_count == 0) {
        memory_free(filler.run);
        return status;
    }
    run_heads_fill(filler.run);
    *out = filler.run;
    return KIWI_OK;
}

/* The added tables from first on that go to one run. */
static uint32_t added_group(const struct build *build, uint32_t first)
{
    uint32_t count = 1;

    while (first + count < build->edit->added_count
           && build->added[first + count]->level == build->added[first]->level
           && build->added[first + count]->run_id == build->added[first]->run_id)
        count++;
    return count;
}

/* One level: the runs of the base and the new ones, both by descending id. */
static enum kiwi_status level_build(const struct build *build, uint32_t index, uint32_t *next_added)
{
    const struct level *base = &build->base->levels[index];
    struct level       *level = &build->next->levels[index];
    uint32_t            old = 0, first = *next_added, count_max = base->run_count;

    for (uint32_t i = first; i < build->edit->added_count && build->added[i]->level == index; i++)
        count_max++;
    if (count_max == 0)
        return KIWI_OK;
    level->runs = memory_allocate(count_max * sizeof(struct run *));
    if (level->runs == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a level of %" PRIu32 " runs", count_max);
    while (old < base->run_count
           || (first < build->edit->added_count && build->added[first]->level == index)) {
        bool        has_added = first < build->edit->added_count
                             && build->added[first]->level == index;
        struct run *run = old < base->run_count ? base->runs[old] : NULL;
        uint32_t    added_count = 0;

        if (has_added && (run == NULL || build->added[first]->run_id >= run->id)) {
            added_count = added_group(build, first);
            if (run != NULL && build->added[first]->run_id > run->id)
                run = NULL;
        }
        old += run != NULL;
        if (added_count > 0 || run_is_marked(build, run))
            TRY(run_build(build, run, build->added + first, added_count, &run));
        first += added_count;
        if (run != NULL)
            level->runs[level->run_count++] = run;
    }
    *next_added = first;
    return KIWI_OK;
}

static enum kiwi_status levels_build(struct build *build)
{
    uint32_t next_added = 0;

    for (uint32_t i = 0; i < KIWI_LEVEL_COUNT_MAX; i++) {
        TRY(level_build(build, i, &next_added));
        if (build->next->levels[i].run_count > 0)
            build->next->level_count = i + 1;
    }
    assert(next_added == build->edit->added_count);
    return KIWI_OK;
}

/* Frees a version that was never shown: shared runs were not counted yet, built ones have no
 * refs. */
static void build_abandon(struct version *next)
{
    for (uint32_t i = 0; i < KIWI_LEVEL_COUNT_MAX; i++) {
        for (uint32_t k = 0; k < next->levels[i].run_count; k++) {
            if (next->levels[i].runs[k]->refs == 0)
                memory_free(next->levels[i].runs[k]);
        }
    }
    version_free(next);
}

static enum kiwi_status obsolete_reserve(struct version_set *set, uint32_t added_count)
{
    uint64_t       needed = (uint64_t)set->table_count + added_count;
    uint64_t       capacity = needed + needed / 2 + 16;
    struct table **grown;

    if (needed <= set->obsolete_capacity)
        return KIWI_OK;
    if (capacity > UINT32_MAX
        || (grown = memory_resize(set->obsolete, capacity * sizeof *grown)) == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for the names of %" PRIu64 " tables", needed);
    set->obsolete = grown;
    set->obsolete_capacity = (uint32_t)capacity;
    return KIWI_OK;
}

/* From here on nothing fails. */
static void build_commit(struct version_set *set, const struct build *build)
{
    struct version *next = build->next, *before = set->present;

    for (uint32_t i = 0; i < build->mark_count; i++) {
        const struct edit_mark *mark = &build->marks[i];

        if (mark->added == NULL)
            continue;
        mark->added->table->level = (uint8_t)mark->added->level;
        if (mark->place == NULL) {
            mark->added->table->refs = 0;
            set->table_count++;
        }
    }
    for (uint32_t i = 0; i < next->level_count; i++) {
        for (uint32_t k = 0; k < next->levels[i].run_count; k++) {
            struct run *run = next->levels[i].runs[k];

            if (run->refs++ > 0)
                continue;
            for (uint32_t n = 0; n < run->table_count; n++)
                run->places[n].table->refs++;
        }
    }
    next->refs = 1;
    next->set = set;
    set->present = next;
    set->live_count++;
    set->change_count++;
    version_release(before);
}

static enum kiwi_status build_run(struct version_set *set, struct build *build)
{
    uint32_t mark_count = build->edit->added_count + build->edit->removed_count
                        + build->edit->narrowed_count;

    build->next = memory_allocate_zeroed(sizeof *build->next);
    build->marks = memory_allocate(mark_count * sizeof *build->marks);
    build->added = memory_allocate(build->edit->added_count * sizeof *build->added);
    if (build->next == NULL || build->marks == NULL || build->added == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for an edit of %" PRIu32 " tables", mark_count);
    TRY(marks_collect(build));
    marks_locate(build);
    TRY(marks_check(build));
    TRY(levels_build(build));
    return obsolete_reserve(set, build->edit->added_count);
}

enum kiwi_status version_apply(struct version_set *set, const struct version_edit *edit)
{
    struct build     build = { .base = set->present, .edit = edit };
    enum kiwi_status status;

    if (!version_edit_has_tables(edit))
        return KIWI_OK;
    status = build_run(set, &build);
    if (status == KIWI_OK)
        build_commit(set, &build);
    else if (build.next != NULL)
        build_abandon(build.next);
    memory_free(build.marks);
    memory_free(build.added);
    return status;
}
