/*
 * machine.h: on what a result was measured, and from what build.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

struct machine {
    char     cpu[128], kernel[128], libc[32], file_system[32], mount_options[160], device[64];
    char     governor[32], virtualization[32];
    uint32_t cores;
    uint64_t memory_bytes, cache_bytes;
    double   load_average;
    char     fingerprint[17];   /* XXH3 of what does not change from run to run, hexadecimal */
};

/* directory: where the data will be. */
void    machine_read(struct machine *machine, const char *directory);
json_t *machine_json(const struct machine *machine);
json_t *build_json(void);
/* The commit the build was made from, 8 letters, or "unknown". */
const char *build_commit(void);
const char *build_version(void);
