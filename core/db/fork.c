/*
 * fork.c: a forked child that reads the database as it was, while the parent goes on.
 *
 * All tokens are held across the fork, so the copy of the memory that the child gets is whole. The
 * parent holds every shard's version until kiwi_fork_end: files of tables in it are not reused.
 */
#include "core/db/db.h"

#include "core/base/memory.h"

struct kiwi_fork {
    struct kiwi_db *db;
    struct version *versions[KIWI_SHARD_COUNT_MAX];
};

enum kiwi_status kiwi_fork_prepare(struct kiwi_db *db, struct kiwi_fork **out)
{
    struct kiwi_fork *held;

    *out = NULL;
    if (db->is_child)
        return FAIL(KIWI_UNSUPPORTED, "a forked child only reads: it cannot fork again");
    held = memory_allocate_zeroed(sizeof *held);
    if (held == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to prepare a fork");
    held->db = db;
    /* In shard order, as everybody who takes several tokens. */
    for (uint32_t i = 0; i < db->shard_count; i++) {
        shard_enter(db->shards[i]);
        held->versions[i] = version_hold(db->shards[i]->versions);
    }
    io_fork_prepare(db->io);
    *out = held;
    return KIWI_OK;
}

void kiwi_fork_parent(struct kiwi_fork *held)
{
    struct kiwi_db *db = held->db;

    io_fork_parent(db->io);
    for (uint32_t i = db->shard_count; i-- > 0;)
        shard_leave(db->shards[i], NULL);
}

void kiwi_fork_child(struct kiwi_fork *held)
{
    struct kiwi_db *db = held->db;

    io_fork_child(db->io);
    db->is_child = true;
    atomic_store(&db->context_count, 0);
    for (uint32_t i = 0; i < db->shard_count; i++)
        shard_fork_child(db->shards[i]);
    for (uint32_t i = db->shard_count; i-- > 0;)
        shard_leave(db->shards[i], NULL);
}

void kiwi_fork_end(struct kiwi_fork *held)
{
    if (held == NULL)
        return;
    for (uint32_t i = 0; i < held->db->shard_count; i++) {
        struct shard *shard = held->db->shards[i];

        shard_enter(shard);
        version_release(held->versions[i]);
        shard->wants_runner = true; /* files may be free to be reused */
        background_wake(shard);
        shard_leave(shard, NULL);
    }
    memory_free(held);
}
