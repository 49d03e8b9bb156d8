/*
 * tracked.c: versions of sampled records.
 */
#include "bench/tracked.h"

#include <stdatomic.h>

#include "core/base/memory.h"

struct entry_state {
    atomic_flag lock;
    uint32_t    in_flight;
    bool        has_acknowledged;  /* some write of the open group was */
    uint64_t    version;           /* the last one given out */
    uint64_t    group_first;       /* first version of the open group */
    uint64_t    floor;             /* first version of the last group that counts */
    uint64_t    last_delete;       /* the newest version that is a delete's; 0: none was */
};

struct tracked {
    uint64_t           stride;     /* odd */
    uint64_t           inverse;    /* of stride modulo 2^64 */
    uint64_t           count;
    struct entry_state entries[];
};

enum kiwi_status tracked_open(uint64_t record_count, uint64_t sample_count, struct tracked **out)
{
    uint64_t        stride, count, inverse;
    struct tracked *tracked;

    assert(sample_count > 0);
    stride = record_count / sample_count | 1;
    count = record_count / stride + 1;
    tracked = memory_allocate_zeroed(sizeof *tracked + count * sizeof tracked->entries[0]);
    *out = tracked;
    if (tracked == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for %llu tracked records",
                    (unsigned long long)count);
    /* Newton's iteration doubles the correct low bits: 3, 6, 12, 24, 48, 96. */
    inverse = stride;
    for (int i = 0; i < 5; i++)
        inverse *= 2 - stride * inverse;
    assert(inverse * stride == 1);
    tracked->stride = stride;
    tracked->inverse = inverse;
    tracked->count = count;
    for (uint64_t i = 0; i < count; i++)
        atomic_flag_clear(&tracked->entries[i].lock);
    return KIWI_OK;
}

void tracked_close(struct tracked *tracked)
{
    memory_free(tracked);
}

uint64_t tracked_place(const struct tracked *tracked, uint64_t record)
{
    /* Multiples of an odd number, times its inverse, are exactly the small quotients. */
    uint64_t quotient = record * tracked->inverse;

    return quotient < tracked->count ? quotient : TRACKED_NONE;
}

uint64_t tracked_count(const struct tracked *tracked)
{
    return tracked->count;
}

uint64_t tracked_record(const struct tracked *tracked, uint64_t place)
{
    assert(place < tracked->count);
    return place * tracked->stride;
}

static void entry_lock(struct entry_state *entry)
{
    while (atomic_flag_test_and_set_explicit(&entry->lock, memory_order_acquire))
        ;
}

static void entry_unlock(struct entry_state *entry)
{
    atomic_flag_clear_explicit(&entry->lock, memory_order_release);
}

static uint64_t write_begin(struct tracked *tracked, uint64_t place, bool is_delete)
{
    struct entry_state *entry = &tracked->entries[place];
    uint64_t            version;

    assert(place < tracked->count);
    entry_lock(entry);
    version = ++entry->version;
    if (entry->in_flight++ == 0) {
        entry->group_first = version;
        entry->has_acknowledged = false;
    }
    if (is_delete)
        entry->last_delete = version;
    entry_unlock(entry);
    return version;
}

uint64_t tracked_begin(struct tracked *tracked, uint64_t place)
{
    return write_begin(tracked, place, false);
}

void tracked_begin_delete(struct tracked *tracked, uint64_t place)
{
    (void)write_begin(tracked, place, true);
}

void tracked_end(struct tracked *tracked, uint64_t place, bool was_acknowledged)
{
    struct entry_state *entry = &tracked->entries[place];

    entry_lock(entry);
    assert(entry->in_flight > 0);
    entry->has_acknowledged |= was_acknowledged;
    if (--entry->in_flight == 0 && entry->has_acknowledged)
        entry->floor = entry->group_first;
    entry_unlock(entry);
}

void tracked_bounds(const struct tracked *tracked, uint64_t place, uint64_t *first, uint64_t *last)
{
    const struct entry_state *entry = &tracked->entries[place];

    assert(place < tracked->count);
    *first = entry->floor;
    *last = entry->version;
}

bool tracked_may_be_missing(const struct tracked *tracked, uint64_t place)
{
    const struct entry_state *entry = &tracked->entries[place];

    assert(place < tracked->count);
    return entry->floor == 0 || entry->last_delete >= entry->floor;
}

double tracked_deleted_share(const struct tracked *tracked)
{
    uint64_t written = 0, deleted = 0;

    for (uint64_t i = 0; i < tracked->count; i++) {
        const struct entry_state *entry = &tracked->entries[i];

        written += entry->version > 0;
        deleted += entry->version > 0 && entry->last_delete == entry->version;
    }
    return written > 0 ? (double)deleted / (double)written : 0;
}
