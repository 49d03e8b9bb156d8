/*
 * engines.c: the engines that this build can measure, and those it could.
 */
#include <stdio.h>
#include <string.h>

#include "bench/engine.h"
#include "workloads/catalogue.h"

static const struct engine_class *const engines[] = {
#ifdef BENCH_HAS_KIWI
    &engine_kiwi,
#endif
    &engine_null,
#ifdef BENCH_HAS_ROCKSDB
    &engine_rocksdb,
    &engine_rocksdb_pipelined,
#endif
#ifdef BENCH_HAS_LEVELDB
    &engine_leveldb,
#endif
#ifdef BENCH_HAS_LMDB
    &engine_lmdb,
#endif
#ifdef BENCH_HAS_WIREDTIGER
    &engine_wiredtiger,
#endif
};

/* Engines of others: the package that brings each. */
static const struct {
    const char *name, *package;
} rivals[] = {
    { "rocksdb", "librocksdb-dev" },
    { "rocksdb-pipelined", "librocksdb-dev" },
    { "leveldb", "libleveldb-dev" },
    { "lmdb", "liblmdb-dev" },
    { "wiredtiger", "libwiredtiger-dev" },
};

const struct engine_class *const *engine_list(size_t *count)
{
    *count = ARRAY_COUNT(engines);
    return engines;
}

const struct engine_class *engine_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(engines); i++)
        if (strcmp(engines[i]->name, name) == 0)
            return engines[i];
    return NULL;
}

enum kiwi_status engine_absent(const char *name)
{
    const char *nearest = NULL;
    uint32_t    best = 4;
    char        names[200] = "";
    size_t      length = 0;

    for (size_t i = 0; i < ARRAY_COUNT(rivals); i++)
        if (strcmp(rivals[i].name, name) == 0)
            return FAIL(KIWI_INVALID,
                        "engine '%s' is not in this build: install %s (scripts/setup --rivals) "
                        "and configure again",
                        name, rivals[i].package);
    for (size_t i = 0; i < ARRAY_COUNT(engines); i++) {
        uint32_t distance = edit_distance(name, engines[i]->name);

        length += (size_t)snprintf(names + length, sizeof names - length, " %s", engines[i]->name);
        if (distance < best) {
            best = distance;
            nearest = engines[i]->name;
        }
    }
    if (nearest != NULL)
        return FAIL(KIWI_INVALID, "engine '%.40s' is none of:%s; did you mean '%s'?", name, names,
                    nearest);
    return FAIL(KIWI_INVALID, "engine '%.40s' is none of:%s", name, names);
}
