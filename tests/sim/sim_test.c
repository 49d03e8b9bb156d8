/*
 * sim_test.c: many seeds, a few to a process; one that fails is run again in a process of its own.
 *
 *   sim [--seeds N] [--from S] [--operations N] [--faults MASK] [--loud] [--twice]
 *       [--no-shrink]
 *   sim --kept FILE    the runs of tests/sim/seeds
 *
 * A seed that fails prints itself and what it takes to see it again; it is then made smaller: fewer
 * operations, fewer kinds of faults.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/machine.h"

#define SECONDS_MAX  120u /* of one seed: only a hang takes so long */
#define TOGETHER_MAX 16u  /* seeds one after another in one process: its memory is warm */

struct plan {
    uint64_t from, seeds;
    uint32_t operations;
    unsigned faults;
    bool     is_loud, is_twice, is_as_found;
    const char *kept; /* file of runs that failed once */
};

/* jemalloc reads it when the program starts. A run lives for a fraction of a second in a process of
 * its own: large pages and no giving back halve its time. */
extern const char *malloc_conf;
const char *malloc_conf = "narenas:1,thp:always,metadata_thp:always,dirty_decay_ms:-1,"
                          "muzzy_decay_ms:-1";

static struct run_result total;

/* In a process of its own; false: it failed. */
static bool run_apart(const struct run_options *options, bool is_quiet, struct run_result *result)
{
    int   ends[2], status;
    pid_t child;

    fflush(stdout);
    if (pipe(ends) != 0 || (child = fork()) < 0) {
        perror("fork");
        exit(1);
    }
    if (child == 0) {
        alarm(SECONDS_MAX);
        if (is_quiet && freopen("/dev/null", "w", stdout) == NULL)
            _Exit(1);
        if (is_quiet && freopen("/dev/null", "w", stderr) == NULL)
            _Exit(1);
        *result = machine_run(options);
        fflush(stdout);
        _Exit(write(ends[1], result, sizeof *result) == (ssize_t)sizeof *result ? 0 : 1);
    }
    close(ends[1]);
    memset(result, 0, sizeof *result);
    bool is_told = read(ends[0], result, sizeof *result) == (ssize_t)sizeof *result;
    close(ends[0]);
    while (waitpid(child, &status, 0) != child)
        ;
    if (!is_quiet && WIFSIGNALED(status))
        printf("WRONG: signal %d%s\n", WTERMSIG(status),
               WTERMSIG(status) == SIGALRM ? " (it hangs)" : "");
    return is_told && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void shrink(struct run_options options)
{
    struct run_result result;
    uint32_t          low = 0;

    for (unsigned bit = 1; bit < FAULT_ALL; bit <<= 1) {
        struct run_options fewer = options;

        fewer.faults &= ~bit;
        if (fewer.faults != options.faults && !run_apart(&fewer, true, &result))
            options = fewer;
    }
    while (options.operations - low > 1) {
        struct run_options fewer = options;

        fewer.operations = low + (options.operations - low) / 2;
        if (run_apart(&fewer, true, &result))
            low = fewer.operations;
        else
            options = fewer;
    }
    printf("smaller: --from %llu --seeds 1 --operations %u --faults 0x%x\n",
           (unsigned long long)options.seed, options.operations, options.faults);
    (void)run_apart(&options, false, &result);
}

static void tally(const struct run_result *result)
{
    total.operations += result->operations;
    total.checks += result->checks;
    total.lives += result->lives;
    total.power_cuts += result->power_cuts;
    total.kills += result->kills;
    total.told_by_open += result->told_by_open;
    total.told_by_read += result->told_by_read;
    total.older += result->older;
    for (int i = 0; i < SIMULATED_FAULT_COUNT; i++)
        total.faults[i] += result->faults[i];
}

static bool seed_run(const struct plan *plan, uint64_t seed)
{
    struct run_options options = { seed, plan->operations, plan->faults, plan->is_loud };
    struct run_result  result, again;

    if (!run_apart(&options, false, &result)) {
        printf("seed %llu failed: --from %llu --seeds 1 --operations %u --faults 0x%x\n",
               (unsigned long long)seed, (unsigned long long)seed, options.operations,
               options.faults);
        if (!plan->is_as_found)
            shrink(options);
        return false;
    }
    if (plan->is_twice
        && (!run_apart(&options, true, &again) || memcmp(&result, &again, sizeof again) != 0)) {
        printf("seed %llu went another way the second time\n", (unsigned long long)seed);
        return false;
    }
    tally(&result);
    return true;
}

/* In a process of their own, from one seed on; results go to end. */
static pid_t together_start(const struct plan *plan, uint64_t seed, uint64_t count, int ends[2])
{
    pid_t child;

    fflush(stdout);
    if (pipe(ends) != 0 || (child = fork()) < 0) {
        perror("fork");
        exit(1);
    }
    if (child > 0) {
        close(ends[1]);
        return child;
    }
    for (uint64_t i = 0; i < count; i++) {
        struct run_options options = { seed + i, plan->operations, plan->faults, false };
        struct run_result  result;

        alarm(SECONDS_MAX);
        result = machine_run(&options);
        if (write(ends[1], &result, sizeof result) != (ssize_t)sizeof result)
            _Exit(1);
    }
    fflush(stdout);
    _Exit(0);
}

/* Seeds from first on that ended well; one that did not ends the process. */
static uint64_t together_run(const struct plan *plan, uint64_t seed, uint64_t count,
                             bool *is_ended_well)
{
    struct run_result result;
    uint64_t          done = 0;
    int               ends[2], status;
    pid_t             child = together_start(plan, seed, count, ends);

    for (; done < count && read(ends[0], &result, sizeof result) == (ssize_t)sizeof result; done++)
        tally(&result);
    close(ends[0]);
    while (waitpid(child, &status, 0) != child)
        ;
    *is_ended_well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return done;
}

/* Returns how many failed. */
static uint64_t seeds_run(const struct plan *plan)
{
    bool     is_apart = plan->is_twice || plan->is_loud;
    uint64_t failures = 0, i = 0;

    while (i < plan->seeds) {
        uint64_t left = plan->seeds - i, count = left < TOGETHER_MAX ? left : TOGETHER_MAX;
        bool     is_well = true;

        if (is_apart) {
            failures += !seed_run(plan, plan->from + i++);
            continue;
        }
        i += together_run(plan, plan->from + i, count, &is_well);
        if (is_well)
            continue;
        failures++;
        if (i == plan->seeds || seed_run(plan, plan->from + i))
            printf("at or before seed %llu something failed that needs the seeds before it\n",
                   (unsigned long long)(plan->from + i));
        i++;
    }
    return failures;
}

static void plan_read(struct plan *plan, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "0";

        if (strcmp(argv[i], "--loud") == 0) {
            plan->is_loud = true;
            setvbuf(stdout, NULL, _IOLBF, 0);
            continue;
        } else if (strcmp(argv[i], "--no-shrink") == 0) {
            plan->is_as_found = true;
            continue;
        } else if (strcmp(argv[i], "--twice") == 0) {
            plan->is_twice = true;
            continue;
        } else if (strcmp(argv[i], "--seeds") == 0) {
            plan->seeds = strtoull(value, NULL, 0);
        } else if (strcmp(argv[i], "--kept") == 0) {
            plan->kept = value;
        } else if (strcmp(argv[i], "--from") == 0) {
            plan->from = strtoull(value, NULL, 0);
        } else if (strcmp(argv[i], "--operations") == 0) {
            plan->operations = (uint32_t)strtoul(value, NULL, 0);
        } else if (strcmp(argv[i], "--faults") == 0) {
            plan->faults = (unsigned)strtoul(value, NULL, 0);
        } else {
            fprintf(stderr, "sim: no option is called %s\n", argv[i]);
            exit(2);
        }
        i++;
    }
}

/* Returns how many failed. */
static uint64_t kept_run(struct plan *plan)
{
    FILE    *file = fopen(plan->kept, "r");
    char     line[200];
    uint64_t failures = 0;

    if (file == NULL) {
        perror(plan->kept);
        exit(2);
    }
    plan->seeds = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned long long seed;

        if (line[0] == '#')
            continue;
        if (sscanf(line, "%llu %u %x", &seed, &plan->operations, &plan->faults) != 3) {
            printf("%s: cannot read '%s'\n", plan->kept, line);
            exit(2);
        }
        failures += !seed_run(plan, seed);
        plan->seeds++;
    }
    fclose(file);
    if (plan->seeds == 0) {
        printf("%s: no run in it\n", plan->kept);
        exit(2);
    }
    return failures;
}

static void summary_print(const struct plan *plan, uint64_t failures, double seconds)
{
    printf("faults: %llu power cut, %llu kill", (unsigned long long)total.power_cuts,
           (unsigned long long)total.kills);
    for (int i = 0; i < SIMULATED_FAULT_COUNT; i++)
        printf(", %llu %s", (unsigned long long)total.faults[i],
               simulated_fault_name((enum simulated_fault)i));
    printf("\nlies: %llu opens refused, %llu reads after a restart refused, %llu acknowledged "
           "writes of a log's end missing\n", (unsigned long long)total.told_by_open,
           (unsigned long long)total.told_by_read, (unsigned long long)total.older);
    printf("%llu seeds from %llu x %u operations: %llu failed; %llu operations ended, %llu lives, "
           "%llu checks, %.1f s, %.1f seeds/s\n", (unsigned long long)plan->seeds,
           (unsigned long long)plan->from, plan->operations, (unsigned long long)failures,
           (unsigned long long)total.operations, (unsigned long long)total.lives,
           (unsigned long long)total.checks, seconds, (double)plan->seeds / seconds);
}

int main(int argc, char **argv)
{
    struct plan     plan = { .from = 1, .seeds = 20, .operations = 5000, .faults = FAULT_ALL };
    uint64_t        failures = 0;
    struct timespec began, ended;

    plan_read(&plan, argc, argv);
    clock_gettime(CLOCK_MONOTONIC, &began);
    if (plan.kept != NULL)
        failures = kept_run(&plan);
    else
        failures = seeds_run(&plan);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    summary_print(&plan, failures,
                  (double)(ended.tv_sec - began.tv_sec)
                      + 1e-9 * (double)(ended.tv_nsec - began.tv_nsec));
    return failures == 0 ? 0 : 1;
}
