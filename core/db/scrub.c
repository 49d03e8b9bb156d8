/*
 * scrub.c: reads the tables of an open database, so that damage is known before somebody needs what
 * it hides.
 *
 * A shard's tables are taken by ascending id, one at a time: a version is held only while one table
 * is read, so files that compaction is done with wait no longer than that. Tables made meanwhile
 * have higher ids than any at the start and are left for the next time: they were just written.
 */
#include "core/db/db.h"

#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/db/survey.h"
#include "core/table/table_check.h"

#define REST_NS   60000000000u /* between two passes of the engine's own thread */
#define RETRY_NS  1000000000u  /* after a pass that could not be made */
#define BURST_NS  10000000u    /* reading may be ahead of its rate by this much */

struct scrubbing {
    struct kiwi_db                   *db;
    const struct kiwi_scrub_options  *options;
    struct kiwi_scrub_report         *report;
    uint32_t                          shard;
    const char                       *file;
    uint64_t                          due_ns;    /* when what was read so far may have been read */
    _Atomic uint32_t                 *must_stop; /* NULL: nobody stops it this way */
    char                              first[256];
};

/* ---- telling ---- */

static void log_tell(const struct kiwi_db *db, enum kiwi_log_level level, const char *what,
                     const char *text)
{
    char line[640];

    if (db->options.log == NULL)
        return;
    snprintf(line, sizeof line, "%s%s", what, text);
    db->options.log(db->options.log_context, level, line);
}

static void table_damaged(void *context, const struct table_damage *damage)
{
    struct scrubbing   *scrubbing = context;
    struct kiwi_db     *db = scrubbing->db;
    struct kiwi_finding finding = survey_finding(scrubbing->shard, scrubbing->file, damage);

    if (scrubbing->report->damage_count++ == 0)
        snprintf(scrubbing->first, sizeof scrubbing->first, "%s", finding.text);
    shard_enter(db->shards[0]);
    db->scrub.damages++;
    snprintf(db->scrub.finding, sizeof db->scrub.finding, "%s", finding.text);
    shard_leave(db->shards[0], NULL);
    log_tell(db, KIWI_LOG_ERROR, "a scrub has found damage: ", finding.text);
    if (scrubbing->options->found != NULL)
        scrubbing->options->found(scrubbing->options->context, &finding);
}

/* ---- the rate ---- */

static bool is_stopped(const struct scrubbing *scrubbing)
{
    return scrubbing->must_stop != NULL
        && atomic_load_explicit(scrubbing->must_stop, memory_order_acquire) != 0;
}

/* Waits until bytes more may have been read. Woken early it waits less: the next block makes up. */
static void rate_keep(struct scrubbing *scrubbing, uint64_t bytes)
{
    static _Atomic uint32_t nobody;
    uint64_t                rate = scrubbing->options->bytes_per_second;
    uint64_t                now = io_now_ns(scrubbing->db->io);

    if (rate == 0)
        return;
    scrubbing->due_ns = max_u64(scrubbing->due_ns, now - min_u64(now, BURST_NS))
                      + (uint64_t)((double)bytes * 1e9 / (double)rate);
    if (scrubbing->due_ns > now)
        park(scrubbing->must_stop != NULL ? scrubbing->must_stop : &nobody, 0,
             scrubbing->due_ns - now);
}

static bool progress(void *context, uint64_t bytes)
{
    struct scrubbing         *scrubbing = context;
    struct kiwi_scrub_report *report = scrubbing->report;

    report->read_bytes += bytes;
    atomic_fetch_add_explicit(&scrubbing->db->scrub.bytes, bytes, memory_order_relaxed);
    rate_keep(scrubbing, bytes);
    return !is_stopped(scrubbing)
        && (scrubbing->options->progress == NULL
            || scrubbing->options->progress(scrubbing->options->context, report->read_bytes,
                                            report->all_bytes));
}

/* ---- tables ---- */

static struct table *table_after(const struct version *version, uint64_t id)
{
    struct table *next = NULL;

    for (uint32_t i = 0; i < version->level_count; i++)
        for (uint32_t k = 0; k < version->levels[i].run_count; k++) {
            const struct run *run = version->levels[i].runs[k];

            for (uint32_t n = 0; n < run->table_count; n++) {
                struct table *table = run->places[n].table;

                if (table->info.id > id
                    && (next == NULL || table->info.id < next->info.id))
                    next = table;
            }
        }
    return next;
}

static enum kiwi_status table_scrub(struct scrubbing *scrubbing, struct table *table)
{
    struct table_check_options options = { .hash_seed = scrubbing->db->hash_seed,
                                           .damaged = table_damaged, .progress = progress,
                                           .context = scrubbing };
    struct table_checked       checked = { 0 };
    enum kiwi_status           status;

    scrubbing->file = io_file_path(table->file);
    status = table_check(table, &options, &checked);
    scrubbing->report->table_count += status == KIWI_OK;
    scrubbing->report->table_blocks += checked.blocks;
    scrubbing->report->table_entries += checked.entries;
    return status;
}

static uint64_t table_id_last(const struct version *version)
{
    uint64_t      last = 0;
    struct table *table;

    while ((table = table_after(version, last)) != NULL)
        last = table->info.id;
    return last;
}

static enum kiwi_status shard_scrub(struct scrubbing *scrubbing, uint64_t last)
{
    struct shard    *shard = scrubbing->db->shards[scrubbing->shard];
    enum kiwi_status status = KIWI_OK;
    uint64_t         id = 0;

    while (status == KIWI_OK && id < last) {
        struct version *version;
        struct table   *table;

        shard_enter(shard);
        version = version_hold(shard->versions);
        shard_leave(shard, NULL);
        table = table_after(version, id);
        id = table == NULL ? last : table->info.id;
        if (table != NULL && id <= last)
            status = table_scrub(scrubbing, table);
        shard_enter(shard);
        version_release(version);
        shard_leave(shard, NULL);
    }
    return status;
}

static enum kiwi_status scrub_run(struct scrubbing *scrubbing)
{
    struct kiwi_db  *db = scrubbing->db;
    uint64_t         last[KIWI_SHARD_COUNT_MAX];
    enum kiwi_status status = KIWI_OK;

    memset(scrubbing->report, 0, sizeof *scrubbing->report);
    for (uint32_t i = 0; i < db->shard_count; i++) {
        const struct version *version;

        shard_enter(db->shards[i]);
        version = version_present(db->shards[i]->versions);
        last[i] = table_id_last(version);
        for (uint32_t k = 0; k < version->level_count; k++)
            scrubbing->report->all_bytes += version_level_bytes(version, k);
        shard_leave(db->shards[i], NULL);
    }
    for (uint32_t i = 0; i < db->shard_count && status == KIWI_OK; i++) {
        scrubbing->shard = i;
        status = shard_scrub(scrubbing, last[i]);
    }
    if (status == KIWI_OK)
        atomic_fetch_add_explicit(&db->scrub.passes, 1, memory_order_relaxed);
    if (status == KIWI_OK && scrubbing->report->damage_count > 0)
        return FAIL(KIWI_CORRUPT, "%s", scrubbing->first);
    return status;
}

enum kiwi_status kiwi_scrub(struct kiwi_db *db, const struct kiwi_scrub_options *options,
                            struct kiwi_scrub_report *report)
{
    static const struct kiwi_scrub_options plain;
    struct scrubbing scrubbing = { .db = db, .options = options == NULL ? &plain : options,
                                   .report = report };

    if (db->is_child)
        return FAIL(KIWI_UNSUPPORTED, "a forked child only reads: its parent can scrub");
    return scrub_run(&scrubbing);
}

/* ---- the engine's own thread ---- */

static void scrub_thread_run(void *argument)
{
    struct kiwi_db           *db = argument;
    struct kiwi_scrub_options options = {
        .bytes_per_second = db->options.scrub_bytes_per_second };
    struct kiwi_scrub_report  report;
    struct scrubbing          scrubbing = { .db = db, .options = &options, .report = &report,
                                            .must_stop = &db->scrub.must_stop };
    bool                      was_made = true;

    while (!is_stopped(&scrubbing)) {
        /* Findings are in the statistics; a pass that could not be made is tried again. */
        enum kiwi_status status = scrub_run(&scrubbing);
        bool             is_made = status == KIWI_OK || status == KIWI_CORRUPT;

        if (!is_made && was_made && !is_stopped(&scrubbing))
            log_tell(db, KIWI_LOG_WARNING, "a scrub could not be made and is tried again: ",
                     fail_text());
        was_made = is_made;
        park(&db->scrub.must_stop, 0, is_made ? REST_NS : RETRY_NS);
    }
}

enum kiwi_status scrub_start(struct kiwi_db *db)
{
    if (db->options.scrub_bytes_per_second == 0)
        return KIWI_OK;
    return thread_start(scrub_thread_run, db, -1, "kiwi-scrub", &db->scrub.thread);
}

void scrub_stop(struct kiwi_db *db)
{
    atomic_store_explicit(&db->scrub.must_stop, 1, memory_order_release);
    unpark(&db->scrub.must_stop, 1);
    thread_join(db->scrub.thread);
    db->scrub.thread = NULL;
}

void scrub_stats_add(struct kiwi_db *db, struct kiwi_stats *stats)
{
    stats->scrub_passes = atomic_load_explicit(&db->scrub.passes, memory_order_relaxed);
    stats->scrub_bytes = atomic_load_explicit(&db->scrub.bytes, memory_order_relaxed);
    shard_enter(db->shards[0]);
    stats->scrub_damages = db->scrub.damages;
    memcpy(stats->scrub_finding, db->scrub.finding, sizeof stats->scrub_finding);
    shard_leave(db->shards[0], NULL);
}
