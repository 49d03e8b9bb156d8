/*
 * fail.c: keeps the text of the last failure of each thread, where the failure is born.
 */
#include "core/base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char text_of_thread[512];

static const char *const status_texts[KIWI_STATUS_COUNT] = {
    [KIWI_OK] = "ok",
    [KIWI_NOT_FOUND] = "not found",
    [KIWI_INVALID] = "invalid argument",
    [KIWI_TOO_LARGE] = "too large",
    [KIWI_TOO_SMALL] = "buffer too small",
    [KIWI_BUSY] = "busy",
    [KIWI_LOCKED] = "locked by another process",
    [KIWI_IO] = "input/output error",
    [KIWI_FULL] = "no space left",
    [KIWI_CORRUPT] = "corrupt data",
    [KIWI_NO_MEMORY] = "out of memory",
    [KIWI_UNSUPPORTED] = "not supported here",
    [KIWI_STOPPED] = "writes are stopped until the next open",
    [KIWI_CLOSED] = "closed",
};

const char *kiwi_status_text(enum kiwi_status status)
{
    if ((unsigned)status >= KIWI_STATUS_COUNT)
        return "unknown status";
    return status_texts[status];
}

/* Whether a text that was built from another already says where that was born. */
static bool has_place(const char *text)
{
    const char *mark = strrchr(text, '[');

    return mark != NULL && strstr(mark, ".c:") != NULL && text[strlen(text) - 1] == ']';
}

enum kiwi_status fail_record(enum kiwi_status status, const char *file, int line,
                             const char *format, ...)
{
    va_list arguments;
    int     used;

    va_start(arguments, format);
    used = vsnprintf(text_of_thread, sizeof text_of_thread, format, arguments);
    va_end(arguments);
    if (used < 0)
        text_of_thread[0] = 0;
    else if ((size_t)used + 40 < sizeof text_of_thread && !has_place(text_of_thread)) {
        const char *name = strrchr(file, '/');
        snprintf(text_of_thread + used, sizeof text_of_thread - (size_t)used, " [%.24s:%d]",
                 name != NULL ? name + 1 : file, line);
    }
    return status;
}

const char *fail_text(void)
{
    return text_of_thread;
}

void fail_text_set(const char *text)
{
    snprintf(text_of_thread, sizeof text_of_thread, "%s", text);
}

const char *kiwi_error_text(void)
{
    return text_of_thread;
}
