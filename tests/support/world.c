/*
 * world.c: making and unmaking databases for tests.
 */
#include "tests/support/world.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const way_names[WORLD_WAY_COUNT] = {
    "managed", "attached", "posix", "simulated",
};

const char *world_way_name(enum world_way way)
{
    return way_names[way];
}

enum world_way world_way_of(const char *name)
{
    for (int i = 0; i < WORLD_WAY_COUNT; i++)
        if (strcmp(name, way_names[i]) == 0)
            return (enum world_way)i;
    fprintf(stderr, "no way to run is called %s\n", name);
    exit(2);
}

uint64_t seed_get(uint64_t fallback)
{
    const char *text = getenv("KIWI_SEED");
    uint64_t    seed = text != NULL ? strtoull(text, NULL, 0) : fallback;

    printf("seed %llu (KIWI_SEED repeats it)\n", (unsigned long long)seed);
    fflush(stdout);
    return seed;
}

/* KIWI_TEST_IO=posix: every database on real files uses plain system calls. */
static bool is_posix_asked(void)
{
    const char *backend = getenv("KIWI_TEST_IO");

    if (backend == NULL || strcmp(backend, "uring") == 0)
        return false;
    if (strcmp(backend, "posix") != 0) {
        fprintf(stderr, "KIWI_TEST_IO is '%s': it takes uring or posix\n", backend);
        exit(2);
    }
    return true;
}

void world_make(struct world *world, enum world_way way, uint64_t seed)
{
    open_files_allow();
    memset(world, 0, sizeof *world);
    world->way = way;
    world->options = kiwi_options_default();
    world->options.memory_bytes = 8u << 20;
    world->options.memtable_bytes = 64u << 10;
    world->options.log_bytes = 1u << 20;
    world->options.table_bytes = 64u << 10;
    world->options.shard_count = 2;
    world->options.level0_run_max = 3;
    world->options.level_run_max = 3;
    world->options.durability = KIWI_PROCESS;
    if (way == WORLD_SIMULATED) {
        struct simulation_options simulated = { .seed = seed };

        if (simulation_open(&simulated, &world->simulation) != KIWI_OK) {
            fprintf(stderr, "simulation: %s\n", kiwi_error_text());
            exit(1);
        }
        world->options.io = simulation_io(world->simulation);
        strcpy(world->directory, "/database");
    } else {
        const char *base = getenv("TMPDIR");

        snprintf(world->directory, sizeof world->directory, "%s/kiwi-test-XXXXXX",
                 base != NULL ? base : "/tmp");
        if (mkdtemp(world->directory) == NULL) {
            perror(world->directory);
            exit(1);
        }
    }
    world->options.drive = way == WORLD_ATTACHED || way == WORLD_SIMULATED ? KIWI_ATTACHED
                                                                           : KIWI_MANAGED;
    world->options.io_backend = way == WORLD_POSIX || is_posix_asked() ? KIWI_IO_POSIX
                                                                       : KIWI_IO_URING;
}

enum kiwi_status world_open(struct world *world)
{
    enum kiwi_status status = kiwi_open(world->directory, &world->options, &world->db);

    if (status != KIWI_OK)
        return status;
    status = kiwi_context_open(world->db, 256, &world->context);
    if (status == KIWI_OK && world->options.drive == KIWI_ATTACHED)
        status = kiwi_attach(world->context, UINT64_MAX >> (64 - kiwi_shard_count(world->db)));
    return status;
}

enum kiwi_status world_close(struct world *world)
{
    enum kiwi_status status;

    kiwi_context_close(world->context);
    status = kiwi_close(world->db);
    world->context = NULL;
    world->db = NULL;
    return status;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

void world_end(struct world *world)
{
    if (world->db != NULL)
        (void)world_close(world);
    if (world->way == WORLD_SIMULATED)
        simulation_close(world->simulation);
    else
        nftw(world->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int world_setup(void **state)
{
    static struct world   world;
    const enum world_way *way = *state;

    world_make(&world, *way, 11);
    *state = &world;
    if (world_open(&world) == KIWI_OK)
        return 0;
    fprintf(stderr, "%s: %s\n", world_way_name(*way), kiwi_error_text());
    return 1;
}

int world_teardown(void **state)
{
    world_end(*state);
    return 0;
}
