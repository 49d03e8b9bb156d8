/*
 * content.h: small databases that have in them what files can have: all key forms, versions over
 * several blocks, tombstones, several levels, batches over shards, records that only the tail has.
 */
#pragma once

#include <stdio.h>

#include "tests/faults/image.h"
#include "tests/support/world.h"

enum content_kind {
    CONTENT_CLEAN,   /* closed: tables and a sealed log */
    CONTENT_KILLED,  /* the process died: groups in the ring, in the tail, and one still open */
    CONTENT_LAYERED, /* batches over shards, tombstones, versions, several levels; died as well */
    CONTENT_KIND_COUNT,
};

const char *content_kind_name(enum content_kind kind);
/* A world on real files, small enough for the content to be kept. Nothing is open yet. */
void content_world_make(struct world *world);
/* Writes into the open world. The same calls with the same bytes each time. */
void content_write(struct world *world, enum content_kind kind);
/* What is left on disk after content_write: the files of the directory, after a close if that is
 * part of the kind, else as a death of the process leaves them. The world is closed after it. */
void content_image_take(struct world *world, enum content_kind kind, struct image *image);
/* An empty directory below TMPDIR with these files; room: 256 bytes. */
void content_image_place(const struct image *image, char *directory);
void content_directory_remove(const char *directory);

/* A line a key, in order: key in hexadecimal ("-": empty), value bytes, XXH3 of the value. */
void content_line(FILE *file, const void *key, size_t key_bytes, const void *value,
                  size_t value_bytes);
/* All lines of an open database. */
void content_list(struct kiwi_context *context, FILE *file);
