/*
 * stat.c: what a database holds and how its parts do.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "app/database.h"

static const char *const tier_names[KIWI_TIER_COUNT] = { "record", "block", "index", "filter" };

static void levels_print(const struct kiwi_stats *stats)
{
    printf("%-6s %7s %7s %14s %12s %12s\n", "level", "files", "runs", "bytes", "entries",
           "tombstones");
    for (uint32_t i = 0; i < KIWI_LEVEL_COUNT_MAX; i++) {
        const struct kiwi_level_stats *level = &stats->levels[i];

        if (i >= stats->level_count && level->files == 0)
            continue;
        printf("L%-5u %7" PRIu64 " %7" PRIu64 " %14" PRIu64 " %12" PRIu64 " %12" PRIu64 "\n", i,
               level->files, level->runs, level->bytes, level->entries, level->tombstones);
    }
}

static void stats_print(const struct kiwi_db *db, const struct kiwi_stats *stats)
{
    const struct kiwi_options *options = kiwi_db_options(db);

    printf("shards %u, memory %" PRIu64 " of %" PRIu64 " bytes, %s (%s)%s\n", stats->shard_count,
           stats->memory_bytes, stats->memory_limit_bytes, stats->io_backend, stats->io_features,
           stats->is_read_only != 0 ? ", WRITES STOPPED" : "");
    printf("memtables %u with %" PRIu64 " bytes, frozen %" PRIu64 " bytes, each up to %" PRIu64
           " bytes\n",
           stats->memtable_count, stats->memtable_bytes, stats->frozen_bytes,
           options->memtable_bytes);
    printf("tables %" PRIu64 " bytes, live about %" PRIu64 " bytes, recycled files %" PRIu64
           " bytes, debt %" PRIu64 " bytes\n\n",
           stats->table_file_bytes, stats->live_bytes, stats->pool_file_bytes, stats->debt_bytes);
    levels_print(stats);
    printf("\n%-7s %12s %12s %14s %14s\n", "cache", "hits", "misses", "bytes", "budget");
    for (uint32_t i = 0; i < KIWI_TIER_COUNT; i++)
        printf("%-7s %12" PRIu64 " %12" PRIu64 " %14" PRIu64 " %14" PRIu64 "\n", tier_names[i],
               stats->tiers[i].hits, stats->tiers[i].misses, stats->tiers[i].bytes,
               stats->tiers[i].budget_bytes);
}

static json_t *levels_json(const struct kiwi_stats *stats)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < KIWI_LEVEL_COUNT_MAX; i++) {
        const struct kiwi_level_stats *level = &stats->levels[i];

        json_array_append_new(array,
                              json_pack("{s:i, s:I, s:I, s:I, s:I, s:I}", "level", (int)i, "files",
                                        (json_int_t)level->files, "runs", (json_int_t)level->runs,
                                        "bytes", (json_int_t)level->bytes, "entries",
                                        (json_int_t)level->entries, "tombstones",
                                        (json_int_t)level->tombstones));
    }
    return array;
}

static json_t *tiers_json(const struct kiwi_stats *stats)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < KIWI_TIER_COUNT; i++)
        json_array_append_new(
            array, json_pack("{s:s, s:I, s:I, s:I, s:I}", "tier", tier_names[i], "hits",
                             (json_int_t)stats->tiers[i].hits, "misses",
                             (json_int_t)stats->tiers[i].misses, "bytes",
                             (json_int_t)stats->tiers[i].bytes, "budget_bytes",
                             (json_int_t)stats->tiers[i].budget_bytes));
    return array;
}

static void stats_print_json(const struct kiwi_stats *stats)
{
    json_t *document = json_pack(
        "{s:s, s:i, s:i, s:b, s:s, s:s, s:I, s:I, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
        "schema", "kiwi.stat", "version", 1, "shards", (int)stats->shard_count, "is_read_only",
        (int)stats->is_read_only, "io_backend", stats->io_backend, "io_features",
        stats->io_features, "memory_bytes", (json_int_t)stats->memory_bytes, "memory_limit_bytes",
        (json_int_t)stats->memory_limit_bytes, "memtables", (int)stats->memtable_count,
        "memtable_bytes", (json_int_t)stats->memtable_bytes, "frozen_bytes",
        (json_int_t)stats->frozen_bytes, "table_file_bytes", (json_int_t)stats->table_file_bytes,
        "pool_file_bytes", (json_int_t)stats->pool_file_bytes, "live_bytes",
        (json_int_t)stats->live_bytes, "debt_bytes", (json_int_t)stats->debt_bytes, "snapshots",
        (json_int_t)stats->snapshots);

    json_object_set_new(document, "levels", levels_json(stats));
    json_object_set_new(document, "cache", tiers_json(stats));
    json_dumpf(document, stdout, JSON_INDENT(1));
    fputc('\n', stdout);
    json_decref(document);
}

int command_stat(const struct command *command, const struct arguments *arguments)
{
    struct session     session;
    struct kiwi_stats *stats = calloc(1, sizeof *stats);
    int                code;

    if (stats == NULL) {
        fprintf(stderr, "kiwidb stat: out of memory\n");
        return EXIT_ENVIRONMENT;
    }
    code = session_open(command, arguments, &session);
    if (code == EXIT_DONE) {
        enum kiwi_status status = kiwi_stats_read(session.db, stats);

        if (status != KIWI_OK)
            code = status_fail(command, "statistics", status);
        else if (arguments->is_json)
            stats_print_json(stats);
        else
            stats_print(session.db, stats);
        code = session_close(command, &session, code);
    }
    free(stats);
    return code;
}
