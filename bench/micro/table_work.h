/*
 * table_work.h: one data block, one filter, one whole table in memory, and what is measured on
 * them, for C++ callers. Keys are "user" and 19 digits, values 100 bytes.
 */
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 0: scalar, 1: AVX2, 2: AVX-512; false when this processor cannot. */
int table_work_search(int variant);

struct block_work;
struct block_work *block_work_open(uint32_t block_bytes);
void               block_work_close(struct block_work *work);
uint32_t           block_work_count(const struct block_work *work);
uint64_t           block_work_find(struct block_work *work);   /* a random key that is there */
uint64_t           block_work_miss(struct block_work *work);   /* one between two of them */
uint64_t           block_work_key(struct block_work *work);    /* only chooses the key */
uint64_t           block_work_walk(struct block_work *work);   /* all records by cursor */
uint64_t           block_work_check(struct block_work *work);  /* the structure, no checksum */

struct filter_work;
struct filter_work *filter_work_open(uint64_t key_count, uint32_t bits_per_key);
void                filter_work_close(struct filter_work *work);
uint64_t            filter_work_add(struct filter_work *work);
uint64_t            filter_work_test_absent(struct filter_work *work);
double              filter_work_false_share(struct filter_work *work, uint64_t tries);

struct table_work;
struct table_work *table_work_open(uint64_t entry_count);
void               table_work_close(struct table_work *work);
uint64_t           table_work_get(struct table_work *work);    /* all blocks in memory */
uint64_t           table_work_get_absent(struct table_work *work);
uint64_t           table_work_seek(struct table_work *work);
uint64_t           table_work_walk(struct table_work *work, uint64_t entry_count);
uint64_t           table_work_write(struct table_work *work);  /* all again; its entries */
double             table_work_bytes_per_entry(const struct table_work *work);
double             table_work_index_bytes_per_block(const struct table_work *work);

#ifdef __cplusplus
}
#endif
