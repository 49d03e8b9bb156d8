/*
 * io_harness.c: a simulated machine with a directory /db, and requests that note their end.
 */
#include "tests/unit/io_harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct simulation *simulation;
struct io         *io;
uint8_t            bytes_a[16 * PAGE], bytes_b[16 * PAGE];
uint64_t           seed_base;

void start_with(struct simulation_options options)
{
    options.seed += seed_base;
    assert_int_equal(simulation_open(&options, &simulation), KIWI_OK);
    io = simulation_io(simulation);
    assert_int_equal(io_directory_create(io, "/db"), KIWI_OK);
    assert_int_equal(io_directory_sync(io, "/"), KIWI_OK);
}

void start(uint64_t seed)
{
    start_with((struct simulation_options){ .seed = seed });
}

struct io_file *open_file(const char *path, unsigned flags)
{
    struct io_file *file = NULL;

    assert_int_equal(io_file_open(io, path, flags, &file), KIWI_OK);
    return file;
}

/* A file of pages filled with one byte, durable with its name. */
struct io_file *durable_file(const char *path, int fill, uint32_t pages)
{
    struct io_file *file = open_file(path, IO_CREATE);

    memset(bytes_a, fill, sizeof bytes_a);
    assert_int_equal(io_file_write(file, bytes_a, pages * PAGE, 0), KIWI_OK);
    assert_int_equal(io_file_sync(file), KIWI_OK);
    assert_int_equal(io_directory_sync(io, "/db"), KIWI_OK);
    return file;
}

void write_fill(struct io_file *file, int fill, uint32_t bytes, uint64_t offset)
{
    memset(bytes_a, fill, sizeof bytes_a);
    assert_int_equal(io_file_write(file, bytes_a, bytes, offset), KIWI_OK);
}

void read_into_b(const char *path, uint32_t bytes)
{
    struct io_file *file = open_file(path, IO_READ_ONLY);

    assert_int_equal(io_file_read(file, bytes_b, bytes, 0), KIWI_OK);
    io_file_close(file);
}

bool exists(const char *path)
{
    struct io_file  *file;
    enum kiwi_status status = io_file_open(io, path, IO_READ_ONLY, &file);

    assert_true(status == KIWI_OK || status == KIWI_NOT_FOUND);
    io_file_close(file);
    return status == KIWI_OK;
}

uint64_t size_of(struct io_file *file)
{
    uint64_t bytes = 0;

    assert_int_equal(io_file_size(file, &bytes), KIWI_OK);
    return bytes;
}

struct io_request requests[64];
uint32_t          done_order[64], done_count;
char              done_text[512];
enum io_class     add_class = IO_CLASS_FLUSH;

void note_done(struct io_request *request)
{
    done_order[done_count++] = (uint32_t)(request - requests);
    if (request->status != KIWI_OK)
        snprintf(done_text, sizeof done_text, "%s", kiwi_error_text());
}

void add(struct io_queue *queue, uint32_t at, enum io_verb verb, struct io_file *file,
                void *buffer, uint32_t bytes, uint64_t offset)
{
    requests[at] = (struct io_request){ .file = file, .verb = (uint8_t)verb, .buffer = buffer,
                                        .bytes = bytes, .offset = offset, .done = note_done,
                                        .class_of_service = (uint8_t)add_class };
    io_queue_add(queue, &requests[at]);
}

struct io_queue *open_queue(void)
{
    struct io_queue *queue;

    done_count = 0;
    done_text[0] = 0;
    assert_int_equal(io_queue_open(io, 32, &queue), KIWI_OK);
    return queue;
}

void run(struct io_queue *queue)
{
    while (io_queue_pending(queue) > 0)
        io_queue_poll(queue, UINT64_MAX);
}

void seed_take(void)
{
    const char *text = getenv("KIWI_SEED");

    seed_base = text != NULL ? strtoull(text, NULL, 10) : 0;
    print_message("seed %llu\n", (unsigned long long)seed_base);
}
