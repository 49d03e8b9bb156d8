/*
 * machine.c: reads /proc and /sys; what cannot be found stays empty.
 */
#include "bench/machine.h"

#include <errno.h>
#include <gnu/libc-version.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench/folder.h"
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
    char  line[4096];

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
        sscanf(line, "%*s %*s %*s %*s %127s %95s", machine->mount_point, machine->mount_flags);
    }
    if (file != NULL)
        fclose(file);
}

/* "none [mq-deadline] kyber": the one in brackets. */
static void scheduler_read(const char *path, struct machine *machine)
{
    char  line[128];
    char *start = line;

    if (!line_read(path, line, sizeof line))
        return;
    if (strchr(line, '[') != NULL)
        start = strchr(line, '[') + 1;
    start[strcspn(start, "]")] = 0;
    snprintf(machine->scheduler, sizeof machine->scheduler, "%.31s", start);
}

/* Who made the machine, when it is none of metal. */
static void virtualization_read(struct machine *machine)
{
    char maker[40], product[40];

    if (strstr(machine->cpu_flags, "hypervisor") == NULL)
        return;
    line_read("/sys/class/dmi/id/sys_vendor", maker, sizeof maker);
    line_read("/sys/class/dmi/id/product_name", product, sizeof product);
    snprintf(machine->virtualization, sizeof machine->virtualization, "virtual machine%s%s%s%s",
             maker[0] != 0 || product[0] != 0 ? ": " : "", maker,
             maker[0] != 0 && product[0] != 0 ? " " : "", product);
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
        snprintf(below, sizeof below, "%s/queue/scheduler", resolved);
        scheduler_read(below, machine);
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
    long           pages = sysconf(_SC_PHYS_PAGES), cores = sysconf(_SC_NPROCESSORS_ONLN);
    long           cache = sysconf(_SC_LEVEL3_CACHE_SIZE);

    memset(machine, 0, sizeof *machine);
    label_read("/proc/cpuinfo", "model name", machine->cpu, sizeof machine->cpu);
    label_read("/proc/cpuinfo", "flags", machine->cpu_flags, sizeof machine->cpu_flags);
    virtualization_read(machine);
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
    const struct {
        const char *name, *text;
    } texts[] = {
        { "fingerprint", machine->fingerprint },
        { "cpu", machine->cpu },
        { "cpu_flags", machine->cpu_flags },
        { "kernel", machine->kernel },
        { "libc", machine->libc },
        { "file_system", machine->file_system },
        { "mount_point", machine->mount_point },
        { "mount_flags", machine->mount_flags },
        { "mount_options", machine->mount_options },
        { "device", machine->device },
        { "device_scheduler", machine->scheduler },
        { "governor", machine->governor },
        { "virtualization", machine->virtualization },
    };
    json_t *object = json_object();

    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        json_object_set_new(object, texts[i].name, json_string(texts[i].text));
    json_object_set_new(object, "cores", json_integer(machine->cores));
    json_object_set_new(object, "memory_bytes", json_integer((json_int_t)machine->memory_bytes));
    json_object_set_new(object, "last_level_cache_bytes",
                        json_integer((json_int_t)machine->cache_bytes));
    json_object_set_new(object, "load_average_before", json_real(machine->load_average));
    return object;
}

/* The folder machines beside results; false: results is not called as in the tree. */
static bool machines_path(const char *results, char *path, size_t bytes)
{
    size_t end = strlen(results), start;

    while (end > 1 && results[end - 1] == '/')
        end--;
    for (start = end; start > 0 && results[start - 1] != '/';)
        start--;
    if (!(end - start == 4 && memcmp(results + start, "runs", 4) == 0)
        && !(end - start == 2 && memcmp(results + start, "ab", 2) == 0))
        return false;
    return snprintf(path, bytes, "%.*smachines", (int)start, results) < (int)bytes;
}

enum kiwi_status machine_keep(const json_t *machine, const char *results)
{
    const char *fingerprint = json_string_value(json_object_get(machine, "fingerprint"));
    char        folder[PATH_MAX], path[PATH_MAX + 16], partial[PATH_MAX + 32];
    int         cause;

    if (fingerprint == NULL || !machines_path(results, folder, sizeof folder))
        return KIWI_OK;
    snprintf(path, sizeof path, "%s/%.8s.json", folder, fingerprint);
    if (access(path, F_OK) == 0)
        return KIWI_OK;
    TRY(folder_make(folder));
    /* Whole or not at all; two runs at once write the same. */
    snprintf(partial, sizeof partial, "%s.%ld", path, (long)getpid());
    if (json_dump_file(machine, partial, JSON_INDENT(1) | JSON_REAL_PRECISION(12)) == 0
        && rename(partial, path) == 0)
        return KIWI_OK;
    cause = errno;
    (void)unlink(partial);
    return FAIL(cause == ENOSPC ? KIWI_FULL : KIWI_IO, "cannot write %s: %s", path,
                strerror(cause));
}

json_t *build_json(void)
{
    return json_pack("{s:s, s:s, s:b, s:s, s:s, s:s, s:s}", "version", BUILD_VERSION, "commit",
                     BUILD_COMMIT, "is_dirty", BUILD_DIRTY, "type", BUILD_TYPE, "compiler",
                     BUILD_COMPILER, "flags", BUILD_FLAGS, "sanitizer", BUILD_SANITIZER);
}

/* The next word of flags that changes code, as debug information does not; NULL behind the last. */
static const char *flag_next(const char **flags, size_t *bytes)
{
    const char *at = *flags;

    do {
        at += strspn(at, " ");
        *bytes = strcspn(at, " ");
        *flags = at + *bytes;
        if (*bytes > 0 && !(at[0] == '-' && at[1] == 'g'))
            return at;
        at = *flags;
    } while (*at != 0);
    return NULL;
}

bool build_flags_are_same(const char *flags, const char *others)
{
    size_t bytes, other_bytes;

    for (;;) {
        const char *flag = flag_next(&flags, &bytes), *other = flag_next(&others, &other_bytes);

        if (flag == NULL || other == NULL)
            return flag == other;
        if (bytes != other_bytes || memcmp(flag, other, bytes) != 0)
            return false;
    }
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

const char *build_description(void)
{
    return BUILD_COMPILER ", " BUILD_TYPE ", " BUILD_FLAGS;
}

const char *machine_features(const struct machine *machine, char *text, size_t bytes)
{
    static const char *const names[] = { "sse4_2", "aes", "bmi2", "avx2", "sha_ni", "avx512f" };
    size_t length = 0;

    text[0] = 0;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        const size_t own = strlen(names[i]);
        const char  *at = strstr(machine->cpu_flags, names[i]);

        while (at != NULL && at[own] != 0 && at[own] != ' ')
            at = strstr(at + 1, names[i]);
        if (at != NULL && length + own + 2 < bytes)
            length += (size_t)snprintf(text + length, bytes - length, "%s%s",
                                       length > 0 ? " " : "", names[i]);
    }
    return text;
}
