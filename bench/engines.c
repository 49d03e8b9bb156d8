/*
 * engines.c: the engines that this build can measure.
 */
#include <string.h>

#include "bench/engine.h"

static const struct engine_class *const engines[] = {
#ifdef BENCH_HAS_KIWI
    &engine_kiwi,
#endif
    &engine_null,
};

const struct engine_class *engine_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(engines); i++)
        if (strcmp(engines[i]->name, name) == 0)
            return engines[i];
    return NULL;
}

const char *engine_names(void)
{
#ifdef BENCH_HAS_KIWI
    return "kiwi null";
#else
    return "null";
#endif
}
