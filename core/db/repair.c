/*
 * repair.c: what can be read of a damaged database goes into a new one.
 *
 * Two surveys of the source. The first finds out what is damaged, and how far each shard's log
 * reads: a part of a batch counts only if the other shards have theirs, as far as that can be told.
 * The second gives the entries, oldest first, and each is simply written: what is written last is
 * the newest. Where an older version shows through because the newer one is lost, the keys of the
 * lost block tell.
 */
#include "core/db/survey.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"

#define MEMORY_BYTES_DEFAULT (64ull << 20)

/* Keys whose newest version may have stood in what is damaged. */
struct lost_range {
    struct lost_range *next;
    uint32_t           shard, level;
    uint64_t           run_id;
    bool               is_open_ended;
    size_t             from_bytes, below_bytes;
    uint8_t            bytes[];  /* from, then below */
};

struct repairing {
    const struct kiwi_repair_options *options;
    struct kiwi_repair_report        *report;
    struct lost_range                *ranges;    /* owned */
    /* The last that counts; UINT64_MAX: what the shard had cannot be told, so parts of batches are
     * kept. */
    uint64_t                          sequences[KIWI_SHARD_COUNT_MAX];
    struct kiwi_db                   *db;        /* the new one; NULL: dry run */
    struct kiwi_context              *context;
    uint32_t                          shard, level; /* where what comes stands */
    uint64_t                          run_id;
    struct kiwi_buffer                last;      /* the key before, of the same run */
    bool                              has_last, is_writing;
    enum kiwi_status                  failure;   /* met where it cannot be returned */
};

/* ---- the first survey ---- */

static void run_begin(void *context, uint32_t shard, uint32_t level, uint64_t run_id)
{
    struct repairing *repairing = context;

    repairing->shard = shard;
    repairing->level = level;
    repairing->run_id = run_id;
    repairing->has_last = false;
}

static void range_add(struct repairing *repairing, const struct kiwi_finding *finding)
{
    struct lost_range *range = memory_allocate(sizeof *range + finding->from_bytes
                                               + finding->below_bytes);

    if (range == NULL) {
        repairing->failure = FAIL(KIWI_NO_MEMORY, "no memory for the keys of damaged blocks");
        return;
    }
    *range = (struct lost_range){ .next = repairing->ranges, .shard = repairing->shard,
                                  .level = repairing->level, .run_id = repairing->run_id,
                                  .is_open_ended = finding->is_open_ended,
                                  .from_bytes = finding->from_bytes,
                                  .below_bytes = finding->below_bytes };
    if (finding->from_bytes > 0)
        memcpy(range->bytes, finding->from, finding->from_bytes);
    if (finding->below_bytes > 0)
        memcpy(range->bytes + finding->from_bytes, finding->below, finding->below_bytes);
    repairing->ranges = range;
}

static void finding_see(void *context, const struct kiwi_finding *finding)
{
    struct repairing *repairing = context;

    if (repairing->is_writing)
        return; /* told by the first survey */
    if (finding->kind == KIWI_FINDING_DAMAGE && finding->hides_entries)
        range_add(repairing, finding);
    if (repairing->options->found != NULL)
        repairing->options->found(repairing->options->context, finding);
}

static void shard_end(void *context, uint32_t shard, uint64_t sequence, enum kiwi_status status)
{
    struct repairing *repairing = context;

    if (repairing->is_writing)
        return;
    repairing->sequences[shard] = status == KIWI_OK ? sequence : UINT64_MAX;
    if (status == KIWI_OK)
        return;
    repairing->report->cut_logs++;
    range_add(repairing, &(struct kiwi_finding){ .is_open_ended = true });
}

static bool progress(void *context, uint64_t done, uint64_t all)
{
    struct repairing *repairing = context;

    if (repairing->failure != KIWI_OK)
        return false;
    if (repairing->options->progress == NULL)
        return true;
    /* Both surveys read everything. */
    return repairing->options->progress(repairing->options->context,
                                        repairing->is_writing ? all + done : done, 2 * all);
}

/* ---- the second ---- */

/* Whether what stands there is newer than what is being read. */
static bool is_newer(const struct lost_range *range, const struct repairing *repairing)
{
    if (range->level == repairing->level)
        return range->run_id > repairing->run_id;
    if (range->level == SURVEY_LOG || repairing->level == SURVEY_LOG)
        return range->level == SURVEY_LOG;
    return range->level < repairing->level;
}

static bool is_unsure(const struct repairing *repairing, struct bytes key)
{
    for (const struct lost_range *range = repairing->ranges; range != NULL; range = range->next) {
        struct bytes from = bytes_of(range->bytes, range->from_bytes);
        struct bytes below = bytes_of(range->bytes + range->from_bytes, range->below_bytes);

        if (range->shard == repairing->shard && is_newer(range, repairing)
            && bytes_compare(key, from) >= 0
            && (range->is_open_ended || bytes_compare(key, below) < 0))
            return true;
    }
    return false;
}

static enum kiwi_status entry_write(struct repairing *repairing, const struct entry *entry)
{
    struct kiwi_slice key = { entry->key.data, entry->key.size };

    repairing->report->written_entries++;
    repairing->report->unsure_entries += is_unsure(repairing, entry->key);
    if (repairing->db == NULL)
        return KIWI_OK;
    if (entry->kind == ENTRY_DELETE)
        return kiwi_delete(repairing->context, key, KIWI_MEMORY);
    return kiwi_put(repairing->context, key,
                    (struct kiwi_slice){ entry->value.data, entry->value.size }, KIWI_MEMORY);
}

/* Of a run's versions of a key the first is the newest; the others count no more. */
static enum kiwi_status entry_see(void *context, const struct entry *entry)
{
    struct repairing   *repairing = context;
    struct kiwi_buffer *last = &repairing->last;

    if (repairing->has_last
        && bytes_equal(bytes_of(last->data, last->size), entry->key))
        return KIWI_OK;
    if (last->capacity < entry->key.size + 1) {
        void *grown = memory_resize(last->data, entry->key.size + 64);

        if (grown == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory for a key of %zu bytes", entry->key.size);
        last->data = grown;
        last->capacity = entry->key.size + 64;
    }
    if (entry->key.size > 0)
        memcpy(last->data, entry->key.data, entry->key.size);
    last->size = entry->key.size;
    repairing->has_last = true;
    return entry_write(repairing, entry);
}

static bool batch_is_whole(const struct repairing *repairing, const struct wal_replayed *record)
{
    for (uint32_t i = 0; i < record->part_count; i++)
        if (record->parts[i].shard != repairing->shard
            && (record->parts[i].shard >= KIWI_SHARD_COUNT_MAX
                || repairing->sequences[record->parts[i].shard] < record->parts[i].sequence))
            return false;
    return true;
}

static enum kiwi_status record_see(void *context, const struct wal_replayed *record)
{
    struct repairing *repairing = context;

    if (!batch_is_whole(repairing, record)) {
        repairing->report->dropped_batches++;
        return KIWI_OK;
    }
    for (uint32_t i = 0; i < record->count; i++)
        TRY(entry_write(repairing, &record->entries[i]));
    return KIWI_OK;
}

/* ---- the new database ---- */

static enum kiwi_status name_see(void *context, const char *name)
{
    (void)context;
    return FAIL(KIWI_INVALID, "there is '%.100s' in it", name);
}

static enum kiwi_status target_check(const char *target, struct io *io)
{
    char             reason[256];
    enum kiwi_status status = io_directory_list(io, target, name_see, NULL);

    if (status == KIWI_OK || status == KIWI_NOT_FOUND)
        return KIWI_OK;
    snprintf(reason, sizeof reason, "%s", fail_text());
    return FAIL(status, "%s must be a new or empty directory: %s", target, reason);
}

static enum kiwi_status target_look(const char *target, const struct kiwi_repair_options *options)
{
    struct io       *io = options->io;
    enum kiwi_status status;

    if (target == NULL || target[0] == 0)
        return FAIL(KIWI_INVALID, "the name of the new directory is empty");
    if (io != NULL)
        return target_check(target, io);
    TRY(io_open(IO_BACKEND_POSIX, &io));
    status = target_check(target, io);
    io_close(io);
    return status;
}

static enum kiwi_status target_open(struct repairing *repairing, const char *target,
                                    uint32_t shard_count)
{
    struct kiwi_options options = kiwi_options_default();

    options.memory_bytes = repairing->options->memory_bytes != 0 ? repairing->options->memory_bytes
                                                                 : MEMORY_BYTES_DEFAULT;
    options.shard_count = shard_count;
    options.drive = KIWI_ATTACHED;
    options.io_backend = repairing->options->io_backend;
    options.io = repairing->options->io;
    options.must_be_new = true;
    TRY(kiwi_open(target, &options, &repairing->db));
    TRY(kiwi_context_open(repairing->db, 64, &repairing->context));
    return kiwi_attach(repairing->context, UINT64_MAX >> (64 - shard_count));
}

static enum kiwi_status keys_count(struct repairing *repairing)
{
    struct kiwi_iterator *iterator;
    enum kiwi_status      status;

    TRY(kiwi_iterator_open(repairing->context, NULL, &iterator));
    for (status = kiwi_iterator_first(iterator); status == KIWI_OK;
         status = kiwi_iterator_next(iterator))
        repairing->report->kept_keys++;
    kiwi_iterator_close(iterator);
    return status == KIWI_NOT_FOUND ? KIWI_OK : status;
}

static enum kiwi_status target_close(struct repairing *repairing, enum kiwi_status status)
{
    enum kiwi_status closed;

    if (repairing->context != NULL) {
        if (status == KIWI_OK)
            status = kiwi_flush(repairing->context);
        if (status == KIWI_OK)
            status = keys_count(repairing);
        kiwi_detach(repairing->context);
        kiwi_context_close(repairing->context);
    }
    closed = kiwi_close(repairing->db);
    return status != KIWI_OK ? status : closed;
}

/* ---- the whole ---- */

static bool is_readable(enum kiwi_status status)
{
    return status == KIWI_OK || status == KIWI_CORRUPT;
}

static enum kiwi_status repair_run(struct repairing *repairing, const char *directory,
                                   const char *target)
{
    const struct kiwi_repair_options *options = repairing->options;
    struct survey_options survey = { .io_backend = options->io_backend, .io = options->io,
                                     .found = finding_see, .progress = progress,
                                     .run = run_begin, .shard_end = shard_end,
                                     .context = repairing };
    struct survey_identity    identity;
    struct kiwi_verify_report again;
    enum kiwi_status          status, first;

    TRY(target_look(target, options));
    first = survey_run(directory, &survey, &repairing->report->source, &identity);
    TRY(repairing->failure);
    if (!is_readable(first))
        return first;
    if (identity.shard_count == 0)
        return FAIL(KIWI_CORRUPT, "without its IDENTITY nothing of %s can be read", directory);
    if (!options->is_dry_run) {
        status = target_open(repairing, target, identity.shard_count);
        if (status != KIWI_OK)
            return target_close(repairing, status);
    }
    survey.entry = entry_see;
    survey.record = record_see;
    repairing->is_writing = true;
    status = survey_run(directory, &survey, &again, &identity);
    status = is_readable(status) ? KIWI_OK : status;
    if (!options->is_dry_run)
        status = target_close(repairing, status);
    TRY(status);
    return first == KIWI_OK ? KIWI_OK
                            : FAIL(KIWI_CORRUPT, "%s has %" PRIu64 " damages", directory,
                                   repairing->report->source.damage_count);
}

enum kiwi_status kiwi_repair(const char *directory, const char *target,
                             const struct kiwi_repair_options *options,
                             struct kiwi_repair_report *report)
{
    struct repairing *repairing = memory_allocate_zeroed(sizeof *repairing);
    enum kiwi_status  status;

    memset(report, 0, sizeof *report);
    if (repairing == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to repair a database");
    *repairing = (struct repairing){ .options = options, .report = report };
    for (uint32_t i = 0; i < KIWI_SHARD_COUNT_MAX; i++)
        repairing->sequences[i] = UINT64_MAX;
    status = repair_run(repairing, directory, target);
    while (repairing->ranges != NULL) {
        struct lost_range *range = repairing->ranges;

        repairing->ranges = range->next;
        memory_free(range);
    }
    memory_free(repairing->last.data);
    memory_free(repairing);
    return status;
}
