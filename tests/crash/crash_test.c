/*
 * crash_test.c: stop before every I/O of a scripted run on the simulated disk, recover, compare.
 *
 * Goal: whatever the machine was doing when it stopped, what was acknowledged is there, and nothing
 * looks like what never was. Method: count the device operations of an undisturbed run; then, for
 * each of them, run again, stop there, cut the power (or kill the process), open, judge, write on,
 * and open once more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/crash/history.h"
#include "tests/support/check.h"
#include "tests/support/world.h"

static uint64_t seed_under_test;

enum accident { POWER_CUT, KILL };

struct script {
    struct world   *world;
    struct history *history;
    uint64_t        chance;
    uint32_t        stamp;
    enum accident   accident;
};

static struct history_write *write_note(struct script *script, uint32_t key, uint32_t stamp,
                                        uint32_t shard, uint32_t batch)
{
    struct history *history = script->history;

    if (history->count == HISTORY_WRITES)
        fail_msg("the script is too long for its history");
    history->writes[history->count] = (struct history_write){
        .key = (uint16_t)key, .stamp = stamp, .shard = (uint8_t)shard, .batch = (uint16_t)batch,
    };
    return &history->writes[history->count++];
}

static bool is_safe_mode(const struct script *script, enum kiwi_durability durability)
{
    return durability == KIWI_DURABLE || (script->accident == KILL && durability == KIWI_PROCESS);
}

static enum kiwi_status step_put(struct script *script, bool is_delete)
{
    struct world         *world = script->world;
    uint32_t              key = (uint32_t)chance_below(&script->chance, HISTORY_KEYS);
    enum kiwi_durability  mode = chance_below(&script->chance, 4) == 0 ? KIWI_DURABLE
                                                                       : KIWI_PROCESS;
    char                  room[24], value[1024];
    struct kiwi_slice     slice = history_key(key, 0, room);
    uint32_t              stamp = is_delete ? 0 : ++script->stamp;
    struct history_write *write;
    enum kiwi_status      status;

    write = write_note(script, key, stamp, kiwi_shard_of(world->db, slice), 0);
    status = is_delete ? kiwi_delete(world->context, slice, mode)
                       : kiwi_put(world->context, slice, history_value(stamp, value), mode);
    write->is_safe = status == KIWI_OK && is_safe_mode(script, mode);
    return status;
}

/* A batch with a marker of its own in every shard, and some plain keys. */
static enum kiwi_status step_batch(struct script *script)
{
    struct world        *world = script->world;
    uint32_t             id = ++script->history->batch_count, first = script->history->count;
    enum kiwi_durability mode = chance_below(&script->chance, 3) == 0 ? KIWI_DURABLE : KIWI_PROCESS;
    struct kiwi_batch   *batch;
    bool                 marked[KIWI_SHARD_COUNT_MAX] = { false };
    enum kiwi_status     status = kiwi_batch_open(&batch);

    check_ok(status);
    for (uint32_t i = 0, missing = kiwi_shard_count(world->db); missing > 0 || i < 3; i++) {
        char              room[24], value[1024];
        bool              is_marker = missing > 0;
        uint32_t          key = is_marker ? HISTORY_KEYS + id
                                          : (uint32_t)chance_below(&script->chance, HISTORY_KEYS);
        struct kiwi_slice slice = history_key(key, i, room);
        uint32_t          shard = kiwi_shard_of(world->db, slice), stamp;

        if (is_marker && marked[shard])
            continue; /* the next name may fall into the other shard */
        stamp = ++script->stamp;
        check_ok(kiwi_batch_put(batch, slice, history_value(stamp, value)));
        write_note(script, key, stamp, shard, id);
        if (is_marker) {
            script->history->writes[script->history->count - 1].name = (uint16_t)i;
            marked[shard] = true;
            missing--;
        }
    }
    status = kiwi_write(world->context, batch, mode);
    for (uint32_t i = first; i < script->history->count; i++)
        script->history->writes[i].is_safe = status == KIWI_OK && is_safe_mode(script, mode);
    kiwi_batch_close(batch);
    return status;
}

static enum kiwi_status step_flush(struct script *script)
{
    enum kiwi_status status = kiwi_flush(script->world->context);

    for (uint32_t i = 0; status == KIWI_OK && i < script->history->count; i++)
        script->history->writes[i].is_safe = true;
    return status;
}

static enum kiwi_status steps_run(struct script *script, uint32_t count)
{
    for (uint32_t step = 0; step < count; step++) {
        uint64_t         die = chance_below(&script->chance, 100);
        enum kiwi_status status = die < 70 ? step_put(script, false)
                                : die < 80 ? step_put(script, true)
                                : die < 98 ? step_batch(script)
                                           : step_flush(script);
        if (status != KIWI_OK)
            return status;
    }
    return KIWI_OK;
}

static void world_small(struct world *world, uint64_t seed)
{
    world_make(world, WORLD_SIMULATED, seed);
    world->options.memtable_bytes = 32u << 10;
    world->options.log_bytes = 512u << 10;
}

/* One run with an accident at operation stop (0: none). Returns the operations it made. */
static uint64_t run_once(uint64_t seed, uint64_t stop, enum accident accident, uint32_t steps)
{
    static struct history history;
    struct world          world;
    struct script         script = { &world, &history, seed, 0, accident };
    char                  label[64];
    uint64_t              operations;

    snprintf(label, sizeof label, "seed %llu, %s at operation %llu", (unsigned long long)seed,
             accident == KILL ? "kill" : "power cut", (unsigned long long)stop);
    memset(&history, 0, sizeof history);
    world_small(&world, seed);
    simulation_stop_at(world.simulation, stop);
    if (world_open(&world) == KIWI_OK)
        (void)steps_run(&script, steps);
    operations = simulation_operations(world.simulation);
    if (accident == KILL)
        simulation_kill(world.simulation);
    else
        simulation_crash(world.simulation);
    if (world.db != NULL)
        (void)world_close(&world);
    simulation_stop_at(world.simulation, 0);
    for (int round = 0; round < 2; round++) {
        enum kiwi_status status = world_open(&world);
        if (status != KIWI_OK)
            fail_msg("%s: open %d after it: %s: %s", label, round + 1, kiwi_status_text(status),
                     kiwi_error_text());
        history_check(&history, world.db, world.context, label);
        check_ok(kiwi_put(world.context, (struct kiwi_slice){ "after", 5 },
                          (struct kiwi_slice){ "accident", 8 }, KIWI_DURABLE));
        check_ok(world_close(&world));
    }
    world_end(&world);
    return operations;
}

static void sweep(enum accident accident)
{
    uint32_t steps = 120;
    uint64_t total = run_once(seed_under_test, 0, accident, steps);
    uint64_t stride = test_is_long() ? 1 : 1 + total / sweep_of(60, 20);
    uint64_t points = 0;

    for (uint64_t stop = 1; stop <= total; stop += stride, points++)
        (void)run_once(seed_under_test, stop, accident, steps);
    printf("%llu accidents at %llu operations\n", (unsigned long long)points,
           (unsigned long long)total);
}

static void nothing_durable_is_lost_by_a_power_cut_at_any_operation(void **state)
{
    (void)state;
    sweep(POWER_CUT);
}

static void nothing_acknowledged_is_lost_by_a_kill_at_any_operation(void **state)
{
    (void)state;
    sweep(KILL);
}

static void other_seeds_lose_nothing_either(void **state)
{
    uint64_t rounds = test_is_long() ? 400 : sweep_of(40, 12);

    (void)state;
    for (uint64_t i = 1; i <= rounds; i++) {
        uint64_t seed = seed_under_test + i * 1000003;
        uint64_t chance = seed;
        (void)run_once(seed, 40 + chance_below(&chance, 600), i % 3 == 0 ? KILL : POWER_CUT, 250);
    }
}

static uint64_t      once_stop;
static uint32_t      once_steps;
static enum accident once_accident;

static void one_accident_loses_nothing(void **state)
{
    (void)state;
    (void)run_once(seed_under_test, once_stop, once_accident, once_steps);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest once[] = { cmocka_unit_test(one_accident_loses_nothing) };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_durable_is_lost_by_a_power_cut_at_any_operation),
        cmocka_unit_test(nothing_acknowledged_is_lost_by_a_kill_at_any_operation),
        cmocka_unit_test(other_seeds_lose_nothing_either),
    };

    seed_under_test = seed_get(argc > 1 ? strtoull(argv[1], NULL, 0) : 5);
    if (argc > 4) { /* one accident again: seed, operation, steps, "cut" or "kill" */
        once_stop = strtoull(argv[2], NULL, 0);
        once_steps = (uint32_t)strtoul(argv[3], NULL, 0);
        once_accident = strcmp(argv[4], "kill") == 0 ? KILL : POWER_CUT;
        return cmocka_run_group_tests(once, NULL, NULL);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
