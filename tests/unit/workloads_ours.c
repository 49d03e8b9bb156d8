/*
 * Our own workload files and properties mean what they say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "workloads/stream.h"

static enum kiwi_status read_text(const char *text, struct workload *out, char *why,
                                  size_t why_bytes)
{
    struct properties properties = { 0 };
    struct lint       lint = { 0 };
    enum kiwi_status  status;

    assert_int_equal(properties_parse(&properties, "w", text, strlen(text)), KIWI_OK);
    status = workload_read(&properties, "w", &lint, out);
    snprintf(why, why_bytes, "%s", status != KIWI_OK ? fail_text() : "");
    lint_free(&lint);
    properties_free(&properties);
    return status;
}

static void read_file(const char *name, struct workload *out)
{
    char  path[512], text[8192] = { 0 }, why[400];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", WORKLOADS_FOLDER, name);
    file = fopen(path, "rb");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    if (read_text(text, out, why, sizeof why) != KIWI_OK)
        fail_msg("%s: %s", name, why);
}

static void our_files_have_the_mixes_they_describe(void **state)
{
    static const struct {
        const char       *name;
        double            weights[OPERATION_COUNT];
        enum chooser_kind chooser;
        enum value_spread spread;
    } wanted[] = {
        { "time-series", { 0.05, 0, 0.8, 0.15, 0, 0 }, CHOOSE_LATEST, VALUE_CONSTANT },
        { "delete-heavy", { 0.3, 0.325, 0, 0.05, 0, 0.325 }, CHOOSE_UNIFORM, VALUE_CONSTANT },
        { "cache-hostile", { 0.9, 0.1, 0, 0, 0, 0 }, CHOOSE_UNIFORM, VALUE_CONSTANT },
        { "hot-shard", { 0.5, 0.5, 0, 0, 0, 0 }, CHOOSE_HOT_SHARD, VALUE_CONSTANT },
        { "mixgraph", { 0.83, 0.14, 0, 0.03, 0, 0 }, CHOOSE_KEYRANGE, VALUE_PARETO },
        { "value-mix", { 0.5, 0.5, 0, 0, 0, 0 }, CHOOSE_ZIPFIAN, VALUE_TABLE },
    };
    struct workload workload;

    (void)state;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        read_file(wanted[i].name, &workload);
        for (int j = 0; j < OPERATION_COUNT; j++)
            assert_true(workload.weights[j] == wanted[i].weights[j]);
        assert_int_equal(workload.chooser, wanted[i].chooser);
        assert_int_equal(workload.values.spread, wanted[i].spread);
    }
}

/* Goal: the mean of the lengths that are not in the middle, from the formulas: the mix by hand,
 * Pareto's scale / (1 - shape) = 34.5 moved up a little by the least of 10 and rounding up. */
static void lengths_are_those_described_on_average(void **state)
{
    struct workload workload;
    char            why[400];

    (void)state;
    read_file("value-mix", &workload);
    assert_true(workload_value_bytes_mean(&workload) > 1280);
    assert_true(workload_value_bytes_mean(&workload) < 1480);
    assert_int_equal(value_bytes_max(&workload.values), 65536);
    read_file("mixgraph", &workload);
    assert_true(workload_value_bytes_mean(&workload) > 43);
    assert_true(workload_value_bytes_mean(&workload) < 48);
    assert_int_equal(read_text("workload=core\nfieldcount=3\nfieldlength=100\nminfieldlength=50\n"
                               "fieldlengthdistribution=uniform\n",
                               &workload, why, sizeof why),
                     KIWI_OK);
    assert_true(workload_value_bytes_mean(&workload) == 225);
}

static void deletes_have_their_share_and_move_records(void **state)
{
    struct workload workload;
    struct chooser  chooser;
    struct stream   stream;
    uint32_t        counts[OPERATION_COUNT] = { 0 };

    (void)state;
    read_file("delete-heavy", &workload);
    assert_true(workload_deletes(&workload));
    assert_true(workload_moves_records(&workload));
    assert_true(workload_writes(&workload));
    assert_false(workload_inserts(&workload));
    assert_string_equal(operation_name(OPERATION_DELETE), "DELETE");
    chooser = workload_chooser(&workload);
    stream = stream_of(&(struct stream_options){ &workload, NULL, 1, 0, 1, &chooser });
    for (int i = 0; i < 100000; i++) {
        struct step step;

        stream_next(&stream, &step);
        counts[step.operation]++;
    }
    assert_in_range(counts[OPERATION_DELETE], 31500, 33500);
    assert_in_range(counts[OPERATION_UPDATE], 31500, 33500);
    read_file("workloada", &workload);
    assert_false(workload_moves_records(&workload));
}

/* Goal: records made one after the other belong to the series in turn, and keys ascend by series,
 * then by time. */
static void points_of_a_series_are_neighbours_in_time_order(void **state)
{
    const struct key_shape shape = { .is_ordered = true, .digits_min = KEY_SERIES_DIGITS,
                                     .series_count = 7 };
    uint8_t                before[KEY_BYTES_MAX], key[KEY_BYTES_MAX];
    size_t                 before_bytes = 0;

    (void)state;
    for (uint64_t series = 0; series < 7; series++)
        for (uint64_t point = 0; point < 50; point++) {
            size_t bytes = key_write(&shape, point * 7 + series, key);

            assert_int_equal(bytes, 4 + KEY_SERIES_DIGITS);
            assert_true(key_is(&shape, point * 7 + series, key, bytes));
            if (before_bytes > 0)
                assert_true(memcmp(before, key, bytes) < 0);
            memcpy(before, key, bytes);
            before_bytes = bytes;
        }
}

/* Goal: a scan reads the rows up to a recent point of one series. Method: the keys it starts at,
 * against the newest record. */
static void scans_of_series_end_at_recent_points(void **state)
{
    struct workload      workload;
    struct acknowledged *inserts;
    struct chooser       chooser;
    struct stream        stream;
    uint64_t             newest, scans = 0, near = 0, nearest = 0;

    (void)state;
    read_file("time-series", &workload);
    newest = workload.record_count - 1;
    chooser = workload_chooser(&workload);
    assert_int_equal(acknowledged_open(workload.record_count, &inserts), KIWI_OK);
    stream = stream_of(&(struct stream_options){ &workload, inserts, 1, 0, 1, &chooser });
    for (int i = 0; i < 20000; i++) {
        struct step step;

        stream_next(&stream, &step);
        if (step.operation == OPERATION_INSERT) {
            assert_int_equal(step.record, ++newest);
            assert_int_equal(acknowledged_mark(inserts, step.record), KIWI_OK);
        }
        assert_int_equal(step.number, key_number(&workload.keys, step.record));
        if (step.operation != OPERATION_SCAN)
            continue;
        /* The last row would be beyond the newest if the scan began at the point chosen. */
        assert_true(step.record + (step.scan_rows - 1) * 1000ull <= newest);
        near += newest - (step.record + (step.scan_rows - 1) * 1000ull) < 10000;
        nearest += newest - (step.record + (step.scan_rows - 1) * 1000ull) < 100;
        scans++;
    }
    assert_in_range(scans, 2800, 3200);
    assert_true(near * 2 > scans); /* latest: more than half within ten points of each series */
    assert_true(nearest * 5 > scans);
    acknowledged_close(inserts);
}

static void relations_of_our_properties_are_checked(void **state)
{
    static const char *const wrong[][2] = {
        { "zipfianconstant=0.8\n", "truezipfian" },
        { "requestdistribution=zipfian\nzipfianconstant=0.99\n", "truezipfian" },
        { "requestdistribution=truezipfian\nzipfianconstant=-1\n", "outside" },
        { "requestdistribution=keyrange\n", "insertorder" },
        { "requestdistribution=keyrange\ninsertorder=ordered\nkeyrange.a=0\nkeyrange.c=0\n",
          "weight" },
        { "keyrange.count=129\n", "outside" },
        { "seriescount=10\n", "ascend" },
        { "seriescount=10\ninsertorder=ordered\nzeropadding=17\n", "ascend" },
        { "seriescount=10\nzeropadding=20\n", "ascend" },
        { "fieldlengthmix=5:1\n", "fieldlengthdistribution=mix" },
        { "fieldlengthdistribution=mix\n", "character 1" },
        { "fieldlengthdistribution=mix\nfieldlengthmix=100000000:1\n", "character" },
        { "fieldcount=10\nfieldlengthdistribution=mix\nfieldlengthmix=60000000:1\n", "limit" },
        { "fieldlengthdistribution=paretto\n", "'pareto'" },
        { "requestdistribution=hotshart\n", "'hotshard'" },
        { "deletproportion=1\n", "'deleteproportion'" },
    };
    struct workload workload;
    char            why[400];

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[300];

        snprintf(text, sizeof text, "workload=core\nrecordcount=100\n%s", wrong[i][0]);
        if (read_text(text, &workload, why, sizeof why) != KIWI_INVALID)
            fail_msg("accepted: %s", wrong[i][0]);
        if (strstr(why, wrong[i][1]) == NULL)
            fail_msg("%s: %s", wrong[i][0], why);
    }
}

static void a_histogram_is_asked_for_and_set(void **state)
{
    static const char text[] = "BlockSize\t100\n0\t0\n1\t50\n2\t0\n";
    struct workload   workload;
    struct stream     stream = { .chance = chance_of(1, 1) };
    char              why[400];

    (void)state;
    assert_int_equal(read_text("workload=core\nfieldcount=2\nfieldlengthdistribution=histogram\n"
                               "fieldlengthhistogram=sizes.txt\n",
                               &workload, why, sizeof why),
                     KIWI_OK);
    assert_string_equal(workload.histogram, "sizes.txt");
    assert_int_equal(workload_histogram_set(&workload, "sizes.txt", "nonsense", 8), KIWI_INVALID);
    assert_int_equal(workload_histogram_set(&workload, "sizes.txt", text, strlen(text)), KIWI_OK);
    assert_string_equal(workload.histogram, "");
    assert_int_equal(workload.values.field_bytes_max, 200);
    stream_values_set(&stream, &workload);
    for (int i = 0; i < 100; i++)
        assert_in_range(stream_value_bytes(&stream), 200, 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_files_have_the_mixes_they_describe),
        cmocka_unit_test(lengths_are_those_described_on_average),
        cmocka_unit_test(deletes_have_their_share_and_move_records),
        cmocka_unit_test(points_of_a_series_are_neighbours_in_time_order),
        cmocka_unit_test(scans_of_series_end_at_recent_points),
        cmocka_unit_test(relations_of_our_properties_are_checked),
        cmocka_unit_test(a_histogram_is_asked_for_and_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
