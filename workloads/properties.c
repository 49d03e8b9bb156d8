/*
 * properties.c: the reader of Java property files.
 *
 * One pass over the bytes. A logical line is first joined (continuations), then split at the first
 * separator that is not escaped, then unescaped; a separator inside an escape must not split.
 */
#include "workloads/properties.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"

struct joined {          /* one logical line, escapes still in it */
    char    *text;
    size_t   bytes;
    size_t   capacity;
    uint32_t line;       /* where it starts */
};

static char *text_copy(const char *text)
{
    size_t bytes = strlen(text) + 1;
    char  *copy = memory_allocate(bytes);

    if (copy != NULL)
        memcpy(copy, text, bytes);
    return copy;
}

static void property_clear(struct property *property)
{
    memory_free(property->name);
    memory_free(property->value);
    memory_free(property->origin);
    memset(property, 0, sizeof *property);
}

void properties_free(struct properties *properties)
{
    for (size_t i = 0; i < properties->count; i++)
        property_clear(&properties->items[i]);
    memory_free(properties->items);
    memset(properties, 0, sizeof *properties);
}

const struct property *properties_find(const struct properties *properties, const char *name)
{
    for (size_t i = 0; i < properties->count; i++)
        if (strcmp(properties->items[i].name, name) == 0)
            return &properties->items[i];
    return NULL;
}

static struct property *properties_place(struct properties *properties, const char *name)
{
    for (size_t i = 0; i < properties->count; i++)
        if (strcmp(properties->items[i].name, name) == 0)
            return &properties->items[i];
    if (properties->count == properties->capacity) {
        size_t           capacity = properties->capacity == 0 ? 32 : properties->capacity * 2;
        struct property *items = memory_resize(properties->items, capacity * sizeof *items);

        if (items == NULL)
            return NULL;
        properties->items = items;
        properties->capacity = capacity;
    }
    memset(&properties->items[properties->count], 0, sizeof properties->items[0]);
    return &properties->items[properties->count];
}

enum kiwi_status properties_set(struct properties *properties, const char *name, const char *value,
                                const char *origin, uint32_t line)
{
    struct property  fresh = { .line = line };
    struct property *place;

    fresh.name = text_copy(name);
    fresh.value = text_copy(value);
    fresh.origin = text_copy(origin);
    if (fresh.name == NULL || fresh.value == NULL || fresh.origin == NULL)
        goto fail;
    place = properties_place(properties, name);
    if (place == NULL)
        goto fail;
    if (place == &properties->items[properties->count])
        properties->count++;
    else
        property_clear(place);
    *place = fresh;
    return KIWI_OK;
fail:
    property_clear(&fresh);
    return FAIL(KIWI_NO_MEMORY, "no memory for the property %s", name);
}

enum kiwi_status properties_copy(struct properties *target, const struct properties *source)
{
    for (size_t i = 0; i < source->count; i++) {
        const struct property *item = &source->items[i];

        TRY(properties_set(target, item->name, item->value, item->origin, item->line));
        target->items[target->count - 1].was_trimmed = item->was_trimmed;
    }
    return KIWI_OK;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\f';
}

static enum kiwi_status joined_append(struct joined *joined, char c)
{
    if (joined->bytes + 1 >= joined->capacity) {
        size_t capacity = joined->capacity == 0 ? 128 : joined->capacity * 2;
        char  *text = memory_resize(joined->text, capacity);

        if (text == NULL)
            return FAIL(KIWI_NO_MEMORY, "no %zu bytes for a property line", capacity);
        joined->text = text;
        joined->capacity = capacity;
    }
    joined->text[joined->bytes++] = c;
    joined->text[joined->bytes] = 0;
    return KIWI_OK;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* A UTF-16 unit as UTF-8; halves of surrogate pairs are kept as three bytes each. */
static size_t utf8_write(unsigned long point, char *out)
{
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xc0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    out[0] = (char)(0xe0 | point >> 12);
    out[1] = (char)(0x80 | (point >> 6 & 0x3f));
    out[2] = (char)(0x80 | (point & 0x3f));
    return 3;
}

/* In place: an unescaped text is never longer than its escaped form. */
static bool unescape(char *text)
{
    char *to = text;

    for (const char *from = text; *from != 0; from++) {
        if (*from != '\\') {
            *to++ = *from;
            continue;
        }
        from++;
        switch (*from) {
        case 0: *to = 0; return true;
        case 't': *to++ = '\t'; break;
        case 'n': *to++ = '\n'; break;
        case 'r': *to++ = '\r'; break;
        case 'f': *to++ = '\f'; break;
        case 'u': {
            char digits[5] = { 0 };

            for (int i = 0; i < 4; i++) {
                if (!is_hex(from[1 + i]))
                    return false;
                digits[i] = from[1 + i];
            }
            unsigned long point = strtoul(digits, NULL, 16);
            if (point == 0)
                return false;
            to += utf8_write(point, to);
            from += 4;
            break;
        }
        default: *to++ = *from; break;
        }
    }
    *to = 0;
    return true;
}

/* Where the name ends: the first separator with an even count of backslashes before it. */
static size_t name_end(const struct joined *joined)
{
    size_t at = 0;

    while (at < joined->bytes) {
        char c = joined->text[at];

        if (c == '\\' && at + 1 < joined->bytes) {
            at += 2;
            continue;
        }
        if (c == '=' || c == ':' || is_blank(c))
            break;
        at++;
    }
    return at;
}

/* Drops blanks at the end unless the last one is escaped. */
static bool trim_end(char *text, size_t *bytes)
{
    size_t before = *bytes;

    while (*bytes > 0 && is_blank(text[*bytes - 1])) {
        size_t slashes = 0;

        while (*bytes >= 2 + slashes && text[*bytes - 2 - slashes] == '\\')
            slashes++;
        if (slashes % 2 == 1)
            break;
        (*bytes)--;
    }
    text[*bytes] = 0;
    return *bytes != before;
}

static enum kiwi_status joined_define(struct properties *properties, const char *origin,
                                      struct joined *joined)
{
    bool   was_trimmed = trim_end(joined->text, &joined->bytes);
    size_t end = name_end(joined), at = end;
    char  *name = joined->text;

    while (at < joined->bytes && is_blank(joined->text[at]))
        at++;
    if (at < joined->bytes && (joined->text[at] == '=' || joined->text[at] == ':'))
        at++;
    while (at < joined->bytes && is_blank(joined->text[at]))
        at++;
    char *value = joined->text + at; /* the closing zero when there is no more */

    joined->text[end] = 0;
    if (!unescape(name) || !unescape(value))
        return FAIL(KIWI_INVALID, "%s:%u: malformed \\u escape", origin, joined->line);
    TRY(properties_set(properties, name, value, origin, joined->line));
    for (size_t i = 0; i < properties->count; i++)
        if (was_trimmed && strcmp(properties->items[i].name, name) == 0)
            properties->items[i].was_trimmed = true;
    return KIWI_OK;
}

/* Joins the logical line that starts at *at; leaves *at behind it. */
static enum kiwi_status joined_read(struct joined *joined, const char *text, size_t bytes,
                                    size_t *at, uint32_t *line)
{
    joined->bytes = 0;
    joined->line = *line;
    while (*at < bytes) {
        char c = text[(*at)++];

        if (c == '\r' && *at < bytes && text[*at] == '\n')
            c = text[(*at)++];
        if (c == '\n' || c == '\r') {
            size_t slashes = 0;

            (*line)++;
            while (slashes < joined->bytes && joined->text[joined->bytes - 1 - slashes] == '\\')
                slashes++;
            if (slashes % 2 == 0)
                return KIWI_OK;
            joined->text[--joined->bytes] = 0;
            while (*at < bytes && is_blank(text[*at]))
                (*at)++;
            continue;
        }
        TRY(joined_append(joined, c));
    }
    return KIWI_OK;
}

enum kiwi_status properties_parse(struct properties *properties, const char *origin,
                                  const char *text, size_t bytes)
{
    struct joined    joined = { 0 };
    enum kiwi_status status = KIWI_OK;
    size_t           at = 0;
    uint32_t         line = 1;

    if (bytes > 0 && memchr(text, 0, bytes) != NULL)
        return FAIL(KIWI_INVALID, "%s: a zero byte: this is no property file", origin);
    while (at < bytes && status == KIWI_OK) {
        while (at < bytes && is_blank(text[at]))
            at++;
        if (at < bytes && (text[at] == '#' || text[at] == '!')) {
            while (at < bytes && text[at] != '\n' && text[at] != '\r')
                at++;
            if (at < bytes && text[at] == '\r' && at + 1 < bytes && text[at + 1] == '\n')
                at++;
            if (at < bytes)
                at++;
            line++;
            continue;
        }
        status = joined_read(&joined, text, bytes, &at, &line);
        if (status == KIWI_OK && joined.bytes > 0)
            status = joined_define(properties, origin, &joined);
    }
    memory_free(joined.text);
    return status;
}
