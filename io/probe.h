/*
 * probe.h: what a device can do, found out in less than a second.
 *
 * Used by the benchmark report, and to set the first limits of the scheduler.
 */
#pragma once

#include <stdint.h>

#include "io/io.h"
#include "io/scheduler.h"

struct io_probe_reads { /* random, 4 KiB */
    uint32_t depth;
    uint64_t per_second;
    uint32_t mean_us;
};

enum { IO_PROBE_DEPTHS = 3 };

struct io_probe {
    struct io_probe_reads reads[IO_PROBE_DEPTHS]; /* depth 1, 8 and 64 */
    uint64_t sync_writes_per_second;              /* 4 KiB, one at a time, each on stable media */
    uint32_t sync_write_us;                       /* mean */
    uint64_t write_bytes_per_second;              /* sequential, 1 MiB, two in flight */
    uint64_t file_bytes;                          /* what was written to probe with */
    uint64_t probe_ns;                            /* how long it took */
    bool     is_direct;                           /* the file system takes direct I/O */
};

/* Writes and removes a file of up to 64 MiB in directory. Other load on the device shows in the
 * figures. */
MUST_USE enum kiwi_status io_probe(struct io *io, const char *directory, struct io_probe *out);

/* Limits for the scheduler that suit such a device; and setting them, before queues are opened. */
struct scheduler_limits io_probe_limits(const struct io_probe *probe);
void io_limits_set(struct io *io, const struct scheduler_limits *limits);
