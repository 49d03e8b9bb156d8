/*
 * Hot records all lie on shard 0 of the engine.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "bench/hot_shard.h"
#include "core/base/memory.h"
#include "workloads/stream.h"

/* Four shards, by the last digit of the key. */
static uint32_t digit_shard_of(const struct engine *engine, struct kiwi_slice key)
{
    (void)engine;
    return ((const uint8_t *)key.data)[key.size - 1] % 4;
}

static struct workload sample(double hot_share_of_records)
{
    return (struct workload){ .record_count = 1000, .insert_start = 100, .insert_count = 900,
                              .operation_count = 1, .keys = { .digits_min = 1 },
                              .chooser = CHOOSE_HOT_SHARD, .hotspot_data = hot_share_of_records,
                              .hotspot_operations = 1 };
}

static void hot_records_are_on_one_shard(void **state)
{
    static const struct engine_class class = { .name = "digits", .shard_of = digit_shard_of };
    struct workload                  workload = sample(0.1);
    struct chooser                   chooser = workload_chooser(&workload);
    struct chance                    chance = chance_of(1, 1);
    uint64_t                        *records = NULL;
    uint32_t                         seen[1000] = { 0 }, distinct = 0;

    (void)state;
    assert_int_equal(hot_shard_place(&class, NULL, &workload, &chooser, &records), KIWI_OK);
    assert_int_equal(chooser.hot_count, 90);
    for (int i = 0; i < 20000; i++) {
        uint64_t record = chooser_draw(&chooser, 999, &chance);
        uint8_t  key[KEY_BYTES_MAX];
        size_t   bytes = key_write(&workload.keys, record, key);

        assert_in_range(record, 100, 999);
        assert_int_equal(key[bytes - 1] % 4, 0);
        distinct += seen[record]++ == 0;
    }
    assert_int_equal(distinct, 90);
    /* More wanted than the shard has: all it has, in memory that is made anew. */
    workload = sample(1);
    chooser = workload_chooser(&workload);
    assert_int_equal(hot_shard_place(&class, NULL, &workload, &chooser, &records), KIWI_OK);
    assert_in_range(chooser.hot_count, 150, 350);
    memory_free(records);
}

static void other_choosers_and_engines_without_shards_are_left_alone(void **state)
{
    static const struct engine_class plain = { .name = "plain" },
                                     digits = { .name = "digits", .shard_of = digit_shard_of };
    struct workload workload = sample(0.1);
    struct chooser  chooser = workload_chooser(&workload);
    uint64_t       *records = NULL;

    (void)state;
    assert_int_equal(hot_shard_place(&plain, NULL, &workload, &chooser, &records), KIWI_OK);
    assert_null(records);
    assert_null(chooser.hot_records);
    assert_int_equal(chooser.hot_count, 90);
    workload.chooser = CHOOSE_HOTSPOT;
    chooser = workload_chooser(&workload);
    assert_int_equal(hot_shard_place(&digits, NULL, &workload, &chooser, &records), KIWI_OK);
    assert_null(records);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hot_records_are_on_one_shard),
        cmocka_unit_test(other_choosers_and_engines_without_shards_are_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
