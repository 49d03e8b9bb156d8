/*
 * plan.c: from a plan to the tables it merges.
 */
#include "compact/plan.h"

bool place_overlaps(const struct table_place *place, const struct key_range *range)
{
    const struct table_info *info = &place->table->info;

    if (range->first.data != NULL) {
        int order = bytes_compare(info->largest, range->first);

        if (order < 0 || (order == 0 && range->is_after))
            return false;
    }
    if (range->last.data == NULL)
        return true;
    if (place->above.data != NULL && bytes_compare(place->above, range->last) >= 0)
        return false;
    return bytes_compare(info->smallest, range->last) <= 0;
}

/* The places of run that overlap range. They are neighbours: a run is in key order. */
static struct plan_part part_of(const struct run *run, uint32_t level,
                                const struct key_range *range)
{
    struct plan_part part = { .run = run, .level = level, .places = run->places };
    uint32_t begin = range->first.data == NULL ? 0 : run_lower_bound(run, range->first);
    uint32_t end = begin;

    while (begin < run->table_count && !place_overlaps(&run->places[begin], range))
        begin++;
    for (end = begin; end < run->table_count && place_overlaps(&run->places[end], range);)
        end++;
    part.places += begin;
    part.count = end - begin;
    return part;
}

/* From the smallest to the largest key that the parts still show. */
static struct key_range hull_of(const struct plan_part *parts, uint32_t count)
{
    struct key_range hull = { 0 };

    for (uint32_t i = 0; i < count; i++) {
        assert(parts[i].count > 0);
        const struct table_place *place = &parts[i].places[0];
        struct bytes              begin = place->table->info.smallest;
        struct bytes              end = parts[i].places[parts[i].count - 1].table->info.largest;
        bool is_after = place->above.data != NULL && bytes_compare(place->above, begin) >= 0;

        if (is_after)
            begin = place->above;
        int order = i == 0 ? -1 : bytes_compare(begin, hull.first);

        if (order < 0 || (order == 0 && !is_after)) {
            hull.first = begin;
            hull.is_after = is_after;
        }
        if (i == 0 || bytes_compare(end, hull.last) > 0)
            hull.last = end;
    }
    return hull;
}

bool part_overlaps(const struct plan_part *part, const struct table_place *place)
{
    const struct plan_part self = { .places = place, .count = 1 };
    struct key_range       range = hull_of(&self, 1);
    uint32_t               begin = run_lower_bound(part->run, range.first);
    uint32_t               offset = (uint32_t)(part->places - part->run->places);

    begin = begin < offset ? 0 : begin - offset;
    /* One place may end just at an excluded bound; the one behind it decides then. */
    for (uint32_t i = begin; i < part->count && i <= begin + 1; i++)
        if (place_overlaps(&part->places[i], &range))
            return true;
    return false;
}

uint32_t plan_run_count(const struct version *version, const struct compaction_plan *plan)
{
    uint32_t count = plan->source_run_count;

    for (uint32_t level = plan->source_level + 1; level < plan->target_level; level++)
        count += version->levels[level].run_count;
    return count + (plan->takes_target_run ? 1 : 0);
}

uint32_t plan_parts(const struct version *version, const struct compaction_plan *plan,
                    struct plan_part *parts)
{
    struct key_range range = { .first = plan->first, .last = plan->last }, hull;
    uint32_t count = 0;

    for (uint32_t level = plan->source_level;
         level == plan->source_level || level < plan->target_level; level++) {
        const struct level *here = &version->levels[level];
        uint32_t skipped = level == plan->source_level
            ? here->run_count - plan->source_run_count : 0;

        assert(skipped <= here->run_count);
        for (uint32_t i = skipped; i < here->run_count; i++) {
            parts[count] = part_of(here->runs[i], level, &range);
            if (parts[count].count > 0)
                count++;
        }
    }
    if (!plan->takes_target_run || count == 0)
        return count;
    /* Of the last level only what lies between the sources' first and last key. */
    assert(version->levels[plan->target_level].run_count == 1);
    hull = hull_of(parts, count);
    if (range.last.data != NULL && bytes_compare(range.last, hull.last) < 0)
        hull.last = range.last;
    parts[count] = part_of(version->levels[plan->target_level].runs[0], plan->target_level, &hull);
    return count + (parts[count].count > 0 ? 1 : 0);
}
