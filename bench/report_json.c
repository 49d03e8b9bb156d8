/*
 * report_json.c: run.json, schema and version first, all numbers in base units.
 */
#include <inttypes.h>
#include <string.h>

#include "bench/report.h"

static json_t *integer(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

static void put(json_t *object, const char *name, json_t *value)
{
    json_object_set_new(object, name, value);
}

static json_t *latency_json(const struct kiwi_latency *latency)
{
    static const struct {
        const char *name;
        double      share;
    } percentiles[] = { { "p50_ns", 0.5 },     { "p90_ns", 0.9 },      { "p95_ns", 0.95 },
                        { "p99_ns", 0.99 },    { "p99_9_ns", 0.999 },  { "p99_99_ns", 0.9999 },
                        { "p99_999_ns", 0.99999 } };
    json_t *object = json_object();

    put(object, "count", integer(latency->count));
    put(object, "mean_ns",
        json_real(latency->count > 0 ? (double)latency->sum_ns / (double)latency->count : 0));
    for (size_t i = 0; i < ARRAY_COUNT(percentiles); i++)
        put(object, percentiles[i].name,
            integer(kiwi_latency_percentile(latency, percentiles[i].share)));
    put(object, "max_ns", integer(latency->max_ns));
    return object;
}

/* Buckets as [lower bound in ns, count], so that histograms of several runs can be merged. */
static json_t *histogram_json(const struct kiwi_latency *latency)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < KIWI_LATENCY_BUCKET_COUNT; i++)
        if (latency->buckets[i] != 0)
            json_array_append_new(array, json_pack("[I,I]", (json_int_t)histogram_bucket_floor(i),
                                                   (json_int_t)latency->buckets[i]));
    return array;
}

static json_t *operations_json(const struct phase_result *result)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < OPERATION_COUNT; i++) {
        const struct kiwi_latency *latency = &result->totals.latencies[i];
        json_t                    *object;

        if (latency->count == 0)
            continue;
        object = json_object();
        put(object, "operation", json_string(operation_name((enum operation)i)));
        put(object, "per_second",
            json_real(result->seconds > 0 ? (double)latency->count / result->seconds : 0));
        put(object, "service", latency_json(latency));
        put(object, "histogram", histogram_json(latency));
        if (result->totals.responses[i].count > 0)
            put(object, "response", latency_json(&result->totals.responses[i]));
        json_array_append_new(array, object);
    }
    return array;
}

static json_t *answer_json(const struct suite_phase *phase, uint32_t answer, uint64_t gets)
{
    const struct kiwi_stats        *stats = phase->result.stats;
    const struct kiwi_answer_stats *at = &stats->answers[answer];
    json_t                         *object = json_object();

    put(object, "level", json_string(answer_name(answer)));
    if (answer >= KIWI_ANSWER_LEVEL0 && answer < KIWI_ANSWER_NOTHING) {
        uint32_t                       index = answer - KIWI_ANSWER_LEVEL0;
        const struct kiwi_level_stats *level = &stats->levels[index];
        const struct kiwi_level_stats *drained = &phase->result.stats_drained->levels[index];

        put(object, "files", integer(drained->files));
        put(object, "runs", integer(drained->runs));
        put(object, "bytes", integer(drained->bytes));
        put(object, "entries", integer(drained->entries));
        put(object, "tombstones", integer(drained->tombstones));
        put(object, "write_amplification", json_real(level_write_amplification(phase, index)));
        put(object, "flush_bytes", integer(drained->flush_bytes));
        put(object, "compaction_read_bytes", integer(drained->compaction_in_bytes));
        put(object, "compaction_write_bytes", integer(drained->compaction_out_bytes));
        put(object, "get_read_bytes", integer(level->get_read_bytes));
        put(object, "get_reads", integer(level->get_reads));
        put(object, "filter_checks", integer(level->filter_checks));
        put(object, "filter_skips", integer(level->filter_skips));
        put(object, "filter_false_positives", integer(level->filter_false));
    }
    put(object, "gets", integer(at->gets));
    put(object, "share_of_gets", json_real(gets > 0 ? (double)at->gets / (double)gets : 0));
    put(object, "gets_per_second",
        json_real(phase->result.seconds > 0 ? (double)at->gets / phase->result.seconds : 0));
    put(object, "latency", latency_json(&at->latency));
    return object;
}

static json_t *levels_json(const struct suite_phase *phase)
{
    const struct kiwi_stats *stats = phase->result.stats;
    json_t                  *array = json_array();
    uint64_t                 gets = 0;

    for (uint32_t i = 0; i < KIWI_ANSWER_COUNT; i++)
        gets += stats->answers[i].gets;
    for (uint32_t i = 0; i < KIWI_ANSWER_COUNT; i++)
        json_array_append_new(array, answer_json(phase, i, gets));
    return array;
}

static json_t *tiers_json(const struct kiwi_stats *stats)
{
    static const char *const names[KIWI_TIER_COUNT] = { "record", "block", "index", "filter" };
    json_t                  *array = json_array();

    for (uint32_t i = 0; i < KIWI_TIER_COUNT; i++) {
        const struct kiwi_tier_stats *tier = &stats->tiers[i];
        uint64_t                      lookups = tier->hits + tier->misses;
        json_t                       *object = json_object();

        put(object, "tier", json_string(names[i]));
        put(object, "hits", integer(tier->hits));
        put(object, "misses", integer(tier->misses));
        put(object, "hit_rate", json_real(lookups > 0 ? (double)tier->hits / (double)lookups : 0));
        put(object, "inserts", integer(tier->inserts));
        put(object, "evictions", integer(tier->evictions));
        put(object, "bytes", integer(tier->bytes));
        put(object, "budget_bytes", integer(tier->budget_bytes));
        json_array_append_new(array, object);
    }
    return array;
}

static json_t *stalls_json(const struct kiwi_stats *stats)
{
    static const char *const names[KIWI_STALL_COUNT] = { "memtable", "log", "debt", "memory" };
    json_t                  *array = json_array();

    for (uint32_t i = 0; i < KIWI_STALL_COUNT; i++)
        json_array_append_new(
            array, json_pack("{s:s, s:I, s:I, s:I}", "reason", names[i], "count",
                             (json_int_t)stats->stalls[i].count, "total_ns",
                             (json_int_t)stats->stalls[i].total_ns, "max_ns",
                             (json_int_t)stats->stalls[i].max_ns));
    return array;
}

static json_t *counters_json(const struct kiwi_stats *stats)
{
    json_t *object = json_object();

    put(object, "gets", integer(stats->gets));
    put(object, "puts", integer(stats->puts));
    put(object, "scans", integer(stats->scans));
    put(object, "scan_rows", integer(stats->scan_rows));
    put(object, "user_write_bytes", integer(stats->user_write_bytes));
    put(object, "log_write_bytes", integer(stats->log_write_bytes));
    put(object, "log_groups", integer(stats->log_groups));
    put(object, "log_records", integer(stats->log_records));
    put(object, "log_syncs", integer(stats->log_syncs));
    put(object, "manifest_write_bytes", integer(stats->manifest_write_bytes));
    put(object, "flush_count", integer(stats->flush_count));
    put(object, "flush_bytes", integer(stats->flush_bytes));
    put(object, "flush_ns", integer(stats->flush_ns));
    put(object, "compaction_count", integer(stats->compaction_count));
    put(object, "compaction_read_bytes", integer(stats->compaction_read_bytes));
    put(object, "compaction_write_bytes", integer(stats->compaction_write_bytes));
    put(object, "compaction_ns", integer(stats->compaction_ns));
    put(object, "debt_bytes", integer(stats->debt_bytes));
    put(object, "memory_bytes", integer(stats->memory_bytes));
    put(object, "table_file_bytes", integer(stats->table_file_bytes));
    put(object, "pool_file_bytes", integer(stats->pool_file_bytes));
    put(object, "live_bytes", integer(stats->live_bytes));
    put(object, "device_reads", integer(stats->device_reads));
    put(object, "device_writes", integer(stats->device_writes));
    put(object, "corruptions", integer(stats->corruptions));
    return object;
}

static json_t *usage_json(const struct usage *usage, double seconds)
{
    json_t *object = json_object();
    double  own = (double)(usage->user_ns + usage->system_ns) / 1e9;
    double  others = (double)usage->machine_busy_ns / 1e9 - own;

    put(object, "cpu_user_seconds", json_real((double)usage->user_ns / 1e9));
    put(object, "cpu_system_seconds", json_real((double)usage->system_ns / 1e9));
    put(object, "cores", json_real(seconds > 0 ? own / seconds : 0));
    put(object, "foreign_cores",
        json_real(seconds > 0 && others > 0 ? others / seconds : 0));
    put(object, "stolen_seconds", json_real((double)usage->machine_stolen_ns / 1e9));
    put(object, "peak_memory_bytes", integer(usage->resident_peak_bytes));
    put(object, "device_read_bytes", integer(usage->device_read_bytes));
    put(object, "device_write_bytes", integer(usage->device_write_bytes));
    put(object, "involuntary_switches", integer(usage->switches_involuntary));
    put(object, "major_faults", integer(usage->faults_major));
    return object;
}

static json_t *errors_json(const struct recorder *totals)
{
    json_t *object = json_object();

    for (uint32_t i = 1; i < KIWI_STATUS_COUNT; i++)
        if (totals->statuses[i] != 0)
            put(object, kiwi_status_text((enum kiwi_status)i), integer(totals->statuses[i]));
    return object;
}

static json_t *skew_json(const struct skew_shares *skew)
{
    json_t *object = json_object();

    put(object, "sampled_requests", integer(skew->requests));
    put(object, "records", integer(skew->records));
    put(object, "hottest_share", json_real(skew->hottest));
    put(object, "top_1_percent_share", json_real(skew->top_percent));
    put(object, "top_10_percent_share", json_real(skew->top_tenth));
    return object;
}

static json_t *phase_json(const struct suite_phase *phase)
{
    const struct phase_result *result = &phase->result;
    const struct pace          pace = phase_pace(result);
    json_t                    *object = json_object();
    char                       digest[20];

    snprintf(digest, sizeof digest, "%016" PRIx64, result->stream_digest);
    put(object, "name", json_string(result->name));
    put(object, "kind", json_string(result->kind == TASK_LOAD ? "load" : "run"));
    put(object, "workload", json_string(phase->run->workload.name));
    put(object, "is_step", json_boolean(phase->is_step));
    put(object, "is_partial", json_boolean(result->is_partial));
    put(object, "was_timed_out", json_boolean(result->was_timed_out));
    put(object, "stream_digest", json_string(digest));
    put(object, "durability", json_string(durability_name(phase->durability)));
    put(object, "operations", integer(result->totals.operations));
    put(object, "operations_wanted", integer(result->operations_wanted));
    put(object, "seconds", json_real(result->seconds));
    put(object, "throughput_per_second",
        json_real(result->seconds > 0 ? (double)result->totals.operations / result->seconds : 0));
    put(object, "rows_scanned", integer(result->totals.rows));
    if (result->skew.is_measured)
        put(object, "skew", skew_json(&result->skew));
    put(object, "warm_operations", integer(result->warm_operations));
    put(object, "warm_seconds", json_real(result->warm_seconds));
    put(object, "drain_seconds", json_real(result->drain_seconds));
    put(object, "drain_left_bytes", integer(result->drain_left_bytes));
    put(object, "latency", operations_json(result));
    put(object, "target_per_second", json_real(result->target));
    put(object, "is_saturated", json_boolean(pace_is_behind(&pace)));
    if (result->totals.lag.count > 0) {
        put(object, "driver_lag", latency_json(&result->totals.lag));
        put(object, "late_driver_seconds", json_real((double)pace.driver_ns / 1e9));
        put(object, "late_engine_seconds", json_real((double)pace.engine_ns / 1e9));
        put(object, "late_processor_seconds", json_real((double)pace.processor_ns / 1e9));
        put(object, "bottleneck", json_string(pace_verdict_name(pace_judge(&pace))));
    }
    put(object, "statuses", errors_json(&result->totals));
    put(object, "usage", usage_json(&result->usage, result->seconds));
    put(object, "usage_with_drain",
        usage_json(&result->usage_drained, result->seconds + result->drain_seconds));
    if (result->stillness.was_watched)
        put(object, "standstills", stillness_json(&result->stillness));
    put(object, "slowest", slowest_json(&result->slowest, &result->stillness));
    put(object, "user_bytes", integer(phase->user_bytes));
    put(object, "live_bytes", integer(phase->live_bytes));
    put(object, "folder_bytes", integer(phase->folder_bytes));
    if (result->has_stats && result->stats != NULL && result->stats_drained != NULL) {
        put(object, "levels", levels_json(phase));
        put(object, "cache", tiers_json(result->stats));
        put(object, "stalls", stalls_json(result->stats));
        put(object, "write_amplification", json_real(phase_write_amplification(phase, false)));
        put(object, "write_amplification_with_drain",
            json_real(phase_write_amplification(phase, true)));
        put(object, "write_amplification_since_load",
            json_real(result->user_bytes_since_open > 0
                          ? (double)result->written_bytes_since_open
                                / (double)result->user_bytes_since_open
                          : 0));
        put(object, "space_amplification", json_real(phase_space_amplification(phase)));
        put(object, "counters", counters_json(result->stats));
        put(object, "counters_with_drain", counters_json(result->stats_drained));
    }
    if (result->text[0] != 0)
        put(object, "stopped_by", json_string(result->text));
    return object;
}

static json_t *properties_json(const struct plan *plan)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < plan->count; i++) {
        const struct plan_run *run = &plan->runs[i];
        json_t                *values = json_array(), *notes = json_array();

        for (size_t j = 0; catalogue_at(j) != NULL; j++) {
            const struct property_rule *rule = catalogue_at(j);
            const struct property      *item = properties_find(&run->properties, rule->name);

            if (item == NULL && rule->effect == PROPERTY_IGNORED)
                continue;
            json_array_append_new(
                values, json_pack("{s:s, s:s, s:s, s:i}", "name", rule->name, "value",
                                  item != NULL            ? item->value
                                  : rule->initial != NULL ? rule->initial
                                                          : "",
                                  "origin", item != NULL ? item->origin : "default", "line",
                                  item != NULL ? (int)item->line : 0));
        }
        for (size_t j = 0; j < run->lint.count; j++)
            json_array_append_new(notes, json_string(run->lint.findings[j].text));
        json_array_append_new(array, json_pack("{s:s, s:s, s:o, s:o}", "run", run->name, "workload",
                                               run->workload.name, "properties", values, "notes",
                                               notes));
    }
    return array;
}

static json_t *settings_json(const struct suite *suite)
{
    const struct bench_options *options = suite->options;
    const struct plan          *plan = suite->plan;
    json_t                     *object = json_object();

    put(object, "client", json_string(model_name(options->model)));
    put(object, "threads", json_integer(plan->thread_count));
    put(object, "depth", json_integer(plan->depth));
    put(object, "shards", json_integer(suite->shard_count));
    put(object, "memory_bytes", integer(options->memory_bytes));
    put(object, "load_durability", json_string(durability_name(plan->load_durability)));
    put(object, "seed", integer(plan->seed));
    put(object, "is_verifying", json_boolean(options->is_verifying && suite->class->keeps_data));
    put(object, "warm_up_share", json_real(options->warm_share));
    put(object, "target_per_second", json_real(options->target));
    put(object, "arrivals", json_string(options->is_constant ? "constant" : "poisson"));
    put(object, "drain_seconds_max", json_real(options->drain_seconds));
    return object;
}

static json_t *kills_json(const struct suite *suite)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < suite->kill_count; i++) {
        const struct kill_result *kill = &suite->kills[i];
        json_t                   *object = json_object(), *named = json_array();

        for (uint32_t j = 0; j < min_u64(kill->violation_count, KILL_NAMED_MAX); j++)
            json_array_append_new(named, json_string(kill->violations[j]));
        put(object, "durability", json_string(durability_name(kill->durability)));
        put(object, "seed", integer(kill->seed));
        put(object, "kills", integer(kill->round_count));
        put(object, "kills_while_opening", integer(kill->kills_opening));
        put(object, "acknowledged_writes", integer(kill->acknowledged));
        put(object, "records_read", integer(kill->records_checked));
        put(object, "violation_count", integer(kill->violation_count));
        put(object, "violations", named);
        put(object, "seconds", json_real(kill->seconds));
        json_array_append_new(array, object);
    }
    return array;
}

/* What was recorded or replayed; NULL: nothing. */
static json_t *trace_json(const struct suite *suite)
{
    const bool                is_replay = suite->plan->trace != NULL;
    const struct trace_about *about =
        is_replay ? trace_about(suite->plan->trace) : &suite->recorded;
    json_t                   *object;

    if (!is_replay && !suite->has_recorded)
        return NULL;
    object = json_object();
    put(object, "mode", json_string(is_replay ? "replay" : "record"));
    put(object, "file", json_string(is_replay ? suite->options->trace
                                              : suite->options->trace_record));
    put(object, "operations", integer(about->operation_count));
    put(object, "clients", integer(about->client_count));
    put(object, "span_seconds", json_real((double)about->last_ns / 1e9));
    put(object, "file_bytes", integer(about->file_bytes));
    put(object, "speed", json_real(is_replay ? suite->options->speed : 1));
    put(object, "waits", integer(suite->recorder_waits));
    return object;
}

json_t *report_json(const struct suite *suite, const char *id, const char *command, int exit_code)
{
    json_t *object = json_object(), *phases = json_array();

    put(object, "schema", json_string(REPORT_SCHEMA));
    put(object, "version", json_integer(REPORT_VERSION));
    put(object, "id", json_string(id));
    put(object, "suite", json_string(suite->plan->suite));
    put(object, "start", json_string(suite->start));
    put(object, "end", json_string(suite->end));
    put(object, "verdict",
        json_string(exit_code == 0 ? "complete" : suite->is_partial ? "partial" : "failed"));
    put(object, "exit_code", json_integer(exit_code));
    put(object, "command", json_string(command));
    put(object, "engine",
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "name", suite->class->name, "settings",
                  suite->engine_settings, "note", suite->class->note, "io_backend",
                  suite->io_backend, "io_features", suite->io_features));
    put(object, "build", build_json());
    put(object, "machine", machine_json(&suite->machine));
    if (suite->probe.was_made)
        put(object, "device_probe", probe_json(&suite->probe));
    put(object, "settings", settings_json(suite));
    put(object, "workloads", properties_json(suite->plan));
    put(object, "open_seconds", json_real(suite->open_seconds));
    put(object, "close_seconds", json_real(suite->close_seconds));
    put(object, "wall_seconds", json_real(suite->wall_seconds));
    for (uint32_t i = 0; i < suite->phase_count; i++)
        json_array_append_new(phases, phase_json(&suite->phases[i]));
    put(object, "phases", phases);
    if (suite->ladder_count > 0)
        put(object, "ladders", ladders_json(suite));
    put(object, "kill_checks", kills_json(suite));
    if (suite->plan->trace != NULL || suite->has_recorded)
        put(object, "trace", trace_json(suite));
    put(object, "correctness",
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "values_read",
                  (json_int_t)suite->verified, "values_wrong", (json_int_t)suite->wrong,
                  "values_missing", (json_int_t)suite->missing, "sampled_records",
                  (json_int_t)suite->sampled, "sampled_wrong", (json_int_t)suite->sampled_wrong,
                  "sampled_missing", (json_int_t)suite->sampled_missing));
    if (suite->text[0] != 0)
        put(object, "stopped_by", json_string(suite->text));
    return object;
}
