#include "memtable_harness.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- chance ---- */

struct dice dice_of(uint64_t stream)
{
    static uint64_t seed;

    if (seed == 0) {
        const char *text = getenv("KIWI_SEED");

        seed = text != NULL ? strtoull(text, NULL, 0) : 20260101;
        printf("KIWI_SEED=%llu\n", (unsigned long long)seed);
    }
    return (struct dice){ .state = seed * 0x9e3779b97f4a7c15ull + stream };
}

/* splitmix64 */
uint64_t dice_draw(struct dice *dice)
{
    uint64_t x = dice->state += 0x9e3779b97f4a7c15ull;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

uint64_t dice_below(struct dice *dice, uint64_t limit)
{
    return dice_draw(dice) % limit;
}

/* ---- keys ---- */

static struct bytes printed(uint8_t *buffer, const char *format, uint64_t number)
{
    int size = snprintf((char *)buffer, 128, format, (unsigned long long)number);

    return bytes_of(buffer, (size_t)size);
}

static struct bytes key_binary(uint64_t number, uint8_t *buffer)
{
    static const uint8_t letters[] = { 0x00, 0x01, 0xff };
    size_t               size = number % 11;

    number /= 11;
    for (size_t i = 0; i < size; i++) {
        buffer[i] = letters[number % 3];
        number /= 3;
    }
    return bytes_of(buffer, size);
}

static struct bytes key_long(uint64_t number, uint8_t *buffer)
{
    size_t size = number % 13 == 0 ? 65535 - number % 3 : number % 500;

    memset(buffer, (int)('a' + number % 2), size);
    if (size >= 8)
        memcpy(buffer + size - 8, &number, 8);
    return bytes_of(buffer, size);
}

struct bytes key_of(enum key_shape shape, uint64_t number, uint8_t *buffer)
{
    static const char *const clusters[] = {
        "a/%llu",
        "cluster-with-a-prefix-that-is-longer-than-a-block-keeps/one/%llu",
        "cluster-with-a-prefix-that-is-longer-than-a-block-keeps/two/000000000000%llu",
        "z%llu",
    };

    switch (shape) {
    case KEYS_USER:
        return printed(buffer, "user%012llu", number * 2654435761u % 1000000000000u);
    case KEYS_TIED:
        return printed(buffer, "the-same-start-of-every-single-key-in-this-memtable-000000000-%llu",
                       number);
    case KEYS_CLUSTERED:
        return printed(buffer, clusters[number % 4], number / 4);
    case KEYS_BINARY:
        return key_binary(number, buffer);
    case KEYS_LONG:
        return key_long(number, buffer);
    case KEYS_ASCENDING:
        return printed(buffer, "%016llu", number);
    case KEYS_DESCENDING:
        return printed(buffer, "%016llu", 1000000000 - number);
    case KEY_SHAPE_COUNT:
        break;
    }
    abort();
}

/* ---- the model ---- */

static struct bytes copied(struct bytes bytes)
{
    uint8_t *copy = malloc(bytes.size + 1);

    if (copy == NULL)
        abort();
    if (bytes.size > 0)
        memcpy(copy, bytes.data, bytes.size);
    return bytes_of(copy, bytes.size);
}

size_t model_find(const struct model *model, struct bytes key, uint64_t sequence)
{
    struct entry wanted = { .key = key, .sequence = sequence };
    size_t       low = 0, high = model->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (entry_compare(&model->entries[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t model_get(const struct model *model, struct bytes key, uint64_t sequence_max)
{
    size_t at = model_find(model, key, sequence_max);

    if (at < model->count && bytes_equal(model->entries[at].key, key))
        return at;
    return model->count;
}

static void model_insert(struct model *model, size_t at, const struct entry *entry)
{
    if (model->count == model->capacity) {
        model->capacity = model->capacity == 0 ? 64 : 2 * model->capacity;
        model->entries = realloc(model->entries, model->capacity * sizeof *model->entries);
        if (model->entries == NULL)
            abort();
    }
    memmove(&model->entries[at + 1], &model->entries[at],
            (model->count - at) * sizeof *model->entries);
    model->entries[at] = *entry;
    model->entries[at].key = copied(entry->key);
    model->entries[at].value = copied(entry->value);
    model->count++;
}

void model_put(struct model *model, const struct entry *entry, uint64_t newest_snapshot)
{
    size_t newest = model_get(model, entry->key, SEQUENCE_MAX);

    if (newest == model->count || model->entries[newest].sequence <= newest_snapshot) {
        model_insert(model, model_find(model, entry->key, entry->sequence), entry);
        return;
    }
    struct entry *old = &model->entries[newest];
    free((void *)(uintptr_t)old->value.data);
    old->value = copied(entry->value);
    old->sequence = entry->sequence;
    old->kind = entry->kind;
}

void model_end(struct model *model)
{
    for (size_t i = 0; i < model->count; i++) {
        free((void *)(uintptr_t)model->entries[i].key.data);
        free((void *)(uintptr_t)model->entries[i].value.data);
    }
    free(model->entries);
    *model = (struct model){ 0 };
}

bool entry_equal(const struct entry *a, const struct entry *b)
{
    return bytes_equal(a->key, b->key) && bytes_equal(a->value, b->value)
        && a->sequence == b->sequence && a->kind == b->kind;
}
