/*
 * mode.h: how much of a sweep a run does, and what it may take. KIWI_TEST_MODE=long (scripts/soak)
 * does all of it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static inline bool test_is_long(void)
{
    const char *mode = getenv("KIWI_TEST_MODE");

    return mode != NULL && strcmp(mode, "long") == 0;
}

/* Tiny tables make many files: a login's usual 1,024 open ones are not enough. */
static inline void open_files_allow(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Rounds of a sweep: all, but few in the short mode under a sanitizer, which is many times slower
 * and looks for other things than the sweep. */
static inline uint32_t sweep_of(uint32_t all, uint32_t few)
{
#ifdef KIWI_SANITIZED
    return test_is_long() ? all : few;
#else
    (void)few;
    return all;
#endif
}
