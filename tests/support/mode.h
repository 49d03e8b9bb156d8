/*
 * mode.h: how much of a sweep a run does. KIWI_TEST_MODE=long (scripts/soak) does all of it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline bool test_is_long(void)
{
    const char *mode = getenv("KIWI_TEST_MODE");

    return mode != NULL && strcmp(mode, "long") == 0;
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
