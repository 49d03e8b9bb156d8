/*
 * world.h: a database for a test, in each way it can be run: managed or attached on io_uring or
 * posix in a temporary directory, or on a simulated disk. KIWI_TEST_IO=posix puts the first two on
 * posix as well.
 */
#pragma once

#include <string.h>

#include "io/simulated.h"
#include "kiwi/kiwi.h"
#include "tests/support/mode.h"

enum world_way { WORLD_MANAGED, WORLD_ATTACHED, WORLD_POSIX, WORLD_SIMULATED, WORLD_WAY_COUNT };

struct world {
    enum world_way       way;
    struct simulation   *simulation; /* WORLD_SIMULATED */
    char                 directory[256];
    struct kiwi_options  options;
    struct kiwi_db      *db;
    struct kiwi_context *context;    /* attached to every shard where the way needs it */
};

const char    *world_way_name(enum world_way way);
enum world_way world_way_of(const char *name);
/* Tiny memtables and tables, so that small tests flush and compact a lot. Nothing is open yet. */
void world_make(struct world *world, enum world_way way, uint64_t seed);
enum kiwi_status world_open(struct world *world);
enum kiwi_status world_close(struct world *world);
/* Drops the open database as if the process had died (simulated: the caller has stopped the disk).
 * */
void world_end(struct world *world); /* closes, removes the directory */

/* A test whose state is an open database of its own. way: enum world_way *, which main has set. */
#define world_test(test, way)                                                                   \
    cmocka_unit_test_prestate_setup_teardown(test, world_setup, world_teardown, way)
int world_setup(void **state);
int world_teardown(void **state);

static inline struct kiwi_slice slice(const char *text)
{
    return (struct kiwi_slice){ text, strlen(text) };
}

/* Seeds: printed, and taken from KIWI_SEED or the command line. */
uint64_t seed_get(uint64_t fallback);

/* A generator for tests: splitmix64. */
static inline uint64_t chance_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ull);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

static inline uint64_t chance_below(uint64_t *state, uint64_t bound)
{
    return chance_next(state) % bound;
}
