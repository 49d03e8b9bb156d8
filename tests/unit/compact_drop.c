/*
 * compact_drop.c: dropping versions changes what nobody reads.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "compact/pick.h"
#include "core/base/hash.h"

static struct entry version_of(uint64_t sequence, enum entry_kind kind)
{
    return (struct entry){ .key = bytes_of("key", 3), .sequence = sequence, .kind = kind };
}

static bool drops(uint64_t sequence, enum entry_kind kind, uint64_t before, bool is_bottom,
                  const uint64_t *snapshots, uint32_t count)
{
    struct entry entry = version_of(sequence, kind);

    return drop_entry(&entry, before, is_bottom, snapshots, count);
}

static void the_newest_put_always_stays(void **state)
{
    uint64_t snapshots[] = { 1, 5, 100 };

    (void)state;
    assert_false(drops(5, ENTRY_PUT, 0, true, NULL, 0));
    assert_false(drops(5, ENTRY_PUT, 0, true, snapshots, 3));
    assert_false(drops(5, ENTRY_PUT, 0, false, snapshots, 3));
}

static void an_older_version_stays_only_for_a_snapshot_in_between(void **state)
{
    uint64_t snapshots[] = { 10, 20, 30 };

    (void)state;
    assert_true(drops(5, ENTRY_PUT, 9, false, NULL, 0));
    assert_true(drops(5, ENTRY_PUT, 10, false, snapshots, 3)); /* 10 sees the newer one */
    assert_false(drops(5, ENTRY_PUT, 11, false, snapshots, 3));
    assert_false(drops(10, ENTRY_PUT, 11, false, snapshots, 3));
    assert_true(drops(11, ENTRY_PUT, 20, false, snapshots, 3));
    assert_false(drops(30, ENTRY_PUT, 31, false, snapshots, 3));
    assert_true(drops(31, ENTRY_PUT, 32, false, snapshots, 3));
}

static void the_same_version_met_twice_stays_once(void **state)
{
    uint64_t snapshots[] = { 7 };

    (void)state;
    assert_true(drops(7, ENTRY_PUT, 7, false, snapshots, 1));
}

static void a_tombstone_goes_only_at_the_bottom_and_below_no_snapshot(void **state)
{
    uint64_t snapshots[] = { 10 };

    (void)state;
    assert_false(drops(5, ENTRY_DELETE, 0, false, NULL, 0));
    assert_true(drops(5, ENTRY_DELETE, 0, true, NULL, 0));
    assert_true(drops(5, ENTRY_DELETE, 0, true, snapshots, 1));
    assert_true(drops(10, ENTRY_DELETE, 0, true, snapshots, 1));
    assert_false(drops(11, ENTRY_DELETE, 0, true, snapshots, 1));
}

/* What a reader at sequence finds in the versions that are left: 0 for nothing, else the
 * sequence of the put it sees. chain: newest first. */
static uint64_t read_at(const struct entry *chain, const bool *is_dropped, uint32_t count,
                        uint64_t sequence)
{
    for (uint32_t i = 0; i < count; i++)
        if (!is_dropped[i] && chain[i].sequence <= sequence)
            return chain[i].kind == ENTRY_PUT ? chain[i].sequence : 0;
    return 0;
}

/* Goal: no read by a live snapshot, or at the newest sequence, changes. Method: random chains of
 * one key, split into what is merged and, when not at the bottom, older versions that are not. */
static void no_visible_read_changes(void **state)
{
    const char *text = getenv("KIWI_SEED");
    uint64_t    random = text != NULL ? strtoull(text, NULL, 0) : 1234567;
    uint64_t    dropped_count = 0;

    (void)state;
    print_message("seed %" PRIu64 "\n", random);
    for (int round = 0; round < 200000; round++) {
        struct entry chain[12];
        bool         is_dropped[12] = { false }, nothing_dropped[12] = { false };
        uint64_t     snapshots[6], sequence = 1, before = 0;
        uint32_t     count, merged, snapshot_count;

        random = hash_mix(random, (uint64_t)round);
        count = 1 + (uint32_t)(random % 12);
        merged = 1 + (uint32_t)((random >> 8) % count);
        snapshot_count = (uint32_t)((random >> 16) % 7);
        for (uint32_t i = count; i-- > 0;) {
            random = hash_mix(random, i);
            sequence += 1 + random % 3;
            chain[i] = version_of(sequence, random >> 20 & 1 ? ENTRY_PUT : ENTRY_DELETE);
        }
        for (uint32_t i = 0, at = 0; i < snapshot_count; i++) {
            random = hash_mix(random, i);
            at += (uint32_t)(random % 7);
            snapshots[i] = at;
        }
        for (uint32_t i = 0; i < merged; i++) {
            is_dropped[i] = drop_entry(&chain[i], before, merged == count, snapshots,
                                       snapshot_count);
            dropped_count += is_dropped[i];
            before = chain[i].sequence;
        }
        for (uint32_t i = 0; i <= snapshot_count; i++) {
            uint64_t at = i < snapshot_count ? snapshots[i] : SEQUENCE_MAX;

            assert_int_equal(read_at(chain, nothing_dropped, count, at),
                             read_at(chain, is_dropped, count, at));
        }
        if (snapshot_count == 0) /* then one version, at most, is left of what was merged */
            for (uint32_t i = 1; i < merged; i++)
                assert_true(is_dropped[i]);
    }
    assert_true(dropped_count > 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_put_always_stays),
        cmocka_unit_test(an_older_version_stays_only_for_a_snapshot_in_between),
        cmocka_unit_test(the_same_version_met_twice_stays_once),
        cmocka_unit_test(a_tombstone_goes_only_at_the_bottom_and_below_no_snapshot),
        cmocka_unit_test(no_visible_read_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
