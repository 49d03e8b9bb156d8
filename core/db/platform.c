/*
 * platform.c: what this build and this host give the engine.
 */
#include "core/db/db.h"

#include <stdio.h>

#include "core/table/table.h"

static const char *const search_names[] = {
    [BLOCK_SEARCH_SCALAR] = "scalar",
    [BLOCK_SEARCH_AVX2] = "avx2",
    [BLOCK_SEARCH_AVX512] = "avx512",
};

void kiwi_platform_read(struct kiwi_platform *out)
{
    struct io *io = NULL;

    *out = (struct kiwi_platform){ .liburing = KIWI_LIBURING };
    snprintf(out->block_search, sizeof out->block_search, "%s", search_names[block_search_best()]);
    out->has_io_uring = io_open(IO_BACKEND_URING, &io) == KIWI_OK;
    snprintf(out->io_uring, sizeof out->io_uring, "%.255s",
             out->has_io_uring ? io_features_text(io) : fail_text());
    io_close(io);
}
