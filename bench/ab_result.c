/*
 * ab_result.c: what is left of `kiwidb bench ab`: samples.ndjson, verdict.json and the page.
 */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/ab.h"
#include "bench/folder.h"
#include "bench/report.h"
#include "bench/result.h"

#define AB_SCHEMA         "kiwi.bench.ab"
#define AB_VERSION        1
#define FOLDER_NUMBER_MAX 10000

const char *ab_arm_name(enum ab_arm arm)
{
    static const char *const names[] = { "base", "canary", "candidate" };

    assert((unsigned)arm < AB_ARM_COUNT);
    return names[arm];
}

double ab_percent(double log_ratio)
{
    return 100 * expm1(log_ratio);
}

static enum kiwi_status write_failed(const char *path)
{
    return FAIL(errno == ENOSPC ? KIWI_FULL : KIWI_IO, "cannot write %s: %s", path,
                strerror(errno));
}

/* Of the program of an arm, when it said from which it was built. */
static const char *commit_of(const struct ab *ab, enum ab_arm arm)
{
    const char *commit = result_text(ab->builds[arm], "commit");

    return commit[0] != 0 && commit[strspn(commit, "0123456789abcdef")] == 0 ? commit : "unknown";
}

enum kiwi_status ab_folder_open(struct ab *ab)
{
    char time[24], path[PATH_MAX + 24];

    utc_write(time, sizeof time, true);
    utc_write(ab->start, sizeof ab->start, false);
    TRY(folder_make(ab->results));
    for (int n = 1; n < FOLDER_NUMBER_MAX; n++) {
        int length = snprintf(ab->id, sizeof ab->id, "%s-%.8s-%.8s-%.8s", time,
                              commit_of(ab, AB_BASE), commit_of(ab, AB_CANDIDATE),
                              ab->machine.fingerprint);

        if (n > 1)
            snprintf(ab->id + length, sizeof ab->id - (size_t)length, "-%d", n);
        if (snprintf(ab->folder, sizeof ab->folder, "%s/%s", ab->results, ab->id)
            >= (int)sizeof ab->folder)
            return FAIL(KIWI_INVALID, "path of results is too long");
        if (mkdir(ab->folder, 0777) == 0)
            break;
        if (errno != EEXIST || n + 1 == FOLDER_NUMBER_MAX)
            return FAIL(errno == ENOSPC ? KIWI_FULL : KIWI_IO, "cannot make %s: %s", ab->folder,
                        strerror(errno));
    }
    snprintf(path, sizeof path, "%s/samples.ndjson", ab->folder);
    ab->sample_file = fopen(path, "we");
    return ab->sample_file != NULL ? KIWI_OK : write_failed(path);
}

static json_t *sample_json(const struct ab_sample *sample)
{
    return json_pack("{s:i, s:i, s:i, s:s, s:f, s:f, s:f, s:f, s:f, s:I, s:f, s:f, s:f, s:I, s:f}",
                     "session", (int)sample->session, "triple", (int)sample->triple, "order",
                     (int)sample->order, "arm", ab_arm_name(sample->arm), "start_seconds",
                     sample->start_seconds, "process_seconds", sample->process_seconds,
                     "wall_seconds", sample->wall_seconds, "cpu_user_seconds",
                     sample->user_seconds, "cpu_system_seconds", sample->system_seconds,
                     "operations", (json_int_t)sample->operations, "ns_per_operation",
                     sample->ns_per_operation, "stolen_seconds", sample->stolen_seconds,
                     "foreign_cores", sample->foreign_cores, "involuntary_switches",
                     (json_int_t)sample->involuntary_switches, "load_average_before",
                     sample->load_average);
}

enum kiwi_status ab_sample_add(struct ab *ab, const struct ab_sample *sample)
{
    json_t *line = sample_json(sample);
    bool    is_written;

    assert(ab->sample_count < AB_SAMPLE_COUNT_MAX);
    ab->samples[ab->sample_count++] = *sample;
    if (line == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a sample's line");
    is_written = json_dumpf(line, ab->sample_file, JSON_COMPACT | JSON_REAL_PRECISION(15)) == 0
              && fputc('\n', ab->sample_file) != EOF && fflush(ab->sample_file) == 0;
    json_decref(line);
    return is_written ? KIWI_OK : write_failed("samples.ndjson");
}

const struct ab_look *ab_last_look(const struct ab *ab)
{
    for (uint32_t i = ab->session_count; i-- > 0;)
        if (ab->sessions[i].look_count > 0)
            return &ab->sessions[i].looks[ab->sessions[i].look_count - 1];
    return NULL;
}

/* "+0.52 % CPU time per operation (95 % interval -0.10 to +1.13)" */
static void change_text(const struct ab *ab, const struct ab_look *look, char *text, size_t bytes)
{
    const struct shift *shift = &look->judgement.candidate;

    snprintf(text, bytes, "%+.2f %% %s time per operation (95 %% interval %+.2f to %+.2f)",
             ab_percent(shift->middle), ab->is_wall ? "wall" : "CPU", ab_percent(shift->low),
             ab_percent(shift->high));
}

static uint32_t pair_count(const struct ab *ab)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < ab->session_count; i++)
        count += ab->sessions[i].pair_count;
    return count;
}

const char *ab_sentence(const struct ab *ab, char *text, size_t bytes)
{
    const struct ab_look *look = ab_last_look(ab);
    const double          gate = 100 * ab->gate;
    char                  change[160] = "";

    if (look != NULL)
        change_text(ab, look, change, sizeof change);
    if (strcmp(ab->verdict, "interrupted") == 0)
        snprintf(text, bytes, "Interrupted after %u pairs, before there was a verdict.",
                 pair_count(ab));
    else if (strcmp(ab->verdict, "failed") == 0 || look == NULL)
        snprintf(text, bytes, "Failed after %u pairs: %s", pair_count(ab), ab->stopped_by);
    else if (strcmp(ab->verdict, "slower") == 0)
        snprintf(text, bytes, "The candidate is slower, in two sessions: %s, gate %.3g %%.",
                 change, gate);
    else if (ab->session_count > 1)
        snprintf(text, bytes, "Slower in the first session only; the second says %s: %s, gate "
                              "%.3g %%.",
                 ab_verdict_name(look->judgement.verdict), change, gate);
    else if (strcmp(ab->verdict, "pass") == 0)
        snprintf(text, bytes, "The candidate is %s: %s, gate %.3g %%.",
                 look->judgement.candidate.high < 0 ? "faster" : "not slower", change, gate);
    else if (strcmp(ab->verdict, "unstable") == 0)
        snprintf(text, bytes, "The machine was too unsteady to tell: the canary, a copy of the "
                              "base, moved by %+.2f %%, more than half the gate of %.3g %%.",
                 ab_percent(look->judgement.canary.middle), gate);
    else
        snprintf(text, bytes, "Undecided after %u pairs: %s spans the gate of %.3g %%.",
                 look->pairs, change, gate);
    return text;
}

/* Not all bytes of a command line are UTF-8. */
static json_t *text_json(const char *text)
{
    json_t *value = json_string(text);

    return value != NULL ? value : json_string("?");
}

static json_t *program_json(const struct ab *ab, enum ab_arm arm)
{
    static const char *const told[] = { "compiler", "flags", "version", "type", "sanitizer" };
    const json_t            *build = ab->builds[arm];
    json_t                  *object = json_object();

    json_object_set_new(object, "program", text_json(ab->programs[arm]));
    json_object_set_new(object, "commit", json_string(commit_of(ab, arm)));
    json_object_set_new(object, "is_dirty",
                        json_boolean(json_is_true(json_object_get(build, "is_dirty"))));
    for (size_t i = 0; i < ARRAY_COUNT(told); i++)
        json_object_set_new(object, told[i], json_string(result_text(build, told[i])));
    return object;
}

static json_t *session_json(const struct ab_session *session)
{
    json_t *looks = json_array();

    for (uint32_t i = 0; i < session->look_count; i++) {
        const struct ab_judgement *judgement = &session->looks[i].judgement;

        json_array_append_new(
            looks, json_pack("{s:i, s:f, s:f, s:f, s:f, s:f, s:s}", "pairs",
                             (int)session->looks[i].pairs, "change_percent",
                             ab_percent(judgement->candidate.middle), "low_percent",
                             ab_percent(judgement->candidate.low), "high_percent",
                             ab_percent(judgement->candidate.high), "p",
                             judgement->candidate.p_greater, "canary_percent",
                             ab_percent(judgement->canary.middle), "decision",
                             ab_verdict_name(judgement->verdict)));
    }
    return json_pack("{s:i, s:o}", "pairs", (int)session->pair_count, "looks", looks);
}

double ab_mean_work_seconds(const struct ab *ab)
{
    double sum = 0;

    for (uint32_t i = 0; i < ab->sample_count; i++)
        sum += ab->samples[i].ns_per_operation * ab->samples[i].operations / 1e9;
    return ab->sample_count > 0 ? sum / ab->sample_count : 0;
}

json_t *ab_json(const struct ab *ab)
{
    const struct ab_look *look = ab_last_look(ab);
    json_t               *arguments = json_array(), *sessions = json_array(), *document;
    char                  end[32], sentence[900];

    utc_write(end, sizeof end, false);
    for (int i = 0; i < ab->argument_count; i++)
        json_array_append_new(arguments, text_json(ab->arguments[i]));
    for (uint32_t i = 0; i < ab->session_count; i++)
        json_array_append_new(sessions, session_json(&ab->sessions[i]));
    document = json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:s, "
                         "s:f, s:f, s:i, s:o}",
                         "schema", AB_SCHEMA, "version", AB_VERSION, "id", ab->id, "start",
                         ab->start, "end", end, "verdict", ab->verdict, "exit_code",
                         ab->exit_code, "sentence",
                         text_json(ab_sentence(ab, sentence, sizeof sentence)), "command",
                         text_json(ab->command), "base", program_json(ab, AB_BASE), "candidate",
                         program_json(ab, AB_CANDIDATE), "machine", machine_json(&ab->machine),
                         "arguments", arguments, "metric", ab->is_wall ? "wall" : "cpu",
                         "gate_percent", 100 * ab->gate, "mean_work_seconds",
                         ab_mean_work_seconds(ab), "samples", (int)ab->sample_count, "sessions",
                         sessions);
    if (look != NULL)
        json_object_set_new(document, "smallest_detectable_percent",
                            json_real(ab_percent(look->judgement.smallest)));
    if (ab->stopped_by[0] != 0)
        json_object_set_new(document, "stopped_by", text_json(ab->stopped_by));
    return document;
}

static enum kiwi_status document_write(const struct ab *ab, const json_t *document)
{
    char path[PATH_MAX + 24];

    snprintf(path, sizeof path, "%s/verdict.json", ab->folder);
    if (json_dump_file(document, path, JSON_INDENT(1) | JSON_REAL_PRECISION(12)) != 0)
        return write_failed(path);
    snprintf(path, sizeof path, "%s/report.html", ab->folder);
    TRY(ab_html_write(path, ab, document));
    return machine_keep(json_object_get(document, "machine"), ab->results);
}

enum kiwi_status ab_files_write(const struct ab *ab)
{
    json_t          *document = ab_json(ab);
    enum kiwi_status status;

    if (document == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for the verdict");
    status = document_write(ab, document);
    json_decref(document);
    return status;
}

void ab_close(struct ab *ab)
{
    for (size_t i = 0; i < AB_ARM_COUNT; i++)
        json_decref(ab->builds[i]);
    if (ab->sample_file != NULL)
        fclose(ab->sample_file); /* every line was flushed */
}
