/*
 * manifest.c: opening and creating the two files, and one edit at a time on its way to the disk.
 *
 *   an edit fits           group behind the end of the live file
 *   it does not fit        1 the other file: state and zeros   (nobody reads it yet)
 *                          2 its header                        (both are live: the newer counts)
 *                          3 the old file's header: retired    (the newer cannot vanish unseen)
 */
#include "core/version/manifest_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"

#define SWITCH_BYTES_DEFAULT (1ull << 20)

static const char *const slot_names[MANIFEST_SLOT_COUNT] = { "manifest-0", "manifest-1" };

/* ---- ids ---- */

uint64_t manifest_table_id_take(struct manifest *manifest)
{
    assert(manifest->table_id_next < MANIFEST_ID_MAX);
    return manifest->table_id_next++;
}

uint64_t manifest_run_id_take(struct manifest *manifest)
{
    assert(manifest->run_id_next < MANIFEST_ID_MAX);
    return manifest->run_id_next++;
}

uint64_t manifest_file_id_take(struct manifest *manifest)
{
    assert(manifest->file_id_next < MANIFEST_ID_MAX);
    return manifest->file_id_next++;
}

void manifest_file_id_seen(struct manifest *manifest, uint64_t file_id)
{
    if (file_id < MANIFEST_ID_MAX)
        manifest->file_id_next = max_u64(manifest->file_id_next, file_id + 1);
}

/* ---- one edit ---- */

/* is_last: nothing is given out behind it. */
static struct manifest_scalars scalars_after(const struct manifest *manifest,
                                             const struct version_edit *edit, bool is_last)
{
    struct manifest_scalars scalars = manifest->scalars;

    scalars.flushed_sequence = max_u64(scalars.flushed_sequence, edit->flushed_sequence);
    if (edit->log_position.group > scalars.log_group) {
        scalars.log_group = edit->log_position.group;
        scalars.log_offset = edit->log_position.offset;
    }
    scalars.table_id_next = manifest->table_id_next + (is_last ? 0 : MANIFEST_ID_GAP);
    scalars.run_id_next = manifest->run_id_next + (is_last ? 0 : MANIFEST_ID_GAP);
    scalars.file_id_next = manifest->file_id_next + (is_last ? 0 : MANIFEST_FILE_ID_GAP);
    return scalars;
}

static struct io_request request_of(struct io_file *file, uint8_t *buffer, uint64_t bytes,
                                    uint64_t offset)
{
    assert(bytes % MANIFEST_PAGE_BYTES == 0);
    return (struct io_request){
        .file = file,
        .buffer = buffer,
        .offset = offset,
        .bytes = (uint32_t)bytes,
        .verb = IO_WRITE_SYNC,
        .class_of_service = IO_CLASS_LOG,
    };
}

/* The present version as the next generation in the other file. */
static enum kiwi_status switch_start(struct manifest *manifest, struct manifest_write *write)
{
    uint32_t              live = manifest->end.slot, other = 1 - live;
    uint64_t              generation = manifest->end.generation + 1;
    struct manifest_image image;
    struct manifest_head *retired = &manifest->heads_next[live];

    TRY(manifest_image_build(manifest, other, generation, &manifest->scalars_next, &image));
    uint8_t *page = image.buffer + image.head.file_bytes;
    *retired = manifest->heads[live];
    retired->successor = generation;
    manifest_head_encode(page, &manifest->identity, retired);
    manifest->heads_next[other] = image.head;
    manifest->end_next = image.end;
    manifest->buffer = image.buffer;
    write->requests[0] = request_of(manifest->files[other], image.buffer + MANIFEST_PAGE_BYTES,
                                    image.head.file_bytes - MANIFEST_PAGE_BYTES,
                                    MANIFEST_PAGE_BYTES);
    write->requests[1] = request_of(manifest->files[other], image.buffer, MANIFEST_PAGE_BYTES, 0);
    write->requests[2] = request_of(manifest->files[live], page, MANIFEST_PAGE_BYTES, 0);
    write->count = 3;
    static_assert(MANIFEST_REQUEST_MAX >= 3, "a switch is three writes");
    return KIWI_OK;
}

/* is_last: the clean end may use the page that all other edits leave free for it. */
static enum kiwi_status edit_start(struct manifest *manifest, const struct version_edit *edit,
                                   bool is_last, struct manifest_write *write)
{
    struct manifest_end end = manifest->end;
    uint8_t            *buffer;
    uint64_t            bytes, room = end.file_bytes - end.offset;

    *write = (struct manifest_write){ 0 };
    manifest->scalars_next = scalars_after(manifest, edit, is_last);
    memcpy(manifest->heads_next, manifest->heads, sizeof manifest->heads);
    TRY(manifest_edit_build(manifest, edit, &manifest->scalars_next, &end, &buffer, &bytes));
    if (bytes + (is_last ? 0 : MANIFEST_PAGE_BYTES) <= room) {
        manifest->buffer = buffer;
        write->requests[0] = request_of(manifest->files[end.slot], buffer, bytes,
                                        manifest->end.offset);
        write->count = 1;
        manifest->end_next = end;
    } else {
        memory_free(buffer);
        TRY(switch_start(manifest, write));
    }
    for (uint32_t i = 0; i < write->count; i++)
        manifest->buffer_bytes += write->requests[i].bytes;
    manifest->is_busy = true;
    return KIWI_OK;
}

/* What replay would refuse must not be written. */
static enum kiwi_status edit_check(const struct manifest *manifest, const struct version_edit *edit)
{
    for (uint32_t i = 0; i < edit->added_count; i++) {
        const struct table_info *info = &edit->added[i].table->info;

        if (info->id >= manifest->table_id_next || info->file_id >= manifest->file_id_next
            || edit->added[i].run_id >= manifest->run_id_next)
            return FAIL(KIWI_INVALID, "edit with table %" PRIu64 ", file %" PRIu64 ", run %" PRIu64
                        ": an id the manifest did not give out", info->id, info->file_id,
                        edit->added[i].run_id);
    }
    return KIWI_OK;
}

enum kiwi_status manifest_edit_start(struct manifest *manifest, const struct version_edit *edit,
                                     struct manifest_write *write)
{
    bool     has_tables = version_edit_has_tables(edit);
    uint64_t applied = version_change_count(manifest->set);

    assert(!manifest->is_busy);
    if (manifest->status != KIWI_OK)
        return FAIL(KIWI_STOPPED, "the manifest in %s stopped after: %s", manifest->directory,
                    kiwi_status_text(manifest->status));
    if (applied != manifest->changes_durable + has_tables)
        return FAIL(KIWI_INVALID, "edit out of turn: %" PRIu64 " applied, %" PRIu64 " durable",
                    applied, manifest->changes_durable);
    TRY(edit_check(manifest, edit));
    TRY(edit_start(manifest, edit, false, write));
    manifest->changes_next = applied;
    return KIWI_OK;
}

void manifest_edit_done(struct manifest *manifest, enum kiwi_status status)
{
    assert(manifest->is_busy);
    manifest->is_busy = false;
    memory_free(manifest->buffer);
    manifest->buffer = NULL;
    if (status == KIWI_OK) {
        assert(manifest->end_next.generation >= manifest->end.generation);
        manifest->end = manifest->end_next;
        manifest->scalars = manifest->scalars_next;
        manifest->changes_durable = manifest->changes_next;
        manifest->written_bytes += manifest->buffer_bytes;
        memcpy(manifest->heads, manifest->heads_next, sizeof manifest->heads);
    } else
        manifest->status = status;
    manifest->buffer_bytes = 0;
}

/* For opening and closing: an edit without tables, written in place. */
static enum kiwi_status mark_write(struct manifest *manifest, bool is_last)
{
    const struct version_edit nothing = { 0 };
    struct manifest_write     write;
    enum kiwi_status          status = KIWI_OK;

    TRY(edit_start(manifest, &nothing, is_last, &write));
    manifest->changes_next = manifest->changes_durable;
    for (uint32_t i = 0; status == KIWI_OK && i < write.count; i++) {
        const struct io_request *request = &write.requests[i];

        status = io_file_write(request->file, request->buffer, request->bytes, request->offset);
        if (status == KIWI_OK)
            status = io_file_sync(request->file);
    }
    manifest_edit_done(manifest, status);
    return status;
}

bool manifest_is_busy(const struct manifest *manifest)
{
    return manifest->is_busy;
}

enum kiwi_status manifest_status(const struct manifest *manifest)
{
    return manifest->status;
}

uint64_t manifest_written_bytes(const struct manifest *manifest)
{
    return manifest->written_bytes;
}

uint64_t manifest_flushed_sequence(const struct manifest *manifest)
{
    return manifest->scalars.flushed_sequence;
}

uint64_t manifest_changes_applied(const struct manifest *manifest)
{
    return version_change_count(manifest->set);
}

uint64_t manifest_changes_durable(const struct manifest *manifest)
{
    return manifest->changes_durable;
}

/* ---- creating a file ---- */

/* Under a temporary name until it is whole, so that a name means a whole file. */
static enum kiwi_status file_create(struct manifest *manifest, uint32_t slot, const uint8_t *bytes,
                                    uint64_t size)
{
    char            *path = manifest_path(manifest->directory, slot_names[slot]);
    char            *draft = manifest_path(manifest->directory, "manifest-new");
    struct io_file  *file = NULL;
    enum kiwi_status status;

    if (path == NULL || draft == NULL) {
        status = FAIL(KIWI_NO_MEMORY, "no memory for the path of a manifest");
        goto fail;
    }
    if ((status = io_file_open(manifest->io, draft, IO_CREATE | IO_DIRECT, &file)) != KIWI_OK)
        goto fail;
    if ((status = io_file_write(file, bytes, size, 0)) != KIWI_OK)
        goto fail;
    if ((status = io_file_sync(file)) != KIWI_OK)
        goto fail;
    io_file_close(file);
    file = NULL;
    if ((status = io_rename(manifest->io, draft, path)) != KIWI_OK)
        goto fail;
    if ((status = io_directory_sync(manifest->io, manifest->directory)) != KIWI_OK)
        goto fail;
    status = io_file_open(manifest->io, path, IO_DIRECT, &manifest->files[slot]);
    manifest->written_bytes += size;
fail:
    io_file_close(file);
    memory_free(path);
    memory_free(draft);
    return status;
}

static enum kiwi_status stranger_find(void *context, const char *name)
{
    (void)context;
    if (strncmp(name, "t-", 2) == 0)
        return FAIL(KIWI_CORRUPT, "there is table file %s, but no manifest", name);
    return KIWI_OK;
}

/* A shard without tables. Table files without a manifest are somebody's data, not a new shard. */
static enum kiwi_status first_create(struct manifest *manifest)
{
    const struct manifest_scalars scalars = { .table_id_next = 1, .file_id_next = 1,
                                              .run_id_next = 1 };
    struct manifest_image image;
    enum kiwi_status      status;
    char                  reason[256];

    status = io_directory_list(manifest->io, manifest->directory, stranger_find, NULL);
    if (status != KIWI_OK) {
        snprintf(reason, sizeof reason, "%s", fail_text());
        return FAIL(status, "%s: %s", manifest->directory, reason);
    }
    if (manifest->is_read_only)
        return FAIL(KIWI_NOT_FOUND, "%s has no manifest and no tables", manifest->directory);
    TRY(manifest_image_build(manifest, 0, 1, &scalars, &image));
    status = file_create(manifest, 0, image.buffer, image.head.file_bytes);
    memory_free(image.buffer);
    return status;
}

/* ---- opening ---- */

enum slot_state { SLOT_MISSING, SLOT_DAMAGED, SLOT_RETIRED, SLOT_LIVE };

struct slot_findings {
    enum slot_state states[MANIFEST_SLOT_COUNT];
    char            reasons[MANIFEST_SLOT_COUNT][160]; /* of damage */
};

static enum kiwi_status slot_read(struct manifest *manifest, uint32_t slot, uint8_t *page,
                                  struct slot_findings *findings)
{
    struct io_file  *file = manifest->files[slot];
    uint64_t         bytes = 0;
    enum kiwi_status status;

    if (file == NULL)
        return KIWI_OK;
    TRY(io_file_size(file, &bytes));
    if (bytes < MANIFEST_PAGE_BYTES)
        status = FAIL(KIWI_CORRUPT, "shorter than its header: %" PRIu64 " B", bytes);
    else {
        TRY(io_file_read(file, page, MANIFEST_PAGE_BYTES, 0));
        status = manifest_head_decode(page, &manifest->identity, slot, &manifest->heads[slot]);
    }
    if (status == KIWI_OK) {
        findings->states[slot] = manifest->heads[slot].successor == 0 ? SLOT_LIVE : SLOT_RETIRED;
        return KIWI_OK;
    }
    snprintf(findings->reasons[slot], sizeof findings->reasons[slot], "%s", fail_text());
    if (status == KIWI_UNSUPPORTED) /* whole, and written by a newer build: not to be touched */
        return FAIL(status, "%s: %s", io_file_path(file), findings->reasons[slot]);
    findings->states[slot] = SLOT_DAMAGED;
    manifest->heads[slot] = (struct manifest_head){ .slot = slot };
    return KIWI_OK;
}

/* Why a file that must be there cannot be used. */
static enum kiwi_status slot_fail(const struct manifest *manifest, uint32_t slot,
                                  const struct slot_findings *findings)
{
    if (findings->states[slot] == SLOT_MISSING)
        return FAIL(KIWI_CORRUPT, "%s/%s is missing", manifest->directory, slot_names[slot]);
    if (findings->states[slot] == SLOT_DAMAGED)
        return FAIL(KIWI_CORRUPT, "%s/%s, offset 0: %s", manifest->directory, slot_names[slot],
                    findings->reasons[slot]);
    return FAIL(KIWI_CORRUPT, "%s/%s, offset 0: generation %" PRIu64 " where %" PRIu64
                " is expected", manifest->directory, slot_names[slot],
                manifest->heads[slot].generation, manifest->heads[1 - slot].successor);
}

/* The newest live file, provided that the other one knows of nothing newer. */
static enum kiwi_status live_choose(const struct manifest *manifest,
                                    const struct slot_findings *findings, uint32_t *live)
{
    const struct manifest_head *heads = manifest->heads;
    bool is_live[MANIFEST_SLOT_COUNT];

    for (uint32_t i = 0; i < MANIFEST_SLOT_COUNT; i++)
        is_live[i] = findings->states[i] == SLOT_LIVE;
    if (!is_live[0] && !is_live[1]) {
        /* A retired file names its successor in the other one: the fault is where the newer of the
         * two points. A damaged or missing file names none. */
        return slot_fail(manifest, heads[0].successor > heads[1].successor ? 1 : 0, findings);
    }
    if (is_live[0] && is_live[1] && heads[0].generation == heads[1].generation)
        return FAIL(KIWI_CORRUPT, "%s: both manifests are generation %" PRIu64,
                    manifest->directory, heads[0].generation);
    *live = !is_live[0] || (is_live[1] && heads[1].generation > heads[0].generation);
    if (heads[1 - *live].successor > heads[*live].generation)
        return slot_fail(manifest, *live, findings);
    return KIWI_OK;
}

/* The other file is retired on disk, or made if it is missing: a switch needs it to be there, and a
 * crash may have come between a switch and its last write. The live file must be durable before. */
static enum kiwi_status other_settle(struct manifest *manifest, uint32_t live, uint8_t *page)
{
    uint32_t              other = 1 - live;
    uint64_t              generation = manifest->heads[live].generation;
    struct manifest_head *head = &manifest->heads[other];

    if (manifest->files[other] != NULL && head->successor == generation)
        return KIWI_OK;
    if (head->file_bytes == 0 || head->generation >= generation) /* missing or damaged */
        *head = (struct manifest_head){ .slot = other, .file_bytes = MANIFEST_PAGE_BYTES };
    head->successor = generation;
    manifest_head_encode(page, &manifest->identity, head);
    if (manifest->files[other] == NULL)
        return file_create(manifest, other, page, MANIFEST_PAGE_BYTES);
    TRY(io_file_write(manifest->files[other], page, MANIFEST_PAGE_BYTES, 0));
    manifest->written_bytes += MANIFEST_PAGE_BYTES;
    return io_file_sync(manifest->files[other]);
}

static enum kiwi_status files_open(struct manifest *manifest)
{
    for (uint32_t i = 0; i < MANIFEST_SLOT_COUNT; i++) {
        char *path = manifest_path(manifest->directory, slot_names[i]);

        if (path == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory for a path");
        enum kiwi_status status = io_file_open(
            manifest->io, path, IO_DIRECT | (manifest->is_read_only ? IO_READ_ONLY : 0),
            &manifest->files[i]);
        memory_free(path);
        if (status == KIWI_NOT_FOUND)
            manifest->files[i] = NULL;
        else if (status != KIWI_OK)
            return status;
    }
    if (manifest->files[0] == NULL && manifest->files[1] == NULL)
        return first_create(manifest);
    return KIWI_OK;
}

static enum kiwi_status recover(struct manifest *manifest, uint8_t *page)
{
    struct slot_findings findings = { .states = { SLOT_MISSING, SLOT_MISSING } };
    uint32_t             live = 0;

    TRY(files_open(manifest));
    for (uint32_t i = 0; i < MANIFEST_SLOT_COUNT; i++)
        TRY(slot_read(manifest, i, page, &findings));
    TRY(live_choose(manifest, &findings, &live));
    TRY(manifest_replay(manifest, live));
    manifest->table_id_next = manifest->scalars.table_id_next;
    manifest->file_id_next = manifest->scalars.file_id_next;
    manifest->run_id_next = manifest->scalars.run_id_next;
    manifest->changes_durable = version_change_count(manifest->set);
    if (manifest->is_read_only)
        return KIWI_OK;
    /* A crash may have come between a rename and its sync. */
    TRY(io_directory_sync(manifest->io, manifest->directory));
    TRY(other_settle(manifest, live, page));
    /* Promises ids, and marks all that was replayed as durable. */
    return mark_write(manifest, false);
}

enum kiwi_status manifest_open(const struct manifest_options *options, struct version_set *set,
                               struct manifest **out, struct manifest_state *state)
{
    struct manifest *manifest = memory_allocate_zeroed(sizeof *manifest);
    uint8_t         *page = memory_allocate_aligned(MANIFEST_PAGE_BYTES, MANIFEST_PAGE_BYTES);
    enum kiwi_status status = KIWI_NO_MEMORY;

    *out = NULL;
    if (manifest == NULL || page == NULL)
        goto fail;
    assert(version_present(set)->level_count == 0);
    manifest->io = options->io;
    manifest->identity = (struct manifest_identity){ options->database, options->shard };
    manifest->switch_bytes = options->switch_bytes == 0 ? SWITCH_BYTES_DEFAULT
                                                        : options->switch_bytes;
    manifest->set = set;
    manifest->is_read_only = options->is_read_only;
    manifest->table_refused = options->table_refused;
    manifest->context = options->context;
    manifest->directory = manifest_path(options->directory, "");
    if (manifest->directory == NULL)
        goto fail;
    manifest->directory[strlen(options->directory)] = 0;
    if ((status = recover(manifest, page)) != KIWI_OK)
        goto fail;
    *state = (struct manifest_state){
        .flushed_sequence = manifest->scalars.flushed_sequence,
        .log_position = { manifest->scalars.log_group, manifest->scalars.log_offset },
        .table_id_next = manifest->table_id_next,
        .file_id_next = manifest->file_id_next,
        .run_id_next = manifest->run_id_next,
    };
    *out = manifest;
    memory_free(page);
    return KIWI_OK;
fail:
    if (manifest != NULL)
        manifest->status = status; /* nothing is to be written while closing */
    manifest_close(manifest);
    memory_free(page);
    if (status == KIWI_NO_MEMORY)
        return FAIL(status, "no memory to open the manifest in %s", options->directory);
    return status;
}

void manifest_close(struct manifest *manifest)
{
    if (manifest == NULL)
        return;
    if (manifest->status == KIWI_OK && !manifest->is_busy && !manifest->is_read_only) {
        enum kiwi_status status = mark_write(manifest, true);

        (void)status; /* without the clean end the next open merely skips some ids */
    }
    for (uint32_t i = 0; i < MANIFEST_SLOT_COUNT; i++)
        io_file_close(manifest->files[i]);
    memory_free(manifest->buffer);
    memory_free(manifest->directory);
    memory_free(manifest);
}
