/*
 * chronicle.c: order among writes, and the verdicts.
 */
#include "tests/sim/chronicle.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void simulation_wrong(const char *format, ...)
{
    va_list arguments;

    printf("WRONG: ");
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    fflush(stdout);
    _Exit(3);
}

struct kiwi_slice chronicle_key(uint32_t key, char room[32])
{
    int size = key < CHRONICLE_KEYS
             ? snprintf(room, 32, key % 4 == 0 ? "key%05u-longer" : "key%05u", key)
             : snprintf(room, 32, "marker%010u", key - CHRONICLE_KEYS);

    return (struct kiwi_slice){ room, (size_t)size };
}

struct kiwi_slice chronicle_value(uint32_t key, uint32_t stamp, char room[CHRONICLE_VALUE_BYTES])
{
    uint32_t mixed = (stamp * 2654435761u) ^ (key * 40503u);
    uint32_t want = 24 + (mixed % 31 == 0 ? mixed / 31 % 6000 : mixed / 31 % 500);
    int      used = snprintf(room, CHRONICLE_VALUE_BYTES, "%010u %010u ", key, stamp);

    for (uint32_t i = (uint32_t)used; i < want; i++) {
        mixed = mixed * 1664525u + 1013904223u;
        room[i] = (char)('a' + (mixed >> 24) % 26);
    }
    return (struct kiwi_slice){ room, want };
}

uint32_t chronicle_stamp(uint32_t key, const void *data, size_t size)
{
    char              room[CHRONICLE_VALUE_BYTES], text[32] = { 0 };
    struct kiwi_slice want;
    unsigned          of_key = 0, stamp = 0;

    memcpy(text, data, size < 22 ? size : 22);
    if (sscanf(text, "%u %u", &of_key, &stamp) != 2)
        simulation_wrong("key %u shows bytes that nobody wrote (%zu)", key, size);
    if (of_key != key)
        simulation_wrong("key %u shows the value of key %u, stamp %u", key, of_key, stamp);
    want = chronicle_value(key, stamp, room);
    if (want.size != size || memcmp(want.data, data, size) != 0)
        simulation_wrong("key %u, stamp %u: %zu bytes are not those written", key, stamp, size);
    return stamp;
}

uint32_t chronicle_ask(struct chronicle *chronicle, const struct chronicle_write *write)
{
    struct chronicle_write *mine;

    if (chronicle->count == chronicle->capacity) {
        chronicle->capacity = chronicle->capacity * 2 + 1024;
        chronicle->writes = realloc(chronicle->writes,
                                    chronicle->capacity * sizeof *chronicle->writes);
        if (chronicle->writes == NULL)
            abort();
    }
    mine = &chronicle->writes[chronicle->count];
    *mine = *write;
    mine->asked = ++chronicle->tick;
    mine->ended = CHRONICLE_NEVER;
    if (write->key < CHRONICLE_KEYS) {
        mine->next = chronicle->newest[write->key];
        chronicle->newest[write->key] = chronicle->count + 1;
    }
    return chronicle->count++;
}

void chronicle_end(struct chronicle *chronicle, uint32_t index, uint64_t sequence)
{
    struct chronicle_write *write = &chronicle->writes[index];

    write->ended = ++chronicle->tick;
    write->sequence = sequence;
    write->is_durable |= write->mode == KIWI_DURABLE;
}

void chronicle_harden(struct chronicle *chronicle, uint64_t tick, uint32_t client)
{
    for (uint32_t i = 0; i < chronicle->count; i++) {
        struct chronicle_write *write = &chronicle->writes[i];

        if (write->ended <= tick && (client == UINT32_MAX || write->client == client))
            write->is_durable = true;
    }
}

static bool precedes(const struct chronicle_write *a, const struct chronicle_write *b)
{
    if (a->sequence != 0 && b->sequence != 0)
        return a->sequence < b->sequence;
    return a->ended < b->asked;
}

/* Nothing at all, before the first write of a key, precedes every write. */
static bool is_stale(const struct chronicle *chronicle, uint32_t key,
                     const struct chronicle_write *shown, uint64_t began)
{
    for (uint32_t at = chronicle->newest[key]; at != 0; at = chronicle->writes[at - 1].next) {
        const struct chronicle_write *write = &chronicle->writes[at - 1];

        if (write->ended < began && write != shown && (shown == NULL || precedes(shown, write)))
            return true;
    }
    return false;
}

void chronicle_read(struct chronicle *chronicle, uint32_t key, uint32_t stamp, uint64_t began,
                    uint64_t ended, const char *what)
{
    bool is_known = stamp == 0;

    chronicle->checks++;
    if (stamp == 0 && !is_stale(chronicle, key, NULL, began))
        return;
    for (uint32_t at = chronicle->newest[key]; at != 0; at = chronicle->writes[at - 1].next) {
        const struct chronicle_write *write = &chronicle->writes[at - 1];

        if (write->stamp != stamp || write->asked > ended)
            continue;
        is_known = true;
        if (!is_stale(chronicle, key, write, began))
            return;
    }
    simulation_wrong("%s: key %u shows stamp %u (0: nothing), which %s (ticks %llu to %llu)", what,
                     key, stamp, is_known ? "was overwritten before" : "was not written by then",
                     (unsigned long long)began, (unsigned long long)ended);
}

void chronicle_read_loosely(const struct chronicle *chronicle, uint32_t key, uint32_t stamp)
{
    if (stamp > chronicle->stamp)
        simulation_wrong("key %u shows stamp %u, which is still to come", key, stamp);
}

/* ---- after a restart ---- */

struct floor {
    uint64_t sequence, tick; /* what precedes them must be there */
};

static bool is_safe(const struct chronicle_write *write, bool is_power_cut)
{
    if (write->ended == CHRONICLE_NEVER)
        return false;
    return write->is_durable || (!is_power_cut && write->mode == KIWI_PROCESS);
}

static const struct chronicle_write *write_of(const struct chronicle *chronicle, uint32_t key,
                                              uint32_t stamp)
{
    for (uint32_t at = chronicle->newest[key]; at != 0; at = chronicle->writes[at - 1].next)
        if (chronicle->writes[at - 1].stamp == stamp)
            return &chronicle->writes[at - 1];
    return NULL;
}

static void floor_raise(struct floor *floor, const struct chronicle_write *write)
{
    if (write->sequence > floor->sequence)
        floor->sequence = write->sequence;
    if (write->asked > floor->tick)
        floor->tick = write->asked;
}

/* Must it be there? */
static bool is_required(const struct chronicle *chronicle, const struct chronicle_write *write,
                        const struct floor *floor, const bool *batch_there, bool is_power_cut)
{
    if (is_safe(write, is_power_cut))
        return true;
    if (write->batch != 0 && !batch_there[write->batch - chronicle->batch_base])
        return false; /* missing as a whole */
    return (write->sequence != 0 && write->sequence < floor->sequence)
        || write->ended < floor->tick;
}

static void floors_find(const struct chronicle *chronicle, const uint32_t *stamps,
                        const bool *batch_there, bool is_power_cut, struct floor *floors)
{
    for (uint32_t i = 0; i < chronicle->count; i++) {
        const struct chronicle_write *write = &chronicle->writes[i];
        bool is_there = write->batch != 0 ? batch_there[write->batch - chronicle->batch_base]
                      : write->stamp != 0 && stamps[write->key] == write->stamp;

        if (is_there || is_safe(write, is_power_cut))
            floor_raise(&floors[write->shard], write);
    }
}

static bool is_lost(const struct chronicle *chronicle, const struct chronicle_write *write,
                    const uint32_t *stamps, const bool *batch_there)
{
    const struct chronicle_write *shown;

    if (write->key >= CHRONICLE_KEYS)
        return !batch_there[write->batch - chronicle->batch_base];
    if (stamps[write->key] == 0) { /* nothing: some delete that does not precede it? */
        for (uint32_t at = chronicle->newest[write->key]; at != 0;
             at = chronicle->writes[at - 1].next) {
            const struct chronicle_write *other = &chronicle->writes[at - 1];

            if (other->stamp == 0 && (other == write || !precedes(other, write)))
                return false;
        }
        return true;
    }
    shown = write_of(chronicle, write->key, stamps[write->key]);
    if (shown == NULL)
        simulation_wrong("after the restart key %u shows stamp %u of another life", write->key,
                         stamps[write->key]);
    return shown != write && precedes(shown, write);
}

void chronicle_judge(struct chronicle *chronicle, const uint32_t *stamps, const bool *batch_there,
                     bool is_power_cut)
{
    struct floor floors[KIWI_SHARD_COUNT_MAX] = { 0 };

    floors_find(chronicle, stamps, batch_there, is_power_cut, floors);
    for (uint32_t i = 0; i < chronicle->count; i++) {
        const struct chronicle_write *write = &chronicle->writes[i];

        chronicle->checks++;
        if (is_required(chronicle, write, &floors[write->shard], batch_there, is_power_cut)
            && is_lost(chronicle, write, stamps, batch_there))
            simulation_wrong("after the restart write %u of %u is lost: key %u stamp %u batch %u "
                             "shard %u sequence %llu mode %u%s%s; the key shows stamp %u; floor "
                             "%llu", i, chronicle->count, write->key, write->stamp, write->batch,
                             write->shard, (unsigned long long)write->sequence, write->mode,
                             write->is_durable ? ", durable" : "",
                             is_safe(write, is_power_cut) ? ", acknowledged" : ", a hole",
                             write->key < CHRONICLE_KEYS ? stamps[write->key] : 0,
                             (unsigned long long)floors[write->shard].sequence);
    }
    for (uint32_t key = 0; key < CHRONICLE_KEYS; key++)
        if (stamps[key] != 0 && write_of(chronicle, key, stamps[key]) == NULL)
            simulation_wrong("after the restart key %u shows stamp %u: of no write", key,
                             stamps[key]);
}

void chronicle_begin_anew(struct chronicle *chronicle, const uint32_t *stamps)
{
    chronicle->count = 0;
    chronicle->batch_base = chronicle->batch + 1;
    memset(chronicle->newest, 0, sizeof chronicle->newest);
    for (uint32_t key = 0; key < CHRONICLE_KEYS; key++) {
        struct chronicle_write write = { .key = key, .stamp = stamps[key], .mode = KIWI_DURABLE };
        uint32_t               index;

        if (stamps[key] == 0)
            continue;
        index = chronicle_ask(chronicle, &write);
        chronicle_end(chronicle, index, 0);
    }
}
