/*
 * ab.c: `kiwidb bench ab BASE CANDIDATE`: two programs, paired and interleaved.
 *
 * Three arms: base, the base copied under another name (the canary), candidate. Every sample is a
 * fresh process on a fresh data set; the order inside each triple is random, and so is the size of
 * the environment (Mytkowicz et al. 2009). The canary shows what the machine does by itself, and is
 * a second base: the candidate must be slower than both. A slower verdict is measured a second time
 * before it counts.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/child.h"
#include "bench/options.h"
#include "bench/statistics.h"
#include "bench/verb.h"
#include "core/base/memory.h"

#define WORK_SHORT_SECONDS 0.2 /* half a second is asked for; less than this is told */

enum arm { ARM_BASE = 0, ARM_CANARY, ARM_CANDIDATE, ARM_COUNT };

struct ab {
    char        programs[ARM_COUNT][PATH_MAX];
    char        folder[64];
    char      **workload;         /* arguments of every sample */
    int         workload_count;
    double      gate;             /* as a share */
    bool        is_wall;          /* the primary clock; else CPU time */
    double      planted;          /* percent; only the tests of this command ask for it */
    uint64_t    random_state;
    double      work_seconds;     /* of all samples by the primary clock */
    uint32_t    sample_count;
};

static uint64_t random_next(struct ab *ab)
{
    ab->random_state ^= ab->random_state << 13;
    ab->random_state ^= ab->random_state >> 7;
    ab->random_state ^= ab->random_state << 17;
    return ab->random_state >> 16;
}

/* Time per operation over all phases but the load, from what the program says of itself. */
static enum kiwi_status sample_read(struct ab *ab, const char *output, size_t bytes, double *out)
{
    json_error_t error;
    json_t      *document = json_loadb(output, bytes, 0, &error), *phase;
    double       seconds = 0, operations = 0;
    size_t       index;

    json_array_foreach(json_object_get(document, "phases"), index, phase)
    {
        const json_t *usage = json_object_get(phase, "usage");
        const char   *kind = json_string_value(json_object_get(phase, "kind"));

        if (kind == NULL || strcmp(kind, "load") == 0)
            continue;
        operations += json_number_value(json_object_get(phase, "operations"));
        seconds += ab->is_wall
                     ? json_number_value(json_object_get(phase, "seconds"))
                     : json_number_value(json_object_get(usage, "cpu_user_seconds"))
                           + json_number_value(json_object_get(usage, "cpu_system_seconds"));
    }
    json_decref(document);
    if (!(operations > 0 && seconds > 0))
        return FAIL(KIWI_IO, "a sample printed no run of a workload");
    ab->work_seconds += seconds;
    ab->sample_count++;
    *out = seconds / operations;
    return KIWI_OK;
}

static enum kiwi_status sample_take(struct ab *ab, enum arm arm, double *out)
{
    char               *argv[80], data[96], results[96], padding[2048], planted[32];
    size_t              count = 0;
    struct child_result result;
    enum kiwi_status    status;

    snprintf(data, sizeof data, "%s/data", ab->folder);
    snprintf(results, sizeof results, "%s/results", ab->folder);
    argv[count++] = ab->programs[arm];
    argv[count++] = (char *)(uintptr_t)"bench";
    for (int i = 0; i < ab->workload_count; i++)
        argv[count++] = ab->workload[i];
    argv[count++] = (char *)(uintptr_t)"--json";
    argv[count++] = (char *)(uintptr_t)"--dir";
    argv[count++] = data;
    argv[count++] = (char *)(uintptr_t)"--results";
    argv[count++] = results;
    argv[count] = NULL;
    snprintf(padding, sizeof padding, "KIWI_BENCH_PADDING=%0*d", (int)(random_next(ab) % 1900), 0);
    snprintf(planted, sizeof planted, "%.1f", ab->planted);
    if (arm == ARM_CANDIDATE && ab->planted > 0)
        (void)setenv("KIWI_BENCH_PLANT_PERCENT", planted, 1);
    status = child_run(&(struct child_options){ .argv = argv, .environment = padding,
                                                .flags = CHILD_QUIET }, &result);
    (void)unsetenv("KIWI_BENCH_PLANT_PERCENT");
    if (status == KIWI_OK && result.exit_code != 0)
        status = FAIL(KIWI_IO, "%s bench ended with exit code %d", ab->programs[arm],
                      result.exit_code);
    if (status == KIWI_OK)
        status = sample_read(ab, result.output, result.output_bytes, out);
    child_result_free(&result);
    return status;
}

static enum kiwi_status triple_take(struct ab *ab, double *samples)
{
    enum arm order[ARM_COUNT] = { ARM_BASE, ARM_CANARY, ARM_CANDIDATE };

    for (size_t i = ARM_COUNT; i-- > 1;) {
        size_t   j = random_next(ab) % (i + 1);
        enum arm kept = order[i];

        order[i] = order[j];
        order[j] = kept;
    }
    for (size_t i = 0; i < ARM_COUNT; i++)
        TRY(sample_take(ab, order[i], &samples[order[i]]));
    return KIWI_OK;
}

static double percent(double log_ratio)
{
    return 100 * (exp(log_ratio) - 1);
}

static void judgement_print(const struct ab *ab, const struct ab_judgement *judgement,
                            uint32_t pairs)
{
    printf("%2u pairs  %+6.2f %% (%+.2f to %+.2f), p %.4f   canary %+.2f %%   %s\n", pairs,
           percent(judgement->candidate.middle), percent(judgement->candidate.low),
           percent(judgement->candidate.high), judgement->candidate.p_greater,
           percent(judgement->canary.middle), ab_verdict_name(judgement->verdict));
    if (judgement->verdict != AB_GO_ON)
        printf("          %s time per operation, gate %.1f %%; the smallest slowdown this run "
               "could have found: %.1f %%\n",
               ab->is_wall ? "wall" : "CPU", 100 * ab->gate, percent(judgement->smallest));
    fflush(stdout);
}

static void work_judge(const struct ab *ab)
{
    double seconds = ab->work_seconds / ab->sample_count;

    if (seconds < WORK_SHORT_SECONDS)
        printf("note      a sample's work takes %.2f s; in 0.5 s and more (a higher --ops) chance "
               "weighs less\n", seconds);
}

/* One session: up to 40 triples, fewer when an earlier look decides. */
static enum kiwi_status session_run(struct ab *ab, struct ab_judgement *judgement)
{
    double   candidate[STATISTICS_COUNT_MAX], canary[STATISTICS_COUNT_MAX];
    uint32_t done = 0;

    memset(judgement, 0, sizeof *judgement);
    for (uint32_t look = 0; look < AB_LOOK_COUNT && judgement->verdict == AB_GO_ON; look++) {
        for (; done < ab_look_pairs(look); done++) {
            double samples[ARM_COUNT] = { 0 };

            TRY(triple_take(ab, samples));
            candidate[done] = log(samples[ARM_CANDIDATE] / samples[ARM_BASE]);
            canary[done] = log(samples[ARM_CANARY] / samples[ARM_BASE]);
        }
        *judgement = ab_judge(candidate, canary, look, log1p(ab->gate));
        judgement_print(ab, judgement, done);
        if (done == ab->sample_count / ARM_COUNT && look == 0)
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

static int ab_run(struct ab *ab)
{
    struct ab_judgement first, second;

    if (session_run(ab, &first) != KIWI_OK)
        return verb_failed("ab");
    if (first.verdict != AB_SLOWER) {
        printf("verdict   %s\n", ab_verdict_name(first.verdict));
        return BENCH_DONE;
    }
    puts("slower once; measuring again");
    if (session_run(ab, &second) != KIWI_OK)
        return verb_failed("ab");
    if (second.verdict == AB_SLOWER) {
        puts("verdict   slower, confirmed");
        return BENCH_REGRESSION;
    }
    printf("verdict   undecided: slower once, then %s\n", ab_verdict_name(second.verdict));
    return BENCH_DONE;
}

static const char ab_help[] =
    "usage: kiwidb bench ab BASE CANDIDATE [options] -- ARGUMENTS\n\n"
    "Is the second program slower? Both run in turn, with a copy of the first, the\n"
    "canary. ARGUMENTS are those of `kiwidb bench`; 0.5 s of work a sample is enough.\n\n"
    "  kiwidb bench ab ./kiwidb.before ./kiwidb -- workloadc --records 10k --ops 2M\n\n"
    "  --gate PERCENT     slower from here on (3; with --wall 5)\n"
    "  --wall             wall time, for workloads that wait for the device; else\n"
    "                     processor time\n\n"
    "Verdicts: pass, slower (than base and canary, in two sessions), unstable (not\n"
    "slower, and the canary is off by more than half the gate), undecided.\n"
    "Exit 0, or 6 when slower was confirmed.\n";

static int ab_options(struct ab *ab, int argc, char **argv)
{
    enum { GATE = 256, WALL, PLANT };
    static const struct option options[] = {
        { "gate", 1, NULL, GATE }, { "wall", 0, NULL, WALL },
        { "plant-slowdown", 1, NULL, PLANT }, { "help", 0, NULL, 'h' }, { NULL, 0, NULL, 0 },
    };
    double gate = 0;
    int    id, split = 0;

    while (split < argc && strcmp(argv[split], "--") != 0)
        split++;
    ab->workload = argv + split + 1;
    ab->workload_count = split < argc ? argc - split - 1 : 0;
    optind = 0;
    opterr = 0;
    while ((id = getopt_long(split, argv, ":h", options, NULL)) != -1) {
        if (id == GATE)
            gate = strtod(optarg, NULL);
        else if (id == WALL)
            ab->is_wall = true;
        else if (id == PLANT)
            ab->planted = strtod(optarg, NULL);
        else if (id == 'h')
            return fputs(ab_help, stdout) < 0 ? BENCH_ENVIRONMENT : -1;
        else
            return verb_option_wrong("ab", options, id, argv);
    }
    ab->gate = (gate > 0 ? gate : ab->is_wall ? 5 : 3) / 100;
    if (split - optind != 2 || ab->workload_count == 0)
        return verb_usage("ab", "two programs, then -- and the arguments of a run");
    if (ab->workload_count > 60 || gate < 0 || gate > 50)
        return verb_usage("ab", "too many arguments, or a gate outside 0 to 50");
    snprintf(ab->programs[ARM_BASE], PATH_MAX, "%s", argv[optind]);
    snprintf(ab->programs[ARM_CANDIDATE], PATH_MAX, "%s", argv[optind + 1]);
    return BENCH_DONE;
}

int verb_ab(int argc, char **argv)
{
    struct ab  *ab = memory_allocate_zeroed(sizeof *ab);
    char        command[128];
    int         code;

    if (ab == NULL)
        return BENCH_ENVIRONMENT;
    code = ab_options(ab, argc, argv);
    if (code != BENCH_DONE) {
        memory_free(ab);
        return code < 0 ? BENCH_DONE : code;
    }
    snprintf(ab->folder, sizeof ab->folder, "/tmp/kiwi-ab-XXXXXX");
    if (getrandom(&ab->random_state, sizeof ab->random_state, 0) < 0 || ab->random_state == 0)
        ab->random_state = 88172645463325252u;
    if (mkdtemp(ab->folder) == NULL) {
        (void)FAIL(KIWI_IO, "cannot make a folder in /tmp");
        code = verb_failed("ab");
    } else {
        snprintf(ab->programs[ARM_CANARY], PATH_MAX, "%s/canary", ab->folder);
        code = program_copy(ab->programs[ARM_BASE], ab->programs[ARM_CANARY]) != KIWI_OK
                 ? verb_failed("ab")
                 : ab_run(ab);
        snprintf(command, sizeof command, "rm -rf '%s'", ab->folder);
        if (system(command) != 0)
            fprintf(stderr, "kiwidb bench ab: %s is left behind\n", ab->folder);
    }
    memory_free(ab);
    return code;
}
