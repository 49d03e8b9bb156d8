/*
 * wal_work.h: a log in a temporary directory and the operations that are measured on it, for C++
 * callers.
 */
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct wal_work;

/* NULL when the directory or the files cannot be made. Keys of 24 bytes. */
struct wal_work *wal_work_open(uint64_t ring_bytes, uint32_t value_bytes);
void             wal_work_close(struct wal_work *work); /* removes its directory */

/* Appends count entries, batch_count at a time. */
void     wal_work_append(struct wal_work *work, uint32_t count, uint32_t batch_count);
/* Closes and hands out what is staged, without a device: the groups count as written. */
void     wal_work_cut(struct wal_work *work);
/* Writes what is staged to the device and trims nothing; false: the ring is full. */
int      wal_work_write(struct wal_work *work);
/* Opens the log anew. Returns how many entries were replayed. */
uint64_t wal_work_replay(struct wal_work *work);
/* The next of a few hundred encoded records. */
uint64_t wal_work_decode(struct wal_work *work);

#ifdef __cplusplus
}
#endif
