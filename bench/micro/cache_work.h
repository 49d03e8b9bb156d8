/*
 * cache_work.h: a filled cache and the operations that are measured on it, for C++ callers.
 */
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct cache_work;

/* records of 16 + 100 bytes and blocks of 4 KiB; budget_bytes 0: room for all of them. */
struct cache_work *cache_work_open(uint64_t record_count, uint64_t block_count,
                                   uint64_t budget_bytes);
void               cache_work_close(struct cache_work *work);

/* All keys are drawn at random from the first span ones. Return bytes seen, to keep the work. */
uint64_t cache_work_find(struct cache_work *work, uint64_t span);
uint64_t cache_work_find_wave(struct cache_work *work, uint64_t span, uint32_t count);
uint64_t cache_work_find_absent(struct cache_work *work);
uint64_t cache_work_insert_new(struct cache_work *work);
uint64_t cache_work_drop_absent(struct cache_work *work);
uint64_t cache_work_block_find(struct cache_work *work, uint64_t span);
uint64_t cache_work_block_insert_new(struct cache_work *work);

#ifdef __cplusplus
}
#endif
