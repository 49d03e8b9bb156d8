/*
 * simulated_disk.c: images of files, changes that are not durable yet, and what a crash makes of
 * them. Names are in simulated_names.c.
 */
#include "io/simulated_disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/failure.h"
#include "io/simulated_names.h"

/* ---- memory ---- */

static void *must(void *pointer)
{
    if (pointer == NULL) {
        fputs("the simulated machine is out of memory\n", stderr);
        abort();
    }
    return pointer;
}

void *machine_allocate(size_t bytes)
{
    return must(calloc(1, bytes == 0 ? 1 : bytes));
}

void *machine_resize(void *old, size_t bytes)
{
    return must(realloc(old, bytes == 0 ? 1 : bytes));
}

void *machine_allocate_pages(size_t bytes)
{
    size_t whole = (size_t)round_up_u64(bytes == 0 ? 1 : bytes, PAGE_BYTES);

    return memset(must(aligned_alloc(PAGE_BYTES, whole)), 0, whole);
}

char *machine_text(const char *text)
{
    size_t bytes = strlen(text) + 1;

    return memcpy(machine_allocate(bytes), text, bytes);
}

void machine_free(void *pointer)
{
    free(pointer);
}

/* ---- images ---- */

static uint64_t pages_of(uint64_t bytes)
{
    return (bytes + PAGE_BYTES - 1) / PAGE_BYTES;
}

static void page_release(struct disk_page *page)
{
    if (page != NULL && --page->holder_count == 0)
        machine_free(page);
}

static void image_reach(struct disk_image *image, uint64_t index)
{
    uint64_t count = max_u64(index + 1, image->page_count * 2);

    if (index < image->page_count)
        return;
    image->pages = machine_resize(image->pages, count * sizeof *image->pages);
    memset(image->pages + image->page_count, 0,
           (count - image->page_count) * sizeof *image->pages);
    image->page_count = count;
}

/* The bytes of a page, to be written: the image's own. A page that is whole loses what it held. */
static uint8_t *image_page(struct disk_image *image, uint64_t index, bool is_whole)
{
    struct disk_page *page, *old;

    image_reach(image, index);
    old = image->pages[index];
    if (old != NULL && old->holder_count == 1)
        return old->bytes;
    page = must(malloc(sizeof *page));
    page->holder_count = 1;
    if (!is_whole && old == NULL)
        memset(page->bytes, 0, PAGE_BYTES);
    else if (!is_whole)
        memcpy(page->bytes, old->bytes, PAGE_BYTES);
    page_release(old);
    image->pages[index] = page;
    return page->bytes;
}

/* Zeros, as a new log is filled with: one page for all. True: data was a whole page of them. */
static bool image_clear_page(struct disk_image *image, uint64_t index, const uint8_t *data)
{
    static struct disk_page zeros = { .holder_count = 1 };

    if (data[0] != 0 || memcmp(data, data + 1, PAGE_BYTES - 1) != 0)
        return false;
    image_reach(image, index);
    zeros.holder_count++;
    page_release(image->pages[index]);
    image->pages[index] = &zeros;
    return true;
}

static void image_write(struct disk_image *image, const uint8_t *data, uint64_t bytes,
                        uint64_t offset)
{
    if (offset + bytes > image->bytes)
        image->bytes = offset + bytes;
    while (bytes > 0) {
        uint64_t inside = offset % PAGE_BYTES, part = min_u64(bytes, PAGE_BYTES - inside);

        if (part < PAGE_BYTES || !image_clear_page(image, offset / PAGE_BYTES, data))
            memcpy(image_page(image, offset / PAGE_BYTES, part == PAGE_BYTES) + inside, data, part);
        data += part;
        offset += part;
        bytes -= part;
    }
}

/* NULL: it reads as zero. */
static const uint8_t *image_look(const struct disk_image *image, uint64_t index)
{
    return index < image->page_count && image->pages[index] != NULL ? image->pages[index]->bytes
                                                                    : NULL;
}

static void image_read(const struct disk_image *image, uint8_t *data, uint64_t bytes,
                       uint64_t offset)
{
    while (bytes > 0) {
        uint64_t inside = offset % PAGE_BYTES, part = min_u64(bytes, PAGE_BYTES - inside);
        const uint8_t *page = image_look(image, offset / PAGE_BYTES);

        if (page != NULL)
            memcpy(data, page + inside, part);
        else
            memset(data, 0, part);
        data += part;
        offset += part;
        bytes -= part;
    }
}

static void image_resize(struct disk_image *image, uint64_t bytes)
{
    for (uint64_t i = pages_of(bytes); i < image->page_count; i++) {
        page_release(image->pages[i]);
        image->pages[i] = NULL;
    }
    /* What is cut off inside a page reads as zero when the file grows again. */
    if (bytes < image->bytes && bytes % PAGE_BYTES != 0
        && image_look(image, bytes / PAGE_BYTES) != NULL)
        memset(image_page(image, bytes / PAGE_BYTES, false) + bytes % PAGE_BYTES, 0,
               PAGE_BYTES - bytes % PAGE_BYTES);
    image->bytes = bytes;
}

static void image_free(struct disk_image *image)
{
    for (uint64_t i = 0; i < image->page_count; i++)
        page_release(image->pages[i]);
    machine_free(image->pages);
    *image = (struct disk_image){ 0 };
}

static void image_copy(const struct disk_image *source, struct disk_image *target)
{
    *target = *source;
    target->pages = machine_allocate(source->page_count * sizeof *source->pages);
    for (uint64_t i = 0; i < source->page_count; i++)
        if ((target->pages[i] = source->pages[i]) != NULL)
            target->pages[i]->holder_count++;
}

static uint64_t image_used_pages(const struct disk_image *image)
{
    uint64_t used = 0;

    for (uint64_t i = 0; i < image->page_count; i++)
        used += image->pages[i] != NULL;
    return used;
}

/* ---- changes ---- */

static struct change *change_append(struct disk_file *file, enum change_state state,
                                    const void *data, uint64_t bytes, uint64_t offset)
{
    struct change *change = must(malloc(sizeof *change + (data != NULL ? bytes : 0)));

    *change = (struct change){ .state = state, .number = file->change_count++, .offset = offset,
                               .bytes = bytes, .tear_bytes = 512, .is_size = data == NULL };
    if (data != NULL)
        memcpy(change->data, data, bytes);
    if (file->first_change == NULL)
        file->first_change = change;
    else
        file->final_change->next = change;
    file->final_change = change;
    return change;
}

static void change_apply(struct disk_image *image, const struct change *change)
{
    if (change->is_size)
        image_resize(image, change->bytes);
    else
        image_write(image, change->data, change->bytes, change->offset);
}

static void change_drop_first(struct disk_file *file)
{
    struct change *change = file->first_change;

    file->first_change = change->next;
    if (file->first_change == NULL)
        file->final_change = NULL;
    machine_free(change);
}

/* Durable changes go into the durable image, but never before older ones that may still go there
 * by chance: the newest bytes must end on top. */
static void changes_settle(struct disk_file *file)
{
    while (file->first_change != NULL && file->first_change->state == CHANGE_DURABLE) {
        change_apply(&file->durable, file->first_change);
        change_drop_first(file);
    }
}

void disk_sync(struct disk *disk, struct disk_file *file, uint64_t number)
{
    disk_pull(file, disk, 0, UINT64_MAX);
    for (struct change *change = file->first_change; change != NULL; change = change->next)
        if (change->number < number && change->state == CHANGE_UNSYNCED)
            change->state = CHANGE_DURABLE;
    changes_settle(file);
}

void disk_harden_newest(struct disk_file *file)
{
    assert(file->final_change != NULL);
    file->final_change->state = CHANGE_DURABLE;
    changes_settle(file);
}

void disk_sync_fail(struct disk_file *file, uint64_t number, struct chance *chance)
{
    for (struct change *change = file->first_change; change != NULL; change = change->next)
        if (change->number < number && change->state == CHANGE_UNSYNCED
            && chance_below(chance, 2) == 0)
            change->state = CHANGE_DOOMED;
}

/* ---- space ---- */

uint64_t disk_used_bytes(const struct disk *disk)
{
    uint64_t pages = 0;

    for (const struct disk_file *file = disk->files; file != NULL; file = file->next)
        if (file->user_count > 0)
            pages += image_used_pages(&file->present);
    return pages * PAGE_BYTES;
}

static bool has_room(const struct disk *disk, const struct disk_file *file, uint64_t offset,
                     uint64_t bytes)
{
    uint64_t missing = 0;

    if (disk->bytes_max == 0)
        return true;
    for (uint64_t i = offset / PAGE_BYTES; i < pages_of(offset + bytes); i++)
        missing += i >= file->present.page_count || file->present.pages[i] == NULL;
    return missing == 0 || disk_used_bytes(disk) + missing * PAGE_BYTES <= disk->bytes_max;
}

/* ---- mappings ---- */

static void map_pull_page(struct disk_file *file, struct disk_map *map, uint64_t offset)
{
    static const uint8_t zeros[PAGE_BYTES];
    uint64_t             bytes = min_u64(PAGE_BYTES, map->bytes - offset);
    const uint8_t       *present = image_look(&file->present, offset / PAGE_BYTES);

    if (offset >= file->present.bytes)
        return;
    bytes = min_u64(bytes, file->present.bytes - offset);
    if (memcmp(present != NULL ? present : zeros, map->address + offset, bytes) == 0)
        return;
    image_write(&file->present, map->address + offset, bytes, offset);
    change_append(file, CHANGE_UNSYNCED, map->address + offset, bytes, offset)->tear_bytes =
        PAGE_BYTES;
}

void disk_pull(struct disk_file *file, struct disk *disk, uint64_t offset, uint64_t bytes)
{
    for (struct disk_map *map = disk->maps; map != NULL; map = map->next) {
        uint64_t final = bytes > map->bytes || offset + bytes > map->bytes ? map->bytes
                                                                           : offset + bytes;
        if (map->file != file)
            continue;
        for (uint64_t at = offset / PAGE_BYTES * PAGE_BYTES; at < final; at += PAGE_BYTES)
            map_pull_page(file, map, at);
    }
}

static void map_show(struct disk *disk, const struct disk_file *file, const uint8_t *data,
                     uint64_t bytes, uint64_t offset)
{
    for (struct disk_map *map = disk->maps; map != NULL; map = map->next)
        if (map->file == file && offset < map->bytes)
            memcpy(map->address + offset, data, min_u64(bytes, map->bytes - offset));
}

uint8_t *disk_map(struct disk *disk, struct disk_file *file, size_t bytes)
{
    struct disk_map *map = machine_allocate(sizeof *map);

    disk_pull(file, disk, 0, UINT64_MAX); /* another mapping may have newer bytes */
    map->address = machine_allocate_pages(bytes);
    map->bytes = bytes;
    map->file = file;
    image_read(&file->present, map->address, bytes, 0);
    map->next = disk->maps;
    disk->maps = map;
    disk_file_hold(file);
    return map->address;
}

void disk_unmap(struct disk *disk, const uint8_t *address)
{
    struct disk_map **link = &disk->maps, *map;

    while (*link != NULL && (*link)->address != address)
        link = &(*link)->next;
    map = *link;
    assert(map != NULL); /* unmapped once, at the address of the mapping */
    if (map->file != NULL) {
        disk_pull(map->file, disk, 0, UINT64_MAX);
        disk_file_release(disk, map->file);
    }
    *link = map->next;
    machine_free(map->address);
    machine_free(map);
}

/* ---- transfers ---- */

int disk_read(struct disk *disk, struct disk_file *file, void *buffer, uint64_t bytes,
              uint64_t offset)
{
    if (offset + bytes > file->present.bytes)
        return FAILURE_PAST_END;
    disk_pull(file, disk, offset, bytes);
    image_read(&file->present, buffer, bytes, offset);
    return 0;
}

void disk_look(const struct disk_file *file, void *buffer, uint64_t bytes, uint64_t offset)
{
    image_read(&file->present, buffer, bytes, offset);
}

bool disk_read_past(const struct disk_file *file, void *buffer, uint64_t bytes, uint64_t offset)
{
    uint8_t *old = machine_allocate(bytes);
    bool     is_other;

    image_read(&file->past, old, bytes, offset);
    is_other = memcmp(old, buffer, bytes) != 0;
    memcpy(buffer, old, bytes);
    machine_free(old);
    return is_other;
}

/* Pages that are about to be written: what they hold is their past, unless an older one stays. */
static void past_keep(struct disk_file *file, uint64_t bytes, uint64_t offset)
{
    uint64_t first = offset / PAGE_BYTES, final = (offset + bytes - 1) / PAGE_BYTES;

    for (uint64_t i = first; i <= final && i < file->present.page_count; i++) {
        struct disk_page *page = file->present.pages[i];

        image_reach(&file->past, i);
        if (page == NULL || (file->past.pages[i] != NULL && file->change_count % 3 == 0))
            continue;
        page->holder_count++;
        page_release(file->past.pages[i]);
        file->past.pages[i] = page;
    }
}

int disk_write(struct disk *disk, struct disk_file *file, const void *data, uint64_t bytes,
               uint64_t offset, enum change_state state)
{
    if (bytes == 0)
        return 0;
    if (state == CHANGE_IN_FLIGHT) {
        change_append(file, state, data, bytes, offset);
        return 0;
    }
    if (!has_room(disk, file, offset, bytes))
        return ENOSPC;
    disk_pull(file, disk, offset, bytes);
    if (disk->keeps_past)
        past_keep(file, bytes, offset);
    image_write(&file->present, data, bytes, offset);
    map_show(disk, file, data, bytes, offset);
    change_append(file, state, data, bytes, offset);
    return 0;
}

int disk_resize(struct disk *disk, struct disk_file *file, uint64_t bytes)
{
    disk_pull(file, disk, 0, UINT64_MAX);
    image_resize(&file->present, bytes);
    change_append(file, CHANGE_UNSYNCED, NULL, bytes, 0);
    return 0;
}

int disk_reserve(struct disk *disk, struct disk_file *file, uint64_t bytes)
{
    if (!has_room(disk, file, 0, bytes))
        return ENOSPC;
    if (disk->bytes_max != 0) /* without a limit nobody asks which pages are taken */
        for (uint64_t i = 0; i < pages_of(bytes); i++)
            image_page(&file->present, i, false);
    return bytes > file->present.bytes ? disk_resize(disk, file, bytes) : 0;
}

void disk_flip_bit(struct disk *disk, struct disk_file *file, uint64_t bit)
{
    uint64_t offset = bit / 8;
    uint8_t  mask = (uint8_t)(1u << bit % 8), byte;

    disk_pull(file, disk, offset, 1);
    image_read(&file->present, &byte, 1, offset);
    byte ^= mask;
    image_write(&file->present, &byte, 1, offset);
    map_show(disk, file, &byte, 1, offset);
    if (offset < file->durable.bytes)
        image_page(&file->durable, offset / PAGE_BYTES, false)[offset % PAGE_BYTES] ^= mask;
    for (struct change *change = file->first_change; change != NULL; change = change->next)
        if (!change->is_size && offset >= change->offset && offset - change->offset < change->bytes)
            change->data[offset - change->offset] ^= mask;
}

/* ---- life of files ---- */

struct disk_file *disk_file_new(struct disk *disk)
{
    struct disk_file *file = machine_allocate(sizeof *file);

    file->next = disk->files;
    disk->files = file;
    return file;
}

static void file_free(struct disk_file *file)
{
    while (file->first_change != NULL)
        change_drop_first(file);
    image_free(&file->present);
    image_free(&file->durable);
    image_free(&file->past);
    machine_free(file);
}

void disk_file_drop(struct disk *disk, struct disk_file *file)
{
    struct disk_file **link = &disk->files;

    assert(file->holder_count > 0);
    if (--file->holder_count > 0)
        return;
    while (*link != file)
        link = &(*link)->next;
    *link = file->next;
    file_free(file);
}

void disk_file_hold(struct disk_file *file)
{
    file->holder_count++;
    file->user_count++;
}

void disk_file_release(struct disk *disk, struct disk_file *file)
{
    assert(file->user_count > 0);
    file->user_count--;
    disk_file_drop(disk, file);
}

/* ---- crash ---- */

/* How a crash treats what was not durable. Each machine and file system has its own habits, and a
 * mistake may show in one only. */
enum mood {
    MOOD_KEEP_ALL,
    MOOD_KEEP_NONE,
    MOOD_MIXED,
    MOOD_PREFIX,
    MOOD_MOST,
    MOOD_FEW,
    MOOD_COUNT,
};

enum fate { FATE_ABSENT, FATE_TORN, FATE_WHOLE };

struct verdict {
    enum mood mood;
    uint64_t  prefix_count; /* MOOD_PREFIX: so many more are kept, then one is torn, then none */
};

static struct verdict verdict_of(struct chance *chance, enum mood mood, uint64_t change_count)
{
    return (struct verdict){ .mood = mood,
                             .prefix_count = chance_below(chance, change_count + 1) };
}

static enum fate fate_of(struct verdict *verdict, struct chance *chance)
{
    switch (verdict->mood) {
    case MOOD_KEEP_ALL:
        return FATE_WHOLE;
    case MOOD_KEEP_NONE:
        return FATE_ABSENT;
    case MOOD_PREFIX:
        if (verdict->prefix_count == 0)
            return FATE_ABSENT;
        return --verdict->prefix_count == 0 ? FATE_TORN : FATE_WHOLE;
    case MOOD_MOST:
        return chance_below(chance, 8) > 0 ? FATE_WHOLE : (enum fate)chance_below(chance, 2);
    case MOOD_FEW:
        return chance_below(chance, 8) > 0 ? FATE_ABSENT : (enum fate)(1 + chance_below(chance, 2));
    case MOOD_MIXED:
    case MOOD_COUNT:
        break;
    }
    return (enum fate)chance_below(chance, 3);
}

/* Sectors are kept one by one, by chance, or up to a point, or from a point on. */
static void change_tear(struct disk_image *image, const struct change *change,
                        struct chance *chance)
{
    uint64_t unit = chance_below(chance, 2) == 0 ? PAGE_BYTES : change->tear_bytes;
    uint64_t first = change->offset / unit, final = (change->offset + change->bytes - 1) / unit;
    uint64_t cut = first + chance_below(chance, final - first + 1), way = chance_below(chance, 3);

    for (uint64_t sector = first; sector <= final; sector++) {
        uint64_t from = max_u64(sector * unit, change->offset);
        uint64_t to = min_u64((sector + 1) * unit, change->offset + change->bytes);
        bool     is_kept = way == 0 ? chance_below(chance, 2) == 0
                                    : (way == 1 ? sector < cut : sector >= cut);
        if (is_kept)
            image_write(image, change->data + (from - change->offset), to - from, from);
    }
    /* The length may have been written before the bytes that fill it. */
    if (change->offset + change->bytes > image->bytes && chance_below(chance, 4) == 0)
        image_resize(image, change->offset + change->bytes);
}

static void file_crash(struct disk_file *file, enum mood mood, struct chance *chance)
{
    uint64_t count = 0;

    for (struct change *change = file->first_change; change != NULL; change = change->next)
        count += change->state != CHANGE_DURABLE;
    struct verdict verdict = verdict_of(chance, mood, count);
    while (file->first_change != NULL) {
        struct change *change = file->first_change;
        enum fate      fate = FATE_WHOLE;

        if (change->state != CHANGE_DURABLE)
            fate = fate_of(&verdict, chance);
        if (fate == FATE_WHOLE || (fate == FATE_TORN && change->is_size))
            change_apply(&file->durable, change);
        else if (fate == FATE_TORN)
            change_tear(&file->durable, change, chance);
        change_drop_first(file);
    }
    image_free(&file->present);
    image_copy(&file->durable, &file->present);
    file->lock_holder = NULL;
}

static void maps_detach(struct disk *disk)
{
    for (struct disk_map *map = disk->maps; map != NULL; map = map->next) {
        if (map->file == NULL)
            continue;
        disk_pull(map->file, disk, 0, UINT64_MAX);
    }
    for (struct disk_map *map = disk->maps; map != NULL; map = map->next) {
        if (map->file != NULL)
            disk_file_release(disk, map->file);
        map->file = NULL;
    }
}

void disk_crash(struct disk *disk, struct chance *chance)
{
    enum mood mood = (enum mood)chance_below(chance, MOOD_COUNT);

    maps_detach(disk);
    for (struct disk_file *file = disk->files; file != NULL; file = file->next)
        file_crash(file, mood, chance);
    names_crash(disk, chance);
}

static void file_kill(struct disk_file *file, struct chance *chance)
{
    struct change **link = &file->first_change, *previous = NULL;

    while (*link != NULL) {
        struct change *change = *link;

        if (change->state == CHANGE_IN_FLIGHT && chance_below(chance, 2) == 0) {
            *link = change->next;
            machine_free(change);
            continue;
        }
        if (change->state == CHANGE_IN_FLIGHT) {
            change_apply(&file->present, change);
            change->state = CHANGE_UNSYNCED;
        }
        previous = change;
        link = &change->next;
    }
    file->final_change = previous;
    file->lock_holder = NULL;
    changes_settle(file);
}

void disk_kill(struct disk *disk, struct chance *chance)
{
    maps_detach(disk);
    for (struct disk_file *file = disk->files; file != NULL; file = file->next)
        file_kill(file, chance);
    names_kill(disk, chance);
}

/* ---- open, close, copy ---- */

void disk_open(struct disk *disk)
{
    *disk = (struct disk){ 0 };
}

void disk_close(struct disk *disk)
{
    while (disk->maps != NULL)
        disk_unmap(disk, disk->maps->address);
    names_close(disk);
    while (disk->files != NULL) {
        struct disk_file *file = disk->files;

        disk->files = file->next;
        file_free(file);
    }
}

static void maps_copy(const struct disk *source, struct disk_file *target,
                      const struct disk_file *of)
{
    /* The copy has no mappings; their bytes come over as changes of its own. */
    for (struct disk_map *map = source->maps; map != NULL; map = map->next) {
        struct disk_map view = *map;

        if (map->file != of)
            continue;
        view.file = target;
        for (uint64_t at = 0; at < map->bytes; at += PAGE_BYTES)
            map_pull_page(target, &view, at);
    }
}

void disk_copy(const struct disk *source, struct disk *target)
{
    disk_open(target);
    target->bytes_max = source->bytes_max;
    for (struct disk_file *file = source->files; file != NULL; file = file->next) {
        struct disk_file *copy = disk_file_new(target);

        image_copy(&file->present, &copy->present);
        image_copy(&file->durable, &copy->durable);
        for (struct change *change = file->first_change; change != NULL; change = change->next) {
            struct change *added = change_append(copy, change->state,
                                                 change->is_size ? NULL : change->data,
                                                 change->bytes, change->offset);
            added->tear_bytes = change->tear_bytes;
        }
        maps_copy(source, copy, file);
    }
    names_copy(source, target);
}
