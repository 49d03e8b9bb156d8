/*
 * limits.h: every compile-time bound, and how they relate.
 */
#pragma once

#include <assert.h>

#define KIWI_KEY_BYTES_MAX        65535u                    /* keys hold 0 to this many bytes */
#define KIWI_VALUE_BYTES_MAX      (64u << 20)               /* values hold 0 to this many bytes */
#define KIWI_BATCH_BYTES_MAX      (64u << 20)               /* keys and values of one batch */
#define KIWI_BATCH_COUNT_MAX      1048576u                  /* operations in one batch */
#define KIWI_MEMORY_BYTES_MIN     (8ull << 20)
#define KIWI_MEMORY_BYTES_DEFAULT (256ull << 20)
#define KIWI_SHARD_COUNT_MAX      64u                       /* a shard mask is one 64-bit word */
#define KIWI_LEVEL_COUNT_MAX      7u                        /* L0 to L6 */
#define KIWI_CONTEXT_COUNT_MAX    1024u                     /* open contexts of one database */

static_assert(KIWI_KEY_BYTES_MAX < KIWI_BATCH_BYTES_MAX, "a batch holds any one key");
static_assert(KIWI_VALUE_BYTES_MAX <= KIWI_BATCH_BYTES_MAX, "a batch holds any one value");
static_assert(KIWI_SHARD_COUNT_MAX <= 64, "a shard mask is one 64-bit word");
