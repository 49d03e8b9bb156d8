/*
 * The achieved skew is that of the distribution asked from, whatever the sample.
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

#include "bench/skew.h"
#include "workloads/choosers.h"

static struct skew_shares ask(const struct chooser_options *options, uint32_t threads,
                              uint64_t requests)
{
    struct chooser     chooser = chooser_of(options);
    struct chance      chance = chance_of(21, 0);
    struct skew        skew;
    struct skew_shares shares;

    assert_int_equal(skew_open(&skew, threads), KIWI_OK);
    for (uint64_t i = 0; i < requests; i++)
        skew_note(&skew.notes[i % threads],
                  chooser_draw(&chooser, options->first + options->count - 1, &chance));
    shares = skew_sum(&skew, options->count);
    skew_close(&skew);
    return shares;
}

static void expect_near(double seen, double wanted, double part)
{
    if (fabs(seen - wanted) > part * wanted)
        fail_msg("%g instead of %g", seen, wanted);
}

/* Goal: the shares of Zipf's law, summed from the formula, at exponents from even to steep. */
static void shares_are_those_of_the_law(void **state)
{
    static const double exponents[] = { 0, 0.7, 0.99, 1.5 };
    enum { RECORDS = 5000, FIRST = 1000 };

    (void)state;
    for (size_t e = 0; e < sizeof exponents / sizeof exponents[0]; e++) {
        struct skew_shares shares = ask(
            &(struct chooser_options){ .kind = CHOOSE_TRUE_ZIPFIAN, .first = FIRST,
                                       .count = RECORDS, .zipfian_constant = exponents[e] },
            3, 200000);
        double sums[3] = { 1, 0, 0 }, all = 0;

        for (uint32_t i = 0; i < RECORDS; i++) {
            double weight = pow(i + 1, -exponents[e]);

            all += weight;
            sums[1] += i < RECORDS / 100 ? weight : 0;
            sums[2] += i < RECORDS / 10 ? weight : 0;
        }
        assert_true(shares.is_measured);
        assert_int_equal(shares.requests, 200000);
        assert_int_equal(shares.records, RECORDS);
        expect_near(shares.hottest, sums[0] / all, exponents[e] > 0 ? 0.05 : 1);
        expect_near(shares.top_percent, sums[1] / all, 0.05);
        expect_near(shares.top_tenth, sums[2] / all, 0.05);
    }
}

/* Goal: chance is not called skew. Method: one request for ten records; the records asked for more
 * than once are far more than 1 % of the requests. */
static void an_even_choice_is_even_however_few_are_asked(void **state)
{
    struct skew_shares shares = ask(
        &(struct chooser_options){ .kind = CHOOSE_UNIFORM, .count = 1000000 }, 2, 100000);

    (void)state;
    assert_true(shares.is_measured);
    expect_near(shares.top_percent, 0.01, 0.3);
    expect_near(shares.top_tenth, 0.1, 0.15);
    shares = ask(&(struct chooser_options){ .kind = CHOOSE_SEQUENTIAL, .count = 1000000 }, 2,
                 100000);
    assert_true(shares.hottest == 1e-6);
    assert_true(shares.top_percent == 0.01);
    assert_true(shares.top_tenth == 0.1);
}

static void single_records_take_all(void **state)
{
    struct skew_shares shares = ask(
        &(struct chooser_options){ .kind = CHOOSE_UNIFORM, .count = 1 }, 1, 1000);

    (void)state;
    assert_true(shares.is_measured);
    assert_true(shares.hottest == 1 && shares.top_percent == 1 && shares.top_tenth == 1);
    shares = ask(&(struct chooser_options){ .kind = CHOOSE_UNIFORM, .count = 1 }, 1, 99);
    assert_false(shares.is_measured);
    /* Ten records, of which two: the top tenth is one of them. */
    shares = ask(&(struct chooser_options){ .kind = CHOOSE_HOTSPOT, .count = 10,
                                            .hotspot_data = 0.2, .hotspot_operations = 1 },
                 1, 10000);
    expect_near(shares.top_tenth, 0.5, 0.05);
}

/* Goal: a sample that is full goes on, ever more sparsely, and is of the latest requests too.
 * Method: the first requests name record 0, then as many record 1, and so on; noted are those whose
 * turn it was. */
static void a_full_sample_thins_out(void **state)
{
    struct skew skew;
    uint64_t    capacity, seen[4] = { 0 };

    (void)state;
    assert_int_equal(skew_open(&skew, 100), KIWI_OK);
    capacity = skew.notes[0].capacity;
    for (uint64_t i = 0; i < capacity * 5; i++)
        skew_note(&skew.notes[0], i < capacity ? 0 : i < 3 * capacity ? 1 : 2);
    /* One in one, one in two, one in four: the last part has overwritten half of the second. */
    for (uint64_t i = 0; i < capacity; i++)
        seen[skew.notes[0].records[i]]++;
    assert_int_equal(seen[0], 0);
    assert_in_range(seen[1], capacity / 2 - 2, capacity / 2 + 2);
    assert_in_range(seen[2], capacity / 2 - 2, capacity / 2 + 2);
    assert_true(skew.notes[0].stride == 4);
    assert_int_equal(skew_sum(&skew, 3).requests, capacity);
    skew_clear(&skew);
    assert_int_equal(skew_sum(&skew, 3).requests, 0);
    skew_close(&skew);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_those_of_the_law),
        cmocka_unit_test(an_even_choice_is_even_however_few_are_asked),
        cmocka_unit_test(single_records_take_all),
        cmocka_unit_test(a_full_sample_thins_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
