/*
 * Which operations are kept as the slowest, and what is said of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "bench/result.h"
#include "bench/slowest.h"
#include "core/base/memory.h"
#include "workloads/chance.h"

enum { OPERATIONS = 20000, CLIENTS = 3 };

static int greater_first(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x > y ? -1 : x < y;
}

/* Goal: exactly the slowest of all clients are kept. Method: random latencies with many ties, dealt
 * out to clients, against a sorted list of all. */
static void the_hundred_slowest_of_all_clients_are_kept(void **state)
{
    static uint64_t       all[OPERATIONS];
    static struct slowest clients[CLIENTS], sum;
    const char           *given = getenv("KIWI_TEST_SEED");
    const uint64_t        seed = given != NULL ? strtoull(given, NULL, 10) : 20261128u;
    struct chance         chance = chance_of(seed, 1);

    (void)state;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (uint64_t i = 0; i < OPERATIONS; i++) {
        struct slowest *slowest = &clients[chance_below(&chance, CLIENTS)];

        all[i] = 1 + chance_below(&chance, 1ull << chance_below(&chance, 20));
        if (all[i] > slowest->least_ns)
            slowest_add(slowest, &(struct slow_operation){ .latency_ns = all[i], .record = i });
    }
    for (uint32_t i = 0; i < CLIENTS; i++)
        slowest_merge(&sum, &clients[i]);
    slowest_sort(&sum);
    qsort(all, OPERATIONS, sizeof all[0], greater_first);
    assert_int_equal(sum.count, SLOWEST_MAX);
    for (uint32_t i = 0; i < SLOWEST_MAX; i++)
        assert_int_equal(sum.operations[i].latency_ns, all[i]);
}

static void fewer_than_a_hundred_are_all_kept(void **state)
{
    static struct slowest one, sum;

    (void)state;
    for (uint64_t i = 1; i <= 7; i++)
        slowest_add(&one, &(struct slow_operation){ .latency_ns = i });
    assert_int_equal(one.least_ns, 0);
    slowest_merge(&sum, &one);
    slowest_sort(&sum);
    assert_int_equal(sum.count, 7);
    assert_int_equal(sum.operations[0].latency_ns, 7);
    assert_int_equal(sum.operations[6].latency_ns, 1);
}

static void of_a_standstill_only_what_overlaps_is_an_operations(void **state)
{
    static struct slowest   slowest;
    static struct stillness stillness = {
        .was_watched = true,
        .kept_count = 3,
        .standstills = { { 0, 50 }, { 90, 120 }, { 190, 500 } },
    };
    json_t *array;

    (void)state;
    slowest_add(&slowest, &(struct slow_operation){ .latency_ns = 100, .at_ns = 100 });
    slowest_add(&slowest, &(struct slow_operation){ .latency_ns = 10, .at_ns = 600 });
    slowest_sort(&slowest);
    array = slowest_json(&slowest, &stillness);
    assert_int_equal(json_array_size(array), 2);
    assert_int_equal((int)result_number(json_array_get(array, 0), "standstill_ns"), 30);
    assert_int_equal((int)result_number(json_array_get(array, 1), "standstill_ns"), 0);
    json_decref(array);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hundred_slowest_of_all_clients_are_kept),
        cmocka_unit_test(fewer_than_a_hundred_are_all_kept),
        cmocka_unit_test(of_a_standstill_only_what_overlaps_is_an_operations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
