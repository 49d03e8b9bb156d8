/*
 * series.c: columns from the engine's counters, and packed histograms.
 */
#include "bench/series.h"

#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"

struct column {
    const char *name;
    size_t      at;
    bool        is_size;   /* else a counter */
};

#define SIZE_OF(field)    { #field, offsetof(struct kiwi_stats, field), true }
#define COUNTER_OF(field) { #field, offsetof(struct kiwi_stats, field), false }

static const struct column plain[] = {
    SIZE_OF(memtable_bytes),          SIZE_OF(frozen_bytes),
    SIZE_OF(memory_bytes),            SIZE_OF(table_file_bytes),
    SIZE_OF(pool_file_bytes),         SIZE_OF(live_bytes),
    COUNTER_OF(user_write_bytes),     COUNTER_OF(log_write_bytes),
    COUNTER_OF(log_groups),           COUNTER_OF(log_syncs),
    COUNTER_OF(manifest_write_bytes), COUNTER_OF(flush_count),
    COUNTER_OF(flush_bytes),          COUNTER_OF(flush_ns),
    COUNTER_OF(compaction_count),     COUNTER_OF(compaction_read_bytes),
    COUNTER_OF(compaction_write_bytes), COUNTER_OF(compaction_ns),
    COUNTER_OF(device_reads),         COUNTER_OF(device_writes),
};

/* Of parts that repeat; the place is counted from the part's beginning. */
static const struct column of_level[] = {
    { "bytes", offsetof(struct kiwi_level_stats, bytes), true },
    { "flush_bytes", offsetof(struct kiwi_level_stats, flush_bytes), false },
    { "compaction_bytes", offsetof(struct kiwi_level_stats, compaction_out_bytes), false },
    { "get_reads", offsetof(struct kiwi_level_stats, get_reads), false },
    { "filter_checks", offsetof(struct kiwi_level_stats, filter_checks), false },
    { "filter_skips", offsetof(struct kiwi_level_stats, filter_skips), false },
    { "filter_false", offsetof(struct kiwi_level_stats, filter_false), false },
};
static const struct column of_tier[] = {
    { "hits", offsetof(struct kiwi_tier_stats, hits), false },
    { "misses", offsetof(struct kiwi_tier_stats, misses), false },
    { "evictions", offsetof(struct kiwi_tier_stats, evictions), false },
};
static const struct column of_stall[] = {
    { "count", offsetof(struct kiwi_stall_stats, count), false },
    { "ns", offsetof(struct kiwi_stall_stats, total_ns), false },
};

#define ANSWER_COLUMNS 3u /* gets, p50_ns, p99_ns */

static const char *const tiers[KIWI_TIER_COUNT] = { "record", "block", "index", "filter" };
static const char *const stalls[KIWI_STALL_COUNT] = { "memtable", "log", "debt", "memory" };

/* Where each part begins. */
enum {
    LEVELS_AT = ARRAY_COUNT(plain),
    TIERS_AT = LEVELS_AT + KIWI_LEVEL_COUNT_MAX * ARRAY_COUNT(of_level),
    STALLS_AT = TIERS_AT + KIWI_TIER_COUNT * ARRAY_COUNT(of_tier),
    ANSWERS_AT = STALLS_AT + KIWI_STALL_COUNT * ARRAY_COUNT(of_stall),
    COLUMN_COUNT = ANSWERS_AT + KIWI_ANSWER_COUNT * ANSWER_COLUMNS,
};
static_assert(COLUMN_COUNT <= SERIES_STATS_MAX, "series rows hold all columns");

uint32_t series_stats_count(void)
{
    return COLUMN_COUNT;
}

static void answer_word(uint32_t answer, char *text, size_t bytes)
{
    if (answer >= KIWI_ANSWER_LEVEL0 && answer < KIWI_ANSWER_NOTHING)
        snprintf(text, bytes, "L%u", answer - KIWI_ANSWER_LEVEL0);
    else
        snprintf(text, bytes, "%s",
                 answer == KIWI_ANSWER_RECORD_CACHE ? "record_cache"
                 : answer == KIWI_ANSWER_MEMTABLE   ? "memtable"
                 : answer == KIWI_ANSWER_FROZEN     ? "frozen"
                                                    : "nothing");
}

void series_stats_name(uint32_t index, char *text, size_t bytes)
{
    static const char *const answer_columns[ANSWER_COLUMNS] = { "gets", "p50_ns", "p99_ns" };
    char                     word[24];
    uint32_t                 at;

    assert(index < COLUMN_COUNT);
    if (index < LEVELS_AT) {
        snprintf(text, bytes, "%s", plain[index].name);
    } else if (index < TIERS_AT) {
        at = index - LEVELS_AT;
        snprintf(text, bytes, "L%u_%s", at / (uint32_t)ARRAY_COUNT(of_level),
                 of_level[at % ARRAY_COUNT(of_level)].name);
    } else if (index < STALLS_AT) {
        at = index - TIERS_AT;
        snprintf(text, bytes, "cache_%s_%s", tiers[at / ARRAY_COUNT(of_tier)],
                 of_tier[at % ARRAY_COUNT(of_tier)].name);
    } else if (index < ANSWERS_AT) {
        at = index - STALLS_AT;
        snprintf(text, bytes, "stall_%s_%s", stalls[at / ARRAY_COUNT(of_stall)],
                 of_stall[at % ARRAY_COUNT(of_stall)].name);
    } else {
        at = index - ANSWERS_AT;
        answer_word(at / ANSWER_COLUMNS, word, sizeof word);
        snprintf(text, bytes, "answer_%s_%s", word, answer_columns[at % ANSWER_COLUMNS]);
    }
}

static uint64_t *columns_read(const struct column *columns, size_t count, const void *now,
                              const void *before, uint64_t *values)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t is, was;

        memcpy(&is, (const char *)now + columns[i].at, sizeof is);
        memcpy(&was, (const char *)before + columns[i].at, sizeof was);
        *values++ = columns[i].is_size ? is : is - min_u64(was, is);
    }
    return values;
}

static void latency_between(struct kiwi_latency *target, const struct kiwi_latency *now,
                            const struct kiwi_latency *before)
{
    memset(target, 0, sizeof *target);
    for (uint32_t i = 0; i < KIWI_LATENCY_BUCKET_COUNT; i++) {
        target->buckets[i] = now->buckets[i] - before->buckets[i];
        target->count += target->buckets[i];
        if (target->buckets[i] != 0)
            target->max_ns = histogram_bucket_floor(i + 1) - 1;
    }
    target->max_ns = min_u64(target->max_ns, max_u64(now->max_ns, before->max_ns));
}

void series_stats_read(const struct kiwi_stats *now, const struct kiwi_stats *before,
                       uint64_t *values)
{
    values = columns_read(plain, ARRAY_COUNT(plain), now, before, values);
    for (uint32_t i = 0; i < KIWI_LEVEL_COUNT_MAX; i++)
        values = columns_read(of_level, ARRAY_COUNT(of_level), &now->levels[i],
                              &before->levels[i], values);
    for (uint32_t i = 0; i < KIWI_TIER_COUNT; i++)
        values = columns_read(of_tier, ARRAY_COUNT(of_tier), &now->tiers[i], &before->tiers[i],
                              values);
    for (uint32_t i = 0; i < KIWI_STALL_COUNT; i++)
        values = columns_read(of_stall, ARRAY_COUNT(of_stall), &now->stalls[i],
                              &before->stalls[i], values);
    for (uint32_t i = 0; i < KIWI_ANSWER_COUNT; i++) {
        const struct kiwi_answer_stats *at = &now->answers[i];
        struct kiwi_latency             latency;

        latency_between(&latency, &at->latency, &before->answers[i].latency);
        *values++ = at->gets - min_u64(before->answers[i].gets, at->gets);
        *values++ = kiwi_latency_percentile(&latency, 0.5);
        *values++ = kiwi_latency_percentile(&latency, 0.99);
    }
}

/* row, operation and clock, pairs, then bucket and count of each. */
#define INTERVAL_HEAD 3u

void interval_log_add(struct interval_log *log, uint32_t row, uint32_t operation,
                      enum latency_clock clock, const struct kiwi_latency *now,
                      const struct kiwi_latency *before)
{
    size_t    needed = log->count + INTERVAL_HEAD + 2u * KIWI_LATENCY_BUCKET_COUNT;
    uint32_t *head;

    if (now->count == before->count)
        return;
    if (needed > log->capacity) {
        size_t    capacity = needed * 2;
        uint32_t *words = memory_resize(log->words, capacity * sizeof *words);

        if (words == NULL)
            return;
        log->words = words;
        log->capacity = capacity;
    }
    head = log->words + log->count;
    head[0] = row;
    head[1] = operation | (uint32_t)clock << 8;
    head[2] = 0;
    log->count += INTERVAL_HEAD;
    for (uint32_t i = 0; i < KIWI_LATENCY_BUCKET_COUNT; i++)
        if (now->buckets[i] != before->buckets[i]) {
            log->words[log->count++] = i;
            log->words[log->count++] = now->buckets[i] - before->buckets[i];
            head[2]++;
        }
}

bool interval_log_read(const struct interval_log *log, size_t *at, uint32_t *row,
                       uint32_t *operation, enum latency_clock *clock,
                       struct kiwi_latency *latency)
{
    const uint32_t *head = log->words + *at;

    if (*at >= log->count)
        return false;
    memset(latency, 0, sizeof *latency);
    *row = head[0];
    *operation = head[1] & 255;
    *clock = (enum latency_clock)(head[1] >> 8);
    for (uint32_t i = 0; i < head[2]; i++) {
        uint32_t bucket = head[INTERVAL_HEAD + 2 * i], count = head[INTERVAL_HEAD + 2 * i + 1];

        latency->buckets[bucket] = count;
        latency->count += count;
        latency->max_ns = histogram_bucket_floor(bucket + 1) - 1;
    }
    *at += INTERVAL_HEAD + 2 * (size_t)head[2];
    return true;
}

void interval_log_free(struct interval_log *log)
{
    memory_free(log->words);
    memset(log, 0, sizeof *log);
}
