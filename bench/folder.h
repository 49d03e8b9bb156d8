/*
 * folder.h: the folders a benchmark makes, and the only door through which it deletes.
 *
 * A data folder holds a marker file of ours; one that holds anything else is never touched.
 */
#pragma once

#include <stddef.h>

#include "core/base/base.h"

/* Makes the folder and its marker, or accepts one of ours. KIWI_INVALID: it is somebody else's. */
MUST_USE enum kiwi_status data_folder_claim(const char *folder);
/* Where the engine's files go; at most bytes. */
void data_folder_path(const char *folder, char *path, size_t bytes);
/* Removes the engine's files of a claimed folder. */
MUST_USE enum kiwi_status data_folder_wipe(const char *folder);
/* Removes engine files, marker, and the folder when nothing else is in it. */
void data_folder_remove(const char *folder);

/* Makes a folder and those above it. */
MUST_USE enum kiwi_status folder_make(const char *path);
/* Bytes of all files below. */
uint64_t folder_bytes(const char *path);
