/*
 * wal_crash.c: the log on the simulated disk. The power goes or the process dies at any operation;
 * then what was durable (after the death of the process: what was appended) is replayed, in order,
 * and nothing that was never appended.
 */
#include "tests/support/mode.h"
#include "tests/unit/wal_harness.h"

#include <stdlib.h>

#include "io/simulated.h"

#define RING_BYTES (256ull << 10)
#define TAIL_BYTES (64ull << 10)

struct machine {
    struct simulation *simulation;
    struct harness     harness;
    struct io_queue   *queue;
    struct wal_group  *in_flight[WAL_GROUPS_IN_FLIGHT];
    uint64_t           chance;
    uint64_t           safe; /* survives the death of the process */
};

/* ---- driving groups through a queue ---- */

static void group_on_written(struct io_request *request)
{
    struct wal_group *group = container_of(request, struct wal_group, request);
    struct machine   *machine = group->taker;

    for (uint32_t i = 0; i < WAL_GROUPS_IN_FLIGHT; i++)
        if (machine->in_flight[i] == group)
            machine->in_flight[i] = NULL;
    wal_group_done(machine->harness.wal, group);
}

static void group_start(struct machine *machine, struct wal_group *group)
{
    uint32_t place = 0;

    if (group == NULL)
        return;
    while (machine->in_flight[place] != NULL)
        place++;
    machine->in_flight[place] = group;
    group->taker = machine;
    group->request.done = group_on_written;
    io_queue_add(machine->queue, &group->request);
}

/* ---- lives ---- */

static void machine_open(struct machine *machine, uint64_t seed)
{
    const struct simulation_options options = { .seed = seed, .short_transfer_per_million = 1000 };

    *machine = (struct machine){ .chance = seed };
    assert_int_equal(simulation_open(&options, &machine->simulation), KIWI_OK);
    assert_int_equal(io_directory_create(simulation_io(machine->simulation), "/db"), KIWI_OK);
    assert_int_equal(io_directory_sync(simulation_io(machine->simulation), "/db"), KIWI_OK);
    assert_int_equal(io_directory_sync(simulation_io(machine->simulation), "/"), KIWI_OK);
    harness_open_on(&machine->harness, simulation_io(machine->simulation), "/db", RING_BYTES,
                    TAIL_BYTES);
}

static enum kiwi_status machine_start(struct machine *machine)
{
    enum kiwi_status status = harness_reopen(&machine->harness);

    if (status == KIWI_OK)
        status = io_queue_open(simulation_io(machine->simulation), 8, &machine->queue);
    return status;
}

/* Ends the machine or the process, and frees what the dead process had. */
static void machine_end(struct machine *machine, bool is_power_cut)
{
    if (is_power_cut)
        simulation_crash(machine->simulation);
    else
        simulation_kill(machine->simulation);
    io_queue_close(machine->queue); /* calls done of what was in flight */
    machine->queue = NULL;
    for (uint32_t i = 0; i < WAL_GROUPS_IN_FLIGHT; i++)
        assert_null(machine->in_flight[i]);
    harness_drop(&machine->harness);
}

static void machine_close(struct machine *machine)
{
    machine_end(machine, false);
    simulation_close(machine->simulation);
}

static bool step_append(struct machine *machine, uint64_t dice)
{
    struct harness  *harness = &machine->harness;
    enum wal_verdict verdict;

    if (dice % 2 == 0)
        verdict = harness_append(harness);
    else
        verdict = harness_append_batch(harness, (uint32_t)(dice >> 8) % 25 + 1,
                                       (uint32_t)(dice >> 16) % 4);
    if (verdict == WAL_STOPPED)
        return false;
    if (verdict == WAL_APPENDED && !wal_needs_write(harness->wal))
        machine->safe = wal_appended_sequence(harness->wal);
    return true;
}

/* One thing that a shard does. False: the machine has stopped. */
static bool step(struct machine *machine)
{
    struct harness *harness = &machine->harness;
    uint64_t        dice = harness_random(&machine->chance);
    bool            goes_on = true;

    switch (dice % 16) {
    case 0: case 1:
        io_queue_poll(machine->queue, UINT64_MAX);
        break;
    case 2: case 3: case 4:
        if (wal_groups_out(harness->wal) < WAL_GROUPS_IN_FLIGHT)
            group_start(machine, wal_group_cut(harness->wal));
        break;
    case 5:
        io_queue_poll(machine->queue, 0);
        break;
    case 6:
        group_start(machine, wal_mark_cut(harness->wal, (dice >> 32) % 4 == 0));
        break;
    case 7:
        if ((dice >> 32) % 4 == 0 || wal_ring_used_bytes(harness->wal) > RING_BYTES / 2)
            harness_trim(harness);
        break;
    default:
        goes_on = step_append(machine, dice >> 4);
        break;
    }
    if (!wal_needs_write(harness->wal))
        machine->safe = wal_appended_sequence(harness->wal);
    machine->safe = max_u64(machine->safe, wal_durable_sequence(harness->wal));
    return goes_on && wal_status(harness->wal) == KIWI_OK;
}

/* What has to be there after an end, and what may be. */
struct bounds {
    uint64_t durable, safe, appended;
};

static struct bounds bounds_of(const struct machine *machine)
{
    const struct harness *harness = &machine->harness;

    return (struct bounds){
        .durable = max_u64(wal_durable_sequence(harness->wal), harness->sequence_after),
        .safe = max_u64(machine->safe, harness->sequence_after),
        .appended = wal_appended_sequence(harness->wal),
    };
}

static void bounds_hold(const struct machine *machine, struct bounds bounds, bool was_power_cut)
{
    const struct harness *harness = &machine->harness;

    assert_true(harness->replayed_last >= (was_power_cut ? bounds.durable : bounds.safe));
    assert_true(harness->replayed_last <= bounds.appended);
    assert_int_equal(wal_appended_sequence(harness->wal), harness->replayed_last);
    assert_int_equal(wal_durable_sequence(harness->wal), harness->replayed_last);
}

/* Goal: as the file says. Method: a scripted life of a few hundred steps, ended before operation n
 * for every n; then recovered, ended again during the recovery's own operations, and recovered. */
static void life_ended_at_every_operation_is_recovered(void **state)
{
    uint64_t seed = harness_seed();

    (void)state;
    for (uint32_t is_power_cut = 0; is_power_cut < 2; is_power_cut++)
        for (uint64_t n = 1; n <= 150; n += sweep_of(1, 5)) {
            struct machine machine;
            struct bounds  bounds = { 0, 0, 0 };
            uint64_t       before;

            machine_open(&machine, seed);
            before = simulation_operations(machine.simulation);
            simulation_stop_at(machine.simulation, before + n);
            if (machine_start(&machine) == KIWI_OK) {
                for (uint32_t i = 0; i < 400 && step(&machine); i++)
                    continue;
                bounds = bounds_of(&machine);
            }
            machine_end(&machine, is_power_cut);
            simulation_stop_at(machine.simulation,
                               simulation_operations(machine.simulation) + 1 + n % 12);
            if (machine_start(&machine) != KIWI_OK || is_power_cut) {
                machine_end(&machine, is_power_cut);
                assert_int_equal(machine_start(&machine), KIWI_OK);
            }
            bounds_hold(&machine, bounds, is_power_cut);
            machine_close(&machine);
        }
}

/* Goal: a log is there or not, never half. Method: creation ends at each of its operations, with
 * many draws of what a crash keeps. */
static void creation_ended_at_any_operation_can_be_repeated(void **state)
{
    uint64_t seed = harness_seed();

    (void)state;
    for (uint32_t i = 0; i < sweep_of(400, 80); i++) {
        struct machine machine;

        machine_open(&machine, seed + i);
        simulation_stop_at(machine.simulation, simulation_operations(machine.simulation) + i % 20);
        (void)machine_start(&machine);
        machine_end(&machine, i % 3 != 0);
        assert_int_equal(machine_start(&machine), KIWI_OK);
        assert_int_equal(machine.harness.replayed_last, 0);
        assert_int_equal(harness_append(&machine.harness), WAL_APPENDED);
        machine_end(&machine, false);
        assert_int_equal(machine_start(&machine), KIWI_OK);
        assert_int_equal(machine.harness.replayed_last, 1);
        machine_close(&machine);
    }
}

/* Goal: lives follow each other. Method: many lives of one log, each ended at a random operation,
 * by power cut or death of the process; recoveries are ended too. */
static void lives_of_random_length_follow_each_other(void **state)
{
    uint64_t seed = harness_seed();

    (void)state;
    for (uint32_t run = 0; run < sweep_of(30, 6); run++) {
        struct machine machine;
        struct bounds  bounds = { 0, 0, 0 };
        bool           was_power_cut = false;

        machine_open(&machine, seed * 1000 + run);
        machine.harness.large_every = run % 3 == 0 ? 97 : 0;
        machine.harness.large_bytes = 40 << 10;
        for (uint32_t life = 0; life < 40; life++) {
            uint64_t length = harness_random(&machine.chance) % 80 + 1;
            bool     is_power_cut = harness_random(&machine.chance) % 2 == 0;

            simulation_stop_at(machine.simulation,
                               simulation_operations(machine.simulation) + length);
            if (machine_start(&machine) == KIWI_OK) {
                bounds_hold(&machine, bounds, was_power_cut);
                was_power_cut = false;
                machine.safe = wal_appended_sequence(machine.harness.wal);
                for (uint32_t i = 0; i < 400 && step(&machine); i++)
                    continue;
                bounds = bounds_of(&machine);
            }
            /* Once the power went, what only the tail had may be gone. */
            was_power_cut |= is_power_cut;
            machine_end(&machine, is_power_cut);
        }
        simulation_stop_at(machine.simulation, 0);
        assert_int_equal(machine_start(&machine), KIWI_OK);
        bounds_hold(&machine, bounds, was_power_cut);
        machine_close(&machine);
    }
}

/* Goal: an error of the device, once or for good, stops the log and loses nothing durable. */
static void error_of_any_operation_stops_the_log(void **state)
{
    uint64_t seed = harness_seed();

    (void)state;
    for (uint64_t n = 1; n < 150; n += sweep_of(1, 5)) {
        struct machine machine;
        struct bounds  bounds = { 0, 0, 0 };

        machine_open(&machine, seed + n);
        simulation_fail_at(machine.simulation, simulation_operations(machine.simulation) + n,
                           n % 2 == 0 ? KIWI_IO : KIWI_FULL, n % 3 == 0);
        if (machine_start(&machine) == KIWI_OK) {
            for (uint32_t i = 0; i < 300 && step(&machine); i++)
                continue;
            bounds = bounds_of(&machine);
        }
        simulation_fail_at(machine.simulation, 0, KIWI_OK, false);
        machine_end(&machine, n % 2);
        assert_int_equal(machine_start(&machine), KIWI_OK);
        bounds_hold(&machine, bounds, true);
        machine_close(&machine);
    }
}

struct one_lie {
    struct simulation        *simulation;
    struct simulation_options honest;
    uint32_t                  told;
};

static void lie_told(void *context, const struct simulated_lie *lie)
{
    struct one_lie *one = context;

    (void)lie;
    one->told++;
    simulation_set(one->simulation, &one->honest);
}

/* Goal: one read that brings other or older bytes while the log is opened loses nothing and becomes
 * no damage. Method: the opening finds everything or is refused, and the next one, on an honest
 * device, finds everything. */
static void a_read_that_lies_while_opening_becomes_no_damage(void **state)
{
    uint64_t seed = harness_seed();
    uint32_t refused = 0, lied = 0;

    (void)state;
    for (uint64_t n = 1; n < sweep_of(200, 40); n++) {
        struct simulation_options lying = { .seed = seed + n,
                                            .misdirected_read_per_million = 200000,
                                            .stale_read_per_million = 200000 };
        struct one_lie   one = { .honest = { .seed = seed + n } };
        bool             is_power_cut = n % 2 != 0;
        struct machine   machine;
        struct bounds    bounds;
        enum kiwi_status status;

        machine_open(&machine, seed + n);
        assert_int_equal(machine_start(&machine), KIWI_OK);
        for (uint32_t i = 0; i < 60 && step(&machine); i++)
            continue;
        bounds = bounds_of(&machine);
        machine_end(&machine, is_power_cut);
        one.simulation = machine.simulation;
        simulation_on_lie(machine.simulation, lie_told, &one);
        simulation_set(machine.simulation, &lying);
        status = machine_start(&machine);
        simulation_set(machine.simulation, &one.honest);
        lied += one.told;
        assert_true(one.told <= 1);
        if (status == KIWI_OK) {
            bounds_hold(&machine, bounds, is_power_cut);
            bounds = bounds_of(&machine);
            machine_end(&machine, is_power_cut);
        } else {
            refused++;
            assert_int_equal(status, KIWI_CORRUPT);
        }
        assert_int_equal(machine_start(&machine), KIWI_OK);
        bounds_hold(&machine, bounds, is_power_cut);
        machine_close(&machine);
    }
    assert_in_range(refused, 2, lied - 2);
}

/* Goal: what an opening that failed has written is durable when the next one says so. Method: the
 * process dies, one operation of the next opening fails, its sync among them, the one after finds
 * what there is, then the power is cut. */
static void an_opening_after_a_failed_one_makes_all_durable(void **state)
{
    uint64_t seed = harness_seed();
    uint32_t failed = 0;

    (void)state;
    for (uint64_t run = 0; run < sweep_of(400, 100); run++) {
        struct machine machine;
        uint64_t       kept;

        machine_open(&machine, seed + run);
        assert_int_equal(machine_start(&machine), KIWI_OK);
        for (uint32_t i = 0; i < 40 && step(&machine); i++)
            continue;
        machine_end(&machine, false);
        simulation_fail_at(machine.simulation,
                           simulation_operations(machine.simulation) + 1 + run % 16, KIWI_IO,
                           false);
        failed += machine_start(&machine) != KIWI_OK;
        simulation_fail_at(machine.simulation, 0, KIWI_OK, false);
        machine_end(&machine, false);
        assert_int_equal(machine_start(&machine), KIWI_OK);
        kept = machine.harness.replayed_last;
        machine_end(&machine, true);
        assert_int_equal(machine_start(&machine), KIWI_OK);
        assert_true(machine.harness.replayed_last >= kept);
        machine_close(&machine);
    }
    assert_true(failed > 20);
}

/* ---- a failed sync, and what comes after it ---- */

enum { ENDS_MAX = 64 };

/* Where appends end: a replay may stop at no other place. */
struct ends {
    uint64_t sequences[ENDS_MAX];
    uint32_t count;
};

static void ends_append(struct machine *machine, struct ends *ends)
{
    uint64_t dice = harness_random(&machine->chance);

    assert_true(ends->count < ENDS_MAX);
    assert_int_equal(harness_append_batch(&machine->harness, (uint32_t)dice % 25 + 1,
                                          (uint32_t)(dice >> 8) % 4), WAL_APPENDED);
    ends->sequences[ends->count++] = wal_appended_sequence(machine->harness.wal);
}

static bool ends_have(const struct ends *ends, uint64_t sequence)
{
    for (uint32_t i = 0; i < ends->count; i++)
        if (ends->sequences[i] == sequence)
            return true;
    return sequence == 0;
}

static void groups_write(struct machine *machine)
{
    group_start(machine, wal_group_cut(machine->harness.wal));
    while (io_queue_pending(machine->queue) > 0)
        io_queue_poll(machine->queue, UINT64_MAX);
}

/* Some appends that are durable, then one group to four of which one cannot be synced. */
static void life_with_a_failed_sync(struct machine *machine, struct ends *ends)
{
    struct simulation *simulation = machine->simulation;
    uint64_t           count = harness_random(&machine->chance) % WAL_GROUPS_IN_FLIGHT + 1;
    uint64_t           failing = harness_random(&machine->chance) % count + 1;

    for (uint64_t i = harness_random(&machine->chance) % 4; i > 0; i--) {
        ends_append(machine, ends);
        ends_append(machine, ends);
        groups_write(machine);
        assert_int_equal(wal_durable_sequence(machine->harness.wal),
                         wal_appended_sequence(machine->harness.wal));
    }
    simulation_fail_at(simulation, simulation_operations(simulation) + failing, KIWI_IO, false);
    for (uint64_t i = 0; i < count; i++) {
        ends_append(machine, ends);
        group_start(machine, wal_group_cut(machine->harness.wal));
    }
    while (io_queue_pending(machine->queue) > 0)
        io_queue_poll(machine->queue, UINT64_MAX);
    assert_int_equal(wal_status(machine->harness.wal), KIWI_IO);
    assert_true(wal_durable_sequence(machine->harness.wal)
                < wal_appended_sequence(machine->harness.wal));
    assert_null(wal_group_cut(machine->harness.wal));
    simulation_fail_at(simulation, 0, KIWI_OK, false);
}

/* Goal: after a failed sync nothing acknowledged is lost and nothing unacknowledged comes back
 * half; and what an opening has shown stays. Method: the process that met the failure ends, the
 * next opening is stopped, or meets an error, at one of its operations or at none, and then the
 * power goes. */
static void log_of_a_failed_sync_is_made_durable_by_opening(void **state)
{
    uint64_t seed = harness_seed();
    uint32_t opened = 0, runs = sweep_of(600, 120);

    (void)state;
    for (uint64_t run = 0; run < runs; run++) {
        struct machine machine;
        struct ends    ends = { .count = 0 };
        uint64_t       kept, at;

        machine_open(&machine, seed * 1000 + run);
        assert_int_equal(machine_start(&machine), KIWI_OK);
        life_with_a_failed_sync(&machine, &ends);
        kept = wal_durable_sequence(machine.harness.wal);
        machine_end(&machine, false);

        at = simulation_operations(machine.simulation) + 1 + run / 2 % 40;
        if (run % 2 == 0)
            simulation_stop_at(machine.simulation, at);
        else
            simulation_fail_at(machine.simulation, at, KIWI_IO, false);
        if (machine_start(&machine) == KIWI_OK) {
            assert_true(machine.harness.replayed_last >= kept);
            assert_true(ends_have(&ends, machine.harness.replayed_last));
            kept = machine.harness.replayed_last;
            opened++;
        }
        simulation_fail_at(machine.simulation, 0, KIWI_OK, false);
        machine_end(&machine, true);
        simulation_stop_at(machine.simulation, 0);
        assert_int_equal(machine_start(&machine), KIWI_OK);
        assert_true(machine.harness.replayed_last >= kept);
        assert_true(ends_have(&ends, machine.harness.replayed_last));
        machine_close(&machine);
    }
    assert_true(opened > 0 && opened < runs);
}

/* Goal: an error of any one read of a log that is read in parts side by side is told with its file,
 * and costs nothing. Method: three entries of a MiB each; operation n of an opening fails. */
static void a_read_that_fails_in_a_long_log_is_told(void **state)
{
    const struct simulation_options options = { .seed = harness_seed() };
    struct machine machine = { .chance = 1 };
    uint32_t       refused = 0;

    (void)state;
    assert_int_equal(simulation_open(&options, &machine.simulation), KIWI_OK);
    assert_int_equal(io_directory_create(simulation_io(machine.simulation), "/db"), KIWI_OK);
    harness_open_on(&machine.harness, simulation_io(machine.simulation), "/db", 16 << 20, 1 << 20);
    machine.harness.large_every = 1;
    machine.harness.large_bytes = 1 << 20;
    assert_int_equal(machine_start(&machine), KIWI_OK);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(harness_append(&machine.harness), WAL_APPENDED);
        assert_int_equal(harness_flush(&machine.harness), 1);
    }
    for (uint64_t n = 1;; n++) {
        enum kiwi_status status;

        machine_end(&machine, false);
        simulation_fail_at(machine.simulation, simulation_operations(machine.simulation) + n,
                           KIWI_IO, false);
        status = machine_start(&machine);
        simulation_fail_at(machine.simulation, 0, KIWI_OK, false);
        if (status == KIWI_OK)
            break; /* it needs no n operations */
        refused++;
        assert_int_equal(status, KIWI_IO);
        if (strstr(fail_text(), "/db/") == NULL)
            fail_msg("no file is named: %s", fail_text());
        machine_end(&machine, false);
        assert_int_equal(machine_start(&machine), KIWI_OK);
        assert_int_equal(machine.harness.replayed_last, 3);
    }
    print_message("%u openings refused\n", refused);
    assert_true(refused > 8);
    machine_close(&machine);
}

/* A sealed log that was not touched since is recovered as such, from any simulated crash. */
static void seal_survives_a_power_cut(void **state)
{
    struct machine machine;

    (void)state;
    machine_open(&machine, harness_seed());
    assert_int_equal(machine_start(&machine), KIWI_OK);
    assert_int_equal(harness_append_batch(&machine.harness, 5, 2), WAL_APPENDED);
    group_start(&machine, wal_group_cut(machine.harness.wal));
    while (io_queue_pending(machine.queue) != 0)
        io_queue_poll(machine.queue, UINT64_MAX);
    group_start(&machine, wal_mark_cut(machine.harness.wal, true));
    while (io_queue_pending(machine.queue) != 0)
        io_queue_poll(machine.queue, UINT64_MAX);
    assert_int_equal(wal_durable_sequence(machine.harness.wal), 5);
    machine_end(&machine, true);
    assert_int_equal(machine_start(&machine), KIWI_OK);
    assert_true(machine.harness.recovery.was_sealed);
    assert_int_equal(machine.harness.replayed_last, 5);
    machine_close(&machine);
}

/* Long enough that a replay reads several pieces at a time through a queue of its own. */
static void long_log_is_replayed(void **state)
{
    struct machine machine;
    uint64_t       appended;

    (void)state;
    machine_open(&machine, harness_seed());
    machine.harness.options.ring_bytes = 12ull << 20;
    machine.harness.options.tail_bytes = 1ull << 20;
    machine.harness.value_bytes = 4000;
    assert_int_equal(machine_start(&machine), KIWI_OK);
    while (wal_ring_used_bytes(machine.harness.wal) < 9ull << 20) {
        enum wal_verdict verdict = harness_append(&machine.harness);

        if (wal_staged_bytes(machine.harness.wal) > 60000)
            group_start(&machine, wal_group_cut(machine.harness.wal));
        io_queue_poll(machine.queue, verdict == WAL_NO_ROOM ? UINT64_MAX : 0);
    }
    appended = wal_appended_sequence(machine.harness.wal);
    machine_end(&machine, false);
    assert_int_equal(machine_start(&machine), KIWI_OK);
    assert_int_equal(machine.harness.replayed_last, appended);
    assert_true(machine.harness.recovery.byte_count > 8ull << 20);
    machine_close(&machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(life_ended_at_every_operation_is_recovered),
        cmocka_unit_test(creation_ended_at_any_operation_can_be_repeated),
        cmocka_unit_test(lives_of_random_length_follow_each_other),
        cmocka_unit_test(error_of_any_operation_stops_the_log),
        cmocka_unit_test(a_read_that_lies_while_opening_becomes_no_damage),
        cmocka_unit_test(an_opening_after_a_failed_one_makes_all_durable),
        cmocka_unit_test(log_of_a_failed_sync_is_made_durable_by_opening),
        cmocka_unit_test(a_read_that_fails_in_a_long_log_is_told),
        cmocka_unit_test(seal_survives_a_power_cut),
        cmocka_unit_test(long_log_is_replayed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
