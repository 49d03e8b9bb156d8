/*
 * skew.c: from noted requests to the shares of the records most asked for.
 */
#include "bench/skew.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"

#define REQUESTS_MAX   (1u << 20) /* noted by all threads together; 8 bytes each */
#define REQUESTS_LEAST 4096u     /* noted by each in any case */
#define REQUESTS_FEW    100u     /* fewer say nothing */

enum kiwi_status skew_open(struct skew *skew, uint32_t thread_count)
{
    memset(skew, 0, sizeof *skew);
    skew->notes = memory_allocate_zeroed(thread_count * sizeof *skew->notes);
    if (skew->notes == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to note the requests of %u threads", thread_count);
    skew->count = thread_count;
    for (uint32_t i = 0; i < thread_count; i++) {
        struct skew_note *note = &skew->notes[i];

        note->capacity = max_u64(REQUESTS_MAX / thread_count, REQUESTS_LEAST);
        note->records = memory_allocate(note->capacity * sizeof note->records[0]);
        if (note->records == NULL) {
            skew_close(skew);
            return FAIL(KIWI_NO_MEMORY, "no memory to note the requests of %u threads",
                        thread_count);
        }
    }
    skew_clear(skew);
    return KIWI_OK;
}

void skew_close(struct skew *skew)
{
    for (uint32_t i = 0; i < skew->count; i++)
        memory_free(skew->notes[i].records);
    memory_free(skew->notes);
    memset(skew, 0, sizeof *skew);
}

/* Also touches the memory, so that no page fault is left for the measured part. */
void skew_clear(struct skew *skew)
{
    for (uint32_t i = 0; i < skew->count; i++) {
        struct skew_note *note = &skew->notes[i];

        memset(note->records, 0, note->capacity * sizeof note->records[0]);
        note->at = 0;
        note->wait = note->stride = 1;
        note->is_full = false;
    }
}

/* The records that one half asks for equally often, and what the other half asks of them. */
struct tier {
    uint64_t records, requests;
};

/* Moves the number at place down to where no child is larger. */
static void heap_sift(uint64_t *numbers, uint64_t place, uint64_t count)
{
    uint64_t number = numbers[place];

    for (uint64_t child; (child = 2 * place + 1) < count; place = child) {
        if (child + 1 < count && numbers[child + 1] > numbers[child])
            child++;
        if (numbers[child] <= number)
            break;
        numbers[place] = numbers[child];
    }
    numbers[place] = number;
}

/* In place: qsort takes as much memory again, which would count against a capped engine. */
static void heap_sort(uint64_t *numbers, uint64_t count)
{
    for (uint64_t place = count / 2; place-- > 0;)
        heap_sift(numbers, place, count);
    for (uint64_t left = count; left-- > 1;) {
        uint64_t largest = numbers[0];

        numbers[0] = numbers[left];
        numbers[left] = largest;
        heap_sift(numbers, 0, left);
    }
}

/* All requests noted as record * 2 + half, in ascending order; every other one is of the second
 * half. NULL: no memory. */
static uint64_t *requests_sorted(const struct skew *skew, uint64_t *count)
{
    uint64_t *requests, at = 0;

    *count = 0;
    for (uint32_t i = 0; i < skew->count; i++)
        *count += skew->notes[i].is_full ? skew->notes[i].capacity : skew->notes[i].at;
    requests = memory_allocate((*count + 1) * sizeof *requests);
    if (requests == NULL)
        return NULL;
    for (uint32_t i = 0; i < skew->count; i++) {
        const struct skew_note *note = &skew->notes[i];
        const uint64_t          noted = note->is_full ? note->capacity : note->at;

        for (uint64_t j = 0; j < noted; j++)
            requests[at++] = note->records[j] * 2 + j % 2;
    }
    heap_sort(requests, at);
    return requests;
}

/* How often one record was asked for, at most. */
static uint64_t run_max(const uint64_t *requests, uint64_t count)
{
    uint64_t longest = 0;

    for (uint64_t i = 0, begin = 0; i < count; i++) {
        if (requests[i] / 2 != requests[begin] / 2)
            begin = i;
        longest = max_u64(longest, i + 1 - begin);
    }
    return longest;
}

/* Files the records under how often the ranking half asks for them. */
static void tiers_fill(struct tier *tiers, uint64_t tier_count, const uint64_t *requests,
                       uint64_t count, uint32_t half, uint64_t records)
{
    uint64_t seen = 0;

    memset(tiers, 0, tier_count * sizeof *tiers);
    for (uint64_t i = 0; i < count;) {
        const uint64_t record = requests[i] / 2;
        uint64_t       by_half[2] = { 0, 0 };

        for (; i < count && requests[i] / 2 == record; i++)
            by_half[requests[i] % 2]++;
        tiers[by_half[half]].records++;
        tiers[by_half[half]].requests += by_half[1 - half];
        seen++;
    }
    /* And those that nobody asked for. */
    tiers[0].records += records > seen ? records - seen : 0;
}

/* The share of the measuring half that goes to the top records; of a tier that is taken in part,
 * the records are as good as each other. */
static double tiers_top(const struct tier *tiers, uint64_t tier_count, uint64_t top)
{
    double   sum = 0, all = 0;
    uint64_t left = top;

    for (uint64_t i = 0; i < tier_count; i++)
        all += (double)tiers[i].requests;
    for (uint64_t i = tier_count; i-- > 0 && left > 0;) {
        uint64_t taken = min_u64(left, tiers[i].records);

        if (taken > 0)
            sum += (double)tiers[i].requests * ((double)taken / (double)tiers[i].records);
        left -= taken;
    }
    return all > 0 ? sum / all : 0;
}

struct skew_shares skew_sum(const struct skew *skew, uint64_t records)
{
    struct skew_shares shares = { .records = records };
    const uint64_t     tops[3] = { 1, (records + 99) / 100, (records + 9) / 10 };
    double            *to[3] = { &shares.hottest, &shares.top_percent, &shares.top_tenth };
    uint64_t          *requests = requests_sorted(skew, &shares.requests);
    uint64_t           tier_count = requests == NULL ? 1 : run_max(requests, shares.requests) + 1;
    struct tier       *tiers = memory_allocate(tier_count * sizeof *tiers);

    shares.is_measured = requests != NULL && tiers != NULL && shares.requests >= REQUESTS_FEW
                      && records > 0;
    for (uint32_t half = 0; half < 2 && shares.is_measured; half++) {
        tiers_fill(tiers, tier_count, requests, shares.requests, half, records);
        for (size_t i = 0; i < 3; i++)
            *to[i] += tiers_top(tiers, tier_count, tops[i]) / 2;
    }
    /* No choice is more even than an even one; a sequence that repeats nothing would seem so. */
    for (size_t i = 0; i < 3 && shares.is_measured; i++) {
        double even = (double)tops[i] / (double)records;

        *to[i] = *to[i] < even ? even : *to[i];
    }
    memory_free(requests);
    memory_free(tiers);
    return shares;
}
