/*
 * api.c: the public API against a sorted map, on the simulated disk.
 *
 * The input is a list of operations: writes, batches, reads, scans in both directions, snapshots,
 * flush, compaction, closing, the death of the process and power cuts after everything was made
 * durable. Whatever their order, the database shows what the map shows.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/support/world.h"

enum { KEY_COUNT = 48, KEY_BYTES_MAX = 40, VALUE_BYTES_MAX = 6000, OPERATION_COUNT_MAX = 120 };
enum { SNAPSHOT_COUNT = 3 };

struct map {
    uint32_t stamps[KEY_COUNT]; /* 0: the key is absent */
    uint32_t sizes[KEY_COUNT];
};

struct run {
    struct fuzz_input    *input;
    struct world          world;
    struct map            map;
    struct kiwi_snapshot *snapshots[SNAPSHOT_COUNT];
    struct map            pictures[SNAPSHOT_COUNT];
    uint32_t              stamp;
};

#define must(call)                                                                            \
    do {                                                                                      \
        enum kiwi_status call_status = (call);                                                \
        if (call_status != KIWI_OK)                                                           \
            fprintf(stderr, "%s: %s\n", kiwi_status_text(call_status), kiwi_error_text());     \
        fuzz_promise(call_status == KIWI_OK);                                                 \
    } while (0)

/* Key i sorts before key i + 1; some share long prefixes, key 0 is empty. */
static struct kiwi_slice key_of(uint32_t i, char room[KEY_BYTES_MAX])
{
    int size = i == 0 ? 0
             : i % 4 == 0 ? snprintf(room, KEY_BYTES_MAX, "key%02u/with/a/tail", i)
                          : snprintf(room, KEY_BYTES_MAX, "key%02u", i);
    return (struct kiwi_slice){ room, (size_t)size };
}

static void value_fill(uint8_t *room, uint32_t stamp, uint32_t bytes)
{
    for (uint32_t at = 0; at < bytes; at++)
        room[at] = (uint8_t)(stamp * 31 + at * 7 + (at >> 8));
}

static uint32_t size_take(struct fuzz_input *input)
{
    uint8_t choice = fuzz_byte(input);

    return choice < 200 ? choice : choice < 250 ? choice * 8u : VALUE_BYTES_MAX - (uint32_t)choice;
}

static enum kiwi_durability durability_take(struct fuzz_input *input)
{
    return fuzz_byte(input) % 4 == 0 ? KIWI_DURABLE : KIWI_PROCESS;
}

/* ---- writes ---- */

static void put_run(struct run *run)
{
    uint8_t           value[VALUE_BYTES_MAX];
    char              room[KEY_BYTES_MAX];
    uint32_t          i = fuzz_below(run->input, KEY_COUNT), bytes = size_take(run->input);
    struct kiwi_slice slice = { value, bytes };

    value_fill(value, ++run->stamp, bytes);
    must(kiwi_put(run->world.context, key_of(i, room), slice, durability_take(run->input)));
    run->map.stamps[i] = run->stamp;
    run->map.sizes[i] = bytes;
}

static void delete_run(struct run *run)
{
    char     room[KEY_BYTES_MAX];
    uint32_t i = fuzz_below(run->input, KEY_COUNT);

    must(kiwi_delete(run->world.context, key_of(i, room), durability_take(run->input)));
    run->map.stamps[i] = 0;
}

static void batch_run(struct run *run)
{
    struct kiwi_batch *batch;
    uint8_t            value[VALUE_BYTES_MAX];
    char               room[KEY_BYTES_MAX];

    must(kiwi_batch_open(&batch));
    for (uint32_t left = fuzz_below(run->input, 12); left > 0; left--) {
        uint32_t i = fuzz_below(run->input, KEY_COUNT), bytes = size_take(run->input);

        if ((fuzz_byte(run->input) & 3) == 0) {
            must(kiwi_batch_delete(batch, key_of(i, room)));
            run->map.stamps[i] = 0;
            continue;
        }
        value_fill(value, ++run->stamp, bytes);
        must(kiwi_batch_put(batch, key_of(i, room), (struct kiwi_slice){ value, bytes }));
        run->map.stamps[i] = run->stamp;
        run->map.sizes[i] = bytes;
    }
    must(kiwi_write(run->world.context, batch, durability_take(run->input)));
    kiwi_batch_close(batch);
}

/* ---- reads ---- */

static void value_expect(const struct map *map, uint32_t i, const void *data, size_t bytes)
{
    uint8_t value[VALUE_BYTES_MAX];

    fuzz_promise(map->stamps[i] != 0 && bytes == map->sizes[i]);
    value_fill(value, map->stamps[i], map->sizes[i]);
    fuzz_promise(bytes == 0 || memcmp(data, value, bytes) == 0);
}

static void get_expect(struct run *run, uint32_t i, const struct map *map,
                       struct kiwi_snapshot *snapshot)
{
    struct kiwi_buffer value = { 0 };
    char               room[KEY_BYTES_MAX];
    enum kiwi_status   status = kiwi_get(run->world.context, key_of(i, room), snapshot, &value);

    if (map->stamps[i] == 0)
        fuzz_promise(status == KIWI_NOT_FOUND && value.size == 0);
    else {
        must(status);
        value_expect(map, i, value.data, value.size);
    }
    kiwi_buffer_free(&value);
}

/* The first present key from i on in that direction; KEY_COUNT: none. */
static uint32_t present_from(const struct map *map, uint32_t i, int step)
{
    while (i < KEY_COUNT && map->stamps[i] == 0)
        i += (uint32_t)step; /* below 0 is above KEY_COUNT */
    return i < KEY_COUNT ? i : KEY_COUNT;
}

static void row_expect(const struct kiwi_iterator *iterator, const struct map *map, uint32_t i,
                       enum kiwi_status status)
{
    char              room[KEY_BYTES_MAX];
    struct kiwi_slice key = key_of(i, room), found, value;

    if (i == KEY_COUNT) {
        fuzz_promise(status == KIWI_NOT_FOUND && !kiwi_iterator_is_valid(iterator));
        return;
    }
    must(status);
    found = kiwi_iterator_key(iterator);
    value = kiwi_iterator_value(iterator);
    fuzz_promise(found.size == key.size);
    fuzz_promise(key.size == 0 || memcmp(found.data, key.data, key.size) == 0);
    value_expect(map, i, value.data, value.size);
}

static void scan_expect(struct run *run, const struct map *map, struct kiwi_snapshot *snapshot,
                        bool is_backward)
{
    struct kiwi_iterator_options options = { .snapshot = snapshot };
    struct kiwi_iterator        *iterator;
    uint32_t         i = present_from(map, is_backward ? KEY_COUNT - 1 : 0, is_backward ? -1 : 1);
    enum kiwi_status status;

    must(kiwi_iterator_open(run->world.context, &options, &iterator));
    status = is_backward ? kiwi_iterator_last(iterator) : kiwi_iterator_first(iterator);
    row_expect(iterator, map, i, status);
    while (i != KEY_COUNT) {
        i = present_from(map, is_backward ? i - 1 : i + 1, is_backward ? -1 : 1);
        status = is_backward ? kiwi_iterator_previous(iterator) : kiwi_iterator_next(iterator);
        row_expect(iterator, map, i, status);
    }
    kiwi_iterator_close(iterator);
}

/* Seeks and steps to and fro; writes in between do not show. */
static void wander_run(struct run *run)
{
    struct kiwi_iterator *iterator;
    struct map            map = run->map;
    char                  room[KEY_BYTES_MAX];
    uint32_t              i = 0;
    enum kiwi_status      status = KIWI_NOT_FOUND;

    must(kiwi_iterator_open(run->world.context, NULL, &iterator));
    for (uint32_t left = 1 + fuzz_below(run->input, 12); left > 0; left--) {
        uint8_t how = fuzz_byte(run->input) % 8;

        if (how == 0) {
            put_run(run);
            continue;
        }
        if (how < 3 || status != KIWI_OK) {
            i = fuzz_below(run->input, KEY_COUNT);
            status = how % 2 == 0 ? kiwi_iterator_seek(iterator, key_of(i, room))
                                  : kiwi_iterator_seek_before(iterator, key_of(i, room));
            i = present_from(&map, i, how % 2 == 0 ? 1 : -1);
        } else {
            status = how < 6 ? kiwi_iterator_next(iterator) : kiwi_iterator_previous(iterator);
            i = present_from(&map, how < 6 ? i + 1 : i - 1, how < 6 ? 1 : -1);
        }
        row_expect(iterator, &map, i, status);
    }
    kiwi_iterator_close(iterator);
}

/* A scan between two keys, or of a prefix, in both directions. */
static void bounded_run(struct run *run)
{
    static const char *const      prefixes[] = { "", "key0", "key1", "key2", "key16/", "nothing" };
    struct kiwi_iterator_options  options = { .row_hint = fuzz_byte(run->input) };
    struct kiwi_iterator         *iterator;
    char        room[2][KEY_BYTES_MAX], key[KEY_BYTES_MAX];
    uint32_t    lower = fuzz_below(run->input, KEY_COUNT);
    uint32_t    upper = fuzz_below(run->input, KEY_COUNT);
    const char *prefix = prefixes[fuzz_below(run->input, 6)];
    bool        has_upper = upper > 0, is_backward = (options.row_hint & 1) != 0;
    enum kiwi_status status;

    options.lower = key_of(lower, room[0]);
    options.upper = key_of(upper, room[1]); /* the empty key: no bound */
    options.prefix = (struct kiwi_slice){ prefix, strlen(prefix) };
    must(kiwi_iterator_open(run->world.context, &options, &iterator));
    status = is_backward ? kiwi_iterator_last(iterator) : kiwi_iterator_first(iterator);
    for (uint32_t n = 0; n < KEY_COUNT; n++) {
        uint32_t          i = is_backward ? KEY_COUNT - 1 - n : n;
        struct kiwi_slice slice = key_of(i, key);

        if (run->map.stamps[i] == 0 || i < lower || (has_upper && i >= upper)
            || slice.size < options.prefix.size
            || (options.prefix.size > 0 && memcmp(slice.data, prefix, options.prefix.size) != 0))
            continue;
        row_expect(iterator, &run->map, i, status);
        status = is_backward ? kiwi_iterator_previous(iterator) : kiwi_iterator_next(iterator);
    }
    row_expect(iterator, &run->map, KEY_COUNT, status);
    kiwi_iterator_close(iterator);
}

static void multiget_run(struct run *run)
{
    struct kiwi_slice  keys[8];
    struct kiwi_buffer values[8] = { 0 };
    enum kiwi_status   statuses[8];
    char               rooms[8][KEY_BYTES_MAX];
    uint32_t           places[8], count = 1 + fuzz_below(run->input, 8);

    for (uint32_t i = 0; i < count; i++) {
        places[i] = fuzz_below(run->input, KEY_COUNT);
        keys[i] = key_of(places[i], rooms[i]);
    }
    must(kiwi_multiget(run->world.context, keys, count, NULL, values, statuses));
    for (uint32_t i = 0; i < count; i++) {
        if (run->map.stamps[places[i]] == 0) {
            fuzz_promise(statuses[i] == KIWI_NOT_FOUND);
        } else {
            must(statuses[i]);
            value_expect(&run->map, places[i], values[i].data, values[i].size);
        }
        kiwi_buffer_free(&values[i]);
    }
}

/* ---- snapshots ---- */

static void snapshot_drop(struct run *run, uint32_t slot)
{
    kiwi_snapshot_close(run->snapshots[slot]);
    run->snapshots[slot] = NULL;
}

static void snapshot_run(struct run *run)
{
    uint32_t slot = fuzz_below(run->input, SNAPSHOT_COUNT);

    if (run->snapshots[slot] == NULL) {
        must(kiwi_snapshot_open(run->world.db, &run->snapshots[slot]));
        run->pictures[slot] = run->map;
        return;
    }
    scan_expect(run, &run->pictures[slot], run->snapshots[slot], (slot & 1) != 0);
    get_expect(run, fuzz_below(run->input, KEY_COUNT), &run->pictures[slot],
               run->snapshots[slot]);
    if ((fuzz_byte(run->input) & 1) != 0)
        snapshot_drop(run, slot);
}

/* ---- ends and beginnings ---- */

enum ending { ENDING_CLOSE, ENDING_KILL, ENDING_POWER_CUT };

static void reopen(struct run *run, enum ending ending)
{
    for (uint32_t i = 0; i < SNAPSHOT_COUNT; i++)
        snapshot_drop(run, i);
    if (ending == ENDING_POWER_CUT) {
        must(kiwi_wait_durable(run->world.context));
        simulation_crash(run->world.simulation);
    }
    if (ending == ENDING_KILL)
        simulation_kill(run->world.simulation);
    if (ending == ENDING_CLOSE)
        must(world_close(&run->world));
    else
        (void)world_close(&run->world); /* of what is gone */
    must(world_open(&run->world));
    scan_expect(run, &run->map, NULL, false);
}

static void operation_run(struct run *run)
{
    uint8_t choice = fuzz_byte(run->input);

    switch (choice < 216 ? choice % 24 : 24 + choice % 2) {
    case 0: case 1: case 2: case 3: case 4: case 5: put_run(run); break;
    case 6: case 7: delete_run(run); break;
    case 8: get_expect(run, fuzz_below(run->input, KEY_COUNT), &run->map, NULL); break;
    case 9: case 10: batch_run(run); break;
    case 11: case 12: must(kiwi_flush(run->world.context)); break;
    case 13: {
        char room[2][KEY_BYTES_MAX];
        struct kiwi_slice first = key_of(fuzz_below(run->input, KEY_COUNT), room[0]);
        struct kiwi_slice last = key_of(fuzz_below(run->input, KEY_COUNT), room[1]);
        enum kiwi_status  status = kiwi_compact(run->world.context, first, last);

        fuzz_promise(status == KIWI_OK || status == KIWI_INVALID); /* the wrong way round */
        break;
    }
    case 14: scan_expect(run, &run->map, NULL, false); break;
    case 15: scan_expect(run, &run->map, NULL, true); break;
    case 16: case 17: wander_run(run); break;
    case 18: case 19: snapshot_run(run); break;
    case 20: must(kiwi_wait_durable(run->world.context)); break;
    case 21: reopen(run, ENDING_CLOSE); break;
    case 22: reopen(run, ENDING_KILL); break;
    case 23: reopen(run, ENDING_POWER_CUT); break;
    case 24: bounded_run(run); break;
    case 25: multiget_run(run); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_input input = { data, data + bytes };
    struct run        run = { .input = &input };

    world_make(&run.world, WORLD_SIMULATED, fuzz_byte(&input));
    run.world.options.memtable_bytes = 16384;
    run.world.options.table_bytes = 16384;
    run.world.options.log_bytes = 256u << 10;
    must(world_open(&run.world));
    for (uint32_t i = 0; i < OPERATION_COUNT_MAX && fuzz_left(&input) > 0; i++)
        operation_run(&run);
    for (uint32_t i = 0; i < SNAPSHOT_COUNT; i++)
        snapshot_drop(&run, i);
    must(world_close(&run.world));
    world_end(&run.world);
    return 0;
}
