/*
 * wal_harness.h: a log in a directory, fed with entries that follow from their sequence, so that
 * whatever a replay shows can be checked without keeping a copy.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/base/memory.h"
#include "core/wal/wal.h"

struct harness {
    struct io          *io;
    struct wal         *wal;
    char                directory[256];
    bool                owns_directory;
    struct wal_options  options;
    struct wal_position position;       /* replay from here */
    uint64_t            sequence_after; /* replay after this */
    uint64_t            value_bytes;    /* values are 0 to this many bytes */
    uint64_t            key_bytes;
    uint64_t            large_every, large_bytes; /* each so-manieth value has exactly this size */
    struct wal_group   *out[WAL_GROUPS_IN_FLIGHT];
    /* of the last replay */
    struct wal_recovery recovery;
    uint64_t            replayed_last;
    uint64_t            replayed_count; /* entries */
    uint64_t            batch_count;
    uint64_t            mismatch;       /* the first sequence that came back wrong; 0: none */
};

/* A ring and a tail in a fresh directory on the posix backend. */
void harness_open(struct harness *harness, uint64_t ring_bytes, uint64_t tail_bytes);
/* The same in memory-backed storage where the host has it, for tests that recover very often. */
void harness_open_in_memory(struct harness *harness, uint64_t ring_bytes, uint64_t tail_bytes);
/* The same on a backend of the caller's, in directory. */
void harness_open_on(struct harness *harness, struct io *io, const char *directory,
                     uint64_t ring_bytes, uint64_t tail_bytes);
void harness_close(struct harness *harness); /* removes what it made */

/* Opens the files; recovers as well unless they are new. */
enum kiwi_status harness_reopen(struct harness *harness);
/* As the death of the process would: groups that are out are forgotten. */
void harness_drop(struct harness *harness);

/* The entry that sequence stands for; key and value live until the next call but 63. */
struct entry harness_entry(const struct harness *harness, uint64_t sequence);
enum wal_verdict harness_append(struct harness *harness);                  /* one entry */
enum wal_verdict harness_append_batch(struct harness *harness, uint32_t count, uint32_t part_count);
/* As wal_group_cut, remembered for harness_drop. */
struct wal_group *harness_cut(struct harness *harness);
/* Writes and gives back. */
void harness_group_write(struct harness *harness, struct wal_group *group);
/* Cuts, writes and gives back until nothing is staged. Returns how many groups. */
uint32_t harness_flush(struct harness *harness);
/* Everything on the way so far needs no replay any more. */
void harness_trim(struct harness *harness);

uint64_t harness_random(uint64_t *state);
uint64_t harness_seed(void);
void     harness_flip(const struct harness *harness, const char *name, uint64_t bit);
/* What a power cut may leave of the tail: nothing. */
void     harness_tail_wipe(const struct harness *harness);
/* Both files as they are, and back. */
struct harness_copy { uint8_t *ring, *tail; size_t ring_bytes, tail_bytes; };
struct harness_copy harness_copy_take(const struct harness *harness);
void                harness_copy_restore(const struct harness *harness,
                                         const struct harness_copy *copy);
void                harness_copy_free(struct harness_copy *copy);
void     harness_file_write(const struct harness *harness, const char *name, const void *bytes,
                            size_t count, uint64_t offset);
