/*
 * progress.h: one line on a terminal while phases run.
 *
 * Only when standard error is a terminal, after 0.5 s, at most ten times a second, erased at the
 * end. Otherwise one plain line every ten seconds.
 */
#pragma once

#include "bench/crew.h"

struct progress {
    bool     is_terminal, is_shown;
    uint64_t start_ns, last_ns;
    uint32_t columns;
};

struct progress progress_of(void);
void            progress_update(void *progress, const struct progress_state *state);
void            progress_erase(struct progress *progress);
