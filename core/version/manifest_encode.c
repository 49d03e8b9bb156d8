/*
 * manifest_encode.c: edits and full states as groups, ready to be written.
 */
#include "core/version/manifest_parts.h"

#include <inttypes.h>
#include <string.h>

#include "core/base/memory.h"

/* Tables of one state group: enough to waste little padding, few enough to take little memory. */
#define STATE_GROUP_TABLES 64u

static struct manifest_added added_of(const struct table_info *info, uint32_t level,
                                      uint64_t run_id)
{
    return (struct manifest_added){
        .id = info->id,
        .run_id = run_id,
        .file_id = info->file_id,
        .level = level,
        .file_bytes = info->file_bytes,
        .data_bytes = info->data_bytes,
        .entry_count = info->entry_count,
        .tombstone_count = info->tombstone_count,
        .raw_bytes = info->raw_bytes,
        .sequence_min = info->sequence_min,
        .sequence_max = info->sequence_max,
        .footer_checksum = info->footer_checksum,
        .smallest = info->smallest,
        .largest = info->largest,
    };
}

/* Encodes edit as the group behind end at target, checks that it reads back, and moves end. */
static enum kiwi_status group_append(const struct manifest *manifest, enum manifest_group_kind kind,
                                     const struct manifest_edit *edit, uint8_t *target,
                                     struct manifest_end *end)
{
    struct manifest_edit_view view;
    uint8_t                  *payload = target + sizeof(struct manifest_group_header);
    uint64_t bytes = manifest_edit_encode(payload, manifest_edit_bound(edit), edit);
    struct manifest_group group = {
        .kind = kind,
        .generation = end->generation,
        .number = end->number + 1,
        .durable_number = kind == MANIFEST_GROUP_EDIT ? end->number : 0,
        .previous_checksum = end->checksum,
        .payload = bytes_of(payload, bytes),
    };

    /* What could not be read again must not be written: a table with impossible numbers. */
    if (manifest_edit_check(group.payload, &view) != KIWI_OK)
        return FAIL(KIWI_INVALID, "edit with a table that no manifest may hold");
    manifest_group_encode(target, &manifest->identity, &group);
    end->offset += manifest_group_bytes(bytes);
    end->number++;
    end->checksum = group.checksum;
    return KIWI_OK;
}

enum kiwi_status manifest_edit_build(const struct manifest *manifest,
                                     const struct version_edit *edit,
                                     const struct manifest_scalars *scalars,
                                     struct manifest_end *end, uint8_t **buffer, uint64_t *bytes)
{
    struct manifest_added    *added = memory_allocate(edit->added_count * sizeof *added);
    struct manifest_narrowed *narrowed = memory_allocate(edit->narrowed_count * sizeof *narrowed);
    struct manifest_edit      record = { .scalars = *scalars };
    enum kiwi_status          status = KIWI_NO_MEMORY;

    *buffer = NULL;
    if (added == NULL || narrowed == NULL)
        goto fail;
    for (uint32_t i = 0; i < edit->added_count; i++)
        added[i] = added_of(&edit->added[i].table->info, edit->added[i].level,
                            edit->added[i].run_id);
    for (uint32_t i = 0; i < edit->narrowed_count; i++)
        narrowed[i] = (struct manifest_narrowed){ edit->narrowed[i].table_id,
                                                  edit->narrowed[i].above };
    record.added = added;
    record.added_count = edit->added_count;
    record.removed = edit->removed;
    record.removed_count = edit->removed_count;
    record.narrowed = narrowed;
    record.narrowed_count = edit->narrowed_count;
    uint64_t bytes_max = manifest_group_bytes(manifest_edit_bound(&record));
    if (bytes_max > MANIFEST_FILE_BYTES_MAX) {
        status = KIWI_TOO_LARGE;
        goto fail;
    }
    *buffer = memory_allocate_aligned(bytes_max, MANIFEST_PAGE_BYTES);
    if (*buffer == NULL)
        goto fail;
    uint64_t start = end->offset;
    status = group_append(manifest, MANIFEST_GROUP_EDIT, &record, *buffer, end);
    *bytes = end->offset - start;
fail:
    memory_free(added);
    memory_free(narrowed);
    if (status == KIWI_OK)
        return KIWI_OK;
    memory_free(*buffer);
    *buffer = NULL;
    if (status == KIWI_INVALID)
        return status;
    return FAIL(status, "%s manifest edit of %" PRIu32 " tables",
                status == KIWI_NO_MEMORY ? "no memory for a" : "a", edit->added_count);
}

/* ---- the full state ---- */

/* Walks all tables of a version, some at a time. */
struct state_walk {
    const struct version    *version;
    uint32_t                 level, run, place; /* the next one */
    struct manifest_edit     edit;              /* what was found: added and narrowed */
    struct manifest_added    added[STATE_GROUP_TABLES];
    struct manifest_narrowed narrowed[STATE_GROUP_TABLES];
};

static void state_walk_start(struct state_walk *walk, const struct version *version,
                             const struct manifest_scalars *scalars)
{
    walk->version = version;
    walk->level = walk->run = walk->place = 0;
    walk->edit = (struct manifest_edit){ .scalars = *scalars };
    walk->edit.added = walk->added;
    walk->edit.narrowed = walk->narrowed;
}

static const struct run *state_walk_run(const struct state_walk *walk)
{
    return walk->version->levels[walk->level].runs[walk->run];
}

/* To the next place that exists; false past the last. */
static bool state_walk_settle(struct state_walk *walk)
{
    for (; walk->level < walk->version->level_count; walk->level++, walk->run = 0) {
        for (; walk->run < walk->version->levels[walk->level].run_count; walk->run++) {
            if (walk->place < state_walk_run(walk)->table_count)
                return true;
            walk->place = 0;
        }
    }
    return false;
}

/* Fills walk->edit with the next tables; false when there are no more behind them. */
static bool state_walk_next(struct state_walk *walk)
{
    struct manifest_edit *edit = &walk->edit;
    bool                  has_more = state_walk_settle(walk);

    edit->added_count = edit->narrowed_count = 0;
    while (has_more && edit->added_count < STATE_GROUP_TABLES) {
        const struct run         *run = state_walk_run(walk);
        const struct table_place *place = &run->places[walk->place];

        walk->added[edit->added_count++] = added_of(&place->table->info, walk->level, run->id);
        if (place->above.data != NULL)
            walk->narrowed[edit->narrowed_count++] =
                (struct manifest_narrowed){ place->table->info.id, place->above };
        walk->place++;
        has_more = state_walk_settle(walk);
    }
    return has_more;
}

/* How long a file with that state is to be: room for edits of at least the state's own size. */
static uint64_t image_file_bytes(const struct manifest *manifest, struct state_walk *walk)
{
    uint64_t state_bytes = 0;
    bool     has_more;

    do {
        has_more = state_walk_next(walk);
        state_bytes += manifest_group_bytes(manifest_edit_bound(&walk->edit));
    } while (has_more);
    return max_u64(round_up_u64(manifest->switch_bytes, MANIFEST_PAGE_BYTES),
                   2 * state_bytes + 4ull * MANIFEST_PAGE_BYTES);
}

static enum kiwi_status image_fill(const struct manifest *manifest, struct state_walk *walk,
                                   struct manifest_image *image)
{
    struct manifest_end *end = &image->end;
    bool                 has_more;

    do {
        has_more = state_walk_next(walk);
        assert(end->offset + manifest_group_bytes(manifest_edit_bound(&walk->edit))
               <= end->file_bytes);
        TRY(group_append(manifest, MANIFEST_GROUP_STATE, &walk->edit, image->buffer + end->offset,
                         end));
    } while (has_more);
    memset(image->buffer + end->offset, 0, end->file_bytes - end->offset);
    image->head.state_bytes = end->offset - MANIFEST_PAGE_BYTES;
    image->head.state_group_count = end->number;
    image->head.state_checksum = end->checksum;
    manifest_head_encode(image->buffer, &manifest->identity, &image->head);
    return KIWI_OK;
}

enum kiwi_status manifest_image_build(const struct manifest *manifest, uint32_t slot,
                                      uint64_t generation, const struct manifest_scalars *scalars,
                                      struct manifest_image *out)
{
    const struct version *version = version_present(manifest->set);
    struct state_walk    *walk = memory_allocate(sizeof *walk);
    enum kiwi_status      status;
    uint64_t              file_bytes;

    if (walk == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to walk the tables for the manifest");
    state_walk_start(walk, version, scalars);
    file_bytes = image_file_bytes(manifest, walk);
    *out = (struct manifest_image){
        .head = { .slot = slot, .generation = generation, .file_bytes = file_bytes },
        .end = { .slot = slot, .generation = generation, .file_bytes = file_bytes,
                 .offset = MANIFEST_PAGE_BYTES },
    };
    if (file_bytes > MANIFEST_FILE_BYTES_MAX) {
        status = FAIL(KIWI_TOO_LARGE, "manifest of %" PRIu64 " B, the limit is %llu", file_bytes,
                      MANIFEST_FILE_BYTES_MAX);
        goto fail;
    }
    out->buffer = memory_allocate_aligned(file_bytes + MANIFEST_PAGE_BYTES, MANIFEST_PAGE_BYTES);
    if (out->buffer == NULL) {
        status = FAIL(KIWI_NO_MEMORY, "no memory for a manifest of %" PRIu64 " B", file_bytes);
        goto fail;
    }
    state_walk_start(walk, version, scalars);
    status = image_fill(manifest, walk, out);
fail:
    memory_free(walk);
    if (status != KIWI_OK) {
        memory_free(out->buffer);
        out->buffer = NULL;
    }
    return status;
}
