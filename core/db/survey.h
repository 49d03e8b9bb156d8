/*
 * survey.h: a database that nobody has open, read from end to end; nothing is written.
 *
 * Order    shard by shard; in a shard from the oldest run to the newest, then the log: of two
 *          entries for a key the later one is newer, but in a run the newest version comes first.
 */
#pragma once

#include "core/db/db.h"
#include "core/table/table_check.h"

#define SURVEY_LOG UINT32_MAX /* the level of what only the log has */

struct survey_options {
    enum kiwi_io_backend io_backend;
    struct io           *io;
    /* As in struct kiwi_verify_options. */
    void (*found)(void *context, const struct kiwi_finding *finding);
    bool (*progress)(void *context, uint64_t done_bytes, uint64_t all_bytes);
    /* What follows is in, or found in, this run. NULL each: nobody asks. */
    void (*run)(void *context, uint32_t shard, uint32_t level, uint64_t run_id);
    enum kiwi_status (*entry)(void *context, const struct entry *entry);
    enum kiwi_status (*record)(void *context, const struct wal_replayed *record);
    /* The shard's last sequence that can be read; status: of its log. */
    void (*shard_end)(void *context, uint32_t shard, uint64_t sequence, enum kiwi_status status);
    void  *context;
};

/* What table_check told, for those outside. */
struct kiwi_finding survey_finding(uint32_t shard, const char *file,
                                   const struct table_damage *damage);

struct survey_identity { uint64_t hash_seed; uint32_t shard_count; };

/* Returns as kiwi_verify does. */
MUST_USE enum kiwi_status survey_run(const char *directory, const struct survey_options *options,
                                     struct kiwi_verify_report *report,
                                     struct survey_identity *identity);
