/*
 * report_text.c: tables for people, at most 100 columns wide.
 */
#include <inttypes.h>
#include <string.h>

#include "bench/report.h"

const char *duration_text(uint64_t ns, char *text, size_t bytes)
{
    if (ns < 1000)
        snprintf(text, bytes, "%" PRIu64 " ns", ns);
    else if (ns < 10000)
        snprintf(text, bytes, "%.2f us", (double)ns / 1e3);
    else if (ns < 1000000)
        snprintf(text, bytes, "%.*f us", ns < 100000, (double)ns / 1e3);
    else if (ns < 1000000000)
        snprintf(text, bytes, "%.*f ms", ns < 10000000 ? 2 : ns < 100000000, (double)ns / 1e6);
    else
        snprintf(text, bytes, "%.2f s", (double)ns / 1e9);
    return text;
}

const char *bytes_text(uint64_t count, char *text, size_t bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    double                   number = (double)count;
    size_t                   unit = 0;

    while (number >= 1024 && unit + 1 < ARRAY_COUNT(units)) {
        number /= 1024;
        unit++;
    }
    snprintf(text, bytes, "%.*f %s", unit > 0 && number < 100, number, units[unit]);
    return text;
}

const char *rate_text(double rate, char *text, size_t bytes)
{
    if (rate >= 1e6)
        snprintf(text, bytes, "%.2fM", rate / 1e6);
    else if (rate >= 1e4)
        snprintf(text, bytes, "%.1fk", rate / 1e3);
    else
        snprintf(text, bytes, "%.0f", rate);
    return text;
}

const char *answer_name(uint32_t answer)
{
    static const char *const names[KIWI_ANSWER_COUNT] = {
        [KIWI_ANSWER_RECORD_CACHE] = "record cache",
        [KIWI_ANSWER_MEMTABLE] = "memtable",
        [KIWI_ANSWER_FROZEN] = "frozen",
        [KIWI_ANSWER_LEVEL0] = "L0",
        [KIWI_ANSWER_LEVEL0 + 1] = "L1",
        [KIWI_ANSWER_LEVEL0 + 2] = "L2",
        [KIWI_ANSWER_LEVEL0 + 3] = "L3",
        [KIWI_ANSWER_LEVEL0 + 4] = "L4",
        [KIWI_ANSWER_LEVEL0 + 5] = "L5",
        [KIWI_ANSWER_LEVEL0 + 6] = "L6",
        [KIWI_ANSWER_NOTHING] = "nothing",
    };

    assert(answer < KIWI_ANSWER_COUNT);
    return names[answer];
}

static double ratio(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

double phase_write_amplification(const struct suite_phase *phase, bool is_drained)
{
    const struct kiwi_stats *stats =
        is_drained ? phase->result.stats_drained : phase->result.stats;

    if (stats == NULL || stats->user_write_bytes == 0)
        return 0;
    return ratio((double)stats_written_bytes(stats), (double)stats->user_write_bytes);
}

double level_write_amplification(const struct suite_phase *phase, uint32_t level)
{
    const struct kiwi_stats *stats = phase->result.stats_drained;

    if (stats == NULL)
        return 0;
    return ratio((double)(stats->levels[level].flush_bytes
                          + stats->levels[level].compaction_out_bytes),
                 (double)stats->user_write_bytes);
}

double phase_space_amplification(const struct suite_phase *phase)
{
    const struct kiwi_stats *stats = phase->result.stats_drained;

    if (stats == NULL || phase->live_bytes == 0)
        return 0;
    /* Tables only: what is still in memtables is neither above nor below the line. */
    return ratio((double)stats->table_file_bytes,
                 (double)(stats->live_bytes > 0 ? stats->live_bytes : phase->live_bytes));
}

/* What the device can do, for who reads the numbers below. */
static void probe_lines(FILE *stream, const struct suite *suite)
{
    const struct device_probe *probe = &suite->probe;
    const struct probe_figures *sync = &probe->parts[PROBE_SYNC];
    char                        rates[5][24], times[4][24];

    if (!probe->was_made) {
        if (suite->probe_text[0] != 0)
            fprintf(stream, "device    not probed: %s\n", suite->probe_text);
        return;
    }
    fprintf(stream,
            "device    write %s/s, read %s/s in order; 4 KiB synced p50 %s, p99 %s (%s/s);\n"
            "          random reads %s/s (p50 %s), 64 at once %s/s (p50 %s)%s\n",
            bytes_text((uint64_t)probe->parts[PROBE_WRITE].bytes_per_second, rates[0],
                       sizeof rates[0]),
            bytes_text((uint64_t)probe->parts[PROBE_READ].bytes_per_second, rates[1],
                       sizeof rates[1]),
            duration_text(sync->p50_ns, times[0], sizeof times[0]),
            duration_text(sync->p99_ns, times[1], sizeof times[1]),
            rate_text(sync->per_second, rates[2], sizeof rates[2]),
            rate_text(probe->parts[PROBE_RANDOM_READ].per_second, rates[3], sizeof rates[3]),
            duration_text(probe->parts[PROBE_RANDOM_READ].p50_ns, times[2], sizeof times[2]),
            rate_text(probe->parts[PROBE_DEEP_READ].per_second, rates[4], sizeof rates[4]),
            duration_text(probe->parts[PROBE_DEEP_READ].p50_ns, times[3], sizeof times[3]),
            probe->is_direct ? "" : ", through the page cache");
}

void report_header(FILE *stream, const struct suite *suite)
{
    const struct bench_options *options = suite->options;
    const struct machine       *machine = &suite->machine;
    char                        memory[32], limit[32], features[96];

    fprintf(stream, "kiwidb %s (%s)  engine %s  suite %s  seed %" PRIu64 "\n", build_version(),
            build_commit(), suite->class->name, suite->plan->suite, suite->plan->seed);
    fprintf(stream, "machine   %s, %u cores, %s, %s%s%s\n", machine->cpu, machine->cores,
            bytes_text(machine->memory_bytes, memory, sizeof memory), machine->kernel,
            machine->virtualization[0] != 0 ? ", " : "", machine->virtualization);
    fprintf(stream, "disk      %s (%s) on %s%s%s\n",
            machine->file_system[0] != 0 ? machine->file_system : "?", machine->mount_flags,
            machine->device[0] != 0 ? machine->device : "an unknown device",
            machine->scheduler[0] != 0 ? ", scheduler " : "", machine->scheduler);
    fprintf(stream, "build     %.60s; processor has %s\n", build_description(),
            machine_features(machine, features, sizeof features));
    probe_lines(stream, suite);
    fprintf(stream, "client    %s, %u threads x %u outstanding, memory %s, load %s%s%s\n",
            model_name(options->model), suite->plan->thread_count, suite->plan->depth,
            bytes_text(options->memory_bytes, limit, sizeof limit),
            durability_name(suite->plan->load_durability),
            options->is_verifying ? "" : ", reads NOT verified",
            suite->class->note[0] != 0 ? "" : "");
    if (suite->class->note[0] != 0)
        fprintf(stream, "note      %s\n", suite->class->note);
#ifdef KIWI_SANITIZED
    fprintf(stream, "note      built with sanitizers: these numbers say nothing about speed\n");
#endif
}

static void operation_rows(FILE *stream, const struct phase_result *result, bool is_response)
{
    for (uint32_t i = 0; i < OPERATION_COUNT; i++) {
        const struct kiwi_latency *latency =
            is_response ? &result->totals.responses[i] : &result->totals.latencies[i];
        static const double shares[] = { 0.5, 0.95, 0.99, 0.999, 0.9999 };
        char                text[32], name[24], rate[16];

        if (latency->count == 0)
            continue;
        snprintf(name, sizeof name, "%s%s", is_response ? "due " : "",
                 i == OPERATION_MODIFY ? "MODIFY" : operation_name((enum operation)i));
        fprintf(stream, "%-15s %11" PRIu64 " %9s", name, latency->count,
                rate_text(ratio((double)latency->count, result->seconds), rate, sizeof rate));
        fprintf(stream, " %8s", duration_text(latency->sum_ns / latency->count, text, sizeof text));
        for (size_t j = 0; j < ARRAY_COUNT(shares); j++)
            fprintf(stream, " %8s",
                    duration_text(kiwi_latency_percentile(latency, shares[j]), text, sizeof text));
        fprintf(stream, " %8s\n", duration_text(latency->max_ns, text, sizeof text));
    }
}

/* Levels that hold or did something; the rest would be empty rows. */
static bool level_is_shown(const struct kiwi_stats *stats, uint32_t level)
{
    const struct kiwi_level_stats *at = &stats->levels[level];

    return level < stats->level_count || at->files > 0
        || at->flush_bytes + at->compaction_out_bytes + at->get_read_bytes > 0
        || stats->answers[KIWI_ANSWER_LEVEL0 + level].gets > 0;
}

static void level_cells(FILE *stream, const struct suite_phase *phase, uint32_t level)
{
    const struct kiwi_level_stats *at = &phase->result.stats_drained->levels[level];
    char                           size[24], in[24], out[24];

    fprintf(stream, " %5" PRIu64 " %9s %5.2f %9s %9s", at->files,
            bytes_text(at->bytes, size, sizeof size), level_write_amplification(phase, level),
            bytes_text(at->get_read_bytes + at->compaction_in_bytes, in, sizeof in),
            bytes_text(at->flush_bytes + at->compaction_out_bytes, out, sizeof out));
}

static void memory_cells(FILE *stream, const struct kiwi_stats *stats, uint32_t answer)
{
    uint64_t bytes = answer == KIWI_ANSWER_RECORD_CACHE ? stats->tiers[KIWI_TIER_RECORD].bytes
                   : answer == KIWI_ANSWER_MEMTABLE     ? stats->memtable_bytes
                   : answer == KIWI_ANSWER_FROZEN       ? stats->frozen_bytes
                                                        : 0;
    char size[24];

    fprintf(stream, " %5s %9s %5s %9s %9s", "-",
            answer == KIWI_ANSWER_NOTHING ? "-" : bytes_text(bytes, size, sizeof size), "-", "-",
            "-");
}

static void answer_cells(FILE *stream, const struct suite_phase *phase, uint32_t answer,
                         uint64_t gets)
{
    const struct kiwi_stats        *stats = phase->result.stats;
    const struct kiwi_answer_stats *at = &stats->answers[answer];
    const bool is_level = answer >= KIWI_ANSWER_LEVEL0 && answer < KIWI_ANSWER_NOTHING;
    char       rate[16], median[24], tail[24], skips[16] = "-", wrong[16] = "-";

    if (is_level) {
        const struct kiwi_level_stats *level = &stats->levels[answer - KIWI_ANSWER_LEVEL0];
        if (level->filter_checks > 0) {
            snprintf(skips, sizeof skips, "%.1f%%",
                     100 * ratio((double)level->filter_skips, (double)level->filter_checks));
            snprintf(wrong, sizeof wrong, "%.2f%%",
                     100 * ratio((double)level->filter_false,
                                 (double)(level->filter_false + level->filter_skips)));
        }
    }
    fprintf(stream, " %6.2f%% %8s %6s %6s %8s %8s\n",
            100 * ratio((double)at->gets, (double)gets),
            rate_text(ratio((double)at->gets, phase->result.seconds), rate, sizeof rate), skips,
            wrong,
            at->latency.count > 0
                ? duration_text(kiwi_latency_percentile(&at->latency, 0.5), median, sizeof median)
                : "-",
            at->latency.count > 0
                ? duration_text(kiwi_latency_percentile(&at->latency, 0.99), tail, sizeof tail)
                : "-");
}

static void level_table(FILE *stream, const struct suite_phase *phase)
{
    const struct kiwi_stats *stats = phase->result.stats;
    uint64_t                 gets = 0;

    for (uint32_t i = 0; i < KIWI_ANSWER_COUNT; i++)
        gets += stats->answers[i].gets;
    fprintf(stream, "%-12s %5s %9s %5s %9s %9s %7s %8s %6s %6s %8s %8s\n", "level", "files", "size",
            "W-amp", "read", "written", "of gets", "gets/s", "skips", "false+", "p50", "p99");
    for (uint32_t i = 0; i < KIWI_ANSWER_COUNT; i++) {
        const bool is_level = i >= KIWI_ANSWER_LEVEL0 && i < KIWI_ANSWER_NOTHING;

        if (is_level && !level_is_shown(phase->result.stats_drained, i - KIWI_ANSWER_LEVEL0))
            continue;
        fprintf(stream, "%-12s", answer_name(i));
        if (is_level)
            level_cells(stream, phase, i - KIWI_ANSWER_LEVEL0);
        else
            memory_cells(stream, phase->result.stats_drained, i);
        answer_cells(stream, phase, i, gets);
    }
}

static void engine_lines(FILE *stream, const struct suite_phase *phase)
{
    static const char *const stall_names[KIWI_STALL_COUNT] = { "memtable", "log", "debt",
                                                               "memory" };
    static const char *const tier_names[KIWI_TIER_COUNT] = { "record", "block", "index", "filter" };
    const struct kiwi_stats *stats = phase->result.stats;
    char                     text[32], total[32];
    uint64_t                 stalls = 0;

    fprintf(stream,
            "write amplification %.2f, with drain %.2f, since load %.2f   space amplification %.2f"
            "   %" PRIu64 " flushes, %" PRIu64 " compactions\n",
            phase_write_amplification(phase, false), phase_write_amplification(phase, true),
            ratio((double)phase->result.written_bytes_since_open,
                  (double)phase->result.user_bytes_since_open),
            phase_space_amplification(phase), phase->result.stats_drained->flush_count,
            phase->result.stats_drained->compaction_count);
    fprintf(stream, "cache hits");
    for (uint32_t i = 0; i < KIWI_TIER_COUNT; i++) {
        const struct kiwi_tier_stats *tier = &stats->tiers[i];
        fprintf(stream, "  %s %.1f%% of %s", tier_names[i],
                100 * ratio((double)tier->hits, (double)(tier->hits + tier->misses)),
                rate_text((double)(tier->hits + tier->misses), text, sizeof text));
    }
    fprintf(stream, "\nstalls");
    for (uint32_t i = 0; i < KIWI_STALL_COUNT; i++) {
        if (stats->stalls[i].count == 0)
            continue;
        stalls += stats->stalls[i].count;
        fprintf(stream, "  %s %" PRIu64 " (%s, max %s)", stall_names[i], stats->stalls[i].count,
                duration_text(stats->stalls[i].total_ns, total, sizeof total),
                duration_text(stats->stalls[i].max_ns, text, sizeof text));
    }
    fputs(stalls == 0 ? "  none\n" : "\n", stream);
    if (stats->corruptions > 0)
        fprintf(stream, "CORRUPT BLOCKS %" PRIu64 "\n", stats->corruptions);
}

static void usage_line(FILE *stream, const struct suite_phase *phase)
{
    const struct phase_result *result = &phase->result;
    const struct usage        *usage = &result->usage;
    const double               own = (double)(usage->user_ns + usage->system_ns) / 1e9;
    const double               others = (double)usage->machine_busy_ns / 1e9 - own;
    char                       peak[24], in[24], out[24];

    fprintf(stream, "cpu %.2f s user, %.2f s system (%.2f cores; others %.2f)   peak memory %s   "
                    "device read %s, written %s\n",
            (double)usage->user_ns / 1e9, (double)usage->system_ns / 1e9,
            ratio(own, result->seconds), ratio(others > 0 ? others : 0, result->seconds),
            bytes_text(usage->resident_peak_bytes, peak, sizeof peak),
            bytes_text(usage->device_read_bytes, in, sizeof in),
            bytes_text(usage->device_write_bytes, out, sizeof out));
    if (result->drain_seconds > 0.01 || result->drain_left_bytes > 0) {
        fprintf(stream, "drain %.2f s", result->drain_seconds);
        if (result->drain_left_bytes > 0)
            fprintf(stream, ", given up with %s left",
                    bytes_text(result->drain_left_bytes, in, sizeof in));
        fputc('\n', stream);
    }
}

static void skew_line(FILE *stream, const struct phase_result *result)
{
    const struct skew_shares *skew = &result->skew;

    if (skew->is_measured)
        fprintf(stream,
                "skew: hottest record %.2f%%, top 1%% of %" PRIu64 " records %.1f%%, "
                "top 10%% %.1f%% (of %" PRIu64 " requests)\n",
                100 * skew->hottest, skew->records, 100 * skew->top_percent, 100 * skew->top_tenth,
                skew->requests);
}

/* Whether the rate was kept, and who is to blame. */
static void pace_lines(FILE *stream, const struct phase_result *result)
{
    const struct pace pace = phase_pace(result);
    const bool        is_behind = pace_is_behind(&pace);
    const double      share = 100 * pace_driver_share(&pace);
    char              rate[16], lag[24];

    fprintf(stream, "rate %s ops/s asked: %s, driver lag p99 %s\n",
            rate_text(result->target, rate, sizeof rate),
            is_behind ? "NOT MET: latencies are those of a queue that grows" : "met",
            duration_text(pace.lag_ns, lag, sizeof lag));
    switch (pace_judge(&pace)) {
    case PACE_KEPT:
        break;
    case PACE_DRIVER:
        fprintf(stream,
                "WARNING the driver is the bottleneck: of the time that operations were late, the\n"
                "        client threads were %.0f %% with the driver. %s are not the engine's:\n"
                "        use a lower --rate, more cores, or fewer of other people's processes\n",
                share, is_behind ? "Rate and response" : "Lag and response");
        break;
    case PACE_ENGINE:
        fprintf(stream,
                "%s: of the time that operations were late, the client threads were\n"
                "        %.0f %% with the engine\n",
                is_behind ? "the engine fell behind" : "operations waited for the engine",
                100 - share);
        break;
    case PACE_PROCESSOR:
        fprintf(stream,
                "%s: for %.0f %% of the time that operations\n"
                "        were late, the client threads could have run and had none; other threads\n"
                "        had them, those of the engine included\n",
                is_behind ? "the clients fell behind for want of processors"
                          : "the clients waited for processors",
                100 * pace_processor_share(&pace));
        break;
    }
}

void report_phase(FILE *stream, const struct suite *suite, const struct suite_phase *phase)
{
    const struct phase_result *result = &phase->result;
    char                       rate[16];

    fprintf(stream,
            "\n%s: %s ops/s   %" PRIu64 " operations in %.3f s%s   %s%s   (warm-up %.2f s)\n",
            result->name,
            rate_text(ratio((double)result->totals.operations, result->seconds), rate, sizeof rate),
            result->totals.operations, result->seconds,
            result->is_partial      ? ", PARTIAL"
            : result->was_timed_out ? ", time limit"
                                    : "",
            durability_name(phase->durability),
            suite_is_kill_checked(suite, phase->durability) ? ", kill-checked" : "",
            result->warm_seconds);
    if (result->totals.rows > 0)
        fprintf(stream, "%s rows/s scanned\n",
                rate_text(ratio((double)result->totals.rows, result->seconds), rate, sizeof rate));
    skew_line(stream, result);
    fprintf(stream, "%-15s %11s %9s %8s %8s %8s %8s %8s %8s %8s\n", "operation", "count", "ops/s",
            "mean", "p50", "p95", "p99", "p99.9", "p99.99", "max");
    operation_rows(stream, result, false);
    operation_rows(stream, result, true);
    if (result->totals.lag.count > 0)
        pace_lines(stream, result);
    if (result->has_stats && result->stats != NULL && result->stats_drained != NULL) {
        level_table(stream, phase);
        engine_lines(stream, phase);
    }
    usage_line(stream, phase);
    stillness_line(stream, &result->stillness);
    if (result->totals.missing + result->totals.wrong > 0)
        fprintf(stream, "WRONG: %" PRIu64 " reads found nothing, %" PRIu64 " found wrong values\n",
                result->totals.missing, result->totals.wrong);
    if (result->text[0] != 0)
        fprintf(stream, "stopped by: %s\n", result->text);
    fflush(stream);
}

static void summary_rows(FILE *stream, const struct suite *suite)
{
    char rate[16], mean[24], median[24], tail[24];

    fprintf(stream, "\n%-20s %9s %9s %9s %9s %7s %7s %7s\n", "phase", "ops/s", "mean", "p50", "p99",
            "W-amp", "cores", "drain");
    for (uint32_t i = 0; i < suite->phase_count; i++) {
        const struct suite_phase *phase = &suite->phases[i];
        struct kiwi_latency       all;

        if (phase->is_step)
            continue; /* ladders have tables of their own */
        recorder_sum(&phase->result.totals, CLOCK_SERVICE, &all);
        fprintf(stream, "%-20s %9s %9s %9s %9s %7.2f %7.2f %6.2fs%s\n", phase->result.name,
                rate_text(ratio((double)phase->result.totals.operations, phase->result.seconds),
                          rate, sizeof rate),
                duration_text(all.count > 0 ? all.sum_ns / all.count : 0, mean, sizeof mean),
                duration_text(kiwi_latency_percentile(&all, 0.5), median, sizeof median),
                duration_text(kiwi_latency_percentile(&all, 0.99), tail, sizeof tail),
                phase_write_amplification(phase, true),
                ratio((double)(phase->result.usage.user_ns + phase->result.usage.system_ns) / 1e9,
                      phase->result.seconds),
                phase->result.drain_seconds, phase->result.is_partial ? "  PARTIAL" : "");
    }
}

static void kill_lines(FILE *stream, const struct suite *suite)
{
    for (uint32_t i = 0; i < suite->kill_count; i++) {
        const struct kill_result *kill = &suite->kills[i];

        fprintf(stream,
                "kills     %s: %u of the process under load (%u while opening), seed %" PRIu64
                ":\n          %" PRIu64 " acknowledged writes, %" PRIu64
                " records read back, %" PRIu64 " broken promises\n",
                durability_name(kill->durability), kill->round_count, kill->kills_opening,
                kill->seed, kill->acknowledged, kill->records_checked, kill->violation_count);
        for (uint32_t j = 0; j < min_u64(kill->violation_count, KILL_NAMED_MAX); j++)
            fprintf(stream, "LOST      %s\n", kill->violations[j]);
        if (kill->violation_count > KILL_NAMED_MAX)
            fprintf(stream, "          and %" PRIu64 " more\n",
                    kill->violation_count - KILL_NAMED_MAX);
    }
}

static void trace_lines(FILE *stream, const struct suite *suite)
{
    const struct bench_options *options = suite->options;
    char                        size[32], span[32];

    if (suite->plan->trace != NULL) {
        const struct trace_about *about = trace_about(suite->plan->trace);

        fprintf(stream, "replayed  %s: %" PRIu64 " operations of %u clients, recorded in %s, ",
                options->trace, about->operation_count, about->client_count,
                duration_text(about->last_ns, span, sizeof span));
        if (options->speed > 0)
            fprintf(stream, "at speed %g\n", options->speed);
        else
            fprintf(stream, "as fast as possible\n");
    }
    if (suite->has_recorded)
        fprintf(stream, "recorded  %s: %" PRIu64 " operations in %s, %s of the run\n",
                options->trace_record, suite->recorded.operation_count,
                bytes_text(suite->recorded.file_bytes, size, sizeof size),
                duration_text(suite->recorded.last_ns, span, sizeof span));
    if (suite->recorder_waits > 0)
        fprintf(stream, "WARNING   clients waited %" PRIu64 " times for the disk of the trace: it "
                        "disturbed what was measured\n", suite->recorder_waits);
}

void report_summary(FILE *stream, const struct suite *suite, const char *folder,
                    const char *command)
{
    if (suite->phase_count > 0)
        summary_rows(stream, suite);
    report_ladder_answers(stream, suite);
    kill_lines(stream, suite);
    if (suite->phase_count == 0)
        fprintf(stream, "checked   nothing else: no number was measured\n");
    else if (!suite->class->keeps_data || !suite->options->is_verifying)
        fprintf(stream, "\nchecked   nothing: reads were not verified\n");
    else
        fprintf(stream,
                "\nchecked   %" PRIu64 " values read during the run: %" PRIu64 " wrong, %" PRIu64
                " missing;\n          %" PRIu64 " sampled records read again at the end: %" PRIu64
                " wrong, %" PRIu64 " missing\n",
                suite->verified, suite->wrong, suite->missing, suite->sampled,
                suite->sampled_wrong, suite->sampled_missing);
    trace_lines(stream, suite);
    if (suite->engine_settings[0] != 0)
        fprintf(stream, "settings  %s\n", suite->engine_settings);
    if (suite->io_backend[0] != 0)
        fprintf(stream, "io        %s: %s\n", suite->io_backend, suite->io_features);
    fprintf(stream, "time      %.1f s in all, opening %.2f s, closing %.2f s\n",
            suite->wall_seconds, suite->open_seconds, suite->close_seconds);
    if (folder[0] != 0)
        fprintf(stream, "report    %s\n", folder);
    fprintf(stream, "repeat    %s\n", command);
    if (suite->is_partial)
        fprintf(stream, "PARTIAL   the run was cut short%s%s\n", suite->text[0] != 0 ? ": " : "",
                suite->text);
    fflush(stream);
}
