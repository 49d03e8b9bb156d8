/*
 * hlog.c: encoding and decoding.
 */
#include "bench/hlog.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include "bench/machine.h"
#include "core/base/histogram.h"
#include "core/base/memory.h"

#define COOKIE            0x1c849313u  /* V2, words of nine bytes at most */
#define COOKIE_COMPRESSED 0x1c849314u
#define HEADER_BYTES      40u
#define DIGITS            2u
#define HALF_BITS         7u                         /* 128 sub-buckets per power of two */
#define HALF_COUNT        (1u << HALF_BITS)
#define LEAST             1u
#define HIGHEST           ((uint64_t)1 << 41)
#define COUNT_MAX         5000u                      /* counts of such a histogram: 4480 */
#define PAYLOAD_BYTES_MAX (HEADER_BYTES + 9u * COUNT_MAX)
#define PACKED_BYTES_MAX  (PAYLOAD_BYTES_MAX + 1024u)
#define LINE_BYTES_MAX    (PACKED_BYTES_MAX * 2u + 512u)

static void put_u32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void put_u64(uint8_t *at, uint64_t value)
{
    put_u32(at, (uint32_t)(value >> 32));
    put_u32(at + 4, (uint32_t)value);
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static uint64_t get_u64(const uint8_t *at)
{
    return (uint64_t)get_u32(at) << 32 | get_u32(at + 4);
}

/* The place of a value among the counts, and the smallest value of a place. */
static uint32_t place_of(uint64_t value)
{
    uint32_t exponent;

    if (value < 2 * HALF_COUNT)
        return (uint32_t)value;
    exponent = 63u - (uint32_t)__builtin_clzll(value) - HALF_BITS;
    return exponent * HALF_COUNT + (uint32_t)(value >> exponent);
}

static uint64_t value_at(uint32_t place)
{
    uint32_t exponent;

    if (place < 2 * HALF_COUNT)
        return place;
    exponent = place / HALF_COUNT - 1;
    return (uint64_t)(place % HALF_COUNT + HALF_COUNT) << exponent;
}

/* Seven bits a byte, lowest first, the ninth byte whole. */
static size_t varint_put(uint8_t *at, int64_t number)
{
    uint64_t value = ((uint64_t)number << 1) ^ (uint64_t)(number >> 63);
    size_t   length = 0;

    while (value >= 128 && length < 8) {
        at[length++] = (uint8_t)(value | 128);
        value >>= 7;
    }
    at[length++] = (uint8_t)value;
    return length;
}

/* 0: the bytes end before the number does. */
static size_t varint_get(const uint8_t *at, size_t bytes, int64_t *number)
{
    uint64_t value = 0;

    for (size_t i = 0; i < 9 && i < bytes; i++) {
        value |= (uint64_t)(i == 8 ? at[i] : at[i] & 127) << (7 * i);
        if (i == 8 || at[i] < 128) {
            *number = (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
            return i + 1;
        }
    }
    return 0;
}

static size_t payload_write(uint8_t *payload, const struct kiwi_latency *latency)
{
    size_t   length = HEADER_BYTES;
    uint32_t place = 0;

    for (uint32_t i = 0; i < KIWI_LATENCY_BUCKET_COUNT; i++) {
        uint32_t here;

        if (latency->buckets[i] == 0)
            continue;
        here = place_of(histogram_bucket_floor(i + 1) - 1);
        if (here > place)
            length += varint_put(payload + length, (int64_t)place - (int64_t)here);
        length += varint_put(payload + length, latency->buckets[i]);
        place = here + 1;
    }
    put_u32(payload, COOKIE);
    put_u32(payload + 4, (uint32_t)(length - HEADER_BYTES));
    put_u32(payload + 8, 0); /* normalizing offset */
    put_u32(payload + 12, DIGITS);
    put_u64(payload + 16, LEAST);
    put_u64(payload + 24, HIGHEST);
    put_u64(payload + 32, 0x3ff0000000000000u); /* the ratio 1.0 */
    return length;
}

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void base64_write(FILE *file, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i += 3) {
        uint32_t left = (uint32_t)(count - i);
        uint32_t three = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0)
                       | (left > 2 ? bytes[i + 2] : 0);

        fputc(letters[three >> 18], file);
        fputc(letters[three >> 12 & 63], file);
        fputc(left > 1 ? letters[three >> 6 & 63] : '=', file);
        fputc(left > 2 ? letters[three & 63] : '=', file);
    }
}

/* SIZE_MAX: no base64, or too long. */
static size_t base64_read(const char *text, uint8_t *bytes, size_t capacity)
{
    uint32_t held = 0, bits = 0;
    size_t   count = 0;

    for (; *text != 0 && *text != '=' && *text != '\n' && *text != '\r'; text++) {
        const char *letter = strchr(letters, *text);

        if (letter == NULL || count == capacity)
            return SIZE_MAX;
        held = held << 6 | (uint32_t)(letter - letters);
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes[count++] = (uint8_t)(held >> bits);
            held &= (1u << bits) - 1;
        }
    }
    return count;
}

void hlog_begin(FILE *file, double start)
{
    time_t    whole = (time_t)start;
    struct tm parts;
    char      text[64];

    gmtime_r(&whole, &parts);
    strftime(text, sizeof text, "%a %b %d %H:%M:%S UTC %Y", &parts);
    fprintf(file,
            "#[Logged with kiwidb %s]\n#[Histogram log format version 1.3]\n"
            "#[StartTime: %.3f (seconds since epoch), %s]\n"
            "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\","
            "\"Interval_Compressed_Histogram\"\n",
            build_version(), start, text);
}

enum kiwi_status hlog_write(FILE *file, const char *tag, double start, double seconds,
                            const struct kiwi_latency *latency)
{
    uint8_t         *payload = memory_allocate(PAYLOAD_BYTES_MAX + PACKED_BYTES_MAX);
    uint8_t         *packed = payload + PAYLOAD_BYTES_MAX;
    uLongf           packed_bytes = PACKED_BYTES_MAX - 8;
    enum kiwi_status status = KIWI_OK;

    if (payload == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a histogram");
    if (compress2(packed + 8, &packed_bytes, payload, payload_write(payload, latency), 6) != Z_OK) {
        status = FAIL(KIWI_NO_MEMORY, "zlib cannot compress a histogram");
    } else {
        put_u32(packed, COOKIE_COMPRESSED);
        put_u32(packed + 4, (uint32_t)packed_bytes);
        fprintf(file, "Tag=%s,%.3f,%.3f,%.6f,", tag, start, seconds,
                (double)latency->max_ns / 1e6);
        base64_write(file, packed, packed_bytes + 8);
        fputc('\n', file);
    }
    memory_free(payload);
    return status;
}

static const char *counts_read(const uint8_t *at, size_t bytes, struct kiwi_latency *latency)
{
    uint64_t place = 0;

    while (bytes > 0) {
        int64_t number = 0;
        size_t  length = varint_get(at, bytes, &number);

        if (length == 0)
            return "the counts end inside a number";
        at += length;
        bytes -= length;
        if (number < 0) {
            place += 0 - (uint64_t)number;
        } else {
            uint32_t bucket;
            uint64_t value;

            if (place >= COUNT_MAX)
                return "a count lies beyond the highest value";
            value = value_at((uint32_t)place++);
            bucket = histogram_bucket(value);
            if ((uint64_t)number > UINT32_MAX - latency->buckets[bucket])
                return "a count is too large";
            latency->buckets[bucket] += (uint32_t)number;
            latency->count += (uint64_t)number;
            latency->sum_ns += (uint64_t)number
                             * ((histogram_bucket_floor(bucket)
                                 + histogram_bucket_floor(bucket + 1))
                                / 2);
        }
        if (place > COUNT_MAX)
            return "a run of zeroes is too long";
    }
    return NULL;
}

static const char *payload_read(const uint8_t *packed, size_t packed_bytes, uint8_t *payload,
                                struct kiwi_latency *latency)
{
    uLongf bytes = PAYLOAD_BYTES_MAX;

    if (packed_bytes < 8 || get_u32(packed) != COOKIE_COMPRESSED)
        return "this is no compressed V2 histogram";
    if (get_u32(packed + 4) != packed_bytes - 8)
        return "the histogram is cut off";
    if (uncompress(payload, &bytes, packed + 8, packed_bytes - 8) != Z_OK)
        return "the histogram does not decompress";
    if (bytes < HEADER_BYTES || get_u32(payload) != COOKIE)
        return "the histogram is not of version 2";
    if (get_u32(payload + 4) != bytes - HEADER_BYTES)
        return "the counts are cut off";
    if (get_u32(payload + 8) != 0 || get_u32(payload + 12) != DIGITS
        || get_u64(payload + 16) != LEAST)
        return "the histogram has other digits or another lowest value";
    return counts_read(payload + HEADER_BYTES, bytes - HEADER_BYTES, latency);
}

static const char *interval_read(char *line, uint8_t *packed, uint8_t *payload,
                                 struct hlog_interval *out)
{
    char  *at = line, *comma;
    double max = 0;
    size_t bytes;

    if (strncmp(at, "Tag=", 4) == 0) {
        comma = strchr(at, ',');
        if (comma == NULL || (size_t)(comma - at) - 4 >= sizeof out->tag)
            return "the tag does not end";
        snprintf(out->tag, sizeof out->tag, "%.*s", (int)(comma - at - 4), at + 4);
        at = comma + 1;
    }
    if (sscanf(at, "%lf,%lf,%lf", &out->start, &out->seconds, &max) != 3 || !isfinite(max)
        || max < 0)
        return "three numbers are expected before the histogram";
    for (int i = 0; i < 3 && at != NULL; i++)
        if ((at = strchr(at, ',')) != NULL)
            at++;
    if (at == NULL)
        return "there is no histogram";
    bytes = base64_read(at, packed, PACKED_BYTES_MAX);
    if (bytes == SIZE_MAX)
        return "the histogram is no base64";
    out->latency.max_ns = max < 1e13 ? (uint64_t)llround(max * 1e6) : 0;
    return payload_read(packed, bytes, payload, &out->latency);
}

enum kiwi_status hlog_read(FILE *file, const char *path, uint64_t *line, struct hlog_interval *out)
{
    char            *text = memory_allocate(LINE_BYTES_MAX + PACKED_BYTES_MAX + PAYLOAD_BYTES_MAX);
    uint8_t         *packed = (uint8_t *)text + LINE_BYTES_MAX;
    const char      *reason = NULL;
    enum kiwi_status status = KIWI_NOT_FOUND;

    if (text == NULL)
        return FAIL(KIWI_NO_MEMORY, "no memory for a histogram");
    while (status == KIWI_NOT_FOUND && fgets(text, LINE_BYTES_MAX, file) != NULL) {
        ++*line;
        if (text[0] == '#' || text[0] == '"' || text[0] == '\n')
            continue;
        memset(out, 0, sizeof *out);
        status = KIWI_OK;
        reason = strchr(text, '\n') == NULL
                   ? "the line is cut off"
                   : interval_read(text, packed, packed + PACKED_BYTES_MAX, out);
    }
    memory_free(text);
    if (reason != NULL)
        return FAIL(KIWI_CORRUPT, "%s line %" PRIu64 ": %s", path, *line, reason);
    return status;
}
