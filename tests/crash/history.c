/*
 * history.c: judging a recovered database.
 */
#include "tests/crash/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kiwi_slice history_key(uint32_t key, uint32_t name, char room[24])
{
    int size = key < HISTORY_KEYS ? snprintf(room, 24, "key%05u", key)
                                  : snprintf(room, 24, "batch%05u-%u", key - HISTORY_KEYS, name);

    return (struct kiwi_slice){ room, (size_t)size };
}

struct kiwi_slice history_value(uint32_t stamp, char room[1024])
{
    uint32_t want = 12 + stamp * 37 % 700;
    int      used = snprintf(room, 1024, "%08u", stamp);

    memset(room + used, 'a' + (int)(stamp % 26), want - (uint32_t)used);
    return (struct kiwi_slice){ room, want };
}

/* The stamp that stands under key now: 0 when there is nothing. */
static uint32_t stamp_read(struct kiwi_context *context, struct kiwi_slice key, const char *label)
{
    struct kiwi_buffer value = { 0 };
    enum kiwi_status   status = kiwi_get(context, key, NULL, &value);
    char               room[1024];
    struct kiwi_slice  want;
    uint32_t           stamp;

    if (status == KIWI_NOT_FOUND) {
        kiwi_buffer_free(&value);
        return 0;
    }
    if (status != KIWI_OK)
        fail_msg("%s: %.*s: %s: %s", label, (int)key.size, (const char *)key.data,
                 kiwi_status_text(status), kiwi_error_text());
    stamp = (uint32_t)strtoul(value.data, NULL, 10);
    want = history_value(stamp, room);
    if (value.size != want.size || memcmp(value.data, want.data, want.size) != 0)
        fail_msg("%s: %.*s holds bytes that nobody wrote", label, (int)key.size,
                 (const char *)key.data);
    kiwi_buffer_free(&value);
    return stamp;
}

struct judge {
    const struct history *history;
    uint32_t stamps[HISTORY_KEYS];        /* of the plain keys, now */
    bool     batch_there[HISTORY_BATCHES];
    const char *label;
};

static void batches_judge(struct judge *judge, struct kiwi_context *context)
{
    bool     known[HISTORY_BATCHES] = { false };
    char     room[24];

    for (uint32_t i = 0; i < judge->history->count; i++) {
        const struct history_write *write = &judge->history->writes[i];
        bool                        there;

        if (write->key < HISTORY_KEYS)
            continue;
        there = stamp_read(context, history_key(write->key, write->name, room), judge->label)
             == write->stamp;
        if (known[write->batch] && there != judge->batch_there[write->batch])
            fail_msg("%s: batch %u is there in part (shard %u: %s)", judge->label, write->batch,
                     write->shard, there ? "there" : "missing");
        if (!there && write->is_safe)
            fail_msg("%s: batch %u was acknowledged and is lost (shard %u, write %u of %u)",
                     judge->label, write->batch, write->shard, i, judge->history->count);
        known[write->batch] = true;
        judge->batch_there[write->batch] = there;
    }
}

/* Does the shard look as after its first `length` writes? */
static bool prefix_fits(const struct judge *judge, uint32_t shard, uint32_t length)
{
    uint32_t stamps[HISTORY_KEYS] = { 0 };
    bool     touched[HISTORY_KEYS] = { false };
    uint32_t seen = 0;

    for (uint32_t i = 0; i < judge->history->count; i++) {
        const struct history_write *write = &judge->history->writes[i];

        if (write->shard != shard)
            continue;
        if (write->key < HISTORY_KEYS) {
            touched[write->key] = true;
            if (seen < length && (write->batch == 0 || judge->batch_there[write->batch]))
                stamps[write->key] = write->stamp;
        }
        seen++;
    }
    for (uint32_t k = 0; k < HISTORY_KEYS; k++)
        if (touched[k] && stamps[k] != judge->stamps[k])
            return false;
    return true;
}

static void shard_judge(const struct judge *judge, uint32_t shard)
{
    uint32_t total = 0, floor = 0;

    for (uint32_t i = 0; i < judge->history->count; i++) {
        const struct history_write *write = &judge->history->writes[i];

        if (write->shard != shard)
            continue;
        total++;
        if (write->is_safe || (write->batch != 0 && judge->batch_there[write->batch]))
            floor = total;
    }
    for (uint32_t length = floor; length <= total; length++)
        if (prefix_fits(judge, shard, length))
            return;
    for (uint32_t length = 0; length < floor; length++)
        if (prefix_fits(judge, shard, length))
            fail_msg("%s: shard %u is at write %u of %u, but write %u was acknowledged",
                     judge->label, shard, length, total, floor);
    fail_msg("%s: shard %u looks like no prefix of its %u writes", judge->label, shard, total);
}

void history_check(const struct history *history, struct kiwi_db *db,
                   struct kiwi_context *context, const char *label)
{
    struct judge *judge = calloc(1, sizeof *judge);
    char          room[24];

    judge->history = history;
    judge->label = label;
    for (uint32_t k = 0; k < HISTORY_KEYS; k++)
        judge->stamps[k] = stamp_read(context, history_key(k, 0, room), label);
    batches_judge(judge, context);
    for (uint32_t shard = 0; shard < kiwi_shard_count(db); shard++)
        shard_judge(judge, shard);
    free(judge);
}
