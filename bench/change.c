/*
 * change.c: splitting, shuffling, joining.
 */
#include "bench/change.h"

#include <math.h>
#include <string.h>

#include "bench/statistics.h"
#include "core/base/memory.h"
#include "workloads/chance.h"

struct split {
    size_t at;       /* the first value of the right side; 0: there is none */
    double weight;
};

struct search {
    const struct change_options *options;
    double                      *values, *shuffled;  /* count of each; owned */
    size_t                       count;
    size_t                      *ends;               /* of the pieces, ascending; owned */
    double                      *chances;            /* of the step behind each piece; owned */
    size_t                       piece_count;
    struct chance                chance;
};

struct change_options change_options_default(void)
{
    return (struct change_options){ .level = CHANGE_LEVEL,
                                    .shuffles = CHANGE_SHUFFLES,
                                    .side_min = CHANGE_SIDE_MIN,
                                    .share_min = CHANGE_SHARE_MIN,
                                    .seed = 42 };
}

/* The sum of distances of values[at] to values[from..to). */
static double distances(const double *values, size_t at, size_t from, size_t to)
{
    double sum = 0;

    for (size_t i = from; i < to; i++)
        sum += fabs(values[i] - values[at]);
    return sum;
}

/* Energy distance of the sides, from the sums of distances within and between them. */
static double weight_of(double left, double right, double between, size_t left_count,
                        size_t right_count)
{
    const double n = (double)left_count, m = (double)right_count;
    const double energy =
        2 * between / (n * m) - 2 * left / (n * (n - 1)) - 2 * right / (m * (m - 1));

    return n * m / (n + m) * energy;
}

/* The best split of one piece. Moving a value over changes three sums, so all take n^2 steps. */
static struct split piece_split(const double *values, size_t count, size_t side_min)
{
    struct split best = { 0, -INFINITY };
    double       left = 0, right = 0, between = 0;

    if (count < 2 * side_min)
        return best;
    for (size_t i = 0; i < count; i++)
        right += distances(values, i, i + 1, count);
    for (size_t moved = 0; moved + side_min < count; moved++) {
        const double to_left = distances(values, moved, 0, moved);
        const double to_right = distances(values, moved, moved + 1, count);
        const size_t left_count = moved + 1;

        left += to_left;
        right -= to_right;
        between += to_right - to_left;
        if (left_count >= side_min) {
            double weight =
                weight_of(left, right, between, left_count, count - left_count);
            if (weight > best.weight)
                best = (struct split){ left_count, weight };
        }
    }
    return best;
}

/* Over all pieces; at counts from the start of the series. */
static struct split best_split(const struct search *search, const double *values)
{
    struct split best = { 0, -INFINITY };
    size_t       start = 0;

    for (size_t i = 0; i < search->piece_count; i++) {
        struct split split =
            piece_split(values + start, search->ends[i] - start, search->options->side_min);

        if (split.at != 0 && split.weight > best.weight)
            best = (struct split){ start + split.at, split.weight };
        start = search->ends[i];
    }
    return best;
}

static void shuffle_pieces(struct search *search)
{
    size_t start = 0;

    memcpy(search->shuffled, search->values, search->count * sizeof search->values[0]);
    for (size_t i = 0; i < search->piece_count; i++) {
        for (size_t j = search->ends[i] - start; j > 1; j--) {
            size_t other = start + chance_below(&search->chance, j);
            double kept = search->shuffled[start + j - 1];

            search->shuffled[start + j - 1] = search->shuffled[other];
            search->shuffled[other] = kept;
        }
        start = search->ends[i];
    }
}

/* How likely so good a split is when order means nothing; above the level when that is certain
 * early. */
static double chance_of_split(struct search *search, double weight)
{
    const uint32_t shuffles = search->options->shuffles;
    uint32_t       as_good = 0;

    for (uint32_t i = 0; i < shuffles; i++) {
        shuffle_pieces(search);
        as_good += best_split(search, search->shuffled).weight >= weight;
        if ((double)(as_good + 1) / (double)(shuffles + 1) > search->options->level)
            break;
    }
    return (double)(as_good + 1) / (double)(shuffles + 1);
}

static void piece_add(struct search *search, size_t end, double chance)
{
    size_t at = search->piece_count++;

    for (; at > 0 && search->ends[at - 1] > end; at--) {
        search->ends[at] = search->ends[at - 1];
        search->chances[at] = search->chances[at - 1];
    }
    search->ends[at] = end;
    search->chances[at] = chance;
}

static double piece_median(struct search *search, size_t piece)
{
    const size_t start = piece > 0 ? search->ends[piece - 1] : 0;
    const size_t count = search->ends[piece] - start;

    memcpy(search->shuffled, search->values + start, count * sizeof search->values[0]);
    return median_of(search->shuffled, count);
}

static double step_share(struct search *search, size_t piece)
{
    const double before = piece_median(search, piece), after = piece_median(search, piece + 1);
    const double base = fabs(before) > 0 ? fabs(before) : fabs(after);

    return base > 0 ? fabs(after - before) / base : 0;
}

/* Joins the pieces beside the smallest step while that is too small. */
static void small_steps_join(struct search *search)
{
    while (search->piece_count > 1) {
        size_t smallest = 0;
        double share = INFINITY;

        for (size_t i = 0; i + 1 < search->piece_count; i++) {
            double each = step_share(search, i);
            if (each < share) {
                share = each;
                smallest = i;
            }
        }
        if (share >= search->options->share_min)
            return;
        for (size_t i = smallest; i + 1 < search->piece_count; i++) {
            search->ends[i] = search->ends[i + 1];
            search->chances[i] = search->chances[i + 1];
        }
        search->piece_count--;
    }
}

static void search_run(struct search *search)
{
    piece_add(search, search->count, 1);
    for (;;) {
        const struct split split = best_split(search, search->values);
        double             chance;

        if (split.at == 0)
            break;
        chance = chance_of_split(search, split.weight);
        if (chance > search->options->level)
            break;
        piece_add(search, split.at, chance);
    }
    small_steps_join(search);
}

enum kiwi_status changes_find(const double *values, size_t count,
                              const struct change_options *options, struct change *out, size_t max,
                              size_t *found)
{
    const size_t  skipped = count > CHANGE_VALUES_MAX ? count - CHANGE_VALUES_MAX : 0;
    struct search search = { .options = options,
                             .count = count - skipped,
                             .chance = chance_of(options->seed, 0) };
    enum kiwi_status status = KIWI_OK;

    assert(options->side_min >= 2);
    *found = 0;
    if (search.count < 2 * options->side_min)
        return KIWI_OK;
    search.values = memory_allocate(search.count * sizeof(double));
    search.shuffled = memory_allocate(search.count * sizeof(double));
    search.chances = memory_allocate(search.count * sizeof(double));
    search.ends = memory_allocate(search.count * sizeof(size_t));
    if (search.values == NULL || search.shuffled == NULL || search.chances == NULL
        || search.ends == NULL) {
        status = FAIL(KIWI_NO_MEMORY, "no memory for %zu values", search.count);
    } else {
        memcpy(search.values, values + skipped, search.count * sizeof(double));
        search_run(&search);
        for (size_t i = 0; i + 1 < search.piece_count && *found < max; i++)
            out[(*found)++] = (struct change){ .index = skipped + search.ends[i],
                                               .before = piece_median(&search, i),
                                               .after = piece_median(&search, i + 1),
                                               .chance = search.chances[i] };
    }
    memory_free(search.values);
    memory_free(search.shuffled);
    memory_free(search.chances);
    memory_free(search.ends);
    return status;
}
