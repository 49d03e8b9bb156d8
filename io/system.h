/*
 * system.h: files through plain system calls; what the io_uring and the posix backend have in
 * common. Private to io/.
 */
#pragma once

#include "io/backend.h"

struct system_file {
    struct io_file base;
    int            fd;
    bool           is_directory;
};

/* Every file, directory, lock, time and chance entry of struct io_methods. */
#define SYSTEM_METHODS                                                                  \
    .now_ns = system_now_ns, .random = system_random,                                   \
    .wall_clock_ns = system_wall_clock_ns, .file_open = system_file_open,               \
    .file_close = system_file_close, .file_size = system_file_size,                     \
    .file_allocate = system_file_allocate, .file_truncate = system_file_truncate,       \
    .file_read = system_file_read, .file_write = system_file_write,                     \
    .file_sync = system_file_sync, .directory_create = system_directory_create,         \
    .directory_sync = system_directory_sync, .directory_list = system_directory_list,   \
    .rename = system_rename, .remove = system_remove, .lock = system_lock,              \
    .lock_shared = system_lock_shared,                                                  \
    .map = system_map, .unmap = system_unmap

uint64_t system_now_ns(struct io *io);
uint64_t system_random(struct io *io);
uint64_t system_wall_clock_ns(struct io *io);
enum kiwi_status system_file_open(struct io *io, const char *path, unsigned flags,
                                  struct io_file **out);
void             system_file_close(struct io_file *file);
enum kiwi_status system_file_size(struct io_file *file, uint64_t *bytes);
enum kiwi_status system_file_allocate(struct io_file *file, uint64_t bytes);
enum kiwi_status system_file_truncate(struct io_file *file, uint64_t bytes);
enum kiwi_status system_file_read(struct io_file *file, void *buffer, size_t bytes,
                                  uint64_t offset);
enum kiwi_status system_file_write(struct io_file *file, const void *buffer, size_t bytes,
                                   uint64_t offset);
enum kiwi_status system_file_sync(struct io_file *file);
enum kiwi_status system_directory_create(struct io *io, const char *path);
enum kiwi_status system_directory_sync(struct io *io, const char *path);
enum kiwi_status system_directory_list(struct io *io, const char *path, io_visit *visit,
                                       void *context);
enum kiwi_status system_rename(struct io *io, const char *from, const char *to);
enum kiwi_status system_remove(struct io *io, const char *path);
enum kiwi_status system_lock(struct io *io, const char *path, struct io_file **out);
enum kiwi_status system_lock_shared(struct io *io, const char *path, struct io_file **out);
enum kiwi_status system_map(struct io_file *file, size_t bytes, atomic_bool *is_lost,
                            uint8_t **out);
void             system_unmap(struct io_file *file, uint8_t *address, size_t bytes);

/* Executes a request here and now. 0, errno or enum io_failure_code. */
int system_request_run(struct io_request *request);
