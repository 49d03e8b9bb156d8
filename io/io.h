/*
 * io.h: files and devices behind one interface with three backends.
 *
 * Owns     nothing but open files and queues; a struct io is one backend instance.
 * Backends io_uring (uring.c), plain system calls (posix.c), simulated disk (simulated.c).
 * Thread   struct io and struct io_file: any thread. struct io_queue: one thread at a time, the one
 *          that first polls it (a ring is made lazily by the polling thread). It may move to
 *          another thread, or be closed by one, only with nothing at the device: pending is 0.
 * Direct   files opened with IO_DIRECT take buffers, offsets and sizes in multiples of 4 KiB; reads
 *          also offsets and sizes in multiples of io_file_read_unit.
 * Errors   errno becomes enum kiwi_status here (ENOSPC, EDQUOT: KIWI_FULL; the rest KIWI_IO) and is
 *          unknown above; the text names path, offset and cause. Short transfers, EINTR and EAGAIN
 *          are continued or retried (bounded) here; above, a transfer is whole or failed. Reading
 *          past the end of a file is KIWI_CORRUPT with path, offset and size.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "core/base/base.h"
#include "core/base/bytes.h"

#define IO_SECTOR_BYTES 512u /* the least that a disk transfers */

struct io;
struct io_file;
struct io_queue;

enum io_backend {
    IO_BACKEND_URING,
    IO_BACKEND_POSIX,
};

/* KIWI_UNSUPPORTED when the host refuses io_uring: the text names the cause (sysctl, seccomp, old
 * kernel, locked memory) and the option io_backend=posix. */
MUST_USE enum kiwi_status io_open(enum io_backend backend, struct io **out);
/* Around a fork: nothing of the backend is half done between prepare and parent or child. In the
 * child queues opened from then on use plain system calls in the calling thread, and those of the
 * parent are never touched. */
void io_fork_prepare(struct io *io);
void io_fork_parent(struct io *io);
void io_fork_child(struct io *io);
/* NULL is fine; all files and queues are closed before. */
void                      io_close(struct io *io);
const char               *io_backend_name(const struct io *io);
const char               *io_features_text(const struct io *io); /* what the probe found */

/* ---- time and chance (virtual in the simulated backend) ---- */
/* Monotonic, about 10 ns to read. Between threads it may be behind by some tens of nanoseconds, so
 * the difference of two threads' readings is to be clamped at zero. */
uint64_t io_now_ns(struct io *io);
uint64_t io_random(struct io *io);
uint64_t io_wall_clock_ns(struct io *io);

/* ---- files: blocking, for open, close and rare background work ---- */
enum io_open_flag {
    IO_READ_ONLY = 1u << 0,
    IO_CREATE = 1u << 1,
    IO_EXCLUSIVE = 1u << 2, /* with IO_CREATE: fails with KIWI_INVALID when the file is there */
    IO_DIRECT = 1u << 3,    /* where refused: buffered, and the features text says so */
    IO_DIRECTORY = 1u << 4, /* a directory; only for io_file_sync and IO_SYNC (a full fsync) */
};

MUST_USE enum kiwi_status io_file_open(struct io *io, const char *path, unsigned flags,
                                       struct io_file **out); /* KIWI_NOT_FOUND only for ENOENT */
void                      io_file_close(struct io_file *file); /* NULL is fine */
const char               *io_file_path(const struct io_file *file);
/* Reads of a direct file begin and end at multiples of this: 512 if its disk has such sectors, else
 * 4096. Writes do at multiples of 4096, and so do the buffers of both. */
uint32_t                  io_file_read_unit(const struct io_file *file);
MUST_USE enum kiwi_status io_file_size(struct io_file *file, uint64_t *bytes);
/* Grows the file to bytes with allocated, readable-as-zero space; never shrinks it. */
MUST_USE enum kiwi_status io_file_allocate(struct io_file *file, uint64_t bytes);
MUST_USE enum kiwi_status io_file_truncate(struct io_file *file, uint64_t bytes);
MUST_USE enum kiwi_status io_file_read(struct io_file *file, void *buffer, size_t bytes,
                                       uint64_t offset);
MUST_USE enum kiwi_status io_file_write(struct io_file *file, const void *buffer, size_t bytes,
                                        uint64_t offset);
/* Data and what is needed to read it. */
MUST_USE enum kiwi_status io_file_sync(struct io_file *file);

/* A whole small file at once; *data is from memory_allocate, owned by the caller. */
MUST_USE enum kiwi_status io_read_whole(struct io *io, const char *path, uint64_t bytes_max,
                                        void **data, size_t *bytes);
/* Writes under a temporary name, syncs, renames over path, syncs the directory. */
MUST_USE enum kiwi_status io_write_whole(struct io *io, const char *path, const void *data,
                                         size_t bytes);

MUST_USE enum kiwi_status io_directory_create(struct io *io, const char *path); /* fine if there */
MUST_USE enum kiwi_status io_directory_sync(struct io *io, const char *path);
/* visit is called once per name, not for "." and ".."; a failing status stops the walk. */
MUST_USE enum kiwi_status io_directory_list(struct io *io, const char *path,
                                            enum kiwi_status (*visit)(void *context,
                                                                      const char *name),
                                            void *context);
MUST_USE enum kiwi_status io_rename(struct io *io, const char *from, const char *to);
/* KIWI_NOT_FOUND: it was absent. */
MUST_USE enum kiwi_status io_remove(struct io *io, const char *path);

/* Takes the database lock: an exclusive advisory lock on path, which then holds our pid as text.
 * KIWI_LOCKED: the text names the pid that has it. Ends with io_file_close. */
MUST_USE enum kiwi_status io_lock(struct io *io, const char *path, struct io_file **out);
/* The same for somebody who only reads: others may do so as well, and nothing is written.
 * KIWI_NOT_FOUND: there is no such file, so nobody has ever taken it. */
MUST_USE enum kiwi_status io_lock_shared(struct io *io, const char *path, struct io_file **out);

/* Shared mapping of the first bytes of a file that is at least that long; survives the death of the
 * process, not of the system. Where the file system has lost a page of it (it was shut down, the
 * file cut short, the medium cannot be read), *is_lost becomes true before the access that met it
 * goes on, in memory that nobody else will ever see; it holds what could still be read, or zeros.
 * is_lost lives as long as the mapping. Sets a handler for SIGBUS (io/mapping.h). */
MUST_USE enum kiwi_status io_map(struct io_file *file, size_t bytes, atomic_bool *is_lost,
                                 uint8_t **out);
void                      io_unmap(struct io_file *file, uint8_t *address, size_t bytes);

/* ---- queues: everything that runs while a shard runs ---- */
enum io_verb {
    IO_READ = 1,
    IO_WRITE,
    IO_WRITE_SYNC, /* done means on stable media (per-write data-sync flag) */
    IO_SYNC,       /* everything written to the file before is on stable media; queued only after
                      the writes it must cover have completed */
    IO_ALLOCATE,   /* as io_file_allocate, bytes given in offset */
    IO_REMOVE,     /* unlinks path */
};

/* Order of the device scheduler: the log first. */
enum io_class {
    IO_CLASS_LOG = 0,
    IO_CLASS_READ,
    IO_CLASS_FLUSH,
    IO_CLASS_COMPACTION,
    IO_CLASS_COUNT,
};

struct io_request { /* lives inside its caller until done was called */
    struct io_file *file;                      /* in; not for IO_REMOVE */
    const char     *path;                      /* in: IO_REMOVE */
    void           *buffer;                    /* in: borrowed until done */
    uint64_t        offset;                    /* in */
    uint32_t        bytes;                     /* in: up to 1 GiB */
    uint8_t         verb;                      /* in: enum io_verb */
    uint8_t         class_of_service;          /* in: enum io_class */
    uint16_t        reserved;
    void          (*done)(struct io_request *request); /* in: called from io_queue_poll only */
    enum kiwi_status status;                   /* out */
    uint32_t        queue_us, device_us;       /* out: waiting for a place; at the device */
    uint64_t        private_words[4];
};

MUST_USE enum kiwi_status io_queue_open(struct io *io, uint32_t depth, struct io_queue **out);
void     io_queue_close(struct io_queue *queue); /* NULL is fine; waits for what is in flight */
void     io_queue_add(struct io_queue *queue, struct io_request *request); /* never fails */
/* Submits what was added, reaps what has finished and calls done for each. With nothing finished,
 * waits up to timeout_ns (0: does not wait; UINT64_MAX: until something comes or a wake). Done
 * functions may add requests. Returns how many finished. */
uint32_t io_queue_poll(struct io_queue *queue, uint64_t timeout_ns);
uint32_t io_queue_pending(const struct io_queue *queue); /* added and not yet done */
/* From any thread: the present or next waiting io_queue_poll returns early. Costs a system call
 * only when the poller sleeps. */
void     io_queue_wake(struct io_queue *queue);
/* A descriptor that turns readable on completions and wakes; -1 where the backend has none. */
int      io_queue_descriptor(struct io_queue *queue);

/* ---- registration of buffers, where the host allows it ---- */
/* Tells the queue that [base, base + bytes) will be used for many transfers. Being refused is no
 * error. */
void io_queue_register(struct io_queue *queue, void *base, size_t bytes);

struct io_counters {
    uint64_t reads, writes, syncs, read_bytes, write_bytes;
};
/* Sums over all queues; any thread. */
void io_counters_read(struct io *io, struct io_counters *counters);
