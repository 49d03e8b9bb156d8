/*
 * wal_append.c: appends, groups out and back, room and trim.
 */
#include "tests/unit/wal_harness.h"

#define MIB (1ull << 20)

static void new_log_starts_at_group_one_behind_the_header(void **state)
{
    struct harness harness;

    (void)state;
    harness_open(&harness, 1 * MIB, 256 << 10);
    assert_int_equal(wal_position_now(harness.wal).group, 1);
    assert_int_equal(wal_position_now(harness.wal).offset, WAL_HEADER_BYTES);
    assert_int_equal(wal_appended_sequence(harness.wal), 0);
    assert_int_equal(wal_ring_used_bytes(harness.wal), 0);
    assert_null(wal_group_cut(harness.wal));
    assert_null(wal_mark_cut(harness.wal, false));
    harness_close(&harness);
}

static void append_becomes_durable_when_its_group_is_done(void **state)
{
    struct harness    harness;
    struct wal_group *group;

    (void)state;
    harness_open(&harness, 1 * MIB, 256 << 10);
    assert_int_equal(harness_append(&harness), WAL_APPENDED);
    assert_int_equal(harness_append(&harness), WAL_APPENDED);
    assert_int_equal(wal_appended_sequence(harness.wal), 2);
    assert_int_equal(wal_durable_sequence(harness.wal), 0);
    assert_true(wal_staged_bytes(harness.wal) > 0);
    group = harness_cut(&harness);
    assert_non_null(group);
    assert_int_equal(group->number, 1);
    assert_int_equal(group->sequence_last, 2);
    assert_int_equal(wal_staged_bytes(harness.wal), 0);
    assert_int_equal(wal_groups_out(harness.wal), 1);
    harness_group_write(&harness, group);
    assert_int_equal(wal_durable_sequence(harness.wal), 2);
    assert_int_equal(wal_counters(harness.wal).records, 2);
    assert_int_equal(wal_counters(harness.wal).groups, 1);
    harness_close(&harness);
}

static void groups_become_durable_in_order_however_they_come_back(void **state)
{
    struct harness    harness;
    struct wal_group *groups[WAL_GROUPS_IN_FLIGHT];

    (void)state;
    harness_open(&harness, 1 * MIB, 256 << 10);
    for (uint32_t i = 0; i < WAL_GROUPS_IN_FLIGHT; i++) {
        assert_int_equal(harness_append(&harness), WAL_APPENDED);
        groups[i] = harness_cut(&harness);
        assert_non_null(groups[i]);
    }
    assert_int_equal(harness_append(&harness), WAL_APPENDED);
    assert_null(harness_cut(&harness));
    harness_group_write(&harness, groups[3]);
    harness_group_write(&harness, groups[1]);
    assert_int_equal(wal_durable_sequence(harness.wal), 0);
    harness_group_write(&harness, groups[0]);
    assert_int_equal(wal_durable_sequence(harness.wal), 2);
    harness_group_write(&harness, groups[2]);
    assert_int_equal(wal_durable_sequence(harness.wal), 4);
    assert_int_equal(harness_flush(&harness), 1);
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_int_equal(harness.replayed_count, 5);
    harness_close(&harness);
}

static void failed_group_stops_the_log_for_good(void **state)
{
    struct harness    harness;
    struct wal_group *first, *second;

    (void)state;
    harness_open(&harness, 1 * MIB, 256 << 10);
    assert_int_equal(harness_append(&harness), WAL_APPENDED);
    first = wal_group_cut(harness.wal);
    assert_int_equal(harness_append(&harness), WAL_APPENDED);
    second = wal_group_cut(harness.wal);
    assert_int_equal(harness_append(&harness), WAL_APPENDED);
    second->request.status = KIWI_IO;
    wal_group_done(harness.wal, second);
    assert_int_equal(wal_status(harness.wal), KIWI_IO);
    assert_int_equal(harness_append(&harness), WAL_STOPPED);
    assert_int_equal(harness_append_batch(&harness, 3, 0), WAL_STOPPED);
    assert_int_equal(wal_room(harness.wal, 10, 1), WAL_STOPPED);
    assert_null(wal_group_cut(harness.wal));
    /* What was written before still counts. */
    harness_group_write(&harness, first);
    assert_int_equal(wal_durable_sequence(harness.wal), 1);
    assert_int_equal(wal_status(harness.wal), KIWI_IO);
    assert_null(wal_mark_cut(harness.wal, true));
    harness_close(&harness);
}

static void full_ring_refuses_until_it_is_trimmed(void **state)
{
    struct harness      harness;
    struct wal_position middle = { 0 };
    uint64_t            appended;

    (void)state;
    harness_open(&harness, 256 << 10, 64 << 10);
    for (appended = 0; harness_append(&harness) == WAL_APPENDED; appended++) {
        harness_flush(&harness);
        if (appended == 20)
            middle = wal_position_now(harness.wal);
    }
    assert_int_equal(harness_append(&harness), WAL_NO_ROOM);
    assert_true(appended > 20);
    assert_true(wal_ring_used_bytes(harness.wal) <= wal_ring_bytes(harness.wal));
    wal_trim(harness.wal, middle);
    assert_int_equal(harness_append(&harness), WAL_APPENDED);
    harness_flush(&harness);
    harness.position = middle;
    harness.sequence_after = 21;
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_int_equal(harness.replayed_last, appended + 1);
    /* Full again after the recovery, and the seal still finds its place. */
    while (harness_append(&harness) == WAL_APPENDED)
        harness_flush(&harness);
    harness_group_write(&harness, wal_mark_cut(harness.wal, true));
    /* So does one more mark; then there is nothing left, and the trim of all is understood. */
    harness_group_write(&harness, wal_mark_cut(harness.wal, true));
    assert_null(wal_mark_cut(harness.wal, true));
    assert_int_equal(wal_room(harness.wal, 60 << 10, 1), WAL_NO_ROOM);
    wal_trim(harness.wal, wal_position_now(harness.wal));
    assert_int_equal(wal_ring_used_bytes(harness.wal), 0);
    assert_int_equal(harness_append(&harness), WAL_APPENDED);
    harness_close(&harness);
}

static void full_tail_refuses_until_groups_are_done(void **state)
{
    struct harness    harness;
    struct wal_group *group;
    uint64_t          appended;

    (void)state;
    harness_open(&harness, 4 * MIB, 64 << 10);
    while (harness_append(&harness) == WAL_APPENDED)
        continue;
    appended = wal_appended_sequence(harness.wal);
    assert_int_equal(harness_append(&harness), WAL_NO_ROOM);
    group = harness_cut(&harness);
    assert_int_equal(harness_append(&harness), WAL_NO_ROOM);
    harness_group_write(&harness, group);
    assert_int_equal(harness_append(&harness), WAL_APPENDED);
    /* As the process dies, the tail alone has nearly everything. */
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_int_equal(harness.replayed_last, appended + 1);
    assert_true(harness.recovery.tail_record_count > 0);
    harness_close(&harness);
}

static void append_beyond_the_ring_is_refused_for_good(void **state)
{
    struct harness harness;

    (void)state;
    harness_open(&harness, 256 << 10, 64 << 10);
    harness.large_every = 2;
    harness.large_bytes = 128 << 10;
    assert_int_equal(harness_append(&harness), WAL_APPENDED);
    assert_int_equal(harness_append(&harness), WAL_TOO_LARGE);
    harness.large_bytes = 100 << 10;
    assert_int_equal(harness_append(&harness), WAL_APPENDED);
    harness_close(&harness);
}

/* Goal: large values keep their order among small ones, and room is found wherever the ring's end
 * happens to be. Method: sizes up to the largest allowed, many laps, a replay now and then. */
static void large_appends_keep_their_order(void **state)
{
    struct harness harness;
    uint64_t       seed = harness_seed();

    (void)state;
    harness_open(&harness, 4 * MIB, 1 * MIB);
    for (uint32_t round = 0; round < 60; round++) {
        harness.large_every = 3;
        harness.large_bytes = 250000 + harness_random(&seed) % 1700000;
        for (uint32_t i = 0; i < 8; i++) {
            enum wal_verdict verdict = harness_append(&harness);

            if (verdict == WAL_NO_ROOM) {
                harness_flush(&harness);
                harness_trim(&harness);
                verdict = harness_append(&harness);
            }
            assert_int_equal(verdict, WAL_APPENDED);
            if (wal_appended_sequence(harness.wal) % 3 == 0 && harness.large_bytes > 512 << 10)
                assert_true(wal_needs_write(harness.wal));
        }
        harness_flush(&harness);
        assert_false(wal_needs_write(harness.wal));
        if (round % 4 == 0) {
            uint64_t appended = wal_appended_sequence(harness.wal);

            assert_int_equal(harness_reopen(&harness), KIWI_OK);
            assert_int_equal(harness.replayed_last, appended);
        }
        harness_trim(&harness);
    }
    harness_close(&harness);
}

static void ring_wraps_many_times(void **state)
{
    struct harness harness;
    uint64_t       seed = harness_seed();

    (void)state;
    harness_open(&harness, 128 << 10, 64 << 10);
    for (uint32_t round = 0; round < 3000; round++) {
        uint32_t count = (uint32_t)(harness_random(&seed) % 40) + 1;

        if (harness_append_batch(&harness, count, count % 3) == WAL_NO_ROOM) {
            harness_flush(&harness);
            harness_trim(&harness);
        }
        if (harness_random(&seed) % 4 == 0)
            harness_flush(&harness);
        if (harness_random(&seed) % 50 == 0) {
            uint64_t appended = wal_appended_sequence(harness.wal);

            assert_int_equal(harness_reopen(&harness), KIWI_OK);
            assert_int_equal(harness.replayed_last, appended);
        }
    }
    assert_true(wal_position_now(harness.wal).group > 100);
    harness_close(&harness);
}

static void mark_is_cut_once_for_what_became_durable(void **state)
{
    struct harness    harness;
    struct wal_group *mark;

    (void)state;
    harness_open(&harness, 256 << 10, 64 << 10);
    assert_int_equal(harness_append(&harness), WAL_APPENDED);
    assert_null(wal_mark_cut(harness.wal, false));
    harness_flush(&harness);
    mark = wal_mark_cut(harness.wal, false);
    assert_non_null(mark);
    assert_null(wal_mark_cut(harness.wal, false));
    harness_group_write(&harness, mark);
    assert_null(wal_mark_cut(harness.wal, false));
    assert_int_equal(wal_durable_sequence(harness.wal), 1);
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_null(wal_mark_cut(harness.wal, false));
    assert_int_equal(harness_append(&harness), WAL_APPENDED);
    harness_flush(&harness);
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_non_null(mark = wal_mark_cut(harness.wal, false));
    harness_group_write(&harness, mark);
    harness_close(&harness);
}

static void closed_groups_wait_for_their_turn(void **state)
{
    struct harness    harness;
    struct wal_group *groups[WAL_GROUPS_IN_FLIGHT];
    uint64_t          appended;

    (void)state;
    harness_open(&harness, 16 * MIB, 4 * MIB);
    harness.value_bytes = 60000;
    while (wal_staged_bytes(harness.wal) < 3 * MIB)
        assert_int_equal(harness_append(&harness), WAL_APPENDED);
    appended = wal_appended_sequence(harness.wal);
    for (uint32_t i = 0; i < WAL_GROUPS_IN_FLIGHT; i++) {
        groups[i] = harness_cut(&harness);
        assert_non_null(groups[i]);
        assert_int_equal(groups[i]->number, i + 1);
    }
    assert_null(wal_group_cut(harness.wal));
    for (uint32_t i = WAL_GROUPS_IN_FLIGHT; i-- > 0;)
        harness_group_write(&harness, groups[i]);
    assert_true(harness_flush(&harness) > 0);
    assert_int_equal(wal_durable_sequence(harness.wal), appended);
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_int_equal(harness.replayed_last, appended);
    harness_close(&harness);
}

/* Goal: no two groups in flight may overlap on the device. Method: everything is trimmed while a
 * group is out; the ring is filled until it refuses. */
static void space_of_a_group_in_flight_is_not_given_out(void **state)
{
    struct harness    harness;
    struct wal_group *slow, *group;
    enum wal_verdict  verdict;

    (void)state;
    harness_open(&harness, 64 << 10, 64 << 10);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(harness_append(&harness), WAL_APPENDED);
        slow = harness_cut(&harness);
        if (i < 9)
            harness_group_write(&harness, slow);
    }
    for (uint32_t i = 0; i < 40; i++) {
        wal_trim(harness.wal, wal_position_now(harness.wal));
        verdict = harness_append_batch(&harness, 40, 0); /* two pages */
        if (verdict == WAL_NO_ROOM)
            break;
        group = harness_cut(&harness);
        assert_true(group->request.offset + group->request.bytes <= slow->request.offset
                    || slow->request.offset + slow->request.bytes <= group->request.offset);
        harness_group_write(&harness, group);
    }
    assert_int_equal(verdict, WAL_NO_ROOM);
    harness_group_write(&harness, slow);
    wal_trim(harness.wal, wal_position_now(harness.wal));
    assert_int_equal(harness_append(&harness), WAL_APPENDED);
    harness_close(&harness);
}

static void padding_is_zero(void **state)
{
    struct harness    harness;
    struct wal_group *group;

    (void)state;
    harness_open(&harness, 256 << 10, 64 << 10);
    for (uint32_t i = 0; i < 30; i++) {
        const uint8_t *bytes;
        uint64_t       used;

        for (uint32_t j = 0; j < 60 - 2 * i; j++)
            assert_int_equal(harness_append(&harness), WAL_APPENDED);
        used = wal_staged_bytes(harness.wal);
        group = harness_cut(&harness);
        bytes = group->request.buffer;
        for (uint64_t at = used; at < group->request.bytes; at++)
            assert_int_equal(bytes[at], 0);
        harness_group_write(&harness, group);
        harness_trim(&harness);
    }
    harness_close(&harness);
}

/* Goal: room made ahead is kept, and room that nobody used is nothing staged. Method: every size
 * class of append, with and without using the room; marks, cuts and replays around it. */
static void room_made_ahead_is_kept(void **state)
{
    struct harness harness;

    (void)state;
    harness_open(&harness, 256 << 10, 64 << 10);
    assert_int_equal(wal_room(harness.wal, 100, 1), WAL_APPENDED);
    assert_int_equal(wal_staged_bytes(harness.wal), 0);
    assert_int_equal(wal_ring_used_bytes(harness.wal), 0);
    assert_null(wal_group_cut(harness.wal));
    harness_group_write(&harness, wal_mark_cut(harness.wal, true));
    assert_int_equal(wal_room(harness.wal, 1 << 20, 1), WAL_TOO_LARGE);
    assert_int_equal(wal_room(harness.wal, 100 << 10, 1), WAL_APPENDED);
    harness.value_bytes = 6000;
    harness.large_every = 7;
    harness.large_bytes = 30 << 10;
    for (uint32_t round = 0; round < 300; round++) {
        struct entry     next = harness_entry(&harness, wal_appended_sequence(harness.wal) + 1);
        uint64_t         bytes = next.key.size + next.value.size;
        enum wal_verdict verdict = wal_room(harness.wal, bytes, 1);

        if (verdict == WAL_NO_ROOM) {
            harness_flush(&harness);
            harness_trim(&harness);
            verdict = wal_room(harness.wal, bytes, 1);
        }
        assert_int_equal(verdict, WAL_APPENDED);
        if (round % 5 != 0)
            assert_int_equal(harness_append(&harness), WAL_APPENDED);
        if (round % 50 == 49) {
            uint64_t appended;

            harness_flush(&harness);
            appended = wal_appended_sequence(harness.wal);
            assert_int_equal(harness_reopen(&harness), KIWI_OK);
            assert_int_equal(harness.replayed_last, appended);
            harness_trim(&harness);
        }
    }
    harness_close(&harness);
}

static void request_done(struct io_request *request)
{
    wal_group_done(*(struct wal **)container_of(request, struct wal_group, request)->taker,
                   container_of(request, struct wal_group, request));
}

/* Goal: the mapped tail is a legal source of direct writes, and wide reads work, on the backend
 * that counts. Method: 12 MiB through a ring of 16, several groups in flight; then a replay. */
static void log_runs_on_io_uring(void **state)
{
    struct harness   harness;
    struct io       *posix, *uring = NULL;
    struct io_queue *queue = NULL;
    uint64_t         appended;

    (void)state;
    if (io_open(IO_BACKEND_URING, &uring) != KIWI_OK)
        skip(); /* refused by this host; the text of io_open is tested elsewhere */
    harness_open(&harness, 16 * MIB, 1 * MIB);
    harness_drop(&harness);
    posix = harness.io;
    harness.options.io = uring;
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_int_equal(io_queue_open(uring, 8, &queue), KIWI_OK);
    harness.value_bytes = 3000;
    while (wal_ring_used_bytes(harness.wal) < 12 * MIB) {
        enum wal_verdict  verdict = harness_append(&harness);
        struct wal_group *group = NULL;

        if (verdict == WAL_NO_ROOM || wal_staged_bytes(harness.wal) > 100000)
            group = wal_group_cut(harness.wal);
        if (group != NULL) {
            group->taker = &harness.wal;
            group->request.done = request_done;
            io_queue_add(queue, &group->request);
        }
        io_queue_poll(queue, group == NULL && verdict == WAL_NO_ROOM ? UINT64_MAX : 0);
    }
    while (io_queue_pending(queue) != 0)
        io_queue_poll(queue, UINT64_MAX);
    assert_int_equal(wal_status(harness.wal), KIWI_OK);
    appended = wal_appended_sequence(harness.wal);
    io_queue_close(queue);
    assert_int_equal(harness_reopen(&harness), KIWI_OK);
    assert_int_equal(harness.replayed_last, appended);
    assert_true(harness.recovery.byte_count > 11 * MIB);
    harness_drop(&harness);
    io_close(uring);
    harness.io = posix;
    harness_close(&harness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_log_starts_at_group_one_behind_the_header),
        cmocka_unit_test(append_becomes_durable_when_its_group_is_done),
        cmocka_unit_test(groups_become_durable_in_order_however_they_come_back),
        cmocka_unit_test(failed_group_stops_the_log_for_good),
        cmocka_unit_test(full_ring_refuses_until_it_is_trimmed),
        cmocka_unit_test(full_tail_refuses_until_groups_are_done),
        cmocka_unit_test(append_beyond_the_ring_is_refused_for_good),
        cmocka_unit_test(large_appends_keep_their_order),
        cmocka_unit_test(ring_wraps_many_times),
        cmocka_unit_test(mark_is_cut_once_for_what_became_durable),
        cmocka_unit_test(closed_groups_wait_for_their_turn),
        cmocka_unit_test(space_of_a_group_in_flight_is_not_given_out),
        cmocka_unit_test(padding_is_zero),
        cmocka_unit_test(room_made_ahead_is_kept),
        cmocka_unit_test(log_runs_on_io_uring),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
