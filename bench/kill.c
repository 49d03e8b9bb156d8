/*
 * kill.c: children are made before any engine was opened here, as the threads of an engine would
 * not be in the copy; each waits for its round.
 */
#include "bench/kill.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/clock.h"
#include "bench/folder.h"
#include "bench/kill_load.h"
#include "bench/options.h"
#include "core/base/memory.h"
#include "workloads/chance.h"
#include "workloads/keys.h"

#define RECORD_COUNT_MAX  16384u
#define RECORD_BYTES_ALL  (64ull << 20)   /* all records together, about */
#define ROUND_BYTES_MAX   (256ull << 20)  /* written in a round, about */
#define OPEN_SECONDS_MAX  60.0
#define OPENING_SECONDS   0.2             /* kills while opening fall within this */

struct child {
    pid_t id;
    int   gate;   /* a byte starts its round */
};

struct kill_check {
    const struct kill_options *options;
    struct kill_result        *result;
    struct kill_board         *board;
    size_t                     board_bytes;
    struct value_pool         *values;
    uint64_t                   value_bytes;
    uint64_t                   round_writes;    /* the most a round may do */
    struct chance              chance;
    char                       path[PATH_MAX];
    struct child               children[KILL_ROUND_COUNT_MAX];
    uint32_t                   child_count;
};

/* ---- what a record may show ---- */

bool kill_version_is_kept(uint32_t floor, uint32_t started, uint32_t found, bool is_found)
{
    if (is_found)
        return found >= floor && found <= started && !kill_version_is_absent(found);
    for (uint64_t version = floor; version <= started; version++)
        if (kill_version_is_absent((uint32_t)version))
            return true;
    return false;
}

PRINTF_LIKE(2, 3)
static void violation_add(struct kill_check *check, const char *format, ...)
{
    struct kill_result *result = check->result;
    va_list             arguments;

    if (result->violation_count < KILL_NAMED_MAX) {
        va_start(arguments, format);
        vsnprintf(result->violations[result->violation_count], sizeof result->violations[0],
                  format, arguments);
        va_end(arguments);
    }
    result->violation_count++;
}

/* What was found is what counts from now on. */
static void cell_settle(struct kill_cell *cell, uint32_t version, bool is_found)
{
    if (!is_found)
        for (version = atomic_load(&cell->floor); !kill_version_is_absent(version);)
            version++;
    atomic_store(&cell->floor, version);
    atomic_store(&cell->started, version);
}

static enum kiwi_status record_check(struct kill_check *check, struct engine_client *client,
                                     uint32_t index, uint8_t *buffer)
{
    const struct key_shape shape = { 0 };
    struct kill_cell      *cell = &check->board->cells[index];
    const uint32_t         floor = atomic_load(&cell->floor), started = atomic_load(&cell->started);
    uint8_t                key[KEY_BYTES_MAX];
    const char            *name = (const char *)key;
    const size_t           bytes = key_write(&shape, index, key);
    struct kiwi_op         op = { .verb = KIWI_GET, .key = { key, bytes }, .buffer = buffer,
                                  .buffer_bytes = check->value_bytes };
    const uint32_t         round = check->result->round_count + 1;
    uint64_t               version = 0;
    bool                   is_found;

    check->options->class->execute(client, &op);
    is_found = op.status == KIWI_OK;
    check->result->records_checked++;
    if (!is_found && op.status != KIWI_NOT_FOUND && op.status != KIWI_CORRUPT)
        return op.status;
    if (op.status == KIWI_CORRUPT)
        violation_add(check, "%.*s: cannot be read after kill %u: %.100s", (int)bytes, name, round,
                      kiwi_error_text());
    else if (is_found
             && (op.value_bytes != check->value_bytes
                 || value_check(op.buffer, op.value_bytes, index, &version) != VALUE_RIGHT))
        violation_add(check, "%.*s: holds a value that was never written, after kill %u",
                      (int)bytes, name, round);
    else if (!kill_version_is_kept(floor, started, (uint32_t)version, is_found))
        violation_add(check, "%.*s: version %u was acknowledged, %s%llu is there after kill %u",
                      (int)bytes, name, floor, is_found ? "version " : "nothing, version ",
                      (unsigned long long)version, round);
    else
        cell_settle(cell, (uint32_t)version, is_found);
    return KIWI_OK;
}

static enum kiwi_status records_check(struct kill_check *check, struct engine *engine)
{
    struct engine_client *client = NULL;
    enum kiwi_status      status = check->options->class->client_open(engine, 0, &client);
    uint8_t              *buffer = memory_allocate(check->value_bytes);

    if (status == KIWI_OK && buffer == NULL)
        status = FAIL(KIWI_NO_MEMORY, "no memory for a value");
    for (uint32_t i = 0; i < check->board->cell_count && status == KIWI_OK; i++)
        status = record_check(check, client, i, buffer);
    if (client != NULL)
        check->options->class->client_close(client);
    memory_free(buffer);
    return status;
}

static bool is_of_environment(enum kiwi_status status)
{
    return status == KIWI_IO || status == KIWI_FULL || status == KIWI_NO_MEMORY;
}

static enum kiwi_status folder_check(struct kill_check *check)
{
    struct engine_options options = check->options->engine;
    struct engine        *engine;
    enum kiwi_status      status, close_status;

    options.directory = check->path;
    options.model = CLIENT_BLOCKING;
    options.thread_count = 1;
    options.depth = 1;
    options.must_be_new = false;
    status = check->options->class->open(&options, &engine);
    if (status != KIWI_OK && !is_of_environment(status)) {
        violation_add(check, "cannot be opened again after kill %u: %.140s",
                      check->result->round_count + 1, kiwi_error_text());
        return KIWI_OK;
    }
    if (status != KIWI_OK)
        return status;
    status = records_check(check, engine);
    close_status = check->options->class->close(engine);
    return status != KIWI_OK ? status : close_status;
}

/* ---- the children ---- */

/* A child of the fork: waits for its round, then never comes back. */
_Noreturn static void child_main(struct kill_check *check, int gate, uint32_t round, pid_t parent)
{
    struct kill_load load = {
        .class = check->options->class,
        .engine = check->options->engine,
        .durability = check->options->durability,
        .values = check->values,
        .value_bytes = check->value_bytes,
        .board = check->board,
        .seed = check->options->seed + round,
    };
    char byte;

    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_DFL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent
        || read(gate, &byte, 1) != 1)
        _exit(0);
    load.engine.directory = check->path;
    load.engine.must_be_new = round == 0;
    load.acknowledged_max = atomic_load(&check->board->acknowledged) + check->round_writes;
    kill_load_run(&load);
}

static enum kiwi_status children_make(struct kill_check *check)
{
    const pid_t parent = getpid();

    for (uint32_t i = 0; i < check->options->round_count; i++) {
        int   ends[2];
        pid_t child;

        if (pipe2(ends, O_CLOEXEC) != 0)
            return FAIL(KIWI_IO, "cannot make a pipe: %s", strerror(errno));
        child = fork();
        if (child == 0)
            child_main(check, ends[0], i, parent);
        close(ends[0]);
        if (child < 0) {
            close(ends[1]);
            return FAIL(KIWI_IO, "cannot start a process: %s", strerror(errno));
        }
        check->children[check->child_count++] = (struct child){ child, ends[1] };
    }
    return KIWI_OK;
}

/* False: it had ended by itself. */
static bool child_end(struct child *child)
{
    int state = 0;

    if (child->id <= 0)
        return true;
    (void)kill(child->id, SIGKILL);
    while (waitpid(child->id, &state, 0) < 0 && errno == EINTR)
        continue;
    close(child->gate);
    child->id = 0;
    return WIFSIGNALED(state) && WTERMSIG(state) == SIGKILL;
}

static bool is_interrupted(const struct kill_check *check)
{
    return check->options->interrupted != NULL && atomic_load(check->options->interrupted);
}

/* Until the moment of the kill: when of the time and of the writes of a round a share is over. */
static enum kiwi_status moment_await(struct kill_check *check, bool is_opening)
{
    struct kill_board *board = check->board;
    const uint64_t     first = atomic_load(&board->acknowledged), asked_ns = clock_monotonic_ns();
    const double       share = chance_unit(&check->chance);
    uint64_t           start_ns = is_opening ? asked_ns : 0;
    const double seconds = share * (is_opening ? OPENING_SECONDS : check->options->round_seconds);
    const struct timespec rest = { 0, (long)(chance_unit(&check->chance) * 1e6) };

    while (!is_interrupted(check)) {
        uint64_t now_ns = clock_monotonic_ns(), done = atomic_load(&board->acknowledged) - first;

        if (atomic_load(&board->has_failed))
            return board->status;
        if (start_ns == 0 && done > 0)
            start_ns = now_ns;
        if (start_ns > 0
            && ((double)(now_ns - start_ns) / 1e9 >= seconds
                || (double)done >= share * (double)check->round_writes))
            break;
        if ((double)(now_ns - asked_ns) / 1e9 > OPEN_SECONDS_MAX + seconds)
            return FAIL(KIWI_IO, "no write was acknowledged within %.0f s", OPEN_SECONDS_MAX);
        (void)poll(NULL, 0, 1);
    }
    (void)nanosleep(&rest, NULL);
    return KIWI_OK;
}

static enum kiwi_status round_run(struct kill_check *check, uint32_t round)
{
    struct kill_board *board = check->board;
    struct child      *child = &check->children[round];
    /* The first kill falls into load, or a few rounds might show nothing. */
    const bool       is_opening = round > 0 && chance_below(&check->chance, 4) == 0;
    const uint64_t   first = atomic_load(&board->acknowledged);
    enum kiwi_status status;

    if (write(child->gate, "g", 1) != 1)
        return FAIL(KIWI_IO, "the process to be killed is gone");
    status = moment_await(check, is_opening);
    if (!child_end(child) && status == KIWI_OK && !atomic_load(&board->has_failed))
        return FAIL(KIWI_IO, "the process to be killed ended by itself");
    if (atomic_load(&board->has_failed))
        return FAIL(board->status, "the process to be killed could not write: %s", board->text);
    if (status != KIWI_OK)
        return status;
    check->result->kills_opening += atomic_load(&board->acknowledged) == first;
    TRY(folder_check(check));
    check->result->round_count++;
    return KIWI_OK;
}

/* ---- the whole ---- */

static enum kiwi_status check_make(struct kill_check *check)
{
    const struct kill_options *options = check->options;
    uint32_t                   writers = kill_load_writers(&options->engine);
    uint64_t                   cells;

    check->value_bytes = max_u64(options->value_bytes, VALUE_HEAD_BYTES);
    cells = min_u64(RECORD_COUNT_MAX, RECORD_BYTES_ALL / check->value_bytes);
    cells = max_u64(cells, writers);
    check->round_writes = max_u64(options->round_writes > 0 ? options->round_writes
                                                            : ROUND_BYTES_MAX / check->value_bytes,
                                  2 * writers);
    check->chance = chance_of(options->seed, 0);
    check->board_bytes = sizeof *check->board + cells * sizeof check->board->cells[0];
    check->board = mmap(NULL, check->board_bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (check->board == MAP_FAILED) {
        check->board = NULL;
        return FAIL(KIWI_NO_MEMORY, "no memory for the board of %llu records",
                    (unsigned long long)cells);
    }
    check->board->cell_count = (uint32_t)cells;
    TRY(value_pool_open(options->seed, check->value_bytes, &check->values));
    data_folder_path(options->directory, check->path, sizeof check->path);
    return children_make(check);
}

enum kiwi_status kill_begin(const struct kill_options *options, struct kill_check **out)
{
    struct kill_check *check = memory_allocate_zeroed(sizeof *check);
    enum kiwi_status   status;

    assert(options->round_count <= KILL_ROUND_COUNT_MAX);
    assert(options->durability == KIWI_DURABLE || options->durability == KIWI_PROCESS);
    *out = check;
    if (check == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a check");
    check->options = options;
    status = check_make(check);
    if (status != KIWI_OK) {
        kill_end(check);
        *out = NULL;
    }
    return status;
}

enum kiwi_status kill_run(struct kill_check *check, struct kill_result *result)
{
    const struct kill_options *options = check->options;
    const uint64_t             start_ns = clock_monotonic_ns();
    enum kiwi_status           status;

    memset(result, 0, sizeof *result);
    result->durability = options->durability;
    result->seed = options->seed;
    check->result = result;
    status = data_folder_wipe(options->directory);
    if (status == KIWI_OK)
        status = folder_make(check->path);
    for (uint32_t i = 0; i < check->child_count && status == KIWI_OK; i++) {
        if (is_interrupted(check) || result->violation_count > 0)
            break;
        status = round_run(check, i);
    }
    result->acknowledged = atomic_load(&check->board->acknowledged);
    result->seconds = (double)(clock_monotonic_ns() - start_ns) / 1e9;
    if (status == KIWI_OK && result->violation_count > 0)
        return FAIL(KIWI_CORRUPT, "kill check: %llu writes with durability %s were lost: %s",
                    (unsigned long long)result->violation_count,
                    durability_name(options->durability), result->violations[0]);
    return status;
}

void kill_end(struct kill_check *check)
{
    if (check == NULL)
        return;
    for (uint32_t i = 0; i < check->child_count; i++)
        (void)child_end(&check->children[i]);
    if (check->board != NULL)
        munmap(check->board, check->board_bytes);
    value_pool_close(check->values);
    memory_free(check);
}
