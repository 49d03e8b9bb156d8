/*
 * trace_writer.c: clients fill blocks of their own; one thread writes them.
 *
 *    client: note, note, ... block full --> queue --> thread: checksum, write --> free blocks
 *       ^------------------------------------------------------------------------------'
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "bench/trace.h"
#include "core/base/bytes.h"
#include "core/base/hash.h"
#include "core/base/memory.h"

#define BLOCKS_PER_CLIENT 8u     /* one being filled, the others on their way or free */
#define BLOCKS_MORE       256u   /* 16 MiB that any client may use */

const char trace_magic[8] = { 'K', 'I', 'W', 'I', 'T', 'R', 'C', 'E' };

struct trace_block {
    struct trace_block *next;
    uint32_t            client, count, bytes;   /* bytes: with the header */
    uint64_t            first_ns;
    uint8_t             data[TRACE_BLOCK_MAX];
};

struct trace_client {
    struct trace_writer *writer;
    struct trace_block  *block;     /* NULL: writing failed, nothing is noted any more */
    uint32_t             index;
    uint64_t             last_ns, value_bytes_max, count;
};

struct trace_writer {
    int                  file;
    uint64_t             offset;
    pthread_t            thread;
    bool                 is_started;
    pthread_mutex_t      lock;              /* of all below */
    pthread_cond_t       filled, freed;
    struct trace_block  *queue, *queue_end, *free;
    bool                 is_closing;
    enum kiwi_status     status;            /* first error */
    char                 text[240];
    uint64_t             block_count, waits;
    uint32_t             client_count;
    struct trace_block  *blocks;            /* owned; all of them */
    struct trace_client *clients;           /* owned; client_count */
};

static enum kiwi_status write_all(struct trace_writer *writer, const void *data, size_t bytes)
{
    size_t done = 0;

    while (done < bytes) {
        ssize_t written = write(writer->file, (const uint8_t *)data + done, bytes - done);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return FAIL(written < 0 && errno == ENOSPC ? KIWI_FULL : KIWI_IO,
                        "cannot write the trace at byte %llu: %s",
                        (unsigned long long)(writer->offset + done), strerror(errno));
        done += (size_t)written;
    }
    writer->offset += bytes;
    return KIWI_OK;
}

static void put32(uint8_t *at, uint32_t number)
{
    le32 bytes = le32_of(number);

    memcpy(at, &bytes, sizeof bytes);
}

static void put64(uint8_t *at, uint64_t number)
{
    le64 bytes = le64_of(number);

    memcpy(at, &bytes, sizeof bytes);
}

static enum kiwi_status block_write(struct trace_writer *writer, struct trace_block *block)
{
    uint8_t *data = block->data;

    put32(data, TRACE_BLOCK_MAGIC);
    put32(data + 4, block->client);
    put32(data + 8, block->count);
    put32(data + 12, block->bytes - TRACE_BLOCK_BYTES);
    put64(data + 16, block->first_ns);
    put64(data + 24, hash_checksum(data + TRACE_BLOCK_BYTES, block->bytes - TRACE_BLOCK_BYTES,
                                   hash_checksum(data, 24, writer->offset)));
    return write_all(writer, data, block->bytes);
}

static void *writer_main(void *argument)
{
    struct trace_writer *writer = argument;

    pthread_mutex_lock(&writer->lock);
    for (;;) {
        struct trace_block *block = writer->queue;
        enum kiwi_status    status = writer->status;

        if (block == NULL && writer->is_closing)
            break;
        if (block == NULL) {
            pthread_cond_wait(&writer->filled, &writer->lock);
            continue;
        }
        writer->queue = block->next;
        pthread_mutex_unlock(&writer->lock);
        if (status == KIWI_OK)
            status = block_write(writer, block);
        pthread_mutex_lock(&writer->lock);
        if (status != KIWI_OK && writer->status == KIWI_OK) {
            writer->status = status;
            memcpy(writer->text, fail_text(), strnlen(fail_text(), sizeof writer->text - 1));
        }
        writer->block_count++;
        block->next = writer->free;
        writer->free = block;
        pthread_cond_broadcast(&writer->freed);
    }
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

static enum kiwi_status header_write(struct trace_writer *writer, const struct trace_about *about)
{
    uint8_t header[TRACE_HEADER_BYTES] = { 0 };

    memcpy(header, trace_magic, sizeof trace_magic);
    put32(header + 8, TRACE_VERSION);
    put32(header + 12, about->client_count);
    put32(header + 16, about->is_intended ? TRACE_FLAG_INTENDED : 0);
    put32(header + 20, (uint32_t)about->text_bytes);
    put64(header + 24, about->start_ns);
    put64(header + 32, about->seed);
    put64(header + 56, hash_checksum(about->text, about->text_bytes, hash_checksum(header, 56, 0)));
    TRY(write_all(writer, header, sizeof header));
    return write_all(writer, about->text, about->text_bytes);
}

static void block_begin(struct trace_client *client, struct trace_block *block)
{
    client->block = block;
    block->next = NULL;
    block->client = client->index;
    block->count = 0;
    block->bytes = TRACE_BLOCK_BYTES;
}

static void writer_free(struct trace_writer *writer)
{
    if (writer->file >= 0)
        close(writer->file);
    pthread_mutex_destroy(&writer->lock);
    pthread_cond_destroy(&writer->filled);
    pthread_cond_destroy(&writer->freed);
    memory_free(writer->blocks);
    memory_free(writer->clients);
    memory_free(writer);
}

enum kiwi_status trace_writer_open(const char *path, const struct trace_about *about,
                                   struct trace_writer **out)
{
    struct trace_writer *writer = memory_allocate_zeroed(sizeof *writer);
    uint32_t             count = about->client_count * BLOCKS_PER_CLIENT + BLOCKS_MORE;
    enum kiwi_status     status;

    assert(about->client_count > 0 && about->client_count <= TRACE_CLIENTS_MAX);
    assert(about->text_bytes <= TRACE_TEXT_MAX);
    *out = NULL;
    if (writer == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to record a trace");
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->filled, NULL);
    pthread_cond_init(&writer->freed, NULL);
    writer->client_count = about->client_count;
    writer->clients = memory_allocate_zeroed(about->client_count * sizeof *writer->clients);
    writer->blocks = memory_allocate_zeroed(count * sizeof *writer->blocks);
    writer->file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (writer->file < 0)
        status = FAIL(KIWI_IO, "cannot make %s: %s", path, strerror(errno));
    else if (writer->clients == NULL || writer->blocks == NULL)
        status = FAIL(KIWI_NO_MEMORY, "no memory for %u blocks of a trace", count);
    else
        status = header_write(writer, about);
    if (status == KIWI_OK && pthread_create(&writer->thread, NULL, writer_main, writer) != 0)
        status = FAIL(KIWI_NO_MEMORY, "cannot start the thread that writes the trace");
    if (status != KIWI_OK) {
        writer_free(writer);
        return status;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (i < about->client_count) {
            writer->clients[i].writer = writer;
            writer->clients[i].index = i;
            block_begin(&writer->clients[i], &writer->blocks[i]);
            continue;
        }
        pthread_mutex_lock(&writer->lock);
        writer->blocks[i].next = writer->free;
        writer->free = &writer->blocks[i];
        pthread_mutex_unlock(&writer->lock);
    }
    *out = writer;
    return KIWI_OK;
}

struct trace_client *trace_writer_client(struct trace_writer *writer, uint32_t client)
{
    assert(client < writer->client_count);
    return &writer->clients[client];
}

/* Hands the block over and takes another one. */
static void block_exchange(struct trace_client *client)
{
    struct trace_writer *writer = client->writer;
    struct trace_block  *block = client->block;

    client->block = NULL;
    pthread_mutex_lock(&writer->lock);
    if (writer->queue == NULL)
        writer->queue = block;
    else
        writer->queue_end->next = block;
    writer->queue_end = block;
    pthread_cond_signal(&writer->filled);
    writer->waits += writer->free == NULL;
    while (writer->free == NULL)
        pthread_cond_wait(&writer->freed, &writer->lock);
    block = writer->free;
    writer->free = block->next;
    if (writer->status != KIWI_OK) {
        block->next = writer->free;
        writer->free = block;
        block = NULL;
    }
    pthread_mutex_unlock(&writer->lock);
    if (block != NULL)
        block_begin(client, block);
}

static uint8_t *varint_put(uint8_t *at, uint64_t number)
{
    while (number >= 0x80) {
        *at++ = (uint8_t)(number | 0x80);
        number >>= 7;
    }
    *at++ = (uint8_t)number;
    return at;
}

void trace_note(struct trace_client *client, const struct trace_entry *entry)
{
    struct trace_block *block = client->block;
    const uint64_t      at_ns = max_u64(entry->at_ns, client->last_ns);
    uint8_t            *start, *at;

    if (block != NULL && block->bytes + TRACE_ENTRY_MAX > TRACE_BLOCK_MAX) {
        block_exchange(client);
        block = client->block;
    }
    if (block == NULL)
        return;
    if (block->count == 0) {
        block->first_ns = at_ns;
        client->last_ns = at_ns;
    }
    start = at = block->data + block->bytes;
    *at++ = (uint8_t)((unsigned)entry->operation
                      | (at_ns == client->last_ns ? TRACE_SAME_TIME : 0));
    if (at_ns != client->last_ns)
        at = varint_put(at, at_ns - client->last_ns);
    at = varint_put(at, entry->record);
    if (entry->operation != OPERATION_READ && entry->operation != OPERATION_DELETE)
        at = varint_put(at, entry->size);
    if (entry->operation != OPERATION_SCAN)
        client->value_bytes_max = max_u64(client->value_bytes_max, entry->size);
    client->last_ns = at_ns;
    client->count++;
    block->count++;
    block->bytes += (uint32_t)(at - start);
}

static enum kiwi_status end_write(struct trace_writer *writer, const struct trace_about *about)
{
    uint8_t end[TRACE_END_BYTES] = { 0 };

    put32(end, TRACE_END_MAGIC);
    put64(end + 8, about->operation_count);
    put64(end + 16, about->block_count);
    put64(end + 24, about->last_ns);
    put64(end + 32, about->value_bytes_max);
    put64(end + 48, hash_checksum(end, 48, writer->offset));
    return write_all(writer, end, sizeof end);
}

enum kiwi_status trace_writer_close(struct trace_writer *writer, struct trace_about *about,
                                    uint64_t *waits)
{
    struct trace_about sums = { 0 };
    enum kiwi_status   status;

    if (writer == NULL)
        return KIWI_OK;
    for (uint32_t i = 0; i < writer->client_count; i++) {
        struct trace_client *client = &writer->clients[i];

        if (client->block != NULL && client->block->count > 0)
            block_exchange(client);
        sums.operation_count += client->count;
        sums.last_ns = max_u64(sums.last_ns, client->last_ns);
        sums.value_bytes_max = max_u64(sums.value_bytes_max, client->value_bytes_max);
    }
    pthread_mutex_lock(&writer->lock);
    writer->is_closing = true;
    pthread_cond_signal(&writer->filled);
    pthread_mutex_unlock(&writer->lock);
    pthread_join(writer->thread, NULL);
    sums.client_count = writer->client_count;
    sums.block_count = writer->block_count;
    status = writer->status;
    if (status != KIWI_OK)
        fail_text_set(writer->text);
    else
        status = end_write(writer, &sums);
    sums.file_bytes = writer->offset;
    if (waits != NULL)
        *waits = writer->waits;
    if (about != NULL)
        *about = sums;
    if (close(writer->file) != 0 && status == KIWI_OK)
        status = FAIL(errno == ENOSPC ? KIWI_FULL : KIWI_IO, "cannot close the trace: %s",
                      strerror(errno));
    writer->file = -1;
    writer_free(writer);
    return status;
}
