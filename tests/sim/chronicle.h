/*
 * chronicle.h: what several clients asked for and were told, and what a read may therefore show.
 *
 * Order    a write precedes another of its shard when its sequence is lower, or, where one of the
 *          two is not known (batches, failures), when it ended before the other was asked for.
 * Reads    may show a write unless a write that it precedes had ended before the read began.
 * Restart  every write that the accident must not lose is there; so is everything that precedes a
 *          write that is there, save batches over several shards, which may be missing as a whole.
 * Lies     a disk that loses groups of the log takes durable writes with it: the newest of a shard,
 *          as many rounds of them as groups, and still nothing that precedes what is there.
 * Failure  simulation_wrong prints a reason and ends the process.
 */
#pragma once

#include "kiwi/kiwi.h"

#define CHRONICLE_KEYS 160u
#define CHRONICLE_NEVER UINT64_MAX
#define CHRONICLE_VALUE_BYTES 6200u

struct chronicle_write {
    uint32_t key;      /* at or above CHRONICLE_KEYS: marker of a batch */
    uint32_t stamp;    /* 0: a delete */
    uint32_t batch;    /* 0: none */
    uint32_t shard;
    uint64_t asked;    /* tick */
    uint64_t ended;    /* tick of success; CHRONICLE_NEVER: in flight or failed */
    uint64_t sequence; /* 0: not known */
    uint32_t next;     /* older write of the same plain key, plus 1 */
    uint8_t  mode;     /* enum kiwi_durability */
    uint8_t  client;
    bool     is_durable;
    uint64_t durable_at; /* tick by which it was known to be, when is_durable */
};

struct chronicle {
    struct chronicle_write *writes;
    uint32_t                count, capacity;
    uint32_t                newest[CHRONICLE_KEYS]; /* index plus 1 */
    uint64_t                tick;
    uint32_t                stamp, batch;
    uint32_t                batch_base; /* batches up to it belong to earlier lives */
    uint64_t                checks;
    uint64_t                older; /* writes that are missing, and the disk's lies excuse it */
};

enum marker_state { MARKER_ABSENT, MARKER_THERE, MARKER_UNREAD };

/* What a restart has brought back. */
struct chronicle_found {
    uint32_t stamps[CHRONICLE_KEYS];
    bool     is_unread[CHRONICLE_KEYS]; /* reading it is an error that names the place */
    uint32_t shards[CHRONICLE_KEYS];
    uint8_t *markers;      /* enum marker_state, by index of the write */
    bool     is_power_cut;
    uint32_t lost_groups_max[KIWI_SHARD_COUNT_MAX]; /* that the disk lost and need not tell */
};

__attribute__((format(printf, 1, 2))) _Noreturn void simulation_wrong(const char *format, ...);

struct kiwi_slice chronicle_key(uint32_t key, char room[32]);
/* Names its key and stamp; its length depends on both. */
struct kiwi_slice chronicle_value(uint32_t key, uint32_t stamp, char room[CHRONICLE_VALUE_BYTES]);
/* The stamp in a value; wrong bytes end the run. */
uint32_t chronicle_stamp(uint32_t key, const void *data, size_t size);

/* Returns its index. Markers are not kept per key: there is one write to each. */
uint32_t chronicle_ask(struct chronicle *chronicle, const struct chronicle_write *write);
void     chronicle_end(struct chronicle *chronicle, uint32_t index, uint64_t sequence);
/* All that had ended before tick, of one client (UINT32_MAX: of all), is durable. */
void     chronicle_harden(struct chronicle *chronicle, uint64_t tick, uint32_t client);
/* stamp 0: nothing was shown. began, ended: ticks of the read (the same for a cut). */
void     chronicle_read(struct chronicle *chronicle, uint32_t key, uint32_t stamp, uint64_t began,
                        uint64_t ended, const char *what);

void chronicle_judge(struct chronicle *chronicle, const struct chronicle_found *found);
/* What was found is what there is from now on, and durable. Keys that could not be read may show
 * what they might have shown before. */
void chronicle_begin_anew(struct chronicle *chronicle, const struct chronicle_found *found);
