/*
 * wal_recovery.c: what a replay shows after the process died or the power went, and that nothing
 * old is ever taken for new.
 */
#include "tests/unit/wal_harness.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MIB (1ull << 20)

static void append_many(struct harness *harness, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(harness_append(harness), WAL_APPENDED);
}

/* Writes a group to the device; the process dies before it learns that. */
static void group_write_unseen(const struct wal_group *group)
{
    assert_int_equal(io_file_write(group->request.file, group->request.buffer,
                                   group->request.bytes, group->request.offset), KIWI_OK);
}

static void everything_appended_survives_the_process(void **state)
{
    struct harness harness;

    (void)state;
    harness_open(&harness, 1 * MIB, 256 << 10);
    append_many(&harness, 100);
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_int_equal(harness.replayed_count, 100);
    assert_int_equal(harness.recovery.tail_record_count, 100);
    assert_int_equal(harness.recovery.group_count, 0);
    assert_int_equal(harness.recovery.sequence_last, 100);
    assert_false(harness.recovery.was_sealed);
    /* What came from the tail is on stable media now. */
    assert_int_equal(wal_appended_sequence(harness.wal), 100);
    assert_int_equal(wal_durable_sequence(harness.wal), 100);
    harness_drop(&harness);
    harness_tail_wipe(&harness);
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_int_equal(harness.replayed_count, 100);
    assert_int_equal(harness.recovery.tail_record_count, 0);
    assert_int_equal(harness.recovery.record_count, 100);
    harness_close(&harness);
}

/* Goal: groups out in any state come back. Method: four are out; each subset of them was written
 * when the process died; one more is open. */
static void groups_in_flight_survive_the_process(void **state)
{
    (void)state;
    for (uint32_t written = 0; written < 1u << WAL_GROUPS_IN_FLIGHT; written++) {
        struct harness    harness;
        struct wal_group *group;

        harness_open_in_memory(&harness, 256 << 10, 64 << 10);
        for (uint32_t i = 0; i < WAL_GROUPS_IN_FLIGHT; i++) {
            append_many(&harness, 3);
            assert_int_equal(harness_append_batch(&harness, 5, 0), WAL_APPENDED);
            group = harness_cut(&harness);
            if (written >> i & 1)
                group_write_unseen(group);
        }
        append_many(&harness, 2);
        assert_int_equal(harness_reopen(&harness), KIWI_OK);
        assert_int_equal(harness.replayed_count, 8 * WAL_GROUPS_IN_FLIGHT + 2);
        assert_int_equal(harness.recovery.group_count, __builtin_popcount(written));
        append_many(&harness, 1);
        assert_int_equal(harness_reopen(&harness), KIWI_OK);
        assert_int_equal(harness.replayed_count, 8 * WAL_GROUPS_IN_FLIGHT + 3);
        harness_close(&harness);
    }
}

/* Goal: after a power cut the log is a prefix, and what was written beyond the hole never comes
 * back, whatever is appended next. Method: each subset of four groups reached the device, the tail
 * is gone; then one group is appended, its write is lost or not, and the power goes again. The
 * second replay begins at the start, or where the second life began. */
static void leftovers_beyond_a_hole_never_return(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 4u << WAL_GROUPS_IN_FLIGHT; round++) {
        uint32_t          written = round >> 2, whole = 0;
        bool              is_lost = round & 1, begins_late = round & 2;
        struct harness    harness;
        struct wal_group *group;

        harness_open_in_memory(&harness, 256 << 10, 64 << 10);
        append_many(&harness, 3);
        harness_flush(&harness);
        for (uint32_t i = 0; i < WAL_GROUPS_IN_FLIGHT; i++) {
            append_many(&harness, 2);
            group = harness_cut(&harness);
            if (written >> i & 1)
                group_write_unseen(group);
        }
        while (written >> whole & 1)
            whole++;
        harness_drop(&harness);
        harness_tail_wipe(&harness);
        assert_int_equal(harness_reopen(&harness), KIWI_OK);
        assert_int_equal(harness.replayed_count, 3 + 2 * whole);
        assert_int_equal(wal_durable_sequence(harness.wal), 3 + 2 * whole);
        /* The same two entries as before, in groups of one. */
        append_many(&harness, 1);
        harness_flush(&harness);
        if (begins_late)
            harness_trim(&harness);
        append_many(&harness, 1);
        group = harness_cut(&harness);
        if (!is_lost)
            group_write_unseen(group);
        harness_drop(&harness);
        harness_tail_wipe(&harness);
        assert_int_equal(harness_reopen(&harness), KIWI_OK);
        assert_int_equal(harness.replayed_last, 3 + 2 * whole + 1 + !is_lost);
        harness_close(&harness);
    }
}

/* The tail of an older life is void, even when the ring has nothing better. */
static void tail_of_an_older_life_is_void(void **state)
{
    struct harness      harness;
    struct harness_copy copy;

    (void)state;
    harness_open_in_memory(&harness, 256 << 10, 64 << 10);
    append_many(&harness, 2);
    harness_flush(&harness);
    append_many(&harness, 2); /* open, group 2 */
    harness_drop(&harness);
    copy = harness_copy_take(&harness);
    harness_tail_wipe(&harness);
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_int_equal(harness.replayed_last, 2);
    harness_trim(&harness); /* replay begins at group 2, whose predecessor is not looked at */
    harness_drop(&harness);
    harness_file_write(&harness, "tail", copy.tail, copy.tail_bytes, 0);
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_int_equal(harness.replayed_count, 0);
    harness_copy_free(&copy);
    harness_close(&harness);
}

static void seal_ends_a_life_cleanly(void **state)
{
    struct harness harness;

    (void)state;
    harness_open(&harness, 1 * MIB, 256 << 10);
    append_many(&harness, 10);
    assert_null(wal_mark_cut(harness.wal, true)); /* records are staged */
    harness_flush(&harness);
    harness_group_write(&harness, wal_mark_cut(harness.wal, true));
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_true(harness.recovery.was_sealed);
    assert_int_equal(harness.replayed_count, 10);
    /* Opened and not sealed again: the seal is not the end of this life. */
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_false(harness.recovery.was_sealed);
    append_many(&harness, 1);
    harness_flush(&harness);
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_false(harness.recovery.was_sealed);
    assert_int_equal(harness.replayed_count, 11);
    harness_close(&harness);
}

static void replay_begins_behind_what_tables_have(void **state)
{
    struct harness      harness;
    struct wal_position middle;

    (void)state;
    harness_open(&harness, 1 * MIB, 256 << 10);
    append_many(&harness, 10);
    harness_flush(&harness);
    middle = wal_position_now(harness.wal);
    assert_int_equal(middle.group, 2);
    append_many(&harness, 10);
    harness_flush(&harness);
    harness.sequence_after = 15;
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_int_equal(harness.replayed_count, 5);
    harness.position = middle;
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_int_equal(harness.replayed_count, 5);
    assert_int_equal(harness.recovery.group_count, 1);
    /* Tables are ahead of the log: the next sequence is behind theirs. */
    harness.sequence_after = 40;
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_int_equal(harness.replayed_count, 0);
    assert_int_equal(harness.recovery.sequence_last, 0);
    assert_int_equal(wal_appended_sequence(harness.wal), 40);
    append_many(&harness, 1);
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_int_equal(harness.replayed_count, 1);
    /* What the tables do not have is missing. */
    harness.sequence_after = 9;
    assert_int_equal(harness_reopen(&harness), KIWI_CORRUPT);
    assert_non_null(strstr(fail_text(), "jumps from sequence 9 to 11"));
    harness_close(&harness);
}

static void batches_come_back_whole_with_their_parts(void **state)
{
    struct harness harness;

    (void)state;
    harness_open(&harness, 1 * MIB, 256 << 10);
    assert_int_equal(harness_append_batch(&harness, 10, 0), WAL_APPENDED);
    assert_int_equal(harness_append_batch(&harness, 1, 2), WAL_APPENDED);
    assert_int_equal(harness_append_batch(&harness, 60, KIWI_SHARD_COUNT_MAX), WAL_APPENDED);
    append_many(&harness, 1);
    harness_flush(&harness);
    assert_int_equal(harness_append_batch(&harness, 4, 3), WAL_APPENDED);
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_int_equal(harness.replayed_count, 76);
    assert_int_equal(harness.batch_count, 4);
    assert_int_equal(harness.recovery.record_count, 72);
    assert_int_equal(harness.recovery.tail_record_count, 4);
    harness_close(&harness);
}

/* Goal: whatever instant the process died at, whole appends come back. Method: every value of the
 * running length that an open group may have had, and those it cannot. */
static void open_group_is_read_up_to_its_last_whole_append(void **state)
{
    struct harness      harness;
    struct harness_copy copy;
    uint32_t            length;
    uint64_t            last = 0;
    bool                seen[9] = { false };

    (void)state;
    harness_open_in_memory(&harness, 256 << 10, 64 << 10);
    harness.value_bytes = 20;
    append_many(&harness, 2);
    assert_int_equal(harness_append_batch(&harness, 4, 2), WAL_APPENDED);
    append_many(&harness, 2);
    length = (uint32_t)wal_staged_bytes(harness.wal) - 64;
    harness_drop(&harness);
    copy = harness_copy_take(&harness);
    for (uint32_t cut = 0; cut <= length; cut++) {
        harness_copy_restore(&harness, &copy);
        harness_file_write(&harness, "tail", &cut, 4, 8);
        assert_int_equal(harness_reopen(&harness), KIWI_OK);
        assert_true(harness.replayed_last >= last);
        last = harness.replayed_last;
        seen[last] = true;
    }
    assert_int_equal(last, 8);
    for (uint32_t i = 0; i < 9; i++)
        assert_int_equal(seen[i], i < 3 || i > 5);
    harness_copy_free(&copy);
    harness_close(&harness);
}

/* Goal: any mix of old and new tail pages gives a prefix. Method: an open group and closed ones
 * over many pages; one page, or all from one on, or noise, is lost. */
static void tail_with_lost_pages_gives_a_prefix(void **state)
{
    struct harness      harness;
    struct harness_copy copy;
    uint8_t             page[WAL_PAGE_BYTES];
    uint64_t            seed = harness_seed(), appended, behind;

    (void)state;
    harness_open_in_memory(&harness, 256 << 10, 64 << 10);
    for (uint32_t i = 0; i < 3; i++) {
        append_many(&harness, 20);
        harness_cut(&harness);
    }
    append_many(&harness, 150);
    appended = wal_appended_sequence(harness.wal);
    harness_drop(&harness);
    copy = harness_copy_take(&harness);
    for (uint32_t round = 0; round < 64; round++) {
        harness_copy_restore(&harness, &copy);
        for (uint32_t i = 0; i < WAL_PAGE_BYTES; i++)
            page[i] = round < 32 ? 0 : (uint8_t)harness_random(&seed);
        for (uint32_t at = round % 16; at < 16; at += round & 16 ? 1 : 16)
            harness_file_write(&harness, "tail", page, sizeof page, at * WAL_PAGE_BYTES);
        assert_int_equal(harness_reopen(&harness), KIWI_OK);
        assert_true(harness.replayed_last <= appended);
        /* And the log goes on behind it. */
        append_many(&harness, 3);
        harness_flush(&harness);
        append_many(&harness, 3);
        behind = wal_appended_sequence(harness.wal);
        assert_int_equal(harness_reopen(&harness), KIWI_OK);
        assert_int_equal(harness.replayed_last, behind);
    }
    harness_copy_free(&copy);
    harness_close(&harness);
}

/* Goal: a recovery that fails half-way spoils nothing. Method: the n-th allocation fails, for each
 * n until the recovery succeeds without noticing; then everything is there. */
static void recovery_without_memory_can_be_repeated(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct harness   harness;
        struct wal_group *group;
        enum kiwi_status status;

        harness_open_in_memory(&harness, 256 << 10, 64 << 10);
        append_many(&harness, 10);
        harness_flush(&harness);
        for (uint32_t i = 0; i < 3; i++) {
            assert_int_equal(harness_append_batch(&harness, 6, 2), WAL_APPENDED);
            group = harness_cut(&harness);
            if (i == 1)
                group_write_unseen(group);
        }
        append_many(&harness, 2);
        harness_drop(&harness);
        memory_fail_after(n);
        status = harness_reopen(&harness);
        memory_fail_after(0);
        if (status != KIWI_OK) {
            assert_int_equal(status, KIWI_NO_MEMORY);
            assert_int_equal(harness_reopen(&harness), KIWI_OK);
        }
        assert_int_equal(harness.replayed_last, 30);
        harness_close(&harness);
        if (status == KIWI_OK && n > 3)
            break;
    }
}

/* Goal: leftovers that could not be erased for want of memory are found and erased by the next
 * recovery. Method: the second of two groups was written, the tail is gone. */
static void leftovers_wait_for_a_recovery_that_has_memory(void **state)
{
    uint32_t erase_refusals = 0;

    (void)state;
    for (uint64_t n = 1;; n++) {
        struct harness   harness;
        enum kiwi_status status;
        bool             is_erase;

        harness_open_in_memory(&harness, 256 << 10, 64 << 10);
        append_many(&harness, 10);
        harness_flush(&harness);
        append_many(&harness, 1);
        (void)harness_cut(&harness);
        append_many(&harness, 1);
        group_write_unseen(harness_cut(&harness));
        harness_drop(&harness);
        harness_tail_wipe(&harness);
        memory_fail_after(n);
        status = harness_reopen(&harness);
        memory_fail_after(0);
        is_erase = status != KIWI_OK && strstr(kiwi_error_text(), "to settle a log") != NULL;
        if (status != KIWI_OK) {
            assert_int_equal(status, KIWI_NO_MEMORY);
            assert_int_equal(harness_reopen(&harness), KIWI_OK);
        }
        if (is_erase || status == KIWI_OK)
            assert_int_equal(harness.recovery.leftover_count, 1);
        erase_refusals += is_erase;
        assert_int_equal(harness.replayed_last, 10);
        assert_int_equal(harness_reopen(&harness), KIWI_OK);
        assert_int_equal(harness.recovery.leftover_count, 0);
        assert_int_equal(harness.replayed_last, 10);
        harness_close(&harness);
        if (status == KIWI_OK)
            break;
    }
    assert_int_equal(erase_refusals, 1);
}

static enum kiwi_status visit_takes(void *context, const struct wal_replayed *record)
{
    (void)context;
    (void)record;
    return KIWI_OK;
}

static void ring_is_as_in(const struct harness *harness, const struct harness_copy *copy)
{
    struct harness_copy now = harness_copy_take(harness);

    assert_int_equal(now.ring_bytes, copy->ring_bytes);
    assert_memory_equal(now.ring, copy->ring, copy->ring_bytes);
    harness_copy_free(&now);
}

/* Goal: a log whose tail the file system stops giving while it is read says so, changes nothing,
 * and is whole when the file system is. Method: the file is cut short once it is mapped. */
static void tail_that_is_lost_while_a_log_is_read_is_told(void **state)
{
    struct harness      harness;
    struct harness_copy copy;
    char                path[512];
    enum kiwi_status    status;

    (void)state;
    harness_open_in_memory(&harness, 256 << 10, 64 << 10);
    append_many(&harness, 10);
    harness_flush(&harness);
    append_many(&harness, 5);
    harness_drop(&harness);
    copy = harness_copy_take(&harness);
    assert_int_equal(wal_open(&harness.options, &harness.wal), KIWI_OK);
    snprintf(path, sizeof path, "%s/tail", harness.directory);
    assert_int_equal(truncate(path, 0), 0);
    status = wal_recover(harness.wal, harness.position, 0, visit_takes, NULL, &harness.recovery);
    assert_int_equal(status, KIWI_IO);
    assert_non_null(strstr(kiwi_error_text(), path));
    assert_non_null(strstr(kiwi_error_text(), "the file system does not give a page of it"));
    harness_drop(&harness);
    assert_int_equal(truncate(path, (off_t)copy.tail_bytes), 0); /* as large as it was, zeros */
    ring_is_as_in(&harness, &copy);
    harness_copy_restore(&harness, &copy);
    harness_copy_free(&copy);
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_int_equal(harness.replayed_count, 15);
    assert_int_equal(harness.recovery.tail_record_count, 5);
    harness_close(&harness);
}

static void creation_without_memory_can_be_repeated(void **state)
{
    (void)state;
    for (uint64_t n = 1;; n++) {
        struct harness   harness;
        char             path[512];
        enum kiwi_status status;

        harness_open_in_memory(&harness, 256 << 10, 64 << 10);
        harness_drop(&harness);
        snprintf(path, sizeof path, "%s/wal", harness.directory);
        assert_int_equal(unlink(path), 0);
        memory_fail_after(n);
        status = harness_reopen(&harness);
        memory_fail_after(0);
        if (status != KIWI_OK) {
            assert_int_equal(status, KIWI_NO_MEMORY);
            assert_int_equal(harness_reopen(&harness), KIWI_OK);
        }
        append_many(&harness, 1);
        harness_close(&harness);
        if (status == KIWI_OK && n > 3)
            break;
    }
}

static void large_append_without_memory_changes_nothing(void **state)
{
    struct harness harness;

    (void)state;
    harness_open(&harness, 4 * MIB, 256 << 10);
    harness.large_every = 2;
    harness.large_bytes = 1 * MIB;
    append_many(&harness, 1);
    (void)harness_entry(&harness, 2);
    memory_fail_after(1);
    assert_int_equal(harness_append(&harness), WAL_NO_MEMORY);
    memory_fail_after(0);
    assert_int_equal(wal_appended_sequence(harness.wal), 1);
    append_many(&harness, 2);
    harness_flush(&harness);
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_int_equal(harness.replayed_count, 3);
    harness_close(&harness);
}

static enum kiwi_status visit_refuses(void *context, const struct wal_replayed *record)
{
    uint64_t *refuse_at = context;

    return record->entries[0].sequence == *refuse_at ? KIWI_BUSY : KIWI_OK;
}

static void status_of_the_visitor_travels(void **state)
{
    struct harness      harness;
    struct wal_recovery recovery;
    uint64_t            refuse_at;

    (void)state;
    harness_open(&harness, 256 << 10, 64 << 10);
    append_many(&harness, 3);
    harness_flush(&harness);
    append_many(&harness, 3);
    harness_drop(&harness);
    for (refuse_at = 1; refuse_at <= 6; refuse_at++) {
        assert_int_equal(wal_open(&harness.options, &harness.wal), KIWI_OK);
        assert_int_equal(wal_recover(harness.wal, harness.position, 0, visit_refuses, &refuse_at,
                                     &recovery), KIWI_BUSY);
        harness_drop(&harness);
    }
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_int_equal(harness.replayed_count, 6);
    harness_close(&harness);
}

/* Goal: lives follow each other without loss or invention. Method: random appends, writes in random
 * order with some never seen, deaths of process and power, checked against two numbers. */
static void random_lives_follow_each_other(void **state)
{
    uint64_t       seed = harness_seed();
    struct harness harness;

    (void)state;
    harness_open_in_memory(&harness, 256 << 10, 64 << 10);
    for (uint32_t life = 0; life < 300; life++) {
        uint32_t steps = (uint32_t)(harness_random(&seed) % 60);
        uint64_t appended, durable;
        bool     is_power_cut = harness_random(&seed) % 2 == 0;

        for (uint32_t step = 0; step < steps; step++) {
            uint64_t dice = harness_random(&seed);

            if (dice % 8 < 5) {
                harness_append_batch(&harness, (uint32_t)(dice >> 8) % 20 + 1,
                                     (uint32_t)(dice >> 16) % 3);
            } else if (dice % 8 == 5) {
                harness_cut(&harness);
            } else {
                struct wal_group *group = harness.out[dice >> 8 & 3];

                if (group != NULL && dice >> 20 & 1)
                    group_write_unseen(group);
                else if (group != NULL)
                    harness_group_write(&harness, group);
            }
            if (dice >> 40 == 0 || wal_ring_used_bytes(harness.wal) > 200 << 10)
                harness_trim(&harness);
        }
        appended = wal_appended_sequence(harness.wal);
        durable = max_u64(wal_durable_sequence(harness.wal), harness.sequence_after);
        harness_drop(&harness);
        if (is_power_cut)
            harness_tail_wipe(&harness);
        assert_int_equal(harness_reopen(&harness), KIWI_OK);
        assert_true(harness.replayed_last >= (is_power_cut ? durable : appended));
        assert_true(harness.replayed_last <= appended);
    }
    harness_close(&harness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* First: cmocka sets its handler of SIGBUS before each test, ours comes four times. */
        cmocka_unit_test(tail_that_is_lost_while_a_log_is_read_is_told),
        cmocka_unit_test(everything_appended_survives_the_process),
        cmocka_unit_test(groups_in_flight_survive_the_process),
        cmocka_unit_test(leftovers_beyond_a_hole_never_return),
        cmocka_unit_test(tail_of_an_older_life_is_void),
        cmocka_unit_test(seal_ends_a_life_cleanly),
        cmocka_unit_test(replay_begins_behind_what_tables_have),
        cmocka_unit_test(batches_come_back_whole_with_their_parts),
        cmocka_unit_test(open_group_is_read_up_to_its_last_whole_append),
        cmocka_unit_test(tail_with_lost_pages_gives_a_prefix),
        cmocka_unit_test(recovery_without_memory_can_be_repeated),
        cmocka_unit_test(leftovers_wait_for_a_recovery_that_has_memory),
        cmocka_unit_test(creation_without_memory_can_be_repeated),
        cmocka_unit_test(large_append_without_memory_changes_nothing),
        cmocka_unit_test(status_of_the_visitor_travels),
        cmocka_unit_test(random_lives_follow_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
