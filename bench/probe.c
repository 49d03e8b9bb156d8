/*
 * probe.c: short runs of plain reads and writes, and the file that keeps their figures.
 */
#include "bench/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/folder.h"
#include "bench/recorder.h"
#include "core/base/memory.h"
#include "workloads/chance.h"

#define CHUNK_BYTES      (1u << 20)
#define FILE_BYTES_MAX   (256ull << 20)
#define FILE_BYTES_MIN   (1ull << 20)
#define DEEP_COUNT       64u
#define KEPT_SECONDS_MAX 86400.0

static const struct {
    const char *name;
    double      seconds;
    uint32_t    bytes, depth;
} parts[PROBE_PART_COUNT] = {
    [PROBE_WRITE] = { "sequential_write", 0.6, CHUNK_BYTES, 1 },
    [PROBE_READ] = { "sequential_read", 0.4, CHUNK_BYTES, 1 },
    [PROBE_SYNC] = { "synced_write", 0.6, PAGE_BYTES, 1 },
    [PROBE_RANDOM_READ] = { "random_read", 0.4, PAGE_BYTES, 1 },
    [PROBE_RANDOM_WRITE] = { "random_write", 0.4, PAGE_BYTES, 1 },
    [PROBE_DEEP_READ] = { "random_read_depth_64", 0.5, PAGE_BYTES, DEEP_COUNT },
};

/* One part while it runs; shared by its threads. */
struct run {
    enum probe_part     part;
    int                 file;
    uint64_t            file_bytes;   /* written so far, or all there are */
    uint64_t            end_ns;
    _Atomic int         error;
};

struct runner {
    struct run         *run;
    pthread_t           thread;
    struct chance       chance;
    uint8_t            *buffer;
    struct kiwi_latency latency;
};

const char *probe_part_name(enum probe_part part)
{
    return parts[part].name;
}

static bool is_in_order(enum probe_part part)
{
    return part == PROBE_WRITE || part == PROBE_READ;
}

static bool is_writing(enum probe_part part)
{
    return part == PROBE_WRITE || part == PROBE_SYNC || part == PROBE_RANDOM_WRITE;
}

static int one_request(struct runner *runner, uint64_t offset)
{
    const struct run *run = runner->run;
    const size_t      bytes = parts[run->part].bytes;
    ssize_t           done = is_writing(run->part)
                               ? pwrite(run->file, runner->buffer, bytes, (off_t)offset)
                               : pread(run->file, runner->buffer, bytes, (off_t)offset);

    if (done != (ssize_t)bytes)
        return done < 0 ? errno : is_writing(run->part) ? ENOSPC : EIO;
    return run->part == PROBE_SYNC && fdatasync(run->file) != 0 ? errno : 0;
}

static void *runner_main(void *argument)
{
    struct runner *runner = argument;
    struct run    *run = runner->run;
    const uint64_t bytes = parts[run->part].bytes;
    uint64_t       at = 0, start_ns = clock_monotonic_ns(), now_ns;

    /* One request at least, however late this thread starts. */
    do {
        int error;

        if (!is_in_order(run->part))
            at = chance_below(&runner->chance, run->file_bytes / bytes) * bytes;
        else if (at + bytes > run->file_bytes)
            break;
        error = one_request(runner, at);
        now_ns = clock_monotonic_ns();
        if (error != 0)
            atomic_store(&run->error, error);
        recorder_latency(&runner->latency, now_ns - start_ns);
        start_ns = now_ns;
        at += bytes;
    } while (now_ns < run->end_ns
             && atomic_load_explicit(&run->error, memory_order_relaxed) == 0);
    return NULL;
}

static void figures_set(const struct kiwi_latency *latency, double seconds, uint32_t bytes,
                        struct probe_figures *out)
{
    *out = (struct probe_figures){
        .count = latency->count,
        .per_second = seconds > 0 ? (double)latency->count / seconds : 0,
        .mean_ns = latency->count > 0 ? latency->sum_ns / latency->count : 0,
        .p50_ns = kiwi_latency_percentile(latency, 0.5),
        .p99_ns = kiwi_latency_percentile(latency, 0.99),
        .max_ns = latency->max_ns,
    };
    out->bytes_per_second = out->per_second * bytes;
}

static enum kiwi_status part_run(struct run *run, double share, struct runner *runners,
                                 struct probe_figures *out)
{
    const uint32_t depth = parts[run->part].depth;
    const uint64_t start_ns = clock_monotonic_ns();
    uint32_t       started = 0;
    double         seconds;

    run->end_ns = start_ns + (uint64_t)(parts[run->part].seconds * share * 1e9);
    for (uint32_t i = 0; i < depth; i++) {
        runners[i].run = run;
        memset(&runners[i].latency, 0, sizeof runners[i].latency);
    }
    while (started < depth
           && pthread_create(&runners[started].thread, NULL, runner_main, &runners[started]) == 0)
        started++;
    for (uint32_t i = 0; i < started; i++)
        pthread_join(runners[i].thread, NULL);
    if (run->part == PROBE_WRITE && atomic_load(&run->error) == 0 && fdatasync(run->file) != 0)
        atomic_store(&run->error, errno);
    seconds = (double)(clock_monotonic_ns() - start_ns) / 1e9;
    if (atomic_load(&run->error) != 0)
        return FAIL(atomic_load(&run->error) == ENOSPC ? KIWI_FULL : KIWI_IO, "probe, %s: %s",
                    parts[run->part].name, strerror(atomic_load(&run->error)));
    if (started < depth)
        return FAIL(KIWI_NO_MEMORY, "probe: only %u of %u threads", started, depth);
    for (uint32_t i = 1; i < started; i++)
        latency_add(&runners[0].latency, &runners[i].latency);
    figures_set(&runners[0].latency, seconds, parts[run->part].bytes, out);
    return KIWI_OK;
}

static enum kiwi_status parts_run(struct run *run, double share, struct runner *runners,
                                  struct device_probe *out)
{
    for (enum probe_part part = 0; part < PROBE_PART_COUNT; part++) {
        run->part = part;
        TRY(part_run(run, share, runners, &out->parts[part]));
        if (part == PROBE_WRITE)
            run->file_bytes = out->parts[part].count * CHUNK_BYTES;
    }
    out->file_bytes = run->file_bytes;
    return KIWI_OK;
}

/* Direct where the file system has it; *is_direct says so. */
static int file_make(const char *path, bool *is_direct)
{
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_DIRECT, 0600);

    *is_direct = file >= 0;
    return file >= 0 ? file : open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

/* Of what is free at most an eighth. */
static uint64_t file_bytes_of(const char *folder)
{
    struct statvfs about;
    uint64_t       bytes = FILE_BYTES_MAX;

    if (statvfs(folder, &about) == 0)
        bytes = min_u64(bytes, (uint64_t)about.f_bavail * about.f_frsize / 8);
    return bytes / CHUNK_BYTES * CHUNK_BYTES;
}

static struct runner *runners_make(uint8_t **buffers)
{
    struct runner *runners = memory_allocate_zeroed(DEEP_COUNT * sizeof *runners);
    struct chance  chance = chance_of(clock_monotonic_ns(), DEEP_COUNT);

    *buffers = memory_allocate_aligned(CHUNK_BYTES + DEEP_COUNT * PAGE_BYTES, PAGE_BYTES);
    if (runners == NULL || *buffers == NULL)
        return runners;
    /* A device that compresses must not look fast. */
    for (size_t i = 0; i < (CHUNK_BYTES + DEEP_COUNT * PAGE_BYTES) / sizeof(uint64_t); i++) {
        uint64_t word = chance_next(&chance);

        memcpy(*buffers + i * sizeof word, &word, sizeof word);
    }
    for (uint32_t i = 0; i < DEEP_COUNT; i++) {
        runners[i].chance = chance_of(clock_monotonic_ns(), i);
        runners[i].buffer = i == 0 ? *buffers : *buffers + CHUNK_BYTES + i * PAGE_BYTES;
    }
    return runners;
}

enum kiwi_status probe_make(const char *folder, double share, struct device_probe *out)
{
    const uint64_t   start_ns = clock_monotonic_ns();
    struct run       run = { .file_bytes = file_bytes_of(folder) };
    struct runner   *runners;
    uint8_t         *buffers = NULL;
    char             path[PATH_MAX];
    enum kiwi_status status = KIWI_OK;

    memset(out, 0, sizeof *out);
    if (run.file_bytes < FILE_BYTES_MIN)
        return FAIL(KIWI_FULL, "probe: too little is free in %s", folder);
    if (snprintf(path, sizeof path, "%s/probe", folder) >= (int)sizeof path)
        return FAIL(KIWI_INVALID, "path of %zu bytes is too long", strlen(folder));
    if (getloadavg(&out->load_average, 1) != 1)
        out->load_average = -1;
    out->made_seconds = clock_wall_seconds();
    run.file = file_make(path, &out->is_direct);
    if (run.file < 0)
        return FAIL(KIWI_IO, "cannot make %s: %s", path, strerror(errno));
    runners = runners_make(&buffers);
    if (runners == NULL || buffers == NULL)
        status = FAIL(KIWI_NO_MEMORY, "no memory for a probe");
    else
        status = parts_run(&run, share, runners, out);
    close(run.file);
    (void)unlink(path);
    memory_free(runners);
    memory_free(buffers);
    out->seconds = (double)(clock_monotonic_ns() - start_ns) / 1e9;
    out->was_made = status == KIWI_OK;
    return status;
}

/* ---- figures that are kept ---- */

json_t *probe_json(const struct device_probe *probe)
{
    json_t *object = json_pack("{s:b, s:I, s:f, s:f, s:f}", "is_direct", probe->is_direct,
                               "file_bytes", (json_int_t)probe->file_bytes, "seconds",
                               probe->seconds, "load_average_before", probe->load_average,
                               "made_seconds", probe->made_seconds);

    for (uint32_t i = 0; i < PROBE_PART_COUNT; i++) {
        const struct probe_figures *at = &probe->parts[i];

        json_object_set_new(
            object, parts[i].name,
            json_pack("{s:I, s:f, s:f, s:I, s:I, s:I, s:I}", "count", (json_int_t)at->count,
                      "per_second", at->per_second, "bytes_per_second", at->bytes_per_second,
                      "mean_ns", (json_int_t)at->mean_ns, "p50_ns", (json_int_t)at->p50_ns,
                      "p99_ns", (json_int_t)at->p99_ns, "max_ns", (json_int_t)at->max_ns));
    }
    return object;
}

bool probe_of_json(const json_t *document, struct device_probe *out)
{
    int        is_direct;
    json_int_t bytes;

    memset(out, 0, sizeof *out);
    if (json_unpack((json_t *)(uintptr_t)document, "{s:b, s:I, s:F, s:F, s:F}", "is_direct",
                    &is_direct, "file_bytes", &bytes, "seconds", &out->seconds,
                    "load_average_before", &out->load_average, "made_seconds", &out->made_seconds)
        != 0)
        return false;
    out->is_direct = is_direct != 0;
    out->file_bytes = (uint64_t)bytes;
    for (uint32_t i = 0; i < PROBE_PART_COUNT; i++) {
        struct probe_figures *at = &out->parts[i];
        json_int_t            count, mean, p50, p99, max;

        if (json_unpack(json_object_get(document, parts[i].name),
                        "{s:I, s:F, s:F, s:I, s:I, s:I, s:I}", "count", &count, "per_second",
                        &at->per_second, "bytes_per_second", &at->bytes_per_second, "mean_ns",
                        &mean, "p50_ns", &p50, "p99_ns", &p99, "max_ns", &max)
            != 0)
            return false;
        at->count = (uint64_t)count;
        at->mean_ns = (uint64_t)mean;
        at->p50_ns = (uint64_t)p50;
        at->p99_ns = (uint64_t)p99;
        at->max_ns = (uint64_t)max;
    }
    out->was_made = true;
    return true;
}

/* The file for the device below folder and this boot; false: nothing can be kept. */
static bool kept_path(const char *folder, char *path, size_t bytes)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char        boot[64] = "", base[PATH_MAX - 100];
    struct stat about;
    FILE       *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    bool        is_known = file != NULL && fgets(boot, sizeof boot, file) != NULL;

    if (file != NULL)
        fclose(file);
    if (!is_known || stat(folder, &about) != 0)
        return false;
    if (cache != NULL && cache[0] == '/')
        snprintf(base, sizeof base, "%s/kiwidb", cache);
    else if (home != NULL && home[0] == '/')
        snprintf(base, sizeof base, "%s/.cache/kiwidb", home);
    else
        return false;
    snprintf(path, bytes, "%s/probe-%llx-%.8s.json", base, (unsigned long long)about.st_dev, boot);
    return folder_make(base) == KIWI_OK;
}

/* Whole or not at all: other runs may read and write it at the same time. */
static void kept_write(const char *path, const struct device_probe *probe)
{
    char    fresh[PATH_MAX + 32];
    json_t *document = probe_json(probe);

    snprintf(fresh, sizeof fresh, "%s.%d", path, (int)getpid());
    if (document != NULL && json_dump_file(document, fresh, JSON_INDENT(1)) == 0)
        (void)rename(fresh, path);
    (void)unlink(fresh);
    json_decref(document);
}

enum kiwi_status probe_recall(const char *folder, bool is_fresh, double share,
                              struct device_probe *out)
{
    char       path[PATH_MAX];
    const bool is_keeping = kept_path(folder, path, sizeof path);
    json_t    *document = is_keeping && !is_fresh ? json_load_file(path, 0, NULL) : NULL;
    const bool is_whole = document != NULL && probe_of_json(document, out);
    double     age = is_whole ? clock_wall_seconds() - out->made_seconds : -1;

    json_decref(document);
    if (is_whole && age >= 0 && age < KEPT_SECONDS_MAX)
        return KIWI_OK;
    memset(out, 0, sizeof *out);
    if (!is_keeping && !is_fresh)
        return FAIL(KIWI_NOT_FOUND, "there is no place to keep it (HOME); --probe does it anyway");
    TRY(probe_make(folder, share, out));
    if (is_keeping)
        kept_write(path, out);
    return KIWI_OK;
}
