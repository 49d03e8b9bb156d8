/*
 * threads_test.c: eight threads on one database, each checking all it reads.
 *
 * Goal: what a thread reads of its own keys is what it wrote, whoever else is inside the shards,
 * and whoever flushes and compacts meanwhile. Method: random work on ranges of their own and on
 * shared keys that nobody writes. Under ThreadSanitizer this is also the test of the ownership
 * token.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/threads/own_range.h"

#define THREADS 8u

static enum world_way way_under_test;
static uint64_t       seed_under_test;

struct crew {
    struct world     world;
    struct own_range ranges[THREADS];
    _Atomic uint32_t working;  /* threads that have not finished their steps */
    _Atomic uint32_t attached; /* pollers that are there */
    uint32_t         steps;
};

struct member {
    struct crew *crew;
    uint32_t     index;
};

static uint32_t steps_count(void)
{
#ifdef KIWI_SANITIZED
    return test_is_long() ? 10000 : 500;
#else
    return test_is_long() ? 100000 : 10000;
#endif
}

/* A thread that only uses shards; every now and then with a new context. */
static void *caller_run(void *argument)
{
    struct member    *member = argument;
    struct crew      *crew = member->crew;
    struct own_range *range = &crew->ranges[member->index];

    must(kiwi_context_open(range->db, 64, &range->context), "context");
    for (uint32_t i = 0; i < crew->steps; i++) {
        own_step(range);
        if (chance_below(&range->chance, 100) == 0) {
            kiwi_context_close(range->context);
            must(kiwi_context_open(range->db, 64, &range->context), "context");
        }
    }
    own_check(range, NULL, range->versions);
    if (range->snapshot != NULL)
        own_check(range, range->snapshot, range->snapshot_versions);
    own_end(range);
    kiwi_context_close(range->context);
    atomic_fetch_sub(&crew->working, 1);
    return NULL;
}

/* A thread that is the loop of one shard, and works in completion form besides. */
static void *poller_run(void *argument)
{
    struct member    *member = argument;
    struct crew      *crew = member->crew;
    struct own_range *range = &crew->ranges[member->index];
    struct kiwi_op   *done[8];

    must(kiwi_context_open(range->db, 64, &range->context), "context");
    must(kiwi_attach(range->context, 1ull << member->index), "attach");
    atomic_fetch_add(&crew->attached, 1);
    while (atomic_load(&crew->attached) < 2)
        (void)kiwi_poll(range->context, done, 8, 100000);
    for (uint32_t i = 0; i < crew->steps / 20; i++)
        own_steps_submitted(range, 40);
    own_check(range, NULL, range->versions);
    atomic_fetch_sub(&crew->working, 1);
    while (atomic_load(&crew->working) > 0)
        (void)kiwi_poll(range->context, done, 8, 100000);
    own_end(range);
    kiwi_context_close(range->context);
    return NULL;
}

static void crew_begin(struct crew *crew)
{
    memset(crew, 0, sizeof *crew);
    world_make(&crew->world, way_under_test, seed_under_test);
    crew->steps = steps_count();
    must(world_open(&crew->world), "open");
    for (uint32_t i = 0; i < THREADS; i++) {
        crew->ranges[i].db = crew->world.db;
        crew->ranges[i].thread = i;
        crew->ranges[i].chance = seed_under_test + 7919 * i;
    }
    shared_fill(crew->world.context);
    kiwi_context_close(crew->world.context);
    crew->world.context = NULL;
}

static void crew_work(struct crew *crew)
{
    pthread_t     threads[THREADS];
    struct member members[THREADS];

    atomic_store(&crew->working, THREADS);
    for (uint32_t i = 0; i < THREADS; i++) {
        bool polls = way_under_test == WORLD_ATTACHED && i < 2;

        members[i] = (struct member){ crew, i };
        assert_int_equal(pthread_create(&threads[i], NULL, polls ? poller_run : caller_run,
                                        &members[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void every_thread_reads_what_it_wrote(void **state)
{
    struct crew *crew = malloc(sizeof *crew);

    (void)state;
    crew_begin(crew);
    crew_work(crew);
    must(world_close(&crew->world), "close");
    must(world_open(&crew->world), "open again");
    for (uint32_t i = 0; i < THREADS; i++) {
        crew->ranges[i].db = crew->world.db;
        crew->ranges[i].context = crew->world.context;
        own_check(&crew->ranges[i], NULL, crew->ranges[i].versions);
        own_end(&crew->ranges[i]);
    }
    shared_scan_check(&crew->ranges[0]);
    world_end(&crew->world);
    free(crew);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_thread_reads_what_it_wrote),
    };

    way_under_test = world_way_of(argc > 1 ? argv[1] : "managed");
    seed_under_test = seed_get(argc > 2 ? strtoull(argv[2], NULL, 0) : 11);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
