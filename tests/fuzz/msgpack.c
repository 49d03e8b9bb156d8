/*
 * msgpack.c: the readers of msgpack on the input's bytes, against the msgpack library.
 *
 * The first byte chooses the reader: records of the log, edits of the manifest, properties of a
 * table, IDENTITY. What a reader of ours accepts, the library reads as one object of that shape and
 * length.
 */
#include <msgpack.h>

#include "core/format/manifest_format.h"
#include "core/format/plain_map.h"
#include "core/format/table_format.h"
#include "core/format/wal_format.h"
#include "io/simulated.h"
#include "kiwi/kiwi.h"
#include "tests/fuzz/fuzz.h"

static void library_agrees(const uint8_t *bytes, size_t size, size_t end,
                           msgpack_object_type type, uint32_t count)
{
    msgpack_unpacked unpacked;
    size_t           at = 0;

    msgpack_unpacked_init(&unpacked);
    fuzz_promise(msgpack_unpack_next(&unpacked, (const char *)bytes, size, &at)
                 == MSGPACK_UNPACK_SUCCESS);
    fuzz_promise(at == end && unpacked.data.type == type);
    fuzz_promise(count == 0 || unpacked.data.via.array.size == count);
    msgpack_unpacked_destroy(&unpacked);
}

/* A msgpack integer or length of so many bytes behind its type; false: none of these types. */
static bool number_take(struct fuzz_input *input, uint8_t type_of_8_bits, uint64_t *value)
{
    uint8_t type = fuzz_byte(input);
    size_t  bytes;

    *value = type;
    if (type_of_8_bits == 0xcc && type < 0x80)
        return true;
    if (type < type_of_8_bits || type > type_of_8_bits + 3)
        return false;
    bytes = (size_t)1 << (type - type_of_8_bits);
    if (fuzz_left(input) < bytes)
        return false;
    for (*value = 0; bytes > 0; bytes--)
        *value = *value << 8 | fuzz_byte(input);
    return true;
}

/* Makes the checksum of a put or delete right: chance would never find it. */
static void record_seal(uint8_t *bytes, size_t size, uint64_t first, uint64_t seed)
{
    struct fuzz_input input = { bytes, bytes + size };
    struct entry      entry = { 0 };
    uint64_t          delta, length;
    uint8_t          *again, *end;

    if (fuzz_byte(&input) != 0x95)
        return;
    entry.kind = fuzz_byte(&input) == WAL_DELETE ? ENTRY_DELETE : ENTRY_PUT;
    if (!number_take(&input, 0xcc, &delta) || delta > UINT32_MAX)
        return;
    entry.sequence = first + delta;
    if (!number_take(&input, 0xc4, &length) || length > KIWI_KEY_BYTES_MAX)
        return;
    entry.key.data = fuzz_span(&input, length, &entry.key.size);
    if (!number_take(&input, 0xc4, &length) || (entry.kind == ENTRY_DELETE && length > 0))
        return;
    entry.value.data = fuzz_span(&input, length, &entry.value.size);
    if (fuzz_left(&input) < 5 || fuzz_byte(&input) != 0xce)
        return;
    again = malloc(wal_entry_bound(&entry));
    fuzz_promise(again != NULL);
    end = wal_entry_encode(again, &entry, first, seed);
    memcpy(bytes + (input.at - bytes), end - 4, 4);
    free(again);
}

static void record_give(struct fuzz_input *input)
{
    size_t   bytes = fuzz_left(input);
    uint8_t *copy = malloc(bytes + 1), *again = malloc(bytes + 128);
    uint64_t first = 5, seed = 77;
    struct wal_record record;
    const uint8_t    *end;

    fuzz_promise(copy != NULL && again != NULL);
    if (bytes > 0)
        memcpy(copy, input->at, bytes);
    record_seal(copy, bytes, first, seed);
    end = wal_record_decode(copy, copy + bytes, first, seed, &record);
    if (end != NULL) {
        fuzz_promise(end > copy && end <= copy + bytes);
        library_agrees(copy, bytes, (size_t)(end - copy), MSGPACK_OBJECT_ARRAY, 5);
        if (record.kind != WAL_BATCH) {
            struct wal_record same;
            uint8_t *written = wal_entry_encode(again, &record.entry, first, seed);

            fuzz_promise(wal_record_decode(again, written, first, seed, &same) == written);
            fuzz_promise(bytes_equal(same.entry.key, record.entry.key));
            fuzz_promise(same.entry.sequence == record.entry.sequence);
        }
    }
    free(copy);
    free(again);
}

static void edit_give(struct fuzz_input *input)
{
    size_t   bytes = fuzz_left(input);
    uint8_t *copy = malloc(bytes + 1);
    struct manifest_edit_view view;

    fuzz_promise(copy != NULL);
    if (bytes > 0)
        memcpy(copy, input->at, bytes);
    if (manifest_edit_check(bytes_of(copy, bytes), &view) == KIWI_OK)
        library_agrees(copy, bytes, bytes, MSGPACK_OBJECT_MAP, 5);
    free(copy);
}

static void properties_give(struct fuzz_input *input)
{
    size_t   bytes = fuzz_left(input);
    uint8_t *copy = malloc(bytes + 1), *again;
    struct table_properties properties, same;

    fuzz_promise(copy != NULL);
    if (bytes > 0)
        memcpy(copy, input->at, bytes);
    if (table_properties_decode(copy, (uint32_t)bytes, &properties) == KIWI_OK) {
        uint32_t used;

        again = malloc(table_properties_bound(&properties));
        fuzz_promise(again != NULL);
        used = table_properties_encode(&properties, again);
        library_agrees(again, used, used, MSGPACK_OBJECT_MAP, 16);
        fuzz_promise(table_properties_decode(again, used, &same) == KIWI_OK);
        fuzz_promise(same.entry_count == properties.entry_count
                     && bytes_equal(same.smallest, properties.smallest)
                     && bytes_equal(same.largest, properties.largest));
        free(again);
    }
    free(copy);
}

/* Whether the map says 64 shards: that many would be opened, at length. */
static bool is_of_64_shards(const uint8_t *bytes, size_t size)
{
    msgpack_unpacked unpacked;
    size_t           at = 0;
    bool             is_so = false;

    if (!plain_map_is(bytes, size)) /* nor will it be read */
        return false;
    msgpack_unpacked_init(&unpacked);
    if (msgpack_unpack_next(&unpacked, (const char *)bytes, size, &at) == MSGPACK_UNPACK_SUCCESS)
        for (uint32_t i = 0; i < unpacked.data.via.map.size; i++)
            is_so |= unpacked.data.via.map.ptr[i].val.type == MSGPACK_OBJECT_POSITIVE_INTEGER
                  && unpacked.data.via.map.ptr[i].val.via.u64 == KIWI_SHARD_COUNT_MAX;
    msgpack_unpacked_destroy(&unpacked);
    return is_so;
}

/* Another number of shards is asked for than the input's IDENTITY has: nothing is opened. */
static void identity_give(struct fuzz_input *input)
{
    struct simulation_options simulated = { .seed = 1 };
    struct kiwi_options       options = kiwi_options_default();
    struct simulation        *simulation;
    struct io_file           *file;
    struct kiwi_db           *db = NULL;
    size_t                    bytes = fuzz_left(input) < 4000 ? fuzz_left(input) : 4000;
    uint8_t                  *data = malloc(bytes + 16);
    uint64_t                  checksum;
    enum kiwi_status          status;

    fuzz_promise(data != NULL && simulation_open(&simulated, &simulation) == KIWI_OK);
    memcpy(data, "KIWIDB\r\n", 8);
    if (bytes > 0)
        memcpy(data + 8, input->at, bytes);
    checksum = hash_checksum(data, bytes + 8, 1);
    memcpy(data + 8 + bytes, &checksum, 8);
    options.io = simulation_io(simulation);
    options.drive = KIWI_ATTACHED;
    options.must_be_new = false;
    options.shard_count = KIWI_SHARD_COUNT_MAX;
    fuzz_promise(io_directory_create(options.io, "/database") == KIWI_OK);
    fuzz_promise(io_file_open(options.io, "/database/IDENTITY", IO_CREATE, &file) == KIWI_OK);
    fuzz_promise(io_file_write(file, data, bytes + 16, 0) == KIWI_OK);
    io_file_close(file);
    if (!is_of_64_shards(data + 8, bytes)) {
        status = kiwi_open("/database", &options, &db);
        fuzz_promise(db == NULL);
        fuzz_promise(status == KIWI_CORRUPT || status == KIWI_UNSUPPORTED
                     || status == KIWI_INVALID);
        if (status == KIWI_INVALID)
            fuzz_promise(strstr(kiwi_error_text(), "shard_count") != NULL);
    }
    simulation_close(simulation);
    free(data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_input input = { data, data + bytes };

    switch (fuzz_byte(&input) % 4) {
    case 0: record_give(&input); break;
    case 1: edit_give(&input); break;
    case 2: properties_give(&input); break;
    case 3: identity_give(&input); break;
    }
    return 0;
}
