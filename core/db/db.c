/*
 * db.c: opening and closing a database, its engine threads, contexts and snapshots.
 */
#include "core/db/db.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/memory.h"

/* ---- engine threads ---- */

static void engine_thread_run(void *argument)
{
    struct engine_thread *engine = argument;
    struct context       *context = &engine->context->engine;

    while (atomic_load_explicit(&engine->must_stop, memory_order_acquire) == 0)
        if (!context_turn(context))
            context_sleep(context, KIWI_FOREVER, true);
    /* Only this thread may poll its queue, so whatever is in it ends here. */
    kiwi_detach(engine->context);
    while (io_queue_pending(context->queue) > 0)
        io_queue_poll(context->queue, KIWI_FOREVER);
}

static enum kiwi_status threads_start(struct kiwi_db *db)
{
    for (uint32_t i = 0; i < db->shard_count; i++) {
        struct engine_thread *engine = &db->threads[i];
        char                  name[16];

        engine->db = db;
        engine->shard = i;
        TRY(kiwi_context_open(db, 64, &engine->context));
        db->thread_count = i + 1;
        TRY(kiwi_attach(engine->context, 1ull << i));
        snprintf(name, sizeof name, "kiwi-%u", i);
        TRY(thread_start(engine_thread_run, engine, -1, name, &engine->thread));
    }
    return scrub_start(db);
}

static void threads_stop(struct kiwi_db *db)
{
    scrub_stop(db);
    for (uint32_t i = 0; i < db->thread_count; i++) {
        struct engine_thread *engine = &db->threads[i];

        atomic_store_explicit(&engine->must_stop, 1, memory_order_release);
        if (engine->thread != NULL) {
            bell_call(&engine->context->engine.bell, engine->context->engine.queue);
            thread_join(engine->thread);
        }
    }
    for (uint32_t i = 0; i < db->thread_count; i++)
        kiwi_context_close(db->threads[i].context);
    db->thread_count = 0;
}

/* ---- open and close ---- */

/* A step of opening, done for all shards: by threads that take one shard after the other. */
struct opening {
    struct kiwi_db   *db;
    void            (*step)(struct opening *opening, uint32_t shard);
    _Atomic uint32_t  next;
    struct shard     *shards[KIWI_SHARD_COUNT_MAX];
    enum kiwi_status  statuses[KIWI_SHARD_COUNT_MAX];
    char             *texts[KIWI_SHARD_COUNT_MAX]; /* of failures; NULL: none, or no memory */
};

static void opening_open(struct opening *opening, uint32_t shard)
{
    const struct kiwi_db *db = opening->db;
    char                  path[4096];
    struct shard_options  options = {
        .buffer_bytes = &db->context_bytes,
        .io = db->io,
        .options = db->options,
        .database = db->database,
        .hash_seed = db->hash_seed,
        .directory = path,
        .index = shard,
        .count = db->shard_count,
        .peers = opening->db->shards,
    };

    snprintf(path, sizeof path, "%.4000s/shard-%02u", db->directory, shard);
    opening->statuses[shard] = shard_open(&options, &opening->shards[shard]);
}

static void opening_finish(struct opening *opening, uint32_t shard)
{
    opening->statuses[shard] = shard_open_finish(opening->db->shards[shard]);
}

static void opening_run(void *context)
{
    struct opening *opening = context;
    uint32_t        shard;

    while ((shard = atomic_fetch_add(&opening->next, 1)) < opening->db->shard_count) {
        opening->step(opening, shard);
        if (opening->statuses[shard] != KIWI_OK)
            opening->texts[shard] = failure_text_copy(opening->statuses[shard]);
    }
}

/* On a processor each; the simulated machine has one thread. The first shard's failure is told. */
static enum kiwi_status opening_each(struct opening *opening,
                                     void (*step)(struct opening *opening, uint32_t shard))
{
    const struct kiwi_db *db = opening->db;
    struct thread        *threads[KIWI_SHARD_COUNT_MAX];
    enum kiwi_status      status = KIWI_OK;
    uint32_t              count = 0, wanted = 0;

    opening->step = step;
    atomic_store(&opening->next, 0);
    if (db->owns_io)
        wanted = (uint32_t)min_u64(db->shard_count, thread_cpu_count()) - 1;
    while (count < wanted
           && thread_start(opening_run, opening, -1, "kiwi-open", &threads[count]) == KIWI_OK)
        count++; /* without another thread those that are there do its part */
    opening_run(opening);
    for (uint32_t i = 0; i < count; i++)
        thread_join(threads[i]);
    for (uint32_t i = 0; i < db->shard_count; i++) {
        if (status == KIWI_OK && opening->statuses[i] != KIWI_OK) {
            status = opening->statuses[i];
            failure_text_take(&opening->texts[i]);
        }
        memory_free(opening->texts[i]);
        opening->texts[i] = NULL;
    }
    return status;
}

static enum kiwi_status shards_open(struct kiwi_db *db)
{
    struct opening  *opening = memory_allocate_zeroed(sizeof *opening);
    enum kiwi_status status;

    if (opening == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to open a database");
    opening->db = db;
    status = opening_each(opening, opening_open);
    /* Only now: while one was opening, the others could not be asked. */
    memcpy(db->shards, opening->shards, db->shard_count * sizeof db->shards[0]);
    if (status == KIWI_OK)
        status = opening_each(opening, opening_finish);
    memory_free(opening);
    return status;
}

/* Parts of batches that other shards lost were dropped: makes the verdict final (see recovery.c).
 * */
static enum kiwi_status drops_settle(struct kiwi_db *db)
{
    struct kiwi_context *context;
    enum kiwi_status     status;
    bool                 any = false;

    for (uint32_t i = 0; i < db->shard_count; i++)
        any |= db->shards[i]->dropped_count > 0;
    if (!any)
        return KIWI_OK;
    TRY(kiwi_context_open(db, 16, &context));
    status = kiwi_attach(context, UINT64_MAX >> (64 - db->shard_count));
    if (status == KIWI_OK)
        status = kiwi_flush(context);
    kiwi_detach(context); /* ends all jobs: none of them is writing a manifest any more */
    for (uint32_t i = 0; i < db->shard_count && status == KIWI_OK; i++)
        if (db->shards[i]->dropped_count > 0)
            status = shard_settle(db->shards[i], &context->engine);
    kiwi_context_close(context);
    return status;
}

static void notices_of_opening_tell(struct kiwi_db *db)
{
    for (uint32_t i = 0; i < db->shard_count; i++) {
        struct notices notices;

        if (notices_take(db->shards[i], &notices))
            notices_tell(&db->options, &notices);
    }
}

/* The name of the database's directory lives in its parent. */
static enum kiwi_status parent_sync(struct kiwi_db *db)
{
    char  path[4096];
    char *slash;

    snprintf(path, sizeof path, "%.4000s", db->directory);
    while ((slash = strrchr(path, '/')) != NULL && slash[1] == 0 && slash != path)
        *slash = 0;
    if (slash == NULL)
        snprintf(path, sizeof path, ".");
    else
        slash[slash == path] = 0;
    return io_directory_sync(db->io, path);
}

static enum kiwi_status directory_open(struct kiwi_db *db, const struct kiwi_options *options)
{
    char path[4096];

    if (options->create) {
        TRY(io_directory_create(db->io, db->directory));
        TRY(identity_place_check(db));
    }
    snprintf(path, sizeof path, "%.4000s/LOCK", db->directory);
    if (!options->create)
        TRY(identity_exists(db));
    TRY(io_lock(db->io, path, &db->lock));
    TRY(identity_open(db, options));
    TRY(options_memory_check(options, db->shard_count));
    db->options = *options;
    options_derive(&db->options, db->shard_count);
    TRY(shards_open(db));
    TRY(io_directory_sync(db->io, db->directory));
    return parent_sync(db);
}

static void db_free(struct kiwi_db *db)
{
    for (uint32_t i = 0; i < db->shard_count; i++)
        shard_free(db->shards[i]);
    io_file_close(db->lock);
    if (db->owns_io)
        io_close(db->io);
    memory_free(db->directory);
    memory_free(db);
}

enum kiwi_status kiwi_open(const char *directory, const struct kiwi_options *options,
                           struct kiwi_db **out)
{
    struct kiwi_db  *db;
    enum kiwi_status status;
    size_t           bytes;

    *out = NULL;
    TRY(kiwi_options_check(options));
    if (directory == NULL || directory[0] == 0)
        return FAIL(KIWI_INVALID, "the directory name is empty");
    bytes = strlen(directory) + 1;
    if (bytes > 4000)
        return FAIL(KIWI_INVALID, "the directory name is longer than 3999 bytes");
    db = memory_allocate_zeroed(sizeof *db);
    if (db == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to open a database");
    db->io = options->io;
    db->directory = memory_allocate(bytes);
    if (db->directory == NULL) {
        status = FAIL(KIWI_NO_MEMORY, "no memory to open a database");
        goto fail;
    }
    memcpy(db->directory, directory, bytes);
    if (db->io == NULL) {
        status = io_open(options->io_backend == KIWI_IO_POSIX ? IO_BACKEND_POSIX
                                                              : IO_BACKEND_URING, &db->io);
        if (status != KIWI_OK)
            goto fail;
        db->owns_io = true;
    }
    if ((status = directory_open(db, options)) != KIWI_OK)
        goto fail;
    notices_of_opening_tell(db);
    if ((status = drops_settle(db)) != KIWI_OK)
        goto fail;
    if (options->drive == KIWI_MANAGED && (status = threads_start(db)) != KIWI_OK) {
        threads_stop(db);
        goto fail;
    }
    *out = db;
    return KIWI_OK;
fail:
    db_free(db);
    return status;
}

enum kiwi_status kiwi_close(struct kiwi_db *db)
{
    enum kiwi_status first = KIWI_OK;

    if (db == NULL || db->is_child)
        return KIWI_OK;
    threads_stop(db);
    assert(atomic_load(&db->context_count) == 0);
    for (uint32_t i = 0; i < db->shard_count; i++) {
        enum kiwi_status status = shard_close(db->shards[i]);

        db->shards[i] = NULL;
        if (first == KIWI_OK)
            first = status;
    }
    db_free(db);
    return first;
}

const struct kiwi_options *kiwi_db_options(const struct kiwi_db *db)
{
    return &db->options;
}

uint32_t kiwi_shard_count(const struct kiwi_db *db)
{
    return db->shard_count;
}

uint32_t kiwi_shard_of(const struct kiwi_db *db, struct kiwi_slice key)
{
    return route_shard(db, hash_key(bytes_of(key.data, key.size), db->hash_seed));
}

/* ---- contexts ---- */

enum kiwi_status kiwi_context_open(struct kiwi_db *db, uint32_t depth, struct kiwi_context **out)
{
    struct kiwi_context *context;
    enum kiwi_status     status;
    /* A runner's jobs need this much; two or more of them take a 16th of the memory together. */
    uint64_t share = db->options.memory_bytes / (16 * max_u64(2, db->shard_count));
    size_t   buffers_bytes = (size_t)max_u64(2u << 20, min_u64(share, 64u << 20));

    *out = NULL;
    if (depth == 0 || depth > 4096)
        return FAIL(KIWI_INVALID, "a context's depth is %u; it must be 1 to 4096", depth);
    if (atomic_fetch_add(&db->context_count, 1) >= KIWI_CONTEXT_COUNT_MAX) {
        atomic_fetch_sub(&db->context_count, 1);
        return FAIL(KIWI_BUSY, "more than %u contexts are open", KIWI_CONTEXT_COUNT_MAX);
    }
    context = memory_allocate_aligned(sizeof *context, CACHE_LINE_BYTES);
    if (context == NULL) {
        atomic_fetch_sub(&db->context_count, 1);
        return FAIL(KIWI_NO_MEMORY, "no memory for a context");
    }
    status = context_init(&context->engine, db->io, db->shards, db->shard_count, depth,
                          buffers_bytes);
    if (status != KIWI_OK) {
        memory_free(context);
        atomic_fetch_sub(&db->context_count, 1);
        return status;
    }
    context->engine.memory_sum = &db->context_bytes;
    context->db = db;
    context->newest = NULL;
    context->engine.scan_arrived = iterator_scan_arrived;
    *out = context;
    return KIWI_OK;
}

void kiwi_context_close(struct kiwi_context *context)
{
    struct kiwi_op *done[64];

    if (context == NULL)
        return;
    kiwi_detach(context);
    while (context->engine.outstanding > 0)
        (void)kiwi_poll(context, done, ARRAY_COUNT(done), KIWI_FOREVER);
    /* Whoever posted a result here was inside a shard, and rings the bell after it: once every
     * token was ours, nobody touches this context any more. */
    for (uint32_t i = 0; i < context->db->shard_count; i++) {
        shard_enter(context->db->shards[i]);
        shard_leave(context->db->shards[i], NULL);
    }
    /* A log group may have been handed to us last of all. */
    while (context_turn(&context->engine) || context->engine.log_writes_out > 0)
        if (context->engine.log_writes_out > 0)
            io_queue_poll(context->engine.queue, KIWI_FOREVER);
    atomic_fetch_sub(&context->db->context_count, 1);
    context_end(&context->engine);
    memory_free(context);
}

enum kiwi_status kiwi_attach(struct kiwi_context *context, uint64_t shard_mask)
{
    struct kiwi_db  *db = context->db;
    enum kiwi_status status = KIWI_OK;

    if (db->is_child)
        return FAIL(KIWI_UNSUPPORTED, "a forked child only reads: it cannot attach to shards");
    if (db->shard_count < 64 && shard_mask >> db->shard_count != 0)
        return FAIL(KIWI_INVALID, "shard mask %#" PRIx64 " names shards beyond the %u there are",
                    shard_mask, db->shard_count);
    for (uint32_t i = 0; i < db->shard_count && status == KIWI_OK; i++) {
        struct shard *shard = db->shards[i];

        if ((shard_mask >> i & 1u) == 0 || (context->engine.attached_mask >> i & 1u) != 0)
            continue;
        shard_enter(shard);
        if (shard->runner == NULL) {
            shard->runner = &context->engine;
            context->engine.attached_mask |= 1ull << i;
        } else {
            status = FAIL(KIWI_BUSY, "shard %u has an attached context already%s", i,
                          db->options.drive == KIWI_MANAGED ? " (the database is managed)" : "");
        }
        shard_leave(shard, &context->engine);
    }
    context->engine.turn_last_ns = io_now_ns(db->io);
    context->engine.is_pollable = true;
    return status;
}

void kiwi_detach(struct kiwi_context *context)
{
    struct kiwi_db *db = context->db;

    for (uint32_t i = 0; i < db->shard_count; i++) {
        struct shard *shard = db->shards[i];

        if ((context->engine.attached_mask >> i & 1u) == 0)
            continue;
        background_cancel(shard, &context->engine);
        shard_enter(shard);
        shard->runner = NULL;
        context->engine.attached_mask &= ~(1ull << i);
        shard_leave(shard, &context->engine);
    }
}

int kiwi_context_descriptor(struct kiwi_context *context)
{
    int descriptor = io_queue_descriptor(context->engine.queue);

    context->engine.wants_descriptor = descriptor >= 0;
    if (descriptor >= 0)
        bell_arm(&context->engine.bell, &context->engine.returned, context->engine.queue);
    return descriptor;
}

/* ---- snapshots ---- */

static enum kiwi_status snapshot_cut(struct kiwi_db *db, struct kiwi_snapshot *snapshot)
{
    enum kiwi_status status = KIWI_OK;
    uint32_t         registered = 0;

    /* All tokens at once, in shard order: nothing can happen between the parts of the cut. */
    for (uint32_t i = 0; i < db->shard_count; i++)
        shard_enter(db->shards[i]);
    for (; registered < db->shard_count && status == KIWI_OK; registered++) {
        snapshot->sequences[registered] = db->shards[registered]->sequence;
        status = snapshot_register(db->shards[registered], snapshot->sequences[registered]);
        if (status != KIWI_OK)
            break;
    }
    for (uint32_t i = 0; status != KIWI_OK && i < registered; i++)
        snapshot_unregister(db->shards[i], snapshot->sequences[i]);
    for (uint32_t i = db->shard_count; i-- > 0;)
        shard_leave(db->shards[i], NULL);
    return status;
}

enum kiwi_status kiwi_snapshot_open(struct kiwi_db *db, struct kiwi_snapshot **out)
{
    struct kiwi_snapshot *snapshot;
    enum kiwi_status      status;

    *out = NULL;
    snapshot = memory_allocate(sizeof *snapshot + db->shard_count * sizeof snapshot->sequences[0]);
    if (snapshot == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a snapshot");
    snapshot->db = db;
    snapshot->shard_count = db->shard_count;
    snapshot->iterator_count = 0;
    if ((status = snapshot_cut(db, snapshot)) != KIWI_OK) {
        memory_free(snapshot);
        return status;
    }
    *out = snapshot;
    return KIWI_OK;
}

void kiwi_snapshot_close(struct kiwi_snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    for (uint32_t i = 0; i < snapshot->shard_count; i++) {
        struct shard *shard = snapshot->db->shards[i];

        shard_enter(shard);
        snapshot_unregister(shard, snapshot->sequences[i]);
        shard_leave(shard, NULL);
    }
    memory_free(snapshot);
}

/* ---- statistics ---- */

enum kiwi_status kiwi_stats_read(struct kiwi_db *db, struct kiwi_stats *stats)
{
    struct io_counters device;

    memset(stats, 0, sizeof *stats);
    for (uint32_t i = 0; i < db->shard_count; i++) {
        shard_enter(db->shards[i]);
        shard_stats_add(db->shards[i], stats);
        shard_leave(db->shards[i], NULL);
    }
    io_counters_read(db->io, &device);
    stats->device_reads = device.reads;
    stats->device_writes = device.writes;
    stats->memory_bytes += atomic_load_explicit(&db->context_bytes, memory_order_relaxed);
    scrub_stats_add(db, stats);
    stats->memory_limit_bytes = db->options.memory_bytes;
    stats->shard_count = db->shard_count;
    snprintf(stats->io_backend, sizeof stats->io_backend, "%s", io_backend_name(db->io));
    snprintf(stats->io_features, sizeof stats->io_features, "%s", io_features_text(db->io));
    return KIWI_OK;
}

enum kiwi_status kiwi_stats_reset(struct kiwi_db *db)
{
    for (uint32_t i = 0; i < db->shard_count; i++) {
        shard_enter(db->shards[i]);
        shard_stats_reset(db->shards[i]);
        shard_leave(db->shards[i], NULL);
    }
    return KIWI_OK;
}

void kiwi_buffer_free(struct kiwi_buffer *buffer)
{
    memory_free(buffer->data);
    *buffer = (struct kiwi_buffer){ 0 };
}
