/*
 * io.c: hands every call to the backend, and holds what is the same in all of them.
 */
#include "io/io.h"

#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "io/backend.h"
#include "io/queue.h"

static_assert(IO_WRITE_SYNC < 8 && IO_CLASS_COUNT <= 255, "verb and class are bytes");

/* ---- instances ---- */

static void features_write(struct io *io, const char *features)
{
    static const char *const sentences[] = {
        "; a file system refused direct I/O: page cache in use",
        "; registering buffers was refused (locked-memory limit): plain transfers",
        "; a ring could not be made: its queue uses plain system calls",
    };

    for (uint32_t remarks = 0; remarks <= IO_REMARK_ALL; remarks++) {
        char  *text = io->features[remarks];
        size_t used = (size_t)snprintf(text, IO_FEATURES_BYTES, "%s", features);

        for (uint32_t i = 0; i < ARRAY_COUNT(sentences); i++)
            if ((remarks & 1u << i) != 0 && used < IO_FEATURES_BYTES)
                used += (size_t)snprintf(text + used, IO_FEATURES_BYTES - used, "%s", sentences[i]);
    }
}

void io_init(struct io *io, const struct io_methods *methods, const char *features)
{
    int error;

    io->methods = methods;
    scheduler_budget_init(&io->budget);
    error = pthread_mutex_init(&io->queues_lock, NULL);
    assert(error == 0);
    features_write(io, features);
}

void io_end(struct io *io)
{
    assert(io->queues == NULL);
    pthread_mutex_destroy(&io->queues_lock);
}

void io_remark_set(struct io *io, enum io_remark remark)
{
    atomic_fetch_or(&io->remarks, (uint32_t)remark);
}

enum kiwi_status io_open(enum io_backend backend, struct io **out)
{
    *out = NULL;
    switch (backend) {
    case IO_BACKEND_URING:
        return uring_open(out);
    case IO_BACKEND_POSIX:
        return posix_open(out);
    }
    return FAIL(KIWI_INVALID, "io backend %d is not known", (int)backend);
}

void io_close(struct io *io)
{
    if (io != NULL)
        io->methods->close(io);
}

void io_fork_prepare(struct io *io)
{
    pthread_mutex_lock(&io->queues_lock);
}

void io_fork_parent(struct io *io)
{
    pthread_mutex_unlock(&io->queues_lock);
}

void io_fork_child(struct io *io)
{
    io->is_child = true;
    io->queues = NULL; /* the parent's */
    scheduler_budget_init(&io->budget); /* what was in flight is the parent's too */
    pthread_mutex_unlock(&io->queues_lock);
}

const char *io_backend_name(const struct io *io)
{
    return io->methods->name;
}

const char *io_features_text(const struct io *io)
{
    return io->features[atomic_load(&io->remarks) & IO_REMARK_ALL];
}

uint64_t io_now_ns(struct io *io)
{
    return io->methods->now_ns(io);
}

uint64_t io_random(struct io *io)
{
    return io->methods->random(io);
}

uint64_t io_wall_clock_ns(struct io *io)
{
    return io->methods->wall_clock_ns(io);
}

/* ---- counters ---- */

void io_tally_add(struct io_tally *tally, enum io_verb verb, uint64_t bytes)
{
    if (verb == IO_READ) {
        atomic_fetch_add_explicit(&tally->reads, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&tally->read_bytes, bytes, memory_order_relaxed);
    } else if (verb == IO_WRITE) {
        atomic_fetch_add_explicit(&tally->writes, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&tally->write_bytes, bytes, memory_order_relaxed);
    } else if (verb == IO_SYNC) {
        atomic_fetch_add_explicit(&tally->syncs, 1, memory_order_relaxed);
    }
}

static void counters_add(struct io_counters *sum, const struct io_tally *tally)
{
    sum->reads += atomic_load_explicit(&tally->reads, memory_order_relaxed);
    sum->writes += atomic_load_explicit(&tally->writes, memory_order_relaxed);
    sum->syncs += atomic_load_explicit(&tally->syncs, memory_order_relaxed);
    sum->read_bytes += atomic_load_explicit(&tally->read_bytes, memory_order_relaxed);
    sum->write_bytes += atomic_load_explicit(&tally->write_bytes, memory_order_relaxed);
}

void io_counters_read(struct io *io, struct io_counters *counters)
{
    *counters = (struct io_counters){ 0 };
    pthread_mutex_lock(&io->queues_lock);
    counters_add(counters, &io->tally);
    for (const struct io_queue *queue = io->queues; queue != NULL; queue = queue->next)
        counters_add(counters, &queue->tally);
    pthread_mutex_unlock(&io->queues_lock);
}

/* ---- files ---- */

/* A directory is open only to be synced. */
static bool is_regular(const struct io_file *file)
{
    return (file->flags & IO_DIRECTORY) == 0;
}

/* unit: a power of two. */
static bool is_direct_aligned(const struct io_file *file, const void *buffer, uint64_t bytes,
                              uint64_t offset, uint32_t unit)
{
    return (file->flags & IO_DIRECT) == 0
        || ((uintptr_t)buffer % PAGE_BYTES == 0 && ((bytes | offset) & (unit - 1)) == 0);
}

uint32_t io_file_read_unit(const struct io_file *file)
{
    return file->read_unit;
}

enum kiwi_status io_file_open(struct io *io, const char *path, unsigned flags, struct io_file **out)
{
    assert((flags & IO_EXCLUSIVE) == 0 || (flags & IO_CREATE) != 0);
    assert((flags & IO_READ_ONLY) == 0 || (flags & IO_CREATE) == 0);
    assert((flags & IO_DIRECTORY) == 0 || (flags & (IO_CREATE | IO_DIRECT)) == 0);
    *out = NULL;
    return io->methods->file_open(io, path, flags, out);
}

void io_file_close(struct io_file *file)
{
    if (file != NULL)
        file->io->methods->file_close(file);
}

const char *io_file_path(const struct io_file *file)
{
    return file->path;
}

enum kiwi_status io_file_size(struct io_file *file, uint64_t *bytes)
{
    assert(is_regular(file));
    return file->io->methods->file_size(file, bytes);
}

enum kiwi_status io_file_allocate(struct io_file *file, uint64_t bytes)
{
    assert(is_regular(file));
    return file->io->methods->file_allocate(file, bytes);
}

enum kiwi_status io_file_truncate(struct io_file *file, uint64_t bytes)
{
    assert(is_regular(file));
    return file->io->methods->file_truncate(file, bytes);
}

enum kiwi_status io_file_read(struct io_file *file, void *buffer, size_t bytes, uint64_t offset)
{
    assert(is_regular(file));
    assert(is_direct_aligned(file, buffer, bytes, offset, file->read_unit));
    return file->io->methods->file_read(file, buffer, bytes, offset);
}

enum kiwi_status io_file_write(struct io_file *file, const void *buffer, size_t bytes,
                               uint64_t offset)
{
    assert(is_regular(file));
    assert(is_direct_aligned(file, buffer, bytes, offset, PAGE_BYTES));
    return file->io->methods->file_write(file, buffer, bytes, offset);
}

enum kiwi_status io_file_sync(struct io_file *file)
{
    return file->io->methods->file_sync(file);
}

enum kiwi_status io_map(struct io_file *file, size_t bytes, atomic_bool *is_lost,
                        uint8_t **out)
{
    assert(is_regular(file));
    *out = NULL;
    return file->io->methods->map(file, bytes, is_lost, out);
}

void io_unmap(struct io_file *file, uint8_t *address, size_t bytes)
{
    if (address != NULL)
        file->io->methods->unmap(file, address, bytes);
}

/* ---- whole files ---- */

enum kiwi_status io_read_whole(struct io *io, const char *path, uint64_t bytes_max, void **data,
                               size_t *bytes)
{
    struct io_file  *file = NULL;
    uint8_t         *content = NULL;
    uint64_t         size = 0;
    enum kiwi_status status;

    *data = NULL;
    *bytes = 0;
    if ((status = io_file_open(io, path, IO_READ_ONLY, &file)) != KIWI_OK)
        goto fail;
    if ((status = io_file_size(file, &size)) != KIWI_OK)
        goto fail;
    if (size > bytes_max) {
        status = FAIL(KIWI_TOO_LARGE, "read %s: it has %llu bytes, at most %llu are expected", path,
                      (unsigned long long)size, (unsigned long long)bytes_max);
        goto fail;
    }
    content = memory_allocate((size_t)size + 1);
    if (content == NULL) {
        status = FAIL(KIWI_NO_MEMORY, "read %s: no memory for %llu bytes", path,
                      (unsigned long long)size);
        goto fail;
    }
    if ((status = io_file_read(file, content, (size_t)size, 0)) != KIWI_OK)
        goto fail;
    content[size] = 0; /* text may be used as a string */
    io_file_close(file);
    *data = content;
    *bytes = (size_t)size;
    return KIWI_OK;
fail:
    memory_free(content);
    io_file_close(file);
    return status;
}

/* The directory that holds path: everything before the last slash. */
static void parent_of(char *path)
{
    char *slash = strrchr(path, '/');

    if (slash == NULL)
        memcpy(path, ".", 2); /* any name has room for it */
    else if (slash == path)
        slash[1] = 0;
    else
        *slash = 0;
}

static enum kiwi_status write_synced(struct io *io, const char *path, const void *data,
                                     size_t bytes)
{
    struct io_file  *file;
    enum kiwi_status status;

    TRY(io_file_open(io, path, IO_CREATE, &file));
    status = io_file_truncate(file, 0); /* an earlier attempt may have left it */
    if (status == KIWI_OK)
        status = io_file_write(file, data, bytes, 0);
    if (status == KIWI_OK)
        status = io_file_sync(file);
    io_file_close(file);
    return status;
}

enum kiwi_status io_write_whole(struct io *io, const char *path, const void *data, size_t bytes)
{
    static const char suffix[] = ".new";
    size_t            path_bytes = strlen(path);
    char             *temporary = memory_allocate(path_bytes + sizeof suffix);
    enum kiwi_status  status;

    assert(path_bytes > 0);
    if (temporary == NULL)
        return FAIL(KIWI_NO_MEMORY, "write %s: no memory for a name", path);
    memcpy(temporary, path, path_bytes);
    memcpy(temporary + path_bytes, suffix, sizeof suffix);
    status = write_synced(io, temporary, data, bytes);
    if (status == KIWI_OK)
        status = io_rename(io, temporary, path);
    if (status == KIWI_OK) {
        memcpy(temporary, path, path_bytes + 1);
        parent_of(temporary);
        status = io_directory_sync(io, temporary);
    }
    memory_free(temporary);
    return status;
}

/* ---- names ---- */

enum kiwi_status io_directory_create(struct io *io, const char *path)
{
    return io->methods->directory_create(io, path);
}

enum kiwi_status io_directory_sync(struct io *io, const char *path)
{
    return io->methods->directory_sync(io, path);
}

enum kiwi_status io_directory_list(struct io *io, const char *path,
                                   enum kiwi_status (*visit)(void *context, const char *name),
                                   void *context)
{
    return io->methods->directory_list(io, path, visit, context);
}

enum kiwi_status io_rename(struct io *io, const char *from, const char *to)
{
    return io->methods->rename(io, from, to);
}

enum kiwi_status io_remove(struct io *io, const char *path)
{
    return io->methods->remove(io, path);
}

enum kiwi_status io_lock(struct io *io, const char *path, struct io_file **out)
{
    *out = NULL;
    return io->methods->lock(io, path, out);
}

enum kiwi_status io_lock_shared(struct io *io, const char *path, struct io_file **out)
{
    *out = NULL;
    return io->methods->lock_shared(io, path, out);
}

/* ---- queues ---- */

enum kiwi_status io_queue_open(struct io *io, uint32_t depth, struct io_queue **out)
{
    *out = NULL;
    if (depth == 0 || depth > 4096)
        return FAIL(KIWI_INVALID, "a queue is 1 to 4096 deep, not %u", depth);
    return io->methods->queue_open(io, depth, out);
}

void io_queue_close(struct io_queue *queue)
{
    if (queue != NULL)
        queue->io->methods->queue_close(queue);
}

void io_queue_add(struct io_queue *queue, struct io_request *request)
{
    struct request_state *state = request_state(request);

    assert(request->verb >= IO_READ && request->verb <= IO_REMOVE);
    assert(request->class_of_service < IO_CLASS_COUNT);
    assert(request->done != NULL);
    assert(request->verb == IO_REMOVE ? request->path != NULL : request->file != NULL);
    assert(request->verb == IO_SYNC || request->verb == IO_REMOVE || is_regular(request->file));
    assert(request->verb > IO_WRITE_SYNC
           || is_direct_aligned(request->file, request->buffer, request->bytes, request->offset,
                                request->verb == IO_READ ? request->file->read_unit : PAGE_BYTES));
    if (request->verb > IO_WRITE_SYNC)
        request->bytes = 0;
    assert(request->bytes <= 1u << 30);
    *state = (struct request_state){ .added_ns = io_now_ns(queue->io) };
    if (request->class_of_service == IO_CLASS_LOG)
        scheduler_log_added(&queue->io->budget);
    request_list_append(&queue->waiting[request->class_of_service], request);
    queue->pending++;
}

uint32_t io_queue_poll(struct io_queue *queue, uint64_t timeout_ns)
{
    return queue->io->methods->queue_poll(queue, timeout_ns);
}

uint32_t io_queue_pending(const struct io_queue *queue)
{
    return queue->pending;
}

void io_queue_wake(struct io_queue *queue)
{
    queue->io->methods->queue_wake(queue);
}

int io_queue_descriptor(struct io_queue *queue)
{
    return queue->io->methods->queue_descriptor(queue);
}

void io_queue_register(struct io_queue *queue, void *base, size_t bytes)
{
    assert((uintptr_t)base % PAGE_BYTES == 0);
    queue->io->methods->queue_register(queue, base, bytes);
}
