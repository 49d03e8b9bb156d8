/*
 * machine.h: on what a result was measured, and from what build.
 */
#pragma once

#include <jansson.h>

#include "core/base/base.h"

struct machine {
    char     cpu[128], kernel[128], libc[32], file_system[32], mount_options[160], device[64];
    char     mount_point[128], mount_flags[96];  /* mount_options are the file system's own */
    char     scheduler[32];                      /* of the device's queue */
    char     governor[32];
    char     virtualization[112];               /* "" on bare metal, as far as can be seen */
    char     cpu_flags[2048];                    /* all that the kernel names */
    uint32_t cores;
    uint64_t memory_bytes, cache_bytes;
    double   load_average;
    char     fingerprint[17];   /* XXH3 of what does not change from run to run, hexadecimal */
};

/* directory: where the data will be. */
void    machine_read(struct machine *machine, const char *directory);
json_t *machine_json(const struct machine *machine);
/*
 * Writes what machine_json made as <fingerprint, 8 letters>.json into the folder machines beside
 * results, unless it is there. Only beside a folder called runs or ab, as the tree of results has
 * them: elsewhere nobody expects another folder. KIWI_FULL, KIWI_IO: it cannot be written.
 */
MUST_USE enum kiwi_status machine_keep(const json_t *machine, const char *results);
json_t *build_json(void);
/* The commit the build was made from, 8 letters, or "unknown". */
const char *build_commit(void);
const char *build_version(void);
/* Compiler, type and flags, for people. */
const char *build_description(void);
/* Of two builds' compiler options, each parted by blanks; -g and its like change no instruction. */
bool build_flags_are_same(const char *flags, const char *others);
/* Of the processor's flags those that code like ours is compiled for, "avx2 sha_ni". */
const char *machine_features(const struct machine *machine, char *text, size_t bytes);
