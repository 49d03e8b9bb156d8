/*
 * probe.h: what the device under a folder can do, in about three seconds, so that a reader of
 * results can tell an engine's limit from a disk's.
 *
 * Method   a file of its own in the folder, direct I/O where the file system has it: written and
 *          read in order by 1 MiB, then 4 KiB each: written and synced one at a time, read and
 *          written at random, read at random by 64 threads at once.
 * Kept     in the user's cache folder, for one device (the file system that holds the folder), one
 *          boot and one day: not every run pays. Other load on the device shows in the figures, so
 *          the load average is kept with them.
 */
#pragma once

#include <jansson.h>

#include "core/base/base.h"

enum probe_part {
    PROBE_WRITE = 0,     /* in order, 1 MiB, the closing sync included */
    PROBE_READ,          /* in order, 1 MiB */
    PROBE_SYNC,          /* 4 KiB written and synced, depth 1 */
    PROBE_RANDOM_READ,   /* 4 KiB, depth 1 */
    PROBE_RANDOM_WRITE,  /* 4 KiB, depth 1, unsynced */
    PROBE_DEEP_READ,     /* 4 KiB at random, depth 64 */
    PROBE_PART_COUNT,
};

struct probe_figures {
    uint64_t count;
    double   per_second, bytes_per_second;
    uint64_t mean_ns, p50_ns, p99_ns, max_ns;
};

struct device_probe {
    bool                 was_made;
    bool                 is_direct;
    uint64_t             file_bytes;
    double               seconds;        /* how long it took */
    double               load_average;   /* before */
    double               made_seconds;   /* since 1970 */
    struct probe_figures parts[PROBE_PART_COUNT];
};

/* The folder must exist. KIWI_FULL, KIWI_IO, KIWI_NO_MEMORY: nothing was found out. share: of the
 * usual time, 1 but in tests. */
MUST_USE enum kiwi_status probe_make(const char *folder, double share, struct device_probe *out);
/* The same, or what is kept of an earlier one unless is_fresh. KIWI_NOT_FOUND: not fresh, and it
 * could not be kept: every run would pay. */
MUST_USE enum kiwi_status probe_recall(const char *folder, bool is_fresh, double share,
                                       struct device_probe *out);

const char *probe_part_name(enum probe_part part);
json_t     *probe_json(const struct device_probe *probe);
/* False when document is no whole probe; out is then undefined. */
bool        probe_of_json(const json_t *document, struct device_probe *out);
