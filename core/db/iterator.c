/*
 * iterator.c: one ordered walk over all shards at one cut.
 *
 * Every shard fills a chunk of rows in the direction of the walk (core/shard/scan.c); the walk
 * shows the smallest (going down: largest) row of all chunks. A chunk that runs out is filled
 * again. Most moves touch no shard at all.
 */
#include "core/db/db.h"

#include <string.h>

#include "core/base/memory.h"
#include "core/iter/head.h"

#define ROWS_FIRST       16u
#define ROWS_MAX         256u
#define BYTES_FIRST      (16u << 10)
#define BYTES_MAX        (256u << 10)

struct kiwi_iterator {
    struct kiwi_context  *context;
    struct kiwi_op       *op;           /* the move in progress */
    struct kiwi_snapshot *own;          /* shared in the context; NULL: the caller's is used */
    struct kiwi_buffer    lower, upper; /* bounds; has_* says whether there is one */
    bool                  has_lower, has_upper;
    bool                  is_backward;
    bool                  is_valid;
    uint32_t              row_hint;
    uint32_t              current;      /* shard of the present row */
    uint32_t              missing;      /* fills in progress */
    uint32_t              shard_count;
    size_t                prefix_bytes; /* that the keys of all rows still to be shown share */
    bool                  is_starting;  /* fills are being started: none may settle the move yet */
    struct kiwi_buffer    here;         /* key of the present row, while the direction turns */
    struct scan           scans[];
};

/* ---- bounds ---- */

static enum kiwi_status buffer_copy(struct kiwi_buffer *buffer, struct kiwi_slice from)
{
    if (buffer->capacity < from.size + 1) {
        void *data = memory_resize(buffer->data, from.size + 64);
        if (data == NULL)
            return FAIL(KIWI_NO_MEMORY, "no memory for a key of %zu bytes", from.size);
        buffer->data = data;
        buffer->capacity = from.size + 64;
    }
    if (from.size > 0)
        memcpy(buffer->data, from.data, from.size);
    buffer->size = from.size;
    return KIWI_OK;
}

static struct bytes buffer_bytes(const struct kiwi_buffer *buffer)
{
    return bytes_of(buffer->data, buffer->size);
}

static struct bytes slice_bytes(struct kiwi_slice slice)
{
    return bytes_of(slice.data, slice.size);
}

static enum kiwi_status upper_narrow(struct kiwi_iterator *iterator, struct kiwi_slice key)
{
    if (iterator->has_upper
        && bytes_compare(buffer_bytes(&iterator->upper), slice_bytes(key)) <= 0)
        return KIWI_OK;
    iterator->has_upper = true;
    return buffer_copy(&iterator->upper, key);
}

/* A prefix is a lower bound, and the next string of its length an upper one. */
static enum kiwi_status prefix_apply(struct kiwi_iterator *iterator, struct kiwi_slice prefix)
{
    struct kiwi_buffer next = { 0 };
    enum kiwi_status   status;

    if (prefix.size == 0)
        return KIWI_OK;
    if (!iterator->has_lower
        || bytes_compare(buffer_bytes(&iterator->lower), slice_bytes(prefix)) < 0) {
        iterator->has_lower = true;
        TRY(buffer_copy(&iterator->lower, prefix));
    }
    TRY(buffer_copy(&next, prefix));
    while (next.size > 0 && ((uint8_t *)next.data)[next.size - 1] == 0xff)
        next.size--;
    status = KIWI_OK;
    if (next.size > 0) {
        ((uint8_t *)next.data)[next.size - 1]++;
        status = upper_narrow(iterator, (struct kiwi_slice){ next.data, next.size });
    }
    kiwi_buffer_free(&next);
    return status;
}

static enum kiwi_status bounds_apply(struct kiwi_iterator *iterator,
                                     const struct kiwi_iterator_options *options)
{
    if (options->lower.size > 0) {
        iterator->has_lower = true;
        TRY(buffer_copy(&iterator->lower, options->lower));
    }
    if (options->upper.size > 0)
        TRY(upper_narrow(iterator, options->upper));
    return prefix_apply(iterator, options->prefix);
}

/* ---- fills ---- */

static void scan_start(struct kiwi_iterator *iterator, struct scan *scan)
{
    scan->op = iterator->op;
    scan->is_backward = iterator->is_backward;
    scan->status = KIWI_OK;
    iterator->missing++;
    shard_run(scan->shard, &scan->task, scan->context);
}

static uint32_t root(uint32_t number)
{
    uint32_t root = 0;

    while ((uint64_t)(root + 1) * (root + 1) <= number)
        root++;
    return root;
}

/* So many of a shard's rows are likely to be among the next ones of all. Its part varies by about
 * the root of its mean; too few cost one more fill, too many are copied in vain. */
static uint32_t rows_of_shard(const struct kiwi_iterator *iterator, uint64_t rows)
{
    uint32_t share = (uint32_t)min_u64(rows / iterator->shard_count, 16384);

    return iterator->shard_count == 1 ? share : share + root(share) + 1;
}

static void limits_first(const struct kiwi_iterator *iterator, struct scan *scan)
{
    scan->row_limit = iterator->row_hint == 0 ? ROWS_FIRST
                                              : rows_of_shard(iterator, iterator->row_hint);
    scan->byte_limit = iterator->row_hint == 0 ? BYTES_FIRST : 4 * BYTES_MAX;
}

/* While no fill is under way. */
static uint64_t rows_shown(const struct kiwi_iterator *iterator)
{
    uint64_t shown = 0;

    for (uint32_t i = 0; i < iterator->shard_count; i++)
        shown += iterator->scans[i].rows_before + iterator->scans[i].row_index;
    return shown;
}

static void limits_grow(struct scan *scan)
{
    scan->row_limit = (uint32_t)min_u64((uint64_t)scan->row_limit * 2,
                                        max_u64(ROWS_MAX, scan->row_limit));
    scan->byte_limit = (uint32_t)max_u64(scan->byte_limit,
                                         min_u64((uint64_t)scan->byte_limit * 2, BYTES_MAX));
}

static bool scan_is_dry(const struct scan *scan)
{
    return scan->row_index >= scan->row_count;
}

/* Starts the fills of all chunks that have run out but are not at their end. As long as less was
 * shown than is wanted, only what is missing is filled. */
static void fills_start(struct kiwi_iterator *iterator)
{
    uint64_t shown = rows_shown(iterator); /* a started fill belongs to its shard's thread */

    iterator->is_starting = true;
    for (uint32_t i = 0; i < iterator->shard_count; i++) {
        struct scan *scan = &iterator->scans[i];

        if (!scan_is_dry(scan) || scan->at_end || scan->status != KIWI_OK)
            continue;
        if (shown < iterator->row_hint)
            scan->row_limit = rows_of_shard(iterator, iterator->row_hint - shown);
        scan->rows_before += scan->row_count;
        scan->row_count = scan->row_index = 0;
        scan_start(iterator, scan);
    }
    iterator->is_starting = false;
}

/* ---- rows ---- */

static inline struct bytes row_key(const struct scan *scan)
{
    return scan_row_key(scan, scan->row_index);
}

/* A chunk without rows loses against all heads but its like. */
static inline void head_set(const struct kiwi_iterator *iterator, struct scan *scan)
{
    if (LIKELY(!scan_is_dry(scan)))
        scan->row_head = head_behind(row_key(scan), iterator->prefix_bytes);
    else
        scan->row_head = iterator->is_backward ? 0 : UINT64_MAX;
}

/* Chunks have been filled. Each is sorted, so what its first and last key share, all share. */
static void heads_set(struct kiwi_iterator *iterator)
{
    struct bytes one = { 0 };

    for (uint32_t i = 0; i < iterator->shard_count; i++) {
        const struct scan *scan = &iterator->scans[i];

        if (scan_is_dry(scan))
            continue;
        struct bytes first = row_key(scan), last = scan_row_key(scan, scan->row_count - 1);

        if (one.data == NULL) {
            one = first;
            iterator->prefix_bytes = first.size;
        }
        iterator->prefix_bytes = min_u64(iterator->prefix_bytes, bytes_shared(one, first));
        iterator->prefix_bytes = min_u64(iterator->prefix_bytes, bytes_shared(one, last));
    }
    for (uint32_t i = 0; i < iterator->shard_count; i++)
        head_set(iterator, &iterator->scans[i]);
}

/* Less than 0 when a's row has the smaller key. */
static inline int rows_compare(const struct scan *a, const struct scan *b)
{
    if (LIKELY(a->row_head != b->row_head))
        return a->row_head < b->row_head ? -1 : 1;
    return bytes_compare(row_key(a), row_key(b));
}

/* Which chunk shows the next row; false: all are at their end. */
static bool current_choose(struct kiwi_iterator *iterator)
{
    uint32_t best = UINT32_MAX;

    for (uint32_t i = 0; i < iterator->shard_count; i++) {
        const struct scan *scan = &iterator->scans[i];
        int                order;

        if (scan_is_dry(scan))
            continue;
        if (best == UINT32_MAX) {
            best = i;
            continue;
        }
        order = rows_compare(scan, &iterator->scans[best]);
        if (iterator->is_backward ? order > 0 : order < 0)
            best = i;
    }
    iterator->current = best;
    iterator->is_valid = best != UINT32_MAX;
    return iterator->is_valid;
}

static void move_end(struct kiwi_iterator *iterator, enum kiwi_status status)
{
    struct kiwi_op *op = iterator->op;

    iterator->op = NULL;
    for (uint32_t i = 0; i < iterator->shard_count; i++)
        iterator->scans[i].op = NULL;
    op_finish(op, status, &iterator->context->engine);
}

/* Goes on until a row can be shown, or a fill has to be waited for. */
static void move_settle(struct kiwi_iterator *iterator)
{
    while (iterator->missing == 0) {
        bool is_dry = false;

        for (uint32_t i = 0; i < iterator->shard_count; i++) {
            const struct scan *scan = &iterator->scans[i];

            if (scan->status != KIWI_OK) {
                iterator->is_valid = false;
                move_end(iterator, scan->status);
                return;
            }
            is_dry |= scan_is_dry(scan) && !scan->at_end;
        }
        if (!is_dry) {
            heads_set(iterator);
            move_end(iterator, current_choose(iterator) ? KIWI_OK : KIWI_NOT_FOUND);
            return;
        }
        fills_start(iterator);
    }
}

void iterator_scan_arrived(struct scan *scan)
{
    struct kiwi_iterator *iterator = scan->op->iterator;

    assert(iterator->missing > 0);
    limits_grow(scan);
    if (--iterator->missing == 0 && !iterator->is_starting)
        move_settle(iterator);
}

/* ---- moves ---- */

struct goal {
    struct bytes key;
    bool         is_backward, is_inclusive, from_edge;
};

static enum kiwi_status goal_set(struct kiwi_iterator *iterator, const struct goal *goal)
{
    iterator->is_backward = goal->is_backward;
    for (uint32_t i = 0; i < iterator->shard_count; i++) {
        struct scan *scan = &iterator->scans[i];

        scan->row_count = scan->row_index = scan->rows_before = 0;
        scan->at_end = false;
        scan->status = KIWI_OK;
        scan->from_edge = goal->from_edge;
        scan->is_inclusive = goal->is_inclusive;
        scan->counts_seek = i == 0;
        limits_first(iterator, scan);
        if (!goal->from_edge)
            TRY(buffer_copy(&scan->position,
                            (struct kiwi_slice){ goal->key.data, goal->key.size }));
    }
    return KIWI_OK;
}

static void move_far(struct kiwi_iterator *iterator, const struct goal *goal)
{
    enum kiwi_status status = goal_set(iterator, goal);

    iterator->is_valid = false;
    if (status != KIWI_OK) {
        move_end(iterator, status);
        return;
    }
    move_settle(iterator);
}

static struct goal goal_up(const struct kiwi_iterator *iterator, struct bytes key, bool from_edge)
{
    struct bytes lower = buffer_bytes(&iterator->lower);

    if (iterator->has_lower && (from_edge || bytes_compare(key, lower) < 0))
        return (struct goal){ .key = lower, .is_inclusive = true };
    return (struct goal){ .key = key, .is_inclusive = true, .from_edge = from_edge };
}

static struct goal goal_down(const struct kiwi_iterator *iterator, struct bytes key, bool from_edge)
{
    struct bytes upper = buffer_bytes(&iterator->upper);

    if (iterator->has_upper && (from_edge || bytes_compare(key, upper) >= 0))
        return (struct goal){ .key = upper, .is_backward = true };
    return (struct goal){ .key = key, .is_backward = true, .is_inclusive = true,
                          .from_edge = from_edge };
}

static void move_step(struct kiwi_iterator *iterator, bool is_backward)
{
    struct scan *scan;

    if (!iterator->is_valid) {
        move_end(iterator, FAIL(KIWI_INVALID, "the iterator stands at no row: seek first"));
        return;
    }
    scan = &iterator->scans[iterator->current];
    if (iterator->is_backward != is_backward) {
        struct bytes     key = row_key(scan);
        enum kiwi_status status = buffer_copy(&iterator->here,
                                              (struct kiwi_slice){ key.data, key.size });
        struct goal      goal = { .key = buffer_bytes(&iterator->here),
                                  .is_backward = is_backward };

        if (status != KIWI_OK)
            move_end(iterator, status);
        else
            move_far(iterator, &goal);
        return;
    }
    scan->row_index++;
    iterator->is_valid = false;
    move_settle(iterator);
}

void iterator_start(struct kiwi_op *op)
{
    struct kiwi_iterator *iterator = op->iterator;
    struct bytes          key = bytes_of(op->key.data, op->key.size);
    struct goal           goal;

    if (iterator->op != NULL || &iterator->context->engine != op_state(op)->context) {
        op_finish(op, FAIL(KIWI_INVALID, "the iterator is already moving, or belongs to another "
                           "context"), op_state(op)->context);
        return;
    }
    iterator->op = op;
    switch ((enum kiwi_movement)op->movement) {
    case KIWI_SEEK:
        goal = goal_up(iterator, key, false);
        break;
    case KIWI_FIRST:
        goal = goal_up(iterator, key, true);
        break;
    case KIWI_SEEK_BEFORE:
        goal = goal_down(iterator, key, false);
        break;
    case KIWI_LAST:
        goal = goal_down(iterator, key, true);
        break;
    case KIWI_NEXT:
    case KIWI_PREVIOUS:
    default:
        move_step(iterator, op->movement == KIWI_PREVIOUS);
        return;
    }
    move_far(iterator, &goal);
}

/* ---- life ---- */

static void sequences_take(struct kiwi_iterator *iterator, const struct kiwi_snapshot *snapshot)
{
    for (uint32_t i = 0; i < iterator->shard_count; i++)
        iterator->scans[i].sequence = snapshot_sequence(snapshot, i);
}

/* Nothing was written since the cut: it is the cut of now. Sequences only grow, so a shard that has
 * its old one was not written to before the first of them was looked at. */
static bool is_newest(const struct kiwi_snapshot *snapshot)
{
    for (uint32_t i = 0; i < snapshot->shard_count; i++)
        if (atomic_load_explicit(&snapshot->db->shards[i]->shown_sequence, memory_order_acquire)
            != snapshot->sequences[i])
            return false;
    return true;
}

static void own_give(struct kiwi_iterator *iterator)
{
    struct kiwi_snapshot *own = iterator->own;

    iterator->own = NULL;
    if (own == NULL || --own->iterator_count > 0)
        return;
    if (iterator->context->newest == own)
        iterator->context->newest = NULL;
    kiwi_snapshot_close(own);
}

/* Iterators of a context share their cut while nothing is written: taking one visits all shards. */
static enum kiwi_status own_renew(struct kiwi_iterator *iterator)
{
    struct kiwi_context  *context = iterator->context;
    struct kiwi_snapshot *newest = context->newest;

    if (newest == NULL || !is_newest(newest)) {
        TRY(kiwi_snapshot_open(context->db, &newest));
        context->newest = newest;
    }
    newest->iterator_count++;
    own_give(iterator);
    iterator->own = newest;
    return KIWI_OK;
}

enum kiwi_status kiwi_iterator_refresh(struct kiwi_iterator *iterator,
                                       struct kiwi_snapshot *snapshot)
{
    if (iterator->op != NULL)
        return FAIL(KIWI_BUSY, "the iterator is moving");
    if (snapshot == NULL)
        TRY(own_renew(iterator));
    else if (snapshot->db != iterator->context->db)
        return FAIL(KIWI_INVALID, "the snapshot belongs to another database");
    else
        own_give(iterator);
    iterator->is_valid = false;
    sequences_take(iterator, snapshot == NULL ? iterator->own : snapshot);
    return KIWI_OK;
}

void kiwi_iterator_row_hint(struct kiwi_iterator *iterator, uint32_t rows)
{
    iterator->row_hint = rows;
}

static void scans_init(struct kiwi_iterator *iterator, uint8_t flags)
{
    for (uint32_t i = 0; i < iterator->shard_count; i++) {
        struct scan *scan = &iterator->scans[i];

        scan->task.kind = TASK_SCAN;
        scan->shard = iterator->context->db->shards[i];
        scan->context = &iterator->context->engine;
        scan->no_fill = (flags & KIWI_FLAG_NO_FILL) != 0;
        if (iterator->has_lower)
            scan->lower = buffer_bytes(&iterator->lower);
        if (iterator->has_upper)
            scan->upper = buffer_bytes(&iterator->upper);
    }
}

enum kiwi_status kiwi_iterator_open(struct kiwi_context *context,
                                    const struct kiwi_iterator_options *options,
                                    struct kiwi_iterator **out)
{
    static const struct kiwi_iterator_options plain;
    uint32_t              count = context->db->shard_count;
    struct kiwi_iterator *iterator;
    enum kiwi_status      status;

    *out = NULL;
    if (options == NULL)
        options = &plain;
    iterator = memory_allocate_zeroed(sizeof *iterator + count * sizeof iterator->scans[0]);
    if (iterator == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for an iterator");
    iterator->context = context;
    iterator->shard_count = count;
    iterator->row_hint = options->row_hint;
    if ((status = bounds_apply(iterator, options)) != KIWI_OK)
        goto fail;
    scans_init(iterator, options->flags);
    if ((status = kiwi_iterator_refresh(iterator, options->snapshot)) != KIWI_OK)
        goto fail;
    *out = iterator;
    return KIWI_OK;
fail:
    kiwi_iterator_close(iterator);
    return status;
}

void kiwi_iterator_close(struct kiwi_iterator *iterator)
{
    if (iterator == NULL)
        return;
    assert(iterator->op == NULL); /* a move in progress must have been polled */
    for (uint32_t i = 0; i < iterator->shard_count; i++)
        scan_free(&iterator->scans[i]);
    own_give(iterator);
    kiwi_buffer_free(&iterator->lower);
    kiwi_buffer_free(&iterator->upper);
    kiwi_buffer_free(&iterator->here);
    memory_free(iterator);
}

/* ---- blocking moves ---- */

static enum kiwi_status move(struct kiwi_iterator *iterator, enum kiwi_movement movement,
                             struct kiwi_slice key)
{
    struct kiwi_op op;

    memset(&op, 0, offsetof(struct kiwi_op, private_words));
    op.verb = KIWI_ITERATE;
    op.iterator = iterator;
    op.movement = (uint8_t)movement;
    op.key = key;
    operation_start(iterator->context, &op, true);
    operation_wait(iterator->context, &op);
    return op.status;
}

/* A step within chunks that have rows: most need nothing else. */
static inline enum kiwi_status step(struct kiwi_iterator *iterator, enum kiwi_movement movement)
{
    bool         is_backward = movement == KIWI_PREVIOUS;
    struct scan *scan;

    if (UNLIKELY(!iterator->is_valid || iterator->is_backward != is_backward
                 || iterator->op != NULL))
        return move(iterator, movement, (struct kiwi_slice){ NULL, 0 });
    scan = &iterator->scans[iterator->current];
    if (UNLIKELY(scan->row_index + 1 >= scan->row_count) && !scan->at_end)
        return move(iterator, movement, (struct kiwi_slice){ NULL, 0 });
    scan->row_index++;
    head_set(iterator, scan);
    if (LIKELY(iterator->shard_count == 2)) {
        uint64_t a = iterator->scans[0].row_head, b = iterator->scans[1].row_head;

        /* Who is next is as good as random, so without a branch. Equal: perhaps both are dry. */
        iterator->current = (b < a) != is_backward;
        if (LIKELY(a != b))
            return KIWI_OK;
    } else if (iterator->shard_count == 1 && LIKELY(!scan_is_dry(scan))) {
        return KIWI_OK;
    }
    return current_choose(iterator) ? KIWI_OK : KIWI_NOT_FOUND;
}

enum kiwi_status kiwi_iterator_seek(struct kiwi_iterator *iterator, struct kiwi_slice key)
{
    return move(iterator, KIWI_SEEK, key);
}

enum kiwi_status kiwi_iterator_seek_before(struct kiwi_iterator *iterator, struct kiwi_slice key)
{
    return move(iterator, KIWI_SEEK_BEFORE, key);
}

enum kiwi_status kiwi_iterator_first(struct kiwi_iterator *iterator)
{
    return move(iterator, KIWI_FIRST, (struct kiwi_slice){ NULL, 0 });
}

enum kiwi_status kiwi_iterator_last(struct kiwi_iterator *iterator)
{
    return move(iterator, KIWI_LAST, (struct kiwi_slice){ NULL, 0 });
}

enum kiwi_status kiwi_iterator_next(struct kiwi_iterator *iterator)
{
    return step(iterator, KIWI_NEXT);
}

enum kiwi_status kiwi_iterator_previous(struct kiwi_iterator *iterator)
{
    return step(iterator, KIWI_PREVIOUS);
}

bool kiwi_iterator_is_valid(const struct kiwi_iterator *iterator)
{
    return iterator->is_valid;
}

struct kiwi_slice kiwi_iterator_key(const struct kiwi_iterator *iterator)
{
    const struct scan     *scan = &iterator->scans[iterator->current];
    const struct scan_row *row = &scan->rows[scan->row_index];

    assert(iterator->is_valid);
    return (struct kiwi_slice){ scan->bytes + row->offset, row->key_bytes };
}

struct kiwi_slice kiwi_iterator_value(const struct kiwi_iterator *iterator)
{
    const struct scan     *scan = &iterator->scans[iterator->current];
    const struct scan_row *row = &scan->rows[scan->row_index];

    assert(iterator->is_valid);
    return (struct kiwi_slice){ scan->bytes + row->offset + row->key_bytes, row->value_bytes };
}
