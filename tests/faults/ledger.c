/*
 * ledger.c: random work under faults, and the judgement of what is read.
 */
#include "tests/faults/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct kiwi_slice key_name(uint32_t key, char room[32])
{
    return (struct kiwi_slice){ room, (size_t)snprintf(room, 32, "key-%04u", key) };
}

static struct kiwi_slice mark_name(uint32_t batch, uint32_t mark, char room[32])
{
    return (struct kiwi_slice){ room, (size_t)snprintf(room, 32, "mark-%04u-%u", batch, mark) };
}

static struct kiwi_slice value_make(struct kiwi_slice key, uint32_t version, char room[1024])
{
    uint32_t size = 40 + version * 53 % 600;
    int      used = snprintf(room, 1024, "%08u %.*s ", version, (int)key.size,
                             (const char *)key.data);

    memset(room + used, 'a' + (int)(version % 26), size - (uint32_t)used);
    return (struct kiwi_slice){ room, size };
}

void ledger_begin(struct ledger *ledger)
{
    memset(ledger, 0, sizeof *ledger);
    for (uint32_t i = 0; i < LEDGER_KEYS; i++)
        ledger->keys[i].count = 1; /* version 0: absent */
}

/* ---- reading ---- */

static uint32_t version_of(const void *data, size_t size, struct kiwi_slice key, const char *label)
{
    char              room[1024], digits[9] = { 0 };
    struct kiwi_slice want;
    uint32_t          version;

    memcpy(digits, data, size < 8 ? size : 8);
    version = (uint32_t)strtoul(digits, NULL, 10);
    want = value_make(key, version, room);
    if (size != want.size || memcmp(data, want.data, size) != 0)
        fail_msg("%s: %.*s holds bytes that nobody wrote", label, (int)key.size,
                 (const char *)key.data);
    return version;
}

/* The text of a read error says where. */
static void read_error_note(struct ledger *ledger, enum kiwi_status status, bool errors_allowed,
                            const char *label)
{
    if (!errors_allowed)
        fail_msg("%s: reading: %s: %s", label, kiwi_status_text(status), kiwi_error_text());
    if (status != KIWI_IO && status != KIWI_CORRUPT)
        fail_msg("%s: a read failed in an odd way: %s: %s", label, kiwi_status_text(status),
                 kiwi_error_text());
    snprintf(ledger->read_error, sizeof ledger->read_error, "%s", kiwi_error_text());
    if (strstr(kiwi_error_text(), "/t-") == NULL || strstr(kiwi_error_text(), "offset") == NULL)
        fail_msg("%s: a read error names no table or no offset: %s", label, kiwi_error_text());
    ledger->read_errors++;
}

static bool version_may_stand(const struct ledger_key *key, uint32_t version)
{
    for (uint32_t i = 0; i < key->count; i++)
        if (key->versions[i] == version)
            return true;
    return false;
}

static bool name_read(struct ledger *ledger, struct kiwi_context *context, struct kiwi_slice name,
                      bool errors_allowed, uint32_t *version, const char *label)
{
    struct kiwi_buffer value = { 0 };
    enum kiwi_status   status = kiwi_get(context, name, NULL, &value);

    *version = status == KIWI_OK ? version_of(value.data, value.size, name, label) : 0;
    kiwi_buffer_free(&value);
    if (status == KIWI_OK || status == KIWI_NOT_FOUND)
        return true;
    read_error_note(ledger, status, errors_allowed, label);
    return false;
}

static void version_judge(const struct ledger *ledger, uint32_t key, uint32_t version,
                          const char *label)
{
    if (!version_may_stand(&ledger->keys[key], version))
        fail_msg("%s: key %u shows version %u; %u or one of %u later ones should", label, key,
                 version, ledger->keys[key].versions[0], ledger->keys[key].count - 1);
}

void ledger_get(struct ledger *ledger, struct kiwi_context *context, uint32_t key,
                bool errors_allowed, const char *label)
{
    char     room[32];
    uint32_t version;

    if (name_read(ledger, context, key_name(key, room), errors_allowed, &version, label))
        version_judge(ledger, key, version, label);
}

static bool version_must_stand(const struct ledger_key *key)
{
    return !version_may_stand(key, 0);
}

/* Every plain key that must be there is there, in order, with a version that may stand. */
static void scan_judge(struct ledger *ledger, struct kiwi_context *context, bool errors_allowed,
                       const char *label)
{
    struct kiwi_iterator_options options = { .prefix = { "key-", 4 } };
    struct kiwi_iterator        *iterator;
    uint32_t                     next = 0;
    enum kiwi_status             status = kiwi_iterator_open(context, &options, &iterator);

    assert_int_equal(status, KIWI_OK);
    for (status = kiwi_iterator_first(iterator); status == KIWI_OK;
         status = kiwi_iterator_next(iterator)) {
        struct kiwi_slice name = kiwi_iterator_key(iterator), row = kiwi_iterator_value(iterator);
        char              digits[5] = { 0 };
        uint32_t          key;

        memcpy(digits, (const char *)name.data + 4, name.size < 8 ? name.size - 4 : 4);
        key = (uint32_t)strtoul(digits, NULL, 10);
        for (; next < key && next < LEDGER_KEYS; next++)
            if (version_must_stand(&ledger->keys[next]))
                fail_msg("%s: a scan lacks key %u", label, next);
        if (key >= LEDGER_KEYS || key != next)
            fail_msg("%s: a scan shows %.*s", label, (int)name.size, (const char *)name.data);
        version_judge(ledger, key, version_of(row.data, row.size, name, label), label);
        next = key + 1;
    }
    if (status != KIWI_NOT_FOUND)
        read_error_note(ledger, status, errors_allowed, label);
    for (; status == KIWI_NOT_FOUND && next < LEDGER_KEYS; next++)
        if (version_must_stand(&ledger->keys[next]))
            fail_msg("%s: a scan ends before key %u", label, next);
    kiwi_iterator_close(iterator);
}

/* ---- writing ---- */

static void write_note(struct ledger *ledger, enum kiwi_status status)
{
    if (status == KIWI_OK) {
        ledger->acknowledged++;
        return;
    }
    ledger->refused++;
    ledger->last_refusal = status;
    snprintf(ledger->refusal, sizeof ledger->refusal, "%s", kiwi_error_text());
}

static void version_note(struct ledger *ledger, uint32_t key, uint32_t version, bool acknowledged)
{
    struct ledger_key *kept = &ledger->keys[key];

    if (acknowledged)
        kept->count = 0;
    if (kept->count == LEDGER_VERSIONS)
        fail_msg("the ledger is too small");
    if (!version_may_stand(kept, version))
        kept->versions[kept->count++] = version;
}

/* A key whose writes have failed too often to remember. */
static bool is_crowded(const struct ledger *ledger, uint32_t key)
{
    return ledger->keys[key].count + 1 >= LEDGER_VERSIONS;
}

void ledger_put(struct ledger *ledger, struct kiwi_context *context, uint32_t key,
                enum kiwi_durability mode)
{
    char              room[32], value[1024];
    struct kiwi_slice name = key_name(key, room);
    uint32_t          version = ++ledger->version;
    enum kiwi_status  status;

    if (is_crowded(ledger, key))
        return;
    status = kiwi_put(context, name, value_make(name, version, value), mode);
    write_note(ledger, status);
    version_note(ledger, key, version, status == KIWI_OK);
}

static void step_delete(struct ledger *ledger, struct kiwi_context *context, uint32_t key,
                        enum kiwi_durability mode)
{
    char             room[32];
    enum kiwi_status status;

    if (is_crowded(ledger, key))
        return;
    status = kiwi_delete(context, key_name(key, room), mode);
    write_note(ledger, status);
    version_note(ledger, key, 0, status == KIWI_OK);
}

static void step_batch(struct ledger *ledger, struct kiwi_context *context,
                       enum kiwi_durability mode)
{
    struct kiwi_batch *batch;
    uint32_t           id = ledger->batch_count;
    char               room[32], value[1024];
    enum kiwi_status   status;

    if (id == LEDGER_BATCHES)
        return;
    assert_int_equal(kiwi_batch_open(&batch), KIWI_OK);
    for (uint32_t i = 0; i < LEDGER_MARKS; i++) {
        struct kiwi_slice name = mark_name(id, i, room);
        assert_int_equal(kiwi_batch_put(batch, name, value_make(name, 1 + id, value)), KIWI_OK);
    }
    ledger->batch_count++;
    status = kiwi_write(context, batch, mode);
    write_note(ledger, status);
    ledger->batches[id].is_acknowledged = status == KIWI_OK;
    kiwi_batch_close(batch);
}

void ledger_step(struct ledger *ledger, struct kiwi_context *context, uint64_t *chance,
                 const char *label)
{
    uint64_t             die = chance_below(chance, 1000);
    uint32_t             key = (uint32_t)chance_below(chance, LEDGER_KEYS);
    enum kiwi_durability mode = chance_below(chance, 4) == 0 ? KIWI_DURABLE : KIWI_PROCESS;

    if (die < 560)
        ledger_put(ledger, context, key, mode);
    else if (die < 640)
        step_delete(ledger, context, key, mode);
    else if (die < 700)
        step_batch(ledger, context, mode);
    else if (die < 970)
        ledger_get(ledger, context, key, true, label);
    else if (die < 985)
        scan_judge(ledger, context, true, label);
    else if (die < 998)
        (void)kiwi_flush(context);
    else
        (void)kiwi_compact(context, (struct kiwi_slice){ NULL, 0 }, (struct kiwi_slice){ NULL, 0 });
}

/* ---- the judgement ---- */

static void batch_judge(struct ledger *ledger, struct kiwi_context *context, uint32_t id,
                        const char *label)
{
    uint32_t there = 0, version;
    char     room[32];

    for (uint32_t i = 0; i < LEDGER_MARKS; i++) {
        (void)name_read(ledger, context, mark_name(id, i, room), false, &version, label);
        there += version == 1 + id;
    }
    if (there != 0 && there != LEDGER_MARKS)
        fail_msg("%s: batch %u is there in part (%u of %u keys)", label, id, there, LEDGER_MARKS);
    if (there == 0 && ledger->batches[id].is_acknowledged)
        fail_msg("%s: batch %u was acknowledged and is lost", label, id);
    ledger->batches[id].is_acknowledged = there != 0;
}

void ledger_check(struct ledger *ledger, struct kiwi_context *context, const char *label)
{
    scan_judge(ledger, context, false, label);
    for (uint32_t key = 0; key < LEDGER_KEYS; key++) {
        char     room[32];
        uint32_t version;

        (void)name_read(ledger, context, key_name(key, room), false, &version, label);
        version_judge(ledger, key, version, label);
        ledger->keys[key].versions[0] = version;
        ledger->keys[key].count = 1;
    }
    for (uint32_t id = 0; id < ledger->batch_count; id++)
        batch_judge(ledger, context, id, label);
}
