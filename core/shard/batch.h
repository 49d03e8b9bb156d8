/*
 * batch.h: several writes that become visible and durable together.
 *
 * Owns     copies of keys and values, in the order given.
 * Thread   its maker's; while it is being written, the engine's.
 * Across   shards: all participants' tokens are held (taken in shard order, so no deadlock) while
 *          the parts are appended to their logs and memtables, which makes it one cut for every
 *          reader. Each part names all parts by shard and sequence; recovery keeps a part only if
 *          every other shard's recovered sequence reaches its part. A memtable that holds a part is
 *          not published before the other parts are durable, so a part never outlives its siblings.
 */
#pragma once

#include "core/base/entry.h"
#include "kiwi/kiwi.h"

struct batch_item {
    uint64_t offset;        /* of key, then value, in bytes */
    uint32_t key_bytes;
    uint32_t value_bytes;
    uint64_t hash;
    uint32_t shard;
    uint8_t  kind;          /* enum entry_kind */
};

struct kiwi_batch {
    struct batch_item *items;
    uint32_t           count, capacity;
    uint8_t           *bytes;
    uint64_t           bytes_used, bytes_capacity;
    bool               is_being_written;
};

/* Runs a KIWI_WRITE on the thread of its context: in one shard, or across several. op.shard is
 * UINT32_MAX until done. */
void batch_run(struct kiwi_op *op);
