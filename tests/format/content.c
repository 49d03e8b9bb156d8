/*
 * content.c: writes the databases, keeps their files, lists what is in them.
 */
#include "tests/format/content.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#define KEY_COUNT     220u
#define VERSION_COUNT 12u

static const char *const kind_names[CONTENT_KIND_COUNT] = { "clean", "killed", "layered" };

const char *content_kind_name(enum content_kind kind)
{
    return kind_names[kind];
}

#define must_be_ok(call)                                                                      \
    do {                                                                                      \
        enum kiwi_status call_status = (call);                                                \
        if (call_status != KIWI_OK)                                                           \
            fail_msg("%s: %s: %s", #call, kiwi_status_text(call_status), kiwi_error_text());   \
    } while (0)

void content_world_make(struct world *world)
{
    world_make(world, WORLD_ATTACHED, 1);
    world->options.log_bytes = 256u << 10;
    world->options.memtable_bytes = 1u << 20; /* flushed when asked for only */
}

/* Key 0 is empty; one in eight is longer than what data blocks cut; the rest share prefixes, and
 * those of a block have one length (from 100 on) or several. */
static struct kiwi_slice key_of(uint32_t i, char room[400])
{
    int bytes = 0;

    if (i > 0 && i < 100)
        bytes = snprintf(room, 400, "basket/%u/%.*s", i, (int)(i % 7), "abcdefg");
    else if (i >= 100)
        bytes = snprintf(room, 400, "customer/%08u", i);
    if (i % 31 == 30)
        bytes = snprintf(room, 400, "letter/%u/%0300u", i, i);
    return (struct kiwi_slice){ room, (size_t)bytes };
}

static struct kiwi_slice value_of(uint32_t i, uint32_t round, char room[2048])
{
    uint64_t state = i * 1000003ull + round;
    uint32_t bytes = (uint32_t)chance_below(&state, 90);

    for (uint32_t at = 0; at < bytes; at++)
        room[at] = (char)('a' + chance_below(&state, 26));
    return (struct kiwi_slice){ room, bytes };
}

static void put(struct world *world, uint32_t i, uint32_t round)
{
    char key[400], value[2048];

    must_be_ok(kiwi_put(world->context, key_of(i, key), value_of(i, round, value), KIWI_PROCESS));
}

static void erase(struct world *world, uint32_t i)
{
    char key[400];

    must_be_ok(kiwi_delete(world->context, key_of(i, key), KIWI_PROCESS));
}

/* count operations on keys from first on, in one batch; over both shards unless of one key. */
static void batch_write(struct world *world, uint32_t first, uint32_t count, uint32_t round)
{
    struct kiwi_batch *batch;
    char               key[400], value[2048];

    must_be_ok(kiwi_batch_open(&batch));
    for (uint32_t i = first; i < first + count; i++) {
        if (i % 5 == 4)
            must_be_ok(kiwi_batch_delete(batch, key_of(i, key)));
        else
            must_be_ok(kiwi_batch_put(batch, key_of(i, key), value_of(i, round, value)));
    }
    must_be_ok(kiwi_write(world->context, batch, KIWI_PROCESS));
    kiwi_batch_close(batch);
}

/* Versions of one key that snapshots keep, of a size that spreads them over blocks. */
static void versions_write(struct world *world)
{
    struct kiwi_snapshot *snapshots[VERSION_COUNT];
    char                  key[400], value[2048];

    for (uint32_t i = 0; i < VERSION_COUNT; i++) {
        memset(value, (int)('A' + i), 900);
        must_be_ok(kiwi_put(world->context, key_of(150, key), (struct kiwi_slice){ value, 900 },
                            KIWI_PROCESS));
        must_be_ok(kiwi_snapshot_open(world->db, &snapshots[i]));
    }
    must_be_ok(kiwi_flush(world->context));
    for (uint32_t i = 0; i < VERSION_COUNT; i++)
        kiwi_snapshot_close(snapshots[i]);
}

static void layers_write(struct world *world)
{
    char *large = calloc(1, 40000);
    char  key[400];

    assert_non_null(large);
    must_be_ok(kiwi_compact(world->context, (struct kiwi_slice){ 0 }, (struct kiwi_slice){ 0 }));
    for (uint32_t i = 0; i < KEY_COUNT; i += 3)
        put(world, i, 2);
    for (uint32_t i = 1; i < KEY_COUNT; i += 9)
        erase(world, i);
    must_be_ok(kiwi_put(world->context, key_of(101, key), (struct kiwi_slice){ large, 40000 },
                        KIWI_PROCESS));
    free(large);
    must_be_ok(kiwi_flush(world->context));
    for (uint32_t i = 10; i < 90; i += 10)
        batch_write(world, i, 8, 3);
    versions_write(world);
    for (uint32_t i = 100; i < 180; i += 20)
        batch_write(world, i, 12, 4);
    batch_write(world, 7, 1, 4);
    for (uint32_t i = 2; i < KEY_COUNT; i += 11)
        erase(world, i);
}

void content_write(struct world *world, enum content_kind kind)
{
    for (uint32_t i = 0; i < KEY_COUNT; i++)
        put(world, i, 0);
    must_be_ok(kiwi_flush(world->context));
    if (kind == CONTENT_LAYERED)
        layers_write(world);
    for (uint32_t i = 0; i < KEY_COUNT; i += 5)
        put(world, i, 7);
    for (uint32_t i = 5; i < KEY_COUNT; i += 20)
        erase(world, i);
    must_be_ok(kiwi_wait_durable(world->context));
    if (kind == CONTENT_CLEAN)
        return;
    for (uint32_t i = 0; i < 20; i++)
        put(world, i * 3, 8);
    batch_write(world, 40, 6, 8);
}

void content_image_take(struct world *world, enum content_kind kind, struct image *image)
{
    if (kind == CONTENT_CLEAN)
        must_be_ok(world_close(world));
    image_take(image, world->directory);
    if (kind != CONTENT_CLEAN)
        must_be_ok(world_close(world));
}

void content_image_place(const struct image *image, char *directory)
{
    const char *base = getenv("TMPDIR");
    char        path[400];

    snprintf(directory, 256, "%s/kiwi-format-XXXXXX", base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(directory));
    for (uint32_t i = 0; i < image->count; i++) {
        const char *slash = strchr(image->files[i].path, '/');

        if (slash == NULL)
            continue;
        snprintf(path, sizeof path, "%s/%.*s", directory, (int)(slash - image->files[i].path),
                 image->files[i].path);
        (void)mkdir(path, 0755); /* once for each of its files */
    }
    image_put(image, directory);
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

void content_directory_remove(const char *directory)
{
    assert_int_equal(nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void content_line(FILE *file, const void *key, size_t key_bytes, const void *value,
                  size_t value_bytes)
{
    for (size_t i = 0; i < key_bytes; i++)
        fprintf(file, "%02x", ((const uint8_t *)key)[i]);
    fprintf(file, "%s %zu %016llx\n", key_bytes == 0 ? "-" : "", value_bytes,
            (unsigned long long)XXH3_64bits(value, value_bytes));
}

void content_list(struct kiwi_context *context, FILE *file)
{
    struct kiwi_iterator *iterator;
    enum kiwi_status      status;

    must_be_ok(kiwi_iterator_open(context, NULL, &iterator));
    for (status = kiwi_iterator_first(iterator); status == KIWI_OK;
         status = kiwi_iterator_next(iterator)) {
        struct kiwi_slice key = kiwi_iterator_key(iterator);
        struct kiwi_slice value = kiwi_iterator_value(iterator);

        content_line(file, key.data, key.size, value.data, value.size);
    }
    if (status != KIWI_NOT_FOUND)
        fail_msg("iterator: %s", kiwi_error_text());
    kiwi_iterator_close(iterator);
}
