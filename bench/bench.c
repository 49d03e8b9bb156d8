/*
 * bench.c: the command `kiwidb bench`, from arguments to exit code.
 */
#include "bench/bench.h"

#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/options.h"
#include "bench/plan.h"
#include "bench/progress.h"
#include "bench/report.h"
#include "bench/report_html.h"
#include "bench/verb.h"
#include "core/base/memory.h"

enum exit_code {
    EXIT_DONE = 0,
    EXIT_USAGE = 2,
    EXIT_ENVIRONMENT = 3,
    EXIT_WRONG_DATA = 4,
    EXIT_LOCKED = 5,
    EXIT_INTERRUPTED = 130,
    EXIT_TERMINATED = 143,
};

static _Atomic bool interrupted;
static _Atomic int  signal_seen;

/* The first signal ends the run in order, the second one at once. */
static void signal_note(int number)
{
    if (atomic_exchange(&interrupted, true))
        _exit(128 + number);
    atomic_store(&signal_seen, number);
}

static void signals_catch(void)
{
    struct sigaction action = { .sa_handler = signal_note };

    atomic_store(&interrupted, false);
    atomic_store(&signal_seen, 0);
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static void signals_release(void)
{
    struct sigaction action = { .sa_handler = SIG_DFL };

    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* The last error without the source line that developers see. */
static void error_print(const char *text)
{
    const char *mark = strrchr(text, '[');
    size_t      length = strlen(text);

    if (mark != NULL && mark > text && mark[-1] == ' ' && text[length - 1] == ']'
        && strstr(mark, ".c:") != NULL)
        length = (size_t)(mark - text) - 1;
    fprintf(stderr, "kiwidb bench: %.*s\n", (int)length, text);
}

static int exit_of_status(enum kiwi_status status)
{
    switch (status) {
    case KIWI_OK:
    case KIWI_NOT_FOUND:
        return EXIT_DONE;
    case KIWI_INVALID:
        return EXIT_USAGE;
    case KIWI_CORRUPT:
        return EXIT_WRONG_DATA;
    case KIWI_LOCKED:
    case KIWI_BUSY:
        return EXIT_LOCKED;
    default:
        return EXIT_ENVIRONMENT;
    }
}

static int exit_of_suite(const struct suite *suite)
{
    if (suite->wrong + suite->missing + suite->sampled_wrong + suite->sampled_missing > 0)
        return EXIT_WRONG_DATA;
    if (suite->status != KIWI_OK)
        return suite->status == KIWI_INVALID ? EXIT_ENVIRONMENT : exit_of_status(suite->status);
    if (atomic_load(&signal_seen) == SIGTERM)
        return EXIT_TERMINATED;
    if (atomic_load(&signal_seen) == SIGINT)
        return EXIT_INTERRUPTED;
    return EXIT_DONE;
}

/* What to type to get the same operations again: the arguments, with what was derived made
 * explicit. */
static void command_write(int argc, char **argv, const struct bench_options *options,
                          const struct plan *plan, char *text, size_t bytes)
{
    char number[32];

    snprintf(text, bytes, "kiwidb bench");
    for (int i = 1; i < argc; i++)
        command_append(text, bytes, argv[i]);
    if (!options->has_seed) {
        snprintf(number, sizeof number, "--seed=%llu", (unsigned long long)plan->seed);
        command_append(text, bytes, number);
    }
    if (options->is_kill_checking && !options->has_kill_seed) {
        snprintf(number, sizeof number, "--kill-seed=%llu", (unsigned long long)options->kill_seed);
        command_append(text, bytes, number);
    }
    if (options->threads == 0) {
        snprintf(number, sizeof number, "--threads=%u", plan->thread_count);
        command_append(text, bytes, number);
    }
}

static void notes_print(const struct plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct plan_run *run = &plan->runs[i];

        for (size_t j = 0; j < run->lint.count; j++) {
            bool is_repeated = false;

            /* Files of a family say the same things. */
            for (uint32_t k = 0; k < i && !is_repeated; k++)
                for (size_t l = 0; l < plan->runs[k].lint.count && !is_repeated; l++) {
                    const char *before = strstr(plan->runs[k].lint.findings[l].text, ": ");
                    const char *now = strstr(run->lint.findings[j].text, ": ");
                    is_repeated = before != NULL && now != NULL && strcmp(before, now) == 0;
                }
            if (!is_repeated)
                fprintf(stderr, "note: %s: %s\n", run->name, run->lint.findings[j].text);
        }
    }
}

struct screen {
    struct progress progress;
    bool            is_printing;   /* phases are shown as they end */
};

static void screen_phase(void *context, const struct suite *suite, const struct suite_phase *phase)
{
    struct screen *screen = context;

    progress_erase(&screen->progress);
    if (!screen->is_printing)
        return;
    if (suite->phase_count == 1)
        report_header(stdout, suite);
    if (!phase->is_step || phase->result.status != KIWI_OK)
        report_phase(stdout, suite, phase);
}

static void screen_step(void *context, const struct ladder *ladder, const struct ladder_step *step)
{
    struct screen *screen = context;

    progress_erase(&screen->progress);
    if (screen->is_printing)
        report_ladder_step(stdout, ladder, step);
}

static int results_write(struct suite *suite, const char *command, int exit_code)
{
    const struct bench_options *options = suite->options;
    char                        id[160], folder[PATH_MAX] = "";
    json_t                     *document;
    enum kiwi_status            status;

    report_id_make(suite, options->results, id, sizeof id);
    document = report_json(suite, id, command, exit_code);
    if (document == NULL) {
        fprintf(stderr, "kiwidb bench: no memory for the report\n");
        return EXIT_ENVIRONMENT;
    }
    status = report_files_write(suite, options->results, document, folder, sizeof folder);
    if (status == KIWI_OK)
        status = report_html_make(folder);
    if (status != KIWI_OK)
        folder[0] = 0;
    else
        status = machine_keep(json_object_get(document, "machine"), options->results);
    if (status != KIWI_OK) {
        error_print(fail_text());
        if (exit_code == EXIT_DONE)
            exit_code = EXIT_ENVIRONMENT;
    }
    if (options->is_json) {
        json_dumpf(document, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
        fputc('\n', stdout);
    } else {
        report_summary(stdout, suite, folder, command);
    }
    json_decref(document);
    if (fflush(stdout) != 0 && exit_code == EXIT_DONE)
        exit_code = EXIT_ENVIRONMENT;
    return exit_code;
}

static int plan_carry_out(const struct bench_options *options, const struct plan *plan,
                          const char *command)
{
    struct screen    screen = { progress_of(), !options->is_json };
    struct suite    *suite = memory_allocate_zeroed(sizeof *suite);
    enum kiwi_status status;
    int              exit_code;

    if (suite == NULL) {
        fprintf(stderr, "kiwidb bench: no memory\n");
        return EXIT_ENVIRONMENT;
    }
    suite->options = options;
    suite->plan = plan;
    suite->class = engine_find(options->engine);
    suite->interrupted = &interrupted;
    suite->progress = options->is_quiet || options->is_json ? NULL : progress_update;
    suite->progress_context = &screen.progress;
    suite->on_phase = screen_phase;
    suite->on_step = screen_step;
    suite->on_phase_context = &screen;
    signals_catch();
    status = suite_run(suite);
    progress_erase(&screen.progress);
    if (status != KIWI_OK) {
        error_print(fail_text());
        exit_code = status == KIWI_INVALID ? EXIT_ENVIRONMENT : exit_of_status(status);
    } else {
        exit_code = exit_of_suite(suite);
        if (suite->text[0] != 0)
            error_print(suite->text);
        exit_code = results_write(suite, command, exit_code);
    }
    signals_release();
    suite_free(suite);
    memory_free(suite);
    return exit_code;
}

int verb_replay(int argc, char **argv)
{
    enum { ARGUMENTS_MAX = 200 };
    char *whole[ARGUMENTS_MAX + 3];
    int   count = 0;

    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        bench_help(stdout);
        return EXIT_DONE;
    }
    if (argc < 2 || argv[1][0] == '-' || argc > ARGUMENTS_MAX)
        return verb_usage("replay",
                          "kiwidb bench replay FILE [--speed N] [options of kiwidb bench]");
    whole[count++] = argv[0];
    whole[count++] = (char *)(uintptr_t)"--trace";
    for (int i = 1; i < argc; i++)
        whole[count++] = argv[i];
    whole[count] = NULL;
    return bench_command(count, whole);
}

int bench_command(int argc, char **argv)
{
    struct bench_options options;
    struct plan         *plan = NULL;
    char                 command[4096];
    int                  exit_code = EXIT_USAGE;

    if (argc > 1 && bench_verb_find(argv[1]) != NULL)
        return bench_verb_find(argv[1])->run(argc - 1, argv + 1);
    if (bench_options_parse(argc, argv, &options) != KIWI_OK) {
        error_print(fail_text());
        fprintf(stderr, "see: kiwidb bench --help\n");
        goto end;
    }
    if (options.is_help) {
        bench_help(stdout);
        exit_code = EXIT_DONE;
        goto end;
    }
    plan = memory_allocate_zeroed(sizeof *plan);
    if (plan == NULL) {
        fprintf(stderr, "kiwidb bench: no memory\n");
        exit_code = EXIT_ENVIRONMENT;
        goto end;
    }
    enum kiwi_status status = plan_make(&options, plan);
    if (status != KIWI_OK) {
        error_print(fail_text());
        exit_code = exit_of_status(status);
        goto end;
    }
    if (options.is_ladder && plan->count > LADDER_COUNT_MAX) {
        fprintf(stderr, "kiwidb bench: --ladder takes at most %u workloads, not %u\n",
                LADDER_COUNT_MAX, plan->count);
        goto end;
    }
    if (options.is_kill_checking && !options.has_kill_seed)
        options.kill_seed = clock_monotonic_ns() % 1000000;
    command_write(argc, argv, &options, plan, command, sizeof command);
    if (!options.is_quiet && !options.is_json)
        notes_print(plan);
    exit_code = plan_carry_out(&options, plan, command);
end:
    if (plan != NULL)
        plan_free(plan);
    memory_free(plan);
    bench_options_free(&options);
    return exit_code;
}
