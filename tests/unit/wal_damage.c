/*
 * wal_damage.c: flipped bits, missing, foreign and swapped files. What was durable is there, or the
 * recovery says that it is not; never something else.
 */
#include "tests/support/mode.h"
#include "tests/unit/wal_harness.h"

#include <stdio.h>
#include <unistd.h>

#define ENTRY_COUNT 9u

/* Three groups of entries and batches, and a mark that covers them. Dropped. */
static void small_log(struct harness *harness)
{
    harness_open_in_memory(harness, 64 << 10, 64 << 10);
    harness->value_bytes = 20;
    harness->key_bytes = 12;
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(harness_append(harness), WAL_APPENDED);
        assert_int_equal(harness_append_batch(harness, 2, i), WAL_APPENDED);
        assert_int_equal(harness_flush(harness), 1);
    }
    harness_group_write(harness, wal_mark_cut(harness->wal, false));
    assert_int_equal(wal_durable_sequence(harness->wal), ENTRY_COUNT);
    harness_drop(harness);
}

/* Flips every bit of [begin, end) of the ring file, one at a time, and recovers. With bytes that
 * no checksum covers, corrupt is false everywhere. Returns how many flips were reported. */
static uint64_t flips_are_harmless_or_reported(struct harness *harness,
                                               const struct harness_copy *copy, uint64_t begin,
                                               uint64_t end)
{
    uint64_t reported = 0;

    for (uint64_t bit = begin * 8; bit < end * 8; bit++) {
        enum kiwi_status status;

        harness_copy_restore(harness, copy);
        harness_flip(harness, "wal", bit);
        status = harness_reopen(harness);
        if (status == KIWI_OK) {
            assert_int_equal(harness->replayed_last, ENTRY_COUNT);
        } else {
            assert_true(status == KIWI_CORRUPT || (bit < 512 * 8 && status == KIWI_UNSUPPORTED));
            assert_true(strlen(fail_text()) > 10);
            reported++;
        }
    }
    return reported;
}

static uint32_t length_at(const struct harness_copy *copy, uint64_t offset)
{
    const struct wal_group_header *header = (const void *)(copy->ring + offset);

    return le32_get(header->length);
}

/* Goal: no flipped bit of the ring is believed, when nothing else has the data. Method: every bit
 * of every header and record; below the mark it must be reported, in the mark itself nothing is
 * lost. */
static void flipped_bit_below_the_mark_is_reported(void **state)
{
    struct harness      harness;
    struct harness_copy copy;

    (void)state;
    small_log(&harness);
    harness_tail_wipe(&harness);
    copy = harness_copy_take(&harness);
    for (uint64_t group = 0; group < 4; group++) {
        uint64_t begin = WAL_HEADER_BYTES + group * WAL_PAGE_BYTES;
        uint64_t end = begin + 64 + length_at(&copy, begin);
        uint64_t reported = flips_are_harmless_or_reported(&harness, &copy, begin, end);

        assert_int_equal(reported, group < 3 ? (end - begin) * 8 : 0);
        /* Padding carries nothing. */
        assert_int_equal(flips_are_harmless_or_reported(&harness, &copy, end, end + 4), 0);
    }
    harness_copy_free(&copy);
    harness_close(&harness);
}

/* The tail still has the groups: damage in the ring is repaired from there. */
static void flipped_bit_in_the_ring_is_repaired_from_the_tail(void **state)
{
    struct harness      harness;
    struct harness_copy copy;

    (void)state;
    harness_open_in_memory(&harness, 64 << 10, 64 << 10);
    for (uint32_t i = 0; i < ENTRY_COUNT; i++)
        assert_int_equal(harness_append(&harness), WAL_APPENDED);
    harness_flush(&harness);
    harness_drop(&harness);
    copy = harness_copy_take(&harness);
    assert_int_equal(flips_are_harmless_or_reported(&harness, &copy, WAL_HEADER_BYTES,
                                                    WAL_HEADER_BYTES + 100), 0);
    harness_copy_free(&copy);
    harness_close(&harness);
}

static void flipped_bit_of_the_header_block_is_reported_or_harmless(void **state)
{
    struct harness      harness;
    struct harness_copy copy;
    uint64_t            life_end;

    (void)state;
    small_log(&harness);
    /* Two more lives, so that both slots are in use. */
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    harness_drop(&harness);
    harness_tail_wipe(&harness);
    copy = harness_copy_take(&harness);
    assert_int_equal(flips_are_harmless_or_reported(&harness, &copy, 0, 64), 64 * 8);
    life_end = WAL_LIFE_AT + sizeof(struct wal_life);
    assert_int_equal(flips_are_harmless_or_reported(&harness, &copy, WAL_LIFE_AT, life_end), 0);
    life_end += WAL_LIFE_AT;
    assert_int_equal(flips_are_harmless_or_reported(&harness, &copy, 2 * WAL_LIFE_AT, life_end),
                     0);
    /* Both gone: no one can tell whose the tail is. */
    harness_copy_restore(&harness, &copy);
    harness_flip(&harness, "wal", WAL_LIFE_AT * 8);
    harness_flip(&harness, "wal", WAL_LIFE_AT * 16);
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    harness_copy_free(&copy);
    harness_close(&harness);
}

/* Goal: a new life id is above all earlier ones even when the newest slot is damaged. Method:
 * damage it after a power cut left a group beyond a hole, which must stay dead. */
static void damaged_life_slot_wakes_no_old_group(void **state)
{
    struct harness    harness;
    struct wal_group *lost, *written;

    (void)state;
    for (uint32_t slot = 1; slot <= 2; slot++) {
        small_log(&harness);
        assert_int_equal(harness_reopen(&harness), KIWI_OK);
        assert_int_equal(harness_append(&harness), WAL_APPENDED);
        lost = harness_cut(&harness);
        assert_int_equal(harness_append(&harness), WAL_APPENDED);
        written = harness_cut(&harness);
        assert_int_equal(io_file_write(written->request.file, written->request.buffer,
                                       written->request.bytes, written->request.offset), KIWI_OK);
        assert_non_null(lost);
        harness_drop(&harness);
        harness_tail_wipe(&harness);
        harness_flip(&harness, "wal", (uint64_t)slot * WAL_LIFE_AT * 8 + 70);
        assert_int_equal(harness_reopen(&harness), KIWI_OK);
        assert_int_equal(harness.replayed_last, ENTRY_COUNT);
        assert_int_equal(harness_append(&harness), WAL_APPENDED);
        harness_flush(&harness);
        harness_drop(&harness);
        harness_tail_wipe(&harness);
        assert_int_equal(harness_reopen(&harness), KIWI_OK);
        assert_int_equal(harness.replayed_last, ENTRY_COUNT + 1);
        harness_close(&harness);
    }
}

/* A flipped bit in the last group, which no mark covers, cannot be told from a torn write. */
static void flipped_bit_above_the_mark_is_a_torn_end(void **state)
{
    struct harness harness;

    (void)state;
    harness_open_in_memory(&harness, 64 << 10, 64 << 10);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(harness_append(&harness), WAL_APPENDED);
        harness_flush(&harness);
    }
    harness_drop(&harness);
    harness_tail_wipe(&harness);
    harness_flip(&harness, "wal", (WAL_HEADER_BYTES + 2 * WAL_PAGE_BYTES + 30) * 8);
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_int_equal(harness.replayed_last, 2);
    harness_drop(&harness);
    /* The one before was durable when the last was closed, but the last is gone. */
    harness_flip(&harness, "wal", (WAL_HEADER_BYTES + 0 * WAL_PAGE_BYTES + 30) * 8);
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    assert_non_null(strstr(fail_text(), "/wal: group 1, expected at offset 4096"));
    harness_close(&harness);
}

/* The only mark that covers the damaged group stands in the tail, in a group not yet written. */
static void mark_in_the_tail_counts(void **state)
{
    struct harness harness;

    (void)state;
    harness_open_in_memory(&harness, 64 << 10, 64 << 10);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(harness_append(&harness), WAL_APPENDED);
        assert_non_null(harness_cut(&harness));
        if (i < 3)
            harness_group_write(&harness, harness.out[0]);
    }
    harness_drop(&harness);
    harness_flip(&harness, "wal", (WAL_HEADER_BYTES + 2 * WAL_PAGE_BYTES + 30) * 8);
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    assert_non_null(strstr(fail_text(), "group 3, expected at offset 12288"));
    harness_close(&harness);
}

/* Goal: a write that the device lost without a word, leaving an older group of the same number, is
 * told by its successor. Method: a group of the life before is put back in place of the new one. */
static void group_of_an_older_life_put_back_is_reported(void **state)
{
    struct harness      harness;
    struct wal_group   *group;
    uint8_t             old[WAL_PAGE_BYTES];

    (void)state;
    harness_open_in_memory(&harness, 64 << 10, 64 << 10);
    assert_int_equal(harness_append(&harness), WAL_APPENDED);
    harness_flush(&harness);
    assert_int_equal(harness_append(&harness), WAL_APPENDED);
    group = harness_cut(&harness); /* group 2 of the first life, never written */
    memcpy(old, group->request.buffer, sizeof old);
    harness_drop(&harness);
    harness_tail_wipe(&harness);
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(harness_append(&harness), WAL_APPENDED);
        harness_flush(&harness);
    }
    harness_group_write(&harness, wal_mark_cut(harness.wal, false));
    harness_drop(&harness);
    harness_tail_wipe(&harness);
    harness_file_write(&harness, "wal", old, sizeof old, WAL_HEADER_BYTES + WAL_PAGE_BYTES);
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    assert_non_null(strstr(fail_text(), "group 3, expected at offset 12288"));
    harness_close(&harness);
}

/* Goal: a tail of any content makes no recovery fail or invent. Method: every bit of a tail with
 * closed groups and an open one that the ring does not have. */
static void flipped_bit_of_the_tail_gives_a_prefix(void **state)
{
    struct harness      harness;
    struct harness_copy copy;
    uint64_t            lost = 0;

    (void)state;
    harness_open_in_memory(&harness, 64 << 10, 64 << 10);
    harness.value_bytes = 20;
    harness.key_bytes = 12;
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(harness_append(&harness), WAL_APPENDED);
        assert_int_equal(harness_append_batch(&harness, 2, 0), WAL_APPENDED);
        if (i < 2)
            assert_non_null(harness_cut(&harness));
    }
    harness_drop(&harness);
    copy = harness_copy_take(&harness);
    for (uint64_t at = 0; at < 3 * WAL_PAGE_BYTES; at += sweep_of(1, 5))
        for (uint64_t bit = 0; bit < 8 && at % WAL_PAGE_BYTES < 250; bit++) {
            harness_copy_restore(&harness, &copy);
            harness_flip(&harness, "tail", 8 * at + bit);
            assert_int_equal(harness_reopen(&harness), KIWI_OK);
            assert_true(harness.replayed_last <= ENTRY_COUNT);
            lost += harness.replayed_last < ENTRY_COUNT;
        }
    assert_true(lost > sweep_of(1000, 200));
    harness_copy_free(&copy);
    harness_close(&harness);
}

static void any_bytes_in_the_ring_are_survived(void **state)
{
    struct harness      harness;
    struct harness_copy copy;
    uint64_t            seed = harness_seed();

    (void)state;
    small_log(&harness);
    copy = harness_copy_take(&harness);
    for (uint32_t round = 0; round < 500; round++) {
        uint8_t          noise[512];
        uint64_t         count = harness_random(&seed) % 64 + 1;
        const char      *name = round % 3 == 0 ? "tail" : "wal";
        enum kiwi_status status;

        for (uint32_t i = 0; i < sizeof noise; i++)
            noise[i] = (uint8_t)harness_random(&seed);
        harness_copy_restore(&harness, &copy);
        for (uint32_t i = 0; i < 4; i++)
            harness_file_write(&harness, name, noise, count,
                               harness_random(&seed) % (6 * WAL_PAGE_BYTES));
        status = harness_reopen(&harness);
        assert_true(status == KIWI_OK || status == KIWI_CORRUPT || status == KIWI_UNSUPPORTED);
        if (status == KIWI_OK)
            assert_int_equal(harness.replayed_last, ENTRY_COUNT);
    }
    harness_copy_free(&copy);
    harness_close(&harness);
}

/* Pages of the ring that change places are damage, not other history. */
static void swapped_groups_are_reported(void **state)
{
    struct harness      harness;
    struct harness_copy copy;

    (void)state;
    small_log(&harness);
    harness_tail_wipe(&harness);
    copy = harness_copy_take(&harness);
    for (uint32_t a = 0; a < 3; a++)
        for (uint32_t b = 0; b < 3; b++) {
            harness_copy_restore(&harness, &copy);
            harness_file_write(&harness, "wal", copy.ring + WAL_HEADER_BYTES + a * WAL_PAGE_BYTES,
                               WAL_PAGE_BYTES, WAL_HEADER_BYTES + b * WAL_PAGE_BYTES);
            assert_int_equal(harness_reopen(&harness), a == b ? KIWI_OK : KIWI_CORRUPT);
        }
    harness_copy_free(&copy);
    harness_close(&harness);
}

static void missing_and_foreign_files_are_reported(void **state)
{
    struct harness     harness;
    struct wal_options options;
    struct wal_position position;
    char                path[512];

    (void)state;
    small_log(&harness);
    options = harness.options;
    harness.options.shard = 4;
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    harness.options = options;
    harness.options.database.bytes[3] ^= 1;
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    harness.options = options;
    /* Sizes are those of the files, not of the options. */
    harness.options.ring_bytes = 1 << 20;
    harness.options.tail_bytes = 1 << 20;
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_int_equal(wal_ring_bytes(harness.wal), 64 << 10);
    harness.options.ring_bytes = 65536 + 512;
    assert_int_equal(harness_reopen(&harness), KIWI_INVALID);
    harness.options = options;
    harness.options.tail_bytes = 4096;
    assert_int_equal(harness_reopen(&harness), KIWI_INVALID);
    harness.options = options;

    position = harness.position;
    harness.position = (struct wal_position){ 0, WAL_HEADER_BYTES };
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    harness.position = (struct wal_position){ 1, 0 };
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    harness.position = (struct wal_position){ 1, WAL_HEADER_BYTES + 65536 };
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    harness.position = (struct wal_position){ 1, WAL_HEADER_BYTES + 100 };
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    harness.position = position;

    harness_drop(&harness);
    snprintf(path, sizeof path, "%s/tail", harness.directory);
    assert_int_equal(truncate(path, 4096), 0);
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    assert_non_null(strstr(fail_text(), "tail is missing"));
    snprintf(path, sizeof path, "%s/wal", harness.directory);
    assert_int_equal(truncate(path, 64 << 10), 0);
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    /* The log is gone, but someone remembers a place in it. */
    assert_int_equal(unlink(path), 0);
    harness.position.group = 5;
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    assert_non_null(strstr(fail_text(), "was missing, and group 5"));
    harness_close(&harness);
}

/* Goal: where nobody remembers a place in the log, its tail still tells that there was one. */
static void missing_ring_of_a_used_tail_is_reported(void **state)
{
    struct harness harness;
    char           path[512];

    (void)state;
    harness_open_in_memory(&harness, 64 << 10, 64 << 10);
    harness.value_bytes = 20;
    harness.key_bytes = 12;
    harness_drop(&harness);
    snprintf(path, sizeof path, "%s/wal", harness.directory);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(harness_reopen(&harness), KIWI_OK); /* the tail was never used */
    assert_int_equal(harness_append(&harness), WAL_APPENDED);
    harness_drop(&harness);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    assert_non_null(strstr(fail_text(), "/wal is missing, and its tail has been used"));
    harness_close(&harness);
}

/* Whoever only looks is told as well, and makes no new log. */
static void missing_log_is_reported_to_who_only_looks(void **state)
{
    struct harness harness;
    char           path[512];

    (void)state;
    small_log(&harness);
    snprintf(path, sizeof path, "%s/tail", harness.directory);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/wal", harness.directory);
    assert_int_equal(unlink(path), 0);
    harness.options.is_read_only = true;
    assert_int_equal(harness_reopen(&harness), KIWI_OK); /* nobody remembers anything of it */
    assert_int_equal(harness.replayed_count, 0);
    harness.sequence_after = ENTRY_COUNT;
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    harness.sequence_after = 0;
    harness.position.offset += WAL_PAGE_BYTES;
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    harness.position.group = 5;
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    assert_non_null(strstr(fail_text(), "the log is missing, and group 5 should be in it"));
    assert_int_equal(access(path, F_OK), -1);
    harness_close(&harness);
}

/* ---- groups that verify and still cannot be ---- */

struct forged {
    struct wal_group_header header;
    uint8_t                 records[WAL_PAGE_BYTES - sizeof(struct wal_group_header)];
};

static uint64_t forged_seed(const struct harness *harness)
{
    return wal_seed(database_id_seed(&harness->options.database), harness->options.shard, 1);
}

/* A closed group of the first life with one entry; forged_close makes it verify. */
static void forged_begin(const struct harness *harness, struct forged *group, uint64_t number,
                         uint64_t first_sequence, uint64_t previous_checksum)
{
    struct entry entry = harness_entry(harness, first_sequence);
    uint8_t     *end;

    memset(group, 0, sizeof *group);
    end = wal_entry_encode(group->records, &entry, first_sequence, forged_seed(harness));
    group->header = (struct wal_group_header){
        .magic = le32_of(WAL_GROUP_MAGIC),
        .version = WAL_VERSION,
        .shard = le16_of((uint16_t)harness->options.shard),
        .length = le32_of((uint32_t)(end - group->records)),
        .record_count = le32_of(1),
        .log_id = le64_of(1),
        .number = le64_of(number),
        .first_sequence = le64_of(first_sequence),
        .previous_checksum = le64_of(previous_checksum),
    };
}

static void forged_close(const struct harness *harness, struct forged *group)
{
    group->header.checksum = le64_of(wal_group_checksum(&group->header, forged_seed(harness)));
}

static void forged_write(const struct harness *harness, const char *name,
                         const struct forged *group, uint64_t offset)
{
    harness_file_write(harness, name, group, sizeof *group, offset);
}

static void log_with_one_forged_group(const struct harness *harness, struct forged *group)
{
    forged_close(harness, group);
    forged_write(harness, "wal", group, WAL_HEADER_BYTES);
}

static void group_that_verifies_with_bad_records_is_reported(void **state)
{
    struct harness   harness;
    struct forged    group;
    struct wal_batch batch = { .sequence = 1, .entry_count = 2 };
    uint8_t         *end;

    (void)state;
    harness_open_in_memory(&harness, 64 << 10, 64 << 10);
    harness_drop(&harness);
    forged_begin(&harness, &group, 1, 1, 0);
    log_with_one_forged_group(&harness, &group);
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_int_equal(harness.replayed_last, 1);
    harness_drop(&harness);

    group.header.record_count = le32_of(2);
    log_with_one_forged_group(&harness, &group);
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    assert_non_null(strstr(fail_text(), "/wal: group 1 at offset 4096 verifies, but"));
    group.header.record_count = le32_of(1);
    group.header.length = le32_of(le32_get(group.header.length) + 9);
    log_with_one_forged_group(&harness, &group);
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    group.records[5] ^= 1;
    log_with_one_forged_group(&harness, &group);
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);

    /* A batch of two of which one is there. */
    forged_begin(&harness, &group, 1, 1, 0);
    end = wal_batch_encode(group.records, &batch, 1, forged_seed(&harness));
    end = wal_entry_encode(end, &(struct entry){ .sequence = 1, .kind = ENTRY_PUT }, 1,
                           forged_seed(&harness));
    group.header.record_count = le32_of(2);
    group.header.length = le32_of((uint32_t)(end - group.records));
    log_with_one_forged_group(&harness, &group);
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    assert_int_equal(harness.replayed_count, 0);
    /* Of which the second is another one. */
    end = wal_entry_encode(end, &(struct entry){ .sequence = 3, .kind = ENTRY_PUT }, 1,
                           forged_seed(&harness));
    group.header.length = le32_of((uint32_t)(end - group.records));
    log_with_one_forged_group(&harness, &group);
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    assert_int_equal(harness.replayed_count, 0);
    /* Of which the second is a batch. */
    end = wal_batch_encode(group.records, &batch, 1, forged_seed(&harness));
    end = wal_entry_encode(end, &(struct entry){ .sequence = 1, .kind = ENTRY_PUT }, 1,
                           forged_seed(&harness));
    end = wal_batch_encode(end, &(struct wal_batch){ .sequence = 2, .entry_count = 1 }, 1,
                           forged_seed(&harness));
    group.header.length = le32_of((uint32_t)(end - group.records));
    log_with_one_forged_group(&harness, &group);
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    assert_int_equal(harness.replayed_count, 0);
    harness_close(&harness);
}

static void sequence_that_falls_back_is_reported(void **state)
{
    struct harness harness;
    struct forged  group;

    (void)state;
    harness_open_in_memory(&harness, 64 << 10, 64 << 10);
    harness_drop(&harness);
    forged_begin(&harness, &group, 1, 1, 0);
    log_with_one_forged_group(&harness, &group);
    forged_begin(&harness, &group, 2, 1, le64_get(group.header.checksum));
    forged_close(&harness, &group);
    forged_write(&harness, "wal", &group, WAL_HEADER_BYTES + WAL_PAGE_BYTES);
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    assert_non_null(strstr(fail_text(), "falls back from sequence 1 to 1"));
    harness_close(&harness);
}

static void more_groups_beyond_a_hole_than_can_be_out_are_reported(void **state)
{
    struct harness harness;
    struct forged  group;

    (void)state;
    harness_open_in_memory(&harness, 128 << 10, 64 << 10);
    harness_drop(&harness);
    for (uint64_t number = 2; number < 20; number++) {
        forged_begin(&harness, &group, number, number, 0);
        forged_close(&harness, &group);
        forged_write(&harness, "wal", &group, WAL_HEADER_BYTES + number * WAL_PAGE_BYTES);
    }
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    assert_non_null(strstr(fail_text(), "group 1 is damaged or missing, but more than 16"));
    harness_close(&harness);
}

static void tail_group_without_a_place_in_the_ring_is_reported(void **state)
{
    struct harness harness;
    struct forged  group;
    uint64_t       previous = 0;

    (void)state;
    harness_open_in_memory(&harness, 64 << 10, 64 << 10);
    harness_drop(&harness);
    for (uint64_t number = 1; number <= 17; number++) {
        forged_begin(&harness, &group, number, number, previous);
        forged_close(&harness, &group);
        previous = le64_get(group.header.checksum);
        if (number < 17)
            forged_write(&harness, "wal", &group, WAL_HEADER_BYTES + (number - 1) * WAL_PAGE_BYTES);
        else
            forged_write(&harness, "tail", &group, 0);
    }
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    assert_non_null(strstr(fail_text(), "/tail: group 17 at offset 0 has no place"));
    harness_close(&harness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flipped_bit_below_the_mark_is_reported),
        cmocka_unit_test(flipped_bit_in_the_ring_is_repaired_from_the_tail),
        cmocka_unit_test(flipped_bit_of_the_header_block_is_reported_or_harmless),
        cmocka_unit_test(damaged_life_slot_wakes_no_old_group),
        cmocka_unit_test(flipped_bit_above_the_mark_is_a_torn_end),
        cmocka_unit_test(mark_in_the_tail_counts),
        cmocka_unit_test(group_of_an_older_life_put_back_is_reported),
        cmocka_unit_test(flipped_bit_of_the_tail_gives_a_prefix),
        cmocka_unit_test(any_bytes_in_the_ring_are_survived),
        cmocka_unit_test(group_that_verifies_with_bad_records_is_reported),
        cmocka_unit_test(sequence_that_falls_back_is_reported),
        cmocka_unit_test(more_groups_beyond_a_hole_than_can_be_out_are_reported),
        cmocka_unit_test(tail_group_without_a_place_in_the_ring_is_reported),
        cmocka_unit_test(swapped_groups_are_reported),
        cmocka_unit_test(missing_and_foreign_files_are_reported),
        cmocka_unit_test(missing_ring_of_a_used_tail_is_reported),
        cmocka_unit_test(missing_log_is_reported_to_who_only_looks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
