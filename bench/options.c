/*
 * options.c: one table drives parsing, help and suggestions.
 */
#include "bench/options.h"

#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/kill.h"
#include "workloads/catalogue.h"

enum flag_id {
    FLAG_PRESET = 256, FLAG_ENGINE, FLAG_CLIENT, FLAG_THREADS, FLAG_DEPTH, FLAG_SHARDS,
    FLAG_DURABILITY, FLAG_LOAD_DURABILITY, FLAG_MEMORY, FLAG_DIR, FLAG_RESULTS, FLAG_SUITE,
    FLAG_SEED, FLAG_RECORDS, FLAG_OPS, FLAG_VALUE_BYTES, FLAG_WARM_UP, FLAG_DRAIN, FLAG_SECONDS,
    FLAG_RATE, FLAG_TARGET, FLAG_LADDER, FLAG_SLO, FLAG_ARRIVALS, FLAG_NO_VERIFY, FLAG_IN_ORDER,
    FLAG_KEEP, FLAG_IO_BACKEND, FLAG_NO_STATISTICS, FLAG_JSON, FLAG_KILL_CHECK,
    FLAG_PROBE, FLAG_NO_PROBE, FLAG_KILL_ROUNDS, FLAG_KILL_SEED, FLAG_TRACE_RECORD, FLAG_TRACE,
    FLAG_SPEED, FLAG_EXISTING,
};

struct flag {
    int         id;
    const char *name;
    const char *argument;   /* NULL: takes none */
    const char *help;
};

static const struct flag flags[] = {
    { FLAG_PRESET, "preset", "NAME", "quick, standard or large instead of files" },
    { FLAG_ENGINE, "engine", "NAME", "kiwi, another, or null: prices the driver itself" },
    { FLAG_CLIENT, "client", "MODEL", "attached (default), managed or blocking" },
    { FLAG_THREADS, "threads", "N", "client threads (default: cores)" },
    { FLAG_DEPTH, "depth", "N", "operations outstanding per thread (32; blocking: 1)" },
    { FLAG_SHARDS, "shards", "N", "shards of the database (default: cores)" },
    { FLAG_DURABILITY, "durability", "MODE", "durable, process or memory" },
    { FLAG_LOAD_DURABILITY, "load-durability", "MODE", "the same, for the load only" },
    { FLAG_MEMORY, "memory", "SIZE", "all the engine may keep (512MiB)" },
    { FLAG_DIR, "dir", "DIR", "where the data goes (./kiwi-bench-data)" },
    { FLAG_RESULTS, "results", "DIR", "where the report goes (./results/runs)" },
    { FLAG_SUITE, "suite", "NAME", "name of the run in the results" },
    { FLAG_SEED, "seed", "N", "seed of keys, mix and values (42)" },
    { FLAG_RECORDS, "records", "N", "recordcount of every workload" },
    { FLAG_OPS, "ops", "N", "operationcount of every workload" },
    { FLAG_VALUE_BYTES, "value-bytes", "SIZE", "one field of this length" },
    { 'p', "property", "NAME=VALUE", "sets a property, after all files" },
    { FLAG_WARM_UP, "warm-up", "SHARE", "operations or time before measuring (0.1 of them)" },
    { FLAG_DRAIN, "drain", "TIME", "longest wait for background work (60s)" },
    { FLAG_SECONDS, "seconds", "TIME", "ends each phase after this time (ladder: 5s)" },
    { FLAG_RATE, "rate", "N", "open loop: operations a second over all threads" },
    { FLAG_TARGET, "target", "N", "the same under YCSB's name" },
    { FLAG_ARRIVALS, "arrivals", "KIND", "poisson (default) or constant, of an open loop" },
    { FLAG_LADDER, "ladder", NULL, "finds the highest rate that meets --slo" },
    { FLAG_SLO, "slo", "LIST", "limits of response: p99=1ms,max=50ms; p50 to p99.9" },
    { FLAG_TRACE_RECORD, "trace-record", "FILE", "record the measured operations" },
    { FLAG_TRACE, "trace", "FILE", "replay these operations (kiwidb bench replay FILE)" },
    { FLAG_SPEED, "speed", "N", "of a replay: 1 as recorded, 2 twice as fast, max" },
    { FLAG_EXISTING, "existing", NULL, "use what an earlier run left by --keep, no load" },
    { FLAG_NO_VERIFY, "no-verify", NULL, "do not check what reads return" },
    { FLAG_PROBE, "probe", NULL, "probe the device (3 s), though one of today is kept" },
    { FLAG_NO_PROBE, "no-probe", NULL, "do not probe the device" },
    { FLAG_KILL_CHECK, "kill-check", NULL, "first kill the engine under load: is all kept?" },
    { FLAG_KILL_ROUNDS, "kill-rounds", "N", "kills, each after up to 1 s of load (3)" },
    { FLAG_KILL_SEED, "kill-seed", "N", "seed of their moments (new each time, printed)" },
    { FLAG_IN_ORDER, "in-order", NULL, "run files as given, inserting ones not last" },
    { FLAG_KEEP, "keep", NULL, "leave the data behind" },
    { FLAG_IO_BACKEND, "io-backend", "NAME", "uring (default) or posix" },
    { FLAG_NO_STATISTICS, "no-statistics", NULL, "engine without per-level counts, to price them" },
    { FLAG_JSON, "json", NULL, "print run.json and nothing else" },
    { 'q', "quiet", NULL, "no progress, no notes" },
    { 'h', "help", NULL, "this text" },
};

void bench_help(FILE *stream)
{
    fputs("kiwidb bench: loads a database, runs YCSB workloads, prints what it took\n\n"
          "  kiwidb bench --preset quick\n"
          "  kiwidb bench workloads/workloada --records 1M --ops 2M\n"
          "  kiwidb bench workload[a-f] --client blocking --threads 8 --durability durable\n"
          "  kiwidb bench workloadc --engine null            what the driver costs\n"
          "  kiwidb bench workloadb --rate 50k --json > run.json\n"
          "  kiwidb bench workloadb --ladder --slo p99=1ms\n"
          "  kiwidb bench workloadb --rate 50k --trace-record b.trace\n"
          "  kiwidb bench replay b.trace --speed 2 --engine rocksdb\n\n"
          "usage: kiwidb bench [options] FILE...\n\n",
          stream);
    for (size_t i = 0; i < ARRAY_COUNT(flags); i++) {
        char left[40], mark[8] = "    ";

        if (flags[i].id < 256)
            snprintf(mark, sizeof mark, "-%c, ", flags[i].id);
        snprintf(left, sizeof left, "%s--%s%s%s", mark, flags[i].name,
                 flags[i].argument != NULL ? " " : "",
                 flags[i].argument != NULL ? flags[i].argument : "");
        fprintf(stream, "  %-26s %s\n", left, flags[i].help);
    }
    fputs("\nSizes: 512MiB = 2^20 bytes each, 512MB = 10^6. Times: 250ms, 10s. Counts: 1M.\n"
          "Files are YCSB property files, or names of built-in ones (all of workloads/).\n"
          "The first is loaded; those that insert or delete run last, and after one of them\n"
          "the data is made anew. Every phase: warm-up, measured part, drain.\n"
          "Results: run.json, series.csv, ycsb.txt in a folder of their own.\n"
          "Exit: 0 done, 2 usage, 3 environment or I/O, 4 wrong data, 5 locked, 130 INT.\n",
          stream);
}

/* A decimal fraction at the start of text; NULL when there is none, else where it ends. strtod
 * alone would also take hexadecimal, exponents, and words. */
static const char *decimal_read(const char *text, double *number)
{
    char   digits[40];
    size_t length = strspn(text, "0123456789.");

    if (length == 0 || length >= sizeof digits || text[0] == '.'
        || strchr(text, '.') != strrchr(text, '.'))
        return NULL;
    memcpy(digits, text, length);
    digits[length] = 0;
    *number = strtod(digits, NULL);
    return text + length;
}

enum kiwi_status count_parse(const char *text, uint64_t *count)
{
    double      number = 0, factor = 1;
    const char *end = decimal_read(text, &number);

    if (end != NULL && *end != 0) {
        factor = *end == 'k' || *end == 'K' ? 1e3 : *end == 'M' ? 1e6 : *end == 'G' ? 1e9 : 0;
        end++;
    }
    number *= factor;
    if (end == NULL || *end != 0 || factor == 0 || number > 9e15 || number != floor(number))
        return FAIL(KIWI_INVALID, "'%.40s' is no count; write 1000000 or 1M", text);
    *count = (uint64_t)number;
    return KIWI_OK;
}

enum kiwi_status size_parse(const char *text, uint64_t *bytes)
{
    static const struct {
        const char *unit;
        double      factor;
    } units[] = {
        { "", 1 },           { "B", 1 },    { "KiB", 0x1p10 }, { "MiB", 0x1p20 },
        { "GiB", 0x1p30 },   { "TiB", 0x1p40 }, { "kB", 1e3 }, { "KB", 1e3 },
        { "MB", 1e6 },       { "GB", 1e9 }, { "TB", 1e12 },
    };
    double      number = 0;
    const char *end = decimal_read(text, &number);

    while (end != NULL && *end == ' ')
        end++;
    for (size_t i = 0; i < ARRAY_COUNT(units) && end != NULL; i++)
        if (strcmp(end, units[i].unit) == 0 && number * units[i].factor < 9e18) {
            *bytes = (uint64_t)(number * units[i].factor);
            return KIWI_OK;
        }
    return FAIL(KIWI_INVALID, "'%.40s' is no size; write 512MiB or 1GB", text);
}

enum kiwi_status seconds_parse(const char *text, double *seconds)
{
    static const struct {
        const char *unit;
        double      factor;
    } units[] = {
        { "", 1 }, { "s", 1 }, { "ms", 1e-3 }, { "us", 1e-6 }, { "m", 60 }, { "h", 3600 }
    };
    double      number = 0;
    const char *end = decimal_read(text, &number);

    for (size_t i = 0; i < ARRAY_COUNT(units) && end != NULL; i++)
        if (strcmp(end, units[i].unit) == 0 && number * units[i].factor < 1e9) {
            *seconds = number * units[i].factor;
            return KIWI_OK;
        }
    return FAIL(KIWI_INVALID, "'%.40s' is no time; write 250ms, 10s or 2m", text);
}

static const char *const durability_names[] = {
    [KIWI_DURABILITY_DEFAULT] = "default",
    [KIWI_DURABLE] = "durable",
    [KIWI_PROCESS] = "process",
    [KIWI_MEMORY] = "memory",
};

const char *durability_name(enum kiwi_durability durability)
{
    assert((unsigned)durability < ARRAY_COUNT(durability_names));
    return durability_names[durability];
}

enum kiwi_status durability_parse(const char *text, enum kiwi_durability *out)
{
    char hint[80];

    for (size_t i = KIWI_DURABLE; i < ARRAY_COUNT(durability_names); i++)
        if (strcmp(durability_names[i], text) == 0) {
            *out = (enum kiwi_durability)i;
            return KIWI_OK;
        }
    return FAIL(KIWI_INVALID, "durability '%.40s' is none of durable, process, memory%s", text,
                word_suggest("durable process memory", text, hint, sizeof hint));
}

static const char *const model_names[] = {
    [CLIENT_ATTACHED] = "attached",
    [CLIENT_MANAGED] = "managed",
    [CLIENT_BLOCKING] = "blocking",
};

const char *model_name(enum client_model model)
{
    assert((unsigned)model < ARRAY_COUNT(model_names));
    return model_names[model];
}

static enum kiwi_status model_parse(const char *text, enum client_model *out)
{
    char hint[80];

    for (size_t i = 0; i < ARRAY_COUNT(model_names); i++)
        if (strcmp(model_names[i], text) == 0) {
            *out = (enum client_model)i;
            return KIWI_OK;
        }
    return FAIL(KIWI_INVALID, "client '%.40s' is none of attached, managed, blocking%s", text,
                word_suggest("attached managed blocking", text, hint, sizeof hint));
}

static enum kiwi_status number_parse(const char *name, const char *text, uint64_t low,
                                     uint64_t high, uint64_t *out)
{
    TRY(count_parse(text, out));
    if (*out < low || *out > high)
        return FAIL(KIWI_INVALID, "--%s %s is outside %llu to %llu", name, text,
                    (unsigned long long)low, (unsigned long long)high);
    return KIWI_OK;
}

static enum kiwi_status small_parse(const char *name, const char *text, uint64_t high,
                                    uint32_t *out)
{
    uint64_t number = 0;

    TRY(number_parse(name, text, 1, high, &number));
    *out = (uint32_t)number;
    return KIWI_OK;
}

static enum kiwi_status override_set(struct bench_options *options, const char *name,
                                     uint64_t number)
{
    char text[32];

    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    return properties_set(&options->overrides, name, text, "command line", 0);
}

static enum kiwi_status property_option(struct bench_options *options, const char *text)
{
    const char *sign = strchr(text, '=');
    char        name[128];

    if (sign == NULL || sign == text || (size_t)(sign - text) >= sizeof name)
        return FAIL(KIWI_INVALID, "-p '%.60s' is not NAME=VALUE", text);
    snprintf(name, sizeof name, "%.*s", (int)(sign - text), text);
    return properties_set(&options->overrides, name, sign + 1, "command line", 0);
}

/* Options that decide the load and become properties, so that the report tells their origin. */
static enum kiwi_status workload_option(struct bench_options *options, int id, const char *text)
{
    uint64_t number = 0;
    char     hint[80];

    switch (id) {
    case 'p':
        return property_option(options, text);
    case FLAG_RECORDS:
        TRY(number_parse("records", text, 1, 1000000000000u, &number));
        return override_set(options, "recordcount", number);
    case FLAG_OPS:
        TRY(number_parse("ops", text, 1, 1000000000000u, &number));
        return override_set(options, "operationcount", number);
    case FLAG_VALUE_BYTES:
        TRY(size_parse(text, &number));
        TRY(override_set(options, "fieldcount", 1));
        return override_set(options, "fieldlength", number);
    case FLAG_SEED:
        TRY(number_parse("seed", text, 0, UINT64_MAX, &options->seed));
        options->has_seed = true;
        return KIWI_OK;
    case FLAG_WARM_UP:
        options->warm_share = strtod(text, NULL);
        if (!(options->warm_share >= 0 && options->warm_share <= 10))
            return FAIL(KIWI_INVALID, "--warm-up %.40s is outside 0 to 10", text);
        return KIWI_OK;
    case FLAG_RATE:
    case FLAG_TARGET:
        TRY(number_parse(id == FLAG_RATE ? "rate" : "target", text, 1, 1000000000u, &number));
        options->target = (double)number;
        return KIWI_OK;
    case FLAG_SLO:
        return objectives_parse(text, &options->objectives);
    case FLAG_ARRIVALS:
        options->is_constant = strcmp(text, "constant") == 0;
        if (!options->is_constant && strcmp(text, "poisson") != 0)
            return FAIL(KIWI_INVALID, "arrivals '%.40s' is neither poisson nor constant%s", text,
                        word_suggest("poisson constant", text, hint, sizeof hint));
        return KIWI_OK;
    default:
        assert(false && "an option without meaning");
        return KIWI_INVALID;
    }
}

static enum kiwi_status engine_option(struct bench_options *options, int id, const char *text)
{
    switch (id) {
    case FLAG_ENGINE:
        options->engine = text;
        return engine_find(text) == NULL ? engine_absent(text) : KIWI_OK;
    case FLAG_CLIENT:
        options->has_model = true;
        return model_parse(text, &options->model);
    case FLAG_THREADS:
        return small_parse("threads", text, 1024, &options->threads);
    case FLAG_DEPTH:
        return small_parse("depth", text, 4096, &options->depth);
    case FLAG_SHARDS:
        return small_parse("shards", text, KIWI_SHARD_COUNT_MAX, &options->shards);
    case FLAG_DURABILITY:
        return durability_parse(text, &options->durability);
    case FLAG_LOAD_DURABILITY:
        return durability_parse(text, &options->load_durability);
    case FLAG_MEMORY:
        TRY(size_parse(text, &options->memory_bytes));
        if (options->memory_bytes < KIWI_MEMORY_BYTES_MIN)
            return FAIL(KIWI_INVALID, "--memory %.40s is below 8MiB", text);
        return KIWI_OK;
    case FLAG_IO_BACKEND:
        options->io_backend = strcmp(text, "posix") == 0 ? KIWI_IO_POSIX : KIWI_IO_URING;
        if (strcmp(text, "posix") != 0 && strcmp(text, "uring") != 0)
            return FAIL(KIWI_INVALID, "io backend '%.40s' is neither uring nor posix", text);
        return KIWI_OK;
    default:
        return workload_option(options, id, text);
    }
}

static enum kiwi_status speed_parse(const char *text, double *speed)
{
    char *end;

    *speed = strtod(text, &end);
    if (strcmp(text, "max") == 0)
        *speed = 0;
    else if (end == text || *end != 0 || !(*speed >= 0 && *speed <= 1e6)
             || (*speed > 0 && *speed < 1e-6))
        return FAIL(KIWI_INVALID, "--speed '%.40s' is neither max nor a number from 0 to 1000000",
                    text);
    return KIWI_OK;
}

static enum kiwi_status trace_option(struct bench_options *options, int id, const char *text)
{
    switch (id) {
    case FLAG_TRACE_RECORD:
        options->trace_record = text;
        return KIWI_OK;
    case FLAG_TRACE:
        options->trace = text;
        return KIWI_OK;
    case FLAG_SPEED:
        options->has_speed = true;
        return speed_parse(text, &options->speed);
    default:
        options->is_existing = options->is_keeping = true;
        return KIWI_OK;
    }
}

static enum kiwi_status option_set(struct bench_options *options, int id, const char *text)
{
    switch (id) {
    case FLAG_TRACE_RECORD:
    case FLAG_TRACE:
    case FLAG_SPEED:
    case FLAG_EXISTING:
        return trace_option(options, id, text);
    case FLAG_PROBE:
        options->probe = BENCH_PROBE_FRESH;
        return KIWI_OK;
    case FLAG_NO_PROBE:
        options->probe = BENCH_PROBE_NONE;
        return KIWI_OK;
    case FLAG_KILL_CHECK:
        options->is_kill_checking = true;
        return KIWI_OK;
    case FLAG_KILL_ROUNDS:
        options->is_kill_checking = true;
        return small_parse("kill-rounds", text, KILL_ROUND_COUNT_MAX, &options->kill_rounds);
    case FLAG_KILL_SEED:
        options->is_kill_checking = options->has_kill_seed = true;
        return number_parse("kill-seed", text, 0, UINT64_MAX, &options->kill_seed);
    case FLAG_PRESET:
        options->preset = text;
        return KIWI_OK;
    case FLAG_DIR:
        options->directory = text;
        return KIWI_OK;
    case FLAG_RESULTS:
        options->results = text;
        return KIWI_OK;
    case FLAG_SUITE:
        options->suite = text;
        if (text[0] == 0 || strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_.") != strlen(text))
            return FAIL(KIWI_INVALID, "suite '%.40s': small letters, digits, _ and . only", text);
        return KIWI_OK;
    case FLAG_DRAIN:
        return seconds_parse(text, &options->drain_seconds);
    case FLAG_SECONDS:
        return seconds_parse(text, &options->seconds_max);
    case FLAG_NO_VERIFY:
        options->is_verifying = false;
        return KIWI_OK;
    case FLAG_NO_STATISTICS:
        options->has_no_statistics = true;
        return KIWI_OK;
    case FLAG_IN_ORDER:
        options->is_in_order = true;
        return KIWI_OK;
    case FLAG_LADDER:
        options->is_ladder = true;
        return KIWI_OK;
    case FLAG_KEEP:
        options->is_keeping = true;
        return KIWI_OK;
    case FLAG_JSON:
        options->is_json = true;
        return KIWI_OK;
    case 'q':
        options->is_quiet = true;
        return KIWI_OK;
    case 'h':
        options->is_help = true;
        return KIWI_OK;
    default:
        return engine_option(options, id, text);
    }
}

static enum kiwi_status option_unknown(const char *given)
{
    const char *nearest = NULL;
    uint32_t    best = UINT32_MAX;
    char        word[48];

    given += strspn(given, "-");
    snprintf(word, sizeof word, "%.*s", (int)strcspn(given, "="), given);
    for (size_t i = 0; i < ARRAY_COUNT(flags); i++) {
        uint32_t distance = edit_distance(word, flags[i].name);
        if (distance < best) {
            best = distance;
            nearest = flags[i].name;
        }
    }
    if (best <= 1 + strlen(word) / 3)
        return FAIL(KIWI_INVALID, "unknown option '%.40s'; did you mean '--%s'?", word, nearest);
    return FAIL(KIWI_INVALID, "unknown option '%.40s'", word);
}

/* A trace says what is done and when, so nothing else may. */
static enum kiwi_status trace_check(const struct bench_options *options)
{
    if (options->trace == NULL && options->has_speed)
        return FAIL(KIWI_INVALID, "--speed is for a replay, and --trace is missing");
    if (options->is_existing && (options->is_ladder || options->is_kill_checking))
        return FAIL(KIWI_INVALID, "--existing excludes --ladder and --kill-check, which load anew");
    if (options->trace_record != NULL && options->is_ladder)
        return FAIL(KIWI_INVALID, "--trace-record and --ladder exclude each other");
    if (options->trace == NULL)
        return KIWI_OK;
    if (options->preset != NULL || options->file_count > 0)
        return FAIL(KIWI_INVALID, "a replay takes its workload from the trace: no preset, no file");
    if (options->overrides.count > 0)
        return FAIL(KIWI_INVALID,
                    "a replay takes its workload from the trace: '%.60s' cannot be set",
                    options->overrides.items[0].name);
    if (options->is_ladder || options->target > 0)
        return FAIL(KIWI_INVALID, "the pace of a replay is --speed: no --ladder, no --rate");
    if (options->trace_record != NULL)
        return FAIL(KIWI_INVALID, "--trace and --trace-record exclude each other");
    return KIWI_OK;
}

static enum kiwi_status options_check(struct bench_options *options)
{
    if (options->is_help)
        return KIWI_OK;
    if (engine_find(options->engine)->has_no_submit) {
        if (options->has_model && options->model != CLIENT_BLOCKING)
            return FAIL(KIWI_INVALID, "engine %s has blocking clients only, not %s",
                        options->engine, model_name(options->model));
        options->model = CLIENT_BLOCKING;
    }
    if (options->is_kill_checking && !engine_find(options->engine)->keeps_data)
        return FAIL(KIWI_INVALID, "engine %s keeps nothing: there is nothing to --kill-check",
                    options->engine);
    TRY(trace_check(options));
    if (options->preset == NULL && options->file_count == 0 && options->trace == NULL)
        return FAIL(KIWI_INVALID, "no workload file and no --preset");
    if (options->preset != NULL && options->file_count > 0)
        return FAIL(KIWI_INVALID, "--preset and workload files exclude each other");
    if (options->is_ladder && options->objectives.text[0] == 0)
        return FAIL(KIWI_INVALID, "--ladder needs limits; write --ladder --slo p99=1ms");
    if (!options->is_ladder && options->objectives.text[0] != 0)
        return FAIL(KIWI_INVALID, "--slo is for --ladder, which is missing");
    if (options->is_ladder && options->target > 0)
        return FAIL(KIWI_INVALID, "--ladder and --rate exclude each other");
    if (options->model == CLIENT_BLOCKING && options->depth > 1)
        return FAIL(KIWI_INVALID, "a blocking client has depth 1, not %u", options->depth);
    return KIWI_OK;
}

enum kiwi_status bench_options_parse(int argc, char **argv, struct bench_options *out)
{
    struct option long_options[ARRAY_COUNT(flags) + 1] = { 0 };
    int           id;

    *out = (struct bench_options){
        .model = CLIENT_ATTACHED,
        .memory_bytes = 512ull << 20,
        .directory = "kiwi-bench-data",
        .results = "results/runs",
        .seed = 42,
        .warm_share = 0.1,
        .drain_seconds = 60,
        .is_verifying = true,
        .kill_rounds = 3,
        .speed = 1,
    };
    out->engine = engine_find("kiwi") != NULL ? "kiwi" : "null";
    for (size_t i = 0; i < ARRAY_COUNT(flags); i++)
        long_options[i] = (struct option){ flags[i].name, flags[i].argument != NULL, NULL,
                                           flags[i].id };
    optind = 0; /* starts getopt anew, also for a second call in one process */
    opterr = 0;
    while ((id = getopt_long(argc, argv, ":p:qh", long_options, NULL)) != -1) {
        if (id == '?')
            return option_unknown(argv[optind - 1]);
        if (id == ':')
            return FAIL(KIWI_INVALID, "option '%.40s' needs an argument", argv[optind - 1]);
        TRY(option_set(out, id, optarg));
    }
    for (; optind < argc; optind++) {
        if (out->file_count == BENCH_FILE_COUNT_MAX)
            return FAIL(KIWI_INVALID, "more than %u workload files", BENCH_FILE_COUNT_MAX);
        out->files[out->file_count++] = argv[optind];
    }
    return options_check(out);
}

void bench_options_free(struct bench_options *options)
{
    properties_free(&options->overrides);
}
