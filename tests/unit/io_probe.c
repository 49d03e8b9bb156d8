/*
 * io_probe.c: the device probe, on a simulated device whose speed is known, and on the real one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/probe.h"
#include "io/simulated.h"

static void a_known_device_is_measured_right(void **state)
{
    struct simulation_options options = { .seed = 3, .latency_ns = 100000 };
    struct simulation        *simulation;
    struct io_probe           probe;
    struct io_file           *file;

    (void)state;
    assert_int_equal(simulation_open(&options, &simulation), KIWI_OK);
    assert_int_equal(io_probe(simulation_io(simulation), "/", &probe), KIWI_OK);
    /* A request takes 102 us and 130 us on average here: with 1 in 64 twenty times slower. */
    assert_in_range(probe.reads[0].per_second, 6000, 10000);
    assert_in_range(probe.reads[0].mean_us, 100, 170);
    assert_in_range(probe.reads[1].per_second, 8 * 6000, 8 * 10000);
    assert_true(probe.reads[2].per_second > 4 * probe.reads[1].per_second);
    assert_in_range(probe.sync_writes_per_second, 3000, 5500);
    assert_true(probe.write_bytes_per_second > 500u << 20);
    assert_true(probe.probe_ns < 1000000000);
    assert_int_equal(io_file_open(simulation_io(simulation), "/PROBE", 0, &file), KIWI_NOT_FOUND);
    simulation_close(simulation);
}

static void a_failing_device_is_reported_and_left_clean(void **state)
{
    struct simulation_options options = { .seed = 3 };
    struct simulation        *simulation;
    struct io_probe           probe;
    struct io_file           *file;

    (void)state;
    assert_int_equal(simulation_open(&options, &simulation), KIWI_OK);
    static const uint64_t operations[] = { 1, 2, 3, 70, 300 }; /* create, allocate, write, later */
    for (size_t i = 0; i < ARRAY_COUNT(operations); i++) {
        simulation_fail_at(simulation, simulation_operations(simulation) + operations[i], KIWI_IO,
                           false);
        assert_int_equal(io_probe(simulation_io(simulation), "/", &probe), KIWI_IO);
        simulation_fail_at(simulation, 0, KIWI_OK, false);
        assert_int_equal(io_file_open(simulation_io(simulation), "/PROBE", 0, &file),
                         KIWI_NOT_FOUND);
    }
    options.disk_bytes = 1 << 20;
    simulation_set(simulation, &options);
    assert_int_equal(io_probe(simulation_io(simulation), "/", &probe), KIWI_FULL);
    assert_int_equal(io_probe(simulation_io(simulation), "/nowhere", &probe), KIWI_NOT_FOUND);
    simulation_close(simulation);
}

static void the_device_of_this_host_answers(void **state)
{
    char            directory[] = "io_probe_XXXXXX";
    struct io      *io;
    struct io_probe probe;

    (void)state;
    assert_non_null(mkdtemp(directory));
    assert_int_equal(io_open(IO_BACKEND_POSIX, &io), KIWI_OK);
    assert_int_equal(io_probe(io, directory, &probe), KIWI_OK);
    print_message("reads/s %llu %llu %llu, sync writes/s %llu, MB/s %llu, took %llu ms\n",
                  (unsigned long long)probe.reads[0].per_second,
                  (unsigned long long)probe.reads[1].per_second,
                  (unsigned long long)probe.reads[2].per_second,
                  (unsigned long long)probe.sync_writes_per_second,
                  (unsigned long long)(probe.write_bytes_per_second >> 20),
                  (unsigned long long)(probe.probe_ns / 1000000));
    assert_true(probe.reads[0].per_second > 0);
    assert_true(probe.file_bytes > 0);
    io_close(io);
    assert_int_equal(rmdir(directory), 0);
}

static void limits_follow_the_device(void **state)
{
    struct io_probe         probe = { 0 };
    struct scheduler_limits none = io_probe_limits(&probe), limits;

    (void)state;
    assert_int_equal(none.reads, scheduler_limits_default().reads); /* nothing measured */
    probe.reads[1].per_second = 95000;
    probe.reads[2].per_second = 100000;
    probe.write_bytes_per_second = 1u << 30;
    limits = io_probe_limits(&probe);
    assert_int_equal(limits.reads, 16);
    assert_true(limits.reads_beside_log < limits.reads);
    probe.reads[1].per_second = 45000;
    limits = io_probe_limits(&probe);
    assert_int_equal(limits.reads, 64);
    for (uint64_t speed = 1000; speed < 1ull << 40; speed *= 10) {
        probe.write_bytes_per_second = speed;
        limits = io_probe_limits(&probe);
        assert_true(limits.flush_bytes_beside_log <= limits.flush_bytes);
        assert_true(limits.compaction_bytes_beside_log <= limits.compaction_bytes);
        assert_in_range(limits.flush_bytes, 1u << 20, 16u << 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_device_is_measured_right),
        cmocka_unit_test(a_failing_device_is_reported_and_left_clean),
        cmocka_unit_test(the_device_of_this_host_answers),
        cmocka_unit_test(limits_follow_the_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
