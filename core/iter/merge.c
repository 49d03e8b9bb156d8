/*
 * merge.c: a tree of losers over the inputs' heads.
 *
 * Forward, every input stands at its first entry that has not been shown; the smallest of them is
 * shown. Backward, everything is mirrored: heads are inverted and comparisons turned around, so one
 * tree serves both. Turning around is one step of every input the other way.
 *
 *   tree[0]  winner      An input that moved plays only against the losers on its way up.
 *   tree[1]  . . . . .
 *   tree[2]  tree[3]     Leaf i hangs below node (count + i) / 2.
 *
 * A move that waits for a block is kept as `task` and `task_input`; merge_supply goes on there.
 */
#include "core/iter/merge.h"

#include "core/base/memory.h"
#include "core/iter/head.h"

#define PREFIX_BYTES_MAX   128u
#define PREFIX_BYTES_SPARE 3u    /* left out of the prefix, so that the walk stays in it for long */
#define TIES_PER_INPUT     4u    /* as many equal heads, and a better prefix is looked for */
#define TIES_PATIENCE_MAX  4096u /* where looking did not help, it is done this seldom at last */

enum task { TASK_SEEK, TASK_SEEK_BEFORE, TASK_FIRST, TASK_LAST, TASK_TURN, TASK_STEP };

struct merge {
    struct iter    iter;
    uint32_t       count, capacity;
    bool           is_backward;
    enum task      task;
    uint32_t       task_input;      /* which input the task is at; waiting, or the next to start */
    uint32_t       ties, ties_limit;
    size_t         prefix_bytes;
    uint8_t        prefix[PREFIX_BYTES_MAX];
    uint8_t       *key;             /* of the seek: inputs borrow it while they wait */
    size_t         key_bytes, key_capacity;
    uint64_t       sequence;
    struct iter  **inputs;
    uint64_t      *heads;           /* of the inputs; UINT64_MAX at the end, but not only there */
    uint32_t      *tree;            /* of inputs */
};

static struct merge *merge_of(struct iter *iter)
{
    return container_of(iter, struct merge, iter);
}

/* ---- heads ---- */

static inline uint64_t input_head(const struct merge *merge, uint32_t input)
{
    const struct iter *iter = merge->inputs[input];
    uint64_t           head;

    if (UNLIKELY(iter->state == ITER_END))
        return UINT64_MAX;
    head = head_of(iter->entry.key, bytes_of(merge->prefix, merge->prefix_bytes));
    return merge->is_backward ? ~head : head;
}

/* The prefix that the present keys of all inputs share, less a bit: where the merge is now. */
static size_t prefix_shared(const struct merge *merge)
{
    const struct iter *one = NULL;
    size_t             shared = PREFIX_BYTES_MAX + PREFIX_BYTES_SPARE;

    for (uint32_t i = 0; i < merge->count; i++) {
        const struct iter *iter = merge->inputs[i];

        if (iter->state == ITER_END)
            continue;
        if (one == NULL)
            one = iter;
        shared = min_u64(shared, bytes_shared(one->entry.key, iter->entry.key));
    }
    return one == NULL || shared < PREFIX_BYTES_SPARE ? 0 : shared - PREFIX_BYTES_SPARE;
}

static const struct iter *input_any(const struct merge *merge)
{
    for (uint32_t i = 0; i < merge->count; i++) {
        if (merge->inputs[i]->state != ITER_END)
            return merge->inputs[i];
    }
    return NULL;
}

/* True when the heads are now others. */
static bool prefix_renew(struct merge *merge)
{
    const struct iter *one = input_any(merge);
    size_t             bytes = prefix_shared(merge);

    merge->ties = 0;
    if (one == NULL)
        return false;
    if (bytes == merge->prefix_bytes
        && (bytes == 0 || memcmp(merge->prefix, one->entry.key.data, bytes) == 0)) {
        merge->ties_limit = (uint32_t)min_u64(2 * merge->ties_limit, TIES_PATIENCE_MAX);
        return false;
    }
    merge->ties_limit = TIES_PER_INPUT * merge->count;
    merge->prefix_bytes = bytes;
    if (bytes > 0)
        memcpy(merge->prefix, one->entry.key.data, bytes);
    return true;
}

/* ---- the tree ---- */

/* True when a, whose head equals b's, is to be shown before b. */
static bool tie_before(struct merge *merge, uint32_t a, uint32_t b)
{
    const struct iter *x = merge->inputs[a], *y = merge->inputs[b];
    int                order;

    if (x->state == ITER_END || y->state == ITER_END) {
        if (x->state != y->state)
            return y->state == ITER_END;
        return a < b;
    }
    merge->ties++;
    order = entry_compare(&x->entry, &y->entry);
    if (order == 0)
        order = a < b ? -1 : 1;
    return merge->is_backward ? order > 0 : order < 0;
}

static inline bool input_before(struct merge *merge, uint32_t a, uint32_t b)
{
    if (LIKELY(merge->heads[a] != merge->heads[b]))
        return merge->heads[a] < merge->heads[b];
    return tie_before(merge, a, b);
}

static void tree_build(struct merge *merge)
{
    uint32_t winners[2 * MERGE_INPUT_MAX], count = merge->count;

    assert(count > 0);
    assert(count <= MERGE_INPUT_MAX);
    for (uint32_t i = 0; i < count; i++) {
        merge->heads[i] = input_head(merge, i);
        winners[count + i] = i;
    }
    for (uint32_t node = count - 1; node > 0; node--) {
        uint32_t a = winners[2 * node], b = winners[2 * node + 1];
        bool     a_wins = input_before(merge, a, b);

        winners[node] = a_wins ? a : b;
        merge->tree[node] = a_wins ? b : a;
    }
    merge->tree[0] = winners[1];
}

/* The winner's input has moved: who wins now? */
static inline void tree_replay(struct merge *merge)
{
    uint32_t *tree = merge->tree, input = tree[0];
    uint64_t *heads = merge->heads, head = input_head(merge, input);

    heads[input] = head;
    for (uint32_t node = (merge->count + input) / 2; node > 0; node /= 2) {
        uint32_t other = tree[node];
        bool     other_wins = heads[other] < head;

        if (UNLIKELY(heads[other] == head))
            other_wins = tie_before(merge, other, input);
        /* Who wins is as good as random, so they are exchanged without a branch. */
        uint32_t mask = 0 - (uint32_t)other_wins;
        uint32_t exchange = (input ^ other) & mask;

        head ^= (head ^ heads[other]) & (0 - (uint64_t)other_wins);
        input ^= exchange;
        tree[node] = other ^ exchange;
    }
    tree[0] = input;
}

/* ---- moves ---- */

static inline enum iter_state merge_show(struct merge *merge)
{
    const struct iter *winner = merge->inputs[merge->tree[0]];

    if (UNLIKELY(winner->state == ITER_END))
        return merge->iter.state = ITER_END;
    assert_slow(winner->state == ITER_AT_ENTRY);
    merge->iter.entry = winner->entry;
    return merge->iter.state = ITER_AT_ENTRY;
}

static enum iter_state input_start(struct merge *merge, struct iter *input)
{
    struct bytes key = bytes_of(merge->key, merge->key_bytes);

    switch (merge->task) {
    case TASK_SEEK:
        return iter_seek(input, key, merge->sequence);
    case TASK_SEEK_BEFORE:
        return iter_seek_before(input, key);
    case TASK_FIRST:
        return iter_first(input);
    case TASK_LAST:
        return iter_last(input);
    case TASK_TURN:
        /* An input past one end comes back in at that end. */
        if (input->state == ITER_END)
            return merge->is_backward ? iter_last(input) : iter_first(input);
        return merge->is_backward ? iter_previous(input) : iter_next(input);
    case TASK_STEP:
        return merge->is_backward ? iter_previous(input) : iter_next(input);
    }
    assert(false && "no such task");
    return ITER_FAILED;
}

/* The input cannot stand at an entry yet, or at all. */
static enum iter_state merge_stop(struct merge *merge, const struct iter *input)
{
    if (input->state == ITER_FAILED) {
        assert(input->status != KIWI_OK);
        merge->iter.status = input->status;
        return merge->iter.state = ITER_FAILED;
    }
    assert(input->state == ITER_WANTS_BLOCK);
    merge->iter.wanted_table = input->wanted_table;
    merge->iter.wanted = input->wanted;
    return merge->iter.state = ITER_WANTS_BLOCK;
}

static inline bool is_placed(enum iter_state state)
{
    return state == ITER_AT_ENTRY || state == ITER_END;
}

static enum iter_state step_finish(struct merge *merge)
{
    tree_replay(merge);
    if (UNLIKELY(merge->ties >= merge->ties_limit) && prefix_renew(merge))
        tree_build(merge);
    return merge_show(merge);
}

/* All inputs are placed. */
static enum iter_state inputs_merge(struct merge *merge)
{
    merge->ties_limit = TIES_PER_INPUT * merge->count;
    (void)prefix_renew(merge);
    tree_build(merge);
    return merge_show(merge);
}

/* All tasks but the step: starts the inputs from task_input on, one after another. */
static enum iter_state task_run(struct merge *merge)
{
    for (; merge->task_input < merge->count; merge->task_input++) {
        struct iter    *input = merge->inputs[merge->task_input];
        enum iter_state state = input_start(merge, input);

        assert(state == input->state);
        if (!is_placed(state))
            return merge_stop(merge, input);
    }
    return inputs_merge(merge);
}

static enum iter_state task_begin(struct merge *merge, enum task task, bool is_backward)
{
    if (merge->count == 0)
        return merge->iter.state = ITER_END;
    merge->task = task;
    merge->task_input = 0;
    merge->is_backward = is_backward;
    return task_run(merge);
}

static enum iter_state merge_move(struct merge *merge, bool is_backward)
{
    struct iter    *input;
    enum iter_state state;

    if (UNLIKELY(merge->iter.state != ITER_AT_ENTRY)) {
        assert(merge->iter.state != ITER_WANTS_BLOCK);
        return merge->iter.state;
    }
    if (UNLIKELY(merge->is_backward != is_backward))
        return task_begin(merge, TASK_TURN, is_backward);
    input = merge->inputs[merge->tree[0]];
    state = is_backward ? iter_previous(input) : iter_next(input);
    if (UNLIKELY(!is_placed(state))) {
        merge->task = TASK_STEP;
        merge->task_input = merge->tree[0];
        return merge_stop(merge, input);
    }
    return step_finish(merge);
}

/* ---- the methods ---- */

static enum iter_state key_keep(struct merge *merge, struct bytes key)
{
    if (key.size > merge->key_capacity) {
        size_t   capacity = (size_t)round_up_u64(key.size, 256);
        uint8_t *grown = memory_resize(merge->key, capacity);

        if (grown == NULL) {
            merge->iter.status = FAIL(KIWI_NO_MEMORY, "no memory to seek a key of %zu bytes",
                                      key.size);
            return merge->iter.state = ITER_FAILED;
        }
        merge->key = grown;
        merge->key_capacity = capacity;
    }
    if (key.size > 0)
        memmove(merge->key, key.data, key.size);
    merge->key_bytes = key.size;
    return ITER_AT_ENTRY;
}

static enum iter_state merge_seek(struct iter *iter, struct bytes key, uint64_t sequence)
{
    struct merge *merge = merge_of(iter);

    if (key_keep(merge, key) == ITER_FAILED)
        return ITER_FAILED;
    merge->sequence = sequence;
    return task_begin(merge, TASK_SEEK, false);
}

static enum iter_state merge_seek_before(struct iter *iter, struct bytes key)
{
    struct merge *merge = merge_of(iter);

    if (key_keep(merge, key) == ITER_FAILED)
        return ITER_FAILED;
    return task_begin(merge, TASK_SEEK_BEFORE, true);
}

static enum iter_state merge_first(struct iter *iter)
{
    return task_begin(merge_of(iter), TASK_FIRST, false);
}

static enum iter_state merge_last(struct iter *iter)
{
    return task_begin(merge_of(iter), TASK_LAST, true);
}

static enum iter_state merge_next(struct iter *iter)
{
    return merge_move(merge_of(iter), false);
}

static enum iter_state merge_previous(struct iter *iter)
{
    return merge_move(merge_of(iter), true);
}

static enum iter_state merge_supply(struct iter *iter, const uint8_t *block)
{
    struct merge   *merge = merge_of(iter);
    struct iter    *input;
    enum iter_state state;

    assert(iter->state == ITER_WANTS_BLOCK);
    assert(merge->task_input < merge->count);
    input = merge->inputs[merge->task_input];
    state = iter_supply(input, block);
    assert(state == input->state);
    if (!is_placed(state))
        return merge_stop(merge, input);
    if (merge->task == TASK_STEP)
        return step_finish(merge);
    merge->task_input++;
    return task_run(merge);
}

static const struct iter_methods merge_methods = {
    .seek = merge_seek,
    .seek_before = merge_seek_before,
    .first = merge_first,
    .last = merge_last,
    .next = merge_next,
    .previous = merge_previous,
    .supply = merge_supply,
};

/* ---- open and close ---- */

enum kiwi_status merge_open(struct iter **inputs, uint32_t count, struct merge **out)
{
    struct merge *merge = memory_allocate_zeroed(sizeof *merge);

    if (merge == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a merge");
    assert(count <= MERGE_INPUT_MAX);
    merge->capacity = count;
    merge->inputs = memory_allocate(count * sizeof(struct iter *));
    merge->heads = memory_allocate(count * sizeof *merge->heads);
    merge->tree = memory_allocate((count + 1) * sizeof *merge->tree);
    if (merge->inputs == NULL || merge->heads == NULL || merge->tree == NULL) {
        merge_close(merge);
        return FAIL(KIWI_NO_MEMORY, "no memory for a merge of %u inputs", count);
    }
    merge_reset(merge, inputs, count);
    *out = merge;
    return KIWI_OK;
}

void merge_close(struct merge *merge)
{
    if (merge == NULL)
        return;
    memory_free(merge->inputs);
    memory_free(merge->heads);
    memory_free(merge->tree);
    memory_free(merge->key);
    memory_free(merge);
}

void merge_reset(struct merge *merge, struct iter **inputs, uint32_t count)
{
    assert(count <= merge->capacity);
    if (count > 0)
        memcpy(merge->inputs, inputs, count * sizeof(struct iter *));
    merge->count = count;
    merge->is_backward = false;
    merge->ties = 0;
    merge->prefix_bytes = 0;
    merge->iter = (struct iter){ .methods = &merge_methods, .state = ITER_END };
}

enum iter_state merge_start(struct merge *merge, bool is_backward)
{
    if (merge->count == 0)
        return merge->iter.state = ITER_END;
    for (uint32_t i = 0; i < merge->count; i++)
        assert(is_placed(merge->inputs[i]->state));
    merge->is_backward = is_backward;
    return inputs_merge(merge);
}

struct iter *merge_iter(struct merge *merge)
{
    return &merge->iter;
}

uint32_t merge_waiting_input(const struct merge *merge)
{
    assert(merge->iter.state == ITER_WANTS_BLOCK);
    return merge->task_input;
}
