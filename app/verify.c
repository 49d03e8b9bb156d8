/*
 * verify.c: kiwidb verify: a database is read from end to end, and what is damaged told.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "app/database.h"
#include "app/json.h"
#include "app/text.h"

struct verify {
    const struct arguments *arguments;
    json_t                 *findings;      /* NULL: printed as they come */
    int                     percent_shown; /* -1: none */
    bool                    shows_progress;
};

/* ---- progress ---- */

static void progress_erase(struct verify *verify)
{
    if (verify->percent_shown >= 0)
        fputs("\r\033[K", stderr);
    verify->percent_shown = -1;
}

static bool progress_show(void *context, uint64_t done, uint64_t all)
{
    struct verify *verify = context;
    int            percent = all == 0 ? 0 : (int)(done >= all ? 100 : done * 100 / all);

    if (verify->shows_progress && percent != verify->percent_shown) {
        fprintf(stderr, "\rverify: %3d %% of %" PRIu64 " MiB", percent, all >> 20);
        verify->percent_shown = percent;
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
    struct verify *verify = context;

    if (finding->kind == KIWI_FINDING_NOTE && verify->arguments->is_quiet)
        return;
    if (verify->findings != NULL) {
        json_array_append_new(verify->findings, finding_json(finding));
        return;
    }
    progress_erase(verify);
    finding_print(finding);
}

/* ---- the end ---- */

static void report_json(const char *directory, const struct kiwi_verify_report *report,
                        bool is_whole, json_t *findings)
{
    json_t *document = document_of("kiwi.verify");
    json_t *numbers = json_pack(
        "{s:s, s:b, s:I, s:I, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "directory",
        directory, "is_complete", (int)is_whole, "damages", (json_int_t)report->damage_count,
        "notes", (json_int_t)report->note_count, "shards", (int)report->shard_count, "tables",
        (json_int_t)report->table_count, "table_blocks", (json_int_t)report->table_blocks,
        "table_bytes", (json_int_t)report->table_bytes, "table_entries",
        (json_int_t)report->table_entries, "log_groups", (json_int_t)report->log_groups,
        "log_records", (json_int_t)report->log_records, "tail_records",
        (json_int_t)report->tail_records, "free_files", (json_int_t)report->free_file_count,
        "read_bytes", (json_int_t)report->read_bytes);

    json_object_update(document, numbers);
    json_decref(numbers);
    json_object_set(document, "findings", findings);
    document_print(document);
}

static void report_print(const char *directory, const struct kiwi_verify_report *report,
                         bool is_whole)
{
    printf("%s: %s%" PRIu64 " damaged, %" PRIu64 " notes\n"
           "%u shards, %" PRIu64 " tables of %" PRIu64 " bytes with %" PRIu64 " entries in %" PRIu64
           " blocks\n%" PRIu64 " log records in %" PRIu64 " groups, %" PRIu64
           " in the tails, %" PRIu64 " free table files\n",
           directory, is_whole ? "" : "stopped before the end, ", report->damage_count,
           report->note_count, report->shard_count, report->table_count, report->table_bytes,
           report->table_entries, report->table_blocks, report->log_records, report->log_groups,
           report->tail_records, report->free_file_count);
}

int command_verify(const struct command *command, const struct arguments *arguments)
{
    const char *directory = arguments->positional_count > 0 ? arguments->positional[0]
                                                            : database_directory(arguments);
    struct verify verify = { .arguments = arguments, .percent_shown = -1,
                             .findings = arguments->is_json ? json_array() : NULL,
                             .shows_progress = !arguments->is_quiet && isatty(STDERR_FILENO) == 1 };
    struct kiwi_verify_options options = { .found = finding_see, .progress = progress_show,
                                           .context = &verify };
    struct kiwi_verify_report  report;
    enum kiwi_status           status;
    bool                       is_whole;
    int                        code = io_backend_of(command, arguments, &options.io_backend);

    if (arguments->positional_count > 0 && arguments->directory != NULL && code == EXIT_DONE)
        code = usage_fail(command, "DIR and --dir name the database twice");
    if (code == EXIT_DONE) {
        signals_set();
        status = kiwi_verify(directory, &options, &report);
        progress_erase(&verify);
        is_whole = status == KIWI_OK || status == KIWI_CORRUPT;
        if (is_whole || status == KIWI_CLOSED) {
            if (verify.findings != NULL)
                report_json(directory, &report, is_whole, verify.findings);
            else
                report_print(directory, &report, is_whole);
        }
        code = status == KIWI_CLOSED ? 128 + signal_seen()
             : is_whole              ? exit_of_status(status)
                                     : status_fail(command, directory, status);
        if (status == KIWI_NOT_FOUND) /* no database is no "no" */
            code = EXIT_ENVIRONMENT;
    }
    json_decref(verify.findings);
    return code;
}
