/*
 * scene.c: what tests of the real host share.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tests/faults/scene.h"
#include "tests/support/check.h"

void scene_begin(struct scene *scene, enum world_way way, uint64_t seed)
{
    memset(scene, 0, sizeof *scene);
    world_make(&scene->world, way, seed);
    scene->world.options.memtable_bytes = 32u << 10;
    scene->world.options.log_bytes = 512u << 10;
    scene->chance = seed;
    ledger_begin(&scene->ledger);
    snprintf(scene->label, sizeof scene->label, "%s", world_way_name(way));
}

void scene_steps(struct scene *scene, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        ledger_step(&scene->ledger, scene->world.context, &scene->chance, scene->label);
}

void scene_goes_on(struct scene *scene, uint32_t count)
{
    uint32_t refused;

    check_ok_of(scene->label, kiwi_flush(scene->world.context));
    refused = scene->ledger.refused;
    scene_steps(scene, count);
    if (scene->ledger.refused != refused)
        fail_msg("%s: nothing is short any more, but a write was refused: %s", scene->label,
                 scene->ledger.refusal);
    ledger_check(&scene->ledger, scene->world.context, scene->label);
}

void scene_reopen(struct scene *scene)
{
    check_ok_of(scene->label, world_close(&scene->world));
    check_ok_of(scene->label, world_open(&scene->world));
    ledger_check(&scene->ledger, scene->world.context, scene->label);
}
