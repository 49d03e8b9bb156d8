/*
 * io_simulated.c: the simulated machine itself: determinism, time, scheduling, stop, every fault.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/memory.h"
#include "tests/unit/io_harness.h"

static atomic_bool map_is_lost;

static uint64_t trace_of(uint64_t seed)
{
    uint64_t trace = 0;

    start(seed);
    struct io_file  *file = durable_file("/db/trace", 1, 16);
    struct io_queue *queue = open_queue();
    for (uint32_t i = 0; i < 40; i++)
        add(queue, i, i % 3 == 0 ? IO_WRITE : IO_READ, file, bytes_b, PAGE, i % 16 * PAGE);
    run(queue);
    for (uint32_t i = 0; i < 40; i++)
        trace = (trace ^ done_order[i]) * 1099511628211ull;
    trace ^= io_now_ns(io) * 31 ^ io_random(io);
    io_queue_close(queue);
    io_file_close(file);
    simulation_close(simulation);
    return trace;
}

static void one_seed_gives_one_history(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        assert_true(trace_of(seed) == trace_of(seed));
        assert_true(trace_of(seed) != trace_of(seed + 1));
    }
}

static void requests_complete_out_of_order(void **state)
{
    bool was_reordered = false;

    (void)state;
    trace_of(3);
    for (uint32_t i = 0; i < 40; i++)
        was_reordered |= done_order[i] != i;
    assert_true(was_reordered);
}

static void time_passes_by_latency_and_by_waiting(void **state)
{
    (void)state;
    start_with((struct simulation_options){ .seed = 5, .latency_ns = 1000000 });
    struct io_queue *queue = open_queue();
    struct io_file  *file = durable_file("/db/a", 1, 1);
    uint64_t         before = io_now_ns(io);

    add(queue, 0, IO_READ, file, bytes_b, PAGE, 0);
    run(queue);
    assert_true(io_now_ns(io) - before >= 250000);
    assert_true(requests[0].device_us >= 250);
    before = io_now_ns(io);
    assert_int_equal(io_queue_poll(queue, 7000000), 0);
    assert_true(io_now_ns(io) - before >= 7000000);
    assert_true(io_now_ns(io) - before < 7100000);
    before = io_now_ns(io);
    io_queue_wake(queue);
    assert_int_equal(io_queue_poll(queue, 7000000), 0); /* woken: returns early */
    assert_true(io_now_ns(io) - before < 100000);
    add(queue, 0, IO_READ, file, bytes_b, PAGE, 0);
    while (io_queue_pending(queue) > 0)
        io_queue_poll(queue, 0); /* who spins gets there too */
    io_queue_close(queue);
    io_file_close(file);
    simulation_close(simulation);
}

static void a_waiting_queue_lets_others_finish_in_between(void **state)
{
    struct io_queue *busy, *idle;

    (void)state;
    start(5);
    struct io_file *file = durable_file("/db/a", 1, 1);
    busy = open_queue();
    idle = open_queue();
    add(busy, 0, IO_READ, file, bytes_b, PAGE, 0);
    io_queue_poll(busy, 0);
    uint64_t before = io_now_ns(io);
    assert_int_equal(io_queue_poll(idle, 1000000000), 0);
    assert_true(io_now_ns(io) - before < 100000000);
    assert_int_equal(io_queue_poll(busy, 0), 1);
    io_queue_close(idle);
    io_queue_close(busy);
    io_file_close(file);
    simulation_close(simulation);
}

/* ---- the scheduler at work ---- */

static uint64_t sent_by_poll(struct io_queue *queue)
{
    uint64_t before = simulation_operations(simulation);

    io_queue_poll(queue, 0);
    return simulation_operations(simulation) - before;
}

static void add_many(struct io_queue *queue, struct io_file *file, enum io_class class_of_service,
                     uint32_t from, uint32_t count, uint32_t bytes)
{
    add_class = class_of_service;
    for (uint32_t i = from; i < from + count; i++)
        add(queue, i, class_of_service == IO_CLASS_LOG ? IO_WRITE : IO_READ, file, bytes_b, bytes,
            0);
    add_class = IO_CLASS_FLUSH;
}

static void the_log_overtakes_and_the_rest_goes_by_class(void **state)
{
    static const uint32_t expected[] = { 4, 3, 2, 0, 1 };
    struct io_queue      *queue;

    (void)state;
    start(1);
    struct io_file *file = durable_file("/db/a", 1, 16);
    assert_int_equal(io_queue_open(io, 1, &queue), KIWI_OK);
    done_count = 0;
    add_many(queue, file, IO_CLASS_COMPACTION, 0, 2, PAGE);
    add_many(queue, file, IO_CLASS_FLUSH, 2, 1, PAGE);
    add_many(queue, file, IO_CLASS_READ, 3, 1, PAGE);
    add_many(queue, file, IO_CLASS_LOG, 4, 1, PAGE);
    run(queue);
    assert_memory_equal(done_order, expected, sizeof expected);
    io_queue_close(queue);
    io_file_close(file);
    simulation_close(simulation);
}

static void reads_give_way_to_a_log_write_of_another_queue(void **state)
{
    struct io_queue *reader, *writer, *late;

    (void)state;
    start_with((struct simulation_options){ .seed = 1, .latency_ns = 1000000 });
    struct io_file *file = durable_file("/db/a", 1, 16);
    writer = open_queue();
    reader = open_queue();
    late = open_queue();
    add_many(writer, file, IO_CLASS_LOG, 0, 1, PAGE); /* pending, not even sent */
    add_many(reader, file, IO_CLASS_READ, 1, 30, PAGE);
    assert_int_equal(sent_by_poll(reader), 12);
    assert_int_equal(sent_by_poll(reader), 0);
    /* A queue that has nothing in flight is not shut out. */
    add_many(late, file, IO_CLASS_READ, 31, 5, PAGE);
    assert_int_equal(sent_by_poll(late), 1);
    run(writer);
    assert_true(sent_by_poll(reader) > 5);
    run(reader);
    run(late);
    assert_int_equal(done_count, 36);
    io_queue_close(late);
    io_queue_close(reader);
    io_queue_close(writer);
    io_file_close(file);
    simulation_close(simulation);
}

static struct io_queue *busy_queue;
static bool             is_compaction_done;

static void read_again(struct io_request *request)
{
    if (!is_compaction_done)
        io_queue_add(busy_queue, request);
}

static void note_compaction(struct io_request *request)
{
    is_compaction_done = true;
    assert_int_equal(request->status, KIWI_OK);
}

static void endless_reads_do_not_starve_compaction(void **state)
{
    (void)state;
    start(1);
    struct io_file *file = durable_file("/db/a", 1, 16);
    busy_queue = open_queue();
    is_compaction_done = false;
    for (uint32_t i = 0; i < 40; i++) {
        requests[i] = (struct io_request){ .file = file, .verb = IO_READ, .buffer = bytes_b,
                                           .bytes = PAGE, .done = read_again,
                                           .class_of_service = IO_CLASS_READ };
        io_queue_add(busy_queue, &requests[i]);
    }
    io_queue_poll(busy_queue, 0);
    requests[40] = (struct io_request){ .file = file, .verb = IO_READ, .buffer = bytes_b,
                                        .bytes = 16 * PAGE, .done = note_compaction,
                                        .class_of_service = IO_CLASS_COMPACTION };
    io_queue_add(busy_queue, &requests[40]);
    run(busy_queue);
    assert_true(is_compaction_done);
    io_queue_close(busy_queue);
    io_file_close(file);
    simulation_close(simulation);
}

/* ---- stop ---- */

static enum kiwi_status visit_nothing(void *context, const char *name)
{
    (void)context, (void)name;
    return KIWI_OK;
}

static void check_stopped(enum kiwi_status status)
{
    assert_int_equal(status, KIWI_IO);
    assert_non_null(strstr(kiwi_error_text(), "simulated stop"));
}

static void a_stopped_machine_refuses_every_call(void **state)
{
    struct io_file  *file, *other;
    struct io_queue *queue, *second;
    uint8_t         *map;
    uint64_t         size;
    void            *data;
    size_t           bytes;

    (void)state;
    start(1);
    file = durable_file("/db/a", 1, 1);
    queue = open_queue();
    simulation_stop_at(simulation, simulation_operations(simulation) + 2);
    assert_int_equal(io_file_read(file, bytes_b, 10, 0), KIWI_OK);
    check_stopped(io_file_read(file, bytes_b, 10, 0));
    check_stopped(io_file_write(file, bytes_b, 10, 0));
    check_stopped(io_file_sync(file));
    check_stopped(io_file_size(file, &size));
    check_stopped(io_file_allocate(file, 10));
    check_stopped(io_file_truncate(file, 10));
    check_stopped(io_map(file, PAGE, &map_is_lost, &map));
    check_stopped(io_file_open(io, "/db/a", 0, &other));
    check_stopped(io_file_open(io, "/db/new", IO_CREATE, &other));
    check_stopped(io_lock(io, "/db/LOCK", &other));
    check_stopped(io_directory_create(io, "/db/more"));
    check_stopped(io_directory_sync(io, "/db"));
    check_stopped(io_directory_list(io, "/db", visit_nothing, NULL));
    check_stopped(io_rename(io, "/db/a", "/db/b"));
    check_stopped(io_remove(io, "/db/a"));
    check_stopped(io_read_whole(io, "/db/a", 1 << 20, &data, &bytes));
    check_stopped(io_write_whole(io, "/db/a", "x", 1));
    check_stopped(io_queue_open(io, 4, &second));
    add(queue, 0, IO_WRITE, file, bytes_a, PAGE, 0);
    add(queue, 1, IO_READ, file, bytes_a, PAGE, 0);
    add(queue, 2, IO_SYNC, file, NULL, 0, 0);
    run(queue);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(requests[i].status, KIWI_IO);
    assert_non_null(strstr(done_text, "simulated stop"));
    uint64_t count = simulation_operations(simulation);
    simulation_crash(simulation);
    check_stopped(io_file_read(file, bytes_b, 10, 0)); /* a handle of the dead process */
    assert_true(exists("/db/a"));
    read_into_b("/db/a", PAGE);
    assert_int_equal(bytes_b[0], 1); /* what was asked after the stop never happened */
    assert_true(simulation_operations(simulation) > count);
    io_queue_close(queue);
    io_file_close(file);
    simulation_close(simulation);
}

static void the_operation_that_meets_the_stop_may_have_happened(void **state)
{
    uint32_t happened = 0, created = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        start(seed);
        struct io_file *file = durable_file("/db/a", 1, 1), *none;
        simulation_stop_at(simulation, simulation_operations(simulation) + 1);
        if (seed % 2 == 0)
            check_stopped(io_file_write(file, "2", 1, 0));
        else
            check_stopped(io_file_open(io, "/db/new", IO_CREATE, &none));
        simulation_crash(simulation);
        read_into_b("/db/a", PAGE);
        happened += bytes_b[0] == '2';
        created += exists("/db/new");
        io_file_close(file);
        simulation_close(simulation);
    }
    assert_true(happened > 0 && happened < SEEDS / 2);
    assert_true(created > 0 && created < SEEDS / 2);
}

static void operations_are_counted_alike_in_every_run(void **state)
{
    uint64_t counts[2];

    (void)state;
    for (uint32_t round = 0; round < 2; round++) {
        start(9);
        uint64_t before = simulation_operations(simulation);
        io_file_close(durable_file("/db/a", 1, 4)); /* create, write, sync, directory sync */
        assert_int_equal(simulation_operations(simulation) - before, 4);
        struct io_file  *file = open_file("/db/a", 0);
        struct io_queue *queue = open_queue();
        add(queue, 0, IO_READ, file, bytes_b, PAGE, 0);
        add(queue, 1, IO_WRITE_SYNC, file, bytes_b, PAGE, 0);
        run(queue);
        assert_int_equal(simulation_operations(simulation) - before, 6);
        io_queue_close(queue);
        io_file_close(file);
        counts[round] = simulation_operations(simulation);
        simulation_close(simulation);
    }
    assert_int_equal(counts[0], counts[1]);
}

/* ---- handles of a dead process ---- */

static void a_dead_process_closes_safely_beside_a_new_one(void **state)
{
    struct io_file  *lock, *file, *new_lock;
    struct io_queue *queue, *new_queue;

    (void)state;
    start(3);
    assert_int_equal(io_lock(io, "/db/LOCK", &lock), KIWI_OK);
    file = durable_file("/db/a", 1, 4);
    queue = open_queue();
    for (uint32_t i = 0; i < 40; i++) {
        add_class = (enum io_class)(i % IO_CLASS_COUNT);
        add(queue, i, IO_WRITE, file, bytes_a, PAGE, i % 4 * PAGE);
    }
    add_class = IO_CLASS_FLUSH;
    io_queue_poll(queue, 0);
    uint32_t done_before = done_count;
    simulation_crash(simulation);
    assert_int_equal(io_lock(io, "/db/LOCK", &new_lock), KIWI_OK);
    struct io_file *again = open_file("/db/a", 0);
    assert_int_equal(io_queue_open(io, 32, &new_queue), KIWI_OK);
    io_queue_close(queue); /* the old one: its requests all fail */
    assert_int_equal(done_count, 40);
    for (uint32_t i = done_before; i < 40; i++)
        assert_int_equal(requests[done_order[i]].status, KIWI_IO);
    io_file_close(lock); /* and does not free the new lock */
    io_file_close(file);
    assert_int_equal(io_lock(io, "/db/LOCK", &lock), KIWI_LOCKED);
    done_count = 0;
    add(new_queue, 0, IO_READ, again, bytes_b, PAGE, 0);
    run(new_queue);
    assert_int_equal(requests[0].status, KIWI_OK);
    io_queue_close(new_queue);
    io_file_close(again);
    io_file_close(new_lock);
    simulation_close(simulation);
}

static void an_abandoned_process_leaks_nothing(void **state)
{
    struct io_file  *lock;
    struct io_queue *queue;
    uint8_t         *map;

    (void)state;
    start(4);
    assert_int_equal(io_lock(io, "/db/LOCK", &lock), KIWI_OK);
    struct io_file *file = durable_file("/db/a", 1, 4);
    assert_int_equal(io_map(file, PAGE, &map_is_lost, &map), KIWI_OK);
    queue = open_queue();
    add(queue, 0, IO_WRITE, file, bytes_a, PAGE, 0);
    add(queue, 1, IO_WRITE, file, bytes_a, PAGE, 0);
    io_queue_poll(queue, 0);
    simulation_crash(simulation);
    simulation_close(simulation); /* the address sanitizer looks for what is left */
    simulation_close(NULL);
}

/* ---- faults ---- */

static void the_nth_operation_fails_once_or_for_good(void **state)
{
    (void)state;
    start(1);
    struct io_file *file = durable_file("/db/a", 1, 1);
    simulation_fail_at(simulation, simulation_operations(simulation) + 2, KIWI_IO, false);
    assert_int_equal(io_file_read(file, bytes_b, 1, 0), KIWI_OK);
    assert_int_equal(io_file_read(file, bytes_b, 1, 0), KIWI_IO);
    assert_non_null(strstr(kiwi_error_text(), "/db/a"));
    assert_null(strstr(kiwi_error_text(), "simulated stop"));
    assert_int_equal(io_file_read(file, bytes_b, 1, 0), KIWI_OK);
    simulation_fail_at(simulation, simulation_operations(simulation) + 1, KIWI_FULL, true);
    assert_int_equal(io_file_write(file, bytes_b, 1, 0), KIWI_FULL);
    assert_int_equal(io_file_read(file, bytes_b, 1, 0), KIWI_OK); /* of another kind */
    assert_int_equal(io_file_write(file, bytes_b, 1, 0), KIWI_FULL);
    simulation_fail_at(simulation, 0, KIWI_OK, false);
    assert_int_equal(io_file_write(file, bytes_b, 1, 0), KIWI_OK);
    io_file_close(file);
    simulation_close(simulation);
}

static void a_failed_sync_is_never_repaired_by_a_later_one(void **state)
{
    uint32_t lost = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        start(seed);
        struct io_file *file = durable_file("/db/a", 0, 2);
        write_fill(file, 1, PAGE, 0);
        simulation_fail_at(simulation, simulation_operations(simulation) + 1, KIWI_IO, false);
        assert_int_equal(io_file_sync(file), KIWI_IO);
        read_into_b("/db/a", PAGE);
        assert_int_equal(bytes_b[0], 1); /* the cache still shows it */
        write_fill(file, 2, PAGE, PAGE);
        assert_int_equal(io_file_sync(file), KIWI_OK);
        simulation_crash(simulation);
        read_into_b("/db/a", 2 * PAGE);
        lost += bytes_b[0] == 0;
        assert_int_equal(bytes_b[PAGE], 2);
        io_file_close(file);
        simulation_close(simulation);
    }
    assert_true(lost > 0 && lost < SEEDS);
}

static uint32_t count_failures(struct simulation_options options, enum io_verb verb)
{
    uint32_t failures = 0;

    start(11);
    struct io_file  *file = durable_file("/db/a", 5, 16);
    struct io_queue *queue = open_queue();
    options.seed = 11 + seed_base;
    simulation_set(simulation, &options);
    for (uint32_t i = 0; i < 1000; i++) {
        done_count = 0;
        add(queue, 0, verb, file, bytes_b, verb == IO_SYNC ? 0 : PAGE, i % 16 * PAGE);
        run(queue);
        failures += requests[0].status != KIWI_OK;
        if (requests[0].status != KIWI_OK)
            assert_int_equal(requests[0].status, KIWI_IO);
    }
    io_queue_close(queue);
    io_file_close(file);
    simulation_close(simulation);
    return failures;
}

static void chance_makes_reads_writes_and_syncs_fail(void **state)
{
    struct simulation_options options = { .read_error_per_million = 100000 };

    (void)state;
    assert_in_range(count_failures(options, IO_READ), 50, 150);
    assert_int_equal(count_failures(options, IO_WRITE), 0);
    options = (struct simulation_options){ .write_error_per_million = 100000 };
    assert_in_range(count_failures(options, IO_WRITE), 50, 150);
    assert_in_range(count_failures(options, IO_WRITE_SYNC), 50, 150);
    assert_int_equal(count_failures(options, IO_READ), 0);
    options = (struct simulation_options){ .sync_error_per_million = 100000 };
    assert_in_range(count_failures(options, IO_SYNC), 50, 150);
    assert_in_range(count_failures(options, IO_WRITE_SYNC), 50, 150);
    assert_int_equal(count_failures(options, IO_READ), 0);
}

static void short_transfers_are_invisible(void **state)
{
    (void)state;
    start_with((struct simulation_options){ .seed = 2, .short_transfer_per_million = 500000 });
    struct io_file  *file = durable_file("/db/a", 5, 16);
    struct io_queue *queue = open_queue();
    uint64_t         before = simulation_operations(simulation);

    for (uint32_t i = 0; i < 16 * PAGE; i++)
        bytes_a[i] = (uint8_t)(i * 31 >> 3);
    for (uint32_t i = 0; i < 50; i++) {
        done_count = 0;
        add(queue, 0, IO_WRITE_SYNC, file, bytes_a, 16 * PAGE, 0);
        run(queue);
        assert_int_equal(requests[0].status, KIWI_OK);
        memset(bytes_b, 0, sizeof bytes_b);
        add(queue, 1, IO_READ, file, bytes_b, 16 * PAGE, 0);
        run(queue);
        assert_int_equal(requests[1].status, KIWI_OK);
        assert_memory_equal(bytes_a, bytes_b, 16 * PAGE);
    }
    assert_true(simulation_operations(simulation) - before > 150); /* they did happen */
    simulation_crash(simulation);
    read_into_b("/db/a", 16 * PAGE);
    assert_memory_equal(bytes_a, bytes_b, 16 * PAGE);
    io_queue_close(queue);
    io_file_close(file);
    simulation_close(simulation);
}

static void a_flipped_bit_is_of_the_read_only(void **state)
{
    uint32_t flipped = 0;

    (void)state;
    start_with((struct simulation_options){ .seed = 2, .bit_flip_per_million = 300000 });
    struct io_file *file = durable_file("/db/a", 0, 1);
    for (uint32_t round = 0; round < 200; round++) {
        uint32_t bits = 0;

        assert_int_equal(io_file_read(file, bytes_b, PAGE, 0), KIWI_OK);
        for (uint32_t i = 0; i < PAGE; i++)
            bits += (uint32_t)__builtin_popcount(bytes_b[i]);
        assert_true(bits <= 1);
        flipped += bits;
    }
    assert_in_range(flipped, 20, 120);
    io_file_close(file);
    simulation_close(simulation);
}

static void a_lying_disk_loses_and_misdirects(void **state)
{
    uint32_t lost = 0, elsewhere = 0, stale_reads = 0;

    (void)state;
    start_with((struct simulation_options){ .seed = 6 });
    struct io_file           *file = durable_file("/db/a", 0, 16);
    struct simulation_options lying = { .seed = 6 + seed_base, .lost_write_per_million = 200000,
                                        .misdirected_write_per_million = 200000,
                                        .misdirected_read_per_million = 200000 };
    for (uint32_t round = 1; round < 200; round++) {
        simulation_set(simulation, &lying);
        write_fill(file, (int)round, PAGE, round % 16 * PAGE);
        assert_int_equal(io_file_read(file, bytes_b, PAGE, round % 16 * PAGE), KIWI_OK);
        uint8_t read_while_lying = bytes_b[0];
        struct simulation_options honest = { .seed = lying.seed };
        simulation_set(simulation, &honest);
        assert_int_equal(io_file_read(file, bytes_b, 16 * PAGE, 0), KIWI_OK);
        bool is_there = bytes_b[round % 16 * PAGE] == round, is_anywhere = false;
        for (uint32_t page = 0; page < 16; page++)
            is_anywhere |= bytes_b[page * PAGE] == round;
        lost += !is_anywhere;
        elsewhere += is_anywhere && !is_there;
        stale_reads += is_there && read_while_lying != round;
    }
    assert_int_equal(size_of(file), 16 * PAGE);
    assert_true(lost > 5 && elsewhere > 5 && stale_reads > 5);
    io_file_close(file);
    simulation_close(simulation);
}

/* Page 3 holds 1, then 2, ...; a stale read shows an older number over whole sectors, and nothing
 * of other pages. */
static void a_stale_read_shows_what_was_there_before(void **state)
{
    uint32_t fresh = 0, whole = 0, part = 0;

    (void)state;
    start(9);
    struct io_file           *file = durable_file("/db/a", 0, 8);
    struct simulation_options stale = { .seed = 9 + seed_base, .stale_read_per_million = 500000 };
    simulation_set(simulation, &stale);
    for (uint32_t round = 1; round < 200; round++) {
        uint32_t old = 0;

        write_fill(file, (int)round, PAGE, 3 * PAGE);
        assert_int_equal(io_file_read(file, bytes_b, PAGE, 3 * PAGE), KIWI_OK);
        for (uint32_t at = 0; at < PAGE; at++) {
            assert_int_equal(bytes_b[at], bytes_b[at / 512 * 512]);
            assert_in_range(bytes_b[at], round < 4 ? 0 : round - 4, round);
            old += bytes_b[at] != round;
        }
        fresh += old == 0;
        whole += old == PAGE;
        part += old > 0 && old < PAGE;
    }
    assert_true(fresh > 30 && whole > 10 && part > 10);
    assert_int_equal(simulation_counts(simulation)[SIMULATED_STALE_READ], whole + part);
    stale.stale_read_per_million = 0;
    simulation_set(simulation, &stale);
    assert_int_equal(io_file_read(file, bytes_b, PAGE, 3 * PAGE), KIWI_OK);
    assert_int_equal(bytes_b[0], 199);
    io_file_close(file);
    simulation_close(simulation);
}

/* All that is stuck comes back by itself, other requests overtake it, and all at once comes back as
 * soon as nothing is stuck any more. */
static void a_stuck_request_comes_back_late(void **state)
{
    (void)state;
    start_with((struct simulation_options){ .seed = 4, .stuck_request_per_million = 500000 });
    struct io_queue *queue = open_queue();
    struct io_file  *file = durable_file("/db/a", 1, 16);
    uint64_t         before, slow = 0;

    for (uint32_t i = 0; i < 60; i++)
        add(queue, i, IO_READ, file, bytes_b, PAGE, 0);
    while (io_queue_pending(queue) > 0)
        io_queue_poll(queue, 1000000);
    for (uint32_t i = 0; i < 60; i++) {
        assert_int_equal(requests[i].status, KIWI_OK);
        slow += requests[i].device_us > 500000;
    }
    assert_in_range(slow, 5, 40);
    assert_in_range(simulation_counts(simulation)[SIMULATED_STUCK], 15, 45);
    struct simulation_options calm = { .seed = 4 + seed_base };
    done_count = 0;
    for (uint32_t i = 0; i < 12; i++)
        add(queue, i, IO_READ, file, bytes_b, PAGE, 0);
    io_queue_poll(queue, 0);
    before = simulation_now_ns(simulation);
    simulation_set(simulation, &calm);
    while (io_queue_pending(queue) > 0)
        io_queue_poll(queue, UINT64_MAX);
    assert_true(simulation_now_ns(simulation) - before < 50000000);
    io_queue_close(queue);
    io_file_close(file);
    simulation_close(simulation);
}

static void the_request_that_sticks_waits_to_be_let_go(void **state)
{
    (void)state;
    start(4);
    struct io_queue *queue = open_queue();
    struct io_file  *file = durable_file("/db/a", 1, 16);

    simulation_stick_at(simulation, simulation_operations(simulation) + 3);
    for (uint32_t i = 0; i < 8; i++)
        add(queue, i, IO_READ, file, bytes_b, PAGE, 0);
    for (uint32_t i = 0; i < 1000; i++)
        io_queue_poll(queue, 1000000);
    assert_int_equal(io_queue_pending(queue), 1);
    simulation_stick_at(simulation, 0);
    run(queue);
    assert_int_equal(requests[done_order[7]].status, KIWI_OK);
    io_queue_close(queue);
    io_file_close(file);
    simulation_close(simulation);
}

static void the_clock_jumps_forwards_and_the_wall_clock_also_back(void **state)
{
    uint64_t before, wall_before, jumps = 0, back = 0;

    (void)state;
    start_with((struct simulation_options){ .seed = 3, .clock_jump_per_million = 100000 });
    before = io_now_ns(io);
    wall_before = io_wall_clock_ns(io);
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t now = io_now_ns(io), wall = io_wall_clock_ns(io);

        assert_true(now > before);
        jumps += now - before > 60ull * 1000000000;
        back += wall < wall_before;
        before = now;
        wall_before = wall;
    }
    assert_in_range(jumps, 50, 150);
    assert_true(back > 10);
    assert_true(before > simulation_jumped_ns(simulation));
    assert_true(before - simulation_jumped_ns(simulation) < 2000000000);
    simulation_close(simulation);
}

static void lie_note(void *context, const struct simulated_lie *lie)
{
    assert_string_equal(lie->path, "/db/a");
    ((uint32_t *)context)[lie->fault]++;
}

/* Each lie that makes a difference is told of and counted once. */
static void lies_are_told_of(void **state)
{
    uint32_t told[SIMULATED_FAULT_COUNT] = { 0 };

    (void)state;
    start(6);
    struct io_file           *file = durable_file("/db/a", 0, 16);
    struct simulation_options lying = { .seed = 6 + seed_base, .lost_write_per_million = 200000,
                                        .misdirected_write_per_million = 200000,
                                        .misdirected_read_per_million = 200000,
                                        .stale_read_per_million = 200000 };
    simulation_on_lie(simulation, lie_note, told);
    simulation_set(simulation, &lying);
    for (uint32_t round = 1; round < 200; round++) {
        write_fill(file, (int)round, PAGE, round % 16 * PAGE);
        assert_int_equal(io_file_read(file, bytes_b, PAGE, round % 16 * PAGE), KIWI_OK);
    }
    for (int i = 0; i < SIMULATED_FAULT_COUNT; i++) {
        bool is_lie = i >= SIMULATED_LOST_WRITE && i <= SIMULATED_STALE_READ;

        assert_int_equal(told[i], is_lie ? simulation_counts(simulation)[i] : 0);
        assert_true(!is_lie || told[i] > 5);
    }
    io_file_close(file);
    simulation_close(simulation);
}

static void a_full_disk_refuses_growth_and_nothing_else(void **state)
{
    struct io_queue *queue;

    (void)state;
    start_with((struct simulation_options){ .seed = 8, .disk_bytes = 8 * PAGE });
    struct io_file *a = durable_file("/db/a", 1, 6), *b = open_file("/db/b", IO_CREATE);
    queue = open_queue();
    assert_int_equal(io_file_write(b, bytes_a, 3 * PAGE, 0), KIWI_FULL);
    assert_non_null(strstr(kiwi_error_text(), "No space left"));
    assert_int_equal(io_file_allocate(b, 3 * PAGE), KIWI_FULL);
    assert_int_equal(io_file_allocate(b, 2 * PAGE), KIWI_OK);
    add(queue, 0, IO_WRITE, b, bytes_a, PAGE, 2 * PAGE);
    add(queue, 1, IO_ALLOCATE, b, NULL, 0, 4 * PAGE);
    add(queue, 2, IO_WRITE, b, bytes_a, 2 * PAGE, 0); /* within what was allocated */
    add(queue, 3, IO_WRITE, a, bytes_a, 6 * PAGE, 0); /* over what is there */
    run(queue);
    assert_int_equal(requests[0].status, KIWI_FULL);
    assert_int_equal(requests[1].status, KIWI_FULL);
    assert_int_equal(requests[2].status, KIWI_OK);
    assert_int_equal(requests[3].status, KIWI_OK);
    io_file_close(a);
    assert_int_equal(io_remove(io, "/db/a"), KIWI_OK);
    assert_int_equal(io_file_write(b, bytes_a, 8 * PAGE, 0), KIWI_OK);
    /* More disk, too, is a way out. */
    struct simulation_options larger = { .seed = 8 + seed_base, .disk_bytes = 9 * PAGE };
    assert_int_equal(io_file_write(b, bytes_a, PAGE, 8 * PAGE), KIWI_FULL);
    simulation_set(simulation, &larger);
    assert_int_equal(io_file_write(b, bytes_a, PAGE, 8 * PAGE), KIWI_OK);
    io_queue_close(queue);
    io_file_close(b);
    simulation_close(simulation);
}

/* ---- damage and copies ---- */

static void a_flipped_bit_on_disk_stays(void **state)
{
    (void)state;
    start(1);
    io_file_close(durable_file("/db/a", 0, 1));
    assert_int_equal(simulation_flip_bit(simulation, "/db/a", 8 * 100 + 3), KIWI_OK);
    read_into_b("/db/a", PAGE);
    assert_int_equal(bytes_b[100], 8);
    simulation_crash(simulation);
    read_into_b("/db/a", PAGE);
    assert_int_equal(bytes_b[100], 8);
    assert_int_equal(simulation_flip_bit(simulation, "/db/a", 8 * PAGE), KIWI_INVALID);
    assert_int_equal(simulation_flip_bit(simulation, "/db/none", 0), KIWI_NOT_FOUND);
    simulation_close(simulation);
}

/* Goal: one disk can be crashed in many ways. Method: copy it, give each copy its seed, crash. */
static void a_copy_is_the_same_disk_and_independent(void **state)
{
    struct simulation *original, *copy;
    bool               seen[3] = { false };
    uint8_t           *map;

    (void)state;
    start(1);
    original = simulation;
    struct io_file *file = durable_file("/db/a", 0, 2), *tail = durable_file("/db/tail", 0, 1);
    write_fill(file, 1, 2 * PAGE, 0);
    assert_int_equal(io_map(tail, PAGE, &map_is_lost, &map), KIWI_OK);
    map[0] = 77;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct simulation_options options = { .seed = 1000 + seed };

        assert_int_equal(simulation_copy(original, &copy), KIWI_OK);
        simulation_set(copy, &options);
        io = simulation_io(copy);
        read_into_b("/db/tail", 1);
        assert_int_equal(bytes_b[0], 77);
        simulation_crash(copy);
        read_into_b("/db/a", 2 * PAGE);
        seen[bytes_b[0] + bytes_b[PAGE]] = true;
        simulation_close(copy);
    }
    assert_true(seen[0] && seen[1] && seen[2]);
    io = simulation_io(original);
    read_into_b("/db/a", 2 * PAGE);
    assert_int_equal(bytes_b[2 * PAGE - 1], 1);
    io_unmap(tail, map, PAGE);
    io_file_close(tail);
    io_file_close(file);
    simulation_close(original);
}

static void injected_memory_failures_do_not_hit_the_machine(void **state)
{
    uint64_t before = memory_allocated_bytes();

    (void)state;
    memory_fail_after(1);
    start(1);
    io_file_close(durable_file("/db/a", 0, 16));
    assert_int_equal(memory_allocated_bytes(), before);
    simulation_close(simulation);
    assert_null(memory_allocate(1)); /* still waiting for the database */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_seed_gives_one_history),
        cmocka_unit_test(requests_complete_out_of_order),
        cmocka_unit_test(time_passes_by_latency_and_by_waiting),
        cmocka_unit_test(a_waiting_queue_lets_others_finish_in_between),
        cmocka_unit_test(the_log_overtakes_and_the_rest_goes_by_class),
        cmocka_unit_test(reads_give_way_to_a_log_write_of_another_queue),
        cmocka_unit_test(endless_reads_do_not_starve_compaction),
        cmocka_unit_test(a_stopped_machine_refuses_every_call),
        cmocka_unit_test(the_operation_that_meets_the_stop_may_have_happened),
        cmocka_unit_test(operations_are_counted_alike_in_every_run),
        cmocka_unit_test(a_dead_process_closes_safely_beside_a_new_one),
        cmocka_unit_test(an_abandoned_process_leaks_nothing),
        cmocka_unit_test(the_nth_operation_fails_once_or_for_good),
        cmocka_unit_test(a_failed_sync_is_never_repaired_by_a_later_one),
        cmocka_unit_test(chance_makes_reads_writes_and_syncs_fail),
        cmocka_unit_test(short_transfers_are_invisible),
        cmocka_unit_test(a_flipped_bit_is_of_the_read_only),
        cmocka_unit_test(a_lying_disk_loses_and_misdirects),
        cmocka_unit_test(a_stale_read_shows_what_was_there_before),
        cmocka_unit_test(a_stuck_request_comes_back_late),
        cmocka_unit_test(the_request_that_sticks_waits_to_be_let_go),
        cmocka_unit_test(the_clock_jumps_forwards_and_the_wall_clock_also_back),
        cmocka_unit_test(lies_are_told_of),
        cmocka_unit_test(a_full_disk_refuses_growth_and_nothing_else),
        cmocka_unit_test(a_flipped_bit_on_disk_stays),
        cmocka_unit_test(a_copy_is_the_same_disk_and_independent),
        cmocka_unit_test(injected_memory_failures_do_not_hit_the_machine),
    };

    seed_take();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
