/*
 * progress.c: drawing the progress line.
 */
#include "bench/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "bench/clock.h"

#define FIRST_NS  500000000u
#define REDRAW_NS 100000000u
#define PLAIN_NS  10000000000u

static uint32_t columns_read(void)
{
    struct winsize size;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

struct progress progress_of(void)
{
    const char *terminal = getenv("TERM");

    return (struct progress){
        .is_terminal = isatty(STDERR_FILENO) == 1
                    && (terminal == NULL || strcmp(terminal, "dumb") != 0),
        .start_ns = clock_monotonic_ns(),
    };
}

static void line_write(const struct progress_state *state, bool has_bar, char *text, size_t bytes)
{
    char     bar[31] = "";
    uint32_t filled = 0;
    double   share = 0;

    if (state->wanted == 0) {
        snprintf(text, bytes, "%s %s  %llu operations  %.1f s", state->phase, state->part,
                 (unsigned long long)state->done, state->seconds);
        return;
    }
    share = (double)state->done / (double)state->wanted;
    share = share > 1 ? 1 : share;
    filled = (uint32_t)(share * 30);
    memset(bar, '#', filled);
    memset(bar + filled, '.', 30 - filled);
    bar[30] = 0;
    snprintf(text, bytes, "%-12s %s%s%3.0f %%  %.0f operations/s  eta %.0f s", state->phase,
             has_bar ? bar : "", has_bar ? " " : "", 100 * share, state->rate,
             state->rate > 0 ? (double)(state->wanted - min_u64(state->done, state->wanted))
                                   / state->rate
                             : 0);
}

void progress_update(void *context, const struct progress_state *state)
{
    struct progress *progress = context;
    uint64_t         now = clock_monotonic_ns();
    char             text[256];

    if (!progress->is_terminal) {
        uint64_t since = progress->last_ns == 0 ? progress->start_ns : progress->last_ns;
        if (now - since < PLAIN_NS)
            return;
        progress->last_ns = now;
        line_write(state, false, text, sizeof text);
        fprintf(stderr, "%s\n", text);
        return;
    }
    if (now - progress->start_ns < FIRST_NS || now - progress->last_ns < REDRAW_NS)
        return;
    progress->last_ns = now;
    progress->columns = columns_read();
    line_write(state, progress->columns >= 80, text, sizeof text);
    fprintf(stderr, "\r\033[K%.*s", (int)(progress->columns - 1), text);
    fflush(stderr);
    progress->is_shown = true;
}

void progress_erase(struct progress *progress)
{
    if (progress->is_shown)
        fputs("\r\033[K", stderr);
    progress->is_shown = false;
    progress->start_ns = clock_monotonic_ns();
}
