/*
 * engine.h: the small interface behind which every measured engine stands.
 *
 * Requests are struct kiwi_op, so that ours pays no translation; another engine reads verb, key,
 * value and buffer from it and fills status and value_bytes.
 * Thread   an engine: any; a client: the thread that opened it. In attached mode the client's
 *          thread drives shards, so it must poll or idle until it is closed.
 * Models   attached, managed: submit and poll, up to depth requests outstanding. Blocking:
 *          execute. An engine that cannot do one of them leaves the entry NULL.
 * Deletes  of what is not there are KIWI_OK.
 */
#pragma once

#include "core/base/base.h"
#include "kiwi/kiwi.h"

enum client_model { CLIENT_ATTACHED = 0, CLIENT_MANAGED, CLIENT_BLOCKING };

struct engine;
struct engine_client;

struct engine_options {
    const char          *directory;     /* borrowed for the call */
    uint64_t             memory_bytes;
    uint32_t             shard_count;   /* 0: the engine's own choice */
    uint32_t             thread_count;  /* clients that will be opened */
    uint32_t             depth;
    enum client_model    model;
    /* Of writes that say KIWI_DURABILITY_DEFAULT; none will ask for more. */
    enum kiwi_durability durability;
    enum kiwi_io_backend io_backend;
    bool                 must_be_new;
    bool                 has_no_statistics; /* of the engine, as far as they can be off */
    uint64_t             scan_rows;     /* rows of a middling scan */
    uint64_t             data_bytes;    /* keys and values there will be, about */
};

/* One row of a scan; false ends the scan. */
typedef bool (*engine_visit)(void *context, struct kiwi_slice key, struct kiwi_slice value);

struct engine_class {
    const char *name;
    const char *note;          /* what a reader of results must know; "" when nothing */
    bool        keeps_data;    /* false: reads cannot be verified */
    bool        has_no_submit; /* blocking clients only: submit and poll are NULL */

    enum kiwi_status (*open)(const struct engine_options *options, struct engine **out);
    enum kiwi_status (*close)(struct engine *engine);
    enum kiwi_status (*client_open)(struct engine *engine, uint32_t index,
                                    struct engine_client **out);
    void (*client_close)(struct engine_client *client); /* NULL is fine */

    /* Completion form. */
    enum kiwi_status (*submit)(struct engine_client *client, struct kiwi_op **ops, size_t count);
    size_t (*poll)(struct engine_client *client, struct kiwi_op **done, size_t max,
                   uint64_t timeout_ns);
    /* Nothing is outstanding: lets the client do what it must for others, for about timeout_ns.
     * False: there is nothing to do, the caller may sleep. */
    bool (*idle)(struct engine_client *client, uint64_t timeout_ns);

    /* Blocking form. After a get, op->buffer points to the value, borrowed until the next call. */
    void (*execute)(struct engine_client *client, struct kiwi_op *op);

    /* A scan in two parts: prepare makes op a request that finds the first row, and after it
     * completed, rows visits up to max rows. slot: below depth, one scan each. */
    enum kiwi_status (*scan_prepare)(struct engine_client *client, uint32_t slot,
                                     struct kiwi_op *op, uint32_t rows);
    enum kiwi_status (*scan_rows)(struct engine_client *client, struct kiwi_op *op, uint64_t max,
                                  engine_visit visit, void *context);

    /* NULL: the engine keeps no such counters. */
    enum kiwi_status (*stats)(struct engine *engine, struct kiwi_stats *stats);
    enum kiwi_status (*stats_reset)(struct engine *engine);
    /* Which of its shards has the key; NULL: the engine has one place for all. */
    uint32_t (*shard_of)(const struct engine *engine, struct kiwi_slice key);
    /* Bytes of work that are still owed. */
    uint64_t (*debt)(struct engine *engine);
    /* The settings it runs with, one line for people. */
    void (*describe)(const struct engine *engine, char *text, size_t bytes);
};

/* Those whose library was not there when this was configured are not there either. */
extern const struct engine_class engine_kiwi, engine_null, engine_rocksdb,
    engine_rocksdb_pipelined, engine_leveldb, engine_lmdb, engine_wiredtiger;

/* NULL: not in this build. */
const struct engine_class *engine_find(const char *name);
/* KIWI_INVALID with a text for people: why engine_find gave none. */
enum kiwi_status engine_absent(const char *name);
/* All that are in this build; the first is the default. */
const struct engine_class *const *engine_list(size_t *count);
