/*
 * failure.h: the one place where errno becomes enum kiwi_status.
 *
 * ENOSPC and EDQUOT are KIWI_FULL, ENOMEM is KIWI_NO_MEMORY, ENOENT is KIWI_NOT_FOUND, everything
 * else is KIWI_IO. Three codes beyond errno travel the same way.
 */
#pragma once

#include "io/io.h"

enum io_failure_code {
    FAILURE_PAST_END = 4096, /* fewer bytes in the file than were asked for: KIWI_CORRUPT */
    FAILURE_STOPPED,         /* the simulated machine has stopped: KIWI_IO */
    FAILURE_SHORT,           /* a write that ends early however often it is repeated: KIWI_IO */
};

/* what: "open", "rename"; the text becomes "open /path: No such file or directory". */
MUST_USE enum kiwi_status failure_of_path(int error, const char *what, const char *path);

struct failure_place {
    const char *what, *path;
    uint64_t    offset, bytes;
    uint64_t    file_bytes; /* of FAILURE_PAST_END */
};
MUST_USE enum kiwi_status failure_of_place(int error, const struct failure_place *place);
