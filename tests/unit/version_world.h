/*
 * version_world.h: a shard's versions, manifest and table files in a directory, with real tables,
 * and a picture of them as text.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/base/memory.h"
#include "core/table/table_writer.h"
#include "core/version/manifest.h"
#include "io/buffers.h"

struct world {
    struct io             *io;
    char                   directory[200];
    struct database_id     database;
    uint32_t               shard;
    uint64_t               switch_bytes;
    uint64_t               pool_bytes_max;
    struct buffers        *buffers;
    struct version_set    *set;
    struct manifest       *manifest;
    struct manifest_state  state;
    struct table_files    *files;
    struct io_queue       *queue;       /* NULL: edits are written by blocking calls */
    bool                   keeps_pictures;
    char                  *durable;     /* picture after the last edit that was done */
    char                  *pending;     /* picture after the edit that is out, or NULL */
};

/* A fresh directory on the posix backend, in memory where the host has that. */
void world_open(struct world *world);
/* The same on a backend of the caller's. */
void world_open_on(struct world *world, struct io *io, const char *directory);
void world_close(struct world *world); /* removes what it made */

/* Opens what is in the directory; on failure nothing is open. */
MUST_USE enum kiwi_status world_start(struct world *world);
void world_stop(struct world *world);
/* As the death of the process would: no clean end is written. */
void world_drop(struct world *world);

/* Keys of the tests: text of n, so that they sort as numbers. */
struct bytes world_key(uint32_t n);
/* A table with the keys first to last, written and synced. Not yet in any version. */
MUST_USE enum kiwi_status world_table(struct world *world, struct bytes first, struct bytes last,
                                      struct table **out);
/* Gives back a table that no version took, or that is obsolete. */
void world_table_drop(struct world *world, struct table *table);
/* Applies, writes, and recycles what became obsolete. */
MUST_USE enum kiwi_status world_edit(struct world *world, const struct version_edit *edit);
/* One table to one place. */
MUST_USE enum kiwi_status world_add(struct world *world, uint32_t first, uint32_t last,
                                    uint32_t level, uint64_t run_id);
MUST_USE enum kiwi_status world_write(struct world *world, struct manifest_write *write);
/* One random legal edit: adds, extends a run, narrows, moves or removes. */
MUST_USE enum kiwi_status world_random_edit(struct world *world, uint64_t *chance);
void world_recycle(struct world *world);

/* Everything that must survive a reopening, as text; free with memory_free. */
char *world_picture(const struct world *world);
/* Starts, or fails the test. */
void world_started(struct world *world);
/* Starts, compares, stops. */
void world_opens_as(struct world *world, const char *picture);
/* Does not start, and the text names word. */
void world_opens_corrupt(struct world *world, const char *word);
/* world_open, some switches of the manifest and some more edits, stopped cleanly. Returns the
 * picture; copy: the manifest's files. */
struct world_copy;
char *world_history(struct world *world, struct world_copy *copy);
/* Finds the smallest and the largest key of every table, all blocks on the way verified. */
MUST_USE enum kiwi_status world_tables_check(const struct world *world);

/* ---- files, byte by byte ---- */
struct world_file {
    char     name[32];
    uint8_t *bytes;
    size_t   size;
};
struct world_copy {
    struct world_file files[600];
    uint32_t          count;
};
/* All files whose name starts with prefix. */
void world_copy_take(const struct world *world, const char *prefix, struct world_copy *copy);
/* Makes the directory hold exactly these of that prefix. */
void world_copy_restore(const struct world *world, const char *prefix,
                        const struct world_copy *copy);
void world_copy_free(struct world_copy *copy);
void world_remove(const struct world *world, const char *name);
bool world_has(const struct world *world, const char *name);
/* Plain files without alignment, on the posix backend only. */
void world_file_write(const struct world *world, const char *name, const void *bytes, size_t size,
                      uint64_t offset);

uint64_t world_seed(void);
uint32_t world_random(uint64_t *chance, uint32_t bound);
