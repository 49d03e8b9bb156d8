/*
 * merge_work.h: a merge over inputs that cost next to nothing, for merge_benchmark.cc.
 */
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct merge_work;

/* count inputs of entries_each random keys "user" and 20 digits. */
struct merge_work *merge_work_open(uint32_t count, uint32_t entries_each);
void     merge_work_close(struct merge_work *work);
uint64_t merge_work_forward(struct merge_work *work);  /* returns how many entries */
uint64_t merge_work_backward(struct merge_work *work);
uint64_t merge_work_seek(struct merge_work *work, uint64_t number);
uint64_t merge_work_inputs_only(struct merge_work *work); /* every input walked, without merging */

#ifdef __cplusplus
}
#endif
