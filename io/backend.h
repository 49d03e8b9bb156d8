/*
 * backend.h: what a backend gives to io.c, and the structs that all backends share. Private to io/.
 *
 * A backend is one constant struct io_methods. Its io, file and queue structs begin with the ones
 * here, so that io.c can hand them through.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "io/io.h"
#include "io/scheduler.h"

typedef enum kiwi_status io_visit(void *context, const char *name);

struct io_methods {
    const char *name;
    void (*close)(struct io *io);
    uint64_t (*now_ns)(struct io *io);
    uint64_t (*random)(struct io *io);
    uint64_t (*wall_clock_ns)(struct io *io);

    enum kiwi_status (*file_open)(struct io *io, const char *path, unsigned flags,
                                  struct io_file **out);
    void (*file_close)(struct io_file *file);
    enum kiwi_status (*file_size)(struct io_file *file, uint64_t *bytes);
    enum kiwi_status (*file_allocate)(struct io_file *file, uint64_t bytes);
    enum kiwi_status (*file_truncate)(struct io_file *file, uint64_t bytes);
    enum kiwi_status (*file_read)(struct io_file *file, void *buffer, size_t bytes,
                                  uint64_t offset);
    enum kiwi_status (*file_write)(struct io_file *file, const void *buffer, size_t bytes,
                                   uint64_t offset);
    enum kiwi_status (*file_sync)(struct io_file *file);

    enum kiwi_status (*directory_create)(struct io *io, const char *path);
    enum kiwi_status (*directory_sync)(struct io *io, const char *path);
    enum kiwi_status (*directory_list)(struct io *io, const char *path, io_visit *visit,
                                       void *context);
    enum kiwi_status (*rename)(struct io *io, const char *from, const char *to);
    enum kiwi_status (*remove)(struct io *io, const char *path);
    enum kiwi_status (*lock)(struct io *io, const char *path, struct io_file **out);
    enum kiwi_status (*lock_shared)(struct io *io, const char *path, struct io_file **out);
    enum kiwi_status (*map)(struct io_file *file, size_t bytes, atomic_bool *is_lost,
                            uint8_t **out);
    void (*unmap)(struct io_file *file, uint8_t *address, size_t bytes);

    enum kiwi_status (*queue_open)(struct io *io, uint32_t depth, struct io_queue **out);
    void (*queue_close)(struct io_queue *queue);
    uint32_t (*queue_poll)(struct io_queue *queue, uint64_t timeout_ns);
    void (*queue_wake)(struct io_queue *queue);
    int (*queue_descriptor)(struct io_queue *queue);
    void (*queue_register)(struct io_queue *queue, void *base, size_t bytes);
};

/* What was found out after the probe; each bit adds a sentence to the features text. */
enum io_remark {
    IO_REMARK_BUFFERED = 1u << 0,     /* some file system refused direct I/O */
    IO_REMARK_UNREGISTERED = 1u << 1, /* buffers could not be registered */
    IO_REMARK_PLAIN = 1u << 2,        /* a ring could not be made; its queue uses system calls */
    IO_REMARK_ALL = 7u,
};

enum { IO_FEATURES_BYTES = 512 };

struct io_tally { /* written by one thread or under add, read by any */
    _Atomic uint64_t reads, writes, syncs, read_bytes, write_bytes;
};

struct io {
    const struct io_methods *methods;
    struct scheduler_budget  budget;
    struct io_tally          tally; /* blocking calls, and queues that are closed */
    pthread_mutex_t          queues_lock;
    struct io_queue         *queues;
    _Atomic uint32_t         remarks;
    bool                     is_child; /* forked: no rings */
    char features[IO_REMARK_ALL + 1][IO_FEATURES_BYTES]; /* by remarks; constant after open */
};

struct io_file {
    struct io *io;
    char      *path; /* owned */
    unsigned   flags; /* enum io_open_flag as asked for */
    uint32_t   read_unit; /* IO_SECTOR_BYTES to PAGE_BYTES */
};

void io_init(struct io *io, const struct io_methods *methods, const char *features);
void io_end(struct io *io);
void io_remark_set(struct io *io, enum io_remark remark);
/* From any thread. */
void io_tally_add(struct io_tally *tally, enum io_verb verb, uint64_t bytes);

MUST_USE enum kiwi_status posix_open(struct io **out);
MUST_USE enum kiwi_status uring_open(struct io **out);
