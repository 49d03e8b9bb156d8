/*
 * statistics.c: ranks, shifts, verdicts.
 */
#include "bench/statistics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PAIR_COUNT_MAX (STATISTICS_COUNT_MAX * (STATISTICS_COUNT_MAX + 1) / 2)

static int by_size(const void *a, const void *b)
{
    double one = *(const double *)a, two = *(const double *)b;

    return one < two ? -1 : one > two;
}

/* chances[w]: of a sum w of signed ranks 1 to count when signs are fair coins. */
static void rank_chances(size_t count, double *chances)
{
    memset(chances, 0, (PAIR_COUNT_MAX + 1) * sizeof *chances);
    chances[0] = 1;
    for (size_t rank = 1; rank <= count; rank++)
        for (size_t sum = rank * (rank + 1) / 2; sum + 1 > 0; sum--) {
            chances[sum] = (chances[sum] + (sum >= rank ? chances[sum - rank] : 0)) / 2;
            if (sum == 0)
                break;
        }
}

struct shift shift_of(const double *differences, size_t count)
{
    double       means[PAIR_COUNT_MAX], chances[PAIR_COUNT_MAX + 1];
    const size_t pairs = count * (count + 1) / 2;
    size_t       filled = 0, positive = 0, cut = 0;
    double       below = 0, above = 0;
    struct shift shift;

    assert(count > 0 && count <= STATISTICS_COUNT_MAX);
    /* The sum of positive ranks is the count of positive means of pairs (Tukey). */
    for (size_t i = 0; i < count; i++)
        for (size_t j = i; j < count; j++) {
            means[filled] = (differences[i] + differences[j]) / 2;
            positive += means[filled++] > 0;
        }
    qsort(means, pairs, sizeof *means, by_size);
    rank_chances(count, chances);
    for (size_t sum = positive; sum <= pairs; sum++)
        above += chances[sum];
    while (cut < pairs && below + chances[cut] <= 0.025)
        below += chances[cut++];
    shift.middle = pairs % 2 == 1 ? means[pairs / 2]
                                  : (means[pairs / 2 - 1] + means[pairs / 2]) / 2;
    shift.low = means[cut > 0 ? cut - 1 : 0];
    shift.high = means[pairs - (cut > 0 ? cut : 1)];
    shift.p_greater = above > 1 ? 1 : above;
    return shift;
}

const char *ab_verdict_name(enum ab_verdict verdict)
{
    static const char *const names[] = { "go on", "pass", "slower", "unstable", "undecided" };

    assert((unsigned)verdict < ARRAY_COUNT(names));
    return names[verdict];
}

static const struct {
    uint32_t pairs;
    double   alpha;
} looks[AB_LOOK_COUNT] = { { 10, 0.002 }, { 20, 0.004 }, { 40, 0.004 } };

uint32_t ab_look_pairs(uint32_t look)
{
    assert(look < AB_LOOK_COUNT);
    return looks[look].pairs;
}

/* Both controls run the same program, so their mean says more of it than one does: the variance of
 * a difference is 1.5 of a sample's instead of 2. */
struct ab_judgement ab_judge(const double *candidate, const double *canary, uint32_t look,
                             double gate)
{
    const size_t        count = ab_look_pairs(look);
    double              differences[STATISTICS_COUNT_MAX], from_canary[STATISTICS_COUNT_MAX];
    struct ab_judgement judgement = { .canary = shift_of(canary, count) };
    const struct shift *shift = &judgement.candidate;
    bool                is_unsteady = fabs(judgement.canary.middle) > gate / 2;

    for (size_t i = 0; i < count; i++) {
        differences[i] = candidate[i] - canary[i] / 2;
        from_canary[i] = candidate[i] - canary[i];
    }
    judgement.candidate = shift_of(differences, count);
    /* A true change of the gate plus half the interval has its lower end above the gate. */
    judgement.smallest = gate + (shift->high - shift->low) / 2;
    if (shift->p_greater < looks[look].alpha && shift_of(candidate, count).middle > gate
        && shift_of(from_canary, count).middle > gate)
        judgement.verdict = AB_SLOWER;
    else if (shift->high < gate)
        judgement.verdict = is_unsteady ? AB_UNSTABLE : AB_PASS;
    else if (look + 1 == AB_LOOK_COUNT)
        judgement.verdict = is_unsteady ? AB_UNSTABLE : AB_UNDECIDED;
    /* An unsteady machine may settle: only the last look calls it so. */
    if (judgement.verdict == AB_UNSTABLE && look + 1 < AB_LOOK_COUNT)
        judgement.verdict = AB_GO_ON;
    return judgement;
}

double median_of(double *values, size_t count)
{
    if (count == 0)
        return 0;
    qsort(values, count, sizeof *values, by_size);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}
