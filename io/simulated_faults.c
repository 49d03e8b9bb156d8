/*
 * simulated_faults.c: which operation meets which fault, how long it takes, and what the faults do
 * to the bytes.
 */
#include "io/simulated_machine.h"

#include <errno.h>
#include <string.h>

#include "io/failure.h"

static const char *const fault_names[SIMULATED_FAULT_COUNT] = {
    "read error", "write error", "sync error", "short transfer", "bit flip", "lost write",
    "misdirected write", "misdirected read", "stale read", "slow request", "stuck request",
    "clock jump", "full disk", "planned error",
};

const char *simulated_fault_name(enum simulated_fault fault)
{
    return fault_names[fault];
}

const uint64_t *simulation_counts(const struct simulation *simulation)
{
    return simulation->counts;
}

void simulation_on_lie(struct simulation *simulation,
                       void (*told)(void *context, const struct simulated_lie *lie), void *context)
{
    simulation->lie_told = told;
    simulation->lie_context = context;
}

static bool meets(struct simulation *simulation, enum simulated_fault fault, uint32_t per_million)
{
    if (!chance_hits(&simulation->chance_faults, per_million))
        return false;
    simulation->counts[fault]++;
    return true;
}

/* A lie that changes nothing is none. */
static void lie(struct simulation *simulation, enum simulated_fault fault,
                const struct simulated_file *file, uint64_t bytes, uint64_t offset)
{
    const struct simulated_lie told = { fault, file->base.path, offset, bytes };

    simulation->counts[fault]++;
    if (simulation->lie_told != NULL)
        simulation->lie_told(simulation->lie_context, &told);
}

/* ---- time ---- */

uint64_t simulation_latency_ns(struct simulation *simulation, unsigned kinds, uint64_t bytes)
{
    enum { BYTES_PER_NS = 2, SLOW_ONE_IN = 64, SLOW_FACTOR = 20 };
    uint64_t mean = simulation->options.latency_ns;
    uint64_t latency = mean / 4 + chance_below(&simulation->chance_faults, mean * 3 / 2 + 1);

    if ((kinds & OPERATION_SYNC) != 0)
        latency += mean;
    if (chance_below(&simulation->chance_faults, SLOW_ONE_IN) == 0) {
        latency *= SLOW_FACTOR;
        simulation->counts[SIMULATED_SLOW]++;
    }
    return latency + bytes / BYTES_PER_NS;
}

struct delay simulation_delay(struct simulation *simulation)
{
    static const uint64_t second_ns = 1000000000;
    enum { SECONDS_MAX = 3, EVENTS_MAX = 3000 };
    struct delay          delay = { 0 };

    if (!meets(simulation, SIMULATED_STUCK, simulation->options.stuck_request_per_million))
        return delay;
    if (chance_below(&simulation->chance_faults, 2) == 0)
        delay.ns = second_ns * (1 + chance_below(&simulation->chance_faults, SECONDS_MAX));
    else
        delay.events = 1 + chance_below(&simulation->chance_faults, EVENTS_MAX);
    return delay;
}

void simulation_tick(struct simulation *simulation, uint64_t ns)
{
    static const uint64_t hour_ns = 3600ull * 1000000000;
    enum { JUMP_HOURS_MAX = 30, WALL_HOURS_MAX = 100 };
    struct chance        *chance = &simulation->chance_faults;
    uint64_t              jump;

    simulation->now_ns += ns;
    if (!meets(simulation, SIMULATED_JUMP, simulation->options.clock_jump_per_million))
        return;
    jump = chance_below(chance, JUMP_HOURS_MAX * hour_ns);
    simulation->now_ns += jump;
    simulation->jumped_ns += jump;
    /* The wall clock goes anywhere, also back. */
    simulation->wall_ns = WALL_CLOCK_NS + chance_below(chance, WALL_HOURS_MAX * hour_ns);
}

/* ---- errors ---- */

static int error_of_status(enum kiwi_status status)
{
    return status == KIWI_FULL ? ENOSPC : EIO;
}

static int planned_failure(struct simulation *simulation, unsigned kinds)
{
    if (simulation->fail_at == 0)
        return 0;
    if (simulation->operation_count == simulation->fail_at) {
        simulation->fail_kinds = kinds;
        return error_of_status(simulation->fail_status);
    }
    if (simulation->operation_count > simulation->fail_at && simulation->fail_is_sticky
        && (kinds & simulation->fail_kinds) != 0)
        return error_of_status(simulation->fail_status);
    return 0;
}

int simulation_step(struct simulation *simulation, unsigned kinds)
{
    const struct simulation_options *options = &simulation->options;
    int                              error;

    simulation->is_last_breath = false;
    if (simulation->is_stopped)
        return FAILURE_STOPPED;
    simulation->operation_count++;
    if (simulation->stop_at != 0 && simulation->operation_count >= simulation->stop_at) {
        simulation->is_stopped = true;
        simulation->is_last_breath = true;
        return FAILURE_STOPPED;
    }
    error = planned_failure(simulation, kinds);
    if (error != 0) {
        simulation->counts[SIMULATED_PLANNED]++;
        return error;
    }
    if (((kinds & OPERATION_READ) != 0
         && meets(simulation, SIMULATED_READ_ERROR, options->read_error_per_million))
        || ((kinds & OPERATION_WRITE) != 0
            && meets(simulation, SIMULATED_WRITE_ERROR, options->write_error_per_million))
        || ((kinds & OPERATION_SYNC) != 0
            && meets(simulation, SIMULATED_SYNC_ERROR, options->sync_error_per_million)))
        return EIO;
    return 0;
}

/* ---- transfers with faults ---- */

/* Offset of another page of the same file: where a misdirected transfer goes. */
static uint64_t misdirected(struct simulation *simulation, const struct disk_file *file,
                            uint64_t bytes, uint64_t offset)
{
    uint64_t pages = file->present.bytes / PAGE_BYTES, before = offset % PAGE_BYTES;

    if (pages * PAGE_BYTES < before + bytes + PAGE_BYTES)
        return offset;
    return before
         + chance_below(&simulation->chance_faults, pages - (before + bytes) / PAGE_BYTES)
               * PAGE_BYTES;
}

/* The disk says yes, and one page of the write or all of them keep their old bytes. */
static int write_lost(struct simulation *simulation, const struct simulated_file *file,
                      const void *data, uint64_t bytes, uint64_t offset)
{
    struct chance *chance = &simulation->chance_faults;
    uint8_t       *mixed = machine_allocate(bytes);
    uint64_t       from = 0, to = bytes;
    int            error;

    memcpy(mixed, data, bytes);
    if (chance_below(chance, 2) == 0) {
        from = chance_below(chance, (bytes + PAGE_BYTES - 1) / PAGE_BYTES) * PAGE_BYTES;
        to = min_u64(bytes, from + PAGE_BYTES);
    }
    disk_look(file->file, mixed + from, to - from, offset + from);
    error = disk_write(&simulation->disk, file->file, mixed, bytes, offset, CHANGE_UNSYNCED);
    if (error == 0 && memcmp(mixed, data, bytes) != 0)
        lie(simulation, SIMULATED_LOST_WRITE, file, to - from, offset + from);
    machine_free(mixed);
    return error;
}

int simulated_write(struct simulation *simulation, struct simulated_file *file, const void *data,
                    uint64_t bytes, uint64_t offset, int error)
{
    struct chance *chance = &simulation->chance_faults;

    if (error == FAILURE_STOPPED) {
        /* Whether it reached the disk is for the crash to decide. */
        if (file->file != NULL)
            disk_write(&simulation->disk, file->file, data, bytes, offset, CHANGE_IN_FLIGHT);
        return error;
    }
    if (error != 0) {
        /* A write that failed may have left any part of itself. */
        uint64_t part = chance_below(chance, bytes / 512 + 1) * 512;
        int      ignored = disk_write(&simulation->disk, file->file, data, part, offset,
                                      CHANGE_UNSYNCED);
        (void)ignored;
        return error;
    }
    if (bytes > 0 && chance_hits(chance, simulation->options.lost_write_per_million))
        return write_lost(simulation, file, data, bytes, offset);
    if (chance_hits(chance, simulation->options.misdirected_write_per_million)) {
        uint64_t to = misdirected(simulation, file->file, bytes, offset);

        if (to != offset)
            lie(simulation, SIMULATED_MISDIRECTED_WRITE, file, bytes, offset);
        offset = to;
    }
    error = disk_write(&simulation->disk, file->file, data, bytes, offset, CHANGE_UNSYNCED);
    simulation->counts[SIMULATED_FULL] += error == ENOSPC;
    return error;
}

/* Older bytes over some sectors or all of them. */
static void read_stale(struct simulation *simulation, const struct simulated_file *file,
                       uint8_t *buffer, uint64_t bytes, uint64_t offset)
{
    struct chance *chance = &simulation->chance_faults;
    uint64_t       sectors = (bytes + IO_SECTOR_BYTES - 1) / IO_SECTOR_BYTES;
    uint64_t       first = chance_below(chance, sectors), count = sectors - first, from, to;

    if (chance_below(chance, 2) == 0)
        first = 0, count = sectors;
    else
        count = 1 + chance_below(chance, count);
    from = first * IO_SECTOR_BYTES;
    to = min_u64(bytes, from + count * IO_SECTOR_BYTES);
    if (disk_read_past(file->file, buffer + from, to - from, offset + from))
        lie(simulation, SIMULATED_STALE_READ, file, to - from, offset + from);
}

int simulated_read(struct simulation *simulation, struct simulated_file *file, void *buffer,
                   uint64_t bytes, uint64_t offset, int error)
{
    const struct simulation_options *options = &simulation->options;
    struct chance                   *chance = &simulation->chance_faults;
    uint64_t                         from = offset;

    if (error != 0)
        return error;
    if (chance_hits(chance, options->misdirected_read_per_million)
        && offset + bytes <= file->file->present.bytes)
        from = misdirected(simulation, file->file, bytes, offset);
    if (from + bytes > file->file->present.bytes)
        from = offset;
    if (from != offset)
        lie(simulation, SIMULATED_MISDIRECTED_READ, file, bytes, offset);
    error = disk_read(&simulation->disk, file->file, buffer, bytes, from);
    if (error == 0 && bytes > 0 && chance_hits(chance, options->stale_read_per_million))
        read_stale(simulation, file, buffer, bytes, from);
    if (error == 0 && meets(simulation, SIMULATED_FLIP, options->bit_flip_per_million)) {
        uint64_t bit = chance_below(chance, bytes * 8);

        ((uint8_t *)buffer)[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    return error;
}

int simulated_sync(struct simulation *simulation, struct simulated_file *file, uint64_t number,
                   int error)
{
    if (error == FAILURE_STOPPED)
        return error;
    if (file->directory != NULL) {
        if (error == 0)
            disk_directory_sync(&simulation->disk, file->directory);
        return error;
    }
    if (error == 0)
        disk_sync(&simulation->disk, file->file, number);
    else
        disk_sync_fail(file->file, number, &simulation->chance_faults);
    return error;
}
