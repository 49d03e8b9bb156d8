/*
 * Histogram logs come back as they were, are refused when damaged, and other tools read the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <unistd.h>

#include "bench/hlog.h"
#include "core/base/histogram.h"

static uint64_t next_number(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void samples_record(struct kiwi_latency *latency, uint64_t seed, uint32_t count)
{
    memset(latency, 0, sizeof *latency);
    for (uint32_t i = 0; i < count; i++)
        histogram_record(latency, next_number(&seed) >> (24 + next_number(&seed) % 34));
}

static void a_log_comes_back_as_it_was(void **state)
{
    struct kiwi_latency  latency;
    struct hlog_interval interval;
    uint64_t             line = 0;
    FILE                *file = tmpfile();

    (void)state;
    assert_non_null(file);
    hlog_begin(file, 1700000000.5);
    for (uint64_t seed = 1; seed <= 20; seed++) {
        samples_record(&latency, seed, 1u << seed % 15);
        assert_int_equal(hlog_write(file, "load.INSERT.service", (double)seed, 1, &latency),
                         KIWI_OK);
    }
    rewind(file);
    for (uint64_t seed = 1; seed <= 20; seed++) {
        samples_record(&latency, seed, 1u << seed % 15);
        assert_int_equal(hlog_read(file, "log", &line, &interval), KIWI_OK);
        assert_string_equal(interval.tag, "load.INSERT.service");
        assert_int_equal(interval.latency.count, latency.count);
        assert_memory_equal(interval.latency.buckets, latency.buckets, sizeof latency.buckets);
    }
    assert_int_equal(hlog_read(file, "log", &line, &interval), KIWI_NOT_FOUND);
    fclose(file);
}

static void every_bucket_has_its_own_place(void **state)
{
    struct kiwi_latency  latency = { 0 };
    struct hlog_interval interval;
    uint64_t             line = 0;
    FILE                *file = tmpfile();

    (void)state;
    for (uint32_t i = 0; i < KIWI_LATENCY_BUCKET_COUNT; i++) {
        latency.buckets[i] = i * 2654435761u;
        latency.count += latency.buckets[i];
    }
    assert_int_equal(hlog_write(file, "all", 0, 1, &latency), KIWI_OK);
    rewind(file);
    assert_int_equal(hlog_read(file, "log", &line, &interval), KIWI_OK);
    assert_memory_equal(interval.latency.buckets, latency.buckets, sizeof latency.buckets);
    fclose(file);
}

/* Any byte of a line changed or the line cut: an error or another histogram, never a crash. */
static void damaged_lines_are_refused_with_their_number(void **state)
{
    struct kiwi_latency  latency;
    struct hlog_interval interval;
    char                *text = NULL;
    size_t               bytes = 0;
    uint32_t             refused = 0;
    FILE                *file = open_memstream(&text, &bytes);

    (void)state;
    samples_record(&latency, 7, 1000);
    assert_int_equal(hlog_write(file, "load.INSERT.service", 0, 1, &latency), KIWI_OK);
    fclose(file);
    for (size_t i = 0; i < 2 * bytes; i++) {
        uint64_t line = 0;
        char     kept = text[i / 2];

        text[i / 2] = i % 2 == 0 ? '\n' : (char)(kept == 'A' ? 'B' : 'A');
        file = fmemopen(text, bytes, "r");
        if (hlog_read(file, "log", &line, &interval) == KIWI_CORRUPT) {
            refused++;
            assert_non_null(strstr(kiwi_error_text(), "log line "));
        }
        fclose(file);
        text[i / 2] = kept;
    }
    assert_true(refused > bytes);
    free(text);
}

/* The count at every percentile asked, by npm's hdr-histogram-js. */
static void another_implementation_reads_the_same(void **state)
{
    char                path[] = "/tmp/kiwi-hlog-XXXXXX", command[600], tag[100];
    struct kiwi_latency latency;
    unsigned long long  count, p50, p99, p999, max;
    uint64_t            seed = 0;
    FILE               *file;

    (void)state;
    if (system("node -e 'require(\"hdr-histogram-js\")' >/dev/null 2>&1") != 0) {
        print_message("skipped: node or its hdr-histogram-js (npm) is not there; see NODE_PATH\n");
        skip();
    }
    close(mkstemp(path));
    file = fopen(path, "w");
    hlog_begin(file, 1700000000);
    for (seed = 1; seed <= 8; seed++) {
        samples_record(&latency, seed, 20000);
        assert_int_equal(hlog_write(file, "run.READ.service", (double)seed, 1, &latency), KIWI_OK);
    }
    fclose(file);
    snprintf(command, sizeof command, "node '%s' '%s'", HLOG_DECODE, path);
    file = popen(command, "r");
    for (seed = 1; fscanf(file, "%99s %llu %llu %llu %llu %llu", tag, &count, &p50, &p99, &p999,
                          &max) == 6; seed++) {
        samples_record(&latency, seed, 20000);
        assert_int_equal(count, latency.count);
        assert_int_equal(max, latency.max_ns);
        /* Bounds and ranks differ by at most one bucket of ours. */
        assert_true(llabs((long long)(p50 - kiwi_latency_percentile(&latency, 0.5))) * 31
                    <= (long long)p50);
        assert_true(llabs((long long)(p99 - kiwi_latency_percentile(&latency, 0.99))) * 31
                    <= (long long)p99);
        assert_true(llabs((long long)(p999 - kiwi_latency_percentile(&latency, 0.999))) * 31
                    <= (long long)p999);
    }
    pclose(file);
    remove(path);
    assert_int_equal(seed, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_log_comes_back_as_it_was),
        cmocka_unit_test(every_bucket_has_its_own_place),
        cmocka_unit_test(damaged_lines_are_refused_with_their_number),
        cmocka_unit_test(another_implementation_reads_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
