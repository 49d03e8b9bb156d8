/*
 * simulated_machine.h: the machine around the simulated disk: clock, faults, stop, handles. Private
 * to io/.
 */
#pragma once

#include "io/queue.h"
#include "io/simulated.h"
#include "io/simulated_disk.h"

enum operation_kind { /* a bit each: a synced write is both a write and a sync */
    OPERATION_READ = 1,
    OPERATION_WRITE = 2,
    OPERATION_SYNC = 4,
    OPERATION_NAME = 8,
};

#define WALL_CLOCK_NS (1700000000ull * 1000000000)

struct delay { /* of a stuck request */
    uint64_t ns;
    uint64_t events; /* polls and completions of the machine */
};

struct simulated_file {
    struct io_file         base;
    struct simulated_file *next;
    struct disk_file      *file; /* NULL after a crash or kill */
    char                  *directory; /* of IO_DIRECTORY: its path; file is NULL */
    uint64_t               life;
};

struct simulation {
    struct io                 base;
    struct simulation_options options;
    struct disk               disk;
    struct simulated_file    *files;
    struct chance             chance_io, chance_faults, chance_crash;
    uint64_t                  now_ns, jumped_ns;
    uint64_t                  wall_ns;     /* what the wall clock is ahead of the other */
    uint64_t                  event_count; /* polls and completions */
    uint64_t                  life; /* raised by crash and kill; older handles are dead */
    uint64_t                  operation_count;
    uint64_t                  stop_at, fail_at;
    enum kiwi_status          fail_status;
    unsigned                  fail_kinds; /* of the operation that failed, when sticky */
    bool                      fail_is_sticky, is_stopped;
    uint64_t                  stick_at;
    uint64_t                  counts[SIMULATED_FAULT_COUNT];
    void                    (*lie_told)(void *context, const struct simulated_lie *lie);
    void                     *lie_context;
    bool                      is_last_breath; /* the operation that met the stop: may have begun */
};

static inline struct simulation *simulation_of(struct io *io)
{
    return (struct simulation *)(void *)io;
}

static inline struct simulated_file *simulated_file_of(struct io_file *file)
{
    return (struct simulated_file *)(void *)file;
}

/* Counts an operation of the device. 0, or the error that it meets. */
int simulation_step(struct simulation *simulation, unsigned kinds);
/* The time that an operation takes, drawn from the seed. */
uint64_t simulation_latency_ns(struct simulation *simulation, unsigned kinds, uint64_t bytes);
/* How long the next request is stuck; zeros: it is not. */
struct delay simulation_delay(struct simulation *simulation);
/* The clock goes on, and sometimes jumps. */
void simulation_tick(struct simulation *simulation, uint64_t ns);
/* 0, or FAILURE_STOPPED when the machine or the handle is dead. */
int simulation_check(const struct simulation *simulation, const struct io_file *file);

/* Transfers without latency and counting, with the silent faults and what failure leaves behind.
 * error: what simulation_step said. */
int simulated_write(struct simulation *simulation, struct simulated_file *file, const void *data,
                    uint64_t bytes, uint64_t offset, int error);
int simulated_read(struct simulation *simulation, struct simulated_file *file, void *buffer,
                   uint64_t bytes, uint64_t offset, int error);
int simulated_sync(struct simulation *simulation, struct simulated_file *file, uint64_t number,
                   int error);
int simulated_remove(struct simulation *simulation, const char *path, int error);

enum kiwi_status simulated_queue_open(struct io *io, uint32_t depth, struct io_queue **out);
void     simulated_queue_close(struct io_queue *queue);
uint32_t simulated_queue_poll(struct io_queue *queue, uint64_t timeout_ns);
void     simulated_queue_wake(struct io_queue *queue);
/* The machine ends: what is in flight becomes a change in flight, every request fails. */
void     simulated_queue_end(struct io_queue *queue);
/* What is stuck completes within the usual time. */
void     simulated_queue_free_stuck(struct io_queue *queue);
void     simulated_queue_free(struct io_queue *queue);
/* The next moment at which a request of any queue completes; UINT64_MAX: none. */
uint64_t simulated_next_due_ns(struct simulation *simulation);
