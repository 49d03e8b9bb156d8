/*
 * system.c: files through plain system calls, and whole requests executed by them.
 */
#include "io/system.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "io/clock.h"
#include "io/failure.h"
#include "io/mapping.h"
#include "io/queue.h"

enum { RETRY_COUNT_MAX = 100, TRANSFER_BYTES_MAX = 1 << 30 };

static int file_descriptor(const struct io_file *file)
{
    int fd = ((const struct system_file *)(const void *)file)->fd;

    assert(fd >= 0);
    return fd;
}

/* ---- time and chance ---- */

uint64_t system_now_ns(struct io *io)
{
    (void)io;
    return clock_now_ns();
}

uint64_t system_random(struct io *io)
{
    uint64_t value;

    (void)io;
    while (getrandom(&value, sizeof value, 0) != (ssize_t)sizeof value)
        assert(errno == EINTR);
    return value;
}

uint64_t system_wall_clock_ns(struct io *io)
{
    struct timespec now;

    (void)io;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- open and close ---- */

static int open_retrying(const char *path, int flags)
{
    int fd;

    do
        fd = open(path, flags | O_CLOEXEC, 0644);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* What direct transfers must be aligned to; 0: more than 4 KiB. A file system that cannot tell is
 * trusted with 4 KiB. */
static uint32_t direct_unit(int fd)
{
#ifdef STATX_DIOALIGN
    struct statx about;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &about) == 0
        && (about.stx_mask & STATX_DIOALIGN) != 0)
        return about.stx_dio_offset_align == 0 || about.stx_dio_offset_align > PAGE_BYTES
                       || about.stx_dio_mem_align > PAGE_BYTES
                 ? 0
                 : (uint32_t)max_u64(about.stx_dio_offset_align, IO_SECTOR_BYTES);
#endif
    (void)fd;
    return PAGE_BYTES;
}

static int open_direct_or_buffered(struct io *io, const char *path, int flags, uint32_t *read_unit)
{
    int fd = open_retrying(path, flags | O_DIRECT);

    if (fd >= 0 && (*read_unit = direct_unit(fd)) != 0)
        return fd;
    *read_unit = IO_SECTOR_BYTES;
    if (fd < 0 && errno != EINVAL && errno != EOPNOTSUPP)
        return fd;
    if (fd >= 0) {
        /* Reopening could meet O_EXCL; the flag can be taken away instead. */
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_DIRECT);
    } else {
        /* A refused O_DIRECT may have created the file all the same. */
        fd = open_retrying(path, flags & ~O_EXCL);
    }
    io_remark_set(io, IO_REMARK_BUFFERED);
    return fd;
}

static enum kiwi_status file_make(struct io *io, const char *path, unsigned flags, int fd,
                                  uint32_t read_unit, struct io_file **out)
{
    struct system_file *file = memory_allocate_zeroed(sizeof *file);
    size_t              path_bytes = strlen(path) + 1;

    if (file == NULL || (file->base.path = memory_allocate(path_bytes)) == NULL) {
        memory_free(file);
        close(fd);
        return FAIL(KIWI_NO_MEMORY, "open %s: no memory for the handle", path);
    }
    memcpy(file->base.path, path, path_bytes);
    file->base.io = io;
    file->base.flags = flags;
    file->base.read_unit = read_unit;
    file->fd = fd;
    file->is_directory = (flags & IO_DIRECTORY) != 0;
    *out = &file->base;
    return KIWI_OK;
}

enum kiwi_status system_file_open(struct io *io, const char *path, unsigned flags,
                                  struct io_file **out)
{
    uint32_t read_unit = IO_SECTOR_BYTES;
    int      open_flags = O_RDWR, fd;

    if ((flags & IO_DIRECTORY) != 0)
        open_flags = O_RDONLY | O_DIRECTORY;
    else if ((flags & IO_READ_ONLY) != 0)
        open_flags = O_RDONLY;
    if ((flags & IO_CREATE) != 0)
        open_flags |= O_CREAT | ((flags & IO_EXCLUSIVE) != 0 ? O_EXCL : 0);
    if ((flags & IO_DIRECT) != 0)
        fd = open_direct_or_buffered(io, path, open_flags, &read_unit);
    else
        fd = open_retrying(path, open_flags);
    if (fd < 0 && errno == EEXIST)
        return FAIL(KIWI_INVALID, "create %s: the file is already there", path);
    if (fd < 0)
        return failure_of_path(errno, "open", path);
    return file_make(io, path, flags, fd, read_unit, out);
}

void system_file_close(struct io_file *file)
{
    close(file_descriptor(file));
    memory_free(file->path);
    memory_free(file);
}

enum kiwi_status system_file_size(struct io_file *file, uint64_t *bytes)
{
    struct stat about;

    if (fstat(file_descriptor(file), &about) != 0)
        return failure_of_path(errno, "size of", file->path);
    *bytes = (uint64_t)about.st_size;
    return KIWI_OK;
}

/* ---- transfers: 0, errno or enum io_failure_code ---- */

static bool is_worth_retrying(int error, uint32_t *retry_count)
{
    return (error == EINTR || error == EAGAIN) && ++*retry_count <= RETRY_COUNT_MAX;
}

static int request_transfer(struct io_request *request)
{
    struct request_state *state = request_state(request);
    int                   fd = file_descriptor(request->file), error;
    int                   flags = request->verb == IO_WRITE_SYNC ? RWF_DSYNC : 0;
    uint32_t              retry_count = 0;

    for (;;) {
        struct iovec part = { .iov_base = (char *)request->buffer + state->bytes_done,
                              .iov_len = request->bytes - state->bytes_done };
        off_t        at = (off_t)(request->offset + state->bytes_done);
        ssize_t      moved = request->verb == IO_READ ? preadv2(fd, &part, 1, at, 0)
                                                      : pwritev2(fd, &part, 1, at, flags);

        if (moved < 0 && is_worth_retrying(errno, &retry_count))
            continue;
        if (moved < 0)
            return errno;
        if (request_advance(request, (uint32_t)moved, &error) || error != 0)
            return error;
    }
}

static int descriptor_sync(int fd, bool is_directory)
{
    int result;

    /* EINTR is retried, for nothing was reported then. Any real error is final: the kernel tells it
     * once and forgets, so a second try would succeed without the data being safe. */
    do
        result = is_directory ? fsync(fd) : fdatasync(fd);
    while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : errno;
}

static int descriptor_allocate(int fd, uint64_t bytes)
{
    struct stat about;
    int         result;

    if (bytes == 0)
        return 0;
    do
        result = fallocate(fd, 0, 0, (off_t)bytes);
    while (result != 0 && errno == EINTR);
    if (result == 0 || errno != EOPNOTSUPP)
        return result == 0 ? 0 : errno;
    /* No allocation on this file system: the length at least. */
    if (fstat(fd, &about) != 0)
        return errno;
    if ((uint64_t)about.st_size >= bytes || ftruncate(fd, (off_t)bytes) == 0)
        return 0;
    return errno;
}

int system_request_run(struct io_request *request)
{
    const struct system_file *file = (const struct system_file *)(const void *)request->file;

    switch ((enum io_verb)request->verb) {
    case IO_READ:
    case IO_WRITE:
    case IO_WRITE_SYNC:
        return request->bytes == 0 ? 0 : request_transfer(request);
    case IO_SYNC:
        return descriptor_sync(file->fd, file->is_directory);
    case IO_ALLOCATE:
        return descriptor_allocate(file->fd, request->offset);
    case IO_REMOVE:
        return unlink(request->path) == 0 ? 0 : errno;
    }
    assert(0 && "a request has one of the verbs");
    return EINVAL;
}

/* ---- blocking calls ---- */

static enum kiwi_status file_transfer(struct io_file *file, enum io_verb verb, void *buffer,
                                      struct failure_place place)
{
    uint64_t total = place.bytes, begin = place.offset;
    int      error = 0;

    for (uint64_t done = 0; done < total && error == 0;) {
        struct io_request request = {
            .file = file,
            .buffer = (char *)buffer + done,
            .offset = begin + done,
            .bytes = (uint32_t)min_u64(total - done, TRANSFER_BYTES_MAX),
            .verb = (uint8_t)verb,
        };
        error = system_request_run(&request);
        done += request.bytes;
    }
    if (error != 0) {
        place.path = file->path;
        if (error == FAILURE_PAST_END)
            TRY(system_file_size(file, &place.file_bytes));
        return failure_of_place(error, &place);
    }
    io_tally_add(&file->io->tally, verb, total);
    return KIWI_OK;
}

enum kiwi_status system_file_read(struct io_file *file, void *buffer, size_t bytes, uint64_t offset)
{
    struct failure_place place = { .what = "read", .offset = offset, .bytes = bytes };

    return file_transfer(file, IO_READ, buffer, place);
}

enum kiwi_status system_file_write(struct io_file *file, const void *buffer, size_t bytes,
                                   uint64_t offset)
{
    struct failure_place place = { .what = "write", .offset = offset, .bytes = bytes };
    void                *source;

    memcpy(&source, &buffer, sizeof source); /* a request has one pointer for both directions */
    return file_transfer(file, IO_WRITE, source, place);
}

enum kiwi_status system_file_sync(struct io_file *file)
{
    int error = descriptor_sync(file_descriptor(file),
                                ((struct system_file *)(void *)file)->is_directory);

    if (error != 0)
        return failure_of_path(error == ENOENT ? EIO : error, "sync", file->path);
    io_tally_add(&file->io->tally, IO_SYNC, 0);
    return KIWI_OK;
}

enum kiwi_status system_file_allocate(struct io_file *file, uint64_t bytes)
{
    int error = descriptor_allocate(file_descriptor(file), bytes);

    if (error == 0)
        return KIWI_OK;
    return failure_of_place(error, &(struct failure_place){ .what = "allocate", .path = file->path,
                                                            .bytes = bytes });
}

enum kiwi_status system_file_truncate(struct io_file *file, uint64_t bytes)
{
    int result;

    do
        result = ftruncate(file_descriptor(file), (off_t)bytes);
    while (result != 0 && errno == EINTR);
    if (result == 0)
        return KIWI_OK;
    return failure_of_place(errno, &(struct failure_place){ .what = "truncate", .path = file->path,
                                                            .offset = bytes });
}

/* ---- directories and names ---- */

enum kiwi_status system_directory_create(struct io *io, const char *path)
{
    struct stat about;

    (void)io;
    if (mkdir(path, 0755) == 0)
        return KIWI_OK;
    if (errno != EEXIST)
        return failure_of_path(errno, "create directory", path);
    if (stat(path, &about) != 0)
        return failure_of_path(errno, "create directory", path);
    if (!S_ISDIR(about.st_mode))
        return failure_of_path(ENOTDIR, "create directory", path);
    return KIWI_OK;
}

enum kiwi_status system_directory_sync(struct io *io, const char *path)
{
    int fd = open_retrying(path, O_RDONLY | O_DIRECTORY), error;

    if (fd < 0)
        return failure_of_path(errno, "open directory", path);
    error = descriptor_sync(fd, true);
    close(fd);
    if (error != 0)
        return failure_of_path(error, "sync directory", path);
    io_tally_add(&io->tally, IO_SYNC, 0);
    return KIWI_OK;
}

enum kiwi_status system_directory_list(struct io *io, const char *path, io_visit *visit,
                                       void *context)
{
    DIR             *directory = opendir(path);
    struct dirent   *entry;
    enum kiwi_status status = KIWI_OK;

    (void)io;
    if (directory == NULL)
        return failure_of_path(errno, "list directory", path);
    for (;;) {
        errno = 0;
        entry = readdir(directory);
        if (entry == NULL && errno != 0)
            status = failure_of_path(errno, "list directory", path);
        if (entry == NULL || status != KIWI_OK)
            break;
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            status = visit(context, entry->d_name);
        if (status != KIWI_OK)
            break;
    }
    closedir(directory);
    return status;
}

enum kiwi_status system_rename(struct io *io, const char *from, const char *to)
{
    (void)io;
    if (rename(from, to) == 0)
        return KIWI_OK;
    return failure_of_path(errno, "rename", from);
}

enum kiwi_status system_remove(struct io *io, const char *path)
{
    (void)io;
    if (unlink(path) == 0)
        return KIWI_OK;
    return failure_of_path(errno, "remove", path);
}

/* ---- lock ---- */

static enum kiwi_status lock_is_taken(int fd, const char *path)
{
    char    text[32] = { 0 };
    ssize_t bytes = pread(fd, text, sizeof text - 1, 0);
    long    pid = bytes > 0 ? strtol(text, NULL, 10) : 0;

    if (pid <= 0)
        return FAIL(KIWI_LOCKED, "lock %s: another process holds it", path);
    return FAIL(KIWI_LOCKED, "lock %s: process %ld holds it", path, pid);
}

/* flock belongs to the open file, not to the process: a second open in the same process is refused
 * too, and a forked child that closes its copy does not end the parent's lock. On failure fd is
 * closed. */
static enum kiwi_status lock_take(int fd, const char *path, int mode)
{
    enum kiwi_status status;
    int              result;

    do
        result = flock(fd, mode | LOCK_NB);
    while (result != 0 && errno == EINTR);
    if (result == 0)
        return KIWI_OK;
    status = errno == EWOULDBLOCK ? lock_is_taken(fd, path) : failure_of_path(errno, "lock", path);
    close(fd);
    return status;
}

enum kiwi_status system_lock_shared(struct io *io, const char *path, struct io_file **out)
{
    int fd = open_retrying(path, O_RDONLY);

    if (fd < 0)
        return failure_of_path(errno, "open", path);
    TRY(lock_take(fd, path, LOCK_SH));
    return file_make(io, path, 0, fd, IO_SECTOR_BYTES, out);
}

enum kiwi_status system_lock(struct io *io, const char *path, struct io_file **out)
{
    int              fd = open_retrying(path, O_RDWR | O_CREAT);
    enum kiwi_status status;
    char             text[32];

    if (fd < 0)
        return failure_of_path(errno, "open", path);
    TRY(lock_take(fd, path, LOCK_EX));
    int length = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)length, 0) != length) {
        status = failure_of_path(errno == 0 ? EIO : errno, "write our process number to", path);
        close(fd);
        return status;
    }
    return file_make(io, path, 0, fd, IO_SECTOR_BYTES, out);
}

/* ---- mapping ---- */

enum kiwi_status system_map(struct io_file *file, size_t bytes, atomic_bool *is_lost,
                            uint8_t **out)
{
    uint64_t         size;
    void            *address;
    enum kiwi_status status;

    assert(bytes > 0);
    TRY(system_file_size(file, &size));
    if (size < bytes)
        return failure_of_place(FAILURE_PAST_END,
                                &(struct failure_place){ .what = "map", .path = file->path,
                                                         .bytes = bytes, .file_bytes = size });
    address = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                   file_descriptor(file), 0);
    if (address == MAP_FAILED)
        return failure_of_path(errno, "map", file->path);
    if ((status = mapping_guard(address, bytes, is_lost)) != KIWI_OK) {
        munmap(address, bytes);
        return status;
    }
    *out = address;
    return KIWI_OK;
}

void system_unmap(struct io_file *file, uint8_t *address, size_t bytes)
{
    (void)file;
    mapping_release(address);
    if (munmap(address, bytes) != 0)
        assert(0 && "a mapping ends with the address and size it began with");
}
