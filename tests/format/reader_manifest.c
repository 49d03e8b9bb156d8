/*
 * reader_manifest.c: the live manifest of a shard, and the tables that are left after its groups.
 */
#include "tests/format/reader_parts.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define HEADER "manifest_header"
#define GROUP  "manifest_group_header"

static uint64_t shard_seed(const struct reader *reader, const struct reader_shard *shard)
{
    return mix(reader, reader->identity, shard->index);
}

/* The file, its header checked; NULL: retired. */
static uint8_t *slot_read(const struct reader *reader, const struct reader_shard *shard,
                          uint32_t slot)
{
    size_t   bytes, page = number_of(reader, "MANIFEST_PAGE_BYTES");
    uint8_t *data = file_take(shard->directory, slot == 0 ? "manifest-0" : "manifest-1", &bytes);
    uint64_t magic = number_of(reader, "MANIFEST_MAGIC");

    assert_true(bytes >= page);
    assert_int_equal(field_of(reader, data, HEADER, "magic"), magic);
    assert_int_equal(field_of(reader, data, HEADER, "checksum"),
                     checksum_of(data + 8, page - 8,
                                 mix(reader, shard_seed(reader, shard), magic)));
    assert_int_equal(field_of(reader, data, HEADER, "version"),
                     number_of(reader, "MANIFEST_VERSION"));
    assert_int_equal(field_of(reader, data, HEADER, "shard"), shard->index);
    assert_memory_equal(data + field_at(reader, HEADER, "database"), reader->database, 16);
    assert_int_equal(field_of(reader, data, HEADER, "slot"), slot);
    if (field_of(reader, data, HEADER, "successor") != 0) {
        assert_true(field_of(reader, data, HEADER, "successor")
                    > field_of(reader, data, HEADER, "generation"));
        free(data);
        return NULL;
    }
    assert_true(field_of(reader, data, HEADER, "file_bytes") <= bytes);
    assert_true(field_of(reader, data, HEADER, "file_bytes")
                <= number_of(reader, "MANIFEST_FILE_BYTES_MAX"));
    assert_true(field_of(reader, data, HEADER, "state_group_count") >= 1);
    return data;
}

static struct reader_table *table_find(struct reader_shard *shard, uint64_t id)
{
    for (uint32_t i = 0; i < shard->table_count; i++)
        if (shard->tables[i].id == id)
            return &shard->tables[i];
    return NULL;
}

/* The fields in the order of the document. */
static struct reader_table table_take(const struct reader *reader, struct pack *pack)
{
    struct reader_table table = { 0 };
    uint64_t            id_max = number_of(reader, "MANIFEST_ID_MAX"), sequence_min;

    assert_int_equal(pack_array(pack), 14);
    table.id = pack_integer(pack);
    assert_in_range(table.id, 1, id_max);
    table.level = pack_integer(pack);
    assert_true(table.level < number_of(reader, "KIWI_LEVEL_COUNT_MAX"));
    assert_in_range(pack_integer(pack), 1, id_max);
    table.file_id = pack_integer(pack);
    table.file_bytes = pack_integer(pack);
    table.data_bytes = pack_integer(pack);
    table.entries = pack_integer(pack);
    table.tombstones = pack_integer(pack);
    (void)pack_integer(pack);
    sequence_min = pack_integer(pack);
    assert_in_range(pack_integer(pack), sequence_min, number_of(reader, "SEQUENCE_MAX"));
    table.footer_checksum = pack_integer(pack);
    table.smallest = pack_bin(pack);
    table.largest = pack_bin(pack);
    return table;
}

/* One payload: removed, then added (a moved one stays narrowed), then narrowed. */
static void payload_apply(struct reader *reader, struct reader_shard *shard, struct pack pack)
{
    struct reader_table *added;
    uint64_t             count;

    assert_int_equal(pack_map(&pack), 5);
    pack_name(&pack, "log");
    assert_int_equal(pack_array(&pack), 3);
    shard->flushed = pack_integer(&pack);
    shard->log_group = pack_integer(&pack);
    shard->log_offset = pack_integer(&pack);
    pack_name(&pack, "next");
    assert_int_equal(pack_array(&pack), 3);
    for (uint32_t i = 0; i < 3; i++)
        assert_in_range(pack_integer(&pack), 1, number_of(reader, "MANIFEST_ID_MAX"));
    pack_name(&pack, "added");
    count = pack_array(&pack);
    added = calloc(count + 1, sizeof *added);
    assert_non_null(added);
    for (uint64_t i = 0; i < count; i++) {
        const struct reader_table *before;

        added[i] = table_take(reader, &pack);
        before = table_find(shard, added[i].id);
        if (before != NULL)
            added[i].above = before->above;
    }
    pack_name(&pack, "removed");
    for (uint64_t left = pack_array(&pack); left > 0; left--) {
        struct reader_table *table = table_find(shard, pack_integer(&pack));

        assert_non_null(table);
        *table = shard->tables[--shard->table_count];
        reader->reading->counts.removed++;
    }
    shard->tables = realloc(shard->tables, (shard->table_count + count + 1) * sizeof *added);
    assert_non_null(shard->tables);
    for (uint64_t i = 0; i < count; i++) {
        assert_null(table_find(shard, added[i].id));
        shard->tables[shard->table_count++] = added[i];
    }
    free(added);
    pack_name(&pack, "narrowed");
    for (uint64_t left = pack_array(&pack); left > 0; left--) {
        struct reader_table *table;

        assert_int_equal(pack_array(&pack), 2);
        table = table_find(shard, pack_integer(&pack));
        assert_non_null(table);
        table->above = pack_bin(&pack);
        reader->reading->counts.narrowed++;
    }
    assert_ptr_equal(pack.at, pack.end);
}

static void groups_read(struct reader *reader, struct reader_shard *shard, const uint8_t *data)
{
    uint64_t page = number_of(reader, "MANIFEST_PAGE_BYTES"), at = page, previous = 0, number = 1;
    uint64_t end = field_of(reader, data, HEADER, "file_bytes");
    uint64_t state_count = field_of(reader, data, HEADER, "state_group_count");
    uint64_t generation = field_of(reader, data, HEADER, "generation");
    uint64_t header = field_at(reader, GROUP, "reserved") + 4;

    for (; at < end; number++) {
        const uint8_t *group = data + at;
        uint64_t payload = field_of(reader, group, GROUP, "payload_bytes");
        uint64_t bytes = (header + payload + page - 1) / page * page;
        uint64_t seed = mix(reader, mix(reader, shard_seed(reader, shard), generation), number);
        uint64_t checksum = field_of(reader, group, GROUP, "checksum");

        if (field_of(reader, group, GROUP, "magic") != number_of(reader, "MANIFEST_GROUP_MAGIC")
            || bytes > end - at || checksum != checksum_of(group + 8, bytes - 8, seed))
            break;
        assert_int_equal(field_of(reader, group, GROUP, "version"),
                         number_of(reader, "MANIFEST_VERSION"));
        assert_int_equal(field_of(reader, group, GROUP, "kind"),
                         number_of(reader, number <= state_count ? "MANIFEST_GROUP_STATE"
                                                                 : "MANIFEST_GROUP_EDIT"));
        assert_int_equal(field_of(reader, group, GROUP, "generation"), generation);
        assert_int_equal(field_of(reader, group, GROUP, "number"), number);
        assert_int_equal(field_of(reader, group, GROUP, "durable_number"),
                         number <= state_count ? 0 : number - 1);
        assert_int_equal(field_of(reader, group, GROUP, "previous_checksum"), previous);
        payload_apply(reader, shard, (struct pack){ group + header, group + header + payload });
        previous = checksum;
        at += bytes;
        if (number == state_count) {
            assert_int_equal(checksum, field_of(reader, data, HEADER, "state_checksum"));
            assert_int_equal(at - page, field_of(reader, data, HEADER, "state_bytes"));
        }
    }
    assert_true(number > state_count);
    reader->reading->counts.edits += (uint32_t)(number - 1 - state_count);
}

void reader_manifest(struct reader *reader, struct reader_shard *shard)
{
    uint8_t *slots[2];

    assert_int_equal(number_of(reader, "MANIFEST_SLOT_COUNT"), 2);
    for (uint32_t i = 0; i < 2; i++)
        slots[i] = slot_read(reader, shard, i);
    assert_true(slots[0] != NULL || slots[1] != NULL);
    if (slots[0] != NULL && slots[1] != NULL) { /* a switch was cut short: the newer one counts */
        uint32_t older = field_of(reader, slots[0], HEADER, "generation")
                       > field_of(reader, slots[1], HEADER, "generation");

        free(slots[older]);
        slots[older] = NULL;
    }
    shard->manifest = slots[0] != NULL ? slots[0] : slots[1];
    groups_read(reader, shard, shard->manifest);
}
