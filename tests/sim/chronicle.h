/*
 * chronicle.h: what several clients asked for and were told, and what a read may therefore show.
 *
 * Order    a write precedes another of its shard when its sequence is lower, or, where one of the
 *          two is not known (batches, failures), when it ended before the other was asked for.
 * Reads    may show a write unless a write that it precedes had ended before the read began.
 * Restart  every write that the accident must not lose is there; so is everything that precedes a
 *          write that is there, save batches over several shards, which may be missing as a whole.
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
};

struct chronicle {
    struct chronicle_write *writes;
    uint32_t                count, capacity;
    uint32_t                newest[CHRONICLE_KEYS]; /* index plus 1 */
    uint64_t                tick;
    uint32_t                stamp, batch;
    uint32_t                batch_base; /* batches up to it belong to earlier lives */
    uint64_t                checks;
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
/* Only that the bytes were written under this key at some time. */
void     chronicle_read_loosely(const struct chronicle *chronicle, uint32_t key, uint32_t stamp);

/* stamps: of the plain keys after the restart; batch_there: by batch number minus batch_base. */
void chronicle_judge(struct chronicle *chronicle, const uint32_t *stamps, const bool *batch_there,
                     bool is_power_cut);
/* What was found is what there is from now on, and durable. */
void chronicle_begin_anew(struct chronicle *chronicle, const uint32_t *stamps);
