/*
 * table_check.h: reads all of a table and compares it with what its index, its filter, its
 * properties and the manifest say of it.
 *
 * Thread   blocking; any thread, with the table to itself or not.
 * Errors   damage is told and goes on behind it: a block that does not verify hides its own keys
 *          only, a partition of the index those of its blocks.
 */
#pragma once

#include "core/table/table.h"

struct table_damage {
    uint64_t     offset, bytes; /* in the table's file */
    bool         has_keys;      /* it costs keys: */
    bool         hides_entries; /* they cannot be given; else only a get may fail */
    struct bytes from, below;   /* from <= key < below; below.data NULL: to the table's largest */
    const char  *text;          /* file, offset and cause */
};

struct table_check_options {
    uint64_t hash_seed; /* of the database: filters know hashes of keys */
    void   (*damaged)(void *context, const struct table_damage *damage);
    /* Each entry of the blocks that are whole, in order; a failure stops. NULL: nobody asks. */
    enum kiwi_status (*entry)(void *context, const struct entry *entry);
    /* bytes more have been looked at; false: it is to stop. */
    bool   (*progress)(void *context, uint64_t bytes);
    void    *context;
};

struct table_checked { uint64_t blocks, bytes, entries, damages; };

/* KIWI_OK also when damage was told. KIWI_CLOSED: stopped by progress. */
MUST_USE enum kiwi_status table_check(struct table *table,
                                      const struct table_check_options *options,
                                      struct table_checked *out);
