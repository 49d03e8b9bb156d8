/*
 * reader.h: a reader of databases written from docs/format.md alone.
 *
 * Every offset, size, magic, seed and kind comes from the document's tables when the test runs; no
 * code of the engine is used, but for XXH3, which is a library's. Any checksum that does not verify
 * and anything else that is not as the document says fails the running test. Reads a directory that
 * nobody has open, clean or left by a death of the process.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/format/document.h"

struct reading_row {
    uint8_t *key, *value; /* owned */
    size_t   key_size, value_size;
    uint64_t sequence;
    bool     is_delete;
};

/* What was met on the way, so that a test can tell that it saw what it wanted to see. */
struct reading_counts {
    uint32_t shards, tables, level_mask, table_rows, table_deletes, log_rows, log_groups;
    uint32_t tail_groups, open_groups, seals, batches, parts, parts_dropped, narrowed, removed;
    uint32_t edits, blocks, key_forms[3], continued_blocks, filter_partitions, index_partitions;
};

struct reading {
    struct reading_row   *rows; /* living ones, by key */
    size_t                count, capacity;
    struct reading_counts counts;
};

void reading_make(struct reading *reading, const struct document *document, const char *directory);
void reading_free(struct reading *reading);
