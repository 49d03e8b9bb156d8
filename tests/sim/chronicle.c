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
    write->durable_at = write->ended;
}

void chronicle_harden(struct chronicle *chronicle, uint64_t tick, uint32_t client)
{
    for (uint32_t i = 0; i < chronicle->count; i++) {
        struct chronicle_write *write = &chronicle->writes[i];

        if (write->ended <= tick && !write->is_durable
            && (client == UINT32_MAX || write->client == client)) {
            write->is_durable = true;
            write->durable_at = chronicle->tick;
        }
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

/* ---- after a restart ---- */

struct floor {
    uint64_t sequence, tick; /* what precedes them must be there */
};

enum batch_state {
    BATCH_IS_THERE = 1,  /* some marker of it is */
    BATCH_IS_SHORT = 2,  /* some marker of it is missing */
    BATCH_IS_EXCUSED = 4, /* in a shard whose log the disk has lost groups of */
};

struct verdict {
    const struct chronicle       *chronicle;
    const struct chronicle_found *found;
    struct floor                  floors[KIWI_SHARD_COUNT_MAX];
    uint8_t                      *batches; /* enum batch_state, by number minus batch_base */
    bool                         *lost;    /* by index: missing, and excused */
};

static bool is_safe(const struct verdict *verdict, const struct chronicle_write *write)
{
    if (write->ended == CHRONICLE_NEVER)
        return false;
    return write->is_durable || (!verdict->found->is_power_cut && write->mode == KIWI_PROCESS);
}

static const struct chronicle_write *write_of(const struct chronicle *chronicle, uint32_t key,
                                              uint32_t stamp)
{
    for (uint32_t at = chronicle->newest[key]; at != 0; at = chronicle->writes[at - 1].next)
        if (chronicle->writes[at - 1].stamp == stamp)
            return &chronicle->writes[at - 1];
    return NULL;
}

static bool may_lack(const struct verdict *verdict, uint32_t shard)
{
    return verdict->found->lost_groups_max[shard] > 0;
}

static unsigned batch_of(const struct verdict *verdict, const struct chronicle_write *write)
{
    return write->batch == 0 ? 0
                             : verdict->batches[write->batch - verdict->chronicle->batch_base];
}

static void batches_judge(struct verdict *verdict)
{
    const struct chronicle *chronicle = verdict->chronicle;

    for (uint32_t i = 0; i < chronicle->count; i++) {
        const struct chronicle_write *write = &chronicle->writes[i];
        uint8_t                      *batch;

        if (write->key < CHRONICLE_KEYS || verdict->found->markers[i] == MARKER_UNREAD)
            continue;
        batch = &verdict->batches[write->batch - chronicle->batch_base];
        if (verdict->found->markers[i] == MARKER_THERE)
            *batch |= BATCH_IS_THERE;
        else
            *batch |= may_lack(verdict, write->shard) ? BATCH_IS_SHORT | BATCH_IS_EXCUSED
                                                      : BATCH_IS_SHORT;
    }
    for (uint32_t i = 0; i < chronicle->batch + 1 - chronicle->batch_base; i++)
        if ((verdict->batches[i] & (BATCH_IS_THERE | BATCH_IS_SHORT | BATCH_IS_EXCUSED))
            == (BATCH_IS_THERE | BATCH_IS_SHORT))
            simulation_wrong("after the restart batch %u is there in part",
                             chronicle->batch_base + i);
}

static bool is_unread(const struct verdict *verdict, uint32_t index)
{
    uint32_t key = verdict->chronicle->writes[index].key;

    return key < CHRONICLE_KEYS ? verdict->found->is_unread[key]
                                : verdict->found->markers[index] == MARKER_UNREAD;
}

static void floors_find(struct verdict *verdict)
{
    for (uint32_t i = 0; i < verdict->chronicle->count; i++) {
        const struct chronicle_write *write = &verdict->chronicle->writes[i];
        struct floor                 *floor = &verdict->floors[write->shard];
        unsigned                      batch = batch_of(verdict, write);
        bool is_there = (batch & (BATCH_IS_THERE | BATCH_IS_SHORT)) == BATCH_IS_THERE
                     || (batch == 0 && write->stamp != 0 && write->key < CHRONICLE_KEYS
                         && !is_unread(verdict, i)
                         && verdict->found->stamps[write->key] == write->stamp);

        if (!is_there && (may_lack(verdict, write->shard) || !is_safe(verdict, write)
                          || (batch & BATCH_IS_EXCUSED) != 0))
            continue;
        if (write->sequence > floor->sequence)
            floor->sequence = write->sequence;
        if (write->asked > floor->tick)
            floor->tick = write->asked;
    }
}

/* Does something that is there come after it? */
static bool is_below_floor(const struct verdict *verdict, const struct chronicle_write *write)
{
    const struct floor *floor = &verdict->floors[write->shard];

    if (write->batch != 0 && (batch_of(verdict, write) & BATCH_IS_SHORT) != 0)
        return false; /* missing as a whole, which leaves a hole */
    return (write->sequence != 0 && write->sequence < floor->sequence)
        || write->ended < floor->tick;
}

static bool is_lost(const struct verdict *verdict, uint32_t index)
{
    const struct chronicle       *chronicle = verdict->chronicle;
    const struct chronicle_write *write = &chronicle->writes[index], *shown;
    uint32_t                      stamp;

    if (write->key >= CHRONICLE_KEYS)
        return verdict->found->markers[index] == MARKER_ABSENT;
    stamp = verdict->found->stamps[write->key];
    if (stamp == 0) { /* nothing: some delete that does not precede it? */
        for (uint32_t at = chronicle->newest[write->key]; at != 0;
             at = chronicle->writes[at - 1].next) {
            const struct chronicle_write *other = &chronicle->writes[at - 1];

            if (other->stamp == 0 && (other == write || !precedes(other, write)))
                return false;
        }
        return true;
    }
    shown = write_of(chronicle, write->key, stamp);
    return shown == NULL || (shown != write && precedes(shown, write));
}

static void write_judge(struct verdict *verdict, uint32_t i)
{
    const struct chronicle_write *write = &verdict->chronicle->writes[i];
    bool is_low = is_below_floor(verdict, write), is_acknowledged = is_safe(verdict, write);
    bool is_excused = !is_low && (may_lack(verdict, write->shard)
                                  || (batch_of(verdict, write) & BATCH_IS_EXCUSED) != 0);

    if (is_unread(verdict, i) || !(is_low || is_acknowledged) || !is_lost(verdict, i))
        return;
    verdict->lost[i] = is_excused;
    if (!is_excused)
        simulation_wrong("after the restart write %u of %u is lost: key %u stamp %u batch %u "
                         "shard %u sequence %llu mode %u%s%s; the key shows stamp %u; floor %llu",
                         i, verdict->chronicle->count, write->key, write->stamp, write->batch,
                         write->shard, (unsigned long long)write->sequence, write->mode,
                         write->is_durable ? ", durable" : "",
                         is_acknowledged ? ", acknowledged" : ", a hole",
                         write->key < CHRONICLE_KEYS ? verdict->found->stamps[write->key] : 0,
                         (unsigned long long)verdict->floors[write->shard].sequence);
}

/* Writes that were asked for when the ones before were durable are of another group, which would
 * have told of the loss: the disk must have lost that one too. */
static void rounds_judge(const struct verdict *verdict, uint32_t shard)
{
    const struct chronicle *chronicle = verdict->chronicle;
    uint64_t                last = 0, next;
    uint32_t                rounds = 0;

    for (;; rounds++, last = next) {
        next = CHRONICLE_NEVER;
        for (uint32_t i = 0; i < chronicle->count; i++) {
            const struct chronicle_write *write = &chronicle->writes[i];

            if (verdict->lost[i] && write->shard == shard && write->is_durable
                && write->batch == 0 && write->asked > last && write->durable_at < next)
                next = write->durable_at;
        }
        if (next == CHRONICLE_NEVER)
            break;
    }
    if (rounds > verdict->found->lost_groups_max[shard])
        simulation_wrong("after the restart %u rounds of durable writes are missing in shard %u, "
                         "and the disk lost %u groups of its log at most", rounds, shard,
                         verdict->found->lost_groups_max[shard]);
}

/* Older than all that this life knows of the key: what a log that lost its end goes back to. */
static bool is_older(const struct chronicle *chronicle, uint32_t key,
                     const struct chronicle_found *found)
{
    for (uint32_t at = chronicle->newest[key]; at != 0; at = chronicle->writes[at - 1].next)
        if (chronicle->writes[at - 1].stamp != 0
            && chronicle->writes[at - 1].stamp <= found->stamps[key])
            return false;
    return true;
}

void chronicle_judge(struct chronicle *chronicle, const struct chronicle_found *found)
{
    struct verdict verdict = { .chronicle = chronicle, .found = found };

    verdict.batches = calloc(chronicle->batch + 2 - chronicle->batch_base, 1);
    verdict.lost = calloc(chronicle->count + 1, sizeof *verdict.lost);
    if (verdict.batches == NULL || verdict.lost == NULL)
        abort();
    batches_judge(&verdict);
    floors_find(&verdict);
    for (uint32_t i = 0; i < chronicle->count; i++) {
        chronicle->checks++;
        write_judge(&verdict, i);
        chronicle->older += verdict.lost[i];
    }
    for (uint32_t shard = 0; shard < KIWI_SHARD_COUNT_MAX; shard++)
        if (may_lack(&verdict, shard))
            rounds_judge(&verdict, shard);
    for (uint32_t key = 0; key < CHRONICLE_KEYS; key++)
        if (found->stamps[key] != 0 && write_of(chronicle, key, found->stamps[key]) == NULL
            && !(may_lack(&verdict, found->shards[key]) && is_older(chronicle, key, found)))
            simulation_wrong("after the restart key %u shows stamp %u: of no write", key,
                             found->stamps[key]);
    free(verdict.batches);
    free(verdict.lost);
}

/* ---- the next life ---- */

/* From the oldest on. What was not safe may or may not be there. */
static void unread_carry(struct chronicle *chronicle, const struct chronicle_found *found,
                         const struct chronicle_write *writes, uint32_t at)
{
    const struct verdict          verdict = { .chronicle = chronicle, .found = found };
    const struct chronicle_write *old = &writes[at - 1];
    struct chronicle_write        write = *old;
    uint32_t                      index;

    if (old->next != 0)
        unread_carry(chronicle, found, writes, old->next);
    write.batch = 0;
    write.sequence = 0;
    index = chronicle_ask(chronicle, &write);
    chronicle->writes[index].asked = old->asked;
    chronicle->writes[index].is_durable = false;
    chronicle->writes[index].mode = KIWI_MEMORY;
    if (!is_safe(&verdict, old) || found->lost_groups_max[old->shard] > 0)
        return;
    chronicle->writes[index].ended = old->ended;
    chronicle->writes[index].is_durable = true;
    chronicle->writes[index].durable_at = old->ended;
}

void chronicle_begin_anew(struct chronicle *chronicle, const struct chronicle_found *found)
{
    struct chronicle_write *old = malloc((chronicle->count + 1) * sizeof *old);
    uint32_t                newest[CHRONICLE_KEYS];
    uint64_t                now = ++chronicle->tick;

    if (old == NULL)
        abort();
    if (chronicle->count > 0)
        memcpy(old, chronicle->writes, chronicle->count * sizeof *old);
    memcpy(newest, chronicle->newest, sizeof newest);
    chronicle->count = 0;
    chronicle->batch_base = chronicle->batch + 1;
    memset(chronicle->newest, 0, sizeof chronicle->newest);
    for (uint32_t key = 0; key < CHRONICLE_KEYS; key++) {
        struct chronicle_write write = { .key = key, .stamp = found->stamps[key],
                                         .shard = found->shards[key], .mode = KIWI_DURABLE };
        uint32_t               index;

        if (found->is_unread[key] && newest[key] != 0)
            unread_carry(chronicle, found, old, newest[key]);
        if (found->is_unread[key] || found->stamps[key] == 0)
            continue;
        /* At one moment: what came before what in earlier lives does not count any more. */
        index = chronicle_ask(chronicle, &write);
        chronicle_end(chronicle, index, 0);
        chronicle->writes[index].asked = now;
        chronicle->writes[index].ended = chronicle->writes[index].durable_at = now;
    }
    free(old);
}
