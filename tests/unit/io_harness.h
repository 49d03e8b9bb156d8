/*
 * io_harness.h: a simulated machine with a directory /db, and requests that note their end.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "io/simulated.h"

enum { PAGE = 4096, SEEDS = 300 };

extern struct simulation *simulation;
extern struct io         *io;
extern uint8_t            bytes_a[16 * PAGE], bytes_b[16 * PAGE];
extern uint64_t           seed_base; /* added to every seed */

extern struct io_request requests[64];
extern uint32_t          done_order[64], done_count;
extern char              done_text[512];
extern enum io_class     add_class;

void start_with(struct simulation_options options);
void start(uint64_t seed);
struct io_file *open_file(const char *path, unsigned flags);
struct io_file *durable_file(const char *path, int fill, uint32_t pages);
void write_fill(struct io_file *file, int fill, uint32_t bytes, uint64_t offset);
void read_into_b(const char *path, uint32_t bytes);
bool exists(const char *path);
uint64_t size_of(struct io_file *file);
void note_done(struct io_request *request);
void add(struct io_queue *queue, uint32_t at, enum io_verb verb, struct io_file *file,
                void *buffer, uint32_t bytes, uint64_t offset);
struct io_queue *open_queue(void);
void run(struct io_queue *queue);
void seed_take(void);
