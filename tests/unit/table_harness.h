/*
 * table_harness.h: sorted entries of many shapes, the table made of them, and its bytes.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/base/memory.h"
#include "core/table/table.h"
#include "core/table/table_writer.h"
#include "tests/support/mode.h"

struct random { uint64_t state; };

uint64_t random_next(struct random *random);
uint64_t random_below(struct random *random, uint64_t bound);
uint64_t seed_of_run(void); /* KIWI_SEED or a fixed one; printed */

/* ---- the truth ---- */
struct model {
    struct entry *entries;  /* in entry_compare order */
    size_t        count;
    uint8_t     **blobs;    /* owned: what the entries borrow */
    size_t        blob_count;
    size_t        blob_capacity;
};

enum model_shape {
    MODEL_YCSB,        /* "user" and 19 digits, 100 bytes */
    MODEL_SHORT_KEYS,  /* 0 to 6 bytes of an alphabet of 4, zero and 0xff among them: many ties */
    MODEL_LONG_PREFIX, /* 300 equal bytes, then a counter, then nothing or a tail */
    MODEL_PREFIX,      /* the same with 120 */
    MODEL_ZEROS,       /* a prefix and 8 bytes, most of them zero */
    MODEL_CUT_EDGE,    /* 250 to 262 bytes, about the longest that are cut in blocks */
    MODEL_HUGE_KEYS,   /* up to 65,535 bytes, most of them equal */
    MODEL_VERSIONS,    /* few keys with hundreds of versions each, over several blocks */
    MODEL_BIG_VALUES,  /* 0 bytes to 1 MiB */
    MODEL_MIXED,       /* random keys of 0 to 40 bytes, random values of 0 to 3,000 */
    MODEL_SHAPE_COUNT,
};
extern const char *const model_shape_names[MODEL_SHAPE_COUNT];

void model_open(struct model *model, enum model_shape shape, size_t count, struct random *random);
void model_close(struct model *model);
/* First entry at or after (key, sequence) in entry order; count when none. */
size_t model_seek(const struct model *model, struct bytes key, uint64_t sequence);
/* A key that is there, or near one that is. It borrows from scratch, which has 65,536 + 8 bytes. */
struct bytes model_key_near(const struct model *model, struct random *random, uint8_t *scratch);

/* ---- the table ---- */
struct built {
    struct io         *io;
    struct buffers    *buffers;
    struct table      *table;
    struct database_id database;
    uint8_t           *bytes;   /* owned: the file */
    uint8_t           *checked; /* owned: per page, whether the block that begins there verified */
    uint64_t           size;
    uint64_t           capacity; /* of bytes, while they are being written */
    uint64_t           observed_blocks, observed_bytes;
    char               path[64];
};

struct built_options {
    uint32_t filter_bits;
    uint64_t average_entry_bytes; /* 0: from the model */
    uint64_t table_id;
    uint64_t expected_entries;    /* 0: from the model */
};

#define HARNESS_HASH_SEED 77u

/* Writes the model through a table_writer; the table is the one that the writer made. */
void built_open(struct built *built, const struct model *model,
                const struct built_options *options);
void built_close(struct built *built);
/* The same bytes in a file, opened by table_open. info and bytes as given. */
enum kiwi_status built_reopen(struct built *built, const struct table_info *info,
                              const uint8_t *bytes, uint64_t size, struct database_id database,
                              struct table **out);
/* The bytes of a block; fails the test when they do not verify. */
const uint8_t *built_block(const struct built *built, struct block_ref ref);

bool entry_equal(const struct entry *a, const struct entry *b);
