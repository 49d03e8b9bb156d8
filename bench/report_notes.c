/*
 * report_notes.c: what a reader must know before the numbers, as lines below the page's header.
 */
#include "bench/report_html.h"

static void kill_notes(FILE *file, const json_t *document)
{
    size_t  index, each;
    json_t *check, *violation;

    json_array_foreach(json_object_get(document, "kill_checks"), index, check)
    {
        const bool is_kept = result_number(check, "violation_count") <= 0;

        fprintf(file,
                "<li%s>Durability %s, process killed %.0f times under load (seed %.0f): %.0f "
                "acknowledged writes, %s",
                is_kept ? "" : " class=\"bad\"", result_text(check, "durability"),
                result_number(check, "kills"), result_number(check, "seed"),
                result_number(check, "acknowledged_writes"),
                is_kept ? "all kept" : "promises were broken:");
        json_array_foreach(json_object_get(check, "violations"), each, violation)
        {
            fputs("<br>", file);
            html_text(file, json_string_value(violation));
        }
        fputs("</li>\n", file);
    }
}

static void still_notes(FILE *file, const json_t *document)
{
    size_t  index;
    json_t *phase;

    json_array_foreach(json_object_get(document, "phases"), index, phase)
    {
        char         longest[32], total[32];
        const double count = result_number(phase, "standstills.count");

        if (!(count > 0))
            continue;
        fputs("<li>Phase ", file);
        html_text(file, result_text(phase, "name"));
        fprintf(file,
                ": the host stood still %.0f times for more than 10 ms, longest %s, %s in all%s; "
                "tails of that length are not the engine&#39;s</li>\n",
                count,
                chart_number(result_number(phase, "standstills.longest_ns"), CHART_DURATION,
                             longest, sizeof longest),
                chart_number(result_number(phase, "standstills.total_ns"), CHART_DURATION, total,
                             sizeof total),
                result_number(phase, "standstills.is_real_time") > 0
                    ? ""
                    : " (or was busy: the watching thread got no real-time priority)");
    }
}

static void probe_notes(FILE *file, const json_t *document)
{
    char rates[2][32], times[2][32];

    if (json_object_get(document, "device_probe") == NULL)
        return;
    fprintf(file,
            "<li>Device: %s/s written and %s/s read in order, 4 KiB synced in %s (p50), read at "
            "random in %s; 64 at once: %.0f reads/s</li>\n",
            chart_number(result_number(document, "device_probe.sequential_write.bytes_per_second"),
                         CHART_BYTES, rates[0], sizeof rates[0]),
            chart_number(result_number(document, "device_probe.sequential_read.bytes_per_second"),
                         CHART_BYTES, rates[1], sizeof rates[1]),
            chart_number(result_number(document, "device_probe.synced_write.p50_ns"),
                         CHART_DURATION, times[0], sizeof times[0]),
            chart_number(result_number(document, "device_probe.random_read.p50_ns"),
                         CHART_DURATION, times[1], sizeof times[1]),
            result_number(document, "device_probe.random_read_depth_64.per_second"));
}

void report_notes(FILE *file, const struct story *story)
{
    fputs("<ul class=\"notes\">\n", file);
    probe_notes(file, story->result->document);
    kill_notes(file, story->result->document);
    still_notes(file, story->result->document);
    fputs("</ul>\n", file);
}
