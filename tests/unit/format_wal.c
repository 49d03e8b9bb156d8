/*
 * format_wal.c: the log's bytes: records against the msgpack library in both directions, and no
 * damage that goes unnoticed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <msgpack.h>
#include <stdlib.h>

#include "core/format/wal_format.h"

#define SEED  0x1234567890abcdefull
#define FIRST 1000ull

static uint64_t random_next(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15ull;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

static uint64_t random_seed(void)
{
    const char *text = getenv("KIWI_SEED");
    uint64_t    seed = text != NULL ? strtoull(text, NULL, 0) : 4711;

    print_message("seed %llu (KIWI_SEED)\n", (unsigned long long)seed);
    return seed;
}

static const size_t sizes[] = { 0, 1, 2, 31, 32, 100, 255, 256, 257, 4096, 65535, 65536, 300000 };

static struct entry entry_sample(const uint8_t *space, size_t key_bytes, size_t value_bytes,
                                 uint64_t delta)
{
    return (struct entry){ bytes_of(space, key_bytes), bytes_of(space + key_bytes, value_bytes),
                           FIRST + delta, ENTRY_PUT };
}

static uint8_t *space_of(size_t bytes)
{
    uint8_t *space = malloc(bytes);
    uint64_t state = 5;

    assert_non_null(space);
    for (size_t i = 0; i < bytes; i++)
        space[i] = (uint8_t)random_next(&state);
    return space;
}

static void entries_are_equal(const struct entry *a, const struct entry *b)
{
    assert_int_equal(a->sequence, b->sequence);
    assert_int_equal(a->kind, b->kind);
    assert_true(bytes_equal(a->key, b->key));
    assert_true(bytes_equal(a->value, b->value));
}

/* Goal: what we write is MessagePack. Method: every size class, read by the library. */
static void library_reads_encoded_entries(void **state)
{
    uint8_t       *space = space_of(800000), *target = space_of(800000);
    const uint64_t deltas[] = { 0, 1, 127, 128, 65535, 65536, UINT32_MAX };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        for (size_t j = 0; j < ARRAY_COUNT(sizes) * ARRAY_COUNT(deltas); j++) {
            size_t key_bytes = sizes[i] > KIWI_KEY_BYTES_MAX ? 3 : sizes[i];
            struct entry entry = entry_sample(space, key_bytes, sizes[j % ARRAY_COUNT(sizes)],
                                              deltas[j / ARRAY_COUNT(sizes)]);
            struct wal_record  record;
            msgpack_unpacked   unpacked;
            size_t             at = 0, bytes;
            msgpack_object    *fields;

            bytes = (size_t)(wal_entry_encode(target, &entry, FIRST, SEED) - target);
            assert_true(bytes <= wal_entry_bound(&entry));
            msgpack_unpacked_init(&unpacked);
            assert_int_equal(msgpack_unpack_next(&unpacked, (const char *)target, bytes, &at),
                             MSGPACK_UNPACK_SUCCESS);
            assert_int_equal(at, bytes);
            assert_int_equal(unpacked.data.type, MSGPACK_OBJECT_ARRAY);
            assert_int_equal(unpacked.data.via.array.size, 5);
            fields = unpacked.data.via.array.ptr;
            assert_int_equal(fields[0].via.u64, ENTRY_PUT);
            assert_int_equal(fields[1].via.u64, entry.sequence - FIRST);
            assert_int_equal(fields[2].type, MSGPACK_OBJECT_BIN);
            assert_int_equal(fields[3].type, MSGPACK_OBJECT_BIN);
            assert_true(bytes_equal(bytes_of(fields[2].via.bin.ptr, fields[2].via.bin.size),
                                    entry.key));
            assert_true(bytes_equal(bytes_of(fields[3].via.bin.ptr, fields[3].via.bin.size),
                                    entry.value));
            assert_int_equal(fields[4].type, MSGPACK_OBJECT_POSITIVE_INTEGER);
            msgpack_unpacked_destroy(&unpacked);
            assert_ptr_equal(wal_record_decode(target, target + bytes, FIRST, SEED, &record),
                             target + bytes);
            entries_are_equal(&record.entry, &entry);
        }
    free(space);
    free(target);
}

static void library_reads_encoded_batches(void **state)
{
    uint8_t         target[4096];
    struct wal_part parts[KIWI_SHARD_COUNT_MAX];

    (void)state;
    for (uint32_t count = 0; count <= KIWI_SHARD_COUNT_MAX; count++) {
        struct wal_batch  batch = { FIRST + 5, count + 1, count, parts, NULL };
        struct wal_record record;
        struct wal_part   part;
        const uint8_t    *walk;
        msgpack_unpacked  unpacked;
        size_t            at = 0, bytes;
        msgpack_object   *fields;

        for (uint32_t i = 0; i < count; i++)
            parts[i] = (struct wal_part){ i * 3, SEQUENCE_MAX - i };
        bytes = (size_t)(wal_batch_encode(target, &batch, FIRST, SEED) - target);
        assert_true(bytes <= wal_batch_bound(count));
        msgpack_unpacked_init(&unpacked);
        assert_int_equal(msgpack_unpack_next(&unpacked, (const char *)target, bytes, &at),
                         MSGPACK_UNPACK_SUCCESS);
        assert_int_equal(at, bytes);
        fields = unpacked.data.via.array.ptr;
        assert_int_equal(fields[0].via.u64, WAL_BATCH);
        assert_int_equal(fields[2].via.u64, count + 1);
        assert_int_equal(fields[3].via.array.size, count);
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(fields[3].via.array.ptr[i].via.array.ptr[0].via.u64, i * 3);
            assert_int_equal(fields[3].via.array.ptr[i].via.array.ptr[1].via.u64,
                             SEQUENCE_MAX - i);
        }
        msgpack_unpacked_destroy(&unpacked);
        assert_ptr_equal(wal_record_decode(target, target + bytes, FIRST, SEED, &record),
                         target + bytes);
        assert_int_equal(record.kind, WAL_BATCH);
        assert_int_equal(record.batch.sequence, FIRST + 5);
        assert_int_equal(record.batch.entry_count, count + 1);
        assert_int_equal(record.batch.part_count, count);
        walk = record.batch.encoded_parts;
        for (uint32_t i = 0; i < count; i++) {
            walk = wal_part_decode(walk, &part);
            assert_int_equal(part.shard, i * 3);
            assert_int_equal(part.sequence, SEQUENCE_MAX - i);
        }
    }
}

/* The library takes the shortest form of every number, we take fixed ones; both are MessagePack.
 * The checksums, written down once more. */
static uint32_t checksum_fold(uint64_t hash, uint64_t sequence)
{
    hash ^= SEED + sequence * 0x9e3779b97f4a7c15ull;
    return (uint32_t)(hash ^ hash >> 32);
}

static uint32_t entry_checksum(const struct entry *entry)
{
    uint64_t key = hash_checksum(entry->key.data, entry->key.size, 0);
    uint64_t value = hash_checksum(entry->value.data, entry->value.size, 0);

    return checksum_fold((key + (uint64_t)entry->kind) * 0xd6e8feb86659fd93ull + value,
                         entry->sequence);
}

static void entry_packed_by_the_library_decodes(void **state)
{
    uint8_t        *space = space_of(800000);
    const uint64_t  deltas[] = { 0, 1, 127, 128, 255, 256, 65535, 65536, UINT32_MAX };

    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(sizes) * ARRAY_COUNT(deltas); i++) {
        uint64_t       delta = deltas[i / ARRAY_COUNT(sizes)];
        struct entry   entry = entry_sample(space, i % 200, sizes[i % ARRAY_COUNT(sizes)], delta);
        struct wal_record record;
        msgpack_sbuffer buffer;
        msgpack_packer  packer;

        msgpack_sbuffer_init(&buffer);
        msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
        msgpack_pack_array(&packer, 5);
        msgpack_pack_int(&packer, ENTRY_PUT);
        msgpack_pack_uint64(&packer, delta);
        msgpack_pack_bin(&packer, entry.key.size);
        msgpack_pack_bin_body(&packer, entry.key.data, entry.key.size);
        msgpack_pack_bin(&packer, entry.value.size);
        msgpack_pack_bin_body(&packer, entry.value.data, entry.value.size);
        msgpack_pack_uint32(&packer, entry_checksum(&entry));
        assert_ptr_equal(wal_record_decode((uint8_t *)buffer.data,
                                           (uint8_t *)buffer.data + buffer.size, FIRST, SEED,
                                           &record),
                         (uint8_t *)buffer.data + buffer.size);
        entries_are_equal(&record.entry, &entry);
        msgpack_sbuffer_destroy(&buffer);
    }
    free(space);
}

static void batch_packed_by_the_library_decodes(void **state)
{
    (void)state;
    for (uint32_t count = 0; count <= KIWI_SHARD_COUNT_MAX + 1; count++) {
        struct wal_record record;
        struct wal_part   part;
        const uint8_t    *walk, *end, *data;
        msgpack_sbuffer   buffer;
        msgpack_packer    packer;

        msgpack_sbuffer_init(&buffer);
        msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
        msgpack_pack_array(&packer, 5);
        msgpack_pack_int(&packer, WAL_BATCH);
        msgpack_pack_uint64(&packer, 7);
        msgpack_pack_uint32(&packer, 100 * count + 1);
        msgpack_pack_array(&packer, count);
        for (uint32_t i = 0; i < count; i++) {
            msgpack_pack_array(&packer, 2);
            msgpack_pack_uint32(&packer, i * 10);
            msgpack_pack_uint64(&packer, 1ull << (i % 56));
        }
        msgpack_pack_uint32(&packer, checksum_fold(hash_checksum(buffer.data, buffer.size, 0),
                                                   FIRST + 7));
        data = (const uint8_t *)buffer.data;
        end = wal_record_decode(data, data + buffer.size, FIRST, SEED, &record);
        if (count > KIWI_SHARD_COUNT_MAX) {
            assert_null(end);
        } else {
            assert_ptr_equal(end, data + buffer.size);
            assert_int_equal(record.batch.entry_count, 100 * count + 1);
            walk = record.batch.encoded_parts;
            for (uint32_t i = 0; i < count; i++) {
                walk = wal_part_decode(walk, &part);
                assert_int_equal(part.shard, i * 10);
                assert_int_equal(part.sequence, 1ull << (i % 56));
            }
        }
        msgpack_sbuffer_destroy(&buffer);
    }
}

static void record_with_any_bit_flipped_is_refused(void **state)
{
    uint8_t           space[200] = { 1, 2, 3 }, target[512];
    struct entry      entry = entry_sample(space, 24, 100, 3);
    struct wal_part   parts[2] = { { 0, 9 }, { 1, 17 } };
    struct wal_batch  batch = { FIRST, 2, 2, parts, NULL };
    struct wal_record record;

    (void)state;
    for (uint32_t kind = 0; kind < 2; kind++) {
        size_t bytes = (size_t)((kind == 0 ? wal_entry_encode(target, &entry, FIRST, SEED)
                                           : wal_batch_encode(target, &batch, FIRST, SEED))
                                - target);

        for (size_t bit = 0; bit < bytes * 8; bit++) {
            target[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_null(wal_record_decode(target, target + bytes, FIRST, SEED, &record));
            target[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (size_t end = 0; end < bytes; end++)
            assert_null(wal_record_decode(target, target + end, FIRST, SEED, &record));
        assert_non_null(wal_record_decode(target, target + bytes, FIRST, SEED, &record));
    }
}

static void record_of_another_life_or_sequence_is_refused(void **state)
{
    uint8_t           space[200] = { 1, 2, 3 }, target[512];
    struct entry      entry = entry_sample(space, 24, 100, 3);
    struct wal_record record;
    const uint8_t    *end = wal_entry_encode(target, &entry, FIRST, SEED);
    uint64_t          identity = 77;

    (void)state;
    assert_non_null(wal_record_decode(target, end, FIRST, SEED, &record));
    assert_null(wal_record_decode(target, end, FIRST + 1, SEED, &record));
    assert_null(wal_record_decode(target, end, FIRST, SEED + 1, &record));
    assert_null(wal_record_decode(target, end, SEQUENCE_MAX, SEED, &record));
    assert_true(wal_seed(identity, 1, 5) != wal_seed(identity, 1, 6));
    assert_true(wal_seed(identity, 1, 5) != wal_seed(identity, 2, 5));
    assert_true(wal_seed(identity, 1, 5) != wal_seed(identity + 1, 1, 5));
}

/* Goal: no bytes make the decoder read outside. Method: noise, and noise behind a good beginning,
 * in buffers of the exact size, for the address sanitizer to watch. */
static void decoder_survives_any_bytes(void **state)
{
    uint64_t          seed = random_seed();
    uint8_t           sample[300];
    struct wal_record record;
    uint8_t           space[200] = { 0 };
    struct entry      entry = entry_sample(space, 24, 100, 3);
    size_t            sample_bytes = (size_t)(wal_entry_encode(sample, &entry, FIRST, SEED)
                                              - sample);

    (void)state;
    for (uint32_t round = 0; round < 200000; round++) {
        size_t   bytes = random_next(&seed) % 64;
        uint8_t *noise = malloc(bytes + 1);

        for (size_t i = 0; i < bytes; i++)
            noise[i] = (uint8_t)random_next(&seed);
        if (round % 2 == 0 && bytes > 8) {
            memcpy(noise, sample, random_next(&seed) % 8 + 1);
            noise[1] = (uint8_t)(1 + random_next(&seed) % 3);
        }
        assert_null(wal_record_decode(noise, noise + bytes, FIRST, SEED, &record));
        free(noise);
    }
    assert_non_null(wal_record_decode(sample, sample + sample_bytes, FIRST, SEED, &record));
}

static const struct database_id database = { { 1, 2, 3, 4 } };

static void header_with_any_bit_flipped_is_refused(void **state)
{
    struct wal_file_header header;

    (void)state;
    wal_file_header_build(&header, &database, 3, 1 << 20, 1 << 16);
    assert_int_equal(wal_file_header_check(&header, &database, 3, (1 << 20) + 4096), KIWI_OK);
    assert_int_equal(wal_file_header_check(&header, &database, 3, (1 << 20) + 4095),
                     KIWI_CORRUPT);
    assert_int_equal(wal_file_header_check(&header, &database, 4, (1 << 20) + 4096),
                     KIWI_CORRUPT);
    assert_int_equal(wal_file_header_check(&header, &(struct database_id){ { 0 } }, 3,
                                           (1 << 20) + 4096), KIWI_CORRUPT);
    header.version = le32_of(WAL_VERSION + 1);
    header.checksum = le64_of(hash_checksum(&header, offsetof(struct wal_file_header, checksum),
                                            WAL_MAGIC));
    assert_int_equal(wal_file_header_check(&header, &database, 3, 1 << 30), KIWI_UNSUPPORTED);
    header.version = le32_of(WAL_VERSION);
    header.ring_bytes = le64_of(4095);
    header.checksum = le64_of(hash_checksum(&header, offsetof(struct wal_file_header, checksum),
                                            WAL_MAGIC));
    assert_int_equal(wal_file_header_check(&header, &database, 3, 1 << 30), KIWI_CORRUPT);
    wal_file_header_build(&header, &database, 3, 1 << 20, 1 << 16);
    for (size_t bit = 0; bit < 8 * sizeof header; bit++) {
        ((uint8_t *)&header)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(wal_file_header_check(&header, &database, 3, 1 << 30), KIWI_OK);
        ((uint8_t *)&header)[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void life_with_any_bit_flipped_is_refused(void **state)
{
    struct wal_life life;

    (void)state;
    wal_life_build(&life, 99, 12);
    assert_int_equal(wal_life_check(&life, 99), 12);
    assert_int_equal(wal_life_check(&life, 98), 0);
    for (size_t bit = 0; bit < 8 * sizeof life; bit++) {
        ((uint8_t *)&life)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(wal_life_check(&life, 99), 0);
        ((uint8_t *)&life)[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* Goal: a group is open or closed, never both, and a flipped bit makes it neither, except where an
 * open group is not protected: its length, count and mark. */
static void group_with_any_bit_flipped_is_refused(void **state)
{
    struct { struct wal_group_header header; uint8_t records[64]; } group = {
        .header = {
            .magic = le32_of(WAL_GROUP_MAGIC),
            .version = WAL_VERSION,
            .shard = le16_of(3),
            .length = le32_of(40),
            .record_count = le32_of(1),
            .log_id = le64_of(5),
            .number = le64_of(9),
            .first_sequence = le64_of(100),
            .durable_group = le64_of(8),
            .previous_checksum = le64_of(1234567),
        },
        .records = { 1, 2, 3 },
    };
    struct wal_group_identity identity = { 77, 3 };
    uint64_t                  seed = wal_seed(77, 3, 5);

    (void)state;
    for (uint32_t is_open = 0; is_open < 2; is_open++) {
        group.header.checksum = le64_of(is_open ? wal_group_open_checksum(&group.header, seed)
                                                : wal_group_checksum(&group.header, seed));
        assert_int_equal(wal_group_is_open(&group.header, &identity, sizeof group), is_open);
        assert_int_equal(wal_group_is_closed(&group.header, &identity, sizeof group), !is_open);
        assert_false(wal_group_is_open(&group.header, &identity, 64 + 39));
        assert_false(wal_group_is_closed(&group.header, &identity, 64 + 39));
        for (size_t bit = 0; bit < 8 * (sizeof group.header + 40); bit++) {
            size_t byte = bit / 8;
            bool   is_free = (byte >= 8 && byte < 16) || (byte >= 40 && byte < 48)
                          || byte >= sizeof group.header;

            ((uint8_t *)&group)[byte] ^= (uint8_t)(1u << bit % 8);
            assert_false(wal_group_is_closed(&group.header, &identity, sizeof group));
            if (!is_open || !is_free)
                assert_false(wal_group_is_open(&group.header, &identity, sizeof group));
            ((uint8_t *)&group)[byte] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(library_reads_encoded_entries),
        cmocka_unit_test(library_reads_encoded_batches),
        cmocka_unit_test(entry_packed_by_the_library_decodes),
        cmocka_unit_test(batch_packed_by_the_library_decodes),
        cmocka_unit_test(record_with_any_bit_flipped_is_refused),
        cmocka_unit_test(record_of_another_life_or_sequence_is_refused),
        cmocka_unit_test(decoder_survives_any_bytes),
        cmocka_unit_test(header_with_any_bit_flipped_is_refused),
        cmocka_unit_test(life_with_any_bit_flipped_is_refused),
        cmocka_unit_test(group_with_any_bit_flipped_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
