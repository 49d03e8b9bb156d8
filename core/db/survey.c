/*
 * survey.c: looks at a database on disk with the eyes of those who will open it: the same readers
 * of identity, manifest, table and log, told not to write.
 *
 *   lock (shared) ─► IDENTITY ─► each shard: manifest ─► tables ─► log ─► files nobody names
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/db/survey.h"

#define PATH_BYTES 4096

struct survey {
    const struct survey_options      *options;
    struct kiwi_verify_report        *report;
    struct kiwi_db                   *db;        /* owned; only what identity.c fills in */
    uint64_t                          all_bytes; /* as far as manifests have told */
    uint32_t                          shard;
    char                              shard_path[PATH_BYTES];
    char                              first[512]; /* text of the first damage */
    /* The table or log that is being looked at. */
    const char                       *file;
    uint64_t                         *file_ids;   /* owned: of the present shard's tables */
    uint32_t                          file_count, file_capacity;
    struct bytes                      above;       /* of the table: keys up to it do not count */
    uint64_t                          sequence_last; /* replayed from the present shard's log */
    bool                              has_content; /* some shard has, so none may be missing */
    enum kiwi_status                  failure;     /* met where only a callback could see it */
};

/* ---- telling ---- */

static void tell(struct survey *survey, const struct kiwi_finding *finding)
{
    bool is_damage = finding->kind == KIWI_FINDING_DAMAGE;

    if (is_damage && survey->report->damage_count == 0)
        snprintf(survey->first, sizeof survey->first, "%s", finding->text);
    survey->report->damage_count += is_damage;
    survey->report->note_count += !is_damage;
    if (survey->options->found != NULL)
        survey->options->found(survey->options->context, finding);
}

static void note(struct survey *survey, uint32_t shard, const char *file, const char *text)
{
    tell(survey, &(struct kiwi_finding){ .kind = KIWI_FINDING_NOTE, .shard = shard,
                                            .file = file, .text = text });
}

/* The last failure, which was about a file as a whole, or names its offset in the text. */
static void damage(struct survey *survey, uint32_t shard, const char *file)
{
    char text[512];

    snprintf(text, sizeof text, "%s", fail_text());
    tell(survey, &(struct kiwi_finding){ .kind = KIWI_FINDING_DAMAGE, .shard = shard,
                                            .file = file, .text = text });
}

static bool progress(void *context, uint64_t bytes)
{
    struct survey *survey = context;

    survey->report->read_bytes += bytes;
    return survey->options->progress == NULL
        || survey->options->progress(survey->options->context,
                                        survey->report->read_bytes, survey->all_bytes);
}

/* What was found on disk, as opposed to what kept us from looking. */
static bool is_damage(enum kiwi_status status)
{
    return status == KIWI_CORRUPT || status == KIWI_IO;
}

/* ---- tables ---- */

static enum kiwi_status file_id_keep(struct survey *survey, uint64_t file_id)
{
    if (survey->file_count == survey->file_capacity) {
        uint32_t  capacity = 2 * survey->file_capacity + 64;
        uint64_t *grown = memory_resize(survey->file_ids, capacity * sizeof *grown);

        if (grown == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory for the names of table files");
        survey->file_ids = grown;
        survey->file_capacity = capacity;
    }
    survey->file_ids[survey->file_count++] = file_id;
    return KIWI_OK;
}

struct kiwi_finding survey_finding(uint32_t shard, const char *file,
                                   const struct table_damage *found)
{
    return (struct kiwi_finding){
        .kind = KIWI_FINDING_DAMAGE,
        .shard = shard,
        .file = file,
        .offset = found->offset,
        .bytes = found->bytes,
        .has_keys = found->has_keys,
        .hides_entries = found->hides_entries,
        .is_open_ended = found->below.data == NULL,
        .from = found->from.data,
        .from_bytes = found->from.size,
        .below = found->below.data,
        .below_bytes = found->below.size,
        .text = found->text,
    };
}

static void table_damaged(void *context, const struct table_damage *found)
{
    struct survey      *survey = context;
    struct kiwi_finding finding = survey_finding(survey->shard, survey->file, found);

    tell(survey, &finding);
}

static void run_begin(struct survey *survey, uint32_t level, uint64_t run_id)
{
    if (survey->options->run != NULL)
        survey->options->run(survey->options->context, survey->shard, level, run_id);
}

/* A table that the manifest names and that cannot even be opened. */
static void table_refused(void *context, uint32_t level, uint64_t run_id,
                          const struct table_info *info, enum kiwi_status status)
{
    struct survey *survey = context;
    char              path[PATH_BYTES + 32], text[512];

    if (!is_damage(status)) {
        survey->failure = status;
        return;
    }
    snprintf(text, sizeof text, "%s", fail_text());
    snprintf(path, sizeof path, "%s/t-%08" PRIx64, survey->shard_path, info->file_id);
    run_begin(survey, level, run_id);
    survey->report->lost_entries += info->entry_count;
    tell(survey, &(struct kiwi_finding){
        .kind = KIWI_FINDING_DAMAGE, .shard = survey->shard, .file = path,
        .has_keys = true, .is_open_ended = true, .hides_entries = true,
        .from = info->smallest.data, .from_bytes = info->smallest.size, .text = text });
    survey->failure = file_id_keep(survey, info->file_id);
}

static enum kiwi_status entry_see(void *context, const struct entry *entry)
{
    struct survey *survey = context;

    /* Up to there the table was merged already, and is read from where that went. */
    if (survey->above.data != NULL && bytes_compare(entry->key, survey->above) <= 0)
        return KIWI_OK;
    return survey->options->entry(survey->options->context, entry);
}

static enum kiwi_status table_look(struct survey *survey, const struct table_place *place)
{
    struct table              *table = place->table;
    struct table_check_options options = { .hash_seed = survey->db->hash_seed,
                                           .damaged = table_damaged, .progress = progress,
                                           .entry = survey->options->entry != NULL ? entry_see
                                                                                   : NULL,
                                           .context = survey };
    struct table_checked       checked;
    enum kiwi_status           status;

    survey->file = io_file_path(table->file);
    survey->above = place->above;
    status = table_check(table, &options, &checked);
    survey->report->table_count++;
    survey->report->table_blocks += checked.blocks;
    survey->report->table_bytes += table->info.file_bytes;
    survey->report->table_entries += checked.entries;
    TRY(status);
    return file_id_keep(survey, table->info.file_id);
}

/* From the oldest run to the newest: what comes later is newer. */
static enum kiwi_status tables_look(struct survey *survey, const struct version *version)
{
    for (uint32_t i = version->level_count; i-- > 0;)
        for (uint32_t k = version->levels[i].run_count; k-- > 0;) {
            const struct run *run = version->levels[i].runs[k];

            run_begin(survey, i, run->id);
            for (uint32_t n = 0; n < run->table_count; n++)
                TRY(table_look(survey, &run->places[n]));
        }
    return KIWI_OK;
}

/* ---- log ---- */

static enum kiwi_status record_see(void *context, const struct wal_replayed *record)
{
    struct survey *survey = context;

    survey->has_content = true;
    survey->sequence_last = record->entries[record->count - 1].sequence;
    return survey->options->record == NULL
               ? KIWI_OK : survey->options->record(survey->options->context, record);
}

static enum kiwi_status log_look(struct survey *survey, const struct manifest_state *state)
{
    struct wal_options options = {
        .io = survey->db->io,
        .directory = survey->shard_path,
        .database = survey->db->database,
        .shard = survey->shard,
        .ring_bytes = 1u << 20, /* those of a log that is there are read from it */
        .tail_bytes = 1u << 20,
        .is_read_only = true,
    };
    struct wal_position position = state->log_position.group != 0
                                 ? state->log_position
                                 : (struct wal_position){ 1, WAL_HEADER_BYTES };
    struct wal_recovery recovery = { 0 };
    struct wal         *wal;
    char                path[PATH_BYTES + 8];
    enum kiwi_status    status;

    snprintf(path, sizeof path, "%s/wal", survey->shard_path);
    run_begin(survey, SURVEY_LOG, UINT64_MAX);
    status = wal_open(&options, &wal);
    if (status == KIWI_OK) {
        status = wal_recover(wal, position, state->flushed_sequence, record_see, survey,
                             &recovery);
        wal_close(wal);
    }
    if (survey->options->shard_end != NULL)
        survey->options->shard_end(survey->options->context, survey->shard,
                                   max_u64(state->flushed_sequence, survey->sequence_last),
                                   status);
    survey->report->log_groups += recovery.group_count;
    survey->report->log_records += recovery.record_count;
    survey->report->tail_records += recovery.tail_record_count;
    if (status == KIWI_OK && !progress(survey, recovery.byte_count))
        return FAIL(KIWI_CLOSED, "the check was stopped");
    if (!is_damage(status))
        return status;
    damage(survey, survey->shard, path);
    return KIWI_OK;
}

/* ---- files that nobody names ---- */

static int id_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static enum kiwi_status shard_name_see(void *context, const char *name)
{
    static const char *const known[] = { "manifest-0", "manifest-1", "wal", "tail", "wal.new",
                                         "manifest-new" };
    struct survey *survey = context;
    char              path[PATH_BYTES + 300], again[32];
    uint64_t          file_id;

    for (uint32_t i = 0; i < ARRAY_COUNT(known); i++)
        if (strcmp(name, known[i]) == 0)
            return KIWI_OK;
    file_id = strncmp(name, "t-", 2) == 0 ? strtoull(name + 2, NULL, 16) : 0;
    snprintf(again, sizeof again, "t-%08" PRIx64, file_id);
    if (file_id != 0 && strcmp(name, again) == 0) {
        survey->report->free_file_count += survey->file_count == 0
            || bsearch(&file_id, survey->file_ids, survey->file_count, sizeof file_id,
                    id_compare) == NULL;
        return KIWI_OK;
    }
    snprintf(path, sizeof path, "%s/%.255s", survey->shard_path, name);
    note(survey, survey->shard, path, "a file that is none of the database's");
    return KIWI_OK;
}

/* ---- a shard ---- */

static enum kiwi_status manifest_look(struct survey *survey, struct version_set *set,
                                      struct manifest_state *state, struct manifest **manifest)
{
    struct manifest_options options = {
        .io = survey->db->io,
        .directory = survey->shard_path,
        .database = survey->db->database,
        .shard = survey->shard,
        .is_read_only = true,
        .table_refused = table_refused,
        .context = survey,
    };
    enum kiwi_status status;

    survey->failure = KIWI_OK;
    status = manifest_open(&options, set, manifest, state);
    return survey->failure != KIWI_OK ? survey->failure : status;
}

static enum kiwi_status shard_run_look(struct survey *survey, struct version_set *set)
{
    struct manifest_state state = { 0 };
    struct manifest      *manifest = NULL;
    enum kiwi_status      status = manifest_look(survey, set, &state, &manifest);

    if (is_damage(status)) {
        survey->report->unread_shards++;
        damage(survey, survey->shard, survey->shard_path);
        note(survey, survey->shard, survey->shard_path,
             "without its manifest nobody knows which tables count and where the log begins: "
             "neither was read");
        return KIWI_OK;
    }
    if (status == KIWI_NOT_FOUND) /* a shard that was never finished: no table, no edit */
        status = KIWI_OK;
    if (status == KIWI_OK) {
        const struct version *version = version_present(set);

        for (uint32_t i = 0; i < version->level_count; i++)
            survey->all_bytes += version_level_bytes(version, i);
        survey->has_content |= version->level_count > 0 || state.flushed_sequence > 0;
        status = tables_look(survey, version);
    }
    if (status == KIWI_OK)
        status = log_look(survey, &state);
    if (status == KIWI_OK) {
        if (survey->file_count > 0)
            qsort(survey->file_ids, survey->file_count, sizeof *survey->file_ids,
                  id_compare);
        status = io_directory_list(survey->db->io, survey->shard_path, shard_name_see,
                                   survey);
    }
    manifest_close(manifest);
    return status;
}

static enum kiwi_status shard_look(struct survey *survey)
{
    struct version_set *set;
    enum kiwi_status    status;

    survey->file_count = 0;
    survey->sequence_last = 0;
    TRY(version_set_open(&set));
    status = shard_run_look(survey, set);
    version_set_close(set);
    return status;
}

/* ---- the database ---- */

struct root {
    struct survey *survey;
    bool              has_shard[KIWI_SHARD_COUNT_MAX];
};

static enum kiwi_status root_name_see(void *context, const char *name)
{
    static const char *const known[] = { "IDENTITY", "LOCK", "config.json" };
    struct root      *root = context;
    struct survey *survey = root->survey;
    char              path[PATH_BYTES + 300], again[32];
    unsigned long     shard;

    for (uint32_t i = 0; i < ARRAY_COUNT(known); i++)
        if (strcmp(name, known[i]) == 0)
            return KIWI_OK;
    shard = strncmp(name, "shard-", 6) == 0 ? strtoul(name + 6, NULL, 10) : UINT32_MAX;
    snprintf(again, sizeof again, "shard-%02lu", shard);
    if (shard < survey->db->shard_count && strcmp(name, again) == 0) {
        root->has_shard[shard] = true;
        return KIWI_OK;
    }
    snprintf(path, sizeof path, "%s/%.255s", survey->db->directory, name);
    note(survey, KIWI_NO_SHARD, path, "a file that is none of the database's");
    return KIWI_OK;
}

static enum kiwi_status shards_look(struct survey *survey)
{
    struct root root = { .survey = survey };

    TRY(io_directory_list(survey->db->io, survey->db->directory, root_name_see, &root));
    for (uint32_t i = 0; i < survey->db->shard_count; i++) {
        survey->shard = i;
        snprintf(survey->shard_path, sizeof survey->shard_path, "%.4000s/shard-%02u",
                 survey->db->directory, i);
        if (root.has_shard[i])
            TRY(shard_look(survey));
    }
    /* Shards are made one after the other behind IDENTITY: while all are empty one may lack. */
    for (uint32_t i = 0; i < survey->db->shard_count && survey->has_content; i++) {
        char path[PATH_BYTES + 32];

        if (root.has_shard[i])
            continue;
        snprintf(path, sizeof path, "%.4000s/shard-%02u", survey->db->directory, i);
        survey->report->unread_shards++;
        (void)FAIL(KIWI_CORRUPT, "%s is missing, and other shards have data", path);
        damage(survey, i, path);
    }
    return KIWI_OK;
}

static enum kiwi_status database_look(struct survey *survey)
{
    const struct kiwi_options options = { .create = false };
    struct kiwi_db           *db = survey->db;
    char                      path[PATH_BYTES + 16];
    enum kiwi_status          status;

    snprintf(path, sizeof path, "%.4000s/LOCK", db->directory);
    status = io_lock_shared(db->io, path, &db->lock);
    if (status != KIWI_NOT_FOUND)
        TRY(status);
    snprintf(path, sizeof path, "%.4000s/IDENTITY", db->directory);
    status = identity_open(db, &options);
    if (status == KIWI_NOT_FOUND && is_damage(identity_absence_check(db, path)))
        status = KIWI_CORRUPT;
    else if (status == KIWI_NOT_FOUND)
        return FAIL(status, "%s is not a kiwi database: it has no IDENTITY", db->directory);
    if (is_damage(status)) {
        damage(survey, KIWI_NO_SHARD, path);
        return KIWI_OK;
    }
    TRY(status);
    survey->report->shard_count = db->shard_count;
    return shards_look(survey);
}

static enum kiwi_status db_prepare(struct kiwi_db *db, const char *directory,
                                   const struct survey_options *options)
{
    size_t bytes = strlen(directory) + 1;

    if (bytes <= 1 || bytes > 4000)
        return FAIL(KIWI_INVALID, "the directory name has %zu bytes; it must have 1 to 3999",
                    bytes - 1);
    db->directory = memory_allocate(bytes);
    if (db->directory == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to survey a database");
    memcpy(db->directory, directory, bytes);
    db->io = options->io;
    if (db->io != NULL)
        return KIWI_OK;
    TRY(io_open(options->io_backend == KIWI_IO_POSIX ? IO_BACKEND_POSIX : IO_BACKEND_URING,
                &db->io));
    db->owns_io = true;
    return KIWI_OK;
}

enum kiwi_status survey_run(const char *directory, const struct survey_options *options,
                            struct kiwi_verify_report *report, struct survey_identity *identity)
{
    struct survey *survey = memory_allocate_zeroed(sizeof *survey);
    struct kiwi_db   *db = memory_allocate_zeroed(sizeof *db);
    enum kiwi_status  status = KIWI_OK;

    memset(report, 0, sizeof *report);
    if (survey == NULL || db == NULL) {
        status = FAIL(KIWI_NO_MEMORY, "no memory to survey a database");
        goto done;
    }
    *survey = (struct survey){ .options = options, .report = report, .db = db };
    if ((status = db_prepare(db, directory, options)) != KIWI_OK)
        goto done;
    status = database_look(survey);
    *identity = (struct survey_identity){ db->hash_seed, db->shard_count };
    if (status == KIWI_OK && report->damage_count > 0)
        status = FAIL(KIWI_CORRUPT, "%s", survey->first);
done:
    if (db != NULL) {
        io_file_close(db->lock);
        if (db->owns_io)
            io_close(db->io);
        memory_free(db->directory);
    }
    if (survey != NULL)
        memory_free(survey->file_ids);
    memory_free(survey);
    memory_free(db);
    return status;
}
