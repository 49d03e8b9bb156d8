/*
 * suite_kill.c: kill checks of what a plan promises.
 */
#include <stdio.h>

#include "bench/suite.h"
#include "core/base/base.h"

#define ROUND_SECONDS 1.0

/* The first run whose writes, or whose load's, ask for that durability; NULL: none does. */
static const struct plan_run *run_with(const struct plan *plan, enum kiwi_durability durability)
{
    for (uint32_t i = 0; i < plan->count; i++)
        if (plan->runs[i].durability == durability
            || (plan->runs[i].is_first && plan->load_durability == durability))
            return &plan->runs[i];
    return NULL;
}

static struct kill_options options_of(const struct suite *suite, const struct plan_run *run,
                                      enum kiwi_durability durability)
{
    const struct bench_options *options = suite->options;
    struct kill_options         kill = {
                .class = suite->class,
                .engine = suite_engine_options(suite, run, options->directory),
                .durability = durability,
                .directory = options->directory,
                .value_bytes = suite->plan->value_bytes_max,
                .round_count = options->kill_rounds,
                .round_seconds = ROUND_SECONDS,
                .seed = options->kill_seed,
                .interrupted = suite->interrupted,
    };

    kill.engine.durability = durability;
    return kill;
}

enum kiwi_status suite_kill_check(struct suite *suite)
{
    struct kill_options options[KIWI_PROCESS + 1];
    struct kill_check  *checks[KIWI_PROCESS + 1] = { NULL };
    enum kiwi_status    status = KIWI_OK;
    uint32_t            count = 0;

    for (enum kiwi_durability mode = KIWI_DURABLE; mode <= KIWI_PROCESS; mode++) {
        const struct plan_run *run = run_with(suite->plan, mode);

        if (run == NULL || status != KIWI_OK)
            continue;
        options[count] = options_of(suite, run, mode);
        status = kill_begin(&options[count], &checks[count]);
        count += status == KIWI_OK;
    }
    for (uint32_t i = 0; i < count && status == KIWI_OK; i++)
        if (suite->interrupted == NULL || !atomic_load(suite->interrupted))
            status = kill_run(checks[i], &suite->kills[suite->kill_count++]);
    for (uint32_t i = 0; i < count; i++)
        kill_end(checks[i]);
    return status;
}

bool suite_is_kill_checked(const struct suite *suite, enum kiwi_durability durability)
{
    for (uint32_t i = 0; i < suite->kill_count; i++)
        if (suite->kills[i].durability == durability && suite->kills[i].violation_count == 0
            && suite->kills[i].round_count > 0)
            return true;
    return false;
}
