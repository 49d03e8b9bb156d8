/*
 * measure.h: what the process and the machine used, as the kernel tells it.
 */
#pragma once

#include <stdint.h>

struct usage {
    uint64_t user_ns, system_ns;          /* CPU time of all threads */
    uint64_t device_read_bytes, device_write_bytes;
    uint64_t resident_bytes, resident_peak_bytes;
    uint64_t switches_involuntary, faults_major;
    uint64_t machine_busy_ns;             /* CPU time of everybody, this process included */
    uint64_t machine_stolen_ns;           /* taken by the host */
};

void usage_read(struct usage *usage);
/* Starts the peak of resident memory anew, where the kernel lets us. */
void usage_peak_reset(void);
/* end - start for counters; sizes and peaks are end's. */
struct usage usage_between(const struct usage *start, const struct usage *end);
