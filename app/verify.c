/*
 * verify.c: kiwidb verify and repair: a database is read from end to end, what is damaged is told,
 * and what can be read copied into a new one.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "app/database.h"
#include "app/json.h"
#include "app/text.h"

struct look {
    const char             *verb;
    const struct arguments *arguments;
    json_t                 *findings;      /* NULL: printed as they come */
    int                     percent_shown; /* -1: none */
    bool                    shows_progress;
};

/* ---- progress ---- */

static void progress_erase(struct look *look)
{
    if (look->percent_shown >= 0)
        fputs("\r\033[K", stderr);
    look->percent_shown = -1;
}

static bool progress_show(void *context, uint64_t done, uint64_t all)
{
    struct look *look = context;
    int            percent = all == 0 ? 0 : (int)(done >= all ? 100 : done * 100 / all);

    if (look->shows_progress && percent != look->percent_shown) {
        fprintf(stderr, "\r%s: %3d %% of %" PRIu64 " MiB", look->verb, percent, all >> 20);
        look->percent_shown = percent;
    }
    return signal_seen() == 0;
}

/* ---- findings ---- */

static void finding_print(const struct kiwi_finding *finding)
{
    fputs(finding->kind == KIWI_FINDING_DAMAGE ? "damage  " : "note    ", stdout);
    if (finding->file != NULL && strstr(finding->text, finding->file) == NULL)
        printf("%s: ", finding->file);
    puts(finding->text);
    if (!finding->has_keys)
        return;
    fputs("        keys from '", stdout);
    text_write(stdout, FORM_ESCAPED, finding->from, finding->from_bytes);
    if (finding->is_open_ended) {
        puts("' to the end of this table");
        return;
    }
    fputs("' to before '", stdout);
    text_write(stdout, FORM_ESCAPED, finding->below, finding->below_bytes);
    puts("'");
}

static json_t *finding_json(const struct kiwi_finding *finding)
{
    json_t *object = json_pack(
        "{s:s, s:s?, s:I, s:I, s:s}", "kind",
        finding->kind == KIWI_FINDING_DAMAGE ? "damage" : "note", "file", finding->file, "offset",
        (json_int_t)finding->offset, "bytes", (json_int_t)finding->bytes, "text", finding->text);

    if (finding->shard != KIWI_NO_SHARD)
        json_object_set_new(object, "shard", json_integer(finding->shard));
    if (!finding->has_keys)
        return object;
    json_put_bytes(object, "keys_from", finding->from, finding->from_bytes);
    if (!finding->is_open_ended)
        json_put_bytes(object, "keys_below", finding->below, finding->below_bytes);
    return object;
}

static void finding_see(void *context, const struct kiwi_finding *finding)
{
    struct look *look = context;

    if (finding->kind == KIWI_FINDING_NOTE && look->arguments->is_quiet)
        return;
    if (look->findings != NULL) {
        json_array_append_new(look->findings, finding_json(finding));
        return;
    }
    progress_erase(look);
    finding_print(finding);
}

/* ---- the ends ---- */

static void survey_json(json_t *document, const struct kiwi_verify_report *report)
{
    json_t *numbers = json_pack(
        "{s:I, s:I, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "damages",
        (json_int_t)report->damage_count, "notes", (json_int_t)report->note_count, "shards",
        (int)report->shard_count, "unread_shards", (int)report->unread_shards, "tables",
        (json_int_t)report->table_count, "table_blocks", (json_int_t)report->table_blocks,
        "table_bytes", (json_int_t)report->table_bytes, "table_entries",
        (json_int_t)report->table_entries, "lost_entries", (json_int_t)report->lost_entries,
        "log_groups", (json_int_t)report->log_groups, "log_records",
        (json_int_t)report->log_records, "tail_records", (json_int_t)report->tail_records,
        "free_files", (json_int_t)report->free_file_count, "read_bytes",
        (json_int_t)report->read_bytes);

    json_object_update(document, numbers);
    json_decref(numbers);
}

static void survey_print(const char *directory, const struct kiwi_verify_report *report,
                         bool is_complete)
{
    printf("%s: %s%" PRIu64 " damaged, %" PRIu64 " notes\n"
           "%u shards, %" PRIu64 " tables of %" PRIu64 " bytes with %" PRIu64 " entries in %" PRIu64
           " blocks\n%" PRIu64 " log records in %" PRIu64 " groups, %" PRIu64
           " in the tails, %" PRIu64 " free table files\n",
           directory, is_complete ? "" : "stopped before the end, ", report->damage_count,
           report->note_count, report->shard_count, report->table_count, report->table_bytes,
           report->table_entries, report->table_blocks, report->log_records, report->log_groups,
           report->tail_records, report->free_file_count);
    if (report->unread_shards > 0)
        printf("%u shards could not be read at all\n", report->unread_shards);
}

/* The database that is looked at; NULL after a message. */
static const char *directory_of(const struct command *command, const struct arguments *arguments)
{
    if (arguments->positional_count == 0)
        return database_directory(arguments);
    if (arguments->directory == NULL)
        return arguments->positional[0];
    usage_fail(command, "DIR and --dir name the database twice");
    return NULL;
}

static struct look look_of(const struct command *command, const struct arguments *arguments)
{
    return (struct look){ .verb = command->name,
                          .arguments = arguments,
                          .percent_shown = -1,
                          .findings = arguments->is_json ? json_array() : NULL,
                          .shows_progress = !arguments->is_quiet && isatty(STDERR_FILENO) == 1 };
}

/* Read to the end, whatever was found. */
static bool is_complete(enum kiwi_status status)
{
    return status == KIWI_OK || status == KIWI_CORRUPT;
}

static int code_of(const struct command *command, const char *directory, enum kiwi_status status)
{
    int code;

    if (status == KIWI_CLOSED)
        return 128 + signal_seen();
    if (is_complete(status))
        return exit_of_status(status);
    code = status_fail(command, directory, status);
    return status == KIWI_NOT_FOUND ? EXIT_ENVIRONMENT : code; /* no database is no "no" */
}

/* ---- verify ---- */

static void verify_report(const char *directory, const struct kiwi_verify_report *report,
                          enum kiwi_status status, json_t *findings)
{
    json_t *document;

    if (findings == NULL) {
        survey_print(directory, report, is_complete(status));
        return;
    }
    document = document_of("kiwi.verify");
    json_object_set_new(document, "directory", json_string(directory));
    json_object_set_new(document, "is_complete", json_boolean(is_complete(status)));
    survey_json(document, report);
    json_object_set(document, "findings", findings);
    document_print(document);
}

int command_verify(const struct command *command, const struct arguments *arguments)
{
    const char                *directory = directory_of(command, arguments);
    struct look                look;
    struct kiwi_verify_options options = { .found = finding_see, .progress = progress_show,
                                           .context = &look };
    struct kiwi_verify_report  report;
    enum kiwi_status           status;
    int                        code = io_backend_of(command, arguments, &options.io_backend);

    if (directory == NULL || code != EXIT_DONE)
        return EXIT_USAGE;
    look = look_of(command, arguments);
    signals_set();
    status = kiwi_verify(directory, &options, &report);
    progress_erase(&look);
    if (is_complete(status) || status == KIWI_CLOSED)
        verify_report(directory, &report, status, look.findings);
    code = code_of(command, directory, status);
    json_decref(look.findings);
    return code;
}

/* ---- repair ---- */

static void repair_print(const char *directory, const char *into, bool is_dry_run,
                         const struct kiwi_repair_report *report)
{
    survey_print(directory, &report->source, true);
    if (is_dry_run)
        printf("%s: would be given %" PRIu64 " entries", into, report->written_entries);
    else
        printf("%s: %" PRIu64 " keys kept, of %" PRIu64 " entries", into, report->kept_keys,
               report->written_entries);
    printf(", %" PRIu64 " of them unsure: a newer version may be lost\n", report->unsure_entries);
    if (report->cut_logs > 0)
        printf("%u logs end in damage: what was written behind it is lost\n", report->cut_logs);
    if (report->dropped_batches > 0)
        printf("%" PRIu64 " parts of batches that were never whole were left out\n",
               report->dropped_batches);
    if (report->source.lost_entries > 0)
        printf("%" PRIu64 " entries are lost with whole tables\n", report->source.lost_entries);
}

static void repair_report(const char *directory, const struct arguments *arguments,
                          const struct kiwi_repair_report *report, json_t *findings)
{
    json_t *document, *numbers;

    if (findings == NULL) {
        repair_print(directory, arguments->into, arguments->is_dry_run, report);
        return;
    }
    document = document_of("kiwi.repair");
    numbers = json_pack("{s:s, s:s, s:b, s:I, s:I, s:I, s:I, s:i}", "directory", directory, "into",
                        arguments->into, "is_dry_run", (int)arguments->is_dry_run, "kept_keys",
                        (json_int_t)report->kept_keys, "written_entries",
                        (json_int_t)report->written_entries, "unsure_entries",
                        (json_int_t)report->unsure_entries, "dropped_batches",
                        (json_int_t)report->dropped_batches, "cut_logs", (int)report->cut_logs);
    json_object_update(document, numbers);
    json_decref(numbers);
    survey_json(document, &report->source);
    json_object_set(document, "findings", findings);
    document_print(document);
}

int command_repair(const struct command *command, const struct arguments *arguments)
{
    const char                *directory = directory_of(command, arguments);
    struct look                look;
    struct kiwi_repair_options options = { .is_dry_run = arguments->is_dry_run,
                                           .found = finding_see, .progress = progress_show,
                                           .context = &look };
    struct kiwi_repair_report  report;
    enum kiwi_status           status;
    int                        code = io_backend_of(command, arguments, &options.io_backend);

    if (directory == NULL || code != EXIT_DONE)
        return EXIT_USAGE;
    if (arguments->into == NULL)
        return usage_fail(command, "--into NEW is missing: the source is never changed");
    if (arguments->memory != NULL && !text_size(arguments->memory, &options.memory_bytes))
        return usage_fail(command, "'%.40s' is no size; write 64MiB or 1GB", arguments->memory);
    look = look_of(command, arguments);
    signals_set();
    status = kiwi_repair(directory, arguments->into, &options, &report);
    progress_erase(&look);
    if (is_complete(status))
        repair_report(directory, arguments, &report, look.findings);
    code = code_of(command, directory, status);
    json_decref(look.findings);
    return code;
}
