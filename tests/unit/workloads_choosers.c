/*
 * Choosers draw as YCSB's do, with the same flat skew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <math.h>

#include "workloads/choosers.h"

#define RECORDS 1000000u

static int count_compare_down(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? 1 : x > y ? -1 : 0;
}

/* Goal: the skew published for 10^6 records: hottest key 3.8 %, top 1 % of keys 39 %. */
static void scrambled_zipfian_has_the_known_skew(void **state)
{
    struct chooser chooser =
        chooser_of(&(struct chooser_options){ .kind = CHOOSE_ZIPFIAN, .count = RECORDS });
    struct chance chance = chance_of(42, 0);
    uint32_t     *counts = calloc(RECORDS, sizeof *counts);
    uint64_t      draws = 4000000, top = 0;

    (void)state;
    assert_non_null(counts);
    for (uint64_t i = 0; i < draws; i++) {
        uint64_t record = chooser_draw(&chooser, RECORDS - 1, &chance);
        assert_true(record < RECORDS);
        counts[record]++;
    }
    qsort(counts, RECORDS, sizeof *counts, count_compare_down);
    for (uint32_t i = 0; i < RECORDS / 100; i++)
        top += counts[i];
    assert_in_range((uint64_t)(1e4 * counts[0] / (double)draws), 370, 390);
    assert_in_range((uint64_t)(1e4 * (double)top / (double)draws), 3800, 4050);
    free(counts);
}

static void zeta_of_a_known_size_is_right(void **state)
{
    (void)state;
    assert_true(zeta_extend(0, 1, 0.99, 0) == 1.0);
    assert_true(zeta_extend(0, 2, 0.99, 0) > 1.5034 && zeta_extend(0, 2, 0.99, 0) < 1.5036);
    /* Extending in two parts adds the same terms in the same order. */
    double whole = zeta_extend(0, 1000, 0.99, 0);
    assert_true(zeta_extend(400, 1000, 0.99, zeta_extend(0, 400, 0.99, 0)) == whole);
}

static void zipfian_stays_in_range_and_prefers_low_ranks(void **state)
{
    struct zipfian zipfian = zipfian_of(5, 104);
    struct chance  chance = chance_of(1, 1);
    uint32_t       counts[105] = { 0 };

    (void)state;
    for (int i = 0; i < 200000; i++) {
        uint64_t value = zipfian_draw(&zipfian, &chance);
        assert_in_range(value, 5, 104);
        counts[value]++;
    }
    assert_true(counts[5] > counts[6]);
    assert_true(counts[6] > counts[20]);
    assert_true(counts[20] > counts[100]);
}

/* Goal: the short way round the power never changes a rank. Method: the closed form beside it. */
static void ranks_are_those_of_the_closed_form(void **state)
{
    struct zipfian zipfian = zipfian_of_zeta(0, SCRAMBLED_ITEM_COUNT, SCRAMBLED_ZETA);
    struct chance  chance = chance_of(11, 0), same = chance;

    (void)state;
    for (int i = 0; i < 1000000; i++) {
        uint64_t rank = zipfian_draw(&zipfian, &chance), wanted;
        double   u = chance_unit(&same), uz = u * zipfian.zeta;

        wanted = uz < 1.0 ? 0
                 : uz < 1.0 + pow(0.5, 0.99)
                     ? 1
                     : (uint64_t)((double)zipfian.items
                                  * pow(zipfian.eta * u - zipfian.eta + 1, zipfian.alpha));
        assert_true(rank == wanted);
    }
}

static void latest_prefers_the_newest_and_never_draws_record_zero(void **state)
{
    struct chooser chooser = chooser_of(
        &(struct chooser_options){ .kind = CHOOSE_LATEST, .count = 1000, .record_count = 1000 });
    struct chance chance = chance_of(3, 0);
    uint64_t      newest = 999, of_newest = 0;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        uint64_t record = chooser_draw(&chooser, newest, &chance);
        assert_in_range(record, 1, newest);
        of_newest += record == newest;
        newest += i % 20 == 0;
    }
    assert_in_range(of_newest, 8000, 16000);
}

static void hotspot_gives_the_hot_part_its_share(void **state)
{
    struct chooser chooser = chooser_of(&(struct chooser_options){
        .kind = CHOOSE_HOTSPOT, .first = 10, .count = 1000, .hotspot_data = 0.2,
        .hotspot_operations = 0.8 });
    struct chance chance = chance_of(4, 0);
    uint32_t      hot = 0;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        uint64_t record = chooser_draw(&chooser, 1009, &chance);
        assert_in_range(record, 10, 1009);
        hot += record < 210;
    }
    assert_in_range(hot, 79000, 81000);
}

static void exponential_puts_its_percentile_on_the_fraction(void **state)
{
    struct chooser chooser = chooser_of(&(struct chooser_options){
        .kind = CHOOSE_EXPONENTIAL, .count = 10000, .record_count = 10000,
        .exponential_percentile = 95, .exponential_fraction = 0.1 });
    struct chance chance = chance_of(5, 0);
    uint32_t      near = 0;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        uint64_t record = chooser_draw(&chooser, 9999, &chance);
        assert_true(record <= 9999);
        near += record > 9999 - 1000;
    }
    assert_in_range(near, 94500, 95500);
}

static void uniform_and_sequential_cover_their_range(void **state)
{
    struct chooser uniform =
        chooser_of(&(struct chooser_options){ .kind = CHOOSE_UNIFORM, .first = 3, .count = 10 });
    struct chooser sequential =
        chooser_of(&(struct chooser_options){ .kind = CHOOSE_SEQUENTIAL, .first = 3, .count = 10 });
    struct chance chance = chance_of(6, 0);
    uint32_t      counts[13] = { 0 };

    (void)state;
    for (uint64_t i = 0; i < 10000; i++) {
        counts[chooser_draw(&uniform, 12, &chance)]++;
        assert_int_equal(chooser_draw(&sequential, 12, &chance), 3 + i % 10);
    }
    for (int i = 3; i < 13; i++)
        assert_in_range(counts[i], 850, 1150);
}

static void one_record_is_always_chosen(void **state)
{
    static const enum chooser_kind kinds[] = {
        CHOOSE_UNIFORM, CHOOSE_ZIPFIAN,     CHOOSE_LATEST,
        CHOOSE_HOTSPOT, CHOOSE_EXPONENTIAL, CHOOSE_SEQUENTIAL
    };
    struct chance chance = chance_of(8, 0);

    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct chooser chooser =
            chooser_of(&(struct chooser_options){ .kind = kinds[i],
                                                  .count = 1,
                                                  .record_count = 1,
                                                  .hotspot_data = 0.2,
                                                  .hotspot_operations = 0.8,
                                                  .exponential_percentile = 95,
                                                  .exponential_fraction = 0.86 });
        for (int j = 0; j < 100; j++)
            assert_int_equal(chooser_draw(&chooser, 0, &chance), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scrambled_zipfian_has_the_known_skew),
        cmocka_unit_test(zeta_of_a_known_size_is_right),
        cmocka_unit_test(zipfian_stays_in_range_and_prefers_low_ranks),
        cmocka_unit_test(ranks_are_those_of_the_closed_form),
        cmocka_unit_test(latest_prefers_the_newest_and_never_draws_record_zero),
        cmocka_unit_test(hotspot_gives_the_hot_part_its_share),
        cmocka_unit_test(exponential_puts_its_percentile_on_the_fraction),
        cmocka_unit_test(uniform_and_sequential_cover_their_range),
        cmocka_unit_test(one_record_is_always_chosen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
