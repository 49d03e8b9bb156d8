/*
 * machine.c: clients, lives, faults.
 */
#include "tests/sim/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/chronicle.h"
#include "tests/sim/lies.h"
#include "tests/support/world.h"

#define CLIENTS_MAX  4u
#define SLOTS        12u
#define BATCH_WRITES 16u
#define TURNS_MAX    400000u /* without a completion: stuck */
#define WAIT_MAX_NS  (20ull * 1000000000) /* of an operation, when no request is stuck */

struct slot {
    struct kiwi_op       op;
    bool                 is_busy;
    uint32_t             key;
    uint64_t             began;
    uint64_t             since_ns; /* on a clock that does not jump */
    uint32_t             first, count; /* of the chronicle */
    struct kiwi_batch   *batch;
    char                 key_room[32];
    char                 value[CHRONICLE_VALUE_BYTES];
    char                 buffer[CHRONICLE_VALUE_BYTES];
};

struct client {
    struct kiwi_context  *context;
    struct slot           slots[SLOTS];
    uint32_t              busy;
    struct kiwi_iterator *iterator;
    uint64_t              iterator_tick;
    int64_t               at;      /* key that the iterator shows; -1: nowhere */
    bool                  is_moving;
};

struct held {
    struct kiwi_snapshot *snapshot;
    uint64_t              tick;
    int64_t               seen[CHRONICLE_KEYS]; /* stamp; -1: not read yet */
    uint32_t              users;
};

struct machine {
    struct run_options        options;
    unsigned                  faults; /* of this run */
    struct simulation_options disk;   /* with this run's faults on */
    struct world              world;
    struct chronicle          chronicle;
    struct lies               lies;
    uint32_t                  database_count;
    struct client             clients[CLIENTS_MAX];
    uint32_t                  client_count;
    struct held               held;
    uint64_t                  chance;
    uint32_t                  write_share; /* of 100 */
    bool                      may_fail, is_sick; /* is_sick: a write has been refused */
    struct run_result         result;
};

static uint64_t draw(struct machine *machine, uint64_t bound)
{
    return chance_below(&machine->chance, bound);
}

static bool has(const struct machine *machine, unsigned fault)
{
    return (machine->faults & fault) != 0;
}

/* False: the disk lies. What is shown is right all the same, but may be refused. */
static bool is_honest(const struct machine *machine)
{
    return !has(machine, FAULT_LIES | FAULT_STALE);
}

static uint64_t steady_ns(const struct machine *machine)
{
    return simulation_now_ns(machine->world.simulation)
         - simulation_jumped_ns(machine->world.simulation);
}

static void digest(struct machine *machine, uint64_t word)
{
    uint64_t state = machine->result.digest ^ word;

    machine->result.digest = chance_next(&state);
}

/* ---- faults ---- */

static void faults_on(struct machine *machine, bool is_on)
{
    struct simulation_options calm = { .seed = machine->disk.seed };

    machine->may_fail |= is_on;
    simulation_set(machine->world.simulation, is_on ? &machine->disk : &calm);
}

static uint32_t rate(struct machine *machine, unsigned fault, uint32_t most)
{
    uint32_t drawn = 1 + (uint32_t)draw(machine, most);

    return has(machine, fault) ? drawn : 0;
}

/* From a stream of their own, so that seeds kept from before these kinds stay what they are. */
static void later_faults_draw(struct machine *machine)
{
    static const unsigned kinds[] = { FAULT_STALE, FAULT_STUCK, FAULT_CLOCK };
    uint64_t              was = machine->chance;

    machine->chance = machine->options.seed * 0x9e3779b97f4a7c15ull + 2;
    for (uint32_t i = 0; i < 3; i++)
        if (draw(machine, 4) == 0)
            machine->faults |= kinds[i] & machine->options.faults;
    machine->disk.stale_read_per_million = rate(machine, FAULT_STALE, 60000);
    machine->disk.stuck_request_per_million = rate(machine, FAULT_STUCK, 10000);
    machine->disk.clock_jump_per_million = rate(machine, FAULT_CLOCK, 400);
    if (draw(machine, 2) == 0) {
        machine->disk.read_error_per_million *= 8;
        machine->disk.write_error_per_million *= 8;
        machine->disk.sync_error_per_million *= 8;
        machine->disk.bit_flip_per_million *= 8;
    }
    machine->chance = was;
}

static void plan_draw(struct machine *machine)
{
    unsigned swarm = (unsigned)draw(machine, FAULT_ALL + 1);

    swarm &= (unsigned)draw(machine, FAULT_ALL + 1);

    if (draw(machine, 4) != 0)
        swarm |= draw(machine, 2) == 0 ? FAULT_CRASH : FAULT_KILL;
    machine->faults = swarm & machine->options.faults;
    machine->disk = (struct simulation_options){ .seed = machine->options.seed };
    machine->disk.read_error_per_million = rate(machine, FAULT_READ, 4000);
    machine->disk.write_error_per_million = rate(machine, FAULT_WRITE, 1500);
    machine->disk.sync_error_per_million = rate(machine, FAULT_SYNC, 3000);
    machine->disk.short_transfer_per_million = rate(machine, FAULT_SHORT, 200000);
    machine->disk.bit_flip_per_million = rate(machine, FAULT_FLIP, 4000);
    machine->disk.lost_write_per_million = rate(machine, FAULT_LIES, 10000);
    machine->disk.misdirected_write_per_million = rate(machine, FAULT_LIES, 10000);
    machine->disk.misdirected_read_per_million = rate(machine, FAULT_LIES, 40000);
    if (draw(machine, 4) == 0)
        machine->disk.latency_ns = 2000000;
    later_faults_draw(machine);
}

static void world_plan(struct machine *machine)
{
    static const uint32_t shards[] = { 1, 2, 2, 3, 5 };
    struct kiwi_options  *options = &machine->world.options;

    world_make(&machine->world, WORLD_SIMULATED, machine->options.seed);
    options->shard_count = shards[draw(machine, 5)];
    options->memtable_bytes = (32u + (uint32_t)draw(machine, 64)) << 10;
    options->log_bytes = 256u << (10 + draw(machine, 3));
    options->table_bytes = (32u + (uint32_t)draw(machine, 100)) << 10;
    options->level0_run_max = 2 + (uint32_t)draw(machine, 4);
    options->level_run_max = 2 + (uint32_t)draw(machine, 3);
    options->durability = draw(machine, 2) == 0 ? KIWI_PROCESS : KIWI_DURABLE;
    machine->client_count = 1 + (uint32_t)draw(machine, CLIENTS_MAX);
    machine->write_share = 20 + (uint32_t)draw(machine, 60);
}

/* ---- what was told ---- */

static bool is_excused(const struct machine *machine, enum kiwi_status status)
{
    return machine->may_fail
        && (status == KIWI_IO || status == KIWI_FULL || status == KIWI_CORRUPT
            || status == KIWI_STOPPED || status == KIWI_CLOSED);
}

static void status_check(const struct machine *machine, enum kiwi_status status, const char *what)
{
    if (status != KIWI_OK && status != KIWI_NOT_FOUND && !is_excused(machine, status))
        simulation_wrong("%s: %s: %s", what, kiwi_status_text(status), kiwi_error_text());
}

static void key_shown(struct machine *machine, uint32_t key, uint32_t stamp, uint64_t began,
                      const char *what)
{
    digest(machine, key * 1000003ull + stamp);
    chronicle_read(&machine->chronicle, key, stamp, began, machine->chronicle.tick, what);
}

static void cut_shown(struct machine *machine, uint32_t key, uint32_t stamp, uint64_t tick,
                      const char *what)
{
    digest(machine, key * 1000033ull + stamp);
    chronicle_read(&machine->chronicle, key, stamp, tick, tick, what);
}

static void get_ended(struct machine *machine, struct slot *slot)
{
    struct held *held = &machine->held;
    uint32_t     stamp = 0;

    if (slot->op.snapshot != NULL)
        held->users--;
    if (slot->op.status != KIWI_OK && slot->op.status != KIWI_NOT_FOUND)
        return;
    if (slot->op.status == KIWI_OK)
        stamp = chronicle_stamp(slot->key, slot->buffer, slot->op.value_bytes);
    if (slot->op.snapshot == NULL) {
        key_shown(machine, slot->key, stamp, slot->began, "get");
        return;
    }
    cut_shown(machine, slot->key, stamp, held->tick, "get at a snapshot");
    if (held->seen[slot->key] >= 0 && held->seen[slot->key] != stamp)
        simulation_wrong("a snapshot shows key %u with stamp %lld, then %u", slot->key,
                         (long long)held->seen[slot->key], stamp);
    held->seen[slot->key] = stamp;
}

static void absent_shown(struct machine *machine, const struct client *client, int64_t from,
                         int64_t to)
{
    for (int64_t key = from; key < to; key++)
        cut_shown(machine, (uint32_t)key, 0, client->iterator_tick,
                  "a row that an iterator left out");
}

static void move_ended(struct machine *machine, struct client *client, const struct slot *slot)
{
    struct kiwi_slice row, value;
    int64_t           was = slot->op.movement == KIWI_NEXT || slot->op.movement == KIWI_PREVIOUS
                          ? client->at : slot->op.movement == KIWI_SEEK ? (int64_t)slot->key - 1
                          : slot->op.movement == KIWI_SEEK_BEFORE ? (int64_t)slot->key + 1
                          : slot->op.movement == KIWI_FIRST ? -1 : (int64_t)CHRONICLE_KEYS;
    bool              is_up = slot->op.movement == KIWI_NEXT || slot->op.movement == KIWI_SEEK
                           || slot->op.movement == KIWI_FIRST;
    int64_t           now = is_up ? (int64_t)CHRONICLE_KEYS : -1;

    client->is_moving = false;
    client->at = -1;
    if (slot->op.status != KIWI_OK && slot->op.status != KIWI_NOT_FOUND)
        return;
    if (slot->op.status == KIWI_OK) {
        row = kiwi_iterator_key(client->iterator);
        value = kiwi_iterator_value(client->iterator);
        if (row.size < 8 || memcmp(row.data, "key", 3) != 0)
            simulation_wrong("an iterator shows a key that nobody wrote");
        now = 0;
        for (int i = 3; i < 8; i++)
            now = now * 10 + ((const char *)row.data)[i] - '0';
        if (now < 0 || now >= CHRONICLE_KEYS || (is_up ? now <= was : now >= was))
            simulation_wrong("an iterator went %s from key %lld to %lld", is_up ? "up" : "down",
                             (long long)was, (long long)now);
        cut_shown(machine, (uint32_t)now,
                  chronicle_stamp((uint32_t)now, value.data, value.size), client->iterator_tick,
                  "a row of an iterator");
        client->at = now;
    }
    absent_shown(machine, client, is_up ? was + 1 : now + 1, is_up ? now : was);
}

static void op_ended(struct machine *machine, struct client *client, struct kiwi_op *op)
{
    struct slot *slot = op->user;
    uint32_t     id = (uint32_t)(client - machine->clients);

    slot->is_busy = false;
    client->busy--;
    machine->result.operations++;
    if (!has(machine, FAULT_STUCK) && steady_ns(machine) - slot->since_ns > WAIT_MAX_NS)
        simulation_wrong("an operation took %llu ms",
                         (unsigned long long)(steady_ns(machine) - slot->since_ns) / 1000000);
    digest(machine, op->verb * 31u + (uint32_t)op->status);
    status_check(machine, op->status, "an operation");
    switch ((enum kiwi_verb)op->verb) {
    case KIWI_GET:
        get_ended(machine, slot);
        break;
    case KIWI_ITERATE:
        move_ended(machine, client, slot);
        break;
    case KIWI_PUT:
    case KIWI_DELETE:
    case KIWI_WRITE:
        for (uint32_t i = 0; op->status == KIWI_OK && i < slot->count; i++)
            chronicle_end(&machine->chronicle, slot->first + i,
                          op->verb == KIWI_WRITE ? 0 : op->sequence);
        break;
    case KIWI_FLUSH:
    case KIWI_COMPACT:
    case KIWI_WAIT_DURABLE:
        if (op->status == KIWI_OK)
            chronicle_harden(&machine->chronicle, slot->began,
                             op->verb == KIWI_WAIT_DURABLE ? id : UINT32_MAX);
        break;
    }
    machine->is_sick |= op->status != KIWI_OK && op->status != KIWI_NOT_FOUND
                     && op->verb != KIWI_GET && op->verb != KIWI_ITERATE;
    kiwi_batch_close(slot->batch);
    slot->batch = NULL;
}

static size_t poll_one(struct machine *machine, struct client *client, uint64_t timeout_ns)
{
    struct kiwi_op *done[4];
    size_t          count = kiwi_poll(client->context, done, 1 + draw(machine, 4), timeout_ns);

    for (size_t i = 0; i < count; i++)
        op_ended(machine, client, done[i]);
    return count;
}

static void poll_some(struct machine *machine)
{
    static const uint64_t timeouts_ns[] = { 0, 0, 0, 2000, 60000, 3000000 };

    (void)poll_one(machine, &machine->clients[draw(machine, machine->client_count)],
                   timeouts_ns[draw(machine, 6)]);
}

/* The longer nothing ends, the longer: some requests are stuck for long. */
static uint64_t wait_ns(uint32_t turns)
{
    if (turns % 2 == 0)
        return 0;
    return turns < 20 ? 100000 : turns < 200 ? 10000000 : 1000000000;
}

/* Until nothing is out, or one more slot is free. */
static void clients_wait(struct machine *machine, const struct client *one)
{
    uint32_t turns = 0, busy;

    do {
        busy = one != NULL ? (one->busy == SLOTS) : 0;
        for (uint32_t i = 0; i < machine->client_count; i++) {
            if (poll_one(machine, &machine->clients[i], wait_ns(turns)) > 0)
                turns = 0;
            if (one == NULL)
                busy += machine->clients[i].busy;
        }
        if (++turns > TURNS_MAX)
            simulation_wrong("stuck: operations are out and nothing ends");
    } while (busy > 0);
}

/* ---- what is asked ---- */

static struct slot *slot_take(struct client *client, enum kiwi_verb verb, uint32_t key)
{
    struct slot *slot = client->slots;

    while (slot->is_busy)
        slot++;
    slot->is_busy = true;
    slot->key = key;
    slot->count = 0;
    slot->op = (struct kiwi_op){ .verb = (uint8_t)verb, .user = slot,
                                 .key = chronicle_key(key, slot->key_room) };
    return slot;
}

static void slot_submit(struct machine *machine, struct client *client, struct slot *slot)
{
    struct kiwi_op  *op = &slot->op;
    enum kiwi_status status;

    slot->began = ++machine->chronicle.tick;
    slot->since_ns = steady_ns(machine);
    client->busy++;
    status = kiwi_submit(client->context, &op, 1);
    if (status != KIWI_OK)
        simulation_wrong("submit: %s", kiwi_error_text());
}

static enum kiwi_durability mode_draw(struct machine *machine)
{
    static const enum kiwi_durability modes[] = { KIWI_DURABLE, KIWI_PROCESS, KIWI_PROCESS,
                                                  KIWI_MEMORY };
    return modes[draw(machine, 4)];
}

static struct chronicle_write write_make(struct machine *machine, const struct client *client,
                                         const struct slot *slot, uint32_t key, bool is_delete)
{
    char room[32];

    return (struct chronicle_write){
        .key = key,
        .stamp = is_delete ? 0 : ++machine->chronicle.stamp,
        .shard = kiwi_shard_of(machine->world.db, chronicle_key(key, room)),
        .mode = slot->op.durability,
        .client = (uint8_t)(client - machine->clients),
    };
}

static void ask_write(struct machine *machine, struct client *client, bool is_delete)
{
    uint32_t     key = (uint32_t)draw(machine, CHRONICLE_KEYS);
    struct slot *slot = slot_take(client, is_delete ? KIWI_DELETE : KIWI_PUT, key);

    slot->op.durability = (uint8_t)mode_draw(machine);
    struct chronicle_write write = write_make(machine, client, slot, key, is_delete);
    if (!is_delete)
        slot->op.value = chronicle_value(key, write.stamp, slot->value);
    slot->first = chronicle_ask(&machine->chronicle, &write);
    slot->count = 1;
    slot_submit(machine, client, slot);
}

static void batch_add(struct machine *machine, struct client *client, struct slot *slot,
                      uint32_t key, bool is_delete)
{
    struct chronicle_write write = write_make(machine, client, slot, key, is_delete);
    char                   room[32], value[CHRONICLE_VALUE_BYTES];
    enum kiwi_status       status;
    uint32_t               index;

    write.batch = machine->chronicle.batch;
    status = is_delete ? kiwi_batch_delete(slot->batch, chronicle_key(key, room))
                       : kiwi_batch_put(slot->batch, chronicle_key(key, room),
                                        chronicle_value(key, write.stamp, value));
    status_check(machine, status, "filling a batch");
    index = chronicle_ask(&machine->chronicle, &write);
    if (slot->count++ == 0)
        slot->first = index;
}

/* A marker in some or all shards, and a few plain keys. */
static void ask_batch(struct machine *machine, struct client *client)
{
    struct slot *slot = slot_take(client, KIWI_WRITE, 0);
    uint32_t     shards = kiwi_shard_count(machine->world.db);
    uint32_t     plain = (uint32_t)draw(machine, 6), key = 0;
    uint64_t     marked = 0;

    slot->op.durability = (uint8_t)mode_draw(machine);
    if (kiwi_batch_open(&slot->batch) != KIWI_OK)
        simulation_wrong("batch: %s", kiwi_error_text());
    slot->op.batch = slot->batch;
    machine->chronicle.batch++;
    for (uint32_t i = 0; i < 1000 && marked != UINT64_MAX >> (64 - shards); i++) {
        char     room[32];
        uint32_t marker = CHRONICLE_KEYS + machine->chronicle.batch * 1000 + i;
        uint32_t shard = kiwi_shard_of(machine->world.db, chronicle_key(marker, room));

        if ((marked >> shard & 1) != 0)
            continue;
        marked |= 1ull << shard;
        batch_add(machine, client, slot, marker, false);
    }
    for (uint32_t i = 0; i < plain; i++) {
        key += 1 + (uint32_t)draw(machine, CHRONICLE_KEYS / 8);
        batch_add(machine, client, slot, key, draw(machine, 4) == 0);
    }
    slot_submit(machine, client, slot);
}

static void ask_get(struct machine *machine, struct client *client)
{
    uint32_t     key = (uint32_t)draw(machine, CHRONICLE_KEYS);
    struct slot *slot = slot_take(client, KIWI_GET, key);

    slot->op.buffer = slot->buffer;
    slot->op.buffer_bytes = sizeof slot->buffer;
    if (machine->held.snapshot != NULL && draw(machine, 3) == 0) {
        slot->op.snapshot = machine->held.snapshot;
        machine->held.users++;
    }
    if (draw(machine, 8) == 0)
        slot->op.flags = KIWI_FLAG_NO_FILL;
    slot_submit(machine, client, slot);
}

static void snapshot_renew(struct machine *machine)
{
    struct held *held = &machine->held;

    if (held->users > 0)
        return;
    kiwi_snapshot_close(held->snapshot);
    held->snapshot = NULL;
    for (uint32_t i = 0; i < CHRONICLE_KEYS; i++)
        held->seen[i] = -1;
    held->tick = ++machine->chronicle.tick;
    status_check(machine, kiwi_snapshot_open(machine->world.db, &held->snapshot), "a snapshot");
}

static void ask_move(struct machine *machine, struct client *client)
{
    struct kiwi_iterator_options options = { .upper = { "l", 1 },
                                             .row_hint = (uint32_t)draw(machine, 40) };
    struct slot                 *slot;

    if (client->is_moving)
        return;
    if (client->iterator == NULL || draw(machine, 60) == 0) {
        kiwi_iterator_close(client->iterator);
        client->iterator = NULL;
        client->iterator_tick = ++machine->chronicle.tick;
        client->at = -1;
        status_check(machine, kiwi_iterator_open(client->context, &options, &client->iterator),
                     "an iterator");
        if (client->iterator == NULL)
            return;
    }
    slot = slot_take(client, KIWI_ITERATE, (uint32_t)draw(machine, CHRONICLE_KEYS));
    slot->op.iterator = client->iterator;
    slot->op.movement = (uint8_t)(client->at >= 0 && draw(machine, 12) != 0
                                  ? (draw(machine, 4) == 0 ? KIWI_PREVIOUS : KIWI_NEXT)
                                  : KIWI_SEEK + draw(machine, 4));
    client->is_moving = true;
    slot_submit(machine, client, slot);
}

static void ask_everywhere(struct machine *machine, struct client *client)
{
    static const enum kiwi_verb verbs[] = { KIWI_FLUSH, KIWI_WAIT_DURABLE, KIWI_WAIT_DURABLE,
                                            KIWI_COMPACT };
    struct slot *slot = slot_take(client, verbs[draw(machine, 4)], 0);

    slot->op.key = (struct kiwi_slice){ 0 };
    slot_submit(machine, client, slot);
}

static void step(struct machine *machine)
{
    struct client *client = &machine->clients[draw(machine, machine->client_count)];
    uint64_t       die = draw(machine, 100);

    if (draw(machine, 3) == 0)
        poll_some(machine);
    if (client->busy == SLOTS)
        clients_wait(machine, client);
    if (die < machine->write_share) {
        uint64_t kind = draw(machine, 20);

        if (kind == 0)
            ask_batch(machine, client);
        else
            ask_write(machine, client, kind < 4);
        return;
    }
    die = draw(machine, 200);
    if (die == 0)
        snapshot_renew(machine);
    else if (die <= 2)
        ask_everywhere(machine, client);
    else if (die < 90)
        ask_move(machine, client);
    else
        ask_get(machine, client);
}

/* ---- lives ---- */

static void contexts_open(struct machine *machine)
{
    uint32_t shards = kiwi_shard_count(machine->world.db);

    for (uint32_t i = 0; i < machine->client_count; i++) {
        struct client *client = &machine->clients[i];
        uint64_t       mask = 0;

        memset(client, 0, sizeof *client);
        client->at = -1;
        status_check(machine, kiwi_context_open(machine->world.db, SLOTS, &client->context),
                     "a context");
        for (uint32_t shard = i; shard < shards; shard += machine->client_count)
            mask |= 1ull << shard;
        if (mask != 0)
            status_check(machine, kiwi_attach(client->context, mask), "attaching");
    }
}

static enum kiwi_status life_close(struct machine *machine)
{
    enum kiwi_status status;

    clients_wait(machine, NULL);
    for (uint32_t i = 0; i < machine->client_count; i++)
        kiwi_iterator_close(machine->clients[i].iterator);
    kiwi_snapshot_close(machine->held.snapshot);
    machine->held = (struct held){ 0 };
    for (uint32_t i = 0; i < machine->client_count; i++)
        kiwi_context_close(machine->clients[i].context);
    status = kiwi_close(machine->world.db);
    machine->world.db = NULL;
    return status;
}

/* False: an error stands for it, which a disk that lies may cause and which names the place. */
static bool stamp_now(struct machine *machine, struct kiwi_context *context, uint32_t key,
                      uint32_t *stamp)
{
    struct kiwi_buffer value = { 0 };
    char               room[32];
    enum kiwi_status   status = kiwi_get(context, chronicle_key(key, room), NULL, &value);

    *stamp = 0;
    if (status == KIWI_OK)
        *stamp = chronicle_stamp(key, value.data, value.size);
    else if (status != KIWI_NOT_FOUND && (is_honest(machine) || status != KIWI_CORRUPT))
        simulation_wrong("after the restart: key %u: %s: %s", key, kiwi_status_text(status),
                         kiwi_error_text());
    if (status != KIWI_OK && status != KIWI_NOT_FOUND
        && !(lies_wrote(&machine->lies) && lies_text_names_place(kiwi_error_text())))
        simulation_wrong("after the restart: key %u: an error without cause or place: %s", key,
                         kiwi_error_text());
    kiwi_buffer_free(&value);
    return status == KIWI_OK || status == KIWI_NOT_FOUND;
}

static void all_look(struct machine *machine, struct kiwi_context *context,
                     struct chronicle_found *found)
{
    const struct chronicle *chronicle = &machine->chronicle;
    char                    room[32];
    uint32_t                stamp;

    for (uint32_t key = 0; key < CHRONICLE_KEYS; key++) {
        found->shards[key] = kiwi_shard_of(machine->world.db, chronicle_key(key, room));
        found->is_unread[key] = !stamp_now(machine, context, key, &found->stamps[key]);
        machine->result.told_by_read += found->is_unread[key];
        digest(machine, found->stamps[key]);
    }
    for (uint32_t i = 0; i < chronicle->count; i++) {
        if (chronicle->writes[i].key < CHRONICLE_KEYS)
            continue;
        if (!stamp_now(machine, context, chronicle->writes[i].key, &stamp))
            found->markers[i] = MARKER_UNREAD;
        else
            found->markers[i] = stamp != 0 ? MARKER_THERE : MARKER_ABSENT;
    }
}

/* Compares what a new life finds with what the last one was told. */
static void life_judge(struct machine *machine, bool is_power_cut)
{
    struct kiwi_context   *context;
    struct chronicle_found found = { .is_power_cut = is_power_cut,
                                     .markers = calloc(machine->chronicle.count + 1, 1) };

    if (kiwi_context_open(machine->world.db, 16, &context) != KIWI_OK
        || kiwi_attach(context, UINT64_MAX >> (64 - kiwi_shard_count(machine->world.db)))
               != KIWI_OK)
        simulation_wrong("after the restart: %s", kiwi_error_text());
    for (uint32_t shard = 0; shard < KIWI_SHARD_COUNT_MAX; shard++)
        found.lost_groups_max[shard] = lies_lost_groups_max(&machine->lies, shard);
    all_look(machine, context, &found);
    chronicle_judge(&machine->chronicle, &found);
    chronicle_begin_anew(&machine->chronicle, &found);
    free(found.markers);
    kiwi_context_close(context);
}

/* ---- a database that is refused for good makes room for a new one ---- */

static enum kiwi_status path_remove(void *context, const char *name)
{
    struct world *world = context;
    char          path[600], shard[300];

    snprintf(path, sizeof path, "%s/%s", world->directory, name);
    if (strncmp(name, "shard-", 6) != 0)
        return io_remove(simulation_io(world->simulation), path);
    snprintf(shard, sizeof shard, "%s", world->directory);
    snprintf(world->directory, sizeof world->directory, "%.250s", path);
    enum kiwi_status status = io_directory_list(simulation_io(world->simulation), path,
                                                path_remove, world);
    snprintf(world->directory, sizeof world->directory, "%.250s", shard);
    return status;
}

static void database_renew(struct machine *machine)
{
    struct chronicle_found nothing = { 0 };
    struct world          *world = &machine->world;

    if (io_directory_list(simulation_io(world->simulation), world->directory, path_remove, world)
        != KIWI_OK)
        simulation_wrong("removing %s: %s", world->directory, kiwi_error_text());
    snprintf(world->directory, sizeof world->directory, "/database-%u", ++machine->database_count);
    chronicle_begin_anew(&machine->chronicle, &nothing);
    machine->lies = (struct lies){ .is_opening = true, .is_loud = machine->options.is_loud };
}

static enum kiwi_status open_calmly(struct machine *machine)
{
    struct world *world = &machine->world;

    faults_on(machine, false);
    return kiwi_open(world->directory, &world->options, &world->db);
}

static void life_open(struct machine *machine)
{
    struct world    *world = &machine->world;
    enum kiwi_status status;

    machine->is_sick = false;
    lies_opening(&machine->lies);
    if (draw(machine, 3) == 0) { /* a first try with errors; bits that flip here are part 4 of the
                                  * promises, and looked at elsewhere */
        struct simulation_options errors = machine->disk;

        errors.bit_flip_per_million = 0;
        simulation_set(world->simulation, &errors);
        status = kiwi_open(world->directory, &world->options, &world->db);
        faults_on(machine, false);
        if (status == KIWI_OK)
            return;
        machine->may_fail = true;
        if (!is_excused(machine, status))
            simulation_wrong("open: %s: %s", kiwi_status_text(status), kiwi_error_text());
    }
    status = open_calmly(machine);
    if (status == KIWI_CORRUPT && lies_wrote(&machine->lies)) {
        if (strstr(kiwi_error_text(), world->directory) == NULL)
            simulation_wrong("open: an error that names no file: %s", kiwi_error_text());
        if (machine->options.is_loud)
            printf("refused: %s\n", kiwi_error_text());
        machine->result.told_by_open++;
        database_renew(machine);
        status = open_calmly(machine);
    }
    if (status != KIWI_OK)
        simulation_wrong("open: %s: %s", kiwi_status_text(status), kiwi_error_text());
}

/* How the life ends. True: by a power cut, or by a close that promises as much. */
static bool life_end(struct machine *machine)
{
    struct simulation *simulation = machine->world.simulation;
    uint64_t           die = draw(machine, 4);
    bool               is_cut = has(machine, FAULT_CRASH)
                             && (!has(machine, FAULT_KILL) || draw(machine, 2) == 0);

    if (die == 0 || (!is_cut && !has(machine, FAULT_KILL))) {
        if (draw(machine, 2) == 0)
            faults_on(machine, false);
        enum kiwi_status status = life_close(machine);
        if (status != KIWI_OK && !is_excused(machine, status))
            simulation_wrong("close: %s: %s", kiwi_status_text(status), kiwi_error_text());
        if (machine->options.is_loud)
            printf("closed: %s\n", kiwi_status_text(status));
        if (status == KIWI_OK && !machine->is_sick)
            chronicle_harden(&machine->chronicle, machine->chronicle.tick, UINT32_MAX);
        if (has(machine, FAULT_CRASH)) { /* what is closed outlives a power cut */
            simulation_crash(simulation);
            return true;
        }
        simulation_kill(simulation);
        return false;
    }
    machine->may_fail = true;
    machine->result.power_cuts += is_cut;
    machine->result.kills += !is_cut;
    if (is_cut)
        simulation_crash(simulation);
    else
        simulation_kill(simulation);
    if (machine->options.is_loud)
        printf("%s\n", is_cut ? "power cut" : "killed");
    /* What ends from here on tells nothing: nobody is left to hear it. */
    struct chronicle was = machine->chronicle;
    struct chronicle_write *writes = malloc(was.capacity * sizeof *writes + 1);
    memcpy(writes, was.writes, was.count * sizeof *writes);
    (void)life_close(machine);
    memcpy(machine->chronicle.writes, writes, was.count * sizeof *writes);
    free(writes);
    return is_cut;
}

static void accidents_plan(struct machine *machine)
{
    struct simulation *simulation = machine->world.simulation;
    uint64_t           now = simulation_operations(simulation);

    faults_on(machine, true);
    machine->may_fail = machine->faults != 0;
    if (has(machine, FAULT_STICKY) && draw(machine, 2) == 0)
        simulation_fail_at(simulation, now + 1 + draw(machine, 300),
                           draw(machine, 3) == 0 ? KIWI_FULL : KIWI_IO, draw(machine, 2) == 0);
    if ((has(machine, FAULT_CRASH) || has(machine, FAULT_KILL)) && draw(machine, 2) == 0)
        simulation_stop_at(simulation, now + 1 + draw(machine, 500));
}

static uint32_t life_run(struct machine *machine, uint32_t left)
{
    uint32_t steps = 50 + (uint32_t)draw(machine, 1500), ran = 0;

    accidents_plan(machine);
    for (; ran < steps && ran < left; ran++) {
        if (has(machine, FAULT_FULL) && draw(machine, 300) == 0) {
            machine->disk.disk_bytes = machine->disk.disk_bytes != 0
                                     ? 0 : (1u << 20) * (1 + draw(machine, 12));
            faults_on(machine, true);
        }
        step(machine);
        if (machine->is_sick && draw(machine, 40) == 0)
            break; /* stopped until it is opened again */
    }
    machine->disk.disk_bytes = 0;
    return ran;
}

static void life_begin(struct machine *machine, bool is_power_cut)
{
    life_open(machine);
    machine->lies.is_opening = false;
    life_judge(machine, is_power_cut);
    contexts_open(machine);
}

/* No faults any more: all is well, and writes go on, unless the disk's lies have damaged a file. */
static void last_life(struct machine *machine, bool is_power_cut)
{
    bool is_whole;

    life_begin(machine, is_power_cut);
    is_whole = !lies_wrote(&machine->lies);
    machine->may_fail = !is_whole;
    for (uint32_t i = 0; i < 50; i++) {
        ask_write(machine, &machine->clients[0], false);
        clients_wait(machine, NULL);
    }
    if (life_close(machine) != KIWI_OK && is_whole)
        simulation_wrong("the last close: %s", kiwi_error_text());
}

struct run_result machine_run(const struct run_options *options)
{
    struct machine *machine = calloc(1, sizeof *machine);
    uint32_t        left = options->operations;
    bool            is_power_cut = false;

    machine->options = *options;
    machine->chance = options->seed * 0x9e3779b97f4a7c15ull + 1;
    machine->chronicle.batch_base = 1;
    plan_draw(machine);
    world_plan(machine);
    machine->lies.is_loud = options->is_loud;
    simulation_on_lie(machine->world.simulation, lies_tell, &machine->lies);
    if (options->is_loud)
        printf("seed %llu: faults 0x%x, %u shards, %u clients\n",
               (unsigned long long)options->seed, machine->faults,
               machine->world.options.shard_count, machine->client_count);
    while (left > 0) {
        if (options->is_loud)
            printf("life %llu, %u steps left, operation %llu\n",
                   (unsigned long long)machine->result.lives, left,
                   (unsigned long long)simulation_operations(machine->world.simulation));
        life_begin(machine, is_power_cut);
        left -= life_run(machine, left);
        is_power_cut = life_end(machine);
        machine->result.lives++;
    }
    last_life(machine, is_power_cut);
    memcpy(machine->result.faults, simulation_counts(machine->world.simulation),
           sizeof machine->result.faults);
    simulation_close(machine->world.simulation);
    machine->result.checks = machine->chronicle.checks;
    machine->result.older = machine->chronicle.older;
    struct run_result result = machine->result;
    free(machine->chronicle.writes);
    free(machine);
    return result;
}
