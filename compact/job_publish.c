/*
 * job_publish.c: edits: from complete outputs to what the shard's next version shows.
 *
 * An edit covers the first complete outputs and everything up to the boundary B of the last of
 * them:
 *
 *   run of an input    [ table ][ table ][ tab|le ][ table ]
 *                       removed  removed  narrowed  as before
 *                                           B
 *   target             [ output ][ output ]
 *
 * So each key is, in every version, either where it was or where it goes, never in both or none.
 * A flush publishes once; the memtables stay readable until the shard drops them.
 */
#include "compact/job_state.h"

#include "core/base/memory.h"

/* ---- what is due ---- */

static bool is_merged(const struct job *job)
{
    return job->source_state == SOURCE_ENDED && job->filling == NULL;
}

/* Outputs that may be published: complete, and none before them is not. */
static uint32_t outputs_complete(const struct job *job, bool *are_all)
{
    const struct job_output *output = job->outputs;
    uint32_t                 count = 0;

    for (; output != NULL && output->stage == OUTPUT_COMPLETE; output = output->next)
        count++;
    *are_all = output == NULL;
    return count;
}

/* ---- the edit ---- */

static enum kiwi_status edit_reserve(struct version_edit *edit, uint32_t added_count,
                                     uint32_t place_count, uint32_t input_count)
{
    *edit = (struct version_edit){
        .added = memory_allocate_zeroed((added_count + 1) * sizeof *edit->added),
        .removed = memory_allocate_zeroed((place_count + 1) * sizeof *edit->removed),
        .narrowed = memory_allocate_zeroed((input_count + 1) * sizeof *edit->narrowed),
    };
    if (edit->added == NULL || edit->removed == NULL || edit->narrowed == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for an edit of a merge");
    return KIWI_OK;
}

/* Everything up to boundary (data NULL: everything) has left the input. */
static void edit_consume(struct version_edit *edit, struct job_input *input, struct bytes boundary)
{
    for (; input->place_kept < input->place_count; input->place_kept++) {
        const struct table_place *place = &input->places[input->place_kept];
        const struct table_info  *info = &place->table->info;

        if (boundary.data != NULL && bytes_compare(info->largest, boundary) > 0) {
            bool is_begun = bytes_compare(info->smallest, boundary) <= 0;
            bool is_further = place->above.data == NULL
                || bytes_compare(boundary, place->above) > 0;

            if (is_begun && is_further)
                edit->narrowed[edit->narrowed_count++] =
                    (struct edit_narrowed){ .table_id = info->id, .above = boundary };
            return;
        }
        edit->removed[edit->removed_count++] = info->id;
    }
}

static enum kiwi_status edit_build(struct job *job, uint32_t output_count, bool is_last)
{
    struct version_edit     *edit = &job->publish.edit;
    const struct job_output *output = job->outputs;
    struct bytes             boundary = is_last ? job->plan.last : (struct bytes){ 0 };
    uint32_t                 place_count = 0;

    assert(is_last || output_count > 0);
    for (uint32_t i = 0; i < job->input_count; i++)
        place_count += job->inputs[i].place_count;
    TRY(edit_reserve(edit, output_count, place_count, job->input_count));
    for (uint32_t i = 0; i < output_count; i++, output = output->next) {
        edit->added[edit->added_count++] = (struct edit_added){
            .table = output->table, .level = job->target_level, .run_id = job->run_id };
        if (!is_last)
            boundary = output->boundary;
    }
    for (uint32_t i = 0; i < job->input_count; i++)
        if (job->inputs[i].places != NULL)
            edit_consume(edit, &job->inputs[i], boundary);
    return KIWI_OK;
}

/* ---- steps ---- */

static void publish_on_sync(struct io_request *request)
{
    struct job_publish *publish = container_of(request, struct job_publish, request);
    struct job         *job = container_of(publish, struct job, publish);

    assert(publish->is_request_out);
    publish->is_request_out = false;
    job_request_done(job, request);
}

/* The names of fresh files must be on stable media before an edit may name them. */
static void directory_sync_start(struct job *job)
{
    struct job_publish *publish = &job->publish;

    publish->is_request_out = true;
    publish->request = (struct io_request){
        .file = job->options.directory,
        .verb = IO_SYNC,
        .class_of_service = job->kind == JOB_FLUSH ? IO_CLASS_FLUSH : IO_CLASS_COMPACTION,
        .done = publish_on_sync,
    };
    job_request_add(job, &publish->request);
}

static enum kiwi_status publish_start(struct job *job, uint32_t output_count, bool is_last)
{
    struct job_publish      *publish = &job->publish;
    const struct job_output *output = job->outputs;
    bool                     has_new = false;

    for (uint32_t i = 0; i < output_count; i++, output = output->next)
        has_new = has_new || output->is_new;
    publish->output_count = output_count;
    publish->is_last = is_last;
    publish->stage = has_new ? PUBLISH_SYNCING : PUBLISH_READY;
    TRY(edit_build(job, output_count, is_last));
    if (has_new)
        directory_sync_start(job);
    return KIWI_OK;
}

enum kiwi_status job_publish_advance(struct job *job)
{
    struct job_publish *publish = &job->publish;
    uint32_t            complete;
    bool                are_all;

    if (publish->stage == PUBLISH_READY)
        return KIWI_OK;
    if (publish->stage == PUBLISH_SYNCING) {
        if (publish->is_request_out)
            return KIWI_OK;
        publish->stage = PUBLISH_READY;
        return KIWI_OK;
    }
    complete = outputs_complete(job, &are_all);
    if (is_merged(job) && are_all)
        return publish_start(job, complete, true);
    if (job->kind == JOB_COMPACTION && complete >= JOB_PUBLISH_TABLES)
        return publish_start(job, complete, false);
    return KIWI_OK;
}

void job_publish_end(struct job *job)
{
    struct job_publish *publish = &job->publish;

    assert(!publish->is_request_out);
    memory_free(publish->edit.added);
    memory_free(publish->edit.removed);
    memory_free(publish->edit.narrowed);
    *publish = (struct job_publish){ .stage = PUBLISH_NONE };
}

/* ---- moving tables as they are ---- */

static bool place_is_movable(const struct job *job, const struct table_place *place)
{
    const struct table_info *info = &place->table->info;

    if (place->above.data != NULL || (job->is_bottom && info->tombstone_count > 0))
        return false;
    return job->plan.last.data == NULL || bytes_compare(info->largest, job->plan.last) <= 0;
}

/* Appends the places in key order; false when two share keys. */
static bool places_merge(const struct plan_part *parts, uint32_t count,
                         const struct table_place **sorted)
{
    uint32_t at[MERGE_INPUT_MAX] = { 0 };
    uint32_t sorted_count = 0;

    for (;;) {
        uint32_t least = count;

        for (uint32_t i = 0; i < count; i++) {
            if (at[i] == parts[i].count)
                continue;
            if (least == count
                || bytes_compare(parts[i].places[at[i]].table->info.smallest,
                                 parts[least].places[at[least]].table->info.smallest) < 0)
                least = i;
        }
        if (least == count)
            return true;
        const struct table_place *place = &parts[least].places[at[least]++];

        if (sorted_count > 0
            && bytes_compare(sorted[sorted_count - 1]->table->info.largest,
                             place->table->info.smallest) >= 0)
            return false;
        sorted[sorted_count++] = place;
    }
}

/*
 * Runs that share no key, as ascending inserts make them, become one run without being read. Small
 * tables are merged all the same: they would only pile up.
 */
enum kiwi_status job_publish_move(struct job *job, const struct plan_part *parts, uint32_t count,
                                  bool *is_move)
{
    const struct table_place **sorted;
    uint32_t                   place_count = 0;
    uint64_t                   bytes = 0;
    enum kiwi_status           status = KIWI_OK;

    *is_move = false;
    for (uint32_t i = 0; i < count; i++) {
        if (parts[i].level == job->target_level)
            return KIWI_OK; /* the target's own run is in it, or runs of one level */
        for (uint32_t k = 0; k < parts[i].count; k++) {
            if (!place_is_movable(job, &parts[i].places[k]))
                return KIWI_OK;
            bytes += parts[i].places[k].table->info.file_bytes;
        }
        place_count += parts[i].count;
    }
    if (bytes / place_count < job->options.table_bytes / 4)
        return KIWI_OK;
    sorted = memory_allocate(place_count * sizeof *sorted);
    if (sorted == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for %u tables", (unsigned)place_count);
    *is_move = places_merge(parts, count, sorted);
    if (*is_move)
        status = edit_reserve(&job->publish.edit, place_count, place_count, 0);
    for (uint32_t i = 0; *is_move && status == KIWI_OK && i < place_count; i++) {
        struct version_edit *edit = &job->publish.edit;

        edit->removed[edit->removed_count++] = sorted[i]->table->info.id;
        edit->added[edit->added_count++] = (struct edit_added){
            .table = sorted[i]->table, .level = job->target_level, .run_id = job->run_id };
    }
    memory_free(sorted);
    return status;
}
