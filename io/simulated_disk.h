/*
 * simulated_disk.h: files and names as a disk keeps them, in memory. Private to io/.
 *
 * File     what reads see (present), what a crash surely keeps (durable), and between them the
 *          ordered list of changes that are not durable yet.
 * Names    the same three for the directory tree.
 * Crash    applies the durable changes and a chosen part of the others to the durable image, then
 *          makes that the present.
 * Memory   straight from malloc: the simulated machine is no part of the database, so it is neither
 *          counted in its memory nor hit by the injected failures of memory.h.
 * Errors   0, errno or enum io_failure_code.
 */
#pragma once

#include <stdint.h>

#include "io/io.h"

/* ---- chance: one stream from one seed (splitmix64, Steele et al., OOPSLA 2014) ---- */
struct chance {
    uint64_t state;
};

static inline uint64_t chance_next(struct chance *chance)
{
    uint64_t x = chance->state += 0x9e3779b97f4a7c15ull;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

static inline uint64_t chance_below(struct chance *chance, uint64_t limit)
{
    assert(limit > 0);
    return chance_next(chance) % limit;
}

static inline bool chance_hits(struct chance *chance, uint32_t per_million)
{
    return per_million > 0 && chance_below(chance, 1000000) < per_million;
}

/* ---- memory of the simulated machine: never NULL ---- */
void *machine_allocate(size_t bytes);        /* zeroed */
void *machine_resize(void *old, size_t bytes);
void *machine_allocate_pages(size_t bytes);  /* zeroed, aligned to 4 KiB */
char *machine_text(const char *text);
void  machine_free(void *pointer);

/* ---- files ---- */
struct disk_page { /* shared by images until one of them writes to it */
    uint32_t holder_count;
    uint8_t  bytes[PAGE_BYTES];
};

struct disk_image {
    struct disk_page **pages; /* NULL: never written */
    uint64_t           page_count;
    uint64_t           bytes;
};

enum change_state {
    CHANGE_UNSYNCED,  /* completed, not durable */
    CHANGE_DURABLE,   /* kept by every crash; waits only for older changes of the same file */
    CHANGE_DOOMED,    /* a sync of it has failed: no later sync makes it durable */
    CHANGE_IN_FLIGHT, /* the machine stopped before it completed: reads do not see it */
};

struct change {
    struct change    *next;
    enum change_state state;
    bool              is_size;    /* a new length instead of bytes */
    uint32_t          tear_bytes; /* smallest part that may be written alone: 512 or 4096 */
    uint64_t          number;     /* ascending within the file */
    uint64_t          offset, bytes;
    uint8_t           data[];
};

struct disk_map { /* memory that stands for the page cache of a file */
    struct disk_map  *next;
    struct disk_file *file; /* NULL after a crash: whoever still has it writes to nowhere */
    uint8_t          *address;
    size_t            bytes;
};

struct disk_file {
    struct disk_file *next;
    uint32_t          holder_count; /* names in both trees, name changes, handles */
    uint32_t          user_count;   /* present names and handles: it uses space */
    struct disk_image present, durable;
    struct disk_image past;           /* what pages held before some earlier write, if kept */
    struct change    *first_change, *final_change;
    uint64_t          change_count;
    const void       *lock_holder;
};

struct name {
    char             *path;
    struct disk_file *file; /* NULL: a directory */
};

struct name_table {
    struct name *names;
    uint32_t     count, capacity;
};

enum name_verb { NAME_CREATE, NAME_RENAME, NAME_REMOVE };

struct name_change {
    struct name_change *next;
    enum change_state   state;
    enum name_verb      verb;
    struct disk_file   *file;
    char               *path, *target; /* target: of a rename */
};

struct disk {
    struct disk_file   *files;
    struct disk_map    *maps;
    struct name_table   present, durable;
    struct name_change *first_change, *final_change;
    uint64_t            bytes_max; /* 0: no limit */
    bool                keeps_past;
};

void disk_open(struct disk *disk);
void disk_close(struct disk *disk); /* mappings too */
void disk_copy(const struct disk *source, struct disk *target); /* no handles, no locks */

void     disk_file_hold(struct disk_file *file); /* a handle */
void     disk_file_release(struct disk *disk, struct disk_file *file);
uint64_t disk_used_bytes(const struct disk *disk);

int  disk_read(struct disk *disk, struct disk_file *file, void *buffer, uint64_t bytes,
               uint64_t offset);
/* What is there, zeros beyond the end. */
void disk_look(const struct disk_file *file, void *buffer, uint64_t bytes, uint64_t offset);
/* Older bytes of this place, as long as the file keeps its past. False: there are no other. */
bool disk_read_past(const struct disk_file *file, void *buffer, uint64_t bytes, uint64_t offset);
int  disk_write(struct disk *disk, struct disk_file *file, const void *data, uint64_t bytes,
                uint64_t offset, enum change_state state);
int  disk_resize(struct disk *disk, struct disk_file *file, uint64_t bytes);
int  disk_reserve(struct disk *disk, struct disk_file *file, uint64_t bytes);
/* Makes changes below number durable. */
void disk_sync(struct disk *disk, struct disk_file *file, uint64_t number);
void disk_harden_newest(struct disk_file *file); /* the newest change only: a synced write */
/* A sync that failed: each change below number may be one that no later sync will write. */
void disk_sync_fail(struct disk_file *file, uint64_t number, struct chance *chance);
/* Brings mapped bytes of the span into the file, as the page cache would show them. */
void disk_pull(struct disk_file *file, struct disk *disk, uint64_t offset, uint64_t bytes);
uint8_t *disk_map(struct disk *disk, struct disk_file *file, size_t bytes);
void     disk_unmap(struct disk *disk, const uint8_t *address);
void     disk_flip_bit(struct disk *disk, struct disk_file *file, uint64_t bit);

/* ---- names: paths with single slashes and none at the end; "/" and "." always exist ---- */
const struct name *disk_find(const struct disk *disk, const char *path);
bool disk_has_directory(const struct disk *disk, const char *path);
/* file NULL: a directory. IN_FLIGHT: only a crash or kill decides whether it happened. */
void disk_name_create(struct disk *disk, const char *path, struct disk_file *file,
                      enum change_state state);
void disk_name_rename(struct disk *disk, const char *from, const char *to, enum change_state state);
void disk_name_remove(struct disk *disk, const char *path, enum change_state state);
void disk_directory_sync(struct disk *disk, const char *path);
struct disk_file *disk_file_new(struct disk *disk);
void path_parent(const char *path, char *parent, size_t parent_bytes);

/* ---- ends: no handle may be used afterwards ---- */
void disk_crash(struct disk *disk, struct chance *chance);
void disk_kill(struct disk *disk, struct chance *chance);
