/*
 * report_tables.c: tables of a report: phases, difference, correctness, machine.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/report_html.h"

static void cell(FILE *file, double value, enum chart_unit unit)
{
    char text[32];

    fprintf(file, "<td>%s</td>", chart_number(value, unit, text, sizeof text));
}

/* The whole phase's histogram is not summed over operations: the busiest stands for it. */
static const json_t *busiest(const json_t *phase)
{
    const json_t *best = NULL;
    size_t        index;
    json_t       *item;

    json_array_foreach(json_object_get(phase, "latency"), index, item)
        if (best == NULL
            || result_number(item, "service.count") > result_number(best, "service.count"))
            best = item;
    return best;
}

static void phases_write(FILE *file, const struct story *story)
{
    size_t  index;
    json_t *phase;

    fputs("<h2>Phases</h2><div class=\"scroll\"><table><tr><th>phase</th><th>operations</th>"
          "<th>per second</th><th>busiest</th><th>p50</th><th>p99</th><th>p99.9</th><th>max</th>"
          "<th>write amp.</th><th>space amp.</th><th>cores</th><th>peak memory</th></tr>\n",
          file);
    json_array_foreach(story->result->phases, index, phase)
    {
        const json_t *most = busiest(phase);

        fputs("<tr><td>", file);
        html_text(file, result_text(phase, "name"));
        fputs(json_is_true(json_object_get(phase, "is_partial")) ? " (partial)</td>" : "</td>",
              file);
        cell(file, result_number(phase, "operations"), CHART_NUMBER);
        cell(file, result_number(phase, "throughput_per_second"), CHART_PER_SECOND);
        fprintf(file, "<td>%s</td>", result_text(most, "operation"));
        cell(file, result_number(most, "service.p50_ns"), CHART_DURATION);
        cell(file, result_number(most, "service.p99_ns"), CHART_DURATION);
        cell(file, result_number(most, "service.p99_9_ns"), CHART_DURATION);
        cell(file, result_number(most, "service.max_ns"), CHART_DURATION);
        cell(file, result_number(phase, "write_amplification_with_drain"), CHART_RATIO);
        cell(file, result_number(phase, "space_amplification"), CHART_RATIO);
        cell(file, result_number(phase, "usage.cores"), CHART_CORES);
        cell(file, result_number(phase, "usage.peak_memory_bytes"), CHART_BYTES);
        fputs("</tr>\n", file);
    }
    fputs("</table></div>\n", file);
}

/* One run each says nothing about spread: a difference below 5 % is called noise. */
static void difference_cell(FILE *file, double before, double now, bool is_more_better)
{
    double change = before > 0 ? 100 * (now / before - 1) : 0;
    bool   is_better = is_more_better ? change > 0 : change < 0;

    if (fabs(change) < 5)
        fprintf(file, "<td>%+.1f %%, within noise</td>", change);
    else
        fprintf(file, "<td class=\"%s\">%+.1f %%, %s</td>", is_better ? "better" : "worse", change,
                is_better ? "better" : "worse");
}

static void difference_write(FILE *file, const struct story *story, const struct story *other)
{
    size_t  index;
    json_t *phase;

    fputs("<h2>Against the other run</h2><div class=\"scroll\"><table><tr><th>phase</th>"
          "<th>per second, other</th><th>per second</th><th></th><th>p99, other</th><th>p99</th>"
          "<th></th></tr>\n",
          file);
    json_array_foreach(story->result->phases, index, phase)
    {
        const json_t *before = result_phase(other->result, result_text(phase, "name"));
        double        rates[2], tails[2];

        if (before == NULL)
            continue;
        rates[0] = result_number(before, "throughput_per_second");
        rates[1] = result_number(phase, "throughput_per_second");
        tails[0] = result_number(busiest(before), "service.p99_ns");
        tails[1] = result_number(busiest(phase), "service.p99_ns");
        fputs("<tr><td>", file);
        html_text(file, result_text(phase, "name"));
        fputs("</td>", file);
        cell(file, rates[0], CHART_PER_SECOND);
        cell(file, rates[1], CHART_PER_SECOND);
        difference_cell(file, rates[0], rates[1], true);
        cell(file, tails[0], CHART_DURATION);
        cell(file, tails[1], CHART_DURATION);
        difference_cell(file, tails[0], tails[1], false);
        fputs("</tr>\n", file);
    }
    fputs("</table></div><p>One run each: below 5 % is called noise. "
          "<b>kiwidb bench ab</b> compares two programs with repetitions.</p>\n",
          file);
}

static void correctness_write(FILE *file, const struct story *story)
{
    static const char *const names[][2] = {
        { "values_read", "values read and checked" }, { "values_wrong", "of them wrong" },
        { "values_missing", "of them missing" },
        { "sampled_records", "acknowledged writes read again at the end" },
        { "sampled_wrong", "of them wrong" }, { "sampled_missing", "of them missing" },
    };
    const json_t *part = json_object_get(story->result->document, "correctness");

    fputs("<h2>Correctness</h2><div class=\"scroll\"><table>", file);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        double value = result_number(part, names[i][0]);

        fprintf(file, "<tr><td>%s</td><td%s>%.0f</td></tr>\n", names[i][1],
                i % 3 != 0 && value > 0 ? " class=\"worse\"" : "", value);
    }
    fputs("</table></div>\n", file);
}

static void object_rows(FILE *file, const char *part, const json_t *object, const json_t *other)
{
    const char *name;
    json_t     *value;

    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        const json_t *theirs = json_object_get(other, name);
        char         *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));

        fprintf(file, "<tr><td>%s %s</td><td class=\"wrap%s\">", part, name,
                theirs != NULL && !json_equal(theirs, value) ? " worse" : "");
        html_text(file, json_is_string(value) ? json_string_value(value)
                        : text != NULL        ? text
                                              : "");
        if (theirs != NULL && !json_equal(theirs, value) && json_is_string(theirs)) {
            fputs(" (other: ", file);
            html_text(file, json_string_value(theirs));
            fputc(')', file);
        }
        fputs("</td></tr>\n", file);
        free(text);
    }
}

static void environment_write(FILE *file, const struct story *story, const struct story *other)
{
    static const char *const parts[] = { "machine", "build", "engine", "settings" };

    fputs("<h2>Environment</h2><div class=\"scroll\"><table>", file);
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++)
        object_rows(file, parts[i], json_object_get(story->result->document, parts[i]),
                    other != NULL ? json_object_get(other->result->document, parts[i]) : NULL);
    fputs("</table></div>\n", file);
}

void report_tables(FILE *file, const struct story *story, const struct story *other)
{
    phases_write(file, story);
    if (other != NULL)
        difference_write(file, story, other);
    correctness_write(file, story);
    environment_write(file, story, other);
}
