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

void report_notes(FILE *file, const struct story *story)
{
    fputs("<ul class=\"notes\">\n", file);
    kill_notes(file, story->result->document);
    fputs("</ul>\n", file);
}
