/*
 * simulated_names.h: the directory tree's part in the life of a simulated disk. Private to io/.
 */
#pragma once

#include "io/simulated_disk.h"

void names_crash(struct disk *disk, struct chance *chance);
void names_kill(struct disk *disk, struct chance *chance);
void names_close(struct disk *disk);
/* The files of target are those of source in reverse order, as disk_copy makes them. */
void names_copy(const struct disk *source, struct disk *target);

/* One holder less; the last one frees the file. */
void disk_file_drop(struct disk *disk, struct disk_file *file);
