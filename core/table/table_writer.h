/*
 * table_writer.h: sorted entries in, the bytes of one table file out.
 *
 * Owns     its output chunks (from a struct buffers) until each is written, index and filter under
 *          construction.
 * Thread   the job's; no I/O in here: chunks are handed out, written by the taker, given back.
 */
#pragma once

#include "core/table/table.h"
#include "io/buffers.h"

struct table_writer;

struct table_writer_options {
    struct buffers    *buffers;           /* borrowed: chunks come from it */
    struct database_id database;
    uint64_t           table_id, file_id;
    uint64_t           expected_entries;  /* sizes the filter; may be exceeded */
    uint64_t           average_entry_bytes; /* key + value */
    uint32_t           block_bytes;       /* aimed at, 4 to 32 KiB; 0: by the average entry */
    uint32_t           filter_bits_per_key; /* 0: none */
    uint64_t           hash_seed;         /* of hash_key, for the filter */
    uint32_t           chunk_bytes;       /* about; 0: 256 KiB, less for a small table */
};

struct table_chunk {
    uint8_t *data;   /* 4 KiB aligned */
    uint32_t bytes;  /* multiple of 4 KiB, at most 1 MiB unless one block is larger */
    uint64_t offset; /* in the file; chunks come in order without gaps */
};

MUST_USE enum kiwi_status table_writer_open(const struct table_writer_options *options,
                                            struct table_writer **out);
void table_writer_close(struct table_writer *writer); /* NULL is fine; drops what was not taken */

/* entry_compare order, strictly ascending. hash is hash_key(entry->key). KIWI_NO_MEMORY: no buffer;
 * nothing has changed, so the same entry may be added again later. KIWI_INVALID: out of order. */
MUST_USE enum kiwi_status table_writer_add(struct table_writer *writer, const struct entry *entry,
                                           uint64_t hash);
/* After the last entry: filter, index, properties and footer become chunks. At least one entry. */
MUST_USE enum kiwi_status table_writer_finish(struct table_writer *writer);
/*
 * The same in steps of some tens of microseconds, for callers that must not hold up others: call
 * until *is_done. KIWI_NO_MEMORY changes nothing, here and in table_writer_finish: give chunks
 * back, then call again.
 */
MUST_USE enum kiwi_status table_writer_finish_step(struct table_writer *writer, bool *is_done);
/* The next full chunk (after finish: every chunk), or false. Give each back once it is written. */
bool     table_writer_chunk_take(struct table_writer *writer, struct table_chunk *chunk);
void     table_writer_chunk_give(struct table_writer *writer, const struct table_chunk *chunk);
uint64_t table_writer_bytes(const struct table_writer *writer); /* if finished now, about */
uint64_t table_writer_entry_count(const struct table_writer *writer);
uint64_t table_writer_chunks_waiting(const struct table_writer *writer);
/* After finish: what the manifest will remember, and an open table made of what is in memory (no
 * reads). Every chunk must have been written before the table is used. Takes over file. */
MUST_USE enum kiwi_status table_writer_table(struct table_writer *writer, struct io_file *file,
                                             struct table **out);
/* Called for each data, index and filter block as it is completed (to warm the cache); may be NULL.
 * The bytes are those of the file and valid only during the call. */
void table_writer_observe(struct table_writer *writer,
                          void (*block_done)(void *context, struct block_ref ref,
                                             const uint8_t *block),
                          void *context);
