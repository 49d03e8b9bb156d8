/*
 * job.c: a flush or a compaction as one state machine that never blocks.
 *
 *   each step:   outputs write what they can ──► publish what is complete ──► merge a slice
 *
 * The merge stops when the step's budget is used, at a block that is not in memory, when an output
 * needs its file, or when writes lag behind; nothing of it is lost by stopping anywhere.
 */
#include "compact/job_state.h"

#include <inttypes.h>

#include "core/base/hash.h"
#include "core/base/memory.h"

#define ENTRY_OVERHEAD_BYTES 16u /* at most about, in a table: sequence, offsets, filter */
#define LEAP_TABLES_MIN      4u  /* of the last level, between two neighbouring keys */

/* ---- failure and requests ---- */

void job_fail(struct job *job, enum kiwi_status status)
{
    assert(status != KIWI_OK);
    if (job->status == KIWI_OK)
        job->status = status;
}

void job_request_add(struct job *job, struct io_request *request)
{
    assert(job->queue != NULL);
    job->io_outstanding++;
    io_queue_add(job->queue, request);
}

void job_request_done(struct job *job, const struct io_request *request)
{
    assert(job->io_outstanding > 0);
    job->io_outstanding--;
    if (request->status != KIWI_OK)
        job_fail(job, request->status);
}

/* ---- opening ---- */

static enum kiwi_status job_make(const struct job_options *options, enum job_kind kind,
                                 uint32_t input_count, struct job **out)
{
    struct job *job = memory_allocate_zeroed(sizeof *job);
    uint64_t   *snapshots;

    *out = NULL;
    if (job == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a job");
    job->options = *options;
    job->kind = kind;
    job->outputs_end = &job->outputs;
    snapshots = memory_allocate((options->snapshot_count + 1) * sizeof *snapshots);
    job->options.snapshots = snapshots;
    job->inputs = memory_allocate_aligned((input_count + 1) * sizeof *job->inputs,
                                          CACHE_LINE_BYTES);
    job->iters = memory_allocate((input_count + 1) * sizeof(struct iter *));
    job->key = memory_allocate(KIWI_KEY_BYTES_MAX);
    if (snapshots == NULL || job->inputs == NULL || job->iters == NULL || job->key == NULL) {
        job_close(job);
        return FAIL(KIWI_NO_MEMORY, "no memory for a job of %" PRIu32 " inputs", input_count);
    }
    for (uint32_t i = 0; i < options->snapshot_count; i++) {
        assert(i == 0 || options->snapshots[i - 1] <= options->snapshots[i]);
        snapshots[i] = options->snapshots[i];
    }
    *out = job;
    return KIWI_OK;
}

/* A key range that stays, whoever owned it before. */
static enum kiwi_status job_plan_copy(struct job *job, const struct compaction_plan *plan)
{
    job->plan = *plan;
    job->plan_keys = memory_allocate(plan->first.size + plan->last.size + 1);
    if (job->plan_keys == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for the key range of a merge");
    if (plan->first.data != NULL) {
        memcpy(job->plan_keys, plan->first.data, plan->first.size);
        job->plan.first.data = job->plan_keys;
    }
    if (plan->last.data != NULL) {
        memcpy(job->plan_keys + plan->first.size, plan->last.data, plan->last.size);
        job->plan.last.data = job->plan_keys + plan->first.size;
    }
    return KIWI_OK;
}

/* All inputs are in place. */
static enum kiwi_status job_source_open(struct job *job)
{
    for (uint32_t i = 0; i < job->input_count; i++)
        job->iters[i] = job_input_iter(&job->inputs[i]);
    if (job->input_count == 0) {
        job->source_state = SOURCE_ENDED;
    } else if (job->input_count == 1) {
        job->source = job->iters[0];
    } else {
        TRY(merge_open(job->iters, job->input_count, &job->merge));
        job->source = merge_iter(job->merge);
    }
    return KIWI_OK;
}

enum kiwi_status job_flush_open(const struct job_options *options,
                                struct memtable *const *memtables, uint32_t count,
                                uint64_t run_id, struct job **out)
{
    struct job      *job;
    enum kiwi_status status;

    assert(count > 0);
    assert(count <= MERGE_INPUT_MAX);
    TRY(job_make(options, JOB_FLUSH, count, &job));
    job->run_id = run_id;
    job->filter_bits = options->filter_bits_tiered;
    for (uint32_t i = 0; i < count; i++) {
        const struct memtable *memtable = memtables[count - 1 - i];

        job_input_init_memtable(&job->inputs[i], job, memtable);
        job->input_count++;
        job->total_entries += memtable_entry_count(memtable);
        job->total_raw_bytes += memtable_data_bytes(memtable);
    }
    /* A table adds a few bytes to each entry, and its filter. */
    job->total_file_bytes = job->total_raw_bytes + job->total_entries * 8
        + job->total_entries * job->filter_bits / 8;
    status = job_source_open(job);
    if (status != KIWI_OK) {
        job_close(job);
        return status;
    }
    *out = job;
    return KIWI_OK;
}

/* The id of the run that the outputs go to. */
static uint64_t output_run_id(const struct version *version, const struct compaction_plan *plan,
                              uint64_t run_id)
{
    const struct level *target = &version->levels[plan->target_level];

    if (plan->takes_target_run)
        return target->runs[0]->id;
    /* Runs of one level merged among themselves: the result stands where the youngest stood. */
    if (plan->target_level == plan->source_level)
        return target->runs[target->run_count - plan->source_run_count]->id;
    return run_id;
}

/* Makes room for places and barriers of one run. */
static enum kiwi_status job_barriers_reserve(struct job *job, uint32_t count)
{
    job->target_places = memory_allocate(count * sizeof *job->target_places);
    job->barriers = memory_allocate(count * sizeof *job->barriers);
    if (job->target_places == NULL || job->barriers == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a merge over %" PRIu32 " tables", count);
    return KIWI_OK;
}

/*
 * Keys that arrive in a few ascending streams should rewrite only the ends of the streams, not what
 * lies between. So tables of the target's run that share no key with a source table stay as they
 * are, and outputs are cut in front of them.
 */
static enum kiwi_status job_target_thin(struct job *job, struct plan_part *parts, uint32_t *count)
{
    struct plan_part *target = &parts[*count - 1];
    uint32_t          kept = 0;

    assert(job->plan.takes_target_run);
    if (target->level != job->target_level)
        return KIWI_OK;
    TRY(job_barriers_reserve(job, target->count));
    for (uint32_t i = 0; i < target->count; i++) {
        bool is_shared = false;

        for (uint32_t k = 0; k + 1 < *count && !is_shared; k++)
            is_shared = part_overlaps(&parts[k], &target->places[i]);
        if (is_shared)
            job->target_places[kept++] = target->places[i];
        else
            job->barriers[job->barrier_count++] = target->places[i].table->info.smallest;
    }
    job->barriers_to_cut = 1;
    target->places = job->target_places;
    target->count = kept;
    *count -= kept == 0;
    return KIWI_OK;
}

/* For that to happen, the tables above must not reach over what lies between the streams either:
 * outputs of upper levels are cut where a step of the keys leaps over tables of the last level. */
static enum kiwi_status job_leaps_find(struct job *job, const struct version *version)
{
    const struct level *last = &version->levels[version->level_count - 1];
    const struct run   *run = last->runs[0];

    if (version->level_count - 1 <= job->target_level || last->run_count != 1
        || run->table_count < LEAP_TABLES_MIN)
        return KIWI_OK;
    TRY(job_barriers_reserve(job, run->table_count));
    for (uint32_t i = 0; i < run->table_count; i++)
        job->barriers[i] = run->places[i].table->info.smallest;
    job->barrier_count = run->table_count;
    job->barriers_to_cut = LEAP_TABLES_MIN + 1;
    job->cut_bytes_min = job->options.table_bytes / 16;
    return KIWI_OK;
}

static void job_inputs_open(struct job *job, const struct plan_part *parts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        job_input_init_run(&job->inputs[i], job, &parts[i]);
        job->input_count++;
        for (uint32_t k = 0; k < parts[i].count; k++) {
            const struct table_info *info = &parts[i].places[k].table->info;

            job->total_entries += info->entry_count;
            job->total_raw_bytes += info->raw_bytes;
            job->total_file_bytes += info->file_bytes;
        }
    }
}

enum kiwi_status job_compaction_open(const struct job_options *options, struct version *version,
                                     const struct compaction_plan *plan, uint64_t run_id,
                                     struct job **out)
{
    struct plan_part parts[MERGE_INPUT_MAX];
    uint32_t         count;
    bool             is_move = false;
    struct job      *job;
    enum kiwi_status status;

    assert(plan->reason != COMPACTION_NONE);
    assert(plan_run_count(version, plan) <= MERGE_INPUT_MAX);
    count = plan_parts(version, plan, parts);
    TRY(job_make(options, JOB_COMPACTION, count, &job));
    job->target_level = plan->target_level;
    job->is_bottom = plan->is_bottom;
    job->run_id = output_run_id(version, plan, run_id);
    job->filter_bits = plan->is_bottom || plan->takes_target_run ? options->filter_bits_last
                                                                 : options->filter_bits_tiered;
    status = job_plan_copy(job, plan);
    if (status == KIWI_OK && count > 0)
        status = plan->takes_target_run ? job_target_thin(job, parts, &count)
                                        : job_leaps_find(job, version);
    if (status == KIWI_OK && count > 0)
        status = job_publish_move(job, parts, count, &is_move);
    if (status == KIWI_OK) {
        if (!is_move)
            job_inputs_open(job, parts, count);
        status = job_source_open(job);
    }
    if (status != KIWI_OK) {
        job_close(job);
        return status;
    }
    job->is_done = count == 0;
    if (is_move) {
        job->publish.stage = PUBLISH_READY;
        job->publish.is_last = true;
    }
    job->version = version; /* the caller's hold is ours now */
    *out = job;
    return KIWI_OK;
}

/* Tables of an edit that nobody answered for may be in a version: they are let go of, the rest is
 * closed. Their files are found again when the database opens. */
static void outputs_abandon(struct job *job)
{
    uint32_t in_edit = job->publish.stage == PUBLISH_READY ? job->publish.output_count : 0;

    for (struct job_output *output = job->outputs, *next; output != NULL; output = next) {
        next = output->next;
        if (in_edit > 0)
            in_edit--;
        else
            table_close(output->table);
        output->table = NULL;
        io_file_close(output->file);
        output->file = NULL;
        job_output_free(output);
    }
}

void job_close(struct job *job)
{
    if (job == NULL)
        return;
    assert(job->io_outstanding == 0);
    outputs_abandon(job);
    job_publish_end(job);
    merge_close(job->merge);
    for (uint32_t i = 0; i < job->input_count; i++)
        job_input_close(&job->inputs[i]);
    if (job->version != NULL)
        version_release(job->version);
    memory_free((void *)(uintptr_t)job->options.snapshots);
    memory_free(job->inputs);
    memory_free(job->iters);
    memory_free(job->key);
    memory_free(job->plan_keys);
    memory_free(job->target_places);
    memory_free(job->barriers);
    memory_free(job);
}

/* ---- merging ---- */

enum slice_end {
    SLICE_USED = 0,    /* the batch is through */
    SLICE_WAITS,       /* for a block, or for writes */
    SLICE_WANTS_FILE,
    SLICE_ENDED,       /* no entry is left */
    SLICE_FAILED,
};

static enum slice_end slice_failed(struct job *job, enum kiwi_status status)
{
    job_fail(job, status);
    return SLICE_FAILED;
}

/* After a move of the source. */
static enum slice_end source_moved(struct job *job, enum iter_state state)
{
    switch (state) {
    case ITER_AT_ENTRY:
        job->source_state = SOURCE_AT_ENTRY;
        return SLICE_USED;
    case ITER_WANTS_BLOCK:
        job->source_state = SOURCE_WAITS;
        return SLICE_WAITS;
    case ITER_FAILED:
        return slice_failed(job, job->source->status);
    case ITER_END:
        break;
    }
    job->source_state = SOURCE_ENDED;
    return SLICE_ENDED;
}

/* The source begins, or goes on when the block it waits for has come. */
static enum slice_end source_resume(struct job *job)
{
    struct job_input *input;
    const uint8_t    *block;
    enum kiwi_status  status;

    if (job->source_state == SOURCE_AT_ENTRY)
        return SLICE_USED;
    if (job->source_state == SOURCE_NEW) {
        for (uint32_t i = 0; i < job->input_count; i++)
            job_input_prefetch(&job->inputs[i]);
        return source_moved(job, iter_first(job->source));
    }
    assert(job->source_state == SOURCE_WAITS);
    input = &job->inputs[job->merge == NULL ? 0 : merge_waiting_input(job->merge)];
    status = job_input_block(input, &block);
    if (status != KIWI_OK)
        return slice_failed(job, status);
    return block == NULL ? SLICE_WAITS : source_moved(job, iter_supply(job->source, block));
}

/* An output to put an entry into: SLICE_USED when there is one. */
static enum slice_end output_ready(struct job *job)
{
    uint32_t         open_count = 0;
    enum kiwi_status status;

    if (job->filling != NULL && job->filling->stage != OUTPUT_WANTS_FILE)
        return SLICE_USED;
    if (job->filling != NULL) {
        if (job->filling->file == NULL)
            return SLICE_WANTS_FILE;
        status = job_output_start(job->filling);
        return status == KIWI_OK ? SLICE_USED : slice_failed(job, status);
    }
    for (struct job_output *output = job->outputs; output != NULL; output = output->next)
        open_count += output->stage != OUTPUT_COMPLETE;
    if (open_count >= JOB_OUTPUTS_OPEN)
        return SLICE_WAITS;
    status = job_output_begin(job);
    return status == KIWI_OK ? SLICE_WANTS_FILE : slice_failed(job, status);
}

static inline bool key_is_same(const struct job *job, struct bytes key)
{
    if (!job->has_key || key.size != job->key_bytes)
        return false;
    if (LIKELY(key.size >= 8)) { /* neighbours mostly differ in their last bytes */
        uint64_t a, b;

        memcpy(&a, key.data + key.size - 8, 8);
        memcpy(&b, job->key + key.size - 8, 8);
        if (a != b)
            return false;
    }
    return key.size == 0 || memcmp(key.data, job->key, key.size) == 0;
}

/* Asking the writer for its size costs more than adding to it: only when half of what was missing
 * at the last look may have come. */
static bool output_is_full(struct job *job)
{
    struct job_output *output = job->filling;
    uint64_t           bytes;

    if (output == NULL || output->writer == NULL || job->added_bytes < output->look_at_bytes
        || table_writer_entry_count(output->writer) == 0)
        return false;
    bytes = table_writer_bytes(output->writer);
    if (bytes >= output->target_bytes)
        return true;
    output->look_at_bytes = job->added_bytes
        + max_u64((output->target_bytes - bytes) / 2, PAGE_BYTES);
    return false;
}

/* True when an output must not, or had better not, hold both the key and those before. */
static bool barriers_are_passed(struct job *job, struct bytes key)
{
    const struct job_output *output = job->filling;
    uint32_t                 passed = 0;

    while (job->barrier_at < job->barrier_count
           && bytes_compare(key, job->barriers[job->barrier_at]) > 0) {
        job->barrier_at++;
        passed++;
    }
    return passed >= job->barriers_to_cut && output != NULL && output->writer != NULL
        && table_writer_entry_count(output->writer) > 0
        && table_writer_bytes(output->writer) >= job->cut_bytes_min;
}

/* A key that was not met before: outputs are cut here, never between versions of one key. */
static enum slice_end key_begins(struct job *job, struct bytes key)
{
    enum kiwi_status status;

    if (UNLIKELY(job->plan.last.data != NULL) && bytes_compare(key, job->plan.last) > 0) {
        job->source_state = SOURCE_ENDED;
        return SLICE_ENDED;
    }
    if (output_is_full(job)
        || (UNLIKELY(job->barrier_at < job->barrier_count) && barriers_are_passed(job, key))) {
        status = job_output_finish(job->filling);
        if (status != KIWI_OK)
            return slice_failed(job, status);
    }
    return SLICE_USED;
}

static inline void key_remember(struct job *job, struct bytes key)
{
    assert(key.size <= KIWI_KEY_BYTES_MAX);
    if (key.size > 0)
        memcpy(job->key, key.data, key.size);
    job->key_bytes = key.size;
    job->has_key = true;
}

static inline void entry_dropped(struct job *job, const struct entry *entry)
{
    job->counters.entries_dropped++;
    job->counters.tombstones_dropped += entry->kind == ENTRY_DELETE;
}

/*
 * Merges about batch_bytes. Each pass of the loop either deals with one entry in full, or returns
 * with nothing of it done, so that the next call finds it again.
 */
static enum slice_end job_merge_batch(struct job *job, uint64_t batch_bytes)
{
    struct iter *source = job->source;
    uint64_t     end = job->merged_raw_bytes + batch_bytes;

    assert(job->source_state == SOURCE_AT_ENTRY);
    while (job->merged_raw_bytes < end) {
        const struct entry *entry = &source->entry;
        bool                is_same = key_is_same(job, entry->key);
        uint64_t            before = is_same ? job->sequence_before : 0;
        enum slice_end      verdict;
        enum kiwi_status    status;

        if (!is_same && UNLIKELY((verdict = key_begins(job, entry->key)) != SLICE_USED))
            return verdict;
        if (drop_entry(entry, before, job->is_bottom, job->options.snapshots,
                       job->options.snapshot_count)) {
            entry_dropped(job, entry);
        } else {
            if (UNLIKELY((verdict = output_ready(job)) != SLICE_USED))
                return verdict;
            uint64_t hash = hash_key(entry->key, job->options.hash_seed);

            status = table_writer_add(job->filling->writer, entry, hash);
            if (UNLIKELY(status != KIWI_OK))
                return slice_failed(job, status);
            job->counters.entries_out++;
            job->added_bytes += entry->key.size + entry->value.size + ENTRY_OVERHEAD_BYTES;
        }
        if (!is_same)
            key_remember(job, entry->key);
        job->sequence_before = entry->sequence;
        job->merged_entries++;
        job->merged_raw_bytes += entry->key.size + entry->value.size + 1;
        if (UNLIKELY((verdict = source_moved(job, iter_next(source))) != SLICE_USED))
            return verdict;
    }
    return SLICE_USED;
}

static void outputs_pump(struct job *job)
{
    for (struct job_output *output = job->outputs; output != NULL && job->status == KIWI_OK;
         output = output->next) {
        enum kiwi_status status = job_output_pump(output);

        if (status != KIWI_OK)
            job_fail(job, status);
    }
}

/* True when the writer has more full chunks than writes can keep up with. */
static bool writes_lag(const struct job *job)
{
    return job->filling != NULL && job->filling->writer != NULL
        && table_writer_chunks_waiting(job->filling->writer) > JOB_CHUNKS_WAITING;
}

static enum slice_end merge_slice(struct job *job, uint64_t budget_bytes)
{
    uint64_t       end = job->merged_raw_bytes + max_u64(budget_bytes, 1);
    enum slice_end verdict;

    do {
        if (writes_lag(job))
            return SLICE_WAITS;
        verdict = source_resume(job);
        if (verdict == SLICE_USED)
            verdict = job_merge_batch(job, min_u64(end - job->merged_raw_bytes,
                                                   JOB_BATCH_BYTES));
        outputs_pump(job);
        if (job->status != KIWI_OK)
            return SLICE_FAILED;
    } while (verdict == SLICE_USED && job->merged_raw_bytes < end);
    return verdict;
}

/* The source has ended: the last output gets no more entries. */
static void merge_end(struct job *job)
{
    enum kiwi_status status = KIWI_OK;

    assert(job->source_state == SOURCE_ENDED);
    if (job->filling != NULL && job->filling->writer != NULL)
        status = job_output_finish(job->filling);
    else
        assert(job->filling == NULL);
    if (status != KIWI_OK)
        job_fail(job, status);
    outputs_pump(job);
}

/* ---- steps ---- */

static enum job_state job_stopped(const struct job *job)
{
    assert(job->status != KIWI_OK);
    return job->io_outstanding > 0 ? JOB_WAITING : JOB_FAILED;
}

static enum job_state job_waiting(const struct job *job)
{
    assert(job->io_outstanding > 0);
    return JOB_WAITING;
}

static void publish_pump(struct job *job)
{
    enum kiwi_status status = job->status == KIWI_OK ? job_publish_advance(job) : KIWI_OK;

    if (status != KIWI_OK)
        job_fail(job, status);
}

static enum job_state job_advance(struct job *job, uint64_t budget_bytes)
{
    enum slice_end verdict = SLICE_ENDED;

    if (job->is_done) /* what was read ahead and is not needed may still be on its way */
        return job->io_outstanding > 0 ? JOB_WAITING : JOB_DONE;
    if (job->is_cancelled && job->status == KIWI_OK)
        job_fail(job, FAIL(KIWI_CLOSED, "the job was cancelled"));
    outputs_pump(job);
    publish_pump(job);
    if (job->status != KIWI_OK)
        return job_stopped(job);
    if (job->publish.stage == PUBLISH_READY)
        return JOB_PUBLISH;
    if (job->source_state != SOURCE_ENDED)
        verdict = merge_slice(job, budget_bytes);
    if (verdict == SLICE_ENDED && job->filling != NULL)
        merge_end(job);
    publish_pump(job);
    if (job->status != KIWI_OK)
        return job_stopped(job);
    if (job->publish.stage == PUBLISH_READY)
        return JOB_PUBLISH;
    switch (verdict) {
    case SLICE_USED:
        return JOB_RUNNABLE;
    case SLICE_WANTS_FILE:
        return JOB_WANTS_FILE;
    default:
        return job_waiting(job);
    }
}

enum job_state job_step(struct job *job, struct io_queue *queue, struct buffers *buffers,
                        uint64_t budget_bytes)
{
    uint64_t       begin_ns = io_now_ns(job->options.io);
    enum job_state state;

    assert(queue != NULL);
    assert(job->buffers == NULL || job->buffers == buffers);
    if (UNLIKELY(buffers == NULL) && job->status == KIWI_OK && !job->is_cancelled)
        job_fail(job, FAIL(KIWI_NO_MEMORY, "no memory for the buffers of a merge"));
    job->queue = queue;
    job->buffers = buffers;
    state = job_advance(job, budget_bytes);
    job->counters.busy_ns += io_now_ns(job->options.io) - begin_ns;
    return state;
}

void job_cancel(struct job *job)
{
    job->is_cancelled = true;
}

/* ---- files ---- */

uint64_t job_file_bytes(const struct job *job)
{
    assert(job->filling != NULL);
    return job->filling->file_bytes;
}

void job_file_give(struct job *job, struct io_file *file, uint64_t file_id, uint64_t table_id,
                   bool is_new)
{
    struct job_output *output = job->filling;

    assert(output != NULL);
    assert(output->stage == OUTPUT_WANTS_FILE);
    assert(output->file == NULL);
    output->file = file;
    output->file_id = file_id;
    output->table_id = table_id;
    output->is_new = is_new;
}

void job_file_refuse(struct job *job, enum kiwi_status status)
{
    assert(job->filling != NULL);
    assert(job->filling->file == NULL);
    job_fail(job, status);
}

bool job_file_take_back(struct job *job, struct io_file **file, uint64_t *file_id, bool *is_new)
{
    assert(job->status != KIWI_OK);
    assert(job->io_outstanding == 0);
    for (struct job_output *output = job->outputs; output != NULL; output = output->next) {
        if (output->table != NULL) {
            output->file = output->table->file;
            output->table->file = NULL;
            table_close(output->table);
            output->table = NULL;
        }
        if (output->file != NULL) {
            *file = output->file;
            *file_id = output->file_id;
            *is_new = output->is_new;
            output->file = NULL;
            return true;
        }
    }
    return false;
}

/* ---- publishing ---- */

struct version_edit *job_edit(struct job *job)
{
    assert(job->publish.stage == PUBLISH_READY);
    return &job->publish.edit;
}

void job_published(struct job *job, enum kiwi_status status)
{
    bool is_last = job->publish.is_last;

    assert(job->publish.stage == PUBLISH_READY);
    if (status != KIWI_OK) {
        job_publish_end(job);
        job_fail(job, status);
        return;
    }
    for (uint32_t i = job->publish.output_count; i > 0; i--) {
        struct job_output *output = job->outputs;

        job->outputs = output->next;
        if (job->outputs == NULL)
            job->outputs_end = &job->outputs;
        output->table = NULL; /* the version has it */
        job_output_free(output);
    }
    job_publish_end(job);
    job->is_done = is_last;
}

/* ---- asking ---- */

enum job_kind job_kind(const struct job *job)
{
    return job->kind;
}

enum kiwi_status job_status(const struct job *job)
{
    return job->status;
}

const struct compaction_plan *job_plan(const struct job *job)
{
    return job->kind == JOB_COMPACTION ? &job->plan : NULL;
}

struct job_counters job_counters(const struct job *job)
{
    struct job_counters counters = job->counters;

    counters.entries_in = job->merged_entries;
    return counters;
}
