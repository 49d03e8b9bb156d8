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
        .must_be_new = true,
        .has_no_statistics = options->has_no_statistics,
        .scan_rows = (workload->scan_rows_min + workload->scan_rows_max) / 2,
        .data_bytes = (workload->insert_count + workload_expected_inserts(workload))
                    * record_bytes(workload),
    };
}

static enum kiwi_status dataset_open(struct suite *suite, const struct plan_run *run,
                                     struct dataset *dataset)
{
    const struct bench_options *options = suite->options;
    const struct plan          *plan = suite->plan;
    const struct workload      *workload = &run->workload;
    uint64_t record_max = workload->insert_start + workload->insert_count
                        + workload_expected_inserts(workload) + 1;

    TRY(data_folder_wipe(options->directory));
    data_folder_path(options->directory, dataset->path, sizeof dataset->path);
    TRY(folder_make(dataset->path));
    TRY(tracked_open(record_max, SAMPLE_COUNT, &dataset->tracked));
    TRY(value_pool_open(plan->seed, plan->value_bytes_max, &dataset->values));
    TRY(crew_open(
        &(struct crew_options){ .class = suite->class,
                                .engine = suite_engine_options(suite, run, dataset->path),
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

static enum kiwi_status phase_run(struct suite *suite, struct dataset *dataset,
                                  const struct plan_run *run, enum task_kind kind)
{
    struct suite_phase *phase = &suite->phases[suite->phase_count];
    struct task         task = task_of(suite, dataset, run, kind);
    struct chooser      chooser;
    enum kiwi_status    status;
    double              limit = suite->options->seconds_max;

    assert(suite->phase_count < SUITE_PHASE_COUNT_MAX);
    memset(phase, 0, sizeof *phase);
    phase->run = run;
    phase->durability = task.durability;
    if (kind == TASK_RUN) {
        chooser = workload_chooser(&run->workload);
        TRY(hot_shard_place(suite->class, crew_engine(dataset->crew), &run->workload, &chooser,
                            &dataset->hot_records));
        task.chooser = &chooser;
        if (limit <= 0)
            limit = (double)run->workload.seconds_max;
        TRY(stream_digest(&run->workload, task.seed, suite->plan->thread_count,
                          &phase->result.stream_digest));
        if (workload_inserts(&run->workload))
            TRY(acknowledged_open(run->workload.insert_start + run->workload.insert_count,
                                  &task.inserts));
    }
    snprintf(phase->result.name, sizeof phase->result.name, "%s%s",
             kind == TASK_LOAD ? "load" : kind == TASK_VERIFY ? "verify" : run->name,
             kind == TASK_RUN && strcmp(run->name, "load") == 0 ? "_run" : "");
    status =
        crew_run(dataset->crew,
                 &(struct run_options){ .task = task,
                                        .seconds_max = kind == TASK_RUN ? limit : 0,
                                        .drain_seconds_max =
                                            kind == TASK_VERIFY ? 0 : suite->options->drain_seconds,
                                        .progress = suite->progress,
                                        .progress_context = suite->progress_context,
                                        .interrupted = suite->interrupted },
                 &phase->result);
    acknowledged_close(task.inserts);
    if (status != KIWI_OK)
        return status;
    if (kind == TASK_VERIFY) {
        suite->sampled += phase->result.totals.verified;
        suite->sampled_missing += phase->result.totals.missing;
        suite->sampled_wrong += phase->result.totals.wrong;
        phase_result_free(&phase->result);
        return KIWI_OK;
    }
    suite->phase_count++;
    phase_account(suite, dataset, phase);
    if (suite->on_phase != NULL)
        suite->on_phase(suite->on_phase_context, suite, phase);
    return KIWI_OK;
}

static bool is_over(const struct suite *suite)
{
    return suite->is_partial || suite->status != KIWI_OK || is_interrupted(suite);
}

/* From one load to the next; leaves *at behind the last run of the data set. */
static enum kiwi_status dataset_run(struct suite *suite, uint32_t *at)
{
    const struct plan     *plan = suite->plan;
    const struct plan_run *first = &plan->runs[*at];
    struct dataset         dataset = { 0 };
    enum kiwi_status       status, close_status;
    char                   text[512];

    status = dataset_open(suite, first, &dataset);
    if (status == KIWI_OK)
        status = phase_run(suite, &dataset, first, TASK_LOAD);
    do {
        if (status == KIWI_OK && !is_over(suite))
            status = phase_run(suite, &dataset, &plan->runs[*at], TASK_RUN);
        (*at)++;
    } while (*at < plan->count && !plan->runs[*at].is_first);
    if (status == KIWI_OK && !is_over(suite) && suite->class->keeps_data
        && suite->options->is_verifying)
        status = phase_run(suite, &dataset, first, TASK_VERIFY);
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
