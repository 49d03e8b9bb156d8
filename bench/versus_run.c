/*
 * versus_run.c: `kiwidb bench versus`: several engines, interleaved block by block.
 *
 * Every block is this program again, `kiwidb bench --engine X`, so that its memory and what it
 * leaves in caches end with it. Seed, threads, client and all else are the same for all.
 */
#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "bench/cap.h"
#include "bench/child.h"
#include "bench/folder.h"
#include "bench/options.h"
#include "bench/plan.h"
#include "bench/report.h"
#include "bench/report_html.h"
#include "bench/result.h"
#include "bench/verb.h"
#include "bench/versus.h"
#include "core/base/memory.h"

#define VERSUS_SCHEMA       "kiwi.bench.versus"
#define VERSUS_VERSION      1
#define ARGUMENT_COUNT_MAX  120
#define ADDED_ARGUMENT_MAX  16
#define ROUND_COUNT_DEFAULT 3u

enum cap_wish { CAP_AUTO = 0, CAP_ON, CAP_OFF };

struct versus_run {
    struct versus        versus;
    struct memory_cap    cap;             /* permitted: every block gets a group of its own */
    enum cap_wish        cap_wish;
    struct bench_options options;         /* those all engines share */
    struct plan          plan;
    char                *arguments[ARGUMENT_COUNT_MAX]; /* of every block; borrowed from argv */
    int                  argument_count;
    uint32_t             rounds;
    char                 program[PATH_MAX];
    char                 id[160], folder[PATH_MAX];
    char                 command[4096], start[32];
    json_t              *blocks;          /* owned */
    json_t              *first_run;       /* run.json of the first block; owned */
    char                 last[VERSUS_ENGINE_COUNT_MAX][PATH_MAX + 64]; /* folder of its last whole
                                                                        * block; "": none */
    bool                 is_out[VERSUS_ENGINE_COUNT_MAX]; /* killed: it has no more blocks */
    int                  exit_code;       /* of the block that ended it early */
};

static const char versus_help[] =
    "usage: kiwidb bench versus [options] FILE...\n\n"
    "Engines side by side, interleaved block by block in one run.\n\n"
    "  kiwidb bench versus --preset quick --client blocking --threads 1\n"
    "  kiwidb bench versus --engines kiwi,rocksdb,lmdb workloads/workload[abc]\n"
    "  kiwidb bench versus --engines kiwi,kiwi ...   what the machine does by itself\n\n"
    "  --engines LIST     the first is compared with each other (kiwi and all rivals\n"
    "                     that are in this build)\n"
    "  --rounds N         blocks of every engine, up to 64 (3; from 6 on there is a\n"
    "                     95 % interval instead of the range)\n"
    "  --memory-cap MODE  auto, on or off: limit each block's memory, page cache\n"
    "                     included, to --memory and 48 MiB + 1 MiB a thread for\n"
    "                     driver and process, by a control group (auto: where that is\n"
    "                     permitted; on: or not at all)\n\n"
    "and the options of `kiwidb bench`, but not --engine. The client is blocking when\n"
    "one of the engines knows no other. Prints medians, ratios paired by round, and\n"
    "every row that the first engine does not win; versus.json, report.html and all\n"
    "runs stay in a folder of the results.\n"
    "Exit: as `kiwidb bench`; a rival that is not in the build is skipped unless it\n"
    "was named. One whose process is killed, as by the cap, is left out; the others\n"
    "go on; it ends with 3.\n";

/* "--name=value" or "--name value"; *at stays on the last argument taken. */
static const char *argument_value(int argc, char **argv, int *at, const char *name)
{
    size_t length = strlen(name);

    if (strncmp(argv[*at], name, length) != 0)
        return NULL;
    if (argv[*at][length] == '=')
        return argv[*at] + length + 1;
    if (argv[*at][length] != 0)
        return NULL;
    return *at + 1 < argc ? argv[++*at] : "";
}

static enum kiwi_status rounds_parse(const char *text, uint32_t *rounds)
{
    uint64_t count = 0;

    if (count_parse(text, &count) != KIWI_OK || count == 0 || count > VERSUS_ROUND_COUNT_MAX)
        return FAIL(KIWI_INVALID, "--rounds '%.40s' is no count from 1 to %u", text,
                    VERSUS_ROUND_COUNT_MAX);
    *rounds = (uint32_t)count;
    return KIWI_OK;
}

static enum kiwi_status cap_wish_parse(const char *text, enum cap_wish *wish)
{
    static const char *const names[] = { [CAP_AUTO] = "auto", [CAP_ON] = "on", [CAP_OFF] = "off" };

    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (strcmp(text, names[i]) == 0) {
            *wish = (enum cap_wish)i;
            return KIWI_OK;
        }
    return FAIL(KIWI_INVALID, "--memory-cap '%.40s' is none of auto, on, off", text);
}

/* kiwi and everybody else's engine, without those that only exist to price something. */
static enum kiwi_status engines_default(struct versus *versus)
{
    static const char *const names[] = { "kiwi", "rocksdb", "leveldb", "lmdb", "wiredtiger" };

    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (engine_find(names[i]) != NULL)
            TRY(versus_engines_parse(names[i], versus));
        else
            fprintf(stderr, "kiwidb bench versus: %s is not in this build (scripts/setup "
                            "--rivals, configure again): skipped\n", names[i]);
    }
    return KIWI_OK;
}

/* Every engine must be able to do what is asked: the client model is the only thing they differ
 * in. */
static enum kiwi_status options_read(struct versus_run *run)
{
    char *argv[ARGUMENT_COUNT_MAX + ADDED_ARGUMENT_MAX];
    bool  has_blocking_only = false;

    for (uint32_t i = run->versus.engine_count; i-- > 0;) {
        int count = 0;

        argv[count++] = (char *)(uintptr_t)"versus";
        argv[count++] = (char *)(uintptr_t)"--engine";
        argv[count++] = (char *)(uintptr_t)run->versus.engines[i].class->name;
        for (int j = 0; j < run->argument_count; j++)
            argv[count++] = run->arguments[j];
        argv[count] = NULL;
        bench_options_free(&run->options);
        TRY(bench_options_parse(count, argv, &run->options));
        has_blocking_only = has_blocking_only || run->versus.engines[i].class->has_no_submit;
    }
    if (run->options.is_ladder)
        return FAIL(KIWI_INVALID, "--ladder is for one engine: its steps are others for each");
    if (!run->options.has_model && has_blocking_only) {
        run->options.model = CLIENT_BLOCKING;
        if (run->options.depth > 1)
            return FAIL(KIWI_INVALID, "a blocking client has depth 1, not %u, and one of the "
                                      "engines knows no other", run->options.depth);
    }
    return KIWI_OK;
}

/* KIWI_NOT_FOUND: help was asked for. */
static enum kiwi_status arguments_read(struct versus_run *run, int argc, char **argv)
{
    const char *value;

    run->rounds = ROUND_COUNT_DEFAULT;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return KIWI_NOT_FOUND;
        if (strcmp(argv[i], "--") == 0)
            return FAIL(KIWI_INVALID, "'--' is not understood here; write ./FILE");
        if (argument_value(argc, argv, &i, "--engine") != NULL)
            return FAIL(KIWI_INVALID, "--engine is for one engine; write --engines kiwi,rocksdb");
        if ((value = argument_value(argc, argv, &i, "--engines")) != NULL)
            TRY(versus_engines_parse(value, &run->versus));
        else if ((value = argument_value(argc, argv, &i, "--rounds")) != NULL)
            TRY(rounds_parse(value, &run->rounds));
        else if ((value = argument_value(argc, argv, &i, "--memory-cap")) != NULL)
            TRY(cap_wish_parse(value, &run->cap_wish));
        else if (run->argument_count == ARGUMENT_COUNT_MAX)
            return FAIL(KIWI_INVALID, "more than %d arguments", ARGUMENT_COUNT_MAX);
        else
            run->arguments[run->argument_count++] = argv[i];
    }
    if (run->versus.engine_count == 0)
        TRY(engines_default(&run->versus));
    return options_read(run);
}

static void command_write(struct versus_run *run, int argc, char **argv)
{
    char option[40];

    snprintf(run->command, sizeof run->command, "kiwidb bench");
    for (int i = 0; i < argc; i++)
        command_append(run->command, sizeof run->command, argv[i]);
    snprintf(option, sizeof option, "--seed=%llu", (unsigned long long)run->plan.seed);
    if (!run->options.has_seed)
        command_append(run->command, sizeof run->command, option);
    snprintf(option, sizeof option, "--threads=%u", run->plan.thread_count);
    if (run->options.threads == 0)
        command_append(run->command, sizeof run->command, option);
}

/* "<UTC>-versus-<suite>-<commit8>-<n>", and the folder. */
static enum kiwi_status folder_open(struct versus_run *run)
{
    char time[24];

    utc_write(time, sizeof time, true);
    for (int n = 1; n < 10000; n++) {
        snprintf(run->id, sizeof run->id, "%s-versus-%.40s-%.8s-%d", time, run->plan.suite,
                 build_commit(), n);
        if (snprintf(run->folder, sizeof run->folder, "%s/%s", run->options.results, run->id)
            >= (int)sizeof run->folder)
            return FAIL(KIWI_INVALID, "path of results is too long");
        if (access(run->folder, F_OK) != 0)
            return folder_make(run->folder);
    }
    return FAIL(KIWI_FULL, "%s holds too many results", run->options.results);
}

/* What a block printed, and its folder under a name of this run's. */
static enum kiwi_status block_take(struct versus_run *run, uint32_t round, uint32_t engine,
                                   const char *output, size_t bytes, char *name, size_t name_bytes)
{
    json_error_t     error;
    json_t          *document = json_loadb(output, bytes, 0, &error);
    char             from[PATH_MAX + 200], to[PATH_MAX + 64];
    enum kiwi_status status = KIWI_OK;

    if (document == NULL)
        return bytes == 0 ? KIWI_NOT_FOUND
                          : FAIL(KIWI_CORRUPT, "what a block printed, line %d: %s", error.line,
                                 error.text);
    snprintf(name, name_bytes, "%u-%s", round + 1, run->versus.engines[engine].label);
    snprintf(from, sizeof from, "%s/%s", run->folder, result_text(document, "id"));
    snprintf(to, sizeof to, "%s/%s", run->folder, name);
    if (rename(from, to) != 0 && errno != ENOENT)
        status = FAIL(KIWI_IO, "cannot rename %s to %s: %s", from, to, strerror(errno));
    if (status == KIWI_OK)
        status = versus_add(&run->versus, round, engine, document);
    if (status == KIWI_OK && strcmp(result_text(document, "verdict"), "complete") == 0)
        memcpy(run->last[engine], to, sizeof to);
    if (run->first_run == NULL)
        run->first_run = document;
    else
        json_decref(document);
    return status;
}

static void block_print(const struct versus_run *run, uint32_t round, uint32_t engine,
                        double seconds)
{
    const struct versus *versus = &run->versus;

    fprintf(stderr, "round %u of %u  %-12s %6.1f s ", round + 1, run->rounds,
            versus->engines[engine].label, seconds);
    for (uint32_t i = 0; i < versus->phase_count; i++) {
        double rate = versus->phases[i].cells[VERSUS_RATE][engine].rounds[round];
        char   text[32];

        if (rate > 0)
            fprintf(stderr, "  %s %s", versus->phases[i].name, rate_text(rate, text, sizeof text));
    }
    fputc('\n', stderr);
}

static enum kiwi_status cap_open(struct versus_run *run)
{
    struct versus_cap *cap = &run->versus.cap;
    struct statfs      about;

    if (run->cap_wish == CAP_OFF)
        snprintf(run->cap.reason, sizeof run->cap.reason, "--memory-cap off");
    else if (statfs(run->options.directory, &about) == 0 && about.f_type == TMPFS_MAGIC)
        snprintf(run->cap.reason, sizeof run->cap.reason,
                 "%.160s is on a tmpfs, whose files are memory", run->options.directory);
    else
        memory_cap_find(&run->cap);
    if (run->cap_wish == CAP_ON && !run->cap.is_permitted)
        return FAIL(KIWI_IO, "--memory-cap on: %s", run->cap.reason);
    cap->is_enforced = run->cap.is_permitted;
    cap->memory_bytes = run->options.memory_bytes;
    cap->allowance_bytes = memory_cap_allowance(run->plan.thread_count);
    snprintf(cap->reason, sizeof cap->reason, "%s", run->cap.reason);
    return KIWI_OK;
}

/* The program as a block, in a group of its own where that is permitted. */
static enum kiwi_status child_run_capped(struct versus_run *run, uint32_t engine,
                                         char *const *argv, struct child_result *result)
{
    const struct versus_cap  *cap = &run->versus.cap;
    struct versus_engine     *of = &run->versus.engines[engine];
    struct child_options      options = { .argv = argv, .flags = CHILD_APART };
    struct memory_group       group;
    struct memory_group_usage usage;
    char                      entry[CAP_PATH_BYTES];
    enum kiwi_status          status;

    if (!cap->is_enforced)
        return child_run(&options, result);
    memset(result, 0, sizeof *result);
    TRY(memory_group_open(&run->cap, cap->memory_bytes + cap->allowance_bytes, &group));
    memory_group_entry(&group, entry);
    options.group = entry;
    status = child_run(&options, result);
    memory_group_usage_read(&group, &usage);
    if ((double)usage.peak_bytes > of->group_peak_bytes)
        of->group_peak_bytes = (double)usage.peak_bytes;
    if (usage.kill_count > 0)
        fprintf(stderr, "kiwidb bench versus: %s needed more memory than its cap of %llu MiB and "
                        "was ended by the kernel\n", of->label,
                (unsigned long long)(cap->memory_bytes + cap->allowance_bytes) >> 20);
    if (memory_group_close(&group) != KIWI_OK && status == KIWI_OK)
        fprintf(stderr, "kiwidb bench versus: %s\n", fail_text());
    return status;
}

/* Leaves the exit code of a block that failed in run->exit_code. */
static enum kiwi_status block_run(struct versus_run *run, uint32_t round, uint32_t engine)
{
    const struct versus_engine *of = &run->versus.engines[engine];
    char                       *argv[ARGUMENT_COUNT_MAX + ADDED_ARGUMENT_MAX + 4];
    char                        data[PATH_MAX + 40], options[3][40], name[48] = "";
    struct child_result         result;
    enum kiwi_status            status;
    int                         count = 0;

    snprintf(data, sizeof data, "%s/%s", run->options.directory, of->label);
    snprintf(options[0], sizeof options[0], "--seed=%llu", (unsigned long long)run->plan.seed);
    snprintf(options[1], sizeof options[1], "--threads=%u", run->plan.thread_count);
    snprintf(options[2], sizeof options[2], "--client=%s", model_name(run->options.model));
    argv[count++] = run->program;
    argv[count++] = (char *)(uintptr_t)"bench";
    for (int i = 0; i < run->argument_count; i++)
        argv[count++] = run->arguments[i];
    for (size_t i = 0; i < ARRAY_COUNT(options); i++)
        argv[count++] = options[i];
    argv[count++] = (char *)(uintptr_t)"--engine";
    argv[count++] = (char *)(uintptr_t)of->class->name;
    argv[count++] = (char *)(uintptr_t)"--dir";
    argv[count++] = data;
    argv[count++] = (char *)(uintptr_t)"--results";
    argv[count++] = run->folder;
    argv[count++] = (char *)(uintptr_t)"--json";
    argv[count++] = (char *)(uintptr_t)"--quiet";
    argv[count] = NULL;
    status = child_run_capped(run, engine, argv, &result);
    if (status == KIWI_OK)
        status = block_take(run, round, engine, result.output, result.output_bytes, name,
                            sizeof name);
    if (status == KIWI_NOT_FOUND && result.exit_code != 0)
        status = KIWI_OK;
    json_array_append_new(run->blocks,
                          json_pack("{s:i, s:s, s:s, s:i, s:f}", "round", (int)round + 1, "engine",
                                    of->label, "folder", name, "exit_code", result.exit_code,
                                    "wall_seconds", result.wall_seconds));
    if (!run->options.is_keeping)
        data_folder_remove(data);
    if (status == KIWI_OK && !run->options.is_quiet && name[0] != 0)
        block_print(run, round, engine, result.wall_seconds);
    if (status == KIWI_OK && result.exit_code != 0 && child_signal_seen() == 0)
        fprintf(stderr, "kiwidb bench versus: round %u, %s: ended with exit code %d%s\n", round + 1,
                of->label, result.exit_code, result.exit_code > 128 ? " (a signal)" : "");
    run->exit_code = result.exit_code;
    child_result_free(&result);
    return status;
}

/* An engine whose process is killed, as by the cap of its memory, leaves; the others go on. Without
 * the one that they are compared with there is nothing to go on for. */
static bool engine_leaves(struct versus_run *run, uint32_t engine)
{
    if (run->exit_code <= 128 || engine == 0)
        return false;
    fprintf(stderr, "kiwidb bench versus: %s is left out from here on\n",
            run->versus.engines[engine].label);
    run->is_out[engine] = true;
    run->exit_code = 0;
    return true;
}

static bool has_left(const struct versus_run *run)
{
    for (uint32_t i = 0; i < run->versus.engine_count; i++)
        if (run->is_out[i])
            return true;
    return false;
}

static enum kiwi_status blocks_run(struct versus_run *run)
{
    uint32_t order[VERSUS_ENGINE_COUNT_MAX];

    for (uint32_t round = 0; round < run->rounds; round++) {
        versus_order(round, run->versus.engine_count, order);
        for (uint32_t i = 0; i < run->versus.engine_count; i++) {
            if (run->is_out[order[i]])
                continue;
            TRY(block_run(run, round, order[i]));
            if (child_signal_seen() != 0)
                return KIWI_OK;
            if (!engine_leaves(run, order[i]) && run->exit_code != 0)
                return KIWI_OK;
        }
    }
    return KIWI_OK;
}

static json_t *document_make(const struct versus_run *run, int exit_code)
{
    static const char *const shared[] = { "build", "machine", "settings", "workloads" };
    char                     end[32];
    json_t                  *document;

    utc_write(end, sizeof end, false);
    document = json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:i, s:i, s:O, s:o, s:o}",
                         "schema", VERSUS_SCHEMA, "version", VERSUS_VERSION, "id", run->id, "suite",
                         run->plan.suite, "start", run->start, "end", end, "verdict",
                         exit_code == 0 ? "complete" : "partial", "exit_code", exit_code, "command",
                         run->command, "rounds_wanted", (int)run->rounds, "rounds",
                         (int)run->versus.round_count, "blocks", run->blocks, "engines",
                         versus_engines_json(&run->versus), "phases",
                         versus_phases_json(&run->versus));
    json_object_set_new(document, "memory_cap", versus_cap_json(&run->versus));
    for (size_t i = 0; i < ARRAY_COUNT(shared); i++)
        json_object_set(document, shared[i], json_object_get(run->first_run, shared[i]));
    return document;
}

/* The last whole blocks of the first engine and another, overlaid. */
static enum kiwi_status overlays_write(const struct versus_run *run)
{
    for (uint32_t i = 1; i < run->versus.engine_count; i++) {
        char path[PATH_MAX + 100];

        snprintf(path, sizeof path, "%s/%s-%s.html", run->folder, run->versus.engines[0].label,
                 run->versus.engines[i].label);
        if (run->last[0][0] != 0 && run->last[i][0] != 0)
            TRY(report_html_pair(path, run->last[0], run->last[i]));
    }
    return KIWI_OK;
}

static enum kiwi_status files_write(const struct versus_run *run, const json_t *document)
{
    char path[PATH_MAX + 24];

    snprintf(path, sizeof path, "%s/versus.json", run->folder);
    if (json_dump_file(document, path, JSON_INDENT(1) | JSON_REAL_PRECISION(12)) != 0)
        return FAIL(errno == ENOSPC ? KIWI_FULL : KIWI_IO, "cannot write %s: %s", path,
                    strerror(errno));
    TRY(overlays_write(run));
    snprintf(path, sizeof path, "%s/report.html", run->folder);
    TRY(versus_html_write(path, &run->versus, document));
    return machine_keep(json_object_get(document, "machine"), run->options.results);
}

static void result_print(const struct versus_run *run, const json_t *document, int exit_code)
{
    if (run->options.is_json) {
        json_dumpf(document, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
        fputc('\n', stdout);
        return;
    }
    printf("%s%s, %s client%s, %u thread%s, ", exit_code == 0 ? "" : "PARTIAL  ", run->plan.suite,
           model_name(run->options.model), run->options.model == CLIENT_BLOCKING ? "s" : "",
           run->plan.thread_count, run->plan.thread_count == 1 ? "" : "s");
    char text[32];
    printf("%s for each engine, commit %s\n\n",
           bytes_text(run->options.memory_bytes, text, sizeof text), build_commit());
    versus_print(stdout, &run->versus);
    printf("\nresults   %s\ncommand   %s\n", run->folder, run->command);
}

static int run_carry_out(struct versus_run *run)
{
    enum kiwi_status status;
    json_t          *document;
    int              exit_code;

    child_signals_catch();
    status = blocks_run(run);
    exit_code = child_signal_seen() != 0 ? 128 + child_signal_seen()
              : status != KIWI_OK              ? verb_failed("versus")
              : run->exit_code > 128           ? BENCH_ENVIRONMENT
              : run->exit_code != 0            ? run->exit_code
              : has_left(run)                  ? BENCH_ENVIRONMENT
                                               : BENCH_DONE;
    data_folder_remove(run->options.directory);
    document = document_make(run, exit_code);
    if (document == NULL)
        status = FAIL(KIWI_NO_MEMORY, "no memory for the results");
    else
        status = files_write(run, document);
    if (status != KIWI_OK) {
        (void)verb_failed("versus");
        exit_code = exit_code == 0 ? BENCH_ENVIRONMENT : exit_code;
    }
    if (document != NULL)
        result_print(run, document, exit_code);
    json_decref(document);
    child_signals_release();
    return fflush(stdout) != 0 && exit_code == 0 ? BENCH_ENVIRONMENT : exit_code;
}

static int run_prepare(struct versus_run *run, int argc, char **argv)
{
    enum kiwi_status status = arguments_read(run, argc, argv);

    if (status == KIWI_NOT_FOUND)
        return fputs(versus_help, stdout) < 0 ? BENCH_ENVIRONMENT : -1;
    if (status == KIWI_OK)
        status = plan_make(&run->options, &run->plan);
    if (status != KIWI_OK) {
        (void)verb_failed("versus");
        return status == KIWI_INVALID ? BENCH_USAGE : BENCH_ENVIRONMENT;
    }
    command_write(run, argc, argv);
    utc_write(run->start, sizeof run->start, false);
    if ((status = child_own_path(run->program, sizeof run->program)) != KIWI_OK
        || (status = data_folder_claim(run->options.directory)) != KIWI_OK)
        return verb_failed("versus");
    if ((status = cap_open(run)) != KIWI_OK || (status = folder_open(run)) != KIWI_OK) {
        data_folder_remove(run->options.directory);
        return verb_failed("versus");
    }
    return BENCH_DONE;
}

int verb_versus(int argc, char **argv)
{
    struct versus_run *run = memory_allocate_zeroed(sizeof *run);
    int                code;

    if (run == NULL)
        return BENCH_ENVIRONMENT;
    run->blocks = json_array();
    code = run_prepare(run, argc, argv);
    if (code == BENCH_DONE)
        code = run_carry_out(run);
    json_decref(run->blocks);
    json_decref(run->first_run);
    plan_free(&run->plan);
    bench_options_free(&run->options);
    memory_free(run);
    return code < 0 ? BENCH_DONE : code;
}
