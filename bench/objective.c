/*
 * objective.c: reading limits, and comparing with them.
 */
#include "bench/objective.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report.h"
#include "workloads/catalogue.h"

static const struct {
    const char *name;
    double      share;
} quantile_kinds[QUANTILE_COUNT] = {
    [QUANTILE_P50] = { "p50", 0.5 },       [QUANTILE_P95] = { "p95", 0.95 },
    [QUANTILE_P99] = { "p99", 0.99 },      [QUANTILE_P99_9] = { "p99.9", 0.999 },
    [QUANTILE_MAX] = { "max", 1 },
};

const char *quantile_name(enum quantile quantile)
{
    assert((unsigned)quantile < QUANTILE_COUNT);
    return quantile_kinds[quantile].name;
}

static enum kiwi_status limit_parse(const char *item, const char *text, uint64_t *limit_ns)
{
    static const struct {
        const char *name;
        double      factor;
    } units[] = { { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 } };
    size_t      length = strspn(text, "0123456789.");
    const char *unit = text + length;
    char        digits[24], hint[80];
    double      number;

    if (length == 0 || length >= sizeof digits || text[0] == '.'
        || memchr(text, '.', length) != memrchr(text, '.', length))
        return FAIL(KIWI_INVALID, "--slo %.40s: '%.24s' is no time; write 500us, 1ms or 2s", item,
                    text);
    memcpy(digits, text, length);
    digits[length] = 0;
    number = strtod(digits, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(units); i++) {
        if (strcmp(unit, units[i].name) != 0)
            continue;
        number *= units[i].factor;
        if (number < 1 || number > 3.6e12)
            return FAIL(KIWI_INVALID, "--slo %.40s: '%.24s' is outside 1 ns to 3600 s", item, text);
        *limit_ns = (uint64_t)(number + 0.5);
        return KIWI_OK;
    }
    if (unit[0] == 0)
        return FAIL(KIWI_INVALID, "--slo %.40s: no unit; did you mean '%.16sms'?", item, digits);
    return FAIL(KIWI_INVALID, "--slo %.40s: unit '%.16s' is none of us, ms, s%s", item, unit,
                word_suggest("us ms s", unit, hint, sizeof hint));
}

static enum kiwi_status objective_parse(const char *item, struct objectives *out)
{
    const char *sign = strchr(item, '=');
    char        name[16], hint[80];
    size_t      length = sign != NULL ? (size_t)(sign - item) : strlen(item);

    snprintf(name, sizeof name, "%.*s", (int)min_u64(length, sizeof name - 1), item);
    for (uint32_t i = 0; i < QUANTILE_COUNT; i++) {
        if (length >= sizeof name || strcmp(name, quantile_kinds[i].name) != 0)
            continue;
        if (sign == NULL)
            return FAIL(KIWI_INVALID, "--slo %.40s: no limit; did you mean '%s=1ms'?", item, name);
        if (out->limits_ns[i] != 0)
            return FAIL(KIWI_INVALID, "--slo %.40s: %s has a limit already", item, name);
        return limit_parse(item, sign + 1, &out->limits_ns[i]);
    }
    return FAIL(KIWI_INVALID, "--slo %.40s: '%s' is none of p50, p95, p99, p99.9, max%s", item,
                name, word_suggest("p99 p95 p50 p99.9 max", name, hint, sizeof hint));
}

enum kiwi_status objectives_parse(const char *text, struct objectives *out)
{
    size_t at = 0;

    memset(out, 0, sizeof *out);
    for (;;) {
        size_t length = strcspn(text, ",");
        char   item[48];

        if (length == 0)
            return FAIL(KIWI_INVALID, "--slo: an empty limit; write --slo p99=1ms,max=50ms");
        snprintf(item, sizeof item, "%.*s", (int)min_u64(length, sizeof item - 1), text);
        TRY(objective_parse(item, out));
        if (text[length] == 0)
            break;
        text += length + 1;
    }
    for (uint32_t i = 0; i < QUANTILE_COUNT; i++) {
        char limit[24];

        if (out->limits_ns[i] == 0)
            continue;
        at += (size_t)snprintf(out->text + at, sizeof out->text - at, "%s%s <= %s",
                               at > 0 ? ", " : "", quantile_kinds[i].name,
                               duration_text(out->limits_ns[i], limit, sizeof limit));
        at = min_u64(at, sizeof out->text - 1);
    }
    return KIWI_OK;
}

struct quantiles quantiles_of(const struct kiwi_latency *latency)
{
    struct quantiles quantiles = { { 0 } };

    for (uint32_t i = 0; i < QUANTILE_MAX; i++)
        quantiles.ns[i] = kiwi_latency_percentile(latency, quantile_kinds[i].share);
    quantiles.ns[QUANTILE_MAX] = latency->max_ns;
    return quantiles;
}

struct objective_judgement objectives_judge(const struct objectives *objectives,
                                            const struct quantiles  *quantiles)
{
    struct objective_judgement judgement = { 0 };

    for (uint32_t i = 0; i < QUANTILE_COUNT; i++) {
        double share;

        if (objectives->limits_ns[i] == 0)
            continue;
        share = (double)quantiles->ns[i] / (double)objectives->limits_ns[i];
        if (share >= judgement.share) {
            judgement.share = share;
            judgement.missed = (enum quantile)i;
        }
    }
    judgement.are_met = judgement.share <= 1;
    return judgement;
}

uint64_t objectives_sample(const struct objectives *objectives)
{
    static const uint64_t needed[QUANTILE_COUNT] = { 20, 200, 1000, 10000, 1 };
    uint64_t              most = 1;

    for (uint32_t i = 0; i < QUANTILE_COUNT; i++)
        if (objectives->limits_ns[i] != 0)
            most = max_u64(most, needed[i]);
    return most;
}
