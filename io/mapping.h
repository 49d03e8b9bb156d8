/*
 * mapping.h: shared mappings that outlive what is mapped. Private to io/.
 *
 * The kernel answers an access to a page that it cannot get from the file system, or can no longer
 * give back to it, with SIGBUS. One handler for the process, set with a mapping when it is not
 * there, gives the mapping a page of its own instead, notes the loss and lets the access go on;
 * every other SIGBUS goes to whoever was there before. A handler that the application sets later
 * must pass on what it does not know, or the process ends as if there were none here.
 */
#pragma once

#include <stdatomic.h>

#include "core/base/base.h"
#include "kiwi/status.h"

/* From now on a page of these that is gone sets *is_lost. Any thread. */
MUST_USE enum kiwi_status mapping_guard(const void *address, size_t bytes, atomic_bool *is_lost);
/* Before it is unmapped. */
void mapping_release(const void *address);
