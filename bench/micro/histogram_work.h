/*
 * histogram_work.h: the histogram behind plain functions, for the benchmark in C++.
 */
#pragma once

#include <stdint.h>

struct histogram_work;

struct histogram_work *histogram_work_open(void);
void                   histogram_work_close(struct histogram_work *work);
void                   histogram_work_record(struct histogram_work *work);
uint64_t               histogram_work_percentile(const struct histogram_work *work);
