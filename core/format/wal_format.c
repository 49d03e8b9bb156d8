/*
 * wal_format.c: builds and checks the parts of the log files, and encodes records by hand.
 */
#include "core/format/wal_format.h"

void wal_life_build(struct wal_life *life, uint64_t identity, uint64_t log_id)
{
    assert(log_id != 0);
    life->magic = le64_of(WAL_LIFE_MAGIC);
    life->log_id = le64_of(log_id);
    life->checksum = le64_of(hash_checksum(life, offsetof(struct wal_life, checksum), identity));
}
