/*
 * identity.c: the file IDENTITY: that this directory is a database, which one, in which format,
 * over how many shards. A msgpack map behind 8 magic bytes, closed by a checksum.
 */
#include "core/db/db.h"

#include <inttypes.h>
#include <msgpack.h>
#include <stdio.h>
#include <string.h>

#include "core/base/hash.h"
#include "core/base/memory.h"
#include "core/format/plain_map.h"

#define IDENTITY_MAGIC         "KIWIDB\r\n"
#define IDENTITY_VERSION       1u
#define IDENTITY_CHECKSUM_SEED 1u /* in every version, so that a newer one is told from damage */
#define IDENTITY_BYTES_MAX     4096u

struct identity {
    struct database_id id;
    uint64_t           version, shard_count, hash_seed;
    bool               has_id;
};

static void pack_number(msgpack_packer *packer, const char *name, uint64_t value)
{
    msgpack_pack_str(packer, strlen(name));
    msgpack_pack_str_body(packer, name, strlen(name));
    msgpack_pack_uint64(packer, value);
}

static enum kiwi_status identity_write(struct io *io, const char *path,
                                       const struct identity *identity)
{
    msgpack_sbuffer  buffer;
    msgpack_packer   packer;
    enum kiwi_status status;
    le64             checksum;

    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    msgpack_sbuffer_write(&buffer, IDENTITY_MAGIC, 8);
    msgpack_pack_map(&packer, 4);
    pack_number(&packer, "version", identity->version);
    pack_number(&packer, "shards", identity->shard_count);
    pack_number(&packer, "hash_seed", identity->hash_seed);
    msgpack_pack_str(&packer, 2);
    msgpack_pack_str_body(&packer, "id", 2);
    msgpack_pack_bin(&packer, sizeof identity->id);
    msgpack_pack_bin_body(&packer, identity->id.bytes, sizeof identity->id);
    checksum = le64_of(hash_checksum(buffer.data, buffer.size, IDENTITY_CHECKSUM_SEED));
    msgpack_sbuffer_write(&buffer, (const char *)checksum.b, sizeof checksum);
    status = io_write_whole(io, path, buffer.data, buffer.size);
    msgpack_sbuffer_destroy(&buffer);
    return status;
}

static bool name_is(const msgpack_object *key, const char *name)
{
    return key->type == MSGPACK_OBJECT_STR && key->via.str.size == strlen(name)
        && memcmp(key->via.str.ptr, name, key->via.str.size) == 0;
}

static void field_take(struct identity *identity, const msgpack_object_kv *field)
{
    const msgpack_object *value = &field->val;

    if (value->type == MSGPACK_OBJECT_POSITIVE_INTEGER) {
        if (name_is(&field->key, "version"))
            identity->version = value->via.u64;
        else if (name_is(&field->key, "shards"))
            identity->shard_count = value->via.u64;
        else if (name_is(&field->key, "hash_seed"))
            identity->hash_seed = value->via.u64;
    } else if (value->type == MSGPACK_OBJECT_BIN && name_is(&field->key, "id")
               && value->via.bin.size == sizeof identity->id) {
        memcpy(identity->id.bytes, value->via.bin.ptr, sizeof identity->id);
        identity->has_id = true;
    }
}

/* The one door from the bytes of IDENTITY to a struct identity that may be trusted. */
static enum kiwi_status identity_check(const char *path, const uint8_t *data, size_t bytes,
                                       struct identity *identity)
{
    msgpack_unpacked unpacked;
    size_t           at = 0;
    le64             checksum;

    memset(identity, 0, sizeof *identity);
    if (bytes < 16 + 1 || memcmp(data, IDENTITY_MAGIC, 8) != 0)
        return FAIL(KIWI_CORRUPT, "%s at offset 0 is not the identity of a kiwi database", path);
    memcpy(checksum.b, data + bytes - 8, 8);
    if (le64_get(checksum) != hash_checksum(data, bytes - 8, IDENTITY_CHECKSUM_SEED))
        return FAIL(KIWI_CORRUPT, "%s: checksum at offset %zu does not match", path, bytes - 8);
    if (!plain_map_is(data + 8, bytes - 16))
        return FAIL(KIWI_CORRUPT, "%s at offset 8: not a map of plain values", path);
    msgpack_unpacked_init(&unpacked);
    if (msgpack_unpack_next(&unpacked, (const char *)data + 8, bytes - 16, &at)
            == MSGPACK_UNPACK_SUCCESS
        && unpacked.data.type == MSGPACK_OBJECT_MAP)
        for (uint32_t i = 0; i < unpacked.data.via.map.size; i++)
            field_take(identity, &unpacked.data.via.map.ptr[i]);
    msgpack_unpacked_destroy(&unpacked);
    if (identity->version != IDENTITY_VERSION)
        return FAIL(KIWI_UNSUPPORTED,
                    "%s: format version %" PRIu64 "; this library reads version %u",
                    path, identity->version, IDENTITY_VERSION);
    if (!identity->has_id || identity->shard_count == 0
        || identity->shard_count > KIWI_SHARD_COUNT_MAX)
        return FAIL(KIWI_CORRUPT, "%s at offset 8: fields are missing or out of range", path);
    return KIWI_OK;
}

static enum kiwi_status shard_find(void *context, const char *name)
{
    bool *found = context;

    *found |= strncmp(name, "shard-", 6) == 0;
    return KIWI_OK;
}

enum kiwi_status identity_absence_check(struct kiwi_db *db, const char *path)
{
    bool found = false;

    TRY(io_directory_list(db->io, db->directory, shard_find, &found));
    if (!found)
        return KIWI_OK;
    return FAIL(KIWI_CORRUPT, "%s is missing, and there are shards beside it", path);
}

/* What is in a directory that is to become a database, or is one. */
struct place {
    bool has_identity;
    char other[64]; /* the first name that is not ours; empty: none */
};

/* Beside a database's own: the configuration, what file systems and other programs hide. */
static bool is_no_hindrance(const char *name)
{
    static const char *const names[] = { "LOCK", "IDENTITY.new", "config.json", "lost+found" };

    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return name[0] == '.' || strncmp(name, "shard-", 6) == 0;
}

static enum kiwi_status place_look(void *context, const char *name)
{
    struct place *place = context;

    if (strcmp(name, "IDENTITY") == 0)
        place->has_identity = true;
    else if (place->other[0] == 0 && !is_no_hindrance(name))
        snprintf(place->other, sizeof place->other, "%s", name);
    return KIWI_OK;
}

enum kiwi_status identity_place_check(struct kiwi_db *db)
{
    struct place place = { 0 };

    TRY(io_directory_list(db->io, db->directory, place_look, &place));
    if (place.has_identity || place.other[0] == 0)
        return KIWI_OK;
    return FAIL(KIWI_INVALID, "%s holds %s and no database; a new one takes an empty directory",
                db->directory, place.other);
}

static enum kiwi_status identity_create(struct kiwi_db *db, const struct kiwi_options *options,
                                        const char *path, struct identity *identity)
{
    TRY(identity_absence_check(db, path));
    *identity = (struct identity){ .version = IDENTITY_VERSION, .has_id = true };
    identity->shard_count = options->shard_count != 0 ? options->shard_count
                          : min_u64(thread_cpu_count(), options->memory_bytes >> 20);
    identity->shard_count = max_u64(1, min_u64(identity->shard_count, KIWI_SHARD_COUNT_MAX));
    identity->hash_seed = io_random(db->io);
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t word = io_random(db->io);
        memcpy(identity->id.bytes + 8 * i, &word, sizeof word);
    }
    return identity_write(db->io, path, identity);
}

/* A file that no IDENTITY can be is a damaged one. */
static enum kiwi_status identity_read(struct kiwi_db *db, const char *path, void **data,
                                      size_t *bytes)
{
    enum kiwi_status status = io_read_whole(db->io, path, IDENTITY_BYTES_MAX, data, bytes);

    if (status == KIWI_TOO_LARGE)
        return FAIL(KIWI_CORRUPT, "%s has more than %u bytes", path, IDENTITY_BYTES_MAX);
    return status;
}

enum kiwi_status identity_exists(struct kiwi_db *db)
{
    char             path[4096];
    void            *data = NULL;
    size_t           bytes = 0;
    enum kiwi_status status;

    snprintf(path, sizeof path, "%.4000s/IDENTITY", db->directory);
    status = identity_read(db, path, &data, &bytes);
    memory_free(data);
    if (status == KIWI_NOT_FOUND)
        return FAIL(KIWI_NOT_FOUND, "%s is not a kiwi database (no IDENTITY), and create is off",
                    db->directory);
    return status;
}

enum kiwi_status identity_open(struct kiwi_db *db, const struct kiwi_options *options)
{
    char             path[4096];
    void            *data = NULL;
    size_t           bytes = 0;
    struct identity  identity;
    enum kiwi_status status;

    snprintf(path, sizeof path, "%.4000s/IDENTITY", db->directory);
    status = identity_read(db, path, &data, &bytes);
    if (status == KIWI_NOT_FOUND && !options->create)
        return FAIL(KIWI_NOT_FOUND, "%s is not a kiwi database (no IDENTITY), and create is off",
                    db->directory);
    if (status == KIWI_OK && options->must_be_new)
        status = FAIL(KIWI_INVALID, "%s already holds a database", db->directory);
    if (status == KIWI_OK)
        status = identity_check(path, data, bytes, &identity);
    else if (status == KIWI_NOT_FOUND)
        status = identity_create(db, options, path, &identity);
    memory_free(data);
    TRY(status);
    if (options->shard_count != 0 && options->shard_count != identity.shard_count)
        return FAIL(KIWI_INVALID,
                    "%s was created with %" PRIu64 " shards; shard_count is %u (0 takes "
                    "what is there)", db->directory, identity.shard_count, options->shard_count);
    db->database = identity.id;
    db->hash_seed = identity.hash_seed;
    db->shard_count = (uint32_t)identity.shard_count;
    return KIWI_OK;
}
