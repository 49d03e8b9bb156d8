/*
 * Distributions have the shares their formulas give, measured with fixed seeds.
 *
 * Method: chi-square after Pearson over cells of at least 20 expected draws. With df + 1 cells, its
 * mean is df and its deviation sqrt(2 df); the bound of six deviations is generous, and a
 * distribution that is off by some percent in a few cells is far beyond it.
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
#include "workloads/keys.h"
#include "workloads/lengths.h"

enum { DRAWS = 200000, CELLS_MAX = 5000 };

/* counts and shares of values 0 to count - 1; neighbours are joined into cells. */
static void expect_shares(const char *what, const uint32_t *counts, const double *shares,
                          uint32_t count, uint64_t draws)
{
    double   expected = 0, seen = 0, chi_square = 0;
    uint32_t cells = 0;

    for (uint32_t i = 0; i < count; i++) {
        expected += shares[i] * (double)draws;
        seen += counts[i];
        if (expected < 20 && i + 1 < count)
            continue;
        if (expected > 0)
            chi_square += (seen - expected) * (seen - expected) / expected;
        else
            assert_true(seen == 0);
        cells++;
        expected = seen = 0;
    }
    assert_true(cells >= 2);
    if (chi_square > cells - 1 + 6 * sqrt(2.0 * (cells - 1)))
        fail_msg("%s: chi-square %.1f over %u cells", what, chi_square, cells);
}

static void true_zipfian_follows_the_law_for_any_exponent(void **state)
{
    static const double exponents[] = { 0, 0.3, 0.99, 1, 1.0000001, 1.5, 3 };
    static uint32_t     counts[CELLS_MAX];
    static double       shares[CELLS_MAX];

    (void)state;
    for (size_t e = 0; e < sizeof exponents / sizeof exponents[0]; e++)
        for (uint32_t count = 2; count <= CELLS_MAX; count *= 50) {
            struct zipf   zipf = zipf_of(count, exponents[e]);
            struct chance chance = chance_of(17, e);
            double        sum = 0;
            char          what[64];

            memset(counts, 0, sizeof counts);
            for (uint32_t i = 0; i < count; i++)
                sum += shares[i] = pow(i + 1, -exponents[e]);
            for (uint32_t i = 0; i < count; i++)
                shares[i] /= sum;
            for (int i = 0; i < DRAWS; i++) {
                uint64_t rank = zipf_draw(&zipf, &chance);
                assert_in_range(rank, 1, count);
                counts[rank - 1]++;
            }
            snprintf(what, sizeof what, "exponent %g, %u ranks", exponents[e], count);
            expect_shares(what, counts, shares, count, DRAWS);
        }
}

/* Goal: the published shares of the true law, far from those of YCSB's scrambled form: at 10^6
 * records 6.5 % for the hottest and 66 % for the top 1 %. Which record is hot is no matter. */
static void true_zipfian_has_the_known_skew_over_all_records(void **state)
{
    enum { RECORDS = 1000000, FIRST = 77 };
    struct chooser chooser = chooser_of(&(struct chooser_options){
        .kind = CHOOSE_TRUE_ZIPFIAN, .first = FIRST, .count = RECORDS, .zipfian_constant = 0.99 });
    struct chance  chance = chance_of(5, 0);
    uint32_t      *counts = calloc(RECORDS, sizeof *counts), hottest = 0;
    uint64_t       top = 0;

    (void)state;
    assert_non_null(counts);
    for (int i = 0; i < 1000000; i++) {
        uint64_t record = chooser_draw(&chooser, FIRST + RECORDS - 1, &chance);
        assert_in_range(record, FIRST, FIRST + RECORDS - 1);
        counts[record - FIRST]++;
    }
    for (uint64_t rank = 0; rank < RECORDS / 100; rank++)
        top += counts[rank * chooser.stride % RECORDS];
    for (uint32_t i = 0; i < RECORDS; i++)
        hottest = counts[i] > hottest ? counts[i] : hottest;
    assert_int_equal(hottest, counts[0]);
    assert_in_range(hottest, 64000, 66500);
    assert_in_range(top, 655000, 667000);
    free(counts);
}

static void every_record_has_one_rank(void **state)
{
    static const uint64_t sizes[] = { 1, 2, 3, 10, 987, 1000, 4181, 4096 };
    static uint8_t        seen[CELLS_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct chooser chooser = chooser_of(&(struct chooser_options){
            .kind = CHOOSE_TRUE_ZIPFIAN, .count = sizes[i], .zipfian_constant = 0 });

        memset(seen, 0, sizeof seen);
        for (uint64_t rank = 0; rank < sizes[i]; rank++)
            assert_int_equal(seen[rank * chooser.stride % sizes[i]]++, 0);
    }
}

static void key_ranges_get_their_weights(void **state)
{
    static const struct keyrange_options options = {
        .count = 30, .a = 14.18, .b = -2.917, .c = 0.0164, .d = -0.08082,
        .key_a = 0.002312, .key_b = 0.3467 };
    enum { RECORDS = 300017, FIRST = 1000 };
    struct keyranges ranges = keyranges_of(&options, FIRST, RECORDS);
    struct chance    chance = chance_of(8, 0);
    uint32_t         counts[30] = { 0 }, hottest = 0;
    uint32_t        *records = calloc(RECORDS, sizeof *records);
    double           shares[30], sum = 0;
    bool             is_used[30] = { false };

    (void)state;
    assert_non_null(records);
    for (uint32_t i = 0; i < 30; i++) {
        sum += shares[i] = options.a * exp(options.b * (i + 1))
                         + options.c * exp(options.d * (i + 1));
        assert_false(is_used[ranges.places[i]]);
        is_used[ranges.places[i]] = true;
    }
    for (uint32_t i = 0; i < 30; i++)
        shares[i] /= sum;
    for (int i = 0; i < DRAWS; i++) {
        uint64_t record = keyranges_draw(&ranges, &chance), range;

        assert_in_range(record, FIRST, FIRST + RECORDS - 1);
        range = (record - FIRST) / (RECORDS / 30);
        records[record - FIRST]++;
        for (uint32_t j = 0; j < 30; j++)
            counts[j] += ranges.places[j] == (range < 30 ? range : 29);
    }
    expect_shares("key ranges", counts, shares, 30, DRAWS);
    /* The hottest record of the hottest range: heat place 1, so key_a of what the range gets; the
     * places that wrap onto it add a little. */
    for (uint32_t i = 0; i < RECORDS; i++)
        hottest = records[i] > hottest ? records[i] : hottest;
    assert_true(hottest > 0.002312 * counts[0] * 0.8);
    assert_true(hottest < 0.002312 * counts[0] * 1.3);
    assert_int_equal(hottest,
                     records[ranges.places[0] * (RECORDS / 30) + key_hash(1) % (RECORDS / 30)]);
    free(records);
}

static void few_records_are_ranges_of_their_own(void **state)
{
    static const struct keyrange_options options = {
        .count = 30, .a = 1, .b = 0, .c = 0, .d = 0, .key_a = 0.5, .key_b = 1 };
    struct chance chance = chance_of(1, 0);

    (void)state;
    for (uint64_t records = 1; records < 70; records++) {
        struct keyranges ranges = keyranges_of(&options, 5, records);

        for (int i = 0; i < 200; i++)
            assert_in_range(keyranges_draw(&ranges, &chance), 5, 4 + records);
    }
}

static void hot_shard_gives_the_given_records_their_share(void **state)
{
    static const uint64_t hot[] = { 3, 500, 501, 999 };
    struct chooser        chooser = chooser_of(&(struct chooser_options){
               .kind = CHOOSE_HOT_SHARD, .count = 1000, .hotspot_data = 0.1,
               .hotspot_operations = 0.9 });
    struct chance   chance = chance_of(2, 0);
    uint32_t        counts[1000] = { 0 };
    double          shares[1000];

    (void)state;
    /* Without a list, the first tenth. */
    assert_int_equal(chooser.hot_count, 100);
    for (int i = 0; i < DRAWS; i++)
        counts[chooser_draw(&chooser, 999, &chance)]++;
    for (int i = 0; i < 1000; i++)
        shares[i] = 0.1 / 1000 + (i < 100 ? 0.9 / 100 : 0);
    expect_shares("first records", counts, shares, 1000, DRAWS);
    memset(counts, 0, sizeof counts);
    chooser.hot_records = hot;
    chooser.hot_count = 4;
    for (int i = 0; i < DRAWS; i++)
        counts[chooser_draw(&chooser, 999, &chance)]++;
    for (int i = 0; i < 1000; i++)
        shares[i] = 0.1 / 1000
                  + (i == 3 || i == 500 || i == 501 || i == 999 ? 0.9 / 4 : 0);
    expect_shares("given records", counts, shares, 1000, DRAWS);
}

static void ycsb_choosers_have_their_shares(void **state)
{
    enum { RECORDS = 1000 };
    static uint32_t counts[RECORDS];
    static double   shares[RECORDS];
    struct chooser  uniform = chooser_of(
        &(struct chooser_options){ .kind = CHOOSE_UNIFORM, .count = RECORDS });
    struct chooser hotspot = chooser_of(&(struct chooser_options){
        .kind = CHOOSE_HOTSPOT, .count = RECORDS, .hotspot_data = 0.2, .hotspot_operations = 0.8 });
    struct chooser exponential = chooser_of(&(struct chooser_options){
        .kind = CHOOSE_EXPONENTIAL, .count = RECORDS, .record_count = RECORDS,
        .exponential_percentile = 95, .exponential_fraction = 0.5 });
    struct chooser sequential = chooser_of(
        &(struct chooser_options){ .kind = CHOOSE_SEQUENTIAL, .count = RECORDS });
    struct chance chance = chance_of(3, 0);
    double        rate = log(20) / (0.5 * RECORDS), all = 1 - exp(-rate * RECORDS);

    (void)state;
    for (int i = 0; i < DRAWS; i++)
        counts[chooser_draw(&uniform, RECORDS - 1, &chance)]++;
    for (int i = 0; i < RECORDS; i++)
        shares[i] = 1.0 / RECORDS;
    expect_shares("uniform", counts, shares, RECORDS, DRAWS);
    memset(counts, 0, sizeof counts);
    for (int i = 0; i < DRAWS; i++)
        counts[chooser_draw(&hotspot, RECORDS - 1, &chance)]++;
    for (int i = 0; i < RECORDS; i++)
        shares[i] = i < 200 ? 0.8 / 200 : 0.2 / 800;
    expect_shares("hotspot", counts, shares, RECORDS, DRAWS);
    memset(counts, 0, sizeof counts);
    for (int i = 0; i < DRAWS; i++)
        counts[RECORDS - 1 - chooser_draw(&exponential, RECORDS - 1, &chance)]++;
    for (int i = 0; i < RECORDS; i++)
        shares[i] = (exp(-rate * i) - exp(-rate * (i + 1))) / all;
    expect_shares("exponential", counts, shares, RECORDS, DRAWS);
    memset(counts, 0, sizeof counts);
    for (int i = 0; i < 3 * RECORDS; i++)
        counts[chooser_draw(&sequential, RECORDS - 1, &chance)]++;
    for (int i = 0; i < RECORDS; i++)
        assert_int_equal(counts[i], 3);
}

static void pareto_lengths_follow_the_formula(void **state)
{
    static const struct {
        uint64_t least, most;
        double   shape, scale;
    } cases[] = { { 10, 1024, 0.2615, 25.45 }, { 1, 4000, 2.517, 14.236 }, { 1, 3, 1, 1 } };
    static uint32_t counts[CELLS_MAX];
    static double   shares[CELLS_MAX];

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct pareto pareto = pareto_of(cases[c].least, cases[c].most, cases[c].shape,
                                         cases[c].scale);
        struct chance chance = chance_of(4, c);
        double        all;

        memset(counts, 0, sizeof counts);
        memset(shares, 0, sizeof shares);
        for (uint64_t i = cases[c].least; i <= cases[c].most; i++)
            shares[i] = pow(1 + cases[c].shape * (double)(i - 1) / cases[c].scale,
                            -1 / cases[c].shape)
                      - pow(1 + cases[c].shape * (double)i / cases[c].scale, -1 / cases[c].shape);
        all = 0;
        for (uint32_t i = 0; i < CELLS_MAX; i++)
            all += shares[i];
        for (uint32_t i = 0; i < CELLS_MAX; i++)
            shares[i] /= all;
        for (int i = 0; i < DRAWS; i++) {
            uint64_t length = pareto_draw(&pareto, &chance);
            assert_in_range(length, cases[c].least, cases[c].most);
            counts[length]++;
        }
        expect_shares("pareto", counts, shares, CELLS_MAX, DRAWS);
    }
}

static void a_mix_of_lengths_has_its_weights(void **state)
{
    struct length_table table;
    struct chance       chance = chance_of(6, 0);
    uint32_t            counts[4] = { 0 };
    static const double shares[4] = { 0.6, 0, 0.3, 0.1 };

    (void)state;
    assert_int_equal(length_mix_parse("64:60,1:0,4096:30,512:10", 10000, &table), KIWI_OK);
    assert_int_equal(table.count, 3);
    assert_int_equal(length_table_least(&table), 64);
    assert_int_equal(length_table_most(&table), 4096);
    for (int i = 0; i < DRAWS; i++) {
        uint64_t length = length_table_draw(&table, &chance);
        counts[length == 64 ? 0 : length == 4096 ? 2 : length == 512 ? 3 : 1]++;
    }
    assert_int_equal(counts[1], 0);
    expect_shares("mix", counts, shares, 4, DRAWS);
}

/* The original's rule, word for word: number is drawn below the sum of all counts. */
static uint64_t original_length(const uint64_t *buckets, uint64_t count, uint64_t block,
                                int64_t number)
{
    uint64_t i;

    for (i = 0; i + 1 < count; i++) {
        number -= (int64_t)buckets[i];
        if (number <= 0)
            return (i + 1) * block;
    }
    return i * block;
}

static void a_histogram_gives_every_number_the_length_of_the_original(void **state)
{
    struct chance chance = chance_of(12, 0);

    (void)state;
    for (int round = 0; round < 500; round++) {
        uint64_t            buckets[12], count = 2 + chance_below(&chance, 11), sum = 0;
        struct length_table table;
        char                text[400];
        size_t              at;

        at = (size_t)snprintf(text, sizeof text, "BlockSize\t16\n");
        for (uint64_t i = 0; i < count; i++) {
            buckets[i] = chance_below(&chance, 4) * chance_below(&chance, 4);
            sum += buckets[i];
            at += (size_t)snprintf(text + at, sizeof text - at, "%llu\t%llu\n",
                                   (unsigned long long)i, (unsigned long long)buckets[i]);
        }
        if (sum == 0)
            continue;
        assert_int_equal(length_histogram_parse("h", text, at, 1000, &table), KIWI_OK);
        assert_int_equal(table.below[table.count - 1], sum);
        for (uint64_t number = 0; number < sum; number++) {
            uint32_t i = 0;

            while (number >= table.below[i])
                i++;
            assert_int_equal(table.lengths[i],
                             original_length(buckets, count, 16, (int64_t)number));
        }
    }
}

static void wrong_tables_are_refused_with_their_place(void **state)
{
    static const char *const mixes[][2] = {
        { "", "character 1" },          { "64", "character 3" },       { "64:", "character 4" },
        { "64:1;5:1", "character 5" },  { "0:1", "character 2" },      { "64:1,", "character 6" },
        { "1001:1", "character" },      { "64:0", "all weights" },     { "64:1x", "character 5" },
        { "99999999999999999999999:1", "character" },
    };
    static const char *const histograms[][2] = {
        { "", "h:1:" },
        { "BlockSize 16\n0\t1\n1\t1\n", "h:1:" },
        { "BlockSize\t0\n0\t1\n1\t1\n", "h:1:" },
        { "BlockSize\t16\n0\t1\n", "fewer than two" },
        { "BlockSize\t16\n0\t0\n1\t0\n", "zero" },
        { "BlockSize\t16\n0\t1\n2\t1\n", "h:3:" },
        { "BlockSize\t16\n0\t1\n1 1\n", "h:3:" },
        { "BlockSize\t16\n0\t1\n1\t1x\n", "h:3:" },
        { "BlockSize\t600\n0\t1\n1\t1\n2\t1\n", "h:4:" },
        { "BlockSize\t16\n0\t99999999999999999999\n", "h:2:" },
    };
    static const char   fine[] = "BlockSize\t16\r\n0\t1\r\n1\t1";
    struct length_table table;

    (void)state;
    for (size_t i = 0; i < sizeof mixes / sizeof mixes[0]; i++) {
        assert_int_equal(length_mix_parse(mixes[i][0], 1000, &table), KIWI_INVALID);
        if (strstr(fail_text(), mixes[i][1]) == NULL)
            fail_msg("%s: %s", mixes[i][0], fail_text());
    }
    for (size_t i = 0; i < sizeof histograms / sizeof histograms[0]; i++) {
        assert_int_equal(length_histogram_parse("h", histograms[i][0], strlen(histograms[i][0]),
                                                1000, &table),
                         KIWI_INVALID);
        if (strstr(fail_text(), histograms[i][1]) == NULL)
            fail_msg("%s: %s", histograms[i][0], fail_text());
    }
    /* Carriage returns and a missing last line end are fine. */
    assert_int_equal(length_histogram_parse("h", fine, strlen(fine), 1000, &table), KIWI_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(true_zipfian_follows_the_law_for_any_exponent),
        cmocka_unit_test(true_zipfian_has_the_known_skew_over_all_records),
        cmocka_unit_test(every_record_has_one_rank),
        cmocka_unit_test(key_ranges_get_their_weights),
        cmocka_unit_test(few_records_are_ranges_of_their_own),
        cmocka_unit_test(hot_shard_gives_the_given_records_their_share),
        cmocka_unit_test(ycsb_choosers_have_their_shares),
        cmocka_unit_test(pareto_lengths_follow_the_formula),
        cmocka_unit_test(a_mix_of_lengths_has_its_weights),
        cmocka_unit_test(a_histogram_gives_every_number_the_length_of_the_original),
        cmocka_unit_test(wrong_tables_are_refused_with_their_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
