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
 * Faults   by chance from the seed, or at the n-th operation.
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
};

MUST_USE enum kiwi_status simulation_open(const struct simulation_options *options,
                                          struct simulation **out);
void       simulation_close(struct simulation *simulation);
struct io *simulation_io(struct simulation *simulation); /* borrowed; pass as kiwi_options.io */
void       simulation_set(struct simulation *simulation, const struct simulation_options *options);

/* Counts every device operation (writes, syncs, name changes, reads). */
uint64_t simulation_operations(const struct simulation *simulation);
/* From operation n on (counted from open, 1: the first) every request fails as if the machine had
 * stopped; the test then abandons the database and calls simulation_crash. 0: never. */
void simulation_stop_at(struct simulation *simulation, uint64_t n);
/* Operation n fails with status (KIWI_IO or KIWI_FULL); sticky: all later ones of its kind too. */
void simulation_fail_at(struct simulation *simulation, uint64_t n, enum kiwi_status status,
                        bool is_sticky);
/* Power cut: drops open files and queues, keeps what the disk model keeps. */
void simulation_crash(struct simulation *simulation);
/* Process death: the kernel still has every write and every mapped page. */
void simulation_kill(struct simulation *simulation);

/* Damage, for tests. */
MUST_USE enum kiwi_status simulation_flip_bit(struct simulation *simulation, const char *path,
                                              uint64_t bit);
MUST_USE enum kiwi_status simulation_copy(const struct simulation *source,
                                          struct simulation **out); /* same disk, fresh instance */
