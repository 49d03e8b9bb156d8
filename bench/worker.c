/*
 * worker.c: the loops of a client thread.
 *
 *            prepare ---> submit ---> poll ---> complete ---> free slot
 *               ^                                   |
 *               +--- the write of a read-modify-write
 *
 * One clock reading before a batch is submitted and one after it was polled serve all operations of
 * the batch: latency is what a caller sees who hands over a batch and takes one back. In the
 * blocking form the end of one operation is the start of the next.
 */
#include "bench/worker.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "bench/clock.h"
#include "core/base/bytes.h"
#include "core/base/memory.h"

#define CHUNK_RECORDS 256u       /* records a loading worker takes at a time */
#define VISIBLE_ERROR_BYTES 512u
/* Open loop: a sleeping thread wakes late, on a virtual machine by 70 us, and every operation would
 * be. So it sleeps only while the next one is far, and looks at the clock from then on. */
#define SLEEP_LEAST_NS 200000u
#define WAKE_EARLY_NS  100000u

struct slot {
    struct kiwi_op op;
    enum operation operation;
    bool           is_second;    /* the write of a read-modify-write */
    uint32_t       index;
    uint32_t       scan_rows;
    uint64_t       value_bytes;  /* of what is written */
    uint64_t       record;
    uint64_t       place;        /* of a write in the sample, else TRACKED_NONE */
    uint64_t       start;        /* ticks at submission */
    uint64_t       first_start;  /* of the read of a read-modify-write */
    uint64_t       intended;     /* open loop */
    uint8_t       *value;        /* to be written */
    uint8_t       *buffer;       /* to be read into */
    uint8_t        key[KEY_BYTES_MAX];
};

void task_state_fail(struct task_state *state, enum kiwi_status status, const char *text)
{
    bool none = false;

    if (atomic_compare_exchange_strong(&state->has_failed, &none, true)) {
        state->status = status;
        snprintf(state->text, sizeof state->text, "%s", text);
    }
    atomic_store(&state->is_stopping, true);
}

enum kiwi_status worker_open(struct worker *worker, uint64_t buffer_bytes)
{
    uint32_t depth = worker->depth;
    uint64_t bytes = round_up_u64(buffer_bytes > 0 ? buffer_bytes : 1, CACHE_LINE_BYTES);

    assert(depth > 0);
    worker->buffer_bytes = bytes;
    worker->slots = memory_allocate_aligned(depth * sizeof(struct slot), CACHE_LINE_BYTES);
    worker->free_slots = memory_allocate(depth * sizeof(struct slot *));
    worker->ready = memory_allocate(depth * sizeof(struct kiwi_op *));
    worker->done = memory_allocate(depth * sizeof(struct kiwi_op *));
    worker->buffers = memory_allocate_aligned(2 * depth * bytes, CACHE_LINE_BYTES);
    if (worker->slots == NULL || worker->free_slots == NULL || worker->ready == NULL
        || worker->done == NULL || worker->buffers == NULL) {
        worker_close(worker);
        return FAIL(KIWI_NO_MEMORY, "no memory for %u operations of %llu bytes", depth,
                    (unsigned long long)bytes);
    }
    memset(worker->slots, 0, depth * sizeof(struct slot));
    memset(worker->buffers, 0, 2 * depth * bytes);
    for (uint32_t i = 0; i < depth; i++) {
        struct slot *slot = &worker->slots[i];

        slot->index = i;
        slot->value = worker->buffers + 2 * i * bytes;
        slot->buffer = slot->value + bytes;
        slot->op.key.data = slot->key;
        worker->free_slots[depth - 1 - i] = slot;
    }
    worker->free_count = depth;
    return KIWI_OK;
}

void worker_close(struct worker *worker)
{
    trace_cursor_close(worker->replay);
    worker->replay = NULL;
    memory_free(worker->slots);
    memory_free(worker->free_slots);
    memory_free(worker->ready);
    memory_free(worker->done);
    memory_free(worker->buffers);
    worker->slots = NULL;
    worker->free_slots = NULL;
    worker->ready = worker->done = NULL;
    worker->buffers = NULL;
}

static void replay_begin(struct worker *worker)
{
    const struct task *task = &worker->state->task;

    trace_cursor_close(worker->replay);
    worker->replay = NULL;
    worker->note = NULL;
    if (task->replay != NULL
        && trace_cursor_open(task->replay, worker->index, worker->count, &worker->replay)
               != KIWI_OK)
        task_state_fail(worker->state, KIWI_NO_MEMORY, fail_text());
}

void worker_begin(struct worker *worker, struct task_state *state)
{
    const struct task *task = &state->task;

    assert(worker->outstanding == 0);
    worker->state = state;
    worker->record = worker->record_end = 0;
    worker->due = 0;
    worker->interval = 0;
    if (task->target > 0)
        worker->interval = (double)clock_ticks_of_ns(1000000000u) * worker->count / task->target;
    replay_begin(worker);
    if (task->kind == TASK_RUN && task->replay == NULL)
        worker->stream = stream_of(&(struct stream_options){
            task->workload, task->inserts, task->seed, worker->index, worker->count,
            task->chooser });
    else
        stream_values_set(&worker->stream, task->workload);
    if (task->kind == TASK_LOAD)
        worker->stream.chance = chance_of(task->seed, 0x6c6f6164u + worker->index);
}

uint64_t worker_measure(struct worker *worker, uint64_t share)
{
    const struct task *task = &worker->state->task;

    worker->due = 0;
    worker->origin = worker->state->start_ticks;
    worker->slowest.count = 0;
    worker->slowest.least_ns = 0;
    if (task->recording != NULL)
        worker->note = trace_writer_client(task->recording, worker->index);
    if (task->replay != NULL)
        return worker->replay != NULL ? trace_cursor_count(worker->replay) : 0;
    /* Loads and verifications share one counter of records, so any worker may take the last. */
    return task->kind == TASK_RUN ? share : UINT64_MAX;
}

/* The next number of a load or verification; false when all are taken. */
static bool record_take(struct worker *worker, uint64_t limit, uint64_t *record)
{
    if (worker->record == worker->record_end) {
        uint64_t first = atomic_fetch_add_explicit(&worker->state->next_record, CHUNK_RECORDS,
                                                   memory_order_relaxed);
        if (first >= limit)
            return false;
        worker->record = first;
        worker->record_end = min_u64(first + CHUNK_RECORDS, limit);
    }
    *record = worker->record++;
    return true;
}

/* The next operation of a trace; false when there is none. */
static bool replay_take(struct worker *worker, struct slot *slot)
{
    const struct trace_entry *entry = trace_cursor_peek(worker->replay);

    if (entry == NULL)
        return false;
    slot->operation = entry->operation;
    slot->record = entry->record;
    slot->scan_rows = (uint32_t)entry->size;
    slot->value_bytes = entry->size;
    if (worker->skew != NULL && entry->operation != OPERATION_INSERT)
        skew_note(worker->skew, entry->record);
    trace_cursor_take(worker->replay);
    slot->op.key.size = key_write(&worker->state->task.workload->keys, slot->record, slot->key);
    return true;
}

static bool step_take(struct worker *worker, struct slot *slot)
{
    const struct task *task = &worker->state->task;
    struct step        step;
    uint64_t           place;

    if (worker->replay != NULL)
        return replay_take(worker, slot);
    if (task->kind == TASK_RUN) {
        stream_next(&worker->stream, &step);
        slot->operation = step.operation;
        slot->record = step.record;
        slot->scan_rows = step.scan_rows;
        if (worker->skew != NULL && step.operation != OPERATION_INSERT)
            skew_note(worker->skew, step.record);
        slot->op.key.size = key_write_number(&task->workload->keys, step.number, slot->key);
        return true;
    }
    if (task->kind == TASK_LOAD) {
        if (!record_take(worker, task->workload->insert_count, &place))
            return false;
        slot->operation = OPERATION_INSERT;
        slot->record = task->workload->insert_start + place;
    } else {
        if (!record_take(worker, tracked_count(task->tracked), &place))
            return false;
        slot->operation = OPERATION_READ;
        slot->record = tracked_record(task->tracked, place);
    }
    slot->op.key.size = key_write(&task->workload->keys, slot->record, slot->key);
    return true;
}

static void slot_write_prepare(struct worker *worker, struct slot *slot)
{
    const struct task *task = &worker->state->task;
    uint64_t           bytes = slot->value_bytes, version;

    slot->place = tracked_place(task->tracked, slot->record);
    if (__builtin_expect(slot->place != TRACKED_NONE, 0))
        version = tracked_begin(task->tracked, slot->place);
    else
        version = (uint64_t)worker->index << 48 | ++worker->version;
    value_write(task->values, slot->record, version, slot->value, bytes);
    slot->op.verb = KIWI_PUT;
    slot->op.durability = (uint8_t)task->durability;
    slot->op.value = (struct kiwi_slice){ slot->value, bytes };
}

static void slot_delete_prepare(struct worker *worker, struct slot *slot)
{
    const struct task *task = &worker->state->task;

    slot->place = tracked_place(task->tracked, slot->record);
    if (slot->place != TRACKED_NONE)
        tracked_begin_delete(task->tracked, slot->place);
    slot->op.verb = KIWI_DELETE;
    slot->op.durability = (uint8_t)task->durability;
}

/* The tracked record behind this write, if any, is done with. */
static void slot_write_end(struct worker *worker, const struct slot *slot, bool was_acknowledged)
{
    if (__builtin_expect(slot->place != TRACKED_NONE, 0))
        tracked_end(worker->state->task.tracked, slot->place, was_acknowledged);
}

/* Drawn when the operation is made, also of a read-modify-write, so that the order of draws does
 * not depend on the order of completions. */
static void slot_value_size(struct worker *worker, struct slot *slot)
{
    if (slot->operation != OPERATION_SCAN && slot->operation != OPERATION_DELETE)
        slot->value_bytes = stream_value_bytes(&worker->stream);
}

/* Makes the slot's operation; false when there is no more to do. */
static bool slot_prepare(struct worker *worker, struct slot *slot)
{
    if (!step_take(worker, slot))
        return false;
    slot->is_second = false;
    slot->place = TRACKED_NONE;
    if (worker->replay == NULL && slot->operation != OPERATION_READ)
        slot_value_size(worker, slot);
    switch (slot->operation) {
    case OPERATION_READ:
    case OPERATION_MODIFY:
        slot->op.verb = KIWI_GET;
        slot->op.buffer = slot->buffer;
        slot->op.buffer_bytes = worker->buffer_bytes;
        break;
    case OPERATION_UPDATE:
    case OPERATION_INSERT:
        slot_write_prepare(worker, slot);
        break;
    case OPERATION_DELETE:
        slot_delete_prepare(worker, slot);
        break;
    case OPERATION_SCAN: {
        enum kiwi_status status =
            worker->class->scan_prepare(worker->client, slot->index, &slot->op,
                                               slot->scan_rows);
        if (status != KIWI_OK) {
            task_state_fail(worker->state, status, kiwi_error_text());
            return false;
        }
        break;
    }
    case OPERATION_COUNT:
        assert(false && "no such operation");
    }
    return true;
}

/* Reads of a verification also know which versions may be there; short values show none. */
static bool version_is_due(const struct worker *worker, const struct slot *slot, uint64_t version)
{
    const struct tracked *tracked = worker->state->task.tracked;
    uint64_t              first, last;

    tracked_bounds(tracked, tracked_place(tracked, slot->record), &first, &last);
    if (last == 0 && worker->state->task.has_older_values)
        return true;
    return slot->op.value_bytes < VALUE_HEAD_BYTES || (version >= first && version <= last);
}

/* Records of a load stay until a workload deletes; then only those of the sample are known. */
static bool missing_is_due(const struct worker *worker, const struct slot *slot)
{
    const struct task *task = &worker->state->task;

    if (task->kind == TASK_VERIFY)
        return tracked_may_be_missing(task->tracked, tracked_place(task->tracked, slot->record));
    /* Of a replay, other clients may not have inserted it yet. */
    return workload_deletes(task->workload)
        || (task->replay != NULL
            && slot->record >= task->workload->insert_start + task->workload->insert_count);
}

static void read_check(struct worker *worker, struct slot *slot)
{
    const struct task *task = &worker->state->task;
    uint64_t           version = 0;

    if (slot->op.status == KIWI_NOT_FOUND) {
        if (missing_is_due(worker, slot))
            return;
        RECORDER_ADD(worker->recorder.missing, 1u);
        return;
    }
    RECORDER_ADD(worker->recorder.verified, 1u);
    if (value_check(slot->op.buffer, slot->op.value_bytes, slot->record, &version) != VALUE_RIGHT
        || (task->kind == TASK_VERIFY && !version_is_due(worker, slot, version)))
        RECORDER_ADD(worker->recorder.wrong, 1u);
}

struct scan_check {
    struct worker *worker;
    uint64_t       rows, wrong;
    uint8_t        last[KEY_BYTES_MAX];
    size_t         last_bytes;
};

/* A copy; the usual lengths in two moves, which may overlap. */
static inline void key_keep(uint8_t *target, const uint8_t *key, size_t bytes)
{
    if (__builtin_expect(bytes >= 16 && bytes <= 32, 1)) {
        uint8_t last[16];

        memcpy(last, key + bytes - 16, 16);
        memcpy(target, key, 16);
        memcpy(target + bytes - 16, last, 16);
    } else {
        memcpy(target, key, bytes);
    }
}

/* A row is right when its value is whole, names the record of its key, and keys ascend. */
static bool scan_check_row(void *context, struct kiwi_slice key, struct kiwi_slice value)
{
    struct scan_check *check = context;
    const struct task *task = &check->worker->state->task;
    uint64_t           record;
    bool               is_right = true;

    check->rows++;
    if (!task->is_verifying)
        return true;
    if (value_record(value.data, value.size, &record))
        is_right = key_is(&task->workload->keys, record, key.data, key.size)
                && value_check(value.data, value.size, record, NULL) == VALUE_RIGHT;
    if (check->rows > 1)
        is_right &= bytes_compare(bytes_of(check->last, check->last_bytes),
                                  bytes_of(key.data, key.size)) < 0;
    check->last_bytes = key.size < sizeof check->last ? key.size : sizeof check->last;
    key_keep(check->last, key.data, check->last_bytes);
    check->wrong += !is_right;
    return true;
}

static void scan_finish(struct worker *worker, struct slot *slot)
{
    struct scan_check check = { .worker = worker };
    enum kiwi_status  status;

    if (slot->op.status == KIWI_NOT_FOUND)
        slot->op.status = KIWI_OK; /* nothing at or behind the key is a whole answer */
    else if (slot->op.status == KIWI_OK) {
        status = worker->class->scan_rows(worker->client, &slot->op, slot->scan_rows,
                                          scan_check_row, &check);
        slot->op.status = status;
    }
    RECORDER_ADD(worker->recorder.rows, check.rows);
    if (worker->state->task.is_verifying)
        RECORDER_ADD(worker->recorder.verified, check.rows);
    RECORDER_ADD(worker->recorder.wrong, check.wrong);
}

static bool status_is_fatal(const struct slot *slot)
{
    return slot->op.status != KIWI_OK
        && !(slot->op.status == KIWI_NOT_FOUND && slot->op.verb == KIWI_GET);
}

static void latency_note(struct worker *worker, const struct slot *slot, enum operation operation,
                         uint64_t start, uint64_t now)
{
    recorder_latency(&worker->recorder.latencies[operation], clock_ns(now - start));
    if (__builtin_expect(worker->interval > 0, 0) && operation == slot->operation) {
        recorder_latency(&worker->recorder.responses[operation], clock_ns(now - slot->intended));
        recorder_latency(&worker->recorder.lag, clock_ns(slot->start - slot->intended));
    }
}

/* One of the slowest so far, as far as this thread has seen. */
static void slow_note(struct worker *worker, const struct slot *slot, uint64_t now)
{
    const uint64_t due = worker->interval > 0 ? slot->intended : slot->start;

    slowest_add(&worker->slowest, &(struct slow_operation){
                                      .latency_ns = clock_ns(now - due),
                                      .service_ns = clock_ns(now - slot->start),
                                      .at_ns = due > worker->origin ? clock_ns(due - worker->origin)
                                                                    : 0,
                                      .record = slot->record,
                                      .client = worker->index,
                                      .operation = slot->operation,
                                  });
}

/* The read of a read-modify-write is there: the write comes next, unless the read failed. */
static bool modify_goes_on(struct worker *worker, struct slot *slot, uint64_t now)
{
    latency_note(worker, slot, OPERATION_READ, slot->start, now);
    if (worker->state->task.is_verifying)
        read_check(worker, slot);
    if (status_is_fatal(slot))
        return false;
    slot->is_second = true;
    slot->first_start = slot->start;
    slot_write_prepare(worker, slot);
    return true;
}

/* False: the slot goes on with its second half. Plain reads and writes, whose order nobody can
 * predict, take the same branches as far as possible. */
static bool slot_complete(struct worker *worker, struct slot *slot, uint64_t now)
{
    RECORDER_ADD(worker->recorder.statuses[slot->op.status], 1u);
    if (slot->operation == OPERATION_SCAN) {
        scan_finish(worker, slot);
        now = clock_ticks();
    } else if (slot->operation == OPERATION_MODIFY) {
        if (!slot->is_second && modify_goes_on(worker, slot, now))
            return false;
        if (slot->is_second) {
            latency_note(worker, slot, OPERATION_UPDATE, slot->start, now);
            slot->start = slot->first_start;
        }
    } else if (worker->state->task.is_verifying && slot->operation == OPERATION_READ) {
        read_check(worker, slot);
    }
    latency_note(worker, slot, slot->operation, slot->start, now);
    if (__builtin_expect(clock_ns(now - (worker->interval > 0 ? slot->intended : slot->start))
                             > worker->slowest.least_ns, 0))
        slow_note(worker, slot, now);
    RECORDER_ADD(worker->recorder.operations, 1u);
    slot_write_end(worker, slot, slot->op.status == KIWI_OK);
    if (slot->operation == OPERATION_INSERT && worker->state->task.inserts != NULL
        && slot->op.status == KIWI_OK
        && acknowledged_mark(worker->state->task.inserts, slot->record) != KIWI_OK)
        task_state_fail(worker->state, KIWI_BUSY, kiwi_error_text());
    if (__builtin_expect(status_is_fatal(slot), 0)) {
        char text[VISIBLE_ERROR_BYTES];

        snprintf(text, sizeof text, "%s of record %llu: %s: %s", operation_name(slot->operation),
                 (unsigned long long)slot->record, kiwi_status_text(slot->op.status),
                 kiwi_error_text());
        task_state_fail(worker->state, slot->op.status, text);
    }
    return true;
}

/* Open loop: operations are handed over now, the first of which was due at due. Until now they were
 * with the driver, except while the thread was in the engine. */
static void late_in_driver(struct worker *worker, uint64_t due, uint64_t now)
{
    uint64_t since = max_u64(worker->returned, due);

    if (now > since)
        RECORDER_ADD(worker->recorder.late_driver_ns, clock_ns(now - since));
}

/* Open loop: the thread comes back from the engine, which it entered at start. With room the next
 * operation could have been handed over as soon as it was due. */
static void late_in_engine(struct worker *worker, uint64_t start, uint64_t now, bool has_room)
{
    uint64_t since = has_room ? max_u64(start, worker->due) : start;

    if (now > since && worker->started < worker->quota)
        RECORDER_ADD(worker->recorder.late_engine_ns, clock_ns(now - since));
    worker->returned = now;
}

/* Puts what is handed over now into the trace; the write of a read-modify-write is part of it. */
static void slot_record(struct worker *worker, const struct slot *slot)
{
    const uint64_t ticks = worker->interval > 0 ? slot->intended : slot->start;

    if (slot->is_second)
        return;
    trace_note(worker->note,
               &(struct trace_entry){
                   .operation = slot->operation,
                   .record = slot->record,
                   .size = slot->operation == OPERATION_SCAN ? slot->scan_rows
                         : slot->operation == OPERATION_READ
                                 || slot->operation == OPERATION_DELETE
                             ? 0 : slot->value_bytes,
                   .at_ns = ticks > worker->origin ? clock_ns(ticks - worker->origin) : 0,
               });
}

/* A replay at a pace: whether the next entry is due. */
static bool replay_is_due(struct worker *worker, struct slot *slot, uint64_t now)
{
    const struct trace_entry *entry = trace_cursor_peek(worker->replay);
    uint64_t                  due_ns;

    if (entry == NULL)
        return true; /* which then takes nothing, and ends the run */
    due_ns = trace_due_ns(entry->at_ns, worker->state->task.speed);
    worker->due = worker->origin + clock_ticks_of_ns(due_ns);
    slot->intended = worker->due;
    return worker->due <= now;
}

/* Open loop: the next operation's start, or later ones while none is due. */
static bool is_due(struct worker *worker, struct slot *slot, uint64_t now)
{
    double step = worker->interval;

    if (worker->interval <= 0)
        return true;
    if (worker->replay != NULL)
        return replay_is_due(worker, slot, now);
    if (worker->due == 0)
        worker->due = now + (uint64_t)(step * chance_unit(&worker->stream.chance));
    if (worker->due > now)
        return false;
    slot->intended = worker->due;
    if (worker->state->task.is_poisson)
        step *= -log(1.0 - chance_unit(&worker->stream.chance));
    worker->due += (uint64_t)step;
    return true;
}

static void ready_fill(struct worker *worker)
{
    uint64_t now = worker->interval > 0 ? clock_ticks() : 0;

    worker->entered = now;
    while (worker->free_count > 0 && worker->started < worker->quota) {
        struct slot *slot = worker->free_slots[worker->free_count - 1];

        if (!is_due(worker, slot, now))
            return;
        if (!slot_prepare(worker, slot)) {
            worker->quota = worker->started;
            return;
        }
        worker->free_count--;
        worker->started++;
        if (worker->first_due == 0)
            worker->first_due = slot->intended;
        worker->ready[worker->ready_count++] = &slot->op;
    }
}

static void ready_submit(struct worker *worker)
{
    uint64_t         now = clock_ticks();
    enum kiwi_status status;

    for (uint32_t i = 0; i < worker->ready_count; i++)
        container_of(worker->ready[i], struct slot, op)->start = now;
    if (worker->interval > 0 && worker->first_due != 0)
        late_in_driver(worker, worker->first_due, now);
    worker->entered = now;
    status = worker->class->submit(worker->client, worker->ready, worker->ready_count);
    if (status == KIWI_BUSY)
        return; /* nothing was started: again after a poll */
    if (status != KIWI_OK) {
        task_state_fail(worker->state, status, kiwi_error_text());
        for (uint32_t i = 0; i < worker->ready_count; i++) {
            struct slot *slot = container_of(worker->ready[i], struct slot, op);
            slot_write_end(worker, slot, false);
            worker->free_slots[worker->free_count++] = slot;
        }
    } else {
        worker->outstanding += worker->ready_count;
        for (uint32_t i = 0; worker->note != NULL && i < worker->ready_count; i++)
            slot_record(worker, container_of(worker->ready[i], struct slot, op));
    }
    worker->ready_count = 0;
    worker->first_due = 0;
}

static uint64_t poll_timeout(const struct worker *worker)
{
    uint64_t now, left_ns;

    if (worker->interval <= 0 || worker->due == 0 || worker->started >= worker->quota)
        return 1000000u; /* looks at is_stopping at least every millisecond */
    now = clock_ticks();
    if (worker->due <= now && worker->free_count > 0)
        return 0;
    left_ns = clock_ns(worker->due > now ? worker->due - now : 0);
    return left_ns > SLEEP_LEAST_NS ? min_u64(left_ns - WAKE_EARLY_NS, 1000000u) : 0;
}

static void completion_loop(struct worker *worker)
{
    while (worker->started < worker->quota || worker->outstanding + worker->ready_count > 0) {
        size_t   count;
        uint64_t now;
        bool     is_asleep;

        if (atomic_load_explicit(&worker->state->is_stopping, memory_order_relaxed))
            worker->quota = worker->started;
        ready_fill(worker);
        if (worker->ready_count > 0)
            ready_submit(worker);
        /* A poll that waits for nothing is the driver's own sleep, unless an attached thread does
         * the engine's work in it. */
        is_asleep = worker->outstanding == 0
                 && (worker->model != CLIENT_ATTACHED || !worker->class->keeps_data);
        count = worker->class->poll(worker->client, worker->done, worker->depth,
                                    poll_timeout(worker));
        now = clock_ticks();
        if (worker->interval > 0 && !is_asleep)
            late_in_engine(worker, worker->entered, now,
                           worker->free_count > 0 && worker->ready_count == 0);
        if (count == 0 && worker->interval > 0 && worker->due > now)
            sched_yield(); /* flushes and merges may need the processor until then */
        worker->outstanding -= count;
        for (size_t i = 0; i < count; i++) {
            struct slot *slot = container_of(worker->done[i], struct slot, op);

            if (slot_complete(worker, slot, now))
                worker->free_slots[worker->free_count++] = slot;
            else
                worker->ready[worker->ready_count++] = &slot->op;
        }
    }
}

/* Waits for the intended start of the next operation: sleeping while it is far, then spinning.
 * False: the phase is stopping. */
static bool wait_until_due(struct worker *worker, struct slot *slot)
{
    for (;;) {
        uint64_t now = clock_ticks(), left;

        if (is_due(worker, slot, now))
            return true;
        if (atomic_load_explicit(&worker->state->is_stopping, memory_order_relaxed))
            return false;
        left = clock_ns(worker->due - now);
        if (left > SLEEP_LEAST_NS) {
            struct timespec pause = { 0, (long)min_u64(left - WAKE_EARLY_NS, 10000000u) };
            nanosleep(&pause, NULL);
        }
    }
}

static void blocking_loop(struct worker *worker)
{
    struct slot *slot = &worker->slots[0];
    uint64_t     stamp = clock_ticks();

    while (worker->started < worker->quota) {
        if (atomic_load_explicit(&worker->state->is_stopping, memory_order_relaxed))
            break;
        if (worker->interval > 0 && !wait_until_due(worker, slot))
            break;
        if (!slot_prepare(worker, slot))
            break;
        if (worker->interval > 0) {
            stamp = clock_ticks();
            late_in_driver(worker, slot->intended, stamp);
        }
        worker->started++;
        slot->start = stamp;
        if (worker->note != NULL)
            slot_record(worker, slot);
        do {
            slot->start = stamp;
            worker->class->execute(worker->client, &slot->op);
            stamp = clock_ticks();
        } while (!slot_complete(worker, slot, stamp));
        if (slot->operation == OPERATION_SCAN)
            stamp = clock_ticks();
        if (worker->interval > 0)
            late_in_engine(worker, slot->start, stamp, true);
    }
}

/* How long this thread could have run, but had no processor, since it began; 0: not told. */
static uint64_t processor_wait_ns(void)
{
    FILE              *file = fopen("/proc/thread-self/schedstat", "re");
    unsigned long long wait_ns = 0;

    if (file == NULL)
        return 0;
    if (fscanf(file, "%*u %llu", &wait_ns) != 1)
        wait_ns = 0;
    fclose(file);
    return wait_ns;
}

void worker_run(struct worker *worker, uint64_t count)
{
    const uint64_t wait_ns = worker->interval > 0 ? processor_wait_ns() : 0;

    worker->started = 0;
    worker->quota = count;
    if (worker->model == CLIENT_BLOCKING)
        blocking_loop(worker);
    else
        completion_loop(worker);
    if (worker->interval > 0)
        RECORDER_ADD(worker->recorder.late_processor_ns, processor_wait_ns() - wait_ns);
    assert(worker->outstanding == 0);
    assert(worker->ready_count == 0);
}
