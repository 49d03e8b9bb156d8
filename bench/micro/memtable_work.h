/*
 * memtable_work.h: a memtable full of random keys, for memtable_benchmark.cc.
 */
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum memtable_shape {
    SHAPE_USER,      /* "user" and 20 digits: 24 bytes, random order */
    SHAPE_TIED,      /* 16 equal bytes, then 8 random ones; told apart behind the prefix only */
    SHAPE_ASCENDING, /* as SHAPE_USER, in order */
};

struct memtable_work;

struct memtable_work *memtable_work_open(uint64_t count, uint32_t value_bytes,
                                         enum memtable_shape shape);
void     memtable_work_close(struct memtable_work *work);
void     memtable_work_empty(struct memtable_work *work); /* a new memtable in the same slot */
void     memtable_work_fill(struct memtable_work *work);  /* inserts all keys */
void     memtable_work_fill_ahead(struct memtable_work *work); /* and prefetches a few puts ahead */
/* From now on key `number` is another: taken in turn, the records lie anywhere in memory. */
void     memtable_work_shuffle(struct memtable_work *work);
/* One operation on key `number`, hashed before; returns something, to keep it from vanishing. */
uint64_t memtable_work_hit(const struct memtable_work *work, uint64_t number);
uint64_t memtable_work_miss(const struct memtable_work *work, uint64_t number);
uint64_t memtable_work_update(struct memtable_work *work, uint64_t number, uint32_t value_bytes);
uint64_t memtable_work_seek(const struct memtable_work *work, uint64_t number);
uint64_t memtable_work_hits_batched(const struct memtable_work *work, uint64_t first,
                                    uint32_t count);
uint64_t memtable_work_walk(const struct memtable_work *work); /* returns how many entries */
uint64_t memtable_work_bytes(const struct memtable_work *work);

#ifdef __cplusplus
}
#endif
