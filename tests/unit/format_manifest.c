/*
 * format_manifest.c: the manifest's bytes: payloads against the msgpack library, and no bytes that
 * crash a reader or pass for something else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <msgpack.h>
#include <stdlib.h>

#include "core/format/manifest_format.h"

static uint64_t random_next(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15ull;
    return hash_mix(*state, 3);
}

static uint64_t seed_read(void)
{
    const char *text = getenv("KIWI_SEED");
    uint64_t    seed = text != NULL ? strtoull(text, NULL, 0) : 99;

    print_message("KIWI_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

static const struct manifest_identity identity = { { { 1, 2, 3, 4, 5, 6, 7, 8 } }, 5 };

/* ---- the header block ---- */

static struct manifest_head head_sample(void)
{
    return (struct manifest_head){
        .slot = 1,
        .generation = 7,
        .file_bytes = 1 << 20,
        .state_bytes = 8192,
        .state_group_count = 2,
        .state_checksum = 0x1122334455667788ull,
    };
}

static void header_comes_back_as_it_was(void **state)
{
    uint8_t              block[MANIFEST_PAGE_BYTES];
    struct manifest_head head = head_sample(), again;

    (void)state;
    manifest_head_encode(block, &identity, &head);
    assert_int_equal(manifest_head_decode(block, &identity, 1, &again), KIWI_OK);
    assert_int_equal(again.slot, head.slot);
    assert_int_equal(again.generation, head.generation);
    assert_int_equal(again.successor, 0);
    assert_int_equal(again.file_bytes, head.file_bytes);
    assert_int_equal(again.state_bytes, head.state_bytes);
    assert_int_equal(again.state_group_count, head.state_group_count);
    assert_int_equal(again.state_checksum, head.state_checksum);
    head.successor = 8;
    manifest_head_encode(block, &identity, &head);
    assert_int_equal(manifest_head_decode(block, &identity, 1, &again), KIWI_OK);
    assert_int_equal(again.successor, 8);
}

/* Goal: no flipped bit is ever believed. Method: each of the 32768, one at a time. */
static void header_with_any_bit_flipped_is_rejected(void **state)
{
    uint8_t              block[MANIFEST_PAGE_BYTES];
    struct manifest_head head = head_sample(), again;

    (void)state;
    manifest_head_encode(block, &identity, &head);
    for (size_t bit = 0; bit < 8 * sizeof block; bit++) {
        block[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(manifest_head_decode(block, &identity, 1, &again), KIWI_CORRUPT);
        block[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void header_of_another_place_is_rejected(void **state)
{
    uint8_t                  block[MANIFEST_PAGE_BYTES];
    struct manifest_head     head = head_sample(), again;
    struct manifest_identity other = identity;

    (void)state;
    manifest_head_encode(block, &identity, &head);
    assert_int_equal(manifest_head_decode(block, &identity, 0, &again), KIWI_CORRUPT);
    other.shard++;
    assert_int_equal(manifest_head_decode(block, &other, 1, &again), KIWI_CORRUPT);
    other = identity;
    other.database.bytes[15]++;
    assert_int_equal(manifest_head_decode(block, &other, 1, &again), KIWI_CORRUPT);
}

static void header_of_a_later_version_is_unsupported(void **state)
{
    uint8_t              block[MANIFEST_PAGE_BYTES];
    struct manifest_head head = head_sample(), again;
    uint64_t             seed = hash_mix(database_id_seed(&identity.database), identity.shard);

    (void)state;
    manifest_head_encode(block, &identity, &head);
    block[offsetof(struct manifest_header, version)]++;
    le64 checksum = le64_of(hash_checksum(block + 8, sizeof block - 8,
                                          hash_mix(seed, MANIFEST_MAGIC)));
    memcpy(block, &checksum, sizeof checksum);
    assert_int_equal(manifest_head_decode(block, &identity, 1, &again), KIWI_UNSUPPORTED);
}

static void header_with_impossible_numbers_is_rejected(void **state)
{
    uint8_t              block[MANIFEST_PAGE_BYTES];
    struct manifest_head again;

    (void)state;
    for (uint32_t i = 0; i < 8; i++) {
        struct manifest_head head = head_sample();

        switch (i) {
        case 0: head.generation = 0; break;
        case 1: head.file_bytes = 4095; break;
        case 2: head.file_bytes = 0; break;
        case 3: head.file_bytes = MANIFEST_FILE_BYTES_MAX + 4096; break;
        case 4: head.state_bytes = 100; break;
        case 5: head.state_bytes = head.file_bytes; break;
        case 6: head.state_group_count = 3; break;
        default: head.state_group_count = 0; break;
        }
        manifest_head_encode(block, &identity, &head);
        assert_int_equal(manifest_head_decode(block, &identity, 1, &again), KIWI_CORRUPT);
    }
}

/* Whoever retires a file is younger than it. */
static void header_retired_by_an_older_generation_is_rejected(void **state)
{
    uint8_t              block[MANIFEST_PAGE_BYTES];
    struct manifest_head head = head_sample(), again;
    uint64_t             seed = hash_mix(database_id_seed(&identity.database), identity.shard);

    (void)state;
    for (uint64_t successor = 1; successor <= head.generation + 1; successor++) {
        le64 field = le64_of(successor), checksum;

        manifest_head_encode(block, &identity, &head);
        memcpy(block + offsetof(struct manifest_header, successor), &field, sizeof field);
        checksum = le64_of(hash_checksum(block + 8, sizeof block - 8,
                                         hash_mix(seed, MANIFEST_MAGIC)));
        memcpy(block, &checksum, sizeof checksum);
        assert_int_equal(manifest_head_decode(block, &identity, 1, &again),
                         successor > head.generation ? KIWI_OK : KIWI_CORRUPT);
    }
}

/* ---- groups ---- */

static uint64_t group_make(uint8_t *target, size_t payload_bytes, struct manifest_group *group)
{
    *group = (struct manifest_group){
        .kind = MANIFEST_GROUP_EDIT,
        .generation = 3,
        .number = 9,
        .durable_number = 8,
        .previous_checksum = 77,
        .payload = bytes_of(target + sizeof(struct manifest_group_header), payload_bytes),
    };
    memset(target + sizeof(struct manifest_group_header), 0xab, payload_bytes);
    manifest_group_encode(target, &identity, group);
    return manifest_group_bytes(payload_bytes);
}

static void group_comes_back_as_it_was(void **state)
{
    static uint8_t        space[5 * MANIFEST_PAGE_BYTES];
    static const size_t   sizes[] = { 0, 1, 4031, 4032, 4033, 16000 };
    struct manifest_group group, again;

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        uint64_t bytes = group_make(space, sizes[i], &group);

        assert_int_equal(bytes % MANIFEST_PAGE_BYTES, 0);
        assert_true(manifest_group_decode(space, bytes, &identity, 3, &again));
        assert_int_equal(again.number, 9);
        assert_int_equal(again.durable_number, 8);
        assert_int_equal(again.previous_checksum, 77);
        assert_int_equal(again.checksum, group.checksum);
        assert_int_equal(again.payload.size, sizes[i]);
        assert_false(manifest_group_decode(space, bytes - 1, &identity, 3, &again));
        assert_false(manifest_group_decode(space, bytes, &identity, 2, &again));
        assert_false(manifest_group_decode(space, 0, &identity, 3, &again));
        struct manifest_identity other = identity;
        other.shard++;
        assert_false(manifest_group_decode(space, bytes, &other, 3, &again));
    }
}

static void group_with_any_bit_flipped_is_rejected(void **state)
{
    static uint8_t        space[2 * MANIFEST_PAGE_BYTES];
    struct manifest_group group, again;
    uint64_t              bytes = group_make(space, 5000, &group);

    (void)state;
    for (size_t bit = 0; bit < 8 * bytes; bit++) {
        space[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(manifest_group_decode(space, bytes, &identity, 3, &again));
        space[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(manifest_group_decode(space, bytes, &identity, 3, &again));
}

/* Goal: what verifies is looked at all the same: kind, number, and that no group is its own
 * proof. */
static void group_with_impossible_numbers_is_rejected(void **state)
{
    static uint8_t        space[MANIFEST_PAGE_BYTES];
    struct manifest_group group, again;
    uint64_t              seed = hash_mix(database_id_seed(&identity.database), identity.shard);
    uint64_t              bytes = group_make(space, 100, &group);

    (void)state;
    for (uint32_t i = 0; i < 6; i++) {
        struct manifest_group_header header;
        le64                         checksum;

        memcpy(&header, space, sizeof header);
        header.kind = le32_of(i == 1 ? 0 : i == 2 ? 3 : i == 5 ? MANIFEST_GROUP_STATE
                                                               : MANIFEST_GROUP_EDIT);
        header.number = le64_of(i == 3 ? 0 : 9);
        header.durable_number = le64_of(i == 4 ? 9 : i == 3 ? 0 : 8);
        memcpy(space, &header, sizeof header);
        checksum = le64_of(hash_checksum(space + 8, bytes - 8,
                                         hash_mix(hash_mix(seed, 3), le64_get(header.number))));
        memcpy(space, &checksum, sizeof checksum);
        assert_int_equal(manifest_group_decode(space, bytes, &identity, 3, &again),
                         i == 0 || i == 5);
    }
}

/* ---- edits ---- */

#define KEY_SPACE (2 * KIWI_KEY_BYTES_MAX)

static struct bytes key_random(uint64_t *chance, const uint8_t *space)
{
    static const size_t sizes[] = { 0, 1, 7, 8, 31, 32, 255, 256, 4000, 65535 };

    return bytes_of(space + random_next(chance) % 1000,
                    sizes[random_next(chance) % ARRAY_COUNT(sizes)]);
}

struct sample {
    struct manifest_edit     edit;
    struct manifest_added    added[20];
    uint64_t                 removed[20];
    struct manifest_narrowed narrowed[20];
    uint8_t                  keys[KEY_SPACE];
};

static uint64_t id_random(uint64_t *chance)
{
    return 1 + (random_next(chance) & (MANIFEST_ID_MAX >> random_next(chance) % 56));
}

static void sample_make(struct sample *sample, uint64_t *chance)
{
    struct manifest_edit *edit = &sample->edit;

    for (size_t i = 0; i < sizeof sample->keys; i++)
        sample->keys[i] = (uint8_t)random_next(chance);
    *edit = (struct manifest_edit){
        .scalars = { random_next(chance) & SEQUENCE_MAX, random_next(chance),
                     random_next(chance), id_random(chance) / 2 + 1, id_random(chance) / 2 + 1,
                     id_random(chance) / 2 + 1 },
        .added = sample->added,
        .removed = sample->removed,
        .narrowed = sample->narrowed,
        .added_count = (uint32_t)(random_next(chance) % 20),
        .removed_count = (uint32_t)(random_next(chance) % 20),
        .narrowed_count = (uint32_t)(random_next(chance) % 20),
    };
    for (uint32_t i = 0; i < edit->added_count; i++) {
        struct manifest_added *added = &sample->added[i];
        uint64_t               pages = 1 + random_next(chance) % 100000;

        *added = (struct manifest_added){
            .id = id_random(chance) / 2 + 1,
            .run_id = id_random(chance) / 2 + 1,
            .file_id = id_random(chance) / 2 + 1,
            .level = (uint32_t)(random_next(chance) % KIWI_LEVEL_COUNT_MAX),
            .file_bytes = pages * 4096,
            .data_bytes = random_next(chance) % (pages * 4096 + 1),
            .entry_count = random_next(chance) | 1,
            .raw_bytes = random_next(chance),
            .sequence_max = random_next(chance) & SEQUENCE_MAX,
            .footer_checksum = random_next(chance),
            .smallest = key_random(chance, sample->keys),
            .largest = key_random(chance, sample->keys),
        };
        added->tombstone_count = random_next(chance) % added->entry_count;
        added->sequence_min = random_next(chance) % (added->sequence_max + 1);
        if (bytes_compare(added->smallest, added->largest) > 0) {
            struct bytes smallest = added->largest;

            added->largest = added->smallest;
            added->smallest = smallest;
        }
    }
    for (uint32_t i = 0; i < edit->removed_count; i++)
        sample->removed[i] = id_random(chance) / 2 + 1;
    for (uint32_t i = 0; i < edit->narrowed_count; i++)
        sample->narrowed[i] = (struct manifest_narrowed){ id_random(chance) / 2 + 1,
                                                          key_random(chance, sample->keys) };
}

/* The payload in a heap block of exactly its size, so that a sanitizer sees any step beyond. */
static struct bytes payload_of(const struct manifest_edit *edit)
{
    uint64_t bound = manifest_edit_bound(edit);
    uint8_t *space = malloc(bound), *exact;

    assert_non_null(space);
    uint64_t bytes = manifest_edit_encode(space, bound, edit);
    assert_true(bytes <= bound);
    exact = malloc(bytes);
    assert_non_null(exact);
    memcpy(exact, space, bytes);
    free(space);
    return bytes_of(exact, bytes);
}

static void payload_free(struct bytes payload)
{
    free((void *)(uintptr_t)payload.data);
}

static void added_is_equal(const struct manifest_added *a, const struct manifest_added *b)
{
    assert_true(bytes_equal(a->smallest, b->smallest));
    assert_true(bytes_equal(a->largest, b->largest));
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->run_id, b->run_id);
    assert_int_equal(a->file_id, b->file_id);
    assert_int_equal(a->level, b->level);
    assert_int_equal(a->file_bytes, b->file_bytes);
    assert_int_equal(a->data_bytes, b->data_bytes);
    assert_int_equal(a->entry_count, b->entry_count);
    assert_int_equal(a->tombstone_count, b->tombstone_count);
    assert_int_equal(a->raw_bytes, b->raw_bytes);
    assert_int_equal(a->sequence_min, b->sequence_min);
    assert_int_equal(a->sequence_max, b->sequence_max);
    assert_int_equal(a->footer_checksum, b->footer_checksum);
}

static void edit_comes_back_as_it_was(void **state)
{
    static struct sample      sample;
    struct manifest_edit_view view;
    uint64_t                  chance = seed_read();

    (void)state;
    for (uint32_t round = 0; round < 200; round++) {
        memset(&sample.added, 0, sizeof sample.added);
        sample_make(&sample, &chance);
        struct bytes payload = payload_of(&sample.edit);

        assert_int_equal(manifest_edit_check(payload, &view), KIWI_OK);
        assert_memory_equal(&view.scalars, &sample.edit.scalars, sizeof view.scalars);
        assert_int_equal(view.added_count, sample.edit.added_count);
        assert_int_equal(view.removed_count, sample.edit.removed_count);
        assert_int_equal(view.narrowed_count, sample.edit.narrowed_count);
        for (uint32_t i = 0; i < view.added_count; i++) {
            struct manifest_added added = { 0 };

            manifest_added_next(&view.added, &added);
            added_is_equal(&added, &sample.added[i]);
        }
        for (uint32_t i = 0; i < view.removed_count; i++)
            assert_int_equal(manifest_removed_next(&view.removed), sample.removed[i]);
        for (uint32_t i = 0; i < view.narrowed_count; i++) {
            struct manifest_narrowed narrowed;

            manifest_narrowed_next(&view.narrowed, &narrowed);
            assert_int_equal(narrowed.id, sample.narrowed[i].id);
            assert_true(bytes_equal(narrowed.above, sample.narrowed[i].above));
        }
        assert_int_equal(view.added.size + view.removed.size + view.narrowed.size, 0);
        payload_free(payload);
    }
}

static uint64_t element(const msgpack_object *array, uint32_t index)
{
    assert_int_equal(array->type, MSGPACK_OBJECT_ARRAY);
    assert_true(index < array->via.array.size);
    assert_int_equal(array->via.array.ptr[index].type, MSGPACK_OBJECT_POSITIVE_INTEGER);
    return array->via.array.ptr[index].via.u64;
}

static const msgpack_object *member(const msgpack_object *map, uint32_t index, const char *name)
{
    const msgpack_object_kv *pair = &map->via.map.ptr[index];

    assert_int_equal(pair->key.type, MSGPACK_OBJECT_STR);
    assert_int_equal(pair->key.via.str.size, strlen(name));
    assert_memory_equal(pair->key.via.str.ptr, name, strlen(name));
    return &pair->val;
}

static void any_msgpack_reader_understands_an_edit(void **state)
{
    static struct sample sample;
    uint64_t             chance = seed_read();
    msgpack_unpacked     unpacked;

    (void)state;
    for (uint32_t round = 0; round < 50; round++) {
        size_t offset = 0;

        sample_make(&sample, &chance);
        struct bytes payload = payload_of(&sample.edit);

        msgpack_unpacked_init(&unpacked);
        assert_int_equal(msgpack_unpack_next(&unpacked, (const char *)payload.data, payload.size,
                                             &offset), MSGPACK_UNPACK_SUCCESS);
        assert_int_equal(offset, payload.size);
        assert_int_equal(unpacked.data.type, MSGPACK_OBJECT_MAP);
        assert_int_equal(unpacked.data.via.map.size, 5);
        const msgpack_object *log = member(&unpacked.data, 0, "log");
        assert_int_equal(element(log, 0), sample.edit.scalars.flushed_sequence);
        assert_int_equal(element(log, 2), sample.edit.scalars.log_offset);
        const msgpack_object *next = member(&unpacked.data, 1, "next");
        assert_int_equal(element(next, 1), sample.edit.scalars.file_id_next);
        const msgpack_object *added = member(&unpacked.data, 2, "added");
        assert_int_equal(added->via.array.size, sample.edit.added_count);
        for (uint32_t i = 0; i < added->via.array.size; i++) {
            const msgpack_object *table = &added->via.array.ptr[i];

            assert_int_equal(element(table, 0), sample.added[i].id);
            assert_int_equal(element(table, 11), sample.added[i].footer_checksum);
            assert_int_equal(table->via.array.ptr[13].type, MSGPACK_OBJECT_BIN);
            assert_int_equal(table->via.array.ptr[13].via.bin.size, sample.added[i].largest.size);
        }
        const msgpack_object *removed = member(&unpacked.data, 3, "removed");
        for (uint32_t i = 0; i < sample.edit.removed_count; i++)
            assert_int_equal(element(removed, i), sample.removed[i]);
        assert_int_equal(member(&unpacked.data, 4, "narrowed")->via.array.size,
                         sample.edit.narrowed_count);
        msgpack_unpacked_destroy(&unpacked);
        payload_free(payload);
    }
}

static struct manifest_edit small_edit(struct manifest_added *added)
{
    static const uint64_t                 removed[] = { 3 };
    static const struct manifest_narrowed narrowed[] = { { 4, { (const uint8_t *)"k", 1 } } };

    *added = (struct manifest_added){
        .id = 9, .run_id = 2, .file_id = 5, .level = 1, .file_bytes = 8192, .data_bytes = 4096,
        .entry_count = 10, .tombstone_count = 1, .raw_bytes = 300, .sequence_min = 1,
        .sequence_max = 11, .footer_checksum = 1ull << 63,
        .smallest = bytes_of("a", 1), .largest = bytes_of("b", 1),
    };
    return (struct manifest_edit){
        .scalars = { 11, 2, 8192, 10, 6, 3 },
        .added = added, .added_count = 1,
        .removed = removed, .removed_count = 1,
        .narrowed = narrowed, .narrowed_count = 1,
    };
}

static void edit_with_impossible_numbers_is_rejected(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 15; i++) {
        struct manifest_added     added;
        struct manifest_edit      edit = small_edit(&added);
        struct manifest_edit_view view;

        switch (i) {
        case 0: added.id = 0; break;
        case 1: added.id = MANIFEST_ID_MAX + 1; break;
        case 2: added.run_id = 0; break;
        case 3: added.level = KIWI_LEVEL_COUNT_MAX; break;
        case 4: added.file_bytes = 5000; break;
        case 5: added.data_bytes = 8193; break;
        case 6: added.tombstone_count = 11; break;
        case 7: added.sequence_min = 12; break;
        case 8: added.sequence_max = SEQUENCE_MAX + 1; break;
        case 9: added.largest = bytes_of("", 0); break;
        case 10: edit.scalars.table_id_next = 0; break;
        case 11: edit.scalars.run_id_next = MANIFEST_ID_MAX + 1; break;
        case 12: edit.scalars.flushed_sequence = SEQUENCE_MAX + 1; break;
        case 13: added.file_id = MANIFEST_ID_MAX + 1; break;
        default: break;
        }
        struct bytes payload = payload_of(&edit);
        assert_int_equal(manifest_edit_check(payload, &view), i < 14 ? KIWI_CORRUPT : KIWI_OK);
        payload_free(payload);
    }
}

/* Goal: no payload, however wrong, is read beyond its end, or hangs. Method: every truncation,
 * every single byte set to every value, longer payloads, and chance. What is accepted is walked. */
static void wrong_payloads_never_crash(void **state)
{
    struct manifest_added     added;
    struct manifest_edit      edit = small_edit(&added);
    struct manifest_edit_view view;
    struct bytes              payload = payload_of(&edit);
    uint64_t                  chance = seed_read();
    uint8_t                  *copy = malloc(payload.size);

    (void)state;
    assert_non_null(copy);
    for (size_t size = 0; size < payload.size; size++) {
        uint8_t *shorter = malloc(size + (size == 0));

        memcpy(shorter, payload.data, size);
        assert_int_equal(manifest_edit_check(bytes_of(shorter, size), &view), KIWI_CORRUPT);
        free(shorter);
    }
    assert_int_equal(manifest_edit_check((struct bytes){ NULL, 0 }, &view), KIWI_CORRUPT);
    for (size_t round = 0; round < 256 * payload.size + 100000; round++) {
        memcpy(copy, payload.data, payload.size);
        if (round < 256 * payload.size)
            copy[round / 256] = (uint8_t)round;
        else {
            for (uint64_t i = random_next(&chance) % 8; i < 8; i++)
                copy[random_next(&chance) % payload.size] = (uint8_t)random_next(&chance);
        }
        if (manifest_edit_check(bytes_of(copy, payload.size), &view) != KIWI_OK)
            continue;
        for (uint32_t i = 0; i < view.added_count; i++)
            manifest_added_next(&view.added, &added);
        for (uint32_t i = 0; i < view.removed_count; i++)
            assert_true(manifest_removed_next(&view.removed) > 0);
        for (uint32_t i = 0; i < view.narrowed_count; i++) {
            struct manifest_narrowed narrowed;

            manifest_narrowed_next(&view.narrowed, &narrowed);
        }
    }
    for (uint32_t round = 0; round < 20000; round++) {
        for (size_t i = 0; i < payload.size; i++)
            copy[i] = (uint8_t)random_next(&chance);
        copy[0] = 0x85;
        assert_int_equal(manifest_edit_check(bytes_of(copy, payload.size), &view), KIWI_CORRUPT);
    }
    free(copy);
    payload_free(payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_comes_back_as_it_was),
        cmocka_unit_test(header_with_any_bit_flipped_is_rejected),
        cmocka_unit_test(header_of_another_place_is_rejected),
        cmocka_unit_test(header_of_a_later_version_is_unsupported),
        cmocka_unit_test(header_with_impossible_numbers_is_rejected),
        cmocka_unit_test(header_retired_by_an_older_generation_is_rejected),
        cmocka_unit_test(group_comes_back_as_it_was),
        cmocka_unit_test(group_with_any_bit_flipped_is_rejected),
        cmocka_unit_test(group_with_impossible_numbers_is_rejected),
        cmocka_unit_test(edit_comes_back_as_it_was),
        cmocka_unit_test(any_msgpack_reader_understands_an_edit),
        cmocka_unit_test(edit_with_impossible_numbers_is_rejected),
        cmocka_unit_test(wrong_payloads_never_crash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
