/*
 * samples_test.c: databases that earlier builds wrote.
 *
 * Goal: every sample is read, key for key, and goes on as a database; a file of a later version is
 * refused with its name and left as it is. Method: a copy of each is opened by the engine and read
 * by the reader made from docs/format.md, and both compared with the committed listing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "tests/format/content.h"
#include "tests/format/reader.h"
#include "tests/samples/sample.h"

#define LINE_BYTES_MAX 1024

static struct document document;
static char            folder[600]; /* of the samples of the present versions */

static void path_of(enum content_kind kind, const char *ending, char path[700])
{
    snprintf(path, 700, "%s/%s.%s", folder, content_kind_name(kind), ending);
}

static char *text_read(const char *path)
{
    FILE  *file = fopen(path, "r");
    char  *text = NULL;
    size_t room = 0;

    if (file == NULL)
        fail_msg("cannot read %s", path);
    assert_true(getdelim(&text, &room, 0, file) > 0);
    fclose(file);
    return text;
}

static struct image *sample_take(enum content_kind kind)
{
    struct image *image = calloc(1, sizeof *image);
    char          path[700];

    assert_non_null(image);
    path_of(kind, "sample", path);
    sample_read(path, image);
    return image;
}

static void sample_drop(struct image *image)
{
    image_free(image);
    free(image);
}

/* The options of a database that is there; content_world_make gives a world of its own. */
static void world_at(struct world *world, const char *directory)
{
    content_world_make(world);
    assert_int_equal(rmdir(world->directory), 0);
    snprintf(world->directory, sizeof world->directory, "%s", directory);
    world->options.shard_count = 0;
    world->options.create = false;
}

static char *listing_of(struct world *world)
{
    char  *text = NULL;
    size_t bytes = 0;
    FILE  *file = open_memstream(&text, &bytes);

    content_list(world->context, file);
    fclose(file);
    return text;
}

/* Each key of the listing by itself, through a get. */
static void keys_get(struct world *world, const char *listing)
{
    struct kiwi_buffer value = { 0 };

    for (const char *line = listing; *line != 0; line = strchr(line, '\n') + 1) {
        uint8_t key[LINE_BYTES_MAX];
        size_t  key_bytes = 0, value_bytes;
        unsigned long long hash;

        for (; line[0] != ' ' && line[0] != '-'; line += 2)
            assert_int_equal(sscanf(line, "%2hhx", &key[key_bytes++]), 1);
        assert_int_equal(sscanf(line[0] == '-' ? line + 1 : line, "%zu %llx", &value_bytes, &hash),
                         2);
        assert_int_equal(kiwi_get(world->context, (struct kiwi_slice){ key, key_bytes }, NULL,
                                  &value), KIWI_OK);
        assert_int_equal(value.size, value_bytes);
        assert_int_equal(XXH3_64bits(value.data, value.size), hash);
    }
    kiwi_buffer_free(&value);
}

static void sample_opens(enum content_kind kind)
{
    struct image *image = sample_take(kind);
    char          directory[256], path[700], *listing, *found;
    struct world  world;

    path_of(kind, "list", path);
    listing = text_read(path);
    content_image_place(image, directory);
    for (uint32_t round = 0; round < 3; round++) {
        world_at(&world, directory);
        if (world_open(&world) != KIWI_OK)
            fail_msg("%s: %s", content_kind_name(kind), kiwi_error_text());
        found = listing_of(&world);
        assert_string_equal(found, listing);
        free(found);
        keys_get(&world, listing);
        if (round == 1) /* it goes on as a database */
            assert_int_equal(kiwi_flush(world.context), KIWI_OK);
        assert_int_equal(world_close(&world), KIWI_OK);
    }
    content_directory_remove(directory);
    free(listing);
    sample_drop(image);
}

static void every_sample_is_read_key_for_key(void **state)
{
    (void)state;
    for (int kind = 0; kind < CONTENT_KIND_COUNT; kind++)
        sample_opens((enum content_kind)kind);
}

/* That the sample has in it what README.md says. */
static void contents_check(enum content_kind kind, const struct reading_counts *counts)
{
    assert_int_equal(counts->seals, kind == CONTENT_CLEAN ? 2 : 0);
    assert_true(counts->tables >= 2 && counts->log_rows > 0);
    if (kind != CONTENT_CLEAN)
        assert_true(counts->open_groups > 0 && counts->log_groups > counts->tail_groups);
    if (kind == CONTENT_LAYERED)
        assert_true(counts->parts > 0 && counts->table_deletes > 0 && counts->continued_blocks > 0
                    && (counts->level_mask & (counts->level_mask - 1)) != 0);
}

static void the_reader_of_the_document_reads_every_sample(void **state)
{
    (void)state;
    for (int kind = 0; kind < CONTENT_KIND_COUNT; kind++) {
        struct image  *image = sample_take((enum content_kind)kind);
        struct reading reading;
        char           directory[256], path[700], *listing, *found = NULL;
        size_t         bytes = 0;
        FILE          *file = open_memstream(&found, &bytes);

        path_of((enum content_kind)kind, "list", path);
        listing = text_read(path);
        content_image_place(image, directory);
        reading_make(&reading, &document, directory);
        for (size_t i = 0; i < reading.count; i++)
            content_line(file, reading.rows[i].key, reading.rows[i].key_size,
                         reading.rows[i].value, reading.rows[i].value_size);
        fclose(file);
        assert_string_equal(found, listing);
        contents_check((enum content_kind)kind, &reading.counts);
        reading_free(&reading);
        free(found);
        free(listing);
        content_directory_remove(directory);
        sample_drop(image);
    }
}

/* ---- later versions ---- */

static uint64_t number_at(const uint8_t *at, size_t bytes)
{
    uint64_t value = 0;

    memcpy(&value, at, bytes);
    return value;
}

static uint64_t mix_of(uint64_t a, uint64_t b)
{
    uint64_t x = (a ^ (b + document_constant(&document, "MIX_ADDEND") + (a << 6) + (a >> 2)))
               * document_constant(&document, "MIX_FACTOR_1");

    x ^= x >> 32;
    x *= document_constant(&document, "MIX_FACTOR_2");
    return x ^ (x >> 29);
}

/* Where a structure's version and checksum stand, what the checksum covers, what seeds it. */
struct sealed {
    const char *structure;
    size_t      from, to;
    uint64_t    seed;
};

static void version_raise(uint8_t *base, const struct sealed *sealed)
{
    size_t   version_at = document_field(&document, sealed->structure, "version")->at;
    size_t   checksum_at = document_field(&document, sealed->structure, "checksum")->at;
    uint64_t checksum;

    checksum = XXH3_64bits_withSeed(base + sealed->from, sealed->to - sealed->from, sealed->seed);
    assert_int_equal(number_at(base + checksum_at, 8), checksum); /* right before, right after */
    base[version_at]++;
    checksum = XXH3_64bits_withSeed(base + sealed->from, sealed->to - sealed->from, sealed->seed);
    memcpy(base + checksum_at, &checksum, 8);
}

static void identity_raise(struct image_file *file)
{
    uint64_t seed = document_constant(&document, "IDENTITY_CHECKSUM_SEED"), checksum;
    uint8_t *version = memmem(file->bytes, file->size, "version", 7);

    assert_non_null(version);
    version[7]++;
    checksum = XXH3_64bits_withSeed(file->bytes, file->size - 8, seed);
    memcpy(file->bytes + file->size - 8, &checksum, 8);
}

/* False for files without a version of their own. */
static bool file_raise(struct image_file *file, uint64_t identity)
{
    const char *name = strchr(file->path, '/');
    uint64_t    shard = name == NULL ? 0 : strtoull(file->path + strlen("shard-"), NULL, 10);

    if (strcmp(file->path, "IDENTITY") == 0) {
        identity_raise(file);
        return true;
    }
    if (name == NULL)
        return false;
    if (strcmp(name, "/wal") == 0) {
        version_raise(file->bytes, &(struct sealed){
            "wal_file_header", 0, document_field(&document, "wal_file_header", "checksum")->at,
            document_constant(&document, "WAL_MAGIC") });
        return true;
    }
    if (strncmp(name, "/manifest-", 10) == 0) {
        version_raise(file->bytes, &(struct sealed){
            "manifest_header", 8, document_constant(&document, "MANIFEST_PAGE_BYTES"),
            mix_of(mix_of(identity, shard), document_constant(&document, "MANIFEST_MAGIC")) });
        return true;
    }
    if (strncmp(name, "/t-", 3) == 0) {
        size_t   page = document_constant(&document, "TABLE_PAGE_BYTES");
        uint8_t *footer = file->bytes;
        uint64_t id;

        /* A recycled file may be longer than its table; those of the samples are found by magic. */
        while (number_at(footer, 8) != document_constant(&document, "TABLE_MAGIC")) {
            footer += page;
            if (footer == file->bytes + file->size)
                return false;
        }
        id = number_at(footer + document_field(&document, "table_footer", "table_id")->at, 8);
        version_raise(footer, &(struct sealed){
            "table_footer", 0, document_field(&document, "table_footer", "checksum")->at,
            mix_of(mix_of(identity, id), (uint64_t)(footer - file->bytes)) });
        return true;
    }
    return false;
}

static uint64_t identity_of(const struct image *image)
{
    for (uint32_t i = 0; i < image->count; i++)
        if (strcmp(image->files[i].path, "IDENTITY") == 0)
            return XXH3_64bits_withSeed(image->files[i].bytes + image->files[i].size - 24, 16,
                                        document_constant(&document, "IDENTITY_SEED"));
    fail_msg("a sample without IDENTITY");
    return 0;
}

static void refused_as_later(const struct image *image, const struct image_file *file)
{
    char           directory[256];
    struct world   world;
    struct image  *after = calloc(1, sizeof *after);

    assert_non_null(after);
    content_image_place(image, directory);
    world_at(&world, directory);
    assert_int_equal(world_open(&world), KIWI_UNSUPPORTED);
    if (strstr(kiwi_error_text(), file->path) == NULL
        || strstr(kiwi_error_text(), "version") == NULL)
        fail_msg("the text does not name %s and its version: %s", file->path, kiwi_error_text());
    image_take(after, directory);
    for (uint32_t i = 0; i < after->count; i++) {
        if (strcmp(after->files[i].path, file->path) != 0)
            continue;
        assert_int_equal(after->files[i].size, file->size);
        assert_memory_equal(after->files[i].bytes, file->bytes, file->size);
    }
    sample_drop(after);
    content_directory_remove(directory);
}

static void a_file_of_a_later_version_is_refused_by_name(void **state)
{
    struct image *image = sample_take(CONTENT_CLEAN);
    uint64_t      identity = identity_of(image);
    uint32_t      raised = 0;

    (void)state;
    for (uint32_t i = 0; i < image->count; i++) {
        struct image_file *file = &image->files[i];
        uint8_t           *bytes = malloc(file->size + 1);

        assert_non_null(bytes);
        memcpy(bytes, file->bytes, file->size);
        if (file_raise(file, identity)) {
            refused_as_later(image, file);
            raised++;
        }
        memcpy(file->bytes, bytes, file->size);
        free(bytes);
    }
    /* IDENTITY; of each of two shards a log, two manifests and a table */
    assert_true(raised >= 9);
    sample_drop(image);
}

/* ---- making ---- */

static void kind_make(enum content_kind kind)
{
    struct image *image = calloc(1, sizeof *image);
    struct world  world;
    char          path[700];
    FILE         *list;

    assert_non_null(image);
    content_world_make(&world);
    assert_int_equal(world_open(&world), KIWI_OK);
    content_write(&world, kind);
    path_of(kind, "list", path);
    list = fopen(path, "w");
    if (list == NULL)
        fail_msg("cannot write %s", path);
    content_list(world.context, list);
    assert_int_equal(fclose(list), 0);
    content_image_take(&world, kind, image);
    path_of(kind, "sample", path);
    sample_write(path, image);
    printf("%s\n", path);
    sample_drop(image);
    world_end(&world);
}

static void samples_make(void **state)
{
    (void)state;
    if (mkdir(folder, 0755) != 0 && errno != EEXIST)
        fail_msg("cannot make %s", folder);
    for (int kind = 0; kind < CONTENT_KIND_COUNT; kind++)
        kind_make((enum content_kind)kind);
}

static const char *unpack_from, *unpack_to;

static void sample_unpack(void **state)
{
    struct image *image = calloc(1, sizeof *image);
    char          directory[256];

    (void)state;
    assert_non_null(image);
    sample_read(unpack_from, image);
    content_image_place(image, directory);
    if (rename(directory, unpack_to) != 0)
        fail_msg("cannot rename %s to %s", directory, unpack_to);
    sample_drop(image);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sample_is_read_key_for_key),
        cmocka_unit_test(the_reader_of_the_document_reads_every_sample),
        cmocka_unit_test(a_file_of_a_later_version_is_refused_by_name),
    };
    const struct CMUnitTest making[] = { cmocka_unit_test(samples_make) };
    const struct CMUnitTest unpacking[] = { cmocka_unit_test(sample_unpack) };
    char path[512];

    snprintf(path, sizeof path, "%s/docs/format.md", SOURCE_ROOT);
    document_read(&document, path);
    snprintf(folder, sizeof folder, "%s/tests/samples/i%u-w%u-m%u-t%u", SOURCE_ROOT,
             (unsigned)document_constant(&document, "IDENTITY_VERSION"),
             (unsigned)document_constant(&document, "WAL_VERSION"),
             (unsigned)document_constant(&document, "MANIFEST_VERSION"),
             (unsigned)document_constant(&document, "TABLE_VERSION"));
    if (argc == 1)
        return cmocka_run_group_tests(tests, NULL, NULL);
    if (argc == 2 && strcmp(argv[1], "--make") == 0)
        return cmocka_run_group_tests(making, NULL, NULL);
    if (argc == 4 && strcmp(argv[1], "--unpack") == 0) {
        unpack_from = argv[2];
        unpack_to = argv[3];
        return cmocka_run_group_tests(unpacking, NULL, NULL);
    }
    fprintf(stderr, "usage: %s [--make | --unpack SAMPLE DIRECTORY]\n", argv[0]);
    return 2;
}
