/*
 * text.c: escaping, hexadecimal, base64, sizes.
 */
#include "app/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char base64_letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool hex_decode(const char *text, struct text_bytes *out, char *why, size_t why_bytes)
{
    size_t length = strlen(text);

    if (length % 2 != 0) {
        snprintf(why, why_bytes, "hexadecimal text of odd length %zu", length);
        return false;
    }
    for (size_t i = 0; i < length; i += 2) {
        int high = hex_value(text[i]), low = hex_value(text[i + 1]);

        if (high < 0 || low < 0) {
            snprintf(why, why_bytes, "no hexadecimal digits at %zu", i);
            return false;
        }
        out->data[out->size++] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool base64_decode(const char *text, struct text_bytes *out, char *why, size_t why_bytes)
{
    size_t   length = strlen(text), digits = length;
    uint32_t word = 0;

    while (digits > 0 && text[digits - 1] == '=' && length - digits < 2)
        digits--;
    if (length % 4 != 0) {
        snprintf(why, why_bytes, "base64 text of length %zu, which 4 does not divide", length);
        return false;
    }
    for (size_t i = 0; i < digits; i++) {
        const char *at = text[i] != 0 ? strchr(base64_letters, text[i]) : NULL;

        if (at == NULL) {
            snprintf(why, why_bytes, "no base64 letter at %zu", i);
            return false;
        }
        word = word << 6 | (uint32_t)(at - base64_letters);
        if (i % 4 != 0)
            out->data[out->size++] = (uint8_t)(word >> (6 - 2 * (i % 4)));
    }
    if (digits % 4 != 0 && (word & (digits % 4 == 2 ? 15u : 3u)) != 0) {
        snprintf(why, why_bytes, "base64 text with stray bits at its end");
        return false;
    }
    return true;
}

static bool escaped_decode(const char *text, struct text_bytes *out, char *why, size_t why_bytes)
{
    for (size_t i = 0; text[i] != 0; i++) {
        int high, low;

        if (text[i] != '\\') {
            out->data[out->size++] = (uint8_t)text[i];
            continue;
        }
        i++;
        switch (text[i]) {
        case 'n': out->data[out->size++] = '\n'; break;
        case 't': out->data[out->size++] = '\t'; break;
        case 'r': out->data[out->size++] = '\r'; break;
        case '0': out->data[out->size++] = 0; break;
        case '\\': out->data[out->size++] = '\\'; break;
        case '"': out->data[out->size++] = '"'; break;
        case 'x':
            high = hex_value(text[i + 1]);
            low = high < 0 ? -1 : hex_value(text[i + 2]);
            if (low >= 0) {
                out->data[out->size++] = (uint8_t)(high << 4 | low);
                i += 2;
                break;
            }
            /* fall through */
        default:
            snprintf(why, why_bytes, "unknown escape at %zu", i - 1);
            return false;
        }
    }
    return true;
}

bool text_decode(enum text_form form, const char *text, struct text_bytes *out, char *why,
                 size_t why_bytes)
{
    size_t length = strlen(text);
    bool   is_right = true;

    out->size = 0;
    out->data = malloc(length + 1);
    if (out->data == NULL) {
        snprintf(why, why_bytes, "out of memory");
        return false;
    }
    switch (form) {
    case FORM_HEX:
        is_right = hex_decode(text, out, why, why_bytes);
        break;
    case FORM_BASE64:
        is_right = base64_decode(text, out, why, why_bytes);
        break;
    case FORM_ESCAPED:
        is_right = escaped_decode(text, out, why, why_bytes);
        break;
    case FORM_DEFAULT:
    case FORM_TEXT:
    case FORM_RAW:
        memcpy(out->data, text, length);
        out->size = length;
        break;
    }
    if (!is_right)
        text_free(out);
    return is_right;
}

void text_free(struct text_bytes *bytes)
{
    free(bytes->data);
    bytes->data = NULL;
    bytes->size = 0;
}

static void escaped_write(FILE *stream, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        switch (data[i]) {
        case '\n': fputs("\\n", stream); break;
        case '\t': fputs("\\t", stream); break;
        case '\r': fputs("\\r", stream); break;
        case '\\': fputs("\\\\", stream); break;
        default:
            if (data[i] >= 32 && data[i] < 127)
                fputc(data[i], stream);
            else
                fprintf(stream, "\\x%02x", data[i]);
        }
}

static void base64_write(FILE *stream, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i += 3) {
        size_t   left = size - i;
        uint32_t word = (uint32_t)data[i] << 16 | (left > 1 ? (uint32_t)data[i + 1] << 8 : 0)
                      | (left > 2 ? data[i + 2] : 0);

        fputc(base64_letters[word >> 18], stream);
        fputc(base64_letters[word >> 12 & 63], stream);
        fputc(left > 1 ? base64_letters[word >> 6 & 63] : '=', stream);
        fputc(left > 2 ? base64_letters[word & 63] : '=', stream);
    }
}

void text_write(FILE *stream, enum text_form form, const void *data, size_t size)
{
    const uint8_t *bytes = data;

    switch (form) {
    case FORM_HEX:
        for (size_t i = 0; i < size; i++)
            fprintf(stream, "%02x", bytes[i]);
        break;
    case FORM_BASE64:
        base64_write(stream, bytes, size);
        break;
    case FORM_ESCAPED:
        escaped_write(stream, bytes, size);
        break;
    case FORM_DEFAULT:
    case FORM_TEXT:
    case FORM_RAW:
        if (size > 0)
            fwrite(data, 1, size, stream);
        break;
    }
}

bool text_size(const char *text, uint64_t *bytes)
{
    static const struct {
        const char *unit;
        double      factor;
    } units[] = {
        { "", 1 },
        { "B", 1 },
        { "KiB", 1024 },
        { "MiB", 1048576 },
        { "GiB", 1073741824.0 },
        { "TiB", 1099511627776.0 },
        { "kB", 1e3 },
        { "KB", 1e3 },
        { "MB", 1e6 },
        { "GB", 1e9 },
        { "TB", 1e12 },
    };
    size_t      length = strspn(text, "0123456789.");
    const char *end = text + length;
    char        digits[40];
    double      number;

    if (length == 0 || length >= sizeof digits || text[0] == '.'
        || strchr(text, '.') != strrchr(text, '.'))
        return false;
    memcpy(digits, text, length);
    digits[length] = 0;
    number = strtod(digits, NULL);
    while (*end == ' ')
        end++;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(end, units[i].unit) == 0 && number * units[i].factor < 9e18) {
            *bytes = (uint64_t)(number * units[i].factor);
            return true;
        }
    return false;
}

bool text_count(const char *text, uint64_t *count)
{
    char *end;

    if (text[0] == 0 || strspn(text, "0123456789") != strlen(text))
        return false;
    errno = 0;
    *count = strtoull(text, &end, 10);
    return errno == 0;
}

/* Bytes of the character at data, 0 when it is no valid one. */
static size_t utf8_length(const uint8_t *data, size_t size)
{
    uint8_t first = data[0];
    size_t length = first < 0x80    ? 1
                    : first >= 0xf0 ? 4
                    : first >= 0xe0 ? 3
                    : first >= 0xc2 ? 2
                                    : 0;

    if (length == 0 || length > size || first > 0xf4 || first < 32 || first == 127)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((data[i] & 0xc0) != 0x80)
            return 0;
    if ((first == 0xe0 && data[1] < 0xa0) || (first == 0xed && data[1] >= 0xa0)
        || (first == 0xf0 && data[1] < 0x90) || (first == 0xf4 && data[1] >= 0x90))
        return 0;
    return length;
}

bool text_is_utf8(const void *data, size_t size)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < size;) {
        size_t length = utf8_length(bytes + i, size - i);

        if (length == 0)
            return false;
        i += length;
    }
    return true;
}

size_t text_distance(const char *a, const char *b)
{
    enum { LIMIT = 64 };
    size_t rows[3][LIMIT + 1];
    size_t a_length = strnlen(a, LIMIT), b_length = strnlen(b, LIMIT);

    for (size_t j = 0; j <= b_length; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];

        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);

            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]
                && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
    }
    return rows[a_length % 3][b_length];
}
