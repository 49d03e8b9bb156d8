/*
 * simulated.c: the machine: files and names as io.h has them, faults, the stop, crash and kill.
 */
#include "io/simulated.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "io/failure.h"
#include "io/simulated_machine.h"

enum { PATH_BYTES_MAX = 512, LATENCY_NS_DEFAULT = 50000, CLOCK_READ_NS = 20 };

/* ---- time, chance, counting ---- */

static uint64_t machine_now_ns(struct io *io)
{
    /* Reading takes time too: a loop that waits by looking at the clock ends. */
    simulation_tick(simulation_of(io), CLOCK_READ_NS);
    return simulation_of(io)->now_ns;
}

static uint64_t machine_random(struct io *io)
{
    return chance_next(&simulation_of(io)->chance_io);
}

static uint64_t machine_wall_clock_ns(struct io *io)
{
    return simulation_of(io)->wall_ns + simulation_of(io)->now_ns;
}

int simulation_check(const struct simulation *simulation, const struct io_file *file)
{
    if (simulation->is_stopped)
        return FAILURE_STOPPED;
    if (file != NULL && ((const struct simulated_file *)(const void *)file)->life
                            != simulation->life)
        return FAILURE_STOPPED;
    return 0;
}

/* A blocking operation: counted, and the clock moves on. */
static int step_blocking(struct simulation *simulation, unsigned kinds, uint64_t bytes)
{
    struct delay delay = simulation_delay(simulation);

    /* Nobody else can do anything meanwhile: other events are a matter of time. */
    simulation_tick(simulation, simulation_latency_ns(simulation, kinds, bytes) + delay.ns
                                    + delay.events * simulation->options.latency_ns);
    return simulation_step(simulation, kinds);
}

/* ---- paths and handles ---- */

/* One slash between names and none at the end. */
static int path_clean(const char *path, char *clean)
{
    size_t used = 0;

    for (const char *at = path; *at != 0; at++) {
        if (*at == '/' && used > 0 && clean[used - 1] == '/')
            continue;
        if (used + 1 >= PATH_BYTES_MAX)
            return ENAMETOOLONG;
        clean[used++] = *at;
    }
    if (used > 1 && clean[used - 1] == '/')
        used--;
    clean[used] = 0;
    return used == 0 ? ENOENT : 0;
}

static enum kiwi_status handle_make(struct simulation *simulation, const char *path, unsigned flags,
                                    struct disk_file *file, struct io_file **out)
{
    struct simulated_file *handle = machine_allocate(sizeof *handle);

    handle->base.io = &simulation->base;
    handle->base.path = machine_text(path);
    handle->base.flags = flags;
    handle->base.read_unit = simulation->options.seed % 2 == 0 ? IO_SECTOR_BYTES : PAGE_BYTES;
    handle->life = simulation->life;
    handle->file = file;
    if (file != NULL)
        disk_file_hold(file);
    else
        handle->directory = machine_text(path);
    handle->next = simulation->files;
    simulation->files = handle;
    *out = &handle->base;
    return KIWI_OK;
}

static void handle_detach(struct simulation *simulation, struct simulated_file *handle)
{
    if (handle->file == NULL)
        return;
    if (handle->file->lock_holder == handle)
        handle->file->lock_holder = NULL;
    disk_file_release(&simulation->disk, handle->file);
    handle->file = NULL;
}

static void machine_file_close(struct io_file *file)
{
    struct simulated_file  *handle = simulated_file_of(file);
    struct simulation      *simulation = simulation_of(file->io);
    struct simulated_file **link = &simulation->files;

    handle_detach(simulation, handle);
    while (*link != handle)
        link = &(*link)->next;
    *link = handle->next;
    machine_free(handle->directory);
    machine_free(file->path);
    machine_free(handle);
}

/* 0 and the clean path, or an error. */
static int path_enter(struct io *io, const char *path, char *clean)
{
    int error = simulation_check(simulation_of(io), NULL);

    return error != 0 ? error : path_clean(path, clean);
}

static int parent_check(const struct simulation *simulation, const char *path)
{
    char parent[PATH_BYTES_MAX];

    path_parent(path, parent, sizeof parent);
    return disk_has_directory(&simulation->disk, parent) ? 0 : ENOENT;
}

/* Makes the name, or leaves it to the crash when the machine stops right here. */
static int file_create(struct simulation *simulation, const char *path, struct disk_file **out)
{
    int error = parent_check(simulation, path);

    if (error == 0)
        error = step_blocking(simulation, OPERATION_NAME, 0);
    if (error == FAILURE_STOPPED && simulation->is_last_breath)
        disk_name_create(&simulation->disk, path, disk_file_new(&simulation->disk),
                         CHANGE_IN_FLIGHT);
    if (error != 0)
        return error;
    *out = disk_file_new(&simulation->disk);
    disk_name_create(&simulation->disk, path, *out, CHANGE_UNSYNCED);
    return 0;
}

static enum kiwi_status machine_file_open(struct io *io, const char *path, unsigned flags,
                                          struct io_file **out)
{
    struct simulation *simulation = simulation_of(io);
    struct disk_file  *file;
    const struct name *name;
    char               clean[PATH_BYTES_MAX];
    int                error = path_enter(io, path, clean);

    if (error != 0)
        return failure_of_path(error, "open", path);
    name = disk_find(&simulation->disk, clean);
    if ((flags & IO_DIRECTORY) != 0) {
        if (!disk_has_directory(&simulation->disk, clean))
            return failure_of_path(name != NULL ? ENOTDIR : ENOENT, "open", path);
        return handle_make(simulation, clean, flags, NULL, out);
    }
    if (name != NULL && (flags & IO_EXCLUSIVE) != 0)
        return FAIL(KIWI_INVALID, "create %s: the file is already there", path);
    if (disk_has_directory(&simulation->disk, clean))
        return failure_of_path(EISDIR, "open", path);
    if (name != NULL)
        return handle_make(simulation, clean, flags, name->file, out);
    if ((flags & IO_CREATE) == 0)
        return failure_of_path(ENOENT, "open", path);
    error = file_create(simulation, clean, &file);
    if (error != 0)
        return failure_of_path(error, "create", path);
    return handle_make(simulation, clean, flags, file, out);
}

/* ---- blocking file calls ---- */

static struct failure_place place_of(const struct io_file *file, const char *what, uint64_t bytes,
                                     uint64_t offset)
{
    const struct disk_file *disk_file = ((const struct simulated_file *)(const void *)file)->file;

    return (struct failure_place){ .what = what, .path = file->path, .bytes = bytes,
                                   .offset = offset,
                                   .file_bytes = disk_file != NULL ? disk_file->present.bytes : 0 };
}

static enum kiwi_status place_status(int error, struct failure_place place)
{
    return error == 0 ? KIWI_OK : failure_of_place(error, &place);
}

static enum kiwi_status machine_file_size(struct io_file *file, uint64_t *bytes)
{
    int error = simulation_check(simulation_of(file->io), file);

    if (error != 0)
        return failure_of_path(error, "size of", file->path);
    *bytes = simulated_file_of(file)->file->present.bytes;
    return KIWI_OK;
}

static int enter_writing(struct io_file *file)
{
    int error = simulation_check(simulation_of(file->io), file);

    if (error == 0 && (file->flags & IO_READ_ONLY) != 0)
        error = EBADF;
    return error;
}

static enum kiwi_status machine_file_allocate(struct io_file *file, uint64_t bytes)
{
    struct simulation *simulation = simulation_of(file->io);
    int                error = enter_writing(file);

    if (error == 0)
        error = step_blocking(simulation, OPERATION_WRITE, 0);
    if (error == 0)
        error = disk_reserve(&simulation->disk, simulated_file_of(file)->file, bytes);
    return place_status(error, place_of(file, "allocate", bytes, 0));
}

static enum kiwi_status machine_file_truncate(struct io_file *file, uint64_t bytes)
{
    struct simulation *simulation = simulation_of(file->io);
    int                error = enter_writing(file);

    if (error == 0)
        error = step_blocking(simulation, OPERATION_WRITE, 0);
    if (error == 0)
        error = disk_resize(&simulation->disk, simulated_file_of(file)->file, bytes);
    return place_status(error, place_of(file, "truncate", 0, bytes));
}

static enum kiwi_status machine_file_read(struct io_file *file, void *buffer, size_t bytes,
                                          uint64_t offset)
{
    struct simulation *simulation = simulation_of(file->io);
    int                error = simulation_check(simulation, file);

    if (error == 0 && bytes > 0) {
        error = step_blocking(simulation, OPERATION_READ, bytes);
        error = simulated_read(simulation, simulated_file_of(file), buffer, bytes, offset, error);
    }
    if (error == 0)
        io_tally_add(&file->io->tally, IO_READ, bytes);
    return place_status(error, place_of(file, "read", bytes, offset));
}

static enum kiwi_status machine_file_write(struct io_file *file, const void *buffer, size_t bytes,
                                           uint64_t offset)
{
    struct simulation *simulation = simulation_of(file->io);
    int                error = enter_writing(file);

    if (error == 0 && bytes > 0) {
        error = step_blocking(simulation, OPERATION_WRITE, bytes);
        error = simulated_write(simulation, simulated_file_of(file), buffer, bytes, offset, error);
    }
    if (error == 0)
        io_tally_add(&file->io->tally, IO_WRITE, bytes);
    return place_status(error, place_of(file, "write", bytes, offset));
}

static enum kiwi_status machine_file_sync(struct io_file *file)
{
    struct simulation     *simulation = simulation_of(file->io);
    struct simulated_file *handle = simulated_file_of(file);
    int                    error = simulation_check(simulation, file);

    if (error == 0) {
        error = step_blocking(simulation, OPERATION_SYNC, 0);
        error = simulated_sync(simulation, handle, UINT64_MAX, error);
    }
    if (error != 0)
        return failure_of_path(error, "sync", file->path);
    io_tally_add(&file->io->tally, IO_SYNC, 0);
    return KIWI_OK;
}

/* ---- names ---- */

static enum kiwi_status machine_directory_create(struct io *io, const char *path)
{
    struct simulation *simulation = simulation_of(io);
    char               clean[PATH_BYTES_MAX];
    int                error = path_enter(io, path, clean);

    if (error == 0 && disk_has_directory(&simulation->disk, clean))
        return KIWI_OK;
    if (error == 0 && disk_find(&simulation->disk, clean) != NULL)
        error = ENOTDIR;
    if (error == 0)
        error = parent_check(simulation, clean);
    if (error == 0) {
        error = step_blocking(simulation, OPERATION_NAME, 0);
        if (error == 0 || (error == FAILURE_STOPPED && simulation->is_last_breath))
            disk_name_create(&simulation->disk, clean, NULL,
                             error == 0 ? CHANGE_UNSYNCED : CHANGE_IN_FLIGHT);
    }
    return error == 0 ? KIWI_OK : failure_of_path(error, "create directory", path);
}

static enum kiwi_status machine_directory_sync(struct io *io, const char *path)
{
    struct simulation *simulation = simulation_of(io);
    char               clean[PATH_BYTES_MAX];
    int                error = path_enter(io, path, clean);

    if (error == 0 && !disk_has_directory(&simulation->disk, clean))
        error = ENOENT;
    if (error == 0)
        error = step_blocking(simulation, OPERATION_SYNC, 0);
    if (error != 0)
        return failure_of_path(error, "sync directory", path);
    disk_directory_sync(&simulation->disk, clean);
    io_tally_add(&io->tally, IO_SYNC, 0);
    return KIWI_OK;
}

/* Names of one directory, copied: visit may change the directory. */
static uint32_t names_copy_of(const struct simulation *simulation, const char *directory,
                              char ***out)
{
    const struct name_table *table = &simulation->disk.present;
    char                   **names = machine_allocate((table->count + 1) * sizeof *names);
    char                     parent[PATH_BYTES_MAX];
    uint32_t                 count = 0;

    for (uint32_t i = 0; i < table->count; i++) {
        const char *slash = strrchr(table->names[i].path, '/');

        path_parent(table->names[i].path, parent, sizeof parent);
        if (strcmp(parent, directory) == 0)
            names[count++] = machine_text(slash != NULL ? slash + 1 : table->names[i].path);
    }
    *out = names;
    return count;
}

static enum kiwi_status machine_directory_list(struct io *io, const char *path, io_visit *visit,
                                               void *context)
{
    struct simulation *simulation = simulation_of(io);
    char               clean[PATH_BYTES_MAX], **names;
    enum kiwi_status   status = KIWI_OK;
    int                error = path_enter(io, path, clean);
    uint32_t           count, first;

    if (error == 0 && !disk_has_directory(&simulation->disk, clean))
        error = ENOENT;
    if (error != 0)
        return failure_of_path(error, "list directory", path);
    count = names_copy_of(simulation, clean, &names);
    /* No file system promises an order. */
    first = count > 0 ? (uint32_t)chance_below(&simulation->chance_faults, count) : 0;
    for (uint32_t i = 0; i < count; i++) {
        if (status == KIWI_OK)
            status = visit(context, names[(first + i) % count]);
    }
    for (uint32_t i = 0; i < count; i++)
        machine_free(names[i]);
    machine_free(names);
    return status;
}

static int name_check(const struct simulation *simulation, const char *path)
{
    const struct name *name = disk_find(&simulation->disk, path);

    if (name == NULL)
        return ENOENT;
    return name->file == NULL ? EISDIR : 0;
}

static enum kiwi_status machine_rename(struct io *io, const char *from, const char *to)
{
    struct simulation *simulation = simulation_of(io);
    char               clean_from[PATH_BYTES_MAX], clean_to[PATH_BYTES_MAX];
    int                error = path_enter(io, from, clean_from);

    if (error == 0)
        error = path_enter(io, to, clean_to);
    if (error == 0)
        error = name_check(simulation, clean_from);
    if (error == 0)
        error = parent_check(simulation, clean_to);
    if (error == 0 && disk_has_directory(&simulation->disk, clean_to))
        error = EISDIR;
    if (error == 0) {
        error = step_blocking(simulation, OPERATION_NAME, 0);
        if (error == 0 || (error == FAILURE_STOPPED && simulation->is_last_breath))
            disk_name_rename(&simulation->disk, clean_from, clean_to,
                             error == 0 ? CHANGE_UNSYNCED : CHANGE_IN_FLIGHT);
    }
    return error == 0 ? KIWI_OK : failure_of_path(error, "rename", from);
}

int simulated_remove(struct simulation *simulation, const char *path, int error)
{
    char clean[PATH_BYTES_MAX];
    int  refused = path_clean(path, clean);

    if (refused == 0)
        refused = name_check(simulation, clean);
    if (refused != 0)
        return error != 0 ? error : refused;
    if (error == 0 || error == FAILURE_STOPPED)
        disk_name_remove(&simulation->disk, clean,
                         error == 0 ? CHANGE_UNSYNCED : CHANGE_IN_FLIGHT);
    return error;
}

static enum kiwi_status machine_remove(struct io *io, const char *path)
{
    struct simulation *simulation = simulation_of(io);
    char               clean[PATH_BYTES_MAX];
    int                error = path_enter(io, path, clean);

    if (error == 0)
        error = name_check(simulation, clean);
    if (error == 0) {
        error = step_blocking(simulation, OPERATION_NAME, 0);
        if (error != FAILURE_STOPPED || simulation->is_last_breath)
            error = simulated_remove(simulation, clean, error);
    }
    return error == 0 ? KIWI_OK : failure_of_path(error, "remove", path);
}

/* ---- lock and mapping ---- */

static enum kiwi_status machine_lock(struct io *io, const char *path, struct io_file **out)
{
    struct simulated_file *handle;
    enum kiwi_status       status;

    TRY(machine_file_open(io, path, IO_CREATE, out));
    handle = simulated_file_of(*out);
    if (handle->file->lock_holder != NULL) {
        machine_file_close(*out);
        *out = NULL;
        return FAIL(KIWI_LOCKED, "lock %s: process 1 holds it", path);
    }
    handle->file->lock_holder = handle;
    status = machine_file_truncate(*out, 0);
    if (status == KIWI_OK)
        status = machine_file_write(*out, "1\n", 2, 0);
    if (status != KIWI_OK) {
        machine_file_close(*out);
        *out = NULL;
    }
    return status;
}

/* As long as it is held nobody else on this machine opens the database: good enough here. */
static enum kiwi_status machine_lock_shared(struct io *io, const char *path, struct io_file **out)
{
    struct simulated_file *handle;

    TRY(machine_file_open(io, path, IO_READ_ONLY, out));
    handle = simulated_file_of(*out);
    if (handle->file->lock_holder == NULL) {
        handle->file->lock_holder = handle;
        return KIWI_OK;
    }
    machine_file_close(*out);
    *out = NULL;
    return FAIL(KIWI_LOCKED, "lock %s: process 1 holds it", path);
}

/* A simulated mapping is never lost. */
static enum kiwi_status machine_map(struct io_file *file, size_t bytes, atomic_bool *is_lost,
                                    uint8_t **out)
{
    struct simulation     *simulation = simulation_of(file->io);
    struct simulated_file *handle = simulated_file_of(file);
    int                    error = simulation_check(simulation, file);

    if (error == 0 && handle->file->present.bytes < bytes)
        error = FAILURE_PAST_END;
    if (error != 0)
        return place_status(error, place_of(file, "map", bytes, 0));
    atomic_store_explicit(is_lost, false, memory_order_relaxed);
    *out = disk_map(&simulation->disk, handle->file, bytes);
    return KIWI_OK;
}

static void machine_unmap(struct io_file *file, uint8_t *address, size_t bytes)
{
    (void)bytes;
    disk_unmap(&simulation_of(file->io)->disk, address);
}

/* ---- methods ---- */

static void machine_close(struct io *io)
{
    (void)io; /* simulation_close ends it */
}

static int machine_queue_descriptor(struct io_queue *queue)
{
    (void)queue;
    return -1;
}

static void machine_queue_register(struct io_queue *queue, void *base, size_t bytes)
{
    (void)queue, (void)base, (void)bytes;
}

static const struct io_methods machine_methods = {
    .name = "simulated",
    .close = machine_close,
    .now_ns = machine_now_ns,
    .random = machine_random,
    .wall_clock_ns = machine_wall_clock_ns,
    .file_open = machine_file_open,
    .file_close = machine_file_close,
    .file_size = machine_file_size,
    .file_allocate = machine_file_allocate,
    .file_truncate = machine_file_truncate,
    .file_read = machine_file_read,
    .file_write = machine_file_write,
    .file_sync = machine_file_sync,
    .directory_create = machine_directory_create,
    .directory_sync = machine_directory_sync,
    .directory_list = machine_directory_list,
    .rename = machine_rename,
    .remove = machine_remove,
    .lock = machine_lock,
    .lock_shared = machine_lock_shared,
    .map = machine_map,
    .unmap = machine_unmap,
    .queue_open = simulated_queue_open,
    .queue_close = simulated_queue_close,
    .queue_poll = simulated_queue_poll,
    .queue_wake = simulated_queue_wake,
    .queue_descriptor = machine_queue_descriptor,
    .queue_register = machine_queue_register,
};

/* ---- the simulation ---- */

static void seed_set(struct simulation *simulation, uint64_t seed)
{
    struct chance root = { .state = seed };

    /* Streams of their own: the database's random numbers do not shift the faults. */
    simulation->chance_io.state = chance_next(&root);
    simulation->chance_faults.state = chance_next(&root);
    simulation->chance_crash.state = chance_next(&root);
}

static void options_set(struct simulation *simulation, const struct simulation_options *options)
{
    simulation->options = *options;
    if (simulation->options.latency_ns == 0)
        simulation->options.latency_ns = LATENCY_NS_DEFAULT;
    simulation->disk.bytes_max = options->disk_bytes;
    simulation->disk.keeps_past |= options->stale_read_per_million != 0;
}

static struct simulation *simulation_new(const struct simulation_options *options)
{
    struct simulation *simulation = machine_allocate_pages(sizeof *simulation);
    char               features[64];

    snprintf(features, sizeof features, "simulated machine, seed %llu",
             (unsigned long long)options->seed);
    io_init(&simulation->base, &machine_methods, features);
    simulation->life = 1;
    simulation->now_ns = 1000000000;
    simulation->wall_ns = WALL_CLOCK_NS;
    seed_set(simulation, options->seed);
    options_set(simulation, options);
    return simulation;
}

enum kiwi_status simulation_open(const struct simulation_options *options, struct simulation **out)
{
    *out = simulation_new(options);
    disk_open(&(*out)->disk);
    (*out)->disk.bytes_max = options->disk_bytes;
    return KIWI_OK;
}

void simulation_close(struct simulation *simulation)
{
    if (simulation == NULL)
        return;
    while (simulation->base.queues != NULL)
        simulated_queue_free(simulation->base.queues);
    disk_close(&simulation->disk);
    for (struct simulated_file *handle = simulation->files, *next; handle != NULL; handle = next) {
        next = handle->next;
        machine_free(handle->directory);
        machine_free(handle->base.path);
        machine_free(handle);
    }
    io_end(&simulation->base);
    machine_free(simulation);
}

struct io *simulation_io(struct simulation *simulation)
{
    return &simulation->base;
}

void simulation_set(struct simulation *simulation, const struct simulation_options *options)
{
    if (options->seed != simulation->options.seed)
        seed_set(simulation, options->seed);
    options_set(simulation, options);
    for (struct io_queue *queue = simulation->base.queues;
         queue != NULL && options->stuck_request_per_million == 0; queue = queue->next)
        simulated_queue_free_stuck(queue);
}

uint64_t simulation_now_ns(const struct simulation *simulation)
{
    return simulation->now_ns;
}

uint64_t simulation_jumped_ns(const struct simulation *simulation)
{
    return simulation->jumped_ns;
}

uint64_t simulation_events(const struct simulation *simulation)
{
    return simulation->event_count;
}

uint64_t simulation_operations(const struct simulation *simulation)
{
    return simulation->operation_count;
}

void simulation_stop_at(struct simulation *simulation, uint64_t n)
{
    simulation->stop_at = n;
    simulation->is_stopped = n != 0 && simulation->operation_count >= n;
}

void simulation_stick_at(struct simulation *simulation, uint64_t n)
{
    simulation->stick_at = n;
}

void simulation_fail_at(struct simulation *simulation, uint64_t n, enum kiwi_status status,
                        bool is_sticky)
{
    assert(n == 0 || status == KIWI_IO || status == KIWI_FULL);
    simulation->fail_at = n;
    simulation->fail_status = status;
    simulation->fail_is_sticky = is_sticky;
    simulation->fail_kinds = 0;
}

/* Everything that belongs to the process: its requests, handles, locks and plans for faults. */
static void process_end(struct simulation *simulation)
{
    for (struct io_queue *queue = simulation->base.queues; queue != NULL; queue = queue->next)
        simulated_queue_end(queue);
    for (struct simulated_file *handle = simulation->files; handle != NULL; handle = handle->next)
        handle_detach(simulation, handle);
    simulation->life++;
    simulation->is_stopped = false;
    simulation->stop_at = 0;
    simulation->fail_at = 0;
    simulation->stick_at = 0;
}

void simulation_crash(struct simulation *simulation)
{
    process_end(simulation);
    disk_crash(&simulation->disk, &simulation->chance_crash);
}

void simulation_kill(struct simulation *simulation)
{
    process_end(simulation);
    disk_kill(&simulation->disk, &simulation->chance_crash);
}

/* ---- damage and copies ---- */

enum kiwi_status simulation_flip_bit(struct simulation *simulation, const char *path, uint64_t bit)
{
    const struct name *name;
    char               clean[PATH_BYTES_MAX];
    int                error = path_clean(path, clean);

    if (error == 0)
        error = name_check(simulation, clean);
    if (error != 0)
        return failure_of_path(error, "flip a bit of", path);
    name = disk_find(&simulation->disk, clean);
    if (bit / 8 >= name->file->present.bytes)
        return FAIL(KIWI_INVALID, "flip bit %llu of %s: it has %llu bytes", (unsigned long long)bit,
                    path, (unsigned long long)name->file->present.bytes);
    disk_flip_bit(&simulation->disk, name->file, bit);
    return KIWI_OK;
}

enum kiwi_status simulation_copy(const struct simulation *source, struct simulation **out)
{
    struct simulation *copy = simulation_new(&source->options);

    disk_copy(&source->disk, &copy->disk);
    *out = copy;
    return KIWI_OK;
}
