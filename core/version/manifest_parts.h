/*
 * manifest_parts.h: what the files of the manifest share. Private to core/version.
 */
#pragma once

#include "core/format/manifest_format.h"
#include "core/version/manifest.h"

/* How far ahead of what was given out an edit promises ids, so that those given out after it and
 * lost in a crash are not given out again. Far more than can be taken between two edits. */
#define MANIFEST_ID_GAP      (1ull << 20)
#define MANIFEST_FILE_ID_GAP 64u

/* Where the next group of the live file goes, and what it must continue. */
struct manifest_end {
    uint32_t slot;         /* of the live file */
    uint64_t generation;
    uint64_t file_bytes;   /* groups stand before it */
    uint64_t offset;
    uint64_t number;       /* of the last group; state groups included */
    uint64_t checksum;     /* of the last group */
};

struct manifest {
    struct io               *io;
    char                    *directory;
    struct manifest_identity identity;
    uint64_t                 switch_bytes;
    struct version_set      *set;                         /* borrowed */
    struct io_file          *files[MANIFEST_SLOT_COUNT];
    struct manifest_head     heads[MANIFEST_SLOT_COUNT];  /* as on disk; slot 0 or 1 always right */

    struct manifest_end      end, end_next;               /* durable; when the edit out is done */
    struct manifest_scalars  scalars, scalars_next;       /* the same */
    struct manifest_head     heads_next[MANIFEST_SLOT_COUNT];
    uint64_t                 changes_durable, changes_next;
    uint64_t                 table_id_next, file_id_next, run_id_next; /* to give out */

    uint8_t                 *buffer;                      /* of the edit that is out */
    uint64_t                 buffer_bytes;
    bool                     is_busy, is_read_only;
    void                   (*table_refused)(void *context, uint32_t level, uint64_t run_id,
                                            const struct table_info *info, enum kiwi_status status);
    void                    *context;
    enum kiwi_status         status;
    uint64_t                 written_bytes;
};

/* ---- manifest_encode.c ---- */

/* The same edit with the manifest's own types, as one group at *buffer (from
 * memory_allocate_aligned, owned by the caller) of *bytes. end is moved behind it. */
MUST_USE enum kiwi_status manifest_edit_build(const struct manifest *manifest,
                                              const struct version_edit *edit,
                                              const struct manifest_scalars *scalars,
                                              struct manifest_end *end, uint8_t **buffer,
                                              uint64_t *bytes);

/* A whole file with the present version as its state: header block, state groups, zeros up to
 * head.file_bytes; one more page behind it is free for the caller. */
struct manifest_image {
    uint8_t             *buffer;  /* from memory_allocate_aligned, owned by the caller */
    struct manifest_head head;
    struct manifest_end  end;
};

MUST_USE enum kiwi_status manifest_image_build(const struct manifest *manifest, uint32_t slot,
                                               uint64_t generation,
                                               const struct manifest_scalars *scalars,
                                               struct manifest_image *out);

/* ---- manifest_replay.c ---- */

/* Reads the live file, makes durable what it has read, fills end and scalars, and makes the first
 * version in the manifest's set out of opened tables. */
MUST_USE enum kiwi_status manifest_replay(struct manifest *manifest, uint32_t slot);

/* "directory/name" in memory_allocate memory, or NULL. */
char *manifest_path(const char *directory, const char *name);
/* "directory/t-%08x" likewise. */
char *table_file_path(const char *directory, uint64_t file_id);
