/*
 * report.h: what a suite tells: tables for people, run.json, series.csv, YCSB's summary.
 */
#pragma once

#include <jansson.h>
#include <stdio.h>

#include "bench/suite.h"

#define REPORT_SCHEMA  "kiwi.bench.run"
#define REPORT_VERSION 1

/* "1.2 us", "850 ns", "3.4 ms"; "12.5 MiB"; "1.25M" */
const char *duration_text(uint64_t ns, char *text, size_t bytes);
const char *bytes_text(uint64_t count, char *text, size_t bytes);
const char *rate_text(double rate, char *text, size_t bytes);

/* Device bytes per byte handed in; 0 when nothing was. is_drained: after background work. */
double phase_write_amplification(const struct suite_phase *phase, bool is_drained);
/* Bytes written into a level per byte handed in. */
double level_write_amplification(const struct suite_phase *phase, uint32_t level);
/* Bytes in table files per byte of live data; 0 when unknown. */
double phase_space_amplification(const struct suite_phase *phase);
/* "record cache", "memtable", "L0", "nothing" */
const char *answer_name(uint32_t answer);

json_t *stillness_json(const struct stillness *stillness);
/* One line, none when nobody watched. */
void stillness_line(FILE *stream, const struct stillness *stillness);

void report_header(FILE *stream, const struct suite *suite);
void report_phase(FILE *stream, const struct suite *suite, const struct suite_phase *phase);
void report_summary(FILE *stream, const struct suite *suite, const char *folder,
                    const char *command);

/* A row of the ladder's table; of the closed loop, which is first, also what is above it. */
void report_ladder_step(FILE *stream, const struct ladder *ladder, const struct ladder_step *step);
void report_ladder_answers(FILE *stream, const struct suite *suite);
void ladders_csv_write(FILE *stream, const struct suite *suite);
json_t *ladders_json(const struct suite *suite);

/* A new object; NULL when memory is short. */
json_t *report_json(const struct suite *suite, const char *id, const char *command, int exit_code);

/* Makes the run's folder below results and writes all files; folder receives its path. */
MUST_USE enum kiwi_status report_files_write(const struct suite *suite, const char *results,
                                             json_t *document, char *folder, size_t folder_bytes);
/* "<UTC>-<suite>-<commit8>-<fp8>-<n>" with the first n that is free below results. */
void report_id_make(const struct suite *suite, const char *results, char *id, size_t bytes);
