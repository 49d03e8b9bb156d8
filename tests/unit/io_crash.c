/*
 * io_crash.c: what the simulated machine keeps over a crash and over the death of the process.
 *
 * What only chance decides is tried with many seeds: what must never happen is checked in each of
 * them, what may happen must be seen in one of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/memory.h"
#include "tests/unit/io_harness.h"

/* ---- crash: bytes ---- */

static atomic_bool map_is_lost;

static void a_crash_keeps_everything_synced(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        start(seed);
        struct io_file *file = durable_file("/db/a", 0x11, 8);
        write_fill(file, 0x22, 3 * PAGE, 2 * PAGE);
        assert_int_equal(io_file_sync(file), KIWI_OK);
        simulation_crash(simulation);
        read_into_b("/db/a", 8 * PAGE);
        for (uint32_t i = 0; i < 8 * PAGE; i++)
            assert_int_equal(bytes_b[i], i / PAGE >= 2 && i / PAGE < 5 ? 0x22 : 0x11);
        io_file_close(file);
        simulation_close(simulation);
    }
}

/* Goal: an unsynced write is whole, absent or torn at sectors, and nothing else. */
static void a_crash_keeps_any_part_of_the_unsynced(void **state)
{
    uint32_t whole = 0, absent = 0, torn_512 = 0, torn_4096 = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        uint32_t changed = 0;
        bool     is_inside_page = false;

        start(seed);
        struct io_file *file = durable_file("/db/a", 0x11, 8);
        write_fill(file, 0x22, 8 * PAGE, 0);
        simulation_crash(simulation);
        read_into_b("/db/a", 8 * PAGE);
        for (uint32_t sector = 0; sector < 8 * PAGE / 512; sector++) {
            const uint8_t *at = bytes_b + sector * 512;
            assert_true(*at == 0x11 || *at == 0x22);
            assert_int_equal(memcmp(at, at + 1, 511), 0); /* never torn inside a sector */
            changed += *at == 0x22;
            is_inside_page |= sector % 8 != 0 && *at != at[-512];
        }
        whole += changed == 64;
        absent += changed == 0;
        torn_512 += is_inside_page;
        torn_4096 += changed > 0 && changed < 64 && !is_inside_page;
        io_file_close(file);
        simulation_close(simulation);
    }
    assert_true(whole > 0 && absent > 0 && torn_512 > 0 && torn_4096 > 0);
}

/* Goal: unsynced writes survive in any combination, also the later without the earlier. */
static void a_crash_reorders_unsynced_writes(void **state)
{
    bool seen[4] = { false };

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        start(seed);
        struct io_file *file = durable_file("/db/a", 0, 2);
        write_fill(file, 1, 512, 0);
        write_fill(file, 1, 512, PAGE);
        simulation_crash(simulation);
        read_into_b("/db/a", 2 * PAGE);
        seen[bytes_b[0] + 2 * bytes_b[PAGE]] = true;
        io_file_close(file);
        simulation_close(simulation);
    }
    assert_true(seen[0] && seen[1] && seen[2] && seen[3]);
}

static void an_old_unsynced_write_never_covers_a_newer_synced_one(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        start(seed);
        struct io_file  *file = durable_file("/db/a", 0, 4);
        struct io_queue *queue = open_queue();
        write_fill(file, 1, 4 * PAGE, 0);
        memset(bytes_a, 2, PAGE);
        add(queue, 0, IO_WRITE_SYNC, file, bytes_a, PAGE, PAGE);
        run(queue);
        assert_int_equal(requests[0].status, KIWI_OK);
        simulation_crash(simulation);
        read_into_b("/db/a", 4 * PAGE);
        for (uint32_t i = PAGE; i < 2 * PAGE; i++)
            assert_int_equal(bytes_b[i], 2);
        io_queue_close(queue);
        io_file_close(file);
        simulation_close(simulation);
    }
}

/* Goal: a sync covers what had completed when it was sent, and not what was sent beside it. */
static void a_sync_does_not_cover_a_write_beside_it(void **state)
{
    uint32_t lost = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        start(seed);
        struct io_file  *file = durable_file("/db/a", 0, 2);
        struct io_queue *queue = open_queue();
        memset(bytes_a, 1, PAGE);
        add(queue, 0, IO_WRITE, file, bytes_a, PAGE, 0);
        run(queue);
        add(queue, 1, IO_WRITE, file, bytes_a, PAGE, PAGE);
        add(queue, 2, IO_SYNC, file, NULL, 0, 0);
        run(queue);
        simulation_crash(simulation);
        read_into_b("/db/a", 2 * PAGE);
        assert_int_equal(bytes_b[0], 1);
        assert_int_equal(bytes_b[PAGE - 1], 1);
        lost += bytes_b[PAGE] == 0;
        io_queue_close(queue);
        io_file_close(file);
        simulation_close(simulation);
    }
    assert_true(lost > 0);
}

static void a_new_length_is_durable_with_a_sync_only(void **state)
{
    uint32_t kept = 0, lost = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        start(seed);
        struct io_file *file = durable_file("/db/a", 1, 1);
        assert_int_equal(io_file_allocate(file, 4 * PAGE), KIWI_OK);
        assert_int_equal(io_file_sync(file), KIWI_OK);
        assert_int_equal(io_file_allocate(file, 8 * PAGE), KIWI_OK);
        simulation_crash(simulation);
        struct io_file *again = open_file("/db/a", 0);
        assert_true(size_of(again) == 4 * PAGE || size_of(again) == 8 * PAGE);
        kept += size_of(again) == 8 * PAGE;
        lost += size_of(again) == 4 * PAGE;
        io_file_close(again);
        io_file_close(file);
        simulation_close(simulation);
    }
    assert_true(kept > 0 && lost > 0);
}

/* ---- crash: names ---- */

static void a_name_is_durable_with_its_directory_only(void **state)
{
    uint32_t kept = 0, lost = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        start(seed);
        io_file_close(durable_file("/db/synced", 1, 1));
        struct io_file *file = open_file("/db/unsynced", IO_CREATE);
        write_fill(file, 2, PAGE, 0);
        assert_int_equal(io_file_sync(file), KIWI_OK); /* the bytes, not the name */
        io_file_close(file);
        simulation_crash(simulation);
        assert_true(exists("/db/synced"));
        kept += exists("/db/unsynced");
        lost += !exists("/db/unsynced");
        if (exists("/db/unsynced")) {
            read_into_b("/db/unsynced", PAGE);
            assert_int_equal(bytes_b[PAGE - 1], 2);
        }
        simulation_close(simulation);
    }
    assert_true(kept > 0 && lost > 0);
}

static void a_rename_shows_the_old_file_or_the_new(void **state)
{
    uint32_t old_seen = 0, new_seen = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        start(seed);
        io_file_close(durable_file("/db/current", 1, 1));
        struct io_file *file = open_file("/db/next", IO_CREATE);
        write_fill(file, 2, PAGE, 0);
        assert_int_equal(io_file_sync(file), KIWI_OK);
        io_file_close(file);
        assert_int_equal(io_rename(io, "/db/next", "/db/current"), KIWI_OK);
        simulation_crash(simulation);
        read_into_b("/db/current", PAGE);
        old_seen += bytes_b[0] == 1;
        new_seen += bytes_b[0] == 2;
        simulation_close(simulation);
    }
    assert_int_equal(old_seen + new_seen, SEEDS);
    assert_true(old_seen > 0 && new_seen > 0);
}

static void a_removed_name_may_come_back_until_the_directory_is_synced(void **state)
{
    uint32_t back = 0, gone = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        start(seed);
        io_file_close(durable_file("/db/a", 1, 1));
        io_file_close(durable_file("/db/b", 1, 1));
        assert_int_equal(io_remove(io, "/db/a"), KIWI_OK);
        assert_int_equal(io_directory_sync(io, "/db"), KIWI_OK);
        assert_int_equal(io_remove(io, "/db/b"), KIWI_OK);
        simulation_crash(simulation);
        assert_false(exists("/db/a"));
        back += exists("/db/b");
        gone += !exists("/db/b");
        simulation_close(simulation);
    }
    assert_true(back > 0 && gone > 0);
}

static void an_unsynced_directory_takes_its_files_along(void **state)
{
    uint32_t lost = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        start(seed);
        assert_int_equal(io_directory_create(io, "/db/deep"), KIWI_OK);
        io_file_close(open_file("/db/deep/file", IO_CREATE));
        assert_int_equal(io_directory_sync(io, "/db/deep"), KIWI_OK);
        simulation_crash(simulation);
        lost += !exists("/db/deep/file");
        simulation_close(simulation);
    }
    assert_true(lost > 0 && lost < SEEDS);
}

static void a_whole_file_is_written_for_good(void **state)
{
    void  *data;
    size_t bytes;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        start(seed);
        assert_int_equal(io_write_whole(io, "/db/IDENTITY", "first", 5), KIWI_OK);
        simulation_crash(simulation);
        uint64_t begin = simulation_operations(simulation);
        simulation_stop_at(simulation, begin + 1 + seed % 6);
        enum kiwi_status status = io_write_whole(io, "/db/IDENTITY", "second", 6);
        simulation_crash(simulation);
        assert_int_equal(io_read_whole(io, "/db/IDENTITY", 100, &data, &bytes), KIWI_OK);
        if (status == KIWI_OK)
            assert_int_equal(bytes, 6);
        assert_string_equal(data, bytes == 6 ? "second" : "first");
        memory_free(data);
        simulation_close(simulation);
    }
}

/* ---- mappings ---- */

static void a_mapping_survives_a_kill_whole_and_a_crash_by_pages(void **state)
{
    uint32_t mixed = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        uint8_t *map;
        uint32_t fresh = 0;

        start(seed);
        struct io_file *file = durable_file("/db/tail", 0, 8);
        assert_int_equal(io_map(file, 8 * PAGE, &map_is_lost, &map), KIWI_OK);
        memset(map, 7, 8 * PAGE);
        simulation_kill(simulation);
        memset(map, 9, 8 * PAGE); /* a dead process writes to nowhere */
        io_unmap(file, map, 8 * PAGE);
        io_file_close(file);
        read_into_b("/db/tail", 8 * PAGE);
        for (uint32_t i = 0; i < 8 * PAGE; i++)
            assert_int_equal(bytes_b[i], 7);
        file = open_file("/db/tail", 0);
        assert_int_equal(io_file_sync(file), KIWI_OK);
        assert_int_equal(io_map(file, 8 * PAGE, &map_is_lost, &map), KIWI_OK);
        memset(map, 8, 8 * PAGE);
        simulation_crash(simulation); /* without unmapping: left to simulation_close */
        read_into_b("/db/tail", 8 * PAGE);
        for (uint32_t page = 0; page < 8; page++) {
            assert_int_equal(memcmp(bytes_b + page * PAGE, bytes_b + page * PAGE + 1, PAGE - 1), 0);
            assert_true(bytes_b[page * PAGE] == 7 || bytes_b[page * PAGE] == 8);
            fresh += bytes_b[page * PAGE] == 8;
        }
        mixed += fresh > 0 && fresh < 8;
        simulation_close(simulation);
    }
    assert_true(mixed > 0);
}

static void a_synced_mapping_survives_a_crash(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        uint8_t *map;

        start(seed);
        struct io_file  *file = durable_file("/db/tail", 0, 4);
        struct io_queue *queue = open_queue();
        assert_int_equal(io_map(file, 4 * PAGE, &map_is_lost, &map), KIWI_OK);
        map[5] = 1;
        add(queue, 0, IO_SYNC, file, NULL, 0, 0);
        run(queue);
        map[2 * PAGE] = 2;
        assert_int_equal(io_file_sync(file), KIWI_OK);
        simulation_crash(simulation);
        read_into_b("/db/tail", 4 * PAGE);
        assert_int_equal(bytes_b[5], 1);
        assert_int_equal(bytes_b[2 * PAGE], 2);
        io_queue_close(queue);
        simulation_close(simulation);
    }
}

/* ---- kill ---- */

static void a_kill_keeps_every_completed_change(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        start(seed);
        struct io_file *file = open_file("/db/a", IO_CREATE);
        write_fill(file, 3, 5 * PAGE, 0);
        assert_int_equal(io_rename(io, "/db/a", "/db/b"), KIWI_OK);
        simulation_kill(simulation);
        assert_false(exists("/db/a"));
        read_into_b("/db/b", 5 * PAGE);
        assert_int_equal(bytes_b[5 * PAGE - 1], 3);
        /* But it is no more durable than before: a crash may still take it. */
        simulation_crash(simulation);
        if (exists("/db/b")) {
            struct io_file *after = open_file("/db/b", 0);
            assert_true(size_of(after) <= 5 * PAGE);
            io_file_close(after);
        }
        io_file_close(file);
        simulation_close(simulation);
    }
}

static void requests_in_flight_at_a_kill_land_or_not(void **state)
{
    bool seen[2] = { false };

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        start(seed);
        struct io_file  *file = durable_file("/db/a", 0, 1);
        struct io_queue *queue = open_queue();
        memset(bytes_a, 1, PAGE);
        add(queue, 0, IO_WRITE, file, bytes_a, PAGE, 0);
        io_queue_poll(queue, 0); /* sent; it takes longer than that */
        assert_int_equal(done_count, 0);
        simulation_kill(simulation);
        read_into_b("/db/a", PAGE);
        assert_int_equal(memcmp(bytes_b, bytes_b + 1, PAGE - 1), 0);
        seen[bytes_b[0]] = true;
        io_queue_close(queue);
        assert_int_equal(done_count, 1);
        assert_int_equal(requests[0].status, KIWI_IO);
        io_file_close(file);
        simulation_close(simulation);
    }
    assert_true(seen[0] && seen[1]);
}

/* Goal: after any mix of calls, faults and ends, the model holds: synced bytes are kept, and
 * unsynced ones are old or new per sector. Method: one file of 16 pages, random operations, an
 * array that knows the durable value and the set of possible ones. */
static void random_histories_keep_every_promise(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        uint64_t possible[16]; /* bit v: the page may show value v */
        uint8_t  present[16] = { 0 }, value = 1;
        uint64_t chance = seed * 77 + 5;

        start(seed);
        struct io_file *file = durable_file("/db/a", 0, 16);
        for (uint32_t i = 0; i < 16; i++)
            possible[i] = 1;
        for (uint32_t step = 0; step < 200; step++) {
            chance = chance * 6364136223846793005ull + 1442695040888963407ull;
            uint32_t page = (uint32_t)(chance >> 33) % 16, kind = (uint32_t)(chance >> 40) % 100;

            if (kind < 70) {
                value = (uint8_t)(value % 63 + 1);
                write_fill(file, value, PAGE, page * PAGE);
                present[page] = value;
                possible[page] |= 1ull << value;
            } else if (kind < 92) {
                assert_int_equal(io_file_sync(file), KIWI_OK);
                for (uint32_t i = 0; i < 16; i++)
                    possible[i] = 1ull << present[i];
            } else {
                bool is_crash = kind < 97;

                (is_crash ? simulation_crash : simulation_kill)(simulation);
                io_file_close(file);
                file = open_file("/db/a", 0);
                assert_int_equal(io_file_read(file, bytes_b, 16 * PAGE, 0), KIWI_OK);
                for (uint32_t i = 0; i < 16; i++) {
                    for (uint32_t at = 0; at < PAGE; at += 512)
                        assert_true((possible[i] >> bytes_b[i * PAGE + at] & 1) != 0);
                    if (!is_crash)
                        assert_int_equal(bytes_b[i * PAGE], present[i]);
                }
                if (is_crash) { /* torn pages have no single value: begin anew */
                    write_fill(file, 0, 16 * PAGE, 0);
                    assert_int_equal(io_file_sync(file), KIWI_OK);
                    memset(present, 0, sizeof present);
                    for (uint32_t i = 0; i < 16; i++)
                        possible[i] = 1;
                }
            }
        }
        io_file_close(file);
        simulation_close(simulation);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_keeps_everything_synced),
        cmocka_unit_test(a_crash_keeps_any_part_of_the_unsynced),
        cmocka_unit_test(a_crash_reorders_unsynced_writes),
        cmocka_unit_test(an_old_unsynced_write_never_covers_a_newer_synced_one),
        cmocka_unit_test(a_sync_does_not_cover_a_write_beside_it),
        cmocka_unit_test(a_new_length_is_durable_with_a_sync_only),
        cmocka_unit_test(a_name_is_durable_with_its_directory_only),
        cmocka_unit_test(a_rename_shows_the_old_file_or_the_new),
        cmocka_unit_test(a_removed_name_may_come_back_until_the_directory_is_synced),
        cmocka_unit_test(an_unsynced_directory_takes_its_files_along),
        cmocka_unit_test(a_whole_file_is_written_for_good),
        cmocka_unit_test(a_mapping_survives_a_kill_whole_and_a_crash_by_pages),
        cmocka_unit_test(a_synced_mapping_survives_a_crash),
        cmocka_unit_test(a_kill_keeps_every_completed_change),
        cmocka_unit_test(requests_in_flight_at_a_kill_land_or_not),
        cmocka_unit_test(random_histories_keep_every_promise),
    };

    seed_take();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
