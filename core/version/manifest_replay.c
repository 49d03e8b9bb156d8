/*
 * manifest_replay.c: from the bytes of the live file to a version of open tables.
 *
 * Edits are replayed into a set of their own, whose tables are shells without files: most tables an
 * old edit names are gone. What is left at the end is opened.
 */
#include "core/version/manifest_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"

char *manifest_path(const char *directory, const char *name)
{
    size_t bytes = strlen(directory) + strlen(name) + 2;
    char  *path = memory_allocate(bytes);

    if (path != NULL)
        snprintf(path, bytes, "%s/%s", directory, name);
    return path;
}

char *table_file_path(const char *directory, uint64_t file_id)
{
    char name[32];

    snprintf(name, sizeof name, "t-%08" PRIx64, file_id);
    return manifest_path(directory, name);
}

/* Adds the place to a failure that was told about content alone. */
static enum kiwi_status fail_at(enum kiwi_status status, const struct io_file *file,
                                uint64_t offset)
{
    char reason[256];

    if (status != KIWI_CORRUPT && status != KIWI_INVALID)
        return status;
    snprintf(reason, sizeof reason, "%s", fail_text());
    return FAIL(KIWI_CORRUPT, "%s, offset %" PRIu64 ": %s", io_file_path(file), offset, reason);
}

/* ---- shells ---- */

static void shell_end(struct table *table)
{
    memory_free(table);
}

static struct table *shell_make(const struct manifest_added *added)
{
    struct table *table =
        memory_allocate_zeroed(sizeof *table + added->smallest.size + added->largest.size);
    uint8_t *keys;

    if (table == NULL)
        return NULL;
    keys = (uint8_t *)(table + 1);
    memcpy(keys, added->smallest.data, added->smallest.size);
    memcpy(keys + added->smallest.size, added->largest.data, added->largest.size);
    table->info = (struct table_info){
        .id = added->id,
        .file_id = added->file_id,
        .file_bytes = added->file_bytes,
        .data_bytes = added->data_bytes,
        .entry_count = added->entry_count,
        .tombstone_count = added->tombstone_count,
        .raw_bytes = added->raw_bytes,
        .sequence_min = added->sequence_min,
        .sequence_max = added->sequence_max,
        .footer_checksum = added->footer_checksum,
        .smallest = bytes_of(keys, added->smallest.size),
        .largest = bytes_of(keys + added->smallest.size, added->largest.size),
    };
    return table;
}

static struct table *version_table_find(const struct version *version, uint64_t id)
{
    for (uint32_t i = 0; i < version->level_count; i++) {
        for (uint32_t k = 0; k < version->levels[i].run_count; k++) {
            const struct run *run = version->levels[i].runs[k];

            for (uint32_t n = 0; n < run->table_count; n++) {
                if (run->places[n].table->info.id == id)
                    return run->places[n].table;
            }
        }
    }
    return NULL;
}

/* ---- one edit ---- */

/* An edit as version_apply takes it. */
struct replay_edit {
    struct version_edit edit;
    uint32_t            made_count; /* of added: the first ones' shells were made or found */
    bool               *is_made;    /* false: found in the version, because the edit moves it */
};

static bool edit_removes(const struct version_edit *edit, uint64_t id)
{
    for (uint32_t i = 0; i < edit->removed_count; i++) {
        if (edit->removed[i] == id)
            return true;
    }
    return false;
}

static enum kiwi_status replay_edit_fill(struct replay_edit *replay, const struct version *version,
                                         const struct manifest_edit_view *view)
{
    struct version_edit *edit = &replay->edit;
    struct bytes         added_rest = view->added, removed_rest = view->removed;
    struct bytes         narrowed_rest = view->narrowed;

    edit->added = memory_allocate(view->added_count * sizeof *edit->added);
    edit->removed = memory_allocate(view->removed_count * sizeof *edit->removed);
    edit->narrowed = memory_allocate(view->narrowed_count * sizeof *edit->narrowed);
    replay->is_made = memory_allocate(view->added_count * sizeof *replay->is_made);
    if (edit->added == NULL || edit->removed == NULL || edit->narrowed == NULL
        || replay->is_made == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to replay the manifest");
    for (; edit->removed_count < view->removed_count; edit->removed_count++)
        edit->removed[edit->removed_count] = manifest_removed_next(&removed_rest);
    for (; edit->narrowed_count < view->narrowed_count; edit->narrowed_count++) {
        struct manifest_narrowed narrowed;

        manifest_narrowed_next(&narrowed_rest, &narrowed);
        edit->narrowed[edit->narrowed_count] =
            (struct edit_narrowed){ narrowed.id, narrowed.above };
    }
    for (; edit->added_count < view->added_count; edit->added_count++) {
        struct manifest_added added;
        struct table         *table = NULL;

        manifest_added_next(&added_rest, &added);
        if (edit_removes(edit, added.id))
            table = version_table_find(version, added.id);
        replay->is_made[edit->added_count] = table == NULL;
        if (table == NULL)
            table = shell_make(&added);
        if (table == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory to replay the manifest");
        edit->added[edit->added_count] = (struct edit_added){ table, added.level, added.run_id };
    }
    return KIWI_OK;
}

static enum kiwi_status payload_apply(struct version_set *set, struct bytes payload,
                                      struct manifest_scalars *scalars)
{
    struct manifest_edit_view view;
    struct replay_edit        replay = { 0 };
    enum kiwi_status          status;

    TRY(manifest_edit_check(payload, &view));
    status = replay_edit_fill(&replay, version_present(set), &view);
    if (status == KIWI_OK)
        status = version_apply(set, &replay.edit);
    for (uint32_t i = 0; status != KIWI_OK && i < replay.edit.added_count; i++) {
        if (replay.is_made[i])
            shell_end(replay.edit.added[i].table);
    }
    memory_free(replay.edit.added);
    memory_free(replay.edit.removed);
    memory_free(replay.edit.narrowed);
    memory_free(replay.is_made);
    for (struct table *table; (table = version_obsolete_take(set)) != NULL;)
        shell_end(table);
    if (status == KIWI_OK)
        *scalars = view.scalars;
    return status;
}

/* ---- the groups of a file ---- */

struct replay {
    struct manifest            *manifest;
    struct io_file             *file;
    const struct manifest_head *head;
    uint8_t                    *bytes;    /* the file */
    struct version_set         *set;      /* of shells */
    struct manifest_end         end;
    uint64_t                    last_offset; /* of the last group */
    struct manifest_scalars     scalars;
};

/*
 * No group follows at end. That is how every file ends, torn last group included, unless a group
 * behind it says that this one had been durable.
 */
static enum kiwi_status end_check(const struct replay *replay)
{
    const struct manifest_end *end = &replay->end;

    for (uint64_t at = end->offset; at < end->file_bytes; at += MANIFEST_PAGE_BYTES) {
        struct manifest_group group;

        if (!manifest_group_decode(replay->bytes + at, end->file_bytes - at,
                                   &replay->manifest->identity, end->generation, &group))
            continue;
        if (group.durable_number > end->number || at == end->offset)
            return FAIL(KIWI_CORRUPT, "%s, offset %" PRIu64 ": group %" PRIu64 " is damaged; group "
                        "%" PRIu64 " at offset %" PRIu64 " was written after it was durable",
                        io_file_path(replay->file), end->offset, end->number + 1, group.number,
                        at);
    }
    return KIWI_OK;
}

/* True when the group that continues the chain stands at end. */
static bool group_follows(const struct replay *replay, struct manifest_group *group)
{
    const struct manifest_end *end = &replay->end;
    enum manifest_group_kind   kind = end->number < replay->head->state_group_count
                                        ? MANIFEST_GROUP_STATE
                                        : MANIFEST_GROUP_EDIT;

    return manifest_group_decode(replay->bytes + end->offset, end->file_bytes - end->offset,
                                 &replay->manifest->identity, end->generation, group)
        && group->kind == kind && group->number == end->number + 1
        && group->previous_checksum == end->checksum;
}

/* The state was durable before the header named it: it must be whole and the very one. */
static enum kiwi_status state_check(const struct replay *replay)
{
    const struct manifest_head *head = replay->head;

    if (replay->end.number != head->state_group_count)
        return FAIL(KIWI_CORRUPT, "%s, offset %" PRIu64 ": group %" PRIu64 " of %" PRIu64
                    " of the state is damaged", io_file_path(replay->file), replay->end.offset,
                    replay->end.number + 1, head->state_group_count);
    if (replay->end.checksum != head->state_checksum
        || replay->end.offset != MANIFEST_PAGE_BYTES + head->state_bytes)
        return FAIL(KIWI_CORRUPT, "%s, offset 0: the header names another state of %" PRIu64 " B",
                    io_file_path(replay->file), head->state_bytes);
    return KIWI_OK;
}

/* Groups from end on. */
static enum kiwi_status groups_follow(struct replay *replay)
{
    struct manifest_end  *end = &replay->end;
    struct manifest_group group;

    while (end->offset < end->file_bytes && group_follows(replay, &group)) {
        enum kiwi_status status = payload_apply(replay->set, group.payload, &replay->scalars);

        if (status != KIWI_OK)
            return fail_at(status, replay->file, end->offset);
        replay->last_offset = end->offset;
        end->offset += manifest_group_bytes(group.payload.size);
        end->number = group.number;
        end->checksum = group.checksum;
        if (end->number == replay->head->state_group_count)
            TRY(state_check(replay));
    }
    return KIWI_OK;
}

/* May the groups stop here? */
static enum kiwi_status stop_check(const struct replay *replay)
{
    return replay->end.number < replay->head->state_group_count ? state_check(replay)
                                                                : end_check(replay);
}

/* Where the groups end the rest is read once more: edits that one bad transfer did not show would
 * be written over. */
static enum kiwi_status groups_replay(struct replay *replay)
{
    const struct manifest_end *end = &replay->end;
    enum kiwi_status           first, second;
    uint64_t                   offset;

    do {
        TRY(groups_follow(replay));
        offset = end->offset;
        if (offset == end->file_bytes)
            break;
        first = stop_check(replay);
        TRY(io_file_read(replay->file, replay->bytes + offset, end->file_bytes - offset, offset));
        TRY(groups_follow(replay));
        second = stop_check(replay);
        if (offset == end->offset && (first != KIWI_OK || second != KIWI_OK))
            return first != KIWI_OK ? first : second;
    } while (offset != end->offset);
    return stop_check(replay);
}

/* ---- from shells to open tables ---- */

struct table_opener {
    struct manifest     *manifest;
    struct edit_added   *added;
    struct edit_narrowed *narrowed;
    uint32_t             count, narrowed_count;
};

static enum kiwi_status shell_open(const struct manifest *manifest, const struct table_info *info,
                                   struct table **out)
{
    char            *path = table_file_path(manifest->directory, info->file_id);
    struct io_file  *file = NULL;
    enum kiwi_status status;

    if (path == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a path");
    status = io_file_open(manifest->io, path, IO_READ_ONLY | IO_DIRECT, &file);
    if (status == KIWI_NOT_FOUND)
        status = FAIL(KIWI_CORRUPT, "%s is missing; table %" PRIu64 " stands in it", path,
                      info->id);
    if (status == KIWI_OK)
        status = table_open(info, file, manifest->identity.database, out);
    if (status != KIWI_OK)
        io_file_close(file);
    memory_free(path);
    return status;
}

static enum kiwi_status run_open(struct table_opener *opener, const struct run *run,
                                 uint32_t level)
{
    for (uint32_t i = 0; i < run->table_count; i++) {
        const struct table_place *place = &run->places[i];
        const struct table_info  *info = &place->table->info;
        const struct manifest    *manifest = opener->manifest;
        struct table             *table;
        enum kiwi_status          status = shell_open(manifest, info, &table);

        if (status != KIWI_OK && manifest->table_refused != NULL) {
            manifest->table_refused(manifest->context, level, run->id, info, status);
            continue;
        }
        TRY(status);
        opener->added[opener->count++] = (struct edit_added){ table, level, run->id };
        if (place->above.data != NULL)
            opener->narrowed[opener->narrowed_count++] =
                (struct edit_narrowed){ info->id, place->above };
    }
    return KIWI_OK;
}

static enum kiwi_status opener_run(struct table_opener *opener, const struct version *shells)
{
    struct version_edit edit = { 0 };

    if (opener->added == NULL || opener->narrowed == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to open the tables of the manifest");
    for (uint32_t i = 0; i < shells->level_count; i++) {
        for (uint32_t k = 0; k < shells->levels[i].run_count; k++)
            TRY(run_open(opener, shells->levels[i].runs[k], i));
    }
    edit.added = opener->added;
    edit.added_count = opener->count;
    edit.narrowed = opener->narrowed;
    edit.narrowed_count = opener->narrowed_count;
    return version_apply(opener->manifest->set, &edit);
}

static enum kiwi_status tables_open(struct manifest *manifest, const struct version *shells)
{
    struct table_opener opener = { .manifest = manifest };
    uint32_t            count = 0;
    enum kiwi_status    status;

    for (uint32_t i = 0; i < shells->level_count; i++)
        count += version_level_table_count(shells, i);
    opener.added = memory_allocate(count * sizeof *opener.added);
    opener.narrowed = memory_allocate(count * sizeof *opener.narrowed);
    status = opener_run(&opener, shells);
    for (uint32_t i = 0; status != KIWI_OK && i < opener.count; i++)
        table_close(opener.added[i].table);
    memory_free(opener.added);
    memory_free(opener.narrowed);
    return status;
}

/* Ids that the tables have must have been given out. */
static enum kiwi_status ids_check(const struct replay *replay, const struct version *shells)
{
    const struct manifest_scalars *scalars = &replay->scalars;
    uint64_t next_max = MANIFEST_ID_MAX - MANIFEST_ID_GAP;

    if (scalars->table_id_next > next_max || scalars->run_id_next > next_max
        || scalars->file_id_next > next_max)
        return FAIL(KIWI_CORRUPT, "%s: the next table is %" PRIu64 ", file %" PRIu64 ", run %"
                    PRIu64 ": no ids are left to give out", io_file_path(replay->file),
                    scalars->table_id_next, scalars->file_id_next, scalars->run_id_next);
    for (uint32_t i = 0; i < shells->level_count; i++) {
        for (uint32_t k = 0; k < shells->levels[i].run_count; k++) {
            const struct run *run = shells->levels[i].runs[k];

            for (uint32_t n = 0; n < run->table_count; n++) {
                const struct table_info *info = &run->places[n].table->info;

                if (info->id >= scalars->table_id_next || info->file_id >= scalars->file_id_next
                    || run->id >= scalars->run_id_next)
                    return FAIL(KIWI_CORRUPT, "%s: table %" PRIu64 " in file %" PRIu64
                                " and run %" PRIu64 " has an id from the future",
                                io_file_path(replay->file), info->id, info->file_id, run->id);
            }
        }
    }
    return KIWI_OK;
}

/*
 * The header and the last group may stand in a cache only: the process before died while they were
 * written, or a sync failed. After a failed sync the next one succeeds and the bytes are lost all
 * the same (Rebello et al., ATC'20), so a sync alone proves nothing: they are written again, the
 * same bytes to the same place. Whatever stands before was synced before they were written.
 */
static enum kiwi_status last_harden(const struct replay *replay)
{
    uint64_t bytes = replay->end.offset - replay->last_offset;

    assert(replay->last_offset >= MANIFEST_PAGE_BYTES);
    TRY(io_file_write(replay->file, replay->bytes, MANIFEST_PAGE_BYTES, 0));
    TRY(io_file_write(replay->file, replay->bytes + replay->last_offset, bytes,
                      replay->last_offset));
    return io_file_sync(replay->file);
}

static enum kiwi_status replay_run(struct replay *replay)
{
    struct manifest *manifest = replay->manifest;

    TRY(groups_replay(replay));
    TRY(ids_check(replay, version_present(replay->set)));
    if (!manifest->is_read_only)
        TRY(last_harden(replay));
    TRY(tables_open(manifest, version_present(replay->set)));
    manifest->end = replay->end;
    manifest->scalars = replay->scalars;
    return KIWI_OK;
}

enum kiwi_status manifest_replay(struct manifest *manifest, uint32_t slot)
{
    const struct manifest_head *head = &manifest->heads[slot];
    struct replay    replay = { .manifest = manifest, .file = manifest->files[slot], .head = head };
    uint8_t         *bytes = NULL;
    enum kiwi_status status;

    replay.end = (struct manifest_end){ .slot = slot, .generation = head->generation,
                                        .file_bytes = head->file_bytes,
                                        .offset = MANIFEST_PAGE_BYTES };
    bytes = memory_allocate_aligned(head->file_bytes, MANIFEST_PAGE_BYTES);
    if (bytes == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to read %" PRIu64 " B of manifest",
                    head->file_bytes);
    replay.bytes = bytes;
    status = io_file_read(replay.file, bytes, head->file_bytes, 0);
    /* It is written back, and verified is what another read has brought. */
    manifest_head_encode(bytes, &manifest->identity, head);
    if (status == KIWI_OK)
        status = version_set_open(&replay.set);
    if (status == KIWI_OK)
        status = replay_run(&replay);
    version_set_close_with(replay.set, shell_end);
    memory_free(bytes);
    return status;
}
