/*
 * mailbox.h: the only ways between threads: the ownership token and intrusive inboxes.
 *
 * Token    one word; whoever holds it is alone inside the shard. Entering is one compare-and-swap,
 *          leaving one store. Never held across a wait.
 * Mailbox  many producers push, the token's holder takes all at once, oldest first (a Treiber
 *          stack, reversed on taking).
 * Thread   any.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/base.h"

struct token {
    _Alignas(CACHE_LINE_BYTES) _Atomic uint32_t is_held;
};

static inline bool token_try(struct token *token)
{
    uint32_t expected = 0;

    return atomic_load_explicit(&token->is_held, memory_order_relaxed) == 0
        && atomic_compare_exchange_strong_explicit(&token->is_held, &expected, 1,
                                                   memory_order_acquire, memory_order_relaxed);
}

/* A guess: it may be otherwise by now. */
static inline bool token_is_held(const struct token *token)
{
    return atomic_load_explicit(&token->is_held, memory_order_relaxed) != 0;
}

static inline void token_leave(struct token *token)
{
    atomic_store_explicit(&token->is_held, 0, memory_order_release);
}

struct mail {
    struct mail *next;
};

struct mailbox {
    _Alignas(CACHE_LINE_BYTES) _Atomic(struct mail *) head;
};

/* True when the mailbox was empty before. */
static inline bool mailbox_push(struct mailbox *box, struct mail *mail)
{
    struct mail *head = atomic_load_explicit(&box->head, memory_order_relaxed);

    do
        mail->next = head;
    while (!atomic_compare_exchange_weak_explicit(&box->head, &head, mail, memory_order_seq_cst,
                                                  memory_order_relaxed));
    return head == NULL;
}

static inline bool mailbox_is_empty(struct mailbox *box)
{
    return atomic_load_explicit(&box->head, memory_order_seq_cst) == NULL;
}

/* Everything pushed so far, oldest first; NULL when empty. */
static inline struct mail *mailbox_take(struct mailbox *box)
{
    struct mail *newest, *oldest = NULL;

    if (atomic_load_explicit(&box->head, memory_order_relaxed) == NULL)
        return NULL;
    newest = atomic_exchange_explicit(&box->head, NULL, memory_order_acquire);
    while (newest != NULL) {
        struct mail *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}
