/*
 * lies.h: where the disk has lied, and what that may excuse.
 *
 * Tables     a lie is told by the read that meets it. Nothing older is ever shown.
 * Manifest   a lie is told by an open, or is harmless: the log is read from further back.
 * Log        a group that the disk lost is told by an open as soon as a later group, one that was
 *            begun when the lost one counted as durable, is on the disk. So the writes of the last
 *            group alone can go without a word; for each further round of acknowledged writes to be
 *            missing, the disk must have lost another one. Docs/reliability.md has the reasons.
 */
#pragma once

#include "io/simulated.h"
#include "kiwi/limits.h"

enum lie_place { LIE_LOG, LIE_MANIFEST, LIE_TABLE, LIE_OTHER, LIE_PLACE_COUNT };

struct lies {
    bool     is_opening, is_loud;
    /* Of this life and the one before, which began with opening. */
    uint32_t log_writes[2][KIWI_SHARD_COUNT_MAX]; /* groups lost, at most */
    uint32_t log_reads[KIWI_SHARD_COUNT_MAX];     /* by this opening */
    /* Since the database was made: */
    uint32_t writes[LIE_PLACE_COUNT], reads[LIE_PLACE_COUNT];
};

/* For simulation_on_lie; context is a struct lies. */
void lies_tell(void *context, const struct simulated_lie *lie);
void lies_opening(struct lies *lies); /* a new life begins */
/* How many groups of a log may be missing without a word, after an opening. */
uint32_t lies_lost_groups_max(const struct lies *lies, uint32_t shard);
bool lies_wrote(const struct lies *lies); /* some write went wrong since the database was made */
/* Does the text name a file and a place in it? */
bool lies_text_names_place(const char *text);
