/*
 * kill_test.c: a process that writes from several threads is killed at a random moment.
 *
 * Goal: what was acknowledged to it in durable or process mode is there after the next open,
 * batches over several shards are whole, and nothing is there that it did not write. Method: it
 * notes what it starts and what it was told in memory shared with its parent, which kills it,
 * opens the database, and compares. The database lives on from round to round.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash/kill_board.h"

#define DEPTH 16u

static enum world_way way_under_test;
static uint64_t       seed_under_test;

/* ---- the process that will be killed ---- */

struct writer {
    struct kill_board *board;
    struct kiwi_db    *db;
    uint32_t           index;
    uint64_t           chance;
};

static void must(enum kiwi_status status, const char *what)
{
    if (status == KIWI_OK)
        return;
    fprintf(stderr, "child: %s: %s: %s\n", what, kiwi_status_text(status), kiwi_error_text());
    _exit(3);
}

static void acknowledge(struct kill_board *board, struct kill_cell *cell, uint32_t version,
                        enum kiwi_durability mode)
{
    if (mode != KIWI_MEMORY)
        atomic_store(&cell->floor, version);
    atomic_fetch_add(&board->acknowledged, 1);
}

static void key_write(struct writer *writer, struct kiwi_context *context, char *room)
{
    uint32_t          key = (uint32_t)chance_below(&writer->chance, KILL_KEYS);
    struct kill_cell *cell = &writer->board->keys[writer->index][key];
    uint32_t          version = atomic_load(&cell->started) + 1;
    char              name_room[40];
    struct kiwi_slice name = kill_key(writer->index, key, name_room);

    atomic_store(&cell->started, version);
    must(kill_version_is_absent(version)
             ? kiwi_delete(context, name, kill_mode(key))
             : kiwi_put(context, name, kill_value(name, version, room), kill_mode(key)), "write");
    acknowledge(writer->board, cell, version, kill_mode(key));
}

static void set_write(struct writer *writer, struct kiwi_context *context, char *room)
{
    uint32_t             set = (uint32_t)chance_below(&writer->chance, KILL_SETS);
    struct kill_cell    *cell = &writer->board->sets[writer->index][set];
    uint32_t             version = atomic_load(&cell->started) + 1;
    enum kiwi_durability mode = chance_below(&writer->chance, 4) == 0 ? KIWI_DURABLE : KIWI_PROCESS;
    struct kiwi_batch   *batch;
    char                 name_room[40];

    must(kiwi_batch_open(&batch), "batch");
    for (uint32_t i = 0; i < KILL_SET_KEYS; i++) {
        struct kiwi_slice name = kill_set_key(writer->index, set, i, name_room);

        must(kill_version_is_absent(version)
                 ? kiwi_batch_delete(batch, name)
                 : kiwi_batch_put(batch, name, kill_value(name, version, room)), "batch");
    }
    atomic_store(&cell->started, version);
    must(kiwi_write(context, batch, mode), "batch write");
    acknowledge(writer->board, cell, version, mode);
    kiwi_batch_close(batch);
}

static void *writer_run(void *argument)
{
    struct writer       *writer = argument;
    struct kiwi_context *context;
    char                *room = malloc(KILL_VALUE_BYTES_MAX);

    must(kiwi_context_open(writer->db, 8, &context), "context");
    for (;;) {
        uint64_t die = chance_below(&writer->chance, 1000);

        if (die < 750)
            key_write(writer, context, room);
        else if (die < 996)
            set_write(writer, context, room);
        else if (die < 999)
            must(kiwi_flush(context), "flush");
        else
            must(kiwi_compact(context, (struct kiwi_slice){ NULL, 0 },
                              (struct kiwi_slice){ NULL, 0 }), "compact");
    }
    return NULL;
}

struct slot {
    struct kiwi_op    op;
    struct kill_cell *cell;
    uint32_t          version, key;
    char              name[40], value[KILL_VALUE_BYTES_MAX];
};

/* Slot i writes the keys i, i + DEPTH, ...: one write of a key in flight. */
static void slot_start(struct writer *writer, struct kiwi_context *context, struct slot *slot,
                       uint32_t index)
{
    struct kiwi_op *op = &slot->op;

    memset(op, 0, sizeof *op);
    slot->key = index + DEPTH * (uint32_t)chance_below(&writer->chance, KILL_KEYS / DEPTH);
    slot->cell = &writer->board->keys[writer->index][slot->key];
    slot->version = atomic_load(&slot->cell->started) + 1;
    op->key = kill_key(writer->index, slot->key, slot->name);
    op->verb = kill_version_is_absent(slot->version) ? KIWI_DELETE : KIWI_PUT;
    op->value = kill_value(op->key, slot->version, slot->value);
    op->durability = (uint8_t)kill_mode(slot->key);
    op->user = slot;
    atomic_store(&slot->cell->started, slot->version);
    must(kiwi_submit(context, &op, 1), "submit");
}

static void *submitter_run(void *argument)
{
    struct writer       *writer = argument;
    struct slot         *slots = calloc(DEPTH, sizeof *slots);
    struct kiwi_context *context;
    struct kiwi_op      *done[DEPTH];

    must(kiwi_context_open(writer->db, DEPTH, &context), "context");
    if (way_under_test == WORLD_ATTACHED) /* polls: does the background work of all */
        must(kiwi_attach(context, UINT64_MAX >> (64 - kiwi_shard_count(writer->db))), "attach");
    for (uint32_t i = 0; i < DEPTH; i++)
        slot_start(writer, context, &slots[i], i);
    for (;;) {
        size_t count = kiwi_poll(context, done, DEPTH, KIWI_FOREVER);

        for (size_t i = 0; i < count; i++) {
            struct slot *slot = done[i]->user;

            must(done[i]->status, "submitted write");
            acknowledge(writer->board, slot->cell, slot->version, kill_mode(slot->key));
            slot_start(writer, context, slot, (uint32_t)(slot - slots));
        }
    }
    return NULL;
}

static void child_run(const struct world *world, struct kill_board *board, uint64_t chance)
{
    struct writer   writers[KILL_WRITERS];
    struct kiwi_db *db;
    pthread_t       thread;

    must(kiwi_open(world->directory, &world->options, &db), "open");
    for (uint32_t i = 0; i < KILL_WRITERS; i++) {
        writers[i] = (struct writer){ board, db, i, chance + i };
        if (pthread_create(&thread, NULL, i + 1 < KILL_WRITERS ? writer_run : submitter_run,
                           &writers[i]) != 0)
            _exit(4);
    }
    for (;;)
        pause();
}

/* ---- the one that kills and judges ---- */

/* Until the child was acknowledged that many writes, or has ended by itself. */
static void child_watch(struct kill_board *board, pid_t child, uint64_t until)
{
    while (atomic_load(&board->acknowledged) < until) {
        int result;

        if (waitpid(child, &result, WNOHANG) == child)
            fail_msg("the child ended by itself: exit %d, signal %d",
                     WIFEXITED(result) ? WEXITSTATUS(result) : -1,
                     WIFSIGNALED(result) ? WTERMSIG(result) : -1);
        poll(NULL, 0, 1);
    }
}

static void round_run(struct world *world, struct kill_board *board, uint64_t round,
                      uint64_t *chance)
{
    uint64_t more = round % 4 == 3 ? 0 : chance_below(chance, test_is_long() ? 10000 : 2500);
    uint64_t until = atomic_load(&board->acknowledged) + more, child_chance = chance_next(chance);
    uint32_t delay_us = (uint32_t)chance_below(chance, 8000);
    char     label[64];
    pid_t    child = fork();
    int      result;

    assert_true(child >= 0);
    if (child == 0)
        child_run(world, board, child_chance);
    child_watch(board, child, until);
    usleep(delay_us); /* kills in the middle of recovery, and between two acknowledgements */
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &result, 0), child);
    if (!WIFSIGNALED(result))
        fail_msg("the child ended by itself: exit %d", WEXITSTATUS(result));
    snprintf(label, sizeof label, "round %llu", (unsigned long long)round);
    if (world_open(world) != KIWI_OK)
        fail_msg("%s: open: %s", label, kiwi_error_text());
    kill_board_check(board, world->context, label);
    if (world_close(world) != KIWI_OK)
        fail_msg("%s: close: %s", label, kiwi_error_text());
}

static void nothing_acknowledged_is_lost_by_kills(void **state)
{
    uint64_t           rounds = test_is_long() ? 100 : sweep_of(10, 4), chance = seed_under_test;
    struct kill_board *board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct world       world;

    (void)state;
    assert_ptr_not_equal(board, MAP_FAILED);
    world_make(&world, way_under_test, seed_under_test);
    world.options.shard_count = 3;
    for (uint64_t i = 0; i < rounds; i++)
        round_run(&world, board, i, &chance);
    printf("%llu kills, %llu acknowledged writes\n", (unsigned long long)rounds,
           (unsigned long long)atomic_load(&board->acknowledged));
    world_end(&world);
    munmap(board, sizeof *board);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_acknowledged_is_lost_by_kills),
    };

    way_under_test = world_way_of(argc > 1 ? argv[1] : "managed");
    seed_under_test = seed_get(argc > 2 ? strtoull(argv[2], NULL, 0) : 3);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
