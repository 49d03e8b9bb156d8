/*
 * report_html.h: one run, or two overlaid, as one HTML file that needs nothing else.
 */
#pragma once

#include "bench/story.h"

/* other may be NULL. KIWI_FULL, KIWI_IO: the file cannot be written. */
MUST_USE enum kiwi_status report_html_write(const char *path, const struct story *story,
                                            const struct story *other);
/* Reads the run in folder and writes report.html beside its files. */
MUST_USE enum kiwi_status report_html_make(const char *folder);

/* The runs in two folders, overlaid, as the page path. */
MUST_USE enum kiwi_status report_html_pair(const char *path, const char *folder, const char *other);

/* A page from <!doctype> to <main>, and its end with the raw document and the script; the latter
 * closes the file. KIWI_FULL, KIWI_IO: not all of it could be written. */
void html_head_write(FILE *file, const char *title);
MUST_USE enum kiwi_status html_tail_write(FILE *file, const char *path, const json_t *document);

/* A number that counts, in a frame of its own inside of <div class="cards">. */
void html_card(FILE *file, const char *number, const char *what);

/* The parts. */
void report_notes(FILE *file, const struct story *story);
void report_time_charts(FILE *file, const struct story *story, const struct story *other);
void report_engine_charts(FILE *file, const struct story *story);
void report_ladder_charts(FILE *file, const struct story *story, const struct story *other);
void report_ladder_tables(FILE *file, const struct story *story);
/* The slowest operations of all phases but loads: as points over time, and as a sortable table. */
void report_slowest_chart(FILE *file, const struct story *story);
void report_slowest(FILE *file, const struct story *story);
void report_tables(FILE *file, const struct story *story, const struct story *other);
