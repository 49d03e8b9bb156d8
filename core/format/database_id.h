/*
 * database_id.h: what tells one database from every other: 16 random bytes, made once.
 *
 * Every checksum on disk is seeded with it, so that bytes of another database never verify.
 */
#pragma once

#include "core/base/hash.h"

struct database_id {
    uint8_t bytes[16];
};

/* The identity as one word, to be mixed with what the checked bytes are. */
static inline uint64_t database_id_seed(const struct database_id *database)
{
    return hash_checksum(database->bytes, sizeof database->bytes, 0x6b697769ull);
}
