/*
 * simulated.h: a disk, a clock and a random stream from one seed, behind io.h.
 *
 * Disk     each file has a durable image and an ordered set of unsynced writes. Reads see the
 *          newest.
 *          Names (create, rename, remove) are durable only after the directory is synced, or lost
 *          or kept by chance at a crash.
 * Crash    keeps everything synced and any subset of the rest, each unsynced write whole, torn at
 *          512 B or 4 KiB, or absent. Mapped files (io_map) keep their bytes over simulation_kill
 *          (the process dies), and any mix of old and new pages over simulation_crash.
 * Faults   by chance from the seed, or at the n-th operation; each is counted.
 * Thread   one.
 */
#pragma once

#include <stdint.h>

#include "io/io.h"

struct simulation;

struct simulation_options {
    uint64_t seed;
    uint64_t disk_bytes;              /* KIWI_FULL beyond; 0: no limit */
    uint32_t read_error_per_million;
    uint32_t write_error_per_million;
    uint32_t sync_error_per_million;
    uint32_t short_transfer_per_million; /* continued inside io, must be invisible above */
    uint32_t bit_flip_per_million;    /* of reads */
    uint32_t latency_ns;              /* mean of one request, varied by the seed; 0: 50 us */
    /* Lies of the disk: these succeed as far as the caller can see. */
    uint32_t lost_write_per_million;  /* a page keeps its old bytes */
    uint32_t misdirected_write_per_million; /* goes to another page of the same file */
    uint32_t misdirected_read_per_million;  /* comes from another page of the same file */
    uint32_t stale_read_per_million;   /* sectors as they were before some earlier write */
    uint32_t stuck_request_per_million; /* up to 3 s, or until so much else has happened */
    uint32_t clock_jump_per_million;   /* of looks at the clock: hours forwards; the wall clock
                                          * forwards or back */
};

enum simulated_fault {
    SIMULATED_READ_ERROR,
    SIMULATED_WRITE_ERROR,
    SIMULATED_SYNC_ERROR,
    SIMULATED_SHORT,
    SIMULATED_FLIP,
    SIMULATED_LOST_WRITE,
    SIMULATED_MISDIRECTED_WRITE,
    SIMULATED_MISDIRECTED_READ,
    SIMULATED_STALE_READ,
    SIMULATED_SLOW,
    SIMULATED_STUCK,
    SIMULATED_JUMP,
    SIMULATED_FULL,
    SIMULATED_PLANNED, /* simulation_fail_at */
    SIMULATED_FAULT_COUNT,
};

struct simulated_lie {
    enum simulated_fault fault;
    const char          *path;
    uint64_t             offset, bytes; /* asked for */
};

MUST_USE enum kiwi_status simulation_open(const struct simulation_options *options,
                                          struct simulation **out);
void       simulation_close(struct simulation *simulation);
struct io *simulation_io(struct simulation *simulation); /* borrowed; pass as kiwi_options.io */
void       simulation_set(struct simulation *simulation, const struct simulation_options *options);

/* How often each fault has happened; SIMULATED_FAULT_COUNT of them. */
const uint64_t *simulation_counts(const struct simulation *simulation);
const char     *simulated_fault_name(enum simulated_fault fault);
/* told hears of every lie that made a difference, while it is told. */
void simulation_on_lie(struct simulation *simulation,
                       void (*told)(void *context, const struct simulated_lie *lie), void *context);
/* The clock without a look at it, and how much of it were jumps. */
uint64_t simulation_now_ns(const struct simulation *simulation);
uint64_t simulation_jumped_ns(const struct simulation *simulation);

/* Counts every device operation (writes, syncs, name changes, reads). */
uint64_t simulation_operations(const struct simulation *simulation);
/* Counts looks at the clock of the machine: polls of queues, and completions. */
uint64_t simulation_events(const struct simulation *simulation);
/* From operation n on (counted from open, 1: the first) every request fails as if the machine had
 * stopped; the test then abandons the database and calls simulation_crash. 0: never. */
void simulation_stop_at(struct simulation *simulation, uint64_t n);
/* Operation n fails with status (KIWI_IO or KIWI_FULL); sticky: all later ones of its kind too. */
void simulation_fail_at(struct simulation *simulation, uint64_t n, enum kiwi_status status,
                        bool is_sticky);
/* Operation n, when it is a request of a queue, does not complete before n is set to 0. */
void simulation_stick_at(struct simulation *simulation, uint64_t n);
/* Power cut: drops open files and queues, keeps what the disk model keeps. */
void simulation_crash(struct simulation *simulation);
/* Process death: the kernel still has every write and every mapped page. */
void simulation_kill(struct simulation *simulation);

/* Damage, for tests. */
MUST_USE enum kiwi_status simulation_flip_bit(struct simulation *simulation, const char *path,
                                              uint64_t bit);
MUST_USE enum kiwi_status simulation_copy(const struct simulation *source,
                                          struct simulation **out); /* same disk, fresh instance */
