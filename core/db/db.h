/*
 * db.h: what the files of this room share: one open database.
 */
#pragma once

#include "core/shard/batch.h"
#include "core/shard/shard.h"
#include "io/thread.h"
#include "kiwi/kiwi.h"

struct engine_thread {
    struct kiwi_context *context;
    struct thread       *thread;
    struct kiwi_db      *db;
    uint32_t             shard;
    _Atomic uint32_t     must_stop;
};

struct kiwi_db {
    struct io          *io;
    bool                owns_io;
    struct kiwi_options options;       /* derived */
    char               *directory;
    struct io_file     *lock;
    struct database_id  database;
    uint64_t            hash_seed;
    uint32_t            shard_count;
    bool                is_child;      /* forked: reads only */
    struct shard       *shards[KIWI_SHARD_COUNT_MAX];
    struct engine_thread threads[KIWI_SHARD_COUNT_MAX];
    uint32_t            thread_count;
    _Atomic uint32_t    context_count;
    _Atomic uint64_t    context_bytes; /* device buffers of all contexts */
    struct {
        struct thread   *thread;       /* NULL: not asked for */
        _Atomic uint32_t must_stop;
        _Atomic uint64_t passes, bytes;
        uint64_t         damages;      /* with the text, under the first shard's token */
        char             finding[256]; /* the newest */
    } scrub;
};

struct kiwi_context {
    struct context   engine;  /* first: the shards know only this */
    struct kiwi_db  *db;
    struct kiwi_snapshot *newest; /* of those its iterators hold; NULL: none */
};

static inline struct kiwi_context *context_public(struct context *context)
{
    return container_of(context, struct kiwi_context, engine);
}

/* Top bits of the hash by multiply-shift: no division, any shard count. */
static inline uint32_t route_shard(const struct kiwi_db *db, uint64_t hash)
{
    return (uint32_t)(((hash >> 32) * db->shard_count) >> 32);
}

/* ---- operations.c ---- */
/* Checks and starts one operation; its result is told by is_done (is_blocking) or by the list. */
void operation_start(struct kiwi_context *context, struct kiwi_op *op, bool is_blocking);
/* Polls until the operation is done. */
void operation_wait(struct kiwi_context *context, struct kiwi_op *op);

/* ---- iterator.c ---- */
void iterator_start(struct kiwi_op *op);
void iterator_scan_arrived(struct scan *scan);

/* ---- scrub.c ---- */
MUST_USE enum kiwi_status scrub_start(struct kiwi_db *db);
void scrub_stop(struct kiwi_db *db);
void scrub_stats_add(struct kiwi_db *db, struct kiwi_stats *stats);

/* ---- options.c ---- */
/* KIWI_INVALID: too little memory for so many shards. */
MUST_USE enum kiwi_status options_memory_check(const struct kiwi_options *options,
                                               uint32_t shard_count);
void options_derive(struct kiwi_options *options, uint32_t shard_count);

/* ---- identity.c ---- */
/* KIWI_NOT_FOUND with a clear text when the directory holds no database. */
MUST_USE enum kiwi_status identity_exists(struct kiwi_db *db);
/* KIWI_INVALID: the directory holds no database but other files, which one may not be put among;
 * nothing was written. */
MUST_USE enum kiwi_status identity_place_check(struct kiwi_db *db);
/* Reads or creates the file that says what the directory is. */
MUST_USE enum kiwi_status identity_open(struct kiwi_db *db, const struct kiwi_options *options);
/* IDENTITY, at path, is not there. It is durable before the first shard is made, so shards without
 * it are somebody's data: KIWI_CORRUPT. */
MUST_USE enum kiwi_status identity_absence_check(struct kiwi_db *db, const char *path);
