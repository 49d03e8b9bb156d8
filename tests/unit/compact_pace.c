/*
 * compact_pace.c: the brake is smooth, never released by more pressure, and never a stop.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compact/pick.h"
#include "core/base/hash.h"
#include "kiwi/stats.h"

#define MIB (1ull << 20)

static struct pace_input quiet(void)
{
    return (struct pace_input){
        .debt_soft_bytes = 1024 * MIB,
        .debt_hard_bytes = 3072 * MIB,
        .frozen_max = 3,
        .memtable_bytes = 64 * MIB,
        .log_bytes = 320 * MIB,
        .drain_bytes_per_second = 400 * MIB,
    };
}

static struct pace_output paced(const struct pace_input *input)
{
    struct pace_output output;

    pace(input, &output);
    return output;
}

static void an_idle_shard_pays_nothing(void **state)
{
    struct pace_input input = quiet();

    (void)state;
    assert_int_equal(paced(&input).delay_ns_per_kib, 0);
    assert_int_equal(paced(&input).background_share, 10);
    input.debt_bytes = input.debt_soft_bytes;
    input.frozen_count = 2;
    input.frozen_bytes = 128 * MIB;
    input.active_bytes = 32 * MIB;
    input.log_used_bytes = 200 * MIB;
    assert_int_equal(paced(&input).delay_ns_per_kib, 0);
    assert_int_equal(paced(&input).background_share, 80);
    memset(&input, 0, sizeof input);
    assert_int_equal(paced(&input).delay_ns_per_kib, 0);
}

static void the_reason_is_the_greatest_pressure(void **state)
{
    struct pace_input input = quiet();

    (void)state;
    input.debt_bytes = 2 * input.debt_soft_bytes;
    assert_int_equal(paced(&input).reason, KIWI_STALL_DEBT);
    assert_true(paced(&input).delay_ns_per_kib > 0);
    input.frozen_count = 3;
    input.frozen_bytes = 192 * MIB;
    input.active_bytes = 60 * MIB;
    assert_int_equal(paced(&input).reason, KIWI_STALL_MEMTABLE);
    input.log_used_bytes = 319 * MIB;
    assert_int_equal(paced(&input).reason, KIWI_STALL_LOG);
}

static void a_single_write_at_the_hard_limit_waits_microseconds(void **state)
{
    struct pace_input input = quiet();

    (void)state;
    input.debt_bytes = input.debt_hard_bytes;
    assert_in_range(paced(&input).delay_ns_per_kib, 1000, 100000);
    input.debt_bytes = UINT64_MAX;
    input.drain_bytes_per_second = 1;
    assert_in_range(paced(&input).delay_ns_per_kib, 1000, 10000000);
}

/* Each input by name of its effect: more of it brakes harder (or, for the drain, less). */
static uint64_t *field_of(struct pace_input *input, uint32_t field)
{
    switch (field) {
    case 0: return &input->debt_bytes;
    case 1: return &input->active_bytes;
    case 2: return &input->log_used_bytes;
    default: return &input->drain_bytes_per_second;
    }
}

static struct pace_input random_input(uint64_t random)
{
    struct pace_input input = {
        .debt_soft_bytes = 1 + hash_mix(random, 1) % (2048 * MIB),
        .debt_bytes = hash_mix(random, 2) % (8192 * MIB),
        .frozen_max = 1 + (uint32_t)(hash_mix(random, 3) % 6),
        .memtable_bytes = 1 + hash_mix(random, 4) % (128 * MIB),
        .log_bytes = 1 + hash_mix(random, 5) % (512 * MIB),
        .drain_bytes_per_second = hash_mix(random, 6) % (4096 * MIB) + 1,
    };

    input.debt_hard_bytes = input.debt_soft_bytes + hash_mix(random, 7) % (4096 * MIB);
    input.frozen_count = (uint32_t)(hash_mix(random, 8) % (input.frozen_max + 1));
    input.frozen_bytes = input.frozen_count * input.memtable_bytes;
    input.active_bytes = hash_mix(random, 9) % (input.memtable_bytes + 1);
    input.log_used_bytes = hash_mix(random, 10) % (input.log_bytes + 1);
    return input;
}

/* Goal: monotone, and without jumps. Method: move one input by up to one percent of its range and
 * compare with the range of the delay, which ends at PRESSURE_MAX. */
static void a_small_change_of_one_input_is_a_small_change_of_the_delay(void **state)
{
    const char *text = getenv("KIWI_SEED");
    uint64_t    random = text != NULL ? strtoull(text, NULL, 0) : 99;

    (void)state;
    print_message("seed %" PRIu64 "\n", random);
    for (int round = 0; round < 300000; round++) {
        struct pace_input  input = random_input(random = hash_mix(random, 77)), more = input;
        struct pace_input  worst = input;
        uint32_t           field = (uint32_t)(random % 4);
        uint64_t          *value = field_of(&more, field);
        struct pace_output a, b, range;

        if (field == 0)
            *value += input.debt_soft_bytes / 100;
        else if (field == 1)
            *value += input.memtable_bytes / 100;
        else if (field == 2)
            *value += input.log_bytes / 100;
        else
            *value -= *value / 100;
        worst.debt_bytes = UINT64_MAX;
        a = paced(&input);
        b = paced(&more);
        range = paced(&worst);
        assert_true(b.delay_ns_per_kib >= a.delay_ns_per_kib);
        assert_true(b.background_share >= a.background_share);
        assert_true(b.background_share <= a.background_share + 4);
        assert_true(b.delay_ns_per_kib - a.delay_ns_per_kib
                    <= range.delay_ns_per_kib / 20 + 1);
    }
}

static void freezing_a_full_memtable_changes_nothing(void **state)
{
    struct pace_input before = quiet(), after = quiet();

    (void)state;
    for (uint32_t frozen = 0; frozen < 3; frozen++) {
        before.frozen_count = frozen;
        before.frozen_bytes = frozen * before.memtable_bytes;
        before.active_bytes = before.memtable_bytes;
        after.frozen_count = frozen + 1;
        after.frozen_bytes = (frozen + 1) * after.memtable_bytes;
        after.active_bytes = 0;
        assert_int_equal(paced(&before).delay_ns_per_kib, paced(&after).delay_ns_per_kib);
        assert_int_equal(paced(&before).background_share, paced(&after).background_share);
    }
}

/* Goal: no oscillation. Method: intake at full speed except for the delay, a drain that works at a
 * constant rate; the backlog must settle and stay within a narrow band. */
static void a_writer_faster_than_the_drain_settles(void **state)
{
    struct pace_input input = quiet();
    double            debt = 0, drain = 400.0 * (double)MIB, least = 0, most = 0;

    (void)state;
    for (int tick = 0; tick < 200000; tick++) { /* of 1 ms */
        input.debt_bytes = (uint64_t)debt;
        double ns_per_kib = 1000 + (double)paced(&input).delay_ns_per_kib; /* 1 GB/s undelayed */

        debt += 1e6 / ns_per_kib * 1024 * 3 - drain / 1000;
        debt = debt < 0 ? 0 : debt;
        if (tick == 100000)
            least = most = debt;
        if (tick > 100000) {
            least = debt < least ? debt : least;
            most = debt > most ? debt : most;
        }
    }
    assert_true(least > (double)input.debt_soft_bytes);
    assert_true(most < (double)input.debt_hard_bytes * 1.2);
    assert_true(most - least < 0.01 * most);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_shard_pays_nothing),
        cmocka_unit_test(the_reason_is_the_greatest_pressure),
        cmocka_unit_test(a_single_write_at_the_hard_limit_waits_microseconds),
        cmocka_unit_test(a_small_change_of_one_input_is_a_small_change_of_the_delay),
        cmocka_unit_test(freezing_a_full_memtable_changes_nothing),
        cmocka_unit_test(a_writer_faster_than_the_drain_settles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
