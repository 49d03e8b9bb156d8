/*
 * What a trace gives back, when its entries are due, and that damage is found wherever it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "bench/trace.h"
#include "core/base/memory.h"
#include "workloads/chance.h"

enum { CLIENTS = 5, ENTRIES = 20000 };

static char                folder[] = "/tmp/kiwi-trace-XXXXXX";
static char                path[64], other[64];
static struct trace_entry  entries[CLIENTS][ENTRIES];
static const char          text[] = "#name\nrecordcount=7\n";

static int folder_make_new(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL)
        return 1;
    snprintf(path, sizeof path, "%s/trace", folder);
    snprintf(other, sizeof other, "%s/other", folder);
    return 0;
}

static int folder_remove(void **state)
{
    (void)state;
    (void)unlink(path);
    (void)unlink(other);
    return rmdir(folder);
}

/* All kinds, sizes and steps of time, from one nanosecond to years. */
static void entries_draw(uint64_t seed, uint32_t count)
{
    for (uint32_t i = 0; i < CLIENTS; i++) {
        struct chance chance = chance_of(seed, i);
        uint64_t      at_ns = 0;

        for (uint32_t j = 0; j < count; j++) {
            struct trace_entry *entry = &entries[i][j];

            memset(entry, 0, sizeof *entry);
            at_ns += chance_below(&chance, 3) == 0 ? 0
                   : chance_next(&chance) >> (14 + chance_below(&chance, 50));
            entry->operation = (enum operation)chance_below(&chance, OPERATION_COUNT);
            entry->client = i;
            entry->record = chance_next(&chance) >> chance_below(&chance, 64);
            if (entry->operation != OPERATION_READ && entry->operation != OPERATION_DELETE)
                entry->size = 1 + (chance_next(&chance) >> (33 + chance_below(&chance, 31)));
            entry->at_ns = at_ns;
        }
    }
}

/* Clients take turns in runs of random length, as threads would. */
static struct trace_about trace_write(uint64_t seed, uint32_t count)
{
    const struct trace_about head = { .client_count = CLIENTS, .is_intended = true, .start_ns = 11,
                                      .seed = seed, .text = text, .text_bytes = sizeof text - 1 };
    struct chance            chance = chance_of(seed, 99);
    struct trace_about       sums;
    struct trace_writer     *writer;
    uint32_t                 done[CLIENTS] = { 0 }, left = CLIENTS * count;
    uint64_t                 waits;

    assert_int_equal(trace_writer_open(path, &head, &writer), KIWI_OK);
    while (left > 0) {
        uint32_t client = (uint32_t)chance_below(&chance, CLIENTS);

        for (uint64_t i = chance_below(&chance, 500); i > 0 && done[client] < count; i--, left--)
            trace_note(trace_writer_client(writer, client), &entries[client][done[client]++]);
    }
    assert_int_equal(trace_writer_close(writer, &sums, &waits), KIWI_OK);
    return sums;
}

static void cursor_compare(const struct trace *trace, uint32_t index, uint32_t count,
                           uint32_t entry_count)
{
    struct trace_cursor      *cursor;
    const struct trace_entry *entry;
    uint32_t                  at[CLIENTS] = { 0 };
    uint64_t                  taken = 0, last_ns = 0;

    assert_int_equal(trace_cursor_open(trace, index, count, &cursor), KIWI_OK);
    while ((entry = trace_cursor_peek(cursor)) != NULL) {
        const struct trace_entry *wanted = &entries[entry->client][at[entry->client]++];

        assert_int_equal(entry->client % count, index);
        assert_int_equal(entry->operation, wanted->operation);
        assert_int_equal(entry->record, wanted->record);
        assert_int_equal(entry->size, wanted->size);
        assert_int_equal(entry->at_ns, wanted->at_ns);
        assert_true(entry->at_ns >= last_ns);
        last_ns = entry->at_ns;
        taken++;
        trace_cursor_take(cursor);
    }
    assert_int_equal(taken, trace_cursor_count(cursor));
    for (uint32_t i = 0; i < CLIENTS; i++)
        assert_int_equal(at[i], i % count == index ? entry_count : 0);
    trace_cursor_close(cursor);
}

/* Goal: what comes back is what was noted, whoever replays how many clients. Method: random entries
 * of several clients, many blocks of each, read by 1 to 7 cursors. */
static void a_trace_gives_back_what_was_noted_in_order_of_time(void **state)
{
    const char        *given = getenv("KIWI_TEST_SEED");
    const uint64_t     seed = given != NULL ? strtoull(given, NULL, 10) : 20261128u;
    struct trace_about sums;
    struct trace      *trace;

    (void)state;
    print_message("seed %llu\n", (unsigned long long)seed);
    entries_draw(seed, ENTRIES);
    sums = trace_write(seed, ENTRIES);
    assert_int_equal(sums.operation_count, CLIENTS * ENTRIES);
    assert_true(sums.block_count > 2 * CLIENTS);
    assert_int_equal(trace_open(path, &trace), KIWI_OK);
    assert_int_equal(trace_about(trace)->operation_count, CLIENTS * ENTRIES);
    assert_int_equal(trace_about(trace)->block_count, sums.block_count);
    assert_int_equal(trace_about(trace)->value_bytes_max, sums.value_bytes_max);
    assert_int_equal(trace_about(trace)->last_ns, sums.last_ns);
    assert_int_equal(trace_about(trace)->file_bytes, sums.file_bytes);
    assert_int_equal(trace_about(trace)->seed, seed);
    assert_true(trace_about(trace)->is_intended);
    assert_int_equal(trace_about(trace)->text_bytes, sizeof text - 1);
    assert_memory_equal(trace_about(trace)->text, text, sizeof text - 1);
    for (uint32_t count = 1; count <= CLIENTS + 2; count++)
        for (uint32_t i = 0; i < count; i++)
            cursor_compare(trace, i, count, ENTRIES);
    trace_close(trace);
}

/* Goal: the digest names the operations, whatever the clock and the order of blocks were. */
static void the_digest_is_of_operations_and_not_of_times(void **state)
{
    uint64_t digests[3];

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        struct trace *trace;

        entries_draw(3, 6000);
        for (uint32_t j = 0; j < CLIENTS * 6000 && i == 1; j++)
            entries[j / 6000][j % 6000].at_ns /= 2;
        entries[2][77].record += i == 2;
        trace_write(i, 6000);
        assert_int_equal(trace_open(path, &trace), KIWI_OK);
        digests[i] = trace_about(trace)->digest;
        trace_close(trace);
    }
    assert_int_equal(digests[0], digests[1]);
    assert_int_not_equal(digests[0], digests[2]);
}

static uint8_t *file_read(size_t *bytes)
{
    FILE    *file = fopen(path, "rb");
    uint8_t *data = memory_allocate(1u << 20);

    assert_non_null(file);
    assert_non_null(data);
    *bytes = fread(data, 1, 1u << 20, file);
    assert_true(*bytes < 1u << 20);
    fclose(file);
    return data;
}

static enum kiwi_status other_open(const uint8_t *data, size_t bytes)
{
    FILE            *file = fopen(other, "wb");
    struct trace    *trace;
    enum kiwi_status status;

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
    status = trace_open(other, &trace);
    assert_true(status == KIWI_OK || (trace == NULL && strstr(fail_text(), other) != NULL));
    trace_close(trace);
    return status;
}

static void a_trace_cut_at_any_byte_is_refused_with_file_and_place(void **state)
{
    size_t   bytes;
    uint8_t *data;
    char     place[40];

    (void)state;
    entries_draw(5, 20);
    trace_write(5, 20);
    data = file_read(&bytes);
    assert_int_equal(other_open(data, bytes), KIWI_OK);
    for (size_t i = 0; i < bytes; i++) {
        assert_int_equal(other_open(data, i), KIWI_CORRUPT);
        snprintf(place, sizeof place, "byte %zu:", i < 8 ? 0 : i);
        assert_non_null(strstr(fail_text(), place));
    }
    data[bytes] = 0;
    assert_int_equal(other_open(data, bytes + 1), KIWI_CORRUPT);
    assert_non_null(strstr(fail_text(), "follows the end mark"));
    memory_free(data);
}

static void a_trace_with_any_byte_changed_is_refused(void **state)
{
    size_t   bytes;
    uint8_t *data;

    (void)state;
    entries_draw(6, 20);
    trace_write(6, 20);
    data = file_read(&bytes);
    for (size_t i = 0; i < bytes; i++) {
        data[i] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(other_open(data, bytes), KIWI_CORRUPT);
        data[i] ^= (uint8_t)(1u << i % 8);
    }
    memory_free(data);
}

static void what_is_no_trace_or_not_there_is_told(void **state)
{
    struct trace *trace;

    (void)state;
    assert_int_equal(other_open((const uint8_t *)"recordcount=7\n", 14), KIWI_CORRUPT);
    assert_non_null(strstr(fail_text(), "this is no trace"));
    assert_int_equal(trace_open("/nowhere/trace", &trace), KIWI_INVALID);
    assert_non_null(strstr(fail_text(), "/nowhere/trace"));
    assert_int_equal(trace_open(folder, &trace), KIWI_INVALID);
}

static void a_full_disk_ends_the_recording_and_not_the_clients(void **state)
{
    const struct trace_about head = { .client_count = 1, .text = text,
                                      .text_bytes = sizeof text - 1 };
    struct trace_writer     *writer;
    struct trace_entry       entry = { .operation = OPERATION_READ };
    uint64_t                 waits;

    (void)state;
    if (access("/dev/full", W_OK) != 0)
        skip();
    assert_int_equal(trace_writer_open("/dev/full", &head, &writer), KIWI_FULL);
    if (trace_writer_open(path, &head, &writer) != KIWI_OK)
        fail();
    for (entry.record = 0; entry.record < 100000; entry.record++)
        trace_note(trace_writer_client(writer, 0), &entry);
    assert_int_equal(trace_writer_close(writer, NULL, &waits), KIWI_OK);
}

static void at_speed_two_everything_is_due_after_half_the_time(void **state)
{
    (void)state;
    assert_int_equal(trace_due_ns(1000, 1), 1000);
    assert_int_equal(trace_due_ns(1000, 2), 500);
    assert_int_equal(trace_due_ns(1000, 0.25), 4000);
    assert_int_equal(trace_due_ns(1000, 0), 0);
    assert_int_equal(trace_due_ns(0, 3), 0);
    /* A day, exact to the nanosecond. */
    assert_int_equal(trace_due_ns(86400000000001ull, 1), 86400000000001ull);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trace_gives_back_what_was_noted_in_order_of_time),
        cmocka_unit_test(the_digest_is_of_operations_and_not_of_times),
        cmocka_unit_test(a_trace_cut_at_any_byte_is_refused_with_file_and_place),
        cmocka_unit_test(a_trace_with_any_byte_changed_is_refused),
        cmocka_unit_test(what_is_no_trace_or_not_there_is_told),
        cmocka_unit_test(a_full_disk_ends_the_recording_and_not_the_clients),
        cmocka_unit_test(at_speed_two_everything_is_due_after_half_the_time),
    };

    return cmocka_run_group_tests(tests, folder_make_new, folder_remove);
}
