/*
 * crew.c: starting threads, gating phases, sampling while they run, draining behind them.
 *
 * A phase, seen by all threads (gate numbers count up by one):
 *
 *   crew     begin ............ all warm -> clear counters, open gate ....... all done -> drain
 *   worker   begin, warm-up, report warm, wait for gate, measured part, report done, idle
 */
#include "bench/crew.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/clock.h"
#include "core/base/memory.h"

#define IDLE_NS       200000u      /* how long an idle worker drives its shards at a stretch */
#define WATCH_NS      100000000u   /* how often the crew looks at a running phase */
#define SERIES_NS     1000000000u
#define DRAIN_NS      5000000u     /* how often the crew asks whether debt is paid */
#define SERIES_MAX    86400u

struct member {
    struct crew  *crew;
    struct worker worker;
    pthread_t     thread;
    bool          is_started;
};

struct crew {
    struct crew_options options;
    struct engine      *engine;
    double              open_seconds;
    uint64_t            written_bytes, user_bytes; /* before the last reset of the counters */
    struct task_state   state;
    struct skew         skew;             /* of the phase under way */
    pthread_mutex_t     lock;
    pthread_cond_t      changed;
    uint32_t            warm_count, done_count, opened_count; /* reports; under lock */
    enum kiwi_status    open_status;  /* first failure of a client; under lock */
    char                open_text[512];
    _Atomic uint64_t    phase_seen;   /* phase, gate and closing for idle workers, without lock */
    _Atomic uint64_t    gate_seen;
    uint32_t            count;
    struct member      *members;
};

static void report(struct crew *crew, uint32_t *counter)
{
    pthread_mutex_lock(&crew->lock);
    (*counter)++;
    pthread_cond_broadcast(&crew->changed);
    pthread_mutex_unlock(&crew->lock);
}

/* Until *seen reaches wanted; an attached worker drives its shards meanwhile. */
static void member_idle(struct member *member, _Atomic uint64_t *seen, uint64_t wanted)
{
    struct crew   *crew = member->crew;
    struct worker *worker = &member->worker;

    while (atomic_load_explicit(seen, memory_order_acquire) < wanted) {
        if (worker->class->idle(worker->client, IDLE_NS))
            continue;
        pthread_mutex_lock(&crew->lock);
        while (atomic_load_explicit(seen, memory_order_acquire) < wanted)
            pthread_cond_wait(&crew->changed, &crew->lock);
        pthread_mutex_unlock(&crew->lock);
    }
}

/* This worker's part of a total. */
static uint64_t share_of(uint64_t total, uint32_t index, uint32_t count)
{
    return total / count + (index < total % count ? 1 : 0);
}

/* Burns the share of CPU time that a test of `kiwidb bench ab` planted; nothing otherwise. */
static void planted_burn(const struct timespec *start)
{
    const char     *percent = getenv("KIWI_BENCH_PLANT_PERCENT");
    struct timespec now;
    double          until = 0, used;

    if (percent == NULL)
        return;
    do {
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        used = (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
        if (until <= 0)
            until = used * (1 + strtod(percent, NULL) / 100);
    } while (used < until);
}

static void member_phase(struct member *member, uint64_t phase)
{
    struct worker     *worker = &member->worker;
    struct crew       *crew = member->crew;
    const struct task *task = &crew->state.task;
    struct timespec    start;
    uint64_t           quota = share_of(task->operations, worker->index, worker->count);

    worker_begin(worker, &crew->state);
    worker_run(worker, share_of(task->warm_operations, worker->index, worker->count));
    report(crew, &crew->warm_count);
    member_idle(member, &crew->gate_seen, phase);
    quota = worker_measure(worker, quota);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    worker_run(worker, quota);
    planted_burn(&start);
    atomic_store(&worker->end_ticks, clock_ticks());
    report(crew, &crew->done_count);
}

static void *member_main(void *argument)
{
    struct member   *member = argument;
    struct worker   *worker = &member->worker;
    struct crew     *crew = member->crew;
    enum kiwi_status status;
    uint64_t         phase = 0;

    status = worker->class->client_open(crew->engine, worker->index, &worker->client);
    pthread_mutex_lock(&crew->lock);
    if (status != KIWI_OK && crew->open_status == KIWI_OK) {
        crew->open_status = status;
        snprintf(crew->open_text, sizeof crew->open_text, "%s", kiwi_error_text());
    }
    crew->opened_count++;
    pthread_cond_broadcast(&crew->changed);
    pthread_mutex_unlock(&crew->lock);
    if (status != KIWI_OK)
        return NULL;
    for (;;) {
        member_idle(member, &crew->phase_seen, ++phase);
        if (atomic_load(&crew->phase_seen) == UINT64_MAX)
            break;
        member_phase(member, phase);
    }
    worker->class->client_close(worker->client);
    return NULL;
}

static void wait_for(struct crew *crew, const uint32_t *counter)
{
    pthread_mutex_lock(&crew->lock);
    while (*counter < crew->count)
        pthread_cond_wait(&crew->changed, &crew->lock);
    pthread_mutex_unlock(&crew->lock);
}

/* True when all reported within the time. */
static bool wait_for_some_time(struct crew *crew, const uint32_t *counter, uint64_t timeout_ns)
{
    uint64_t        until = clock_monotonic_ns() + timeout_ns;
    struct timespec deadline = { (time_t)(until / 1000000000u), (long)(until % 1000000000u) };
    bool            are_all;

    pthread_mutex_lock(&crew->lock);
    while (*counter < crew->count
           && pthread_cond_timedwait(&crew->changed, &crew->lock, &deadline) == 0)
        ;
    are_all = *counter == crew->count;
    pthread_mutex_unlock(&crew->lock);
    return are_all;
}

static void announce(struct crew *crew, _Atomic uint64_t *seen, uint64_t value)
{
    pthread_mutex_lock(&crew->lock);
    atomic_store_explicit(seen, value, memory_order_release);
    pthread_cond_broadcast(&crew->changed);
    pthread_mutex_unlock(&crew->lock);
}

static enum kiwi_status members_start(struct crew *crew)
{
    const struct crew_options *options = &crew->options;
    uint32_t                   started = 0;

    for (uint32_t i = 0; i < crew->count; i++) {
        struct member *member = &crew->members[i];

        member->crew = crew;
        member->worker.index = i;
        member->worker.count = crew->count;
        member->worker.depth = options->engine.depth;
        member->worker.class = options->class;
        member->worker.model = options->engine.model;
        TRY(worker_open(&member->worker, options->value_bytes_max));
    }
    for (; started < crew->count; started++) {
        struct member *member = &crew->members[started];

        if (pthread_create(&member->thread, NULL, member_main, member) != 0)
            break;
        member->is_started = true;
    }
    if (started < crew->count) {
        crew->count = started;
        return FAIL(KIWI_NO_MEMORY, "only %u client threads could be started", started);
    }
    wait_for(crew, &crew->opened_count);
    if (crew->open_status != KIWI_OK)
        fail_text_set(crew->open_text);
    return crew->open_status;
}

enum kiwi_status crew_open(const struct crew_options *options, struct crew **out)
{
    struct crew       *crew = memory_allocate_aligned(sizeof *crew, CACHE_LINE_BYTES);
    pthread_condattr_t attributes;
    enum kiwi_status   status;
    uint64_t           start;

    *out = NULL;
    if (crew == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for the client threads");
    memset(crew, 0, sizeof *crew);
    clock_calibrate();
    crew->options = *options;
    crew->count = options->engine.thread_count;
    pthread_mutex_init(&crew->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&crew->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    crew->members = memory_allocate_aligned(crew->count * sizeof *crew->members, CACHE_LINE_BYTES);
    if (crew->members == NULL) {
        crew->count = 0;
        status = FAIL(KIWI_NO_MEMORY, "no memory for the client threads");
        goto fail;
    }
    memset(crew->members, 0, crew->count * sizeof *crew->members);
    start = clock_monotonic_ns();
    if ((status = options->class->open(&options->engine, &crew->engine)) != KIWI_OK)
        goto fail;
    if ((status = members_start(crew)) != KIWI_OK)
        goto fail;
    crew->open_seconds = (double)(clock_monotonic_ns() - start) / 1e9;
    *out = crew;
    return KIWI_OK;
fail: {
    char text[512];

    snprintf(text, sizeof text, "%s", fail_text());
    (void)crew_close(crew);
    fail_text_set(text);
    return status;
}
}

enum kiwi_status crew_close(struct crew *crew)
{
    enum kiwi_status status = KIWI_OK;

    if (crew == NULL)
        return KIWI_OK;
    announce(crew, &crew->phase_seen, UINT64_MAX);
    for (uint32_t i = 0; crew->members != NULL && i < crew->options.engine.thread_count; i++) {
        if (crew->members[i].is_started)
            pthread_join(crew->members[i].thread, NULL);
        worker_close(&crew->members[i].worker);
    }
    if (crew->engine != NULL)
        status = crew->options.class->close(crew->engine);
    pthread_cond_destroy(&crew->changed);
    pthread_mutex_destroy(&crew->lock);
    memory_free(crew->members);
    memory_free(crew);
    return status;
}

double crew_open_seconds(const struct crew *crew)
{
    return crew->open_seconds;
}

struct engine *crew_engine(struct crew *crew)
{
    return crew->engine;
}

void phase_result_free(struct phase_result *result)
{
    memory_free(result->stats);
    memory_free(result->stats_drained);
    memory_free(result->series);
    interval_log_free(&result->intervals);
    memset(result, 0, sizeof *result);
}

struct pace phase_pace(const struct phase_result *result)
{
    struct kiwi_latency service;

    recorder_sum(&result->totals, CLOCK_SERVICE, &service);
    return (struct pace){
        .asked = result->target,
        .achieved = result->seconds > 0 ? (double)result->totals.operations / result->seconds : 0,
        .seconds = result->seconds,
        .is_poisson = result->is_poisson,
        .lag_ns = kiwi_latency_percentile(&result->totals.lag, 0.99),
        .service_ns = kiwi_latency_percentile(&service, 0.99),
        .driver_ns = result->totals.late_driver_ns,
        .engine_ns = result->totals.late_engine_ns,
        .processor_ns = result->totals.late_processor_ns,
    };
}

/* What a watched phase keeps from look to look. */
struct watch {
    struct crew              *crew;
    const struct run_options *options;
    struct phase_result      *result;
    struct recorder          *now, *before;   /* sums; swapped at every series row */
    struct kiwi_stats        *stats_now, *stats_before; /* the same; before: zeroes at first */
    size_t                    series_capacity;
    uint64_t                  start_ns, next_row_ns, rate_ns, rate_operations;
    double                    rate;
    struct usage              usage_before;
};

static void totals_read(struct crew *crew, struct recorder *totals)
{
    recorder_clear(totals);
    for (uint32_t i = 0; i < crew->count; i++)
        recorder_add(totals, &crew->members[i].worker.recorder);
}

static uint64_t operations_read(const struct crew *crew)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < crew->count; i++)
        sum += __atomic_load_n(&crew->members[i].worker.recorder.operations, __ATOMIC_RELAXED);
    return sum;
}

static uint64_t errors_of(const struct recorder *totals)
{
    uint64_t errors = totals->missing + totals->wrong;

    for (uint32_t i = 0; i < KIWI_STATUS_COUNT; i++)
        if (i != KIWI_OK && i != KIWI_NOT_FOUND)
            errors += totals->statuses[i];
    return errors;
}

/* All operations' latencies since the row before, as one histogram in target. */
static void latency_since(struct kiwi_latency *target, const struct recorder *now,
                          const struct recorder *before)
{
    memset(target, 0, sizeof *target);
    for (uint32_t i = 0; i < OPERATION_COUNT; i++) {
        target->count += now->latencies[i].count - before->latencies[i].count;
        for (uint32_t j = 0; j < KIWI_LATENCY_BUCKET_COUNT; j++)
            target->buckets[j] += now->latencies[i].buckets[j] - before->latencies[i].buckets[j];
    }
    for (uint32_t j = 0; j < KIWI_LATENCY_BUCKET_COUNT; j++)
        if (target->buckets[j] != 0)
            target->max_ns = histogram_bucket_floor(j + 1) - 1;
}

/* The engine's columns of a row. */
static void series_stats_add(struct watch *watch, struct series_row *row)
{
    const struct engine_class *class = watch->crew->options.class;
    struct kiwi_stats         *swapped = watch->stats_before;

    if (class->stats == NULL || watch->stats_now == NULL || watch->stats_before == NULL
        || class->stats(watch->crew->engine, watch->stats_now) != KIWI_OK)
        return;
    series_stats_read(watch->stats_now, watch->stats_before, row->stats);
    row->has_stats = true;
    watch->stats_before = watch->stats_now;
    watch->stats_now = swapped;
}

static void intervals_add(struct watch *watch)
{
    struct phase_result *result = watch->result;
    uint32_t             row = (uint32_t)result->series_count - 1;

    for (uint32_t i = 0; i < OPERATION_COUNT; i++) {
        interval_log_add(&result->intervals, row, i, CLOCK_SERVICE, &watch->now->latencies[i],
                         &watch->before->latencies[i]);
        interval_log_add(&result->intervals, row, i, CLOCK_RESPONSE, &watch->now->responses[i],
                         &watch->before->responses[i]);
    }
}

static void series_add(struct watch *watch, uint64_t now_ns)
{
    struct phase_result *result = watch->result;
    struct kiwi_latency  latency;
    struct usage         usage;
    struct series_row   *row;
    struct recorder     *swapped = watch->before;

    if (result->series_count == watch->series_capacity) {
        size_t capacity = watch->series_capacity == 0 ? 64 : watch->series_capacity * 2;
        row = memory_resize(result->series, capacity * sizeof *row);
        if (row == NULL || capacity > SERIES_MAX)
            return;
        result->series = row;
        watch->series_capacity = capacity;
    }
    totals_read(watch->crew, watch->now);
    usage_read(&usage);
    latency_since(&latency, watch->now, watch->before);
    row = &result->series[result->series_count++];
    *row = (struct series_row){
        .start = result->series_count > 1 ? row[-1].seconds : 0,
        .seconds = (double)(now_ns - watch->start_ns) / 1e9,
        .operations = watch->now->operations - watch->before->operations,
        .errors = errors_of(watch->now) - errors_of(watch->before),
        .p50_ns = kiwi_latency_percentile(&latency, 0.5),
        .p99_ns = kiwi_latency_percentile(&latency, 0.99),
        .p999_ns = kiwi_latency_percentile(&latency, 0.999),
        .max_ns = latency.max_ns,
        .resident_bytes = usage.resident_bytes,
        .cpu_ns = usage.user_ns + usage.system_ns - watch->usage_before.user_ns
                - watch->usage_before.system_ns,
        .device_write_bytes = usage.device_write_bytes - watch->usage_before.device_write_bytes,
        .debt_bytes = watch->crew->options.class->debt != NULL
                        ? watch->crew->options.class->debt(watch->crew->engine)
                        : 0,
    };
    series_stats_add(watch, row);
    intervals_add(watch);
    watch->usage_before = usage;
    watch->before = watch->now;
    watch->now = swapped;
}

static void progress_show(struct watch *watch, const char *part, uint64_t now_ns)
{
    uint64_t done = operations_read(watch->crew);

    if (watch->options->progress == NULL)
        return;
    if (now_ns - watch->rate_ns > 400000000u) {
        watch->rate = (double)(done - min_u64(watch->rate_operations, done)) * 1e9
                    / (double)(now_ns - watch->rate_ns);
        watch->rate_ns = now_ns;
        watch->rate_operations = done;
    }
    watch->options->progress(watch->options->progress_context,
                             &(struct progress_state){
                                 .phase = watch->result->name,
                                 .part = part,
                                 .done = done,
                                 .wanted = part[0] == 0 ? watch->result->operations_wanted : 0,
                                 .seconds = (double)(now_ns - watch->start_ns) / 1e9,
                                 .rate = watch->rate,
                             });
}

/* Waits until all have reported, showing and sampling meanwhile; stops the part when its time is
 * over, the phase when told to. */
static void watch_until(struct watch *watch, const uint32_t *counter, const char *part)
{
    struct crew         *crew = watch->crew;
    struct phase_result *result = watch->result;
    const bool           is_measured = part[0] == 0;
    const double         seconds_max = is_measured ? watch->options->seconds_max
                                                   : watch->options->warm_seconds_max;

    while (!wait_for_some_time(crew, counter, WATCH_NS)) {
        uint64_t now_ns = clock_monotonic_ns();

        if (watch->options->interrupted != NULL && atomic_load(watch->options->interrupted)) {
            result->is_partial = true;
            atomic_store(&crew->state.is_stopping, true);
        }
        if (seconds_max > 0 && (double)(now_ns - watch->start_ns) / 1e9 >= seconds_max
            && !atomic_load(&crew->state.is_stopping)) {
            result->was_timed_out = is_measured;
            atomic_store(&crew->state.is_stopping, true);
        }
        if (is_measured && now_ns >= watch->next_row_ns) {
            series_add(watch, now_ns);
            watch->next_row_ns += SERIES_NS;
        }
        progress_show(watch, part, now_ns);
    }
}

static void stats_take(struct crew *crew, struct kiwi_stats **out, struct phase_result *result)
{
    if (crew->options.class->stats == NULL)
        return;
    *out = memory_allocate_zeroed(sizeof **out);
    result->has_stats =
        *out != NULL && crew->options.class->stats(crew->engine, *out) == KIWI_OK;
}

uint64_t stats_written_bytes(const struct kiwi_stats *stats)
{
    return stats->log_write_bytes + stats->manifest_write_bytes + stats->flush_bytes
         + stats->compaction_write_bytes;
}

/* Counters start anew for the measured part; what they held is kept in two sums. */
static void stats_restart(struct crew *crew)
{
    struct kiwi_stats *stats;

    if (crew->options.class->stats == NULL || crew->options.class->stats_reset == NULL)
        return;
    stats = memory_allocate_zeroed(sizeof *stats);
    if (stats != NULL && crew->options.class->stats(crew->engine, stats) == KIWI_OK) {
        crew->written_bytes += stats_written_bytes(stats);
        crew->user_bytes += stats->user_write_bytes;
    }
    memory_free(stats);
    (void)crew->options.class->stats_reset(crew->engine);
}

static enum kiwi_status skew_begin(struct crew *crew, const struct task *task)
{
    if (task->kind != TASK_RUN)
        return KIWI_OK;
    TRY(skew_open(&crew->skew, crew->count));
    for (uint32_t i = 0; i < crew->count; i++)
        crew->members[i].worker.skew = &crew->skew.notes[i];
    return KIWI_OK;
}

static void skew_end(struct crew *crew, struct phase_result *result)
{
    const struct task *task = &crew->state.task;
    uint64_t           records = task->workload->insert_count;

    if (task->inserts != NULL)
        records = acknowledged_newest(task->inserts) + 1 - task->workload->insert_start;
    for (uint32_t i = 0; i < crew->count; i++)
        crew->members[i].worker.skew = NULL;
    result->skew = skew_sum(&crew->skew, records);
    skew_close(&crew->skew);
}

/* Waits until the engine owes nothing, so that the work of this phase is counted with it. After a
 * failure nothing is waited for: the engine may owe it forever. */
static void drain(struct watch *watch)
{
    struct crew              *crew = watch->crew;
    const struct engine_class*class = crew->options.class;
    const double limit = atomic_load(&crew->state.has_failed) ? 0
                                                               : watch->options->drain_seconds_max;
    uint64_t                  start = clock_monotonic_ns(), now = start;
    const struct timespec     pause = { 0, DRAIN_NS };

    if (class->debt == NULL || watch->options->drain_seconds_max <= 0)
        return;
    watch->result->drain_left_bytes = class->debt(crew->engine);
    while (watch->result->drain_left_bytes > 0 && (double)(now - start) / 1e9 < limit) {
        if (watch->options->interrupted != NULL && atomic_load(watch->options->interrupted))
            break;
        nanosleep(&pause, NULL);
        progress_show(watch, "drain", now);
        watch->result->drain_left_bytes = class->debt(crew->engine);
        now = clock_monotonic_ns();
    }
    watch->result->drain_seconds = (double)(now - start) / 1e9;
}

static void phase_measure(struct watch *watch, uint64_t warm_start_ns)
{
    struct crew         *crew = watch->crew;
    struct phase_result *result = watch->result;
    struct usage         before, after;
    uint64_t             start_ticks, end_ticks = 0;
    struct stillness_watch *stillness;

    result->warm_seconds = (double)(clock_monotonic_ns() - warm_start_ns) / 1e9;
    if (!result->is_partial && !atomic_load(&crew->state.has_failed))
        atomic_store(&crew->state.is_stopping, false); /* only the time for warming up was over */
    for (uint32_t i = 0; i < crew->count; i++)
        recorder_clear(&crew->members[i].worker.recorder);
    skew_clear(&crew->skew);
    stats_restart(crew);
    usage_peak_reset();
    stillness_begin(&stillness);
    usage_read(&before);
    watch->usage_before = before;
    watch->start_ns = watch->rate_ns = clock_monotonic_ns();
    watch->next_row_ns = watch->start_ns + SERIES_NS;
    result->start_seconds = clock_wall_seconds();
    start_ticks = clock_ticks();
    crew->state.start_ticks = start_ticks;
    announce(crew, &crew->gate_seen, atomic_load(&crew->phase_seen));
    watch_until(watch, &crew->done_count, "");
    usage_read(&after);
    stillness_end(stillness, &result->stillness);
    for (uint32_t i = 0; i < crew->count; i++)
        end_ticks = max_u64(end_ticks, atomic_load(&crew->members[i].worker.end_ticks));
    result->seconds = (double)clock_ns(end_ticks - start_ticks) / 1e9;
    result->usage = usage_between(&before, &after);
    series_add(watch, watch->start_ns + clock_ns(end_ticks - start_ticks));
    totals_read(crew, &result->totals);
    for (uint32_t i = 0; i < crew->count; i++)
        slowest_merge(&result->slowest, &crew->members[i].worker.slowest);
    slowest_sort(&result->slowest);
    stats_take(crew, &result->stats, result);
    drain(watch);
    usage_read(&after);
    result->usage_drained = usage_between(&before, &after);
    stats_take(crew, &result->stats_drained, result);
    if (result->stats_drained != NULL) {
        result->written_bytes_since_open =
            crew->written_bytes + stats_written_bytes(result->stats_drained);
        result->user_bytes_since_open = crew->user_bytes + result->stats_drained->user_write_bytes;
    }
}

static void watch_free(struct watch *watch)
{
    memory_free(watch->now);
    memory_free(watch->before);
    memory_free(watch->stats_now);
    memory_free(watch->stats_before);
}

enum kiwi_status crew_run(struct crew *crew, const struct run_options *options,
                          struct phase_result *result)
{
    struct watch     watch = { .crew = crew, .options = options, .result = result };
    uint64_t         start_ns = clock_monotonic_ns(), done_before;
    enum kiwi_status status;

    watch.now = memory_allocate_zeroed(sizeof *watch.now);
    watch.before = memory_allocate_zeroed(sizeof *watch.before);
    watch.stats_now = memory_allocate_zeroed(sizeof *watch.stats_now);
    watch.stats_before = memory_allocate_zeroed(sizeof *watch.stats_before);
    if (watch.now == NULL || watch.before == NULL) {
        watch_free(&watch);
        return FAIL(KIWI_NO_MEMORY, "no memory to watch a phase");
    }
    result->kind = options->task.kind;
    result->operations_wanted = options->task.operations;
    result->target = options->task.target;
    result->is_poisson = options->task.is_poisson;
    memset(&crew->state, 0, sizeof crew->state);
    crew->state.task = options->task;
    crew->warm_count = crew->done_count = 0;
    watch.start_ns = watch.rate_ns = start_ns;
    status = skew_begin(crew, &options->task);
    if (status != KIWI_OK) {
        watch_free(&watch);
        return status;
    }
    done_before = operations_read(crew); /* what the phase before left */
    announce(crew, &crew->phase_seen, atomic_load(&crew->phase_seen) + 1);
    watch_until(&watch, &crew->warm_count, "warm-up");
    result->warm_operations = operations_read(crew) - done_before;
    phase_measure(&watch, start_ns);
    skew_end(crew, result);
    if (atomic_load(&crew->state.has_failed)) {
        result->is_partial = true;
        result->status = crew->state.status;
        snprintf(result->text, sizeof result->text, "%s", crew->state.text);
    }
    watch_free(&watch);
    return KIWI_OK;
}
