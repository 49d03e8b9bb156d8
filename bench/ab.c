/*
 * ab.c: `kiwidb bench ab BASE CANDIDATE`: two programs, paired and interleaved.
 *
 * Three arms: base, the base copied under another name (the canary), candidate. Every sample is a
 * fresh process on a fresh data set; the order inside each triple is random, and so is the size of
 * the environment (Mytkowicz et al. 2009). The canary shows what the machine does by itself, and is
 * a second base: the candidate must be slower than both. A slower verdict is measured a second time
 * before it counts. What is left behind is in ab.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/ab.h"
#include "bench/child.h"
#include "bench/clock.h"
#include "bench/folder.h"
#include "bench/result.h"
#include "bench/verb.h"
#include "core/base/memory.h"

#define WORK_SHORT_SECONDS 0.2 /* half a second is asked for; less than this is told */
#define ARGUMENT_COUNT_MAX 60
#define ADDED_ARGUMENT_MAX 20

struct ab_run {
    struct ab ab;
    char      programs[AB_ARM_COUNT][PATH_MAX];
    char      folder[64];         /* of data, the canary and the samples' own results */
    uint64_t  random_state;
};

static uint64_t random_next(struct ab_run *run)
{
    run->random_state ^= run->random_state << 13;
    run->random_state ^= run->random_state >> 7;
    run->random_state ^= run->random_state << 17;
    return run->random_state >> 16;
}

/* What the program says of itself when it runs these words of `kiwidb bench`; its run.json is
 * *document, owned by the caller, NULL when it printed none. */
static enum kiwi_status program_run(struct ab_run *run, enum ab_arm arm, char *const *words,
                                    int word_count, struct child_result *result, json_t **document)
{
    char *argv[ARGUMENT_COUNT_MAX + ADDED_ARGUMENT_MAX], data[96], results[96], padding[2048];
    int   count = 0;
    enum kiwi_status status;

    snprintf(data, sizeof data, "%s/data", run->folder);
    snprintf(results, sizeof results, "%s/results", run->folder);
    argv[count++] = run->programs[arm];
    argv[count++] = (char *)(uintptr_t)"bench";
    for (int i = 0; i < word_count; i++)
        argv[count++] = words[i];
    argv[count++] = (char *)(uintptr_t)"--json";
    argv[count++] = (char *)(uintptr_t)"--dir";
    argv[count++] = data;
    argv[count++] = (char *)(uintptr_t)"--results";
    argv[count++] = results;
    argv[count] = NULL;
    snprintf(padding, sizeof padding, "KIWI_BENCH_PADDING=%0*d", (int)(random_next(run) % 1900), 0);
    status = child_run(&(struct child_options){ .argv = argv, .environment = padding,
                                                .flags = CHILD_QUIET | CHILD_APART }, result);
    *document = status == KIWI_OK ? json_loadb(result->output, result->output_bytes, 0, NULL)
                                  : NULL;
    return status;
}

static void build_keep(struct ab *ab, enum ab_arm arm, const json_t *document)
{
    if (ab->builds[arm] == NULL)
        ab->builds[arm] = json_incref(json_object_get(document, "build"));
}

/* Asks a program from which commit it was built, by a run that takes no time. One that does not
 * tell may still be measured. */
static enum kiwi_status program_ask(struct ab_run *run, enum ab_arm arm)
{
    static const char *const words[] = { "workloada", "--engine=null", "--records=1", "--ops=1",
                                         "--threads=1", "--no-probe" };
    char                    *arguments[ARRAY_COUNT(words)];
    struct child_result      result;
    json_t                  *document;
    enum kiwi_status         status;

    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        arguments[i] = (char *)(uintptr_t)words[i];
    status = program_run(run, arm, arguments, ARRAY_COUNT(words), &result, &document);
    build_keep(&run->ab, arm, document);
    json_decref(document);
    child_result_free(&result);
    return status;
}

/* All phases but the load, from what the program says of itself. */
static enum kiwi_status sample_read(struct ab *ab, const json_t *document, struct ab_sample *out)
{
    double  foreign_seconds = 0, seconds;
    size_t  index;
    json_t *phase;

    json_array_foreach(json_object_get(document, "phases"), index, phase)
    {
        const char  *kind = json_string_value(json_object_get(phase, "kind"));
        const double wall_seconds = result_number(phase, "seconds");

        if (kind == NULL || strcmp(kind, "load") == 0)
            continue;
        out->operations += result_number(phase, "operations");
        out->wall_seconds += wall_seconds;
        out->user_seconds += result_number(phase, "usage.cpu_user_seconds");
        out->system_seconds += result_number(phase, "usage.cpu_system_seconds");
        out->stolen_seconds += result_number(phase, "usage.stolen_seconds");
        out->involuntary_switches += result_number(phase, "usage.involuntary_switches");
        foreign_seconds += result_number(phase, "usage.foreign_cores") * wall_seconds;
    }
    seconds = ab->is_wall ? out->wall_seconds : out->user_seconds + out->system_seconds;
    if (!(out->operations > 0 && seconds > 0))
        return FAIL(KIWI_IO, "a sample printed no run of a workload");
    out->ns_per_operation = 1e9 * seconds / out->operations;
    out->foreign_cores = out->wall_seconds > 0 ? foreign_seconds / out->wall_seconds : 0;
    out->load_average = result_number(document, "machine.load_average_before");
    return KIWI_OK;
}

/* Fills the rest of sample, which says of what it is one. KIWI_NOT_FOUND: a signal ended it. */
static enum kiwi_status sample_take(struct ab_run *run, struct ab_sample *sample)
{
    struct ab          *ab = &run->ab;
    char                planted[32];
    struct child_result result;
    json_t             *document;
    enum kiwi_status    status;

    snprintf(planted, sizeof planted, "%.1f", ab->planted);
    if (sample->arm == AB_CANDIDATE && ab->planted > 0)
        (void)setenv("KIWI_BENCH_PLANT_PERCENT", planted, 1);
    sample->start_seconds = clock_wall_seconds();
    status = program_run(run, sample->arm, ab->arguments, ab->argument_count, &result, &document);
    (void)unsetenv("KIWI_BENCH_PLANT_PERCENT");
    sample->process_seconds = result.wall_seconds;
    if (child_signal_seen() != 0 && (status != KIWI_OK || result.exit_code != 0))
        status = KIWI_NOT_FOUND;
    else if (status == KIWI_OK && result.exit_code != 0)
        status = FAIL(KIWI_IO, "%s bench ended with exit code %d", run->programs[sample->arm],
                      result.exit_code);
    if (status == KIWI_OK)
        status = sample_read(ab, document, sample);
    if (status == KIWI_OK) {
        build_keep(ab, sample->arm, document);
        status = ab_sample_add(ab, sample);
    }
    json_decref(document);
    child_result_free(&result);
    return status;
}

/* Leaves the time per operation of each arm. KIWI_NOT_FOUND: a signal cut it short. */
static enum kiwi_status triple_take(struct ab_run *run, uint32_t triple, double *samples)
{
    enum ab_arm order[AB_ARM_COUNT] = { AB_BASE, AB_CANARY, AB_CANDIDATE };

    for (size_t i = AB_ARM_COUNT; i-- > 1;) {
        size_t      j = random_next(run) % (i + 1);
        enum ab_arm kept = order[i];

        order[i] = order[j];
        order[j] = kept;
    }
    for (uint32_t i = 0; i < AB_ARM_COUNT; i++) {
        struct ab_sample sample = { .arm = order[i], .session = run->ab.session_count,
                                    .triple = triple, .order = i };

        if (child_signal_seen() != 0)
            return KIWI_NOT_FOUND;
        TRY(sample_take(run, &sample));
        samples[order[i]] = sample.ns_per_operation;
    }
    return KIWI_OK;
}

static void look_print(const struct ab *ab, const struct ab_look *look)
{
    const struct ab_judgement *judgement = &look->judgement;

    printf("%2u pairs  %+6.2f %% (%+.2f to %+.2f), p %.4f   canary %+.2f %%   %s\n", look->pairs,
           ab_percent(judgement->candidate.middle), ab_percent(judgement->candidate.low),
           ab_percent(judgement->candidate.high), judgement->candidate.p_greater,
           ab_percent(judgement->canary.middle), ab_verdict_name(judgement->verdict));
    if (judgement->verdict != AB_GO_ON)
        printf("          %s time per operation, gate %.1f %%; the smallest slowdown this run "
               "could have found: %.1f %%\n",
               ab->is_wall ? "wall" : "CPU", 100 * ab->gate, ab_percent(judgement->smallest));
    fflush(stdout);
}

static void work_judge(const struct ab *ab)
{
    double seconds = ab_mean_work_seconds(ab);

    if (seconds < WORK_SHORT_SECONDS)
        printf("note      a sample's work takes %.2f s; in 0.5 s and more (a higher --ops) chance "
               "weighs less\n", seconds);
}

/* One session: up to 40 triples, fewer when an earlier look decides. */
static enum kiwi_status session_run(struct ab_run *run, enum ab_verdict *verdict)
{
    struct ab         *ab = &run->ab;
    struct ab_session *session = &ab->sessions[ab->session_count++];

    *verdict = AB_GO_ON;
    while (session->look_count < AB_LOOK_COUNT && *verdict == AB_GO_ON) {
        const uint32_t  index = session->look_count;
        struct ab_look *look = &session->looks[index];

        while (session->pair_count < ab_look_pairs(index)) {
            const uint32_t pair = session->pair_count;
            double         samples[AB_ARM_COUNT] = { 0 };

            TRY(triple_take(run, pair + 1, samples));
            session->candidate[pair] = log(samples[AB_CANDIDATE] / samples[AB_BASE]);
            session->canary[pair] = log(samples[AB_CANARY] / samples[AB_BASE]);
            session->pair_count++;
        }
        look->pairs = session->pair_count;
        look->judgement = ab_judge(session->candidate, session->canary, index, log1p(ab->gate));
        session->look_count++;
        *verdict = look->judgement.verdict;
        look_print(ab, look);
        if (index == 0 && ab->session_count == 1)
            work_judge(ab);
    }
    return KIWI_OK;
}

static enum kiwi_status program_copy(const char *from, const char *to)
{
    static char buffer[1 << 16];
    int         in = open(from, O_RDONLY | O_CLOEXEC);
    int         out = in < 0 ? -1 : open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    ssize_t     got = -1;

    while (out >= 0 && (got = read(in, buffer, sizeof buffer)) > 0)
        if (write(out, buffer, (size_t)got) != got) {
            got = -1;
            break;
        }
    if (in >= 0)
        close(in);
    if (out >= 0 && close(out) != 0)
        got = -1;
    if (got != 0)
        return FAIL(KIWI_IO, "cannot copy %s to %s: %s", from, to, strerror(errno));
    return KIWI_OK;
}

/* Sets verdict and exit code. KIWI_NOT_FOUND: a signal cut it short. */
static enum kiwi_status sessions_run(struct ab_run *run)
{
    struct ab      *ab = &run->ab;
    enum ab_verdict first, second;

    TRY(session_run(run, &first));
    if (first != AB_SLOWER) {
        ab->verdict = ab_verdict_name(first);
        printf("verdict   %s\n", ab->verdict);
        return KIWI_OK;
    }
    puts("slower once; measuring again");
    TRY(session_run(run, &second));
    if (second == AB_SLOWER) {
        ab->verdict = ab_verdict_name(AB_SLOWER);
        ab->exit_code = BENCH_REGRESSION;
        puts("verdict   slower, confirmed");
        return KIWI_OK;
    }
    ab->verdict = ab_verdict_name(AB_UNDECIDED);
    printf("verdict   undecided: slower once, then %s\n", ab_verdict_name(second));
    return KIWI_OK;
}

static int run_carry_out(struct ab_run *run)
{
    struct ab       *ab = &run->ab;
    enum kiwi_status status = sessions_run(run);

    if (status != KIWI_OK && child_signal_seen() != 0) {
        ab->verdict = "interrupted";
        ab->exit_code = 128 + child_signal_seen();
        puts("verdict   interrupted");
    } else if (status != KIWI_OK) {
        failure_text(ab->stopped_by, sizeof ab->stopped_by);
        ab->verdict = "failed";
        ab->exit_code = verb_failed("ab");
        puts("verdict   failed");
    }
    if (ab_files_write(ab) != KIWI_OK) {
        (void)verb_failed("ab");
        ab->exit_code = ab->exit_code == BENCH_DONE ? BENCH_ENVIRONMENT : ab->exit_code;
    }
    printf("results   %s\n", ab->folder);
    return fflush(stdout) != 0 && ab->exit_code == BENCH_DONE ? BENCH_ENVIRONMENT : ab->exit_code;
}

/* Told before a program runs that need not have. */
static enum kiwi_status results_make(const char *results)
{
    char inside[PATH_MAX];

    TRY(folder_make(results));
    if (snprintf(inside, sizeof inside, "%s/.", results) >= (int)sizeof inside)
        return FAIL(KIWI_INVALID, "path of results is too long");
    if (access(inside, W_OK | X_OK) != 0)
        return FAIL(KIWI_IO, "cannot make folders in %s: %s", results, strerror(errno));
    return KIWI_OK;
}

/* Until the folder of the result is there, nothing is measured. */
static enum kiwi_status run_prepare(struct ab_run *run)
{
    struct ab *ab = &run->ab;

    TRY(results_make(ab->results));
    snprintf(run->programs[AB_CANARY], PATH_MAX, "%s/canary", run->folder);
    TRY(program_copy(run->programs[AB_BASE], run->programs[AB_CANARY]));
    machine_read(&ab->machine, run->folder);
    TRY(program_ask(run, AB_BASE));
    TRY(program_ask(run, AB_CANDIDATE));
    return ab_folder_open(ab);
}

static const char ab_help[] =
    "usage: kiwidb bench ab BASE CANDIDATE [options] -- ARGUMENTS\n\n"
    "Is the second program slower? Both run in turn, with a copy of the first, the\n"
    "canary. ARGUMENTS are those of `kiwidb bench`; 0.5 s of work a sample is enough.\n\n"
    "  kiwidb bench ab ./kiwidb.before ./kiwidb -- workloadc --records 10k --ops 2M\n\n"
    "  --gate PERCENT     slower from here on (3; with --wall 5)\n"
    "  --wall             wall time, for workloads that wait for the device; else\n"
    "                     processor time\n"
    "  --results DIR      where the folder of the result goes (./results/ab); in it\n"
    "                     verdict.json, samples.ndjson (a line for each run) and\n"
    "                     report.html\n\n"
    "Verdicts: pass, slower (than base and canary, in two sessions), unstable (not\n"
    "slower, and the canary is off by more than half the gate), undecided.\n"
    "Exit 0, or 6 when slower was confirmed; 3 when a run failed, 130 after Ctrl-C:\n"
    "both leave what was measured until then.\n";

static void command_write(struct ab *ab, int argc, char **argv)
{
    snprintf(ab->command, sizeof ab->command, "kiwidb bench");
    for (int i = 0; i < argc; i++)
        command_append(ab->command, sizeof ab->command, argv[i]);
}

static int options_read(struct ab_run *run, int argc, char **argv)
{
    enum { GATE = 256, WALL, PLANT, RESULTS };
    static const struct option options[] = {
        { "gate", 1, NULL, GATE }, { "wall", 0, NULL, WALL }, { "results", 1, NULL, RESULTS },
        { "plant-slowdown", 1, NULL, PLANT }, { "help", 0, NULL, 'h' }, { NULL, 0, NULL, 0 },
    };
    struct ab *ab = &run->ab;
    double     gate = 0;
    int        id, split = 0;

    command_write(ab, argc, argv);
    while (split < argc && strcmp(argv[split], "--") != 0)
        split++;
    ab->arguments = argv + split + 1;
    ab->argument_count = split < argc ? argc - split - 1 : 0;
    ab->results = "results/ab";
    optind = 0;
    opterr = 0;
    while ((id = getopt_long(split, argv, ":h", options, NULL)) != -1) {
        if (id == GATE)
            gate = strtod(optarg, NULL);
        else if (id == WALL)
            ab->is_wall = true;
        else if (id == PLANT)
            ab->planted = strtod(optarg, NULL);
        else if (id == RESULTS)
            ab->results = optarg;
        else if (id == 'h')
            return fputs(ab_help, stdout) < 0 ? BENCH_ENVIRONMENT : -1;
        else
            return verb_option_wrong("ab", options, id, argv);
    }
    ab->gate = (gate > 0 ? gate : ab->is_wall ? 5 : 3) / 100;
    if (split - optind != 2 || ab->argument_count == 0)
        return verb_usage("ab", "two programs, then -- and the arguments of a run");
    if (ab->argument_count > ARGUMENT_COUNT_MAX || gate < 0 || gate > 50)
        return verb_usage("ab", "too many arguments, or a gate outside 0 to 50");
    if (ab->results[0] == 0)
        return verb_usage("ab", "--results wants the name of a folder");
    ab->programs[AB_BASE] = argv[optind];
    ab->programs[AB_CANDIDATE] = argv[optind + 1];
    snprintf(run->programs[AB_BASE], PATH_MAX, "%s", argv[optind]);
    snprintf(run->programs[AB_CANDIDATE], PATH_MAX, "%s", argv[optind + 1]);
    return BENCH_DONE;
}

/* With a folder for data; it is removed in any case. */
static int run_with_folder(struct ab_run *run)
{
    char command[128];
    int  code;

    snprintf(run->folder, sizeof run->folder, "/tmp/kiwi-ab-XXXXXX");
    if (getrandom(&run->random_state, sizeof run->random_state, 0) < 0 || run->random_state == 0)
        run->random_state = 88172645463325252u;
    if (mkdtemp(run->folder) == NULL) {
        (void)FAIL(KIWI_IO, "cannot make a folder in /tmp: %s", strerror(errno));
        return verb_failed("ab");
    }
    if (run_prepare(run) == KIWI_OK)
        code = run_carry_out(run);
    else
        code = child_signal_seen() != 0 ? 128 + child_signal_seen() : verb_failed("ab");
    snprintf(command, sizeof command, "rm -rf '%s'", run->folder);
    if (system(command) != 0)
        fprintf(stderr, "kiwidb bench ab: %s is left behind\n", run->folder);
    return code;
}

int verb_ab(int argc, char **argv)
{
    struct ab_run *run = memory_allocate_zeroed(sizeof *run);
    int            code;

    if (run == NULL)
        return BENCH_ENVIRONMENT;
    code = options_read(run, argc, argv);
    if (code == BENCH_DONE) {
        child_signals_catch();
        code = run_with_folder(run);
        child_signals_release();
    }
    ab_close(&run->ab);
    memory_free(run);
    return code < 0 ? BENCH_DONE : code;
}
