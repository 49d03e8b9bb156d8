/*
 * kill_board.c: names, values and the judgement after a kill.
 */
#include "tests/crash/kill_board.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kiwi_durability kill_mode(uint32_t key)
{
    return key % 5 == 0 ? KIWI_DURABLE : key % 5 == 1 ? KIWI_MEMORY : KIWI_PROCESS;
}

struct kiwi_slice kill_key(uint32_t writer, uint32_t key, char room[40])
{
    return (struct kiwi_slice){ room, (size_t)snprintf(room, 40, "key-%u-%05u", writer, key) };
}

struct kiwi_slice kill_set_key(uint32_t writer, uint32_t set, uint32_t key, char room[40])
{
    return (struct kiwi_slice){ room,
                                (size_t)snprintf(room, 40, "set-%u-%03u-%u", writer, set, key) };
}

bool kill_version_is_absent(uint32_t version)
{
    return version % 11 == 0;
}

struct kiwi_slice kill_value(struct kiwi_slice key, uint32_t version, char *room)
{
    uint32_t size = version % 97 == 5 ? 20000 + version % 7000 : 60 + version * 131 % 700;
    int      used = sprintf(room, "%010u %.*s ", version, (int)key.size, (const char *)key.data);

    memset(room + used, 'a' + (int)(version % 26), size - (uint32_t)used);
    return (struct kiwi_slice){ room, size };
}

static uint32_t version_read(struct kiwi_context *context, struct kiwi_slice key, const char *label)
{
    struct kiwi_buffer value = { 0 };
    enum kiwi_status   status = kiwi_get(context, key, NULL, &value);
    char              *room;
    struct kiwi_slice  want;
    uint32_t           version;

    if (status == KIWI_NOT_FOUND) {
        kiwi_buffer_free(&value);
        return 0;
    }
    if (status != KIWI_OK)
        fail_msg("%s: get of %.*s: %s", label, (int)key.size, (const char *)key.data,
                 kiwi_error_text());
    room = malloc(KILL_VALUE_BYTES_MAX);
    version = (uint32_t)strtoul(value.data, NULL, 10);
    want = kill_value(key, version, room);
    if (want.size != value.size || memcmp(want.data, value.data, want.size) != 0)
        fail_msg("%s: %.*s holds bytes that nobody wrote", label, (int)key.size,
                 (const char *)key.data);
    free(room);
    kiwi_buffer_free(&value);
    return version;
}

/* Is what was read (0: nothing) one of the versions that may stand there? Returns which. */
static bool version_fits(const struct kill_cell *cell, uint32_t read, uint32_t *which)
{
    uint32_t low = atomic_load(&cell->floor), high = atomic_load(&cell->started);

    if (read != 0) {
        *which = read;
        return read >= low && read <= high && !kill_version_is_absent(read);
    }
    for (*which = high; *which > low && !kill_version_is_absent(*which); (*which)--)
        ;
    return kill_version_is_absent(*which);
}

static void cell_settle(struct kill_cell *cell, uint32_t version)
{
    atomic_store(&cell->floor, version);
    atomic_store(&cell->started, version);
}

static void key_judge(struct kill_board *board, struct kiwi_context *context, uint32_t writer,
                      uint32_t key, const char *label)
{
    struct kill_cell *cell = &board->keys[writer][key];
    char              room[40];
    uint32_t read = version_read(context, kill_key(writer, key, room), label), version;

    if (!version_fits(cell, read, &version))
        fail_msg("%s: %s shows version %u, acknowledged was %u, started %u (mode %d)", label, room,
                 read, atomic_load(&cell->floor), atomic_load(&cell->started), kill_mode(key));
    cell_settle(cell, version);
}

static void set_judge(struct kill_board *board, struct kiwi_context *context, uint32_t writer,
                      uint32_t set, const char *label)
{
    struct kill_cell *cell = &board->sets[writer][set];
    char              room[40];
    uint32_t          first = 0, version;

    for (uint32_t i = 0; i < KILL_SET_KEYS; i++) {
        uint32_t read = version_read(context, kill_set_key(writer, set, i, room), label);

        if (i == 0)
            first = read;
        if (read != first)
            fail_msg("%s: half a batch: %s shows %u, the first key of its set %u", label, room,
                     read, first);
    }
    if (!version_fits(cell, first, &version))
        fail_msg("%s: the set of %s shows version %u, acknowledged was %u, started %u", label,
                 room, first, atomic_load(&cell->floor), atomic_load(&cell->started));
    cell_settle(cell, version);
}

/* No key but ours, each once and in order, and as many as the gets found. */
static void rows_judge(struct kill_board *board, struct kiwi_context *context, const char *label)
{
    struct kiwi_iterator *iterator;
    uint32_t              rows = 0, want = 0;
    enum kiwi_status      status;

    for (uint32_t w = 0; w < KILL_WRITERS; w++) {
        for (uint32_t k = 0; k < KILL_KEYS; k++)
            want += !kill_version_is_absent(atomic_load(&board->keys[w][k].floor));
        for (uint32_t s = 0; s < KILL_SETS; s++)
            want += kill_version_is_absent(atomic_load(&board->sets[w][s].floor)) ? 0
                                                                                   : KILL_SET_KEYS;
    }
    assert_int_equal(kiwi_iterator_open(context, NULL, &iterator), KIWI_OK);
    for (status = kiwi_iterator_first(iterator); status == KIWI_OK;
         status = kiwi_iterator_next(iterator))
        rows++;
    if (status != KIWI_NOT_FOUND)
        fail_msg("%s: scan: %s: %s", label, kiwi_status_text(status), kiwi_error_text());
    kiwi_iterator_close(iterator);
    if (rows != want)
        fail_msg("%s: a scan shows %u rows, gets found %u", label, rows, want);
}

void kill_board_check(struct kill_board *board, struct kiwi_context *context, const char *label)
{
    for (uint32_t w = 0; w < KILL_WRITERS; w++) {
        for (uint32_t k = 0; k < KILL_KEYS; k++)
            key_judge(board, context, w, k, label);
        for (uint32_t s = 0; s < KILL_SETS; s++)
            set_judge(board, context, w, s, label);
    }
    rows_judge(board, context, label);
}
