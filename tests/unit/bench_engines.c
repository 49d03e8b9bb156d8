/*
 * Every engine of this build does what the driver asks, in the blocking form that all have.
 *
 * Method: one body for all of engine_list, on a new folder each, against an array of versions.
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

#include "bench/engine.h"
#include "bench/folder.h"

enum { RECORDS = 2000, VALUE_BYTES = 120, NONE = 0 };

struct fixture {
    const struct engine_class *class;
    struct engine             *engine;
    struct engine_client      *client;
    char                       folder[64], data[96];
    enum kiwi_durability       durability;
    uint32_t                   versions[RECORDS]; /* what must be there; NONE: nothing */
};

static void key_make(uint32_t record, char *key)
{
    snprintf(key, 16, "key%08u", record);
}

static void value_make(uint32_t record, uint32_t version, char *value)
{
    memset(value, (int)('a' + record % 26), VALUE_BYTES);
    snprintf(value, VALUE_BYTES, "%u.%u", record, version);
}

static void engine_start(struct fixture *fixture, bool must_be_new)
{
    const struct engine_options options = {
        .directory = fixture->data,
        .memory_bytes = 64u << 20,
        .thread_count = 1,
        .depth = 1,
        .model = CLIENT_BLOCKING,
        .durability = fixture->durability,
        .must_be_new = must_be_new,
        .scan_rows = 50,
        .data_bytes = RECORDS * VALUE_BYTES,
    };

    if (fixture->class->open(&options, &fixture->engine) != KIWI_OK
        || fixture->class->client_open(fixture->engine, 0, &fixture->client) != KIWI_OK)
        fail_msg("%s: %s", fixture->class->name, fail_text());
}

static void engine_stop(struct fixture *fixture)
{
    fixture->class->client_close(fixture->client);
    assert_int_equal(fixture->class->close(fixture->engine), KIWI_OK);
}

static void fixture_open(struct fixture *fixture, const struct engine_class *class,
                         enum kiwi_durability durability)
{
    memset(fixture, 0, sizeof *fixture);
    fixture->class = class;
    fixture->durability = durability;
    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/kiwi-test-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    assert_int_equal(data_folder_claim(fixture->folder), KIWI_OK);
    data_folder_path(fixture->folder, fixture->data, sizeof fixture->data);
    assert_int_equal(folder_make(fixture->data), KIWI_OK);
    engine_start(fixture, true);
}

static void fixture_close(struct fixture *fixture)
{
    engine_stop(fixture);
    data_folder_remove(fixture->folder);
}

static void execute(struct fixture *fixture, struct kiwi_op *op)
{
    fixture->class->execute(fixture->client, op);
    if (op->status != KIWI_OK && op->status != KIWI_NOT_FOUND)
        fail_msg("%s: verb %u: %s", fixture->class->name, op->verb, fail_text());
}

static void put(struct fixture *fixture, uint32_t record, uint32_t version,
                enum kiwi_durability durability)
{
    char           key[16], value[VALUE_BYTES];
    struct kiwi_op op = { .verb = KIWI_PUT, .durability = (uint8_t)durability };

    key_make(record, key);
    value_make(record, version, value);
    op.key = (struct kiwi_slice){ key, strlen(key) };
    op.value = (struct kiwi_slice){ value, VALUE_BYTES };
    execute(fixture, &op);
    assert_int_equal(op.status, KIWI_OK);
    fixture->versions[record] = version;
}

static void erase(struct fixture *fixture, uint32_t record, enum kiwi_durability durability)
{
    char           key[16];
    struct kiwi_op op = { .verb = KIWI_DELETE, .durability = (uint8_t)durability };

    key_make(record, key);
    op.key = (struct kiwi_slice){ key, strlen(key) };
    execute(fixture, &op);
    assert_int_equal(op.status, KIWI_OK);
    fixture->versions[record] = NONE;
}

static void get_and_compare(struct fixture *fixture, uint32_t record)
{
    char           key[16], value[VALUE_BYTES];
    struct kiwi_op op = { .verb = KIWI_GET };

    key_make(record, key);
    op.key = (struct kiwi_slice){ key, strlen(key) };
    execute(fixture, &op);
    assert_int_equal(op.status, fixture->versions[record] == NONE ? KIWI_NOT_FOUND : KIWI_OK);
    if (op.status != KIWI_OK)
        return;
    value_make(record, fixture->versions[record], value);
    assert_int_equal(op.value_bytes, VALUE_BYTES);
    assert_memory_equal(op.buffer, value, VALUE_BYTES);
}

struct visit {
    const struct fixture *fixture;
    uint32_t              next;   /* the first record that may come */
    uint64_t              rows, stop_after;
};

static bool visit_row(void *context, struct kiwi_slice key, struct kiwi_slice value)
{
    struct visit *visit = context;
    char          expected_key[16], expected[VALUE_BYTES];

    while (visit->next < RECORDS && visit->fixture->versions[visit->next] == NONE)
        visit->next++;
    assert_true(visit->next < RECORDS);
    key_make(visit->next, expected_key);
    value_make(visit->next, visit->fixture->versions[visit->next], expected);
    assert_int_equal(key.size, strlen(expected_key));
    assert_memory_equal(key.data, expected_key, key.size);
    assert_int_equal(value.size, VALUE_BYTES);
    assert_memory_equal(value.data, expected, VALUE_BYTES);
    visit->next++;
    return ++visit->rows != visit->stop_after;
}

static uint64_t rows_from(const struct fixture *fixture, uint32_t record)
{
    uint64_t rows = 0;

    for (; record < RECORDS; record++)
        rows += fixture->versions[record] != NONE;
    return rows;
}

/* stop_after: 0 never. */
static void scan_and_compare(struct fixture *fixture, uint32_t record, uint32_t rows,
                             uint64_t stop_after)
{
    struct visit   visit = { .fixture = fixture, .next = record, .stop_after = stop_after };
    struct kiwi_op op = { .status = KIWI_OK };
    char           key[16];
    uint64_t       expected = min_u64(rows, rows_from(fixture, record));

    if (stop_after > 0)
        expected = min_u64(expected, stop_after);
    key_make(record, key);
    op.key = (struct kiwi_slice){ key, strlen(key) };
    assert_int_equal(fixture->class->scan_prepare(fixture->client, 0, &op, rows), KIWI_OK);
    execute(fixture, &op);
    if (op.status == KIWI_OK)
        assert_int_equal(
            fixture->class->scan_rows(fixture->client, &op, rows, visit_row, &visit), KIWI_OK);
    assert_int_equal(visit.rows, expected);
}

static void all_compare(struct fixture *fixture)
{
    for (uint32_t record = 0; record < RECORDS; record++)
        get_and_compare(fixture, record);
    for (uint32_t record = 0; record < RECORDS; record += 97)
        scan_and_compare(fixture, record, 1 + record % 100, 0);
    scan_and_compare(fixture, 10, 100, 7);
    scan_and_compare(fixture, RECORDS - 5, 100, 0);
    scan_and_compare(fixture, RECORDS + 1, 10, 0);
}

/* The driver idles between phases and must find everything as before. */
static void life(const struct engine_class *class, enum kiwi_durability durability)
{
    static struct fixture fixture;
    char                  text[400] = "";

    fixture_open(&fixture, class, durability);
    class->describe(fixture.engine, text, sizeof text);
    assert_true(strlen(text) > 10);
    for (uint32_t record = 0; record < RECORDS; record++)
        put(&fixture, record, 1, KIWI_PROCESS);
    all_compare(&fixture);
    (void)class->idle(fixture.client, 0);
    for (uint32_t record = 0; record < RECORDS; record += 3)
        erase(&fixture, record, record % 99 == 0 ? durability : KIWI_PROCESS);
    erase(&fixture, 3, KIWI_PROCESS); /* nothing is there any more */
    for (uint32_t record = 1; record < RECORDS; record += 7)
        put(&fixture, record, 2, record % 98 == 1 ? durability : KIWI_PROCESS);
    all_compare(&fixture);
    engine_stop(&fixture);
    engine_start(&fixture, false);
    all_compare(&fixture);
    if (class->debt != NULL)
        assert_true(class->debt(fixture.engine) < 64u << 20);
    fixture_close(&fixture);
}

static void every_engine_reads_what_was_written(void **state)
{
    const struct engine_class *const *engines;
    size_t                            count;

    (void)state;
    engines = engine_list(&count);
    for (size_t i = 0; i < count; i++) {
        if (!engines[i]->keeps_data)
            continue;
        print_message("%s\n", engines[i]->name);
        life(engines[i], KIWI_PROCESS);
    }
}

static void every_engine_takes_durable_writes(void **state)
{
    const struct engine_class *const *engines;
    size_t                            count;

    (void)state;
    engines = engine_list(&count);
    for (size_t i = 0; i < count; i++)
        if (engines[i]->keeps_data)
            life(engines[i], KIWI_DURABLE);
}

static void an_engine_that_is_missing_is_told_with_its_package(void **state)
{
    (void)state;
    assert_int_equal(engine_absent("wiredtiger"), KIWI_INVALID);
    assert_non_null(strstr(fail_text(), "libwiredtiger-dev"));
    assert_int_equal(engine_absent("nul"), KIWI_INVALID);
    assert_non_null(strstr(fail_text(), "did you mean 'null'"));
    assert_int_equal(engine_absent("oracle-of-delphi"), KIWI_INVALID);
    assert_null(strstr(fail_text(), "did you mean"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_engine_reads_what_was_written),
        cmocka_unit_test(every_engine_takes_durable_writes),
        cmocka_unit_test(an_engine_that_is_missing_is_told_with_its_package),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
