/*
 * ledger.h: what may stand under each key when writes can fail.
 *
 * Rules    an acknowledged write replaces all that may have stood there; a failed one may stand
 *          there or not. The keys of a batch show its version all or none.
 */
#pragma once

#include "kiwi/kiwi.h"
#include "tests/support/world.h"

#define LEDGER_KEYS     160u
#define LEDGER_VERSIONS 64u
#define LEDGER_BATCHES  400u
#define LEDGER_MARKS    4u

struct ledger_key {
    uint32_t versions[LEDGER_VERSIONS]; /* that may stand there; 0: absent */
    uint32_t count;
};

struct ledger {
    struct ledger_key keys[LEDGER_KEYS];
    struct { bool is_acknowledged; } batches[LEDGER_BATCHES]; /* with a key of its own per mark */
    uint32_t batch_count;
    uint32_t version;
    uint32_t acknowledged, refused; /* writes */
    uint32_t read_errors;           /* gets and scans that failed cleanly */
    enum kiwi_status last_refusal;
    char     refusal[512];          /* its text */
    char     read_error[512];
};

void ledger_begin(struct ledger *ledger);

/* Random work. Writes may fail; what is read must be what may stand there, or a clean error. */
void ledger_step(struct ledger *ledger, struct kiwi_context *context, uint64_t *chance,
                 const char *label);
void ledger_put(struct ledger *ledger, struct kiwi_context *context, uint32_t key,
                enum kiwi_durability mode);
/* Reads one key. Errors are counted when they are allowed, else fail the test. */
void ledger_get(struct ledger *ledger, struct kiwi_context *context, uint32_t key,
                bool errors_allowed, const char *label);
/* Reads everything: no error, every key as it may be, every batch whole; then every key is settled
 * at what was found. */
void ledger_check(struct ledger *ledger, struct kiwi_context *context, const char *label);
