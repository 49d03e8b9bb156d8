/*
 * stuck_test.c: one request of the device does not come back.
 *
 * Goal: only what needs that request waits: no other shard, no read behind a write of the log, no
 * write behind a read; and all of it goes on once the request is back. Method: the same run again
 * and again, with another request stuck each time; many puts and gets are out in all shards, and
 * the clock goes on by a third of a second.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/world.h"

enum { SHARDS = 3, KEYS = 120, OUT = 96, ROUNDS = 2, TURNS = 230, VALUE_BYTES = 400 };

static uint64_t seed_under_test;

struct asked {
    struct kiwi_op op;
    uint32_t       shard;
    bool           is_out;
    char           key[16], value[VALUE_BYTES], buffer[VALUE_BYTES];
};

struct scene {
    struct world world;
    struct asked asked[OUT];
    uint32_t     out;
    uint64_t     chance;
    uint32_t     writes[SHARDS], reads[SHARDS]; /* out */
    char         label[96];
};

static struct kiwi_slice key_of(uint32_t key, char room[16])
{
    return (struct kiwi_slice){ room, (size_t)snprintf(room, 16, "key%05u", key) };
}

static void must(const struct scene *scene, enum kiwi_status status, const char *what)
{
    if (status != KIWI_OK)
        fail_msg("%s: %s: %s: %s", scene->label, what, kiwi_status_text(status),
                 kiwi_error_text());
}

static void op_ended(struct scene *scene, struct kiwi_op *op)
{
    struct asked *asked = op->user;

    must(scene, op->status, op->verb == KIWI_PUT ? "put" : "get");
    if (op->verb == KIWI_GET)
        assert_memory_equal(asked->buffer, asked->key, strlen(asked->key));
    asked->is_out = false;
    scene->out--;
    if (op->verb == KIWI_PUT)
        scene->writes[asked->shard]--;
    else
        scene->reads[asked->shard]--;
}

/* Until nothing is out or turns have gone by; they become longer, up to 10 ms. */
static void turns_take(struct scene *scene, uint32_t turns)
{
    for (uint32_t turn = 0; turn < turns && scene->out > 0; turn++) {
        struct kiwi_op *done[16];
        uint64_t        wait_ns = turn < 100 ? 0 : turn < 200 ? 100000 : 10000000;
        size_t          count = kiwi_poll(scene->world.context, done, 16, wait_ns);

        for (size_t i = 0; i < count; i++)
            op_ended(scene, done[i]);
    }
}

static void ask(struct scene *scene, enum kiwi_verb verb, uint32_t key)
{
    struct asked   *asked = scene->asked;
    struct kiwi_op *op;

    while (asked->is_out)
        asked++;
    op = &asked->op;
    *op = (struct kiwi_op){ .verb = (uint8_t)verb, .user = asked, .durability = KIWI_DURABLE,
                            .key = key_of(key, asked->key) };
    memset(asked->value, 'v', VALUE_BYTES);
    memcpy(asked->value, asked->key, op->key.size);
    op->value = (struct kiwi_slice){ asked->value, VALUE_BYTES };
    op->buffer = asked->buffer;
    op->buffer_bytes = VALUE_BYTES;
    asked->shard = kiwi_shard_of(scene->world.db, op->key);
    asked->is_out = true;
    scene->out++;
    if (verb == KIWI_PUT)
        scene->writes[asked->shard]++;
    else
        scene->reads[asked->shard]++;
    must(scene, kiwi_submit(scene->world.context, &op, 1), "submit");
}

/* All keys are in tables, and in the cache only if it is warm. */
static struct scene *scene_begin(uint64_t seed, bool is_warm)
{
    struct scene *scene = calloc(1, sizeof *scene);
    char          room[16];

    world_make(&scene->world, WORLD_SIMULATED, seed);
    scene->world.options.shard_count = SHARDS;
    scene->world.options.memtable_bytes = 32u << 10;
    scene->chance = seed;
    snprintf(scene->label, sizeof scene->label, "seed %llu", (unsigned long long)seed);
    must(scene, world_open(&scene->world), "open");
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t key = 0; key < KEYS; key++) {
            char value[VALUE_BYTES] = { 0 };

            key_of(key, value);
            must(scene, kiwi_put(scene->world.context, key_of(key, room),
                                 (struct kiwi_slice){ value, sizeof value },
                                 KIWI_PROCESS), "put");
        }
        must(scene, kiwi_flush(scene->world.context), "flush");
    }
    must(scene, world_close(&scene->world), "close");
    must(scene, world_open(&scene->world), "open again");
    for (uint32_t key = 0; key < KEYS && is_warm; key++) {
        struct kiwi_buffer value = { 0 };

        must(scene, kiwi_get(scene->world.context, key_of(key, room), NULL, &value), "get");
        kiwi_buffer_free(&value);
    }
    return scene;
}

static void scene_end(struct scene *scene)
{
    world_end(&scene->world);
    free(scene);
}

static void ask_all(struct scene *scene)
{
    while (scene->out < OUT)
        ask(scene, chance_below(&scene->chance, 2) == 0 ? KIWI_PUT : KIWI_GET,
            (uint32_t)chance_below(&scene->chance, KEYS));
}

static void only_one_kind_in_one_shard_waits(const struct scene *scene)
{
    uint32_t shards = 0;

    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        shards += scene->writes[shard] + scene->reads[shard] > 0;
        if (scene->writes[shard] > 0 && scene->reads[shard] > 0)
            fail_msg("%s: %u writes and %u reads of shard %u wait for one request", scene->label,
                     scene->writes[shard], scene->reads[shard], shard);
    }
    if (shards > 1)
        fail_msg("%s: %u shards wait for one request", scene->label, shards);
}

/* Returns what had to wait: 0 nothing, 1 writes, 2 reads. */
static int run_with_stuck(uint64_t seed, uint64_t nth)
{
    struct scene *scene = scene_begin(seed, nth % 2 == 0);
    uint64_t      now = simulation_operations(scene->world.simulation);
    int           waited = 0;

    snprintf(scene->label, sizeof scene->label, "seed %llu, request %llu",
             (unsigned long long)seed, (unsigned long long)nth);
    simulation_stick_at(scene->world.simulation, now + nth);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        ask_all(scene);
        turns_take(scene, TURNS);
        only_one_kind_in_one_shard_waits(scene);
        for (uint32_t shard = 0; shard < SHARDS; shard++)
            waited |= (scene->writes[shard] > 0 ? 1 : 0) | (scene->reads[shard] > 0 ? 2 : 0);
    }
    simulation_stick_at(scene->world.simulation, 0);
    turns_take(scene, TURNS);
    if (scene->out > 0)
        fail_msg("%s: it is back, and %u operations still wait", scene->label, scene->out);
    must(scene, kiwi_flush(scene->world.context), "flush");
    scene_end(scene);
    return waited;
}

static void a_stuck_request_holds_only_what_needs_it(void **state)
{
    uint32_t runs = 0, writes = 0, reads = 0;

    (void)state;
    for (uint64_t nth = 1; nth <= 60; nth += test_is_long() ? 1 : 5, runs++) {
        int waited = run_with_stuck(seed_under_test, nth);

        writes += (waited & 1) != 0;
        reads += (waited & 2) != 0;
    }
    printf("%u requests stuck: %u held writes, %u held reads\n", runs, writes, reads);
    assert_true(writes > 0);
    assert_true(reads > 0);
}

/* Goal: whoever waits for a slow device sleeps meanwhile, also once the time has come at which the
 * log is written at the latest. Method: a durable write on a device that takes a second; the looks
 * at the simulated clock are counted, of which a spinning thread makes two million. */
static void a_write_to_a_slow_device_is_waited_for_asleep(void **state)
{
    struct simulation_options slow = { .seed = seed_under_test, .latency_ns = 1000000000 };
    struct simulation_options usual = { .seed = seed_under_test };
    struct scene             *scene = scene_begin(seed_under_test, false);
    uint64_t                  looks = simulation_events(scene->world.simulation);

    (void)state;
    snprintf(scene->label, sizeof scene->label, "a device that takes a second");
    simulation_set(scene->world.simulation, &slow);
    must(scene, kiwi_put(scene->world.context, (struct kiwi_slice){ "key", 3 },
                         (struct kiwi_slice){ "value", 5 }, KIWI_DURABLE), "put");
    looks = simulation_events(scene->world.simulation) - looks;
    simulation_set(scene->world.simulation, &usual);
    printf("%llu looks at the clock\n", (unsigned long long)looks);
    assert_true(looks < 200000);
    scene_end(scene);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stuck_request_holds_only_what_needs_it),
        cmocka_unit_test(a_write_to_a_slow_device_is_waited_for_asleep),
    };

    seed_under_test = seed_get(argc > 1 ? strtoull(argv[1], NULL, 0) : 11);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
