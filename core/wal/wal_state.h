/*
 * wal_state.h: what the files of this room share; nobody else includes it.
 *
 *   number:   oldest .. out and closed groups .. next_number (open, or not yet begun)
 *   slots:    groups [oldest, next_number) stand in slots[number % WAL_SLOT_COUNT]
 *   tail:     low <= groups in slots that are built in the tail <= next <= the open group
 *   ring:     low = min(trimmed, the oldest group not yet durable)
 */
#pragma once

#include "core/wal/ring.h"
#include "core/wal/wal.h"

/* Closed groups that wait for a place in flight, and those out: also bounds how many groups can
 * stand in the ring beyond one that never arrived. */
#define WAL_SLOT_COUNT       16u
#define WAL_LARGE_BYTES      (256u << 10) /* appends above are groups of their own, on the heap */
#define WAL_GROUP_BYTES_MAX  (512u << 10) /* of groups in the tail: about 30 us of checksum */
/* Data leaves this much of the ring free, so that a mark and a seal always find room. */
#define WAL_RESERVE_BYTES    (2ull * WAL_PAGE_BYTES)
#define WAL_TAIL_BYTES_MIN   (64ull << 10)
#define WAL_RING_BYTES_MIN   (64ull << 10)
#define WAL_TRANSFER_BYTES   (1u << 20)

enum slot_state { SLOT_FREE = 0, SLOT_CLOSED, SLOT_OUT, SLOT_DONE };

struct wal_slot {
    struct wal_group group;
    enum slot_state  state;
    bool             has_records;
    uint8_t         *heap;          /* owned; NULL: the group stands in the tail */
    uint64_t         tail_position; /* of its begin, when it stands in the tail */
    uint64_t         position;      /* of its begin, in the ring */
    uint64_t         bytes;         /* of the whole group, a multiple of 4 KiB */
    uint64_t         durable_group; /* the mark it carries */
};

struct wal {
    /* What an append touches. No open group: cursor and limit are NULL. */
    uint8_t                 *cursor; /* end of the last record */
    uint8_t                 *limit;  /* no record may end beyond */
    struct wal_group_header *open;   /* in the tail */
    uint64_t                 open_first_sequence;
    uint64_t                 seed;   /* of this life */
    uint64_t                 appended_sequence;
    atomic_bool              tail_is_lost; /* see io_map */
    struct wal_counters      counters;

    struct wal_group_identity identity;
    uint64_t        log_id;            /* of this life */
    uint64_t        next_number;       /* of the open group */
    uint64_t        oldest;            /* number of the oldest group that is not durable */
    uint64_t        next_out;          /* number of the next group to hand out */
    uint32_t        out_count;
    uint32_t        large_count;       /* heap groups that are not on the device yet */
    uint64_t        previous_checksum; /* of group next_number - 1; 0: there is none */
    uint64_t        open_tail_position;
    uint64_t        recovered_sequence; /* appended_sequence when this life began */
    uint64_t        durable_sequence;
    uint64_t        cut_sequence;      /* of the last record in a closed group */
    uint64_t        data_group;        /* the last durable group that has records */
    uint64_t        mark_group;        /* the highest mark that is on stable media */
    uint64_t        trimmed;           /* ring position given by wal_trim */
    uint64_t        trimmed_group;
    struct ring     ring, tail;
    struct wal_slot slots[WAL_SLOT_COUNT];

    enum kiwi_status status;           /* not KIWI_OK: stopped for good */
    bool             is_new;           /* created by this open, nothing to recover */
    bool             is_ready;         /* appends may come */
    bool             life_is_damaged;  /* one life slot did not verify */
    bool             is_read_only;     /* tail_address is a copy on the heap */
    uint8_t         *tail_address;
    uint8_t         *spare;            /* for the next large append, taken by wal_room */
    uint64_t         spare_bytes;
    struct io_file  *ring_file, *tail_file;
    struct io       *io;
    struct database_id database;
    uint32_t           shard;
};

static inline uint64_t wal_ring_offset(const struct wal *wal, uint64_t position)
{
    return WAL_HEADER_BYTES + position % wal->ring.bytes;
}

/* The largest group: then an empty ring takes it wherever the last one ended. */
static inline uint64_t wal_group_bytes_limit(const struct wal *wal)
{
    return wal->ring.bytes / 2 - WAL_RESERVE_BYTES;
}

/* ---- create.c ---- */

/* Notes a new life in the header block and on stable media. */
MUST_USE enum kiwi_status wal_life_begin(struct wal *wal, uint64_t log_id);

/* ---- window.c: the ring, read in large pieces ---- */

#define WINDOW_TRANSFER_COUNT 4u

struct window {
    struct wal      *wal;      /* borrowed */
    struct io_queue *queue;    /* owned; NULL until reading goes on beyond the first piece */
    uint8_t         *buffer;   /* owned; aligned for direct I/O */
    uint64_t         capacity; /* bytes */
    uint64_t         begin;    /* file offset of the first byte held */
    uint64_t         bytes;    /* held */
};

void window_open(struct window *window, struct wal *wal);
void window_close(struct window *window);
/* Forgets what it holds: the device is asked again. */
void window_forget(struct window *window);
/* Contiguous bytes of the ring file; *out is good until the next call. */
MUST_USE enum kiwi_status window_get(struct window *window, uint64_t offset, uint64_t bytes,
                                     const uint8_t **out);
/* The closed, verified group at ring offset with a number at or above number_min, or NULL. */
MUST_USE enum kiwi_status window_group(struct window *window, uint64_t offset, uint64_t number_min,
                                       const struct wal_group_header **out);

/* ---- settle.c: what recovery leaves behind ---- */

/* A group that only the tail has, and that must get into the ring. */
struct rescue {
    const struct wal_group_header *header; /* in the tail */
    uint64_t                       position;
    uint32_t                       length;       /* of the records that verified */
    uint32_t                       record_count;
};

/* A group that was found in the ring. */
struct ring_place {
    uint64_t number; /* 0: none */
    uint64_t position;
};

/* What reading found, and where the log goes on. */
struct findings {
    struct ring_place places[2 * WAL_SLOT_COUNT]; /* of the last ones, by number */
    struct ring    ring;              /* low: where reading began; next: behind the last group */
    uint64_t       scan_position;     /* from here on the ring may hold leftovers */
    uint64_t       next_number;       /* of the first group that is not there */
    uint64_t       whole_number;      /* groups below were found closed */
    uint64_t       previous_checksum; /* of the last group; 0: none was found */
    uint64_t       mark_group;        /* the highest verified durable-up-to mark */
    uint64_t       data_group;        /* the last group that has records */
    struct rescue *rescues;           /* owned; in order */
    uint32_t       rescue_count, rescue_capacity;
    uint32_t       leftover_count;    /* groups behind the end, erased */
    bool           last_is_open;      /* the last rescued group was never closed */
    bool           is_sealed;
};

/* Looks at the rest of the ring, decides between torn and damaged, removes leftovers, writes what
 * only the tail had, and begins a new life. */
MUST_USE enum kiwi_status wal_settle(struct wal *wal, struct window *window,
                                     struct findings *findings);
