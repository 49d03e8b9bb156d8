/*
 * manifest.h: the log of version edits of one shard, and the files its tables stand in.
 *
 * Owns     files `manifest-0` and `manifest-1`, written in turn: one holds the present generation
 *          (a header, a full state, then edits); when it has grown the other one is written in
 *          full, synced, and takes over. A crash in between leaves the old one valid.
 * Thread   whoever holds the shard's token, except the writes: an encoded edit is one device write
 *          with the data-sync flag, done by its taker outside the token.
 * Order    one edit is out at a time; edits become valid in order.
 * Errors   a failed write stops the manifest (manifest_status), nothing later is accepted.
 */
#pragma once

#include "core/version/version.h"

struct manifest;

struct manifest_options {
    struct io         *io;        /* borrowed */
    const char        *directory; /* of the shard; copied */
    struct database_id database;
    uint32_t           shard;
    uint64_t           switch_bytes; /* a manifest file beyond this is replaced; 0: 1 MiB */
    bool               is_read_only; /* for looking: nothing is made or written, no edit may come */
    /* NULL: a table that cannot be opened fails the opening. Else it is told and left out. */
    void             (*table_refused)(void *context, uint32_t level, uint64_t run_id,
                                      const struct table_info *info, enum kiwi_status status);
    void              *context;
};

struct manifest_state {           /* what recovery needs besides the version */
    uint64_t            flushed_sequence;
    struct wal_position log_position;          /* group 0: none yet, replay from the beginning */
    uint64_t            table_id_next, file_id_next, run_id_next; /* never given out before */
};

/* Opens or creates the manifest, replays it, opens every table it names (reading footers), and
 * makes the first version in set. KIWI_CORRUPT names file and offset; a missing table file is
 * KIWI_CORRUPT naming the file. Same torn-tail rule as the log: durable-up-to marks. Read-only:
 * KIWI_NOT_FOUND when neither manifest nor tables are there. */
MUST_USE enum kiwi_status manifest_open(const struct manifest_options *options,
                                        struct version_set *set, struct manifest **out,
                                        struct manifest_state *state);
/* NULL is fine. Writes the clean end (blocking) when nothing failed; an edit that is still out must
 * not be at the device any more. */
void manifest_close(struct manifest *manifest);

/* Ids for new tables, files and runs; never given out twice, also over crashes (which may skip). */
uint64_t manifest_table_id_take(struct manifest *manifest);
uint64_t manifest_run_id_take(struct manifest *manifest);
uint64_t manifest_file_id_take(struct manifest *manifest);
/* A file with that id was found on disk: later ids are greater. */
void     manifest_file_id_seen(struct manifest *manifest, uint64_t file_id);

/* Encodes the edit (after version_apply has accepted it, the full state may be written instead) as
 * one or more requests. requests[i].done is the caller's to set. At most MANIFEST_REQUEST_MAX, to
 * be written one after the other, in order, each only after the one before is done. Edits with
 * tables are applied and started in turn: no second one may have been applied meanwhile
 * (KIWI_INVALID). On failure nothing is out and the call may be repeated; KIWI_STOPPED: an earlier
 * write failed. */
#define MANIFEST_REQUEST_MAX 4u
struct manifest_write {
    struct io_request requests[MANIFEST_REQUEST_MAX];
    uint32_t          count;
};
MUST_USE enum kiwi_status manifest_edit_start(struct manifest *manifest,
                                              const struct version_edit *edit,
                                              struct manifest_write *write);
/* All requests have completed, or one failed: status. After KIWI_OK the edit survives any crash. */
void             manifest_edit_done(struct manifest *manifest, enum kiwi_status status);
bool             manifest_is_busy(const struct manifest *manifest); /* an edit is out */
enum kiwi_status manifest_status(const struct manifest *manifest);
uint64_t         manifest_written_bytes(const struct manifest *manifest);
uint64_t         manifest_flushed_sequence(const struct manifest *manifest); /* durably so */
/* Edits with tables, as version_change_count counts them: applied, and of these durable. A file
 * that became free at an edit may be overwritten or removed only when that edit is durable. */
uint64_t         manifest_changes_applied(const struct manifest *manifest);
uint64_t         manifest_changes_durable(const struct manifest *manifest);

/* ---- table files, recycled ---- */
/* File n is `t-%08x` of its file id in the shard's directory. */
struct table_files;

struct table_files_options {
    struct io  *io;
    const char *directory;
    uint64_t    pool_bytes_max;   /* files kept for reuse; what exceeds it may be removed */
};

MUST_USE enum kiwi_status table_files_open(const struct table_files_options *options,
                                           struct manifest *manifest, struct table_files **out);
void table_files_close(struct table_files *files);
/* The directory they stand in, open for IO_SYNC; borrowed until table_files_close. */
struct io_file *table_files_directory(const struct table_files *files);
/* A file for a new table of up to bytes: a recycled one, which may be smaller or larger, or a fresh
 * one. is_new: its name may not be durable; sync the directory before an edit names it. A recycled
 * file is new as well when it was given back before anybody had done so. Blocking but short. */
MUST_USE enum kiwi_status table_files_take(struct table_files *files, uint64_t bytes,
                                           struct io_file **file, uint64_t *file_id, bool *is_new);
/* Closes file and pools it (is_new: as it was taken, unless an edit has named it): it is taken
 * again, or removed, only after every edit applied so far is durable. */
void     table_files_give(struct table_files *files, struct io_file *file, uint64_t file_id,
                          bool is_new);
/* A path for an IO_REMOVE request while the pool holds over more_bytes more than its limit, from
 * memory_allocate and the caller's; NULL: it does not, or no edit that freed a file is durable. */
char    *table_files_excess_take(struct table_files *files, uint64_t more_bytes);
uint64_t table_files_pool_bytes(const struct table_files *files);
/* After recovery: files on disk that no table of the version stands in become the pool. */
MUST_USE enum kiwi_status table_files_adopt(struct table_files *files,
                                            const struct version *version);
