/*
 * version_crash.c: the machine stops at any operation on the simulated disk, while opening too, and
 * whatever the disk kept, the manifest shows the state before or after the edit that was out, all
 * of whose tables can be read.
 */
#include "version_world.h"

#include <inttypes.h>
#include <string.h>

#include "io/simulated.h"

#ifdef KIWI_SANITIZED
#define SEED_COUNT 40u
#else
#define SEED_COUNT 250u
#endif

static uint64_t seed_now;
static bool     has_faults;

static void pictures_forget(struct world *world)
{
    memory_free(world->durable);
    memory_free(world->pending);
    world->durable = NULL;
    world->pending = NULL;
}

/* Only what the simulation was told to do may fail. */
static bool was_planned(enum kiwi_status status, const char *what)
{
    bool is_planned = has_faults ? status == KIWI_IO || status == KIWI_FULL
                                 : strstr(fail_text(), "simulated stop") != NULL;

    if (!is_planned)
        fail_msg("KIWI_SEED=%" PRIu64 ", %s: %s", seed_now, what, fail_text());
    return true;
}

/* What is open now is what the next crash must bring back. */
static void state_is_old_or_new(struct world *world)
{
    char *picture = world_picture(world);

    if (world->durable != NULL && strcmp(picture, world->durable) != 0) {
        if (world->pending == NULL || strcmp(picture, world->pending) != 0)
            print_message("KIWI_SEED=%" PRIu64 " shows neither state\n", seed_now);
        if (world->pending == NULL)
            assert_string_equal(picture, world->durable);
        assert_string_equal(picture, world->pending);
    }
    pictures_forget(world);
    world->durable = picture;
}

static void stopped_for_good(struct world *world)
{
    const struct version_edit nothing = { 0 };
    struct manifest_write     write;

    assert_int_equal(manifest_edit_start(world->manifest, &nothing, &write), KIWI_STOPPED);
}

/* One life: opens, edits until the machine stops or the time is up. False: it stopped. */
static bool life(struct world *world, uint64_t *chance)
{
    uint32_t         edits = world_random(chance, 30);
    enum kiwi_status status = world_start(world);

    if (status != KIWI_OK)
        return !was_planned(status, "opening");
    state_is_old_or_new(world);
    if ((status = world_tables_check(world)) != KIWI_OK)
        return !was_planned(status, "reading");
    for (uint32_t i = 0; i < edits; i++) {
        if ((status = world_random_edit(world, chance)) != KIWI_OK) {
            bool was_told = was_planned(status, "edit");

            if (manifest_status(world->manifest) != KIWI_OK)
                stopped_for_good(world);
            return !was_told;
        }
    }
    return true;
}

/* What goes wrong next, some operations from now. */
static void fate_choose(struct simulation *simulation, uint64_t *chance, uint32_t within)
{
    uint64_t n = simulation_operations(simulation) + 1 + world_random(chance, within);

    if (!has_faults)
        simulation_stop_at(simulation, n);
    else
        simulation_fail_at(simulation, n, world_random(chance, 2) == 0 ? KIWI_IO : KIWI_FULL,
                           world_random(chance, 2) == 0);
}

static void lives(uint64_t seed)
{
    struct simulation_options options = { .seed = seed, .short_transfer_per_million = 20000 };
    struct simulation        *simulation;
    struct world              world;
    uint64_t                  chance = seed;

    assert_int_equal(simulation_open(&options, &simulation), KIWI_OK);
    struct io *io = simulation_io(simulation);
    assert_int_equal(io_directory_create(io, "/shard"), KIWI_OK);
    assert_int_equal(io_directory_sync(io, "/"), KIWI_OK);
    world_open_on(&world, io, "/shard");
    world.keeps_pictures = true;
    world.switch_bytes = 4096 * (4 + world_random(&chance, 6));
    world.pool_bytes_max = 65536ull * world_random(&chance, 6);
    for (uint32_t i = 0; i < 12; i++) {
        if (i < 11)
            fate_choose(simulation, &chance, i % 2 == 0 ? 400 : 40);
        assert_int_equal(io_queue_open(io, 8, &world.queue), KIWI_OK);
        bool has_ended = life(&world, &chance);
        if (!has_ended || world_random(&chance, 2) == 0 || world.manifest == NULL) {
            if (world.manifest != NULL)
                world_drop(&world);
        } else
            world_stop(&world);
        io_queue_close(world.queue);
        world.queue = NULL;
        simulation_stop_at(simulation, 0);
        simulation_fail_at(simulation, 0, KIWI_IO, false);
        if (world_random(&chance, 4) == 0)
            simulation_kill(simulation);
        else
            simulation_crash(simulation);
    }
    pictures_forget(&world);
    buffers_close(world.buffers);
    simulation_close(simulation);
}

static void any_crash_shows_old_or_new_state(void **state)
{
    uint64_t seed = world_seed();

    (void)state;
    for (uint64_t i = 0; i < SEED_COUNT; i++) {
        seed_now = seed + i;
        lives(seed + i);
    }
}

/* Goal: an error, once or for good, and a full disk never cost what was durable. */
static void any_failing_operation_leaves_old_or_new_state(void **state)
{
    has_faults = true;
    any_crash_shows_old_or_new_state(state);
    has_faults = false;
}

/* ---- single crashes that chance seldom meets ---- */

struct machine {
    struct simulation *simulation;
    struct world       world;
};

static void machine_open(struct machine *machine, uint64_t seed)
{
    struct simulation_options options = { .seed = seed };

    assert_int_equal(simulation_open(&options, &machine->simulation), KIWI_OK);
    struct io *io = simulation_io(machine->simulation);
    assert_int_equal(io_directory_create(io, "/shard"), KIWI_OK);
    assert_int_equal(io_directory_sync(io, "/"), KIWI_OK);
    world_open_on(&machine->world, io, "/shard");
    world_started(&machine->world);
}

static void machine_close(struct machine *machine)
{
    world_stop(&machine->world);
    buffers_close(machine->world.buffers);
    simulation_close(machine->simulation);
}

static void new_manifest_survives_a_power_cut(void **state)
{
    struct version_edit edit = { .flushed_sequence = 5 };

    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        struct machine machine;

        machine_open(&machine, seed);
        assert_int_equal(world_edit(&machine.world, &edit), KIWI_OK);
        world_drop(&machine.world);
        simulation_crash(machine.simulation);
        world_started(&machine.world);
        assert_int_equal(machine.world.state.flushed_sequence, 5);
        machine_close(&machine);
    }
}

/* Goal: a file whose name is not durable yet is not taken for one that is. Method: the process dies
 * after creating it, the next one adopts and publishes it, then the power is cut. */
static void adopted_file_survives_a_power_cut(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        struct machine  machine;
        struct world   *world = &machine.world;
        struct io_file *file;
        uint64_t        file_id;
        bool            is_new;

        machine_open(&machine, seed);
        assert_int_equal(table_files_take(world->files, 4096, &file, &file_id, &is_new), KIWI_OK);
        assert_true(is_new);
        assert_int_equal(io_file_allocate(file, 65536), KIWI_OK);
        io_file_close(file);
        world_drop(world);
        simulation_kill(machine.simulation);
        world_started(world);
        assert_true(table_files_pool_bytes(world->files) > 0);
        assert_int_equal(world_add(world, 1, 9, 0, manifest_run_id_take(world->manifest)), KIWI_OK);
        assert_int_equal(table_files_pool_bytes(world->files), 0);
        char *picture = world_picture(world);
        world_drop(world);
        simulation_crash(machine.simulation);
        world_started(world);
        char *again = world_picture(world);
        assert_string_equal(picture, again);
        memory_free(picture);
        memory_free(again);
        machine_close(&machine);
    }
}

/* Goal: what an opening has read, it makes durable before it acts on it. Method: the process dies
 * when a switch has written the new header but not synced it; the next opening is cut by a power
 * failure at any place. */
static void switch_left_unsynced_is_made_durable_by_opening(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        struct machine        machine;
        struct world         *world = &machine.world;
        struct version_edit   edit = { .flushed_sequence = 0 };
        struct manifest_write write;

        machine_open(&machine, seed);
        for (write.count = 1; write.count == 1;) {
            edit.flushed_sequence++;
            assert_int_equal(manifest_edit_start(world->manifest, &edit, &write), KIWI_OK);
            if (write.count > 1)
                break;
            assert_int_equal(world_write(world, &write), KIWI_OK);
            manifest_edit_done(world->manifest, KIWI_OK);
        }
        for (uint32_t i = 0; i < 2; i++) {
            struct io_request *request = &write.requests[i];

            assert_int_equal(io_file_write(request->file, request->buffer, request->bytes,
                                           request->offset), KIWI_OK);
            if (i == 0)
                assert_int_equal(io_file_sync(request->file), KIWI_OK);
        }
        world_drop(world);
        simulation_kill(machine.simulation);
        simulation_stop_at(machine.simulation,
                           simulation_operations(machine.simulation) + 1 + seed % 20);
        if (world_start(world) == KIWI_OK)
            world_drop(world);
        simulation_stop_at(machine.simulation, 0);
        simulation_crash(machine.simulation);
        world_started(world);
        assert_true(world->state.flushed_sequence + 1 >= edit.flushed_sequence);
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

static void world_opens_while_one_read_lies(struct world *world, struct one_lie *one,
                                            uint64_t seed, const char *picture)
{
    struct simulation_options lying = { .seed = seed, .misdirected_read_per_million = 150000,
                                        .stale_read_per_million = 150000 };
    enum kiwi_status          status;

    one->honest.seed = seed;
    simulation_on_lie(one->simulation, lie_told, one);
    simulation_set(one->simulation, &lying);
    status = world_start(world);
    simulation_set(one->simulation, &one->honest);
    if (status == KIWI_OK) {
        char *shown = world_picture(world);

        assert_string_equal(shown, picture);
        memory_free(shown);
        world_drop(world);
    } else {
        assert_int_equal(status, KIWI_CORRUPT);
    }
}

/* Goal: one read that brings other or older bytes while the manifest is opened loses nothing and
 * becomes no damage. Method: the opening finds everything or is refused, and the next one, on an
 * honest device, finds everything. */
static void a_read_that_lies_while_opening_becomes_no_damage(void **state)
{
    uint64_t seed = world_seed(), chance = seed;
    uint32_t lied = 0;

    (void)state;
    for (uint64_t n = 0; n < 4 * SEED_COUNT; n++) {
        struct machine machine;
        struct one_lie one = { 0 };
        char          *picture;

        machine_open(&machine, seed + n);
        one.simulation = machine.simulation;
        machine.world.keeps_pictures = true;
        for (uint32_t i = world_random(&chance, 12); i > 0; i--)
            assert_int_equal(world_random_edit(&machine.world, &chance), KIWI_OK);
        picture = world_picture(&machine.world);
        world_drop(&machine.world);
        world_opens_while_one_read_lies(&machine.world, &one, seed + n, picture);
        lied += one.told;
        world_opens_as(&machine.world, picture);
        memory_free(picture);
        pictures_forget(&machine.world);
        buffers_close(machine.world.buffers);
        simulation_close(machine.simulation);
    }
    assert_true(lied > SEED_COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_crash_shows_old_or_new_state),
        cmocka_unit_test(any_failing_operation_leaves_old_or_new_state),
        cmocka_unit_test(new_manifest_survives_a_power_cut),
        cmocka_unit_test(adopted_file_survives_a_power_cut),
        cmocka_unit_test(switch_left_unsynced_is_made_durable_by_opening),
        cmocka_unit_test(a_read_that_lies_while_opening_becomes_no_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
