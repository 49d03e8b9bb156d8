/*
 * verify.c: looks at a database on disk with the eyes of those who will open it: the same readers
 * of identity, manifest, table and log, told not to write.
 *
 *   lock (shared) ─► IDENTITY ─► each shard: manifest ─► tables ─► log ─► files nobody names
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/db/db.h"
#include "core/table/table_check.h"

#define PATH_BYTES 4096

struct verifying {
    const struct kiwi_verify_options *options;
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
    bool                              has_content; /* some shard has, so none may be missing */
    enum kiwi_status                  failure;     /* met where only a callback could see it */
};

/* ---- telling ---- */

static void tell(struct verifying *verifying, const struct kiwi_finding *finding)
{
    bool is_damage = finding->kind == KIWI_FINDING_DAMAGE;

    if (is_damage && verifying->report->damage_count == 0)
        snprintf(verifying->first, sizeof verifying->first, "%s", finding->text);
    verifying->report->damage_count += is_damage;
    verifying->report->note_count += !is_damage;
    if (verifying->options->found != NULL)
        verifying->options->found(verifying->options->context, finding);
}

static void note(struct verifying *verifying, uint32_t shard, const char *file, const char *text)
{
    tell(verifying, &(struct kiwi_finding){ .kind = KIWI_FINDING_NOTE, .shard = shard,
                                            .file = file, .text = text });
}

/* The last failure, which was about a file as a whole, or names its offset in the text. */
static void damage(struct verifying *verifying, uint32_t shard, const char *file)
{
    char text[512];

    snprintf(text, sizeof text, "%s", fail_text());
    tell(verifying, &(struct kiwi_finding){ .kind = KIWI_FINDING_DAMAGE, .shard = shard,
                                            .file = file, .text = text });
}

static bool progress(void *context, uint64_t bytes)
{
    struct verifying *verifying = context;

    verifying->report->read_bytes += bytes;
    return verifying->options->progress == NULL
        || verifying->options->progress(verifying->options->context,
                                        verifying->report->read_bytes, verifying->all_bytes);
}

/* What was found on disk, as opposed to what kept us from looking. */
static bool is_damage(enum kiwi_status status)
{
    return status == KIWI_CORRUPT || status == KIWI_IO;
}

/* ---- tables ---- */

static enum kiwi_status file_id_keep(struct verifying *verifying, uint64_t file_id)
{
    if (verifying->file_count == verifying->file_capacity) {
        uint32_t  capacity = 2 * verifying->file_capacity + 64;
        uint64_t *grown = memory_resize(verifying->file_ids, capacity * sizeof *grown);

        if (grown == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory for the names of table files");
        verifying->file_ids = grown;
        verifying->file_capacity = capacity;
    }
    verifying->file_ids[verifying->file_count++] = file_id;
    return KIWI_OK;
}

static void table_damaged(void *context, const struct table_damage *found)
{
    struct verifying *verifying = context;

    tell(verifying, &(struct kiwi_finding){
        .kind = KIWI_FINDING_DAMAGE,
        .shard = verifying->shard,
        .file = verifying->file,
        .offset = found->offset,
        .bytes = found->bytes,
        .has_keys = found->has_keys,
        .is_open_ended = found->below.data == NULL,
        .from = found->from.data,
        .from_bytes = found->from.size,
        .below = found->below.data,
        .below_bytes = found->below.size,
        .text = found->text,
    });
}

/* A table that the manifest names and that cannot even be opened. */
static void table_refused(void *context, uint32_t level, const struct table_info *info,
                          enum kiwi_status status)
{
    struct verifying *verifying = context;
    char              path[PATH_BYTES + 32], text[512];

    (void)level;
    if (!is_damage(status)) {
        verifying->failure = status;
        return;
    }
    snprintf(text, sizeof text, "%s", fail_text());
    snprintf(path, sizeof path, "%s/t-%08" PRIx64, verifying->shard_path, info->file_id);
    tell(verifying, &(struct kiwi_finding){
        .kind = KIWI_FINDING_DAMAGE, .shard = verifying->shard, .file = path,
        .has_keys = true, .is_open_ended = true,
        .from = info->smallest.data, .from_bytes = info->smallest.size, .text = text });
    verifying->failure = file_id_keep(verifying, info->file_id);
}

static enum kiwi_status table_look(struct verifying *verifying, struct table *table)
{
    struct table_check_options options = { .hash_seed = verifying->db->hash_seed,
                                           .damaged = table_damaged, .progress = progress,
                                           .context = verifying };
    struct table_checked       checked;
    enum kiwi_status           status;

    verifying->file = io_file_path(table->file);
    status = table_check(table, &options, &checked);
    verifying->report->table_count++;
    verifying->report->table_blocks += checked.blocks;
    verifying->report->table_bytes += table->info.file_bytes;
    verifying->report->table_entries += checked.entries;
    TRY(status);
    return file_id_keep(verifying, table->info.file_id);
}

static enum kiwi_status tables_look(struct verifying *verifying, const struct version *version)
{
    for (uint32_t i = 0; i < version->level_count; i++)
        for (uint32_t k = 0; k < version->levels[i].run_count; k++) {
            const struct run *run = version->levels[i].runs[k];

            for (uint32_t n = 0; n < run->table_count; n++)
                TRY(table_look(verifying, run->places[n].table));
        }
    return KIWI_OK;
}

/* ---- log ---- */

static enum kiwi_status record_see(void *context, const struct wal_replayed *record)
{
    struct verifying *verifying = context;

    (void)record;
    verifying->has_content = true;
    return KIWI_OK;
}

static enum kiwi_status log_look(struct verifying *verifying, const struct manifest_state *state)
{
    struct wal_options options = {
        .io = verifying->db->io,
        .directory = verifying->shard_path,
        .database = verifying->db->database,
        .shard = verifying->shard,
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

    snprintf(path, sizeof path, "%s/wal", verifying->shard_path);
    status = wal_open(&options, &wal);
    if (status == KIWI_OK) {
        status = wal_recover(wal, position, state->flushed_sequence, record_see, verifying,
                             &recovery);
        wal_close(wal);
    }
    verifying->report->log_groups += recovery.group_count;
    verifying->report->log_records += recovery.record_count;
    verifying->report->tail_records += recovery.tail_record_count;
    if (status == KIWI_OK && !progress(verifying, recovery.byte_count))
        return FAIL(KIWI_CLOSED, "the check was stopped");
    if (!is_damage(status))
        return status;
    damage(verifying, verifying->shard, path);
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
    struct verifying *verifying = context;
    char              path[PATH_BYTES + 300], again[32];
    uint64_t          file_id;

    for (uint32_t i = 0; i < ARRAY_COUNT(known); i++)
        if (strcmp(name, known[i]) == 0)
            return KIWI_OK;
    file_id = strncmp(name, "t-", 2) == 0 ? strtoull(name + 2, NULL, 16) : 0;
    snprintf(again, sizeof again, "t-%08" PRIx64, file_id);
    if (file_id != 0 && strcmp(name, again) == 0) {
        verifying->report->free_file_count += verifying->file_count == 0
            || bsearch(&file_id, verifying->file_ids, verifying->file_count, sizeof file_id,
                    id_compare) == NULL;
        return KIWI_OK;
    }
    snprintf(path, sizeof path, "%s/%.255s", verifying->shard_path, name);
    note(verifying, verifying->shard, path, "a file that is none of the database's");
    return KIWI_OK;
}

/* ---- a shard ---- */

static enum kiwi_status manifest_look(struct verifying *verifying, struct version_set *set,
                                      struct manifest_state *state, struct manifest **manifest)
{
    struct manifest_options options = {
        .io = verifying->db->io,
        .directory = verifying->shard_path,
        .database = verifying->db->database,
        .shard = verifying->shard,
        .is_read_only = true,
        .table_refused = table_refused,
        .context = verifying,
    };
    enum kiwi_status status;

    verifying->failure = KIWI_OK;
    status = manifest_open(&options, set, manifest, state);
    return verifying->failure != KIWI_OK ? verifying->failure : status;
}

static enum kiwi_status shard_run_look(struct verifying *verifying, struct version_set *set)
{
    struct manifest_state state = { 0 };
    struct manifest      *manifest = NULL;
    enum kiwi_status      status = manifest_look(verifying, set, &state, &manifest);

    if (is_damage(status)) {
        damage(verifying, verifying->shard, verifying->shard_path);
        note(verifying, verifying->shard, verifying->shard_path,
             "without its manifest nobody knows which tables count and where the log begins: "
             "neither was read");
        return KIWI_OK;
    }
    if (status == KIWI_NOT_FOUND) /* a shard that was never finished: no table, no edit */
        status = KIWI_OK;
    if (status == KIWI_OK) {
        const struct version *version = version_present(set);

        for (uint32_t i = 0; i < version->level_count; i++)
            verifying->all_bytes += version_level_bytes(version, i);
        verifying->has_content |= version->level_count > 0 || state.flushed_sequence > 0;
        status = tables_look(verifying, version);
    }
    if (status == KIWI_OK)
        status = log_look(verifying, &state);
    if (status == KIWI_OK) {
        if (verifying->file_count > 0)
            qsort(verifying->file_ids, verifying->file_count, sizeof *verifying->file_ids,
                  id_compare);
        status = io_directory_list(verifying->db->io, verifying->shard_path, shard_name_see,
                                   verifying);
    }
    manifest_close(manifest);
    return status;
}

static enum kiwi_status shard_look(struct verifying *verifying)
{
    struct version_set *set;
    enum kiwi_status    status;

    verifying->file_count = 0;
    TRY(version_set_open(&set));
    status = shard_run_look(verifying, set);
    version_set_close(set);
    return status;
}

/* ---- the database ---- */

struct root {
    struct verifying *verifying;
    bool              has_shard[KIWI_SHARD_COUNT_MAX];
};

static enum kiwi_status root_name_see(void *context, const char *name)
{
    static const char *const known[] = { "IDENTITY", "LOCK", "config.json" };
    struct root      *root = context;
    struct verifying *verifying = root->verifying;
    char              path[PATH_BYTES + 300], again[32];
    unsigned long     shard;

    for (uint32_t i = 0; i < ARRAY_COUNT(known); i++)
        if (strcmp(name, known[i]) == 0)
            return KIWI_OK;
    shard = strncmp(name, "shard-", 6) == 0 ? strtoul(name + 6, NULL, 10) : UINT32_MAX;
    snprintf(again, sizeof again, "shard-%02lu", shard);
    if (shard < verifying->db->shard_count && strcmp(name, again) == 0) {
        root->has_shard[shard] = true;
        return KIWI_OK;
    }
    snprintf(path, sizeof path, "%s/%.255s", verifying->db->directory, name);
    note(verifying, KIWI_NO_SHARD, path, "a file that is none of the database's");
    return KIWI_OK;
}

static enum kiwi_status shards_look(struct verifying *verifying)
{
    struct root root = { .verifying = verifying };

    TRY(io_directory_list(verifying->db->io, verifying->db->directory, root_name_see, &root));
    for (uint32_t i = 0; i < verifying->db->shard_count; i++) {
        verifying->shard = i;
        snprintf(verifying->shard_path, sizeof verifying->shard_path, "%.4000s/shard-%02u",
                 verifying->db->directory, i);
        if (root.has_shard[i])
            TRY(shard_look(verifying));
    }
    /* Shards are made one after the other behind IDENTITY: while all are empty one may lack. */
    for (uint32_t i = 0; i < verifying->db->shard_count && verifying->has_content; i++) {
        char path[PATH_BYTES + 32];

        if (root.has_shard[i])
            continue;
        snprintf(path, sizeof path, "%.4000s/shard-%02u", verifying->db->directory, i);
        (void)FAIL(KIWI_CORRUPT, "%s is missing, and other shards have data", path);
        damage(verifying, i, path);
    }
    return KIWI_OK;
}

static enum kiwi_status database_look(struct verifying *verifying)
{
    const struct kiwi_options options = { .create = false };
    struct kiwi_db           *db = verifying->db;
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
        damage(verifying, KIWI_NO_SHARD, path);
        return KIWI_OK;
    }
    TRY(status);
    verifying->report->shard_count = db->shard_count;
    return shards_look(verifying);
}

static enum kiwi_status db_prepare(struct kiwi_db *db, const char *directory,
                                   const struct kiwi_verify_options *options)
{
    size_t bytes = strlen(directory) + 1;

    if (bytes <= 1 || bytes > 4000)
        return FAIL(KIWI_INVALID, "the directory name has %zu bytes; it must have 1 to 3999",
                    bytes - 1);
    db->directory = memory_allocate(bytes);
    if (db->directory == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to verify a database");
    memcpy(db->directory, directory, bytes);
    db->io = options->io;
    if (db->io != NULL)
        return KIWI_OK;
    TRY(io_open(options->io_backend == KIWI_IO_POSIX ? IO_BACKEND_POSIX : IO_BACKEND_URING,
                &db->io));
    db->owns_io = true;
    return KIWI_OK;
}

enum kiwi_status kiwi_verify(const char *directory, const struct kiwi_verify_options *options,
                             struct kiwi_verify_report *report)
{
    struct verifying *verifying = memory_allocate_zeroed(sizeof *verifying);
    struct kiwi_db   *db = memory_allocate_zeroed(sizeof *db);
    enum kiwi_status  status = KIWI_OK;

    memset(report, 0, sizeof *report);
    if (verifying == NULL || db == NULL) {
        status = FAIL(KIWI_NO_MEMORY, "no memory to verify a database");
        goto done;
    }
    *verifying = (struct verifying){ .options = options, .report = report, .db = db };
    if ((status = db_prepare(db, directory, options)) != KIWI_OK)
        goto done;
    status = database_look(verifying);
    if (status == KIWI_OK && report->damage_count > 0)
        status = FAIL(KIWI_CORRUPT, "%s", verifying->first);
done:
    if (db != NULL) {
        io_file_close(db->lock);
        if (db->owns_io)
            io_close(db->io);
        memory_free(db->directory);
    }
    if (verifying != NULL)
        memory_free(verifying->file_ids);
    memory_free(verifying);
    memory_free(db);
    return status;
}
