/*
 * simulated_names.c: names of files and directories, which become durable when their directory is
 * synced, and may be kept or lost at a crash before that.
 */
#include "io/simulated_names.h"

#include <stdio.h>
#include <string.h>

/* ---- tables ---- */

static struct name *table_find(const struct name_table *table, const char *path)
{
    for (uint32_t i = 0; i < table->count; i++)
        if (strcmp(table->names[i].path, path) == 0)
            return &table->names[i];
    return NULL;
}

static bool is_present(const struct disk *disk, const struct name_table *table)
{
    return table == &disk->present;
}

static void file_linked(struct disk *disk, const struct name_table *table, struct disk_file *file)
{
    if (file == NULL)
        return;
    file->holder_count++;
    file->user_count += is_present(disk, table);
}

static void file_unlinked(struct disk *disk, const struct name_table *table, struct disk_file *file)
{
    if (file == NULL)
        return;
    file->user_count -= is_present(disk, table);
    disk_file_drop(disk, file);
}

static void table_unset(struct disk *disk, struct name_table *table, const char *path)
{
    struct name *name = table_find(table, path);

    if (name == NULL)
        return;
    struct name gone = *name;
    *name = table->names[--table->count];
    machine_free(gone.path);
    file_unlinked(disk, table, gone.file);
}

static void table_set(struct disk *disk, struct name_table *table, const char *path,
                      struct disk_file *file)
{
    file_linked(disk, table, file);
    table_unset(disk, table, path);
    if (table->count == table->capacity) {
        table->capacity = table->capacity == 0 ? 16 : table->capacity * 2;
        table->names = machine_resize(table->names, table->capacity * sizeof *table->names);
    }
    table->names[table->count++] = (struct name){ .path = machine_text(path), .file = file };
}

static void table_clear(struct disk *disk, struct name_table *table)
{
    while (table->count > 0) {
        struct name gone = table->names[--table->count];

        machine_free(gone.path);
        file_unlinked(disk, table, gone.file);
    }
}

static void table_free(struct disk *disk, struct name_table *table)
{
    table_clear(disk, table);
    machine_free(table->names);
    *table = (struct name_table){ 0 };
}

static void table_copy(struct disk *disk, const struct name_table *source,
                       struct name_table *target)
{
    for (uint32_t i = 0; i < source->count; i++)
        table_set(disk, target, source->names[i].path, source->names[i].file);
}

/* ---- paths ---- */

void path_parent(const char *path, char *parent, size_t parent_bytes)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        snprintf(parent, parent_bytes, ".");
    else if (slash == path)
        snprintf(parent, parent_bytes, "/");
    else
        snprintf(parent, parent_bytes, "%.*s", (int)(slash - path), path);
}

static bool is_root(const char *path)
{
    return strcmp(path, "/") == 0 || strcmp(path, ".") == 0;
}

static bool table_has_directory(const struct name_table *table, const char *path)
{
    const struct name *name = table_find(table, path);

    return is_root(path) || (name != NULL && name->file == NULL);
}

const struct name *disk_find(const struct disk *disk, const char *path)
{
    return table_find(&disk->present, path);
}

bool disk_has_directory(const struct disk *disk, const char *path)
{
    return table_has_directory(&disk->present, path);
}

/* ---- changes ---- */

static void change_free(struct disk *disk, struct name_change *change)
{
    if (change->file != NULL)
        disk_file_drop(disk, change->file);
    machine_free(change->path);
    machine_free(change->target);
    machine_free(change);
}

static void change_apply(struct disk *disk, struct name_table *table,
                         const struct name_change *change)
{
    struct name *name = table_find(table, change->path);

    switch (change->verb) {
    case NAME_CREATE:
        table_set(disk, table, change->path, change->file);
        break;
    case NAME_RENAME:
        /* The old name may be missing: its creation was lost, this change was not. */
        if (name != NULL && name->file == change->file)
            table_unset(disk, table, change->path);
        table_set(disk, table, change->target, change->file);
        break;
    case NAME_REMOVE:
        if (name != NULL && name->file == change->file)
            table_unset(disk, table, change->path);
        break;
    }
}

static void change_add(struct disk *disk, struct name_change change, const char *path,
                       const char *target)
{
    struct name_change *added = machine_allocate(sizeof *added);

    *added = change;
    added->path = machine_text(path);
    added->target = target != NULL ? machine_text(target) : NULL;
    if (added->file != NULL)
        added->file->holder_count++;
    if (disk->first_change == NULL)
        disk->first_change = added;
    else
        disk->final_change->next = added;
    disk->final_change = added;
    if (added->state != CHANGE_IN_FLIGHT)
        change_apply(disk, &disk->present, added);
}

void disk_name_create(struct disk *disk, const char *path, struct disk_file *file,
                      enum change_state state)
{
    change_add(disk, (struct name_change){ .verb = NAME_CREATE, .state = state, .file = file },
               path, NULL);
}

void disk_name_rename(struct disk *disk, const char *from, const char *to, enum change_state state)
{
    const struct name *name = disk_find(disk, from);

    assert(name != NULL);
    assert(name->file != NULL); /* directories keep their names */
    change_add(disk, (struct name_change){ .verb = NAME_RENAME, .state = state,
                                           .file = name->file }, from, to);
}

void disk_name_remove(struct disk *disk, const char *path, enum change_state state)
{
    const struct name *name = disk_find(disk, path);

    assert(name != NULL);
    assert(name->file != NULL);
    change_add(disk, (struct name_change){ .verb = NAME_REMOVE, .state = state,
                                           .file = name->file }, path, NULL);
}

static void first_change_drop(struct disk *disk)
{
    struct name_change *change = disk->first_change;

    disk->first_change = change->next;
    if (disk->first_change == NULL)
        disk->final_change = NULL;
    change_free(disk, change);
}

static bool is_in_directory(const char *path, const char *directory)
{
    char parent[512];

    if (path == NULL)
        return false;
    path_parent(path, parent, sizeof parent);
    return strcmp(parent, directory) == 0;
}

void disk_directory_sync(struct disk *disk, const char *path)
{
    struct name_change *change;

    for (change = disk->first_change; change != NULL; change = change->next)
        if (change->state == CHANGE_UNSYNCED
            && (is_in_directory(change->path, path) || is_in_directory(change->target, path)))
            change->state = CHANGE_DURABLE;
    while (disk->first_change != NULL && disk->first_change->state == CHANGE_DURABLE) {
        change_apply(disk, &disk->durable, disk->first_change);
        first_change_drop(disk);
    }
}

/* ---- ends ---- */

/* A name whose directory is gone is gone. */
static void orphans_drop(struct disk *disk, struct name_table *table)
{
    char parent[512];

    for (uint32_t i = 0; i < table->count;) {
        path_parent(table->names[i].path, parent, sizeof parent);
        if (table_has_directory(table, parent)) {
            i++;
            continue;
        }
        table_unset(disk, table, table->names[i].path);
        i = 0; /* a directory that went may have held others */
    }
}

void names_crash(struct disk *disk, struct chance *chance)
{
    /* Journals keep a prefix of the changes; other file systems any of them. */
    bool     is_journal = chance_below(chance, 2) == 0;
    uint64_t keep_per_16 = chance_below(chance, 17);
    bool     is_kept = true;

    while (disk->first_change != NULL) {
        struct name_change *change = disk->first_change;
        bool                is_lucky = chance_below(chance, 16) < keep_per_16;

        is_kept = is_journal ? is_kept && is_lucky : is_lucky;
        if (change->state == CHANGE_DURABLE || is_kept)
            change_apply(disk, &disk->durable, change);
        first_change_drop(disk);
    }
    orphans_drop(disk, &disk->durable);
    table_clear(disk, &disk->present);
    table_copy(disk, &disk->durable, &disk->present);
}

void names_kill(struct disk *disk, struct chance *chance)
{
    struct name_change **link = &disk->first_change, *previous = NULL;

    while (*link != NULL) {
        struct name_change *change = *link;

        if (change->state == CHANGE_IN_FLIGHT && chance_below(chance, 2) == 0) {
            *link = change->next;
            change_free(disk, change);
            continue;
        }
        if (change->state == CHANGE_IN_FLIGHT) {
            change_apply(disk, &disk->present, change);
            change->state = CHANGE_UNSYNCED;
        }
        previous = change;
        link = &change->next;
    }
    disk->final_change = previous;
}

void names_close(struct disk *disk)
{
    while (disk->first_change != NULL)
        first_change_drop(disk);
    table_free(disk, &disk->present);
    table_free(disk, &disk->durable);
}

static struct disk_file *counterpart(const struct disk *source, const struct disk *target,
                                     const struct disk_file *file)
{
    uint32_t          after = 0, at = 0;
    struct disk_file *copy = target->files;

    for (const struct disk_file *each = file; each != NULL; each = each->next)
        after++;
    /* Files are pushed in front, so the last of the source is the first of the target. */
    while (++at < after)
        copy = copy->next;
    assert(copy != NULL);
    (void)source;
    return copy;
}

void names_copy(const struct disk *source, struct disk *target)
{
    const struct name_table *from[] = { &source->present, &source->durable };
    struct name_table       *to[] = { &target->present, &target->durable };

    for (uint32_t t = 0; t < 2; t++)
        for (uint32_t i = 0; i < from[t]->count; i++) {
            const struct name *name = &from[t]->names[i];
            struct disk_file  *file = name->file;

            table_set(target, to[t], name->path,
                      file != NULL ? counterpart(source, target, file) : NULL);
        }
    for (struct name_change *each = source->first_change; each != NULL; each = each->next) {
        struct name_change *added = machine_allocate(sizeof *added);

        *added = *each;
        added->next = NULL;
        added->path = machine_text(each->path);
        added->target = each->target != NULL ? machine_text(each->target) : NULL;
        added->file = each->file != NULL ? counterpart(source, target, each->file) : NULL;
        if (added->file != NULL)
            added->file->holder_count++;
        if (target->first_change == NULL)
            target->first_change = added;
        else
            target->final_change->next = added;
        target->final_change = added;
    }
    /* Nobody holds a file that only an open handle of the source kept. */
    for (struct disk_file *file = target->files, *next; file != NULL; file = next) {
        next = file->next;
        file->holder_count++;
        disk_file_drop(target, file);
    }
}
