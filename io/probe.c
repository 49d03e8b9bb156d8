/*
 * probe.c: short runs of reads and writes on a file of its own.
 */
#include "io/probe.h"

#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "io/backend.h"
#include "io/buffers.h"

enum {
    FILE_BYTES = 64 << 20,
    CHUNK_BYTES = 1 << 20,
    CHUNKS_IN_FLIGHT = 2,
    DEPTH_MAX = 64,
    RUN_NS = 100000000,       /* of each read and sync run */
    WRITE_RUN_NS = 250000000, /* of writing the file, at most */
};

struct probe;

struct probe_request {
    struct io_request request;
    struct probe     *probe;
};

struct probe {
    struct io           *io;
    struct io_file      *file;
    struct io_queue     *queue;
    uint8_t             *buffer; /* DEPTH_MAX pages or CHUNKS_IN_FLIGHT chunks */
    struct probe_request requests[DEPTH_MAX];
    uint64_t             file_bytes; /* written so far; a multiple of CHUNK_BYTES */
    uint64_t             end_ns, count, chance;
    enum kiwi_status     status;
};

static_assert(CHUNKS_IN_FLIGHT * CHUNK_BYTES >= DEPTH_MAX * (int)PAGE_BYTES, "one buffer does");

/* ---- requests ---- */

static uint64_t random_page_offset(struct probe *probe)
{
    probe->chance = probe->chance * 6364136223846793005ull + 1442695040888963407ull;
    return (probe->chance >> 33) % (probe->file_bytes / PAGE_BYTES) * PAGE_BYTES;
}

/* Keeps a run going: the next request of the same kind, until time or file are at their end. */
static void request_done(struct io_request *request)
{
    struct probe *probe = container_of(request, struct probe_request, request)->probe;

    if (request->status != KIWI_OK) {
        probe->status = request->status;
        return;
    }
    probe->count++;
    if (probe->status != KIWI_OK || io_now_ns(probe->io) >= probe->end_ns)
        return;
    if (request->verb == IO_WRITE) {
        if (probe->file_bytes >= FILE_BYTES)
            return;
        request->offset = probe->file_bytes;
        probe->file_bytes += CHUNK_BYTES;
    } else {
        request->offset = random_page_offset(probe);
    }
    io_queue_add(probe->queue, request);
}

/* Runs depth requests side by side for the time; returns how many per second. */
static uint64_t run(struct probe *probe, enum io_verb verb, uint32_t depth, uint64_t run_ns)
{
    uint32_t bytes = verb == IO_WRITE ? CHUNK_BYTES : PAGE_BYTES;
    uint64_t begin_ns = io_now_ns(probe->io), used_ns;

    probe->end_ns = begin_ns + run_ns;
    probe->count = 0;
    for (uint32_t i = 0; i < depth; i++) {
        struct probe_request *each = &probe->requests[i];

        *each = (struct probe_request){ .probe = probe };
        each->request = (struct io_request){
            .file = probe->file,
            .buffer = probe->buffer + (size_t)i * bytes,
            .bytes = bytes,
            .verb = (uint8_t)verb,
            .class_of_service = verb == IO_WRITE_SYNC ? IO_CLASS_LOG
                              : verb == IO_WRITE      ? IO_CLASS_FLUSH
                                                      : IO_CLASS_READ,
            .offset = verb == IO_WRITE ? probe->file_bytes : random_page_offset(probe),
            .done = request_done,
        };
        if (verb == IO_WRITE)
            probe->file_bytes += CHUNK_BYTES;
        io_queue_add(probe->queue, &each->request);
    }
    while (io_queue_pending(probe->queue) > 0)
        io_queue_poll(probe->queue, UINT64_MAX);
    used_ns = io_now_ns(probe->io) - begin_ns;
    return used_ns > 0 ? (uint64_t)((double)probe->count * 1e9 / (double)used_ns) : 0;
}

/* ---- the probe ---- */

static uint32_t mean_us(uint64_t per_second, uint32_t depth)
{
    return per_second > 0 ? (uint32_t)(1000000ull * depth / per_second) : 0;
}

static enum kiwi_status measure(struct probe *probe, struct io_probe *out)
{
    static const uint32_t depths[IO_PROBE_DEPTHS] = { 1, 8, 64 };

    /* Space first: writes into allocated space are what the engine does. */
    TRY(io_file_allocate(probe->file, FILE_BYTES));
    out->write_bytes_per_second =
        run(probe, IO_WRITE, CHUNKS_IN_FLIGHT, WRITE_RUN_NS) * CHUNK_BYTES;
    TRY(probe->status);
    out->file_bytes = probe->file_bytes;
    TRY(io_file_sync(probe->file));
    out->sync_writes_per_second = run(probe, IO_WRITE_SYNC, 1, RUN_NS);
    out->sync_write_us = mean_us(out->sync_writes_per_second, 1);
    for (uint32_t i = 0; i < IO_PROBE_DEPTHS; i++) {
        out->reads[i].depth = depths[i];
        out->reads[i].per_second = run(probe, IO_READ, depths[i], RUN_NS);
        out->reads[i].mean_us = mean_us(out->reads[i].per_second, depths[i]);
    }
    return probe->status;
}

static enum kiwi_status probe_start(struct probe *probe, const char *path)
{
    TRY(io_file_open(probe->io, path, IO_CREATE | IO_DIRECT, &probe->file));
    TRY(io_queue_open(probe->io, DEPTH_MAX, &probe->queue));
    probe->buffer = region_map((size_t)CHUNKS_IN_FLIGHT * CHUNK_BYTES);
    if (probe->buffer == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for the buffers of the probe");
    memset(probe->buffer, 0x5a, (size_t)CHUNKS_IN_FLIGHT * CHUNK_BYTES);
    return KIWI_OK;
}

enum kiwi_status io_probe(struct io *io, const char *directory, struct io_probe *out)
{
    struct probe    *probe = memory_allocate_zeroed(sizeof *probe);
    char             path[512];
    uint64_t         begin_ns = io_now_ns(io);
    enum kiwi_status status;

    *out = (struct io_probe){ 0 };
    if (probe == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for the probe");
    if ((size_t)snprintf(path, sizeof path, "%s/PROBE", directory) >= sizeof path) {
        memory_free(probe);
        return FAIL(KIWI_INVALID, "probe %s: the path is too long", directory);
    }
    probe->io = io;
    probe->chance = begin_ns;
    status = probe_start(probe, path);
    if (status == KIWI_OK)
        status = measure(probe, out);
    io_queue_close(probe->queue);
    if (probe->buffer != NULL)
        region_unmap(probe->buffer, (size_t)CHUNKS_IN_FLIGHT * CHUNK_BYTES);
    if (probe->file != NULL) {
        enum kiwi_status removed = io_remove(io, path);

        status = status == KIWI_OK ? removed : status;
    }
    io_file_close(probe->file);
    memory_free(probe);
    out->is_direct = (atomic_load(&io->remarks) & IO_REMARK_BUFFERED) == 0;
    out->probe_ns = io_now_ns(io) - begin_ns;
    return status;
}

/* ---- limits ---- */

static uint32_t clamp_u32(uint64_t value, uint32_t low, uint32_t high)
{
    return value < low ? low : value > high ? high : (uint32_t)value;
}

struct scheduler_limits io_probe_limits(const struct io_probe *probe)
{
    struct scheduler_limits limits = scheduler_limits_default();
    uint64_t at_8 = probe->reads[1].per_second, at_64 = probe->reads[2].per_second;

    if (at_64 == 0 || probe->write_bytes_per_second == 0)
        return limits;
    /* A device that is as fast with 8 in flight gains only latency from more. */
    if (at_8 * 10 >= at_64 * 9) {
        limits.reads = 16;
        limits.reads_beside_log = 8;
    }
    /* Windows of about 1.5 ms of writing: the device stays busy, and a log write behind a full
     * window waits no longer than that. */
    limits.flush_bytes = clamp_u32(probe->write_bytes_per_second * 3 / 2000, 1u << 20, 16u << 20);
    limits.flush_bytes_beside_log = clamp_u32(limits.flush_bytes / 4, 256u << 10, 4u << 20);
    limits.compaction_bytes = clamp_u32(limits.flush_bytes / 2, 512u << 10, 8u << 20);
    limits.compaction_bytes_beside_log = 256u << 10;
    return limits;
}

void io_limits_set(struct io *io, const struct scheduler_limits *limits)
{
    assert(io->queues == NULL);
    assert(limits->reads > 0);
    assert(limits->reads_beside_log > 0);
    io->budget.limits = *limits;
}
