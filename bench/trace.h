/*
 * trace.h: operations recorded as they were handed to an engine, and read back to be replayed.
 *
 * Entry    what was asked for, of which record, how large, and when: for an open loop the intended
 *          start, else the submission, in nanoseconds since the measured part began. Keys follow
 *          from record numbers by the workload, whose properties are in the file; values are made
 *          anew by whoever replays.
 * File     numbers are little-endian; offsets in bytes.
 *
 *    header   0 magic "KIWITRCE"   8 version 4   12 clients 4   16 flags 4   20 text bytes 4
 *             24 start, ns since 1970, 8   32 seed 8   40 zeroes 16   56 checksum 8
 *    text     '#' and the workload's name in a line, then the properties, name=value in each
 *    block    0 magic "TBLK"   4 client 4   8 entries 4   12 payload bytes 4
 *             16 time of the first entry 8   24 checksum 8   32 payload
 *    end      0 magic "TEND"   4 zeroes 4   8 entries 8   16 blocks 8   24 last time 8
 *             32 largest value 8   40 zeroes 8   48 checksum 8
 *
 *    entry    byte: operation in bits 0 to 2, bit 3: the same time as the entry before; else
 *             varint: ns since that (of a block's first entry since the block's time);
 *             varint: record;
 *             varint: bytes of the value (update, insert, read-modify-write) or rows (scan)
 *
 *          Checksums are XXH3, seeded with their part's offset: of the header and the text; of a
 *          block's header and payload; of the end. A block is of one client and ascends in time; a
 *          client's blocks are in order, those of several clients mixed.
 * Thread   a writer: each client's notes by that client's thread, all else by the thread that
 *          opened it; blocks are written by a thread of its own, so that noting costs no system
 *          call. A reader is read-only once open; a cursor has one owner.
 */
#pragma once

#include "core/base/base.h"
#include "workloads/workload.h"

#define TRACE_VERSION     1u
#define TRACE_CLIENTS_MAX 1024u

struct trace_entry {
    enum operation operation;
    uint32_t       client;      /* set by a cursor */
    uint64_t       record;
    uint64_t       size;        /* bytes of a value to be written, or rows of a scan; else 0 */
    uint64_t       at_ns;
};

/* What a file says of itself. */
struct trace_about {
    uint32_t    client_count;
    bool        is_intended;     /* times are intended starts, else submissions */
    uint64_t    start_ns;        /* since 1970 */
    uint64_t    seed;
    const char *text;            /* properties; borrowed; not ended by a zero byte */
    size_t      text_bytes;
    /* known at the end */
    uint64_t    operation_count, block_count, last_ns, value_bytes_max;
    uint64_t    counts[OPERATION_COUNT];  /* of a reader */
    uint64_t    digest;          /* of a reader: of clients, operations, records and sizes */
    uint64_t    file_bytes;
};

struct trace_writer;
struct trace_client;

/* Makes the file anew. about: the first five fields. */
MUST_USE enum kiwi_status trace_writer_open(const char *path, const struct trace_about *about,
                                            struct trace_writer **out);
struct trace_client      *trace_writer_client(struct trace_writer *writer, uint32_t client);
/* Times of a client must not descend; a smaller one counts as the one before. */
void                      trace_note(struct trace_client *client, const struct trace_entry *entry);
/* Writes what is left and the end. The first error of all writing: KIWI_FULL, KIWI_IO,
 * KIWI_NO_MEMORY; the file then has no end. NULL is fine. about: what was written; may be NULL.
 * *waits: how often a client had to wait for the disk, which disturbs what is measured. */
MUST_USE enum kiwi_status trace_writer_close(struct trace_writer *writer, struct trace_about *about,
                                             uint64_t *waits);

struct trace;

/* Reads and checks the whole file. KIWI_CORRUPT: it is no trace, of another version, truncated or
 * damaged; the text names file and offset. */
MUST_USE enum kiwi_status trace_open(const char *path, struct trace **out);
void                      trace_close(struct trace *trace);   /* NULL is fine */
const struct trace_about *trace_about(const struct trace *trace);

struct trace_cursor;

/* The entries of every count-th client from index on, merged by time. */
MUST_USE enum kiwi_status trace_cursor_open(const struct trace *trace, uint32_t index,
                                            uint32_t count, struct trace_cursor **out);
void                      trace_cursor_close(struct trace_cursor *cursor); /* NULL is fine */
uint64_t                  trace_cursor_count(const struct trace_cursor *cursor); /* all it has */
/* The next one, which stays the next until taken; NULL: there is none. */
const struct trace_entry *trace_cursor_peek(const struct trace_cursor *cursor);
void                      trace_cursor_take(struct trace_cursor *cursor);

/* When an entry is due, after the start of a replay at speed: 2 is twice as fast. 0, which is as
 * fast as possible: at once. */
uint64_t trace_due_ns(uint64_t at_ns, double speed);

/* --- shared by trace_writer.c and trace_reader.c --- */

#define TRACE_HEADER_BYTES 64u
#define TRACE_BLOCK_BYTES  32u      /* of its header */
#define TRACE_END_BYTES    56u
#define TRACE_BLOCK_MAX    65536u   /* with the header */
#define TRACE_ENTRY_MAX    31u      /* a byte and three varints */
#define TRACE_TEXT_MAX     (1u << 20)
#define TRACE_FLAG_INTENDED 1u
#define TRACE_SAME_TIME    8u
#define TRACE_BLOCK_MAGIC  0x4b4c4254u
#define TRACE_END_MAGIC    0x444e4554u
extern const char trace_magic[8];
