/*
 * lengths.c: drawing lengths, and reading tables of them.
 */
#include "workloads/lengths.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WEIGHT_MAX 1000000000000ull /* 256 of them still fit */

double pareto_below(const struct pareto *pareto, double x)
{
    if (x <= 0)
        return 0;
    return 1 - pow(1 + pareto->shape * x / pareto->scale, -1 / pareto->shape);
}

struct pareto pareto_of(uint64_t least, uint64_t most, double shape, double scale)
{
    struct pareto pareto = { .least = least, .most = most, .shape = shape, .scale = scale };

    assert(least > 0 && least <= most);
    assert(shape > 0 && scale > 0);
    pareto.low = pareto_below(&pareto, (double)least - 1);
    pareto.high = pareto_below(&pareto, (double)most);
    return pareto;
}

uint64_t pareto_draw(const struct pareto *pareto, struct chance *chance)
{
    double u = pareto->low + chance_unit(chance) * (pareto->high - pareto->low);
    double x = ceil(pareto->scale * (pow(1 - u, -pareto->shape) - 1) / pareto->shape);

    if (!(x > (double)pareto->least))
        return pareto->least;
    return x < (double)pareto->most ? (uint64_t)x : pareto->most;
}

/* Digits at *at, which moves behind them; false: none, or above most. */
static bool number_read(const char **at, const char *end, uint64_t most, uint64_t *out)
{
    const char *from = *at;

    *out = 0;
    while (*at < end && **at >= '0' && **at <= '9' && *out <= most)
        *out = *out * 10 + (uint64_t)(*(*at)++ - '0');
    return *at > from && *out <= most;
}

static enum kiwi_status table_add(struct length_table *table, uint64_t length, uint64_t weight)
{
    uint64_t below = table->count > 0 ? table->below[table->count - 1] : 0;

    if (weight == 0)
        return KIWI_OK;
    if (table->count == LENGTH_TABLE_MAX)
        return FAIL(KIWI_INVALID, "more than %u lengths", LENGTH_TABLE_MAX);
    table->lengths[table->count] = length;
    table->below[table->count++] = below + weight;
    return KIWI_OK;
}

enum kiwi_status length_mix_parse(const char *text, uint64_t most, struct length_table *out)
{
    const char *at = text, *end = text + strlen(text);
    uint64_t    length, weight;

    memset(out, 0, sizeof *out);
    for (;;) {
        if (!number_read(&at, end, most, &length) || length == 0)
            return FAIL(KIWI_INVALID, "character %zu: a length of 1 to %llu is missing",
                        (size_t)(at - text) + 1, (unsigned long long)most);
        if (*at != ':' || (at++, !number_read(&at, end, WEIGHT_MAX, &weight)))
            return FAIL(KIWI_INVALID, "character %zu: after length %llu, ':' and a weight "
                                      "are missing",
                        (size_t)(at - text) + 1, (unsigned long long)length);
        TRY(table_add(out, length, weight));
        if (at == end)
            break;
        if (*at++ != ',')
            return FAIL(KIWI_INVALID, "character %zu: no comma between two lengths",
                        (size_t)(at - text));
    }
    if (out->count == 0)
        return FAIL(KIWI_INVALID, "all weights are zero");
    return KIWI_OK;
}

/* One line "left<tab>right"; with word, left is that word. */
static bool line_read(const char **at, const char *end, const char *word, uint64_t *left,
                      uint64_t *right)
{
    size_t length = word != NULL ? strlen(word) : 0;

    if (word != NULL) {
        if ((size_t)(end - *at) < length || memcmp(*at, word, length) != 0)
            return false;
        *at += length;
    } else if (!number_read(at, end, WEIGHT_MAX, left)) {
        return false;
    }
    if (*at == end || *(*at)++ != '\t' || !number_read(at, end, WEIGHT_MAX, right))
        return false;
    if (*at < end && **at == '\r')
        (*at)++;
    if (*at < end && *(*at)++ != '\n')
        return false;
    return true;
}

/* The last bucket counts as more of the one before it. */
static enum kiwi_status histogram_end(struct length_table *table, uint64_t length, uint64_t sum)
{
    uint64_t below = table->below[table->count - 1];

    if (below < sum && table->lengths[table->count - 1] != length)
        return table_add(table, length, sum - below);
    /* One count too many was given to the first bucket; there may be nothing left to give. */
    table->below[table->count - 1] = sum;
    if (table->count > 1 && table->below[table->count - 2] == sum)
        table->count--;
    return KIWI_OK;
}

enum kiwi_status length_histogram_parse(const char *origin, const char *text, size_t bytes,
                                        uint64_t most, struct length_table *out)
{
    const char *at = text, *end = text + bytes;
    uint64_t    block, bucket, count, sum = 0, before = 0, buckets = 0;

    memset(out, 0, sizeof *out);
    if (!line_read(&at, end, "BlockSize", NULL, &block) || block == 0)
        return FAIL(KIWI_INVALID, "%s:1: not 'BlockSize', a tab and a number of bytes", origin);
    while (at < end) {
        const unsigned long long line = buckets + 2;

        if (!line_read(&at, end, NULL, &bucket, &count))
            return FAIL(KIWI_INVALID, "%s:%llu: not a bucket, a tab and a count", origin, line);
        if (bucket != buckets)
            return FAIL(KIWI_INVALID, "%s:%llu: bucket %llu where %llu is next", origin, line,
                        (unsigned long long)bucket, (unsigned long long)buckets);
        buckets++;
        sum += count;
        /* What the bucket before adds waits until it is known not to be the last. */
        if (buckets >= 2) {
            uint64_t lower = out->count > 0 ? out->below[out->count - 1] : 0;

            if ((buckets - 1) * block > most)
                return FAIL(KIWI_INVALID, "%s:%llu: %llu bytes are above the limit of %llu", origin,
                            line, (unsigned long long)((buckets - 1) * block),
                            (unsigned long long)most);
            if (table_add(out, (buckets - 1) * block, before + 1 - lower) != KIWI_OK)
                return FAIL(KIWI_INVALID, "%s:%llu: more than %u buckets with a count", origin,
                            line, LENGTH_TABLE_MAX);
        }
        before = sum;
    }
    if (buckets < 2 || sum == 0)
        return FAIL(KIWI_INVALID, "%s: %s", origin,
                    buckets < 2 ? "fewer than two buckets" : "all counts are zero");
    return histogram_end(out, (buckets - 1) * block, sum);
}

uint64_t length_table_draw(const struct length_table *table, struct chance *chance)
{
    uint64_t number;
    uint32_t i = 0;

    assert(table->count > 0);
    number = chance_below(chance, table->below[table->count - 1]);
    while (number >= table->below[i])
        i++;
    return table->lengths[i];
}

uint64_t length_table_least(const struct length_table *table)
{
    uint64_t least = table->lengths[0];

    for (uint32_t i = 1; i < table->count; i++)
        least = min_u64(least, table->lengths[i]);
    return least;
}

uint64_t length_table_most(const struct length_table *table)
{
    uint64_t most = table->lengths[0];

    for (uint32_t i = 1; i < table->count; i++)
        most = max_u64(most, table->lengths[i]);
    return most;
}
