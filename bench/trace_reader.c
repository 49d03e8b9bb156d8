/*
 * trace_reader.c: checking a trace as a whole, and cursors that merge clients by time.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/trace.h"
#include "core/base/bytes.h"
#include "core/base/hash.h"
#include "core/base/memory.h"

#define BLOCK_NONE UINT32_MAX

struct block_place {
    uint64_t offset;
    uint32_t next;               /* of the same client, or BLOCK_NONE */
};

struct trace {
    const char         *path;    /* borrowed while it is opened */
    const uint8_t      *data;    /* mapped */
    uint64_t            bytes;
    struct trace_about  about;
    struct block_place *blocks;  /* owned */
    uint64_t            block_capacity;
    uint32_t           *first, *last;  /* owned; of each client, or BLOCK_NONE */
    uint64_t           *counts;  /* owned; entries of each client */
    uint64_t           *times;   /* owned; of each client's latest entry */
};

/* Entries of a block, read one by one. */
struct block_reader {
    const uint8_t *at, *end;
    uint32_t       left;
    uint64_t       at_ns;
};

struct source {
    uint32_t            block;    /* the next one to be opened, or BLOCK_NONE */
    struct block_reader reader;
    struct trace_entry  entry;    /* when has_entry */
    bool                has_entry;
};

struct trace_cursor {
    const struct trace *trace;
    uint64_t            count;
    uint32_t            source_count, nearest;   /* nearest: source of the next entry */
    bool                has_entry;
    struct source       sources[];
};

static uint32_t get32(const uint8_t *at)
{
    le32 bytes;

    memcpy(&bytes, at, sizeof bytes);
    return le32_get(bytes);
}

static uint64_t get64(const uint8_t *at)
{
    le64 bytes;

    memcpy(&bytes, at, sizeof bytes);
    return le64_get(bytes);
}

/* False: it runs over the end, or over 64 bits. */
static bool varint_get(struct block_reader *reader, uint64_t *number)
{
    *number = 0;
    for (uint32_t shift = 0; shift < 64 && reader->at < reader->end; shift += 7) {
        uint64_t byte = *reader->at++;

        if (shift == 63 && byte > 1)
            return false;
        *number |= (byte & 0x7f) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

/* False: what is there is no entry. */
static bool entry_get(struct block_reader *reader, struct trace_entry *entry)
{
    uint64_t ns = 0;
    uint8_t  head;

    if (reader->at == reader->end)
        return false;
    head = *reader->at++;
    entry->operation = (enum operation)(head & 7);
    entry->size = 0;
    if ((head & 7) >= OPERATION_COUNT || head >= 2 * TRACE_SAME_TIME)
        return false;
    if ((head & TRACE_SAME_TIME) == 0 && !varint_get(reader, &ns))
        return false;
    if (!varint_get(reader, &entry->record))
        return false;
    if (entry->operation != OPERATION_READ && entry->operation != OPERATION_DELETE
        && !varint_get(reader, &entry->size))
        return false;
    if (ns > UINT64_MAX - reader->at_ns)
        return false;
    reader->at_ns += ns;
    entry->at_ns = reader->at_ns;
    reader->left--;
    return true;
}

static struct block_reader reader_of(const uint8_t *block)
{
    return (struct block_reader){ block + TRACE_BLOCK_BYTES,
                                  block + TRACE_BLOCK_BYTES + get32(block + 12), get32(block + 8),
                                  get64(block + 16) };
}

#define TRACE_FAIL(trace, offset, text)                                                      \
    FAIL(KIWI_CORRUPT, "%s, byte %llu: %s", (trace)->path, (unsigned long long)(offset), text)

static enum kiwi_status header_check(struct trace *trace)
{
    const uint8_t      *data = trace->data;
    struct trace_about *about = &trace->about;

    if (trace->bytes < sizeof trace_magic || memcmp(data, trace_magic, sizeof trace_magic) != 0)
        return TRACE_FAIL(trace, 0, "this is no trace");
    if (trace->bytes < TRACE_HEADER_BYTES)
        return TRACE_FAIL(trace, trace->bytes, "the file ends inside its header");
    if (get32(data + 8) != TRACE_VERSION)
        return FAIL(KIWI_CORRUPT, "%s: a trace of version %u, this program reads version %u",
                    trace->path, get32(data + 8), TRACE_VERSION);
    about->client_count = get32(data + 12);
    about->is_intended = (get32(data + 16) & TRACE_FLAG_INTENDED) != 0;
    about->text_bytes = get32(data + 20);
    about->start_ns = get64(data + 24);
    about->seed = get64(data + 32);
    about->text = (const char *)data + TRACE_HEADER_BYTES;
    about->file_bytes = trace->bytes;
    if (about->text_bytes > TRACE_TEXT_MAX)
        return TRACE_FAIL(trace, 20, "the header is damaged (length of the text)");
    if (trace->bytes < TRACE_HEADER_BYTES + about->text_bytes)
        return TRACE_FAIL(trace, trace->bytes, "the file ends inside the workload's text");
    if (hash_checksum(about->text, about->text_bytes, hash_checksum(data, 56, 0))
        != get64(data + 56))
        return TRACE_FAIL(trace, 56, "the header or the text behind it is damaged (checksum)");
    if (about->client_count == 0 || about->client_count > TRACE_CLIENTS_MAX)
        return TRACE_FAIL(trace, 12, "the number of clients is none");
    return KIWI_OK;
}

static enum kiwi_status block_note(struct trace *trace, uint64_t offset, uint32_t client)
{
    const uint64_t count = trace->about.block_count;

    if (count == trace->block_capacity) {
        uint64_t            capacity = count == 0 ? 256 : 2 * count;
        struct block_place *larger =
            memory_resize(trace->blocks, capacity * sizeof *trace->blocks);

        if (larger == NULL || capacity >= BLOCK_NONE)
            return FAIL(KIWI_NO_MEMORY, "no memory for the blocks of %s", trace->path);
        trace->blocks = larger;
        trace->block_capacity = capacity;
    }
    trace->blocks[count] = (struct block_place){ offset, BLOCK_NONE };
    if (trace->first[client] == BLOCK_NONE)
        trace->first[client] = (uint32_t)count;
    else
        trace->blocks[trace->last[client]].next = (uint32_t)count;
    trace->last[client] = (uint32_t)count;
    trace->about.block_count++;
    return KIWI_OK;
}

/* Every entry of a block whose checksum is right. */
static enum kiwi_status entries_check(struct trace *trace, uint64_t offset)
{
    const uint8_t      *block = trace->data + offset;
    struct block_reader reader = reader_of(block);
    struct trace_about *about = &trace->about;
    const uint32_t      client = get32(block + 4);
    struct trace_entry  entry;

    if (reader.left == 0 || reader.at_ns < trace->times[client])
        return TRACE_FAIL(trace, offset, "the block is empty or goes back in time");
    while (reader.left > 0) {
        if (!entry_get(&reader, &entry))
            return TRACE_FAIL(trace, reader.at - trace->data, "this is no entry");
        about->counts[entry.operation]++;
        about->operation_count++;
        if (entry.operation != OPERATION_SCAN)
            about->value_bytes_max = max_u64(about->value_bytes_max, entry.size);
        else if (entry.size == 0 || entry.size > UINT32_MAX)
            return TRACE_FAIL(trace, reader.at - trace->data, "a scan of no or too many rows");
        /* A sum, as blocks of several clients may be mixed in any way. */
        about->digest += hash_mix(hash_mix(client, trace->counts[client]++),
                                  hash_mix(entry.record, entry.size * 8 + entry.operation));
    }
    trace->times[client] = reader.at_ns;
    about->last_ns = max_u64(about->last_ns, reader.at_ns);
    if (reader.at != reader.end)
        return TRACE_FAIL(trace, reader.at - trace->data, "bytes are left over in the block");
    return KIWI_OK;
}

/* The block at *offset, which is behind it afterwards. */
static enum kiwi_status block_check(struct trace *trace, uint64_t *offset)
{
    const uint8_t *block = trace->data + *offset;
    uint64_t       left = trace->bytes - *offset;
    uint32_t       payload;

    if (left < TRACE_BLOCK_BYTES)
        return TRACE_FAIL(trace, trace->bytes, "the file ends inside the header of a block");
    payload = get32(block + 12);
    if (payload > TRACE_BLOCK_MAX - TRACE_BLOCK_BYTES
        || get32(block + 4) >= trace->about.client_count)
        return TRACE_FAIL(trace, *offset, "the header of this block is damaged");
    if (left < TRACE_BLOCK_BYTES + payload)
        return TRACE_FAIL(trace, trace->bytes, "the file ends inside a block");
    if (hash_checksum(block + TRACE_BLOCK_BYTES, payload, hash_checksum(block, 24, *offset))
        != get64(block + 24))
        return TRACE_FAIL(trace, *offset, "the block is damaged (checksum)");
    TRY(entries_check(trace, *offset));
    TRY(block_note(trace, *offset, get32(block + 4)));
    *offset += TRACE_BLOCK_BYTES + payload;
    return KIWI_OK;
}

static enum kiwi_status end_check(const struct trace *trace, uint64_t offset)
{
    const uint8_t            *end = trace->data + offset;
    const struct trace_about *about = &trace->about;

    if (trace->bytes - offset < TRACE_END_BYTES)
        return TRACE_FAIL(trace, trace->bytes, "the file ends inside its end mark");
    if (hash_checksum(end, 48, offset) != get64(end + 48))
        return TRACE_FAIL(trace, offset, "the end mark is damaged (checksum)");
    if (get64(end + 8) != about->operation_count || get64(end + 16) != about->block_count
        || get64(end + 24) != about->last_ns || get64(end + 32) != about->value_bytes_max)
        return TRACE_FAIL(trace, offset, "the end mark counts other entries than there are");
    if (trace->bytes - offset > TRACE_END_BYTES)
        return TRACE_FAIL(trace, offset + TRACE_END_BYTES, "something follows the end mark");
    return KIWI_OK;
}

static enum kiwi_status file_check(struct trace *trace)
{
    uint64_t offset;

    TRY(header_check(trace));
    trace->first = memory_allocate(trace->about.client_count * sizeof *trace->first);
    trace->last = memory_allocate(trace->about.client_count * sizeof *trace->last);
    trace->counts = memory_allocate_zeroed(trace->about.client_count * sizeof *trace->counts);
    trace->times = memory_allocate_zeroed(trace->about.client_count * sizeof *trace->times);
    if (trace->first == NULL || trace->last == NULL || trace->counts == NULL
        || trace->times == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for the clients of %s", trace->path);
    for (uint32_t i = 0; i < trace->about.client_count; i++)
        trace->first[i] = BLOCK_NONE;
    offset = TRACE_HEADER_BYTES + trace->about.text_bytes;
    for (;;) {
        if (trace->bytes - offset < 4)
            return TRACE_FAIL(trace, trace->bytes,
                              "the file ends without an end mark: its recording was cut short");
        if (get32(trace->data + offset) == TRACE_END_MAGIC)
            return end_check(trace, offset);
        if (get32(trace->data + offset) != TRACE_BLOCK_MAGIC)
            return TRACE_FAIL(trace, offset, "no block and no end mark starts here");
        TRY(block_check(trace, &offset));
    }
}

static enum kiwi_status file_map(struct trace *trace)
{
    struct stat about;
    int         file = open(trace->path, O_RDONLY | O_CLOEXEC);
    void       *data;

    if (file < 0)
        return FAIL(errno == ENOENT ? KIWI_INVALID : KIWI_IO, "cannot open %s: %s", trace->path,
                    strerror(errno));
    if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode)) {
        close(file);
        return FAIL(KIWI_INVALID, "%s is no file", trace->path);
    }
    trace->bytes = (uint64_t)about.st_size;
    data = trace->bytes == 0 ? NULL
                             : mmap(NULL, trace->bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, file,
                                    0);
    close(file);
    if (data == MAP_FAILED)
        return FAIL(KIWI_IO, "cannot map %s: %s", trace->path, strerror(errno));
    trace->data = data;
    return KIWI_OK;
}

enum kiwi_status trace_open(const char *path, struct trace **out)
{
    struct trace    *trace = memory_allocate_zeroed(sizeof *trace);
    enum kiwi_status status;

    *out = NULL;
    if (trace == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to read %s", path);
    trace->path = path;
    status = file_map(trace);
    if (status == KIWI_OK)
        status = file_check(trace);
    if (status != KIWI_OK) {
        trace_close(trace);
        return status;
    }
    *out = trace;
    return KIWI_OK;
}

void trace_close(struct trace *trace)
{
    if (trace == NULL)
        return;
    if (trace->data != NULL)
        munmap((void *)(uintptr_t)trace->data, trace->bytes);
    memory_free(trace->blocks);
    memory_free(trace->first);
    memory_free(trace->last);
    memory_free(trace->counts);
    memory_free(trace->times);
    memory_free(trace);
}

const struct trace_about *trace_about(const struct trace *trace)
{
    return &trace->about;
}

static void source_next(const struct trace *trace, struct source *source)
{
    if (source->reader.left == 0 && source->block != BLOCK_NONE) {
        const struct block_place *place = &trace->blocks[source->block];

        source->reader = reader_of(trace->data + place->offset);
        source->block = place->next;
    }
    source->has_entry = source->reader.left > 0 && entry_get(&source->reader, &source->entry);
}

/* Few clients share a cursor, so looking at all of them is fast enough. */
static void cursor_look(struct trace_cursor *cursor)
{
    cursor->has_entry = false;
    for (uint32_t i = 0; i < cursor->source_count; i++) {
        const struct source *source = &cursor->sources[i];

        if (!source->has_entry
            || (cursor->has_entry
                && source->entry.at_ns >= cursor->sources[cursor->nearest].entry.at_ns))
            continue;
        cursor->has_entry = true;
        cursor->nearest = i;
    }
}

enum kiwi_status trace_cursor_open(const struct trace *trace, uint32_t index, uint32_t count,
                                   struct trace_cursor **out)
{
    const uint32_t       clients = trace->about.client_count;
    uint32_t             sources = index < clients ? (clients - index + count - 1) / count : 0;
    struct trace_cursor *cursor =
        memory_allocate_zeroed(sizeof *cursor + sources * sizeof cursor->sources[0]);

    assert(index < count);
    *out = cursor;
    if (cursor == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory to replay %u clients", sources);
    cursor->trace = trace;
    cursor->source_count = sources;
    for (uint32_t i = 0; i < sources; i++) {
        struct source *source = &cursor->sources[i];

        source->entry.client = index + i * count;
        source->block = trace->first[source->entry.client];
        cursor->count += trace->counts[source->entry.client];
        source_next(trace, source);
    }
    cursor_look(cursor);
    return KIWI_OK;
}

void trace_cursor_close(struct trace_cursor *cursor)
{
    memory_free(cursor);
}

uint64_t trace_cursor_count(const struct trace_cursor *cursor)
{
    return cursor->count;
}

const struct trace_entry *trace_cursor_peek(const struct trace_cursor *cursor)
{
    return cursor->has_entry ? &cursor->sources[cursor->nearest].entry : NULL;
}

void trace_cursor_take(struct trace_cursor *cursor)
{
    assert(cursor->has_entry);
    source_next(cursor->trace, &cursor->sources[cursor->nearest]);
    cursor_look(cursor);
}

uint64_t trace_due_ns(uint64_t at_ns, double speed)
{
    return speed > 0 ? (uint64_t)((double)at_ns / speed) : 0;
}
