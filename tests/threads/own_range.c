/*
 * own_range.c: random operations on one thread's keys, each checked against what must be there.
 */
#include "tests/threads/own_range.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS 24u /* operations in flight in completion form; each has its own keys */

void must(enum kiwi_status status, const char *what)
{
    if (status == KIWI_OK)
        return;
    fprintf(stderr, "%s: %s: %s\n", what, kiwi_status_text(status), kiwi_error_text());
    abort();
}

static void differs(const struct own_range *range, const char *what, uint32_t key, uint32_t version)
{
    fprintf(stderr, "thread %u: %s: key %u should be at version %u\n", range->thread, what, key,
            version);
    abort();
}

struct kiwi_slice own_key(uint32_t thread, uint32_t key, char room[32])
{
    return (struct kiwi_slice){ room, (size_t)snprintf(room, 32, "thread-%02u-%04u", thread, key) };
}

struct kiwi_slice shared_key(uint32_t key, char room[32])
{
    return (struct kiwi_slice){ room, (size_t)snprintf(room, 32, "shared-%04u", key) };
}

struct kiwi_slice own_value(uint32_t thread, uint32_t key, uint32_t version, char room[512])
{
    uint32_t size = 24 + (key * 31 + version * 17) % 400;
    int      used = snprintf(room, 512, "%02u.%04u.%010u.", thread, key, version);

    memset(room + used, 'a' + (int)(version % 26), size - (uint32_t)used);
    return (struct kiwi_slice){ room, size };
}

static bool value_is(const void *data, size_t size, struct kiwi_slice want)
{
    return size == want.size && memcmp(data, want.data, size) == 0;
}

/* Does what was read under key agree with version? */
static void read_check(const struct own_range *range, uint32_t key, uint32_t version,
                       enum kiwi_status status, const void *data, size_t size)
{
    char room[512];

    if (version == 0) {
        if (status != KIWI_NOT_FOUND)
            differs(range, kiwi_status_text(status), key, version);
        return;
    }
    if (status == KIWI_NOT_FOUND)
        differs(range, "not found", key, version);
    must(status, "get");
    if (!value_is(data, size, own_value(range->thread, key, version, room)))
        differs(range, "other bytes", key, version);
}

static void key_check(struct own_range *range, uint32_t key, struct kiwi_snapshot *snapshot,
                      uint32_t version)
{
    char             room[32];
    enum kiwi_status status;

    status = kiwi_get(range->context, own_key(range->thread, key, room), snapshot, &range->buffer);
    read_check(range, key, version, status, range->buffer.data, range->buffer.size);
}

/* ---- shared keys ---- */

void shared_fill(struct kiwi_context *context)
{
    char key[32], value[512];

    for (uint32_t i = 0; i < SHARED_KEYS; i++)
        must(kiwi_put(context, shared_key(i, key), own_value(99, i, 1, value), KIWI_PROCESS),
             "put");
}

void shared_scan_check(struct own_range *range)
{
    struct kiwi_iterator_options options = { .prefix = { "shared-", 7 } };
    struct kiwi_iterator        *iterator;
    uint32_t                     count = 0;
    char                         room[32], value[512];
    enum kiwi_status             status;

    must(kiwi_iterator_open(range->context, &options, &iterator), "iterator");
    for (status = kiwi_iterator_first(iterator); status == KIWI_OK;
         status = kiwi_iterator_next(iterator), count++) {
        struct kiwi_slice key = kiwi_iterator_key(iterator), row = kiwi_iterator_value(iterator);

        if (!value_is(key.data, key.size, shared_key(count, room))
            || !value_is(row.data, row.size, own_value(99, count, 1, value)))
            differs(range, "shared range", count, 1);
    }
    if (status != KIWI_NOT_FOUND)
        must(status, "shared scan");
    if (count != SHARED_KEYS)
        differs(range, "shared range is cut short", count, 1);
    kiwi_iterator_close(iterator);
}

static void shared_multiget_check(struct own_range *range)
{
    struct kiwi_slice  keys[16];
    struct kiwi_buffer values[16] = { 0 };
    enum kiwi_status   statuses[16];
    char               rooms[16][32], value[512];
    uint32_t           first = (uint32_t)chance_below(&range->chance, SHARED_KEYS - 16);

    for (uint32_t i = 0; i < 16; i++)
        keys[i] = shared_key(first + i, rooms[i]);
    must(kiwi_multiget(range->context, keys, 16, NULL, values, statuses), "multiget");
    for (uint32_t i = 0; i < 16; i++) {
        if (statuses[i] != KIWI_OK
            || !value_is(values[i].data, values[i].size, own_value(99, first + i, 1, value)))
            differs(range, "multiget of a shared key", first + i, 1);
        kiwi_buffer_free(&values[i]);
    }
}

/* ---- blocking steps ---- */

static enum kiwi_durability mode_choose(struct own_range *range)
{
    uint64_t die = chance_below(&range->chance, 40);

    return die == 0 ? KIWI_DURABLE : die < 10 ? KIWI_MEMORY : KIWI_PROCESS;
}

static void step_write(struct own_range *range, bool is_delete)
{
    uint32_t          key = (uint32_t)chance_below(&range->chance, OWN_KEYS);
    char              room[32], value[512];
    struct kiwi_slice name = own_key(range->thread, key, room);
    uint32_t          version = is_delete ? 0 : ++range->version;

    if (is_delete)
        must(kiwi_delete(range->context, name, mode_choose(range)), "delete");
    else
        must(kiwi_put(range->context, name, own_value(range->thread, key, version, value),
                      mode_choose(range)), "put");
    range->versions[key] = version;
}

static void step_batch(struct own_range *range)
{
    uint32_t           count = 2 + (uint32_t)chance_below(&range->chance, 8);
    struct kiwi_batch *batch;
    char               room[32], value[512];

    must(kiwi_batch_open(&batch), "batch");
    for (uint32_t i = 0; i < count; i++) {
        uint32_t          key = (uint32_t)chance_below(&range->chance, OWN_KEYS);
        struct kiwi_slice name = own_key(range->thread, key, room);
        bool              is_delete = chance_below(&range->chance, 5) == 0;

        range->versions[key] = is_delete ? 0 : ++range->version;
        must(is_delete ? kiwi_batch_delete(batch, name)
                       : kiwi_batch_put(batch, name, own_value(range->thread, key,
                                                               range->versions[key], value)),
             "batch entry");
    }
    must(kiwi_write(range->context, batch, mode_choose(range)), "write");
    kiwi_batch_close(batch);
}

static void row_check(struct own_range *range, struct kiwi_iterator *iterator, uint32_t key,
                      uint32_t version)
{
    struct kiwi_slice name = kiwi_iterator_key(iterator), row = kiwi_iterator_value(iterator);
    char              room[32], value[512];

    if (!value_is(name.data, name.size, own_key(range->thread, key, room)))
        differs(range, "a row is missing or foreign", key, version);
    if (!value_is(row.data, row.size, own_value(range->thread, key, version, value)))
        differs(range, "a row holds other bytes", key, version);
}

static void scan_check(struct own_range *range, struct kiwi_snapshot *snapshot,
                       const uint32_t *versions, bool is_backward)
{
    char                         prefix[16];
    struct kiwi_iterator_options options = { .snapshot = snapshot };
    struct kiwi_iterator        *iterator;
    enum kiwi_status             status;

    options.prefix = (struct kiwi_slice){ prefix, (size_t)snprintf(prefix, sizeof prefix,
                                                                   "thread-%02u-", range->thread) };
    must(kiwi_iterator_open(range->context, &options, &iterator), "iterator");
    status = is_backward ? kiwi_iterator_last(iterator) : kiwi_iterator_first(iterator);
    for (uint32_t i = 0; i < OWN_KEYS; i++) {
        uint32_t key = is_backward ? OWN_KEYS - 1 - i : i;

        if (versions[key] == 0)
            continue;
        if (status != KIWI_OK && status != KIWI_NOT_FOUND)
            must(status, "scan");
        if (status == KIWI_NOT_FOUND)
            differs(range, "a scan ends early", key, versions[key]);
        row_check(range, iterator, key, versions[key]);
        status = is_backward ? kiwi_iterator_previous(iterator) : kiwi_iterator_next(iterator);
    }
    if (status != KIWI_NOT_FOUND)
        differs(range, "a scan shows more than there is", OWN_KEYS, 0);
    kiwi_iterator_close(iterator);
}

static void step_snapshot(struct own_range *range)
{
    if (range->snapshot == NULL) {
        must(kiwi_snapshot_open(range->db, &range->snapshot), "snapshot");
        memcpy(range->snapshot_versions, range->versions, sizeof range->versions);
        return;
    }
    if (chance_below(&range->chance, 2) == 0)
        scan_check(range, range->snapshot, range->snapshot_versions,
                   chance_below(&range->chance, 2) == 0);
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t key = (uint32_t)chance_below(&range->chance, OWN_KEYS);
        key_check(range, key, range->snapshot, range->snapshot_versions[key]);
    }
    kiwi_snapshot_close(range->snapshot);
    range->snapshot = NULL;
}

static void step_rare(struct own_range *range)
{
    struct kiwi_stats *stats;

    switch (chance_below(&range->chance, 4)) {
    case 0:
        must(kiwi_flush(range->context), "flush");
        return;
    case 1:
        must(kiwi_compact(range->context, (struct kiwi_slice){ "a", 1 },
                          (struct kiwi_slice){ "z", 1 }), "compact");
        return;
    case 2:
        must(kiwi_wait_durable(range->context), "wait for durability");
        return;
    default:
        stats = malloc(sizeof *stats);
        must(kiwi_stats_read(range->db, stats), "statistics");
        free(stats);
    }
}

void own_step(struct own_range *range)
{
    uint64_t die = chance_below(&range->chance, 1000);
    uint32_t key = (uint32_t)chance_below(&range->chance, OWN_KEYS);

    if (die < 400)
        step_write(range, false);
    else if (die < 480)
        step_write(range, true);
    else if (die < 540)
        step_batch(range);
    else if (die < 840)
        key_check(range, key, NULL, range->versions[key]);
    else if (die < 900)
        shared_multiget_check(range);
    else if (die < 940)
        step_snapshot(range);
    else if (die < 960)
        scan_check(range, NULL, range->versions, die % 2 == 0);
    else if (die < 970)
        shared_scan_check(range);
    else if (die < 974)
        step_rare(range);
    else
        own_steps_submitted(range, SLOTS);
}

/* ---- completion form ---- */

struct slot {
    struct kiwi_op op;
    uint32_t       key, version; /* version: what a get must find, a put writes */
    char           key_room[32], value_room[512], buffer[512];
};

/* Slot i works on the keys i, i + SLOTS, ...: two operations in flight never meet. */
static void slot_fill(struct own_range *range, struct slot *slot, uint32_t index)
{
    memset(&slot->op, 0, sizeof slot->op);
    slot->key = index + SLOTS * (uint32_t)chance_below(&range->chance, OWN_KEYS / SLOTS);
    slot->op.key = own_key(range->thread, slot->key, slot->key_room);
    slot->op.user = slot;
    slot->version = range->versions[slot->key];
    switch (chance_below(&range->chance, 5)) {
    case 0:
    case 1:
        slot->op.verb = KIWI_PUT;
        slot->op.durability = (uint8_t)mode_choose(range);
        if (slot->op.durability == KIWI_DURABLE && chance_below(&range->chance, 2) == 0)
            slot->op.flags = KIWI_FLAG_VISIBLE_TOO;
        slot->version = ++range->version;
        slot->op.value = own_value(range->thread, slot->key, slot->version, slot->value_room);
        return;
    case 2:
        slot->op.verb = KIWI_DELETE;
        slot->version = 0;
        return;
    default:
        slot->op.verb = KIWI_GET;
        slot->op.buffer = slot->buffer;
        slot->op.buffer_bytes = sizeof slot->buffer;
        if (chance_below(&range->chance, 8) == 0)
            slot->op.flags = KIWI_FLAG_STRICT_READ;
    }
}

static void slot_finish(struct own_range *range, struct slot *slot)
{
    if (slot->op.verb == KIWI_GET) {
        read_check(range, slot->key, slot->version, slot->op.status, slot->buffer,
                   slot->op.value_bytes);
        return;
    }
    must(slot->op.status, "submitted write");
    range->versions[slot->key] = slot->version;
}

void own_steps_submitted(struct own_range *range, uint32_t count)
{
    struct slot    *slots = malloc(SLOTS * sizeof *slots);
    struct kiwi_op *ops[SLOTS], *done[SLOTS];
    uint32_t        started = 0, open = 0;

    for (uint32_t i = 0; i < SLOTS && started < count; i++, started++) {
        slot_fill(range, &slots[i], i);
        ops[open++] = &slots[i].op;
    }
    must(kiwi_submit(range->context, ops, open), "submit");
    while (open > 0) {
        size_t got = kiwi_poll(range->context, done, SLOTS, KIWI_FOREVER);

        for (size_t i = 0; i < got; i++) {
            struct slot *slot = done[i]->user;

            if (done[i]->is_visible_only)
                continue;
            slot_finish(range, slot);
            open--;
            if (started == count)
                continue;
            slot_fill(range, slot, (uint32_t)(slot - slots));
            ops[0] = &slot->op;
            must(kiwi_submit(range->context, ops, 1), "submit");
            started++;
            open++;
        }
    }
    free(slots);
}

/* ---- the end ---- */

void own_check(struct own_range *range, struct kiwi_snapshot *snapshot, const uint32_t *versions)
{
    for (uint32_t i = 0; i < OWN_KEYS; i++)
        key_check(range, i, snapshot, versions[i]);
    scan_check(range, snapshot, versions, false);
    scan_check(range, snapshot, versions, true);
}

void own_end(struct own_range *range)
{
    kiwi_snapshot_close(range->snapshot);
    range->snapshot = NULL;
    kiwi_buffer_free(&range->buffer);
}
