/*
 * context.h: what one thread brings to the shards: its own device queue, buffers and mailbox.
 *
 * Owns     its queue, buffers, and the operations it started until they are handed back.
 * Thread   one, except context_post, which any thread may call.
 */
#pragma once

#include "core/base/bytes.h"
#include "io/bell.h"
#include "io/buffers.h"
#include "io/io.h"
#include "kiwi/kiwi.h"

struct shard;
struct context;
struct waiter;

enum task_kind {
    TASK_OP = 1,        /* a struct op_state */
    TASK_PART,          /* a struct durable_part: one of several waits of one operation is over */
    TASK_LOG_WRITE,     /* a struct log_write: its device write has finished */
    TASK_LEAD,          /* a struct lead: please write the next log group */
    TASK_SCAN,          /* a struct scan */
    TASK_VISIBLE,       /* the first completion of an operation that completes twice */
};

/* Anything that travels between contexts and shards. */
struct task {
    struct mail mail;
    uint8_t     kind;
};

enum op_step {
    STEP_START = 0,
    STEP_READ,      /* to its context: read what read->request says */
    STEP_RESUME,    /* to its shard: the block is there */
    STEP_DELAY,     /* to its context: come again at resume_ns */
    STEP_DURABLE,   /* in the shard: waits for its log group */
    STEP_WAIT,      /* a strict read waits for durability */
    STEP_DONE,
};

/* Operations that complete twice. The durable completion waits until the visible one was handed
 * out, so that the application never sees its operation change under its hands. */
enum visible_stage {
    VISIBLE_NOT = 0,
    VISIBLE_SENT,         /* by another thread: in the mailbox */
    VISIBLE_SENT_LATE,    /* durable already, the visible completion still in the mailbox */
    VISIBLE_READY,        /* in the list of finished operations */
    VISIBLE_HANDED_OUT,
    VISIBLE_OVERTAKEN,    /* durable already, the visible completion still in the list */
};

struct waiter_slot { uint64_t words[5]; }; /* a struct waiter (shard.h), sized there */

/* The engine's part of a kiwi_op, over kiwi_op.private_words. */
struct op_state {
    struct task        task;
    struct context    *context;
    uint64_t           hash;
    struct read       *read;
    void              *buffer;        /* of context->buffers, while a block is read */
    struct waiter_slot waiter;
    struct kiwi_op    *next;          /* lists of its context */
    struct task        visible_task;
    uint64_t           resume_ns;
    uint64_t           start_ns;      /* of a get; of the first delay of a write */
    char              *failure_text;  /* of the thread that met the failure; NULL: none */
    uint32_t           buffer_bytes;
    uint32_t           parts_left;    /* operations that wait in several places */
    uint8_t            step;
    uint8_t            durability;
    uint8_t            is_blocking;   /* finished is told by is_done, not by the list */
    uint8_t            is_done;
    uint8_t            visible_stage; /* enum visible_stage */
    uint8_t            strict_status; /* of a read that waits until what it found is durable */
    uint8_t            is_paid;       /* its admission delay is behind it */
    uint8_t            status;        /* result, until the operation arrives at its context */
};

static_assert(sizeof(struct op_state) <= sizeof(((struct kiwi_op *)0)->private_words),
              "the engine's part fits the operation");

static inline struct op_state *op_state(struct kiwi_op *op)
{
    return (struct op_state *)(void *)op->private_words;
}

static inline const struct op_state *op_state_const(const struct kiwi_op *op)
{
    return (const struct op_state *)(const void *)op->private_words;
}

static inline struct kiwi_op *op_of_state(struct op_state *state)
{
    return (struct kiwi_op *)(void *)((char *)state - offsetof(struct kiwi_op, private_words));
}

/* One of several things an operation waits for. Freed by its context. */
struct durable_part {
    struct task      task;
    struct kiwi_op  *op;
    enum kiwi_status status;
    char            *failure_text;
    struct waiter_slot waiter;
};

/* ---- one shard's part of an iterator (scan.c) ---- */
#define SCAN_BLOCK_MAX 160u
#define SCAN_USED_MAX  64u

/* A range of a table's file that a fill has read. */
struct scan_block {
    struct table     *table;
    void             *buffer;
    struct io_request request;
    struct scan      *scan;
};

struct scan_row {
    uint32_t offset;                 /* in scan.bytes, of the key; the value is behind it */
    uint32_t key_bytes, value_bytes;
};

struct scan_sources;

struct scan {
    struct task      task;
    struct shard    *shard;
    struct context  *context;
    struct kiwi_op  *op;             /* that waits for it; NULL when no fill runs */
    uint64_t         sequence;       /* what it may see */
    bool             is_backward;
    bool             is_inclusive;   /* the position itself may be shown */
    bool             from_edge;      /* no position: from the first or last key */
    bool             counts_seek;    /* statistics: one scan begins with this fill */
    bool             no_fill;        /* leaves the caches as they are */
    bool             at_end;         /* nothing beyond the last row of this chunk */
    struct kiwi_buffer position;     /* key to go on from */
    struct bytes     lower, upper;   /* borrowed from the iterator; data NULL: none */
    uint32_t         row_limit;      /* of the next fill */
    uint32_t         byte_limit;
    enum kiwi_status status;
    char            *failure_text;   /* when another thread met the failure */
    /* the chunk */
    struct scan_row *rows;
    uint32_t         row_count, row_capacity, row_index;
    uint32_t         rows_before;    /* the iterator's: in the chunks before, since its last seek */
    uint64_t         row_head;       /* the iterator's: of the key at row_index */
    uint8_t         *bytes;
    uint32_t         bytes_used, bytes_capacity;
    /* while it waits for blocks */
    struct scan_block *blocks;
    uint32_t         block_count, blocks_missing;
    struct version  *version;        /* held over the wait */
    struct scan_sources *sources;    /* scan.c's cursors, reused */
};

static inline struct bytes scan_row_key(const struct scan *scan, uint32_t row)
{
    return bytes_of(scan->bytes + scan->rows[row].offset, scan->rows[row].key_bytes);
}

struct context {
    struct bell      bell;
    struct mailbox   returned;
    struct io       *io;
    struct io_queue *queue;
    struct buffers  *buffers;        /* made when first needed */
    size_t           buffers_bytes;
    bool             buffers_are_pinned; /* registered with the queue: all of them are memory */
    _Atomic uint64_t *memory_sum;    /* of the database; NULL: nobody counts */
    uint64_t         memory_noted;   /* our part of it */
    struct shard   **shards;         /* all of the database; borrowed */
    uint32_t         shard_count;
    uint64_t         attached_mask;
    uint32_t         depth;
    uint32_t         outstanding;    /* submitted and not handed out */
    struct kiwi_op  *finished, *finished_last; /* to be handed out by poll */
    struct kiwi_op  *delayed, *delayed_last;   /* by resume time */
    bool             is_pollable;    /* it submits and polls: it may lead log groups at any time */
    bool             waits_in_log;   /* its one blocking write is staged: it may lead that group */
    /* groups in its queue: it must not go away before they are done */
    uint32_t         log_writes_out;
    bool             wants_descriptor;
    bool             time_is_virtual; /* it passes only in the queue: sleeps there */
    uint64_t         turn_last_ns;
    uint64_t         background_credit_ns;
    uint32_t         idle_turns;
    void           (*scan_arrived)(struct scan *scan); /* set by core/db */
};

MUST_USE enum kiwi_status context_init(struct context *context, struct io *io,
                                       struct shard **shards, uint32_t shard_count,
                                       uint32_t depth, size_t buffers_bytes);
void context_end(struct context *context); /* nothing outstanding, nothing attached */

/* Hands a task to its context from inside a shard (or from any thread). */
void context_post(struct context *context, struct task *task);
/* The operation has its result; executor is whoever runs inside the shard. */
void op_finish(struct kiwi_op *op, enum kiwi_status status, struct context *executor);
/* The operation's write can be read; it completes again when it is durable. */
void op_show_visible(struct kiwi_op *op, struct context *executor);
/* The operation cannot go on inside: step says what its context must do. */
void op_return(struct kiwi_op *op, enum op_step step, struct context *executor);
void part_finish(struct durable_part *part, enum kiwi_status status, struct context *executor);
/* A copy of this thread's error text for the thread that asked; NULL when status needs none. */
char *failure_text_copy(enum kiwi_status status);
/* On the thread that asked: takes the text over and frees it. NULL is fine. */
void failure_text_take(char **text);

/* The operation was taken from the finished list to be handed out: shows its result. True: for the
 * last time. */
bool context_hand_out(struct context *context, struct kiwi_op *op);

/* One turn: finished device requests, returned tasks, due delays, attached shards. True when
 * something happened. */
bool context_turn(struct context *context);
/* Sleeps until something may have happened, at most timeout_ns. is_soon: it is expected within
 * microseconds, so a thread without device requests stays awake for them first. */
void context_sleep(struct context *context, uint64_t timeout_ns, bool is_soon);
bool  context_has_buffers(struct context *context); /* makes them when first asked */
void  context_memory_note(struct context *context); /* after buffers were taken: counts them */
void *context_buffer_take(struct context *context, size_t bytes);
void  context_buffer_give(struct context *context, void *buffer, size_t bytes);
/* Starts the device reads of a scan that waits, or tells its iterator that the fill is over. */
void scan_handle(struct scan *scan);
void scan_free(struct scan *scan); /* what it owns, not itself */
void get_read_start(struct kiwi_op *op);
