/*
 * choosers.h: which record comes next; YCSB's generators with the same arithmetic, and three of
 * ours.
 *
 * Ours     true zipfian, key ranges and the hot shard choose among the records that were loaded,
 *          as YCSB's uniform does, never among those inserted since.
 * Thread   a chooser belongs to one thread; the random numbers are the caller's.
 * Draws    may name a record that does not exist yet; the operation stream draws again then.
 */
#pragma once

#include <stdint.h>

#include "workloads/chance.h"
#include "workloads/keyranges.h"
#include "workloads/zipf.h"

#define ZIPFIAN_THETA          0.99
#define SCRAMBLED_ITEM_COUNT 10000000000ull /* ranks of the scrambled form, whatever the table */
#define SCRAMBLED_ZETA         26.46902820178302 /* zeta of that many items at theta 0.99 */

/* Sum of 1 / i^theta for i from first + 1 to last, added to sum. */
double zeta_extend(uint64_t first, uint64_t last, double theta, double sum);

/* Gray and others, "Quickly Generating Billion-Record Synthetic Databases", SIGMOD 1994. */
struct zipfian {
    uint64_t base;        /* the lowest value drawn */
    uint64_t items;       /* at the start; eta goes on using it, as in the original */
    uint64_t zeta_items;  /* that zeta stands for now */
    double   theta, zeta, zeta_of_two, alpha, eta, half_power;
};

struct zipfian zipfian_of(uint64_t first, uint64_t last);
struct zipfian zipfian_of_zeta(uint64_t first, uint64_t last, double zeta);
uint64_t       zipfian_draw(struct zipfian *zipfian, struct chance *chance);
/* Draws among items values; zeta is extended when items has grown, never shrunk. */
uint64_t zipfian_draw_among(struct zipfian *zipfian, uint64_t items, struct chance *chance);

enum chooser_kind {
    CHOOSE_UNIFORM = 0,
    CHOOSE_ZIPFIAN,      /* scrambled: ranks hashed over the records */
    CHOOSE_LATEST,
    CHOOSE_HOTSPOT,
    CHOOSE_EXPONENTIAL,
    CHOOSE_SEQUENTIAL,
    CHOOSE_TRUE_ZIPFIAN, /* Zipf's law; rank r is the same record in every run */
    CHOOSE_KEYRANGE,     /* hot ranges of keys with hot keys inside */
    CHOOSE_HOT_SHARD,    /* hotspot whose hot records are given, else any, among all records */
};

struct chooser_options {
    enum chooser_kind kind;
    uint64_t          first;                /* insertstart */
    uint64_t          count;                /* insertcount; > 0 */
    uint64_t          expected_inserts;     /* of the run, YCSB's factor of two included */
    uint64_t          record_count;         /* recordcount; latest and exponential start from it */
    double            hotspot_data, hotspot_operations;
    double            exponential_percentile, exponential_fraction;
    double            zipfian_constant;     /* true zipfian */
    struct keyrange_options keyrange;
};

struct chooser {
    enum chooser_kind kind;
    uint64_t          first, count;
    uint64_t          count_inverse;        /* floor((2^64 - 1) / count) */
    uint64_t          hot_count;
    double            hot_share;
    double            gamma;
    uint64_t          sequence;
    struct zipfian    zipfian;
    struct zipf       zipf;
    uint64_t          stride;               /* between records of neighbouring ranks; coprime */
    struct keyranges  keyranges;
    const uint64_t   *hot_records;          /* borrowed, hot_count of them; NULL: the first ones */
};

struct chooser chooser_of(const struct chooser_options *options);

/* The same draws, count of them, for a newest that stays: long chains of arithmetic of one draw
 * then run beside those of the others. */
void chooser_draw_many(struct chooser *chooser, uint64_t newest, struct chance *chance,
                       uint64_t *records, uint32_t count);

/* newest: the highest record number whose insert was acknowledged. Never above it. */
uint64_t chooser_draw(struct chooser *chooser, uint64_t newest, struct chance *chance);
