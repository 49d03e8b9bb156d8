/*
 * manifest.c: manifests as the input has them: header blocks, groups and payloads.
 *
 * The first byte chooses: raw header blocks and groups, rightly sealed; or a whole file of rightly
 * chained groups whose edits the input makes, opened twice. Whatever they say, opening ends; one
 * that succeeds shows the same state the next time, one that is refused is refused again.
 */
#include "core/base/memory.h"
#include "core/format/manifest_format.h"
#include "core/version/manifest.h"
#include "io/simulated.h"
#include "tests/fuzz/fuzz.h"

static const struct manifest_identity identity = { { "fuzzed database" }, 2 };

enum { FILE_BYTES = 64 << 10 };

/* ---- parts ---- */

static uint64_t seed_of(void)
{
    return hash_mix(database_id_seed(&identity.database), identity.shard);
}

static void head_give(struct fuzz_input *input)
{
    uint8_t              *page = aligned_alloc(64, MANIFEST_PAGE_BYTES);
    struct manifest_head  head = { .slot = 1, .generation = 1, .file_bytes = FILE_BYTES,
                                   .state_bytes = 4096, .state_group_count = 1 }, out;
    uint64_t              checksum;

    fuzz_promise(page != NULL);
    manifest_head_encode(page, &identity, &head);
    for (uint32_t i = 40; i < sizeof(struct manifest_header); i++) {
        if ((fuzz_byte(input) & 3) == 3)
            page[i] = fuzz_byte(input);
    }
    checksum = hash_checksum(page + 8, MANIFEST_PAGE_BYTES - 8,
                             hash_mix(seed_of(), MANIFEST_MAGIC));
    memcpy(page, &checksum, sizeof checksum);
    if (manifest_head_decode(page, &identity, 1, &out) == KIWI_OK) {
        fuzz_promise(out.slot == 1 && out.file_bytes <= MANIFEST_FILE_BYTES_MAX);
        fuzz_promise(out.file_bytes >= MANIFEST_PAGE_BYTES
                     && out.state_bytes <= out.file_bytes - MANIFEST_PAGE_BYTES);
        fuzz_promise(out.successor == 0 || out.successor > out.generation);
    }
    free(page);
}

/* A payload of the input's bytes: what passes is walked, and means the same when written again. */
static void payload_give(struct fuzz_input *input)
{
    size_t                    taken;
    const uint8_t            *span = fuzz_span(input, 60000, &taken);
    uint8_t                  *payload = malloc(taken + 1);
    struct manifest_edit_view view;

    fuzz_promise(payload != NULL);
    if (taken > 0)
        memcpy(payload, span, taken);
    if (manifest_edit_check(bytes_of(payload, taken), &view) == KIWI_OK) {
        struct manifest_narrowed narrowed;
        struct manifest_added    added;

        for (uint32_t i = 0; i < view.added_count; i++) {
            manifest_added_next(&view.added, &added);
            fuzz_promise(added.id >= 1 && added.id <= MANIFEST_ID_MAX);
            fuzz_promise(added.level < KIWI_LEVEL_COUNT_MAX);
            fuzz_promise(bytes_compare(added.smallest, added.largest) <= 0);
        }
        for (uint32_t i = 0; i < view.removed_count; i++)
            fuzz_promise(manifest_removed_next(&view.removed) >= 1);
        for (uint32_t i = 0; i < view.narrowed_count; i++)
            manifest_narrowed_next(&view.narrowed, &narrowed);
        fuzz_promise(view.added.size == 0 && view.removed.size == 0 && view.narrowed.size == 0);
    }
    free(payload);
}

/* ---- a whole file ---- */

struct writer {
    uint8_t *file;
    uint64_t at, number, previous;
    struct manifest_scalars scalars;
};

static struct bytes key_take(struct fuzz_input *input)
{
    size_t         taken;
    const uint8_t *span = fuzz_span(input, fuzz_below(input, 5), &taken);

    return bytes_of(span, taken);
}

static uint64_t payload_make(struct fuzz_input *input, struct writer *writer, uint8_t *target,
                             uint64_t room)
{
    struct manifest_added    added[4];
    struct manifest_narrowed narrowed[3];
    uint64_t                 removed[4];
    struct manifest_edit     edit = { .added = added, .removed = removed, .narrowed = narrowed };
    uint8_t                  odd = fuzz_byte(input);

    writer->scalars.flushed_sequence += fuzz_byte(input);
    writer->scalars.log_group += fuzz_byte(input) & 3;
    edit.scalars = writer->scalars;
    if (odd == 1)
        edit.scalars.table_id_next = fuzz_number(input, 8);
    edit.added_count = fuzz_below(input, 5);
    for (uint32_t i = 0; i < edit.added_count; i++)
        added[i] = (struct manifest_added){
            .id = 1 + fuzz_below(input, 12), .run_id = 1 + fuzz_below(input, 6),
            .file_id = fuzz_below(input, 12), .level = fuzz_below(input, 8),
            .file_bytes = 4096ull * fuzz_below(input, 12), .entry_count = 1,
            .sequence_min = 1, .sequence_max = 1 + fuzz_byte(input),
            .smallest = key_take(input), .largest = key_take(input),
        };
    edit.removed_count = fuzz_below(input, 5);
    for (uint32_t i = 0; i < edit.removed_count; i++)
        removed[i] = 1 + fuzz_below(input, 12);
    edit.narrowed_count = fuzz_below(input, 4);
    for (uint32_t i = 0; i < edit.narrowed_count; i++)
        narrowed[i] = (struct manifest_narrowed){ 1 + fuzz_below(input, 12), key_take(input) };
    if (manifest_edit_bound(&edit) > room)
        return 0;
    uint64_t bytes = manifest_edit_encode(target, room, &edit);
    if (odd == 2)
        fuzz_patch(input, target, bytes);
    return bytes;
}

static void group_put(struct fuzz_input *input, struct writer *writer, bool is_state)
{
    uint8_t *target = writer->file + writer->at;
    uint64_t room = FILE_BYTES - writer->at;
    uint64_t bytes;
    struct manifest_group group = { .generation = 1, .number = writer->number + 1,
                                    .previous_checksum = writer->previous };

    if (room < 8192)
        return;
    bytes = payload_make(input, writer, target + sizeof(struct manifest_group_header),
                         room - 4096);
    if (bytes == 0)
        return;
    group.kind = is_state ? MANIFEST_GROUP_STATE : MANIFEST_GROUP_EDIT;
    group.durable_number = is_state ? 0 : writer->number;
    group.payload = bytes_of(target + sizeof(struct manifest_group_header), bytes);
    manifest_group_encode(target, &identity, &group);
    writer->at += manifest_group_bytes(bytes);
    writer->number++;
    writer->previous = group.checksum;
}

static void file_write(struct io *io, const char *path, const uint8_t *bytes, size_t size)
{
    struct io_file *file;

    fuzz_promise(io_file_open(io, path, IO_CREATE, &file) == KIWI_OK);
    fuzz_promise(io_file_write(file, bytes, size, 0) == KIWI_OK);
    fuzz_promise(io_file_sync(file) == KIWI_OK);
    io_file_close(file);
}

static enum kiwi_status open_once(struct io *io, struct manifest_state *state)
{
    struct manifest_options options = { .io = io, .directory = "/shard", .shard = identity.shard,
                                        .database = identity.database, .switch_bytes = 16384 };
    struct version_set     *set = NULL;
    struct manifest        *manifest = NULL;
    enum kiwi_status        status;

    fuzz_promise(version_set_open(&set) == KIWI_OK);
    status = manifest_open(&options, set, &manifest, state);
    fuzz_promise((status == KIWI_OK) == (manifest != NULL));
    manifest_close(manifest);
    version_set_close(set);
    return status;
}

static void file_give(struct fuzz_input *input)
{
    struct simulation_options options = { .seed = 1 };
    struct simulation        *simulation;
    struct io                *io;
    struct writer             writer = { .at = MANIFEST_PAGE_BYTES };
    struct manifest_state     state = { 0 }, again = { 0 };
    struct manifest_head      head = { .generation = 1, .file_bytes = FILE_BYTES }, other;
    uint32_t                  states = 1 + (fuzz_byte(input) & 1), edits = fuzz_below(input, 12);
    uint8_t                  *page = calloc(1, MANIFEST_PAGE_BYTES);
    enum kiwi_status          status;

    fuzz_promise(simulation_open(&options, &simulation) == KIWI_OK);
    io = simulation_io(simulation);
    fuzz_promise(io_directory_create(io, "/shard") == KIWI_OK);
    writer.file = calloc(1, FILE_BYTES);
    fuzz_promise(writer.file != NULL && page != NULL);
    writer.scalars = (struct manifest_scalars){ .log_offset = 4096, .table_id_next = 100,
                                                .file_id_next = 100, .run_id_next = 100 };
    for (uint32_t i = 0; i < states; i++)
        group_put(input, &writer, true);
    head.state_bytes = writer.at - MANIFEST_PAGE_BYTES;
    head.state_group_count = writer.number;
    head.state_checksum = writer.previous;
    for (uint32_t i = 0; i < edits; i++)
        group_put(input, &writer, false);
    manifest_head_encode(writer.file, &identity, &head);
    fuzz_patch(input, writer.file, FILE_BYTES);
    file_write(io, "/shard/manifest-0", writer.file, FILE_BYTES);
    other = (struct manifest_head){ .slot = 1, .file_bytes = MANIFEST_PAGE_BYTES, .successor = 1 };
    manifest_head_encode(page, &identity, &other);
    if ((fuzz_byte(input) & 3) != 3)
        file_write(io, "/shard/manifest-1", page, MANIFEST_PAGE_BYTES);
    status = open_once(io, &state);
    if (status == KIWI_OK) {
        fuzz_promise(open_once(io, &again) == KIWI_OK);
        fuzz_promise(again.flushed_sequence == state.flushed_sequence);
        fuzz_promise(again.log_position.group == state.log_position.group);
        fuzz_promise(again.table_id_next >= state.table_id_next);
    } else {
        if (status != KIWI_CORRUPT && status != KIWI_UNSUPPORTED)
            fprintf(stderr, "%s: %s\n", kiwi_status_text(status), fail_text());
        fuzz_promise(status == KIWI_CORRUPT || status == KIWI_UNSUPPORTED);
        fuzz_promise(open_once(io, &again) == status);
    }
    simulation_close(simulation);
    free(writer.file);
    free(page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_input input = { data, data + bytes };

    switch (fuzz_byte(&input) % 3) {
    case 0: head_give(&input); break;
    case 1: payload_give(&input); break;
    case 2: file_give(&input); break;
    }
    return 0;
}
