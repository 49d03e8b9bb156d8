/*
 * manifest_format.h: the bytes of `manifest-0` and `manifest-1`. A change here raises
 * MANIFEST_VERSION.
 *
 *   | header block 4096 | state groups | edit groups ... | zeros up to file_bytes |
 *   group: | header 64 | payload | zeros up to 4 KiB |
 *
 * The two files take turns. A file is live from the moment its header says so (successor 0), which
 * is written after everything else of it is on stable media; then the other file is retired: its
 * header names the generation that took over. So a live header that rots later cannot bring the old
 * generation back unseen.
 *
 * Groups are numbered from 1 in each generation. The first ones hold the full state and are durable
 * before the header is; each later one holds one edit. Every group names the highest group that was
 * durable when it was written: damage at or below that mark is corruption, above it a torn end.
 *
 * Payload: one msgpack map, keys in this order, integers unsigned, keys of tables as bin:
 *   "log"      [flushed sequence, log group, log offset]        values after this edit
 *   "next"     [table id, file id, run id]                      never given out before, after it
 *   "added"    [[id, level, run id, file id, file bytes, data bytes, entries, tombstones,
 *               raw bytes, smallest sequence, largest sequence, footer checksum,
 *               smallest key, largest key] ...]
 *   "removed"  [table id ...]
 *   "narrowed" [[table id, key] ...]
 */
#pragma once

#include "core/base/entry.h"
#include "core/format/database_id.h"
#include "kiwi/limits.h"

#define MANIFEST_MAGIC           0x014e414d4957494bull /* "KIWIMAN\1" */
#define MANIFEST_GROUP_MAGIC     0x0152474d4957494bull /* "KIWIMGR\1" */
#define MANIFEST_VERSION         1u
#define MANIFEST_PAGE_BYTES      4096u
#define MANIFEST_FILE_BYTES_MAX  (1ull << 30)
#define MANIFEST_ID_MAX          ((1ull << 56) - 1)    /* of tables, files and runs */
#define MANIFEST_SLOT_COUNT      2u

/*
 *   at  size  field
 *    0     8  checksum           of bytes 8 to 4095, the zeros behind this struct included
 *    8     8  magic
 *   16     4  version
 *   20     4  shard
 *   24    16  database
 *   40     4  slot               0 or 1, as in the file's name
 *   44     4  reserved
 *   48     8  generation         held by this file; 0: none ever was
 *   56     8  successor          generation that took over, in the other file; 0: this one is live
 *   64     8  file_bytes         groups stand before it; the file is at least that long
 *   72     8  state_bytes        of the state groups together
 *   80     8  state_group_count
 *   88     8  state_checksum     of the last state group, which chains to all before
 */
struct manifest_header {
    le64               checksum;
    le64               magic;
    le32               version;
    le32               shard;
    struct database_id database;
    le32               slot;
    uint8_t            reserved[4];
    le64               generation;
    le64               successor;
    le64               file_bytes;
    le64               state_bytes;
    le64               state_group_count;
    le64               state_checksum;
};

FIELD_AT(struct manifest_header, version, 16, 4);
FIELD_AT(struct manifest_header, database, 24, 16);
FIELD_AT(struct manifest_header, generation, 48, 8);
FIELD_AT(struct manifest_header, successor, 56, 8);
FIELD_AT(struct manifest_header, state_checksum, 88, 8);
static_assert(sizeof(struct manifest_header) == 96, "no hidden padding");
/* A sector is the least that a device writes whole, so a torn rewrite keeps one header. */
static_assert(sizeof(struct manifest_header) <= 512, "the header fits one sector");

enum manifest_group_kind { MANIFEST_GROUP_STATE = 1, MANIFEST_GROUP_EDIT = 2 };

/*
 *   at  size  field
 *    0     8  checksum           of bytes 8 to the end of the group, padding included
 *    8     8  magic
 *   16     4  version
 *   20     4  kind
 *   24     8  generation
 *   32     8  number             from 1, ascending by 1
 *   40     8  durable_number     this group and all before are on stable media; 0: none
 *   48     8  previous_checksum  of the group before; 0: the first
 *   56     4  payload_bytes
 *   60     4  reserved
 */
struct manifest_group_header {
    le64    checksum;
    le64    magic;
    le32    version;
    le32    kind;
    le64    generation;
    le64    number;
    le64    durable_number;
    le64    previous_checksum;
    le32    payload_bytes;
    uint8_t reserved[4];
};

FIELD_AT(struct manifest_group_header, kind, 20, 4);
FIELD_AT(struct manifest_group_header, number, 32, 8);
FIELD_AT(struct manifest_group_header, payload_bytes, 56, 4);
static_assert(sizeof(struct manifest_group_header) == 64, "no hidden padding");

/* Whose manifest it is; seeds every checksum. */
struct manifest_identity {
    struct database_id database;
    uint32_t           shard;
};

/* ---- the header block ---- */

struct manifest_head {
    uint32_t slot;
    uint64_t generation, successor;
    uint64_t file_bytes, state_bytes, state_group_count, state_checksum;
};

/* block: MANIFEST_PAGE_BYTES, written in full. */
void manifest_head_encode(uint8_t *block, const struct manifest_identity *identity,
                          const struct manifest_head *head);
/* The only door from a header block to fields that may be trusted. KIWI_CORRUPT says which field is
 * wrong, KIWI_UNSUPPORTED that a later version wrote it. */
MUST_USE enum kiwi_status manifest_head_decode(const uint8_t *block,
                                               const struct manifest_identity *identity,
                                               uint32_t slot, struct manifest_head *out);

/* ---- groups ---- */

struct manifest_group {
    enum manifest_group_kind kind;
    uint64_t     generation, number, durable_number, previous_checksum;
    uint64_t     checksum;       /* out */
    struct bytes payload;        /* behind the group header */
};

static inline uint64_t manifest_group_bytes(uint64_t payload_bytes)
{
    return round_up_u64(sizeof(struct manifest_group_header) + payload_bytes, MANIFEST_PAGE_BYTES);
}

/* The payload stands in place at target + 64; writes header and padding, sets group->checksum. */
void manifest_group_encode(uint8_t *target, const struct manifest_identity *identity,
                           struct manifest_group *group);
/* True when a whole group of that generation stands at source and verifies. */
bool manifest_group_decode(const uint8_t *source, uint64_t bytes_max,
                           const struct manifest_identity *identity, uint64_t generation,
                           struct manifest_group *out);

/* ---- edits ---- */

struct manifest_added {
    uint64_t     id, run_id, file_id;
    uint32_t     level;
    uint64_t     file_bytes, data_bytes, entry_count, tombstone_count, raw_bytes;
    uint64_t     sequence_min, sequence_max, footer_checksum;
    struct bytes smallest, largest;
};

struct manifest_narrowed {
    uint64_t     id;
    struct bytes above;
};

struct manifest_scalars {
    uint64_t flushed_sequence, log_group, log_offset;
    uint64_t table_id_next, file_id_next, run_id_next;
};

struct manifest_edit {
    struct manifest_scalars         scalars;
    const struct manifest_added    *added;
    const uint64_t                 *removed;
    const struct manifest_narrowed *narrowed;
    uint32_t                        added_count, removed_count, narrowed_count;
};

/* Never less than what manifest_edit_encode writes. */
uint64_t manifest_edit_bound(const struct manifest_edit *edit);
/* Returns the bytes written; bytes_max must be at least the bound. */
uint64_t manifest_edit_encode(uint8_t *target, uint64_t bytes_max,
                              const struct manifest_edit *edit);

/* A checked payload; keys are borrowed from it. */
struct manifest_edit_view {
    struct manifest_scalars scalars;
    uint32_t                added_count, removed_count, narrowed_count;
    struct bytes            added, removed, narrowed; /* encoded, for the walks below */
};

/* The only door from payload bytes to an edit: bounds, types, limits and the order of each table's
 * keys are checked. KIWI_CORRUPT says what is wrong and at which byte. */
MUST_USE enum kiwi_status manifest_edit_check(struct bytes payload,
                                              struct manifest_edit_view *out);
/* Each takes the next element from rest, which starts as the view's span; call it count times. */
void     manifest_added_next(struct bytes *rest, struct manifest_added *out);
uint64_t manifest_removed_next(struct bytes *rest);
void     manifest_narrowed_next(struct bytes *rest, struct manifest_narrowed *out);
