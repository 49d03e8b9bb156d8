/*
 * machine.c: reads /proc and /sys; what cannot be found stays empty.
 */
#include "bench/machine.h"

#include <gnu/libc-version.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "build_info.h"
#include "core/base/base.h"
#include "core/base/hash.h"

static bool line_read(const char *path, char *text, size_t bytes)
{
    FILE *file = fopen(path, "re");

    text[0] = 0;
    if (file == NULL)
        return false;
    if (fgets(text, (int)bytes, file) == NULL)
        text[0] = 0;
    fclose(file);
    text[strcspn(text, "\n")] = 0;
    return text[0] != 0;
}

/* The value behind "label   : value" in a file of such lines. */
static void label_read(const char *path, const char *label, char *text, size_t bytes)
{
    FILE *file = fopen(path, "re");
    char  line[1024];

    text[0] = 0;
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *colon = strchr(line, ':');

        if (strncmp(line, label, strlen(label)) != 0 || colon == NULL)
            continue;
        colon += 1 + strspn(colon + 1, " \t");
        colon[strcspn(colon, "\n")] = 0;
        snprintf(text, bytes, "%s", colon);
        break;
    }
    if (file != NULL)
        fclose(file);
}

/* The mount that holds the device number, from the process's own table of mounts. */
static void mount_read(struct machine *machine, dev_t device)
{
    FILE *file = fopen("/proc/self/mountinfo", "re");
    char  line[2048], wanted[32];

    snprintf(wanted, sizeof wanted, " %u:%u ", major(device), minor(device));
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *dash = strstr(line, " - ");

        if (strstr(line, wanted) == NULL || dash == NULL)
            continue;
        sscanf(dash, " - %31s %*s %159s", machine->file_system, machine->mount_options);
    }
    if (file != NULL)
        fclose(file);
}

static void device_read(struct machine *machine, const char *directory)
{
    struct stat about;
    char        path[128], model[48] = "", cache[32] = "", resolved[PATH_MAX];

    if (stat(directory, &about) != 0 && stat(".", &about) != 0)
        return;
    mount_read(machine, about.st_dev);
    snprintf(path, sizeof path, "/sys/dev/block/%u:%u", major(about.st_dev), minor(about.st_dev));
    if (realpath(path, resolved) == NULL)
        return;
    /* A partition has its queue one folder up. */
    for (int up = 0; up < 2 && model[0] == 0 && cache[0] == 0; up++) {
        char   below[PATH_MAX + 40];
        char  *slash;
        size_t length = strlen(resolved);

        snprintf(below, sizeof below, "%s/device/model", resolved);
        line_read(below, model, sizeof model);
        snprintf(below, sizeof below, "%s/queue/write_cache", resolved);
        line_read(below, cache, sizeof cache);
        slash = strrchr(resolved, '/');
        if (model[0] != 0 || cache[0] != 0 || slash == NULL || length < 2)
            snprintf(machine->device, sizeof machine->device, "%.20s%s%.20s%s%.20s",
                     slash != NULL ? slash + 1 : "", model[0] != 0 ? " " : "", model,
                     cache[0] != 0 ? ", " : "", cache);
        else
            *slash = 0;
    }
}

static void fingerprint_set(struct machine *machine)
{
    char text[1024];
    int  length = snprintf(text, sizeof text, "%s|%u|%llu|%s|%s|%s|%s|%s|%s", machine->cpu,
                           machine->cores, (unsigned long long)(machine->memory_bytes >> 28),
                           machine->kernel, machine->libc, machine->file_system,
                           machine->mount_options, machine->device, BUILD_COMPILER);

    snprintf(machine->fingerprint, sizeof machine->fingerprint, "%016llx",
             (unsigned long long)hash_checksum(text, (size_t)length, 0));
}

void machine_read(struct machine *machine, const char *directory)
{
    struct utsname system;
    char           flags[4096];
    long           pages = sysconf(_SC_PHYS_PAGES), cores = sysconf(_SC_NPROCESSORS_ONLN);
    long           cache = sysconf(_SC_LEVEL3_CACHE_SIZE);

    memset(machine, 0, sizeof *machine);
    label_read("/proc/cpuinfo", "model name", machine->cpu, sizeof machine->cpu);
    label_read("/proc/cpuinfo", "flags", flags, sizeof flags);
    snprintf(machine->virtualization, sizeof machine->virtualization, "%s",
             strstr(flags, "hypervisor") != NULL ? "virtual machine" : "none seen");
    line_read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", machine->governor,
              sizeof machine->governor);
    machine->cores = cores > 0 ? (uint32_t)cores : 0;
    machine->memory_bytes = pages > 0 ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
    machine->cache_bytes = cache > 0 ? (uint64_t)cache : 0;
    if (uname(&system) == 0)
        snprintf(machine->kernel, sizeof machine->kernel, "%.40s %.80s", system.sysname,
                 system.release);
    snprintf(machine->libc, sizeof machine->libc, "glibc %s", gnu_get_libc_version());
    if (getloadavg(&machine->load_average, 1) != 1)
        machine->load_average = -1;
    device_read(machine, directory);
    fingerprint_set(machine);
}

json_t *machine_json(const struct machine *machine)
{
    return json_pack("{s:s, s:s, s:i, s:I, s:I, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:f}",
                     "fingerprint", machine->fingerprint, "cpu", machine->cpu, "cores",
                     (int)machine->cores, "memory_bytes", (json_int_t)machine->memory_bytes,
                     "last_level_cache_bytes", (json_int_t)machine->cache_bytes, "kernel",
                     machine->kernel, "libc", machine->libc, "file_system", machine->file_system,
                     "mount_options", machine->mount_options, "device", machine->device, "governor",
                     machine->governor, "virtualization", machine->virtualization,
                     "load_average_before", machine->load_average);
}

json_t *build_json(void)
{
    return json_pack("{s:s, s:s, s:b, s:s, s:s, s:s, s:s}", "version", BUILD_VERSION, "commit",
                     BUILD_COMMIT, "is_dirty", BUILD_DIRTY, "type", BUILD_TYPE, "compiler",
                     BUILD_COMPILER, "flags", BUILD_FLAGS, "sanitizer", BUILD_SANITIZER);
}

const char *build_commit(void)
{
    static char commit[9];

    snprintf(commit, sizeof commit, "%.8s", BUILD_COMMIT);
    return commit;
}

const char *build_version(void)
{
    return BUILD_VERSION;
}
