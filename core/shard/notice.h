/*
 * notice.h: what a shard has to tell and no call's status does.
 *
 * Written down inside, told outside: user code never runs while a token is held. The runner tells
 * at the end of its next turn; what is left is told by the end of opening and by closing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/base/base.h"
#include "kiwi/options.h"

#define NOTICE_COUNT_MAX 4u /* that wait; later ones are counted */
#define NOTICE_BYTES     480u

struct notice {
    enum kiwi_log_level level;
    char                text[NOTICE_BYTES];
};

struct notices {
    struct notice list[NOTICE_COUNT_MAX];
    uint32_t      count, lost_count;
};

struct context;
struct shard;

/* Inside. Begins with the shard and its directory. Nobody listens: nothing happens. */
void notice_add(struct shard *shard, enum kiwi_log_level level, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Inside, or nobody else is there: moves what waits. False: nothing does. */
bool notices_take(struct shard *shard, struct notices *out);
/* shard_leave, and then tells what waits. */
void notices_leave(struct shard *shard, struct context *runner);
/* Outside. */
void notices_tell(const struct kiwi_options *options, const struct notices *notices);

/* ---- flushes and merges, inside ---- */

/* Why one could not begin or has failed; met a moment ago on this thread, the runner's. */
void trouble_note(struct shard *shard);
/* That it failed, for the cause noted: once, until success_notice. */
void failure_notice(struct shard *shard, bool is_flush, enum kiwi_status status);
void success_notice(struct shard *shard, bool is_flush);
