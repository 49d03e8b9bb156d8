/*
 * base.h: the few words that every room uses. No engine words in here.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kiwi/status.h"

#define MUST_USE        __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define LIKELY(x)       __builtin_expect(!!(x), 1)
#define UNLIKELY(x)     __builtin_expect(!!(x), 0)
#define ARRAY_COUNT(a)  (sizeof(a) / sizeof((a)[0]))
#define CACHE_LINE_BYTES 64u
#define PAGE_BYTES       4096u

#define container_of(pointer, type, member) \
    ((type *)(void *)((char *)(pointer) - offsetof(type, member)))

/* For functions that own nothing: leaves with the first failure. */
#define TRY(call)                                \
    do {                                         \
        enum kiwi_status try_status = (call);    \
        if (UNLIKELY(try_status != KIWI_OK))     \
            return try_status;                   \
    } while (0)

/* Where an error is born: keeps the text for kiwi_error_text and returns status. */
#define FAIL(status, ...) fail_record((status), __FILE__, __LINE__, __VA_ARGS__)

enum kiwi_status fail_record(enum kiwi_status status, const char *file, int line,
                             const char *format, ...) PRINTF_LIKE(4, 5);
const char *fail_text(void);              /* of this thread */
void        fail_text_set(const char *text); /* hands a text over from another thread */

/* Asserts stay on in release; the hottest ones, after a measurement, only in debug builds. */
#ifdef KIWI_ASSERT_SLOW
#define assert_slow(x) assert(x)
#else
#define assert_slow(x) ((void)sizeof(x))
#endif

static inline uint64_t round_up_u64(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}
