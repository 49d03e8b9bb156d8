/*
 * kill_load.c: threads that write, blocking or with many writes in flight, as clients of a
 * benchmark do.
 */
#include "bench/kill_load.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "workloads/chance.h"
#include "workloads/keys.h"

#define EXIT_FAILED 3

struct write {
    struct kiwi_op op;
    uint32_t       first_cell, cell_count;  /* of the board, this one's own */
    uint32_t       cell, version;
    uint8_t        key[KEY_BYTES_MAX];
    uint8_t       *value;
};

struct writer {
    const struct kill_load *load;
    struct engine          *engine;
    struct engine_client   *client;
    struct chance           chance;
    uint32_t                index, depth;
    struct write           *writes;    /* depth of them */
    struct kiwi_op        **done;
};

uint32_t kill_load_writers(const struct engine_options *engine)
{
    return engine->thread_count * (engine->model == CLIENT_BLOCKING ? 1 : engine->depth);
}

bool kill_version_is_absent(uint32_t version)
{
    return version % 11 == 0;
}

_Noreturn static void load_fail(const struct kill_load *load, enum kiwi_status status,
                                const char *what)
{
    struct kill_board *board = load->board;

    board->status = status;
    snprintf(board->text, sizeof board->text, "%.40s: %.30s: %.400s", what,
             kiwi_status_text(status), kiwi_error_text());
    atomic_store(&board->has_failed, true);
    _exit(EXIT_FAILED);
}

static void write_prepare(struct writer *writer, struct write *write)
{
    const struct kill_load *load = writer->load;
    const struct key_shape  shape = { 0 };
    struct kill_cell       *cell;

    write->cell = write->first_cell + (uint32_t)chance_below(&writer->chance, write->cell_count);
    cell = &load->board->cells[write->cell];
    write->version = atomic_load(&cell->started) + 1;
    memset(&write->op, 0, sizeof write->op);
    write->op.key = (struct kiwi_slice){ write->key, key_write(&shape, write->cell, write->key) };
    write->op.durability = (uint8_t)load->durability;
    write->op.verb = kill_version_is_absent(write->version) ? KIWI_DELETE : KIWI_PUT;
    if (write->op.verb == KIWI_PUT) {
        value_write(load->values, write->cell, write->version, write->value, load->value_bytes);
        write->op.value = (struct kiwi_slice){ write->value, load->value_bytes };
    }
    write->op.user = write;
    atomic_store(&cell->started, write->version);
}

static void write_done(struct writer *writer, const struct write *write)
{
    const struct kill_load *load = writer->load;

    if (write->op.status != KIWI_OK
        && !(write->op.verb == KIWI_DELETE && write->op.status == KIWI_NOT_FOUND))
        load_fail(load, write->op.status, "write");
    atomic_store(&load->board->cells[write->cell].floor, write->version);
    atomic_fetch_add(&load->board->acknowledged, 1);
}

static bool is_enough(const struct kill_load *load)
{
    return atomic_load(&load->board->acknowledged) >= load->acknowledged_max;
}

/* Attached clients drive their shards, whatever else they do. */
_Noreturn static void end_await(struct writer *writer)
{
    for (;;)
        if (!writer->load->class->idle(writer->client, 1000000u))
            pause();
}

static void write_submit(struct writer *writer, struct write *write)
{
    struct kiwi_op  *op = &write->op;
    enum kiwi_status status;

    write_prepare(writer, write);
    while ((status = writer->load->class->submit(writer->client, &op, 1)) == KIWI_BUSY)
        (void)writer->load->class->idle(writer->client, 1000000u);
    if (status != KIWI_OK)
        load_fail(writer->load, status, "submit");
}

_Noreturn static void submitter_run(struct writer *writer)
{
    const struct engine_class *class = writer->load->class;
    uint32_t                   outstanding = writer->depth;

    for (uint32_t i = 0; i < writer->depth; i++)
        write_submit(writer, &writer->writes[i]);
    while (outstanding > 0) {
        size_t count = class->poll(writer->client, writer->done, writer->depth, 1000000u);

        for (size_t i = 0; i < count; i++) {
            struct write *write = writer->done[i]->user;

            write_done(writer, write);
            if (is_enough(writer->load))
                outstanding--;
            else
                write_submit(writer, write);
        }
    }
    end_await(writer);
}

_Noreturn static void blocking_run(struct writer *writer)
{
    struct write *write = &writer->writes[0];

    while (!is_enough(writer->load)) {
        write_prepare(writer, write);
        writer->load->class->execute(writer->client, &write->op);
        write_done(writer, write);
    }
    end_await(writer);
}

static void writes_make(struct writer *writer)
{
    const struct kill_load *load = writer->load;
    const uint32_t          count = kill_load_writers(&load->engine);

    writer->writes = memory_allocate_zeroed(writer->depth * sizeof writer->writes[0]);
    writer->done = memory_allocate_zeroed(writer->depth * sizeof(struct kiwi_op *));
    if (writer->writes == NULL || writer->done == NULL)
        load_fail(load, KIWI_NO_MEMORY, "writers");
    for (uint32_t i = 0; i < writer->depth; i++) {
        uint32_t place = writer->index * writer->depth + i;
        uint64_t cells = load->board->cell_count;

        writer->writes[i].first_cell = (uint32_t)(cells * place / count);
        writer->writes[i].cell_count =
            (uint32_t)(cells * (place + 1) / count) - writer->writes[i].first_cell;
        writer->writes[i].value = memory_allocate(load->value_bytes);
        if (writer->writes[i].value == NULL)
            load_fail(load, KIWI_NO_MEMORY, "values");
        assert(writer->writes[i].cell_count > 0);
    }
}

static void *writer_run(void *argument)
{
    struct writer   *writer = argument;
    enum kiwi_status status;

    writes_make(writer);
    status = writer->load->class->client_open(writer->engine, writer->index, &writer->client);
    if (status != KIWI_OK)
        load_fail(writer->load, status, "client");
    if (writer->load->engine.model == CLIENT_BLOCKING)
        blocking_run(writer);
    submitter_run(writer);
}

void kill_load_run(const struct kill_load *load)
{
    const uint32_t   count = load->engine.thread_count;
    struct writer   *writers = memory_allocate_zeroed(count * sizeof *writers);
    struct engine   *engine;
    enum kiwi_status status = load->class->open(&load->engine, &engine);

    if (status != KIWI_OK)
        load_fail(load, status, "open");
    if (writers == NULL)
        load_fail(load, KIWI_NO_MEMORY, "writers");
    for (uint32_t i = 0; i < count; i++) {
        pthread_t thread;

        writers[i] = (struct writer){
            .load = load,
            .engine = engine,
            .chance = chance_of(load->seed, i),
            .index = i,
            .depth = load->engine.model == CLIENT_BLOCKING ? 1 : load->engine.depth,
        };
        if (pthread_create(&thread, NULL, writer_run, &writers[i]) != 0)
            load_fail(load, KIWI_NO_MEMORY, "threads");
    }
    for (;;)
        pause();
}
