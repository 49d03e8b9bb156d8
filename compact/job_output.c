/*
 * job_output.c: outputs of a merge: a table writer, a file, and the writes between them.
 *
 *   WANTS_FILE ──► ALLOCATING ──► FILLING ──► SYNCING ──► COMPLETE
 *
 * FILLING lasts until the last write is done, also when no entry comes any more (is_finished). The
 * last entry may even come while the file is still being allocated.
 */
#include "compact/job_state.h"

#include <inttypes.h>

#include "core/base/memory.h"

#define ALLOCATE_STEP_BYTES_MIN (64u << 10)
#define ALLOCATE_STEP_BYTES_MAX (4u << 20)

static uint8_t output_class(const struct job *job)
{
    return job->kind == JOB_FLUSH ? IO_CLASS_FLUSH : IO_CLASS_COMPACTION;
}

/* Table bytes that the rest of the input would make if nothing were dropped. */
static uint64_t bytes_left(const struct job *job)
{
    double share = job->total_raw_bytes == 0
        ? 0 : 1 - (double)job->merged_raw_bytes / (double)job->total_raw_bytes;

    return share <= 0 ? 0 : (uint64_t)(share * (double)job->total_file_bytes);
}

/* Outputs of one job are evened out, so that the last is no splinter. */
static uint64_t output_target(const struct job *job)
{
    uint64_t table = max_u64(job->options.table_bytes, PAGE_BYTES);
    uint64_t left = bytes_left(job);

    if (left <= table + table / 4)
        return table + table / 4;
    return left / ((left + table - 1) / table);
}

enum kiwi_status job_output_begin(struct job *job)
{
    struct job_output *output = memory_allocate_zeroed(sizeof *output);
    uint64_t           expected;

    if (output == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for an output of a merge");
    output->job = job;
    output->target_bytes = output_target(job);
    expected = min_u64(output->target_bytes, bytes_left(job));
    /* Index, filter, properties and footer come on top; a few entries too many only grow the
     * file. */
    output->file_bytes = round_up_u64(expected + expected / 32 + 64 * 1024, PAGE_BYTES);
    *job->outputs_end = output;
    job->outputs_end = &output->next;
    job->filling = output;
    return KIWI_OK;
}

/* The job's observer wants to know which table a block belongs to. */
static void output_on_block(void *context, struct block_ref ref, const uint8_t *block)
{
    const struct job_output  *output = context;
    const struct job_options *options = &output->job->options;

    options->block_done(options->block_context, output->table_id, ref, block);
}

static void output_on_request(struct io_request *request)
{
    struct job_output *output = container_of(request, struct job_output, request);

    assert(output->is_request_out);
    output->is_request_out = false;
    job_request_done(output->job, request);
}

static void output_request(struct job_output *output, enum io_verb verb, uint64_t offset)
{
    assert(!output->is_request_out);
    output->is_request_out = true;
    output->request = (struct io_request){
        .file = output->file,
        .offset = offset,
        .verb = (uint8_t)verb,
        .class_of_service = output_class(output->job),
        .done = output_on_request,
    };
    job_request_add(output->job, &output->request);
}

enum kiwi_status job_output_finish(struct job_output *output)
{
    struct job *job = output->job;
    uint8_t    *copy = memory_allocate(job->key_bytes + 1);

    assert(!output->is_finished);
    if (copy == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a key of %zu bytes", job->key_bytes);
    memcpy(copy, job->key, job->key_bytes);
    output->boundary = bytes_of(copy, job->key_bytes);
    output->is_finished = true;
    job->filling = NULL;
    return table_writer_finish(output->writer);
}

/* ---- writing ---- */

static void output_on_write(struct io_request *request)
{
    struct job_write  *write = container_of(request, struct job_write, request);
    struct job_output *output = write->output;

    assert(write->is_out);
    assert(output->writes_out > 0);
    table_writer_chunk_give(output->writer, &write->chunk);
    write->is_out = false;
    output->writes_out--;
    job_request_done(output->job, request);
}

/* False when the writer has no full chunk, or all places are taken. */
static bool output_write_next(struct job_output *output)
{
    struct job_write *write = NULL;

    for (uint32_t i = 0; i < JOB_WRITES_IN_FLIGHT && write == NULL; i++)
        if (!output->writes[i].is_out)
            write = &output->writes[i];
    if (write == NULL || !table_writer_chunk_take(output->writer, &write->chunk))
        return false;
    write->output = output;
    write->is_out = true;
    write->request = (struct io_request){
        .file = output->file,
        .buffer = write->chunk.data,
        .offset = write->chunk.offset,
        .bytes = write->chunk.bytes,
        .verb = IO_WRITE,
        .class_of_service = output_class(output->job),
        .done = output_on_write,
    };
    output->writes_out++;
    output->end_bytes = max_u64(output->end_bytes, write->chunk.offset + write->chunk.bytes);
    output->job->counters.write_bytes += write->chunk.bytes;
    job_request_add(output->job, &write->request);
    return true;
}

static enum kiwi_status output_complete(struct job_output *output)
{
    TRY(table_writer_table(output->writer, output->file, &output->table));
    output->file = NULL; /* the table has it */
    table_writer_close(output->writer);
    output->writer = NULL;
    output->stage = OUTPUT_COMPLETE;
    return KIWI_OK;
}

/* Space for all that is expected is taken before the first write: ext4 lets an allocation wait for
 * the writes of its file, and further writes wait for it (seen: up to 39 ms, in the call that
 * submits). Only what goes beyond the estimate is taken in steps. */
static void output_allocate(struct job_output *output)
{
    uint64_t step = max_u64(output->job->options.table_bytes / 16, ALLOCATE_STEP_BYTES_MIN);
    uint64_t goal = output->file_bytes;

    step = min_u64(step, ALLOCATE_STEP_BYTES_MAX);
    if (output->is_finished)
        goal = min_u64(goal, round_up_u64(table_writer_bytes(output->writer), PAGE_BYTES));
    else if (output->allocated_bytes >= goal && output->end_bytes + step > goal)
        goal = output->end_bytes + 2 * step;
    if (output->is_request_out || goal <= output->allocated_bytes)
        return;
    output->allocated_bytes = goal;
    output_request(output, IO_ALLOCATE, goal);
}

enum kiwi_status job_output_start(struct job_output *output)
{
    struct job                 *job = output->job;
    uint64_t                    entries = max_u64(job->total_entries, 1);
    uint64_t                    entry_file_bytes = max_u64(job->total_file_bytes / entries, 1);
    struct table_writer_options options = {
        .buffers = job->buffers,
        .database = job->options.database,
        .table_id = output->table_id,
        .file_id = output->file_id,
        .average_entry_bytes = max_u64(job->total_raw_bytes / entries, 1),
        .block_bytes = job->options.block_bytes,
        .filter_bits_per_key = job->filter_bits,
        .hash_seed = job->options.hash_seed,
        .chunk_bytes = (uint32_t)job->options.window_bytes,
    };
    uint64_t left = job->total_entries > job->merged_entries
        ? job->total_entries - job->merged_entries : 1;

    assert(output->stage == OUTPUT_WANTS_FILE);
    assert(output->file != NULL);
    options.expected_entries = min_u64(output->target_bytes / entry_file_bytes + 1, left);
    TRY(table_writer_open(&options, &output->writer));
    if (job->options.block_done != NULL)
        table_writer_observe(output->writer, output_on_block, output);
    if (!output->is_new)
        TRY(io_file_size(output->file, &output->allocated_bytes));
    output->stage = OUTPUT_ALLOCATING;
    output_allocate(output);
    return KIWI_OK;
}

enum kiwi_status job_output_pump(struct job_output *output)
{
    if (output->stage == OUTPUT_WANTS_FILE || output->stage == OUTPUT_COMPLETE)
        return KIWI_OK;
    if (output->is_request_out && output->stage != OUTPUT_FILLING)
        return KIWI_OK;
    if (output->stage == OUTPUT_SYNCING)
        return output_complete(output);
    if (output->stage == OUTPUT_ALLOCATING)
        output->stage = OUTPUT_FILLING;
    output_allocate(output);
    while (output_write_next(output))
        ;
    if (output->is_finished && !output->is_request_out && output->writes_out == 0
        && table_writer_chunks_waiting(output->writer) == 0) {
        output->stage = OUTPUT_SYNCING;
        output_request(output, IO_SYNC, 0);
    }
    return KIWI_OK;
}

void job_output_free(struct job_output *output)
{
    if (output == NULL)
        return;
    assert(output->writes_out == 0);
    assert(!output->is_request_out);
    assert(output->file == NULL);
    assert(output->table == NULL);
    table_writer_close(output->writer);
    memory_free((void *)(uintptr_t)output->boundary.data);
    memory_free(output);
}
