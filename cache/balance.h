/*
 * balance.h: who gets how much of the budget. Pure functions of numbers, tested alone.
 *
 * Index and filter partitions keep what they need up to META_SHARE of the budget: a miss there
 * costs a device read for every lookup of the table. The rest is divided between records and data
 * blocks by a share that follows what more room would have saved: the ghosts' hits per byte.
 */
#pragma once

#include "core/base/base.h"

enum log_kind { LOG_RECORD = 0, LOG_SMALL, LOG_MAIN, LOG_INDEX, LOG_FILTER, LOG_COUNT };

#define SHARE_ONE        1024u
#define SHARE_START      820u  /* records : blocks = 80 : 20 while nothing is known */
#define SHARE_MIN        64u   /* so that both sides keep enough to be judged by */
#define SHARE_MAX        960u
#define SHARE_STEP       16u
#define NEED_SHARE_MAX   768u  /* of SHARE_ONE: 75 % */
#define META_SHARE       205u  /* of SHARE_ONE: 20 % */
#define SMALL_SHARE      102u  /* of the data blocks: 10 %, as in S3-FIFO */

#define EVIDENCE_MIN     128u  /* ghost hits of both sides together; fewer are noise */

/* Evidence since the last decision; older evidence halved. */
struct balance_evidence {
    uint64_t record_hits;       /* device reads that a longer record log would have saved */
    uint64_t block_hits;        /* the same for data blocks */
    uint64_t record_span_bytes; /* how much longer: what the ghosts stand for */
    uint64_t block_span_bytes;
};

/* The records' share of the data tier after this evidence, in 1/1024. */
uint32_t balance_share(uint32_t share, const struct balance_evidence *evidence);

struct balance_bytes;

/* The share to go by when all data blocks together take block_need bytes: as long as they fit
 * NEED_SHARE_MAX of the data tier they have their place, because a record that misses costs a
 * look into a cached block, and a block that misses a device read. 0: not known. */
uint32_t balance_share_needed(const struct balance_bytes *bytes, uint32_t share,
                              uint64_t block_need);

struct balance_bytes {
    uint64_t budget;         /* what the logs may use together */
    uint64_t log[LOG_COUNT]; /* used by each now */
};

/* Which log gives a segment when the pool is empty; never one without bytes, LOG_COUNT: none. */
enum log_kind balance_victim(const struct balance_bytes *bytes, uint32_t share);

/* What records and blocks are heading for. */
uint64_t balance_record_target(const struct balance_bytes *bytes, uint32_t share);
uint64_t balance_block_target(const struct balance_bytes *bytes, uint32_t share);
