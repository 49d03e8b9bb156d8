/*
 * io_backend.c: what every backend promises. One program, run once per backend: the argument is
 * posix, uring or simulated.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "io/io.h"
#include "io/simulated.h"
#include "io/thread.h"

enum { PAGE = 4096 };

static atomic_bool map_is_lost;

static const char        *backend;
static struct io         *io;
static struct simulation *simulation;
static char               directory[64];
static _Alignas(PAGE) uint8_t page_a[PAGE], page_b[PAGE];

static bool is_simulated(void)
{
    return strcmp(backend, "simulated") == 0;
}

static const char *path_of(const char *name)
{
    static char paths[4][128];
    static int  turn;

    turn = (turn + 1) % 4;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", directory, name);
    return paths[turn];
}

static enum kiwi_status remove_one(void *context, const char *name)
{
    (void)context;
    return io_remove(io, path_of(name));
}

static int open_backend(void **state)
{
    (void)state;
    if (is_simulated()) {
        struct simulation_options options = { .seed = 7, .short_transfer_per_million = 100000 };

        assert_int_equal(simulation_open(&options, &simulation), KIWI_OK);
        io = simulation_io(simulation);
        strcpy(directory, "/db");
        assert_int_equal(io_directory_create(io, directory), KIWI_OK);
        return 0;
    }
    strcpy(directory, "io_backend_XXXXXX");
    assert_non_null(mkdtemp(directory));
    assert_int_equal(io_open(strcmp(backend, "posix") == 0 ? IO_BACKEND_POSIX : IO_BACKEND_URING,
                             &io), KIWI_OK);
    return 0;
}

static int close_backend(void **state)
{
    (void)state;
    assert_int_equal(io_directory_list(io, directory, remove_one, NULL), KIWI_OK);
    if (is_simulated()) {
        simulation_close(simulation);
        return 0;
    }
    io_close(io);
    return rmdir(directory);
}

static struct io_file *file_open(const char *name, unsigned flags)
{
    struct io_file *file = NULL;

    assert_int_equal(io_file_open(io, path_of(name), flags, &file), KIWI_OK);
    return file;
}

/* ---- files ---- */

static void an_absent_file_is_not_found(void **state)
{
    struct io_file *file;

    (void)state;
    assert_int_equal(io_file_open(io, path_of("absent"), 0, &file), KIWI_NOT_FOUND);
    assert_null(file);
    assert_non_null(strstr(kiwi_error_text(), "absent"));
    assert_int_equal(io_file_open(io, path_of("absent"), IO_READ_ONLY, &file), KIWI_NOT_FOUND);
    assert_int_equal(io_remove(io, path_of("absent")), KIWI_NOT_FOUND);
    assert_int_equal(io_rename(io, path_of("absent"), path_of("other")), KIWI_NOT_FOUND);
    assert_int_equal(io_file_open(io, path_of("absent/deeper"), IO_CREATE, &file), KIWI_NOT_FOUND);
    io_file_close(NULL);
}

static void exclusive_creation_refuses_what_is_there(void **state)
{
    struct io_file *file, *second;

    (void)state;
    file = file_open("exclusive", IO_CREATE | IO_EXCLUSIVE);
    assert_int_equal(io_file_open(io, path_of("exclusive"), IO_CREATE | IO_EXCLUSIVE, &second),
                     KIWI_INVALID);
    assert_null(second);
    second = file_open("exclusive", IO_CREATE);
    assert_non_null(strstr(io_file_path(second), "/exclusive"));
    io_file_close(second);
    io_file_close(file);
    file = file_open("exclusive_direct", IO_CREATE | IO_EXCLUSIVE | IO_DIRECT);
    io_file_close(file);
}

static void what_was_written_is_read(void **state)
{
    struct io_file *file = file_open("plain", IO_CREATE);
    uint64_t        size;
    char            text[16] = { 0 };

    (void)state;
    assert_int_equal(io_file_size(file, &size), KIWI_OK);
    assert_int_equal(size, 0);
    assert_int_equal(io_file_write(file, "hello world", 11, 5), KIWI_OK);
    assert_int_equal(io_file_read(file, text, 16, 0), KIWI_OK);
    assert_memory_equal(text, "\0\0\0\0\0hello world", 16);
    assert_int_equal(io_file_write(file, "J", 1, 5), KIWI_OK);
    assert_int_equal(io_file_read(file, text, 5, 5), KIWI_OK);
    assert_memory_equal(text, "Jello", 5);
    assert_int_equal(io_file_read(file, text, 0, 1000), KIWI_OK);
    assert_int_equal(io_file_sync(file), KIWI_OK);
    io_file_close(file);
}

static void reading_past_the_end_is_corrupt_and_says_where(void **state)
{
    struct io_file *file = file_open("short", IO_CREATE);
    char            bytes[8];

    (void)state;
    assert_int_equal(io_file_write(file, "12345", 5, 0), KIWI_OK);
    assert_int_equal(io_file_read(file, bytes, 4, 2), KIWI_CORRUPT);
    assert_non_null(strstr(kiwi_error_text(), "/short"));
    assert_non_null(strstr(kiwi_error_text(), "offset 2"));
    assert_non_null(strstr(kiwi_error_text(), "has 5"));
    assert_int_equal(io_file_read(file, bytes, 1, 5), KIWI_CORRUPT);
    assert_int_equal(io_file_read(file, bytes, 3, 2), KIWI_OK);
    io_file_close(file);
}

static void files_grow_and_shrink_as_told(void **state)
{
    struct io_file *file = file_open("sized", IO_CREATE | IO_DIRECT);
    uint64_t        size;

    (void)state;
    assert_int_equal(io_file_allocate(file, 0), KIWI_OK);
    assert_int_equal(io_file_allocate(file, 8 * PAGE), KIWI_OK);
    assert_int_equal(io_file_size(file, &size), KIWI_OK);
    assert_int_equal(size, 8 * PAGE);
    memset(page_a, 1, PAGE);
    assert_int_equal(io_file_read(file, page_a, PAGE, 7 * PAGE), KIWI_OK);
    memset(page_b, 0, PAGE);
    assert_memory_equal(page_a, page_b, PAGE);
    memset(page_b, 3, PAGE);
    assert_int_equal(io_file_write(file, page_b, PAGE, PAGE), KIWI_OK);
    assert_int_equal(io_file_allocate(file, 2 * PAGE), KIWI_OK); /* never shrinks */
    assert_int_equal(io_file_size(file, &size), KIWI_OK);
    assert_int_equal(size, 8 * PAGE);
    assert_int_equal(io_file_truncate(file, PAGE + 100), KIWI_OK);
    assert_int_equal(io_file_size(file, &size), KIWI_OK);
    assert_int_equal(size, PAGE + 100);
    assert_int_equal(io_file_read(file, page_a, PAGE, PAGE), KIWI_CORRUPT);
    /* Growing again shows zeros where the cut off bytes were. */
    assert_int_equal(io_file_truncate(file, 2 * PAGE), KIWI_OK);
    assert_int_equal(io_file_read(file, page_a, PAGE, PAGE), KIWI_OK);
    assert_int_equal(page_a[99], 3);
    assert_int_equal(page_a[100], 0);
    io_file_close(file);
}

static void whole_files_are_written_and_read(void **state)
{
    static char big[100000];
    void       *data;
    size_t      bytes;

    (void)state;
    assert_int_equal(io_write_whole(io, path_of("whole"), "one", 3), KIWI_OK);
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)(i * 7);
    assert_int_equal(io_write_whole(io, path_of("whole"), big, sizeof big), KIWI_OK);
    assert_int_equal(io_read_whole(io, path_of("whole"), sizeof big, &data, &bytes), KIWI_OK);
    assert_int_equal(bytes, sizeof big);
    assert_memory_equal(data, big, bytes);
    memory_free(data);
    assert_int_equal(io_read_whole(io, path_of("whole"), sizeof big - 1, &data, &bytes),
                     KIWI_TOO_LARGE);
    assert_null(data);
    assert_int_equal(io_write_whole(io, path_of("whole"), "", 0), KIWI_OK);
    assert_int_equal(io_read_whole(io, path_of("whole"), 10, &data, &bytes), KIWI_OK);
    assert_int_equal(bytes, 0);
    memory_free(data);
    assert_int_equal(io_read_whole(io, path_of("none"), 10, &data, &bytes), KIWI_NOT_FOUND);
    /* No temporary name stays behind. */
    assert_int_equal(io_remove(io, path_of("whole.new")), KIWI_NOT_FOUND);
}

static uint32_t names_seen;

static enum kiwi_status name_count(void *context, const char *name)
{
    if (strcmp(name, "list_a") == 0 || strcmp(name, "list_b") == 0)
        names_seen++;
    return context != NULL ? FAIL(KIWI_BUSY, "enough") : KIWI_OK;
}

static void names_are_listed_renamed_and_removed(void **state)
{
    (void)state;
    io_file_close(file_open("list_a", IO_CREATE));
    io_file_close(file_open("list_b", IO_CREATE));
    names_seen = 0;
    assert_int_equal(io_directory_list(io, directory, name_count, NULL), KIWI_OK);
    assert_int_equal(names_seen, 2);
    assert_int_equal(io_directory_list(io, directory, name_count, &names_seen), KIWI_BUSY);
    assert_int_equal(io_directory_list(io, path_of("nowhere"), name_count, NULL), KIWI_NOT_FOUND);
    assert_int_equal(io_rename(io, path_of("list_a"), path_of("list_b")), KIWI_OK);
    names_seen = 0;
    assert_int_equal(io_directory_list(io, directory, name_count, NULL), KIWI_OK);
    assert_int_equal(names_seen, 1);
    assert_int_equal(io_remove(io, path_of("list_b")), KIWI_OK);
    assert_int_equal(io_remove(io, path_of("list_b")), KIWI_NOT_FOUND);
    assert_int_equal(io_directory_create(io, directory), KIWI_OK);
    assert_int_equal(io_directory_sync(io, directory), KIWI_OK);
    assert_int_equal(io_directory_sync(io, path_of("nowhere")), KIWI_NOT_FOUND);
}

static void an_open_file_outlives_its_name(void **state)
{
    struct io_file *file = file_open("nameless", IO_CREATE);
    char            text[4];

    (void)state;
    assert_int_equal(io_file_write(file, "abcd", 4, 0), KIWI_OK);
    assert_int_equal(io_remove(io, path_of("nameless")), KIWI_OK);
    assert_int_equal(io_file_read(file, text, 4, 0), KIWI_OK);
    assert_memory_equal(text, "abcd", 4);
    io_file_close(file);
}

static void a_mapping_and_the_file_show_the_same_bytes(void **state)
{
    struct io_file *file = file_open("mapped", IO_CREATE);
    uint8_t        *map;
    char            text[5];

    (void)state;
    assert_int_equal(io_map(file, PAGE, &map_is_lost, &map), KIWI_CORRUPT); /* too short */
    assert_int_equal(io_file_allocate(file, 2 * PAGE), KIWI_OK);
    assert_int_equal(io_map(file, 2 * PAGE, &map_is_lost, &map), KIWI_OK);
    memcpy(map + PAGE - 2, "abcde", 5);
    assert_int_equal(io_file_read(file, text, 5, PAGE - 2), KIWI_OK);
    assert_memory_equal(text, "abcde", 5);
    io_unmap(file, map, 2 * PAGE);
    io_file_close(file);
    file = file_open("mapped", 0);
    assert_int_equal(io_map(file, 2 * PAGE, &map_is_lost, &map), KIWI_OK);
    assert_memory_equal(map + PAGE - 2, "abcde", 5);
    assert_int_equal(map[0], 0);
    io_unmap(file, map, 2 * PAGE);
    io_file_close(file);
}

/* Goal: what a process stored in a mapping outlives it. Method: a child stores and is killed. */
static void a_mapping_outlives_its_process(void **state)
{
    struct io_file *file;
    uint8_t        *map, text[4];
    int             result;

    (void)state;
    if (is_simulated())
        return; /* simulation_kill has tests of its own */
    file = file_open("outlives", IO_CREATE);
    assert_int_equal(io_file_allocate(file, PAGE), KIWI_OK);
    pid_t child = fork();
    if (child == 0) {
        if (io_map(file, PAGE, &map_is_lost, &map) == KIWI_OK) {
            memcpy(map + 100, "kept", 4);
            raise(SIGKILL);
        }
        _exit(1);
    }
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_true(WIFSIGNALED(result));
    assert_int_equal(io_file_read(file, text, 4, 100), KIWI_OK);
    assert_memory_equal(text, "kept", 4);
    io_file_close(file);
}

/* ---- lock ---- */

static void a_second_lock_is_refused_with_the_holder(void **state)
{
    struct io_file *lock, *second;
    char            pid[32];

    (void)state;
    assert_int_equal(io_lock(io, path_of("LOCK"), &lock), KIWI_OK);
    assert_int_equal(io_lock(io, path_of("LOCK"), &second), KIWI_LOCKED);
    assert_null(second);
    snprintf(pid, sizeof pid, "process %u ", is_simulated() ? 1 : thread_process_id());
    assert_non_null(strstr(kiwi_error_text(), pid));
    io_file_close(lock);
    assert_int_equal(io_lock(io, path_of("LOCK"), &lock), KIWI_OK);
    io_file_close(lock);
}

static void a_lock_of_another_process_names_its_pid(void **state)
{
    int             to_parent[2], to_child[2];
    struct io_file *lock;
    char            byte = 0, text[32];

    (void)state;
    if (is_simulated())
        return;
    assert_int_equal(pipe(to_parent) | pipe(to_child), 0);
    pid_t child = fork();
    if (child == 0) {
        enum kiwi_status status = io_lock(io, path_of("LOCK2"), &lock);
        byte = (char)status;
        if (write(to_parent[1], &byte, 1) != 1 || read(to_child[0], &byte, 1) != 1)
            _exit(1);
        _exit(0);
    }
    assert_int_equal(read(to_parent[0], &byte, 1), 1);
    assert_int_equal(byte, KIWI_OK);
    assert_int_equal(io_lock(io, path_of("LOCK2"), &lock), KIWI_LOCKED);
    snprintf(text, sizeof text, "process %ld ", (long)child);
    assert_non_null(strstr(kiwi_error_text(), text));
    assert_int_equal(write(to_child[1], &byte, 1), 1);
    assert_int_equal(waitpid(child, NULL, 0), child);
    /* The lock ended with its process. */
    assert_int_equal(io_lock(io, path_of("LOCK2"), &lock), KIWI_OK);
    io_file_close(lock);
    close(to_parent[0]), close(to_parent[1]), close(to_child[0]), close(to_child[1]);
}

/* ---- queues ---- */

static struct io_queue *queue;
static uint32_t         done_count;
static enum kiwi_status done_status;
static char             done_text[256];

static void count_done(struct io_request *request)
{
    done_count++;
    done_status = request->status;
    if (request->status != KIWI_OK)
        snprintf(done_text, sizeof done_text, "%s", kiwi_error_text());
}

static struct io_request request_of(enum io_verb verb, struct io_file *file, void *buffer,
                                    uint32_t bytes, uint64_t offset)
{
    return (struct io_request){ .file = file, .verb = (uint8_t)verb, .buffer = buffer,
                                .bytes = bytes, .offset = offset, .done = count_done,
                                .class_of_service = IO_CLASS_READ };
}

static enum kiwi_status run_one(struct io_request request)
{
    uint32_t before = done_count;

    io_queue_add(queue, &request);
    assert_int_equal(io_queue_pending(queue), 1);
    assert_int_equal(done_count, before); /* never from add */
    while (done_count == before)
        io_queue_poll(queue, UINT64_MAX);
    assert_int_equal(io_queue_pending(queue), 0);
    assert_int_equal(request.status, done_status);
    return request.status;
}

static void queue_start(uint32_t depth)
{
    assert_int_equal(io_queue_open(io, depth, &queue), KIWI_OK);
    done_count = 0;
    done_text[0] = 0;
}

static void every_verb_works_in_a_queue(void **state)
{
    struct io_file   *file = file_open("verbs", IO_CREATE | IO_DIRECT), *folder;
    struct io_request request;
    uint64_t          size;

    (void)state;
    queue_start(4);
    assert_int_equal(run_one(request_of(IO_ALLOCATE, file, NULL, 0, 4 * PAGE)), KIWI_OK);
    assert_int_equal(run_one(request_of(IO_ALLOCATE, file, NULL, 0, 0)), KIWI_OK);
    assert_int_equal(io_file_size(file, &size), KIWI_OK);
    assert_int_equal(size, 4 * PAGE);
    memset(page_a, 0x11, PAGE);
    assert_int_equal(run_one(request_of(IO_WRITE, file, page_a, PAGE, PAGE)), KIWI_OK);
    assert_int_equal(run_one(request_of(IO_SYNC, file, NULL, 0, 0)), KIWI_OK);
    memset(page_a, 0x22, PAGE);
    assert_int_equal(run_one(request_of(IO_WRITE_SYNC, file, page_a, PAGE, 2 * PAGE)), KIWI_OK);
    assert_int_equal(run_one(request_of(IO_READ, file, page_b, PAGE, PAGE)), KIWI_OK);
    assert_int_equal(page_b[PAGE - 1], 0x11);
    assert_int_equal(run_one(request_of(IO_READ, file, page_b, PAGE, 2 * PAGE)), KIWI_OK);
    assert_int_equal(page_b[0], 0x22);
    assert_int_equal(run_one(request_of(IO_READ, file, page_b, 0, 100 * PAGE)), KIWI_OK);
    folder = NULL;
    assert_int_equal(io_file_open(io, directory, IO_DIRECTORY, &folder), KIWI_OK);
    assert_int_equal(run_one(request_of(IO_SYNC, folder, NULL, 0, 0)), KIWI_OK);
    assert_int_equal(io_file_sync(folder), KIWI_OK);
    io_file_close(folder);
    io_file_close(file);
    request = request_of(IO_REMOVE, NULL, NULL, 0, 0);
    request.path = path_of("verbs");
    assert_int_equal(run_one(request), KIWI_OK);
    assert_int_equal(run_one(request), KIWI_NOT_FOUND);
    assert_non_null(strstr(done_text, "/verbs"));
    io_queue_close(queue);
    io_queue_close(NULL);
}

static void queued_reads_past_the_end_are_corrupt(void **state)
{
    struct io_file *file = file_open("end", IO_CREATE | IO_DIRECT);

    (void)state;
    queue_start(4);
    assert_int_equal(io_file_write(file, page_a, PAGE, 0), KIWI_OK);
    assert_int_equal(run_one(request_of(IO_READ, file, page_b, PAGE, PAGE)), KIWI_CORRUPT);
    assert_non_null(strstr(done_text, "/end"));
    assert_non_null(strstr(done_text, "offset 4096"));
    assert_non_null(strstr(done_text, "has 4096"));
    /* A file that ends inside the last page. */
    assert_int_equal(io_file_truncate(file, PAGE - 1), KIWI_OK);
    assert_int_equal(run_one(request_of(IO_READ, file, page_b, PAGE, 0)), KIWI_CORRUPT);
    io_queue_close(queue);
    io_file_close(file);
}

static void writing_a_read_only_file_is_an_error(void **state)
{
    struct io_file *file;

    (void)state;
    io_file_close(file_open("constant", IO_CREATE));
    queue_start(2);
    file = file_open("constant", IO_READ_ONLY);
    assert_int_equal(run_one(request_of(IO_WRITE, file, page_a, 10, 0)), KIWI_IO);
    assert_non_null(strstr(done_text, "/constant"));
    assert_int_equal(io_file_write(file, page_a, 10, 0), KIWI_IO);
    io_queue_close(queue);
    io_file_close(file);
}

enum { MANY = 700 };
static struct io_request many[MANY];
static _Alignas(PAGE) uint8_t many_pages[MANY][PAGE];

/* Goal: requests far beyond the depth all complete, in every class, and each page is right.
 * Method: write 700 pages through a queue of 16, read them back in mixed classes. */
static void hundreds_of_requests_beyond_the_depth_complete(void **state)
{
    struct io_file    *file = file_open("many", IO_CREATE | IO_DIRECT);
    struct io_counters before, after;

    (void)state;
    queue_start(16);
    io_counters_read(io, &before);
    for (uint32_t i = 0; i < MANY; i++) {
        memset(many_pages[i], (int)(i % 251), PAGE);
        many[i] = request_of(IO_WRITE, file, many_pages[i], PAGE, (uint64_t)i * PAGE);
        many[i].class_of_service = (uint8_t)(i % IO_CLASS_COUNT);
        io_queue_add(queue, &many[i]);
    }
    assert_int_equal(io_queue_pending(queue), MANY);
    while (io_queue_pending(queue) > 0)
        io_queue_poll(queue, UINT64_MAX);
    assert_int_equal(done_count, MANY);
    memset(many_pages, 0xff, sizeof many_pages);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(many[i].status, KIWI_OK);
        many[i] = request_of(IO_READ, file, many_pages[i], PAGE, (uint64_t)i * PAGE);
        many[i].class_of_service = (uint8_t)(i / 7 % IO_CLASS_COUNT);
        io_queue_add(queue, &many[i]);
    }
    while (io_queue_pending(queue) > 0)
        io_queue_poll(queue, UINT64_MAX);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(many[i].status, KIWI_OK);
        assert_int_equal(many_pages[i][i], i % 251);
    }
    io_counters_read(io, &after);
    assert_int_equal(after.reads - before.reads, MANY);
    assert_int_equal(after.writes - before.writes, MANY);
    assert_int_equal(after.write_bytes - before.write_bytes, MANY * PAGE);
    io_queue_close(queue);
    io_counters_read(io, &before);
    assert_int_equal(before.reads, after.reads); /* closing a queue loses no counts */
    io_file_close(file);
}

static uint32_t chain_left;

static void chain_done(struct io_request *request)
{
    assert_int_equal(request->status, KIWI_OK);
    done_count++;
    if (chain_left > 0) {
        chain_left--;
        io_queue_add(queue, request); /* the same request again: it is free once done is called */
    }
}

static void done_functions_may_add_requests(void **state)
{
    struct io_file *file = file_open("chain", IO_CREATE | IO_DIRECT);

    (void)state;
    queue_start(8);
    chain_left = 200;
    for (uint32_t i = 0; i < 4; i++) {
        many[i] = request_of(IO_WRITE, file, page_a, PAGE, (uint64_t)i * PAGE);
        many[i].class_of_service = IO_CLASS_FLUSH;
        many[i].done = chain_done;
        io_queue_add(queue, &many[i]);
    }
    while (io_queue_pending(queue) > 0)
        io_queue_poll(queue, UINT64_MAX);
    assert_int_equal(done_count, 204);
    io_queue_close(queue);
    io_file_close(file);
}

static void closing_waits_for_what_is_pending(void **state)
{
    struct io_file *file = file_open("closing", IO_CREATE | IO_DIRECT);

    (void)state;
    queue_start(4);
    for (uint32_t i = 0; i < 50; i++) {
        many[i] = request_of(IO_WRITE, file, page_a, PAGE, (uint64_t)i * PAGE);
        io_queue_add(queue, &many[i]);
    }
    io_queue_poll(queue, 0);
    io_queue_close(queue);
    assert_int_equal(done_count, 50);
    io_file_close(file);
}

static void a_poll_without_work_ends_with_its_time(void **state)
{
    uint64_t before = io_now_ns(io);

    (void)state;
    queue_start(4);
    assert_int_equal(io_queue_poll(queue, 0), 0);
    assert_int_equal(io_queue_poll(queue, 2000000), 0);
    assert_true(io_now_ns(io) - before >= 2000000);
    io_queue_close(queue);
}

static _Atomic uint32_t is_stopping;

static void wake_often(void *context)
{
    (void)context;
    while (atomic_load(&is_stopping) == 0)
        io_queue_wake(queue);
}

/* Goal: a waiting poll never misses a wake. Method: 2,000 waits without end, woken only by another
 * thread. */
static void a_wake_from_another_thread_ends_the_wait(void **state)
{
    struct thread *thread;

    (void)state;
    queue_start(4);
    if (is_simulated()) { /* one thread: the wake of before counts for the next wait */
        io_queue_wake(queue);
        assert_int_equal(io_queue_poll(queue, UINT64_MAX), 0);
        io_queue_close(queue);
        return;
    }
    atomic_store(&is_stopping, 0);
    assert_int_equal(thread_start(wake_often, NULL, -1, "waker", &thread), KIWI_OK);
    for (uint32_t i = 0; i < 2000; i++)
        assert_int_equal(io_queue_poll(queue, UINT64_MAX), 0);
    atomic_store(&is_stopping, 1);
    thread_join(thread);
    io_queue_close(queue);
}

static _Atomic uint32_t ping, pong;

static void answer_pings(void *context)
{
    struct io_queue *mine = context;

    for (uint32_t seen = 0; seen < 2000;) {
        if (atomic_load(&ping) == seen) {
            io_queue_poll(mine, UINT64_MAX);
            continue;
        }
        seen++;
        atomic_store(&pong, seen);
        unpark(&pong, 1);
    }
}

/* Goal: one wake after one message is enough, however the two threads interleave. */
static void one_wake_for_each_message_is_enough(void **state)
{
    struct thread *thread;

    (void)state;
    if (is_simulated())
        return;
    queue_start(4);
    atomic_store(&ping, 0);
    atomic_store(&pong, 0);
    assert_int_equal(thread_start(answer_pings, queue, -1, "answers", &thread), KIWI_OK);
    for (uint32_t i = 1; i <= 2000; i++) {
        atomic_store(&ping, i);
        io_queue_wake(queue);
        while (atomic_load(&pong) != i)
            park(&pong, i - 1, UINT64_MAX);
    }
    thread_join(thread);
    io_queue_close(queue); /* from a thread that never polled it */
}

/* The kernel's own work for a ring may interrupt system calls of its thread. */
static int readable_count(int group, int timeout_ms)
{
    struct epoll_event event;
    int                count;

    do
        count = epoll_wait(group, &event, 1, timeout_ms);
    while (count < 0 && errno == EINTR);
    return count;
}

static void the_descriptor_is_readable_on_completions_and_wakes(void **state)
{
    struct io_file    *file = file_open("descriptor", IO_CREATE | IO_DIRECT);
    struct epoll_event event = { .events = EPOLLIN };
    int                group, descriptor;

    (void)state;
    queue_start(4);
    descriptor = io_queue_descriptor(queue);
    if (is_simulated()) {
        assert_int_equal(descriptor, -1);
        io_queue_close(queue);
        io_file_close(file);
        return;
    }
    assert_int_equal(io_queue_descriptor(queue), descriptor);
    group = epoll_create1(0);
    assert_int_equal(epoll_ctl(group, EPOLL_CTL_ADD, descriptor, &event), 0);
    for (uint32_t i = 0; i < 50; i++) {
        many[i] = request_of(IO_WRITE, file, page_a, PAGE, (uint64_t)i * PAGE);
        io_queue_add(queue, &many[i]);
    }
    io_queue_poll(queue, 0);
    while (done_count < 50) {
        assert_int_equal(readable_count(group, 10000), 1);
        io_queue_poll(queue, 0);
    }
    io_queue_poll(queue, 0); /* empties the descriptor */
    assert_int_equal(readable_count(group, 0), 0);
    for (uint32_t i = 0; i < 3; i++) {
        io_queue_wake(queue);
        io_queue_wake(queue);
        assert_int_equal(readable_count(group, 10000), 1);
        assert_int_equal(io_queue_poll(queue, UINT64_MAX), 0);
        assert_int_equal(readable_count(group, 0), 0);
    }
    close(group);
    io_queue_close(queue);
    io_file_close(file);
}

static void poll_until_empty(void *context)
{
    struct io_queue *mine = context;

    while (io_queue_pending(mine) > 0)
        io_queue_poll(mine, UINT64_MAX);
}

/* Goal: an idle queue may be taken over by another thread, and back, also after the first one has
 * gone, and with requests that nobody has polled for yet. */
static void an_idle_queue_moves_between_threads(void **state)
{
    struct io_file *file = file_open("moving", IO_CREATE | IO_DIRECT);
    struct thread  *thread;

    (void)state;
    if (is_simulated()) {
        io_file_close(file);
        return;
    }
    queue_start(4);
    for (uint32_t round = 0; round < 6; round++) {
        for (uint32_t i = 0; i < 20; i++) {
            many[i] = request_of(IO_WRITE, file, page_a, PAGE, (uint64_t)i * PAGE);
            io_queue_add(queue, &many[i]);
        }
        if (round % 2 == 0) {
            assert_int_equal(thread_start(poll_until_empty, queue, -1, "mover", &thread), KIWI_OK);
            thread_join(thread);
        } else {
            poll_until_empty(queue);
        }
        assert_int_equal(done_count, (round + 1) * 20);
    }
    io_queue_close(queue);
    io_file_close(file);
}

static void registered_buffers_transfer_the_same_bytes(void **state)
{
    struct io_file *file = file_open("registered", IO_CREATE | IO_DIRECT);

    (void)state;
    queue_start(16);
    io_queue_register(queue, many_pages, sizeof many_pages / 2);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < MANY; i++) {
            if (round == 0)
                memset(many_pages[i], (int)(i % 253), PAGE);
            else
                memset(many_pages[i], 0, PAGE);
            many[i] = request_of(round == 0 ? IO_WRITE_SYNC : IO_READ, file, many_pages[i], PAGE,
                                 (uint64_t)i * PAGE);
            if (i % 50 == 0 || round == 1)
                io_queue_add(queue, &many[i]);
            else
                assert_int_equal(io_file_write(file, many_pages[i], PAGE, many[i].offset), KIWI_OK);
        }
        while (io_queue_pending(queue) > 0)
            io_queue_poll(queue, UINT64_MAX);
    }
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(many_pages[i][PAGE - 1], i % 253);
    io_queue_close(queue);
    io_file_close(file);
}

static void a_full_file_system_limit_is_reported(void **state)
{
    struct rlimit   before, small;
    struct io_file *file;

    (void)state;
    if (is_simulated())
        return;
    /* The limit of the file size gives EFBIG through the same way as ENOSPC would come. */
    file = file_open("limited", IO_CREATE | IO_DIRECT);
    queue_start(4);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 4 * PAGE;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum kiwi_status short_write = run_one(request_of(IO_WRITE, file, many_pages, 8 * PAGE, 0));
    enum kiwi_status beyond = run_one(request_of(IO_WRITE, file, many_pages, PAGE, 8 * PAGE));
    assert_non_null(strstr(done_text, "File too large"));
    small.rlim_cur = 4 * PAGE + 512; /* a write can end inside a page */
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum kiwi_status inside = run_one(request_of(IO_WRITE, file, many_pages, 8 * PAGE, 0));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(short_write, KIWI_IO);
    assert_int_equal(beyond, KIWI_IO);
    assert_int_equal(inside, KIWI_IO);
    assert_true(strstr(done_text, "File too large") != NULL
                || strstr(done_text, "size of files") != NULL);
    io_queue_close(queue);
    io_file_close(file);
}

static void the_backend_has_a_name_and_tells_its_features(void **state)
{
    (void)state;
    assert_string_equal(io_backend_name(io), strcmp(backend, "uring") == 0 ? "io_uring" : backend);
    print_message("%s\n", io_features_text(io));
    assert_true(strlen(io_features_text(io)) > 10);
    assert_true(io_random(io) != io_random(io));
    assert_true(io_wall_clock_ns(io) > 1000000000ull * 1000000000ull);
}

static void impossible_arguments_are_refused(void **state)
{
    struct io *none;

    (void)state;
    assert_int_equal(io_queue_open(io, 0, &queue), KIWI_INVALID);
    assert_int_equal(io_queue_open(io, 4097, &queue), KIWI_INVALID);
    assert_null(queue);
    assert_int_equal(io_open((enum io_backend)99, &none), KIWI_INVALID);
    io_close(NULL);
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_absent_file_is_not_found),
        cmocka_unit_test(exclusive_creation_refuses_what_is_there),
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(reading_past_the_end_is_corrupt_and_says_where),
        cmocka_unit_test(files_grow_and_shrink_as_told),
        cmocka_unit_test(whole_files_are_written_and_read),
        cmocka_unit_test(names_are_listed_renamed_and_removed),
        cmocka_unit_test(an_open_file_outlives_its_name),
        cmocka_unit_test(a_mapping_and_the_file_show_the_same_bytes),
        cmocka_unit_test(a_mapping_outlives_its_process),
        cmocka_unit_test(a_second_lock_is_refused_with_the_holder),
        cmocka_unit_test(a_lock_of_another_process_names_its_pid),
        cmocka_unit_test(every_verb_works_in_a_queue),
        cmocka_unit_test(queued_reads_past_the_end_are_corrupt),
        cmocka_unit_test(writing_a_read_only_file_is_an_error),
        cmocka_unit_test(hundreds_of_requests_beyond_the_depth_complete),
        cmocka_unit_test(done_functions_may_add_requests),
        cmocka_unit_test(closing_waits_for_what_is_pending),
        cmocka_unit_test(a_poll_without_work_ends_with_its_time),
        cmocka_unit_test(a_wake_from_another_thread_ends_the_wait),
        cmocka_unit_test(one_wake_for_each_message_is_enough),
        cmocka_unit_test(the_descriptor_is_readable_on_completions_and_wakes),
        cmocka_unit_test(an_idle_queue_moves_between_threads),
        cmocka_unit_test(registered_buffers_transfer_the_same_bytes),
        cmocka_unit_test(a_full_file_system_limit_is_reported),
        cmocka_unit_test(the_backend_has_a_name_and_tells_its_features),
        cmocka_unit_test(impossible_arguments_are_refused),
    };

    backend = count > 1 ? arguments[1] : "posix";
    return cmocka_run_group_tests_name(backend, tests, open_backend, close_backend);
}
