/*
 * suite.c: carrying out a plan.
 *
 * For each data set: wipe, open, load, its runs, verify the sample, close. The first error or
 * interruption ends the suite; what was measured until then is kept and marked partial.
 */
#include "bench/suite.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/folder.h"
#include "bench/hot_shard.h"
#include "core/base/memory.h"

#define SAMPLE_COUNT 16384u

/* What lives as long as one data set. */
struct dataset {
    struct crew        *crew;
    struct tracked     *tracked;
    struct value_pool  *values;
    uint64_t           *hot_records;     /* of the run under way; owned */
    uint64_t            record_count;    /* that exist now */
    char                path[PATH_MAX];
};

void utc_write(char *text, size_t bytes, bool is_compact)
{
    time_t    now = time(NULL);
    struct tm parts;

    gmtime_r(&now, &parts);
    strftime(text, bytes, is_compact ? "%Y%m%dT%H%M%SZ" : "%Y-%m-%dT%H:%M:%SZ", &parts);
}

static bool is_interrupted(const struct suite *suite)
{
    return suite->interrupted != NULL && atomic_load(suite->interrupted);
}

/* Keys are at most 4 + 19 bytes unless padded, and nearly always near that. */
static uint64_t key_bytes(const struct workload *workload)
{
    return 4 + max_u64(19, workload->keys.digits_min);
}

static uint64_t record_bytes(const struct workload *workload)
{
    return key_bytes(workload) + (uint64_t)workload_value_bytes_mean(workload);
}

/* The workload of a run, with another number of operations unless that is 0. */
static struct workload workload_sized(const struct plan_run *run, uint64_t operations)
{
    struct workload workload = run->workload;

    if (operations > 0)
        workload.operation_count = operations;
    return workload;
}

/* Over the load and the runs of the data set that starts with first. */
static enum kiwi_durability strictest_durability(const struct plan *plan,
                                                 const struct plan_run *first)
{
    enum kiwi_durability strictest = plan->load_durability;

    for (const struct plan_run *run = first; run < plan->runs + plan->count; run++) {
        if (run != first && run->is_first)
            break;
        if (run->durability < strictest)
            strictest = run->durability;
    }
    assert(strictest != KIWI_DURABILITY_DEFAULT);
    return strictest;
}

/* What a workload will have made in the end. */
static uint64_t data_bytes(const struct workload *workload)
{
    return (workload->insert_count + workload_expected_inserts(workload)) * record_bytes(workload);
}

struct engine_options suite_engine_options(const struct suite *suite, const struct plan_run *first,
                                           const char *path)
{
    const struct bench_options *options = suite->options;
    const struct workload      *workload = &first->workload;

    return (struct engine_options){
        .directory = path,
        .memory_bytes = options->memory_bytes,
        .shard_count = options->shards,
        .thread_count = suite->plan->thread_count,
        .depth = suite->plan->depth,
        .model = options->model,
        .durability = strictest_durability(suite->plan, first),
        .io_backend = options->io_backend,
        .must_be_new = !options->is_existing,
        .has_no_statistics = options->has_no_statistics,
        .scan_rows = (workload->scan_rows_min + workload->scan_rows_max) / 2,
        .data_bytes = data_bytes(workload),
    };
}

/* For the runs from first on; workload: of the one that makes most records. */
static enum kiwi_status dataset_open(struct suite *suite, const struct plan_run *first,
                                     const struct workload *workload, struct dataset *dataset)
{
    const struct bench_options *options = suite->options;
    const struct plan          *plan = suite->plan;
    struct engine_options       engine;
    uint64_t record_max = workload->insert_start + workload->insert_count
                        + workload_expected_inserts(workload) + 1;

    data_folder_path(options->directory, dataset->path, sizeof dataset->path);
    if (!options->is_existing) {
        TRY(data_folder_wipe(options->directory));
        TRY(folder_make(dataset->path));
    } else if (first != plan->runs) {
        return FAIL(KIWI_INVALID, "%s needs data loaded anew: --existing is for what shares them",
                    first->name);
    } else if (access(dataset->path, F_OK) != 0) {
        return FAIL(KIWI_INVALID, "no data in %s for --existing: --keep leaves them there",
                    options->directory);
    }
    TRY(tracked_open(record_max, SAMPLE_COUNT, &dataset->tracked));
    TRY(value_pool_open(plan->seed, plan->value_bytes_max, &dataset->values));
    engine = suite_engine_options(suite, first, dataset->path);
    engine.data_bytes = data_bytes(workload);
    TRY(crew_open(&(struct crew_options){ .class = suite->class,
                                          .engine = engine,
                                          .value_bytes_max = plan->value_bytes_max },
                  &dataset->crew));
    suite->dataset_count++;
    suite->open_seconds += crew_open_seconds(dataset->crew);
    suite->class->describe(crew_engine(dataset->crew), suite->engine_settings,
                           sizeof suite->engine_settings);
    return KIWI_OK;
}

static enum kiwi_status dataset_close(struct suite *suite, struct dataset *dataset)
{
    uint64_t         start = clock_monotonic_ns();
    enum kiwi_status status = crew_close(dataset->crew);

    if (dataset->crew != NULL)
        suite->close_seconds += (double)(clock_monotonic_ns() - start) / 1e9;
    tracked_close(dataset->tracked);
    value_pool_close(dataset->values);
    memory_free(dataset->hot_records);
    memset(dataset, 0, sizeof *dataset);
    return status;
}

/* Enough that no thread is done before the time is over. */
static uint64_t step_operations(const struct suite *suite, const struct ladder_request *request)
{
    return request->operations + request->operations / 4 + 20ull * suite->plan->thread_count;
}

/* A replay starts at once: what it would warm up with is measured as well. */
static void task_of_replay(const struct suite *suite, struct task *task)
{
    const struct trace_about *about = trace_about(suite->plan->trace);
    double                    seconds;

    task->replay = suite->plan->trace;
    task->speed = suite->options->speed;
    task->operations = about->operation_count;
    task->warm_operations = 0;
    task->is_poisson = false;
    task->target = 0;
    if (task->speed > 0) {
        seconds = (double)max_u64(trace_due_ns(about->last_ns, task->speed), 1000000u) / 1e9;
        task->target = (double)task->operations / seconds;
    }
}

static struct task task_of(const struct suite *suite, const struct dataset *dataset,
                           const struct plan_run *run, enum task_kind kind)
{
    const struct bench_options *options = suite->options;
    const struct workload      *workload = &run->workload;
    struct task                 task = {
                        .kind = kind,
                        .workload = workload,
                        .values = dataset->values,
                        .tracked = dataset->tracked,
                        .durability = run->durability,
                        .seed = suite->plan->seed,
                        .is_verifying = options->is_verifying && suite->class->keeps_data,
                        .has_older_values = options->is_existing,
    };

    switch (kind) {
    case TASK_LOAD:
        task.durability = suite->plan->load_durability;
        task.operations = workload->insert_count;
        break;
    case TASK_RUN:
        task.operations = workload->operation_count;
        task.warm_operations = (uint64_t)((double)task.operations * options->warm_share);
        task.target = options->target > 0 ? options->target : (double)workload->target_per_second;
        task.is_poisson = !options->is_constant;
        if (suite->plan->trace != NULL)
            task_of_replay(suite, &task);
        break;
    case TASK_VERIFY:
        task.operations = tracked_count(dataset->tracked);
        break;
    }
    return task;
}

static void phase_account(struct suite *suite, struct dataset *dataset, struct suite_phase *phase)
{
    const struct recorder *totals = &phase->result.totals;
    const struct workload *workload = &phase->run->workload;
    uint64_t               written = totals->latencies[OPERATION_INSERT].count
                                   + totals->latencies[OPERATION_UPDATE].count;

    phase->user_bytes = written * record_bytes(workload)
                      + totals->latencies[OPERATION_DELETE].count * key_bytes(workload);
    dataset->record_count += totals->latencies[OPERATION_INSERT].count;
    /* Which records deletes found is known of the sample only. */
    phase->live_bytes = (uint64_t)((double)(dataset->record_count * record_bytes(workload))
                                   * (1 - tracked_deleted_share(dataset->tracked)));
    phase->folder_bytes = folder_bytes(dataset->path);
    suite->verified += totals->verified;
    suite->missing += totals->missing;
    suite->wrong += totals->wrong;
    if (phase->result.has_stats && phase->result.stats != NULL) {
        suite->shard_count = phase->result.stats->shard_count;
        snprintf(suite->io_backend, sizeof suite->io_backend, "%.15s",
                 phase->result.stats->io_backend);
        snprintf(suite->io_features, sizeof suite->io_features, "%.159s",
                 phase->result.stats->io_features);
    }
    if (phase->result.is_partial) {
        suite->is_partial = true;
        if (suite->status == KIWI_OK && phase->result.status != KIWI_OK) {
            suite->status = phase->result.status;
            snprintf(suite->text, sizeof suite->text, "%s", phase->result.text);
        }
    }
}

/* What a step of a ladder does otherwise than a phase of its own. */
static void task_of_step(const struct suite *suite, const struct ladder_request *request,
                         struct task *task)
{
    task->target = request->rate;
    /* Time ends a step, not its operations: random arrivals differ from thread to thread. */
    task->operations = step_operations(suite, request);
    task->warm_operations = (uint64_t)((double)request->operations * suite->options->warm_share);
    /* Other keys than in the step before, which are in the caches; the same ones in every run. */
    task->seed += (uint64_t)request->rate + ((uint64_t)request->attempt << 48);
}

static void phase_name(const struct plan_run *run, enum task_kind kind,
                       const struct ladder_request *request, char *text, size_t bytes)
{
    if (kind != TASK_RUN)
        snprintf(text, bytes, "%s", kind == TASK_LOAD ? "load" : "verify");
    else if (request == NULL)
        snprintf(text, bytes, "%s%s", run->name, strcmp(run->name, "load") == 0 ? "_run" : "");
    else if (request->rate <= 0)
        snprintf(text, bytes, "%s@closed", run->name);
    else if (request->attempt == 1)
        snprintf(text, bytes, "%s@%.0f", run->name, request->rate);
    else
        snprintf(text, bytes, "%s@%.0f-%u", run->name, request->rate, request->attempt);
}

/* Adds up the phase that has ended; it stays, unless it is of no interest by itself. */
static void phase_end(struct suite *suite, struct dataset *dataset, struct suite_phase *phase,
                      bool is_kept)
{
    phase_account(suite, dataset, phase);
    if (!is_kept && !phase->result.is_partial) {
        phase_result_free(&phase->result);
        return;
    }
    suite->phase_count++;
    if (suite->on_phase != NULL)
        suite->on_phase(suite->on_phase_context, suite, phase);
}

static enum kiwi_status recording_open(const struct suite *suite, const struct plan_run *run,
                                       struct task *task)
{
    struct trace_about about = {
        .client_count = suite->plan->thread_count,
        .is_intended = task->target > 0,
        .start_ns = (uint64_t)(clock_wall_seconds() * 1e9),
        .seed = task->seed,
    };
    char            *text = NULL;
    enum kiwi_status status = plan_properties_text(run, &text, &about.text_bytes);

    about.text = text;
    if (status == KIWI_OK)
        status = trace_writer_open(suite->options->trace_record, &about, &task->recording);
    memory_free(text);
    return status;
}

/* A run whose trace is not whole is partial. */
static void recording_close(struct suite *suite, struct task *task)
{
    if (task->recording == NULL)
        return;
    suite->has_recorded = true;
    if (trace_writer_close(task->recording, &suite->recorded, &suite->recorder_waits) != KIWI_OK
        && suite->status == KIWI_OK) {
        suite->status = KIWI_FULL;
        suite->is_partial = true;
        snprintf(suite->text, sizeof suite->text, "%s: %.400s", suite->options->trace_record,
                 fail_text());
    }
    task->recording = NULL;
}

/* request: NULL, or the step of a ladder that this is. is_kept: it gets a place in the report. */
static enum kiwi_status phase_run(struct suite *suite, struct dataset *dataset,
                                  const struct plan_run *run, enum task_kind kind,
                                  const struct ladder_request *request, bool is_kept)
{
    struct suite_phase   *phase = &suite->phases[suite->phase_count];
    struct task           task = task_of(suite, dataset, run, kind);
    const struct workload workload =
        workload_sized(run, request != NULL ? step_operations(suite, request) : 0);
    struct chooser        chooser;
    enum kiwi_status      status;
    double                limit = suite->options->seconds_max, warm_limit;

    assert(suite->phase_count < SUITE_PHASE_COUNT_MAX);
    memset(phase, 0, sizeof *phase);
    phase->run = run;
    phase->durability = task.durability;
    phase->is_step = request != NULL;
    if (request != NULL)
        task_of_step(suite, request, &task);
    if (kind == TASK_RUN) {
        task.workload = &workload;
    }
    if (kind == TASK_RUN && task.replay != NULL) {
        phase->result.stream_digest = trace_about(task.replay)->digest;
    } else if (kind == TASK_RUN) {
        chooser = workload_chooser(&workload);
        TRY(hot_shard_place(suite->class, crew_engine(dataset->crew), &workload, &chooser,
                            &dataset->hot_records));
        task.chooser = &chooser;
        if (request != NULL)
            limit = request->seconds_max;
        else if (limit <= 0)
            limit = (double)run->workload.seconds_max;
        /* Of what comes due in the time there is, not of what would take hours. */
        if (task.target > 0 && limit > 0)
            task.warm_operations =
                min_u64(task.warm_operations,
                        (uint64_t)(task.target * limit * suite->options->warm_share));
        TRY(stream_digest(&workload, task.seed, suite->plan->thread_count,
                          &phase->result.stream_digest));
        if (workload_inserts(&workload))
            TRY(acknowledged_open(workload.insert_start + workload.insert_count, &task.inserts));
    }
    warm_limit = limit * suite->options->warm_share;
    phase_name(run, kind, request, phase->result.name, sizeof phase->result.name);
    if (kind == TASK_RUN && suite->options->trace_record != NULL)
        TRY(recording_open(suite, run, &task));
    status =
        crew_run(dataset->crew,
                 &(struct run_options){ .task = task,
                                        .seconds_max = kind == TASK_RUN ? limit : 0,
                                        .warm_seconds_max = kind == TASK_RUN ? warm_limit : 0,
                                        .drain_seconds_max =
                                            kind == TASK_VERIFY ? 0 : suite->options->drain_seconds,
                                        .progress = suite->progress,
                                        .progress_context = suite->progress_context,
                                        .interrupted = suite->interrupted },
                 &phase->result);
    acknowledged_close(task.inserts);
    recording_close(suite, &task);
    if (status != KIWI_OK)
        return status;
    if (kind == TASK_VERIFY) {
        suite->sampled += phase->result.totals.verified;
        suite->sampled_missing += phase->result.totals.missing;
        suite->sampled_wrong += phase->result.totals.wrong;
        phase_result_free(&phase->result);
        return KIWI_OK;
    }
    phase_end(suite, dataset, phase, is_kept);
    return KIWI_OK;
}

static bool is_over(const struct suite *suite)
{
    return suite->is_partial || suite->status != KIWI_OK || is_interrupted(suite);
}

/* A ladder under way. */
struct climb {
    struct suite          *suite;
    struct dataset        *dataset;
    const struct plan_run *first, *run;   /* the one that loads, the one that is measured */
    bool                   has_changed;   /* the data set is no longer as it was loaded */
};

/* Data made anew for a step whose predecessor inserted or deleted. The load is not a phase of the
 * report. */
static enum kiwi_status dataset_renew(struct climb *climb, uint64_t operations)
{
    struct suite         *suite = climb->suite;
    const struct workload workload = workload_sized(climb->run, operations);

    TRY(dataset_close(suite, climb->dataset));
    TRY(dataset_open(suite, climb->first, &workload, climb->dataset));
    return phase_run(suite, climb->dataset, climb->first, TASK_LOAD, NULL, false);
}

static enum kiwi_status climb_step(void *context, const struct ladder_request *request,
                                   struct ladder_step *step, bool *is_cut_short)
{
    struct climb             *climb = context;
    struct suite             *suite = climb->suite;
    const struct suite_phase *phase = &suite->phases[suite->phase_count];
    struct kiwi_latency       sum;

    if (climb->has_changed)
        TRY(dataset_renew(climb, step_operations(suite, request)));
    *is_cut_short = is_over(suite);
    if (*is_cut_short)
        return KIWI_OK;
    climb->has_changed = workload_moves_records(&climb->run->workload);
    TRY(phase_run(suite, climb->dataset, climb->run, TASK_RUN, request, true));
    *is_cut_short = is_over(suite);
    step->asked = request->rate;
    step->seconds = phase->result.seconds;
    step->operations = phase->result.totals.operations;
    step->pace = phase_pace(&phase->result);
    step->achieved = step->pace.achieved;
    recorder_sum(&phase->result.totals, CLOCK_SERVICE, &sum);
    step->service = quantiles_of(&sum);
    recorder_sum(&phase->result.totals, CLOCK_RESPONSE, &sum);
    step->response = quantiles_of(&sum);
    if (!request->is_kept && !*is_cut_short) {
        suite->phase_count--;
        phase_result_free(&suite->phases[suite->phase_count].result);
    }
    return KIWI_OK;
}

static void climb_watch(void *context, const struct ladder *ladder, const struct ladder_step *step)
{
    struct climb *climb = context;

    if (climb->suite->on_step != NULL)
        climb->suite->on_step(climb->suite->on_phase_context, ladder, step);
}

static enum kiwi_status run_climb(struct suite *suite, struct dataset *dataset,
                                  const struct plan_run *first, const struct plan_run *run)
{
    struct ladder *ladder = &suite->ladders[suite->ladder_count];
    struct climb   climb = { suite, dataset, first, run, false };

    assert(suite->ladder_count < LADDER_COUNT_MAX);
    suite->ladder_count++;
    memset(ladder, 0, sizeof *ladder);
    snprintf(ladder->workload, sizeof ladder->workload, "%s", run->name);
    ladder->objectives = suite->options->objectives;
    ladder->step_seconds =
        suite->options->seconds_max > 0 ? suite->options->seconds_max : LADDER_STEP_SECONDS;
    return ladder_climb(ladder, run->workload.operation_count, climb_step, climb_watch, &climb);
}

/* From one load to the next; leaves *at behind the last run of the data set. */
static enum kiwi_status dataset_run(struct suite *suite, uint32_t *at)
{
    const struct plan     *plan = suite->plan;
    const struct plan_run *first = &plan->runs[*at];
    struct dataset         dataset = { 0 };
    enum kiwi_status       status, close_status;
    char                   text[512];

    status = dataset_open(suite, first, &first->workload, &dataset);
    if (status == KIWI_OK && suite->options->is_existing)
        dataset.record_count = first->workload.insert_count;
    else if (status == KIWI_OK)
        status = phase_run(suite, &dataset, first, TASK_LOAD, NULL, true);
    do {
        const struct plan_run *run = &plan->runs[*at];

        if (status == KIWI_OK && !is_over(suite))
            status = suite->options->is_ladder
                       ? run_climb(suite, &dataset, first, run)
                       : phase_run(suite, &dataset, run, TASK_RUN, NULL, true);
        (*at)++;
    } while (*at < plan->count && !plan->runs[*at].is_first);
    if (status == KIWI_OK && !is_over(suite) && suite->class->keeps_data
        && suite->options->is_verifying)
        status = phase_run(suite, &dataset, first, TASK_VERIFY, NULL, false);
    snprintf(text, sizeof text, "%s", fail_text());
    close_status = dataset_close(suite, &dataset);
    if (status != KIWI_OK)
        fail_text_set(text);
    return status != KIWI_OK ? status : close_status;
}

/* A run without it is still a run. Engines that keep nothing need no device. */
static void device_probe(struct suite *suite)
{
    char             path[PATH_MAX];
    enum kiwi_status status;

    if (suite->options->probe == BENCH_PROBE_NONE || !suite->class->keeps_data)
        return;
    data_folder_path(suite->options->directory, path, sizeof path);
    status = folder_make(path);
    if (status == KIWI_OK)
        status = probe_recall(path, suite->options->probe == BENCH_PROBE_FRESH, 1, &suite->probe);
    if (status != KIWI_OK)
        snprintf(suite->probe_text, sizeof suite->probe_text, "%.199s", fail_text());
}

enum kiwi_status suite_run(struct suite *suite)
{
    uint64_t         start = clock_monotonic_ns();
    uint32_t         at = 0;
    enum kiwi_status status = KIWI_OK;

    TRY(data_folder_claim(suite->options->directory));
    machine_read(&suite->machine, suite->options->directory);
    utc_write(suite->start, sizeof suite->start, false);
    device_probe(suite);
    if (suite->options->is_kill_checking)
        status = suite_kill_check(suite);
    while (at < suite->plan->count && status == KIWI_OK && !is_over(suite))
        status = dataset_run(suite, &at);
    if (status != KIWI_OK && suite->status == KIWI_OK) {
        suite->status = status;
        snprintf(suite->text, sizeof suite->text, "%s", fail_text());
    }
    if (suite->status != KIWI_OK || is_interrupted(suite))
        suite->is_partial = true;
    suite->wall_seconds = (double)(clock_monotonic_ns() - start) / 1e9;
    utc_write(suite->end, sizeof suite->end, false);
    if (!suite->options->is_keeping)
        data_folder_remove(suite->options->directory);
    return KIWI_OK;
}

void suite_free(struct suite *suite)
{
    for (uint32_t i = 0; i < suite->phase_count; i++)
        phase_result_free(&suite->phases[i].result);
    suite->phase_count = 0;
}
