/*
 * A kill check passes engines that keep what they acknowledged, and names what others lose.
 *
 * Method: an engine of this test's own, a file of records and an array, with faults that can be
 * switched on; then every engine of this build.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "bench/folder.h"
#include "bench/kill.h"
#include "bench/report.h"
#include "bench/report_html.h"
#include "bench/suite.h"
#include "tests/support/mode.h"
#include "workloads/values.h"

enum { SLOTS = 32768, VALUE_BYTES = 32, HELD = 64, ROUNDS = 2 };

enum fault {
    FAULT_NONE,
    FAULT_HOLDS_BACK,  /* acknowledges, and writes 64 acknowledgements later */
    FAULT_SKIPS,       /* acknowledges one write in 10 and forgets it */
    FAULT_DAMAGES,     /* one read in 10 gives a flipped bit back */
    FAULT_REFUSES,     /* does not open what is there */
};

struct row {
    uint8_t  key[32];
    uint32_t key_bytes, bytes; /* bytes 0: deleted */
    uint8_t  value[VALUE_BYTES];
};

struct engine {
    pthread_mutex_t lock;
    int             file;
    uint64_t        calls;
    struct row      held[HELD];
    uint64_t        held_count;  /* ever */
    struct row      rows[SLOTS];
};

struct engine_client {
    struct engine *engine;
    uint8_t        value[VALUE_BYTES];
};

static enum fault fault_wanted;
static uint64_t   seed_under_test = 1;

static struct row *row_of(struct engine *engine, const void *key, size_t bytes)
{
    const uint8_t *letters = key;
    size_t         at = 0;

    for (size_t i = 0; i < bytes; i++)
        at = at * 31 + letters[i];
    for (at %= SLOTS; engine->rows[at].key_bytes != 0; at = (at + 1) % SLOTS)
        if (engine->rows[at].key_bytes == bytes && memcmp(engine->rows[at].key, key, bytes) == 0)
            break;
    return &engine->rows[at];
}

static enum kiwi_status test_open(const struct engine_options *options, struct engine **out)
{
    char       path[200];
    struct row row;
    FILE      *log;

    *out = calloc(1, sizeof **out);
    snprintf(path, sizeof path, "%.150s/log", options->directory);
    if (options->must_be_new && access(path, F_OK) == 0)
        return FAIL(KIWI_INVALID, "%s is there already", path);
    (*out)->file = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    pthread_mutex_init(&(*out)->lock, NULL);
    log = fopen(path, "re");
    while (log != NULL && fread(&row, sizeof row, 1, log) == 1)
        *row_of(*out, row.key, row.key_bytes) = row;
    if (fault_wanted != FAULT_REFUSES || log == NULL || ftell(log) == 0) {
        fclose(log);
        return KIWI_OK;
    }
    fclose(log);
    close((*out)->file);
    free(*out);
    return FAIL(KIWI_CORRUPT, "the test's log is no log");
}

static enum kiwi_status test_close(struct engine *engine)
{
    close(engine->file);
    free(engine);
    return KIWI_OK;
}

static enum kiwi_status test_client_open(struct engine *engine, uint32_t index,
                                         struct engine_client **out)
{
    (void)index;
    *out = calloc(1, sizeof **out);
    (*out)->engine = engine;
    return KIWI_OK;
}

static void test_client_close(struct engine_client *client)
{
    free(client);
}

static enum kiwi_status test_write(struct engine *engine, const struct kiwi_op *op)
{
    struct row row = { .key_bytes = (uint32_t)op->key.size }, written;

    memcpy(row.key, op->key.data, op->key.size);
    if (op->verb == KIWI_PUT) {
        row.bytes = (uint32_t)op->value.size;
        memcpy(row.value, op->value.data, op->value.size);
    }
    *row_of(engine, op->key.data, op->key.size) = row;
    if (fault_wanted == FAULT_SKIPS && engine->calls % 10 == 0)
        return KIWI_OK;
    written = row;
    if (fault_wanted == FAULT_HOLDS_BACK) {
        written = engine->held[engine->held_count % HELD];
        engine->held[engine->held_count++ % HELD] = row;
        if (engine->held_count <= HELD)
            return KIWI_OK;
    }
    if (write(engine->file, &written, sizeof written) != (ssize_t)sizeof written)
        return FAIL(KIWI_IO, "the test's log cannot be written");
    return KIWI_OK;
}

static void test_execute(struct engine_client *client, struct kiwi_op *op)
{
    struct engine *engine = client->engine;

    pthread_mutex_lock(&engine->lock);
    engine->calls++;
    if (op->verb == KIWI_GET) {
        const struct row *row = row_of(engine, op->key.data, op->key.size);

        op->status = row->bytes == 0 ? KIWI_NOT_FOUND : KIWI_OK;
        op->value_bytes = row->bytes;
        op->buffer = client->value;
        memcpy(client->value, row->value, row->bytes);
        if (fault_wanted == FAULT_DAMAGES && engine->calls % 10 == 0)
            client->value[VALUE_BYTES - 1] ^= 1;
    } else {
        op->status = test_write(engine, op);
    }
    pthread_mutex_unlock(&engine->lock);
}

static bool test_idle(struct engine_client *client, uint64_t timeout_ns)
{
    (void)client;
    (void)timeout_ns;
    return false;
}

static void test_describe(const struct engine *engine, char *text, size_t bytes)
{
    (void)engine;
    if (bytes > 0)
        text[0] = 0;
}

static const struct engine_class test_class = {
    .name = "test",
    .note = "",
    .keeps_data = true,
    .has_no_submit = true,
    .open = test_open,
    .close = test_close,
    .client_open = test_client_open,
    .client_close = test_client_close,
    .idle = test_idle,
    .execute = test_execute,
    .describe = test_describe,
};

static char folder[64];

static int folder_begin(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/kiwi-kill-XXXXXX");
    fault_wanted = FAULT_NONE;
    return mkdtemp(folder) == NULL || data_folder_claim(folder) != KIWI_OK;
}

static int folder_end(void **state)
{
    (void)state;
    data_folder_remove(folder);
    return 0;
}

/* The test's own engine is killed after a number of writes, so that a slow machine changes nothing;
 * true ones after a time. */
static enum kiwi_status check(const struct engine_class *class, enum client_model model,
                              enum kiwi_durability durability, struct kill_result *result)
{
    const struct kill_options options = {
        .class = class,
        .engine = { .memory_bytes = 32u << 20,
                    .thread_count = 2,
                    .depth = model == CLIENT_BLOCKING ? 1 : 8,
                    .model = model,
                    .durability = durability,
                    .io_backend = KIWI_IO_POSIX,
                    .data_bytes = 1u << 20 },
        .durability = durability,
        .directory = folder,
        .value_bytes = VALUE_BYTES,
        .round_count = ROUNDS,
        .round_seconds = class == &test_class ? 60 : 0.05,
        .round_writes = class == &test_class ? 2000 : 0,
        .seed = seed_under_test
    };
    struct kill_check *check;
    enum kiwi_status   status = kill_begin(&options, &check);

    assert_int_equal(status, KIWI_OK);
    status = kill_run(check, result);
    kill_end(check);
    return status;
}

static void engine_that_writes_before_it_acknowledges_passes(void **state)
{
    struct kill_result result;

    (void)state;
    assert_int_equal(check(&test_class, CLIENT_BLOCKING, KIWI_PROCESS, &result), KIWI_OK);
    assert_int_equal(result.round_count, ROUNDS);
    assert_true(result.acknowledged > 0);
    assert_int_equal(result.records_checked % ROUNDS, 0);
    assert_true(result.records_checked > 0);
    assert_int_equal(result.violation_count, 0);
}

static void expect_violation(enum fault fault, const char *told)
{
    struct kill_result result;

    fault_wanted = fault;
    assert_int_equal(check(&test_class, CLIENT_BLOCKING, KIWI_PROCESS, &result), KIWI_CORRUPT);
    assert_true(result.violation_count > 0);
    if (strstr(result.violations[0], told) == NULL)
        fail_msg("'%s' says nothing of '%s'", result.violations[0], told);
}

static void writes_held_back_in_memory_are_named(void **state)
{
    (void)state;
    expect_violation(FAULT_HOLDS_BACK, "was acknowledged");
}

static void single_forgotten_writes_are_named(void **state)
{
    (void)state;
    expect_violation(FAULT_SKIPS, "user");
}

static void value_that_was_never_written_is_named(void **state)
{
    (void)state;
    expect_violation(FAULT_DAMAGES, "never written");
}

static void folder_that_does_not_open_again_is_a_violation(void **state)
{
    (void)state;
    expect_violation(FAULT_REFUSES, "cannot be opened again");
}

static void versions_between_acknowledged_and_started_are_kept(void **state)
{
    static const struct {
        uint32_t floor, started, found;
        bool     is_found, is_kept;
    } cases[] = {
        { 0, 0, 0, false, true },    { 0, 1, 0, false, true },   { 0, 1, 1, true, true },
        { 0, 0, 1, true, false },    { 1, 1, 0, false, false },  { 5, 6, 4, true, false },
        { 5, 6, 5, true, true },     { 5, 6, 6, true, true },    { 5, 6, 7, true, false },
        { 10, 11, 0, false, true },  { 10, 11, 10, true, true }, { 11, 11, 0, false, true },
        { 11, 11, 10, true, false }, { 11, 12, 0, false, true }, { 11, 12, 11, true, false },
        { 12, 12, 0, false, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (kill_version_is_kept(cases[i].floor, cases[i].started, cases[i].found,
                                 cases[i].is_found) != cases[i].is_kept)
            fail_msg("case %zu", i);
}

static void every_engine_of_this_build_keeps_what_it_acknowledged(void **state)
{
    size_t                            count;
    const struct engine_class *const *list = engine_list(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        const struct engine_class *class = list[i];

        for (enum client_model model = CLIENT_ATTACHED; model <= CLIENT_BLOCKING; model++) {
            struct kill_result result;

            /* The others take seconds to open and close. */
            if (!test_is_long() && (i > 0 || model != CLIENT_ATTACHED)
                && strcmp(class->name, "leveldb") != 0)
                continue;
            if (!class->keeps_data || (class->has_no_submit && model != CLIENT_BLOCKING))
                continue;
            if (check(class, model, KIWI_DURABLE, &result) != KIWI_OK)
                fail_msg("%s, client %u: %s", class->name, model, fail_text());
            assert_int_equal(result.round_count, ROUNDS);
            print_message("%s, client %u: %llu writes, %.2f s\n", class->name, model,
                          (unsigned long long)result.acknowledged, result.seconds);
        }
    }
}

/* run.json and the page name the lost keys. */
static void expect_told(const struct suite *suite)
{
    json_t           *document = report_json(suite, "broken", "kiwidb bench", 4);
    char              path[200], run[160], text[8192];
    enum kiwi_status  status;
    FILE             *page;
    size_t            bytes;

    status = report_files_write(suite, folder, document, run, sizeof run);
    assert_int_equal(status, KIWI_OK);
    assert_int_equal(report_html_make(run), KIWI_OK);
    snprintf(path, sizeof path, "%s/report.html", run);
    page = fopen(path, "r");
    assert_non_null(page);
    bytes = fread(text, 1, sizeof text - 1, page);
    fclose(page);
    text[bytes] = 0;
    if (strstr(text, suite->kills[0].violations[0]) == NULL)
        fail_msg("the page does not name %s", suite->kills[0].violations[0]);
    json_decref(document);
    snprintf(path, sizeof path, "rm -r '%s'", run);
    assert_int_equal(system(path), 0);
}

static void broken_promise_ends_a_suite_before_any_number(void **state)
{
    static struct suite        suite;
    static struct plan         plan;
    const struct bench_options options = { .directory = folder,
                                           .model = CLIENT_BLOCKING,
                                           .is_verifying = true,
                                           .is_kill_checking = true,
                                           .kill_rounds = 1,
                                           .kill_seed = seed_under_test,
                                           .memory_bytes = 32u << 20 };

    (void)state;
    fault_wanted = FAULT_HOLDS_BACK;
    plan.count = 1;
    snprintf(plan.suite, sizeof plan.suite, "broken");
    plan.thread_count = plan.depth = 1;
    plan.value_bytes_max = VALUE_BYTES;
    plan.runs[0] = (struct plan_run){ .durability = KIWI_DURABLE, .is_first = true };
    plan.load_durability = KIWI_MEMORY;
    suite.options = &options;
    suite.plan = &plan;
    suite.class = &test_class;
    assert_int_equal(suite_run(&suite), KIWI_OK);
    assert_int_equal(suite.status, KIWI_CORRUPT);
    assert_true(suite.is_partial);
    assert_int_equal(suite.phase_count, 0);
    assert_int_equal(suite.kill_count, 1);
    assert_int_equal(suite.kills[0].durability, KIWI_DURABLE);
    assert_false(suite_is_kill_checked(&suite, KIWI_DURABLE));
    expect_told(&suite);
    suite_free(&suite);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_begin, folder_end)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(engine_that_writes_before_it_acknowledges_passes),
        TEST(writes_held_back_in_memory_are_named),
        TEST(single_forgotten_writes_are_named),
        TEST(value_that_was_never_written_is_named),
        TEST(folder_that_does_not_open_again_is_a_violation),
        cmocka_unit_test(versions_between_acknowledged_and_started_are_kept),
        TEST(broken_promise_ends_a_suite_before_any_number),
        TEST(every_engine_of_this_build_keeps_what_it_acknowledged),
    };

    if (argc > 1)
        seed_under_test = strtoull(argv[1], NULL, 0);
    printf("seed %llu\n", (unsigned long long)seed_under_test);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
